/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables of nf_tables and the edits from one to another. Edits are tried on a model of the
 * kernel's table, which refuses what the kernel would refuse.
 */
#include "tests/unit/support.h"

#include <linux/netfilter_bridge.h>

#include "natmgr/nft_table.h"
#include "tests/unit/nft_model.h"

static const uint8_t mac[][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 },
	{ 2, 0, 0, 0, 0, 3 } };

static void assert_becomes(const struct nft_table *have, const struct nft_table *want,
	size_t *ret_count)
{
	const char *why = model_become(have, want, ret_count);

	if (why)
		print_message("    %s\n", why);
	assert_null(why);
}

static struct nft_rule rule_to(enum nft_action action, const char *set, enum nft_field key,
	const char *target)
{
	struct nft_rule rule = { .action = (uint8_t)action, .key = { (uint8_t)key } };

	snprintf(rule.set, sizeof(rule.set), "%s", set);
	snprintf(rule.target, sizeof(rule.target), "%s", target);
	return rule;
}

static void add_rule(struct nft_chain *chain, enum nft_action action, const char *set,
	enum nft_field key, const char *target)
{
	const struct nft_rule rule = rule_to(action, set, key, target);

	nft_add_rule(chain, &rule);
}

/* A hook that goes by a map to a chain that counts and drops. */
static void make_sample(struct nft_table *table)
{
	struct nft_set *map;
	struct nft_chain *chain;

	*table = (struct nft_table){ 0 };
	chain = nft_add_base_chain(table, "hook", NF_BR_PRE_ROUTING, -400);
	add_rule(chain, NFT_ACTION_LOOKUP, "map", NFT_FIELD_ETHER_SOURCE, "");
	chain = nft_add_chain(table, "leaf");
	add_rule(chain, NFT_ACTION_COUNT, "", NFT_FIELD_NONE, "dropped");
	add_rule(chain, NFT_ACTION_DROP, "", NFT_FIELD_NONE, "");
	map = nft_add_set(table, "map", NFT_KIND_VERDICT_MAP, NFT_FIELD_ETHER_SOURCE,
		NFT_FIELD_NONE);
	nft_add_element(table, map, mac[1], NULL, "leaf");
	nft_add_element(table, map, mac[0], NULL, "leaf");
	nft_add_counter(table, "dropped");
	nft_table_finish(table);
}

/* --- making ------------------------------------------------------------------------------- */

static void test_lens(void **state)
{
	(void)state;
	/* a key of two fields has to fit, each filled up to whole registers of 4 octets */
	for (unsigned field = NFT_FIELD_NONE + 1; field < NFT_FIELD_COUNT; field++) {
		assert_in_range(nft_field_len(field), 1, NFT_VALUE_SIZE);
	}
	assert_int_equal(nft_field_len(NFT_FIELD_NONE), 0);
}

static void test_finish(void **state)
{
	struct nft_table table = { 0 };
	struct nft_set *set = nft_add_set(&table, "set", NFT_KIND_SET, NFT_FIELD_ETHER_SOURCE,
		NFT_FIELD_NONE);
	struct nft_set *none = nft_add_set(&table, "none", NFT_KIND_SET, NFT_FIELD_PORT_IN,
		NFT_FIELD_NONE);

	(void)state;
	none->count = 0;
	set = (struct nft_set *)(uintptr_t)nft_find_set(&table, "set");
	for (unsigned i = 0; i < 50; i++)
		nft_add_element(&table, set, mac[(i * 7) % 3], NULL, NULL);
	nft_table_finish(&table);
	set = (struct nft_set *)(uintptr_t)nft_find_set(&table, "set");
	assert_int_equal(set->count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_memory_equal(set->elements[i].key, mac[i], 6);
	/* a second time changes nothing */
	nft_table_finish(&table);
	assert_int_equal(set->count, 3);
	nft_table_done(&table);
	assert_int_equal(table.set_count, 0);
}

static void test_two_keys(void **state)
{
	struct nft_table table = { 0 };
	struct nft_set *set = nft_add_set(&table, "set", NFT_KIND_SET, NFT_FIELD_ETHER_SOURCE,
		NFT_FIELD_IP_SOURCE);
	const uint8_t ip[] = { 192, 0, 2, 1 };
	const uint8_t key[NFT_VALUE_SIZE] = { 2, 0, 0, 0, 0, 3, 0, 0, 192, 0, 2, 1 };

	(void)state;
	nft_add_element(&table, set, mac[2], ip, NULL);
	assert_memory_equal(set->elements[0].key, key, sizeof(key));
	nft_table_done(&table);
}

static void test_long_names(void **state)
{
	struct nft_table table = { 0 };
	char name[NFT_NAME_SIZE] = "across-";

	(void)state;
	memset(name + 7, 'v', 63);
	nft_add_chain(&table, name);
	nft_add_counter(&table, name);
	assert_non_null(nft_find_chain(&table, name));
	assert_non_null(nft_find_counter(&table, name));
	name[7 + 62] = '\0';
	assert_null(nft_find_chain(&table, name));
	assert_null(nft_find_counter(&table, name));
	nft_table_done(&table);
}

/* --- differences -------------------------------------------------------------------------- */

static void test_same(void **state)
{
	struct nft_table table, other;
	struct nft_edit *edits;

	(void)state;
	make_sample(&table);
	make_sample(&other);
	assert_int_equal(nft_table_diff(&table, &table, &edits), 0);
	free(edits);
	assert_int_equal(nft_table_diff(&table, &other, &edits), 0);
	free(edits);
	/* the targets of elements are names, whichever index they have */
	nft_table_done(&other);
	model_copy(&table, &other);
	assert_int_equal(nft_table_diff(&table, &other, &edits), 0);
	free(edits);
	nft_table_done(&other);
	nft_table_done(&table);
}

static void test_from_nothing(void **state)
{
	static const struct nft_table nothing;
	struct nft_table table;
	struct nft_edit *edits;
	size_t count;

	(void)state;
	make_sample(&table);
	/* 2 chains with 3 rules, a map with 2 elements, a counter */
	assert_becomes(&nothing, &table, &count);
	assert_int_equal(count, 9);
	/* a chain is flushed before it goes */
	assert_becomes(&table, &nothing, &count);
	assert_int_equal(count, 8);
	assert_int_equal(nft_table_diff(&nothing, &nothing, &edits), 0);
	free(edits);
	nft_table_done(&table);
}

/* What one change of the sample takes. */
static void change_rule(struct nft_table *table)
{
	model_chain(table, "leaf")->rules[1].action = NFT_ACTION_ACCEPT;
}

static void drop_rules(struct nft_table *table)
{
	model_chain(table, "leaf")->count = 0;
}

static void add_element(struct nft_table *table)
{
	nft_add_element(table, model_set(table, "map"), mac[2], NULL, "leaf");
}

static void drop_element(struct nft_table *table)
{
	model_set(table, "map")->count--;
}

static void retarget_element(struct nft_table *table)
{
	struct nft_set *map = model_set(table, "map");

	nft_add_chain(table, "other");
	map->count--;
	nft_add_element(table, map, mac[1], NULL, "other");
}

static void add_chain(struct nft_table *table)
{
	add_rule(nft_add_chain(table, "other"), NFT_ACTION_GOTO, "", NFT_FIELD_NONE, "leaf");
}

static void count_anew(struct nft_table *table)
{
	table->counters[0].packets = 7;
	table->counters[0].bytes = 700;
}

static void rename_counter(struct nft_table *table)
{
	strcpy(table->counters[0].name, "other");
	strcpy(model_chain(table, "leaf")->rules[0].target, "other");
}

static void rename_chain(struct nft_table *table)
{
	struct nft_set *map = model_set(table, "map");

	strcpy(model_chain(table, "leaf")->name, "other");
	map->count = 0;
	nft_add_element(table, map, mac[0], NULL, "other");
	nft_add_element(table, map, mac[1], NULL, "other");
}

static const struct change_row {
	const char *sentence;
	void (*change)(struct nft_table *table);
	size_t there, back; /* edits */
} change_rows[] = {
	{ "diff: a rule changes: its chain is written anew", change_rule, 3, 3 },
	{ "diff: a chain has no rules any more", drop_rules, 1, 2 },
	{ "diff: an element comes", add_element, 1, 1 },
	{ "diff: an element goes", drop_element, 1, 1 },
	{ "diff: an element leads elsewhere", retarget_element, 3, 3 },
	{ "diff: a chain comes that refers to one that stays", add_chain, 2, 2 },
	{ "diff: what a counter has counted is no difference", count_anew, 0, 0 },
	{ "diff: a counter has another name", rename_counter, 5, 5 },
	{ "diff: a chain has another name", rename_chain, 9, 9 },
};

static void test_change(void **state)
{
	const struct change_row *row = *state;
	struct nft_table before, after;
	size_t count;

	make_sample(&before);
	make_sample(&after);
	row->change(&after);
	nft_table_finish(&after);
	assert_becomes(&before, &after, &count);
	assert_int_equal(count, row->there);
	assert_becomes(&after, &before, &count);
	assert_int_equal(count, row->back);
	nft_table_done(&before);
	nft_table_done(&after);
}

/* --- at random ---------------------------------------------------------------------------- */

static uint32_t random_state = 1;

static unsigned random_below(unsigned n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 12) % n;
}

/* What a name means is the same in every table: only whether it is there differs. */
static const struct {
	const char *name;
	enum nft_set_kind kind;
	enum nft_field key[2];
} random_sets[] = {
	{ "ports", NFT_KIND_SET, { NFT_FIELD_PORT_IN } },
	{ "seats", NFT_KIND_SET, { NFT_FIELD_PORT_IN, NFT_FIELD_ETHER_SOURCE } },
	{ "from", NFT_KIND_VERDICT_MAP, { NFT_FIELD_ETHER_SOURCE } },
	{ "to", NFT_KIND_VERDICT_MAP, { NFT_FIELD_PORT_OUT } },
	{ "counters", NFT_KIND_COUNTER_MAP, { NFT_FIELD_PORT_IN } },
};
static const char *const random_chains[] = { "a", "b", "c", "d", "e" };
static const char *const random_counters[] = { "m", "n", "o", "p" };

static const char *random_chain(const struct nft_table *table)
{
	const char *name = random_chains[random_below(COUNT(random_chains))];

	return nft_find_chain(table, name) ? name : NULL;
}

static const char *random_counter(const struct nft_table *table)
{
	const char *name = random_counters[random_below(COUNT(random_counters))];

	return nft_find_counter(table, name) ? name : NULL;
}

static void random_rule(const struct nft_table *table, struct nft_chain *chain)
{
	const struct nft_set *set = table->set_count && random_below(2)
		? &table->sets[random_below((unsigned)table->set_count)]
		: NULL;
	const char *to = random_below(2) ? random_chain(table) : NULL;
	const char *counter = random_below(3) ? NULL : random_counter(table);
	struct nft_rule rule = rule_to(random_below(2) ? NFT_ACTION_DROP : NFT_ACTION_ACCEPT,
		set ? set->name : "", 0,
		to                ? to
			: counter ? counter
				  : "");

	if (set)
		memcpy(rule.key, set->key, sizeof(rule.key));
	if (to)
		rule.action = NFT_ACTION_GOTO;
	else if (counter)
		rule.action = NFT_ACTION_COUNT;
	if (set && set->kind != NFT_KIND_SET) {
		rule.action = set->kind == NFT_KIND_VERDICT_MAP ? NFT_ACTION_LOOKUP
								: NFT_ACTION_COUNT_BY;
		rule.target[0] = '\0';
		memset(rule.target, 0, sizeof(rule.target));
	}
	if (random_below(2)) {
		rule.match[0].field = NFT_FIELD_ETHER_TYPE;
		rule.match[0].value[0] = (uint8_t)random_below(2);
	}
	nft_add_rule(chain, &rule);
}

static void random_elements(struct nft_table *table, struct nft_set *set)
{
	for (unsigned n = random_below(8); n > 0; n--) {
		const uint8_t first[6] = { 0, 0, (uint8_t)random_below(3), 0 };
		const uint8_t second[6] = { (uint8_t)random_below(3) };
		const char *target = set->kind == NFT_KIND_VERDICT_MAP ? random_chain(table)
			: set->kind == NFT_KIND_COUNTER_MAP            ? random_counter(table)
								       : NULL;

		if (set->kind == NFT_KIND_SET || target)
			nft_add_element(table, set, first, set->key[1] ? second : NULL, target);
	}
}

static void random_table(struct nft_table *table)
{
	*table = (struct nft_table){ 0 };
	if (!random_below(10))
		return;
	for (size_t i = 0; i < COUNT(random_counters); i++) {
		if (random_below(2))
			nft_add_counter(table, random_counters[i]);
	}
	if (random_below(4))
		nft_add_base_chain(table, "hook", NF_BR_FORWARD, -400);
	for (size_t i = 0; i < COUNT(random_chains); i++) {
		if (random_below(2))
			nft_add_chain(table, random_chains[i]);
	}
	for (size_t i = 0; i < COUNT(random_sets); i++) {
		if (random_below(2))
			nft_add_set(table, random_sets[i].name, random_sets[i].kind,
				random_sets[i].key[0], random_sets[i].key[1]);
	}
	for (size_t i = 0; i < table->set_count; i++)
		random_elements(table, &table->sets[i]);
	for (size_t i = 0; i < table->chain_count; i++) {
		for (unsigned n = random_below(4); n > 0; n--)
			random_rule(table, &table->chains[i]);
	}
	nft_table_finish(table);
}

static void test_random(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20000; seed++) {
		struct nft_table have, want;
		struct nft_edit *edits;
		const char *why;

		random_state = seed;
		random_table(&have);
		random_table(&want);
		why = model_become(&have, &want, NULL);
		if (why)
			print_message("    seed %u: %s\n", seed, why);
		assert_null(why);
		assert_int_equal(nft_table_diff(&want, &want, &edits), 0);
		free(edits);
		nft_table_done(&have);
		nft_table_done(&want);
	}
}

int main(void)
{
	struct suite suite = { 0 };

	suite_add(&suite, "fields: every one has a length that fits", test_lens, NULL);
	suite_add(&suite, "finish: elements are sorted, each is there once", test_finish, NULL);
	suite_add(&suite, "elements: the second field of a key begins with a register",
		test_two_keys, NULL);
	suite_add(&suite, "names: a VM's name of 63 letters is not cut off", test_long_names, NULL);
	suite_add(&suite, "diff: the same is nothing to do", test_same, NULL);
	suite_add(&suite, "diff: from nothing, and back to it", test_from_nothing, NULL);
	SUITE_ROWS(&suite, test_change, change_rows);
	suite_add(&suite, "diff: at random, each edit can be done, and a second run finds nothing",
		test_random, NULL);
	return suite_run(&suite, "nft_table");
}
