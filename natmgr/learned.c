/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * learned owns the question where the bridge has seen whose MAC, and what it may cost. It must not know
 * why somebody asks.
 */
#include "natmgr/learned.h"

#include <errno.h>
#include <linux/netlink.h>

#include "common/netlink.h"

/* MACs that hosts behind the uplink may have beside those of the plan, before it is a flood. */
#define OTHERS_MOST 4096

struct search {
	struct nl_sock *route;
	unsigned bridge_index;
	void (*each)(void *ctx, const struct mac *mac, unsigned port);
	void *ctx;
};

static int find(const struct search *search, const struct mac *mac)
{
	unsigned port;
	int err = netlink_fdb_find(search->route, search->bridge_index, mac, &port);

	if (!err)
		search->each(search->ctx, mac, port);
	return err == -ENOENT ? 0 : err;
}

/*
 * A guest can have the bridge learn as many MACs as it likes, and the kernel lists them in a time that
 * grows with the square of their number: 400,000 take a minute. Then each of ours is asked for.
 */
int learned_tell(struct nl_sock *route, unsigned bridge_index, const struct plan *plan,
	const struct mac *more, size_t more_count,
	void (*each)(void *ctx, const struct mac *mac, unsigned port), void *ctx)
{
	const struct search search = { route, bridge_index, each, ctx };
	struct nl_sock *sock; /* of its own, for a list that is not read to its end */
	int err = netlink_open(NETLINK_ROUTE, &sock);

	if (err)
		return err;
	err = netlink_fdb_list(sock, bridge_index, 2 * plan_count(plan) + OTHERS_MOST, each, ctx);
	netlink_close(sock);
	if (err != -E2BIG)
		return err;
	err = 0;
	for (size_t i = 0; i < plan_count(plan) && !err; i++)
		err = find(&search, &plan_vm(plan, i)->mac);
	for (size_t i = 0; i < more_count && !err; i++)
		err = find(&search, &more[i]);
	return err;
}
