/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seating owns what is known of VMs and their ports. It must not know how that is found out, nor
 * what it is good for.
 */
#include "natmgr/seating.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* One MAC that many ports send takes room for each of them, so there is an end to what is noted. */
#define SIGHTINGS_PER_VM 16

/* --- addresses of links ------------------------------------------------------------------- */

/* The octets of a MAC behind the first. */
#define TAIL_LEN (MAC_LEN - 1)

struct tail {
	uint8_t octets[TAIL_LEN];
	uint32_t vm;
};

/* libvirt: fe, and fa for a guest whose MAC begins with fe. Xen has the same address on all. */
bool link_is_of(const struct mac *link, const struct mac *guest)
{
	static const uint8_t xen[TAIL_LEN] = { 0xff, 0xff, 0xff, 0xff, 0xff };

	return link->byte[0] == (guest->byte[0] == 0xfe ? 0xfa : 0xfe) &&
		!memcmp(link->byte + 1, guest->byte + 1, TAIL_LEN) &&
		memcmp(link->byte + 1, xen, TAIL_LEN) != 0;
}

static int compare_tails(const void *a, const void *b)
{
	return memcmp(((const struct tail *)a)->octets, ((const struct tail *)b)->octets, TAIL_LEN);
}

static struct tail *make_tails(const struct plan *plan)
{
	size_t count = plan_count(plan);
	struct tail *tails = xcalloc(count, sizeof(*tails));

	for (size_t i = 0; i < count; i++) {
		memcpy(tails[i].octets, plan_vm(plan, i)->mac.byte + 1, TAIL_LEN);
		tails[i].vm = (uint32_t)i;
	}
	if (count)
		qsort(tails, count, sizeof(*tails), compare_tails);
	return tails;
}

/* Whose guest the link's address is of: the plan's index plus one; 0: nobody's, or of several. */
static uint32_t guest_of(const struct seating *seating, const struct mac *link)
{
	size_t count = plan_count(seating->plan), low = 0, high = count;
	struct tail key;
	uint32_t found = 0;

	memcpy(key.octets, link->byte + 1, TAIL_LEN);
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (compare_tails(&seating->tails[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < count && !compare_tails(&seating->tails[low], &key); low++) {
		if (!link_is_of(link, &plan_vm(seating->plan, seating->tails[low].vm)->mac))
			continue;
		if (found)
			return 0;
		found = seating->tails[low].vm + 1;
	}
	return found;
}

/* --- life --------------------------------------------------------------------------------- */

void seating_init(struct seating *seating, const struct plan *plan, bool is_sticky)
{
	*seating = (struct seating){ .plan = plan,
		.tails = make_tails(plan),
		.port_of = xcalloc(plan_count(plan), sizeof(*seating->port_of)),
		.said_of = xcalloc(plan_count(plan), sizeof(*seating->said_of)),
		.is_sticky = is_sticky };
}

void seating_done(struct seating *seating)
{
	free(seating->tails);
	free(seating->port_of);
	free(seating->said_of);
	free(seating->ports);
	free(seating->said);
	free(seating->sitter);
	free(seating->sightings);
	*seating = (struct seating){ 0 };
}

/* --- ports -------------------------------------------------------------------------------- */

/* Where it is in the list; port_count: it is not. */
static size_t position(const struct seating *seating, unsigned index)
{
	size_t low = 0, high = seating->port_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (seating->ports[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < seating->port_count && seating->ports[low].index == index
		? low
		: seating->port_count;
}

struct port *seating_port(const struct seating *seating, unsigned index)
{
	size_t at = position(seating, index);

	return at < seating->port_count ? &seating->ports[at] : NULL;
}

const struct port *seating_port_by_name(const struct seating *seating, const char *name)
{
	for (size_t i = 0; i < seating->port_count; i++) {
		if (!strcmp(seating->ports[i].name, name))
			return &seating->ports[i];
	}
	return NULL;
}

/* Who sits where, told by the ports. */
static void note_sitters(struct seating *seating)
{
	if (seating->port_count)
		memset(seating->sitter, 0, seating->port_count * sizeof(*seating->sitter));
	for (size_t i = 0; i < plan_count(seating->plan); i++) {
		size_t at = seating->port_of[i] ? position(seating, seating->port_of[i])
						: seating->port_count;

		if (at < seating->port_count)
			seating->sitter[at] = (uint32_t)i + 1;
	}
}

bool seating_set_ports(struct seating *seating, struct port *ports, size_t count)
{
	bool changed = count != seating->port_count ||
		(count && memcmp(ports, seating->ports, count * sizeof(*ports)) != 0);
	size_t kept = 0;

	free(seating->ports);
	free(seating->said);
	free(seating->sitter);
	seating->ports = ports;
	seating->port_count = count;
	seating->said = xcalloc(count, sizeof(*seating->said));
	seating->sitter = xcalloc(count, sizeof(*seating->sitter));
	for (size_t i = 0; i < plan_count(seating->plan); i++) {
		if (seating->port_of[i] && !seating_port(seating, seating->port_of[i]))
			seating->port_of[i] = 0;
	}
	for (size_t i = 0; i < seating->sighting_count; i++) {
		if (seating_port(seating, seating->sightings[i].port))
			seating->sightings[kept++] = seating->sightings[i];
	}
	seating->sighting_count = kept;
	note_sitters(seating);
	return changed;
}

/* --- what the host says ------------------------------------------------------------------- */

static uint32_t listen_to(const struct seating *seating, const struct isolation *isolation,
	const struct port *port)
{
	const struct mac *claimed = isolation_claimed(isolation, port);
	const struct vm *vm;

	if (!claimed)
		return guest_of(seating, &port->mac);
	vm = plan_by_mac(seating->plan, claimed);
	return vm ? (uint32_t)plan_index(seating->plan, vm) + 1 : 0;
}

bool seating_hear(struct seating *seating, const struct isolation *isolation)
{
	size_t count = plan_count(seating->plan);
	bool changed = false;

	if (count)
		memset(seating->said_of, 0, count * sizeof(*seating->said_of));
	for (size_t i = 0; i < seating->port_count; i++) {
		uint32_t said = listen_to(seating, isolation, &seating->ports[i]);

		changed = changed || said != seating->said[i];
		seating->said[i] = said;
		if (said)
			seating->said_of[said - 1] = seating->ports[i].index;
	}
	/* who was seen there sits elsewhere, and who has a port by the host's word has no other */
	for (size_t i = 0; i < count; i++) {
		size_t at = seating->port_of[i] ? position(seating, seating->port_of[i])
						: seating->port_count;

		if (at < seating->port_count &&
			(seating->said[at] ? seating->said[at] != i + 1 : seating->said_of[i] != 0))
			seating->port_of[i] = 0;
	}
	note_sitters(seating);
	return changed;
}

const struct vm *seating_owner(const struct seating *seating, const struct port *port)
{
	size_t at = position(seating, port->index);

	return at < seating->port_count && seating->said[at]
		? plan_vm(seating->plan, seating->said[at] - 1)
		: NULL;
}

/* --- what was seen ------------------------------------------------------------------------ */

static int compare_sightings(const struct sighting *a, const struct sighting *b)
{
	if (a->vm != b->vm)
		return a->vm < b->vm ? -1 : 1;
	return a->port < b->port ? -1 : a->port > b->port;
}

/* Where it is, or belongs. */
static size_t find_sighting(const struct seating *seating, const struct sighting *sighting)
{
	size_t low = 0, high = seating->sighting_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (compare_sightings(&seating->sightings[middle], sighting) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void note_sighting(struct seating *seating, uint32_t vm, unsigned port)
{
	const struct sighting sighting = { vm, port };
	size_t at = find_sighting(seating, &sighting);

	if (at < seating->sighting_count && !compare_sightings(&seating->sightings[at], &sighting))
		return;
	if (seating->sighting_count >= plan_count(seating->plan) * SIGHTINGS_PER_VM)
		return;
	if (seating->sighting_count == seating->sighting_cap) {
		seating->sighting_cap = seating->sighting_cap ? seating->sighting_cap * 2 : 64;
		seating->sightings = xrealloc(seating->sightings, seating->sighting_cap,
			sizeof(*seating->sightings));
	}
	memmove(&seating->sightings[at + 1], &seating->sightings[at],
		(seating->sighting_count - at) * sizeof(*seating->sightings));
	seating->sightings[at] = sighting;
	seating->sighting_count++;
}

bool seating_learn(struct seating *seating, const struct mac *mac, unsigned port)
{
	const struct vm *vm = plan_by_mac(seating->plan, mac);
	size_t at = position(seating, port);
	uint32_t index;

	if (!vm || at == seating->port_count)
		return false;
	index = (uint32_t)plan_index(seating->plan, vm);
	/* the host knows better */
	if (seating->said[at] || seating->said_of[index])
		return false;
	if (seating->is_sticky && (seating->port_of[index] || seating->sitter[at]))
		return false;
	if (!seating->is_sticky)
		note_sighting(seating, index, port);
	if (seating->port_of[index] == port)
		return false;
	seating->port_of[index] = port;
	seating->sitter[at] = index + 1;
	return true;
}

/* A VM is who has the MAC. */
void seating_replan(struct seating *seating, const struct plan *plan,
	const struct plan_change *change)
{
	size_t count = plan_count(plan), old_count = plan_count(seating->plan);
	uint32_t *after = xcalloc(old_count, sizeof(*after));
	unsigned *port_of = xcalloc(count, sizeof(*port_of));
	struct sighting *sightings = seating->sightings;
	size_t sighting_count = seating->sighting_count;

	for (size_t i = 0; i < count; i++) {
		if (!change->before[i])
			continue;
		port_of[i] = seating->port_of[change->before[i] - 1];
		after[change->before[i] - 1] = (uint32_t)i + 1;
	}
	free(seating->port_of);
	free(seating->said_of);
	free(seating->tails);
	seating->port_of = port_of;
	seating->said_of = xcalloc(count, sizeof(*seating->said_of));
	if (seating->port_count)
		memset(seating->said, 0, seating->port_count * sizeof(*seating->said));
	seating->plan = plan;
	seating->tails = make_tails(plan);
	seating->sightings = NULL;
	seating->sighting_count = seating->sighting_cap = 0;
	for (size_t i = 0; i < sighting_count; i++) {
		if (after[sightings[i].vm])
			note_sighting(seating, after[sightings[i].vm] - 1, sightings[i].port);
	}
	note_sitters(seating);
	free(sightings);
	free(after);
}

/* --- what is told ------------------------------------------------------------------------- */

const struct port *seating_of(const struct seating *seating, const struct vm *vm)
{
	size_t index = plan_index(seating->plan, vm);
	unsigned port = seating->said_of[index] ? seating->said_of[index] : seating->port_of[index];

	return port ? seating_port(seating, port) : NULL;
}

bool seating_is_said(const struct seating *seating, const struct vm *vm)
{
	return seating->said_of[plan_index(seating->plan, vm)] != 0;
}

void seating_each_port(const struct seating *seating, const struct vm *vm,
	void (*each)(void *ctx, const struct port *port), void *ctx)
{
	const struct sighting first = { (uint32_t)plan_index(seating->plan, vm), 0 };
	size_t at;

	for (size_t i = 0; seating->said_of[first.vm] && i < seating->port_count; i++) {
		if (seating->said[i] == first.vm + 1)
			each(ctx, &seating->ports[i]);
	}
	if (seating->said_of[first.vm])
		return;
	if (seating->port_of[first.vm])
		each(ctx, seating_port(seating, seating->port_of[first.vm]));
	for (at = find_sighting(seating, &first);
		at < seating->sighting_count && seating->sightings[at].vm == first.vm; at++) {
		const struct port *port = seating_port(seating, seating->sightings[at].port);

		if (!seating_owner(seating, port))
			each(ctx, port);
	}
}

size_t seating_list(const struct seating *seating, struct seat **ret_seats)
{
	size_t count = 0;

	/* each port has one VM at most, but without is_sticky */
	*ret_seats = xcalloc(plan_count(seating->plan) + seating->port_count, sizeof(**ret_seats));
	for (size_t i = 0; i < seating->port_count; i++) {
		if (seating->said[i])
			(*ret_seats)[count++] = (struct seat){ plan_vm(seating->plan,
								       seating->said[i] - 1),
				seating->ports[i].index };
	}
	for (size_t i = 0; i < plan_count(seating->plan); i++) {
		if (seating->port_of[i] && !seating->said_of[i])
			(*ret_seats)[count++] = (struct seat){ plan_vm(seating->plan, i),
				seating->port_of[i] };
	}
	return count;
}
