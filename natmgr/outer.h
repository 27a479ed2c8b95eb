/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * outer: the outer interface and its addresses, as the kernel has them at the moment of the look.
 *
 * The kernel tells of all addresses at the first look, and from then on of changes only, which a
 * look takes up first: thousands of addresses are not read again for one that comes.
 */
#ifndef EIPD_NATMGR_OUTER_H
#define EIPD_NATMGR_OUTER_H

#include "common/netlink_addr.h"
#include "common/netlink_link.h"

struct outer {
	/* as of the last look that succeeded */
	struct netlink_link link;
	struct netlink_addr *list; /* in no order */
	size_t count;
	/* private */
	const char *interface;
	struct nl_sock *route, *changes;
	size_t cap;
	bool is_known; /* link and list were read, and are so but for changes that wait */
};

/* `interface` and `route` (of NETLINK_ROUTE) must outlive it. */
void outer_init(struct outer *outer, const char *interface, struct nl_sock *route);
void outer_done(struct outer *outer);

/* Brings it up to date. 0; -ENODEV: there is no such interface; or -errno. */
int outer_look(struct outer *outer);
/* The next look reads everything anew. */
void outer_forget(struct outer *outer);

#endif
