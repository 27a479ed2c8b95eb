/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stepper: runs a program and kills it (SIGKILL) at the entry of a system call that changes
 * something, for torture.py. Such a call is not done any more; what came before it is.
 *
 *     stepper FILE COMMAND…
 *
 * FILE is memory shared with whoever runs us: see struct shared. The calls of all threads of the
 * program count, those of its children do not. Exits when all of them are gone.
 *
 * A filter of seccomp picks the calls, so that the program runs at its own speed between them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 64

struct shared {
	uint64_t count;   /* calls until now */
	uint64_t kill_at; /* the program dies at the call with this number; 0: it does not */
	char name[32];    /* of the call at which it died */
};

static const struct {
	long number;
	const char *name;
	uint32_t bit; /* only with this bit in its third argument; 0: always */
} calls[] = {
#define CALL(name)                   \
	{                            \
		SYS_##name, #name, 0 \
	}
#ifdef SYS_rename
	CALL(rename), CALL(unlink), CALL(mkdir), CALL(rmdir), CALL(chmod), CALL(chown),
#endif
	CALL(renameat), CALL(renameat2), CALL(unlinkat), CALL(mkdirat), CALL(fchmod),
	CALL(fchmodat), CALL(fchown), CALL(fchownat), CALL(truncate), CALL(ftruncate), CALL(fsync),
	CALL(fdatasync), CALL(flock), CALL(write), CALL(writev), CALL(pwrite64), CALL(sendto),
	CALL(sendmsg), CALL(sendmmsg), CALL(bind), CALL(listen),
#undef CALL
	{ SYS_openat, "openat", O_CREAT },
	/* the commits of iptables: IPT_SO_SET_REPLACE and what follows it */
	{ SYS_setsockopt, "setsockopt", 64 }
};
#define CALL_COUNT (sizeof(calls) / sizeof(*calls))

#define INSTRUCTION(...) filter[n++] = (struct sock_filter)__VA_ARGS__
#define ARGUMENT_3       offsetof(struct seccomp_data, args[2])

/* Each of the calls stops at us, which is told its place in the table. */
static void install_filter(void)
{
	struct sock_filter filter[CALL_COUNT * 5 + 2];
	struct sock_fprog program = { .filter = filter };
	unsigned short n = 0;

	INSTRUCTION(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	for (size_t i = 0; i < CALL_COUNT; i++) {
		const uint32_t number = (uint32_t)calls[i].number, bit = calls[i].bit;

		INSTRUCTION(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, bit ? 4 : 1));
		if (bit) {
			INSTRUCTION(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT_3));
			INSTRUCTION(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bit, 1, 0));
			INSTRUCTION(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
		}
		INSTRUCTION(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | (uint32_t)i));
	}
	INSTRUCTION(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	program.len = n;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("stepper: seccomp");
		_exit(126);
	}
}

/* The program's first thread is the first. */
static pid_t threads[THREADS_MAX];
static size_t thread_count;

static size_t find_thread(pid_t pid)
{
	size_t i = 0;

	while (i < thread_count && threads[i] != pid)
		i++;
	return i;
}

static void thread_began(pid_t parent, pid_t pid)
{
	/* one of a child's threads, or one that was killed before we heard of it, is none of ours */
	if (find_thread(parent) == thread_count || thread_count == THREADS_MAX)
		return;
	threads[thread_count++] = pid;
}

static void thread_ended(pid_t pid)
{
	size_t i = find_thread(pid);

	if (i > 0 && i < thread_count)
		threads[i] = threads[--thread_count];
}

/* True: the program lives on. */
static bool step(struct shared *shared, pid_t pid)
{
	unsigned long call = 0;

	if (++shared->count != shared->kill_at)
		return true;
	ptrace(PTRACE_GETEVENTMSG, pid, NULL, &call);
	if (call < CALL_COUNT)
		snprintf(shared->name, sizeof(shared->name), "%s", calls[call].name);
	kill(threads[0], SIGKILL);
	return false;
}

static void follow(struct shared *shared)
{
	unsigned long other;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		int event = status >> 16, signal = 0;

		if (pid < 0)
			continue;
		if (!WIFSTOPPED(status)) {
			thread_ended(pid);
			continue;
		}
		if (event == PTRACE_EVENT_SECCOMP && find_thread(pid) < thread_count &&
			!step(shared, pid))
			continue;
		if (event == PTRACE_EVENT_CLONE && !ptrace(PTRACE_GETEVENTMSG, pid, NULL, &other))
			thread_began(pid, (pid_t)other);
		if (!event)
			signal = WSTOPSIG(status);
		ptrace(PTRACE_CONT, pid, NULL, signal);
	}
}

static struct shared *map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		0);

	if (fd < 0 || shared == MAP_FAILED) {
		perror(path);
		exit(2);
	}
	return shared;
}

int main(int argc, char **argv)
{
	const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
		PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
	struct shared *shared;
	int traced[2];
	char ready;
	pid_t pid;

	if (argc < 3 || pipe2(traced, O_CLOEXEC))
		return 2;
	shared = map(argv[1]);
	pid = fork();
	if (pid == 0) {
		close(traced[1]);
		/* a call that stops at a tracer that is not there fails */
		if (read(traced[0], &ready, 1) != 1)
			_exit(126);
		install_filter();
		execv(argv[2], argv + 2);
		_exit(127);
	}
	threads[thread_count++] = pid;
	if (pid < 0 || ptrace(PTRACE_SEIZE, pid, NULL, options) || write(traced[1], "", 1) != 1) {
		perror("stepper: ptrace");
		return 2;
	}
	follow(shared);
	return 0;
}
