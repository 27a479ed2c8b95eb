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
		assert_int_equal(port->index, seats[i].port);
		fprintf(out, "%s%s@%u", i ? " " : "", seats[i].vm->name, seats[i].port);
	}
	for (size_t i = 0; i < plan_count(seating->plan); i++)
		known += seating_of(seating, plan_vm(seating->plan, i)) != NULL;
	assert_int_equal(known, count);
	fclose(out);
	free(seats);
	return text;
}

enum operation { END, PORTS, LEARN, REPLAN };

struct step {
	enum operation operation;
	const char *text;  /* of LEARN: the MAC; of REPLAN: the plan */
	unsigned ports[4]; /* of PORTS: all, by ascending index; of LEARN: the one */
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

static void run(struct seating *seating, struct plan **plan, const struct step *step)
{
	struct plan_change change;
	struct plan *before;
	struct port *ports;
	struct mac mac;
	size_t count;

	switch (step->operation) {
	case PORTS:
		ports = make_ports(step->ports, &count);
		assert_int_equal(seating_set_ports(seating, ports, count), step->changes);
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
		plan_change_done(&change);
		plan_free(before);
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

static const struct seating_row {
	const char *sentence;
	bool is_sticky;
	struct step steps[12];
	const char *dump;
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
};

static void test_steps(void **state)
{
	const struct seating_row *row = *state;
	struct plan *plan = plan_of(PLAN);
	struct seating seating;
	char *text;

	seating_init(&seating, plan, row->is_sticky);
	for (const struct step *step = row->steps; step->operation; step++)
		run(&seating, &plan, step);
	text = dump(&seating);
	assert_string_equal(text, row->dump);
	free(text);
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
