/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_command: the commands `vm isolate`, `vm rejoin` and `vm port`: what was asked, from words to a
 * change of the isolation, and the answer as JSON; and what isolate does for them.
 */
#ifndef EIPD_NATMGR_ISOLATE_COMMAND_H
#define EIPD_NATMGR_ISOLATE_COMMAND_H

#include "natmgr/isolate.h"
#include "natmgr/keeper.h"

struct isolate_commands;

/* Embedded in the owner's struct; zeroed but for the first two. */
struct isolate_change {
	/*
	 * Changes the list: 1 changed, 0 it was so already, -errno and *ret_error (heap), and then
	 * nothing was changed.
	 */
	int (*apply)(struct isolate_change *change, struct isolate *isolate, char **ret_error);
	/*
	 * The end of it: result as of apply(), and true on the disk and in the kernel; or -errno and
	 * the reason, and all is as before. The owner may free the change. error is valid during the
	 * call.
	 */
	void (*done)(struct isolate_change *change, int result, const char *error);
	/* private */
	int result;
	TAILQ_ENTRY(isolate_change) link;
};

/* Registers the commands. All of these must outlive it. */
struct isolate_commands *isolate_commands_new(struct control *control, struct isolate *isolate,
	const struct config *config, struct keeper *keeper, struct events *events);
void isolate_commands_free(struct isolate_commands *commands);

/* One after the other: list, file, kernel, but not the public addresses. */
void isolate_submit(struct isolate *isolate, struct isolate_change *change);
/* What apply() may do, with its result. `port` may be "". */
int isolate_vm(struct isolate *isolate, const char *vm, const struct ip4_prefix *allow,
	size_t allow_count, const char *port, char **ret_error);
int isolate_rejoin(struct isolate *isolate, const char *vm);
/* The link is the VM's, as the host says; the same. */
int isolate_claim(struct isolate *isolate, const struct vm *vm, const char *name, char **ret_error);

/* Ports of the bridge but the uplink; NULL: there is none of this name. */
const struct port *isolate_find_port(const struct isolate *isolate, const char *name);
/* Whose it is, as the host says; NULL: it says nothing. */
const struct vm *isolate_port_owner(const struct isolate *isolate, const char *name);
bool isolate_link_exists(const struct isolate *isolate, const char *name);
const struct plan *isolate_plan(const struct isolate *isolate);
/* {"vm", "isolated", "port", "allow"}; the caller owns it. */
json_t *isolate_describe(const struct isolate *isolate, const char *vm);

#endif
