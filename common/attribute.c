/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attribute owns the look at an attribute's length. It must not know of messages. */
#include "common/attribute.h"

#include <netlink/attr.h>
#include <string.h>

static void copy(const struct nlattr *attr, void *value, int len)
{
	if (attr && nla_len(attr) >= len)
		memcpy(value, nla_data(attr), (size_t)len);
}

uint8_t attribute_u8(const struct nlattr *attr)
{
	uint8_t value = 0;

	copy(attr, &value, sizeof(value));
	return value;
}

uint16_t attribute_u16(const struct nlattr *attr)
{
	uint16_t value = 0;

	copy(attr, &value, sizeof(value));
	return value;
}

uint32_t attribute_u32(const struct nlattr *attr)
{
	uint32_t value = 0;

	copy(attr, &value, sizeof(value));
	return value;
}

uint64_t attribute_u64(const struct nlattr *attr)
{
	uint64_t value = 0;

	copy(attr, &value, sizeof(value));
	return value;
}

bool attribute_has(const struct nlattr *attr, int len)
{
	return attr && nla_len(attr) == len;
}

bool attribute_mac(const struct nlattr *attr, struct mac *ret_mac)
{
	if (!attribute_has(attr, MAC_LEN))
		return false;
	memcpy(ret_mac->byte, nla_data(attr), MAC_LEN);
	return true;
}
