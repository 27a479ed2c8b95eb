/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boot owns the question to the kernel. It must not know what is kept from one start to the next. */
#include "common/boot.h"

#include <stdio.h>
#include <string.h>

void boot_id_read(char id[static BOOT_ID_SIZE])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	*id = '\0';
	if (!file)
		return;
	if (!fgets(id, BOOT_ID_SIZE, file))
		*id = '\0';
	id[strcspn(id, "\n")] = '\0';
	fclose(file);
}
