/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ruleset owns sets of chains and rules, and how two of them differ. It must not know what the
 * rules are for, nor how a kernel stores them.
 */
#include "natmgr/ruleset.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* --- sets --------------------------------------------------------------------------------- */

/* FNV-1a */
static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash;
}

/* The slot that holds the chain, or the free one where it would be. */
static uint32_t *find_slot(const struct ruleset *ruleset, const char *name)
{
	uint32_t mask = ruleset->slot_count - 1, i = hash_name(name) & mask;

	while (ruleset->slots[i] && strcmp(ruleset->chains[ruleset->slots[i] - 1].name, name) != 0)
		i = (i + 1) & mask;
	return &ruleset->slots[i];
}

/* At most half of the slots are taken. */
static void grow(struct ruleset *ruleset)
{
	ruleset->slot_count = ruleset->slot_count ? ruleset->slot_count * 2 : 16;
	free(ruleset->slots);
	ruleset->slots = xcalloc(ruleset->slot_count, sizeof(*ruleset->slots));
	for (size_t i = 0; i < ruleset->count; i++)
		*find_slot(ruleset, ruleset->chains[i].name) = (uint32_t)i + 1;
	ruleset->chains = xrealloc(ruleset->chains, ruleset->slot_count / 2,
		sizeof(*ruleset->chains));
}

struct chain *ruleset_add_chain(struct ruleset *ruleset, const char *name, const char *builtin)
{
	struct chain *chain;

	if (ruleset->count == ruleset->slot_count / 2)
		grow(ruleset);
	chain = &ruleset->chains[ruleset->count];
	*chain = (struct chain){ .exists = true };
	snprintf(chain->name, sizeof(chain->name), "%s", name);
	snprintf(chain->builtin, sizeof(chain->builtin), "%s", builtin);
	*find_slot(ruleset, chain->name) = (uint32_t)++ruleset->count;
	return chain;
}

struct chain *ruleset_find_chain(const struct ruleset *ruleset, const char *name)
{
	uint32_t slot = ruleset->slot_count ? *find_slot(ruleset, name) : 0;

	return slot ? &ruleset->chains[slot - 1] : NULL;
}

void chain_add_rule(struct chain *chain, const struct rule *rule)
{
	if (chain->count == chain->cap) {
		chain->cap = chain->cap ? chain->cap * 2 : 16;
		chain->rules = xrealloc(chain->rules, chain->cap, sizeof(*chain->rules));
	}
	chain->rules[chain->count++] = *rule;
}

void ruleset_done(struct ruleset *ruleset)
{
	for (size_t i = 0; i < ruleset->count; i++)
		free(ruleset->chains[i].rules);
	free(ruleset->chains);
	free(ruleset->slots);
	*ruleset = (struct ruleset){ 0 };
}

bool rule_equal(const struct rule *a, const struct rule *b)
{
	return a->action != RULE_OTHER && a->action == b->action &&
		a->source.addr == b->source.addr && a->source.len == b->source.len &&
		a->destination.addr == b->destination.addr &&
		a->destination.len == b->destination.len && !strcmp(a->out, b->out) &&
		a->only_dnatted == b->only_dnatted && a->protocol == b->protocol &&
		a->first == b->first && a->last == b->last && a->to == b->to &&
		a->to_port == b->to_port && !strcmp(a->jump, b->jump);
}

char *rule_format(const struct rule *rule)
{
	char source[IP4_PREFIX_STRLEN], destination[IP4_PREFIX_STRLEN], to[IP4_STRLEN];
	const char *protocol = rule->protocol == IPPROTO_UDP ? "udp" : "tcp";
	char ports[48] = "", to_port[8] = "", action[64];

	if (rule->action == RULE_OTHER)
		return xstrdup("(not one of ours)");
	if (rule->protocol && rule->first == rule->last)
		snprintf(ports, sizeof(ports), " -p %s -m %s --dport %u", protocol, protocol,
			rule->first);
	else if (rule->protocol)
		snprintf(ports, sizeof(ports), " -p %s -m %s --dport %u:%u", protocol, protocol,
			rule->first, rule->last);
	if (rule->to_port)
		snprintf(to_port, sizeof(to_port), ":%u", rule->to_port);
	if (rule->action == RULE_JUMP)
		snprintf(action, sizeof(action), "%s", rule->jump);
	else
		snprintf(action, sizeof(action), "%s %s%s",
			rule->action == RULE_DNAT ? "DNAT --to-destination" : "SNAT --to-source",
			ip4_format(rule->to, to), to_port);
	return xasprintf("%s%s%s%s%s%s%s%s -j %s", rule->source.len ? " -s " : "",
		rule->source.len ? ip4_prefix_format(&rule->source, source) : "",
		rule->destination.len ? " -d " : "",
		rule->destination.len ? ip4_prefix_format(&rule->destination, destination) : "",
		*rule->out ? " -o " : "", rule->out, ports,
		rule->only_dnatted ? " -m conntrack --ctstate DNAT" : "", action);
}

/* --- differences -------------------------------------------------------------------------- */

struct edit_list {
	struct edit *edits;
	size_t count, cap;
};

static void add_edit(struct edit_list *list, enum edit_kind kind, const struct chain *chain,
	size_t position, const struct rule *rule)
{
	static const struct rule none;

	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 16;
		list->edits = xrealloc(list->edits, list->cap, sizeof(*list->edits));
	}
	list->edits[list->count++] = (struct edit){ .kind = kind,
		.chain = chain->name,
		.builtin = chain->builtin,
		.position = position,
		.rule = rule ? *rule : none };
}

/* A total order over what we write; only for finding equal rules. */
static int compare_rules(const struct rule *a, const struct rule *b)
{
#define COMPARE(field)            \
	if (a->field != b->field) \
	return a->field < b->field ? -1 : 1
	COMPARE(action);
	COMPARE(source.addr);
	COMPARE(source.len);
	COMPARE(destination.addr);
	COMPARE(destination.len);
	COMPARE(only_dnatted);
	COMPARE(protocol);
	COMPARE(first);
	COMPARE(last);
	COMPARE(to);
	COMPARE(to_port);
#undef COMPARE
	return strcmp(a->out, b->out) ? strcmp(a->out, b->out) : strcmp(a->jump, b->jump);
}

struct indexed_rule {
	const struct rule *rule;
	size_t index;
};

static int compare_indexed(const void *a, const void *b)
{
	const struct indexed_rule *ia = a, *ib = b;
	int c = compare_rules(ia->rule, ib->rule);

	return c ? c : ia->index < ib->index ? -1 : ia->index > ib->index;
}

/* Where in `want` the rule stands; want->count if nowhere. No rule is wanted twice. */
static size_t wanted_at(const struct indexed_rule *sorted, size_t count, const struct rule *rule)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = compare_rules(sorted[middle].rule, rule);

		if (c == 0 && rule_equal(sorted[middle].rule, rule))
			return sorted[middle].index;
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return count;
}

/*
 * Which rules of `have` may stay: as many as possible that are wanted and stand in the wanted order
 * (the longest increasing subsequence of their places in `want`). keep[i]: the i-th stays.
 */
static void choose_kept(const size_t *place, size_t count, size_t nowhere, bool *keep)
{
	size_t *ends = xcalloc(count, sizeof(*ends));     /* of the best sequence of each length */
	size_t *before = xcalloc(count, sizeof(*before)); /* whom a rule follows, plus one */
	size_t length = 0;

	for (size_t i = 0; i < count; i++) {
		size_t low = 0, high = length;

		if (place[i] == nowhere)
			continue;
		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (place[ends[middle]] < place[i])
				low = middle + 1;
			else
				high = middle;
		}
		before[i] = low ? ends[low - 1] + 1 : 0;
		ends[low] = i;
		if (low == length)
			length++;
	}
	for (size_t i = length ? ends[length - 1] + 1 : 0; i; i = before[i - 1])
		keep[i - 1] = true;
	free(before);
	free(ends);
}

/* Deletes what may not stay, inserts what is missing: one walk over both. */
static void diff_rules(struct edit_list *list, const struct chain *have, const struct chain *want)
{
	struct indexed_rule *sorted = xcalloc(want->count, sizeof(*sorted));
	size_t *place = xcalloc(have->count, sizeof(*place));
	bool *keep = xcalloc(have->count, sizeof(*keep));
	size_t next = 0, position = 0;

	for (size_t i = 0; i < want->count; i++)
		sorted[i] = (struct indexed_rule){ &want->rules[i], i };
	qsort(sorted, want->count, sizeof(*sorted), compare_indexed);
	for (size_t h = 0; h < have->count; h++)
		place[h] = wanted_at(sorted, want->count, &have->rules[h]);
	choose_kept(place, have->count, want->count, keep);
	for (size_t h = 0; h < have->count; h++) {
		if (!keep[h]) {
			add_edit(list, EDIT_RULE_DELETE, want, position, &have->rules[h]);
			continue;
		}
		for (; next < place[h]; next++)
			add_edit(list, EDIT_RULE_INSERT, want, position++, &want->rules[next]);
		next++;
		position++;
	}
	for (; next < want->count; next++)
		add_edit(list, EDIT_RULE_INSERT, want, position++, &want->rules[next]);
	free(keep);
	free(place);
	free(sorted);
}

/*
 * Chains of our prefix that we do not want. All are emptied before the first is deleted, as one may
 * lead to another; one that somebody else's rule leads to is left, empty.
 */
static void delete_others(struct edit_list *list, const struct ruleset *have,
	const struct ruleset *want)
{
	bool flushed = false;

	for (size_t i = 0; i < have->count; i++) {
		const struct chain *there = &have->chains[i];

		if (ruleset_find_chain(want, there->name))
			continue;
		if (there->count) {
			add_edit(list, EDIT_CHAIN_FLUSH, there, 0, NULL);
			flushed = true;
		}
		for (unsigned n = 0; n < there->jumps; n++)
			add_edit(list, EDIT_JUMP_DELETE, there, 0, NULL);
	}
	for (size_t i = 0; i < have->count; i++) {
		const struct chain *there = &have->chains[i];

		if (!ruleset_find_chain(want, there->name) && there->exists &&
			(!there->referenced || flushed))
			add_edit(list, EDIT_CHAIN_DELETE, there, 0, NULL);
	}
}

size_t ruleset_diff(const struct ruleset *have, const struct ruleset *want, struct edit **ret_edits)
{
	static const struct chain nothing;
	struct edit_list list = { 0 };

	/* before the rules that lead there */
	for (size_t i = 0; i < want->count; i++) {
		const struct chain *there = ruleset_find_chain(have, want->chains[i].name);

		if (!there || !there->exists)
			add_edit(&list, EDIT_CHAIN_NEW, &want->chains[i], 0, NULL);
	}
	for (size_t i = 0; i < want->count; i++) {
		const struct chain *wanted = &want->chains[i];
		const struct chain *there = ruleset_find_chain(have, wanted->name);

		diff_rules(&list, there ? there : &nothing, wanted);
		/* when all is in it, packets may come */
		if (wanted->jumps && (!there || !there->jumps))
			add_edit(&list, EDIT_JUMP_NEW, wanted, 0, NULL);
		for (unsigned n = wanted->jumps; there && n < there->jumps; n++)
			add_edit(&list, EDIT_JUMP_DELETE, there, 0, NULL);
	}
	delete_others(&list, have, want);
	*ret_edits = list.edits;
	return list.count;
}
