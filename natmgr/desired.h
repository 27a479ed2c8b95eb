/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * desired: what the kernel should have, made from the bindings and the plan. Pure.
 */
#ifndef EIPD_NATMGR_DESIRED_H
#define EIPD_NATMGR_DESIRED_H

#include "natmgr/binding.h"
#include "natmgr/isolation.h"

/* An address as it has to be in the kernel. */
struct mapping {
	uint32_t address;
	uint32_t inner; /* whom all of it goes to; 0: it is shared, see struct port_mapping */
	unsigned label;
	bool is_source; /* the VM's own connections leave with this address */
};

struct port_mapping {
	uint32_t address, inner;
	uint8_t protocol;
	uint16_t first, last, to;
	bool is_source;
};

/* All that has to be in the kernel. */
struct desired {
	struct mapping *map; /* by ascending address */
	size_t count;
	struct port_mapping *ports; /* by ascending address, protocol, port */
	size_t port_count;
};

/*
 * What belongs to VMs that are not in the plan is left out, and what belongs to isolated ones: it
 * stays theirs, but nobody shall reach them by it. `isolation` may be NULL: nobody is.
 */
void desired_make(const struct binding_table *table, const struct plan *plan,
	const struct isolation *isolation, struct desired *ret_desired);
void desired_done(struct desired *desired);
const struct mapping *desired_find(const struct desired *desired, uint32_t address);

#endif
