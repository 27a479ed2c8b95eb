/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * binding_store owns the state file of the bindings, and what is done when it is damaged. It must
 * not know when a binding changes, nor why.
 */
#include "natmgr/binding_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/memory.h"
#include "common/statefile.h"
#include "natmgr/binding_file.h"
#include "natmgr/rebuild.h"

#define STATE_MAX (64 << 20)

time_t binding_seconds(void)
{
	return (time_t)(loop_now() / 1000);
}

/* In the file, cooldowns end by the wall clock, which goes on while the host is off. */
static time_t wall_is_ahead(void)
{
	return time(NULL) - binding_seconds();
}

char *binding_store_path(const struct config *config)
{
	return xasprintf("%s/bindings", config->daemon.state_dir);
}

char *binding_store_format(const struct config *config, struct binding_table *table,
	size_t *ret_len)
{
	time_t ahead = wall_is_ahead();
	char *text;

	binding_shift_cooldowns(table, ahead);
	text = binding_format(table, config->outer.interface, ret_len);
	binding_shift_cooldowns(table, -ahead);
	return text;
}

int binding_store_save(const char *path, const struct config *config, struct binding_table *table)
{
	size_t len;
	char *text = binding_store_format(config, table, &len);
	int err = statefile_write(path, text, len);

	free(text);
	return err;
}

/* 0 also where there is none yet. */
static int read_file(const char *path, struct binding_table *ret_table, struct problems *problems)
{
	char *text;
	size_t len;
	int err = statefile_read(path, STATE_MAX, &text, &len);

	*ret_table = (struct binding_table){ 0 };
	if (err == -ENOENT)
		return 0;
	if (err) {
		problem_add(problems, path, 0, "cannot be read: %s", strerror(-err));
		return err;
	}
	err = binding_parse(text, path, ret_table, problems);
	free(text);
	return err;
}

void binding_store_check(const char *path, struct problems *problems)
{
	struct binding_table table;

	(void)read_file(path, &table, problems);
	binding_table_done(&table);
}

/* The kernel's own rules say who had what; 0, or -errno and *ret_error. */
static int take_over(const struct config *config, const struct plan *plan, struct backend *backend,
	struct binding_table *table, size_t *ret_count, char **ret_error)
{
	char error[BACKEND_ERROR_SIZE];
	struct ruleset have;
	int err = backend->begin(backend, &have, error);

	if (err) {
		*ret_error = xstrdup(error);
		return err;
	}
	*ret_count = rebuild_bindings(&have, config, plan, binding_seconds(), table);
	backend->end(backend);
	ruleset_done(&have);
	return 0;
}

/* Not overwritten: somebody may want to look at it. */
static int set_aside(const char *path, const struct problems *problems, size_t count,
	char **ret_error)
{
	char *aside = xasprintf("%s.damaged", path), *text;
	int err = 0;

	for (size_t i = 0; i < problems->count; i++) {
		text = problem_format(&problems->list[i]);
		log_error("nat: %s", text);
		free(text);
	}
	if (rename(path, aside) < 0)
		err = -errno;
	if (err)
		*ret_error = xasprintf("%s is damaged and cannot be set aside: %s", path,
			strerror(-err));
	else
		log_error("nat: the damaged file is set aside as %s; %zu bindings were taken over "
			  "from the kernel's rules",
			aside, count);
	free(aside);
	return err;
}

int binding_store_load(const char *path, const struct config *config, const struct plan *plan,
	struct backend *backend, struct binding_table *ret_table, char **ret_error)
{
	struct problems problems = { 0 };
	size_t count;
	int err = 0;

	if (read_file(path, ret_table, &problems)) {
		err = take_over(config, plan, backend, ret_table, &count, ret_error);
		if (!err)
			err = set_aside(path, &problems, count, ret_error);
	}
	problems_done(&problems);
	binding_shift_cooldowns(ret_table, -wall_is_ahead());
	return err;
}
