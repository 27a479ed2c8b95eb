/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The filter in the kernel: it lets pass what libpcap's own compiler says it shall. */
#include "tests/unit/support.h"

#include "dhcpd/link.h"

#define FRAME_LEN 120

static struct bpf_program compiled(void)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
	struct bpf_program program;

	assert_non_null(pcap);
	assert_int_equal(pcap_compile(pcap, &program, LINK_FILTER, 1, PCAP_NETMASK_UNKNOWN), 0);
	pcap_close(pcap);
	return program;
}

static bool passes(const struct bpf_program *program, const uint8_t *frame, size_t len)
{
	const struct pcap_pkthdr header = { .caplen = (bpf_u_int32)len, .len = (bpf_u_int32)len };

	return pcap_offline_filter(program, &header, frame) != 0;
}

/* UDP from a client to a server, 20 octets of IP header. */
static void write_frame(uint8_t frame[static FRAME_LEN])
{
	static const uint8_t head[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0,
		0x45, 0, 0, FRAME_LEN - 14, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255,
		255, 0, 68, 0, 67 };

	memset(frame, 0, FRAME_LEN);
	memcpy(frame, head, sizeof(head));
}

static const struct filter_row {
	const char *sentence;
	bool passes;
	struct {
		size_t at;
		uint8_t value;
	} patch[3];
	size_t len; /* 0: all of it */
} filter_rows[] = {
	{ "from a client to a server", true, { { 0 } }, 0 },
	{ "from a server to a server", true, { { 35, 67 } }, 0 },
	{ "from a server to a client", true, { { 35, 67 }, { 37, 68 } }, 0 },
	{ "from a relay's port to a server", true, { { 34, 4 } }, 0 },
	{ "from a client to a client", false, { { 37, 68 } }, 0 },
	{ "from a server to some port", false, { { 35, 67 }, { 37, 69 } }, 0 },
	{ "to some port", false, { { 36, 1 } }, 0 },
	{ "TCP", false, { { 23, 6 } }, 0 },
	{ "IPv6", false, { { 12, 0x86 }, { 13, 0xdd } }, 0 },
	{ "the first fragment", true, { { 20, 0x20 } }, 0 },
	{ "a later fragment", false, { { 21, 1 } }, 0 },
	{ "IP options push the ports back", true, { { 14, 0x46 }, { 39, 68 }, { 41, 67 } }, 0 },
	{ "IP options, and no port behind them", false, { { 14, 0x46 } }, 0 },
	{ "shorter than the ports", false, { { 0 } }, 37 },
	{ "nothing", false, { { 0 } }, 1 },
};

static void test_row(void **state)
{
	const struct filter_row *row = *state;
	struct bpf_program ours = link_filter(), theirs = compiled();
	size_t len = row->len ? row->len : FRAME_LEN;
	uint8_t frame[FRAME_LEN];

	write_frame(frame);
	for (size_t i = 0; i < COUNT(row->patch); i++) {
		if (row->patch[i].at)
			frame[row->patch[i].at] = row->patch[i].value;
	}
	assert_int_equal(passes(&ours, frame, len), row->passes);
	assert_int_equal(passes(&theirs, frame, len), row->passes);
	pcap_freecode(&theirs);
}

/* Octets that matter, each with values that matter and some that do not. */
static void test_agreement(void **state)
{
	static const uint8_t at[] = { 12, 13, 14, 20, 21, 23, 34, 35, 36, 37, 38, 39, 40, 41 };
	static const uint8_t values[] = { 0, 1, 6, 8, 17, 0x1f, 0x20, 0x3f, 0x40, 0x45, 0x46, 0x4f,
		67, 68, 0x86, 0xdd, 0xff };
	struct bpf_program ours = link_filter(), theirs = compiled();
	unsigned passed = 0;

	(void)state;
	srand(1);
	for (int i = 0; i < 300000; i++) {
		uint8_t frame[FRAME_LEN];
		size_t len = i % 8 ? FRAME_LEN : (size_t)rand() % FRAME_LEN + 1;

		write_frame(frame);
		for (int changes = rand() % 5; changes > 0; changes--)
			frame[at[(size_t)rand() % COUNT(at)]] =
				values[(size_t)rand() % COUNT(values)];
		assert_int_equal(passes(&ours, frame, len), passes(&theirs, frame, len));
		passed += passes(&ours, frame, len);
	}
	/* it is a test of both answers */
	assert_in_range(passed, 30000, 270000);
	pcap_freecode(&theirs);
}

int main(void)
{
	struct suite suite = { 0 };

	SUITE_ROWS(&suite, test_row, filter_rows);
	suite_add(&suite, "300,000 frames are judged as libpcap's compiler judges them",
		test_agreement, NULL);
	return suite_run(&suite, "link");
}
