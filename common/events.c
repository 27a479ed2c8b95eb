/* SPDX-License-Identifier: GPL-2.0-or-later */
/* events owns the memory of what happened. It must not know what an event means. */
#include "common/events.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/memory.h"

#define KEPT_MAX 1000
/* Fewer than clients there may be: commands must get through. */
#define FOLLOWERS_MAX 16
/* So many more if they are root's. */
#define ROOTS_MORE 8

struct follower {
	struct events *events;
	struct control_request *request;
	LIST_ENTRY(follower) link;
};

struct events {
	char *ring[KEPT_MAX]; /* as text: objects would take six times as much memory */
	size_t next, count;
	unsigned follower_count;
	LIST_HEAD(, follower) followers;
};

static void follower_gone(void *ctx)
{
	struct follower *follower = ctx;

	follower->events->follower_count--;
	LIST_REMOVE(follower, link);
	free(follower);
}

static void command_events(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct events *events = ctx;
	struct follower *follower;
	unsigned max = FOLLOWERS_MAX + (control_is_root(request) ? ROOTS_MORE : 0);
	json_t *list;

	if (argc && strcmp(argv[0], "--follow")) {
		control_refuse(request, NULL, "%s: unexpected; usage: eipctl events [--follow]",
			argv[0]);
		return;
	}
	if (argc && events->follower_count >= max) {
		control_refuse(request, NULL,
			"%u clients follow already; end one of them, or ask without --follow",
			events->follower_count);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < events->count; i++)
		json_array_append_new(list,
			json_loads(events->ring[(events->next + KEPT_MAX - events->count + i) %
					   KEPT_MAX],
				0, NULL));
	if (!argc) {
		control_reply(request, list);
		return;
	}
	json_decref(list);
	follower = xcalloc(1, sizeof(*follower));
	follower->events = events;
	follower->request = request;
	events->follower_count++;
	LIST_INSERT_HEAD(&events->followers, follower, link);
	control_stream(request, follower_gone, follower);
}

static const struct control_command commands[] = {
	{ "events", 0, 1, command_events, true },
};

struct events *events_new(struct control *control)
{
	struct events *events = xcalloc(1, sizeof(*events));

	LIST_INIT(&events->followers);
	control_register(control, commands, sizeof(commands) / sizeof(*commands), events);
	return events;
}

void events_free(struct events *events)
{
	struct follower *follower;

	if (!events)
		return;
	while ((follower = LIST_FIRST(&events->followers)))
		/* which takes it off the list */
		control_end_stream(follower->request);
	for (size_t i = 0; i < KEPT_MAX; i++)
		free(events->ring[i]);
	free(events);
}

void events_post(struct events *events, const char *event, json_t *details)
{
	struct follower *follower, *next;
	char *text;

	json_object_set_new(details, "time", json_integer(time(NULL)));
	json_object_set_new(details, "event", json_string(event));
	text = json_dumps(details, JSON_COMPACT);
	if (text) {
		free(events->ring[events->next]);
		events->ring[events->next] = text;
		events->next = (events->next + 1) % KEPT_MAX;
		events->count += events->count < KEPT_MAX;
	}
	for (follower = LIST_FIRST(&events->followers); follower; follower = next) {
		next = LIST_NEXT(follower, link);
		control_send(follower->request, details);
	}
	json_decref(details);
}
