/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control owns the socket, its clients and the framing of requests and replies. It must not know
 * what any command does.
 */
#include "common/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/account.h"
#include "common/memory.h"

#define CLIENTS_MAX 32
#define TABLES_MAX  8
#define ARGS_MAX    160
/* A client that neither sends a whole request nor takes its reply is dropped after this. */
#define IDLE_MS 30000
/* How long nobody is accepted when descriptors have run out. */
#define PAUSE_MS 1000
/* What a follower may leave unread. */
#define STREAM_MAX 65536

struct client {
	struct control *control;
	struct loop_watch watch;
	struct loop_timer idle;
	char *in; /* CONTROL_REQUEST_MAX */
	size_t in_len;
	char *out;
	size_t out_len, out_done;
	struct control_request *pending;
	LIST_ENTRY(client) link;
};

struct control_request {
	struct client *client; /* NULL: it went away */
	json_t *json;          /* owns the strings of argv */
	const char *argv[ARGS_MAX];
	void (*gone)(void *ctx); /* of a stream; else NULL */
	void *ctx;
};

struct control {
	struct loop *loop;
	struct loop_watch listener;
	struct loop_timer pause;
	char *path;
	LIST_HEAD(, client) clients;
	unsigned client_count;
	struct {
		const struct control_command *commands;
		size_t count;
		void *ctx;
	} tables[TABLES_MAX];
	size_t table_count;
};

static void client_ready(void *ctx, uint32_t events);
static void client_take_line(struct client *client);

/* --- clients ------------------------------------------------------------------------------ */

static void request_free(struct control_request *request)
{
	json_decref(request->json);
	free(request);
}

static void client_free(struct client *client)
{
	struct control *control = client->control;
	struct control_request *pending = client->pending;

	/* who works on it will find nobody to answer; a stream ends here */
	if (pending)
		pending->client = NULL;
	if (pending && pending->gone) {
		pending->gone(pending->ctx);
		request_free(pending);
	}
	loop_timer_cancel(control->loop, &client->idle);
	loop_unwatch(control->loop, &client->watch);
	close(client->watch.fd);
	LIST_REMOVE(client, link);
	if (control->client_count-- == CLIENTS_MAX)
		loop_watch_events(control->loop, &control->listener, EPOLLIN);
	free(client->in);
	free(client->out);
	free(client);
}

static void client_idle(void *ctx)
{
	client_free(ctx);
}

/* Waits for what is due next: room to write, a request, or nothing while one is being served. */
static void client_wait(struct client *client)
{
	struct loop *loop = client->control->loop;
	uint32_t events = client->out ? EPOLLOUT : client->pending ? 0 : EPOLLIN;

	loop_watch_events(loop, &client->watch, events);
	if (client->pending)
		loop_timer_cancel(loop, &client->idle);
	else
		loop_timer_set(loop, &client->idle, IDLE_MS, client_idle, client);
}

/* False if the client was dropped. */
static bool client_write(struct client *client)
{
	while (client->out) {
		ssize_t n = send(client->watch.fd, client->out + client->out_done,
			client->out_len - client->out_done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			client_free(client);
			return false;
		}
		client->out_done += (size_t)n;
		if (client->out_done == client->out_len) {
			free(client->out);
			client->out = NULL;
			client->out_len = client->out_done = 0;
		}
	}
	return true;
}

static void listen_again(void *ctx)
{
	struct control *control = ctx;

	if (control->client_count < CLIENTS_MAX)
		loop_watch_events(control->loop, &control->listener, EPOLLIN);
}

static void accept_client(void *ctx, uint32_t events)
{
	struct control *control = ctx;
	int fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client;

	(void)events;
	if (fd < 0) {
		/* without descriptors the same connection would wake us up at once, for ever */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			loop_watch_events(control->loop, &control->listener, 0);
			loop_timer_set(control->loop, &control->pause, PAUSE_MS, listen_again,
				control);
		}
		return;
	}
	client = xcalloc(1, sizeof(*client));
	client->control = control;
	client->in = xrealloc(NULL, CONTROL_REQUEST_MAX, 1);
	LIST_INSERT_HEAD(&control->clients, client, link);
	loop_watch(control->loop, &client->watch, fd, EPOLLIN, client_ready, client);
	loop_timer_set(control->loop, &client->idle, IDLE_MS, client_idle, client);
	/* the rest waits in the kernel's queue */
	if (++control->client_count == CLIENTS_MAX)
		loop_watch_events(control->loop, &control->listener, 0);
}

static void client_ready(void *ctx, uint32_t events)
{
	struct client *client = ctx;
	ssize_t n;

	if (events & EPOLLOUT) {
		if (!client_write(client) || client->out)
			return;
		if (client->pending)
			client_wait(client);
		else
			client_take_line(client);
		return;
	}
	if (client->pending) {
		/* EPOLLHUP or EPOLLERR: nobody is left to answer */
		client_free(client);
		return;
	}
	n = recv(client->watch.fd, client->in + client->in_len,
		CONTROL_REQUEST_MAX - client->in_len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_free(client);
		return;
	}
	client->in_len += (size_t)n;
	client_take_line(client);
}

/* --- requests ----------------------------------------------------------------------------- */

/* The words of a command at the head of argv; how many, or 0. */
static unsigned match_words(const char *words, unsigned argc, const char *const *argv)
{
	unsigned n = 0;

	while (*words) {
		size_t len = strcspn(words, " ");

		if (n == argc || strlen(argv[n]) != len || memcmp(words, argv[n], len))
			return 0;
		n++;
		words += len + (words[len] == ' ');
	}
	return n;
}

static void run(struct control *control, struct control_request *request, unsigned argc)
{
	for (size_t t = 0; t < control->table_count; t++) {
		for (size_t i = 0; i < control->tables[t].count; i++) {
			const struct control_command *command = &control->tables[t].commands[i];
			unsigned words = match_words(command->words, argc, request->argv);

			if (!words)
				continue;
			if (argc - words < command->min_args || argc - words > command->max_args)
				control_refuse(request, NULL,
					"%s: wrong number of arguments; "
					"eipctl help shows them",
					command->words);
			else
				command->run(control->tables[t].ctx, request, argc - words,
					request->argv + words);
			return;
		}
	}
	control_refuse(request, NULL,
		"unknown command; eipctl and eipd may be of different versions");
}

static void start_request(struct client *client, const char *line, size_t len)
{
	struct control_request *request = xcalloc(1, sizeof(*request));
	const json_t *command, *word;
	unsigned argc = 0;
	size_t i;

	request->client = client;
	client->pending = request;
	client_wait(client);
	request->json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	command = json_object_get(request->json, "command");
	if (!json_is_array(command) || json_array_size(command) > ARGS_MAX) {
		control_refuse(request, NULL, "not a request; expected {\"command\":[…]}");
		return;
	}
	json_array_foreach(command, i, word)
	{
		if (!json_is_string(word)) {
			control_refuse(request, NULL, "not a request; expected a list of strings");
			return;
		}
		request->argv[argc++] = json_string_value(word);
	}
	run(client->control, request, argc);
}

static void client_take_line(struct client *client)
{
	char *newline = memchr(client->in, '\n', client->in_len), *line;
	size_t len;

	if (!newline && client->in_len == CONTROL_REQUEST_MAX) {
		client_free(client);
		return;
	}
	if (!newline) {
		client_wait(client);
		return;
	}
	len = (size_t)(newline - client->in) + 1;
	line = xmemdup(client->in, len);
	client->in_len -= len;
	memmove(client->in, newline + 1, client->in_len);
	start_request(client, line, len);
	free(line);
}

static void finish(struct control_request *request, json_t *reply)
{
	struct client *client = request->client;
	char *text;

	if (client) {
		text = json_dumps(reply, JSON_COMPACT);
		client->out = xasprintf("%s\n",
			text ? text : "{\"ok\":false,\"error\":\"no memory\"}");
		client->out_len = strlen(client->out);
		client->out_done = 0;
		client->pending = NULL;
		/* EPOLLOUT comes at once and takes the next line */
		client_wait(client);
		free(text);
	}
	json_decref(reply);
	request_free(request);
}

void control_reply(struct control_request *request, json_t *result)
{
	finish(request, json_pack("{s:b, s:o}", "ok", 1, "result", result));
}

void control_refuse(struct control_request *request, json_t *details, const char *format, ...)
{
	json_t *reply = details ? details : json_object();
	va_list args;
	char *text;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	/* it may quote what the client said; an error is one line */
	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	json_object_set_new(reply, "ok", json_false());
	json_object_set_new(reply, "error", json_string(text));
	free(text);
	finish(request, reply);
}

/* --- streams ------------------------------------------------------------------------------ */

void control_stream(struct control_request *request, void (*gone)(void *ctx), void *ctx)
{
	request->gone = gone;
	request->ctx = ctx;
}

void control_send(struct control_request *request, const json_t *result)
{
	struct client *client = request->client;
	json_t *line = json_pack("{s:b, s:O}", "ok", 1, "result", result);
	char *text = json_dumps(line, JSON_COMPACT), *longer;

	json_decref(line);
	if (client->out_len - client->out_done > STREAM_MAX) {
		free(text);
		client_free(client);
		return;
	}
	longer = xasprintf("%s%s\n", client->out ? client->out + client->out_done : "",
		text ? text : "");
	free(text);
	free(client->out);
	client->out = longer;
	client->out_len = strlen(longer);
	client->out_done = 0;
	client_wait(client);
}

void control_end_stream(struct control_request *request)
{
	client_free(request->client);
}

/* --- the socket --------------------------------------------------------------------------- */

int control_new(struct loop *loop, const char *path, const char *group,
	struct control **ret_control)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct control *control;
	gid_t gid = (gid_t)-1;
	mode_t mask;
	int fd, err = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (*group)
		err = account_find_group(group, &gid);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* a dead predecessor's; the caller has made sure that no living one has it */
	unlink(path);
	mask = umask(0777);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		err = -errno;
	umask(mask);
	if (!err &&
		((*group && chown(path, (uid_t)-1, gid) < 0) || chmod(path, 0660) < 0 ||
			listen(fd, 64) < 0))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	control = xcalloc(1, sizeof(*control));
	control->loop = loop;
	control->path = xstrdup(path);
	LIST_INIT(&control->clients);
	loop_watch(loop, &control->listener, fd, EPOLLIN, accept_client, control);
	*ret_control = control;
	return 0;
}

void control_free(struct control *control)
{
	struct client *client, *next;

	if (!control)
		return;
	for (client = LIST_FIRST(&control->clients); client; client = next) {
		next = LIST_NEXT(client, link);
		/* what was answered last goes out if the socket takes it */
		if (client_write(client))
			client_free(client);
	}
	loop_timer_cancel(control->loop, &control->pause);
	loop_unwatch(control->loop, &control->listener);
	close(control->listener.fd);
	unlink(control->path);
	free(control->path);
	free(control);
}

void control_register(struct control *control, const struct control_command *commands, size_t count,
	void *ctx)
{
	if (control->table_count == TABLES_MAX)
		abort();
	control->tables[control->table_count].commands = commands;
	control->tables[control->table_count].count = count;
	control->tables[control->table_count++].ctx = ctx;
}
