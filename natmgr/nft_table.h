/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nft_table: one table of nf_tables (linux/netfilter/nf_tables.h) as it should be: chains of
 * rules, sets, maps and counters; and the edits from one state of it to another. Pure; knows no
 * netlink, nor what the rules are for.
 */
#ifndef EIPD_NATMGR_NFT_TABLE_H
#define EIPD_NATMGR_NFT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NFT_NAME_SIZE  80 /* "from-", a VM's name of 63, NUL */
#define NFT_VALUE_SIZE 16
#define NFT_MATCHES    7

/* What a rule may look at. The comments say how nft(8) calls it. */
enum nft_field {
	NFT_FIELD_NONE,
	NFT_FIELD_PORT_IN,           /* iif: index of the link, in the host's byte order */
	NFT_FIELD_PORT_OUT,          /* oif */
	NFT_FIELD_PORT_IN_NAME,      /* iifname: as the next, padded with NULs */
	NFT_FIELD_PORT_OUT_NAME,     /* oifname */
	NFT_FIELD_BRIDGE_IN,         /* meta ibrname: of the bridge that the port belongs to */
	NFT_FIELD_BRIDGE_OUT,        /* meta obrname */
	NFT_FIELD_ETHER_SOURCE,      /* ether saddr */
	NFT_FIELD_ETHER_DESTINATION, /* ether daddr */
	NFT_FIELD_ETHER_TYPE,        /* ether type; 802.1Q for tagged frames */
	NFT_FIELD_TRANSPORT,         /* meta l4proto: only of IP whose header is sound */
	NFT_FIELD_IP_PROTOCOL,       /* ip protocol */
	NFT_FIELD_IP_SOURCE,         /* ip saddr */
	NFT_FIELD_IP_DESTINATION,    /* ip daddr */
	NFT_FIELD_UDP_SOURCE,        /* udp sport */
	NFT_FIELD_UDP_DESTINATION,   /* udp dport */
	NFT_FIELD_ARP_FORMAT,        /* arp htype, ptype, hlen, plen: the first 6 octets */
	NFT_FIELD_ARP_SENDER_MAC,    /* arp saddr ether */
	NFT_FIELD_ARP_SENDER_IP,     /* arp saddr ip */
	NFT_FIELD_ARP_TARGET_IP,     /* arp daddr ip */
	NFT_FIELD_COUNT
};

/* The octets of a field; 4 for indexes of links, IFNAMSIZ for names. */
size_t nft_field_len(enum nft_field field);

struct nft_match {
	uint8_t field;                 /* enum nft_field */
	bool differs;                  /* matches what is NOT so */
	uint8_t bits;                  /* how many leading bits are compared; 0: all */
	uint8_t value[NFT_VALUE_SIZE]; /* in network byte order, but for indexes of links */
};

enum nft_action {
	NFT_ACTION_ACCEPT,
	NFT_ACTION_DROP,
	NFT_ACTION_GOTO,   /* `target` is a chain */
	NFT_ACTION_LOOKUP, /* the verdict map `set` says; where it has nothing, on to the next rule */
	NFT_ACTION_COUNT,    /* in the counter `target`, then on */
	NFT_ACTION_COUNT_BY, /* in the counter that the counter map `set` says, then on */
};

/* All that is not used must be zero: rules are compared by their bytes. */
struct nft_rule {
	struct nft_match match[NFT_MATCHES]; /* up to the first NFT_FIELD_NONE; all must match */
	uint8_t key[2];          /* enum nft_field: looked up in `set`, one after the other */
	bool not_in_set;         /* of a plain set: matches where the key is not in it */
	uint8_t action;          /* enum nft_action */
	char set[NFT_NAME_SIZE]; /* "": nothing is looked up */
	char target[NFT_NAME_SIZE];
};

enum nft_set_kind { NFT_KIND_SET, NFT_KIND_VERDICT_MAP, NFT_KIND_COUNTER_MAP };

struct nft_element {
	uint8_t key[NFT_VALUE_SIZE]; /* each field padded to a multiple of 4 octets */
	uint16_t target;             /* of maps: index of its name in the table */
};

struct nft_set {
	char name[NFT_NAME_SIZE];
	enum nft_set_kind kind;
	uint8_t key[2]; /* enum nft_field */
	struct nft_element *elements;
	size_t count, cap;
};

struct nft_chain {
	char name[NFT_NAME_SIZE];
	bool is_base;
	uint32_t hook; /* NF_BR_PRE_ROUTING, … of a base chain */
	int32_t priority;
	struct nft_rule *rules;
	size_t count, cap;
};

struct nft_counter {
	char name[NFT_NAME_SIZE];
	uint64_t packets, bytes; /* what a new one begins with; not compared */
};

struct nft_table {
	struct nft_chain *chains;
	size_t chain_count;
	struct nft_set *sets;
	size_t set_count;
	struct nft_counter *counters;
	size_t counter_count;
	char (*targets)[NFT_NAME_SIZE]; /* what elements of maps lead to: chains and counters */
	size_t target_count;
	bool is_finished; /* chains, sets and counters are sorted by name */
};

/* What is returned is valid until the next of its kind is added. */
struct nft_chain *nft_add_chain(struct nft_table *table, const char *name);
struct nft_chain *nft_add_base_chain(struct nft_table *table, const char *name, uint32_t hook,
	int32_t priority);
struct nft_set *nft_add_set(struct nft_table *table, const char *name, enum nft_set_kind kind,
	enum nft_field first, enum nft_field second);
void nft_add_counter(struct nft_table *table, const char *name);
void nft_add_rule(struct nft_chain *chain, const struct nft_rule *rule);
/* `second` may be NULL; `target`: a chain or counter, for maps, else NULL. */
void nft_add_element(struct nft_table *table, struct nft_set *set, const void *first,
	const void *second, const char *target);
/*
 * Sorts what has no order, by name or key, and drops what stands there twice: to be called when all
 * is added, before anything below but for searches.
 */
void nft_table_finish(struct nft_table *table);
void nft_table_done(struct nft_table *table);

const struct nft_chain *nft_find_chain(const struct nft_table *table, const char *name);
const struct nft_set *nft_find_set(const struct nft_table *table, const char *name);
const struct nft_counter *nft_find_counter(const struct nft_table *table, const char *name);

enum nft_edit_kind {
	NFT_EDIT_COUNTER_NEW,
	NFT_EDIT_SET_NEW,
	NFT_EDIT_CHAIN_NEW,
	NFT_EDIT_CHAIN_FLUSH,
	NFT_EDIT_ELEMENT_DEL,
	NFT_EDIT_RULE_NEW,
	NFT_EDIT_ELEMENT_NEW,
	NFT_EDIT_CHAIN_DEL,
	NFT_EDIT_SET_DEL,
	NFT_EDIT_COUNTER_DEL,
};

/* Which members count follows from the kind; they point into the two tables. */
struct nft_edit {
	enum nft_edit_kind kind;
	const struct nft_chain *chain;
	const struct nft_rule *rule;
	const struct nft_set *set;
	const struct nft_element *element;
	const char *target; /* of the element */
	const struct nft_counter *counter;
};

/*
 * The edits from `have` to `want`, in an order in which each can be done: what is referred to is
 * made before what refers to it. A chain whose rules differ is written anew, as one transaction
 * holds all edits. The caller frees *ret_edits.
 */
size_t nft_table_diff(const struct nft_table *have, const struct nft_table *want,
	struct nft_edit **ret_edits);

#endif
