/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spawn owns the life of one child process. It must not know what the child is for. */
#include "common/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/account.h"
#include "common/addr.h"
#include "common/privilege.h"

/* What a child may say in one run; the rest is read and dropped, so that it never blocks. */
#define LINES_MAX 100

void spawn_init(struct spawn *spawn, struct loop *loop,
	void (*on_line)(void *ctx, const char *line),
	void (*on_exit)(void *ctx, int status, bool timed_out), void *ctx)
{
	*spawn = (struct spawn){ .loop = loop, .on_line = on_line, .on_exit = on_exit, .ctx = ctx };
}

bool spawn_running(const struct spawn *spawn)
{
	return spawn->pid != 0;
}

static void end_line(struct spawn *spawn)
{
	char text[sizeof(spawn->line) * 2];

	if (!spawn->line_len)
		return;
	if (spawn->lines < LINES_MAX)
		spawn->on_line(spawn->ctx,
			text_printable(text, sizeof(text), spawn->line, spawn->line_len));
	else if (spawn->lines == LINES_MAX)
		spawn->on_line(spawn->ctx, "(more output was dropped)");
	spawn->lines++;
	spawn->line_len = 0;
}

static void output_ready(void *ctx, uint32_t events)
{
	struct spawn *spawn = ctx;
	char buf[4096];
	ssize_t n = read(spawn->output.fd, buf, sizeof(buf));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n' || spawn->line_len == sizeof(spawn->line))
			end_line(spawn);
		if (buf[i] != '\n')
			spawn->line[spawn->line_len++] = buf[i];
	}
	if (n <= 0) {
		int fd = spawn->output.fd;

		end_line(spawn);
		loop_unwatch(spawn->loop, &spawn->output);
		close(fd);
	}
}

static void close_output(struct spawn *spawn)
{
	/* what is there already; a grandchild that holds the pipe open must not hold us */
	for (int i = 0; i < 16 && spawn->output.active; i++)
		output_ready(spawn, 0);
	if (spawn->output.active) {
		int fd = spawn->output.fd;

		loop_unwatch(spawn->loop, &spawn->output);
		close(fd);
	}
}

static void kill_child(const struct spawn *spawn)
{
	/* one that has not come to setsid() yet leads no group */
	kill(-spawn->pid, SIGKILL);
	kill(spawn->pid, SIGKILL);
}

static void time_is_up(void *ctx)
{
	struct spawn *spawn = ctx;

	spawn->timed_out = true;
	kill_child(spawn);
}

void spawn_close_descriptors(void)
{
	if (syscall(SYS_close_range, 3, ~0u, 0) == 0)
		return;
	/* Linux before 5.9 */
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
}

_Noreturn static void become(char *const argv[], char *const env[], int output, const char *user)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY), err = 0;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	/* all of ours are close-on-exec; this is for those that libraries opened without it */
	spawn_close_descriptors();
	if (user && *user)
		err = account_become(user);
	if (err) {
		dprintf(STDERR_FILENO, "cannot become %s: %s\n", user, strerror(-err));
		_exit(127);
	}
	if (privilege_renounce() || chdir("/") < 0)
		_exit(127);
	execve(argv[0], argv, env);
	dprintf(STDERR_FILENO, "cannot be run: %s\n", strerror(errno));
	_exit(127);
}

int spawn_start(struct spawn *spawn, char *const argv[], char *const env[],
	unsigned timeout_seconds)
{
	int pipefd[2];
	pid_t pid;

	if (spawn->pid)
		return -EBUSY;
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		become(argv, env, pipefd[1], spawn->user);
	close(pipefd[1]);
	if (pid < 0) {
		int err = -errno;

		close(pipefd[0]);
		return err;
	}
	fcntl(pipefd[0], F_SETFL, O_NONBLOCK);
	spawn->pid = pid;
	spawn->timed_out = false;
	spawn->line_len = spawn->lines = 0;
	loop_watch(spawn->loop, &spawn->output, pipefd[0], EPOLLIN, output_ready, spawn);
	loop_timer_set(spawn->loop, &spawn->timer, timeout_seconds * UINT64_C(1000), time_is_up,
		spawn);
	return 0;
}

void spawn_reap(struct spawn *spawn)
{
	int status;

	if (!spawn->pid || waitpid(spawn->pid, &status, WNOHANG) != spawn->pid)
		return;
	loop_timer_cancel(spawn->loop, &spawn->timer);
	close_output(spawn);
	spawn->pid = 0;
	spawn->on_exit(spawn->ctx, status, spawn->timed_out);
}

void spawn_done(struct spawn *spawn)
{
	if (!spawn->pid)
		return;
	kill_child(spawn);
	waitpid(spawn->pid, NULL, 0);
	loop_timer_cancel(spawn->loop, &spawn->timer);
	close_output(spawn);
	spawn->pid = 0;
}
