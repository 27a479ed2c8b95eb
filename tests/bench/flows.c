/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flows: new connections for the benchmark of NAT. Each is one datagram from a port that was not
 * used before, so that the kernel has to find its rule. It knows nothing of rules.
 *
 *     flows flood INTERFACE MAC PAIRS PORT COUNT   frames to that MAC, as fast as they go; prints
 *                                                  {"ns": what one of them takes}
 *     flows ping PAIRS PORT COUNT                  asks an echo; prints {"p50": …, "p99": …}, in
 *                                                  microseconds, and how many were lost
 *     flows echo PORT                              sends back what comes, until it is killed
 *
 * PAIRS is a file of lines SOURCE DESTINATION, used in turn (ping uses the destinations only). PORT
 * is the destination's; sources begin at 1024.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME      60
#define BATCH      64
#define FIRST_PORT 1024
#define PATIENCE   UINT64_C(500000000) /* nanoseconds */

struct pair {
	struct in_addr source, destination;
};

static struct pair *pairs;
static size_t pair_count;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "flows: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void read_pairs(const char *path)
{
	FILE *file = fopen(path, "re");
	char source[16], destination[16];

	if (!file)
		die(path);
	while (fscanf(file, "%15s %15s", source, destination) == 2) {
		struct pair pair;

		if (inet_pton(AF_INET, source, &pair.source) != 1 ||
			inet_pton(AF_INET, destination, &pair.destination) != 1)
			die(path);
		pairs = realloc(pairs, (pair_count + 1) * sizeof(*pairs));
		if (!pairs)
			die("memory");
		pairs[pair_count++] = pair;
	}
	fclose(file);
	if (!pair_count)
		die(path);
}

static void put16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

/* Flow number N: the pairs have their turn, then comes the next port. */
static void write_flow(uint8_t frame[static FRAME], size_t number, unsigned port)
{
	const struct pair *pair = &pairs[number % pair_count];
	uint32_t sum = 0;

	memcpy(frame + 14, (uint8_t[]){ 0x45, 0, 0, FRAME - 14, 0, 0, 0, 0, 64, 17, 0, 0 }, 12);
	memcpy(frame + 26, &pair->source, 4);
	memcpy(frame + 30, &pair->destination, 4);
	put16(frame + 34, (unsigned)(FIRST_PORT + number / pair_count));
	put16(frame + 36, port);
	put16(frame + 38, FRAME - 34);
	for (size_t i = 14; i < 34; i += 2)
		sum += (uint32_t)frame[i] << 8 | frame[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(frame + 24, ~(sum + (sum >> 16)));
}

static void send_frames(int fd, uint8_t frames[][FRAME], unsigned count)
{
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec parts[BATCH];
	unsigned sent = 0;

	for (unsigned i = 0; i < count; i++) {
		parts[i] = (struct iovec){ frames[i], FRAME };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	while (sent < count) {
		int n = sendmmsg(fd, messages + sent, count - sent, 0);

		if (n < 0)
			die("send");
		sent += (unsigned)n;
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/*
 * A frame is forwarded to its end before the call that sends it returns. The median of many short
 * calls: whoever takes the core away in between counts for nothing.
 */
static int flood(char **argv)
{
	static uint8_t frames[BATCH][FRAME];
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(argv[0]) };
	const struct ether_addr *mac = ether_aton(argv[1]);
	unsigned port = (unsigned)atoi(argv[3]);
	size_t count = strtoul(argv[4], NULL, 10);
	uint64_t *took = calloc(count / BATCH + 1, sizeof(*took));
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	size_t calls = 0;

	read_pairs(argv[2]);
	if (!took)
		die("memory");
	if (fd < 0 || !mac || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die(argv[0]);
	if (count / pair_count > 65535 - FIRST_PORT)
		die("more flows than ports");
	for (unsigned i = 0; i < BATCH; i++) {
		memcpy(frames[i], mac, 6);
		memcpy(frames[i] + 6, (uint8_t[]){ 2, 0, 0, 0xff, 0, 1, 0x08, 0x00 }, 8);
	}
	for (size_t number = 0; number < count;) {
		uint64_t start;
		unsigned n = 0;

		for (; n < BATCH && number < count; n++)
			write_flow(frames[n], number++, port);
		start = now_ns();
		send_frames(fd, frames, n);
		/* a part of a batch costs more a frame */
		if (n == BATCH || !calls)
			took[calls++] = (now_ns() - start) / n;
	}
	qsort(took, calls, sizeof(*took), compare);
	printf("{\"ns\": %llu}\n", (unsigned long long)took[calls / 2]);
	free(took);
	return 0;
}

/* From the address that was asked, which is one of many. */
static int echo(unsigned port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) }, from;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), on = 1;
	char data[64], control[128];
	struct iovec part = { data, sizeof(data) };

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0)
		die("echo");
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct msghdr message = { .msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		ssize_t n;

		part.iov_len = sizeof(data);
		n = recvmsg(fd, &message, 0);
		if (n < 0)
			continue;
		part.iov_len = (size_t)n;
		(void)sendmsg(fd, &message, 0);
	}
}

/* Nanoseconds there and back; 0: lost. */
static uint64_t ask(struct in_addr destination, unsigned port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = destination
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	uint64_t start = now_ns(), now = start;
	char data[64] = "flow";
	ssize_t n = -1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
		send(fd, data, 16, 0) < 0)
		die("ping");
	while (n < 0 && now - start < PATIENCE) {
		n = recv(fd, data, sizeof(data), 0);
		now = now_ns();
	}
	close(fd);
	return n < 0 ? 0 : now - start;
}

static int ping(char **argv)
{
	unsigned port = (unsigned)atoi(argv[1]);
	size_t count = strtoul(argv[2], NULL, 10), got = 0;
	uint64_t *took = calloc(count + 1, sizeof(*took));

	read_pairs(argv[0]);
	if (!took)
		die("memory");
	for (size_t i = 0; i < count; i++) {
		took[got] = ask(pairs[i % pair_count].destination, port);
		got += took[got] > 0;
	}
	qsort(took, got, sizeof(*took), compare);
	printf("{\"lost\": %zu, \"p50\": %.1f, \"p99\": %.1f}\n", count - got,
		got ? (double)took[got / 2] / 1e3 : 0.0,
		got ? (double)took[got * 99 / 100] / 1e3 : 0.0);
	free(took);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && !strcmp(argv[1], "flood"))
		return flood(argv + 2);
	if (argc == 5 && !strcmp(argv[1], "ping"))
		return ping(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "echo"))
		return echo((unsigned)atoi(argv[2]));
	return 2;
}
