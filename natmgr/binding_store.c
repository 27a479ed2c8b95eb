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

char *binding_store_format(const struct config *config, const struct binding_table *table,
	size_t *ret_len)
{
	return binding_format(table, config->outer.interface, wall_is_ahead(), ret_len);
}

int binding_store_save(const char *path, const struct config *config,
	const struct binding_table *table)
{
	size_t len;
	char *text = binding_store_format(config, table, &len);
	int err = statefile_write(path, text, len);

	free(text);
	return err;
}

/* 0 also where there is none yet; 1: it is damaged, and the table has its good lines; or -errno. */
static int read_file(const char *path, struct binding_table *ret_table, struct problems *problems)
{
	char *text;
	size_t len;
	int err = statefile_read_damaged(path, STATE_MAX, &text, &len);
	bool has_nul = err > 0;

	*ret_table = (struct binding_table){ 0 };
	if (err == -ENOENT)
		return 0;
	if (err < 0) {
		problem_add(problems, path, 0, "cannot be read: %s", strerror(-err));
		return err;
	}
	if (has_nul)
		problem_add(problems, path, 0, "there are NULs in it");
	err = binding_parse(text, path, ret_table, problems);
	free(text);
	return err || has_nul;
}

void binding_store_check(const char *path, struct problems *problems)
{
	struct binding_table table;

	(void)read_file(path, &table, problems);
	binding_table_done(&table);
}

static int begin_waiting(struct backend *backend, struct ruleset *ret_have, char *error)
{
	const struct timespec pause = { .tv_nsec = BACKEND_LOCK_RETRY_MS * 1000000L };
	uint64_t deadline = loop_now() + BACKEND_LOCK_LIMIT_MS;
	int err;

	while ((err = backend->begin(backend, ret_have, error)) == -EAGAIN && loop_now() < deadline)
		nanosleep(&pause, NULL);
	return err;
}

/* The kernel's own rules say who had what; 0, or -errno and *ret_error. */
static int take_over(const struct config *config, const struct plan *plan, struct backend *backend,
	struct binding_table *table, size_t *ret_count, char **ret_error)
{
	char error[BACKEND_ERROR_SIZE];
	struct ruleset have;
	int err = begin_waiting(backend, &have, error);

	if (err) {
		*ret_error = xstrdup(error);
		return err;
	}
	*ret_count = rebuild_bindings(&have, config, plan, binding_seconds(), table);
	backend->end(backend);
	ruleset_done(&have);
	return 0;
}

static void log_damage(const char *path, const struct problems *problems, size_t lines,
	size_t rules)
{
	log_problems("nat", problems);
	log_error("nat: the damaged file is kept as %s.damaged; bindings and forwards by its good "
		  "lines: %zu, by the kernel's rules: %zu more",
		path, lines, rules);
}

/* What cannot be made of the damaged file is not lost: somebody may want to look at it. */
static int mend(const char *path, const struct config *config, const struct plan *plan,
	struct backend *backend, const struct problems *problems, struct binding_table *table,
	char **ret_error)
{
	size_t lines = table->count + table->forward_count, rules;
	int err = take_over(config, plan, backend, table, &rules, ret_error);

	if (err)
		return err;
	err = statefile_keep_damaged(path);
	if (err)
		*ret_error = xasprintf("%s is damaged, and no copy can be kept as %s.damaged: %s; "
				       "see to that, or mend or remove the file",
			path, path, strerror(-err));
	else
		log_damage(path, problems, lines, rules);
	return err;
}

int binding_store_load(const char *path, const struct config *config, const struct plan *plan,
	struct backend *backend, struct binding_table *ret_table, char **ret_error)
{
	struct problems problems = { 0 };
	int result = read_file(path, ret_table, &problems), err = 0;

	binding_shift_cooldowns(ret_table, -wall_is_ahead());
	if (result < 0)
		*ret_error =
			xasprintf("%s cannot be read (%s): who has which address is not known; "
				  "make it readable, or remove it, and then nobody has one",
				path, strerror(-result));
	else if (result > 0)
		err = mend(path, config, plan, backend, &problems, ret_table, ret_error);
	problems_done(&problems);
	return err ? err : result;
}
