/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drop_count owns the numbers of dropped frames. It must not know why they were dropped. */
#include "natmgr/drop_count.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "natmgr/guard.h"

/* So old counters may be: all VMs of a list are told from one reading. */
#define AGE_MS 20

static void take_counter(void *ctx, const char *name, uint64_t packets, uint64_t bytes)
{
	struct drop_count *drops = ctx;
	struct nft_counter *counter;

	drops->counters = xrealloc(drops->counters, drops->count + 1, sizeof(*drops->counters));
	counter = &drops->counters[drops->count++];
	*counter = (struct nft_counter){ .packets = packets, .bytes = bytes };
	snprintf(counter->name, sizeof(counter->name), "%s", name);
}

static int compare_counters(const void *a, const void *b)
{
	const struct nft_counter *ca = a, *cb = b;

	return strcmp(ca->name, cb->name);
}

static void refresh(struct drop_count *drops)
{
	uint64_t now = loop_now();

	if (drops->read_at && now - drops->read_at < AGE_MS)
		return;
	drops->read_at = now;
	drops->count = 0;
	if (drops->nft)
		(void)nft_read_counters(drops->nft, take_counter, drops);
	if (drops->count)
		qsort(drops->counters, drops->count, sizeof(*drops->counters), compare_counters);
}

void drop_count_done(struct drop_count *drops)
{
	free(drops->counters);
	*drops = (struct drop_count){ 0 };
}

uint64_t drop_count_of(struct drop_count *drops, const char *vm, bool is_from)
{
	struct nft_counter key, *found = NULL;

	refresh(drops);
	guard_counter_name(vm, is_from, key.name);
	if (drops->count)
		found = bsearch(&key, drops->counters, drops->count, sizeof(key), compare_counters);
	return found ? found->packets : 0;
}

/* "from-vm-001" is {vm="vm-001",direction="from"}; what no VM's port sent has no name. */
static void print_one(const struct nft_counter *counter, FILE *out)
{
	bool is_from = !strncmp(counter->name, "from", 4);
	const char *vm = counter->name + (is_from ? 5 : 3);

	fprintf(out, "eipd_vm_dropped_frames_total{vm=\"%s\",direction=\"%s\"} %llu\n",
		strchr(vm, '_') ? "" : vm, is_from ? "from" : "to",
		(unsigned long long)counter->packets);
}

void drop_count_print(struct drop_count *drops, FILE *out)
{
	refresh(drops);
	for (size_t i = 0; i < drops->count; i++)
		print_one(&drops->counters[i], out);
}
