/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nft_message: edits of a table as the messages of nf_tables' netlink (nfnetlink,
 * linux/netfilter/nf_tables.h): one batch, which the kernel does as a whole or not at all. Pure.
 */
#ifndef EIPD_NATMGR_NFT_MESSAGE_H
#define EIPD_NATMGR_NFT_MESSAGE_H

#include <linux/netlink.h>

#include "natmgr/nft_table.h"

/* A buffer of netlink messages; zeroed is empty. */
struct nft_batch {
	uint8_t *data;
	size_t len, cap;
	uint32_t sequence; /* of the last message */
};

/* The table is of the family `bridge`. `generation`: the kernel refuses (-ERESTART) if it is another. */
void nft_batch_begin(struct nft_batch *batch, uint32_t generation);
/* The table as a whole goes, if it is there; a new one is made. */
void nft_batch_renew_table(struct nft_batch *batch, const char *table);
void nft_batch_delete_table(struct nft_batch *batch, const char *table);
void nft_batch_edits(struct nft_batch *batch, const char *table, const struct nft_edit *edits,
	size_t count);
/*
 * The last edit asks for an answer, so that silence is no success; returns its sequence. Without
 * `commit` the kernel only looks whether it could be done.
 */
uint32_t nft_batch_end(struct nft_batch *batch, bool commit);
void nft_batch_done(struct nft_batch *batch);

/* The type of a message of nf_tables: NFT_MSG_…, as it stands in a netlink header. */
uint16_t nft_message_type(int message);

#endif
