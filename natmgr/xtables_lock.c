/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xtables_lock owns the lock file of iptables. It must not know what is done under it. */
#include "natmgr/xtables_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/statefile.h"

#define DEFAULT_LOCK "/run/xtables.lock"

static const char *lock_path(void)
{
	const char *path = getenv("XTABLES_LOCKFILE");

	return path && *path ? path : DEFAULT_LOCK;
}

static int kept_lock = -1;

void xtables_lock_keep(void)
{
	if (kept_lock < 0)
		kept_lock = open(lock_path(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
}

/* The file is root's alone; a descriptor of root's does, as long as others lock the same file. */
static int open_lock(void)
{
	int fd = open(lock_path(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600), err = errno;
	struct stat kept, st;

	if (fd < 0 && err == EACCES && kept_lock >= 0 && fstat(kept_lock, &kept) == 0 &&
		stat(lock_path(), &st) == 0 && kept.st_dev == st.st_dev && kept.st_ino == st.st_ino)
		return kept_lock;
	errno = err;
	return fd;
}

void xtables_unlock(int fd)
{
	if (fd == kept_lock)
		flock(fd, LOCK_UN);
	else
		close(fd);
}

int xtables_lock(int *ret_fd, char error[static BACKEND_ERROR_SIZE])
{
	int fd = open_lock(), err;

	/* on a host that was never given a /run */
	if (fd < 0 && errno == ENOENT && !statefile_mkdir_parent(lock_path()))
		fd = open(lock_path(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		snprintf(error, BACKEND_ERROR_SIZE,
			"the lock file %s of iptables cannot be opened: %s%s", lock_path(),
			strerror(-err),
			err == -EACCES && kept_lock >= 0 ? "; it was made anew: restart eipd" : "");
		return err;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		err = -errno;
		xtables_unlock(fd);
		snprintf(error, BACKEND_ERROR_SIZE,
			"the lock %s of iptables is held by another program; "
			"try again when that has ended",
			lock_path());
		return err;
	}
	*ret_fd = fd;
	return 0;
}
