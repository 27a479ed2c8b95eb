/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tree of chains: each packet comes out at its own rule, and how many rules it meets on the
 * way, which is what a new connection pays for. A walk as the kernel does it.
 */
#include "tests/unit/support.h"

#include "natmgr/ruleset.h"

#define OUTSIDE IP4(20, 251, 48, 1)
#define BRIDGE  IP4(10, 0, 0, 1)
#define FIRST   IP4(10, 0, 0, 10) /* of the inner addresses */

static const struct ruleset_settings settings = {
	.outer = "eth0", .bridge = "br0", .inner = { BRIDGE, 8 }, .hairpin = true
};

/* The first packet of a connection. */
struct packet {
	uint32_t source, destination;
	const char *out;
	bool dnatted;
};

struct walk {
	const struct ruleset *ruleset;
	unsigned met;
	uint32_t to; /* 0: no rule is for it */
};

static bool matches(const struct rule *rule, const struct packet *packet)
{
	return ip4_prefix_contains(&rule->source, packet->source) &&
		ip4_prefix_contains(&rule->destination, packet->destination) &&
		(!*rule->out || !strcmp(rule->out, packet->out)) &&
		(!rule->only_dnatted || packet->dnatted);
}

/* As deep as there are levels. */
static void walk_chain(struct walk *walk, const char *name, const struct packet *packet)
{
	const struct chain *chain = ruleset_find_chain(walk->ruleset, name);

	assert_non_null(chain);
	for (size_t i = 0; i < chain->count && !walk->to; i++) {
		walk->met++;
		if (!matches(&chain->rules[i], packet))
			continue;
		if (chain->rules[i].action == RULE_JUMP)
			walk_chain(walk, chain->rules[i].jump, packet);
		else
			walk->to = chain->rules[i].to;
	}
}

static struct walk walk(const struct ruleset *ruleset, const char *name,
	const struct packet *packet)
{
	struct walk walk = { .ruleset = ruleset };

	walk_chain(&walk, name, packet);
	return walk;
}

/* n addresses; a pool in one piece, or one of which every `step`-th address is bound */
static void build(unsigned n, unsigned step, uint32_t pool, struct ruleset *ruleset)
{
	struct mapping *map = calloc(n, sizeof(*map));
	const struct desired desired = { .map = map, .count = n };

	for (unsigned i = 0; i < n; i++)
		map[i] = (struct mapping){ pool + i * step, FIRST + i * step, i + 1, true };
	ruleset_build(&desired, &settings, ruleset);
	free(map);
}

/*
 * The most rules that a packet may meet: one that comes in, one that goes out, one that goes to a
 * neighbour's public address, and such that are nothing of ours.
 */
static const struct tree_row {
	const char *sentence;
	unsigned count, step;
	unsigned in, out, hairpin, unbound, strange;
} tree_rows[] = {
	{ "one address", 1, 1, 1, 2, 2, 2, 4 },
	{ "as many as stand in one chain", 16, 1, 16, 17, 17, 17, 34 },
	{ "one more than that", 17, 1, 20, 21, 21, 21, 7 },
	{ "256, in one piece", 256, 1, 24, 26, 26, 28, 7 },
	{ "256, every fifth", 256, 5, 24, 25, 25, 28, 7 },
	{ "4,096, in one piece", 4096, 1, 32, 34, 34, 36, 7 },
	{ "16,384, in one piece", 16384, 1, 36, 38, 38, 40, 7 },
	{ "16,384, every third", 16384, 3, 36, 38, 38, 40, 10 },
	{ "16,384, every 37th", 16384, 37, 44, 46, 46, 48, 11 },
};

struct most {
	unsigned in, out, hairpin;
};

static void look(const struct ruleset *ruleset, uint32_t public, uint32_t inner, struct most *most)
{
	const struct packet in = { OUTSIDE, public, "", false };
	const struct packet out = { inner, OUTSIDE, "eth0", false };
	const struct packet hairpin = { inner, FIRST + 1, "br0", true };
	struct walk there = walk(ruleset, "EIPD-PREROUTING", &in);

	assert_int_equal(there.to, inner);
	assert_int_equal(walk(ruleset, "EIPD-OUTPUT", &in).to, inner);
	most->in = there.met > most->in ? there.met : most->in;
	there = walk(ruleset, "EIPD-POSTROUTING", &out);
	assert_int_equal(there.to, public);
	most->out = there.met > most->out ? there.met : most->out;
	there = walk(ruleset, "EIPD-POSTROUTING", &hairpin);
	assert_int_equal(there.to, public);
	most->hairpin = there.met > most->hairpin ? there.met : most->hairpin;
}

#define assert_at_most(what, met, most)                                                       \
	do {                                                                                  \
		if ((met) > (most))                                                           \
			print_message("    %s: %u rules met, at most %u\n", what, met, most); \
		assert_true((met) <= (most));                                                 \
	} while (0)

static void test_tree(void **state)
{
	const struct tree_row *row = *state;
	const uint32_t pool = IP4(20, 252, 0, 0);
	const struct packet unbound = { FIRST + row->count * row->step - 1, OUTSIDE, "br1", false };
	const struct packet from = { OUTSIDE, FIRST, "br0", true };
	const struct packet to = { FIRST, OUTSIDE, "eth1", false };
	struct most most = { 0 };
	struct ruleset ruleset;
	struct walk there;

	build(row->count, row->step, pool, &ruleset);
	for (unsigned i = 0; i < row->count; i++)
		look(&ruleset, pool + i * row->step, FIRST + i * row->step, &most);
	assert_at_most("in", most.in, row->in);
	assert_at_most("out", most.out, row->out);
	assert_at_most("hairpin", most.hairpin, row->hairpin);
	/* an inner address among those that are bound, to somewhere else */
	there = walk(&ruleset, "EIPD-POSTROUTING", &unbound);
	assert_int_equal(there.to, 0);
	assert_at_most("unbound", there.met, row->unbound);
	/* what has nothing to do with them: into a machine, and out of the host */
	there = walk(&ruleset, "EIPD-POSTROUTING", &from);
	assert_int_equal(there.to, 0);
	assert_at_most("strange, in", there.met, row->strange);
	there = walk(&ruleset, "EIPD-PREROUTING", &to);
	assert_int_equal(there.to, 0);
	assert_at_most("strange, out", there.met, row->strange);
	ruleset_done(&ruleset);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_tree, tree_rows);
	return suite_run(&suite, "tree");
}
