/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conntrack: flows that the kernel remembers with a mapping that is no longer right.
 *
 * NAT is decided once per flow, so a flow outlives its rule: it has to be forgotten, or packets go
 * on to the old owner of an address. See /proc/net/nf_conntrack; ctnetlink(7).
 */
#ifndef EIPD_NATMGR_CONNTRACK_H
#define EIPD_NATMGR_CONNTRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A flow as both sides see it; addresses in host order. */
struct flow {
	uint32_t source, destination;             /* of its first packet */
	uint32_t reply_source, reply_destination; /* of the answers */
	uint8_t protocol;
	uint16_t destination_port; /* of its first packet; 0 where there are no ports */
};

/* The kernel has no flow at all; false also where that cannot be told. Takes no time. */
bool conntrack_is_empty(void);

/*
 * Forgets each IPv4 flow for which `stale` says so, and no other. 0 or -errno; how many in
 * *ret_count. -EPROTONOSUPPORT: the kernel has no ctnetlink (CONFIG_NF_CT_NETLINK).
 */
int conntrack_forget(bool (*stale)(void *ctx, const struct flow *flow), void *ctx,
	size_t *ret_count);

/* Calls `each` for every IPv4 flow. 0 or -errno. */
int conntrack_list(void (*each)(void *ctx, const struct flow *flow), void *ctx);

#endif
