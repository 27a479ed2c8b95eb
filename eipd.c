/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eipd: the daemon's door. The only file that sees both the DHCP server and the NAT manager: it
 * starts them, hands both the plan, and joins what they know for `status` and `vm list`. It owns
 * no logic of either.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/control.h"
#include "common/host.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/planstore.h"
#include "common/statefile.h"
#include "common/writer.h"
#include "dhcpd/dhcpd.h"
#include "dhcpd/link.h"
#include "natmgr/natmgr.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

enum { EXIT_OK, EXIT_CANNOT_RUN, EXIT_USAGE };

struct options {
	const char *config_path;
	bool foreground, test, verbose;
};

struct eipd {
	struct config *config;
	struct host host;
	struct loop *loop;
	struct control *control;
	struct events *events;
	struct loop_timer reclaim;
	struct nl_sock *route;
	struct netlink_monitor monitor;
	struct dhcpd *dhcpd;
	struct natmgr *natmgr;
	struct plan *plan;
	time_t plan_loaded;
	char *plan_error; /* why the file is not what is in force; NULL: it is */
	struct writer last_good;
	uint64_t started;
	int pid_fd;
	char *pid_path;
};

/* --- words on standard error --------------------------------------------------------------- */

static void print_problems(const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		char *text = problem_format(&problems->list[i]);

		fprintf(stderr, "%s\n", text);
		free(text);
	}
}

__attribute__((format(printf, 1, 2))) static int cannot_run(const char *format, ...)
{
	va_list args;

	fputs("eipd: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return -1;
}

/* --- plan --------------------------------------------------------------------------------- */

static json_t *describe_problems(const struct problems *problems)
{
	json_t *list = json_array();

	for (size_t i = 0; i < problems->count; i++)
		json_array_append_new(list, json_pack("{s:s, s:i, s:s}", "file",
			problems->list[i].file, "line", (int)problems->list[i].line, "text",
			problems->list[i].text));
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
		say("plan: and %zu more; eipctl reload or eipd -t shows them all", problems->count - most);
}

static char *plan_refusal(const struct eipd *eipd, size_t count)
{
	return xasprintf("the plan %s is refused (%zu problem%s); the plan in force stays",
		eipd->config->plan.file, count, count == 1 ? "" : "s");
}

static void plan_kept(void *ctx, int err)
{
	const struct eipd *eipd = ctx;

	if (err)
		log_warning("plan: no copy could be kept under %s: %s; if the file is spoiled, the next "
			"start will have none to go by", eipd->config->daemon.state_dir, strerror(-err));
}

/* At start a refused plan is no reason to leave the VMs without network. */
static int load_first_plan(struct eipd *eipd)
{
	struct problems problems = { 0 }, old_problems = { 0 };
	char *text = NULL;
	int err = planstore_load(eipd->config, &eipd->host.inner, &eipd->plan, &text, &problems);

	if (!err) {
		writer_write(&eipd->last_good, text, strlen(text));
	} else {
		err = planstore_load_last_good(eipd->config, &eipd->host.inner, &eipd->plan,
			&old_problems);
		if (!err) {
			log_problems(&problems, log_error);
			eipd->plan_error = xasprintf("the plan %s is refused (%zu problem%s); serving the "
				"last good one from %s/plan.last-good", eipd->config->plan.file,
				problems.count, problems.count == 1 ? "" : "s",
				eipd->config->daemon.state_dir);
			log_error("plan: %s", eipd->plan_error);
		} else {
			print_problems(&problems);
			cannot_run("the plan %s is refused, and no good one was kept in %s; mend it",
				eipd->config->plan.file, eipd->config->daemon.state_dir);
		}
	}
	eipd->plan_loaded = time(NULL);
	problems_done(&problems);
	problems_done(&old_problems);
	return err;
}

/* A plan on its way into force, and the client that waits for it (if any). */
struct reload {
	struct eipd *eipd;
	struct plan_diff diff;
	struct control_request *request;
	json_t *result; /* what the client is told; NULL: the numbers of the difference */
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
		control_refuse(reload->request, NULL, "the new plan is in force for DHCP, but NAT does not "
			"follow yet: %s; it is tried again every %u s", error,
			reload->eipd->config->nat.resync);
	else if (reload->request)
		control_reply(reload->request, reload->result ? json_incref(reload->result)
							      : describe_diff(&reload->diff));
	json_decref(reload->result);
	free(reload);
}

static void refuse_plan(struct eipd *eipd, const struct problems *problems,
	struct control_request *request)
{
	free(eipd->plan_error);
	eipd->plan_error = plan_refusal(eipd, problems->count);
	log_problems(problems, log_error);
	log_error("plan: %s", eipd->plan_error);
	if (request)
		control_refuse(request, json_pack("{s:o}", "problems", describe_problems(problems)),
			"%s", eipd->plan_error);
}

static void adopt_plan(struct eipd *eipd, struct plan *plan, struct control_request *request,
	json_t *result)
{
	struct reload *reload = xcalloc(1, sizeof(*reload));
	struct plan *old = eipd->plan;

	*reload = (struct reload){ eipd, plan_compare(old, plan), request, result };
	free(eipd->plan_error);
	eipd->plan_error = NULL;
	eipd->plan_loaded = time(NULL);
	eipd->plan = plan;
	events_post(eipd->events, "reload", json_pack("{s:I, s:I, s:I, s:I}", "vms",
		(json_int_t)plan_count(plan), "added", (json_int_t)reload->diff.added, "changed",
		(json_int_t)reload->diff.changed, "removed", (json_int_t)reload->diff.removed));
	log_info("plan: %zu VMs in force: %zu added, %zu changed, %zu removed", plan_count(plan),
		reload->diff.added, reload->diff.changed, reload->diff.removed);
	dhcpd_replan(eipd->dhcpd, plan);
	natmgr_replan(eipd->natmgr, plan, reload_done, reload);
	plan_free(old);
}

static void reload_plan(struct eipd *eipd, struct control_request *request)
{
	struct problems problems = { 0 };
	struct plan *plan;
	char *text;

	if (planstore_load(eipd->config, &eipd->host.inner, &plan, &text, &problems)) {
		refuse_plan(eipd, &problems, request);
	} else {
		writer_write(&eipd->last_good, text, strlen(text));
		adopt_plan(eipd, plan, request, NULL);
	}
	problems_done(&problems);
}

/* --- commands ----------------------------------------------------------------------------- */

static json_t *describe_status(const struct eipd *eipd)
{
	return json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:b, s:{s:s, s:I, s:I, s:o}, s:o, s:o, s:o}",
		"version", VERSION, "pid", (int)getpid(), "uptime",
		(json_int_t)((loop_now() - eipd->started) / 1000), "backend", "iptables", "bridge",
		eipd->config->inner.bridge, "outer", eipd->config->outer.interface, "ready", 1, "plan",
		"file", eipd->config->plan.file, "vms", (json_int_t)plan_count(eipd->plan), "loaded",
		(json_int_t)eipd->plan_loaded, "error",
		eipd->plan_error ? json_string(eipd->plan_error) : json_null(), "dhcp",
		dhcpd_status(eipd->dhcpd), "nat", natmgr_status(eipd->natmgr), "callback",
		dhcpd_callback_status(eipd->dhcpd));
}

static json_t *describe_vm(const struct eipd *eipd, const struct vm *vm)
{
	char mac[MAC_STRLEN], ip[IP4_STRLEN];
	json_t *object = json_pack("{s:s, s:s, s:s}", "name", vm->name, "mac",
		mac_format(&vm->mac, mac), "ip", ip4_format(vm->ip, ip));

	dhcpd_describe_vm(eipd->dhcpd, vm, object);
	natmgr_describe_vm(eipd->natmgr, vm, object);
	if (vm->tags)
		json_object_set_new(object, "tags", json_string(vm->tags));
	if (vm->ignore)
		json_object_set_new(object, "ignore", json_true());
	return object;
}

static void command_status(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	(void)argc;
	(void)argv;
	control_reply(request, describe_status(ctx));
}

static void add_difference(const struct eipd *eipd, json_t *list, const char *change,
	const struct vm *vm, bool loses)
{
	char ip[IP4_STRLEN];
	json_t *object = json_pack("{s:s, s:s, s:s}", "change", change, "vm", vm->name, "ip",
		ip4_format(vm->ip, ip));

	if (loses)
		natmgr_describe_vm(eipd->natmgr, vm, object);
	json_array_append_new(list, object);
}

/* What a reload would do: each VM that differs, and the public addresses that would be free. */
static json_t *describe_differences(const struct eipd *eipd, const struct plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plan_count(plan); i++) {
		const struct vm *vm = plan_vm(plan, i), *old = plan_by_name(eipd->plan, vm->name);

		if (!old || !vm_equal(old, vm))
			add_difference(eipd, list, old ? "changed" : "added", vm, false);
	}
	for (size_t i = 0; i < plan_count(eipd->plan); i++) {
		const struct vm *old = plan_vm(eipd->plan, i);

		if (!plan_by_name(plan, old->name))
			/* under a new name it keeps what it has */
			add_difference(eipd, list, "removed", old, !plan_by_mac(plan, &old->mac));
	}
	return list;
}

static void refuse_text(const struct problems *problems, struct control_request *request,
	const char *error)
{
	control_refuse(request, problems->count ? json_pack("{s:o}", "problems",
		describe_problems(problems)) : NULL, "%s", error);
}

static void dry_run(const struct eipd *eipd, struct control_request *request)
{
	struct problems problems = { 0 };
	struct plan_diff diff;
	struct plan *plan;
	json_t *result;
	char *error;

	if (planstore_load(eipd->config, &eipd->host.inner, &plan, NULL, &problems)) {
		error = plan_refusal(eipd, problems.count);
		refuse_text(&problems, request, error);
		free(error);
	} else {
		diff = plan_compare(eipd->plan, plan);
		result = describe_diff(&diff);
		json_object_set_new(result, "vms", describe_differences(eipd, plan));
		control_reply(request, result);
		plan_free(plan);
	}
	problems_done(&problems);
}

static void command_reload(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	if (argc && strcmp(argv[0], "--dry-run"))
		control_refuse(request, NULL, "%s: unexpected; usage: eipctl reload [--dry-run]", argv[0]);
	else if (argc)
		dry_run(ctx, request);
	else
		reload_plan(ctx, request);
}

static void command_vm_list(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct eipd *eipd = ctx;
	json_t *list = json_array();

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < plan_count(eipd->plan); i++)
		json_array_append_new(list, describe_vm(eipd, plan_vm(eipd->plan, i)));
	control_reply(request, list);
}

static void command_vm_show(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct eipd *eipd = ctx;
	const struct vm *vm = plan_by_name(eipd->plan, argv[0]);

	(void)argc;
	if (vm)
		control_reply(request, describe_vm(eipd, vm));
	else
		control_refuse(request, NULL, "%s: no such VM in the plan; eipctl vm list shows them",
			argv[0]);
}

static void command_metrics(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	const struct eipd *eipd = ctx;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)argc;
	(void)argv;
	if (!out) {
		control_refuse(request, NULL, "no memory");
		return;
	}
	fprintf(out, "# HELP eipd_info The daemon.\n# TYPE eipd_info gauge\n"
		     "eipd_info{version=\"%s\"} 1\n"
		     "# HELP eipd_uptime_seconds Seconds since the start.\n"
		     "# TYPE eipd_uptime_seconds gauge\neipd_uptime_seconds %llu\n"
		     "# HELP eipd_plan_vms VMs of the plan in force.\n"
		     "# TYPE eipd_plan_vms gauge\neipd_plan_vms %zu\n"
		     "# HELP eipd_plan_refused The plan file is not what is in force.\n"
		     "# TYPE eipd_plan_refused gauge\neipd_plan_refused %d\n",
		VERSION, (unsigned long long)((loop_now() - eipd->started) / 1000),
		plan_count(eipd->plan), eipd->plan_error != NULL);
	dhcpd_metrics(eipd->dhcpd, out);
	natmgr_metrics(eipd->natmgr, out);
	fclose(out);
	control_reply(request, json_string(text));
	free(text);
}

/* The plan file was edited for a client; `err` and what else came of it. */
static void end_edit(struct eipd *eipd, struct control_request *request, const char *name, int err,
	struct plan *plan, char *text, const struct problems *problems, char *error)
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
	writer_write(&eipd->last_good, text, strlen(text));
	adopt_plan(eipd, plan, request, result);
}

static void command_vm_add(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct eipd *eipd = ctx;
	struct problems problems = { 0 };
	struct plan *plan = NULL;
	struct mac mac, *wanted_mac = NULL;
	char *text = NULL, *error = NULL;
	uint32_t ip = 0;
	int err;

	for (unsigned i = 1; i < argc; i += 2) {
		if (i + 1 < argc && !strcmp(argv[i], "--mac") && !mac_parse(argv[i + 1], &mac)) {
			wanted_mac = &mac;
		} else if (i + 1 == argc || strcmp(argv[i], "--ip") || ip4_parse(argv[i + 1], &ip)) {
			control_refuse(request, NULL, "%s %s: not understood; usage: eipctl vm add NAME "
				"[--mac MAC] [--ip IP]", argv[i], i + 1 < argc ? argv[i + 1] : "");
			return;
		}
	}
	if (!plan_name_is_valid(argv[0])) {
		control_refuse(request, NULL, "%s: not a name; expected letters, digits and inner hyphens, "
			"at most 63", argv[0]);
		return;
	}
	err = planstore_add_vm(eipd->config, &eipd->host.inner, argv[0], wanted_mac, ip, &plan, &text,
		&problems, &error);
	end_edit(eipd, request, argv[0], err, plan, text, &problems, error);
	problems_done(&problems);
}

static void command_vm_del(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	struct eipd *eipd = ctx;
	struct problems problems = { 0 };
	struct plan *plan = NULL;
	char *text = NULL, *error = NULL;
	int err = planstore_del_vm(eipd->config, &eipd->host.inner, argv[0], &plan, &text, &problems,
		&error);

	(void)argc;
	end_edit(eipd, request, argv[0], err, plan, text, &problems, error);
	problems_done(&problems);
}

static const struct control_command commands[] = {
	{ "status", 0, 0, command_status },
	{ "metrics", 0, 0, command_metrics },
	{ "reload", 0, 1, command_reload },
	{ "vm add", 1, 5, command_vm_add },
	{ "vm del", 1, 1, command_vm_del },
	{ "vm list", 0, 0, command_vm_list },
	{ "vm show", 1, 1, command_vm_show },
};

/* --- events ------------------------------------------------------------------------------- */

static void on_stopped(void *ctx)
{
	struct eipd *eipd = ctx;

	loop_stop(eipd->loop);
}

static void log_status(const struct eipd *eipd)
{
	json_t *status = describe_status(eipd);
	char *text = json_dumps(status, JSON_COMPACT);

	if (text)
		log_info("status: %s", text);
	free(text);
	json_decref(status);
}

static void on_signal(void *ctx, int signo)
{
	struct eipd *eipd = ctx;

	switch (signo) {
	case SIGHUP:
		log_reopen();
		dhcpd_reopen_logs(eipd->dhcpd);
		reload_plan(eipd, NULL);
		break;
	case SIGUSR1:
		log_status(eipd);
		break;
	case SIGCHLD:
		dhcpd_child_exited(eipd->dhcpd);
		writer_reap(&eipd->last_good);
		break;
	default:
		log_info("stopping");
		dhcpd_stop(eipd->dhcpd, on_stopped, eipd);
	}
}

static void on_vm_came(void *ctx)
{
	const struct eipd *eipd = ctx;

	natmgr_vm_came(eipd->natmgr);
}

static uint64_t vm_away(void *ctx, const struct vm *vm)
{
	const struct eipd *eipd = ctx;

	return dhcpd_away(eipd->dhcpd, vm);
}

/* Looks as often as the time asks for, from every second to every minute. */
static void reclaim(void *ctx)
{
	struct eipd *eipd = ctx;
	uint32_t seconds = eipd->config->nat.reclaim_after / 10;

	natmgr_reclaim(eipd->natmgr, vm_away, eipd);
	loop_timer_set(eipd->loop, &eipd->reclaim,
		(seconds < 1 ? 1 : seconds > 60 ? 60 : seconds) * UINT64_C(1000), reclaim, eipd);
}

static void on_links_changed(void *ctx)
{
	struct eipd *eipd = ctx;
	struct netlink_link bridge;

	if (!netlink_link_get(eipd->route, eipd->config->inner.bridge, &bridge))
		dhcpd_set_mac(eipd->dhcpd, &bridge.mac);
	natmgr_links_changed(eipd->natmgr);
}

/* --- start -------------------------------------------------------------------------------- */

/* A daemon with this run-dir lives: it holds the lock of its pid file. */
static bool is_running(const struct config *config)
{
	char *path = xasprintf("%s/eipd.pid", config->daemon.run_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool running = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;

	if (fd >= 0)
		close(fd);
	free(path);
	return running;
}

/* What is only found by trying: the port (if asked), the nat table, the callback. */
static void check_services(const struct config *config, bool port, struct problems *problems)
{
	char error[LINK_ERROR_SIZE], *text;
	int err = 0;
	struct stat st;

	if (port)
		err = link_check_port(config->inner.bridge, error);

	if (*config->dhcp.callback && (stat(config->dhcp.callback, &st) < 0 || !S_ISREG(st.st_mode) ||
					      access(config->dhcp.callback, X_OK) < 0))
		problem_add(problems, config->path, config_line(config, "dhcp", "callback"),
			"[dhcp] callback: %s is not a program that can be run; name one, or nothing",
			config->dhcp.callback);

	/* without the bridge there is nothing to bind to, which has been said */
	if (err && err != -ENODEV)
		problem_add(problems, config->path, config_line(config, "inner", "bridge"),
			"[inner] bridge: %s", error);
	if (natmgr_check_table(&text)) {
		problem_add(problems, config->path, config_line(config, "outer", "interface"), "[nat]: %s",
			text);
		free(text);
	}
}

static int test(const struct options *options)
{
	struct problems problems = { 0 };
	struct config *config = NULL;
	struct host host = { 0 };
	struct plan *plan = NULL;
	struct nl_sock *route = NULL;
	int status;

	if (!config_load(options->config_path, &config, &problems)) {
		int err = netlink_open(NETLINK_ROUTE, &route);

		if (err)
			problem_add(&problems, config->path, 0, "no netlink socket: %s", strerror(-err));
		else
			(void)host_check(route, config, &host, &problems, &problems);
		/* the daemon that runs with this configuration has the port, and shall */
		check_services(config, !is_running(config), &problems);
		(void)planstore_load(config, host.inner.addr ? &host.inner : NULL, &plan, NULL, &problems);
		natmgr_check_state(config, &problems);
	}
	print_problems(&problems);
	status = problems.count ? EXIT_CANNOT_RUN : EXIT_OK;
	if (status == EXIT_OK)
		printf("%s: all is well: %zu VMs, %llu public addresses\n", config->path,
			plan_count(plan), (unsigned long long)config_pool_size(config));
	netlink_close(route);
	plan_free(plan);
	config_free(config);
	problems_done(&problems);
	return status;
}

/* The file is locked as long as we live, so a pid in it that is not locked is of a dead daemon. */
static int take_pid_file(struct eipd *eipd)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000000L };
	char text[32] = "";
	int locked;

	eipd->pid_path = xasprintf("%s/eipd.pid", eipd->config->daemon.run_dir);
	eipd->pid_fd = open(eipd->pid_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (eipd->pid_fd < 0)
		return cannot_run("%s cannot be opened: %s", eipd->pid_path, strerror(errno));
	/* a child of a daemon that was killed may hold it for the moment that it takes to notice */
	for (int i = 0; (locked = flock(eipd->pid_fd, LOCK_EX | LOCK_NB)) < 0 && i < 10; i++)
		nanosleep(&pause, NULL);
	if (locked < 0) {
		ssize_t n = read(eipd->pid_fd, text, sizeof(text) - 1);

		text[n > 0 ? n : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		close(eipd->pid_fd);
		eipd->pid_fd = -1;
		return cannot_run("it runs already (pid %s, %s); stop that one first", text,
			eipd->pid_path);
	}
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(eipd->pid_fd, 0) < 0 || pwrite(eipd->pid_fd, text, strlen(text), 0) < 0)
		return cannot_run("%s cannot be written: %s", eipd->pid_path, strerror(errno));
	return 0;
}

static int make_directories(const struct config *config)
{
	const char *const dirs[] = { config->daemon.state_dir, config->daemon.run_dir };

	for (size_t i = 0; i < 2; i++) {
		int err = statefile_mkdir(dirs[i]);

		if (err)
			return cannot_run("directory %s cannot be made: %s", dirs[i], strerror(-err));
	}
	return 0;
}

static int look_at_host(struct eipd *eipd)
{
	struct problems problems = { 0 }, warnings = { 0 };
	int err = netlink_open(NETLINK_ROUTE, &eipd->route);

	if (err)
		return cannot_run("no netlink socket: %s", strerror(-err));
	err = host_check(eipd->route, eipd->config, &eipd->host, &problems, &warnings);
	if (!err)
		check_services(eipd->config, true, &problems);
	for (size_t i = 0; i < warnings.count; i++)
		log_warning("%s", warnings.list[i].text);
	err = problems.count ? -1 : 0;
	print_problems(&problems);
	problems_done(&problems);
	problems_done(&warnings);
	return err;
}

static int listen_for_commands(struct eipd *eipd)
{
	const char *group = eipd->config->control.group;
	char *path = xasprintf("%s/" CONTROL_SOCKET_NAME, eipd->config->daemon.run_dir);
	int err = control_new(eipd->loop, path, group, &eipd->control);

	if (err == -ENOENT && *group)
		cannot_run("[control] group: there is no group %s on this host", group);
	else if (err)
		cannot_run("%s cannot be listened on: %s", path, strerror(-err));
	if (!err) {
		control_register(eipd->control, commands, sizeof(commands) / sizeof(*commands), eipd);
		eipd->events = events_new(eipd->control);
	}
	free(path);
	return err;
}

static int start_services(struct eipd *eipd)
{
	const struct natmgr_setup nat = { eipd->loop, eipd->control, eipd->events, eipd->config,
		eipd->plan, eipd->host.inner };
	const struct dhcpd_setup dhcp = { eipd->loop, eipd->control, eipd->events, eipd->config,
		eipd->plan, eipd->host.inner, eipd->host.bridge_mac, on_vm_came, eipd };
	char *error = NULL;
	int err = natmgr_new(&nat, &eipd->natmgr, &error);

	if (!err)
		err = dhcpd_new(&dhcp, &eipd->dhcpd, &error);
	if (err) {
		cannot_run("%s", error);
		free(error);
		return err;
	}
	if (eipd->config->nat.reclaim_after != TIME_INFINITE)
		reclaim(eipd);
	err = netlink_monitor_start(&eipd->monitor, eipd->loop, on_links_changed, eipd);
	if (err)
		cannot_run("changes of links cannot be watched: %s", strerror(-err));
	return err;
}

static int catch_signals(struct eipd *eipd)
{
	static const int wanted[] = { SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGCHLD };
	sigset_t set;
	int err;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		sigaddset(&set, wanted[i]);
	err = loop_signals(eipd->loop, &set, on_signal, eipd);
	return err ? cannot_run("signals cannot be caught: %s", strerror(-err)) : 0;
}

static int start(struct eipd *eipd, const struct options *options)
{
	const struct config *config = eipd->config;
	const char *log = options->foreground && config->daemon.log[0] != '/' ? "stderr"
									    : config->daemon.log;
	int err;

	if (make_directories(config) || take_pid_file(eipd))
		return -1;
	err = log_open(log, options->verbose ? LOG_LEVEL_DEBUG : config->daemon.log_level);
	if (err)
		return cannot_run("log %s cannot be opened: %s", log, strerror(-err));
	if (loop_new(&eipd->loop))
		return cannot_run("no event loop: %s", strerror(errno));
	/* before the first child, so that its end is not missed */
	if (catch_signals(eipd))
		return -1;
	writer_init(&eipd->last_good, planstore_last_good_path(config), plan_kept, eipd);
	if (look_at_host(eipd) || load_first_plan(eipd))
		return -1;
	return listen_for_commands(eipd) || start_services(eipd) ? -1 : 0;
}

static void stop(struct eipd *eipd)
{
	char *error = NULL;

	netlink_monitor_stop(&eipd->monitor);
	if (eipd->natmgr && eipd->dhcpd && eipd->config->nat.remove_on_exit &&
		natmgr_remove(eipd->natmgr, &error)) {
		log_error("nat: not all could be removed: %s", error);
		free(error);
	}
	dhcpd_free(eipd->dhcpd);
	natmgr_free(eipd->natmgr);
	events_free(eipd->events);
	control_free(eipd->control);
	loop_free(eipd->loop);
	netlink_close(eipd->route);
	plan_free(eipd->plan);
	if (eipd->last_good.path)
		writer_done(&eipd->last_good);
	free(eipd->plan_error);
	if (eipd->pid_fd >= 0) {
		unlink(eipd->pid_path);
		close(eipd->pid_fd);
	}
	free(eipd->pid_path);
	config_free(eipd->config);
}

/* --- detaching ---------------------------------------------------------------------------- */

/*
 * In the parent: does not return, but exits as the child says it should. In the child: returns the
 * descriptor to say it through.
 */
static int detach(void)
{
	int pipefd[2], status;
	char ready;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		cannot_run("cannot detach: %s", strerror(errno));
		exit(EXIT_CANNOT_RUN);
	}
	if (pid == 0) {
		close(pipefd[0]);
		setsid();
		if (chdir("/") < 0)
			exit(EXIT_CANNOT_RUN);
		return pipefd[1];
	}
	close(pipefd[1]);
	if (read(pipefd[0], &ready, 1) == 1)
		_exit(EXIT_OK);
	/* the reason is on standard error, which it shares with us */
	waitpid(pid, &status, 0);
	_exit(EXIT_CANNOT_RUN);
}

static void say_ready(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = STDIN_FILENO; null >= 0 && i <= STDERR_FILENO; i++)
		dup2(null, i);
	if (null > STDERR_FILENO)
		close(null);
	(void)!write(fd, "R", 1);
	close(fd);
}

static int run(const struct options *options)
{
	struct eipd eipd = { .pid_fd = -1, .started = loop_now() };
	struct problems problems = { 0 };
	int status = EXIT_CANNOT_RUN, ready_fd = -1, err;

	err = config_load(options->config_path, &eipd.config, &problems);
	print_problems(&problems);
	problems_done(&problems);
	if (err)
		return EXIT_CANNOT_RUN;
	if (!options->foreground)
		ready_fd = detach();
	if (!start(&eipd, options)) {
		log_info("eipd " VERSION ": %zu VMs on %s, %llu public addresses on %s",
			plan_count(eipd.plan), eipd.config->inner.bridge,
			(unsigned long long)config_pool_size(eipd.config),
			eipd.config->outer.interface);
		if (ready_fd >= 0)
			say_ready(ready_fd);
		loop_run(eipd.loop);
		status = EXIT_OK;
	}
	stop(&eipd);
	return status;
}

/* --- command line ------------------------------------------------------------------------- */

static const char usage[] =
	"usage: eipd [-c FILE] [-f] [-t] [-v] [-V] [-h]\n"
	"  -c, --config FILE   configuration (default " CONFIG_DEFAULT_PATH ")\n"
	"  -f, --foreground    do not detach; log to standard error unless `log` names a file\n"
	"  -t, --test          check configuration, plan, state and host, print every problem, exit\n"
	"  -v, --verbose       log debug messages\n"
	"  -V, --version       print the version\n"
	"  -h, --help          print this\n";

int main(int argc, char **argv)
{
	static const struct option long_options[] = { { "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' }, { "test", no_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' }, { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };
	struct options options = { .config_path = CONFIG_DEFAULT_PATH };
	int c;

	while ((c = getopt_long(argc, argv, "c:ftvVh", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			options.config_path = optarg;
			break;
		case 'f':
			options.foreground = true;
			break;
		case 't':
			options.test = true;
			break;
		case 'v':
			options.verbose = true;
			break;
		case 'V':
			puts("eipd " VERSION);
			return EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return EXIT_OK;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "eipd: %s: unexpected argument\n%s", argv[optind], usage);
		return EXIT_USAGE;
	}
	return options.test ? test(&options) : run(&options);
}
