/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_private: what the files of isolate share, and nobody else includes.
 */
#ifndef EIPD_NATMGR_ISOLATE_PRIVATE_H
#define EIPD_NATMGR_ISOLATE_PRIVATE_H

#include "common/netlink_fdb.h"
#include "common/worker.h"
#include "natmgr/drop_count.h"
#include "natmgr/isolate_command.h"
#include "natmgr/nft.h"
#include "natmgr/seating.h"

/* Several VMs that come at once are seated at once. */
#define SETTLE_MS 5

/* The state file, on its way to the disk; that is the worker's until its end. */
struct isolation_file {
	struct isolate *isolate;
	char *path, *text;
	size_t len;
	int err;
	bool is_stale; /* the list has news since the text was made */
	int failure;   /* -errno of the last write that mattered: it does not say what it should */
};

struct isolate {
	struct loop *loop;
	struct events *events;
	const struct config *config;
	struct ip4_prefix inner;
	struct isolation isolation;
	struct seating seating;
	struct worker worker;
	struct isolation_file file;
	struct isolate_change *change; /* what the file is written for; NULL: for none */
	enum { CHANGE_WANTED, CHANGE_DONE } change_stage;
	TAILQ_HEAD(, isolate_change) changes;
	bool is_closing;
	struct nl_sock *route;
	struct netlink_fdb_monitor fdb;
	struct netlink_link bridge;
	unsigned uplink;    /* index of the link; 0: it is not there */
	bool knows_bridges; /* as struct guard_settings; else: */
	unsigned *others;   /* indexes of ports of other bridges */
	size_t other_count;
	struct nft *nft; /* NULL: this kernel has no nfnetlink */
	struct loop_timer resync, settle, look_again, look_on;
	size_t cursor;   /* of the plan: from there on look_on looks */
	bool has_missed; /* what the bridge learned since that began */
	bool must_list;  /* this kernel cannot be asked for one MAC */
	struct isolate_commands *commands;
	struct drop_count drops;
	uint64_t look_cost; /* in milliseconds */
	uint64_t repaired;
	char error[NFT_ERROR_SIZE]; /* of the last sync; "": it worked */
	bool anti_spoof, is_synced; /* the latter: that was after all that we know of ports */
};

/* --- isolate_change.c: file, list, kernel, file, answer --- */

/* Writes the file soon. A failure is only logged. */
void isolate_save(struct isolate *isolate);
bool isolate_is_saving(const struct isolate *isolate);

/* --- isolate.c: the kernel --- */

/* Makes the kernel as it should be; 0 or -errno, and isolate->error. */
int isolate_sync(struct isolate *isolate);
void isolate_sync_soon(struct isolate *isolate, unsigned ms);

/* --- isolate_mask.c: frames that pass no hook --- */

/*
 * Nothing happens before the rules are there and what ports had is on the disk; it is called again
 * at the end of a sync and of a write.
 */
void isolate_guard_ports(struct isolate *isolate);
/*
 * What ports had that are not guarded any more, they have again; before the rules go. True: the file
 * is to be written.
 */
bool isolate_release_ports(struct isolate *isolate);

/* --- isolate_look.c: ports, and who sits there --- */

/* Both: true: an isolated VM has another port than before. The latter: at once, and all there is. */
bool isolate_look_at_ports(struct isolate *isolate);
bool isolate_look(struct isolate *isolate);
/* For a VM of which something else holds than before. */
void isolate_look_for_vm(struct isolate *isolate, const char *vm);

/* What the host says of ports. True: it is news. */
bool isolate_hear(struct isolate *isolate);
/* The MACs of the plan are looked for part by part, with pauses. */
void isolate_look_begin(struct isolate *isolate);
/* Ports at once, MACs from now on. */
void isolate_look_and_sync(struct isolate *isolate);
/* For the monitor of the bridge's table. */
void isolate_on_learned(void *ctx, const struct mac *mac, unsigned port);
void isolate_on_missed(void *ctx);

#endif
