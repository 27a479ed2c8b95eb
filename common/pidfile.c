/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pidfile owns the file with our pid and its lock. It must not know what the daemon does. */
#include "common/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"

/* Looks at the lock, and how many of them: for one that is ending, and where only a child is left. */
#define LOOK_MS       50
#define LOOKS_ENDING  10
#define LOOKS_ENDED   200
#define TRIES         5
#define PID_TEXT_SIZE 32

bool pidfile_is_taken(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is_taken = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;

	if (fd >= 0)
		close(fd);
	return is_taken;
}

static void read_pid(int fd, char text[static PID_TEXT_SIZE])
{
	ssize_t n = pread(fd, text, PID_TEXT_SIZE - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

/* Ended, though perhaps nobody has taken note of it yet. */
static bool has_ended(pid_t pid)
{
	char path[32], text[512] = "";
	const char *name_end;
	int fd;

	if (kill(pid, 0) < 0)
		return errno == ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	name_end = strrchr(text, ')');
	return name_end && !strncmp(name_end, ") Z", 3);
}

/* Whom the file names was killed: what holds the lock is a child that has not noticed yet. */
static bool holder_has_ended(int fd)
{
	char text[PID_TEXT_SIZE];
	long pid;

	read_pid(fd, text);
	pid = strtol(text, NULL, 10);
	return pid > 0 && pid <= INT_MAX && has_ended((pid_t)pid);
}

static bool lock(int fd)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };

	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (i >= (holder_has_ended(fd) ? LOOKS_ENDED : LOOKS_ENDING))
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Who held it may have taken the name away meanwhile: then this is no file any more. */
static bool is_named(int fd, const char *path)
{
	struct stat held, named;

	return !fstat(fd, &held) && !stat(path, &named) && held.st_dev == named.st_dev &&
		held.st_ino == named.st_ino;
}

/* -ESTALE: it went while we waited for it. */
static int take(const char *path, struct pidfile *ret_pidfile, char **ret_error)
{
	char text[PID_TEXT_SIZE];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644), err = 0;

	if (fd < 0) {
		err = -errno;
		*ret_error = xasprintf("%s cannot be opened: %s", path, strerror(-err));
		return err;
	}
	if (!lock(fd)) {
		err = -EWOULDBLOCK;
		read_pid(fd, text);
		*ret_error = xasprintf("it runs already (pid %s, %s); stop that one first", text,
			path);
	} else if (!is_named(fd, path)) {
		err = -ESTALE;
		*ret_error = xasprintf("the pid file %s comes and goes; is another eipd being "
				       "started?",
			path);
	} else {
		snprintf(text, sizeof(text), "%d\n", (int)getpid());
		if (ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) < 0) {
			err = -errno;
			*ret_error = xasprintf("%s cannot be written: %s", path, strerror(-err));
		}
	}
	if (err)
		close(fd);
	else
		*ret_pidfile = (struct pidfile){ fd, xstrdup(path) };
	return err;
}

int pidfile_take(const char *path, struct pidfile *ret_pidfile, char **ret_error)
{
	int err = take(path, ret_pidfile, ret_error);

	for (int i = 1; err == -ESTALE && i < TRIES; i++) {
		free(*ret_error);
		*ret_error = NULL;
		err = take(path, ret_pidfile, ret_error);
	}
	return err;
}

void pidfile_release(struct pidfile *pidfile)
{
	if (pidfile->fd < 0)
		return;
	unlink(pidfile->path);
	close(pidfile->fd);
	free(pidfile->path);
	*pidfile = PIDFILE_NONE;
}
