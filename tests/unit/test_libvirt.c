/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The definition of a VM's interface for libvirt: its parts, and names that XML would trip over. */
#include "tests/unit/support.h"

#include "common/libvirt.h"

static const struct row {
	const char *sentence, *bridge, *source;
} rows[] = {
	{ "a plain name", "br0", "<source bridge=\"br0\"/>" },
	{ "a name with all that XML escapes", "a&b<c>\"d'",
		"<source bridge=\"a&amp;b&lt;c&gt;&quot;d&apos;\"/>" },
	{ "a name of nothing else, as long as there is room for", "&&&&&&&&&&&&&&&",
		"<source bridge=\"&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;"
		"&amp;&amp;\"/>" },
};

static void test_interface(void **state)
{
	const struct row *row = *state;
	const struct mac mac = { { 0xd0, 0x0d, 0x8e, 0x9f, 0x42, 0x88 } };
	char *xml = libvirt_interface(&mac, row->bridge), *wanted;

	assert_true(asprintf(&wanted,
			    "<interface type=\"bridge\">\n"
			    "  <mac address=\"d0:0d:8e:9f:42:88\"/>\n"
			    "  %s\n"
			    "  <model type=\"virtio\"/>\n"
			    "</interface>\n",
			    row->source) > 0);
	assert_string_equal(xml, wanted);
	free(wanted);
	free(xml);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_interface, rows);
	return suite_run(&suite, "libvirt");
}
