/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seating: which VM of the plan sits on which port of the bridge: as the host says it, or else as
 * far as the bridge has seen its MAC. Pure: it is told what the bridge learned.
 *
 * The host says it by `vm port` (a claim), and by the address of the link: libvirt gives a tap the
 * guest's MAC with the first octet fe. A guest can do nothing about either, so it goes before all
 * that was seen. What was seen may be a lie of the VM, or of another.
 */
#ifndef EIPD_NATMGR_SEATING_H
#define EIPD_NATMGR_SEATING_H

#include "natmgr/guard.h"

struct tail;

struct sighting {
	uint32_t vm; /* the plan's index */
	unsigned port;
};

struct seating {
	const struct plan *plan;
	struct tail *tails; /* the plan's MACs, as links have them */
	unsigned *port_of;  /* by the plan's index, where its MAC was seen; 0: nowhere yet */
	unsigned *said_of;  /* and where the host says that it sits, on one of its ports at least */
	struct port *ports; /* of the bridge, without the uplink */
	uint32_t *said;     /* by the index into ports, whose the host says it is: the plan's index
				plus one; 0: it says nothing */
	uint32_t *sitter;   /* and who was seen there first, likewise; only with is_sticky */
	size_t port_count;
	struct sighting *sightings; /* every port on which a MAC was seen as long as that exists */
	size_t sighting_count, sighting_cap;
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
/* What the host says: to be called whenever plan, ports or claims have changed. True: it is news. */
bool seating_hear(struct seating *seating, const struct isolation *isolation);
struct port *seating_port(const struct seating *seating, unsigned index);
const struct port *seating_port_by_name(const struct seating *seating, const char *name);

/* The MAC was seen on a port. True: the seating changed. */
bool seating_learn(struct seating *seating, const struct mac *mac, unsigned port);
/* NULL: not known. */
const struct port *seating_of(const struct seating *seating, const struct vm *vm);
/* Whose port it is, as the host says; NULL: it says nothing, or nobody's of the plan. */
const struct vm *seating_owner(const struct seating *seating, const struct port *port);
/* The host says where the VM sits. */
bool seating_is_said(const struct seating *seating, const struct vm *vm);
/* Where the VM sits, as the host says; where it says nothing, wherever the VM's MAC was seen. */
void seating_each_port(const struct seating *seating, const struct vm *vm,
	void (*each)(void *ctx, const struct port *port), void *ctx);
/* All seats; the caller frees *ret_seats. */
size_t seating_list(const struct seating *seating, struct seat **ret_seats);

/* A link has this address because a guest has this MAC. */
bool link_is_of(const struct mac *link, const struct mac *guest);

#endif
