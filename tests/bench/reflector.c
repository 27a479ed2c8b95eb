/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reflector: the ceiling of the benchmark. It takes DHCP requests from a bridge by libpcap as eipd
 * does (the same filter, immediate mode) and sends an answer for each, but decides nothing: every
 * client is offered the same address, and no request is looked at but for its type.
 *
 *     reflector INTERFACE SERVER-ADDRESS
 */
#include <arpa/inet.h>
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS   42 /* Ethernet, IP, UDP */
#define FRAME     (HEADERS + 300)
#define SNAPLEN   (1514 + 4)
#define RING_SIZE (512 * 1024)

static const char filter[] = "udp dst port 67 or (udp src port 67 and udp dst port 68)";

struct reflector {
	pcap_t *pcap;
	uint8_t answer[FRAME];
};

static void take_packet(u_char *user, const struct pcap_pkthdr *header, const u_char *request)
{
	struct reflector *reflector = (struct reflector *)(void *)user;
	uint8_t *answer = reflector->answer;

	/* op, xid, flags, chaddr; the type is the first option of our clients */
	if (header->caplen < HEADERS + 243 || request[HEADERS] != 1 || request[37] != 67)
		return;
	memcpy(answer, request + 6, 6);
	memcpy(answer + HEADERS + 4, request + HEADERS + 4, 8);
	memcpy(answer + HEADERS + 28, request + HEADERS + 28, 16);
	answer[HEADERS + 242] = request[HEADERS + 242] == 1 ? 2 : 5;
	if (pcap_inject(reflector->pcap, answer, FRAME) < 0)
		pcap_perror(reflector->pcap, "reflector");
}

static void write_answer(uint8_t answer[static FRAME], struct in_addr self)
{
	/* to 10.255.255.254, sent by the MAC 02:00:00:ff:ff:fe; no UDP checksum */
	static const uint8_t headers[] = { 2, 0, 0, 0xff, 0xff, 0xfe, 0x08, 0x00, 0x45, 0, 1, 0x48,
		0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 10, 255, 255, 254, 0, 67, 0, 68, 1, 0x34, 0,
		0, 2, 1, 6, 0 };
	static const uint8_t options[] = { 0x63, 0x82, 0x53, 0x63, 53, 1, 2, 54, 4, 0, 0, 0, 0, 51,
		4, 0, 0, 14, 16, 1, 4, 255, 0, 0, 0, 255 };
	uint32_t sum = 0;

	memcpy(answer + 6, headers, sizeof(headers));
	memcpy(answer + 26, &self, 4);
	memcpy(answer + HEADERS + 16, answer + 30, 4);
	memcpy(answer + HEADERS + 236, options, sizeof(options));
	memcpy(answer + HEADERS + 245, &self, 4);
	for (size_t i = 14; i < 34; i += 2)
		sum += (uint32_t)answer[i] << 8 | answer[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	answer[24] = (uint8_t)(~sum >> 8);
	answer[25] = (uint8_t)~sum;
}

int main(int argc, char **argv)
{
	static struct reflector reflector;
	char error[PCAP_ERRBUF_SIZE] = "";
	struct bpf_program program;
	struct in_addr self;
	pcap_t *pcap;

	if (argc != 3 || inet_pton(AF_INET, argv[2], &self) != 1)
		return 2;
	write_answer(reflector.answer, self);
	reflector.pcap = pcap = pcap_create(argv[1], error);
	if (!pcap) {
		fprintf(stderr, "reflector: %s\n", error);
		return 1;
	}
	pcap_set_snaplen(pcap, SNAPLEN);
	pcap_set_immediate_mode(pcap, 1);
	pcap_set_buffer_size(pcap, RING_SIZE);
	if (pcap_activate(pcap) < 0 ||
		pcap_compile(pcap, &program, filter, 1, PCAP_NETMASK_UNKNOWN) < 0 ||
		pcap_setfilter(pcap, &program) < 0 || pcap_setdirection(pcap, PCAP_D_IN) < 0) {
		pcap_perror(pcap, "reflector");
		return 1;
	}
	pcap_loop(pcap, -1, take_packet, (u_char *)&reflector);
	return 1;
}
