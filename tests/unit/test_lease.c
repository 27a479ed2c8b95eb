/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who holds a lease, until when, what is told of it, and what is remembered. */
#include "tests/unit/fixture.h"

#include "dhcpd/lease.h"

#define A "02:00:00:00:00:01,a,10.77.0.11\n"
#define B "02:00:00:00:00:02,b,10.77.0.12\n"
#define C "02:00:00:00:00:03,c,10.77.0.13\n"

#define WALL ((time_t)1700000000)

#define BOOT       "5c4b3a29-1807-46f5-8d3e-2f1a0b9c8d7e"
#define OTHER_BOOT "00000000-1807-46f5-8d3e-2f1a0b9c8d7e"

static struct lease_moment at(uint64_t now, time_t wall)
{
	return (struct lease_moment){ now, wall, BOOT };
}

/* The file's text. */
static char *written(struct lease_table *table, uint64_t now, time_t wall, size_t *ret_len)
{
	const struct lease_moment moment = at(now, wall);
	struct lease_snapshot snapshot;
	char *text;

	lease_snapshot(table, &moment, NULL, 0, &snapshot);
	text = lease_format(&snapshot, ret_len);
	lease_snapshot_done(&snapshot);
	return text;
}

/* What the listener was told: "add a 10.77.0.11 61000; " */
static char told[4096];

static void listener(void *ctx, enum lease_event event, const struct vm *vm, uint64_t expires,
	const char *old_name)
{
	static const char *const names[] = {
		[LEASE_ADD] = "add", [LEASE_OLD] = "old", [LEASE_DEL] = "del"
	};
	size_t len = strlen(told);
	char ip[IP4_STRLEN];

	assert_ptr_equal(ctx, told);
	len += (size_t)snprintf(told + len, sizeof(told) - len, "%s %s %s", names[event], vm->name,
		ip4_format(vm->ip, ip));
	if (event != LEASE_DEL && expires == LEASE_FOREVER)
		len += (size_t)snprintf(told + len, sizeof(told) - len, " forever");
	else if (event != LEASE_DEL)
		len += (size_t)snprintf(told + len, sizeof(told) - len, " %llu",
			(unsigned long long)expires);
	if (old_name)
		len += (size_t)snprintf(told + len, sizeof(told) - len, " was %s", old_name);
	snprintf(told + len, sizeof(told) - len, "; ");
}

static void assert_told(const char *expected)
{
	assert_string_equal(told, expected);
	told[0] = '\0';
}

static unsigned read_at(struct lease_table *table, const char *text, uint64_t now, time_t wall)
{
	const struct lease_moment moment = at(now, wall);

	return lease_read(table, text, &moment);
}

static struct lease_table *table_new(const struct plan *plan)
{
	told[0] = '\0';
	return lease_table_new(plan, listener, told);
}

static void test_grant(void **state)
{
	struct plan *plan = plan_of(A B);
	struct lease_table *table = table_new(plan);
	const struct vm *a = plan_vm(plan, 0), *b = plan_vm(plan, 1);

	(void)state;
	assert_int_equal(lease_expires(table, a), 0);
	assert_false(lease_is_expired(table, a));
	lease_grant(table, a, 60, 1000);
	assert_told("add a 10.77.0.11 61000; ");
	assert_int_equal(lease_expires(table, a), 61000);
	assert_int_equal(lease_expires(table, b), 0);
	/* 34: a repeated REQUEST, or a renewal, is not a second `add` */
	lease_grant(table, a, 60, 1000);
	lease_grant(table, a, 60, 31000);
	assert_told("");
	assert_int_equal(lease_expires(table, a), 91000);
	lease_grant(table, b, TIME_INFINITE, 1000);
	assert_told("add b 10.77.0.12 forever; ");
	assert_true(lease_expires(table, b) == LEASE_FOREVER);
	lease_table_free(table);
	plan_free(plan);
	lease_table_free(NULL);
}

static void test_longest_finite(void **state)
{
	struct plan *plan = plan_of(A);
	struct lease_table *table = table_new(plan);

	(void)state;
	/* milliseconds of a 32-bit number of seconds do not fit in 32 bits */
	lease_grant(table, plan_vm(plan, 0), UINT32_MAX - 1, 5);
	assert_true(lease_expires(table, plan_vm(plan, 0)) == UINT64_C(4294967294000) + 5);
	lease_table_free(table);
	plan_free(plan);
}

static void test_end(void **state)
{
	struct plan *plan = plan_of(A B);
	struct lease_table *table = table_new(plan);
	const struct vm *a = plan_vm(plan, 0);

	(void)state;
	lease_end(table, a, 500);
	assert_told("");
	assert_int_equal(lease_ended(table, a), 0);
	lease_grant(table, a, 60, 1000);
	told[0] = '\0';
	lease_end(table, a, 5000);
	assert_told("del a 10.77.0.11; ");
	assert_int_equal(lease_expires(table, a), 0);
	assert_int_equal(lease_ended(table, a), 5000);
	/* it was given back, it did not run out */
	assert_false(lease_is_expired(table, a));
	lease_end(table, a, 6000);
	assert_told("");
	assert_int_equal(lease_ended(table, a), 5000);
	/* and anew */
	lease_grant(table, a, 60, 7000);
	assert_told("add a 10.77.0.11 67000; ");
	lease_table_free(table);
	plan_free(plan);
}

static void test_sweep(void **state)
{
	struct plan *plan = plan_of(A B C);
	struct lease_table *table = table_new(plan);

	(void)state;
	assert_int_equal(lease_sweep(table, 0), 0);
	lease_grant(table, plan_vm(plan, 0), 60, 1000);
	lease_grant(table, plan_vm(plan, 1), 30, 1000);
	lease_grant(table, plan_vm(plan, 2), TIME_INFINITE, 1000);
	told[0] = '\0';
	assert_int_equal(lease_sweep(table, 1000), 31000);
	assert_int_equal(lease_sweep(table, 30999), 31000);
	assert_told("");
	assert_int_equal(lease_sweep(table, 31000), 61000);
	assert_told("del b 10.77.0.12; ");
	assert_true(lease_is_expired(table, plan_vm(plan, 1)));
	assert_false(lease_is_expired(table, plan_vm(plan, 0)));
	assert_int_equal(lease_ended(table, plan_vm(plan, 1)), 31000);
	assert_int_equal(lease_ended(table, plan_vm(plan, 0)), 0);
	/* a renewal moves the end; being called too early does no harm */
	lease_grant(table, plan_vm(plan, 0), 60, 50000);
	assert_int_equal(lease_sweep(table, 61000), 110000);
	assert_told("");
	/* late: all that is due, each once; never the one without end */
	assert_int_equal(lease_sweep(table, 9999999), 0);
	assert_told("del a 10.77.0.11; ");
	assert_int_equal(lease_sweep(table, 99999999), 0);
	assert_told("");
	assert_true(lease_expires(table, plan_vm(plan, 2)) == LEASE_FOREVER);
	/* a new lease is not an expired one any more */
	lease_grant(table, plan_vm(plan, 1), 30, 1000);
	assert_false(lease_is_expired(table, plan_vm(plan, 1)));
	lease_table_free(table);
	plan_free(plan);
}

static void test_shorter_lease(void **state)
{
	struct plan *plan = plan_of(A B);
	struct lease_table *table = table_new(plan);

	(void)state;
	lease_grant(table, plan_vm(plan, 0), 3600, 0);
	assert_int_equal(lease_sweep(table, 0), 3600000);
	/* the next end comes sooner than what was said before */
	lease_grant(table, plan_vm(plan, 1), 10, 0);
	assert_int_equal(lease_sweep(table, 0), 10000);
	lease_table_free(table);
	plan_free(plan);
}

static const struct replan_row {
	const char *sentence, *before, *after, *told;
	uint64_t expires; /* of the VM with A's MAC afterwards */
} replan_rows[] = {
	{ "replan: nothing changed", A B, A B, "", 61000 },
	{ "replan: another order", A B, B A, "", 61000 },
	{ "replan: others are added", A, C B A, "", 61000 },
	{ "replan: it left", A B, B, "del a 10.77.0.11; ", 0 },
	{ "replan: all left", A B, "", "del a 10.77.0.11; ", 0 },
	{ "replan: another IP, the old one is told", A B, "02:00:00:00:00:01,a,10.77.0.21\n" B,
		"del a 10.77.0.11; ", 0 },
	{ "replan: another name", A B, "02:00:00:00:00:01,z,10.77.0.11\n" B,
		"old z 10.77.0.11 61000 was a; ", 61000 },
	{ "replan: another MAC is another machine", A B, "02:00:00:00:00:09,a,10.77.0.11\n" B,
		"del a 10.77.0.11; ", 0 },
	{ "replan: another name and IP", A B, "02:00:00:00:00:01,z,10.77.0.21\n" B,
		"del a 10.77.0.11; ", 0 },
	{ "replan: another lease time is no event", A B, "02:00:00:00:00:01,a,10.77.0.11,2h\n" B,
		"", 61000 },
	{ "replan: two swap their addresses", A B,
		"02:00:00:00:00:01,a,10.77.0.12\n02:00:00:00:00:02,b,10.77.0.11\n",
		"del a 10.77.0.11; ", 0 },
};

static void test_replan(void **state)
{
	const struct replan_row *row = *state;
	struct plan *before = plan_of(row->before), *after = plan_of(row->after);
	const struct mac mac = { { 2, 0, 0, 0, 0, 1 } };
	struct lease_table *table = table_new(before);
	struct plan_change change;

	/* only a has a lease: of those without nothing is told */
	lease_grant(table, plan_by_mac(before, &mac), 60, 1000);
	told[0] = '\0';
	plan_compare(before, after, &change);
	lease_replan(table, after, &change, 1000);
	plan_change_done(&change);
	plan_free(before);
	assert_told(row->told);
	for (size_t i = 0; i < plan_count(after); i++) {
		const struct vm *vm = plan_vm(after, i);

		assert_int_equal(lease_expires(table, vm),
			mac_equal(&vm->mac, &mac) ? row->expires : 0);
	}
	/* the clock of what is left goes on */
	lease_sweep(table, 61000);
	if (row->expires)
		assert_non_null(strstr(told, "del "));
	else
		assert_told("");
	lease_table_free(table);
	plan_free(after);
}

static void test_write(void **state)
{
	struct plan *plan = plan_of(A B C);
	struct lease_table *table = table_new(plan);
	char *text;
	size_t len;

	(void)state;
	assert_false(lease_is_dirty(table));
	text = written(table, 0, WALL, &len);
	assert_string_equal(text, "");
	free(text);
	lease_grant(table, plan_vm(plan, 0), 60, 1000);
	lease_grant(table, plan_vm(plan, 2), TIME_INFINITE, 1000);
	assert_true(lease_is_dirty(table));
	/* at 11 s of the clock, 50 s are left */
	text = written(table, 11000, WALL, &len);
	assert_string_equal(text,
		"1700000050 02:00:00:00:00:01 10.77.0.11 a *\n"
		"0 02:00:00:00:00:03 10.77.0.13 c *\n"
		"# written 1700000000, 11000 ms after boot " BOOT "\n");
	assert_int_equal(len, strlen(text));
	assert_false(lease_is_dirty(table));
	free(text);
	lease_end(table, plan_vm(plan, 0), 11000);
	assert_true(lease_is_dirty(table));
	text = written(table, 11000, WALL, &len);
	assert_string_equal(text,
		"0 02:00:00:00:00:03 10.77.0.13 c *\n"
		"# written 1700000000, 11000 ms after boot " BOOT "\n");
	free(text);
	/* a renewal moves the end, so that changes the file too */
	lease_grant(table, plan_vm(plan, 2), 60, 12000);
	assert_true(lease_is_dirty(table));
	lease_table_free(table);
	plan_free(plan);
}

static const struct read_row {
	const char *sentence, *text, *told;
	unsigned bad;
	uint64_t expires; /* of a */
} read_rows[] = {
	{ "read: an empty file", "", "", 0, 0 },
	{ "read: a lease that goes on", "1700000050 02:00:00:00:00:01 10.77.0.11 a *\n",
		"old a 10.77.0.11 55000; ", 0, 55000 },
	{ "read: a lease without end", "0 02:00:00:00:00:01 10.77.0.11 a *\n",
		"old a 10.77.0.11 forever; ", 0, LEASE_FOREVER },
	{ "read: the last line has no newline", "1700000050 02:00:00:00:00:01 10.77.0.11 a *",
		"old a 10.77.0.11 55000; ", 0, 55000 },
	{ "read: a client identifier, as dnsmasq writes it",
		"1700000050 02:00:00:00:00:01 10.77.0.11 a 01:02:00:00:00:00:01\n",
		"old a 10.77.0.11 55000; ", 0, 55000 },
	{ "read: another name by now", "1700000050 02:00:00:00:00:01 10.77.0.11 z *\n",
		"old a 10.77.0.11 55000 was z; ", 0, 55000 },
	{ "read: a VM that left the plan", "1700000050 02:00:00:00:00:77 10.77.0.77 gone *\n",
		"del gone 10.77.0.77; ", 0, 0 },
	{ "read: a VM that has another address by now",
		"1700000050 02:00:00:00:00:01 10.77.0.99 a *\n", "del a 10.77.0.99; ", 0, 0 },
	{ "read: comments and blank lines", "# x\n\n1700000050 02:00:00:00:00:01 10.77.0.11 a *\n",
		"old a 10.77.0.11 55000; ", 0, 55000 },
	{ "read: bad lines are counted and passed over",
		"nonsense\n-5 02:00:00:00:00:01 10.77.0.11 a *\n"
		"1700000050 02:00:00:00:00 10.77.0.11 a *\n"
		"1700000050 02:00:00:00:00:01 10.77.0 a *\n"
		"1700000050 02:00:00:00:00:01 10.77.0.11\n"
		"1700000050 02:00:00:00:00:01 10.77.0.11 $(a) *\n"
		"1700000050 02:00:00:00:00:01 10.77.0.11 a *\n",
		"old a 10.77.0.11 55000; ", 6, 55000 },
	{ "read: a time that no lease can have",
		"99999999999999 02:00:00:00:00:01 10.77.0.11 a *\n", "", 1, 0 },
	{ "read: a time that no number can have",
		"99999999999999999999999 02:00:00:00:00:01 10.77.0.11 a *\n", "", 1, 0 },
};

static void test_read(void **state)
{
	const struct read_row *row = *state;
	struct plan *plan = plan_of(A B);
	struct lease_table *table = table_new(plan);

	assert_int_equal(read_at(table, row->text, 5000, WALL), row->bad);
	assert_told(row->told);
	assert_true(lease_expires(table, plan_vm(plan, 0)) == row->expires);
	assert_int_equal(lease_expires(table, plan_vm(plan, 1)), 0);
	if (row->expires && row->expires != LEASE_FOREVER)
		assert_int_equal(lease_sweep(table, 5000), row->expires);
	lease_table_free(table);
	plan_free(plan);
}

/* A lease that ran out while the daemon was away still has its `del`, and only that. */
static void test_read_expired(void **state)
{
	(void)state;
	for (uint64_t now = 0; now <= 5000; now += 5000) {
		struct plan *plan = plan_of(A B);
		struct lease_table *table = table_new(plan);

		assert_int_equal(read_at(table, "1699999999 02:00:00:00:00:01 10.77.0.11 a *\n",
					 now, WALL),
			0);
		assert_told("");
		assert_int_equal(lease_sweep(table, now + 1), 0);
		assert_told("del a 10.77.0.11; ");
		assert_true(lease_is_expired(table, plan_vm(plan, 0)));
		lease_table_free(table);
		plan_free(plan);
	}
}

/* A renewal that the file lacks comes at about the time that stands there: no `del` before that. */
static void test_read_grace(void **state)
{
	struct plan *plan = plan_of(A B);
	struct lease_table *table = table_new(plan);

	(void)state;
	assert_int_equal(read_at(table, "1700000050 02:00:00:00:00:01 10.77.0.11 a *\n", 5000,
				 WALL),
		0);
	assert_told("old a 10.77.0.11 55000; ");
	assert_int_equal(lease_sweep(table, 60000), 65000);
	assert_told("");
	/* renewed: from now on the lease ends when it ends */
	lease_grant(table, plan_vm(plan, 0), 50, 60000);
	assert_int_equal(lease_sweep(table, 65000), 110000);
	assert_told("");
	assert_int_equal(lease_sweep(table, 110000), 0);
	assert_told("del a 10.77.0.11; ");
	lease_table_free(table);
	plan_free(plan);
}

static void test_write_and_read(void **state)
{
	struct plan *plan = plan_of(A B C);
	struct lease_table *before = table_new(plan), *after;
	char *text, *again;
	size_t len;

	(void)state;
	lease_grant(before, plan_vm(plan, 0), 60, 1000);
	lease_grant(before, plan_vm(plan, 1), TIME_INFINITE, 1000);
	text = written(before, 2000, WALL, &len);
	lease_table_free(before);
	after = table_new(plan);
	assert_int_equal(read_at(after, text, 2000, WALL), 0);
	assert_told("old a 10.77.0.11 61000; old b 10.77.0.12 forever; ");
	again = written(after, 2000, WALL, &len);
	assert_string_equal(again, text);
	/* to renew what was remembered is not a new lease */
	lease_grant(after, plan_vm(plan, 0), 60, 200);
	assert_told("");
	free(text);
	free(again);
	lease_table_free(after);
	plan_free(plan);
}

/*
 * Ends that nobody was told of are told by who reads the file, whether the VM is in the plan or not,
 * and not if it has its address again.
 */
static void test_untold(void **state)
{
	static const struct lease_untold ends[] = {
		{ { { 2, 0, 0, 0, 0, 1 } }, IP4(10, 77, 0, 11), "a" },
		{ { { 2, 0, 0, 0, 0, 2 } }, IP4(10, 77, 0, 12), "b" },
		{ { { 2, 0, 0, 0, 0, 3 } }, IP4(10, 77, 0, 99), "c" },
		{ { { 2, 0, 0, 0, 0, 4 } }, IP4(10, 77, 0, 14), "gone" },
	};
	const struct lease_moment moment = at(2000, WALL);
	struct plan *plan = plan_of(A B C);
	struct lease_table *table = table_new(plan);
	struct lease_untold *untold = malloc(sizeof(ends));
	struct lease_snapshot snapshot;
	char *text;
	size_t len;

	(void)state;
	memcpy(untold, ends, sizeof(ends));
	lease_grant(table, plan_vm(plan, 1), 60, 1000);
	lease_grant(table, plan_vm(plan, 2), 60, 1000);
	lease_snapshot(table, &moment, untold, COUNT(ends), &snapshot);
	text = lease_format(&snapshot, &len);
	lease_snapshot_done(&snapshot);
	assert_string_equal(text,
		"1 02:00:00:00:00:01 10.77.0.11 a *\n"
		"1 02:00:00:00:00:03 10.77.0.99 c *\n"
		"1 02:00:00:00:00:04 10.77.0.14 gone *\n"
		"1700000059 02:00:00:00:00:02 10.77.0.12 b *\n"
		"1700000059 02:00:00:00:00:03 10.77.0.13 c *\n"
		"# written 1700000000, 2000 ms after boot " BOOT "\n");
	lease_table_free(table);
	table = table_new(plan);
	assert_int_equal(lease_read(table, text, &moment), 0);
	assert_told("del c 10.77.0.99; del gone 10.77.0.14; old b 10.77.0.12 61000; "
		    "old c 10.77.0.13 61000; ");
	assert_int_equal(lease_sweep(table, 2000), 61000 + 10000);
	assert_told("del a 10.77.0.11; ");
	free(text);
	lease_table_free(table);
	plan_free(plan);
}

#define YEAR (365 * 24 * 3600)

/* A lease that had 60 s left when it was written, at 900 s of the clock. */
static const struct clock_row {
	const char *sentence, *boot;
	uint64_t now;
	time_t wall;      /* after it was written */
	uint64_t expires; /* 0: at once */
} clock_rows[] = {
	{ "10 s later", BOOT, 910000, 10, 960000 },
	{ "10 s later, the clock set back by a year", BOOT, 910000, -YEAR, 960000 },
	{ "10 s later, the clock put forward by a year", BOOT, 910000, YEAR, 960000 },
	{ "at once, the clock put forward by a year", BOOT, 899990, YEAR, 959990 },
	{ "70 s later, the clock set back by a year", BOOT, 970000, -YEAR, 0 },
	{ "in another boot, 10 s later", OTHER_BOOT, 5000, 10, 55000 },
	{ "in another boot, without a clock that goes on", OTHER_BOOT, 5000, -YEAR, 65000 },
	{ "in another boot, much later", OTHER_BOOT, 5000, YEAR, 0 },
	{ "in a boot that nobody knows", "", 910000, 10, 960000 },
	{ "of a boot that had not come so far", BOOT, 5000, 10, 55000 },
};

static void test_clock(void **state)
{
	static const char text[] = "1700000060 02:00:00:00:00:01 10.77.0.11 a *\n"
				   "# written 1700000000, 900000 ms after boot " BOOT "\n";
	const struct clock_row *row = *state;
	struct lease_moment moment = { .now = row->now, .wall = WALL + row->wall };
	struct plan *plan = plan_of(A B);
	struct lease_table *table = table_new(plan);

	strcpy(moment.boot, row->boot);
	assert_int_equal(lease_read(table, text, &moment), 0);
	if (row->expires)
		assert_int_equal(lease_expires(table, plan_vm(plan, 0)), row->expires);
	else
		assert_int_equal(lease_sweep(table, row->now), 0);
	assert_true(lease_is_expired(table, plan_vm(plan, 0)) == !row->expires);
	lease_table_free(table);
	plan_free(plan);
}

static void test_empty_plan(void **state)
{
	struct plan *plan = plan_of("");
	struct lease_table *table = table_new(plan);
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(lease_sweep(table, 1000), 0);
	text = written(table, 1000, WALL, &len);
	assert_string_equal(text, "");
	free(text);
	lease_table_free(table);
	plan_free(plan);
}

int main(void)
{
	struct suite suite = { 0 };

	suite_add(&suite, "34: the first grant is an `add`, a renewal is none", test_grant, NULL);
	suite_add(&suite, "the longest finite lease does not wrap round", test_longest_finite,
		NULL);
	suite_add(&suite, "an end is a `del`, once", test_end, NULL);
	suite_add(&suite, "sweep: ends what is due, says when to come again", test_sweep, NULL);
	suite_add(&suite, "sweep: a shorter lease comes first", test_shorter_lease, NULL);
	SUITE_ROWS(&suite, test_replan, replan_rows);
	suite_add(&suite, "write: the form of the file, and dirty until written", test_write, NULL);
	SUITE_ROWS(&suite, test_read, read_rows);
	suite_add(&suite, "read: what expired meanwhile ends at the first sweep", test_read_expired,
		NULL);
	suite_add(&suite, "read: a lease that may have been renewed gets a moment", test_read_grace,
		NULL);
	suite_add(&suite, "what was written is read", test_write_and_read, NULL);
	suite_add(&suite, "ends that were not told are told by who reads the file", test_untold,
		NULL);
	SUITE_ROWS(&suite, test_clock, clock_rows);
	suite_add(&suite, "an empty plan", test_empty_plan, NULL);
	return suite_run(&suite, "lease");
}
