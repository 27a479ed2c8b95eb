/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan: the plan file (patent step 3.1) into one immutable table of VMs, and what differs between
 * two of them.
 *
 * One VM a line, `MAC,name,IP`, fields in any order, as dnsmasq's dhcp-hostsfile has them; also a
 * lease time, set:TAG, id:… (accepted, not used) and ignore, with which a MAC is enough: such a line
 * is no VM of the table, and only keeps its MAC from standing there twice. A file with any problem is refused as
 * a whole. Pure: no system call.
 */
#ifndef EIPD_COMMON_PLAN_H
#define EIPD_COMMON_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/problem.h"

#define VM_NAME_MAX 63 /* RFC 1035 2.3.4, one label */

struct vm {
	struct mac mac;
	bool ignore;         /* never answered by DHCP */
	uint32_t ip;         /* host order */
	uint32_t lease_time; /* seconds or TIME_INFINITE; 0: as configured */
	unsigned line;       /* where it stands in the file */
	const char *name;    /* the plan owns it */
	const char *tags;    /* set:TAG, lower case, separated by one blank; NULL: none */
};

struct plan;

/*
 * Parses text. `file` is for the problems; `inner`, the bridge's network with the host's own
 * address, may be NULL where it is not known, and then addresses are not held against it. 0 and
 * *ret_plan, which the caller frees; or -EINVAL and the problems.
 */
int plan_parse(const char *text, size_t len, const char *file, const struct ip4_prefix *inner,
	struct plan **ret_plan, struct problems *problems);
/* Another owner: the plan goes with the last plan_free(). From any thread. */
struct plan *plan_share(const struct plan *plan);
void plan_free(struct plan *plan);

/* The VMs in the order of the file; an index is stable as long as the plan lives. */
size_t plan_count(const struct plan *plan);
const struct vm *plan_vm(const struct plan *plan, size_t index);
size_t plan_index(const struct plan *plan, const struct vm *vm);

/* In constant time; NULL if there is none. Names are compared without regard to case, as in DNS. */
const struct vm *plan_by_mac(const struct plan *plan, const struct mac *mac);
const struct vm *plan_by_ip(const struct plan *plan, uint32_t ip);
const struct vm *plan_by_name(const struct plan *plan, const char *name);

/* From one plan to the next. */
struct plan_change {
	/* a VM is the same if it has the same name; changed, if anything else differs */
	size_t added, changed, removed;
	/* by the new plan's index, who had the MAC: the old plan's index plus one; 0: nobody */
	uint32_t *before;
};
/* The caller calls plan_change_done(). */
void plan_compare(const struct plan *before, const struct plan *after,
	struct plan_change *ret_change);
void plan_change_done(struct plan_change *change);
bool vm_equal(const struct vm *a, const struct vm *b);

/*
 * The lowest address of the network that no VM has, nor the host, and that is not taken otherwise
 * (is_taken may be NULL); 0: there is none.
 */
uint32_t plan_choose_ip(const struct plan *plan, const struct ip4_prefix *inner,
	bool (*is_taken)(const void *ctx, uint32_t ip), const void *ctx);
/* A locally administered MAC (IEEE 802: the second bit of its first octet) that no VM has. */
struct mac plan_choose_mac(const struct plan *plan, uint64_t random);

/* The file's text with a line more at its end, or without one of its lines. The caller frees. */
char *plan_text_add(const char *text, const struct vm *vm);
char *plan_text_remove(const char *text, unsigned line);

/* One DNS label: letters, digits and inner hyphens, at most 63 (RFC 952, RFC 1123 2.1). */
bool plan_name_is_valid(const char *name);
/* Of set:TAG and [tag TAG]: letters, digits, - _ . */
bool plan_tag_is_valid(const char *tag);

#endif
