/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reconcile owns the way from the desired state to the kernel. It must not know who wants what:
 * it is given a mapping and makes it true.
 */
#include "natmgr/reconcile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"

#define FORWARDING "/proc/sys/net/ipv4/ip_forward"

/* --- forwarding (patent step 4) ----------------------------------------------------------- */

static int enable_forwarding(struct reconcile_report *report, char error[static BACKEND_ERROR_SIZE])
{
	int fd = open(FORWARDING, O_RDWR | O_CLOEXEC), err = 0;
	char value = '0';

	if (fd < 0 && errno == ENOENT) {
		report->forwarding_unknown = true;
		return 0;
	}
	if (fd < 0 || read(fd, &value, 1) != 1)
		err = errno ? -errno : -EIO;
	else if (value == '0' && pwrite(fd, "1\n", 2, 0) != 2)
		err = errno ? -errno : -EIO;
	if (fd >= 0)
		close(fd);
	if (err)
		snprintf(error, BACKEND_ERROR_SIZE,
			"packet forwarding cannot be switched on (%s): %s", FORWARDING,
			strerror(-err));
	else
		report->forwarding_enabled = value == '0';
	return err;
}

/* --- flows -------------------------------------------------------------------------------- */

/* The VMs that a SNAT rule was added for: their running flows do not know it. */
static void collect_new_sources(struct reconcile *reconcile, const struct edit *edits, size_t count)
{
	struct address_set *sources = &reconcile->new_sources;
	size_t n = sources->count;

	/* none twice: where flows cannot be forgotten, this goes on for ever */
	sources->list = xrealloc(sources->list, n + count, sizeof(*sources->list));
	for (size_t i = 0; i < count; i++) {
		const struct rule *rule = &edits[i].rule;

		if (edits[i].kind == EDIT_RULE_INSERT && rule->action == RULE_SNAT &&
			!strcmp(rule->out, reconcile->config->outer.interface) &&
			!address_set_has(sources, rule->source.addr))
			sources->list[n++] = rule->source.addr;
	}
	qsort(sources->list, n, sizeof(*sources->list), ip4_compare);
	sources->count = n;
}

/* --- a run -------------------------------------------------------------------------------- */

struct run {
	struct reconcile *reconcile;
	const struct desired *desired;
	struct reconcile_report *report;
	struct address_set owned; /* what our rules name */
	char *error;
};

static int read_addresses(struct run *run)
{
	struct reconcile *reconcile = run->reconcile;
	struct outer *outer = &reconcile->outer;
	int err = outer_look(outer);

	if (err == -ENODEV) {
		run->report->outer_missing = true;
		return 0;
	}
	if (err) {
		snprintf(run->error, BACKEND_ERROR_SIZE, "the addresses of %s cannot be read: %s",
			reconcile->config->outer.interface, strerror(-err));
		return err;
	}
	address_diff_done(&run->report->addresses);
	address_compare(reconcile->config, outer->list, outer->count, run->desired, &run->owned,
		&run->report->addresses);
	return 0;
}

/* What somebody did before us, or what went with the interface's first address, is done. */
static int change_addresses(struct run *run, const struct netlink_addr *list, size_t count,
	bool add)
{
	const struct reconcile *reconcile = run->reconcile;
	char text[IP4_PREFIX_STRLEN];
	size_t failed = 0;
	int err = netlink_addr_change(reconcile->route, reconcile->outer.link.index, list, count,
		add, &failed);

	if (err)
		snprintf(run->error, BACKEND_ERROR_SIZE, "%s cannot be %s %s: %s",
			ip4_prefix_format(&list[failed].prefix, text),
			add ? "put on" : "taken from", reconcile->config->outer.interface,
			strerror(-err));
	return err;
}

/*
 * With a prefix-length below 32, taking the first address of a network away takes its others as
 * well (unless promote_secondaries is set): what is missing is read again, not remembered.
 */
static int add_addresses(struct run *run)
{
	struct address_diff *diff = &run->report->addresses, removed = *diff;
	int err;

	if (removed.remove_count) {
		*diff = (struct address_diff){ 0 };
		err = read_addresses(run);
		free(diff->remove);
		diff->remove = removed.remove;
		diff->remove_count = removed.remove_count;
		free(removed.add);
		free(removed.foreign);
		if (err)
			return err;
	}
	return change_addresses(run, diff->add, diff->add_count, true);
}

static void build(const struct run *run, enum reconcile_scope scope, struct ruleset *ret_want)
{
	const struct config *config = run->reconcile->config;
	const struct ruleset_settings settings = { .outer = config->outer.interface,
		.bridge = config->inner.bridge,
		.inner = run->reconcile->inner,
		.hairpin = config->nat.hairpin };

	if (scope == RECONCILE_REMOVE)
		ruleset_empty(ret_want);
	else
		ruleset_build(run->desired, &settings, ret_want);
}

/* The public addresses of our rules: whatever the pool is now, these were ours until now. */
static void collect_owned(const struct ruleset *have, struct address_set *ret_owned)
{
	size_t count = 0;
	uint32_t *list;

	for (size_t c = 0; c < have->count; c++)
		count += have->chains[c].count;
	list = xcalloc(count, sizeof(*list));
	count = 0;
	for (size_t c = 0; c < have->count; c++) {
		for (size_t i = 0; i < have->chains[c].count; i++) {
			const struct rule *rule = &have->chains[c].rules[i];

			if (rule->action == RULE_DNAT && rule->destination.len == 32)
				list[count++] = rule->destination.addr;
		}
	}
	qsort(list, count, sizeof(*list), ip4_compare);
	*ret_owned = (struct address_set){ list, count };
}

/* One session with the table: the addresses that go, and the rules. */
static int change_table(struct run *run, enum reconcile_scope scope)
{
	struct backend *backend = run->reconcile->backend;
	struct ruleset have, want;
	struct edit *edits;
	size_t count;
	int err = backend->begin(backend, &have, run->error);

	if (err)
		return err;
	build(run, scope, &want);
	collect_owned(&have, &run->owned);
	count = ruleset_diff(&have, &want, &edits);
	err = read_addresses(run);
	/* before anything is changed: a run that fails half-way is followed by one that sees no
	 * difference any more, and the flows have to go all the same */
	if (!err &&
		(count || run->report->addresses.remove_count || run->report->addresses.add_count))
		run->reconcile->flows_due = true;
	if (!err)
		err = change_addresses(run, run->report->addresses.remove,
			run->report->addresses.remove_count, false);
	if (!err && count)
		err = backend->apply(backend, edits, count, run->error);
	if (!err && count) {
		run->report->rule_edits = count;
		collect_new_sources(run->reconcile, edits, count);
	}
	backend->end(backend);
	free(edits);
	ruleset_done(&want);
	ruleset_done(&have);
	return err;
}

static void forget_flows(const struct run *run)
{
	struct reconcile *reconcile = run->reconcile;
	struct flow_judge judge = { .config = reconcile->config,
		.inner = reconcile->inner,
		.desired = run->desired,
		.owned = &run->owned,
		.new_sources = reconcile->new_sources.list,
		.new_source_count = reconcile->new_sources.count };

	run->report->flows_err = flow_forget(&judge, &run->report->flows);
	reconcile->flows_due = run->report->flows_err != 0;
	if (reconcile->flows_due)
		return;
	free(reconcile->new_sources.list);
	reconcile->new_sources = (struct address_set){ 0 };
}

int reconcile_run(struct reconcile *reconcile, const struct desired *desired,
	enum reconcile_scope scope, struct reconcile_report *ret_report,
	char error[static BACKEND_ERROR_SIZE])
{
	struct run run = {
		.reconcile = reconcile, .desired = desired, .report = ret_report, .error = error
	};
	int err;

	*ret_report = (struct reconcile_report){ 0 };
	err = change_table(&run, scope);
	if (!err)
		err = add_addresses(&run);
	if (!err && scope != RECONCILE_REMOVE)
		err = enable_forwarding(ret_report, error);
	if (!err && (scope != RECONCILE_CHANGES || reconcile->flows_due))
		forget_flows(&run);
	free(run.owned.list);
	return err;
}

void reconcile_report_done(struct reconcile_report *report)
{
	address_diff_done(&report->addresses);
}

size_t reconcile_repairs(const struct reconcile_report *report)
{
	return report->rule_edits + report->addresses.add_count + report->addresses.remove_count +
		report->forwarding_enabled;
}

bool reconcile_addresses_are_right(struct reconcile *reconcile, const struct desired *desired)
{
	char error[BACKEND_ERROR_SIZE];
	struct reconcile_report report = { 0 };
	struct run run = {
		.reconcile = reconcile, .desired = desired, .report = &report, .error = error
	};
	bool right = !read_addresses(&run) && !report.addresses.remove_count &&
		!report.addresses.add_count;

	reconcile_report_done(&report);
	return right;
}

void reconcile_foreign(struct reconcile *reconcile, const struct desired *desired,
	struct foreign *ret_foreign)
{
	const struct outer *outer = &reconcile->outer;
	size_t count = outer_look(&reconcile->outer) ? 0 : outer->count;

	ret_foreign->labels = address_foreign_labels(reconcile->config, outer->list, count, desired,
		&ret_foreign->label_count);
	ret_foreign->addresses = address_foreign_addresses(reconcile->config, outer->list, count,
		desired, &ret_foreign->address_count);
}
