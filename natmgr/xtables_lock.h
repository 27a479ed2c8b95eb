/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xtables_lock: the lock that programs hold while they change tables of iptables, in the file that
 * XTABLES_LOCKFILE names, else /run/xtables.lock (iptables(8), option -w).
 */
#ifndef EIPD_NATMGR_XTABLES_LOCK_H
#define EIPD_NATMGR_XTABLES_LOCK_H

#include "natmgr/backend.h"

/*
 * As the iptables program takes it, but never waiting. 0 and a descriptor for xtables_unlock();
 * -EAGAIN: another program holds it; or -errno; both with a sentence in error.
 */
int xtables_lock(int *ret_fd, char error[static BACKEND_ERROR_SIZE]);
void xtables_unlock(int fd);

/*
 * Opens the file and keeps it, for a process that is to become a user who may not open it: from
 * then on this descriptor is used where the file cannot be opened.
 */
void xtables_lock_keep(void);

#endif
