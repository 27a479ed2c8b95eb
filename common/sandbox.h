/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox: which system calls the process may still make (seccomp(2)). It is there only in a build
 * with SECCOMP=1; in others sandbox_enter() does nothing, and says so.
 *
 * The filter goes to all threads, and to what is run: programs of users, too, which nobody can
 * list the calls of. Therefore there are two filters:
 *
 *   no program is ever run     only the calls of this daemon are left, the rest is ENOSYS (from
 *                              which libc goes back to an older call), and the kernel logs it
 *   programs are run           all are left but those that no such program should make, and that
 *                              attacks of the kernel begin with; they are EPERM
 *
 * Nothing is killed for a call: a DHCP server that does without one thing is better than none, and
 * who has come so far as to make such a call may as well end the process.
 */
#ifndef EIPD_COMMON_SANDBOX_H
#define EIPD_COMMON_SANDBOX_H

#include <stdbool.h>

/*
 * For good. 0 or -errno. *ret_text: static, what is in force, for the log; NULL where there is
 * nothing.
 */
int sandbox_enter(bool runs_programs, const char **ret_text);

#endif
