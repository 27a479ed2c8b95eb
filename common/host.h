/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host: what the configuration says of the machine's links, held against the kernel (patent steps
 * 1, 2 and 3.3).
 */
#ifndef EIPD_COMMON_HOST_H
#define EIPD_COMMON_HOST_H

#include "common/config.h"
#include "common/netlink_link.h"

struct host {
	struct ip4_prefix inner; /* the bridge's address and network; .addr 0: not known */
	struct mac bridge_mac;
	unsigned bridge_index; /* of the link */
};

/*
 * Looks at bridge, uplink and outer interface. What makes running impossible goes to `problems`
 * (at the line of the key that says otherwise), what does not to `warnings`. *ret_host holds what
 * could be found out. Links that an examined configuration does not name are passed over. 0, or -EINVAL if there are problems.
 */
int host_check(struct nl_sock *route, const struct config *config, struct host *ret_host,
	struct problems *problems, struct problems *warnings);

#endif
