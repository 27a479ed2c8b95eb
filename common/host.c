/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host owns the questions to the kernel about the links that the configuration names. It must not
 * change any.
 */
#include "common/host.h"

#include <errno.h>
#include <linux/if.h>
#include <stdlib.h>
#include <string.h>

#include "common/bridge.h"
#include "common/netlink_addr.h"

struct look {
	struct nl_sock *route;
	const struct config *config;
	struct problems *problems, *warnings;
};

#define SAY(look, list, section, key, ...)                                                         \
	problem_add((look)->list, (look)->config->path, config_line((look)->config, section, key), \
		__VA_ARGS__)

static bool find_link(struct look *look, const char *section, const char *key, const char *name,
	const char *advice, struct netlink_link *ret_link)
{
	int err = netlink_link_get(look->route, name, ret_link);

	if (err == -ENODEV)
		SAY(look, problems, section, key, "[%s] %s: there is no %s on this host; %s",
			section, key, name, advice);
	else if (err)
		SAY(look, problems, section, key, "[%s] %s: the kernel does not tell of %s: %s",
			section, key, name, strerror(-err));
	return !err;
}

/* The configured address must be one of the bridge's; without one the first is taken. */
static void find_address(struct look *look, const struct netlink_link *bridge, struct host *host)
{
	const struct ip4_prefix *wanted = &look->config->inner.address;
	const char *name = look->config->inner.bridge;
	char text[IP4_PREFIX_STRLEN];
	struct netlink_addr *list;
	size_t count;
	int err = netlink_addr_list(look->route, bridge->index, &list, &count);

	if (err) {
		SAY(look, problems, "inner", "bridge",
			"[inner] bridge: the addresses of %s cannot be read: %s", name,
			strerror(-err));
		return;
	}
	for (size_t i = 0; i < count && !host->inner.addr; i++) {
		if (!wanted->addr ||
			(wanted->addr == list[i].prefix.addr &&
				(!wanted->len || wanted->len == list[i].prefix.len)))
			host->inner = list[i].prefix;
	}
	free(list);
	if (host->inner.addr && (host->inner.len < 8 || host->inner.len > 30)) {
		SAY(look, problems, "inner", "bridge",
			"[inner] bridge: the network %s of %s will not do; "
			"expected a prefix length from 8 to 30",
			ip4_prefix_format(&host->inner, text), name);
		host->inner.addr = 0;
	} else if (!host->inner.addr && wanted->addr) {
		SAY(look, problems, "inner", "address",
			"[inner] address: %s does not have the address %s; "
			"ip address add %s dev %s gives it",
			name,
			wanted->len ? ip4_prefix_format(wanted, text)
				    : ip4_format(wanted->addr, text),
			text, name);
	} else if (!host->inner.addr) {
		SAY(look, problems, "inner", "bridge",
			"[inner] bridge: %s has no IPv4 address; as in the "
			"patent: ip address add 192.168.6.22/24 dev %s",
			name, name);
	}
}

/* Without [inner] address and its length, only the kernel knows the inner network. */
static void check_pool(struct look *look, const struct host *host)
{
	char text[IP4_PREFIX_STRLEN];

	if (!host->inner.addr || look->config->inner.address.len)
		return;
	for (size_t i = 0; i < look->config->outer.pool_count; i++) {
		const struct ip4_range *range = &look->config->outer.pool[i];

		if (range->first <= ip4_prefix_broadcast(&host->inner) &&
			range->last >= ip4_prefix_network(&host->inner))
			SAY(look, problems, "outer", "pool",
				"[outer] pool: it overlaps the network %s of the bridge %s",
				ip4_prefix_format(&host->inner, text), look->config->inner.bridge);
	}
}

static void check_bridge(struct look *look, struct netlink_link *ret_bridge, struct host *host)
{
	const char *name = look->config->inner.bridge;

	if (!find_link(look, "inner", "bridge", name,
		    "ip link add NAME type bridge makes one, and so does [inner] create = yes",
		    ret_bridge))
		return;
	host->bridge_mac = ret_bridge->mac;
	host->bridge_index = ret_bridge->index;
	if (strcmp(ret_bridge->kind, "bridge"))
		SAY(look, problems, "inner", "bridge", "[inner] bridge: %s is not a bridge", name);
	if (!(ret_bridge->flags & IFF_UP))
		SAY(look, problems, "inner", "bridge",
			"[inner] bridge: %s is down; ip link set %s up", name, name);
	find_address(look, ret_bridge, host);
}

static void check_uplink(struct look *look, const struct netlink_link *bridge)
{
	const char *name = look->config->inner.uplink;
	struct netlink_link uplink;

	if (!*name ||
		!find_link(look, "inner", "uplink", name,
			"name the inner network card or leave it empty", &uplink))
		return;
	if (bridge->index && uplink.master != bridge->index)
		SAY(look, problems, "inner", "uplink",
			"[inner] uplink: %s is not a port of %s; "
			"ip link set %s master %s makes it one",
			name, look->config->inner.bridge, name, look->config->inner.bridge);
	else if (!(uplink.flags & IFF_UP))
		SAY(look, warnings, "inner", "uplink",
			"[inner] uplink: %s is down; ip link set %s up", name, name);
}

static void check_outer(struct look *look)
{
	const char *name = look->config->outer.interface;
	struct netlink_link outer;

	if (!find_link(look, "outer", "interface", name, "name the outer network card", &outer))
		return;
	if (outer.master)
		SAY(look, problems, "outer", "interface",
			"[outer] interface: %s is a port of a bridge; public "
			"addresses need an interface that the host itself uses",
			name);
	if (!(outer.flags & IFF_UP))
		SAY(look, warnings, "outer", "interface",
			"[outer] interface: %s is down; ip link set %s up", name, name);
}

int host_check(struct nl_sock *route, const struct config *config, struct host *ret_host,
	struct problems *problems, struct problems *warnings)
{
	struct look look = { route, config, problems, warnings };
	size_t problems_before = problems->count;
	struct netlink_link bridge = { 0 };
	struct host host = { 0 };

	if (!config->inner.bridge)
		; /* which has been said */
	/* a bridge that is still to be made needs no more questions than those asked for it */
	else if (config->inner.create && config->inner.address.len &&
		bridge_ensure(route, config, true, NULL, problems) != 0) {
		host.inner = config->inner.address;
	} else {
		check_bridge(&look, &bridge, &host);
		check_pool(&look, &host);
		check_uplink(&look, &bridge);
	}
	if (config->outer.interface)
		check_outer(&look);
	*ret_host = host;
	return problems->count == problems_before ? 0 : -EINVAL;
}
