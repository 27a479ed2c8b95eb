/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the configuration says about DHCP options, and which of it a request gets. */
#include "tests/unit/fixture.h"
#include "tests/unit/wire.h"

#include "dhcpd/options.h"

static const char plan_text[] = "02:00:00:00:00:01,plain,10.77.0.11\n"
				"02:00:00:00:00:02,web,10.77.0.12,set:web\n"
				"02:00:00:00:00:03,both,10.77.0.13,set:db,set:web\n"
				"02:00:00:00:00:04,nothing,10.77.0.14,set:nosuch\n";

#define TAGS                                                                                     \
	"[dhcp]\ndns = 10.77.0.2\ndomain = local\nlease-time = 1h\nmtu = 1500\n"                 \
	"[tag web]\ndns = 10.77.0.3\nlease-time = 10m\noption.224 = text:web\n"                  \
	"[tag db]\ndns = 10.77.0.4\nboot-file = db.img\nmtu =\n"                                 \
	"[tag pxe]\nvendor-class = PXEClient\nboot-file = pxelinux.0\nnext-server = 10.77.0.9\n" \
	"dns = 10.77.0.5\n"                                                                      \
	"[tag port]\ncircuit-id = text:port1\ndomain = port1.local\n"                            \
	"[tag user]\nuser-class = iPXE\nboot-file = script.ipxe\n"                               \
	"[tag named]\nclient-name = Printer\noption.225 = text:printer\n"                        \
	"[tag pair]\nvendor-class = Pair\nuser-class = iPXE\noption.226 = text:pair\n"

static const struct options_row {
	const char *sentence;
	const char *text;      /* of the configuration */
	unsigned vm;           /* of the plan, from 0 */
	struct octets request; /* options */
	struct {
		uint8_t code;
		bool absent;
		struct octets octets;
	} value[6];
	uint32_t lease_time; /* 0: not looked at */
	const char *boot_file;
	uint32_t next_server;
} options_rows[] = {
	{ "the mask and the broadcast address are the bridge's", "",
		.value = { { 1, .octets = OCTETS("\xff\xff\xff\0") },
			{ 28, .octets = OCTETS("\x0a\x4d\x00\xff") } },
		.lease_time = 3600, .boot_file = "" },
	{ "router: auto is the bridge", "[dhcp]\nrouter = auto\n",
		.value = { { 3, .octets = OCTETS("\x0a\x4d\x00\x01") } } },
	{ "router: two", "[dhcp]\nrouter = 10.77.0.8, 10.77.0.9\n",
		.value = { { 3, .octets = OCTETS("\x0a\x4d\x00\x08\x0a\x4d\x00\x09") } } },
	{ "router: none", "[dhcp]\nrouter =\n", .value = { { 3, true } } },
	{ "what is not configured is not there", "",
		.value = { { 6, true }, { 15, true }, { 26, true }, { 42, true }, { 66, true },
			{ 67, true } } },
	{ "dns, domain, ntp", "[dhcp]\ndns = 10.77.0.2\ndomain = local\nntp = 10.77.0.1\n",
		.value = { { 6, .octets = OCTETS("\x0a\x4d\x00\x02") },
			{ 15, .octets = OCTETS("local") },
			{ 42, .octets = OCTETS("\x0a\x4d\x00\x01") } } },
	{ "mtu", "[dhcp]\nmtu = 1450\n", .value = { { 26, .octets = OCTETS("\x05\xaa") } } },
	{ "next-server and boot-file", "[dhcp]\nnext-server = 10.77.0.9\nboot-file = a/b\n",
		.value = { { 67, .octets = OCTETS("a/b") } }, .boot_file = "a/b",
		.next_server = IP4(10, 77, 0, 9) },
	{ "routes: as many octets as the length makes significant (RFC 3442)",
		"[dhcp]\nrouter =\nstatic-routes = 10.0.0.0/8 10.77.0.9, 10.1.0.0/16 10.77.0.9, "
		"10.1.128.0/17 10.77.0.9, 10.1.2.3/32 10.77.0.9, 0.0.0.0/0 10.77.0.8\n",
		.value = { { 121,
			.octets = OCTETS("\x08\x0a\x0a\x4d\x00\x09"
					 "\x10\x0a\x01\x0a\x4d\x00\x09"
					 "\x11\x0a\x01\x80\x0a\x4d\x00\x09"
					 "\x20\x0a\x01\x02\x03\x0a\x4d\x00\x09"
					 "\x00\x0a\x4d\x00\x08") } } },
	{ "routes: the default route is the router's",
		"[dhcp]\nrouter = 10.77.0.8\nstatic-routes = 10.0.0.0/8 10.77.0.9\n",
		.value = { { 121,
			.octets = OCTETS("\x08\x0a\x0a\x4d\x00\x09\x00\x0a\x4d\x00\x08") } } },
	{ "option.N wins over the key of the same option",
		"[dhcp]\ndns = 10.77.0.2\noption.6 = ip:10.77.0.3\n",
		.value = { { 6, .octets = OCTETS("\x0a\x4d\x00\x03") } } },
	{ "option.N wins over the network's mask", "[dhcp]\noption.1 = ip:255.0.0.0\n",
		.value = { { 1, .octets = OCTETS("\xff\0\0\0") } } },
	/* tags */
	{ "tag: not for a VM without it", TAGS, 0,
		.value = { { 6, .octets = OCTETS("\x0a\x4d\x00\x02") }, { 224, true },
			{ 26, .octets = OCTETS("\x05\xdc") } },
		.lease_time = 3600, .boot_file = "" },
	{ "tag: for a VM with set:web", TAGS, 1,
		.value = { { 6, .octets = OCTETS("\x0a\x4d\x00\x03") },
			{ 224, .octets = OCTETS("web") }, { 15, .octets = OCTETS("local") } },
		.lease_time = 600 },
	{ "tag: of two the one that stands first in the file wins", TAGS, 2,
		.value = { { 6, .octets = OCTETS("\x0a\x4d\x00\x03") },
			{ 224, .octets = OCTETS("web") }, { 67, .octets = OCTETS("db.img") } },
		.lease_time = 600, .boot_file = "db.img" },
	{ "tag: an empty key takes away what [dhcp] says", TAGS, 2, .value = { { 26, true } } },
	{ "tag: one that the configuration does not have", TAGS, 3,
		.value = { { 6, .octets = OCTETS("\x0a\x4d\x00\x02") } }, .lease_time = 3600 },
	{ "tag: vendor-class is a part of option 60", TAGS, 0,
		OCTETS("\x3c\x14"
		       "PXEClient:Arch:00007"),
		{ { 67, .octets = OCTETS("pxelinux.0") },
			{ 6, .octets = OCTETS("\x0a\x4d\x00\x05") } },
		.boot_file = "pxelinux.0", .next_server = IP4(10, 77, 0, 9) },
	{ "tag: another vendor class", TAGS, 0,
		OCTETS("\x3c\x08"
		       "PXEClien"),
		{ { 67, true } }, .boot_file = "" },
	{ "tag: the plan's wins over the request's", TAGS, 1,
		OCTETS("\x3c\x09"
		       "PXEClient"),
		{ { 67, .octets = OCTETS("pxelinux.0") },
			{ 6, .octets = OCTETS("\x0a\x4d\x00\x03") } } },
	{ "tag: circuit-id", TAGS, 0,
		OCTETS("\x52\x0b\x02\x02xx\x01\x05"
		       "port1"),
		{ { 15, .octets = OCTETS("port1.local") } } },
	{ "tag: circuit-id, all of it", TAGS, 0,
		OCTETS("\x52\x08\x01\x06"
		       "port12"),
		{ { 15, .octets = OCTETS("local") } } },
	{ "tag: circuit-id, not the remote id", TAGS, 0,
		OCTETS("\x52\x07\x02\x05"
		       "port1"),
		{ { 15, .octets = OCTETS("local") } } },
	{ "tag: circuit-id, sub-options cut off", TAGS, 0,
		OCTETS("\x52\x03\x01\x05"
		       "p"),
		{ { 15, .octets = OCTETS("local") } } },
	{ "tag: user-class", TAGS, 0,
		OCTETS("\x4d\x04"
		       "iPXE"),
		{ { 67, .octets = OCTETS("script.ipxe") } } },
	{ "tag: client-name, whatever the case", TAGS, 0,
		OCTETS("\x0c\x07"
		       "pRINTER"),
		{ { 225, .octets = OCTETS("printer") } } },
	{ "tag: client-name, all of it", TAGS, 0,
		OCTETS("\x0c\x08"
		       "printer2"),
		{ { 225, true } } },
	{ "tag: all conditions must be met: both are", TAGS, 0,
		OCTETS("\x4d\x04"
		       "iPXE\x3c\x04"
		       "Pair"),
		{ { 226, .octets = OCTETS("pair") } } },
	{ "tag: all conditions must be met: one is", TAGS, 0,
		OCTETS("\x3c\x04"
		       "Pair"),
		{ { 226, true } } },
	/* a client that takes option 121 does not look at option 3, so both must say the same */
	{ "tag: static-routes, with the default route by the router of [dhcp]",
		"[dhcp]\nrouter = 10.77.0.8\n"
		"[tag web]\nstatic-routes = 10.0.0.0/8 10.77.0.9\n",
		1,
		.value = { { 3, .octets = OCTETS("\x0a\x4d\x00\x08") },
			{ 121,
				.octets = OCTETS(
					"\x08\x0a\x0a\x4d\x00\x09\x00\x0a\x4d\x00\x08") } } },
	{ "tag: static-routes, and [dhcp] has no router",
		"[dhcp]\nrouter =\n"
		"[tag web]\nstatic-routes = 10.0.0.0/8 10.77.0.9\n",
		1,
		.value = { { 3, true }, { 121, .octets = OCTETS("\x08\x0a\x0a\x4d\x00\x09") } } },
	{ "tag: router, with the static routes of [dhcp]",
		"[dhcp]\nstatic-routes = 10.0.0.0/8 10.77.0.9\n"
		"[tag web]\nrouter = 10.77.0.8\n",
		1,
		.value = { { 3, .octets = OCTETS("\x0a\x4d\x00\x08") },
			{ 121,
				.octets = OCTETS(
					"\x08\x0a\x0a\x4d\x00\x09\x00\x0a\x4d\x00\x08") } } },
	{ "tag: lease-time infinite", "[tag web]\nlease-time = infinite\n", 1,
		.lease_time = UINT32_MAX },
};

static void decode(struct octets options, struct dhcp_message *message, uint8_t data[MESSAGE_MAX])
{
	const struct request request = { .type = 1, .options = options };

	assert_int_equal(dhcp_message_decode(data, request_message(&request, data), message),
		DROP_NONE);
}

static void test_select(void **state)
{
	const struct options_row *row = *state;
	struct config *config = config_of(row->text);
	struct plan *plan = plan_of(plan_text);
	struct option_catalog *catalog = option_catalog_new(config, &self);
	struct dhcp_message message;
	uint8_t data[MESSAGE_MAX];
	const struct option_set *set;

	decode(row->request, &message, data);
	set = option_catalog_select(catalog, plan_vm(plan, row->vm), &message);
	for (size_t i = 0; i < COUNT(row->value) && row->value[i].code; i++) {
		const struct option_value *value = set->by_code[row->value[i].code];

		if (row->value[i].absent) {
			assert_null(value);
			continue;
		}
		assert_non_null(value);
		assert_int_equal(value->code, row->value[i].code);
		assert_int_equal(value->len, row->value[i].octets.len);
		assert_memory_equal(value->data, row->value[i].octets.data, value->len);
	}
	/* by ascending code, each once, and found by it */
	for (size_t i = 0; i < set->count; i++) {
		assert_ptr_equal(set->by_code[set->values[i].code], &set->values[i]);
		assert_true(i == 0 || set->values[i - 1].code < set->values[i].code);
		assert_true(set->values[i].len > 0);
	}
	if (row->lease_time)
		assert_int_equal(set->lease_time, row->lease_time);
	if (row->boot_file)
		assert_string_equal(set->boot_file, row->boot_file);
	if (row->next_server)
		assert_int_equal(set->next_server, row->next_server);
	option_catalog_free(catalog);
	plan_free(plan);
	config_free(config);
}

static void test_without_vm(void **state)
{
	struct config *config = config_of(TAGS);
	struct option_catalog *catalog = option_catalog_new(config, &self);
	struct dhcp_message message;
	uint8_t data[MESSAGE_MAX];

	(void)state;
	decode((struct octets){ NULL, 0 }, &message, data);
	assert_int_equal(option_catalog_select(catalog, NULL, &message)->lease_time, 3600);
	assert_int_equal(option_catalog_select(catalog, NULL, NULL)->lease_time, 3600);
	option_catalog_free(catalog);
	config_free(config);
}

/* A request can choose among many combinations of tags; none may be taken for another. */
static void test_many_combinations(void **state)
{
	enum { TAGS_COUNT = 8 };
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct option_catalog *catalog;
	struct config *config;

	(void)state;
	for (int i = 0; i < TAGS_COUNT; i++)
		fprintf(out, "[tag t%d]\nvendor-class = <%d>\noption.%d = text:%d\n", i, i, 200 + i,
			i);
	fclose(out);
	config = config_of(text);
	catalog = option_catalog_new(config, &self);
	/* 256 combinations, twice, so that those thrown away are made anew */
	for (unsigned round = 0; round < 512; round++) {
		char options[64] = "\x3c", *p = options + 2;
		struct dhcp_message message;
		uint8_t data[MESSAGE_MAX];
		const struct option_set *set;

		for (int i = 0; i < TAGS_COUNT; i++)
			p += round & 1u << i ? sprintf(p, "<%d>", i) : sprintf(p, "-");
		options[1] = (char)(p - options - 2);
		decode((struct octets){ options, (size_t)(p - options) }, &message, data);
		set = option_catalog_select(catalog, NULL, &message);
		for (int i = 0; i < TAGS_COUNT; i++)
			assert_int_equal(set->by_code[200 + i] != NULL, (round >> i) & 1);
	}
	option_catalog_free(catalog);
	config_free(config);
	free(text);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_select, options_rows);
	suite_add(&suite, "a request of no VM of the plan, or none", test_without_vm, NULL);
	suite_add(&suite, "tag: many combinations", test_many_combinations, NULL);
	return suite_run(&suite, "options");
}
