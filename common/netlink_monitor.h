/* SPDX-License-Identifier: GPL-2.0-or-later */
/* netlink_monitor: the kernel's word when links or IPv4 addresses change (rtnetlink(7)). */
#ifndef EIPD_COMMON_NETLINK_MONITOR_H
#define EIPD_COMMON_NETLINK_MONITOR_H

#include <stdbool.h>

#include "common/loop.h"

struct nl_sock;

/*
 * Calls `changed` whenever links or IPv4 addresses of the namespace changed; `links`: not only
 * addresses, as far as can be told.
 */
struct netlink_monitor {
	struct nl_sock *sock;
	struct loop *loop;
	struct loop_watch watch;
	void (*changed)(void *ctx, bool links);
	void *ctx;
};
int netlink_monitor_start(struct netlink_monitor *monitor, struct loop *loop,
	void (*changed)(void *ctx, bool links), void *ctx);
void netlink_monitor_stop(struct netlink_monitor *monitor);

#endif
