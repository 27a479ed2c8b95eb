/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client: the other end of control: a command to the daemon's socket, and its replies.
 */
#ifndef EIPD_COMMON_CLIENT_H
#define EIPD_COMMON_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A connection, and what came from the daemon and is not taken yet. */
struct client {
	int fd;
	char *data;
	size_t len, cap;
};

/*
 * 0, or -errno: -ENAMETOOLONG for a path that no socket can have, -EAGAIN where the daemon takes
 * nobody for a minute. patient: nothing may come from it for a long time; otherwise it is given up
 * on after a minute.
 */
int client_open(struct client *client, const char *path, bool patient);
void client_close(struct client *client);

/* Sends the words of a command ("ip bind") and its arguments. false: the daemon does not listen. */
bool client_send(struct client *client, const char *words, int argc, char *const *argv);
/* The next reply, an object, which the caller owns; NULL: none came, or it was none. */
json_t *client_receive(struct client *client);

#endif
