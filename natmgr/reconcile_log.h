/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reconcile_log: what a run of reconcile found and did, for the log: once, not at each resync.
 */
#ifndef EIPD_NATMGR_RECONCILE_LOG_H
#define EIPD_NATMGR_RECONCILE_LOG_H

#include "natmgr/reconcile.h"

/* Zeroed but for the first. */
struct reconcile_log {
	const char *interface; /* the outer one */
	uint64_t repaired;     /* things in the kernel that others had changed */
	bool outer_missing, foreign_told, flows_told, forwarding_told;
};

void reconcile_log_outer(struct reconcile_log *log, bool is_missing);
/* Of a run that worked. */
void reconcile_log_run(struct reconcile_log *log, const struct reconcile_report *report);
/* Of one before which nobody had changed what is desired. True: others had changed the kernel. */
bool reconcile_log_repairs(struct reconcile_log *log, const struct reconcile_report *report);

#endif
