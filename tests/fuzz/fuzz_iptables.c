/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nat table of iptables, as others left it: rules of any octets in any chains, some named as
 * ours. It is read back, made what bindings say, and read again: then it is right, the kernel would
 * have taken it, nothing is left to do, and what is not ours is as it was.
 *
 * The kernel stands where the system calls are, so libiptc is between. Octets are the chains, how
 * many rules each has, and the rules as the kernel gives them (struct ipt_entry, matches, target),
 * mended where the kernel would not have taken them: lengths, names without an end, verdicts.
 */
#include <errno.h>
#include <fcntl.h>
#include <libiptc/libiptc.h>
#include <linux/netfilter/x_tables.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "natmgr/backend.h"
#include "natmgr/binding_file.h"
#include "natmgr/rebuild.h"
#include "tests/fuzz/fuzz.h"

#define ENTRY_LEN   XT_ALIGN(sizeof(struct ipt_entry))
#define MATCH_LEN   XT_ALIGN(sizeof(struct xt_entry_match))
#define VERDICT_LEN XT_ALIGN(sizeof(struct xt_standard_target))
#define ERROR_LEN   XT_ALIGN(sizeof(struct xt_error_target))
#define BODY_MAX    1024u
#define CHAINS      7u

static const unsigned hooks[] = { NF_INET_PRE_ROUTING, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT,
	NF_INET_POST_ROUTING };
static const char *const hook_names[] = { "PREROUTING", "INPUT", "OUTPUT", "POSTROUTING" };
static const char *const chain_names[CHAINS] = { "EIPD-PREROUTING", "EIPD-OUTPUT",
	"EIPD-POSTROUTING", "EIPD-D-20.251.48.96/28", "MINE", "EIPD-OLD", "DOCKER" };

#define HOOKS (sizeof(hooks) / sizeof(*hooks))

/* --- the kernel's table ------------------------------------------------------------------- */

static struct {
	uint8_t *bytes;
	unsigned size, count;
	unsigned hook_entry[NF_INET_NUMHOOKS], underflow[NF_INET_NUMHOOKS];
	bool old; /* has no DNAT of revision 2 */
} kernel;

static struct ipt_entry *entry_at(unsigned offset)
{
	return (struct ipt_entry *)(void *)(kernel.bytes + offset);
}

static struct xt_entry_target *target_of(struct ipt_entry *entry)
{
	return (struct xt_entry_target *)(void *)((uint8_t *)entry + entry->target_offset);
}

static bool is_verdict(struct ipt_entry *entry)
{
	return !*target_of(entry)->u.user.name;
}

/* Begins a chain, and has its name; or stands at the end of all. */
static bool is_head(struct ipt_entry *entry)
{
	return !strcmp(target_of(entry)->u.user.name, XT_ERROR_TARGET);
}

static const char *head_name(struct ipt_entry *entry)
{
	return ((struct xt_error_target *)(void *)target_of(entry))->errorname;
}

static int *verdict_of(struct ipt_entry *entry)
{
	return &((struct xt_standard_target *)(void *)target_of(entry))->verdict;
}

/* Offsets of entries, as the kernel checks them when a table is written. */
static void check_table(void)
{
	uint8_t *begins = xcalloc(kernel.size + 1, 1);
	unsigned at = 0, count = 0;

	for (; at < kernel.size; at += entry_at(at)->next_offset, count++) {
		struct ipt_entry *entry = entry_at(at);
		unsigned match = ENTRY_LEN;

		begins[at] = 1;
		if (kernel.size - at < ENTRY_LEN + VERDICT_LEN - 8 ||
			entry->next_offset > kernel.size - at ||
			entry->target_offset + sizeof(struct xt_entry_target) >
				entry->next_offset ||
			target_of(entry)->u.target_size >
				entry->next_offset - entry->target_offset ||
			(is_verdict(entry) &&
				entry->target_offset + VERDICT_LEN != entry->next_offset))
			abort();
		for (; match < entry->target_offset;
			match += ((struct xt_entry_match *)(void *)((uint8_t *)entry + match))
					 ->u.match_size) {
			if (entry->target_offset - match < MATCH_LEN)
				abort();
		}
		if (match != entry->target_offset)
			abort();
	}
	if (at != kernel.size || count != kernel.count)
		abort();
	for (at = 0; at < kernel.size; at += entry_at(at)->next_offset) {
		struct ipt_entry *entry = entry_at(at);

		if (is_verdict(entry) && *verdict_of(entry) >= 0 &&
			((unsigned)*verdict_of(entry) >= kernel.size ||
				!begins[*verdict_of(entry)]))
			abort();
	}
	for (unsigned i = 0; i < HOOKS; i++) {
		if (!begins[kernel.hook_entry[hooks[i]]] || !begins[kernel.underflow[hooks[i]]])
			abort();
	}
	free(begins);
}

/* The system calls, as libiptc sees them. */
int socket(int family, int type, int protocol)
{
	(void)family;
	(void)type;
	(void)protocol;
	return (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	struct ipt_getinfo *info = value;
	struct ipt_get_entries *entries = value;

	(void)fd;
	(void)level;
	(void)len;
	switch (option) {
	case IPT_SO_GET_INFO:
		info->valid_hooks = 0;
		memcpy(info->hook_entry, kernel.hook_entry, sizeof(kernel.hook_entry));
		memcpy(info->underflow, kernel.underflow, sizeof(kernel.underflow));
		for (unsigned i = 0; i < HOOKS; i++)
			info->valid_hooks |= 1u << hooks[i];
		info->num_entries = kernel.count;
		info->size = kernel.size;
		return 0;
	case IPT_SO_GET_ENTRIES:
		if (entries->size != kernel.size)
			abort();
		memcpy(entries->entrytable, kernel.bytes, kernel.size);
		return 0;
	default:
		errno = EPROTONOSUPPORT;
		return kernel.old ? -1 : 0;
	}
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	const struct ipt_replace *replace = value;

	(void)fd;
	(void)level;
	if (option != IPT_SO_SET_REPLACE)
		return 0;
	if (len != sizeof(*replace) + replace->size)
		abort();
	memset(replace->counters, 0, replace->num_counters * sizeof(*replace->counters));
	memcpy(kernel.hook_entry, replace->hook_entry, sizeof(kernel.hook_entry));
	memcpy(kernel.underflow, replace->underflow, sizeof(kernel.underflow));
	free(kernel.bytes);
	kernel.bytes = xmemdup(replace->entries, replace->size);
	kernel.size = replace->size;
	kernel.count = replace->num_entries;
	check_table();
	return 0;
}

/* --- the table from octets ---------------------------------------------------------------- */

struct input {
	const uint8_t *data;
	size_t size;
};

static void take(struct input *input, void *ret, size_t len)
{
	size_t some = len < input->size ? len : input->size;

	memset(ret, 0, len);
	if (some)
		memcpy(ret, input->data, some);
	input->data += some;
	input->size -= some;
}

static uint8_t take_octet(struct input *input)
{
	uint8_t octet;

	take(input, &octet, 1);
	return octet;
}

static struct ipt_entry *add_entry(unsigned target_offset, unsigned next_offset)
{
	unsigned at = kernel.size;

	kernel.bytes = xrealloc(kernel.bytes, at + next_offset, 1);
	memset(kernel.bytes + at, 0, next_offset);
	entry_at(at)->target_offset = (uint16_t)target_offset;
	entry_at(at)->next_offset = (uint16_t)next_offset;
	kernel.size += next_offset;
	kernel.count++;
	return entry_at(at);
}

static void add_verdict(int verdict)
{
	struct ipt_entry *entry = add_entry(ENTRY_LEN, ENTRY_LEN + VERDICT_LEN);

	target_of(entry)->u.target_size = VERDICT_LEN;
	*verdict_of(entry) = verdict;
}

static void add_head(const char *name)
{
	struct ipt_entry *entry = add_entry(ENTRY_LEN, ENTRY_LEN + ERROR_LEN);
	struct xt_error_target *error = (void *)target_of(entry);

	error->target.u.target_size = ERROR_LEN;
	strcpy(error->target.u.user.name, XT_ERROR_TARGET);
	snprintf(error->errorname, sizeof(error->errorname), "%s", name);
}

static unsigned within(unsigned value, unsigned least, unsigned most)
{
	value &= ~7u;
	return value < least ? least : value > most ? most : value;
}

/* Matches fill the room before the target; the last one has what is left. */
static void mend_matches(struct ipt_entry *entry)
{
	unsigned at = ENTRY_LEN, len;

	for (; at < entry->target_offset; at += len) {
		struct xt_entry_match *match = (void *)((uint8_t *)entry + at);

		len = entry->target_offset - at;
		if (match->u.match_size >= MATCH_LEN && match->u.match_size + MATCH_LEN <= len)
			len = match->u.match_size & ~7u;
		match->u.match_size = (uint16_t)len;
		match->u.user.name[sizeof(match->u.user.name) - 1] = '\0';
	}
}

/* Jumps have the number of a chain until all have a place. */
static void mend_target(struct ipt_entry *entry, unsigned chains)
{
	static const int verdicts[] = { -NF_ACCEPT - 1, -NF_DROP - 1, XT_RETURN };
	struct xt_entry_target *target = target_of(entry);

	target->u.user.name[sizeof(target->u.user.name) - 1] = '\0';
	if (is_head(entry))
		target->u.user.name[0] = 'e';
	if (is_verdict(entry)) /* libiptc writes no more of it */
		memset(target->u.user.name, 0,
			sizeof(target->u.user) - sizeof(target->u.target_size));
	target->u.target_size = (uint16_t)(entry->next_offset - entry->target_offset);
	if (!is_verdict(entry))
		return;
	if (*verdict_of(entry) >= 0 && chains)
		*verdict_of(entry) %= (int)chains;
	else
		*verdict_of(entry) = verdicts[(unsigned)*verdict_of(entry) % 3];
}

static void add_rule(struct input *input, unsigned chains)
{
	struct ipt_entry header, *entry;
	unsigned target, next;
	char name[XT_EXTENSION_MAXNAMELEN];

	take(input, &header, sizeof(header));
	target = within(header.target_offset, ENTRY_LEN, ENTRY_LEN + BODY_MAX);
	if (target > ENTRY_LEN && target < ENTRY_LEN + MATCH_LEN)
		target = ENTRY_LEN + MATCH_LEN;
	next = within(header.next_offset, target + VERDICT_LEN, target + BODY_MAX);
	/* what is read of the input is as long as it says, so that mending moves nothing else */
	entry = add_entry(target, next);
	take(input, (uint8_t *)entry + ENTRY_LEN, next - ENTRY_LEN);
	entry->ip = header.ip;
	memcpy(name, target_of(entry)->u.user.name, sizeof(name));
	if (!*name && next != target + VERDICT_LEN) {
		kernel.size -= next - target - VERDICT_LEN;
		entry->next_offset = (uint16_t)(target + VERDICT_LEN);
	}
	mend_matches(entry);
	mend_target(entry, chains);
}

static void place_jumps(const unsigned *chain_starts)
{
	for (unsigned at = 0; at < kernel.size; at += entry_at(at)->next_offset) {
		struct ipt_entry *entry = entry_at(at);

		if (is_verdict(entry) && *verdict_of(entry) >= 0)
			*verdict_of(entry) = (int)chain_starts[*verdict_of(entry)];
	}
}

static void fill_table(struct input *input)
{
	unsigned chains = take_octet(input) % (CHAINS + 1), starts[CHAINS], first;
	uint8_t rules[HOOKS + CHAINS];

	first = take_octet(input);
	take(input, rules, HOOKS + chains);
	free(kernel.bytes);
	kernel.bytes = NULL;
	kernel.size = kernel.count = 0;
	for (unsigned i = 0; i < HOOKS + chains; i++) {
		if (i >= HOOKS) {
			add_head(chain_names[(first + i) % CHAINS]);
			starts[i - HOOKS] = kernel.size;
		} else {
			kernel.hook_entry[hooks[i]] = kernel.size;
		}
		for (unsigned n = rules[i] % 8; n > 0; n--)
			add_rule(input, chains);
		if (i < HOOKS)
			kernel.underflow[hooks[i]] = kernel.size;
		add_verdict(i < HOOKS ? -NF_ACCEPT - 1 : XT_RETURN);
	}
	add_head(XT_ERROR_TARGET);
	place_jumps(starts);
	check_table();
}

/* --- what is not ours --------------------------------------------------------------------- */

/* Where a verdict leads: a chain's name, or "". */
static const char *jump_of(struct ipt_entry *entry)
{
	unsigned at = 0, before = 0;

	if (!is_verdict(entry) || *verdict_of(entry) < 0)
		return "";
	for (; at != (unsigned)*verdict_of(entry); at += entry_at(at)->next_offset)
		before = at;
	return is_head(entry_at(before)) ? head_name(entry_at(before)) : "?";
}

static void print_foreign(FILE *out, struct ipt_entry *entry)
{
	static const struct ipt_ip any;
	const char *jump = jump_of(entry);
	struct ipt_entry *copy;

	if (!strncmp(jump, CHAIN_PREFIX, strlen(CHAIN_PREFIX)) &&
		entry->target_offset == ENTRY_LEN && !memcmp(&entry->ip, &any, sizeof(any)))
		return;
	copy = xmemdup(entry, entry->next_offset);
	/* counters, and what libiptc and the kernel note for themselves */
	memset(&copy->counters, 0, sizeof(copy->counters));
	copy->comefrom = copy->nfcache = 0;
	if (*jump)
		*verdict_of(copy) = 0;
	fwrite(copy, copy->next_offset, 1, out);
	fprintf(out, " to %s\n", jump);
	free(copy);
}

static void print_chain(FILE *out, const char *name)
{
	const char *chain = "";

	for (unsigned at = 0; at < kernel.size; at += entry_at(at)->next_offset) {
		struct ipt_entry *entry = entry_at(at);

		for (unsigned i = 0; i < HOOKS; i++) {
			if (kernel.hook_entry[hooks[i]] == at)
				chain = hook_names[i];
		}
		if (is_head(entry))
			chain = head_name(entry);
		if (strcmp(chain, name))
			continue;
		if (is_head(entry))
			fprintf(out, "chain %s\n", name);
		else
			print_foreign(out, entry);
	}
}

/* All chains of others (libiptc sorts them), and their rules as they stand; the caller frees. */
static char *foreign(size_t *ret_len)
{
	char *text;
	FILE *out = open_memstream(&text, ret_len);

	for (unsigned i = 0; i < HOOKS; i++)
		print_chain(out, hook_names[i]);
	for (unsigned i = 0; i < CHAINS; i++) {
		if (strncmp(chain_names[i], CHAIN_PREFIX, strlen(CHAIN_PREFIX)))
			print_chain(out, chain_names[i]);
	}
	fclose(out);
	return text;
}

/* --- what there should be ----------------------------------------------------------------- */

static const struct plan *plan_of_two(void)
{
	static struct plan *plan;

	if (!plan)
		plan = fuzz_plan("02:00:00:00:00:01,one,192.168.6.243\n"
				 "02:00:00:00:00:02,two,192.168.6.244\n");
	return plan;
}

static void want(unsigned which, struct ruleset *ret_ruleset)
{
	static const char *const texts[] = { "bind 20.251.48.99 one 02:00:00:00:00:01 eth0:1\n",
		"bind 20.251.48.99 one 02:00:00:00:00:01 eth0:1\n"
		"bind 20.251.48.98 one 02:00:00:00:00:01 eth0:3\n"
		"forward 20.251.48.100:80/tcp two 02:00:00:00:00:02 8080 eth0:2 source\n"
		"forward 20.251.48.100:90-99/udp one 02:00:00:00:00:01 90 eth0:2 -\n" };
	const struct ruleset_settings settings = { "eth0", "br0", { 0xc0a80616, 24 }, which & 4 };
	struct problems problems = { 0 };
	struct binding_table table;
	struct desired desired;
	char *text;

	if (!(which & 3)) {
		ruleset_empty(ret_ruleset);
		return;
	}
	text = xasprintf("# eipd bindings, version 1; x\n%s", texts[which & 1]);
	if (binding_parse(text, "bindings", &table, &problems))
		abort();
	desired_make(&table, plan_of_two(), NULL, &desired);
	ruleset_build(&desired, &settings, ret_ruleset);
	desired_done(&desired);
	binding_table_done(&table);
	free(text);
}

/*
 * Where lines of the state file are lost, bindings come from the rules: they are such as the file can
 * hold, beside what is left.
 */
static void check_rebuilt(const struct ruleset *have, const char *lines)
{
	struct problems problems = { 0 };
	struct binding_table table, again;
	static struct config *config;
	size_t count, len, before;
	char *text = xasprintf("# eipd bindings, version 1\n%s", lines);

	if (binding_parse(text, "bindings", &table, &problems))
		abort();
	free(text);
	before = table.count + table.forward_count;
	if (!config)
		config = fuzz_config("[inner]\nbridge = br0\n[outer]\ninterface = eth0\n"
				     "pool = 20.251.48.96-20.251.48.110\n");
	count = rebuild_bindings(have, config, plan_of_two(), 1700000000, &table);
	if (before + count != table.count + table.forward_count)
		fuzz_found("another number than is told is rebuilt");
	text = binding_format(&table, "eth0", 0, &len);
	if (binding_parse(text, "rebuilt", &again, &problems) || again.count != table.count ||
		again.forward_count != table.forward_count)
		fuzz_found("what is rebuilt cannot be kept");
	binding_table_done(&again);
	binding_table_done(&table);
	free(text);
}

/* What is left to do when the wanted chains are as they should be: chains of old that others reach. */
static bool is_left_over(const struct edit *edit, const struct ruleset *wanted)
{
	return (edit->kind == EDIT_JUMP_DELETE || edit->kind == EDIT_CHAIN_DELETE) &&
		!ruleset_find_chain(wanted, edit->chain);
}

/* How many edits it took. */
static size_t make_so(struct backend *backend, const struct ruleset *wanted, bool again)
{
	char error[BACKEND_ERROR_SIZE];
	struct ruleset have;
	struct edit *edits;
	size_t count;

	if (backend->begin(backend, &have, error))
		abort();
	check_rebuilt(&have, "");
	check_rebuilt(&have,
		"bind 20.251.48.98 two 02:00:00:00:00:02 eth0:1\n"
		"forward 20.251.48.100:85-95/udp two 02:00:00:00:00:02 85 eth0:2 -\n");
	count = ruleset_diff(&have, wanted, &edits);
	for (size_t i = 0; again && i < count; i++) {
		if (!is_left_over(&edits[i], wanted))
			fuzz_found("a second run has to mend what the first one made");
	}
	if (backend->apply(backend, edits, count, error))
		abort();
	backend->end(backend);
	free(edits);
	ruleset_done(&have);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct backend *backends[2];
	struct input input = { data, size };
	unsigned which = take_octet(&input);
	struct ruleset wanted;
	size_t before_len, after_len;
	char *before, *after;

	if (!backends[0]) {
		static char lock[32];

		snprintf(lock, sizeof(lock), "/proc/self/fd/%d", memfd_create("lock", 0));
		setenv("XTABLES_LOCKFILE", lock, 1);
		backends[0] = backend_iptables_new();
		backends[1] = backend_iptables_new();
	}
	kernel.old = which & 8;
	fill_table(&input);
	want(which, &wanted);
	before = foreign(&before_len);
	(void)make_so(backends[kernel.old], &wanted, false);
	/* one that is jumped to from every hook goes in as many runs */
	for (unsigned runs = 0; make_so(backends[kernel.old], &wanted, true); runs++) {
		if (runs == HOOKS)
			fuzz_found("it never comes to rest");
	}
	after = foreign(&after_len);
	if (before_len != after_len || memcmp(before, after, after_len))
		fuzz_found("what is not ours is changed");
	ruleset_done(&wanted);
	free(before);
	free(after);
	return 0;
}
