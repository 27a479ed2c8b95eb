/* SPDX-License-Identifier: GPL-2.0-or-later */
/* frame owns the headers below DHCP and their checksums. It must not know what they carry. */
#include "dhcpd/frame.h"

#include <string.h>

#include "common/bytes.h"

#define ETHERTYPE_IPV4  0x0800
#define ETHERTYPE_8021Q 0x8100
#define PROTOCOL_UDP    17
#define IP_OFFSET_MASK  0x1fff
#define IP_MORE         0x2000

const struct mac mac_broadcast = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

/* RFC 1071: the ones' complement sum, folded to 16 bits, not yet complemented. */
static uint16_t sum_add(uint32_t sum, const uint8_t *p, size_t len)
{
	uint64_t total = sum;

	for (; len >= 2; p += 2, len -= 2)
		total += (uint64_t)(p[0] << 8 | p[1]);
	if (len)
		total += (uint64_t)p[0] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

/* RFC 768: the pseudo-header of addresses, protocol and UDP length. */
static uint16_t pseudo_sum(uint32_t source, uint32_t destination, uint16_t udp_len)
{
	uint32_t sum = (source >> 16) + (source & 0xffff) + (destination >> 16) +
		(destination & 0xffff) + PROTOCOL_UDP + udp_len;

	return sum_add(sum, NULL, 0);
}

static bool checksum_is_good(uint16_t checksum, uint16_t seed, const uint8_t *udp, size_t len)
{
	/* the sum over everything, its own field included, is all ones when right */
	return checksum == 0 || checksum == seed || sum_add(seed, udp, len) == 0xffff;
}

/* The Ethernet header with at most one priority tag; what follows must be IPv4. */
static enum dhcp_drop decode_ethernet(struct rbuf *r, struct frame *frame)
{
	const uint8_t *macs = rbuf_take(r, 2 * MAC_LEN);
	uint16_t type = rbuf_u16(r);

	if (r->overrun)
		return DROP_SHORT;
	memcpy(frame->destination.byte, macs, MAC_LEN);
	memcpy(frame->source.byte, macs + MAC_LEN, MAC_LEN);
	if (type == ETHERTYPE_8021Q) {
		/* IEEE 802.1Q: id 0 says that there is only a priority */
		if (rbuf_u16(r) & 0x0fff)
			return DROP_VLAN;
		type = rbuf_u16(r);
		if (r->overrun)
			return DROP_SHORT;
	}
	return type == ETHERTYPE_IPV4 ? DROP_NONE : DROP_NOT_IPV4;
}

/* RFC 791 3.1. Leaves in r just what the header's length field covers. */
static enum dhcp_drop decode_ip(struct rbuf *r, struct frame *frame)
{
	const uint8_t *start = r->p;
	size_t available = r->left, header_len;
	uint16_t total_len, fragment;
	uint8_t version, protocol;

	version = rbuf_u8(r);
	rbuf_u8(r);
	total_len = rbuf_u16(r);
	rbuf_u16(r);
	fragment = rbuf_u16(r);
	rbuf_u8(r);
	protocol = rbuf_u8(r);
	rbuf_u16(r);
	frame->source_ip = rbuf_u32(r);
	frame->destination_ip = rbuf_u32(r);
	if (r->overrun)
		return DROP_SHORT;
	header_len = (size_t)(version & 15) * 4;
	if (version >> 4 != 4 || header_len < 20 || header_len > total_len)
		return DROP_IP_HEADER;
	if (total_len > available)
		return DROP_SHORT;
	if (sum_add(0, start, header_len) != 0xffff)
		return DROP_IP_HEADER;
	if (protocol != PROTOCOL_UDP)
		return DROP_NOT_IPV4;
	/* no client splits a DHCP message; reassembly would be memory for strangers to fill */
	if (fragment & (IP_MORE | IP_OFFSET_MASK))
		return DROP_FRAGMENT;
	/* IP options mean nothing to us and are passed over */
	rbuf_init(r, start + header_len, total_len - header_len);
	return DROP_NONE;
}

static enum dhcp_drop decode_udp(struct rbuf *r, struct frame *frame)
{
	const uint8_t *start = r->p;
	size_t available = r->left;
	uint16_t udp_len, checksum;

	frame->source_port = rbuf_u16(r);
	frame->destination_port = rbuf_u16(r);
	udp_len = rbuf_u16(r);
	checksum = rbuf_u16(r);
	if (r->overrun || udp_len < 8 || udp_len > available)
		return DROP_UDP_LENGTH;
	frame->payload = r->p;
	frame->payload_len = udp_len - 8u;
	return checksum_is_good(checksum,
		       pseudo_sum(frame->source_ip, frame->destination_ip, udp_len), start, udp_len)
		? DROP_NONE
		: DROP_CHECKSUM;
}

enum dhcp_drop frame_decode(const uint8_t *data, size_t len, struct frame *ret_frame)
{
	struct frame frame = { 0 };
	enum dhcp_drop drop;
	struct rbuf r;

	rbuf_init(&r, data, len);
	drop = decode_ethernet(&r, &frame);
	if (drop == DROP_NONE)
		drop = decode_ip(&r, &frame);
	if (drop == DROP_NONE)
		drop = decode_udp(&r, &frame);
	if (drop == DROP_NONE)
		*ret_frame = frame;
	/* for the log */
	ret_frame->destination = frame.destination;
	ret_frame->source = frame.source;
	return drop;
}

size_t frame_encode(const struct frame *frame, uint16_t ip_id, uint8_t *data, size_t payload_len)
{
	uint16_t udp_len = (uint16_t)(8 + payload_len), checksum;
	struct wbuf w;

	wbuf_init(&w, data, FRAME_HEADERS);
	wbuf_put(&w, frame->destination.byte, MAC_LEN);
	wbuf_put(&w, frame->source.byte, MAC_LEN);
	wbuf_u16(&w, ETHERTYPE_IPV4);
	wbuf_u8(&w, 0x45);
	wbuf_u8(&w, 0xc0); /* CS6, network control (RFC 4594) */
	wbuf_u16(&w, (uint16_t)(20 + udp_len));
	wbuf_u16(&w, ip_id);
	wbuf_u16(&w, 0);
	wbuf_u8(&w, 64);
	wbuf_u8(&w, PROTOCOL_UDP);
	wbuf_u16(&w, 0);
	wbuf_u32(&w, frame->source_ip);
	wbuf_u32(&w, frame->destination_ip);
	wbuf_patch_u16(&w, 24, (uint16_t)~sum_add(0, data + 14, 20));
	wbuf_u16(&w, frame->source_port);
	wbuf_u16(&w, frame->destination_port);
	wbuf_u16(&w, udp_len);
	wbuf_u16(&w, 0);
	checksum = (uint16_t)~sum_add(pseudo_sum(frame->source_ip, frame->destination_ip, udp_len),
		data + 34, udp_len);
	/* RFC 768: 0 would mean that there is none */
	wbuf_patch_u16(&w, 40, checksum ? checksum : 0xffff);
	return FRAME_HEADERS + payload_len;
}
