/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writer: replaces a whole file without holding up the loop: a forked child writes and syncs it.
 *
 * For files whose moment does not matter (leases, the copy of the plan). One write at a time: a
 * text that comes meanwhile waits, and the newest takes the place of one that waits.
 */
#ifndef EIPD_COMMON_WRITER_H
#define EIPD_COMMON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct writer {
	char *path;
	pid_t pid;     /* 0: none is under way */
	char *waiting; /* text; NULL: none */
	size_t waiting_len;
	/* err: 0 or -errno of the write that ended */
	void (*done)(void *ctx, int err);
	void *ctx;
};

/* Takes the path, which writer_done() frees. */
void writer_init(struct writer *writer, char *path, void (*done)(void *ctx, int err), void *ctx);
/* Takes the text. */
void writer_write(struct writer *writer, char *text, size_t len);
/* To be called at SIGCHLD. */
void writer_reap(struct writer *writer);
/* Waits for what is under way, and writes what still waits itself. */
void writer_done(struct writer *writer);

#endif
