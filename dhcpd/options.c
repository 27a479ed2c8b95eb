/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options owns the wire form of configured options. It must not know who asks for them.
 */
#include "dhcpd/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/memory.h"
#include "dhcpd/message.h"

static void add(struct option_set *set, uint8_t code, const void *data, size_t len)
{
	struct option_value *value = NULL;

	/* an option.N line says more exactly what is wanted than the key of the same option */
	for (size_t i = 0; i < set->count; i++) {
		if (set->values[i].code == code)
			value = &set->values[i];
	}
	if (!value) {
		set->values = xrealloc(set->values, set->count + 1, sizeof(*set->values));
		value = &set->values[set->count++];
	} else {
		free((void *)(uintptr_t)value->data);
	}
	*value = (struct option_value){ code, xmemdup(data, len), len };
}

static void add_u32(struct option_set *set, uint8_t code, uint32_t number)
{
	uint8_t data[4];
	struct wbuf w;

	wbuf_init(&w, data, sizeof(data));
	wbuf_u32(&w, number);
	add(set, code, data, w.len);
}

static void add_addresses(struct option_set *set, uint8_t code, const struct ip4_list *list)
{
	uint8_t *data;
	struct wbuf w;

	if (!list->count)
		return;
	data = xcalloc(list->count, 4);
	wbuf_init(&w, data, list->count * 4);
	for (size_t i = 0; i < list->count; i++)
		wbuf_u32(&w, list->addr[i]);
	add(set, code, data, w.len);
	free(data);
}

static void add_text(struct option_set *set, uint8_t code, const char *text)
{
	if (*text)
		add(set, code, text, strlen(text));
}

static void put_route(struct wbuf *w, const struct ip4_prefix *destination, uint32_t router)
{
	/* RFC 3442: only as many octets as the prefix length makes significant */
	wbuf_u8(w, destination->len);
	for (unsigned i = 0; i < (destination->len + 7u) / 8; i++)
		wbuf_u8(w, (uint8_t)(destination->addr >> (24 - 8 * i)));
	wbuf_u32(w, router);
}

/* A client that takes option 121 ignores option 3: the default route must be in it as well. */
static void add_routes(struct option_set *set, const struct config_options *config,
	const uint32_t *default_router)
{
	static const struct ip4_prefix everything = { 0 };
	size_t cap = (config->route_count + 1) * 9;
	uint8_t *data;
	struct wbuf w;

	if (!config->route_count)
		return;
	data = xcalloc(cap, 1);
	wbuf_init(&w, data, cap);
	for (size_t i = 0; i < config->route_count; i++) {
		put_route(&w, &config->routes[i].destination, config->routes[i].router);
		if (config->routes[i].destination.len == 0)
			default_router = NULL;
	}
	if (default_router)
		put_route(&w, &everything, *default_router);
	add(set, OPT_CLASSLESS_ROUTE, data, w.len);
	free(data);
}

static int compare_codes(const void *a, const void *b)
{
	return ((const struct option_value *)a)->code - ((const struct option_value *)b)->code;
}

struct option_set *option_set_new(const struct config_options *config, const struct ip4_prefix *self)
{
	struct option_set *set = xcalloc(1, sizeof(*set));
	const struct ip4_list bridge = { .addr = (uint32_t[]){ self->addr }, .count = 1 };
	const struct ip4_list *router = config->router_auto ? &bridge : &config->router;

	set->lease_time = config->lease_time;
	set->next_server = config->next_server;
	set->boot_file = config->boot_file;
	add_u32(set, OPT_SUBNET_MASK, ip4_prefix_mask(self));
	add_u32(set, OPT_BROADCAST, ip4_prefix_broadcast(self));
	add_addresses(set, OPT_ROUTER, router);
	add_addresses(set, OPT_DNS, &config->dns);
	add_addresses(set, OPT_NTP, &config->ntp);
	add_text(set, OPT_DOMAIN_NAME, config->domain);
	add_text(set, OPT_BOOT_FILE, config->boot_file);
	add_routes(set, config, router->count ? &router->addr[0] : NULL);
	if (config->mtu)
		add(set, OPT_INTERFACE_MTU,
			(uint8_t[]){ (uint8_t)(config->mtu >> 8), (uint8_t)config->mtu }, 2);
	if (config->next_server) {
		char text[IP4_STRLEN];

		add_text(set, OPT_TFTP_SERVER, ip4_format(config->next_server, text));
	}
	for (size_t i = 0; i < config->raw_count; i++)
		add(set, config->raw[i].code, config->raw[i].data, config->raw[i].len);
	qsort(set->values, set->count, sizeof(*set->values), compare_codes);
	for (size_t i = 0; i < set->count; i++)
		set->by_code[set->values[i].code] = &set->values[i];
	return set;
}

void option_set_free(struct option_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++)
		free((void *)(uintptr_t)set->values[i].data);
	free(set->values);
	free(set);
}
