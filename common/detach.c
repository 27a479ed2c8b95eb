/* SPDX-License-Identifier: GPL-2.0-or-later */
/* detach owns the fork into the background. It must not know what is ready then. */
#include "common/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void detach_open_standard(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		close(fd);
}

int detach(void)
{
	int pipefd[2], status;
	char ready;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return -errno;
	if (pid == 0) {
		close(pipefd[0]);
		setsid();
		if (chdir("/") < 0)
			exit(EXIT_FAILURE);
		return pipefd[1];
	}
	close(pipefd[1]);
	if (read(pipefd[0], &ready, 1) == 1)
		_exit(EXIT_SUCCESS);
	/* the reason is on standard error, which it shares with us */
	waitpid(pid, &status, 0);
	_exit(EXIT_FAILURE);
}

void detach_say_ready(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = STDIN_FILENO; null >= 0 && i <= STDERR_FILENO; i++)
		dup2(null, i);
	if (null > STDERR_FILENO)
		close(null);
	(void)!write(fd, "R", 1);
	close(fd);
}
