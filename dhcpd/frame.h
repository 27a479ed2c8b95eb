/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frame: Ethernet, IPv4 and UDP around a DHCP message. Pure.
 */
#ifndef EIPD_DHCPD_FRAME_H
#define EIPD_DHCPD_FRAME_H

#include <stdint.h>

#include "common/addr.h"
#include "dhcpd/drop.h"

#define FRAME_MTU     1500
#define FRAME_MAX     (14 + FRAME_MTU)
#define FRAME_HEADERS (14 + 20 + 8)

#define PORT_DHCP_SERVER 67
#define PORT_DHCP_CLIENT 68

extern const struct mac mac_broadcast;

/* Addresses in host order. */
struct frame {
	struct mac destination, source;
	uint32_t source_ip, destination_ip;
	uint16_t source_port, destination_port;
	const uint8_t *payload; /* into the frame that was decoded */
	size_t payload_len;
};

/*
 * Takes a captured frame apart. A priority tag (VLAN id 0) is passed over. A UDP checksum that is
 * absent, right, or only the seed of the pseudo-header (left so by a sender whose network card was
 * to complete it, as with virtio) is accepted. Of a frame that is dropped only its hardware
 * addresses are told, zeros where it is too short for them.
 */
enum dhcp_drop frame_decode(const uint8_t *data, size_t len, struct frame *ret_frame);

/*
 * Writes the headers in front of a payload that is already in its place, FRAME_HEADERS octets into
 * data. Returns the length of the whole. The UDP checksum is always complete.
 */
size_t frame_encode(const struct frame *frame, uint16_t ip_id, uint8_t *data, size_t payload_len);

#endif
