/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seating owns what is known of VMs and their ports. It must not know how that is found out, nor
 * what it is good for.
 */
#include "natmgr/seating.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

void seating_init(struct seating *seating, const struct plan *plan, bool is_sticky)
{
	*seating = (struct seating){ .plan = plan,
		.port_of = xcalloc(plan_count(plan), sizeof(*seating->port_of)),
		.is_sticky = is_sticky };
}

void seating_done(struct seating *seating)
{
	free(seating->port_of);
	free(seating->ports);
	*seating = (struct seating){ 0 };
}

/* A VM is who has the MAC. */
void seating_replan(struct seating *seating, const struct plan *plan,
	const struct plan_change *change)
{
	unsigned *port_of = xcalloc(plan_count(plan), sizeof(*port_of));

	for (size_t i = 0; i < plan_count(plan); i++) {
		if (change->before[i])
			port_of[i] = seating->port_of[change->before[i] - 1];
	}
	free(seating->port_of);
	seating->port_of = port_of;
	seating->plan = plan;
}

struct port *seating_port(const struct seating *seating, unsigned index)
{
	for (size_t i = 0; i < seating->port_count; i++) {
		if (seating->ports[i].index == index)
			return &seating->ports[i];
	}
	return NULL;
}

const struct port *seating_port_by_name(const struct seating *seating, const char *name)
{
	for (size_t i = 0; i < seating->port_count; i++) {
		if (!strcmp(seating->ports[i].name, name))
			return &seating->ports[i];
	}
	return NULL;
}

bool seating_set_ports(struct seating *seating, struct port *ports, size_t count)
{
	bool changed = count != seating->port_count ||
		(count && memcmp(ports, seating->ports, count * sizeof(*ports)) != 0);

	free(seating->ports);
	seating->ports = ports;
	seating->port_count = count;
	for (size_t i = 0; i < plan_count(seating->plan); i++) {
		if (seating->port_of[i] && !seating_port(seating, seating->port_of[i]))
			seating->port_of[i] = 0;
	}
	return changed;
}

static bool is_taken(const struct seating *seating, unsigned port)
{
	for (size_t i = 0; i < plan_count(seating->plan); i++) {
		if (seating->port_of[i] == port)
			return true;
	}
	return false;
}

bool seating_learn(struct seating *seating, const struct mac *mac, unsigned port)
{
	const struct vm *vm = plan_by_mac(seating->plan, mac);
	unsigned *seat;

	if (!vm || !seating_port(seating, port))
		return false;
	seat = &seating->port_of[plan_index(seating->plan, vm)];
	if (*seat == port || (seating->is_sticky && (*seat || is_taken(seating, port))))
		return false;
	*seat = port;
	return true;
}

const struct port *seating_of(const struct seating *seating, const struct vm *vm)
{
	unsigned port = seating->port_of[plan_index(seating->plan, vm)];

	return port ? seating_port(seating, port) : NULL;
}

size_t seating_list(const struct seating *seating, struct seat **ret_seats)
{
	size_t count = 0, cap = 0;

	*ret_seats = NULL;
	for (size_t i = 0; i < plan_count(seating->plan); i++) {
		if (!seating->port_of[i])
			continue;
		if (count == cap) {
			cap = cap ? cap * 2 : 64;
			*ret_seats = xrealloc(*ret_seats, cap, sizeof(**ret_seats));
		}
		(*ret_seats)[count++] = (struct seat){ plan_vm(seating->plan, i),
			seating->port_of[i] };
	}
	return count;
}
