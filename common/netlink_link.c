/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink_link owns the messages of rtnetlink about links, and about ports of a bridge. It must not
 * know which of them matter, nor why.
 */
#include "common/netlink_link.h"

#include <arpa/inet.h> /* musl's must come before linux/in6.h */
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

#include "common/attribute.h"
#include "common/netlink.h"

/* --- links -------------------------------------------------------------------------------- */

static void read_vlan(struct netlink_link *link, struct nlattr *data)
{
	struct nlattr *bridge[IFLA_BR_MAX + 1];

	if (!nla_parse_nested(bridge, IFLA_BR_MAX, data, NULL) &&
		attribute_u8(bridge[IFLA_BR_VLAN_FILTERING]))
		link->vlan = attribute_u16(bridge[IFLA_BR_VLAN_DEFAULT_PVID]);
}

void netlink_link_read(const struct nlmsghdr *header, struct netlink_link *link)
{
	struct nlattr *attrs[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1] = { NULL };
	struct nlattr *port[IFLA_BRPORT_MAX + 1];
	const struct ifinfomsg *ifinfo;

	if ((header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK) ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*ifinfo), attrs, IFLA_MAX,
			NULL))
		return;
	ifinfo = nlmsg_data(header);
	link->index = (unsigned)ifinfo->ifi_index;
	link->flags = ifinfo->ifi_flags;
	if (attrs[IFLA_IFNAME])
		nla_strlcpy(link->name, attrs[IFLA_IFNAME], sizeof(link->name));
	link->master = attribute_u32(attrs[IFLA_MASTER]);
	(void)attribute_mac(attrs[IFLA_ADDRESS], &link->mac);
	if (attrs[IFLA_LINKINFO] &&
		!nla_parse_nested(info, IFLA_INFO_MAX, attrs[IFLA_LINKINFO], NULL) &&
		info[IFLA_INFO_KIND])
		nla_strlcpy(link->kind, info[IFLA_INFO_KIND], sizeof(link->kind));
	if (attrs[IFLA_LINKINFO] && info[IFLA_INFO_DATA] && !strcmp(link->kind, "bridge"))
		read_vlan(link, info[IFLA_INFO_DATA]);
	if (attrs[IFLA_LINKINFO] && info[IFLA_INFO_SLAVE_KIND] && info[IFLA_INFO_SLAVE_DATA] &&
		!nla_strcmp(info[IFLA_INFO_SLAVE_KIND], "bridge") &&
		!nla_parse_nested(port, IFLA_BRPORT_MAX, info[IFLA_INFO_SLAVE_DATA], NULL)) {
		link->is_port = true;
		link->hairpin = attribute_u8(port[IFLA_BRPORT_MODE]);
		link->group_fwd_mask = attribute_u16(port[IFLA_BRPORT_GROUP_FWD_MASK]);
	}
}

static void read_link(void *ctx, const struct nlmsghdr *header)
{
	netlink_link_read(header, ctx);
}

/* By name, or by index where that is NULL. */
static int get_link(struct nl_sock *sock, const char *name, unsigned index,
	struct netlink_link *ret_link)
{
	struct ifinfomsg ifinfo = { .ifi_family = AF_UNSPEC, .ifi_index = (int)index };
	struct nl_msg *msg = netlink_message(RTM_GETLINK, 0, &ifinfo, sizeof(ifinfo));
	struct netlink_link link = { 0 };
	int err;

	if (!msg)
		return -ENOMEM;
	if (name)
		nla_put_string(msg, IFLA_IFNAME, name);
	err = netlink_request(sock, msg, read_link, &link);
	if (err)
		return err;
	if (!link.index)
		return -ENODEV;
	*ret_link = link;
	return 0;
}

int netlink_link_get(struct nl_sock *sock, const char *name, struct netlink_link *ret_link)
{
	return get_link(sock, name, 0, ret_link);
}

int netlink_link_get_index(struct nl_sock *sock, unsigned index, struct netlink_link *ret_link)
{
	return get_link(sock, NULL, index, ret_link);
}

/* --- bridge ports ------------------------------------------------------------------------- */

struct port_walk {
	unsigned bridge_index;
	void (*each)(void *ctx, const struct netlink_link *port);
	void *ctx;
};

static void read_port(void *ctx, const struct nlmsghdr *header)
{
	const struct port_walk *walk = ctx;
	struct netlink_link link = { 0 };

	netlink_link_read(header, &link);
	if (link.index && (walk->bridge_index ? link.master == walk->bridge_index : link.is_port))
		walk->each(walk->ctx, &link);
}

int netlink_port_list(struct nl_sock *sock, unsigned bridge_index,
	void (*each)(void *ctx, const struct netlink_link *port), void *ctx)
{
	struct ifinfomsg ifinfo = { .ifi_family = AF_UNSPEC };
	struct port_walk walk = { bridge_index, each, ctx };
	struct nl_msg *msg = netlink_message(RTM_GETLINK, NLM_F_DUMP, &ifinfo, sizeof(ifinfo));

	if (!msg)
		return -ENOMEM;
	/* older kernels tell of all links */
	if (bridge_index)
		nla_put_u32(msg, IFLA_MASTER, bridge_index);
	return netlink_request(sock, msg, read_port, &walk);
}

static int set_port(struct nl_sock *sock, unsigned index, int attribute, const void *value, int len)
{
	struct ifinfomsg ifinfo = { .ifi_family = AF_BRIDGE, .ifi_index = (int)index };
	struct nl_msg *msg = netlink_message(RTM_SETLINK, NLM_F_ACK, &ifinfo, sizeof(ifinfo));
	struct nlattr *nest;

	if (!msg)
		return -ENOMEM;
	nest = nla_nest_start(msg, IFLA_PROTINFO | NLA_F_NESTED);
	nla_put(msg, attribute, len, value);
	nla_nest_end(msg, nest);
	return netlink_request(sock, msg, NULL, NULL);
}

int netlink_port_set_hairpin(struct nl_sock *sock, unsigned index)
{
	const uint8_t on = 1;

	return set_port(sock, index, IFLA_BRPORT_MODE, &on, sizeof(on));
}

int netlink_port_set_group_fwd_mask(struct nl_sock *sock, unsigned index, uint16_t mask)
{
	return set_port(sock, index, IFLA_BRPORT_GROUP_FWD_MASK, &mask, sizeof(mask));
}
