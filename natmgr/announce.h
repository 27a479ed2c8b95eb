/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * announce: public addresses on the outer wire: gratuitous ARP after a bind, an ARP probe before.
 *
 * Nothing here waits: probes and announcements run on timers of the loop.
 */
#ifndef EIPD_NATMGR_ANNOUNCE_H
#define EIPD_NATMGR_ANNOUNCE_H

#include <pcap/pcap.h>
#include <sys/queue.h>

#include "common/addr.h"
#include "common/loop.h"

/* Thousands of addresses are announced at once after a start or a reload. */
#define ANNOUNCE_BUCKETS 256

struct announcement;
struct probe;

struct announce {
	struct loop *loop;
	const char *interface;
	struct mac mac;
	unsigned times; /* announcements of an address, 2 s apart */
	pcap_t *pcap;   /* NULL: not opened yet, or the interface went away */
	bool hearing;
	struct loop_watch watch;
	struct loop_timer timer;
	TAILQ_HEAD(, announcement) announcements; /* by due */
	LIST_HEAD(, announcement) by_address[ANNOUNCE_BUCKETS];
	LIST_HEAD(, probe) probes;
};

void announce_init(struct announce *announce, struct loop *loop, const char *interface,
	const struct mac *mac, unsigned times);
void announce_done(struct announce *announce);

/* Tells the wire that the address is here, from now on until all is said or announce_stop(). */
void announce_start(struct announce *announce, uint32_t address);
void announce_stop(struct announce *announce, uint32_t address);

/*
 * Asks the wire for the address; calls back within a second, with the MAC that answered or NULL.
 * Nobody answers where the interface is down.
 */
void announce_probe(struct announce *announce, uint32_t address,
	void (*answered)(void *ctx, const struct mac *mac), void *ctx);

#endif
