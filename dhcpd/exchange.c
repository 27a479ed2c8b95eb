/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exchange owns the order of the steps from frame to frame. It must not make a system call, nor
 * know who holds a lease.
 */
#include "dhcpd/exchange.h"

static enum dhcp_drop check_path(const struct dhcp_server *server, const struct frame *frame)
{
	/* a server's answer that came in from the wire is not ours, whatever it says of itself */
	if (frame->source_port == PORT_DHCP_SERVER && frame->destination_port == PORT_DHCP_CLIENT &&
		(frame->source_ip != server->policy.self.addr ||
			!mac_equal(&frame->source, &server->mac)))
		return DROP_FOREIGN_SERVER;
	if (frame->destination_port != PORT_DHCP_SERVER)
		return DROP_PORT;
	/* where somebody listens promiscuously, frames for others come up as well */
	if (!mac_equal(&frame->destination, &server->mac) &&
		!mac_equal(&frame->destination, &mac_broadcast))
		return DROP_DESTINATION;
	if (frame->destination_ip != UINT32_MAX &&
		frame->destination_ip != server->policy.self.addr &&
		frame->destination_ip != ip4_prefix_broadcast(&server->policy.self))
		return DROP_DESTINATION;
	return DROP_NONE;
}

/* What the headers of frame and message say of each other. */
static enum dhcp_drop check_sender(const struct dhcp_server *server, const struct frame *frame,
	const struct dhcp_message *message)
{
	bool relayed = message->giaddr != 0;

	/* RFC 2131 4.1: clients send from 68; a relay from any port (RFC 8357) */
	if (!relayed && frame->source_port != PORT_DHCP_CLIENT)
		return DROP_PORT;
	if (!server->verify_source || (!relayed && mac_equal(&message->chaddr, &frame->source)))
		return DROP_NONE;
	/* a relay, or the router that an INFORM came over, is no VM that speaks for another */
	if ((relayed || message->type == DHCP_INFORM) && !plan_by_mac(server->plan, &frame->source))
		return DROP_NONE;
	return DROP_SOURCE;
}

static void write_reply(const struct dhcp_server *server, uint16_t ip_id,
	struct dhcp_exchange *exchange)
{
	struct reply_context context = { .self = server->policy.self,
		.options = option_catalog_select(server->options, exchange->verdict.vm,
			&exchange->message),
		.client_id_echo = server->client_id_echo };
	struct frame frame;
	size_t len;

	exchange->lease_time = reply_lease_time(context.options, &exchange->message,
		&exchange->verdict);
	len = reply_encode(&context, &exchange->message, &exchange->verdict,
		exchange->reply + FRAME_HEADERS, sizeof(exchange->reply) - FRAME_HEADERS,
		&exchange->left_out);
	reply_address(&context, &exchange->message, &exchange->verdict, &exchange->frame,
		&server->mac, &frame);
	exchange->reply_len = frame_encode(&frame, ip_id, exchange->reply, len);
}

void dhcp_exchange(const struct dhcp_server *server, const uint8_t *data, size_t len,
	uint16_t ip_id, struct dhcp_exchange *exchange)
{
	enum dhcp_drop drop = frame_decode(data, len, &exchange->frame);

	exchange->lease_time = 0;
	exchange->reply_len = 0;
	exchange->left_out = 0;
	if (drop == DROP_NONE)
		drop = check_path(server, &exchange->frame);
	if (drop == DROP_NONE)
		drop = dhcp_message_decode(exchange->frame.payload, exchange->frame.payload_len,
			&exchange->message);
	exchange->understood = drop == DROP_NONE;
	if (drop == DROP_NONE)
		drop = check_sender(server, &exchange->frame, &exchange->message);
	if (drop != DROP_NONE) {
		exchange->verdict = (struct dhcp_verdict){ .drop = drop,
			.why = dhcp_drop_text(drop)->why };
		return;
	}
	exchange->verdict = dhcp_decide(&server->policy,
		plan_by_mac(server->plan, &exchange->message.chaddr), &exchange->message);
	if (exchange->verdict.reply != DHCP_NONE)
		write_reply(server, ip_id, exchange);
}
