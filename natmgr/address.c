/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address owns which addresses of the outer interface are ours and which should be there. It must
 * not know rules, nor speak to the kernel.
 */
#include "natmgr/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* eth0:N, and the N. */
static bool parse_label(const char *label, const char *interface, uint32_t *ret_number)
{
	size_t len = strlen(interface);

	return !strncmp(label, interface, len) && label[len] == ':' &&
		!number_parse(label + len + 1, 1, UINT32_MAX, ret_number);
}

bool address_set_has(const struct address_set *set, uint32_t address)
{
	return set && set->count &&
		bsearch(&address, set->list, set->count, sizeof(address), ip4_compare);
}

static bool is_ours(const struct config *config, const struct netlink_addr *have,
	const struct mapping *mapping, const struct address_set *owned)
{
	uint32_t number;

	return parse_label(have->label, config->outer.interface, &number) &&
		(mapping || config_pool_contains(config, have->prefix.addr) ||
			address_set_has(owned, have->prefix.addr));
}

unsigned *address_foreign_labels(const struct config *config, const struct netlink_addr *have,
	size_t have_count, const struct desired *desired, size_t *ret_count)
{
	unsigned *labels = xcalloc(have_count, sizeof(*labels));
	size_t count = 0;
	uint32_t number;

	for (size_t i = 0; i < have_count; i++) {
		if (parse_label(have[i].label, config->outer.interface, &number) &&
			!is_ours(config, &have[i], desired_find(desired, have[i].prefix.addr),
				NULL))
			labels[count++] = number;
	}
	*ret_count = count;
	return labels;
}

static void append(struct netlink_addr **list, size_t *count, const struct ip4_prefix *prefix,
	const char *label)
{
	struct netlink_addr change = { .prefix = *prefix };

	snprintf(change.label, sizeof(change.label), "%s", label);
	/* doubling: the list may hold thousands */
	if ((*count & (*count - 1)) == 0)
		*list = xrealloc(*list, *count ? *count * 2 : 1, sizeof(change));
	(*list)[(*count)++] = change;
}

/* True if the address may stay as it is. */
static bool is_wanted(const struct config *config, const struct netlink_addr *have,
	const struct mapping *mapping)
{
	uint32_t number;

	return mapping && have->prefix.len == config->outer.prefix_len &&
		parse_label(have->label, config->outer.interface, &number) &&
		number == mapping->label;
}

uint32_t *address_foreign_addresses(const struct config *config, const struct netlink_addr *have,
	size_t have_count, const struct desired *desired, size_t *ret_count)
{
	uint32_t *list = xcalloc(have_count * 3, sizeof(*list));
	size_t count = 0;

	for (size_t i = 0; i < have_count; i++) {
		const struct ip4_prefix *prefix = &have[i].prefix;

		if (is_ours(config, &have[i], desired_find(desired, prefix->addr), NULL))
			continue;
		list[count++] = prefix->addr;
		/* RFC 3021: of two addresses, neither means all of them */
		if (prefix->len > 30)
			continue;
		list[count++] = ip4_prefix_network(prefix);
		list[count++] = ip4_prefix_broadcast(prefix);
	}
	qsort(list, count, sizeof(*list), ip4_compare);
	*ret_count = count;
	return list;
}

void address_compare(const struct config *config, const struct netlink_addr *have,
	size_t have_count, const struct desired *desired, const struct address_set *owned,
	struct address_diff *ret_diff)
{
	bool *settled = xcalloc(desired->count, sizeof(*settled));
	struct address_diff diff = { 0 };

	for (size_t i = 0; i < have_count; i++) {
		const struct mapping *mapping = desired_find(desired, have[i].prefix.addr);
		bool ours = is_ours(config, &have[i], mapping, owned);

		if (ours && is_wanted(config, &have[i], mapping)) {
			settled[mapping - desired->map] = true;
		} else if (ours) {
			append(&diff.remove, &diff.remove_count, &have[i].prefix, have[i].label);
		} else if (mapping) {
			settled[mapping - desired->map] = true;
			diff.foreign = xrealloc(diff.foreign, diff.foreign_count + 1,
				sizeof(*diff.foreign));
			diff.foreign[diff.foreign_count++] = mapping->address;
		}
	}
	for (size_t i = 0; i < desired->count; i++) {
		const struct ip4_prefix prefix = { desired->map[i].address,
			(uint8_t)config->outer.prefix_len };
		char label[2 * IFNAMSIZ];

		if (settled[i])
			continue;
		snprintf(label, sizeof(label), "%s:%u", config->outer.interface,
			desired->map[i].label);
		append(&diff.add, &diff.add_count, &prefix, label);
	}
	free(settled);
	*ret_diff = diff;
}

void address_diff_done(struct address_diff *diff)
{
	free(diff->remove);
	free(diff->add);
	free(diff->foreign);
	*diff = (struct address_diff){ 0 };
}
