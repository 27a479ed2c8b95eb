/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * natmgr owns the wiring of the NAT manager: keeper, commands, hairpin ports, and what status and
 * metrics say of them. It must not know anything of DHCP.
 */
#include "natmgr/natmgr.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "natmgr/address_list.h"
#include "natmgr/binding_store.h"
#include "natmgr/command.h"
#include "natmgr/hairpin.h"
#include "natmgr/isolate.h"
#include "natmgr/xtables_lock.h"

/* Each of them goes through the table. */
#define RECLAIM_MAX 100

struct natmgr {
	struct loop *loop;
	const struct config *config;
	struct events *events;
	struct keeper *keeper;
	struct isolate *isolate;
	struct commands *commands;
	struct address_list *address_list;
	struct hairpin hairpin;
	uint64_t started;
};

static void on_mended(void *ctx, const struct reconcile_report *report)
{
	struct natmgr *natmgr = ctx;
	size_t addresses = report->addresses.add_count + report->addresses.remove_count;
	json_t *details = json_object();

	/* only what was wrong: "forwarding=no" reads as if it were off */
	if (report->rule_edits)
		json_object_set_new(details, "rules", json_integer((json_int_t)report->rule_edits));
	if (addresses)
		json_object_set_new(details, "addresses", json_integer((json_int_t)addresses));
	if (report->forwarding_enabled)
		json_object_set_new(details, "forwarding", json_string("switched on"));
	events_post(natmgr->events, "resync", details);
}

static void on_followed(void *ctx, const struct binding *binding, bool lost)
{
	struct natmgr *natmgr = ctx;
	char address[IP4_STRLEN];

	events_post(natmgr->events, lost ? "unbind" : "bind",
		json_pack("{s:s, s:s, s:s}", "address", ip4_format(binding->address, address), "vm",
			binding->vm, "why", lost ? "reclaimed, as it left the plan" : "auto-bind"));
}

static void on_replanned(void *ctx)
{
	struct natmgr *natmgr = ctx;

	commands_replanned(natmgr->commands);
}

/* A VM that has an address now may speak to it. */
static void on_changed(void *ctx)
{
	struct natmgr *natmgr = ctx;

	hairpin_soon(&natmgr->hairpin);
}

/* Where `iptables` is the nft variant, the administrator would look for our rules in vain. */
static void warn_of_nft_variant(void)
{
	static const char *const programs[] = { "/usr/sbin/iptables", "/sbin/iptables" };
	char target[PATH_MAX];

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		if (!realpath(programs[i], target))
			continue;
		if (strstr(target, "nft"))
			log_warning(
				"nat: %s is the nft variant, which does not show the rules of eipd; "
				"use iptables-legacy -t nat -S",
				programs[i]);
		return;
	}
}

void natmgr_replan(struct natmgr *natmgr, const struct plan *plan, const struct plan_change *change,
	void (*done)(void *ctx, const char *error), void *ctx)
{
	isolate_replan(natmgr->isolate, plan, change);
	keeper_replan(natmgr->keeper, plan, done, ctx);
}

void natmgr_links_changed(struct natmgr *natmgr, bool links)
{
	if (links)
		isolate_links_changed(natmgr->isolate);
	keeper_links_changed(natmgr->keeper, links);
}

void natmgr_vm_came(struct natmgr *natmgr, const struct vm *vm)
{
	commands_vm_came(natmgr->commands, vm);
	hairpin_soon(&natmgr->hairpin);
}

bool natmgr_reclaim(struct natmgr *natmgr, uint64_t (*away)(void *ctx, const struct vm *vm),
	void *ctx)
{
	const struct binding_table *table = keeper_table(natmgr->keeper);
	const struct plan *plan = keeper_plan(natmgr->keeper);
	uint64_t now = loop_now(), limit = natmgr->config->nat.reclaim_after;
	struct binding *due = xcalloc(RECLAIM_MAX, sizeof(*due));
	size_t count = 0;

	for (size_t i = 0; i < table->count && count < RECLAIM_MAX; i++) {
		const struct binding *binding = &table->list[i];
		const struct vm *vm = plan_by_name(plan, binding->vm);
		/* a VM has from its bind on as long to come as it may be away */
		uint64_t since = binding->bound ? binding->bound : natmgr->started;

		if (vm && away(ctx, vm) >= limit && (now - since) / 1000 >= limit)
			due[count++] = *binding;
	}
	for (size_t i = 0; i < count; i++)
		commands_reclaim(natmgr->commands, due[i].vm, due[i].address);
	free(due);
	return count == RECLAIM_MAX;
}

/* --- what is told ------------------------------------------------------------------------- */

struct numbers {
	uint64_t pool, bound, cooling, conflicting, free;
};

/* Of the pool, and nobody's by us. */
static bool is_spare(const struct natmgr *natmgr, const struct desired *desired, uint32_t address)
{
	return config_pool_contains(natmgr->config, address) && !desired_find(desired, address);
}

/* By the states that `ip list` tells. */
static struct numbers count_addresses(const struct natmgr *natmgr)
{
	const struct binding_table *table = keeper_table(natmgr->keeper);
	const struct conflicts *conflicts = commands_conflicts(natmgr->commands);
	const struct config *config = natmgr->config;
	struct numbers numbers = { .pool = config_pool_size(config) };
	struct desired desired;

	numbers.free = numbers.pool;
	/* shared addresses count once */
	desired_make(table, keeper_plan(natmgr->keeper), NULL, &desired);
	numbers.bound = desired.count;
	for (size_t i = 0; i < desired.count; i++)
		numbers.free -= config_pool_contains(config, desired.map[i].address);
	/* nobody may have these yet */
	for (size_t i = 0; i < table->cooling_count; i++)
		numbers.cooling += table->cooling[i].until > binding_seconds() &&
			is_spare(natmgr, &desired, table->cooling[i].address) &&
			!conflict_find(conflicts, table->cooling[i].address) &&
			!binding_is_foreign(table, table->cooling[i].address);
	/* nor those that somebody else has, on the wire or on the interface */
	for (size_t i = 0; i < conflicts->count; i++)
		numbers.conflicting += conflict_find(conflicts, conflicts->list[i].address) &&
			is_spare(natmgr, &desired, conflicts->list[i].address) &&
			!binding_is_foreign(table, conflicts->list[i].address);
	for (size_t i = 0; i < table->foreign_address_count; i++)
		numbers.conflicting += is_spare(natmgr, &desired, table->foreign_addresses[i]) &&
			(i == 0 || table->foreign_addresses[i] != table->foreign_addresses[i - 1]);
	desired_done(&desired);
	numbers.free -= numbers.cooling + numbers.conflicting;
	return numbers;
}

static uint64_t natmgr_repaired(const struct natmgr *natmgr)
{
	return keeper_repaired(natmgr->keeper) + isolate_repaired(natmgr->isolate);
}

static bool natmgr_is_in_sync(const struct natmgr *natmgr)
{
	return keeper_is_in_sync(natmgr->keeper) && isolate_is_in_sync(natmgr->isolate);
}

json_t *natmgr_isolation_status(const struct natmgr *natmgr)
{
	return isolate_status(natmgr->isolate);
}

json_t *natmgr_status(const struct natmgr *natmgr)
{
	struct numbers numbers = count_addresses(natmgr);

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:b}", "pool", (json_int_t)numbers.pool,
		"bound", (json_int_t)numbers.bound, "free", (json_int_t)numbers.free, "forwards",
		(json_int_t)keeper_table(natmgr->keeper)->forward_count, "repaired",
		(json_int_t)natmgr_repaired(natmgr), "in_sync", natmgr_is_in_sync(natmgr));
}

void natmgr_metrics(const struct natmgr *natmgr, FILE *out)
{
	struct numbers numbers = count_addresses(natmgr);

	fprintf(out,
		"# HELP eipd_pool_addresses Public addresses of the pool by state.\n"
		"# TYPE eipd_pool_addresses gauge\n"
		"eipd_pool_addresses{state=\"bound\"} %llu\n"
		"eipd_pool_addresses{state=\"free\"} %llu\n"
		"eipd_pool_addresses{state=\"cooldown\"} %llu\n"
		"eipd_pool_addresses{state=\"conflict\"} %llu\n"
		"# HELP eipd_forwards Port forwards.\n"
		"# TYPE eipd_forwards gauge\n"
		"eipd_forwards %zu\n"
		"# HELP eipd_nat_repaired_total Things in the kernel that others had changed.\n"
		"# TYPE eipd_nat_repaired_total counter\n"
		"eipd_nat_repaired_total %llu\n"
		"# HELP eipd_nat_in_sync The kernel is as the bindings say.\n"
		"# TYPE eipd_nat_in_sync gauge\n"
		"eipd_nat_in_sync %d\n",
		(unsigned long long)numbers.bound, (unsigned long long)numbers.free,
		(unsigned long long)numbers.cooling, (unsigned long long)numbers.conflicting,
		keeper_table(natmgr->keeper)->forward_count,
		(unsigned long long)natmgr_repaired(natmgr), natmgr_is_in_sync(natmgr));
	isolate_metrics(natmgr->isolate, out);
}

/* The list under `key` of the VM's object, where it is one of those that are described. */
static json_t *list_of(const struct natmgr *natmgr, const uint32_t *place, const char *name,
	json_t *objects, const char *key)
{
	const struct plan *plan = keeper_plan(natmgr->keeper);
	const struct vm *vm = plan_by_name(plan, name);
	uint32_t at = vm ? place[plan_index(plan, vm)] : 0;

	return at ? json_object_get(json_array_get(objects, at - 1), key) : NULL;
}

void natmgr_describe_vms(const struct natmgr *natmgr, const struct vm *const *vms, size_t count,
	json_t *objects)
{
	const struct binding_table *table = keeper_table(natmgr->keeper);
	const struct plan *plan = keeper_plan(natmgr->keeper);
	/* by the plan's index: the object's in the array, plus one */
	uint32_t *place = xcalloc(plan_count(plan), sizeof(*place));
	char text[FORWARD_STRLEN];

	for (size_t i = 0; i < count; i++) {
		const struct vm *vm = plan_by_name(plan, vms[i]->name);
		json_t *object = json_array_get(objects, i);

		if (vm)
			place[plan_index(plan, vm)] = (uint32_t)i + 1;
		json_object_set_new(object, "public", json_array());
		json_object_set_new(object, "forwards", json_array());
		isolate_describe_vm(natmgr->isolate, vms[i], object);
	}
	for (size_t i = 0; i < table->count; i++) {
		json_t *list = list_of(natmgr, place, table->list[i].vm, objects, "public");

		if (list)
			json_array_append_new(list,
				json_string(ip4_format(table->list[i].address, text)));
	}
	for (size_t i = 0; i < table->forward_count; i++) {
		json_t *list = list_of(natmgr, place, table->forwards[i].vm, objects, "forwards");

		if (list)
			json_array_append_new(list,
				json_string(forward_format(&table->forwards[i], text)));
	}
	free(place);
}

/* --- life --------------------------------------------------------------------------------- */

int natmgr_new(const struct natmgr_setup *setup, struct natmgr **ret_natmgr, char **ret_error)
{
	struct natmgr *natmgr = xcalloc(1, sizeof(*natmgr));
	const struct keeper_hooks hooks = { on_mended, on_followed, on_replanned, on_changed,
		natmgr };
	const struct isolate_setup isolation = { setup->loop, setup->events, setup->config,
		setup->plan, setup->inner };
	int err;

	natmgr->loop = setup->loop;
	natmgr->config = setup->config;
	natmgr->events = setup->events;
	natmgr->started = loop_now();
	err = isolate_new(&isolation, &natmgr->isolate, ret_error);
	if (!err)
		err = keeper_new(setup->loop, setup->config, setup->plan,
			isolate_list(natmgr->isolate), &setup->inner, &hooks, &natmgr->keeper,
			ret_error);
	if (!err) {
		err = hairpin_start(&natmgr->hairpin, setup->loop, setup->config, natmgr->keeper);
		if (err)
			*ret_error = xasprintf("no netlink socket: %s", strerror(-err));
	}
	if (err) {
		natmgr_free(natmgr);
		return err;
	}
	natmgr->commands = commands_new(setup->loop, setup->control, setup->config, natmgr->keeper,
		setup->events);
	natmgr->address_list = address_list_new(setup->loop, setup->control, setup->config,
		natmgr->keeper, commands_conflicts(natmgr->commands));
	commands_replanned(natmgr->commands);
	isolate_start(natmgr->isolate, setup->control, natmgr->keeper);
	warn_of_nft_variant();
	*ret_natmgr = natmgr;
	return 0;
}

void natmgr_free(struct natmgr *natmgr)
{
	if (!natmgr)
		return;
	address_list_free(natmgr->address_list);
	/* a change that ends now no longer asks for it */
	hairpin_stop(&natmgr->hairpin);
	if (natmgr->isolate)
		isolate_finish(natmgr->isolate);
	keeper_free(natmgr->keeper);
	isolate_free(natmgr->isolate);
	commands_free(natmgr->commands);
	free(natmgr);
}

int natmgr_remove(struct natmgr *natmgr, char **ret_error)
{
	isolate_finish(natmgr->isolate);
	isolate_remove(natmgr->isolate);
	return keeper_remove(natmgr->keeper, ret_error);
}

void natmgr_keep_lock(void)
{
	xtables_lock_keep();
}

int natmgr_check_table(char **ret_error)
{
	struct backend *backend = backend_iptables_new();
	char error[BACKEND_ERROR_SIZE];
	struct ruleset have;
	int err = backend->begin(backend, &have, error);

	if (!err) {
		ruleset_done(&have);
		backend->end(backend);
	} else if (err == -EAGAIN) {
		err = 0; /* in use, so it is there */
	} else {
		*ret_error = xstrdup(error);
	}
	backend->free(backend);
	return err;
}

int natmgr_check_anti_spoof(char **ret_error)
{
	return isolate_check_kernel(ret_error);
}

void natmgr_check_state(const struct config *config, struct problems *problems)
{
	char *path = binding_store_path(config);

	binding_store_check(path, problems);
	free(path);
	isolate_check_state(config, problems);
}
