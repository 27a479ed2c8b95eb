/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_value owns the forms that values of eipd.conf may have. It must not know which key has
 * which, nor where a value stands.
 */
#include "common/config_value.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static void replace(char **field, const char *value)
{
	free(*field);
	*field = xstrdup(value);
}

int config_set_text(void *field, const char *value)
{
	if (strlen(value) > 255)
		return -EINVAL;
	replace(field, value);
	return 0;
}

int config_set_path(void *field, const char *value)
{
	/* room is kept for the names that are made from it ("….eipd-new", "…/bindings") */
	if (value[0] != '/' || strlen(value) > PATH_MAX - 64)
		return -EINVAL;
	replace(field, value);
	return 0;
}

int config_set_run_dir(void *field, const char *value)
{
	/* with "/eipd.sock" behind it, it is a socket's path, which has at most 107 octets, unix(7) */
	return strlen(value) > 97 ? -EINVAL : config_set_path(field, value);
}

int config_set_path_or_none(void *field, const char *value)
{
	if (!*value)
		return config_set_text(field, value);
	return config_set_path(field, value);
}

int config_set_log(void *field, const char *value)
{
	if (!strcmp(value, "syslog") || !strcmp(value, "stderr"))
		return config_set_text(field, value);
	return config_set_path(field, value);
}

int config_set_log_level(void *field, const char *value)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(value, names[i])) {
			*(enum config_log_level *)field = (enum config_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

int config_set_bool(void *field, const char *value)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return -EINVAL;
	*(bool *)field = value[0] == 'y';
	return 0;
}

int config_set_on_exit(void *field, const char *value)
{
	if (strcmp(value, "keep") && strcmp(value, "remove"))
		return -EINVAL;
	*(bool *)field = value[0] == 'r';
	return 0;
}

/* As dev_valid_name() in the kernel. */
int config_set_interface(void *field, const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len >= IFNAMSIZ || !strcmp(value, ".") || !strcmp(value, ".."))
		return -EINVAL;
	for (const char *c = value; *c; c++) {
		if (*c == '/' || *c == ':' || isspace((unsigned char)*c) ||
			!isprint((unsigned char)*c))
			return -EINVAL;
	}
	replace(field, value);
	return 0;
}

int config_set_interface_or_none(void *field, const char *value)
{
	if (!*value)
		return config_set_text(field, value);
	return config_set_interface(field, value);
}

int config_set_prefix(void *field, const char *value)
{
	struct ip4_prefix prefix;

	if (!*value)
		return 0;
	if (!ip4_parse(value, &prefix.addr))
		prefix.len = 0;
	else if (ip4_prefix_parse(value, &prefix) || prefix.len < 8 || prefix.len > 30)
		return -EINVAL;
	if (!ip4_is_host(prefix.addr))
		return -EINVAL;
	*(struct ip4_prefix *)field = prefix;
	return 0;
}

int config_set_prefix_len(void *field, const char *value)
{
	return number_parse(value, 8, 32, field) ? -EINVAL : 0;
}

int config_set_announce(void *field, const char *value)
{
	return number_parse(value, 0, 100, field) ? -EINVAL : 0;
}

/* RFC 791: every internet module must be able to forward datagrams of 68 octets. */
int config_set_mtu(void *field, const char *value)
{
	if (!*value) {
		*(uint32_t *)field = 0;
		return 0;
	}
	return number_parse(value, 68, 65535, field) ? -EINVAL : 0;
}

static int set_time(void *field, const char *value, uint32_t min, uint32_t max)
{
	uint32_t seconds;

	if (time_parse(value, &seconds) || seconds < min || seconds > max)
		return -EINVAL;
	*(uint32_t *)field = seconds;
	return 0;
}

/* Three seconds are the shortest lease with 0 < T1 < T2 < lease in whole seconds. */
int config_set_lease_time(void *field, const char *value)
{
	return set_time(field, value, 3, TIME_INFINITE);
}

int config_set_timeout(void *field, const char *value)
{
	return set_time(field, value, 1, 86400);
}

int config_set_reclaim(void *field, const char *value)
{
	if (!strcmp(value, "never"))
		value = "infinite";
	return set_time(field, value, 1, TIME_INFINITE);
}

int config_set_cooldown(void *field, const char *value)
{
	return set_time(field, value, 0, 365 * 86400);
}

/*
 * Calls take() for each item of a comma-separated list, blanks stripped. An empty value is an
 * empty list; an empty item is an error.
 */
static int for_each_item(const char *value, int (*take)(void *ctx, const char *item), void *ctx)
{
	char *copy, *next, *item;
	int err = 0;

	if (!*value)
		return 0;
	copy = next = xstrdup(value);
	while (!err && (item = strsep(&next, ","))) {
		item += strspn(item, " \t");
		for (size_t n = strlen(item); n && isspace((unsigned char)item[n - 1]); n--)
			item[n - 1] = '\0';
		err = *item ? take(ctx, item) : -EINVAL;
	}
	free(copy);
	return err;
}

static int take_address(void *ctx, const char *item)
{
	struct ip4_list *list = ctx;
	uint32_t ip;

	if (ip4_parse(item, &ip))
		return -EINVAL;
	list->addr = xrealloc(list->addr, list->count + 1, sizeof(*list->addr));
	list->addr[list->count++] = ip;
	return 0;
}

static int take_host_address(void *ctx, const char *item)
{
	uint32_t ip;

	return ip4_parse(item, &ip) || !ip4_is_host(ip) ? -EINVAL : take_address(ctx, item);
}

int config_set_addresses(void *field, const char *value)
{
	struct ip4_list list = { 0 };

	if (for_each_item(value, take_host_address, &list)) {
		free(list.addr);
		return -EINVAL;
	}
	free(((struct ip4_list *)field)->addr);
	*(struct ip4_list *)field = list;
	return 0;
}

int config_set_router(void *field, const char *value)
{
	struct config_options *options = field;
	bool is_auto = !strcmp(value, "auto");

	if (config_set_addresses(&options->router, is_auto ? "" : value))
		return -EINVAL;
	options->router_auto = is_auto;
	return 0;
}

int config_set_address_or_none(void *field, const char *value)
{
	uint32_t ip = 0;

	if (*value && (ip4_parse(value, &ip) || !ip4_is_host(ip)))
		return -EINVAL;
	*(uint32_t *)field = ip;
	return 0;
}

/* A DNS name without a dot at its end: labels of 1..63 octets, 253 in all (RFC 1035 2.3.4). */
int config_set_domain(void *field, const char *value)
{
	size_t label = 0;

	if (strlen(value) > 253)
		return -EINVAL;
	for (const char *c = value; *c; c++) {
		bool ends = !c[1] || c[1] == '.';

		if (*c == '.' ? label == 0 || !c[1]
			      : !isalnum((unsigned char)*c) && (*c != '-' || label == 0 || ends))
			return -EINVAL;
		label = *c == '.' ? 0 : label + 1;
		if (label > 63)
			return -EINVAL;
	}
	return config_set_text(field, value);
}

struct route_list {
	struct config_options *options;
	struct ip4_prefix destination; /* of which the router is the next item */
	bool has_destination;
};

static int take_destination(struct route_list *list, const char *item, size_t len)
{
	char text[IP4_PREFIX_STRLEN];

	if (list->has_destination || len >= sizeof(text))
		return -EINVAL;
	memcpy(text, item, len);
	text[len] = '\0';
	if (ip4_prefix_parse(text, &list->destination) ||
		list->destination.addr != ip4_prefix_network(&list->destination))
		return -EINVAL;
	list->has_destination = true;
	return 0;
}

/*
 * "10.0.0.0/8 192.168.6.1": destination and router, with a blank between; people write "via" or a
 * sign there as well, and dnsmasq's way is a comma.
 */
static int take_route(void *ctx, const char *item)
{
	struct route_list *list = ctx;
	struct config_options *options = list->options;
	struct config_route route;
	const char *router = item;
	size_t len = strcspn(item, " \t=:");

	if (memchr(item, '/', len)) {
		router = item + len;
		if (take_destination(list, item, len))
			return -EINVAL;
		router += strspn(router, " \t");
		if (*router == '=' || *router == ':')
			router++;
		else if (!strncmp(router, "via", 3) && isspace((unsigned char)router[3]))
			router += 3;
		router += strspn(router, " \t");
		if (!*router)
			return router == item + len ? 0 : -EINVAL;
	}
	if (!list->has_destination || ip4_parse(router, &route.router))
		return -EINVAL;
	route.destination = list->destination;
	list->has_destination = false;
	options->routes = xrealloc(options->routes, options->route_count + 1, sizeof(route));
	options->routes[options->route_count++] = route;
	return 0;
}

int config_set_routes(void *field, const char *value)
{
	struct route_list list = { .options = field };
	int err;

	free(list.options->routes);
	list.options->routes = NULL;
	list.options->route_count = 0;
	err = for_each_item(value, take_route, &list);
	return list.has_destination ? -EINVAL : err;
}

static int take_range(void *ctx, const char *item)
{
	struct config *config = ctx;
	struct ip4_range range;

	if (ip4_range_parse(item, &range) || !ip4_is_host(range.first) || !ip4_is_host(range.last))
		return -EINVAL;
	config->outer.pool = xrealloc(config->outer.pool, config->outer.pool_count + 1,
		sizeof(range));
	config->outer.pool[config->outer.pool_count++] = range;
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct ip4_range *ra = a, *rb = b;

	return ra->first < rb->first ? -1 : ra->first > rb->first;
}

/* At most a /12: beyond it is a slip of the pen, and a table of a million rows helps nobody. */
#define POOL_MAX (1u << 20)

int config_set_pool(void *field, const char *value)
{
	struct config *config = field;

	if (!*value || for_each_item(value, take_range, config))
		return -EINVAL;
	qsort(config->outer.pool, config->outer.pool_count, sizeof(*config->outer.pool),
		compare_ranges);
	for (size_t i = 1; i < config->outer.pool_count; i++) {
		if (config->outer.pool[i].first <= config->outer.pool[i - 1].last)
			return -EINVAL;
	}
	return config_pool_size(config) > POOL_MAX ? -EINVAL : 0;
}

/* --- option.N ----------------------------------------------------------------------------- */

static int parse_hex(const char *s, struct config_raw_option *option)
{
	option->data = xcalloc(strlen(s) / 2 + 1, 1);
	while (*s) {
		char digits[3] = { s[0], s[1], '\0' };

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]))
			return -EINVAL;
		option->data[option->len++] = (uint8_t)strtoul(digits, NULL, 16);
		s += 2;
		if ((*s == ':' || *s == ' ') && s[1])
			s++;
	}
	return 0;
}

static int parse_ips(const char *s, struct config_raw_option *option)
{
	struct ip4_list list = { 0 };

	if (!*s || for_each_item(s, take_address, &list)) {
		free(list.addr);
		return -EINVAL;
	}
	option->data = xcalloc(list.count, 4);
	for (size_t i = 0; i < list.count; i++) {
		for (int shift = 24; shift >= 0; shift -= 8)
			option->data[option->len++] = (uint8_t)(list.addr[i] >> shift);
	}
	free(list.addr);
	return 0;
}

static int parse_text(const char *s, struct config_raw_option *option)
{
	option->len = strlen(s);
	option->data = xmemdup(s, option->len);
	return 0;
}

/* What the server itself must decide: name, type, lease, identifiers, overload, relay, ends. */
static bool option_is_ours(uint32_t code)
{
	static const uint8_t ours[] = { 0, 12, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61, 80, 81,
		82, 118, 255 };

	return memchr(ours, (int)code, sizeof(ours)) != NULL;
}

/* hex:…, ip:A,B or text:… */
static int parse_octets(const char *value, struct config_raw_option *ret_option)
{
	static const struct {
		const char *prefix;
		int (*parse)(const char *s, struct config_raw_option *option);
	} forms[] = { { "hex:", parse_hex }, { "ip:", parse_ips }, { "text:", parse_text } };
	struct config_raw_option option = { 0 };

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		size_t len = strlen(forms[i].prefix);

		if (strncmp(value, forms[i].prefix, len))
			continue;
		if (forms[i].parse(value + len, &option)) {
			free(option.data);
			return -EINVAL;
		}
		*ret_option = option;
		return 0;
	}
	return -EINVAL;
}

int config_set_circuit_id(void *field, const char *value)
{
	struct config_raw_option option = { 0 };

	if (*value && parse_octets(value, &option))
		return -EINVAL;
	free(((struct config_raw_option *)field)->data);
	*(struct config_raw_option *)field = option;
	return 0;
}

static int take_arch(void *ctx, const char *item)
{
	struct config_tag *tag = ctx;
	uint32_t number;

	if (number_parse(item, 0, 65535, &number))
		return -EINVAL;
	tag->client_arch = xrealloc(tag->client_arch, tag->client_arch_count + 1, sizeof(number));
	tag->client_arch[tag->client_arch_count++] = number;
	return 0;
}

int config_set_client_arch(void *field, const char *value)
{
	return for_each_item(value, take_arch, field);
}

static int append_part(struct config_raw_option *option, struct config_raw_option *part)
{
	option->data = xrealloc(option->data, option->len + part->len, 1);
	memcpy(option->data + option->len, part->data, part->len);
	option->len += part->len;
	free(part->data);
	return 0;
}

int config_set_raw_option(struct config_options *options, const char *number, const char *value)
{
	size_t digits = strspn(number, "0123456789");
	struct config_raw_option option;
	char text[8];
	uint32_t code, part = 0;

	if (digits >= sizeof(text))
		return -EINVAL;
	memcpy(text, number, digits);
	text[digits] = '\0';
	if (number_parse(text, 1, 254, &code) || option_is_ours(code) ||
		(number[digits] &&
			(number[digits] != '.' ||
				number_parse(number + digits + 1, 2, 99, &part))) ||
		parse_octets(value, &option))
		return -EINVAL;
	option.code = (uint8_t)code;
	for (size_t i = 0; i < options->raw_count; i++) {
		if (options->raw[i].code != option.code)
			continue;
		if (part)
			return append_part(&options->raw[i], &option);
		/* option.07 and option.7 are different keys for one option */
		free(option.data);
		return -EEXIST;
	}
	options->raw = xrealloc(options->raw, options->raw_count + 1, sizeof(option));
	options->raw[options->raw_count++] = option;
	return 0;
}
