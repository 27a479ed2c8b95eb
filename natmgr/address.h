/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address: the labelled addresses of the outer interface (patent step 5: eth0:1), as they should
 * be against as they are. Pure.
 *
 * Ours is what has a label of ours, eth0:N, and is of the pool, bound, or was bound until now (the
 * pool may have been made smaller). All else is another's.
 */
#ifndef EIPD_NATMGR_ADDRESS_H
#define EIPD_NATMGR_ADDRESS_H

#include "common/netlink_addr.h"
#include "natmgr/desired.h"

struct address_diff {
	struct netlink_addr *remove, *add;
	size_t remove_count, add_count;
	uint32_t *foreign; /* wanted, but there already and another's */
	size_t foreign_count;
};

/* Sorted. */
struct address_set {
	uint32_t *list;
	size_t count;
};
bool address_set_has(const struct address_set *set, uint32_t address);

/* owned: addresses that were ours until now, beside the pool; may be NULL. */
void address_compare(const struct config *config, const struct netlink_addr *have,
	size_t have_count, const struct desired *desired, const struct address_set *owned,
	struct address_diff *ret_diff);
/* The N of each label eth0:N that is not ours. The caller frees. */
unsigned *address_foreign_labels(const struct config *config, const struct netlink_addr *have,
	size_t have_count, const struct desired *desired, size_t *ret_count);
/*
 * The addresses that are there and not ours, the host's own among them, and those of their networks
 * and of all hosts there: nobody can be given these. Sorted, maybe twice. The caller frees.
 */
uint32_t *address_foreign_addresses(const struct config *config, const struct netlink_addr *have,
	size_t have_count, const struct desired *desired, size_t *ret_count);
void address_diff_done(struct address_diff *diff);

#endif
