/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * planstore: the plan file on disk, and beside it the last plan that was good.
 */
#ifndef EIPD_COMMON_PLANSTORE_H
#define EIPD_COMMON_PLANSTORE_H

#include "common/config.h"
#include "common/plan.h"

/*
 * Reads and parses the plan file. inner may be NULL (see plan_parse()). 0, and the caller frees the
 * plan and its text; or -EINVAL and the problems. ret_text may be NULL.
 */
int planstore_load(const struct config *config, const struct ip4_prefix *inner,
	struct plan **ret_plan, char **ret_text, struct problems *problems);

/*
 * Adds a VM to the plan file, or takes one out, keeping the comments and the order of the others;
 * the file is replaced atomically. mac and ip may be NULL and 0: then they are chosen. 0, and the
 * new plan and its text, both the caller's; or -errno and a sentence in *ret_error (the caller
 * frees), or -EINVAL and the problems of what the file would be; those of the file as it is come with
 * a sentence.
 */
int planstore_add_vm(const struct config *config, const struct ip4_prefix *inner, const char *name,
	const struct mac *mac, uint32_t ip, struct plan **ret_plan, char **ret_text,
	struct problems *problems, char **ret_error);
int planstore_del_vm(const struct config *config, const struct ip4_prefix *inner, const char *name,
	struct plan **ret_plan, char **ret_text, struct problems *problems, char **ret_error);

/* Where the text of the plan that was good last is kept; the caller frees. */
char *planstore_last_good_path(const struct config *config);

/* What was kept last, as planstore_load(); -ENOENT, and no problem, where nothing was. */
int planstore_load_last_good(const struct config *config, const struct ip4_prefix *inner,
	struct plan **ret_plan, struct problems *problems);

#endif
