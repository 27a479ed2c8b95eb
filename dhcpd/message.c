/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * message owns the form of a client's message. It must not know what will be answered, nor the
 * network it came over.
 */
#include "dhcpd/message.h"

#include <string.h>

#include "common/bytes.h"

#define SNAME_LEN 64
#define FILE_LEN  128

/* RFC 3396 7: parts of an option are one option, in the order in which they came. */
static enum dhcp_drop join(struct dhcp_message *message, struct dhcp_option *option,
	const uint8_t *data, size_t len)
{
	uint8_t *end = message->joined + message->joined_len;
	/* parts that follow each other, as they do, are joined where the first ones are already */
	bool in_place = option->data + option->len == end;
	size_t moved = in_place ? 0 : option->len;

	if (moved + len > sizeof(message->joined) - message->joined_len)
		return DROP_OPTIONS;
	memcpy(end, option->data, moved);
	memcpy(end + moved, data, len);
	if (!in_place)
		option->data = end;
	message->joined_len += moved + len;
	option->len += len;
	return DROP_NONE;
}

/* `end_wanted`: RFC 2131 4.1 asks for END behind the options proper. */
static enum dhcp_drop decode_options(struct dhcp_message *message, struct rbuf *r, bool end_wanted)
{
	while (r->left) {
		uint8_t code = rbuf_u8(r), len;
		struct dhcp_option *option = &message->option[code];
		const uint8_t *data;

		if (code == OPT_PAD)
			continue;
		if (code == OPT_END)
			return DROP_NONE;
		len = rbuf_u8(r);
		data = rbuf_take(r, len);
		if (r->overrun)
			return DROP_OPTIONS;
		if (option->data) {
			if (join(message, option, data, len) != DROP_NONE)
				return DROP_OPTIONS;
		} else {
			*option = (struct dhcp_option){ data, len };
		}
	}
	return end_wanted ? DROP_OPTIONS : DROP_NONE;
}

/* RFC 2131 4.1: the options field first, then file, then sname. */
static enum dhcp_drop decode_overload(struct dhcp_message *message, const uint8_t *sname,
	const uint8_t *file)
{
	const struct dhcp_option overload = message->option[OPT_OVERLOAD];
	enum dhcp_drop drop = DROP_NONE;
	struct rbuf r;

	if (!overload.data)
		return DROP_NONE;
	if (overload.len != 1 || overload.data[0] < 1 || overload.data[0] > 3)
		return DROP_OPTIONS;
	if (overload.data[0] & 1) {
		rbuf_init(&r, file, FILE_LEN);
		drop = decode_options(message, &r, false);
	}
	if (drop == DROP_NONE && overload.data[0] & 2) {
		rbuf_init(&r, sname, SNAME_LEN);
		drop = decode_options(message, &r, false);
	}
	/* an overload option inside an overloaded field contradicts itself */
	return message->option[OPT_OVERLOAD].len == 1 ? drop : DROP_OPTIONS;
}

/* RFC 2132 2: NULs behind a text are deleted. */
static void trim(struct dhcp_option *text)
{
	while (text->len && !text->data[text->len - 1])
		text->len--;
}

static enum dhcp_drop decode_type(struct dhcp_message *message)
{
	const struct dhcp_option *type = &message->option[OPT_MESSAGE_TYPE];

	if (!type->data) {
		message->type = DHCP_BOOTP;
		return DROP_NONE;
	}
	if (type->len != 1)
		return DROP_OPTIONS;
	switch (type->data[0]) {
	case DHCP_DISCOVER:
	case DHCP_REQUEST:
	case DHCP_DECLINE:
	case DHCP_RELEASE:
	case DHCP_INFORM:
		message->type = (enum dhcp_type)type->data[0];
		return DROP_NONE;
	default: /* a number from the wire, not our enum */
		return DROP_TYPE;
	}
}

enum dhcp_drop dhcp_message_decode(const uint8_t *data, size_t len,
	struct dhcp_message *ret_message)
{
	struct dhcp_message *message = ret_message;
	const uint8_t *chaddr, *sname, *file;
	uint8_t op, htype, hlen;
	enum dhcp_drop drop;
	uint32_t cookie;
	struct rbuf r;

	memset(message->option, 0, sizeof(message->option));
	message->joined_len = 0;
	rbuf_init(&r, data, len);
	op = rbuf_u8(&r);
	htype = rbuf_u8(&r);
	hlen = rbuf_u8(&r);
	rbuf_u8(&r); /* hops */
	message->xid = rbuf_u32(&r);
	message->secs = rbuf_u16(&r);
	message->flags = rbuf_u16(&r);
	message->ciaddr = rbuf_u32(&r);
	rbuf_u32(&r); /* yiaddr */
	rbuf_u32(&r); /* siaddr */
	message->giaddr = rbuf_u32(&r);
	chaddr = rbuf_take(&r, 16);
	sname = rbuf_take(&r, SNAME_LEN);
	file = rbuf_take(&r, FILE_LEN);
	cookie = rbuf_u32(&r);
	if (r.overrun)
		return DROP_SHORT;
	if (op != BOOTREQUEST)
		return DROP_NOT_REQUEST;
	memcpy(message->chaddr.byte, chaddr, MAC_LEN);
	if (htype != 1 || hlen != MAC_LEN || !mac_is_host(&message->chaddr))
		return DROP_HARDWARE;
	/* RFC 951: a plain BOOTP client may leave the vendor area empty */
	if (cookie == 0) {
		message->type = DHCP_BOOTP;
		return DROP_NONE;
	}
	if (cookie != DHCP_COOKIE)
		return DROP_COOKIE;
	drop = decode_options(message, &r, true);
	if (drop == DROP_NONE)
		drop = decode_overload(message, sname, file);
	trim(&message->option[OPT_HOST_NAME]);
	trim(&message->option[OPT_VENDOR_CLASS]);
	return drop == DROP_NONE ? decode_type(message) : drop;
}

bool dhcp_option_u32(const struct dhcp_message *message, enum dhcp_option_code code, uint32_t *ret)
{
	const struct dhcp_option *option = &message->option[code];
	struct rbuf r;

	if (!option->data || option->len != 4)
		return false;
	rbuf_init(&r, option->data, 4);
	*ret = rbuf_u32(&r);
	return true;
}

bool dhcp_option_u16(const struct dhcp_message *message, enum dhcp_option_code code, uint16_t *ret)
{
	const struct dhcp_option *option = &message->option[code];
	struct rbuf r;

	if (!option->data || option->len != 2)
		return false;
	rbuf_init(&r, option->data, 2);
	*ret = rbuf_u16(&r);
	return true;
}

const char *dhcp_type_name(enum dhcp_type type)
{
	switch (type) {
	case DHCP_NONE:
		return "silence";
	case DHCP_DISCOVER:
		return "DISCOVER";
	case DHCP_OFFER:
		return "OFFER";
	case DHCP_REQUEST:
		return "REQUEST";
	case DHCP_DECLINE:
		return "DECLINE";
	case DHCP_ACK:
		return "ACK";
	case DHCP_NAK:
		return "NAK";
	case DHCP_RELEASE:
		return "RELEASE";
	case DHCP_INFORM:
		return "INFORM";
	case DHCP_BOOTP:
		return "BOOTP";
	}
	return "?";
}
