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
	isolation_done(isolation);
	*isolation = made;
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

/* A link that has the index and the name is the same one: after a reboot of the host it may not
 * be, but then the VM has a new port as well. */
static bool is_there(const struct port *port, const struct port *ports, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ports[i].index == port->index && !strcmp(ports[i].name, port->name))
			return true;
	}
	return false;
}

bool isolation_prune(struct isolation *isolation, const struct port *ports, size_t count)
{
	bool changed = false;

	for (size_t i = 0; i < isolation->count; i++) {
		struct isolated *isolated = &isolation->list[i];
		size_t kept = 0;

		for (size_t p = 0; p < isolated->port_count; p++) {
			if (is_there(&isolated->ports[p], ports, count))
				isolated->ports[kept++] = isolated->ports[p];
		}
		changed = changed || kept != isolated->port_count;
		isolated->port_count = kept;
	}
	return changed;
}

void isolation_copy(const struct isolation *isolation, struct isolation *ret_copy)
{
	struct isolation copy = { copy_list(isolation->list, isolation->count,
					  sizeof(*isolation->list)),
		isolation->count };

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
		fprintf(out, "seen %s %s %u %u\n", isolated->vm, isolated->ports[i].name,
			isolated->ports[i].index, isolated->ports[i].group_fwd_mask);
}

char *isolation_format(const struct isolation *isolation, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		abort();
	fputs(FILE_HEADER "; eipd writes it: edit it only while eipd is stopped\n", out);
	for (size_t i = 0; i < isolation->count; i++)
		format_one(&isolation->list[i], out);
	if (fclose(out))
		abort();
	return text;
}

static const char *parse_isolate(struct isolated *isolated, char *const *word, size_t count)
{
	struct mac mac;
	uint32_t ip;

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

static const char *parse_allow(struct isolated *isolated, char *const *word, size_t count)
{
	struct ip4_prefix prefix;

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

static const char *parse_port(struct isolated *isolated, char *const *word, size_t count)
{
	return count == 3 && parse_port_name(word[2], isolated->wanted_port)
		? NULL
		: "expected port VM PORT";
}

static const char *parse_seen(struct isolated *isolated, char *const *word, size_t count)
{
	struct port port = { 0 };
	uint32_t mask;

	if (count != 5 || !parse_port_name(word[2], port.name) ||
		number_parse(word[3], 1, INT32_MAX, &port.index) ||
		number_parse(word[4], 0, UINT16_MAX, &mask))
		return "expected seen VM PORT INDEX MASK";
	port.group_fwd_mask = (uint16_t)mask;
	if (isolated->port_count == ISOLATION_MAX)
		return "too many of them";
	(void)isolated_see(isolated, &port);
	return NULL;
}

static const struct {
	const char *word;
	const char *(*parse)(struct isolated *isolated, char *const *word, size_t count);
} kinds[] = {
	{ "isolate", parse_isolate },
	{ "allow", parse_allow },
	{ "port", parse_port },
	{ "seen", parse_seen },
};

/* What is wrong with it; NULL: nothing. The VM is isolated whatever else the line says. */
static const char *parse_line(struct isolation *isolation, char *line)
{
	char *word[WORDS_MAX], *rest = NULL;
	struct isolated *isolated;
	size_t count = 0;

	for (char *next = strtok_r(line, " \t\r", &rest); next && count < WORDS_MAX;
		next = strtok_r(NULL, " \t\r", &rest))
		word[count++] = next;
	if (!count || *word[0] == '#')
		return NULL;
	if (count < 2 || !plan_name_is_valid(word[1]))
		return "there is no VM's name in it";
	if (isolation->count == ISOLATION_MAX && !isolation_find(isolation, word[1]))
		return "too many VMs";
	isolated = find_or_add(isolation, word[1]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!strcmp(word[0], kinds[i].word))
			return kinds[i].parse(isolated, word, count);
	}
	return "expected isolate, allow, port or seen";
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
