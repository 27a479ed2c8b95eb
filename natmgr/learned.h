/* SPDX-License-Identifier: GPL-2.0-or-later */
/* learned: behind which ports of the bridge the MACs are that matter to us. */
#ifndef EIPD_NATMGR_LEARNED_H
#define EIPD_NATMGR_LEARNED_H

#include "common/plan.h"

struct nl_sock;

/*
 * Calls `each` for every MAC of the plan, and of `more`, that the bridge has learned, with the index
 * of its port; perhaps for other MACs, too. 0, or -errno: not all could be told.
 */
int learned_tell(struct nl_sock *route, unsigned bridge_index, const struct plan *plan,
	const struct mac *more, size_t more_count,
	void (*each)(void *ctx, const struct mac *mac, unsigned port), void *ctx);

#endif
