/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nft owns the sockets to nf_tables and what is known of the table's state in the kernel. It must
 * not know what the rules are for.
 */
#include "natmgr/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "common/attribute.h"
#include "common/memory.h"
#include "common/netlink.h"
#include "natmgr/nft_message.h"

/* Sets that are larger are not read back element by element. */
#define FINGERPRINT_MAX 4096
#define TRIES           8

/* Numbers for what is in a table, but not for what its counters have counted. */
struct prints {
	uint64_t *rules;    /* of each chain */
	uint64_t *elements; /* of each set */
	uint64_t rest;      /* the table, its chains, and rules of chains that are not ours */
};

struct nft {
	struct nl_sock *sock, *monitor;
	struct loop *loop;
	struct loop_watch watch;
	void (*foreign)(void *ctx);
	void *ctx;
	char name[NFT_NAME_SIZE];
	struct nft_table have; /* what we wrote last */
	bool known;            /* the kernel's table is that, as of this transaction: */
	uint32_t generation;
	struct prints prints; /* of what the kernel showed then */
};

/* --- asking ------------------------------------------------------------------------------- */

static struct nl_msg *new_request(const struct nft *nft, int message, int flags, bool with_table)
{
	const struct nfgenmsg header = { .nfgen_family = NFPROTO_BRIDGE, .version = NFNETLINK_V0 };
	struct nl_msg *msg = netlink_message(nft_message_type(message), flags, &header,
		sizeof(header));

	if (!msg)
		abort();
	if (with_table)
		nla_put_string(msg, 1, nft->name);
	return msg;
}

/* The attributes behind the header; false: not such a message. */
static bool parse(const struct nlmsghdr *header, int message, struct nlattr **attrs, int max)
{
	return header->nlmsg_type == nft_message_type(message) &&
		!nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(struct nfgenmsg), attrs,
			max, NULL);
}

static void take_generation(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[NFTA_GEN_MAX + 1];

	if (parse(header, NFT_MSG_NEWGEN, attrs, NFTA_GEN_MAX) &&
		attribute_has(attrs[NFTA_GEN_ID], 4))
		*(uint32_t *)ctx = ntohl(attribute_u32(attrs[NFTA_GEN_ID]));
}

static int read_generation(struct nft *nft, uint32_t *ret_generation)
{
	*ret_generation = 0;
	return netlink_request(nft->sock, new_request(nft, NFT_MSG_GETGEN, 0, false),
		take_generation, ret_generation);
}

static bool table_exists(struct nft *nft)
{
	return netlink_request(nft->sock, new_request(nft, NFT_MSG_GETTABLE, 0, true), NULL,
		       NULL) == 0;
}

/* --- fingerprint -------------------------------------------------------------------------- */

/* FNV-1a */
static uint64_t hash(const void *data, size_t len)
{
	const uint8_t *byte = data;
	uint64_t value = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		value = (value ^ byte[i]) * UINT64_C(0x100000001b3);
	return value;
}

struct look {
	const struct nft *nft;
	const struct nft_table *table;
	struct prints *prints;
	uint64_t *sum; /* whatever order things come in */
};

static bool is_ours(const struct nft *nft, struct nlattr *table)
{
	return table && !nla_strcmp(table, nft->name);
}

static uint64_t hash_message(const struct nlmsghdr *header)
{
	return hash(nlmsg_data(header) + sizeof(struct nfgenmsg),
		header->nlmsg_len - NLMSG_HDRLEN - sizeof(struct nfgenmsg));
}

/* Switched off is as good as gone. */
static void take_table(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[NFTA_TABLE_MAX + 1];
	struct look *look = ctx;

	if (parse(header, NFT_MSG_NEWTABLE, attrs, NFTA_TABLE_MAX) && attrs[NFTA_TABLE_FLAGS])
		look->prints->rest += hash(nla_data(attrs[NFTA_TABLE_FLAGS]),
			(size_t)nla_len(attrs[NFTA_TABLE_FLAGS]));
}

static void take_chain(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[NFTA_CHAIN_MAX + 1];
	struct look *look = ctx;

	if (parse(header, NFT_MSG_NEWCHAIN, attrs, NFTA_CHAIN_MAX) &&
		is_ours(look->nft, attrs[NFTA_CHAIN_TABLE]))
		look->prints->rest += hash_message(header);
}

static void take_rule(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[NFTA_RULE_MAX + 1];
	const struct nft_chain *chain;
	struct look *look = ctx;
	char name[NFT_NAME_SIZE];

	if (!parse(header, NFT_MSG_NEWRULE, attrs, NFTA_RULE_MAX) ||
		!is_ours(look->nft, attrs[NFTA_RULE_TABLE]) || !attrs[NFTA_RULE_CHAIN])
		return;
	nla_strlcpy(name, attrs[NFTA_RULE_CHAIN], sizeof(name));
	chain = nft_find_chain(look->table, name);
	if (chain)
		look->prints->rules[chain - look->table->chains] += hash_message(header);
	else
		look->prints->rest += hash_message(header);
}

static void take_elements(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[NFTA_SET_ELEM_LIST_MAX + 1], *element;
	struct look *look = ctx;
	int left;

	if (!parse(header, NFT_MSG_NEWSETELEM, attrs, NFTA_SET_ELEM_LIST_MAX) ||
		!attrs[NFTA_SET_ELEM_LIST_SET] || !attrs[NFTA_SET_ELEM_LIST_ELEMENTS])
		return;
	nla_for_each_nested(element, attrs[NFTA_SET_ELEM_LIST_ELEMENTS],
		left) *look->sum += hash(nla_data(element), (size_t)nla_len(element));
}

static int dump(struct nft *nft, struct nl_msg *msg,
	void (*take)(void *ctx, const struct nlmsghdr *header), struct look *look)
{
	return netlink_request(nft->sock, msg, take, look);
}

static struct prints new_prints(const struct nft_table *table)
{
	return (struct prints){ .rules = xcalloc(table->chain_count, sizeof(uint64_t)),
		.elements = xcalloc(table->set_count, sizeof(uint64_t)) };
}

static void prints_done(struct prints *prints)
{
	free(prints->rules);
	free(prints->elements);
	*prints = (struct prints){ 0 };
}

static bool is_same(const struct nft_table *table, const struct prints *a, const struct prints *b)
{
	return a->rest == b->rest &&
		!memcmp(a->rules, b->rules, table->chain_count * sizeof(*a->rules)) &&
		!memcmp(a->elements, b->elements, table->set_count * sizeof(*a->elements));
}

/* What of a table is to be read; NULL: all. */
struct stale {
	bool *chains, *sets;
};

/* One by one a chain costs a system call, together each costs those that stand before it. */
#define CHAINS_ONE_BY_ONE 64

static int read_rules(struct look *look, struct nft *nft, const bool *is_stale)
{
	size_t count = 0;
	int err = 0;

	for (size_t i = 0; is_stale && i < look->table->chain_count; i++)
		count += is_stale[i];
	if (!is_stale || count > CHAINS_ONE_BY_ONE) {
		memset(look->prints->rules, 0,
			look->table->chain_count * sizeof(*look->prints->rules));
		return dump(nft, new_request(nft, NFT_MSG_GETRULE, NLM_F_DUMP, true), take_rule,
			look);
	}
	for (size_t i = 0; !err && i < look->table->chain_count; i++) {
		struct nl_msg *msg;

		if (!is_stale[i])
			continue;
		msg = new_request(nft, NFT_MSG_GETRULE, NLM_F_DUMP, true);
		nla_put_string(msg, NFTA_RULE_CHAIN, look->table->chains[i].name);
		err = dump(nft, msg, take_rule, look);
	}
	return err;
}

static int read_prints(struct nft *nft, const struct nft_table *table, const struct stale *stale,
	struct prints *prints)
{
	struct look look = { .nft = nft, .table = table, .prints = prints };
	int err = dump(nft, new_request(nft, NFT_MSG_GETTABLE, 0, true), take_table, &look);

	if (!err)
		err = dump(nft, new_request(nft, NFT_MSG_GETCHAIN, NLM_F_DUMP, true), take_chain,
			&look);
	if (!err)
		err = read_rules(&look, nft, stale ? stale->chains : NULL);
	for (size_t i = 0; !err && i < table->set_count; i++) {
		const struct nft_set *set = &table->sets[i];
		struct nl_msg *msg;

		if (set->count > FINGERPRINT_MAX || (stale && !stale->sets[i]))
			continue;
		look.sum = &prints->elements[i];
		msg = new_request(nft, NFT_MSG_GETSETELEM, NLM_F_DUMP, true);
		nla_put_string(msg, NFTA_SET_ELEM_LIST_SET, set->name);
		err = dump(nft, msg, take_elements, &look);
	}
	return err;
}

static void mark(const struct stale *stale, const struct nft_table *table,
	const struct nft_edit *edit)
{
	const struct nft_chain *chain = edit->chain ? nft_find_chain(table, edit->chain->name)
						    : NULL;
	const struct nft_set *set = edit->set ? nft_find_set(table, edit->set->name) : NULL;

	if (chain)
		stale->chains[chain - table->chains] = true;
	if (set)
		stale->sets[set - table->sets] = true;
}

/* After edits: what they did not touch is as it was. */
static int read_edited(struct nft *nft, const struct nft_table *want, const struct nft_edit *edits,
	size_t count, struct prints *prints)
{
	struct stale stale = { xcalloc(want->chain_count, sizeof(bool)),
		xcalloc(want->set_count, sizeof(bool)) };
	int err;

	for (size_t i = 0; i < count; i++)
		mark(&stale, want, &edits[i]);
	for (size_t i = 0; i < want->chain_count; i++) {
		const struct nft_chain *old = nft_find_chain(&nft->have, want->chains[i].name);

		if (old && !stale.chains[i])
			prints->rules[i] = nft->prints.rules[old - nft->have.chains];
	}
	for (size_t i = 0; i < want->set_count; i++) {
		const struct nft_set *old = nft_find_set(&nft->have, want->sets[i].name);

		if (old && !stale.sets[i])
			prints->elements[i] = nft->prints.elements[old - nft->have.sets];
	}
	err = read_prints(nft, want, &stale, prints);
	free(stale.chains);
	free(stale.sets);
	return err;
}

/* --- counters ----------------------------------------------------------------------------- */

struct counter_walk {
	const struct nft *nft;
	void (*each)(void *ctx, const char *name, uint64_t packets, uint64_t bytes);
	void *ctx;
};

static void take_counter(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[NFTA_OBJ_MAX + 1], *data[NFTA_COUNTER_MAX + 1];
	const struct counter_walk *walk = ctx;
	char name[NFT_NAME_SIZE];

	if (!parse(header, NFT_MSG_NEWOBJ, attrs, NFTA_OBJ_MAX) ||
		!is_ours(walk->nft, attrs[NFTA_OBJ_TABLE]) || !attrs[NFTA_OBJ_NAME] ||
		ntohl(attribute_u32(attrs[NFTA_OBJ_TYPE])) != NFT_OBJECT_COUNTER ||
		!attrs[NFTA_OBJ_DATA] ||
		nla_parse_nested(data, NFTA_COUNTER_MAX, attrs[NFTA_OBJ_DATA], NULL))
		return;
	nla_strlcpy(name, attrs[NFTA_OBJ_NAME], sizeof(name));
	walk->each(walk->ctx, name, be64toh(attribute_u64(data[NFTA_COUNTER_PACKETS])),
		be64toh(attribute_u64(data[NFTA_COUNTER_BYTES])));
}

int nft_read_counters(struct nft *nft,
	void (*each)(void *ctx, const char *name, uint64_t packets, uint64_t bytes), void *ctx)
{
	struct counter_walk walk = { nft, each, ctx };

	return netlink_request(nft->sock, new_request(nft, NFT_MSG_GETOBJ, NLM_F_DUMP, true),
		take_counter, &walk);
}

/* A table that is made anew goes on counting where the old one was. */
static void keep_value(void *ctx, const char *name, uint64_t packets, uint64_t bytes)
{
	const struct nft_table *table = ctx;

	for (size_t i = 0; i < table->counter_count; i++) {
		if (!strcmp(table->counters[i].name, name)) {
			table->counters[i].packets = packets;
			table->counters[i].bytes = bytes;
		}
	}
}

/* --- telling ------------------------------------------------------------------------------ */

/*
 * The kernel has worked on the whole batch when the send returns, so its answers are there: the
 * first error, or the answer to the last message, which says nothing of the others.
 */
static int read_answers(int fd, uint32_t last)
{
	uint8_t buffer[16384] __attribute__((aligned(8)));
	bool answered = false, lost = false;
	ssize_t len;
	int err = 0;

	while ((len = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT | MSG_TRUNC)) > 0 ||
		(len < 0 && (errno == ENOBUFS || errno == EINTR))) {
		struct nlmsghdr *header = (struct nlmsghdr *)(void *)buffer;
		int left = len > (ssize_t)sizeof(buffer) ? (int)sizeof(buffer) : (int)len;

		lost = lost || left < len || (len < 0 && errno == ENOBUFS);
		for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
			const struct nlmsgerr *error = nlmsg_data(header);

			if (header->nlmsg_type != NLMSG_ERROR ||
				header->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
				continue;
			if (!err)
				err = netlink_error(error);
			answered = answered || header->nlmsg_seq == last;
		}
	}
	if (!err && len < 0 && errno != EAGAIN)
		err = -errno;
	return err ? err : lost ? -ENOBUFS : answered ? 0 : -EPROTO;
}

static int send_batch(struct nft *nft, const struct nft_batch *batch, uint32_t last)
{
	int fd = nl_socket_get_fd(nft->sock);
	/* more than a socket may usually hold */
	int room = batch->len > INT32_MAX / 2 ? INT32_MAX : (int)batch->len * 2;
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	/* what an earlier request left is not an answer to this one */
	(void)read_answers(fd, 0);
	if (room > 65536)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (sendto(fd, batch->data, batch->len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	return read_answers(fd, last);
}

/* --- the table ---------------------------------------------------------------------------- */

static bool is_empty(const struct nft_table *table)
{
	return !table->chain_count && !table->set_count && !table->counter_count;
}

/* The kernel's table is not what we wrote. */
static bool is_changed(struct nft *nft, uint32_t generation)
{
	struct prints prints;
	bool changed;

	if (generation == nft->generation)
		return false;
	if (is_empty(&nft->have))
		return table_exists(nft);
	prints = new_prints(&nft->have);
	changed = read_prints(nft, &nft->have, NULL, &prints) ||
		!is_same(&nft->have, &prints, &nft->prints);
	prints_done(&prints);
	return changed;
}

/* Anew: all of it was written; else the edits only. */
static void note_written(struct nft *nft, struct nft_table *want, bool anew,
	const struct nft_edit *edits, size_t count, uint32_t generation)
{
	struct prints prints = new_prints(want);
	uint32_t now;
	int err = 0;

	if (!is_empty(want))
		err = anew ? read_prints(nft, want, NULL, &prints)
			   : read_edited(nft, want, edits, count, &prints);
	/* what others wrote in the meantime would pass for ours */
	nft->known = is_empty(want) || (!err && !read_generation(nft, &now) && now == generation);
	nft->generation = generation;
	nft_table_done(&nft->have);
	nft->have = *want;
	*want = (struct nft_table){ 0 };
	prints_done(&nft->prints);
	nft->prints = prints;
}

/* One transaction. 0 also where there is nothing to do; -ERESTART: others were faster. */
static int write_table(struct nft *nft, struct nft_table *want, bool anew, uint32_t generation)
{
	static const struct nft_table nothing;
	struct nft_batch batch = { 0 };
	struct nft_edit *edits;
	size_t count;
	int err;

	if (anew && !is_empty(want))
		(void)nft_read_counters(nft, keep_value, want);
	count = nft_table_diff(anew ? &nothing : &nft->have, want, &edits);
	if (is_empty(want) ? !table_exists(nft) : !anew && !count) {
		/* what we wrote may be gone already */
		if (is_empty(want))
			nft_table_done(&nft->have);
		nft->generation = generation;
		nft->known = true;
		err = 0;
	} else {
		nft_batch_begin(&batch, generation);
		if (is_empty(want))
			nft_batch_delete_table(&batch, nft->name);
		else if (anew)
			nft_batch_renew_table(&batch, nft->name);
		if (!is_empty(want))
			nft_batch_edits(&batch, nft->name, edits, count);
		err = send_batch(nft, &batch, nft_batch_end(&batch, true));
		if (!err)
			note_written(nft, want, anew, edits, count, generation + 1);
		else if (err != -ERESTART)
			nft->known = false; /* the edits were for something else, perhaps */
	}
	nft_batch_done(&batch);
	free(edits);
	return err;
}

static void explain(int err, char error[static NFT_ERROR_SIZE])
{
	struct utsname kernel = { 0 };

	uname(&kernel);
	if (err == -EPERM)
		snprintf(error, NFT_ERROR_SIZE,
			"nf_tables may not be changed: not permitted; run eipd as root or with "
			"CAP_NET_ADMIN");
	else if (err == -ENOBUFS || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
		snprintf(error, NFT_ERROR_SIZE,
			"nf_tables cannot be changed: %s; try again when there is room",
			strerror(-err));
	else
		snprintf(error, NFT_ERROR_SIZE,
			"bridged frames cannot be filtered by nf_tables on kernel %s: %s; it takes "
			"CONFIG_NF_TABLES and CONFIG_NF_TABLES_BRIDGE (where they are modules: "
			"modprobe -a nf_tables nft_objref nft_meta_bridge)",
			kernel.release, strerror(-err));
}

int nft_sync(struct nft *nft, struct nft_table *want, bool *ret_repaired,
	char error[static NFT_ERROR_SIZE])
{
	bool repaired = false, was_known = nft->known;
	uint32_t generation;
	int err = -ERESTART;

	for (int i = 0; (err == -ERESTART || err == -EAGAIN) && i < TRIES; i++) {
		err = read_generation(nft, &generation);
		if (!err && nft->known && is_changed(nft, generation)) {
			nft->known = false;
			repaired = was_known;
		}
		if (!err)
			err = write_table(nft, want, !nft->known || is_empty(&nft->have),
				generation);
	}
	/* who has no nf_tables, and needs none, need not know */
	if (err && is_empty(want) && is_empty(&nft->have))
		err = 0;
	if (err)
		explain(err, error);
	else
		*ret_repaired = repaired;
	nft_table_done(want);
	return err;
}

int nft_check(struct nft *nft, struct nft_table *want, char error[static NFT_ERROR_SIZE])
{
	static const struct nft_table nothing;
	struct nft_batch batch = { 0 };
	struct nft_edit *edits;
	size_t count = nft_table_diff(&nothing, want, &edits);
	int err;

	/* 0: whatever the generation is */
	nft_batch_begin(&batch, 0);
	nft_batch_renew_table(&batch, nft->name);
	nft_batch_edits(&batch, nft->name, edits, count);
	err = send_batch(nft, &batch, nft_batch_end(&batch, false));
	if (err)
		explain(err, error);
	nft_batch_done(&batch);
	free(edits);
	nft_table_done(want);
	return err;
}

/* --- life --------------------------------------------------------------------------------- */

static int ignore(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

static void monitor_ready(void *ctx, uint32_t events)
{
	struct nft *nft = ctx;
	int err = 0;

	(void)events;
	for (int i = 0; err >= 0 && i < 64; i++)
		err = nl_recvmsgs_default(nft->monitor);
	nft->foreign(nft->ctx);
}

/* Without it, changes of others are seen at the next resync. */
static void watch(struct nft *nft)
{
	if (netlink_open(NETLINK_NETFILTER, &nft->monitor))
		return;
	nl_socket_disable_seq_check(nft->monitor);
	nl_socket_set_nonblocking(nft->monitor);
	nl_socket_modify_cb(nft->monitor, NL_CB_VALID, NL_CB_CUSTOM, ignore, NULL);
	if (nl_socket_add_membership(nft->monitor, NFNLGRP_NFTABLES) < 0) {
		netlink_close(nft->monitor);
		nft->monitor = NULL;
		return;
	}
	loop_watch(nft->loop, &nft->watch, nl_socket_get_fd(nft->monitor), EPOLLIN, monitor_ready,
		nft);
}

int nft_new(struct loop *loop, const char *table, void (*foreign)(void *ctx), void *ctx,
	struct nft **ret_nft)
{
	struct nft *nft = xcalloc(1, sizeof(*nft));
	int err = netlink_open(NETLINK_NETFILTER, &nft->sock), on = 1;

	if (err) {
		free(nft);
		return err;
	}
	nft->loop = loop;
	nft->foreign = foreign;
	nft->ctx = ctx;
	snprintf(nft->name, sizeof(nft->name), "%s", table);
	nl_socket_disable_seq_check(nft->sock);
	/* the kernel tells as much at once as there is room for */
	(void)nl_socket_set_msg_buf_size(nft->sock, 32768);
	/* an error comes without the message that it is about, which may be large */
	(void)setsockopt(nl_socket_get_fd(nft->sock), SOL_NETLINK, NETLINK_CAP_ACK, &on,
		sizeof(on));
	if (foreign)
		watch(nft);
	*ret_nft = nft;
	return 0;
}

void nft_free(struct nft *nft)
{
	if (!nft)
		return;
	if (nft->monitor)
		loop_unwatch(nft->loop, &nft->watch);
	netlink_close(nft->monitor);
	netlink_close(nft->sock);
	nft_table_done(&nft->have);
	prints_done(&nft->prints);
	free(nft);
}
