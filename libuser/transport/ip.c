// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * ncacn_ip_tcp and ncadg_ip_udp. The endpoint is a port, in decimal digits.
 *
 * A server listens at all addresses, with one socket for IPv6 and one for IPv4
 * at the same port, so that a peer's address is never an IPv4 address in the
 * disguise of an IPv6 one. A machine may lack either.
 */
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "transport/transport.h"

#define MAX_HOST 255 /* characters of a name in the DNS */

/* How often to look for a port that is free for IPv6 and IPv4. */
#define PORT_TRIES 32

/* How long a port may be taken by a server that has died. */
#define DEAD_NS	  (3000 * 1000000ull)
#define LOOK_USEC 2000 /* between looks */

/* Returns the port, or 0 if @endpoint is none. */
static uint16_t parse_port(const char *endpoint)
{
	size_t length = strspn(endpoint, "0123456789");
	unsigned long port;

	if (!length || length > 5 || endpoint[length])
		return 0;
	port = strtoul(endpoint, NULL, 10);
	return port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* Names of hosts, and addresses with their zone ("fe80::1%eth0"). */
static bool is_host(const char *address)
{
	size_t length = strspn(address, "abcdefghijklmnopqrstuvwxyz"
					"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"0123456789.-_:%");

	return length <= MAX_HOST && !address[length];
}

static RPC_STATUS ip_check(const char *address, const char *endpoint)
{
	if (address && !is_host(address))
		return RPC_S_INVALID_NET_ADDR;
	if (endpoint && endpoint[0] && !parse_port(endpoint))
		return RPC_S_INVALID_ENDPOINT_FORMAT;
	return RPC_S_OK;
}

/*
 * The C library may wait for name servers for a long time. That is somebody
 * else's code, which a scope makes possible to cancel; without the module it
 * runs to its end.
 */
static RPC_STATUS look_up(const char *host, const char *port,
			  const struct addrinfo *hints, struct addrinfo **found)
{
	struct rpccancel_scope scope;
	RPC_STATUS status;
	bool in_scope;
	int error;

	in_scope = rpccancel_scope_begin(&scope, NULL) == RPC_S_OK;
	error = getaddrinfo(host, port, hints, found);
	status = in_scope ? rpccancel_scope_end(&scope) : RPC_S_OK;
	if (status != RPC_S_OK && !error)
		freeaddrinfo(*found);
	if (status != RPC_S_OK)
		return status;
	if (error == EAI_MEMORY)
		return RPC_S_OUT_OF_MEMORY;
	return error ? RPC_S_SERVER_UNAVAILABLE : RPC_S_OK;
}

static size_t copy_addresses(const struct addrinfo *found,
			     struct rpcc_address *list)
{
	size_t count = 0;

	for (; found && count < RPCC_MAX_ADDRESSES; found = found->ai_next) {
		if (found->ai_addrlen > sizeof(list->ip6))
			continue;
		list[count].len = found->ai_addrlen;
		memcpy(&list[count].any, found->ai_addr, found->ai_addrlen);
		count++;
	}
	return count;
}

/* IPv4 first: servers of other make often have nothing else. */
static size_t loopback(uint16_t port, struct rpcc_address *list)
{
	memset(list, 0, 2 * sizeof(*list));
	list[0].len = sizeof(list[0].ip4);
	list[0].ip4.sin_family = AF_INET;
	list[0].ip4.sin_port = htons(port);
	list[0].ip4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	list[1].len = sizeof(list[1].ip6);
	list[1].ip6.sin6_family = AF_INET6;
	list[1].ip6.sin6_port = htons(port);
	list[1].ip6.sin6_addr = in6addr_loopback;
	return 2;
}

static RPC_STATUS ip_resolve(const char *address, const char *endpoint,
			     struct rpcc_address *list, size_t *count)
{
	KEEP_ERRNO();
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM, /* each address once */
	};
	struct addrinfo *found;
	RPC_STATUS status;

	*count = 0;
	if (!endpoint || !parse_port(endpoint))
		return RPC_S_INVALID_ENDPOINT_FORMAT;
	if (address && !is_host(address))
		return RPC_S_INVALID_NET_ADDR;
	if (!address || !address[0]) {
		*count = loopback(parse_port(endpoint), list);
		return RPC_S_OK;
	}
	if (getaddrinfo(address, endpoint, &hints, &found)) {
		hints.ai_flags = AI_NUMERICSERV;
		status = look_up(address, endpoint, &hints, &found);
		if (status != RPC_S_OK)
			return status;
	}
	*count = copy_addresses(found, list);
	freeaddrinfo(found);
	return *count ? RPC_S_OK : RPC_S_SERVER_UNAVAILABLE;
}

static void set_option(int fd, int level, int option)
{
	int one = 1;

	setsockopt(fd, level, option, &one, sizeof(one));
}

/* Requests and answers are whole messages: nothing is gained by delay. */
static int tcp_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	return fd;
}

static int udp_socket(int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int tcp_open(const struct rpcc_address *to)
{
	return tcp_socket(to->any.sa_family);
}

static int udp_open(const struct rpcc_address *to)
{
	return udp_socket(to->any.sa_family);
}

/*
 * SO_REUSEADDR lets a server start again while connections of its predecessor
 * linger. For UDP it would mean that two servers may share a port, and accepted
 * sockets inherit TCP_NODELAY.
 */
static int bind_socket(const struct rpcc_protseq *protseq, int family,
		       uint16_t port, int backlog)
{
	bool tcp = protseq == &rpcc_tcp;
	int fd = tcp ? tcp_socket(family) : udp_socket(family);
	struct rpcc_address any = { .len = sizeof(any.ip4) };
	int error;

	if (fd < 0)
		return fd;
	any.any.sa_family = (sa_family_t)family;
	if (family == AF_INET6) {
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
		any.len = sizeof(any.ip6);
	}
	if (tcp)
		set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	any.ip4.sin_port = htons(port); /* at the same place in both */
	if (!bind(fd, &any.any, any.len) && (!tcp || !listen(fd, backlog)))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
		       offsetof(struct sockaddr_in6, sin6_port),
	       "the port is at the same place for IPv4 and IPv6");

static uint16_t bound_port(int fd)
{
	struct rpcc_address address = { .len = sizeof(address.ip6) };

	if (getsockname(fd, &address.any, &address.len) < 0)
		return 0;
	return ntohs(address.ip4.sin_port);
}

/* The address family, as opposed to the port, is not to be had. */
static bool no_family(int fd)
{
	return fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL;
}

/* @port: 0 for any. Returns the port, or a negative errno. */
static int listen_both(struct rpcc_listener *listener, uint16_t port,
		       int backlog)
{
	const struct rpcc_protseq *protseq = listener->protseq;
	static const int families[RPCC_MAX_LISTENERS] = { AF_INET6, AF_INET };
	int i, fd, last = -EAFNOSUPPORT;

	for (i = 0; i < RPCC_MAX_LISTENERS; i++) {
		fd = bind_socket(protseq, families[i], port, backlog);
		if (fd < 0 && !no_family(fd)) {
			rpcc_listener_close(listener);
			return fd;
		}
		if (fd < 0) {
			last = fd;
			continue;
		}
		listener->fd[listener->fd_count++] = fd;
		port = bound_port(fd);
	}
	return listener->fd_count ? port : last;
}

/*
 * A server's ring holds its sockets, and the kernel takes it down some
 * milliseconds after the process is seen to be dead: so a server that is started
 * again at once finds its own port taken. Who has it cannot be asked.
 */
static int listen_at(struct rpcc_listener *listener, uint16_t port, int backlog)
{
	uint64_t end = rpcc_deadline(DEAD_NS);
	int ret;

	while ((ret = listen_both(listener, port, backlog)) == -EADDRINUSE &&
	       rpcc_now() < end)
		usleep(LOOK_USEC);
	return ret;
}

static int listen_anywhere(struct rpcc_listener *listener, int backlog)
{
	int ret, tries = PORT_TRIES;

	do {
		ret = listen_both(listener, 0, backlog);
	} while (ret == -EADDRINUSE && --tries);
	return ret;
}

static RPC_STATUS ip_listen(const struct rpcc_protseq *protseq,
			    const char *endpoint, unsigned int backlog,
			    struct rpcc_listener *listener)
{
	KEEP_ERRNO();
	int length = backlog && backlog < INT32_MAX ? (int)backlog : SOMAXCONN;
	bool any = !endpoint || !endpoint[0] || !strcmp(endpoint, "0");
	uint16_t port = any ? 0 : parse_port(endpoint);
	int ret;

	memset(listener, 0, sizeof(*listener));
	listener->protseq = protseq;
	if (!any && !port)
		return RPC_S_INVALID_ENDPOINT_FORMAT;
	ret = any ? listen_anywhere(listener, length)
		  : listen_at(listener, port, length);
	if (ret < 0)
		return rpcc_listen_status(-ret);
	snprintf(listener->endpoint, sizeof(listener->endpoint), "%d", ret);
	return RPC_S_OK;
}

static RPC_STATUS tcp_listen(const char *endpoint, unsigned int backlog,
			     struct rpcc_listener *listener)
{
	return ip_listen(&rpcc_tcp, endpoint, backlog, listener);
}

static RPC_STATUS udp_listen(const char *endpoint, unsigned int backlog,
			     struct rpcc_listener *listener)
{
	return ip_listen(&rpcc_udp, endpoint, backlog, listener);
}

/* Windows and Samba offer fragments of 5840 bytes, four segments of Ethernet. */
const struct rpcc_protseq rpcc_tcp = {
	.name = "ncacn_ip_tcp",
	.protocol = RPCC_CN,
	.number = RPC_PROTSEQ_TCP,
	.max_frag = 5840,
	.check = ip_check,
	.resolve = ip_resolve,
	.open = tcp_open,
	.listen = tcp_listen,
};

/* What fits into a packet of Ethernet, with the headers of IP and UDP. */
const struct rpcc_protseq rpcc_udp = {
	.name = "ncadg_ip_udp",
	.protocol = RPCC_DG,
	.number = RPC_PROTSEQ_UDP,
	.max_frag = 1464,
	.check = ip_check,
	.resolve = ip_resolve,
	.open = udp_open,
	.listen = udp_listen,
};
