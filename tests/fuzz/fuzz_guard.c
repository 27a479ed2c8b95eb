/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Octets are two situations (plan, who is isolated, who sits where) and a frame. The rules of each
 * can be made in the kernel, also from those of the other; they go into messages; and whatever
 * frame passes them is one that may.
 */
#include <arpa/inet.h>

#include "tests/unit/bridge.h"

#include "natmgr/guard.h"
#include "natmgr/nft_message.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/nft_model.h"

#define HOST       0xc0a80616u
#define UPLINK     2u
#define FIRST_PORT 11u
#define PORTS      6u
#define VMS        5u

/* --- input -------------------------------------------------------------------------------- */

struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t take(struct input *input)
{
	if (!input->size)
		return 0;
	input->size--;
	return *input->data++;
}

struct situation {
	const struct plan *plan;
	struct isolation isolation;
	struct port ports[PORTS];
	struct seat seats[VMS];
	struct guard_settings settings;
	struct nft_table table;
};

/* The names are the same, whoever has which MAC and address. */
static const struct plan *choose_plan(unsigned n)
{
	static const char first[] = "02:00:00:00:00:01,one,192.168.6.1\n"
				    "02:00:00:00:00:02,two,192.168.6.2\n"
				    "02:00:00:00:00:03,port,192.168.6.3\n"
				    "02:00:00:00:00:04,mac,192.168.6.4\n"
				    "02:00:00:00:00:05,five,192.168.6.5\n";
	static const char second[] = "02:00:00:00:00:02,one,192.168.6.1\n"
				     "02:00:00:00:00:01,two,192.168.6.9\n"
				     "02:00:00:00:00:04,MAC,192.168.6.3\n";
	static const char *const texts[] = { first, second, "" };
	static struct plan *plans[3];

	n %= 3;
	if (!plans[n])
		plans[n] = fuzz_plan(texts[n]);
	return plans[n];
}

static void take_isolated(struct input *input, struct isolation *isolation)
{
	static const char *const names[] = { "one", "TWO", "port", "mac", "nobody" };
	const char *name = names[take(input) % 5];
	struct ip4_prefix allow[3];
	size_t count = take(input) % 4;

	for (size_t i = 0; i < count; i++) {
		allow[i].addr = take(input) & 1 ? 0xc0a80600 : 0xc6336400;
		allow[i].addr |= take(input);
		allow[i].len = (uint8_t)(take(input) % 33);
	}
	(void)isolation_add(isolation, name, allow, count, "");
	for (unsigned n = take(input) % 3; n > 0; n--) {
		struct port port = { .index = FIRST_PORT + take(input) % PORTS };

		(void)isolated_see(isolation_find(isolation, name), &port);
	}
}

static void take_situation(struct input *input, struct situation *situation)
{
	static const unsigned others[] = { 50 };
	bool taken[PORTS] = { false };
	unsigned flags = take(input);

	*situation = (struct situation){ .plan = choose_plan(flags >> 4) };
	for (unsigned n = take(input) % 4; n > 0; n--)
		take_isolated(input, &situation->isolation);
	(void)isolation_follow(&situation->isolation, choose_plan(take(input)));
	for (unsigned i = 0; i < PORTS; i++)
		situation->ports[i].index = FIRST_PORT + i;
	situation->settings = (struct guard_settings){ .inner = { HOST, 24 },
		.knows_bridges = !(flags & 8),
		.ports = situation->ports,
		.port_count = flags & 2 ? PORTS : PORTS - 1,
		.others = others,
		.other_count = sizeof(others) / sizeof(*others),
		.bridge_mac = { { 0x02, 0, 0, 0, 0, 0x77 } },
		.bridge = BRIDGE,
		.uplink = flags & 1 ? UPLINK_NAME : "",
		.plan = situation->plan,
		.anti_spoof = flags & 4,
		.seats = situation->seats };
	for (size_t i = 0; i < plan_count(situation->plan); i++) {
		unsigned port = take(input) % (PORTS + 1);

		if (port == PORTS || taken[port])
			continue;
		taken[port] = true;
		situation->seats[situation->settings.seat_count++] = (struct seat){
			plan_vm(situation->plan, i), FIRST_PORT + port
		};
	}
	guard_build(&situation->isolation, &situation->settings, &situation->table);
}

/* --- tables and messages ------------------------------------------------------------------ */

static void require(const char *why)
{
	if (!why)
		return;
	fprintf(stderr, "%s\n", why);
	abort();
}

static void check_batch(const struct nft_table *have, const struct nft_table *want)
{
	struct nft_batch batch = { 0 };
	struct nft_edit *edits;
	size_t count = nft_table_diff(have, want, &edits), at = 0;
	uint32_t sequence = 0;

	nft_batch_begin(&batch, 1);
	nft_batch_edits(&batch, GUARD_TABLE, edits, count);
	(void)nft_batch_end(&batch, true);
	while (at < batch.len) {
		const struct nlmsghdr *header = (struct nlmsghdr *)(void *)(batch.data + at);

		if (batch.len - at < sizeof(*header) || header->nlmsg_len > batch.len - at ||
			header->nlmsg_len < sizeof(*header) || header->nlmsg_seq != ++sequence)
			require("a batch is no row of messages");
		at += NLMSG_ALIGN(header->nlmsg_len);
	}
	nft_batch_done(&batch);
	free(edits);
}

static void check_tables(const struct nft_table *one, const struct nft_table *other)
{
	static const struct nft_table nothing;
	size_t count;

	require(model_become(&nothing, one, NULL));
	require(model_become(one, other, NULL));
	require(model_become(other, &nothing, NULL));
	require(model_become(one, one, &count));
	if (count)
		require("there is something to do where nothing differs");
	check_batch(&nothing, one);
	check_batch(one, other);
	check_batch(other, &nothing);
}

/* --- a frame ------------------------------------------------------------------------------ */

/* What a frame says, read without any of the rules. */
struct reading {
	struct mac destination, source;
	bool is_ip, is_arp;
	uint32_t from, to; /* addresses, of sender and target */
	struct mac sender; /* in ARP */
	bool has_ports;
	unsigned ports[2];
};

static uint32_t u32_at(const struct frame *frame, size_t at)
{
	return at + 4 > frame->len
		? 0
		: (uint32_t)frame_u16(frame, at) << 16 | frame_u16(frame, at + 2);
}

static struct reading read_frame(const struct frame *frame)
{
	static const uint8_t format[] = { 0, 1, 8, 0, 6, 4 };
	struct reading reading = { 0 };
	size_t header = (frame->data[14] & 15) * 4u;

	memcpy(reading.destination.byte, frame->data, 6);
	memcpy(reading.source.byte, frame->data + 6, 6);
	reading.is_ip = frame_u16(frame, 12) == 0x0800 && frame->len >= 34;
	reading.is_arp = frame_u16(frame, 12) == 0x0806 && frame->len >= 32 &&
		!memcmp(frame->data + 14, format, sizeof(format));
	if (reading.is_arp)
		memcpy(reading.sender.byte, frame->data + 22, 6);
	reading.from = u32_at(frame, reading.is_arp ? 28 : 26);
	reading.to = u32_at(frame, reading.is_arp ? 38 : 30);
	/* whatever the header says of the length, as a client would that is not strict */
	reading.has_ports = reading.is_ip && frame->data[23] == IPPROTO_UDP &&
		!(frame_u16(frame, 20) & 0x1fff) && frame->len >= 14 + header + 4;
	if (reading.has_ports) {
		reading.ports[0] = frame_u16(frame, 14 + header);
		reading.ports[1] = frame_u16(frame, 14 + header + 2);
	}
	return reading;
}

static bool is_allowed(const struct isolated *isolated, uint32_t ip)
{
	for (size_t i = 0; i < isolated->allow_count; i++) {
		if (ip4_prefix_contains(&isolated->allow[i], ip))
			return true;
	}
	return false;
}

static bool is_on(const struct isolated *isolated, unsigned port)
{
	for (size_t i = 0; i < isolated->port_count; i++) {
		if (isolated->ports[i].index == port)
			return true;
	}
	return false;
}

static bool says_truth(const struct isolated *isolated, const struct reading *reading)
{
	return isolated->ip && mac_equal(&isolated->mac, &reading->source) &&
		reading->from == isolated->ip &&
		(!reading->is_arp || mac_equal(&isolated->mac, &reading->sender));
}

/* It may come in: DHCP and ARP to the host, or to whom it allows. */
static bool may_send(const struct isolated *isolated, const struct reading *reading)
{
	bool is_dhcp = reading->has_ports && reading->ports[0] == 68 && reading->ports[1] == 67 &&
		isolated->ip && mac_equal(&isolated->mac, &reading->source) &&
		(reading->from == isolated->ip || !reading->from) &&
		(reading->to == HOST || reading->to == INADDR_BROADCAST);

	return is_dhcp ||
		((reading->is_ip || reading->is_arp) && says_truth(isolated, reading) &&
			((reading->is_arp && reading->to == HOST) ||
				is_allowed(isolated, reading->to)));
}

/* It may go to another port: to whom it allows. */
static bool may_cross(const struct isolated *isolated, const struct reading *reading)
{
	return (reading->is_ip || reading->is_arp) && is_allowed(isolated, reading->to) &&
		may_send(isolated, reading);
}

static bool may_receive(const struct isolated *isolated, const struct reading *reading)
{
	return (reading->is_ip || reading->is_arp) && isolated->ip && reading->to == isolated->ip &&
		is_allowed(isolated, reading->from);
}

static bool is_honest(const struct situation *situation, const struct reading *reading,
	unsigned port)
{
	const struct vm *vm = plan_by_mac(situation->plan, &reading->source);
	const struct vm *sender = reading->is_arp ? plan_by_mac(situation->plan, &reading->sender)
						  : vm;

	if (!vm || !sender || (!reading->is_ip && !reading->is_arp) ||
		(reading->from && (reading->from != vm->ip || sender != vm)) ||
		(reading->has_ports && (reading->ports[0] == 67 || reading->ports[1] == 68)) ||
		(reading->is_ip && !reading->from && !reading->has_ports))
		return false;
	/* who has a seat sits there alone, and nowhere else */
	for (size_t i = 0; i < situation->settings.seat_count; i++) {
		if ((situation->seats[i].port == port) != (situation->seats[i].vm == vm))
			return false;
	}
	return true;
}

static bool passes(struct bridge_rules *rules, uint32_t hook, const struct frame *frame,
	unsigned in, unsigned out)
{
	const struct packet packet = packet_of(frame, in, out);
	bool passed = rules_pass(rules, hook, &packet);

	require(rules->error);
	return passed;
}

/* Of those that a port or a MAC is isolated for, at least one may. */
static bool any_may(const struct situation *situation, unsigned port, const struct mac *mac,
	const struct reading *reading,
	bool (*may)(const struct isolated *isolated, const struct reading *reading),
	bool *ret_concerned)
{
	const struct isolation *isolation = &situation->isolation;
	bool may_one = false, by_port = false, by_mac = false, may_by_mac = false;

	for (size_t i = 0; i < isolation->count; i++) {
		const struct isolated *isolated = &isolation->list[i];

		if (is_on(isolated, port)) {
			by_port = true;
			may_one = may_one || may(isolated, reading);
		} else if (port < 50 && isolated->ip && mac_equal(&isolated->mac, mac)) {
			by_mac = true;
			may_by_mac = may_by_mac || may(isolated, reading);
		}
	}
	*ret_concerned = by_port || by_mac;
	return by_port ? may_one : may_by_mac;
}

/* The rules know that it is a port of our bridge. */
static bool is_known(const struct situation *situation, unsigned port)
{
	return situation->settings.knows_bridges ||
		(port >= FIRST_PORT && port < FIRST_PORT + situation->settings.port_count);
}

static void check_frame(const struct situation *situation, const struct frame *frame, unsigned in,
	unsigned out)
{
	const struct reading reading = read_frame(frame);
	struct bridge_rules rules = { .table = &situation->table,
		.dropped = xcalloc(situation->table.counter_count + 1, sizeof(uint64_t)) };
	bool is_guarded = situation->settings.anti_spoof && in < 50 &&
		(in != UPLINK || !*situation->settings.uplink);
	bool comes_in = passes(&rules, NF_BR_PRE_ROUTING, frame, in, 0), concerned, may;
	bool lies;

	may = any_may(situation, in, &reading.source, &reading, may_send, &concerned);
	if (concerned && comes_in && !may)
		require("an isolated VM sends what it may not");
	lies = !concerned && is_guarded && !is_honest(situation, &reading, in);
	if (lies && comes_in && is_known(situation, in))
		require("a dishonest frame comes in");
	if (comes_in && passes(&rules, NF_BR_FORWARD, frame, in, out)) {
		if (lies && (is_known(situation, in) || is_known(situation, out)))
			require("a dishonest frame passes");
		may = any_may(situation, in, &reading.source, &reading, may_cross, &concerned);
		if (concerned && !may)
			require("an isolated VM reaches a port that it may not");
		may = any_may(situation, out, &reading.destination, &reading, may_receive,
			&concerned);
		if (concerned && !may)
			require("an isolated VM is reached by whom it does not allow");
	}
	free(rules.dropped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct situation one, other;
	struct frame frame = { 0 };
	unsigned in, out;

	take_situation(&input, &one);
	take_situation(&input, &other);
	in = take(&input) % (PORTS + 2);
	in = in < PORTS ? FIRST_PORT + in : in == PORTS ? UPLINK : 50;
	out = in == 50 ? 51 : FIRST_PORT + take(&input) % PORTS;
	check_tables(&one.table, &other.table);
	frame.len = input.size < sizeof(frame.data) ? input.size : sizeof(frame.data);
	if (frame.len >= 14 && in != out) {
		memcpy(frame.data, input.data, frame.len);
		check_frame(&one, &frame, in, out);
		check_frame(&other, &frame, in, out);
	}
	nft_table_done(&one.table);
	nft_table_done(&other.table);
	isolation_done(&one.isolation);
	isolation_done(&other.isolation);
	return 0;
}
