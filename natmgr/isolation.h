/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolation: which VMs are isolated (patent step 9), who may reach them all the same, and on which
 * ports of the bridge they were seen; and the state file of it. Pure.
 *
 * It goes by the VM's name, and lasts until it is taken back: what the plan said last of the VM is
 * kept here, so that a VM that leaves the plan does not get free by that. Nor does one that gets
 * another name or another MAC there; a plan that gives its name to one VM and its MAC to another
 * isolates both.
 */
#ifndef EIPD_NATMGR_ISOLATION_H
#define EIPD_NATMGR_ISOLATION_H

#include <net/if.h>

#include "common/boot.h"
#include "common/plan.h"
#include "common/problem.h"

/* A bridge has at most 1023 ports. */
#define ISOLATION_MAX 1024
#define ALLOW_MAX     64

struct port {
	unsigned index; /* of the link; the kernel gives no index twice before it has given all */
	char name[IFNAMSIZ];
	uint16_t group_fwd_mask; /* see GUARD_FWD_MASK */
	struct mac mac;          /* of the link; hypervisors make it of the guest's */
};

/* Whose port it is, as the host has said by `vm port`. */
struct claim {
	struct mac mac; /* of the VM in the plan */
	struct port port;
};

struct isolated {
	char vm[VM_NAME_MAX + 1];
	uint32_t ip; /* host order; 0: nothing is known of the VM but its name, mac means nothing */
	struct mac mac;
	struct ip4_prefix *allow;
	size_t allow_count;
	char wanted_port[IFNAMSIZ]; /* named by hand; "": whichever the MAC is seen on */
	struct port *ports;         /* that it is on, or was on when it was seen last */
	size_t port_count;
};

struct isolation {
	struct isolated *list; /* in the order in which they were isolated */
	size_t count;
	struct claim *claims; /* of VMs that are isolated, and of others */
	size_t claim_count;
	struct port *masks; /* ports whose group_fwd_mask we changed, with what they had */
	size_t mask_count;
	char boot[BOOT_ID_SIZE]; /* of the kernel whose links the ports are; "": not known */
};

/* NULL where the VM is not isolated. Names are compared without regard to case. */
struct isolated *isolation_find(const struct isolation *isolation, const char *vm);
struct isolated *isolation_find_mac(const struct isolation *isolation, const struct mac *mac);

/* The lists replace what was said before. True: that changed something. */
bool isolation_add(struct isolation *isolation, const char *vm, const struct ip4_prefix *allow,
	size_t allow_count, const char *wanted_port);
bool isolation_remove(struct isolation *isolation, const char *vm);
/* Takes over what the plan says of the VMs now. True: that changed something. */
bool isolation_follow(struct isolation *isolation, const struct plan *plan);
/* What the kernel takes for the name of a link. */
bool port_name_is_valid(const char *name);
/* The VM is on this port, too. True: that is new. */
bool isolated_see(struct isolated *isolated, const struct port *port);
/* The port is not the VM's after all. True: that is new. */
bool isolated_forget(struct isolated *isolated, unsigned index);
/* The port is now whose the MAC is, and nobody else's. True: that is new. */
bool isolation_claim(struct isolation *isolation, const struct mac *mac, const struct port *port);
/* NULL: nobody has said whose port it is. */
const struct mac *isolation_claimed(const struct isolation *isolation, const struct port *port);
/* Notes what the port has before it is changed. True: that is new. */
bool isolation_note_mask(struct isolation *isolation, const struct port *port);
/* What the kernel says of its links is another kernel's: they are forgotten. True: there were some. */
bool isolation_boot(struct isolation *isolation, const char *boot);
/* Ports that are no more are forgotten. True: there were some. */
bool isolation_prune(struct isolation *isolation, const struct port *ports, size_t count);

void isolation_copy(const struct isolation *isolation, struct isolation *ret_copy);
void isolation_done(struct isolation *isolation);

/* The state file. The caller frees the text. */
char *isolation_format(const struct isolation *isolation, size_t *ret_len);
/*
 * 0; or -EINVAL and the problems: *ret_isolation is filled all the same, with every VM that a line
 * names, as a VM must not get free by a damaged file. `text` is cut up.
 */
int isolation_parse(char *text, const char *file, struct isolation *ret_isolation,
	struct problems *problems);

#endif
