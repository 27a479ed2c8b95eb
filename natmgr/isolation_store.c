/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolation_store owns the state file of the isolation, and what is done when it is lost. It must
 * not know how a VM is cut off.
 */
#include "natmgr/isolation_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/boot.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/statefile.h"

#define STATE_MAX (4 << 20)

char *isolation_store_path(const struct config *config)
{
	return xasprintf("%s/isolated", config->daemon.state_dir);
}

enum outcome { FILE_READ, FILE_MISSING, FILE_DAMAGED, FILE_UNREADABLE };

/* Of a damaged one *ret_isolation has what can be made of it; *ret_err says why it is unreadable. */
static enum outcome read_file(const char *path, struct isolation *ret_isolation,
	struct problems *problems, int *ret_err)
{
	char *text;
	size_t len;
	int err = statefile_read_damaged(path, STATE_MAX, &text, &len);
	bool has_nul = err > 0;

	*ret_isolation = (struct isolation){ 0 };
	if (err == -ENOENT)
		return FILE_MISSING;
	if (err < 0) {
		problem_add(problems, path, 0, "cannot be read: %s", strerror(-err));
		*ret_err = err;
		return FILE_UNREADABLE;
	}
	if (has_nul)
		problem_add(problems, path, 0, "there are NULs in it");
	err = isolation_parse(text, path, ret_isolation, problems);
	free(text);
	return err || has_nul ? FILE_DAMAGED : FILE_READ;
}

void isolation_store_check(const char *path, struct problems *problems)
{
	struct isolation isolation;
	int err;

	(void)read_file(path, &isolation, problems, &err);
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

static void keep_damaged(const char *path, const struct problems *problems, size_t count)
{
	int err = statefile_keep_damaged(path);

	log_problems("isolation", problems);
	log_error(
		"isolation: every VM that the damaged file or the kernel names is isolated (%zu), "
		"from all hosts where its list of allowed ones is lost; eipctl vm isolate and vm "
		"rejoin put it right; a copy of the file as %s.damaged: %s",
		count, path, err ? strerror(-err) : "kept");
}

static void ask_kernel(const char *path, struct nft *nft, struct isolation *isolation)
{
	size_t before = isolation->count;

	if (nft)
		(void)nft_read_counters(nft, take_isolated, isolation);
	if (isolation->count != before)
		log_error(
			"isolation: %zu VMs are isolated in the kernel, but not in %s; they stay so "
			"until eipctl vm rejoin",
			isolation->count - before, path);
}

int isolation_store_load(const char *path, struct nft *nft, struct isolation *ret_isolation,
	char **ret_error)
{
	struct problems problems = { 0 };
	char boot[BOOT_ID_SIZE];
	int err = 0;
	enum outcome outcome = read_file(path, ret_isolation, &problems, &err);

	switch (outcome) {
	case FILE_READ:
		break;
	case FILE_MISSING:
		ask_kernel(path, nft, ret_isolation);
		break;
	case FILE_DAMAGED:
		ask_kernel(path, nft, ret_isolation);
		keep_damaged(path, &problems, ret_isolation->count);
		if (ret_isolation->count)
			break;
		*ret_error = xasprintf(
			"%s is damaged and names nobody, nor does the kernel: who is isolated is "
			"not known; if nobody is, remove the file",
			path);
		err = -EINVAL;
		break;
	case FILE_UNREADABLE:
		*ret_error = xasprintf(
			"%s cannot be read (%s): who is isolated is not known; make it readable, "
			"or remove it, and then only those stay isolated whom the kernel names",
			path, strerror(-err));
		break;
	}
	problems_done(&problems);
	if (err)
		return err;
	boot_id_read(boot);
	if (isolation_boot(ret_isolation, boot))
		log_info("isolation: the host has been started anew; VMs are looked for on the "
			 "ports that there are now");
	return 0;
}
