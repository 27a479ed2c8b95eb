/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan owns the form of the plan file and the table of VMs made from it. It must not know where
 * the file is, who holds a lease or a public address.
 */
#include "common/plan.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"

/* dnsmasq reads lines of 1025 octets; a longer one would be two for it */
#define LINE_MAX_LEN 1024

/* Open addressing; a slot holds the index of a VM plus one. */
struct index {
	uint32_t *slot;
	uint32_t mask;
};

struct plan {
	atomic_uint owners;
	struct vm *vms;
	size_t count, cap;
	struct index by_mac, by_ip, by_name;
	char *text;  /* while it is parsed: the names point into it */
	char *names; /* then */
	char **tags;
	size_t tag_count;
};

/* --- lookups ------------------------------------------------------------------------------ */

static uint32_t name_hash(const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (uint32_t)tolower((unsigned char)*name)) * 16777619u;
	return ip4_hash(hash);
}

static bool has_mac(const struct vm *vm, const void *mac)
{
	return mac_equal(&vm->mac, mac);
}

static bool has_ip(const struct vm *vm, const void *ip)
{
	return vm->ip == *(const uint32_t *)ip;
}

static bool has_name(const struct vm *vm, const void *name)
{
	return !strcasecmp(vm->name, name);
}

typedef bool match_fn(const struct vm *vm, const void *key);

/* The slot of the VM that matches, or the free one where it would be. */
static uint32_t *index_slot(const struct plan *plan, const struct index *index, uint32_t hash,
	match_fn *match, const void *key)
{
	uint32_t i = hash & index->mask;

	while (index->slot[i] && !match(&plan->vms[index->slot[i] - 1], key))
		i = (i + 1) & index->mask;
	return &index->slot[i];
}

static const struct vm *lookup(const struct plan *plan, const struct index *index, uint32_t hash,
	match_fn *match, const void *key)
{
	uint32_t slot = *index_slot(plan, index, hash, match, key);

	return slot ? &plan->vms[slot - 1] : NULL;
}

const struct vm *plan_by_mac(const struct plan *plan, const struct mac *mac)
{
	return lookup(plan, &plan->by_mac, mac_hash(mac), has_mac, mac);
}

const struct vm *plan_by_ip(const struct plan *plan, uint32_t ip)
{
	return lookup(plan, &plan->by_ip, ip4_hash(ip), has_ip, &ip);
}

const struct vm *plan_by_name(const struct plan *plan, const char *name)
{
	return lookup(plan, &plan->by_name, name_hash(name), has_name, name);
}

size_t plan_count(const struct plan *plan)
{
	return plan->count;
}

const struct vm *plan_vm(const struct plan *plan, size_t index)
{
	return &plan->vms[index];
}

size_t plan_index(const struct plan *plan, const struct vm *vm)
{
	return (size_t)(vm - plan->vms);
}

/* --- parsing ------------------------------------------------------------------------------ */

bool plan_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > VM_NAME_MAX || name[0] == '-' || name[len - 1] == '-')
		return false;
	for (; *name; name++) {
		if (!isalnum((unsigned char)*name) && *name != '-')
			return false;
	}
	return true;
}

/* One line on its way into the table. */
struct parser {
	struct plan *plan;
	const char *file;
	const struct ip4_prefix *inner;
	struct problems *problems;
	unsigned line;
	struct vm vm;
	char *tags;
	bool has_mac, has_ip, has_time;
	size_t nobodies; /* lines of only a MAC that is to be ignored */
};

#define REFUSE(parser, ...) \
	problem_add((parser)->problems, (parser)->file, (parser)->line, __VA_ARGS__)

static bool looks_like_mac(const char *field)
{
	return strchr(field, ':') ||
		(strspn(field, "0123456789abcdefABCDEF-") == strlen(field) && strlen(field) == 17 &&
			field[2] == '-');
}

static bool looks_like_time(const char *field)
{
	size_t digits = strspn(field, "0123456789");

	return !strcasecmp(field, "infinite") ||
		(digits &&
			(!field[digits] ||
				(strchr("smhdwSMHDW", field[digits]) && !field[digits + 1])));
}

static void take_mac(struct parser *parser, const char *field)
{
	if (parser->has_mac)
		REFUSE(parser, "%s: a second MAC; a VM has one", field);
	else if (mac_parse(field, &parser->vm.mac))
		REFUSE(parser,
			"%s: not a MAC; expected six groups of two hexadecimal digits, as in "
			"d0:0d:8e:9f:42:88",
			field);
	else if (!mac_is_host(&parser->vm.mac))
		REFUSE(parser,
			"%s: no VM can have this MAC; the first octet must be even and not all "
			"may be zero",
			field);
	parser->has_mac = true;
}

static void take_ip(struct parser *parser, const char *field)
{
	const struct ip4_prefix *inner = parser->inner;
	char text[IP4_PREFIX_STRLEN];
	uint32_t ip;

	if (parser->has_ip)
		REFUSE(parser, "%s: a second IP; a VM has one", field);
	else if (ip4_parse(field, &ip))
		REFUSE(parser,
			"%s: not an IPv4 address; expected as in 192.168.6.243 (a name must have "
			"no dots)",
			field);
	else if (!ip4_is_host(ip))
		REFUSE(parser, "%s: no VM can have this IP", field);
	else if (inner && !ip4_prefix_contains(inner, ip))
		REFUSE(parser, "%s: not in the bridge's network %s", field,
			ip4_prefix_format(inner, text));
	else if (inner && ip == ip4_prefix_network(inner))
		REFUSE(parser, "%s: this is the address of the network itself", field);
	else if (inner && ip == ip4_prefix_broadcast(inner))
		REFUSE(parser, "%s: this is the broadcast address of the network", field);
	else if (inner && ip == inner->addr)
		REFUSE(parser, "%s: this is the address of the host itself", field);
	else
		parser->vm.ip = ip;
	parser->has_ip = true;
}

static void take_lease_time(struct parser *parser, char *field)
{
	uint32_t seconds;

	for (char *c = field; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (parser->has_time)
		REFUSE(parser,
			"%s: a second lease time (a name of digits only, or of digits and one of "
			"s m h d w, reads as a lease time, here as in dnsmasq)",
			field);
	else if (time_parse(field, &seconds) || seconds < 3)
		REFUSE(parser, "%s: not a lease time; expected at least 3s, as in 45m or infinite",
			field);
	else
		parser->vm.lease_time = seconds;
	parser->has_time = true;
}

/* Neighbours in the file mostly have the same tags: they share one string. */
static const char *share_tags(struct plan *plan, char *tags)
{
	const char *last = plan->tag_count ? plan->tags[plan->tag_count - 1] : NULL;

	if (last && !strcmp(last, tags)) {
		free(tags);
		return last;
	}
	plan->tags = xrealloc(plan->tags, plan->tag_count + 1, sizeof(*plan->tags));
	plan->tags[plan->tag_count++] = tags;
	return tags;
}

bool plan_tag_is_valid(const char *tag)
{
	return *tag &&
		!tag[strspn(tag,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")];
}

static void take_tag(struct parser *parser, char *tag)
{
	char *tags = parser->tags;

	if (!plan_tag_is_valid(tag)) {
		REFUSE(parser, "set:%s: not a tag; expected letters, digits, - _ .", tag);
		return;
	}
	for (char *c = tag; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	parser->tags = tags ? xasprintf("%s %s", tags, tag) : xstrdup(tag);
	free(tags);
}

static void take_name(struct parser *parser, const char *field)
{
	if (parser->vm.name)
		REFUSE(parser, "%s: a second name after %s; a VM has one", field, parser->vm.name);
	else if (!plan_name_is_valid(field))
		REFUSE(parser,
			"%s: not a name; expected letters, digits and inner hyphens, at most 63 "
			"(one DNS label)",
			field);
	parser->vm.name = field;
}

static void take_field(struct parser *parser, char *field)
{
	if (!strncmp(field, "set:", 4))
		take_tag(parser, field + 4);
	else if (!strncmp(field, "id:", 3))
		; /* we key on the MAC, never on the client identifier */
	else if (!strcasecmp(field, "ignore"))
		parser->vm.ignore = true;
	else if (field[0] == '[' || !strncmp(field, "tag:", 4) || !strncmp(field, "net:", 4))
		REFUSE(parser, "%s: not supported; delete it", field);
	else if (looks_like_mac(field))
		take_mac(parser, field);
	else if (strchr(field, '.'))
		take_ip(parser, field);
	else if (looks_like_time(field))
		take_lease_time(parser, field);
	else
		take_name(parser, field);
}

static char *trim(char *start, char *end)
{
	while (start < end && isspace((unsigned char)*start))
		start++;
	while (end > start && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return start;
}

/* A comment begins with a # that is first or follows a blank, as in dnsmasq. */
static char *cut_comment(char *line, char *end)
{
	for (char *c = line; c < end; c++) {
		if (*c == '#' && (c == line || c[-1] == ' ' || c[-1] == '\t'))
			return c;
	}
	return end;
}

static void add_vm(struct parser *parser)
{
	struct plan *plan = parser->plan;

	if (plan->count == plan->cap) {
		plan->cap = plan->cap ? plan->cap * 2 : 64;
		plan->vms = xrealloc(plan->vms, plan->cap, sizeof(*plan->vms));
	}
	parser->vm.line = parser->line;
	plan->vms[plan->count++] = parser->vm;
}

/* `line` up to `end`, where there is room for a NUL, is the plan's own copy. */
static void parse_line(struct parser *parser, char *line, char *end)
{
	size_t problems_before = parser->problems->count;
	char *next;

	parser->vm = (struct vm){ 0 };
	parser->has_mac = parser->has_ip = parser->has_time = false;
	if (end - line > LINE_MAX_LEN) {
		REFUSE(parser, "longer than %d characters", LINE_MAX_LEN);
		return;
	}
	next = line = trim(line, cut_comment(line, end));
	if (!*line)
		return;
	while (next) {
		char *field = strsep(&next, ",");

		field = trim(field, field + strlen(field));
		/* a comma at the end of the line is as good as none */
		if (*field)
			take_field(parser, field);
		else if (next)
			REFUSE(parser, "nothing between two commas");
	}
	if (!parser->has_mac)
		REFUSE(parser, "no MAC; expected MAC,name,IP");
	/* whom nobody answers needs neither: dnsmasq's `MAC,ignore` */
	if (parser->vm.ignore && (!parser->vm.name || !parser->has_ip))
		parser->nobodies++;
	else if (!parser->vm.name)
		REFUSE(parser,
			parser->has_time ? "no name; expected MAC,name,IP (digits only, or digits "
					   "and one of s m h d w, read as a lease time)"
					 : "no name; expected MAC,name,IP");
	if (!parser->vm.ignore && !parser->has_ip)
		REFUSE(parser, "no IP; expected MAC,name,IP");
	if (parser->tags)
		parser->vm.tags = share_tags(parser->plan, parser->tags);
	parser->tags = NULL;
	if (parser->problems->count == problems_before)
		add_vm(parser);
}

static void index_init(struct index *index, size_t count)
{
	uint32_t size = 4;

	while (size < count * 2)
		size *= 2;
	index->slot = xcalloc(size, sizeof(*index->slot));
	index->mask = size - 1;
}

static void index_add(struct parser *parser, struct index *index, size_t i, uint32_t hash,
	match_fn *match, const void *key, const char *what, const char *text)
{
	struct plan *plan = parser->plan;
	uint32_t *slot = index_slot(plan, index, hash, match, key);

	parser->line = plan->vms[i].line;
	if (*slot)
		REFUSE(parser, "%s: this %s is on line %u already", text, what,
			plan->vms[*slot - 1].line);
	else
		*slot = (uint32_t)i + 1;
}

static void build_indexes(struct parser *parser)
{
	struct plan *plan = parser->plan;
	char text[MAC_STRLEN];

	index_init(&plan->by_mac, plan->count);
	index_init(&plan->by_ip, plan->count);
	index_init(&plan->by_name, plan->count);
	for (size_t i = 0; i < plan->count; i++) {
		const struct vm *vm = &plan->vms[i];

		index_add(parser, &plan->by_mac, i, mac_hash(&vm->mac), has_mac, &vm->mac, "MAC",
			mac_format(&vm->mac, text));
		if (vm->name)
			index_add(parser, &plan->by_name, i, name_hash(vm->name), has_name,
				vm->name, "name", vm->name);
		if (vm->ip)
			index_add(parser, &plan->by_ip, i, ip4_hash(vm->ip), has_ip, &vm->ip, "IP",
				ip4_format(vm->ip, text));
	}
}

static void free_indexes(struct plan *plan)
{
	free(plan->by_mac.slot);
	free(plan->by_ip.slot);
	free(plan->by_name.slot);
}

/* That they are there but once has been seen; a MAC that the plan does not know is not answered. */
static void drop_nobodies(struct parser *parser)
{
	struct plan *plan = parser->plan;
	size_t count = 0;

	for (size_t i = 0; i < plan->count; i++) {
		if (plan->vms[i].name && plan->vms[i].ip)
			plan->vms[count++] = plan->vms[i];
	}
	plan->count = count;
	free_indexes(plan);
	build_indexes(parser);
}

/* Of the text only the names are needed, which is a fifth of it. */
static void keep_names(struct plan *plan)
{
	size_t len = 0;
	char *next;

	for (size_t i = 0; i < plan->count; i++)
		len += strlen(plan->vms[i].name) + 1;
	next = plan->names = xrealloc(NULL, len + 1, 1);
	for (size_t i = 0; i < plan->count; i++) {
		len = strlen(plan->vms[i].name) + 1;
		memcpy(next, plan->vms[i].name, len);
		plan->vms[i].name = next;
		next += len;
	}
	free(plan->text);
	plan->text = NULL;
}

int plan_parse(const char *text, size_t len, const char *file, const struct ip4_prefix *inner,
	struct plan **ret_plan, struct problems *problems)
{
	struct plan *plan = xcalloc(1, sizeof(*plan));
	struct parser parser = { .plan = plan, .file = file, .inner = inner, .problems = problems };
	size_t problems_before = problems->count;
	char *p, *end;

	plan->owners = 1;
	plan->text = xrealloc(NULL, len + 1, 1);
	memcpy(plan->text, text, len);
	plan->text[len] = '\0';
	end = plan->text + len;
	/* some editors begin a file with a byte order mark */
	for (p = plan->text + (strncmp(plan->text, "\xef\xbb\xbf", 3) ? 0 : 3); p < end;) {
		char *newline = memchr(p, '\n', (size_t)(end - p));
		char *line_end = newline ? newline : end;

		parser.line++;
		parse_line(&parser, p, line_end);
		p = line_end + 1;
	}
	if (plan->count)
		plan->vms = xrealloc(plan->vms, plan->count, sizeof(*plan->vms));
	build_indexes(&parser);
	if (problems->count != problems_before) {
		problems_sort(problems, problems_before);
		plan_free(plan);
		return -EINVAL;
	}
	if (parser.nobodies)
		drop_nobodies(&parser);
	keep_names(plan);
	*ret_plan = plan;
	return 0;
}

struct plan *plan_share(const struct plan *plan)
{
	struct plan *shared = (struct plan *)(uintptr_t)plan;

	atomic_fetch_add(&shared->owners, 1);
	return shared;
}

void plan_free(struct plan *plan)
{
	if (!plan || atomic_fetch_sub(&plan->owners, 1) > 1)
		return;
	free_indexes(plan);
	free(plan->vms);
	free(plan->text);
	free(plan->names);
	for (size_t i = 0; i < plan->tag_count; i++)
		free(plan->tags[i]);
	free(plan->tags);
	free(plan);
}

bool vm_equal(const struct vm *a, const struct vm *b)
{
	return mac_equal(&a->mac, &b->mac) && a->ip == b->ip && a->ignore == b->ignore &&
		a->lease_time == b->lease_time && !strcmp(a->name, b->name) &&
		!strcmp(a->tags ? a->tags : "", b->tags ? b->tags : "");
}

void plan_compare(const struct plan *before, const struct plan *after,
	struct plan_change *ret_change)
{
	struct plan_change change = { .before = xcalloc(after->count, sizeof(*change.before)) };
	size_t kept = 0;

	for (size_t i = 0; i < after->count; i++) {
		const struct vm *vm = &after->vms[i];
		const struct vm *same_mac = plan_by_mac(before, &vm->mac);
		/* mostly the same one, which saves a lookup */
		const struct vm *old = same_mac && !strcasecmp(same_mac->name, vm->name)
			? same_mac
			: plan_by_name(before, vm->name);

		if (same_mac)
			change.before[i] = (uint32_t)plan_index(before, same_mac) + 1;
		if (!old)
			change.added++;
		else
			kept++;
		if (old && !vm_equal(old, vm))
			change.changed++;
	}
	change.removed = before->count - kept;
	*ret_change = change;
}

void plan_change_done(struct plan_change *change)
{
	free(change->before);
	change->before = NULL;
}

/* --- for a new VM ------------------------------------------------------------------------- */

uint32_t plan_choose_ip(const struct plan *plan, const struct ip4_prefix *inner,
	bool (*is_taken)(const void *ctx, uint32_t ip), const void *ctx)
{
	for (uint32_t ip = ip4_prefix_network(inner) + 1; ip < ip4_prefix_broadcast(inner); ip++) {
		if (ip != inner->addr && !plan_by_ip(plan, ip) && !(is_taken && is_taken(ctx, ip)))
			return ip;
	}
	return 0;
}

struct mac plan_choose_mac(const struct plan *plan, uint64_t random)
{
	struct mac mac;

	do {
		memcpy(mac.byte, &random, MAC_LEN);
		mac.byte[0] = 0x02;
		random = random * 6364136223846793005u + 1442695040888963407u;
	} while (plan_by_mac(plan, &mac));
	return mac;
}

char *plan_text_add(const char *text, const struct vm *vm)
{
	size_t len = strlen(text);
	char mac[MAC_STRLEN], ip[IP4_STRLEN];
	/* the last line may lack its end; a file with CRLF keeps to it */
	const char *end = strstr(text, "\r\n") ? "\r\n" : "\n";

	return xasprintf("%s%s%s,%s,%s%s", text, len && text[len - 1] != '\n' ? end : "",
		mac_format(&vm->mac, mac), vm->name, ip4_format(vm->ip, ip), end);
}

char *plan_text_remove(const char *text, unsigned line)
{
	const char *start = text, *rest;

	while (--line && *start)
		start += strcspn(start, "\n") + (start[strcspn(start, "\n")] == '\n');
	rest = start + strcspn(start, "\n");
	rest += *rest == '\n';
	return xasprintf("%.*s%s", (int)(start - text), text, rest);
}
