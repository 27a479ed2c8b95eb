/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_file: the text of eipd.conf as a list of keys, each with its section, value and line.
 */
#ifndef EIPD_COMMON_CONFIG_FILE_H
#define EIPD_COMMON_CONFIG_FILE_H

#include <stdbool.h>

#include "common/config.h"

/*
 * Reads config->path into config->entries, in the order of the file, names in lower case. What is
 * wrong with the form, sections that are none, and keys that stand there twice, is added to the
 * problems, and the rest is read all the same. 0, or -EINVAL where nothing could be read.
 */
int config_file_read(struct config *config, bool (*is_section)(const char *name),
	struct problems *problems);

#endif
