/* SPDX-License-Identifier: GPL-2.0-or-later */
/* counters owns how the counters are told. It must not know what counts. */
#include "dhcpd/counters.h"

json_t *counters_json(const struct counters *counters)
{
	uint64_t malformed = 0;
	json_t *object, *drops = json_object();

	for (enum dhcp_drop drop = DROP_SHORT; drop < DROP_COUNT; drop++) {
		if (drop <= DROP_TYPE && drop != DROP_PORT && drop != DROP_DESTINATION &&
			drop != DROP_VLAN && drop != DROP_SOURCE && drop != DROP_FOREIGN_SERVER)
			malformed += counters->dropped[drop];
		json_object_set_new(drops, dhcp_drop_text(drop)->name,
			json_integer((json_int_t)counters->dropped[drop]));
	}
#define COUNT(value) (json_int_t)(value)
	object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
		"discover", COUNT(counters->received[DHCP_DISCOVER]), "offer",
		COUNT(counters->sent[DHCP_OFFER]), "request",
		COUNT(counters->received[DHCP_REQUEST]), "ack", COUNT(counters->sent[DHCP_ACK]),
		"nak", COUNT(counters->sent[DHCP_NAK]), "decline",
		COUNT(counters->received[DHCP_DECLINE]), "release",
		COUNT(counters->received[DHCP_RELEASE]), "inform",
		COUNT(counters->received[DHCP_INFORM]), "bootp",
		COUNT(counters->received[DHCP_BOOTP]), "unknown",
		COUNT(counters->dropped[DROP_UNKNOWN]), "malformed", COUNT(malformed), "dropped",
		drops);
#undef COUNT
	return object;
}

static void print_head(FILE *out, const char *name, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s counter\n", name, help, name);
}

static void print_counter(FILE *out, const char *name, const char *label, const char *value,
	uint64_t number)
{
	fprintf(out, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)number);
}

/* Those types that occur; DHCP_NONE ends them. */
static void print_types(FILE *out, const char *name, const char *help, const enum dhcp_type *types,
	const uint64_t *numbers)
{
	print_head(out, name, help);
	for (; *types != DHCP_NONE; types++)
		print_counter(out, name, "type", dhcp_type_name(*types), numbers[*types]);
}

void counters_print(const struct counters *counters, FILE *out)
{
	static const enum dhcp_type asked[] = { DHCP_DISCOVER, DHCP_REQUEST, DHCP_DECLINE,
		DHCP_RELEASE, DHCP_INFORM, DHCP_BOOTP, DHCP_NONE };
	static const enum dhcp_type answers[] = { DHCP_OFFER, DHCP_ACK, DHCP_NAK, DHCP_BOOTP,
		DHCP_NONE };
	static const char dropped[] = "eipd_dhcp_dropped_total";

	print_types(out, "eipd_dhcp_received_total", "DHCP messages understood, by type.", asked,
		counters->received);
	print_types(out, "eipd_dhcp_sent_total", "DHCP answers, by type.", answers, counters->sent);
	print_head(out, dropped, "Frames not answered, by reason.");
	for (enum dhcp_drop drop = DROP_SHORT; drop < DROP_COUNT; drop++)
		print_counter(out, dropped, "reason", dhcp_drop_text(drop)->name,
			counters->dropped[drop]);
}
