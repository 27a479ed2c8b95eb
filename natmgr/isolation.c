/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolation owns the list of isolated VMs and the form of its state file. It must not know how a
 * VM is cut off, nor where the file is.
 */
#include "natmgr/isolation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"

#define FILE_HEADER "# eipd isolation, version 1"
#define WORDS_MAX   6
/* Ports of our bridge, and links that are to be. */
#define CLAIM_MAX (4 * ISOLATION_MAX)

struct isolated *isolation_find(const struct isolation *isolation, const char *vm)
{
	for (size_t i = 0; i < isolation->count; i++) {
		if (!strcasecmp(isolation->list[i].vm, vm))
			return &isolation->list[i];
	}
	return NULL;
}

struct isolated *isolation_find_mac(const struct isolation *isolation, const struct mac *mac)
{
	for (size_t i = 0; i < isolation->count; i++) {
		if (isolation->list[i].ip && mac_equal(&isolation->list[i].mac, mac))
			return &isolation->list[i];
	}
	return NULL;
}

static struct isolated *find_or_add(struct isolation *isolation, const char *vm)
{
	struct isolated *isolated = isolation_find(isolation, vm);

	if (isolated)
		return isolated;
	isolation->list = xrealloc(isolation->list, isolation->count + 1, sizeof(*isolation->list));
	isolated = &isolation->list[isolation->count++];
	*isolated = (struct isolated){ 0 };
	snprintf(isolated->vm, sizeof(isolated->vm), "%s", vm);
	return isolated;
}

static void *copy_list(const void *list, size_t count, size_t size)
{
	return count ? xmemdup(list, count * size) : NULL;
}

static void forget_name(struct isolated *isolated, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < isolated->port_count; i++) {
		if (strcmp(isolated->ports[i].name, name) != 0)
			isolated->ports[kept++] = isolated->ports[i];
	}
	isolated->port_count = kept;
}

bool isolation_add(struct isolation *isolation, const char *vm, const struct ip4_prefix *allow,
	size_t allow_count, const char *wanted_port)
{
	bool changed = !isolation_find(isolation, vm);
	struct isolated *isolated = find_or_add(isolation, vm);

	changed = changed || isolated->allow_count != allow_count ||
		strcmp(isolated->wanted_port, wanted_port) != 0;
	for (size_t i = 0; !changed && i < allow_count; i++)
		changed = isolated->allow[i].addr != allow[i].addr ||
			isolated->allow[i].len != allow[i].len;
	/* the one that was named in error; without a name the one that is known stays */
	if (*wanted_port && strcmp(isolated->wanted_port, wanted_port) != 0)
		forget_name(isolated, isolated->wanted_port);
	free(isolated->allow);
	isolated->allow = copy_list(allow, allow_count, sizeof(*allow));
	isolated->allow_count = allow_count;
	snprintf(isolated->wanted_port, sizeof(isolated->wanted_port), "%s", wanted_port);
	return changed;
}

static void isolated_done(struct isolated *isolated)
{
	free(isolated->allow);
	free(isolated->ports);
}

bool isolation_remove(struct isolation *isolation, const char *vm)
{
	struct isolated *isolated = isolation_find(isolation, vm);
	size_t after;

	if (!isolated)
		return false;
	isolated_done(isolated);
	after = isolation->count - (size_t)(isolated - isolation->list) - 1;
	memmove(isolated, isolated + 1, after * sizeof(*isolated));
	isolation->count--;
	return true;
}

/* What the plan says of one who is isolated. */
struct fate {
	const struct vm *by_name, *by_mac; /* NULL: nobody */
};

static struct fate fate_of(const struct isolated *isolated, const struct plan *plan)
{
	return (struct fate){ plan_by_name(plan, isolated->vm),
		isolated->ip ? plan_by_mac(plan, &isolated->mac) : NULL };
}

static bool is_as_planned(const struct isolated *isolated, const struct plan *plan)
{
	struct fate fate = fate_of(isolated, plan);

	if (!fate.by_name)
		return !fate.by_mac;
	return fate.by_name == fate.by_mac && isolated->ip == fate.by_name->ip &&
		!strcmp(isolated->vm, fate.by_name->name);
}

/* The entry of a VM in the list that is being made; whom it allows, an entry of its own says first. */
static struct isolated *take_over(struct isolation *made, const struct isolation *before,
	const struct isolated *from, const struct vm *vm)
{
	struct isolated *isolated = isolation_find(made, vm->name);
	const struct isolated *own = isolation_find(before, vm->name);

	if (isolated)
		return isolated;
	isolated = find_or_add(made, vm->name);
	isolated->ip = vm->ip;
	isolated->mac = vm->mac;
	from = own ? own : from;
	isolated->allow = copy_list(from->allow, from->allow_count, sizeof(*from->allow));
	isolated->allow_count = from->allow_count;
	return isolated;
}

/* The machine is who has the MAC: what is known of its ports goes with that. */
static void follow_one(struct isolation *made, const struct isolation *before,
	const struct isolated *from, const struct plan *plan)
{
	struct fate fate = fate_of(from, plan);
	const struct vm *machine = fate.by_mac ? fate.by_mac : fate.by_name;
	struct isolated *isolated;

	if (machine)
		isolated = take_over(made, before, from, machine);
	else
		(void)isolation_add(made, from->vm, from->allow, from->allow_count, "");
	if (!machine) {
		isolated = isolation_find(made, from->vm);
		isolated->ip = from->ip;
		isolated->mac = from->mac;
	}
	for (size_t i = 0; i < from->port_count; i++)
		(void)isolated_see(isolated, &from->ports[i]);
	if (*from->wanted_port)
		memcpy(isolated->wanted_port, from->wanted_port, sizeof(from->wanted_port));
}

/* Its name has another MAC now: that is isolated as well. */
static void follow_name(struct isolation *made, const struct isolation *before,
	const struct isolated *from, const struct plan *plan)
{
	struct fate fate = fate_of(from, plan);

	if (fate.by_name && fate.by_mac != fate.by_name && made->count < ISOLATION_MAX)
		(void)take_over(made, before, from, fate.by_name);
}

bool isolation_follow(struct isolation *isolation, const struct plan *plan)
{
	struct isolation made = { 0 };
	size_t same = 0;

	while (same < isolation->count && is_as_planned(&isolation->list[same], plan))
		same++;
	if (same == isolation->count)
		return false;
	for (size_t i = 0; i < isolation->count; i++)
		follow_one(&made, isolation, &isolation->list[i], plan);
	for (size_t i = 0; i < isolation->count; i++)
		follow_name(&made, isolation, &isolation->list[i], plan);
	for (size_t i = 0; i < isolation->count; i++)
		isolated_done(&isolation->list[i]);
	free(isolation->list);
	isolation->list = made.list;
	isolation->count = made.count;
	return true;
}

bool isolated_see(struct isolated *isolated, const struct port *port)
{
	for (size_t i = 0; i < isolated->port_count; i++) {
		if (isolated->ports[i].index == port->index)
			return false;
	}
	isolated->ports = xrealloc(isolated->ports, isolated->port_count + 1,
		sizeof(*isolated->ports));
	isolated->ports[isolated->port_count++] = *port;
	return true;
}

bool isolated_forget(struct isolated *isolated, unsigned index)
{
	for (size_t i = 0; i < isolated->port_count; i++) {
		if (isolated->ports[i].index != index)
			continue;
		isolated->ports[i] = isolated->ports[--isolated->port_count];
		return true;
	}
	return false;
}

static bool is_same_link(const struct port *a, const struct port *b)
{
	return a->index == b->index && !strcmp(a->name, b->name);
}

bool isolation_claim(struct isolation *isolation, const struct mac *mac, const struct port *port)
{
	struct claim *claim = NULL;

	for (size_t i = 0; i < isolation->claim_count; i++) {
		if (isolation->claims[i].port.index == port->index)
			claim = &isolation->claims[i];
	}
	if (claim && is_same_link(&claim->port, port) && mac_equal(&claim->mac, mac))
		return false;
	if (!claim) {
		isolation->claims = xrealloc(isolation->claims, isolation->claim_count + 1,
			sizeof(*isolation->claims));
		claim = &isolation->claims[isolation->claim_count++];
	}
	*claim = (struct claim){ *mac, *port };
	return true;
}

const struct mac *isolation_claimed(const struct isolation *isolation, const struct port *port)
{
	for (size_t i = 0; i < isolation->claim_count; i++) {
		if (is_same_link(&isolation->claims[i].port, port))
			return &isolation->claims[i].mac;
	}
	return NULL;
}

bool isolation_note_mask(struct isolation *isolation, const struct port *port)
{
	for (size_t i = 0; i < isolation->mask_count; i++) {
		if (is_same_link(&isolation->masks[i], port))
			return false;
	}
	isolation->masks = xrealloc(isolation->masks, isolation->mask_count + 1, sizeof(*port));
	isolation->masks[isolation->mask_count++] = *port;
	return true;
}

static bool is_there(const struct port *port, const struct port *ports, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (is_same_link(&ports[i], port))
			return true;
	}
	return false;
}

static size_t prune(struct port *list, size_t list_count, const struct port *ports, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < list_count; i++) {
		if (is_there(&list[i], ports, count))
			list[kept++] = list[i];
	}
	return kept;
}

bool isolation_prune(struct isolation *isolation, const struct port *ports, size_t count)
{
	size_t before = isolation->claim_count + isolation->mask_count, kept = 0;
	bool changed = false;

	for (size_t i = 0; i < isolation->count; i++) {
		struct isolated *isolated = &isolation->list[i];
		size_t left = prune(isolated->ports, isolated->port_count, ports, count);

		changed = changed || left != isolated->port_count;
		isolated->port_count = left;
	}
	for (size_t i = 0; i < isolation->claim_count; i++) {
		if (is_there(&isolation->claims[i].port, ports, count))
			isolation->claims[kept++] = isolation->claims[i];
	}
	isolation->claim_count = kept;
	isolation->mask_count = prune(isolation->masks, isolation->mask_count, ports, count);
	return changed || isolation->claim_count + isolation->mask_count != before;
}

bool isolation_boot(struct isolation *isolation, const char *boot)
{
	bool is_other = *isolation->boot && *boot && strcmp(isolation->boot, boot) != 0;

	if (*boot)
		snprintf(isolation->boot, sizeof(isolation->boot), "%s", boot);
	return is_other && isolation_prune(isolation, NULL, 0);
}

void isolation_copy(const struct isolation *isolation, struct isolation *ret_copy)
{
	struct isolation copy = *isolation;

	copy.list = copy_list(copy.list, copy.count, sizeof(*copy.list));
	copy.claims = copy_list(copy.claims, copy.claim_count, sizeof(*copy.claims));
	copy.masks = copy_list(copy.masks, copy.mask_count, sizeof(*copy.masks));
	for (size_t i = 0; i < copy.count; i++) {
		struct isolated *isolated = &copy.list[i];

		isolated->allow = copy_list(isolated->allow, isolated->allow_count,
			sizeof(*isolated->allow));
		isolated->ports = copy_list(isolated->ports, isolated->port_count,
			sizeof(*isolated->ports));
	}
	*ret_copy = copy;
}

void isolation_done(struct isolation *isolation)
{
	for (size_t i = 0; i < isolation->count; i++)
		isolated_done(&isolation->list[i]);
	free(isolation->list);
	free(isolation->claims);
	free(isolation->masks);
	*isolation = (struct isolation){ 0 };
}

/* --- the state file ----------------------------------------------------------------------- */

static void format_one(const struct isolated *isolated, FILE *out)
{
	char mac[MAC_STRLEN], ip[IP4_STRLEN], prefix[IP4_PREFIX_STRLEN];

	if (isolated->ip)
		fprintf(out, "isolate %s %s %s\n", isolated->vm, mac_format(&isolated->mac, mac),
			ip4_format(isolated->ip, ip));
	else
		fprintf(out, "isolate %s\n", isolated->vm);
	for (size_t i = 0; i < isolated->allow_count; i++)
		fprintf(out, "allow %s %s\n", isolated->vm,
			ip4_prefix_format(&isolated->allow[i], prefix));
	if (*isolated->wanted_port)
		fprintf(out, "port %s %s\n", isolated->vm, isolated->wanted_port);
	for (size_t i = 0; i < isolated->port_count; i++)
		fprintf(out, "seen %s %s %u\n", isolated->vm, isolated->ports[i].name,
			isolated->ports[i].index);
}

char *isolation_format(const struct isolation *isolation, size_t *ret_len)
{
	FILE *out;
	char *text = NULL, mac[MAC_STRLEN];

	out = open_memstream(&text, ret_len);
	if (!out)
		abort();
	fputs(FILE_HEADER "; eipd writes it: edit it only while eipd is stopped\n", out);
	if (*isolation->boot)
		fprintf(out, "boot %s\n", isolation->boot);
	for (size_t i = 0; i < isolation->mask_count; i++)
		fprintf(out, "mask %s %u %u\n", isolation->masks[i].name, isolation->masks[i].index,
			isolation->masks[i].group_fwd_mask);
	for (size_t i = 0; i < isolation->claim_count; i++)
		fprintf(out, "claim %s %s %u\n", mac_format(&isolation->claims[i].mac, mac),
			isolation->claims[i].port.name, isolation->claims[i].port.index);
	for (size_t i = 0; i < isolation->count; i++)
		format_one(&isolation->list[i], out);
	if (fclose(out))
		abort();
	return text;
}

static const char *parse_isolate(struct isolation *isolation, struct isolated *isolated,
	char *const *word, size_t count)
{
	struct mac mac;
	uint32_t ip;

	(void)isolation;
	if (count == 2)
		return NULL;
	if (count != 4)
		return "expected isolate VM, or isolate VM MAC IP";
	if (mac_parse(word[2], &mac) || !mac_is_host(&mac))
		return "not a VM's MAC";
	if (ip4_parse(word[3], &ip) || !ip4_is_host(ip))
		return "not a VM's address";
	isolated->mac = mac;
	isolated->ip = ip;
	return NULL;
}

static const char *parse_allow(struct isolation *isolation, struct isolated *isolated,
	char *const *word, size_t count)
{
	struct ip4_prefix prefix;

	(void)isolation;
	if (count != 3 || ip4_prefix_parse(word[2], &prefix))
		return "expected allow VM ADDR/LEN";
	if (isolated->allow_count == ALLOW_MAX)
		return "too many of them";
	isolated->allow = xrealloc(isolated->allow, isolated->allow_count + 1, sizeof(prefix));
	isolated->allow[isolated->allow_count++] = prefix;
	return NULL;
}

bool port_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len && len < IFNAMSIZ && !strpbrk(name, "/: \t\n\v\f\r") && strcmp(name, ".") != 0 &&
		strcmp(name, "..") != 0;
}

static bool parse_port_name(const char *word, char name[IFNAMSIZ])
{
	if (!port_name_is_valid(word))
		return false;
	snprintf(name, IFNAMSIZ, "%s", word);
	return true;
}

static const char *parse_port(struct isolation *isolation, struct isolated *isolated,
	char *const *word, size_t count)
{
	(void)isolation;
	return count == 3 && parse_port_name(word[2], isolated->wanted_port)
		? NULL
		: "expected port VM PORT";
}

/* Name and index. */
static bool parse_link(char *const *word, struct port *ret_port)
{
	struct port port = { 0 };

	if (!parse_port_name(word[0], port.name) ||
		number_parse(word[1], 1, INT32_MAX, &port.index))
		return false;
	*ret_port = port;
	return true;
}

static bool parse_mask(const char *word, struct port *port)
{
	uint32_t mask;

	if (number_parse(word, 0, UINT16_MAX, &mask))
		return false;
	port->group_fwd_mask = (uint16_t)mask;
	return true;
}

/* Once the mask stood here. */
static const char *parse_seen(struct isolation *isolation, struct isolated *isolated,
	char *const *word, size_t count)
{
	struct port port;

	if (count < 4 || count > 5 || !parse_link(&word[2], &port) ||
		(count == 5 && !parse_mask(word[4], &port)))
		return "expected seen VM PORT INDEX";
	if (isolated->port_count == ISOLATION_MAX)
		return "too many of them";
	if (count == 5 && isolation->mask_count < ISOLATION_MAX)
		(void)isolation_note_mask(isolation, &port);
	(void)isolated_see(isolated, &port);
	return NULL;
}

static const char *parse_boot(struct isolation *isolation, struct isolated *isolated,
	char *const *word, size_t count)
{
	(void)isolated;
	if (count != 2 || strlen(word[1]) >= BOOT_ID_SIZE || !plan_name_is_valid(word[1]))
		return "expected boot ID";
	snprintf(isolation->boot, sizeof(isolation->boot), "%s", word[1]);
	return NULL;
}

static const char *parse_mask_line(struct isolation *isolation, struct isolated *isolated,
	char *const *word, size_t count)
{
	struct port port;

	(void)isolated;
	if (count != 4 || !parse_link(&word[1], &port) || !parse_mask(word[3], &port))
		return "expected mask PORT INDEX MASK";
	if (isolation->mask_count == ISOLATION_MAX)
		return "too many of them";
	(void)isolation_note_mask(isolation, &port);
	return NULL;
}

static const char *parse_claim(struct isolation *isolation, struct isolated *isolated,
	char *const *word, size_t count)
{
	struct port port;
	struct mac mac;

	(void)isolated;
	if (count != 4 || mac_parse(word[1], &mac) || !mac_is_host(&mac) ||
		!parse_link(&word[2], &port))
		return "expected claim MAC PORT INDEX";
	if (isolation->claim_count == CLAIM_MAX)
		return "too many of them";
	(void)isolation_claim(isolation, &mac, &port);
	return NULL;
}

/* `isolated` is NULL in lines that name no VM. */
static const struct {
	const char *word;
	bool names_vm;
	const char *(*parse)(struct isolation *isolation, struct isolated *isolated,
		char *const *word, size_t count);
} kinds[] = {
	{ "isolate", true, parse_isolate },
	{ "allow", true, parse_allow },
	{ "port", true, parse_port },
	{ "seen", true, parse_seen },
	{ "boot", false, parse_boot },
	{ "mask", false, parse_mask_line },
	{ "claim", false, parse_claim },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

/* What is wrong with it; NULL: nothing. The VM is isolated whatever else the line says. */
static const char *parse_line(struct isolation *isolation, char *line)
{
	char *word[WORDS_MAX], *rest = NULL;
	struct isolated *isolated;
	size_t count = 0, kind = 0;

	for (char *next = strtok_r(line, " \t\r", &rest); next && count < WORDS_MAX;
		next = strtok_r(NULL, " \t\r", &rest))
		word[count++] = next;
	if (!count || *word[0] == '#')
		return NULL;
	while (kind < KINDS && strcmp(word[0], kinds[kind].word) != 0)
		kind++;
	if (kind < KINDS && !kinds[kind].names_vm)
		return kinds[kind].parse(isolation, NULL, word, count);
	if (count < 2 || !plan_name_is_valid(word[1]))
		return "there is no VM's name in it";
	if (isolation->count == ISOLATION_MAX && !isolation_find(isolation, word[1]))
		return "too many VMs";
	isolated = find_or_add(isolation, word[1]);
	if (kind == KINDS)
		return "expected isolate, allow, port, seen, boot, mask or claim";
	return kinds[kind].parse(isolation, isolated, word, count);
}

int isolation_parse(char *text, const char *file, struct isolation *ret_isolation,
	struct problems *problems)
{
	struct isolation isolation = { 0 };
	unsigned line = 0;
	int err = 0;

	if (strncmp(text, FILE_HEADER, strlen(FILE_HEADER)) != 0) {
		problem_add(problems, file, 1, "expected " FILE_HEADER);
		err = -EINVAL;
	}
	for (char *at = text, *end; at; at = end) {
		const char *why;

		end = strchr(at, '\n');
		if (end)
			*end++ = '\0';
		line++;
		why = parse_line(&isolation, at);
		if (!why)
			continue;
		problem_add(problems, file, line, "%s", why);
		err = -EINVAL;
	}
	*ret_isolation = isolation;
	return err;
}
