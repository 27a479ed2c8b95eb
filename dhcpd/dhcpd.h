/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dhcpd: the DHCP server, wired: link, exchange, leases, callback, operation log, commands.
 */
#ifndef EIPD_DHCPD_DHCPD_H
#define EIPD_DHCPD_DHCPD_H

#include "common/config.h"
#include "common/control.h"
#include "common/events.h"
#include "common/plan.h"

#include <stdio.h>

struct dhcpd;

struct dhcpd_setup {
	struct loop *loop;
	struct control *control;
	struct events *events;
	const struct config *config; /* these three must outlive the server */
	const struct plan *plan;     /* until dhcpd_replan() */
	struct ip4_prefix self;      /* the bridge's address and network */
	struct mac mac;              /* the bridge's */
	unsigned index;              /* the bridge's, as a link */
	/* A VM was given its address. May be NULL. */
	void (*vm_came)(void *ctx, const struct vm *vm);
	void *ctx;
};

/* What is wrong with the file of leases, which a start passes over. */
void dhcpd_check_state(const struct config *config, struct problems *problems);

/*
 * Claims the port, and begins to listen while the caller goes on with other things; then starts to
 * serve. Both: 0, or -errno and a sentence in *ret_error, which the caller frees.
 */
int dhcpd_new(const struct dhcpd_setup *setup, struct dhcpd **ret_dhcpd, char **ret_error);
int dhcpd_start(struct dhcpd *dhcpd, char **ret_error);
void dhcpd_free(struct dhcpd *dhcpd);

/* Serves a new plan; the old one must still exist during the call. */
void dhcpd_replan(struct dhcpd *dhcpd, const struct plan *plan, const struct plan_change *change);
/* The bridge changed, or was made anew. */
void dhcpd_set_bridge(struct dhcpd *dhcpd, const struct mac *mac, unsigned index);

/* The sections "dhcp" and "callback" of `eipctl status`; the caller owns them. */
json_t *dhcpd_status(const struct dhcpd *dhcpd);
json_t *dhcpd_callback_status(const struct dhcpd *dhcpd);
/* The same as Prometheus metrics (text format 0.0.4). */
void dhcpd_metrics(const struct dhcpd *dhcpd, FILE *out);
/* For how many seconds the VM has had no lease (as far as we know: since the start); 0: it has. */
uint64_t dhcpd_away(const struct dhcpd *dhcpd, const struct vm *vm);
/* Adds "lease" and "expires" to the object of a VM of the plan in force. */
void dhcpd_describe_vm(const struct dhcpd *dhcpd, const struct vm *vm, json_t *object);

/* At SIGCHLD. */
void dhcpd_child_exited(struct dhcpd *dhcpd);
void dhcpd_reopen_logs(struct dhcpd *dhcpd);
/* Answers no more, and calls back when all events have been told (or a time limit is over). */
void dhcpd_stop(struct dhcpd *dhcpd, void (*stopped)(void *ctx), void *ctx);

#endif
