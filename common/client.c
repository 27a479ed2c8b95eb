/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client owns the connection to the daemon's socket and the form of a request. It must not know
 * which commands there are, nor print anything.
 */
#include "common/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/memory.h"

/* The daemon gives up on the lock of iptables after 10 s; longer means that it does not answer. */
#define TIMEOUT_SECONDS 60

int client_open(struct client *client, const char *path, bool patient)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_SECONDS };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* for connect(2) as well, which waits where too many do already */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (!patient)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	*client = (struct client){ .fd = fd };
	return 0;
}

void client_close(struct client *client)
{
	free(client->data);
	close(client->fd);
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

bool client_send(struct client *client, const char *words, int argc, char *const *argv)
{
	json_t *list = json_array(), *request = json_pack("{s:o}", "command", list);
	char *copy = xstrdup(words), *next = copy, *word, *text, *line;
	bool sent;

	while ((word = strsep(&next, " ")))
		json_array_append_new(list, json_string(word));
	free(copy);
	for (int i = 0; i < argc; i++) {
		/* what is not UTF-8 cannot be a name of ours either */
		json_t *argument = json_string(argv[i]);

		json_array_append_new(list, argument ? argument : json_string("?"));
	}
	text = json_dumps(request, JSON_COMPACT);
	line = xasprintf("%s\n", text);
	sent = send_all(client->fd, line, strlen(line));
	free(line);
	free(text);
	json_decref(request);
	return sent;
}

/* One line, whatever its length. The caller frees; NULL: none came. */
static char *receive_line(struct client *client)
{
	for (;;) {
		char *newline = client->len ? memchr(client->data, '\n', client->len) : NULL, *line;
		ssize_t n;

		if (newline) {
			size_t len = (size_t)(newline - client->data) + 1;

			line = xmemdup(client->data, len);
			line[len - 1] = '\0';
			client->len -= len;
			memmove(client->data, newline + 1, client->len);
			return line;
		}
		if (client->cap - client->len < 4096)
			client->data = xrealloc(client->data, client->cap = client->cap * 2 + 8192,
				1);
		n = recv(client->fd, client->data + client->len, client->cap - client->len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		client->len += (size_t)n;
	}
}

json_t *client_receive(struct client *client)
{
	char *line = receive_line(client);
	json_t *reply = line ? json_loads(line, 0, NULL) : NULL;

	free(line);
	if (json_is_object(reply))
		return reply;
	json_decref(reply);
	return NULL;
}
