/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oplog owns the operation log's file and form. It must not know what an event leads to. */
#include "dhcpd/oplog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"

/* A line is shorter than this: time, event, MAC, IP, name. */
#define LINE_ROOM 192

static int open_file(struct oplog *oplog)
{
	int fd;

	if (!*oplog->path)
		return 0;
	fd = log_open_file(oplog->path, 0644);
	if (fd < 0)
		return fd;
	if (oplog->fd >= 0)
		close(oplog->fd);
	oplog->fd = fd;
	return 0;
}

int oplog_open(struct oplog *oplog, const char *path)
{
	*oplog = (struct oplog){ .path = path, .fd = -1 };
	return oplog->last_error = open_file(oplog);
}

int oplog_reopen(struct oplog *oplog)
{
	(void)oplog_flush(oplog);
	return open_file(oplog);
}

void oplog_add(struct oplog *oplog, const char *event, const struct vm *vm, time_t when)
{
	char stamp[32], mac[MAC_STRLEN], ip[IP4_STRLEN];
	struct tm tm;

	if (!*oplog->path)
		return;
	if (oplog->cap - oplog->len < LINE_ROOM) {
		oplog->cap = oplog->cap ? oplog->cap * 2 : 4096;
		oplog->text = xrealloc(oplog->text, oplog->cap, 1);
	}
	if (!oplog->len && oplog->is_cut)
		oplog->text[oplog->len++] = '\n';
	localtime_r(&when, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z", &tm);
	oplog->len += (size_t)snprintf(oplog->text + oplog->len, LINE_ROOM, "%s %s %s %s %s\n",
		stamp, event, mac_format(&vm->mac, mac), ip4_format(vm->ip, ip), vm->name);
}

int oplog_flush(struct oplog *oplog)
{
	int before = oplog->last_error, err = 0;
	ssize_t written;

	if (!oplog->len)
		return 0;
	if (oplog->fd < 0)
		err = open_file(oplog);
	/* one write: O_APPEND keeps the lines of a batch together and whole */
	written = err ? 0 : write(oplog->fd, oplog->text, oplog->len);
	if (written < 0)
		err = -errno;
	else if (!err && (size_t)written < oplog->len)
		err = -ENOSPC;
	if (written > 0)
		oplog->is_cut = oplog->text[written - 1] != '\n';
	oplog->len = 0;
	/* a boot storm's worth of memory need not be kept */
	if (oplog->cap > 65536) {
		free(oplog->text);
		oplog->text = NULL;
		oplog->cap = 0;
	}
	oplog->last_error = err;
	return err != before ? err : 0;
}

void oplog_close(struct oplog *oplog)
{
	(void)oplog_flush(oplog);
	if (oplog->fd >= 0)
		close(oplog->fd);
	free(oplog->text);
	*oplog = (struct oplog){ .path = "", .fd = -1 };
}
