/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fixture: configurations and plans from text, by the real parsers. */
#ifndef EIPD_TESTS_UNIT_FIXTURE_H
#define EIPD_TESTS_UNIT_FIXTURE_H

#include "tests/unit/support.h"

#include "common/config.h"
#include "common/plan.h"

/* The bridge's address in every test that has one. */
#define SELF IP4(10, 77, 0, 1)
static const struct ip4_prefix self = { SELF, 24 };

/* What is required, then `text` in section [outer]. Must be good; config_free() it. */
static inline struct config *config_of(const char *text)
{
	char *directory = directory_new(), *path = path_in(directory, "eipd.conf"), *whole;
	struct problems problems = { 0 };
	struct config *config = NULL;

	assert_true(asprintf(&whole, "[inner]\nbridge = br0\n[outer]\ninterface = eth0\n%s%s",
			    strstr(text, "pool =") ? "" : "pool = 20.251.48.99-20.251.48.110\n",
			    text) > 0);
	file_write(path, whole, strlen(whole));
	config_load(path, &config, &problems);
	problems_print(&problems);
	assert_non_null(config);
	problems_done(&problems);
	free(whole);
	free(path);
	directory_remove(directory);
	return config;
}

/* Must be good; plan_free() it. */
static inline struct plan *plan_of(const char *text)
{
	struct problems problems = { 0 };
	struct plan *plan = NULL;

	plan_parse(text, strlen(text), "plan", &self, &plan, &problems);
	problems_print(&problems);
	assert_non_null(plan);
	problems_done(&problems);
	return plan;
}

#endif
