/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many addresses in one call, and more changes than a socket holds; against the kernel, in a
 * network namespace of the test's own.
 */
#include "common/netlink.h"
#include "common/netlink_addr.h"
#include "common/netlink_monitor.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>


enum { LOOPBACK = 1, MANY = 100 }; /* more than go into one message to the kernel */

static struct nl_sock *sock;

static int setup(void **state)
{
	(void)state;
	if (!unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET))
		assert_int_equal(netlink_open(NETLINK_ROUTE, &sock), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	netlink_close(sock);
	return 0;
}

static void fill(struct netlink_addr list[static MANY])
{
	for (uint32_t i = 0; i < MANY; i++) {
		list[i] = (struct netlink_addr){ .prefix = { IP4(20, 251, 64, 0) + i, 32 } };
		snprintf(list[i].label, sizeof(list[i].label), "lo:%u", i);
	}
}

static size_t labelled(void)
{
	struct netlink_addr *have;
	size_t count, found = 0;

	assert_int_equal(netlink_addr_list(sock, LOOPBACK, &have, &count), 0);
	for (size_t i = 0; i < count; i++)
		found += !strncmp(have[i].label, "lo:", 3);
	free(have);
	return found;
}

static void test_many(void **state)
{
	struct netlink_addr list[MANY];
	size_t failed = MANY;

	(void)state;
	if (!sock)
		skip();
	fill(list);
	assert_int_equal(netlink_addr_change(sock, LOOPBACK, list, MANY, true, &failed), 0);
	assert_int_equal(labelled(), MANY);
	assert_int_equal(netlink_addr_change(sock, LOOPBACK, list, MANY, true, &failed), 0);
	assert_int_equal(labelled(), MANY);
	/* some are gone: the others go all the same */
	assert_int_equal(netlink_addr_change(sock, LOOPBACK, list + 10, 50, false, &failed), 0);
	assert_int_equal(netlink_addr_change(sock, LOOPBACK, list, MANY, false, &failed), 0);
	assert_int_equal(labelled(), 0);
	assert_int_equal(netlink_addr_change(sock, LOOPBACK, list, 0, true, &failed), 0);
}

static void test_refused(void **state)
{
	static const size_t bad[] = { 0, 31, 32, 50, MANY - 1 };
	struct netlink_addr list[MANY];

	(void)state;
	if (!sock)
		skip();
	for (size_t i = 0; i < COUNT(bad); i++) {
		size_t failed = MANY;

		fill(list);
		list[bad[i]].prefix.len = 33;
		assert_int_equal(netlink_addr_change(sock, LOOPBACK, list, MANY, true, &failed),
			-EINVAL);
		assert_int_equal(failed, bad[i]);
		/* nothing of it is left to be taken for the answer to the next */
		fill(list);
		assert_int_equal(netlink_addr_change(sock, LOOPBACK, list, MANY, true, &failed), 0);
		assert_int_equal(labelled(), MANY);
		assert_int_equal(netlink_addr_change(sock, LOOPBACK, list, MANY, false, &failed),
			0);
	}
	assert_int_equal(netlink_addr_change(sock, 999, list, MANY, true, &(size_t){ 0 }), -ENODEV);
}

/* Each is told to whoever listens. */
static void change(size_t count)
{
	struct netlink_addr list[MANY];
	size_t failed;

	fill(list);
	assert_int_equal(netlink_addr_change(sock, LOOPBACK, list, count, true, &failed), 0);
	assert_int_equal(netlink_addr_change(sock, LOOPBACK, list, count, false, &failed), 0);
}

static void count_change(void *ctx, const struct nlmsghdr *header)
{
	size_t *count = ctx;

	*count += header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR;
}

static void test_lost(void **state)
{
	struct nl_sock *changes;
	size_t heard = 0;

	(void)state;
	if (!sock)
		skip();
	assert_int_equal(netlink_listen(RTNLGRP_IPV4_IFADDR, 0, &changes), 0);
	assert_int_equal(netlink_hear(changes, count_change, &heard), 0);
	assert_int_equal(heard, 0);
	change(MANY);
	assert_int_equal(netlink_hear(changes, count_change, &heard), -ENOBUFS);
	assert_in_range(heard, 1, 2 * MANY - 1);
	/* from then on, nothing of before is told, and all that comes */
	heard = 0;
	change(1);
	assert_int_equal(netlink_hear(changes, count_change, &heard), 0);
	assert_int_equal(heard, 2);
	netlink_close(changes);
}

struct told {
	struct netlink_monitor monitor;
	unsigned times;
	bool links, too_early;
};

static void note(void *ctx, bool links)
{
	struct told *told = ctx;
	struct pollfd fd = { .fd = told->monitor.watch.fd, .events = POLLIN };

	told->times++;
	told->links = links;
	/* while anything waits, what comes is lost, and nobody would look again */
	told->too_early = poll(&fd, 1, 0) != 0;
}

static void test_monitor(void **state)
{
	struct told told = { 0 };
	struct loop *loop;

	(void)state;
	if (!sock)
		skip();
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(netlink_monitor_start(&told.monitor, loop, note, &told), 0);
	change(1);
	told.monitor.watch.ready(told.monitor.watch.ctx, EPOLLIN);
	assert_int_equal(told.times, 1);
	assert_false(told.links);
	change(MANY);
	told.monitor.watch.ready(told.monitor.watch.ctx, EPOLLIN);
	assert_int_equal(told.times, 2);
	assert_true(told.links);
	assert_false(told.too_early);
	netlink_monitor_stop(&told.monitor);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_monitor),
	};

	return cmocka_run_group_tests_name("netlink", tests, setup, teardown) ? EXIT_FAILURE
									      : EXIT_SUCCESS;
}
