/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options: what eipd.conf says about DHCP options, as octets ready for the wire. Pure.
 *
 * Made once, when the configuration is read; what depends on the VM or on the request (host name,
 * lease time, message type, …) is not in it.
 */
#ifndef EIPD_DHCPD_OPTIONS_H
#define EIPD_DHCPD_OPTIONS_H

#include "common/config.h"

struct option_value {
	uint8_t code;
	const uint8_t *data;
	size_t len;
};

struct option_set {
	const struct option_value *by_code[256]; /* NULL: not configured */
	struct option_value *values;             /* by ascending code */
	size_t count;
	uint32_t lease_time;    /* seconds or TIME_INFINITE */
	uint32_t next_server;   /* host order; 0: none */
	const char *boot_file;  /* "": none; the configuration owns it */
};

/* self: the bridge's address and network. The caller frees; `config` must outlive it. */
struct option_set *option_set_new(const struct config_options *config, const struct ip4_prefix *self);
void option_set_free(struct option_set *set);

#endif
