/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log owns where messages go and how they look there. It must not know what they are about. */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/statefile.h"

#define LOG_MODE 0640

static struct {
	enum { TO_STDERR, TO_SYSLOG, TO_FILE } where;
	enum config_log_level level;
	char *path;
	int fd;
} sink = { .where = TO_STDERR, .level = LOG_LEVEL_INFO, .fd = -1 };

int log_open_file(const char *path, mode_t mode)
{
	int fd;

	(void)statefile_mkdir_parent(path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
	return fd < 0 ? -errno : fd;
}

/*
 * O_NONBLOCK is the open file's, which is shared with whoever started us. What is shorter than
 * PIPE_BUF fits whole where there is room at all.
 */
static void write_stderr(const char *line, size_t len)
{
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&out, 1, 0) == 1 && out.revents & POLLOUT)
		(void)!write(STDERR_FILENO, line, len);
}

/* Where nobody listens yet, whoever does by the next message gets that. */
static int open_syslog(void)
{
	static const struct sockaddr_un address = { AF_UNIX, _PATH_LOG };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0)
		(void)connect(fd, (const struct sockaddr *)&address, sizeof(address));
	return fd;
}

/*
 * Not by syslog(3), which waits for a reader that does not keep up; and musl's knows no time but
 * UTC.
 */
static void write_syslog(const char *line, size_t len)
{
	if (send(sink.fd, line, len, MSG_NOSIGNAL) >= 0 || errno == EAGAIN)
		return;
	/* it has been started anew */
	if (sink.fd >= 0)
		close(sink.fd);
	sink.fd = open_syslog();
	(void)!send(sink.fd, line, len, MSG_NOSIGNAL);
}

int log_open(const char *target, enum config_log_level level)
{
	sink.level = level;
	if (!strcmp(target, "stderr")) {
		sink.where = TO_STDERR;
	} else if (!strcmp(target, "syslog")) {
		sink.where = TO_SYSLOG;
		sink.fd = open_syslog();
	} else {
		int fd = log_open_file(target, LOG_MODE);

		if (fd < 0)
			return fd;
		sink.where = TO_FILE;
		sink.path = xstrdup(target);
		sink.fd = fd;
	}
	return 0;
}

void log_reopen(void)
{
	int fd;

	if (sink.where != TO_FILE)
		return;
	fd = log_open_file(sink.path, LOG_MODE);
	if (fd < 0) {
		log_warning("log: %s cannot be opened anew: %s", sink.path, strerror(-fd));
		return;
	}
	close(sink.fd);
	sink.fd = fd;
}

bool log_enabled(enum config_log_level level)
{
	return level <= sink.level;
}

static void emit(enum config_log_level level, const char *format, va_list args)
{
	static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	static const char *const names[] = { "error: ", "warning: ", "", "debug: " };
	char text[LOG_TEXT_MAX + 1], stamp[32] = "", line[LOG_TEXT_MAX + 77];
	struct tm tm;
	time_t now;
	int len;

	vsnprintf(text, sizeof(text), format, args);
	text_make_line(text);
	now = time(NULL);
	localtime_r(&now, &tm);
	if (sink.where == TO_SYSLOG) {
		strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
		len = snprintf(line, sizeof(line), "<%d>%s eipd[%d]: %s",
			LOG_DAEMON | priorities[level], stamp, (int)getpid(), text);
		write_syslog(line, (size_t)len);
		return;
	}
	if (sink.where == TO_FILE)
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z ", &tm);
	len = snprintf(line, sizeof(line), "%s%s%s\n", stamp, names[level], text);
	/* a log that cannot be written must not stop what it tells of */
	if (sink.where == TO_FILE)
		(void)!write(sink.fd, line, (size_t)len);
	else
		write_stderr(line, (size_t)len);
}

#define DEFINE_LOG(name, level, is_wanted)         \
	void name(const char *format, ...)         \
	{                                          \
		va_list args;                      \
                                                   \
		va_start(args, format);            \
		if (is_wanted)                     \
			emit(level, format, args); \
		va_end(args);                      \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR, true)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING, log_enabled(LOG_LEVEL_WARNING))
DEFINE_LOG(log_info, LOG_LEVEL_INFO, log_enabled(LOG_LEVEL_INFO))
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG, log_enabled(LOG_LEVEL_DEBUG))
DEFINE_LOG(log_asked, LOG_LEVEL_INFO, true)

void log_problems(const char *subject, const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		char *text = problem_format(&problems->list[i]);

		log_error("%s: %s", subject, text);
		free(text);
	}
}
