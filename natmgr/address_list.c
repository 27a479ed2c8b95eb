/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address_list owns the list of addresses as clients see it. It must not change anything.
 */
#include "natmgr/address_list.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/memory.h"
#include "common/worker.h"
#include "natmgr/binding_store.h"
#include "natmgr/conntrack.h"

/* An address of the list; sorted by address. */
struct row {
	uint32_t address;
	uint64_t flows;
	const struct binding *binding;
	const struct forward *forward; /* the first of a shared one */
	const struct cooldown *cooling;
};

struct listing {
	struct row *rows;
	size_t count;
};

struct address_list {
	const struct config *config;
	const struct keeper *keeper;
	const struct conflicts *conflicts;
	struct worker worker;
	struct listing counted; /* by the worker */
	struct control_request **waiting;
	size_t waiting_count, served_count; /* the first of them wait for what is being counted */
};

static int compare_rows(const void *a, const void *b)
{
	const struct row *ra = a, *rb = b;

	return ra->address < rb->address ? -1 : ra->address > rb->address;
}

static struct row *find_row(const struct listing *listing, uint32_t address)
{
	struct row key = { .address = address };

	return bsearch(&key, listing->rows, listing->count, sizeof(key), compare_rows);
}

static void count_flow(void *ctx, const struct flow *flow)
{
	/* a flow counts for the address it came to, else for the one it left with */
	struct row *row = find_row(ctx, flow->destination);

	if (!row)
		row = find_row(ctx, flow->reply_destination);
	if (row)
		row->flows++;
}

/* The pool, and what is bound or shared outside of it. */
static void list_addresses(const struct address_list *list, struct listing *ret_listing)
{
	const struct config *config = list->config;
	const struct binding_table *table = keeper_table(list->keeper);
	struct row *rows = xcalloc((size_t)config_pool_size(config) + table->count +
			table->forward_count,
		sizeof(*rows));
	size_t n = 0, count = 0;

	for (size_t i = 0; i < config->outer.pool_count; i++) {
		const struct ip4_range *range = &config->outer.pool[i];

		for (uint32_t address = range->first; address <= range->last; address++)
			rows[n++].address = address;
	}
	for (size_t i = 0; i < table->count; i++)
		rows[n++] = (struct row){ .address = table->list[i].address,
			.binding = &table->list[i] };
	for (size_t i = 0; i < table->forward_count; i++)
		rows[n++] = (struct row){ .address = table->forwards[i].address,
			.forward = &table->forwards[i] };
	qsort(rows, n, sizeof(*rows), compare_rows);
	/* one row an address: what stands there twice is merged */
	for (size_t i = 0; i < n; i++) {
		if (count && rows[count - 1].address == rows[i].address) {
			if (rows[i].binding)
				rows[count - 1].binding = rows[i].binding;
			if (rows[i].forward)
				rows[count - 1].forward = rows[i].forward;
		} else {
			rows[count++] = rows[i];
		}
	}
	*ret_listing = (struct listing){ rows, count };
	for (size_t i = 0; i < table->cooling_count; i++) {
		struct row *row = find_row(ret_listing, table->cooling[i].address);

		if (row && table->cooling[i].until > binding_seconds())
			row->cooling = &table->cooling[i];
	}
}

json_t *address_label(const struct config *config, unsigned label)
{
	return json_sprintf("%s:%u", config->outer.interface, label);
}

static json_t *describe_row(const struct address_list *list, const struct row *row)
{
	const struct cooldown *cooling = row->cooling;
	const struct conflict *conflict = conflict_find(list->conflicts, row->address);
	bool is_foreign = binding_is_foreign(keeper_table(list->keeper), row->address);
	bool taken = row->binding || row->forward;
	char text[IP4_STRLEN];
	json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:I}", "address",
		ip4_format(row->address, text), "state",
		taken                            ? "bound"
			: conflict || is_foreign ? "conflict"
			: cooling                ? "cooldown"
						 : "free",
		"vm", row->binding ? json_string(row->binding->vm) : json_null(), "label",
		row->binding           ? address_label(list->config, row->binding->label)
			: row->forward ? address_label(list->config, row->forward->label)
				       : json_null(),
		"connections", (json_int_t)row->flows);

	if (row->forward)
		json_object_set_new(object, "shared", json_true());
	if (cooling && !taken)
		json_object_set_new(object, "until",
			json_integer(time(NULL) + cooling->until - binding_seconds()));
	if (conflict && !taken)
		json_object_set_new(object, "answered_by",
			json_string(mac_format(&conflict->mac, (char[MAC_STRLEN]){ 0 })));
	return object;
}

/* --- counting ----------------------------------------------------------------------------- */

static void count_flows(void *ctx)
{
	struct address_list *list = ctx;

	(void)conntrack_list(count_flow, &list->counted);
}

/* As it is now, with the numbers as they were just now. */
static json_t *describe_all(const struct address_list *list)
{
	json_t *array = json_array();
	struct listing listing;

	list_addresses(list, &listing);
	for (size_t i = 0; i < listing.count; i++) {
		const struct row *counted = find_row(&list->counted, listing.rows[i].address);

		listing.rows[i].flows = counted ? counted->flows : 0;
		json_array_append_new(array, describe_row(list, &listing.rows[i]));
	}
	free(listing.rows);
	return array;
}

static void begin(struct address_list *list);

static void counted(void *ctx)
{
	struct address_list *list = ctx;
	json_t *answer = describe_all(list);

	free(list->counted.rows);
	list->counted = (struct listing){ 0 };
	for (size_t i = 0; i < list->served_count; i++)
		control_reply(list->waiting[i], json_incref(answer));
	json_decref(answer);
	list->waiting_count -= list->served_count;
	memmove(list->waiting, list->waiting + list->served_count,
		list->waiting_count * sizeof(*list->waiting));
	list->served_count = 0;
	begin(list);
}

static void begin(struct address_list *list)
{
	if (worker_is_busy(&list->worker) || !list->waiting_count)
		return;
	list->served_count = list->waiting_count;
	list_addresses(list, &list->counted);
	worker_start(&list->worker, count_flows, counted, list);
}

static void command_ip_list(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct address_list *list = ctx;

	(void)argc;
	(void)argv;
	list->waiting = xrealloc(list->waiting, list->waiting_count + 1,
		sizeof(struct control_request *));
	list->waiting[list->waiting_count++] = request;
	begin(list);
}

static const struct control_command table[] = {
	{ "ip list", 0, 0, command_ip_list, true },
};

struct address_list *address_list_new(struct loop *loop, struct control *control,
	const struct config *config, const struct keeper *keeper, const struct conflicts *conflicts)
{
	struct address_list *list = xcalloc(1, sizeof(*list));

	list->config = config;
	list->keeper = keeper;
	list->conflicts = conflicts;
	worker_init(&list->worker, loop);
	control_register(control, table, sizeof(table) / sizeof(*table), list);
	return list;
}

void address_list_free(struct address_list *list)
{
	if (!list)
		return;
	while (list->waiting_count > list->served_count)
		control_refuse(list->waiting[--list->waiting_count], NULL, CONTROL_STOPPING);
	worker_done(&list->worker);
	free(list->waiting);
	free(list);
}
