/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_command owns the words of the isolation's commands and of their answers. It must not
 * touch the kernel.
 */
#include "natmgr/isolate_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/memory.h"

struct isolate_commands {
	struct isolate *isolate;
	const struct config *config;
	struct keeper *keeper;
	struct events *events;
};

struct wanted {
	struct ip4_prefix allow[ALLOW_MAX];
	size_t allow_count;
	char port[IFNAMSIZ]; /* "": none is named */
};

enum verb { VERB_ISOLATE, VERB_REJOIN, VERB_PORT };

/* A command, until its answer: file, list and kernel first, then the VM's public addresses. */
struct order {
	struct isolate_change change;
	struct keeper_change addresses;
	struct isolate_commands *commands;
	struct control_request *request;
	enum verb verb;
	char vm[VM_NAME_MAX + 1];
	struct wanted wanted;
	json_t *answer;
};

/* --- answers ------------------------------------------------------------------------------ */

/* What the caller should know beside that it worked; null: nothing. */
static json_t *make_note(const struct isolate *isolate, const char *vm, const json_t *answer)
{
	if (!json_is_true(json_object_get(answer, "isolated")))
		return json_null();
	if (!plan_by_name(isolate_plan(isolate), vm) &&
		!isolation_find(isolate_list(isolate), vm)->ip)
		return json_sprintf("no VM %s is in the plan; it is isolated later, when one is",
			vm);
	if (json_is_null(json_object_get(answer, "port")))
		return json_string("its port is not known yet; until it is seen, its MAC is cut "
				   "off, and the port later");
	return json_null();
}

static json_t *make_answer(const struct order *order, bool changed)
{
	json_t *answer = isolate_describe(order->commands->isolate, order->vm);

	json_object_set_new(answer, "changed", json_boolean(changed));
	if (order->verb == VERB_PORT)
		json_object_set_new(answer, "port", json_string(order->wanted.port));
	else
		json_object_set_new(answer, "note",
			make_note(order->commands->isolate, order->vm, answer));
	return answer;
}

static void tell(const struct order *order)
{
	const struct isolate_commands *commands = order->commands;
	const char *word = order->verb == VERB_ISOLATE ? "isolate" : "rejoin";

	if (order->verb == VERB_PORT) {
		log_info("isolation: %s is the port of %s", order->wanted.port, order->vm);
		return;
	}
	log_warning("isolation: %s %s", word, order->vm);
	events_post(commands->events, word, isolate_describe(commands->isolate, order->vm));
}

/* --- orders ------------------------------------------------------------------------------- */

static void reply(struct order *order)
{
	control_reply(order->request, order->answer);
	free(order);
}

/* The table is as it was; what the kernel should have of it is not. */
static int apply_addresses(struct keeper_change *change, struct binding_table *table,
	char **ret_error)
{
	(void)change;
	(void)table;
	(void)ret_error;
	return 1;
}

static void addresses_done(struct keeper_change *change, int result, const char *error)
{
	struct order *order = (struct order *)((char *)change - offsetof(struct order, addresses));

	(void)result;
	if (error)
		json_object_set_new(order->answer, "note",
			json_sprintf("its public addresses follow later: %s", error));
	reply(order);
}

static int apply_isolate(const struct order *order, struct isolation *isolation, char **ret_error)
{
	const struct wanted *wanted = &order->wanted;

	if (isolation->count < ISOLATION_MAX || isolation_find(isolation, order->vm))
		return isolation_add(isolation, order->vm, wanted->allow, wanted->allow_count,
			wanted->port);
	*ret_error = xasprintf("%d VMs are isolated, more is not possible; rejoin some",
		ISOLATION_MAX);
	return -ENOSPC;
}

/* What is said of a port is true from the next frame on. */
static int apply_port(const struct order *order, const struct isolate *isolate,
	struct isolation *isolation, char **ret_error)
{
	const struct vm *vm = plan_by_name(isolate_plan(isolate), order->vm);
	struct port port;
	int err;

	/* it may have left while this waited */
	if (!vm) {
		*ret_error = xasprintf("no VM %s is in the plan any more; eipctl vm list shows "
				       "them",
			order->vm);
		return -ENOENT;
	}
	err = isolate_find_link(isolate, order->wanted.port, &port);
	if (!err)
		return isolation_claim(isolation, &vm->mac, &port);
	*ret_error = xasprintf("%s: there is no such link; name the port of %s", order->wanted.port,
		order->commands->config->inner.bridge);
	return err;
}

static int apply(struct isolate_change *change, const struct isolate *isolate,
	struct isolation *isolation, char **ret_error)
{
	const struct order *order = (const struct order *)change;

	switch (order->verb) {
	case VERB_ISOLATE:
		return apply_isolate(order, isolation, ret_error);
	case VERB_REJOIN:
		return isolation_remove(isolation, order->vm);
	case VERB_PORT:
		return apply_port(order, isolate, isolation, ret_error);
	}
	return 0;
}

static void done(struct isolate_change *change, int result, const char *error)
{
	struct order *order = (struct order *)change;

	if (result < 0) {
		control_refuse(order->request, NULL, "%s", error);
		free(order);
		return;
	}
	if (result)
		tell(order);
	order->answer = make_answer(order, result);
	/* where nothing changed as well: what another has just changed may be under way, or have
	 * failed */
	if (order->verb == VERB_PORT)
		reply(order);
	else
		keeper_submit(order->commands->keeper, &order->addresses);
}

static void submit(struct isolate_commands *commands, struct control_request *request,
	enum verb verb, const char *vm, const struct wanted *wanted)
{
	struct order *order = xcalloc(1, sizeof(*order));

	order->change.apply = apply;
	order->change.done = done;
	order->change.vm = order->vm;
	order->addresses = (struct keeper_change){
		.apply = apply_addresses, .done = addresses_done, .stays = true
	};
	order->commands = commands;
	order->request = request;
	order->verb = verb;
	snprintf(order->vm, sizeof(order->vm), "%s", vm);
	order->wanted = *wanted;
	isolate_submit(commands->isolate, &order->change);
}

/* --- words -------------------------------------------------------------------------------- */

static bool take_allow(struct wanted *wanted, struct control_request *request, const char *word)
{
	struct ip4_prefix prefix = { .len = 32 };

	if (ip4_prefix_parse(word, &prefix) && ip4_parse(word, &prefix.addr)) {
		control_refuse(request, NULL,
			"--allow %s: no IPv4 address or prefix; name one as in 192.168.6.200 or "
			"192.168.6.0/28",
			word);
		return false;
	}
	if (wanted->allow_count == ALLOW_MAX) {
		control_refuse(request, NULL, "--allow: more than %d; name larger prefixes",
			ALLOW_MAX);
		return false;
	}
	prefix.addr = ip4_prefix_network(&prefix);
	wanted->allow[wanted->allow_count++] = prefix;
	return true;
}

static bool is_port_name(const struct isolate_commands *commands, struct control_request *request,
	const char *what, const char *word)
{
	const struct config *config = commands->config;

	if (!port_name_is_valid(word))
		control_refuse(request, NULL,
			"%s%s: no name of a link; ip link show master %s shows the ports", what,
			word, config->inner.bridge);
	else if (!strcmp(word, config->inner.uplink))
		control_refuse(request, NULL,
			"%s%s: that is the uplink, which is never a VM's; name the port of the VM",
			what, word);
	else if (!strcmp(word, config->inner.bridge))
		control_refuse(request, NULL,
			"%s%s: that is the bridge; ip link show master %s shows its ports", what,
			word, word);
	else
		return true;
	return false;
}

/* A port that is not there yet will do: the VM may be off. */
static bool take_port(const struct isolate_commands *commands, struct wanted *wanted,
	struct control_request *request, const char *vm, const char *word)
{
	const char *bridge = commands->config->inner.bridge;
	const struct vm *owner = isolate_port_owner(commands->isolate, word);
	struct port link;

	if (!is_port_name(commands, request, "--port ", word))
		return false;
	if (!isolate_find_link(commands->isolate, word, &link) &&
		!isolate_find_port(commands->isolate, word))
		control_refuse(request, NULL,
			"--port %s: that is no port of %s; ip link show master %s shows them", word,
			bridge, bridge);
	else if (owner && strcasecmp(owner->name, vm) != 0)
		control_refuse(request, NULL,
			"--port %s: that is the port of %s, as vm port or the link's address says; "
			"name the port of %s",
			word, owner->name, vm);
	else
		snprintf(wanted->port, sizeof(wanted->port), "%s", word);
	return *wanted->port;
}

static bool take_options(const struct isolate_commands *commands, struct wanted *wanted,
	struct control_request *request, unsigned argc, const char *const *argv)
{
	for (unsigned i = 1; i < argc; i += 2) {
		bool is_allow = !strcmp(argv[i], "--allow"), is_port = !strcmp(argv[i], "--port");

		if ((!is_allow && !is_port) || i + 1 == argc) {
			control_refuse(request, NULL,
				"%s: not understood; vm isolate NAME [--allow ADDR/LEN]... "
				"[--port PORT]",
				argv[i]);
			return false;
		}
		if (is_allow ? !take_allow(wanted, request, argv[i + 1])
			     : !take_port(commands, wanted, request, argv[0], argv[i + 1]))
			return false;
	}
	return true;
}

static void command_isolate(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct isolate_commands *commands = ctx;
	struct wanted wanted = { 0 };

	if (!plan_name_is_valid(argv[0])) {
		control_refuse(request, NULL,
			"%s: no VM can have this name; eipctl vm list shows them", argv[0]);
		return;
	}
	if (take_options(commands, &wanted, request, argc, argv))
		submit(commands, request, VERB_ISOLATE, argv[0], &wanted);
}

static void command_rejoin(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct isolate_commands *commands = ctx;
	const struct plan *plan = isolate_plan(commands->isolate);
	const struct wanted wanted = { 0 };

	(void)argc;
	if (isolation_find(isolate_list(commands->isolate), argv[0]) || plan_by_name(plan, argv[0]))
		submit(commands, request, VERB_REJOIN, argv[0], &wanted);
	else
		control_refuse(request, NULL,
			"no VM %s is isolated or in the plan; eipctl status shows who is isolated",
			argv[0]);
}

static void command_port(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct isolate_commands *commands = ctx;
	const struct vm *vm = plan_by_name(isolate_plan(commands->isolate), argv[0]);
	struct wanted wanted = { 0 };

	(void)argc;
	if (!vm) {
		control_refuse(request, NULL,
			"no VM %s is in the plan; eipctl vm list shows them, vm add adds one",
			argv[0]);
		return;
	}
	if (!is_port_name(commands, request, "", argv[1]))
		return;
	snprintf(wanted.port, sizeof(wanted.port), "%s", argv[1]);
	submit(commands, request, VERB_PORT, vm->name, &wanted);
}

static const struct control_command words[] = {
	{ "vm isolate", 1, 3 + 2 * ALLOW_MAX, command_isolate },
	{ "vm rejoin", 1, 1, command_rejoin },
	{ "vm port", 2, 2, command_port },
};

struct isolate_commands *isolate_commands_new(struct control *control, struct isolate *isolate,
	const struct config *config, struct keeper *keeper, struct events *events)
{
	struct isolate_commands *commands = xcalloc(1, sizeof(*commands));

	*commands = (struct isolate_commands){ isolate, config, keeper, events };
	control_register(control, words, sizeof(words) / sizeof(*words), commands);
	return commands;
}

void isolate_commands_free(struct isolate_commands *commands)
{
	free(commands);
}
