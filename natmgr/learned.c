/* SPDX-License-Identifier: GPL-2.0-or-later */
/* learned owns how the bridge is asked for ports of VMs. It must not know what they are wanted for. */
#include "natmgr/learned.h"

#include <errno.h>

#include "common/netlink.h"

/* MACs beside those of the plan: of neighbours, containers, and of guests that lie. */
#define OTHERS_MAX 4096

int learned_walk(struct nl_sock *route, unsigned bridge_index, const struct plan *plan,
	void (*each)(void *ctx, const struct mac *mac, unsigned port), void *ctx)
{
	size_t count = plan_count(plan);
	int err = netlink_fdb_list(bridge_index, count + OTHERS_MAX, each, ctx);

	if (err != -E2BIG)
		return err;
	err = 0;
	for (size_t i = 0; i < count && (!err || err == -ENOENT); i++) {
		const struct vm *vm = plan_vm(plan, i);
		unsigned port;

		err = netlink_fdb_get(route, bridge_index, &vm->mac, &port);
		if (!err)
			each(ctx, &vm->mac, port);
	}
	return err == -ENOENT ? 0 : err;
}
