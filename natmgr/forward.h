/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forward: ports of a public address that several VMs share, as far as the table of bindings says.
 * Pure; time is an argument (seconds since the epoch).
 */
#ifndef EIPD_NATMGR_FORWARD_H
#define EIPD_NATMGR_FORWARD_H

#include <time.h>

#include "common/config.h"
#include "common/plan.h"

struct binding_table;

/* A port, or a range of ports, of an address that several VMs share. */
struct forward {
	uint32_t address;
	unsigned label;       /* the same for all forwards of an address */
	uint8_t protocol;     /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t first, last; /* at the public address */
	uint16_t to;          /* at the VM; a range keeps its numbers, so it is `first` then */
	bool is_source; /* the VM's own connections leave with the address, if it has no other */
	char vm[VM_NAME_MAX + 1];
	struct mac mac;
};

/* "ADDR:PORT/tcp", "ADDR:FIRST-LAST/udp". 0 or -EINVAL; only address, protocol, first and last. */
int forward_parse(const char *text, struct forward *ret_forward);
#define FORWARD_STRLEN (IP4_STRLEN + 16)
char *forward_format(const struct forward *forward, char buf[static FORWARD_STRLEN]);
/* The forward of just these ports; one that has some of them; any of an address. NULL: none. */
const struct forward *forward_find(const struct binding_table *table, const struct forward *wanted);
const struct forward *forward_overlap(const struct binding_table *table,
	const struct forward *wanted);
const struct forward *forward_of(const struct binding_table *table, uint32_t address);

/* As binding_bind(). `wanted` has no label yet; its VM is named, its MAC not set. */
int forward_add(struct binding_table *table, const struct config *config, const struct plan *plan,
	const struct forward *wanted, time_t now, char **ret_error);
int forward_del(struct binding_table *table, const struct config *config,
	const struct forward *wanted, time_t now, char **ret_error);

#endif
