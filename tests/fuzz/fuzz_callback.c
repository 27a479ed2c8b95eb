/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events for the administrator's program, with what clients say of themselves: the environment is
 * made within its bounds, whatever the options hold; an event waits, or takes one that waits with
 * it; and nothing is lost or kept.
 *
 * Octets are events: who and what, how many octets of options, the options.
 */
#include "common/log.h"
#include "dhcpd/callback.h"
#include "tests/fuzz/fuzz.h"

#define VMS 3u

static const char *const plan_texts[] = { "02:00:00:00:00:01,one,192.168.6.1\n"
					  "02:00:00:00:00:02,two,192.168.6.2,set:web\n"
					  "02:00:00:00:00:03,three,192.168.6.3\n",
	"02:00:00:00:00:01,ONE,192.168.6.9\n"
	"02:00:00:00:00:02,two,192.168.6.1\n"
	"02:00:00:00:00:03,three,192.168.6.2\n" };

/* A message of a client with these options; false: no such message is answered. */
static bool read_request(const uint8_t *options, size_t len, bool relayed,
	struct dhcp_message *ret_request)
{
	static uint8_t data[DHCP_HEADER_LEN + 4 + 1024];
	static const uint8_t cookie[] = { 0x63, 0x82, 0x53, 0x63 };

	memset(data, 0, sizeof(data));
	memcpy(data, (uint8_t[]){ BOOTREQUEST, 1, MAC_LEN }, 3);
	data[24] = relayed ? 10 : 0;
	data[28] = 2;
	memcpy(data + DHCP_HEADER_LEN, cookie, sizeof(cookie));
	memcpy(data + DHCP_HEADER_LEN + sizeof(cookie), options, len);
	return dhcp_message_decode(data, DHCP_HEADER_LEN + sizeof(cookie) + len, ret_request) ==
		DROP_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct plan *plans[2];
	static struct loop *loop;
	static struct dhcp_message request;
	struct callback callback;

	if (!loop && (loop_new(&loop) || log_open("/dev/null", LOG_LEVEL_ERROR)))
		abort();
	for (unsigned i = 0; !plans[1] && i < 2; i++)
		plans[i] = fuzz_plan(plan_texts[i]);
	callback_init(&callback, loop, "/bin/true", 1);
	while (size >= 3) {
		const struct vm *vm = plan_vm(plans[data[0] >> 7], data[0] % VMS);
		enum lease_event event = (enum lease_event)((data[0] >> 2) % 3);
		size_t len = (size_t)data[1] << 8 | data[2], waited = callback.queued;
		struct callback_context context = { "br0", data[0] & 64 ? "example.net" : "",
			NULL };

		data += 3;
		size -= 3;
		len = len > 1024 ? 1024 : len;
		len = len > size ? size : len;
		if (read_request(data, len, len & 1, &request))
			context.request = &request;
		callback_add(&callback, event, vm, len & 2 ? "old-name" : NULL,
			len & 4 ? LEASE_FOREVER : 1000 + len * 100, 1000, 1700000000, &context);
		data += len;
		size -= len;
		if (callback.queued > waited + 1 || callback.queued + 1 < waited)
			fuzz_found("one event makes more than one difference");
		if (!callback.start.active)
			fuzz_found("what waits is not begun");
		free(callback_untold(&callback, &waited));
		if (waited > callback.queued)
			fuzz_found("more ends wait than events");
	}
	callback_done(&callback);
	if (callback.queued || callback.newest)
		fuzz_found("something is kept");
	return 0;
}
