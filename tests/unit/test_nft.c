/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of nf_tables in the kernel, as nft(8) shows it, and what others do to it. In a network
 * namespace of its own: as root, with nft(8), and a kernel that has nf_tables; else all is skipped.
 */
#include "tests/unit/fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>

#include <linux/netfilter_bridge.h>
#include <time.h>

#include "natmgr/guard.h"
#include "natmgr/nft.h"
#include "tests/unit/nft_model.h"

#define NAME63 "v23456789-123456789-123456789-123456789-123456789-123456789-123"

static bool is_possible;

/* What the command writes, also of errors; the caller frees. */
static char *output_of(const char *command)
{
	char *whole, *text = NULL, part[4096];
	size_t len, n;
	FILE *in, *out;

	assert_true(asprintf(&whole, "{ %s; } 2>&1", command) > 0);
	in = popen(whole, "r");
	out = open_memstream(&text, &len);
	assert_non_null(in);
	while ((n = fread(part, 1, sizeof(part), in)) > 0)
		fwrite(part, 1, n, out);
	fclose(out);
	pclose(in);
	free(whole);
	return text;
}

static void run(const char *command)
{
	char *text = output_of(command);

	if (*text)
		print_message("    %s: %s\n", command, text);
	assert_string_equal(text, "");
	free(text);
}

/* With the handles of rules: what was not touched has the same. */
static char *listing(void)
{
	return output_of("nft -n -a list table bridge eipd");
}

/* Without what is another number in a table that was made anew. */
static char *plain_listing(void)
{
	return output_of("nft -n list table bridge eipd");
}

static void assert_listed(const char *expected)
{
	char *text = plain_listing();

	if (!strstr(text, expected))
		print_message("    not in it: %s\n%s", expected, text);
	assert_non_null(strstr(text, expected));
	free(text);
}

static void assert_no_table(void)
{
	char *text = output_of("nft list tables");

	assert_string_equal(text, "");
	free(text);
}

/* --- tables ------------------------------------------------------------------------------- */

struct wanted {
	const char *isolated; /* the state file */
	unsigned seats;       /* 0: no anti-spoof */
};

static const struct wanted nothing = { "", 0 };
static const struct wanted one = { "isolate vm-001\nallow vm-001 192.0.2.0/24\n"
				   "seen vm-001 vnet1 11 0\n",
	0 };
static const struct wanted other = { "isolate vm-001\nseen vm-001 vnet1 11 0\n", 0 };
static const struct wanted all = { "isolate vm-001\nallow vm-001 192.0.2.0/24\n"
				   "seen vm-001 vnet1 11 0\nisolate " NAME63 "\n",
	2 };

static void build(const struct wanted *wanted, struct nft_table *table)
{
	static const struct port ports[] = { { 11, "vnet1" }, { 12, "vnet2" } };
	static const unsigned others[] = { 50 };
	struct plan *plan = plan_of("02:00:00:00:00:01,vm-001,10.77.0.11\n"
				    "02:00:00:00:00:02," NAME63 ",10.77.0.12\n");
	struct problems problems = { 0 };
	struct isolation isolation;
	struct seat seats[] = { { plan_vm(plan, 0), 11 }, { plan_vm(plan, 1), 12 } };
	char *text;

	assert_true(asprintf(&text, "# eipd isolation, version 1\n%s", wanted->isolated) > 0);
	assert_int_equal(isolation_parse(text, "isolated", &isolation, &problems), 0);
	(void)isolation_follow(&isolation, plan);
	guard_build(&isolation,
		&(struct guard_settings){ .inner = { SELF, 24 },
			.bridge = "br0",
			.uplink = "eth1",
			.anti_spoof = wanted->seats > 0,
			/* which is what every kernel takes */
			.knows_bridges = false,
			.ports = ports,
			.port_count = COUNT(ports),
			.others = others,
			.other_count = COUNT(others),
			.plan = plan,
			.seats = seats,
			.seat_count = wanted->seats },
		table);
	isolation_done(&isolation);
	plan_free(plan);
	free(text);
}

static struct nft *nft_open(void)
{
	struct nft *nft = NULL;

	if (!is_possible)
		skip();
	assert_int_equal(nft_new(NULL, "eipd", NULL, NULL, &nft), 0);
	return nft;
}

/* Makes the kernel so; whether others had changed it. */
static bool sync_to(struct nft *nft, const struct wanted *wanted)
{
	char error[NFT_ERROR_SIZE] = "";
	bool repaired = false;
	struct nft_table table;
	int err;

	build(wanted, &table);
	err = nft_sync(nft, &table, &repaired, error);
	if (err)
		print_message("    %s\n", error);
	assert_int_equal(err, 0);
	/* it was taken over */
	assert_int_equal(table.chain_count, 0);
	return repaired;
}

static void close_and_clean(struct nft *nft)
{
	(void)sync_to(nft, &nothing);
	assert_no_table();
	nft_free(nft);
}

/* --- what is there ------------------------------------------------------------------------ */

static const struct list_row {
	const char *sentence;
	const struct wanted *wanted;
	const char *lines; /* as nft(8) shows them */
} list_rows[] = {
	{ "shown: hooks before everybody else's", &one,
		"\tchain prerouting {\n"
		"\t\ttype filter hook prerouting priority -400; policy accept;\n"
		"\t\tiif vmap @from-port\n"
		"\t\tiif @others accept\n"
		"\t\tether saddr vmap @from-mac\n"
		"\t}\n" },
	{ "shown: forward, after the first of them", &one,
		"\t\ttype filter hook forward priority -399; policy accept;\n"
		"\t\tiif vmap @across-port\n"
		"\t\tiif @others accept\n"
		"\t\tether saddr vmap @across-mac\n" },
	{ "shown: output", &one,
		"\t\ttype filter hook output priority -400; policy accept;\n"
		"\t\toif vmap @host-port\n"
		"\t\toif @others accept\n"
		"\t\tether daddr vmap @host-mac\n" },
	{ "shown: a port", &one,
		"\t\ttype iface_index : verdict\n"
		"\t\telements = { 11 : goto from-vm-001 }\n" },
	{ "shown: a MAC", &one,
		"\t\ttype ether_addr : verdict\n"
		"\t\telements = { 02:00:00:00:00:01 : goto from-vm-001 }\n" },
	{ "shown: DHCP", &one,
		"\t\tether saddr 02:00:00:00:00:01 ip protocol 17 udp sport 68 "
		"udp dport 67 ip saddr 0.0.0.0 ip daddr 255.255.255.255 accept\n" },
	{ "shown: whom it allows", &one, "ip saddr 10.77.0.11 ip daddr 192.0.2.0/24 accept\n" },
	{ "shown: ARP to whom it allows", &one,
		"arp saddr ether 02:00:00:00:00:01 arp saddr ip 10.77.0.11 "
		"arp daddr ip 192.0.2.0/24 accept\n" },
	{ "shown: the rest is counted and dropped", &one,
		"\t\tcounter name \"from-vm-001\"\n\t\tdrop\n" },
	{ "shown: a counter that has counted nothing", &one,
		"\tcounter to-vm-001 {\n\t\tpackets 0 bytes 0\n\t}\n" },
	{ "shown: a name of 63 letters", &all, "\tchain across-" NAME63 " {\n" },
	{ "shown: who may send what", &all, "\t\ttype ether_addr . ipv4_addr\n" },
	{ "shown: who sits where", &all, "\t\ttype iface_index . ether_addr\n" },
	{ "shown: by whom spoofed frames are counted", &all,
		"\tmap spoof-counters {\n\t\ttype iface_index : counter\n" },
	{ "shown: spoofed frames", &all, "\t\tcounter name iif map @spoof-counters\n" },
	{ "shown: link-local groups", &all,
		"\t\tether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 goto spoofed\n" },
	{ "shown: honest senders", &all, "ether saddr . ip saddr @senders goto honest-ip\n" },
	{ "shown: the uplink", &all, "\t\tiifname \"eth1\" accept\n" },
	{ "shown: ports that are guarded", &all, "\t\tiif @ports goto honest\n" },
	{ "shown: what newcomers send to others", &all, "\t\toif @ports goto honest\n" },
};

static void test_list(void **state)
{
	const struct list_row *row = *state;
	struct nft *nft = nft_open();

	assert_false(sync_to(nft, row->wanted));
	assert_listed(row->lines);
	close_and_clean(nft);
}

/* From any of them to any other, and what comes of it is what it would be at once. */
static void test_changes(void **state)
{
	static const struct wanted *const ways[] = { &one, &all, &other, &nothing, &all, &one,
		&nothing, &other, &all };
	struct nft *nft = nft_open();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		char *changed, *anew, *again;
		struct nft *fresh = nft_open();

		assert_false(sync_to(nft, ways[i]));
		changed = listing();
		/* once more: nothing is written */
		assert_false(sync_to(nft, ways[i]));
		again = listing();
		assert_string_equal(again, changed);
		free(changed);
		free(again);
		/* as who starts does not know what is there, he writes all */
		changed = output_of("nft -n list table bridge eipd | sort");
		assert_false(sync_to(fresh, ways[i]));
		anew = output_of("nft -n list table bridge eipd | sort");
		assert_string_equal(changed, anew);
		nft_free(fresh);
		/* the first has to see that somebody wrote, and to mend what is as it should be */
		(void)sync_to(nft, ways[i]);
		free(changed);
		free(anew);
	}
	close_and_clean(nft);
}

/* --- others ------------------------------------------------------------------------------- */

static const struct foreign_row {
	const char *sentence, *command;
} foreign_rows[] = {
	{ "mended: the table was deleted", "nft delete table bridge eipd" },
	{ "mended: all of nf_tables was flushed", "nft flush ruleset" },
	{ "mended: the rules were flushed", "nft flush table bridge eipd" },
	{ "mended: a chain was flushed", "nft flush chain bridge eipd from-vm-001" },
	{ "mended: a rule was put before ours", "nft insert rule bridge eipd prerouting accept" },
	{ "mended: a rule was added", "nft add rule bridge eipd to-vm-001 accept" },
	{ "mended: an element was deleted",
		"nft delete element bridge eipd from-mac { 02:00:00:00:00:01 }" },
	{ "mended: an element was added", "nft add element bridge eipd ports { 99 }" },
	{ "mended: an element leads elsewhere",
		"nft delete element bridge eipd from-port { 11 } && "
		"nft add element bridge eipd from-port { 11 : goto honest }" },
	{ "mended: a set was flushed", "nft flush set bridge eipd ports" },
	{ "mended: a chain was added",
		"nft add chain bridge eipd theirs '{ type filter hook forward priority 0; }'" },
	{ "mended: the table was put to sleep", "nft 'add table bridge eipd { flags dormant; }'" },
	{ "mended: flushed, and something like it made",
		"nft delete table bridge eipd && nft add table bridge eipd && "
		"nft add chain bridge eipd prerouting" },
};

static void test_foreign(void **state)
{
	const struct foreign_row *row = *state;
	struct nft *nft = nft_open();
	char *before, *after;

	/* some of it is written later than the rest */
	assert_false(sync_to(nft, &other));
	assert_false(sync_to(nft, &all));
	before = output_of("nft -n list table bridge eipd | sort");
	run(row->command);
	assert_true(sync_to(nft, &all));
	after = output_of("nft -n list table bridge eipd | sort");
	assert_string_equal(before, after);
	free(before);
	free(after);
	/* and no more than once */
	assert_false(sync_to(nft, &all));
	close_and_clean(nft);
}

/* Deleted just when nothing is wanted: there is nothing to do, but what we wrote is not there. */
static void test_deleted_twice(void **state)
{
	struct nft *nft = nft_open();
	char *before, *after;

	(void)state;
	assert_false(sync_to(nft, &one));
	before = plain_listing();
	run("nft delete table bridge eipd");
	(void)sync_to(nft, &nothing);
	assert_false(sync_to(nft, &nothing));
	assert_false(sync_to(nft, &one));
	after = plain_listing();
	assert_string_equal(before, after);
	free(before);
	free(after);
	close_and_clean(nft);
}

/* While we write: whatever comes first, in the end the table is as it should be. */
static void test_at_once(void **state)
{
	struct nft *nft = nft_open();
	char *before, *after;

	(void)state;
	assert_false(sync_to(nft, &one));
	/* what was added last stands last */
	before = output_of("nft -n list table bridge eipd | sort");
	for (unsigned round = 0; round < 60; round++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			execlp("nft", "nft", "insert rule bridge eipd prerouting accept", NULL);
			_exit(127);
		}
		assert_true(pid > 0);
		while (waitpid(pid, &status, WNOHANG) == 0) {
			/* they differ in another chain */
			(void)sync_to(nft, &other);
			(void)sync_to(nft, &one);
		}
		assert_int_equal(status, 0);
		(void)sync_to(nft, &one);
		after = output_of("nft -n list table bridge eipd | sort");
		assert_string_equal(before, after);
		free(after);
	}
	free(before);
	close_and_clean(nft);
}

static void test_unconcerned(void **state)
{
	struct nft *nft = nft_open();
	char *before, *after;

	(void)state;
	assert_false(sync_to(nft, &all));
	before = listing();
	run("nft add table inet theirs && nft add table bridge theirs && "
	    "nft add chain bridge theirs prerouting && "
	    "nft add rule bridge theirs prerouting accept && nft delete table bridge theirs");
	assert_false(sync_to(nft, &all));
	after = listing();
	assert_string_equal(before, after);
	run("nft delete table inet theirs");
	free(before);
	free(after);
	close_and_clean(nft);
}

/* --- counters ----------------------------------------------------------------------------- */

struct sum {
	uint64_t packets, bytes;
	unsigned count;
};

static void add_counter(void *ctx, const char *name, uint64_t packets, uint64_t bytes)
{
	struct sum *sum = ctx;

	assert_non_null(strchr(name, '-'));
	sum->packets += packets;
	sum->bytes += bytes;
	sum->count++;
}

static void test_counters(void **state)
{
	struct nft *nft = nft_open();
	char error[NFT_ERROR_SIZE];
	struct nft_table table;
	struct sum sum = { 0 };
	bool repaired = false;

	(void)state;
	build(&one, &table);
	assert_int_equal(table.counter_count, 2);
	table.counters[0].packets = 40;
	table.counters[0].bytes = UINT64_C(1) << 40;
	assert_int_equal(nft_sync(nft, &table, &repaired, error), 0);
	assert_int_equal(nft_read_counters(nft, add_counter, &sum), 0);
	assert_int_equal(sum.packets, 40);
	assert_true(sum.bytes == UINT64_C(1) << 40);
	assert_int_equal(sum.count, 2);
	/* they go on where they were: with other rules, and in a table that is made anew */
	assert_false(sync_to(nft, &all));
	run("nft flush table bridge eipd");
	assert_true(sync_to(nft, &all));
	sum = (struct sum){ 0 };
	assert_int_equal(nft_read_counters(nft, add_counter, &sum), 0);
	assert_int_equal(sum.packets, 40);
	assert_true(sum.bytes == UINT64_C(1) << 40);
	assert_int_equal(sum.count, 5);
	/* and are no other table's */
	run("nft add table bridge theirs && nft add counter bridge theirs theirs-1");
	sum = (struct sum){ 0 };
	assert_int_equal(nft_read_counters(nft, add_counter, &sum), 0);
	assert_int_equal(sum.count, 5);
	run("nft delete table bridge theirs");
	close_and_clean(nft);
}

/* --- what cannot be done ------------------------------------------------------------------ */

static void test_check(void **state)
{
	struct nft *nft = nft_open();
	char error[NFT_ERROR_SIZE], *before, *after;
	struct nft_table table;

	(void)state;
	build(&all, &table);
	assert_int_equal(nft_check(nft, &table, error), 0);
	assert_no_table();
	assert_false(sync_to(nft, &one));
	before = listing();
	build(&all, &table);
	assert_int_equal(nft_check(nft, &table, error), 0);
	after = listing();
	assert_string_equal(before, after);
	free(before);
	free(after);
	assert_false(sync_to(nft, &one));
	close_and_clean(nft);
}

static const struct impossible_row {
	const char *sentence;
	unsigned elements;
} impossible_rows[] = {
	{ "impossible: an element that leads nowhere", 1 },
	{ "impossible: one in a message with many", 256 },
	{ "impossible: one in many messages", 3000 },
};

/* Nothing of it is done, the error is the kernel's, and the next change is done. */
static void test_impossible(void **state)
{
	const struct impossible_row *row = *state;
	struct nft *nft = nft_open();
	char error[NFT_ERROR_SIZE], *before, *after;
	struct nft_table table = { 0 };
	struct nft_set *map = nft_add_set(&table, "map", NFT_KIND_VERDICT_MAP, NFT_FIELD_PORT_IN,
		NFT_FIELD_NONE);
	char somewhere[NFT_NAME_SIZE] = "";
	bool repaired = false;

	memset(somewhere, 's', sizeof(somewhere) - 1);
	nft_add_chain(&table, somewhere);
	for (unsigned i = 1; i <= row->elements; i++)
		nft_add_element(&table, map, &i, NULL, i == 1 ? "nowhere" : somewhere);
	nft_table_finish(&table);
	assert_false(sync_to(nft, &one));
	before = plain_listing();
	assert_int_equal(nft_sync(nft, &table, &repaired, error), -ENOENT);
	assert_non_null(strstr(error, strerror(ENOENT)));
	after = plain_listing();
	assert_string_equal(before, after);
	(void)sync_to(nft, &all);
	(void)sync_to(nft, &one);
	free(after);
	after = plain_listing();
	assert_string_equal(before, after);
	free(before);
	free(after);
	close_and_clean(nft);
}

/* In a child, as what is given up is gone for good. */
static void test_not_permitted(void **state)
{
	struct nft *nft = nft_open();
	char error[NFT_ERROR_SIZE] = "";
	struct nft_table table;
	bool repaired;
	int status;
	pid_t pid;

	(void)state;
	build(&one, &table);
	pid = fork();
	if (!pid) {
		if (setresuid(65534, 65534, 65534))
			_exit(1);
		if (nft_sync(nft, &table, &repaired, error) != -EPERM)
			_exit(2);
		_exit(strstr(error, "CAP_NET_ADMIN") ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	nft_table_done(&table);
	assert_no_table();
	nft_free(nft);
}

/* --- many --------------------------------------------------------------------------------- */

static void build_many(const struct plan *plan, struct isolation *isolation,
	struct nft_table *table)
{
	guard_build(isolation,
		&(struct guard_settings){
			.inner = { SELF, 16 }, .bridge = "br0", .uplink = "eth1", .plan = plan },
		table);
}

/* Milliseconds that it takes to make the kernel so. */
static double time_to_sync(struct nft *nft, const struct plan *plan, struct isolation *isolation)
{
	char error[NFT_ERROR_SIZE] = "";
	struct timespec began, ended;
	struct nft_table table;
	bool repaired = false;

	clock_gettime(CLOCK_MONOTONIC, &began);
	build_many(plan, isolation, &table);
	assert_int_equal(nft_sync(nft, &table, &repaired, error), 0);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	assert_false(repaired);
	return (double)(ended.tv_sec - began.tv_sec) * 1e3 +
		(double)(ended.tv_nsec - began.tv_nsec) / 1e6;
}

static struct plan *plan_of_many(unsigned vms)
{
	char *text = NULL;
	struct problems problems = { 0 };
	struct plan *plan;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (unsigned i = 0; i < vms; i++)
		fprintf(out, "02:00:00:77:%02x:%02x,vm-%u,10.77.%u.%u\n", i >> 8, i & 255, i,
			1 + i / 250, 2 + i % 250);
	fclose(out);
	assert_int_equal(plan_parse(text, len, "plan", NULL, &plan, &problems), 0);
	free(text);
	return plan;
}

/* Of 300 isolated VMs one changes: that is what is written, and what is read back. */
static void test_many(void **state)
{
	const struct ip4_prefix allow[] = { { IP4(10, 77, 1, 0), 24 }, { IP4(10, 77, 2, 0), 24 },
		{ IP4(10, 77, 0, 0), 16 }, { IP4(192, 0, 2, 7), 32 } };
	struct plan *plan = plan_of_many(5000);
	struct isolation isolation = { 0 };
	struct port port = { .name = "vnet" };
	double whole, least = 1e9;
	struct nft *nft = nft_open();

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		(void)isolation_add(&isolation, plan_vm(plan, i * 7)->name, allow, COUNT(allow),
			"");
		port.index = 1000 + i;
		(void)isolated_see(&isolation.list[i], &port);
	}
	(void)isolation_follow(&isolation, plan);
	whole = time_to_sync(nft, plan, &isolation);
	for (unsigned i = 0; i < 8; i++) {
		double one_change;

		port.index = 2000 + i;
		(void)isolated_see(&isolation.list[i], &port);
		(void)isolation_add(&isolation, isolation.list[i + 20].vm, allow, i % 4, "");
		one_change = time_to_sync(nft, plan, &isolation);
		least = one_change < least ? one_change : least;
	}
	print_message("    300 isolated VMs of 5,000: %.1f ms for all, %.1f ms for a change\n",
		whole, least);
	assert_true(least * 4 < whole);
	isolation_done(&isolation);
	plan_free(plan);
	close_and_clean(nft);
}

int main(void)
{
	struct suite suite = { 0 };

	is_possible = unshare(CLONE_NEWNET) == 0 && system("nft list tables >/dev/null 2>&1") == 0;
	SUITE_ROWS(&suite, test_list, list_rows);
	suite_add(&suite, "changes: from every table to every other", test_changes, NULL);
	SUITE_ROWS(&suite, test_foreign, foreign_rows);
	suite_add(&suite, "others: the table is deleted, and nothing is wanted just then",
		test_deleted_twice, NULL);
	suite_add(&suite, "others: they write while we write", test_at_once, NULL);
	suite_add(&suite, "others: what they do to tables of their own", test_unconcerned, NULL);
	suite_add(&suite, "counters: go on counting", test_counters, NULL);
	suite_add(&suite, "check: changes nothing", test_check, NULL);
	suite_add(&suite, "many: a change costs what it changes", test_many, NULL);
	SUITE_ROWS(&suite, test_impossible, impossible_rows);
	suite_add(&suite, "not permitted: says so", test_not_permitted, NULL);
	return suite_run(&suite, "nft");
}
