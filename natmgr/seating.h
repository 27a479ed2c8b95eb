/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seating: which VM of the plan sits on which port of the bridge, as far as the bridge has seen
 * its MAC. Pure: it is told what the bridge learned.
 */
#ifndef EIPD_NATMGR_SEATING_H
#define EIPD_NATMGR_SEATING_H

#include "natmgr/guard.h"

struct seating {
	const struct plan *plan;
	unsigned *port_of;  /* by the plan's index; 0: nowhere yet */
	struct port *ports; /* of the bridge, without the uplink */
	size_t port_count;
	/*
	 * With anti-spoof the first who comes has the port, and keeps it as long as the port exists:
	 * a MAC that is seen elsewhere is a lie. Without, a VM is where it was seen last.
	 */
	bool is_sticky;
};

/* `plan` is borrowed until seating_replan(). */
void seating_init(struct seating *seating, const struct plan *plan, bool is_sticky);
void seating_done(struct seating *seating);
void seating_replan(struct seating *seating, const struct plan *plan,
	const struct plan_change *change);

/* The ports there are now, by ascending index; takes the list over. True: they are not as before. */
bool seating_set_ports(struct seating *seating, struct port *ports, size_t count);
struct port *seating_port(const struct seating *seating, unsigned index);
const struct port *seating_port_by_name(const struct seating *seating, const char *name);

/* The MAC was seen on a port. True: the seating changed. */
bool seating_learn(struct seating *seating, const struct mac *mac, unsigned port);
/* NULL: not known. */
const struct port *seating_of(const struct seating *seating, const struct vm *vm);
/* All seats; the caller frees *ret_seats. */
size_t seating_list(const struct seating *seating, struct seat **ret_seats);

#endif
