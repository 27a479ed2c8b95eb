/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drop: every reason why a frame gets no answer. Each is counted; the names are those that
 * `eipctl status` shows.
 */
#ifndef EIPD_DHCPD_DROP_H
#define EIPD_DHCPD_DROP_H

enum dhcp_drop {
	DROP_NONE, /* go on */
	/* frame */
	DROP_SHORT,
	DROP_VLAN,
	DROP_NOT_IPV4,
	DROP_FRAGMENT,
	DROP_IP_HEADER,
	DROP_UDP_LENGTH,
	DROP_CHECKSUM,
	DROP_PORT,
	DROP_DESTINATION,
	DROP_FOREIGN_SERVER,
	DROP_SOURCE,
	/* message */
	DROP_NOT_REQUEST,
	DROP_HARDWARE,
	DROP_COOKIE,
	DROP_OPTIONS,
	DROP_TYPE,
	/* decision */
	DROP_UNKNOWN,
	DROP_IGNORED,
	DROP_RELAY,
	DROP_OTHER_SERVER,
	DROP_NO_ADDRESS,
	DROP_NOT_AUTHORITATIVE,
	DROP_MISMATCH,
	DROP_COUNT
};

struct dhcp_drop_text {
	const char *name; /* for counters: one word */
	const char *why;  /* for people */
};

/* Never NULL. */
const struct dhcp_drop_text *dhcp_drop_text(enum dhcp_drop drop);

#endif
