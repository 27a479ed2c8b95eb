/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * support: what all unit tests share: a suite whose cases are rows of tables, each with a sentence
 * that says what must be so, and files in a directory of the test's own.
 */
#ifndef EIPD_TESTS_UNIT_SUPPORT_H
#define EIPD_TESTS_UNIT_SUPPORT_H

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/problem.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define IP4(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* A string literal as octets, which may hold NULs. */
struct octets {
	const char *data; /* NULL: none */
	size_t len;
};
#define OCTETS(literal)                      \
	{                                    \
		literal, sizeof(literal) - 1 \
	}

/* --- suites ------------------------------------------------------------------------------- */

struct suite {
	struct CMUnitTest *tests;
	size_t count;
};

static inline void suite_add(struct suite *suite, const char *sentence, CMUnitTestFunction test,
	const void *row)
{
	suite->tests = realloc(suite->tests, (suite->count + 1) * sizeof(*suite->tests));
	if (!suite->tests)
		abort();
	suite->tests[suite->count++] = (struct CMUnitTest){
		.name = strdup(sentence), .test_func = test, .initial_state = (void *)(uintptr_t)row
	};
}

/* Every row of a table is a case of its own, named by its sentence: all that fail are shown. */
#define SUITE_ROWS(suite, test, rows)                                                 \
	do {                                                                          \
		for (size_t row_ = 0; row_ < COUNT(rows); row_++)                     \
			suite_add(suite, (rows)[row_].sentence, test, &(rows)[row_]); \
	} while (0)

static inline int suite_run(struct suite *suite, const char *name)
{
	int failed = _cmocka_run_group_tests(name, suite->tests, suite->count, NULL, NULL);

	for (size_t i = 0; i < suite->count; i++)
		free((char *)(uintptr_t)suite->tests[i].name);
	free(suite->tests);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- files -------------------------------------------------------------------------------- */

/* A directory of our own; directory_remove() frees the name. */
static inline char *directory_new(void)
{
	const char *tmp = getenv("TMPDIR");
	char *path = NULL;

	if (asprintf(&path, "%s/eipd-unit-XXXXXX", tmp ? tmp : "/tmp") < 0 || !mkdtemp(path))
		abort();
	return path;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void directory_remove(char *path)
{
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(path);
}

/* "DIR/NAME", which the caller frees. */
static inline char *path_in(const char *directory, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		abort();
	return path;
}

static inline void file_write(const char *path, const void *text, size_t len)
{
	FILE *file = fopen(path, "w");

	if (!file || fwrite(text, 1, len, file) != len || fclose(file))
		abort();
}

/* --- problems ----------------------------------------------------------------------------- */

/* How many problems have this line and this in their text (any text where NULL). */
static inline size_t problems_match(const struct problems *problems, unsigned line,
	const char *text)
{
	size_t n = 0;

	for (size_t i = 0; i < problems->count; i++)
		n += problems->list[i].line == line &&
			(!text || strstr(problems->list[i].text, text));
	return n;
}

/* For the log of a test that fails. */
static inline void problems_print(const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		print_message("    %s:%u: %s\n", problems->list[i].file, problems->list[i].line,
			problems->list[i].text);
}

#endif
