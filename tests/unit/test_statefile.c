/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole files in and out. */
#include "tests/unit/support.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "common/statefile.h"

static char *directory;

static int setup(void **state)
{
	(void)state;
	directory = directory_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	directory_remove(directory);
	return 0;
}

static void assert_holds(const char *path, const char *expected)
{
	char *text = NULL;
	size_t len = 0;

	assert_int_equal(statefile_read(path, 1 << 20, &text, &len), 0);
	assert_int_equal(len, strlen(expected));
	assert_string_equal(text, expected);
	free(text);
}

/* A temporary file left behind would fill the disk one day. */
static size_t entries_of_directory(void)
{
	DIR *dir = opendir(directory);
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2; /* . and .. */
}

static void test_round_trip(void **state)
{
	char *path = path_in(directory, "bindings");

	(void)state;
	assert_int_equal(statefile_write(path, "one\n", 4), 0);
	assert_holds(path, "one\n");
	assert_int_equal(statefile_write(path, "longer than before\n", 19), 0);
	assert_holds(path, "longer than before\n");
	assert_int_equal(statefile_write(path, "x", 1), 0);
	assert_holds(path, "x");
	assert_int_equal(statefile_write(path, "", 0), 0);
	assert_holds(path, "");
	assert_int_equal(entries_of_directory(), 1);
	free(path);
}

static void test_large(void **state)
{
	char *path = path_in(directory, "large"), *text = malloc(5000001);

	(void)state;
	memset(text, 'x', 5000000);
	text[5000000] = '\0';
	assert_int_equal(statefile_write(path, text, 5000000), 0);
	{
		char *read = NULL;
		size_t len = 0;

		assert_int_equal(statefile_read(path, 5000000, &read, &len), 0);
		assert_int_equal(len, 5000000);
		assert_int_equal(strcmp(read, text), 0);
		free(read);
	}
	free(text);
	free(path);
}

static const struct refused_row {
	const char *sentence, *name;
	int err;
} refused_rows[] = {
	{ "read: no such file", "missing", -ENOENT },
	{ "read: no such directory", "missing/file", -ENOENT },
	{ "read: larger than allowed", "eleven", -EFBIG },
	{ "read: a NUL inside is no text", "nul", -EINVAL },
	{ "read: a directory is said to be one", "directory", -EISDIR },
	{ "read: a FIFO is no regular file, and does not hang", "fifo", -EINVAL },
};

static void test_read_refused(void **state)
{
	const struct refused_row *row = *state;
	char *path, *text = (char *)(uintptr_t) "untouched";
	size_t len = 7;

	setup(NULL);
	file_write(path = path_in(directory, "eleven"), "12345678901", 11);
	free(path);
	file_write(path = path_in(directory, "nul"),
		"12\0"
		"45",
		5);
	free(path);
	mkdir(path = path_in(directory, "directory"), 0755);
	free(path);
	mkfifo(path = path_in(directory, "fifo"), 0644);
	free(path);
	path = path_in(directory, row->name);
	assert_int_equal(statefile_read(path, 10, &text, &len), row->err);
	assert_string_equal(text, "untouched");
	assert_int_equal(len, 7);
	free(path);
	teardown(NULL);
}

/* Who makes of a damaged file what can be made of it sees what is behind a NUL as well. */
static void test_read_damaged(void **state)
{
	char *path = path_in(directory, "damaged"), *text = (char *)(uintptr_t) "untouched";
	size_t len = 7;

	(void)state;
	assert_int_equal(statefile_read_damaged(path, 20, &text, &len), -ENOENT);
	file_write(path,
		"12\0\0"
		"45\n\0",
		8);
	assert_int_equal(statefile_read_damaged(path, 7, &text, &len), -EFBIG);
	assert_string_equal(text, "untouched");
	assert_int_equal(len, 7);
	assert_int_equal(statefile_read_damaged(path, 20, &text, &len), 1);
	assert_int_equal(len, 8);
	assert_string_equal(text, "12\n\n45\n\n");
	free(text);
	file_write(path, "12\n", 3);
	assert_int_equal(statefile_read_damaged(path, 20, &text, &len), 0);
	assert_string_equal(text, "12\n");
	free(text);
	free(path);
}

static void test_read_limit(void **state)
{
	char *path = path_in(directory, "ten"), *text;
	size_t len;

	(void)state;
	file_write(path, "1234567890", 10);
	assert_int_equal(statefile_read(path, 10, &text, &len), 0);
	assert_int_equal(len, 10);
	/* the NUL is behind the text, not part of it */
	assert_int_equal(text[10], '\0');
	free(text);
	free(path);
}

static void test_keep_damaged(void **state)
{
	char *path = path_in(directory, "bindings"), *copy = path_in(directory, "bindings.damaged");
	char text[8] = { 0 };
	FILE *file;

	(void)state;
	assert_int_equal(statefile_keep_damaged(path), -ENOENT);
	file_write(path, "a\0b\n\0", 5);
	assert_int_equal(statefile_keep_damaged(path), 0);
	file = fopen(copy, "r");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text), file), 5);
	fclose(file);
	assert_memory_equal(text, "a\0b\n\0", 5);
	/* and it is where it was */
	assert_int_equal(entries_of_directory(), 2);
	free(path);
	free(copy);
}

static void test_mode(void **state)
{
	char *path = path_in(directory, "plan");
	mode_t mask = umask(022);
	struct stat st;

	(void)state;
	assert_int_equal(statefile_write(path, "a", 1), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	chmod(path, 0660);
	assert_int_equal(statefile_write(path, "b", 1), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	umask(mask);
	free(path);
}

static void test_symlink(void **state)
{
	char *target = path_in(directory, "target"), *link = path_in(directory, "link");
	struct stat st;

	(void)state;
	file_write(target, "old", 3);
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(statefile_write(link, "new", 3), 0);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_holds(target, "new");
	assert_int_equal(entries_of_directory(), 2);
	free(target);
	free(link);
}

static void test_dangling_symlink(void **state)
{
	char *target = path_in(directory, "target"), *link = path_in(directory, "link");
	struct stat st;

	(void)state;
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(statefile_write(link, "new", 3), 0);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_holds(target, "new");
	free(target);
	free(link);
}

static void test_atomic(void **state)
{
	char *path = path_in(directory, "file");
	FILE *reader;
	char before[8] = "";

	(void)state;
	file_write(path, "before", 6);
	reader = fopen(path, "r");
	assert_int_equal(statefile_write(path, "after!", 6), 0);
	/* who opened the old file reads the old text: it was replaced, not written over */
	assert_int_equal(fread(before, 1, 6, reader), 6);
	assert_string_equal(before, "before");
	fclose(reader);
	assert_holds(path, "after!");
	free(path);
}

static void test_write_refused(void **state)
{
	char *path = path_in(directory, "missing/file"), *occupied = path_in(directory, "occupied");

	(void)state;
	assert_int_equal(statefile_write(path, "x", 1), -ENOENT);
	/* a directory cannot be replaced by a file */
	mkdir(occupied, 0755);
	assert_true(statefile_write(occupied, "x", 1) < 0);
	assert_int_equal(entries_of_directory(), 1);
	free(path);
	free(occupied);
}

static void test_leftover(void **state)
{
	char *path = path_in(directory, "file"), *left = path_in(directory, "file.eipd-new");
	char *prepared = path_in(directory, "file.new");

	(void)state;
	/* as a predecessor that was killed between write and rename leaves it */
	file_write(path, "old", 3);
	file_write(left, "half of the ne", 14);
	/* as people name what they prepare */
	file_write(prepared, "a person's", 10);
	assert_int_equal(statefile_write(path, "new", 3), 0);
	assert_holds(path, "new");
	assert_holds(prepared, "a person's");
	assert_int_equal(entries_of_directory(), 2);
	free(path);
	free(left);
	free(prepared);
}

static void test_mkdir(void **state)
{
	char *deep = path_in(directory, "a/b/c"), *slash = path_in(directory, "d/e/");
	char *file = path_in(directory, "file"), *below = path_in(directory, "file/x");
	char *child = path_in(directory, "p/q/file"), *parent = path_in(directory, "p/q");
	struct stat st;

	(void)state;
	assert_int_equal(statefile_mkdir(deep), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(statefile_mkdir(deep), 0);
	assert_int_equal(statefile_mkdir(slash), 0);
	assert_int_equal(stat(slash, &st), 0);
	file_write(file, "", 0);
	assert_true(statefile_mkdir(file) < 0);
	assert_true(statefile_mkdir(below) < 0);
	assert_int_equal(statefile_mkdir("/"), 0);
	assert_int_equal(statefile_mkdir_parent(child), 0);
	assert_int_equal(stat(parent, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	/* the directory only, not the file */
	assert_int_equal(stat(child, &st), -1);
	free(deep);
	free(slash);
	free(file);
	free(below);
	free(child);
	free(parent);
}

static void add(struct suite *suite, const char *sentence, CMUnitTestFunction test)
{
	suite_add(suite, sentence, test, NULL);
	suite->tests[suite->count - 1].setup_func = setup;
	suite->tests[suite->count - 1].teardown_func = teardown;
}

int main(void)
{
	struct suite suite = { 0 };

	add(&suite, "what was written is read, and no other file is left", test_round_trip);
	add(&suite, "five million octets", test_large);
	SUITE_ROWS(&suite, test_read_refused, refused_rows);
	add(&suite, "read: just as large as allowed", test_read_limit);
	add(&suite, "read damaged: NULs are newlines, and it says so", test_read_damaged);
	add(&suite, "damaged: a copy is kept as it is", test_keep_damaged);
	add(&suite, "write: a new file is 0644, an old one keeps its mode", test_mode);
	add(&suite, "write: a symbolic link is followed", test_symlink);
	add(&suite, "write: a symbolic link to a file not there yet is followed",
		test_dangling_symlink);
	add(&suite, "write: a reader keeps the old text", test_atomic);
	add(&suite, "write: a failure leaves nothing behind", test_write_refused);
	add(&suite, "write: what a killed predecessor left is replaced, and nothing else",
		test_leftover);
	add(&suite, "mkdir: makes those above, is content with what exists", test_mkdir);
	return suite_run(&suite, "statefile");
}
