/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend_iptables owns the nat table: its entries as the kernel wants them, its errors.
 * The only file that knows libiptc; it must not know what the rules are for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libiptc/libiptc.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/memory.h"
#include "natmgr/backend.h"
#include "natmgr/xtables_lock.h"

#define TABLE "nat"

/* The revisions that the iptables program writes, so that what it saves it can restore. */
#define SNAT_REVISION      0
#define CONNTRACK_REVISION 3

#define HEADER_LEN    XT_ALIGN(sizeof(struct ipt_entry))
#define MATCH_HEADER  XT_ALIGN(sizeof(struct xt_entry_match))
#define CONNTRACK_LEN (MATCH_HEADER + XT_ALIGN(sizeof(struct xt_conntrack_mtinfo3)))
#define TCP_LEN       (MATCH_HEADER + XT_ALIGN(sizeof(struct xt_tcp)))
#define UDP_LEN       (MATCH_HEADER + XT_ALIGN(sizeof(struct xt_udp)))
#define TARGET_HEADER XT_ALIGN(sizeof(struct xt_entry_target))
#define OLD_RANGE_LEN XT_ALIGN(sizeof(struct nf_nat_ipv4_multi_range_compat))
#define NEW_RANGE_LEN XT_ALIGN(sizeof(struct nf_nat_range2))
#define JUMP_LEN      XT_ALIGN(sizeof(struct xt_standard_target))
#define ENTRY_MAX     (HEADER_LEN + CONNTRACK_LEN + TCP_LEN + TARGET_HEADER + NEW_RANGE_LEN)

struct iptables {
	struct backend backend;
	int lock_fd;
	int dnat_revision; /* -1: not asked yet */
	struct xtc_handle *handle;
};

/* An entry being made or read, aligned as the kernel has it. */
union entry {
	struct ipt_entry header;
	uint8_t bytes[ENTRY_MAX];
};

/* --- entries ------------------------------------------------------------------------------ */

static struct xt_entry_target *target_of(const struct ipt_entry *entry)
{
	return (struct xt_entry_target *)((uintptr_t)entry + entry->target_offset);
}

static struct xt_entry_match *match_at(void *entry, size_t offset)
{
	return (struct xt_entry_match *)((uintptr_t)entry + offset);
}

/* Each of these writes a match and returns its length. */
static size_t write_conntrack_match(struct xt_entry_match *match)
{
	struct xt_conntrack_mtinfo3 *info = (struct xt_conntrack_mtinfo3 *)(void *)match->data;

	match->u.user.match_size = CONNTRACK_LEN;
	match->u.user.revision = CONNTRACK_REVISION;
	strcpy(match->u.user.name, "conntrack");
	info->match_flags = XT_CONNTRACK_STATE;
	info->state_mask = XT_CONNTRACK_STATE_DNAT;
	return CONNTRACK_LEN;
}

static size_t write_port_match(const struct rule *rule, struct xt_entry_match *match)
{
	struct xt_tcp *tcp = (struct xt_tcp *)(void *)match->data;
	struct xt_udp *udp = (struct xt_udp *)(void *)match->data;
	bool is_tcp = rule->protocol == IPPROTO_TCP;

	match->u.user.match_size = (uint16_t)(is_tcp ? TCP_LEN : UDP_LEN);
	strcpy(match->u.user.name, is_tcp ? "tcp" : "udp");
	if (is_tcp)
		*tcp = (struct xt_tcp){ .spts = { 0, 65535 }, .dpts = { rule->first, rule->last } };
	else
		*udp = (struct xt_udp){ .spts = { 0, 65535 }, .dpts = { rule->first, rule->last } };
	return match->u.user.match_size;
}

/* The destination ports of a tcp or udp match; what else it may say is seen by comparing. */
static void read_port_match(const struct xt_entry_match *match, struct rule *rule)
{
	const struct xt_tcp *tcp = (const void *)match->data;
	const struct xt_udp *udp = (const void *)match->data;

	if (rule->protocol == IPPROTO_TCP && match->u.user.match_size >= TCP_LEN) {
		rule->first = tcp->dpts[0];
		rule->last = tcp->dpts[1];
	} else if (rule->protocol == IPPROTO_UDP && match->u.user.match_size >= UDP_LEN) {
		rule->first = udp->dpts[0];
		rule->last = udp->dpts[1];
	}
}

static size_t write_target(const struct iptables *iptables, const struct rule *rule,
	struct xt_entry_target *target)
{
	unsigned flags = NF_NAT_RANGE_MAP_IPS | (rule->to_port ? NF_NAT_RANGE_PROTO_SPECIFIED : 0);
	size_t len = OLD_RANGE_LEN;
	uint32_t to = htonl(rule->to);

	strcpy(target->u.user.name, rule->action == RULE_DNAT ? "DNAT" : "SNAT");
	if (rule->action == RULE_DNAT && iptables->dnat_revision == 2) {
		struct nf_nat_range2 *range = (struct nf_nat_range2 *)(void *)target->data;

		target->u.user.revision = 2;
		range->flags = flags;
		range->min_addr.ip = range->max_addr.ip = to;
		range->min_proto.all = range->max_proto.all = htons(rule->to_port);
		len = NEW_RANGE_LEN;
	} else {
		struct nf_nat_ipv4_multi_range_compat *range =
			(struct nf_nat_ipv4_multi_range_compat *)(void *)target->data;

		target->u.user.revision = SNAT_REVISION;
		range->rangesize = 1;
		range->range[0].flags = flags;
		range->range[0].min_ip = range->range[0].max_ip = to;
		range->range[0].min.all = range->range[0].max.all = htons(rule->to_port);
	}
	target->u.user.target_size = (uint16_t)(TARGET_HEADER + len);
	return TARGET_HEADER + len;
}

static void write_header(const struct rule *rule, struct ipt_entry *header)
{
	header->ip.src.s_addr = htonl(rule->source.addr);
	header->ip.smsk.s_addr = htonl(ip4_prefix_mask(&rule->source));
	header->ip.dst.s_addr = htonl(rule->destination.addr);
	header->ip.dmsk.s_addr = htonl(ip4_prefix_mask(&rule->destination));
	header->ip.proto = rule->protocol;
	memcpy(header->ip.outiface, rule->out, sizeof(rule->out));
	/* the mask covers the name and its NUL: eth1 must not match eth10 */
	if (*rule->out)
		memset(header->ip.outiface_mask, 0xff, strlen(rule->out) + 1);
}

static size_t write_jump_target(const char *chain, struct xt_entry_target *target)
{
	target->u.user.target_size = JUMP_LEN;
	/* libiptc knows the chain by this name, and puts its place there */
	strcpy(target->u.user.name, chain);
	return JUMP_LEN;
}

static void write_entry(const struct iptables *iptables, const struct rule *rule, union entry *ret)
{
	size_t offset = HEADER_LEN;

	memset(ret, 0, sizeof(*ret));
	write_header(rule, &ret->header);
	if (rule->protocol)
		offset += write_port_match(rule, match_at(ret, offset));
	if (rule->only_dnatted)
		offset += write_conntrack_match(match_at(ret, offset));
	ret->header.target_offset = (uint16_t)offset;
	offset += rule->action == RULE_JUMP ? write_jump_target(rule->jump, target_of(&ret->header))
					    : write_target(iptables, rule, target_of(&ret->header));
	ret->header.next_offset = (uint16_t)offset;
}

static bool mask_to_len(uint32_t mask, uint8_t *ret_len)
{
	uint8_t len = (uint8_t)__builtin_popcount(mask);
	struct ip4_prefix prefix = { .len = len };

	*ret_len = len;
	return ip4_prefix_mask(&prefix) == mask;
}

/* The address and port that a NAT target names, if it names just one. */
static bool read_to(const struct xt_entry_target *target, struct rule *rule)
{
	size_t len = target->u.user.target_size;

	if (target->u.user.revision == 0 && len >= TARGET_HEADER + OLD_RANGE_LEN) {
		const struct nf_nat_ipv4_multi_range_compat *range = (const void *)target->data;

		rule->to = ntohl(range->range[0].min_ip);
		rule->to_port = ntohs(range->range[0].min.all);
		return range->rangesize == 1;
	}
	if (target->u.user.revision == 2 && len >= TARGET_HEADER + NEW_RANGE_LEN) {
		const struct nf_nat_range2 *range = (const void *)target->data;

		rule->to = ntohl(range->min_addr.ip);
		rule->to_port = ntohs(range->min_proto.all);
		return true;
	}
	return false;
}

/*
 * Matches and targets begin alike: size, name, revision. What lies behind the name's NUL, and the
 * kernel's own pointer in the same place, mean nothing.
 */
static bool extension_equal(const void *a, const void *b)
{
	const struct xt_entry_match *ma = a, *mb = b;

	return ma->u.user.match_size == mb->u.user.match_size &&
		ma->u.user.revision == mb->u.user.revision &&
		!strncmp(ma->u.user.name, mb->u.user.name, sizeof(ma->u.user.name)) &&
		!memcmp(ma->data, mb->data, ma->u.user.match_size - TARGET_HEADER);
}

_Static_assert(sizeof(struct xt_entry_match) == sizeof(struct xt_entry_target),
	"extension_equal() serves both");

static const struct xt_entry_match *first_match(const struct ipt_entry *entry)
{
	return (const struct xt_entry_match *)((uintptr_t)entry + HEADER_LEN);
}

static const struct xt_entry_match *next_match(const struct xt_entry_match *match)
{
	return (const struct xt_entry_match *)((uintptr_t)match + match->u.user.match_size);
}

static bool is_match(const struct ipt_entry *entry, const struct xt_entry_match *match)
{
	return (uintptr_t)match < (uintptr_t)entry + entry->target_offset &&
		match->u.user.match_size >= MATCH_HEADER;
}

static void read_matches(const struct ipt_entry *entry, struct rule *rule)
{
	const struct xt_entry_match *match = first_match(entry);

	for (; is_match(entry, match); match = next_match(match)) {
		if (!strcmp(match->u.user.name, "conntrack"))
			rule->only_dnatted = true;
		else if (!strcmp(match->u.user.name, "tcp") || !strcmp(match->u.user.name, "udp"))
			read_port_match(match, rule);
	}
}

/* Both entries have matches of the same length in all. */
static bool matches_equal(const struct ipt_entry *a, const struct ipt_entry *b)
{
	const struct xt_entry_match *ma = first_match(a), *mb = first_match(b);

	for (; is_match(a, ma) && is_match(b, mb); ma = next_match(ma), mb = next_match(mb)) {
		if (!extension_equal(ma, mb))
			return false;
	}
	return true;
}

/* What becomes of a packet, if it is something that we would write. */
static bool read_action(const struct iptables *iptables, const struct ipt_entry *entry,
	struct rule *rule)
{
	const struct xt_entry_target *target = target_of(entry);
	const char *name = iptc_get_target(entry, iptables->handle);

	if (name && !strncmp(name, CHAIN_PREFIX, strlen(CHAIN_PREFIX))) {
		rule->action = RULE_JUMP;
		snprintf(rule->jump, sizeof(rule->jump), "%s", name);
		return true;
	}
	if (!strcmp(target->u.user.name, "DNAT"))
		rule->action = RULE_DNAT;
	else if (!strcmp(target->u.user.name, "SNAT"))
		rule->action = RULE_SNAT;
	else
		return false;
	return read_to(target, rule);
}

/*
 * Reads what a rule of ours would say, then writes that rule and compares: whatever an entry has
 * that we would not write makes it another's.
 */
static struct rule read_entry(const struct iptables *iptables, const struct ipt_entry *entry)
{
	const struct rule other = { .action = RULE_OTHER };
	const struct xt_entry_target *target = target_of(entry);
	struct rule rule = { .protocol = (uint8_t)entry->ip.proto };
	union entry ours;

	if (!read_action(iptables, entry, &rule) ||
		!mask_to_len(ntohl(entry->ip.smsk.s_addr), &rule.source.len) ||
		!mask_to_len(ntohl(entry->ip.dmsk.s_addr), &rule.destination.len))
		return other;
	rule.source.addr = ntohl(entry->ip.src.s_addr);
	rule.destination.addr = ntohl(entry->ip.dst.s_addr);
	memcpy(rule.out, entry->ip.outiface, sizeof(rule.out));
	rule.out[sizeof(rule.out) - 1] = '\0';
	read_matches(entry, &rule);
	write_entry(iptables, &rule, &ours);
	if (ours.header.next_offset != entry->next_offset ||
		ours.header.target_offset != entry->target_offset ||
		memcmp(&ours.header.ip, &entry->ip, sizeof(entry->ip)) ||
		(rule.action != RULE_JUMP && !extension_equal(target_of(&ours.header), target)) ||
		!matches_equal(&ours.header, entry))
		return other;
	return rule;
}

/* A jump without any condition: only such a one brings all packets. */
static bool is_jump_to(const struct ipt_entry *entry, const char *target, const char *chain)
{
	static const struct ipt_ip any;

	return !strcmp(target, chain) && entry->target_offset == HEADER_LEN &&
		!memcmp(&entry->ip, &any, sizeof(any));
}

/* --- reading ------------------------------------------------------------------------------ */

static void end(struct backend *backend)
{
	struct iptables *iptables = (struct iptables *)backend;

	if (iptables->handle)
		iptc_free(iptables->handle);
	iptables->handle = NULL;
	if (iptables->lock_fd >= 0)
		xtables_unlock(iptables->lock_fd);
	iptables->lock_fd = -1;
}

static int explain_init(int err, char *error)
{
	struct utsname kernel = { 0 };

	uname(&kernel);
	switch (err) {
	case EPERM:
		snprintf(error, BACKEND_ERROR_SIZE,
			"iptables' nat table may not be read: not permitted; "
			"run eipd as root or with CAP_NET_ADMIN and CAP_NET_RAW");
		break;
	case ENOPROTOOPT:
		snprintf(error, BACKEND_ERROR_SIZE,
			"kernel %s has no ip_tables (CONFIG_IP_NF_IPTABLES, "
			"from 6.17 also CONFIG_NETFILTER_XTABLES_LEGACY); if it is a module: "
			"modprobe ip_tables",
			kernel.release);
		break;
	case ENOENT:
		snprintf(error, BACKEND_ERROR_SIZE,
			"kernel %s has no nat table for iptables "
			"(CONFIG_IP_NF_NAT); if it is a module: modprobe iptable_nat",
			kernel.release);
		break;
	default:
		snprintf(error, BACKEND_ERROR_SIZE, "iptables' nat table cannot be read: %s",
			strerror(err));
	}
	return -err;
}

/* 2 where the kernel has it, as the iptables program does, else 0. */
static int probe_dnat_revision(void)
{
	struct xt_get_revision revision = { .name = "DNAT", .revision = 2 };
	socklen_t len = sizeof(revision);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), result;

	if (fd < 0)
		return 0;
	result = getsockopt(fd, IPPROTO_IP, IPT_SO_GET_REVISION_TARGET, &revision, &len);
	close(fd);
	return result == 0 ? 2 : 0;
}

static const char *const builtins[] = { "PREROUTING", "INPUT", "OUTPUT", "POSTROUTING" };

/*
 * EIPD-PREROUTING is for PREROUTING. A jump to it from OUTPUT is somebody else's rule, and must not
 * pass for the one that belongs there.
 */
static bool is_for_another(const char *chain, const char *builtin)
{
	const char *own = chain + strlen(CHAIN_PREFIX);

	for (size_t b = 0; b < sizeof(builtins) / sizeof(*builtins); b++) {
		if (!strcmp(own, builtins[b]))
			return strcmp(own, builtin) != 0;
	}
	return false;
}

/* The jumps to our chains, counted with the chains; a jump may be left of a chain that is not. */
static void read_jumps(struct iptables *iptables, struct ruleset *have)
{
	for (size_t b = 0; b < sizeof(builtins) / sizeof(*builtins); b++) {
		const struct ipt_entry *entry = iptc_first_rule(builtins[b], iptables->handle);

		for (; entry; entry = iptc_next_rule(entry, iptables->handle)) {
			const char *target = iptc_get_target(entry, iptables->handle);
			struct chain *chain;

			if (strncmp(target, CHAIN_PREFIX, strlen(CHAIN_PREFIX)) ||
				!is_jump_to(entry, target, target) ||
				is_for_another(target, builtins[b]))
				continue;
			chain = ruleset_find_chain(have, target);
			/* a chain that is reached from two places is not ours to explain */
			if (!chain || (*chain->builtin && strcmp(chain->builtin, builtins[b])))
				continue;
			snprintf(chain->builtin, sizeof(chain->builtin), "%s", builtins[b]);
			chain->jumps++;
		}
	}
	for (size_t i = 0; i < have->count; i++) {
		unsigned references = 0;

		have->chains[i].referenced = iptc_get_references(&references, have->chains[i].name,
						     iptables->handle) &&
			references > have->chains[i].jumps;
	}
}

static void read_chains(struct iptables *iptables, struct ruleset *have)
{
	const char *name = iptc_first_chain(iptables->handle);

	for (; name; name = iptc_next_chain(iptables->handle)) {
		const struct ipt_entry *entry;
		struct chain *chain;

		if (strncmp(name, CHAIN_PREFIX, strlen(CHAIN_PREFIX)))
			continue;
		chain = ruleset_add_chain(have, name, "");
		entry = iptc_first_rule(name, iptables->handle);
		for (; entry; entry = iptc_next_rule(entry, iptables->handle)) {
			struct rule rule = read_entry(iptables, entry);

			chain_add_rule(chain, &rule);
		}
	}
	read_jumps(iptables, have);
}

static int begin(struct backend *backend, struct ruleset *ret_have, char *error)
{
	struct iptables *iptables = (struct iptables *)backend;
	struct ruleset have = { 0 };
	int err = xtables_lock(&iptables->lock_fd, error);

	if (err)
		return err;
	iptables->handle = iptc_init(TABLE);
	if (!iptables->handle) {
		err = explain_init(errno, error);
		end(backend);
		return err;
	}
	/* the table is there, so the kernel can say what else it has */
	if (iptables->dnat_revision < 0)
		iptables->dnat_revision = probe_dnat_revision();
	read_chains(iptables, &have);
	*ret_have = have;
	return 0;
}

/* --- writing ------------------------------------------------------------------------------ */

/* Number of the last jump from a built-in chain to one of ours; -1: none. */
static int last_jump(struct iptables *iptables, const char *builtin, const char *chain)
{
	const struct ipt_entry *entry = iptc_first_rule(builtin, iptables->handle);
	int found = -1;

	for (int i = 0; entry; i++, entry = iptc_next_rule(entry, iptables->handle)) {
		if (is_jump_to(entry, iptc_get_target(entry, iptables->handle), chain))
			found = i;
	}
	return found;
}

/* libiptc's way: 1 or 0 with errno. Its rule numbers begin with 0. */
static int apply_edit(struct iptables *iptables, const struct edit *edit)
{
	struct xtc_handle *handle = iptables->handle;
	union entry entry;
	struct rule jump;
	int number;

	switch (edit->kind) {
	case EDIT_CHAIN_NEW:
		return iptc_create_chain(edit->chain, handle);
	case EDIT_RULE_DELETE:
		return iptc_delete_num_entry(edit->chain, (unsigned)edit->position, handle);
	case EDIT_RULE_INSERT:
		write_entry(iptables, &edit->rule, &entry);
		return iptc_insert_entry(edit->chain, &entry.header, (unsigned)edit->position,
			handle);
	case EDIT_JUMP_NEW:
		jump = (struct rule){ .action = RULE_JUMP };
		snprintf(jump.jump, sizeof(jump.jump), "%s", edit->chain);
		write_entry(iptables, &jump, &entry);
		return iptc_insert_entry(edit->builtin, &entry.header, 0, handle);
	case EDIT_JUMP_DELETE:
		number = last_jump(iptables, edit->builtin, edit->chain);
		return number < 0 || iptc_delete_num_entry(edit->builtin, (unsigned)number, handle);
	case EDIT_CHAIN_FLUSH:
		return iptc_flush_entries(edit->chain, handle);
	case EDIT_CHAIN_DELETE:
		/* somebody else's rule leads there: theirs to mend, and no reason to fail */
		return iptc_delete_chain(edit->chain, handle) || errno == EMLINK;
	}
	return 1;
}

static int apply(struct backend *backend, const struct edit *edits, size_t count, char *error)
{
	struct iptables *iptables = (struct iptables *)backend;
	int err;

	for (size_t i = 0; i < count; i++) {
		if (apply_edit(iptables, &edits[i]))
			continue;
		err = -errno;
		snprintf(error, BACKEND_ERROR_SIZE,
			"chain %s of iptables' nat table cannot be changed: %s", edits[i].chain,
			iptc_strerror(-err));
		return err;
	}
	if (iptc_commit(iptables->handle))
		return 0;
	err = -errno;
	snprintf(error, BACKEND_ERROR_SIZE, "iptables' nat table cannot be written: %s%s",
		iptc_strerror(-err),
		err == -EINVAL ? "; the kernel's log (dmesg) may say why" : "");
	return err;
}

static void free_iptables(struct backend *backend)
{
	end(backend);
	free(backend);
}

struct backend *backend_iptables_new(void)
{
	struct iptables *iptables = xcalloc(1, sizeof(*iptables));

	iptables->backend = (struct backend){ .name = "iptables",
		.begin = begin,
		.apply = apply,
		.end = end,
		.free = free_iptables };
	iptables->lock_fd = -1;
	iptables->dnat_revision = -1;
	return &iptables->backend;
}
