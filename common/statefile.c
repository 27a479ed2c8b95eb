/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * statefile owns the way whole files get to and from the disk. It must not know what is in them.
 */
#include "common/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"

static int read_all(int fd, char *buf, size_t cap, size_t *ret_len)
{
	size_t len = 0;

	while (len < cap) {
		ssize_t n = read(fd, buf + len, cap - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

static int read_regular(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	/* O_NONBLOCK: a FIFO in the file's place must not hang the daemon */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;
	struct stat st;
	char *text = NULL;
	size_t len = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		err = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		err = -EISDIR;
	} else if (!S_ISREG(st.st_mode)) {
		err = -EINVAL;
	} else if ((uint64_t)st.st_size > max) {
		err = -EFBIG;
	} else {
		text = xrealloc(NULL, (size_t)st.st_size + 1, 1);
		err = read_all(fd, text, (size_t)st.st_size, &len);
	}
	close(fd);
	if (err) {
		free(text);
		return err;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int statefile_read(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	size_t len;
	char *text;
	int err = read_regular(path, max, &text, &len);

	if (err)
		return err;
	if (memchr(text, '\0', len)) {
		free(text);
		return -EINVAL;
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int statefile_read_damaged(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	int err = read_regular(path, max, ret_text, ret_len);
	bool has_nul = false;

	for (size_t i = 0; !err && i < *ret_len; i++) {
		if ((*ret_text)[i])
			continue;
		(*ret_text)[i] = '\n';
		has_nul = true;
	}
	return err ? err : has_nul;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_directory_of(const char *path)
{
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	int fd, err = 0;

	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(dir);
	return err;
}

char *statefile_link_target(const char *path)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	const char *slash = strrchr(path, '/');

	if (len <= 0)
		return NULL;
	target[len] = '\0';
	if (target[0] == '/' || !slash)
		return xstrdup(target);
	return xasprintf("%.*s/%s", (int)(slash - path), path, target);
}

int statefile_write(const char *path, const char *text, size_t len)
{
	char *real = realpath(path, NULL), *link = real ? NULL : statefile_link_target(path);
	const char *target = real ? real : link ? link : path;
	char *tmp = xasprintf("%s.eipd-new", target);
	struct stat st;
	int err = 0, fd;

	/* whoever protects a file from us does not want it replaced either */
	if (real && faccessat(AT_FDCWD, real, W_OK, AT_EACCESS) < 0 && errno == EACCES) {
		err = -EACCES;
		goto out;
	}
	/* what a killed predecessor left behind; O_EXCL then guards against a planted link */
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	if (real && stat(real, &st) == 0) {
		if (fchmod(fd, st.st_mode & 07777) < 0)
			err = -errno;
		/* who may not give files away makes it their own, but of the same group if they can */
		if (fchown(fd, st.st_uid, st.st_gid) < 0)
			(void)!fchown(fd, (uid_t)-1, st.st_gid);
	}
	if (!err)
		err = write_all(fd, text, len);
	if (!err && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	if (!err && rename(tmp, target) < 0)
		err = -errno;
	if (err)
		unlink(tmp);
	else
		/* the new text is in place and seen by all; a directory that cannot be synced
		 * (some network file systems) is no reason to say that it is not */
		(void)sync_directory_of(target);
out:
	free(tmp);
	free(link);
	free(real);
	return err;
}

int statefile_keep_damaged(const char *path)
{
	char *text, *copy;
	size_t len;
	int err = read_regular(path, SIZE_MAX, &text, &len);

	if (err)
		return err;
	copy = xasprintf("%s.damaged", path);
	err = statefile_write(copy, text, len);
	free(copy);
	free(text);
	return err;
}

int statefile_update(const char *path, const char *text, size_t len)
{
	char *there;
	size_t there_len;
	bool same = false;

	if (!statefile_read(path, len, &there, &there_len)) {
		same = there_len == len && !memcmp(there, text, len);
		free(there);
	}
	return same ? 0 : statefile_write(path, text, len);
}

int statefile_mkdir(const char *path)
{
	char *dir = xstrdup(path);
	struct stat st;
	int err = 0;

	for (char *p = dir + 1; !err && *dir; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		if (mkdir(dir, 0755) < 0 && errno != EEXIST)
			err = -errno;
		*p = c;
		if (!c)
			break;
	}
	if (!err && stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		err = -ENOTDIR;
	free(dir);
	return err;
}

int statefile_mkdir_parent(const char *path)
{
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	int err = 0;

	if (slash && slash != dir) {
		*slash = '\0';
		err = statefile_mkdir(dir);
	}
	free(dir);
	return err;
}
