/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options: what eipd.conf says about DHCP options, as octets ready for the wire, and which of it
 * a request gets. Pure.
 *
 * [dhcp] is the ground, each [tag NAME] a layer that may lie on it. The most specific wins: first
 * the tags that the plan gives the VM (set:NAME), then those whose conditions the request meets,
 * then [dhcp]; among tags of one kind the one that stands first in the file.
 *
 * What depends on the VM or on the exchange (host name, lease time, message type, …) is not here.
 */
#ifndef EIPD_DHCPD_OPTIONS_H
#define EIPD_DHCPD_OPTIONS_H

#include "common/config.h"
#include "common/plan.h"
#include "dhcpd/message.h"

struct option_value {
	uint8_t code;
	uint8_t *data;
	size_t len; /* 0: a layer says that it is not sent */
};

/* What one request gets, or one layer of it. */
struct option_set {
	const struct option_value *by_code[256]; /* NULL: not sent */
	struct option_value *values;             /* by ascending code */
	size_t count;
	unsigned given;                      /* as in struct config_options; for the three below */
	uint32_t lease_time;                 /* seconds or TIME_INFINITE */
	uint32_t next_server;                /* host order; 0: none */
	const struct config_options *routes; /* whose static-routes these are; NULL: none */
	const char *boot_file, *domain;      /* "": none; the configuration owns them */
};

struct option_catalog;

/* self: the bridge's address and network. `config` must outlive the catalog. */
struct option_catalog *option_catalog_new(const struct config *config,
	const struct ip4_prefix *self);
void option_catalog_free(struct option_catalog *catalog);

/*
 * What this request of this VM (either may be NULL) gets; valid until the next call. The
 * combinations that occur are made once and kept.
 */
const struct option_set *option_catalog_select(struct option_catalog *catalog, const struct vm *vm,
	const struct dhcp_message *request);

#endif
