/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_change owns the order of things around a change: file, list, kernel, file, answer. Files
 * are written beside the loop. It must not know what changes, nor how the kernel is told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/statefile.h"
#include "natmgr/isolate_private.h"

/* --- the file ----------------------------------------------------------------------------- */

static void written(void *ctx);

static void write_file(void *ctx)
{
	struct isolation_file *file = ctx;

	file->err = statefile_update(file->path, file->text, file->len);
}

static void start_write(struct isolate *isolate, const struct isolation *isolation)
{
	isolate->file.is_stale = false;
	isolate->file.text = isolation_format(isolation, &isolate->file.len);
	worker_start(&isolate->worker, write_file, written, &isolate->file);
}

void isolate_save(struct isolate *isolate)
{
	isolate->file.is_stale = true;
	/* a change ends with the list as it is then */
	if (!isolate->change && !worker_is_busy(&isolate->worker))
		start_write(isolate, &isolate->isolation);
}

bool isolate_is_saving(const struct isolate *isolate)
{
	return isolate->file.is_stale || worker_is_busy(&isolate->worker);
}

/* A failure is told once; the resync timer tries again. */
static void note_file(struct isolate *isolate)
{
	int err = isolate->file.err;

	if (err && !isolate->file.failure)
		log_error("isolation: %s cannot be written: %s", isolate->file.path,
			strerror(-err));
	isolate->file.failure = err;
}

/* --- changes ------------------------------------------------------------------------------ */

static void end_change(struct isolate *isolate, struct isolate_change *change)
{
	char *error = change->error;

	isolate->change = NULL;
	change->done(change, change->result, error);
	free(error);
}

/* What is wanted is written to the disk before anything else knows of it. */
static void begin_change(struct isolate *isolate, struct isolate_change *change)
{
	struct isolation wanted;

	TAILQ_REMOVE(&isolate->changes, change, link);
	change->error = NULL;
	if (isolate->is_closing) {
		change->done(change, -ESHUTDOWN, CONTROL_STOPPING);
		return;
	}
	isolation_copy(&isolate->isolation, &wanted);
	change->result = change->apply(change, isolate, &wanted, &change->error);
	if (change->result < 0) {
		end_change(isolate, change);
	} else {
		(void)isolation_follow(&wanted, isolate->seating.plan);
		isolate->change = change;
		isolate->change_stage = CHANGE_WANTED;
		start_write(isolate, &wanted);
	}
	isolation_done(&wanted);
}

/* It is on the disk: now to the list as it is by now, and to the kernel. */
static void carry_out(struct isolate *isolate, struct isolate_change *change)
{
	struct isolation before;
	int err;

	isolation_copy(&isolate->isolation, &before);
	err = change->apply(change, isolate, &isolate->isolation, &change->error);
	if (err >= 0) {
		change->result = err;
		isolate_look_for_vm(isolate, change->vm);
		err = isolate_sync(isolate);
		if (err)
			change->error = xstrdup(isolate->error);
	}
	if (err < 0) {
		change->result = err;
		isolation_done(&isolate->isolation);
		isolate->isolation = before;
		(void)isolate_look_at_ports(isolate);
		(void)isolate_sync(isolate);
	} else {
		isolation_done(&before);
	}
	/* what was found out by looking, or what was before: nobody is told until that is written */
	isolate->change_stage = CHANGE_DONE;
	start_write(isolate, &isolate->isolation);
}

static void run_next(struct isolate *isolate)
{
	struct isolate_change *change;

	while (!isolate->change && !worker_is_busy(&isolate->worker) &&
		(change = TAILQ_FIRST(&isolate->changes)))
		begin_change(isolate, change);
	if (isolate->file.is_stale && !isolate->change && !worker_is_busy(&isolate->worker))
		start_write(isolate, &isolate->isolation);
}

static void written(void *ctx)
{
	struct isolation_file *file = ctx;
	struct isolate *isolate = file->isolate;
	struct isolate_change *change = isolate->change;

	free(file->text);
	file->text = NULL;
	if (change && isolate->change_stage == CHANGE_WANTED && file->err) {
		/* the file is as it was; if the list is not, that is written now */
		file->is_stale = true;
		change->result = file->err;
		change->error = xasprintf("%s cannot be written: %s; nothing was changed",
			file->path, strerror(-file->err));
		end_change(isolate, change);
		run_next(isolate);
		return;
	}
	note_file(isolate);
	if (change && isolate->change_stage == CHANGE_WANTED) {
		carry_out(isolate, change);
		return;
	}
	isolate_guard_ports(isolate);
	if (change)
		end_change(isolate, change);
	run_next(isolate);
}

void isolate_submit(struct isolate *isolate, struct isolate_change *change)
{
	TAILQ_INSERT_TAIL(&isolate->changes, change, link);
	run_next(isolate);
}

/* --- life --------------------------------------------------------------------------------- */

void isolate_finish(struct isolate *isolate)
{
	isolate->is_closing = true;
	worker_wait(&isolate->worker);
}
