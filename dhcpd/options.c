/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options owns the wire form of configured options and the rule of which layer wins. It must not
 * know how they come into a reply.
 */
#include "dhcpd/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/memory.h"

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
		free(value->data);
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

	data = xcalloc(list->count, 4);
	wbuf_init(&w, data, list->count * 4);
	for (size_t i = 0; i < list->count; i++)
		wbuf_u32(&w, list->addr[i]);
	add(set, code, data, w.len);
	free(data);
}

static void add_text(struct option_set *set, uint8_t code, const char *text)
{
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

/*
 * A client that takes option 121 ignores option 3: the default route must be in it as well. Made
 * when all layers lie on each other, with the router that has come out on top.
 */
static void add_routes(struct option_set *set)
{
	static const struct ip4_prefix everything = { 0 };
	const struct config_options *config = set->routes;
	size_t cap = (config->route_count + 1) * 9;
	bool has_default = false;
	uint8_t *data;
	struct wbuf w;
	struct rbuf r;

	data = xcalloc(cap, 1);
	wbuf_init(&w, data, cap);
	for (size_t i = 0; i < config->route_count; i++) {
		put_route(&w, &config->routes[i].destination, config->routes[i].router);
		has_default = has_default || config->routes[i].destination.len == 0;
	}
	for (size_t i = 0; i < set->count && !has_default && config->route_count; i++) {
		if (set->values[i].code != OPT_ROUTER || set->values[i].len < 4)
			continue;
		rbuf_init(&r, set->values[i].data, 4);
		put_route(&w, &everything, rbuf_u32(&r));
		has_default = true;
	}
	add(set, OPT_CLASSLESS_ROUTE, data, w.len);
	free(data);
}

static int compare_codes(const void *a, const void *b)
{
	return ((const struct option_value *)a)->code - ((const struct option_value *)b)->code;
}

/* Sorts the values, and finds them by their codes. */
static void index_values(struct option_set *set)
{
	/* a layer may say nothing, and qsort() wants an array */
	if (set->count)
		qsort(set->values, set->count, sizeof(*set->values), compare_codes);
	for (size_t i = 0; i < set->count; i++)
		set->by_code[set->values[i].code] = &set->values[i];
}

/* The keys that are given and, for the ground, what the network itself says. */
static struct option_set *layer_new(const struct config_options *config,
	const struct ip4_prefix *self, bool is_ground)
{
	struct option_set *set = xcalloc(1, sizeof(*set));
	const struct ip4_list bridge = { .addr = (uint32_t[]){ self->addr }, .count = 1 };
	const struct ip4_list *router = config->router_auto ? &bridge : &config->router;
	char text[IP4_STRLEN];

#define GIVEN(key) (config->given & 1u << (key))
	set->given = config->given;
	set->lease_time = config->lease_time;
	set->next_server = config->next_server;
	set->boot_file = config->boot_file;
	set->domain = config->domain;
	if (is_ground) {
		add_u32(set, OPT_SUBNET_MASK, ip4_prefix_mask(self));
		add_u32(set, OPT_BROADCAST, ip4_prefix_broadcast(self));
	}
	if (GIVEN(KEY_ROUTER))
		add_addresses(set, OPT_ROUTER, router);
	if (GIVEN(KEY_DNS))
		add_addresses(set, OPT_DNS, &config->dns);
	if (GIVEN(KEY_NTP))
		add_addresses(set, OPT_NTP, &config->ntp);
	if (GIVEN(KEY_DOMAIN))
		add_text(set, OPT_DOMAIN_NAME, config->domain);
	if (GIVEN(KEY_BOOT_FILE))
		add_text(set, OPT_BOOT_FILE, config->boot_file);
	if (GIVEN(KEY_ROUTES))
		set->routes = config;
	if (GIVEN(KEY_MTU))
		add(set, OPT_INTERFACE_MTU,
			(uint8_t[]){ (uint8_t)(config->mtu >> 8), (uint8_t)config->mtu },
			config->mtu ? 2 : 0);
	if (GIVEN(KEY_NEXT_SERVER))
		add_text(set, OPT_TFTP_SERVER,
			config->next_server ? ip4_format(config->next_server, text) : "");
#undef GIVEN
	for (size_t i = 0; i < config->raw_count; i++)
		add(set, config->raw[i].code, config->raw[i].data, config->raw[i].len);
	index_values(set);
	return set;
}

static void option_set_free(struct option_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->count; i++)
		free(set->values[i].data);
	free(set->values);
	free(set);
}

/* --- layers ------------------------------------------------------------------------------- */

/* A combination of layers: bit i stands for the tag that is the i-th in the file. */
struct combination {
	uint64_t planned, matched;
	struct option_set *set;
};

/* More than these do not occur in an honest network; then all are made anew. */
#define COMBINATIONS_MAX 64

struct option_catalog {
	const struct config *config;
	struct option_set *ground;
	struct option_set *tags[CONFIG_TAGS_MAX];
	struct combination combinations[COMBINATIONS_MAX];
	size_t count;
};

static bool says(const struct option_set *layer, uint8_t code)
{
	return layer->by_code[code] != NULL;
}

static void lay_on(struct option_set *set, const struct option_set *layer)
{
	/* an option.121 is laid on as it is, and static-routes take the place of one below */
	if (layer->routes || says(layer, OPT_CLASSLESS_ROUTE))
		set->routes = says(layer, OPT_CLASSLESS_ROUTE) ? NULL : layer->routes;
	for (size_t i = 0; i < layer->count; i++)
		add(set, layer->values[i].code, layer->values[i].data, layer->values[i].len);
	if (layer->given & 1u << KEY_LEASE_TIME)
		set->lease_time = layer->lease_time;
	if (layer->given & 1u << KEY_NEXT_SERVER)
		set->next_server = layer->next_server;
	if (layer->given & 1u << KEY_BOOT_FILE)
		set->boot_file = layer->boot_file;
	if (layer->given & 1u << KEY_DOMAIN)
		set->domain = layer->domain;
}

/* From the ground up, so that what is laid on last, the most specific, is what stays. */
static struct option_set *combine(const struct option_catalog *catalog, uint64_t planned,
	uint64_t matched)
{
	struct option_set *set = xcalloc(1, sizeof(*set));
	size_t count = 0;

	lay_on(set, catalog->ground);
	for (size_t i = catalog->config->tag_count; i-- > 0;) {
		if (matched & UINT64_C(1) << i)
			lay_on(set, catalog->tags[i]);
	}
	for (size_t i = catalog->config->tag_count; i-- > 0;) {
		if (planned & UINT64_C(1) << i)
			lay_on(set, catalog->tags[i]);
	}
	if (set->routes)
		add_routes(set);
	/* what some layer emptied is not sent */
	for (size_t i = 0; i < set->count; i++) {
		if (set->values[i].len)
			set->values[count++] = set->values[i];
		else
			free(set->values[i].data);
	}
	set->count = count;
	index_values(set);
	return set;
}

/* --- which layers ------------------------------------------------------------------------- */

static bool contains(const struct dhcp_option *option, const char *part)
{
	return option->len && memmem(option->data, option->len, part, strlen(part));
}

static bool name_equal(const struct dhcp_option *option, const char *name)
{
	return option->len == strlen(name) &&
		!strncasecmp((const char *)option->data, name, option->len);
}

static bool has_circuit_id(const struct dhcp_option *option, const struct config_raw_option *wanted)
{
	struct rbuf r;

	rbuf_init(&r, option->data, option->len);
	while (r.left) {
		uint8_t code = rbuf_u8(&r), len = rbuf_u8(&r);
		const uint8_t *data = rbuf_take(&r, len);

		/* RFC 3046 2.0: sub-option 1 */
		if (data && code == 1)
			return len == wanted->len && !memcmp(data, wanted->data, len);
	}
	return false;
}

static bool has_arch(const struct dhcp_option *option, const struct config_tag *tag)
{
	struct rbuf r;

	/* RFC 4578 2.1: a list of 16-bit numbers */
	rbuf_init(&r, option->data, option->len);
	while (r.left >= 2) {
		uint16_t arch = rbuf_u16(&r);

		for (size_t i = 0; i < tag->client_arch_count; i++) {
			if (tag->client_arch[i] == arch)
				return true;
		}
	}
	return false;
}

/* All conditions that the tag has; one without any is only for set:NAME. */
static bool matches(const struct config_tag *tag, const struct dhcp_message *request)
{
	const struct dhcp_option *option = request->option;
	bool has_condition = *tag->vendor_class || *tag->user_class || *tag->client_name ||
		tag->circuit_id.data || tag->client_arch_count;

	return has_condition &&
		(!*tag->vendor_class || contains(&option[OPT_VENDOR_CLASS], tag->vendor_class)) &&
		(!*tag->user_class || contains(&option[OPT_USER_CLASS], tag->user_class)) &&
		(!*tag->client_name || name_equal(&option[OPT_HOST_NAME], tag->client_name)) &&
		(!tag->circuit_id.data ||
			has_circuit_id(&option[OPT_RELAY_AGENT], &tag->circuit_id)) &&
		(!tag->client_arch_count || has_arch(&option[OPT_CLIENT_ARCH], tag));
}

/* Tags of the plan's line: words with one blank between. */
static bool has_tag(const char *tags, const char *name)
{
	size_t len = strlen(name);

	while (tags && *tags) {
		size_t word = strcspn(tags, " ");

		if (word == len && !memcmp(tags, name, len))
			return true;
		tags += word + (tags[word] == ' ');
	}
	return false;
}

const struct option_set *option_catalog_select(struct option_catalog *catalog, const struct vm *vm,
	const struct dhcp_message *request)
{
	uint64_t planned = 0, matched = 0;
	struct combination *combination;

	for (size_t i = 0; i < catalog->config->tag_count; i++) {
		const struct config_tag *tag = &catalog->config->tags[i];

		if (vm && has_tag(vm->tags, tag->name))
			planned |= UINT64_C(1) << i;
		if (request && matches(tag, request))
			matched |= UINT64_C(1) << i;
	}
	for (size_t i = 0; i < catalog->count; i++) {
		combination = &catalog->combinations[i];
		if (combination->planned == planned && combination->matched == matched)
			return combination->set;
	}
	if (catalog->count == COMBINATIONS_MAX) {
		while (catalog->count)
			option_set_free(catalog->combinations[--catalog->count].set);
	}
	combination = &catalog->combinations[catalog->count++];
	*combination = (struct combination){ planned, matched, combine(catalog, planned, matched) };
	return combination->set;
}

struct option_catalog *option_catalog_new(const struct config *config,
	const struct ip4_prefix *self)
{
	struct option_catalog *catalog = xcalloc(1, sizeof(*catalog));

	catalog->config = config;
	catalog->ground = layer_new(&config->dhcp.options, self, true);
	for (size_t i = 0; i < config->tag_count; i++)
		catalog->tags[i] = layer_new(&config->tags[i].options, self, false);
	return catalog;
}

void option_catalog_free(struct option_catalog *catalog)
{
	if (!catalog)
		return;
	option_set_free(catalog->ground);
	for (size_t i = 0; i < catalog->config->tag_count; i++)
		option_set_free(catalog->tags[i]);
	while (catalog->count)
		option_set_free(catalog->combinations[--catalog->count].set);
	free(catalog);
}
