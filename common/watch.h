/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch: tells when a file was written or replaced (inotify(7)).
 *
 * The directory is watched, so that a file that is replaced by rename, or is not there yet, is
 * seen as well. A swarm of changes is told once.
 */
#ifndef EIPD_COMMON_WATCH_H
#define EIPD_COMMON_WATCH_H

#include "common/loop.h"

struct watch {
	struct loop *loop;
	int fd; /* -1: not watching */
	const char *name;
	struct loop_watch ready;
	struct loop_timer settle;
	void (*changed)(void *ctx);
	void *ctx;
};

/* `path` must outlive the watch. 0 or -errno. */
int watch_start(struct watch *watch, struct loop *loop, const char *path,
	void (*changed)(void *ctx), void *ctx);
/* Nothing happens if it was never started. */
void watch_stop(struct watch *watch);

#endif
