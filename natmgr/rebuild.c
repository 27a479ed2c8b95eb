/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild owns the way back from rules to bindings. It must not know why the file was lost. */
#include "natmgr/rebuild.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* Whose connections leave with which address, as the rules say; sorted. */
struct source_list {
	uint64_t *pairs; /* inner address, public address */
	size_t count;
};

static uint64_t pair(uint32_t inner, uint32_t address)
{
	return (uint64_t)inner << 32 | address;
}

static int compare_pairs(const void *a, const void *b)
{
	uint64_t pa = *(const uint64_t *)a, pb = *(const uint64_t *)b;

	return pa < pb ? -1 : pa > pb;
}

static struct source_list collect_sources(const struct ruleset *have, const char *outer)
{
	struct source_list sources = { 0 };
	size_t cap = 0;

	for (size_t c = 0; c < have->count; c++) {
		for (size_t i = 0; i < have->chains[c].count; i++) {
			const struct rule *rule = &have->chains[c].rules[i];

			if (rule->action != RULE_SNAT || rule->only_dnatted ||
				rule->source.len != 32 || strcmp(rule->out, outer) != 0)
				continue;
			if (sources.count == cap) {
				cap = cap ? cap * 2 : 64;
				sources.pairs = xrealloc(sources.pairs, cap,
					sizeof(*sources.pairs));
			}
			sources.pairs[sources.count++] = pair(rule->source.addr, rule->to);
		}
	}
	if (sources.count)
		qsort(sources.pairs, sources.count, sizeof(*sources.pairs), compare_pairs);
	return sources;
}

static bool is_source(const struct source_list *sources, const struct rule *dnat)
{
	uint64_t key = pair(dnat->to, dnat->destination.addr);

	return sources->count &&
		bsearch(&key, sources->pairs, sources->count, sizeof(key), compare_pairs);
}

static bool add_binding(const struct rule *rule, const struct vm *vm, const struct config *config,
	const struct plan *plan, time_t now, struct binding_table *table)
{
	char *error = NULL;
	bool added = binding_bind(table, config, plan, vm->name, rule->destination.addr, now,
			     &error) > 0;

	free(error);
	return added;
}

static bool add_forward(const struct rule *rule, const struct vm *vm, bool source,
	const struct config *config, const struct plan *plan, time_t now,
	struct binding_table *table)
{
	struct forward forward = { .address = rule->destination.addr,
		.protocol = rule->protocol,
		.first = rule->first,
		.last = rule->last,
		.to = rule->to_port ? rule->to_port : rule->first,
		.is_source = source };
	char *error = NULL;
	bool added;

	snprintf(forward.vm, sizeof(forward.vm), "%s", vm->name);
	added = forward_add(table, config, plan, &forward, now, &error) > 0;
	free(error);
	return added;
}

/* Such ports as somebody could have asked for; others could not be kept in the state file. */
static bool has_ports(const struct rule *rule)
{
	return (rule->protocol == IPPROTO_TCP || rule->protocol == IPPROTO_UDP) && rule->first &&
		rule->first <= rule->last;
}

/* The rule's own binding or forward, if it is the source of its VM or not, as asked. */
static bool add(const struct rule *rule, const struct source_list *sources, bool wanted,
	const struct config *config, const struct plan *plan, time_t now,
	struct binding_table *table)
{
	const struct vm *vm = plan_by_ip(plan, rule->to);

	if (rule->action != RULE_DNAT || rule->destination.len != 32 || !vm ||
		is_source(sources, rule) != wanted)
		return false;
	if (rule->protocol && !has_ports(rule))
		return false;
	return rule->protocol ? add_forward(rule, vm, wanted, config, plan, now, table)
			      : add_binding(rule, vm, config, plan, now, table);
}

/* Those from index `from` on. */
static void put_first(struct binding_table *table, size_t from)
{
	size_t count = table->count - from;
	struct binding *last;

	if (!count || !from)
		return;
	last = xmemdup(&table->list[from], count * sizeof(*last));
	memmove(&table->list[count], table->list, from * sizeof(*last));
	memcpy(table->list, last, count * sizeof(*last));
	free(last);
}

size_t rebuild_bindings(const struct ruleset *have, const struct config *config,
	const struct plan *plan, time_t now, struct binding_table *table)
{
	struct source_list sources = collect_sources(have, config->outer.interface);
	size_t count = 0, lines = table->count;

	/* the order of binding makes the source: those that are one come first */
	for (int wanted = 1; wanted >= 0; wanted--) {
		for (size_t c = 0; c < have->count; c++) {
			const struct chain *chain = &have->chains[c];

			/* it says the same again */
			if (!strcmp(chain->name, CHAIN_PREFIX "OUTPUT"))
				continue;
			for (size_t i = 0; i < chain->count; i++)
				count += add(&chain->rules[i], &sources, wanted, config, plan, now,
					table);
		}
		if (wanted)
			put_first(table, lines);
	}
	free(sources.pairs);
	return count;
}
