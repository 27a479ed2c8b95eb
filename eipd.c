/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eipd: the daemon's door. The only file that sees both the DHCP server and the NAT manager: it
 * starts them, hands both the plan, and joins what they know for `status` and `vm list`. It owns
 * no logic of either.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bridge.h"
#include "common/control.h"
#include "common/detach.h"
#include "common/handover.h"
#include "common/host.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/netlink.h"
#include "common/netlink_link.h"
#include "common/netlink_monitor.h"
#include "common/pidfile.h"
#include "common/planner.h"
#include "common/planstore.h"
#include "common/privilege.h"
#include "common/sandbox.h"
#include "common/statefile.h"
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
	struct planner *planner;
	uint64_t started;
	struct pidfile pidfile;
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

/* --- commands ----------------------------------------------------------------------------- */

static json_t *describe_status(const struct eipd *eipd)
{
	return json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "version",
		VERSION, "pid", (int)getpid(), "uptime",
		(json_int_t)((loop_now() - eipd->started) / 1000), "backend", "iptables", "bridge",
		eipd->config->inner.bridge, "outer", eipd->config->outer.interface, "ready", 1,
		"plan", planner_status(eipd->planner), "dhcp", dhcpd_status(eipd->dhcpd), "nat",
		natmgr_status(eipd->natmgr), "isolation", natmgr_isolation_status(eipd->natmgr),
		"callback", dhcpd_callback_status(eipd->dhcpd));
}

static void command_status(void *ctx, struct control_request *request, unsigned argc,
	const char *const *argv)
{
	(void)argc;
	(void)argv;
	control_reply(request, describe_status(ctx));
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
	fprintf(out,
		"# HELP eipd_info The daemon.\n# TYPE eipd_info gauge\n"
		"eipd_info{version=\"%s\"} 1\n"
		"# HELP eipd_uptime_seconds Seconds since the start.\n"
		"# TYPE eipd_uptime_seconds gauge\neipd_uptime_seconds %llu\n"
		"# HELP eipd_plan_vms VMs of the plan in force.\n"
		"# TYPE eipd_plan_vms gauge\neipd_plan_vms %zu\n"
		"# HELP eipd_plan_refused The plan file is not what is in force.\n"
		"# TYPE eipd_plan_refused gauge\neipd_plan_refused %d\n",
		VERSION, (unsigned long long)((loop_now() - eipd->started) / 1000),
		plan_count(planner_plan(eipd->planner)), planner_is_refused(eipd->planner));
	dhcpd_metrics(eipd->dhcpd, out);
	natmgr_metrics(eipd->natmgr, out);
	fclose(out);
	control_reply(request, json_string(text));
	free(text);
}

static const struct control_command commands[] = {
	{ "status", 0, 0, command_status, true },
	{ "metrics", 0, 0, command_metrics, true },
};

/* --- events ------------------------------------------------------------------------------- */

static void on_stopped(void *ctx)
{
	struct eipd *eipd = ctx;

	loop_stop(eipd->loop);
}

/* As JSON; what a line of the log has no room for is told part by part. */
static void log_value(const char *name, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	char *line = xasprintf("status: %s: %s", name, text ? text : "");
	const char *key;
	json_t *part;
	size_t i;

	free(text);
	if (strlen(line) <= LOG_TEXT_MAX || !(json_is_object(value) || json_is_array(value))) {
		log_asked("%s", line);
	} else {
		json_object_foreach(value, key, part)
		{
			char *part_name = xasprintf("%s.%s", name, key);

			log_value(part_name, part);
			free(part_name);
		}
		json_array_foreach(value, i, part) log_value(name, part);
	}
	free(line);
}

static void log_status(const struct eipd *eipd)
{
	json_t *status = describe_status(eipd), *value;
	const char *key;

	json_object_foreach(status, key, value) log_value(key, value);
	json_decref(status);
}

static void on_signal(void *ctx, int signo)
{
	struct eipd *eipd = ctx;

	switch (signo) {
	case SIGHUP:
		planner_reload(eipd->planner, NULL);
		break;
	case SIGUSR1:
		log_status(eipd);
		break;
	case SIGCHLD:
		dhcpd_child_exited(eipd->dhcpd);
		break;
	default:
		log_info("stopping");
		dhcpd_stop(eipd->dhcpd, on_stopped, eipd);
	}
}

static void on_plan(void *ctx, const struct plan *plan, const struct plan_change *change,
	void (*done)(void *done_ctx, const char *error), void *done_ctx)
{
	const struct eipd *eipd = ctx;

	dhcpd_replan(eipd->dhcpd, plan, change);
	natmgr_replan(eipd->natmgr, plan, change, done, done_ctx);
}

/* Whoever rotates logs has moved them away, and says so by a reload. */
static void reopen_logs(void *ctx)
{
	const struct eipd *eipd = ctx;

	log_reopen();
	dhcpd_reopen_logs(eipd->dhcpd);
}

static void describe_vms(void *ctx, const struct vm *const *vms, size_t count, json_t *objects)
{
	const struct eipd *eipd = ctx;

	for (size_t i = 0; i < count; i++)
		dhcpd_describe_vm(eipd->dhcpd, vms[i], json_array_get(objects, i));
	natmgr_describe_vms(eipd->natmgr, vms, count, objects);
}

static void on_vm_came(void *ctx, const struct vm *vm)
{
	const struct eipd *eipd = ctx;

	natmgr_vm_came(eipd->natmgr, vm);
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

	if (natmgr_reclaim(eipd->natmgr, vm_away, eipd))
		seconds = 1;
	loop_timer_set(eipd->loop, &eipd->reclaim,
		(seconds < 1                   ? 1
				: seconds > 60 ? 60
					       : seconds) *
			UINT64_C(1000),
		reclaim, eipd);
}

static void on_links_changed(void *ctx, bool links)
{
	struct eipd *eipd = ctx;
	struct netlink_link bridge;

	if (links && !netlink_link_get(eipd->route, eipd->config->inner.bridge, &bridge))
		dhcpd_set_bridge(eipd->dhcpd, &bridge.mac, bridge.index);
	natmgr_links_changed(eipd->natmgr, links);
}

/* --- start -------------------------------------------------------------------------------- */

static char *pidfile_path(const struct config *config)
{
	return xasprintf("%s/eipd.pid", config->daemon.run_dir);
}

static bool is_running(const struct config *config)
{
	char *path = pidfile_path(config);
	bool is_taken = pidfile_is_taken(path);

	free(path);
	return is_taken;
}

/* What is only found by trying: the port (if asked), the nat table. */
static void check_services(const struct config *config, bool port, struct problems *problems)
{
	char error[LINK_ERROR_SIZE], *text;
	int err = 0;

	/* whose the port is may be for root to see */
	(void)privilege_pass_over_files(true);
	if (port && config->inner.bridge)
		err = link_check_port(config->inner.bridge, error);
	(void)privilege_pass_over_files(false);
	/* without the bridge there is nothing to bind to, which has been said */
	if (err && err != -ENODEV)
		problem_add(problems, config->path, config_line(config, "inner", "bridge"),
			"[inner] bridge: %s", error);
	if (natmgr_check_table(&text)) {
		problem_add(problems, config->path, config_line(config, "outer", "interface"),
			"[nat]: %s", text);
		free(text);
	}
	if (config->inner.anti_spoof && natmgr_check_anti_spoof(&text)) {
		problem_add(problems, config->path, config_line(config, "inner", "anti-spoof"),
			"[inner] anti-spoof: %s", text);
		free(text);
	}
}

static void print_step(const char *text)
{
	printf("at the start: %s\n", text);
}

/* The configuration says where something is, but not so that it can be used. */
static bool is_wrong(const struct config *config, const char *section, const char *key,
	const struct problems *problems)
{
	unsigned line = config_line(config, section, key);

	for (size_t i = 0; line && i < problems->count; i++) {
		if (problems->list[i].line == line && !strcmp(problems->list[i].file, config->path))
			return true;
	}
	return false;
}

/* All that can be looked at, whatever is wrong already: a person wants to mend it in one go. */
static struct plan *test_all(const struct config *config, struct nl_sock *route,
	struct problems *problems)
{
	bool has_plan = !is_wrong(config, "plan", "file", problems);
	bool has_state = !is_wrong(config, "daemon", "state-dir", problems);
	struct host host = { 0 };
	struct plan *plan = NULL;
	bool may;

	natmgr_keep_lock();
	may = handover_become(config, false, problems) != -EPERM;
	(void)host_check(route, config, &host, problems, problems);
	/* the daemon that runs with this configuration has the port, and shall */
	if (may)
		check_services(config, !is_running(config), problems);
	if (has_plan)
		(void)planstore_load(config, host.inner.addr ? &host.inner : NULL, &plan, NULL,
			problems);
	if (has_state) {
		natmgr_check_state(config, problems);
		dhcpd_check_state(config, problems);
	}
	return plan;
}

static int test(const struct options *options)
{
	struct problems problems = { 0 };
	struct config *config = NULL;
	struct plan *plan = NULL;
	struct nl_sock *route = NULL;
	int status, err = netlink_open(NETLINK_ROUTE, &route);

	if (err)
		problem_add(&problems, options->config_path, 0, "no netlink socket: %s",
			strerror(-err));
	else if (!config_examine(options->config_path, &config, &problems))
		plan = test_all(config, route, &problems);
	print_problems(&problems);
	status = problems.count ? EXIT_CANNOT_RUN : EXIT_OK;
	if (status == EXIT_OK)
		printf("%s: all is well: %zu VMs, %llu public addresses\n", config->path,
			plan_count(plan), (unsigned long long)config_pool_size(config));
	if (status == EXIT_OK && config->inner.create)
		(void)bridge_ensure(route, config, true, print_step, &problems);
	netlink_close(route);
	plan_free(plan);
	config_free(config);
	problems_done(&problems);
	return status;
}

static int take_pidfile(struct eipd *eipd)
{
	char *path = pidfile_path(eipd->config), *error = NULL;
	int err = pidfile_take(path, &eipd->pidfile, &error);

	if (err)
		cannot_run("%s", error);
	free(error);
	free(path);
	return err;
}

static int become_user(const struct config *config)
{
	struct problems problems = { 0 };
	int err;

	natmgr_keep_lock();
	err = handover_become(config, true, &problems);
	print_problems(&problems);
	problems_done(&problems);
	return err;
}

static int make_directories(const struct config *config)
{
	const char *const dirs[] = { config->daemon.state_dir, config->daemon.run_dir };

	for (size_t i = 0; i < 2; i++) {
		int err = statefile_mkdir(dirs[i]);

		if (err)
			return cannot_run("directory %s cannot be made by %s: %s", dirs[i],
				handover_user(config), strerror(-err));
	}
	return 0;
}

static void log_step(const char *text)
{
	log_info("bridge: %s", text);
}

static int look_at_host(struct eipd *eipd)
{
	struct problems problems = { 0 }, warnings = { 0 };
	int err = netlink_open(NETLINK_ROUTE, &eipd->route);

	if (err)
		return cannot_run("no netlink socket: %s", strerror(-err));
	err = host_check(eipd->route, eipd->config, &eipd->host, &problems, &warnings);
	if (!err && eipd->config->inner.create &&
		bridge_ensure(eipd->route, eipd->config, false, log_step, &problems) > 0) {
		problems_done(&warnings);
		(void)host_check(eipd->route, eipd->config, &eipd->host, &problems, &warnings);
	}
	if (!problems.count)
		check_services(eipd->config, true, &problems);
	for (size_t i = 0; i < warnings.count; i++)
		log_warning("%s", warnings.list[i].text);
	err = problems.count ? -1 : 0;
	print_problems(&problems);
	problems_done(&problems);
	problems_done(&warnings);
	return err;
}

static int load_plan(struct eipd *eipd)
{
	struct problems problems = { 0 };
	int err = planner_new(eipd->loop, eipd->config, &eipd->host.inner, &eipd->planner,
		&problems);

	if (err) {
		print_problems(&problems);
		cannot_run(err == -ENOENT
				? "the plan %s is refused, and no good one was kept in %s; mend it"
				: "the plan %s is refused, and so is the last good one in %s; mend it",
			eipd->config->plan.file, eipd->config->daemon.state_dir);
	}
	problems_done(&problems);
	return err;
}

static int listen_for_commands(struct eipd *eipd)
{
	const char *group = eipd->config->control.group;
	char *path = xasprintf("%s/" CONTROL_SOCKET_NAME, eipd->config->daemon.run_dir);
	int err;

	/* to give it to a group that is not ours */
	(void)privilege_pass_over_files(true);
	err = control_new(eipd->loop, path, group, eipd->config->control.group_may_change,
		&eipd->control);
	(void)privilege_pass_over_files(false);
	if (err)
		cannot_run("%s cannot be listened on: %s", path, strerror(-err));
	if (!err) {
		control_register(eipd->control, commands, sizeof(commands) / sizeof(*commands),
			eipd);
		eipd->events = events_new(eipd->control);
	}
	free(path);
	return err;
}

static int start_services(struct eipd *eipd)
{
	const struct plan *plan = planner_plan(eipd->planner);
	const struct natmgr_setup nat = { eipd->loop, eipd->control, eipd->events, eipd->config,
		plan, eipd->host.inner };
	const struct dhcpd_setup dhcp = { eipd->loop, eipd->control, eipd->events, eipd->config,
		plan, eipd->host.inner, eipd->host.bridge_mac, eipd->host.bridge_index, on_vm_came,
		eipd };
	const struct planner_hooks hooks = { on_plan, describe_vms, reopen_logs, eipd };
	char *error = NULL;
	int err = dhcpd_new(&dhcp, &eipd->dhcpd, &error);

	if (!err)
		err = natmgr_new(&nat, &eipd->natmgr, &error);
	if (!err)
		err = dhcpd_start(eipd->dhcpd, &error);
	if (err) {
		cannot_run("%s", error);
		free(error);
		/* it was never there: what is in the kernel is left as it is */
		dhcpd_free(eipd->dhcpd);
		eipd->dhcpd = NULL;
		return err;
	}
	planner_start(eipd->planner, eipd->loop, eipd->control, eipd->events, &hooks);
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

/* Threads come later, from the loop, and have what is left. */
static int give_up_rights(const struct config *config)
{
	const char *filter;
	int err = privilege_drop(handover_callback_is_others(config));

	if (err)
		return cannot_run("privileges cannot be given up: %s", strerror(-err));
	err = sandbox_enter(*config->dhcp.callback, &filter);
	if (err)
		return cannot_run(
			"system calls cannot be filtered: %s; build eipd without SECCOMP=1",
			strerror(-err));
	if (filter)
		log_info("seccomp: %s", filter);
	return 0;
}

static int start(struct eipd *eipd, const struct options *options)
{
	const struct config *config = eipd->config;
	const char *log = options->foreground && config->daemon.log[0] != '/' ? "stderr"
									      : config->daemon.log;
	int err;

	memory_keep_small();
	if (become_user(config) || make_directories(config) || take_pidfile(eipd))
		return -1;
	err = log_open(log, options->verbose ? LOG_LEVEL_DEBUG : config->daemon.log_level);
	if (err)
		return cannot_run("log %s cannot be opened: %s", log, strerror(-err));
	memory_tell(log_error);
	if (loop_new(&eipd->loop))
		return cannot_run("no event loop: %s", strerror(errno));
	/* before the first child, so that its end is not missed */
	if (catch_signals(eipd))
		return -1;
	if (look_at_host(eipd) || load_plan(eipd))
		return -1;
	if (listen_for_commands(eipd) || start_services(eipd))
		return -1;
	return give_up_rights(config);
}

static void stop(struct eipd *eipd)
{
	char *error = NULL;

	netlink_monitor_stop(&eipd->monitor);
	planner_stop(eipd->planner);
	if (eipd->natmgr && eipd->dhcpd && eipd->config->nat.remove_on_exit &&
		natmgr_remove(eipd->natmgr, &error)) {
		log_error("nat: not all could be removed: %s", error);
		free(error);
	}
	dhcpd_free(eipd->dhcpd);
	natmgr_free(eipd->natmgr);
	events_free(eipd->events);
	control_free(eipd->control);
	netlink_close(eipd->route);
	planner_free(eipd->planner);
	/* last: the others have watches and timers in it */
	loop_free(eipd->loop);
	pidfile_release(&eipd->pidfile);
	config_free(eipd->config);
}

/* --- a life ------------------------------------------------------------------------------- */

static int run(const struct options *options)
{
	struct eipd eipd = { .pidfile = PIDFILE_NONE, .started = loop_now() };
	struct problems problems = { 0 };
	int status = EXIT_CANNOT_RUN, ready_fd = -1, err;

	/* members of the group come through run-dir to the socket, whoever starts us */
	umask(022);
	err = config_load(options->config_path, &eipd.config, &problems);
	print_problems(&problems);
	problems_done(&problems);
	if (err)
		return EXIT_CANNOT_RUN;
	if (!options->foreground) {
		ready_fd = detach();
		if (ready_fd < 0) {
			config_free(eipd.config);
			cannot_run("cannot detach: %s", strerror(-ready_fd));
			return EXIT_CANNOT_RUN;
		}
	}
	if (!start(&eipd, options)) {
		log_info("eipd " VERSION ": %zu VMs on %s, %llu public addresses on %s",
			plan_count(planner_plan(eipd.planner)), eipd.config->inner.bridge,
			(unsigned long long)config_pool_size(eipd.config),
			eipd.config->outer.interface);
		memory_give_back();
		if (ready_fd >= 0)
			detach_say_ready(ready_fd);
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

	detach_open_standard();
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
