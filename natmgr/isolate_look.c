/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_look owns how it is found out which ports there are and who sits there. It must not know
 * what comes of it: it asks for a sync.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "natmgr/isolate_private.h"

/* What the kernel could not tell is asked again after this. */
#define LOOK_AGAIN_MS 100
/* So many VMs of the plan are looked for at once; then there is a pause of so many times that. */
#define LOOK_PART  256
#define LOOK_PAUSE 10

struct port_list {
	const char *uplink;
	unsigned bridge_index, uplink_index;
	struct port *ports;
	size_t count, cap;
	unsigned *others;
	size_t other_count;
};

static void add_port(struct port_list *list, const struct port *port)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 64;
		list->ports = xrealloc(list->ports, list->cap, sizeof(*port));
	}
	list->ports[list->count++] = *port;
}

/* What comes from the uplink is not a VM's; it is never cut off. */
static void take_port(void *ctx, const struct netlink_link *link)
{
	struct port_list *list = ctx;
	struct port port = {
		.index = link->index, .group_fwd_mask = link->group_fwd_mask, .mac = link->mac
	};

	if (link->master != list->bridge_index) {
		list->others = xrealloc(list->others, list->other_count + 1, sizeof(*list->others));
		list->others[list->other_count++] = link->index;
		return;
	}
	if (!strcmp(link->name, list->uplink)) {
		list->uplink_index = link->index;
		return;
	}
	memcpy(port.name, link->name, sizeof(port.name));
	add_port(list, &port);
}

static int compare_ports(const void *a, const void *b)
{
	const struct port *pa = a, *pb = b;

	return pa->index < pb->index ? -1 : pa->index > pb->index;
}

static void log_port(struct isolate *isolate, const struct isolated *isolated,
	const struct port *port)
{
	log_info("isolation: %s is cut off on port %s", isolated->vm, port->name);
	events_post(isolate->events, "isolated-port",
		json_pack("{s:s, s:s}", "vm", isolated->vm, "port", port->name));
}

/* The host says that it is somebody else's. */
static bool is_others(const struct isolate *isolate, const struct isolated *isolated,
	const struct port *port)
{
	const struct mac *claimed = isolation_claimed(&isolate->isolation, port);
	const struct vm *owner = seating_owner(&isolate->seating, port);

	if (!claimed && !owner)
		return false;
	return !isolated->ip || !mac_equal(claimed ? claimed : &owner->mac, &isolated->mac);
}

struct seeing {
	struct isolate *isolate;
	struct isolated *isolated;
	bool changed;
};

static void see(void *ctx, const struct port *port)
{
	struct seeing *seeing = ctx;

	if (!port || is_others(seeing->isolate, seeing->isolated, port) ||
		!isolated_see(seeing->isolated, port))
		return;
	log_port(seeing->isolate, seeing->isolated, port);
	seeing->changed = true;
}

/* It was made for the VM, which is in no plan any more. */
static bool is_left_behind(const struct isolate *isolate, const struct isolated *isolated,
	const struct port *port)
{
	const struct mac *claimed = isolation_claimed(&isolate->isolation, port);

	return isolated->ip &&
		(claimed ? mac_equal(claimed, &isolated->mac)
			 : link_is_of(&port->mac, &isolated->mac));
}

/* The host has said it, also of a link that is no port of the bridge yet. */
static void see_claimed(struct seeing *seeing)
{
	const struct isolation *isolation = &seeing->isolate->isolation;

	for (size_t i = 0; seeing->isolated->ip && i < isolation->claim_count; i++) {
		if (mac_equal(&isolation->claims[i].mac, &seeing->isolated->mac))
			see(seeing, &isolation->claims[i].port);
	}
}

/* What the host says of ports goes before what the hand has named, and what was seen. */
static bool see_known(struct isolate *isolate, struct isolated *isolated)
{
	const struct vm *vm = plan_by_name(isolate->seating.plan, isolated->vm);
	struct seeing seeing = { isolate, isolated, false };

	for (size_t i = isolated->port_count; i-- > 0;) {
		const struct port port = isolated->ports[i];

		if (!is_others(isolate, isolated, &port))
			continue;
		log_warning("isolation: port %s is not that of %s, as the host says now; it is not "
			    "cut off for it any more",
			port.name, isolated->vm);
		seeing.changed = isolated_forget(isolated, port.index) || seeing.changed;
	}
	see_claimed(&seeing);
	if (*isolated->wanted_port)
		see(&seeing, seating_port_by_name(&isolate->seating, isolated->wanted_port));
	if (vm)
		seating_each_port(&isolate->seating, vm, see, &seeing);
	for (size_t i = 0; !vm && i < isolate->seating.port_count; i++) {
		if (is_left_behind(isolate, isolated, &isolate->seating.ports[i]))
			see(&seeing, &isolate->seating.ports[i]);
	}
	return seeing.changed;
}

static void look_due(void *ctx);

/* A guest can have a bridge learn and forget MACs without end: looking takes a small part of our time. */
static void look_soon(struct isolate *isolate)
{
	if (!isolate->look_again.active)
		loop_timer_set(isolate->loop, &isolate->look_again,
			LOOK_AGAIN_MS + isolate->look_cost * LOOK_PAUSE, look_due, isolate);
}

/* What cannot be asked for a moment is not gone. */
static bool is_link(struct isolate *isolate, const struct port *port)
{
	struct netlink_link link;
	int err = netlink_link_get_index(isolate->route, port->index, &link);

	return err ? err != -ENODEV : !strcmp(link.name, port->name);
}

static void add_link(struct isolate *isolate, struct port_list *known, const struct port *port)
{
	if (!seating_port(&isolate->seating, port->index) && is_link(isolate, port))
		add_port(known, port);
}

/*
 * Of isolated VMs: ports that are no more. One that only left the bridge is kept, as its guest may
 * have another MAC by now: nothing would tell whose port it is when it comes back.
 */
static bool forget_ports(struct isolate *isolate)
{
	struct port_list known = { 0 };
	bool changed;

	for (size_t i = 0; i < isolate->seating.port_count; i++)
		add_port(&known, &isolate->seating.ports[i]);
	for (size_t i = 0; i < isolate->isolation.count; i++) {
		const struct isolated *isolated = &isolate->isolation.list[i];

		for (size_t p = 0; p < isolated->port_count; p++)
			add_link(isolate, &known, &isolated->ports[p]);
	}
	for (size_t i = 0; i < isolate->isolation.claim_count; i++)
		add_link(isolate, &known, &isolate->isolation.claims[i].port);
	changed = isolation_prune(&isolate->isolation, known.ports, known.count);
	free(known.ports);
	return changed;
}

/* True: they are not as before. Takes the list over. */
static bool take_ports(struct isolate *isolate, struct port_list *list)
{
	bool changed = list->other_count != isolate->other_count ||
		(list->other_count &&
			memcmp(list->others, isolate->others,
				list->other_count * sizeof(*list->others)) != 0);

	free(isolate->others);
	isolate->others = list->others;
	isolate->other_count = list->other_count;
	isolate->uplink = list->uplink_index;
	if (list->count)
		qsort(list->ports, list->count, sizeof(*list->ports), compare_ports);
	return seating_set_ports(&isolate->seating, list->ports, list->count) || changed;
}

bool isolate_hear(struct isolate *isolate)
{
	return seating_hear(&isolate->seating, &isolate->isolation);
}

/* Which ports there are. True: an isolated VM has another port than before. */
bool isolate_look_at_ports(struct isolate *isolate)
{
	struct port_list list = { .uplink = isolate->config->inner.uplink };
	struct netlink_link bridge = { 0 };
	bool changed;
	int err = netlink_link_get(isolate->route, isolate->config->inner.bridge, &bridge);

	list.bridge_index = bridge.index;
	if (!err)
		err = netlink_port_list(isolate->route, isolate->knows_bridges ? bridge.index : 0,
			take_port, &list);
	if (err && err != -ENODEV) {
		/* the list changed while it was told, or there was no room to tell it: that a port
		 * is not in it does not mean that it is gone */
		free(list.ports);
		free(list.others);
		look_soon(isolate);
		return false;
	}
	isolate->fdb.bridge_index = bridge.index;
	isolate->bridge = bridge;
	changed = take_ports(isolate, &list);
	changed = isolate_hear(isolate) || changed;
	if (changed && (isolate->anti_spoof || isolate->isolation.count))
		isolate_sync_soon(isolate, 0);
	changed = forget_ports(isolate);
	for (size_t i = 0; i < isolate->isolation.count; i++)
		changed = see_known(isolate, &isolate->isolation.list[i]) || changed;
	return changed;
}

/* The bridge learned a MAC. True: an isolated VM has a port more. */
static bool learn(struct isolate *isolate, const struct mac *mac, unsigned index)
{
	struct isolated *isolated = isolation_find_mac(&isolate->isolation, mac);
	const struct vm *vm = plan_by_mac(isolate->seating.plan, mac);
	struct seeing seeing = { isolate, isolated, false };

	if (seating_learn(&isolate->seating, mac, index) && isolate->anti_spoof)
		isolate_sync_soon(isolate, SETTLE_MS);
	/* where the host says where it is, its MAC elsewhere is somebody else's lie */
	if (isolated && !(vm && seating_is_said(&isolate->seating, vm)))
		see(&seeing, seating_port(&isolate->seating, index));
	return seeing.changed;
}

struct learning {
	struct isolate *isolate;
	bool changed;
};

static void take_learned(void *ctx, const struct mac *mac, unsigned port)
{
	struct learning *learning = ctx;

	learning->changed = learn(learning->isolate, mac, port) || learning->changed;
}

/* True: an isolated VM has a port more. */
static bool look_for(struct isolate *isolate, const struct mac *mac)
{
	unsigned port;
	int err = netlink_fdb_find(isolate->route, &isolate->bridge, mac, &port);

	if (!err)
		return learn(isolate, mac, port);
	if (err != -ENOENT && err != -ENODEV)
		isolate->must_list = true;
	return false;
}

void isolate_look_for_vm(struct isolate *isolate, const char *vm)
{
	struct isolated *isolated;

	(void)isolation_follow(&isolate->isolation, isolate->seating.plan);
	(void)isolate_look_at_ports(isolate);
	isolated = isolation_find(&isolate->isolation, vm);
	if (!isolated)
		return;
	if (isolated->ip) {
		const struct mac mac = isolated->mac;

		(void)look_for(isolate, &mac);
	}
	(void)see_known(isolate, isolated);
}

/*
 * Where the bridge has seen the MACs of isolated VMs, and of some of the plan: we ask for these, as
 * it can have learned any number of others. True: an isolated VM has another port than before.
 */
static bool look_for_some(struct isolate *isolate, size_t from, size_t to)
{
	const struct seating *seating = &isolate->seating;
	bool changed = false;

	for (size_t i = 0; !from && i < isolate->isolation.count; i++) {
		const struct isolated *isolated = &isolate->isolation.list[i];
		const struct mac mac = isolated->mac;

		if (isolated->ip && !plan_by_mac(seating->plan, &mac))
			changed = look_for(isolate, &mac) || changed;
	}
	for (size_t i = from; i < to; i++) {
		const struct vm *vm = plan_vm(seating->plan, i);

		if (!seating_is_said(seating, vm) &&
			!(seating->is_sticky && seating_of(seating, vm)))
			changed = look_for(isolate, &vm->mac) || changed;
	}
	return changed;
}

/* All that the bridge has learned, where it cannot be asked (Linux 5.0 can). */
static bool look_through(struct isolate *isolate)
{
	struct learning learning = { isolate, false };

	if (isolate->bridge.index &&
		netlink_fdb_list(isolate->route, isolate->bridge.index, take_learned, &learning))
		look_soon(isolate);
	return learning.changed;
}

/* At once, and all of it. True: an isolated VM has another port than before. */
bool isolate_look(struct isolate *isolate)
{
	bool changed = isolate_look_at_ports(isolate);

	changed = look_for_some(isolate, 0, plan_count(isolate->seating.plan)) || changed;
	/* a MAC may be of a VLAN that we have not asked for */
	if (isolate->must_list || isolate->bridge.vlan)
		changed = look_through(isolate) || changed;
	return changed;
}

static void look_on(void *ctx);

/* Part by part, with pauses. */
void isolate_look_begin(struct isolate *isolate)
{
	isolate->cursor = 0;
	loop_timer_set(isolate->loop, &isolate->look_on, 0, look_on, isolate);
}

static void look_on(void *ctx)
{
	struct isolate *isolate = ctx;
	size_t count = plan_count(isolate->seating.plan), from = isolate->cursor;
	uint64_t began = loop_now();
	bool changed;

	if (isolate->must_list) {
		changed = look_through(isolate);
		isolate->cursor = count;
	} else {
		isolate->cursor = from + LOOK_PART < count ? from + LOOK_PART : count;
		changed = look_for_some(isolate, from, isolate->cursor);
	}
	isolate->look_cost = loop_now() - began;
	if (changed) {
		(void)isolate_sync(isolate);
		isolate_save(isolate);
	}
	if (isolate->cursor < count)
		loop_timer_set(isolate->loop, &isolate->look_on,
			1 + isolate->look_cost * LOOK_PAUSE, look_on, isolate);
	else if (isolate->has_missed)
		look_soon(isolate);
}

void isolate_on_learned(void *ctx, const struct mac *mac, unsigned port)
{
	struct isolate *isolate = ctx;

	/* a port that we have not heard of: the link is newer than its message */
	if (port != isolate->uplink && !seating_port(&isolate->seating, port) &&
		(isolation_find_mac(&isolate->isolation, mac) ||
			plan_by_mac(isolate->seating.plan, mac)))
		look_soon(isolate);
	if (!learn(isolate, mac, port))
		return;
	(void)isolate_sync(isolate);
	isolate_save(isolate);
}

void isolate_look_and_sync(struct isolate *isolate)
{
	bool changed = isolate_look_at_ports(isolate);

	(void)isolate_sync(isolate);
	if (changed)
		isolate_save(isolate);
	if (!isolate->look_on.active)
		isolate_look_begin(isolate);
}

static void look_due(void *ctx)
{
	struct isolate *isolate = ctx;

	isolate->has_missed = false;
	isolate_look_and_sync(isolate);
}

/* More was learned at once than we were told. */
void isolate_on_missed(void *ctx)
{
	struct isolate *isolate = ctx;

	isolate->has_missed = true;
	if (!isolate->look_on.active)
		look_soon(isolate);
}
