/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guard owns the rules of isolation and anti-spoof. It must not know how the kernel is told, nor
 * how a VM's port is found.
 */
#include "natmgr/guard.h"

#include <arpa/inet.h>
#include <linux/netfilter_bridge.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68

/* Before anybody else's chain, and before br_netfilter has a look. */
#define PRIORITY (-400)

/* No VM has an underscore in its name. */
static const char spoofed_counter[] = "from-unknown_port";

void guard_counter_name(const char *vm, bool is_from, char name[static NFT_NAME_SIZE])
{
	snprintf(name, NFT_NAME_SIZE, "%s-%s", is_from ? "from" : "to", vm);
}

/* --- words of rules ----------------------------------------------------------------------- */

/* Each adds what must match. A rule has room for all that stands below. */
static struct nft_match *match(struct nft_rule *rule, enum nft_field field)
{
	struct nft_match *found = rule->match;

	while (found->field)
		found++;
	found->field = (uint8_t)field;
	return found;
}

static void match_octets(struct nft_rule *rule, enum nft_field field, const void *value)
{
	memcpy(match(rule, field)->value, value, nft_field_len(field));
}

static void match_name(struct nft_rule *rule, enum nft_field field, const char *name)
{
	snprintf((char *)match(rule, field)->value, NFT_VALUE_SIZE, "%s", name);
}

static void match_u16(struct nft_rule *rule, enum nft_field field, uint16_t value)
{
	uint16_t octets = htons(value);

	match_octets(rule, field, &octets);
}

static void match_ip(struct nft_rule *rule, enum nft_field field, uint32_t ip)
{
	uint32_t octets = htonl(ip);

	match_octets(rule, field, &octets);
}

static void match_prefix(struct nft_rule *rule, enum nft_field field,
	const struct ip4_prefix *prefix)
{
	uint32_t octets = htonl(ip4_prefix_network(prefix));
	struct nft_match *found;

	if (!prefix->len)
		return; /* whatever it is */
	found = match(rule, field);
	found->bits = prefix->len < 32 ? prefix->len : 0;
	memcpy(found->value, &octets, sizeof(octets));
}

static void match_dhcp(struct nft_rule *rule, uint16_t from, uint16_t to)
{
	static const uint8_t udp = IPPROTO_UDP;

	match_u16(rule, NFT_FIELD_ETHER_TYPE, ETHERTYPE_IP);
	match_octets(rule, NFT_FIELD_IP_PROTOCOL, &udp);
	match_u16(rule, NFT_FIELD_UDP_SOURCE, from);
	match_u16(rule, NFT_FIELD_UDP_DESTINATION, to);
}

/* Ethernet and IPv4, RFC 826: only then the other fields are where we look for them. */
static void match_arp(struct nft_rule *rule)
{
	static const uint8_t format[] = { 0, 1, 8, 0, 6, 4 };

	match_u16(rule, NFT_FIELD_ETHER_TYPE, ETHERTYPE_ARP);
	match_octets(rule, NFT_FIELD_ARP_FORMAT, format);
}

/* To 01:80:c2:00:00:00 to …:0f, which a bridge keeps to itself (IEEE 802.1D 7.12.6). */
static void match_link_local(struct nft_rule *rule)
{
	static const uint8_t group[] = { 0x01, 0x80, 0xc2, 0, 0, 0 };
	struct nft_match *found = match(rule, NFT_FIELD_ETHER_DESTINATION);

	memcpy(found->value, group, sizeof(group));
	found->bits = 44;
}

static void add(struct nft_chain *chain, struct nft_rule rule, enum nft_action action,
	const char *target)
{
	rule.action = (uint8_t)action;
	if (target)
		snprintf(rule.target, sizeof(rule.target), "%s", target);
	nft_add_rule(chain, &rule);
}

static void add_lookup(struct nft_chain *chain, enum nft_field key, const char *map)
{
	struct nft_rule rule = { .key = { (uint8_t)key } };

	snprintf(rule.set, sizeof(rule.set), "%s", map);
	add(chain, rule, NFT_ACTION_LOOKUP, NULL);
}

/* Goes to `target` where the key is in the set, or where it is not. */
static void add_test(struct nft_chain *chain, struct nft_rule rule, enum nft_field first,
	enum nft_field second, const char *set, bool is_in, const char *target)
{
	rule.key[0] = (uint8_t)first;
	rule.key[1] = (uint8_t)second;
	rule.not_in_set = !is_in;
	snprintf(rule.set, sizeof(rule.set), "%s", set);
	add(chain, rule, NFT_ACTION_GOTO, target);
}

static void add_drop(struct nft_table *table, struct nft_chain *chain, const char *counter)
{
	nft_add_counter(table, counter);
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_COUNT, counter);
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_DROP, NULL);
}

/* --- parts of the table, which move when one is added ---------------------------------------- */

static struct nft_set *find_set(struct nft_table *table, const char *name)
{
	size_t i = 0;

	while (strcmp(table->sets[i].name, name) != 0)
		i++;
	return &table->sets[i];
}

/* --- an isolated VM ----------------------------------------------------------------------- */

static struct nft_rule rule_from(const struct isolated *isolated)
{
	struct nft_rule rule = { 0 };

	match_octets(&rule, NFT_FIELD_ETHER_SOURCE, isolated->mac.byte);
	return rule;
}

/* A client speaks from 0.0.0.0 to all, or from its address to all or to us (RFC 2131 4.1). */
static void allow_dhcp(struct nft_chain *chain, const struct isolated *isolated, uint32_t host)
{
	const uint32_t ways[][2] = { { INADDR_ANY, INADDR_BROADCAST },
		{ isolated->ip, INADDR_BROADCAST }, { isolated->ip, host } };

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		struct nft_rule rule = rule_from(isolated);

		match_dhcp(&rule, DHCP_CLIENT_PORT, DHCP_SERVER_PORT);
		match_ip(&rule, NFT_FIELD_IP_SOURCE, ways[i][0]);
		match_ip(&rule, NFT_FIELD_IP_DESTINATION, ways[i][1]);
		add(chain, rule, NFT_ACTION_ACCEPT, NULL);
	}
}

/* Requests and answers alike: it says the truth of itself, and asks or answers only these. */
static void allow_arp_from(struct nft_chain *chain, const struct isolated *isolated,
	const struct ip4_prefix *whom)
{
	struct nft_rule rule = rule_from(isolated);

	match_arp(&rule);
	match_octets(&rule, NFT_FIELD_ARP_SENDER_MAC, isolated->mac.byte);
	match_ip(&rule, NFT_FIELD_ARP_SENDER_IP, isolated->ip);
	match_prefix(&rule, NFT_FIELD_ARP_TARGET_IP, whom);
	add(chain, rule, NFT_ACTION_ACCEPT, NULL);
}

static void build_from(struct nft_table *table, const char *name, const struct isolated *isolated,
	uint32_t host)
{
	struct nft_chain *chain = nft_add_chain(table, name);
	const struct ip4_prefix itself = { host, 32 };
	char blocked[NFT_NAME_SIZE];
	struct nft_rule group = { 0 };

	/* whatever is in them: they would be forwarded to all */
	snprintf(blocked, sizeof(blocked), "blocked-%s", isolated->vm);
	match_link_local(&group);
	add(chain, group, NFT_ACTION_GOTO, blocked);
	if (isolated->ip) {
		allow_dhcp(chain, isolated, host);
		allow_arp_from(chain, isolated, &itself);
	}
	for (size_t i = 0; isolated->ip && i < isolated->allow_count; i++) {
		struct nft_rule rule = rule_from(isolated);

		match_u16(&rule, NFT_FIELD_ETHER_TYPE, ETHERTYPE_IP);
		match_ip(&rule, NFT_FIELD_IP_SOURCE, isolated->ip);
		match_prefix(&rule, NFT_FIELD_IP_DESTINATION, &isolated->allow[i]);
		add(chain, rule, NFT_ACTION_ACCEPT, NULL);
		allow_arp_from(chain, isolated, &isolated->allow[i]);
	}
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_GOTO, blocked);
	/* a counter has the name of its gate's chain */
	add_drop(table, nft_add_chain(table, blocked), name);
}

/* Allowed hosts that are VMs of the plan: with their own MAC, wherever they are. */
static void allow_peers(struct nft_chain *chain, const struct ip4_prefix *whom)
{
	struct nft_rule ip = { .key = { NFT_FIELD_ETHER_DESTINATION, NFT_FIELD_IP_DESTINATION },
		.set = "peers" };
	struct nft_rule arp = { .key = { NFT_FIELD_ARP_TARGET_IP }, .set = "peer-ips" };

	match_u16(&ip, NFT_FIELD_ETHER_TYPE, ETHERTYPE_IP);
	match_prefix(&ip, NFT_FIELD_IP_DESTINATION, whom);
	add(chain, ip, NFT_ACTION_ACCEPT, NULL);
	match_arp(&arp);
	match_prefix(&arp, NFT_FIELD_ARP_TARGET_IP, whom);
	add(chain, arp, NFT_ACTION_ACCEPT, NULL);
}

/* Allowed hosts that are not: behind the uplink, or wherever they are if none is known. */
static void allow_others(struct nft_chain *chain, const struct ip4_prefix *whom,
	const struct guard_settings *settings)
{
	struct nft_rule ip = { 0 }, arp;

	if (*settings->uplink)
		match_name(&ip, NFT_FIELD_PORT_OUT_NAME, settings->uplink);
	arp = ip;
	match_u16(&ip, NFT_FIELD_ETHER_TYPE, ETHERTYPE_IP);
	match_prefix(&ip, NFT_FIELD_IP_DESTINATION, whom);
	add(chain, ip, NFT_ACTION_ACCEPT, NULL);
	match_arp(&arp);
	match_prefix(&arp, NFT_FIELD_ARP_TARGET_IP, whom);
	add(chain, arp, NFT_ACTION_ACCEPT, NULL);
}

/* What it sends to itself is nobody's business, wherever the bridge thinks that it is. */
static void drop_own(struct nft_chain *chain, const struct isolated *isolated)
{
	struct nft_rule ip = { 0 }, arp = { 0 };

	match_u16(&ip, NFT_FIELD_ETHER_TYPE, ETHERTYPE_IP);
	match_ip(&ip, NFT_FIELD_IP_DESTINATION, isolated->ip);
	add(chain, ip, NFT_ACTION_DROP, NULL);
	match_arp(&arp);
	match_ip(&arp, NFT_FIELD_ARP_TARGET_IP, isolated->ip);
	add(chain, arp, NFT_ACTION_DROP, NULL);
}

/* Who is forwarded has passed from-VM; what was for the host only ends here, and is no crime. */
static void build_across(struct nft_table *table, const char *name, const struct isolated *isolated,
	const struct guard_settings *settings)
{
	struct nft_chain *chain = nft_add_chain(table, name);

	if (isolated->ip && isolated->allow_count)
		drop_own(chain, isolated);
	for (size_t i = 0; isolated->ip && i < isolated->allow_count; i++) {
		allow_peers(chain, &isolated->allow[i]);
		allow_others(chain, &isolated->allow[i], settings);
	}
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_DROP, NULL);
}

static void allow_arp_to(struct nft_chain *chain, const struct isolated *isolated,
	const struct ip4_prefix *whom)
{
	struct nft_rule rule = { 0 };

	match_arp(&rule);
	match_prefix(&rule, NFT_FIELD_ARP_SENDER_IP, whom);
	match_ip(&rule, NFT_FIELD_ARP_TARGET_IP, isolated->ip);
	add(chain, rule, NFT_ACTION_ACCEPT, NULL);
}

static void build_to(struct nft_table *table, const char *name, const struct isolated *isolated)
{
	struct nft_chain *chain = nft_add_chain(table, name);

	for (size_t i = 0; isolated->ip && i < isolated->allow_count; i++) {
		struct nft_rule rule = { 0 };

		match_u16(&rule, NFT_FIELD_ETHER_TYPE, ETHERTYPE_IP);
		match_prefix(&rule, NFT_FIELD_IP_SOURCE, &isolated->allow[i]);
		match_ip(&rule, NFT_FIELD_IP_DESTINATION, isolated->ip);
		add(chain, rule, NFT_ACTION_ACCEPT, NULL);
		allow_arp_to(chain, isolated, &isolated->allow[i]);
	}
	add_drop(table, chain, name);
}

static void build_host(struct nft_table *table, const char *name, const struct isolated *isolated,
	uint32_t host, const char *to)
{
	struct nft_chain *chain = nft_add_chain(table, name);
	const struct ip4_prefix itself = { host, 32 };
	struct nft_rule rule = { 0 };

	if (isolated->ip) {
		match_dhcp(&rule, DHCP_SERVER_PORT, DHCP_CLIENT_PORT);
		match_ip(&rule, NFT_FIELD_IP_SOURCE, host);
		add(chain, rule, NFT_ACTION_ACCEPT, NULL);
		allow_arp_to(chain, isolated, &itself);
	}
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_GOTO, to);
}

/* --- where frames meet an isolated VM ------------------------------------------------------ */

/* By port and by MAC: a VM that comes back on a new port is known by its MAC, until the port is. */
struct gate {
	const char *prefix; /* of the chain's name */
	const char *by_port, *by_mac;
	enum nft_field mac;
};

enum { GATE_FROM, GATE_ACROSS, GATE_TO, GATE_HOST, GATE_COUNT };

static const struct gate gates[GATE_COUNT] = {
	[GATE_FROM] = { "from", "from-port", "from-mac", NFT_FIELD_ETHER_SOURCE },
	[GATE_ACROSS] = { "across", "across-port", "across-mac", NFT_FIELD_ETHER_SOURCE },
	[GATE_TO] = { "to", "to-port", "to-mac", NFT_FIELD_ETHER_DESTINATION },
	[GATE_HOST] = { "host", "host-port", "host-mac", NFT_FIELD_ETHER_DESTINATION },
};

static enum nft_field port_field(const struct gate *gate)
{
	return gate->mac == NFT_FIELD_ETHER_SOURCE ? NFT_FIELD_PORT_IN : NFT_FIELD_PORT_OUT;
}

static void add_maps(struct nft_table *table)
{
	for (size_t g = 0; g < GATE_COUNT; g++) {
		nft_add_set(table, gates[g].by_port, NFT_KIND_VERDICT_MAP, port_field(&gates[g]),
			NFT_FIELD_NONE);
		nft_add_set(table, gates[g].by_mac, NFT_KIND_VERDICT_MAP, gates[g].mac,
			NFT_FIELD_NONE);
	}
}

/* All VMs of the plan: where anybody is allowed, it may be any of them. */
static void add_peers(struct nft_table *table, const struct isolation *isolation,
	const struct plan *plan)
{
	struct nft_set *macs, *ips;
	bool is_needed = false;

	for (size_t i = 0; i < isolation->count; i++)
		is_needed = is_needed || isolation->list[i].allow_count;
	if (!is_needed)
		return;
	nft_add_set(table, "peers", NFT_KIND_SET, NFT_FIELD_ETHER_DESTINATION,
		NFT_FIELD_IP_DESTINATION);
	nft_add_set(table, "peer-ips", NFT_KIND_SET, NFT_FIELD_IP_DESTINATION, NFT_FIELD_NONE);
	macs = find_set(table, "peers");
	ips = find_set(table, "peer-ips");
	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i);
		uint32_t octets = htonl(vm->ip);

		nft_add_element(table, macs, vm->mac.byte, &octets, NULL);
		nft_add_element(table, ips, &octets, NULL, NULL);
	}
}

static void isolate_one(struct nft_table *table, const struct isolated *isolated,
	const struct guard_settings *settings)
{
	char names[GATE_COUNT][NFT_NAME_SIZE];

	for (size_t g = 0; g < GATE_COUNT; g++) {
		struct nft_set *by_port = find_set(table, gates[g].by_port);
		struct nft_set *by_mac = find_set(table, gates[g].by_mac);

		snprintf(names[g], sizeof(names[g]), "%s-%s", gates[g].prefix, isolated->vm);
		for (size_t p = 0; p < isolated->port_count; p++)
			nft_add_element(table, by_port, &isolated->ports[p].index, NULL, names[g]);
		if (isolated->ip)
			nft_add_element(table, by_mac, isolated->mac.byte, NULL, names[g]);
	}
	build_from(table, names[GATE_FROM], isolated, settings->inner.addr);
	build_across(table, names[GATE_ACROSS], isolated, settings);
	build_to(table, names[GATE_TO], isolated);
	build_host(table, names[GATE_HOST], isolated, settings->inner.addr, names[GATE_TO]);
}

/* Other bridges are none of our business: a MAC may be there as well. */
static void except_others(struct nft_chain *chain, bool is_out,
	const struct guard_settings *settings)
{
	struct nft_rule rule = { 0 };

	if (settings->knows_bridges) {
		match_name(&rule, is_out ? NFT_FIELD_BRIDGE_OUT : NFT_FIELD_BRIDGE_IN,
			settings->bridge);
		rule.match[0].differs = true;
	} else {
		rule.key[0] = is_out ? NFT_FIELD_PORT_OUT : NFT_FIELD_PORT_IN;
		snprintf(rule.set, sizeof(rule.set), "others");
	}
	add(chain, rule, NFT_ACTION_ACCEPT, NULL);
}

static void add_gate(struct nft_chain *chain, const struct gate *gate, bool is_out,
	const struct guard_settings *settings)
{
	add_lookup(chain, port_field(gate), gate->by_port);
	except_others(chain, is_out, settings);
	add_lookup(chain, gate->mac, gate->by_mac);
}

/* --- honest VMs --------------------------------------------------------------------------- */

static void add_senders(struct nft_table *table, const struct plan *plan)
{
	struct nft_set *set = nft_add_set(table, "senders", NFT_KIND_SET, NFT_FIELD_ETHER_SOURCE,
		NFT_FIELD_IP_SOURCE);
	const uint32_t unspecified = 0;

	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i);
		uint32_t ip = htonl(vm->ip);

		nft_add_element(table, set, vm->mac.byte, &ip, NULL);
		nft_add_element(table, set, vm->mac.byte, &unspecified, NULL);
	}
}

/* Who has a seat sits there alone, and nowhere else. */
static void add_seats(struct nft_table *table, const struct guard_settings *settings)
{
	char counter[NFT_NAME_SIZE];

	nft_add_set(table, "seats", NFT_KIND_SET, NFT_FIELD_PORT_IN, NFT_FIELD_ETHER_SOURCE);
	nft_add_set(table, "seat-ports", NFT_KIND_SET, NFT_FIELD_PORT_IN, NFT_FIELD_NONE);
	nft_add_set(table, "seat-macs", NFT_KIND_SET, NFT_FIELD_ETHER_SOURCE, NFT_FIELD_NONE);
	nft_add_set(table, "spoof-counters", NFT_KIND_COUNTER_MAP, NFT_FIELD_PORT_IN,
		NFT_FIELD_NONE);
	for (size_t i = 0; i < settings->seat_count; i++) {
		const struct seat *seat = &settings->seats[i];

		guard_counter_name(seat->vm->name, true, counter);
		nft_add_counter(table, counter);
		nft_add_element(table, find_set(table, "seats"), &seat->port, seat->vm->mac.byte,
			NULL);
		nft_add_element(table, find_set(table, "seat-ports"), &seat->port, NULL, NULL);
		nft_add_element(table, find_set(table, "seat-macs"), seat->vm->mac.byte, NULL,
			NULL);
		nft_add_element(table, find_set(table, "spoof-counters"), &seat->port, NULL,
			counter);
	}
}

static void build_spoofed(struct nft_table *table)
{
	struct nft_chain *chain = nft_add_chain(table, "spoofed");
	struct nft_rule count = { .key = { NFT_FIELD_PORT_IN } };

	snprintf(count.set, sizeof(count.set), "spoof-counters");
	add(chain, count, NFT_ACTION_COUNT_BY, NULL);
	/* the map is silent for a port without a VM: then that is counted */
	add_test(chain, (struct nft_rule){ 0 }, NFT_FIELD_PORT_IN, NFT_FIELD_NONE, "seat-ports",
		false, "spoofed-unknown");
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_DROP, NULL);
	add_drop(table, nft_add_chain(table, "spoofed-unknown"), spoofed_counter);
}

static void build_honest(struct nft_table *table)
{
	struct nft_chain *chain = nft_add_chain(table, "honest");
	struct nft_rule group = { 0 }, ip = { 0 }, arp = { 0 };
	struct nft_match *sound;

	/* whatever is in them: they would be forwarded to all */
	match_link_local(&group);
	add(chain, group, NFT_ACTION_GOTO, "spoofed");
	match_u16(&ip, NFT_FIELD_ETHER_TYPE, ETHERTYPE_IP);
	/* whatever it carries; of a header that makes no sense ports cannot be looked at, but a
	 * client that is not strict would take an offer in it */
	sound = match(&ip, NFT_FIELD_TRANSPORT);
	sound->value[0] = IPPROTO_RAW;
	sound->differs = true;
	add_test(chain, ip, NFT_FIELD_ETHER_SOURCE, NFT_FIELD_IP_SOURCE, "senders", true,
		"honest-ip");
	match_arp(&arp);
	/* the frame's and the message's MAC are that of the address; 0.0.0.0 is a probe (RFC 5227) */
	add_test(chain, arp, NFT_FIELD_ETHER_SOURCE, NFT_FIELD_ARP_SENDER_IP, "senders", true,
		"honest-arp");
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_GOTO, "spoofed");
}

static void build_honest_arp(struct nft_table *table)
{
	struct nft_chain *chain = nft_add_chain(table, "honest-arp");
	struct nft_rule seated = { .key = { NFT_FIELD_PORT_IN, NFT_FIELD_ARP_SENDER_MAC } };

	add_test(chain, (struct nft_rule){ 0 }, NFT_FIELD_ARP_SENDER_MAC, NFT_FIELD_ARP_SENDER_IP,
		"senders", true, "honest-sender");
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_GOTO, "spoofed");
	/* a probe has no address that would tell whose MAC it is */
	chain = nft_add_chain(table, "honest-sender");
	snprintf(seated.set, sizeof(seated.set), "seats");
	add(chain, seated, NFT_ACTION_ACCEPT, NULL);
	add_test(chain, (struct nft_rule){ 0 }, NFT_FIELD_PORT_IN, NFT_FIELD_NONE, "seat-ports",
		true, "spoofed");
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_ACCEPT, NULL);
}

static void add_udp_drop(struct nft_chain *chain, enum nft_field field, uint16_t port)
{
	static const uint8_t udp = IPPROTO_UDP;
	struct nft_rule rule = { 0 };

	match_octets(&rule, NFT_FIELD_IP_PROTOCOL, &udp);
	match_u16(&rule, field, port);
	add(chain, rule, NFT_ACTION_GOTO, "spoofed");
}

static void build_honest_ip(struct nft_table *table)
{
	struct nft_chain *chain = nft_add_chain(table, "honest-ip");
	struct nft_rule addressed = { 0 }, client = { 0 };

	/* a server's; clients look at the port where it comes in only */
	add_udp_drop(chain, NFT_FIELD_UDP_SOURCE, DHCP_SERVER_PORT);
	add_udp_drop(chain, NFT_FIELD_UDP_DESTINATION, DHCP_CLIENT_PORT);
	match_ip(&addressed, NFT_FIELD_IP_SOURCE, INADDR_ANY);
	addressed.match[0].differs = true;
	add(chain, addressed, NFT_ACTION_ACCEPT, NULL);
	match_dhcp(&client, DHCP_CLIENT_PORT, DHCP_SERVER_PORT);
	add(chain, client, NFT_ACTION_ACCEPT, NULL);
	add(chain, (struct nft_rule){ 0 }, NFT_ACTION_GOTO, "spoofed");
}

/* The uplink may send whatever it likes. */
static void except_uplink(struct nft_chain *chain, const struct guard_settings *settings)
{
	struct nft_rule rule = { 0 };

	match_name(&rule, NFT_FIELD_PORT_IN_NAME, settings->uplink);
	add(chain, rule, NFT_ACTION_ACCEPT, NULL);
}

/* Behind the gates, so not for frames on other bridges. */
static void keep_honest(struct nft_chain *prerouting, struct nft_chain *input,
	const struct guard_settings *settings)
{
	const struct nft_rule any = { 0 };
	struct nft_rule link_local = { 0 };

	except_uplink(prerouting, settings);
	add_test(prerouting, any, NFT_FIELD_PORT_IN, NFT_FIELD_ETHER_SOURCE, "seats", true,
		"honest");
	add_test(prerouting, any, NFT_FIELD_ETHER_SOURCE, NFT_FIELD_NONE, "seat-macs", true,
		"spoofed");
	add_test(prerouting, any, NFT_FIELD_PORT_IN, NFT_FIELD_NONE, "seat-ports", true, "spoofed");
	except_uplink(input, settings);
	match_link_local(&link_local);
	if (settings->knows_bridges) {
		add(prerouting, any, NFT_ACTION_GOTO, "honest");
		add(input, link_local, NFT_ACTION_GOTO, "spoofed");
	} else {
		add_test(prerouting, any, NFT_FIELD_PORT_IN, NFT_FIELD_NONE, "ports", true,
			"honest");
		add_test(input, link_local, NFT_FIELD_PORT_IN, NFT_FIELD_NONE, "ports", true,
			"spoofed");
	}
}

/*
 * A port that nobody has told us of may be any bridge's. It is ours if it reaches our ports or our
 * host: then the frame must be honest. So must those of known ports, once more: a port may become
 * known between the one hook and the other.
 */
static void keep_newcomers_honest(struct nft_chain *forward, struct nft_chain *input,
	const struct guard_settings *settings)
{
	struct nft_rule to_uplink = { 0 }, to_host = { 0 }, arp = { 0 }, ip = { 0 };
	const struct ip4_prefix *inner = &settings->inner;

	except_uplink(forward, settings);
	add_test(forward, (struct nft_rule){ 0 }, NFT_FIELD_PORT_OUT, NFT_FIELD_NONE, "ports", true,
		"honest");
	match_name(&to_uplink, NFT_FIELD_PORT_OUT_NAME, settings->uplink);
	add(forward, to_uplink, NFT_ACTION_GOTO, "honest");

	match_octets(&to_host, NFT_FIELD_ETHER_DESTINATION, settings->bridge_mac.byte);
	add(input, to_host, NFT_ACTION_GOTO, "honest");
	/* what goes to all: whoever has an address of our network is one of ours */
	match_arp(&arp);
	match_prefix(&arp, NFT_FIELD_ARP_SENDER_IP, inner);
	add(input, arp, NFT_ACTION_GOTO, "honest");
	match_u16(&ip, NFT_FIELD_ETHER_TYPE, ETHERTYPE_IP);
	match_prefix(&ip, NFT_FIELD_IP_SOURCE, inner);
	add(input, ip, NFT_ACTION_GOTO, "honest");
}

static void add_ports(struct nft_table *table, const struct guard_settings *settings)
{
	struct nft_set *set = nft_add_set(table, "ports", NFT_KIND_SET, NFT_FIELD_PORT_IN,
		NFT_FIELD_NONE);

	for (size_t i = 0; i < settings->port_count; i++)
		nft_add_element(table, set, &settings->ports[i].index, NULL, NULL);
	set = nft_add_set(table, "others", NFT_KIND_SET, NFT_FIELD_PORT_IN, NFT_FIELD_NONE);
	for (size_t i = 0; i < settings->other_count; i++)
		nft_add_element(table, set, &settings->others[i], NULL, NULL);
}

/* --- the table ---------------------------------------------------------------------------- */

void guard_build(const struct isolation *isolation, const struct guard_settings *settings,
	struct nft_table *ret_table)
{
	enum { PREROUTING, INPUT, FORWARD_TO, FORWARD_FROM, OUTPUT, HOOKS };
	struct nft_table table = { 0 };
	struct nft_chain *hooks;

	*ret_table = table;
	if (!isolation->count && !settings->anti_spoof)
		return;
	nft_add_base_chain(&table, "prerouting", NF_BR_PRE_ROUTING, PRIORITY);
	nft_add_base_chain(&table, "input", NF_BR_LOCAL_IN, PRIORITY);
	/* two, as what one of them lets pass the other may not */
	nft_add_base_chain(&table, "forward-to", NF_BR_FORWARD, PRIORITY);
	nft_add_base_chain(&table, "forward-from", NF_BR_FORWARD, PRIORITY + 1);
	nft_add_base_chain(&table, "output", NF_BR_LOCAL_OUT, PRIORITY);
	add_maps(&table);
	if (!settings->knows_bridges)
		add_ports(&table, settings);
	add_peers(&table, isolation, settings->plan);
	for (size_t i = 0; i < isolation->count; i++)
		isolate_one(&table, &isolation->list[i], settings);
	if (settings->anti_spoof) {
		add_senders(&table, settings->plan);
		add_seats(&table, settings);
		build_honest(&table);
		build_honest_arp(&table);
		build_honest_ip(&table);
		build_spoofed(&table);
	}
	hooks = table.chains;
	add_gate(&hooks[PREROUTING], &gates[GATE_FROM], false, settings);
	add_gate(&hooks[INPUT], &gates[GATE_FROM], false, settings);
	add_gate(&hooks[FORWARD_TO], &gates[GATE_TO], false, settings);
	add_gate(&hooks[FORWARD_FROM], &gates[GATE_ACROSS], false, settings);
	add_gate(&hooks[OUTPUT], &gates[GATE_HOST], true, settings);
	if (settings->anti_spoof)
		keep_honest(&hooks[PREROUTING], &hooks[INPUT], settings);
	if (settings->anti_spoof && !settings->knows_bridges)
		keep_newcomers_honest(&hooks[FORWARD_FROM], &hooks[INPUT], settings);
	nft_table_finish(&table);
	*ret_table = table;
}
