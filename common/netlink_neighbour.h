/* SPDX-License-Identifier: GPL-2.0-or-later */
/* netlink_neighbour: hardware addresses that the kernel knows of IPv4 neighbours (rtnetlink(7)). */
#ifndef EIPD_COMMON_NETLINK_NEIGHBOUR_H
#define EIPD_COMMON_NETLINK_NEIGHBOUR_H

#include <stdint.h>

#include "common/addr.h"

struct nl_sock;

/*
 * The kernel forgets an IPv4 neighbour's hardware address, unless it is this one, or was put there
 * to stay. A kernel that cannot tell these apart (before 5.0) forgets it in any case.
 */
int netlink_neighbour_forget(struct nl_sock *sock, unsigned link_index, uint32_t ip,
	const struct mac *mac);

#endif
