/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conntrack owns the messages of ctnetlink. It must not know which flows are wrong. */
#include "natmgr/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/attribute.h"
#include "common/memory.h"
#include "common/netlink.h"

/*
 * What names a flow to the kernel. Small, because a guest can open as many flows as conntrack
 * holds: its original tuple as it came (an IPv4 tuple has no more than this), zone and id.
 */
struct doomed_flow {
	uint8_t tuple[72];
	uint8_t tuple_len;
	bool has_zone;
	uint16_t zone; /* network order, as it came */
	uint32_t id;   /* likewise */
};

struct doomed {
	struct doomed_flow *list;
	size_t count, cap;
};

struct walk {
	bool (*stale)(void *ctx, const struct flow *flow);
	void (*each)(void *ctx, const struct flow *flow);
	void *ctx;
	struct doomed doomed;
};

static struct nl_msg *new_message(uint16_t type, int flags)
{
	const struct nfgenmsg header = { .nfgen_family = AF_INET, .version = NFNETLINK_V0 };

	return netlink_message(NFNL_SUBSYS_CTNETLINK << 8 | type, flags, &header, sizeof(header));
}

static bool read_tuple(struct nlattr *tuple, uint32_t *ret_source, uint32_t *ret_destination)
{
	struct nlattr *parts[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1];

	if (!tuple || nla_parse_nested(parts, CTA_TUPLE_MAX, tuple, NULL) || !parts[CTA_TUPLE_IP] ||
		nla_parse_nested(ip, CTA_IP_MAX, parts[CTA_TUPLE_IP], NULL) ||
		!attribute_has(ip[CTA_IP_V4_SRC], 4) || !attribute_has(ip[CTA_IP_V4_DST], 4))
		return false;
	*ret_source = ntohl(attribute_u32(ip[CTA_IP_V4_SRC]));
	*ret_destination = ntohl(attribute_u32(ip[CTA_IP_V4_DST]));
	return true;
}

static void read_ports(struct nlattr *tuple, struct flow *flow)
{
	struct nlattr *parts[CTA_TUPLE_MAX + 1], *proto[CTA_PROTO_MAX + 1];

	flow->protocol = 0;
	flow->destination_port = 0;
	if (nla_parse_nested(parts, CTA_TUPLE_MAX, tuple, NULL) || !parts[CTA_TUPLE_PROTO] ||
		nla_parse_nested(proto, CTA_PROTO_MAX, parts[CTA_TUPLE_PROTO], NULL))
		return;
	flow->protocol = attribute_u8(proto[CTA_PROTO_NUM]);
	flow->destination_port = ntohs(attribute_u16(proto[CTA_PROTO_DST_PORT]));
}

static void doom(struct doomed *doomed, struct nlattr *const *attrs)
{
	struct doomed_flow flow = { 0 };
	int len = nla_len(attrs[CTA_TUPLE_ORIG]);

	if (len > (int)sizeof(flow.tuple) || !attribute_has(attrs[CTA_ID], 4))
		return;
	memcpy(flow.tuple, nla_data(attrs[CTA_TUPLE_ORIG]), (size_t)len);
	flow.tuple_len = (uint8_t)len;
	flow.id = attribute_u32(attrs[CTA_ID]);
	if (attribute_has(attrs[CTA_ZONE], 2)) {
		flow.has_zone = true;
		flow.zone = attribute_u16(attrs[CTA_ZONE]);
	}
	if (doomed->count == doomed->cap) {
		doomed->cap = doomed->cap ? doomed->cap * 2 : 16;
		doomed->list = xrealloc(doomed->list, doomed->cap, sizeof(flow));
	}
	doomed->list[doomed->count++] = flow;
}

static int forget(struct nl_sock *sock, const struct doomed_flow *flow)
{
	struct nl_msg *msg = new_message(IPCTNL_MSG_CT_DELETE, NLM_F_ACK);

	if (!msg)
		return -ENOMEM;
	nla_put(msg, CTA_TUPLE_ORIG | NLA_F_NESTED, flow->tuple_len, flow->tuple);
	if (flow->has_zone)
		nla_put_u16(msg, CTA_ZONE, flow->zone);
	nla_put_u32(msg, CTA_ID, flow->id);
	return netlink_request(sock, msg, NULL, NULL);
}

static void take_flow(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[CTA_MAX + 1];
	struct walk *walk = ctx;
	struct flow flow;

	if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(struct nfgenmsg), attrs,
		    CTA_MAX, NULL) ||
		!read_tuple(attrs[CTA_TUPLE_ORIG], &flow.source, &flow.destination) ||
		!read_tuple(attrs[CTA_TUPLE_REPLY], &flow.reply_source, &flow.reply_destination))
		return;
	read_ports(attrs[CTA_TUPLE_ORIG], &flow);
	if (walk->each)
		walk->each(walk->ctx, &flow);
	if (walk->stale && walk->stale(walk->ctx, &flow))
		doom(&walk->doomed, attrs);
}

static int walk_all(struct nl_sock *sock, struct walk *walk)
{
	struct nl_msg *msg = new_message(IPCTNL_MSG_CT_GET, NLM_F_DUMP);
	int err;

	if (!msg)
		return -ENOMEM;
	err = netlink_request(sock, msg, take_flow, walk);
	/* -EAGAIN: flows came and went meanwhile, as they always do; each was whole */
	return err == -EAGAIN ? 0 : err;
}

/* The kernel goes through its whole hash for a dump, which takes milliseconds, be it empty or not. */
bool conntrack_is_empty(void)
{
	int fd = open("/proc/sys/net/netfilter/nf_conntrack_count", O_RDONLY | O_CLOEXEC);
	char text[2] = "";
	bool none;

	if (fd < 0)
		return false;
	none = read(fd, text, sizeof(text)) == 2 && text[0] == '0' && text[1] == '\n';
	close(fd);
	return none;
}

int conntrack_forget(bool (*stale)(void *ctx, const struct flow *flow), void *ctx,
	size_t *ret_count)
{
	struct walk walk = { .stale = stale, .ctx = ctx };
	struct nl_sock *sock;
	size_t count = 0;
	int err;

	*ret_count = 0;
	if (conntrack_is_empty())
		return 0;
	err = netlink_open(NETLINK_NETFILTER, &sock);
	if (err)
		return err;
	err = walk_all(sock, &walk);
	for (size_t i = 0; i < walk.doomed.count; i++) {
		int deleted = forget(sock, &walk.doomed.list[i]);

		if (!deleted)
			count++;
		else if (deleted != -ENOENT && !err) /* it ended by itself meanwhile */
			err = deleted;
	}
	free(walk.doomed.list);
	netlink_close(sock);
	*ret_count = count;
	return err;
}

int conntrack_list(void (*each)(void *ctx, const struct flow *flow), void *ctx)
{
	struct walk walk = { .each = each, .ctx = ctx };
	struct nl_sock *sock;
	int err;

	if (conntrack_is_empty())
		return 0;
	err = netlink_open(NETLINK_NETFILTER, &sock);

	if (err)
		return err;
	err = walk_all(sock, &walk);
	netlink_close(sock);
	return err;
}
