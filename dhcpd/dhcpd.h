/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dhcpd: the DHCP server, wired: link, exchange, leases, callback, operation log, commands.
 */
#ifndef EIPD_DHCPD_DHCPD_H
#define EIPD_DHCPD_DHCPD_H

#include "common/config.h"
#include "common/control.h"
#include "common/plan.h"

struct dhcpd;

struct dhcpd_setup {
	struct loop *loop;
	struct control *control;
	const struct config *config; /* these three must outlive the server */
	const struct plan *plan;     /* until dhcpd_replan() */
	struct ip4_prefix self;      /* the bridge's address and network */
	struct mac mac;              /* the bridge's */
};

/* Serves from now on. 0, or -errno and a sentence in *ret_error, which the caller frees. */
int dhcpd_new(const struct dhcpd_setup *setup, struct dhcpd **ret_dhcpd, char **ret_error);
void dhcpd_free(struct dhcpd *dhcpd);

/* Serves a new plan; the old one must still exist during the call. */
void dhcpd_replan(struct dhcpd *dhcpd, const struct plan *plan);
/* The bridge was made anew: another MAC. */
void dhcpd_set_mac(struct dhcpd *dhcpd, const struct mac *mac);

/* The sections "dhcp" and "callback" of `eipctl status`; the caller owns them. */
json_t *dhcpd_status(const struct dhcpd *dhcpd);
json_t *dhcpd_callback_status(const struct dhcpd *dhcpd);
/* Adds "lease" and "expires" to the object of a VM of the plan in force. */
void dhcpd_describe_vm(const struct dhcpd *dhcpd, const struct vm *vm, json_t *object);

/* At SIGCHLD. */
void dhcpd_child_exited(struct dhcpd *dhcpd);
void dhcpd_reopen_logs(struct dhcpd *dhcpd);
/* Answers no more, and calls back when all events have been told (or a time limit is over). */
void dhcpd_stop(struct dhcpd *dhcpd, void (*stopped)(void *ctx), void *ctx);

#endif
