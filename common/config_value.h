/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_value: the values of eipd.conf, from text into a field.
 *
 * `field` is the address of what is set: the text (char *, which is replaced), number or list that
 * the name says, or where a key fills several fields, the struct that has them. 0, or -EINVAL and
 * the field is as it was (lists of a key that is refused may hold a part).
 */
#ifndef EIPD_COMMON_CONFIG_VALUE_H
#define EIPD_COMMON_CONFIG_VALUE_H

#include "common/config.h"

/* char * */
int config_set_text(void *field, const char *value);
int config_set_path(void *field, const char *value);
int config_set_run_dir(void *field, const char *value);
int config_set_path_or_none(void *field, const char *value);
int config_set_log(void *field, const char *value);
int config_set_interface(void *field, const char *value);
int config_set_interface_or_none(void *field, const char *value);
int config_set_domain(void *field, const char *value);
/* bool; of "keep" and "remove" the latter is true */
int config_set_bool(void *field, const char *value);
int config_set_on_exit(void *field, const char *value);
/* enum config_log_level, struct ip4_prefix */
int config_set_log_level(void *field, const char *value);
int config_set_prefix(void *field, const char *value);
/* uint32_t: numbers, seconds, an address in host order */
int config_set_prefix_len(void *field, const char *value);
int config_set_announce(void *field, const char *value);
int config_set_mtu(void *field, const char *value);
int config_set_lease_time(void *field, const char *value);
int config_set_timeout(void *field, const char *value);
int config_set_reclaim(void *field, const char *value);
int config_set_cooldown(void *field, const char *value);
int config_set_address_or_none(void *field, const char *value);
/* struct ip4_list, struct config_raw_option */
int config_set_addresses(void *field, const char *value);
int config_set_circuit_id(void *field, const char *value);
/* struct config, struct config_tag */
int config_set_pool(void *field, const char *value);
int config_set_client_arch(void *field, const char *value);
/* struct config_options */
int config_set_router(void *field, const char *value);
int config_set_routes(void *field, const char *value);
/*
 * option.N, N in `number`: added to the list. -EEXIST: it is there already. "N.2", "N.3", …: more
 * of the same option, for a value that does not fit in a line.
 */
int config_set_raw_option(struct config_options *options, const char *number, const char *value);

#endif
