/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_mask owns the group_fwd_mask of guarded ports: it makes frames that a bridge takes for
 * itself meet our rules. It must not know what these are.
 */
#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "natmgr/isolate_private.h"

static void set_mask(struct isolate *isolate, const struct port *port, uint16_t mask)
{
	struct netlink_link link;
	int err = netlink_port_set_group_fwd_mask(isolate->route, port->index, mask);

	/* older kernels pass over what they do not know */
	if (!err)
		err = netlink_link_get_index(isolate->route, port->index, &link);
	if (!err && link.group_fwd_mask != mask)
		err = -EOPNOTSUPP;
	if (err && err != -ENODEV)
		log_error("isolation: frames to 01:80:c2:00:00:0e from port %s pass all rules: "
			  "group_fwd_mask cannot be set: %s (Linux 4.15 has it)",
			port->name, strerror(-err));
}

static bool is_guarded(const struct isolate *isolate, const struct port *port)
{
	for (size_t i = 0; i < isolate->isolation.count; i++) {
		const struct isolated *isolated = &isolate->isolation.list[i];

		for (size_t p = 0; p < isolated->port_count; p++) {
			if (isolated->ports[p].index == port->index)
				return true;
		}
	}
	return isolate->anti_spoof;
}

static bool lacks_mask(const struct isolate *isolate, const struct port *port)
{
	return (~port->group_fwd_mask & GUARD_FWD_MASK) && is_guarded(isolate, port);
}

/* First: only the file knows what the ports had. True: it is to be written. */
static bool note_masks(struct isolate *isolate)
{
	bool is_new = false;

	for (size_t i = 0; i < isolate->seating.port_count; i++) {
		const struct port *port = &isolate->seating.ports[i];

		if (lacks_mask(isolate, port))
			is_new = isolation_note_mask(&isolate->isolation, port) || is_new;
	}
	return is_new;
}

/*
 * Also one that lost it. Only when the rules are there: until then such a frame would go to all. And
 * when it is noted; but where that fails, a disk that is broken frees nobody.
 */
void isolate_guard_ports(struct isolate *isolate)
{
	if (!isolate->is_synced)
		return;
	if (note_masks(isolate))
		isolate_save(isolate);
	/* at its end this is called again */
	if (isolate_is_saving(isolate))
		return;
	for (size_t i = 0; i < isolate->seating.port_count; i++) {
		struct port *port = &isolate->seating.ports[i];

		if (!lacks_mask(isolate, port))
			continue;
		port->group_fwd_mask |= GUARD_FWD_MASK;
		set_mask(isolate, port, port->group_fwd_mask);
	}
}

/*
 * What ports had that are not guarded any more, they have again; before the rules go. True: the file
 * is to be written.
 */
bool isolate_release_ports(struct isolate *isolate)
{
	struct isolation *isolation = &isolate->isolation;
	size_t before = isolation->mask_count, kept = 0;

	for (size_t i = 0; i < before; i++) {
		const struct port had = isolation->masks[i];
		struct port *port = seating_port(&isolate->seating, had.index);

		if (port && is_guarded(isolate, port)) {
			isolation->masks[kept++] = had;
		} else if (port) {
			port->group_fwd_mask = had.group_fwd_mask;
			set_mask(isolate, port, port->group_fwd_mask);
		}
	}
	isolation->mask_count = kept;
	return kept != before;
}
