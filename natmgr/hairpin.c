/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hairpin owns the hairpin mode of bridge ports. It must not know the rules that make it needed. */
#include "natmgr/hairpin.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/netlink.h"
#include "common/netlink_fdb.h"
#include "natmgr/desired.h"

#define CALL_IPTABLES "/proc/sys/net/bridge/bridge-nf-call-iptables"
/* A guest sends a little before and after its lease; the bridge has learned its port by then. */
#define DELAY_MS 200

/* The key is there only where br_netfilter is. */
static bool bridged_frames_pass(void)
{
	int fd = open(CALL_IPTABLES, O_RDONLY | O_CLOEXEC);
	char value = '0';

	if (fd < 0)
		return false;
	if (read(fd, &value, 1) != 1)
		value = '0';
	close(fd);
	return value != '0';
}

static void add(struct hairpin *hairpin, const struct plan *plan, bool *is_in, uint32_t inner)
{
	const struct vm *vm = plan_by_ip(plan, inner);
	size_t index;

	if (!vm)
		return;
	index = plan_index(plan, vm);
	if (!is_in[index])
		hairpin->macs[hairpin->count++] = vm->mac;
	is_in[index] = true;
}

/* A copy: bindings and plan may change while the bridge is asked. */
static void collect(struct hairpin *hairpin)
{
	const struct plan *plan = keeper_plan(hairpin->keeper);
	bool *is_in = xcalloc(plan_count(plan), sizeof(*is_in));
	struct desired desired;

	desired_make(keeper_table(hairpin->keeper), plan, NULL, &desired);
	free(hairpin->macs);
	hairpin->macs = xcalloc(desired.count + desired.port_count, sizeof(*hairpin->macs));
	hairpin->count = 0;
	for (size_t i = 0; i < desired.count; i++)
		add(hairpin, plan, is_in, desired.map[i].inner);
	for (size_t i = 0; i < desired.port_count; i++)
		add(hairpin, plan, is_in, desired.ports[i].inner);
	desired_done(&desired);
	free(is_in);
}

/* True: it was not set, and is now. */
static bool ensure_one(struct nl_sock *route, const struct netlink_link *bridge,
	const struct mac *mac)
{
	struct netlink_link port;
	unsigned index;

	/* a guest's own MAC cannot be on the bridge device itself or elsewhere */
	return !netlink_fdb_find(route, bridge, mac, &index) &&
		!netlink_link_get_index(route, index, &port) && port.master == bridge->index &&
		!port.hairpin && !netlink_port_set_hairpin(route, index);
}

static void work(void *ctx)
{
	struct hairpin *hairpin = ctx;
	struct netlink_link bridge;

	hairpin->changed = 0;
	if (netlink_link_get(hairpin->route, hairpin->config->inner.bridge, &bridge))
		return;
	for (size_t i = 0; i < hairpin->count; i++)
		hairpin->changed += ensure_one(hairpin->route, &bridge, &hairpin->macs[i]);
}

static void done(void *ctx)
{
	struct hairpin *hairpin = ctx;

	if (hairpin->changed)
		log_info("nat: hairpin mode set on %zu ports of %s (bridge-nf-call-iptables is 1)",
			hairpin->changed, hairpin->config->inner.bridge);
	free(hairpin->macs);
	hairpin->macs = NULL;
}

static void due(void *ctx)
{
	struct hairpin *hairpin = ctx;
	const struct binding_table *table = keeper_table(hairpin->keeper);

	if (worker_is_busy(&hairpin->worker)) {
		loop_timer_set(hairpin->loop, &hairpin->timer, DELAY_MS, due, hairpin);
		return;
	}
	/* frames may begin to pass iptables at any time, when somebody loads br_netfilter */
	loop_timer_set(hairpin->loop, &hairpin->timer, hairpin->config->nat.resync * UINT64_C(1000),
		due, hairpin);
	if ((!table->count && !table->forward_count) || !bridged_frames_pass())
		return;
	collect(hairpin);
	worker_start(&hairpin->worker, work, done, hairpin);
}

int hairpin_start(struct hairpin *hairpin, struct loop *loop, const struct config *config,
	const struct keeper *keeper)
{
	*hairpin = (struct hairpin){ 0 };
	if (!config->nat.hairpin)
		return 0;
	hairpin->loop = loop;
	hairpin->config = config;
	hairpin->keeper = keeper;
	worker_init(&hairpin->worker, loop);
	loop_timer_set(loop, &hairpin->timer, 0, due, hairpin);
	return netlink_open(NETLINK_ROUTE, &hairpin->route);
}

void hairpin_stop(struct hairpin *hairpin)
{
	if (!hairpin->loop)
		return;
	loop_timer_cancel(hairpin->loop, &hairpin->timer);
	worker_done(&hairpin->worker);
	netlink_close(hairpin->route);
	*hairpin = (struct hairpin){ 0 };
}

void hairpin_soon(struct hairpin *hairpin)
{
	if (hairpin->loop && (!hairpin->timer.active || hairpin->timer.due > loop_now() + DELAY_MS))
		loop_timer_set(hairpin->loop, &hairpin->timer, DELAY_MS, due, hairpin);
}
