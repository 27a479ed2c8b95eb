/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace: what the kernel itself takes for a change of the nat table of iptables, however small:
 * the whole table is read and the whole table is written. It writes back what it has read, so no
 * program that changes the table can be faster.
 *
 *     replace COUNT    prints {"entries": …, "read": …, "write": …}, medians in milliseconds
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libiptc/libiptc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "replace: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *allocate(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		die("memory");
	return p;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static struct ipt_get_entries *read_table(int fd, struct ipt_getinfo *info)
{
	struct ipt_get_entries *entries;
	socklen_t len = sizeof(*info);

	*info = (struct ipt_getinfo){ .name = "nat" };
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, info, &len) < 0)
		die("nat");
	len = (socklen_t)(sizeof(*entries) + info->size);
	entries = allocate(len);
	memcpy(entries->name, info->name, sizeof(entries->name));
	entries->size = info->size;
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_ENTRIES, entries, &len) < 0)
		die("read");
	return entries;
}

static void write_table(int fd, const struct ipt_getinfo *info,
	const struct ipt_get_entries *entries)
{
	size_t len = sizeof(struct ipt_replace) + info->size;
	struct ipt_replace *replace = allocate(len);
	struct xt_counters *counters = allocate(info->num_entries * sizeof(*counters));

	memcpy(replace->name, info->name, sizeof(replace->name));
	replace->valid_hooks = info->valid_hooks;
	replace->num_entries = info->num_entries;
	replace->size = info->size;
	memcpy(replace->hook_entry, info->hook_entry, sizeof(info->hook_entry));
	memcpy(replace->underflow, info->underflow, sizeof(info->underflow));
	replace->num_counters = info->num_entries;
	replace->counters = counters;
	memcpy(replace->entries, entries->entrytable, info->size);
	if (setsockopt(fd, IPPROTO_IP, IPT_SO_SET_REPLACE, replace, (socklen_t)len) < 0)
		die("write");
	free(counters);
	free(replace);
}

int main(int argc, char **argv)
{
	unsigned count = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
	double *reads = allocate((count + 1) * sizeof(*reads));
	double *writes = allocate((count + 1) * sizeof(*writes));
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	struct ipt_getinfo info;

	if (fd < 0 || !count)
		die("usage: replace COUNT");
	for (unsigned i = 0; i < count; i++) {
		double start = now_ms();
		struct ipt_get_entries *entries = read_table(fd, &info);

		reads[i] = now_ms() - start;
		start = now_ms();
		write_table(fd, &info, entries);
		writes[i] = now_ms() - start;
		free(entries);
	}
	printf("{\"entries\": %u, \"read\": %.4f, \"write\": %.4f}\n", info.num_entries,
		median(reads, count), median(writes, count));
	free(reads);
	free(writes);
	return 0;
}
