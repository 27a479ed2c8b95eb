/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * natmgr: the NAT manager, wired: bindings, their state file, reconciliation, announcements,
 * commands.
 *
 * Intent first: a change is written to the state file, then made true in the kernel, then
 * answered; where the kernel refuses, the file is rolled back and the change is refused.
 */
#ifndef EIPD_NATMGR_NATMGR_H
#define EIPD_NATMGR_NATMGR_H

#include "common/config.h"
#include "common/control.h"
#include "common/events.h"
#include "common/plan.h"

#include <stdio.h>

struct natmgr;

struct natmgr_setup {
	struct loop *loop;
	struct control *control;
	struct events *events;
	const struct config *config; /* these must outlive the manager */
	const struct plan *plan;     /* until natmgr_replan() */
	struct ip4_prefix inner;     /* the bridge's address and network */
};

/*
 * Reads the bindings and makes the kernel so, waiting for the lock of iptables if need be. 0, or
 * -errno and a sentence in *ret_error, which the caller frees.
 */
int natmgr_new(const struct natmgr_setup *setup, struct natmgr **ret_natmgr, char **ret_error);
/* Leaves the kernel as it is. */
void natmgr_free(struct natmgr *natmgr);

/*
 * Goes over to a new plan; the old one is not looked at any more. `done` is called when the
 * kernel follows, or with a sentence why it does not yet.
 */
void natmgr_replan(struct natmgr *natmgr, const struct plan *plan, const struct plan_change *change,
	void (*done)(void *ctx, const char *error), void *ctx);

/* Addresses changed, and perhaps links: mends what is ours. */
void natmgr_links_changed(struct natmgr *natmgr, bool links);

/* Takes everything of ours out of the kernel; the state file keeps it. 0 or -errno, *ret_error. */
int natmgr_remove(struct natmgr *natmgr, char **ret_error);

/* The VM was just given its inner address: it is on the bridge. */
void natmgr_vm_came(struct natmgr *natmgr, const struct vm *vm);

/*
 * reclaim-after: takes the addresses of VMs that had no lease for so long. away(ctx, vm): for how
 * many seconds the VM has had none; 0: it has one. True: there are more, for the next call: many
 * at once would hold the loop.
 */
bool natmgr_reclaim(struct natmgr *natmgr, uint64_t (*away)(void *ctx, const struct vm *vm),
	void *ctx);

/* The section "nat" of `eipctl status`; the caller owns it. */
json_t *natmgr_status(const struct natmgr *natmgr);
/* The section "isolation". */
json_t *natmgr_isolation_status(const struct natmgr *natmgr);
/* The same as Prometheus metrics (text format 0.0.4). */
void natmgr_metrics(const struct natmgr *natmgr, FILE *out);
/* Adds what is bound to each VM, and whether it is isolated, to its object of the array. */
void natmgr_describe_vms(const struct natmgr *natmgr, const struct vm *const *vms, size_t count,
	json_t *objects);

/* Before the process gives up root's rights over files: keeps open what it could not open then. */
void natmgr_keep_lock(void);

/*
 * For `eipd -t`: the nat table can be used now, and: anti-spoof can be had. 0 or -errno, *ret_error.
 * And: the state files can be read; problems.
 */
int natmgr_check_table(char **ret_error);
int natmgr_check_anti_spoof(char **ret_error);
void natmgr_check_state(const struct config *config, struct problems *problems);

#endif
