/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Users and groups by name: what the system's own look-up says of those in the files. */
#include "tests/unit/support.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "common/account.h"

static void test_users(void **state)
{
	FILE *file = fopen("/etc/passwd", "r");
	const struct passwd *user;
	unsigned seen = 0;

	(void)state;
	assert_non_null(file);
	while ((user = fgetpwent(file))) {
		const struct passwd *same = getpwnam(user->pw_name);
		uid_t uid = 77777;
		gid_t gid = 77777;

		assert_non_null(same);
		assert_int_equal(account_find_user(same->pw_name, &uid, &gid), 0);
		assert_int_equal(uid, same->pw_uid);
		assert_int_equal(gid, same->pw_gid);
		seen++;
	}
	fclose(file);
	assert_true(seen > 0);
}

static void test_groups(void **state)
{
	FILE *file = fopen("/etc/group", "r");
	const struct group *group;
	unsigned seen = 0;

	(void)state;
	assert_non_null(file);
	while ((group = fgetgrent(file))) {
		const struct group *same = getgrnam(group->gr_name);
		gid_t gid = 77777;

		assert_non_null(same);
		assert_int_equal(account_find_group(same->gr_name, &gid), 0);
		assert_int_equal(gid, same->gr_gid);
		seen++;
	}
	fclose(file);
	assert_true(seen > 0);
}

static const struct unknown_row {
	const char *sentence, *name;
} unknown_rows[] = {
	{ "a name that nobody has", "no-such-name" },
	{ "no name", "" },
	{ "a number is no name", "0" },
	{ "the beginning of a name", "roo" },
	{ "more than a name", "root:x" },
};

static void test_unknown(void **state)
{
	const struct unknown_row *row = *state;
	uid_t uid = 77777;
	gid_t gid = 77777;

	assert_int_equal(account_find_user(row->name, &uid, &gid), -ENOENT);
	assert_int_equal(account_find_group(row->name, &gid), -ENOENT);
	assert_int_equal(account_become(row->name), -ENOENT);
	assert_int_equal(uid, 77777);
	assert_int_equal(gid, 77777);
}

int main(void)
{
	struct suite suite = { 0 };

	suite_add(&suite, "every user of /etc/passwd has its numbers", test_users, NULL);
	suite_add(&suite, "every group of /etc/group has its number", test_groups, NULL);
	SUITE_ROWS(&suite, test_unknown, unknown_rows);
	return suite_run(&suite, "account");
}
