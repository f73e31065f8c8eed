// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Sun RPC, without rpcbind: the server makes its own socket, and clients know where
 * it is.
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <rpc/rpc.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ECHO_PROGRAM 0x20004242
#define ECHO_VERSION 1
#define ECHO	     1

struct bytes {
	char *data;
	unsigned int size;
};

static bool_t xdr_echo(XDR *xdr, void *arg)
{
	struct bytes *b = arg;

	return xdr_bytes(xdr, &b->data, &b->size, PEER_MAX_SIZE);
}

static const char *version(void)
{
	return TIRPC_VERSION;
}

static socklen_t socket_address(const struct peer_address *address,
				struct sockaddr_storage *storage)
{
	struct sockaddr_in *in = (struct sockaddr_in *)storage;
	struct sockaddr_un *un = (struct sockaddr_un *)storage;

	memset(storage, 0, sizeof(*storage));
	if (address->local) {
		un->sun_family = AF_UNIX;
		strncpy(un->sun_path, address->path, sizeof(un->sun_path) - 1);
		return SUN_LEN(un);
	}
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = htons(address->port);
	return sizeof(*in);
}

static void dispatch(struct svc_req *request, SVCXPRT *transport)
{
	struct bytes b = { 0 };

	if (request->rq_proc != ECHO) {
		svcerr_noproc(transport);
		return;
	}
	if (!svc_getargs(transport, (xdrproc_t)xdr_echo, (char *)&b)) {
		svcerr_decode(transport);
		return;
	}
	svc_sendreply(transport, (xdrproc_t)xdr_echo, (char *)&b);
	svc_freeargs(transport, (xdrproc_t)xdr_echo, (char *)&b);
}

static void serve(const struct peer_address *address, void (*ready)(void))
{
	struct sockaddr_storage storage;
	socklen_t length = socket_address(address, &storage);
	int fd = socket(storage.ss_family, SOCK_STREAM, 0);
	SVCXPRT *transport;

	if (bind(fd, (struct sockaddr *)&storage, length) ||
	    listen(fd, SOMAXCONN))
		return;
	transport = svc_vc_create(fd, 0, 0);
	if (!transport ||
	    !svc_reg(transport, ECHO_PROGRAM, ECHO_VERSION, dispatch, NULL))
		return;
	ready();
	svc_run();
}

static void *open_client(const struct peer_address *address)
{
	struct sockaddr_storage storage;
	struct netbuf buf = { .buf = &storage, .maxlen = sizeof(storage) };
	int fd, one = 1;

	buf.len = socket_address(address, &storage);
	fd = socket(storage.ss_family, SOCK_STREAM, 0);
	if (!address->local)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&storage, buf.len))
		return NULL;
	return clnt_vc_create(fd, &buf, ECHO_PROGRAM, ECHO_VERSION, 0, 0);
}

static void close_client(void *connection)
{
	CLIENT *client = connection;
	int fd = -1;

	clnt_control(client, CLGET_FD, (char *)&fd);
	clnt_destroy(client);
	close(fd);
}

static bool echo(void *connection, void *data, size_t size)
{
	struct timeval timeout = { .tv_sec = PEER_TIMEOUT_MS / 1000 };
	struct bytes in = { .data = data, .size = (unsigned int)size };
	/* Decoded in place. */
	struct bytes out = { .data = data, .size = 0 };

	return clnt_call((CLIENT *)connection, ECHO, (xdrproc_t)xdr_echo, &in,
			 (xdrproc_t)xdr_echo, &out, timeout) == RPC_SUCCESS &&
	       out.size == size;
}

const struct peer peer = {
	.version = version,
	.has_local = true,
	.serve = serve,
	.open = open_client,
	.close = close_client,
	.echo = echo,
};
