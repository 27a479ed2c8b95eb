/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * table owns the layout of what people read. It must not know what the values mean, nor which
 * command they answer.
 */
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/memory.h"

static char *format_list(const json_t *value)
{
	char *text = xstrdup("");
	const json_t *item;
	size_t i;

	json_array_foreach(value, i, item)
	{
		char *longer = xasprintf("%s%s%s", text, i ? "," : "", json_string_value(item));

		free(text);
		text = longer;
	}
	return text;
}

static char *format_time(const json_t *value)
{
	time_t when = (time_t)json_integer_value(value);
	char text[32];
	struct tm tm;

	localtime_r(&when, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	return xstrdup(text);
}

char *table_format(const json_t *value, enum table_cell form)
{
	char *text = NULL;

	if (json_is_true(value) || json_is_false(value))
		text = xstrdup(json_is_true(value) ? "yes" : "no");
	else if (json_is_integer(value))
		text = form == CELL_TIME ? format_time(value)
					 : xasprintf("%lld", (long long)json_integer_value(value));
	else if (json_is_string(value))
		text = xstrdup(json_string_value(value));
	else if (json_is_array(value))
		text = format_list(value);
	if (text && *text)
		return text;
	free(text);
	return xstrdup("-");
}

static void print_cell(const char *text, const struct table_column *column, size_t width, bool last)
{
	if (column->form == CELL_NUMBER)
		printf("%*s", (int)width, text);
	else
		printf("%-*s", last ? 0 : (int)width, text);
	fputs(last ? "\n" : "  ", stdout);
}

void table_print(const json_t *rows, const struct table_column *columns)
{
	size_t width[TABLE_COLUMNS_MAX], count = 0, i;
	const json_t *row;

	for (; columns[count].title; count++)
		width[count] = strlen(columns[count].title);
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < count; c++) {
			char *text = table_format(json_object_get(row, columns[c].key),
				columns[c].form);

			width[c] = strlen(text) > width[c] ? strlen(text) : width[c];
			free(text);
		}
	}
	for (size_t c = 0; c < count; c++)
		print_cell(columns[c].title, &columns[c], width[c], c + 1 == count);
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < count; c++) {
			char *text = table_format(json_object_get(row, columns[c].key),
				columns[c].form);

			print_cell(text, &columns[c], width[c], c + 1 == count);
			free(text);
		}
	}
}

void table_print_object(const json_t *object, int indent)
{
	size_t width = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
		width = strlen(key) > width ? strlen(key) : width;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		bool is_time = !strcmp(key, "expires") || !strcmp(key, "loaded") ||
			!strcmp(key, "until");
		char *text;

		if (json_is_object(value)) {
			printf("%*s%s\n", indent, "", key);
			table_print_object(value, indent + 2);
			continue;
		}
		text = table_format(value, is_time ? CELL_TIME : CELL_TEXT);
		printf("%*s%-*s  %s\n", indent, "", (int)width, key, text);
		free(text);
	}
}
