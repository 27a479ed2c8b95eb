/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ruleset owns the rules that bindings become, and how two sets of rules differ. It must not know
 * how a kernel stores them.
 */
#include "natmgr/ruleset.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

#define PREROUTING  CHAIN_PREFIX "PREROUTING"
#define OUTPUT      CHAIN_PREFIX "OUTPUT"
#define POSTROUTING CHAIN_PREFIX "POSTROUTING"

/* --- sets --------------------------------------------------------------------------------- */

struct chain *ruleset_add_chain(struct ruleset *ruleset, const char *name, const char *builtin)
{
	struct chain *chain;

	ruleset->chains = xrealloc(ruleset->chains, ruleset->count + 1, sizeof(*ruleset->chains));
	chain = &ruleset->chains[ruleset->count++];
	*chain = (struct chain){ .exists = true };
	snprintf(chain->name, sizeof(chain->name), "%s", name);
	snprintf(chain->builtin, sizeof(chain->builtin), "%s", builtin);
	return chain;
}

struct chain *ruleset_find_chain(const struct ruleset *ruleset, const char *name)
{
	for (size_t i = 0; i < ruleset->count; i++) {
		if (!strcmp(ruleset->chains[i].name, name))
			return &ruleset->chains[i];
	}
	return NULL;
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
		a->to_port == b->to_port;
}

char *rule_format(const struct rule *rule)
{
	char source[IP4_PREFIX_STRLEN], destination[IP4_PREFIX_STRLEN], to[IP4_STRLEN];
	const char *protocol = rule->protocol == IPPROTO_UDP ? "udp" : "tcp";
	char ports[48] = "", to_port[8] = "";

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
	return xasprintf("%s%s%s%s%s%s%s%s -j %s %s%s", rule->source.len ? " -s " : "",
		rule->source.len ? ip4_prefix_format(&rule->source, source) : "",
		rule->destination.len ? " -d " : "",
		rule->destination.len ? ip4_prefix_format(&rule->destination, destination) : "",
		*rule->out ? " -o " : "", rule->out, ports,
		rule->only_dnatted ? " -m conntrack --ctstate DNAT" : "",
		rule->action == RULE_DNAT ? "DNAT --to-destination" : "SNAT --to-source",
		ip4_format(rule->to, to), to_port);
}

/* --- what is wanted ----------------------------------------------------------------------- */

static struct ip4_prefix host(uint32_t ip)
{
	return (struct ip4_prefix){ .addr = ip, .len = 32 };
}

/* -s INNER -o DEVICE -j SNAT --to-source PUBLIC; `out` must be shorter than IFNAMSIZ */
static struct rule snat(struct ip4_prefix source, const char *out, bool only_dnatted, uint32_t to)
{
	struct rule rule = {
		.source = source, .only_dnatted = only_dnatted, .action = RULE_SNAT, .to = to
	};

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

static void build_postrouting(struct chain *chain, const struct desired *desired,
	const struct ruleset_settings *settings)
{
	struct ip4_prefix network = { ip4_prefix_network(&settings->inner), settings->inner.len };
	struct source *sources;
	struct rule rule;
	size_t count;

	sources = collect_sources(desired, &count);
	for (size_t i = 0; i < count; i++) {
		/* always with -o: with bridge-nf-call-iptables=1 bridged frames pass here as well */
		rule = snat(host(sources[i].inner), settings->outer, false, sources[i].address);
		chain_add_rule(chain, &rule);
		if (!settings->hairpin)
			continue;
		/* back in where it came from: the callee must answer to us, not to its neighbour */
		rule = snat(host(sources[i].inner), settings->bridge, true, sources[i].address);
		chain_add_rule(chain, &rule);
	}
	if (settings->hairpin && desired->count) {
		/* callers that have no public address of their own */
		rule = snat(network, settings->bridge, true, settings->inner.addr);
		chain_add_rule(chain, &rule);
	}
	free(sources);
}

static void build_dnat(struct chain *chain, const struct desired *desired)
{
	for (size_t i = 0; i < desired->count; i++) {
		struct rule rule = { .destination = host(desired->map[i].address),
			.action = RULE_DNAT,
			.to = desired->map[i].inner };

		/* of a shared address, only its ports go anywhere */
		if (desired->map[i].inner)
			chain_add_rule(chain, &rule);
	}
	for (size_t i = 0; i < desired->port_count; i++) {
		const struct port_mapping *port = &desired->ports[i];
		struct rule rule = { .destination = host(port->address),
			.protocol = port->protocol,
			.first = port->first,
			.last = port->last,
			.action = RULE_DNAT,
			.to = port->inner,
			.to_port = port->to == port->first ? 0 : port->to };

		chain_add_rule(chain, &rule);
	}
}

void ruleset_build(const struct desired *desired, const struct ruleset_settings *settings,
	struct ruleset *ret_ruleset)
{
	*ret_ruleset = (struct ruleset){ 0 };
	ruleset_add_chain(ret_ruleset, PREROUTING, "PREROUTING")->jumps = 1;
	build_dnat(ruleset_find_chain(ret_ruleset, PREROUTING), desired);
	ruleset_add_chain(ret_ruleset, OUTPUT, "OUTPUT")->jumps = 1;
	build_dnat(ruleset_find_chain(ret_ruleset, OUTPUT), desired);
	ruleset_add_chain(ret_ruleset, POSTROUTING, "POSTROUTING")->jumps = 1;
	build_postrouting(ruleset_find_chain(ret_ruleset, POSTROUTING), desired, settings);
}

void ruleset_empty(struct ruleset *ret_ruleset)
{
	*ret_ruleset = (struct ruleset){ 0 };
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
	return strcmp(a->out, b->out);
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

	for (size_t i = 0; i < want->count; i++) {
		const struct chain *wanted = &want->chains[i];
		const struct chain *there = ruleset_find_chain(have, wanted->name);

		if (!there || !there->exists)
			add_edit(&list, EDIT_CHAIN_NEW, wanted, 0, NULL);
		diff_rules(&list, there ? there : &nothing, wanted);
		/* when all is in it, packets may come */
		if (wanted->jumps && (!there || !there->jumps))
			add_edit(&list, EDIT_JUMP_NEW, wanted, 0, NULL);
		for (unsigned n = wanted->jumps; there && n < there->jumps; n++)
			add_edit(&list, EDIT_JUMP_DELETE, wanted, 0, NULL);
	}
	delete_others(&list, have, want);
	*ret_edits = list.edits;
	return list.count;
}
