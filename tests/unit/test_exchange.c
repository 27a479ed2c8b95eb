/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame in, a frame out: the whole packet path. The numbers are those of the conformance
 * checklist for static reservations.
 */
#include "tests/unit/fixture.h"
#include "tests/unit/wire.h"

#include "dhcpd/exchange.h"

#define PLANNED    IP4(10, 77, 0, 11)
#define OTHER      IP4(10, 77, 0, 99)
#define RELAY      IP4(10, 77, 0, 200)
#define MAC_1      "02:00:00:00:00:01"
#define MAC_45M    "02:00:00:00:00:04"
#define MAC_INF    "02:00:00:00:00:05"
#define ROUTER_MAC "02:00:00:00:00:aa" /* of the relay, or of a router */
#define US         "\x36\x04\x0a\x4d\x00\x01"
#define THEM       "\x36\x04\x0a\x4d\x00\xfe"
#define ASK        "\x32\x04\x0a\x4d\x00\x0b" /* option 50, the planned address */
#define ASK_OTHER  "\x32\x04\x0a\x4d\x00\x63"

static const char plan_text[] = MAC_1 ",vm-001,10.77.0.11\n"
				      "02:00:00:00:00:02,vm-002,10.77.0.12\n"
				      "02:00:00:00:00:03,vm-003,10.77.0.13,ignore\n" MAC_45M
				      ",vm-004,10.77.0.14,45m\n" MAC_INF
				      ",vm-005,10.77.0.15,infinite\n";

static const struct mac our_mac = { { 0x02, 0, 0, 0, 0, 0xfe } };

/* --- the server --------------------------------------------------------------------------- */

struct fixture {
	struct config *config;
	struct plan *plan;
	struct dhcp_server server;
	struct dhcp_exchange exchange;
	uint8_t *frame; /* the request, of just its length */
};

/* `dhcp`: lines of the section [dhcp], or NULL: those that most tests have */
static struct fixture *fixture_new(const char *dhcp)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char *text;

	assert_true(asprintf(&text, "[dhcp]\n%s",
			    dhcp ? dhcp : "dns = 10.77.0.2, 10.77.0.3\ndomain = local\n") > 0);
	fixture->config = config_of(text);
	fixture->plan = plan_of(plan_text);
	fixture->server = (struct dhcp_server){
		.policy = { .self = self, .authoritative = fixture->config->dhcp.authoritative },
		.mac = our_mac,
		.plan = fixture->plan,
		.options = option_catalog_new(fixture->config, &self),
		.client_id_echo = fixture->config->dhcp.client_id_echo,
		.verify_source = fixture->config->dhcp.verify_source
	};
	free(text);
	return fixture;
}

static void fixture_free(struct fixture *fixture)
{
	option_catalog_free(fixture->server.options);
	plan_free(fixture->plan);
	config_free(fixture->config);
	free(fixture->frame);
	free(fixture);
}

/* What must be so in every reply whatsoever. */
static void assert_common(const struct request *request, const uint8_t *sent,
	const struct reply *reply)
{
	const uint8_t *message = sent + 42;
	size_t ours = 0, ends = 0;

	assert_true(mac_equal(&reply->source, &our_mac));
	assert_int_equal(reply->source_ip, SELF);
	assert_int_equal(reply->source_port, 67);
	assert_int_equal(reply->message[0], 2);
	assert_int_equal(reply->message[1], 1);
	assert_int_equal(reply->message[2], 6);
	assert_int_equal(reply->message[3], 0);                     /* hops */
	assert_memory_equal(reply->message + 4, message + 4, 4);    /* xid */
	assert_int_equal(get16(reply->message + 8), 0);             /* secs */
	assert_memory_equal(reply->message + 24, message + 24, 4);  /* giaddr */
	assert_memory_equal(reply->message + 28, message + 28, 16); /* chaddr */
	if (request->type) {
		assert_int_equal(reply->option[0].code, 53);
		assert_int_equal(reply->option[0].len, 1);
		for (size_t i = 0; i < reply->count; i++)
			ours += reply->option[i].code == 54 &&
				reply->option[i].area == AREA_OPTIONS &&
				reply->option[i].len == 4 && get32(reply->option[i].data) == SELF;
		assert_int_equal(ours, 1);
	}
	for (size_t i = 0; i < reply->count; i++) {
		ends += reply->option[i].code == 82;
		/* never in an overloaded field: a client may not get that far */
		if (reply->option[i].code == 53 || reply->option[i].code == 52 ||
			reply->option[i].code == 82)
			assert_int_equal(reply->option[i].area, AREA_OPTIONS);
		/* each code once, or as neighbours in a field (RFC 3396) */
		for (size_t k = i + 2; k < reply->count; k++) {
			if (reply->option[k].code == reply->option[i].code &&
				reply->option[k].area == reply->option[i].area)
				assert_int_equal(reply->option[k - 1].code, reply->option[i].code);
		}
	}
	if (ends)
		assert_int_equal(reply->option[reply->in_options - 1].code, 82);
}

/* Runs a request through the server; true if it was answered, and then *ret_reply. */
static bool run(struct fixture *fixture, const struct request *request, struct reply *ret_reply)
{
	uint8_t data[MESSAGE_MAX + 42];
	size_t len = request_frame(request, data);

	free(fixture->frame);
	fixture->frame = malloc(len);
	memcpy(fixture->frame, data, len);
	/* nothing of the exchange before may be seen in this one */
	memset(&fixture->exchange, 0xa5, sizeof(fixture->exchange));
	dhcp_exchange(&fixture->server, fixture->frame, len, 7, &fixture->exchange);
	if (!fixture->exchange.reply_len) {
		assert_int_equal(fixture->exchange.verdict.reply, DHCP_NONE);
		return false;
	}
	assert_int_equal(fixture->exchange.verdict.drop, DROP_NONE);
	reply_read(fixture->exchange.reply, fixture->exchange.reply_len, ret_reply);
	assert_common(request, fixture->frame, ret_reply);
	return true;
}

/* The codes in their order: "53 54 51"; in file and sname behind "file:" and "sname:". */
static const char *codes(const struct reply *reply, bool all)
{
	static char text[2048];
	static const uint8_t core[] = { 51, 52, 53, 54, 56, 58, 59, 61, 80, 82 };
	enum area area = AREA_OPTIONS;
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < reply->count; i++) {
		if (!all && memchr(core, reply->option[i].code, sizeof(core)))
			continue;
		if (reply->option[i].area != area) {
			area = reply->option[i].area;
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
				len ? " " : "", area == AREA_FILE ? "file:" : "sname:");
		}
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", len ? " " : "",
			reply->option[i].code);
	}
	return text;
}

/* --- requests ----------------------------------------------------------------------------- */

struct value {
	uint8_t code;
	bool absent;
	struct octets octets;
};

static const struct exchange_row {
	const char *sentence;
	struct request request;
	const char *dhcp;     /* lines of [dhcp] */
	enum dhcp_type reply; /* DHCP_NONE: silence */
	enum dhcp_drop drop;
	/* addressing; 0 or NULL: as to a client without one: its MAC, planned address, 68 */
	const char *to_mac;
	uint32_t to;
	uint16_t port;
	/* header */
	uint16_t flags;
	uint32_t ciaddr, yiaddr; /* yiaddr 0: the planned address */
	bool no_yiaddr;
	/* options */
	const char *codes; /* all but the core's (51-54, 56, 58, 59, 61, 80, 82), in order */
	struct value value[6];
} exchange_rows[] = {
	/* 1-3: where a reply goes */
	{ "1: an OFFER goes to the client's MAC and its new address", { .type = 1 },
		.reply = DHCP_OFFER,
		.value = { { 51, .octets = OCTETS("\0\0\x0e\x10") },
			{ 54, .octets = OCTETS("\x0a\x4d\x00\x01") },
			{ 1, .octets = OCTETS("\xff\xff\xff\x00") } } },
	{ "1: an OFFER without a PRL has what the client needs", { .type = 1 }, .reply = DHCP_OFFER,
		.value = { { 3, .octets = OCTETS("\x0a\x4d\x00\x01") },
			{ 6, .octets = OCTETS("\x0a\x4d\x00\x02\x0a\x4d\x00\x03") },
			{ 12, .octets = OCTETS("vm-001") }, { 15, .octets = OCTETS("local") },
			{ 28, .octets = OCTETS("\x0a\x4d\x00\xff") } } },
	{ "2: with the B flag it is broadcast", { .type = 1, .flags = 0x8000 }, .reply = DHCP_OFFER,
		.to_mac = "ff:ff:ff:ff:ff:ff", .to = UINT32_MAX, .flags = 0x8000 },
	{ "2: an ACK too", { .type = 3, .flags = 0x8000, .options = OCTETS(US ASK) },
		.reply = DHCP_ACK, .to_mac = "ff:ff:ff:ff:ff:ff", .to = UINT32_MAX,
		.flags = 0x8000 },
	{ "3: over a relay it goes to the relay's port 67",
		{ .type = 1, .giaddr = RELAY, .source = ROUTER_MAC }, .reply = DHCP_OFFER,
		.to_mac = ROUTER_MAC, .to = RELAY, .port = 67 },
	{ "3: over a relay the flags are kept",
		{ .type = 1, .giaddr = RELAY, .source = ROUTER_MAC, .flags = 0x8000 },
		.reply = DHCP_OFFER, .to_mac = ROUTER_MAC, .to = RELAY, .port = 67,
		.flags = 0x8000 },
	{ "3: a relay elsewhere", { .type = 1, .giaddr = IP4(10, 78, 0, 1), .source = ROUTER_MAC },
		.drop = DROP_RELAY },
	{ "4: an unknown MAC", { .type = 1, .mac = "02:00:00:00:00:99" }, .drop = DROP_UNKNOWN },
	{ "4: a MAC that the plan says to ignore", { .type = 1, .mac = "02:00:00:00:00:03" },
		.drop = DROP_IGNORED },
	{ "5: DISCOVER asking for another address", { .type = 1, .options = OCTETS(ASK_OTHER) },
		.reply = DHCP_OFFER },
	{ "6: DISCOVER with a ciaddr", { .type = 1, .ciaddr = OTHER }, .reply = DHCP_OFFER },
	{ "6: the same, broadcast", { .type = 1, .ciaddr = OTHER, .flags = 0x8000 },
		.reply = DHCP_OFFER, .to_mac = "ff:ff:ff:ff:ff:ff", .to = UINT32_MAX,
		.flags = 0x8000 },
	{ "7: SELECTING", { .type = 3, .options = OCTETS(US ASK) }, .reply = DHCP_ACK,
		.value = { { 51, .octets = OCTETS("\0\0\x0e\x10") } } },
	{ "8: SELECTING another server", { .type = 3, .options = OCTETS(THEM ASK) },
		.drop = DROP_OTHER_SERVER },
	{ "10: INIT-REBOOT", { .type = 3, .options = OCTETS(ASK) }, .reply = DHCP_ACK },
	{ "12: INIT-REBOOT of an unknown MAC",
		{ .type = 3, .mac = "02:00:00:00:00:99", .options = OCTETS(ASK) },
		.drop = DROP_UNKNOWN },
	{ "13: RENEWING is answered at ciaddr",
		{ .type = 3, .ciaddr = PLANNED, .source_ip = PLANNED, .destination_ip = SELF },
		.reply = DHCP_ACK, .ciaddr = PLANNED },
	{ "14: REBINDING too", { .type = 3, .ciaddr = PLANNED, .source_ip = PLANNED },
		.reply = DHCP_ACK, .ciaddr = PLANNED },
	{ "14: REBINDING with the B flag: ciaddr comes first (RFC 2131 4.1)",
		{ .type = 3, .ciaddr = PLANNED, .source_ip = PLANNED, .flags = 0x8000 },
		.reply = DHCP_ACK, .ciaddr = PLANNED, .flags = 0x8000 },
	{ "14: REBINDING over a relay",
		{ .type = 3, .ciaddr = PLANNED, .giaddr = RELAY, .source = ROUTER_MAC },
		.reply = DHCP_ACK, .to_mac = ROUTER_MAC, .to = RELAY, .port = 67,
		.ciaddr = PLANNED },
	{ "16: REQUEST for no address", { .type = 3 }, .drop = DROP_NO_ADDRESS },
	/* 9, 11, 15, 17: the NAK */
	{ "9: SELECTING another address", { .type = 3, .options = OCTETS(US ASK_OTHER) },
		.reply = DHCP_NAK, .to_mac = "ff:ff:ff:ff:ff:ff", .to = UINT32_MAX,
		.no_yiaddr = true, .codes = "" },
	{ "11: INIT-REBOOT with another address: broadcast, though the B flag is not set",
		{ .type = 3, .options = OCTETS(ASK_OTHER) }, .reply = DHCP_NAK,
		.to_mac = "ff:ff:ff:ff:ff:ff", .to = UINT32_MAX, .no_yiaddr = true, .codes = "" },
	{ "15: RENEWING another address: broadcast, and ciaddr is 0",
		{ .type = 3, .ciaddr = OTHER, .source_ip = OTHER, .destination_ip = SELF },
		.reply = DHCP_NAK, .to_mac = "ff:ff:ff:ff:ff:ff", .to = UINT32_MAX,
		.no_yiaddr = true, .codes = "" },
	{ "17: a NAK says why, and no lease",
		{ .type = 3, .options = OCTETS(ASK_OTHER "\x37\x04\x01\x03\x06\x0f") },
		.reply = DHCP_NAK, .to_mac = "ff:ff:ff:ff:ff:ff", .to = UINT32_MAX,
		.no_yiaddr = true, .codes = "",
		.value = { { 51, true }, { 58, true }, { 59, true }, { 1, true } } },
	{ "17: a NAK over a relay sets the B flag",
		{ .type = 3, .giaddr = RELAY, .source = ROUTER_MAC, .options = OCTETS(ASK_OTHER) },
		.reply = DHCP_NAK, .to_mac = ROUTER_MAC, .to = RELAY, .port = 67, .flags = 0x8000,
		.no_yiaddr = true, .codes = "" },
	{ "17: a NAK has the client identifier and option 82",
		{ .type = 3,
			.options = OCTETS(ASK_OTHER "\x52\x03\x01\x01"
						    "a\x3d\x03\x00zz") },
		.reply = DHCP_NAK, .to_mac = "ff:ff:ff:ff:ff:ff", .to = UINT32_MAX,
		.no_yiaddr = true, .codes = "",
		.value = { { 61, .octets = OCTETS("\x00zz") },
			{ 82,
				.octets = OCTETS("\x01\x01"
						 "a") } } },
	{ "17: a NAK names no next server", { .type = 3, .options = OCTETS(ASK_OTHER) },
		"next-server = 10.77.0.9\nboot-file = x\n", DHCP_NAK, .to_mac = "ff:ff:ff:ff:ff:ff",
		.to = UINT32_MAX, .no_yiaddr = true, .codes = "" },
	{ "not authoritative: no NAK", { .type = 3, .options = OCTETS(ASK_OTHER) },
		"authoritative = no\n", .drop = DROP_NOT_AUTHORITATIVE },
	/* 18-20 */
	{ "18: DECLINE is not answered", { .type = 4, .options = OCTETS(US ASK) } },
	{ "19: RELEASE is not answered",
		{ .type = 7,
			.ciaddr = PLANNED,
			.source_ip = PLANNED,
			.destination_ip = SELF,
			.options = OCTETS(US) } },
	{ "20: INFORM: no address, no lease, and to ciaddr",
		{ .type = 8, .ciaddr = PLANNED, .source_ip = PLANNED }, .reply = DHCP_ACK,
		.ciaddr = PLANNED, .no_yiaddr = true,
		.value = { { 51, true }, { 58, true }, { 59, true },
			{ 15, .octets = OCTETS("local") } } },
	{ "20: INFORM: the PRL is honoured",
		{ .type = 8,
			.ciaddr = PLANNED,
			.source_ip = PLANNED,
			.options = OCTETS("\x37\x03\x01\x0f\x06") },
		.reply = DHCP_ACK, .ciaddr = PLANNED, .no_yiaddr = true, .codes = "1 15 6" },
	{ "20: INFORM: the lease time is not granted though asked for",
		{ .type = 8,
			.ciaddr = PLANNED,
			.source_ip = PLANNED,
			.options = OCTETS("\x33\x04\x00\x00\x01\x00\x37\x04\x01\x33\x3a\x3b") },
		.reply = DHCP_ACK, .ciaddr = PLANNED, .no_yiaddr = true,
		.value = { { 51, true }, { 58, true }, { 59, true } } },
	{ "20: INFORM from an address that it chose itself",
		{ .type = 8, .ciaddr = OTHER, .source_ip = OTHER }, .reply = DHCP_ACK, .to = OTHER,
		.ciaddr = OTHER, .no_yiaddr = true },
	{ "20: INFORM over a router: back over it",
		{ .type = 8,
			.ciaddr = PLANNED,
			.source_ip = PLANNED,
			.source = ROUTER_MAC,
			.destination_ip = SELF },
		.reply = DHCP_ACK, .to_mac = ROUTER_MAC, .ciaddr = PLANNED, .no_yiaddr = true },
	{ "20: INFORM over a relay: to ciaddr, as a relay has no yiaddr to hand it on to",
		{ .type = 8, .ciaddr = PLANNED, .giaddr = RELAY, .source = ROUTER_MAC },
		.reply = DHCP_ACK, .to_mac = ROUTER_MAC, .ciaddr = PLANNED, .no_yiaddr = true },
	/* 21, 22: lease times; 0x0e10 is one hour, T1 0x0708, T2 0x0c4e */
	{ "21: no time asked for: the configured one", { .type = 1 }, .reply = DHCP_OFFER,
		.value = { { 51, .octets = OCTETS("\0\0\x0e\x10") },
			{ 58, .octets = OCTETS("\0\0\x07\x08") },
			{ 59, .octets = OCTETS("\0\0\x0c\x4e") } } },
	{ "21: a shorter time is granted", { .type = 1, .options = OCTETS("\x33\x04\0\0\x03\xe8") },
		.reply = DHCP_OFFER,
		.value = { { 51, .octets = OCTETS("\0\0\x03\xe8") },
			{ 58, .octets = OCTETS("\0\0\x01\xf4") },
			{ 59, .octets = OCTETS("\0\0\x03\x6b") } } },
	{ "21: and so in the ACK", { .type = 3, .options = OCTETS(US ASK "\x33\x04\0\0\x03\xe8") },
		.reply = DHCP_ACK, .value = { { 51, .octets = OCTETS("\0\0\x03\xe8") } } },
	{ "21: 0 is lifted to the least", { .type = 1, .options = OCTETS("\x33\x04\0\0\0\0") },
		.reply = DHCP_OFFER, .value = { { 51, .octets = OCTETS("\0\0\0\x78") } } },
	{ "21: 30 is lifted to the least", { .type = 1, .options = OCTETS("\x33\x04\0\0\0\x1e") },
		.reply = DHCP_OFFER, .value = { { 51, .octets = OCTETS("\0\0\0\x78") } } },
	{ "21: more than the most", { .type = 1, .options = OCTETS("\x33\x04\0\0\xff\xff") },
		.reply = DHCP_OFFER, .value = { { 51, .octets = OCTETS("\0\0\x0e\x10") } } },
	{ "21: infinite where the most is not",
		{ .type = 1, .options = OCTETS("\x33\x04\xff\xff\xff\xff") }, .reply = DHCP_OFFER,
		.value = { { 51, .octets = OCTETS("\0\0\x0e\x10") } } },
	{ "21: three octets are no time", { .type = 1, .options = OCTETS("\x33\x03\0\0\x64") },
		.reply = DHCP_OFFER, .value = { { 51, .octets = OCTETS("\0\0\x0e\x10") } } },
	{ "21: the least is not above what is configured",
		{ .type = 1, .options = OCTETS("\x33\x04\0\0\0\0") }, "lease-time = 60\n",
		DHCP_OFFER, .value = { { 51, .octets = OCTETS("\0\0\0\x3c") } } },
	{ "21: the plan's time for the VM", { .type = 1, .mac = MAC_45M }, .reply = DHCP_OFFER,
		.yiaddr = IP4(10, 77, 0, 14),
		.value = { { 51, .octets = OCTETS("\0\0\x0a\x8c") } } },
	{ "22: infinite has no T1 and T2", { .type = 1, .mac = MAC_INF }, .reply = DHCP_OFFER,
		.yiaddr = IP4(10, 77, 0, 15),
		.value = { { 51, .octets = OCTETS("\xff\xff\xff\xff") }, { 58, true },
			{ 59, true } } },
	{ "22: infinite is the most, a shorter time is granted",
		{ .type = 1, .mac = MAC_INF, .options = OCTETS("\x33\x04\0\0\x03\xe8") },
		.reply = DHCP_OFFER, .yiaddr = IP4(10, 77, 0, 15),
		.value = { { 51, .octets = OCTETS("\0\0\x03\xe8") } } },
	{ "22: T1 and T2 of 200 days do not wrap round", { .type = 1 }, "lease-time = 200d\n",
		DHCP_OFFER,
		.value = { { 51, .octets = OCTETS("\x01\x07\xac\x00") },
			{ 58, .octets = OCTETS("\x00\x83\xd6\x00") },
			{ 59, .octets = OCTETS("\x00\xe6\xb6\x80") } } },
	{ "22: T1 and T2 of the longest finite time do not wrap round", { .type = 1 },
		"lease-time = 4294967294\n", DHCP_OFFER,
		.value = { { 58, .octets = OCTETS("\x7f\xff\xff\xff") },
			{ 59, .octets = OCTETS("\xdf\xff\xff\xfe") } } },
	/* 23, 30: echoes */
	{ "23: the client identifier as it came",
		{ .type = 1, .options = OCTETS("\x3d\x07\x01\x02\0\0\0\0\x01") },
		.reply = DHCP_OFFER,
		.value = { { 61, .octets = OCTETS("\x01\x02\0\0\0\0\x01") } } },
	{ "23: in the ACK too",
		{ .type = 3, .options = OCTETS(US ASK "\x3d\x07\x01\x02\0\0\0\0\x01") },
		.reply = DHCP_ACK, .value = { { 61, .octets = OCTETS("\x01\x02\0\0\0\0\x01") } } },
	{ "23: of two octets", { .type = 1, .options = OCTETS("\x3d\x02\x00x") },
		.reply = DHCP_OFFER, .value = { { 61, .octets = OCTETS("\x00x") } } },
	{ "23: none came, none goes", { .type = 1 }, .reply = DHCP_OFFER,
		.value = { { 61, true } } },
	{ "23: the off switch", { .type = 1, .options = OCTETS("\x3d\x02\x00x") },
		"client-id-echo = no\n", DHCP_OFFER, .value = { { 61, true } } },
	{ "24: another client's identifier changes nothing",
		{ .type = 1,
			.mac = "02:00:00:00:00:02",
			.options = OCTETS("\x3d\x07\x01\x02\0\0\0\0\x01") },
		.reply = DHCP_OFFER, .yiaddr = IP4(10, 77, 0, 12),
		.value = { { 61, .octets = OCTETS("\x01\x02\0\0\0\0\x01") } } },
	{ "30: option 82 as it came, last",
		{ .type = 1,
			.giaddr = RELAY,
			.source = ROUTER_MAC,
			.options = OCTETS("\x52\x06\x01\x04\x00\x01\xff\x00\x3d\x02\x00x") },
		.reply = DHCP_OFFER, .to_mac = ROUTER_MAC, .to = RELAY, .port = 67,
		.value = { { 82, .octets = OCTETS("\x01\x04\x00\x01\xff\x00") },
			{ 61, .octets = OCTETS("\x00x") } } },
	{ "30: in the ACK too",
		{ .type = 3,
			.giaddr = RELAY,
			.source = ROUTER_MAC,
			.options = OCTETS(US ASK "\x52\x03\x01\x01x") },
		.reply = DHCP_ACK, .to_mac = ROUTER_MAC, .to = RELAY, .port = 67,
		.value = { { 82, .octets = OCTETS("\x01\x01x") } } },
	{ "30: none came, none goes", { .type = 1, .giaddr = RELAY, .source = ROUTER_MAC },
		.reply = DHCP_OFFER, .to_mac = ROUTER_MAC, .to = RELAY, .port = 67,
		.value = { { 82, true } } },
	/* 26: the parameter request list */
	{ "26: in the client's order",
		{ .type = 1, .options = OCTETS("\x37\x05\x01\x0f\x1c\x06\x0c") },
		.reply = DHCP_OFFER, .codes = "1 15 28 6 12" },
	{ "26: in the client's order, 1 in the middle",
		{ .type = 1, .options = OCTETS("\x37\x04\x0f\x01\x03\x06") }, .reply = DHCP_OFFER,
		.codes = "15 1 3 6" },
	{ "26: 1 before 3, whatever the order",
		{ .type = 1, .options = OCTETS("\x37\x02\x03\x01") }, .reply = DHCP_OFFER,
		.codes = "1 3" },
	{ "26: each once", { .type = 1, .options = OCTETS("\x37\x06\x01\x06\x06\x03\x01\x06") },
		.reply = DHCP_OFFER, .codes = "1 6 3" },
	{ "26: what is not configured is left out",
		{ .type = 1, .options = OCTETS("\x37\x05\x01\x2a\x1a\xf9\x06") },
		.reply = DHCP_OFFER, .codes = "1 6" },
	{ "26: what is not asked for is left out",
		{ .type = 1, .options = OCTETS("\x37\x02\x01\x06") }, .reply = DHCP_OFFER,
		.codes = "1 6", .value = { { 15, true }, { 12, true }, { 3, true } } },
	{ "26: what only the server decides is not doubled",
		{ .type = 1, .options = OCTETS("\x37\x09\x33\x36\x35\x3a\x3b\x3d\x52\x34\x01") },
		.reply = DHCP_OFFER, .codes = "1",
		.value = { { 51, .octets = OCTETS("\0\0\x0e\x10") }, { 61, true }, { 82, true },
			{ 52, true } } },
	{ "26: PAD and END in the list",
		{ .type = 1, .options = OCTETS("\x37\x04\x00\x01\xff\x06") }, .reply = DHCP_OFFER,
		.codes = "1 6" },
	{ "26: the list in two parts (RFC 3396)",
		{ .type = 1, .options = OCTETS("\x37\x02\x01\x0f\x0c\x01x\x37\x01\x06") },
		.reply = DHCP_OFFER, .codes = "1 15 6" },
	{ "26: option N of the configuration",
		{ .type = 1, .options = OCTETS("\x37\x03\x01\x2b\xe0") },
		"option.43 = hex:0102\noption.224 = text:x\n", DHCP_OFFER, .codes = "1 43 224",
		.value = { { 43, .octets = OCTETS("\x01\x02") }, { 224, .octets = OCTETS("x") } } },
	{ "12: the name is the plan's, not the client's",
		{ .type = 1,
			.options = OCTETS("\x0c\x04"
					  "evil\x37\x02\x01\x0c") },
		.reply = DHCP_OFFER, .codes = "1 12",
		.value = { { 12, .octets = OCTETS("vm-001") } } },
	/* 31: classless routes; 10.0.0.0/8 10.77.0.9, and the default route by the bridge */
	{ "31: 121 asked for: it, with the default route, and not 3",
		{ .type = 1, .options = OCTETS("\x37\x03\x01\x03\x79") },
		"static-routes = 10.0.0.0/8 10.77.0.9\n", DHCP_OFFER, .codes = "1 121",
		.value = { { 121,
			.octets = OCTETS("\x08\x0a\x0a\x4d\x00\x09\x00\x0a\x4d\x00\x01") } } },
	{ "31: 121 asked for: not 33 either",
		{ .type = 1, .options = OCTETS("\x37\x04\x21\x79\x01\x03") },
		"static-routes = 10.0.0.0/8 10.77.0.9\noption.33 = ip:10.0.0.1, 10.77.0.9\n",
		DHCP_OFFER, .value = { { 33, true }, { 3, true } } },
	{ "31: 121 not asked for: 3", { .type = 1, .options = OCTETS("\x37\x02\x01\x03") },
		"static-routes = 10.0.0.0/8 10.77.0.9\n", DHCP_OFFER, .codes = "1 3",
		.value = { { 121, true } } },
	{ "31: 121 asked for, not configured: 3",
		{ .type = 1, .options = OCTETS("\x37\x03\x01\x79\x03") }, .reply = DHCP_OFFER,
		.codes = "1 3" },
	{ "31: its own default route is not doubled",
		{ .type = 1, .options = OCTETS("\x37\x01\x79") },
		"static-routes = 0.0.0.0/0 10.77.0.9\n", DHCP_OFFER,
		.value = { { 121, .octets = OCTETS("\x00\x0a\x4d\x00\x09") } } },
	{ "31: without a router there is no default route",
		{ .type = 1, .options = OCTETS("\x37\x01\x79") },
		"router =\nstatic-routes = 10.1.2.0/23 10.77.0.9\n", DHCP_OFFER,
		.value = { { 121, .octets = OCTETS("\x17\x0a\x01\x02\x0a\x4d\x00\x09") } } },
	/* 32, 33 */
	{ "32: rapid commit: an ACK with the lease and option 80",
		{ .type = 1, .options = OCTETS("\x50\x00") }, .reply = DHCP_ACK,
		.value = { { 80, .octets = OCTETS("") },
			{ 51, .octets = OCTETS("\0\0\x0e\x10") } } },
	{ "32: rapid commit ignores ciaddr",
		{ .type = 1, .ciaddr = OTHER, .options = OCTETS("\x50\x00") }, .reply = DHCP_ACK },
	{ "32: an OFFER has no option 80", { .type = 1, .options = OCTETS("\x37\x02\x01\x50") },
		.reply = DHCP_OFFER, .value = { { 80, true } } },
	{ "32: nor has the ACK of a REQUEST", { .type = 3, .options = OCTETS(US ASK "\x50\x00") },
		.reply = DHCP_ACK, .value = { { 80, true } } },
	{ "33: 108 when asked for", { .type = 1, .options = OCTETS("\x37\x02\x01\x6c") },
		"option.108 = hex:00000708\n", DHCP_OFFER, .codes = "1 108",
		.value = { { 108, .octets = OCTETS("\x00\x00\x07\x08") } } },
	{ "33: 108 not when the list has it not", { .type = 1, .options = OCTETS("\x37\x01\x01") },
		"option.108 = hex:00000708\n", DHCP_OFFER, .value = { { 108, true } } },
	{ "33: 108 not when there is no list", { .type = 1 }, "option.108 = hex:00000708\n",
		DHCP_OFFER, .value = { { 108, true } } },
	/* 35: what has no effect */
	{ "35: secs and hops", { .type = 1, .secs = 0xffff, .hops = 16 }, .reply = DHCP_OFFER },
	/* 36, 37: what is dropped */
	{ "36: from another port", { .type = 1, .source_port = 1068 }, .drop = DROP_PORT },
	{ "36: from a server's port, without a relay", { .type = 1, .source_port = 67 },
		.drop = DROP_PORT },
	{ "37: a VM that poses as a relay to speak for another",
		{ .type = 3,
			.giaddr = RELAY,
			.source = MAC_45M,
			.source_port = 67,
			.options = OCTETS(ASK) },
		.drop = DROP_SOURCE },
	{ "36: a relay from a client's port",
		{ .type = 1, .giaddr = RELAY, .source = ROUTER_MAC, .source_port = 68 },
		.reply = DHCP_OFFER, .to_mac = ROUTER_MAC, .to = RELAY, .port = 67 },
	{ "36: a relay from another port",
		{ .type = 1, .giaddr = RELAY, .source = ROUTER_MAC, .source_port = 4711 },
		.reply = DHCP_OFFER, .to_mac = ROUTER_MAC, .to = RELAY, .port = 67 },
	{ "36: to another port", { .type = 1, .destination_port = 68 }, .drop = DROP_PORT },
	{ "36: to another host",
		{ .type = 3, .ciaddr = PLANNED, .destination_ip = IP4(10, 77, 0, 2) },
		.drop = DROP_DESTINATION },
	{ "36: to the network's broadcast address",
		{ .type = 1, .destination_ip = IP4(10, 77, 0, 255) }, .reply = DHCP_OFFER },
	{ "36: a reply", { .type = 1, .patch = { { 0, 2, true } } }, .drop = DROP_NOT_REQUEST },
	{ "36: not Ethernet", { .type = 1, .patch = { { 1, 6, true } } }, .drop = DROP_HARDWARE },
	{ "36: a bad cookie", { .type = 1, .patch = { { 236, 0x64, true } } },
		.drop = DROP_COOKIE },
	{ "36: no END", { .type = 1, .without_end = true }, .drop = DROP_OPTIONS },
	{ "36: an ACK of another server, seen on the wire", { .type = 5 }, .drop = DROP_TYPE },
	{ "an answer of another server",
		{ .type = 5,
			.source = ROUTER_MAC,
			.source_ip = OTHER,
			.source_port = 67,
			.destination_port = 68 },
		.drop = DROP_FOREIGN_SERVER },
	{ "an answer of another server that says it has our address",
		{ .type = 5,
			.source = ROUTER_MAC,
			.source_ip = SELF,
			.source_port = 67,
			.destination_port = 68 },
		.drop = DROP_FOREIGN_SERVER },
	{ "an answer of our own that comes back",
		{ .type = 5,
			.source = "02:00:00:00:00:fe",
			.source_ip = SELF,
			.source_port = 67,
			.destination_port = 68 },
		.drop = DROP_PORT },
	{ "37: chaddr is another's", { .type = 1, .source = "02:00:00:00:00:02" },
		.drop = DROP_SOURCE },
	{ "37: chaddr is another's, RELEASE",
		{ .type = 7,
			.source = "02:00:00:00:00:02",
			.ciaddr = PLANNED,
			.source_ip = PLANNED,
			.destination_ip = SELF,
			.options = OCTETS(US) },
		.drop = DROP_SOURCE },
	{ "37: an INFORM in another VM's name",
		{ .type = 8, .source = MAC_45M, .ciaddr = PLANNED, .source_ip = PLANNED },
		.drop = DROP_SOURCE },
	{ "37: an INFORM of a VM that poses as a relay",
		{ .type = 8, .source = MAC_45M, .ciaddr = PLANNED, .giaddr = RELAY },
		.drop = DROP_SOURCE },
	{ "37: the off switch, INFORM",
		{ .type = 8, .source = MAC_45M, .ciaddr = PLANNED, .source_ip = PLANNED },
		"verify-source = no\n", DHCP_ACK, .to_mac = MAC_45M, .ciaddr = PLANNED,
		.no_yiaddr = true },
	{ "37: the off switch", { .type = 1, .source = "02:00:00:00:00:02" },
		"verify-source = no\n", DHCP_OFFER },
	/* 38 */
	{ "38: BOOTP: an address without 53 and 51", { .type = 0 }, .reply = DHCP_BOOTP,
		.value = { { 53, true }, { 51, true }, { 58, true }, { 59, true },
			{ 1, .octets = OCTETS("\xff\xff\xff\x00") },
			{ 3, .octets = OCTETS("\x0a\x4d\x00\x01") } } },
	{ "38: BOOTP without a cookie",
		{ .type = 0,
			.patch = { { 236, 0, true }, { 237, 0, true }, { 238, 0, true },
				{ 239, 0, true } } },
		.reply = DHCP_BOOTP },
	{ "38: BOOTP over a relay", { .type = 0, .giaddr = RELAY, .source = ROUTER_MAC },
		.reply = DHCP_BOOTP, .to_mac = ROUTER_MAC, .to = RELAY, .port = 67 },
	{ "38: BOOTP broadcast", { .type = 0, .flags = 0x8000 }, .reply = DHCP_BOOTP,
		.to_mac = "ff:ff:ff:ff:ff:ff", .to = UINT32_MAX, .flags = 0x8000 },
	{ "38: BOOTP of an unknown MAC", { .type = 0, .mac = "02:00:00:00:00:99" },
		.drop = DROP_UNKNOWN },
};

static void test_exchange(void **state)
{
	const struct exchange_row *row = *state;
	const struct request *request = &row->request;
	struct fixture *fixture = fixture_new(row->dhcp);
	struct reply reply;
	struct mac to_mac;
	uint8_t value[4096];
	uint32_t yiaddr = row->no_yiaddr ? 0 : row->yiaddr ? row->yiaddr : PLANNED;
	const char *mac = request->mac ? request->mac : MAC_1;
	bool answered = run(fixture, request, &reply);

	assert_int_equal(fixture->exchange.verdict.drop, row->drop);
	assert_int_equal(fixture->exchange.verdict.reply, row->reply);
	assert_int_equal(answered, row->reply != DHCP_NONE);
	if (!answered) {
		fixture_free(fixture);
		return;
	}
	assert_int_equal(mac_parse(row->to_mac ? row->to_mac : mac, &to_mac), 0);
	assert_memory_equal(reply.destination.byte, to_mac.byte, MAC_LEN);
	assert_int_equal(reply.destination_ip,
		row->to               ? row->to
			: row->yiaddr ? row->yiaddr
				      : PLANNED);
	assert_int_equal(reply.destination_port, row->port ? row->port : 68);
	assert_int_equal(get16(reply.message + 10), row->flags);
	assert_int_equal(get32(reply.message + 12), row->ciaddr);
	assert_int_equal(get32(reply.message + 16), yiaddr);
	if (row->reply == DHCP_NAK) {
		assert_int_equal(get32(reply.message + 20), 0);
		/* RFC 2132 9.9: for people */
		assert_true(reply_option(&reply, 56, value) > 0);
	}
	if (row->reply != DHCP_BOOTP)
		assert_int_equal(reply.option[0].data[0], row->reply);
	if (row->codes)
		assert_string_equal(codes(&reply, false), row->codes);
	for (size_t i = 0; i < COUNT(row->value) && row->value[i].code; i++) {
		int len = reply_option(&reply, row->value[i].code, value);

		if (row->value[i].absent) {
			assert_int_equal(len, -1);
			continue;
		}
		assert_int_equal(len, row->value[i].octets.len);
		assert_memory_equal(value, row->value[i].octets.data, row->value[i].octets.len);
	}
	/* what is granted is what is told */
	if (reply_option(&reply, 51, value) == 4)
		assert_int_equal(fixture->exchange.lease_time, get32(value));
	else if (row->reply != DHCP_BOOTP)
		assert_int_equal(fixture->exchange.lease_time, 0);
	fixture_free(fixture);
}

/* --- 7, 22, 23, 25, 34: what several replies have to do with each other ------------------ */

static void test_offer_and_ack(void **state)
{
	const struct request discover = { .type = 1,
		.options = OCTETS("\x37\x04\x01\x03\x06\x0f") };
	const struct request select = { .type = 3,
		.options = OCTETS(US ASK "\x37\x04\x01\x03\x06\x0f") };
	struct fixture *fixture = fixture_new(NULL);
	struct reply offer, ack;
	char offered[256];
	uint8_t copy[FRAME_MAX];

	(void)state;
	assert_true(run(fixture, &discover, &offer));
	memcpy(copy, fixture->exchange.reply, sizeof(copy));
	reply_read(copy, fixture->exchange.reply_len, &offer);
	snprintf(offered, sizeof(offered), "%s", codes(&offer, true));
	assert_true(run(fixture, &select, &ack));
	assert_string_equal(codes(&ack, true), offered);
	/* the same parameters but for the type */
	for (size_t i = 1; i < ack.count; i++) {
		assert_int_equal(ack.option[i].len, offer.option[i].len);
		assert_memory_equal(ack.option[i].data, offer.option[i].data, ack.option[i].len);
	}
	fixture_free(fixture);
}

static void test_duplicate(void **state)
{
	static const struct request requests[] = { { .type = 1 },
		{ .type = 3, .options = OCTETS(US ASK) } };
	struct fixture *fixture = fixture_new(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(requests); i++) {
		uint8_t first[FRAME_MAX];
		struct reply reply;
		size_t len;

		assert_true(run(fixture, &requests[i], &reply));
		len = fixture->exchange.reply_len;
		memcpy(first, fixture->exchange.reply, len);
		assert_true(run(fixture, &requests[i], &reply));
		assert_int_equal(fixture->exchange.reply_len, len);
		assert_memory_equal(fixture->exchange.reply, first, len);
	}
	fixture_free(fixture);
}

static void test_timers(void **state)
{
	static const uint32_t times[] = { 3, 4, 5, 7, 8, 9, 60, 119, 120, 3600, 86400 * 100u,
		1u << 31, UINT32_MAX - 1 };

	(void)state;
	for (size_t i = 0; i < COUNT(times); i++) {
		const struct request request = { .type = 1 };
		uint8_t lease[4096], t1[4096], t2[4096];
		struct fixture *fixture;
		struct reply reply;
		char *dhcp;

		assert_true(asprintf(&dhcp, "lease-time = %u\n", times[i]) > 0);
		fixture = fixture_new(dhcp);
		assert_true(run(fixture, &request, &reply));
		assert_int_equal(reply_option(&reply, 51, lease), 4);
		assert_int_equal(reply_option(&reply, 58, t1), 4);
		assert_int_equal(reply_option(&reply, 59, t2), 4);
		assert_int_equal(get32(lease), times[i]);
		/* RFC 2131 4.4.5 */
		assert_true(0 < get32(t1));
		assert_true(get32(t1) < get32(t2));
		assert_true(get32(t2) < get32(lease));
		assert_int_equal(get32(t1), times[i] / 2);
		assert_int_equal(get32(t2), (uint32_t)((uint64_t)times[i] * 7 / 8));
		fixture_free(fixture);
		free(dhcp);
	}
}

/* Every length of a client identifier: the legal ones (RFC 2132 9.14) come back as they were. */
static void test_client_id_lengths(void **state)
{
	struct fixture *fixture = fixture_new(NULL);

	(void)state;
	for (size_t len = 0; len <= 255; len++) {
		char options[257];
		const struct request request = { .type = 1, .options = { options, len + 2 } };
		uint8_t value[4096];
		struct reply reply;

		options[0] = 61;
		options[1] = (char)len;
		for (size_t i = 0; i < len; i++)
			options[2 + i] = (char)(i * 5);
		assert_true(run(fixture, &request, &reply));
		if (len < 2) {
			assert_int_equal(reply_option(&reply, 61, value), -1);
		} else {
			assert_int_equal(reply_option(&reply, 61, value), len);
			assert_memory_equal(value, options + 2, len);
		}
		assert_int_equal(get32(reply.message + 16), PLANNED);
	}
	fixture_free(fixture);
}

/* --- 27, 28: sizes ------------------------------------------------------------------------ */

/* 20 options of 50 octets: more than fits into 576, not more than fits into 1500. */
static char *many_options(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (int code = 200; code < 220; code++)
		fprintf(out,
			"option.%d = text:%02d345678901234567890123456789012345678901234567890\n",
			code, code - 200);
	fclose(out);
	return text;
}

static const struct size_row {
	const char *sentence;
	struct octets size; /* option 57, as it is encoded */
	size_t most;        /* octets of the IP packet */
	bool all;           /* all options fit */
} size_rows[] = {
	{ "27: no size: 576", { NULL, 0 }, 576, false },
	{ "27: 0 counts as 576", OCTETS("\x39\x02\x00\x00"), 576, false },
	{ "27: 300 counts as 576", OCTETS("\x39\x02\x01\x2c"), 576, false },
	{ "27: 575 counts as 576", OCTETS("\x39\x02\x02\x3f"), 576, false },
	{ "27: 576", OCTETS("\x39\x02\x02\x40"), 576, false },
	{ "27: 1000 is honoured", OCTETS("\x39\x02\x03\xe8"), 1000, false },
	{ "27: 1500", OCTETS("\x39\x02\x05\xdc"), 1500, true },
	{ "27: 65535 is what the wire takes", OCTETS("\x39\x02\xff\xff"), 1500, true },
	{ "27: one octet is no size", OCTETS("\x39\x01\xff"), 576, false },
	{ "27: three octets are no size", OCTETS("\x39\x03\x05\xdc\x00"), 576, false },
};

static void test_size(void **state)
{
	const struct size_row *row = *state;
	const struct request request = { .type = 1, .options = row->size };
	char *dhcp = many_options();
	struct fixture *fixture = fixture_new(dhcp);
	size_t configured = 0;
	struct reply reply;

	assert_true(run(fixture, &request, &reply));
	assert_true(28 + reply.len <= row->most);
	/* the space is used: less than one more option (52) and the overload (3) is left */
	if (!row->all)
		assert_true(28 + reply.len + 52 + 3 > row->most);
	for (size_t i = 0; i < reply.count; i++)
		configured += reply.option[i].code >= 200;
	assert_true(row->all ? configured == 20 : configured < 20);
	/* the lease is never crowded out */
	{
		uint8_t value[4096];

		assert_int_equal(reply_option(&reply, 51, value), 4);
		assert_int_equal(reply_option(&reply, 58, value), 4);
		assert_int_equal(reply_option(&reply, 59, value), 4);
		assert_int_equal(reply_option(&reply, 1, value), 4);
	}
	fixture_free(fixture);
	free(dhcp);
}

static void test_overload(void **state)
{
	char *dhcp = many_options();
	struct fixture *fixture = fixture_new(dhcp);
	const struct request request = { .type = 1,
		.options = OCTETS("\x52\x03\x01\x01x\x3d\x02\x00y") };
	uint8_t value[4096];
	struct reply reply;

	(void)state;
	assert_true(run(fixture, &request, &reply));
	/* both fields are free, and used */
	assert_int_equal(reply_option(&reply, 52, value), 1);
	assert_int_equal(value[0], 3);
	assert_true(reply.count > reply.in_options);
	assert_non_null(strstr(codes(&reply, false), "file:"));
	assert_non_null(strstr(codes(&reply, false), "sname:"));
	assert_int_equal(reply_option(&reply, 82, value), 3);
	assert_int_equal(reply_option(&reply, 61, value), 2);
	/* each whole: none is cut at the end of a field */
	for (uint8_t code = 200; code < 220; code++) {
		int len = reply_option(&reply, code, value);

		assert_true(len == -1 || len == 50);
		if (len == 50)
			assert_int_equal(value[1], '0' + (code - 200) % 10);
	}
	fixture_free(fixture);
	free(dhcp);
}

static void test_overload_keeps_boot_file(void **state)
{
	char *options = many_options(), *dhcp;
	const struct request request = { .type = 1 };
	struct fixture *fixture;
	uint8_t value[4096];
	struct reply reply;

	(void)state;
	assert_true(asprintf(&dhcp, "boot-file = pxelinux.0\nnext-server = 10.77.0.9\n%s",
			    options) > 0);
	fixture = fixture_new(dhcp);
	assert_true(run(fixture, &request, &reply));
	/* PXE reads the field: it is a name, not options */
	assert_string_equal((const char *)reply.message + 108, "pxelinux.0");
	assert_int_equal(get32(reply.message + 20), IP4(10, 77, 0, 9));
	assert_int_equal(reply_option(&reply, 52, value), 1);
	assert_int_equal(value[0], 2);
	fixture_free(fixture);
	free(options);
	free(dhcp);
}

static void test_no_overload_for_bootp(void **state)
{
	char *dhcp = many_options();
	struct fixture *fixture = fixture_new(dhcp);
	const struct request request = { .type = 0 };
	uint8_t value[4096];
	struct reply reply;

	(void)state;
	assert_true(run(fixture, &request, &reply));
	/* RFC 951: 300 octets, and file is a name */
	assert_int_equal(reply.len, 300);
	assert_int_equal(reply_option(&reply, 52, value), -1);
	for (size_t i = 44; i < 236; i++)
		assert_int_equal(reply.message[i], 0);
	fixture_free(fixture);
	free(dhcp);
}

/* RFC 3396: a value of more than 255 octets goes in parts. */
static void test_long_option(void **state)
{
	const struct request request = { .type = 1,
		.options = OCTETS("\x39\x02\x05\xdc\x37\x02\x01\xe0") };
	char dhcp[1200] = "option.224 = hex:";
	struct fixture *fixture;
	uint8_t value[4096];
	struct reply reply;
	size_t len = strlen(dhcp);

	(void)state;
	for (int i = 0; i < 400; i++)
		len += (size_t)snprintf(dhcp + len, sizeof(dhcp) - len, "%02x", i & 255);
	snprintf(dhcp + len, sizeof(dhcp) - len, "\n");
	fixture = fixture_new(dhcp);
	assert_true(run(fixture, &request, &reply));
	assert_int_equal(reply_option(&reply, 224, value), 400);
	for (int i = 0; i < 400; i++)
		assert_int_equal(value[i], i & 255);
	assert_string_equal(codes(&reply, false), "1 224 224");
	fixture_free(fixture);
}

/*
 * Classless routes of so many octets (each 9, by 10.77.0.9; the last one is the default route)
 * beside options that leave them no field whole: in parts, or else the router.
 */
static const struct routes_row {
	const char *sentence;
	int routes;        /* with a prefix of 32 */
	struct octets ask; /* options of the request */
	const char *more;  /* lines of [dhcp] */
	const char *codes; /* "121" stands for each part */
} routes_rows[] = {
	{ "31: 248 octets of routes fit", 27, OCTETS("\x37\x03\x01\x03\x79"), "", "1 121" },
	{ "31: 401 octets of routes: in the three fields", 44, OCTETS("\x37\x03\x01\x03\x79"), "",
		"1 121 121 file: 121 sname: 121" },
	{ "31: 203 octets of routes where no field has room for them: in two", 22,
		OCTETS("\x37\x04\x01\xe0\x03\x79"),
		"option.224 = text:0123456789012345678901234567890123456789012345678901234567890123"
		"4567890123456789012345678901234567890123456789\n",
		"1 224 121 file: 121" },
	{ "31: beside a boot file: sname takes the rest", 33, OCTETS("\x37\x03\x01\x03\x79"),
		"boot-file = pxelinux.0\n", "1 121 121 sname: 121" },
	{ "31: 905 octets of routes have no room: the router", 100,
		OCTETS("\x37\x04\x01\x79\x03\x06"), "dns = 10.77.0.2\n", "1 3 6" },
	{ "31: nor beside another that has none", 100, OCTETS("\x37\x05\x01\xe0\x79\x03\x06"),
		"dns = 10.77.0.2\noption.224 = text:"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		"\n",
		"1 3 6" },
	{ "31: 905 octets of routes for who takes 1500", 100,
		OCTETS("\x39\x02\x05\xdc\x37\x03\x01\x03\x79"), "", "1 121 121 121 121" },
};

static void test_routes(void **state)
{
	const struct routes_row *row = *state;
	const struct request request = { .type = 1, .options = row->ask };
	char dhcp[8192] = "static-routes = ";
	struct fixture *fixture;
	uint8_t value[4096];
	struct reply reply;
	size_t len = strlen(dhcp);
	int got;

	for (int i = 0; i < row->routes; i++)
		len += (size_t)snprintf(dhcp + len, sizeof(dhcp) - len, "10.9.0.%d/32 10.77.0.9, ",
			i);
	snprintf(dhcp + len, sizeof(dhcp) - len, "0.0.0.0/0 10.77.0.9\n%s", row->more);
	fixture = fixture_new(dhcp);
	assert_true(run(fixture, &request, &reply));
	assert_string_equal(codes(&reply, false), row->codes);
	got = reply_option(&reply, 121, value);
	assert_int_equal(got, strstr(row->codes, "121") ? row->routes * 9 + 5 : -1);
	for (int i = 0; i < row->routes && got > 0; i++) {
		const uint8_t route[] = { 32, 10, 9, 0, (uint8_t)i, 10, 77, 0, 9 };

		assert_memory_equal(value + i * 9, route, 9);
	}
	assert_int_equal(fixture->exchange.left_out, got > 0 ? 0 : 121);
	fixture_free(fixture);
}

/* A relay's option of every length: whole or not at all, and the lease stays. */
static void test_relay_option_lengths(void **state)
{
	char *dhcp = many_options();
	struct fixture *fixture = fixture_new(dhcp);

	(void)state;
	for (size_t len = 0; len <= 255; len++) {
		char options[257];
		const struct request request = { .type = 1,
			.giaddr = RELAY,
			.source = ROUTER_MAC,
			.options = { options, len + 2 } };
		uint8_t value[4096];
		struct reply reply;
		int got;

		options[0] = 82;
		options[1] = (char)len;
		for (size_t i = 0; i < len; i++)
			options[2 + i] = (char)(i * 3);
		assert_true(run(fixture, &request, &reply));
		assert_true(28 + reply.len <= 576);
		got = reply_option(&reply, 82, value);
		/* the most that is asked for leaves room for the lease: it is there, and whole */
		assert_int_equal(got, len);
		assert_memory_equal(value, options + 2, len);
		assert_int_equal(reply_option(&reply, 51, value), 4);
	}
	fixture_free(fixture);
	free(dhcp);
}

/* --- 36: what is no request --------------------------------------------------------------- */

/* Every row's frame cut off after every octet: silence, and no crash. */
static void test_truncated(void **state)
{
	struct fixture *fixture = fixture_new(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(exchange_rows); i++) {
		uint8_t data[MESSAGE_MAX + 42];
		size_t whole = request_frame(&exchange_rows[i].request, data);

		for (size_t len = 0; len < whole; len++) {
			uint8_t *copy = malloc(len ? len : 1);

			memcpy(copy, data, len);
			dhcp_exchange(&fixture->server, copy, len, 7, &fixture->exchange);
			free(copy);
			assert_int_equal(fixture->exchange.reply_len, 0);
			assert_int_equal(fixture->exchange.verdict.lease, LEASE_UNCHANGED);
		}
	}
	fixture_free(fixture);
}

/* Every row's message with octets changed at random: any answer is a well-formed one. */
static void test_mutated(void **state)
{
	struct fixture *fixture = fixture_new(NULL);
	uint32_t random = 7;
	size_t answered = 0;

	(void)state;
	fixture->server.verify_source = false;
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < COUNT(exchange_rows); i++) {
			struct request request = exchange_rows[i].request;
			struct reply reply;
			uint8_t data[MESSAGE_MAX + 42];
			size_t len;

			len = request_frame(&request, data);
			for (int n = 0; n < 3; n++) {
				random = random * 1664525 + 1013904223;
				data[42 + 240 + (random >> 16) % (len - 42 - 240)] =
					(uint8_t)(random >> 8);
			}
			put16(data + 40, 0); /* no checksum */
			free(fixture->frame);
			fixture->frame = malloc(len);
			memcpy(fixture->frame, data, len);
			dhcp_exchange(&fixture->server, fixture->frame, len, 7, &fixture->exchange);
			if (!fixture->exchange.reply_len)
				continue;
			answered++;
			reply_read(fixture->exchange.reply, fixture->exchange.reply_len, &reply);
			request.type = fixture->exchange.message.type == DHCP_BOOTP ? 0 : 1;
			assert_common(&request, fixture->frame, &reply);
		}
	}
	/* not all were silenced, or this would say nothing */
	assert_true(answered > 1000);
	fixture_free(fixture);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_exchange, exchange_rows);
	suite_add(&suite, "7: the ACK has the OFFER's parameters", test_offer_and_ack, NULL);
	suite_add(&suite, "34: the same request has the same answer", test_duplicate, NULL);
	suite_add(&suite, "22: 0 < T1 < T2 < lease, for short and long ones", test_timers, NULL);
	suite_add(&suite, "23: client identifiers of every length", test_client_id_lengths, NULL);
	SUITE_ROWS(&suite, test_size, size_rows);
	suite_add(&suite, "28: what does not fit goes to file and sname", test_overload, NULL);
	suite_add(&suite, "28: file stays a name where there is a boot file",
		test_overload_keeps_boot_file, NULL);
	suite_add(&suite, "38: BOOTP has no overload and 300 octets", test_no_overload_for_bootp,
		NULL);
	suite_add(&suite, "a value of 400 octets goes in two parts", test_long_option, NULL);
	SUITE_ROWS(&suite, test_routes, routes_rows);
	suite_add(&suite, "30: option 82 of every length beside many options",
		test_relay_option_lengths, NULL);
	suite_add(&suite, "36: cut off after any octet", test_truncated, NULL);
	suite_add(&suite, "36: mutated messages have well-formed answers", test_mutated, NULL);
	return suite_run(&suite, "exchange");
}
