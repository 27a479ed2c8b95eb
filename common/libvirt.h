/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt: a VM's network interface as the definition of a libvirt domain has it (patent step 2).
 * Pure.
 */
#ifndef EIPD_COMMON_LIBVIRT_H
#define EIPD_COMMON_LIBVIRT_H

#include "common/addr.h"

/* The <interface> element of a VM on the bridge, with a newline at its end. The caller frees. */
char *libvirt_interface(const struct mac *mac, const char *bridge);

#endif
