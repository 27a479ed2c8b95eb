/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state file of isolated VMs of any octets: whatever is made of it is written and read back the
 * same, and every line that begins as one of ours isolates the VM that it names.
 */
#include "natmgr/isolation.h"
#include "tests/fuzz/fuzz.h"

/* As the file says it, by a reader that knows nothing but words and blanks. */
static void check_lines(char *text, const struct isolation *isolation)
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *words = NULL, *word = strtok_r(line, " \t\r", &words);
		const char *name = word ? strtok_r(NULL, " \t\r", &words) : NULL;

		if (name && *word != '#' && strcmp(word, "boot") != 0 &&
			strcmp(word, "mask") != 0 && strcmp(word, "claim") != 0 &&
			plan_name_is_valid(name) && isolation->count < ISOLATION_MAX &&
			!isolation_find(isolation, name))
			abort();
	}
}

static void check_limits(const struct isolation *isolation)
{
	if (isolation->count > ISOLATION_MAX)
		abort();
	for (size_t i = 0; i < isolation->count; i++) {
		const struct isolated *isolated = &isolation->list[i];

		if (isolation_find(isolation, isolated->vm) != isolated ||
			isolated->allow_count > ALLOW_MAX || isolated->port_count > ISOLATION_MAX ||
			(isolated->ip && !mac_is_host(&isolated->mac)))
			abort();
	}
}

/* What is read is written and read back the same, and once more. */
static void check_round_trip(const struct isolation *isolation)
{
	struct problems problems = { 0 };
	struct isolation again, copy;
	char *first, *second;
	size_t len;

	first = isolation_format(isolation, &len);
	if (len != strlen(first))
		abort();
	second = xstrdup(first);
	if (isolation_parse(second, "again", &again, &problems))
		abort();
	free(second);
	isolation_copy(&again, &copy);
	isolation_done(&again);
	second = isolation_format(&copy, &len);
	if (strcmp(first, second))
		abort();
	isolation_done(&copy);
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct plan *plan;
	struct problems problems = { 0 };
	struct isolation isolation;
	char *text = fuzz_text(data, size), *lines = xstrdup(text);

	if (!plan)
		plan = fuzz_plan("02:00:00:00:00:01,one,192.168.6.1\n"
				 "02:00:00:00:00:02,two,192.168.6.2\n");
	if ((isolation_parse(text, "isolated", &isolation, &problems) != 0) !=
		(problems.count != 0))
		abort();
	check_lines(lines, &isolation);
	check_limits(&isolation);
	check_round_trip(&isolation);
	(void)isolation_follow(&isolation, plan);
	if (isolation_follow(&isolation, plan))
		abort();
	check_round_trip(&isolation);
	(void)isolation_boot(&isolation, "another");
	if (isolation_prune(&isolation, NULL, 0) && *isolation.boot && isolation.claim_count)
		abort();
	check_round_trip(&isolation);
	while (isolation.count)
		(void)isolation_remove(&isolation, isolation.list[isolation.count / 2].vm);
	isolation_done(&isolation);
	problems_done(&problems);
	free(lines);
	free(text);
	return 0;
}
