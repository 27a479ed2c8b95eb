/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config: eipd.conf, read by iniparser into one immutable struct.
 *
 * Every key is a row of a table in config.c with its default and what is expected of it. Strings
 * and lists belong to the struct; config_free() frees all. An empty string means "not set".
 */
#ifndef EIPD_COMMON_CONFIG_H
#define EIPD_COMMON_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/problem.h"

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif

#define CONFIG_DEFAULT_PATH    SYSCONFDIR "/eipd/eipd.conf"
#define CONFIG_DEFAULT_PLAN    SYSCONFDIR "/eipd/network.conf"
#define CONFIG_DEFAULT_RUN_DIR "/run/eipd"

enum config_log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct ip4_list {
	uint32_t *addr;
	size_t count;
};

/* RFC 3442: a packet to `destination` goes to `router`. */
struct config_route {
	struct ip4_prefix destination;
	uint32_t router;
};

/* option.N: the octets as they go on the wire, any length. */
struct config_raw_option {
	uint8_t code;
	uint8_t *data;
	size_t len;
};

/* The keys of [dhcp] that a [tag NAME] may have as well; bits of config_options.given. */
enum config_option_key {
	KEY_LEASE_TIME,
	KEY_ROUTER,
	KEY_DNS,
	KEY_DOMAIN,
	KEY_NTP,
	KEY_MTU,
	KEY_ROUTES,
	KEY_NEXT_SERVER,
	KEY_BOOT_FILE,
};

/* What the clients are told: by [dhcp] with its defaults, or by a [tag NAME], which adds to it. */
struct config_options {
	unsigned given;      /* bit 1 << KEY_…: the key says something, if only "nothing" */
	uint32_t lease_time; /* seconds, or TIME_INFINITE */
	bool router_auto;    /* the bridge's address */
	struct ip4_list router, dns, ntp;
	char *domain, *boot_file;
	uint32_t mtu;         /* 0: not sent */
	uint32_t next_server; /* 0: not sent */
	struct config_route *routes;
	size_t route_count;
	struct config_raw_option *raw;
	size_t raw_count;
};

/* At most so many [tag NAME]s. */
#define CONFIG_TAGS_MAX 64

/*
 * [tag NAME]: for VMs with set:NAME in the plan, and for requests that match all of the conditions
 * that are given ("" or no list: not given).
 */
struct config_tag {
	char *name;                          /* lower case, as in the plan */
	char *vendor_class, *user_class;     /* part of option 60, of a class of option 77 */
	char *client_name;                   /* option 12, whatever the case */
	struct config_raw_option circuit_id; /* just these octets of option 82 */
	uint32_t *client_arch;               /* one of these numbers in option 93 (RFC 4578) */
	size_t client_arch_count;
	struct config_options options;
};

/* A key that stands in the file, for messages about its value (NULL: lost to a bad section). */
struct config_entry {
	char *section, *key, *value;
	unsigned line;
};

struct config {
	char *path;
	struct {
		char *state_dir, *run_dir, *user;
		char *log; /* "syslog", "stderr" or a path */
		enum config_log_level log_level;
	} daemon;
	struct {
		char *group;
		bool group_may_change;
	} control;
	struct {
		char *bridge, *uplink;
		bool create;               /* then there is an address */
		struct ip4_prefix address; /* .addr 0: the bridge's first */
		bool anti_spoof;
	} inner;
	struct {
		char *interface;
		struct ip4_range *pool; /* sorted, without overlap */
		size_t pool_count;      /* ranges */
		uint32_t prefix_len;
		bool probe;
		uint32_t announce;
	} outer;
	struct {
		char *file;
		bool watch;
	} plan;
	struct {
		struct config_options options;
		bool authoritative, client_id_echo, verify_source;
		char *callback, *callback_user, *log;
		uint32_t callback_timeout; /* seconds */
	} dhcp;
	struct config_tag *tags; /* in the order of the file */
	size_t tag_count;
	struct {
		bool auto_bind, hairpin, remove_on_exit;
		uint32_t cooldown, resync; /* seconds */
		uint32_t reclaim_after;    /* seconds; TIME_INFINITE: never */
	} nat;
	struct config_entry *entries;
	size_t entry_count;
};

/*
 * Reads and checks a file. 0 and *ret_config, which the caller frees; or -EINVAL, and every
 * problem is in `problems` (a file that cannot be read is one as well).
 */
int config_load(const char *path, struct config **ret_config, struct problems *problems);
/*
 * The same for looking only: a file with problems is returned as well, where it could be read. What
 * is wrong in it is as if it were not given; a required key is NULL, or 0, then.
 */
int config_examine(const char *path, struct config **ret_config, struct problems *problems);
void config_free(struct config *config);

/* The line where a key stands, 0 if it does not. */
unsigned config_line(const struct config *config, const char *section, const char *key);

/* How many addresses the pool has, whether one is in it, and the n-th. */
uint64_t config_pool_size(const struct config *config);
bool config_pool_contains(const struct config *config, uint32_t ip);

/* Clients are told of a router or server there, so it is somebody's. */
bool config_names_address(const struct config *config, uint32_t ip);

#endif
