/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conflict owns the memory of addresses in others' use. It must not know why the wire was asked. */
#include "natmgr/conflict.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/memory.h"

/* An address that somebody else answered for is not chosen again for so long. */
#define CONFLICT_MS 600000

const struct conflict *conflict_find(const struct conflicts *conflicts, uint32_t address)
{
	for (size_t i = 0; i < conflicts->count; i++) {
		if (conflicts->list[i].address == address && conflicts->list[i].until > loop_now())
			return &conflicts->list[i];
	}
	return NULL;
}

void conflict_clear(struct conflicts *conflicts, uint32_t address)
{
	for (size_t i = 0; i < conflicts->count; i++) {
		if (conflicts->list[i].address == address)
			conflicts->list[i--] = conflicts->list[--conflicts->count];
	}
}

void conflict_note(struct conflicts *conflicts, uint32_t address, const struct mac *mac)
{
	char text[IP4_STRLEN], owner[MAC_STRLEN];

	log_warning("nat: %s is used on %s by %s", ip4_format(address, text), conflicts->interface,
		mac_format(mac, owner));
	events_post(conflicts->events, "conflict",
		json_pack("{s:s, s:s}", "address", text, "mac", owner));
	conflict_clear(conflicts, address);
	conflicts->list = xrealloc(conflicts->list, conflicts->count + 1, sizeof(*conflicts->list));
	conflicts->list[conflicts->count++] = (struct conflict){ address, *mac,
		loop_now() + CONFLICT_MS };
}

void conflicts_done(struct conflicts *conflicts)
{
	free(conflicts->list);
	*conflicts = (struct conflicts){ 0 };
}
