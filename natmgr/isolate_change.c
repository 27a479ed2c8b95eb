/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_change owns the order of things around a change: list, file, kernel, answer; the file is
 * written beside the loop. It must not know what changes, nor how the kernel is told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/statefile.h"
#include "natmgr/isolate_private.h"

static void written(void *ctx);

static void write_file(void *ctx)
{
	struct isolation_file *file = ctx;

	file->err = statefile_update(file->path, file->text, file->len);
}

static void start_write(struct isolate *isolate)
{
	isolate->file.is_stale = false;
	isolate->file.text = isolation_format(&isolate->isolation, &isolate->file.len);
	worker_start(&isolate->worker, write_file, written, &isolate->file);
}

void isolate_save(struct isolate *isolate)
{
	isolate->file.is_stale = true;
	if (!isolate->change && !worker_is_busy(&isolate->worker))
		start_write(isolate);
}

bool isolate_is_saved(const struct isolate *isolate)
{
	return !isolate->file.is_stale && !worker_is_busy(&isolate->worker);
}

/* --- changes ------------------------------------------------------------------------------ */

/* Back to what was, and to what came to be known since. */
static void roll_back(struct isolate *isolate)
{
	isolation_done(&isolate->isolation);
	isolate->isolation = isolate->before;
	(void)isolation_follow(&isolate->isolation, isolate->seating.plan);
	(void)isolate_hear(isolate);
	isolate_save(isolate);
	(void)isolate_sync(isolate);
	isolate_look_begin(isolate);
}

/* What is wanted is on the disk, or could not be written there. */
static void finish_change(struct isolate *isolate)
{
	struct isolate_change *change = isolate->change;
	int err = isolate->file.err;
	char *error = NULL;

	if (err) {
		error = xasprintf("%s cannot be written: %s; nothing was changed",
			isolate->file.path, strerror(-err));
	} else {
		err = isolate_sync(isolate);
		if (err)
			error = xstrdup(isolate->error);
	}
	if (err)
		roll_back(isolate);
	else
		isolation_done(&isolate->before);
	isolate->change = NULL;
	change->done(change, err ? err : change->result, error);
	free(error);
}

static void begin_change(struct isolate *isolate, struct isolate_change *change)
{
	char *error = NULL;

	TAILQ_REMOVE(&isolate->changes, change, link);
	isolation_copy(&isolate->isolation, &isolate->before);
	change->result = isolate->is_closing ? -ESHUTDOWN : change->apply(change, isolate, &error);
	if (change->result < 0) {
		isolation_done(&isolate->before);
		change->done(change, change->result, error ? error : CONTROL_STOPPING);
		free(error);
		return;
	}
	isolate->change = change;
	/* so that the file is written once */
	(void)isolate_note_masks(isolate);
	(void)isolate_release_ports(isolate);
	start_write(isolate);
}

static void run_next(struct isolate *isolate)
{
	struct isolate_change *change;

	while (!worker_is_busy(&isolate->worker) && (change = TAILQ_FIRST(&isolate->changes)))
		begin_change(isolate, change);
	if (isolate->file.is_stale && !worker_is_busy(&isolate->worker))
		start_write(isolate);
}

/* A failure is told once; the resync timer tries again. */
static void note_file(struct isolate *isolate)
{
	int err = isolate->file.err;

	if (err && !isolate->file.is_failed && !isolate->change)
		log_error("isolation: %s cannot be written: %s", isolate->file.path,
			strerror(-err));
	isolate->file.is_failed = err;
}

static void written(void *ctx)
{
	struct isolation_file *file = ctx;
	struct isolate *isolate = file->isolate;

	free(file->text);
	file->text = NULL;
	note_file(isolate);
	if (isolate->change)
		finish_change(isolate);
	else if (!*isolate->error)
		isolate_guard_ports(isolate);
	run_next(isolate);
}

void isolate_submit(struct isolate *isolate, struct isolate_change *change)
{
	TAILQ_INSERT_TAIL(&isolate->changes, change, link);
	if (!isolate->change)
		run_next(isolate);
}

/* --- life --------------------------------------------------------------------------------- */

void isolate_finish(struct isolate *isolate)
{
	isolate->is_closing = true;
	worker_wait(&isolate->worker);
}
