/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The headers below DHCP and their checksums. */
#include "tests/unit/wire.h"

#include "dhcpd/frame.h"

/* How the UDP checksum was left. */
enum checksum { RIGHT, ABSENT, SEED, WRONG };

/* A frame with a payload of ten octets, and what is different about it. */
static const struct frame_row {
	const char *sentence;
	enum dhcp_drop drop;
	enum checksum checksum;
	struct octets tag; /* between the addresses and the type */
	size_t ip_options; /* octets */
	unsigned fragment;
	struct {
		size_t at; /* offset from the IP header */
		uint8_t value;
		bool on;
	} patch; /* the IP checksum is right all the same */
	bool ip_checksum_wrong;
	struct octets behind; /* padding that the IP header does not cover */
	bool odd;             /* eleven octets */
} frame_rows[] = {
	{ "a plain frame", DROP_NONE, RIGHT },
	{ "an odd length", DROP_NONE, RIGHT, .odd = true },
	{ "checksum: none", DROP_NONE, ABSENT },
	{ "checksum: only the seed, as virtio leaves it", DROP_NONE, SEED },
	{ "checksum: only the seed, odd length", DROP_NONE, SEED, .odd = true },
	{ "checksum: wrong", DROP_CHECKSUM, WRONG },
	{ "checksum: wrong, odd length", DROP_CHECKSUM, WRONG, .odd = true },
	{ "VLAN: a priority tag (id 0) is passed over", DROP_NONE, RIGHT,
		.tag = OCTETS("\x81\x00\x60\x00") },
	{ "VLAN: id 10 is not for us", DROP_VLAN, RIGHT, .tag = OCTETS("\x81\x00\x00\x0a") },
	{ "VLAN: id 4095 is not for us", DROP_VLAN, RIGHT, .tag = OCTETS("\x81\x00\xef\xff") },
	{ "VLAN: a provider's tag is not IPv4", DROP_NOT_IPV4, RIGHT,
		.tag = OCTETS("\x88\xa8\x00\x00") },
	{ "VLAN: two priority tags are one too many", DROP_NOT_IPV4, RIGHT,
		.tag = OCTETS("\x81\x00\x00\x00\x81\x00\x00\x00") },
	{ "type: ARP", DROP_NOT_IPV4, RIGHT, .tag = OCTETS("\x08\x06") },
	{ "type: IPv6", DROP_NOT_IPV4, RIGHT, .tag = OCTETS("\x86\xdd") },
	{ "type: a length (802.3)", DROP_NOT_IPV4, RIGHT, .tag = OCTETS("\x00\x2e") },
	{ "IP options are passed over", DROP_NONE, RIGHT, .ip_options = 4 },
	{ "IP options, as many as there may be", DROP_NONE, RIGHT, .ip_options = 40 },
	{ "IP: version 6", DROP_IP_HEADER, RIGHT, .patch = { 0, 0x65, true } },
	{ "IP: a header of 16 octets", DROP_IP_HEADER, RIGHT, .patch = { 0, 0x44, true } },
	{ "IP: a header longer than the packet", DROP_IP_HEADER, RIGHT,
		.patch = { 0, 0x4f, true } },
	{ "IP: longer than the frame", DROP_SHORT, RIGHT, .patch = { 3, 39, true } },
	{ "IP: shorter than its header", DROP_IP_HEADER, RIGHT, .patch = { 3, 19, true } },
	{ "IP: of no length", DROP_IP_HEADER, RIGHT, .patch = { 3, 0, true } },
	{ "IP: ends in the UDP header", DROP_UDP_LENGTH, RIGHT, .patch = { 3, 27, true } },
	{ "IP: shorter than UDP says", DROP_UDP_LENGTH, RIGHT, .patch = { 3, 37, true } },
	{ "IP: wrong checksum", DROP_IP_HEADER, RIGHT, .ip_checksum_wrong = true },
	{ "IP: TCP", DROP_NOT_IPV4, RIGHT, .patch = { 9, 6, true } },
	{ "fragment: the first", DROP_FRAGMENT, RIGHT, .fragment = 0x2000 },
	{ "fragment: the last", DROP_FRAGMENT, RIGHT, .fragment = 0x0001 },
	{ "fragment: one from the middle", DROP_FRAGMENT, RIGHT, .fragment = 0x2010 },
	{ "fragment: do-not-fragment is none", DROP_NONE, RIGHT, .fragment = 0x4000 },
	{ "UDP: a length of 7", DROP_UDP_LENGTH, RIGHT, .patch = { 25, 7, true } },
	{ "UDP: a length of 0", DROP_UDP_LENGTH, RIGHT, .patch = { 25, 0, true } },
	{ "UDP: longer than the packet", DROP_UDP_LENGTH, RIGHT, .patch = { 25, 19, true } },
	{ "UDP: longer than the packet by far", DROP_UDP_LENGTH, RIGHT,
		.patch = { 24, 0xff, true } },
	{ "padding of Ethernet behind the packet", DROP_NONE, RIGHT,
		.behind = OCTETS("\0\0\0\0\0\0\0\0") },
	{ "padding that is not zero", DROP_NONE, RIGHT, .behind = OCTETS("leaked!") },
};

static size_t frame_of(const struct frame_row *row, uint8_t *data)
{
	size_t payload = row->odd ? 11 : 10, udp_len = 8 + payload, ip_len = 20 + row->ip_options;
	uint8_t *p = data, *ip, *udp;
	unsigned right;

	memcpy(p, "\x02\x00\x00\x00\x00\xfe\x02\x00\x00\x00\x00\x01", 12);
	p += 12;
	if (row->tag.data)
		memcpy(p, row->tag.data, row->tag.len);
	p += row->tag.len;
	/* an odd tag is the type itself */
	if (row->tag.len != 2) {
		put16(p, 0x0800);
		p += 2;
	}
	ip = p;
	memset(ip, 0, ip_len);
	ip[0] = (uint8_t)(0x40 | ip_len / 4);
	put16(ip + 2, (unsigned)(ip_len + udp_len));
	put16(ip + 6, row->fragment);
	ip[8] = 64;
	ip[9] = 17;
	put32(ip + 12, IP4(10, 77, 0, 11));
	put32(ip + 16, IP4(10, 77, 0, 1));
	memset(ip + 20, 1, row->ip_options); /* NOP */
	udp = ip + ip_len;
	put16(udp, 68);
	put16(udp + 2, 67);
	put16(udp + 4, (unsigned)udp_len);
	put16(udp + 6, 0);
	memcpy(udp + 8, "0123456789a", payload);
	right = ~sum16(pseudo16(ip, udp_len), udp, udp_len) & 0xffff;
	put16(udp + 6,
		row->checksum == RIGHT           ? right
			: row->checksum == SEED  ? pseudo16(ip, udp_len)
			: row->checksum == WRONG ? right ^ 0x0100
						 : 0);
	if (row->patch.on)
		ip[row->patch.at] = row->patch.value;
	put16(ip + 10,
		(~sum16(0, ip, (size_t)(ip[0] & 15) * 4) & 0xffff) ^
			(row->ip_checksum_wrong ? 1 : 0));
	p = udp + udp_len;
	if (row->behind.data)
		memcpy(p, row->behind.data, row->behind.len);
	return (size_t)(p + row->behind.len - data);
}

static enum dhcp_drop decode_exactly(const uint8_t *data, size_t len, struct frame *ret_frame,
	uint8_t **ret_copy)
{
	/* of just that length, so that the sanitizer sees a read past it */
	*ret_copy = malloc(len ? len : 1);
	memcpy(*ret_copy, data, len);
	return frame_decode(*ret_copy, len, ret_frame);
}

static void test_decode(void **state)
{
	const struct frame_row *row = *state;
	struct frame frame = { .source_port = 4711 };
	size_t payload = row->odd ? 11 : 10;
	uint8_t data[256], *copy;
	size_t len = frame_of(row, data);

	assert_int_equal(decode_exactly(data, len, &frame, &copy), row->drop);
	/* whoever sent what is dropped is named in the log */
	assert_memory_equal(frame.destination.byte, "\x02\x00\x00\x00\x00\xfe", 6);
	assert_memory_equal(frame.source.byte, "\x02\x00\x00\x00\x00\x01", 6);
	if (row->drop == DROP_NONE) {
		assert_int_equal(frame.source_ip, IP4(10, 77, 0, 11));
		assert_int_equal(frame.destination_ip, IP4(10, 77, 0, 1));
		assert_int_equal(frame.source_port, 68);
		assert_int_equal(frame.destination_port, 67);
		assert_int_equal(frame.payload_len, payload);
		assert_memory_equal(frame.payload, "0123456789a", payload);
	} else {
		assert_int_equal(frame.source_port, 4711);
	}
	free(copy);
}

/* Every good frame, cut off after every octet. */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(frame_rows); i++) {
		uint8_t data[256], *copy;
		size_t whole = frame_of(&frame_rows[i], data) - frame_rows[i].behind.len;
		struct frame frame;

		for (size_t len = 0; len < whole; len++) {
			enum dhcp_drop drop = decode_exactly(data, len, &frame, &copy);

			free(copy);
			assert_int_not_equal(drop, DROP_NONE);
			if (frame_rows[i].drop == DROP_NONE)
				assert_int_equal(drop, DROP_SHORT);
		}
	}
}

/* Every octet of a good frame replaced by every value: whatever it says, no read past the end. */
static void test_corrupted(void **state)
{
	uint8_t data[256], *copy;
	size_t len = frame_of(&frame_rows[0], data);

	(void)state;
	for (size_t at = 0; at < len; at++) {
		uint8_t before = data[at];

		for (unsigned value = 0; value < 256; value++) {
			struct frame frame;

			data[at] = (uint8_t)value;
			if (decode_exactly(data, len, &frame, &copy) == DROP_NONE) {
				assert_true(frame.payload >= copy);
				assert_true(frame.payload + frame.payload_len <= copy + len);
			}
			free(copy);
		}
		data[at] = before;
	}
}

static const struct frame sample = {
	.destination = { { 2, 0, 0, 0, 0, 1 } },
	.source = { { 2, 0, 0, 0, 0, 0xfe } },
	.source_ip = IP4(10, 77, 0, 1),
	.destination_ip = IP4(10, 77, 0, 11),
	.source_port = PORT_DHCP_SERVER,
	.destination_port = PORT_DHCP_CLIENT,
};

static void test_round_trip(void **state)
{
	uint8_t data[FRAME_MAX];

	(void)state;
	for (size_t payload = 0; payload <= FRAME_MTU - 28; payload++) {
		struct frame frame;
		size_t len;

		memset(data, 0xee, sizeof(data));
		for (size_t i = 0; i < payload; i++)
			data[FRAME_HEADERS + i] = (uint8_t)(i * 7 + payload);
		len = frame_encode(&sample, 0x1234, data, payload);
		assert_int_equal(len, FRAME_HEADERS + payload);
		/* by our own arithmetic */
		assert_int_equal(sum16(0, data + 14, 20), 0xffff);
		assert_int_equal(sum16(pseudo16(data + 14, 8 + payload), data + 34, 8 + payload),
			0xffff);
		assert_int_not_equal(get16(data + 40), 0);
		assert_int_equal(get16(data + 18), 0x1234);
		/* and by the decoder's */
		assert_int_equal(frame_decode(data, len, &frame), DROP_NONE);
		assert_true(mac_equal(&frame.destination, &sample.destination));
		assert_true(mac_equal(&frame.source, &sample.source));
		assert_int_equal(frame.source_ip, sample.source_ip);
		assert_int_equal(frame.destination_ip, sample.destination_ip);
		assert_int_equal(frame.source_port, PORT_DHCP_SERVER);
		assert_int_equal(frame.destination_port, PORT_DHCP_CLIENT);
		assert_int_equal(frame.payload_len, payload);
		for (size_t i = 0; i < payload; i++)
			assert_int_equal(frame.payload[i], (uint8_t)(i * 7 + payload));
	}
}

/* RFC 768: a checksum that comes out as 0 is sent as all ones, for 0 means that there is none. */
static void test_checksum_zero(void **state)
{
	uint8_t data[FRAME_HEADERS + 2] = { 0 };
	struct frame frame;
	size_t len;

	(void)state;
	len = frame_encode(&sample, 1, data, 2);
	/* with the checksum itself as the payload the sum is all ones */
	memcpy(data + FRAME_HEADERS, data + 40, 2);
	len = frame_encode(&sample, 1, data, 2);
	assert_int_equal(get16(data + 40), 0xffff);
	assert_int_equal(frame_decode(data, len, &frame), DROP_NONE);
	/* it is not taken for a good one of another payload */
	data[FRAME_HEADERS] ^= 1;
	assert_int_equal(frame_decode(data, len, &frame), DROP_CHECKSUM);
}

static void test_every_bit(void **state)
{
	uint8_t data[FRAME_HEADERS + 32];
	size_t len;

	(void)state;
	for (size_t i = 0; i < 32; i++)
		data[FRAME_HEADERS + i] = (uint8_t)(i * 37);
	len = frame_encode(&sample, 1, data, 32);
	/* one flipped bit anywhere in IP and UDP is noticed */
	for (size_t at = 14; at < len; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct frame frame;

			data[at] ^= (uint8_t)(1u << bit);
			assert_int_not_equal(frame_decode(data, len, &frame), DROP_NONE);
			data[at] ^= (uint8_t)(1u << bit);
		}
	}
}

static void test_broadcast(void **state)
{
	(void)state;
	assert_memory_equal(mac_broadcast.byte, "\xff\xff\xff\xff\xff\xff", MAC_LEN);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_decode, frame_rows);
	suite_add(&suite, "cut off after any octet, a frame is short", test_truncated, NULL);
	suite_add(&suite, "with any octet changed, nothing is read past the end", test_corrupted,
		NULL);
	suite_add(&suite, "what is encoded is decoded, for every length", test_round_trip, NULL);
	suite_add(&suite, "a checksum of 0 is sent as all ones", test_checksum_zero, NULL);
	suite_add(&suite, "every single flipped bit is noticed", test_every_bit, NULL);
	suite_add(&suite, "the broadcast address is all ones", test_broadcast, NULL);
	return suite_run(&suite, "frame");
}
