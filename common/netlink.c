/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink owns the way any netlink request is made (libnl-3 core), and how the kernel's word is
 * heard. It must not know what the messages say.
 */
#include "common/netlink.h"

#include <errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Messages that one request can leave behind; a dump of every neighbour of a large bridge has fewer. */
#define DRAIN_MAX 100000
/* Changes that are heard in one go; a socket holds some hundreds, more only come meanwhile. */
#define HEAR_MAX 1024

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
	struct iovec parts[NETLINK_BATCH];

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

int netlink_request_all(struct nl_sock *sock, struct nl_msg *const *msgs, uint32_t count,
	int harmless, uint32_t *ret_failed)
{
	struct answer answer = { .count = count, .harmless = harmless };
	int err = exchange(sock, msgs, &answer);

	for (uint32_t i = 0; i < count; i++)
		nlmsg_free(msgs[i]);
	*ret_failed = answer.failed;
	return err;
}

int netlink_request(struct nl_sock *sock, struct nl_msg *msg,
	void (*each)(void *ctx, const struct nlmsghdr *header), void *ctx)
{
	struct answer answer = { .count = 1, .each = each, .ctx = ctx };
	int err = exchange(sock, &msg, &answer);

	nlmsg_free(msg);
	return err;
}

struct nl_msg *netlink_message(uint16_t type, int flags, const void *payload, size_t len)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	if (msg && nlmsg_append(msg, (void *)(uintptr_t)payload, len, NLMSG_ALIGNTO) == 0)
		return msg;
	if (msg)
		nlmsg_free(msg);
	return NULL;
}

/* --- what the kernel tells unasked ----------------------------------------------------------- */

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
