/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sync: the intent to the disk, then the kernel made so. One piece of work that knows all it
 * needs, so that it can be done on a thread: frames of DHCP wait neither for a disk nor for a lock
 * nor for a table of thousands of rules.
 */
#ifndef EIPD_NATMGR_SYNC_H
#define EIPD_NATMGR_SYNC_H

#include <stdatomic.h>

#include "natmgr/reconcile.h"

struct sync {
	/* What is to be done. */
	struct reconcile *reconcile; /* nobody else's meanwhile */
	const char *path;            /* of the state file */
	char *file;                  /* what is to be in it; heap; NULL: it is so */
	size_t file_len;
	bool despite_file; /* the kernel is made so even where the file cannot be written */
	struct desired desired;
	enum reconcile_scope scope;
	unsigned lock_ms; /* so long the lock of iptables is waited for, when the file is written */
	const atomic_bool *is_closing; /* nor any longer than this is false; NULL: never mind */

	/* What came of it. */
	int file_err;                   /* of statefile_write(); then the kernel was not touched */
	int err;                        /* that, or of reconcile_run() */
	char error[BACKEND_ERROR_SIZE]; /* with err: a sentence */
	struct reconcile_report report;
};

void sync_run(struct sync *sync);
void sync_done(struct sync *sync);

#endif
