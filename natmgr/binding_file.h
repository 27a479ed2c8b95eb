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

/*
 * `interface`: for the labels; `ahead`: so much later is it by the clock of the file than by that of
 * the cooldowns. The caller frees.
 */
char *binding_format(const struct binding_table *table, const char *interface, time_t ahead,
	size_t *ret_len);
/*
 * What the good lines say; the caller calls binding_table_done(). 0; or -EINVAL and the problems: a
 * bad line is left out, and of a file of another version all lines are.
 */
int binding_parse(const char *text, const char *file, struct binding_table *ret_table,
	struct problems *problems);

#endif
