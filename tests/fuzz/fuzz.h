/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share. A target defines LLVMFuzzerTestOneInput(); libFuzzer or AFL++ does
 * the rest. Findings become files of tests/fuzz/seeds/TARGET/.
 */
#ifndef EIPD_TESTS_FUZZ_H
#define EIPD_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/config.h"
#include "common/memory.h"
#include "common/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends it, with a sentence that says what is wrong: the place alone does not, once it is optimised. */
__attribute__((noreturn)) static inline void fuzz_found(const char *sentence)
{
	fprintf(stderr, "found: %s\n", sentence);
	abort();
}

/* The input as a text that ends with a NUL; the caller frees. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = xcalloc(size + 1, 1);

	if (size)
		memcpy(text, data, size);
	return text;
}

/* A good plan, from a constant. */
static inline struct plan *fuzz_plan(const char *text)
{
	static const struct ip4_prefix inner = { 0xc0a80616, 24 };
	struct problems problems = { 0 };
	struct plan *plan;

	if (plan_parse(text, strlen(text), "plan", &inner, &plan, &problems))
		abort();
	return plan;
}

/* eipd.conf is read from a file: one in memory. NULL if it is refused. */
static inline struct config *fuzz_load_config(const char *text, size_t size)
{
	struct problems problems = { 0 };
	struct config *config = NULL;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, text, size) != (ssize_t)size || config_load(path, &config, &problems))
		config = NULL;
	close(fd);
	problems_done(&problems);
	return config;
}

static inline struct config *fuzz_config(const char *text)
{
	struct config *config = fuzz_load_config(text, strlen(text));

	if (!config)
		abort();
	return config;
}

/* An IPv4 header of 20 octets at 14 gets a right checksum, UDP none. */
static inline void fuzz_mend_checksums(uint8_t *frame)
{
	uint32_t sum = 0;

	frame[24] = frame[25] = 0;
	frame[40] = frame[41] = 0;
	for (size_t i = 14; i < 34; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	frame[24] = (uint8_t)(~sum >> 8);
	frame[25] = (uint8_t)~sum;
}

#endif
