/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may have which public address, and what becomes of it. */
#include "tests/unit/fixture.h"

#include <errno.h>
#include <netinet/in.h>

#include "natmgr/binding.h"
#include "natmgr/binding_file.h"
#include "natmgr/desired.h"

#define P(n) IP4(20, 251, 48, n) /* the pool is P(99) to P(110) */
#define PLAN                                    \
	"02:00:00:00:00:01,vm-001,10.77.0.11\n" \
	"02:00:00:00:00:02,vm-002,10.77.0.12\n" \
	"02:00:00:00:00:03,vm-003,10.77.0.13\n"

/* "20.251.48.99=vm-001:1 …" in the order of the table, and "20.251.48.99~vm-001@160" that cool */
static char *dump(const struct binding_table *table)
{
	char ip[IP4_STRLEN], *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < table->count; i++)
		fprintf(out, "%s%s=%s:%u", i ? " " : "", ip4_format(table->list[i].address, ip),
			table->list[i].vm, table->list[i].label);
	for (size_t i = 0; i < table->cooling_count; i++)
		fprintf(out, "%s%s~%s@%lld", ftell(out) ? " " : "",
			ip4_format(table->cooling[i].address, ip), table->cooling[i].vm,
			(long long)table->cooling[i].until);
	fclose(out);
	return text;
}

enum operation { END, BIND, UNBIND, MOVE, CHOOSE, COOL };

struct step {
	enum operation operation;
	const char *vm;
	uint32_t address;
	time_t now;
	int result;        /* of CHOOSE: the last octet; -1: none */
	const char *error; /* part of it */
};

static bool is_at_least(const void *ctx, uint32_t address)
{
	return address >= *(const uint32_t *)ctx;
}

static int run(struct binding_table *table, const struct config *config, const struct plan *plan,
	const struct step *step, char **ret_error)
{
	const struct address_filter filter = { is_at_least, &step->address };
	uint32_t address;

	switch (step->operation) {
	case BIND:
		return binding_bind(table, config, plan, step->vm, step->address, step->now,
			ret_error);
	case UNBIND:
		return binding_unbind(table, config, step->address, step->now, ret_error);
	case MOVE:
		return binding_move(table, config, plan, step->address, step->vm, step->now,
			ret_error);
	case CHOOSE:
		address = binding_choose(table, config, plan_by_name(plan, step->vm), step->now,
			&filter);
		return address ? (int)(address & 255) : -1;
	case COOL:
		return binding_cool(table, config, step->now);
	case END:
		break;
	}
	abort();
}

static const struct binding_row {
	const char *sentence, *nat; /* lines of [nat] */
	struct step steps[16];
	const char *dump;
} binding_rows[] = {
	{ "bind", "", { { BIND, "vm-001", P(99), 0, 1 } }, "20.251.48.99=vm-001:1" },
	{ "bind: so already is done already", "",
		{ { BIND, "vm-001", P(99), 0, 1 }, { BIND, "vm-001", P(99), 0, 0 } },
		"20.251.48.99=vm-001:1" },
	{ "bind: the case of a name means nothing, the plan's is kept", "",
		{ { BIND, "VM-001", P(99), 0, 1 }, { BIND, "vm-001", P(99), 0, 0 } },
		"20.251.48.99=vm-001:1" },
	{ "bind: bound to another VM", "",
		{ { BIND, "vm-001", P(99), 0, 1 }, { BIND, "vm-002", P(99), 0, -EBUSY, "vm-001" } },
		"20.251.48.99=vm-001:1" },
	{ "bind: outside the pool", "", { { BIND, "vm-001", P(98), 0, -ERANGE, "20.251.48.98" } },
		"" },
	{ "bind: the ends of the pool", "",
		{ { BIND, "vm-001", P(99), 0, 1 }, { BIND, "vm-001", P(110), 0, 1 },
			{ BIND, "vm-001", P(111), 0, -ERANGE } },
		"20.251.48.99=vm-001:1 20.251.48.110=vm-001:2" },
	{ "bind: no such VM", "", { { BIND, "vm-999", P(99), 0, -ENOENT, "vm-999" } }, "" },
	{ "bind: a VM may have several", "",
		{ { BIND, "vm-001", P(100), 0, 1 }, { BIND, "vm-001", P(99), 0, 1 } },
		"20.251.48.100=vm-001:1 20.251.48.99=vm-001:2" },
	{ "labels: the lowest free one", "",
		{ { BIND, "vm-001", P(99), 0, 1 }, { BIND, "vm-002", P(100), 0, 1 },
			{ BIND, "vm-003", P(101), 0, 1 }, { UNBIND, NULL, P(100), 0, 1 },
			{ BIND, "vm-001", P(102), 0, 1 }, { BIND, "vm-001", P(103), 0, 1 } },
		"20.251.48.99=vm-001:1 20.251.48.101=vm-003:3 "
		"20.251.48.102=vm-001:2 20.251.48.103=vm-001:4" },
	{ "unbind", "", { { BIND, "vm-001", P(99), 0, 1 }, { UNBIND, NULL, P(99), 0, 1 } }, "" },
	{ "unbind: free already", "", { { UNBIND, NULL, P(99), 0, 0 } }, "" },
	{ "unbind: neither bound nor of the pool", "",
		{ { UNBIND, NULL, P(98), 0, -ERANGE, "20.251.48.98" } }, "" },
	{ "move: the label stays with the address", "",
		{ { BIND, "vm-001", P(99), 0, 1 }, { BIND, "vm-001", P(100), 0, 1 },
			{ MOVE, "vm-002", P(99), 0, 1 } },
		"20.251.48.100=vm-001:2 20.251.48.99=vm-002:1" },
	{ "move: there already", "",
		{ { BIND, "vm-001", P(99), 0, 1 }, { MOVE, "vm-001", P(99), 0, 0 } },
		"20.251.48.99=vm-001:1" },
	{ "move: of a free address is a bind", "", { { MOVE, "vm-001", P(99), 0, 1 } },
		"20.251.48.99=vm-001:1" },
	{ "move: to no such VM, and all stays", "",
		{ { BIND, "vm-001", P(99), 0, 1 },
			{ MOVE, "vm-999", P(99), 0, -ENOENT, "vm-999" } },
		"20.251.48.99=vm-001:1" },
	{ "move: of an address outside the pool", "", { { MOVE, "vm-001", P(98), 0, -ERANGE } },
		"" },
	{ "move: what comes does not become the source of a VM that has one", "",
		{ { BIND, "vm-001", P(99), 0, 1 }, { BIND, "vm-002", P(100), 0, 1 },
			{ MOVE, "vm-002", P(99), 0, 1 } },
		"20.251.48.100=vm-002:2 20.251.48.99=vm-002:1" },
	{ "cooldown: none is configured", "",
		{ { BIND, "vm-001", P(99), 100, 1 }, { UNBIND, NULL, P(99), 100, 1 },
			{ BIND, "vm-002", P(99), 100, 1 } },
		"20.251.48.99=vm-002:1" },
	{ "cooldown: another VM has to wait", "cooldown = 60\n",
		{ { BIND, "vm-001", P(99), 100, 1 }, { UNBIND, NULL, P(99), 100, 1 },
			{ BIND, "vm-002", P(99), 159, -EBUSY, "vm-001" } },
		"20.251.48.99~vm-001@160" },
	{ "cooldown: until it is over", "cooldown = 60\n",
		{ { BIND, "vm-001", P(99), 100, 1 }, { UNBIND, NULL, P(99), 100, 1 },
			{ BIND, "vm-002", P(99), 160, 1 } },
		"20.251.48.99=vm-002:1" },
	{ "cooldown: the VM that had it does not wait", "cooldown = 60\n",
		{ { BIND, "vm-001", P(99), 100, 1 }, { UNBIND, NULL, P(99), 100, 1 },
			{ BIND, "vm-001", P(99), 101, 1 } },
		"20.251.48.99=vm-001:1" },
	{ "cooldown: a move waits for nothing", "cooldown = 60\n",
		{ { BIND, "vm-001", P(99), 100, 1 }, { MOVE, "vm-002", P(99), 100, 1 } },
		"20.251.48.99=vm-002:1" },
	{ "cooldown: a move does not get round it", "cooldown = 60\n",
		{ { BIND, "vm-001", P(99), 100, 1 }, { UNBIND, NULL, P(99), 100, 1 },
			{ MOVE, "vm-002", P(99), 101, -EBUSY } },
		"20.251.48.99~vm-001@160" },
	{ "cooldown: the last one counts", "cooldown = 60\n",
		{ { BIND, "vm-001", P(99), 100, 1 }, { UNBIND, NULL, P(99), 100, 1 },
			{ BIND, "vm-001", P(99), 110, 1 }, { UNBIND, NULL, P(99), 120, 1 },
			{ BIND, "vm-002", P(99), 170, -EBUSY } },
		"20.251.48.99~vm-001@180" },
	{ "cooldown: is forgotten when it is over", "cooldown = 60\n",
		{ { BIND, "vm-001", P(99), 100, 1 }, { BIND, "vm-001", P(100), 100, 1 },
			{ UNBIND, NULL, P(99), 100, 1 }, { UNBIND, NULL, P(100), 130, 1 },
			{ COOL, NULL, 0, 159, 0 }, { COOL, NULL, 0, 160, 1 },
			{ COOL, NULL, 0, 160, 0 } },
		"20.251.48.100~vm-001@190" },
	{ "choose: the first", "", { { CHOOSE, "vm-001", 0, 0, 99 } }, "" },
	{ "choose: the first that is free", "",
		{ { BIND, "vm-001", P(99), 0, 1 }, { BIND, "vm-001", P(101), 0, 1 },
			{ CHOOSE, "vm-001", 0, 0, 100 }, { CHOOSE, "vm-001", P(101), 0, 102 } },
		"20.251.48.99=vm-001:1 20.251.48.101=vm-001:2" },
	{ "choose: what the caller lets pass", "",
		{ { CHOOSE, "vm-001", P(110), 0, 110 }, { CHOOSE, "vm-001", P(111), 0, -1 },
			{ CHOOSE, "vm-001", UINT32_MAX, 0, -1 } },
		"" },
	{ "choose: not what cools down, but for the VM that had it", "cooldown = 60\n",
		{ { BIND, "vm-001", P(99), 100, 1 }, { UNBIND, NULL, P(99), 100, 1 },
			{ CHOOSE, "vm-002", 0, 101, 100 }, { CHOOSE, "vm-001", 0, 101, 99 },
			{ CHOOSE, "vm-002", 0, 160, 99 } },
		"20.251.48.99~vm-001@160" },
	{ "choose: what cools down for the VM rather than another", "cooldown = 60\n",
		{ { BIND, "vm-001", P(105), 100, 1 }, { UNBIND, NULL, P(105), 100, 1 },
			{ CHOOSE, "vm-001", 0, 101, 105 }, { CHOOSE, "vm-001", P(106), 101, 106 } },
		"20.251.48.105~vm-001@160" },
};

static struct config *config_with(const char *nat)
{
	struct config *config;
	char *text;

	assert_true(asprintf(&text, "[nat]\n%s", nat) > 0);
	config = config_of(text);
	free(text);
	return config;
}

static void test_binding(void **state)
{
	const struct binding_row *row = *state;
	struct config *config = config_with(row->nat);
	struct plan *plan = plan_of(PLAN);
	struct binding_table table = { 0 };
	char *text;

	for (size_t i = 0; i < COUNT(row->steps) && row->steps[i].operation != END; i++) {
		char *error = NULL, *before = dump(&table), *after;
		int result = run(&table, config, plan, &row->steps[i], &error);

		after = dump(&table);
		assert_int_equal(result, row->steps[i].result);
		if (row->steps[i].operation != CHOOSE && result < 0) {
			/* a refusal has its reason, and changes nothing */
			assert_non_null(error);
			assert_string_equal(before, after);
			if (row->steps[i].error)
				assert_non_null(strstr(error, row->steps[i].error));
		} else {
			assert_null(error);
			if (result == 0)
				assert_string_equal(before, after);
		}
		free(error);
		free(before);
		free(after);
	}
	text = dump(&table);
	assert_string_equal(text, row->dump);
	free(text);
	binding_table_done(&table);
	plan_free(plan);
	config_free(config);
}

static void test_choose_exhausted(void **state)
{
	struct config *config = config_with("");
	struct plan *plan = plan_of(PLAN);
	struct binding_table table = { 0 };
	char *error = NULL;

	(void)state;
	for (unsigned n = 99; n <= 110; n++) {
		assert_int_equal(binding_choose(&table, config, NULL, 0, NULL), P(n));
		assert_int_equal(binding_bind(&table, config, plan, "vm-001", P(n), 0, &error), 1);
	}
	assert_int_equal(binding_choose(&table, config, NULL, 0, NULL), 0);
	binding_table_done(&table);
	plan_free(plan);
	config_free(config);
}

static void test_choose_across_ranges(void **state)
{
	struct config *config = config_of("pool = 20.0.0.9, 20.0.0.1-20.0.0.2, 20.0.0.5\n");
	struct plan *plan = plan_of(PLAN);
	static const unsigned expected[] = { 1, 2, 5, 9 };
	struct binding_table table = { 0 };
	char *error = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(expected); i++) {
		uint32_t address = binding_choose(&table, config, NULL, 0, NULL);

		assert_int_equal(address, IP4(20, 0, 0, expected[i]));
		assert_int_equal(binding_bind(&table, config, plan, "vm-001", address, 0, &error),
			1);
	}
	assert_int_equal(binding_choose(&table, config, NULL, 0, NULL), 0);
	binding_table_done(&table);
	plan_free(plan);
	config_free(config);
}

/* --- following the plan ------------------------------------------------------------------- */

static const struct follow_row {
	const char *sentence, *nat, *after;
	bool changed;
	const char *lost; /* addresses */
	const char *dump;
} follow_rows[] = {
	/* before: 99 and 100 are vm-001's, 101 is vm-002's; time is 100 */
	{ "follow: the same plan", "", PLAN, false, "",
		"20.251.48.99=vm-001:1 20.251.48.100=vm-001:2 20.251.48.101=vm-002:3" },
	{ "follow: others come", "", PLAN "02:00:00:00:00:04,vm-004,10.77.0.14\n", false, "",
		"20.251.48.99=vm-001:1 20.251.48.100=vm-001:2 20.251.48.101=vm-002:3" },
	{ "follow: another inner address is the same VM", "",
		"02:00:00:00:00:01,vm-001,10.77.0.51\n"
		"02:00:00:00:00:02,vm-002,10.77.0.12\n",
		false, "", "20.251.48.99=vm-001:1 20.251.48.100=vm-001:2 20.251.48.101=vm-002:3" },
	{ "follow: who leaves loses all", "", "02:00:00:00:00:02,vm-002,10.77.0.12\n", true,
		"20.251.48.99 20.251.48.100 ", "20.251.48.101=vm-002:3" },
	{ "follow: all leave", "", "", true, "20.251.48.99 20.251.48.100 20.251.48.101 ", "" },
	{ "follow: what was lost cools down", "cooldown = 60\n",
		"02:00:00:00:00:02,vm-002,10.77.0.12\n", true, "20.251.48.99 20.251.48.100 ",
		"20.251.48.101=vm-002:3 20.251.48.99~vm-001@160 20.251.48.100~vm-001@160" },
	{ "follow: a new name keeps its addresses", "",
		"02:00:00:00:00:01,web,10.77.0.11\n"
		"02:00:00:00:00:02,vm-002,10.77.0.12\n",
		true, "", "20.251.48.99=web:1 20.251.48.100=web:2 20.251.48.101=vm-002:3" },
	{ "follow: a new MAC under the old name keeps them (the VM was made anew)", "",
		"02:00:00:00:00:99,vm-001,10.77.0.11\n02:00:00:00:00:02,vm-002,10.77.0.12\n", true,
		"", "20.251.48.99=vm-001:1 20.251.48.100=vm-001:2 20.251.48.101=vm-002:3" },
	{ "follow: another name, MAC and IP is another VM", "",
		"02:00:00:00:00:99,web,10.77.0.11\n"
		"02:00:00:00:00:02,vm-002,10.77.0.12\n",
		true, "20.251.48.99 20.251.48.100 ", "20.251.48.101=vm-002:3" },
};

static void test_follow(void **state)
{
	const struct follow_row *row = *state;
	struct config *config = config_with(row->nat);
	struct plan *before = plan_of(PLAN), *after = plan_of(row->after);
	struct binding_table table = { 0 };
	struct binding *lost = NULL;
	char *error = NULL, *text, addresses[256] = "";
	size_t lost_count = 99;

	assert_int_equal(binding_bind(&table, config, before, "vm-001", P(99), 0, &error), 1);
	assert_int_equal(binding_bind(&table, config, before, "vm-001", P(100), 0, &error), 1);
	assert_int_equal(binding_bind(&table, config, before, "vm-002", P(101), 0, &error), 1);
	assert_int_equal(binding_follow(&table, config, after, 100, &lost, &lost_count),
		row->changed);
	for (size_t i = 0; i < lost_count; i++) {
		char ip[IP4_STRLEN];

		strcat(addresses, ip4_format(lost[i].address, ip));
		strcat(addresses, " ");
	}
	assert_string_equal(addresses, row->lost);
	text = dump(&table);
	assert_string_equal(text, row->dump);
	free(text);
	free(lost);
	/* once more changes nothing */
	assert_false(binding_follow(&table, config, after, 100, &lost, &lost_count));
	assert_int_equal(lost_count, 0);
	free(lost);
	binding_table_done(&table);
	plan_free(before);
	plan_free(after);
	config_free(config);
}

/* The MAC that is remembered is that of the newest plan: a rename may follow a new MAC. */
static void test_follow_twice(void **state)
{
	struct config *config = config_with("");
	struct plan *plans[] = { plan_of("02:00:00:00:00:01,a,10.77.0.11\n"),
		plan_of("02:00:00:00:00:09,a,10.77.0.11\n"),
		plan_of("02:00:00:00:00:09,b,10.77.0.11\n") };
	struct binding_table table = { 0 };
	struct binding *lost;
	char *error = NULL, *text;
	size_t count;

	(void)state;
	assert_int_equal(binding_bind(&table, config, plans[0], "a", P(99), 0, &error), 1);
	for (size_t i = 1; i < COUNT(plans); i++) {
		assert_true(binding_follow(&table, config, plans[i], 0, &lost, &count));
		assert_int_equal(count, 0);
		free(lost);
	}
	text = dump(&table);
	assert_string_equal(text, "20.251.48.99=b:1");
	free(text);
	binding_table_done(&table);
	for (size_t i = 0; i < COUNT(plans); i++)
		plan_free(plans[i]);
	config_free(config);
}

/* --- the state file ----------------------------------------------------------------------- */

static void test_format_and_parse(void **state)
{
	struct config *config = config_with("cooldown = 60\n");
	struct plan *plan = plan_of(PLAN);
	struct binding_table table = { 0 }, again = { 0 };
	struct problems problems = { 0 };
	char *error = NULL, *text, *before, *after;
	size_t len;

	(void)state;
	assert_int_equal(binding_bind(&table, config, plan, "vm-001", P(100), 0, &error), 1);
	assert_int_equal(binding_bind(&table, config, plan, "vm-001", P(99), 0, &error), 1);
	assert_int_equal(binding_bind(&table, config, plan, "vm-002", P(101), 0, &error), 1);
	assert_int_equal(binding_unbind(&table, config, P(100), 1700000000, &error), 1);
	text = binding_format(&table, "eth0", 0, &len);
	assert_int_equal(len, strlen(text));
	assert_non_null(strstr(text, "\nbind 20.251.48.99 vm-001 02:00:00:00:00:01 eth0:2\n"));
	assert_int_equal(binding_parse(text, "bindings", &again, &problems), 0);
	before = dump(&table);
	after = dump(&again);
	assert_string_equal(after, before);
	assert_int_equal(again.list[1].mac.byte[5], 2);
	free(before);
	free(after);
	/* the same text again: the order is the order of binding, which says what the source is */
	after = binding_format(&again, "eth0", 0, &len);
	assert_string_equal(after, text);
	free(after);
	/* by the clock of the file it is later */
	after = binding_format(&again, "eth0", 100, &len);
	assert_non_null(strstr(after, " 1700000160\n"));
	free(after);
	free(text);
	binding_table_done(&table);
	binding_table_done(&again);
	plan_free(plan);
	config_free(config);
}

static void test_format_empty(void **state)
{
	struct binding_table table = { 0 }, again = { 0 };
	struct problems problems = { 0 };
	size_t len;
	char *text = binding_format(&table, "eth0", 0, &len);

	(void)state;
	assert_int_equal(binding_parse(text, "bindings", &again, &problems), 0);
	assert_int_equal(again.count, 0);
	free(text);
	binding_table_done(&again);
}

#define HEAD         "# eipd bindings, version 1\n"
#define BIND_99      "bind 20.251.48.99 vm-001 02:00:00:00:00:01 eth0:1\n"
#define FORWARD_103  "forward 20.251.48.103:80-90/udp vm-002 02:00:00:00:00:02 80 eth0:2 source\n"
#define COOLDOWN_101 "cooldown 20.251.48.101 vm-002 02:00:00:00:00:02 1700000060\n"

static const struct damaged_row {
	const char *sentence, *text;
	unsigned line; /* the bad one */
	size_t kept;   /* good ones */
} damaged_rows[] = {
	{ "damaged: nothing", "", 1 },
	{ "damaged: no head", BIND_99, 1, 1 },
	{ "damaged: another version", "# eipd bindings, version 2\n" BIND_99, 1 },
	{ "damaged: another version that begins as ours", "# eipd bindings, version 10\n" BIND_99,
		1 },
	{ "damaged: the head cut off", "# eipd bindings, ver", 1 },
	{ "damaged: the last line cut off in the middle", HEAD BIND_99 "bind 20.251.48.100 vm-0", 3,
		1 },
	{ "damaged: the last line cut off before its newline",
		HEAD "bind 20.251.48.99 vm-001 02:00:00:00:00:01 eth0:1", 2 },
	{ "damaged: cut off in the label, so that it reads as another",
		HEAD "bind 20.251.48.99 vm-001 02:00:00:00:00:01 eth0:1", 2 },
	{ "damaged: a word too few", HEAD "bind 20.251.48.99 vm-001 02:00:00:00:00:01\n", 2 },
	{ "damaged: a word too many", HEAD "bind 20.251.48.99 vm-001 02:00:00:00:00:01 eth0:1 x\n",
		2 },
	{ "damaged: an unknown word", HEAD "bound 20.251.48.99 vm-001 02:00:00:00:00:01 eth0:1\n",
		2 },
	{ "damaged: no address", HEAD "bind 20.251.48 vm-001 02:00:00:00:00:01 eth0:1\n", 2 },
	{ "damaged: an address that is none of a host",
		HEAD "bind 0.0.0.0 vm-001 02:00:00:00:00:01 eth0:1\n", 2 },
	{ "damaged: no name", HEAD "bind 20.251.48.99 vm_001 02:00:00:00:00:01 eth0:1\n", 2 },
	{ "damaged: an empty name", HEAD "bind 20.251.48.99  02:00:00:00:00:01 eth0:1\n", 2 },
	{ "damaged: no MAC", HEAD "bind 20.251.48.99 vm-001 02:00:00:00:00 eth0:1\n", 2 },
	{ "damaged: no label", HEAD "bind 20.251.48.99 vm-001 02:00:00:00:00:01 eth0\n", 2 },
	{ "damaged: label 0", HEAD "bind 20.251.48.99 vm-001 02:00:00:00:00:01 eth0:0\n", 2 },
	{ "damaged: a label that is no number",
		HEAD "bind 20.251.48.99 vm-001 02:00:00:00:00:01 eth0:x\n", 2 },
	{ "damaged: a label beyond 32 bits",
		HEAD "bind 20.251.48.99 vm-001 02:00:00:00:00:01 eth0:4294967297\n", 2 },
	{ "damaged: an address twice",
		HEAD BIND_99 "bind 20.251.48.99 vm-002 02:00:00:00:00:02 eth0:2\n", 3, 1 },
	{ "damaged: a forward of an address that is bound",
		HEAD BIND_99 "forward 20.251.48.99:80/tcp vm-002 02:00:00:00:00:02 80 eth0:2 -\n",
		3, 1 },
	{ "damaged: a forward of an address that is bound, before it",
		HEAD "forward 20.251.48.99:80/tcp vm-002 02:00:00:00:00:02 80 eth0:2 -\n" BIND_99,
		3, 1 },
	{ "damaged: a forward twice",
		HEAD "forward 20.251.48.99:80/tcp vm-002 02:00:00:00:00:02 80 eth0:2 -\n"
		     "forward 20.251.48.99:80/tcp vm-001 02:00:00:00:00:01 80 eth0:2 -\n",
		3, 1 },
	{ "damaged: forwards that overlap",
		HEAD "forward 20.251.48.99:80-90/tcp vm-002 02:00:00:00:00:02 80 eth0:2 -\n"
		     "forward 20.251.48.99:85/tcp vm-001 02:00:00:00:00:01 85 eth0:2 -\n",
		3, 1 },
	{ "damaged: a forward without ports",
		HEAD "forward 20.251.48.99/tcp vm-002 02:00:00:00:00:02 80 eth0:2 -\n", 2 },
	{ "damaged: a forward to port 0",
		HEAD "forward 20.251.48.99:80/tcp vm-002 02:00:00:00:00:02 0 eth0:2 -\n", 2 },
	{ "damaged: a forward without its last word",
		HEAD "forward 20.251.48.99:80/tcp vm-002 02:00:00:00:00:02 80 eth0:2\n", 2 },
	{ "damaged: a cooldown without a time",
		HEAD "cooldown 20.251.48.99 vm-001 02:00:00:00:00:01 soon\n", 2 },
	{ "damaged: a cooldown with half a time",
		HEAD "cooldown 20.251.48.99 vm-001 02:00:00:00:00:01 17x\n", 2 },
	{ "damaged: a cooldown of no address", HEAD "cooldown x vm-001 17\n", 2 },
	{ "damaged: blocks of zeros, as a crash leaves them, read as the text before them",
		HEAD BIND_99 "\x01\x01\n", 3, 1 },
	{ "damaged: zeros over the head, read as newlines", "\n\n\n\n" BIND_99, 1, 1 },
	{ "damaged: good lines behind the bad one", HEAD "bind\n" BIND_99 FORWARD_103 COOLDOWN_101,
		2, 3 },
	{ "damaged: a bad line between good ones", HEAD BIND_99 "forward x\n" FORWARD_103, 3, 2 },
};

static size_t lines_of(const struct binding_table *table)
{
	return table->count + table->forward_count + table->cooling_count;
}

/* What is kept of it is written, and then is a good file. */
static void test_damaged(void **state)
{
	const struct damaged_row *row = *state;
	struct binding_table table = { .count = 77 }, again;
	struct problems problems = { 0 };
	size_t len;
	char *text;

	assert_int_equal(binding_parse(row->text, "bindings", &table, &problems), -EINVAL);
	problems_print(&problems);
	assert_int_equal(lines_of(&table), row->kept);
	assert_int_not_equal(problems_match(&problems, row->line, NULL), 0);
	problems_done(&problems);
	text = binding_format(&table, "eth0", 0, &len);
	assert_int_equal(binding_parse(text, "bindings", &again, &problems), 0);
	assert_int_equal(lines_of(&again), row->kept);
	binding_table_done(&table);
	binding_table_done(&again);
	free(text);
}

static void test_many_bad_lines(void **state)
{
	struct binding_table table;
	struct problems problems = { 0 };
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	fputs(HEAD, out);
	for (unsigned i = 0; i < 1000; i++)
		fputs("nonsense\n", out);
	fputs(BIND_99, out);
	fclose(out);
	assert_int_equal(binding_parse(text, "bindings", &table, &problems), -EINVAL);
	assert_int_equal(problems.count, 51);
	assert_int_equal(problems_match(&problems, 51, "not understood"), 1);
	assert_int_equal(problems_match(&problems, 1002, "950 more"), 1);
	assert_int_equal(table.count, 1);
	problems_done(&problems);
	binding_table_done(&table);
	free(text);
}

/* Every beginning of a good file: it is that file up to a line's end, or damaged from there on. */
static void test_every_beginning(void **state)
{
	static const char text[] = HEAD BIND_99
		"bind 20.251.48.100 vm-001 02:00:00:00:00:01 eth0:12\n" FORWARD_103 COOLDOWN_101;
	size_t ends = 0; /* of lines */

	(void)state;
	for (size_t len = 0; len < strlen(text); len++) {
		struct binding_table table = { 0 };
		struct problems problems = { 0 };
		char *copy = strndup(text, len);
		int err = binding_parse(copy, "bindings", &table, &problems);
		bool at_line_end = len && text[len - 1] == '\n';

		ends += at_line_end;
		assert_int_equal(err, at_line_end ? 0 : -EINVAL);
		assert_int_equal(lines_of(&table), ends ? ends - 1 : 0);
		binding_table_done(&table);
		problems_done(&problems);
		free(copy);
	}
}

/* --- what has to be in the kernel --------------------------------------------------------- */

static void test_desired(void **state)
{
	struct config *config = config_with("");
	struct plan *plan = plan_of(PLAN),
		    *smaller = plan_of("02:00:00:00:00:02,vm-002,10.77.0.12\n");
	struct binding_table table = { 0 };
	struct desired desired;
	char *error = NULL;

	(void)state;
	assert_int_equal(binding_bind(&table, config, plan, "vm-001", P(105), 0, &error), 1);
	assert_int_equal(binding_bind(&table, config, plan, "vm-002", P(103), 0, &error), 1);
	assert_int_equal(binding_bind(&table, config, plan, "vm-001", P(99), 0, &error), 1);
	desired_make(&table, plan, NULL, &desired);
	assert_int_equal(desired.count, 3);
	assert_int_equal(desired.port_count, 0);
	/* by address; the first bound is the source, not the lowest */
	assert_int_equal(desired.map[0].address, P(99));
	assert_int_equal(desired.map[0].inner, IP4(10, 77, 0, 11));
	assert_int_equal(desired.map[0].label, 3);
	assert_false(desired.map[0].is_source);
	assert_int_equal(desired.map[1].address, P(103));
	assert_int_equal(desired.map[1].inner, IP4(10, 77, 0, 12));
	assert_true(desired.map[1].is_source);
	assert_int_equal(desired.map[2].address, P(105));
	assert_int_equal(desired.map[2].label, 1);
	assert_true(desired.map[2].is_source);
	assert_ptr_equal(desired_find(&desired, P(103)), &desired.map[1]);
	assert_null(desired_find(&desired, P(104)));
	desired_done(&desired);
	/* a VM that is not in the plan is left out */
	desired_make(&table, smaller, NULL, &desired);
	assert_int_equal(desired.count, 1);
	assert_int_equal(desired.map[0].address, P(103));
	desired_done(&desired);
	binding_table_done(&table);
	desired_make(&table, plan, NULL, &desired);
	assert_int_equal(desired.count, 0);
	assert_null(desired_find(&desired, P(99)));
	desired_done(&desired);
	plan_free(plan);
	plan_free(smaller);
	config_free(config);
}

static void test_copy(void **state)
{
	struct config *config = config_with("cooldown = 60\n");
	struct plan *plan = plan_of(PLAN);
	struct binding_table table = { 0 }, copy;
	char *error = NULL, *before, *after;

	(void)state;
	assert_int_equal(binding_bind(&table, config, plan, "vm-001", P(99), 0, &error), 1);
	assert_int_equal(binding_bind(&table, config, plan, "vm-002", P(100), 0, &error), 1);
	assert_int_equal(binding_unbind(&table, config, P(100), 0, &error), 1);
	before = dump(&table);
	binding_table_copy(&table, &copy);
	assert_int_equal(binding_unbind(&table, config, P(99), 0, &error), 1);
	after = dump(&copy);
	assert_string_equal(after, before);
	free(before);
	free(after);
	binding_table_done(&table);
	binding_table_done(&copy);
	plan_free(plan);
	config_free(config);
}

/* --- auto-bind ---------------------------------------------------------------------------- */

/* How many were given one: those at the end of the table. */
static size_t give_all(struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now, const struct address_filter *filter)
{
	struct binding *given;
	size_t count = binding_auto(table, config, plan, now, filter, NULL, &given);

	for (size_t i = 0; i < count; i++)
		assert_int_equal(given[i].address, table->list[table->count - count + i].address);
	free(given);
	return count;
}

static void test_auto(void **state)
{
	struct config *config = config_with("");
	struct plan *plan = plan_of(PLAN);
	struct binding_table table = { 0 };
	char *error = NULL, *text;

	(void)state;
	assert_int_equal(binding_bind(&table, config, plan, "vm-002", P(99), 0, &error), 1);
	assert_int_equal(give_all(&table, config, plan, 0, NULL), 2);
	text = dump(&table);
	assert_string_equal(text,
		"20.251.48.99=vm-002:1 20.251.48.100=vm-001:2 20.251.48.101=vm-003:3");
	free(text);
	assert_int_equal(give_all(&table, config, plan, 0, NULL), 0);
	binding_table_done(&table);
	plan_free(plan);
	config_free(config);
}

static bool is_not(const void *ctx, const struct vm *vm)
{
	return strcmp(vm->name, ctx) != 0;
}

static void test_auto_but_for_a_vm(void **state)
{
	struct config *config = config_with("");
	struct plan *plan = plan_of(PLAN);
	struct binding_table table = { 0 };
	const struct vm_filter vms = { is_not, "vm-002" };
	struct binding *given;
	char *text;

	(void)state;
	assert_int_equal(binding_auto(&table, config, plan, 0, NULL, &vms, &given), 2);
	text = dump(&table);
	assert_string_equal(text, "20.251.48.99=vm-001:1 20.251.48.100=vm-003:2");
	free(text);
	free(given);
	binding_table_done(&table);
	plan_free(plan);
	config_free(config);
}

static void test_auto_while_there_are_any(void **state)
{
	struct config *config = config_of("pool = 20.0.0.1, 20.0.0.9\n");
	struct plan *plan = plan_of(PLAN);
	struct binding_table table = { 0 };

	(void)state;
	assert_int_equal(give_all(&table, config, plan, 0, NULL), 2);
	assert_int_equal(table.list[1].address, IP4(20, 0, 0, 9));
	assert_int_equal(give_all(&table, config, plan, 0, NULL), 0);
	binding_table_done(&table);
	plan_free(plan);
	config_free(config);
}

/* Under a new name, too; and who has none to come back to does not stop the others. */
static void test_auto_after_cooldown(void **state)
{
	struct config *config = config_of("pool = 20.0.0.1-20.0.0.2\n[nat]\ncooldown = 60\n");
	struct plan *before = plan_of(PLAN);
	struct plan *after = plan_of("02:00:00:00:00:01,vm-001,10.77.0.11\n"
				     "02:00:00:00:00:03,web,10.77.0.13\n");
	const uint32_t least = IP4(20, 0, 0, 2);
	const struct address_filter filter = { is_at_least, &least };
	struct binding_table table = { 0 };
	char *error = NULL, *text;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(binding_bind(&table, config, before, i ? "vm-003" : "vm-002",
					 IP4(20, 0, 0, 1) + i, 0, &error),
			1);
		assert_int_equal(binding_unbind(&table, config, IP4(20, 0, 0, 1) + i, 0, &error),
			1);
	}
	assert_int_equal(binding_choose(&table, config, plan_by_name(after, "web"), 1, NULL),
		IP4(20, 0, 0, 2));
	assert_int_equal(give_all(&table, config, after, 1, &filter), 1);
	text = dump(&table);
	assert_string_equal(text, "20.0.0.2=web:1 20.0.0.1~vm-002@60");
	free(text);
	/* then anybody's, where the caller lets it pass */
	assert_int_equal(give_all(&table, config, after, 60, &filter), 0);
	assert_int_equal(give_all(&table, config, after, 60, NULL), 1);
	binding_table_done(&table);
	plan_free(before);
	plan_free(after);
	config_free(config);
}

/* A label is one address's: two with one name would be one sub-interface for ifconfig. */
static void test_auto_labels(void **state)
{
	/* of the labels 1 to 6, the mask's are in use when the others come */
	for (unsigned mask = 0; mask < 64; mask++) {
		struct config *config = config_of("pool = 20.0.0.0/26\n");
		struct plan *plan = plan_of(PLAN "02:00:00:00:00:04,vm-004,10.77.0.14\n"
						 "02:00:00:00:00:05,vm-005,10.77.0.15\n"
						 "02:00:00:00:00:06,vm-006,10.77.0.16\n");
		struct binding_table table = { 0 };
		char *error = NULL;

		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(binding_bind(&table, config, plan, "vm-001",
						 IP4(20, 0, 0, 1) + i, 0, &error),
				1);
		for (unsigned i = 0; i < 6; i++) {
			if (!(mask & 1u << i))
				assert_int_equal(binding_unbind(&table, config,
							 IP4(20, 0, 0, 1) + i, 0, &error),
					1);
		}
		give_all(&table, config, plan, 0, NULL);
		for (size_t i = 0; i < table.count; i++) {
			for (size_t k = 0; k < i; k++)
				assert_int_not_equal(table.list[i].label, table.list[k].label);
		}
		binding_table_done(&table);
		plan_free(plan);
		config_free(config);
	}
	(void)state;
}

/* --- forwards ----------------------------------------------------------------------------- */

static const struct forward_row {
	const char *sentence, *text;
	bool good;
	uint16_t first, last;
	uint8_t protocol;
} forward_rows[] = {
	{ "forward: one port", "20.251.48.99:80/tcp", true, 80, 80, IPPROTO_TCP },
	{ "forward: UDP", "20.251.48.99:53/udp", true, 53, 53, IPPROTO_UDP },
	{ "forward: a range", "20.251.48.99:5000-5010/udp", true, 5000, 5010, IPPROTO_UDP },
	{ "forward: the longest", "255.255.255.255:10000-65535/tcp", false, 0, 0, 0 },
	{ "forward: as long as there may be", "123.251.248.199:10000-65535/tcp", true, 10000, 65535,
		IPPROTO_TCP },
	{ "forward: no port", "20.251.48.99/tcp", false, 0, 0, 0 },
	{ "forward: port 0", "20.251.48.99:0/tcp", false, 0, 0, 0 },
	{ "forward: port 65536", "20.251.48.99:65536/tcp", false, 0, 0, 0 },
	{ "forward: backwards", "20.251.48.99:80-79/tcp", false, 0, 0, 0 },
	{ "forward: half a range", "20.251.48.99:80-/tcp", false, 0, 0, 0 },
	{ "forward: no protocol", "20.251.48.99:80", false, 0, 0, 0 },
	{ "forward: an unknown protocol", "20.251.48.99:80/sctp", false, 0, 0, 0 },
	{ "forward: no address", ":80/tcp", false, 0, 0, 0 },
	{ "forward: the protocol before the port", "20.251.48.99/tcp:80", false, 0, 0, 0 },
	{ "forward: very long", "20.251.48.99:00000000000000000000000000000080/tcp", false, 0, 0,
		0 },
	{ "forward: nothing", "", false, 0, 0, 0 },
};

static void test_forward_parse(void **state)
{
	const struct forward_row *row = *state;
	struct forward forward = { .first = 7 };
	char text[FORWARD_STRLEN];

	if (!row->good) {
		assert_int_equal(forward_parse(row->text, &forward), -EINVAL);
		assert_int_equal(forward.first, 7);
		return;
	}
	assert_int_equal(forward_parse(row->text, &forward), 0);
	assert_int_equal(forward.first, row->first);
	assert_int_equal(forward.last, row->last);
	assert_int_equal(forward.protocol, row->protocol);
	assert_string_equal(forward_format(&forward, text), row->text);
}

static int add_forward(struct binding_table *table, const struct config *config,
	const struct plan *plan, const char *text, const char *vm, uint16_t to, bool is_source,
	char **ret_error)
{
	struct forward forward;

	assert_int_equal(forward_parse(text, &forward), 0);
	forward.to = to ? to : forward.first;
	forward.is_source = is_source;
	snprintf(forward.vm, sizeof(forward.vm), "%s", vm);
	return forward_add(table, config, plan, &forward, 0, ret_error);
}

static const struct share_row {
	const char *sentence, *text, *vm;
	uint16_t to;
	bool is_source;
	int result;
} share_rows[] = {
	/* there: 99 bound to vm-001; 100:80/tcp to vm-001:8080; 100:5000-5010/udp to vm-002 */
	{ "share: a further port, the same VM", "20.251.48.100:81/tcp", "vm-001", 0, false, 1 },
	{ "share: a further port, another VM", "20.251.48.100:443/tcp", "vm-003", 0, false, 1 },
	{ "share: the same port of the other protocol", "20.251.48.100:80/udp", "vm-003", 0, false,
		1 },
	{ "share: so already is done already", "20.251.48.100:80/tcp", "vm-001", 8080, false, 0 },
	{ "share: the port is another VM's", "20.251.48.100:80/tcp", "vm-002", 8080, false,
		-EBUSY },
	{ "share: the port goes to another one of the VM's", "20.251.48.100:80/tcp", "vm-001", 8081,
		false, -EBUSY },
	{ "share: a range that overlaps at its head", "20.251.48.100:5010-5020/udp", "vm-003", 0,
		false, -EBUSY },
	{ "share: a range that overlaps at its end", "20.251.48.100:4990-5000/udp", "vm-003", 0,
		false, -EBUSY },
	{ "share: a range around another", "20.251.48.100:1-65535/udp", "vm-003", 0, false,
		-EBUSY },
	{ "share: a range beside another", "20.251.48.100:5011-5020/udp", "vm-003", 0, false, 1 },
	{ "share: an address that is bound as a whole", "20.251.48.99:80/tcp", "vm-002", 0, false,
		-EBUSY },
	{ "share: an address outside the pool", "20.251.48.98:80/tcp", "vm-002", 0, false,
		-ERANGE },
	{ "share: no such VM", "20.251.48.101:80/tcp", "vm-999", 0, false, -ENOENT },
	{ "share: a range that would be renumbered", "20.251.48.101:80-90/tcp", "vm-002", 8080,
		false, -EINVAL },
	{ "share: another address", "20.251.48.101:80/tcp", "vm-002", 0, false, 1 },
};

static void test_share(void **state)
{
	const struct share_row *row = *state;
	struct config *config = config_with("");
	struct plan *plan = plan_of(PLAN);
	struct binding_table table = { 0 };
	struct problems problems = { 0 };
	struct binding_table again = { 0 };
	char *error = NULL, *before, *after;
	size_t len;
	int result;

	assert_int_equal(binding_bind(&table, config, plan, "vm-001", P(99), 0, &error), 1);
	assert_int_equal(add_forward(&table, config, plan, "20.251.48.100:80/tcp", "vm-001", 8080,
				 false, &error),
		1);
	assert_int_equal(add_forward(&table, config, plan, "20.251.48.100:5000-5010/udp", "vm-002",
				 0, true, &error),
		1);
	before = binding_format(&table, "eth0", 0, &len);
	result = add_forward(&table, config, plan, row->text, row->vm, row->to, row->is_source,
		&error);
	after = binding_format(&table, "eth0", 0, &len);
	assert_int_equal(result, row->result);
	if (result < 0)
		assert_non_null(error);
	if (result <= 0)
		assert_string_equal(before, after);
	else
		assert_string_not_equal(before, after);
	/* one address, one label; another address, another label */
	for (size_t i = 0; i < table.forward_count; i++) {
		assert_int_not_equal(table.forwards[i].label, table.list[0].label);
		for (size_t k = 0; k < i; k++)
			assert_int_equal(table.forwards[i].address == table.forwards[k].address,
				table.forwards[i].label == table.forwards[k].label);
	}
	/* and it survives the state file */
	assert_int_equal(binding_parse(after, "bindings", &again, &problems), 0);
	free(before);
	before = binding_format(&again, "eth0", 0, &len);
	assert_string_equal(before, after);
	free(before);
	free(after);
	free(error);
	binding_table_done(&table);
	binding_table_done(&again);
	plan_free(plan);
	config_free(config);
}

static void test_shared_address(void **state)
{
	struct config *config = config_with("cooldown = 60\n");
	struct plan *plan = plan_of(PLAN),
		    *smaller = plan_of("02:00:00:00:00:01,vm-001,10.77.0.11\n");
	struct binding_table table = { 0 };
	struct desired desired;
	struct binding *lost;
	char *error = NULL;
	size_t count;

	(void)state;
	assert_int_equal(add_forward(&table, config, plan, "20.251.48.99:443/tcp", "vm-002", 0,
				 true, &error),
		1);
	assert_int_equal(add_forward(&table, config, plan, "20.251.48.99:80/tcp", "vm-001", 8080,
				 false, &error),
		1);
	/* it is neither free nor anybody's as a whole */
	assert_int_equal(binding_choose(&table, config, NULL, 0, NULL), P(100));
	assert_int_equal(binding_bind(&table, config, plan, "vm-003", P(99), 0, &error), -EBUSY);
	free(error);
	error = NULL;
	assert_int_equal(binding_unbind(&table, config, P(99), 0, &error), -EBUSY);
	free(error);
	error = NULL;
	desired_make(&table, plan, NULL, &desired);
	assert_int_equal(desired.count, 1);
	assert_int_equal(desired.map[0].inner, 0);
	assert_int_equal(desired.port_count, 2);
	/* by port */
	assert_int_equal(desired.ports[0].first, 80);
	assert_int_equal(desired.ports[0].to, 8080);
	assert_int_equal(desired.ports[0].inner, IP4(10, 77, 0, 11));
	assert_false(desired.ports[0].is_source);
	assert_int_equal(desired.ports[1].first, 443);
	assert_true(desired.ports[1].is_source);
	desired_done(&desired);
	/* a VM that leaves takes its forwards along, and no other's */
	assert_true(binding_follow(&table, config, smaller, 0, &lost, &count));
	free(lost);
	assert_int_equal(table.forward_count, 1);
	assert_string_equal(table.forwards[0].vm, "vm-001");
	/* the address is still shared, so it does not cool down yet */
	assert_int_equal(table.cooling_count, 0);
	assert_int_equal(forward_del(&table, config, &table.forwards[0], 0, &error), 1);
	assert_int_equal(table.forward_count, 0);
	assert_int_equal(table.cooling_count, 1);
	{
		struct forward gone;

		assert_int_equal(forward_parse("20.251.48.99:80/tcp", &gone), 0);
		assert_int_equal(forward_del(&table, config, &gone, 0, &error), 0);
		assert_null(forward_find(&table, &gone));
	}
	binding_table_done(&table);
	plan_free(plan);
	plan_free(smaller);
	config_free(config);
}

/* A new plan is in force before the bindings have followed it: the isolation goes by its names. */
static void test_desired_isolated(void **state)
{
	struct config *config = config_with("");
	struct plan *plan = plan_of(PLAN),
		    *renamed = plan_of("02:00:00:00:00:01,web,10.77.0.11\n"
				       "02:00:00:00:00:02,vm-002,10.77.0.12\n");
	struct isolation isolation = { 0 };
	struct binding_table table = { 0 };
	struct desired desired;
	char *error = NULL;

	(void)state;
	assert_int_equal(binding_bind(&table, config, plan, "vm-001", P(99), 0, &error), 1);
	assert_int_equal(add_forward(&table, config, plan, "20.251.48.100:80/tcp", "vm-001", 80,
				 false, &error),
		1);
	assert_true(isolation_add(&isolation, "VM-001", NULL, 0, ""));
	desired_make(&table, plan, &isolation, &desired);
	assert_int_equal(desired.count, 0);
	desired_done(&desired);
	isolation_done(&isolation);
	assert_true(isolation_add(&isolation, "web", NULL, 0, ""));
	desired_make(&table, renamed, &isolation, &desired);
	assert_int_equal(desired.count, 0);
	assert_int_equal(desired.port_count, 0);
	desired_done(&desired);
	isolation_done(&isolation);
	binding_table_done(&table);
	plan_free(plan);
	plan_free(renamed);
	config_free(config);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_binding, binding_rows);
	suite_add(&suite, "choose: until none is left", test_choose_exhausted, NULL);
	suite_add(&suite, "choose: through all ranges, in ascending order",
		test_choose_across_ranges, NULL);
	SUITE_ROWS(&suite, test_follow, follow_rows);
	suite_add(&suite, "follow: a new MAC, then a new name", test_follow_twice, NULL);
	suite_add(&suite, "what was written is read", test_format_and_parse, NULL);
	suite_add(&suite, "an empty table is written and read", test_format_empty, NULL);
	SUITE_ROWS(&suite, test_damaged, damaged_rows);
	suite_add(&suite, "damaged: of very many bad lines, some are told", test_many_bad_lines,
		NULL);
	suite_add(&suite, "damaged: cut off anywhere", test_every_beginning, NULL);
	suite_add(&suite, "desired: by address, the first bound is the source", test_desired, NULL);
	suite_add(&suite,
		"desired: nothing that leads to an isolated VM, whatever it is called now",
		test_desired_isolated, NULL);
	suite_add(&suite, "a copy does not change with its original", test_copy, NULL);
	suite_add(&suite, "auto: who has none gets one", test_auto, NULL);
	suite_add(&suite, "auto: while there are any", test_auto_while_there_are_any, NULL);
	suite_add(&suite, "auto: but for those that are passed over", test_auto_but_for_a_vm, NULL);
	suite_add(&suite, "auto: what cools down goes back to whom it cools down for",
		test_auto_after_cooldown, NULL);
	suite_add(&suite, "auto: no label twice", test_auto_labels, NULL);
	SUITE_ROWS(&suite, test_forward_parse, forward_rows);
	SUITE_ROWS(&suite, test_share, share_rows);
	suite_add(&suite, "share: a shared address from its first to its last forward",
		test_shared_address, NULL);
	return suite_run(&suite, "binding");
}
