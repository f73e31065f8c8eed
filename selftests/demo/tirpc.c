// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Debian's libtirpc: clnt_call() on a TCP connection.  No rpcbind is needed. */
#include "demo.h"

#include <errno.h>
#include <rpc/rpc.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROGRAM 0x20000001
#define VERSION 1
#define ECHO 1

/* ONC RPC over TCP: a length, a call number, ... and the argument at the end. */
static size_t reply(const __u8 *buf, size_t len, __u8 *out,
		    size_t *out_len, bool *at_once)
{
	size_t size;

	*at_once = false;
	if (len < 4)
		return 0;
	size = 4 + (get32(buf) & 0x7fffffff);
	if (size < 48 || len < size)
		return 0;
	put32(out, 0x80000000 | 28);
	memcpy(out + 4, buf + 4, 4);
	put32(out + 8, REPLY);
	put32(out + 12, MSG_ACCEPTED);
	put32(out + 16, AUTH_NONE);
	put32(out + 20, 0);
	put32(out + 24, SUCCESS);
	memcpy(out + 28, buf + size - 4, 4);
	*out_len = 32;
	return size;
}

static const struct protocol protocol = {
	.type = SOCK_STREAM,
	.reply = reply,
};

static const struct protocol cut_protocol = {
	.type = SOCK_STREAM,
	.cut = 10, /* not a multiple of 4: libtirpc reads words */
	.reply = reply,
};

static const char *version(void)
{
	return "libtirpc " TIRPC_VERSION;
}

static int open_client(struct trial *t)
{
	struct netbuf server = {
		.maxlen = sizeof(t->peer.addr),
		.len = sizeof(t->peer.addr),
		.buf = &t->peer.addr,
	};

	t->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (t->fd < 0 || connect(t->fd, server.buf, server.len))
		return -errno;
	t->client = clnt_vc_create(t->fd, &server, PROGRAM, VERSION, 0, 0);
	return t->client ? 0 : -ENOMEM;
}

static const char *status_name(enum clnt_stat status)
{
	switch (status) {
	case RPC_SUCCESS:
		return "RPC_SUCCESS";
	case RPC_CANTSEND:
		return "RPC_CANTSEND";
	case RPC_CANTRECV:
		return "RPC_CANTRECV";
	case RPC_TIMEDOUT:
		return "RPC_TIMEDOUT";
	case RPC_CANTDECODERES:
		return "RPC_CANTDECODERES";
	default:
		return clnt_sperrno(status);
	}
}

static void call(struct trial *t, struct answer *a)
{
	struct timeval timeout = { .tv_sec = CALL_TIMEOUT_S };
	struct rpc_err error = { .re_errno = 0 };
	u_int in = t->call, out = 0;

	a->code = clnt_call((CLIENT *)t->client, ECHO, (xdrproc_t)xdr_u_int,
			    (char *)&in, (xdrproc_t)xdr_u_int, (char *)&out,
			    timeout);
	if (a->code == RPC_SUCCESS) {
		a->ok = out == in;
		a->stale = out == 1;
		snprintf(a->text, sizeof(a->text), "RPC_SUCCESS, result %u", out);
		return;
	}
	clnt_geterr((CLIENT *)t->client, &error);
	a->error = error.re_errno;
	snprintf(a->text, sizeof(a->text), "%s, %s", status_name(a->code),
		 strerrorname_np(a->error) ?: "no errno");
}

const struct library tirpc = {
	.name = "tirpc",
	.title = "clnt_call() of an RPC over TCP",
	.object = "CLIENT",
	.protocol = &protocol,
	.version = version,
	.open = open_client,
	.call = call,
	.expect_code = RPC_CANTRECV,
	.expect_error = ECANCELED,
};

const struct library tirpc_cut = {
	.name = "tirpc cut",
	.title = "the same, the server stops in the middle of its reply",
	.object = "CLIENT",
	.protocol = &cut_protocol,
	.version = version,
	.open = open_client,
	.call = call,
	.expect_code = RPC_CANTRECV,
	.expect_error = ECANCELED,
};
