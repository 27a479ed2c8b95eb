/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lease: which planned VMs hold a lease and until when, and the file that remembers it.
 *
 * Leases never decide an answer; they say what happened, for the callback and the administrator.
 * Times are milliseconds on loop_now()'s clock; the file has seconds since the epoch, in the form
 * of dnsmasq's lease file: `EXPIRES MAC IP NAME *`, 0 for a lease without end, 1 for one that has
 * ended. Its last line says when it was written, on both clocks.
 */
#ifndef EIPD_DHCPD_LEASE_H
#define EIPD_DHCPD_LEASE_H

#include <time.h>

#include "common/boot.h"
#include "common/plan.h"
#include "common/problem.h"

#define LEASE_FOREVER UINT64_MAX

enum lease_event { LEASE_ADD, LEASE_OLD, LEASE_DEL };

struct lease_table;

/*
 * Called for every event, with the VM as it was when the lease was given. old_name: of an
 * LEASE_OLD that tells of a new name, else NULL.
 */
typedef void lease_listener(void *ctx, enum lease_event event, const struct vm *vm,
	uint64_t expires, const char *old_name);

struct lease_table *lease_table_new(const struct plan *plan, lease_listener *listener, void *ctx);
void lease_table_free(struct lease_table *table);

/* seconds may be TIME_INFINITE. An event only if the VM had none. */
void lease_grant(struct lease_table *table, const struct vm *vm, uint32_t seconds, uint64_t now);
void lease_end(struct lease_table *table, const struct vm *vm, uint64_t now);
/* When its last lease ended; 0: not since the start. */
uint64_t lease_ended(const struct lease_table *table, const struct vm *vm);
/* 0: none; LEASE_FOREVER; else when it ends. */
uint64_t lease_expires(const struct lease_table *table, const struct vm *vm);
/* Its last lease ran out; it was not given back. */
bool lease_is_expired(const struct lease_table *table, const struct vm *vm);

/* Ends what has expired; returns when to be called next, 0: never. */
uint64_t lease_sweep(struct lease_table *table, uint64_t now);

/*
 * Goes over to a new plan; the old one must still be there. First `del` for VMs that left or have
 * another address, then `old` for those that have another name.
 */
void lease_replan(struct lease_table *table, const struct plan *plan,
	const struct plan_change *change, uint64_t now);

/* Something changed since the last lease_snapshot(), or what that took was not written. */
bool lease_is_dirty(const struct lease_table *table);
void lease_set_dirty(struct lease_table *table);

/*
 * A moment on both clocks. The wall clock may be set by a year; loop_now()'s goes on from one start
 * of the host, which `boot` names ("": not known), to the next.
 */
struct lease_moment {
	uint64_t now;
	time_t wall; /* seconds since the epoch */
	char boot[BOOT_ID_SIZE];
};

/* A lease that has ended, but nobody has been told yet. */
struct lease_untold {
	struct mac mac;
	uint32_t ip;
	char name[VM_NAME_MAX + 1];
};

/* What is to be written, to be formatted wherever there is time for it. */
struct lease_snapshot {
	struct plan *plan;
	uint64_t *expires; /* by the plan's index */
	struct lease_moment moment;
	struct lease_untold *untold;
	size_t untold_count;
};
/*
 * `untold` is the snapshot's from then on. They stay in the file, as leases that ended long ago, so
 * that who reads it tells of them: an end may be told twice, but never not at all.
 */
void lease_snapshot(struct lease_table *table, const struct lease_moment *moment,
	struct lease_untold *untold, size_t untold_count, struct lease_snapshot *ret_snapshot);
/* The whole file as text, which the caller frees. */
char *lease_format(const struct lease_snapshot *snapshot, size_t *ret_len);
void lease_snapshot_done(struct lease_snapshot *snapshot);

/*
 * Takes leases from a file's text: `old` for each that the plan still has so, `del` for each that
 * it has no more. None has more left than when it was written, and if the host has not been started
 * again since, exactly what it would have had, whatever became of the wall clock. Returns how many
 * lines were not understood (they are passed over).
 */
unsigned lease_read(struct lease_table *table, const char *text, const struct lease_moment *moment);
/* Only says which these are. */
void lease_check(const char *text, const char *file, const struct lease_moment *moment,
	struct problems *problems);

#endif
