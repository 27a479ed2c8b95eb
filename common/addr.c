/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * addr owns the textual form of addresses, numbers and times. It must not know what they are used
 * for, and makes no system call.
 */
#include "common/addr.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mac_parse(const char *s, struct mac *ret)
{
	struct mac mac;

	if (strlen(s) != MAC_STRLEN - 1)
		return -EINVAL;
	for (size_t i = 0; i < MAC_LEN; i++, s += 3) {
		int high = hex_digit(s[0]), low = hex_digit(s[1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		if (i > 0 && ((s[-1] != ':' && s[-1] != '-') || (i > 1 && s[-1] != s[-4])))
			return -EINVAL;
		mac.byte[i] = (uint8_t)(high << 4 | low);
	}
	*ret = mac;
	return 0;
}

char *mac_format(const struct mac *mac, char buf[static MAC_STRLEN])
{
	static const char digits[] = "0123456789abcdef";
	char *p = buf;

	for (size_t i = 0; i < MAC_LEN; i++) {
		*p++ = digits[mac->byte[i] >> 4];
		*p++ = digits[mac->byte[i] & 15];
		*p++ = i == MAC_LEN - 1 ? '\0' : ':';
	}
	return buf;
}

bool mac_equal(const struct mac *a, const struct mac *b)
{
	return memcmp(a->byte, b->byte, MAC_LEN) == 0;
}

bool mac_is_host(const struct mac *mac)
{
	static const struct mac zero;

	return !(mac->byte[0] & 1) && !mac_equal(mac, &zero);
}

/* The finisher of MurmurHash3: every bit of the key moves every bit of the result. */
static uint32_t mix(uint64_t key)
{
	key ^= key >> 33;
	key *= 0xff51afd7ed558ccdULL;
	key ^= key >> 33;
	key *= 0xc4ceb9fe1a85ec53ULL;
	return (uint32_t)(key ^ key >> 33);
}

uint32_t mac_hash(const struct mac *mac)
{
	uint64_t key = 0;

	memcpy(&key, mac->byte, MAC_LEN);
	return mix(key);
}

uint32_t ip4_hash(uint32_t ip)
{
	return mix(ip);
}

int ip4_compare(const void *a, const void *b)
{
	uint32_t ia = *(const uint32_t *)a, ib = *(const uint32_t *)b;

	return ia < ib ? -1 : ia > ib;
}

/* Reads a decimal number of at most max at *s and moves behind it; -1 if there is none. */
static int64_t take_number(const char **s, uint32_t max)
{
	const char *p = *s;
	uint64_t value = 0;

	if (!isdigit((unsigned char)*p) || (*p == '0' && isdigit((unsigned char)p[1])))
		return -1;
	for (; isdigit((unsigned char)*p); p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > max)
			return -1;
	}
	*s = p;
	return (int64_t)value;
}

static int take_ip4(const char **s, uint32_t *ret)
{
	const char *p = *s;
	uint32_t ip = 0;

	for (int i = 0; i < 4; i++) {
		int64_t octet;

		if (i > 0 && *p++ != '.')
			return -EINVAL;
		octet = take_number(&p, 255);
		if (octet < 0)
			return -EINVAL;
		ip = ip << 8 | (uint32_t)octet;
	}
	*s = p;
	*ret = ip;
	return 0;
}

int ip4_parse(const char *s, uint32_t *ret)
{
	uint32_t ip;

	if (take_ip4(&s, &ip) || *s)
		return -EINVAL;
	*ret = ip;
	return 0;
}

/* By hand: lists and files of thousands of addresses are mostly this. */
char *ip4_format(uint32_t ip, char buf[static IP4_STRLEN])
{
	char *p = buf;

	for (int shift = 24; shift >= 0; shift -= 8) {
		unsigned octet = ip >> shift & 255;

		if (octet >= 100)
			*p++ = (char)('0' + octet / 100);
		if (octet >= 10)
			*p++ = (char)('0' + octet / 10 % 10);
		*p++ = (char)('0' + octet % 10);
		*p++ = shift ? '.' : '\0';
	}
	return buf;
}

bool ip4_is_host(uint32_t ip)
{
	uint32_t top = ip >> 24;

	return top != 0 && top != 127 && top < 224;
}

static int take_prefix(const char **s, struct ip4_prefix *ret)
{
	const char *p = *s;
	uint32_t ip;
	int64_t len;

	if (take_ip4(&p, &ip) || *p++ != '/')
		return -EINVAL;
	len = take_number(&p, 32);
	if (len < 0)
		return -EINVAL;
	*s = p;
	*ret = (struct ip4_prefix){ .addr = ip, .len = (uint8_t)len };
	return 0;
}

int ip4_prefix_parse(const char *s, struct ip4_prefix *ret)
{
	struct ip4_prefix prefix;

	if (take_prefix(&s, &prefix) || *s)
		return -EINVAL;
	*ret = prefix;
	return 0;
}

char *ip4_prefix_format(const struct ip4_prefix *prefix, char buf[static IP4_PREFIX_STRLEN])
{
	char ip[IP4_STRLEN];

	snprintf(buf, IP4_PREFIX_STRLEN, "%s/%u", ip4_format(prefix->addr, ip), prefix->len);
	return buf;
}

uint32_t ip4_prefix_mask(const struct ip4_prefix *prefix)
{
	return prefix->len ? UINT32_MAX << (32 - prefix->len) : 0;
}

uint32_t ip4_prefix_network(const struct ip4_prefix *prefix)
{
	return prefix->addr & ip4_prefix_mask(prefix);
}

uint32_t ip4_prefix_broadcast(const struct ip4_prefix *prefix)
{
	return prefix->addr | ~ip4_prefix_mask(prefix);
}

bool ip4_prefix_contains(const struct ip4_prefix *prefix, uint32_t ip)
{
	return ((ip ^ prefix->addr) & ip4_prefix_mask(prefix)) == 0;
}

int ip4_range_parse(const char *s, struct ip4_range *ret)
{
	struct ip4_prefix prefix;
	struct ip4_range range;
	const char *p = s;

	if (!take_prefix(&p, &prefix)) {
		range.first = ip4_prefix_network(&prefix);
		range.last = ip4_prefix_broadcast(&prefix);
		/* 20.251.49.3/28 is more likely a slip of the pen than the block 20.251.49.0/28 */
		if (prefix.addr != range.first)
			return -EINVAL;
	} else {
		p = s;
		if (take_ip4(&p, &range.first))
			return -EINVAL;
		range.last = range.first;
		p += strspn(p, " \t");
		if (*p == '-') {
			p++;
			p += strspn(p, " \t");
			if (take_ip4(&p, &range.last))
				return -EINVAL;
		}
	}
	if (*p || range.first > range.last)
		return -EINVAL;
	*ret = range;
	return 0;
}

char *ip4_range_format(const struct ip4_range *range, char buf[static IP4_RANGE_STRLEN])
{
	char first[IP4_STRLEN], last[IP4_STRLEN];

	if (range->first == range->last)
		return ip4_format(range->first, buf);
	snprintf(buf, IP4_RANGE_STRLEN, "%s-%s", ip4_format(range->first, first),
		ip4_format(range->last, last));
	return buf;
}

int number_parse(const char *s, uint32_t min, uint32_t max, uint32_t *ret)
{
	int64_t value;

	if (!*s || s[strspn(s, "0123456789")])
		return -EINVAL;
	s += strspn(s, "0");
	if (!*s)
		value = 0;
	else
		value = take_number(&s, UINT32_MAX);
	if (value < min || value > max)
		return -ERANGE;
	*ret = (uint32_t)value;
	return 0;
}

int time_parse(const char *s, uint32_t *ret)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = { { '\0', 1 }, { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
		{ 'w', 604800 } };
	size_t digits = strspn(s, "0123456789");

	if (!strcmp(s, "infinite")) {
		*ret = TIME_INFINITE;
		return 0;
	}
	if (digits == 0 || (s[digits] && s[digits + 1]))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		int64_t value;

		if ((s[digits] | (s[digits] ? 0x20 : 0)) != units[i].unit)
			continue;
		s += strspn(s, "0");
		value = isdigit((unsigned char)*s) ? take_number(&s, UINT32_MAX) : 0;
		if (value < 0 || (uint64_t)value * units[i].seconds >= TIME_INFINITE)
			return -ERANGE;
		*ret = (uint32_t)value * units[i].seconds;
		return 0;
	}
	return -EINVAL;
}

char *text_printable(char *dst, size_t size, const void *src, size_t len)
{
	const uint8_t *in = src;
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		bool plain = in[i] >= 0x20 && in[i] < 0x7f && in[i] != '\\';

		if (out + (plain ? 1 : 4) >= size)
			break;
		if (plain)
			dst[out++] = (char)in[i];
		else
			out += (size_t)snprintf(dst + out, size - out, "\\%03o", in[i]);
	}
	dst[out] = '\0';
	return dst;
}

void text_make_line(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
	}
}
