/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend: what the NAT manager asks of a packet filter. Behind it: backend_iptables, and in tests
 * a table in memory.
 *
 * One session: begin (locks and reads), apply (all edits in one commit, or none), end (unlocks).
 */
#ifndef EIPD_NATMGR_BACKEND_H
#define EIPD_NATMGR_BACKEND_H

#include "natmgr/ruleset.h"

#define BACKEND_ERROR_SIZE 384
/* The lock is waited for this long, and asked for so often, as nothing tells when it is free. */
#define BACKEND_LOCK_LIMIT_MS 10000
#define BACKEND_LOCK_RETRY_MS 5

struct backend {
	const char *name; /* "iptables" */
	/*
	 * Reads our chains. 0; -EAGAIN: somebody else holds the lock, try later; or -errno; both with
	 * a sentence in error. After 0, end() must follow.
	 */
	int (*begin)(struct backend *backend, struct ruleset *ret_have, char *error);
	/* 0; -EAGAIN: somebody changed the table in between, begin anew; or -errno. */
	int (*apply)(struct backend *backend, const struct edit *edits, size_t count, char *error);
	void (*end)(struct backend *backend);
	void (*free)(struct backend *backend);
};

/* The nat table of iptables by libiptc. */
struct backend *backend_iptables_new(void);

#endif
