/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * counters: how many messages of DHCP came, were answered, and were not, by type and reason.
 */
#ifndef EIPD_DHCPD_COUNTERS_H
#define EIPD_DHCPD_COUNTERS_H

#include <jansson.h>
#include <stdio.h>

#include "dhcpd/drop.h"
#include "dhcpd/message.h"

struct counters {
	uint64_t received[DHCP_BOOTP + 1], sent[DHCP_BOOTP + 1]; /* by enum dhcp_type */
	uint64_t dropped[DROP_COUNT];                            /* by enum dhcp_drop */
};

/* "discover" to "malformed" of `eipctl status`, and "dropped"; the caller owns it. */
json_t *counters_json(const struct counters *counters);
/* As Prometheus reads them. */
void counters_print(const struct counters *counters, FILE *out);

#endif
