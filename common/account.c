/* SPDX-License-Identifier: GPL-2.0-or-later */
/* account owns the reading of /etc/passwd and /etc/group. It must not know who asks, nor why. */
#include "common/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"

#define USERS  "/etc/passwd"
#define GROUPS "/etc/group"

int account_find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	FILE *file = fopen(USERS, "re");
	const struct passwd *user;
	int err = -ENOENT;

	if (!file)
		return -errno;
	while (err && (user = fgetpwent(file))) {
		if (strcmp(user->pw_name, name))
			continue;
		*ret_uid = user->pw_uid;
		*ret_gid = user->pw_gid;
		err = 0;
	}
	fclose(file);
	return err;
}

int account_find_group(const char *name, gid_t *ret_gid)
{
	FILE *file = fopen(GROUPS, "re");
	const struct group *group;
	int err = -ENOENT;

	if (!file)
		return -errno;
	while (err && (group = fgetgrent(file))) {
		if (strcmp(group->gr_name, name))
			continue;
		*ret_gid = group->gr_gid;
		err = 0;
	}
	fclose(file);
	return err;
}

static bool is_member(const struct group *group, const char *user)
{
	for (char **member = group->gr_mem; *member; member++) {
		if (!strcmp(*member, user))
			return true;
	}
	return false;
}

/* The groups of a user whose first one is `first`. The caller frees. */
static gid_t *groups_of(const char *user, gid_t first, size_t *ret_count)
{
	/* a host without this file has no further groups */
	FILE *file = fopen(GROUPS, "re");
	gid_t *groups = xmemdup(&first, sizeof(first));
	const struct group *group;
	size_t count = 1;

	while (file && (group = fgetgrent(file))) {
		if (group->gr_gid == first || !is_member(group, user))
			continue;
		groups = xrealloc(groups, count + 1, sizeof(*groups));
		groups[count++] = group->gr_gid;
	}
	if (file)
		fclose(file);
	*ret_count = count;
	return groups;
}

int account_become(const char *name)
{
	gid_t *groups, gid;
	uid_t uid;
	size_t count;
	int err = account_find_user(name, &uid, &gid);

	if (err)
		return err;
	/* who is somebody already needs no right to become it */
	if (uid == getuid() && uid == geteuid())
		return 0;
	groups = groups_of(name, gid, &count);
	if (setgroups(count, groups) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
		err = -errno;
	free(groups);
	return err;
}
