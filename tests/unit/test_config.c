/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eipd.conf: every key, every kind of mistake, and that all mistakes are told at once. */
#include "tests/unit/support.h"

#include <errno.h>

#include "common/config.h"

static char *directory, *path;

static int setup(void **state)
{
	(void)state;
	directory = directory_new();
	path = path_in(directory, "eipd.conf");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(path);
	directory_remove(directory);
	return 0;
}

static int load(const char *text, struct config **ret_config, struct problems *problems)
{
	file_write(path, text, strlen(text));
	*ret_config = NULL;
	return config_load(path, ret_config, problems);
}

static struct config *load_good(const char *text)
{
	struct problems problems = { 0 };
	struct config *config;
	int err = load(text, &config, &problems);

	problems_print(&problems);
	assert_int_equal(err, 0);
	assert_int_equal(problems.count, 0);
	assert_non_null(config);
	problems_done(&problems);
	return config;
}

/* --- every key ---------------------------------------------------------------------------- */

static const char *const sections[] = { "daemon", "control", "inner", "outer", "plan", "dhcp",
	"nat" };
static const struct {
	const char *section, *key, *value;
} required[] = { { "inner", "bridge", "br0" }, { "outer", "interface", "eth0" },
	{ "outer", "pool", "20.251.48.99-20.251.48.110" } };

/* A file with what is required and this key; *ret_line is where it stands. The caller frees. */
static char *file_with(const char *section, const char *key, const char *value, unsigned *ret_line)
{
	unsigned line = 0;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t s = 0; s < COUNT(sections); s++) {
		line++;
		fprintf(out, "[%s]\n", sections[s]);
		for (size_t r = 0; r < COUNT(required); r++) {
			if (strcmp(required[r].section, sections[s]) ||
				(key && !strcmp(required[r].key, key) &&
					!strcmp(section, sections[s])))
				continue;
			line++;
			fprintf(out, "%s = %s\n", required[r].key, required[r].value);
		}
		if (section && !strcmp(section, sections[s])) {
			*ret_line = ++line;
			fprintf(out, "%s = %s\n", key, value);
		}
	}
	fclose(out);
	return text;
}

static char *show_text(const void *field)
{
	const char *text = *(char *const *)field;

	assert_non_null(text);
	return strdup(text);
}

static char *show_bool(const void *field)
{
	return strdup(*(const bool *)field ? "yes" : "no");
}

static char *show_on_exit(const void *field)
{
	return strdup(*(const bool *)field ? "remove" : "keep");
}

static char *show_u32(const void *field)
{
	char *text;

	return asprintf(&text, "%u", *(const uint32_t *)field) < 0 ? NULL : text;
}

static char *show_level(const void *field)
{
	static const char *const names[] = { [LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARNING] = "warning",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug" };

	return strdup(names[*(const enum config_log_level *)field]);
}

static char *show_prefix(const void *field)
{
	char text[IP4_PREFIX_STRLEN];

	return strdup(ip4_prefix_format(field, text));
}

static char *show_address(const void *field)
{
	char text[IP4_STRLEN];

	return strdup(ip4_format(*(const uint32_t *)field, text));
}

static char *show_list(const void *field)
{
	const struct ip4_list *list = field;
	char *text = calloc(list->count + 1, IP4_STRLEN), *p = text;

	for (size_t i = 0; i < list->count; i++) {
		char ip[IP4_STRLEN];

		p += sprintf(p, "%s%s", i ? " " : "", ip4_format(list->addr[i], ip));
	}
	return text;
}

static char *show_router(const void *field)
{
	const struct config_options *options = field;

	return options->router_auto ? strdup("auto") : show_list(&options->router);
}

static char *show_routes(const void *field)
{
	const struct config_options *options = field;
	char *text = calloc(options->route_count + 1, 64), *p = text;

	for (size_t i = 0; i < options->route_count; i++) {
		char prefix[IP4_PREFIX_STRLEN], ip[IP4_STRLEN];

		p += sprintf(p, "%s%s>%s", i ? " " : "",
			ip4_prefix_format(&options->routes[i].destination, prefix),
			ip4_format(options->routes[i].router, ip));
	}
	return text;
}

static char *show_pool(const void *field)
{
	const struct config *config = field;
	char *text = calloc(config->outer.pool_count + 1, IP4_RANGE_STRLEN + 1), *p = text;

	for (size_t i = 0; i < config->outer.pool_count; i++) {
		char range[IP4_RANGE_STRLEN];

		p += sprintf(p, "%s%s", i ? " " : "",
			ip4_range_format(&config->outer.pool[i], range));
	}
	return text;
}

#define AT(field) offsetof(struct config, field)
#define TEXT_64   "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"
#define PATH_97   "/" TEXT_64 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb"
#define TEXT_256  TEXT_64 TEXT_64 TEXT_64 TEXT_64

static const struct key_row {
	const char *section, *key;
	char *(*show)(const void *field);
	size_t offset;
	const char *fallback;   /* NULL: the key is required */
	const char *good[6][2]; /* as written, as shown */
	const char *bad[20];
} key_rows[] = {
	{ "daemon", "state-dir", show_text, AT(daemon.state_dir), "/var/lib/eipd",
		{ { "/srv/eipd", "/srv/eipd" } }, { "relative/path", "" } },
	{ "daemon", "run-dir", show_text, AT(daemon.run_dir), "/run/eipd",
		{ { "/tmp/r", "/tmp/r" }, { PATH_97, PATH_97 } }, { "run", PATH_97 "/", "" } },
	{ "daemon", "user", show_text, AT(daemon.user), "", { { "eipd", "eipd" }, { "", "" } },
		{ TEXT_256 } },
	{ "daemon", "log", show_text, AT(daemon.log), "syslog",
		{ { "stderr", "stderr" }, { "syslog", "syslog" }, { "/var/log/x", "/var/log/x" } },
		{ "stdout", "file.log", "" } },
	{ "daemon", "log-level", show_level, AT(daemon.log_level), "info",
		{ { "error", "error" }, { "warning", "warning" }, { "info", "info" },
			{ "debug", "debug" } },
		{ "verbose", "3", "infos", "" } },
	{ "control", "group", show_text, AT(control.group), "",
		{ { "wheel", "wheel" }, { "", "" } }, { TEXT_256 } },
	{ "control", "group-may-change", show_bool, AT(control.group_may_change), "no",
		{ { "yes", "yes" }, { "no", "no" } }, { "1", "maybe", "" } },
	{ "inner", "bridge", show_text, AT(inner.bridge), NULL,
		{ { "br-lan.100", "br-lan.100" }, { "fifteen-letters", "fifteen-letters" } },
		{ "", "br/0", "br 0", "br0:1", "sixteen-letters-", ".", ".." } },
	{ "inner", "address", show_prefix, AT(inner.address), "0.0.0.0/0",
		{ { "192.168.6.22/24", "192.168.6.22/24" }, { "192.168.6.22", "192.168.6.22/0" },
			{ "", "0.0.0.0/0" } },
		{ "192.168.6.22/0", "192.168.6.22/", "224.0.0.1", "192.168.6.22/33",
			"192.168.6.22/32", "300.168.6.22/24", "127.0.0.1/8", "224.0.0.1/24",
			"0.0.0.0/24", "br0" } },
	{ "inner", "uplink", show_text, AT(inner.uplink), "", { { "eth1", "eth1" }, { "", "" } },
		{ "eth/1", "eth1, eth2", "sixteen-letters-" } },
	{ "inner", "create", show_bool, AT(inner.create), "no", { { "no", "no" } },
		{ "", "true", "Yes" } },
	{ "outer", "interface", show_text, AT(outer.interface), NULL,
		{ { "eth0", "eth0" }, { "bond0.5", "bond0.5" } },
		{ "", "eth0:1", "eth 0", "a/b", "..", "sixteen-letters-" } },
	{ "outer", "pool", show_pool, 0, NULL,
		{ { "20.251.50.7", "20.251.50.7" },
			{ "20.251.50.7, 20.251.49.0/28 ,20.251.48.99-20.251.48.110",
				"20.251.48.99-20.251.48.110 20.251.49.0-20.251.49.15 20.251.50.7" },
			{ "20.0.0.2,20.0.0.1", "20.0.0.1 20.0.0.2" },
			{ "20.0.0.2 - 20.0.0.4\t,20.0.0.5 -20.0.0.6",
				"20.0.0.2-20.0.0.4 20.0.0.5-20.0.0.6" } },
		{ "", "x", "20.251.48.99,", ",20.251.48.99", "20.251.48.99,,20.251.48.100",
			"20.251.48.110-20.251.48.99", "20.251.49.3/28",
			"20.251.48.99, 20.251.48.99", "20.251.48.0/24, 20.251.48.7",
			"20.251.48.7, 20.251.48.1-20.251.48.7", "127.0.0.1", "224.0.0.1",
			"0.0.0.0/0" } },
	{ "outer", "prefix-length", show_u32, AT(outer.prefix_len), "32",
		{ { "24", "24" }, { "32", "32" } },
		{ "33", "0", "-1", "/24", "255.255.255.0", "" } },
	{ "outer", "probe", show_bool, AT(outer.probe), "yes", { { "no", "no" }, { "yes", "yes" } },
		{ "maybe", "yess", "" } },
	{ "outer", "announce", show_u32, AT(outer.announce), "3", { { "0", "0" }, { "5", "5" } },
		{ "-1", "yes", "1000000", "" } },
	{ "plan", "file", show_text, AT(plan.file), "/etc/eipd/network.conf", { { "/p", "/p" } },
		{ "network.conf", "" } },
	{ "dhcp", "lease-time", show_u32, AT(dhcp.options.lease_time), "3600",
		{ { "120", "120" }, { "2m", "120" }, { "7d", "604800" },
			{ "infinite", "4294967295" } },
		{ "0", "-1", "forever", "1y", "4294967295", "" } },
	{ "dhcp", "router", show_router, AT(dhcp.options), "auto",
		{ { "192.168.6.1", "192.168.6.1" },
			{ "192.168.6.1, 192.168.6.2", "192.168.6.1 192.168.6.2" }, { "", "" },
			{ "auto", "auto" } },
		{ "automatic", "192.168.6.256", "192.168.6.1,,192.168.6.2", "auto, 192.168.6.1",
			"255.255.255.255" } },
	{ "dhcp", "dns", show_list, AT(dhcp.options.dns), "",
		{ { "8.8.8.8,1.1.1.1", "8.8.8.8 1.1.1.1" }, { "", "" } },
		{ "8.8.8", "8.8.8.8,", "dns.example.net", "8.8.8.8 1.1.1.1", "0.0.0.0" } },
	{ "dhcp", "domain", show_text, AT(dhcp.options.domain), "",
		{ { "local", "local" }, { "a-b.example.net", "a-b.example.net" }, { "", "" } },
		{ "-a.net", "a-.net", "a..net", ".net", "net.", "a b", "a/b", "example.net-",
			TEXT_64 ".net", TEXT_256 } },
	{ "dhcp", "ntp", show_list, AT(dhcp.options.ntp), "",
		{ { "192.168.6.22", "192.168.6.22" }, { "", "" } },
		{ "x", "1.2.3.4 5.6.7.8", "224.0.1.1" } },
	{ "dhcp", "mtu", show_u32, AT(dhcp.options.mtu), "0",
		{ { "1450", "1450" }, { "68", "68" }, { "65535", "65535" }, { "", "0" } },
		{ "67", "65536", "-1500", "big" } },
	{ "dhcp", "static-routes", show_routes, AT(dhcp.options), "",
		{ { "10.0.0.0/8 192.168.6.1", "10.0.0.0/8>192.168.6.1" },
			{ "10.0.0.0/8 192.168.6.1, 0.0.0.0/0\t192.168.6.2",
				"10.0.0.0/8>192.168.6.1 0.0.0.0/0>192.168.6.2" },
			{ "10.0.0.0/8,192.168.6.1, 0.0.0.0/0 , 192.168.6.2",
				"10.0.0.0/8>192.168.6.1 0.0.0.0/0>192.168.6.2" },
			{ "10.0.0.0/8 via 192.168.6.1, 11.0.0.0/8=192.168.6.1,12.0.0.0/8:192.168.6.1",
				"10.0.0.0/8>192.168.6.1 11.0.0.0/8>192.168.6.1 "
				"12.0.0.0/8>192.168.6.1" },
			{ "", "" } },
		{ "10.0.0.0/8", "10.0.0.0/8,", "10.0.0.0/8,11.0.0.0/8", "192.168.6.1",
			"10.0.0.0/8 via", "10.0.0.0/8 =", "10.0.0.0/8,via 192.168.6.1",
			"10.0.0.0/8 = = 192.168.6.1", "10.0.0.0/8 via192.168.6.1",
			"10.0.0.0/8,192.168.6.1,192.168.6.2", "10.0.0.0/8,11.0.0.0/8 192.168.6.1",
			"10.0.0.1/8 192.168.6.1", "10.0.0.0/8 gateway", "10.0.0.0 192.168.6.1",
			"10.0.0.0/8 192.168.6.1 1", "10.0.0.0/8 192.168.6.1,",
			"192.168.6.1 10.0.0.0/8" } },
	{ "dhcp", "next-server", show_address, AT(dhcp.options.next_server), "0.0.0.0",
		{ { "192.168.6.9", "192.168.6.9" }, { "", "0.0.0.0" } },
		{ "tftp.local", "192.168.6.9, 192.168.6.10", "255.255.255.255" } },
	{ "dhcp", "boot-file", show_text, AT(dhcp.options.boot_file), "",
		{ { "pxelinux.0", "pxelinux.0" }, { "", "" } }, { TEXT_256 } },
	{ "dhcp", "authoritative", show_bool, AT(dhcp.authoritative), "yes", { { "no", "no" } },
		{ "1", "" } },
	{ "dhcp", "client-id-echo", show_bool, AT(dhcp.client_id_echo), "yes", { { "no", "no" } },
		{ "on", "" } },
	{ "dhcp", "verify-source", show_bool, AT(dhcp.verify_source), "yes", { { "no", "no" } },
		{ "off", "" } },
	{ "dhcp", "callback", show_text, AT(dhcp.callback), "",
		{ { "/usr/bin/cb", "/usr/bin/cb" }, { "", "" } }, { "cb", "./cb" } },
	{ "dhcp", "callback-timeout", show_u32, AT(dhcp.callback_timeout), "30",
		{ { "2m", "120" } }, { "0", "infinite", "x", "" } },
	{ "dhcp", "log", show_text, AT(dhcp.log), "/var/log/eipd/lease.log",
		{ { "", "" }, { "/l", "/l" } }, { "lease.log" } },
	{ "plan", "watch", show_bool, AT(plan.watch), "no", { { "yes", "yes" } }, { "on", "" } },
	{ "dhcp", "callback-user", show_text, AT(dhcp.callback_user), "",
		{ { "nobody", "nobody" }, { "", "" } }, { NULL } },
	{ "nat", "auto-bind", show_bool, AT(nat.auto_bind), "no", { { "yes", "yes" } },
		{ "x", "" } },
	{ "nat", "reclaim-after", show_u32, AT(nat.reclaim_after), "4294967295",
		{ { "1h", "3600" }, { "never", "4294967295" } }, { "0", "x", "" } },
	{ "nat", "hairpin", show_bool, AT(nat.hairpin), "yes", { { "no", "no" } },
		{ "never", "" } },
	{ "nat", "cooldown", show_u32, AT(nat.cooldown), "0", { { "10m", "600" }, { "0s", "0" } },
		{ "x", "-1", "" } },
	{ "nat", "on-exit", show_on_exit, AT(nat.remove_on_exit), "keep",
		{ { "remove", "remove" }, { "keep", "keep" } }, { "yes", "delete", "" } },
	{ "nat", "resync", show_u32, AT(nat.resync), "30", { { "1h", "3600" } }, { "x", "" } },
};

static void assert_shows(const struct key_row *row, const struct config *config,
	const char *expected)
{
	char *shown = row->show((const char *)config + row->offset);

	assert_string_equal(shown, expected);
	free(shown);
}

static void test_key_default(void **state)
{
	const struct key_row *row = *state;
	unsigned line;
	char *text = file_with(NULL, NULL, NULL, &line);
	struct config *config = load_good(text);

	assert_shows(row, config, row->fallback);
	assert_int_equal(config_line(config, row->section, row->key), 0);
	config_free(config);
	free(text);
}

static void test_key_missing(void **state)
{
	const struct key_row *row = *state;
	struct problems problems = { 0 };
	struct config *config;
	char *text = NULL, *name;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t r = 0; r < COUNT(required); r++) {
		if (strcmp(required[r].key, row->key))
			fprintf(out, "[%s]\n%s = %s\n", required[r].section, required[r].key,
				required[r].value);
	}
	fclose(out);
	assert_true(asprintf(&name, "[%s] %s: missing", row->section, row->key) > 0);
	assert_int_equal(load(text, &config, &problems), -EINVAL);
	assert_null(config);
	assert_int_equal(problems.count, 1);
	assert_non_null(strstr(problems.list[0].text, name));
	problems_done(&problems);
	free(name);
	free(text);
}

static void test_key_good(void **state)
{
	const struct key_row *row = *state;

	for (size_t i = 0; i < COUNT(row->good) && row->good[i][0]; i++) {
		unsigned line;
		char *text = file_with(row->section, row->key, row->good[i][0], &line);
		struct config *config = load_good(text);

		assert_shows(row, config, row->good[i][1]);
		assert_int_equal(config_line(config, row->section, row->key), line);
		config_free(config);
		free(text);
	}
}

static void test_key_bad(void **state)
{
	const struct key_row *row = *state;
	bool all_refused = true;

	for (size_t i = 0; i < COUNT(row->bad) && row->bad[i]; i++) {
		struct problems problems = { 0 };
		struct config *config;
		unsigned line;
		char *text = file_with(row->section, row->key, row->bad[i], &line), *name;
		int err = load(text, &config, &problems);

		assert_true(asprintf(&name, "[%s] %s", row->section, row->key) > 0);
		/* one problem, at its line, with the name of the key and what was written there */
		if (err != -EINVAL || problems.count != 1 ||
			!problems_match(&problems, line, name) ||
			(strlen(row->bad[i]) < 64 &&
				!problems_match(&problems, line, row->bad[i]))) {
			print_message("    %s = \"%s\" (line %u): %d\n", name, row->bad[i], line,
				err);
			problems_print(&problems);
			all_refused = false;
		}
		config_free(config);
		problems_done(&problems);
		free(name);
		free(text);
	}
	assert_true(all_refused);
}

/* --- option.N ----------------------------------------------------------------------------- */

static const struct raw_row {
	const char *sentence, *key, *value;
	struct octets octets; /* NULL: refused */
} raw_rows[] = {
	{ "option.N: hexadecimal with colons", "option.43", "hex:01:04:aa:BB",
		OCTETS("\x01\x04\xaa\xbb") },
	{ "option.N: hexadecimal with blanks", "option.43", "hex:01 04 aa BB",
		OCTETS("\x01\x04\xaa\xbb") },
	{ "option.N: hexadecimal without", "option.43", "hex:0104aabb",
		OCTETS("\x01\x04\xaa\xbb") },
	{ "option.N: addresses", "option.44", "ip:10.0.0.1, 10.0.0.2",
		OCTETS("\x0a\0\0\x01\x0a\0\0\x02") },
	{ "option.N: any address (a mask is one)", "option.33", "ip:255.255.255.0",
		OCTETS("\xff\xff\xff\0") },
	{ "option.N: text", "option.17", "text:/srv/root", OCTETS("/srv/root") },
	{ "option.N: text with blanks", "option.100", "text:EST5EDT, M3.2.0",
		OCTETS("EST5EDT, M3.2.0") },
	{ "option.N: the least", "option.1", "ip:255.0.0.0", OCTETS("\xff\0\0\0") },
	{ "option.N: the most", "option.254", "hex:00", OCTETS("\0") },
	{ "option.N: 0 is PAD", "option.0", "hex:00", { NULL, 0 } },
	{ "option.N: 255 is END", "option.255", "hex:00", { NULL, 0 } },
	{ "option.N: 256 is none", "option.256", "hex:00", { NULL, 0 } },
	{ "option.N: not a number", "option.dns", "hex:00", { NULL, 0 } },
	{ "option.N: no number", "option.", "hex:00", { NULL, 0 } },
	{ "option.N: the plan has the host name", "option.12", "text:x", { NULL, 0 } },
	{ "option.N: the server decides the lease time", "option.51", "hex:00000001", { NULL, 0 } },
	{ "option.N: the server decides the overload", "option.52", "hex:01", { NULL, 0 } },
	{ "option.N: the server decides the message type", "option.53", "hex:05", { NULL, 0 } },
	{ "option.N: the server decides the server", "option.54", "ip:10.0.0.1", { NULL, 0 } },
	{ "option.N: the server decides T1", "option.58", "hex:00000001", { NULL, 0 } },
	{ "option.N: the server decides T2", "option.59", "hex:00000001", { NULL, 0 } },
	{ "option.N: the client has the client identifier", "option.61", "text:x", { NULL, 0 } },
	{ "option.N: the relay has option 82", "option.82", "text:x", { NULL, 0 } },
	{ "option.N: no form", "option.43", "01:04", { NULL, 0 } },
	{ "option.N: an unknown form", "option.43", "base64:AQQ=", { NULL, 0 } },
	{ "option.N: half an octet", "option.43", "hex:01:0", { NULL, 0 } },
	{ "option.N: a colon at the end", "option.43", "hex:01:", { NULL, 0 } },
	{ "option.N: two colons", "option.43", "hex:01::02", { NULL, 0 } },
	{ "option.N: not hexadecimal", "option.43", "hex:0g", { NULL, 0 } },
	{ "option.N: no addresses", "option.43", "ip:", { NULL, 0 } },
	{ "option.N: not an address", "option.43", "ip:10.0.0", { NULL, 0 } },
	{ "option.N: an address missing", "option.43", "ip:10.0.0.1,", { NULL, 0 } },
	{ "option.N: nothing", "option.43", "", { NULL, 0 } },
};

static void test_raw(void **state)
{
	const struct raw_row *row = *state;
	struct problems problems = { 0 };
	struct config *config;
	unsigned line;
	char *text = file_with("dhcp", row->key, row->value, &line);
	int err = load(text, &config, &problems);

	if (row->octets.data) {
		const struct config_raw_option *option;

		assert_int_equal(err, 0);
		assert_int_equal(config->dhcp.options.raw_count, 1);
		option = &config->dhcp.options.raw[0];
		assert_int_equal(option->code, atoi(row->key + strlen("option.")));
		assert_int_equal(option->len, row->octets.len);
		assert_memory_equal(option->data, row->octets.data, row->octets.len);
	} else {
		assert_int_equal(err, -EINVAL);
		assert_int_equal(problems.count, 1);
		assert_int_equal(problems_match(&problems, line, row->key), 1);
	}
	config_free(config);
	problems_done(&problems);
	free(text);
}

/* --- mistakes ----------------------------------------------------------------------------- */

/* five lines */
#define REQUIRED "[inner]\nbridge = br0\n[outer]\ninterface = eth0\npool = 20.251.48.99\n"

static const struct mistake_row {
	const char *sentence, *text;
	struct {
		unsigned line;
		const char *text; /* part of it */
	} problem[8];
} mistake_rows[] = {
	{ "unknown key: the nearest is named, a letter is missing",
		REQUIRED "[dhcp]\nlease-tme = 1h\n", { { 7, "[dhcp] lease-time" } } },
	{ "unknown key: the nearest is named, two letters are swapped",
		REQUIRED "[nat]\nharipin = no\n", { { 7, "[nat] hairpin" } } },
	{ "unknown key: the nearest is named, the hyphen is missing",
		REQUIRED "[daemon]\nstatedir = /x\n", { { 7, "[daemon] state-dir" } } },
	{ "unknown key: the nearest is named, an underscore for the hyphen",
		REQUIRED "[daemon]\nlog_level = info\n", { { 7, "[daemon] log-level" } } },
	{ "unknown key: right name, wrong section", REQUIRED "[inner]\nprefix-length = 24\n",
		{ { 7, "[outer] prefix-length" } } },
	{ "unknown key: of two with one name, that of the section", REQUIRED "[dhcp]\nlogg = /x\n",
		{ { 7, "[dhcp] log" } } },
	{ "unknown key: it is named itself", REQUIRED "[dhcp]\nlease-tme = 1h\n",
		{ { 7, "lease-tme" } } },
	{ "unknown key: however long", REQUIRED "[dhcp]\n" TEXT_256 " = 1h\n", { { 7, TEXT_64 } } },
	{ "a message is all ASCII, as what is not is not printed",
		REQUIRED "[dhcp]\noption.43 = x\n", { { 7, "hex:..., ip:A,B or text:..." } } },
	{ "option.N is for [dhcp] only", REQUIRED "[nat]\noption.43 = hex:00\n",
		{ { 7, "option.43" } } },
	{ "unknown section", REQUIRED "[dchp]\nlease-time = 1h\n", { { 6, "dchp" } } },
	{ "unknown section: in iniparser's dictionary it has the name of a key, which then has no value",
		REQUIRED "[inner:bridge]\n", { { 6, "[inner:bridge]" } } },
	{ "a key before the first section", "bridge = br0\n" REQUIRED, { { 1, "bridge" } } },
	{ "a key twice: both lines", REQUIRED "[dhcp]\ndns = 8.8.8.8\nntp =\ndns = 1.1.1.1\n",
		{ { 9, "line 7" } } },
	{ "a key twice in the section's two parts: both lines",
		REQUIRED "[nat]\nhairpin = no\n[dhcp]\n[nat]\nhairpin = no\n",
		{ { 10, "line 7" } } },
	{ "a key three times: each later one",
		REQUIRED "[nat]\nhairpin = no\nhairpin = no\nhairpin = no\n",
		{ { 8, "line 7" }, { 9, "line 7" } } },
	{ "an option twice", REQUIRED "[dhcp]\noption.43 = hex:00\noption.43 = hex:01\n",
		{ { 8, "line 7" } } },
	{ "an option twice, once with a leading zero",
		REQUIRED "[dhcp]\noption.43 = hex:00\noption.043 = hex:01\n", { { 8, NULL } } },
	{ "a line that is nothing", REQUIRED "[dhcp]\nlease time is one hour\n", { { 7, NULL } } },
	{ "a section that is not closed", REQUIRED "[dhcp\n", { { 6, NULL } } },
	{ "nothing in it: each required key is missing", "",
		{ { 1, "bridge" }, { 1, "interface" }, { 1, "pool" } } },
	{ "a required key is missing: told in its section",
		"[outer]\ninterface = eth0\npool = 1.1.1.1\n"
		"[inner]\nuplink = eth1\n",
		{ { 5, "[inner] bridge" } } },
	{ "all problems, not only the first",
		"[inner]\nbridge = b/r\n[outer]\ninterface = eth0\npool = x\n"
		"[dhcp]\nlease-time = y\n"
		"dns = z\nlease-tme = 1\n[nonsense]\n[nat]\nresync = q\n",
		{ { 2, "bridge" }, { 5, "pool" }, { 7, "lease-time" }, { 8, "dns" },
			{ 9, "lease-tme" }, { 10, "nonsense" }, { 12, "resync" } } },
	{ "all problems: a line that is nothing does not hide the others",
		REQUIRED "[dhcp]\nwhat is this\nlease-time = y\n",
		{ { 7, NULL }, { 8, "lease-time" } } },
	{ "all problems: a line that is nothing does not hide what is missing",
		"what is this\n[outer]\ninterface = eth0\npool = 1.1.1.1\n",
		{ { 1, NULL }, { 1, "[inner] bridge" } } },
	{ "all problems: what does not go together, beside a bad value",
		"[inner]\nbridge = br0\n[outer]\ninterface = br0\npool = 1.1.1.1\nprobe = x\n",
		{ { 4, "br0" }, { 6, "probe" } } },
	{ "the outer interface is the bridge",
		"[inner]\nbridge = br0\n[outer]\ninterface = br0\n"
		"pool = 1.1.1.1\n",
		{ { 4, "br0" } } },
	{ "the outer interface is the uplink",
		"[inner]\nbridge = br0\nuplink = eth0\n[outer]\n"
		"interface = eth0\npool = 1.1.1.1\n",
		{ { 5, "eth0" } } },
	{ "the outer interface's name leaves no room for a label",
		"[inner]\nbridge = br0\n[outer]\ninterface = fourteenletter\npool = 1.1.1.1\n",
		{ { 4, "fourteenletter" } } },
	{ "the outer interface's name leaves no room for the last label",
		"[inner]\nbridge = br0\n[outer]\ninterface = thirteenlette\n"
		"pool = 1.1.1.1-1.1.1.10\n",
		{ { 4, "thirteenlette" } } },
	{ "a bridge to be made without an address to give it",
		"[inner]\nbridge = br0\ncreate = yes\n[outer]\ninterface = eth0\npool = 1.1.1.1\n",
		{ { 3, "[inner] address" } } },
	{ "a bridge to be made with half an address",
		"[inner]\nbridge = br0\naddress = 192.168.6.22\ncreate = yes\n[outer]\n"
		"interface = eth0\npool = 1.1.1.1\n",
		{ { 4, "[inner] address" } } },
	{ "a bridge to be made with an empty address",
		"[inner]\nbridge = br0\naddress =\ncreate = yes\n[outer]\ninterface = eth0\n"
		"pool = 1.1.1.1\n",
		{ { 4, "[inner] address" } } },
	{ "a pool inside the inner network",
		"[inner]\nbridge = br0\naddress = 192.168.6.22/24\n[outer]\n"
		"interface = eth0\npool = 1.1.1.1, 192.168.6.99\n",
		{ { 6, "192.168.6.99" } } },
	{ "a pool around the inner network",
		"[inner]\nbridge = br0\naddress = 192.168.6.22/24\n[outer]\n"
		"interface = eth0\npool = 192.168.0.0/16\n",
		{ { 6, "192.168.0.0" } } },
	{ "tag: a bad value", REQUIRED "[tag web]\nlease-time = x\n", { { 7, "lease-time" } } },
	{ "tag: an unknown key, the nearest is named", REQUIRED "[tag web]\nlease-tme = 1h\n",
		{ { 7, "lease-time" } } },
	{ "tag: a key of [dhcp] that is not an option for clients",
		REQUIRED "[tag web]\nauthoritative = no\n", { { 7, "authoritative" } } },
	{ "tag: no name", REQUIRED "[tag ]\nlease-time = 1h\n", { { 6, NULL } } },
	{ "tag: a name that is none, though nothing is in it",
		REQUIRED "[tag web]\nmtu = 1400\n[tag web:mtu]\n", { { 8, "[tag web:mtu]" } } },
	{ "tag: an option that the server decides",
		REQUIRED "[tag web]\noption.51 = hex:00000001\n", { { 7, "option.51" } } },
	{ "the value is quoted in a message as it is", REQUIRED "[outer]\nannounce = %s%n%d\n",
		{ { 7, "%s%n%d" } } },
	{ "the line is right behind a continued value",
		"[inner]\nbridge = br0\n[outer]\ninterface = eth0\n"
		"pool = 20.251.48.99, \\\n 20.251.48.100\n"
		"probe = x\n",
		{ { 7, "probe" } } },
	{ "the line is right in a file with CRLF",
		"[inner]\r\nbridge = br0\r\n[outer]\r\ninterface = eth0\r\n"
		"pool = 1.1.1.1\r\nprobe = x\r\n",
		{ { 6, "probe" } } },
};

static void test_mistake(void **state)
{
	const struct mistake_row *row = *state;
	struct problems problems = { 0 };
	struct config *config;
	size_t expected = 0;
	int err = load(row->text, &config, &problems);

	problems_print(&problems);
	assert_int_equal(err, -EINVAL);
	assert_null(config);
	for (; expected < COUNT(row->problem) && row->problem[expected].line; expected++)
		assert_int_not_equal(problems_match(&problems, row->problem[expected].line,
					     row->problem[expected].text),
			0);
	assert_int_equal(problems.count, expected);
	for (size_t i = 0; i < problems.count; i++)
		assert_string_equal(problems.list[i].file, path);
	problems_done(&problems);
}

/* Whoever examines a file gets what is good of it, and the same problems. */
static void test_examine(void **state)
{
	struct problems problems = { 0 };
	struct config *config = NULL;
	const char *text = "[inner]\nbridge = b/r\n[outer]\ninterface = eth0\npool = 1.1.1.1\n"
			   "[plan]\nfile = /x\n[dhcp]\nlease-time = y\n";

	(void)state;
	file_write(path, text, strlen(text));
	assert_int_equal(config_examine(path, &config, &problems), 0);
	assert_int_equal(problems.count, 2);
	assert_null(config->inner.bridge);
	assert_string_equal(config->outer.interface, "eth0");
	assert_string_equal(config->plan.file, "/x");
	assert_int_equal(config->dhcp.options.lease_time, 3600);
	config_free(config);
	problems_done(&problems);
}

static void test_missing_file(void **state)
{
	struct problems problems = { 0 };
	struct config *config = NULL;
	char *missing = path_in(directory, "missing.conf");

	(void)state;
	assert_int_equal(config_load(missing, &config, &problems), -EINVAL);
	assert_int_equal(config_load(directory, &config, &problems), -EINVAL);
	assert_null(config);
	assert_int_equal(problems.count, 2);
	assert_string_equal(problems.list[0].file, missing);
	assert_string_equal(problems.list[1].file, directory);
	problems_done(&problems);
	free(missing);
}

/* Octets that nobody types; a crash or a good configuration would both be wrong. */
static void test_binary_file(void **state)
{
	struct problems problems = { 0 };
	struct config *config = NULL;
	unsigned char noise[4096];
	uint32_t random = 1;

	(void)state;
	for (int with_nul = 0; with_nul < 2; with_nul++) {
		for (size_t i = 0; i < sizeof(noise); i++) {
			random = random * 1664525 + 1013904223;
			noise[i] = (unsigned char)(random >> 24);
			if (!with_nul && !noise[i])
				noise[i] = '[';
		}
		file_write(path, noise, sizeof(noise));
		assert_int_equal(config_load(path, &config, &problems), -EINVAL);
		assert_null(config);
		assert_int_not_equal(problems.count, 0);
		problems_done(&problems);
	}
}

static void test_appends_problems(void **state)
{
	struct problems problems = { 0 };
	struct config *config;

	(void)state;
	/* what others found before must neither be lost nor make a good file bad */
	problem_add(&problems, "other", 1, "before");
	assert_int_equal(load(REQUIRED, &config, &problems), 0);
	assert_int_equal(problems.count, 1);
	config_free(config);
	problems_done(&problems);
}

/* --- the form of the file ----------------------------------------------------------------- */

static const struct form_row {
	const char *sentence, *text;
} form_rows[] = {
	{ "form: comments, blank lines, blanks round everything",
		"# a comment\n\n; another\n  [inner]\n\t bridge\t=  br0  \n"
		"[outer]\ninterface=eth0\n"
		"pool = 20.251.48.99 # why\n\n" },
	{ "form: CRLF",
		"[inner]\r\nbridge = br0\r\n[outer]\r\ninterface = eth0\r\n"
		"pool = 20.251.48.99\r\n" },
	{ "form: a byte order mark before a comment",
		"\xef\xbb\xbf# by an editor\n[inner]\nbridge = br0\n[outer]\n"
		"interface = eth0\npool = 20.251.48.99\n" },
	{ "form: a byte order mark before a section",
		"\xef\xbb\xbf[inner]\nbridge = br0\n[outer]\ninterface = eth0\n"
		"pool = 20.251.48.99\n" },
	{ "form: no newline at the end",
		"[inner]\nbridge = br0\n[outer]\ninterface = eth0\n"
		"pool = 20.251.48.99" },
	{ "form: the sections in any order",
		"[outer]\npool = 20.251.48.99\ninterface = eth0\n[inner]\n"
		"bridge = br0\n" },
	{ "form: a section in two parts",
		"[outer]\npool = 20.251.48.99\n[inner]\nbridge = br0\n[outer]\n"
		"interface = eth0\n" },
};

static void test_form(void **state)
{
	const struct form_row *row = *state;
	struct config *config = load_good(row->text);

	assert_string_equal(config->inner.bridge, "br0");
	assert_string_equal(config->outer.interface, "eth0");
	assert_int_equal(config->outer.pool_count, 1);
	assert_int_equal(config->outer.pool[0].first, IP4(20, 251, 48, 99));
	assert_string_equal(config->path, path);
	config_free(config);
}

/* The reader of INI files has a longest line; a pool of single addresses is longer. */
static void test_long_value(void **state)
{
	static const char *const ends[] = { "\n", "   \r\n", " # why\n", "; why\n", "" };
	char *text = NULL;
	size_t len;

	(void)state;
	for (size_t end = 0; end < COUNT(ends); end++) {
		FILE *out = open_memstream(&text, &len);
		struct config *config;

		fprintf(out, "# %0*d\n", 5000, 0);
		fprintf(out,
			"[inner]\nbridge = br0\n[outer]\ninterface = eth0\n pool\t= 20.251.48.0");
		for (int i = 1; i < 200; i++)
			fprintf(out, ", 20.251.48.%d", i);
		fprintf(out, "%s", ends[end]);
		fclose(out);
		config = load_good(text);
		assert_int_equal(config_pool_size(config), 200);
		assert_int_equal(config_line(config, "outer", "pool"), 6);
		config_free(config);
		free(text);
	}
}

static void test_long_nonsense(void **state)
{
	static const char *const lines[] = { "%0*d", "[%0*d", "bridge%0*d = 1", "pool = \\\n%0*d",
		"pool = %0*d\\" };
	struct problems problems = { 0 };
	char *text = NULL;
	size_t len;

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		FILE *out = open_memstream(&text, &len);
		struct config *config;

		fprintf(out, "[inner]\nbridge = br0\n[outer]\ninterface = eth0\n");
		fprintf(out, lines[i], 5000, 0);
		fclose(out);
		assert_int_equal(load(text, &config, &problems), -EINVAL);
		problems_print(&problems);
		assert_int_not_equal(problems_match(&problems, i == 3 ? 6 : 5, "longer than"), 0);
		problems_done(&problems);
		free(text);
	}
}

/* The whole of it is no help. */
static void test_long_mistake(void **state)
{
	struct problems problems = { 0 };
	struct config *config;
	char *text;

	(void)state;
	if (asprintf(&text, REQUIRED "[dhcp]\ndns = %0*d # why\n", 5000, 0) < 0)
		abort();
	assert_int_equal(load(text, &config, &problems), -EINVAL);
	assert_int_equal(problems.count, 1);
	assert_int_not_equal(problems_match(&problems, 7, "000...\" will not do"), 0);
	assert_true(strlen(problems.list[0].text) < 400);
	problems_done(&problems);
	free(text);
}

/* --- the pool ----------------------------------------------------------------------------- */

static const struct pool_row {
	const char *sentence, *pool;
	uint64_t size;
	uint32_t inside[4], outside[4];
} pool_rows[] = {
	{ "pool: one address", "20.0.0.5", 1, { IP4(20, 0, 0, 5) },
		{ IP4(20, 0, 0, 4), IP4(20, 0, 0, 6), 0, UINT32_MAX } },
	{ "pool: a range with both ends", "20.0.0.5-20.0.0.9", 5,
		{ IP4(20, 0, 0, 5), IP4(20, 0, 0, 7), IP4(20, 0, 0, 9) },
		{ IP4(20, 0, 0, 4), IP4(20, 0, 0, 10) } },
	{ "pool: a block with its first and last address", "20.0.0.16/28", 16,
		{ IP4(20, 0, 0, 16), IP4(20, 0, 0, 31) },
		{ IP4(20, 0, 0, 15), IP4(20, 0, 0, 32) } },
	{ "pool: ranges with a gap", "20.0.0.9, 20.0.0.1-20.0.0.3", 4,
		{ IP4(20, 0, 0, 9), IP4(20, 0, 0, 3) }, { IP4(20, 0, 0, 4), IP4(20, 0, 0, 8) } },
	{ "pool: ranges side by side", "20.0.0.0/31, 20.0.0.2/31", 4,
		{ IP4(20, 0, 0, 1), IP4(20, 0, 0, 2) },
		{ IP4(20, 0, 0, 4), IP4(19, 255, 255, 255) } },
};

static void test_pool(void **state)
{
	const struct pool_row *row = *state;
	unsigned line;
	char *text = file_with("outer", "pool", row->pool, &line);
	struct config *config = load_good(text);

	assert_int_equal(config_pool_size(config), row->size);
	for (size_t i = 0; i < COUNT(row->inside) && row->inside[i]; i++)
		assert_true(config_pool_contains(config, row->inside[i]));
	for (size_t i = 0; i < COUNT(row->outside) && row->outside[i]; i++)
		assert_false(config_pool_contains(config, row->outside[i]));
	config_free(config);
	free(text);
}

static void test_free_nothing(void **state)
{
	(void)state;
	config_free(NULL);
}

static void add_key(struct suite *suite, const struct key_row *row, const char *what,
	CMUnitTestFunction test)
{
	char *sentence;

	if (asprintf(&sentence, "[%s] %s: %s", row->section, row->key, what) < 0)
		abort();
	suite_add(suite, sentence, test, row);
	free(sentence);
}

int main(void)
{
	struct suite suite = { 0 };
	int failed;

	setup(NULL);
	for (size_t i = 0; i < COUNT(key_rows); i++) {
		if (key_rows[i].fallback)
			add_key(&suite, &key_rows[i], "its default", test_key_default);
		else
			add_key(&suite, &key_rows[i], "must be there", test_key_missing);
		add_key(&suite, &key_rows[i], "good values", test_key_good);
		add_key(&suite, &key_rows[i], "bad values are told with their line", test_key_bad);
	}
	SUITE_ROWS(&suite, test_raw, raw_rows);
	SUITE_ROWS(&suite, test_mistake, mistake_rows);
	suite_add(&suite, "a file that cannot be read is a problem of that file", test_missing_file,
		NULL);
	suite_add(&suite, "what is good of a bad file can be examined", test_examine, NULL);
	suite_add(&suite, "binary noise is refused", test_binary_file, NULL);
	suite_add(&suite, "problems found before are kept and do not count", test_appends_problems,
		NULL);
	SUITE_ROWS(&suite, test_form, form_rows);
	suite_add(&suite, "form: a very long value is taken whole, a long comment passed over",
		test_long_value, NULL);
	suite_add(&suite, "form: what is longer and no value is told of", test_long_nonsense, NULL);
	suite_add(&suite, "form: of a long value that will not do, the beginning is told",
		test_long_mistake, NULL);
	SUITE_ROWS(&suite, test_pool, pool_rows);
	suite_add(&suite, "config_free() of nothing", test_free_nothing, NULL);
	failed = suite_run(&suite, "config");
	teardown(NULL);
	return failed;
}
