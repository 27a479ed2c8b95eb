/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frame in, frame out, with a plan loaded: whatever comes, nothing is read or written out of
 * bounds, and what is answered fits and is decoded to what was encoded.
 *
 * The first octets of the input choose the VM that speaks and the form of the server; without
 * that, nearly all inputs would end at a MAC that nobody has.
 */
#include <stdlib.h>
#include <string.h>

#include "dhcpd/exchange.h"
#include "tests/fuzz/fuzz.h"

#define SELF 0xc0a80616u

static const char plan_text[] = "02:00:00:00:00:01,one,192.168.6.1\n"
				"02:00:00:00:00:02,two,192.168.6.2,infinite,set:web\n"
				"02:00:00:00:00:03,three,192.168.6.3,ignore\n";

/* of 7 octets each, and more than fit into any field */
#define ROUTE(n)               "10." #n ".0.0/16 192.168.6.9, "
#define FIVE(t, a, b, c, d, e) ROUTE(t##a) ROUTE(t##b) ROUTE(t##c) ROUTE(t##d) ROUTE(t##e)
#define TEN(t)                 FIVE(t, 0, 1, 2, 3, 4) FIVE(t, 5, 6, 7, 8, 9)
#define MANY_ROUTES            TEN(1) TEN(2) TEN(3) TEN(4) "10.99.0.0/16 192.168.6.9"
#define ROUTES_LEN             (6 + 5) /* with the default route */
#define MANY_ROUTES_LEN        (41 * 7 + 5)

static const char config_text[] =
	"[inner]\nbridge = br0\n[outer]\ninterface = eth0\n"
	"pool = 20.251.48.99\n"
	"[dhcp]\ndns = 192.168.6.5\ndomain = example.net\nmtu = 1400\n"
	"next-server = 192.168.6.7\nboot-file = pxe.0\n"
	"static-routes = 10.0.0.0/8 192.168.6.9\noption.108 = hex:00000708\n"
	"option.43 = text:a rather long text that takes its room\n"
	"[tag web]\ndns =\nlease-time = 2m\nstatic-routes = " MANY_ROUTES "\n"
	"[tag uefi]\nclient-arch = 7\nboot-file = grub.efi\n"
	"[tag name]\nclient-name = one\ncircuit-id = text:port7\n";

/* What was encoded is decoded to the same, all options whole. */
static void check_round_trip(const struct dhcp_exchange *exchange, const struct frame *frame)
{
	static struct dhcp_message message;
	uint8_t *copy = xmemdup(frame->payload, frame->payload_len);
	enum dhcp_type reply = exchange->verdict.reply;
	const struct dhcp_option *type = &message.option[OPT_MESSAGE_TYPE];
	const struct dhcp_option *routes = &message.option[OPT_CLASSLESS_ROUTE];
	enum dhcp_drop drop;
	uint32_t server;

	/* our decoder takes no replies: all is good up to what makes it one */
	copy[0] = BOOTREQUEST;
	drop = dhcp_message_decode(copy, frame->payload_len, &message);
	if (drop != (reply == DHCP_BOOTP ? DROP_NONE : DROP_TYPE))
		fuzz_found("a reply that cannot be decoded");
	if (message.xid != exchange->message.xid || message.giaddr != exchange->message.giaddr ||
		!mac_equal(&message.chaddr, &exchange->message.chaddr))
		fuzz_found("a reply to somebody else");
	if (reply != DHCP_BOOTP &&
		(type->len != 1 || type->data[0] != reply ||
			!dhcp_option_u32(&message, OPT_SERVER_ID, &server) || server != SELF))
		fuzz_found("a reply without its type or its server");
	if (routes->data && routes->len != ROUTES_LEN && routes->len != MANY_ROUTES_LEN)
		fuzz_found("routes that are not whole");
	free(copy);
}

static void check_reply(const struct dhcp_exchange *exchange)
{
	struct frame frame;

	if (exchange->reply_len > FRAME_MAX ||
		frame_decode(exchange->reply, exchange->reply_len, &frame) != DROP_NONE ||
		frame.payload_len < DHCP_MESSAGE_MIN)
		fuzz_found("a reply that does not fit or cannot be decoded");
	check_round_trip(exchange, &frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dhcp_exchange exchange;
	static struct dhcp_server server;
	uint8_t frame[2048];

	if (!server.plan) {
		static const struct ip4_prefix self = { SELF, 24 };

		server = (struct dhcp_server){ .policy = { .self = self },
			.mac = { { 2, 0, 0, 0, 0, 0x22 } },
			.plan = fuzz_plan(plan_text),
			.options = option_catalog_new(fuzz_config(config_text), &self) };
	}
	if (size < 1 || size > sizeof(frame))
		return 0;
	server.policy.authoritative = data[0] & 1;
	server.client_id_echo = data[0] & 2;
	server.verify_source = data[0] & 4;
	size--;
	memcpy(frame, data + 1, size);
	/* a VM of the plan, on both layers */
	if (data[0] & 8 && size > FRAME_HEADERS + 34) {
		memcpy(frame + 6, (uint8_t[]){ 2, 0, 0, 0, 0, (uint8_t)(1 + data[0] / 64) },
			MAC_LEN);
		memcpy(frame + FRAME_HEADERS + 28, frame + 6, MAC_LEN);
	}
	/* no client finds a checksum by chance: leave it out as UDP allows, mend IP's */
	if (data[0] & 16 && size >= FRAME_HEADERS)
		fuzz_mend_checksums(frame);
	dhcp_exchange(&server, frame, size, 1, &exchange);
	if (exchange.reply_len)
		check_reply(&exchange);
	return 0;
}
