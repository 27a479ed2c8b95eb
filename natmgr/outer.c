/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * outer owns what is known of the outer interface, and how long that may be believed. It must not
 * know which addresses are ours.
 */
#include "natmgr/outer.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/netlink.h"

/* After so many changes at once it is cheaper to read all addresses. */
#define CHANGES_MAX 256

/* --- changes ------------------------------------------------------------------------------ */

struct intake {
	struct outer *outer;
	unsigned count;
};

static struct netlink_addr *find(const struct outer *outer, const struct ip4_prefix *prefix)
{
	for (size_t i = 0; i < outer->count; i++) {
		const struct ip4_prefix *there = &outer->list[i].prefix;

		if (there->addr == prefix->addr && there->len == prefix->len)
			return &outer->list[i];
	}
	return NULL;
}

static void put(struct outer *outer, const struct netlink_addr *addr)
{
	struct netlink_addr *there = find(outer, &addr->prefix);

	if (there) {
		*there = *addr;
		return;
	}
	if (outer->count >= outer->cap) {
		outer->cap = outer->count < 16 ? 32 : outer->count * 2;
		outer->list = xrealloc(outer->list, outer->cap, sizeof(*outer->list));
	}
	outer->list[outer->count++] = *addr;
}

static void take_away(struct outer *outer, const struct netlink_addr *addr)
{
	struct netlink_addr *there = find(outer, &addr->prefix);

	if (there)
		*there = outer->list[--outer->count];
}

static void take_change(void *ctx, const struct nlmsghdr *header)
{
	struct intake *intake = ctx;
	struct outer *outer = intake->outer;
	struct netlink_link link = { 0 };
	struct netlink_addr addr;

	if (header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR) {
		if (++intake->count > CHANGES_MAX)
			outer->is_known = false;
		if (!outer->is_known || netlink_addr_read(header, &addr) != outer->link.index)
			return;
		if (header->nlmsg_type == RTM_NEWADDR)
			put(outer, &addr);
		else
			take_away(outer, &addr);
		return;
	}
	/* another interface under the name, or ours that changed, or went */
	netlink_link_read(header, &link);
	if (link.index == outer->link.index || !strcmp(link.name, outer->interface))
		outer->is_known = false;
}

/* True: of what changes from here on, all is heard. */
static bool take_changes(struct outer *outer)
{
	struct intake intake = { .outer = outer };
	int err = outer->changes ? netlink_hear(outer->changes, take_change, &intake) : -EAGAIN;

	if (err)
		outer->is_known = false;
	return err != -EAGAIN;
}

/* --- the look ----------------------------------------------------------------------------- */

int outer_look(struct outer *outer)
{
	struct netlink_addr *list = NULL;
	struct netlink_link link;
	bool hears = take_changes(outer);
	size_t count = 0;
	int err;

	if (outer->is_known)
		return 0;
	/* what changes from here on is told of after it, again if need be */
	err = netlink_link_get(outer->route, outer->interface, &link);
	if (!err)
		err = netlink_addr_list(outer->route, link.index, &list, &count);
	if (err)
		return err;
	free(outer->list);
	outer->list = list;
	outer->count = outer->cap = count;
	outer->link = link;
	outer->is_known = hears;
	return 0;
}

void outer_forget(struct outer *outer)
{
	outer->is_known = false;
}

void outer_init(struct outer *outer, const char *interface, struct nl_sock *route)
{
	*outer = (struct outer){ .interface = interface, .route = route };
	/* without it, each look reads everything */
	(void)netlink_listen(RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, &outer->changes);
}

void outer_done(struct outer *outer)
{
	netlink_close(outer->changes);
	free(outer->list);
	*outer = (struct outer){ 0 };
}
