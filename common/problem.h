/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * problem: what is wrong with a file that a person wrote, each with its place.
 *
 * Parsers collect every problem rather than stop at the first; the edge prints each as
 * "FILE:LINE: text". Lists start as { 0 } and own their strings; problems_done() frees them.
 */
#ifndef EIPD_COMMON_PROBLEM_H
#define EIPD_COMMON_PROBLEM_H

#include <stddef.h>

struct problem {
	char *file;
	unsigned line; /* 1.. */
	char *text;
};

struct problems {
	struct problem *list;
	size_t count;
};

/*
 * Line 0 is the file as a whole, which is reported at its first line: whoever reads the list can
 * count on the form. Text that came from a file may hold any octets: only printable ones are kept.
 */
void problem_add(struct problems *problems, const char *file, unsigned line, const char *format,
	...) __attribute__((format(printf, 4, 5)));
/* "FILE:LINE: text"; the caller frees. */
char *problem_format(const struct problem *problem);
/* By line, those from index `first` on. */
void problems_sort(struct problems *problems, size_t first);
void problems_done(struct problems *problems);

#endif
