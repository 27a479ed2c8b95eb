/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dhcpd owns the order of things around an exchange: count, send, note the lease, tell, log. It
 * must not know the protocol, which is exchange's, nor anything of public addresses.
 */
#include "dhcpd/dhcpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/boot.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/netlink.h"
#include "common/netlink_neighbour.h"
#include "common/statefile.h"
#include "common/worker.h"
#include "dhcpd/callback.h"
#include "dhcpd/counters.h"
#include "dhcpd/exchange.h"
#include "dhcpd/lease.h"
#include "dhcpd/link.h"
#include "dhcpd/oplog.h"
#include "dhcpd/warnings.h"

#define LEASE_FILE_MAX (64 << 20)
#define LEASE_WRITE_MS 3000 /* however many leases change */
#define LEASE_RETRY_MS 30000
#define DRAIN_MS       10000
/*
 * A guest can take and release its lease thousands of times a second: so many events of a VM a
 * minute are logged, then only their number. The callback is told all the same, coalesced.
 */
#define TELLINGS_PER_MINUTE 100
/* How many events of a VM were logged in the minute that began at `since`. */
struct telling {
	uint32_t since; /* seconds */
	unsigned count : 31;
	unsigned crowded : 1; /* an answer had no room for all options, which has been said */
};

struct dhcpd {
	struct loop *loop;
	const struct config *config;
	struct dhcp_server server;
	unsigned bridge_index;
	struct link link;
	struct lease_table *leases;
	struct callback callback;
	struct oplog oplog;
	struct events *events;
	void (*vm_came)(void *ctx, const struct vm *vm);
	void *vm_came_ctx;
	uint64_t started;
	struct telling *tellings; /* by the plan's index */
	struct nl_sock *route;    /* NULL: none could be had */
	char *lease_path;
	struct worker lease_writer;
	struct lease_snapshot snapshot; /* being written */
	char boot[BOOT_ID_SIZE];        /* which start of the host this is */
	int lease_result;               /* of the write that ended */
	int lease_error;                /* of the last write, so that it is reported once */
	struct loop_timer sweep, lease_write, oplog_flush, drain;
	const struct dhcp_message *request; /* the one being served; for the callback */
	struct dhcp_exchange exchange;
	uint16_t ip_id;
	struct warnings warnings;
	struct counters counters;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* --- leases and what they lead to --------------------------------------------------------- */

/*
 * The host may still know the address by the MAC of whoever had it before (a VM made anew, or two
 * that swapped), and would send there until its ARP entry times out.
 */
static void forget_neighbour(const struct dhcpd *dhcpd, const struct vm *vm)
{
	if (dhcpd->route)
		(void)netlink_neighbour_forget(dhcpd->route, dhcpd->bridge_index, vm->ip, &vm->mac);
}

static void write_leases(void *ctx);

/* At the latest then. */
static void write_leases_in(struct dhcpd *dhcpd, uint64_t ms)
{
	if (!dhcpd->lease_write.active || dhcpd->lease_write.due > loop_now() + ms)
		loop_timer_set(dhcpd->loop, &dhcpd->lease_write, ms, write_leases, dhcpd);
}

static void leases_written(void *ctx)
{
	struct dhcpd *dhcpd = ctx;
	int err = dhcpd->lease_result;

	if (err) {
		lease_set_dirty(dhcpd->leases);
		write_leases_in(dhcpd, LEASE_RETRY_MS);
	}

	if (err && err != dhcpd->lease_error)
		log_warning("dhcp: %s cannot be written: %s; DHCP goes on without it",
			dhcpd->lease_path, strerror(-err));
	else if (!err && dhcpd->lease_error)
		log_info("dhcp: %s is written again", dhcpd->lease_path);
	dhcpd->lease_error = err;
}

/* On the writer's thread. */
static void write_snapshot(void *ctx)
{
	struct dhcpd *dhcpd = ctx;
	size_t len;
	char *text = lease_format(&dhcpd->snapshot, &len);

	dhcpd->lease_result = statefile_write(dhcpd->lease_path, text, len);
	free(text);
	lease_snapshot_done(&dhcpd->snapshot);
}

/*
 * Milliseconds since the epoch. A lease's end is made from both clocks to the millisecond, so that
 * it is the same second whenever it is asked for, and in the file.
 */
static int64_t wall_ms(void)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
}

/* Now, but at the beginning of the wall clock's second. */
static struct lease_moment this_moment(const struct dhcpd *dhcpd)
{
	int64_t wall = wall_ms();
	struct lease_moment moment = { .now = loop_now() - (uint64_t)(wall % 1000),
		.wall = (time_t)(wall / 1000) };

	strcpy(moment.boot, dhcpd->boot);
	return moment;
}

static void write_leases(void *ctx)
{
	struct dhcpd *dhcpd = ctx;
	struct lease_moment moment;
	struct lease_untold *untold;
	size_t untold_count;

	/* a slow disk: the next change, or the next time, finds it ready */
	if (worker_is_busy(&dhcpd->lease_writer)) {
		write_leases_in(dhcpd, LEASE_WRITE_MS);
		return;
	}
	moment = this_moment(dhcpd);
	untold = callback_untold(&dhcpd->callback, &untold_count);
	lease_snapshot(dhcpd->leases, &moment, untold, untold_count, &dhcpd->snapshot);
	worker_start(&dhcpd->lease_writer, write_snapshot, leases_written, dhcpd);
}

/* The file need not remember it any more. */
static void on_end_told(void *ctx)
{
	struct dhcpd *dhcpd = ctx;

	lease_set_dirty(dhcpd->leases);
	write_leases_in(dhcpd, LEASE_WRITE_MS);
}

static void flush_oplog(void *ctx)
{
	struct dhcpd *dhcpd = ctx;
	int err = oplog_flush(&dhcpd->oplog);

	if (err)
		log_warning("dhcp: operation log %s cannot be written: %s", dhcpd->oplog.path,
			strerror(-err));
}

static void sweep_leases(void *ctx);

/* Sets the timers that a change of the table asks for. */
static void after_change(struct dhcpd *dhcpd)
{
	uint64_t now = loop_now(), next = lease_sweep(dhcpd->leases, now);

	if (lease_is_dirty(dhcpd->leases))
		write_leases_in(dhcpd, LEASE_WRITE_MS);
	/* leases are only ever prolonged: a timer that is set comes early enough, or is followed */
	if (next && (!dhcpd->sweep.active || dhcpd->sweep.due > next))
		loop_timer_set(dhcpd->loop, &dhcpd->sweep, next > now ? next - now : 0,
			sweep_leases, dhcpd);
}

static void sweep_leases(void *ctx)
{
	after_change(ctx);
}

/* True if one more event of the VM may be logged now. */
static bool may_tell(struct dhcpd *dhcpd, const struct vm *vm)
{
	const struct vm *planned = plan_by_mac(dhcpd->server.plan, &vm->mac);
	uint32_t now = (uint32_t)(loop_now() / 1000);
	struct telling *telling;

	/* a VM that left is told of once; while the leases are read, there is no plan to serve yet */
	if (!planned || !dhcpd->tellings)
		return true;
	telling = &dhcpd->tellings[plan_index(dhcpd->server.plan, planned)];
	if (now - telling->since >= 60) {
		if (telling->count > TELLINGS_PER_MINUTE)
			log_warning("dhcp: %s: %u more lease events were left out", planned->name,
				telling->count - TELLINGS_PER_MINUTE);
		telling->since = now;
		telling->count = 0;
	}
	return ++telling->count <= TELLINGS_PER_MINUTE;
}

static void tell(struct dhcpd *dhcpd, enum lease_event event, const struct vm *vm, const char *mac,
	const char *ip, time_t wall)
{
	log_info("dhcp: %s %s %s %s", lease_event_name(event), mac, ip, vm->name);
	oplog_add(&dhcpd->oplog, lease_event_name(event), vm, wall);
	if (!dhcpd->oplog_flush.active)
		/* after this batch of frames */
		loop_timer_set(dhcpd->loop, &dhcpd->oplog_flush, 0, flush_oplog, dhcpd);
	events_post(dhcpd->events, "lease",
		json_pack("{s:s, s:s, s:s, s:s}", "action", lease_event_name(event), "mac", mac,
			"ip", ip, "vm", vm->name));
	if (event == LEASE_ADD)
		forget_neighbour(dhcpd, vm);
	if (event != LEASE_DEL && dhcpd->vm_came)
		dhcpd->vm_came(dhcpd->vm_came_ctx, vm);
}

static void on_lease_event(void *ctx, enum lease_event event, const struct vm *vm, uint64_t expires,
	const char *old_name)
{
	struct dhcpd *dhcpd = ctx;
	const struct callback_context context = { .interface = dhcpd->config->inner.bridge,
		.domain = option_catalog_select(dhcpd->server.options, vm, dhcpd->request)->domain,
		.request = dhcpd->request };
	char mac[MAC_STRLEN], ip[IP4_STRLEN];
	time_t wall = time(NULL);

	mac_format(&vm->mac, mac);
	ip4_format(vm->ip, ip);
	if (may_tell(dhcpd, vm))
		tell(dhcpd, event, vm, mac, ip, wall);
	callback_add(&dhcpd->callback, event, vm, old_name, expires, loop_now(), wall, &context);
}

/* What of it is not understood would be gone with the next writing. */
static void keep_damaged(const struct dhcpd *dhcpd, unsigned bad)
{
	int err = statefile_keep_damaged(dhcpd->lease_path);

	log_warning("dhcp: %s is damaged: %u lines are not understood and passed over, and DHCP "
		    "needs none of it; a copy as %s.damaged: %s",
		dhcpd->lease_path, bad, dhcpd->lease_path, err ? strerror(-err) : "kept");
}

static void read_leases(struct dhcpd *dhcpd)
{
	struct lease_moment moment = this_moment(dhcpd);
	char *text;
	size_t len;
	int err = statefile_read_damaged(dhcpd->lease_path, LEASE_FILE_MAX, &text, &len);
	unsigned bad;

	if (err < 0) {
		if (err != -ENOENT)
			log_warning("dhcp: %s cannot be read: %s; starting without known leases",
				dhcpd->lease_path, strerror(-err));
		return;
	}
	bad = lease_read(dhcpd->leases, text, &moment);
	/* 1: there are NULs in it */
	if (bad || err)
		keep_damaged(dhcpd, bad);
	free(text);
	after_change(dhcpd);
}

void dhcpd_check_state(const struct config *config, struct problems *problems)
{
	const struct lease_moment moment = { .now = loop_now(), .wall = time(NULL) };
	char *path = xasprintf("%s/leases", config->daemon.state_dir), *text;
	size_t len;
	int err = statefile_read(path, LEASE_FILE_MAX, &text, &len);

	if (err && err != -ENOENT)
		problem_add(problems, path, 0, "cannot be read: %s",
			err == -EINVAL ? "not a text file" : strerror(-err));
	if (!err) {
		lease_check(text, path, &moment, problems);
		free(text);
	}
	free(path);
}

/* --- frames ------------------------------------------------------------------------------- */

static void log_exchange(struct dhcpd *dhcpd, const struct dhcp_exchange *exchange)
{
	const struct dhcp_verdict *verdict = &exchange->verdict;
	char mac[MAC_STRLEN], ip[IP4_STRLEN] = "-";

	if (warnings_take(&dhcpd->warnings, exchange) || !log_enabled(LOG_LEVEL_DEBUG))
		return;
	if (!exchange->understood) {
		log_debug("dhcp: from %s: dropped (%s)", mac_format(&exchange->frame.source, mac),
			verdict->why);
		return;
	}
	if (verdict->vm)
		ip4_format(verdict->vm->ip, ip);
	log_debug("dhcp: %s %s %s %s: %s (%s)", mac_format(&exchange->message.chaddr, mac),
		verdict->vm ? verdict->vm->name : "-", dhcp_type_name(exchange->message.type), ip,
		dhcp_type_name(verdict->reply), verdict->why);
}

/* Once for each VM and plan. */
static void warn_left_out(struct dhcpd *dhcpd, const struct dhcp_exchange *exchange)
{
	const struct vm *vm = exchange->verdict.vm;
	struct telling *telling = &dhcpd->tellings[plan_index(dhcpd->server.plan, vm)];

	if (telling->crowded || !warnings_may(&dhcpd->warnings, WARN_NO_ROOM))
		return;
	telling->crowded = true;
	log_warning(
		"dhcp: %s: an answer of %zu octets has no room for option %u, and perhaps others",
		vm->name, exchange->reply_len - FRAME_HEADERS, exchange->left_out);
}

static void note_lease(struct dhcpd *dhcpd, const struct dhcp_exchange *exchange)
{
	const struct dhcp_verdict *verdict = &exchange->verdict;

	dhcpd->request = &exchange->message;
	switch (verdict->lease) {
	case LEASE_UNCHANGED:
		break;
	case LEASE_GRANTED:
		lease_grant(dhcpd->leases, verdict->vm, exchange->lease_time, loop_now());
		break;
	case LEASE_RELEASED:
	case LEASE_DECLINED:
		lease_end(dhcpd->leases, verdict->vm, loop_now());
		break;
	}
	dhcpd->request = NULL;
	if (verdict->lease != LEASE_UNCHANGED)
		after_change(dhcpd);
}

/* False if it did not get out: then it is as if it had never been asked for. */
static bool send_reply(struct dhcpd *dhcpd, const struct dhcp_exchange *exchange)
{
	int err = link_send(&dhcpd->link, exchange->reply, exchange->reply_len);

	if (err && warnings_may(&dhcpd->warnings, WARN_NOT_SENT))
		log_warning("dhcp: an answer could not be sent: %s", strerror(-err));
	if (err)
		return false;
	dhcpd->ip_id++;
	dhcpd->counters.sent[exchange->verdict.reply]++;
	return true;
}

static void on_frame(void *ctx, const uint8_t *data, size_t len)
{
	struct dhcpd *dhcpd = ctx;
	struct dhcp_exchange *exchange = &dhcpd->exchange;

	dhcp_exchange(&dhcpd->server, data, len, dhcpd->ip_id, exchange);
	if (exchange->understood)
		dhcpd->counters.received[exchange->message.type]++;
	dhcpd->counters.dropped[exchange->verdict.drop]++;
	if (exchange->reply_len && !send_reply(dhcpd, exchange))
		return;
	if (exchange->left_out)
		warn_left_out(dhcpd, exchange);
	note_lease(dhcpd, exchange);
	log_exchange(dhcpd, exchange);
}

static void on_link_state(void *ctx, const char *reason)
{
	const struct dhcpd *dhcpd = ctx;

	if (reason)
		log_warning("dhcp: no more on %s: %s; waiting for it to come back",
			dhcpd->config->inner.bridge, reason);
	else
		log_info("dhcp: %s is back, serving again", dhcpd->config->inner.bridge);
}

/* --- commands ----------------------------------------------------------------------------- */

static long long to_epoch(uint64_t expires)
{
	int64_t left = (int64_t)(expires - loop_now());

	return (wall_ms() + left + 999) / 1000;
}

static json_t *expires_json(uint64_t expires)
{
	/* never, or no lease: no date */
	if (!expires || expires == LEASE_FOREVER)
		return json_null();
	return json_integer(to_epoch(expires));
}

static void command_lease_list(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct dhcpd *dhcpd = ctx;
	char mac[MAC_STRLEN], ip[IP4_STRLEN];
	json_t *list = json_array();

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < plan_count(dhcpd->server.plan); i++) {
		const struct vm *vm = plan_vm(dhcpd->server.plan, i);
		uint64_t expires = lease_expires(dhcpd->leases, vm);

		if (expires)
			json_array_append_new(list,
				json_pack("{s:s, s:s, s:s, s:o}", "mac", mac_format(&vm->mac, mac),
					"ip", ip4_format(vm->ip, ip), "name", vm->name, "expires",
					expires_json(expires)));
	}
	control_reply(request, list);
}

static const struct control_command commands[] = {
	{ "lease list", 0, 0, command_lease_list, true },
};

void dhcpd_describe_vm(const struct dhcpd *dhcpd, const struct vm *vm, json_t *object)
{
	uint64_t expires = lease_expires(dhcpd->leases, vm);

	json_object_set_new(object, "lease",
		json_string(expires                                   ? "active"
				: lease_is_expired(dhcpd->leases, vm) ? "expired"
								      : "none"));
	json_object_set_new(object, "expires", expires_json(expires));
}

json_t *dhcpd_status(const struct dhcpd *dhcpd)
{
	json_t *object = counters_json(&dhcpd->counters);

	json_object_set_new(object, "listening", json_boolean(dhcpd->link.pcap));
	return object;
}

json_t *dhcpd_callback_status(const struct dhcpd *dhcpd)
{
	const struct callback *callback = &dhcpd->callback;

	return json_pack("{s:I, s:I, s:I}", "queued", (json_int_t)callback->queued, "run",
		(json_int_t)callback->run, "failed", (json_int_t)callback->failed);
}

void dhcpd_metrics(const struct dhcpd *dhcpd, FILE *out)
{
	size_t active = 0;

	counters_print(&dhcpd->counters, out);
	for (size_t i = 0; i < plan_count(dhcpd->server.plan); i++)
		active += lease_expires(dhcpd->leases, plan_vm(dhcpd->server.plan, i)) != 0;
	fprintf(out,
		"# HELP eipd_leases Leases that are active.\n# TYPE eipd_leases gauge\n"
		"eipd_leases %zu\n"
		"# HELP eipd_callback_queued Lease events that wait for the callback.\n"
		"# TYPE eipd_callback_queued gauge\neipd_callback_queued %zu\n"
		"# HELP eipd_callback_runs_total Calls of the callback.\n"
		"# TYPE eipd_callback_runs_total counter\neipd_callback_runs_total %zu\n"
		"# HELP eipd_callback_failures_total Calls that failed.\n"
		"# TYPE eipd_callback_failures_total counter\neipd_callback_failures_total %zu\n",
		active, dhcpd->callback.queued, dhcpd->callback.run, dhcpd->callback.failed);
}

uint64_t dhcpd_away(const struct dhcpd *dhcpd, const struct vm *vm)
{
	uint64_t ended;

	if (lease_expires(dhcpd->leases, vm))
		return 0;
	ended = lease_ended(dhcpd->leases, vm);
	/* at least 1: it has none */
	return (loop_now() - (ended ? ended : dhcpd->started)) / 1000 + 1;
}

/* --- life --------------------------------------------------------------------------------- */

int dhcpd_new(const struct dhcpd_setup *setup, struct dhcpd **ret_dhcpd, char **ret_error)
{
	const struct config *config = setup->config;
	struct dhcpd *dhcpd = xcalloc(1, sizeof(*dhcpd));
	int err = link_begin(&dhcpd->link, setup->loop, config->inner.bridge, on_frame,
		on_link_state, dhcpd);

	if (err) {
		*ret_error = xstrdup(dhcpd->link.error);
		free(dhcpd);
		return err;
	}
	dhcpd->loop = setup->loop;
	dhcpd->events = setup->events;
	dhcpd->vm_came = setup->vm_came;
	dhcpd->vm_came_ctx = setup->ctx;
	dhcpd->started = loop_now();
	dhcpd->config = config;
	dhcpd->warnings = (struct warnings){ config->inner.bridge, setup->events, { { 0 } } };
	dhcpd->bridge_index = setup->index;
	dhcpd->server = (struct dhcp_server){ .policy = { .self = setup->self,
						      .authoritative = config->dhcp.authoritative },
		.mac = setup->mac,
		.plan = setup->plan,
		.options = option_catalog_new(config, &setup->self),
		.client_id_echo = config->dhcp.client_id_echo,
		.verify_source = config->dhcp.verify_source };
	(void)netlink_open(NETLINK_ROUTE, &dhcpd->route);
	worker_init(&dhcpd->lease_writer, setup->loop);
	dhcpd->lease_path = xasprintf("%s/leases", config->daemon.state_dir);
	dhcpd->leases = lease_table_new(setup->plan, on_lease_event, dhcpd);
	callback_init(&dhcpd->callback, setup->loop, config->dhcp.callback,
		config->dhcp.callback_timeout);
	dhcpd->callback.spawn.user = config->dhcp.callback_user;
	dhcpd->callback.on_told = on_end_told;
	dhcpd->callback.ctx = dhcpd;
	err = oplog_open(&dhcpd->oplog, config->dhcp.log);
	if (err)
		log_warning("dhcp: operation log %s cannot be opened: %s", config->dhcp.log,
			strerror(-err));
	control_register(setup->control, commands, sizeof(commands) / sizeof(*commands), dhcpd);
	*ret_dhcpd = dhcpd;
	return 0;
}

int dhcpd_start(struct dhcpd *dhcpd, char **ret_error)
{
	int err = link_open(&dhcpd->link);

	if (err) {
		*ret_error = xstrdup(dhcpd->link.error);
		return err;
	}
	boot_id_read(dhcpd->boot);
	read_leases(dhcpd);
	dhcpd->tellings = xcalloc(plan_count(dhcpd->server.plan), sizeof(*dhcpd->tellings));
	return 0;
}

void dhcpd_free(struct dhcpd *dhcpd)
{
	if (!dhcpd)
		return;
	link_close(&dhcpd->link);
	loop_timer_cancel(dhcpd->loop, &dhcpd->sweep);
	loop_timer_cancel(dhcpd->loop, &dhcpd->oplog_flush);
	loop_timer_cancel(dhcpd->loop, &dhcpd->drain);
	worker_wait(&dhcpd->lease_writer);
	if (lease_is_dirty(dhcpd->leases))
		write_leases(dhcpd);
	worker_done(&dhcpd->lease_writer);
	/* one that failed has set it */
	loop_timer_cancel(dhcpd->loop, &dhcpd->lease_write);
	callback_done(&dhcpd->callback);
	oplog_close(&dhcpd->oplog);
	netlink_close(dhcpd->route);
	lease_table_free(dhcpd->leases);
	free(dhcpd->tellings);
	option_catalog_free(dhcpd->server.options);
	free(dhcpd->lease_path);
	free(dhcpd);
}

void dhcpd_replan(struct dhcpd *dhcpd, const struct plan *plan, const struct plan_change *change)
{
	lease_replan(dhcpd->leases, plan, change, loop_now());
	dhcpd->server.plan = plan;
	free(dhcpd->tellings);
	dhcpd->tellings = xcalloc(plan_count(plan), sizeof(*dhcpd->tellings));
	after_change(dhcpd);
}

void dhcpd_set_bridge(struct dhcpd *dhcpd, const struct mac *mac, unsigned index)
{
	dhcpd->server.mac = *mac;
	dhcpd->bridge_index = index;
}

void dhcpd_child_exited(struct dhcpd *dhcpd)
{
	callback_reap(&dhcpd->callback);
}

void dhcpd_reopen_logs(struct dhcpd *dhcpd)
{
	int err = oplog_reopen(&dhcpd->oplog);

	if (err)
		log_warning("dhcp: operation log %s cannot be opened anew: %s", dhcpd->oplog.path,
			strerror(-err));
}

static void drained(void *ctx)
{
	struct dhcpd *dhcpd = ctx;

	loop_timer_cancel(dhcpd->loop, &dhcpd->drain);
	dhcpd->callback.on_idle = NULL;
	dhcpd->stopped(dhcpd->stopped_ctx);
}

void dhcpd_stop(struct dhcpd *dhcpd, void (*stopped)(void *ctx), void *ctx)
{
	/* asked again, it does not begin anew */
	if (dhcpd->stopped)
		return;
	link_close(&dhcpd->link);
	dhcpd->stopped = stopped;
	dhcpd->stopped_ctx = ctx;
	loop_timer_set(dhcpd->loop, &dhcpd->drain, DRAIN_MS, drained, dhcpd);
	callback_drain(&dhcpd->callback, drained);
}
