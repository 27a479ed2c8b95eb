/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * desired owns the way from bindings to addresses and ports. It must not know who may have what,
 * nor how rules look.
 */
#include "natmgr/desired.h"

#include <stdlib.h>

#include "common/memory.h"

static int compare_addresses(const void *a, const void *b)
{
	const struct mapping *ma = a, *mb = b;

	return ma->address < mb->address ? -1 : ma->address > mb->address;
}

static int compare_ports(const void *a, const void *b)
{
	const struct port_mapping *pa = a, *pb = b;

	if (pa->address != pb->address)
		return pa->address < pb->address ? -1 : 1;
	if (pa->protocol != pb->protocol)
		return pa->protocol < pb->protocol ? -1 : 1;
	return pa->first - pb->first;
}

/* The VM that a name means, unless it is isolated: which goes by the name that it has now. */
static const struct vm *find_vm(const struct plan *plan, const struct isolation *isolation,
	const char *name, const struct mac *mac)
{
	const struct vm *vm = binding_vm(plan, name, mac);

	return vm && isolation && isolation_find(isolation, vm->name) ? NULL : vm;
}

/* has_source: by the plan's index, VMs that have a source address already. */
static void map_bindings(const struct binding_table *table, const struct plan *plan,
	const struct isolation *isolation, bool *has_source, struct desired *desired)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct binding *binding = &table->list[i];
		const struct vm *vm = find_vm(plan, isolation, binding->vm, &binding->mac);
		bool *seen;

		if (!vm)
			continue;
		seen = &has_source[plan_index(plan, vm)];
		desired->map[desired->count++] = (struct mapping){ .address = binding->address,
			.inner = vm->ip,
			.label = binding->label,
			.is_source = !*seen };
		*seen = true;
	}
}

/* Forwards of an address mostly follow each other, so this looks from the end. */
static bool is_mapped(const struct desired *desired, uint32_t address)
{
	for (size_t i = desired->count; i-- > 0;) {
		if (desired->map[i].address == address)
			return true;
	}
	return false;
}

static void map_forwards(const struct binding_table *table, const struct plan *plan,
	const struct isolation *isolation, bool *has_source, struct desired *desired)
{
	for (size_t i = 0; i < table->forward_count; i++) {
		const struct forward *forward = &table->forwards[i];
		const struct vm *vm = find_vm(plan, isolation, forward->vm, &forward->mac);
		bool *seen;

		if (!vm)
			continue;
		seen = &has_source[plan_index(plan, vm)];
		if (!is_mapped(desired, forward->address))
			desired->map[desired->count++] = (struct mapping){
				.address = forward->address, .label = forward->label
			};
		desired->ports[desired->port_count++] = (struct port_mapping){
			.address = forward->address,
			.inner = vm->ip,
			.protocol = forward->protocol,
			.first = forward->first,
			.last = forward->last,
			.to = forward->to,
			.is_source = forward->is_source && !*seen
		};
		*seen = *seen || forward->is_source;
	}
}

void desired_make(const struct binding_table *table, const struct plan *plan,
	const struct isolation *isolation, struct desired *ret_desired)
{
	bool *has_source = xcalloc(plan_count(plan), sizeof(*has_source));
	struct desired desired = { .map = xcalloc(table->count + table->forward_count,
					   sizeof(*desired.map)),
		.ports = xcalloc(table->forward_count, sizeof(*desired.ports)) };

	map_bindings(table, plan, isolation, has_source, &desired);
	map_forwards(table, plan, isolation, has_source, &desired);
	free(has_source);
	qsort(desired.map, desired.count, sizeof(*desired.map), compare_addresses);
	qsort(desired.ports, desired.port_count, sizeof(*desired.ports), compare_ports);
	*ret_desired = desired;
}

void desired_done(struct desired *desired)
{
	free(desired->map);
	free(desired->ports);
	*desired = (struct desired){ 0 };
}

const struct mapping *desired_find(const struct desired *desired, uint32_t address)
{
	struct mapping key = { .address = address };

	return desired->count
		? bsearch(&key, desired->map, desired->count, sizeof(key), compare_addresses)
		: NULL;
}
