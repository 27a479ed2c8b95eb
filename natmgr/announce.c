/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * announce owns the timing of ARP on the outer wire. It must not know why an address is announced
 * or asked for.
 */
#include "natmgr/announce.h"

#include <linux/if_packet.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/memory.h"
#include "natmgr/arp.h"

/* Peers may ignore a change that follows the last within a second or so (their ARP locktime). */
#define INTERVAL_MS 2000
/* RFC 5227 asks for seconds, made for hosts that boot; on a wired segment an answer takes less */
#define PROBES            3
#define PROBE_INTERVAL_MS 150
#define RING_SIZE         (32 * 1024)
/* Addresses a wake-up; then frames of DHCP and others have their turn. */
#define BATCH 64

struct announcement {
	uint32_t address;
	unsigned left;
	uint64_t due;
	TAILQ_ENTRY(announcement) link;
	LIST_ENTRY(announcement) bucket;
};

struct probe {
	struct announce *announce;
	uint32_t address;
	unsigned left;
	bool found;
	struct mac owner;
	struct loop_timer timer;
	void (*answered)(void *ctx, const struct mac *mac);
	void *ctx;
	LIST_ENTRY(probe) link;
};

static void run(void *ctx);
static void ask(void *ctx);

/* --- the wire ----------------------------------------------------------------------------- */

/* RFC 5227 2.1.1: any ARP packet from the address says that it is taken. */
static void take_packet(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	struct announce *announce = (struct announce *)(void *)user;
	struct probe *probe;
	struct arp arp;

	if (arp_read(data, header->caplen, &arp) || mac_equal(&arp.sender_mac, &announce->mac))
		return;
	LIST_FOREACH (probe, &announce->probes, link) {
		if (probe->address != arp.sender_ip)
			continue;
		probe->found = true;
		probe->owner = arp.sender_mac;
		/* from the loop: whoever is called back may close what we are reading from */
		loop_timer_set(announce->loop, &probe->timer, 0, ask, probe);
	}
}

static void close_pcap(struct announce *announce)
{
	if (!announce->pcap)
		return;
	loop_unwatch(announce->loop, &announce->watch);
	pcap_close(announce->pcap);
	announce->pcap = NULL;
}

static void pcap_ready(void *ctx, uint32_t events)
{
	struct announce *announce = ctx;
	int n = pcap_dispatch(announce->pcap, 64, take_packet, (u_char *)announce);

	if (n == PCAP_ERROR || (n == 0 && events & (EPOLLERR | EPOLLHUP)))
		close_pcap(announce);
}

/* Nothing comes up but while a probe waits for an answer: an outer wire is full of ARP. */
static bool set_hearing(struct announce *announce, bool hearing)
{
	static struct bpf_insn nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	static struct bpf_insn arp_only[] = { BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0806, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, ARP_FRAME_LEN), BPF_STMT(BPF_RET | BPF_K, 0) };
	struct bpf_program program = { .bf_len = hearing ? 4 : 1,
		.bf_insns = hearing ? arp_only : nothing };

	announce->hearing = hearing;
	return pcap_setfilter(announce->pcap, &program) >= 0;
}

/*
 * Else the kernel makes a copy of each frame that goes out, for libpcap to pass it over (it takes
 * all frames; to bind it to ARP would wait for all processors). Kernels before 4.20 know no better.
 */
static void ignore_outgoing(int fd)
{
	const int on = 1;

	(void)setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
}

/*
 * Kept open from the first use on: closing a packet socket waits for all processors (RCU), which
 * would hold up the loop for as long as an exchange of DHCP takes a hundred times.
 */
static bool open_pcap(struct announce *announce)
{
	char errbuf[PCAP_ERRBUF_SIZE];

	if (announce->pcap)
		return true;
	announce->pcap = pcap_create(announce->interface, errbuf);
	if (!announce->pcap)
		return false;
	pcap_set_snaplen(announce->pcap, ARP_FRAME_LEN);
	pcap_set_immediate_mode(announce->pcap, 1);
	pcap_set_buffer_size(announce->pcap, RING_SIZE);
	if (pcap_activate(announce->pcap) < 0 || pcap_datalink(announce->pcap) != DLT_EN10MB ||
		!set_hearing(announce, false) || pcap_setdirection(announce->pcap, PCAP_D_IN) < 0 ||
		pcap_setnonblock(announce->pcap, 1, errbuf) < 0) {
		pcap_close(announce->pcap);
		announce->pcap = NULL;
		return false;
	}
	ignore_outgoing(pcap_get_selectable_fd(announce->pcap));
	loop_watch(announce->loop, &announce->watch, pcap_get_selectable_fd(announce->pcap),
		EPOLLIN, pcap_ready, announce);
	return true;
}

static bool send_frame(struct announce *announce, const uint8_t frame[static ARP_FRAME_LEN])
{
	return open_pcap(announce) && pcap_inject(announce->pcap, frame, ARP_FRAME_LEN) >= 0;
}

/* --- announcements ------------------------------------------------------------------------ */

static void schedule(struct announce *announce)
{
	const struct announcement *first = TAILQ_FIRST(&announce->announcements);
	uint64_t now = loop_now();

	if (first)
		loop_timer_set(announce->loop, &announce->timer,
			first->due > now ? first->due - now : 0, run, announce);
}

static void say(struct announce *announce, uint32_t address)
{
	uint8_t frame[ARP_FRAME_LEN];
	bool sent;

	/* both forms: some peers take up only the one, some only the other */
	arp_write_announcement(&announce->mac, address, ARP_REQUEST, frame);
	sent = send_frame(announce, frame);
	arp_write_announcement(&announce->mac, address, ARP_REPLY, frame);
	sent = sent && send_frame(announce, frame);
	if (!sent)
		log_debug("nat: an announcement could not be sent on %s", announce->interface);
}

static void forget(struct announce *announce, struct announcement *announcement)
{
	TAILQ_REMOVE(&announce->announcements, announcement, link);
	LIST_REMOVE(announcement, bucket);
	free(announcement);
}

static void run(void *ctx)
{
	struct announce *announce = ctx;
	struct announcement *first;
	uint64_t now = loop_now();

	for (int i = 0; i < BATCH; i++) {
		first = TAILQ_FIRST(&announce->announcements);
		if (!first || first->due > now)
			break;
		say(announce, first->address);
		if (!--first->left) {
			forget(announce, first);
			continue;
		}
		TAILQ_REMOVE(&announce->announcements, first, link);
		first->due = now + INTERVAL_MS;
		TAILQ_INSERT_TAIL(&announce->announcements, first, link);
	}
	schedule(announce);
}

void announce_start(struct announce *announce, uint32_t address)
{
	struct announcement *announcement;

	announce_stop(announce, address);
	if (!announce->times)
		return;
	announcement = xcalloc(1, sizeof(*announcement));
	announcement->address = address;
	announcement->left = announce->times;
	announcement->due = loop_now();
	TAILQ_INSERT_HEAD(&announce->announcements, announcement, link);
	LIST_INSERT_HEAD(&announce->by_address[ip4_hash(address) % ANNOUNCE_BUCKETS], announcement,
		bucket);
	schedule(announce);
}

void announce_stop(struct announce *announce, uint32_t address)
{
	struct announcement *announcement;

	LIST_FOREACH (announcement, &announce->by_address[ip4_hash(address) % ANNOUNCE_BUCKETS],
		bucket) {
		if (announcement->address == address) {
			forget(announce, announcement);
			break;
		}
	}
}

/* --- probes ------------------------------------------------------------------------------- */

static void end_probe(struct probe *probe)
{
	struct announce *announce = probe->announce;

	LIST_REMOVE(probe, link);
	probe->answered(probe->ctx, probe->found ? &probe->owner : NULL);
	free(probe);
	if (LIST_EMPTY(&announce->probes) && announce->pcap)
		(void)set_hearing(announce, false);
}

static void ask(void *ctx)
{
	struct probe *probe = ctx;
	struct announce *announce = probe->announce;
	uint8_t frame[ARP_FRAME_LEN];

	if (probe->found || probe->left == 0) {
		end_probe(probe);
		return;
	}
	probe->left--;
	arp_write_probe(&announce->mac, probe->address, frame);
	if (open_pcap(announce) && !announce->hearing)
		(void)set_hearing(announce, true);
	if (!send_frame(announce, frame))
		probe->left = 0; /* nobody can answer */
	loop_timer_set(announce->loop, &probe->timer, PROBE_INTERVAL_MS, ask, probe);
}

void announce_probe(struct announce *announce, uint32_t address,
	void (*answered)(void *ctx, const struct mac *mac), void *ctx)
{
	struct probe *probe = xcalloc(1, sizeof(*probe));

	*probe = (struct probe){ .announce = announce,
		.address = address,
		.left = PROBES,
		.answered = answered,
		.ctx = ctx };
	LIST_INSERT_HEAD(&announce->probes, probe, link);
	loop_timer_set(announce->loop, &probe->timer, 0, ask, probe);
}

void announce_init(struct announce *announce, struct loop *loop, const char *interface,
	const struct mac *mac, unsigned times)
{
	*announce = (struct announce){
		.loop = loop, .interface = interface, .mac = *mac, .times = times
	};
	TAILQ_INIT(&announce->announcements);
	LIST_INIT(&announce->probes);
}

void announce_done(struct announce *announce)
{
	struct announcement *announcement;
	struct probe *probe;

	loop_timer_cancel(announce->loop, &announce->timer);
	close_pcap(announce);
	while ((announcement = TAILQ_FIRST(&announce->announcements)))
		forget(announce, announcement);
	while ((probe = LIST_FIRST(&announce->probes))) {
		loop_timer_cancel(announce->loop, &probe->timer);
		LIST_REMOVE(probe, link);
		free(probe);
	}
}
