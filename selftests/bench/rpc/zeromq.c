// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* ZeroMQ: REQ against ROUTER, or, to have more in flight, DEALER. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

static const char *version(void)
{
	static char text[32];
	int major, minor, patch;

	zmq_version(&major, &minor, &patch);
	snprintf(text, sizeof(text), "%d.%d.%d", major, minor, patch);
	return text;
}

static void endpoint(const struct peer_address *address, char *text, size_t size)
{
	if (address->local)
		snprintf(text, size, "ipc://%s", address->path);
	else
		snprintf(text, size, "tcp://127.0.0.1:%u", address->port);
}

static void serve(const struct peer_address *address, void (*ready)(void))
{
	void *context = zmq_ctx_new();
	void *router;
	char text[128];
	zmq_msg_t part;
	int more;

	zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 8192);
	router = zmq_socket(context, ZMQ_ROUTER);
	endpoint(address, text, sizeof(text));
	if (zmq_bind(router, text))
		return;
	ready();
	/* The parts come back as they are, the address of the client first. */
	while (!zmq_msg_init(&part) && zmq_msg_recv(&part, router, 0) >= 0) {
		more = zmq_msg_more(&part);
		if (zmq_msg_send(&part, router, more ? ZMQ_SNDMORE : 0) < 0)
			return;
	}
}

/* One for the process, as its makers advise: it has the I/O thread. */
static void *client_context(void)
{
	static void *context;
	void *fresh, *none = NULL;

	if (!__atomic_load_n(&context, __ATOMIC_ACQUIRE)) {
		fresh = zmq_ctx_new();
		zmq_ctx_set(fresh, ZMQ_MAX_SOCKETS, 8192);
		if (!__atomic_compare_exchange_n(&context, &none, fresh, false,
						 __ATOMIC_ACQ_REL,
						 __ATOMIC_ACQUIRE))
			zmq_ctx_term(fresh);
	}
	return context;
}

static void *connect_socket(const struct peer_address *address, int type)
{
	void *socket = zmq_socket(client_context(), type);
	int timeout = PEER_TIMEOUT_MS, linger = 0;
	char text[128];

	endpoint(address, text, sizeof(text));
	if (!socket ||
	    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) ||
	    zmq_connect(socket, text))
		return NULL;
	return socket;
}

struct connection {
	const struct peer_address *address;
	void *socket;
};

static void *open_connection(const struct peer_address *address)
{
	struct connection *c = malloc(sizeof(*c));

	if (!c)
		return NULL;
	c->address = address;
	c->socket = connect_socket(address, ZMQ_REQ);
	return c->socket ? c : NULL;
}

static void close_connection(void *connection)
{
	struct connection *c = connection;

	zmq_close(c->socket);
	free(c);
}

static bool echo(void *connection, void *data, size_t size)
{
	struct connection *c = connection;

	return zmq_send(c->socket, data, size, 0) == (int)size &&
	       zmq_recv(c->socket, data, PEER_MAX_SIZE, 0) == (int)size;
}

static int64_t pipeline(void *connection, const void *data, size_t size,
			unsigned int window, const volatile bool *stop)
{
	struct connection *c = connection;
	void *dealer = connect_socket(c->address, ZMQ_DEALER);
	void *answer = malloc(PEER_MAX_SIZE);
	unsigned int in_flight = 0;
	int64_t calls = 0;

	while (dealer && answer) {
		for (; !*stop && in_flight < window; in_flight++) {
			if (zmq_send(dealer, data, size, 0) != (int)size)
				return -1;
		}
		if (!in_flight)
			break;
		if (zmq_recv(dealer, answer, PEER_MAX_SIZE, 0) != (int)size)
			return -1;
		in_flight--;
		calls++;
	}
	free(answer);
	zmq_close(dealer);
	return calls;
}

const struct peer peer = {
	.version = version,
	.has_local = true,
	.serve = serve,
	.open = open_connection,
	.close = close_connection,
	.echo = echo,
	.pipeline = pipeline,
};
