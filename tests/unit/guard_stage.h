/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guard_stage: who is there on a bridge (VMs, the host, a LAN behind the uplink, another bridge),
 * the frames that they send each other, and who receives them with the rules of guard_build().
 */
#ifndef EIPD_TESTS_UNIT_GUARD_STAGE_H
#define EIPD_TESTS_UNIT_GUARD_STAGE_H

#include "tests/unit/bridge.h"
#include "tests/unit/fixture.h"
#include "tests/unit/nft_model.h"

#include "natmgr/guard.h"

#define NAME63 "v23456789-123456789-123456789-123456789-123456789-123456789-123"
#define PLAN                                          \
	"02:00:00:00:00:01,vm-001,10.77.0.11\n"       \
	"02:00:00:00:00:02,vm-002,10.77.0.12\n"       \
	"02:00:00:00:00:03,port,10.77.0.13\n"         \
	"02:00:00:00:00:04,mac,10.77.0.14\n"          \
	"02:00:00:00:00:05,unknown-port,10.77.0.15\n" \
	"02:00:00:00:00:06," NAME63 ",10.77.0.16\n"

/* --- who is there ------------------------------------------------------------------------- */

enum party {
	SENDER, /* as who sends the frame */
	VM1,
	VM2,
	VM3,
	VM4,
	VM5,
	VM6,
	STRANGER, /* on a port of the bridge, but in no plan */
	HOST,
	LAN,      /* behind the uplink, as the next */
	FORENSIC, /* whom VMs may allow */
	OTHER,    /* on another bridge of the host, as the next */
	OTHER2,
	PARTIES,
	OUTSIDE = PARTIES, /* by way of the host; has no MAC of its own */
	NOBODY,            /* whose MAC no port is known for */
	EVERYBODY,         /* ff:ff:ff:ff:ff:ff, 255.255.255.255 */
	GROUP,             /* 01:00:5e:00:00:fb, 224.0.0.251 */
	UNSPECIFIED,       /* 00:00:00:00:00:00, 0.0.0.0 */
	LINK_LOCAL,        /* 01:80:c2:00:00:00, and up to …:0f */
	STP = LINK_LOCAL,  /* 0x00 */
	LLDP = LINK_LOCAL + 0x0e,
	EAPOL = LINK_LOCAL + 0x03,
	PAUSE = LINK_LOCAL + 0x01,
	BRIDGES = LINK_LOCAL + 0x10, /* no longer link-local */
};

/* A letter for each in what a row expects. */
static const char letters[] = "-123456shlfxy";

static inline unsigned port_of(enum party party)
{
	return party == HOST                        ? 0
		: party == LAN || party == FORENSIC ? 2
		: party == OTHER                    ? 50
		: party == OTHER2                   ? 51
						    : 10 + party;
}

static inline void mac_of(enum party party, uint8_t mac[6])
{
	static const uint8_t group[] = { 1, 0, 0x5e, 0, 0, 0xfb },
			     link_local[] = { 1, 0x80, 0xc2, 0, 0, 0 };

	memset(mac, party == EVERYBODY ? 0xff : 0, 6);
	if (party == GROUP) {
		memcpy(mac, group, 6);
	} else if (party >= LINK_LOCAL) {
		memcpy(mac, link_local, 6);
		mac[5] = (uint8_t)(party - LINK_LOCAL);
	} else if (party != EVERYBODY && party != UNSPECIFIED) {
		mac[0] = 2;
		mac[5] = (uint8_t)party;
	}
}

static inline uint32_t ip_of(enum party party)
{
	return party == EVERYBODY      ? INADDR_BROADCAST
		: party == UNSPECIFIED ? 0
		: party == GROUP       ? IP4(224, 0, 0, 251)
		: party == OUTSIDE     ? IP4(198, 51, 100, 7)
		: party == HOST        ? SELF
		: party == FORENSIC    ? IP4(10, 77, 0, 200)
				       : IP4(10, 77, 0, 10 + (uint32_t)party);
}

/* --- frames ------------------------------------------------------------------------------- */

enum kind {
	ICMP,
	TCP,
	UDP,
	DHCP_ASK,    /* as a client does */
	DHCP_OFFER,  /* as a server does */
	ARP_REQUEST, /* of to_ip */
	ARP_REPLY,
	IPV6_PING,
	IPV6_SOLICIT,
	RAW,     /* of an Ethernet type that nobody knows */
	RAW_802, /* with a length in the type's place */
	TAGGED,  /* ICMP in 802.1Q, VLAN 5 */
	TAGGED0, /* ICMP in 802.1Q, priority only */
	TAGGED_ARP,
	DOUBLE_TAGGED,
	FRAGMENT, /* a later one, of UDP */
	KINDS
};

struct patch {
	uint8_t at, value;
};

struct wish {
	enum kind kind;
	enum party from, to; /* who sends to whom: MACs and addresses, unless: */
	enum party from_mac, to_mac, from_ip, to_ip, arp_mac;
	uint16_t ports[2];       /* of UDP */
	struct patch patches[3]; /* octets that are otherwise */
	size_t len;              /* the frame is cut off there */
};

static inline void put_u16(struct frame *frame, unsigned value)
{
	frame->data[frame->len++] = (uint8_t)(value >> 8);
	frame->data[frame->len++] = (uint8_t)value;
}

static inline void put_u32(struct frame *frame, uint32_t value)
{
	put_u16(frame, value >> 16);
	put_u16(frame, value & 0xffff);
}

static inline void put_mac(struct frame *frame, enum party party)
{
	mac_of(party, frame->data + frame->len);
	frame->len += 6;
}

static inline enum party either(enum party party, enum party otherwise)
{
	return party ? party : otherwise;
}

static inline void put_ip(struct frame *frame, const struct wish *wish)
{
	static const uint8_t protocols[KINDS] = { [TCP] = IPPROTO_TCP,
		[UDP] = IPPROTO_UDP,
		[DHCP_ASK] = IPPROTO_UDP,
		[DHCP_OFFER] = IPPROTO_UDP,
		[FRAGMENT] = IPPROTO_UDP };
	unsigned protocol = protocols[wish->kind] ? protocols[wish->kind] : IPPROTO_ICMP;
	unsigned from = wish->kind == DHCP_OFFER ? 67 : wish->kind == DHCP_ASK ? 68 : 1000;
	unsigned to = wish->kind == DHCP_OFFER ? 68 : wish->kind == DHCP_ASK ? 67 : 53;

	put_u32(frame, 0x45000024);
	put_u32(frame, wish->kind == FRAGMENT ? 0x00010002 : 0);
	put_u32(frame, 0x40000000 | protocol << 16);
	put_u32(frame, ip_of(either(wish->from_ip, wish->from)));
	put_u32(frame, ip_of(either(wish->to_ip, wish->to)));
	put_u16(frame, wish->ports[0] ? wish->ports[0] : from);
	put_u16(frame, wish->ports[1] ? wish->ports[1] : to);
	put_u32(frame, 16 << 16);
	put_u32(frame, 0);
	put_u32(frame, 0);
}

static inline void put_arp(struct frame *frame, const struct wish *wish)
{
	put_u32(frame, 0x00010800);
	put_u32(frame, wish->kind == ARP_REPLY ? 0x06040002 : 0x06040001);
	put_mac(frame, either(wish->arp_mac, either(wish->from_mac, wish->from)));
	put_u32(frame, ip_of(either(wish->from_ip, wish->from)));
	put_mac(frame, wish->kind == ARP_REPLY ? either(wish->to_mac, wish->to) : UNSPECIFIED);
	put_u32(frame, ip_of(either(wish->to_ip, wish->to)));
}

static inline void put_ipv6(struct frame *frame, const struct wish *wish)
{
	put_u32(frame, 0x60000000);
	put_u32(frame, 0x00083aff);
	put_u32(frame, 0xfe800000);
	put_u32(frame, 0);
	put_u32(frame, 0);
	put_u32(frame, (uint32_t)wish->from);
	put_u32(frame, wish->kind == IPV6_PING ? 0xfe800000 : 0xff020000);
	put_u32(frame, 0);
	put_u32(frame, 0);
	put_u32(frame, (uint32_t)wish->to);
	put_u32(frame, wish->kind == IPV6_PING ? 0x80000000 : 0x87000000);
	put_u32(frame, 0);
}

static inline struct frame make_frame(const struct wish *wish)
{
	struct frame frame = { 0 };
	enum party to = wish->to == OUTSIDE ? HOST : wish->to;
	bool asks_all = wish->kind == ARP_REQUEST || wish->kind == TAGGED_ARP;

	/* what comes from outside comes by way of the host */
	put_mac(&frame, either(wish->to_mac, asks_all ? EVERYBODY : to));
	put_mac(&frame, either(wish->from_mac, wish->from == OUTSIDE ? HOST : wish->from));
	switch (wish->kind) {
	case TAGGED:
	case TAGGED0:
	case DOUBLE_TAGGED:
	case TAGGED_ARP:
		put_u16(&frame, wish->kind == DOUBLE_TAGGED ? 0x88a8 : 0x8100);
		put_u16(&frame, wish->kind == TAGGED0 ? 0 : 5);
		if (wish->kind == DOUBLE_TAGGED)
			put_u32(&frame, 0x81000006);
		if (wish->kind == TAGGED_ARP) {
			put_u16(&frame, 0x0806);
			put_arp(&frame, wish);
			break;
		}
		/* fall through */
	case ICMP:
	case TCP:
	case UDP:
	case DHCP_ASK:
	case DHCP_OFFER:
	case FRAGMENT:
		put_u16(&frame, 0x0800);
		put_ip(&frame, wish);
		break;
	case ARP_REQUEST:
	case ARP_REPLY:
		put_u16(&frame, 0x0806);
		put_arp(&frame, wish);
		break;
	case IPV6_PING:
	case IPV6_SOLICIT:
		put_u16(&frame, 0x86dd);
		put_ipv6(&frame, wish);
		break;
	case RAW:
	case RAW_802:
		put_u16(&frame, wish->kind == RAW ? 0x88b5 : 46);
		frame.len += 46;
		break;
	case KINDS:
		abort();
	}
	for (size_t i = 0; i < COUNT(wish->patches); i++) {
		if (wish->patches[i].at)
			frame.data[wish->patches[i].at] = wish->patches[i].value;
	}
	frame.len = wish->len ? wish->len : frame.len;
	return frame;
}

/* --- the bridge --------------------------------------------------------------------------- */

/* What is isolated (the state file behind its first line), and who sits where. */
struct situation {
	const char *isolated;
	bool anti_spoof;
	uint8_t seats[8];  /* VMs that sit on the ports they have; 0 ends */
	bool lacks_uplink; /* none is configured */
	bool by_ports;     /* rules cannot ask for bridges; the stranger's port is not known yet */
};

struct bridge {
	const struct situation *situation;
	struct plan *plan;
	struct isolation isolation;
	struct nft_table table;
	struct bridge_rules rules;
};

static inline void bridge_up(struct bridge *bridge, const struct situation *situation)
{
	static const struct port ports[] = { { 11, "vnet1" }, { 12, "vnet2" }, { 13, "vnet3" },
		{ 14, "vnet4" }, { 15, "vnet5" }, { 16, "vnet6" } };
	static const unsigned others[] = { 50 };
	static const struct nft_table nothing;
	struct seat seats[8];
	struct guard_settings settings = { .inner = { SELF, 24 },
		.bridge = BRIDGE,
		.uplink = situation->lacks_uplink ? "" : UPLINK_NAME,
		.anti_spoof = situation->anti_spoof,
		.seats = seats,
		.knows_bridges = !situation->by_ports,
		.ports = ports,
		.port_count = COUNT(ports),
		.others = others,
		.other_count = COUNT(others) };
	struct problems problems = { 0 };
	const char *why;
	char *text;

	*bridge = (struct bridge){ .situation = situation, .plan = plan_of(PLAN) };
	assert_true(asprintf(&text, "# eipd isolation, version 1\n%s", situation->isolated) > 0);
	settings.plan = bridge->plan;
	mac_of(HOST, settings.bridge_mac.byte);
	assert_int_equal(isolation_parse(text, "isolated", &bridge->isolation, &problems), 0);
	(void)isolation_follow(&bridge->isolation, bridge->plan);
	for (size_t i = 0; situation->seats[i]; i++) {
		const struct vm *vm = plan_vm(bridge->plan, situation->seats[i] - 1u);

		seats[settings.seat_count++] = (struct seat){ vm, port_of(situation->seats[i]) };
	}
	guard_build(&bridge->isolation, &settings, &bridge->table);
	why = model_become(&nothing, &bridge->table, NULL);
	if (why)
		print_message("    %s\n", why);
	assert_null(why);
	bridge->rules = (struct bridge_rules){ .table = &bridge->table,
		.dropped = calloc(bridge->table.counter_count + 1, sizeof(uint64_t)) };
	free(text);
}

static inline void bridge_down(struct bridge *bridge)
{
	assert_null(bridge->rules.error);
	free(bridge->rules.dropped);
	nft_table_done(&bridge->table);
	isolation_done(&bridge->isolation);
	plan_free(bridge->plan);
}

static inline bool passes(struct bridge *bridge, uint32_t hook, const struct frame *frame,
	unsigned in, unsigned out)
{
	const struct packet packet = packet_of(frame, in, out);

	return rules_pass(&bridge->rules, hook, &packet);
}

static inline bool is_to(const struct frame *frame, enum party party)
{
	uint8_t mac[6];

	mac_of(party, mac);
	return !memcmp(frame->data, mac, 6);
}

static inline void add_receiver(char *receivers, enum party party)
{
	size_t len = strlen(receivers);

	receivers[len] = letters[party];
	receivers[len + 1] = '\0';
}

/* Out of every port but the one it came in by, or of the one where the MAC is. */
static inline void forward(struct bridge *bridge, const struct frame *frame, enum party from,
	char *receivers)
{
	unsigned in = port_of(from);
	enum party to = VM1;

	while (to < PARTIES && (!is_to(frame, to) || (in >= 50) != (port_of(to) >= 50)))
		to++;
	for (enum party party = VM1; party < PARTIES; party++) {
		unsigned out = port_of(party);
		bool is_same_bridge = (in >= 50) == (out >= 50);

		if (!is_same_bridge || out == in || party == HOST || (to < PARTIES && to != party))
			continue;
		if (passes(bridge, from == HOST ? NF_BR_LOCAL_OUT : NF_BR_FORWARD, frame, in, out))
			add_receiver(receivers, party);
	}
}

/* Frames to this link-local group are treated like any other, by the port's group_fwd_mask. */
static inline bool is_ordinary(const struct bridge *bridge, unsigned port, unsigned last)
{
	const struct isolation *isolation = &bridge->isolation;
	bool is_guarded = bridge->situation->anti_spoof && port > 10 && port < 50;

	for (size_t i = 0; i < isolation->count; i++) {
		for (size_t p = 0; p < isolation->list[i].port_count; p++)
			is_guarded = is_guarded || isolation->list[i].ports[p].index == port;
	}
	return is_guarded && GUARD_FWD_MASK & 1u << last;
}

/* br_handle_frame(): the letters of all who receive it. `receivers` must be as long as there are. */
static inline void send_frame(struct bridge *bridge, const struct frame *frame, enum party from,
	char *receivers)
{
	unsigned in = port_of(from);
	bool is_group = frame->data[0] & 1;

	*receivers = '\0';
	if (from == HOST) {
		forward(bridge, frame, from, receivers);
		return;
	}
	if (frame->data[6] & 1 || is_to(frame, PAUSE))
		return;
	for (unsigned last = 0; last < 16; last++) {
		if (!is_to(frame, LINK_LOCAL + last) || is_ordinary(bridge, in, last))
			continue;
		/* these go no further, and pass no other hook; to LLDP and STP not even this one */
		if (last == 0x0e || last == 0 || passes(bridge, NF_BR_LOCAL_IN, frame, in, 0))
			add_receiver(receivers, HOST);
		return;
	}
	if (!passes(bridge, NF_BR_PRE_ROUTING, frame, in, 0))
		return;
	if ((is_to(frame, HOST) || is_group) && passes(bridge, NF_BR_LOCAL_IN, frame, in, 0))
		add_receiver(receivers, HOST);
	if (!is_to(frame, HOST))
		forward(bridge, frame, from, receivers);
}

static inline enum party sender_of(const struct wish *wish)
{
	return wish->from == OUTSIDE ? HOST : wish->from;
}

#endif
