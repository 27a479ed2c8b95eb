/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decide: what a server of this plan answers (RFC 2131 4.3). Pure.
 *
 * The plan is the truth: the answer follows from it and the message alone, never from a lease, so
 * nothing that is lost can make it wrong. A decision is a value; the caller acts on it.
 */
#ifndef EIPD_DHCPD_DECIDE_H
#define EIPD_DHCPD_DECIDE_H

#include "common/plan.h"
#include "dhcpd/message.h"

enum lease_change { LEASE_UNCHANGED, LEASE_GRANTED, LEASE_RELEASED, LEASE_DECLINED };

struct dhcp_verdict {
	enum dhcp_type reply; /* DHCP_NONE: stay silent, for the reason in `drop` */
	const struct vm *vm;  /* whom it concerns, if the plan has it */
	enum dhcp_drop drop;
	enum lease_change lease;
	const char *why; /* static; for the log */
};

struct dhcp_policy {
	struct ip4_prefix self; /* our address and its network: the server identifier */
	bool authoritative;     /* NAK a rebooting or rebinding client that has a wrong address */
};

/* vm: what the plan has for the message's chaddr, or NULL. */
struct dhcp_verdict dhcp_decide(const struct dhcp_policy *policy, const struct vm *vm,
	const struct dhcp_message *message);

#endif
