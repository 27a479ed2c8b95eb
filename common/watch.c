/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watch owns the inotify descriptor of one file. It must not know what is in the file. */
#include "common/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/statefile.h"

/* Editors write in several steps. */
#define SETTLE_MS 200
/* A directory that is missing comes back. */
#define RETRY_MS 1000

/* --- the way to the file ------------------------------------------------------------------ */

static const char *name_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* inotify's number, or -errno. */
static int add_directory(int fd, const char *path)
{
	char *directory = xasprintf("%.*s", (int)(name_of(path) - path), path);
	int number = inotify_add_watch(fd, directory,
		IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF |
			IN_MOVE_SELF | IN_ONLYDIR);
	int err = number < 0 ? -errno : number;

	free(directory);
	return err;
}

static void forget(struct watch *watch)
{
	while (watch->step_count) {
		struct watch_step *step = &watch->steps[--watch->step_count];

		(void)inotify_rm_watch(watch->fd, step->directory);
		free(step->path);
	}
}

/* Anew, as any directory or link may be another one by now. */
static int find_way(struct watch *watch)
{
	char *path = xstrdup(watch->path), *next;

	forget(watch);
	for (; path && watch->step_count < WATCH_STEPS_MAX; path = next) {
		int directory = add_directory(watch->fd, path);

		if (directory < 0) {
			free(path);
			return directory;
		}
		watch->steps[watch->step_count++] = (struct watch_step){ directory, path };
		next = statefile_link_target(path);
	}
	free(path);
	return 0;
}

/* --- events ------------------------------------------------------------------------------- */

static bool is_link(const char *path)
{
	char *target = statefile_link_target(path);

	free(target);
	return target != NULL;
}

static bool concerns(const struct watch *watch, const struct inotify_event *event)
{
	/* events that were lost may have been ours */
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < watch->step_count; i++) {
		const struct watch_step *step = &watch->steps[i];

		if (event->wd != step->directory)
			continue;
		/* without a name: the directory itself, which has gone, or stands elsewhere */
		if (!event->len)
			return true;
		/* a file that is new is empty yet, but a link is whole */
		if (!strcmp(event->name, name_of(step->path)) &&
			(!(event->mask & IN_CREATE) || is_link(step->path)))
			return true;
	}
	return false;
}

static void settled(void *ctx)
{
	struct watch *watch = ctx;
	bool was_lost = watch->lost;

	watch->lost = find_way(watch) < 0;
	if (watch->lost)
		loop_timer_set(watch->loop, &watch->settle, RETRY_MS, settled, watch);
	/* that it is lost is told once */
	if (!watch->lost || !was_lost)
		watch->changed(watch->ctx);
}

static void take_events(void *ctx, uint32_t events)
{
	struct watch *watch = ctx;
	/* aligned as the kernel writes them */
	union {
		struct inotify_event event;
		char bytes[4096];
	} buf;
	ssize_t len = read(watch->fd, &buf, sizeof(buf));

	(void)events;
	for (ssize_t i = 0; i < len;) {
		const struct inotify_event *event = (const void *)(buf.bytes + i);

		if (concerns(watch, event))
			loop_timer_set(watch->loop, &watch->settle, SETTLE_MS, settled, watch);
		i += (ssize_t)(sizeof(*event) + event->len);
	}
}

int watch_start(struct watch *watch, struct loop *loop, const char *path,
	void (*changed)(void *ctx), void *ctx)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), err;

	if (fd < 0)
		return -errno;
	*watch = (struct watch){
		.loop = loop, .path = path, .fd = fd, .changed = changed, .ctx = ctx
	};
	loop_watch(loop, &watch->ready, fd, EPOLLIN, take_events, watch);
	err = find_way(watch);
	watch->lost = err < 0;
	if (watch->lost)
		loop_timer_set(loop, &watch->settle, RETRY_MS, settled, watch);
	return err;
}

void watch_stop(struct watch *watch)
{
	if (!watch->loop)
		return;
	loop_timer_cancel(watch->loop, &watch->settle);
	loop_unwatch(watch->loop, &watch->ready);
	forget(watch);
	close(watch->fd);
	watch->loop = NULL;
}
