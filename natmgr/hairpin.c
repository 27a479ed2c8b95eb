/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hairpin owns the hairpin mode of bridge ports. It must not know the rules that make it needed. */
#include "natmgr/hairpin.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/netlink.h"
#include "natmgr/desired.h"
#include "natmgr/learned.h"

#define CALL_IPTABLES "/proc/sys/net/bridge/bridge-nf-call-iptables"

struct search {
	const struct plan *plan;
	const bool *wanted; /* by the plan's index */
	unsigned *ports;
	size_t count;
};

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

static void take_entry(void *ctx, const struct mac *mac, unsigned port)
{
	struct search *search = ctx;
	const struct vm *vm = plan_by_mac(search->plan, mac);

	if (!vm || !search->wanted[plan_index(search->plan, vm)])
		return;
	search->ports = xrealloc(search->ports, search->count + 1, sizeof(*search->ports));
	search->ports[search->count++] = port;
}

/* By the plan's index: VMs that something of a public address goes to. */
static bool *served_vms(const struct plan *plan, const struct desired *desired)
{
	bool *served = xcalloc(plan_count(plan), sizeof(*served));
	const struct vm *vm;

	for (size_t i = 0; i < desired->count; i++) {
		vm = plan_by_ip(plan, desired->map[i].inner);
		if (vm)
			served[plan_index(plan, vm)] = true;
	}
	for (size_t i = 0; i < desired->port_count; i++) {
		vm = plan_by_ip(plan, desired->ports[i].inner);
		if (vm)
			served[plan_index(plan, vm)] = true;
	}
	return served;
}

size_t hairpin_ensure(struct nl_sock *route, const char *bridge, const struct plan *plan,
	const struct binding_table *table)
{
	struct search search = { .plan = plan };
	struct desired desired;
	struct netlink_link link;
	size_t changed = 0;
	bool *wanted;

	if (!table->count && !table->forward_count)
		return 0;
	if (!bridged_frames_pass() || netlink_link_get(route, bridge, &link))
		return 0;
	desired_make(table, plan, NULL, &desired);
	search.wanted = wanted = served_vms(plan, &desired);
	(void)learned_tell(route, link.index, plan, NULL, 0, take_entry, &search);
	for (size_t i = 0; i < search.count; i++) {
		struct netlink_link port;

		/* a guest's own MAC cannot be on the bridge device itself or elsewhere */
		if (!netlink_link_get_index(route, search.ports[i], &port) &&
			port.master == link.index && !port.hairpin &&
			!netlink_port_set_hairpin(route, search.ports[i]))
			changed++;
	}
	free(search.ports);
	free(wanted);
	desired_done(&desired);
	return changed;
}
