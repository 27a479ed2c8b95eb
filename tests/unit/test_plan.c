/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan file: what is a plan, what is none, and where it says so. */
#include "tests/unit/support.h"

#include <errno.h>
#include <time.h>

#include "common/plan.h"

static const struct ip4_prefix inner = { IP4(192, 168, 6, 22), 24 };

#define A "d0:0d:8e:9f:42:88"
#define B "d0:0d:8e:9f:42:89"
#define C "d0:0d:8e:9f:42:8a"

/* "MAC NAME IP [TIME] [tags=…] [ignore];" for each VM, in the order of the file */
static char *dump(const struct plan *plan)
{
	char mac[MAC_STRLEN], ip[IP4_STRLEN], *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i);

		fprintf(out, "%s %s %s", mac_format(&vm->mac, mac), vm->name,
			ip4_format(vm->ip, ip));
		if (vm->lease_time)
			fprintf(out, " %u", vm->lease_time);
		if (vm->tags)
			fprintf(out, " tags=%s", vm->tags);
		fprintf(out, "%s;", vm->ignore ? " ignore" : "");
	}
	fclose(out);
	return text;
}

static int parse(const char *text, size_t len, struct plan **ret_plan, struct problems *problems)
{
	/* of just its length and without an end, so that the sanitizer sees a read past it */
	char *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, text, len);
	*ret_plan = NULL;
	err = plan_parse(copy, len, "network.conf", &inner, ret_plan, problems);
	free(copy);
	return err;
}

/* --- what is a plan ----------------------------------------------------------------------- */

#define NAME_63 "a23456789012345678901234567890123456789012345678901234567890123"

static const struct good_row {
	const char *sentence, *text, *dump;
} good_rows[] = {
	{ "the patent's line", A ",vm-001,192.168.6.243\n", A " vm-001 192.168.6.243;" },
	{ "nothing at all is an empty plan", "", "" },
	{ "comments and blank lines only", "# a\n\n   \n\t# b\n", "" },
	{ "no newline at the end", A ",vm-001,192.168.6.243", A " vm-001 192.168.6.243;" },
	{ "CRLF", A ",vm-001,192.168.6.243\r\n\r\n# x\r\n" B ",vm-002,192.168.6.244\r\n",
		A " vm-001 192.168.6.243;" B " vm-002 192.168.6.244;" },
	{ "a byte order mark", "\xef\xbb\xbf" A ",vm-001,192.168.6.243\n",
		A " vm-001 192.168.6.243;" },
	{ "a byte order mark and no more", "\xef\xbb\xbf", "" },
	{ "blanks round the commas and the line", " \t" A " , vm-001\t,  192.168.6.243  \n",
		A " vm-001 192.168.6.243;" },
	{ "the order of the file is kept", B ",b,192.168.6.2\n" A ",a,192.168.6.1\n",
		B " b 192.168.6.2;" A " a 192.168.6.1;" },
	{ "fields: name first", "vm-001," A ",192.168.6.243\n", A " vm-001 192.168.6.243;" },
	{ "fields: IP first", "192.168.6.243," A ",vm-001\n", A " vm-001 192.168.6.243;" },
	{ "fields: MAC last", "192.168.6.243,vm-001," A "\n", A " vm-001 192.168.6.243;" },
	{ "fields: a lease time first", "45m," A ",vm-001,192.168.6.243\n",
		A " vm-001 192.168.6.243 2700;" },
	{ "a comma at the end", A ",vm-001,192.168.6.243,\n", A " vm-001 192.168.6.243;" },
	{ "a comma at the end, with a blank and CR", A ",vm-001,192.168.6.243, \r\n",
		A " vm-001 192.168.6.243;" },
	{ "a comment behind the line", A ",vm-001,192.168.6.243 # mine\n",
		A " vm-001 192.168.6.243;" },
	{ "a comment behind a comma", A ",vm-001,192.168.6.243,\t# mine, too\n",
		A " vm-001 192.168.6.243;" },
	{ "dashes in the MAC", "d0-0d-8e-9f-42-88,vm-001,192.168.6.243\n",
		A " vm-001 192.168.6.243;" },
	{ "capitals in the MAC", "D0:0D:8E:9F:42:88,vm-001,192.168.6.243\n",
		A " vm-001 192.168.6.243;" },
	{ "lease time: seconds without a unit", A ",vm-001,192.168.6.243,300\n",
		A " vm-001 192.168.6.243 300;" },
	{ "lease time: seconds", A ",vm-001,192.168.6.243,300s\n", A " vm-001 192.168.6.243 300;" },
	{ "lease time: hours", A ",vm-001,192.168.6.243,12h\n", A " vm-001 192.168.6.243 43200;" },
	{ "lease time: days, in capitals", A ",vm-001,192.168.6.243,7D\n",
		A " vm-001 192.168.6.243 604800;" },
	{ "lease time: a week", A ",vm-001,192.168.6.243,1w\n", A " vm-001 192.168.6.243 604800;" },
	{ "lease time: infinite", A ",vm-001,192.168.6.243,infinite\n",
		A " vm-001 192.168.6.243 4294967295;" },
	{ "ignore", A ",vm-001,192.168.6.243,ignore\n", A " vm-001 192.168.6.243 ignore;" },
	{ "ignore: a MAC is enough, and no VM", A ",ignore\n" B ",b,192.168.6.2\n" C ",c,ignore\n",
		B " b 192.168.6.2;" },
	{ "ignore: nobody but those", A ",ignore\n" B ",ignore,192.168.6.2\n", "" },
	{ "id: is accepted and not used", A ",id:01:d0:0d:8e:9f:42:88,vm-001,192.168.6.243\n",
		A " vm-001 192.168.6.243;" },
	{ "id:* is accepted and not used", A ",id:*,vm-001,192.168.6.243\n",
		A " vm-001 192.168.6.243;" },
	{ "set: a tag", A ",set:web,vm-001,192.168.6.243\n", A " vm-001 192.168.6.243 tags=web;" },
	{ "set: tags, in small letters", A ",set:Web,vm-001,set:db_2,192.168.6.243\n",
		A " vm-001 192.168.6.243 tags=web db_2;" },
	{ "set: the tags of one VM are not its neighbour's",
		A ",set:a,x,192.168.6.1\n" B ",y,192.168.6.2\n" C ",set:b,z,192.168.6.3\n",
		A " x 192.168.6.1 tags=a;" B " y 192.168.6.2;" C " z 192.168.6.3 tags=b;" },
	{ "everything at once", "ignore,192.168.6.243,set:t,2h,id:x,vm-001," A "\n",
		A " vm-001 192.168.6.243 7200 tags=t ignore;" },
	{ "name: one letter", A ",a,192.168.6.243\n", A " a 192.168.6.243;" },
	{ "name: digits and letters (RFC 1123 2.1)", A ",3com-1,192.168.6.243\n",
		A " 3com-1 192.168.6.243;" },
	{ "name: 63 characters", A "," NAME_63 ",192.168.6.243\n",
		A " " NAME_63 " 192.168.6.243;" },
	{ "name: one that is hexadecimal only", A ",deadbeef,192.168.6.243\n",
		A " deadbeef 192.168.6.243;" },
	{ "name: one that begins as a keyword", A ",ignored,192.168.6.243\n",
		A " ignored 192.168.6.243;" },
	{ "name: its case is kept", A ",Web-Server,192.168.6.243\n",
		A " Web-Server 192.168.6.243;" },
	{ "the first and the last address of the network",
		A ",a,192.168.6.1\n" B ",b,192.168.6.254\n",
		A " a 192.168.6.1;" B " b 192.168.6.254;" },
	{ "a line of 1000 characters",
		A ",a,192.168.6.1 # " NAME_63 NAME_63 NAME_63 NAME_63 NAME_63 NAME_63 NAME_63
			NAME_63 NAME_63 NAME_63 NAME_63 NAME_63 NAME_63 NAME_63 NAME_63 "\n",
		A " a 192.168.6.1;" },
};

static void test_good(void **state)
{
	const struct good_row *row = *state;
	struct problems problems = { 0 };
	struct plan *plan;
	int err = parse(row->text, strlen(row->text), &plan, &problems);
	char *text;

	problems_print(&problems);
	assert_int_equal(err, 0);
	assert_int_equal(problems.count, 0);
	text = dump(plan);
	assert_string_equal(text, row->dump);
	free(text);
	plan_free(plan);
	problems_done(&problems);
}

/* --- what is none ------------------------------------------------------------------------- */

static const struct bad_row {
	const char *sentence;
	struct octets text;
	struct {
		unsigned line;
		const char *text; /* part of it */
	} problem[6];
	bool more; /* what follows from the first may be told as well */
} bad_rows[] = {
	{ "no MAC", OCTETS("vm-001,192.168.6.243\n"), { { 1, "MAC" } } },
	{ "no name", OCTETS(A ",192.168.6.243\n"), { { 1, "name" } } },
	{ "no IP", OCTETS(A ",vm-001\n"), { { 1, "IP" } } },
	{ "one word", OCTETS("vm-001\n"), { { 1, "MAC" }, { 1, "IP" } } },
	{ "ignore: a MAC that is there twice",
		OCTETS(A ",ignore\n" B ",b,192.168.6.2\n" A ",a,192.168.6.1\n"),
		{ { 3, "line 1" } } },
	{ "ignore: a name and an IP that are there twice",
		OCTETS(B ",b,192.168.6.2\n" A ",B,ignore\n" C ",192.168.6.2,ignore\n"),
		{ { 2, "line 1" }, { 3, "line 1" } } },
	{ "ignore: nobody", OCTETS("vm-001,ignore\n"), { { 1, "MAC" } } },
	{ "ignore: an IP elsewhere", OCTETS(A ",192.168.7.1,ignore\n"), { { 1, "192.168.7.1" } } },
	{ "two MACs", OCTETS(A "," B ",vm-001,192.168.6.243\n"), { { 1, B } } },
	{ "two names", OCTETS(A ",vm-001,vm-002,192.168.6.243\n"), { { 1, "vm-002" } } },
	{ "two IPs", OCTETS(A ",vm-001,192.168.6.243,192.168.6.244\n"),
		{ { 1, "192.168.6.244" } } },
	{ "two lease times", OCTETS(A ",vm-001,192.168.6.243,1h,2h\n"), { { 1, "2h" } } },
	{ "nothing between two commas", OCTETS(A ",,vm-001,192.168.6.243\n"), { { 1, NULL } } },
	{ "nothing before the first comma", OCTETS("," A ",vm-001,192.168.6.243\n"),
		{ { 1, NULL } } },
	{ "MAC: five groups", OCTETS("d0:0d:8e:9f:42,vm-001,192.168.6.243\n"),
		{ { 1, "d0:0d:8e:9f:42" } } },
	{ "MAC: not hexadecimal", OCTETS("d0:0d:8e:9f:42:8g,vm-001,192.168.6.243\n"),
		{ { 1, "8g" } } },
	{ "MAC: one digit", OCTETS("d0:d:8e:9f:42:88,vm-001,192.168.6.243\n"), { { 1, "d0:d:" } } },
	{ "MAC: a wildcard", OCTETS("d0:0d:8e:9f:42:*,vm-001,192.168.6.243\n"), { { 1, "*" } } },
	{ "MAC: a hardware type before it", OCTETS("06-d0:0d:8e:9f:42:88,vm-001,192.168.6.243\n"),
		{ { 1, "06-" } } },
	{ "MAC: multicast", OCTETS("01:00:5e:00:00:01,vm-001,192.168.6.243\n"),
		{ { 1, "01:00:5e" } } },
	{ "MAC: broadcast", OCTETS("ff:ff:ff:ff:ff:ff,vm-001,192.168.6.243\n"),
		{ { 1, "ff:ff" } } },
	{ "MAC: all zero", OCTETS("00:00:00:00:00:00,vm-001,192.168.6.243\n"), { { 1, "00:00" } } },
	{ "IP: an octet of 256", OCTETS(A ",vm-001,192.168.6.256\n"), { { 1, "192.168.6.256" } } },
	{ "IP: a leading zero", OCTETS(A ",vm-001,192.168.06.243\n"), { { 1, "192.168.06.243" } } },
	{ "IP: loopback", OCTETS(A ",vm-001,127.0.0.1\n"), { { 1, "127.0.0.1" } } },
	{ "IP: multicast", OCTETS(A ",vm-001,224.0.0.1\n"), { { 1, "224.0.0.1" } } },
	{ "IP: outside the bridge's network", OCTETS(A ",vm-001,192.168.7.1\n"),
		{ { 1, "192.168.6.22/24" } } },
	{ "IP: the network's address", OCTETS(A ",vm-001,192.168.6.0\n"), { { 1, "network" } } },
	{ "IP: the broadcast address", OCTETS(A ",vm-001,192.168.6.255\n"),
		{ { 1, "broadcast" } } },
	{ "IP: the host's own address", OCTETS(A ",vm-001,192.168.6.22\n"), { { 1, "host" } } },
	{ "name: a dot", OCTETS(A ",vm-001.local,192.168.6.243\n"), { { 1, "vm-001.local" } },
		.more = true },
	{ "name: an underscore", OCTETS(A ",vm_001,192.168.6.243\n"), { { 1, "vm_001" } } },
	{ "name: a hyphen first", OCTETS(A ",-vm,192.168.6.243\n"), { { 1, "-vm" } } },
	{ "name: a hyphen last", OCTETS(A ",vm-,192.168.6.243\n"), { { 1, "vm-" } } },
	{ "name: 64 characters", OCTETS(A "," NAME_63 "x,192.168.6.243\n"), { { 1, NAME_63 } } },
	{ "name: a blank inside", OCTETS(A ",vm 001,192.168.6.243\n"), { { 1, "vm 001" } } },
	{ "name: a letter above ASCII", OCTETS(A ",v\xc3\xa4m,192.168.6.243\n"),
		{ { 1, "v??m" } } },
	{ "name: for a shell", OCTETS(A ",$(reboot),192.168.6.243\n"), { { 1, "$(reboot)" } } },
	{ "name: digits only read as a lease time, and so there is none",
		OCTETS(A ",12345,192.168.6.243\n"), { { 1, "name" } } },
	{ "name: a comment without a blank before it is part of the field",
		OCTETS(A ",vm-001#x,192.168.6.243\n"), { { 1, "vm-001#x" } } },
	{ "lease time: none", OCTETS(A ",vm-001,192.168.6.243,0\n"), { { 1, "0" } } },
	{ "lease time: too long", OCTETS(A ",vm-001,192.168.6.243,9999999w\n"),
		{ { 1, "9999999w" } } },
	{ "set: an empty tag", OCTETS(A ",set:,vm-001,192.168.6.243\n"), { { 1, "set:" } } },
	{ "set: a tag with a blank", OCTETS(A ",set:a b,vm-001,192.168.6.243\n"),
		{ { 1, "a b" } } },
	{ "tag: is not ours", OCTETS(A ",tag:x,vm-001,192.168.6.243\n"), { { 1, "tag:x" } } },
	{ "an IPv6 address is not ours", OCTETS(A ",[fd00::1],vm-001,192.168.6.243\n"),
		{ { 1, "[fd00::1]" } } },
	{ "a NUL in the line", OCTETS(A ",vm-001\0,192.168.6.243\n"), { { 1, NULL } } },
	{ "a terminal's escape is not printed", OCTETS(A ",vm\x1b[2J,192.168.6.243\n"),
		{ { 1, "vm?[2J" } } },
	{ "a percent sign is not a format", OCTETS(A ",%s%n,192.168.6.243\n"), { { 1, "%s%n" } } },
	{ "the line is the right one", OCTETS("# x\n\n" A ",vm-001,192.168.6.243\n" B ",vm-002\n"),
		{ { 4, "IP" } } },
	{ "the line is the right one with CRLF", OCTETS("# x\r\n\r\n" A ",vm-001\r\n"),
		{ { 3, "IP" } } },
	{ "twice the MAC: both lines", OCTETS(A ",a,192.168.6.1\n# x\n" A ",b,192.168.6.2\n"),
		{ { 3, "line 1" } } },
	{ "twice the MAC, written differently",
		OCTETS(A ",a,192.168.6.1\nD0-0D-8E-9F-42-88,b,192.168.6.2\n"),
		{ { 2, "line 1" } } },
	{ "twice the name: both lines", OCTETS(A ",a,192.168.6.1\n\n" B ",a,192.168.6.2\n"),
		{ { 3, "line 1" } } },
	{ "twice the name, in capitals (as in DNS)",
		OCTETS(A ",web,192.168.6.1\n" B ",WEB,192.168.6.2\n"), { { 2, "line 1" } } },
	{ "twice the IP: both lines", OCTETS("\n" A ",a,192.168.6.1\n" B ",b,192.168.6.1\n"),
		{ { 3, "line 2" } } },
	{ "twice the whole line: all three are told",
		OCTETS(A ",a,192.168.6.1\n" A ",a,192.168.6.1\n"),
		{ { 2, A }, { 2, "name" }, { 2, "192.168.6.1" } } },
	{ "three times the IP: each later one",
		OCTETS(A ",a,192.168.6.1\n" B ",b,192.168.6.1\n" C ",c,192.168.6.1\n"),
		{ { 2, "line 1" }, { 3, "line 1" } } },
	{ "all problems, not only the first",
		OCTETS("x\n" A ",a,192.168.6.1\n" B ",b,10.0.0.1\n" C ",_,192.168.6.3\n" A
		       ",d,192.168.6.4\n"),
		{ { 1, "MAC" }, { 1, "IP" }, { 3, "10.0.0.1" }, { 4, "_" }, { 5, "line 2" } } },
	{ "all problems of one line", OCTETS("d0:0d,-vm,192.168.6.999\n"),
		{ { 1, "d0:0d" }, { 1, "-vm" }, { 1, "192.168.6.999" } } },
};

static void test_bad(void **state)
{
	const struct bad_row *row = *state;
	struct problems problems = { 0 };
	struct plan *plan;
	size_t expected = 0;
	int err = parse(row->text.data, row->text.len, &plan, &problems);

	problems_print(&problems);
	assert_int_equal(err, -EINVAL);
	assert_null(plan);
	for (; expected < COUNT(row->problem) && row->problem[expected].line; expected++)
		assert_int_not_equal(problems_match(&problems, row->problem[expected].line,
					     row->problem[expected].text),
			0);
	if (!row->more)
		assert_int_equal(problems.count, expected);
	/* in the order of the file, for the reader */
	for (size_t i = 1; i < problems.count; i++)
		assert_true(problems.list[i - 1].line <= problems.list[i].line);
	for (size_t i = 0; i < problems.count; i++)
		assert_string_equal(problems.list[i].file, "network.conf");
	problems_done(&problems);
}

static void test_unknown_network(void **state)
{
	static const char text[] = A ",a,10.0.0.0\n" B ",b,192.168.6.255\n";
	struct problems problems = { 0 };
	struct plan *plan = NULL;

	(void)state;
	assert_int_equal(plan_parse(text, strlen(text), "f", NULL, &plan, &problems), 0);
	assert_int_equal(plan_count(plan), 2);
	plan_free(plan);
}

static void test_long_line(void **state)
{
	struct problems problems = { 0 };
	char text[5000];
	struct plan *plan;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, A ",", MAC_STRLEN);
	text[sizeof(text) - 1] = '\n';
	assert_int_equal(parse(text, sizeof(text), &plan, &problems), -EINVAL);
	assert_int_not_equal(problems_match(&problems, 1, NULL), 0);
	problems_done(&problems);
}

static void test_keeps_earlier_problems(void **state)
{
	static const char text[] = A ",a,192.168.6.1\n";
	struct problems problems = { 0 };
	struct plan *plan;

	(void)state;
	problem_add(&problems, "eipd.conf", 99, "before");
	assert_int_equal(parse(text, strlen(text), &plan, &problems), 0);
	plan_free(plan);
	assert_int_equal(parse("x\n", 2, &plan, &problems), -EINVAL);
	assert_string_equal(problems.list[0].text, "before");
	problems_done(&problems);
}

/* --- lookups ------------------------------------------------------------------------------ */

static struct plan *plan_of(const char *text)
{
	struct problems problems = { 0 };
	struct plan *plan;
	int err = parse(text, strlen(text), &plan, &problems);

	problems_print(&problems);
	assert_int_equal(err, 0);
	return plan;
}

static void test_lookups(void **state)
{
	struct plan *plan = plan_of(A ",a,192.168.6.1\n" B ",Bee,192.168.6.2\n");
	const struct mac mac_b = { { 0xd0, 0x0d, 0x8e, 0x9f, 0x42, 0x89 } };
	const struct mac other = { { 0xd0, 0x0d, 0x8e, 0x9f, 0x42, 0x90 } };
	const struct vm *b = plan_vm(plan, 1);

	(void)state;
	assert_int_equal(plan_count(plan), 2);
	assert_string_equal(b->name, "Bee");
	assert_int_equal(plan_index(plan, b), 1);
	assert_int_equal(plan_index(plan, plan_vm(plan, 0)), 0);
	assert_ptr_equal(plan_by_mac(plan, &mac_b), b);
	assert_ptr_equal(plan_by_ip(plan, IP4(192, 168, 6, 2)), b);
	assert_ptr_equal(plan_by_name(plan, "Bee"), b);
	assert_ptr_equal(plan_by_name(plan, "bEE"), b);
	assert_null(plan_by_mac(plan, &other));
	assert_null(plan_by_ip(plan, IP4(192, 168, 6, 3)));
	assert_null(plan_by_ip(plan, 0));
	assert_null(plan_by_name(plan, "Be"));
	assert_null(plan_by_name(plan, "Beee"));
	assert_null(plan_by_name(plan, ""));
	plan_free(plan);
	plan_free(NULL);
}

static void test_lookups_in_empty(void **state)
{
	struct plan *plan = plan_of("");
	const struct mac zero = { { 0 } };

	(void)state;
	assert_int_equal(plan_count(plan), 0);
	assert_null(plan_by_mac(plan, &zero));
	assert_null(plan_by_ip(plan, 0));
	assert_null(plan_by_name(plan, "a"));
	plan_free(plan);
}

/* --- names -------------------------------------------------------------------------------- */

static const struct name_row {
	const char *sentence, *name;
	bool valid;
} name_rows[] = {
	{ "valid: letters, digits, inner hyphens", "vm-0-a", true },
	{ "valid: a digit first", "0vm", true },
	{ "valid: two hyphens inside", "a--b", true },
	{ "valid: 63", NAME_63, true },
	{ "not valid: 64", NAME_63 "x", false },
	{ "not valid: nothing", "", false },
	{ "not valid: a hyphen", "-", false },
	{ "not valid: a hyphen first", "-a", false },
	{ "not valid: a hyphen last", "a-", false },
	{ "not valid: a dot", "a.b", false },
	{ "not valid: an underscore", "a_b", false },
	{ "not valid: a blank", "a b", false },
	{ "not valid: a newline", "a\n", false },
	{ "not valid: a slash", "../a", false },
	{ "not valid: an umlaut in Latin-1", "\xe4", false },
};

static void test_name(void **state)
{
	const struct name_row *row = *state;

	assert_int_equal(plan_name_is_valid(row->name), row->valid);
}

/* --- differences -------------------------------------------------------------------------- */

#define BASE A ",a,192.168.6.1\n" B ",b,192.168.6.2\n"

static const struct diff_row {
	const char *sentence, *before, *after;
	size_t added, changed, removed;
} diff_rows[] = {
	{ "compare: the same", BASE, BASE, 0, 0, 0 },
	{ "compare: the order means nothing", BASE, B ",b,192.168.6.2\n" A ",a,192.168.6.1\n", 0, 0,
		0 },
	{ "compare: the form means nothing", BASE,
		"# c\n a,192.168.6.1,D0-0D-8E-9F-42-88\r\n" B ",b,192.168.6.2,", 0, 0, 0 },
	{ "compare: one added", BASE, BASE C ",c,192.168.6.3\n", 1, 0, 0 },
	{ "compare: one removed", BASE, A ",a,192.168.6.1\n", 0, 0, 1 },
	{ "compare: another MAC", BASE, A ",a,192.168.6.1\n" C ",b,192.168.6.2\n", 0, 1, 0 },
	{ "compare: another IP", BASE, A ",a,192.168.6.1\n" B ",b,192.168.6.3\n", 0, 1, 0 },
	{ "compare: a lease time", BASE, A ",a,192.168.6.1,1h\n" B ",b,192.168.6.2\n", 0, 1, 0 },
	{ "compare: a tag", BASE, A ",a,192.168.6.1,set:x\n" B ",b,192.168.6.2\n", 0, 1, 0 },
	{ "compare: another tag", A ",a,192.168.6.1,set:y\n", A ",a,192.168.6.1,set:x\n", 0, 1, 0 },
	{ "compare: ignore", BASE, A ",a,192.168.6.1\n" B ",b,192.168.6.2,ignore\n", 0, 1, 0 },
	{ "compare: another name is another VM", BASE, A ",a,192.168.6.1\n" B ",c,192.168.6.2\n", 1,
		0, 1 },
	{ "compare: two swap their IPs", BASE, A ",a,192.168.6.2\n" B ",b,192.168.6.1\n", 0, 2, 0 },
	{ "compare: from nothing", "", BASE, 2, 0, 0 },
	{ "compare: to nothing", BASE, "", 0, 0, 2 },
	{ "compare: nothing and nothing", "", "", 0, 0, 0 },
};

static void test_diff(void **state)
{
	const struct diff_row *row = *state;
	struct plan *before = plan_of(row->before), *after = plan_of(row->after);
	struct plan_change change;

	plan_compare(before, after, &change);
	assert_int_equal(change.added, row->added);
	assert_int_equal(change.changed, row->changed);
	assert_int_equal(change.removed, row->removed);
	for (size_t i = 0; i < plan_count(after); i++) {
		const struct vm *old = plan_by_mac(before, &plan_vm(after, i)->mac);

		assert_int_equal(change.before[i], old ? plan_index(before, old) + 1 : 0);
	}
	plan_change_done(&change);
	plan_free(before);
	plan_free(after);
}

/* --- size --------------------------------------------------------------------------------- */

/* Lines of VMs that are all different, or all the same. */
static char *many_lines(size_t count, bool same, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	for (size_t i = 0; i < count; i++) {
		size_t n = same ? 0 : i;

		fprintf(out, "02:00:00:%02zx:%02zx:%02zx,vm-%zu,10.%zu.%zu.%zu\n", n >> 16 & 255,
			n >> 8 & 255, n & 255, n, 1 + (n >> 16), n >> 8 & 255, n & 255);
	}
	fclose(out);
	return text;
}

/* The least of three: processor seconds, so that a busy machine does not matter. */
static double seconds_for(size_t count, bool same)
{
	double best = 1e9;
	size_t len;
	char *text = many_lines(count, same, &len);

	for (int i = 0; i < 3; i++) {
		struct problems problems = { 0 };
		struct plan *plan = NULL;
		clock_t start = clock();
		int err = plan_parse(text, len, "f", NULL, &plan, &problems);
		double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;

		assert_int_equal(err, same ? -EINVAL : 0);
		if (!same)
			assert_int_equal(plan_count(plan), count);
		best = seconds < best ? seconds : best;
		plan_free(plan);
		problems_done(&problems);
	}
	free(text);
	return best;
}

static void assert_linear(bool same)
{
	double few = seconds_for(12500, same), many = seconds_for(100000, same);

	/* eight times the lines: linear is 8 times (and some for the caches), quadratic 64 times */
	print_message("    12,500 lines: %.4f s, 100,000 lines: %.4f s\n", few, many);
	assert_true(many < 32 * few + 0.02);
}

static void test_linear(void **state)
{
	(void)state;
	assert_linear(false);
}

static void test_linear_duplicates(void **state)
{
	(void)state;
	assert_linear(true);
}

static void test_many_lookups(void **state)
{
	size_t len;
	char *text = many_lines(100000, false, &len);
	struct problems problems = { 0 };
	struct plan *plan = NULL;

	(void)state;
	assert_int_equal(plan_parse(text, len, "f", NULL, &plan, &problems), 0);
	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i);

		assert_true(plan_by_mac(plan, &vm->mac) == vm);
		assert_true(plan_by_ip(plan, vm->ip) == vm);
		assert_true(plan_by_name(plan, vm->name) == vm);
	}
	plan_free(plan);
	free(text);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_good, good_rows);
	SUITE_ROWS(&suite, test_bad, bad_rows);
	suite_add(&suite, "without a known network no address is held against it",
		test_unknown_network, NULL);
	suite_add(&suite, "a line of 5000 characters is refused", test_long_line, NULL);
	suite_add(&suite, "problems found before are kept and do not count",
		test_keeps_earlier_problems, NULL);
	suite_add(&suite, "lookups by MAC, IP and name", test_lookups, NULL);
	suite_add(&suite, "lookups in an empty plan", test_lookups_in_empty, NULL);
	SUITE_ROWS(&suite, test_name, name_rows);
	SUITE_ROWS(&suite, test_diff, diff_rows);
	suite_add(&suite, "100,000 lines parse in linear time", test_linear, NULL);
	suite_add(&suite, "100,000 duplicates are refused in linear time", test_linear_duplicates,
		NULL);
	suite_add(&suite, "every one of 100,000 VMs is found", test_many_lookups, NULL);
	return suite_run(&suite, "plan");
}
