/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binding owns who has which public address. It must not know rules, links or the kernel: what it
 * says is made true elsewhere.
 */
#include "natmgr/binding.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"

void binding_table_done(struct binding_table *table)
{
	free(table->list);
	free(table->cooling);
	*table = (struct binding_table){ 0 };
}

void binding_table_copy(const struct binding_table *from, struct binding_table *ret_to)
{
	*ret_to = *from;
	ret_to->list = xmemdup(from->list, from->count * sizeof(*from->list));
	ret_to->cooling = xmemdup(from->cooling, from->cooling_count * sizeof(*from->cooling));
}

/* --- looking ------------------------------------------------------------------------------ */

struct binding *binding_find(const struct binding_table *table, uint32_t address)
{
	for (size_t i = 0; i < table->count; i++) {
		if (table->list[i].address == address)
			return &table->list[i];
	}
	return NULL;
}

const struct cooldown *binding_cooling(const struct binding_table *table, uint32_t address,
	time_t now)
{
	for (size_t i = 0; i < table->cooling_count; i++) {
		if (table->cooling[i].address == address && table->cooling[i].until > now)
			return &table->cooling[i];
	}
	return NULL;
}

const struct binding *binding_first(const struct binding_table *table, const char *vm)
{
	for (size_t i = 0; i < table->count; i++) {
		if (!strcasecmp(table->list[i].vm, vm))
			return &table->list[i];
	}
	return NULL;
}

static bool may_have(const struct binding_table *table, uint32_t address, const char *vm, time_t now)
{
	const struct cooldown *cooling = binding_cooling(table, address, now);

	return !binding_find(table, address) && (!cooling || !strcasecmp(cooling->vm, vm));
}

uint32_t binding_choose(const struct binding_table *table, const struct config *config,
	const char *vm, uint32_t from, time_t now)
{
	for (size_t i = 0; i < config->outer.pool_count; i++) {
		const struct ip4_range *range = &config->outer.pool[i];
		uint32_t address = range->first > from ? range->first : from;

		for (; address <= range->last; address++) {
			if (may_have(table, address, vm, now))
				return address;
		}
	}
	return 0;
}

/* The lowest label that no binding has: the patent's eth0:1, eth0:2, … */
static unsigned free_label(const struct binding_table *table)
{
	uint8_t *taken = xcalloc(table->count + 2, 1);
	unsigned label = 1;

	for (size_t i = 0; i < table->count; i++) {
		if (table->list[i].label <= table->count)
			taken[table->list[i].label] = 1;
	}
	while (taken[label])
		label++;
	free(taken);
	return label;
}

/* --- changing ----------------------------------------------------------------------------- */

static void append(struct binding_table *table, const struct binding *binding)
{
	table->list = xrealloc(table->list, table->count + 1, sizeof(*binding));
	table->list[table->count++] = *binding;
}

static void remove_at(struct binding_table *table, size_t i)
{
	memmove(&table->list[i], &table->list[i + 1], (--table->count - i) * sizeof(*table->list));
}

static void drop_cooldown(struct binding_table *table, uint32_t address)
{
	for (size_t i = 0; i < table->cooling_count; i++) {
		if (table->cooling[i].address == address)
			table->cooling[i--] = table->cooling[--table->cooling_count];
	}
}

/* Takes the binding away; its address cools down where so configured. */
static void take_back(struct binding_table *table, const struct config *config, size_t i, time_t now)
{
	struct cooldown cooldown = { .address = table->list[i].address,
		.until = now + config->nat.cooldown };

	memcpy(cooldown.vm, table->list[i].vm, sizeof(cooldown.vm));
	remove_at(table, i);
	drop_cooldown(table, cooldown.address);
	if (!config->nat.cooldown || !config_pool_contains(config, cooldown.address))
		return;
	table->cooling = xrealloc(table->cooling, table->cooling_count + 1, sizeof(cooldown));
	table->cooling[table->cooling_count++] = cooldown;
}

static int find_vm(const struct plan *plan, const char *name, const struct vm **ret_vm,
	char **ret_error)
{
	const struct vm *vm = plan_by_name(plan, name);

	if (!vm) {
		*ret_error = xasprintf("%s: no such VM in the plan; eipctl vm list shows them", name);
		return -ENOENT;
	}
	*ret_vm = vm;
	return 0;
}

static void give(struct binding *binding, const struct vm *vm)
{
	snprintf(binding->vm, sizeof(binding->vm), "%s", vm->name);
	binding->mac = vm->mac;
}

int binding_bind(struct binding_table *table, const struct config *config, const struct plan *plan,
	const char *name, uint32_t address, time_t now, char **ret_error)
{
	const struct binding *bound = binding_find(table, address);
	const struct cooldown *cooling = binding_cooling(table, address, now);
	struct binding binding = { .address = address, .label = free_label(table) };
	char text[IP4_STRLEN];
	const struct vm *vm;
	int err = find_vm(plan, name, &vm, ret_error);

	if (err)
		return err;
	ip4_format(address, text);
	if (bound && !strcasecmp(bound->vm, vm->name))
		return 0;
	if (bound) {
		*ret_error = xasprintf("%s is bound to %s; eipctl ip move %s %s gives it to %s", text,
			bound->vm, text, vm->name, vm->name);
		return -EBUSY;
	}
	if (!config_pool_contains(config, address)) {
		*ret_error = xasprintf("%s is not in the pool; [outer] pool in %s names the addresses "
			"that may be bound", text, config->path);
		return -ERANGE;
	}
	if (cooling && strcasecmp(cooling->vm, vm->name)) {
		*ret_error = xasprintf("%s was %s's and cools down for another %lld s; choose another "
			"address or wait", text, cooling->vm, (long long)(cooling->until - now));
		return -EBUSY;
	}
	give(&binding, vm);
	append(table, &binding);
	drop_cooldown(table, address);
	return 1;
}

int binding_unbind(struct binding_table *table, const struct config *config, uint32_t address,
	time_t now, char **ret_error)
{
	const struct binding *bound = binding_find(table, address);
	char text[IP4_STRLEN];

	if (bound) {
		take_back(table, config, (size_t)(bound - table->list), now);
		return 1;
	}
	if (config_pool_contains(config, address))
		return 0;
	*ret_error = xasprintf("%s is not bound and not in the pool; eipctl ip list shows what is",
		ip4_format(address, text));
	return -ERANGE;
}

int binding_move(struct binding_table *table, const struct config *config, const struct plan *plan,
	uint32_t address, const char *name, time_t now, char **ret_error)
{
	const struct binding *bound = binding_find(table, address);
	struct binding moved;
	const struct vm *vm;
	int err;

	/* a move to a VM from nobody is a bind: the caller wants the address there */
	if (!bound)
		return binding_bind(table, config, plan, name, address, now, ret_error);
	err = find_vm(plan, name, &vm, ret_error);
	if (err)
		return err;
	if (!strcasecmp(bound->vm, vm->name))
		return 0;
	/* at the end: an address that comes does not become the source of a VM that has one */
	moved = *bound;
	give(&moved, vm);
	remove_at(table, (size_t)(bound - table->list));
	append(table, &moved);
	return 1;
}

bool binding_follow(struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now, struct binding **ret_lost, size_t *ret_lost_count)
{
	struct binding *lost = xcalloc(table->count, sizeof(*lost));
	bool changed = false;
	size_t count = 0;

	for (size_t i = 0; i < table->count;) {
		struct binding *binding = &table->list[i];
		const struct vm *vm = plan_by_name(plan, binding->vm);

		if (!vm)
			vm = plan_by_mac(plan, &binding->mac);
		if (!vm) {
			lost[count++] = *binding;
			take_back(table, config, i, now);
			changed = true;
			continue;
		}
		if (strcmp(vm->name, binding->vm) || !mac_equal(&vm->mac, &binding->mac)) {
			give(binding, vm);
			changed = true;
		}
		i++;
	}
	*ret_lost = lost;
	*ret_lost_count = count;
	return changed;
}

bool binding_cool(struct binding_table *table, time_t now)
{
	size_t before = table->cooling_count;

	for (size_t i = 0; i < table->cooling_count;) {
		if (table->cooling[i].until <= now)
			table->cooling[i] = table->cooling[--table->cooling_count];
		else
			i++;
	}
	return table->cooling_count != before;
}

/* --- the state file ----------------------------------------------------------------------- */

#define FILE_HEADER "# eipd bindings, version 1"

char *binding_format(const struct binding_table *table, const char *interface, size_t *ret_len)
{
	char ip[IP4_STRLEN], mac[MAC_STRLEN], *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		abort();
	fputs(FILE_HEADER "; eipd writes it: edit it only while eipd is stopped\n", out);
	for (size_t i = 0; i < table->count; i++) {
		const struct binding *binding = &table->list[i];

		fprintf(out, "bind %s %s %s %s:%u\n", ip4_format(binding->address, ip), binding->vm,
			mac_format(&binding->mac, mac), interface, binding->label);
	}
	for (size_t i = 0; i < table->cooling_count; i++)
		fprintf(out, "cooldown %s %s %lld\n", ip4_format(table->cooling[i].address, ip),
			table->cooling[i].vm, (long long)table->cooling[i].until);
	if (fclose(out))
		abort();
	return text;
}

static const char *parse_bind(struct binding_table *table, char *const *word)
{
	struct binding binding = { 0 };
	const char *number = strrchr(word[4], ':');

	if (ip4_parse(word[1], &binding.address) || !ip4_is_host(binding.address))
		return "not a public address";
	if (!plan_name_is_valid(word[2]))
		return "not a VM's name";
	if (mac_parse(word[3], &binding.mac))
		return "not a MAC";
	if (!number || number_parse(number + 1, 1, 10000000, &binding.label))
		return "not a label";
	if (binding_find(table, binding.address))
		return "this address stands here twice";
	snprintf(binding.vm, sizeof(binding.vm), "%s", word[2]);
	append(table, &binding);
	return NULL;
}

static const char *parse_cooldown(struct binding_table *table, char *const *word)
{
	struct cooldown cooldown = { 0 };
	char *end;

	if (ip4_parse(word[1], &cooldown.address) || !ip4_is_host(cooldown.address))
		return "not a public address";
	if (!plan_name_is_valid(word[2]))
		return "not a VM's name";
	errno = 0;
	cooldown.until = (time_t)strtoll(word[3], &end, 10);
	if (errno || *end || end == word[3])
		return "not a time";
	snprintf(cooldown.vm, sizeof(cooldown.vm), "%s", word[2]);
	table->cooling = xrealloc(table->cooling, table->cooling_count + 1, sizeof(cooldown));
	table->cooling[table->cooling_count++] = cooldown;
	return NULL;
}

static const char *parse_line(struct binding_table *table, char *line)
{
	char *word[6] = { NULL }, *next = line;
	size_t count = 0;

	while (count < 6 && (word[count] = strsep(&next, " ")))
		count++;
	if (count == 5 && !strcmp(word[0], "bind"))
		return parse_bind(table, word);
	if (count == 4 && !strcmp(word[0], "cooldown"))
		return parse_cooldown(table, word);
	return "not understood; expected bind ADDRESS VM MAC LABEL, or cooldown ADDRESS VM TIME";
}

int binding_parse(const char *text, const char *file, struct binding_table *ret_table,
	struct problems *problems)
{
	struct binding_table table = { 0 };
	size_t problems_before = problems->count;
	unsigned number = 0;

	if (strncmp(text, FILE_HEADER, strlen(FILE_HEADER)))
		problem_add(problems, file, 1, "not a file of bindings that this version knows; "
			"expected \"%s\" first", FILE_HEADER);
	while (*text && problems->count == problems_before) {
		size_t len = strcspn(text, "\n");
		char *line = xmemdup(text, len + 1);
		const char *why = NULL;

		line[len] = '\0';
		number++;
		if (text[len] != '\n')
			why = "cut off";
		else if (len && *line != '#')
			why = parse_line(&table, line);
		if (why)
			problem_add(problems, file, number, "%s", why);
		free(line);
		text += len + (text[len] == '\n');
	}
	if (problems->count != problems_before) {
		binding_table_done(&table);
		return -EINVAL;
	}
	*ret_table = table;
	return 0;
}

/* --- the mapping -------------------------------------------------------------------------- */

static int compare_addresses(const void *a, const void *b)
{
	const struct mapping *ma = a, *mb = b;

	return ma->address < mb->address ? -1 : ma->address > mb->address;
}

struct mapping *binding_map(const struct binding_table *table, const struct plan *plan,
	size_t *ret_count)
{
	struct mapping *map = xcalloc(table->count, sizeof(*map));
	bool *has_source = xcalloc(plan_count(plan), sizeof(*has_source));
	size_t count = 0;

	for (size_t i = 0; i < table->count; i++) {
		const struct binding *binding = &table->list[i];
		const struct vm *vm = plan_by_name(plan, binding->vm);
		bool *seen;

		if (!vm)
			continue;
		seen = &has_source[plan_index(plan, vm)];
		map[count++] = (struct mapping){ .address = binding->address, .inner = vm->ip,
			.label = binding->label, .is_source = !*seen };
		*seen = true;
	}
	free(has_source);
	qsort(map, count, sizeof(*map), compare_addresses);
	*ret_count = count;
	return map;
}

const struct mapping *mapping_by_address(const struct mapping *map, size_t count, uint32_t address)
{
	struct mapping key = { .address = address };

	return count ? bsearch(&key, map, count, sizeof(*map), compare_addresses) : NULL;
}
