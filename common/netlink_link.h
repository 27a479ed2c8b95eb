/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink_link: network interfaces, and ports of bridges (rtnetlink(7)). Sockets are of
 * NETLINK_ROUTE; functions return 0 or -errno, as the kernel gave it.
 */
#ifndef EIPD_COMMON_NETLINK_LINK_H
#define EIPD_COMMON_NETLINK_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

struct nl_sock;
struct nlmsghdr;

struct netlink_link {
	char name[IFNAMSIZ];
	unsigned index;
	unsigned master;         /* index of the bridge it is a port of; 0: none */
	unsigned flags;          /* IFF_UP, IFF_RUNNING, … */
	char kind[16];           /* "bridge", "veth", …; "": a plain device */
	bool is_port;            /* of a bridge, and then: */
	bool hairpin;            /* sends frames out where they came in */
	uint16_t group_fwd_mask; /* which of 01:80:c2:00:00:0X it treats like any other */
	struct mac mac;
	uint16_t vlan; /* of a bridge that knows VLANs: of frames without a tag; 0: it does not */
};

/* What a message says of a link that is there or went; nothing, where it is no such message. */
void netlink_link_read(const struct nlmsghdr *header, struct netlink_link *link);

/* -ENODEV: there is no such link. */
int netlink_link_get(struct nl_sock *sock, const char *name, struct netlink_link *ret_link);
int netlink_link_get_index(struct nl_sock *sock, unsigned index, struct netlink_link *ret_link);

/* Calls `each` for every port of a bridge; bridge_index 0: of any. */
int netlink_port_list(struct nl_sock *sock, unsigned bridge_index,
	void (*each)(void *ctx, const struct netlink_link *port), void *ctx);
int netlink_port_set_hairpin(struct nl_sock *sock, unsigned index);
int netlink_port_set_group_fwd_mask(struct nl_sock *sock, unsigned index, uint16_t mask);

#endif
