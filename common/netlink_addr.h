/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink_addr: IPv4 addresses of network interfaces (rtnetlink(7)). Sockets are of NETLINK_ROUTE;
 * functions return 0 or -errno, as the kernel gave it.
 */
#ifndef EIPD_COMMON_NETLINK_ADDR_H
#define EIPD_COMMON_NETLINK_ADDR_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/addr.h"

struct nl_sock;
struct nlmsghdr;

struct netlink_addr {
	struct ip4_prefix prefix;
	char label[IFNAMSIZ];
	bool secondary;
};

/*
 * What a message says of an address that is there or went: the index of its link, or 0 where it is
 * no such message, and then *ret_addr is untouched.
 */
unsigned netlink_addr_read(const struct nlmsghdr *header, struct netlink_addr *ret_addr);

/* The caller frees *ret_list. */
int netlink_addr_list(struct nl_sock *sock, unsigned link_index, struct netlink_addr **ret_list,
	size_t *ret_count);
/*
 * Puts addresses on a link, or takes them from it, many in one call. One that is there already, or
 * not there any more, is no error. The first that the kernel refused is list[*ret_failed]; of those
 * behind it some may be done. A label may be "".
 */
int netlink_addr_change(struct nl_sock *sock, unsigned link_index, const struct netlink_addr *list,
	size_t count, bool add, size_t *ret_failed);

#endif
