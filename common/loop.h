/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop: the one event loop: descriptors (epoll), timers, signals (signalfd).
 *
 * Watches and timers are embedded in their owners' structs and zeroed before first use. One event
 * is fetched at a time, so a handler may stop any watch or timer, its own included, and free it.
 * Functions end the process when the kernel refuses what it never refuses (epoll_ctl on an open
 * descriptor); otherwise 0 or -errno.
 */
#ifndef EIPD_COMMON_LOOP_H
#define EIPD_COMMON_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;

struct loop_watch {
	int fd;
	bool active;
	void (*ready)(void *ctx, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP */
	void *ctx;
};

struct loop_timer {
	uint64_t due; /* milliseconds on loop_now()'s clock */
	bool active;
	void (*expired)(void *ctx);
	void *ctx;
	TAILQ_ENTRY(loop_timer) link;
};

int loop_new(struct loop **ret_loop);
void loop_free(struct loop *loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
bool loop_is_running(const struct loop *loop);

/* Milliseconds since boot, suspend included: steady whatever happens to the wall clock. */
uint64_t loop_now(void);

void loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
	void (*ready)(void *ctx, uint32_t events), void *ctx);
/* Other events for a watch that is active. */
void loop_watch_events(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Does not close the descriptor. Nothing happens if it is not active. */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* Once, after so many milliseconds; a timer that is active starts anew. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t ms,
	void (*expired)(void *ctx), void *ctx);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* Blocks these signals and delivers them to the handler, in the loop. */
int loop_signals(struct loop *loop, const sigset_t *set, void (*arrived)(void *ctx, int signo),
	void *ctx);

#endif
