/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink owns the messages of rtnetlink and the way any netlink request is made (libnl-3 core).
 * It must not know which links and addresses matter, nor why.
 */
#include "common/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/attribute.h"
#include "common/memory.h"

/* Messages that one request can leave behind; a dump of every neighbour of a large bridge has fewer. */
#define DRAIN_MAX 100000
/* Changes that are heard in one go; a socket holds some hundreds, more only come meanwhile. */
#define HEAR_MAX 1024
/* Requests that are sent together; their answers fit into the smallest socket buffer. */
#define BATCH 32

/* --- requests ----------------------------------------------------------------------------- */

int netlink_open(int family, struct nl_sock **ret_sock)
{
	struct nl_sock *sock = nl_socket_alloc();
	int err;

	if (!sock)
		return -ENOMEM;
	errno = 0;
	err = nl_connect(sock, family);
	if (err < 0) {
		err = errno ? -errno : -EPROTONOSUPPORT;
		nl_socket_free(sock);
		return err;
	}
	*ret_sock = sock;
	return 0;
}

void netlink_close(struct nl_sock *sock)
{
	if (sock)
		nl_socket_free(sock);
}

/* Of one request, or of several that were sent together. */
struct answer {
	uint32_t first, count; /* their sequence numbers */
	void (*each)(void *ctx, const struct nlmsghdr *header);
	void *ctx;
	int harmless; /* -errno that is as good as 0 */
	bool done;
	int err;         /* the first that was none of both */
	uint32_t failed; /* of which request */
};

/* What a request that failed has left on the socket is no answer to this one. */
static int take_sequence(struct nl_msg *msg, void *arg)
{
	const struct answer *answer = arg;

	return nlmsg_hdr(msg)->nlmsg_seq - answer->first < answer->count ? NL_OK : NL_SKIP;
}

static int take_message(struct nl_msg *msg, void *arg)
{
	struct answer *answer = arg;

	if (answer->each)
		answer->each(answer->ctx, nlmsg_hdr(msg));
	return NL_OK;
}

/* Of several, the last one's. */
static int take_end(struct nl_msg *msg, void *arg)
{
	struct answer *answer = arg;

	(void)msg;
	answer->done = true;
	return NL_STOP;
}

int netlink_error(const struct nlmsgerr *error)
{
	/* as large as errors of Linux get */
	return error->error <= 0 && error->error >= -4095 ? error->error : -EPROTO;
}

static int take_error(struct sockaddr_nl *peer, struct nlmsgerr *error, void *arg)
{
	struct answer *answer = arg;
	uint32_t which = error->msg.nlmsg_seq - answer->first, last = answer->count - 1;
	int err = netlink_error(error);

	(void)peer;
	if (err != answer->harmless && !answer->err) {
		answer->err = err;
		answer->failed = which < last ? which : last;
	}
	if (which < last)
		return NL_SKIP;
	answer->done = true;
	return NL_STOP;
}

static int take_interrupted(struct nl_msg *msg, void *arg)
{
	struct answer *answer = arg;

	(void)msg;
	answer->err = -EAGAIN;
	return NL_OK;
}

/* The kernel begins no dump on a socket while another one is under way. */
static void drain(struct nl_sock *sock)
{
	uint8_t buffer[256];

	/* the rest of a longer message goes as well */
	for (unsigned i = 0; i < DRAIN_MAX; i++) {
		if (recv(nl_socket_get_fd(sock), buffer, sizeof(buffer), MSG_DONTWAIT) < 0 &&
			errno != ENOBUFS)
			break;
	}
}

/* Refusals are told in any case; that all is done, only for the last. */
static int send_all(struct nl_sock *sock, struct nl_msg *const *msgs, struct answer *answer)
{
	struct iovec parts[BATCH];

	for (uint32_t i = 0; i < answer->count; i++) {
		nl_complete_msg(sock, msgs[i]);
		if (i + 1 < answer->count)
			nlmsg_hdr(msgs[i])->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
		parts[i] = (struct iovec){ nlmsg_hdr(msgs[i]), nlmsg_hdr(msgs[i])->nlmsg_len };
	}
	answer->first = nlmsg_hdr(msgs[0])->nlmsg_seq;
	return nl_send_iovec(sock, msgs[0], parts, answer->count);
}

static int exchange(struct nl_sock *sock, struct nl_msg *const *msgs, struct answer *answer)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int err;

	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, take_sequence, answer);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, take_message, answer);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, take_end, answer);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, take_end, answer);
	nl_cb_set(cb, NL_CB_DUMP_INTR, NL_CB_CUSTOM, take_interrupted, answer);
	nl_cb_err(cb, NL_CB_CUSTOM, take_error, answer);
	errno = 0;
	err = send_all(sock, msgs, answer);
	while (err >= 0 && !answer->done)
		err = nl_recvmsgs(sock, cb);
	nl_cb_put(cb);
	if (err < 0 && !answer->done) {
		/* libnl's own numbers say little; errno is what the socket said */
		err = errno ? -errno : -EIO;
		drain(sock);
		return err;
	}
	return answer->err;
}

/* Frees the messages. */
static int request(struct nl_sock *sock, struct nl_msg *const *msgs, struct answer *answer)
{
	int err = exchange(sock, msgs, answer);

	for (uint32_t i = 0; i < answer->count; i++)
		nlmsg_free(msgs[i]);
	return err;
}

int netlink_request(struct nl_sock *sock, struct nl_msg *msg,
	void (*each)(void *ctx, const struct nlmsghdr *header), void *ctx)
{
	struct answer answer = { .count = 1, .each = each, .ctx = ctx };

	return request(sock, &msg, &answer);
}

static struct nl_msg *new_message(uint16_t type, int flags, const void *payload, size_t len)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (msg && nlmsg_append(msg, (void *)(uintptr_t)payload, len, NLMSG_ALIGNTO) == 0)
		return msg;
	if (msg)
		nlmsg_free(msg);
	return NULL;
}

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
	struct nl_msg *msg = new_message(RTM_GETLINK, NLM_F_REQUEST, &ifinfo, sizeof(ifinfo));
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
	struct nl_msg *msg = new_message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, &ifinfo,
		sizeof(ifinfo));

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
	struct nl_msg *msg = new_message(RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, &ifinfo,
		sizeof(ifinfo));
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

struct fdb_walk {
	unsigned bridge_index;
	void (*each)(void *ctx, const struct mac *mac, unsigned port);
	void *ctx;
};

static void read_fdb(void *ctx, const struct nlmsghdr *header)
{
	struct nlattr *attrs[NDA_MAX + 1];
	struct fdb_walk *walk = ctx;
	const struct ndmsg *neighbour;
	struct mac mac;

	if (header->nlmsg_type != RTM_NEWNEIGH ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*neighbour), attrs,
			NDA_MAX, NULL))
		return;
	neighbour = nlmsg_data(header);
	if (neighbour->ndm_family != AF_BRIDGE || !attribute_mac(attrs[NDA_LLADDR], &mac) ||
		attribute_u32(attrs[NDA_MASTER]) != walk->bridge_index)
		return;
	walk->each(walk->ctx, &mac, (unsigned)neighbour->ndm_ifindex);
}

int netlink_fdb_list(struct nl_sock *sock, unsigned bridge_index,
	void (*each)(void *ctx, const struct mac *mac, unsigned port), void *ctx)
{
	struct ifinfomsg ifinfo = { .ifi_family = AF_BRIDGE };
	struct fdb_walk walk = { bridge_index, each, ctx };
	struct nl_msg *msg = new_message(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, &ifinfo,
		sizeof(ifinfo));

	if (!msg)
		return -ENOMEM;
	nla_put_u32(msg, IFLA_MASTER, bridge_index);
	return netlink_request(sock, msg, read_fdb, &walk);
}

struct fdb_search {
	struct fdb_walk walk;
	struct mac mac;
	unsigned port; /* 0: nowhere */
};

static void take_found(void *ctx, const struct mac *mac, unsigned port)
{
	struct fdb_search *search = ctx;

	if (mac_equal(mac, &search->mac))
		search->port = port;
}

static void read_found(void *ctx, const struct nlmsghdr *header)
{
	struct fdb_search *search = ctx;

	read_fdb(&search->walk, header);
}

int netlink_fdb_find(struct nl_sock *sock, const struct netlink_link *bridge, const struct mac *mac,
	unsigned *ret_port)
{
	const struct ndmsg neighbour = { .ndm_family = AF_BRIDGE };
	struct fdb_search search = { .mac = *mac };
	struct nl_msg *msg = new_message(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_ACK, &neighbour,
		sizeof(neighbour));
	int err;

	if (!msg)
		return -ENOMEM;
	search.walk = (struct fdb_walk){ bridge->index, take_found, &search };
	nla_put(msg, NDA_LLADDR, MAC_LEN, mac->byte);
	nla_put_u32(msg, NDA_MASTER, bridge->index);
	if (bridge->vlan)
		nla_put_u16(msg, NDA_VLAN, bridge->vlan);
	err = netlink_request(sock, msg, read_found, &search);
	if (err)
		return err;
	if (!search.port)
		return -ENOENT;
	*ret_port = search.port;
	return 0;
}

/* --- addresses ---------------------------------------------------------------------------- */

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
		struct nl_msg *msg = new_message(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, &ifaddr,
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
		? new_message(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, &ifaddr,
			  sizeof(ifaddr))
		: new_message(RTM_DELADDR, NLM_F_REQUEST, &ifaddr, sizeof(ifaddr));

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

	for (size_t i = 0; !err && i < count; i += BATCH) {
		struct answer answer = { .harmless = add ? -EEXIST : -EADDRNOTAVAIL };
		struct nl_msg *msgs[BATCH];

		while (answer.count < BATCH && i + answer.count < count) {
			msgs[answer.count] = addr_message(link_index, &list[i + answer.count], add);
			if (!msgs[answer.count])
				break;
			answer.count++;
		}
		if (!answer.count)
			return -ENOMEM;
		err = request(sock, msgs, &answer);
		*ret_failed = i + answer.failed;
	}
	return err;
}

/* --- neighbours --------------------------------------------------------------------------- */

static int neighbour_request(struct nl_sock *sock, uint16_t type, unsigned link_index, uint32_t ip,
	void (*each)(void *ctx, const struct nlmsghdr *header), void *ctx)
{
	struct ndmsg neighbour = { .ndm_family = AF_INET, .ndm_ifindex = (int)link_index };
	struct nl_msg *msg = new_message(type, NLM_F_REQUEST | NLM_F_ACK, &neighbour,
		sizeof(neighbour));

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

/* --- changes ------------------------------------------------------------------------------ */

int netlink_listen(int group, int other_group, struct nl_sock **ret_sock)
{
	struct nl_sock *sock;
	int err = netlink_open(NETLINK_ROUTE, &sock);

	if (err)
		return err;
	nl_socket_disable_seq_check(sock);
	if (nl_socket_set_nonblocking(sock) ||
		nl_socket_add_memberships(sock, group, other_group, 0)) {
		netlink_close(sock);
		return -EPROTONOSUPPORT;
	}
	*ret_sock = sock;
	return 0;
}

/*
 * The kernel says once that its word was lost, and from then on keeps nothing more for us until all
 * that it has kept is read.
 */
int netlink_hear(struct nl_sock *sock, void (*each)(void *ctx, const struct nlmsghdr *header),
	void *ctx)
{
	struct answer answer = { .each = each, .ctx = ctx };
	int lost = 0;

	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, take_message, &answer);
	for (unsigned i = 0; i < HEAR_MAX; i++) {
		int err = nl_recvmsgs_default(sock);

		if (err == -NLE_AGAIN)
			return lost;
		if (err < 0)
			lost = -ENOBUFS;
	}
	return -EAGAIN;
}

struct change {
	bool addresses, links;
};

static void note_change(void *ctx, const struct nlmsghdr *header)
{
	struct change *change = ctx;

	if (header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR)
		change->addresses = true;
	else
		change->links = true;
}

static void monitor_ready(void *ctx, uint32_t events)
{
	struct netlink_monitor *monitor = ctx;
	struct change change = { 0 };

	(void)events;
	/* what was lost may have been about links */
	if (netlink_hear(monitor->sock, note_change, &change))
		change.links = true;
	if (change.links || change.addresses)
		monitor->changed(monitor->ctx, change.links);
}

int netlink_monitor_start(struct netlink_monitor *monitor, struct loop *loop,
	void (*changed)(void *ctx, bool links), void *ctx)
{
	int err = netlink_listen(RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, &monitor->sock);

	if (err)
		return err;
	monitor->loop = loop;
	monitor->changed = changed;
	monitor->ctx = ctx;
	loop_watch(loop, &monitor->watch, nl_socket_get_fd(monitor->sock), EPOLLIN, monitor_ready,
		monitor);
	return 0;
}

void netlink_monitor_stop(struct netlink_monitor *monitor)
{
	if (!monitor->sock)
		return;
	loop_unwatch(monitor->loop, &monitor->watch);
	netlink_close(monitor->sock);
	monitor->sock = NULL;
}

static void note_learned(void *ctx, const struct nlmsghdr *header)
{
	const struct netlink_fdb_monitor *monitor = ctx;
	struct fdb_walk walk = { monitor->bridge_index, monitor->learned, monitor->ctx };

	read_fdb(&walk, header);
}

static void fdb_monitor_ready(void *ctx, uint32_t events)
{
	struct netlink_fdb_monitor *monitor = ctx;

	(void)events;
	if (netlink_hear(monitor->sock, note_learned, monitor))
		monitor->missed(monitor->ctx);
}

int netlink_fdb_monitor_start(struct netlink_fdb_monitor *monitor, struct loop *loop)
{
	int err = netlink_listen(RTNLGRP_NEIGH, 0, &monitor->sock);

	if (err)
		return err;
	monitor->loop = loop;
	loop_watch(loop, &monitor->watch, nl_socket_get_fd(monitor->sock), EPOLLIN,
		fdb_monitor_ready, monitor);
	return 0;
}

void netlink_fdb_monitor_stop(struct netlink_fdb_monitor *monitor)
{
	if (!monitor->sock)
		return;
	loop_unwatch(monitor->loop, &monitor->watch);
	netlink_close(monitor->sock);
	monitor->sock = NULL;
}
