/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * callback owns the queue of events for the administrator's program, and its environment. It must
 * not know what makes an event, and nothing waits for it.
 */
#include "dhcpd/callback.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/bytes.h"
#include "common/log.h"
#include "common/memory.h"

#define ENV_MAX     32
#define VALUE_MAX   1024 /* of a printable client value */
#define CLASSES_MAX 8
#define RETRY_MS    1000

struct callback_event {
	struct mac mac; /* first: the key of the tree */
	enum lease_event event;
	uint32_t ip;
	char *name, *old_name; /* old_name: NULL: as the program knows it */
	char *env[ENV_MAX + 1];
	unsigned env_count;
	struct callback_event *older; /* the one of this MAC that waits before it */
	TAILQ_ENTRY(callback_event) link;
};

const char *lease_event_name(enum lease_event event)
{
	switch (event) {
	case LEASE_ADD:
		return "add";
	case LEASE_OLD:
		return "old";
	case LEASE_DEL:
		return "del";
	}
	return "?";
}

/* --- environment -------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void set_env(struct callback_event *event,
	const char *format, ...)
{
	va_list args;

	if (event->env_count == ENV_MAX)
		return;
	va_start(args, format);
	event->env[event->env_count++] = xvasprintf(format, args);
	va_end(args);
}

static void set_env_bytes(struct callback_event *event, const char *name, const uint8_t *data,
	size_t len)
{
	char text[VALUE_MAX];

	if (data && len)
		set_env(event, "DNSMASQ_%s=%s", name,
			text_printable(text, sizeof(text), data, len));
}

static void set_env_hex(struct callback_event *event, const char *name, const uint8_t *data,
	size_t len)
{
	char text[VALUE_MAX];
	size_t n = 0;

	for (size_t i = 0; i < len && n + 4 < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, i ? ":%02x" : "%02x", data[i]);
	if (n)
		set_env(event, "DNSMASQ_%s=%s", name, text);
}

static void set_env_numbers(struct callback_event *event, const char *name, const uint8_t *data,
	size_t len)
{
	char text[VALUE_MAX];
	size_t n = 0;

	for (size_t i = 0; i < len && n + 5 < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, i ? ",%u" : "%u", data[i]);
	if (n)
		set_env(event, "DNSMASQ_%s=%s", name, text);
}

/* RFC 3004: lengths and strings; many clients send a bare string, which dnsmasq takes as well. */
static void set_env_user_classes(struct callback_event *event, const struct dhcp_option *option)
{
	unsigned count = 0;
	struct rbuf r;
	char name[24];

	rbuf_init(&r, option->data, option->len);
	while (r.left && count < CLASSES_MAX) {
		uint8_t len = rbuf_u8(&r);
		const uint8_t *data = rbuf_take(&r, len);

		if (!data || !len)
			break;
		snprintf(name, sizeof(name), "USER_CLASS%u", count++);
		set_env_bytes(event, name, data, len);
	}
	if (!count)
		set_env_bytes(event, "USER_CLASS0", option->data, option->len);
}

static void set_env_relay_agent(struct callback_event *event, const struct dhcp_option *option)
{
	struct rbuf r;

	rbuf_init(&r, option->data, option->len);
	while (r.left) {
		uint8_t code = rbuf_u8(&r), len = rbuf_u8(&r);
		const uint8_t *data = rbuf_take(&r, len);

		if (!data)
			return;
		if (code == 1)
			set_env_hex(event, "CIRCUIT_ID", data, len);
		else if (code == 2)
			set_env_hex(event, "REMOTE_ID", data, len);
		else if (code == 6)
			set_env_bytes(event, "SUBSCRIBER_ID", data, len);
	}
}

/* TR-069: who made a device that is to be managed (RFC 3925, enterprise 3561). */
static void set_env_device(struct callback_event *event, const struct dhcp_option *option)
{
	static const char *const names[] = {
		[1] = "CPEWAN_OUI", [2] = "CPEWAN_SERIAL", [3] = "CPEWAN_CLASS"
	};
	struct rbuf all, r;

	rbuf_init(&all, option->data, option->len);
	while (all.left) {
		uint32_t enterprise = rbuf_u32(&all);
		uint8_t len = rbuf_u8(&all);
		const uint8_t *data = rbuf_take(&all, len);

		if (!data)
			return;
		rbuf_init(&r, data, enterprise == 3561 ? len : 0);
		while (r.left) {
			uint8_t code = rbuf_u8(&r), part_len = rbuf_u8(&r);
			const uint8_t *part = rbuf_take(&r, part_len);

			if (!part)
				return;
			if (code >= 1 && code <= 3)
				set_env_bytes(event, names[code], part, part_len);
		}
	}
}

static void set_env_request(struct callback_event *event, const struct dhcp_message *request)
{
	const struct dhcp_option *option = request->option;
	char ip[IP4_STRLEN];

	set_env_hex(event, "CLIENT_ID", option[OPT_CLIENT_ID].data, option[OPT_CLIENT_ID].len);
	set_env_bytes(event, "VENDOR_CLASS", option[OPT_VENDOR_CLASS].data,
		option[OPT_VENDOR_CLASS].len);
	set_env_bytes(event, "SUPPLIED_HOSTNAME", option[OPT_HOST_NAME].data,
		option[OPT_HOST_NAME].len);
	set_env_numbers(event, "REQUESTED_OPTIONS", option[OPT_PARAMETER_LIST].data,
		option[OPT_PARAMETER_LIST].len);
	if (option[OPT_USER_CLASS].len)
		set_env_user_classes(event, &option[OPT_USER_CLASS]);
	if (option[OPT_RELAY_AGENT].len)
		set_env_relay_agent(event, &option[OPT_RELAY_AGENT]);
	if (option[OPT_VENDOR_SPECIFIC].len)
		set_env_device(event, &option[OPT_VENDOR_SPECIFIC]);
	set_env_bytes(event, "MUD_URL", option[OPT_MUD_URL].data, option[OPT_MUD_URL].len);
	if (request->giaddr)
		set_env(event, "DNSMASQ_RELAY_ADDRESS=%s", ip4_format(request->giaddr, ip));
}

static void set_environment(struct callback_event *event, const struct vm *vm, uint64_t expires,
	uint64_t now, time_t wall, const struct callback_context *context)
{
	uint64_t left = expires > now ? (expires - now + 999) / 1000 : 0;

	set_env(event, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	set_env(event, "DNSMASQ_INTERFACE=%s", context->interface);
	if (*context->domain)
		set_env(event, "DNSMASQ_DOMAIN=%s", context->domain);
	if (vm->tags)
		set_env(event, "DNSMASQ_TAGS=%s", vm->tags);
	if (event->old_name)
		set_env(event, "DNSMASQ_OLD_HOSTNAME=%s", event->old_name);
	/* of a lease that has ended: now */
	set_env(event, "DNSMASQ_LEASE_EXPIRES=%llu",
		expires == LEASE_FOREVER ? 0 : (unsigned long long)wall + left);
	if (event->event != LEASE_DEL && expires != LEASE_FOREVER)
		set_env(event, "DNSMASQ_TIME_REMAINING=%llu", (unsigned long long)left);
	if (context->request)
		set_env_request(event, context->request);
	else
		set_env(event, "DNSMASQ_DATA_MISSING=1");
}

/* --- queue -------------------------------------------------------------------------------- */

static int compare_macs(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mac));
}

static void event_free(struct callback_event *event)
{
	for (unsigned i = 0; i < event->env_count; i++)
		free(event->env[i]);
	free(event->name);
	free(event->old_name);
	free(event);
}

static struct callback_event *newest_of(struct callback *callback, const struct mac *mac)
{
	struct callback_event *const *node = tfind(mac, &callback->newest, compare_macs);

	return node ? *node : NULL;
}

/* Takes an event that is the newest of its MAC, or the oldest, out of queue and tree. */
static void unlink_event(struct callback *callback, struct callback_event *event)
{
	struct callback_event *newest = newest_of(callback, &event->mac);

	TAILQ_REMOVE(&callback->queue, event, link);
	callback->queued--;
	if (newest != event) {
		while (newest->older != event)
			newest = newest->older;
		newest->older = event->older;
		return;
	}
	tdelete(event, &callback->newest, compare_macs);
	if (event->older && !tsearch(event->older, &callback->newest, compare_macs))
		abort();
}

static void append_event(struct callback *callback, struct callback_event *event)
{
	event->older = newest_of(callback, &event->mac);
	if (event->older)
		tdelete(event->older, &callback->newest, compare_macs);
	if (!tsearch(event, &callback->newest, compare_macs))
		abort();
	TAILQ_INSERT_TAIL(&callback->queue, event, link);
	callback->queued++;
}

/* True if `event` and what waits already need no further call. */
static bool coalesce(struct callback *callback, struct callback_event *event)
{
	struct callback_event *before = newest_of(callback, &event->mac);
	bool cancels;

	if (!before || before->ip != event->ip || before->event == LEASE_DEL)
		return false;
	cancels = before->event == LEASE_ADD && event->event == LEASE_DEL;
	/* a lease that was not told of yet stays an `add`, with what is known now */
	if (before->event == LEASE_ADD)
		event->event = LEASE_ADD;
	/* the name that the program knows is the one before all that it was not told */
	if (before->event == LEASE_ADD || before->old_name) {
		free(event->old_name);
		event->old_name = before->old_name;
		before->old_name = NULL;
	}
	unlink_event(callback, before);
	event_free(before);
	return cancels;
}

static void run_next(void *ctx)
{
	struct callback *callback = ctx;
	struct callback_event *event = TAILQ_FIRST(&callback->queue);
	char mac[MAC_STRLEN], ip[IP4_STRLEN];
	const char *argv[6] = { callback->program };
	int err;

	if (spawn_running(&callback->spawn))
		return;
	if (!event) {
		if (callback->on_idle)
			callback->on_idle(callback->ctx);
		return;
	}
	argv[1] = lease_event_name(event->event);
	argv[2] = mac_format(&event->mac, mac);
	argv[3] = ip4_format(event->ip, ip);
	argv[4] = event->name;
	snprintf(callback->running, sizeof(callback->running), "%s %s %s %s", argv[1], mac, ip,
		event->name);
	err = spawn_start(&callback->spawn, (char *const *)(uintptr_t)argv, event->env,
		callback->timeout);
	if (err) {
		/* what there is none of now (descriptors, memory, processes) there will be again */
		if (!callback->cannot_start)
			log_warning("callback: %s: cannot be started yet: %s", callback->running,
				strerror(-err));
		callback->cannot_start = true;
		loop_timer_set(callback->loop, &callback->start, RETRY_MS, run_next, callback);
		return;
	}
	callback->cannot_start = false;
	callback->run++;
	unlink_event(callback, event);
	callback->told = event;
}

static void on_line(void *ctx, const char *line)
{
	const struct callback *callback = ctx;

	log_info("callback: %s: %s", callback->running, line);
}

static void on_exit_status(void *ctx, int status, bool timed_out)
{
	struct callback *callback = ctx;

	if (timed_out)
		log_warning("callback: %s: killed, it took longer than callback-timeout (%us)",
			callback->running, callback->timeout);
	else if (WIFSIGNALED(status))
		log_warning("callback: %s: killed by signal %d", callback->running,
			WTERMSIG(status));
	else if (WEXITSTATUS(status))
		log_warning("callback: %s: exit status %d", callback->running, WEXITSTATUS(status));
	if (status)
		callback->failed++;
	if (callback->told->event == LEASE_DEL && callback->on_told)
		callback->on_told(callback->ctx);
	event_free(callback->told);
	callback->told = NULL;
	if (!callback->start.active)
		loop_timer_set(callback->loop, &callback->start, 0, run_next, callback);
}

void callback_init(struct callback *callback, struct loop *loop, const char *program,
	unsigned timeout_seconds)
{
	*callback = (struct callback){
		.loop = loop, .program = program, .timeout = timeout_seconds
	};
	TAILQ_INIT(&callback->queue);
	spawn_init(&callback->spawn, loop, on_line, on_exit_status, callback);
}

void callback_add(struct callback *callback, enum lease_event event, const struct vm *vm,
	const char *old_name, uint64_t expires, uint64_t now, time_t wall,
	const struct callback_context *context)
{
	struct callback_event *added;

	if (!*callback->program)
		return;
	added = xcalloc(1, sizeof(*added));
	added->mac = vm->mac;
	added->event = event;
	added->ip = vm->ip;
	added->name = xstrdup(vm->name);
	added->old_name = old_name ? xstrdup(old_name) : NULL;
	if (coalesce(callback, added)) {
		event_free(added);
		return;
	}
	set_environment(added, vm, expires, now, wall, context);
	append_event(callback, added);
	if (!callback->start.active)
		loop_timer_set(callback->loop, &callback->start, 0, run_next, callback);
}

void callback_reap(struct callback *callback)
{
	spawn_reap(&callback->spawn);
}

static size_t note_end(struct lease_untold *list, size_t count, const struct callback_event *event)
{
	if (event->event != LEASE_DEL)
		return count;
	list[count].mac = event->mac;
	list[count].ip = event->ip;
	snprintf(list[count].name, sizeof(list[count].name), "%s", event->name);
	return count + 1;
}

struct lease_untold *callback_untold(const struct callback *callback, size_t *ret_count)
{
	struct lease_untold *list = xcalloc(callback->queued + 1, sizeof(*list));
	const struct callback_event *event;
	size_t count = 0;

	if (callback->told)
		count = note_end(list, count, callback->told);
	TAILQ_FOREACH (event, &callback->queue, link)
		count = note_end(list, count, event);
	*ret_count = count;
	return list;
}

void callback_drain(struct callback *callback, void (*on_idle)(void *ctx))
{
	callback->on_idle = on_idle;
	run_next(callback);
}

void callback_done(struct callback *callback)
{
	struct callback_event *event;

	if (callback->queued)
		log_warning("callback: %zu events were not told before the end; the next start "
			    "tells those that are still so",
			callback->queued);
	while ((event = TAILQ_FIRST(&callback->queue))) {
		unlink_event(callback, event);
		event_free(event);
	}
	loop_timer_cancel(callback->loop, &callback->start);
	spawn_done(&callback->spawn);
	if (callback->told)
		event_free(callback->told);
	callback->told = NULL;
}
