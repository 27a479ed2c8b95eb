/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Edits as messages of nf_tables: what is in a batch is read back by libnl, and every edit must
 * come out of it as it went in.
 */
#include "tests/unit/fixture.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <linux/netfilter_bridge.h>

#include "natmgr/guard.h"
#include "natmgr/nft_message.h"
#include "tests/unit/nft_model.h"

#define NAME63 "v23456789-123456789-123456789-123456789-123456789-123456789-123"
#define TABLE  "eipd"

/* --- reading attributes ------------------------------------------------------------------- */

static uint32_t u32_of(struct nlattr *attr)
{
	assert_non_null(attr);
	assert_int_equal(nla_len(attr), 4);
	return ntohl(nla_get_u32(attr));
}

static void name_of(struct nlattr *attr, char name[static NFT_NAME_SIZE])
{
	assert_non_null(attr);
	/* with its NUL, as the kernel wants it */
	assert_in_range(nla_len(attr), 2, NFT_NAME_SIZE);
	assert_int_equal(((char *)nla_data(attr))[nla_len(attr) - 1], '\0');
	memset(name, 0, NFT_NAME_SIZE);
	strcpy(name, nla_data(attr));
}

static void assert_name(struct nlattr *attr, const char *expected)
{
	char name[NFT_NAME_SIZE];

	name_of(attr, name);
	assert_string_equal(name, expected);
}

/* All of it is attributes, one after the other, and nothing is left. */
static void assert_stream(struct nlattr *head, int len)
{
	struct nlattr *attr;
	int left;

	nla_for_each_attr(attr, head, len, left);
	assert_int_equal(left, 0);
}

static void parse_nest(struct nlattr **attrs, int max, struct nlattr *nest)
{
	assert_non_null(nest);
	assert_stream(nla_data(nest), nla_len(nest));
	assert_int_equal(nla_parse_nested(attrs, max, nest, NULL), 0);
}

static size_t data_of(struct nlattr *nest, uint8_t value[static NFT_VALUE_SIZE])
{
	struct nlattr *attrs[NFTA_DATA_MAX + 1];

	parse_nest(attrs, NFTA_DATA_MAX, nest);
	assert_non_null(attrs[NFTA_DATA_VALUE]);
	assert_in_range(nla_len(attrs[NFTA_DATA_VALUE]), 1, NFT_VALUE_SIZE);
	memset(value, 0, NFT_VALUE_SIZE);
	memcpy(value, nla_data(attrs[NFTA_DATA_VALUE]), (size_t)nla_len(attrs[NFTA_DATA_VALUE]));
	return (size_t)nla_len(attrs[NFTA_DATA_VALUE]);
}

/* Returns the code; the chain where one is said. */
static int verdict_of(struct nlattr *nest, char chain[static NFT_NAME_SIZE])
{
	struct nlattr *data[NFTA_DATA_MAX + 1], *verdict[NFTA_VERDICT_MAX + 1];

	parse_nest(data, NFTA_DATA_MAX, nest);
	parse_nest(verdict, NFTA_VERDICT_MAX, data[NFTA_DATA_VERDICT]);
	memset(chain, 0, NFT_NAME_SIZE);
	if (verdict[NFTA_VERDICT_CHAIN])
		name_of(verdict[NFTA_VERDICT_CHAIN], chain);
	return (int)u32_of(verdict[NFTA_VERDICT_CODE]);
}

/* --- reading rules ------------------------------------------------------------------------ */

/* What is in the registers while expressions are read. */
struct reader {
	struct nft_rule rule;
	size_t matches;
	uint8_t loaded[2]; /* enum nft_field, by the order of registers */
	size_t loads;
	uint8_t bits;
};

static enum nft_field meta_field(uint32_t key)
{
	return key == NFT_META_IIF            ? NFT_FIELD_PORT_IN
		: key == NFT_META_OIF         ? NFT_FIELD_PORT_OUT
		: key == NFT_META_IIFNAME     ? NFT_FIELD_PORT_IN_NAME
		: key == NFT_META_OIFNAME     ? NFT_FIELD_PORT_OUT_NAME
		: key == NFT_META_BRI_IIFNAME ? NFT_FIELD_BRIDGE_IN
		: key == NFT_META_BRI_OIFNAME ? NFT_FIELD_BRIDGE_OUT
		: key == NFT_META_L4PROTO     ? NFT_FIELD_TRANSPORT
					      : NFT_FIELD_NONE;
}

static enum nft_field payload_field(uint32_t base, uint32_t offset)
{
	static const struct {
		enum nft_field field;
		uint32_t base, offset;
	} fields[] = {
		{ NFT_FIELD_ETHER_DESTINATION, NFT_PAYLOAD_LL_HEADER, 0 },
		{ NFT_FIELD_ETHER_SOURCE, NFT_PAYLOAD_LL_HEADER, 6 },
		{ NFT_FIELD_ETHER_TYPE, NFT_PAYLOAD_LL_HEADER, 12 },
		{ NFT_FIELD_IP_PROTOCOL, NFT_PAYLOAD_NETWORK_HEADER, 9 },
		{ NFT_FIELD_IP_SOURCE, NFT_PAYLOAD_NETWORK_HEADER, 12 },
		{ NFT_FIELD_IP_DESTINATION, NFT_PAYLOAD_NETWORK_HEADER, 16 },
		{ NFT_FIELD_ARP_FORMAT, NFT_PAYLOAD_NETWORK_HEADER, 0 },
		{ NFT_FIELD_ARP_SENDER_MAC, NFT_PAYLOAD_NETWORK_HEADER, 8 },
		{ NFT_FIELD_ARP_SENDER_IP, NFT_PAYLOAD_NETWORK_HEADER, 14 },
		{ NFT_FIELD_ARP_TARGET_IP, NFT_PAYLOAD_NETWORK_HEADER, 24 },
		{ NFT_FIELD_UDP_SOURCE, NFT_PAYLOAD_TRANSPORT_HEADER, 0 },
		{ NFT_FIELD_UDP_DESTINATION, NFT_PAYLOAD_TRANSPORT_HEADER, 2 },
	};

	for (size_t i = 0; i < COUNT(fields); i++) {
		if (fields[i].base == base && fields[i].offset == offset)
			return fields[i].field;
	}
	return NFT_FIELD_NONE;
}

/* A second field goes to the register behind the last one of the first. */
static void note_load(struct reader *reader, enum nft_field field, uint32_t reg)
{
	size_t first = reader->loads ? (nft_field_len(reader->loaded[0]) + 3) / 4 : 0;

	assert_int_not_equal(field, NFT_FIELD_NONE);
	assert_in_range(reader->loads, 0, 1);
	assert_int_equal(reg, NFT_REG32_00 + first);
	reader->loaded[reader->loads++] = (uint8_t)field;
}

static void read_meta(struct reader *reader, struct nlattr *data)
{
	struct nlattr *attrs[NFTA_META_MAX + 1];

	parse_nest(attrs, NFTA_META_MAX, data);
	note_load(reader, meta_field(u32_of(attrs[NFTA_META_KEY])), u32_of(attrs[NFTA_META_DREG]));
}

static void read_payload(struct reader *reader, struct nlattr *data)
{
	struct nlattr *attrs[NFTA_PAYLOAD_MAX + 1];
	enum nft_field field;

	parse_nest(attrs, NFTA_PAYLOAD_MAX, data);
	field = payload_field(u32_of(attrs[NFTA_PAYLOAD_BASE]), u32_of(attrs[NFTA_PAYLOAD_OFFSET]));
	assert_int_equal(u32_of(attrs[NFTA_PAYLOAD_LEN]), nft_field_len(field));
	note_load(reader, field, u32_of(attrs[NFTA_PAYLOAD_DREG]));
}

static void read_bitwise(struct reader *reader, struct nlattr *data)
{
	static const uint8_t zero[NFT_VALUE_SIZE];
	struct nlattr *attrs[NFTA_BITWISE_MAX + 1];
	uint8_t mask[NFT_VALUE_SIZE], xor[NFT_VALUE_SIZE];
	size_t len = nft_field_len(reader->loaded[0]);

	parse_nest(attrs, NFTA_BITWISE_MAX, data);
	assert_int_equal(reader->loads, 1);
	assert_int_equal(u32_of(attrs[NFTA_BITWISE_SREG]), NFT_REG32_00);
	assert_int_equal(u32_of(attrs[NFTA_BITWISE_DREG]), NFT_REG32_00);
	assert_int_equal(u32_of(attrs[NFTA_BITWISE_LEN]), len);
	assert_int_equal(data_of(attrs[NFTA_BITWISE_MASK], mask), len);
	assert_int_equal(data_of(attrs[NFTA_BITWISE_XOR], xor), len);
	assert_memory_equal(xor, zero, sizeof(xor));
	/* leading bits, and none after them */
	while (reader->bits < len * 8 && mask[reader->bits / 8] & 0x80 >> reader->bits % 8)
		reader->bits++;
	for (size_t bit = reader->bits; bit < sizeof(mask) * 8; bit++)
		assert_false(mask[bit / 8] & 0x80 >> bit % 8);
}

static void read_cmp(struct reader *reader, struct nlattr *data)
{
	struct nlattr *attrs[NFTA_CMP_MAX + 1];
	struct nft_match *match = &reader->rule.match[reader->matches++];
	uint32_t op;

	parse_nest(attrs, NFTA_CMP_MAX, data);
	assert_int_equal(reader->loads, 1);
	assert_in_range(reader->matches, 1, NFT_MATCHES);
	assert_int_equal(u32_of(attrs[NFTA_CMP_SREG]), NFT_REG32_00);
	op = u32_of(attrs[NFTA_CMP_OP]);
	assert_true(op == NFT_CMP_EQ || op == NFT_CMP_NEQ);
	match->field = reader->loaded[0];
	match->differs = op == NFT_CMP_NEQ;
	match->bits = reader->bits;
	assert_int_equal(data_of(attrs[NFTA_CMP_DATA], match->value), nft_field_len(match->field));
	reader->loads = 0;
	reader->bits = 0;
}

static void take_key(struct reader *reader, struct nlattr *sreg)
{
	assert_int_equal(u32_of(sreg), NFT_REG32_00);
	assert_in_range(reader->loads, 1, 2);
	for (size_t i = 0; i < reader->loads; i++)
		reader->rule.key[i] = reader->loaded[i];
	reader->loads = 0;
}

static void read_lookup(struct reader *reader, struct nlattr *data)
{
	struct nlattr *attrs[NFTA_LOOKUP_MAX + 1];

	parse_nest(attrs, NFTA_LOOKUP_MAX, data);
	take_key(reader, attrs[NFTA_LOOKUP_SREG]);
	name_of(attrs[NFTA_LOOKUP_SET], reader->rule.set);
	if (attrs[NFTA_LOOKUP_DREG]) {
		assert_int_equal(u32_of(attrs[NFTA_LOOKUP_DREG]), NFT_REG_VERDICT);
		reader->rule.action = NFT_ACTION_LOOKUP;
	}
	if (attrs[NFTA_LOOKUP_FLAGS])
		reader->rule.not_in_set = u32_of(attrs[NFTA_LOOKUP_FLAGS]) == NFT_LOOKUP_F_INV;
}

static void read_immediate(struct reader *reader, struct nlattr *data)
{
	struct nlattr *attrs[NFTA_IMMEDIATE_MAX + 1];
	int code;

	parse_nest(attrs, NFTA_IMMEDIATE_MAX, data);
	assert_int_equal(u32_of(attrs[NFTA_IMMEDIATE_DREG]), NFT_REG_VERDICT);
	code = verdict_of(attrs[NFTA_IMMEDIATE_DATA], reader->rule.target);
	assert_true(code == NF_ACCEPT || code == NF_DROP || code == NFT_GOTO);
	reader->rule.action = code == NF_ACCEPT ? NFT_ACTION_ACCEPT
		: code == NF_DROP               ? NFT_ACTION_DROP
						: NFT_ACTION_GOTO;
}

static void read_objref(struct reader *reader, struct nlattr *data)
{
	struct nlattr *attrs[NFTA_OBJREF_MAX + 1];

	parse_nest(attrs, NFTA_OBJREF_MAX, data);
	if (attrs[NFTA_OBJREF_SET_NAME]) {
		take_key(reader, attrs[NFTA_OBJREF_SET_SREG]);
		name_of(attrs[NFTA_OBJREF_SET_NAME], reader->rule.set);
		reader->rule.action = NFT_ACTION_COUNT_BY;
		return;
	}
	assert_int_equal(u32_of(attrs[NFTA_OBJREF_IMM_TYPE]), NFT_OBJECT_COUNTER);
	name_of(attrs[NFTA_OBJREF_IMM_NAME], reader->rule.target);
	reader->rule.action = NFT_ACTION_COUNT;
}

static const struct {
	const char *name;
	void (*read)(struct reader *reader, struct nlattr *data);
} readers[] = {
	{ "meta", read_meta },
	{ "payload", read_payload },
	{ "bitwise", read_bitwise },
	{ "cmp", read_cmp },
	{ "lookup", read_lookup },
	{ "immediate", read_immediate },
	{ "objref", read_objref },
};

static void read_rule(struct nlattr *expressions, struct nft_rule *ret_rule)
{
	struct reader reader = { 0 };
	struct nlattr *element;
	int left;

	assert_non_null(expressions);
	assert_stream(nla_data(expressions), nla_len(expressions));
	nla_for_each_nested(element, expressions, left)
	{
		struct nlattr *attrs[NFTA_EXPR_MAX + 1];
		char name[NFT_NAME_SIZE];
		size_t i = 0;

		assert_int_equal(nla_type(element), NFTA_LIST_ELEM);
		parse_nest(attrs, NFTA_EXPR_MAX, element);
		name_of(attrs[NFTA_EXPR_NAME], name);
		while (i < COUNT(readers) && strcmp(readers[i].name, name))
			i++;
		assert_in_range(i, 0, COUNT(readers) - 1);
		readers[i].read(&reader, attrs[NFTA_EXPR_DATA]);
	}
	/* nothing was loaded for nobody */
	assert_int_equal(reader.loads, 0);
	*ret_rule = reader.rule;
}

/* --- reading messages --------------------------------------------------------------------- */

/* The types of set keys that nft(8) shows them by: 6 bits for each field (its datatype.h). */
static uint32_t shown_type(uint8_t field)
{
	static const uint8_t types[NFT_FIELD_COUNT] = { [NFT_FIELD_PORT_IN] = 20,
		[NFT_FIELD_PORT_OUT] = 20,
		[NFT_FIELD_ETHER_SOURCE] = 9,
		[NFT_FIELD_ETHER_DESTINATION] = 9,
		[NFT_FIELD_IP_SOURCE] = 7,
		[NFT_FIELD_IP_DESTINATION] = 7 };

	assert_int_not_equal(types[field], 0);
	return types[field];
}

static void assert_set(struct nlattr **attrs, const struct nft_set *set)
{
	static const uint32_t flags[] = {
		[NFT_KIND_VERDICT_MAP] = NFT_SET_MAP, [NFT_KIND_COUNTER_MAP] = NFT_SET_OBJECT
	};
	size_t first = (nft_field_len(set->key[0]) + 3) & ~(size_t)3;
	size_t second = (nft_field_len(set->key[1]) + 3) & ~(size_t)3;
	uint32_t type = shown_type(set->key[0]);

	assert_name(attrs[NFTA_SET_NAME], set->name);
	assert_int_equal(u32_of(attrs[NFTA_SET_FLAGS]), flags[set->kind]);
	assert_int_equal(u32_of(attrs[NFTA_SET_KEY_LEN]),
		set->key[1] ? first + second : nft_field_len(set->key[0]));
	assert_int_equal(u32_of(attrs[NFTA_SET_KEY_TYPE]),
		set->key[1] ? type << 6 | shown_type(set->key[1]) : type);
	assert_non_null(attrs[NFTA_SET_ID]);
	if (set->kind == NFT_KIND_VERDICT_MAP)
		assert_int_equal(u32_of(attrs[NFTA_SET_DATA_TYPE]), NFT_DATA_VERDICT);
	if (set->kind == NFT_KIND_COUNTER_MAP)
		assert_int_equal(u32_of(attrs[NFTA_SET_OBJ_TYPE]), NFT_OBJECT_COUNTER);
}

static void assert_chain(struct nlattr **attrs, const struct nft_chain *chain)
{
	struct nlattr *hook[NFTA_HOOK_MAX + 1];

	assert_name(attrs[NFTA_CHAIN_NAME], chain->name);
	assert_int_equal(attrs[NFTA_CHAIN_HOOK] != NULL, chain->is_base);
	if (!chain->is_base)
		return;
	parse_nest(hook, NFTA_HOOK_MAX, attrs[NFTA_CHAIN_HOOK]);
	assert_int_equal(u32_of(hook[NFTA_HOOK_HOOKNUM]), chain->hook);
	assert_int_equal((int32_t)u32_of(hook[NFTA_HOOK_PRIORITY]), chain->priority);
	assert_int_equal(u32_of(attrs[NFTA_CHAIN_POLICY]), NF_ACCEPT);
	assert_name(attrs[NFTA_CHAIN_TYPE], "filter");
}

static void assert_counter(struct nlattr **attrs, const struct nft_counter *counter, bool is_new)
{
	struct nlattr *data[NFTA_COUNTER_MAX + 1];
	uint64_t value;

	assert_name(attrs[NFTA_OBJ_NAME], counter->name);
	assert_int_equal(u32_of(attrs[NFTA_OBJ_TYPE]), NFT_OBJECT_COUNTER);
	if (!is_new)
		return;
	parse_nest(data, NFTA_COUNTER_MAX, attrs[NFTA_OBJ_DATA]);
	assert_int_equal(nla_len(data[NFTA_COUNTER_PACKETS]), 8);
	memcpy(&value, nla_data(data[NFTA_COUNTER_PACKETS]), 8);
	assert_int_equal(be64toh(value), counter->packets);
	memcpy(&value, nla_data(data[NFTA_COUNTER_BYTES]), 8);
	assert_int_equal(be64toh(value), counter->bytes);
}

static void assert_element(struct nlattr *element, const struct nft_edit *edit)
{
	struct nlattr *attrs[NFTA_SET_ELEM_MAX + 1];
	uint8_t key[NFT_VALUE_SIZE];
	char target[NFT_NAME_SIZE] = "";

	assert_int_equal(nla_type(element), NFTA_LIST_ELEM);
	parse_nest(attrs, NFTA_SET_ELEM_MAX, element);
	(void)data_of(attrs[NFTA_SET_ELEM_KEY], key);
	assert_memory_equal(key, edit->element->key, sizeof(key));
	if (edit->set->kind == NFT_KIND_VERDICT_MAP)
		assert_int_equal(verdict_of(attrs[NFTA_SET_ELEM_DATA], target), NFT_GOTO);
	if (edit->set->kind == NFT_KIND_COUNTER_MAP)
		name_of(attrs[NFTA_SET_ELEM_OBJREF], target);
	assert_string_equal(target, edit->target);
}

/* As many elements as the message has; returns how many edits these are. */
static size_t assert_elements(struct nlattr **attrs, const struct nft_edit *edits, size_t count)
{
	struct nlattr *element;
	size_t n = 0;
	int left;

	assert_name(attrs[NFTA_SET_ELEM_LIST_SET], edits->set->name);
	assert_stream(nla_data(attrs[NFTA_SET_ELEM_LIST_ELEMENTS]),
		nla_len(attrs[NFTA_SET_ELEM_LIST_ELEMENTS]));
	nla_for_each_nested(element, attrs[NFTA_SET_ELEM_LIST_ELEMENTS], left)
	{
		assert_true(n < count);
		assert_int_equal(edits[n].kind, edits->kind);
		assert_ptr_equal(edits[n].set, edits->set);
		assert_element(element, &edits[n++]);
	}
	assert_in_range(n, 1, count);
	return n;
}

static const struct {
	int message;
	int flags;
} messages[] = {
	[NFT_EDIT_COUNTER_NEW] = { NFT_MSG_NEWOBJ, NLM_F_CREATE },
	[NFT_EDIT_SET_NEW] = { NFT_MSG_NEWSET, NLM_F_CREATE },
	[NFT_EDIT_CHAIN_NEW] = { NFT_MSG_NEWCHAIN, NLM_F_CREATE },
	[NFT_EDIT_CHAIN_FLUSH] = { NFT_MSG_DELRULE, 0 },
	[NFT_EDIT_ELEMENT_DEL] = { NFT_MSG_DELSETELEM, 0 },
	[NFT_EDIT_RULE_NEW] = { NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND },
	[NFT_EDIT_ELEMENT_NEW] = { NFT_MSG_NEWSETELEM, NLM_F_CREATE },
	[NFT_EDIT_CHAIN_DEL] = { NFT_MSG_DELCHAIN, 0 },
	[NFT_EDIT_SET_DEL] = { NFT_MSG_DELSET, 0 },
	[NFT_EDIT_COUNTER_DEL] = { NFT_MSG_DELOBJ, 0 },
};

#define ATTRS_MAX 32

/* The next message; its attributes. */
static struct nlmsghdr *next_message(const struct nft_batch *batch, size_t *at,
	struct nlattr **attrs)
{
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)(batch->data + *at);
	const struct nfgenmsg *family = nlmsg_data(header);

	assert_true(nlmsg_ok(header, (int)(batch->len - *at)));
	assert_int_equal(*at % NLMSG_ALIGNTO, 0);
	assert_true(header->nlmsg_len >= NLMSG_LENGTH(sizeof(*family)));
	assert_true(header->nlmsg_flags & NLM_F_REQUEST);
	assert_int_equal(family->version, NFNETLINK_V0);
	assert_stream(nlmsg_attrdata(header, sizeof(*family)),
		nlmsg_attrlen(header, sizeof(*family)));
	assert_int_equal(nlmsg_parse(header, sizeof(*family), attrs, ATTRS_MAX, NULL), 0);
	*at += NLMSG_ALIGN(header->nlmsg_len);
	return header;
}

/* One message of the batch is these edits; returns how many. */
static size_t assert_edits(struct nlmsghdr *header, struct nlattr **attrs,
	const struct nft_edit *edit, size_t count)
{
	const struct nfgenmsg *family = nlmsg_data(header);
	struct nft_rule rule;

	assert_int_equal(header->nlmsg_type, nft_message_type(messages[edit->kind].message));
	assert_int_equal(header->nlmsg_flags & ~(NLM_F_REQUEST | NLM_F_ACK),
		messages[edit->kind].flags);
	assert_int_equal(family->nfgen_family, NFPROTO_BRIDGE);
	assert_name(attrs[1], TABLE);
	switch (edit->kind) {
	case NFT_EDIT_COUNTER_NEW:
	case NFT_EDIT_COUNTER_DEL:
		assert_counter(attrs, edit->counter, edit->kind == NFT_EDIT_COUNTER_NEW);
		break;
	case NFT_EDIT_SET_NEW:
		assert_set(attrs, edit->set);
		break;
	case NFT_EDIT_SET_DEL:
		assert_name(attrs[NFTA_SET_NAME], edit->set->name);
		break;
	case NFT_EDIT_CHAIN_NEW:
		assert_chain(attrs, edit->chain);
		break;
	case NFT_EDIT_CHAIN_DEL:
		assert_name(attrs[NFTA_CHAIN_NAME], edit->chain->name);
		break;
	case NFT_EDIT_CHAIN_FLUSH:
		assert_name(attrs[NFTA_RULE_CHAIN], edit->chain->name);
		assert_null(attrs[NFTA_RULE_HANDLE]);
		break;
	case NFT_EDIT_RULE_NEW:
		assert_name(attrs[NFTA_RULE_CHAIN], edit->chain->name);
		read_rule(attrs[NFTA_RULE_EXPRESSIONS], &rule);
		assert_memory_equal(&rule, edit->rule, sizeof(rule));
		break;
	case NFT_EDIT_ELEMENT_NEW:
	case NFT_EDIT_ELEMENT_DEL:
		return assert_elements(attrs, edit, count);
	}
	return 1;
}

enum around { EDITS_ONLY, RENEW };

/* The whole batch: begin, perhaps the table, the edits, end. Returns how many messages. */
static size_t assert_batch(const struct nft_batch *batch, uint32_t generation, enum around around,
	const struct nft_edit *edits, size_t count, bool commits, uint32_t answer)
{
	static const int renewal[] = { NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE };
	struct nlattr *attrs[ATTRS_MAX + 1];
	size_t at = 0, n = 0, done = 0, before = around == RENEW ? COUNT(renewal) : 0;
	struct nlmsghdr *header = next_message(batch, &at, attrs);
	const struct nfgenmsg *family = nlmsg_data(header);

	assert_int_equal(header->nlmsg_type, NFNL_MSG_BATCH_BEGIN);
	assert_int_equal(ntohs(family->res_id), NFNL_SUBSYS_NFTABLES);
	assert_int_equal(u32_of(attrs[NFNL_BATCH_GENID]), generation);
	for (n = 1; done < count || n <= before; n++) {
		bool is_last;

		header = next_message(batch, &at, attrs);
		assert_int_equal(header->nlmsg_seq, n + 1);
		if (n <= before) {
			assert_int_equal(header->nlmsg_type, nft_message_type(renewal[n - 1]));
			assert_name(attrs[NFTA_TABLE_NAME], TABLE);
		} else {
			done += assert_edits(header, attrs, edits + done, count - done);
		}
		/* the last of them is answered, and no other */
		is_last = done == count && n >= before;
		assert_int_equal((header->nlmsg_flags & NLM_F_ACK) != 0, is_last);
		if (is_last)
			assert_int_equal(header->nlmsg_seq, answer);
	}
	if (commits) {
		header = next_message(batch, &at, attrs);
		assert_int_equal(header->nlmsg_type, NFNL_MSG_BATCH_END);
		assert_int_equal(header->nlmsg_flags & NLM_F_ACK, 0);
		assert_int_equal(header->nlmsg_seq, ++n);
	}
	assert_int_equal(at, batch->len);
	return n;
}

/* --- tests -------------------------------------------------------------------------------- */

/* A VM with all it can have, anti-spoof, and names as long as they can be. */
static void build(const char *isolated, unsigned seats, struct nft_table *table)
{
	struct plan *plan = plan_of("02:00:00:00:00:01,vm-001,10.77.0.11\n"
				    "02:00:00:00:00:02," NAME63 ",10.77.0.12\n");
	struct problems problems = { 0 };
	struct isolation isolation;
	struct seat seat[2] = { { plan_vm(plan, 0), 11 }, { plan_vm(plan, 1), 12 } };
	char *text;

	assert_true(asprintf(&text, "# eipd isolation, version 1\n%s", isolated) > 0);
	assert_int_equal(isolation_parse(text, "isolated", &isolation, &problems), 0);
	(void)isolation_follow(&isolation, plan);
	guard_build(&isolation,
		&(struct guard_settings){ .inner = { SELF, 24 },
			.bridge = "br0",
			.uplink = "eth1",
			.anti_spoof = seats > 0,
			.knows_bridges = true,
			.plan = plan,
			.seats = seat,
			.seat_count = seats },
		table);
	isolation_done(&isolation);
	plan_free(plan);
	free(text);
}

#define ALL                                                                                \
	"isolate vm-001\nallow vm-001 192.0.2.0/24\nallow vm-001 0.0.0.0/0\n"              \
	"allow vm-001 198.51.100.7/32\nallow vm-001 128.0.0.0/1\nseen vm-001 vnet1 11 0\n" \
	"isolate " NAME63 "\nseen " NAME63 " vnet2 12 0\nisolate vm-009\nseen vm-009 vnet9 9 0\n"

static const struct batch_row {
	const char *sentence;
	const char *have, *want; /* the state files */
	unsigned have_seats, want_seats;
} batch_rows[] = {
	{ "batch: nothing to do", "", "", 0, 0 },
	{ "batch: a VM is isolated", "", "isolate vm-001\n", 0, 0 },
	{ "batch: all there can be", "", ALL, 0, 2 },
	{ "batch: all goes", ALL, "", 2, 0 },
	{ "batch: a VM is seen on a port", "", "", 1, 2 },
	{ "batch: anti-spoof ends, the isolated stay", ALL, ALL, 2, 0 },
	{ "batch: a VM allows somebody", "isolate vm-001\n",
		"isolate vm-001\nallow vm-001 192.0.2.0/25\n", 1, 1 },
};

static void test_batch(void **state)
{
	const struct batch_row *row = *state;
	struct nft_table have, want;
	struct nft_edit *edits;
	size_t count;

	build(row->have, row->have_seats, &have);
	build(row->want, row->want_seats, &want);
	count = nft_table_diff(&have, &want, &edits);
	for (unsigned way = 0; way < 4; way++) {
		enum around around = way & 1 ? RENEW : EDITS_ONLY;
		struct nft_batch batch = { 0 };
		uint32_t answer;

		nft_batch_begin(&batch, 0x01020304);
		if (around == RENEW)
			nft_batch_renew_table(&batch, TABLE);
		nft_batch_edits(&batch, TABLE, edits, count);
		answer = nft_batch_end(&batch, way & 2);
		if (count || around == RENEW)
			(void)assert_batch(&batch, 0x01020304, around, edits, count, way & 2,
				answer);
		nft_batch_done(&batch);
		assert_null(batch.data);
	}
	free(edits);
	nft_table_done(&have);
	nft_table_done(&want);
}

static void test_delete(void **state)
{
	struct nft_batch batch = { 0 };
	struct nlattr *attrs[ATTRS_MAX + 1];
	size_t at = 0;

	(void)state;
	nft_batch_delete_table(&batch, TABLE);
	/* it is made first, as it would be an error to delete what is not there */
	assert_int_equal(next_message(&batch, &at, attrs)->nlmsg_type,
		nft_message_type(NFT_MSG_NEWTABLE));
	assert_name(attrs[NFTA_TABLE_NAME], TABLE);
	assert_int_equal(next_message(&batch, &at, attrs)->nlmsg_type,
		nft_message_type(NFT_MSG_DELTABLE));
	assert_name(attrs[NFTA_TABLE_NAME], TABLE);
	assert_int_equal(at, batch.len);
	nft_batch_done(&batch);
}

static const struct many_row {
	const char *sentence;
	unsigned elements;
	size_t messages; /* of elements */
} many_rows[] = {
	{ "many: one element", 1, 1 },
	{ "many: as many as go into a message", 256, 1 },
	{ "many: one more", 257, 2 },
	{ "many: ten thousand", 10000, 40 },
};

/* The longest elements there can be: no message may be larger than the length of an attribute. */
static void test_many(void **state)
{
	const struct many_row *row = *state;
	const enum nft_set_kind kinds[] = { NFT_KIND_SET, NFT_KIND_VERDICT_MAP,
		NFT_KIND_COUNTER_MAP };
	static const struct nft_table nothing;
	char name[NFT_NAME_SIZE];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (size_t k = 0; k < COUNT(kinds); k++) {
		struct nft_table table = { 0 };
		struct nft_set *set;
		struct nft_batch batch = { 0 };
		struct nft_edit *edits;
		size_t count, others;
		uint32_t answer;

		set = nft_add_set(&table, name, kinds[k], NFT_FIELD_ETHER_SOURCE,
			NFT_FIELD_IP_SOURCE);
		nft_add_chain(&table, name);
		nft_add_counter(&table, name);
		for (unsigned i = 0; i < row->elements; i++) {
			const uint32_t mac[2] = { i, 0 };

			nft_add_element(&table, set, mac, &i,
				kinds[k] == NFT_KIND_SET ? NULL : name);
		}
		nft_table_finish(&table);
		count = nft_table_diff(&nothing, &table, &edits);
		others = count - row->elements;
		assert_int_equal(others, 3);
		nft_batch_begin(&batch, 1);
		nft_batch_edits(&batch, TABLE, edits, count);
		answer = nft_batch_end(&batch, true);
		assert_int_equal(assert_batch(&batch, 1, EDITS_ONLY, edits, count, true, answer),
			1 + others + row->messages + 1);
		nft_batch_done(&batch);
		free(edits);
		nft_table_done(&table);
	}
}

/* The longest rule there can be goes into a message as a whole. */
static void test_long_rule(void **state)
{
	static const struct nft_table nothing;
	struct nft_table table = { 0 };
	struct nft_chain *chain;
	struct nft_rule rule = { .key = { NFT_FIELD_ETHER_SOURCE, NFT_FIELD_IP_SOURCE },
		.not_in_set = true,
		.action = NFT_ACTION_GOTO };
	struct nft_batch batch = { 0 };
	struct nft_edit *edits;
	size_t count;
	uint32_t answer;

	(void)state;
	memset(rule.set, 's', sizeof(rule.set) - 1);
	memset(rule.target, 't', sizeof(rule.target) - 1);
	for (size_t i = 0; i < NFT_MATCHES; i++) {
		rule.match[i].field = NFT_FIELD_ETHER_SOURCE;
		rule.match[i].differs = i & 1;
		rule.match[i].bits = (uint8_t)(i * 6);
		rule.match[i].value[0] = (uint8_t)i;
	}
	chain = nft_add_chain(&table, rule.target);
	nft_add_rule(chain, &rule);
	count = nft_table_diff(&nothing, &table, &edits);
	nft_batch_begin(&batch, 0);
	nft_batch_edits(&batch, TABLE, edits, count);
	answer = nft_batch_end(&batch, true);
	(void)assert_batch(&batch, 0, EDITS_ONLY, edits, count, true, answer);
	nft_batch_done(&batch);
	free(edits);
	nft_table_done(&table);
}

static void test_counter_values(void **state)
{
	static const struct nft_table nothing;
	struct nft_table table = { 0 };
	struct nft_batch batch = { 0 };
	struct nft_edit *edits;
	size_t count;
	uint32_t answer;

	(void)state;
	nft_add_counter(&table, "from-vm-001");
	table.counters[0].packets = UINT64_C(0x0102030405060708);
	table.counters[0].bytes = UINT64_MAX;
	count = nft_table_diff(&nothing, &table, &edits);
	nft_batch_begin(&batch, 0);
	nft_batch_edits(&batch, TABLE, edits, count);
	answer = nft_batch_end(&batch, true);
	(void)assert_batch(&batch, 0, EDITS_ONLY, edits, count, true, answer);
	nft_batch_done(&batch);
	free(edits);
	nft_table_done(&table);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_batch, batch_rows);
	suite_add(&suite, "batch: a table is deleted, whether it is there or not", test_delete,
		NULL);
	SUITE_ROWS(&suite, test_many, many_rows);
	suite_add(&suite, "the longest rule there can be", test_long_rule, NULL);
	suite_add(&suite, "a counter begins with what it had", test_counter_values, NULL);
	return suite_run(&suite, "nft_message");
}
