/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handover: from root to the user that does the work: directories and logs are made for it, the
 * process becomes it, and what it cannot use is a problem.
 */
#ifndef EIPD_COMMON_HANDOVER_H
#define EIPD_COMMON_HANDOVER_H

#include "common/config.h"

/*
 * Becomes the user of [daemon] user, or without one stays who it is: from here on files are used
 * as that user may use them (see privilege_become()). 0, or -EINVAL and the problems: there is no
 * such user, or it cannot work with the state, the directory at run time, the logs or the callback.
 * -EPERM, and that as a problem: the process was not started as root.
 *
 * `make`: what is missing of directories and log files is made before, and given to the user. What
 * is there already is left as it is, and so is what would be made below a directory where somebody
 * else than root may write: a link there could lead root anywhere. The user makes that itself.
 */
int handover_become(const struct config *config, bool make, struct problems *problems);

/* Whom to give a file that the daemon may not use. */
const char *handover_user(const struct config *config);

/* The callback is to be run by somebody else than whom we are. */
bool handover_callback_is_others(const struct config *config);

#endif
