/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arguments owns the order of words and options of a command. It must not know any command.
 */
#include "common/arguments.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* How many words may stand there that are no options: "VM [ADDR] [--now]" are two. */
static int max_words(const char *usage)
{
	int count = 0;

	for (const char *p = usage; *p; p += strspn(p, " .")) {
		bool is_option = !strncmp(p, "[--", 3);

		count += !is_option;
		p += strcspn(p, is_option ? "]" : " ");
		p += *p == ']';
	}
	return count;
}

/* Behind the option's name in the usage: "]" or " VALUE]"; NULL: it is not there. */
static const char *find_option(const char *usage, const char *option, size_t len)
{
	for (const char *p = usage; (p = strstr(p, "[--")); p++) {
		if (!strncmp(p + 1, option, len) && (p[1 + len] == ']' || p[1 + len] == ' '))
			return p + 1 + len;
	}
	return NULL;
}

/* Takes an option, and its value where it has one. How many of argv that were; 0: it is none. */
static int take_option(const char *usage, int argc, char **argv, char **options, int *count)
{
	char *equals = strchr(argv[0], '=');
	size_t len = equals ? (size_t)(equals - argv[0]) : strlen(argv[0]);
	const char *known = find_option(usage, argv[0], len);

	if (!known || (*known == ']' ? equals != NULL : !equals && argc < 2))
		return 0;
	options[(*count)++] = argv[0];
	if (*known == ']')
		return 1;
	if (!equals) {
		options[(*count)++] = argv[1];
		return 2;
	}
	*equals = '\0';
	options[(*count)++] = equals + 1;
	return 1;
}

char **arguments_arrange(const char *usage, int min, int max, int *argc, char **argv)
{
	/* options may become two each */
	char **list = xcalloc((size_t)*argc * 3 + 1, sizeof(*list)), **options = list + *argc;
	int words = 0, count = 0, taken = 1;
	bool has_options = strstr(usage, "[--") != NULL;

	for (int i = 0; i < *argc; i += taken) {
		taken = 1;
		if (strncmp(argv[i], "--", 2))
			list[words++] = argv[i];
		else
			taken = take_option(usage, *argc - i, argv + i, options, &count);
		if (!taken)
			break;
	}
	if (!taken || words < min || words + count > max ||
		(has_options && words > max_words(usage))) {
		free(list);
		return NULL;
	}
	memmove(list + words, options, (size_t)count * sizeof(*list));
	*argc = words + count;
	return list;
}

const char *arguments_unknown_option(const char *usage, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "--", 2) &&
			!find_option(usage, argv[i], strcspn(argv[i], "=")))
			return argv[i];
	}
	return NULL;
}
