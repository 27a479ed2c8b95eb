/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auto_bind: each VM of the plan without a public address is given one of the pool, where the wire
 * has to be asked first (where it has not, keeper does so as it goes over to a plan).
 *
 * All addresses are asked for at once; those that nobody answered for are given in one change, to
 * those that have none by then.
 */
#ifndef EIPD_NATMGR_AUTO_BIND_H
#define EIPD_NATMGR_AUTO_BIND_H

#include "common/events.h"
#include "natmgr/conflict.h"
#include "natmgr/keeper.h"

struct auto_bind;

/* All of these, and what the filter needs, must outlive it. */
struct auto_bind *auto_bind_new(struct loop *loop, const struct config *config,
	struct keeper *keeper, struct events *events, struct conflicts *conflicts,
	const struct address_filter *filter);
/* After keeper_free(). */
void auto_bind_free(struct auto_bind *auto_bind);

/* Now; after what is under way, if anything is. What cannot be done is tried again later. */
void auto_bind_start(struct auto_bind *auto_bind);
/* The address may be given soon. */
bool auto_bind_asks_for(const struct auto_bind *auto_bind, uint32_t address);

#endif
