/* SPDX-License-Identifier: GPL-2.0-or-later */
/* handover owns the passing on of directories and logs. It must not know what is in them. */
#include "common/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/account.h"
#include "common/memory.h"
#include "common/privilege.h"
#include "common/statefile.h"

/* --- making ------------------------------------------------------------------------------- */

/* Nobody but root can put something else in the place of what is below. */
static bool is_roots(const char *path)
{
	struct stat link, st;

	/* in a directory with the sticky bit, what is root's stays in its place */
	return lstat(path, &link) == 0 && link.st_uid == 0 && stat(path, &st) == 0 &&
		st.st_uid == 0 && (!(st.st_mode & (S_IWGRP | S_IWOTH)) || st.st_mode & S_ISVTX);
}

/* Up to what does not exist yet; false also if all of it exists. */
static bool may_make(const char *path)
{
	char *part = xstrdup(path);
	bool may = is_roots("/"), exists = true;

	for (char *p = part + 1; may && exists; p++) {
		char c = *p;
		struct stat st;

		if (c && c != '/')
			continue;
		*p = '\0';
		exists = lstat(part, &st) == 0;
		/* the last one need not be root's, as nothing is made then */
		may = !exists || (c && is_roots(part));
		*p = c;
		if (!c)
			break;
	}
	free(part);
	return may && !exists;
}

static void make_directory(const char *path, uid_t uid, gid_t gid)
{
	if (may_make(path) && !statefile_mkdir(path))
		(void)!lchown(path, uid, gid);
}

static void make_log(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	char *directory = xstrdup(path);
	int fd;

	*strrchr(directory, '/') = '\0';
	if (*directory)
		make_directory(directory, uid, gid);
	free(directory);
	if (!may_make(path))
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return;
	(void)!fchown(fd, uid, gid);
	close(fd);
}

static void make_all(const struct config *config, uid_t uid, gid_t gid)
{
	make_directory(config->daemon.state_dir, uid, gid);
	make_directory(config->daemon.run_dir, uid, gid);
	if (config->daemon.log[0] == '/')
		make_log(config->daemon.log, 0640, uid, gid);
	if (*config->dhcp.log)
		make_log(config->dhcp.log, 0644, uid, gid);
}

/*
 * Root without privileges can write a file of root's, but in its place only one of its own groups:
 * the group of the plan is to stay when it is replaced.
 */
static void join_group_of(const char *path)
{
	int count = getgroups(0, NULL);
	gid_t *groups;
	struct stat st;

	if (count < 0 || stat(path, &st) < 0)
		return;
	groups = xrealloc(NULL, (size_t)count + 1, sizeof(*groups));
	if (getgroups(count, groups) == count) {
		groups[count] = st.st_gid;
		(void)setgroups((size_t)count + 1, groups);
	}
	free(groups);
}

/* --- checking ----------------------------------------------------------------------------- */

const char *handover_user(const struct config *config)
{
	return *config->daemon.user ? config->daemon.user : geteuid() == 0 ? "root" : "its user";
}

static void check(const struct config *config, const char *section, const char *key,
	const char *path, int mode, struct problems *problems)
{
	if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) < 0 && errno == EACCES)
		problem_add(problems, config->path, config_line(config, section, key),
			"[%s] %s: %s may not be used by %s, as whom eipd runs without privileges "
			"over files; give it to that user",
			section, key, path, handover_user(config));
}

/*
 * A file that is to be replaced must be readable, and one that its owner guards is not replaced.
 * Files of others, as backups are, may lie beside ours.
 */
static void check_state(const struct config *config, struct problems *problems)
{
	static const char *const names[] = { "bindings", "isolated", "leases", "plan.last-good" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *path = xasprintf("%s/%s", config->daemon.state_dir, names[i]);
		struct stat st;

		if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
			check(config, "daemon", "state-dir", path, R_OK | W_OK, problems);
		free(path);
	}
}

/* The log itself, or where it is not there, the directory that it would be made in. */
static void check_log(const struct config *config, const char *section, const char *path,
	struct problems *problems)
{
	char *directory;
	struct stat st;

	if (path[0] != '/')
		return;
	if (stat(path, &st) == 0) {
		check(config, section, "log", path, W_OK, problems);
		return;
	}
	/* root makes it at the start */
	if (*config->daemon.user && may_make(path))
		return;
	directory = xstrdup(path);
	strrchr(directory, '/')[directory == strrchr(directory, '/')] = '\0';
	check(config, section, "log", directory, W_OK | X_OK, problems);
	free(directory);
}

bool handover_callback_is_others(const struct config *config)
{
	uid_t uid;
	gid_t gid;

	return *config->dhcp.callback && *config->dhcp.callback_user &&
		!account_find_user(config->dhcp.callback_user, &uid, &gid) && uid != geteuid();
}

static void check_callback(const struct config *config, struct problems *problems)
{
	const char *path = config->dhcp.callback, *user = config->dhcp.callback_user;
	struct stat st;
	uid_t uid;
	gid_t gid;

	/* of what somebody else may run, all that is known is what nobody may */
	(void)privilege_pass_over_files(handover_callback_is_others(config));
	if (*path &&
		(stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
			faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0))
		problem_add(problems, config->path, config_line(config, "dhcp", "callback"),
			"[dhcp] callback: %s is not a program that can be run; name one, or nothing",
			path);
	(void)privilege_pass_over_files(false);
	if (*user && account_find_user(user, &uid, &gid))
		problem_add(problems, config->path, config_line(config, "dhcp", "callback-user"),
			"[dhcp] callback-user: there is no user %s in /etc/passwd", user);
}

static void check_group(const struct config *config, struct problems *problems)
{
	const char *group = config->control.group;
	gid_t gid;

	if (*group && account_find_group(group, &gid))
		problem_add(problems, config->path, config_line(config, "control", "group"),
			"[control] group: there is no group %s in /etc/group", group);
}

static void check_all(const struct config *config, struct problems *problems)
{
	check(config, "daemon", "state-dir", config->daemon.state_dir, R_OK | W_OK | X_OK,
		problems);
	check_state(config, problems);
	check(config, "daemon", "run-dir", config->daemon.run_dir, W_OK | X_OK, problems);
	check_log(config, "daemon", config->daemon.log, problems);
	check_log(config, "dhcp", config->dhcp.log, problems);
}

/* --- becoming ----------------------------------------------------------------------------- */

int handover_become(const struct config *config, bool make, struct problems *problems)
{
	const char *user = config->daemon.user;
	size_t before = problems->count;
	uid_t uid = 0;
	gid_t gid = 0;
	int err = *user ? account_find_user(user, &uid, &gid) : 0;

	if (!privilege_suffices()) {
		problem_add(problems, config->path, config_line(config, "daemon", "user"),
			"eipd has not the rights for its work; start it as root, and name in "
			"[daemon] user whom it is to become");
		return -EPERM;
	}
	if (!err && uid && make)
		make_all(config, uid, gid);
	if (!err && !uid)
		join_group_of(config->plan.file);
	if (!err)
		err = privilege_become(user);
	if (!err)
		check_all(config, problems);
	else
		problem_add(problems, config->path, config_line(config, "daemon", "user"),
			err == -ENOENT ? "[daemon] user: there is no user %s in /etc/passwd"
				       : "[daemon] user: eipd cannot become %s; start it as root",
			handover_user(config));
	check_callback(config, problems);
	check_group(config, problems);
	return problems->count == before ? 0 : -EINVAL;
}
