/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * port owns the socket on port 67, and the search for who else has one. It must not know what is
 * served there.
 */
#include "dhcpd/port.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/netlink.h"
#include "dhcpd/frame.h"

/* --- who has it --------------------------------------------------------------------------- */

struct search {
	unsigned interface;
	uint64_t own, found; /* inodes; 0: none */
};

static void look_at_socket(void *ctx, const struct nlmsghdr *header)
{
	const struct inet_diag_msg *socket = NLMSG_DATA(header);
	struct search *search = ctx;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*socket)) ||
		socket->id.idiag_sport != htons(PORT_DHCP_SERVER) ||
		socket->idiag_inode == search->own)
		return;
	/* as the kernel has it: without an interface it is all of them */
	if (!socket->id.idiag_if || socket->id.idiag_if == search->interface)
		search->found = socket->idiag_inode;
}

/*
 * The inode of the socket on that port of the interface that is not `own`; 0: there is none, or
 * this kernel does not tell.
 */
static uint64_t find_other(unsigned interface, uint64_t own)
{
	const struct inet_diag_req_v2 request = { .sdiag_family = AF_INET,
		.sdiag_protocol = IPPROTO_UDP,
		.idiag_states = UINT32_MAX,
		.id = { .idiag_sport = htons(PORT_DHCP_SERVER) } };
	struct search search = { .interface = interface, .own = own };
	struct nl_sock *sock;
	struct nl_msg *msg;

	if (netlink_open(NETLINK_SOCK_DIAG, &sock))
		return 0;
	msg = netlink_message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof(request));
	if (msg)
		(void)netlink_request(sock, msg, look_at_socket, &search);
	netlink_close(sock);
	return search.found;
}

/* From /proc/net/udp, which does not tell the interface: any on that port. */
static uint64_t find_any(void)
{
	FILE *file = fopen("/proc/net/udp", "re");
	uint64_t inode = 0;
	char line[512];

	if (!file)
		return 0;
	while (!inode && fgets(line, sizeof(line), file)) {
		unsigned port;
		uint64_t found;

		if (sscanf(line, " %*u: %*x:%x %*x:%*x %*x %*x:%*x %*x:%*x %*x %*u %*u %" SCNu64,
			    &port, &found) == 2 &&
			port == PORT_DHCP_SERVER)
			inode = found;
	}
	fclose(file);
	return inode;
}

static bool process_has_socket(const char *pid, const char *socket_link)
{
	char *path = xasprintf("/proc/%s/fd", pid);
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	free(path);
	while (dir && !found && (entry = readdir(dir))) {
		char target[64];
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (len > 0) {
			target[len] = '\0';
			found = !strcmp(target, socket_link);
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

static void read_name(const char *pid, char name[static 64])
{
	char *path = xasprintf("/proc/%s/comm", pid);
	FILE *file = fopen(path, "re");

	strcpy(name, "?");
	if (file) {
		if (fgets(name, 64, file))
			name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	free(path);
}

/* " (dnsmasq, pid 123)", or nothing where it cannot be told. */
static void describe_holder(uint64_t inode, char text[static 128])
{
	char *socket_link;
	struct dirent *entry;
	DIR *dir;

	text[0] = '\0';
	if (!inode)
		return;
	socket_link = xasprintf("socket:[%" PRIu64 "]", inode);
	dir = opendir("/proc");
	while (dir && !*text && (entry = readdir(dir))) {
		char name[64];

		if (!isdigit((unsigned char)entry->d_name[0]) ||
			!process_has_socket(entry->d_name, socket_link))
			continue;
		read_name(entry->d_name, name);
		snprintf(text, 128, " (%s, pid %.20s)", name, entry->d_name);
	}
	if (dir)
		closedir(dir);
	free(socket_link);
}

/* --- claiming it -------------------------------------------------------------------------- */

static int bind_to(int fd, const char *interface)
{
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
		       (socklen_t)strlen(interface) + 1) < 0
		? -errno
		: 0;
}

int port_claim(const char *interface, char error[static PORT_ERROR_SIZE])
{
	struct sock_filter drop_all = { BPF_RET | BPF_K, 0, 0, 0 };
	struct sock_fprog program = { .len = 1, .filter = &drop_all };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT_DHCP_SERVER) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
	char holder[128];
	uint64_t other;

	/* nothing is received by it: libpcap sees the frames */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		err = -errno;
	if (!err)
		err = bind_to(fd, interface);
	if (!err && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		err = -errno;
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	if (err == -EADDRINUSE) {
		other = find_other(if_nametoindex(interface), 0);
		describe_holder(other ? other : find_any(), holder);
		snprintf(error, PORT_ERROR_SIZE,
			"UDP port 67 of %s is taken by another server%s; stop it", interface,
			holder);
	} else {
		snprintf(error, PORT_ERROR_SIZE, "UDP port 67 of %s cannot be had: %s", interface,
			strerror(-err));
	}
	return err;
}

/* The kernel asks whether a port is free when a socket is bound, and not when it goes elsewhere. */
int port_claim_again(int fd, const char *interface, char error[static PORT_ERROR_SIZE])
{
	unsigned index = if_nametoindex(interface);
	struct stat own;
	int err;

	if (!index) {
		snprintf(error, PORT_ERROR_SIZE, "there is no interface %s", interface);
		return -ENODEV;
	}
	if (fstat(fd, &own) == 0 && find_other(index, own.st_ino)) {
		/* by then the processes of others cannot be looked into */
		snprintf(error, PORT_ERROR_SIZE,
			"UDP port 67 of %s is taken by another server; stop it", interface);
		return -EADDRINUSE;
	}
	err = bind_to(fd, interface);
	if (err)
		snprintf(error, PORT_ERROR_SIZE, "UDP port 67 of %s cannot be had: %s", interface,
			strerror(-err));
	return err;
}
