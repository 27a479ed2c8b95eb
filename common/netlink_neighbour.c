/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink_neighbour owns the messages of rtnetlink about hardware addresses of IPv4 neighbours. It
 * must not know why one is wrong.
 */
#include "common/netlink_neighbour.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

#include "common/attribute.h"
#include "common/netlink.h"

static int neighbour_request(struct nl_sock *sock, uint16_t type, unsigned link_index, uint32_t ip,
	void (*each)(void *ctx, const struct nlmsghdr *header), void *ctx)
{
	struct ndmsg neighbour = { .ndm_family = AF_INET, .ndm_ifindex = (int)link_index };
	struct nl_msg *msg = netlink_message(type, NLM_F_ACK, &neighbour, sizeof(neighbour));

	if (!msg)
		return -ENOMEM;
	nla_put_u32(msg, NDA_DST, htonl(ip));
	return netlink_request(sock, msg, each, ctx);
}

struct neighbour_check {
	const struct mac *mac;
	bool is_wrong;
};

static void check_neighbour(void *ctx, const struct nlmsghdr *header)
{
	struct neighbour_check *check = ctx;
	struct nlattr *attrs[NDA_MAX + 1];
	const struct ndmsg *neighbour;

	if (header->nlmsg_type != RTM_NEWNEIGH ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*neighbour), attrs,
			NDA_MAX, NULL))
		return;
	neighbour = nlmsg_data(header);
	check->is_wrong = !(neighbour->ndm_state & (NUD_PERMANENT | NUD_NOARP)) &&
		attribute_has(attrs[NDA_LLADDR], MAC_LEN) &&
		memcmp(nla_data(attrs[NDA_LLADDR]), check->mac->byte, MAC_LEN) != 0;
}

int netlink_neighbour_forget(struct nl_sock *sock, unsigned link_index, uint32_t ip,
	const struct mac *mac)
{
	struct neighbour_check check = { .mac = mac };
	int err = neighbour_request(sock, RTM_GETNEIGH, link_index, ip, check_neighbour, &check);

	if (err == -EOPNOTSUPP)
		check.is_wrong = true;
	else if (err)
		return err == -ENOENT ? 0 : err;
	if (check.is_wrong)
		err = neighbour_request(sock, RTM_DELNEIGH, link_index, ip, NULL, NULL);
	return err == -ENOENT ? 0 : err;
}
