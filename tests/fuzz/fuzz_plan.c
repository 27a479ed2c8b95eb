/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan file of any octets: refused with problems, or a table in which each VM is found. */
#include "tests/fuzz/fuzz.h"

static void check_plan(const struct plan *plan, const struct ip4_prefix *inner)
{
	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i);

		if (plan_by_mac(plan, &vm->mac) != vm || plan_by_ip(plan, vm->ip) != vm ||
			plan_by_name(plan, vm->name) != vm || !plan_name_is_valid(vm->name) ||
			!ip4_prefix_contains(inner, vm->ip) || plan_index(plan, vm) != i)
			abort();
	}
}

/* An edit of a good plan is a good plan, with one VM less, or more. */
static void check_edits(const struct plan *plan, const char *text, const struct ip4_prefix *inner)
{
	struct vm vm = { .name = "fuzz-added",
		.mac = plan_choose_mac(plan, 1),
		.ip = plan_choose_ip(plan, inner, NULL, NULL) };
	struct problems problems = { 0 };
	struct plan *edited;
	char *longer, *shorter;

	if (!vm.ip || plan_by_name(plan, vm.name))
		return;
	longer = plan_text_add(text, &vm);
	if (plan_parse(longer, strlen(longer), "added", inner, &edited, &problems)) {
		/* who is ignored need not have an address, and then is no VM, but has its MAC */
		if (!strcasestr(text, "ignore"))
			fuzz_found("a plan that is bad with one VM more");
		problems_done(&problems);
		free(longer);
		return;
	}
	if (plan_count(edited) != plan_count(plan) + 1)
		fuzz_found("one VM more makes not one more");
	shorter = plan_text_remove(longer, plan_by_name(edited, vm.name)->line);
	plan_free(edited);
	if (plan_parse(shorter, strlen(shorter), "removed", inner, &edited, &problems) ||
		plan_count(edited) != plan_count(plan))
		fuzz_found("a plan that is bad with one VM less");
	plan_free(edited);
	free(longer);
	free(shorter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ip4_prefix inner = { 0xc0a80616, 24 };
	struct problems problems = { 0 };
	char *text = fuzz_text(data, size);
	struct plan *plan;

	if (strlen(text) == size && !plan_parse(text, size, "plan", &inner, &plan, &problems)) {
		if (problems.count)
			abort();
		check_plan(plan, &inner);
		check_edits(plan, text, &inner);
		plan_free(plan);
	}
	problems_done(&problems);
	free(text);
	return 0;
}
