/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What frames pass the rules of isolation and anti-spoof: frames are put into a model of a bridge
 * with the rules in its hooks, and who receives them is compared.
 */
#include "tests/unit/guard_stage.h"

/* --- frames, one by one ------------------------------------------------------------------- */

#define SEEN1             "isolate vm-001\nseen vm-001 vnet1 11 0\n"
#define SEEN2             "isolate vm-002\nseen vm-002 vnet2 12 0\n"
#define ALLOW(vm, prefix) "allow " vm " " prefix "\n"

static const struct situation free_for_all = { "", false, { 0 } };
static const struct situation isolated = { SEEN1, false, { 0 } };
static const struct situation by_mac = { "isolate vm-001\n", false, { 0 } };
static const struct situation allowing = {
	SEEN1 ALLOW("vm-001", "10.77.0.200/32") ALLOW("vm-001", "198.51.100.0/24"), false, { 0 }
};
static const struct situation allowing_all = { SEEN1 ALLOW("vm-001", "0.0.0.0/0"), false, { 0 } };
static const struct situation allowing_odd = { SEEN1 ALLOW("vm-001", "10.77.0.206/29"), false,
	{ 0 } };
static const struct situation allowing_no_uplink = { SEEN1 ALLOW("vm-001", "10.77.0.200/32"), false,
	{ 0 }, true };
static const struct situation allowing_peer = { SEEN1 ALLOW("vm-001", "10.77.0.12/32"), false,
	{ 0 } };
static const struct situation two = { SEEN1 SEEN2, false, { 0 } };
static const struct situation one_way = { SEEN1 SEEN2 ALLOW("vm-001", "10.77.0.12/32"), false,
	{ 0 } };
static const struct situation each_other = {
	SEEN1 SEEN2 ALLOW("vm-001", "10.77.0.12/32") ALLOW("vm-002", "10.77.0.0/28"), false, { 0 }
};
static const struct situation unknown = {
	"isolate vm-999\nseen vm-999 vnet1 11 0\n" ALLOW("vm-999", "10.77.0.200/32"), false, { 0 }
};
static const struct situation unknown_off = { "isolate vm-999\n", false, { 0 } };
static const struct situation two_ports = { SEEN1 "seen vm-001 vnet7 17 0\n", false, { 0 } };
static const struct situation moved = { "isolate vm-001\nseen vm-001 vnet50 50 0\n", false, { 0 } };
static const struct situation honest = { "", true, { VM1, VM2 } };
static const struct situation by_ports = { "", true, { VM1, VM2 }, .by_ports = true };
static const struct situation isolated_by_ports = { SEEN1, false, { 0 }, .by_ports = true };
static const struct situation both = { SEEN1, true, { VM1, VM2 } };

static const struct frame_row {
	const char *sentence;
	const struct situation *situation;
	struct wish wish;
	const char *receivers;
} frame_rows[] = {
	{ "free: a ping", &free_for_all, { ICMP, VM1, VM2 }, "2" },
	{ "free: to all", &free_for_all, { ARP_REQUEST, VM1, VM2 }, "h23456slf" },
	{ "free: to a MAC that no port is known for", &free_for_all, { ICMP, VM1, NOBODY },
		"23456slf" },
	{ "free: on another bridge", &free_for_all, { ICMP, OTHER, OTHER2 }, "y" },
	{ "free: from a group's MAC goes nowhere", &free_for_all,
		{ ICMP, VM1, VM2, .from_mac = GROUP }, "" },

	{ "isolated: from another VM's MAC", &isolated, { ICMP, VM1, VM2, .from_mac = VM2 }, "" },
	{ "isolated: from the host's MAC", &isolated, { ICMP, VM1, VM2, .from_mac = HOST }, "" },
	{ "isolated: from another VM's MAC and address", &isolated,
		{ ICMP, VM1, LAN, .from_mac = VM2, .from_ip = VM2 }, "" },
	{ "isolated: DHCP from another MAC", &isolated, { DHCP_ASK, VM1, HOST, .from_mac = VM2 },
		"" },
	{ "isolated: to a MAC that no port is known for", &isolated, { ICMP, VM1, NOBODY }, "" },
	{ "isolated: to a group", &isolated, { UDP, VM1, GROUP }, "" },
	{ "isolated: link-local group", &isolated, { RAW, VM1, EAPOL }, "" },
	{ "isolated: LLDP, which would pass no hook", &isolated, { RAW, VM1, LLDP }, "" },
	{ "isolated: an IP packet to LLDP's group", &isolated, { UDP, VM1, HOST, .to_mac = LLDP },
		"" },
	{ "isolated: IPv6 to LLDP's group", &isolated, { IPV6_PING, VM1, HOST, .to_mac = LLDP },
		"" },
	{ "isolated: DHCP to LLDP's group", &isolated, { DHCP_ASK, VM1, HOST, .to_mac = LLDP },
		"" },
	{ "isolated: ARP to LLDP's group", &isolated, { ARP_REQUEST, VM1, HOST, .to_mac = LLDP },
		"" },
	{ "isolated: a neighbour's MAC to LLDP's group", &isolated,
		{ RAW, VM1, LLDP, .from_mac = VM2 }, "" },
	{ "isolated: an IP packet to the spanning tree's group", &isolated,
		{ UDP, VM1, HOST, .to_mac = STP }, "" },
	{ "isolated: PAUSE", &isolated, { RAW, VM1, PAUSE }, "" },
	{ "isolated: LLDP of a neighbour", &isolated, { RAW, VM2, LLDP }, "h" },
	{ "isolated: flooded frames of others", &isolated, { ARP_REQUEST, VM2, VM3 }, "h3456slf" },
	{ "isolated: flooded frames from the LAN", &isolated, { ARP_REQUEST, LAN, VM3 },
		"h23456s" },
	{ "isolated: a neighbour's frames to all that are not for it", &isolated,
		{ ICMP, VM2, NOBODY }, "3456slf" },
	{ "isolated: the host's frames to all", &isolated, { ARP_REQUEST, HOST, VM2 }, "23456slf" },
	{ "isolated: the host asks for it", &isolated, { ARP_REQUEST, HOST, VM1 }, "123456slf" },
	{ "isolated: it answers the host", &isolated, { ARP_REPLY, VM1, HOST }, "h" },
	{ "isolated: it answers the host for another address", &isolated,
		{ ARP_REPLY, VM1, HOST, .from_ip = VM2 }, "" },
	{ "isolated: it answers the host for another MAC", &isolated,
		{ ARP_REPLY, VM1, HOST, .arp_mac = VM2 }, "" },
	{ "isolated: it answers all for the host", &isolated,
		{ ARP_REPLY, VM1, HOST, .to_mac = EVERYBODY }, "h" },
	{ "isolated: it announces itself", &isolated, { ARP_REQUEST, VM1, VM1 }, "" },
	{ "isolated: ARP that is cut off before the target", &isolated,
		{ ARP_REQUEST, VM1, HOST, .len = 38 }, "" },
	{ "isolated: ARP of other hardware", &isolated,
		{ ARP_REQUEST, VM1, HOST, .patches = { { 15, 6 } } }, "" },
	{ "isolated: ARP with addresses of another length", &isolated,
		{ ARP_REQUEST, VM1, HOST, .patches = { { 19, 6 } } }, "" },
	{ "isolated: DHCP to all, from nowhere", &isolated,
		{ DHCP_ASK, VM1, EVERYBODY, .from_ip = UNSPECIFIED }, "h" },
	{ "isolated: DHCP to all, from its address", &isolated, { DHCP_ASK, VM1, EVERYBODY }, "h" },
	{ "isolated: DHCP to the host, from nowhere", &isolated,
		{ DHCP_ASK, VM1, HOST, .from_ip = UNSPECIFIED }, "" },
	{ "isolated: DHCP from another address", &isolated, { DHCP_ASK, VM1, HOST, .from_ip = VM2 },
		"" },
	{ "isolated: DHCP to another server", &isolated, { DHCP_ASK, VM1, LAN }, "" },
	{ "isolated: DHCP to another server by the host's address", &isolated,
		{ DHCP_ASK, VM1, HOST, .to_mac = LAN }, "" },
	{ "isolated: DHCP from another port", &isolated,
		{ DHCP_ASK, VM1, HOST, .ports = { 69, 67 } }, "" },
	{ "isolated: DHCP to another port", &isolated, { DHCP_ASK, VM1, HOST, .ports = { 68, 53 } },
		"" },
	{ "isolated: DHCP's ports, by TCP", &isolated, { TCP, VM1, HOST, .ports = { 68, 67 } },
		"" },
	{ "isolated: DHCP with IP options", &isolated,
		{ DHCP_ASK, VM1, EVERYBODY, .from_ip = UNSPECIFIED,
			.patches = { { 14, 0x46 }, { 39, 68 }, { 41, 67 } } },
		"h" },
	{ "isolated: DHCP's ports where the options are", &isolated,
		{ DHCP_ASK, VM1, EVERYBODY, .from_ip = UNSPECIFIED, .patches = { { 14, 0x46 } } },
		"" },
	{ "isolated: a later fragment of DHCP", &isolated,
		{ DHCP_ASK, VM1, EVERYBODY, .patches = { { 21, 1 } } }, "" },
	{ "isolated: DHCP that is shorter than it says", &isolated,
		{ DHCP_ASK, VM1, EVERYBODY, .patches = { { 16, 1 } } }, "" },
	{ "isolated: the host's DHCP answer to it", &isolated, { DHCP_OFFER, HOST, VM1 }, "1" },
	{ "isolated: the host's DHCP answer to all", &isolated, { DHCP_OFFER, HOST, EVERYBODY },
		"123456slf" },
	{ "isolated: a DHCP answer of another server", &isolated, { DHCP_OFFER, LAN, VM1 }, "" },
	{ "isolated: a DHCP answer of another server behind the host", &isolated,
		{ DHCP_OFFER, OUTSIDE, VM1 }, "" },
	{ "isolated: what others send of its MAC", &isolated, { ICMP, VM2, VM3, .from_mac = VM1 },
		"" },
	{ "isolated: what others send of its address", &isolated,
		{ ICMP, VM2, VM3, .from_ip = VM1 }, "3" },
	{ "isolated: on another bridge nothing changes", &isolated, { ICMP, OTHER, OTHER2 }, "y" },
	{ "isolated: on another bridge its MAC is somebody else's", &isolated,
		{ ICMP, OTHER, OTHER2, .from_mac = VM1 }, "y" },
	{ "isolated: to its MAC on another bridge", &isolated,
		{ ICMP, OTHER, OTHER2, .to_mac = VM1 }, "y" },
	{ "isolated: its port on another bridge is still its port", &moved, { ICMP, OTHER, OTHER2 },
		"" },
	{ "isolated: what is sent to its port on another bridge", &moved, { ICMP, OTHER2, OTHER },
		"" },
	{ "isolated: the LAN and the host", &isolated, { ICMP, LAN, HOST }, "h" },

	{ "by MAC: while its port is not known", &by_mac, { ICMP, VM1, VM2 }, "" },
	{ "by MAC: it asks for DHCP", &by_mac, { DHCP_ASK, VM1, EVERYBODY, .from_ip = UNSPECIFIED },
		"h" },
	{ "by MAC: to it", &by_mac, { ICMP, VM2, VM1 }, "" },
	{ "by MAC: from the host to it", &by_mac, { ICMP, HOST, VM1 }, "" },
	{ "by MAC: LLDP's group is out of reach of rules until the port is known", &by_mac,
		{ RAW, VM1, LLDP }, "h" },
	{ "two ports: the other is cut off as well", &two_ports, { ICMP, STRANGER, VM2 }, "" },
	{ "two ports: what is sent to the other", &two_ports, { ICMP, VM2, STRANGER }, "" },

	{ "allow: DHCP is for the host only", &allowing,
		{ DHCP_ASK, VM1, EVERYBODY, .from_ip = UNSPECIFIED }, "h" },
	{ "allow: ARP for the host is for the host only", &allowing, { ARP_REQUEST, VM1, HOST },
		"h" },
	{ "allow: to whom it allows", &allowing, { TCP, VM1, FORENSIC }, "f" },
	{ "allow: from there", &allowing, { TCP, FORENSIC, VM1 }, "1" },
	{ "allow: it asks for the MAC", &allowing, { ARP_REQUEST, VM1, FORENSIC }, "hlf" },
	{ "allow: it is asked", &allowing, { ARP_REQUEST, FORENSIC, VM1 }, "h123456s" },
	{ "allow: it answers", &allowing, { ARP_REPLY, VM1, FORENSIC }, "f" },
	{ "allow: it is answered", &allowing, { ARP_REPLY, FORENSIC, VM1 }, "1" },
	{ "allow: it answers for another", &allowing, { ARP_REPLY, VM1, FORENSIC, .from_ip = VM2 },
		"" },
	{ "allow: it answers with another MAC", &allowing,
		{ ARP_REPLY, VM1, FORENSIC, .arp_mac = NOBODY }, "" },
	{ "allow: from another address", &allowing, { TCP, VM1, FORENSIC, .from_ip = VM2 }, "" },
	{ "allow: from another MAC", &allowing, { TCP, VM1, FORENSIC, .from_mac = VM2 }, "" },
	{ "allow: from there, to another address", &allowing, { TCP, FORENSIC, VM1, .to_ip = VM2 },
		"" },
	{ "allow: to whom it allows, to all", &allowing,
		{ UDP, VM1, FORENSIC, .to_mac = EVERYBODY }, "hlf" },
	{ "allow: to whom it allows, by a neighbour's MAC", &allowing,
		{ UDP, VM1, FORENSIC, .to_mac = VM2 }, "" },
	{ "allow: to whom it allows, by LLDP's group", &allowing,
		{ UDP, VM1, FORENSIC, .to_mac = LLDP }, "" },
	{ "allow: without an uplink, wherever that is", &allowing_no_uplink,
		{ UDP, VM1, FORENSIC, .to_mac = VM2 }, "2" },
	{ "allow: a VM", &allowing_peer, { UDP, VM1, VM2 }, "2" },
	{ "allow: a VM, by another's MAC", &allowing_peer, { UDP, VM1, VM2, .to_mac = VM3 }, "" },
	{ "allow: a VM, by a MAC that no port is known for", &allowing_peer,
		{ UDP, VM1, VM2, .to_mac = NOBODY }, "lf" },
	{ "allow: a VM, which it asks for", &allowing_peer, { ARP_REQUEST, VM1, VM2 },
		"h23456slf" },
	{ "allow: to others", &allowing, { TCP, VM1, LAN }, "" },
	{ "allow: from others", &allowing, { TCP, LAN, VM1 }, "" },
	{ "allow: to the outside, by way of the host", &allowing, { TCP, VM1, OUTSIDE }, "h" },
	{ "allow: from the outside", &allowing, { TCP, OUTSIDE, VM1 }, "1" },
	{ "allow: not the host itself", &allowing, { TCP, VM1, HOST }, "" },
	{ "allow: from the host itself", &allowing, { TCP, HOST, VM1 }, "" },
	{ "allow: IPv6 to there", &allowing, { IPV6_PING, VM1, FORENSIC }, "" },
	{ "allow: tagged to there", &allowing, { TAGGED, VM1, FORENSIC }, "" },
	{ "allow: a later fragment", &allowing, { FRAGMENT, VM1, FORENSIC }, "f" },
	{ "allow: a later fragment from there", &allowing, { FRAGMENT, FORENSIC, VM1 }, "1" },
	{ "allow 0.0.0.0/0: to itself, which the bridge would send to all", &allowing_all,
		{ UDP, VM1, NOBODY, .to_ip = VM1 }, "" },
	{ "allow 0.0.0.0/0: it announces itself", &allowing_all, { ARP_REQUEST, VM1, VM1 }, "h" },
	{ "allow 0.0.0.0/0: another VM", &allowing_all, { TCP, VM1, VM2 }, "2" },
	{ "allow 0.0.0.0/0: and back", &allowing_all, { TCP, VM2, VM1 }, "1" },
	{ "allow 0.0.0.0/0: the host", &allowing_all, { TCP, VM1, HOST }, "h" },
	{ "allow 0.0.0.0/0: from another address", &allowing_all, { TCP, VM1, VM2, .from_ip = VM3 },
		"" },
	{ "allow 0.0.0.0/0: IPv6", &allowing_all, { IPV6_PING, VM1, VM2 }, "" },
	{ "allow a prefix: by an address in it", &allowing_odd, { TCP, VM1, FORENSIC }, "f" },
	{ "allow a prefix: none beside it", &allowing_odd, { TCP, VM1, LAN }, "" },

	{ "two isolated: to each other", &two, { TCP, VM1, VM2 }, "" },
	{ "two isolated: one allows the other", &one_way, { TCP, VM1, VM2 }, "" },
	{ "two isolated: the other does not allow the one", &one_way, { TCP, VM2, VM1 }, "" },
	{ "two isolated: ARP where only one allows", &one_way, { ARP_REPLY, VM1, VM2 }, "" },
	{ "two isolated: each allows the other", &each_other, { TCP, VM1, VM2 }, "2" },
	{ "two isolated: and back", &each_other, { TCP, VM2, VM1 }, "1" },
	{ "two isolated: ARP where each allows the other", &each_other, { ARP_REPLY, VM2, VM1 },
		"1" },
	{ "two isolated: one allows more", &each_other, { TCP, VM2, VM3 }, "3" },

	{ "unknown: nothing is known but its port", &unknown,
		{ DHCP_ASK, VM1, EVERYBODY, .from_ip = UNSPECIFIED }, "" },
	{ "unknown: whom it allows cannot be", &unknown, { TCP, VM1, FORENSIC }, "" },
	{ "unknown: from whom it allows cannot be", &unknown, { TCP, FORENSIC, VM1 }, "" },
	{ "unknown: to it", &unknown, { ARP_REQUEST, HOST, VM1 }, "23456slf" },
	{ "unknown: nothing at all is known, and nobody is cut off", &unknown_off,
		{ ICMP, VM1, VM2 }, "2" },
	{ "unknown: the MAC 00:00:00:00:00:00 means nothing", &unknown_off,
		{ ICMP, VM2, VM1, .to_mac = UNSPECIFIED }, "13456slf" },

	{ "honest: a ping", &honest, { ICMP, VM1, VM2 }, "2" },
	{ "honest: TCP to the LAN", &honest, { TCP, VM1, LAN }, "l" },
	{ "honest: to the outside", &honest, { UDP, VM1, OUTSIDE }, "h" },
	{ "honest: to a group", &honest, { UDP, VM1, GROUP }, "h23456slf" },
	{ "honest: to a group next to the link-local ones", &honest,
		{ UDP, VM1, GROUP, .to_mac = BRIDGES }, "h23456slf" },
	{ "honest: a later fragment", &honest, { FRAGMENT, VM1, LAN }, "l" },
	{ "honest: asks for the MAC of the host", &honest, { ARP_REQUEST, VM1, HOST },
		"h23456slf" },
	{ "honest: answers", &honest, { ARP_REPLY, VM1, VM2 }, "2" },
	{ "honest: announces itself", &honest, { ARP_REQUEST, VM1, VM1 }, "h23456slf" },
	{ "honest: looks whether anybody has its address", &honest,
		{ ARP_REQUEST, VM1, VM1, .from_ip = UNSPECIFIED }, "h23456slf" },
	{ "honest: DHCP from nowhere", &honest,
		{ DHCP_ASK, VM1, EVERYBODY, .from_ip = UNSPECIFIED }, "h23456slf" },
	{ "honest: DHCP from its address", &honest, { DHCP_ASK, VM1, HOST }, "h" },
	{ "honest: a VM that has not been seen yet", &honest, { ICMP, VM3, VM2 }, "2" },
	{ "honest: to it", &honest, { ICMP, VM2, VM3 }, "3" },
	{ "spoof: another's address", &honest, { ICMP, VM1, LAN, .from_ip = VM2 }, "" },
	{ "spoof: an address that nobody has", &honest, { ICMP, VM1, LAN, .from_ip = OUTSIDE },
		"" },
	{ "spoof: no address, and not DHCP", &honest, { UDP, VM1, LAN, .from_ip = UNSPECIFIED },
		"" },
	{ "spoof: another's MAC", &honest, { ICMP, VM1, LAN, .from_mac = VM2 }, "" },
	{ "spoof: another's MAC and address", &honest,
		{ ICMP, VM1, LAN, .from_mac = VM2, .from_ip = VM2 }, "" },
	{ "spoof: MAC and address of one who has not been seen yet", &honest,
		{ ICMP, VM1, LAN, .from_mac = VM3, .from_ip = VM3 }, "" },
	{ "spoof: one who has not been seen yet is one who has", &honest,
		{ ICMP, VM3, LAN, .from_mac = VM1, .from_ip = VM1 }, "" },
	{ "spoof: the gateway's MAC", &honest, { ICMP, VM1, LAN, .from_mac = HOST }, "" },
	{ "spoof: a MAC that nobody has, of one who has not been seen yet", &honest,
		{ ICMP, VM3, LAN, .from_mac = NOBODY }, "" },
	{ "spoof: ARP for the gateway", &honest, { ARP_REPLY, VM1, VM2, .from_ip = HOST }, "" },
	{ "spoof: ARP for the gateway, to all", &honest,
		{ ARP_REQUEST, VM1, HOST, .from_ip = HOST }, "" },
	{ "spoof: ARP for a neighbour", &honest, { ARP_REPLY, VM1, LAN, .from_ip = VM2 }, "" },
	{ "spoof: ARP with another MAC than the frame's", &honest,
		{ ARP_REPLY, VM1, VM2, .arp_mac = VM3 }, "" },
	{ "spoof: a probe with another VM's MAC", &honest,
		{ ARP_REQUEST, VM1, VM1, .from_ip = UNSPECIFIED, .arp_mac = VM2 }, "" },
	{ "spoof: ARP of other hardware", &honest,
		{ ARP_REPLY, VM1, VM2, .patches = { { 15, 6 } } }, "" },
	{ "spoof: a DHCP offer", &honest, { DHCP_OFFER, VM1, VM2 }, "" },
	{ "spoof: a DHCP offer to all", &honest, { DHCP_OFFER, VM1, EVERYBODY }, "" },
	{ "spoof: a DHCP offer with IP options", &honest,
		{ DHCP_OFFER, VM1, EVERYBODY, .patches = { { 14, 0x46 }, { 39, 67 }, { 41, 68 } } },
		"" },
	{ "spoof: ARP that is cut off before the sender's MAC, of one who has not been seen",
		&honest, { ARP_REQUEST, VM3, VM2, .from_mac = NOBODY, .len = 22 }, "" },
	{ "spoof: ARP that is cut off in the sender's address", &honest,
		{ ARP_REQUEST, VM3, VM2, .from_mac = NOBODY, .len = 31 }, "" },
	{ "spoof: a DHCP offer from another port", &honest,
		{ DHCP_OFFER, VM1, EVERYBODY, .ports = { 1067, 68 } }, "" },
	{ "spoof: a DHCP offer in IP that says it is longer", &honest,
		{ DHCP_OFFER, VM1, EVERYBODY, .patches = { { 16, 0x10 } } }, "" },
	{ "spoof: a DHCP offer in IP that says it is shorter than its header", &honest,
		{ DHCP_OFFER, VM1, EVERYBODY, .patches = { { 17, 19 } } }, "" },
	{ "spoof: a DHCP offer in IP of version 5", &honest,
		{ DHCP_OFFER, VM1, EVERYBODY, .patches = { { 14, 0x55 } } }, "" },
	{ "spoof: a DHCP offer in IP whose header is too short", &honest,
		{ DHCP_OFFER, VM1, EVERYBODY, .patches = { { 14, 0x44 } } }, "" },
	{ "spoof: IP that is cut off in its header", &honest, { UDP, VM1, VM2, .len = 33 }, "" },
	{ "spoof: IPv6", &honest, { IPV6_PING, VM1, VM2 }, "" },
	{ "spoof: IPv6 neighbour discovery", &honest, { IPV6_SOLICIT, VM1, VM2 }, "" },
	{ "spoof: raw Ethernet", &honest, { RAW, VM1, VM2 }, "" },
	{ "spoof: 802.3", &honest, { RAW_802, VM1, VM2 }, "" },
	{ "spoof: tagged", &honest, { TAGGED, VM1, VM2 }, "" },
	{ "spoof: tagged for priority", &honest, { TAGGED0, VM1, VM2 }, "" },
	{ "spoof: tagged ARP", &honest, { TAGGED_ARP, VM1, VM2, .from_ip = HOST }, "" },
	{ "spoof: tagged twice", &honest, { DOUBLE_TAGGED, VM1, VM2 }, "" },
	{ "spoof: link-local group", &honest, { RAW, VM1, EAPOL }, "" },
	{ "spoof: LLDP, which would pass no hook", &honest, { RAW, VM1, LLDP }, "" },
	{ "spoof: its own address to LLDP's group", &honest, { UDP, VM1, HOST, .to_mac = LLDP },
		"" },
	{ "spoof: its own address to the spanning tree's group", &honest,
		{ UDP, VM1, HOST, .to_mac = STP }, "" },
	{ "spoof: a neighbour's MAC to LLDP's group", &honest, { RAW, VM3, LLDP, .from_mac = VM2 },
		"" },
	{ "spoof: a port whose VM is in no plan", &honest, { ICMP, STRANGER, VM2 }, "" },
	{ "spoof: to such a port", &honest, { ICMP, VM2, STRANGER }, "s" },
	{ "exempt: the uplink, whatever it sends", &honest, { RAW, LAN, VM1, .from_mac = VM2 },
		"1" },
	{ "exempt: DHCP of the LAN", &honest, { DHCP_OFFER, LAN, VM1 }, "1" },
	{ "exempt: link-local group from the uplink", &honest, { RAW, LAN, EAPOL }, "h" },
	{ "exempt: the host", &honest, { DHCP_OFFER, HOST, VM1 }, "1" },
	{ "exempt: other bridges", &honest, { RAW, OTHER, OTHER2 }, "y" },
	{ "exempt: other bridges, with the MAC of a VM that has a seat on ours", &honest,
		{ RAW, OTHER, OTHER2, .from_mac = VM1 }, "y" },
	{ "exempt: LLDP of other bridges", &honest, { RAW, OTHER, LLDP }, "h" },
	{ "exempt: link-local group of other bridges", &honest, { RAW, OTHER, EAPOL }, "h" },

	{ "newcomer: honest, as a VM that has no seat yet", &honest,
		{ ICMP, STRANGER, LAN, .from_mac = VM3, .from_ip = VM3 }, "l" },
	{ "newcomer: as a VM that has a seat", &honest,
		{ ICMP, STRANGER, LAN, .from_mac = VM1, .from_ip = VM1 }, "" },
	{ "newcomer: a MAC of no plan", &honest, { ICMP, STRANGER, HOST }, "" },
	{ "newcomer: to all", &honest, { RAW, STRANGER, EVERYBODY }, "" },
	{ "newcomer: link-local group", &honest, { RAW, STRANGER, EAPOL }, "" },
	{ "newcomer: ARP for the gateway", &honest,
		{ ARP_REPLY, STRANGER, VM1, .from_ip = HOST, .to_mac = EVERYBODY }, "" },

	{ "by ports: an honest one", &by_ports, { ICMP, VM1, LAN }, "l" },
	{ "by ports: a lie", &by_ports, { ICMP, VM1, LAN, .from_ip = VM2 }, "" },
	{ "by ports: link-local group", &by_ports, { RAW, VM1, EAPOL }, "" },
	{ "by ports: the uplink, whatever it sends", &by_ports, { RAW, LAN, VM1, .from_mac = VM2 },
		"1" },
	{ "by ports: the host", &by_ports, { DHCP_OFFER, HOST, VM1 }, "1" },
	{ "by ports: other bridges", &by_ports, { RAW, OTHER, OTHER2 }, "y" },
	{ "by ports: other bridges, with the MAC of a VM that has a seat on ours", &by_ports,
		{ RAW, OTHER, OTHER2, .from_mac = VM1 }, "y" },
	{ "by ports: link-local group of other bridges", &by_ports, { RAW, OTHER, EAPOL }, "h" },
	{ "by ports: a new port of another bridge", &by_ports, { RAW, OTHER2, OTHER }, "x" },
	{ "by ports: to all, from a new port of another bridge", &by_ports,
		{ UDP, OTHER2, EVERYBODY, .from_ip = OUTSIDE }, "hx" },
	{ "by ports: newcomer: honest, as a VM that has no seat yet", &by_ports,
		{ ICMP, STRANGER, LAN, .from_mac = VM3, .from_ip = VM3 }, "l" },
	{ "by ports: newcomer: it asks for DHCP", &by_ports,
		{ DHCP_ASK, STRANGER, EVERYBODY, .from_mac = VM3, .from_ip = UNSPECIFIED },
		"h123456lf" },
	{ "by ports: newcomer: as a VM that has a seat", &by_ports,
		{ ICMP, STRANGER, LAN, .from_mac = VM1, .from_ip = VM1 }, "" },
	{ "by ports: newcomer: a MAC of no plan", &by_ports, { ICMP, STRANGER, VM2 }, "" },
	{ "by ports: newcomer: to the uplink", &by_ports, { ICMP, STRANGER, LAN }, "" },
	{ "by ports: newcomer: to the host", &by_ports, { ICMP, STRANGER, HOST }, "" },
	{ "by ports: newcomer: an offer to all", &by_ports, { DHCP_OFFER, STRANGER, EVERYBODY },
		"" },
	{ "by ports: newcomer: ARP for the gateway", &by_ports,
		{ ARP_REPLY, STRANGER, VM1, .from_ip = HOST, .to_mac = EVERYBODY }, "" },
	{ "by ports: newcomer: it asks for the gateway", &by_ports, { ARP_REQUEST, STRANGER, HOST },
		"" },
	{ "by ports: newcomer: what says nothing of our network reaches the host", &by_ports,
		{ RAW, STRANGER, EVERYBODY }, "h" },
	{ "by ports: isolated", &isolated_by_ports, { ICMP, VM1, VM2 }, "" },
	{ "by ports: isolated: its MAC on a port that is new", &isolated_by_ports,
		{ ICMP, STRANGER, VM2, .from_mac = VM1 }, "" },
	{ "by ports: isolated: on another bridge its MAC is somebody else's", &isolated_by_ports,
		{ ICMP, OTHER, OTHER2, .from_mac = VM1 }, "y" },

	{ "both: who is isolated and honest gets no further for that", &both, { ICMP, VM1, VM2 },
		"" },
	{ "both: its DHCP", &both, { DHCP_ASK, VM1, EVERYBODY, .from_ip = UNSPECIFIED }, "h" },
	{ "both: a neighbour", &both, { ICMP, VM2, LAN }, "l" },
	{ "both: a neighbour that spoofs", &both, { ICMP, VM2, LAN, .from_ip = VM1 }, "" },
};

static void test_frame(void **state)
{
	const struct frame_row *row = *state;
	struct frame frame = make_frame(&row->wish);
	char receivers[PARTIES + 1];
	struct bridge bridge;

	bridge_up(&bridge, row->situation);
	send_frame(&bridge, &frame, sender_of(&row->wish), receivers);
	assert_string_equal(receivers, row->receivers);
	bridge_down(&bridge);
}

/* --- all kinds to and from all ------------------------------------------------------------ */

static const struct matrix_row {
	const char *sentence;
	struct wish wish; /* without `to` */
	bool to_host;     /* passes to the host, and to nobody else, while the VM is isolated */
	bool to_allowed;  /* passes to whom it allows */
	bool is_honest;   /* passes while it is not isolated, with anti-spoof */
} matrix_rows[] = {
	{ "all: ICMP", { ICMP }, false, true, true },
	{ "all: TCP", { TCP }, false, true, true },
	{ "all: UDP", { UDP }, false, true, true },
	{ "all: a fragment", { FRAGMENT }, false, true, true },
	{ "all: an ARP request", { ARP_REQUEST }, true, true, true },
	{ "all: an ARP reply", { ARP_REPLY }, true, true, true },
	{ "all: ARP for the gateway", { ARP_REPLY, .from_ip = HOST }, false, false, false },
	{ "all: ARP for a neighbour", { ARP_REPLY, .from_ip = VM2 }, false, false, false },
	{ "all: IPv6 neighbour discovery", { IPV6_SOLICIT }, false, false, false },
	{ "all: IPv6 ping", { IPV6_PING }, false, false, false },
	{ "all: raw Ethernet", { RAW }, false, false, false },
	{ "all: 802.3", { RAW_802 }, false, false, false },
	{ "all: tagged", { TAGGED }, false, false, false },
	{ "all: tagged for priority", { TAGGED0 }, false, false, false },
	{ "all: tagged twice", { DOUBLE_TAGGED }, false, false, false },
	{ "all: tagged ARP", { TAGGED_ARP }, false, false, false },
	{ "all: DHCP", { DHCP_ASK }, true, true, true },
	{ "all: a rogue DHCP offer", { DHCP_OFFER }, false, true, false },
	{ "all: IP changed", { ICMP, .from_ip = VM2 }, false, false, false },
	{ "all: MAC changed", { ICMP, .from_mac = NOBODY }, false, false, false },
	{ "all: IP and MAC changed", { ICMP, .from_mac = VM2, .from_ip = VM2 }, false, false,
		false },
};

static bool reaches(const struct situation *situation, struct wish wish, enum party to)
{
	enum party receiver = to == OUTSIDE ? HOST : to;
	char receivers[PARTIES + 1];
	struct bridge bridge;
	struct frame frame;

	wish.from = VM1;
	wish.to = to;
	frame = make_frame(&wish);
	bridge_up(&bridge, situation);
	send_frame(&bridge, &frame, VM1, receivers);
	bridge_down(&bridge);
	return strchr(receivers, letters[receiver]) != NULL;
}

static void test_matrix(void **state)
{
	static const enum party all[] = { VM2, LAN, HOST, OUTSIDE, FORENSIC };
	const struct matrix_row *row = *state;

	for (size_t i = 0; i < COUNT(all); i++) {
		enum party to = all[i];
		bool is_host = to == HOST, is_allowed = to == FORENSIC || to == OUTSIDE;

		/* asking for the MAC of somebody outside makes no sense, but who asks us may */
		assert_true(reaches(&free_for_all, row->wish, to));
		assert_int_equal(reaches(&isolated, row->wish, to), row->to_host && is_host);
		assert_int_equal(reaches(&by_mac, row->wish, to),
			row->wish.from_mac || (row->to_host && is_host));
		assert_int_equal(reaches(&allowing, row->wish, to),
			(row->to_host && is_host) || (row->to_allowed && is_allowed));
		assert_int_equal(reaches(&honest, row->wish, to), row->is_honest);
	}
}

/* From others to the isolated one: from whom it allows; from the host also DHCP and ARP. */
static void test_matrix_back(void **state)
{
	static const enum party all[] = { VM2, LAN, HOST, OUTSIDE, FORENSIC };
	const struct matrix_row *row = *state;

	for (size_t i = 0; i < COUNT(all); i++) {
		struct wish wish = row->wish;
		bool is_allowed = all[i] == FORENSIC || all[i] == OUTSIDE;
		bool is_ip = wish.kind == ICMP || wish.kind == TCP || wish.kind == UDP ||
			wish.kind == FRAGMENT || wish.kind == DHCP_ASK || wish.kind == DHCP_OFFER;
		bool is_arp = wish.kind == ARP_REQUEST || wish.kind == ARP_REPLY;
		bool to_it = wish.kind == DHCP_OFFER || is_arp;
		char receivers[PARTIES + 1];
		struct bridge bridge;
		struct frame frame;

		if (wish.from_ip || wish.from_mac)
			continue; /* what others say of themselves is not for isolation to judge */
		wish.from = all[i];
		wish.to = VM1;
		frame = make_frame(&wish);
		bridge_up(&bridge, &isolated);
		send_frame(&bridge, &frame, sender_of(&wish), receivers);
		assert_int_equal(strchr(receivers, '1') != NULL, to_it && all[i] == HOST);
		bridge_down(&bridge);
		bridge_up(&bridge, &allowing);
		send_frame(&bridge, &frame, sender_of(&wish), receivers);
		assert_int_equal(strchr(receivers, '1') != NULL,
			(to_it && all[i] == HOST) || ((is_ip || is_arp) && is_allowed));
		bridge_down(&bridge);
	}
}

/* --- counters ----------------------------------------------------------------------------- */

static uint64_t dropped(const struct bridge *bridge, const char *name)
{
	const struct nft_counter *counter = nft_find_counter(&bridge->table, name);

	assert_non_null(counter);
	return bridge->rules.dropped[counter - bridge->table.counters];
}

static const struct counter_row {
	const char *sentence;
	const struct situation *situation;
	struct wish wish;
	const char *counter; /* "": nobody is to blame */
	unsigned frames;
} counter_rows[] = {
	{ "counted: what an isolated VM sends", &isolated, { ICMP, VM1, VM2 }, "from-vm-001", 1 },
	{ "counted: what is sent to it", &isolated, { ICMP, VM2, VM1 }, "to-vm-001", 1 },
	{ "counted: what the host sends to it", &isolated, { ICMP, HOST, VM1 }, "to-vm-001", 1 },
	{ "counted: what it sends with another MAC", &isolated, { ICMP, VM1, VM2, .from_mac = VM2 },
		"from-vm-001", 1 },
	{ "not counted: what it may send to us, and what ends here", &isolated,
		{ DHCP_ASK, VM1, EVERYBODY }, "", 0 },
	{ "not counted: what passes", &isolated, { ICMP, VM2, LAN }, "", 0 },
	{ "counted: a spoofed frame, by its port", &honest,
		{ ICMP, VM1, LAN, .from_mac = VM2, .from_ip = VM2 }, "from-vm-001", 1 },
	{ "counted: a spoofed frame of one who has not been seen", &honest,
		{ ICMP, VM3, LAN, .from_ip = VM1 }, "from-unknown_port", 1 },
	{ "counted: a spoofed frame in a link-local group", &honest, { RAW, VM2, EAPOL },
		"from-vm-002", 1 },
	{ "not counted: an honest frame", &honest, { ICMP, VM2, LAN }, "", 0 },
	{ "counted once: who is isolated with anti-spoof", &both, { RAW, VM1, VM2 }, "from-vm-001",
		1 },
};

static void test_counter(void **state)
{
	const struct counter_row *row = *state;
	struct frame frame = make_frame(&row->wish);
	char receivers[PARTIES + 1];
	struct bridge bridge;
	uint64_t all = 0;

	bridge_up(&bridge, row->situation);
	send_frame(&bridge, &frame, sender_of(&row->wish), receivers);
	for (size_t i = 0; i < bridge.table.counter_count; i++)
		all += bridge.rules.dropped[i];
	if (*row->counter)
		assert_int_equal(dropped(&bridge, row->counter), row->frames);
	assert_int_equal(all, row->frames);
	bridge_down(&bridge);
}

/* --- names -------------------------------------------------------------------------------- */

/* VMs whose names are words of ours, all isolated, with anti-spoof: none is taken for another. */
static void test_names(void **state)
{
	static const char *const names[] = { "vm-001", "vm-002", "port", "mac", "unknown-port",
		NAME63 };
	static const struct situation everybody = {
		"isolate vm-001\nseen vm-001 vnet1 11 0\nisolate vm-002\nseen vm-002 vnet2 12 0\n"
		"isolate port\nseen port vnet3 13 0\nisolate mac\nseen mac vnet4 14 0\n"
		"isolate unknown-port\nseen unknown-port vnet5 15 0\n"
		"isolate " NAME63 "\nseen " NAME63 " vnet6 16 0\n",
		true, { VM1, VM2, VM3, VM4, VM5, VM6 }
	};
	char receivers[PARTIES + 1], name[NFT_NAME_SIZE];
	struct bridge bridge;

	(void)state;
	bridge_up(&bridge, &everybody);
	for (enum party vm = VM1; vm <= VM6; vm++) {
		const struct wish from = { ICMP, vm, LAN }, to = { ICMP, LAN, vm };
		const struct wish ask = { DHCP_ASK, vm, HOST };
		struct frame frame = make_frame(&from);

		for (enum party n = VM1; n <= vm; n++)
			send_frame(&bridge, &frame, vm, receivers);
		assert_string_equal(receivers, "");
		frame = make_frame(&to);
		send_frame(&bridge, &frame, LAN, receivers);
		assert_string_equal(receivers, "");
		frame = make_frame(&ask);
		send_frame(&bridge, &frame, vm, receivers);
		assert_string_equal(receivers, "h");
	}
	for (size_t i = 0; i < COUNT(names); i++) {
		guard_counter_name(names[i], true, name);
		assert_int_equal(dropped(&bridge, name), i + 1);
		guard_counter_name(names[i], false, name);
		assert_int_equal(dropped(&bridge, name), 1);
	}
	/* no VM can have the name of this one */
	assert_int_equal(dropped(&bridge, "from-unknown_port"), 0);
	bridge_down(&bridge);
}

/* --- many --------------------------------------------------------------------------------- */

static void test_nothing(void **state)
{
	struct bridge bridge;

	(void)state;
	bridge_up(&bridge, &free_for_all);
	assert_int_equal(bridge.table.chain_count, 0);
	assert_int_equal(bridge.table.set_count, 0);
	assert_int_equal(bridge.table.counter_count, 0);
	bridge_down(&bridge);
}

/* A plan of `vms` VMs, of which every third is isolated; with a seat each. */
static void build_many(unsigned vms, struct nft_table *table)
{
	char *text = NULL, name[VM_NAME_MAX + 1];
	struct isolation isolation = { 0 };
	struct seat *seats = calloc(vms, sizeof(*seats));
	struct problems problems = { 0 };
	const struct ip4_prefix inner = { SELF, 16 };
	struct plan *plan;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (unsigned i = 0; i < vms; i++)
		fprintf(out, "02:00:00:77:%02x:%02x,vm-%u,10.77.%u.%u\n", i >> 8, i & 255, i,
			1 + i / 250, 2 + i % 250);
	fclose(out);
	assert_int_equal(plan_parse(text, len, "plan", &inner, &plan, &problems), 0);
	for (unsigned i = 0; i < vms; i++) {
		seats[i] = (struct seat){ plan_vm(plan, i), 100 + i };
		snprintf(name, sizeof(name), "vm-%u", i);
		if (i % 3 == 0)
			(void)isolation_add(&isolation, name, NULL, 0, "");
	}
	(void)isolation_follow(&isolation, plan);
	guard_build(&isolation,
		&(struct guard_settings){ .inner = { SELF, 24 },
			.bridge = BRIDGE,
			.uplink = UPLINK_NAME,
			.anti_spoof = true,
			.knows_bridges = true,
			.plan = plan,
			.seats = seats,
			.seat_count = vms },
		table);
	isolation_done(&isolation);
	plan_free(plan);
	free(seats);
	free(text);
}

/* What a frame costs: rules that are tried in all hooks. */
static unsigned cost_of(unsigned vms)
{
	/* VM1 is not isolated */
	struct wish wish = { UDP, VM1, LAN };
	struct frame frame = make_frame(&wish);
	struct nft_table table;
	struct bridge_rules rules = { .table = &table };
	struct packet packet;

	frame.data[9] = 0x77;
	frame.data[28] = 1;
	frame.data[29] = 3;
	build_many(vms, &table);
	rules.dropped = calloc(table.counter_count, sizeof(uint64_t));
	packet = packet_of(&frame, 101, 0);
	assert_true(rules_pass(&rules, NF_BR_PRE_ROUTING, &packet));
	packet = packet_of(&frame, 101, 2);
	assert_true(rules_pass(&rules, NF_BR_FORWARD, &packet));
	free(rules.dropped);
	nft_table_done(&table);
	return rules.evaluated;
}

/* Whom an isolated VM allows may be half the plan; that is told once, not for each of them. */
static void test_size(void **state)
{
	const struct ip4_prefix allow[] = { { IP4(10, 77, 1, 0), 24 }, { IP4(10, 77, 0, 0), 16 },
		{ 0, 0 } };
	struct isolation isolation = { 0 };
	struct plan *plan = plan_of(PLAN);
	size_t elements = 0, rules = 0;
	struct nft_table table;

	(void)state;
	for (size_t i = 0; i < plan_count(plan); i++)
		(void)isolation_add(&isolation, plan_vm(plan, i)->name, allow, COUNT(allow), "");
	(void)isolation_follow(&isolation, plan);
	guard_build(&isolation,
		&(struct guard_settings){ .inner = { SELF, 24 },
			.bridge = BRIDGE,
			.uplink = UPLINK_NAME,
			.knows_bridges = true,
			.plan = plan },
		&table);
	for (size_t i = 0; i < table.set_count; i++)
		elements += table.sets[i].count;
	for (size_t i = 0; i < table.chain_count; i++)
		rules += table.chains[i].count;
	/* in each of four maps, and as one who may be allowed */
	assert_int_equal(elements, plan_count(plan) * (4 + 2));
	assert_in_range(rules, 1, 18 + plan_count(plan) * (17 + 8 * COUNT(allow)));
	nft_table_done(&table);
	isolation_done(&isolation);
	plan_free(plan);
}

static void test_cost(void **state)
{
	unsigned one = cost_of(2);

	(void)state;
	assert_in_range(one, 1, 16);
	assert_int_equal(cost_of(1000), one);
}

int main(void)
{
	struct suite suite = { 0 };

	suite_add(&suite, "nothing to guard: no table", test_nothing, NULL);
	SUITE_ROWS(&suite, test_frame, frame_rows);
	SUITE_ROWS(&suite, test_matrix, matrix_rows);
	for (size_t i = 0; i < COUNT(matrix_rows); i++) {
		char *sentence;

		assert_true(asprintf(&sentence, "%s, to it", matrix_rows[i].sentence) > 0);
		suite_add(&suite, sentence, test_matrix_back, &matrix_rows[i]);
		free(sentence);
	}
	SUITE_ROWS(&suite, test_counter, counter_rows);
	suite_add(&suite, "names: VMs that are called port, mac, or with 63 letters", test_names,
		NULL);
	suite_add(&suite, "cost: a frame meets as many rules with a thousand VMs as with two",
		test_cost, NULL);
	suite_add(&suite, "size: whom all allow is told once", test_size, NULL);
	return suite_run(&suite, "guard");
}
