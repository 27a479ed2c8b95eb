/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * natmgr owns the order of things around a change: check, probe, write down, make true, answer. It
 * must not know how rules are stored, nor anything of DHCP.
 */
#include "natmgr/natmgr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/netlink.h"
#include "common/statefile.h"
#include "natmgr/announce.h"
#include "natmgr/reconcile.h"

#define STATE_MAX        (64 << 20)
/* The lock of iptables: asked for again this often, and given up after this long. */
#define LOCK_RETRY_MS    25
#define LOCK_LIMIT_MS    10000
/* Changes of links come in swarms. */
#define LINKS_SETTLE_MS  50
/* An address that somebody else answered for is not chosen again for so long. */
#define CONFLICT_MS      600000

enum change_kind { CHANGE_BIND, CHANGE_UNBIND, CHANGE_MOVE, CHANGE_FOLLOW, CHANGE_RESYNC };

/* Something to be done to the bindings, and who waits for it. */
struct change {
	struct natmgr *natmgr;
	enum change_kind kind;
	char vm[VM_NAME_MAX + 1];
	uint32_t address;
	bool chosen;          /* by us, not by the caller */
	int result;           /* 1 changed, 0 nothing to change, -errno */
	char *error;
	struct control_request *request;
	void (*done)(void *ctx, const char *error);
	void *ctx;
	TAILQ_ENTRY(change) link;
};

TAILQ_HEAD(change_list, change);

struct conflict {
	uint32_t address;
	struct mac mac;
	uint64_t until;
};

struct natmgr {
	struct loop *loop;
	const struct config *config;
	const struct plan *plan;
	struct reconcile reconcile;
	struct announce announce;
	char *state_path;
	struct binding_table table;
	struct binding_table before; /* what to go back to while a batch is under way */
	struct change_list probing, waiting, batch;
	bool busy;
	uint64_t lock_deadline;
	struct loop_timer retry, resync, settle;
	struct conflict *conflicts;
	size_t conflict_count;
	uint64_t repaired;
	bool unsynced; /* the last run failed: the next that works is no repair */
	bool was_missing, flows_failed;
};

static void run_batch(struct natmgr *natmgr);

/* --- state file --------------------------------------------------------------------------- */

static int save(struct natmgr *natmgr)
{
	size_t len;
	char *text = binding_format(&natmgr->table, natmgr->config->outer.interface, &len);
	int err = statefile_write(natmgr->state_path, text, len);

	free(text);
	return err;
}

static char *state_path(const struct config *config)
{
	return xasprintf("%s/bindings", config->daemon.state_dir);
}

/* 0 also where there is none yet. */
static int read_state(const char *path, struct binding_table *ret_table, struct problems *problems)
{
	char *text;
	size_t len;
	int err = statefile_read(path, STATE_MAX, &text, &len);

	if (err == -ENOENT) {
		*ret_table = (struct binding_table){ 0 };
		return 0;
	}
	if (err) {
		problem_add(problems, path, 0, "cannot be read: %s", strerror(-err));
		return err;
	}
	err = binding_parse(text, path, ret_table, problems);
	free(text);
	return err;
}

void natmgr_check_state(const struct config *config, struct problems *problems)
{
	struct binding_table table = { 0 };
	char *path = state_path(config);

	(void)read_state(path, &table, problems);
	binding_table_done(&table);
	free(path);
}

/* The kernel's own rules say who had what: the state file is lost, the bindings are not. */
static size_t rebuild(struct natmgr *natmgr, const struct ruleset *have)
{
	const struct chain *chain = ruleset_find_chain(have, CHAIN_PREFIX "PREROUTING");
	size_t count = 0;

	for (size_t i = 0; chain && i < chain->count; i++) {
		const struct rule *rule = &chain->rules[i];
		const struct vm *vm = plan_by_ip(natmgr->plan, rule->to);
		char *error = NULL;

		if (rule->action != RULE_DNAT || !vm)
			continue;
		count += binding_bind(&natmgr->table, natmgr->config, natmgr->plan, vm->name,
				 rule->destination.addr, time(NULL), &error) == 1;
		free(error);
	}
	return count;
}

/* A damaged file is set aside, not overwritten: somebody may want to look at it. */
static int recover_state(struct natmgr *natmgr, const struct problems *problems, char **ret_error)
{
	struct backend *backend = natmgr->reconcile.backend;
	char *aside = xasprintf("%s.damaged", natmgr->state_path);
	char error[BACKEND_ERROR_SIZE], *text;
	struct ruleset have;
	int err;

	for (size_t i = 0; i < problems->count; i++) {
		text = problem_format(&problems->list[i]);
		log_error("nat: %s", text);
		free(text);
	}
	err = backend->begin(backend, &have, error);
	if (err) {
		*ret_error = xstrdup(error);
	} else {
		size_t count = rebuild(natmgr, &have);

		backend->end(backend);
		ruleset_done(&have);
		if (rename(natmgr->state_path, aside) < 0)
			err = -errno;
		if (err)
			*ret_error = xasprintf("%s is damaged and cannot be set aside: %s",
				natmgr->state_path, strerror(-err));
		else
			log_error("nat: the damaged file is set aside as %s; %zu bindings were taken "
				"over from the kernel's rules", aside, count);
	}
	free(aside);
	return err;
}

/* --- the kernel --------------------------------------------------------------------------- */

static void log_address_changes(struct natmgr *natmgr, const struct reconcile_report *report)
{
	const struct address_diff *diff = &report->addresses;
	char text[IP4_STRLEN];

	for (size_t i = 0; i < diff->remove_count; i++)
		announce_stop(&natmgr->announce, diff->remove[i].prefix.addr);
	for (size_t i = 0; i < diff->add_count; i++)
		announce_start(&natmgr->announce, diff->add[i].prefix.addr);
	for (size_t i = 0; i < diff->foreign_count; i++)
		log_warning("nat: %s is on %s already without a label of ours; left alone, but it "
			"will stay when it is unbound", ip4_format(diff->foreign[i], text),
			natmgr->config->outer.interface);
	if (report->outer_missing && !natmgr->was_missing)
		log_warning("nat: there is no %s; its addresses are put on it when it comes",
			natmgr->config->outer.interface);
	natmgr->was_missing = report->outer_missing;
}

static void log_report(struct natmgr *natmgr, const struct reconcile_report *report, bool repair)
{
	size_t repairs = reconcile_repairs(report);

	if (report->forwarding_enabled)
		log_info("nat: packet forwarding was off; switched on (net.ipv4.ip_forward=1)");
	if (repair && repairs) {
		natmgr->repaired += repairs;
		log_warning("nat: the kernel had been changed by others; mended: %zu rules or chains, "
			"%zu addresses", report->rule_edits,
			report->addresses.add_count + report->addresses.remove_count);
	}
	if (report->flows_forgotten)
		log_info("nat: %zu flows with an old mapping were forgotten", report->flows_forgotten);
	if (report->flow_error && !natmgr->flows_failed)
		log_warning("nat: flows with an old mapping cannot be forgotten: %s (kernel option "
			"CONFIG_NF_CT_NETLINK; if it is a module: modprobe nf_conntrack_netlink)",
			strerror(-report->flow_error));
	natmgr->flows_failed = report->flow_error != 0;
}

/* Makes the kernel as the table says. `repair`: whatever is to be done was not our doing. */
static int sync_kernel(struct natmgr *natmgr, enum reconcile_scope scope, bool repair,
	char error[static BACKEND_ERROR_SIZE])
{
	struct reconcile_report report;
	struct mapping *map = NULL;
	size_t count = 0;
	int err;

	if (scope != RECONCILE_REMOVE)
		map = binding_map(&natmgr->table, natmgr->plan, &count);
	err = reconcile_run(&natmgr->reconcile, map, count, scope, &report, error);
	log_address_changes(natmgr, &report);
	if (!err)
		log_report(natmgr, &report, repair && !natmgr->unsynced);
	natmgr->unsynced = err != 0;
	reconcile_report_done(&report);
	free(map);
	return err;
}

/* At start and at the end there is no loop to go back to. */
static int sync_waiting(struct natmgr *natmgr, enum reconcile_scope scope, char **ret_error)
{
	const struct timespec pause = { .tv_nsec = LOCK_RETRY_MS * 1000000L };
	uint64_t deadline = loop_now() + LOCK_LIMIT_MS;
	char error[BACKEND_ERROR_SIZE];
	int err;

	while ((err = sync_kernel(natmgr, scope, false, error)) == -EAGAIN && loop_now() < deadline)
		nanosleep(&pause, NULL);
	if (err)
		*ret_error = xstrdup(error);
	return err;
}

/* --- changes ------------------------------------------------------------------------------ */

static struct change *change_new(struct natmgr *natmgr, enum change_kind kind)
{
	struct change *change = xcalloc(1, sizeof(*change));

	change->natmgr = natmgr;
	change->kind = kind;
	return change;
}

static json_t *describe_binding(const struct natmgr *natmgr, const struct binding *binding,
	bool changed)
{
	const struct vm *vm = plan_by_name(natmgr->plan, binding->vm);
	char address[IP4_STRLEN], ip[IP4_STRLEN] = "", *label;
	json_t *object;

	label = xasprintf("%s:%u", natmgr->config->outer.interface, binding->label);
	if (vm)
		ip4_format(vm->ip, ip);
	object = json_pack("{s:s, s:s, s:s, s:s, s:b}", "address",
		ip4_format(binding->address, address), "vm", binding->vm, "ip", ip, "label", label,
		"changed", changed);
	free(label);
	return object;
}

static void reply_change(const struct change *change)
{
	const struct binding *binding = binding_find(&change->natmgr->table, change->address);
	char address[IP4_STRLEN];

	if (change->result < 0)
		control_refuse(change->request, NULL, "%s", change->error);
	else if (change->kind == CHANGE_UNBIND || !binding)
		control_reply(change->request, json_pack("{s:s, s:b}", "address",
			ip4_format(change->address, address), "changed", change->result));
	else
		control_reply(change->request,
			describe_binding(change->natmgr, binding, change->result));
}

static void finish_change(struct change *change)
{
	if (change->request)
		reply_change(change);
	if (change->done)
		change->done(change->ctx, change->result < 0 ? change->error : NULL);
	free(change->error);
	free(change);
}

static void log_change(const struct change *change)
{
	static const char *const verbs[] = { [CHANGE_BIND] = "bound to", [CHANGE_UNBIND] = "unbound",
		[CHANGE_MOVE] = "moved to" };
	char address[IP4_STRLEN];

	if (change->request && change->result > 0)
		log_info("nat: %s %s%s%s", ip4_format(change->address, address), verbs[change->kind],
			change->kind == CHANGE_UNBIND ? "" : " ",
			change->kind == CHANGE_UNBIND ? "" : change->vm);
}

static int follow_plan(struct natmgr *natmgr)
{
	struct binding *lost;
	size_t count;
	bool changed = binding_follow(&natmgr->table, natmgr->config, natmgr->plan, time(NULL), &lost,
		&count);
	char address[IP4_STRLEN];

	for (size_t i = 0; i < count; i++)
		log_info("nat: %s is free again: %s left the plan",
			ip4_format(lost[i].address, address), lost[i].vm);
	free(lost);
	return changed;
}

static int apply_to_table(struct natmgr *natmgr, struct change *change)
{
	time_t now = time(NULL);

	switch (change->kind) {
	case CHANGE_BIND:
		return binding_bind(&natmgr->table, natmgr->config, natmgr->plan, change->vm,
			change->address, now, &change->error);
	case CHANGE_UNBIND:
		return binding_unbind(&natmgr->table, natmgr->config, change->address, now,
			&change->error);
	case CHANGE_MOVE:
		return binding_move(&natmgr->table, natmgr->config, natmgr->plan, change->address,
			change->vm, now, &change->error);
	case CHANGE_FOLLOW:
		return follow_plan(natmgr);
	case CHANGE_RESYNC:
		return binding_cool(&natmgr->table, now);
	}
	return 0;
}

/* --- batches: all changes that wait go together ------------------------------------------- */

static void end_batch(struct natmgr *natmgr)
{
	struct change *change;

	binding_table_done(&natmgr->before);
	/* still busy: who is told may ask for the next change, which waits until all are told */
	while ((change = TAILQ_FIRST(&natmgr->batch))) {
		TAILQ_REMOVE(&natmgr->batch, change, link);
		log_change(change);
		finish_change(change);
	}
	natmgr->busy = false;
	run_batch(natmgr);
}

static void fail_change(struct change *change, int err, const char *why)
{
	/* a change that changes nothing is as true as before */
	if (change->result <= 0 && change->kind < CHANGE_FOLLOW)
		return;
	change->result = err;
	free(change->error);
	change->error = xstrdup(why);
}

/* Back to what was. That a VM left the plan stays true, whatever the kernel says. */
static void roll_back(struct natmgr *natmgr, int err, const char *why)
{
	struct change *change;
	bool follow = false, asked = false;
	char error[BACKEND_ERROR_SIZE];

	TAILQ_FOREACH(change, &natmgr->batch, link) {
		follow = follow || change->kind == CHANGE_FOLLOW;
		asked = asked || (change->request && change->result > 0);
		fail_change(change, err, why);
	}
	log_error("nat: %s", why);
	if (!asked)
		return;
	binding_table_done(&natmgr->table);
	binding_table_copy(&natmgr->before, &natmgr->table);
	if (follow)
		(void)follow_plan(natmgr);
	if (save(natmgr))
		log_error("nat: %s cannot be written back", natmgr->state_path);
	/* a part may have been done before the kernel refused; what cannot be mended now is mended
	 * by the resync */
	(void)sync_kernel(natmgr, RECONCILE_CHANGES, false, error);
}

static bool batch_is_repair(const struct natmgr *natmgr)
{
	const struct change *change;

	TAILQ_FOREACH(change, &natmgr->batch, link) {
		if (change->kind != CHANGE_RESYNC)
			return false;
	}
	return true;
}

static void try_sync(void *ctx)
{
	struct natmgr *natmgr = ctx;
	char error[BACKEND_ERROR_SIZE];
	int err = sync_kernel(natmgr, RECONCILE_CHANGES, batch_is_repair(natmgr), error);

	if (err == -EAGAIN && loop_now() < natmgr->lock_deadline) {
		loop_timer_set(natmgr->loop, &natmgr->retry, LOCK_RETRY_MS, try_sync, natmgr);
		return;
	}
	if (err)
		roll_back(natmgr, err, error);
	end_batch(natmgr);
}

/* True if the kernel has to be looked at. */
static bool apply_batch(struct natmgr *natmgr, bool *ret_changed)
{
	struct change *change;
	bool look = false;

	*ret_changed = false;
	TAILQ_FOREACH(change, &natmgr->batch, link) {
		change->result = apply_to_table(natmgr, change);
		*ret_changed = *ret_changed || change->result > 0;
		look = look || change->result > 0 || change->kind >= CHANGE_FOLLOW;
	}
	return look;
}

static void run_batch(struct natmgr *natmgr)
{
	char error[BACKEND_ERROR_SIZE];
	bool changed, look;
	int err = 0;

	if (natmgr->busy || TAILQ_EMPTY(&natmgr->waiting))
		return;
	natmgr->busy = true;
	TAILQ_CONCAT(&natmgr->batch, &natmgr->waiting, link);
	binding_table_copy(&natmgr->table, &natmgr->before);
	look = apply_batch(natmgr, &changed);
	if (changed)
		err = save(natmgr);
	if (err) {
		snprintf(error, sizeof(error), "%s cannot be written: %s; nothing was changed",
			natmgr->state_path, strerror(-err));
		roll_back(natmgr, err, error);
	}
	if (err || !look) {
		end_batch(natmgr);
		return;
	}
	natmgr->lock_deadline = loop_now() + LOCK_LIMIT_MS;
	try_sync(natmgr);
}

static void submit(struct change *change)
{
	TAILQ_INSERT_TAIL(&change->natmgr->waiting, change, link);
	run_batch(change->natmgr);
}

/* --- probes ------------------------------------------------------------------------------- */

static struct conflict *find_conflict(const struct natmgr *natmgr, uint32_t address)
{
	for (size_t i = 0; i < natmgr->conflict_count; i++) {
		if (natmgr->conflicts[i].address == address &&
			natmgr->conflicts[i].until > loop_now())
			return &natmgr->conflicts[i];
	}
	return NULL;
}

static void clear_conflict(struct natmgr *natmgr, uint32_t address)
{
	for (size_t i = 0; i < natmgr->conflict_count; i++) {
		if (natmgr->conflicts[i].address == address)
			natmgr->conflicts[i--] = natmgr->conflicts[--natmgr->conflict_count];
	}
}

static void note_conflict(struct natmgr *natmgr, uint32_t address, const struct mac *mac)
{
	clear_conflict(natmgr, address);
	natmgr->conflicts = xrealloc(natmgr->conflicts, natmgr->conflict_count + 1,
		sizeof(*natmgr->conflicts));
	natmgr->conflicts[natmgr->conflict_count++] =
		(struct conflict){ address, *mac, loop_now() + CONFLICT_MS };
}

static bool is_being_probed(const struct natmgr *natmgr, uint32_t address)
{
	const struct change *change;

	TAILQ_FOREACH(change, &natmgr->probing, link) {
		if (change->address == address)
			return true;
	}
	TAILQ_FOREACH(change, &natmgr->waiting, link) {
		if (change->kind == CHANGE_BIND && change->address == address)
			return true;
	}
	return false;
}

/* An address for a bind that names none; 0: none is left. */
static uint32_t choose(const struct natmgr *natmgr, const char *vm, uint32_t from)
{
	uint32_t address = binding_choose(&natmgr->table, natmgr->config, vm, from, time(NULL));

	while (address && (find_conflict(natmgr, address) || is_being_probed(natmgr, address)))
		address = address == UINT32_MAX ? 0 :
			binding_choose(&natmgr->table, natmgr->config, vm, address + 1, time(NULL));
	return address;
}

static void probe_or_submit(struct change *change);

static void refuse_change(struct change *change, char *error)
{
	change->result = -EBUSY;
	change->error = error;
	finish_change(change);
}

static void refuse_full(struct change *change)
{
	refuse_change(change, xasprintf("the pool has no free address for %s; eipctl ip list shows who "
		"has them, [outer] pool in %s names them", change->vm, change->natmgr->config->path));
}

static void probe_answered(void *ctx, const struct mac *mac)
{
	struct change *change = ctx;
	struct natmgr *natmgr = change->natmgr;
	char address[IP4_STRLEN], owner[MAC_STRLEN];

	TAILQ_REMOVE(&natmgr->probing, change, link);
	if (!mac) {
		clear_conflict(natmgr, change->address);
		submit(change);
		return;
	}
	ip4_format(change->address, address);
	mac_format(mac, owner);
	log_warning("nat: %s answers on %s already, from %s", address,
		natmgr->config->outer.interface, owner);
	note_conflict(natmgr, change->address, mac);
	if (!change->chosen) {
		refuse_change(change, xasprintf("%s is in use on %s by %s; free it there or bind another "
			"address", address, natmgr->config->outer.interface, owner));
		return;
	}
	change->address = choose(natmgr, change->vm, 0);
	if (change->address)
		probe_or_submit(change);
	else
		refuse_full(change);
}

static void probe_or_submit(struct change *change)
{
	struct natmgr *natmgr = change->natmgr;

	/* what we have on the interface ourselves, the wire need not be asked for */
	if (!natmgr->config->outer.probe || binding_find(&natmgr->table, change->address)) {
		submit(change);
		return;
	}
	TAILQ_INSERT_TAIL(&natmgr->probing, change, link);
	announce_probe(&natmgr->announce, change->address, probe_answered, change);
}

/* --- commands ----------------------------------------------------------------------------- */

static bool parse_address(struct control_request *request, const char *text, uint32_t *ret_address)
{
	if (!ip4_parse(text, ret_address))
		return true;
	control_refuse(request, NULL, "%s is not an IPv4 address; expected as in 20.251.48.99", text);
	return false;
}

/* Copies the VM's name as the plan has it, or refuses. */
static bool parse_vm(const struct natmgr *natmgr, struct control_request *request, const char *name,
	struct change *change)
{
	const struct vm *vm = plan_by_name(natmgr->plan, name);

	if (vm) {
		snprintf(change->vm, sizeof(change->vm), "%s", vm->name);
		return true;
	}
	control_refuse(request, NULL, "%s: no such VM in the plan; eipctl vm list shows them", name);
	free(change);
	return false;
}

static void command_bind(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct natmgr *natmgr = ctx;
	struct change *change;
	struct binding_table trial;
	uint32_t address = 0;
	int err;

	if (argc == 2 && !parse_address(request, argv[1], &address))
		return;
	change = change_new(natmgr, CHANGE_BIND);
	change->request = request;
	if (!parse_vm(natmgr, request, argv[0], change))
		return;
	change->chosen = argc < 2;
	change->address = change->chosen ? choose(natmgr, change->vm, 0) : address;
	if (!change->address) {
		refuse_full(change);
		return;
	}
	/* what cannot be is refused before anybody on the wire is asked */
	binding_table_copy(&natmgr->table, &trial);
	err = binding_bind(&trial, natmgr->config, natmgr->plan, change->vm, change->address,
		time(NULL), &change->error);
	binding_table_done(&trial);
	if (err < 0) {
		change->result = err;
		finish_change(change);
		return;
	}
	probe_or_submit(change);
}

static void command_unbind(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct change *change;
	uint32_t address;

	(void)argc;
	if (!parse_address(request, argv[0], &address))
		return;
	change = change_new(ctx, CHANGE_UNBIND);
	change->request = request;
	change->address = address;
	submit(change);
}

static void command_move(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct natmgr *natmgr = ctx;
	struct change *change;
	uint32_t address;

	(void)argc;
	if (!parse_address(request, argv[0], &address))
		return;
	change = change_new(natmgr, CHANGE_MOVE);
	change->request = request;
	change->address = address;
	if (parse_vm(natmgr, request, argv[1], change))
		probe_or_submit(change);
}

/* The addresses of `ip list` while their flows are counted. */
struct listing {
	uint32_t *address;
	uint64_t *flows;
	size_t count;
};

static int compare_addresses(const void *a, const void *b)
{
	uint32_t ua = *(const uint32_t *)a, ub = *(const uint32_t *)b;

	return ua < ub ? -1 : ua > ub;
}

static bool count_flow_of(struct listing *listing, uint32_t address)
{
	const uint32_t *found = bsearch(&address, listing->address, listing->count,
		sizeof(*listing->address), compare_addresses);

	if (found)
		listing->flows[found - listing->address]++;
	return found;
}

static void count_flow(void *ctx, const struct flow *flow)
{
	/* a flow counts for the address it came to, else for the one it left with */
	if (!count_flow_of(ctx, flow->destination))
		(void)count_flow_of(ctx, flow->reply_destination);
}

/* The pool, and what is bound outside of it. */
static void list_addresses(const struct natmgr *natmgr, struct listing *ret_listing)
{
	size_t pool = (size_t)config_pool_size(natmgr->config), n = 0;
	uint32_t *list = xcalloc(pool + natmgr->table.count, sizeof(*list));

	for (size_t i = 0; i < natmgr->config->outer.pool_count; i++) {
		const struct ip4_range *range = &natmgr->config->outer.pool[i];

		for (uint32_t address = range->first; address <= range->last; address++)
			list[n++] = address;
	}
	for (size_t i = 0; i < natmgr->table.count; i++) {
		if (!config_pool_contains(natmgr->config, natmgr->table.list[i].address))
			list[n++] = natmgr->table.list[i].address;
	}
	qsort(list, n, sizeof(*list), compare_addresses);
	*ret_listing = (struct listing){ list, xcalloc(n, sizeof(uint64_t)), n };
	(void)conntrack_list(count_flow, ret_listing);
}

static json_t *describe_address(const struct natmgr *natmgr, uint32_t address, uint64_t flows)
{
	const struct binding *binding = binding_find(&natmgr->table, address);
	const struct cooldown *cooling = binding_cooling(&natmgr->table, address, time(NULL));
	const struct conflict *conflict = find_conflict(natmgr, address);
	char text[IP4_STRLEN];
	json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:I}", "address", ip4_format(address, text),
		"state", binding ? "bound" : conflict ? "conflict" : cooling ? "cooldown" : "free",
		"vm", binding ? json_string(binding->vm) : json_null(),
		"label", binding ? json_sprintf("%s:%u", natmgr->config->outer.interface,
			binding->label) : json_null(),
		"connections", (json_int_t)flows);

	if (cooling && !binding)
		json_object_set_new(object, "until", json_integer(cooling->until));
	if (conflict && !binding)
		json_object_set_new(object, "answered_by", json_string(mac_format(&conflict->mac,
			(char[MAC_STRLEN]){ 0 })));
	return object;
}

static void command_ip_list(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct natmgr *natmgr = ctx;
	json_t *list = json_array();
	struct listing listing;

	(void)argc;
	(void)argv;
	list_addresses(natmgr, &listing);
	for (size_t i = 0; i < listing.count; i++)
		json_array_append_new(list,
			describe_address(natmgr, listing.address[i], listing.flows[i]));
	free(listing.address);
	free(listing.flows);
	control_reply(request, list);
}

static const struct control_command commands[] = {
	{ "ip list", 0, 0, command_ip_list },
	{ "ip bind", 1, 2, command_bind },
	{ "ip unbind", 1, 1, command_unbind },
	{ "ip move", 2, 2, command_move },
};

json_t *natmgr_status(const struct natmgr *natmgr)
{
	uint64_t pool = config_pool_size(natmgr->config), bound_in_pool = 0;
	size_t bound = natmgr->table.count;

	for (size_t i = 0; i < bound; i++)
		bound_in_pool += config_pool_contains(natmgr->config, natmgr->table.list[i].address);
	return json_pack("{s:I, s:I, s:I, s:I, s:b}", "pool", (json_int_t)pool, "bound",
		(json_int_t)bound, "free", (json_int_t)(pool - bound_in_pool), "repaired",
		(json_int_t)natmgr->repaired, "in_sync", !natmgr->unsynced);
}

void natmgr_describe_vm(const struct natmgr *natmgr, const struct vm *vm, json_t *object)
{
	json_t *list = json_array();
	char text[IP4_STRLEN];

	for (size_t i = 0; i < natmgr->table.count; i++) {
		if (!strcmp(natmgr->table.list[i].vm, vm->name))
			json_array_append_new(list,
				json_string(ip4_format(natmgr->table.list[i].address, text)));
	}
	json_object_set_new(object, "public", list);
	json_object_set_new(object, "isolated", json_false());
}

/* --- life --------------------------------------------------------------------------------- */

static void resync(void *ctx)
{
	struct natmgr *natmgr = ctx;

	loop_timer_set(natmgr->loop, &natmgr->resync, natmgr->config->nat.resync * UINT64_C(1000),
		resync, natmgr);
	submit(change_new(natmgr, CHANGE_RESYNC));
}

static void links_settled(void *ctx)
{
	struct natmgr *natmgr = ctx;
	struct mapping *map;
	size_t count;

	/* our own changes are seen here as well: a batch is followed by a look anyway */
	if (natmgr->busy) {
		loop_timer_set(natmgr->loop, &natmgr->settle, LINKS_SETTLE_MS, links_settled, natmgr);
		return;
	}
	map = binding_map(&natmgr->table, natmgr->plan, &count);
	if (!reconcile_addresses_are_right(&natmgr->reconcile, map, count))
		submit(change_new(natmgr, CHANGE_RESYNC));
	free(map);
}

void natmgr_links_changed(struct natmgr *natmgr)
{
	struct netlink_link link;

	if (!netlink_link_get(natmgr->reconcile.route, natmgr->config->outer.interface, &link))
		natmgr->announce.mac = link.mac;
	if (!natmgr->settle.active)
		loop_timer_set(natmgr->loop, &natmgr->settle, LINKS_SETTLE_MS, links_settled, natmgr);
}

void natmgr_replan(struct natmgr *natmgr, const struct plan *plan,
	void (*done)(void *ctx, const char *error), void *ctx)
{
	struct change *change = change_new(natmgr, CHANGE_FOLLOW);

	natmgr->plan = plan;
	change->done = done;
	change->ctx = ctx;
	submit(change);
}

static void warn_outside_pool(const struct natmgr *natmgr)
{
	char text[IP4_STRLEN];

	for (size_t i = 0; i < natmgr->table.count; i++) {
		if (!config_pool_contains(natmgr->config, natmgr->table.list[i].address))
			log_warning("nat: %s is bound to %s but not in the pool any more; the binding is "
				"kept until it is unbound",
				ip4_format(natmgr->table.list[i].address, text),
				natmgr->table.list[i].vm);
	}
}

static int load_state(struct natmgr *natmgr, char **ret_error)
{
	struct problems problems = { 0 };
	int err = 0;

	if (read_state(natmgr->state_path, &natmgr->table, &problems))
		err = recover_state(natmgr, &problems, ret_error);
	problems_done(&problems);
	if (err)
		return err;
	(void)follow_plan(natmgr);
	(void)binding_cool(&natmgr->table, time(NULL));
	warn_outside_pool(natmgr);
	err = save(natmgr);
	if (err)
		*ret_error = xasprintf("%s cannot be written: %s; bindings could not be remembered",
			natmgr->state_path, strerror(-err));
	return err;
}

int natmgr_new(const struct natmgr_setup *setup, struct natmgr **ret_natmgr, char **ret_error)
{
	struct natmgr *natmgr = xcalloc(1, sizeof(*natmgr));
	struct netlink_link link = { 0 };
	int err;

	natmgr->loop = setup->loop;
	natmgr->config = setup->config;
	natmgr->plan = setup->plan;
	natmgr->state_path = state_path(setup->config);
	TAILQ_INIT(&natmgr->probing);
	TAILQ_INIT(&natmgr->waiting);
	TAILQ_INIT(&natmgr->batch);
	natmgr->reconcile = (struct reconcile){ .backend = backend_iptables_new(),
		.config = setup->config, .inner = setup->inner };
	err = netlink_open(NETLINK_ROUTE, &natmgr->reconcile.route);
	if (err)
		*ret_error = xasprintf("no netlink socket: %s", strerror(-err));
	if (!err)
		(void)netlink_link_get(natmgr->reconcile.route, setup->config->outer.interface, &link);
	announce_init(&natmgr->announce, setup->loop, setup->config->outer.interface, &link.mac,
		setup->config->outer.announce);
	if (!err)
		err = load_state(natmgr, ret_error);
	if (!err)
		err = sync_waiting(natmgr, RECONCILE_ALL, ret_error);
	if (err) {
		natmgr_free(natmgr);
		return err;
	}
	control_register(setup->control, commands, sizeof(commands) / sizeof(*commands), natmgr);
	loop_timer_set(natmgr->loop, &natmgr->resync, natmgr->config->nat.resync * UINT64_C(1000),
		resync, natmgr);
	*ret_natmgr = natmgr;
	return 0;
}

static void drop_changes(struct change_list *list)
{
	struct change *change;

	while ((change = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, change, link);
		change->result = -ESHUTDOWN;
		free(change->error);
		change->error = xstrdup("eipd is stopping; try again when it runs");
		finish_change(change);
	}
}

void natmgr_free(struct natmgr *natmgr)
{
	if (!natmgr)
		return;
	loop_timer_cancel(natmgr->loop, &natmgr->retry);
	loop_timer_cancel(natmgr->loop, &natmgr->resync);
	loop_timer_cancel(natmgr->loop, &natmgr->settle);
	announce_done(&natmgr->announce);
	drop_changes(&natmgr->probing);
	drop_changes(&natmgr->waiting);
	drop_changes(&natmgr->batch);
	natmgr->reconcile.backend->free(natmgr->reconcile.backend);
	netlink_close(natmgr->reconcile.route);
	binding_table_done(&natmgr->table);
	binding_table_done(&natmgr->before);
	free(natmgr->conflicts);
	free(natmgr->state_path);
	free(natmgr);
}

int natmgr_remove(struct natmgr *natmgr, char **ret_error)
{
	return sync_waiting(natmgr, RECONCILE_REMOVE, ret_error);
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
