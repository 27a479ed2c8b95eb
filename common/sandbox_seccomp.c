/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox_seccomp owns the two filters of system calls. It must not know what makes them. */
#include <errno.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/sandbox.h"

#define NEW_NAMESPACE                                                                  \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		CLONE_NEWPID | CLONE_NEWNET)
#define SOCKET_TYPE 0xf /* without SOCK_CLOEXEC and SOCK_NONBLOCK */

/* A call, and if `mask` is there, what its argument `arg` must be. */
struct rule {
	int call;
	unsigned arg;
	uint64_t mask, value;
};
/* by its whole name, as musl's headers make macros of some of the others */
#define IF(name, arg, mask, value)             \
	{                                      \
		__SNR_##name, arg, mask, value \
	}
#define IF_IS(name, arg, value) IF(name, arg, UINT32_MAX, value)
#define CALL(name)                    \
	{                             \
		__SNR_##name, 0, 0, 0 \
	}

/*
 * What this daemon does from the end of its start to its own. One that a libc makes on another
 * machine, or instead of one of these, stands beside it.
 */
static const struct rule needed[] = {
	/* files */
	CALL(open), CALL(openat), CALL(close), CALL(read), CALL(readv), CALL(pread64), CALL(write),
	CALL(writev), CALL(pwrite64), CALL(lseek), CALL(_llseek), CALL(stat), CALL(stat64),
	CALL(lstat), CALL(lstat64), CALL(fstat), CALL(fstat64), CALL(newfstatat), CALL(fstatat64),
	CALL(statx), CALL(statfs), CALL(fstatfs), CALL(access), CALL(faccessat), CALL(faccessat2),
	CALL(readlink), CALL(readlinkat), CALL(getdents), CALL(getdents64), CALL(fcntl),
	CALL(fcntl64), CALL(flock), CALL(fsync), CALL(fdatasync), CALL(ftruncate),
	CALL(ftruncate64), CALL(fchmod), CALL(fchown), CALL(fchown32), CALL(rename), CALL(renameat),
	CALL(renameat2), CALL(unlink), CALL(unlinkat), CALL(mkdir), CALL(mkdirat), CALL(umask),
	CALL(dup), CALL(dup2), CALL(dup3),
	/* sockets; see add_inet() as well */
	IF_IS(socket, 0, AF_UNIX), IF_IS(socket, 0, AF_NETLINK), IF_IS(socket, 0, AF_PACKET),
	CALL(bind), CALL(connect), CALL(accept), CALL(accept4), CALL(getsockname),
	CALL(getpeername), CALL(getsockopt), CALL(setsockopt), CALL(send), CALL(sendto),
	CALL(sendmsg), CALL(recv), CALL(recvfrom), CALL(recvmsg), CALL(shutdown),
	/* libpcap asks for the interface's name, index, type and offloads */
	IF_IS(ioctl, 1, SIOCGIFNAME), IF_IS(ioctl, 1, SIOCGIFINDEX), IF_IS(ioctl, 1, SIOCGIFHWADDR),
	IF_IS(ioctl, 1, SIOCGIFMTU), IF_IS(ioctl, 1, SIOCGIFFLAGS), IF_IS(ioctl, 1, SIOCETHTOOL),
	IF_IS(ioctl, 1, FIONBIO),
	/* waiting */
	CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_ctl_old), CALL(epoll_wait),
	CALL(epoll_pwait), CALL(epoll_pwait2), CALL(eventfd2), CALL(inotify_init1),
	CALL(inotify_add_watch), CALL(inotify_rm_watch), CALL(poll), CALL(ppoll),
	CALL(ppoll_time64), CALL(select), CALL(_newselect), CALL(pselect6), CALL(nanosleep),
	CALL(clock_nanosleep), CALL(clock_nanosleep_time64), CALL(restart_syscall),
	/* memory, none of which can be run */
	CALL(brk), CALL(munmap), CALL(mremap), CALL(madvise), IF(mmap, 2, PROT_EXEC, 0),
	IF(mmap2, 2, PROT_EXEC, 0), IF(mprotect, 2, PROT_EXEC, 0),
	/*
	 * The threads beside the loop. The flags of clone3() are behind a pointer and cannot be seen;
	 * what else it can make is of no use with these calls only.
	 */
	IF(clone, 0, CLONE_THREAD | NEW_NAMESPACE, CLONE_THREAD), CALL(clone3),
	CALL(set_robust_list), CALL(rseq), CALL(futex), CALL(futex_time64), CALL(membarrier),
	CALL(sched_getaffinity), CALL(sched_yield), CALL(exit), CALL(exit_group),
	/* signals; see add_own() as well */
	CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(sigreturn),
	CALL(sigaltstack),
	/* what it asks */
	CALL(getpid), CALL(gettid), CALL(getuid), CALL(getuid32), CALL(geteuid), CALL(geteuid32),
	CALL(getgid), CALL(getgid32), CALL(getegid), CALL(getegid32), CALL(getrandom), CALL(uname),
	CALL(sysinfo), CALL(clock_gettime), CALL(clock_gettime64), CALL(clock_getres),
	CALL(gettimeofday), CALL(time)
};

/* What neither the daemon nor a callback should ever do. */
static const struct rule forbidden[] = {
	/* other processes */
	CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(process_madvise),
	CALL(kcmp), CALL(pidfd_getfd),
	/* mounts and namespaces */
	CALL(mount), CALL(umount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(move_mount),
	CALL(open_tree), CALL(fsopen), CALL(fsconfig), CALL(fsmount), CALL(fspick),
	CALL(mount_setattr), CALL(setns), CALL(unshare), CALL(open_by_handle_at),
	CALL(name_to_handle_at), IF(clone, 0, CLONE_NEWNS, CLONE_NEWNS),
	IF(clone, 0, CLONE_NEWCGROUP, CLONE_NEWCGROUP), IF(clone, 0, CLONE_NEWUTS, CLONE_NEWUTS),
	IF(clone, 0, CLONE_NEWIPC, CLONE_NEWIPC), IF(clone, 0, CLONE_NEWUSER, CLONE_NEWUSER),
	IF(clone, 0, CLONE_NEWPID, CLONE_NEWPID), IF(clone, 0, CLONE_NEWNET, CLONE_NEWNET),
	/* the kernel itself */
	CALL(kexec_load), CALL(kexec_file_load), CALL(init_module), CALL(finit_module),
	CALL(delete_module), CALL(reboot), CALL(swapon), CALL(swapoff), CALL(iopl), CALL(ioperm),
	CALL(syslog), CALL(acct), CALL(quotactl), CALL(quotactl_fd), CALL(nfsservctl),
	CALL(_sysctl), CALL(uselib), CALL(vhangup), CALL(vm86), CALL(vm86old), CALL(lookup_dcookie),
	CALL(fanotify_init),
	/* what most of its holes were in */
	CALL(bpf), CALL(perf_event_open), CALL(userfaultfd), CALL(io_uring_setup),
	CALL(io_uring_enter), CALL(io_uring_register), CALL(keyctl), CALL(add_key),
	CALL(request_key), CALL(mbind), CALL(move_pages), CALL(migrate_pages),
	/* what everybody's clock and name are */
	CALL(settimeofday), CALL(stime), CALL(clock_settime), CALL(clock_settime64),
	CALL(clock_adjtime), CALL(clock_adjtime64), CALL(adjtimex), CALL(sethostname),
	CALL(setdomainname),
	/* words put into the mouth of who sits at the terminal */
	IF_IS(ioctl, 1, TIOCSTI)
};

/* Families of sockets that programs use. */
static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET };

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static int add(scmp_filter_ctx filter, uint32_t action, const struct rule *rules, size_t count)
{
	int err = 0;

	/* calls that this machine does not have are passed over by the library */
	for (size_t i = 0; !err && i < count; i++) {
		const struct rule *rule = &rules[i];

		if (!rule->mask)
			err = seccomp_rule_add(filter, action, rule->call, 0);
		else
			err = seccomp_rule_add(filter, action, rule->call, 1,
				SCMP_CMP(rule->arg, SCMP_CMP_MASKED_EQ, rule->mask, rule->value));
	}
	return err;
}

/* All families but those; they are numbered from 0. */
static int add_families(scmp_filter_ctx filter)
{
	int err = 0;

	for (int family = 0; !err && family < AF_MAX; family++) {
		struct rule rule = IF_IS(socket, 0, (unsigned)family);
		bool used = false;

		for (size_t i = 0; i < COUNT(families); i++)
			used = used || families[i] == family;
		if (!used)
			err = add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), &rule, 1);
	}
	return err;
}

/* Of the family of the Internet, what iptables and DHCP are asked and answered by. */
static int add_inet(scmp_filter_ctx filter)
{
	static const uint64_t types[] = { SOCK_RAW, SOCK_DGRAM };
	int err = 0;

	for (size_t i = 0; !err && i < COUNT(types); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			SCMP_A0_32(SCMP_CMP_EQ, AF_INET),
			SCMP_A1_32(SCMP_CMP_MASKED_EQ, SOCKET_TYPE, types[i]));
	return err;
}

/* Signals to nobody but itself, as abort() does. */
static int add_own(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)getpid()));
}

/* Programs may be of the machine's other kind, and are not known to be without these calls there. */
static int add_other_machine(scmp_filter_ctx filter)
{
	int err = 0;

	if (seccomp_arch_native() == SCMP_ARCH_X86_64)
		err = seccomp_arch_add(filter, SCMP_ARCH_X86);
	else if (seccomp_arch_native() == SCMP_ARCH_AARCH64)
		err = seccomp_arch_add(filter, SCMP_ARCH_ARM);
	return err;
}

static int fill_for_daemon(scmp_filter_ctx filter)
{
	int err = add(filter, SCMP_ACT_ALLOW, needed, COUNT(needed));

	if (!err)
		err = add_inet(filter);
	return err ? err : add_own(filter);
}

static int fill_for_programs(scmp_filter_ctx filter)
{
	/* its flags cannot be seen; libc then makes the one whose flags can */
	static const struct rule clone3 = CALL(clone3);
	int err = add_other_machine(filter);

	if (!err)
		err = add(filter, SCMP_ACT_ERRNO(EPERM), forbidden, COUNT(forbidden));
	if (!err)
		err = add(filter, SCMP_ACT_ERRNO(ENOSYS), &clone3, 1);
	return err ? err : add_families(filter);
}

int sandbox_enter(bool runs_programs, const char **ret_text)
{
	scmp_filter_ctx filter = seccomp_init(runs_programs ? SCMP_ACT_ALLOW
							    : SCMP_ACT_ERRNO(ENOSYS));
	int err;

	if (!filter)
		return -ENOMEM;
	err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (!err)
		err = runs_programs ? fill_for_programs(filter) : fill_for_daemon(filter);
	/* what a program does without is its own business */
	if (!err && !runs_programs)
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	/* a search, not a walk along the list */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	if (!err)
		*ret_text = runs_programs
			? "calls of the system that no callback needs are refused, to it as well"
			: "only the calls of the system that it needs are left";
	return err;
}
