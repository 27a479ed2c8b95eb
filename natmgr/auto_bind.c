/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * auto_bind owns the way from VMs without an address to questions on the wire and to one change. It
 * must not decide who gets which address, which is binding's.
 */
#include "natmgr/auto_bind.h"

#include <errno.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "natmgr/binding_store.h"

struct question {
	uint32_t address;
	bool is_answered; /* somebody has it */
	struct auto_bind *auto_bind;
};

struct auto_bind {
	struct keeper_change change; /* first: the keeper hands it back */
	const struct config *config;
	struct keeper *keeper;
	struct events *events;
	struct conflicts *conflicts;
	struct address_filter filter;
	struct loop *loop;
	struct loop_timer retry;
	struct question *questions; /* by ascending address, until the change is done */
	size_t count, waiting;      /* the latter: for an answer */
	struct binding *given;
	size_t given_count;
};

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

	(void)ret_error;
	free(auto_bind->given);
	auto_bind->given_count = binding_auto(table, auto_bind->config,
		keeper_plan(auto_bind->keeper), binding_seconds(), &unanswered, &auto_bind->given);
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

static void start_again(void *ctx)
{
	auto_bind_start(ctx);
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
	if (result >= 0)
		auto_bind_start(auto_bind);
	else
		loop_timer_set(auto_bind->loop, &auto_bind->retry,
			auto_bind->config->nat.resync * UINT64_C(1000), start_again, auto_bind);
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

void auto_bind_start(struct auto_bind *auto_bind)
{
	const struct config *config = auto_bind->config;
	struct binding_table trial;
	struct binding *wanted;

	/* what is under way ends with a start */
	if (!config->nat.auto_bind || !config->outer.probe || auto_bind->count)
		return;
	loop_timer_cancel(auto_bind->loop, &auto_bind->retry);
	binding_table_copy(keeper_table(auto_bind->keeper), &trial);
	auto_bind->count = binding_auto(&trial, config, keeper_plan(auto_bind->keeper),
		binding_seconds(), &auto_bind->filter, &wanted);
	binding_table_done(&trial);
	if (!auto_bind->count)
		return;
	auto_bind->waiting = auto_bind->count;
	auto_bind->questions = xcalloc(auto_bind->count, sizeof(*auto_bind->questions));
	for (size_t i = 0; i < auto_bind->count; i++)
		auto_bind->questions[i] = (struct question){ .address = wanted[i].address,
			.auto_bind = auto_bind };
	free(wanted);
	qsort(auto_bind->questions, auto_bind->count, sizeof(*auto_bind->questions),
		compare_questions);
	for (size_t i = 0; i < auto_bind->count; i++)
		announce_probe(keeper_announce(auto_bind->keeper), auto_bind->questions[i].address,
			answered, &auto_bind->questions[i]);
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
	loop_timer_cancel(auto_bind->loop, &auto_bind->retry);
	free(auto_bind->questions);
	free(auto_bind->given);
	free(auto_bind);
}
