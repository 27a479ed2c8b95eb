/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * privilege: what the process may do beyond what any process of its user may (capabilities(7)).
 *
 * In three steps: privilege_become() when only root's directories are made, privilege_drop() when
 * all is ready and before anything that others sent is looked at, privilege_renounce() in a child
 * before it becomes another program. All in the main thread, before there are others: these have
 * the rights of the thread that makes them. 0 or -errno; after an error nobody should go on.
 *
 * The system calls are made here and not by libcap-ng, which would bring libc's name services into
 * a statically linked program.
 */
#ifndef EIPD_COMMON_PRIVILEGE_H
#define EIPD_COMMON_PRIVILEGE_H

#include <stdbool.h>

/*
 * The process becomes the user (by name; "": stays who it is), and from now on may do with files
 * what that user may; all other privileges stay. -ENOENT: there is no such user.
 */
int privilege_become(const char *user);

/* Without CAP_NET_ADMIN and CAP_NET_RAW there is nothing that eipd can do. */
bool privilege_suffices(void);

/* Takes back, for a while, the right to pass over permissions of files. */
int privilege_pass_over_files(bool may);

/*
 * For good: only CAP_NET_ADMIN and CAP_NET_RAW are left, and if children are to be other users and
 * killed, CAP_SETUID, CAP_SETGID and CAP_KILL. The bounding, inheritable and ambient sets are
 * empty, and no program gets more by being run: not by its file (no_new_privs), not as user 0
 * (SECBIT_NOROOT). A process that began without CAP_SETPCAP keeps its bounding set; it is of no use
 * to it.
 */
int privilege_drop(bool for_other_users);

/* The child keeps none of them. */
int privilege_renounce(void);

#endif
