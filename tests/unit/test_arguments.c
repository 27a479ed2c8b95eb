/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is written behind a command, held against its usage. */
#include "tests/unit/support.h"

#include "common/arguments.h"

static const struct row {
	const char *sentence, *usage;
	int min, max;
	const char *given, *wanted; /* words separated by one blank; NULL: they do not fit */
	const char *unknown;        /* option, which is why */
} rows[] = {
	{ "nothing where nothing belongs", "", 0, 0, "", "" },
	{ "a word where nothing belongs", "", 0, 0, "x", NULL },
	{ "words as they stand", "VM [ADDR]", 1, 2, "vm-001 1.2.3.4", "vm-001 1.2.3.4" },
	{ "a word that may be missing", "VM [ADDR]", 1, 2, "vm-001", "vm-001" },
	{ "a word that may not", "VM [ADDR]", 1, 2, "", NULL },
	{ "a word too many", "VM [ADDR]", 1, 2, "a b c", NULL },
	{ "words that the usage has as one", "[COMMAND]", 0, 2, "ip bind", "ip bind" },
	{ "an option", "[--dry-run]", 0, 1, "--dry-run", "--dry-run" },
	{ "a word instead of an option", "[--dry-run]", 0, 1, "dry-run", NULL },
	{ "an option that is not known", "[--dry-run]", 0, 1, "--dry", NULL, "--dry" },
	{ "an option that is longer", "[--dry-run]", 0, 1, "--dry-runs", NULL, "--dry-runs" },
	{ "an option without its dashes' name", "[--dry-run]", 0, 1, "--", NULL, "--" },
	{ "an option where there is none", "VM [ADDR]", 1, 2, "vm-001 --now", NULL, "--now" },
	{ "an option twice, where there is room for one", "NAME [--xml]", 1, 2, "a --xml --xml",
		NULL },
	{ "options behind the word", "NAME [--mac MAC] [--ip IP]", 1, 5, "a --ip 1 --mac 2",
		"a --ip 1 --mac 2" },
	{ "options before the word", "NAME [--mac MAC] [--ip IP]", 1, 5, "--ip 1 a --mac 2",
		"a --ip 1 --mac 2" },
	{ "values behind an equals sign", "NAME [--mac MAC] [--ip IP]", 1, 5, "--ip=1 a --mac=2=3",
		"a --ip 1 --mac 2=3" },
	{ "an empty value behind an equals sign", "NAME [--ip IP]", 1, 3, "a --ip=", "a --ip " },
	{ "a value that is missing", "NAME [--mac MAC] [--ip IP]", 1, 5, "a --ip", NULL },
	{ "a value for an option that has none", "NAME [--xml]", 1, 2, "a --xml=1", NULL },
	{ "the value is no word", "NAME [--ip IP]", 1, 3, "--ip a", NULL },
	{ "a word too many beside options", "NAME [--mac MAC] [--ip IP]", 1, 5, "a b", NULL },
	{ "an option several times", "NAME [--allow ADDR]... [--port PORT]", 1, 131,
		"--allow 1 a --port p --allow 2", "a --allow 1 --port p --allow 2" },
	{ "two words and an option", "ADDR:PORT/tcp|udp VM[:PORT] [--source]", 2, 3,
		"1:2/tcp --source a:3", "1:2/tcp a:3 --source" },
};

static void test_row(void **state)
{
	const struct row *row = *state;
	char given[128], got[128] = "", *argv[16], **list;
	int argc = 0;

	snprintf(given, sizeof(given), "%s", row->given);
	for (char *word = strtok(given, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	list = arguments_arrange(row->usage, row->min, row->max, &argc, argv);
	if (!row->wanted) {
		const char *unknown = arguments_unknown_option(row->usage, argc, argv);

		assert_null(list);
		assert_string_equal(unknown ? unknown : "", row->unknown ? row->unknown : "");
		return;
	}
	assert_non_null(list);
	for (int i = 0; i < argc; i++) {
		strcat(got, i ? " " : "");
		strcat(got, list[i]);
	}
	assert_string_equal(got, row->wanted);
	free(list);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_row, rows);
	return suite_run(&suite, "arguments");
}
