/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control: the unix socket and its commands.
 *
 * A client sends a line of JSON, {"command":["ip","bind","vm-001"]}, and gets one back:
 * {"ok":true,"result":…} or {"ok":false,"error":"what is wrong; what to do",…}. Requests of one
 * client are answered in order, one at a time. Modules register tables of commands.
 */
#ifndef EIPD_COMMON_CONTROL_H
#define EIPD_COMMON_CONTROL_H

#include <jansson.h>

#include "common/loop.h"

/* A longer request is refused and its client dropped. */
#define CONTROL_REQUEST_MAX 65536
#define CONTROL_SOCKET_NAME "eipd.sock"

struct control;
struct control_request;

struct control_command {
	const char *words; /* "ip bind" */
	unsigned min_args, max_args;
	/*
	 * Must call control_reply() or control_refuse() once, now or later. args: strings, valid
	 * until then.
	 */
	void (*run)(void *ctx, struct control_request *request, unsigned argc,
		const char *const *argv);
	/*
	 * Nothing changes by it: members of the group may. What does not say so is for root, and for
	 * the group only where it may change things.
	 */
	bool only_shows;
};

/*
 * Listens at path, mode 0660, group `group` where one is given (by name). 0 or -errno; -ENOENT
 * also where there is no such group. Root may do everything, members of the group (by their
 * credentials when they connect, unix(7)) what only shows, or with `group_may_change` everything.
 *
 * Root is served whatever the others do: one of them that sends nothing, half a request or takes
 * no reply loses its place when it is needed, and none has more than a few.
 */
int control_new(struct loop *loop, const char *path, const char *group, bool group_may_change,
	struct control **ret_control);
void control_free(struct control *control);

/* The table must outlive the control. */
void control_register(struct control *control, const struct control_command *commands, size_t count,
	void *ctx);

bool control_is_root(const struct control_request *request);

/* Both end the request and free it; `result` and `details` (may be NULL) are stolen. */
void control_reply(struct control_request *request, json_t *result);
/* The error of what is not done any more. */
#define CONTROL_STOPPING "eipd is stopping; try again when it runs"
void control_refuse(struct control_request *request, json_t *details, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Instead of one reply, any number: each control_send() is a line {"ok":true,"result":…}, until
 * the client goes away (or takes too little of what it is sent), when `gone` is called and the
 * request is no more.
 */
void control_stream(struct control_request *request, void (*gone)(void *ctx), void *ctx);
/* result stays the caller's. May end in `gone`. */
void control_send(struct control_request *request, const json_t *result);
/* Drops the client; `gone` is called. */
void control_end_stream(struct control_request *request);

#endif
