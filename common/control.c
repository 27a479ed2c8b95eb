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
#include "common/addr.h"
#include "common/log.h"
#include "common/memory.h"

#define CLIENTS_MAX 32
/* Of these, one user that is not root may have so many. */
#define CLIENTS_PER_USER 8
#define TABLES_MAX       16
#define ARGS_MAX         160
/* A client that neither sends a whole request nor takes its reply is dropped after this. */
#define IDLE_MS 30000
/* How long nobody is accepted when descriptors have run out. */
#define PAUSE_MS 1000
/* What a follower may leave unread. */
#define STREAM_MAX 65536

enum rights { RIGHT_TO_NOTHING, RIGHT_TO_LOOK, RIGHT_TO_CHANGE };

struct client {
	struct control *control;
	uid_t uid;
	enum rights rights;
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
	bool paused; /* which has been logged */
	char *path;
	char *group; /* "": none, only root may */
	gid_t gid;
	bool group_may_change;
	LIST_HEAD(, client) clients; /* the newest first */
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
	control->client_count--;
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
	else if (!client->idle.active) /* an octet now and then does not prolong it */
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

	loop_watch_events(control->loop, &control->listener, EPOLLIN);
}

/* Supplementary groups included. */
static bool is_in_group(int fd, gid_t gid)
{
	socklen_t len = 0;
	gid_t *groups;
	bool found = false;

	/* the length is told by the error */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0)
		return false;
	/* Linux before 4.13 does not tell them; it has asked for the group at connect(2), at least */
	if (errno != ERANGE)
		return errno == ENOPROTOOPT;
	groups = xrealloc(NULL, len / sizeof(*groups), sizeof(*groups));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0) {
		for (size_t i = 0; i < len / sizeof(*groups); i++)
			found = found || groups[i] == gid;
	}
	free(groups);
	return found;
}

static enum rights rights_of(const struct control *control, int fd, const struct ucred *peer)
{
	if (peer->uid == 0)
		return RIGHT_TO_CHANGE;
	if (!*control->group || (peer->gid != control->gid && !is_in_group(fd, control->gid)))
		return RIGHT_TO_NOTHING;
	return control->group_may_change ? RIGHT_TO_CHANGE : RIGHT_TO_LOOK;
}

/* What a client has to say against giving its place to another one; the last: it keeps it. */
enum hold { HOLD_IDLE, HOLD_BUSY, HOLD_IDLE_ROOT, HOLD_FAST };

static enum hold hold_of(const struct client *client, uid_t newcomer)
{
	if (client->uid && !client->pending)
		return HOLD_IDLE;
	if (newcomer)
		return HOLD_FAST;
	if (client->uid)
		return HOLD_BUSY;
	return client->pending ? HOLD_FAST : HOLD_IDLE_ROOT;
}

/* True if there is a place for a client of this user, if need be another one's. */
static bool make_room(struct control *control, uid_t newcomer)
{
	enum hold least = HOLD_FAST;
	struct client *client, *victim = NULL;
	unsigned own = 0;
	bool only_own;

	LIST_FOREACH (client, &control->clients, link)
		own += client->uid == newcomer;
	only_own = newcomer != 0 && own >= CLIENTS_PER_USER;
	if (!only_own && control->client_count < CLIENTS_MAX)
		return true;
	LIST_FOREACH (client, &control->clients, link) {
		enum hold hold = hold_of(client, newcomer);

		/* of equal ones the oldest */
		if (hold > least || (only_own && client->uid != newcomer))
			continue;
		least = hold;
		victim = client;
	}
	if (least == HOLD_FAST)
		return false;
	client_free(victim);
	return true;
}

static void turn_away(int fd)
{
	static const char reply[] = "{\"ok\":false,\"error\":\"there are too many connections to "
				    "eipd; close some, or try again\"}\n";

	(void)!send(fd, reply, strlen(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/* Without descriptors the same connection would wake us up at once, for ever. */
static void pause_accepting(struct control *control, int error)
{
	loop_watch_events(control->loop, &control->listener, 0);
	loop_timer_set(control->loop, &control->pause, PAUSE_MS, listen_again, control);
	if (!control->paused)
		log_warning("control: who connects has to wait, there are no more descriptors or "
			    "memory: %s; see who has them, or raise the limit (ulimit -n)",
			strerror(error));
	control->paused = true;
}

static void accept_client(void *ctx, uint32_t events)
{
	struct control *control = ctx;
	int fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct client *client;

	(void)events;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_accepting(control, errno);
		return;
	}
	if (control->paused)
		log_info("control: connections are accepted again");
	control->paused = false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
		!make_room(control, peer.uid)) {
		turn_away(fd);
		return;
	}
	client = xcalloc(1, sizeof(*client));
	client->control = control;
	client->uid = peer.uid;
	client->rights = rights_of(control, fd, &peer);
	client->in = xrealloc(NULL, CONTROL_REQUEST_MAX, 1);
	LIST_INSERT_HEAD(&control->clients, client, link);
	loop_watch(control->loop, &client->watch, fd, EPOLLIN, client_ready, client);
	loop_timer_set(control->loop, &client->idle, IDLE_MS, client_idle, client);
	control->client_count++;
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
	/* the last line of a text may have no newline; half a request is no JSON */
	if (n == 0 && client->in_len > 0 && client->in_len < CONTROL_REQUEST_MAX) {
		client->in[client->in_len] = '\n';
		n = 1;
	}
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

/* False, and the request is refused, if its client has no right to it. */
static bool may_run(const struct control *control, struct control_request *request,
	const struct control_command *command)
{
	enum rights rights = request->client->rights;

	if (rights == RIGHT_TO_CHANGE || (rights == RIGHT_TO_LOOK && command->only_shows))
		return true;
	if (rights == RIGHT_TO_LOOK)
		control_refuse(request, NULL,
			"%s is for root only; run it as root, or let members of %s do it by "
			"[control] group-may-change = yes",
			command->words, control->group);
	else if (*control->group)
		control_refuse(request, NULL,
			"eipd answers only root and members of %s; run it as one of them",
			control->group);
	else
		control_refuse(request, NULL,
			"eipd answers only root; run it as root, or name a group whose members may "
			"ask by [control] group");
	return false;
}

static void run(struct control *control, struct control_request *request, unsigned argc)
{
	for (size_t t = 0; t < control->table_count; t++) {
		for (size_t i = 0; i < control->tables[t].count; i++) {
			const struct control_command *command = &control->tables[t].commands[i];
			unsigned words = match_words(command->words, argc, request->argv);

			if (!words)
				continue;
			if (!may_run(control, request, command))
				return;
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
		control_refuse(request, NULL, "not a request; expected {\"command\":[...]}");
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

bool control_is_root(const struct control_request *request)
{
	return request->client && request->client->uid == 0;
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
	text_make_line(text);
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

int control_new(struct loop *loop, const char *path, const char *group, bool group_may_change,
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
	/* 0660; nobody can connect before it listens */
	mask = umask(0117);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		err = -errno;
	umask(mask);
	if (!err && ((*group && lchown(path, (uid_t)-1, gid) < 0) || listen(fd, 64) < 0))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	control = xcalloc(1, sizeof(*control));
	control->loop = loop;
	control->path = xstrdup(path);
	control->group = xstrdup(group);
	control->gid = gid;
	control->group_may_change = group_may_change;
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
	free(control->group);
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
