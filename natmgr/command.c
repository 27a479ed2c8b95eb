/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command owns the words of the NAT commands and of their answers. It must not decide who may have
 * what, which is binding's, nor touch the kernel.
 */
#include "natmgr/command.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/memory.h"
#include "natmgr/address_list.h"
#include "natmgr/auto_bind.h"
#include "natmgr/binding_store.h"

enum verb { VERB_BIND, VERB_UNBIND, VERB_MOVE, VERB_FORWARD_ADD, VERB_FORWARD_DEL, VERB_RECLAIM };

/* A command on its way. */
struct order {
	struct keeper_change change; /* first: the keeper hands it back */
	struct commands *commands;
	struct control_request *request; /* NULL: nobody waits */
	enum verb verb;
	char vm[VM_NAME_MAX + 1];
	char from[VM_NAME_MAX + 1]; /* of a move: whose it was; "": nobody's */
	uint32_t address;
	bool chosen;  /* by us, not by the caller */
	bool vm_came; /* of a reclaim: while this waited */
	struct forward forward;
	/* as it was when this was done, of a bind or move; what came after is not its answer */
	struct binding binding;
	uint32_t inner;
	TAILQ_ENTRY(order) link; /* while the wire is asked */
};

struct commands {
	const struct config *config;
	struct keeper *keeper;
	struct events *events;
	TAILQ_HEAD(order_list, order) asking; /* the wire, or waiting for the keeper */
	struct conflicts conflicts;
	struct auto_bind *auto_bind;
};

/* --- answers ------------------------------------------------------------------------------ */

static json_t *describe_binding(const struct order *order, bool changed)
{
	const struct binding *binding = &order->binding;
	char address[IP4_STRLEN], ip[IP4_STRLEN];

	return json_pack("{s:s, s:s, s:s, s:o, s:b}", "address",
		ip4_format(binding->address, address), "vm", binding->vm, "ip",
		ip4_format(order->inner, ip), "label",
		address_label(order->commands->config, binding->label), "changed", changed);
}

static json_t *describe_forward(const struct commands *commands, const struct forward *forward)
{
	char address[IP4_STRLEN], text[FORWARD_STRLEN];

	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:i, s:b, s:o}", "forward",
		forward_format(forward, text), "address", ip4_format(forward->address, address),
		"protocol", forward->protocol == IPPROTO_TCP ? "tcp" : "udp", "port",
		forward->first, "last", forward->last, "vm", forward->vm, "to", forward->to,
		"source", forward->is_source, "label",
		address_label(commands->config, forward->label));
}

static json_t *describe_outcome(const struct order *order, int result)
{
	char text[FORWARD_STRLEN];
	json_t *object;

	switch (order->verb) {
	case VERB_BIND:
	case VERB_MOVE:
		return describe_binding(order, result);
	case VERB_FORWARD_ADD:
		object = describe_forward(order->commands, &order->forward);
		json_object_set_new(object, "changed", json_boolean(result));
		return object;
	case VERB_FORWARD_DEL:
		return json_pack("{s:s, s:b}", "forward", forward_format(&order->forward, text),
			"changed", result);
	case VERB_UNBIND:
	case VERB_RECLAIM:
		break;
	}
	return json_pack("{s:s, s:b}", "address", ip4_format(order->address, text), "changed",
		result);
}

static void tell(const struct order *order)
{
	static const char *const words[] = { [VERB_BIND] = "bind",
		[VERB_UNBIND] = "unbind",
		[VERB_MOVE] = "move",
		[VERB_FORWARD_ADD] = "forward-add",
		[VERB_FORWARD_DEL] = "forward-del",
		[VERB_RECLAIM] = "reclaim" };
	bool is_forward = order->verb == VERB_FORWARD_ADD || order->verb == VERB_FORWARD_DEL;
	char text[FORWARD_STRLEN];
	json_t *details;

	if (is_forward)
		forward_format(&order->forward, text);
	else
		ip4_format(order->address, text);
	log_info("nat: %s %s%s%s%s%s", words[order->verb], text, *order->vm ? " " : "", order->vm,
		*order->from ? " from " : "", order->from);
	details = json_pack("{s:s}", is_forward ? "forward" : "address", text);
	if (*order->vm)
		json_object_set_new(details, "vm", json_string(order->vm));
	if (*order->from)
		json_object_set_new(details, "from", json_string(order->from));
	events_post(order->commands->events, words[order->verb], details);
}

static void finish(struct order *order, int result, const char *error)
{
	if (result > 0)
		tell(order);
	else
		/* what it had asked for may be another's */
		auto_bind_look(order->commands->auto_bind);
	if (order->request && result >= 0)
		control_reply(order->request, describe_outcome(order, result));
	else if (order->request)
		control_refuse(order->request, NULL, "%s", error);
	free(order);
}

/* --- orders ------------------------------------------------------------------------------- */

static int change_table(struct order *order, struct binding_table *table, char **ret_error)
{
	const struct binding *bound = binding_find(table, order->address);
	const struct forward *forward = forward_find(table, &order->forward);
	const struct config *config = order->commands->config;
	const struct plan *plan = keeper_plan(order->commands->keeper);
	time_t now = binding_seconds();

	switch (order->verb) {
	case VERB_BIND:
		return binding_bind(table, config, plan, order->vm, order->address, now, ret_error);
	case VERB_UNBIND:
		/* whose it was, for the log and the event */
		snprintf(order->vm, sizeof(order->vm), "%s", bound ? bound->vm : "");
		return binding_unbind(table, config, order->address, now, ret_error);
	case VERB_RECLAIM:
		/* it may have gone to somebody else while this waited, or be in use again */
		if (!bound || strcmp(bound->vm, order->vm) || order->vm_came)
			return 0;
		return binding_unbind(table, config, order->address, now, ret_error);
	case VERB_MOVE:
		snprintf(order->from, sizeof(order->from), "%s", bound ? bound->vm : "");
		return binding_move(table, config, plan, order->address, order->vm, now, ret_error);
	case VERB_FORWARD_ADD:
		return forward_add(table, config, plan, &order->forward, now, ret_error);
	case VERB_FORWARD_DEL:
		snprintf(order->vm, sizeof(order->vm), "%s", forward ? forward->vm : "");
		return forward_del(table, config, &order->forward, now, ret_error);
	}
	return 0;
}

static int apply(struct keeper_change *change, struct binding_table *table, char **ret_error)
{
	struct order *order = (struct order *)change;
	const struct vm *vm = plan_by_name(keeper_plan(order->commands->keeper), order->vm);
	int result = change_table(order, table, ret_error);
	const struct binding *binding = binding_find(table, order->address);
	const struct forward *forward = forward_find(table, &order->forward);

	if (result < 0)
		return result;
	if (binding)
		order->binding = *binding;
	if (forward)
		order->forward = *forward;
	order->inner = vm ? vm->ip : 0;
	return result;
}

/* What a VM lost by this, another one that waits may have. */
static void note_loss(const struct order *order)
{
	const struct vm *vm = NULL;

	switch (order->verb) {
	case VERB_UNBIND:
	case VERB_RECLAIM:
	case VERB_FORWARD_DEL:
		vm = plan_by_name(keeper_plan(order->commands->keeper), order->vm);
		break;
	case VERB_MOVE:
		vm = plan_by_name(keeper_plan(order->commands->keeper), order->from);
		break;
	case VERB_BIND:
	case VERB_FORWARD_ADD:
		break;
	}
	/* too late for what it had, but not for another one */
	if (order->vm_came)
		auto_bind_look(order->commands->auto_bind);
	else if (vm)
		auto_bind_lost(order->commands->auto_bind, vm, order->verb == VERB_RECLAIM);
}

static void done(struct keeper_change *change, int result, const char *error)
{
	struct order *order = (struct order *)change;

	TAILQ_REMOVE(&order->commands->asking, order, link);
	if (result > 0)
		note_loss(order);
	finish(order, result, error);
}

static struct order *order_new(struct commands *commands, struct control_request *request,
	enum verb verb)
{
	struct order *order = xcalloc(1, sizeof(*order));

	order->change = (struct keeper_change){ .apply = apply, .done = done };
	order->commands = commands;
	order->request = request;
	order->verb = verb;
	return order;
}

static void refuse(struct order *order, int err, char *error)
{
	finish(order, err, error);
	free(error);
}

static void submit(struct order *order)
{
	TAILQ_INSERT_TAIL(&order->commands->asking, order, link);
	keeper_submit(order->commands->keeper, &order->change);
}

/* --- the wire ----------------------------------------------------------------------------- */

/* Somebody is about to bind it. */
static bool is_asked_for(const struct commands *commands, uint32_t address)
{
	const struct order *order;

	TAILQ_FOREACH (order, &commands->asking, link) {
		if (order->address == address && order->verb != VERB_UNBIND &&
			order->verb != VERB_RECLAIM)
			return true;
	}
	return false;
}

static bool is_open(const void *ctx, uint32_t address)
{
	const struct commands *commands = ctx;

	return !conflict_find(&commands->conflicts, address) && !is_asked_for(commands, address) &&
		!auto_bind_asks_for(commands->auto_bind, address);
}

/* An address for a bind that names none; 0: none is left. */
static uint32_t choose(const struct commands *commands, const char *vm)
{
	const struct address_filter filter = { is_open, commands };

	return binding_choose(keeper_table(commands->keeper), commands->config,
		plan_by_name(keeper_plan(commands->keeper), vm), binding_seconds(), &filter);
}

static void refuse_full(struct order *order)
{
	refuse(order, -ENOSPC,
		xasprintf("the pool has no free address for %s; eipctl ip list shows who "
			  "has them, [outer] pool in %s names them",
			order->vm, order->commands->config->path));
}

static void ask_or_submit(struct order *order);

static void answered(void *ctx, const struct mac *mac)
{
	struct order *order = ctx;
	struct commands *commands = order->commands;
	char address[IP4_STRLEN], owner[MAC_STRLEN];

	TAILQ_REMOVE(&commands->asking, order, link);
	if (!mac) {
		conflict_clear(&commands->conflicts, order->address);
		submit(order);
		return;
	}
	conflict_note(&commands->conflicts, order->address, mac);
	if (!order->chosen) {
		refuse(order, -EADDRINUSE,
			xasprintf("%s is in use on %s by %s; free it there or take "
				  "another address",
				ip4_format(order->address, address),
				commands->config->outer.interface, mac_format(mac, owner)));
		return;
	}
	order->address = choose(commands, order->vm);
	if (order->address)
		ask_or_submit(order);
	else
		refuse_full(order);
}

/* What is on the interface already, the wire need not be asked for. */
static bool is_ours(const struct commands *commands, uint32_t address)
{
	const struct binding_table *table = keeper_table(commands->keeper);

	return binding_find(table, address) || forward_of(table, address);
}

/*
 * What cannot be is refused before anybody on the wire is asked; it is looked at again when the
 * answer is there.
 */
static void ask_or_submit(struct order *order)
{
	struct commands *commands = order->commands;
	struct binding_table trial;
	char *error = NULL;
	int err;

	if (!commands->config->outer.probe || is_ours(commands, order->address)) {
		submit(order);
		return;
	}
	binding_table_copy(keeper_table(commands->keeper), &trial);
	err = apply(&order->change, &trial, &error);
	binding_table_done(&trial);
	if (err < 0) {
		refuse(order, err, error);
		return;
	}
	TAILQ_INSERT_TAIL(&commands->asking, order, link);
	announce_probe(keeper_announce(commands->keeper), order->address, answered, order);
}

/* --- words -------------------------------------------------------------------------------- */

static bool parse_address(struct control_request *request, const char *text, uint32_t *ret_address)
{
	if (!ip4_parse(text, ret_address))
		return true;
	control_refuse(request, NULL, "%s is not an IPv4 address; expected as in 20.251.48.99",
		text);
	return false;
}

/* The VM's name as the plan has it. */
static bool parse_vm(const struct commands *commands, struct control_request *request,
	const char *name, char ret_vm[static VM_NAME_MAX + 1])
{
	const struct vm *vm = plan_by_name(keeper_plan(commands->keeper), name);

	if (vm) {
		snprintf(ret_vm, VM_NAME_MAX + 1, "%s", vm->name);
		return true;
	}
	control_refuse(request, NULL, "%s: no such VM in the plan; eipctl vm list shows them",
		name);
	return false;
}

static bool parse_forward(struct control_request *request, const char *text,
	struct forward *ret_forward)
{
	if (!forward_parse(text, ret_forward))
		return true;
	control_refuse(request, NULL,
		"%s is not a forward; expected ADDR:PORT/tcp, ADDR:PORT/udp, or "
		"FIRST-LAST for PORT",
		text);
	return false;
}

static void command_bind(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct commands *commands = ctx;
	char vm[VM_NAME_MAX + 1];
	struct order *order;
	uint32_t address = 0;

	if ((argc == 2 && !parse_address(request, argv[1], &address)) ||
		!parse_vm(commands, request, argv[0], vm))
		return;
	order = order_new(commands, request, VERB_BIND);
	memcpy(order->vm, vm, sizeof(vm));
	order->chosen = argc < 2;
	order->address = order->chosen ? choose(commands, vm) : address;
	if (order->address || !order->chosen)
		ask_or_submit(order);
	else
		refuse_full(order);
}

static void command_unbind(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct order *order;
	uint32_t address;

	(void)argc;
	if (!parse_address(request, argv[0], &address))
		return;
	order = order_new(ctx, request, VERB_UNBIND);
	order->address = address;
	submit(order);
}

static void command_move(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	char vm[VM_NAME_MAX + 1];
	struct order *order;
	uint32_t address;

	(void)argc;
	if (!parse_address(request, argv[0], &address) || !parse_vm(ctx, request, argv[1], vm))
		return;
	order = order_new(ctx, request, VERB_MOVE);
	order->address = address;
	memcpy(order->vm, vm, sizeof(vm));
	ask_or_submit(order);
}

/* VM or VM:PORT; without a port it is that of the address. */
static bool parse_target(const struct commands *commands, struct control_request *request,
	const char *text, struct forward *forward)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	char name[VM_NAME_MAX + 1];
	uint32_t port = forward->first;

	if (len >= sizeof(name) || (colon && number_parse(colon + 1, 1, 65535, &port))) {
		control_refuse(request, NULL, "%s is not a target; expected VM or VM:PORT", text);
		return false;
	}
	memcpy(name, text, len);
	name[len] = '\0';
	forward->to = (uint16_t)port;
	return parse_vm(commands, request, name, forward->vm);
}

static void command_forward_add(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct forward forward;
	struct order *order;

	if (argc == 3 && strcmp(argv[2], "--source")) {
		control_refuse(request, NULL, "%s: unexpected; expected --source or nothing",
			argv[2]);
		return;
	}
	if (!parse_forward(request, argv[0], &forward) ||
		!parse_target(ctx, request, argv[1], &forward))
		return;
	forward.is_source = argc == 3;
	order = order_new(ctx, request, VERB_FORWARD_ADD);
	order->forward = forward;
	order->address = forward.address;
	snprintf(order->vm, sizeof(order->vm), "%s", forward.vm);
	ask_or_submit(order);
}

static void command_forward_del(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct forward forward;
	struct order *order;

	(void)argc;
	if (!parse_forward(request, argv[0], &forward))
		return;
	order = order_new(ctx, request, VERB_FORWARD_DEL);
	order->forward = forward;
	order->address = forward.address;
	submit(order);
}

static void command_forward_list(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct commands *commands = ctx;
	const struct binding_table *table = keeper_table(commands->keeper);
	json_t *list = json_array();

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < table->forward_count; i++)
		json_array_append_new(list, describe_forward(commands, &table->forwards[i]));
	control_reply(request, list);
}

/* --- life --------------------------------------------------------------------------------- */

static const struct control_command table[] = {
	{ "ip bind", 1, 2, command_bind },
	{ "ip unbind", 1, 1, command_unbind },
	{ "ip move", 2, 2, command_move },
	{ "forward list", 0, 0, command_forward_list, true },
	{ "forward add", 2, 3, command_forward_add },
	{ "forward del", 1, 1, command_forward_del },
};

struct commands *commands_new(struct loop *loop, struct control *control,
	const struct config *config, struct keeper *keeper, struct events *events)
{
	struct commands *commands = xcalloc(1, sizeof(*commands));
	const struct address_filter filter = { is_open, commands };

	commands->config = config;
	commands->keeper = keeper;
	commands->events = events;
	TAILQ_INIT(&commands->asking);
	commands->conflicts = (struct conflicts){ .interface = config->outer.interface,
		.events = events };
	commands->auto_bind = auto_bind_new(loop, config, keeper, events, &commands->conflicts,
		&filter);
	control_register(control, table, sizeof(table) / sizeof(*table), commands);
	return commands;
}

void commands_free(struct commands *commands)
{
	struct order *order;

	if (!commands)
		return;
	/* those that asked the wire, which does not answer any more */
	while ((order = TAILQ_FIRST(&commands->asking))) {
		TAILQ_REMOVE(&commands->asking, order, link);
		finish(order, -ESHUTDOWN, CONTROL_STOPPING);
	}
	auto_bind_free(commands->auto_bind);
	conflicts_done(&commands->conflicts);
	free(commands);
}

const struct conflicts *commands_conflicts(const struct commands *commands)
{
	return &commands->conflicts;
}

void commands_reclaim(struct commands *commands, const char *vm, uint32_t address)
{
	struct order *order = order_new(commands, NULL, VERB_RECLAIM);

	order->address = address;
	snprintf(order->vm, sizeof(order->vm), "%s", vm);
	submit(order);
}

void commands_replanned(struct commands *commands)
{
	auto_bind_replanned(commands->auto_bind);
}

void commands_vm_came(struct commands *commands, const struct vm *vm)
{
	struct order *order;

	TAILQ_FOREACH (order, &commands->asking, link) {
		if (order->verb == VERB_RECLAIM && !strcmp(order->vm, vm->name))
			order->vm_came = true;
	}
	auto_bind_vm_came(commands->auto_bind, vm);
}
