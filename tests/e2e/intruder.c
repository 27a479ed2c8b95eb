/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * intruder: preloaded, has a thread that was there before all others. At SIGUSR2 it makes calls as
 * who has taken the process over would, and writes what became of each to the file $INTRUDER.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static sem_t asked;
static FILE *out;

static const char *name_of(int error)
{
	switch (error) {
	case EPERM:
		return "EPERM";
	case ENOENT:
		return "ENOENT";
	case ENOSYS:
		return "ENOSYS";
	case EAFNOSUPPORT:
		return "EAFNOSUPPORT";
	default:
		return "another";
	}
}

static void note(const char *call, long result)
{
	int error = errno;

	if (result > 2 && !strncmp(call, "socket", 6))
		close((int)result);
	fprintf(out, "%s %s\n", call, result >= 0 ? "done" : name_of(error));
}

/* None of them does harm where it is not refused. */
static void intrude(void)
{
	char page[8] = "";
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	note("mmap-exec", memory == MAP_FAILED ? -1 : 0);
	if (memory != MAP_FAILED)
		munmap(memory, 4096);
	note("execve", execve("/nonexistent", (char *[]){ page, NULL }, NULL));
	note("kill", kill(getppid(), 0));
	note("ptrace", syscall(SYS_ptrace, 7 /* PTRACE_CONT */, 0x7ffffff0L, 0L, 0L));
	note("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), NULL, 0L, NULL, 0L, 0L));
	note("unshare", syscall(SYS_unshare, 0L));
	note("setns", syscall(SYS_setns, -1L, 0L));
	note("mount", syscall(SYS_mount, NULL, "/", NULL, 4096L, NULL));
	note("bpf", syscall(SYS_bpf, -1L, NULL, 0L));
	note("perf_event_open", syscall(SYS_perf_event_open, NULL, 0L, -1L, -1L, 0L));
	note("init_module", syscall(SYS_init_module, NULL, 0L, NULL));
	note("keyctl", syscall(SYS_keyctl, 0L, -3L, 0L, 0L, 0L));
	note("io_uring_setup", syscall(SYS_io_uring_setup, 0L, NULL));
	note("userfaultfd", syscall(SYS_userfaultfd, -1L));
	note("name_to_handle_at", syscall(SYS_name_to_handle_at, -1L, "", NULL, NULL, 0L));
	note("clock_settime", syscall(SYS_clock_settime, -1L, NULL));
	note("clone-user",
		syscall(SYS_clone, 0x10000000L /* NEWUSER */ | 0x800L /* no VM */, NULL, NULL, NULL,
			0L));
	note("socket-stream", socket(AF_INET, SOCK_STREAM, 0));
	note("socket-inet6", socket(AF_INET6, SOCK_STREAM, 0));
	note("socket-vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	note("socket-alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
	note("ioctl-sti", ioctl(-1, TIOCSTI, page));
	note("open", open("/dev/null", O_RDONLY | O_CLOEXEC));
	note("socket-netlink", socket(AF_NETLINK, SOCK_RAW, 0));
	fputs("end\n", out);
	fflush(out);
}

static void *wait_and_intrude(void *arg)
{
	(void)arg;
	for (;;) {
		while (sem_wait(&asked) < 0)
			;
		intrude();
	}
	return NULL;
}

static void on_signal(int signo)
{
	(void)signo;
	sem_post(&asked);
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("INTRUDER");
	pthread_t thread;

	if (!path)
		return;
	out = fopen(path, "we");
	if (!out || sem_init(&asked, 0, 0) < 0 || signal(SIGUSR2, on_signal) == SIG_ERR ||
		pthread_create(&thread, NULL, wait_and_intrude, NULL)) {
		fputs("intruder: it cannot come in\n", stderr);
		_exit(1);
	}
}
