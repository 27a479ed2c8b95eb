/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hairpin owns the hairpin mode of bridge ports. It must not know the rules that make it needed. */
#include "natmgr/hairpin.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/netlink.h"
#include "natmgr/desired.h"

#define CALL_IPTABLES "/proc/sys/net/bridge/bridge-nf-call-iptables"

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

size_t hairpin_ensure(struct nl_sock *route, const char *bridge, const struct plan *plan,
	const struct binding_table *table)
{
	struct desired desired;
	struct netlink_link link;
	size_t changed = 0;
	bool *served;

	if (!table->count && !table->forward_count)
		return 0;
	if (!bridged_frames_pass() || netlink_link_get(route, bridge, &link))
		return 0;
	desired_make(table, plan, NULL, &desired);
	served = served_vms(plan, &desired);
	for (size_t i = 0; i < plan_count(plan); i++)
		changed += served[i] && ensure_one(route, &link, &plan_vm(plan, i)->mac);
	free(served);
	desired_done(&desired);
	return changed;
}
