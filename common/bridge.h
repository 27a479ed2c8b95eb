/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge: [inner] create (patent step 2): what is to be done so that the bridge is there and up,
 * has its address, and its uplink as a port.
 *
 * The plan is pure: facts of the kernel in, steps or problems out. bridge_ensure() asks the kernel
 * for the facts and does the steps. Each step leaves a host that its administrator can still
 * reach, and whatever ends us between two of them, the next start goes on where it was: what the
 * uplink has is on the bridge before it leaves the uplink. A bridge is never removed.
 */
#ifndef EIPD_COMMON_BRIDGE_H
#define EIPD_COMMON_BRIDGE_H

#include "common/config.h"
#include "common/netlink_link.h"

/* An IPv4 address of the uplink, or a route through it, which goes to the bridge. */
struct bridge_item {
	char *text;               /* "10.0.0.5/24", "default via 10.0.0.1" */
	bool is_route;            /* else an address */
	bool is_on_link;          /* a route without a gateway, which others may need */
	struct nlmsghdr *message; /* as the kernel tells of it; the plan does not look into it */
};

/* What there is. An index of 0: there is no such link. */
struct bridge_facts {
	struct netlink_link bridge, uplink;
	struct ip4_prefix *addresses; /* of the bridge */
	size_t address_count;
	struct bridge_item *items;
	size_t item_count;
	bool uplink_has_ipv6;         /* more than its link-local address */
	char uplink_master[IFNAMSIZ]; /* whose port the uplink is, if not the bridge's */
	char other_uplink
		[IFNAMSIZ]; /* a port of the bridge that is neither a VM's nor the uplink */
};
void bridge_facts_done(struct bridge_facts *facts);

enum bridge_verb {
	BRIDGE_MAKE,
	BRIDGE_SET_UP,
	BRIDGE_ADD_ADDRESS,
	BRIDGE_COPY_ITEM,
	BRIDGE_ADD_UPLINK,
	BRIDGE_SET_UPLINK_UP,
	BRIDGE_DROP_ITEM,
};

struct bridge_step {
	enum bridge_verb verb;
	size_t item; /* index; of BRIDGE_COPY_ITEM and BRIDGE_DROP_ITEM */
};

struct bridge_steps {
	struct bridge_step *list; /* the caller frees */
	size_t count;
};

/*
 * 0 and the steps, none where all is so already; or -EINVAL and problems, where the host has what
 * the configuration contradicts. Nothing may be done then.
 */
int bridge_plan(const struct config *config, const struct bridge_facts *facts,
	struct bridge_steps *ret_steps, struct problems *problems);
/* "make the bridge br0", …: the caller frees. */
char *bridge_step_text(const struct config *config, const struct bridge_facts *facts,
	const struct bridge_step *step);
/*
 * The hardware address of a bridge that we make: the uplink's, so that neighbours of the host need
 * not learn; without one, made of the bridge's address, so that VMs need not learn after a reboot.
 */
struct mac bridge_mac(const struct config *config, const struct bridge_facts *facts);

/*
 * Looks, and does what is to be done; or with dry_run only says so. `tell` (may be NULL) is called
 * with the text of each step before it is done. The number of steps, or -EINVAL and problems.
 */
int bridge_ensure(struct nl_sock *route, const struct config *config, bool dry_run,
	void (*tell)(const char *text), struct problems *problems);

#endif
