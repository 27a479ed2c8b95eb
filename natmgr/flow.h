/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow: which flows of the kernel have to be forgotten, as their mapping is not the one that is
 * desired. It holds all that it takes to know, so that the kernel's table, which may be long, can
 * be gone through on a thread.
 */
#ifndef EIPD_NATMGR_FLOW_H
#define EIPD_NATMGR_FLOW_H

#include "common/config.h"
#include "natmgr/address.h"
#include "natmgr/conntrack.h"

struct flow_purge {
	const struct config *config;
	struct ip4_prefix inner;
	struct desired desired;
	struct address_set owned; /* ours until now, beside the pool */
	uint32_t *new_sources;    /* inner addresses that got a source address just now, sorted */
	size_t new_source_count;
	/* what came of it */
	int err; /* -errno of ctnetlink */
	size_t forgotten;
};

/* A flow's mapping is not the one that is desired. Pure. */
bool flow_is_stale(const struct flow_purge *judge, const struct flow *flow);
/* Forgets all flows that are stale. */
void flow_purge_run(struct flow_purge *purge);
void flow_purge_free(struct flow_purge *purge);

#endif
