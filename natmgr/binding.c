/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binding owns who has which public address. It must not know rules, links or the kernel: what it
 * says is made true elsewhere.
 */
#include "natmgr/binding_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"

void binding_table_done(struct binding_table *table)
{
	free(table->list);
	free(table->forwards);
	free(table->cooling);
	*table = (struct binding_table){ 0 };
}

void binding_table_copy(const struct binding_table *from, struct binding_table *ret_to)
{
	*ret_to = *from;
	ret_to->list = xmemdup(from->list, from->count * sizeof(*from->list));
	ret_to->forwards = xmemdup(from->forwards, from->forward_count * sizeof(*from->forwards));
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

bool binding_is_foreign(const struct binding_table *table, uint32_t address)
{
	return table->foreign_address_count &&
		bsearch(&address, table->foreign_addresses, table->foreign_address_count,
			sizeof(address), ip4_compare);
}

/* The VM that the address cools down from, whatever its name is now. */
static bool had_it(const struct cooldown *cooling, const struct vm *vm)
{
	return !strcasecmp(cooling->vm, vm->name) || mac_equal(&cooling->mac, &vm->mac);
}

/* By label, up to and with `most`: whether it is taken. */
static uint8_t *taken_labels(const struct binding_table *table, size_t most)
{
	uint8_t *taken = xcalloc(most + 1, 1);

	for (size_t i = 0; i < table->count; i++) {
		if (table->list[i].label <= most)
			taken[table->list[i].label] = 1;
	}
	for (size_t i = 0; i < table->forward_count; i++) {
		if (table->forwards[i].label <= most)
			taken[table->forwards[i].label] = 1;
	}
	for (size_t i = 0; i < table->foreign_label_count; i++) {
		if (table->foreign_labels[i] <= most)
			taken[table->foreign_labels[i]] = 1;
	}
	return taken;
}

/* With so many more labels given, none is higher than this. */
static size_t highest_label(const struct binding_table *table, size_t more)
{
	return table->count + table->forward_count + table->foreign_label_count + more;
}

/* The lowest label that is not taken: the patent's eth0:1, eth0:2, … */
unsigned binding_free_label(const struct binding_table *table)
{
	uint8_t *taken = taken_labels(table, highest_label(table, 1));
	unsigned label = 1;

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

void binding_drop_cooldown(struct binding_table *table, uint32_t address)
{
	for (size_t i = 0; i < table->cooling_count; i++) {
		if (table->cooling[i].address == address)
			table->cooling[i--] = table->cooling[--table->cooling_count];
	}
}

/* The address is nobody's any more; it cools down where so configured. */
void binding_cool_down(struct binding_table *table, const struct config *config, uint32_t address,
	const char *vm, const struct mac *mac, time_t now)
{
	struct cooldown cooldown = {
		.address = address, .until = now + config->nat.cooldown, .mac = *mac
	};

	snprintf(cooldown.vm, sizeof(cooldown.vm), "%s", vm);
	binding_drop_cooldown(table, address);
	if (!config->nat.cooldown || !config_pool_contains(config, address))
		return;
	table->cooling = xrealloc(table->cooling, table->cooling_count + 1, sizeof(cooldown));
	table->cooling[table->cooling_count++] = cooldown;
}

static void take_back(struct binding_table *table, const struct config *config, size_t i,
	time_t now)
{
	const struct binding binding = table->list[i];

	remove_at(table, i);
	binding_cool_down(table, config, binding.address, binding.vm, &binding.mac, now);
}

int binding_find_vm(const struct plan *plan, const char *name, const struct vm **ret_vm,
	char **ret_error)
{
	const struct vm *vm = plan_by_name(plan, name);

	if (!vm) {
		*ret_error = xasprintf("%s: no such VM in the plan; eipctl vm list shows them",
			name);
		return -ENOENT;
	}
	*ret_vm = vm;
	return 0;
}

static void name_owner(struct binding *binding, const struct vm *vm)
{
	snprintf(binding->vm, sizeof(binding->vm), "%s", vm->name);
	binding->mac = vm->mac;
}

static void give(const struct binding_table *table, struct binding *binding, const struct vm *vm)
{
	name_owner(binding, vm);
	binding->bound = table->clock;
}

/* 0 if the VM may be given an address that nobody has now. */
int binding_check_available(const struct binding_table *table, const struct config *config,
	uint32_t address, const struct vm *vm, time_t now, char **ret_error)
{
	const struct cooldown *cooling = binding_cooling(table, address, now);
	char text[IP4_STRLEN];

	ip4_format(address, text);
	if (binding_is_foreign(table, address)) {
		*ret_error =
			xasprintf("%s is on %s already, and not put there by eipd, or means the "
				  "network or all hosts there; take another address",
				text, config->outer.interface);
		return -EADDRINUSE;
	}
	if (!config_pool_contains(config, address)) {
		*ret_error =
			xasprintf("%s is not in the pool; [outer] pool in %s names the addresses "
				  "that may be bound",
				text, config->path);
		return -ERANGE;
	}
	if (cooling && !had_it(cooling, vm)) {
		*ret_error =
			xasprintf("%s was %s's and cools down for another %lld s; choose another "
				  "address or wait",
				text, cooling->vm, (long long)(cooling->until - now));
		return -EBUSY;
	}
	return 0;
}

int binding_bind(struct binding_table *table, const struct config *config, const struct plan *plan,
	const char *name, uint32_t address, time_t now, char **ret_error)
{
	const struct binding *bound = binding_find(table, address);
	struct binding binding = { .address = address, .label = binding_free_label(table) };
	char text[IP4_STRLEN];
	const struct vm *vm;
	int err = binding_find_vm(plan, name, &vm, ret_error);

	if (err)
		return err;
	ip4_format(address, text);
	if (bound && !strcasecmp(bound->vm, vm->name))
		return 0;
	if (bound) {
		*ret_error = xasprintf("%s is bound to %s; eipctl ip move %s %s gives it to %s",
			text, bound->vm, text, vm->name, vm->name);
		return -EBUSY;
	}
	if (forward_of(table, address)) {
		*ret_error = xasprintf("%s is shared by port forwards; delete them first "
				       "(eipctl forward list), or bind another address",
			text);
		return -EBUSY;
	}
	err = binding_check_available(table, config, address, vm, now, ret_error);
	if (err)
		return err;
	give(table, &binding, vm);
	append(table, &binding);
	binding_drop_cooldown(table, address);
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
	if (forward_of(table, address)) {
		*ret_error = xasprintf("%s is not bound but shared by port forwards; "
				       "eipctl forward del takes them away",
			ip4_format(address, text));
		return -EBUSY;
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
	err = binding_find_vm(plan, name, &vm, ret_error);
	if (err)
		return err;
	if (!strcasecmp(bound->vm, vm->name))
		return 0;
	/* at the end: an address that comes does not become the source of a VM that has one */
	moved = *bound;
	give(table, &moved, vm);
	remove_at(table, (size_t)(bound - table->list));
	append(table, &moved);
	return 1;
}

const struct vm *binding_vm(const struct plan *plan, const char *name, const struct mac *mac)
{
	const struct vm *vm = plan_by_name(plan, name);

	return vm ? vm : plan_by_mac(plan, mac);
}

bool binding_follow(struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now, struct binding **ret_lost, size_t *ret_lost_count)
{
	struct binding *lost = xcalloc(table->count, sizeof(*lost));
	bool changed = forward_follow(table, config, plan, now);
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct binding *binding = &table->list[i];
		const struct vm *vm = binding_vm(plan, binding->vm, &binding->mac);

		if (!vm) {
			lost[count++] = *binding;
			binding_cool_down(table, config, binding->address, binding->vm,
				&binding->mac, now);
			changed = true;
			continue;
		}
		if (strcmp(vm->name, binding->vm) || !mac_equal(&vm->mac, &binding->mac)) {
			name_owner(binding, vm);
			changed = true;
		}
		/* what stays closes up: thousands may go at once */
		if (kept != i)
			table->list[kept] = *binding;
		kept++;
	}
	table->count = kept;
	*ret_lost = lost;
	*ret_lost_count = count;
	return changed;
}

/* --- free addresses ----------------------------------------------------------------------- */

static bool passes(const struct address_filter *filter, uint32_t address)
{
	return !filter || filter->passes(filter->ctx, address);
}

/* The addresses that nobody may be given, sorted: bound, shared, cooling down. */
static uint32_t *taken_addresses(const struct binding_table *table, time_t now, size_t *ret_count)
{
	uint32_t *taken = xcalloc(table->count + table->forward_count + table->cooling_count +
			table->foreign_address_count,
		sizeof(*taken));
	size_t count = 0;

	for (size_t i = 0; i < table->count; i++)
		taken[count++] = table->list[i].address;
	for (size_t i = 0; i < table->forward_count; i++)
		taken[count++] = table->forwards[i].address;
	for (size_t i = 0; i < table->cooling_count; i++) {
		if (table->cooling[i].until > now)
			taken[count++] = table->cooling[i].address;
	}
	for (size_t i = 0; i < table->foreign_address_count; i++)
		taken[count++] = table->foreign_addresses[i];
	qsort(taken, count, sizeof(*taken), ip4_compare);
	*ret_count = count;
	return taken;
}

/* Goes through the pool in ascending order, leaving out what is taken. */
struct pool_walk {
	const struct config *config;
	const struct address_filter *filter;
	uint32_t *taken;
	size_t taken_count, range;
	uint64_t next; /* 0: at the head of the range */
};

static uint32_t next_free(struct pool_walk *walk)
{
	for (; walk->range < walk->config->outer.pool_count; walk->range++, walk->next = 0) {
		const struct ip4_range *range = &walk->config->outer.pool[walk->range];

		if (!walk->next)
			walk->next = range->first;
		while (walk->next <= range->last) {
			uint32_t address = (uint32_t)walk->next++;

			if ((!walk->taken_count ||
				    !bsearch(&address, walk->taken, walk->taken_count,
					    sizeof(address), ip4_compare)) &&
				passes(walk->filter, address))
				return address;
		}
	}
	return 0;
}

/* By the plan's index: the VM has a public address or a part of one. */
static bool *served_vms(const struct binding_table *table, const struct plan *plan)
{
	bool *served = xcalloc(plan_count(plan), sizeof(*served));

	for (size_t i = 0; i < table->count; i++) {
		const struct vm *vm = plan_by_name(plan, table->list[i].vm);

		if (vm)
			served[plan_index(plan, vm)] = true;
	}
	for (size_t i = 0; i < table->forward_count; i++) {
		const struct vm *vm = plan_by_name(plan, table->forwards[i].vm);

		if (vm)
			served[plan_index(plan, vm)] = true;
	}
	return served;
}

/* It cools down, and the VM that had it may have it again. */
static bool may_return(const struct binding_table *table, const struct config *config,
	const struct cooldown *cooling, time_t now, const struct address_filter *filter)
{
	return cooling->until > now && config_pool_contains(config, cooling->address) &&
		!binding_is_foreign(table, cooling->address) && passes(filter, cooling->address);
}

/* An address that cools down from this VM; 0: none does. */
static uint32_t cooling_for(const struct binding_table *table, const struct config *config,
	const struct vm *vm, time_t now, const struct address_filter *filter)
{
	for (size_t i = 0; i < table->cooling_count; i++) {
		const struct cooldown *cooling = &table->cooling[i];

		if (had_it(cooling, vm) && may_return(table, config, cooling, now, filter))
			return cooling->address;
	}
	return 0;
}

/* The same for all VMs, by the plan's index. */
static uint32_t *cooling_for_all(const struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now, const struct address_filter *filter)
{
	uint32_t *addresses = xcalloc(plan_count(plan), sizeof(*addresses));

	for (size_t i = table->cooling_count; i-- > 0;) {
		const struct cooldown *cooling = &table->cooling[i];
		const struct vm *vm = binding_vm(plan, cooling->vm, &cooling->mac);

		if (vm && may_return(table, config, cooling, now, filter))
			addresses[plan_index(plan, vm)] = cooling->address;
	}
	return addresses;
}

uint32_t binding_choose(const struct binding_table *table, const struct config *config,
	const struct vm *vm, time_t now, const struct address_filter *filter)
{
	struct pool_walk walk = { .config = config, .filter = filter };
	uint32_t address = vm ? cooling_for(table, config, vm, now, filter) : 0;

	if (address)
		return address;
	walk.taken = taken_addresses(table, now, &walk.taken_count);
	address = next_free(&walk);
	free(walk.taken);
	return address;
}

size_t binding_auto(struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now, const struct address_filter *filter,
	const struct vm_filter *vms, struct binding **ret_given)
{
	struct pool_walk walk = { .config = config, .filter = filter };
	uint32_t *cooling = cooling_for_all(table, config, plan, now, filter);
	bool *served = served_vms(table, plan);
	uint8_t *labels = taken_labels(table, highest_label(table, plan_count(plan)));
	unsigned label = 1;
	size_t count = 0;

	walk.taken = taken_addresses(table, now, &walk.taken_count);
	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i);
		struct binding binding = { 0 };

		if (served[i] || (vms && !vms->passes(vms->ctx, vm)))
			continue;
		/* what it had last, while that cools down for it; else the next of the pool */
		binding.address = cooling[i] ? cooling[i] : next_free(&walk);
		if (!binding.address)
			continue;
		while (labels[label])
			label++;
		binding.label = label++;
		give(table, &binding, vm);
		append(table, &binding);
		binding_drop_cooldown(table, binding.address);
		count++;
	}
	free(labels);
	free(served);
	free(cooling);
	free(walk.taken);
	*ret_given = count
		? xmemdup(&table->list[table->count - count], count * sizeof(**ret_given))
		: NULL;
	return count;
}

bool binding_cool(struct binding_table *table, const struct config *config, time_t now)
{
	size_t before = table->cooling_count;

	for (size_t i = 0; i < table->cooling_count;) {
		struct cooldown *cooldown = &table->cooling[i];

		/* a clock that was set back must not make it longer than it may be */
		if (cooldown->until > now + (time_t)config->nat.cooldown)
			cooldown->until = now + (time_t)config->nat.cooldown;
		if (cooldown->until <= now)
			*cooldown = table->cooling[--table->cooling_count];
		else
			i++;
	}
	return table->cooling_count != before;
}

void binding_shift_cooldowns(struct binding_table *table, time_t seconds)
{
	for (size_t i = 0; i < table->cooling_count; i++)
		table->cooling[i].until += seconds;
}
