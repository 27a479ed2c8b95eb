/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arp: ARP frames for IPv4 over Ethernet (RFC 826, RFC 5227). Pure. Addresses in host order.
 */
#ifndef EIPD_NATMGR_ARP_H
#define EIPD_NATMGR_ARP_H

#include "common/addr.h"

#define ARP_FRAME_LEN 60 /* the shortest that Ethernet knows, padded */

enum arp_operation { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp {
	enum arp_operation operation;
	struct mac sender_mac;
	uint32_t sender_ip, target_ip;
};

/* An announcement (gratuitous ARP): sender and target are the address; broadcast. */
void arp_write_announcement(const struct mac *mac, uint32_t ip, enum arp_operation operation,
	uint8_t frame[static ARP_FRAME_LEN]);
/* A probe (RFC 5227 2.1.1): who has it? Asked by nobody. */
void arp_write_probe(const struct mac *mac, uint32_t ip, uint8_t frame[static ARP_FRAME_LEN]);
/* 0, or -EBADMSG. */
int arp_read(const uint8_t *frame, size_t len, struct arp *ret_arp);

#endif
