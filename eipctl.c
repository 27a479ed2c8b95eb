/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eipctl: the client's door: a table of commands, sent to the daemon's socket, and what comes back
 * printed for people (aligned) or for programs (-j). It must not know anything but common/.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/arguments.h"
#include "common/client.h"
#include "common/config.h"
#include "common/control.h"
#include "common/memory.h"
#include "common/table.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

#define SHORT_USAGE    "usage: eipctl [-j] [-s SOCKET] COMMAND ..., of which eipctl help tells"
#define DEFAULT_SOCKET CONFIG_DEFAULT_RUN_DIR "/" CONTROL_SOCKET_NAME

enum { EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_NO_DAEMON };

/* --- printing for people ------------------------------------------------------------------ */

static void print_any(const json_t *result)
{
	table_print_object(result, 0);
}

/* At a glance: reasons for which nothing was dropped are left out. */
static void print_status(const json_t *result)
{
	json_t *status = json_deep_copy(result), *dhcp = json_object_get(status, "dhcp");
	json_t *dropped = json_object_get(dhcp, "dropped"), *count;
	const char *reason;
	void *next;

	json_object_foreach_safe(dropped, next, reason, count)
	{
		if (json_integer_value(count) == 0)
			json_object_del(dropped, reason);
	}
	if (json_is_object(dropped) && json_object_size(dropped) == 0)
		json_object_set_new(dhcp, "dropped", json_string("nothing"));
	print_any(status);
	json_decref(status);
}

/* Its element for libvirt is text. */
static void print_vm(const json_t *result)
{
	if (json_is_string(result))
		fputs(json_string_value(result), stdout);
	else
		print_any(result);
}

static void print_vms(const json_t *result)
{
	static const struct table_column columns[] = { { "NAME", "name", CELL_TEXT },
		{ "MAC", "mac", CELL_TEXT }, { "IP", "ip", CELL_TEXT },
		{ "LEASE", "lease", CELL_TEXT }, { "EXPIRES", "expires", CELL_TIME },
		{ "ISOLATED", "isolated", CELL_YES_NO }, { "PUBLIC", "public", CELL_LIST }, { 0 } };

	table_print(result, columns);
}

static void print_addresses(const json_t *result)
{
	static const struct table_column columns[] = { { "ADDRESS", "address", CELL_TEXT },
		{ "STATE", "state", CELL_TEXT }, { "VM", "vm", CELL_TEXT },
		{ "LABEL", "label", CELL_TEXT }, { "CONNECTIONS", "connections", CELL_NUMBER },
		{ 0 } };

	table_print(result, columns);
}

static void print_leases(const json_t *result)
{
	static const struct table_column columns[] = { { "MAC", "mac", CELL_TEXT },
		{ "IP", "ip", CELL_TEXT }, { "NAME", "name", CELL_TEXT },
		{ "EXPIRES", "expires", CELL_TIME }, { 0 } };

	table_print(result, columns);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static void print_binding(const json_t *result)
{
	bool changed = json_is_true(json_object_get(result, "changed"));

	printf("%s %s %s (%s, %s)\n", text_of(result, "address"),
		changed ? "bound to" : "was bound to", text_of(result, "vm"), text_of(result, "ip"),
		text_of(result, "label"));
}

static void print_unbound(const json_t *result)
{
	bool changed = json_is_true(json_object_get(result, "changed"));

	printf("%s %s\n", text_of(result, "address"), changed ? "unbound" : "was free");
}

static void print_deleted(const json_t *result)
{
	printf("%s deleted\n", text_of(result, "name"));
}

static void print_isolated(const json_t *result)
{
	bool is_isolated = json_is_true(json_object_get(result, "isolated"));
	bool changed = json_is_true(json_object_get(result, "changed"));
	char *allow = table_format(json_object_get(result, "allow"), CELL_LIST);
	const char *note = json_string_value(json_object_get(result, "note"));

	printf("%s %s", text_of(result, "vm"),
		is_isolated       ? (changed ? "is isolated" : "was isolated")
			: changed ? "is not isolated any more"
				  : "was not isolated");
	if (is_isolated)
		printf(" (port %s; allowed: %s)", text_of(result, "port"),
			json_array_size(json_object_get(result, "allow")) ? allow : "nobody");
	putchar('\n');
	if (note)
		printf("%s\n", note);
	free(allow);
}

static void print_port(const json_t *result)
{
	printf("%s %s the port of %s%s\n", text_of(result, "port"),
		json_is_true(json_object_get(result, "changed")) ? "is" : "was",
		text_of(result, "vm"),
		json_is_true(json_object_get(result, "isolated")) ? ", which is isolated" : "");
}

static void print_reload(const json_t *result)
{
	static const struct table_column columns[] = { { "CHANGE", "change", CELL_TEXT },
		{ "VM", "vm", CELL_TEXT }, { "IP", "ip", CELL_TEXT },
		{ "LOSES", "public", CELL_LIST }, { "FORWARDS", "forwards", CELL_LIST }, { 0 } };
	const json_t *vms = json_object_get(result, "vms");

	printf("added %lld, changed %lld, removed %lld\n",
		(long long)json_integer_value(json_object_get(result, "added")),
		(long long)json_integer_value(json_object_get(result, "changed")),
		(long long)json_integer_value(json_object_get(result, "removed")));
	if (json_array_size(vms))
		table_print(vms, columns);
}

static void print_text(const json_t *result)
{
	fputs(json_string_value(result) ? json_string_value(result) : "", stdout);
}

/* "2026-11-22 11:02:03  lease  action=add mac=… ip=…" */
static void print_event(const json_t *event)
{
	char *when = table_format(json_object_get(event, "time"), CELL_TIME);
	const char *key;
	json_t *value;

	printf("%s  %-11s", when, text_of(event, "event"));
	free(when);
	json_object_foreach((json_t *)(uintptr_t)event, key, value)
	{
		char *text;

		if (!strcmp(key, "time") || !strcmp(key, "event"))
			continue;
		text = table_format(value, CELL_TEXT);
		printf(" %s=%s", key, text);
		free(text);
	}
	putchar('\n');
	fflush(stdout);
}

static void print_events(const json_t *result)
{
	const json_t *event;
	size_t i;

	if (json_is_object(result))
		print_event(result);
	json_array_foreach(result, i, event) print_event(event);
}

static void print_forwards(const json_t *result)
{
	static const struct table_column columns[] = { { "FORWARD", "forward", CELL_TEXT },
		{ "VM", "vm", CELL_TEXT }, { "PORT", "to", CELL_NUMBER },
		{ "SOURCE", "source", CELL_YES_NO }, { "LABEL", "label", CELL_TEXT }, { 0 } };

	table_print(result, columns);
}

static void print_forward(const json_t *result)
{
	bool changed = json_is_true(json_object_get(result, "changed"));

	printf("%s %s %s\n", text_of(result, "forward"), changed ? "goes to" : "went to",
		text_of(result, "vm"));
}

static void print_forward_gone(const json_t *result)
{
	bool changed = json_is_true(json_object_get(result, "changed"));

	printf("%s %s\n", text_of(result, "forward"), changed ? "deleted" : "was not there");
}

/* --- commands ----------------------------------------------------------------------------- */

struct command {
	const char *words, *arguments;
	int min_args, max_args;
	void (*print)(const json_t *result); /* NULL: it is done here, without the daemon */
	const char *summary;
	/* for `eipctl help COMMAND`: ASCII, lines of at most 78 columns; options may be NULL */
	const char *details, *options, *example;
};

static const struct command commands[] = {
	{ "status", "", 0, 0, print_status, "the whole daemon at a glance",
		"The version, the plan in force and why a newer one is refused, what DHCP was\n"
		"asked and answered or did not answer and why, how many public addresses are\n"
		"bound and free, and how often the kernel had to be mended.",
		NULL, "eipctl status" },
	{ "reload", "[--dry-run]", 0, 1, print_reload,
		"read the plan again, or say what that would do",
		"Reads the plan file and puts it into force; tells how many VMs were added,\n"
		"changed and removed. Addresses of VMs that left are free at once. A plan with\n"
		"any problem is refused: every problem is printed as FILE:LINE: TEXT, the exit\n"
		"status is 1, and the plan in force stays. Log files are opened anew.",
		"--dry-run   change nothing; list the VMs that differ and what they would lose",
		"eipctl reload --dry-run" },
	{ "vm list", "", 0, 0, print_vms, "the VMs of the plan",
		"Each VM with its MAC, inner IP, lease (active, expired or none), when that\n"
		"ends, whether it is isolated, and its public addresses.",
		NULL, "eipctl vm list" },
	{ "vm show", "NAME [--xml]", 1, 2, print_vm, "all about one VM",
		"What `vm list` says of one VM, with its forwards, tags and port, and the\n"
		"frames of it, and to it, that isolation or anti-spoof dropped.",
		"--xml       its <interface> element for libvirt instead",
		"eipctl vm show vm-001" },
	{ "vm add", "NAME [--mac MAC] [--ip IP]", 1, 5, print_any,
		"add a VM to the plan; what is not given is chosen",
		"Adds a line at the end of the plan file, keeping all that is there, and puts\n"
		"it into force. A MAC that is chosen is locally administered; an IP is the\n"
		"lowest of the bridge's network that is not in the plan.",
		"--mac MAC   six groups of two hexadecimal digits\n"
		"--ip IP     in the bridge's network",
		"eipctl vm add vm-003 --ip 192.168.6.245" },
	{ "vm del", "NAME", 1, 1, print_deleted,
		"delete a VM from the plan; its addresses are free",
		"Takes the VM's line out of the plan file, and puts that into force: it gets\n"
		"no lease any more, and its public addresses and forwards are free at once.",
		NULL, "eipctl vm del vm-003" },
	{ "vm isolate", "NAME [--allow ADDR/LEN]... [--port PORT]", 1, 131, print_isolated,
		"cut a VM off; only the allowed still reach it",
		"The VM reaches nobody and nobody reaches it: no other VM, not the host, not\n"
		"the outside, whatever address it takes. Its connections die at once. It keeps\n"
		"its lease, and its public addresses stay reserved for it. It holds until\n"
		"`vm rejoin`. A VM that is not there yet is isolated when it comes.",
		"--allow ADDR/LEN  may still speak with it; up to 64 of them\n"
		"--port PORT       its port, beside where its MAC is seen: whatever has the\n"
		"                  name, unless that is said to be another VM's",
		"eipctl vm isolate vm-001 --allow 192.168.6.200" },
	{ "vm rejoin", "NAME", 1, 1, print_isolated, "take an isolation back",
		"The VM is on the network again as before, with the public addresses that were\n"
		"kept for it. One that is not isolated stays as it is.",
		NULL, "eipctl vm rejoin vm-001" },
	{ "vm port", "NAME PORT", 2, 2, print_port, "say which port of the bridge is a VM's",
		"For hooks and launchers, once the port is there and before the guest runs:\n"
		"so the port is known before its first frame, whatever MAC the guest takes,\n"
		"and one that is isolated is cut off from the start. What was seen, and a\n"
		"--port of `vm isolate`, counts less. It holds as long as the link exists.\n"
		"Ports that libvirt makes are known without it, by their address.",
		NULL, "eipctl vm port vm-001 tap1" },
	{ "ip list", "", 0, 0, print_addresses, "the public addresses",
		"Each address of the pool: free, bound, in cooldown (it rests before another\n"
		"VM may have it) or in conflict (somebody else has it);\n"
		"the VM, the label on the outer interface, and how many connections use it.",
		NULL, "eipctl ip list" },
	{ "ip bind", "VM [ADDR]", 1, 2, print_binding, "give a VM a public address",
		"Without ADDR a free one of the pool is chosen. The first address of a VM is\n"
		"the source of its own connections. What is bound so already stays. Refused\n"
		"for an address that another VM has, that is not in the pool, that cools\n"
		"down, or that somebody answers for on the wire.",
		NULL, "eipctl ip bind vm-001 20.251.48.99" },
	{ "ip unbind", "ADDR", 1, 1, print_unbound, "take a public address back",
		"The address leaves the outer interface and its rules go; connections through\n"
		"it end. An address of the pool that is free already is no mistake.",
		NULL, "eipctl ip unbind 20.251.48.99" },
	{ "ip move", "ADDR VM", 2, 2, print_binding, "give a bound address to another VM",
		"In one step; the address is never without an owner. Connections through it\n"
		"end, so that none goes on with the new owner. A free address is bound.",
		NULL, "eipctl ip move 20.251.48.99 vm-002" },
	{ "forward list", "", 0, 0, print_forwards, "ports of shared addresses",
		"Each port, or range of ports, with the VM and the port that it goes to.", NULL,
		"eipctl forward list" },
	{ "forward add", "ADDR:PORT/tcp|udp VM[:PORT] [--source]", 2, 3, print_forward,
		"send a port (or FIRST-LAST) of an address to a VM",
		"Several VMs share the address, port by port; it cannot be bound as a whole\n"
		"meanwhile. Without a port the VM's is the same. A range keeps its numbers.",
		"--source    the VM's own connections leave with the address, unless it has one\n"
		"            of its own",
		"eipctl forward add 20.251.48.101:2222/tcp vm-001:22" },
	{ "forward del", "ADDR:PORT/tcp|udp", 1, 1, print_forward_gone, "take a forward away",
		"Written as `forward list` shows it; one that is not there is no mistake. With\n"
		"its last forward the address is free.",
		NULL, "eipctl forward del 20.251.48.101:2222/tcp" },
	{ "lease list", "", 0, 0, print_leases, "the VMs that hold a lease",
		"MAC, IP, name and the end of each lease that is active.", NULL,
		"eipctl lease list" },
	{ "events", "[--follow]", 0, 1, print_events, "what happened lately, or from now on",
		"Leases, binds, moves, reclaims, isolation, reloads, resyncs that mended what\n"
		"others had changed: the last 1000 since the start, the oldest first.",
		"--follow    only new ones, as they happen, until interrupted",
		"eipctl events --follow" },
	{ "metrics", "", 0, 0, print_text, "counters in Prometheus' text format",
		"For a collector, such as node_exporter's directory of text files.", NULL,
		"eipctl metrics > /var/lib/node_exporter/eipd.prom" },
	{ "help", "[COMMAND]", 0, 2, NULL, "this list, or all about one command",
		"Needs no daemon. A part of a command lists the commands that begin so.", NULL,
		"eipctl help ip bind" },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(*commands))

static void print_summary(FILE *out, const struct command *command)
{
	fprintf(out, "  %s%s%s\n        %s\n", command->words, *command->arguments ? " " : "",
		command->arguments, command->summary);
}

static void print_usage(FILE *out)
{
	fputs("usage: eipctl [-j] [-s SOCKET] COMMAND ...\n"
	      "  -j, --json           the result as JSON\n"
	      "  -s, --socket SOCKET  the daemon's socket (default " DEFAULT_SOCKET ")\n"
	      "  -V, --version        print the version\n"
	      "  -h, --help           print this; after a command: all about that command\n"
	      "exit status: 0 done, 1 refused, 2 usage, 3 no daemon\n"
	      "commands (names may be shortened as long as they are unique):\n",
		out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		print_summary(out, &commands[i]);
}

static void print_lines(const char *text)
{
	for (const char *end; *text; text = end + (*end == '\n')) {
		end = text + strcspn(text, "\n");
		printf("  %.*s\n", (int)(end - text), text);
	}
}

static void print_command(const struct command *command)
{
	printf("usage: eipctl %s%s%s\n%s\n\n", command->words, *command->arguments ? " " : "",
		command->arguments, command->summary);
	print_lines(command->details);
	if (command->options) {
		puts("\noptions:");
		print_lines(command->options);
	}
	printf("\nexample:\n  %s\n", command->example);
}

/*
 * How well the words on the command line name a command: 0 not, 1 by a shortened name, 2 in full.
 * *ret_used: how many words that took.
 */
static int match(const char *words, int argc, char *const *argv, int *ret_used)
{
	int quality = 2, used = 0;

	while (*words) {
		size_t len = strcspn(words, " "), given;

		if (used == argc)
			return 0;
		given = strlen(argv[used]);
		if (given == 0 || given > len || strncmp(words, argv[used], given))
			return 0;
		if (given < len)
			quality = 1;
		used++;
		words += len + (words[len] == ' ');
	}
	*ret_used = used;
	return quality;
}

static void print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
	putchar('\n');
}

/* "what is wrong; what to do", for programs on standard output, too. Returns the status. */
__attribute__((format(printf, 3, 4))) static int fail(int status, bool as_json, const char *format,
	...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	if (as_json) {
		json_t *error = json_object();

		/* what was given may be anything, JSON is UTF-8 */
		if (json_object_set_new(error, "error", json_string(text)))
			json_object_set_new(error, "error", json_string("not UTF-8; write it so"));
		print_json(error);
		json_decref(error);
	}
	fflush(stdout);
	fprintf(stderr, "eipctl: %s\n", text);
	free(text);
	return status;
}

/* The one command that the words name best; NULL if there is none, or *ret_count more than one. */
static const struct command *find_command(int argc, char *const *argv, int *ret_used,
	int *ret_count)
{
	const struct command *found = NULL;
	int best = 0, count = 0;

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		int used, quality = match(commands[i].words, argc, argv, &used);

		if (quality > best)
			count = 0;
		if (quality && quality >= best) {
			best = quality;
			count++;
			found = &commands[i];
			*ret_used = used;
		}
	}
	*ret_count = count;
	return count == 1 ? found : NULL;
}

/* `words` begin with those given, each of which may be shortened. */
static bool begins_with(const char *words, int argc, char *const *argv)
{
	for (int i = 0; i < argc; i++) {
		size_t len = strcspn(words, " "), given = strlen(argv[i]);

		if (given == 0 || given > len || strncmp(words, argv[i], given))
			return false;
		words += len + (words[len] == ' ');
	}
	return true;
}

static int no_command(int argc, char *const *argv, bool as_json)
{
	const char *first = argv[0], *second = argc > 1 ? argv[1] : "";
	bool is_part = false;

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		is_part = is_part || begins_with(commands[i].words, argc, argv);
	return fail(EXIT_USAGE, as_json,
		is_part ? "%s%s%s: not a whole command; eipctl help %s%s%s lists those that begin so"
			: "%s%s%s: no such command; eipctl help lists them",
		first, *second ? " " : "", second, first, *second ? " " : "", second);
}

static int wrong_arguments(const struct command *command, int argc, char **argv, bool as_json)
{
	const char *option = arguments_unknown_option(command->arguments, argc, argv);

	return fail(EXIT_USAGE, as_json, "%s%s; usage: eipctl %s%s%s", option ? option : "",
		option ? ": no such option" : "wrong arguments", command->words,
		*command->arguments ? " " : "", command->arguments);
}

static int help(int argc, char *const *argv, bool as_json)
{
	int used = 0, count;
	const struct command *command = find_command(argc, argv, &used, &count);

	if (argc == 0)
		print_usage(stdout);
	if (command && used == argc)
		print_command(command);
	if (argc == 0 || (command && used == argc))
		return EXIT_DONE;
	count = 0;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (begins_with(commands[i].words, argc, argv)) {
			print_summary(stdout, &commands[i]);
			count++;
		}
	}
	return count ? EXIT_DONE : no_command(argc, argv, as_json);
}

/* --- answers ------------------------------------------------------------------------------ */

static void print_problems(const json_t *problems)
{
	const json_t *problem;
	size_t i;

	json_array_foreach(problems, i, problem)
	{
		printf("%s:%lld: %s\n", text_of(problem, "file"),
			(long long)json_integer_value(json_object_get(problem, "line")),
			text_of(problem, "text"));
	}
}

static int show(const struct command *command, json_t *reply, bool as_json)
{
	const json_t *result = json_object_get(reply, "result");

	if (json_is_true(json_object_get(reply, "ok"))) {
		if (as_json)
			print_json(result);
		else
			command->print(result);
		return EXIT_DONE;
	}
	if (as_json) {
		json_object_del(reply, "ok");
		print_json(reply);
	} else {
		print_problems(json_object_get(reply, "problems"));
	}
	return fail(EXIT_REFUSED, false, "%s", text_of(reply, "error"));
}

static int no_answer(const char *socket_path, bool more, bool as_json)
{
	return fail(EXIT_NO_DAEMON, as_json, "the daemon at %s gave no %sanswer; see its log",
		socket_path, more ? "further " : "");
}

static int cannot_connect(const char *socket_path, int err, bool as_json)
{
	if (err == -EAGAIN)
		return no_answer(socket_path, false, as_json);
	if (err == -ENAMETOOLONG)
		return fail(EXIT_NO_DAEMON, as_json,
			"%s: too long a path for a socket; [daemon] run-dir can be shorter",
			socket_path);
	if (err == -EACCES)
		return fail(EXIT_REFUSED, as_json,
			"%s: not permitted; run it as root or as a member of the group that "
			"[control] group names",
			socket_path);
	return fail(EXIT_NO_DAEMON, as_json,
		"no daemon at %s (%s); start eipd, or name its socket with -s", socket_path,
		strerror(-err));
}

/* Asks, and shows the reply; or replies as they come, as long as they do. */
static int run(const char *socket_path, const struct command *command, int argc, char *const *argv,
	bool as_json)
{
	bool follow = argc && !strcmp(argv[0], "--follow"), more = false;
	struct client client;
	int status, err = client_open(&client, socket_path, follow);

	if (err)
		return cannot_connect(socket_path, err, as_json);
	/* whom the daemon does not listen to may have the answer already: that it has no room */
	(void)client_send(&client, command->words, argc, argv);
	do {
		json_t *reply = client_receive(&client);

		status = reply ? show(command, reply, as_json)
			       : no_answer(socket_path, more, as_json);
		json_decref(reply);
		fflush(stdout);
		more = follow && status == EXIT_DONE && !ferror(stdout);
	} while (more);
	client_close(&client);
	return status;
}

/* -j is taken wherever it stands. */
static int take_json(int argc, char **argv, bool *ret_json)
{
	int kept = 0;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "-j") || !strcmp(argv[i], "--json"))
			*ret_json = true;
		else
			argv[kept++] = argv[i];
	}
	return kept;
}

static int ask(int argc, char **argv)
{
	static const struct option long_options[] = { { "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 's' }, { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };
	const char *socket_path = DEFAULT_SOCKET;
	const struct command *command;
	char **given;
	bool as_json = false;
	int c, used = 0, count, status, at;

	opterr = 0;
	/*
	 * Up to the command: what begins with a dash behind it is the command's. Where optind stands
	 * after an error is another place with each libc.
	 */
	while (at = optind, (c = getopt_long(argc, argv, "+:js:Vh", long_options, NULL)) != -1) {
		switch (c) {
		case 'j':
			as_json = true;
			break;
		case 's':
			socket_path = optarg;
			break;
		case 'V':
			puts("eipctl " VERSION);
			return EXIT_DONE;
		case 'h':
			print_usage(stdout);
			return EXIT_DONE;
		case ':':
			return fail(EXIT_USAGE, as_json, "%s: its value is missing; " SHORT_USAGE,
				argv[at]);
		default:
			return fail(EXIT_USAGE, as_json, "%s: no such option; " SHORT_USAGE,
				argv[at]);
		}
	}
	argv += optind;
	argc = take_json(argc - optind, argv, &as_json);
	if (argc == 0 && !as_json)
		print_usage(stdout);
	if (argc == 0)
		return fail(EXIT_USAGE, as_json, "no command; " SHORT_USAGE);
	command = find_command(argc, argv, &used, &count);
	if (!command)
		return no_command(argc, argv, as_json);
	argc -= used;
	argv += used;
	if (argc && (!strcmp(argv[argc - 1], "--help") || !strcmp(argv[argc - 1], "-h"))) {
		print_command(command);
		return EXIT_DONE;
	}
	given = argv;
	argv = arguments_arrange(command->arguments, command->min_args, command->max_args, &argc,
		argv);
	if (!argv)
		return wrong_arguments(command, argc, given, as_json);
	status = command->print ? run(socket_path, command, argc, argv, as_json)
				: help(argc, argv, as_json);
	free(argv);
	return status;
}

int main(int argc, char **argv)
{
	/* the socket must not take its place */
	bool is_open = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
	int status = is_open ? ask(argc, argv) : EXIT_REFUSED;

	if (is_open && !fflush(stdout) && !ferror(stdout))
		return status;
	(void)fail(EXIT_REFUSED, false, "standard output cannot be written; see where it goes");
	return status ? status : EXIT_REFUSED;
}
