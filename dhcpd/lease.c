/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lease owns the table of leases beside the plan and its form on disk. It must not decide whether
 * a client gets one, nor write or spawn anything itself.
 */
#include "dhcpd/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/*
 * Milliseconds. The file may lack a renewal just before the end of the daemon that wrote it: a VM
 * that is there renews at about the time that stands there, and shall not be told dead and born
 * again.
 */
#define GRACE   10000
#define WRITTEN "# written"
/* Seconds since the epoch: long ago, and not 0, which is never. */
#define ENDED 1
/* Seconds; far from where times overflow. */
#define WALL_MAX (UINT64_C(1) << 40)

struct lease {
	uint64_t expires; /* 0: none */
	uint64_t ended;   /* 0: not since the start */
	bool ran_out;
	bool from_file; /* and not renewed since */
};

struct lease_table {
	const struct plan *plan;
	struct lease *leases; /* by the plan's index */
	lease_listener *listener;
	void *ctx;
	uint64_t next; /* no lease ends before; 0: none ends */
	bool dirty;
};

struct lease_table *lease_table_new(const struct plan *plan, lease_listener *listener, void *ctx)
{
	struct lease_table *table = xcalloc(1, sizeof(*table));

	table->plan = plan;
	table->leases = xcalloc(plan_count(plan), sizeof(*table->leases));
	table->listener = listener;
	table->ctx = ctx;
	return table;
}

void lease_table_free(struct lease_table *table)
{
	if (!table)
		return;
	free(table->leases);
	free(table);
}

static struct lease *lease_of(const struct lease_table *table, const struct vm *vm)
{
	return &table->leases[plan_index(table->plan, vm)];
}

static void set_expires(struct lease_table *table, struct lease *lease, uint64_t expires)
{
	lease->expires = expires;
	lease->ran_out = lease->from_file = false;
	table->dirty = true;
	if (expires && expires != LEASE_FOREVER && (!table->next || expires < table->next))
		table->next = expires;
}

void lease_grant(struct lease_table *table, const struct vm *vm, uint32_t seconds, uint64_t now)
{
	uint64_t expires = seconds == TIME_INFINITE ? LEASE_FOREVER
						    : now + seconds * UINT64_C(1000);
	struct lease *lease = lease_of(table, vm);
	bool is_new = !lease->expires;

	set_expires(table, lease, expires);
	if (is_new)
		table->listener(table->ctx, LEASE_ADD, vm, expires, NULL);
}

void lease_end(struct lease_table *table, const struct vm *vm, uint64_t now)
{
	struct lease *lease = lease_of(table, vm);

	if (!lease->expires)
		return;
	set_expires(table, lease, 0);
	lease->ended = now;
	table->listener(table->ctx, LEASE_DEL, vm, 0, NULL);
}

uint64_t lease_expires(const struct lease_table *table, const struct vm *vm)
{
	return lease_of(table, vm)->expires;
}

uint64_t lease_ended(const struct lease_table *table, const struct vm *vm)
{
	return lease_of(table, vm)->ended;
}

bool lease_is_expired(const struct lease_table *table, const struct vm *vm)
{
	return lease_of(table, vm)->ran_out;
}

uint64_t lease_sweep(struct lease_table *table, uint64_t now)
{
	uint64_t next = 0;

	if (!table->next || table->next > now)
		return table->next;
	for (size_t i = 0; i < plan_count(table->plan); i++) {
		uint64_t expires = table->leases[i].expires, due;

		if (!expires || expires == LEASE_FOREVER)
			continue;
		due = expires + (table->leases[i].from_file ? GRACE : 0);
		if (due <= now) {
			lease_end(table, plan_vm(table->plan, i), now);
			table->leases[i].ran_out = true;
		} else if (!next || due < next) {
			next = due;
		}
	}
	return table->next = next;
}

void lease_replan(struct lease_table *table, const struct plan *plan,
	const struct plan_change *change, uint64_t now)
{
	struct lease *leases = xcalloc(plan_count(plan), sizeof(*leases)), *old = table->leases;

	for (size_t i = 0; i < plan_count(plan); i++) {
		size_t before = change->before[i];

		/* who is new, or has another address, is away from now on */
		leases[i].ended = now;
		if (!before || plan_vm(table->plan, before - 1)->ip != plan_vm(plan, i)->ip)
			continue;
		leases[i] = old[before - 1];
		old[before - 1].expires = 0;
	}
	for (size_t i = 0; i < plan_count(table->plan); i++) {
		if (old[i].expires)
			table->listener(table->ctx, LEASE_DEL, plan_vm(table->plan, i), 0, NULL);
	}
	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i);
		const char *name;

		if (!leases[i].expires)
			continue;
		name = plan_vm(table->plan, change->before[i] - 1)->name;
		if (strcmp(name, vm->name) != 0)
			table->listener(table->ctx, LEASE_OLD, vm, leases[i].expires, name);
	}
	free(old);
	table->leases = leases;
	table->plan = plan;
	table->dirty = true;
}

bool lease_is_dirty(const struct lease_table *table)
{
	return table->dirty;
}

void lease_set_dirty(struct lease_table *table)
{
	table->dirty = true;
}

static unsigned long long to_wall(uint64_t expires, const struct lease_moment *moment)
{
	uint64_t now = moment->now;

	if (expires == LEASE_FOREVER)
		return 0;
	return (unsigned long long)moment->wall +
		(expires > now ? (expires - now + 999) / 1000 : 0);
}

void lease_snapshot(struct lease_table *table, const struct lease_moment *moment,
	struct lease_untold *untold, size_t untold_count, struct lease_snapshot *ret_snapshot)
{
	size_t count = plan_count(table->plan);

	*ret_snapshot = (struct lease_snapshot){ .plan = plan_share(table->plan),
		.expires = xcalloc(count, sizeof(*ret_snapshot->expires)),
		.moment = *moment,
		.untold = untold,
		.untold_count = untold_count };
	for (size_t i = 0; i < count; i++)
		ret_snapshot->expires[i] = table->leases[i].expires;
	table->dirty = false;
}

static void print_line(FILE *out, unsigned long long epoch, const struct mac *mac, uint32_t ip,
	const char *name)
{
	char mac_text[MAC_STRLEN], ip_text[IP4_STRLEN];

	fprintf(out, "%llu %s %s %s *\n", epoch, mac_format(mac, mac_text), ip4_format(ip, ip_text),
		name);
}

/* The VM has that address again, which is told as `old`. */
static bool is_back(const struct lease_snapshot *snapshot, const struct lease_untold *ended)
{
	const struct vm *vm = plan_by_mac(snapshot->plan, &ended->mac);

	return vm && vm->ip == ended->ip && snapshot->expires[plan_index(snapshot->plan, vm)];
}

char *lease_format(const struct lease_snapshot *snapshot, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		abort();
	for (size_t i = 0; i < snapshot->untold_count; i++) {
		const struct lease_untold *ended = &snapshot->untold[i];

		if (!is_back(snapshot, ended))
			print_line(out, ENDED, &ended->mac, ended->ip, ended->name);
	}
	for (size_t i = 0; i < plan_count(snapshot->plan); i++) {
		const struct vm *vm = plan_vm(snapshot->plan, i);

		if (snapshot->expires[i])
			print_line(out, to_wall(snapshot->expires[i], &snapshot->moment), &vm->mac,
				vm->ip, vm->name);
	}
	if (ftell(out) > 0)
		fprintf(out, WRITTEN " %llu, %llu ms after boot %s\n",
			(unsigned long long)snapshot->moment.wall,
			(unsigned long long)snapshot->moment.now,
			*snapshot->moment.boot ? snapshot->moment.boot : "-");
	if (fclose(out))
		abort();
	return text;
}

void lease_snapshot_done(struct lease_snapshot *snapshot)
{
	plan_free(snapshot->plan);
	free(snapshot->expires);
	free(snapshot->untold);
	*snapshot = (struct lease_snapshot){ 0 };
}

/* The longest line that is looked at, with its NUL. */
#define LINE_SIZE 256

/* A file that does not say when it was written might have been so now. */
static struct lease_moment read_moment(const char *text, const struct lease_moment *moment)
{
	struct lease_moment written = *moment;
	unsigned long long wall, now;
	const char *line = strstr(text, "\n" WRITTEN " ");
	int end = 0;

	if (!line ||
		sscanf(line, "\n" WRITTEN " %llu, %llu ms after boot %n", &wall, &now, &end) < 2 ||
		!end || wall > WALL_MAX)
		return written;
	written.wall = (time_t)wall;
	written.now = now;
	snprintf(written.boot, sizeof(written.boot), "%.*s", (int)strcspn(line + end, "\n"),
		line + end);
	return written;
}

/* The two clocks of a moment are not read at once, so that a later one can seem to be earlier. */
#define CLOCK_SLACK_MS 2000

/* Milliseconds; 0: by a clock that was set back. */
static uint64_t time_since(const struct lease_moment *written, const struct lease_moment *moment)
{
	if (*moment->boot && !strcmp(written->boot, moment->boot) &&
		written->now <= moment->now + CLOCK_SLACK_MS)
		return moment->now > written->now ? moment->now - written->now : 0;
	return moment->wall > written->wall ? (uint64_t)(moment->wall - written->wall) * 1000 : 0;
}

static bool parse_line(const char *line, const struct lease_moment *written,
	unsigned long long *ret_epoch, struct vm *ret_vm, char ret_name[static VM_NAME_MAX + 1])
{
	char mac_text[32], ip_text[32];

	return sscanf(line, "%llu %31s %31s %63s", ret_epoch, mac_text, ip_text, ret_name) == 4 &&
		!mac_parse(mac_text, &ret_vm->mac) && !ip4_parse(ip_text, &ret_vm->ip) &&
		plan_name_is_valid(ret_name) &&
		*ret_epoch <= (unsigned long long)written->wall + TIME_INFINITE;
}

static bool read_line(struct lease_table *table, const char *line,
	const struct lease_moment *written, const struct lease_moment *moment)
{
	char name[VM_NAME_MAX + 1];
	unsigned long long epoch;
	uint64_t expires = LEASE_FOREVER, now = moment->now;
	struct vm gone = { .name = name };
	const struct vm *vm;

	if (!parse_line(line, written, &epoch, &gone, name))
		return false;
	if (epoch) {
		int64_t left = (int64_t)epoch - (int64_t)written->wall;
		uint64_t ends = left > 0 ? (uint64_t)left * 1000 : 0;
		uint64_t since = time_since(written, moment);

		/* what expired while we were away ends at the first sweep, with its event */
		expires = ends > since ? now + ends - since : now;
	}
	vm = plan_by_mac(table->plan, &gone.mac);
	if (!vm || vm->ip != gone.ip) {
		table->listener(table->ctx, LEASE_DEL, &gone, 0, NULL);
		table->dirty = true;
		return true;
	}
	set_expires(table, lease_of(table, vm), expires ? expires : 1);
	lease_of(table, vm)->from_file = expires > now;
	if (expires > now)
		table->listener(table->ctx, LEASE_OLD, vm, expires,
			strcmp(vm->name, name) ? name : NULL);
	return true;
}

/* The next line that says something, without its end; a longer one than there can be is "". */
static bool next_line(const char **text, unsigned *number, char line[static LINE_SIZE])
{
	while (**text) {
		size_t len = strcspn(*text, "\n");
		bool says = len && **text != '#', fits = len < LINE_SIZE;

		memcpy(line, *text, fits ? len : 0);
		line[fits ? len : 0] = '\0';
		*text += len + ((*text)[len] == '\n');
		++*number;
		if (says)
			return true;
	}
	return false;
}

unsigned lease_read(struct lease_table *table, const char *text, const struct lease_moment *moment)
{
	const struct lease_moment written = read_moment(text, moment);
	unsigned bad = 0, number = 0;
	char line[LINE_SIZE];

	while (next_line(&text, &number, line))
		bad += !read_line(table, line, &written, moment);
	return bad;
}

void lease_check(const char *text, const char *file, const struct lease_moment *moment,
	struct problems *problems)
{
	const struct lease_moment written = read_moment(text, moment);
	char line[LINE_SIZE], name[VM_NAME_MAX + 1];
	unsigned long long epoch;
	unsigned number = 0;
	struct vm vm;

	while (next_line(&text, &number, line)) {
		if (!parse_line(line, &written, &epoch, &vm, name))
			problem_add(problems, file, number,
				"no lease; expected EPOCH MAC IP NAME *, as dnsmasq writes it");
	}
}
