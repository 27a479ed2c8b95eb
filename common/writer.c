/* SPDX-License-Identifier: GPL-2.0-or-later */
/* writer owns the child that writes a file. It must not know what is in the file. */
#include "common/writer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/spawn.h"
#include "common/statefile.h"

void writer_init(struct writer *writer, char *path, void (*done)(void *ctx, int err), void *ctx)
{
	*writer = (struct writer){ .path = path, .done = done, .ctx = ctx };
}

static void finish(struct writer *writer, int status)
{
	int err = -EIO;

	/* the child's exit status is the errno: those of Linux fit */
	if (WIFEXITED(status))
		err = -WEXITSTATUS(status);
	writer->pid = 0;
	writer->done(writer->ctx, err);
}

static void start(struct writer *writer)
{
	char *text = writer->waiting;
	pid_t pid, parent = getpid();

	writer->waiting = NULL;
	pid = fork();
	if (pid == 0) {
		/* it must not outlive us, and put an old text over what our successor writes */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(ESRCH);
		/* none of the daemon's: above all not the pid file, which is locked as long as it is
		 * open anywhere */
		spawn_close_descriptors();
		_exit(-statefile_write(writer->path, text, writer->waiting_len));
	}
	/* no process to be had: then this one waits for the disk */
	if (pid < 0)
		writer->done(writer->ctx, statefile_write(writer->path, text, writer->waiting_len));
	else
		writer->pid = pid;
	free(text);
}

void writer_write(struct writer *writer, char *text, size_t len)
{
	free(writer->waiting);
	writer->waiting = text;
	writer->waiting_len = len;
	if (!writer->pid)
		start(writer);
}

void writer_reap(struct writer *writer)
{
	int status;

	if (!writer->pid || waitpid(writer->pid, &status, WNOHANG) != writer->pid)
		return;
	finish(writer, status);
	if (writer->waiting && !writer->pid)
		start(writer);
}

void writer_done(struct writer *writer)
{
	int status;

	if (writer->pid && waitpid(writer->pid, &status, 0) == writer->pid)
		finish(writer, status);
	if (writer->waiting)
		writer->done(writer->ctx,
			statefile_write(writer->path, writer->waiting, writer->waiting_len));
	free(writer->waiting);
	free(writer->path);
	*writer = (struct writer){ 0 };
}
