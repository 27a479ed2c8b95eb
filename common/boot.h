/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boot: which start of the host this is, as names of links and clocks mean something within one only. */
#ifndef EIPD_COMMON_BOOT_H
#define EIPD_COMMON_BOOT_H

#define BOOT_ID_SIZE 40 /* of the text, with room; the kernel's has 36 octets */

/* /proc/sys/kernel/random/boot_id; "" where somebody hides /proc from us. */
void boot_id_read(char id[static BOOT_ID_SIZE]);

#endif
