/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log: the daemon's messages, one line each, to syslog, standard error or a file.
 *
 * Only the edges log (eipd.c, dhcpd.c, natmgr.c, …); what is pure returns its reason. Lines begin
 * with the subject: "dhcp: …", "nat: …". What is not printable ASCII is replaced by '?'. A line
 * for which there is no room at once is lost: nothing waits for a reader.
 */
#ifndef EIPD_COMMON_LOG_H
#define EIPD_COMMON_LOG_H

#include <sys/types.h>

#include "common/config.h"

/* What is longer is cut. */
#define LOG_TEXT_MAX 1023

/* Before log_open(), and in tools, messages go to standard error. target as in eipd.conf. */
int log_open(const char *target, enum config_log_level level);
/* Opens a log file anew, for whoever rotated it away; keeps the old one where that fails. */
void log_reopen(void);
/* A log of any kind, made with its directory where it is not there; a descriptor or -errno. */
int log_open_file(const char *path, mode_t mode);
/* Messages of this level are wanted. */
bool log_enabled(enum config_log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As errors, a line each, that begin with the subject. */
void log_problems(const char *subject, const struct problems *problems);
/* What somebody has asked for just now, whatever the level. */
void log_asked(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
