/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules that bindings become, and the edits from what is there to what should be. Edits are
 * tried on a model of the kernel's table, which refuses what the kernel would refuse.
 */
#include "tests/unit/support.h"

#include <netinet/in.h>

#include "natmgr/ruleset.h"

#define P(n)  IP4(20, 251, 48, n)
#define VM(n) IP4(10, 77, 0, n)

static const struct ruleset_settings plain = {
	.outer = "eth0", .bridge = "br0", .inner = { IP4(10, 77, 0, 1), 24 }
};
static const struct ruleset_settings hairpin = {
	.outer = "eth0", .bridge = "br0", .inner = { IP4(10, 77, 0, 1), 24 }, .hairpin = true
};

/* --- what is wanted ----------------------------------------------------------------------- */

static const struct build_row {
	const char *sentence;
	const struct ruleset_settings *settings;
	struct mapping map[4];
	struct port_mapping ports[4];
	const char *prerouting, *postrouting; /* a rule a line; OUTPUT is as PREROUTING */
	const char *hairpin;                  /* NULL: there is no such chain */
} build_rows[] = {
	{ "build: nothing", &plain, { { 0 } }, { { 0 } }, "", "" },
	{ "build: nothing, with hairpin", &hairpin, { { 0 } }, { { 0 } }, "", "" },
	{ "build: the patent's two rules", &plain, { { P(99), VM(11), 1, true } }, { { 0 } },
		"-d 20.251.48.99/32 -j DNAT --to-destination 10.77.0.11\n",
		"-s 10.77.0.11/32 -o eth0 -j SNAT --to-source 20.251.48.99\n" },
	{ "build: two addresses of a VM have one source", &plain,
		{ { P(99), VM(11), 1, false }, { P(100), VM(11), 2, true } }, { { 0 } },
		"-d 20.251.48.99/32 -j DNAT --to-destination 10.77.0.11\n"
		"-d 20.251.48.100/32 -j DNAT --to-destination 10.77.0.11\n",
		"-s 10.77.0.11/32 -o eth0 -j SNAT --to-source 20.251.48.100\n" },
	{ "build: DNAT by public, SNAT by inner address", &plain,
		{ { P(99), VM(12), 1, true }, { P(100), VM(11), 2, true } }, { { 0 } },
		"-d 20.251.48.99/32 -j DNAT --to-destination 10.77.0.12\n"
		"-d 20.251.48.100/32 -j DNAT --to-destination 10.77.0.11\n",
		"-s 10.77.0.11/32 -o eth0 -j SNAT --to-source 20.251.48.100\n"
		"-s 10.77.0.12/32 -o eth0 -j SNAT --to-source 20.251.48.99\n" },
	{ "build: hairpin", &hairpin, { { P(99), VM(11), 1, true } }, { { 0 } },
		"-d 20.251.48.99/32 -j DNAT --to-destination 10.77.0.11\n",
		"-o br0 -m conntrack --ctstate DNAT -j EIPD-HAIRPIN\n"
		"-s 10.77.0.11/32 -o eth0 -j SNAT --to-source 20.251.48.99\n",
		"-s 10.77.0.11/32 -o br0 -j SNAT --to-source 20.251.48.99\n"
		"-s 10.77.0.0/24 -o br0 -j SNAT --to-source 10.77.0.1\n" },
	{ "build: a shared address goes by ports, and nowhere else", &plain,
		{ { P(99), 0, 1, false } },
		{ { P(99), VM(11), IPPROTO_TCP, 80, 80, 8080, false },
			{ P(99), VM(12), IPPROTO_TCP, 443, 443, 443, true },
			{ P(99), VM(13), IPPROTO_UDP, 5000, 5010, 5000, false } },
		"-d 20.251.48.99/32 -p tcp -m tcp --dport 80 "
		"-j DNAT --to-destination 10.77.0.11:8080\n"
		"-d 20.251.48.99/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.77.0.12\n"
		"-d 20.251.48.99/32 -p udp -m udp --dport 5000:5010 "
		"-j DNAT --to-destination 10.77.0.13\n",
		"-s 10.77.0.12/32 -o eth0 -j SNAT --to-source 20.251.48.99\n" },
};

static void assert_chain(const struct ruleset *ruleset, const char *name, const char *builtin,
	const char *expected)
{
	const struct chain *chain = ruleset_find_chain(ruleset, name);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(chain);
	assert_string_equal(chain->builtin, builtin);
	assert_int_equal(chain->jumps, *builtin ? 1 : 0);
	assert_true(chain->exists);
	for (size_t i = 0; i < chain->count; i++) {
		char *rule = rule_format(&chain->rules[i]);

		fprintf(out, "%s\n", rule + strspn(rule, " "));
		free(rule);
	}
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static void desired_of(const struct build_row *row, struct desired *desired)
{
	*desired = (struct desired){ .map = (struct mapping *)(uintptr_t)row->map,
		.ports = (struct port_mapping *)(uintptr_t)row->ports };
	while (desired->count < COUNT(row->map) && row->map[desired->count].address)
		desired->count++;
	while (desired->port_count < COUNT(row->ports) && row->ports[desired->port_count].address)
		desired->port_count++;
}

static void test_build(void **state)
{
	const struct build_row *row = *state;
	struct desired desired;
	struct ruleset ruleset;

	desired_of(row, &desired);
	ruleset_build(&desired, row->settings, &ruleset);
	assert_int_equal(ruleset.count, row->hairpin ? 4 : 3);
	assert_chain(&ruleset, "EIPD-PREROUTING", "PREROUTING", row->prerouting);
	assert_chain(&ruleset, "EIPD-OUTPUT", "OUTPUT", row->prerouting);
	assert_chain(&ruleset, "EIPD-POSTROUTING", "POSTROUTING", row->postrouting);
	if (row->hairpin)
		assert_chain(&ruleset, "EIPD-HAIRPIN", "", row->hairpin);
	/* the host and other bridges must never be translated: SNAT always names where it leaves */
	for (size_t c = 0; c < ruleset.count; c++) {
		for (size_t i = 0; i < ruleset.chains[c].count; i++)
			assert_true(ruleset.chains[c].rules[i].action != RULE_SNAT ||
				*ruleset.chains[c].rules[i].out);
	}
	ruleset_done(&ruleset);
}

static void test_equal(void **state)
{
	const struct rule base = { .source = { VM(11), 32 },
		.destination = { P(99), 32 },
		.out = "eth0",
		.protocol = IPPROTO_TCP,
		.first = 80,
		.last = 90,
		.action = RULE_SNAT,
		.to = P(99),
		.to_port = 8080 };
	struct rule other[13];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(other); i++)
		other[i] = base;
	assert_true(rule_equal(&base, &other[0]));
	other[n++].source.addr++;
	other[n++].source.len = 31;
	other[n++].destination.addr++;
	other[n++].destination.len = 31;
	strcpy(other[n++].out, "eth1");
	strcpy(other[n++].out, "");
	other[n++].only_dnatted = true;
	other[n++].protocol = IPPROTO_UDP;
	other[n++].first = 81;
	other[n++].last = 91;
	other[n++].action = RULE_DNAT;
	other[n++].to++;
	other[n++].to_port++;
	assert_int_equal(n, COUNT(other));
	for (size_t i = 0; i < n; i++)
		assert_false(rule_equal(&base, &other[i]));
	/* what we do not understand is equal to nothing, not even to itself */
	other[0] = base;
	other[0].action = RULE_OTHER;
	assert_false(rule_equal(&other[0], &other[0]));
}

/* --- the model ---------------------------------------------------------------------------- */

struct model_rule {
	struct rule rule;
	bool touched; /* inserted by an edit: its counters are new */
};

struct model_chain {
	char name[CHAIN_NAME_MAX + 1];
	bool exists;
	unsigned jumps;
	struct model_rule rules[256];
	size_t count;
};

struct model {
	struct model_chain chains[64];
	size_t count;
};

static struct model_chain *model_chain(struct model *model, const char *name)
{
	for (size_t i = 0; i < model->count; i++) {
		if (!strcmp(model->chains[i].name, name))
			return &model->chains[i];
	}
	assert_true(model->count < COUNT(model->chains));
	strcpy(model->chains[model->count].name, name);
	return &model->chains[model->count++];
}

static struct model *model_of(const struct ruleset *ruleset)
{
	struct model *model = calloc(1, sizeof(*model));

	for (size_t i = 0; i < ruleset->count; i++) {
		struct model_chain *chain = model_chain(model, ruleset->chains[i].name);

		chain->exists = ruleset->chains[i].exists;
		chain->jumps = ruleset->chains[i].jumps;
		assert_true(ruleset->chains[i].count <= COUNT(chain->rules));
		for (; chain->count < ruleset->chains[i].count; chain->count++)
			chain->rules[chain->count].rule = ruleset->chains[i].rules[chain->count];
	}
	return model;
}

/* One edit, as the kernel would take it. */
static void model_apply(struct model *model, const struct edit *edit)
{
	struct model_chain *chain = model_chain(model, edit->chain);
	size_t behind;

	switch (edit->kind) {
	case EDIT_CHAIN_NEW:
		assert_false(chain->exists);
		chain->exists = true;
		return;
	case EDIT_RULE_DELETE:
		assert_true(chain->exists);
		assert_true(edit->position < chain->count);
		behind = --chain->count - edit->position;
		memmove(&chain->rules[edit->position], &chain->rules[edit->position + 1],
			behind * sizeof(*chain->rules));
		return;
	case EDIT_RULE_INSERT:
		assert_true(chain->exists);
		assert_true(edit->position <= chain->count);
		assert_true(chain->count < COUNT(chain->rules));
		assert_int_not_equal(edit->rule.action, RULE_OTHER);
		behind = chain->count++ - edit->position;
		memmove(&chain->rules[edit->position + 1], &chain->rules[edit->position],
			behind * sizeof(*chain->rules));
		chain->rules[edit->position] = (struct model_rule){ edit->rule, true };
		return;
	case EDIT_JUMP_NEW:
		assert_true(chain->exists);
		assert_true(*edit->builtin);
		chain->jumps++;
		return;
	case EDIT_JUMP_DELETE:
		assert_true(chain->jumps > 0);
		assert_true(*edit->builtin);
		chain->jumps--;
		return;
	case EDIT_CHAIN_FLUSH:
		assert_true(chain->exists);
		chain->count = 0;
		return;
	case EDIT_CHAIN_DELETE:
		assert_true(chain->exists);
		assert_int_equal(chain->jumps, 0);
		assert_int_equal(chain->count, 0);
		chain->exists = false;
		return;
	}
	abort();
}

/* After the edits, `have` is `want`: these chains, these rules, in this order, one jump each. */
static void assert_becomes(const struct ruleset *have, const struct ruleset *want,
	size_t *ret_edits, size_t *ret_kept)
{
	struct edit *edits = NULL;
	size_t count = ruleset_diff(have, want, &edits), kept = 0;
	struct model *model = model_of(have);

	for (size_t i = 0; i < count; i++)
		model_apply(model, &edits[i]);
	for (size_t i = 0; i < model->count; i++) {
		const struct model_chain *chain = &model->chains[i];
		const struct chain *wanted = ruleset_find_chain(want, chain->name);

		assert_int_equal(chain->exists, wanted != NULL);
		assert_int_equal(chain->jumps, wanted ? wanted->jumps : 0);
		assert_int_equal(chain->count, wanted ? wanted->count : 0);
		for (size_t r = 0; r < chain->count; r++) {
			assert_true(rule_equal(&chain->rules[r].rule, &wanted->rules[r]));
			kept += !chain->rules[r].touched;
		}
	}
	for (size_t i = 0; i < want->count; i++)
		assert_true(model_chain(model, want->chains[i].name)->exists);
	free(edits);
	free(model);
	if (ret_edits)
		*ret_edits = count;
	if (ret_kept)
		*ret_kept = kept;
}

static void copy_ruleset(const struct ruleset *from, struct ruleset *to)
{
	*to = (struct ruleset){ 0 };
	for (size_t i = 0; i < from->count; i++) {
		struct chain *chain = ruleset_add_chain(to, from->chains[i].name,
			from->chains[i].builtin);

		chain->jumps = from->chains[i].jumps;
		chain->exists = from->chains[i].exists;
		for (size_t r = 0; r < from->chains[i].count; r++)
			chain_add_rule(chain, &from->chains[i].rules[r]);
	}
}

/* n addresses, each its VM's source */
static void build_many(unsigned n, const struct ruleset_settings *settings, struct ruleset *ruleset)
{
	struct mapping *map = calloc(n, sizeof(*map));
	const struct desired desired = { .map = map, .count = n };

	for (unsigned i = 0; i < n; i++)
		map[i] = (struct mapping){ P(0) + i, VM(0) + 2 + i, i + 1, true };
	ruleset_build(&desired, settings, ruleset);
	free(map);
}

static void test_diff_same(void **state)
{
	struct ruleset want;
	struct edit *edits = NULL;

	(void)state;
	for (unsigned n = 0; n < 40; n++) {
		build_many(n, n & 1 ? &plain : &hairpin, &want);
		assert_int_equal(ruleset_diff(&want, &want, &edits), 0);
		free(edits);
		edits = NULL;
		ruleset_done(&want);
	}
}

static void test_diff_first(void **state)
{
	struct ruleset want, nothing;
	struct edit *edits = NULL;
	size_t count, jumps = 0;

	(void)state;
	build_many(3, &hairpin, &want);
	ruleset_empty(&nothing);
	assert_becomes(&nothing, &want, NULL, NULL);
	/* a chain has all of its rules before packets come to it */
	count = ruleset_diff(&nothing, &want, &edits);
	for (size_t i = 0; i < count; i++) {
		jumps += edits[i].kind == EDIT_JUMP_NEW;
		for (size_t k = i + 1; edits[i].kind == EDIT_JUMP_NEW && k < count; k++)
			assert_false(edits[k].kind == EDIT_RULE_INSERT &&
				!strcmp(edits[k].chain, edits[i].chain));
	}
	assert_int_equal(jumps, 3);
	free(edits);
	/* and away with it, nothing left */
	assert_becomes(&want, &nothing, NULL, NULL);
	ruleset_done(&want);
}

static const struct single_row {
	const char *sentence;
	unsigned before, after; /* numbers of addresses */
	size_t edits;           /* of rules: DNAT twice, SNAT once for each */
} single_rows[] = {
	{ "diff: one comes at the end", 12, 13, 3 },
	{ "diff: one goes from the end", 13, 12, 3 },
	{ "diff: the first comes: chains and jumps are there", 0, 1, 3 },
	{ "diff: the last goes: chains and jumps stay", 1, 0, 3 },
};

static void test_diff_single(void **state)
{
	const struct single_row *row = *state;
	struct ruleset before, after;
	size_t edits, kept;
	unsigned least = row->before < row->after ? row->before : row->after;

	build_many(row->before, &plain, &before);
	build_many(row->after, &plain, &after);
	assert_becomes(&before, &after, &edits, &kept);
	assert_int_equal(edits, row->edits);
	assert_int_equal(kept, 3 * least);
	ruleset_done(&before);
	ruleset_done(&after);
}

/* A chain of ours as somebody left it; the wanted rules are numbered, -1 is a foreign one. */
static const struct damage_row {
	const char *sentence;
	int have[12]; /* ended by -9 */
	unsigned jumps;
	size_t wanted, edits;
} damage_rows[] = {
	{ "mend: flushed by somebody", { -9 }, 1, 3, 3 },
	{ "mend: one rule was deleted", { 0, 2, -9 }, 1, 3, 1 },
	{ "mend: one rule stands twice", { 0, 1, 1, 2, -9 }, 1, 3, 1 },
	{ "mend: all rules stand twice", { 0, 1, 2, 0, 1, 2, -9 }, 1, 3, 3 },
	{ "mend: a foreign rule at the head", { -1, 0, 1, 2, -9 }, 1, 3, 1 },
	{ "mend: a foreign rule in the middle and one at the end", { 0, -1, 1, 2, -1, -9 }, 1, 3,
		2 },
	{ "mend: only foreign rules", { -1, -1, -9 }, 1, 3, 5 },
	{ "mend: the jump is gone", { 0, 1, 2, -9 }, 0, 3, 1 },
	{ "mend: the jump is there three times", { 0, 1, 2, -9 }, 3, 3, 2 },
	{ "mend: the first rule was moved to the end: it alone is touched", { 1, 2, 3, 4, 0, -9 },
		1, 5, 2 },
	{ "mend: the last rule was moved to the head: it alone is touched", { 4, 0, 1, 2, 3, -9 },
		1, 5, 2 },
	{ "mend: two neighbours changed places: one is touched", { 0, 2, 1, 3, -9 }, 1, 4, 2 },
	{ "mend: all stand in reverse order: one can stay", { 4, 3, 2, 1, 0, -9 }, 1, 5, 8 },
};

static void test_mend(void **state)
{
	const struct damage_row *row = *state;
	struct ruleset have = { 0 }, want = { 0 };
	struct chain *chain = ruleset_add_chain(&want, "EIPD-PREROUTING", "PREROUTING"), *there;
	size_t edits;

	chain->jumps = 1;
	for (unsigned i = 0; i < row->wanted; i++)
		chain_add_rule(chain,
			&(struct rule){ .destination = { P(99) + i, 32 },
				.action = RULE_DNAT,
				.to = VM(11) });
	there = ruleset_add_chain(&have, "EIPD-PREROUTING", "PREROUTING");
	there->jumps = row->jumps;
	for (size_t i = 0; row->have[i] != -9; i++) {
		const struct rule foreign = { .action = RULE_OTHER };

		chain_add_rule(there, row->have[i] < 0 ? &foreign : &chain->rules[row->have[i]]);
	}
	assert_becomes(&have, &want, &edits, NULL);
	assert_int_equal(edits, row->edits);
	ruleset_done(&have);
	ruleset_done(&want);
}

static void test_old_chains(void **state)
{
	struct ruleset have, want;
	struct chain *old;

	(void)state;
	build_many(2, &plain, &want);
	copy_ruleset(&want, &have);
	/* as an older version left it, with a jump, and one without */
	old = ruleset_add_chain(&have, "EIPD-OLD", "PREROUTING");
	old->jumps = 2;
	chain_add_rule(old, &(struct rule){ .action = RULE_OTHER });
	ruleset_add_chain(&have, "EIPD-UNUSED", "");
	assert_becomes(&have, &want, NULL, NULL);
	ruleset_done(&have);
	ruleset_done(&want);
}

/* --- at random ---------------------------------------------------------------------------- */

static uint32_t random_state = 1;

static unsigned random_below(unsigned n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 12) % n;
}

/* What others may have done to the chains: order, foreign rules, duplicates, gaps, jumps. */
static void damage(struct ruleset *ruleset)
{
	for (size_t c = 0; c < ruleset->count; c++) {
		struct chain *chain = &ruleset->chains[c];

		for (unsigned n = random_below(4); n > 0; n--) {
			const struct rule foreign = { .source = { VM(200) + n, 32 },
				.action = RULE_OTHER };
			struct rule changed = foreign;

			if (chain->count && random_below(2)) {
				/* like one of ours, but to another address */
				changed = chain->rules[random_below((unsigned)chain->count)];
				changed.to++;
			}
			chain_add_rule(chain, &changed);
		}
		for (unsigned n = chain->count ? random_below(4) : 0; n > 0; n--) {
			size_t at = random_below((unsigned)chain->count);
			const struct rule twice = chain->rules[at];

			chain_add_rule(chain, &twice);
		}
		for (unsigned n = random_below(8); n > 0 && chain->count; n--) {
			size_t a = random_below((unsigned)chain->count),
			       b = random_below((unsigned)chain->count);
			struct rule rule = chain->rules[a];

			chain->rules[a] = chain->rules[b];
			chain->rules[b] = rule;
		}
		for (unsigned n = random_below(3); n > 0 && chain->count; n--) {
			size_t gone = random_below((unsigned)chain->count);

			chain->rules[gone] = chain->rules[--chain->count];
		}
		chain->jumps = random_below(4);
		/* somebody's own jump into the tree */
		if (chain->jumps && !*chain->builtin)
			strcpy(chain->builtin, "PREROUTING");
		if (!random_below(5)) {
			/* the whole chain was deleted */
			chain->exists = false;
			chain->count = 0;
			chain->jumps = 0;
		}
	}
}

/* How many rules of `have` can stay: the longest part of it that is in the order of `want`. */
static size_t most_kept(const struct chain *have, const struct chain *want)
{
	size_t best[257] = { 0 }, most = 0; /* best[w]: the longest that ends with want's rule w */

	for (size_t h = 0; have && h < have->count; h++) {
		for (size_t w = 0; w < want->count; w++) {
			size_t before = 0;

			if (!rule_equal(&have->rules[h], &want->rules[w]))
				continue;
			for (size_t k = 0; k < w; k++)
				before = best[k] > before ? best[k] : before;
			best[w] = before + 1 > best[w] ? before + 1 : best[w];
			most = best[w] > most ? best[w] : most;
		}
	}
	return most;
}

static void random_pair(struct ruleset *have, struct ruleset *want)
{
	build_many(random_below(25), random_below(2) ? &plain : &hairpin, want);
	if (random_below(3)) {
		copy_ruleset(want, have);
	} else {
		/* another number of addresses: both edits and damage */
		build_many(random_below(25), random_below(2) ? &plain : &hairpin, have);
	}
	damage(have);
}

static void test_random(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 3000; seed++) {
		struct ruleset have, want, after;
		struct edit *edits = NULL;

		random_state = seed;
		random_pair(&have, &want);
		assert_becomes(&have, &want, NULL, NULL);
		/* a second run finds nothing to do */
		copy_ruleset(&want, &after);
		assert_int_equal(ruleset_diff(&after, &want, &edits), 0);
		free(edits);
		ruleset_done(&after);
		ruleset_done(&have);
		ruleset_done(&want);
	}
}

/* "With the fewest changes": every rule that can stay does, with its counters. */
static void test_random_fewest(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 1000; seed++) {
		struct ruleset have, want;
		size_t kept, most = 0;

		random_state = seed;
		random_pair(&have, &want);
		assert_becomes(&have, &want, NULL, &kept);
		for (size_t i = 0; i < want.count; i++)
			most += most_kept(ruleset_find_chain(&have, want.chains[i].name),
				&want.chains[i]);
		if (kept != most)
			print_message("    seed %u: %zu rules stay, %zu could\n", seed, kept, most);
		assert_int_equal(kept, most);
		ruleset_done(&have);
		ruleset_done(&want);
	}
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_build, build_rows);
	suite_add(&suite, "equal: in every field, or not", test_equal, NULL);
	suite_add(&suite, "diff: the same is nothing to do", test_diff_same, NULL);
	suite_add(&suite, "diff: from nothing, and back to it", test_diff_first, NULL);
	SUITE_ROWS(&suite, test_diff_single, single_rows);
	SUITE_ROWS(&suite, test_mend, damage_rows);
	suite_add(&suite, "mend: chains of ours that are not wanted go", test_old_chains, NULL);
	suite_add(&suite, "mend: at random, and a second run finds nothing", test_random, NULL);
	suite_add(&suite, "mend: at random, every rule that can stay stays", test_random_fewest,
		NULL);
	return suite_run(&suite, "ruleset");
}
