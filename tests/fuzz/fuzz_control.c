/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any octets at both ends of the control socket. What a client sends, in any pieces: each line has
 * one answer, in its order, as the contract says it looks, or the client is dropped; the commands
 * behind are those of the plan and of events. And what eipctl is sent: objects come out, or nothing.
 *
 * The first octet says which end; for the daemon, 0xff ends a piece.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/client.h"
#include "common/log.h"
#include "common/planner.h"
#include "tests/fuzz/fuzz.h"

static const char plan_text[] = "02:00:00:00:00:01,one,192.168.6.1\n"
				"02:00:00:00:00:02,two,192.168.6.2\n";

/* --- the daemon --------------------------------------------------------------------------- */

static struct {
	char *directory, *plan_path;
	struct sockaddr_un address;
	struct config *config;
	struct loop *loop;
	struct control *control;
	struct events *events;
	struct planner *planner;
} daemon_of;

static void adopt(void *ctx, const struct plan *plan, const struct plan_change *change,
	void (*done)(void *done_ctx, const char *error), void *done_ctx)
{
	(void)ctx;
	(void)plan;
	(void)change;
	done(done_ctx, NULL);
}

static void describe(void *ctx, const struct vm *const *vms, size_t count, json_t *objects)
{
	(void)ctx;
	for (size_t i = 0; i < count; i++)
		json_object_set_new(json_array_get(objects, i), "told", json_string(vms[i]->name));
}

static void reload_asked(void *ctx)
{
	(void)ctx;
}

static void write_plan(void)
{
	FILE *out = fopen(daemon_of.plan_path, "w");

	if (!out || fputs(plan_text, out) < 0 || fclose(out))
		abort();
}

static void remove_files(void)
{
	static const char *const names[] = { "plan", "plan.eipd-new", "state/plan.last-good",
		"state/plan.last-good.eipd-new", "socket", "state", "" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *path = xasprintf("%s/%s", daemon_of.directory, names[i]);

		(void)remove(path);
		free(path);
	}
}

static void start(void)
{
	static const struct ip4_prefix inner = { 0xc0a80616, 24 };
	static const struct planner_hooks hooks = { adopt, describe, reload_asked, NULL };
	/* where syncing costs nothing */
	char *directory = xasprintf("%s/eipd-fuzz.XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	struct problems problems = { 0 };
	char *text, *path;

	daemon_of.directory = mkdtemp(directory);
	if (!daemon_of.directory)
		abort();
	atexit(remove_files);
	daemon_of.plan_path = xasprintf("%s/plan", directory);
	text = xasprintf("[daemon]\nstate-dir = %s/state\n[inner]\nbridge = br0\n"
			 "[outer]\ninterface = eth0\npool = 20.251.48.99\n[plan]\nfile = %s\n",
		directory, daemon_of.plan_path);
	daemon_of.config = fuzz_config(text);
	free(text);
	if (mkdir(daemon_of.config->daemon.state_dir, 0700) < 0)
		abort();
	write_plan();
	(void)log_open("/dev/null", LOG_LEVEL_ERROR);
	path = xasprintf("%s/socket", directory);
	daemon_of.address.sun_family = AF_UNIX;
	strcpy(daemon_of.address.sun_path, path);
	if (loop_new(&daemon_of.loop) ||
		control_new(daemon_of.loop, path, "", false, &daemon_of.control) ||
		planner_new(daemon_of.loop, daemon_of.config, &inner, &daemon_of.planner,
			&problems))
		abort();
	free(path);
	daemon_of.events = events_new(daemon_of.control);
	planner_start(daemon_of.planner, daemon_of.loop, daemon_of.control, daemon_of.events,
		&hooks);
}

/* --- a client of it ----------------------------------------------------------------------- */

static struct {
	struct loop_watch watch;
	struct loop_timer turn, late;
	char answers[1 << 18];
	size_t len;
	unsigned asked, answered;
	bool dropped, follows;
} peer;

static void check_answer(const char *line, size_t len)
{
	json_t *answer = json_loadb(line, len, 0, NULL);
	const json_t *ok = json_object_get(answer, "ok");

	if (!json_is_boolean(ok))
		fuzz_found("an answer that is none");
	if (json_is_true(ok) ? !json_object_get(answer, "result")
			     : !json_is_string(json_object_get(answer, "error")))
		fuzz_found("an answer without its result, or its reason");
	json_decref(answer);
}

static void take_answers(void *ctx, uint32_t events)
{
	ssize_t n = recv(peer.watch.fd, peer.answers + peer.len, sizeof(peer.answers) - peer.len,
		0);
	char *newline;

	(void)ctx;
	(void)events;
	if (n <= 0) {
		peer.dropped = true;
		loop_unwatch(daemon_of.loop, &peer.watch);
		loop_stop(daemon_of.loop);
		return;
	}
	peer.len += (size_t)n;
	while ((newline = memchr(peer.answers, '\n', peer.len))) {
		size_t len = (size_t)(newline - peer.answers) + 1;

		check_answer(peer.answers, len);
		peer.answered++;
		peer.len -= len;
		memmove(peer.answers, newline + 1, peer.len);
	}
	if (peer.answered >= peer.asked)
		loop_stop(daemon_of.loop);
}

static void stop(void *ctx)
{
	(void)ctx;
	loop_stop(daemon_of.loop);
}

static void give_up(void *ctx)
{
	(void)ctx;
	/* who follows asks nothing any more, and hears of what happens */
	if (!peer.follows)
		fuzz_found("a request without an answer");
	loop_stop(daemon_of.loop);
}

static void turn(void)
{
	loop_timer_set(daemon_of.loop, &peer.turn, 0, stop, NULL);
	loop_run(daemon_of.loop);
}

/* What was added goes, so that one input does not depend on those before it. */
static void reset_plan(void)
{
	const struct planner *planner = daemon_of.planner;

	for (unsigned i = 0; plan_count(planner_plan(planner)) != 2 || planner_is_refused(planner);
		i++) {
		/* again, if what a client asked for that is gone came after it */
		if (i % 20 == 0) {
			write_plan();
			planner_reload(daemon_of.planner, NULL);
		}
		loop_timer_set(daemon_of.loop, &peer.turn, 1, stop, NULL);
		loop_run(daemon_of.loop);
	}
}

static void send_piece(const uint8_t *data, size_t len)
{
	ssize_t sent = len && !peer.dropped ? send(peer.watch.fd, data, len, MSG_NOSIGNAL) : 0;

	for (ssize_t i = 0; i < sent; i++)
		peer.asked += data[i] == '\n';
	turn();
}

/* It may ask for events, whose followers wait for no answer: by its pieces together. */
static bool may_follow(const uint8_t *data, size_t size)
{
	uint8_t *whole = malloc(size + 1);
	size_t len = 0;
	bool may;

	for (size_t i = 0; i < size; i++) {
		if (data[i] != 0xff)
			whole[len++] = data[i];
	}
	may = memmem(whole, len, "ev", 2) || memchr(whole, '\\', len);
	free(whole);
	return may;
}

static void ask_daemon(const uint8_t *data, size_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (!daemon_of.loop)
		start();
	memset(&peer, 0, sizeof(peer));
	peer.follows = may_follow(data, size);
	if (connect(fd, (struct sockaddr *)&daemon_of.address, sizeof(daemon_of.address)) < 0)
		abort();
	loop_watch(daemon_of.loop, &peer.watch, fd, EPOLLIN, take_answers, NULL);
	while (size) {
		const uint8_t *end = memchr(data, 0xff, size);
		size_t len = end ? (size_t)(end - data) : size;

		send_piece(data, len);
		data += len + (end != NULL);
		size -= len + (end != NULL);
	}
	if (!peer.dropped && peer.answered < peer.asked) {
		loop_timer_set(daemon_of.loop, &peer.late, peer.follows ? 2 : 20000, give_up, NULL);
		loop_run(daemon_of.loop);
		loop_timer_cancel(daemon_of.loop, &peer.late);
	}
	if (peer.answered > peer.asked && !peer.follows)
		fuzz_found("more answers than requests");
	loop_unwatch(daemon_of.loop, &peer.watch);
	close(fd);
	/* the daemon sees it, and comes back to where it began */
	turn();
	turn();
	reset_plan();
}

/* --- eipctl ------------------------------------------------------------------------------- */

static void answer_client(const uint8_t *data, size_t size)
{
	struct client client = { 0 };
	json_t *answer;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
		send(pair[0], data, size, MSG_NOSIGNAL) != (ssize_t)size)
		abort();
	close(pair[0]);
	client.fd = pair[1];
	while ((answer = client_receive(&client))) {
		if (!json_is_object(answer))
			fuzz_found("an answer that is no object");
		json_decref(answer);
	}
	client_close(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	if (*data & 1)
		answer_client(data + 1, size - 1);
	else
		ask_daemon(data + 1, size - 1);
	return 0;
}
