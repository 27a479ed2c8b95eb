/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolation_store: the isolation on disk. A VM does not get free by a file that is lost: whoever
 * the kernel keeps isolated then stays so.
 */
#ifndef EIPD_NATMGR_ISOLATION_STORE_H
#define EIPD_NATMGR_ISOLATION_STORE_H

#include "common/config.h"
#include "natmgr/isolation.h"
#include "natmgr/nft.h"

/* Where it is; the caller frees. */
char *isolation_store_path(const struct config *config);
/*
 * What the file says. Where it is gone or damaged, also whom the kernel's table names (nft may be
 * NULL); of a damaged file a copy is kept, and the log says so. 0; or -errno and a sentence in
 * *ret_error, which the caller frees: who is isolated cannot be known, and nobody must get free by
 * that.
 */
int isolation_store_load(const char *path, struct nft *nft, struct isolation *ret_isolation,
	char **ret_error);
/* For `eipd -t`. */
void isolation_store_check(const char *path, struct problems *problems);

#endif
