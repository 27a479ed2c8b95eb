/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_file owns the form of eipd.conf: what iniparser makes of the text, where each key stands,
 * and what iniparser does not tell or cannot take. It must not know which keys there are.
 */
#include "common/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <iniparser/iniparser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/statefile.h"

#define CONFIG_MAX_SIZE (1 << 20)
/* iniparser's buffer, which also holds lines that are continued with a backslash */
#define LINE_MAX_LEN   1000
#define NOT_UNDERSTOOD "not understood; expected [section], key = value, or a # comment"
#define TOO_LONG       "longer than"

/* --- lines -------------------------------------------------------------------------------- */

/* iniparser reports through a callback without context; loading is never nested. */
static struct {
	struct problems *problems;
	const char *path;
	char *text; /* where a line that is not understood becomes a comment */
} loading;

static void make_comment(char *text, unsigned line)
{
	while (--line && *text) {
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	if (*text && *text != '\n')
		*text = '#';
}

/* A line that is too long is not understood, and twice, as no comment can be made of it. */
static bool is_told(const struct problems *problems, unsigned line)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->list[i];

		if (problem->line == line && !strcmp(problem->file, loading.path) &&
			(!strcmp(problem->text, NOT_UNDERSTOOD) ||
				!strncmp(problem->text, TOO_LONG, strlen(TOO_LONG))))
			return true;
	}
	return false;
}

__attribute__((format(printf, 1, 2))) static int on_syntax_error(const char *format, ...)
{
	va_list args;
	char *text, *paren;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	/* two calls a line: "iniparser: syntax error in FILE (LINE):", then "-> text of the line" */
	paren = strrchr(text, '(');
	if (paren && !strncmp(text, "iniparser:", 10)) {
		unsigned line = (unsigned)strtoul(paren + 1, NULL, 10);

		if (!is_told(loading.problems, line))
			problem_add(loading.problems, loading.path, line, NOT_UNDERSTOOD);
		if (line)
			make_comment(loading.text, line);
	}
	free(text);
	return 0;
}

static char *lower_trimmed(const char *start, const char *end)
{
	char *text;

	while (start < end && isspace((unsigned char)*start))
		start++;
	while (end > start && isspace((unsigned char)end[-1]))
		end--;
	text = xmemdup(start, (size_t)(end - start) + 1);
	text[end - start] = '\0';
	for (char *c = text; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return text;
}

/* As iniparser takes values: quoted, or up to a comment. The caller frees. */
static char *take_value(const char *start, const char *end)
{
	const char *close;
	char *value;

	while (start < end && isspace((unsigned char)*start))
		start++;
	close = start < end && *start == '"' ? memchr(start + 1, '"', (size_t)(end - start) - 1)
					     : NULL;
	if (close) {
		start++;
		end = close;
	} else {
		for (close = start; close < end && *close != ';' && *close != '#'; close++)
			;
		end = close;
		while (end > start && isspace((unsigned char)end[-1]))
			end--;
	}
	value = xmemdup(start, (size_t)(end - start) + 1);
	value[end - start] = '\0';
	return value;
}

/*
 * A line that is longer than iniparser reads: a comment is cut, a value is taken from it, so that
 * only "key =" is left. *end follows. false: it is neither.
 */
static bool shorten(char *line, char **end, char **ret_value)
{
	char *start = line + strspn(line, " \t\r"), *equals = memchr(line, '=', LINE_MAX_LEN);
	bool is_comment = *start == '#' || *start == ';';
	char *cut;

	if (!is_comment && (!equals || *start == '[' || (*end)[-1] == '\\'))
		return false;
	if (start - line >= LINE_MAX_LEN)
		return false;
	cut = is_comment ? start + 1 : equals + 1;
	if (!is_comment)
		*ret_value = take_value(cut, *end);
	memmove(cut, *end, strlen(*end) + 1);
	*end = cut;
	return true;
}

/* iniparser does not say where a key stands: note each one's line, and what is there twice. */
static void list_entries(struct config *config, char *text, bool (*is_section)(const char *name),
	struct problems *problems)
{
	char *section = xstrdup("");
	bool continued = false;
	unsigned line = 0;

	for (char *p = text, *end; *p; p = *end ? end + 1 : end) {
		const char *start, *equals;
		bool continuation = continued;
		char *value = NULL;

		line++;
		end = p + strcspn(p, "\n");
		if (end - p > LINE_MAX_LEN && (continuation || !shorten(p, &end, &value))) {
			problem_add(problems, config->path, line,
				TOO_LONG
				" %d characters; only a value may be, if all of it is in one line",
				LINE_MAX_LEN);
			*p = '#';
		}
		continued = end > p && end[-1] == '\\';
		start = p + strspn(p, " \t\r");
		equals = memchr(p, '=', (size_t)(end - p));
		if (continuation || start >= end || *start == '#' || *start == ';')
			continue;
		if (*start == '[') {
			const char *close = memchr(start, ']', (size_t)(end - start));

			free(section);
			section = lower_trimmed(start + 1, close ? close : end);
			if (!is_section(section))
				problem_add(problems, config->path, line,
					"[%s]: unknown section; "
					"there are [daemon], [control], [inner], [outer], [plan], "
					"[dhcp], [nat] and [tag NAME] (letters, digits, - _ .)",
					section);
		} else if (equals) {
			struct config_entry entry = { xstrdup(section),
				lower_trimmed(start, equals), value, line };
			unsigned before = config_line(config, entry.section, entry.key);

			if (before)
				problem_add(problems, config->path, line,
					"[%s] %s: given twice; it is on line %u already", section,
					entry.key, before);
			config->entries = xrealloc(config->entries, config->entry_count + 1,
				sizeof(entry));
			config->entries[config->entry_count++] = entry;
			value = NULL;
		}
		free(value);
	}
	free(section);
}

/* --- reading ------------------------------------------------------------------------------ */

/*
 * iniparser reads files only: the text goes through one in memory. That has a name where /proc is
 * mounted; elsewhere it is the file itself, which is the same as long as there are no problems.
 */
static dictionary *load_text(const char *path, const char *text)
{
	int fd = memfd_create("eipd.conf", MFD_CLOEXEC);
	dictionary *dict = NULL;
	char *memory = xasprintf("/proc/self/fd/%d", fd);
	size_t len = strlen(text);

	if (fd >= 0 && write(fd, text, len) == (ssize_t)len)
		dict = iniparser_load(access(memory, R_OK) == 0 ? memory : path);
	if (fd >= 0)
		close(fd);
	free(memory);
	return dict;
}

/* What is not understood is reported and passed over, so that it does not hide other problems. */
static dictionary *parse(const char *path, char *text, struct problems *problems)
{
	dictionary *dict;

	loading.problems = problems;
	loading.path = path;
	loading.text = text;
	iniparser_set_error_callback(on_syntax_error);
	dict = load_text(path, text);
	if (!dict)
		dict = load_text(path, text);
	iniparser_set_error_callback(NULL);
	return dict;
}

/* Some editors begin a file with it. */
static void skip_byte_order_mark(char *text)
{
	if (!strncmp(text, "\xef\xbb\xbf", 3))
		memset(text, ' ', 3);
}

/*
 * A line that is long has its value already. iniparser has none for a key that stands in its
 * dictionary under the name of a section: "bridge" of [inner] where there is [inner:bridge], too,
 * which is no section and has been said. false: there are such.
 */
static bool take_values(struct config *config, const dictionary *dict)
{
	bool all = true;

	for (size_t i = 0; i < config->entry_count; i++) {
		struct config_entry *entry = &config->entries[i];
		const char *value;
		char *name;

		if (entry->value)
			continue;
		name = xasprintf("%s:%s", entry->section, entry->key);
		value = iniparser_getstring(dict, name, NULL);
		entry->value = value ? xstrdup(value) : NULL;
		all = all && value;
		free(name);
	}
	return all;
}

int config_file_read(struct config *config, bool (*is_section)(const char *name),
	struct problems *problems)
{
	size_t problems_before = problems->count, len;
	dictionary *dict;
	char *text;
	int err = statefile_read(config->path, CONFIG_MAX_SIZE, &text, &len);

	if (err) {
		problem_add(problems, config->path, 0, "cannot be read: %s",
			err == -EINVAL ? "not a text file" : strerror(-err));
		return -EINVAL;
	}
	skip_byte_order_mark(text);
	list_entries(config, text, is_section, problems);
	dict = parse(config->path, text, problems);
	free(text);
	if ((!dict || !take_values(config, dict)) && problems->count == problems_before)
		problem_add(problems, config->path, 0, "cannot be parsed");
	if (!dict)
		return -EINVAL;
	iniparser_freedict(dict);
	return 0;
}
