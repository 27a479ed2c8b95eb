/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker: work that takes long, on a thread beside the loop: reading and parsing a plan, writing and
 * syncing a file. One piece at a time; what it works on, nobody else touches meanwhile.
 */
#ifndef EIPD_COMMON_WORKER_H
#define EIPD_COMMON_WORKER_H

#include <pthread.h>

#include "common/loop.h"

struct worker {
	struct loop *loop;
	struct loop_watch watch;
	int fd; /* -1: none could be had, then all is done on the loop */
	bool is_busy, has_thread;
	pthread_t thread;
	void (*work)(void *ctx);
	void (*done)(void *ctx);
	void *ctx;
};

void worker_init(struct worker *worker, struct loop *loop);
/* Waits for what is under way. */
void worker_done(struct worker *worker);

/*
 * `work` on the thread, then `done` on the loop, from which the next may be started. It must not be
 * busy. While the loop does not run, all is done at once: a process that starts may still become
 * another user, and a thread under way would lose its capabilities.
 */
void worker_start(struct worker *worker, void (*work)(void *ctx), void (*done)(void *ctx),
	void *ctx);
bool worker_is_busy(const struct worker *worker);
/* Waits for the end of it, and calls its `done`. */
void worker_wait(struct worker *worker);

#endif
