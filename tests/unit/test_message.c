/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A client's message, from bytes: what is one, and every way in which it may be none. */
#include "tests/unit/wire.h"

#include "dhcpd/message.h"

/* Ten octets a time. */
#define TEN   "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define P1    "\x2b\x01x" /* a part of option 43 with one octet */
#define P10   P1 P1 P1 P1 P1 P1 P1 P1 P1 P1

static const struct message_row {
	const char *sentence;
	struct request request;
	enum dhcp_drop drop;
	enum dhcp_type type;
	uint8_t code; /* an option to look at; 0: none */
	bool absent;  /* it is not there */
	struct octets value;
} message_rows[] = {
	{ "DISCOVER", { .type = 1 }, DROP_NONE, DHCP_DISCOVER },
	{ "REQUEST", { .type = 3 }, DROP_NONE, DHCP_REQUEST },
	{ "DECLINE", { .type = 4 }, DROP_NONE, DHCP_DECLINE },
	{ "RELEASE", { .type = 7 }, DROP_NONE, DHCP_RELEASE },
	{ "INFORM", { .type = 8 }, DROP_NONE, DHCP_INFORM },
	{ "38: no option 53 is BOOTP", { .type = 0 }, DROP_NONE, DHCP_BOOTP },
	{ "38: no cookie but zeros is BOOTP",
		{ .patch = { { 236, 0, true }, { 237, 0, true }, { 238, 0, true },
			  { 239, 0, true } } },
		DROP_NONE, DHCP_BOOTP },
	{ "a server's message is none for us: OFFER", { .type = 2 }, DROP_TYPE },
	{ "a server's message is none for us: ACK", { .type = 5 }, DROP_TYPE },
	{ "a server's message is none for us: NAK", { .type = 6 }, DROP_TYPE },
	{ "a type of 0", { .options = OCTETS("\x35\x01\x00") }, DROP_TYPE },
	{ "a type of our own making (BOOTP has no number)", { .options = OCTETS("\x35\x01\x09") },
		DROP_TYPE },
	{ "a type of 255", { .options = OCTETS("\x35\x01\xff") }, DROP_TYPE },
	{ "36: option 53 of no length", { .options = OCTETS("\x35\x00") }, DROP_OPTIONS },
	{ "36: option 53 of two octets", { .options = OCTETS("\x35\x02\x01\x01") }, DROP_OPTIONS },
	{ "36: option 53 twice is one of two octets (RFC 3396)",
		{ .type = 1, .options = OCTETS("\x35\x01\x01") }, DROP_OPTIONS },
	{ "36: a reply", { .type = 1, .patch = { { 0, 2, true } } }, DROP_NOT_REQUEST },
	{ "36: an op of 0", { .type = 1, .patch = { { 0, 0, true } } }, DROP_NOT_REQUEST },
	{ "36: htype 6 (802)", { .type = 1, .patch = { { 1, 6, true } } }, DROP_HARDWARE },
	{ "36: htype 0", { .type = 1, .patch = { { 1, 0, true } } }, DROP_HARDWARE },
	{ "36: hlen 5", { .type = 1, .patch = { { 2, 5, true } } }, DROP_HARDWARE },
	{ "36: hlen 16", { .type = 1, .patch = { { 2, 16, true } } }, DROP_HARDWARE },
	{ "36: hlen 255", { .type = 1, .patch = { { 2, 255, true } } }, DROP_HARDWARE },
	{ "36: hlen 0", { .type = 1, .patch = { { 2, 0, true } } }, DROP_HARDWARE },
	{ "a multicast chaddr is nobody's", { .type = 1, .mac = "01:00:5e:00:00:01" },
		DROP_HARDWARE },
	{ "a chaddr of zeros is nobody's", { .type = 1, .mac = "00:00:00:00:00:00" },
		DROP_HARDWARE },
	{ "36: a bad cookie", { .type = 1, .patch = { { 239, 0x64, true } } }, DROP_COOKIE },
	{ "36: shorter than 240", { .type = 1, .total = 239 }, DROP_SHORT },
	{ "36: nothing", { .type = 1, .total = 1 }, DROP_SHORT },
	{ "36: no END", { .type = 1, .without_end = true }, DROP_OPTIONS },
	{ "36: no options at all", { .without_end = true }, DROP_OPTIONS },
	{ "36: an option without its length",
		{ .type = 1, .options = OCTETS("\x32"), .without_end = true }, DROP_OPTIONS },
	{ "36: an option longer than the message",
		{ .type = 1, .options = OCTETS("\x32\x04\x0a\x4d"), .without_end = true },
		DROP_OPTIONS },
	{ "36: an option that ends just at the end, but no END",
		{ .type = 1, .options = OCTETS("\x32\x04\x0a\x4d\x00\x0b"), .without_end = true },
		DROP_OPTIONS },
	{ "a huge message", { .type = 1, .total = 1472 }, DROP_NONE, DHCP_DISCOVER },
	{ "an option", { .type = 3, .options = OCTETS("\x32\x04\x0a\x4d\x00\x0b") }, DROP_NONE,
		DHCP_REQUEST, 50, false, OCTETS("\x0a\x4d\x00\x0b") },
	{ "an option that is not there", { .type = 3 }, DROP_NONE, DHCP_REQUEST, 50, true },
	{ "an option of no length is there", { .type = 1, .options = OCTETS("\x50\x00") },
		DROP_NONE, DHCP_DISCOVER, 80, false, OCTETS("") },
	{ "NULs behind a host name are none of it",
		{ .type = 1, .options = OCTETS("\x0c\x04hi\0\0") }, DROP_NONE, DHCP_DISCOVER, 12,
		false, OCTETS("hi") },
	{ "nor of a vendor class",
		{ .type = 1,
			.options = OCTETS("\x3c\x05"
					  "MS\0FT\x3c\x01\0") },
		DROP_NONE, DHCP_DISCOVER, 60, false, OCTETS("MS\0FT") },
	{ "a host name of nothing else", { .type = 1, .options = OCTETS("\x0c\x02\0\0") },
		DROP_NONE, DHCP_DISCOVER, 12, false, OCTETS("") },
	{ "a client identifier may end with one", { .type = 1, .options = OCTETS("\x3d\x02z\0") },
		DROP_NONE, DHCP_DISCOVER, 61, false, OCTETS("z\0") },
	{ "PAD between options", { .type = 1, .options = OCTETS("\x00\x00\x0c\x02hi\x00") },
		DROP_NONE, DHCP_DISCOVER, 12, false, OCTETS("hi") },
	{ "what stands behind END does not count",
		{ .type = 1, .options = OCTETS("\xff\x0c\x02hi") }, DROP_NONE, DHCP_DISCOVER, 12,
		true },
	{ "what stands behind END may be nonsense",
		{ .type = 1, .options = OCTETS("\xff\x0c\xff") }, DROP_NONE, DHCP_DISCOVER, 12,
		true },
	{ "an unknown option",
		{ .type = 1,
			.options = OCTETS("\xe0\x03"
					  "abc") },
		DROP_NONE, DHCP_DISCOVER, 224, false, OCTETS("abc") },
	{ "option 254, the last", { .type = 1, .options = OCTETS("\xfe\x01z") }, DROP_NONE,
		DHCP_DISCOVER, 254, false, OCTETS("z") },
	/* RFC 3396 */
	{ "29: an option in two parts is one",
		{ .type = 1,
			.options = OCTETS("\x3c\x03"
					  "abc\x0c\x01h\x3c\x02"
					  "de") },
		DROP_NONE, DHCP_DISCOVER, 60, false, OCTETS("abcde") },
	{ "29: an option in three parts, side by side",
		{ .type = 1,
			.options = OCTETS("\x3c\x01"
					  "a\x3c\x01"
					  "b\x3c\x01"
					  "c") },
		DROP_NONE, DHCP_DISCOVER, 60, false, OCTETS("abc") },
	{ "29: two options in parts that alternate",
		{ .type = 1,
			.options = OCTETS("\x3c\x01"
					  "a\x4d\x01"
					  "x\x3c\x01"
					  "b\x4d\x01"
					  "y\x3c\x01"
					  "c\x4d\x01"
					  "z") },
		DROP_NONE, DHCP_DISCOVER, 77, false, OCTETS("xyz") },
	{ "29: an empty part first",
		{ .type = 1,
			.options = OCTETS("\x3c\x00\x3c\x02"
					  "ab") },
		DROP_NONE, DHCP_DISCOVER, 60, false, OCTETS("ab") },
	{ "29: an empty part last",
		{ .type = 1,
			.options = OCTETS("\x3c\x02"
					  "ab\x3c\x00") },
		DROP_NONE, DHCP_DISCOVER, 60, false, OCTETS("ab") },
	{ "29: an empty part in options, the rest in file, which stands before",
		{ .type = 1,
			.options = OCTETS("\x34\x01\x01\x3d\x00"),
			.file = OCTETS("\x3d\x46" FIFTY TEN TEN "\xff") },
		DROP_NONE, DHCP_DISCOVER, 61, false, OCTETS(FIFTY TEN TEN) },
	{ "29: more than 255 octets",
		{ .type = 1,
			.options = OCTETS("\x2b\xfa" FIFTY FIFTY FIFTY FIFTY FIFTY
					  "\x2b\x32" FIFTY) },
		DROP_NONE, DHCP_DISCOVER, 43, false, OCTETS(FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY) },
	{ "29: an option in sixty parts", { .type = 1, .options = OCTETS(P10 P10 P10 P10 P10 P10) },
		DROP_NONE, DHCP_DISCOVER, 43, false,
		OCTETS("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") },
	/* option 52 */
	{ "29: options in file",
		{ .type = 1, .options = OCTETS("\x34\x01\x01"), .file = OCTETS("\x0c\x02hi\xff") },
		DROP_NONE, DHCP_DISCOVER, 12, false, OCTETS("hi") },
	{ "29: options in sname",
		{ .type = 1, .options = OCTETS("\x34\x01\x02"), .sname = OCTETS("\x0c\x02hi\xff") },
		DROP_NONE, DHCP_DISCOVER, 12, false, OCTETS("hi") },
	{ "29: first file, then sname",
		{ .type = 1,
			.options = OCTETS("\x34\x01\x03\x0c\x01"
					  "a"),
			.file = OCTETS("\x0c\x01"
				       "b\xff"),
			.sname = OCTETS("\x0c\x01"
					"c\xff") },
		DROP_NONE, DHCP_DISCOVER, 12, false, OCTETS("abc") },
	{ "29: option 53 in file",
		{ .options = OCTETS("\x34\x01\x01"), .file = OCTETS("\x35\x01\x03\xff") },
		DROP_NONE, DHCP_REQUEST },
	{ "29: without option 52 file is a name, whatever it looks like",
		{ .type = 1, .file = OCTETS("\x0c\x02hi\xff") }, DROP_NONE, DHCP_DISCOVER, 12,
		true },
	{ "29: option 52 says file, sname does not count",
		{ .type = 1,
			.options = OCTETS("\x34\x01\x01"),
			.file = OCTETS("\xff"),
			.sname = OCTETS("\x0c\x02hi\xff") },
		DROP_NONE, DHCP_DISCOVER, 12, true },
	{ "29: option 52 says sname, file does not count",
		{ .type = 1,
			.options = OCTETS("\x34\x01\x02"),
			.sname = OCTETS("\xff"),
			.file = OCTETS("\x0c\x02hi\xff") },
		DROP_NONE, DHCP_DISCOVER, 12, true },
	{ "36: option 52 of 0", { .type = 1, .options = OCTETS("\x34\x01\x00") }, DROP_OPTIONS },
	{ "36: option 52 of 4", { .type = 1, .options = OCTETS("\x34\x01\x04") }, DROP_OPTIONS },
	{ "36: option 52 of no length", { .type = 1, .options = OCTETS("\x34\x00") },
		DROP_OPTIONS },
	{ "36: option 52 of two octets", { .type = 1, .options = OCTETS("\x34\x02\x01\x01") },
		DROP_OPTIONS },
	{ "36: option 52 inside file",
		{ .type = 1,
			.options = OCTETS("\x34\x01\x01"),
			.file = OCTETS("\x34\x01\x02\xff") },
		DROP_OPTIONS },
	{ "36: an option that is longer than file",
		{ .type = 1,
			.options = OCTETS("\x34\x01\x01"),
			.file = OCTETS("\x0c\x7f"
				       "abc") },
		DROP_OPTIONS },
	{ "36: an option that is longer than sname",
		{ .type = 1,
			.options = OCTETS("\x34\x01\x02"),
			.sname = OCTETS("\x0c\x40"
					"abc") },
		DROP_OPTIONS },
};

static enum dhcp_drop decode_exactly(const uint8_t *data, size_t len, struct dhcp_message *message,
	uint8_t **ret_copy)
{
	*ret_copy = malloc(len ? len : 1);
	memcpy(*ret_copy, data, len);
	/* nothing of what was there before may be taken for the message's */
	memset(message, 0xa5, sizeof(*message));
	return dhcp_message_decode(*ret_copy, len, message);
}

/* An option lies within what was received or joined: what it points at goes back to clients. */
static void assert_in_bounds(const struct dhcp_message *message, unsigned code,
	const uint8_t *packet, size_t len)
{
	const struct dhcp_option *option = &message->option[code];
	bool in_packet = option->data >= packet && option->data + option->len <= packet + len;
	bool joined = option->data >= message->joined &&
		option->data + option->len <= message->joined + sizeof(message->joined);

	assert_true(!option->data || in_packet || joined);
}

static void test_decode(void **state)
{
	const struct message_row *row = *state;
	uint8_t data[MESSAGE_MAX], *copy;
	struct dhcp_message message;
	size_t len = request_message(&row->request, data);

	assert_int_equal(decode_exactly(data, len, &message, &copy), row->drop);
	if (row->drop == DROP_NONE) {
		assert_int_equal(message.type, row->type);
		assert_int_equal(message.xid, XID);
		assert_memory_equal(message.chaddr.byte, "\x02\x00\x00\x00\x00\x01", MAC_LEN);
	}
	if (row->code && row->absent) {
		assert_null(message.option[row->code].data);
	} else if (row->code) {
		assert_non_null(message.option[row->code].data);
		assert_int_equal(message.option[row->code].len, row->value.len);
		assert_in_bounds(&message, row->code, copy, len);
		assert_memory_equal(message.option[row->code].data, row->value.data,
			row->value.len);
	}
	free(copy);
}

static void test_fields(void **state)
{
	static const struct request request = { .type = 1,
		.ciaddr = IP4(10, 77, 0, 11),
		.giaddr = IP4(10, 77, 0, 9),
		.flags = 0x8001,
		.secs = 0x0102,
		.mac = "02:00:00:00:ab:cd" };
	uint8_t data[MESSAGE_MAX];
	struct dhcp_message message;

	(void)state;
	assert_int_equal(dhcp_message_decode(data, request_message(&request, data), &message),
		DROP_NONE);
	assert_int_equal(message.xid, XID);
	assert_int_equal(message.secs, 0x0102);
	assert_int_equal(message.flags, 0x8001);
	assert_int_equal(message.ciaddr, IP4(10, 77, 0, 11));
	assert_int_equal(message.giaddr, IP4(10, 77, 0, 9));
	assert_memory_equal(message.chaddr.byte, "\x02\x00\x00\x00\xab\xcd", MAC_LEN);
	for (unsigned code = 1; code < 255; code++) {
		if (code != 53)
			assert_null(message.option[code].data);
	}
}

/* Every message above, cut off after every octet: nothing up to its END may be missing. */
static void test_truncated(void **state)
{
	struct dhcp_message message;

	(void)state;
	for (size_t i = 0; i < COUNT(message_rows); i++) {
		struct request request = message_rows[i].request;
		uint8_t data[MESSAGE_MAX], *copy;
		size_t whole;

		request.without_end = true; /* then there is no padding */
		whole = request_message(&request, data);
		for (size_t len = 0; len < whole; len++) {
			enum dhcp_drop drop = decode_exactly(data, len, &message, &copy);

			free(copy);
			if (len < 240)
				assert_int_equal(drop, DROP_SHORT);
		}
	}
	/* the same for an empty part near the end of the message, whose rest stands before it: what
	 * lies behind the message must not come into the option, for it is echoed to the client */
	{
		const struct request request = { .type = 1,
			.options = OCTETS("\x34\x01\x01\x3d\x00"),
			.file = OCTETS("\x3d\x46" FIFTY TEN TEN "\xff"),
			.without_end = true };
		uint8_t data[MESSAGE_MAX], *copy;
		size_t end = request_message(&request, data);

		data[end] = 255;
		assert_int_equal(decode_exactly(data, end + 1, &message, &copy), DROP_NONE);
		assert_int_equal(message.option[61].len, 70);
		assert_in_bounds(&message, 61, copy, end + 1);
		assert_memory_equal(message.option[61].data, FIFTY TEN TEN, 70);
		free(copy);
	}
	/* a good one that ends with its END */
	{
		const struct request request = { .type = 3,
			.options = OCTETS("\x32\x04\x0a\x4d\x00\x0b\x36\x04\x0a\x4d\x00\x01"),
			.without_end = true };
		uint8_t data[MESSAGE_MAX], *copy;
		size_t end = request_message(&request, data);

		data[end] = 255;
		for (size_t len = 0; len <= end; len++) {
			assert_int_equal(decode_exactly(data, len, &message, &copy),
				len < 240 ? DROP_SHORT : DROP_OPTIONS);
			free(copy);
		}
		assert_int_equal(decode_exactly(data, end + 1, &message, &copy), DROP_NONE);
		free(copy);
	}
}

/* Messages of noise: no crash, no option outside of what was given. */
static void test_noise(void **state)
{
	struct dhcp_message message;
	uint32_t random = 42;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		const struct request request = { .type = 1, .total = 240 + (random >> 8) % 400 };
		uint8_t data[MESSAGE_MAX], *copy;
		size_t len = request_message(&request, data);

		for (size_t i = 44; i < len; i++) {
			random = random * 1664525 + 1013904223;
			/* the cookie must be right; small octets make more options */
			if (i < 236 || i >= 240)
				data[i] = (uint8_t)(random >> 24 & (round & 1 ? 0xff : 0x3f));
		}
		if (decode_exactly(data, len, &message, &copy) == DROP_NONE) {
			for (unsigned code = 1; code < 255; code++)
				assert_in_bounds(&message, code, copy, len);
		}
		free(copy);
		random += (uint32_t)round;
	}
}

static void test_typed_getters(void **state)
{
	static const struct request request = { .type = 3,
		.options = OCTETS("\x32\x04\x0a\x4d\x00\x0b\x33\x03\x01\x02\x03"
				  "\x36\x05\x01\x02\x03\x04\x05"
				  "\x39\x02\x05\xdc\x3a\x01\x07") };
	uint8_t data[MESSAGE_MAX];
	struct dhcp_message message;
	uint32_t u32 = 77;
	uint16_t u16 = 77;

	(void)state;
	assert_int_equal(dhcp_message_decode(data, request_message(&request, data), &message),
		DROP_NONE);
	assert_false(dhcp_option_u32(&message, OPT_LEASE_TIME, &u32)); /* three octets */
	assert_false(dhcp_option_u32(&message, OPT_SERVER_ID, &u32));  /* five */
	assert_false(dhcp_option_u32(&message, OPT_MAX_SIZE, &u32));   /* two */
	assert_false(dhcp_option_u32(&message, OPT_T2, &u32));         /* none */
	assert_int_equal(u32, 77);
	assert_false(dhcp_option_u16(&message, OPT_T1, &u16));           /* one */
	assert_false(dhcp_option_u16(&message, OPT_REQUESTED_IP, &u16)); /* four */
	assert_int_equal(u16, 77);
	assert_true(dhcp_option_u32(&message, OPT_REQUESTED_IP, &u32));
	assert_int_equal(u32, IP4(10, 77, 0, 11));
	assert_true(dhcp_option_u16(&message, OPT_MAX_SIZE, &u16));
	assert_int_equal(u16, 1500);
}

static void test_type_names(void **state)
{
	(void)state;
	assert_string_equal(dhcp_type_name(DHCP_DISCOVER), "DISCOVER");
	assert_string_equal(dhcp_type_name(DHCP_NAK), "NAK");
	assert_string_equal(dhcp_type_name(DHCP_BOOTP), "BOOTP");
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_decode, message_rows);
	suite_add(&suite, "the fields of the header, in host order", test_fields, NULL);
	suite_add(&suite, "36: cut off after any octet, it is none", test_truncated, NULL);
	suite_add(&suite, "36: noise", test_noise, NULL);
	suite_add(&suite, "numbers have just their length, or are not there", test_typed_getters,
		NULL);
	suite_add(&suite, "the names of types", test_type_names, NULL);
	return suite_run(&suite, "message");
}
