/* SPDX-License-Identifier: GPL-2.0-or-later */
/* privilege owns the capabilities of the process. It must not know what they are used for. */
#include "common/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/account.h"

#define BIT(capability) (UINT64_C(1) << (capability))
/* netlink, iptables, nf_tables and the sysctl keys of the network; frames */
#define WORK (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW))
/* to start a child as somebody else, and to kill it */
#define OTHER_USERS (BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL))
/* to pass over the owner and the mode of files */
#define FILES                                                                                  \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | \
		BIT(CAP_FSETID))

/* --- capget(2), capset(2) ----------------------------------------------------------------- */

static int get_permitted(uint64_t *ret_permitted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*ret_permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

/* The inheritable set is empty, and with it the ambient one. */
static int set(uint64_t effective, uint64_t permitted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ (uint32_t)effective, (uint32_t)permitted, 0 },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), 0 },
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* --- steps -------------------------------------------------------------------------------- */

int privilege_become(const char *user)
{
	uint64_t permitted;
	int err = get_permitted(&permitted);

	if (!err && *user) {
		if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
			return -errno;
		err = account_become(user);
		(void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	}
	/* another user than root has none effective now */
	return err ? err : set(permitted & ~FILES, permitted);
}

bool privilege_suffices(void)
{
	uint64_t permitted = 0;

	return !get_permitted(&permitted) && (permitted & WORK) == WORK;
}

int privilege_pass_over_files(bool may)
{
	uint64_t permitted;
	int err = get_permitted(&permitted);

	return err ? err : set(may ? permitted : permitted & ~FILES, permitted);
}

/* Whatever the process is to become later: these want CAP_SETPCAP. */
static int close_doors(void)
{
	for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
		capability++) {
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return -errno;
	}
	return prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0) < 0 ? -errno
											   : 0;
}

int privilege_drop(bool for_other_users)
{
	uint64_t keep = WORK | (for_other_users ? OTHER_USERS : 0), permitted;
	int err = get_permitted(&permitted);

	if (!err && permitted & BIT(CAP_SETPCAP))
		err = close_doors();
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	keep &= permitted;
	return err ? err : set(keep, keep);
}

int privilege_renounce(void)
{
	return set(0, 0);
}
