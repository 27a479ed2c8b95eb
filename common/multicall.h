/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multicall: what main() of each program is called where one file is both (`make static`, which
 * compiles the two doors with -Dmain=eipd_main and -Dmain=eipctl_main).
 */
#ifndef EIPD_COMMON_MULTICALL_H
#define EIPD_COMMON_MULTICALL_H

int eipd_main(int argc, char **argv);
int eipctl_main(int argc, char **argv);

#endif
