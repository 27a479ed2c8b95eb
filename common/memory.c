/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory owns what happens when there is none left. It must not know who asks. */
#include "common/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*tell)(const char *format, ...);

void memory_tell(void (*log)(const char *format, ...))
{
	tell = log;
}

static void *check(void *p)
{
	static const char text[] = "eipd: out of memory\n";

	if (p)
		return p;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	if (tell)
		tell("out of memory");
	exit(1);
}

void *xcalloc(size_t count, size_t size)
{
	return check(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *old, size_t count, size_t size)
{
	if (size && count > SIZE_MAX / size)
		return check(NULL);
	return check(realloc(old, count && size ? count * size : 1));
}

char *xstrdup(const char *s)
{
	return check(strdup(s));
}

void *xmemdup(const void *data, size_t len)
{
	void *p = xrealloc(NULL, len, 1);

	if (len)
		memcpy(p, data, len);
	return p;
}

char *xvasprintf(const char *format, va_list args)
{
	char *text;

	return check(vasprintf(&text, format, args) < 0 ? NULL : text);
}

char *xasprintf(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	return text;
}

void memory_keep_small(void)
{
#ifdef __GLIBC__
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	(void)mallopt(M_TOP_PAD, 16 * 1024);
#endif
}

void memory_give_back(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}
