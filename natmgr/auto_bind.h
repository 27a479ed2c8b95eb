/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auto_bind: each VM of the plan without a public address is given one of the pool while there is
 * one (patent step 8: what one VM no longer needs is bound to another): when the plan changes,
 * when an address becomes free, and when one has cooled down or is no longer in others' use.
 *
 * Where the wire has to be asked first, all addresses are asked for at once; those that nobody
 * answered for are given in one change, to those that have none by then. Where it has not, keeper
 * does as much as it goes over to a plan, and what comes later is done here.
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

/* Of a new plan, at once: nobody is passed over any more. */
void auto_bind_replanned(struct auto_bind *auto_bind);
/* An address may be free that was not. */
void auto_bind_look(struct auto_bind *auto_bind);
/*
 * The VM lost its address, which may be another's now; it is passed over until the plan is next
 * taken over, or else each `unbind` would be followed by a bind. Where it was reclaimed for being
 * away, also only until it comes.
 */
void auto_bind_lost(struct auto_bind *auto_bind, const struct vm *vm, bool until_it_comes);
/* It has a lease. */
void auto_bind_vm_came(struct auto_bind *auto_bind, const struct vm *vm);
/* The address may be given soon. */
bool auto_bind_asks_for(const struct auto_bind *auto_bind, uint32_t address);

#endif
