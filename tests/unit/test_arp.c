/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ARP frames, octet by octet. */
#include "tests/unit/support.h"

#include <errno.h>

#include "natmgr/arp.h"

#define ADDRESS IP4(20, 251, 48, 99)

static const struct mac mac = { { 2, 0, 0, 0, 0, 1 } };

static void test_request_announcement(void **state)
{
	/* RFC 5227 2.3: sender and target are the address, the target's MAC is not known */
	static const uint8_t expected[ARP_FRAME_LEN] =
		"\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06"
		"\x00\x01\x08\x00\x06\x04\x00\x01"
		"\x02\x00\x00\x00\x00\x01\x14\xfb\x30\x63"
		"\x00\x00\x00\x00\x00\x00\x14\xfb\x30\x63";
	uint8_t frame[ARP_FRAME_LEN];

	(void)state;
	memset(frame, 0xee, sizeof(frame));
	arp_write_announcement(&mac, ADDRESS, ARP_REQUEST, frame);
	assert_memory_equal(frame, expected, sizeof(frame));
}

static void test_reply_announcement(void **state)
{
	uint8_t frame[ARP_FRAME_LEN];

	(void)state;
	arp_write_announcement(&mac, ADDRESS, ARP_REPLY, frame);
	assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06", 14);
	assert_memory_equal(frame + 20, "\x00\x02\x02\x00\x00\x00\x00\x01\x14\xfb\x30\x63", 12);
	assert_memory_equal(frame + 38, "\x14\xfb\x30\x63", 4);
}

static void test_probe(void **state)
{
	/* RFC 5227 2.1.1: the sender has no address, or its neighbours would learn it */
	static const uint8_t expected[ARP_FRAME_LEN] =
		"\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06"
		"\x00\x01\x08\x00\x06\x04\x00\x01"
		"\x02\x00\x00\x00\x00\x01\x00\x00\x00\x00"
		"\x00\x00\x00\x00\x00\x00\x14\xfb\x30\x63";
	uint8_t frame[ARP_FRAME_LEN];

	(void)state;
	memset(frame, 0xee, sizeof(frame));
	arp_write_probe(&mac, ADDRESS, frame);
	assert_memory_equal(frame, expected, sizeof(frame));
}

static void test_round_trip(void **state)
{
	uint8_t frame[ARP_FRAME_LEN];
	struct arp arp;

	(void)state;
	arp_write_announcement(&mac, ADDRESS, ARP_REPLY, frame);
	assert_int_equal(arp_read(frame, sizeof(frame), &arp), 0);
	assert_int_equal(arp.operation, ARP_REPLY);
	assert_memory_equal(arp.sender_mac.byte, mac.byte, MAC_LEN);
	assert_int_equal(arp.sender_ip, ADDRESS);
	assert_int_equal(arp.target_ip, ADDRESS);
	arp_write_probe(&mac, ADDRESS, frame);
	assert_int_equal(arp_read(frame, sizeof(frame), &arp), 0);
	assert_int_equal(arp.operation, ARP_REQUEST);
	assert_int_equal(arp.sender_ip, 0);
	assert_int_equal(arp.target_ip, ADDRESS);
}

static const struct bad_row {
	const char *sentence;
	size_t at;
	uint8_t value;
} bad_rows[] = {
	{ "not ARP", 12, 0x86 },
	{ "IPv4, not ARP", 13, 0x00 },
	{ "hardware is not Ethernet", 15, 6 },
	{ "protocol is not IPv4", 16, 0x86 },
	{ "hardware addresses of 8", 18, 8 },
	{ "hardware addresses of 0", 18, 0 },
	{ "protocol addresses of 16", 19, 16 },
	{ "protocol addresses of 0", 19, 0 },
	{ "operation 0", 21, 0 },
	{ "operation 3 (RARP)", 21, 3 },
	{ "operation 256", 20, 1 },
};

static void test_bad(void **state)
{
	const struct bad_row *row = *state;
	struct arp arp = { .sender_ip = 7 };
	uint8_t frame[ARP_FRAME_LEN];

	arp_write_probe(&mac, ADDRESS, frame);
	frame[row->at] = row->value;
	assert_int_equal(arp_read(frame, sizeof(frame), &arp), -EBADMSG);
	assert_int_equal(arp.sender_ip, 7);
}

static void test_lengths(void **state)
{
	uint8_t frame[ARP_FRAME_LEN];

	(void)state;
	arp_write_probe(&mac, ADDRESS, frame);
	for (size_t len = 0; len <= sizeof(frame); len++) {
		uint8_t *copy = malloc(len ? len : 1);
		struct arp arp;

		memcpy(copy, frame, len);
		/* padding is not part of ARP, and some capture without it */
		assert_int_equal(arp_read(copy, len, &arp), len < 42 ? -EBADMSG : 0);
		free(copy);
	}
}

int main(void)
{
	struct suite suite = { 0 };

	suite_add(&suite, "an announcement as a request", test_request_announcement, NULL);
	suite_add(&suite, "an announcement as a reply", test_reply_announcement, NULL);
	suite_add(&suite, "a probe", test_probe, NULL);
	suite_add(&suite, "what was written is read", test_round_trip, NULL);
	SUITE_ROWS(&suite, test_bad, bad_rows);
	suite_add(&suite, "cut off after any octet", test_lengths, NULL);
	return suite_run(&suite, "arp");
}
