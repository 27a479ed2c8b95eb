/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rebuild: bindings from the rules that they once became, where lines of the state file are lost.
 * Pure.
 */
#ifndef EIPD_NATMGR_REBUILD_H
#define EIPD_NATMGR_REBUILD_H

#include "natmgr/ruleset.h"

/*
 * Adds to the table, in which is what the lines say that are left, what our rules in `have` say
 * beyond that and the plan has a VM for: bindings, each VM's source before its others, and forwards.
 * Returns how many were added.
 */
size_t rebuild_bindings(const struct ruleset *have, const struct config *config,
	const struct plan *plan, time_t now, struct binding_table *table);

#endif
