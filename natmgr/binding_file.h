/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binding_file: the table of bindings as text that people can read: the state file `bindings`.
 * Pure.
 *
 *   bind ADDRESS VM MAC LABEL
 *   forward ADDRESS:PORTS/PROTOCOL VM MAC PORT LABEL source|-
 *   cooldown ADDRESS VM MAC TIME
 */
#ifndef EIPD_NATMGR_BINDING_FILE_H
#define EIPD_NATMGR_BINDING_FILE_H

#include "natmgr/binding.h"

/* `interface`: for the labels. The caller frees. */
char *binding_format(const struct binding_table *table, const char *interface, size_t *ret_len);
/* 0, and the caller calls binding_table_done(); or -EINVAL and the problems. */
int binding_parse(const char *text, const char *file, struct binding_table *ret_table,
	struct problems *problems);

#endif
