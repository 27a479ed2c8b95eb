/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolation_store owns the state file of the isolation, and what is done when it is lost. It must
 * not know how a VM is cut off.
 */
#include "natmgr/isolation_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/statefile.h"

#define STATE_MAX (4 << 20)

char *isolation_store_path(const struct config *config)
{
	return xasprintf("%s/isolated", config->daemon.state_dir);
}

int isolation_store_save(const char *path, const struct isolation *isolation)
{
	size_t len;
	char *text = isolation_format(isolation, &len);
	int err = statefile_update(path, text, len);

	free(text);
	return err;
}

/* -ENOENT: there is none; -EINVAL: damaged, but *ret_isolation has what can be made of it. */
static int read_file(const char *path, struct isolation *ret_isolation, struct problems *problems)
{
	char *text;
	size_t len;
	int err = statefile_read_damaged(path, STATE_MAX, &text, &len);

	*ret_isolation = (struct isolation){ 0 };
	if (err == -ENOENT)
		return err;
	if (err < 0) {
		problem_add(problems, path, 0, "cannot be read: %s", strerror(-err));
		return err;
	}
	if (err)
		problem_add(problems, path, 0, "there are NULs in it");
	if (isolation_parse(text, path, ret_isolation, problems) || err)
		err = -EINVAL;
	free(text);
	return err;
}

void isolation_store_check(const char *path, struct problems *problems)
{
	struct isolation isolation;

	(void)read_file(path, &isolation, problems);
	isolation_done(&isolation);
}

/* What the kernel's table says: only an isolated VM has a counter of frames to it. */
static void take_isolated(void *ctx, const char *name, uint64_t packets, uint64_t bytes)
{
	struct isolation *isolation = ctx;

	(void)packets;
	(void)bytes;
	if (!strncmp(name, "to-", 3) && plan_name_is_valid(name + 3) &&
		isolation->count < ISOLATION_MAX && !isolation_find(isolation, name + 3))
		(void)isolation_add(isolation, name + 3, NULL, 0, "");
}

static void set_aside(const char *path, const struct problems *problems, size_t count)
{
	char *aside = xasprintf("%s.damaged", path), *text, *old;
	size_t len;

	for (size_t i = 0; i < problems->count; i++) {
		text = problem_format(&problems->list[i]);
		log_error("isolation: %s", text);
		free(text);
	}
	if (statefile_read_damaged(path, STATE_MAX, &old, &len) >= 0) {
		(void)statefile_write(aside, old, len);
		free(old);
	}
	log_error(
		"isolation: the damaged file is kept as %s; every VM that it or the kernel names "
		"is isolated (%zu), from all hosts where its list of allowed ones is lost; eipctl "
		"vm isolate and vm rejoin put it right",
		aside, count);
	free(aside);
}

void isolation_store_load(const char *path, struct nft *nft, struct isolation *ret_isolation)
{
	struct problems problems = { 0 };
	size_t before;
	int err = read_file(path, ret_isolation, &problems);

	before = ret_isolation->count;
	if (err && nft)
		(void)nft_read_counters(nft, take_isolated, ret_isolation);
	if (ret_isolation->count != before)
		log_error(
			"isolation: %zu VMs are isolated in the kernel, but not in %s; they stay so "
			"until eipctl vm rejoin",
			ret_isolation->count - before, path);
	if (err && err != -ENOENT)
		set_aside(path, &problems, ret_isolation->count);
	problems_done(&problems);
}
