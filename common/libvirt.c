/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libvirt owns the form of libvirt's XML. It must not know where the VM's data come from. */
#include "common/libvirt.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* As the value of an attribute (XML 1.0, 2.3); the caller frees. */
static char *escape(const char *text)
{
	static const struct {
		char character;
		const char *entity;
	} entities[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" },
		{ '\'', "&apos;" } };
	char *escaped = xcalloc(strlen(text) * strlen("&quot;") + 1, 1), *end = escaped;

	for (; *text; text++) {
		const char *entity = NULL;

		for (size_t i = 0; i < sizeof(entities) / sizeof(*entities); i++) {
			if (*text == entities[i].character)
				entity = entities[i].entity;
		}
		if (entity)
			end = stpcpy(end, entity);
		else
			*end++ = *text;
	}
	return escaped;
}

char *libvirt_interface(const struct mac *mac, const char *bridge)
{
	char text[MAC_STRLEN], *name = escape(bridge);
	char *xml = xasprintf("<interface type=\"bridge\">\n"
			      "  <mac address=\"%s\"/>\n"
			      "  <source bridge=\"%s\"/>\n"
			      "  <model type=\"virtio\"/>\n"
			      "</interface>\n",
		mac_format(mac, text), name);

	free(name);
	return xml;
}
