/* SPDX-License-Identifier: GPL-2.0-or-later */
/* link owns libpcap and when it is tried again. It must not know what is in a frame. */
#include "dhcpd/link.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory.h"
#include "dhcpd/frame.h"
#include "dhcpd/port.h"

/* A frame and a VLAN tag that the kernel took off and libpcap puts back. */
#define SNAPLEN (FRAME_MAX + 4)
/* As many frames as come while a plan is being reloaded, and more; two of them take a page. */
#define RING_SIZE (120 * SNAPLEN)
/* Frames a wake-up; then timers and other descriptors have their turn. */
#define BATCH    64
#define RETRY_MS 1000

int link_check_port(const char *interface, char error[static LINK_ERROR_SIZE])
{
	int fd = port_claim(interface, error);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* --- frames ------------------------------------------------------------------------------- */

static int errno_of(int status)
{
	switch (status) {
	case PCAP_ERROR_NO_SUCH_DEVICE:
		return -ENODEV;
	case PCAP_ERROR_PERM_DENIED:
		return -EPERM;
	case PCAP_ERROR_IFACE_NOT_UP:
		return -ENETDOWN;
	default:
		return -EIO;
	}
}

/*
 * What tcpdump -d prints for LINK_FILTER. Written out, because the compiler of libpcap knows names
 * of hosts and services: it would bring name services into a statically linked program.
 */
struct bpf_program link_filter(void)
{
	enum { TYPE = 12, IP = 14, FRAGMENT = IP + 6, PROTOCOL = IP + 9, FROM = IP, TO = IP + 2 };
	enum { IPV4 = 0x0800, UDP = 17, NOT_THE_FIRST = 0x1fff, SERVER = 67, CLIENT = 68 };
	static struct bpf_insn insns[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, TYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPV4, 0, 11),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, PROTOCOL),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, UDP, 0, 9),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, FRAGMENT),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NOT_THE_FIRST, 7, 0),
		/* the ports come behind a header of X octets */
		BPF_STMT(BPF_LDX | BPF_MSH | BPF_B, IP),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, TO),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SERVER, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLIENT, 0, 3),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, FROM),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SERVER, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SNAPLEN),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	return (struct bpf_program){ .bf_len = sizeof(insns) / sizeof(*insns), .bf_insns = insns };
}

/*
 * Else the kernel makes a copy of each frame that the host sends to a machine, for libpcap to pass
 * it over. Kernels before 4.20 know no better.
 */
static void ignore_outgoing(int fd)
{
	const int on = 1;

	(void)setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
}

static int open_pcap(struct link *link, pcap_t **ret_pcap)
{
	struct bpf_program program = link_filter();
	char errbuf[PCAP_ERRBUF_SIZE] = "";
	pcap_t *pcap = pcap_create(link->interface, errbuf);
	int status, err = 0;

	if (!pcap) {
		snprintf(link->error, sizeof(link->error), "%s: %s", link->interface, errbuf);
		return -ENODEV;
	}
	pcap_set_snaplen(pcap, SNAPLEN);
	pcap_set_immediate_mode(pcap, 1);
	pcap_set_buffer_size(pcap, RING_SIZE);
	status = pcap_activate(pcap);
	if (status < 0)
		err = errno_of(status);
	else if (pcap_datalink(pcap) != DLT_EN10MB)
		err = -EPROTOTYPE;
	else if (pcap_setfilter(pcap, &program) < 0 || pcap_setdirection(pcap, PCAP_D_IN) < 0 ||
		pcap_setnonblock(pcap, 1, errbuf) < 0)
		err = -EIO;
	if (err) {
		snprintf(link->error, sizeof(link->error), "%s cannot be listened on: %s",
			link->interface,
			err == -EPROTOTYPE    ? "it is not Ethernet"
				: err == -EIO ? pcap_geterr(pcap)
					      : strerror(-err));
		pcap_close(pcap);
		return err;
	}
	ignore_outgoing(pcap_get_selectable_fd(pcap));
	*ret_pcap = pcap;
	return 0;
}

static void take_packet(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	struct link *link = (struct link *)(void *)user;

	link->on_frame(link->ctx, data, header->caplen);
}

static void try_again(void *ctx);

static void go_down(struct link *link, const char *reason)
{
	loop_unwatch(link->loop, &link->watch);
	pcap_close(link->pcap);
	link->pcap = NULL;
	loop_timer_set(link->loop, &link->retry, RETRY_MS, try_again, link);
	link->on_state(link->ctx, reason);
}

static void pcap_ready(void *ctx, uint32_t events)
{
	struct link *link = ctx;
	int n = pcap_dispatch(link->pcap, BATCH, take_packet, (u_char *)link);

	if (n == PCAP_ERROR) {
		snprintf(link->error, sizeof(link->error), "%s", pcap_geterr(link->pcap));
		go_down(link, link->error);
	} else if (n == 0 && events & (EPOLLERR | EPOLLHUP)) {
		go_down(link, "the interface went away");
	}
}

static void watch_pcap(struct link *link)
{
	loop_watch(link->loop, &link->watch, pcap_get_selectable_fd(link->pcap), EPOLLIN,
		pcap_ready, link);
}

static int start(struct link *link)
{
	int err = open_pcap(link, &link->pcap);

	if (!err)
		watch_pcap(link);
	return err;
}

static void try_again(void *ctx)
{
	struct link *link = ctx;
	/* a bridge that was made anew has a new index: the port must be claimed on that one */
	int err = port_claim_again(link->port_fd, link->interface, link->error);
	bool taken = err == -EADDRINUSE;

	if (!err)
		err = start(link);
	if (err)
		loop_timer_set(link->loop, &link->retry, RETRY_MS, try_again, link);
	if (!err || (taken && !link->port_taken))
		link->on_state(link->ctx, err ? link->error : NULL);
	link->port_taken = taken;
}

static void *open_beside(void *arg)
{
	struct link *link = arg;

	link->open_err = open_pcap(link, &link->pcap);
	return NULL;
}

int link_begin(struct link *link, struct loop *loop, const char *interface,
	void (*on_frame)(void *ctx, const uint8_t *data, size_t len),
	void (*on_state)(void *ctx, const char *reason), void *ctx)
{
	*link = (struct link){ .loop = loop,
		.interface = interface,
		.on_frame = on_frame,
		.on_state = on_state,
		.ctx = ctx,
		.port_fd = -1 };
	link->port_fd = port_claim(link->interface, link->error);
	if (link->port_fd < 0)
		return link->port_fd;
	link->is_opening = !pthread_create(&link->opener, NULL, open_beside, link);
	if (!link->is_opening)
		(void)open_beside(link);
	return 0;
}

static void wait_for_opener(struct link *link)
{
	if (link->is_opening)
		pthread_join(link->opener, NULL);
	link->is_opening = false;
}

int link_open(struct link *link)
{
	wait_for_opener(link);
	if (link->open_err) {
		link_close(link);
		return link->open_err;
	}
	watch_pcap(link);
	return 0;
}

int link_send(struct link *link, const uint8_t *data, size_t len)
{
	if (!link->pcap)
		return -ENETDOWN;
	errno = 0;
	if (pcap_inject(link->pcap, data, len) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

void link_close(struct link *link)
{
	wait_for_opener(link);
	loop_timer_cancel(link->loop, &link->retry);
	if (link->pcap) {
		loop_unwatch(link->loop, &link->watch);
		pcap_close(link->pcap);
		link->pcap = NULL;
	}
	if (link->port_fd >= 0)
		close(link->port_fd);
	link->port_fd = -1;
}
