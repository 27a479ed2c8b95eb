/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper: keeps bindings, state file and kernel the same.
 *
 * Intent first: a change is made to the table, the table is written to the state file, then the
 * kernel is reconciled, then whoever asked is told. Where the kernel refuses, table and file go
 * back to what they were. All changes that wait go together, in one commit.
 */
#ifndef EIPD_NATMGR_KEEPER_H
#define EIPD_NATMGR_KEEPER_H

#include "common/loop.h"
#include "natmgr/announce.h"
#include "natmgr/binding.h"
#include "natmgr/reconcile.h"

struct keeper;

/* Embedded in the owner's struct; zeroed but for the first three. */
struct keeper_change {
	/* Changes the table: 1 changed, 0 it was so already, -errno and *ret_error (heap). */
	int (*apply)(struct keeper_change *change, struct binding_table *table, char **ret_error);
	/*
	 * The end of it: result as of apply(), and true in the kernel; or -errno and the reason. The
	 * owner may free the change. error is valid during the call.
	 */
	void (*done)(struct keeper_change *change, int result, const char *error);
	/* It is true whatever the kernel says (a VM left the plan), so it is never rolled back. */
	bool stays;
	/* private */
	int result;
	char *error;
	TAILQ_ENTRY(keeper_change) link;
};

struct keeper_hooks {
	/* The kernel had been changed by others and was mended: what was done. */
	void (*mended)(void *ctx, const struct reconcile_report *report);
	/* A VM left the plan and lost this, or was given it by auto-bind. */
	void (*followed)(void *ctx, const struct binding *binding, bool lost);
	/* The table is as a new plan says; the kernel not always yet. */
	void (*replanned)(void *ctx);
	/* The table changed, and the kernel with it. */
	void (*changed)(void *ctx);
	void *ctx;
};

/*
 * Reads the state file and makes the kernel so, waiting for the lock of iptables if need be.
 * `config` and `isolation` must outlive the keeper, `plan` until keeper_replan(). 0, or -errno and a sentence in
 * *ret_error, which the caller frees.
 */
int keeper_new(struct loop *loop, const struct config *config, const struct plan *plan,
	const struct isolation *isolation, const struct ip4_prefix *inner,
	const struct keeper_hooks *hooks, struct keeper **ret_keeper, char **ret_error);
/* Leaves the kernel as it is; changes that wait are refused. */
void keeper_free(struct keeper *keeper);

void keeper_submit(struct keeper *keeper, struct keeper_change *change);
/*
 * Goes over to a new plan: what VMs that left had is taken back, auto-bind gives what it can.
 * `done` is called when the kernel is so, or with a reason why it is not yet.
 */
void keeper_replan(struct keeper *keeper, const struct plan *plan,
	void (*done)(void *ctx, const char *error), void *ctx);
/* Addresses changed, and perhaps links: mends what is ours, announces where a link came up. */
void keeper_links_changed(struct keeper *keeper, bool links);
/* Takes everything of ours out of the kernel; the state file keeps it. */
int keeper_remove(struct keeper *keeper, char **ret_error);

const struct binding_table *keeper_table(const struct keeper *keeper);
const struct plan *keeper_plan(const struct keeper *keeper);
struct announce *keeper_announce(struct keeper *keeper);
/* File and kernel are as the table says, as far as we know; how many things were mended. */
bool keeper_is_in_sync(const struct keeper *keeper);
uint64_t keeper_repaired(const struct keeper *keeper);

#endif
