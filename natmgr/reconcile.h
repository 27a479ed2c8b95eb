/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reconcile: makes the kernel what the bindings say, with the fewest changes: snapshot,
 * difference, one apply. Nothing else changes rules, addresses or flows, and a run that follows a
 * run changes nothing.
 *
 * Order: addresses that go, then the rules in one commit, then addresses that come, then flows with
 * an old mapping are forgotten. So an address is never on the host without its rules, where the
 * host's own services would answer on it.
 */
#ifndef EIPD_NATMGR_RECONCILE_H
#define EIPD_NATMGR_RECONCILE_H

#include "common/config.h"
#include "common/netlink_addr.h"
#include "natmgr/address.h"
#include "natmgr/backend.h"
#include "natmgr/flow.h"
#include "natmgr/outer.h"

struct reconcile {
	struct backend *backend;
	struct nl_sock *route; /* NETLINK_ROUTE */
	struct outer outer;
	const struct config *config;
	struct ip4_prefix inner; /* the bridge's address and network */
	bool flows_due; /* rules or addresses changed, and flows were not looked at since */
	struct address_set new_sources; /* VMs that got a source address since */
};

/* What a run did. */
struct reconcile_report {
	size_t rule_edits;
	struct address_diff addresses;
	bool forwarding_enabled; /* it was off */
	bool forwarding_unknown; /* /proc is not mounted */
	bool outer_missing;      /* the outer interface: its addresses had to wait */
	size_t flows;            /* that were forgotten */
	int flows_err;           /* -errno of ctnetlink; the next run tries again */
};

enum reconcile_scope {
	RECONCILE_CHANGES, /* flows are looked at if anything else changed */
	RECONCILE_ALL,     /* flows are looked at in any case: at start */
	RECONCILE_REMOVE,  /* nothing must be desired, and our chains go as well: at exit */
};

/*
 * 0; -EAGAIN: another program holds the lock or changed the table in between, try later; or -errno;
 * both with a sentence in error. The report is filled in any case; the caller calls reconcile_report_done().
 */
int reconcile_run(struct reconcile *reconcile, const struct desired *desired,
	enum reconcile_scope scope, struct reconcile_report *ret_report,
	char error[static BACKEND_ERROR_SIZE]);
void reconcile_report_done(struct reconcile_report *report);
/* How many things in the kernel were not as they should have been. */
size_t reconcile_repairs(const struct reconcile_report *report);

/* The addresses of the interface are as they should be; looks only at them. */
bool reconcile_addresses_are_right(struct reconcile *reconcile, const struct desired *desired);

/* What others have on the outer interface; empty where it cannot be read. The caller frees both. */
struct foreign {
	unsigned *labels;
	size_t label_count;
	uint32_t *addresses; /* sorted */
	size_t address_count;
};
void reconcile_foreign(struct reconcile *reconcile, const struct desired *desired,
	struct foreign *ret_foreign);

#endif
