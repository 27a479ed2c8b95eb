/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate owns who is cut off, and when the kernel is told anew. It must not know how rules look, nor
 * how they are told to the kernel.
 */
#include "common/netlink.h"
#include "natmgr/isolate_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "natmgr/isolate_command.h"
#include "natmgr/isolation_store.h"

/* --- the kernel --------------------------------------------------------------------------- */

int isolate_sync(struct isolate *isolate)
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

	loop_timer_cancel(isolate->loop, &isolate->settle);
	if (isolate->anti_spoof)
		settings.seat_count = seating_list(&isolate->seating, &seats);
	settings.seats = seats;
	if (isolate_release_ports(isolate))
		isolate_save(isolate);
	guard_build(&isolate->isolation, &settings, &want);
	if (isolate->nft)
		err = nft_sync(isolate->nft, &want, &repaired, error);
	else if (!want.chain_count)
		err = 0;
	free(seats);
	if (!isolate->nft)
		nft_table_done(&want);
	isolate->is_synced = !err;
	isolate_guard_ports(isolate);
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
	(void)isolate_sync(ctx);
}

void isolate_sync_soon(struct isolate *isolate, unsigned ms)
{
	isolate->is_synced = false;
	if (!isolate->settle.active)
		loop_timer_set(isolate->loop, &isolate->settle, ms, settled, isolate);
}

/* Somebody, perhaps we ourselves, changed nf_tables. */
static void on_transaction(void *ctx)
{
	isolate_sync_soon(ctx, 0);
}

/* --- what others tell of ------------------------------------------------------------------ */

void isolate_links_changed(struct isolate *isolate)
{
	if (!isolate_look_at_ports(isolate))
		return;
	(void)isolate_sync(isolate);
	isolate_save(isolate);
}

static void resync_due(void *ctx)
{
	struct isolate *isolate = ctx;

	loop_timer_set(isolate->loop, &isolate->resync,
		isolate->config->nat.resync * UINT64_C(1000), resync_due, isolate);
	if (isolate->file.failure)
		isolate_save(isolate);
	isolate_look_and_sync(isolate);
}

void isolate_replan(struct isolate *isolate, const struct plan *plan,
	const struct plan_change *change)
{
	bool changed = isolation_follow(&isolate->isolation, plan);

	seating_replan(&isolate->seating, plan, change);
	(void)isolate_hear(isolate);
	changed = isolate_look_at_ports(isolate) || changed;
	if (changed || isolate->anti_spoof)
		(void)isolate_sync(isolate);
	if (changed)
		isolate_save(isolate);
	isolate_look_begin(isolate);
}

/* --- what commands ask --------------------------------------------------------------------- */

int isolate_find_link(const struct isolate *isolate, const char *name, struct port *ret_port)
{
	struct port port = { 0 };
	struct netlink_link link;
	int err = netlink_link_get(isolate->route, name, &link);

	if (err)
		return err;
	port.index = link.index;
	memcpy(port.name, link.name, sizeof(port.name));
	*ret_port = port;
	return 0;
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

static json_t *error_json(const struct isolate *isolate)
{
	if (*isolate->error)
		return json_string(isolate->error);
	if (isolate->file.failure)
		return json_sprintf("%s cannot be written: %s", isolate->file.path,
			strerror(-isolate->file.failure));
	return json_null();
}

json_t *isolate_status(const struct isolate *isolate)
{
	json_t *names = json_array();

	for (size_t i = 0; i < isolate->isolation.count; i++)
		json_array_append_new(names, json_string(isolate->isolation.list[i].vm));
	return json_pack("{s:o, s:b, s:b, s:o}", "vms", names, "anti_spoof", isolate->anti_spoof,
		"in_sync", isolate_is_in_sync(isolate), "error", error_json(isolate));
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
	return !*isolate->error && !isolate->file.failure;
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

	isolate->fdb.learned = isolate_on_learned;
	isolate->fdb.missed = isolate_on_missed;
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
	isolate->file = (struct isolation_file){ .isolate = isolate,
		.path = isolation_store_path(setup->config) };
	TAILQ_INIT(&isolate->changes);
	worker_init(&isolate->worker, isolate->loop);
	seating_init(&isolate->seating, setup->plan, isolate->anti_spoof);
	err = open_kernel(isolate, ret_error);
	if (!err)
		err = isolation_store_load(isolate->file.path, isolate->nft, &isolate->isolation,
			ret_error);
	if (!err) {
		changed = isolation_follow(&isolate->isolation, setup->plan);
		/* with nobody to guard, where the VMs are can wait until DHCP answers */
		is_guarding = isolate->anti_spoof || isolate->isolation.count;
		changed = (is_guarding ? isolate_look(isolate) : isolate_look_at_ports(isolate)) ||
			changed;
		if (isolate_sync(isolate) && isolate->anti_spoof) {
			err = -EPROTONOSUPPORT;
			*ret_error = xasprintf("[inner] anti-spoof: %s", isolate->error);
		}
		/* a damaged file is mended */
		if (changed || isolate->isolation.count)
			isolate_save(isolate);
	}
	if (err) {
		isolate_free(isolate);
		return err;
	}
	loop_timer_set(isolate->loop, &isolate->resync,
		isolate->config->nat.resync * UINT64_C(1000), resync_due, isolate);
	isolate_look_begin(isolate);
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
	isolate_finish(isolate);
	worker_done(&isolate->worker);
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
	free(isolate->file.path);
	free(isolate);
}

void isolate_remove(struct isolate *isolate)
{
	isolate->anti_spoof = false;
	(void)isolate_sync(isolate);
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
