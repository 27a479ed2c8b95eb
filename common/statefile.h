/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * statefile: whole files in and out, surviving kill -9 and power loss.
 */
#ifndef EIPD_COMMON_STATEFILE_H
#define EIPD_COMMON_STATEFILE_H

#include <stddef.h>

/*
 * Reads a whole regular file of at most max octets into memory that the caller frees; a NUL is
 * put behind it. 0, or -errno: -EFBIG if larger than max, -EISDIR, or -EINVAL if it holds a NUL
 * or is no regular file.
 */
int statefile_read(const char *path, size_t max, char **ret_text, size_t *ret_len);

/*
 * The same for who makes of a damaged file what can be made of it: every NUL is read as a newline,
 * and where there was one this returns 1.
 */
int statefile_read_damaged(const char *path, size_t max, char **ret_text, size_t *ret_len);

/* A copy of a damaged file as it is, PATH.damaged, before it is written anew. 0 or -errno. */
int statefile_keep_damaged(const char *path);

/*
 * Replaces the file in one step: temporary file beside it (PATH.eipd-new, a name that nobody else
 * uses), fsync, rename, fsync of the directory.
 * A reader sees the old or the new text, never a part. The mode (and owner and group, where
 * allowed) of a file that is replaced is kept, a new one gets 0644; a symbolic link is followed.
 * 0 or -errno, and then the old file is as it was: -EACCES also for a file that may not be written
 * in a directory that may.
 */
int statefile_write(const char *path, const char *text, size_t len);

/* The same, but a file that holds just this text already is left alone: disks wear out. */
int statefile_update(const char *path, const char *text, size_t len);

/* What a symbolic link points to, there or not; NULL: it is none. The caller frees. */
char *statefile_link_target(const char *path);

/* Makes a directory and those above it (0755); 0 if it exists. */
int statefile_mkdir(const char *path);

/* The same for the directory that a file is in. */
int statefile_mkdir_parent(const char *path);

#endif
