/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The labelled addresses of the outer interface: what goes, what comes, what is another's. */
#include "tests/unit/fixture.h"

#include "natmgr/address.h"

#define P(n) IP4(20, 251, 48, n) /* the pool is P(99) to P(110) */

struct have {
	uint32_t address;
	uint8_t len;
	const char *label;
};

static const struct address_row {
	const char *sentence, *outer; /* lines of [outer] */
	struct have have[6];
	struct mapping map[4]; /* by address */
	const char *remove, *add, *foreign;
} address_rows[] = {
	{ "nothing is wanted, nothing is there", "", { { 0 } }, { { 0 } }, "", "", "" },
	{ "what is wanted comes", "", { { 0 } }, { { P(99), 1, 1 }, { P(101), 1, 7 } }, "",
		"20.251.48.99/32 eth0:1; 20.251.48.101/32 eth0:7; ", "" },
	{ "what is as it should be stays", "", { { P(99), 32, "eth0:1" } }, { { P(99), 1, 1 } }, "",
		"", "" },
	{ "what is not wanted goes", "", { { P(99), 32, "eth0:1" }, { P(100), 32, "eth0:2" } },
		{ { P(100), 1, 2 } }, "20.251.48.99/32 eth0:1; ", "", "" },
	{ "another label: goes and comes", "", { { P(99), 32, "eth0:2" } }, { { P(99), 1, 1 } },
		"20.251.48.99/32 eth0:2; ", "20.251.48.99/32 eth0:1; ", "" },
	{ "another prefix length: goes and comes", "prefix-length = 24\n",
		{ { P(99), 32, "eth0:1" } }, { { P(99), 1, 1 } }, "20.251.48.99/32 eth0:1; ",
		"20.251.48.99/24 eth0:1; ", "" },
	{ "with a prefix length of 24 it stays", "prefix-length = 24\n",
		{ { P(99), 24, "eth0:1" } }, { { P(99), 1, 1 } }, "", "", "" },
	{ "the host's own address stays", "", { { IP4(20, 251, 48, 2), 24, "eth0" } },
		{ { P(99), 1, 1 } }, "", "20.251.48.99/32 eth0:1; ", "" },
	{ "an address of the pool without a label of ours is another's, and stays", "",
		{ { P(99), 24, "eth0" } }, { { 0 } }, "", "", "" },
	{ "a wanted address that is another's is not added beside it", "",
		{ { P(99), 24, "eth0" } }, { { P(99), 1, 1 }, { P(100), 1, 2 } }, "",
		"20.251.48.100/32 eth0:2; ", "20.251.48.99; " },
	{ "a label of ours outside the pool is another's, and stays", "",
		{ { IP4(20, 251, 47, 1), 32, "eth0:9" } }, { { 0 } }, "", "", "" },
	{ "a label of ours on a bound address that left the pool", "",
		{ { IP4(20, 251, 47, 1), 32, "eth0:9" } }, { { IP4(20, 251, 47, 1), 1, 9 } }, "",
		"", "" },
	{ "a label with a name instead of a number is another's", "", { { P(99), 32, "eth0:web" } },
		{ { 0 } }, "", "", "" },
	{ "a label with number 0 is another's", "", { { P(99), 32, "eth0:0" } }, { { 0 } }, "", "",
		"" },
	{ "a label of an interface whose name begins as ours is another's", "",
		{ { P(99), 32, "eth01:1" } }, { { 0 } }, "", "", "" },
	{ "an empty label is another's", "", { { P(99), 32, "" } }, { { 0 } }, "", "", "" },
	{ "the same address twice, as ours: one stays", "",
		{ { P(99), 32, "eth0:1" }, { P(99), 24, "eth0:1" } }, { { P(99), 1, 1 } },
		"20.251.48.99/24 eth0:1; ", "", "" },
	{ "a shared address (by ports) is an address like any other", "", { { 0 } },
		{ { P(99), 0, 1 } }, "", "20.251.48.99/32 eth0:1; ", "" },
};

static void list(char *text, const struct netlink_addr *changes, size_t count)
{
	char prefix[IP4_PREFIX_STRLEN];

	*text = '\0';
	for (size_t i = 0; i < count; i++)
		text += sprintf(text, "%s %s; ", ip4_prefix_format(&changes[i].prefix, prefix),
			changes[i].label);
}

static void test_compare(void **state)
{
	const struct address_row *row = *state;
	struct netlink_addr have[COUNT(row->have)] = { 0 };
	struct mapping map[COUNT(row->map)];
	struct desired desired = { .map = map };
	struct address_diff diff;
	struct config *config;
	char *outer, text[1024], *p = text;
	size_t have_count = 0;

	assert_true(asprintf(&outer, "%s", row->outer) >= 0);
	config = config_of(outer);
	memcpy(map, row->map, sizeof(map));
	while (desired.count < COUNT(map) && map[desired.count].address)
		desired.count++;
	for (; have_count < COUNT(row->have) && row->have[have_count].address; have_count++) {
		have[have_count].prefix = (struct ip4_prefix){ row->have[have_count].address,
			row->have[have_count].len };
		strcpy(have[have_count].label, row->have[have_count].label);
	}
	address_compare(config, have, have_count, &desired, NULL, &diff);
	list(text, diff.remove, diff.remove_count);
	assert_string_equal(text, row->remove);
	list(text, diff.add, diff.add_count);
	assert_string_equal(text, row->add);
	*p = '\0';
	for (size_t i = 0; i < diff.foreign_count; i++) {
		char ip[IP4_STRLEN];

		p += sprintf(p, "%s; ", ip4_format(diff.foreign[i], ip));
	}
	assert_string_equal(text, row->foreign);
	address_diff_done(&diff);
	assert_int_equal(diff.remove_count + diff.add_count + diff.foreign_count, 0);
	config_free(config);
	free(outer);
}

/* Thousands come and go; what was done is all that was to do. */
static void test_many(void **state)
{
	enum { N = 3000 };
	struct config *config = config_of("pool = 20.0.0.0/16\n");
	struct mapping *map = calloc(N, sizeof(*map));
	struct netlink_addr *have = calloc(N, sizeof(*have));
	struct desired desired = { .map = map, .count = N };
	struct address_diff diff;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		map[i] = (struct mapping){
			.address = IP4(20, 0, 0, 0) + 2 * i, .inner = 1, .label = i + 1
		};
		/* every other one is there already */
		have[i].prefix = (struct ip4_prefix){ IP4(20, 0, 0, 0) + i, 32 };
		snprintf(have[i].label, sizeof(have[i].label), "eth0:%u", i / 2 + 1);
	}
	address_compare(config, have, N, &desired, NULL, &diff);
	assert_int_equal(diff.remove_count, N / 2);
	assert_int_equal(diff.add_count, N / 2);
	for (unsigned i = 0; i < N / 2; i++) {
		assert_int_equal(diff.remove[i].prefix.addr, IP4(20, 0, 0, 0) + 2 * i + 1);
		assert_int_equal(diff.add[i].prefix.addr, IP4(20, 0, 0, 0) + N + 2 * i);
	}
	address_diff_done(&diff);
	free(map);
	free(have);
	config_free(config);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_compare, address_rows);
	suite_add(&suite, "thousands", test_many, NULL);
	return suite_run(&suite, "address");
}
