/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a bridge comes to be: which steps in which order, from whatever there is, and what is refused. */
#include "tests/unit/fixture.h"

#include <errno.h>
#include <linux/if.h>

#include "common/bridge.h"

#define BRIDGE 7
#define UPLINK 3

/* "br0 up, a port of nobody": .index 0: not there */
#define IS(i, k, f, m)                                         \
	{                                                      \
		.index = i, .kind = k, .flags = f, .master = m \
	}
#define BR0            IS(BRIDGE, "bridge", IFF_UP, 0)
#define BR0_DOWN       IS(BRIDGE, "bridge", 0, 0)
#define ETH1           IS(UPLINK, "", IFF_UP, 0)
#define ETH1_DOWN      IS(UPLINK, "", 0, 0)
#define ETH1_PORT      IS(UPLINK, "", IFF_UP, BRIDGE)
#define ETH1_ELSEWHERE IS(UPLINK, "", IFF_UP, 99)
#define NONE           IS(0, "", 0, 0)
#define OURS                             \
	{                                \
		IP4(192, 168, 6, 22), 24 \
	}
#define UPLINK_LINE "uplink = eth1\n"

struct item {
	const char *text;
	bool is_route, is_on_link;
};
#define ADDRESS(text)              \
	{                          \
		text, false, false \
	}
#define ON_LINK(text)            \
	{                        \
		text, true, true \
	}
#define VIA(text)                 \
	{                         \
		text, true, false \
	}

static const struct row {
	const char *sentence, *more; /* lines of [inner] */
	struct netlink_link bridge, uplink;
	struct ip4_prefix addresses[3];
	struct item items[6];
	const char *master, *other;
	bool has_ipv6;
	const char *steps;   /* separated by "; " */
	const char *refused; /* a part of the problem; NULL: none */
	const char *key;     /* where it is told */
} rows[] = {
	{ "nothing, and no uplink", "", NONE, NONE, { { 0 } }, { { 0 } }, "", "", false,
		"make the bridge br0; set br0 up; give br0 the address 192.168.6.22/24" },
	{ "nothing, and an uplink that is up", UPLINK_LINE, NONE, ETH1, { { 0 } }, { { 0 } }, "",
		"", false,
		"make the bridge br0; set br0 up; give br0 the address 192.168.6.22/24; "
		"make eth1 a port of br0" },
	{ "an uplink that is down is set up as a port", UPLINK_LINE, NONE, ETH1_DOWN, { { 0 } },
		{ { 0 } }, "", "", false,
		"make the bridge br0; set br0 up; give br0 the address 192.168.6.22/24; "
		"make eth1 a port of br0; set eth1 up" },
	{ "all is so", UPLINK_LINE, BR0, ETH1_PORT, { OURS }, { { 0 } }, "", "", false, "" },
	{ "all is so, without an uplink", "", BR0, NONE, { OURS }, { { 0 } }, "", "", false, "" },
	{ "all is so, and the bridge has more addresses and ports", UPLINK_LINE, BR0, ETH1_PORT,
		{ { IP4(10, 0, 0, 1), 8 }, OURS }, { { 0 } }, "", "eth2", false, "" },
	{ "a bridge that is down", UPLINK_LINE, BR0_DOWN, ETH1_PORT, { OURS }, { { 0 } }, "", "",
		false, "set br0 up" },
	{ "what moves: copies before the port, drops after it; on-link routes before those that need "
	  "them; secondary addresses go first",
		UPLINK_LINE, NONE, ETH1, { { 0 } },
		{ ADDRESS("10.0.0.5/24"), ADDRESS("10.0.0.6/24"), VIA("default via 10.9.9.1"),
			ON_LINK("10.9.9.1/32") },
		"", "", false,
		"make the bridge br0; set br0 up; give br0 the address 192.168.6.22/24; "
		"give br0 the address 10.0.0.5/24 of eth1; "
		"give br0 the address 10.0.0.6/24 of eth1; "
		"give br0 the route 10.9.9.1/32 of eth1; "
		"give br0 the route default via 10.9.9.1 of eth1; "
		"make eth1 a port of br0; "
		"take the route 10.9.9.1/32 off eth1; "
		"take the route default via 10.9.9.1 off eth1; "
		"take the address 10.0.0.6/24 off eth1; take the address 10.0.0.5/24 off eth1" },
	{ "the address of the configuration is the uplink's", UPLINK_LINE, NONE, ETH1, { { 0 } },
		{ ADDRESS("192.168.6.22/24") }, "", "", false,
		"make the bridge br0; set br0 up; give br0 the address 192.168.6.22/24; "
		"make eth1 a port of br0; take the address 192.168.6.22/24 off eth1" },
	{ "IPv6 addresses stay, which is said", UPLINK_LINE, BR0, ETH1, { OURS }, { { 0 } }, "", "",
		true,
		"make eth1 a port of br0 (its IPv6 addresses do not move; set them on the "
		"bridge)" },
	/* ended between two steps */
	{ "goes on: the bridge is made", UPLINK_LINE, BR0_DOWN, ETH1, { { 0 } },
		{ ADDRESS("10.0.0.5/24") }, "", "", false,
		"set br0 up; give br0 the address 192.168.6.22/24; "
		"give br0 the address 10.0.0.5/24 of eth1; make eth1 a port of br0; "
		"take the address 10.0.0.5/24 off eth1" },
	{ "goes on: it has its address", UPLINK_LINE, BR0, ETH1, { OURS },
		{ ADDRESS("10.0.0.5/24") }, "", "", false,
		"give br0 the address 10.0.0.5/24 of eth1; make eth1 a port of br0; "
		"take the address 10.0.0.5/24 off eth1" },
	{ "goes on: the uplink is a port, and has its addresses still", UPLINK_LINE, BR0, ETH1_PORT,
		{ OURS, { IP4(10, 0, 0, 5), 24 } },
		{ ADDRESS("10.0.0.5/24"), VIA("default via 10.0.0.1") }, "", "", false,
		"give br0 the address 10.0.0.5/24 of eth1; "
		"give br0 the route default via 10.0.0.1 of eth1; "
		"take the route default via 10.0.0.1 off eth1; "
		"take the address 10.0.0.5/24 off eth1" },
	{ "an empty bridge of somebody else is as good as ours", UPLINK_LINE, BR0, ETH1, { { 0 } },
		{ { 0 } }, "", "", false,
		"give br0 the address 192.168.6.22/24; make eth1 a port of br0" },
	/* refused */
	{ "a bridge with another address", UPLINK_LINE, BR0, ETH1_PORT,
		{ { IP4(192, 168, 7, 1), 24 } }, { { 0 } }, "", "", false, NULL,
		"ip address add 192.168.6.22/24 dev br0", "address" },
	{ "a bridge with the address in a network of another size", UPLINK_LINE, BR0, ETH1_PORT,
		{ { IP4(192, 168, 6, 22), 16 } }, { { 0 } }, "", "", false, NULL, "192.168.6.22/16",
		"address" },
	{ "no bridge, but a link of that name", UPLINK_LINE, IS(BRIDGE, "dummy", IFF_UP, 0), ETH1,
		{ { 0 } }, { { 0 } }, "", "", false, NULL, "br0 is not a bridge", "bridge" },
	{ "no uplink of that name", UPLINK_LINE, NONE, NONE, { { 0 } }, { { 0 } }, "", "", false,
		NULL, "there is no eth1", "uplink" },
	{ "the uplink is a port of another bridge", UPLINK_LINE, NONE, ETH1_ELSEWHERE, { { 0 } },
		{ { 0 } }, "br1", "", false, NULL, "ip link set eth1 nomaster", "uplink" },
	{ "the bridge has another uplink", UPLINK_LINE, BR0, ETH1, { OURS }, { { 0 } }, "", "eth2",
		false, NULL, "ip link set eth2 nomaster", "uplink" },
};

static void fill(const struct row *row, struct bridge_facts *ret_facts)
{
	struct bridge_facts facts = {
		.bridge = row->bridge, .uplink = row->uplink, .uplink_has_ipv6 = row->has_ipv6
	};

	facts.addresses = calloc(COUNT(row->addresses), sizeof(*facts.addresses));
	for (size_t i = 0; i < COUNT(row->addresses) && row->addresses[i].addr; i++)
		facts.addresses[facts.address_count++] = row->addresses[i];
	facts.items = calloc(COUNT(row->items), sizeof(*facts.items));
	for (size_t i = 0; i < COUNT(row->items) && row->items[i].text; i++)
		facts.items[facts.item_count++] = (struct bridge_item){
			.text = strdup(row->items[i].text),
			.is_route = row->items[i].is_route,
			.is_on_link = row->items[i].is_on_link
		};
	snprintf(facts.uplink_master, sizeof(facts.uplink_master), "%s", row->master);
	snprintf(facts.other_uplink, sizeof(facts.other_uplink), "%s", row->other);
	*ret_facts = facts;
}

static struct config *configuration(const char *more)
{
	char *text;
	struct config *config;

	assert_true(asprintf(&text,
			    "pool = 1.1.1.1\n[inner]\naddress = 192.168.6.22/24\ncreate = yes\n%s",
			    more) > 0);
	config = config_of(text);
	free(text);
	return config;
}

static char *steps_text(const struct config *config, const struct bridge_facts *facts,
	const struct bridge_steps *steps)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < steps->count; i++) {
		char *step = bridge_step_text(config, facts, &steps->list[i]);

		fprintf(out, "%s%s", i ? "; " : "", step);
		free(step);
	}
	fclose(out);
	return text;
}

static void test_plan(void **state)
{
	const struct row *row = *state;
	struct config *config = configuration(row->more);
	struct bridge_steps steps = { 0 };
	struct problems problems = { 0 };
	struct bridge_facts facts;
	char *text;

	fill(row, &facts);
	if (row->refused) {
		assert_int_equal(bridge_plan(config, &facts, &steps, &problems), -EINVAL);
		problems_print(&problems);
		assert_int_equal(problems.count, 1);
		assert_non_null(strstr(problems.list[0].text, row->refused));
		assert_int_equal(problems.list[0].line, config_line(config, "inner", row->key));
	} else {
		assert_int_equal(bridge_plan(config, &facts, &steps, &problems), 0);
		assert_int_equal(problems.count, 0);
		text = steps_text(config, &facts, &steps);
		assert_string_equal(text, row->steps);
		free(text);
	}
	free(steps.list);
	problems_done(&problems);
	bridge_facts_done(&facts);
	config_free(config);
}

static void test_mac(void **state)
{
	struct config *config = configuration(UPLINK_LINE);
	struct bridge_facts facts = { .uplink = { .mac = { { 0x52, 0x54, 0, 1, 2, 3 } } } };
	char text[MAC_STRLEN];
	struct mac mac;

	(void)state;
	mac = bridge_mac(config, &facts);
	assert_string_equal(mac_format(&mac, text), "52:54:00:01:02:03");
	facts.uplink.mac = (struct mac){ { 0 } };
	mac = bridge_mac(config, &facts);
	assert_string_equal(mac_format(&mac, text), "02:e1:c0:a8:06:16");
	config_free(config);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_plan, rows);
	suite_add(&suite, "its MAC is the uplink's, or else made of its address", test_mac, NULL);
	return suite_run(&suite, "bridge");
}
