/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel that answers netlink requests with any octets: links, addresses, bridge ports, learned
 * MACs, routes, conntrack's flows, nf_tables' tables, and the monitors of changes. Nothing is read
 * beyond an attribute, and what is taken is sound.
 *
 * It stands where the system calls are, so all of libnl and of ours is behind it. The first octet
 * chooses what is asked. Then come datagrams, each after its length in two octets, of which the
 * highest bit says that it keeps its sequence numbers; the others get those of the request, as no
 * answer would find it by chance. A datagram of no length ends an answer, as does the end of all.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/bridge.h"
#include "common/host.h"
#include "common/netlink_addr.h"
#include "common/netlink_fdb.h"
#include "common/netlink_monitor.h"
#include "common/netlink_neighbour.h"
#include "natmgr/conntrack.h"
#include "natmgr/nft.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/bridge.h"

/* --- the kernel --------------------------------------------------------------------------- */

static struct {
	const uint8_t *data;
	size_t size;
	uint32_t sequence; /* of the last request */
	bool asked;        /* and not all of the answer was given */
	uint8_t datagram[32768] __attribute__((aligned(8)));
	size_t len; /* 0: the next one is to be taken */
} script;

static void put_end(void)
{
	const struct nlmsghdr done = { .nlmsg_len = NLMSG_LENGTH(4),
		.nlmsg_type = NLMSG_DONE,
		.nlmsg_flags = NLM_F_MULTI,
		.nlmsg_seq = script.sequence };

	memset(script.datagram, 0, NLMSG_LENGTH(4));
	memcpy(script.datagram, &done, sizeof(done));
	script.len = NLMSG_LENGTH(4);
	script.asked = false;
}

/* Nothing follows what ends an answer. */
static void put_sequence(void)
{
	struct nlmsghdr header;

	for (size_t at = 0; at + sizeof(header) <= script.len;
		at += NLMSG_ALIGN(header.nlmsg_len)) {
		memcpy(&header, script.datagram + at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > script.len - at)
			break;
		header.nlmsg_seq = script.sequence;
		memcpy(script.datagram + at, &header, sizeof(header));
		if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR)
			script.asked = false;
	}
}

/* False: there is nothing to receive. */
static bool next_datagram(void)
{
	size_t head, len;

	if (script.len || !script.asked)
		return script.len != 0;
	head = script.size >= 2 ? (size_t)(script.data[0] | script.data[1] << 8) : 0;
	if (script.size >= 2) {
		script.data += 2;
		script.size -= 2;
	}
	len = head & 0x7fff; /* no more than a datagram holds */
	if (len > script.size)
		len = script.size;
	if (!len) {
		put_end();
		return true;
	}
	memcpy(script.datagram, script.data, len);
	script.data += len;
	script.size -= len;
	script.len = len;
	if (!(head & 0x8000))
		put_sequence();
	return true;
}

static ssize_t receive(struct iovec *iov, int flags, int *ret_flags)
{
	size_t len;

	if (!next_datagram()) {
		errno = EAGAIN;
		return -1;
	}
	len = script.len < iov->iov_len ? script.len : iov->iov_len;
	memcpy(iov->iov_base, script.datagram, len);
	*ret_flags = len < script.len ? MSG_TRUNC : 0;
	if (flags & MSG_TRUNC)
		len = script.len;
	if (!(flags & MSG_PEEK))
		script.len = 0;
	return (ssize_t)len;
}

/* The system calls, as libnl and our code see them. */
ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	(void)fd;
	message->msg_controllen = 0;
	message->msg_namelen = sizeof(kernel);
	memcpy(message->msg_name, &kernel, sizeof(kernel));
	return receive(message->msg_iov, flags, &message->msg_flags);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	struct iovec iov = { buffer, size };
	int ret_flags;

	(void)fd;
	return receive(&iov, flags, &ret_flags);
}

/* An answer is to the last message of a request. */
static ssize_t take_request(const uint8_t *data, size_t len)
{
	struct nlmsghdr header;

	for (size_t at = 0; at + sizeof(header) <= len; at += NLMSG_ALIGN(header.nlmsg_len)) {
		memcpy(&header, data + at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > len - at)
			abort();
		if (header.nlmsg_type != NFNL_MSG_BATCH_END)
			script.sequence = header.nlmsg_seq;
	}
	script.asked = true;
	script.len = 0;
	return (ssize_t)len;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t sent = 0;

	(void)fd;
	(void)flags;
	for (size_t i = 0; i < message->msg_iovlen; i++)
		sent += take_request(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
	return sent;
}

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
	socklen_t to_len)
{
	(void)fd;
	(void)flags;
	(void)to;
	(void)to_len;
	return take_request(data, len);
}

/* conntrack looks at the number of flows first, and asks where it cannot be read. */
int open(const char *path, int flags, ...)
{
	if (!strncmp(path, "/proc/sys/net/", 14)) {
		errno = ENOENT;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

/* Those of libnl do not look how long an attribute is, and are out of a sanitizer's sight. */
uint8_t nla_get_u8(const struct nlattr *attr)
{
	if (nla_len(attr) < 1)
		abort();
	return *(uint8_t *)nla_data(attr);
}

uint16_t nla_get_u16(const struct nlattr *attr)
{
	if (nla_len(attr) < 2)
		abort();
	return *(uint16_t *)nla_data(attr);
}

uint32_t nla_get_u32(const struct nlattr *attr)
{
	if (nla_len(attr) < 4)
		abort();
	return *(uint32_t *)nla_data(attr);
}

char *nla_get_string(const struct nlattr *attr)
{
	if (!memchr(nla_data(attr), '\0', (size_t)nla_len(attr)))
		abort();
	return nla_data(attr);
}

/* --- what is asked ------------------------------------------------------------------------ */

static const char config_text[] = "[inner]\nbridge = br0\nuplink = eth1\ncreate = yes\n"
				  "address = 192.168.6.22/24\n"
				  "[outer]\ninterface = eth0\npool = 20.251.48.99\n";

static void check_link(void *ctx, const struct netlink_link *link)
{
	(void)ctx;
	if (!memchr(link->name, '\0', sizeof(link->name)) ||
		!memchr(link->kind, '\0', sizeof(link->kind)) || !link->index)
		abort();
}

static void ask_link(struct nl_sock *sock, const struct config *config)
{
	struct netlink_link link;

	(void)config;
	if (!netlink_link_get(sock, "br0", &link))
		check_link(NULL, &link);
}

static void ask_ports(struct nl_sock *sock, const struct config *config)
{
	(void)config;
	(void)netlink_port_list(sock, 3, check_link, NULL);
}

static void ask_addresses(struct nl_sock *sock, const struct config *config)
{
	struct netlink_addr *list;
	size_t count;

	(void)config;
	if (netlink_addr_list(sock, 2, &list, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		if (list[i].prefix.len > 32 || !memchr(list[i].label, '\0', sizeof(list[i].label)))
			abort();
	}
	free(list);
}

static void take_mac(void *ctx, const struct mac *mac, unsigned port)
{
	uint64_t *sum = ctx;

	*sum += mac->byte[0] + port;
}

static void ask_macs(struct nl_sock *sock, const struct config *config)
{
	uint64_t sum = 0;

	(void)config;
	(void)netlink_fdb_list(sock, 3, take_mac, &sum);
}

static void take_change(void *ctx, bool links)
{
	(void)ctx;
	(void)links;
}

static void take_loss(void *ctx)
{
	(void)ctx;
}

/* Nobody asks before these: the kernel speaks by itself. */
static void hear_changes(struct nl_sock *sock, const struct config *config)
{
	struct netlink_fdb_monitor learned = {
		.bridge_index = 3, .learned = take_mac, .missed = take_loss
	};
	struct netlink_monitor changes;
	struct loop *loop;
	uint64_t sum = 0;

	(void)sock;
	(void)config;
	learned.ctx = &sum;
	if (loop_new(&loop) || netlink_monitor_start(&changes, loop, take_change, NULL) ||
		netlink_fdb_monitor_start(&learned, loop))
		abort();
	script.asked = true;
	changes.watch.ready(changes.watch.ctx, EPOLLIN);
	script.asked = true;
	learned.watch.ready(learned.watch.ctx, EPOLLIN);
	netlink_fdb_monitor_stop(&learned);
	netlink_monitor_stop(&changes);
	loop_free(loop);
}

static void ask_host(struct nl_sock *sock, const struct config *config)
{
	struct problems problems = { 0 };
	struct host host = { 0 };

	(void)host_check(sock, config, &host, &problems, &problems);
	problems_done(&problems);
}

static void ask_bridge(struct nl_sock *sock, const struct config *config)
{
	struct problems problems = { 0 };

	if ((bridge_ensure(sock, config, false, NULL, &problems) < 0) != (problems.count != 0))
		abort();
	problems_done(&problems);
}

static void take_flow(void *ctx, const struct flow *flow)
{
	uint64_t *sum = ctx;

	*sum += flow->source + flow->destination_port;
}

static bool is_stale(void *ctx, const struct flow *flow)
{
	take_flow(ctx, flow);
	return true;
}

static void ask_flows(struct nl_sock *sock, const struct config *config)
{
	uint64_t sum = 0;
	size_t count;

	(void)sock;
	(void)config;
	(void)conntrack_forget(is_stale, &sum, &count);
	(void)conntrack_list(take_flow, &sum);
}

static void take_counter(void *ctx, const char *name, uint64_t packets, uint64_t bytes)
{
	(void)ctx;
	(void)packets;
	(void)bytes;
	if (strlen(name) >= NFT_NAME_SIZE)
		abort();
}

static void fill_table(struct nft_table *table, bool longer)
{
	const struct nft_rule rule = { .action = NFT_ACTION_GOTO, .target = "next" };
	const uint32_t port = 7;

	nft_add_counter(table, "from-vm-001");
	nft_add_rule(nft_add_base_chain(table, "in", NF_BR_PRE_ROUTING, -310), &rule);
	(void)nft_add_chain(table, "next");
	if (longer)
		nft_add_element(table,
			nft_add_set(table, "ports", NFT_KIND_SET, NFT_FIELD_PORT_IN,
				NFT_FIELD_NONE),
			&port, NULL, NULL);
	nft_table_finish(table);
}

/* Twice, as the second time there is one to compare with. */
static void ask_tables(struct nl_sock *sock, const struct config *config)
{
	char error[NFT_ERROR_SIZE];
	struct nft *nft;

	(void)sock;
	(void)config;
	if (nft_new(NULL, "eipd", NULL, NULL, &nft))
		abort();
	for (unsigned i = 0; i < 3; i++) {
		struct nft_table table = { 0 };
		bool repaired = false;

		fill_table(&table, i);
		(void)nft_sync(nft, &table, &repaired, error);
		(void)nft_read_counters(nft, take_counter, NULL);
	}
	nft_free(nft);
}

/* More than are sent together. */
static void ask_changes(struct nl_sock *sock, const struct config *config)
{
	struct netlink_addr list[40] = { 0 };
	const size_t count = sizeof(list) / sizeof(*list);
	size_t failed;

	(void)config;
	for (size_t i = 0; i < count; i++)
		list[i] = (struct netlink_addr){ .prefix = { 0x14fb4000 + (uint32_t)i, 32 },
			.label = "eth0:1" };
	if (netlink_addr_change(sock, 2, list, count, true, &failed) && failed >= count)
		abort();
	(void)netlink_addr_change(sock, 2, list, count, false, &failed);
}

static void (*const questions[])(struct nl_sock *sock, const struct config *config) = { ask_link,
	ask_ports, ask_addresses, ask_macs, hear_changes, ask_host, ask_bridge, ask_flows,
	ask_tables, ask_changes };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nl_sock *sock;
	static struct config *config;

	if (!size)
		return 0;
	if (!config)
		config = fuzz_config(config_text);
	if (!sock && netlink_open(NETLINK_ROUTE, &sock))
		abort();
	script.sequence = 0;
	script.asked = false;
	script.len = 0;
	script.data = data + 1;
	script.size = size - 1;
	questions[*data % (sizeof(questions) / sizeof(*questions))](sock, config);
	return 0;
}
