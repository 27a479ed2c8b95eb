/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arguments: what a person wrote behind a command, in the order that the daemon expects.
 */
#ifndef EIPD_COMMON_ARGUMENTS_H
#define EIPD_COMMON_ARGUMENTS_H

/*
 * Holds `argv` against a usage as in "NAME [--mac MAC] [--ip IP]". The result has the words first,
 * then the options, each with its value, wherever they stood; --NAME=VALUE is taken apart, in
 * place. At least `min` words, at most `max` words and options in all; *argc is how many there are.
 * The caller frees the list, but not what is in it. NULL: they do not fit.
 */
char **arguments_arrange(const char *usage, int min, int max, int *argc, char **argv);
/* Of arguments that do not fit: the first option that the usage does not have, or NULL. */
const char *arguments_unknown_option(const char *usage, int argc, char **argv);

#endif
