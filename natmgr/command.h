/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command: the commands `ip …` and `forward …`: what was asked, from words to a change of the
 * keeper's, with a question to the wire (ARP probe) where one is due, and the answer as JSON.
 */
#ifndef EIPD_NATMGR_COMMAND_H
#define EIPD_NATMGR_COMMAND_H

#include "common/events.h"
#include "natmgr/conflict.h"
#include "natmgr/keeper.h"

struct commands;

/* Registers the commands. All of these must outlive it. */
struct commands *commands_new(struct loop *loop, struct control *control,
	const struct config *config, struct keeper *keeper, struct events *events);
/* After keeper_free(), which answers what waits. */
void commands_free(struct commands *commands);

/* What the wire said. */
const struct conflicts *commands_conflicts(const struct commands *commands);

/* Takes an address back without being asked: its VM, still the owner, had no lease for too long. */
void commands_reclaim(struct commands *commands, const char *vm, uint32_t address);

/* What auto-bind has to know: the plan is another one; a VM of it has a lease. */
void commands_replanned(struct commands *commands);
void commands_vm_came(struct commands *commands, const struct vm *vm);

#endif
