/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink: requests to the kernel over netlink(7), and its word when things change.
 *
 * Functions return 0 or -errno, as the kernel gave it. Requests are synchronous: the kernel answers
 * within the system call.
 */
#ifndef EIPD_COMMON_NETLINK_H
#define EIPD_COMMON_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

struct nl_sock;
struct nl_msg;

/* A socket of any netlink family, for netlink_request(). */
int netlink_open(int family, struct nl_sock **ret_sock);
void netlink_close(struct nl_sock *sock);

/* A request with a header of its family; flags beside NLM_F_REQUEST. NULL: no memory. */
struct nl_msg *netlink_message(uint16_t type, int flags, const void *payload, size_t len);
/*
 * Sends a message (and frees it), and hands each message of the answer to `each`, which may be
 * NULL. With NLM_F_DUMP the answer is the whole table; -EAGAIN if it changed meanwhile.
 */
int netlink_request(struct nl_sock *sock, struct nl_msg *msg,
	void (*each)(void *ctx, const struct nlmsghdr *header), void *ctx);
/*
 * Sends up to so many messages together (and frees them), as their answers fit into the smallest
 * socket buffer. The harmless error is none. The first that the kernel refused is
 * msgs[*ret_failed]; of those behind it some may be done.
 */
#define NETLINK_BATCH 32
int netlink_request_all(struct nl_sock *sock, struct nl_msg *const *msgs, uint32_t count,
	int harmless, uint32_t *ret_failed);
/* What an answer says: 0, -errno, or -EPROTO where it is neither. */
int netlink_error(const struct nlmsgerr *error);

/* A socket on which the kernel tells of changes of these groups (RTNLGRP_…; the other may be 0). */
int netlink_listen(int group, int other_group, struct nl_sock **ret_sock);
/*
 * Takes up all that it has told. 0; -ENOBUFS: some of it was lost, so that only a look can tell
 * what is there now; -EAGAIN: the same, and the next call tells more.
 */
int netlink_hear(struct nl_sock *sock, void (*each)(void *ctx, const struct nlmsghdr *header),
	void *ctx);

#endif
