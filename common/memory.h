/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory: allocation that does not fail.
 *
 * Under Linux's overcommit a small allocation fails only when the process is beyond rescue; these
 * end it with a line on standard error, and where memory_tell() says, and exit status 1 (state on
 * disk is always consistent, so the init script's restart is the cure). What is freed with free()
 * comes from here.
 */
#ifndef EIPD_COMMON_MEMORY_H
#define EIPD_COMMON_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

/* What has no standard error any more says it to a log, which must not allocate anything for it. */
void memory_tell(void (*log)(const char *format, ...));

/*
 * What a large plan leaves behind at a reload goes back to the system, and the threads beside the
 * loop have no heaps of their own. And: likewise what is free now.
 */
void memory_keep_small(void);
void memory_give_back(void);

/* Zeroed memory for count objects of the given size. */
void *xcalloc(size_t count, size_t size);
/* Room for count objects of the given size; what is new is not initialised. */
void *xrealloc(void *old, size_t count, size_t size);
char *xstrdup(const char *s);
void *xmemdup(const void *data, size_t len);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

#endif
