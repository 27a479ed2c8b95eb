/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decide owns the rules of RFC 2131 for a server whose addresses are all planned. It must not know
 * how a reply looks, what was leased before, or what time it is.
 */
#include "dhcpd/decide.h"

static struct dhcp_verdict answer(enum dhcp_type reply, const struct vm *vm, const char *why)
{
	return (struct dhcp_verdict){ .reply = reply, .vm = vm, .why = why };
}

static struct dhcp_verdict grant(enum dhcp_type reply, const struct vm *vm, const char *why)
{
	return (struct dhcp_verdict){
		.reply = reply, .vm = vm, .why = why, .lease = LEASE_GRANTED
	};
}

static struct dhcp_verdict silence(enum dhcp_drop drop, const struct vm *vm)
{
	return (struct dhcp_verdict){ .drop = drop, .vm = vm, .why = dhcp_drop_text(drop)->why };
}

static bool speaks_to_us(const struct dhcp_policy *policy, const struct dhcp_message *message)
{
	uint32_t server;

	return dhcp_option_u32(message, OPT_SERVER_ID, &server) && server == policy->self.addr;
}

/* RFC 2131 4.3.1. Option 50, ciaddr and the client identifier do not change what is offered. */
static struct dhcp_verdict decide_discover(const struct vm *vm, const struct dhcp_message *message)
{
	const struct dhcp_option *rapid = &message->option[OPT_RAPID_COMMIT];

	/* RFC 4039 3.1: there is nobody else whom the address could be offered to */
	if (rapid->data && rapid->len == 0)
		return grant(DHCP_ACK, vm, "rapid commit");
	return answer(DHCP_OFFER, vm, "planned");
}

/* RFC 2131 4.3.2, in the order of its paragraphs. */
static struct dhcp_verdict decide_request(const struct dhcp_policy *policy, const struct vm *vm,
	const struct dhcp_message *message)
{
	bool has_server = message->option[OPT_SERVER_ID].data != NULL;
	uint32_t requested = 0;
	bool has_requested = dhcp_option_u32(message, OPT_REQUESTED_IP, &requested);

	/* SELECTING names the server it has chosen */
	if (has_server && !speaks_to_us(policy, message))
		return silence(DROP_OTHER_SERVER, vm);
	if (has_server && has_requested)
		return requested == vm->ip ? grant(DHCP_ACK, vm, "selecting")
					   : answer(DHCP_NAK, vm, "selecting, not its address");
	/* RENEWING and REBINDING speak in ciaddr; from us they differ by the destination only */
	if (message->ciaddr) {
		if (message->ciaddr == vm->ip)
			return grant(DHCP_ACK, vm, "renewing");
		return policy->authoritative ? answer(DHCP_NAK, vm, "renewing, not its address")
					     : silence(DROP_NOT_AUTHORITATIVE, vm);
	}
	/* INIT-REBOOT remembers an address; the plan knows whether it is still right */
	if (has_requested) {
		if (requested == vm->ip)
			return grant(DHCP_ACK, vm, "rebooting");
		return policy->authoritative ? answer(DHCP_NAK, vm, "rebooting, not its address")
					     : silence(DROP_NOT_AUTHORITATIVE, vm);
	}
	return silence(DROP_NO_ADDRESS, vm);
}

/* RFC 2131 4.3.3 */
static struct dhcp_verdict decide_decline(const struct dhcp_policy *policy, const struct vm *vm,
	const struct dhcp_message *message)
{
	struct dhcp_verdict verdict = {
		.vm = vm, .lease = LEASE_DECLINED, .why = "somebody else uses its address"
	};
	uint32_t requested;

	if (!speaks_to_us(policy, message))
		return silence(DROP_OTHER_SERVER, vm);
	if (!dhcp_option_u32(message, OPT_REQUESTED_IP, &requested) || requested != vm->ip)
		return silence(DROP_MISMATCH, vm);
	return verdict;
}

/* RFC 2131 4.3.4 */
static struct dhcp_verdict decide_release(const struct dhcp_policy *policy, const struct vm *vm,
	const struct dhcp_message *message)
{
	struct dhcp_verdict verdict = { .vm = vm, .lease = LEASE_RELEASED, .why = "released" };

	/* table 5 asks for option 54, but systemd-networkd 252 leaves it out */
	if (message->option[OPT_SERVER_ID].data && !speaks_to_us(policy, message))
		return silence(DROP_OTHER_SERVER, vm);
	if (message->ciaddr != vm->ip)
		return silence(DROP_MISMATCH, vm);
	return verdict;
}

struct dhcp_verdict dhcp_decide(const struct dhcp_policy *policy, const struct vm *vm,
	const struct dhcp_message *message)
{
	/* 4.3.2: a server that does not know the client must stay silent */
	if (!vm)
		return silence(DROP_UNKNOWN, NULL);
	if (vm->ignore)
		return silence(DROP_IGNORED, vm);
	/* 4.3.1: the address must be of the network that the relay stands in */
	if (message->giaddr && !ip4_prefix_contains(&policy->self, message->giaddr))
		return silence(DROP_RELAY, vm);
	switch (message->type) {
	case DHCP_DISCOVER:
		return decide_discover(vm, message);
	case DHCP_REQUEST:
		return decide_request(policy, vm, message);
	case DHCP_DECLINE:
		return decide_decline(policy, vm, message);
	case DHCP_RELEASE:
		return decide_release(policy, vm, message);
	case DHCP_INFORM:
		/* 4.3.5: it has an address, and wants the rest */
		return message->ciaddr ? answer(DHCP_ACK, vm, "informed")
				       : silence(DROP_NO_ADDRESS, vm);
	case DHCP_BOOTP:
		return grant(DHCP_BOOTP, vm, "BOOTP");
	case DHCP_NONE:
	case DHCP_OFFER:
	case DHCP_ACK:
	case DHCP_NAK:
		break;
	}
	return silence(DROP_TYPE, vm);
}
