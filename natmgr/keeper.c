/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper owns the table of bindings and those who wait for a change of it: what is changed together,
 * when the thread makes it true, what is taken back, who is told. It must not know who asks, nor
 * why.
 */
#include "natmgr/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/control.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/netlink.h"
#include "common/netlink_link.h"
#include "common/worker.h"
#include "natmgr/binding_store.h"
#include "natmgr/reconcile_log.h"
#include "natmgr/sync.h"

/* What could not be done is tried again after so long. */
#define RETRY_MS 1000
/* Changes of links come in swarms; and what has to wait for the thread looks again so soon. */
#define SETTLE_MS 50

TAILQ_HEAD(change_list, keeper_change);

/* What the thread is at. */
enum work {
	WORK_NONE,
	WORK_CHANGE,    /* a batch of changes */
	WORK_ROLL_BACK, /* of that batch */
	WORK_RESYNC,
};

struct keeper {
	struct loop *loop;
	const struct config *config;
	const struct plan *plan;
	const struct isolation *isolation;
	struct nl_sock *links;      /* NETLINK_ROUTE */
	struct reconcile reconcile; /* the thread's while there is work on it */
	struct announce announce;
	struct worker worker;
	struct sync sync; /* that work */
	char *state_path;
	struct binding_table table;
	struct foreign foreign;      /* the tables borrow it */
	struct binding_table before; /* what to go back to while a batch is under way */
	struct change_list waiting, batch;
	enum work work;
	char last_error[BACKEND_ERROR_SIZE]; /* so that it is logged once */
	struct loop_timer resync, settle;
	struct keeper_hooks hooks;
	struct reconcile_log log;
	bool failed;     /* the last run */
	bool file_stale; /* it could not be written, and says something else than the table */
	bool half_done;  /* by us: what the next run that works finds is no repair */
	atomic_bool is_closing;
	bool outer_running;
};

static void run_batch(struct keeper *keeper);

/* --- the kernel --------------------------------------------------------------------------- */

static void announce_changes(struct keeper *keeper, const struct address_diff *diff, bool done)
{
	for (size_t i = 0; i < diff->remove_count; i++)
		announce_stop(&keeper->announce, diff->remove[i].prefix.addr);
	/* what is not there is not announced, nor any more */
	for (size_t i = 0; i < diff->add_count; i++)
		(done ? announce_start : announce_stop)(&keeper->announce,
			diff->add[i].prefix.addr);
}

static void note_file(struct keeper *keeper, int err)
{
	if (err && !keeper->file_stale)
		log_error("nat: %s cannot be written: %s; it is tried again, and until then no "
			  "address can be bound",
			keeper->state_path, strerror(-err));
	keeper->file_stale = err != 0;
}

static void note_sync(struct keeper *keeper)
{
	const struct sync *sync = &keeper->sync;
	const struct reconcile_report *report = &sync->report;

	/* nothing was touched */
	if (sync->file_err && !sync->despite_file)
		return;
	if (sync->file)
		note_file(keeper, sync->file_err);
	keeper->failed = sync->err != 0;
	/* the lock was waited for in vain: nothing was seen, and nothing done or undone */
	if (sync->err == -EAGAIN) {
		keeper->half_done = keeper->half_done || keeper->work == WORK_ROLL_BACK;
		return;
	}
	announce_changes(keeper, &report->addresses, !sync->err);
	/* what ended early may not have seen all */
	if (!sync->err)
		reconcile_log_run(&keeper->log, report);
	/* without a change of ours, whatever differed was done by others */
	if (!sync->err && keeper->work == WORK_RESYNC && !keeper->half_done &&
		reconcile_log_repairs(&keeper->log, report))
		keeper->hooks.mended(keeper->hooks.ctx, report);
	keeper->half_done = sync->err != 0;
}

static void prepare_sync(struct keeper *keeper, enum reconcile_scope scope)
{
	keeper->sync = (struct sync){ .reconcile = &keeper->reconcile,
		.path = keeper->state_path,
		.scope = scope,
		.lock_ms = BACKEND_LOCK_LIMIT_MS,
		.is_closing = scope == RECONCILE_REMOVE ? NULL : &keeper->is_closing };
	if (scope != RECONCILE_REMOVE)
		desired_make(&keeper->table, keeper->plan, keeper->isolation,
			&keeper->sync.desired);
}

/* At start and at the end there is no loop to go back to. */
static int sync_waiting(struct keeper *keeper, enum reconcile_scope scope, char **ret_error)
{
	int err;

	prepare_sync(keeper, scope);
	sync_run(&keeper->sync);
	note_sync(keeper);
	err = keeper->sync.err;
	if (err)
		*ret_error = xstrdup(keeper->sync.error);
	sync_done(&keeper->sync);
	return err;
}

/* What a change may not take, and what time it is. */
static void prepare_table(struct keeper *keeper)
{
	struct binding_table *table = &keeper->table;
	struct desired desired;

	desired_make(table, keeper->plan, NULL, &desired);
	free(keeper->foreign.labels);
	free(keeper->foreign.addresses);
	reconcile_foreign(&keeper->reconcile, &desired, &keeper->foreign);
	desired_done(&desired);
	table->foreign_labels = keeper->foreign.labels;
	table->foreign_label_count = keeper->foreign.label_count;
	table->foreign_addresses = keeper->foreign.addresses;
	table->foreign_address_count = keeper->foreign.address_count;
	table->clock = loop_now();
}

/* --- batches: all changes that wait go together ------------------------------------------- */

static void end_batch(struct keeper *keeper)
{
	struct keeper_change *change;

	binding_table_done(&keeper->before);
	/* still at work: who is told may ask for the next change, which waits until all are told */
	while ((change = TAILQ_FIRST(&keeper->batch))) {
		char *error = change->error;

		TAILQ_REMOVE(&keeper->batch, change, link);
		change->done(change, change->result, error);
		free(error);
	}
	keeper->work = WORK_NONE;
	run_batch(keeper);
}

/* On the table as it is now, the change would change nothing: it is as true as before. */
static bool is_true_already(const struct keeper *keeper, struct keeper_change *change)
{
	struct binding_table trial;
	char *ignored = NULL;
	int result;

	binding_table_copy(&keeper->table, &trial);
	result = change->apply(change, &trial, &ignored);
	binding_table_done(&trial);
	free(ignored);
	return result == 0;
}

/*
 * Table and file go back to what was, but for changes that stay. What each is told: one that was
 * refused, its own reason; one that changed something, or only seemed to be so because of another
 * of the batch, `why`; one that was so before, that it is so; one that stays, `why`, though it is
 * in the table. True: there is one of these, so that the table is not what it was.
 */
static bool restore(struct keeper *keeper, int err, const char *why)
{
	struct keeper_change *change;
	char *ignored = NULL;
	bool stays = false;

	binding_table_done(&keeper->table);
	binding_table_copy(&keeper->before, &keeper->table);
	TAILQ_FOREACH (change, &keeper->batch, link) {
		if (change->stays)
			(void)change->apply(change, &keeper->table, &ignored);
		stays = stays || change->stays;
	}
	TAILQ_FOREACH (change, &keeper->batch, link) {
		if (!change->stays &&
			(change->result < 0 ||
				(change->result == 0 && is_true_already(keeper, change))))
			continue;
		change->result = err;
		change->error = xstrdup(why);
	}
	return stays;
}

static void synced(void *ctx);

static void run_sync(void *ctx)
{
	struct keeper *keeper = ctx;

	sync_run(&keeper->sync);
}

static void start_sync(struct keeper *keeper, enum work work)
{
	keeper->work = work;
	prepare_sync(keeper, RECONCILE_CHANGES);
	if (work != WORK_RESYNC || keeper->file_stale)
		keeper->sync.file = binding_store_format(keeper->config, &keeper->table,
			&keeper->sync.file_len);
	keeper->sync.despite_file = work != WORK_CHANGE;
	/* what cannot be undone now is undone by the resync; and at a stop nobody wants to wait */
	if (work == WORK_ROLL_BACK || !loop_is_running(keeper->loop))
		keeper->sync.lock_ms = 0;
	worker_start(&keeper->worker, run_sync, synced, keeper);
}

/* A part may have been done before the kernel refused; before the file is written, nothing is. */
static void roll_back(struct keeper *keeper, int err, const char *why)
{
	bool stays = restore(keeper, err, why), untouched = keeper->sync.file_err;

	if (err != -ESHUTDOWN)
		log_error("nat: %s", why);
	sync_done(&keeper->sync);
	if (untouched && !stays)
		end_batch(keeper);
	else
		start_sync(keeper, WORK_ROLL_BACK);
}

/* A resync or a roll-back that failed changes nothing of what is desired. */
static void note_failure(struct keeper *keeper, const char *error)
{
	if (strcmp(keeper->last_error, error))
		log_error("nat: the kernel could not be compared or mended: %s", error);
	snprintf(keeper->last_error, sizeof(keeper->last_error), "%s", error);
}

static void resync(void *ctx);

static void set_resync(struct keeper *keeper)
{
	uint64_t ms = keeper->config->nat.resync * UINT64_C(1000);

	loop_timer_set(keeper->loop, &keeper->resync, keeper_is_in_sync(keeper) ? ms : RETRY_MS,
		resync, keeper);
}

/* The file is written and the kernel so, flows as well: now those who wait are told. */
static void synced(void *ctx)
{
	struct keeper *keeper = ctx;
	const struct sync *sync = &keeper->sync;
	bool gave_up = keeper->is_closing && sync->err == -EAGAIN;

	note_sync(keeper);
	if (sync->err && keeper->work == WORK_CHANGE) {
		roll_back(keeper, gave_up ? -ESHUTDOWN : sync->err,
			gave_up ? CONTROL_STOPPING : sync->error);
		return;
	}
	if (sync->err && !gave_up)
		note_failure(keeper, sync->error);
	if (!sync->err)
		keeper->last_error[0] = '\0';
	if (!sync->err && keeper->work == WORK_CHANGE)
		keeper->hooks.changed(keeper->hooks.ctx);
	sync_done(&keeper->sync);
	if (keeper->work == WORK_RESYNC)
		prepare_table(keeper);
	if (keeper->work == WORK_RESYNC || !keeper_is_in_sync(keeper))
		set_resync(keeper);
	end_batch(keeper);
}

/* How many changes changed anything. */
static size_t apply_batch(struct keeper *keeper)
{
	struct keeper_change *change;
	size_t count = 0;

	TAILQ_FOREACH (change, &keeper->batch, link) {
		change->error = NULL;
		change->result = change->apply(change, &keeper->table, &change->error);
		count += change->result > 0 || change->stays;
	}
	return count;
}

/* Those that wait at a stop; what stays is done yet, as it is on the disk already. */
static void refuse_waiting(struct keeper *keeper)
{
	struct keeper_change *change = TAILQ_FIRST(&keeper->waiting), *next;

	for (; change; change = next) {
		next = TAILQ_NEXT(change, link);
		if (change->stays)
			continue;
		TAILQ_REMOVE(&keeper->waiting, change, link);
		change->done(change, -ESHUTDOWN, CONTROL_STOPPING);
	}
}

static void run_batch(struct keeper *keeper)
{
	if (keeper->work != WORK_NONE)
		return;
	if (keeper->is_closing)
		refuse_waiting(keeper);
	if (TAILQ_EMPTY(&keeper->waiting))
		return;
	keeper->work = WORK_CHANGE;
	TAILQ_CONCAT(&keeper->batch, &keeper->waiting, link);
	prepare_table(keeper);
	binding_table_copy(&keeper->table, &keeper->before);
	if (!apply_batch(keeper)) {
		end_batch(keeper);
		return;
	}
	start_sync(keeper, WORK_CHANGE);
}

void keeper_submit(struct keeper *keeper, struct keeper_change *change)
{
	TAILQ_INSERT_TAIL(&keeper->waiting, change, link);
	run_batch(keeper);
}

/* --- others' changes ---------------------------------------------------------------------- */

/* Compares the kernel with the table, and mends. */
static void resync(void *ctx)
{
	struct keeper *keeper = ctx;

	/* what is under way may have looked at the kernel already */
	if (keeper->work != WORK_NONE) {
		loop_timer_set(keeper->loop, &keeper->resync, SETTLE_MS, resync, keeper);
		return;
	}
	outer_forget(&keeper->reconcile.outer);
	start_sync(keeper, WORK_RESYNC);
}

static void links_settled(void *ctx)
{
	struct keeper *keeper = ctx;
	struct desired desired;

	/* our own changes are seen here as well */
	if (keeper->work != WORK_NONE) {
		loop_timer_set(keeper->loop, &keeper->settle, SETTLE_MS, links_settled, keeper);
		return;
	}
	desired_make(&keeper->table, keeper->plan, keeper->isolation, &desired);
	if (!reconcile_addresses_are_right(&keeper->reconcile, &desired))
		resync(keeper);
	else
		prepare_table(keeper);
	desired_done(&desired);
}

/* What was announced while nobody could hear it is said again. */
static void outer_came_up(struct keeper *keeper)
{
	struct desired desired;

	desired_make(&keeper->table, keeper->plan, keeper->isolation, &desired);
	for (size_t i = 0; i < desired.count; i++)
		announce_start(&keeper->announce, desired.map[i].address);
	if (desired.count)
		log_info("nat: %s is up; its addresses are announced",
			keeper->config->outer.interface);
	desired_done(&desired);
}

static void look_at_outer(struct keeper *keeper)
{
	struct netlink_link link = { 0 };
	bool running;

	(void)netlink_link_get(keeper->links, keeper->config->outer.interface, &link);
	if (link.index)
		keeper->announce.mac = link.mac;
	reconcile_log_outer(&keeper->log, !link.index);
	running = link.flags & IFF_RUNNING;
	if (running && !keeper->outer_running)
		outer_came_up(keeper);
	keeper->outer_running = running;
}

void keeper_links_changed(struct keeper *keeper, bool links)
{
	if (links)
		look_at_outer(keeper);
	if (!keeper->settle.active)
		loop_timer_set(keeper->loop, &keeper->settle, SETTLE_MS, links_settled, keeper);
}

/* --- life --------------------------------------------------------------------------------- */

struct follow {
	struct keeper_change change;
	struct keeper *keeper;
	struct binding *lost, *given;
	size_t lost_count, given_count;
	void (*done)(void *ctx, const char *error);
	void *ctx;
};

/* The bindings as the plan says, with auto-bind where so configured. */
static bool follow_plan(struct keeper *keeper, struct binding_table *table, struct follow *follow)
{
	time_t now = binding_seconds();
	bool changed;

	free(follow->lost);
	changed = binding_follow(table, keeper->config, keeper->plan, now, &follow->lost,
		&follow->lost_count);
	free(follow->given);
	follow->given = NULL;
	follow->given_count = 0;
	/* where the wire has to be asked first, that is a matter of auto_bind */
	if (keeper->config->nat.auto_bind && !keeper->config->outer.probe)
		follow->given_count = binding_auto(table, keeper->config, keeper->plan, now, NULL,
			NULL, &follow->given);
	return changed || follow->given_count;
}

static void log_follow(const struct keeper *keeper, const struct follow *follow)
{
	char address[IP4_STRLEN];

	for (size_t i = 0; i < follow->lost_count; i++)
		keeper->hooks.followed(keeper->hooks.ctx, &follow->lost[i], true);
	for (size_t i = 0; i < follow->given_count; i++)
		keeper->hooks.followed(keeper->hooks.ctx, &follow->given[i], false);

	for (size_t i = 0; i < follow->lost_count; i++)
		log_info("nat: %s is free again: %s left the plan",
			ip4_format(follow->lost[i].address, address), follow->lost[i].vm);
	if (follow->given_count)
		log_info("nat: %zu VMs were given an address of the pool (auto-bind)",
			follow->given_count);
}

static int apply_follow(struct keeper_change *change, struct binding_table *table, char **ret_error)
{
	struct follow *follow = (struct follow *)change;

	(void)ret_error;
	return follow_plan(follow->keeper, table, follow);
}

static void end_follow(struct keeper_change *change, int result, const char *error)
{
	struct follow *follow = (struct follow *)change;

	log_follow(follow->keeper, follow);
	follow->done(follow->ctx, error);
	if (result != -ESHUTDOWN)
		follow->keeper->hooks.replanned(follow->keeper->hooks.ctx);
	free(follow->lost);
	free(follow->given);
	free(follow);
}

void keeper_replan(struct keeper *keeper, const struct plan *plan,
	void (*done)(void *ctx, const char *error), void *ctx)
{
	struct follow *follow = xcalloc(1, sizeof(*follow));

	keeper->plan = plan;
	*follow = (struct follow){
		.change = { .apply = apply_follow, .done = end_follow, .stays = true },
		.keeper = keeper,
		.done = done,
		.ctx = ctx
	};
	keeper_submit(keeper, &follow->change);
}

static void warn_outside_pool(const struct keeper *keeper)
{
	char text[IP4_STRLEN];

	for (size_t i = 0; i < keeper->table.count; i++) {
		if (!config_pool_contains(keeper->config, keeper->table.list[i].address))
			log_warning(
				"nat: %s is bound to %s but not in the pool any more; the binding is "
				"kept until it is unbound",
				ip4_format(keeper->table.list[i].address, text),
				keeper->table.list[i].vm);
	}
}

static int load_state(struct keeper *keeper, char **ret_error)
{
	struct follow follow = { 0 };
	bool changed;
	int damaged = binding_store_load(keeper->state_path, keeper->config, keeper->plan,
		keeper->reconcile.backend, &keeper->table, ret_error);
	int err;

	if (damaged < 0)
		return damaged;
	changed = binding_cool(&keeper->table, keeper->config, binding_seconds()) || damaged;
	prepare_table(keeper);
	changed = follow_plan(keeper, &keeper->table, &follow) || changed;
	log_follow(keeper, &follow);
	free(follow.lost);
	free(follow.given);
	warn_outside_pool(keeper);
	err = changed ? binding_store_save(keeper->state_path, keeper->config, &keeper->table) : 0;
	if (err && damaged) {
		*ret_error =
			xasprintf("%s is damaged, and a good one cannot be written: %s; nothing "
				  "was changed",
				keeper->state_path, strerror(-err));
		return err;
	}
	note_file(keeper, err);
	return 0;
}

int keeper_new(struct loop *loop, const struct config *config, const struct plan *plan,
	const struct isolation *isolation, const struct ip4_prefix *inner,
	const struct keeper_hooks *hooks, struct keeper **ret_keeper, char **ret_error)
{
	struct keeper *keeper = xcalloc(1, sizeof(*keeper));
	struct netlink_link link = { 0 };
	int err;

	*keeper = (struct keeper){ .loop = loop,
		.config = config,
		.plan = plan,
		.isolation = isolation,
		.hooks = *hooks,
		.log = { .interface = config->outer.interface },
		.state_path = binding_store_path(config) };
	TAILQ_INIT(&keeper->waiting);
	TAILQ_INIT(&keeper->batch);
	worker_init(&keeper->worker, loop);
	keeper->reconcile = (struct reconcile){
		.backend = backend_iptables_new(), .config = config, .inner = *inner
	};
	err = netlink_open(NETLINK_ROUTE, &keeper->reconcile.route);
	if (!err)
		err = netlink_open(NETLINK_ROUTE, &keeper->links);
	if (err)
		*ret_error = xasprintf("no netlink socket: %s", strerror(-err));
	else
		(void)netlink_link_get(keeper->links, config->outer.interface, &link);
	outer_init(&keeper->reconcile.outer, config->outer.interface, keeper->reconcile.route);
	announce_init(&keeper->announce, loop, config->outer.interface, &link.mac,
		config->outer.announce);
	keeper->outer_running = link.flags & IFF_RUNNING;
	if (!err)
		err = load_state(keeper, ret_error);
	if (!err)
		err = sync_waiting(keeper, RECONCILE_ALL, ret_error);
	if (err) {
		keeper_free(keeper);
		return err;
	}
	set_resync(keeper);
	*ret_keeper = keeper;
	return 0;
}

/*
 * What is under way is done and told, unless it waits for the lock; but for what stays, nothing is
 * begun.
 */
static void finish(struct keeper *keeper)
{
	keeper->is_closing = true;
	worker_wait(&keeper->worker);
}

void keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return;
	finish(keeper);
	worker_done(&keeper->worker);
	loop_timer_cancel(keeper->loop, &keeper->resync);
	loop_timer_cancel(keeper->loop, &keeper->settle);
	announce_done(&keeper->announce);
	keeper->reconcile.backend->free(keeper->reconcile.backend);
	outer_done(&keeper->reconcile.outer);
	free(keeper->reconcile.new_sources.list);
	netlink_close(keeper->reconcile.route);
	netlink_close(keeper->links);
	binding_table_done(&keeper->table);
	binding_table_done(&keeper->before);
	free(keeper->foreign.labels);
	free(keeper->foreign.addresses);
	free(keeper->state_path);
	free(keeper);
}

int keeper_remove(struct keeper *keeper, char **ret_error)
{
	finish(keeper);
	return sync_waiting(keeper, RECONCILE_REMOVE, ret_error);
}

const struct binding_table *keeper_table(const struct keeper *keeper)
{
	return &keeper->table;
}

const struct plan *keeper_plan(const struct keeper *keeper)
{
	return keeper->plan;
}

struct announce *keeper_announce(struct keeper *keeper)
{
	return &keeper->announce;
}

bool keeper_is_in_sync(const struct keeper *keeper)
{
	return !keeper->failed && !keeper->file_stale;
}

uint64_t keeper_repaired(const struct keeper *keeper)
{
	return keeper->log.repaired;
}
