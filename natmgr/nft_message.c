/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nft_message owns the bytes of nf_tables' messages. It must not know why a rule is there, nor
 * how messages reach the kernel.
 */
#include "natmgr/nft_message.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* Room for any message but one of elements, of which many go into one. */
#define MESSAGE_SIZE 4096
/* The length of an attribute has 16 bits; an element takes less than 200 octets. */
#define ELEMENTS_SIZE        65536
#define ELEMENTS_PER_MESSAGE 256

/* Where a field is: in a header, or with the packet. */
struct field {
	bool is_meta;
	uint32_t base; /* NFT_PAYLOAD_…, or NFT_META_… */
	uint32_t offset;
	uint32_t type; /* what nft(8) takes it for when it lists a set; its own numbers */
};

static const struct field fields[NFT_FIELD_COUNT] = {
	[NFT_FIELD_PORT_IN] = { true, NFT_META_IIF, 0, 20 },
	[NFT_FIELD_PORT_OUT] = { true, NFT_META_OIF, 0, 20 },
	[NFT_FIELD_PORT_IN_NAME] = { true, NFT_META_IIFNAME, 0, 41 },
	[NFT_FIELD_PORT_OUT_NAME] = { true, NFT_META_OIFNAME, 0, 41 },
	[NFT_FIELD_BRIDGE_IN] = { true, NFT_META_BRI_IIFNAME, 0, 41 },
	[NFT_FIELD_BRIDGE_OUT] = { true, NFT_META_BRI_OIFNAME, 0, 41 },
	[NFT_FIELD_ETHER_SOURCE] = { false, NFT_PAYLOAD_LL_HEADER, 6, 9 },
	[NFT_FIELD_ETHER_DESTINATION] = { false, NFT_PAYLOAD_LL_HEADER, 0, 9 },
	[NFT_FIELD_ETHER_TYPE] = { false, NFT_PAYLOAD_LL_HEADER, 12, 10 },
	[NFT_FIELD_TRANSPORT] = { true, NFT_META_L4PROTO, 0, 12 },
	[NFT_FIELD_IP_PROTOCOL] = { false, NFT_PAYLOAD_NETWORK_HEADER, 9, 12 },
	[NFT_FIELD_IP_SOURCE] = { false, NFT_PAYLOAD_NETWORK_HEADER, 12, 7 },
	[NFT_FIELD_IP_DESTINATION] = { false, NFT_PAYLOAD_NETWORK_HEADER, 16, 7 },
	[NFT_FIELD_UDP_SOURCE] = { false, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 13 },
	[NFT_FIELD_UDP_DESTINATION] = { false, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 13 },
	[NFT_FIELD_ARP_FORMAT] = { false, NFT_PAYLOAD_NETWORK_HEADER, 0, 4 },
	[NFT_FIELD_ARP_SENDER_MAC] = { false, NFT_PAYLOAD_NETWORK_HEADER, 8, 9 },
	[NFT_FIELD_ARP_SENDER_IP] = { false, NFT_PAYLOAD_NETWORK_HEADER, 14, 7 },
	[NFT_FIELD_ARP_TARGET_IP] = { false, NFT_PAYLOAD_NETWORK_HEADER, 24, 7 },
};

uint16_t nft_message_type(int message)
{
	return (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message);
}

/* --- attributes --------------------------------------------------------------------------- */

/* Messages have room for all that is put in, so these cannot fail. */
static void put_u32(struct nl_msg *msg, int type, uint32_t value)
{
	nla_put_u32(msg, type, htonl(value));
}

static void put_data(struct nl_msg *msg, int type, const void *data, size_t len)
{
	struct nlattr *nest = nla_nest_start(msg, type);

	nla_put(msg, NFTA_DATA_VALUE, (int)len, data);
	nla_nest_end(msg, nest);
}

static void put_verdict(struct nl_msg *msg, int type, int code, const char *chain)
{
	struct nlattr *data = nla_nest_start(msg, type);
	struct nlattr *verdict = nla_nest_start(msg, NFTA_DATA_VERDICT);

	put_u32(msg, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		nla_put_string(msg, NFTA_VERDICT_CHAIN, chain);
	nla_nest_end(msg, verdict);
	nla_nest_end(msg, data);
}

/* --- expressions -------------------------------------------------------------------------- */

struct expression {
	struct nl_msg *msg;
	struct nlattr *element, *data;
};

static struct expression begin_expression(struct nl_msg *msg, const char *name)
{
	struct expression expression = { .msg = msg };

	expression.element = nla_nest_start(msg, NFTA_LIST_ELEM);
	nla_put_string(msg, NFTA_EXPR_NAME, name);
	expression.data = nla_nest_start(msg, NFTA_EXPR_DATA);
	return expression;
}

static void end_expression(const struct expression *expression)
{
	nla_nest_end(expression->msg, expression->data);
	nla_nest_end(expression->msg, expression->element);
}

/* Registers of 4 octets each; a field fills as many as it needs. */
static uint32_t register_at(size_t offset)
{
	return NFT_REG32_00 + (uint32_t)(offset / 4);
}

static void put_load(struct nl_msg *msg, enum nft_field which, size_t offset)
{
	const struct field *field = &fields[which];
	struct expression expression = begin_expression(msg, field->is_meta ? "meta" : "payload");

	if (field->is_meta) {
		put_u32(msg, NFTA_META_DREG, register_at(offset));
		put_u32(msg, NFTA_META_KEY, field->base);
	} else {
		put_u32(msg, NFTA_PAYLOAD_DREG, register_at(offset));
		put_u32(msg, NFTA_PAYLOAD_BASE, field->base);
		put_u32(msg, NFTA_PAYLOAD_OFFSET, field->offset);
		put_u32(msg, NFTA_PAYLOAD_LEN, (uint32_t)nft_field_len(which));
	}
	end_expression(&expression);
}

/* Keeps the leading bits of the first register. */
static void put_mask(struct nl_msg *msg, size_t len, unsigned bits)
{
	static const uint8_t zero[NFT_VALUE_SIZE];
	struct expression expression = begin_expression(msg, "bitwise");
	uint8_t mask[NFT_VALUE_SIZE] = { 0 };

	for (unsigned i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
	put_u32(msg, NFTA_BITWISE_SREG, register_at(0));
	put_u32(msg, NFTA_BITWISE_DREG, register_at(0));
	put_u32(msg, NFTA_BITWISE_LEN, (uint32_t)len);
	put_data(msg, NFTA_BITWISE_MASK, mask, len);
	put_data(msg, NFTA_BITWISE_XOR, zero, len);
	end_expression(&expression);
}

static void put_match(struct nl_msg *msg, const struct nft_match *match)
{
	size_t len = nft_field_len(match->field);
	struct expression expression;

	put_load(msg, match->field, 0);
	if (match->bits)
		put_mask(msg, len, match->bits);
	expression = begin_expression(msg, "cmp");
	put_u32(msg, NFTA_CMP_SREG, register_at(0));
	put_u32(msg, NFTA_CMP_OP, match->differs ? NFT_CMP_NEQ : NFT_CMP_EQ);
	put_data(msg, NFTA_CMP_DATA, match->value, len);
	end_expression(&expression);
}

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

static void put_key(struct nl_msg *msg, const uint8_t key[2])
{
	put_load(msg, key[0], 0);
	if (key[1])
		put_load(msg, key[1], padded(nft_field_len(key[0])));
}

static void put_lookup(struct nl_msg *msg, const struct nft_rule *rule)
{
	struct expression expression;

	put_key(msg, rule->key);
	expression = begin_expression(msg, "lookup");
	nla_put_string(msg, NFTA_LOOKUP_SET, rule->set);
	put_u32(msg, NFTA_LOOKUP_SREG, register_at(0));
	if (rule->action == NFT_ACTION_LOOKUP)
		put_u32(msg, NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
	if (rule->not_in_set)
		put_u32(msg, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	end_expression(&expression);
}

static void put_counting(struct nl_msg *msg, const struct nft_rule *rule)
{
	struct expression expression;
	bool by_map = rule->action == NFT_ACTION_COUNT_BY;

	if (by_map)
		put_key(msg, rule->key);
	expression = begin_expression(msg, "objref");
	if (by_map) {
		put_u32(msg, NFTA_OBJREF_SET_SREG, register_at(0));
		nla_put_string(msg, NFTA_OBJREF_SET_NAME, rule->set);
	} else {
		put_u32(msg, NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
		nla_put_string(msg, NFTA_OBJREF_IMM_NAME, rule->target);
	}
	end_expression(&expression);
}

static void put_jump(struct nl_msg *msg, int code, const char *chain)
{
	struct expression expression = begin_expression(msg, "immediate");

	put_u32(msg, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	put_verdict(msg, NFTA_IMMEDIATE_DATA, code, chain);
	end_expression(&expression);
}

static void put_rule(struct nl_msg *msg, const struct nft_rule *rule)
{
	struct nlattr *expressions = nla_nest_start(msg, NFTA_RULE_EXPRESSIONS);

	for (size_t i = 0; i < NFT_MATCHES && rule->match[i].field; i++)
		put_match(msg, &rule->match[i]);
	if (*rule->set && rule->action != NFT_ACTION_COUNT_BY)
		put_lookup(msg, rule);
	switch ((enum nft_action)rule->action) {
	case NFT_ACTION_ACCEPT:
		put_jump(msg, NF_ACCEPT, NULL);
		break;
	case NFT_ACTION_DROP:
		put_jump(msg, NF_DROP, NULL);
		break;
	case NFT_ACTION_GOTO:
		put_jump(msg, NFT_GOTO, rule->target);
		break;
	case NFT_ACTION_LOOKUP:
		break;
	case NFT_ACTION_COUNT:
	case NFT_ACTION_COUNT_BY:
		put_counting(msg, rule);
		break;
	}
	nla_nest_end(msg, expressions);
}

/* --- messages ----------------------------------------------------------------------------- */

static struct nl_msg *begin_message(struct nft_batch *batch, uint16_t type, int flags,
	uint8_t family, uint16_t resource, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_size(size);
	const struct nfgenmsg header = {
		.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)
	};

	if (!msg ||
		!nlmsg_put(msg, 0, ++batch->sequence, type, sizeof(header), NLM_F_REQUEST | flags))
		abort();
	memcpy(nlmsg_data(nlmsg_hdr(msg)), &header, sizeof(header));
	return msg;
}

static void end_message(struct nft_batch *batch, struct nl_msg *msg)
{
	const struct nlmsghdr *header = nlmsg_hdr(msg);
	size_t len = NLMSG_ALIGN(header->nlmsg_len);

	if (batch->len + len > batch->cap) {
		batch->cap = (batch->len + len) * 2;
		batch->data = xrealloc(batch->data, batch->cap, 1);
	}
	memset(batch->data + batch->len, 0, len);
	memcpy(batch->data + batch->len, header, header->nlmsg_len);
	batch->len += len;
	nlmsg_free(msg);
}

/* A message about something in the table, which it names first. */
static struct nl_msg *begin_edit(struct nft_batch *batch, int message, int flags, const char *table,
	size_t size)
{
	struct nl_msg *msg = begin_message(batch, nft_message_type(message), flags, NFPROTO_BRIDGE,
		0, size);

	/* NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, …: always 1 */
	nla_put_string(msg, 1, table);
	return msg;
}

void nft_batch_begin(struct nft_batch *batch, uint32_t generation)
{
	struct nl_msg *msg = begin_message(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
		NFNL_SUBSYS_NFTABLES, MESSAGE_SIZE);

	put_u32(msg, NFNL_BATCH_GENID, generation);
	end_message(batch, msg);
}

uint32_t nft_batch_end(struct nft_batch *batch, bool commit)
{
	struct nlmsghdr *last = NULL, *header;
	uint32_t sequence = batch->sequence;

	for (size_t at = 0; at < batch->len; at += NLMSG_ALIGN(header->nlmsg_len)) {
		header = (struct nlmsghdr *)(void *)(batch->data + at);
		last = header;
	}
	if (last)
		last->nlmsg_flags |= NLM_F_ACK;
	if (commit)
		end_message(batch,
			begin_message(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES,
				MESSAGE_SIZE));
	return sequence;
}

void nft_batch_done(struct nft_batch *batch)
{
	free(batch->data);
	*batch = (struct nft_batch){ 0 };
}

/* To make a table that is there already is no error, to delete one that is not would be. */
void nft_batch_delete_table(struct nft_batch *batch, const char *table)
{
	end_message(batch, begin_edit(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, table, MESSAGE_SIZE));
	end_message(batch, begin_edit(batch, NFT_MSG_DELTABLE, 0, table, MESSAGE_SIZE));
}

void nft_batch_renew_table(struct nft_batch *batch, const char *table)
{
	nft_batch_delete_table(batch, table);
	end_message(batch, begin_edit(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE, table, MESSAGE_SIZE));
}

static void put_chain(struct nl_msg *msg, const struct nft_chain *chain)
{
	struct nlattr *hook;

	nla_put_string(msg, NFTA_CHAIN_NAME, chain->name);
	if (!chain->is_base)
		return;
	hook = nla_nest_start(msg, NFTA_CHAIN_HOOK);
	put_u32(msg, NFTA_HOOK_HOOKNUM, chain->hook);
	put_u32(msg, NFTA_HOOK_PRIORITY, (uint32_t)chain->priority);
	nla_nest_end(msg, hook);
	put_u32(msg, NFTA_CHAIN_POLICY, NF_ACCEPT);
	nla_put_string(msg, NFTA_CHAIN_TYPE, "filter");
}

static size_t key_len(const struct nft_set *set)
{
	return set->key[1] ? padded(nft_field_len(set->key[0])) + padded(nft_field_len(set->key[1]))
			   : nft_field_len(set->key[0]);
}

static bool is_link(uint8_t field)
{
	return field == NFT_FIELD_PORT_IN || field == NFT_FIELD_PORT_OUT;
}

static void put_set(struct nl_msg *msg, const struct nft_set *set, uint32_t id)
{
	/* for nft(8) only: this key is in the host's byte order (libnftnl's type 0, 4 octets, 1) */
	const struct {
		uint8_t type, len, value[4];
	} order = { 0, 4, { htonl(1) == 1 ? 0 : 1, 0, 0, htonl(1) == 1 ? 1 : 0 } };
	uint32_t type = fields[set->key[0]].type;

	if (set->key[1])
		type = type << 6 | fields[set->key[1]].type;
	nla_put_string(msg, NFTA_SET_NAME, set->name);
	put_u32(msg, NFTA_SET_ID, id);
	put_u32(msg, NFTA_SET_KEY_TYPE, type);
	put_u32(msg, NFTA_SET_KEY_LEN, (uint32_t)key_len(set));
	if (is_link(set->key[0]) && !set->key[1])
		nla_put(msg, NFTA_SET_USERDATA, sizeof(order), &order);
	switch (set->kind) {
	case NFT_KIND_SET:
		put_u32(msg, NFTA_SET_FLAGS, 0);
		break;
	case NFT_KIND_VERDICT_MAP:
		put_u32(msg, NFTA_SET_FLAGS, NFT_SET_MAP);
		put_u32(msg, NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
		break;
	case NFT_KIND_COUNTER_MAP:
		put_u32(msg, NFTA_SET_FLAGS, NFT_SET_OBJECT);
		put_u32(msg, NFTA_SET_OBJ_TYPE, NFT_OBJECT_COUNTER);
		break;
	}
}

static void put_counter(struct nl_msg *msg, const struct nft_counter *counter, bool with_value)
{
	uint64_t packets = htobe64(counter->packets), bytes = htobe64(counter->bytes);
	struct nlattr *data;

	nla_put_string(msg, NFTA_OBJ_NAME, counter->name);
	put_u32(msg, NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
	if (!with_value)
		return;
	data = nla_nest_start(msg, NFTA_OBJ_DATA);
	nla_put(msg, NFTA_COUNTER_BYTES, sizeof(bytes), &bytes);
	nla_put(msg, NFTA_COUNTER_PACKETS, sizeof(packets), &packets);
	nla_nest_end(msg, data);
}

static void put_element(struct nl_msg *msg, const struct nft_edit *edit)
{
	struct nlattr *element = nla_nest_start(msg, NFTA_LIST_ELEM);

	put_data(msg, NFTA_SET_ELEM_KEY, edit->element->key, key_len(edit->set));
	switch (edit->set->kind) {
	case NFT_KIND_SET:
		break;
	case NFT_KIND_VERDICT_MAP:
		put_verdict(msg, NFTA_SET_ELEM_DATA, NFT_GOTO, edit->target);
		break;
	case NFT_KIND_COUNTER_MAP:
		nla_put_string(msg, NFTA_SET_ELEM_OBJREF, edit->target);
		break;
	}
	nla_nest_end(msg, element);
}

/* As many elements of one set as follow each other and go into a message; returns how many. */
static size_t add_elements(struct nft_batch *batch, const char *table, const struct nft_edit *edits,
	size_t count)
{
	bool is_new = edits->kind == NFT_EDIT_ELEMENT_NEW;
	struct nl_msg *msg = begin_edit(batch, is_new ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
		is_new ? NLM_F_CREATE : 0, table, ELEMENTS_SIZE);
	struct nlattr *list;
	size_t n = 0;

	nla_put_string(msg, NFTA_SET_ELEM_LIST_SET, edits->set->name);
	list = nla_nest_start(msg, NFTA_SET_ELEM_LIST_ELEMENTS);
	while (n < count && n < ELEMENTS_PER_MESSAGE && edits[n].kind == edits->kind &&
		edits[n].set == edits->set)
		put_element(msg, &edits[n++]);
	nla_nest_end(msg, list);
	end_message(batch, msg);
	return n;
}

static void add_chain_edit(struct nft_batch *batch, const char *table, const struct nft_edit *edit)
{
	struct nl_msg *msg;

	if (edit->kind == NFT_EDIT_RULE_NEW) {
		msg = begin_edit(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, table,
			MESSAGE_SIZE);
		nla_put_string(msg, NFTA_RULE_CHAIN, edit->chain->name);
		put_rule(msg, edit->rule);
	} else if (edit->kind == NFT_EDIT_CHAIN_FLUSH) {
		msg = begin_edit(batch, NFT_MSG_DELRULE, 0, table, MESSAGE_SIZE);
		nla_put_string(msg, NFTA_RULE_CHAIN, edit->chain->name);
	} else if (edit->kind == NFT_EDIT_CHAIN_DEL) {
		msg = begin_edit(batch, NFT_MSG_DELCHAIN, 0, table, MESSAGE_SIZE);
		nla_put_string(msg, NFTA_CHAIN_NAME, edit->chain->name);
	} else {
		msg = begin_edit(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, table, MESSAGE_SIZE);
		put_chain(msg, edit->chain);
	}
	end_message(batch, msg);
}

static void add_set_edit(struct nft_batch *batch, const char *table, const struct nft_edit *edit)
{
	bool is_new = edit->kind == NFT_EDIT_SET_NEW;
	struct nl_msg *msg = begin_edit(batch, is_new ? NFT_MSG_NEWSET : NFT_MSG_DELSET,
		is_new ? NLM_F_CREATE : 0, table, MESSAGE_SIZE);

	if (is_new)
		put_set(msg, edit->set, batch->sequence);
	else
		nla_put_string(msg, NFTA_SET_NAME, edit->set->name);
	end_message(batch, msg);
}

static void add_counter_edit(struct nft_batch *batch, const char *table,
	const struct nft_edit *edit)
{
	bool is_new = edit->kind == NFT_EDIT_COUNTER_NEW;
	struct nl_msg *msg = begin_edit(batch, is_new ? NFT_MSG_NEWOBJ : NFT_MSG_DELOBJ,
		is_new ? NLM_F_CREATE : 0, table, MESSAGE_SIZE);

	put_counter(msg, edit->counter, is_new);
	end_message(batch, msg);
}

void nft_batch_edits(struct nft_batch *batch, const char *table, const struct nft_edit *edits,
	size_t count)
{
	for (size_t i = 0; i < count;) {
		switch (edits[i].kind) {
		case NFT_EDIT_COUNTER_NEW:
		case NFT_EDIT_COUNTER_DEL:
			add_counter_edit(batch, table, &edits[i++]);
			break;
		case NFT_EDIT_SET_NEW:
		case NFT_EDIT_SET_DEL:
			add_set_edit(batch, table, &edits[i++]);
			break;
		case NFT_EDIT_CHAIN_NEW:
		case NFT_EDIT_CHAIN_DEL:
		case NFT_EDIT_CHAIN_FLUSH:
		case NFT_EDIT_RULE_NEW:
			add_chain_edit(batch, table, &edits[i++]);
			break;
		case NFT_EDIT_ELEMENT_NEW:
		case NFT_EDIT_ELEMENT_DEL:
			i += add_elements(batch, table, &edits[i], count - i);
			break;
		}
	}
}
