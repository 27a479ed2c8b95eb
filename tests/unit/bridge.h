/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge: a bridge of Linux as far as its netfilter hooks go, with rules that are a struct
 * nft_table: which frames meet which hook (net/bridge/br_input.c, br_forward.c), and what rules
 * see of a frame (net/netfilter/nft_payload.c, nft_meta.c, nf_tables_core.c).
 */
#ifndef EIPD_TESTS_UNIT_BRIDGE_H
#define EIPD_TESTS_UNIT_BRIDGE_H

/* linux/netfilter_bridge.h wants these before it */
#include <net/if.h>
#include <netinet/in.h>

#include <linux/netfilter_bridge.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "natmgr/nft_table.h"

struct frame {
	uint8_t data[256];
	size_t len;
};

/* A frame in a hook. */
struct packet {
	const struct frame *frame;
	unsigned in, out; /* 0: none */
	size_t network;   /* where its header begins */
	size_t transport; /* 0: nothing is known of it */
	uint8_t protocol;
};

/* What rules have done. */
struct bridge_rules {
	const struct nft_table *table;
	uint64_t *dropped; /* by the table's counter */
	unsigned evaluated;
	const char *error; /* rules that make no sense */
};

/* --- names ------------------------------------------------------------------------------- */

#define BRIDGE      "br0"
#define UPLINK_NAME "eth1"

/* Where links are: those from 50 on are ports of another bridge. The link 2 is our uplink. */
static inline void name_of(unsigned link, bool of_bridge, uint8_t name[static NFT_VALUE_SIZE])
{
	if (of_bridge)
		snprintf((char *)name, NFT_VALUE_SIZE, link < 50 ? BRIDGE : "br1");
	else if (link == 2)
		snprintf((char *)name, NFT_VALUE_SIZE, UPLINK_NAME);
	else
		snprintf((char *)name, NFT_VALUE_SIZE, "vnet%u", link);
}

/* --- what rules see ----------------------------------------------------------------------- */

static inline unsigned frame_u16(const struct frame *frame, size_t at)
{
	return (unsigned)(frame->data[at] << 8 | frame->data[at + 1]);
}

/* The kernel takes one tag off, rules see it all the same where it was. */
static inline struct packet packet_of(const struct frame *frame, unsigned in, unsigned out)
{
	unsigned type = frame_u16(frame, 12);
	size_t at = type == 0x8100 || type == 0x88a8 ? 18 : 14, header, total;
	struct packet packet = { .frame = frame, .in = in, .out = out, .network = at };

	/* nft_set_pktinfo_ipv4_validate() */
	if (frame_u16(frame, at - 2) != 0x0800 || frame->len < at + 20)
		return packet;
	header = (frame->data[at] & 15) * 4u;
	total = frame_u16(frame, at + 2);
	if (frame->data[at] >> 4 != 4 || header < 20 || frame->len - at < total || total < header)
		return packet;
	packet.protocol = frame->data[at + 9];
	/* of a later fragment the transport header is not loaded, but what it is, is known */
	packet.transport = frame_u16(frame, at + 6) & 0x1fff ? SIZE_MAX : at + header;
	return packet;
}

/* False: it is not there, so the rule does not match. */
static inline bool packet_load(const struct packet *packet, enum nft_field field, uint8_t *value)
{
	static const struct {
		char base; /* of 'e'thernet, 'n'etwork, 't'ransport */
		uint8_t offset;
	} places[NFT_FIELD_COUNT] = {
		[NFT_FIELD_ETHER_SOURCE] = { 'e', 6 },
		[NFT_FIELD_ETHER_DESTINATION] = { 'e', 0 },
		[NFT_FIELD_ETHER_TYPE] = { 'e', 12 },
		[NFT_FIELD_IP_PROTOCOL] = { 'n', 9 },
		[NFT_FIELD_IP_SOURCE] = { 'n', 12 },
		[NFT_FIELD_IP_DESTINATION] = { 'n', 16 },
		[NFT_FIELD_UDP_SOURCE] = { 't', 0 },
		[NFT_FIELD_UDP_DESTINATION] = { 't', 2 },
		[NFT_FIELD_ARP_FORMAT] = { 'n', 0 },
		[NFT_FIELD_ARP_SENDER_MAC] = { 'n', 8 },
		[NFT_FIELD_ARP_SENDER_IP] = { 'n', 14 },
		[NFT_FIELD_ARP_TARGET_IP] = { 'n', 24 },
	};
	bool is_in = field == NFT_FIELD_PORT_IN || field == NFT_FIELD_PORT_IN_NAME ||
		field == NFT_FIELD_BRIDGE_IN;
	unsigned link = is_in ? packet->in : packet->out;
	size_t at = places[field].offset;

	if (field == NFT_FIELD_PORT_IN || field == NFT_FIELD_PORT_OUT) {
		memcpy(value, &link, sizeof(link));
		return link != 0;
	}
	if (field >= NFT_FIELD_PORT_IN_NAME && field <= NFT_FIELD_BRIDGE_OUT) {
		name_of(link, field >= NFT_FIELD_BRIDGE_IN, value);
		return link != 0;
	}
	if (field == NFT_FIELD_TRANSPORT) {
		*value = packet->protocol;
		return packet->transport != 0;
	}
	if (!places[field].base)
		abort();
	if (places[field].base == 't' && (!packet->transport || packet->transport == SIZE_MAX))
		return false;
	at += places[field].base == 'e'     ? 0
		: places[field].base == 'n' ? packet->network
					    : packet->transport;
	if (at + nft_field_len(field) > packet->frame->len)
		return false;
	memcpy(value, packet->frame->data + at, nft_field_len(field));
	return true;
}

static inline bool packet_matches(const struct packet *packet, const struct nft_match *match)
{
	uint8_t value[NFT_VALUE_SIZE] = { 0 };
	size_t len = nft_field_len(match->field);

	if (!packet_load(packet, match->field, value))
		return false;
	for (size_t bit = match->bits; match->bits && bit < len * 8; bit++)
		value[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return (memcmp(value, match->value, len) != 0) == match->differs;
}

/* False: a field of the key is not there, so the rule does not match, whatever it wants. */
static inline bool packet_look_up(const struct packet *packet, const struct nft_set *set,
	const uint8_t keys[2], const struct nft_element **ret_element)
{
	uint8_t key[NFT_VALUE_SIZE] = { 0 };
	size_t second = (nft_field_len(keys[0]) + 3) & ~(size_t)3;

	*ret_element = NULL;
	if (!packet_load(packet, keys[0], key) ||
		(keys[1] && !packet_load(packet, keys[1], key + second)))
		return false;
	for (size_t i = 0; i < set->count; i++) {
		if (!memcmp(set->elements[i].key, key, sizeof(key)))
			*ret_element = &set->elements[i];
	}
	return true;
}

/* --- rules -------------------------------------------------------------------------------- */

enum verdict { VERDICT_NONE, VERDICT_ACCEPT, VERDICT_DROP, VERDICT_GOTO };

static inline void rules_count(struct bridge_rules *rules, const char *name)
{
	const struct nft_counter *counter = nft_find_counter(rules->table, name);

	if (counter)
		rules->dropped[counter - rules->table->counters]++;
	else
		rules->error = "no such counter";
}

static inline enum verdict rules_try(struct bridge_rules *rules, const struct nft_rule *rule,
	const struct packet *packet, const char **ret_chain)
{
	const struct nft_element *element = NULL;
	const struct nft_set *set;

	rules->evaluated++;
	for (size_t i = 0; i < NFT_MATCHES && rule->match[i].field; i++) {
		if (!packet_matches(packet, &rule->match[i]))
			return VERDICT_NONE;
	}
	if (*rule->set) {
		set = nft_find_set(rules->table, rule->set);
		if (!packet_look_up(packet, set, rule->key, &element) ||
			(element != NULL) == rule->not_in_set)
			return VERDICT_NONE;
	}
	switch ((enum nft_action)rule->action) {
	case NFT_ACTION_ACCEPT:
		return VERDICT_ACCEPT;
	case NFT_ACTION_DROP:
		return VERDICT_DROP;
	case NFT_ACTION_GOTO:
		*ret_chain = rule->target;
		return VERDICT_GOTO;
	case NFT_ACTION_LOOKUP:
		*ret_chain = rules->table->targets[element->target];
		return VERDICT_GOTO;
	case NFT_ACTION_COUNT:
		rules_count(rules, rule->target);
		break;
	case NFT_ACTION_COUNT_BY:
		rules_count(rules, rules->table->targets[element->target]);
		break;
	}
	return VERDICT_NONE;
}

/* True: it may pass. */
static inline bool rules_pass_chain(struct bridge_rules *rules, const struct nft_chain *base,
	const struct packet *packet)
{
	const struct nft_chain *chain = base;
	const char *next = NULL;

	for (size_t r = 0, gone = 0; r < chain->count; r++) {
		switch (rules_try(rules, &chain->rules[r], packet, &next)) {
		case VERDICT_NONE:
			continue;
		case VERDICT_ACCEPT:
			return true;
		case VERDICT_DROP:
			return false;
		case VERDICT_GOTO:
			break;
		}
		chain = nft_find_chain(rules->table, next);
		r = (size_t)-1;
		if (!chain || ++gone > 16)
			break;
	}
	/* the policy of the base chains; whoever is sent to another chain gets a verdict there */
	if (chain != base)
		rules->error = "a chain ends without a verdict";
	return true;
}

/* All base chains of the hook, by priority, of which each is there once. */
static inline bool rules_pass(struct bridge_rules *rules, uint32_t hook,
	const struct packet *packet)
{
	int64_t done = INT64_MIN;

	for (;;) {
		const struct nft_chain *next = NULL;

		for (size_t i = 0; i < rules->table->chain_count; i++) {
			const struct nft_chain *chain = &rules->table->chains[i];

			if (chain->is_base && chain->hook == hook && chain->priority > done &&
				(!next || chain->priority < next->priority))
				next = chain;
		}
		if (!next)
			return true;
		if (!rules_pass_chain(rules, next, packet))
			return false;
		done = next->priority;
	}
}

#endif
