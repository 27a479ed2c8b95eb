/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * learned: where the bridge has seen the VMs of the plan.
 *
 * A guest can make the bridge learn as many MACs as it likes; what it costs to ask goes with the
 * plan, and not with those.
 */
#ifndef EIPD_NATMGR_LEARNED_H
#define EIPD_NATMGR_LEARNED_H

#include "common/plan.h"

struct nl_sock;

/*
 * Calls `each` for every VM of the plan (and maybe for other MACs) that the bridge has learned, with
 * the index of its port. 0 or -errno: then not for all of them.
 */
int learned_walk(struct nl_sock *route, unsigned bridge_index, const struct plan *plan,
	void (*each)(void *ctx, const struct mac *mac, unsigned port), void *ctx);

#endif
