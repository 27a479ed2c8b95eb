/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server of this plan answers, RFC 2131 4.3. The numbers are those of the conformance
 * checklist for static reservations.
 */
#include "tests/unit/fixture.h"
#include "tests/unit/wire.h"

#include "dhcpd/decide.h"

#define PLANNED   IP4(10, 77, 0, 11)
#define OTHER     IP4(10, 77, 0, 99)
#define US        "\x36\x04\x0a\x4d\x00\x01"
#define THEM      "\x36\x04\x0a\x4d\x00\xfe"
#define ASK       "\x32\x04\x0a\x4d\x00\x0b" /* option 50, the planned address */
#define ASK_OTHER "\x32\x04\x0a\x4d\x00\x63"
#define ASK_FAR   "\x32\x04\xc0\xa8\x01\x02"

enum who { KNOWN, UNKNOWN, IGNORED };

static const struct decide_row {
	const char *sentence;
	struct request request;
	enum who who;
	bool lax; /* not authoritative */
	enum dhcp_type reply;
	enum dhcp_drop drop;
	enum lease_change lease;
} decide_rows[] = {
	{ "1: DISCOVER of a known MAC", { .type = 1 }, .reply = DHCP_OFFER },
	{ "3: DISCOVER over a relay in our network", { .type = 1, .giaddr = IP4(10, 77, 0, 200) },
		.reply = DHCP_OFFER },
	{ "3: DISCOVER over a relay elsewhere", { .type = 1, .giaddr = IP4(10, 78, 0, 200) },
		.drop = DROP_RELAY },
	{ "3: REQUEST over a relay elsewhere",
		{ .type = 3, .giaddr = IP4(10, 78, 0, 200), .options = OCTETS(US ASK) },
		.drop = DROP_RELAY },
	{ "4: DISCOVER of an unknown MAC", { .type = 1 }, UNKNOWN, .drop = DROP_UNKNOWN },
	{ "4: DISCOVER of a MAC to be ignored", { .type = 1 }, IGNORED, .drop = DROP_IGNORED },
	{ "5: DISCOVER asking for another address", { .type = 1, .options = OCTETS(ASK_OTHER) },
		.reply = DHCP_OFFER },
	{ "6: DISCOVER with a ciaddr", { .type = 1, .ciaddr = OTHER }, .reply = DHCP_OFFER },
	{ "7: SELECTING us and the planned address", { .type = 3, .options = OCTETS(US ASK) },
		.reply = DHCP_ACK, .lease = LEASE_GRANTED },
	{ "8: SELECTING another server", { .type = 3, .options = OCTETS(THEM ASK) },
		.drop = DROP_OTHER_SERVER },
	{ "8: SELECTING another server and another address",
		{ .type = 3, .options = OCTETS(THEM ASK_OTHER) }, .drop = DROP_OTHER_SERVER },
	{ "8: a server identifier of three octets is not ours",
		{ .type = 3, .options = OCTETS("\x36\x03\x0a\x4d\x00" ASK) },
		.drop = DROP_OTHER_SERVER },
	{ "9: SELECTING us and another address", { .type = 3, .options = OCTETS(US ASK_OTHER) },
		.reply = DHCP_NAK },
	{ "9: the same, not authoritative: we have offered, so we answer",
		{ .type = 3, .options = OCTETS(US ASK_OTHER) }, .lax = true, .reply = DHCP_NAK },
	{ "10: INIT-REBOOT with the planned address", { .type = 3, .options = OCTETS(ASK) },
		.reply = DHCP_ACK, .lease = LEASE_GRANTED },
	{ "10: the same, not authoritative", { .type = 3, .options = OCTETS(ASK) }, .lax = true,
		.reply = DHCP_ACK, .lease = LEASE_GRANTED },
	{ "11: INIT-REBOOT with another address", { .type = 3, .options = OCTETS(ASK_OTHER) },
		.reply = DHCP_NAK },
	{ "11: INIT-REBOOT with an address of another network",
		{ .type = 3, .options = OCTETS(ASK_FAR) }, .reply = DHCP_NAK },
	{ "11: INIT-REBOOT with another address over a relay",
		{ .type = 3, .giaddr = IP4(10, 77, 0, 200), .options = OCTETS(ASK_OTHER) },
		.reply = DHCP_NAK },
	{ "11: not authoritative, silence", { .type = 3, .options = OCTETS(ASK_OTHER) },
		.lax = true, .drop = DROP_NOT_AUTHORITATIVE },
	{ "12: INIT-REBOOT of an unknown MAC", { .type = 3, .options = OCTETS(ASK) }, UNKNOWN,
		.drop = DROP_UNKNOWN },
	{ "12: INIT-REBOOT of an unknown MAC, another network",
		{ .type = 3, .options = OCTETS(ASK_FAR) }, UNKNOWN, .drop = DROP_UNKNOWN },
	{ "13: RENEWING", { .type = 3, .ciaddr = PLANNED, .destination_ip = SELF },
		.reply = DHCP_ACK, .lease = LEASE_GRANTED },
	{ "14: REBINDING", { .type = 3, .ciaddr = PLANNED }, .reply = DHCP_ACK,
		.lease = LEASE_GRANTED },
	{ "14: REBINDING, not authoritative", { .type = 3, .ciaddr = PLANNED }, .lax = true,
		.reply = DHCP_ACK, .lease = LEASE_GRANTED },
	{ "15: RENEWING another address", { .type = 3, .ciaddr = OTHER, .destination_ip = SELF },
		.reply = DHCP_NAK },
	{ "15: REBINDING another address", { .type = 3, .ciaddr = OTHER }, .reply = DHCP_NAK },
	{ "15: REBINDING another address, not authoritative", { .type = 3, .ciaddr = OTHER },
		.lax = true, .drop = DROP_NOT_AUTHORITATIVE },
	{ "15: RENEWING, unknown MAC", { .type = 3, .ciaddr = OTHER }, UNKNOWN,
		.drop = DROP_UNKNOWN },
	{ "16: REQUEST for no address", { .type = 3 }, .drop = DROP_NO_ADDRESS },
	{ "16: REQUEST to us for no address", { .type = 3, .options = OCTETS(US) },
		.drop = DROP_NO_ADDRESS },
	{ "16: an address of three octets is none",
		{ .type = 3, .options = OCTETS("\x32\x03\x0a\x4d\x00") }, .drop = DROP_NO_ADDRESS },
	{ "18: DECLINE", { .type = 4, .options = OCTETS(US ASK) }, .lease = LEASE_DECLINED },
	{ "18: DECLINE of another address", { .type = 4, .options = OCTETS(US ASK_OTHER) },
		.drop = DROP_MISMATCH },
	{ "18: DECLINE without an address", { .type = 4, .options = OCTETS(US) },
		.drop = DROP_MISMATCH },
	{ "18: DECLINE without a server", { .type = 4, .options = OCTETS(ASK) },
		.drop = DROP_OTHER_SERVER },
	{ "18: DECLINE to another server", { .type = 4, .options = OCTETS(THEM ASK) },
		.drop = DROP_OTHER_SERVER },
	{ "18: DECLINE of an unknown MAC", { .type = 4, .options = OCTETS(US ASK) }, UNKNOWN,
		.drop = DROP_UNKNOWN },
	{ "19: RELEASE", { .type = 7, .ciaddr = PLANNED, .options = OCTETS(US) },
		.lease = LEASE_RELEASED },
	{ "19: RELEASE of another address", { .type = 7, .ciaddr = OTHER, .options = OCTETS(US) },
		.drop = DROP_MISMATCH },
	{ "19: RELEASE of no address", { .type = 7, .options = OCTETS(US) },
		.drop = DROP_MISMATCH },
	{ "19: RELEASE of no address in ciaddr, but in option 50",
		{ .type = 7, .options = OCTETS(US ASK) }, .drop = DROP_MISMATCH },
	{ "19: RELEASE to another server",
		{ .type = 7, .ciaddr = PLANNED, .options = OCTETS(THEM) },
		.drop = DROP_OTHER_SERVER },
	/* which RFC 2131 does not allow, and systemd-networkd sends */
	{ "19: RELEASE to no server", { .type = 7, .ciaddr = PLANNED }, .lease = LEASE_RELEASED },
	{ "19: RELEASE of an unknown MAC", { .type = 7, .ciaddr = PLANNED, .options = OCTETS(US) },
		UNKNOWN, .drop = DROP_UNKNOWN },
	{ "20: INFORM", { .type = 8, .ciaddr = PLANNED }, .reply = DHCP_ACK },
	{ "20: INFORM from another address gives no lease", { .type = 8, .ciaddr = OTHER },
		.reply = DHCP_ACK },
	{ "20: INFORM without an address", { .type = 8 }, .drop = DROP_NO_ADDRESS },
	{ "20: INFORM of an unknown MAC", { .type = 8, .ciaddr = PLANNED }, UNKNOWN,
		.drop = DROP_UNKNOWN },
	{ "32: rapid commit is committed at once", { .type = 1, .options = OCTETS("\x50\x00") },
		.reply = DHCP_ACK, .lease = LEASE_GRANTED },
	{ "32: an option 80 with content is not the rapid commit",
		{ .type = 1, .options = OCTETS("\x50\x01\x00") }, .reply = DHCP_OFFER },
	{ "32: rapid commit of an unknown MAC", { .type = 1, .options = OCTETS("\x50\x00") },
		UNKNOWN, .drop = DROP_UNKNOWN },
	{ "38: BOOTP", { .type = 0 }, .reply = DHCP_BOOTP, .lease = LEASE_GRANTED },
	{ "38: BOOTP of an unknown MAC", { .type = 0 }, UNKNOWN, .drop = DROP_UNKNOWN },
	{ "38: BOOTP of a MAC to be ignored", { .type = 0 }, IGNORED, .drop = DROP_IGNORED },
};

static struct plan *plan;

static struct dhcp_verdict decide(const struct request *request, enum who who, bool authoritative)
{
	static uint8_t data[MESSAGE_MAX];
	static struct dhcp_message message;
	const struct dhcp_policy policy = { .self = self, .authoritative = authoritative };
	const struct vm *vm = who == KNOWN ? plan_vm(plan, 0)
		: who == IGNORED           ? plan_vm(plan, 1)
					   : NULL;

	assert_int_equal(dhcp_message_decode(data, request_message(request, data), &message),
		DROP_NONE);
	return dhcp_decide(&policy, vm, &message);
}

static void test_decide(void **state)
{
	const struct decide_row *row = *state;
	struct dhcp_verdict verdict = decide(&row->request, row->who, !row->lax);

	assert_int_equal(verdict.reply, row->reply);
	assert_int_equal(verdict.drop, row->drop);
	assert_int_equal(verdict.lease, row->lease);
	assert_non_null(verdict.why);
	assert_true(*verdict.why);
	if (row->who == UNKNOWN)
		assert_null(verdict.vm);
	else if (row->reply != DHCP_NONE || row->lease != LEASE_UNCHANGED)
		assert_ptr_equal(verdict.vm, plan_vm(plan, row->who == IGNORED));
}

/* 35: secs, hops and flags have no part in any decision. */
static void test_no_effect(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(decide_rows); i++) {
		const struct decide_row *row = &decide_rows[i];
		struct request request = row->request;
		struct dhcp_verdict verdict;

		request.secs = 0xffff;
		request.hops = 16;
		request.flags = 0xffff;
		verdict = decide(&request, row->who, !row->lax);
		assert_int_equal(verdict.reply, row->reply);
		assert_int_equal(verdict.drop, row->drop);
		assert_int_equal(verdict.lease, row->lease);
	}
}

/* Every combination of what a client can say: the rules that hold for all of them. */
static void test_all_combinations(void **state)
{
	static const struct octets servers[] = { { NULL, 0 }, OCTETS(US), OCTETS(THEM) };
	static const struct octets asked[] = { { NULL, 0 }, OCTETS(ASK), OCTETS(ASK_OTHER),
		OCTETS(ASK_FAR) };
	static const uint32_t ciaddrs[] = { 0, PLANNED, OTHER };
	static const uint32_t giaddrs[] = { 0, IP4(10, 77, 0, 200), IP4(10, 78, 0, 200) };
	static const uint8_t types[] = { 0, 1, 3, 4, 7, 8 };
	size_t combinations = 0;

	(void)state;
	for (size_t n = 0; n < COUNT(types) * 3 * 4 * 3 * 3 * 3 * 2; n++) {
		size_t rest = n;
		const uint8_t type = types[rest % COUNT(types)];
		const struct octets *server = &servers[(rest /= COUNT(types)) % 3];
		const struct octets *ask = &asked[(rest /= 3) % 4];
		const uint32_t ciaddr = ciaddrs[(rest /= 4) % 3], giaddr = giaddrs[(rest /= 3) % 3];
		const enum who who = (enum who)((rest /= 3) % 3);
		const bool lax = rest / 3;
		char options[16];
		struct request request = { .type = type,
			.ciaddr = ciaddr,
			.giaddr = giaddr,
			.options = { options, server->len + ask->len } };
		struct dhcp_verdict verdict;

		if (server->len)
			memcpy(options, server->data, server->len);
		if (ask->len)
			memcpy(options + server->len, ask->data, ask->len);
		verdict = decide(&request, who, !lax);
		combinations++;
		/* silence to strangers, the ignored, far relays and those of other servers */
		if (who != KNOWN || giaddr == giaddrs[2] ||
			(server == &servers[2] && (type == 3 || type == 4 || type == 7))) {
			assert_int_equal(verdict.reply, DHCP_NONE);
			assert_int_equal(verdict.lease, LEASE_UNCHANGED);
		}
		/* a lease is granted by an ACK or to BOOTP only, never by an OFFER or a NAK */
		if (verdict.lease == LEASE_GRANTED)
			assert_true(verdict.reply == DHCP_ACK || verdict.reply == DHCP_BOOTP);
		if (verdict.reply == DHCP_ACK && type == 3)
			assert_int_equal(verdict.lease, LEASE_GRANTED);
		/* DECLINE and RELEASE are never answered */
		if (type == 4 || type == 7)
			assert_int_equal(verdict.reply, DHCP_NONE);
		/* silence always has its reason, unless it is what the client wanted */
		if (verdict.reply == DHCP_NONE)
			assert_true((verdict.drop != DROP_NONE) !=
				(verdict.lease != LEASE_UNCHANGED));
		else
			assert_int_equal(verdict.drop, DROP_NONE);
		/* a NAK of a client that does not name us needs the authority */
		if (lax && server == &servers[0])
			assert_int_not_equal(verdict.reply, DHCP_NAK);
	}
	assert_int_equal(combinations, 6 * 3 * 4 * 3 * 3 * 3 * 2);
}

static void test_drop_texts(void **state)
{
	(void)state;
	for (int i = 0; i < DROP_COUNT; i++) {
		const struct dhcp_drop_text *text = dhcp_drop_text((enum dhcp_drop)i);

		assert_non_null(text);
		assert_non_null(text->name);
		assert_non_null(text->why);
		assert_true(*text->why);
		/* a name of a counter: one word, and no other's */
		assert_true(*text->name);
		assert_int_equal(strspn(text->name, "abcdefghijklmnopqrstuvwxyz0123456789-"),
			strlen(text->name));
		for (int other = 0; other < i; other++)
			assert_string_not_equal(text->name,
				dhcp_drop_text((enum dhcp_drop)other)->name);
	}
}

int main(void)
{
	struct suite suite = { 0 };
	int failed;

	plan = plan_of("02:00:00:00:00:01,vm-001,10.77.0.11\n"
		       "02:00:00:00:00:03,vm-003,10.77.0.13,ignore\n");
	SUITE_ROWS(&suite, test_decide, decide_rows);
	suite_add(&suite, "35: secs, hops and flags have no part in it", test_no_effect, NULL);
	suite_add(&suite, "the rules that hold for all combinations", test_all_combinations, NULL);
	suite_add(&suite, "every reason for silence has a name and a sentence", test_drop_texts,
		NULL);
	failed = suite_run(&suite, "decide");
	plan_free(plan);
	return failed;
}
