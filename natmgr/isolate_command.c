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

/* A VM that is isolated already, or no more; its public addresses go down, or come back. */
struct order {
	struct keeper_change change; /* first: the keeper hands it back */
	struct control_request *request;
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

/* --- public addresses --------------------------------------------------------------------- */

/* The table is as it was; what the kernel should have of it is not. */
static int apply(struct keeper_change *change, struct binding_table *table, char **ret_error)
{
	(void)change;
	(void)table;
	(void)ret_error;
	return 1;
}

static void done(struct keeper_change *change, int result, const char *error)
{
	struct order *order = (struct order *)change;

	(void)result;
	if (error)
		json_object_set_new(order->answer, "note",
			json_sprintf("its public addresses follow later: %s", error));
	control_reply(order->request, order->answer);
	free(order);
}

/* Where nothing changed as well: what another has just changed may be under way, or have failed. */
static void submit(struct isolate_commands *commands, struct control_request *request,
	const char *vm, bool changed)
{
	struct order *order = xcalloc(1, sizeof(*order));

	order->change = (struct keeper_change){ .apply = apply, .done = done, .stays = true };
	order->request = request;
	order->answer = isolate_describe(commands->isolate, vm);
	json_object_set_new(order->answer, "changed", json_boolean(changed));
	json_object_set_new(order->answer, "note", make_note(commands->isolate, vm, order->answer));
	keeper_submit(commands->keeper, &order->change);
}

static void tell(const struct isolate_commands *commands, const char *word, const char *vm)
{
	log_warning("isolation: %s %s", word, vm);
	events_post(commands->events, word, isolate_describe(commands->isolate, vm));
}

/* --- words -------------------------------------------------------------------------------- */

struct wanted {
	struct ip4_prefix allow[ALLOW_MAX];
	size_t allow_count;
	const char *port;
};

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

	if (!is_port_name(commands, request, "--port ", word))
		return false;
	if (isolate_link_exists(commands->isolate, word) &&
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
		wanted->port = word;
	return wanted->port != NULL;
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
	char *error = NULL;
	int result;

	if (!plan_name_is_valid(argv[0])) {
		control_refuse(request, NULL,
			"%s: no VM can have this name; eipctl vm list shows them", argv[0]);
		return;
	}
	if (!take_options(commands, &wanted, request, argc, argv))
		return;
	result = isolate_vm(commands->isolate, argv[0], wanted.allow, wanted.allow_count,
		wanted.port ? wanted.port : "", &error);
	if (result < 0) {
		control_refuse(request, NULL, "%s", error);
		free(error);
		return;
	}
	if (result)
		tell(commands, "isolate", argv[0]);
	submit(commands, request, argv[0], result);
}

static void command_rejoin(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct isolate_commands *commands = ctx;
	const struct plan *plan = isolate_plan(commands->isolate);
	char *error = NULL;
	int result;

	(void)argc;
	if (!isolation_find(isolate_list(commands->isolate), argv[0]) &&
		!plan_by_name(plan, argv[0])) {
		control_refuse(request, NULL,
			"no VM %s is isolated or in the plan; eipctl status shows who is isolated",
			argv[0]);
		return;
	}
	result = isolate_rejoin(commands->isolate, argv[0], &error);
	if (result < 0) {
		control_refuse(request, NULL, "%s", error);
		free(error);
		return;
	}
	if (result)
		tell(commands, "rejoin", argv[0]);
	submit(commands, request, argv[0], result);
}

static void command_port(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct isolate_commands *commands = ctx;
	const struct vm *vm = plan_by_name(isolate_plan(commands->isolate), argv[0]);
	char *error = NULL;
	json_t *answer;
	int result;

	(void)argc;
	if (!vm) {
		control_refuse(request, NULL,
			"no VM %s is in the plan; eipctl vm list shows them, vm add adds one",
			argv[0]);
		return;
	}
	if (!is_port_name(commands, request, "", argv[1]))
		return;
	result = isolate_claim(commands->isolate, vm, argv[1], &error);
	if (result < 0) {
		control_refuse(request, NULL, "%s", error);
		free(error);
		return;
	}
	if (result)
		log_info("isolation: %s is the port of %s", argv[1], vm->name);
	answer = isolate_describe(commands->isolate, vm->name);
	json_object_set_new(answer, "port", json_string(argv[1]));
	json_object_set_new(answer, "changed", json_boolean(result));
	control_reply(request, answer);
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
