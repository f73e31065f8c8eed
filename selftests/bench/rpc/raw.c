// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * No RPC: blocking send() and recv() of a length and that many bytes. This is what
 * a call costs at least on sockets and threads that wait for each other.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RAW_CAPACITY (2 * (sizeof(uint32_t) + PEER_MAX_SIZE))

/* A socket, and what has been read from it and not been used. */
struct raw {
	int fd;
	size_t have;
	unsigned char buffer[RAW_CAPACITY];
};

static const char *raw_version(void)
{
	static struct utsname u;

	uname(&u);
	return u.release;
}

static int raw_socket(const struct peer_address *address, bool listening)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr *sa = (struct sockaddr *)&in;
	socklen_t length = sizeof(in);
	int fd, one = 1;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(address->port);
	if (address->local) {
		strncpy(un.sun_path, address->path, sizeof(un.sun_path) - 1);
		sa = (struct sockaddr *)&un;
		length = sizeof(un);
	}
	fd = socket(sa->sa_family, SOCK_STREAM, 0);
	if (!address->local)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (listening ? bind(fd, sa, length) || listen(fd, SOMAXCONN) :
			connect(fd, sa, length)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool raw_send(struct raw *raw, const void *data, uint32_t size)
{
	struct iovec iov[] = {
		{ .iov_base = &size, .iov_len = sizeof(size) },
		{ .iov_base = (void *)data, .iov_len = size },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	while (iov[1].iov_len || iov[0].iov_len) {
		n = sendmsg(raw->fd, &msg, 0);
		if (n <= 0)
			return false;
		for (int i = 0; i < 2; i++) {
			size_t part = (size_t)n < iov[i].iov_len ? (size_t)n :
								   iov[i].iov_len;

			iov[i].iov_base = (char *)iov[i].iov_base + part;
			iov[i].iov_len -= part;
			n -= (ssize_t)part;
		}
	}
	return true;
}

/* Waits for a message, which then is at the start of the buffer. */
static bool raw_receive(struct raw *raw, uint32_t *size)
{
	size_t want = sizeof(*size);
	ssize_t n;

	for (;;) {
		if (raw->have >= sizeof(*size)) {
			memcpy(size, raw->buffer, sizeof(*size));
			want = sizeof(*size) + *size;
			if (*size > PEER_MAX_SIZE)
				return false;
		}
		if (raw->have >= want)
			return true;
		n = recv(raw->fd, raw->buffer + raw->have,
			 sizeof(raw->buffer) - raw->have, 0);
		if (n <= 0)
			return false;
		raw->have += (size_t)n;
	}
}

static void raw_consume(struct raw *raw, uint32_t size)
{
	size_t used = sizeof(size) + size;

	raw->have -= used;
	memmove(raw->buffer, raw->buffer + used, raw->have);
}

static struct raw *raw_new(int fd)
{
	struct raw *raw = malloc(sizeof(*raw));

	if (raw) {
		raw->fd = fd;
		raw->have = 0;
	}
	return raw;
}

static void raw_close(void *connection)
{
	struct raw *raw = connection;

	close(raw->fd);
	free(raw);
}

static void *raw_serve_connection(void *arg)
{
	struct raw *raw = arg;
	uint32_t size;

	while (raw_receive(raw, &size) &&
	       raw_send(raw, raw->buffer + sizeof(size), size))
		raw_consume(raw, size);
	raw_close(raw);
	return NULL;
}

static void raw_serve(const struct peer_address *address, void (*ready)(void))
{
	int one = 1, fd, listener = raw_socket(address, true);
	pthread_t thread;
	struct raw *raw;

	if (listener < 0)
		return;
	ready();
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		if (!address->local)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
				   sizeof(one));
		raw = raw_new(fd);
		if (!raw || pthread_create(&thread, NULL, raw_serve_connection,
					   raw))
			return;
		pthread_detach(thread);
	}
}

static void *raw_open(const struct peer_address *address)
{
	int fd = raw_socket(address, false);

	return fd < 0 ? NULL : raw_new(fd);
}

static bool raw_echo(void *connection, void *data, size_t size)
{
	struct raw *raw = connection;
	uint32_t got;

	if (!raw_send(raw, data, (uint32_t)size) || !raw_receive(raw, &got) ||
	    got != size)
		return false;
	memcpy(data, raw->buffer + sizeof(got), size);
	raw_consume(raw, got);
	return true;
}

static int64_t raw_pipeline(void *connection, const void *data, size_t size,
			    unsigned int window, const volatile bool *stop)
{
	struct raw *raw = connection;
	unsigned int in_flight = 0;
	int64_t calls = 0;
	uint32_t got;

	for (;;) {
		for (; !*stop && in_flight < window; in_flight++) {
			if (!raw_send(raw, data, (uint32_t)size))
				return -1;
		}
		if (!in_flight)
			return calls;
		if (!raw_receive(raw, &got) || got != size)
			return -1;
		raw_consume(raw, got);
		in_flight--;
		calls++;
	}
}

const struct peer peer = {
	.version = raw_version,
	.has_local = true,
	.serve = raw_serve,
	.open = raw_open,
	.close = raw_close,
	.echo = raw_echo,
	.pipeline = raw_pipeline,
};
