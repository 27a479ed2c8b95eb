/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binding_private: what binding.c and forward.c share, and nobody else includes.
 */
#ifndef EIPD_NATMGR_BINDING_PRIVATE_H
#define EIPD_NATMGR_BINDING_PRIVATE_H

#include "natmgr/binding.h"

/* The lowest label that is not taken: the patent's eth0:1, eth0:2, … */
unsigned binding_free_label(const struct binding_table *table);
/* 0; or -ENOENT and a sentence. */
int binding_find_vm(const struct plan *plan, const char *name, const struct vm **ret_vm,
	char **ret_error);
/* 0 if the VM may be given an address that nobody has now; or -errno and a sentence. */
int binding_check_available(const struct binding_table *table, const struct config *config,
	uint32_t address, const struct vm *vm, time_t now, char **ret_error);
/* The address is nobody's any more; it cools down where so configured. And: it is somebody's. */
void binding_cool_down(struct binding_table *table, const struct config *config, uint32_t address,
	const char *vm, const struct mac *mac, time_t now);
void binding_drop_cooldown(struct binding_table *table, uint32_t address);

/* Forwards of VMs that left the plan go, others follow a new name. True: any did. */
bool forward_follow(struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now);

#endif
