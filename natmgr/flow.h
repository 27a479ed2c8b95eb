/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow: which flows of the kernel have to be forgotten, as their mapping is not the one that is
 * desired.
 */
#ifndef EIPD_NATMGR_FLOW_H
#define EIPD_NATMGR_FLOW_H

#include "common/config.h"
#include "natmgr/address.h"
#include "natmgr/conntrack.h"

/* All that it takes to know; the caller's. */
struct flow_judge {
	const struct config *config;
	struct ip4_prefix inner;
	const struct desired *desired;
	const struct address_set *owned; /* ours until now, beside the pool; NULL: none */
	const uint32_t
		*new_sources; /* inner addresses that got a source address just now, sorted */
	size_t new_source_count;
};

/* A flow's mapping is not the one that is desired. Pure. */
bool flow_is_stale(const struct flow_judge *judge, const struct flow *flow);
/* Forgets all flows that are stale, as conntrack_forget() does. May take long. */
int flow_forget(const struct flow_judge *judge, size_t *ret_count);

#endif
