/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * callback: lease events to the administrator's program (patent step 3.2), called as
 * `PROGRAM add|old|del MAC IP [NAME]` like dnsmasq's --dhcp-script: one call at a time, in order.
 *
 * Events that wait are coalesced per VM, so the queue is bounded by the plan: an `add` that was
 * not told yet and its `del` cancel out, a later `old` takes the place of an earlier event.
 */
#ifndef EIPD_DHCPD_CALLBACK_H
#define EIPD_DHCPD_CALLBACK_H

#include "common/spawn.h"
#include "dhcpd/lease.h"
#include "dhcpd/message.h"

struct callback_event;

struct callback {
	const char *program; /* "": none */
	unsigned timeout;    /* seconds */
	struct loop *loop;
	struct loop_timer start; /* the fork is made from the loop, not on the packet path */
	struct spawn spawn;
	TAILQ_HEAD(, callback_event) queue;
	struct callback_event *told; /* which the program is being told of now; NULL: none */
	size_t queued, run, failed;
	bool cannot_start;          /* the last one; it waits for its time */
	void *newest;               /* tsearch(3) tree: the newest waiting event of each MAC */
	void (*on_told)(void *ctx); /* the end of a lease has been told; may be NULL */
	void (*on_idle)(void *ctx);
	void *ctx;         /* of both, set by the owner after callback_init() */
	char running[128]; /* "add d0:… 192.…", for the log */
};

/* What is known of the request that led to the event; all may be empty. */
struct callback_context {
	const char *interface, *domain;
	const struct dhcp_message *request; /* NULL: none */
};

void callback_init(struct callback *callback, struct loop *loop, const char *program,
	unsigned timeout_seconds);
/* Copies what it needs. `expires`, `now`: on loop_now()'s clock; `wall`: the epoch at `now`. */
void callback_add(struct callback *callback, enum lease_event event, const struct vm *vm,
	const char *old_name, uint64_t expires, uint64_t now, time_t wall,
	const struct callback_context *context);
/* At SIGCHLD. */
void callback_reap(struct callback *callback);
/* The ends of leases that have not been told, or not to the end; the caller frees them. */
struct lease_untold *callback_untold(const struct callback *callback, size_t *ret_count);
/* on_idle is called when nothing is queued and nothing runs; at once if so already. */
void callback_drain(struct callback *callback, void (*on_idle)(void *ctx));
void callback_done(struct callback *callback);

/* "add", "old", "del" */
const char *lease_event_name(enum lease_event event);

#endif
