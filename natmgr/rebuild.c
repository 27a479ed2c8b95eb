/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rebuild owns the way back from rules to bindings. It must not know why the file was lost. */
#include "natmgr/rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The rules say that the VM's own connections leave with the address. */
static bool is_source(const struct chain *postrouting, const char *outer, uint32_t inner,
	uint32_t address)
{
	for (size_t i = 0; postrouting && i < postrouting->count; i++) {
		const struct rule *rule = &postrouting->rules[i];

		if (rule->action == RULE_SNAT && !rule->only_dnatted && !strcmp(rule->out, outer) &&
			rule->source.addr == inner && rule->to == address)
			return true;
	}
	return false;
}

static bool add_binding(const struct rule *rule, const struct vm *vm, const struct config *config,
	const struct plan *plan, time_t now, struct binding_table *table)
{
	char *error = NULL;
	bool added = binding_bind(table, config, plan, vm->name, rule->destination.addr, now,
			     &error) > 0;

	free(error);
	return added;
}

static bool add_forward(const struct rule *rule, const struct vm *vm, bool source,
	const struct config *config, const struct plan *plan, time_t now,
	struct binding_table *table)
{
	struct forward forward = { .address = rule->destination.addr,
		.protocol = rule->protocol,
		.first = rule->first,
		.last = rule->last,
		.to = rule->to_port ? rule->to_port : rule->first,
		.is_source = source };
	char *error = NULL;
	bool added;

	snprintf(forward.vm, sizeof(forward.vm), "%s", vm->name);
	added = forward_add(table, config, plan, &forward, now, &error) > 0;
	free(error);
	return added;
}

size_t rebuild_bindings(const struct ruleset *have, const struct config *config,
	const struct plan *plan, time_t now, struct binding_table *table)
{
	const struct chain *prerouting = ruleset_find_chain(have, CHAIN_PREFIX "PREROUTING");
	const struct chain *postrouting = ruleset_find_chain(have, CHAIN_PREFIX "POSTROUTING");
	size_t count = 0;

	/* the order of binding makes the source: those that are one come first */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; prerouting && i < prerouting->count; i++) {
			const struct rule *rule = &prerouting->rules[i];
			const struct vm *vm = plan_by_ip(plan, rule->to);
			bool source;

			if (rule->action != RULE_DNAT || rule->destination.len != 32 || !vm)
				continue;
			source = is_source(postrouting, config->outer.interface, rule->to,
				rule->destination.addr);
			if (source != (pass == 0))
				continue;
			count += rule->protocol
				? add_forward(rule, vm, source, config, plan, now, table)
				: add_binding(rule, vm, config, plan, now, table);
		}
	}
	return count;
}
