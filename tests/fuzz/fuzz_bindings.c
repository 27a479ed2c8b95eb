/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state file of any octets: what its good lines say is written and read back the same. */
#include "natmgr/binding_file.h"
#include "natmgr/desired.h"
#include "tests/fuzz/fuzz.h"

static struct plan *plan;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct binding_table table, again;
	struct problems problems = { 0 };
	char *text = fuzz_text(data, size), *first, *second;
	struct desired desired;
	size_t len;

	if (!plan)
		plan = fuzz_plan("02:00:00:00:00:01,one,192.168.6.1\n"
				 "02:00:00:00:00:02,two,192.168.6.2\n");
	if ((binding_parse(text, "bindings", &table, &problems) == 0) != (problems.count == 0))
		fuzz_found("damage without a problem, or a problem without damage");
	first = binding_format(&table, "eth0", 0, &len);
	if (binding_parse(first, "again", &again, &problems))
		fuzz_found("what was read cannot be kept");
	second = binding_format(&again, "eth0", 0, &len);
	if (strcmp(first, second))
		fuzz_found("it is another table when it is read again");
	desired_make(&table, plan, NULL, &desired);
	desired_done(&desired);
	binding_table_done(&again);
	binding_table_done(&table);
	problems_done(&problems);
	free(first);
	free(second);
	free(text);
	return 0;
}
