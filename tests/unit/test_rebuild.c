/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bindings from the rules that are left where lines of the state file are lost; rules of our chains
 * that no bindings of ours make are no reason to give anybody anything.
 */
#include "tests/unit/fixture.h"

#include <netinet/in.h>

#include "natmgr/binding_file.h"
#include "natmgr/rebuild.h"

#define P(n)  IP4(20, 251, 48, n) /* the pool is P(99) to P(110) */
#define VM(n) IP4(10, 77, 0, n)

#define DNAT(address, vm)                                                     \
	{                                                                     \
		.destination = { address, 32 }, .action = RULE_DNAT, .to = vm \
	}
#define PORTS(address, proto, from, until, vm, port)                                             \
	{                                                                                        \
		.destination = { address, 32 }, .protocol = proto, .first = from, .last = until, \
		.action = RULE_DNAT, .to = vm, .to_port = port                                   \
	}
#define SNAT(vm, address)                                                               \
	{                                                                               \
		.source = { vm, 32 }, .out = "eth0", .action = RULE_SNAT, .to = address \
	}

#define MAC                   "02:00:00:00:00:0"
#define BIND(host, vm, label) "bind 20.251.48." host " vm-00" vm " " MAC vm " eth0:" label "\n"

static const struct rebuild_row {
	const char *sentence;
	struct rule rules
		[4]; /* of PREROUTING, OUTPUT and POSTROUTING alike: what is no DNAT or SNAT says nothing */
	const char *file;  /* without its head, and MACs */
	const char *lines; /* that are left of the file, without its head */
} rows[] = {
	{ "rebuild: nothing", { { .action = RULE_OTHER } }, "" },
	{ "rebuild: the patent's two rules", { DNAT(P(99), VM(11)), SNAT(VM(11), P(99)) },
		"bind 20.251.48.99 vm-001 eth0:1\n" },
	{ "rebuild: the source comes first, whatever the order of the rules",
		{ DNAT(P(99), VM(11)), DNAT(P(100), VM(11)), SNAT(VM(11), P(100)) },
		"bind 20.251.48.100 vm-001 eth0:1\nbind 20.251.48.99 vm-001 eth0:2\n" },
	{ "rebuild: nobody of the plan has that address", { DNAT(P(99), VM(77)) }, "" },
	{ "rebuild: not an address of the pool", { DNAT(P(98), VM(11)) }, "" },
	{ "rebuild: a network is no address",
		{ { .destination = { P(99), 31 }, .action = RULE_DNAT, .to = VM(11) } }, "" },
	{ "rebuild: two VMs want one address, the first has it",
		{ DNAT(P(99), VM(11)), DNAT(P(99), VM(12)) }, "bind 20.251.48.99 vm-001 eth0:1\n" },
	{ "rebuild: SNAT alone binds nothing", { SNAT(VM(11), P(99)) }, "" },
	{ "rebuild: SNAT of another interface makes no source",
		{ DNAT(P(99), VM(11)), DNAT(P(100), VM(11)),
			{ .source = { VM(11), 32 },
				.out = "eth1",
				.action = RULE_SNAT,
				.to = P(100) } },
		"bind 20.251.48.99 vm-001 eth0:1\nbind 20.251.48.100 vm-001 eth0:2\n" },
	{ "rebuild: a forward", { PORTS(P(103), IPPROTO_TCP, 80, 80, VM(11), 8080) },
		"forward 20.251.48.103:80/tcp vm-001 8080 eth0:1 -\n" },
	{ "rebuild: a forward to the same ports",
		{ PORTS(P(103), IPPROTO_UDP, 5000, 5010, VM(11), 0) },
		"forward 20.251.48.103:5000-5010/udp vm-001 5000 eth0:1 -\n" },
	{ "rebuild: ports that run backwards", { PORTS(P(103), IPPROTO_TCP, 90, 80, VM(11), 0) },
		"" },
	{ "rebuild: port 0", { PORTS(P(103), IPPROTO_TCP, 0, 0, VM(11), 0) }, "" },
	{ "rebuild: ports that end behind 65535 where they go",
		{ PORTS(P(103), IPPROTO_TCP, 80, 90, VM(11), 65530) }, "" },
	{ "rebuild: neither TCP nor UDP", { PORTS(P(103), IPPROTO_ICMP, 80, 80, VM(11), 80) }, "" },
	{ "rebuild: an address is bound or shared, not both",
		{ DNAT(P(99), VM(11)), PORTS(P(99), IPPROTO_TCP, 80, 80, VM(12), 80) },
		"bind 20.251.48.99 vm-001 eth0:1\n" },
	{ "rebuild: a line says it already",
		{ DNAT(P(99), VM(11)), SNAT(VM(11), P(99)),
			PORTS(P(103), IPPROTO_TCP, 80, 80, VM(12), 8080) },
		"bind 20.251.48.99 vm-001 eth0:7\nforward 20.251.48.103:80/tcp vm-002 8080 eth0:3 -\n",
		BIND("99", "1", "7") "forward 20.251.48.103:80/tcp vm-002 " MAC
				     "2 8080 eth0:3 -\n" },
	{ "rebuild: the source's line is lost: it comes first again",
		{ DNAT(P(99), VM(11)), DNAT(P(100), VM(11)), DNAT(P(101), VM(11)),
			SNAT(VM(11), P(101)) },
		"bind 20.251.48.101 vm-001 eth0:2\nbind 20.251.48.100 vm-001 eth0:3\n"
		"bind 20.251.48.99 vm-001 eth0:1\n",
		BIND("100", "1", "3") BIND("99", "1", "1") },
	{ "rebuild: another line is lost: the source stays the first",
		{ DNAT(P(99), VM(11)), DNAT(P(100), VM(11)), SNAT(VM(11), P(100)) },
		"bind 20.251.48.100 vm-001 eth0:2\nbind 20.251.48.99 vm-001 eth0:1\n",
		BIND("100", "1", "2") },
	{ "rebuild: an isolated VM and what cools down have no rules, but lines",
		{ DNAT(P(99), VM(11)), SNAT(VM(11), P(99)) },
		"bind 20.251.48.99 vm-001 eth0:2\nbind 20.251.48.100 vm-002 eth0:1\n"
		"cooldown 20.251.48.101 vm-002 1700000060\n",
		BIND("100", "2", "1") "cooldown 20.251.48.101 vm-002 " MAC "2 1700000060\n" },
	{ "rebuild: a line knows better than a rule whose the address is now",
		{ DNAT(P(99), VM(11)), SNAT(VM(11), P(99)) }, "bind 20.251.48.99 vm-002 eth0:1\n",
		BIND("99", "2", "1") },
	{ "rebuild: a rule's ports beside a line's have its label",
		{ PORTS(P(103), IPPROTO_TCP, 80, 80, VM(12), 8080), DNAT(P(103), VM(12)) },
		"forward 20.251.48.103:90/tcp vm-001 90 eth0:3 -\n"
		"forward 20.251.48.103:80/tcp vm-002 8080 eth0:3 -\n",
		"forward 20.251.48.103:90/tcp vm-001 " MAC "1 90 eth0:3 -\n" },
};

/* The file without comments, and each line without the third word: a MAC. */
static char *plain_text(const char *text)
{
	char *copy = strdup(text), *rest = NULL, *plain;
	size_t len;
	FILE *out = open_memstream(&plain, &len);

	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *words = NULL, *word = strtok_r(line, " ", &words);

		if (*word == '#')
			continue;
		for (unsigned i = 0; word; i++, word = strtok_r(NULL, " ", &words)) {
			if (i != 3)
				fprintf(out, "%s%s", i ? " " : "", word);
		}
		fputc('\n', out);
	}
	fclose(out);
	free(copy);
	return plain;
}

static void test_rebuild(void **state)
{
	const struct rebuild_row *row = *state;
	struct plan *plan = plan_of("02:00:00:00:00:01,vm-001,10.77.0.11\n"
				    "02:00:00:00:00:02,vm-002,10.77.0.12\n");
	struct config *config = config_of("");
	struct binding_table table = { 0 };
	struct problems problems = { 0 };
	struct ruleset have = { 0 };
	size_t len, count, lines;
	char *text, *plain;

	assert_true(asprintf(&text, "# eipd bindings, version 1\n%s",
			    row->lines ? row->lines : "") > 0);
	assert_int_equal(binding_parse(text, "bindings", &table, &problems), 0);
	free(text);
	lines = table.count + table.forward_count;
	for (unsigned c = 0; c < 3; c++) {
		static const char *const names[] = { "PREROUTING", "OUTPUT", "POSTROUTING" };
		char name[CHAIN_NAME_MAX + 1];
		struct chain *chain;

		snprintf(name, sizeof(name), CHAIN_PREFIX "%s", names[c]);
		chain = ruleset_add_chain(&have, name, names[c]);
		for (size_t i = 0; i < 4; i++) {
			const struct rule *rule = &row->rules[i];

			/* where the kernel lets it stand */
			if ((rule->action == RULE_SNAT) == (c == 2) &&
				(rule->to || rule->action == RULE_OTHER))
				chain_add_rule(chain, rule);
		}
	}
	count = rebuild_bindings(&have, config, plan, 1700000000, &table);
	assert_int_equal(lines + count, table.count + table.forward_count);
	text = binding_format(&table, "eth0", 0, &len);
	plain = plain_text(text);
	assert_string_equal(plain, row->file);
	free(plain);
	free(text);
	ruleset_done(&have);
	binding_table_done(&table);
	config_free(config);
	plan_free(plan);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_rebuild, rows);
	return suite_run(&suite, "rebuild");
}
