/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink_addr owns the messages of rtnetlink about IPv4 addresses. It must not know which of them
 * matter, nor why.
 */
#include "common/netlink_addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>

#include "common/attribute.h"
#include "common/memory.h"
#include "common/netlink.h"

struct addr_list {
	unsigned link_index;
	struct netlink_addr *list;
	size_t count, cap;
};

unsigned netlink_addr_read(const struct nlmsghdr *header, struct netlink_addr *ret_addr)
{
	struct nlattr *attrs[IFA_MAX + 1];
	const struct ifaddrmsg *ifaddr;
	struct netlink_addr addr = { 0 };

	if ((header->nlmsg_type != RTM_NEWADDR && header->nlmsg_type != RTM_DELADDR) ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*ifaddr), attrs, IFA_MAX,
			NULL))
		return 0;
	ifaddr = nlmsg_data(header);
	if (ifaddr->ifa_family != AF_INET || !attribute_has(attrs[IFA_LOCAL], 4) ||
		ifaddr->ifa_prefixlen > 32)
		return 0;
	addr.prefix.addr = ntohl(attribute_u32(attrs[IFA_LOCAL]));
	addr.prefix.len = ifaddr->ifa_prefixlen;
	addr.secondary = ifaddr->ifa_flags & IFA_F_SECONDARY;
	if (attrs[IFA_LABEL])
		nla_strlcpy(addr.label, attrs[IFA_LABEL], sizeof(addr.label));
	*ret_addr = addr;
	return ifaddr->ifa_index;
}

static void read_addr(void *ctx, const struct nlmsghdr *header)
{
	struct addr_list *found = ctx;
	struct netlink_addr addr;

	if (netlink_addr_read(header, &addr) != found->link_index)
		return;
	if (found->count == found->cap) {
		found->cap = found->cap ? found->cap * 2 : 16;
		found->list = xrealloc(found->list, found->cap, sizeof(addr));
	}
	found->list[found->count++] = addr;
}

int netlink_addr_list(struct nl_sock *sock, unsigned link_index, struct netlink_addr **ret_list,
	size_t *ret_count)
{
	struct ifaddrmsg ifaddr = { .ifa_family = AF_INET, .ifa_index = link_index };
	struct addr_list found = { .link_index = link_index };
	int err = -EAGAIN;

	for (int tries = 0; err == -EAGAIN && tries < 5; tries++) {
		struct nl_msg *msg = netlink_message(RTM_GETADDR, NLM_F_DUMP, &ifaddr,
			sizeof(ifaddr));

		if (!msg)
			return -ENOMEM;
		found.count = 0;
		err = netlink_request(sock, msg, read_addr, &found);
	}
	if (err) {
		free(found.list);
		return err;
	}
	*ret_list = found.list;
	*ret_count = found.count;
	return 0;
}

static struct nl_msg *addr_message(unsigned link_index, const struct netlink_addr *change, bool add)
{
	const struct ip4_prefix *prefix = &change->prefix;
	const struct ifaddrmsg ifaddr = { .ifa_family = AF_INET,
		.ifa_prefixlen = prefix->len,
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = link_index };
	struct nl_msg *msg = add
		? netlink_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &ifaddr, sizeof(ifaddr))
		: netlink_message(RTM_DELADDR, 0, &ifaddr, sizeof(ifaddr));

	if (!msg)
		return NULL;
	nla_put_u32(msg, IFA_LOCAL, htonl(prefix->addr));
	nla_put_u32(msg, IFA_ADDRESS, htonl(prefix->addr));
	if (add && *change->label)
		nla_put_string(msg, IFA_LABEL, change->label);
	if (add && prefix->len < 31)
		nla_put_u32(msg, IFA_BROADCAST, htonl(ip4_prefix_broadcast(prefix)));
	return msg;
}

int netlink_addr_change(struct nl_sock *sock, unsigned link_index, const struct netlink_addr *list,
	size_t count, bool add, size_t *ret_failed)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i += NETLINK_BATCH) {
		struct nl_msg *msgs[NETLINK_BATCH];
		uint32_t ready = 0, failed;

		while (ready < NETLINK_BATCH && i + ready < count) {
			msgs[ready] = addr_message(link_index, &list[i + ready], add);
			if (!msgs[ready])
				break;
			ready++;
		}
		if (!ready)
			return -ENOMEM;
		err = netlink_request_all(sock, msgs, ready, add ? -EEXIST : -EADDRNOTAVAIL,
			&failed);
		*ret_failed = i + failed;
	}
	return err;
}
