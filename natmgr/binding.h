/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binding: which VM has which public address: the desired state, and every rule of who may have
 * what (patent steps 6 to 8). Pure; time is an argument (seconds since the epoch).
 */
#ifndef EIPD_NATMGR_BINDING_H
#define EIPD_NATMGR_BINDING_H

#include <time.h>

#include "common/config.h"
#include "common/plan.h"
#include "natmgr/forward.h"

struct binding {
	uint32_t address; /* public, host order */
	unsigned label;   /* N of eth0:N, from 1 */
	char vm[VM_NAME_MAX + 1];
	struct mac mac; /* the VM's when it was last in the plan: tells a new name from a new VM */
	uint64_t
		bound; /* when, on loop_now()'s clock; 0: before the start. Not in the state file */
};

/* An address that nobody may have before `until`, but the VM that had it. */
struct cooldown {
	uint32_t address;
	time_t until;
	char vm[VM_NAME_MAX + 1];
	struct mac mac;
};

struct binding_table {
	struct binding
		*list; /* in the order in which they were bound: a VM's first is its source */
	size_t count;
	struct forward *forwards;
	size_t forward_count;
	struct cooldown *cooling;
	size_t cooling_count;
	/* borrowed from whoever keeps the table: labels and addresses that others have on the
	 * interface, the latter sorted; and loop_now()'s clock, for struct binding */
	const unsigned *foreign_labels;
	size_t foreign_label_count;
	const uint32_t *foreign_addresses;
	size_t foreign_address_count;
	uint64_t clock;
};

void binding_table_done(struct binding_table *table);
void binding_table_copy(const struct binding_table *from, struct binding_table *ret_to);

/* NULL if it is not bound. */
struct binding *binding_find(const struct binding_table *table, uint32_t address);
const struct cooldown *binding_cooling(const struct binding_table *table, uint32_t address,
	time_t now);
/*
 * Somebody else's on the interface itself, as the host's own is, or the address of its network or
 * of all hosts there: nobody can be given it.
 */
bool binding_is_foreign(const struct binding_table *table, uint32_t address);

/*
 * These return 1 (changed), 0 (it was so already) or -errno with a sentence in *ret_error, which
 * the caller frees; the table is then as it was.
 */
int binding_bind(struct binding_table *table, const struct config *config, const struct plan *plan,
	const char *vm, uint32_t address, time_t now, char **ret_error);
int binding_unbind(struct binding_table *table, const struct config *config, uint32_t address,
	time_t now, char **ret_error);
int binding_move(struct binding_table *table, const struct config *config, const struct plan *plan,
	uint32_t address, const char *vm, time_t now, char **ret_error);

/* What the caller knows of addresses beside the table: whether one can be given. */
struct address_filter {
	bool (*passes)(const void *ctx, uint32_t address);
	const void *ctx;
};

/*
 * A free address of the pool for the VM: one that cools down from it, else the lowest; 0 if there
 * is none. `vm` NULL: for a new one; `filter` NULL: any.
 */
uint32_t binding_choose(const struct binding_table *table, const struct config *config,
	const struct vm *vm, time_t now, const struct address_filter *filter);

/* And of VMs: whether one is to be given an address unasked. */
struct vm_filter {
	bool (*passes)(const void *ctx, const struct vm *vm);
	const void *ctx;
};

/*
 * Gives each VM of the plan that has neither an address nor ports of one such an address, while
 * there is one. How many; they are copied to *ret_given, which the caller frees. A filter that is
 * NULL lets all pass.
 */
size_t binding_auto(struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now, const struct address_filter *filter,
	const struct vm_filter *vms, struct binding **ret_given);

/*
 * Follows a new plan: a VM with a new name keeps its addresses, one that left loses them, and its
 * forwards. What bindings were taken back is copied to *ret_lost, which the caller frees. True if
 * anything changed.
 */
bool binding_follow(struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now, struct binding **ret_lost, size_t *ret_lost_count);

/* Forgets what has cooled down. True if anything changed. Nothing cools down for longer than is configured now. */
bool binding_cool(struct binding_table *table, const struct config *config, time_t now);
/* All of them end so much later: to go over to another clock. */
void binding_shift_cooldowns(struct binding_table *table, time_t seconds);

/*
 * Whom a name and MAC of the table mean in the plan: the name first, then, under a new name, the
 * MAC. NULL: it left.
 */
const struct vm *binding_vm(const struct plan *plan, const char *name, const struct mac *mac);

#endif
