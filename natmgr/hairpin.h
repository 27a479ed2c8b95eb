/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hairpin: a VM that speaks to its own public address, where bridged frames pass iptables.
 *
 * With bridge-nf-call-iptables=1 such a frame is translated inside the bridge, which does not send
 * a frame out of the port that it came in by, unless the port is in hairpin mode. Where frames do
 * not pass iptables, or the VM has no public address, no port is touched.
 */
#ifndef EIPD_NATMGR_HAIRPIN_H
#define EIPD_NATMGR_HAIRPIN_H

#include "common/worker.h"
#include "natmgr/keeper.h"

struct hairpin {
	struct loop *loop;
	const struct config *config;
	const struct keeper *keeper;
	struct loop_timer timer;
	/* beside the loop, as the bridge is asked for each VM; until its end, what follows is its own */
	struct worker worker;
	struct nl_sock *route;
	struct mac *macs; /* of VMs that something of a public address goes to */
	size_t count;
	size_t changed; /* ports whose mode was set */
};

/*
 * Looks after the ports from now on; not with `hairpin = no`. 0, or -errno: no netlink socket. config
 * and keeper must outlive it. Zeroed, it may be stopped without a start.
 */
int hairpin_start(struct hairpin *hairpin, struct loop *loop, const struct config *config,
	const struct keeper *keeper);
void hairpin_stop(struct hairpin *hairpin);
/* Bindings changed, or a VM came. Looks soon, and once for all that comes meanwhile. */
void hairpin_soon(struct hairpin *hairpin);

#endif
