/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop owns waiting: epoll, the timers' order, signalfd. It must not know what it waits for. */
#include "common/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"

TAILQ_HEAD(timer_list, loop_timer);

struct loop {
	int epfd, sigfd;
	bool running;
	struct timer_list timers; /* by due; few, so insertion is a short walk from the end */
	struct loop_watch signal_watch;
	void (*signal_arrived)(void *ctx, int signo);
	void *signal_ctx;
};

uint64_t loop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int loop_new(struct loop **ret_loop)
{
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct loop *loop;

	if (epfd < 0)
		return -errno;
	loop = xcalloc(1, sizeof(*loop));
	loop->epfd = epfd;
	loop->sigfd = -1;
	TAILQ_INIT(&loop->timers);
	*ret_loop = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->sigfd >= 0)
		close(loop->sigfd);
	close(loop->epfd);
	free(loop);
}

static int next_timeout(const struct loop *loop)
{
	const struct loop_timer *first = TAILQ_FIRST(&loop->timers);
	uint64_t now;

	if (!first)
		return -1;
	now = loop_now();
	if (first->due <= now)
		return 0;
	return first->due - now > INT_MAX ? INT_MAX : (int)(first->due - now);
}

static void run_timers(struct loop *loop)
{
	uint64_t now = loop_now();
	struct loop_timer *timer;

	while (loop->running && (timer = TAILQ_FIRST(&loop->timers)) && timer->due <= now) {
		loop_timer_cancel(loop, timer);
		timer->expired(timer->ctx);
	}
}

void loop_run(struct loop *loop)
{
	loop->running = true;
	while (loop->running) {
		struct epoll_event event;
		int n = epoll_wait(loop->epfd, &event, 1, next_timeout(loop));

		if (n == 1) {
			struct loop_watch *watch = event.data.ptr;

			watch->ready(watch->ctx, event.events);
		}
		/* after each event, so that a flood of frames cannot starve a timer */
		run_timers(loop);
	}
}

void loop_stop(struct loop *loop)
{
	loop->running = false;
}

bool loop_is_running(const struct loop *loop)
{
	return loop->running;
}

static void control(struct loop *loop, int op, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(loop->epfd, op, watch->fd, &event) < 0) {
		log_error("epoll_ctl on descriptor %d: %s", watch->fd, strerror(errno));
		abort();
	}
}

void loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
	void (*ready)(void *ctx, uint32_t events), void *ctx)
{
	*watch = (struct loop_watch){ .fd = fd, .active = true, .ready = ready, .ctx = ctx };
	control(loop, EPOLL_CTL_ADD, watch, events);
}

void loop_watch_events(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
	if (!watch->active)
		return;
	watch->active = false;
	control(loop, EPOLL_CTL_DEL, watch, 0);
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t ms,
	void (*expired)(void *ctx), void *ctx)
{
	struct loop_timer *before;

	loop_timer_cancel(loop, timer);
	timer->due = loop_now() + ms;
	timer->expired = expired;
	timer->ctx = ctx;
	timer->active = true;
	TAILQ_FOREACH_REVERSE(before, &loop->timers, timer_list, link)
	{
		if (before->due <= timer->due) {
			TAILQ_INSERT_AFTER(&loop->timers, before, timer, link);
			return;
		}
	}
	TAILQ_INSERT_HEAD(&loop->timers, timer, link);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->active)
		return;
	timer->active = false;
	TAILQ_REMOVE(&loop->timers, timer, link);
}

static void signal_ready(void *ctx, uint32_t events)
{
	struct loop *loop = ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(loop->sigfd, &info, sizeof(info)) == sizeof(info))
		loop->signal_arrived(loop->signal_ctx, (int)info.ssi_signo);
}

int loop_signals(struct loop *loop, const sigset_t *set, void (*arrived)(void *ctx, int signo),
	void *ctx)
{
	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return -errno;
	loop->sigfd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->sigfd < 0)
		return -errno;
	loop->signal_arrived = arrived;
	loop->signal_ctx = ctx;
	loop_watch(loop, &loop->signal_watch, loop->sigfd, EPOLLIN, signal_ready, loop);
	return 0;
}
