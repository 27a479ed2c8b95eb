/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * port: the claim on UDP port 67 of an interface. Holding it keeps the kernel from answering
 * renewing clients with ICMP port unreachable, and other servers off. Nothing is received by it.
 *
 * 0 or a descriptor, or -errno with a sentence in `error`; -EADDRINUSE: another server has the port
 * (port_claim() names it where /proc tells), -ENODEV: there is no such interface.
 */
#ifndef EIPD_DHCPD_PORT_H
#define EIPD_DHCPD_PORT_H

#define PORT_ERROR_SIZE 512

/* The descriptor is the caller's. Wants CAP_NET_BIND_SERVICE. */
int port_claim(const char *interface, char error[static PORT_ERROR_SIZE]);

/*
 * The claim goes over to the interface that has the name now, if nobody else has the port there:
 * that wants CAP_NET_RAW only.
 */
int port_claim_again(int fd, const char *interface, char error[static PORT_ERROR_SIZE]);

#endif
