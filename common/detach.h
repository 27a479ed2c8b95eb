/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detach: into the background, of which whoever started us hears when all is ready, or that it will
 * never be (daemon(7), SysV daemons).
 */
#ifndef EIPD_COMMON_DETACH_H
#define EIPD_COMMON_DETACH_H

/* At first: a descriptor that is opened later must not be taken for one of the standard three. */
void detach_open_standard(void);

/*
 * In the parent: does not return, but exits with 0 when the child is ready, or with 1 when it has
 * ended; why, the child has said on standard error. In the child: returns the descriptor for
 * detach_say_ready(). -errno: there is no child.
 */
int detach(void);
/* Standard input and outputs are /dev/null's from here on. */
void detach_say_ready(int fd);

#endif
