/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * problem owns the list of what is wrong in a person's file. It must not know which file, and
 * prints nothing.
 */
#include "common/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/memory.h"

void problem_add(struct problems *problems, const char *file, unsigned line, const char *format,
	...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	text_make_line(text);
	/* grow by doubling: a plan of 100,000 bad lines must not take minutes */
	if ((problems->count & (problems->count + 1)) == 0)
		problems->list = xrealloc(problems->list, problems->count * 2 + 2,
			sizeof(*problems->list));
	problems->list[problems->count++] = (struct problem){
		.file = xstrdup(file), .line = line ? line : 1, .text = text
	};
}

char *problem_format(const struct problem *problem)
{
	return xasprintf("%s:%u: %s", problem->file, problem->line, problem->text);
}

static int compare_lines(const void *a, const void *b)
{
	const struct problem *pa = a, *pb = b;

	return pa->line < pb->line ? -1 : pa->line > pb->line;
}

void problems_sort(struct problems *problems, size_t first)
{
	if (problems->count > first)
		qsort(problems->list + first, problems->count - first, sizeof(*problems->list),
			compare_lines);
}

void problems_done(struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		free(problems->list[i].file);
		free(problems->list[i].text);
	}
	free(problems->list);
	*problems = (struct problems){ 0 };
}
