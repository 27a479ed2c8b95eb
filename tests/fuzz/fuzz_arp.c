/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ARP frame of any octets. */
#include <stdlib.h>

#include "natmgr/arp.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arp arp;

	if (!arp_read(data, size, &arp) && arp.operation != ARP_REQUEST &&
		arp.operation != ARP_REPLY)
		abort();
	return 0;
}
