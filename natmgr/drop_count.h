/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drop_count: how many frames of a VM, or to it, were dropped, as the kernel's counters say. They
 * are read all together, and once for a list of VMs.
 */
#ifndef EIPD_NATMGR_DROP_COUNT_H
#define EIPD_NATMGR_DROP_COUNT_H

#include <stdio.h>

#include "natmgr/nft.h"

struct drop_count {
	struct nft *nft; /* NULL: there are no counters */
	struct nft_counter *counters;
	size_t count;
	uint64_t read_at;
};

void drop_count_done(struct drop_count *drops);
/* Frames; 0 where there is no such counter. */
uint64_t drop_count_of(struct drop_count *drops, const char *vm, bool is_from);
/* A line of Prometheus' text format for each counter. */
void drop_count_print(struct drop_count *drops, FILE *out);

#endif
