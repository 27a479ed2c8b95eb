/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: cuts VMs off (patent step 9) and keeps the others honest, wired: the state file, the
 * ports of the bridge and who sits there, the guard in the kernel, the commands.
 *
 * A VM that is isolated stays so until `vm rejoin`: the list is on disk before the kernel is told, and
 * what is done to the kernel outlives the daemon.
 */
#ifndef EIPD_NATMGR_ISOLATE_H
#define EIPD_NATMGR_ISOLATE_H

#include <stdio.h>

#include "common/config.h"
#include "common/control.h"
#include "common/events.h"
#include "natmgr/isolation.h"

struct isolate;
struct keeper;

struct isolate_setup {
	struct loop *loop;
	struct events *events;
	const struct config *config; /* these must outlive it */
	const struct plan *plan;     /* until isolate_replan() */
	struct ip4_prefix inner;     /* the bridge's address and network */
};

/*
 * Reads the state file and makes the kernel so. 0; or -errno and a sentence in *ret_error, which
 * the caller frees: anti-spoof is asked for and cannot be had, or it cannot be known who is
 * isolated. A damaged state file frees nobody.
 */
int isolate_new(const struct isolate_setup *setup, struct isolate **ret_isolate, char **ret_error);
/*
 * What is under way is done and told, what waits is refused. Before the keeper ends, which it may
 * ask for something still.
 */
void isolate_finish(struct isolate *isolate);
/* Leaves the kernel as it is. */
void isolate_free(struct isolate *isolate);
/* Registers `vm isolate`, `vm rejoin` and `vm port`; the keeper takes their public addresses down and up. */
void isolate_start(struct isolate *isolate, struct control *control, struct keeper *keeper);

/* It is the same as long as `isolate` lives; what it says changes. */
const struct isolation *isolate_list(const struct isolate *isolate);
void isolate_replan(struct isolate *isolate, const struct plan *plan,
	const struct plan_change *change);
/* A link changed. */
void isolate_links_changed(struct isolate *isolate);
/* Ends anti-spoof in the kernel; isolated VMs stay isolated. */
void isolate_remove(struct isolate *isolate);

/* What others had changed and was mended since the start; and: the kernel is as it should be. */
uint64_t isolate_repaired(const struct isolate *isolate);
bool isolate_is_in_sync(const struct isolate *isolate);

/* Adds "isolated", "allow", "port" and "dropped" to the object of a VM. */
void isolate_describe_vm(struct isolate *isolate, const struct vm *vm, json_t *object);
/* The section "isolation" of `eipctl status`; the caller owns it. */
json_t *isolate_status(const struct isolate *isolate);
void isolate_metrics(struct isolate *isolate, FILE *out);

/* For `eipd -t`: the state file can be read. And: anti-spoof can be had; 0, or -errno, *ret_error. */
void isolate_check_state(const struct config *config, struct problems *problems);
int isolate_check_kernel(char **ret_error);

#endif
