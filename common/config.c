/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config owns the keys of eipd.conf: their names, defaults, places and how they fit together. It
 * must not know the host (whether br0 exists is asked elsewhere) nor the forms of values, which
 * are config_value's.
 */
#include "common/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_file.h"
#include "common/config_value.h"
#include "common/memory.h"
#include "common/plan.h"

/* a value in a message, by "%.*s%s" */
#define SHOWN_MAX    200
#define SHOWN(value) SHOWN_MAX, value, strlen(value) > SHOWN_MAX ? "..." : ""

/* --- keys --------------------------------------------------------------------------------- */

struct key {
	const char *section, *name;
	const char *fallback; /* NULL: the key must be given */
	size_t offset;
	int (*set)(void *field, const char *value);
	const char *expected;
	unsigned bit; /* of config_options.given, for the keys that set one */
};

#define AT(field)         offsetof(struct config, field)
#define IN_OPTIONS(field) offsetof(struct config_options, field)
#define IN_TAG(field)     offsetof(struct config_tag, field)
#define YES_OR_NO         "yes or no"
#define A_TIME            "as in 120, 2m, 1h or 7d"

static const struct key keys[] = {
	{ "daemon", "state-dir", "/var/lib/eipd", AT(daemon.state_dir), config_set_path,
		"the absolute path of a directory" },
	{ "daemon", "run-dir", CONFIG_DEFAULT_RUN_DIR, AT(daemon.run_dir), config_set_run_dir,
		"the absolute path of a directory, of at most 97 characters" },
	{ "daemon", "user", "", AT(daemon.user), config_set_text,
		"the name of a user, or nothing (that is root)" },
	{ "daemon", "log", "syslog", AT(daemon.log), config_set_log,
		"syslog, stderr or the absolute path of a file" },
	{ "daemon", "log-level", "info", AT(daemon.log_level), config_set_log_level,
		"error, warning, info or debug" },
	{ "control", "group", "", AT(control.group), config_set_text, "the name of a group" },
	{ "control", "group-may-change", "no", AT(control.group_may_change), config_set_bool,
		YES_OR_NO },
	{ "inner", "bridge", NULL, AT(inner.bridge), config_set_interface,
		"the name of the bridge that the VMs are on, as in br0" },
	{ "inner", "address", "", AT(inner.address), config_set_prefix,
		"an address of the bridge, as in 192.168.6.22/24 (a prefix length is from 8 to 30)" },
	{ "inner", "create", "no", AT(inner.create), config_set_bool, YES_OR_NO },
	{ "inner", "uplink", "", AT(inner.uplink), config_set_interface_or_none,
		"the name of the inner network card, as in eth1, or nothing" },
	{ "inner", "anti-spoof", "no", AT(inner.anti_spoof), config_set_bool, YES_OR_NO },
	{ "outer", "interface", NULL, AT(outer.interface), config_set_interface,
		"the name of the outer network card, as in eth0" },
	{ "outer", "pool", NULL, 0, config_set_pool,
		"public addresses, each once: A, A-B or A/LEN, separated by commas, "
		"as in 20.251.48.99-20.251.48.110, 20.251.49.0/28" },
	{ "outer", "prefix-length", "32", AT(outer.prefix_len), config_set_prefix_len,
		"a number from 8 to 32" },
	{ "outer", "probe", "yes", AT(outer.probe), config_set_bool, YES_OR_NO },
	{ "outer", "announce", "3", AT(outer.announce), config_set_announce,
		"a number from 0 to 100" },
	{ "plan", "file", CONFIG_DEFAULT_PLAN, AT(plan.file), config_set_path,
		"the absolute path of a file" },
	{ "plan", "watch", "no", AT(plan.watch), config_set_bool, YES_OR_NO },
	{ "dhcp", "authoritative", "yes", AT(dhcp.authoritative), config_set_bool, YES_OR_NO },
	{ "dhcp", "client-id-echo", "yes", AT(dhcp.client_id_echo), config_set_bool, YES_OR_NO },
	{ "dhcp", "verify-source", "yes", AT(dhcp.verify_source), config_set_bool, YES_OR_NO },
	{ "dhcp", "callback", "", AT(dhcp.callback), config_set_path_or_none,
		"the absolute path of a program, or nothing" },
	{ "dhcp", "callback-user", "", AT(dhcp.callback_user), config_set_text,
		"the name of a user, or nothing (that is the daemon's)" },
	{ "dhcp", "callback-timeout", "30s", AT(dhcp.callback_timeout), config_set_timeout,
		"a time from 1s to 1d, " A_TIME },
	{ "dhcp", "log", "/var/log/eipd/lease.log", AT(dhcp.log), config_set_path_or_none,
		"the absolute path of a file, or nothing" },
	{ "nat", "auto-bind", "no", AT(nat.auto_bind), config_set_bool, YES_OR_NO },
	{ "nat", "reclaim-after", "never", AT(nat.reclaim_after), config_set_reclaim,
		"never, or a time, " A_TIME },
	{ "nat", "hairpin", "yes", AT(nat.hairpin), config_set_bool, YES_OR_NO },
	{ "nat", "cooldown", "0s", AT(nat.cooldown), config_set_cooldown, "a time, " A_TIME },
	{ "nat", "on-exit", "keep", AT(nat.remove_on_exit), config_set_on_exit, "keep or remove" },
	{ "nat", "resync", "30s", AT(nat.resync), config_set_timeout,
		"a time from 1s to 1d, " A_TIME },
};

/* Of [dhcp] and of every [tag NAME]; the fields are those of struct config_options. */
static const struct key option_keys[] = {
	{ "dhcp", "lease-time", "1h", IN_OPTIONS(lease_time), config_set_lease_time,
		"a time of at least 3s, " A_TIME ", or infinite", 1 << KEY_LEASE_TIME },
	{ "dhcp", "router", "auto", 0, config_set_router,
		"auto (the bridge's address), addresses separated by commas, or nothing",
		1 << KEY_ROUTER },
	{ "dhcp", "dns", "", IN_OPTIONS(dns), config_set_addresses,
		"addresses separated by commas, or nothing", 1 << KEY_DNS },
	{ "dhcp", "domain", "", IN_OPTIONS(domain), config_set_domain,
		"a DNS name, as in example.net, or nothing", 1 << KEY_DOMAIN },
	{ "dhcp", "ntp", "", IN_OPTIONS(ntp), config_set_addresses,
		"addresses separated by commas, or nothing", 1 << KEY_NTP },
	{ "dhcp", "mtu", "", IN_OPTIONS(mtu), config_set_mtu,
		"a number from 68 to 65535, or nothing", 1 << KEY_MTU },
	{ "dhcp", "static-routes", "", 0, config_set_routes,
		"NETWORK/LEN ROUTER, separated by commas, as in 10.0.0.0/8 192.168.6.1",
		1 << KEY_ROUTES },
	{ "dhcp", "next-server", "", IN_OPTIONS(next_server), config_set_address_or_none,
		"an address, or nothing", 1 << KEY_NEXT_SERVER },
	{ "dhcp", "boot-file", "", IN_OPTIONS(boot_file), config_set_text,
		"the name of a file (at most 255 characters), or nothing", 1 << KEY_BOOT_FILE },
};

/* Which requests a tag is for; the fields are those of struct config_tag. */
static const struct key tag_keys[] = {
	{ "tag", "vendor-class", "", IN_TAG(vendor_class), config_set_text,
		"a part of the vendor class (option 60), as in PXEClient", 0 },
	{ "tag", "user-class", "", IN_TAG(user_class), config_set_text,
		"a part of the user class (option 77), as in iPXE", 0 },
	{ "tag", "client-name", "", IN_TAG(client_name), config_set_text,
		"the name that the client calls itself (option 12)", 0 },
	{ "tag", "circuit-id", "", IN_TAG(circuit_id), config_set_circuit_id,
		"the octets of the relay's circuit id: hex:... or text:...", 0 },
	{ "tag", "client-arch", "", 0, config_set_client_arch,
		"numbers of client architectures (option 93), separated by commas, as in 7, 9", 0 },
};

#define COUNT(table)      (sizeof(table) / sizeof(*(table)))
#define RAW_OPTION_PREFIX "option."
#define TAG_PREFIX        "tag "

static const struct {
	const struct key *keys;
	size_t count;
} tables[] = { { keys, COUNT(keys) }, { option_keys, COUNT(option_keys) },
	{ tag_keys, COUNT(tag_keys) } };

static const struct key *find_in(const struct key *table, size_t count, const char *section,
	const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(table[i].name, name) &&
			(!section || !strcmp(table[i].section, section)))
			return &table[i];
	}
	return NULL;
}

/* Edit distance (Levenshtein) of two short words. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64], len = strlen(b);

	if (len >= 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			row[j + 1] = best;
		}
	}
	return row[len];
}

/* "dhcp", "tag" for all of [tag NAME], … */
static const char *kind_of(const char *section)
{
	return strncmp(section, TAG_PREFIX, strlen(TAG_PREFIX)) ? section : "tag";
}

/* The same key of another section comes first: it is the most likely slip. */
static const struct key *nearest_key(const char *section, const char *name)
{
	const struct key *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (size_t t = 0; t < COUNT(tables); t++) {
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct key *key = &tables[t].keys[i];
			size_t d = 2 * distance(name, key->name) +
				!!strcmp(kind_of(section), key->section);

			if (d < best_distance) {
				best_distance = d;
				best = key;
			}
		}
	}
	return best;
}

static bool section_exists(const char *section)
{
	for (size_t i = 0; i < COUNT(keys); i++) {
		if (!strcmp(keys[i].section, section))
			return true;
	}
	return !strncmp(section, TAG_PREFIX, strlen(TAG_PREFIX)) &&
		plan_tag_is_valid(section + strlen(TAG_PREFIX));
}

/* --- into the configuration ---------------------------------------------------------------- */

/* Where the keys of an entry's section are kept. */
struct target {
	struct config *config;
	struct config_options *options; /* NULL: the section has none */
	struct config_tag *tag;         /* NULL: it is no tag */
};

static void set_key(struct target *target, void *base, const struct key *key,
	const struct config_entry *entry, struct problems *problems)
{
	if (key->set((char *)base + key->offset, entry->value))
		problem_add(problems, target->config->path, entry->line,
			"[%s] %s: \"%.*s%s\" will not do; expected %s", entry->section, entry->key,
			SHOWN(entry->value), key->expected);
	if (target->options)
		target->options->given |= key->bit;
}

static struct config_tag *find_tag(struct config *config, const char *name)
{
	for (size_t i = 0; i < config->tag_count; i++) {
		if (!strcmp(config->tags[i].name, name))
			return &config->tags[i];
	}
	return NULL;
}

/* All strings set, so that nobody needs to ask whether there is one. */
static void fill_options(struct config_options *options)
{
	options->domain = xstrdup("");
	options->boot_file = xstrdup("");
}

static struct config_tag *add_tag(struct config *config, const char *name)
{
	struct config_tag *tag;

	config->tags = xrealloc(config->tags, config->tag_count + 1, sizeof(*tag));
	tag = &config->tags[config->tag_count++];
	*tag = (struct config_tag){ .name = xstrdup(name),
		.vendor_class = xstrdup(""),
		.user_class = xstrdup(""),
		.client_name = xstrdup("") };
	fill_options(&tag->options);
	return tag;
}

static struct target find_target(struct config *config, const struct config_entry *entry,
	struct problems *problems)
{
	struct target target = { .config = config };
	const char *name;

	if (!strcmp(entry->section, "dhcp"))
		target.options = &config->dhcp.options;
	if (strcmp(kind_of(entry->section), "tag"))
		return target;
	name = entry->section + strlen(TAG_PREFIX);
	target.tag = find_tag(config, name);
	if (!target.tag) {
		if (config->tag_count == CONFIG_TAGS_MAX)
			problem_add(problems, config->path, entry->line, "[%s]: more than %d tags",
				entry->section, CONFIG_TAGS_MAX);
		target.tag = add_tag(config, name);
	}
	target.options = &target.tag->options;
	return target;
}

static void set_raw(struct target *target, const struct config_entry *entry,
	struct problems *problems)
{
	int err = config_set_raw_option(target->options, entry->key + strlen(RAW_OPTION_PREFIX),
		entry->value);

	if (err == -EEXIST)
		problem_add(problems, target->config->path, entry->line,
			"[%s] %s: this option is given twice", entry->section, entry->key);
	else if (err)
		problem_add(problems, target->config->path, entry->line,
			"[%s] %s: \"%.*s%s\" will not do; expected option.N (1 to 254, none that the "
			"server decides itself) = hex:..., ip:A,B or text:...",
			entry->section, entry->key, SHOWN(entry->value));
}

static void set_entry(struct config *config, const struct config_entry *entry,
	struct problems *problems)
{
	size_t prefix = strlen(RAW_OPTION_PREFIX);
	struct target target;
	const struct key *key;

	if (!*entry->section) {
		problem_add(problems, config->path, entry->line,
			"%s: stands before the first [section]", entry->key);
		return;
	}
	if (!section_exists(entry->section))
		return; /* which has been said */
	target = find_target(config, entry, problems);
	key = find_in(keys, COUNT(keys), entry->section, entry->key);
	if (key) {
		set_key(&target, config, key, entry, problems);
	} else if (target.options &&
		(key = find_in(option_keys, COUNT(option_keys), NULL, entry->key))) {
		set_key(&target, target.options, key, entry, problems);
	} else if (target.tag && (key = find_in(tag_keys, COUNT(tag_keys), NULL, entry->key))) {
		set_key(&target, target.tag, key, entry, problems);
	} else if (target.options && !strncmp(entry->key, RAW_OPTION_PREFIX, prefix)) {
		set_raw(&target, entry, problems);
	} else {
		key = nearest_key(entry->section, entry->key);
		problem_add(problems, config->path, entry->line,
			"[%s] %s: unknown key; the nearest is [%s] %s", entry->section, entry->key,
			strcmp(key->section, kind_of(entry->section)) ? key->section
								      : entry->section,
			key->name);
	}
}

static unsigned section_line(const struct config *config, const char *section)
{
	for (size_t i = 0; i < config->entry_count; i++) {
		if (!strcmp(config->entries[i].section, section))
			return config->entries[i].line;
	}
	return 1;
}

static void set_defaults(struct config *config, const struct key *table, size_t count, void *base,
	struct problems *problems)
{
	for (size_t i = 0; i < count; i++) {
		/* the defaults are right: they are tested */
		if (table[i].fallback)
			(void)table[i].set((char *)base + table[i].offset, table[i].fallback);
		else if (!config_line(config, table[i].section, table[i].name))
			problem_add(problems, config->path, section_line(config, table[i].section),
				"[%s] %s: missing; expected %s", table[i].section, table[i].name,
				table[i].expected);
	}
}

static void set_all(struct config *config, struct problems *problems)
{
	set_defaults(config, keys, COUNT(keys), config, problems);
	set_defaults(config, option_keys, COUNT(option_keys), &config->dhcp.options, problems);
	config->dhcp.options.given = UINT_MAX;
	for (size_t i = 0; i < config->entry_count; i++) {
		const struct config_entry *entry = &config->entries[i];

		/* without a value or given twice, which has been said */
		if (entry->value && config_line(config, entry->section, entry->key) == entry->line)
			set_entry(config, entry, problems);
	}
}

static void check_create(const struct config *config, struct problems *problems)
{
	if (config->inner.create && !config->inner.address.len)
		problem_add(problems, config->path, config_line(config, "inner", "create"),
			"[inner] create: needs [inner] address, which the bridge is to have, with its "
			"prefix length, as in 192.168.6.22/24");
}

static unsigned digits_of(uint64_t n)
{
	return n < 10 ? 1 : 1 + digits_of(n / 10);
}

/* What no single value shows; values that are missing or wrong by themselves are passed over. */
static void check_together(const struct config *config, struct problems *problems)
{
	char text[IP4_STRLEN];
	unsigned line = config_line(config, "outer", "interface");
	uint64_t pool = config_pool_size(config);

	if (config->inner.anti_spoof && config->inner.uplink && !*config->inner.uplink)
		problem_add(problems, config->path, config_line(config, "inner", "anti-spoof"),
			"[inner] anti-spoof: it needs [inner] uplink, as all other ports of the "
			"bridge may send only what the plan says; name the inner network card");
	if (!config->outer.interface)
		return;
	if (config->inner.bridge && !strcmp(config->outer.interface, config->inner.bridge))
		problem_add(problems, config->path, line,
			"[outer] interface: %s is the inner bridge; "
			"public addresses need a network card of their own",
			config->outer.interface);
	if (!strcmp(config->outer.interface, config->inner.uplink))
		problem_add(problems, config->path, line,
			"[outer] interface: %s is the inner uplink; "
			"public addresses need a network card of their own",
			config->outer.interface);
	/* a label "eth0:N" must fit where the kernel keeps it */
	if (strlen(config->outer.interface) + 1 + digits_of(pool) >= IFNAMSIZ)
		problem_add(problems, config->path, line,
			"[outer] interface: %s is too long a name for "
			"the labels %s:1 to %s:%llu (at most %d characters); rename the interface",
			config->outer.interface, config->outer.interface, config->outer.interface,
			(unsigned long long)pool, IFNAMSIZ - 1);
	if (!config->inner.address.len)
		return;
	line = config_line(config, "outer", "pool");
	for (size_t i = 0; i < config->outer.pool_count; i++) {
		const struct ip4_range *range = &config->outer.pool[i];

		if (range->first <= ip4_prefix_broadcast(&config->inner.address) &&
			range->last >= ip4_prefix_network(&config->inner.address))
			problem_add(problems, config->path, line,
				"[outer] pool: the range that begins with %s overlaps the inner network",
				ip4_format(range->first, text));
	}
}

int config_examine(const char *path, struct config **ret_config, struct problems *problems)
{
	size_t problems_before = problems->count;
	struct config *config = xcalloc(1, sizeof(*config));

	config->path = xstrdup(path);
	if (config_file_read(config, section_exists, problems)) {
		config_free(config);
		return -EINVAL;
	}
	set_all(config, problems);
	check_together(config, problems);
	check_create(config, problems);
	problems_sort(problems, problems_before);
	*ret_config = config;
	return 0;
}

int config_load(const char *path, struct config **ret_config, struct problems *problems)
{
	size_t problems_before = problems->count;
	struct config *config;
	int err = config_examine(path, &config, problems);

	if (err)
		return err;
	if (problems->count != problems_before) {
		config_free(config);
		return -EINVAL;
	}
	*ret_config = config;
	return 0;
}

static void options_done(struct config_options *options)
{
	for (size_t i = 0; i < options->raw_count; i++)
		free(options->raw[i].data);
	free(options->raw);
	free(options->routes);
	free(options->router.addr);
	free(options->dns.addr);
	free(options->ntp.addr);
	free(options->domain);
	free(options->boot_file);
}

static void tag_done(struct config_tag *tag)
{
	free(tag->name);
	free(tag->vendor_class);
	free(tag->user_class);
	free(tag->client_name);
	free(tag->circuit_id.data);
	free(tag->client_arch);
	options_done(&tag->options);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	free(config->path);
	free(config->daemon.state_dir);
	free(config->daemon.run_dir);
	free(config->daemon.user);
	free(config->daemon.log);
	free(config->control.group);
	free(config->inner.bridge);
	free(config->inner.uplink);
	free(config->outer.interface);
	free(config->outer.pool);
	free(config->plan.file);
	options_done(&config->dhcp.options);
	free(config->dhcp.callback);
	free(config->dhcp.callback_user);
	free(config->dhcp.log);
	for (size_t i = 0; i < config->tag_count; i++)
		tag_done(&config->tags[i]);
	free(config->tags);
	for (size_t i = 0; i < config->entry_count; i++) {
		free(config->entries[i].section);
		free(config->entries[i].key);
		free(config->entries[i].value);
	}
	free(config->entries);
	free(config);
}

unsigned config_line(const struct config *config, const char *section, const char *key)
{
	for (size_t i = 0; i < config->entry_count; i++) {
		if (!strcmp(config->entries[i].section, section) &&
			!strcmp(config->entries[i].key, key))
			return config->entries[i].line;
	}
	return 0;
}

uint64_t config_pool_size(const struct config *config)
{
	uint64_t size = 0;

	for (size_t i = 0; i < config->outer.pool_count; i++)
		size += (uint64_t)config->outer.pool[i].last - config->outer.pool[i].first + 1;
	return size;
}

bool config_pool_contains(const struct config *config, uint32_t ip)
{
	for (size_t i = 0; i < config->outer.pool_count; i++) {
		if (ip >= config->outer.pool[i].first && ip <= config->outer.pool[i].last)
			return true;
	}
	return false;
}

static bool list_has(const struct ip4_list *list, uint32_t ip)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->addr[i] == ip)
			return true;
	}
	return false;
}

static bool options_name(const struct config_options *options, uint32_t ip)
{
	bool found = options->next_server == ip || list_has(&options->router, ip) ||
		list_has(&options->dns, ip) || list_has(&options->ntp, ip);

	for (size_t i = 0; i < options->route_count; i++)
		found = found || options->routes[i].router == ip;
	return found;
}

bool config_names_address(const struct config *config, uint32_t ip)
{
	bool found = options_name(&config->dhcp.options, ip);

	for (size_t i = 0; i < config->tag_count; i++)
		found = found || options_name(&config->tags[i].options, ip);
	return found;
}
