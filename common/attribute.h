/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attribute: what a netlink attribute holds (struct nlattr of linux/netlink.h), however long it is:
 * libnl's own nla_get_u32() and the like do not look.
 */
#ifndef EIPD_COMMON_ATTRIBUTE_H
#define EIPD_COMMON_ATTRIBUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

struct nlattr;

/* As it stands there, in whatever byte order; 0 if there is none (NULL) or it is too short. */
uint8_t attribute_u8(const struct nlattr *attr);
uint16_t attribute_u16(const struct nlattr *attr);
uint32_t attribute_u32(const struct nlattr *attr);
uint64_t attribute_u64(const struct nlattr *attr);

/* It is there, and of just this length. */
bool attribute_has(const struct nlattr *attr, int len);

/* false: none of Ethernet. */
bool attribute_mac(const struct nlattr *attr, struct mac *ret_mac);

#endif
