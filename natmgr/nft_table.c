/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nft_table owns the form of a table of nf_tables and how two of them differ. It must not know how
 * the kernel is told.
 */
#include "natmgr/nft_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

size_t nft_field_len(enum nft_field field)
{
	static const uint8_t lens[NFT_FIELD_COUNT] = { [NFT_FIELD_PORT_IN] = 4,
		[NFT_FIELD_PORT_OUT] = 4,
		[NFT_FIELD_PORT_IN_NAME] = 16,
		[NFT_FIELD_PORT_OUT_NAME] = 16,
		[NFT_FIELD_BRIDGE_IN] = 16,
		[NFT_FIELD_BRIDGE_OUT] = 16,
		[NFT_FIELD_ETHER_SOURCE] = 6,
		[NFT_FIELD_ETHER_DESTINATION] = 6,
		[NFT_FIELD_ETHER_TYPE] = 2,
		[NFT_FIELD_TRANSPORT] = 1,
		[NFT_FIELD_IP_PROTOCOL] = 1,
		[NFT_FIELD_IP_SOURCE] = 4,
		[NFT_FIELD_IP_DESTINATION] = 4,
		[NFT_FIELD_UDP_SOURCE] = 2,
		[NFT_FIELD_UDP_DESTINATION] = 2,
		[NFT_FIELD_ARP_FORMAT] = 6,
		[NFT_FIELD_ARP_SENDER_MAC] = 6,
		[NFT_FIELD_ARP_SENDER_IP] = 4,
		[NFT_FIELD_ARP_TARGET_IP] = 4 };

	return lens[field];
}

/* --- making ------------------------------------------------------------------------------- */

static void set_name(char name[NFT_NAME_SIZE], const char *text)
{
	snprintf(name, NFT_NAME_SIZE, "%s", text);
}

struct nft_chain *nft_add_chain(struct nft_table *table, const char *name)
{
	struct nft_chain *chain;

	table->is_finished = false;
	table->chains = xrealloc(table->chains, table->chain_count + 1, sizeof(*chain));
	chain = &table->chains[table->chain_count++];
	*chain = (struct nft_chain){ 0 };
	set_name(chain->name, name);
	return chain;
}

struct nft_chain *nft_add_base_chain(struct nft_table *table, const char *name, uint32_t hook,
	int32_t priority)
{
	struct nft_chain *chain = nft_add_chain(table, name);

	chain->is_base = true;
	chain->hook = hook;
	chain->priority = priority;
	return chain;
}

struct nft_set *nft_add_set(struct nft_table *table, const char *name, enum nft_set_kind kind,
	enum nft_field first, enum nft_field second)
{
	struct nft_set *set;

	table->is_finished = false;
	table->sets = xrealloc(table->sets, table->set_count + 1, sizeof(*set));
	set = &table->sets[table->set_count++];
	*set = (struct nft_set){ .kind = kind, .key = { (uint8_t)first, (uint8_t)second } };
	set_name(set->name, name);
	return set;
}

void nft_add_counter(struct nft_table *table, const char *name)
{
	struct nft_counter *counter;

	table->is_finished = false;
	table->counters = xrealloc(table->counters, table->counter_count + 1, sizeof(*counter));
	counter = &table->counters[table->counter_count++];
	*counter = (struct nft_counter){ 0 };
	set_name(counter->name, name);
}

void nft_add_rule(struct nft_chain *chain, const struct nft_rule *rule)
{
	if (chain->count == chain->cap) {
		chain->cap = chain->cap ? chain->cap * 2 : 8;
		chain->rules = xrealloc(chain->rules, chain->cap, sizeof(*chain->rules));
	}
	chain->rules[chain->count++] = *rule;
}

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/* Those of a VM come one behind the other; that one is there twice does no harm. */
static uint16_t target_index(struct nft_table *table, const char *target)
{
	size_t first = table->target_count > 8 ? table->target_count - 8 : 0;

	for (size_t i = table->target_count; i-- > first;) {
		if (!strcmp(table->targets[i], target))
			return (uint16_t)i;
	}
	table->targets = xrealloc(table->targets, table->target_count + 1, sizeof(*table->targets));
	set_name(table->targets[table->target_count], target);
	return (uint16_t)table->target_count++;
}

void nft_add_element(struct nft_table *table, struct nft_set *set, const void *first,
	const void *second, const char *target)
{
	struct nft_element *element;

	if (set->count == set->cap) {
		set->cap = set->cap ? set->cap * 2 : 8;
		set->elements = xrealloc(set->elements, set->cap, sizeof(*element));
	}
	element = &set->elements[set->count++];
	*element = (struct nft_element){ .target = target ? target_index(table, target) : 0 };
	memcpy(element->key, first, nft_field_len(set->key[0]));
	if (second)
		memcpy(element->key + padded(nft_field_len(set->key[0])), second,
			nft_field_len(set->key[1]));
}

static int compare_elements(const void *a, const void *b)
{
	const struct nft_element *ea = a, *eb = b;

	return memcmp(ea->key, eb->key, sizeof(ea->key));
}

/* The name is the first member of all three. */
static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void sort(void *list, size_t count, size_t size)
{
	if (count)
		qsort(list, count, size, compare_names);
}

static void unite_counters(struct nft_table *table)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->counter_count; i++) {
		if (!kept || strcmp(table->counters[kept - 1].name, table->counters[i].name) != 0)
			table->counters[kept++] = table->counters[i];
	}
	table->counter_count = kept;
}

void nft_table_finish(struct nft_table *table)
{
	sort(table->chains, table->chain_count, sizeof(*table->chains));
	sort(table->sets, table->set_count, sizeof(*table->sets));
	sort(table->counters, table->counter_count, sizeof(*table->counters));
	unite_counters(table);
	table->is_finished = true;
	for (size_t i = 0; i < table->set_count; i++) {
		struct nft_set *set = &table->sets[i];
		size_t kept = 0;

		/* qsort(3) wants a pointer even to nothing */
		if (set->count)
			qsort(set->elements, set->count, sizeof(*set->elements), compare_elements);
		for (size_t e = 0; e < set->count; e++) {
			if (!kept || compare_elements(&set->elements[kept - 1], &set->elements[e]))
				set->elements[kept++] = set->elements[e];
		}
		set->count = kept;
	}
}

void nft_table_done(struct nft_table *table)
{
	for (size_t i = 0; i < table->chain_count; i++)
		free(table->chains[i].rules);
	for (size_t i = 0; i < table->set_count; i++)
		free(table->sets[i].elements);
	free(table->chains);
	free(table->sets);
	free(table->counters);
	free(table->targets);
	*table = (struct nft_table){ 0 };
}

static const void *find(const struct nft_table *table, const void *list, size_t count, size_t size,
	const char *name)
{
	const char *at = list;

	if (table->is_finished)
		return count ? bsearch(name, list, count, size, compare_names) : NULL;
	for (size_t i = 0; i < count; i++, at += size) {
		if (!strcmp(at, name))
			return at;
	}
	return NULL;
}

const struct nft_chain *nft_find_chain(const struct nft_table *table, const char *name)
{
	return find(table, table->chains, table->chain_count, sizeof(*table->chains), name);
}

const struct nft_set *nft_find_set(const struct nft_table *table, const char *name)
{
	return find(table, table->sets, table->set_count, sizeof(*table->sets), name);
}

const struct nft_counter *nft_find_counter(const struct nft_table *table, const char *name)
{
	return find(table, table->counters, table->counter_count, sizeof(*table->counters), name);
}

/* --- differences -------------------------------------------------------------------------- */

struct diff {
	const struct nft_table *have, *want;
	struct nft_edit *edits;
	size_t count, cap;
};

static void add_edit(struct diff *diff, const struct nft_edit *edit)
{
	if (diff->count == diff->cap) {
		diff->cap = diff->cap ? diff->cap * 2 : 32;
		diff->edits = xrealloc(diff->edits, diff->cap, sizeof(*diff->edits));
	}
	diff->edits[diff->count++] = *edit;
}

static void edit_element(struct diff *diff, enum nft_edit_kind kind, const struct nft_table *table,
	const struct nft_set *set, const struct nft_element *element)
{
	add_edit(diff,
		&(struct nft_edit){ .kind = kind,
			.set = set,
			.element = element,
			.target = set->kind == NFT_KIND_SET ? ""
							    : table->targets[element->target] });
}

static bool is_same_element(const struct diff *diff, const struct nft_set *set,
	const struct nft_element *had, const struct nft_element *wanted)
{
	return set->kind == NFT_KIND_SET ||
		!strcmp(diff->have->targets[had->target], diff->want->targets[wanted->target]);
}

/* One walk over both, as they are sorted. `kind`: which of the two edits is asked for. */
static void diff_elements(struct diff *diff, const struct nft_set *had,
	const struct nft_set *wanted, enum nft_edit_kind kind)
{
	size_t h = 0, w = 0;

	while (h < had->count || w < wanted->count) {
		int c = h == had->count ? 1
			: w == wanted->count
			? -1
			: compare_elements(&had->elements[h], &wanted->elements[w]);
		bool same = c == 0 &&
			is_same_element(diff, wanted, &had->elements[h], &wanted->elements[w]);

		if (c <= 0 && !same && kind == NFT_EDIT_ELEMENT_DEL)
			edit_element(diff, kind, diff->have, had, &had->elements[h]);
		if (c >= 0 && !same && kind == NFT_EDIT_ELEMENT_NEW)
			edit_element(diff, kind, diff->want, wanted, &wanted->elements[w]);
		h += c <= 0;
		w += c >= 0;
	}
}

static void diff_all_elements(struct diff *diff, enum nft_edit_kind kind)
{
	static const struct nft_set none;
	bool goes = kind == NFT_EDIT_ELEMENT_DEL;
	const struct nft_table *table = goes ? diff->have : diff->want;
	const struct nft_table *other = goes ? diff->want : diff->have;

	for (size_t i = 0; i < table->set_count; i++) {
		const struct nft_set *set = &table->sets[i],
				     *found = nft_find_set(other, set->name);

		if (goes)
			diff_elements(diff, set, found ? found : &none, kind);
		else
			diff_elements(diff, found ? found : &none, set, kind);
	}
}

static bool is_same_chain(const struct nft_chain *a, const struct nft_chain *b)
{
	return a->count == b->count &&
		(!a->count || !memcmp(a->rules, b->rules, a->count * sizeof(*a->rules)));
}

/* What is in one table only, of each kind. */
static void diff_names(struct diff *diff, const struct nft_table *in,
	const struct nft_table *not_in, enum nft_edit_kind chain, enum nft_edit_kind set,
	enum nft_edit_kind counter)
{
	bool goes = chain == NFT_EDIT_CHAIN_DEL;

	/* a set goes after the chains that look into it, a counter after both */
	for (size_t i = 0; goes && i < in->chain_count; i++) {
		if (!nft_find_chain(not_in, in->chains[i].name))
			add_edit(diff,
				&(struct nft_edit){ .kind = chain, .chain = &in->chains[i] });
	}
	for (size_t i = 0; i < in->set_count; i++) {
		if (!nft_find_set(not_in, in->sets[i].name))
			add_edit(diff, &(struct nft_edit){ .kind = set, .set = &in->sets[i] });
	}
	for (size_t i = 0; i < in->counter_count; i++) {
		if (!nft_find_counter(not_in, in->counters[i].name))
			add_edit(diff,
				&(struct nft_edit){ .kind = counter, .counter = &in->counters[i] });
	}
	for (size_t i = 0; !goes && i < in->chain_count; i++) {
		if (!nft_find_chain(not_in, in->chains[i].name))
			add_edit(diff,
				&(struct nft_edit){ .kind = chain, .chain = &in->chains[i] });
	}
}

static void diff_rules(struct diff *diff, enum nft_edit_kind kind)
{
	static const struct nft_chain none;
	bool flush = kind == NFT_EDIT_CHAIN_FLUSH;
	const struct nft_table *table = flush ? diff->have : diff->want;
	const struct nft_table *other = flush ? diff->want : diff->have;

	for (size_t i = 0; i < table->chain_count; i++) {
		const struct nft_chain *chain = &table->chains[i];
		const struct nft_chain *found = nft_find_chain(other, chain->name);

		if (is_same_chain(chain, found ? found : &none))
			continue;
		if (flush && chain->count)
			add_edit(diff, &(struct nft_edit){ .kind = kind, .chain = chain });
		for (size_t r = 0; !flush && r < chain->count; r++)
			add_edit(diff,
				&(struct nft_edit){
					.kind = kind, .chain = chain, .rule = &chain->rules[r] });
	}
}

size_t nft_table_diff(const struct nft_table *have, const struct nft_table *want,
	struct nft_edit **ret_edits)
{
	struct diff diff = { .have = have, .want = want };

	diff_names(&diff, want, have, NFT_EDIT_CHAIN_NEW, NFT_EDIT_SET_NEW, NFT_EDIT_COUNTER_NEW);
	diff_rules(&diff, NFT_EDIT_CHAIN_FLUSH);
	diff_all_elements(&diff, NFT_EDIT_ELEMENT_DEL);
	diff_rules(&diff, NFT_EDIT_RULE_NEW);
	diff_all_elements(&diff, NFT_EDIT_ELEMENT_NEW);
	diff_names(&diff, have, want, NFT_EDIT_CHAIN_DEL, NFT_EDIT_SET_DEL, NFT_EDIT_COUNTER_DEL);
	*ret_edits = diff.edits;
	return diff.count;
}
