/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reconcile_log owns the words about what was found and done. It must not know what came before. */
#include "natmgr/reconcile_log.h"

#include <string.h>

#include "common/log.h"

void reconcile_log_outer(struct reconcile_log *log, bool is_missing)
{
	if (is_missing && !log->outer_missing)
		log_warning("nat: there is no %s; its addresses are put on it when it comes",
			log->interface);
	log->outer_missing = is_missing;
}

static void tell_foreign(struct reconcile_log *log, const struct address_diff *diff)
{
	char text[IP4_STRLEN];

	for (size_t i = 0; i < diff->foreign_count && !log->foreign_told; i++)
		log_warning("nat: %s is on %s already without a label of ours; left alone, but it "
			    "will stay when it is unbound",
			ip4_format(diff->foreign[i], text), log->interface);
	log->foreign_told = diff->foreign_count > 0;
}

static void tell_forwarding(struct reconcile_log *log, const struct reconcile_report *report)
{
	if (report->forwarding_enabled)
		log_info("nat: packet forwarding was off; switched on (net.ipv4.ip_forward=1)");
	if (report->forwarding_unknown && !log->forwarding_told)
		log_warning("nat: whether packets are forwarded cannot be seen without /proc; "
			    "mount it, or see to net.ipv4.ip_forward=1");
	log->forwarding_told = report->forwarding_unknown;
}

static void tell_flows(struct reconcile_log *log, const struct reconcile_report *report)
{
	if (report->flows)
		log_info("nat: flows with an old mapping that were forgotten: %zu", report->flows);
	if (report->flows_err && !log->flows_told)
		log_warning(
			"nat: flows with an old mapping cannot be forgotten: %s (kernel option "
			"CONFIG_NF_CT_NETLINK; if it is a module: modprobe nf_conntrack_netlink)",
			strerror(-report->flows_err));
	log->flows_told = report->flows_err != 0;
}

void reconcile_log_run(struct reconcile_log *log, const struct reconcile_report *report)
{
	tell_foreign(log, &report->addresses);
	reconcile_log_outer(log, report->outer_missing);
	tell_forwarding(log, report);
	tell_flows(log, report);
}

bool reconcile_log_repairs(struct reconcile_log *log, const struct reconcile_report *report)
{
	size_t repairs = reconcile_repairs(report);

	if (!repairs)
		return false;
	log->repaired += repairs;
	log_warning("nat: the kernel had been changed by others; mended: %zu rules or chains, "
		    "%zu addresses%s",
		report->rule_edits, report->addresses.add_count + report->addresses.remove_count,
		report->forwarding_enabled ? ", packet forwarding" : "");
	return true;
}
