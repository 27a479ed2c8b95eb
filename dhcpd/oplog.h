/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * oplog: the operation log that the administrator reads (patent step 3.2), a line per event:
 * `TIME add|old|del MAC IP NAME`, TIME as in 2026-11-22T10:13:17+0100.
 *
 * Lines are gathered and written together after a batch of frames, never on the packet path.
 */
#ifndef EIPD_DHCPD_OPLOG_H
#define EIPD_DHCPD_OPLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "common/plan.h"

struct oplog {
	const char *path; /* "": none is kept */
	int fd;
	char *text;
	size_t len, cap;
	bool is_cut;    /* the file ends in the middle of a line */
	int last_error; /* so that a full disk is reported once */
};

/* 0 or -errno (the log is then tried again at each flush). */
int oplog_open(struct oplog *oplog, const char *path);
void oplog_add(struct oplog *oplog, const char *event, const struct vm *vm, time_t when);
/* 0, or -errno when writing begins to fail; lines that could not be written are lost. */
int oplog_flush(struct oplog *oplog);
/* For whoever rotates it. */
int oplog_reopen(struct oplog *oplog);
void oplog_close(struct oplog *oplog);

#endif
