/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lease file of any octets: lines are taken or counted as bad, and what was taken is written. */
#include "dhcpd/lease.h"
#include "tests/fuzz/fuzz.h"

static void take_event(void *ctx, enum lease_event event, const struct vm *vm, uint64_t expires,
	const char *old_name)
{
	(void)ctx;
	(void)expires;
	if (event == LEASE_ADD || !plan_name_is_valid(vm->name) ||
		(old_name && !plan_name_is_valid(old_name)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct lease_moment moment = { 1000, 1700000000,
		"5c4b3a29-1807-46f5-8d3e-2f1a0b9c8d7e" };
	static struct plan *plan;
	struct lease_snapshot snapshot;
	struct lease_table *table;
	char *text = fuzz_text(data, size), *written;
	size_t len;

	if (!plan)
		plan = fuzz_plan("02:00:00:00:00:01,one,192.168.6.1\n"
				 "02:00:00:00:00:02,two,192.168.6.2\n");
	table = lease_table_new(plan, take_event, NULL);
	(void)lease_read(table, text, &moment);
	lease_snapshot(table, &moment, NULL, 0, &snapshot);
	written = lease_format(&snapshot, &len);
	lease_snapshot_done(&snapshot);
	if (lease_read(table, written, &moment))
		abort();
	(void)lease_sweep(table, 2000);
	free(written);
	lease_table_free(table);
	free(text);
	return 0;
}
