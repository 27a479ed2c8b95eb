/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events: what happened, for `eipctl events`: the last ones in memory, and new ones to followers.
 *
 * An event is an object with "time" (epoch), "event" (one word: lease, bind, unbind, move, …) and
 * what belongs to it.
 */
#ifndef EIPD_COMMON_EVENTS_H
#define EIPD_COMMON_EVENTS_H

#include "common/control.h"

struct events;

/* Registers its command with the control. */
struct events *events_new(struct control *control);
void events_free(struct events *events);

/* details: an object, stolen; made by json_pack() most often. */
void events_post(struct events *events, const char *event, json_t *details);

#endif
