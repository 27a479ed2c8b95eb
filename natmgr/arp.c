/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arp owns the form of ARP frames. It must not know when or why they are sent. */
#include "natmgr/arp.h"

#include <errno.h>
#include <string.h>

#include "common/bytes.h"

#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_IPV4 0x0800

static const struct mac everyone = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
static const struct mac nobody;

static void write_frame(enum arp_operation operation, const struct mac *sender_mac,
	uint32_t sender_ip, const struct mac *target_mac, uint32_t target_ip,
	uint8_t frame[static ARP_FRAME_LEN])
{
	struct wbuf w;

	wbuf_init(&w, frame, ARP_FRAME_LEN);
	wbuf_put(&w, everyone.byte, MAC_LEN);
	wbuf_put(&w, sender_mac->byte, MAC_LEN);
	wbuf_u16(&w, ETHERTYPE_ARP);
	wbuf_u16(&w, 1);
	wbuf_u16(&w, ETHERTYPE_IPV4);
	wbuf_u8(&w, MAC_LEN);
	wbuf_u8(&w, 4);
	wbuf_u16(&w, (uint16_t)operation);
	wbuf_put(&w, sender_mac->byte, MAC_LEN);
	wbuf_u32(&w, sender_ip);
	wbuf_put(&w, target_mac->byte, MAC_LEN);
	wbuf_u32(&w, target_ip);
	wbuf_zero(&w, ARP_FRAME_LEN - w.len);
}

void arp_write_announcement(const struct mac *mac, uint32_t ip, enum arp_operation operation,
	uint8_t frame[static ARP_FRAME_LEN])
{
	/* RFC 5944 4.6: in the reply form the target's hardware address is filled in as well */
	write_frame(operation, mac, ip, operation == ARP_REPLY ? mac : &nobody, ip, frame);
}

void arp_write_probe(const struct mac *mac, uint32_t ip, uint8_t frame[static ARP_FRAME_LEN])
{
	write_frame(ARP_REQUEST, mac, 0, &nobody, ip, frame);
}

int arp_read(const uint8_t *frame, size_t len, struct arp *ret_arp)
{
	struct arp arp = { 0 };
	const uint8_t *sender;
	uint16_t type, hardware, protocol, operation;
	uint8_t hardware_len, protocol_len;
	struct rbuf r;

	rbuf_init(&r, frame, len);
	rbuf_take(&r, 2 * MAC_LEN);
	type = rbuf_u16(&r);
	hardware = rbuf_u16(&r);
	protocol = rbuf_u16(&r);
	hardware_len = rbuf_u8(&r);
	protocol_len = rbuf_u8(&r);
	operation = rbuf_u16(&r);
	sender = rbuf_take(&r, MAC_LEN);
	arp.sender_ip = rbuf_u32(&r);
	rbuf_take(&r, MAC_LEN);
	arp.target_ip = rbuf_u32(&r);
	if (r.overrun || type != ETHERTYPE_ARP || hardware != 1 || protocol != ETHERTYPE_IPV4 ||
		hardware_len != MAC_LEN || protocol_len != 4 ||
		(operation != ARP_REQUEST && operation != ARP_REPLY))
		return -EBADMSG;
	arp.operation = (enum arp_operation)operation;
	memcpy(arp.sender_mac.byte, sender, MAC_LEN);
	*ret_arp = arp;
	return 0;
}
