/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which VMs are isolated, on which ports, and the state file of it. */
#include "tests/unit/fixture.h"

#include <errno.h>

#include "natmgr/isolation.h"

#define PLAN                                    \
	"02:00:00:00:00:01,vm-001,10.77.0.11\n" \
	"02:00:00:00:00:02,vm-002,10.77.0.12\n"
#define NAME63 "v23456789-123456789-123456789-123456789-123456789-123456789-123"

#define HEADER "# eipd isolation, version 1\n"

/* The state file without its first line, which the caller frees. */
static char *dump(const struct isolation *isolation)
{
	size_t len;
	char *text = isolation_format(isolation, &len), *body;

	assert_int_equal(len, strlen(text));
	assert_int_equal(text[0], '#');
	body = strchr(text, '\n') + 1;
	memmove(text, body, strlen(body) + 1);
	return text;
}

static void assert_dump(const struct isolation *isolation, const char *expected)
{
	char *text = dump(isolation);

	assert_string_equal(text, expected);
	free(text);
}

/* The state file is this text behind the first line. */
static int parse_body(const char *body, struct isolation *ret_isolation, struct problems *problems)
{
	char *text;
	int err;

	assert_true(asprintf(&text, HEADER "%s", body) > 0);
	err = isolation_parse(text, "isolated", ret_isolation, problems);
	free(text);
	return err;
}

/* --- operations --------------------------------------------------------------------------- */

enum operation { END, ADD, REMOVE, FOLLOW, SEE, PRUNE, BOOT, CLAIM, MASK };

struct step {
	enum operation operation;
	const char *vm;
	const char *
		text; /* of ADD: the port; of FOLLOW: the plan; of BOOT: its name; else the port's */
	unsigned number;   /* of ADD: how many are allowed; else the port's index */
	bool is_unchanged; /* it changed nothing */
};

/* 192.0.2.0/24, 192.0.3.0/24, … */
static void make_allow(struct ip4_prefix *allow, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		allow[i] = (struct ip4_prefix){ IP4(192, 0, 2 + i, 0), 24 };
}

static bool run(struct isolation *isolation, const struct step *step)
{
	struct ip4_prefix allow[4];
	struct port port = { .index = step->number };
	struct plan *plan;
	static const struct mac vm1 = { { 2, 0, 0, 0, 0, 1 } };
	bool changed;

	switch (step->operation) {
	case ADD:
		make_allow(allow, step->number);
		return isolation_add(isolation, step->vm, allow, step->number,
			step->text ? step->text : "");
	case REMOVE:
		return isolation_remove(isolation, step->vm);
	case FOLLOW:
		plan = plan_of(step->text);
		changed = isolation_follow(isolation, plan);
		plan_free(plan);
		return changed;
	case SEE:
		snprintf(port.name, sizeof(port.name), "%s", step->text);
		return isolated_see(isolation_find(isolation, step->vm), &port);
	case PRUNE:
		/* the only port there is */
		snprintf(port.name, sizeof(port.name), "%s", step->text);
		return isolation_prune(isolation, &port, step->number ? 1 : 0);
	case BOOT:
		return isolation_boot(isolation, step->text);
	case CLAIM:
		snprintf(port.name, sizeof(port.name), "%s", step->text);
		return isolation_claim(isolation, &vm1, &port);
	case MASK:
		snprintf(port.name, sizeof(port.name), "%s", step->text);
		return isolation_note_mask(isolation, &port);
	case END:
		break;
	}
	abort();
}

static const struct step_row {
	const char *sentence;
	struct step steps[12];
	const char *dump;
} step_rows[] = {
	{ "nobody is isolated", { { END } }, "" },
	{ "add: a VM that nothing is known of", { { ADD, "vm-001" } }, "isolate vm-001\n" },
	{ "add: so already is done already",
		{ { ADD, "vm-001" }, { ADD, "vm-001", .is_unchanged = true } },
		"isolate vm-001\n" },
	{ "add: the case of a name means nothing",
		{ { ADD, "vm-001" }, { ADD, "VM-001", .is_unchanged = true } },
		"isolate vm-001\n" },
	{ "add: in the order in which they came", { { ADD, "vm-002" }, { ADD, "vm-001" } },
		"isolate vm-002\nisolate vm-001\n" },
	{ "add: with a port and whom it allows", { { ADD, "vm-001", "vnet1", 2 } },
		"isolate vm-001\nallow vm-001 192.0.2.0/24\nallow vm-001 192.0.3.0/24\n"
		"port vm-001 vnet1\n" },
	{ "add: the lists replace what was said before",
		{ { ADD, "vm-001", "vnet1", 2 }, { ADD, "vm-001", NULL, 1 } },
		"isolate vm-001\nallow vm-001 192.0.2.0/24\n" },
	{ "add: another port is a change",
		{ { ADD, "vm-001", "vnet1" }, { ADD, "vm-001", "vnet2" } },
		"isolate vm-001\nport vm-001 vnet2\n" },
	{ "add: the same port and allowed ones are none",
		{ { ADD, "vm-001", "vnet1", 3 },
			{ ADD, "vm-001", "vnet1", 3, .is_unchanged = true } },
		"isolate vm-001\nallow vm-001 192.0.2.0/24\nallow vm-001 192.0.3.0/24\n"
		"allow vm-001 192.0.4.0/24\nport vm-001 vnet1\n" },
	{ "add: again keeps what is known of the VM",
		{ { ADD, "vm-001" }, { FOLLOW, NULL, PLAN }, { SEE, "vm-001", "vnet1", 7 },
			{ ADD, "vm-001", NULL, 1 } },
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\nallow vm-001 192.0.2.0/24\n"
		"seen vm-001 vnet1 7\n" },
	{ "add: a name of 63 letters", { { ADD, NAME63 } }, "isolate " NAME63 "\n" },
	{ "add: the port that was named in error is not the VM's any more",
		{ { ADD, "vm-001", "vnet1" }, { SEE, "vm-001", "vnet1", 7 },
			{ SEE, "vm-001", "vnet3", 8 }, { ADD, "vm-001", "vnet2" } },
		"isolate vm-001\nport vm-001 vnet2\nseen vm-001 vnet3 8\n" },
	{ "add: without a port the one that is known stays",
		{ { ADD, "vm-001", "vnet1" }, { SEE, "vm-001", "vnet1", 7 }, { ADD, "vm-001" } },
		"isolate vm-001\nseen vm-001 vnet1 7\n" },
	{ "remove", { { ADD, "vm-001", "vnet1", 2 }, { REMOVE, "vm-001" } }, "" },
	{ "remove: in another case", { { ADD, "vm-001" }, { REMOVE, "Vm-001" } }, "" },
	{ "remove: of one who is not there",
		{ { ADD, "vm-001" }, { REMOVE, "vm-002", .is_unchanged = true } },
		"isolate vm-001\n" },
	{ "remove: from the middle, the others stay as they were",
		{ { ADD, "a", "vnet1" }, { ADD, "b", "vnet2" }, { ADD, "c", "vnet3", 1 },
			{ REMOVE, "b" } },
		"isolate a\nport a vnet1\nisolate c\nallow c 192.0.2.0/24\nport c vnet3\n" },
	{ "remove: and add again: nothing is left of the first time",
		{ { ADD, "vm-001", "vnet1", 1 }, { SEE, "vm-001", "vnet1", 7 },
			{ REMOVE, "vm-001" }, { ADD, "vm-001" } },
		"isolate vm-001\n" },
	{ "follow: the plan says what is known of the VM",
		{ { ADD, "vm-001" }, { ADD, "vm-009" }, { FOLLOW, NULL, PLAN } },
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\nisolate vm-009\n" },
	{ "follow: the same plan again is no change",
		{ { ADD, "vm-001" }, { FOLLOW, NULL, PLAN },
			{ FOLLOW, NULL, PLAN, .is_unchanged = true } },
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\n" },
	{ "follow: a VM that leaves the plan is kept as it was",
		{ { ADD, "vm-001" }, { FOLLOW, NULL, PLAN },
			{ FOLLOW, NULL, "", .is_unchanged = true } },
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\n" },
	{ "follow: another address and MAC",
		{ { ADD, "vm-001" }, { FOLLOW, NULL, PLAN },
			{ FOLLOW, NULL, "02:00:00:00:00:07,vm-001,10.77.0.17\n" } },
		"isolate vm-001 02:00:00:00:00:07 10.77.0.17\n" },
	{ "follow: the name is written as the plan writes it",
		{ { ADD, "VM-001" }, { FOLLOW, NULL, PLAN },
			{ FOLLOW, NULL, PLAN, .is_unchanged = true } },
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\n" },
	{ "follow: a plan that writes the name in another way",
		{ { ADD, "vm-001" }, { FOLLOW, NULL, PLAN },
			{ FOLLOW, NULL, "02:00:00:00:00:01,Vm-001,10.77.0.11\n" } },
		"isolate Vm-001 02:00:00:00:00:01 10.77.0.11\n" },
	{ "follow: another name of the same MAC",
		{ { ADD, "vm-001", "vnet1", 1 }, { FOLLOW, NULL, PLAN },
			{ SEE, "vm-001", "vnet1", 7 },
			{ FOLLOW, NULL, "02:00:00:00:00:01,new,10.77.0.19\n" } },
		"isolate new 02:00:00:00:00:01 10.77.0.19\nallow new 192.0.2.0/24\n"
		"port new vnet1\nseen new vnet1 7\n" },
	{ "follow: another name, and the old one back",
		{ { ADD, "vm-001" }, { FOLLOW, NULL, PLAN },
			{ FOLLOW, NULL, "02:00:00:00:00:01,new,10.77.0.11\n" },
			{ FOLLOW, NULL, PLAN } },
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\n" },
	{ "follow: another name, and then rejoined by that",
		{ { ADD, "vm-001" }, { FOLLOW, NULL, PLAN },
			{ FOLLOW, NULL, "02:00:00:00:00:01,new,10.77.0.11\n" },
			{ REMOVE, "vm-001", .is_unchanged = true }, { REMOVE, "new" } },
		"" },
	{ "follow: another name while it is in no plan",
		{ { ADD, "vm-001" }, { FOLLOW, NULL, PLAN },
			{ FOLLOW, NULL, "", .is_unchanged = true },
			{ FOLLOW, NULL, "02:00:00:00:00:01,new,10.77.0.11\n" } },
		"isolate new 02:00:00:00:00:01 10.77.0.11\n" },
	{ "follow: its name goes to another VM: both are isolated, the port is the machine's",
		{ { ADD, "vm-001", NULL, 1 }, { FOLLOW, NULL, PLAN }, { SEE, "vm-001", "vnet1", 7 },
			{ FOLLOW, NULL,
				"02:00:00:00:00:01,vm-002,10.77.0.11\n"
				"02:00:00:00:00:02,vm-001,10.77.0.12\n" } },
		"isolate vm-002 02:00:00:00:00:01 10.77.0.11\nallow vm-002 192.0.2.0/24\n"
		"seen vm-002 vnet1 7\n"
		"isolate vm-001 02:00:00:00:00:02 10.77.0.12\nallow vm-001 192.0.2.0/24\n" },
	{ "follow: two that are isolated change their names",
		{ { ADD, "vm-001", NULL, 1 }, { ADD, "vm-002", "vnet9" }, { FOLLOW, NULL, PLAN },
			{ SEE, "vm-001", "vnet1", 7 }, { SEE, "vm-002", "vnet2", 8 },
			{ FOLLOW, NULL,
				"02:00:00:00:00:01,vm-002,10.77.0.11\n"
				"02:00:00:00:00:02,vm-001,10.77.0.12\n" } },
		"isolate vm-002 02:00:00:00:00:01 10.77.0.11\nseen vm-002 vnet1 7\n"
		"isolate vm-001 02:00:00:00:00:02 10.77.0.12\nallow vm-001 192.0.2.0/24\n"
		"port vm-001 vnet9\nseen vm-001 vnet2 8\n" },
	{ "follow: it takes the name of one that is isolated and gone: they are one",
		{ { ADD, "vm-001" }, { ADD, "vm-002" }, { FOLLOW, NULL, PLAN },
			{ SEE, "vm-001", "vnet1", 7 }, { SEE, "vm-002", "vnet2", 8 },
			{ FOLLOW, NULL, "02:00:00:00:00:01,vm-002,10.77.0.11\n" },
			{ REMOVE, "vm-002" } },
		"" },
	{ "see: a port", { { ADD, "vm-001" }, { SEE, "vm-001", "vnet1", 7 } },
		"isolate vm-001\nseen vm-001 vnet1 7\n" },
	{ "see: the same port again",
		{ { ADD, "vm-001" }, { SEE, "vm-001", "vnet1", 7 },
			{ SEE, "vm-001", "vnet1", 7, .is_unchanged = true } },
		"isolate vm-001\nseen vm-001 vnet1 7\n" },
	{ "see: a second port, and the first is not forgotten",
		{ { ADD, "vm-001" }, { SEE, "vm-001", "vnet1", 7 }, { SEE, "vm-001", "vnet2", 9 } },
		"isolate vm-001\nseen vm-001 vnet1 7\nseen vm-001 vnet2 9\n" },
	{ "prune: a port that is there stays",
		{ { ADD, "vm-001" }, { SEE, "vm-001", "vnet1", 7 },
			{ PRUNE, NULL, "vnet1", 7, .is_unchanged = true } },
		"isolate vm-001\nseen vm-001 vnet1 7\n" },
	{ "prune: a port that is gone goes",
		{ { ADD, "vm-001" }, { SEE, "vm-001", "vnet1", 7 }, { SEE, "vm-001", "vnet2", 9 },
			{ PRUNE, NULL, "vnet2", 9 } },
		"isolate vm-001\nseen vm-001 vnet2 9\n" },
	{ "prune: another port of the same index",
		{ { ADD, "vm-001" }, { SEE, "vm-001", "vnet1", 7 }, { PRUNE, NULL, "vnet2", 7 } },
		"isolate vm-001\n" },
	{ "prune: another port of the same name",
		{ { ADD, "vm-001" }, { SEE, "vm-001", "vnet1", 7 }, { PRUNE, NULL, "vnet1", 8 } },
		"isolate vm-001\n" },
	{ "boot: the first that is known says nothing of ports",
		{ { ADD, "vm-001" }, { SEE, "vm-001", "vnet1", 7 },
			{ BOOT, NULL, "aa-1", .is_unchanged = true } },
		"boot aa-1\nisolate vm-001\nseen vm-001 vnet1 7\n" },
	{ "boot: the same",
		{ { BOOT, NULL, "aa-1", .is_unchanged = true }, { ADD, "vm-001" },
			{ SEE, "vm-001", "vnet1", 7 }, { CLAIM, NULL, "vnet1", 7 },
			{ BOOT, NULL, "aa-1", .is_unchanged = true } },
		"boot aa-1\nclaim 02:00:00:00:00:01 vnet1 7\nisolate vm-001\n"
		"seen vm-001 vnet1 7\n" },
	{ "boot: another: name and index may be another VM's",
		{ { BOOT, NULL, "aa-1", .is_unchanged = true }, { ADD, "vm-001", "vnet1" },
			{ SEE, "vm-001", "vnet1", 7 }, { CLAIM, NULL, "vnet1", 7 },
			{ MASK, NULL, "vnet1", 7 }, { BOOT, NULL, "aa-2" } },
		"boot aa-2\nisolate vm-001\nport vm-001 vnet1\n" },
	{ "boot: one that is not known says nothing",
		{ { BOOT, NULL, "aa-1", .is_unchanged = true }, { ADD, "vm-001" },
			{ SEE, "vm-001", "vnet1", 7 }, { BOOT, NULL, "", .is_unchanged = true } },
		"boot aa-1\nisolate vm-001\nseen vm-001 vnet1 7\n" },
	{ "claim: the same again",
		{ { CLAIM, NULL, "vnet1", 7 }, { CLAIM, NULL, "vnet1", 7, .is_unchanged = true } },
		"claim 02:00:00:00:00:01 vnet1 7\n" },
	{ "claim: a VM on two ports", { { CLAIM, NULL, "vnet1", 7 }, { CLAIM, NULL, "vnet2", 8 } },
		"claim 02:00:00:00:00:01 vnet1 7\nclaim 02:00:00:00:00:01 vnet2 8\n" },
	{ "claim: another link of the same index",
		{ { CLAIM, NULL, "vnet1", 7 }, { CLAIM, NULL, "vnet2", 7 } },
		"claim 02:00:00:00:00:01 vnet2 7\n" },
	{ "claim, mask: a port that is gone is forgotten",
		{ { CLAIM, NULL, "vnet1", 7 }, { CLAIM, NULL, "vnet2", 8 },
			{ MASK, NULL, "vnet1", 7 }, { MASK, NULL, "vnet2", 8 },
			{ PRUNE, NULL, "vnet2", 8 } },
		"mask vnet2 8 0\nclaim 02:00:00:00:00:01 vnet2 8\n" },
	{ "mask: what a port had first counts",
		{ { MASK, NULL, "vnet1", 7 }, { MASK, NULL, "vnet1", 7, .is_unchanged = true } },
		"mask vnet1 7 0\n" },
	{ "prune: no port is there at all, and the one named by hand is kept",
		{ { ADD, "vm-001", "vnet1" }, { SEE, "vm-001", "vnet1", 7 },
			{ PRUNE, NULL, "", 0 } },
		"isolate vm-001\nport vm-001 vnet1\n" },
	{ "prune: and a port comes back",
		{ { ADD, "vm-001" }, { SEE, "vm-001", "vnet1", 7 }, { PRUNE, NULL, "", 0 },
			{ SEE, "vm-001", "vnet1", 8 } },
		"isolate vm-001\nseen vm-001 vnet1 8\n" },
};

static void test_steps(void **state)
{
	const struct step_row *row = *state;
	struct isolation isolation = { 0 }, copy, read;
	struct problems problems = { 0 };
	size_t len;
	char *text;

	for (const struct step *step = row->steps; step->operation; step++)
		assert_int_equal(run(&isolation, step), !step->is_unchanged);
	assert_dump(&isolation, row->dump);
	/* a copy has lists of its own, and the file says it all */
	isolation_copy(&isolation, &copy);
	text = isolation_format(&isolation, &len);
	isolation_done(&isolation);
	assert_int_equal(isolation.count, 0);
	assert_dump(&copy, row->dump);
	isolation_done(&copy);
	assert_int_equal(isolation_parse(text, "isolated", &read, &problems), 0);
	assert_int_equal(problems.count, 0);
	assert_dump(&read, row->dump);
	isolation_done(&read);
	free(text);
}

static void test_find_mac(void **state)
{
	struct plan *plan = plan_of(PLAN);
	struct isolation isolation = { 0 };
	const struct mac one = { { 2, 0, 0, 0, 0, 1 } }, none = { { 0 } };

	(void)state;
	(void)isolation_add(&isolation, "vm-009", NULL, 0, "");
	(void)isolation_add(&isolation, "vm-001", NULL, 0, "");
	/* before the plan has said it, nobody has a MAC, not even 00:00:00:00:00:00 */
	assert_null(isolation_find_mac(&isolation, &one));
	assert_null(isolation_find_mac(&isolation, &none));
	(void)isolation_follow(&isolation, plan);
	assert_string_equal(isolation_find_mac(&isolation, &one)->vm, "vm-001");
	assert_null(isolation_find_mac(&isolation, &none));
	isolation_done(&isolation);
	plan_free(plan);
}

/* --- the state file ----------------------------------------------------------------------- */

static const struct parse_row {
	const char *sentence, *text;
	const char *dump; /* of what was made of it */
	unsigned line; /* of a problem, counted from the second one of the file; 0: there is none */
	const char *problem;
} parse_rows[] = {
	{ "file: empty", "", "" },
	{ "file: comments, blank lines, CRLF, tabs, blanks",
		"# eipd\n\n   \n\t#x\r\n  isolate\tvm-001   02:00:00:00:00:01 10.77.0.11 \r\n",
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\n" },
	{ "file: no newline at its end", "isolate vm-001", "isolate vm-001\n" },
	{ "file: all that a VM can have",
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\nallow vm-001 192.0.2.7/32\n"
		"allow vm-001 0.0.0.0/0\nport vm-001 vif1.0\nseen vm-001 vif1.0 7\n"
		"seen vm-001 vif2.0 9\n",
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\nallow vm-001 192.0.2.7/32\n"
		"allow vm-001 0.0.0.0/0\nport vm-001 vif1.0\nseen vm-001 vif1.0 7\n"
		"seen vm-001 vif2.0 9\n" },
	{ "file: all that is not of an isolated VM",
		"boot 3ad5f0c2-0f5b-4a3e-9f6b-5d1f8f6e2a10\nmask vnet1 7 8\nmask vnet2 8 65535\n"
		"claim 02:00:00:00:00:01 vnet1 7\nclaim 02:00:00:00:00:02 tap2 9\n",
		"boot 3ad5f0c2-0f5b-4a3e-9f6b-5d1f8f6e2a10\nmask vnet1 7 8\nmask vnet2 8 65535\n"
		"claim 02:00:00:00:00:01 vnet1 7\nclaim 02:00:00:00:00:02 tap2 9\n" },
	{ "file: a port is whose it was said to be last",
		"claim 02:00:00:00:00:01 vnet1 7\nclaim 02:00:00:00:00:02 vnet1 7\n",
		"claim 02:00:00:00:00:02 vnet1 7\n" },
	{ "file: of an older eipd, which had the mask where the port is",
		"isolate vm-001\nseen vm-001 vnet1 7 8\nseen vm-001 vnet2 9 0\n",
		"mask vnet1 7 8\nmask vnet2 9 0\nisolate vm-001\nseen vm-001 vnet1 7\n"
		"seen vm-001 vnet2 9\n" },
	{ "file: a VM twice is once, and the later line is right",
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\n"
		"isolate VM-001 02:00:00:00:00:02 10.77.0.12\n",
		"isolate vm-001 02:00:00:00:00:02 10.77.0.12\n" },
	{ "file: VMs of the names that words have",
		"isolate isolate\nisolate allow\nallow port 192.0.2.0/24\nport seen vnet1\n",
		"isolate isolate\nisolate allow\nisolate port\nallow port 192.0.2.0/24\n"
		"isolate seen\nport seen vnet1\n" },
	{ "file: another network's address is kept as it was written",
		"isolate vm-001\nallow vm-001 192.0.2.7/24\n",
		"isolate vm-001\nallow vm-001 192.0.2.7/24\n" },
	/* damaged: the VM that the line names is isolated all the same */
	{ "damaged: an unknown word", "isolat vm-001\n", "isolate vm-001\n", 1,
		"expected isolate, allow, port, seen, boot" },
	{ "damaged: a MAC that is cut off", "isolate vm-001 02:00:00:00:00:0\n", "isolate vm-001\n",
		1, "expected isolate VM" },
	{ "damaged: no MAC", "isolate vm-001 02:00:00:00:00 10.77.0.11\n", "isolate vm-001\n", 1,
		"MAC" },
	{ "damaged: a MAC that no VM can have", "isolate vm-001 01:00:5e:00:00:01 10.77.0.11\n",
		"isolate vm-001\n", 1, "MAC" },
	{ "damaged: no address", "isolate vm-001 02:00:00:00:00:01 10.77.0\n", "isolate vm-001\n",
		1, "address" },
	{ "damaged: an address that no VM can have", "isolate vm-001 02:00:00:00:00:01 0.0.0.0\n",
		"isolate vm-001\n", 1, "address" },
	{ "damaged: too many words", "isolate vm-001 02:00:00:00:00:01 10.77.0.11 a b c d\n",
		"isolate vm-001\n", 1, "expected isolate VM" },
	{ "damaged: only its list of allowed ones is there", "\nallow vm-001 192.0.2.0/33\n",
		"isolate vm-001\n", 2, "expected allow" },
	{ "damaged: nobody is allowed", "allow vm-001\n", "isolate vm-001\n", 1, "expected allow" },
	{ "damaged: a port without a name", "port vm-001\n", "isolate vm-001\n", 1,
		"expected port" },
	{ "damaged: a port of 16 letters", "port vm-001 vnet567890123456\n", "isolate vm-001\n", 1,
		"expected port" },
	{ "a port of 15 letters", "port vm-001 vnet56789012345\n",
		"isolate vm-001\nport vm-001 vnet56789012345\n" },
	{ "damaged: a port that is a path", "seen vm-001 ../x 7 0\n", "isolate vm-001\n", 1,
		"expected seen" },
	{ "damaged: a port without an index", "seen vm-001 vnet1 0\n", "isolate vm-001\n", 1,
		"expected seen" },
	{ "damaged: no name of a boot", "boot ../x\n", "", 1, "expected boot" },
	{ "damaged: a mask of no port", "mask vnet1 7\n", "", 1, "expected mask" },
	{ "damaged: a claim without a MAC", "claim vnet1 7\n", "", 1, "expected claim" },
	{ "damaged: a claim of a group's MAC", "claim 01:00:5e:00:00:01 vnet1 7\n", "", 1,
		"expected claim" },
	{ "damaged: a mask that no port has", "seen vm-001 vnet1 7 65536\n", "isolate vm-001\n", 1,
		"expected seen" },
	{ "damaged: a port of index 0", "seen vm-001 vnet1 0 0\n", "isolate vm-001\n", 1,
		"expected seen" },
	{ "damaged: an index that no link has", "seen vm-001 vnet1 2147483648 0\n",
		"isolate vm-001\n", 1, "expected seen" },
	{ "damaged: no name", "isolate\n", "", 1, "name" },
	{ "damaged: no name that a VM can have", "isolate -vm\n", "", 1, "name" },
	{ "damaged: a name of 64 letters", "isolate " NAME63 "4\n", "", 1, "name" },
	{ "damaged: a name of odd octets", "isolate vm\xff\x01\n", "", 1, "name" },
	{ "damaged: what follows is not lost", "\x1b[31m\nport\nisolate vm-002\n",
		"isolate vm-002\n", 2, "name" },
	{ "damaged: the end is cut off in the middle of a line",
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\nisolate vm-002 02:00:00",
		"isolate vm-001 02:00:00:00:00:01 10.77.0.11\nisolate vm-002\n", 2,
		"expected isolate VM" },
};

static void test_parse(void **state)
{
	const struct parse_row *row = *state;
	struct isolation isolation, again;
	struct problems problems = { 0 };
	char *text;
	size_t len;
	int err = parse_body(row->text, &isolation, &problems);

	if (!row->line)
		problems_print(&problems);
	assert_int_equal(err, row->line ? -EINVAL : 0);
	assert_dump(&isolation, row->dump);
	if (row->line)
		assert_int_equal(problems_match(&problems, row->line + 1, row->problem), 1);
	else
		assert_int_equal(problems.count, 0);
	for (size_t i = 0; i < problems.count; i++)
		assert_string_equal(problems.list[i].file, "isolated");
	problems_done(&problems);
	/* what is written next is not damaged any more */
	text = isolation_format(&isolation, &len);
	assert_int_equal(isolation_parse(text, "isolated", &again, &problems), 0);
	assert_dump(&again, row->dump);
	free(text);
	isolation_done(&again);
	isolation_done(&isolation);
}

static const struct header_row {
	const char *sentence, *text;
	int err;
} header_rows[] = {
	{ "header: with what comes behind it", HEADER "isolate vm-001\n", 0 },
	{ "header: and more on its line", "# eipd isolation, version 1; x\nisolate vm-001\n", 0 },
	{ "header: not there", "isolate vm-001\n", -EINVAL },
	{ "header: of another version", "# eipd isolation, version 2\nisolate vm-001\n", -EINVAL },
	{ "header: not at the beginning", "\n" HEADER "isolate vm-001\n", -EINVAL },
	{ "header: cut off", "# eipd isolation\nisolate vm-001\n", -EINVAL },
};

/* Without it the file is damaged, and who is in it is isolated all the same. */
static void test_header(void **state)
{
	const struct header_row *row = *state;
	char *text = strdup(row->text);
	struct isolation isolation;
	struct problems problems = { 0 };

	assert_int_equal(isolation_parse(text, "isolated", &isolation, &problems), row->err);
	assert_int_equal(problems_match(&problems, 1, "version 1"), row->err != 0);
	assert_dump(&isolation, "isolate vm-001\n");
	isolation_done(&isolation);
	problems_done(&problems);
	free(text);
}

static void test_empty(void **state)
{
	char text[] = "";
	struct isolation isolation;
	struct problems problems = { 0 };

	(void)state;
	assert_int_equal(isolation_parse(text, "isolated", &isolation, &problems), -EINVAL);
	assert_int_equal(isolation.count, 0);
	problems_done(&problems);
}

static const struct name_row {
	const char *sentence, *name;
	bool is_valid;
} name_rows[] = {
	{ "port's name: a tap", "vnet1", true },
	{ "port's name: a virtual interface of Xen", "vif12.0-emu", true },
	{ "port's name: of 15 octets", "vnet56789012345", true },
	{ "port's name: not of letters", "#\xc3\xa4", true },
	{ "port's name: of 16 octets", "vnet567890123456", false },
	{ "port's name: nothing", "", false },
	{ "port's name: a blank", "vnet 1", false },
	{ "port's name: a tab", "vnet\t1", false },
	{ "port's name: a newline, which would be a line of its own", "a\nisolate", false },
	{ "port's name: a carriage return, which would not be read back", "vn\ret", false },
	{ "port's name: a vertical tab", "\v", false },
	{ "port's name: a path", "../x", false },
	{ "port's name: a directory", "..", false },
	{ "port's name: a label", "eth0:1", false },
};

/* What is valid is read back from the state file. */
static void test_name(void **state)
{
	const struct name_row *row = *state;
	struct isolation isolation = { 0 }, again;
	struct problems problems = { 0 };
	char *text;
	size_t len;

	assert_int_equal(port_name_is_valid(row->name), row->is_valid);
	if (!row->is_valid)
		return;
	(void)isolation_add(&isolation, "vm-001", NULL, 0, row->name);
	text = isolation_format(&isolation, &len);
	assert_int_equal(isolation_parse(text, "isolated", &again, &problems), 0);
	assert_string_equal(again.list[0].wanted_port, row->name);
	isolation_done(&isolation);
	isolation_done(&again);
	free(text);
}

/* --- limits ------------------------------------------------------------------------------- */

/* `count` lines by `format`, which takes a number. */
static char *lines(const char *format, unsigned count)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (unsigned i = 1; i <= count; i++)
		fprintf(out, format, i);
	fclose(out);
	return text;
}

static const struct limit_row {
	const char *sentence, *format;
	unsigned count;
	size_t vms, allowed, ports;
	bool is_too_many;
} limit_rows[] = {
	{ "limits: as many VMs as a bridge has ports", "isolate vm-%u\n", ISOLATION_MAX,
		ISOLATION_MAX, 0, 0, false },
	{ "limits: a VM more", "isolate vm-%u\n", ISOLATION_MAX + 1, ISOLATION_MAX, 0, 0, true },
	{ "limits: as many allowed prefixes as can be", "allow vm 10.0.%u.0/24\n", ALLOW_MAX, 1,
		ALLOW_MAX, 0, false },
	{ "limits: a prefix more, and the VM is isolated all the same", "allow vm 10.0.%u.0/24\n",
		ALLOW_MAX + 1, 1, ALLOW_MAX, 0, true },
	{ "limits: as many ports as a bridge has", "seen vm vnet %u 0\n", ISOLATION_MAX, 1, 0,
		ISOLATION_MAX, false },
	{ "limits: a port more, and the VM is isolated all the same", "seen vm vnet %u 0\n",
		ISOLATION_MAX + 1, 1, 0, ISOLATION_MAX, true },
};

static void test_limits(void **state)
{
	const struct limit_row *row = *state;
	char *text = lines(row->format, row->count);
	struct isolation isolation;
	struct problems problems = { 0 };

	assert_int_equal(parse_body(text, &isolation, &problems), row->is_too_many ? -EINVAL : 0);
	assert_int_equal(problems.count, row->is_too_many);
	if (row->is_too_many)
		assert_int_equal(problems_match(&problems, row->count + 1, "too many"), 1);
	assert_int_equal(isolation.count, row->vms);
	assert_int_equal(isolation.list[0].allow_count, row->allowed);
	assert_int_equal(isolation.list[0].port_count, row->ports);
	isolation_done(&isolation);
	problems_done(&problems);
	free(text);
}

static void test_full(void **state)
{
	char *text = lines("isolate vm-%u\n", ISOLATION_MAX), *more;
	struct isolation isolation, again;
	struct problems problems = { 0 };
	size_t len;

	(void)state;
	assert_int_equal(parse_body(text, &isolation, &problems), 0);
	free(text);
	/* lines of VMs that are in the list do not count again */
	text = isolation_format(&isolation, &len);
	assert_true(asprintf(&more, "%sallow vm-1024 192.0.2.0/24\nport VM-1 vnet1\n", text) > 0);
	assert_int_equal(isolation_parse(more, "isolated", &again, &problems), 0);
	assert_int_equal(again.count, ISOLATION_MAX);
	assert_int_equal(isolation_find(&again, "vm-1024")->allow_count, 1);
	assert_string_equal(isolation_find(&again, "vm-1")->wanted_port, "vnet1");
	isolation_done(&again);
	isolation_done(&isolation);
	free(more);
	free(text);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_steps, step_rows);
	suite_add(&suite, "a MAC is a VM's only when the plan has said so", test_find_mac, NULL);
	SUITE_ROWS(&suite, test_parse, parse_rows);
	SUITE_ROWS(&suite, test_header, header_rows);
	suite_add(&suite, "header: an empty file is damaged", test_empty, NULL);
	SUITE_ROWS(&suite, test_name, name_rows);
	SUITE_ROWS(&suite, test_limits, limit_rows);
	suite_add(&suite, "limits: a full list is read, and says more of who is in it", test_full,
		NULL);
	return suite_run(&suite, "isolation");
}
