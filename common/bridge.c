/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge owns the order in which a bridge comes to be. It must not ask the kernel, nor change
 * anything: that is bridge_kernel.c's.
 */
#include "common/bridge.h"

#include <errno.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

void bridge_facts_done(struct bridge_facts *facts)
{
	for (size_t i = 0; i < facts->item_count; i++) {
		free(facts->items[i].text);
		free(facts->items[i].message);
	}
	free(facts->items);
	free(facts->addresses);
	*facts = (struct bridge_facts){ 0 };
}

#define REFUSE(key, ...) \
	problem_add(problems, config->path, config_line(config, "inner", key), __VA_ARGS__)

static bool has_address(const struct config *config, const struct bridge_facts *facts)
{
	const struct ip4_prefix *wanted = &config->inner.address;

	for (size_t i = 0; i < facts->address_count; i++) {
		if (facts->addresses[i].addr == wanted->addr &&
			facts->addresses[i].len == wanted->len)
			return true;
	}
	return false;
}

static void check_bridge(const struct config *config, const struct bridge_facts *facts,
	struct problems *problems)
{
	const char *bridge = config->inner.bridge;
	char has[IP4_PREFIX_STRLEN], wanted[IP4_PREFIX_STRLEN];

	if (!facts->bridge.index)
		return;
	if (strcmp(facts->bridge.kind, "bridge"))
		REFUSE("bridge", "[inner] bridge: %s is not a bridge; choose another name", bridge);
	/* ours gets its address first, so one with another is somebody else's */
	else if (facts->address_count && !has_address(config, facts))
		REFUSE("address",
			"[inner] address: %s exists and has the address %s; name that one, or give "
			"it the other: ip address add %s dev %s",
			bridge, ip4_prefix_format(&facts->addresses[0], has),
			ip4_prefix_format(&config->inner.address, wanted), bridge);
}

static void check_uplink(const struct config *config, const struct bridge_facts *facts,
	struct problems *problems)
{
	const char *uplink = config->inner.uplink, *bridge = config->inner.bridge;

	if (!*uplink)
		return;
	if (!facts->uplink.index)
		REFUSE("uplink",
			"[inner] uplink: there is no %s on this host; name the inner network card or "
			"leave it empty",
			uplink);
	else if (facts->uplink.master && facts->uplink.master != facts->bridge.index)
		REFUSE("uplink",
			"[inner] uplink: %s is a port of %s; name that one as the bridge, or free it: "
			"ip link set %s nomaster",
			uplink, facts->uplink_master, uplink);
	/* without the spanning tree, two cards on one network are a loop */
	else if (!facts->uplink.master && *facts->other_uplink)
		REFUSE("uplink",
			"[inner] uplink: %s has the port %s already, which is not %s; name that one, "
			"or take it off: ip link set %s nomaster",
			bridge, facts->other_uplink, uplink, facts->other_uplink);
}

static void add(struct bridge_steps *steps, enum bridge_verb verb, size_t item)
{
	steps->list = xrealloc(steps->list, steps->count + 1, sizeof(*steps->list));
	steps->list[steps->count++] = (struct bridge_step){ verb, item };
}

/* Addresses first, which routes need; then routes that gateways of others are reached by. */
static void add_copies(struct bridge_steps *steps, const struct config *config,
	const struct bridge_facts *facts)
{
	char own[IP4_PREFIX_STRLEN];

	ip4_prefix_format(&config->inner.address, own);
	for (size_t i = 0; i < facts->item_count; i++) {
		if (!facts->items[i].is_route && strcmp(facts->items[i].text, own))
			add(steps, BRIDGE_COPY_ITEM, i);
	}
	for (size_t i = 0; i < facts->item_count; i++) {
		if (facts->items[i].is_route && facts->items[i].is_on_link)
			add(steps, BRIDGE_COPY_ITEM, i);
	}
	for (size_t i = 0; i < facts->item_count; i++) {
		if (facts->items[i].is_route && !facts->items[i].is_on_link)
			add(steps, BRIDGE_COPY_ITEM, i);
	}
}

/* Routes first, as those of an address go with it; then secondary addresses before primary ones. */
static void add_drops(struct bridge_steps *steps, const struct bridge_facts *facts)
{
	for (size_t i = facts->item_count; i-- > 0;) {
		if (facts->items[i].is_route)
			add(steps, BRIDGE_DROP_ITEM, i);
	}
	for (size_t i = facts->item_count; i-- > 0;) {
		if (!facts->items[i].is_route)
			add(steps, BRIDGE_DROP_ITEM, i);
	}
}

int bridge_plan(const struct config *config, const struct bridge_facts *facts,
	struct bridge_steps *ret_steps, struct problems *problems)
{
	size_t problems_before = problems->count;
	struct bridge_steps steps = { 0 };

	check_bridge(config, facts, problems);
	check_uplink(config, facts, problems);
	if (problems->count != problems_before)
		return -EINVAL;
	if (!facts->bridge.index)
		add(&steps, BRIDGE_MAKE, 0);
	if (!(facts->bridge.flags & IFF_UP))
		add(&steps, BRIDGE_SET_UP, 0);
	if (!has_address(config, facts))
		add(&steps, BRIDGE_ADD_ADDRESS, 0);
	if (*config->inner.uplink) {
		/* The copies come behind those of the uplink, by which the host goes until then. */
		add_copies(&steps, config, facts);
		if (!facts->uplink.master)
			add(&steps, BRIDGE_ADD_UPLINK, 0);
		if (!(facts->uplink.flags & IFF_UP))
			add(&steps, BRIDGE_SET_UPLINK_UP, 0);
		add_drops(&steps, facts);
	}
	*ret_steps = steps;
	return 0;
}

char *bridge_step_text(const struct config *config, const struct bridge_facts *facts,
	const struct bridge_step *step)
{
	const struct bridge_item *item = facts->items ? &facts->items[step->item] : NULL;
	const char *bridge = config->inner.bridge, *uplink = config->inner.uplink;
	char text[IP4_PREFIX_STRLEN];

	switch (step->verb) {
	case BRIDGE_MAKE:
		return xasprintf("make the bridge %s", bridge);
	case BRIDGE_SET_UP:
		return xasprintf("set %s up", bridge);
	case BRIDGE_ADD_ADDRESS:
		return xasprintf("give %s the address %s", bridge,
			ip4_prefix_format(&config->inner.address, text));
	case BRIDGE_COPY_ITEM:
		return xasprintf("give %s the %s %s of %s", bridge,
			item->is_route ? "route" : "address", item->text, uplink);
	case BRIDGE_ADD_UPLINK:
		return xasprintf("make %s a port of %s%s", uplink, bridge,
			facts->uplink_has_ipv6
				? " (its IPv6 addresses do not move; set them on the "
				  "bridge)"
				: "");
	case BRIDGE_SET_UPLINK_UP:
		return xasprintf("set %s up", uplink);
	case BRIDGE_DROP_ITEM:
		return xasprintf("take the %s %s off %s", item->is_route ? "route" : "address",
			item->text, uplink);
	}
	return NULL;
}

struct mac bridge_mac(const struct config *config, const struct bridge_facts *facts)
{
	uint32_t ip = config->inner.address.addr;

	if (mac_is_host(&facts->uplink.mac))
		return facts->uplink.mac;
	/* locally administered (IEEE 802: the second bit of the first octet) */
	return (struct mac){ { 0x02, 0xe1, (uint8_t)(ip >> 24), (uint8_t)(ip >> 16),
		(uint8_t)(ip >> 8), (uint8_t)ip } };
}
