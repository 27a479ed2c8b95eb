/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rebuild: bindings from the rules that they once became, where the state file is lost. Pure.
 */
#ifndef EIPD_NATMGR_REBUILD_H
#define EIPD_NATMGR_REBUILD_H

#include "natmgr/ruleset.h"

/*
 * Adds to the table what our rules in `have` say and the plan has a VM for: bindings, each VM's
 * source first, and forwards. Returns how many were added.
 */
size_t rebuild_bindings(const struct ruleset *have, const struct config *config,
	const struct plan *plan, time_t now, struct binding_table *table);

#endif
