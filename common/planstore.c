/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * planstore owns where plans are kept. It must not know what is in them, nor which is in force.
 */
#include "common/planstore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/handover.h"
#include "common/memory.h"
#include "common/statefile.h"

#define PLAN_MAX_SIZE (64 << 20)

char *planstore_last_good_path(const struct config *config)
{
	return xasprintf("%s/plan.last-good", config->daemon.state_dir);
}

static void cannot_read(const struct config *config, const char *path, int err,
	struct problems *problems)
{
	if (err == -EACCES)
		problem_add(problems, path, 0, "cannot be read: %s; give it to %s", strerror(-err),
			handover_user(config));
	else
		problem_add(problems, path, 0, "cannot be read: %s",
			err == -EINVAL ? "not a text file" : strerror(-err));
}

static int load(const struct config *config, const char *path, const struct ip4_prefix *inner,
	struct plan **ret_plan, char **ret_text, struct problems *problems)
{
	char *text;
	size_t len;
	int err = statefile_read(path, PLAN_MAX_SIZE, &text, &len);

	if (err) {
		cannot_read(config, path, err, problems);
		return -EINVAL;
	}
	err = plan_parse(text, len, path, inner, ret_plan, problems);
	if (!err && ret_text)
		*ret_text = text;
	else
		free(text);
	return err;
}

int planstore_load(const struct config *config, const struct ip4_prefix *inner,
	struct plan **ret_plan, char **ret_text, struct problems *problems)
{
	return load(config, config->plan.file, inner, ret_plan, ret_text, problems);
}

/* Writes what was edited, if it is a good plan. Takes the text. */
static int replace_file(const struct config *config, const struct ip4_prefix *inner, char *text,
	struct plan **ret_plan, char **ret_text, struct problems *problems, char **ret_error)
{
	struct plan *plan;
	int err = plan_parse(text, strlen(text), config->plan.file, inner, &plan, problems);

	if (err) {
		free(text);
		return err;
	}
	err = statefile_write(config->plan.file, text, strlen(text));
	if (err) {
		*ret_error = xasprintf("%s cannot be written: %s; nothing was changed",
			config->plan.file, strerror(-err));
		plan_free(plan);
		free(text);
		return err;
	}
	*ret_plan = plan;
	*ret_text = text;
	return 0;
}

static bool is_named(const void *ctx, uint32_t ip)
{
	return config_names_address(ctx, ip);
}

/* The plan to be edited: one with problems is mended by a person first, who is told where. */
static int load_good(const struct config *config, const struct ip4_prefix *inner,
	struct plan **ret_plan, char **ret_text, struct problems *problems, char **ret_error)
{
	int err = planstore_load(config, inner, ret_plan, ret_text, problems);
	char *first;

	if (err) {
		first = problem_format(&problems->list[0]);
		*ret_error = xasprintf("%s; mend the plan first, nothing was changed", first);
		free(first);
	}
	return err;
}

int planstore_add_vm(const struct config *config, const struct ip4_prefix *inner, const char *name,
	const struct mac *mac, uint32_t ip, struct plan **ret_plan, char **ret_text,
	struct problems *problems, char **ret_error)
{
	struct vm vm = { .name = name, .ip = ip };
	struct plan *plan;
	uint64_t random;
	char *text, *edited;
	int err = load_good(config, inner, &plan, &text, problems, ret_error);

	if (err)
		return err;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (uint64_t)time(NULL);
	vm.mac = mac ? *mac : plan_choose_mac(plan, random);
	if (!ip)
		vm.ip = plan_choose_ip(plan, inner, is_named, config);
	if (!vm.ip)
		err = -ENOSPC;
	if (err)
		*ret_error =
			xstrdup("the bridge's network has no free address; name one with --ip, or "
				"delete a VM");
	edited = err ? NULL : plan_text_add(text, &vm);
	plan_free(plan);
	free(text);
	return err ? err
		   : replace_file(config, inner, edited, ret_plan, ret_text, problems, ret_error);
}

int planstore_del_vm(const struct config *config, const struct ip4_prefix *inner, const char *name,
	struct plan **ret_plan, char **ret_text, struct problems *problems, char **ret_error)
{
	const struct vm *vm;
	struct plan *plan;
	char *text, *edited;
	int err = load_good(config, inner, &plan, &text, problems, ret_error);

	if (err)
		return err;
	vm = plan_by_name(plan, name);
	edited = vm ? plan_text_remove(text, vm->line) : NULL;
	plan_free(plan);
	free(text);
	if (edited)
		return replace_file(config, inner, edited, ret_plan, ret_text, problems, ret_error);
	*ret_error = xasprintf("%s: no such VM in the plan; eipctl vm list shows them", name);
	return -ENOENT;
}

int planstore_load_last_good(const struct config *config, const struct ip4_prefix *inner,
	struct plan **ret_plan, struct problems *problems)
{
	char *path = planstore_last_good_path(config);
	int err = access(path, F_OK) < 0 && errno == ENOENT
		? -ENOENT
		: load(config, path, inner, ret_plan, NULL, problems);

	free(path);
	return err;
}
