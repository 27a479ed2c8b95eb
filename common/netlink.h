/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink: links and IPv4 addresses of the kernel, and its word when they change (rtnetlink(7)).
 *
 * Functions return 0 or -errno, as the kernel gave it. All calls but the monitor are synchronous:
 * the kernel answers within the system call.
 */
#ifndef EIPD_COMMON_NETLINK_H
#define EIPD_COMMON_NETLINK_H

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/loop.h"

struct nl_sock;
struct nl_msg;

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

struct netlink_addr {
	struct ip4_prefix prefix;
	char label[IFNAMSIZ];
	bool secondary;
};

/* A socket of any netlink family, for netlink_request(). */
int netlink_open(int family, struct nl_sock **ret_sock);
void netlink_close(struct nl_sock *sock);

/*
 * Sends a message (and frees it), and hands each message of the answer to `each`, which may be
 * NULL. With NLM_F_DUMP the answer is the whole table; -EAGAIN if it changed meanwhile.
 */
int netlink_request(struct nl_sock *sock, struct nl_msg *msg,
	void (*each)(void *ctx, const struct nlmsghdr *header), void *ctx);
/* What an answer says: 0, -errno, or -EPROTO where it is neither. */
int netlink_error(const struct nlmsgerr *error);

/*
 * What a message of NETLINK_ROUTE says of a link that is there or went, and of an IPv4 address that
 * is there or went: the index of its link, or 0 where it is no such message, and then *ret_addr is
 * untouched.
 */
void netlink_link_read(const struct nlmsghdr *header, struct netlink_link *link);
unsigned netlink_addr_read(const struct nlmsghdr *header, struct netlink_addr *ret_addr);

/* The rest wants a socket of NETLINK_ROUTE. -ENODEV: there is no such link. */
int netlink_link_get(struct nl_sock *sock, const char *name, struct netlink_link *ret_link);
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

int netlink_link_get_index(struct nl_sock *sock, unsigned index, struct netlink_link *ret_link);
/* Calls `each` for every port of a bridge; bridge_index 0: of any. */
int netlink_port_list(struct nl_sock *sock, unsigned bridge_index,
	void (*each)(void *ctx, const struct netlink_link *port), void *ctx);
int netlink_port_set_hairpin(struct nl_sock *sock, unsigned index);
int netlink_port_set_group_fwd_mask(struct nl_sock *sock, unsigned index, uint16_t mask);
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
 * The kernel forgets an IPv4 neighbour's hardware address, unless it is this one, or was put there
 * to stay. A kernel that cannot tell these apart (before 5.0) forgets it in any case.
 */
int netlink_neighbour_forget(struct nl_sock *sock, unsigned link_index, uint32_t ip,
	const struct mac *mac);

/* A socket on which the kernel tells of changes of these groups (RTNLGRP_…; the other may be 0). */
int netlink_listen(int group, int other_group, struct nl_sock **ret_sock);
/*
 * Takes up all that it has told. 0; -ENOBUFS: some of it was lost, so that only a look can tell
 * what is there now; -EAGAIN: the same, and the next call tells more.
 */
int netlink_hear(struct nl_sock *sock, void (*each)(void *ctx, const struct nlmsghdr *header),
	void *ctx);

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
