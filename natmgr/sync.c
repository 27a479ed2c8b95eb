/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sync owns the order of disk and kernel, and the wait for the lock. It must not know the table of
 * bindings, nor who waits for the end; it may run beside the loop, so it logs nothing.
 */
#include "natmgr/sync.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/loop.h"
#include "common/statefile.h"

static bool may_wait(const struct sync *sync, uint64_t deadline)
{
	return loop_now() < deadline && !(sync->is_closing && atomic_load(sync->is_closing));
}

void sync_run(struct sync *sync)
{
	const struct timespec pause = { .tv_nsec = BACKEND_LOCK_RETRY_MS * 1000000L };
	uint64_t deadline;

	if (sync->file)
		sync->file_err = statefile_write(sync->path, sync->file, sync->file_len);
	if (sync->file_err && !sync->despite_file) {
		sync->err = sync->file_err;
		snprintf(sync->error, sizeof(sync->error),
			"%s cannot be written: %s; nothing was changed", sync->path,
			strerror(-sync->err));
		return;
	}
	deadline = loop_now() + sync->lock_ms;
	for (;;) {
		sync->err = reconcile_run(sync->reconcile, &sync->desired, sync->scope,
			&sync->report, sync->error);
		if (sync->err != -EAGAIN || !may_wait(sync, deadline))
			return;
		reconcile_report_done(&sync->report);
		nanosleep(&pause, NULL);
	}
}

void sync_done(struct sync *sync)
{
	free(sync->file);
	desired_done(&sync->desired);
	reconcile_report_done(&sync->report);
	*sync = (struct sync){ 0 };
}
