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
#include "common/worker.h"

struct planner {
	const struct config *config;
	struct ip4_prefix inner;
	struct planner_hooks hooks;
	struct events *events;
	struct plan *plan;
	time_t loaded;
	char *error;     /* why the file is not what is in force; NULL: it is */
	char *last_good; /* path */
	struct worker worker;
	TAILQ_HEAD(task_list, task) tasks; /* the first is on the worker's thread */
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

static void log_first_problems(const struct problems *problems)
{
	/* a plan may be wrong on every line; the rest is for eipctl reload and eipd -t */
	const size_t most = 20;

	for (size_t i = 0; i < problems->count && i < most; i++) {
		char *text = problem_format(&problems->list[i]);

		log_error("plan: %s", text);
		free(text);
	}
	if (problems->count > most)
		log_error("plan: and %zu more; eipctl reload or eipd -t shows them all",
			problems->count - most);
}

static char *plan_refusal(const struct planner *planner, size_t count)
{
	return xasprintf("the plan %s is refused (%zu problem%s); the plan in force stays",
		planner->config->plan.file, count, count == 1 ? "" : "s");
}

enum verb {
	VERB_RELOAD,
	VERB_LOOK, /* the file was written, perhaps by ourselves: a reload if anything differs */
	VERB_DRY_RUN,
	VERB_ADD,
	VERB_DEL,
};

/*
 * A plan on its way into force, or to be refused, and the client that waits for it (if any). They
 * go in order, one at a time: the file is read (and edited), and a good plan's copy written, on a
 * thread; then the plan comes into force; then it is answered, so that what was answered is not
 * lost whatever happens next.
 */
struct task {
	struct planner *planner;
	enum verb verb;
	struct control_request *request; /* NULL: nobody waits */
	/* to add or to delete */
	char name[VM_NAME_MAX + 1];
	struct mac mac;
	bool has_mac;
	uint32_t ip; /* 0: to be chosen */
	/* what came of it */
	struct plan *plan; /* NULL: refused */
	struct problems problems;
	char *error; /* a refusal that is not the file's fault; NULL: the problems say it */
	int kept;    /* of the copy: 0 or -errno */
	struct plan_change change;
	json_t *result; /* what the client is told; NULL: the numbers of the difference */
	TAILQ_ENTRY(task) link;
};

static void task_free(struct task *task)
{
	json_decref(task->result);
	plan_change_done(&task->change);
	problems_done(&task->problems);
	free(task->error);
	free(task);
}

static json_t *describe_numbers(const struct plan_change *change)
{
	return json_pack("{s:I, s:I, s:I}", "added", (json_int_t)change->added, "changed",
		(json_int_t)change->changed, "removed", (json_int_t)change->removed);
}

static void in_force(void *ctx, const char *error)
{
	struct task *task = ctx;

	if (error)
		log_error("plan: in force, but not yet in the kernel: %s", error);
	if (task->request && error)
		control_refuse(task->request, NULL,
			"the new plan is in force for DHCP, but NAT does not "
			"follow yet: %s; it is tried again every second",
			error);
	else if (task->request)
		control_reply(task->request,
			task->result ? json_incref(task->result) : describe_numbers(&task->change));
	task_free(task);
}

static void refuse_plan(struct planner *planner, const struct problems *problems,
	struct control_request *request)
{
	free(planner->error);
	planner->error = plan_refusal(planner, problems->count);
	log_first_problems(problems);
	log_error("plan: %s", planner->error);
	if (request)
		control_refuse(request, json_pack("{s:o}", "problems", describe_problems(problems)),
			"%s", planner->error);
}

static void warn_not_kept(const struct planner *planner, int err)
{
	if (err)
		log_warning("plan: no copy could be kept under %s: %s; if the file is spoiled, the "
			    "next start will have none to go by",
			planner->config->daemon.state_dir, strerror(-err));
}

static void adopt_plan(struct planner *planner, struct task *task)
{
	const struct plan_change *change = &task->change;
	struct plan *old = planner->plan;

	warn_not_kept(planner, task->kept);
	free(planner->error);
	planner->error = NULL;
	planner->loaded = time(NULL);
	planner->plan = task->plan;
	events_post(planner->events, "reload",
		json_pack("{s:I, s:I, s:I, s:I}", "vms", (json_int_t)plan_count(task->plan),
			"added", (json_int_t)change->added, "changed", (json_int_t)change->changed,
			"removed", (json_int_t)change->removed));
	log_info("plan: %zu VMs in force: %zu added, %zu changed, %zu removed",
		plan_count(task->plan), change->added, change->changed, change->removed);
	planner->hooks.adopt(planner->hooks.ctx, task->plan, change, in_force, task);
	plan_free(old);
}

/* --- tasks -------------------------------------------------------------------------------- */

/* On the worker's thread: nothing here looks at what the loop may change meanwhile. */
static void work(void *ctx)
{
	struct task *task = ctx;
	struct planner *planner = task->planner;
	const struct config *config = planner->config;
	char *text = NULL;

	switch (task->verb) {
	case VERB_RELOAD:
	case VERB_LOOK:
	case VERB_DRY_RUN:
		(void)planstore_load(config, &planner->inner, &task->plan, &text, &task->problems);
		break;
	case VERB_ADD:
		(void)planstore_add_vm(config, &planner->inner, task->name,
			task->has_mac ? &task->mac : NULL, task->ip, &task->plan, &text,
			&task->problems, &task->error);
		break;
	case VERB_DEL:
		(void)planstore_del_vm(config, &planner->inner, task->name, &task->plan, &text,
			&task->problems, &task->error);
		break;
	}
	/* the plan in force changes only when this is over */
	if (task->plan)
		plan_compare(planner->plan, task->plan, &task->change);
	if (task->plan && task->verb != VERB_DRY_RUN)
		task->kept = statefile_update(planner->last_good, text, strlen(text));
	free(text);
}

static void refuse_edit(struct task *task)
{
	struct problems *problems = &task->problems;
	char *error = task->error;

	if (!error)
		error = xasprintf("%s; nothing was changed", problems->list[0].text);
	control_refuse(task->request,
		problems->count ? json_pack("{s:o}", "problems", describe_problems(problems))
				: NULL,
		"%s", error);
	if (error != task->error)
		free(error);
}

static json_t *describe_differences(const struct planner *planner, const struct plan *plan);

static void answer_dry_run(struct task *task)
{
	const struct planner *planner = task->planner;
	json_t *result;

	if (!task->plan) {
		task->error = plan_refusal(planner, task->problems.count);
		refuse_edit(task);
		return;
	}
	result = describe_numbers(&task->change);
	json_object_set_new(result, "vms", describe_differences(planner, task->plan));
	control_reply(task->request, result);
	plan_free(task->plan);
}

static json_t *describe_edited(const struct task *task)
{
	const struct vm *vm = plan_by_name(task->plan, task->name);
	char mac[MAC_STRLEN], ip[IP4_STRLEN];

	if (!vm)
		return json_pack("{s:s}", "name", task->name);
	return json_pack("{s:s, s:s, s:s}", "name", vm->name, "mac", mac_format(&vm->mac, mac),
		"ip", ip4_format(vm->ip, ip));
}

static bool is_no_change(const struct task *task)
{
	const struct plan_change *change = &task->change;

	return task->verb == VERB_LOOK && !task->planner->error && !change->added &&
		!change->changed && !change->removed;
}

static void run_tasks(struct planner *planner);

static void worked(void *ctx)
{
	struct task *task = ctx;
	struct planner *planner = task->planner;
	bool is_edit = task->verb == VERB_ADD || task->verb == VERB_DEL;

	TAILQ_REMOVE(&planner->tasks, task, link);
	if (task->verb == VERB_DRY_RUN) {
		answer_dry_run(task);
		task_free(task);
	} else if (!task->plan) {
		if (is_edit)
			refuse_edit(task);
		else
			refuse_plan(planner, &task->problems, task->request);
		task_free(task);
	} else if (is_no_change(task)) {
		plan_free(task->plan);
		task_free(task);
	} else {
		if (is_edit)
			task->result = describe_edited(task);
		adopt_plan(planner, task);
	}
	run_tasks(planner);
}

static void run_tasks(struct planner *planner)
{
	struct task *task = TAILQ_FIRST(&planner->tasks);

	if (task && !worker_is_busy(&planner->worker))
		worker_start(&planner->worker, work, worked, task);
}

static struct task *new_task(struct planner *planner, enum verb verb,
	struct control_request *request)
{
	struct task *task = xcalloc(1, sizeof(*task));

	task->planner = planner;
	task->verb = verb;
	task->request = request;
	return task;
}

static void add_task(struct planner *planner, struct task *task)
{
	TAILQ_INSERT_TAIL(&planner->tasks, task, link);
	run_tasks(planner);
}

void planner_reload(struct planner *planner, struct control_request *request)
{
	planner->hooks.reload_asked(planner->hooks.ctx);
	add_task(planner, new_task(planner, VERB_RELOAD, request));
}

/* --- commands ----------------------------------------------------------------------------- */

static json_t *add_difference(json_t *list, const char *change, const struct vm *vm)
{
	char ip[IP4_STRLEN];
	json_t *object = json_pack("{s:s, s:s, s:s}", "change", change, "vm", vm->name, "ip",
		ip4_format(vm->ip, ip));

	json_array_append_new(list, object);
	return object;
}

/* What a reload would do: each VM that differs, and the public addresses that would be free. */
static json_t *describe_differences(const struct planner *planner, const struct plan *plan)
{
	const struct vm **losers = xcalloc(plan_count(planner->plan), sizeof(*losers));
	json_t *list = json_array(), *lost = json_array();
	size_t count = 0;

	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i),
				*old = plan_by_name(planner->plan, vm->name);

		if (!old || !vm_equal(old, vm))
			add_difference(list, old ? "changed" : "added", vm);
	}
	for (size_t i = 0; i < plan_count(planner->plan); i++) {
		const struct vm *old = plan_vm(planner->plan, i);
		json_t *object;

		if (plan_by_name(plan, old->name))
			continue;
		object = add_difference(list, "removed", old);
		/* under a new name it keeps what it has */
		if (plan_by_mac(plan, &old->mac))
			continue;
		losers[count++] = old;
		json_array_append(lost, object);
	}
	planner->hooks.describe(planner->hooks.ctx, losers, count, lost);
	json_decref(lost);
	free(losers);
	return list;
}

static void command_reload(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	if (!argc)
		planner_reload(ctx, request);
	else if (!strcmp(argv[0], "--dry-run"))
		add_task(ctx, new_task(ctx, VERB_DRY_RUN, request));
	else
		control_refuse(request, NULL, "%s: unexpected; usage: eipctl reload [--dry-run]",
			argv[0]);
}

static json_t *describe_vms(const struct planner *planner, const struct vm *const *vms,
	size_t count)
{
	char mac[MAC_STRLEN], ip[IP4_STRLEN];
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s}", "name", vms[i]->name, "mac",
				mac_format(&vms[i]->mac, mac), "ip", ip4_format(vms[i]->ip, ip)));
	planner->hooks.describe(planner->hooks.ctx, vms, count, list);
	for (size_t i = 0; i < count; i++) {
		json_t *object = json_array_get(list, i);

		if (vms[i]->tags)
			json_object_set_new(object, "tags", json_string(vms[i]->tags));
		if (vms[i]->ignore)
			json_object_set_new(object, "ignore", json_true());
	}
	return list;
}

static void command_vm_list(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct planner *planner = ctx;
	size_t count = plan_count(planner->plan);
	const struct vm **vms = xcalloc(count, sizeof(*vms));

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < count; i++)
		vms[i] = plan_vm(planner->plan, i);
	control_reply(request, describe_vms(planner, vms, count));
	free(vms);
}

static void command_vm_show(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct planner *planner = ctx;
	const struct vm *vm = plan_by_name(planner->plan, argv[0]);
	json_t *list;
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
		list = describe_vms(planner, &vm, 1);
		control_reply(request, json_incref(json_array_get(list, 0)));
		json_decref(list);
	}
}

static void command_vm_add(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct task *task;
	struct mac mac = { 0 };
	bool has_mac = false;
	uint32_t ip = 0;

	for (unsigned i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		/* each once */
		if (!strcmp(argv[i], "--mac") && !has_mac && !mac_parse(value, &mac)) {
			has_mac = true;
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
	task = new_task(ctx, VERB_ADD, request);
	snprintf(task->name, sizeof(task->name), "%s", argv[0]);
	task->mac = mac;
	task->has_mac = has_mac;
	task->ip = ip;
	add_task(ctx, task);
}

static void command_vm_del(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct task *task = new_task(ctx, VERB_DEL, request);

	(void)argc;
	/* what does not fit is no VM's name, nor is what is left of it */
	snprintf(task->name, sizeof(task->name), "%s",
		strlen(argv[0]) <= VM_NAME_MAX ? argv[0] : "");
	add_task(ctx, task);
}

static const struct control_command commands[] = {
	{ "reload", 0, 1, command_reload },
	{ "vm list", 0, 0, command_vm_list, true },
	{ "vm show", 1, 2, command_vm_show, true },
	{ "vm add", 1, 5, command_vm_add },
	{ "vm del", 1, 1, command_vm_del },
};

/* --- life --------------------------------------------------------------------------------- */

int planner_new(struct loop *loop, const struct config *config, const struct ip4_prefix *inner,
	struct planner **ret_planner, struct problems *problems)
{
	struct planner *planner = xcalloc(1, sizeof(*planner));
	char *text;
	int err;

	planner->config = config;
	planner->inner = *inner;
	planner->loaded = time(NULL);
	TAILQ_INIT(&planner->tasks);
	worker_init(&planner->worker, loop);
	planner->last_good = planstore_last_good_path(config);
	err = planstore_load(config, inner, &planner->plan, &text, problems);
	if (!err) {
		/* nobody waits for us yet */
		warn_not_kept(planner, statefile_update(planner->last_good, text, strlen(text)));
		free(text);
		*ret_planner = planner;
		return 0;
	}
	err = planstore_load_last_good(config, inner, &planner->plan, problems);
	if (err) {
		planner_free(planner);
		return err;
	}
	log_first_problems(problems);
	planner->error =
		xasprintf("the plan %s is refused (%zu problem%s); serving the last good one "
			  "from %s",
			config->plan.file, problems->count, problems->count == 1 ? "" : "s",
			planner->last_good);
	log_error("plan: %s", planner->error);
	*ret_planner = planner;
	return 0;
}

void planner_stop(struct planner *planner)
{
	struct task *task;

	if (!planner)
		return;
	/* what is on the thread is taken into force yet, but none after it */
	while ((task = TAILQ_LAST(&planner->tasks, task_list)) &&
		(task != TAILQ_FIRST(&planner->tasks) || !worker_is_busy(&planner->worker))) {
		TAILQ_REMOVE(&planner->tasks, task, link);
		if (task->request)
			control_refuse(task->request, NULL, CONTROL_STOPPING);
		task_free(task);
	}
	worker_done(&planner->worker);
	watch_stop(&planner->watch);
}

void planner_free(struct planner *planner)
{
	if (!planner)
		return;
	planner_stop(planner);
	plan_free(planner->plan);
	free(planner->last_good);
	free(planner->error);
	free(planner);
}

static void file_changed(void *ctx)
{
	struct planner *planner = ctx;

	add_task(planner, new_task(planner, VERB_LOOK, NULL));
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
