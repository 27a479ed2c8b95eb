/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operation log: whole lines, whatever became of the one before. */
#include "tests/unit/support.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "dhcpd/oplog.h"

static const struct vm vm = {
	.mac = { { 2, 0, 0, 0, 0, 1 } }, .ip = IP4(10, 77, 0, 11), .name = "vm-001"
};

#define LINE "1970-01-01T00:00:00+0000 add 02:00:00:00:00:01 10.77.0.11 vm-001\n"

/* No file may be longer; as a disk that is full, but for the error. */
static void limit_files(rlim_t most)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = most;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void add(struct oplog *oplog)
{
	oplog_add(oplog, "add", &vm, 0);
}

static void assert_text(const char *path, const char *expected)
{
	FILE *file = fopen(path, "r");
	char text[1024];

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(text, expected);
}

static void test_full_disk(void **state)
{
	char *directory = directory_new(), *path = path_in(directory, "lease.log");
	struct oplog oplog;

	(void)state;
	assert_int_equal(oplog_open(&oplog, path), 0);
	add(&oplog);
	assert_int_equal(oplog_flush(&oplog), 0);
	/* the next one has no room for its end */
	limit_files(2 * strlen(LINE) - 8);
	add(&oplog);
	errno = EPERM; /* of something before */
	assert_int_equal(oplog_flush(&oplog), -ENOSPC);
	/* nothing at all of this one: another error, told once */
	add(&oplog);
	assert_int_equal(oplog_flush(&oplog), -EFBIG);
	add(&oplog);
	assert_int_equal(oplog_flush(&oplog), 0);
	limit_files(RLIM_INFINITY);
	add(&oplog);
	add(&oplog);
	assert_int_equal(oplog_flush(&oplog), 0);
	add(&oplog);
	oplog_close(&oplog);
	assert_text(path,
		LINE "1970-01-01T00:00:00+0000 add 02:00:00:00:00:01 10.77.0.11\n" LINE LINE LINE);
	free(path);
	directory_remove(directory);
}

int main(void)
{
	struct suite suite = { 0 };

	setenv("TZ", "UTC", 1);
	signal(SIGXFSZ, SIG_IGN);
	suite_add(&suite, "a line that was cut off by a full disk ends before the next begins",
		test_full_disk, NULL);
	return suite_run(&suite, "oplog");
}
