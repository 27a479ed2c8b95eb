/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * warnings: what a guest, or somebody else on the wire, can make the log warn of. Of each kind so many
 * a minute, then only their number: so nobody fills the log, nor hides one kind behind another.
 */
#ifndef EIPD_DHCPD_WARNINGS_H
#define EIPD_DHCPD_WARNINGS_H

#include "common/events.h"
#include "dhcpd/exchange.h"

enum warning {
	WARN_FOREIGN_SERVER,
	WARN_SOURCE,
	WARN_NAK,
	WARN_DECLINED,
	WARN_NOT_SENT,
	WARN_NO_ROOM,
	WARN_COUNT
};

struct warnings {
	/* the caller's */
	const char *bridge;
	struct events *events;
	struct {
		uint64_t since; /* when its minute began */
		unsigned count;
	} budget[WARN_COUNT];
};

/* True if one more of the kind may be logged now. */
bool warnings_may(struct warnings *warnings, enum warning warning);
/* Logs the exchange, and posts an event, if it is worth a warning; true if it is, logged or not. */
bool warnings_take(struct warnings *warnings, const struct dhcp_exchange *exchange);

#endif
