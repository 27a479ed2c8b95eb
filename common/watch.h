/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch: tells when a file was written or replaced (inotify(7)).
 *
 * The directory is watched, so that a file that is replaced by rename, or is not there yet, is
 * seen as well; and where the file is a symbolic link, the directory of what it leads to. One that
 * goes, or is not there, is waited for. A swarm of changes is told once.
 */
#ifndef EIPD_COMMON_WATCH_H
#define EIPD_COMMON_WATCH_H

#include "common/loop.h"

/* The file itself behind so many links. */
#define WATCH_STEPS_MAX 8

struct watch {
	struct loop *loop;
	const char *path;
	int fd;
	struct watch_step {
		int directory; /* inotify's number for the one that `path` is in */
		char *path;
	} steps[WATCH_STEPS_MAX];
	size_t step_count;
	bool lost; /* a directory is missing */
	struct loop_watch ready;
	struct loop_timer settle;
	void (*changed)(void *ctx);
	void *ctx;
};

/*
 * `path` must outlive the watch. 0, or -errno: it cannot be watched; where a directory is the
 * cause, not yet.
 */
int watch_start(struct watch *watch, struct loop *loop, const char *path,
	void (*changed)(void *ctx), void *ctx);
/* Nothing happens if it was never started. */
void watch_stop(struct watch *watch);

#endif
