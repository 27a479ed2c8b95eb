/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * planner: the plan in force, its reload (patent step 3.5) and its edits, and the commands
 * `reload` and `vm …`.
 *
 * A plan with any problem is refused whole; the plan in force stays. The last good one is kept on
 * disk, so that a start with a spoiled file still has one to go by.
 */
#ifndef EIPD_COMMON_PLANNER_H
#define EIPD_COMMON_PLANNER_H

#include "common/events.h"
#include "common/plan.h"

struct config;
struct planner;

struct planner_hooks {
	/*
	 * The plan comes into force; the one before, and what changed, exist until this returns.
	 * `done` is to be called, now or later, when everybody follows, or with a reason why not yet.
	 */
	void (*adopt)(void *ctx, const struct plan *plan, const struct plan_change *change,
		void (*done)(void *done_ctx, const char *error), void *done_ctx);
	/* Adds what else is known of each VM of the plan in force to its object, which has the same
	 * place in the array: many at once cost no more each than one does. */
	void (*describe)(void *ctx, const struct vm *const *vms, size_t count, json_t *objects);
	/* Somebody asks for a reload: what else is to be taken up anew, such as logs, can be so now. */
	void (*reload_asked)(void *ctx);
	void *ctx;
};

/*
 * Loads the plan file, or the last good one where that is refused. 0 or, as the last good one is
 * not there, -ENOENT, or is refused as well, -EINVAL. In any case the problems of what was refused
 * are in `problems`. `loop` and `config` must outlive it.
 */
int planner_new(struct loop *loop, const struct config *config, const struct ip4_prefix *inner,
	struct planner **ret_planner, struct problems *problems);
/* What is under way comes into force yet, what waits is refused; nothing is begun any more. */
void planner_stop(struct planner *planner);
void planner_free(struct planner *planner);
/* From now on the plan may change, also by itself where [plan] watch says so. All must outlive the planner's use of them. */
void planner_start(struct planner *planner, struct loop *loop, struct control *control,
	struct events *events, const struct planner_hooks *hooks);
/* Reads the file again; `request` may be NULL. */
void planner_reload(struct planner *planner, struct control_request *request);

const struct plan *planner_plan(const struct planner *planner);
/* The file is not what is in force. */
bool planner_is_refused(const struct planner *planner);
/* The section "plan" of `eipctl status`; the caller owns it. */
json_t *planner_status(const struct planner *planner);

#endif
