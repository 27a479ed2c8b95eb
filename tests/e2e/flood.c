/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flood: DHCPDISCOVERs of random MACs, as many a second as asked, for 25-flood.t.
 *
 *     flood INTERFACE COUNT PER-SECOND
 *
 * Prints how many were sent and in how many milliseconds.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define HEADERS 42 /* Ethernet, IP, UDP */
#define MESSAGE 300
#define BATCH   20

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void fill(uint8_t frame[static HEADERS + MESSAGE])
{
	/* IP: its checksum is of these very octets; UDP: length 308, no checksum */
	static const uint8_t headers[] = { 0x08, 0x00, 0x45, 0, 1, 0x48, 0, 0, 0, 0, 64, 17, 0x79, 0xa6,
		0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 68, 0, 67, 1, 0x34, 0, 0 };
	static const uint8_t options[] = { 0x63, 0x82, 0x53, 0x63, 53, 1, 1, 55, 3, 1, 3, 6, 255 };

	memset(frame, 0, HEADERS + MESSAGE);
	memset(frame, 0xff, 6);
	memcpy(frame + 12, headers, sizeof(headers));
	memcpy(frame + HEADERS, (uint8_t[]){ 1, 1, 6 }, 3);
	memcpy(frame + HEADERS + 236, options, sizeof(options));
}

static void set_random_client(uint8_t *frame)
{
	/* locally administered, and with another first octet than the planned ones */
	uint8_t mac[6] = { 0x06 };

	for (size_t i = 1; i < 6; i++)
		mac[i] = (uint8_t)rand();
	memcpy(frame + 6, mac, 6);
	memcpy(frame + HEADERS + 4, mac + 2, 4); /* xid */
	memcpy(frame + HEADERS + 28, mac, 6);
}

int main(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(0x0800) };
	unsigned long count, per_second, sent = 0;
	uint8_t frame[HEADERS + MESSAGE];
	uint64_t start;
	int fd;

	if (argc != 4)
		return 2;
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	count = strtoul(argv[2], NULL, 10);
	per_second = strtoul(argv[3], NULL, 10);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("flood");
		return 1;
	}
	srand((unsigned)now_ns());
	fill(frame);
	for (start = now_ns(); sent < count; sent++) {
		uint64_t due = start + sent * 1000000000 / per_second, now = now_ns();

		if (sent % BATCH == 0 && due > now)
			nanosleep(&(struct timespec){ .tv_nsec = (long)(due - now) }, NULL);
		set_random_client(frame);
		if (send(fd, frame, sizeof(frame), 0) < 0) {
			perror("flood");
			return 1;
		}
	}
	printf("%lu frames in %lu ms\n", sent, (unsigned long)((now_ns() - start) / 1000000));
	return 0;
}
