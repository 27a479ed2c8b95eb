/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ruleset: the chains and rules of ours in the nat table, as they should be or as they are, and
 * the edits from the one to the other. Pure; knows no libiptc.
 *
 *   PREROUTING  -> EIPD-PREROUTING   -d PUBLIC/32 -j DNAT --to-destination INNER
 *   OUTPUT      -> EIPD-OUTPUT       the same, for connections of the host itself
 *   POSTROUTING -> EIPD-POSTROUTING  -s INNER/32 -o eth0 -j SNAT --to-source PUBLIC
 *
 *   and for a port or a range of ports of an address that is shared:
 *
 *                                    -d PUBLIC/32 -p tcp -m tcp --dport 80 -j DNAT
 *                                    --to-destination INNER:8080
 *
 * and with hairpin, for connections from inside to a public address:
 *
 *                  EIPD-POSTROUTING  -o br0 -m conntrack --ctstate DNAT -j EIPD-HAIRPIN
 *                  EIPD-HAIRPIN      -s INNER/32 -o br0 -j SNAT --to-source PUBLIC
 *                                    -s NETWORK -o br0 -j SNAT --to-source BRIDGE
 *
 * (the state is asked for once, not by each rule: to the kernel, a match costs as much as a rule)
 *
 * Where there are many, they stand in a tree of chains by address prefix, which PREROUTING and
 * OUTPUT share, so that a new connection meets a few dozen rules and not thousands:
 *
 *                  EIPD-PREROUTING           -d 20.251.48.64/26 -j EIPD-D-20.251.48.64/26
 *                  EIPD-D-20.251.48.64/26    -d 20.251.48.96/28 -j EIPD-D-20.251.48.96/28
 *                  EIPD-D-20.251.48.96/28    -d 20.251.48.99/32 -j DNAT ...
 */
#ifndef EIPD_NATMGR_RULESET_H
#define EIPD_NATMGR_RULESET_H

#include <net/if.h>

#include "natmgr/desired.h"

#define CHAIN_PREFIX   "EIPD-"
#define CHAIN_NAME_MAX 31 /* struct xt_chainlabel of libiptc, less its NUL */

enum rule_action {
	RULE_DNAT,
	RULE_SNAT,
	RULE_JUMP,  /* to one of our chains */
	RULE_OTHER, /* in the kernel only: not one that we would write */
};

/* Addresses in host order; a prefix of length 0 matches everything. */
struct rule {
	struct ip4_prefix source, destination;
	char out[IFNAMSIZ];   /* "": any */
	bool only_dnatted;    /* -m conntrack --ctstate DNAT */
	uint8_t protocol;     /* IPPROTO_TCP or IPPROTO_UDP; 0: any */
	uint16_t first, last; /* destination ports, with a protocol */
	enum rule_action action;
	uint32_t to;
	uint16_t to_port; /* 0: as it is */
	char jump[CHAIN_NAME_MAX + 1];
};

struct chain {
	char name[CHAIN_NAME_MAX + 1];
	char builtin[CHAIN_NAME_MAX + 1]; /* jumps come from there; "": from none */
	unsigned jumps;                   /* how many; one is right */
	bool exists;                      /* in the kernel; always true in what is wanted */
	bool referenced;                  /* in the kernel: others' rules lead there as well */
	struct rule *rules;
	size_t count, cap;
};

struct ruleset {
	struct chain *chains; /* in the order of their making; they move when one is added */
	size_t count;
	uint32_t *slots; /* by name: index of a chain plus one */
	uint32_t slot_count;
};

struct ruleset_settings {
	const char *outer, *bridge;
	struct ip4_prefix inner; /* the bridge's address and network */
	bool hairpin;
};

/* What the kernel should have. The caller calls ruleset_done(). */
void ruleset_build(const struct desired *desired, const struct ruleset_settings *settings,
	struct ruleset *ret_ruleset);
/* What it should have when we are gone: nothing. */
void ruleset_empty(struct ruleset *ret_ruleset);
void ruleset_done(struct ruleset *ruleset);

struct chain *ruleset_add_chain(struct ruleset *ruleset, const char *name, const char *builtin);
struct chain *ruleset_find_chain(const struct ruleset *ruleset, const char *name);
void chain_add_rule(struct chain *chain, const struct rule *rule);
bool rule_equal(const struct rule *a, const struct rule *b);
/* As iptables -S prints it, without the chain; for logs. The caller frees. */
char *rule_format(const struct rule *rule);

enum edit_kind {
	EDIT_CHAIN_NEW,
	EDIT_CHAIN_FLUSH,
	EDIT_RULE_DELETE,  /* the rule at `position` */
	EDIT_RULE_INSERT,  /* before the rule at `position` */
	EDIT_JUMP_NEW,     /* at the head of `builtin` */
	EDIT_JUMP_DELETE,  /* the last of them */
	EDIT_CHAIN_DELETE, /* empty; left where another rule still leads there */
};

/* To be carried out in their order: each position is as the edits before have left the chain. */
struct edit {
	enum edit_kind kind;
	const char *chain, *builtin; /* in one of the two rulesets */
	size_t position;
	struct rule rule;
};

/*
 * The edits that make `have` into `want`. Rules that are in both are left alone, with their
 * counters. The caller frees *ret_edits; both rulesets must outlive it.
 */
size_t ruleset_diff(const struct ruleset *have, const struct ruleset *want,
	struct edit **ret_edits);

#endif
