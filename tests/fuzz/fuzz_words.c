/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words of commands and files: what is understood is printed, and understood again, the same. */
#include "natmgr/binding.h"
#include "tests/fuzz/fuzz.h"

static void check_forward(const char *text)
{
	char printed[FORWARD_STRLEN], again[FORWARD_STRLEN];
	struct forward forward, other;

	if (forward_parse(text, &forward))
		return;
	if (forward_parse(forward_format(&forward, printed), &other) ||
		strcmp(printed, forward_format(&other, again)))
		abort();
}

static void check_range(const char *text)
{
	char printed[IP4_RANGE_STRLEN];
	struct ip4_range range, other;

	if (ip4_range_parse(text, &range))
		return;
	if (range.first > range.last ||
		ip4_range_parse(ip4_range_format(&range, printed), &other) ||
		range.first != other.first || range.last != other.last)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), printed[64];
	struct ip4_prefix prefix;
	uint32_t number;
	struct mac mac;

	check_forward(text);
	check_range(text);
	(void)mac_parse(text, &mac);
	(void)time_parse(text, &number);
	(void)number_parse(text, 1, 65535, &number);
	(void)ip4_prefix_parse(text, &prefix);
	(void)plan_name_is_valid(text);
	(void)text_printable(printed, sizeof(printed), data, size);
	free(text);
	return 0;
}
