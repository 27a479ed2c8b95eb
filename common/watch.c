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

/* Editors write in several steps. */
#define SETTLE_MS 200

static void settled(void *ctx)
{
	struct watch *watch = ctx;

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

		/* events that were lost may have been ours */
		if (event->mask & IN_Q_OVERFLOW ||
			(event->len && !strcmp(event->name, watch->name)))
			loop_timer_set(watch->loop, &watch->settle, SETTLE_MS, settled, watch);
		i += (ssize_t)(sizeof(*event) + event->len);
	}
}

int watch_start(struct watch *watch, struct loop *loop, const char *path,
	void (*changed)(void *ctx), void *ctx)
{
	const char *slash = strrchr(path, '/');
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), err = 0;
	char *directory;

	if (fd < 0)
		return -errno;
	directory = slash == path ? xstrdup("/") : xasprintf("%.*s", (int)(slash - path), path);
	if (inotify_add_watch(fd, directory,
		    IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR) < 0)
		err = -errno;
	free(directory);
	if (err) {
		close(fd);
		return err;
	}
	*watch = (struct watch){
		.loop = loop, .fd = fd, .name = slash + 1, .changed = changed, .ctx = ctx
	};
	loop_watch(loop, &watch->ready, fd, EPOLLIN, take_events, watch);
	return 0;
}

void watch_stop(struct watch *watch)
{
	if (!watch->loop)
		return;
	loop_timer_cancel(watch->loop, &watch->settle);
	loop_unwatch(watch->loop, &watch->ready);
	close(watch->fd);
	watch->loop = NULL;
}
