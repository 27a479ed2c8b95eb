/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire: a client's frames, written, and a server's, read, without the code under test: checksums,
 * headers and options are done here a second time.
 */
#ifndef EIPD_TESTS_UNIT_WIRE_H
#define EIPD_TESTS_UNIT_WIRE_H

#include "tests/unit/support.h"

#include "common/addr.h"

/* --- octets ------------------------------------------------------------------------------- */

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* RFC 1071, octet by octet: the sum, not complemented. */
static inline unsigned sum16(unsigned sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (unsigned)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* RFC 768: the sum over the pseudo-header of an IPv4 packet with a header of that length. */
static inline unsigned pseudo16(const uint8_t *ip, size_t udp_len)
{
	const uint8_t rest[4] = { 0, 17, (uint8_t)(udp_len >> 8), (uint8_t)udp_len };

	return sum16(sum16(0, ip + 12, 8), rest, sizeof(rest));
}

/* --- a client's message ------------------------------------------------------------------- */

#define XID 0x3903f326u

/* What is 0 has the value that a well-behaved client sends. */
struct request {
	uint8_t type;    /* option 53; 0: none */
	const char *mac; /* chaddr, 02:00:00:00:00:01 */
	uint32_t ciaddr, giaddr;
	uint16_t flags, secs;
	uint8_t hops;
	struct octets options; /* behind option 53 */
	struct octets sname, file;
	bool without_end;
	size_t total; /* exact length, nothing beyond; 0: padded to 300 */
	struct {
		size_t offset; /* this octet of the message… */
		uint8_t value; /* …is this, whatever stood there */
		bool on;
	} patch[4];
	/* the headers */
	const char *source;                     /* Ethernet source; as chaddr */
	uint32_t source_ip, destination_ip;     /* 0.0.0.0 (giaddr), 255.255.255.255 */
	uint16_t source_port, destination_port; /* 68 (67 with giaddr), 67 */
};

#define MESSAGE_MAX 2048

/* Writes the message and returns its length. */
static inline size_t request_message(const struct request *request, uint8_t message[MESSAGE_MAX])
{
	struct mac mac;
	size_t len = 240;

	memset(message, 0, MESSAGE_MAX);
	assert_int_equal(mac_parse(request->mac ? request->mac : "02:00:00:00:00:01", &mac), 0);
	message[0] = 1;
	message[1] = 1;
	message[2] = 6;
	message[3] = request->hops;
	put32(message + 4, XID);
	put16(message + 8, request->secs);
	put16(message + 10, request->flags);
	put32(message + 12, request->ciaddr);
	put32(message + 24, request->giaddr);
	memcpy(message + 28, mac.byte, MAC_LEN);
	assert_true(request->sname.len <= 64 && request->file.len <= 128);
	if (request->sname.data)
		memcpy(message + 44, request->sname.data, request->sname.len);
	if (request->file.data)
		memcpy(message + 108, request->file.data, request->file.len);
	put32(message + 236, 0x63825363);
	if (request->type) {
		message[len++] = 53;
		message[len++] = 1;
		message[len++] = request->type;
	}
	if (request->options.data)
		memcpy(message + len, request->options.data, request->options.len);
	len += request->options.len;
	if (!request->without_end)
		message[len++] = 255;
	for (size_t i = 0; i < COUNT(request->patch); i++) {
		if (request->patch[i].on)
			message[request->patch[i].offset] = request->patch[i].value;
	}
	if (request->total)
		return request->total;
	return len < 300 && !request->without_end ? 300 : len;
}

/* Writes the whole frame and returns its length. */
static inline size_t request_frame(const struct request *request, uint8_t frame[MESSAGE_MAX + 42])
{
	const char *source = request->source ? request->source
		: request->mac               ? request->mac
					     : "02:00:00:00:00:01";
	size_t len = request_message(request, frame + 42);
	uint8_t *ip = frame + 14, *udp = ip + 20;
	struct mac mac;

	assert_int_equal(mac_parse(source, &mac), 0);
	memset(frame, 0, 42);
	memset(frame, 0xff, MAC_LEN);
	memcpy(frame + 6, mac.byte, MAC_LEN);
	put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(28 + len));
	ip[8] = 64;
	ip[9] = 17;
	put32(ip + 12, request->source_ip ? request->source_ip : request->giaddr);
	put32(ip + 16, request->destination_ip ? request->destination_ip : UINT32_MAX);
	put16(ip + 10, ~sum16(0, ip, 20) & 0xffff);
	put16(udp, request->source_port ? request->source_port : request->giaddr ? 67u : 68u);
	put16(udp + 2, request->destination_port ? request->destination_port : 67u);
	put16(udp + 4, (unsigned)(8 + len));
	put16(udp + 6, ~sum16(pseudo16(ip, 8 + len), udp, 8 + len) & 0xffff);
	return 42 + len;
}

/* --- a server's reply --------------------------------------------------------------------- */

enum area { AREA_OPTIONS, AREA_FILE, AREA_SNAME };

struct reply {
	struct mac destination, source;
	uint32_t source_ip, destination_ip;
	unsigned source_port, destination_port;
	const uint8_t *message;
	size_t len;
	struct {
		uint8_t code, len;
		const uint8_t *data;
		enum area area;
	} option[512];
	size_t count;
	size_t in_options; /* how many of them stand in the options field */
};

static inline void reply_read_area(struct reply *reply, const uint8_t *p, size_t len,
	enum area area)
{
	size_t i = 0;

	while (i < len && p[i] != 255) {
		if (p[i] == 0) {
			i++;
			continue;
		}
		assert_true(i + 2 <= len);
		assert_true(i + 2 + p[i + 1] <= len);
		assert_true(reply->count < COUNT(reply->option));
		reply->option[reply->count].code = p[i];
		reply->option[reply->count].len = p[i + 1];
		reply->option[reply->count].data = p + i + 2;
		reply->option[reply->count].area = area;
		reply->count++;
		i += 2u + p[i + 1];
	}
	/* each area ends with one END, and nothing but PAD stands behind it */
	assert_true(i < len);
	for (i++; i < len; i++)
		assert_int_equal(p[i], 0);
}

/* The value of an option, its parts joined (RFC 3396); its length, or -1 if it is not there. */
static inline int reply_option(const struct reply *reply, uint8_t code, uint8_t value[4096])
{
	int len = -1;

	for (size_t i = 0; i < reply->count; i++) {
		if (reply->option[i].code != code)
			continue;
		len = len < 0 ? 0 : len;
		memcpy(value + len, reply->option[i].data, reply->option[i].len);
		len += reply->option[i].len;
	}
	return len;
}

/* Takes the frame apart; what is not well-formed fails the test. */
static inline void reply_read(const uint8_t *frame, size_t len, struct reply *reply)
{
	const uint8_t *ip = frame + 14, *udp = ip + 20;
	size_t udp_len;
	uint8_t overload[4096];
	int overload_len;

	memset(reply, 0, sizeof(*reply));
	assert_true(len >= 42 + 300); /* RFC 1542 2.1 */
	assert_true(len <= 14 + 1500);
	memcpy(reply->destination.byte, frame, MAC_LEN);
	memcpy(reply->source.byte, frame + 6, MAC_LEN);
	assert_int_equal(get16(frame + 12), 0x0800);
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(get16(ip + 2), len - 14);
	assert_int_equal(get16(ip + 6) & 0x3fff, 0);
	assert_int_not_equal(ip[8], 0);
	assert_int_equal(ip[9], 17);
	assert_int_equal(sum16(0, ip, 20), 0xffff);
	reply->source_ip = get32(ip + 12);
	reply->destination_ip = get32(ip + 16);
	reply->source_port = get16(udp);
	reply->destination_port = get16(udp + 2);
	udp_len = get16(udp + 4);
	assert_int_equal(udp_len, len - 34);
	/* complete, never 0 (none) and never only a seed */
	assert_int_not_equal(get16(udp + 6), 0);
	assert_int_equal(sum16(pseudo16(ip, udp_len), udp, udp_len), 0xffff);
	reply->message = udp + 8;
	reply->len = udp_len - 8;
	assert_int_equal(get32(reply->message + 236), 0x63825363);
	reply_read_area(reply, reply->message + 240, reply->len - 240, AREA_OPTIONS);
	reply->in_options = reply->count;
	overload_len = reply_option(reply, 52, overload);
	if (overload_len < 0)
		return;
	assert_int_equal(overload_len, 1);
	assert_in_range(overload[0], 1, 3);
	if (overload[0] & 1)
		reply_read_area(reply, reply->message + 108, 128, AREA_FILE);
	if (overload[0] & 2)
		reply_read_area(reply, reply->message + 44, 64, AREA_SNAME);
}

#endif
