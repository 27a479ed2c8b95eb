/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conflict: public addresses that somebody else answered for on the wire: told of, and remembered
 * for a while.
 */
#ifndef EIPD_NATMGR_CONFLICT_H
#define EIPD_NATMGR_CONFLICT_H

#include <stddef.h>

#include "common/addr.h"
#include "common/events.h"

struct conflict {
	uint32_t address;
	struct mac mac;
	uint64_t until; /* loop_now()'s */
};

/* Zeroed but for the first two: none. */
struct conflicts {
	const char *interface;
	struct events *events;
	struct conflict *list;
	size_t count;
};

/* NULL: none that is fresh enough. */
const struct conflict *conflict_find(const struct conflicts *conflicts, uint32_t address);
void conflict_note(struct conflicts *conflicts, uint32_t address, const struct mac *mac);
void conflict_clear(struct conflicts *conflicts, uint32_t address);
void conflicts_done(struct conflicts *conflicts);

#endif
