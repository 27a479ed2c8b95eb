/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address_list: the command `ip list`: all addresses of the pool, what they are and whose, and how
 * many connections each has, which takes a look at all flows of the kernel, on a thread.
 */
#ifndef EIPD_NATMGR_ADDRESS_LIST_H
#define EIPD_NATMGR_ADDRESS_LIST_H

#include "common/control.h"
#include "natmgr/conflict.h"
#include "natmgr/keeper.h"

struct address_list;

/* Registers the command. All of these must outlive it. */
struct address_list *address_list_new(struct loop *loop, struct control *control,
	const struct config *config, const struct keeper *keeper,
	const struct conflicts *conflicts);
/* Who waits is refused. */
void address_list_free(struct address_list *list);

/* "eth0:1", as answers have it. */
json_t *address_label(const struct config *config, unsigned label);

#endif
