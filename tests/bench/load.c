/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load: DHCP clients on one port of the bridge, as many and as fast as the benchmark asks. It owns
 * the four-way exchange from the clients' side and the clock; it knows no server.
 *
 *     load [OPTION…] INTERFACE                  exchanges, then a line of JSON about them
 *     load -f SECONDS INTERFACE [NAMESPACE CORE COMMAND…]
 *                                               one DISCOVER after the other until an OFFER comes;
 *                                               after COMMAND was started there on that core
 *
 *     -n VMS        of the plan: number N has the MAC 02:00:00:HH:MM:LL (default 1)
 *     -k CLIENTS    of them that ask, spread evenly over the plan (default: all)
 *     -r RATE       exchanges begun a second, answered or not (open loop); with -f: DISCOVERs
 *     -w WINDOW     or: so many under way at any time (closed loop; default 16)
 *     -t SECONDS    how long (default 1)
 *     -c COUNT      and no more exchanges than that
 *     -x ADDRESS    every second one is of client 0, until it is offered that address
 *
 * It spins: what it measures shall not have its own waking up in it. Times are microseconds, but for
 * "changed", which is of CLOCK_MONOTONIC in nanoseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HEADERS     42 /* Ethernet, IP, UDP */
#define MESSAGE     300
#define FRAME       (HEADERS + MESSAGE)
#define BATCH       64
#define RECEIVE_MAX 1600
#define SECOND      UINT64_C(1000000000)
#define PATIENCE    SECOND              /* an exchange that takes longer is lost */
#define STALLED     (SECOND / 4)        /* a closed loop goes on without its oldest */
#define GRACE       (SECOND * 3 / 10)   /* for the last answers */
#define RING        (UINT64_C(1) << 20) /* exchanges that are remembered */
#define STRIDE      7919                /* a prime: each client has its turn, in no order */
#define AFTERWARDS  (SECOND / 5)        /* with -x: how long it goes on after the change */
#define PROBE_RATE  4000

enum dhcp_type { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5 };

struct answer {
	enum dhcp_type type;
	uint32_t xid, yiaddr, server; /* the addresses as they are in the frame */
};

struct exchange {
	uint64_t begun; /* nanoseconds; 0: ended */
	uint32_t client;
	bool requested;
};

struct load {
	/* what is asked */
	uint32_t vms, clients;
	double rate; /* 0: closed loop */
	uint64_t window, limit, duration;
	uint32_t watched; /* as it is in frames; 0: none */
	/* what is going on */
	int fd;
	uint64_t start, begun, done, stopped_at;
	uint32_t first_xid;
	struct exchange *ring;
	uint8_t frames[BATCH][FRAME];
	unsigned queued;
	/* what came of it */
	uint32_t *latencies; /* tenths of microseconds, of the first RING exchanges */
	uint64_t lag, gap, answered_at, changed_at, answers;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- frames ------------------------------------------------------------------------------- */

static void put32(uint8_t *to, uint32_t value)
{
	value = htonl(value);
	memcpy(to, &value, sizeof(value));
}

static uint32_t sum_words(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	return sum;
}

static void put_checksum(uint8_t *to, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	to[0] = (uint8_t)(sum >> 8);
	to[1] = (uint8_t)sum;
}

/* What busybox udhcpc asks; `offer`: the OFFER that is requested, NULL: a DISCOVER. */
static void write_request(uint8_t frame[static FRAME], uint32_t vm, uint32_t xid,
	const struct answer *offer)
{
	static const uint8_t headers[] = { 0x08, 0x00, 0x45, 0, 1, 0x48, 0, 0, 0, 0, 64, 17, 0x79,
		0xa6, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 68, 0, 67, 1, 0x34, 0, 0, 1, 1, 6, 0 };
	static const uint8_t options[] = { 57, 2, 2, 64, 55, 7, 1, 3, 6, 12, 15, 28, 42, 60, 12,
		'u', 'd', 'h', 'c', 'p', ' ', '1', '.', '3', '5', '.', '0' };
	uint8_t mac[6] = { 2 }, *to = frame + HEADERS + 240;

	put32(mac + 2, vm);
	memset(frame, 0, FRAME);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, headers, sizeof(headers));
	put32(frame + HEADERS + 4, xid);
	memcpy(frame + HEADERS + 28, mac, 6);
	put32(frame + HEADERS + 236, 0x63825363);
	memcpy(to, (uint8_t[]){ 53, 1, offer ? REQUEST : DISCOVER, 61, 7, 1 }, 6);
	memcpy(to + 6, mac, 6);
	to += 12;
	memcpy(to, options, sizeof(options));
	to += sizeof(options);
	if (offer) {
		memcpy(to, (uint8_t[]){ 50, 4, 0, 0, 0, 0, 54, 4 }, 8);
		memcpy(to + 2, &offer->yiaddr, 4);
		memcpy(to + 8, &offer->server, 4);
		to += 12;
	}
	*to = 255;
	/* the pseudo-header: addresses, protocol, length */
	put_checksum(frame + 40, sum_words(frame + 26, FRAME - 26) + 17 + 8 + MESSAGE);
}

/* False: not the answer of a DHCP server. */
static bool read_answer(const uint8_t *frame, size_t len, struct answer *ret_answer)
{
	uint32_t xid;

	if (len < HEADERS + 244 || frame[12] != 8 || frame[13] || frame[14] != 0x45 ||
		frame[23] != 17 || frame[36] || frame[37] != 68 || frame[HEADERS] != 2)
		return false;
	memcpy(&xid, frame + HEADERS + 4, 4);
	*ret_answer = (struct answer){ .xid = ntohl(xid) };
	memcpy(&ret_answer->yiaddr, frame + HEADERS + 16, 4);
	for (size_t i = HEADERS + 240; i + 2 < len && frame[i] != 255; i += 2U + frame[i + 1]) {
		if (frame[i] == 53)
			ret_answer->type = frame[i + 2];
		else if (frame[i] == 54 && i + 6 <= len)
			memcpy(&ret_answer->server, frame + i + 2, 4);
	}
	return ret_answer->type != 0;
}

static int open_wire(const char *interface)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(0x0800),
		.sll_ifindex = (int)if_nametoindex(interface) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = 32 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		die(interface);
	return fd;
}

/* --- exchanges ---------------------------------------------------------------------------- */

static void flush_queue(struct load *load)
{
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec parts[BATCH];
	unsigned sent = 0;

	for (unsigned i = 0; i < load->queued; i++) {
		parts[i] = (struct iovec){ load->frames[i], FRAME };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	while (sent < load->queued) {
		int n = sendmmsg(load->fd, messages + sent, load->queued - sent, 0);

		if (n < 0 && errno != ENOBUFS && errno != EAGAIN)
			die("send");
		/* one that finds no room is lost, as on a wire */
		sent += n > 0 ? (unsigned)n : 1;
	}
	load->queued = 0;
}

static void queue_request(struct load *load, uint32_t client, uint32_t xid,
	const struct answer *offer)
{
	if (load->queued == BATCH)
		flush_queue(load);
	write_request(load->frames[load->queued++], client * (load->vms / load->clients), xid,
		offer);
}

static struct exchange *exchange_at(const struct load *load, uint64_t index)
{
	return &load->ring[index % RING];
}

static void begin(struct load *load, uint64_t now)
{
	uint32_t client = (uint32_t)(load->begun * STRIDE % load->clients);
	struct exchange *exchange = exchange_at(load, load->begun);

	if (load->watched && load->begun % 2)
		client = 0;
	*exchange = (struct exchange){ .begun = now, .client = client };
	queue_request(load, client, load->first_xid + (uint32_t)load->begun, NULL);
	load->begun++;
}

/* True if one more exchange is to begin now. */
static bool is_due(struct load *load, uint64_t now)
{
	const struct exchange *oldest;
	uint64_t due;

	if (load->begun >= load->limit || now >= load->start + load->duration || load->stopped_at)
		return false;
	if (load->rate > 0) {
		due = load->start + (uint64_t)((double)load->begun * 1e9 / load->rate);
		if (now >= due && now - due > load->lag)
			load->lag = now - due;
		return now >= due;
	}
	if (load->begun < load->window)
		return true;
	oldest = exchange_at(load, load->begun - load->window);
	return !oldest->begun || now - oldest->begun > STALLED;
}

static void take_answer(struct load *load, const struct answer *answer, uint64_t now)
{
	uint64_t index = answer->xid - load->first_xid;
	struct exchange *exchange = exchange_at(load, index);

	if (index >= load->begun || load->begun - index > RING)
		return;
	load->answers++;
	if (now - load->answered_at > load->gap)
		load->gap = now - load->answered_at;
	load->answered_at = now;
	if (!exchange->begun)
		return;
	if (answer->type == OFFER && !exchange->requested) {
		exchange->requested = true;
		if (answer->yiaddr == load->watched && !load->changed_at)
			load->changed_at = now;
		queue_request(load, exchange->client, answer->xid, answer);
	} else if (answer->type == ACK && exchange->requested) {
		uint64_t took = now - exchange->begun;

		exchange->begun = 0;
		if (took > PATIENCE)
			return;
		if (load->done < RING)
			load->latencies[load->done] = (uint32_t)(took / 100);
		load->done++;
	}
}

static void receive(struct load *load)
{
	static uint8_t buffers[BATCH][RECEIVE_MAX];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec parts[BATCH];
	struct answer answer;
	uint64_t now;
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ buffers[i], RECEIVE_MAX };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(load->fd, messages, BATCH, 0, NULL);
	now = now_ns();
	for (int i = 0; i < n; i++) {
		if (read_answer(buffers[i], messages[i].msg_len, &answer))
			take_answer(load, &answer, now);
	}
}

static bool is_over(struct load *load, uint64_t now)
{
	bool all_begun = load->begun >= load->limit || now >= load->start + load->duration;

	if (load->changed_at && now > load->changed_at + AFTERWARDS)
		all_begun = true;
	if (!all_begun)
		return false;
	if (!load->stopped_at)
		load->stopped_at = now;
	return load->done == load->begun || now > load->stopped_at + GRACE;
}

static void run(struct load *load)
{
	uint64_t now = now_ns();

	load->first_xid = (uint32_t)now;
	load->start = load->answered_at = now;
	while (!is_over(load, now)) {
		while (load->queued < BATCH && is_due(load, now))
			begin(load, now);
		if (load->queued)
			flush_queue(load);
		receive(load);
		now = now_ns();
	}
}

/* --- the result --------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static void report(const struct load *load)
{
	uint64_t count = load->done < RING ? load->done : RING;
	double seconds = (double)(load->stopped_at - load->start) / 1e9;
	/* the value that this share of the exchanges did not exceed */
#define LATENCY(percent) (count ? load->latencies[(count - 1) * (percent) / 100] / 10.0 : 0.0)

	qsort(load->latencies, count, sizeof(*load->latencies), compare);
	printf("{\"begun\": %" PRIu64 ", \"done\": %" PRIu64 ", \"answers\": %" PRIu64
	       ", \"seconds\": %.6f, \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f, \"gap\": %.1f, "
	       "\"lag\": %.1f, \"changed\": %" PRIu64 "}\n",
		load->begun, load->done, load->answers, seconds, LATENCY(50), LATENCY(99),
		LATENCY(100), (double)load->gap / 1e3, (double)load->lag / 1e3, load->changed_at);
#undef LATENCY
}

/* --- from the start of a server to its first answer --------------------------------------- */

static void stay_on(unsigned core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("core");
}

/* argv: NAMESPACE CORE COMMAND…; `executed`: shared with us, the moment of the exec. */
static pid_t start_server(char **argv, uint64_t *executed)
{
	char path[256];
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	snprintf(path, sizeof(path), "/run/netns/%s", argv[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, 0) < 0)
		die(path);
	stay_on((unsigned)atoi(argv[1]));
	/* our result alone goes to standard output */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	*executed = now_ns();
	execv(argv[2], argv + 2);
	die(argv[2]);
}

static bool wait_for_offer(struct load *load)
{
	uint8_t frame[RECEIVE_MAX];
	struct answer answer;
	uint64_t now = now_ns(), next = now;
	uint64_t pause = (uint64_t)(1e9 / (load->rate > 0 ? load->rate : PROBE_RATE));

	while (now < load->start + load->duration) {
		ssize_t len = recv(load->fd, frame, sizeof(frame), 0);

		if (len > 0 && read_answer(frame, (size_t)len, &answer) && answer.type == OFFER &&
			answer.xid == load->first_xid)
			return true;
		if (now >= next) {
			queue_request(load, 0, load->first_xid, NULL);
			flush_queue(load);
			next = now + pause;
		}
		now = now_ns();
	}
	return false;
}

static int first(struct load *load, char **argv)
{
	uint64_t *executed = mmap(NULL, sizeof(*executed), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool offered;
	uint64_t at;
	pid_t pid = 0;

	if (executed == MAP_FAILED)
		die("mmap");
	*executed = load->start = now_ns();
	load->first_xid = (uint32_t)load->start;
	if (*argv)
		pid = start_server(argv, executed);
	offered = wait_for_offer(load);
	at = now_ns();
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (offered)
		printf("{\"first\": %.1f}\n", (double)(at - *executed) / 1e3);
	return offered ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct load load = {
		.vms = 1, .window = 16, .limit = UINT64_MAX, .duration = SECOND
	};
	double patience = 0;
	int option;

	while ((option = getopt(argc, argv, "+n:k:r:w:t:c:x:f:")) != -1) {
		if (option == 'n')
			load.vms = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'k')
			load.clients = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'r')
			load.rate = strtod(optarg, NULL);
		else if (option == 'w')
			load.window = strtoul(optarg, NULL, 10);
		else if (option == 't')
			load.duration = (uint64_t)(strtod(optarg, NULL) * 1e9);
		else if (option == 'c')
			load.limit = strtoull(optarg, NULL, 10);
		else if (option == 'x')
			load.watched = inet_addr(optarg);
		else if (option == 'f')
			patience = strtod(optarg, NULL);
		else
			return 2;
	}
	if (optind >= argc || !load.vms || load.window > RING)
		return 2;
	if (!load.clients || load.clients > load.vms)
		load.clients = load.vms;
	load.fd = open_wire(argv[optind]);
	if (patience > 0) {
		load.duration = (uint64_t)(patience * 1e9);
		return first(&load, argv + optind + 1);
	}
	load.ring = calloc(RING, sizeof(*load.ring));
	load.latencies = calloc(RING, sizeof(*load.latencies));
	if (!load.ring || !load.latencies)
		die("memory");
	run(&load);
	report(&load);
	return 0;
}
