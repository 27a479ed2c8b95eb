/* SPDX-License-Identifier: GPL-2.0-or-later */
/* warnings owns which exchanges are worth one, their words, and how many there may be. */
#include "dhcpd/warnings.h"

#include "common/log.h"
#include "common/loop.h"

#define PER_MINUTE 20

bool warnings_may(struct warnings *warnings, enum warning warning)
{
	static const char *const of[WARN_COUNT] = {
		[WARN_FOREIGN_SERVER] = "another DHCP server",
		[WARN_SOURCE] = "a forged sender",
		[WARN_NAK] = "a NAK",
		[WARN_DECLINED] = "a DECLINE",
		[WARN_NOT_SENT] = "an answer that could not be sent",
		[WARN_NO_ROOM] = "an answer without room",
	};
	uint64_t now = loop_now(), *since = &warnings->budget[warning].since;
	unsigned *count = &warnings->budget[warning].count;

	if (now - *since >= 60000) {
		if (*count > PER_MINUTE)
			log_warning("dhcp: %u more warnings of %s were left out",
				*count - PER_MINUTE, of[warning]);
		*since = now;
		*count = 0;
	}
	return ++*count <= PER_MINUTE;
}

/* WARN_COUNT: it is worth none. */
static enum warning warning_of(const struct dhcp_verdict *verdict)
{
	if (verdict->drop == DROP_FOREIGN_SERVER)
		return WARN_FOREIGN_SERVER;
	if (verdict->drop == DROP_SOURCE)
		return WARN_SOURCE;
	if (verdict->reply == DHCP_NAK)
		return WARN_NAK;
	return verdict->lease == LEASE_DECLINED ? WARN_DECLINED : WARN_COUNT;
}

static void warn(const struct warnings *warnings, enum warning warning,
	const struct dhcp_exchange *exchange)
{
	const struct dhcp_verdict *verdict = &exchange->verdict;
	const char *type = dhcp_type_name(exchange->message.type);
	char mac[MAC_STRLEN], source[MAC_STRLEN], ip[IP4_STRLEN];

	mac_format(&exchange->message.chaddr, mac);
	mac_format(&exchange->frame.source, source);
	ip4_format(verdict->vm ? verdict->vm->ip : exchange->frame.source_ip, ip);
	switch (warning) {
	case WARN_FOREIGN_SERVER:
		log_warning("dhcp: another DHCP server answers on %s: %s, from %s; its clients may "
			    "get wrong addresses",
			warnings->bridge, ip, source);
		events_post(warnings->events, "foreign-server",
			json_pack("{s:s, s:s}", "mac", source, "ip", ip));
		break;
	case WARN_SOURCE:
		log_warning("dhcp: %s %s from %s: dropped (%s)", mac, type, source, verdict->why);
		break;
	case WARN_DECLINED:
		events_post(warnings->events, "decline",
			json_pack("{s:s, s:s, s:s}", "mac", mac, "ip", ip, "vm",
				verdict->vm->name));
		/* fall through */
	case WARN_NAK:
		log_warning("dhcp: %s %s %s %s: %s (%s)", mac, verdict->vm->name, type, ip,
			verdict->reply ? dhcp_type_name(verdict->reply) : "noted", verdict->why);
		break;
	case WARN_NOT_SENT:
	case WARN_NO_ROOM:
	case WARN_COUNT:
		break;
	}
}

bool warnings_take(struct warnings *warnings, const struct dhcp_exchange *exchange)
{
	enum warning warning = warning_of(&exchange->verdict);

	if (warning == WARN_COUNT)
		return false;
	if (warnings_may(warnings, warning))
		warn(warnings, warning, exchange);
	return true;
}
