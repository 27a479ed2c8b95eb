/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * planstore owns where plans are kept. It must not know what is in them, nor which is in force.
 */
#include "common/planstore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/statefile.h"

#define PLAN_MAX_SIZE (64 << 20)

char *planstore_last_good_path(const struct config *config)
{
	return xasprintf("%s/plan.last-good", config->daemon.state_dir);
}

static int load(const char *path, const struct ip4_prefix *inner, struct plan **ret_plan,
	char **ret_text, struct problems *problems)
{
	char *text;
	size_t len;
	int err = statefile_read(path, PLAN_MAX_SIZE, &text, &len);

	if (err) {
		problem_add(problems, path, 0, "cannot be read: %s",
			err == -EINVAL ? "not a text file" : strerror(-err));
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
	return load(config->plan.file, inner, ret_plan, ret_text, problems);
}

int planstore_load_last_good(const struct config *config, const struct ip4_prefix *inner,
	struct plan **ret_plan, struct problems *problems)
{
	char *path = planstore_last_good_path(config);
	int err = load(path, inner, ret_plan, NULL, problems);

	free(path);
	return err;
}
