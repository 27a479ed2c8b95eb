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

struct binding {
	uint32_t address; /* public, host order */
	unsigned label;   /* N of eth0:N, from 1 */
	char vm[VM_NAME_MAX + 1];
	struct mac mac;   /* the VM's when it was last in the plan: tells a new name from a new VM */
};

/* An address that nobody may have before `until`, but the VM that had it. */
struct cooldown {
	uint32_t address;
	time_t until;
	char vm[VM_NAME_MAX + 1];
};

struct binding_table {
	struct binding *list; /* in the order in which they were bound: a VM's first is its source */
	size_t count;
	struct cooldown *cooling;
	size_t cooling_count;
};

void binding_table_done(struct binding_table *table);
void binding_table_copy(const struct binding_table *from, struct binding_table *ret_to);

/* NULL if it is not bound. */
struct binding *binding_find(const struct binding_table *table, uint32_t address);
const struct cooldown *binding_cooling(const struct binding_table *table, uint32_t address,
	time_t now);
/* The VM's first address, which is the source of its own connections; NULL: none. */
const struct binding *binding_first(const struct binding_table *table, const char *vm);

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

/*
 * A free address of the pool for the VM, at or above `from`; 0 if there is none. One that cools
 * down is free for the VM that had it last.
 */
uint32_t binding_choose(const struct binding_table *table, const struct config *config,
	const char *vm, uint32_t from, time_t now);

/*
 * Follows a new plan: a VM with a new name keeps its addresses, one that left loses them. What was
 * taken back is copied to *ret_lost, which the caller frees. True if anything changed.
 */
bool binding_follow(struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now, struct binding **ret_lost, size_t *ret_lost_count);

/* Forgets what has cooled down. True if anything changed. */
bool binding_cool(struct binding_table *table, time_t now);

/* The state file's text, which the caller frees; and back: 0, or -EINVAL and the problems. */
char *binding_format(const struct binding_table *table, const char *interface, size_t *ret_len);
int binding_parse(const char *text, const char *file, struct binding_table *ret_table,
	struct problems *problems);

/* A binding as it has to be in the kernel. */
struct mapping {
	uint32_t address, inner;
	unsigned label;
	bool is_source; /* the VM's own connections leave with this address */
};

/* By ascending address; bindings of VMs that are not in the plan are left out. Caller frees. */
struct mapping *binding_map(const struct binding_table *table, const struct plan *plan,
	size_t *ret_count);
const struct mapping *mapping_by_address(const struct mapping *map, size_t count, uint32_t address);

#endif
