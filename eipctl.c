/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eipctl: the client's door: a table of commands, sent to the daemon's socket, and what comes back
 * printed for people (aligned) or for programs (-j). It must not know anything but common/.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/config.h"
#include "common/control.h"
#include "common/memory.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

#define DEFAULT_SOCKET CONFIG_DEFAULT_RUN_DIR "/" CONTROL_SOCKET_NAME
/* The daemon gives up on the lock of iptables after 10 s; longer means that it does not answer. */
#define TIMEOUT_SECONDS 60

enum { EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_NO_DAEMON };

/* --- printing for people ------------------------------------------------------------------ */

enum form { TEXT, TIME, LIST, YES_NO, NUMBER };

struct column {
	const char *title, *key;
	enum form form;
};

static char *format_list(const json_t *value)
{
	char *text = xstrdup("");
	const json_t *item;
	size_t i;

	json_array_foreach(value, i, item)
	{
		char *longer = xasprintf("%s%s%s", text, i ? "," : "", json_string_value(item));

		free(text);
		text = longer;
	}
	return text;
}

static char *format_time(const json_t *value)
{
	time_t when = (time_t)json_integer_value(value);
	char text[32];
	struct tm tm;

	localtime_r(&when, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	return xstrdup(text);
}

/* What a cell says; an empty one is a dash. The caller frees. */
static char *format_value(const json_t *value, enum form form)
{
	char *text = NULL;

	if (json_is_true(value) || json_is_false(value))
		text = xstrdup(json_is_true(value) ? "yes" : "no");
	else if (json_is_integer(value))
		text = form == TIME ? format_time(value)
				    : xasprintf("%lld", (long long)json_integer_value(value));
	else if (json_is_string(value))
		text = xstrdup(json_string_value(value));
	else if (json_is_array(value))
		text = format_list(value);
	if (text && *text)
		return text;
	free(text);
	return xstrdup("-");
}

#define COLUMNS_MAX 8

static void print_cell(const char *text, const struct column *column, size_t width, bool last)
{
	if (column->form == NUMBER)
		printf("%*s", (int)width, text);
	else
		printf("%-*s", last ? 0 : (int)width, text);
	fputs(last ? "\n" : "  ", stdout);
}

static void print_table(const json_t *rows, const struct column *columns)
{
	size_t width[COLUMNS_MAX], count = 0, i;
	const json_t *row;

	for (; columns[count].title; count++)
		width[count] = strlen(columns[count].title);
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < count; c++) {
			char *text = format_value(json_object_get(row, columns[c].key),
				columns[c].form);

			width[c] = strlen(text) > width[c] ? strlen(text) : width[c];
			free(text);
		}
	}
	for (size_t c = 0; c < count; c++)
		print_cell(columns[c].title, &columns[c], width[c], c + 1 == count);
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < count; c++) {
			char *text = format_value(json_object_get(row, columns[c].key),
				columns[c].form);

			print_cell(text, &columns[c], width[c], c + 1 == count);
			free(text);
		}
	}
}

/* One object, a line a key; objects inside it are indented under their key. */
static void print_object(const json_t *object, int indent)
{
	size_t width = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
		width = strlen(key) > width ? strlen(key) : width;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		bool is_time = !strcmp(key, "expires") || !strcmp(key, "loaded") ||
			!strcmp(key, "until");
		char *text;

		if (json_is_object(value)) {
			printf("%*s%s\n", indent, "", key);
			print_object(value, indent + 2);
			continue;
		}
		text = format_value(value, is_time ? TIME : TEXT);
		printf("%*s%-*s  %s\n", indent, "", (int)width, key, text);
		free(text);
	}
}

static void print_any(const json_t *result)
{
	print_object(result, 0);
}

static void print_vms(const json_t *result)
{
	static const struct column columns[] = { { "NAME", "name", TEXT }, { "MAC", "mac", TEXT },
		{ "IP", "ip", TEXT }, { "LEASE", "lease", TEXT }, { "EXPIRES", "expires", TIME },
		{ "ISOLATED", "isolated", YES_NO }, { "PUBLIC", "public", LIST }, { 0 } };

	print_table(result, columns);
}

static void print_addresses(const json_t *result)
{
	static const struct column columns[] = { { "ADDRESS", "address", TEXT },
		{ "STATE", "state", TEXT }, { "VM", "vm", TEXT }, { "LABEL", "label", TEXT },
		{ "CONNECTIONS", "connections", NUMBER }, { 0 } };

	print_table(result, columns);
}

static void print_leases(const json_t *result)
{
	static const struct column columns[] = { { "MAC", "mac", TEXT }, { "IP", "ip", TEXT },
		{ "NAME", "name", TEXT }, { "EXPIRES", "expires", TIME }, { 0 } };

	print_table(result, columns);
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
	char *allow = format_value(json_object_get(result, "allow"), LIST);
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

static void print_reload(const json_t *result)
{
	static const struct column columns[] = { { "CHANGE", "change", TEXT }, { "VM", "vm", TEXT },
		{ "IP", "ip", TEXT }, { "LOSES", "public", LIST }, { "FORWARDS", "forwards", LIST },
		{ 0 } };
	const json_t *vms = json_object_get(result, "vms");

	printf("added %lld, changed %lld, removed %lld\n",
		(long long)json_integer_value(json_object_get(result, "added")),
		(long long)json_integer_value(json_object_get(result, "changed")),
		(long long)json_integer_value(json_object_get(result, "removed")));
	if (json_array_size(vms))
		print_table(vms, columns);
}

static void print_text(const json_t *result)
{
	fputs(json_string_value(result) ? json_string_value(result) : "", stdout);
}

/* "2026-11-22 11:02:03  lease  action=add mac=… ip=…" */
static void print_event(const json_t *event)
{
	char *when = format_value(json_object_get(event, "time"), TIME);
	const char *key;
	json_t *value;

	printf("%s  %-11s", when, text_of(event, "event"));
	free(when);
	json_object_foreach((json_t *)(uintptr_t)event, key, value)
	{
		char *text;

		if (!strcmp(key, "time") || !strcmp(key, "event"))
			continue;
		text = format_value(value, TEXT);
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
	static const struct column columns[] = { { "FORWARD", "forward", TEXT },
		{ "VM", "vm", TEXT }, { "PORT", "to", NUMBER }, { "SOURCE", "source", YES_NO },
		{ "LABEL", "label", TEXT }, { 0 } };

	print_table(result, columns);
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
	void (*print)(const json_t *result);
	const char *help;
};

static const struct command commands[] = {
	{ "status", "", 0, 0, print_any, "the whole daemon at a glance" },
	{ "reload", "[--dry-run]", 0, 1, print_reload,
		"read the plan again, or say what that would do" },
	{ "vm list", "", 0, 0, print_vms, "the VMs of the plan" },
	{ "vm show", "NAME", 1, 1, print_any, "all about one VM" },
	{ "vm add", "NAME [--mac MAC] [--ip IP]", 1, 5, print_any,
		"add a VM to the plan; what is not given is chosen" },
	{ "vm del", "NAME", 1, 1, print_deleted,
		"delete a VM from the plan; its addresses are free" },
	{ "vm isolate", "NAME [--allow ADDR/LEN]... [--port PORT]", 1, 131, print_isolated,
		"cut a VM off; only the allowed still reach it" },
	{ "vm rejoin", "NAME", 1, 1, print_isolated, "take an isolation back" },
	{ "ip list", "", 0, 0, print_addresses, "the public addresses" },
	{ "ip bind", "VM [ADDR]", 1, 2, print_binding, "give a VM a public address" },
	{ "ip unbind", "ADDR", 1, 1, print_unbound, "take a public address back" },
	{ "ip move", "ADDR VM", 2, 2, print_binding, "give a bound address to another VM" },
	{ "forward list", "", 0, 0, print_forwards, "ports of shared addresses" },
	{ "forward add", "ADDR:PORT/tcp|udp VM[:PORT] [--source]", 2, 3, print_forward,
		"send a port (or FIRST-LAST) of an address to a VM" },
	{ "forward del", "ADDR:PORT/tcp|udp", 1, 1, print_forward_gone, "take a forward away" },
	{ "lease list", "", 0, 0, print_leases, "the VMs that hold a lease" },
	{ "events", "[--follow]", 0, 1, print_events, "what happened lately, or from now on" },
	{ "metrics", "", 0, 0, print_text, "counters in Prometheus' text format" },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(*commands))

static void print_usage(FILE *out)
{
	fputs("usage: eipctl [-j] [-s SOCKET] COMMAND …\n"
	      "  -j, --json           the result as JSON\n"
	      "  -s, --socket SOCKET  the daemon's socket (default " DEFAULT_SOCKET ")\n"
	      "  -V, --version  -h, --help\n"
	      "commands (names may be shortened as long as they are unique):\n",
		out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %s %s\n        %s\n", commands[i].words, commands[i].arguments,
			commands[i].help);
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

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list args;

	fputs("eipctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static const struct command *find_command(int argc, char *const *argv, int *ret_used)
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
	if (count == 1)
		return found;
	complain(count ? "%s%s%s: more than one command begins so; eipctl -h lists them"
		       : "%s%s%s: no such command; eipctl -h lists them",
		argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	return NULL;
}

/* --- the socket --------------------------------------------------------------------------- */

/* patient: nothing may come for a long time. */
static int connect_to(const char *path, bool patient)
{
	const struct timeval timeout = { .tv_sec = patient ? 0 : TIMEOUT_SECONDS };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		complain("%s: too long a path for a socket", path);
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int err = errno;

		if (err == EACCES)
			complain(
				"%s: not permitted; run it as root or as a member of the group that "
				"[control] group names",
				path);
		else
			complain("no daemon at %s (%s); start eipd, or name its socket with -s",
				path, strerror(err));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	return fd;
}

static bool send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_request(int fd, const struct command *command, int argc, char *const *argv)
{
	json_t *words = json_array(), *request = json_pack("{s:o}", "command", words);
	char *copy = xstrdup(command->words), *next = copy, *word, *text, *line;
	bool sent;

	while ((word = strsep(&next, " ")))
		json_array_append_new(words, json_string(word));
	free(copy);
	for (int i = 0; i < argc; i++) {
		/* what is not UTF-8 cannot be a name of ours either */
		json_t *argument = json_string(argv[i]);

		json_array_append_new(words, argument ? argument : json_string("?"));
	}
	text = json_dumps(request, JSON_COMPACT);
	line = xasprintf("%s\n", text);
	sent = send_all(fd, line, strlen(line));
	free(line);
	free(text);
	json_decref(request);
	return sent;
}

/* What came from the daemon and is not taken yet. */
struct reader {
	int fd;
	char *data;
	size_t len, cap;
};

/* One line, whatever its length. The caller frees; NULL: none came. */
static char *receive_line(struct reader *reader)
{
	for (;;) {
		char *newline = reader->len ? memchr(reader->data, '\n', reader->len) : NULL, *line;
		ssize_t n;

		if (newline) {
			size_t len = (size_t)(newline - reader->data) + 1;

			line = xmemdup(reader->data, len);
			line[len - 1] = '\0';
			reader->len -= len;
			memmove(reader->data, newline + 1, reader->len);
			return line;
		}
		if (reader->cap - reader->len < 4096)
			reader->data = xrealloc(reader->data, reader->cap = reader->cap * 2 + 8192,
				1);
		n = recv(reader->fd, reader->data + reader->len, reader->cap - reader->len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		reader->len += (size_t)n;
	}
}

/* The next reply; NULL: none came, or it was none. */
static json_t *receive_reply(struct reader *reader)
{
	char *line = receive_line(reader);
	json_t *reply = line ? json_loads(line, 0, NULL) : NULL;

	free(line);
	if (json_is_object(reply))
		return reply;
	json_decref(reply);
	return NULL;
}

/* --- answers ------------------------------------------------------------------------------ */

static void print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
	putchar('\n');
}

static void print_problems(const json_t *problems)
{
	const json_t *problem;
	size_t i;

	json_array_foreach(problems, i, problem)
	{
		long long line = json_integer_value(json_object_get(problem, "line"));

		if (line)
			printf("%s:%lld: %s\n", text_of(problem, "file"), line,
				text_of(problem, "text"));
		else
			printf("%s: %s\n", text_of(problem, "file"), text_of(problem, "text"));
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
	fflush(stdout);
	complain("%s", text_of(reply, "error"));
	return EXIT_REFUSED;
}

static int no_daemon(bool as_json)
{
	if (as_json)
		puts("{\"error\":\"no daemon\"}");
	return EXIT_NO_DAEMON;
}

/* Asks, and shows the reply; or replies as they come, as long as they do. */
static int run(const char *socket_path, const struct command *command, int argc, char *const *argv,
	bool as_json)
{
	bool follow = argc && !strcmp(argv[0], "--follow");
	struct reader reader = { .fd = connect_to(socket_path, follow) };
	int status = EXIT_NO_DAEMON;
	json_t *reply;

	if (reader.fd < 0)
		return no_daemon(as_json);
	if (send_request(reader.fd, command, argc, argv)) {
		do {
			reply = receive_reply(&reader);
			if (reply)
				status = show(command, reply, as_json);
			json_decref(reply);
			fflush(stdout);
		} while (follow && reply && status == EXIT_DONE);
	}
	if (status == EXIT_NO_DAEMON) {
		complain("the daemon at %s gave no answer; see its log", socket_path);
		(void)no_daemon(as_json);
	}
	free(reader.data);
	close(reader.fd);
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

int main(int argc, char **argv)
{
	static const struct option long_options[] = { { "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 's' }, { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };
	const char *socket_path = DEFAULT_SOCKET;
	const struct command *command;
	bool as_json = false;
	int c, used = 0;

	/* up to the command: what begins with a dash behind it is the command's */
	while ((c = getopt_long(argc, argv, "+js:Vh", long_options, NULL)) != -1) {
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
		default:
			print_usage(stderr);
			return EXIT_USAGE;
		}
	}
	argv += optind;
	argc = take_json(argc - optind, argv, &as_json);
	if (argc == 0) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[0], "help")) {
		print_usage(stdout);
		return EXIT_DONE;
	}
	command = find_command(argc, argv, &used);
	if (!command)
		return EXIT_USAGE;
	argc -= used;
	argv += used;
	if (argc < command->min_args || argc > command->max_args) {
		complain("wrong number of arguments; usage: eipctl %s %s", command->words,
			command->arguments);
		return EXIT_USAGE;
	}
	return run(socket_path, command, argc, argv, as_json);
}
