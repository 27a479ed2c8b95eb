/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink_monitor owns the kernel's word that links or addresses changed. It must not know what is
 * done about it.
 */
#include "common/netlink_monitor.h"

#include <linux/rtnetlink.h>
#include <netlink/socket.h>
#include <sys/epoll.h>

#include "common/netlink.h"

struct change {
	bool addresses, links;
};

static void note_change(void *ctx, const struct nlmsghdr *header)
{
	struct change *change = ctx;

	if (header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR)
		change->addresses = true;
	else
		change->links = true;
}

static void monitor_ready(void *ctx, uint32_t events)
{
	struct netlink_monitor *monitor = ctx;
	struct change change = { 0 };

	(void)events;
	/* what was lost may have been about links */
	if (netlink_hear(monitor->sock, note_change, &change))
		change.links = true;
	if (change.links || change.addresses)
		monitor->changed(monitor->ctx, change.links);
}

int netlink_monitor_start(struct netlink_monitor *monitor, struct loop *loop,
	void (*changed)(void *ctx, bool links), void *ctx)
{
	int err = netlink_listen(RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, &monitor->sock);

	if (err)
		return err;
	monitor->loop = loop;
	monitor->changed = changed;
	monitor->ctx = ctx;
	loop_watch(loop, &monitor->watch, nl_socket_get_fd(monitor->sock), EPOLLIN, monitor_ready,
		monitor);
	return 0;
}

void netlink_monitor_stop(struct netlink_monitor *monitor)
{
	if (!monitor->sock)
		return;
	loop_unwatch(monitor->loop, &monitor->watch);
	netlink_close(monitor->sock);
	monitor->sock = NULL;
}
