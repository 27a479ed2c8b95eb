/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * addr: hardware addresses, IPv4 addresses, prefixes and ranges: parse, print, compare.
 *
 * An IPv4 address is a uint32_t in HOST byte order everywhere in eipd; it becomes network order
 * only where it leaves the process (bytes, netlink, iptables). Parsers return 0 or -EINVAL, take
 * the whole string or nothing, and leave *ret untouched on failure. Printers write into the
 * caller's buffer and return it.
 */
#ifndef EIPD_COMMON_ADDR_H
#define EIPD_COMMON_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAC_LEN           6
#define MAC_STRLEN        18 /* "d0:0d:8e:9f:42:88" and its NUL */
#define IP4_STRLEN        16 /* "255.255.255.255" and its NUL */
#define IP4_PREFIX_STRLEN 20
#define IP4_RANGE_STRLEN  32

struct mac {
	uint8_t byte[MAC_LEN];
};

/* An address and the length of its network's mask: 192.168.6.22/24 keeps the .22. */
struct ip4_prefix {
	uint32_t addr;
	uint8_t len; /* 0..32 */
};

/* first <= last, both inclusive. */
struct ip4_range {
	uint32_t first, last;
};

/* Accepts six groups of two hexadecimal digits, all separated by ':' or all by '-'. */
int mac_parse(const char *s, struct mac *ret);
char *mac_format(const struct mac *mac, char buf[static MAC_STRLEN]);
bool mac_equal(const struct mac *a, const struct mac *b);
/* Group (multicast and broadcast) and all-zero addresses cannot be a host's. */
bool mac_is_host(const struct mac *mac);
uint32_t mac_hash(const struct mac *mac);

/* Strict dotted quad: four decimal numbers without leading zeros. */
int ip4_parse(const char *s, uint32_t *ret);
char *ip4_format(uint32_t ip, char buf[static IP4_STRLEN]);
/* Unicast as a host may have it: not 0/8, 127/8, 224/4 or 240/4. */
bool ip4_is_host(uint32_t ip);
uint32_t ip4_hash(uint32_t ip);
/* Of two uint32_t, for qsort(3) and bsearch(3). */
int ip4_compare(const void *a, const void *b);

/* "192.168.6.22/24" */
int ip4_prefix_parse(const char *s, struct ip4_prefix *ret);
char *ip4_prefix_format(const struct ip4_prefix *prefix, char buf[static IP4_PREFIX_STRLEN]);
uint32_t ip4_prefix_mask(const struct ip4_prefix *prefix);
uint32_t ip4_prefix_network(const struct ip4_prefix *prefix);
uint32_t ip4_prefix_broadcast(const struct ip4_prefix *prefix);
bool ip4_prefix_contains(const struct ip4_prefix *prefix, uint32_t ip);

/* "A", "A-B" or "A/LEN" (all addresses of the block). */
int ip4_range_parse(const char *s, struct ip4_range *ret);
char *ip4_range_format(const struct ip4_range *range, char buf[static IP4_RANGE_STRLEN]);

/* A whole decimal number in [min, max]; -EINVAL if it is no number, -ERANGE outside. */
int number_parse(const char *s, uint32_t min, uint32_t max, uint32_t *ret);

/*
 * "120", "120s", "2m", "1h", "7d", "1w", "infinite" in seconds. TIME_INFINITE stands for infinite
 * (and is what DHCP puts on the wire for it, RFC 2131 3.3); -ERANGE if longer than that.
 */
#define TIME_INFINITE UINT32_MAX
int time_parse(const char *s, uint32_t *ret);

/*
 * Copies untrusted octets as text: what is not printable ASCII, and the backslash, becomes \ooo.
 * Always terminates; cuts off what does not fit (an escape is never cut in two). Returns dst.
 */
char *text_printable(char *dst, size_t size, const void *src, size_t len);
/* In place: what is not printable ASCII becomes '?'. What is left is one line, and UTF-8. */
void text_make_line(char *text);

#endif
