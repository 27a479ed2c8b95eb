/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink_fdb: on which port a bridge has seen which MAC: its forwarding database (rtnetlink(7),
 * bridge(8)). Sockets are of NETLINK_ROUTE; functions return 0 or -errno, as the kernel gave it.
 */
#ifndef EIPD_COMMON_NETLINK_FDB_H
#define EIPD_COMMON_NETLINK_FDB_H

#include "common/loop.h"
#include "common/netlink_link.h"

/* Calls `each` for every MAC that a bridge has learned, with the index of its port. */
int netlink_fdb_list(struct nl_sock *sock, unsigned bridge_index,
	void (*each)(void *ctx, const struct mac *mac, unsigned port), void *ctx);

/*
 * On which port a bridge has seen a MAC, whatever else it has learned; -ENOENT: on none.
 * -EOPNOTSUPP: this kernel can only list all (before 5.0).
 */
int netlink_fdb_find(struct nl_sock *sock, const struct netlink_link *bridge, const struct mac *mac,
	unsigned *ret_port);

/*
 * Calls `learned` whenever a bridge has learned that a MAC is behind a port, and `missed` when the
 * kernel had more to say than we could take: then netlink_fdb_list() tells.
 */
struct netlink_fdb_monitor {
	struct nl_sock *sock;
	struct loop *loop;
	struct loop_watch watch;
	unsigned bridge_index; /* may be changed at any time */
	void (*learned)(void *ctx, const struct mac *mac, unsigned port);
	void (*missed)(void *ctx);
	void *ctx;
};
/* bridge_index, learned, missed and ctx are set by the caller. */
int netlink_fdb_monitor_start(struct netlink_fdb_monitor *monitor, struct loop *loop);
void netlink_fdb_monitor_stop(struct netlink_fdb_monitor *monitor);

#endif
