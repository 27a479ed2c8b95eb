/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ruleset_build owns the rules that bindings become, and the tree of chains that they stand in. It
 * must not know what is in the kernel.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "natmgr/ruleset.h"

#define PREROUTING  CHAIN_PREFIX "PREROUTING"
#define OUTPUT      CHAIN_PREFIX "OUTPUT"
#define POSTROUTING CHAIN_PREFIX "POSTROUTING"
#define HAIRPIN     CHAIN_PREFIX "HAIRPIN"

/*
 * So many addresses stand in one chain; more are spread over one for each value of the next bits.
 * With four branches a packet meets the fewest rules (the more branches, the more of them it passes
 * by); chains that are shorter yet would cost more memory than they save rules.
 */
#define LINEAR     16
#define LEVEL_BITS 2

/* --- rules -------------------------------------------------------------------------------- */

static struct ip4_prefix host(uint32_t ip)
{
	return (struct ip4_prefix){ .addr = ip, .len = 32 };
}

/*
 * -s INNER -o DEVICE -j SNAT --to-source PUBLIC; `out` must be shorter than IFNAMSIZ. Always with
 * -o: with bridge-nf-call-iptables=1 bridged frames pass here as well.
 */
static struct rule snat(struct ip4_prefix source, const char *out, uint32_t to)
{
	struct rule rule = { .source = source, .action = RULE_SNAT, .to = to };

	snprintf(rule.out, sizeof(rule.out), "%s", out);
	return rule;
}

/* Whose connections leave with which address. */
struct source {
	uint32_t inner, address;
};

static int compare_sources(const void *a, const void *b)
{
	const struct source *sa = a, *sb = b;

	return sa->inner < sb->inner ? -1 : sa->inner > sb->inner;
}

static struct source *collect_sources(const struct desired *desired, size_t *ret_count)
{
	struct source *sources = xcalloc(desired->count + desired->port_count, sizeof(*sources));
	size_t count = 0;

	for (size_t i = 0; i < desired->count; i++) {
		if (desired->map[i].is_source)
			sources[count++] = (struct source){ desired->map[i].inner,
				desired->map[i].address };
	}
	for (size_t i = 0; i < desired->port_count; i++) {
		if (desired->ports[i].is_source)
			sources[count++] = (struct source){ desired->ports[i].inner,
				desired->ports[i].address };
	}
	/* in the order of the inner addresses, as they are matched */
	qsort(sources, count, sizeof(*sources), compare_sources);
	*ret_count = count;
	return sources;
}

/* Rules that begin with the address that they are for, in ascending order of it. */
struct rule_list {
	struct rule *rules;
	uint32_t *keys; /* of each rule */
	size_t count, cap;
};

static void add_rule(struct rule_list *list, uint32_t key, const struct rule *rule)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 16;
		list->rules = xrealloc(list->rules, list->cap, sizeof(*list->rules));
		list->keys = xrealloc(list->keys, list->cap, sizeof(*list->keys));
	}
	list->keys[list->count] = key;
	list->rules[list->count++] = *rule;
}

static void rule_list_done(struct rule_list *list)
{
	free(list->rules);
	free(list->keys);
}

static void list_snat(const struct desired *desired, const char *out, struct rule_list *list)
{
	struct rule rule = snat(host(0), out, 0);
	struct source *sources;
	size_t count;

	sources = collect_sources(desired, &count);
	for (size_t i = 0; i < count; i++) {
		rule.source.addr = sources[i].inner;
		rule.to = sources[i].address;
		add_rule(list, sources[i].inner, &rule);
	}
	free(sources);
}

static struct rule dnat_port(const struct port_mapping *port)
{
	return (struct rule){ .destination = host(port->address),
		.protocol = port->protocol,
		.first = port->first,
		.last = port->last,
		.action = RULE_DNAT,
		.to = port->inner,
		.to_port = port->to == port->first ? 0 : port->to };
}

/* An address has either a rule for all of it or rules for some of its ports. */
static void list_dnat(const struct desired *desired, struct rule_list *list)
{
	size_t p = 0;

	for (size_t i = 0; i < desired->count; i++) {
		const struct mapping *mapping = &desired->map[i];
		struct rule rule = { .destination = host(mapping->address),
			.action = RULE_DNAT,
			.to = mapping->inner };

		if (mapping->inner)
			add_rule(list, mapping->address, &rule);
		for (; p < desired->port_count && desired->ports[p].address <= mapping->address;
			p++) {
			rule = dnat_port(&desired->ports[p]);
			add_rule(list, desired->ports[p].address, &rule);
		}
	}
}

/* --- the tree ----------------------------------------------------------------------------- */

struct tree {
	struct ruleset *ruleset;
	const struct rule_list *list;
	const char *name; /* chains are named after it and their prefix */
	bool by_source;
};

static size_t count_keys(const struct rule_list *list, size_t first, size_t end)
{
	size_t count = 0;

	for (size_t i = first; i < end; i++)
		count += i == first || list->keys[i] != list->keys[i - 1];
	return count;
}

/* The shortest prefix, in whole levels, that tells the first from the last; they differ. */
static struct ip4_prefix next_level(const struct rule_list *list, size_t first, size_t end)
{
	uint32_t differ = list->keys[first] ^ list->keys[end - 1];
	unsigned common = (unsigned)__builtin_clz(differ);

	return (struct ip4_prefix){ .len = (uint8_t)((common / LEVEL_BITS + 1) * LEVEL_BITS) };
}

static void add_rules(const struct tree *tree, const char *name, size_t first, size_t end)
{
	struct chain *chain = ruleset_find_chain(tree->ruleset, name);

	for (size_t i = first; i < end; i++)
		chain_add_rule(chain, &tree->list->rules[i]);
}

static void grow(const struct tree *tree, const char *chain, size_t first, size_t end);

/* The rules of one prefix: as they are where it is one address, else in a chain of their own. */
static void grow_branch(const struct tree *tree, const char *chain, struct ip4_prefix prefix,
	size_t first, size_t end)
{
	struct rule rule = { .action = RULE_JUMP };
	char text[IP4_PREFIX_STRLEN];

	if (count_keys(tree->list, first, end) == 1) {
		add_rules(tree, chain, first, end);
		return;
	}
	if (tree->by_source)
		rule.source = prefix;
	else
		rule.destination = prefix;
	snprintf(rule.jump, sizeof(rule.jump), "%s%s-%s", CHAIN_PREFIX, tree->name,
		ip4_prefix_format(&prefix, text));
	chain_add_rule(ruleset_find_chain(tree->ruleset, chain), &rule);
	/* two chains may lead to the same one */
	if (ruleset_find_chain(tree->ruleset, rule.jump))
		return;
	ruleset_add_chain(tree->ruleset, rule.jump, "");
	grow(tree, rule.jump, first, end);
}

static void grow(const struct tree *tree, const char *chain, size_t first, size_t end)
{
	const struct rule_list *list = tree->list;
	struct ip4_prefix prefix;

	if (count_keys(list, first, end) <= LINEAR) {
		add_rules(tree, chain, first, end);
		return;
	}
	prefix = next_level(list, first, end);
	for (size_t i = first, next; i < end; i = next) {
		prefix.addr = list->keys[i];
		prefix.addr = ip4_prefix_network(&prefix);
		for (next = i; next < end && ip4_prefix_contains(&prefix, list->keys[next]);)
			next++;
		grow_branch(tree, chain, prefix, i, next);
	}
}

/* --- all of it ---------------------------------------------------------------------------- */

static void build_dnat(struct ruleset *ruleset, const struct desired *desired)
{
	struct rule_list list = { 0 };
	const struct tree tree = { .ruleset = ruleset, .list = &list, .name = "D" };

	list_dnat(desired, &list);
	ruleset_add_chain(ruleset, PREROUTING, "PREROUTING")->jumps = 1;
	grow(&tree, PREROUTING, 0, list.count);
	ruleset_add_chain(ruleset, OUTPUT, "OUTPUT")->jumps = 1;
	grow(&tree, OUTPUT, 0, list.count);
	rule_list_done(&list);
}

static void grow_snat(struct ruleset *ruleset, const struct desired *desired, const char *out,
	const char *root, const char *name)
{
	struct rule_list list = { 0 };
	const struct tree tree = {
		.ruleset = ruleset, .list = &list, .name = name, .by_source = true
	};

	list_snat(desired, out, &list);
	grow(&tree, root, 0, list.count);
	rule_list_done(&list);
}

/* Back in where it came from: the callee must answer to us, not to its neighbour. */
static void build_hairpin(struct ruleset *ruleset, const struct desired *desired,
	const struct ruleset_settings *settings)
{
	struct ip4_prefix network = { ip4_prefix_network(&settings->inner), settings->inner.len };
	struct rule rule = { .only_dnatted = true, .action = RULE_JUMP, .jump = HAIRPIN };

	snprintf(rule.out, sizeof(rule.out), "%s", settings->bridge);
	chain_add_rule(ruleset_find_chain(ruleset, POSTROUTING), &rule);
	ruleset_add_chain(ruleset, HAIRPIN, "");
	grow_snat(ruleset, desired, settings->bridge, HAIRPIN, "H");
	/* callers that have no public address of their own */
	rule = snat(network, settings->bridge, settings->inner.addr);
	chain_add_rule(ruleset_find_chain(ruleset, HAIRPIN), &rule);
}

static void build_snat(struct ruleset *ruleset, const struct desired *desired,
	const struct ruleset_settings *settings)
{
	ruleset_add_chain(ruleset, POSTROUTING, "POSTROUTING")->jumps = 1;
	/* first, or neighbours would go through the whole tree of the others */
	if (settings->hairpin && desired->count)
		build_hairpin(ruleset, desired, settings);
	grow_snat(ruleset, desired, settings->outer, POSTROUTING, "S");
}

void ruleset_build(const struct desired *desired, const struct ruleset_settings *settings,
	struct ruleset *ret_ruleset)
{
	*ret_ruleset = (struct ruleset){ 0 };
	build_dnat(ret_ruleset, desired);
	build_snat(ret_ruleset, desired, settings);
}

void ruleset_empty(struct ruleset *ret_ruleset)
{
	*ret_ruleset = (struct ruleset){ 0 };
}
