/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binding_store: the bindings on disk, and where the file is damaged, from the kernel's rules.
 */
#ifndef EIPD_NATMGR_BINDING_STORE_H
#define EIPD_NATMGR_BINDING_STORE_H

#include "common/config.h"
#include "natmgr/backend.h"
#include "natmgr/binding.h"

/* What cooldowns are counted in: seconds of a clock that nobody can set, loop_now()'s. */
time_t binding_seconds(void);

/* Where they are; the caller frees. */
char *binding_store_path(const struct config *config);
/* The text of the file, for statefile_write(); the caller frees it. */
char *binding_store_format(const struct config *config, const struct binding_table *table,
	size_t *ret_len);
/* Both in one: 0 or -errno. */
int binding_store_save(const char *path, const struct config *config,
	const struct binding_table *table);
/*
 * 0 also where there is no file yet. 1: it is damaged; a copy of it is kept, the log says so, and
 * the table has its good lines and what beyond them the kernel's rules say: it has to be saved
 * before anything is done, or the next start would not know that. Else -errno and a sentence in
 * *ret_error, which the caller frees. May wait for the lock of iptables.
 */
int binding_store_load(const char *path, const struct config *config, const struct plan *plan,
	struct backend *backend, struct binding_table *ret_table, char **ret_error);
/* For `eipd -t`. */
void binding_store_check(const char *path, struct problems *problems);

#endif
