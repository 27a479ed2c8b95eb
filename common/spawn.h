/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spawn: one child process at a time, with a time limit, its output taken line by line.
 *
 * The child has a session of its own, /dev/null as standard input, no descriptor of ours but its
 * two outputs, default signals, none of our capabilities, and / as its directory; where a user is
 * named, it is that user, with its groups and no more. A child that outlives its time is killed
 * with all of its session's process group.
 */
#ifndef EIPD_COMMON_SPAWN_H
#define EIPD_COMMON_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/loop.h"

struct spawn {
	struct loop *loop;
	/* line: printable, without its newline, cut at a few hundred octets */
	void (*on_line)(void *ctx, const char *line);
	/* status as of waitpid(2) */
	void (*on_exit)(void *ctx, int status, bool timed_out);
	void *ctx;
	const char
		*user; /* whom the child becomes; NULL or "": whom we are. May be set after init */
	/* private */
	pid_t pid; /* 0: none runs */
	bool timed_out;
	struct loop_watch output;
	struct loop_timer timer;
	char line[400];
	unsigned line_len, lines;
};

/* Closes all but the three standard ones; for a child between fork() and what it is for. */
void spawn_close_descriptors(void);

void spawn_init(struct spawn *spawn, struct loop *loop,
	void (*on_line)(void *ctx, const char *line),
	void (*on_exit)(void *ctx, int status, bool timed_out), void *ctx);
bool spawn_running(const struct spawn *spawn);
/* -EBUSY while one runs, or -errno of pipe or fork. A program that cannot be run exits with 127. */
int spawn_start(struct spawn *spawn, char *const argv[], char *const env[],
	unsigned timeout_seconds);
/* To be called at SIGCHLD; calls on_exit if it was ours. */
void spawn_reap(struct spawn *spawn);
/* Kills what runs, without on_exit. */
void spawn_done(struct spawn *spawn);

#endif
