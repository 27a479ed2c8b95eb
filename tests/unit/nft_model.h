/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nft_model: a table of nf_tables as the kernel has it, which takes edits one after the other and
 * refuses what the kernel would refuse: what is there already, what is not there, what refers to
 * nothing, and to delete what something refers to.
 */
#ifndef EIPD_TESTS_UNIT_NFT_MODEL_H
#define EIPD_TESTS_UNIT_NFT_MODEL_H

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "natmgr/nft_table.h"

/* nft_find_…() for who may change what is found. */
static inline struct nft_chain *model_chain(const struct nft_table *model, const char *name)
{
	return (struct nft_chain *)(uintptr_t)nft_find_chain(model, name);
}

static inline struct nft_set *model_set(const struct nft_table *model, const char *name)
{
	return (struct nft_set *)(uintptr_t)nft_find_set(model, name);
}

static inline bool model_is_map(const struct nft_set *set)
{
	return set->kind != NFT_KIND_SET;
}

static inline const char *model_target(const struct nft_table *model, const struct nft_set *set,
	const struct nft_element *element)
{
	return model_is_map(set) ? model->targets[element->target] : "";
}

static inline const void *model_second_key(const struct nft_set *set,
	const struct nft_element *element)
{
	return set->key[1] ? element->key + ((nft_field_len(set->key[0]) + 3) & ~(size_t)3) : NULL;
}

/* --- what refers to what ------------------------------------------------------------------ */

/* Some element of a map of this kind leads there. */
static inline bool model_is_mapped(const struct nft_table *model, enum nft_set_kind kind,
	const char *name)
{
	for (size_t s = 0; s < model->set_count; s++) {
		const struct nft_set *set = &model->sets[s];

		for (size_t e = 0; set->kind == kind && e < set->count; e++) {
			if (!strcmp(model_target(model, set, &set->elements[e]), name))
				return true;
		}
	}
	return false;
}

/* Some rule has this action and this target. */
static inline bool model_is_target(const struct nft_table *model, enum nft_action action,
	const char *name)
{
	for (size_t c = 0; c < model->chain_count; c++) {
		const struct nft_chain *chain = &model->chains[c];

		for (size_t r = 0; r < chain->count; r++) {
			if (chain->rules[r].action == action &&
				!strcmp(chain->rules[r].target, name))
				return true;
		}
	}
	return false;
}

static inline bool model_is_looked_up(const struct nft_table *model, const char *name)
{
	for (size_t c = 0; c < model->chain_count; c++) {
		const struct nft_chain *chain = &model->chains[c];

		for (size_t r = 0; r < chain->count; r++) {
			if (!strcmp(chain->rules[r].set, name))
				return true;
		}
	}
	return false;
}

/* The kind of set that a rule may look into. */
static inline enum nft_set_kind model_kind(const struct nft_rule *rule)
{
	return rule->action == NFT_ACTION_LOOKUP      ? NFT_KIND_VERDICT_MAP
		: rule->action == NFT_ACTION_COUNT_BY ? NFT_KIND_COUNTER_MAP
						      : NFT_KIND_SET;
}

static inline const char *model_check_rule(const struct nft_table *model,
	const struct nft_rule *rule)
{
	const struct nft_set *set = *rule->set ? nft_find_set(model, rule->set) : NULL;
	const struct nft_chain *chain;

	if (*rule->set && !set)
		return "a rule looks into a set that is not there";
	if (set &&
		(set->kind != model_kind(rule) ||
			nft_field_len(set->key[0]) != nft_field_len(rule->key[0]) ||
			nft_field_len(set->key[1]) != nft_field_len(rule->key[1])))
		return "a rule looks into a set of another kind";
	switch ((enum nft_action)rule->action) {
	case NFT_ACTION_ACCEPT:
	case NFT_ACTION_DROP:
		break;
	case NFT_ACTION_GOTO:
		chain = nft_find_chain(model, rule->target);
		if (!chain || chain->is_base)
			return "a rule goes to a chain that is not there";
		break;
	case NFT_ACTION_LOOKUP:
	case NFT_ACTION_COUNT_BY:
		if (!set)
			return "a rule has no map";
		break;
	case NFT_ACTION_COUNT:
		if (!nft_find_counter(model, rule->target))
			return "a rule counts in a counter that is not there";
		break;
	}
	return NULL;
}

/* --- edits -------------------------------------------------------------------------------- */

static inline const char *model_edit_chain(struct nft_table *model, const struct nft_edit *edit)
{
	struct nft_chain *chain = model_chain(model, edit->chain->name);
	const char *why = NULL;

	if (edit->kind == NFT_EDIT_CHAIN_NEW) {
		if (chain)
			return "a new chain is there already";
		chain = nft_add_chain(model, edit->chain->name);
		chain->is_base = edit->chain->is_base;
		chain->hook = edit->chain->hook;
		chain->priority = edit->chain->priority;
		return NULL;
	}
	if (!chain)
		return "an edit of a chain that is not there";
	if (edit->kind == NFT_EDIT_CHAIN_FLUSH) {
		chain->count = 0;
	} else if (edit->kind == NFT_EDIT_RULE_NEW) {
		why = model_check_rule(model, edit->rule);
		nft_add_rule(chain, edit->rule);
	} else {
		if (chain->count || model_is_target(model, NFT_ACTION_GOTO, chain->name) ||
			model_is_mapped(model, NFT_KIND_VERDICT_MAP, chain->name))
			why = "a chain is deleted that is in use";
		free(chain->rules);
		*chain = model->chains[--model->chain_count];
	}
	return why;
}

static inline const char *model_edit_set(struct nft_table *model, const struct nft_edit *edit)
{
	struct nft_set *set = model_set(model, edit->set->name);
	const char *why = NULL;

	if (edit->kind == NFT_EDIT_SET_NEW) {
		if (set)
			return "a new set is there already";
		nft_add_set(model, edit->set->name, edit->set->kind, edit->set->key[0],
			edit->set->key[1]);
		return NULL;
	}
	if (!set)
		return "a set is deleted that is not there";
	if (set->count || model_is_looked_up(model, set->name))
		why = "a set is deleted that is in use";
	free(set->elements);
	*set = model->sets[--model->set_count];
	return why;
}

static inline const char *model_edit_counter(struct nft_table *model, const struct nft_edit *edit)
{
	const char *name = edit->counter->name;
	const struct nft_counter *counter = nft_find_counter(model, name);

	if (edit->kind == NFT_EDIT_COUNTER_NEW) {
		if (counter)
			return "a new counter is there already";
		nft_add_counter(model, name);
		return NULL;
	}
	if (!counter)
		return "a counter is deleted that is not there";
	if (model_is_target(model, NFT_ACTION_COUNT, name) ||
		model_is_mapped(model, NFT_KIND_COUNTER_MAP, name))
		return "a counter is deleted that is in use";
	model->counters[counter - model->counters] = model->counters[--model->counter_count];
	return NULL;
}

static inline const char *model_edit_element(struct nft_table *model, const struct nft_edit *edit)
{
	struct nft_set *set = model_set(model, edit->set->name);
	const struct nft_chain *chain;
	size_t at = 0;

	if (!set)
		return "an element of a set that is not there";
	while (at < set->count &&
		memcmp(set->elements[at].key, edit->element->key, sizeof(edit->element->key)))
		at++;
	if (edit->kind == NFT_EDIT_ELEMENT_DEL) {
		if (at == set->count ||
			strcmp(model_target(model, set, &set->elements[at]), edit->target))
			return "an element is deleted that is not there";
		set->elements[at] = set->elements[--set->count];
		return NULL;
	}
	if (at < set->count)
		return "a new element is there already";
	chain = nft_find_chain(model, edit->target);
	if (set->kind == NFT_KIND_VERDICT_MAP && (!chain || chain->is_base))
		return "an element leads to a chain that is not there";
	if (set->kind == NFT_KIND_COUNTER_MAP && !nft_find_counter(model, edit->target))
		return "an element leads to a counter that is not there";
	nft_add_element(model, set, edit->element->key, model_second_key(set, edit->element),
		model_is_map(set) ? edit->target : NULL);
	return NULL;
}

/* NULL; or why the kernel would refuse it. */
static inline const char *model_apply(struct nft_table *model, const struct nft_edit *edit)
{
	/* what goes is replaced by the last one */
	model->is_finished = false;
	switch (edit->kind) {
	case NFT_EDIT_COUNTER_NEW:
	case NFT_EDIT_COUNTER_DEL:
		return model_edit_counter(model, edit);
	case NFT_EDIT_SET_NEW:
	case NFT_EDIT_SET_DEL:
		return model_edit_set(model, edit);
	case NFT_EDIT_CHAIN_NEW:
	case NFT_EDIT_CHAIN_FLUSH:
	case NFT_EDIT_CHAIN_DEL:
	case NFT_EDIT_RULE_NEW:
		return model_edit_chain(model, edit);
	case NFT_EDIT_ELEMENT_DEL:
	case NFT_EDIT_ELEMENT_NEW:
		return model_edit_element(model, edit);
	}
	return "no such edit";
}

/* --- whole tables ------------------------------------------------------------------------- */

static inline void model_copy(const struct nft_table *table, struct nft_table *ret_copy)
{
	struct nft_table copy = { 0 };

	for (size_t c = 0; c < table->chain_count; c++) {
		const struct nft_chain *chain = &table->chains[c];
		struct nft_chain *added = nft_add_chain(&copy, chain->name);

		added->is_base = chain->is_base;
		added->hook = chain->hook;
		added->priority = chain->priority;
		for (size_t r = 0; r < chain->count; r++)
			nft_add_rule(added, &chain->rules[r]);
	}
	for (size_t s = 0; s < table->set_count; s++) {
		const struct nft_set *set = &table->sets[s];
		struct nft_set *added = nft_add_set(&copy, set->name, set->kind, set->key[0],
			set->key[1]);

		for (size_t e = 0; e < set->count; e++)
			nft_add_element(&copy, added, set->elements[e].key,
				model_second_key(set, &set->elements[e]),
				model_is_map(set) ? model_target(table, set, &set->elements[e])
						  : NULL);
	}
	for (size_t i = 0; i < table->counter_count; i++)
		nft_add_counter(&copy, table->counters[i].name);
	nft_table_finish(&copy);
	*ret_copy = copy;
}

static inline bool model_same_set(const struct nft_table *a, const struct nft_set *sa,
	const struct nft_table *b, const struct nft_set *sb)
{
	if (sa->kind != sb->kind || memcmp(sa->key, sb->key, sizeof(sa->key)) ||
		sa->count != sb->count)
		return false;
	for (size_t i = 0; i < sa->count; i++) {
		if (memcmp(sa->elements[i].key, sb->elements[i].key, NFT_VALUE_SIZE) ||
			strcmp(model_target(a, sa, &sa->elements[i]),
				model_target(b, sb, &sb->elements[i])))
			return false;
	}
	return true;
}

static inline bool model_same_chain(const struct nft_chain *a, const struct nft_chain *b)
{
	return a->is_base == b->is_base && a->hook == b->hook && a->priority == b->priority &&
		a->count == b->count &&
		(!a->count || !memcmp(a->rules, b->rules, a->count * sizeof(*a->rules)));
}

/* Whatever order chains, sets and counters stand in. Both must be finished. */
static inline bool model_equal(const struct nft_table *a, const struct nft_table *b)
{
	if (a->chain_count != b->chain_count || a->set_count != b->set_count ||
		a->counter_count != b->counter_count)
		return false;
	for (size_t i = 0; i < a->chain_count; i++) {
		const struct nft_chain *found = nft_find_chain(b, a->chains[i].name);

		if (!found || !model_same_chain(&a->chains[i], found))
			return false;
	}
	for (size_t i = 0; i < a->set_count; i++) {
		const struct nft_set *found = nft_find_set(b, a->sets[i].name);

		if (!found || !model_same_set(a, &a->sets[i], b, found))
			return false;
	}
	for (size_t i = 0; i < a->counter_count; i++) {
		if (!nft_find_counter(b, a->counters[i].name))
			return false;
	}
	return true;
}

/* Does the edits of the difference. NULL; or why the kernel would refuse, or that it is not so. */
static inline const char *model_become(const struct nft_table *have, const struct nft_table *want,
	size_t *ret_count)
{
	struct nft_table model;
	struct nft_edit *edits;
	size_t count = nft_table_diff(have, want, &edits);
	const char *why = NULL;

	model_copy(have, &model);
	for (size_t i = 0; !why && i < count; i++)
		why = model_apply(&model, &edits[i]);
	nft_table_finish(&model);
	if (!why && !model_equal(&model, want))
		why = "after all edits the table is not what was wanted";
	nft_table_done(&model);
	free(edits);
	if (ret_count)
		*ret_count = count;
	return why;
}

#endif
