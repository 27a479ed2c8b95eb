/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * table: what JSON says, laid out for people on standard output: rows in aligned columns, objects
 * with a line a key.
 */
#ifndef EIPD_COMMON_TABLE_H
#define EIPD_COMMON_TABLE_H

#include <jansson.h>

/* How a value is written; a list by its items, numbers that stand in a CELL_NUMBER column right. */
enum table_cell { CELL_TEXT, CELL_TIME, CELL_LIST, CELL_YES_NO, CELL_NUMBER };

struct table_column {
	const char *title; /* NULL ends a list of columns */
	const char *key;
	enum table_cell form;
};

#define TABLE_COLUMNS_MAX 8

/* `rows` is an array of objects. */
void table_print(const json_t *rows, const struct table_column *columns);
/* One object, a line a key; objects inside it are indented under their key. */
void table_print_object(const json_t *object, int indent);
/* What a cell says; nothing is a dash. The caller frees. */
char *table_format(const json_t *value, enum table_cell form);

#endif
