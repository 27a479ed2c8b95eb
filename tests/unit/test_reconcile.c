/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which flows the kernel remembers with a mapping that is no longer right. */
#include "tests/unit/fixture.h"

#include <netinet/in.h>

#include "natmgr/reconcile.h"

#define P(n)  IP4(20, 251, 48, n) /* the pool is P(99) to P(110) */
#define VM1   IP4(10, 77, 0, 11)  /* bound to P(99), its source, and P(100) */
#define VM2   IP4(10, 77, 0, 12)  /* bound to P(101) */
#define VM3   IP4(10, 77, 0, 13)  /* 80/tcp and 5000-5010/udp of P(103), and its source */
#define VM4   IP4(10, 77, 0, 14)  /* 443/tcp of P(103) */
#define VM5   IP4(10, 77, 0, 15)  /* nothing */
#define WORLD IP4(8, 8, 8, 8)
#define HOST  IP4(20, 251, 48, 2) /* the host's own outer address */

static const struct mapping map[] = {
	{ .address = P(99), .inner = VM1, .label = 1, .is_source = true },
	{ .address = P(100), .inner = VM1, .label = 2 },
	{ .address = P(101), .inner = VM2, .label = 3, .is_source = true },
	{ .address = P(103), .label = 4 },
};

static const struct port_mapping ports[] = {
	{ .address = P(103),
		.inner = VM3,
		.protocol = IPPROTO_TCP,
		.first = 80,
		.last = 80,
		.to = 8080,
		.is_source = true },
	{ .address = P(103),
		.inner = VM4,
		.protocol = IPPROTO_TCP,
		.first = 443,
		.last = 443,
		.to = 443 },
	{ .address = P(103),
		.inner = VM3,
		.protocol = IPPROTO_UDP,
		.first = 5000,
		.last = 5010,
		.to = 5000 },
};

static const struct flow_row {
	const char *sentence;
	struct flow flow; /* source, destination; reply: source, destination */
	bool stale;
	uint32_t new_source; /* an inner address that got a source address just now */
} flow_rows[] = {
	{ "in: to its VM", { WORLD, P(99), VM1, WORLD }, false },
	{ "in: to its VM by its second address", { WORLD, P(100), VM1, WORLD }, false },
	{ "in: to the VM that had the address before", { WORLD, P(99), VM2, WORLD }, true },
	{ "in: to a VM, and the address is free now", { WORLD, P(105), VM2, WORLD }, true },
	{ "in: begun before the bind, to the host itself", { WORLD, P(99), P(99), WORLD }, true },
	{ "in: to the host by a free address of the pool", { WORLD, P(105), P(105), WORLD },
		false },
	{ "in: to the host's own address", { WORLD, HOST, HOST, WORLD }, false },
	{ "in: somebody else's DNAT of the host's own address", { WORLD, HOST, VM5, WORLD },
		false },
	{ "out: with its address", { VM1, WORLD, WORLD, P(99) }, false },
	{ "out: with its second address (it was its source once)", { VM1, WORLD, WORLD, P(100) },
		false },
	{ "out: with an address that is another VM's now", { VM1, WORLD, WORLD, P(101) }, true },
	{ "out: with an address that is free now", { VM1, WORLD, WORLD, P(105) }, true },
	{ "out: a VM without an address, by somebody else's masquerade",
		{ VM5, WORLD, WORLD, HOST }, false },
	{ "out: a VM without an address, not translated", { VM5, WORLD, WORLD, VM5 }, false },
	{ "out: the host itself with a bound address", { P(99), WORLD, WORLD, P(99) }, false },
	{ "out: the host itself", { HOST, WORLD, WORLD, HOST }, false },
	{ "out: begun before the VM got its address", { VM1, WORLD, WORLD, VM1 }, true, VM1 },
	{ "out: the same, but another VM got one", { VM1, WORLD, WORLD, VM1 }, false, VM2 },
	{ "inside: VM to VM is not translated", { VM1, VM2, VM2, VM1 }, false, VM1 },
	{ "inside: VM to the host", { VM1, SELF, SELF, VM1 }, false, VM1 },
	{ "hairpin: VM to VM by public addresses", { VM1, P(101), VM2, P(99) }, false },
	{ "hairpin: to itself", { VM1, P(99), VM1, P(99) }, false },
	{ "hairpin: a VM without an address, by the bridge's", { VM5, P(99), VM1, SELF }, false },
	{ "hairpin: to the VM that had the address before", { VM1, P(101), VM5, P(99) }, true },
	{ "hairpin: from the VM that had the address before", { VM5, P(101), VM2, P(99) }, true },
	{ "the host to a public address", { HOST, P(99), VM1, HOST }, false },
	{ "the host to a public address, by the VM that had it before", { HOST, P(99), VM2, HOST },
		true },
	{ "forward: to the VM of the port", { WORLD, P(103), VM3, WORLD, IPPROTO_TCP, 80 }, false },
	{ "forward: to the VM of another port", { WORLD, P(103), VM3, WORLD, IPPROTO_TCP, 443 },
		true },
	{ "forward: to the VM of the port of the other protocol",
		{ WORLD, P(103), VM3, WORLD, IPPROTO_UDP, 80 }, true },
	{ "forward: a range, its first port", { WORLD, P(103), VM3, WORLD, IPPROTO_UDP, 5000 },
		false },
	{ "forward: a range, its last port", { WORLD, P(103), VM3, WORLD, IPPROTO_UDP, 5010 },
		false },
	{ "forward: behind the range", { WORLD, P(103), VM3, WORLD, IPPROTO_UDP, 5011 }, true },
	{ "forward: a port that goes nowhere is the host's",
		{ WORLD, P(103), P(103), WORLD, IPPROTO_TCP, 22 }, false },
	{ "forward: begun with the host before the port went to a VM",
		{ WORLD, P(103), P(103), WORLD, IPPROTO_TCP, 80 }, true },
	{ "forward: ICMP to a shared address is the host's",
		{ WORLD, P(103), P(103), WORLD, IPPROTO_ICMP, 0 }, false },
	{ "forward: out with the shared address, the VM whose source it is",
		{ VM3, WORLD, WORLD, P(103), IPPROTO_TCP, 25 }, false },
	{ "forward: out with the shared address, another VM",
		{ VM4, WORLD, WORLD, P(103), IPPROTO_TCP, 25 }, true },
};

static void test_flow(void **state)
{
	const struct flow_row *row = *state;
	struct config *config = config_of("");
	const struct desired desired = { .map = (struct mapping *)(uintptr_t)map,
		.count = COUNT(map),
		.ports = (struct port_mapping *)(uintptr_t)ports,
		.port_count = COUNT(ports) };
	struct flow_judge judge = { .config = config,
		.inner = self,
		.desired = &desired,
		.new_sources = &row->new_source,
		.new_source_count = row->new_source != 0 };

	assert_int_equal(flow_is_stale(&judge, &row->flow), row->stale);
	config_free(config);
}

/* With nothing bound, what is of the pool is stale and nothing else. */
static void test_nothing_bound(void **state)
{
	struct config *config = config_of("");
	const struct desired desired = { 0 };
	struct flow_judge judge = { .config = config, .inner = self, .desired = &desired };
	const struct flow in = { WORLD, P(99), VM1, WORLD }, out = { VM1, WORLD, WORLD, P(99) };
	const struct flow other = { VM1, WORLD, WORLD, VM1 },
			  masquerade = { VM1, WORLD, WORLD, HOST };

	(void)state;
	assert_true(flow_is_stale(&judge, &in));
	assert_true(flow_is_stale(&judge, &out));
	assert_false(flow_is_stale(&judge, &other));
	assert_false(flow_is_stale(&judge, &masquerade));
	config_free(config);
}

static void test_many_new_sources(void **state)
{
	struct config *config = config_of("");
	const struct desired desired = { 0 };
	uint32_t sources[100];
	struct flow_judge judge = { .config = config,
		.inner = self,
		.desired = &desired,
		.new_sources = sources,
		.new_source_count = COUNT(sources) };

	(void)state;
	for (uint32_t i = 0; i < COUNT(sources); i++)
		sources[i] = IP4(10, 77, 0, 10) + 2 * i;
	for (uint32_t i = 0; i < 2 * COUNT(sources); i++) {
		const uint32_t source = IP4(10, 77, 0, 10) + i;
		const struct flow flow = { source, WORLD, WORLD, source };

		assert_int_equal(flow_is_stale(&judge, &flow), i % 2 == 0);
	}
	config_free(config);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_flow, flow_rows);
	suite_add(&suite, "with nothing bound, only the pool's flows are stale", test_nothing_bound,
		NULL);
	suite_add(&suite, "new sources: each of many, and none beside them", test_many_new_sources,
		NULL);
	return suite_run(&suite, "reconcile");
}
