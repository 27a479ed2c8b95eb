/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bridge_kernel is the hands and eyes of bridge: the netlink messages that it takes. It must not
 * decide what is done, nor in which order.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/attribute.h"
#include "common/bridge.h"
#include "common/memory.h"
#include "common/netlink.h"
#include "common/netlink_addr.h"

/* --- what there is ------------------------------------------------------------------------ */

struct look {
	const struct config *config;
	struct bridge_facts *facts;
};

static bool is_on_uplink(const struct look *look, struct nlattr *index)
{
	return attribute_has(index, 4) &&
		attribute_u32(index) == (uint32_t)look->facts->uplink.index;
}

static void add_item(struct bridge_facts *facts, const struct nlmsghdr *header,
	struct bridge_item item)
{
	item.message = xmemdup(header, header->nlmsg_len);
	facts->items = xrealloc(facts->items, facts->item_count + 1, sizeof(item));
	facts->items[facts->item_count++] = item;
}

static void read_address(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[IFA_MAX + 1];
	const struct ifaddrmsg *ifaddr;
	struct look *look = ctx;
	struct ip4_prefix prefix;
	char text[IP4_PREFIX_STRLEN];

	if (header->nlmsg_type != RTM_NEWADDR ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*ifaddr), attrs, IFA_MAX,
			NULL))
		return;
	ifaddr = nlmsg_data(header);
	if (ifaddr->ifa_index != look->facts->uplink.index)
		return;
	if (ifaddr->ifa_family == AF_INET6 && ifaddr->ifa_scope < RT_SCOPE_LINK)
		look->facts->uplink_has_ipv6 = true;
	if (ifaddr->ifa_family != AF_INET || !attribute_has(attrs[IFA_LOCAL], 4))
		return;
	prefix.addr = ntohl(attribute_u32(attrs[IFA_LOCAL]));
	prefix.len = ifaddr->ifa_prefixlen;
	add_item(look->facts, header,
		(struct bridge_item){ .text = xstrdup(ip4_prefix_format(&prefix, text)) });
}

/* RTNH_OK looks at the length of the hop before it looks whether there is one. */
static bool is_hop(const struct rtnexthop *hop, int left)
{
	return left >= (int)sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left;
}

static struct rtnexthop *next_hop(const struct rtnexthop *hop, int *left)
{
	int len = RTNH_ALIGN((int)hop->rtnh_len);

	*left -= len;
	return (struct rtnexthop *)((uintptr_t)hop + (uintptr_t)len);
}

/* One of the ways of a route that has several goes over the uplink, and is not dead. */
static bool any_hop_on_uplink(const struct look *look, struct nlattr *multipath)
{
	const struct rtnexthop *hop = nla_data(multipath);
	int left = nla_len(multipath);

	for (; is_hop(hop, left); hop = next_hop(hop, &left)) {
		if (hop->rtnh_ifindex == (int)look->facts->uplink.index &&
			!(hop->rtnh_flags & RTNH_F_DEAD))
			return true;
	}
	return false;
}

/* "default via 10.0.0.1", "10.1.0.0/16" */
static char *route_text(const struct rtmsg *route, struct nlattr *const *attrs)
{
	char destination[IP4_PREFIX_STRLEN] = "default", via[IP4_STRLEN] = "";
	struct ip4_prefix prefix = { .len = route->rtm_dst_len };

	if (attribute_has(attrs[RTA_DST], 4)) {
		prefix.addr = ntohl(attribute_u32(attrs[RTA_DST]));
		ip4_prefix_format(&prefix, destination);
	}
	if (attribute_has(attrs[RTA_GATEWAY], 4))
		ip4_format(ntohl(attribute_u32(attrs[RTA_GATEWAY])), via);
	return xasprintf("%s%s%s", destination, *via ? " via " : "", via);
}

static void read_route(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[RTA_MAX + 1];
	const struct rtmsg *route;
	struct look *look = ctx;

	if (header->nlmsg_type != RTM_NEWROUTE ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*route), attrs, RTA_MAX,
			NULL))
		return;
	route = nlmsg_data(header);
	/* the table of local addresses is the kernel's own */
	if (route->rtm_family != AF_INET || route->rtm_flags & RTM_F_CLONED ||
		route->rtm_table == RT_TABLE_LOCAL ||
		(!is_on_uplink(look, attrs[RTA_OIF]) &&
			!(attrs[RTA_MULTIPATH] && any_hop_on_uplink(look, attrs[RTA_MULTIPATH]))))
		return;
	add_item(look->facts, header,
		(struct bridge_item){ .text = route_text(route, attrs),
			.is_route = true,
			.is_on_link = route->rtm_scope >= RT_SCOPE_LINK });
}

/* Backends of Xen's guests look like network cards but for the bus that they are on. */
static bool is_xen_backend(const char *name)
{
	char *path = xasprintf("/sys/class/net/%s/device/subsystem", name), target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);

	free(path);
	target[len > 0 ? len : 0] = '\0';
	return strstr(target, "xen-backend") != NULL;
}

static bool is_vm_port(const char *name, const char *kind)
{
	return !strcmp(kind, "tun") || !strcmp(kind, "veth") || (!*kind && is_xen_backend(name));
}

static void read_port(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1] = { NULL };
	const struct ifinfomsg *ifinfo;
	char name[IFNAMSIZ], kind[16] = "";
	struct look *look = ctx;
	struct bridge_facts *facts = look->facts;

	if (header->nlmsg_type != RTM_NEWLINK ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*ifinfo), attrs, IFLA_MAX,
			NULL) ||
		!attrs[IFLA_IFNAME])
		return;
	ifinfo = nlmsg_data(header);
	nla_strlcpy(name, attrs[IFLA_IFNAME], sizeof(name));
	if ((unsigned)ifinfo->ifi_index == facts->uplink.master)
		memcpy(facts->uplink_master, name, sizeof(name));
	if (!facts->bridge.index || (unsigned)ifinfo->ifi_index == facts->uplink.index ||
		attribute_u32(attrs[IFLA_MASTER]) != facts->bridge.index)
		return;
	if (attrs[IFLA_LINKINFO] &&
		!nla_parse_nested(info, IFLA_INFO_MAX, attrs[IFLA_LINKINFO], NULL) &&
		info[IFLA_INFO_KIND])
		nla_strlcpy(kind, info[IFLA_INFO_KIND], sizeof(kind));
	if (!is_vm_port(name, kind))
		memcpy(facts->other_uplink, name, sizeof(name));
}

/* The whole table of a family; anew if it changed meanwhile. */
static int dump(struct nl_sock *route, uint16_t type, int family, struct look *look,
	void (*each)(void *ctx, const struct nlmsghdr *header))
{
	struct rtgenmsg header = { .rtgen_family = (unsigned char)family };
	size_t items_before = look->facts->item_count;
	int err = -EAGAIN;

	for (int tries = 0; err == -EAGAIN && tries < 5; tries++) {
		struct nl_msg *msg = netlink_message(type, NLM_F_DUMP, &header, sizeof(header));

		if (!msg)
			return -ENOMEM;
		for (; look->facts->item_count > items_before; look->facts->item_count--) {
			free(look->facts->items[look->facts->item_count - 1].text);
			free(look->facts->items[look->facts->item_count - 1].message);
		}
		err = netlink_request(route, msg, each, look);
	}
	return err;
}

static int get_link(struct nl_sock *route, const char *name, struct netlink_link *ret_link)
{
	int err = *name ? netlink_link_get(route, name, ret_link) : -ENODEV;

	return err == -ENODEV ? 0 : err;
}

static int look_at_bridge(struct nl_sock *route, struct bridge_facts *facts)
{
	struct netlink_addr *list;
	size_t count;
	int err;

	if (!facts->bridge.index)
		return 0;
	err = netlink_addr_list(route, facts->bridge.index, &list, &count);
	if (err)
		return err;
	facts->addresses = xcalloc(count, sizeof(*facts->addresses));
	for (; facts->address_count < count; facts->address_count++)
		facts->addresses[facts->address_count] = list[facts->address_count].prefix;
	free(list);
	return 0;
}

static int look_around(struct nl_sock *route, const struct config *config,
	struct bridge_facts *ret_facts)
{
	struct look look = { config, ret_facts };
	int err = get_link(route, config->inner.bridge, &ret_facts->bridge);

	if (!err)
		err = get_link(route, config->inner.uplink, &ret_facts->uplink);
	if (!err)
		err = look_at_bridge(route, ret_facts);
	if (!err && ret_facts->uplink.index)
		err = dump(route, RTM_GETLINK, AF_UNSPEC, &look, read_port);
	if (!err && ret_facts->uplink.index)
		err = dump(route, RTM_GETADDR, AF_UNSPEC, &look, read_address);
	if (!err && ret_facts->uplink.index)
		err = dump(route, RTM_GETROUTE, AF_INET, &look, read_route);
	return err;
}

/* --- what is done ------------------------------------------------------------------------- */

/* The spanning tree off and no delay, so that a port forwards as soon as it is one. */
static int make_bridge(struct nl_sock *route, const struct config *config,
	struct bridge_facts *facts)
{
	struct ifinfomsg ifinfo = { .ifi_family = AF_UNSPEC };
	struct nl_msg *msg = netlink_message(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
		&ifinfo, sizeof(ifinfo));
	struct mac mac = bridge_mac(config, facts);
	struct nlattr *info, *data;
	int err;

	if (!msg)
		return -ENOMEM;
	nla_put_string(msg, IFLA_IFNAME, config->inner.bridge);
	/* one that is given, the kernel does not change as ports come and go */
	nla_put(msg, IFLA_ADDRESS, MAC_LEN, mac.byte);
	info = nla_nest_start(msg, IFLA_LINKINFO);
	nla_put_string(msg, IFLA_INFO_KIND, "bridge");
	data = nla_nest_start(msg, IFLA_INFO_DATA);
	nla_put_u32(msg, IFLA_BR_STP_STATE, 0);
	nla_put_u32(msg, IFLA_BR_FORWARD_DELAY, 0);
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	err = netlink_request(route, msg, NULL, NULL);
	return err ? err : netlink_link_get(route, config->inner.bridge, &facts->bridge);
}

/* master: 0: as it is. */
static int set_link(struct nl_sock *route, unsigned index, unsigned flags, unsigned master)
{
	struct ifinfomsg ifinfo = { .ifi_family = AF_UNSPEC,
		.ifi_index = (int)index,
		.ifi_flags = flags,
		.ifi_change = flags };
	struct nl_msg *msg = netlink_message(RTM_SETLINK, NLM_F_ACK, &ifinfo, sizeof(ifinfo));

	if (!msg)
		return -ENOMEM;
	if (master)
		nla_put_u32(msg, IFLA_MASTER, master);
	return netlink_request(route, msg, NULL, NULL);
}

/* A label eth1:N becomes br0:N, where there is room for it. */
static void put_label(struct nl_msg *msg, struct nlattr *attr, const struct config *config)
{
	size_t len = strlen(config->inner.uplink);
	char label[IFNAMSIZ], *moved;

	nla_strlcpy(label, attr, sizeof(label));
	if (strncmp(label, config->inner.uplink, len) || label[len] != ':')
		return;
	moved = xasprintf("%s%s", config->inner.bridge, label + len);
	if (strlen(moved) < IFNAMSIZ)
		nla_put_string(msg, IFA_LABEL, moved);
	free(moved);
}

static int copy_address(struct nl_sock *route, const struct config *config,
	const struct bridge_facts *facts, const struct bridge_item *item)
{
	struct ifaddrmsg ifaddr = *(struct ifaddrmsg *)nlmsg_data(item->message);
	struct nl_msg *msg;
	struct nlattr *attr;
	int left, err;

	ifaddr.ifa_index = facts->bridge.index;
	msg = netlink_message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &ifaddr,
		sizeof(ifaddr));
	if (!msg)
		return -ENOMEM;
	nlmsg_for_each_attr(attr, item->message, sizeof(ifaddr), left)
	{
		if (nla_type(attr) == IFA_LABEL)
			put_label(msg, attr, config);
		else
			nla_put(msg, nla_type(attr), nla_len(attr), nla_data(attr));
	}
	err = netlink_request(route, msg, NULL, NULL);
	return err == -EEXIST ? 0 : err;
}

static int drop_address(struct nl_sock *route, const struct bridge_item *item)
{
	struct ifaddrmsg ifaddr = *(struct ifaddrmsg *)nlmsg_data(item->message);
	struct nl_msg *msg = netlink_message(RTM_DELADDR, NLM_F_ACK, &ifaddr, sizeof(ifaddr));
	struct nlattr *attr;
	int left, err;

	if (!msg)
		return -ENOMEM;
	nlmsg_for_each_attr(attr, item->message, sizeof(ifaddr), left)
		nla_put(msg, nla_type(attr), nla_len(attr), nla_data(attr));
	err = netlink_request(route, msg, NULL, NULL);
	/* secondary addresses go with their primary one */
	return err == -EADDRNOTAVAIL ? 0 : err;
}

/* The ways of a route that has several: those over `from` go over `to`. */
static void put_multipath(struct nl_msg *msg, struct nlattr *attr, unsigned from, unsigned to)
{
	void *copy = xmemdup(nla_data(attr), (size_t)nla_len(attr));
	struct rtnexthop *hop = copy;
	int left = nla_len(attr);

	for (; is_hop(hop, left); hop = next_hop(hop, &left)) {
		/* the rest of the flags is the kernel's to set */
		hop->rtnh_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE;
		if (hop->rtnh_ifindex == (int)from)
			hop->rtnh_ifindex = (int)to;
	}
	nla_put(msg, RTA_MULTIPATH, nla_len(attr), copy);
	free(copy);
}

/* The route as it is, but over `to` where it was over the uplink. */
static struct nl_msg *route_message(uint16_t type, int flags, const struct bridge_facts *facts,
	const struct bridge_item *item, unsigned to)
{
	struct rtmsg header = *(struct rtmsg *)nlmsg_data(item->message);
	struct nl_msg *msg;
	struct nlattr *attr;
	int left;

	header.rtm_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE;
	msg = netlink_message(type, NLM_F_ACK | flags, &header, sizeof(header));
	if (!msg)
		return NULL;
	nlmsg_for_each_attr(attr, item->message, sizeof(header), left)
	{
		switch (nla_type(attr)) {
		case RTA_OIF:
			nla_put_u32(msg, RTA_OIF, to);
			break;
		case RTA_MULTIPATH:
			put_multipath(msg, attr, facts->uplink.index, to);
			break;
		case RTA_NH_ID:
			/* a nexthop object is of one interface; what it says is in the others */
			break;
		default:
			nla_put(msg, nla_type(attr), nla_len(attr), nla_data(attr));
		}
	}
	return msg;
}

/* Behind one that is there already, which the host goes on by. */
static int copy_route(struct nl_sock *route, const struct bridge_facts *facts,
	const struct bridge_item *item)
{
	struct nl_msg *msg = route_message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, facts, item,
		facts->bridge.index);
	int err = msg ? netlink_request(route, msg, NULL, NULL) : -ENOMEM;

	return err == -EEXIST ? 0 : err;
}

static int drop_route(struct nl_sock *route, const struct bridge_facts *facts,
	const struct bridge_item *item)
{
	struct nl_msg *msg = route_message(RTM_DELROUTE, 0, facts, item, facts->uplink.index);
	int err = msg ? netlink_request(route, msg, NULL, NULL) : -ENOMEM;

	return err == -ESRCH ? 0 : err;
}

static int do_step(struct nl_sock *route, const struct config *config, struct bridge_facts *facts,
	const struct bridge_step *step)
{
	const struct bridge_item *item = facts->items ? &facts->items[step->item] : NULL;
	size_t ignored;

	switch (step->verb) {
	case BRIDGE_MAKE:
		return make_bridge(route, config, facts);
	case BRIDGE_SET_UP:
		return set_link(route, facts->bridge.index, IFF_UP, 0);
	case BRIDGE_ADD_ADDRESS:
		return netlink_addr_change(route, facts->bridge.index,
			&(struct netlink_addr){ .prefix = config->inner.address }, 1, true,
			&ignored);
	case BRIDGE_COPY_ITEM:
		return item->is_route ? copy_route(route, facts, item)
				      : copy_address(route, config, facts, item);
	case BRIDGE_ADD_UPLINK:
		return set_link(route, facts->uplink.index, 0, facts->bridge.index);
	case BRIDGE_SET_UPLINK_UP:
		return set_link(route, facts->uplink.index, IFF_UP, 0);
	case BRIDGE_DROP_ITEM:
		return item->is_route ? drop_route(route, facts, item) : drop_address(route, item);
	}
	return 0;
}

/* --- all of it ---------------------------------------------------------------------------- */

#define REFUSE(...) \
	problem_add(problems, config->path, config_line(config, "inner", "create"), __VA_ARGS__)

static const char *advice(const struct bridge_step *step, int err)
{
	if (step->verb == BRIDGE_MAKE && err == -EOPNOTSUPP)
		return "; the kernel has no bridges: modprobe bridge";
	if (err == -EPERM)
		return "; run it as root";
	return "; what was done before stays, and the next start goes on from here";
}

int bridge_ensure(struct nl_sock *route, const struct config *config, bool dry_run,
	void (*tell)(const char *text), struct problems *problems)
{
	struct bridge_facts facts = { 0 };
	struct bridge_steps steps = { 0 };
	int err = look_around(route, config, &facts);

	if (err)
		REFUSE("[inner] create: the kernel does not tell what there is: %s",
			strerror(-err));
	else
		err = bridge_plan(config, &facts, &steps, problems);
	for (size_t i = 0; !err && i < steps.count; i++) {
		char *text = bridge_step_text(config, &facts, &steps.list[i]);

		if (tell)
			tell(text);
		if (!dry_run)
			err = do_step(route, config, &facts, &steps.list[i]);
		if (err)
			REFUSE("[inner] create: cannot %s: %s%s", text, strerror(-err),
				advice(&steps.list[i], err));
		free(text);
	}
	free(steps.list);
	bridge_facts_done(&facts);
	return err ? -EINVAL : (int)steps.count;
}
