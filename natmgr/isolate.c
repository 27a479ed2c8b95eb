/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate owns the order of things around an isolation: list, file, kernel, public addresses,
 * answer. It must not know how rules look, nor how they are told to the kernel.
 */
#include "natmgr/isolate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/netlink.h"
#include "natmgr/drop_count.h"
#include "natmgr/isolate_command.h"
#include "natmgr/isolation_store.h"
#include "natmgr/nft.h"
#include "natmgr/seating.h"

/* Several VMs that come at once are seated at once. */
#define SETTLE_MS 5
/* What the kernel could not tell is asked again after this. */
#define LOOK_AGAIN_MS 100
/* So many VMs of the plan are looked for at once; then there is a pause of so many times that. */
#define LOOK_PART  256
#define LOOK_PAUSE 10

struct isolate {
	struct loop *loop;
	struct events *events;
	const struct config *config;
	struct ip4_prefix inner;
	struct isolation isolation;
	struct seating seating;
	char *state_path;
	struct nl_sock *route;
	struct netlink_fdb_monitor fdb;
	struct netlink_link bridge;
	unsigned uplink;    /* index of the link; 0: it is not there */
	bool knows_bridges; /* as struct guard_settings; else: */
	unsigned *others;   /* indexes of ports of other bridges */
	size_t other_count;
	struct nft *nft; /* NULL: this kernel has no nfnetlink */
	struct loop_timer resync, settle, look_again, look_on;
	size_t cursor;   /* of the plan: from there on look_on looks */
	bool has_missed; /* what the bridge learned since that began */
	bool must_list;  /* this kernel cannot be asked for one MAC */
	struct isolate_commands *commands;
	struct drop_count drops;
	uint64_t look_cost; /* in milliseconds */
	uint64_t repaired;
	char error[NFT_ERROR_SIZE]; /* of the last sync; "": it worked */
	bool anti_spoof;
};

static void save_or_warn(struct isolate *isolate)
{
	int err = isolation_store_save(isolate->state_path, &isolate->isolation);

	if (err)
		log_error("isolation: %s cannot be written: %s", isolate->state_path,
			strerror(-err));
}

/* --- frames that pass no hook -------------------------------------------------------------- */

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

/* Also one that lost it. Only when the rules are there: until then such a frame would go to all. */
static void guard_ports(struct isolate *isolate)
{
	if (note_masks(isolate))
		save_or_warn(isolate);
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
static bool release_ports(struct isolate *isolate)
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

/* --- the kernel --------------------------------------------------------------------------- */

static int sync_kernel(struct isolate *isolate)
{
	struct guard_settings settings = { .inner = isolate->inner,
		.bridge = isolate->config->inner.bridge,
		.uplink = isolate->config->inner.uplink,
		.anti_spoof = isolate->anti_spoof,
		.plan = isolate->seating.plan,
		.knows_bridges = isolate->knows_bridges,
		.ports = isolate->seating.ports,
		.port_count = isolate->seating.port_count,
		.others = isolate->others,
		.other_count = isolate->other_count,
		.bridge_mac = isolate->bridge.mac };
	char error[NFT_ERROR_SIZE] = "this kernel has no nfnetlink (CONFIG_NETFILTER_NETLINK)";
	struct nft_table want;
	struct seat *seats = NULL;
	bool repaired = false;
	int err = -EPROTONOSUPPORT;

	if (isolate->anti_spoof)
		settings.seat_count = seating_list(&isolate->seating, &seats);
	settings.seats = seats;
	if (release_ports(isolate))
		save_or_warn(isolate);
	guard_build(&isolate->isolation, &settings, &want);
	if (isolate->nft)
		err = nft_sync(isolate->nft, &want, &repaired, error);
	else if (!want.chain_count)
		err = 0;
	free(seats);
	if (!isolate->nft)
		nft_table_done(&want);
	if (!err)
		guard_ports(isolate);
	if (err && strcmp(error, isolate->error) != 0)
		log_error("isolation: %s", error);
	snprintf(isolate->error, sizeof(isolate->error), "%s", err ? error : "");
	isolate->drops.read_at = 0;
	isolate->drops.nft = isolate->isolation.count || isolate->anti_spoof ? isolate->nft : NULL;
	if (repaired) {
		isolate->repaired++;
		log_warning("isolation: the nf_tables table bridge " GUARD_TABLE
			    " had been changed by others; mended");
		events_post(isolate->events, "resync", json_pack("{s:s}", "table", GUARD_TABLE));
	}
	return err;
}

static void settled(void *ctx)
{
	(void)sync_kernel(ctx);
}

static void sync_soon(struct isolate *isolate, unsigned ms)
{
	if (!isolate->settle.active)
		loop_timer_set(isolate->loop, &isolate->settle, ms, settled, isolate);
}

/* Somebody, perhaps we ourselves, changed nf_tables. */
static void on_transaction(void *ctx)
{
	sync_soon(ctx, 0);
}

/* --- ports -------------------------------------------------------------------------------- */

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

static bool hear(struct isolate *isolate)
{
	return seating_hear(&isolate->seating, &isolate->isolation);
}

/* Which ports there are. True: an isolated VM has another port than before. */
static bool look_at_ports(struct isolate *isolate)
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
	changed = hear(isolate) || changed;
	if (changed && (isolate->anti_spoof || isolate->isolation.count))
		sync_soon(isolate, 0);
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
		sync_soon(isolate, SETTLE_MS);
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
static bool look(struct isolate *isolate)
{
	bool changed = look_at_ports(isolate);

	changed = look_for_some(isolate, 0, plan_count(isolate->seating.plan)) || changed;
	/* a MAC may be of a VLAN that we have not asked for */
	if (isolate->must_list || isolate->bridge.vlan)
		changed = look_through(isolate) || changed;
	return changed;
}

static void look_on(void *ctx);

/* Part by part, with pauses. */
static void look_begin(struct isolate *isolate)
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
		(void)sync_kernel(isolate);
		save_or_warn(isolate);
	}
	if (isolate->cursor < count)
		loop_timer_set(isolate->loop, &isolate->look_on,
			1 + isolate->look_cost * LOOK_PAUSE, look_on, isolate);
	else if (isolate->has_missed)
		look_soon(isolate);
}

static void on_learned(void *ctx, const struct mac *mac, unsigned port)
{
	struct isolate *isolate = ctx;

	/* a port that we have not heard of: the link is newer than its message */
	if (port != isolate->uplink && !seating_port(&isolate->seating, port) &&
		(isolation_find_mac(&isolate->isolation, mac) ||
			plan_by_mac(isolate->seating.plan, mac)))
		look_soon(isolate);
	if (!learn(isolate, mac, port))
		return;
	(void)sync_kernel(isolate);
	save_or_warn(isolate);
}

static void look_and_sync(struct isolate *isolate)
{
	bool changed = look_at_ports(isolate);

	(void)sync_kernel(isolate);
	if (changed)
		save_or_warn(isolate);
	if (!isolate->look_on.active)
		look_begin(isolate);
}

static void look_due(void *ctx)
{
	struct isolate *isolate = ctx;

	isolate->has_missed = false;
	look_and_sync(isolate);
}

/* More was learned at once than we were told. */
static void on_missed(void *ctx)
{
	struct isolate *isolate = ctx;

	isolate->has_missed = true;
	if (!isolate->look_on.active)
		look_soon(isolate);
}

void isolate_links_changed(struct isolate *isolate)
{
	if (!look_at_ports(isolate))
		return;
	(void)sync_kernel(isolate);
	save_or_warn(isolate);
}

static void resync_due(void *ctx)
{
	struct isolate *isolate = ctx;

	loop_timer_set(isolate->loop, &isolate->resync,
		isolate->config->nat.resync * UINT64_C(1000), resync_due, isolate);
	look_and_sync(isolate);
}

void isolate_replan(struct isolate *isolate, const struct plan *plan,
	const struct plan_change *change)
{
	bool changed = isolation_follow(&isolate->isolation, plan);

	seating_replan(&isolate->seating, plan, change);
	(void)hear(isolate);
	changed = look_at_ports(isolate) || changed;
	if (changed || isolate->anti_spoof)
		(void)sync_kernel(isolate);
	if (changed)
		save_or_warn(isolate);
	look_begin(isolate);
}

/* --- changes ------------------------------------------------------------------------------ */

/* Back to what was, in file and kernel. */
static void roll_back(struct isolate *isolate, struct isolation *before)
{
	isolation_done(&isolate->isolation);
	isolate->isolation = *before;
	(void)hear(isolate);
	save_or_warn(isolate);
	(void)sync_kernel(isolate);
}

static int make_true(struct isolate *isolate, struct isolation *before, char **ret_error)
{
	int err;

	/* so that the file is written once */
	(void)note_masks(isolate);
	(void)release_ports(isolate);
	err = isolation_store_save(isolate->state_path, &isolate->isolation);
	if (err)
		*ret_error = xasprintf("%s cannot be written: %s; nothing was changed",
			isolate->state_path, strerror(-err));
	if (!err) {
		err = sync_kernel(isolate);
		if (err)
			*ret_error = xstrdup(isolate->error);
	}
	if (err)
		roll_back(isolate, before);
	else
		isolation_done(before);
	return err;
}

int isolate_vm(struct isolate *isolate, const char *vm, const struct ip4_prefix *allow,
	size_t allow_count, const char *port, char **ret_error)
{
	struct isolation before;
	struct isolated *isolated;
	bool changed;
	int err;

	if (isolate->isolation.count == ISOLATION_MAX && !isolation_find(&isolate->isolation, vm)) {
		*ret_error = xasprintf("%d VMs are isolated, more is not possible; rejoin some",
			ISOLATION_MAX);
		return -ENOSPC;
	}
	isolation_copy(&isolate->isolation, &before);
	changed = isolation_add(&isolate->isolation, vm, allow, allow_count, port);
	(void)isolation_follow(&isolate->isolation, isolate->seating.plan);
	(void)look_at_ports(isolate);
	isolated = isolation_find(&isolate->isolation, vm);
	if (isolated->ip) {
		const struct mac mac = isolated->mac;

		(void)look_for(isolate, &mac);
	}
	(void)see_known(isolate, isolated);
	err = make_true(isolate, &before, ret_error);
	return err ? err : changed;
}

int isolate_rejoin(struct isolate *isolate, const char *vm, char **ret_error)
{
	struct isolation before;
	int err;

	if (!isolation_find(&isolate->isolation, vm))
		return 0;
	isolation_copy(&isolate->isolation, &before);
	(void)isolation_remove(&isolate->isolation, vm);
	err = make_true(isolate, &before, ret_error);
	return err ? err : 1;
}

/* What is said of a port is true from the next frame on. */
int isolate_claim(struct isolate *isolate, const struct vm *vm, const char *name, char **ret_error)
{
	struct port port = { 0 };
	struct netlink_link link;
	struct isolation before;
	bool changed;
	int err = netlink_link_get(isolate->route, name, &link);

	if (err) {
		*ret_error = xasprintf("%s: there is no such link; name the port of %s", name,
			isolate->config->inner.bridge);
		return err;
	}
	port.index = link.index;
	memcpy(port.name, link.name, sizeof(port.name));
	isolation_copy(&isolate->isolation, &before);
	changed = isolation_claim(&isolate->isolation, &vm->mac, &port);
	changed = look_at_ports(isolate) || changed;
	err = make_true(isolate, &before, ret_error);
	return err ? err : changed;
}

const struct port *isolate_find_port(const struct isolate *isolate, const char *name)
{
	return seating_port_by_name(&isolate->seating, name);
}

const struct vm *isolate_port_owner(const struct isolate *isolate, const char *name)
{
	const struct port *port = seating_port_by_name(&isolate->seating, name);

	return port ? seating_owner(&isolate->seating, port) : NULL;
}

bool isolate_link_exists(const struct isolate *isolate, const char *name)
{
	struct netlink_link link;

	return !netlink_link_get(isolate->route, name, &link);
}

const struct plan *isolate_plan(const struct isolate *isolate)
{
	return isolate->seating.plan;
}

/* --- what is told ------------------------------------------------------------------------- */

static json_t *allow_json(const struct isolated *isolated)
{
	json_t *list = json_array();
	char text[IP4_PREFIX_STRLEN];

	for (size_t i = 0; isolated && i < isolated->allow_count; i++)
		json_array_append_new(list,
			json_string(ip4_prefix_format(&isolated->allow[i], text)));
	return list;
}

static json_t *port_json(const struct isolate *isolate, const struct isolated *isolated,
	const struct vm *vm)
{
	const struct port *port = NULL;

	if (isolated && isolated->port_count)
		port = &isolated->ports[isolated->port_count - 1];
	else if (vm)
		port = seating_of(&isolate->seating, vm);
	return port ? json_string(port->name) : json_null();
}

void isolate_describe_vm(struct isolate *isolate, const struct vm *vm, json_t *object)
{
	const struct isolated *isolated = isolation_find(&isolate->isolation, vm->name);

	json_object_set_new(object, "isolated", json_boolean(isolated));
	json_object_set_new(object, "allow", allow_json(isolated));
	json_object_set_new(object, "port", port_json(isolate, isolated, vm));
	json_object_set_new(object, "dropped",
		json_pack("{s:I, s:I}", "from",
			(json_int_t)drop_count_of(&isolate->drops, vm->name, true), "to",
			(json_int_t)drop_count_of(&isolate->drops, vm->name, false)));
}

json_t *isolate_describe(const struct isolate *isolate, const char *name)
{
	const struct isolated *isolated = isolation_find(&isolate->isolation, name);

	return json_pack("{s:s, s:b, s:o, s:o}", "vm", isolated ? isolated->vm : name, "isolated",
		isolated != NULL, "port",
		port_json(isolate, isolated, plan_by_name(isolate->seating.plan, name)), "allow",
		allow_json(isolated));
}

json_t *isolate_status(const struct isolate *isolate)
{
	json_t *names = json_array();

	for (size_t i = 0; i < isolate->isolation.count; i++)
		json_array_append_new(names, json_string(isolate->isolation.list[i].vm));
	return json_pack("{s:o, s:b, s:b, s:o}", "vms", names, "anti_spoof", isolate->anti_spoof,
		"in_sync", !*isolate->error, "error",
		*isolate->error ? json_string(isolate->error) : json_null());
}

void isolate_metrics(struct isolate *isolate, FILE *out)
{
	fprintf(out,
		"# HELP eipd_isolated_vms VMs that are isolated.\n"
		"# TYPE eipd_isolated_vms gauge\neipd_isolated_vms %zu\n"
		"# HELP eipd_vm_dropped_frames_total Frames of a VM, or to it, that isolation or "
		"anti-spoof dropped.\n"
		"# TYPE eipd_vm_dropped_frames_total counter\n",
		isolate->isolation.count);
	drop_count_print(&isolate->drops, out);
}

uint64_t isolate_repaired(const struct isolate *isolate)
{
	return isolate->repaired;
}

bool isolate_is_in_sync(const struct isolate *isolate)
{
	return !*isolate->error;
}

const struct isolation *isolate_list(const struct isolate *isolate)
{
	return &isolate->isolation;
}

/* --- life --------------------------------------------------------------------------------- */

/* Whether the kernel takes all that a table may have. */
static int check_rules(struct nft *nft, bool knows_bridges, char error[static NFT_ERROR_SIZE])
{
	const struct isolation nobody = { 0 };
	struct guard_settings settings = { .bridge = "br0",
		.uplink = "eth1",
		.anti_spoof = true,
		.knows_bridges = knows_bridges };
	struct problems problems = { 0 };
	struct plan *plan = NULL;
	struct nft_table want;
	int err = plan_parse("", 0, "", NULL, &plan, &problems);

	if (!err) {
		settings.plan = plan;
		guard_build(&nobody, &settings, &want);
		err = nft_check(nft, &want, error);
	}
	plan_free(plan);
	problems_done(&problems);
	return err;
}

static int open_kernel(struct isolate *isolate, char **ret_error)
{
	int err = netlink_open(NETLINK_ROUTE, &isolate->route);
	char error[NFT_ERROR_SIZE];

	isolate->fdb.learned = on_learned;
	isolate->fdb.missed = on_missed;
	isolate->fdb.ctx = isolate;
	if (!err)
		err = netlink_fdb_monitor_start(&isolate->fdb, isolate->loop);
	if (err)
		*ret_error = xasprintf("no netlink socket: %s", strerror(-err));
	else if (nft_new(isolate->loop, GUARD_TABLE, on_transaction, isolate, &isolate->nft))
		isolate->nft = NULL;
	isolate->knows_bridges = isolate->nft && !check_rules(isolate->nft, true, error);
	if (isolate->anti_spoof && isolate->nft && !isolate->knows_bridges)
		log_info("isolation: this kernel's rules cannot tell bridges apart (no "
			 "nft_meta_bridge); ports are guarded one by one");
	return err;
}

int isolate_new(const struct isolate_setup *setup, struct isolate **ret_isolate, char **ret_error)
{
	struct isolate *isolate = xcalloc(1, sizeof(*isolate));
	bool changed, is_guarding;
	int err;

	isolate->loop = setup->loop;
	isolate->events = setup->events;
	isolate->config = setup->config;
	isolate->inner = setup->inner;
	isolate->anti_spoof = setup->config->inner.anti_spoof;
	isolate->state_path = isolation_store_path(setup->config);
	seating_init(&isolate->seating, setup->plan, isolate->anti_spoof);
	err = open_kernel(isolate, ret_error);
	if (!err)
		err = isolation_store_load(isolate->state_path, isolate->nft, &isolate->isolation,
			ret_error);
	if (!err) {
		changed = isolation_follow(&isolate->isolation, setup->plan);
		/* with nobody to guard, where the VMs are can wait until DHCP answers */
		is_guarding = isolate->anti_spoof || isolate->isolation.count;
		changed = (is_guarding ? look(isolate) : look_at_ports(isolate)) || changed;
		if (sync_kernel(isolate) && isolate->anti_spoof) {
			err = -EPROTONOSUPPORT;
			*ret_error = xasprintf("[inner] anti-spoof: %s", isolate->error);
		}
		/* a damaged file is mended */
		if (changed || isolate->isolation.count)
			save_or_warn(isolate);
	}
	if (err) {
		isolate_free(isolate);
		return err;
	}
	loop_timer_set(isolate->loop, &isolate->resync,
		isolate->config->nat.resync * UINT64_C(1000), resync_due, isolate);
	look_begin(isolate);
	*ret_isolate = isolate;
	return 0;
}

void isolate_start(struct isolate *isolate, struct control *control, struct keeper *keeper)
{
	isolate->commands = isolate_commands_new(control, isolate, isolate->config, keeper,
		isolate->events);
}

void isolate_free(struct isolate *isolate)
{
	if (!isolate)
		return;
	loop_timer_cancel(isolate->loop, &isolate->resync);
	loop_timer_cancel(isolate->loop, &isolate->settle);
	loop_timer_cancel(isolate->loop, &isolate->look_again);
	loop_timer_cancel(isolate->loop, &isolate->look_on);
	isolate_commands_free(isolate->commands);
	nft_free(isolate->nft);
	netlink_fdb_monitor_stop(&isolate->fdb);
	netlink_close(isolate->route);
	seating_done(&isolate->seating);
	isolation_done(&isolate->isolation);
	drop_count_done(&isolate->drops);
	free(isolate->others);
	free(isolate->state_path);
	free(isolate);
}

void isolate_remove(struct isolate *isolate)
{
	isolate->anti_spoof = false;
	(void)sync_kernel(isolate);
}

void isolate_check_state(const struct config *config, struct problems *problems)
{
	char *path = isolation_store_path(config);

	isolation_store_check(path, problems);
	free(path);
}

int isolate_check_kernel(char **ret_error)
{
	char error[NFT_ERROR_SIZE] = "this kernel has no nfnetlink (CONFIG_NETFILTER_NETLINK)";
	struct nft *nft = NULL;
	int err = nft_new(NULL, GUARD_TABLE, NULL, NULL, &nft);

	if (!err && check_rules(nft, true, error))
		err = check_rules(nft, false, error);
	if (err)
		*ret_error = xstrdup(error);
	nft_free(nft);
	return err;
}
