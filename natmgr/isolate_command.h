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

/* Embedded in the owner's struct; zeroed but for the first three. */
struct isolate_change {
	/*
	 * Changes a list: 1 changed, 0 it was so already, -errno and *ret_error (heap), and then
	 * nothing was changed. It is called twice: on a copy that is written to the disk, then, when
	 * that is done, on the list itself.
	 */
	int (*apply)(struct isolate_change *change, const struct isolate *isolate,
		struct isolation *isolation, char **ret_error);
	/*
	 * The end of it: result as of apply(), and true on the disk and in the kernel; or -errno and
	 * the reason, and all is as before. The owner may free the change. error is valid during the
	 * call.
	 */
	void (*done)(struct isolate_change *change, int result, const char *error);
	const char *vm; /* whom it is about */
	/* private */
	int result;
	char *error;
	TAILQ_ENTRY(isolate_change) link;
};

/* Registers the commands. All of these must outlive it. */
struct isolate_commands *isolate_commands_new(struct control *control, struct isolate *isolate,
	const struct config *config, struct keeper *keeper, struct events *events);
void isolate_commands_free(struct isolate_commands *commands);

/* One after the other: file, list, kernel, but not the public addresses. */
void isolate_submit(struct isolate *isolate, struct isolate_change *change);

/* A link of the host; -ENODEV: there is none. */
int isolate_find_link(const struct isolate *isolate, const char *name, struct port *ret_port);
/* Ports of the bridge but the uplink; NULL: there is none of this name. */
const struct port *isolate_find_port(const struct isolate *isolate, const char *name);
/* Whose it is, as the host says; NULL: it says nothing. */
const struct vm *isolate_port_owner(const struct isolate *isolate, const char *name);
const struct plan *isolate_plan(const struct isolate *isolate);
/* {"vm", "isolated", "port", "allow"}; the caller owns it. */
json_t *isolate_describe(const struct isolate *isolate, const char *vm);

#endif
