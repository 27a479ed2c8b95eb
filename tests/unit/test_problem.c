/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of what is wrong in a person's file. */
#include "tests/unit/support.h"

#include "common/problem.h"

static void test_format(void **state)
{
	struct problems problems = { 0 };
	char *text;

	(void)state;
	problem_add(&problems, "a.conf", 7, "%s: %d", "bad", 42);
	problem_add(&problems, "a.conf", 0, "cannot be read");
	assert_int_equal(problems.count, 2);
	assert_string_equal(problems.list[0].file, "a.conf");
	assert_int_equal(problems.list[0].line, 7);
	assert_int_equal(problems.list[1].line, 1);
	text = problem_format(&problems.list[0]);
	assert_string_equal(text, "a.conf:7: bad: 42");
	free(text);
	text = problem_format(&problems.list[1]);
	assert_string_equal(text, "a.conf:1: cannot be read");
	free(text);
	problems_done(&problems);
	assert_int_equal(problems.count, 0);
	assert_null(problems.list);
}

static void test_printable_only(void **state)
{
	struct problems problems = { 0 };

	(void)state;
	problem_add(&problems, "a", 1, "x%sy", "\x1b[2J\n\xff\x7f");
	for (const char *c = problems.list[0].text; *c; c++)
		assert_in_range(*c, 0x20, 0x7e);
	assert_int_equal(problems.list[0].text[0], 'x');
	problems_done(&problems);
}

static void test_many(void **state)
{
	struct problems problems = { 0 };

	(void)state;
	for (unsigned i = 1; i <= 1000; i++)
		problem_add(&problems, "plan", i, "line %u", i);
	assert_int_equal(problems.count, 1000);
	for (unsigned i = 1; i <= 1000; i++) {
		char expected[32];

		snprintf(expected, sizeof(expected), "line %u", i);
		assert_int_equal(problems.list[i - 1].line, i);
		assert_string_equal(problems.list[i - 1].text, expected);
	}
	problems_done(&problems);
}

static void test_owns_strings(void **state)
{
	struct problems problems = { 0 };
	char file[] = "first";

	(void)state;
	problem_add(&problems, file, 1, "%s", file);
	memset(file, 'x', 5);
	assert_string_equal(problems.list[0].file, "first");
	assert_string_equal(problems.list[0].text, "first");
	problems_done(&problems);
	/* once more is harmless, and the list can be used again */
	problems_done(&problems);
	problem_add(&problems, "a", 1, "b");
	assert_int_equal(problems.count, 1);
	problems_done(&problems);
}

int main(void)
{
	struct suite suite = { 0 };

	suite_add(&suite, "FILE:LINE: text, also for a file as a whole", test_format, NULL);
	suite_add(&suite, "what is not printable is not kept", test_printable_only, NULL);
	suite_add(&suite, "a thousand problems are all kept, in order", test_many, NULL);
	suite_add(&suite, "the list owns its strings", test_owns_strings, NULL);
	return suite_run(&suite, "problem");
}
