/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nft: keeps one table of nf_tables in the kernel as it should be, and sees when others changed it.
 *
 * Each change is one transaction: no packet meets half of it. It is made only on what we know
 * (the kernel counts transactions; one that somebody else made in between is looked at first).
 */
#ifndef EIPD_NATMGR_NFT_H
#define EIPD_NATMGR_NFT_H

#include "common/loop.h"
#include "natmgr/nft_table.h"

#define NFT_ERROR_SIZE 384

struct nft;

/* Of the family `bridge`. `foreign` is called after transactions, others' and our own; may be NULL. */
int nft_new(struct loop *loop, const char *table, void (*foreign)(void *ctx), void *ctx,
	struct nft **ret_nft);
/* Leaves the kernel as it is. */
void nft_free(struct nft *nft);

/*
 * Makes the kernel's table so; takes `want` over, whatever comes of it. An empty one: no table.
 * Counters that stay go on counting. *ret_repaired: somebody else had changed the table. 0, or
 * -errno and a sentence in error.
 */
int nft_sync(struct nft *nft, struct nft_table *want, bool *ret_repaired,
	char error[static NFT_ERROR_SIZE]);

/* Whether nft_sync() could do it; changes nothing. Takes `want` over as well. */
int nft_check(struct nft *nft, struct nft_table *want, char error[static NFT_ERROR_SIZE]);

/* Calls `each` for every counter of the table. 0 or -errno. */
int nft_read_counters(struct nft *nft,
	void (*each)(void *ctx, const char *name, uint64_t packets, uint64_t bytes), void *ctx);

#endif
