/* SPDX-License-Identifier: GPL-2.0-or-later */
/* multicall owns which program a file that is both of them is. It must not know what they do. */
#include "common/multicall.h"

#include <string.h>

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? argv[0] : "", *slash = strrchr(name, '/');

	if (!strcmp(slash ? slash + 1 : name, "eipctl"))
		return eipctl_main(argc, argv);
	return eipd_main(argc, argv);
}
