/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * link: DHCP frames from and to the bridge through libpcap, and the claim on UDP port 67.
 *
 * If the bridge goes away or down, the link closes and tries again by itself until it is back, and
 * nobody else has taken the port of it meanwhile.
 */
#ifndef EIPD_DHCPD_LINK_H
#define EIPD_DHCPD_LINK_H

#include <pcap/pcap.h>
#include <pthread.h>

#include "common/loop.h"
#include "dhcpd/port.h"

#define LINK_ERROR_SIZE PORT_ERROR_SIZE
/* To a server; and from one to a client, so that another server on the bridge is seen. */
#define LINK_FILTER "ip and (udp dst port 67 or (udp src port 67 and udp dst port 68))"

struct link {
	struct loop *loop;
	const char *interface;
	void (*on_frame)(void *ctx, const uint8_t *data, size_t len);
	/* The link went down, or cannot come back yet (reason), or came back (NULL). */
	void (*on_state)(void *ctx, const char *reason);
	void *ctx;
	/* private */
	pcap_t *pcap;
	int port_fd;
	bool port_taken; /* by somebody else, which has been said */
	pthread_t opener;
	bool is_opening;
	int open_err; /* of the thread: 0 or -errno */
	struct loop_watch watch;
	struct loop_timer retry;
	char error[LINK_ERROR_SIZE];
};

/*
 * Claims the port and begins to open libpcap, on a thread: the kernel waits for all processors then
 * (RCU), which takes as long as the rest of a start. 0, or -errno with a sentence in link->error:
 * -EADDRINUSE, another server has the port (it is named where /proc tells).
 */
int link_begin(struct link *link, struct loop *loop, const char *interface,
	void (*on_frame)(void *ctx, const uint8_t *data, size_t len),
	void (*on_state)(void *ctx, const char *reason), void *ctx);
/*
 * Waits for the end of it; from here on frames are handed on, those first that came meanwhile. As
 * link_begin(); after an error the link is closed.
 */
int link_open(struct link *link);
/* 0 or -errno; -ENETDOWN while the bridge is away. */
int link_send(struct link *link, const uint8_t *data, size_t len);
void link_close(struct link *link);

/* LINK_FILTER as the kernel takes it, for Ethernet. */
struct bpf_program link_filter(void);

/* Port 67 of the interface can be had now; as link_open() otherwise. For `eipd -t`. */
int link_check_port(const char *interface, char error[static LINK_ERROR_SIZE]);

#endif
