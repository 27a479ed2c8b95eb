/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The textual forms of addresses, numbers and times. */
#include "tests/unit/support.h"

#include <errno.h>

#include "common/addr.h"

/* --- hardware addresses ------------------------------------------------------------------- */

static const struct mac_row {
	const char *sentence, *text;
	const char *printed; /* NULL: refused */
} mac_rows[] = {
	{ "mac: colons", "d0:0d:8e:9f:42:88", "d0:0d:8e:9f:42:88" },
	{ "mac: dashes print as colons", "d0-0d-8e-9f-42-88", "d0:0d:8e:9f:42:88" },
	{ "mac: capitals print as small letters", "D0:0D:8E:9F:42:Ab", "d0:0d:8e:9f:42:ab" },
	{ "mac: any octets are a MAC by form", "ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff" },
	{ "mac: nothing", "", NULL },
	{ "mac: colons and dashes mixed", "d0:0d-8e:9f-42:88", NULL },
	{ "mac: the last separator differs", "d0:0d:8e:9f:42-88", NULL },
	{ "mac: five groups", "d0:0d:8e:9f:42", NULL },
	{ "mac: seven groups", "d0:0d:8e:9f:42:88:01", NULL },
	{ "mac: one digit in a group", "d0:0d:8e:9f:42:8", NULL },
	{ "mac: one digit in an inner group", "d0:d:8e:9f:42:088", NULL },
	{ "mac: not a hexadecimal digit", "d0:0d:8e:9f:42:8g", NULL },
	{ "mac: a sign is no digit", "d0:0d:8e:9f:42:+8", NULL },
	{ "mac: dots", "d00d.8e9f.4288", NULL },
	{ "mac: no separators", "d00d8e9f4288", NULL },
	{ "mac: something behind it", "d0:0d:8e:9f:42:88 ", NULL },
	{ "mac: something before it", " d0:0d:8e:9f:42:88", NULL },
	{ "mac: the characters between digits and letters", "d0:0d:8e:9f:42:8@", NULL },
};

static void test_mac(void **state)
{
	const struct mac_row *row = *state;
	const struct mac before = { { 1, 2, 3, 4, 5, 6 } };
	struct mac mac = before;
	char text[MAC_STRLEN];

	if (row->printed) {
		assert_int_equal(mac_parse(row->text, &mac), 0);
		assert_ptr_equal(mac_format(&mac, text), text);
		assert_string_equal(text, row->printed);
	} else {
		assert_int_equal(mac_parse(row->text, &mac), -EINVAL);
		assert_memory_equal(&mac, &before, sizeof(mac));
	}
}

static void test_mac_relations(void **state)
{
	const struct mac a = { { 2, 0, 0, 0, 0, 1 } }, same = a, other = { { 2, 0, 0, 0, 0, 2 } };
	const struct mac first = { { 3, 0, 0, 0, 0, 1 } };

	(void)state;
	assert_true(mac_equal(&a, &same));
	assert_false(mac_equal(&a, &other));
	assert_false(mac_equal(&a, &first));
	assert_int_equal(mac_hash(&a), mac_hash(&same));
}

static const struct host_mac_row {
	const char *sentence;
	struct mac mac;
	bool is_host;
} host_mac_rows[] = {
	{ "mac: a globally administered one is a host's", { { 0xd0, 0x0d, 0x8e, 0, 0, 1 } }, true },
	{ "mac: a locally administered one is a host's", { { 2, 0, 0, 0, 0, 0 } }, true },
	{ "mac: only the last octet set is a host's", { { 0, 0, 0, 0, 0, 1 } }, true },
	{ "mac: all zero is nobody's", { { 0, 0, 0, 0, 0, 0 } }, false },
	{ "mac: broadcast is nobody's", { { 255, 255, 255, 255, 255, 255 } }, false },
	{ "mac: multicast is nobody's", { { 1, 0, 0x5e, 0, 0, 1 } }, false },
	{ "mac: a local group is nobody's", { { 3, 0, 0, 0, 0, 1 } }, false },
};

static void test_mac_is_host(void **state)
{
	const struct host_mac_row *row = *state;

	assert_int_equal(mac_is_host(&row->mac), row->is_host);
}

/* A table of MACs that differ in their last octets, as plans have them, must not be one chain. */
static void test_hashes_spread(void **state)
{
	enum { SLOTS = 4096 };
	static unsigned char by_mac[SLOTS], by_ip[SLOTS];
	size_t used_by_mac = 0, used_by_ip = 0;

	(void)state;
	for (uint32_t i = 0; i < SLOTS; i++) {
		const struct mac mac = { { 2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i } };

		by_mac[mac_hash(&mac) % SLOTS] = 1;
		by_ip[ip4_hash(IP4(10, 77, 0, 0) + i * 256) % SLOTS] = 1;
	}
	for (size_t i = 0; i < SLOTS; i++) {
		used_by_mac += by_mac[i];
		used_by_ip += by_ip[i];
	}
	/* a random function fills 1 - 1/e of the slots, 63 % */
	assert_true(used_by_mac > SLOTS / 2);
	assert_true(used_by_ip > SLOTS / 2);
}

/* --- IPv4 --------------------------------------------------------------------------------- */

static const struct ip4_row {
	const char *sentence, *text;
	bool good;
	uint32_t ip;
} ip4_rows[] = {
	{ "ip4: an address, in host order", "192.168.6.243", true, IP4(192, 168, 6, 243) },
	{ "ip4: the lowest", "0.0.0.0", true, 0 },
	{ "ip4: the highest", "255.255.255.255", true, UINT32_MAX },
	{ "ip4: nothing", "", false, 0 },
	{ "ip4: an octet of 256", "192.168.6.256", false, 0 },
	{ "ip4: an octet that overflows", "192.168.6.4294967297", false, 0 },
	{ "ip4: a leading zero (octal elsewhere)", "192.168.06.1", false, 0 },
	{ "ip4: two zeros", "192.168.00.1", false, 0 },
	{ "ip4: three numbers", "192.168.6", false, 0 },
	{ "ip4: five numbers", "192.168.6.1.1", false, 0 },
	{ "ip4: a dot at the end", "192.168.6.1.", false, 0 },
	{ "ip4: a dot at the start", ".192.168.6.1", false, 0 },
	{ "ip4: two dots", "192..168.6", false, 0 },
	{ "ip4: a sign", "192.168.6.-1", false, 0 },
	{ "ip4: a plus sign", "192.168.6.+1", false, 0 },
	{ "ip4: hexadecimal", "0xc0.168.6.1", false, 0 },
	{ "ip4: one number (inet_aton takes it)", "3232237299", false, 0 },
	{ "ip4: a blank behind it", "192.168.6.1 ", false, 0 },
	{ "ip4: a blank inside", "192.168. 6.1", false, 0 },
	{ "ip4: letters behind it", "192.168.6.1a", false, 0 },
	{ "ip4: a prefix length", "192.168.6.1/24", false, 0 },
};

static void test_ip4(void **state)
{
	const struct ip4_row *row = *state;
	uint32_t ip = 0xdeadbeef;
	char text[IP4_STRLEN];

	if (row->good) {
		assert_int_equal(ip4_parse(row->text, &ip), 0);
		assert_int_equal(ip, row->ip);
		assert_ptr_equal(ip4_format(ip, text), text);
		assert_string_equal(text, row->text);
	} else {
		assert_int_equal(ip4_parse(row->text, &ip), -EINVAL);
		assert_int_equal(ip, 0xdeadbeef);
	}
}

static const struct host_row {
	const char *sentence;
	uint32_t ip;
	bool is_host;
} host_rows[] = {
	{ "host: 10.0.0.1", IP4(10, 0, 0, 1), true },
	{ "host: 1.0.0.0, the first that may be one", IP4(1, 0, 0, 0), true },
	{ "host: 223.255.255.255, the last that may be one", IP4(223, 255, 255, 255), true },
	{ "host: 126.255.255.255 is below loopback", IP4(126, 255, 255, 255), true },
	{ "host: 128.0.0.0 is above loopback", IP4(128, 0, 0, 0), true },
	{ "host: not 0.0.0.0", 0, false },
	{ "host: not 0.255.255.255", IP4(0, 255, 255, 255), false },
	{ "host: not 127.0.0.1", IP4(127, 0, 0, 1), false },
	{ "host: not 224.0.0.1", IP4(224, 0, 0, 1), false },
	{ "host: not 240.0.0.1", IP4(240, 0, 0, 1), false },
	{ "host: not 255.255.255.255", UINT32_MAX, false },
};

static void test_ip4_is_host(void **state)
{
	const struct host_row *row = *state;

	assert_int_equal(ip4_is_host(row->ip), row->is_host);
}

static const struct prefix_row {
	const char *sentence, *text;
	bool good;
	uint32_t mask, network, broadcast;
} prefix_rows[] = {
	{ "prefix: /24 keeps the host's part", "192.168.6.22/24", true, 0xffffff00,
		IP4(192, 168, 6, 0), IP4(192, 168, 6, 255) },
	{ "prefix: /32 is one address", "20.251.48.99/32", true, UINT32_MAX, IP4(20, 251, 48, 99),
		IP4(20, 251, 48, 99) },
	{ "prefix: /31", "10.0.0.5/31", true, 0xfffffffe, IP4(10, 0, 0, 4), IP4(10, 0, 0, 5) },
	{ "prefix: /1", "200.0.0.1/1", true, 0x80000000, IP4(128, 0, 0, 0), UINT32_MAX },
	{ "prefix: /0 is everything, without a shift by 32", "10.1.2.3/0", true, 0, 0, UINT32_MAX },
	{ "prefix: /33", "10.0.0.0/33", false, 0, 0, 0 },
	{ "prefix: no length", "10.0.0.0/", false, 0, 0, 0 },
	{ "prefix: no slash", "10.0.0.0", false, 0, 0, 0 },
	{ "prefix: a mask", "10.0.0.0/255.0.0.0", false, 0, 0, 0 },
	{ "prefix: a leading zero", "10.0.0.0/08", false, 0, 0, 0 },
	{ "prefix: negative", "10.0.0.0/-1", false, 0, 0, 0 },
	{ "prefix: a bad address", "10.0.0/24", false, 0, 0, 0 },
	{ "prefix: something behind it", "10.0.0.0/24 ", false, 0, 0, 0 },
	{ "prefix: nothing", "", false, 0, 0, 0 },
};

static void test_prefix(void **state)
{
	const struct prefix_row *row = *state;
	const struct ip4_prefix before = { 0x01020304, 5 };
	struct ip4_prefix prefix = before;
	char text[IP4_PREFIX_STRLEN];

	if (!row->good) {
		assert_int_equal(ip4_prefix_parse(row->text, &prefix), -EINVAL);
		assert_int_equal(prefix.addr, before.addr);
		assert_int_equal(prefix.len, before.len);
		return;
	}
	assert_int_equal(ip4_prefix_parse(row->text, &prefix), 0);
	assert_string_equal(ip4_prefix_format(&prefix, text), row->text);
	assert_int_equal(ip4_prefix_mask(&prefix), row->mask);
	assert_int_equal(ip4_prefix_network(&prefix), row->network);
	assert_int_equal(ip4_prefix_broadcast(&prefix), row->broadcast);
	assert_true(ip4_prefix_contains(&prefix, row->network));
	assert_true(ip4_prefix_contains(&prefix, row->broadcast));
	if (prefix.len) {
		assert_false(ip4_prefix_contains(&prefix, row->network - 1));
		assert_false(ip4_prefix_contains(&prefix, row->broadcast + 1));
	}
}

static const struct range_row {
	const char *sentence, *text, *printed; /* printed NULL: refused */
	uint32_t first, last;
} range_rows[] = {
	{ "range: one address", "20.251.50.7", "20.251.50.7", IP4(20, 251, 50, 7),
		IP4(20, 251, 50, 7) },
	{ "range: from to, both inclusive", "20.251.48.99-20.251.48.110",
		"20.251.48.99-20.251.48.110", IP4(20, 251, 48, 99), IP4(20, 251, 48, 110) },
	{ "range: from to the same", "20.251.48.99-20.251.48.99", "20.251.48.99",
		IP4(20, 251, 48, 99), IP4(20, 251, 48, 99) },
	{ "range: a block means all of its addresses", "20.251.49.0/28", "20.251.49.0-20.251.49.15",
		IP4(20, 251, 49, 0), IP4(20, 251, 49, 15) },
	{ "range: a block of one", "20.251.49.3/32", "20.251.49.3", IP4(20, 251, 49, 3),
		IP4(20, 251, 49, 3) },
	{ "range: a block with a host's part is a slip of the pen", "20.251.49.3/28", NULL, 0, 0 },
	{ "range: backwards", "20.251.48.110-20.251.48.99", NULL, 0, 0 },
	{ "range: no end", "20.251.48.99-", NULL, 0, 0 },
	{ "range: no start", "-20.251.48.99", NULL, 0, 0 },
	{ "range: two ends", "1.1.1.1-1.1.1.2-1.1.1.3", NULL, 0, 0 },
	{ "range: from to a block", "1.1.1.0-1.1.1.0/24", NULL, 0, 0 },
	{ "range: a block to an address", "1.1.1.0/24-1.1.2.0", NULL, 0, 0 },
	{ "range: blanks inside", "1.1.1.1 - 1.1.1.2", "1.1.1.1-1.1.1.2", IP4(1, 1, 1, 1),
		IP4(1, 1, 1, 2) },
	{ "range: blanks and no dash", "1.1.1.1 1.1.1.2", NULL, 0, 0 },
	{ "range: a short end", "20.251.48.99-110", NULL, 0, 0 },
	{ "range: nothing", "", NULL, 0, 0 },
};

static void test_range(void **state)
{
	const struct range_row *row = *state;
	struct ip4_range range = { 7, 8 };
	char text[IP4_RANGE_STRLEN];

	if (!row->printed) {
		assert_int_equal(ip4_range_parse(row->text, &range), -EINVAL);
		assert_int_equal(range.first, 7);
		assert_int_equal(range.last, 8);
		return;
	}
	assert_int_equal(ip4_range_parse(row->text, &range), 0);
	assert_int_equal(range.first, row->first);
	assert_int_equal(range.last, row->last);
	assert_string_equal(ip4_range_format(&range, text), row->printed);
}

/* --- numbers and times -------------------------------------------------------------------- */

static const struct number_row {
	const char *sentence, *text;
	uint32_t min, max;
	int err;
	uint32_t value;
} number_rows[] = {
	{ "number: in the range", "42", 1, 100, 0, 42 },
	{ "number: the least", "1", 1, 100, 0, 1 },
	{ "number: the most", "100", 1, 100, 0, 100 },
	{ "number: zero", "0", 0, 100, 0, 0 },
	{ "number: the most there is", "4294967295", 0, UINT32_MAX, 0, UINT32_MAX },
	{ "number: below", "0", 1, 100, -ERANGE, 0 },
	{ "number: above", "101", 1, 100, -ERANGE, 0 },
	{ "number: more than 32 bits", "4294967296", 0, UINT32_MAX, -ERANGE, 0 },
	{ "number: more than 64 bits", "18446744073709551658", 0, UINT32_MAX, -ERANGE, 0 },
	{ "number: negative", "-1", 0, 100, -EINVAL, 0 },
	{ "number: a plus sign", "+1", 0, 100, -EINVAL, 0 },
	{ "number: hexadecimal", "0x10", 0, 100, -EINVAL, 0 },
	{ "number: a fraction", "1.5", 0, 100, -EINVAL, 0 },
	{ "number: nothing", "", 0, 100, -EINVAL, 0 },
	{ "number: a blank before it", " 1", 0, 100, -EINVAL, 0 },
	{ "number: a unit behind it", "1s", 0, 100, -EINVAL, 0 },
};

static void test_number(void **state)
{
	const struct number_row *row = *state;
	uint32_t value = 77;

	assert_int_equal(number_parse(row->text, row->min, row->max, &value), row->err);
	assert_int_equal(value, row->err ? 77 : row->value);
}

static const struct time_row {
	const char *sentence, *text;
	int err;
	uint32_t value;
} time_rows[] = {
	{ "time: a bare number is seconds", "120", 0, 120 },
	{ "time: seconds", "120s", 0, 120 },
	{ "time: minutes", "2m", 0, 120 },
	{ "time: hours", "1h", 0, 3600 },
	{ "time: days", "7d", 0, 604800 },
	{ "time: weeks", "1w", 0, 604800 },
	{ "time: none", "0s", 0, 0 },
	{ "time: infinite", "infinite", 0, TIME_INFINITE },
	{ "time: the longest finite", "4294967294", 0, UINT32_MAX - 1 },
	{ "time: as long as infinite is not finite", "4294967295", -ERANGE, 0 },
	{ "time: more than 32 bits of seconds, by its unit", "7102w", -ERANGE, 0 },
	{ "time: a product that wraps round 32 bits to a small number", "71582789m", -ERANGE, 0 },
	{ "time: more than 64 bits", "99999999999999999999s", -ERANGE, 0 },
	{ "time: an unknown unit", "5y", -EINVAL, 0 },
	{ "time: two units", "1hm", -EINVAL, 0 },
	{ "time: a compound", "1h30m", -EINVAL, 0 },
	{ "time: a unit alone", "h", -EINVAL, 0 },
	{ "time: nothing", "", -EINVAL, 0 },
	{ "time: negative", "-1h", -EINVAL, 0 },
	{ "time: a fraction", "1.5h", -EINVAL, 0 },
	{ "time: a blank before the unit", "1 h", -EINVAL, 0 },
	{ "time: infinite with something behind it", "infinitely", -EINVAL, 0 },
};

static void test_time(void **state)
{
	const struct time_row *row = *state;
	uint32_t value = 77;

	assert_int_equal(time_parse(row->text, &value), row->err);
	assert_int_equal(value, row->err ? 77 : row->value);
}

/* --- untrusted text ----------------------------------------------------------------------- */

static const struct printable_row {
	const char *sentence;
	struct octets src;
	size_t size;
	const char *dst;
} printable_rows[] = {
	{ "printable: plain text as it is", OCTETS("vm-001 ~"), 64, "vm-001 ~" },
	{ "printable: nothing", OCTETS(""), 64, "" },
	{ "printable: a newline cannot forge a line of the log", OCTETS("a\nb"), 64, "a\\012b" },
	{ "printable: NUL, DEL and octets above ASCII", OCTETS("\0\x7f\xff"), 64,
		"\\000\\177\\377" },
	{ "printable: the backslash, so that escapes are not ambiguous", OCTETS("\\012"), 64,
		"\\134012" },
	{ "printable: terminal escapes", OCTETS("\x1b[2J"), 64, "\\033[2J" },
	{ "printable: what does not fit is cut off", OCTETS("abcdef"), 4, "abc" },
	{ "printable: what just fits is not", OCTETS("abc"), 4, "abc" },
	{ "printable: an escape is never cut in two", OCTETS("ab\ncd"), 6, "ab" },
	{ "printable: an escape that just fits", OCTETS("ab\ncd"), 7, "ab\\012" },
	{ "printable: room for the end only", OCTETS("abc"), 1, "" },
};

static void test_printable(void **state)
{
	const struct printable_row *row = *state;
	char *dst = malloc(row->size); /* of just that size, for the sanitizer */

	assert_ptr_equal(text_printable(dst, row->size, row->src.data, row->src.len), dst);
	assert_string_equal(dst, row->dst);
	free(dst);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_mac, mac_rows);
	SUITE_ROWS(&suite, test_mac_is_host, host_mac_rows);
	suite_add(&suite, "mac: equal in every octet or not equal", test_mac_relations, NULL);
	suite_add(&suite, "hash: neighbours spread", test_hashes_spread, NULL);
	SUITE_ROWS(&suite, test_ip4, ip4_rows);
	SUITE_ROWS(&suite, test_ip4_is_host, host_rows);
	SUITE_ROWS(&suite, test_prefix, prefix_rows);
	SUITE_ROWS(&suite, test_range, range_rows);
	SUITE_ROWS(&suite, test_number, number_rows);
	SUITE_ROWS(&suite, test_time, time_rows);
	SUITE_ROWS(&suite, test_printable, printable_rows);
	return suite_run(&suite, "addr");
}
