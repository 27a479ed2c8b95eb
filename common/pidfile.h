/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pidfile: one daemon to a run-dir. The file is locked as long as the daemon lives, so a pid in one
 * that is not locked is of a dead daemon, whoever has that pid by now.
 */
#ifndef EIPD_COMMON_PIDFILE_H
#define EIPD_COMMON_PIDFILE_H

#include <stdbool.h>

struct pidfile {
	int fd; /* -1: not taken */
	char *path;
};

#define PIDFILE_NONE ((struct pidfile){ .fd = -1 })

/* A daemon with this file lives. */
bool pidfile_is_taken(const char *path);
/*
 * Writes our pid. 0; or -errno (-EWOULDBLOCK: somebody has it) and a sentence in *ret_error, which
 * the caller frees; *ret_pidfile is untouched then.
 */
int pidfile_take(const char *path, struct pidfile *ret_pidfile, char **ret_error);
/* The file goes, too. Nothing is done where it was not taken. */
void pidfile_release(struct pidfile *pidfile);

#endif
