/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * account: users and groups by name, as /etc/passwd and /etc/group have them.
 *
 * Not by getpwnam(3) and its kin, whose name services are shared libraries, which a statically
 * linked program does not have. 0 or -errno; -ENOENT where nobody has the name.
 */
#ifndef EIPD_COMMON_ACCOUNT_H
#define EIPD_COMMON_ACCOUNT_H

#include <sys/types.h>

int account_find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid);
int account_find_group(const char *name, gid_t *ret_gid);
/*
 * The process becomes the user for good, with its groups and no more; if it is that user already,
 * nothing happens.
 */
int account_become(const char *name);

#endif
