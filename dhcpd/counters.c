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

static void print_counter(FILE *out, const char *name, const char *label, const char *value,
	uint64_t number)
{
	fprintf(out, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)number);
}

void counters_print(const struct counters *counters, FILE *out)
{
	static const enum dhcp_type asked[] = { DHCP_DISCOVER, DHCP_REQUEST, DHCP_DECLINE,
		DHCP_RELEASE, DHCP_INFORM, DHCP_BOOTP };
	static const enum dhcp_type answers[] = { DHCP_OFFER, DHCP_ACK, DHCP_NAK, DHCP_BOOTP };

	fputs("# HELP eipd_dhcp_received_total DHCP messages understood, by type.\n"
	      "# TYPE eipd_dhcp_received_total counter\n",
		out);
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++)
		print_counter(out, "eipd_dhcp_received_total", "type", dhcp_type_name(asked[i]),
			counters->received[asked[i]]);
	fputs("# HELP eipd_dhcp_sent_total DHCP answers, by type.\n"
	      "# TYPE eipd_dhcp_sent_total counter\n",
		out);
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++)
		print_counter(out, "eipd_dhcp_sent_total", "type", dhcp_type_name(answers[i]),
			counters->sent[answers[i]]);
	fputs("# HELP eipd_dhcp_dropped_total Frames not answered, by reason.\n"
	      "# TYPE eipd_dhcp_dropped_total counter\n",
		out);
	for (enum dhcp_drop drop = DROP_SHORT; drop < DROP_COUNT; drop++)
		print_counter(out, "eipd_dhcp_dropped_total", "reason", dhcp_drop_text(drop)->name,
			counters->dropped[drop]);
}
