/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guard: what bridged frames may pass, as a table of nf_tables in the family `bridge`: isolated
 * VMs are cut off, and with anti-spoof the healthy ones are kept honest. Pure.
 *
 *                     a frame that comes in by a port of the bridge
 *   prerouting        from an isolated port or MAC ─→ from-VM: DHCP and ARP to the host, and what
 *                                                     goes to the allowed; the rest is dropped
 *                     else, with anti-spoof ────────→ honest: MAC and address of the plan, on the
 *                                                     port where the VM was seen first; so on
 *                                                     every port of the bridge but the uplink,
 *                                                     also on one that nobody has told us of
 *   input             the same for frames to most of 01:80:c2:00:00:0X, which pass no other hook
 *   forward           to an isolated port or MAC ───→ to-VM: what comes from the allowed
 *                     from an isolated one ─────────→ across-VM: what goes to the allowed
 *   output            to an isolated one ───────────→ host-VM: DHCP, ARP, what comes from the allowed
 *
 * Ports and MACs are keys of maps, so the cost of a frame does not grow with the number of VMs.
 * Bridge and uplink are matched by their names, which only the host gives.
 */
#ifndef EIPD_NATMGR_GUARD_H
#define EIPD_NATMGR_GUARD_H

#include "natmgr/isolation.h"
#include "natmgr/nft_table.h"

#define GUARD_TABLE "eipd"
/*
 * A bridge takes frames to 01:80:c2:00:00:0e, and with STP those to :00, for itself, before any hook
 * and with all that is in them. A port with this mask treats them like any other (IEEE 802.1Q 8.6.3;
 * IFLA_BRPORT_GROUP_FWD_MASK), so that they meet our rules: every guarded port has to have it.
 */
#define GUARD_FWD_MASK ((uint16_t)(1u << 0x0e | 1u << 0x00))

/* A VM of the plan on its port. */
struct seat {
	const struct vm *vm;
	unsigned port; /* index of the link */
};

struct guard_settings {
	struct ip4_prefix inner; /* the bridge's address and network */
	const char *bridge;      /* frames on others are none of our business */
	const char *uplink;      /* name of the port; "": who is no VM may be behind any */
	const struct plan *plan; /* of these VMs frames are honest */
	bool anti_spoof;
	const struct seat *seats; /* only then */
	size_t seat_count;
	/*
	 * Rules can ask for the bridge that a port belongs to (nft_meta_bridge). Else we have to tell
	 * which ports are ours and which are others'; of one that is neither, what goes to ours and to
	 * the host must be honest.
	 */
	bool knows_bridges;
	const struct port *ports; /* without the uplink */
	size_t port_count;
	const unsigned *others; /* indexes of ports of other bridges */
	size_t other_count;
	struct mac bridge_mac;
};

/* An empty table where nothing is to be guarded. */
void guard_build(const struct isolation *isolation, const struct guard_settings *settings,
	struct nft_table *ret_table);

/* The counters of a VM: frames of it, or to it, that were dropped. */
void guard_counter_name(const char *vm, bool is_from, char name[static NFT_NAME_SIZE]);

#endif
