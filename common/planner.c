/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * planner owns the plan in force: how a new one comes into force or is refused, what clients are
 * told of it, and its edits. It must not know what follows the plan: that is told by its hooks.
 */
#include "common/planner.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/libvirt.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/planstore.h"
#include "common/statefile.h"
#include "common/watch.h"
#include "common/writer.h"

struct planner {
	const struct config *config;
	struct ip4_prefix inner;
	struct planner_hooks hooks;
	struct events *events;
	struct plan *plan;
	time_t loaded;
	char *error; /* why the file is not what is in force; NULL: it is */
	struct writer last_good;
	TAILQ_HEAD(, reload) reloads; /* the first is being written */
	struct watch watch;
};

/* --- into force --------------------------------------------------------------------------- */

static json_t *describe_problems(const struct problems *problems)
{
	json_t *list = json_array();

	for (size_t i = 0; i < problems->count; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:i, s:s}", "file", problems->list[i].file, "line",
				(int)problems->list[i].line, "text", problems->list[i].text));
	return list;
}

static void log_problems(const struct problems *problems, void (*say)(const char *format, ...))
{
	/* a plan may be wrong on every line; the rest is for eipctl reload and eipd -t */
	const size_t most = 20;

	for (size_t i = 0; i < problems->count && i < most; i++) {
		char *text = problem_format(&problems->list[i]);

		say("plan: %s", text);
		free(text);
	}
	if (problems->count > most)
		say("plan: and %zu more; eipctl reload or eipd -t shows them all",
			problems->count - most);
}

static char *plan_refusal(const struct planner *planner, size_t count)
{
	return xasprintf("the plan %s is refused (%zu problem%s); the plan in force stays",
		planner->config->plan.file, count, count == 1 ? "" : "s");
}

/*
 * A plan on its way into force, or one that is refused, and the client that waits for it (if any).
 * They go in order, one at a time: first a good plan's copy is on disk, then it comes into force,
 * then it is answered, so that what was answered is not lost whatever happens next.
 */
struct reload {
	struct planner *planner;
	struct plan *plan; /* NULL: refused */
	char *text;
	struct problems problems;
	struct plan_diff diff;
	struct control_request *request;
	json_t *result; /* what the client is told; NULL: the numbers of the difference */
	TAILQ_ENTRY(reload) link;
};

static json_t *describe_diff(const struct plan_diff *diff)
{
	return json_pack("{s:I, s:I, s:I}", "added", (json_int_t)diff->added, "changed",
		(json_int_t)diff->changed, "removed", (json_int_t)diff->removed);
}

static void reload_done(void *ctx, const char *error)
{
	struct reload *reload = ctx;

	if (error)
		log_error("plan: in force, but not yet in the kernel: %s", error);
	if (reload->request && error)
		control_refuse(reload->request, NULL,
			"the new plan is in force for DHCP, but NAT does not "
			"follow yet: %s; it is tried again every %u s",
			error, reload->planner->config->nat.resync);
	else if (reload->request)
		control_reply(reload->request,
			reload->result ? json_incref(reload->result)
				       : describe_diff(&reload->diff));
	json_decref(reload->result);
	free(reload);
}

static void refuse_plan(struct planner *planner, const struct problems *problems,
	struct control_request *request)
{
	free(planner->error);
	planner->error = plan_refusal(planner, problems->count);
	log_problems(problems, log_error);
	log_error("plan: %s", planner->error);
	if (request)
		control_refuse(request, json_pack("{s:o}", "problems", describe_problems(problems)),
			"%s", planner->error);
}

static void adopt_plan(struct planner *planner, struct reload *reload)
{
	struct plan *old = planner->plan;

	reload->diff = plan_compare(old, reload->plan);
	free(planner->error);
	planner->error = NULL;
	planner->loaded = time(NULL);
	planner->plan = reload->plan;
	events_post(planner->events, "reload",
		json_pack("{s:I, s:I, s:I, s:I}", "vms", (json_int_t)plan_count(reload->plan),
			"added", (json_int_t)reload->diff.added, "changed",
			(json_int_t)reload->diff.changed, "removed",
			(json_int_t)reload->diff.removed));
	log_info("plan: %zu VMs in force: %zu added, %zu changed, %zu removed",
		plan_count(reload->plan), reload->diff.added, reload->diff.changed,
		reload->diff.removed);
	planner->hooks.adopt(planner->hooks.ctx, reload->plan, reload_done, reload);
	plan_free(old);
}

/* Works off what waits, up to the next plan that has to be written first. */
static void run_reloads(struct planner *planner)
{
	struct reload *reload;

	while ((reload = TAILQ_FIRST(&planner->reloads)) && !reload->plan) {
		TAILQ_REMOVE(&planner->reloads, reload, link);
		refuse_plan(planner, &reload->problems, reload->request);
		problems_done(&reload->problems);
		free(reload);
	}
	if (reload) {
		char *text = reload->text;

		reload->text = NULL;
		writer_write(&planner->last_good, text, strlen(text));
	}
}

static void plan_kept(void *ctx, int err)
{
	struct planner *planner = ctx;
	struct reload *reload = TAILQ_FIRST(&planner->reloads);

	if (err)
		log_warning("plan: no copy could be kept under %s: %s; if the file is spoiled, the "
			    "next start will have none to go by",
			planner->config->daemon.state_dir, strerror(-err));
	if (!reload)
		return;
	TAILQ_REMOVE(&planner->reloads, reload, link);
	adopt_plan(planner, reload);
	run_reloads(planner);
}

/* Takes plan, text, problems and result. */
static void queue_reload(struct planner *planner, struct plan *plan, char *text,
	const struct problems *problems, struct control_request *request, json_t *result)
{
	struct reload *reload = xcalloc(1, sizeof(*reload));
	bool idle = TAILQ_EMPTY(&planner->reloads);

	*reload = (struct reload){ .planner = planner,
		.plan = plan,
		.text = text,
		.problems = *problems,
		.request = request,
		.result = result };
	TAILQ_INSERT_TAIL(&planner->reloads, reload, link);
	if (idle)
		run_reloads(planner);
}

void planner_reload(struct planner *planner, struct control_request *request)
{
	struct problems problems = { 0 };
	struct plan *plan = NULL;
	char *text = NULL;

	(void)planstore_load(planner->config, &planner->inner, &plan, &text, &problems);
	queue_reload(planner, plan, text, &problems, request, NULL);
}

/* --- commands ----------------------------------------------------------------------------- */

static void add_difference(const struct planner *planner, json_t *list, const char *change,
	const struct vm *vm, bool loses)
{
	char ip[IP4_STRLEN];
	json_t *object = json_pack("{s:s, s:s, s:s}", "change", change, "vm", vm->name, "ip",
		ip4_format(vm->ip, ip));

	if (loses)
		planner->hooks.describe(planner->hooks.ctx, vm, object);
	json_array_append_new(list, object);
}

/* What a reload would do: each VM that differs, and the public addresses that would be free. */
static json_t *describe_differences(const struct planner *planner, const struct plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i),
				*old = plan_by_name(planner->plan, vm->name);

		if (!old || !vm_equal(old, vm))
			add_difference(planner, list, old ? "changed" : "added", vm, false);
	}
	for (size_t i = 0; i < plan_count(planner->plan); i++) {
		const struct vm *old = plan_vm(planner->plan, i);

		if (!plan_by_name(plan, old->name))
			/* under a new name it keeps what it has */
			add_difference(planner, list, "removed", old,
				!plan_by_mac(plan, &old->mac));
	}
	return list;
}

static void refuse_text(const struct problems *problems, struct control_request *request,
	const char *error)
{
	control_refuse(request,
		problems->count ? json_pack("{s:o}", "problems", describe_problems(problems))
				: NULL,
		"%s", error);
}

static void dry_run(const struct planner *planner, struct control_request *request)
{
	struct problems problems = { 0 };
	struct plan_diff diff;
	struct plan *plan;
	json_t *result;
	char *error;

	if (planstore_load(planner->config, &planner->inner, &plan, NULL, &problems)) {
		error = plan_refusal(planner, problems.count);
		refuse_text(&problems, request, error);
		free(error);
	} else {
		diff = plan_compare(planner->plan, plan);
		result = describe_diff(&diff);
		json_object_set_new(result, "vms", describe_differences(planner, plan));
		control_reply(request, result);
		plan_free(plan);
	}
	problems_done(&problems);
}

static void command_reload(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	if (argc && strcmp(argv[0], "--dry-run"))
		control_refuse(request, NULL, "%s: unexpected; usage: eipctl reload [--dry-run]",
			argv[0]);
	else if (argc)
		dry_run(ctx, request);
	else
		planner_reload(ctx, request);
}

static json_t *describe_vm(const struct planner *planner, const struct vm *vm)
{
	char mac[MAC_STRLEN], ip[IP4_STRLEN];
	json_t *object = json_pack("{s:s, s:s, s:s}", "name", vm->name, "mac",
		mac_format(&vm->mac, mac), "ip", ip4_format(vm->ip, ip));

	planner->hooks.describe(planner->hooks.ctx, vm, object);
	if (vm->tags)
		json_object_set_new(object, "tags", json_string(vm->tags));
	if (vm->ignore)
		json_object_set_new(object, "ignore", json_true());
	return object;
}

static void command_vm_list(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct planner *planner = ctx;
	json_t *list = json_array();

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < plan_count(planner->plan); i++)
		json_array_append_new(list, describe_vm(planner, plan_vm(planner->plan, i)));
	control_reply(request, list);
}

static void command_vm_show(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct planner *planner = ctx;
	const struct vm *vm = plan_by_name(planner->plan, argv[0]);
	char *xml;

	if (argc == 2 && strcmp(argv[1], "--xml")) {
		control_refuse(request, NULL, "%s: unexpected; usage: eipctl vm show NAME [--xml]",
			argv[1]);
	} else if (!vm) {
		control_refuse(request, NULL,
			"%s: no such VM in the plan; eipctl vm list shows them", argv[0]);
	} else if (argc == 2) {
		xml = libvirt_interface(&vm->mac, planner->config->inner.bridge);
		control_reply(request, json_string(xml));
		free(xml);
	} else {
		control_reply(request, describe_vm(planner, vm));
	}
}

/* The plan file was edited for a client; `err` and what else came of it. */
static void end_edit(struct planner *planner, struct control_request *request, const char *name,
	int err, struct plan *plan, char *text, const struct problems *problems, char *error)
{
	const struct vm *vm;
	char mac[MAC_STRLEN], ip[IP4_STRLEN];
	json_t *result;

	if (err) {
		if (!error)
			error = xasprintf("%s; nothing was changed", problems->list[0].text);
		refuse_text(problems, request, error);
		free(error);
		return;
	}
	vm = plan_by_name(plan, name);
	if (vm)
		result = json_pack("{s:s, s:s, s:s}", "name", vm->name, "mac",
			mac_format(&vm->mac, mac), "ip", ip4_format(vm->ip, ip));
	else
		result = json_pack("{s:s}", "name", name);
	queue_reload(planner, plan, text, &(struct problems){ 0 }, request, result);
}

static void command_vm_add(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct planner *planner = ctx;
	struct problems problems = { 0 };
	struct plan *plan = NULL;
	struct mac mac, *wanted_mac = NULL;
	char *text = NULL, *error = NULL;
	uint32_t ip = 0;
	int err;

	for (unsigned i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		/* each once */
		if (!strcmp(argv[i], "--mac") && !wanted_mac && !mac_parse(value, &mac)) {
			wanted_mac = &mac;
		} else if (strcmp(argv[i], "--ip") || ip || ip4_parse(value, &ip) || !ip) {
			control_refuse(request, NULL,
				"%s %s: not understood; usage: eipctl vm add NAME [--mac MAC] "
				"[--ip IP]",
				argv[i], value);
			return;
		}
	}
	if (!plan_name_is_valid(argv[0])) {
		control_refuse(request, NULL,
			"%s: not a name; expected letters, digits and inner hyphens, "
			"at most 63",
			argv[0]);
		return;
	}
	err = planstore_add_vm(planner->config, &planner->inner, argv[0], wanted_mac, ip, &plan,
		&text, &problems, &error);
	end_edit(planner, request, argv[0], err, plan, text, &problems, error);
	problems_done(&problems);
}

static void command_vm_del(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct planner *planner = ctx;
	struct problems problems = { 0 };
	struct plan *plan = NULL;
	char *text = NULL, *error = NULL;
	int err = planstore_del_vm(planner->config, &planner->inner, argv[0], &plan, &text,
		&problems, &error);

	(void)argc;
	end_edit(planner, request, argv[0], err, plan, text, &problems, error);
	problems_done(&problems);
}

static const struct control_command commands[] = {
	{ "reload", 0, 1, command_reload },
	{ "vm list", 0, 0, command_vm_list },
	{ "vm show", 1, 2, command_vm_show },
	{ "vm add", 1, 5, command_vm_add },
	{ "vm del", 1, 1, command_vm_del },
};

/* --- life --------------------------------------------------------------------------------- */

int planner_new(const struct config *config, const struct ip4_prefix *inner,
	struct planner **ret_planner, struct problems *problems)
{
	struct planner *planner = xcalloc(1, sizeof(*planner));
	struct problems old_problems = { 0 };
	char *text;
	int err;

	planner->config = config;
	planner->inner = *inner;
	planner->loaded = time(NULL);
	TAILQ_INIT(&planner->reloads);
	writer_init(&planner->last_good, planstore_last_good_path(config), plan_kept, planner);
	err = planstore_load(config, inner, &planner->plan, &text, problems);
	if (!err) {
		/* nobody waits for us yet */
		plan_kept(planner, statefile_update(planner->last_good.path, text, strlen(text)));
		free(text);
		*ret_planner = planner;
		return 0;
	}
	err = planstore_load_last_good(config, inner, &planner->plan, &old_problems);
	problems_done(&old_problems);
	if (err) {
		planner_free(planner);
		return err;
	}
	log_problems(problems, log_error);
	planner->error =
		xasprintf("the plan %s is refused (%zu problem%s); serving the last good one "
			  "from %s",
			config->plan.file, problems->count, problems->count == 1 ? "" : "s",
			planner->last_good.path);
	log_error("plan: %s", planner->error);
	*ret_planner = planner;
	return 0;
}

void planner_free(struct planner *planner)
{
	struct reload *reload;

	if (!planner)
		return;
	while ((reload = TAILQ_FIRST(&planner->reloads))) {
		TAILQ_REMOVE(&planner->reloads, reload, link);
		if (reload->request)
			control_refuse(reload->request, NULL,
				"eipd is stopping; try again when it runs");
		plan_free(reload->plan);
		problems_done(&reload->problems);
		json_decref(reload->result);
		free(reload->text);
		free(reload);
	}
	watch_stop(&planner->watch);
	plan_free(planner->plan);
	writer_done(&planner->last_good);
	free(planner->error);
	free(planner);
}

/* The file was written; perhaps by ourselves, or without a change that matters. */
static void file_changed(void *ctx)
{
	struct planner *planner = ctx;
	struct problems problems = { 0 };
	struct plan_diff diff = { 0 };
	struct plan *plan = NULL;
	char *text = NULL;

	(void)planstore_load(planner->config, &planner->inner, &plan, &text, &problems);
	if (plan)
		diff = plan_compare(planner->plan, plan);
	if (!plan || planner->error || diff.added || diff.changed || diff.removed) {
		queue_reload(planner, plan, text, &problems, NULL, NULL);
	} else {
		plan_free(plan);
		free(text);
	}
}

void planner_start(struct planner *planner, struct loop *loop, struct control *control,
	struct events *events, const struct planner_hooks *hooks)
{
	int err;

	planner->hooks = *hooks;
	planner->events = events;
	control_register(control, commands, sizeof(commands) / sizeof(*commands), planner);
	if (!planner->config->plan.watch)
		return;
	err = watch_start(&planner->watch, loop, planner->config->plan.file, file_changed, planner);
	if (err)
		log_warning("plan: %s cannot be watched: %s; eipctl reload takes changes over",
			planner->config->plan.file, strerror(-err));
}

void planner_child_exited(struct planner *planner)
{
	writer_reap(&planner->last_good);
}

const struct plan *planner_plan(const struct planner *planner)
{
	return planner->plan;
}

bool planner_is_refused(const struct planner *planner)
{
	return planner->error != NULL;
}

json_t *planner_status(const struct planner *planner)
{
	return json_pack("{s:s, s:I, s:I, s:o}", "file", planner->config->plan.file, "vms",
		(json_int_t)plan_count(planner->plan), "loaded", (json_int_t)planner->loaded,
		"error", planner->error ? json_string(planner->error) : json_null());
}
