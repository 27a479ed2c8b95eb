/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drop owns the wording of the reasons. It must not know where they are found. */
#include "dhcpd/drop.h"

const struct dhcp_drop_text *dhcp_drop_text(enum dhcp_drop drop)
{
	static const struct dhcp_drop_text texts[DROP_COUNT] = {
		[DROP_NONE] = { "none", "answered" },
		[DROP_SHORT] = { "short", "shorter than its headers say" },
		[DROP_VLAN] = { "vlan", "tagged with a VLAN id" },
		[DROP_NOT_IPV4] = { "not-ipv4", "not UDP over IPv4" },
		[DROP_FRAGMENT] = { "fragment", "a fragment" },
		[DROP_IP_HEADER] = { "ip-header", "its IP header is wrong" },
		[DROP_UDP_LENGTH] = { "udp-length", "its UDP length is wrong" },
		[DROP_CHECKSUM] = { "checksum", "its UDP checksum is wrong" },
		[DROP_PORT] = { "port", "not from a client's port, or not to ours" },
		[DROP_DESTINATION] = { "destination", "sent to another address" },
		[DROP_FOREIGN_SERVER] = { "foreign-server", "an answer of another DHCP server" },
		[DROP_SOURCE] = { "source", "its chaddr is not the address that it came from" },
		[DROP_NOT_REQUEST] = { "not-request", "not a BOOTREQUEST" },
		[DROP_HARDWARE] = { "hardware", "its hardware address is not Ethernet's" },
		[DROP_COOKIE] = { "cookie", "no magic cookie" },
		[DROP_OPTIONS] = { "options", "its options are cut off or contradict themselves" },
		[DROP_TYPE] = { "type", "not a message for a server" },
		[DROP_UNKNOWN] = { "unknown", "not in the plan" },
		[DROP_IGNORED] = { "ignored", "the plan says ignore" },
		[DROP_RELAY] = { "relay", "its relay is not in the bridge's network" },
		[DROP_OTHER_SERVER] = { "other-server", "it speaks to another server" },
		[DROP_NO_ADDRESS] = { "no-address", "it names no address" },
		[DROP_NOT_AUTHORITATIVE] = { "not-authoritative",
			"not its address, but we are not authoritative" },
		[DROP_MISMATCH] = { "mismatch", "not the address that it has" },
	};

	return &texts[drop];
}
