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

#include "common/plan.h"
#include "natmgr/binding.h"

struct nl_sock;

/* Sets the mode on the ports of VMs that have a public address; returns how many were changed. */
size_t hairpin_ensure(struct nl_sock *route, const char *bridge, const struct plan *plan,
	const struct binding_table *table);

#endif
