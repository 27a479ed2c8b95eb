/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow owns the question which flows have a mapping that is not right any more. It must not know
 * why the mappings changed.
 */
#include "natmgr/flow.h"

#include <stdlib.h>

/* Who should answer a flow to a shared address; the address itself where no port of it matches. */
static uint32_t shared_inner(const struct desired *desired, const struct flow *flow)
{
	for (size_t i = 0; i < desired->port_count; i++) {
		const struct port_mapping *port = &desired->ports[i];

		if (port->address == flow->destination && port->protocol == flow->protocol &&
			flow->destination_port >= port->first &&
			flow->destination_port <= port->last)
			return port->inner;
	}
	return flow->destination;
}

/* Whose connections may leave with a shared address: the VM's that it is the source of. */
static bool shared_source(const struct desired *desired, const struct flow *flow)
{
	for (size_t i = 0; i < desired->port_count; i++) {
		if (desired->ports[i].address == flow->reply_destination &&
			desired->ports[i].inner == flow->source && desired->ports[i].is_source)
			return true;
	}
	return false;
}

/* One of our addresses, bound or not. */
static bool is_public(const struct flow_judge *judge, uint32_t address)
{
	return config_pool_contains(judge->config, address) ||
		address_set_has(judge->owned, address);
}

bool flow_is_stale(const struct flow_judge *judge, const struct flow *flow)
{
	const struct mapping *to = desired_find(judge->desired, flow->destination);
	const struct mapping *from = desired_find(judge->desired, flow->reply_destination);
	bool from_host = flow->source == flow->reply_destination;

	/* towards a public address: only its VM may answer */
	if (to &&
		flow->reply_source != (to->inner ? to->inner : shared_inner(judge->desired, flow)))
		return true;
	if (!to && is_public(judge, flow->destination) && flow->reply_source != flow->destination)
		return true;
	/* from behind a public address: only its VM may be there (or the host with that address) */
	if (from && !from_host &&
		(from->inner ? flow->source != from->inner : !shared_source(judge->desired, flow)))
		return true;
	if (!from && !from_host && is_public(judge, flow->reply_destination))
		return true;
	/* begun before the VM had a public address, and leaving without one ever since */
	return judge->new_source_count && from_host &&
		!ip4_prefix_contains(&judge->inner, flow->destination) &&
		bsearch(&flow->source, judge->new_sources, judge->new_source_count,
			sizeof(*judge->new_sources), ip4_compare);
}

static bool is_stale(void *ctx, const struct flow *flow)
{
	return flow_is_stale(ctx, flow);
}

int flow_forget(const struct flow_judge *judge, size_t *ret_count)
{
	*ret_count = 0;
	return conntrack_is_empty()
		? 0
		: conntrack_forget(is_stale, (void *)(uintptr_t)judge, ret_count);
}
