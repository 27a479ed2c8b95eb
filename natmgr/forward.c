/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forward owns ports of public addresses that several VMs share. It must not know rules, links or
 * the kernel.
 */
#include "natmgr/binding_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"

/* A forward of the address; NULL: it is not shared. */
const struct forward *forward_of(const struct binding_table *table, uint32_t address)
{
	for (size_t i = 0; i < table->forward_count; i++) {
		if (table->forwards[i].address == address)
			return &table->forwards[i];
	}
	return NULL;
}

int forward_parse(const char *text, struct forward *ret_forward)
{
	struct forward forward = { 0 };
	char copy[FORWARD_STRLEN], *ports, *protocol, *last;
	uint32_t from, to;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	ports = strchr(copy, ':');
	protocol = strchr(copy, '/');
	if (!ports || !protocol || protocol < ports)
		return -EINVAL;
	*ports++ = *protocol++ = '\0';
	last = strchr(ports, '-');
	if (last)
		*last++ = '\0';
	if (ip4_parse(copy, &forward.address) || !ip4_is_host(forward.address) ||
		number_parse(ports, 1, 65535, &from) ||
		number_parse(last ? last : ports, from, 65535, &to))
		return -EINVAL;
	if (!strcmp(protocol, "tcp"))
		forward.protocol = IPPROTO_TCP;
	else if (!strcmp(protocol, "udp"))
		forward.protocol = IPPROTO_UDP;
	else
		return -EINVAL;
	forward.first = (uint16_t)from;
	forward.last = (uint16_t)to;
	*ret_forward = forward;
	return 0;
}

char *forward_format(const struct forward *forward, char buf[static FORWARD_STRLEN])
{
	const char *protocol = forward->protocol == IPPROTO_UDP ? "udp" : "tcp";
	char ip[IP4_STRLEN];

	ip4_format(forward->address, ip);
	if (forward->first == forward->last)
		snprintf(buf, FORWARD_STRLEN, "%s:%u/%s", ip, forward->first, protocol);
	else
		snprintf(buf, FORWARD_STRLEN, "%s:%u-%u/%s", ip, forward->first, forward->last,
			protocol);
	return buf;
}

static bool same_ports(const struct forward *a, const struct forward *b)
{
	return a->address == b->address && a->protocol == b->protocol && a->first == b->first &&
		a->last == b->last;
}

const struct forward *forward_find(const struct binding_table *table, const struct forward *wanted)
{
	for (size_t i = 0; i < table->forward_count; i++) {
		if (same_ports(&table->forwards[i], wanted))
			return &table->forwards[i];
	}
	return NULL;
}

const struct forward *forward_overlap(const struct binding_table *table,
	const struct forward *wanted)
{
	for (size_t i = 0; i < table->forward_count; i++) {
		const struct forward *there = &table->forwards[i];

		if (there->address == wanted->address && there->protocol == wanted->protocol &&
			there->first <= wanted->last && there->last >= wanted->first)
			return there;
	}
	return NULL;
}

static void take_back_forward(struct binding_table *table, const struct config *config, size_t i,
	time_t now)
{
	const struct forward forward = table->forwards[i];

	memmove(&table->forwards[i], &table->forwards[i + 1],
		(--table->forward_count - i) * sizeof(*table->forwards));
	if (!forward_of(table, forward.address))
		binding_cool_down(table, config, forward.address, forward.vm, &forward.mac, now);
}

int forward_add(struct binding_table *table, const struct config *config, const struct plan *plan,
	const struct forward *wanted, time_t now, char **ret_error)
{
	const struct forward *there = forward_overlap(table, wanted);
	const struct forward *shared = forward_of(table, wanted->address);
	const struct binding *bound = binding_find(table, wanted->address);
	char text[FORWARD_STRLEN], other[FORWARD_STRLEN];
	struct forward forward = *wanted;
	const struct vm *vm;
	int err = binding_find_vm(plan, wanted->vm, &vm, ret_error);

	if (err)
		return err;
	forward_format(wanted, text);
	if (wanted->first != wanted->last && wanted->to != wanted->first) {
		*ret_error =
			xasprintf("%s: a range of ports keeps its numbers at the VM; leave :%u out",
				text, wanted->to);
		return -EINVAL;
	}
	if (there && same_ports(there, wanted) && !strcasecmp(there->vm, vm->name) &&
		there->to == wanted->to && there->is_source == wanted->is_source)
		return 0;
	if (there) {
		*ret_error = xasprintf("%s goes to %s already; eipctl forward del %s makes room",
			forward_format(there, other), there->vm, other);
		return -EBUSY;
	}
	if (bound) {
		*ret_error =
			xasprintf("%s is bound to %s as a whole; unbind it first, or share another "
				  "address",
				ip4_format(wanted->address, text), bound->vm);
		return -EBUSY;
	}
	err = shared ? 0
		     : binding_check_available(table, config, wanted->address, vm, now, ret_error);
	if (err)
		return err;
	snprintf(forward.vm, sizeof(forward.vm), "%s", vm->name);
	forward.mac = vm->mac;
	forward.label = shared ? shared->label : binding_free_label(table);
	table->forwards = xrealloc(table->forwards, table->forward_count + 1, sizeof(forward));
	table->forwards[table->forward_count++] = forward;
	binding_drop_cooldown(table, forward.address);
	return 1;
}

int forward_del(struct binding_table *table, const struct config *config,
	const struct forward *wanted, time_t now, char **ret_error)
{
	const struct forward *there = forward_find(table, wanted);
	const struct forward *overlap = forward_overlap(table, wanted);
	char text[FORWARD_STRLEN], other[FORWARD_STRLEN];

	if (there) {
		take_back_forward(table, config, (size_t)(there - table->forwards), now);
		return 1;
	}
	if (!overlap)
		return 0;
	*ret_error = xasprintf("%s is a part of %s; delete that one", forward_format(wanted, text),
		forward_format(overlap, other));
	return -EINVAL;
}

bool forward_follow(struct binding_table *table, const struct config *config,
	const struct plan *plan, time_t now)
{
	bool changed = false;

	for (size_t i = 0; i < table->forward_count;) {
		struct forward *forward = &table->forwards[i];
		const struct vm *vm = binding_vm(plan, forward->vm, &forward->mac);

		if (!vm) {
			take_back_forward(table, config, i, now);
			changed = true;
			continue;
		}
		if (strcmp(vm->name, forward->vm) || !mac_equal(&vm->mac, &forward->mac)) {
			snprintf(forward->vm, sizeof(forward->vm), "%s", vm->name);
			forward->mac = vm->mac;
			changed = true;
		}
		i++;
	}
	return changed;
}
