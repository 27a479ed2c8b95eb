/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auto_bind owns the way from VMs without an address to questions on the wire and to one change. It
 * must not decide who gets which address, which is binding's.
 */
#include "natmgr/auto_bind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "natmgr/binding_store.h"

struct question {
	uint32_t address;
	bool is_answered; /* somebody has it */
	struct auto_bind *auto_bind;
};

/* A VM that is passed over. */
struct rest {
	struct mac mac;
	bool until_it_comes;
};

struct auto_bind {
	struct keeper_change change; /* first: the keeper hands it back */
	const struct config *config;
	struct keeper *keeper;
	struct events *events;
	struct conflicts *conflicts;
	struct address_filter filter;
	struct loop *loop;
	struct loop_timer timer;
	struct question *questions; /* by ascending address, until the change is done */
	size_t count, waiting;      /* the latter: for an answer */
	struct binding *given;
	size_t given_count;
	struct rest *resting; /* by ascending MAC */
	size_t resting_count;
};

/* --- who is passed over --------------------------------------------------------------------- */

static int compare_rests(const void *a, const void *b)
{
	return memcmp(((const struct rest *)a)->mac.byte, ((const struct rest *)b)->mac.byte,
		sizeof(((const struct rest *)a)->mac.byte));
}

static struct rest *find_rest(const struct auto_bind *auto_bind, const struct vm *vm)
{
	const struct rest key = { .mac = vm->mac };

	if (!auto_bind->resting_count)
		return NULL;
	return bsearch(&key, auto_bind->resting, auto_bind->resting_count, sizeof(key),
		compare_rests);
}

static bool may_have(const void *ctx, const struct vm *vm)
{
	return !find_rest(ctx, vm);
}

static void add_rest(struct auto_bind *auto_bind, const struct rest *rest)
{
	size_t at = auto_bind->resting_count;

	auto_bind->resting = xrealloc(auto_bind->resting, auto_bind->resting_count + 1,
		sizeof(*rest));
	while (at > 0 && compare_rests(&auto_bind->resting[at - 1], rest) > 0)
		at--;
	memmove(&auto_bind->resting[at + 1], &auto_bind->resting[at],
		(auto_bind->resting_count++ - at) * sizeof(*rest));
	auto_bind->resting[at] = *rest;
}

/* --- the change --------------------------------------------------------------------------- */

static int compare_questions(const void *a, const void *b)
{
	const struct question *qa = a, *qb = b;

	return qa->address < qb->address ? -1 : qa->address > qb->address;
}

static const struct question *find_question(const struct auto_bind *auto_bind, uint32_t address)
{
	const struct question key = { .address = address };

	if (!auto_bind->count)
		return NULL;
	return bsearch(&key, auto_bind->questions, auto_bind->count, sizeof(key),
		compare_questions);
}

static bool is_unanswered(const void *ctx, uint32_t address)
{
	const struct question *question = find_question(ctx, address);

	return question && !question->is_answered;
}

static int apply(struct keeper_change *change, struct binding_table *table, char **ret_error)
{
	struct auto_bind *auto_bind = (struct auto_bind *)change;
	const struct address_filter unanswered = { is_unanswered, auto_bind };
	const struct vm_filter waiting = { may_have, auto_bind };

	(void)ret_error;
	free(auto_bind->given);
	auto_bind->given_count = binding_auto(table, auto_bind->config,
		keeper_plan(auto_bind->keeper), binding_seconds(), &unanswered, &waiting,
		&auto_bind->given);
	return auto_bind->given_count > 0;
}

static void tell(const struct auto_bind *auto_bind)
{
	char address[IP4_STRLEN];

	for (size_t i = 0; i < auto_bind->given_count; i++)
		events_post(auto_bind->events, "bind",
			json_pack("{s:s, s:s, s:s}", "address",
				ip4_format(auto_bind->given[i].address, address), "vm",
				auto_bind->given[i].vm, "why", "auto-bind"));
	log_info("nat: %zu VMs were given an address of the pool (auto-bind)",
		auto_bind->given_count);
}

static void start(void *ctx);

static void start_in(struct auto_bind *auto_bind, uint64_t ms)
{
	loop_timer_set(auto_bind->loop, &auto_bind->timer, ms, start, auto_bind);
}

static void done(struct keeper_change *change, int result, const char *error)
{
	struct auto_bind *auto_bind = (struct auto_bind *)change;

	(void)error; /* the keeper has logged it */
	if (result > 0)
		tell(auto_bind);
	free(auto_bind->questions);
	auto_bind->questions = NULL;
	auto_bind->count = 0;
	if (result == -ESHUTDOWN)
		return;
	/* at once, for those whose address was answered for or taken, and for a newer plan */
	start_in(auto_bind, result < 0 ? auto_bind->config->nat.resync * UINT64_C(1000) : 0);
}

/* --- the wire ----------------------------------------------------------------------------- */

static void answered(void *ctx, const struct mac *mac)
{
	struct question *question = ctx;
	struct auto_bind *auto_bind = question->auto_bind;

	question->is_answered = mac != NULL;
	if (mac)
		conflict_note(auto_bind->conflicts, question->address, mac);
	if (--auto_bind->waiting == 0)
		keeper_submit(auto_bind->keeper, &auto_bind->change);
}

/*
 * Milliseconds until time makes another address free; UINT64_MAX: it does not. That others have
 * taken theirs from the interface is known at the next resync.
 */
static uint64_t next_free_in(const struct auto_bind *auto_bind)
{
	const struct binding_table *table = keeper_table(auto_bind->keeper);
	const struct conflicts *conflicts = auto_bind->conflicts;
	time_t seconds = binding_seconds();
	uint64_t now = loop_now(), next = UINT64_MAX, ms;

	for (size_t i = 0; i < table->foreign_address_count; i++) {
		if (config_pool_contains(auto_bind->config, table->foreign_addresses[i]))
			next = auto_bind->config->nat.resync * UINT64_C(1000);
	}
	for (size_t i = 0; i < table->cooling_count; i++) {
		ms = (uint64_t)(table->cooling[i].until - seconds) * 1000;
		if (table->cooling[i].until > seconds && ms < next)
			next = ms;
	}
	for (size_t i = 0; i < conflicts->count; i++) {
		ms = conflicts->list[i].until - now;
		if (conflicts->list[i].until > now && ms < next)
			next = ms;
	}
	return next;
}

/* Who would be given what, if nobody on the wire had it. */
static size_t choose(const struct auto_bind *auto_bind, struct binding **ret_wanted)
{
	const struct vm_filter waiting = { may_have, auto_bind };
	struct binding_table trial;
	size_t count;

	binding_table_copy(keeper_table(auto_bind->keeper), &trial);
	count = binding_auto(&trial, auto_bind->config, keeper_plan(auto_bind->keeper),
		binding_seconds(), &auto_bind->filter, &waiting, ret_wanted);
	binding_table_done(&trial);
	return count;
}

static void ask(struct auto_bind *auto_bind, const struct binding *wanted, size_t count)
{
	auto_bind->count = count;
	auto_bind->questions = xcalloc(count, sizeof(*auto_bind->questions));
	for (size_t i = 0; i < count; i++)
		auto_bind->questions[i] = (struct question){ .address = wanted[i].address,
			.auto_bind = auto_bind };
	qsort(auto_bind->questions, count, sizeof(*auto_bind->questions), compare_questions);
	if (!auto_bind->config->outer.probe) {
		keeper_submit(auto_bind->keeper, &auto_bind->change);
		return;
	}
	auto_bind->waiting = count;
	for (size_t i = 0; i < count; i++)
		announce_probe(keeper_announce(auto_bind->keeper), auto_bind->questions[i].address,
			answered, &auto_bind->questions[i]);
}

/* After what is under way, if anything is, as that ends with a start. */
static void start(void *ctx)
{
	struct auto_bind *auto_bind = ctx;
	struct binding *wanted;
	uint64_t next;
	size_t count;

	if (auto_bind->count)
		return;
	loop_timer_cancel(auto_bind->loop, &auto_bind->timer);
	count = choose(auto_bind, &wanted);
	if (count) {
		ask(auto_bind, wanted, count);
		free(wanted);
		return;
	}
	next = next_free_in(auto_bind);
	if (next != UINT64_MAX)
		start_in(auto_bind, next);
}

void auto_bind_replanned(struct auto_bind *auto_bind)
{
	free(auto_bind->resting);
	auto_bind->resting = NULL;
	auto_bind->resting_count = 0;
	if (auto_bind->config->nat.auto_bind)
		start(auto_bind);
}

void auto_bind_look(struct auto_bind *auto_bind)
{
	/* once for all that ends together */
	if (auto_bind->config->nat.auto_bind)
		start_in(auto_bind, 0);
}

void auto_bind_lost(struct auto_bind *auto_bind, const struct vm *vm, bool until_it_comes)
{
	const struct rest rest = { vm->mac, until_it_comes };
	struct rest *there = find_rest(auto_bind, vm);

	if (!auto_bind->config->nat.auto_bind)
		return;
	if (there)
		*there = rest;
	else
		add_rest(auto_bind, &rest);
	auto_bind_look(auto_bind);
}

void auto_bind_vm_came(struct auto_bind *auto_bind, const struct vm *vm)
{
	struct rest *rest = find_rest(auto_bind, vm);

	if (!rest || !rest->until_it_comes)
		return;
	memmove(rest, rest + 1,
		(size_t)(&auto_bind->resting[--auto_bind->resting_count] - rest) * sizeof(*rest));
	start_in(auto_bind, 0);
}

bool auto_bind_asks_for(const struct auto_bind *auto_bind, uint32_t address)
{
	return find_question(auto_bind, address);
}

/* --- life --------------------------------------------------------------------------------- */

struct auto_bind *auto_bind_new(struct loop *loop, const struct config *config,
	struct keeper *keeper, struct events *events, struct conflicts *conflicts,
	const struct address_filter *filter)
{
	struct auto_bind *auto_bind = xcalloc(1, sizeof(*auto_bind));

	*auto_bind = (struct auto_bind){ .change = { .apply = apply, .done = done },
		.loop = loop,
		.config = config,
		.keeper = keeper,
		.events = events,
		.conflicts = conflicts,
		.filter = *filter };
	return auto_bind;
}

void auto_bind_free(struct auto_bind *auto_bind)
{
	loop_timer_cancel(auto_bind->loop, &auto_bind->timer);
	free(auto_bind->questions);
	free(auto_bind->given);
	free(auto_bind->resting);
	free(auto_bind);
}
