/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exchange: a frame in, a verdict and perhaps a frame out. The whole of the packet path, pure.
 */
#ifndef EIPD_DHCPD_EXCHANGE_H
#define EIPD_DHCPD_EXCHANGE_H

#include "dhcpd/reply.h"

struct dhcp_server {
	struct dhcp_policy policy;
	struct mac mac; /* the bridge's */
	const struct plan *plan;
	struct option_catalog *options;
	bool client_id_echo;
	bool verify_source; /* chaddr must be the Ethernet source (RFC 2131 says nothing) */
};

/* Reused from frame to frame; valid until the next. */
struct dhcp_exchange {
	struct frame frame;
	struct dhcp_message message; /* valid if `understood` */
	bool understood;
	struct dhcp_verdict verdict;
	uint32_t lease_time; /* seconds granted or offered */
	uint8_t left_out;    /* an option that the reply had no room for; 0: none */
	size_t reply_len;    /* 0: nothing to send */
	uint8_t reply[FRAME_MAX];
};

/* `data` must stay as it is while the exchange is looked at. ip_id: any number, for the reply. */
void dhcp_exchange(const struct dhcp_server *server, const uint8_t *data, size_t len,
	uint16_t ip_id, struct dhcp_exchange *exchange);

#endif
