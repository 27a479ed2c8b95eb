/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * message: a client's BOOTP/DHCP message, from bytes (RFC 2131 2, RFC 2132, RFC 3396). Pure.
 *
 * Numbers and addresses are in host order; options point into the caller's buffer, or into the
 * struct where an option came in parts.
 */
#ifndef EIPD_DHCPD_MESSAGE_H
#define EIPD_DHCPD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "dhcpd/drop.h"

#define DHCP_COOKIE         0x63825363u
#define DHCP_FLAG_BROADCAST 0x8000
#define DHCP_HEADER_LEN     236 /* up to the cookie */
#define DHCP_MESSAGE_MIN    300 /* RFC 1542 2.1 */
#define BOOTREQUEST         1
#define BOOTREPLY           2

/* RFC 2132 9.6; BOOTP is a request without option 53 (RFC 951). */
enum dhcp_type {
	DHCP_NONE = 0,
	DHCP_DISCOVER = 1,
	DHCP_OFFER,
	DHCP_REQUEST,
	DHCP_DECLINE,
	DHCP_ACK,
	DHCP_NAK,
	DHCP_RELEASE,
	DHCP_INFORM,
	DHCP_BOOTP,
};

/* RFC 2132 and those named beside them. */
enum dhcp_option_code {
	OPT_PAD = 0,
	OPT_SUBNET_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_HOST_NAME = 12,
	OPT_DOMAIN_NAME = 15,
	OPT_INTERFACE_MTU = 26,
	OPT_BROADCAST = 28,
	OPT_STATIC_ROUTE = 33,
	OPT_NTP = 42,
	OPT_REQUESTED_IP = 50,
	OPT_LEASE_TIME = 51,
	OPT_OVERLOAD = 52,
	OPT_MESSAGE_TYPE = 53,
	OPT_SERVER_ID = 54,
	OPT_PARAMETER_LIST = 55,
	OPT_MESSAGE = 56,
	OPT_MAX_SIZE = 57,
	OPT_T1 = 58,
	OPT_T2 = 59,
	OPT_VENDOR_CLASS = 60,
	OPT_CLIENT_ID = 61,
	OPT_TFTP_SERVER = 66,
	OPT_BOOT_FILE = 67,
	OPT_USER_CLASS = 77,
	OPT_RAPID_COMMIT = 80,     /* RFC 4039 */
	OPT_FQDN = 81,             /* RFC 4702 */
	OPT_RELAY_AGENT = 82,      /* RFC 3046 */
	OPT_CLIENT_ARCH = 93,      /* RFC 4578 */
	OPT_IPV6_ONLY = 108,       /* RFC 8925 */
	OPT_CLASSLESS_ROUTE = 121, /* RFC 3442 */
	OPT_VENDOR_SPECIFIC = 125, /* RFC 3925 */
	OPT_MUD_URL = 161,         /* RFC 8520 */
	OPT_END = 255,
};

struct dhcp_option {
	const uint8_t *data; /* NULL: not there */
	size_t len;
};

struct dhcp_message {
	enum dhcp_type type;
	uint32_t xid;
	uint16_t secs, flags;
	uint32_t ciaddr, giaddr;
	struct mac chaddr;
	struct dhcp_option option[256];
	uint8_t joined[4096]; /* options that came in parts, put together */
	size_t joined_len;
};

/* DROP_NONE and *ret_message, or why not; then *ret_message is undefined. */
enum dhcp_drop dhcp_message_decode(const uint8_t *data, size_t len,
	struct dhcp_message *ret_message);

/* An option of just four octets; false (and *ret untouched) if it is not there or not that long. */
bool dhcp_option_u32(const struct dhcp_message *message, enum dhcp_option_code code, uint32_t *ret);
bool dhcp_option_u16(const struct dhcp_message *message, enum dhcp_option_code code, uint16_t *ret);

/* "DISCOVER", … */
const char *dhcp_type_name(enum dhcp_type type);

#endif
