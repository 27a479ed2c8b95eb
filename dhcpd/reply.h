/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reply: a verdict to bytes: header, options, and where the reply goes (RFC 2131 4.1, table 3).
 * Pure.
 */
#ifndef EIPD_DHCPD_REPLY_H
#define EIPD_DHCPD_REPLY_H

#include "dhcpd/decide.h"
#include "dhcpd/frame.h"
#include "dhcpd/options.h"

struct reply_context {
	struct ip4_prefix self;
	const struct option_set *options;
	bool client_id_echo; /* RFC 6842 */
};

/* Seconds of the lease that a granting or offering verdict gives; 0 where it gives none. */
uint32_t reply_lease_time(const struct option_set *options, const struct dhcp_message *request,
	const struct dhcp_verdict *verdict);

/*
 * Writes the message; returns its length (at most what the client and FRAME_MTU can take).
 * *ret_left_out: an option that had no room in it, or 0.
 */
size_t reply_encode(const struct reply_context *context, const struct dhcp_message *request,
	const struct dhcp_verdict *verdict, uint8_t *data, size_t cap, uint8_t *ret_left_out);

/* Fills in destination, ports and addresses of the frame; `source` is the bridge's MAC. */
void reply_address(const struct reply_context *context, const struct dhcp_message *request,
	const struct dhcp_verdict *verdict, const struct frame *request_frame,
	const struct mac *source, struct frame *ret_frame);

#endif
