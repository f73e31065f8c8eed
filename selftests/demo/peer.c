// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A black hole: a server that accepts, reads and says nothing until it is told
 * to answer.  Then it answers everything, the late requests first.  It is a
 * process of its own, so that nothing that happens to the client's process
 * touches it.
 */
#include "demo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 8

struct connection {
	int fd;
	size_t len;
	size_t sent; /* of the reply to what is first in buf */
	__u8 buf[REQUEST_MAX];
};

struct server {
	const struct protocol *protocol;
	int control, listener;
	bool answering;
	size_t count;
	struct connection connections[CONNECTIONS];
};

void put32(__u8 *p, __u32 value)
{
	value = htonl(value);
	memcpy(p, &value, sizeof(value));
}

__u32 get32(const __u8 *p)
{
	__u32 value;

	memcpy(&value, p, sizeof(value));
	return ntohl(value);
}

static void answer_stream(struct server *s, struct connection *c)
{
	__u8 out[REPLY_MAX];
	size_t n, out_len;
	bool at_once;

	while (c->len > 0) {
		at_once = false;
		out_len = 0;
		n = s->protocol->reply(c->buf, c->len, out, &out_len, &at_once);
		if (!n)
			return;
		if (!at_once && !s->answering) {
			if (s->protocol->cut && !c->sent) {
				c->sent = s->protocol->cut;
				send(c->fd, out, c->sent, MSG_NOSIGNAL);
			}
			return;
		}
		if (out_len > 0)
			send(c->fd, out + c->sent, out_len - c->sent,
			     MSG_NOSIGNAL);
		c->sent = 0;
		c->len -= n;
		memmove(c->buf, c->buf + n, c->len);
	}
}

/* A silent datagram server leaves the requests where they are. */
static void answer_datagrams(struct server *s)
{
	__u8 in[REQUEST_MAX], out[REPLY_MAX];
	struct sockaddr_storage from;
	socklen_t from_len;
	size_t out_len;
	ssize_t n;
	bool at_once;

	for (;;) {
		from_len = sizeof(from);
		n = recvfrom(s->listener, in, sizeof(in), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &from_len);
		if (n < 0)
			return;
		out_len = 0;
		if (s->protocol->reply(in, n, out, &out_len, &at_once))
			sendto(s->listener, out, out_len, 0,
			       (struct sockaddr *)&from, from_len);
	}
}

static void read_stream(struct server *s, struct connection *c)
{
	ssize_t n;

	n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
	if (n > 0) {
		c->len += n;
		answer_stream(s, c);
		return;
	}
	close(c->fd);
	*c = s->connections[--s->count];
}

static void accept_stream(struct server *s)
{
	int fd = accept(s->listener, NULL, NULL);

	if (fd < 0)
		return;
	if (s->count == CONNECTIONS) {
		close(fd);
		return;
	}
	s->connections[s->count].fd = fd;
	s->connections[s->count].sent = 0;
	s->connections[s->count++].len = 0;
}

static void start_answering(struct server *s)
{
	char byte;

	if (read(s->control, &byte, 1) != 1)
		_exit(0);
	s->answering = true;
	if (s->protocol->type == SOCK_DGRAM)
		answer_datagrams(s);
	for (size_t i = 0; i < s->count; i++)
		answer_stream(s, &s->connections[i]);
	/* The late replies are on their way before the client goes on. */
	if (write(s->control, &byte, 1) != 1)
		_exit(0);
}

static void serve(struct server *s)
{
	struct pollfd fds[2 + CONNECTIONS];
	bool datagrams = s->protocol->type == SOCK_DGRAM;

	for (;;) {
		size_t count = s->count;

		fds[0] = (struct pollfd){ .fd = s->control, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = s->listener, .events = POLLIN };
		if (datagrams && !s->answering)
			fds[1].fd = -1;
		for (size_t i = 0; i < count; i++)
			fds[2 + i] = (struct pollfd){
				.fd = s->connections[i].fd, .events = POLLIN
			};
		if (poll(fds, 2 + count, -1) < 0)
			_exit(1);
		/* From the end: a connection that closes is replaced by the last. */
		for (size_t i = count; i-- > 0;)
			if (fds[2 + i].revents)
				read_stream(s, &s->connections[i]);
		if (fds[1].revents && datagrams)
			answer_datagrams(s);
		else if (fds[1].revents)
			accept_stream(s);
		if (fds[0].revents)
			start_answering(s);
	}
}

static int listen_somewhere(struct sockaddr_in *addr, int type)
{
	socklen_t len = sizeof(*addr);
	int fd;

	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	*addr = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (bind(fd, (struct sockaddr *)addr, sizeof(*addr)) ||
	    getsockname(fd, (struct sockaddr *)addr, &len) ||
	    (type == SOCK_STREAM && listen(fd, CONNECTIONS))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Start a server that dies with its caller. Returns 0 or a negative errno. */
int peer_start(struct peer *p, const struct protocol *protocol)
{
	static struct server server;
	int control[2];

	server.protocol = protocol;
	server.listener = listen_somewhere(&p->addr, protocol->type);
	if (server.listener < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
		return -errno;
	server.control = control[1];
	p->control = control[0];
	p->pid = fork();
	if (p->pid < 0)
		return -errno;
	if (!p->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(control[0]);
		serve(&server);
	}
	close(control[1]);
	close(server.listener);
	return 0;
}

/* Returns when everything that the server had been asked is answered. */
void peer_answer(struct peer *p)
{
	char byte = 'a';

	if (write(p->control, &byte, 1) == 1 && read(p->control, &byte, 1) == 1)
		return;
}
