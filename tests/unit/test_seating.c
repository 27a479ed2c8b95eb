/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which VM sits on which port, by what the bridge has learned. */
#include "tests/unit/fixture.h"

#include "natmgr/seating.h"

#define VM1  "02:00:00:00:00:01"
#define VM2  "02:00:00:00:00:02"
#define VM3  "02:00:00:00:00:03"
#define PLAN VM1 ",vm-001,10.77.0.11\n" VM2 ",vm-002,10.77.0.12\n" VM3 ",vm-003,10.77.0.13\n"

/* Who sits where, in the order of the plan: "vm-001@11 vm-002@12" */
static char *dump(const struct seating *seating)
{
	struct seat *seats;
	size_t count = seating_list(seating, &seats), known = 0, len;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < count; i++) {
		const struct port *port = seating_of(seating, seats[i].vm);

		/* the list and the question agree, and the port is there */
		assert_non_null(port);
		/* of the ports that the host says are its own, one */
		if (!seating_owner(seating, port))
			assert_int_equal(port->index, seats[i].port);
		fprintf(out, "%s%s@%u", i ? " " : "", seats[i].vm->name, seats[i].port);
	}
	for (size_t i = 0; i < plan_count(seating->plan); i++)
		known += seating_of(seating, plan_vm(seating->plan, i)) != NULL;
	assert_in_range(known, count ? 1 : 0, count);
	fclose(out);
	free(seats);
	return text;
}

/* Where the first VM is, or may be: "12 11 12". */
static void print_port(void *ctx, const struct port *port)
{
	FILE *out = ctx;

	fprintf(out, "%s%u", ftell(out) ? " " : "", port->index);
}

static char *dump_ports(const struct seating *seating)
{
	const struct mac mac = { { 2, 0, 0, 0, 0, 1 } };
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	seating_each_port(seating, plan_by_mac(seating->plan, &mac), print_port, out);
	fclose(out);
	return text;
}

enum operation { END, PORTS, LEARN, REPLAN, CLAIM };

struct step {
	enum operation operation;
	const char *text;  /* of LEARN and CLAIM: the MAC; of REPLAN: the plan */
	unsigned ports[4]; /* of PORTS: all, by ascending index; of the others: the one */
	const char *link;  /* of PORTS: the last one's address */
	bool changes;
};

static struct port *make_ports(const unsigned *index, size_t *ret_count)
{
	struct port *ports = calloc(4, sizeof(*ports));
	size_t count = 0;

	for (; count < 4 && index[count]; count++) {
		ports[count].index = index[count];
		snprintf(ports[count].name, sizeof(ports[count].name), "vnet%u", index[count]);
	}
	*ret_count = count;
	if (count)
		return ports;
	free(ports);
	return NULL;
}

static void run(struct seating *seating, struct isolation *isolation, struct plan **plan,
	const struct step *step)
{
	struct plan_change change;
	struct plan *before;
	struct port *ports;
	struct port port = { 0 };
	struct mac mac;
	size_t count;

	switch (step->operation) {
	case PORTS:
		ports = make_ports(step->ports, &count);
		if (step->link)
			assert_int_equal(mac_parse(step->link, &ports[count - 1].mac), 0);
		assert_int_equal(seating_set_ports(seating, ports, count), step->changes);
		(void)seating_hear(seating, isolation);
		return;
	case LEARN:
		assert_int_equal(mac_parse(step->text, &mac), 0);
		assert_int_equal(seating_learn(seating, &mac, step->ports[0]), step->changes);
		return;
	case REPLAN:
		before = *plan;
		*plan = plan_of(step->text);
		plan_compare(before, *plan, &change);
		seating_replan(seating, *plan, &change);
		(void)seating_hear(seating, isolation);
		plan_change_done(&change);
		plan_free(before);
		return;
	case CLAIM:
		assert_int_equal(mac_parse(step->text, &mac), 0);
		port.index = step->ports[0];
		snprintf(port.name, sizeof(port.name), "vnet%u", port.index);
		(void)isolation_claim(isolation, &mac, &port);
		assert_int_equal(seating_hear(seating, isolation), step->changes);
		return;
	case END:
		break;
	}
	abort();
}

#define ALL_PORTS                                            \
	{                                                    \
		PORTS, NULL, { 11, 12, 13 }, .changes = true \
	}
#define SITS(mac, port)                               \
	{                                             \
		LEARN, mac, { port }, .changes = true \
	}
#define NOTHING_NEW(mac, port) \
	{                      \
		LEARN, mac,    \
		{              \
			port   \
		}              \
	}

#define SAID(mac, number)                               \
	{                                               \
		CLAIM, mac, { number }, .changes = true \
	}
#define PORTS_WITH(address)                                           \
	{                                                             \
		PORTS, NULL, { 11, 12, 13 }, address, .changes = true \
	}
#define FE1 "fe:00:00:00:00:01"

static const struct seating_row {
	const char *sentence;
	bool is_sticky;
	struct step steps[12];
	const char *dump;
	const char *all_of_vm1; /* NULL: does not matter */
} seating_rows[] = {
	{ "nobody has been seen", false, { ALL_PORTS }, "" },
	{ "there are no ports", false, { { PORTS } }, "" },
	{ "seen: a VM of the plan", false, { ALL_PORTS, SITS(VM2, 12) }, "vm-002@12" },
	{ "seen: a MAC that nobody has", false, { ALL_PORTS, NOTHING_NEW("02:00:00:00:00:99", 12) },
		"" },
	{ "seen: on a port that we know nothing of, as the uplink", false,
		{ ALL_PORTS, NOTHING_NEW(VM2, 14), NOTHING_NEW(VM2, 0) }, "" },
	{ "seen: again on the same port", false, { ALL_PORTS, SITS(VM2, 12), NOTHING_NEW(VM2, 12) },
		"vm-002@12" },
	{ "seen: elsewhere: a VM is where it was seen last", false,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM1, 12) }, "vm-001@12" },
	{ "seen: two VMs on one port", false, { ALL_PORTS, SITS(VM1, 11), SITS(VM2, 11) },
		"vm-001@11 vm-002@11" },
	{ "seen: a VM on the uplink keeps the port that it had", false,
		{ ALL_PORTS, SITS(VM1, 11), NOTHING_NEW(VM1, 2) }, "vm-001@11" },
	{ "sticky: a VM of the plan", true, { ALL_PORTS, SITS(VM2, 12) }, "vm-002@12" },
	{ "sticky: a MAC that is seen elsewhere is a lie", true,
		{ ALL_PORTS, SITS(VM1, 11), NOTHING_NEW(VM1, 12) }, "vm-001@11" },
	{ "sticky: a second VM on a port is a lie", true,
		{ ALL_PORTS, SITS(VM1, 11), NOTHING_NEW(VM2, 11) }, "vm-001@11" },
	{ "sticky: who was refused may sit on a port of his own", true,
		{ ALL_PORTS, SITS(VM1, 11), NOTHING_NEW(VM2, 11), SITS(VM2, 12) },
		"vm-001@11 vm-002@12" },
	{ "sticky: three VMs", true, { ALL_PORTS, SITS(VM3, 13), SITS(VM1, 11), SITS(VM2, 12) },
		"vm-001@11 vm-002@12 vm-003@13" },
	{ "ports: the same ones again", true,
		{ ALL_PORTS, SITS(VM1, 11), { PORTS, NULL, { 11, 12, 13 } } }, "vm-001@11" },
	{ "ports: one comes, and nobody moves", true,
		{ ALL_PORTS, SITS(VM1, 11), { PORTS, NULL, { 11, 12, 13, 14 }, .changes = true } },
		"vm-001@11" },
	{ "ports: one goes that nobody sat on", true,
		{ ALL_PORTS, SITS(VM1, 11), { PORTS, NULL, { 11, 12 }, .changes = true } },
		"vm-001@11" },
	{ "ports: with the port goes the seat", true,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM2, 12),
			{ PORTS, NULL, { 12, 13 }, .changes = true } },
		"vm-002@12" },
	{ "ports: all go", true,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM2, 12), { PORTS, .changes = true } }, "" },
	{ "ports: a VM comes back on another one", true,
		{ ALL_PORTS, SITS(VM1, 11), { PORTS, NULL, { 12, 13, 14 }, .changes = true },
			SITS(VM1, 14) },
		"vm-001@14" },
	{ "ports: one that comes back has no seat any more", true,
		{ ALL_PORTS, SITS(VM1, 11), { PORTS, NULL, { 12 }, .changes = true }, ALL_PORTS,
			SITS(VM2, 11) },
		"vm-002@11" },
	{ "replan: the same plan", true, { ALL_PORTS, SITS(VM1, 11), { REPLAN, PLAN } },
		"vm-001@11" },
	{ "replan: another order of lines", true,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM3, 13),
			{ REPLAN,
				VM3 ",vm-003,10.77.0.13\n" VM2 ",vm-002,10.77.0.12\n" VM1
				    ",vm-001,10.77.0.11\n" } },
		"vm-003@13 vm-001@11" },
	{ "replan: a VM that is gone frees its port", true,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM2, 12),
			{ REPLAN, VM2 ",vm-002,10.77.0.12\n" VM3 ",vm-003,10.77.0.13\n" },
			SITS(VM3, 11) },
		"vm-002@12 vm-003@11" },
	{ "replan: a VM is who has the MAC, whatever its name", true,
		{ ALL_PORTS, SITS(VM1, 11), { REPLAN, VM1 ",other,10.77.0.99\n" } }, "other@11" },
	{ "replan: with another MAC it is another VM", true,
		{ ALL_PORTS, SITS(VM1, 11), { REPLAN, "02:00:00:00:00:99,vm-001,10.77.0.11\n" },
			NOTHING_NEW(VM1, 11), SITS("02:00:00:00:00:99", 11) },
		"vm-001@11" },
	{ "replan: an empty plan, and the VMs come back", false,
		{ ALL_PORTS, SITS(VM1, 11), { REPLAN, "" }, { REPLAN, PLAN }, SITS(VM1, 12) },
		"vm-001@12" },

	{ "seen: all ports are remembered, the last is where it is", false,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM1, 13), SITS(VM1, 12) }, "vm-001@12",
		"12 11 12 13" },
	{ "seen: there and back again", false,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM1, 12), SITS(VM1, 11) }, "vm-001@11",
		"11 11 12" },
	{ "seen: ports that go are forgotten", false,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM1, 12),
			{ PORTS, NULL, { 12, 13 }, .changes = true } },
		"vm-001@12", "12 12" },
	{ "seen: and not what others were seen on", false,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM2, 12), SITS(VM3, 13) },
		"vm-001@11 vm-002@12 vm-003@13", "11 11" },
	{ "seen: a plan of another order knows it yet", false,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM1, 12), SITS(VM2, 13),
			{ REPLAN, VM2 ",vm-002,10.77.0.12\n" VM1 ",vm-001,10.77.0.11\n" } },
		"vm-002@13 vm-001@12", "12 11 12" },
	{ "sticky: a lie is not remembered", true,
		{ ALL_PORTS, SITS(VM1, 11), NOTHING_NEW(VM1, 12) }, "vm-001@11", "11" },

	{ "said: before anything was seen", true, { ALL_PORTS, SAID(VM1, 12) }, "vm-001@12", "12" },
	{ "said: again is no news", true, { ALL_PORTS, SAID(VM1, 12), { CLAIM, VM1, { 12 } } },
		"vm-001@12", "12" },
	{ "said: of a MAC that nobody has", true,
		{ ALL_PORTS, { CLAIM, "02:00:00:00:00:99", { 12 } }, SITS(VM1, 12) }, "vm-001@12" },
	{ "said: goes before what was seen", true, { ALL_PORTS, SITS(VM1, 11), SAID(VM1, 12) },
		"vm-001@12", "12" },
	{ "said: goes before what is seen", true,
		{ ALL_PORTS, SAID(VM1, 12), NOTHING_NEW(VM1, 11), NOTHING_NEW(VM2, 12) },
		"vm-001@12", "12" },
	{ "said: who was seen there sits elsewhere", true,
		{ ALL_PORTS, SITS(VM2, 12), SAID(VM1, 12), SITS(VM2, 11) }, "vm-001@12 vm-002@11",
		"12" },
	{ "said: not sticky: its MAC elsewhere is a lie", false,
		{ ALL_PORTS, SITS(VM1, 11), SAID(VM1, 12), NOTHING_NEW(VM1, 13) }, "vm-001@12",
		"12" },
	{ "said: not sticky: others' MACs there are lies", false,
		{ ALL_PORTS, SAID(VM2, 12), NOTHING_NEW(VM1, 12), SITS(VM1, 11) },
		"vm-002@12 vm-001@11", "11 11" },
	{ "said: a lie that was seen before is forgotten", false,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM1, 12), SAID(VM2, 12) }, "vm-002@12", "11" },
	{ "said: a VM on two ports", true, { ALL_PORTS, SAID(VM1, 11), SAID(VM1, 13) },
		"vm-001@11 vm-001@13", "11 13" },
	{ "said: the last word counts", true, { ALL_PORTS, SAID(VM1, 11), SAID(VM2, 11) },
		"vm-002@11", "" },
	{ "said: as long as the port is there", true,
		{ ALL_PORTS, SAID(VM1, 12), { PORTS, NULL, { 11, 13 }, .changes = true },
			SITS(VM1, 11) },
		"vm-001@11", "11" },
	{ "said: another plan knows it yet", true,
		{ ALL_PORTS, SAID(VM1, 12), { REPLAN, VM1 ",other,10.77.0.11\n" } }, "other@12",
		"12" },

	{ "link: a port that was made for the guest is its own", true, { PORTS_WITH(FE1) },
		"vm-001@13", "13" },
	{ "link: and goes before what was seen", true,
		{ ALL_PORTS, SITS(VM1, 11), SITS(VM2, 13), PORTS_WITH(FE1) }, "vm-001@13", "13" },
	{ "link: vm port goes before it", true, { PORTS_WITH(FE1), SAID(VM2, 13) }, "vm-002@13",
		"" },
	{ "link: one that is as the guest's says nothing", true, { PORTS_WITH(VM1) }, "" },
	{ "link: nor does one of nobody", true, { PORTS_WITH("fe:00:00:00:00:99") }, "" },
	{ "link: nor one that two could have", true,
		{ PORTS_WITH(FE1),
			{ REPLAN, VM1 ",vm-001,10.77.0.11\n0a:00:00:00:00:01,two,10.77.0.12\n" } },
		"" },
	{ "link: nor that of Xen's backends", true,
		{ { REPLAN, "02:ff:ff:ff:ff:ff,vm-001,10.77.0.11\n" },
			PORTS_WITH("fe:ff:ff:ff:ff:ff") },
		"" },
	{ "link: of a guest whose MAC begins with fe", true,
		{ { REPLAN, FE1 ",vm-001,10.77.0.11\n" }, PORTS_WITH("fa:00:00:00:00:01") },
		"vm-001@13" },
};

static void test_steps(void **state)
{
	const struct seating_row *row = *state;
	struct plan *plan = plan_of(PLAN);
	struct isolation isolation = { 0 };
	struct seating seating;
	char *text;

	seating_init(&seating, plan, row->is_sticky);
	for (const struct step *step = row->steps; step->operation; step++)
		run(&seating, &isolation, &plan, step);
	text = dump(&seating);
	assert_string_equal(text, row->dump);
	free(text);
	if (row->all_of_vm1) {
		text = dump_ports(&seating);
		assert_string_equal(text, row->all_of_vm1);
		free(text);
	}
	isolation_done(&isolation);
	seating_done(&seating);
	plan_free(plan);
}

static void test_ports(void **state)
{
	const unsigned index[4] = { 11, 12 };
	struct plan *plan = plan_of("");
	struct seating seating;
	size_t count;

	(void)state;
	seating_init(&seating, plan, true);
	assert_null(seating_port(&seating, 11));
	assert_null(seating_port_by_name(&seating, "vnet11"));
	assert_true(seating_set_ports(&seating, make_ports(index, &count), 2));
	assert_string_equal(seating_port(&seating, 12)->name, "vnet12");
	assert_int_equal(seating_port_by_name(&seating, "vnet11")->index, 11);
	assert_null(seating_port(&seating, 0));
	assert_null(seating_port_by_name(&seating, "vnet1"));
	assert_null(seating_port_by_name(&seating, ""));
	seating_done(&seating);
	plan_free(plan);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_steps, seating_rows);
	suite_add(&suite, "ports: by index, and by name", test_ports, NULL);
	return suite_run(&suite, "seating");
}
