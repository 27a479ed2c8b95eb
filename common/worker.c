/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker owns the thread beside the loop. It must not know what is done on it. */
#include "common/worker.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A parser's and a writer's; the default of 8 MB would be all but unused. */
#define STACK_SIZE (256 * 1024)

static void finish(struct worker *worker)
{
	eventfd_t count;

	if (worker->has_thread) {
		pthread_join(worker->thread, NULL);
		(void)eventfd_read(worker->fd, &count);
	}
	worker->has_thread = worker->is_busy = false;
	worker->done(worker->ctx);
}

static void thread_ended(void *ctx, uint32_t events)
{
	(void)events;
	finish(ctx);
}

void worker_init(struct worker *worker, struct loop *loop)
{
	*worker = (struct worker){ .loop = loop, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (worker->fd >= 0)
		loop_watch(loop, &worker->watch, worker->fd, EPOLLIN, thread_ended, worker);
}

void worker_done(struct worker *worker)
{
	worker_wait(worker);
	if (worker->fd < 0)
		return;
	loop_unwatch(worker->loop, &worker->watch);
	close(worker->fd);
	worker->fd = -1;
}

static void *run(void *arg)
{
	struct worker *worker = arg;

	worker->work(worker->ctx);
	(void)eventfd_write(worker->fd, 1);
	return NULL;
}

void worker_start(struct worker *worker, void (*work)(void *ctx), void (*done)(void *ctx),
	void *ctx)
{
	pthread_attr_t attributes;

	worker->work = work;
	worker->done = done;
	worker->ctx = ctx;
	worker->is_busy = true;
	if (worker->fd >= 0 && loop_is_running(worker->loop) && !pthread_attr_init(&attributes)) {
		(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
		worker->has_thread = !pthread_create(&worker->thread, &attributes, run, worker);
		pthread_attr_destroy(&attributes);
	}
	if (worker->has_thread)
		return;
	/* or there is no thread to be had: then the loop waits */
	work(ctx);
	finish(worker);
}

bool worker_is_busy(const struct worker *worker)
{
	return worker->is_busy;
}

void worker_wait(struct worker *worker)
{
	while (worker->is_busy)
		finish(worker);
}
