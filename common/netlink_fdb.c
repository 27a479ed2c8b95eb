/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink_fdb owns the messages of rtnetlink about what a bridge has learned. It must not know whom
 * that is asked for.
 */
#include "common/netlink_fdb.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <sys/epoll.h>

#include "common/attribute.h"
#include "common/netlink.h"

struct fdb_walk {
	unsigned bridge_index;
	void (*each)(void *ctx, const struct mac *mac, unsigned port);
	void *ctx;
};

static void read_fdb(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[NDA_MAX + 1];
	struct fdb_walk *walk = ctx;
	const struct ndmsg *neighbour;
	struct mac mac;

	if (header->nlmsg_type != RTM_NEWNEIGH ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*neighbour), attrs,
			NDA_MAX, NULL))
		return;
	neighbour = nlmsg_data(header);
	if (neighbour->ndm_family != AF_BRIDGE || !attribute_mac(attrs[NDA_LLADDR], &mac) ||
		attribute_u32(attrs[NDA_MASTER]) != walk->bridge_index)
		return;
	walk->each(walk->ctx, &mac, (unsigned)neighbour->ndm_ifindex);
}

int netlink_fdb_list(struct nl_sock *sock, unsigned bridge_index,
	void (*each)(void *ctx, const struct mac *mac, unsigned port), void *ctx)
{
	struct ifinfomsg ifinfo = { .ifi_family = AF_BRIDGE };
	struct fdb_walk walk = { bridge_index, each, ctx };
	struct nl_msg *msg = netlink_message(RTM_GETNEIGH, NLM_F_DUMP, &ifinfo, sizeof(ifinfo));

	if (!msg)
		return -ENOMEM;
	nla_put_u32(msg, IFLA_MASTER, bridge_index);
	return netlink_request(sock, msg, read_fdb, &walk);
}

struct fdb_search {
	struct fdb_walk walk;
	struct mac mac;
	unsigned port; /* 0: nowhere */
};

static void take_found(void *ctx, const struct mac *mac, unsigned port)
{
	struct fdb_search *search = ctx;

	if (mac_equal(mac, &search->mac))
		search->port = port;
}

static void read_found(void *ctx, const struct nlmsghdr *header)
{
	struct fdb_search *search = ctx;

	read_fdb(&search->walk, header);
}

int netlink_fdb_find(struct nl_sock *sock, const struct netlink_link *bridge, const struct mac *mac,
	unsigned *ret_port)
{
	const struct ndmsg neighbour = { .ndm_family = AF_BRIDGE };
	struct fdb_search search = { .mac = *mac };
	struct nl_msg *msg = netlink_message(RTM_GETNEIGH, NLM_F_ACK, &neighbour,
		sizeof(neighbour));
	int err;

	if (!msg)
		return -ENOMEM;
	search.walk = (struct fdb_walk){ bridge->index, take_found, &search };
	nla_put(msg, NDA_LLADDR, MAC_LEN, mac->byte);
	nla_put_u32(msg, NDA_MASTER, bridge->index);
	if (bridge->vlan)
		nla_put_u16(msg, NDA_VLAN, bridge->vlan);
	err = netlink_request(sock, msg, read_found, &search);
	if (err)
		return err;
	if (!search.port)
		return -ENOENT;
	*ret_port = search.port;
	return 0;
}

static void note_learned(void *ctx, const struct nlmsghdr *header)
{
	const struct netlink_fdb_monitor *monitor = ctx;
	struct fdb_walk walk = { monitor->bridge_index, monitor->learned, monitor->ctx };

	read_fdb(&walk, header);
}

static void fdb_monitor_ready(void *ctx, uint32_t events)
{
	struct netlink_fdb_monitor *monitor = ctx;

	(void)events;
	if (netlink_hear(monitor->sock, note_learned, monitor))
		monitor->missed(monitor->ctx);
}

int netlink_fdb_monitor_start(struct netlink_fdb_monitor *monitor, struct loop *loop)
{
	int err = netlink_listen(RTNLGRP_NEIGH, 0, &monitor->sock);

	if (err)
		return err;
	monitor->loop = loop;
	loop_watch(loop, &monitor->watch, nl_socket_get_fd(monitor->sock), EPOLLIN,
		fdb_monitor_ready, monitor);
	return 0;
}

void netlink_fdb_monitor_stop(struct netlink_fdb_monitor *monitor)
{
	if (!monitor->sock)
		return;
	loop_unwatch(monitor->loop, &monitor->watch);
	netlink_close(monitor->sock);
	monitor->sock = NULL;
}
