// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What a client makes of its server's answers. The first byte of the input says
 * how the call goes, the rest is all that the server ever sends. The call must
 * end, since the server then closes, and leave nothing behind.
 *
 * The call is driven here, without a thread for the server: it is connected to a
 * local socket, and what comes next happens between two looks at the engine.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rpcnterr.h>

#include "fuzz.h"
#include "rpc/client.h"
#include "wire/cn_pdu.h"

#define CANCEL	0x01 /* once it has begun */
#define ABANDON 0x02 /* before the end of the connection */
#define QUIET	0x04
#define LONG	0x08 /* a request in many fragments */
#define MAYBE	0x10
#define AGAIN	0x20 /* a second call of the same binding */
#define SHARE	0x40 /* calls that share the connection, if it may be */

#define SHARED 3

int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct rpcc_address address;
static uint8_t request[100000];
static int listening;

static RPC_STATUS resolve(const char *host, const char *endpoint,
			  struct rpcc_address *list, size_t *count)
{
	(void)host;
	(void)endpoint;
	list[0] = address;
	*count = 1;
	return RPC_S_OK;
}

static int open_socket(const struct rpcc_address *to)
{
	return socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static const struct rpcc_protseq protseq = {
	.name = "fuzz",
	.protocol = RPCC_CN,
	.max_frag = CN_DEFAULT_FRAG,
	.local = true,
	.resolve = resolve,
	.open = open_socket,
};

static RPC_CLIENT_INTERFACE interface = {
	.Length = sizeof(interface),
	.InterfaceId = { { 1, 2, 3, { 4, 5, 6, 7, 8, 9, 10, 11 } }, { 1, 0 } },
};

/* An address that the kernel picks, and nobody else can have. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	setenv("RPCCANCEL_ENGINE", "poll", 1);
	interface.TransferSyntax = rpcc_ndr_syntax;
	listening =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	address.local.sun_family = AF_UNIX;
	MUST(!bind(listening, &address.any, sizeof(sa_family_t)));
	MUST(!listen(listening, 4));
	address.len = sizeof(address.local);
	MUST(!getsockname(listening, &address.any, &address.len));
	return 0;
}

static void drain(int fd)
{
	static uint8_t bytes[65536];

	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static int answer(const uint8_t *data, size_t size)
{
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	/* The client may have closed already, or have used an old connection. */
	if (fd >= 0 && size && send(fd, data, size, MSG_NOSIGNAL) < 0)
		drain(fd);
	return fd;
}

static void run(struct rpcc_client_call *call, uint8_t how, const uint8_t *data,
		size_t size)
{
	int fd, i;

	rpcc_cn_client.start(call);
	rpcc_io_wait(call->io, 0);
	fd = answer(data, size);
	for (i = 0; i < 64 && !call->done; i++) {
		rpcc_io_wait(call->io, 0);
		if (!call->done && i == 1 && how & CANCEL)
			rpcc_cn_client.cancel(call);
		if (fd >= 0)
			drain(fd);
	}
	if (!call->done && how & ABANDON)
		rpcc_cn_client.abandon(call, RPC_S_CALL_CANCELLED);
	if (fd >= 0)
		close(fd);
	for (i = 0; i < 64 && !call->done; i++)
		rpcc_io_wait(call->io, 0);
	if (!call->done)
		rpcc_cn_client.abandon(call, RPC_S_CALL_FAILED);
	MUST(call->done);
}

static void one_call(struct rpcc_binding *binding, struct rpcc_io *io,
		     uint8_t how, const uint8_t *data, size_t size)
{
	struct rpcc_client_call call = {
		.binding = binding,
		.io = io,
		.interface = &interface,
		.request = request,
		.request_length = how & LONG ? sizeof(request) : 8,
		.flags = how & MAYBE ? RPC_NCA_FLAGS_MAYBE : 0,
		.quiet = how & QUIET,
		.timer = ~0ull,
	};

	if (rpcc_cn_client.prepare(&call) == RPC_S_OK)
		run(&call, how, data, size);
	if (call.status == RPC_S_OK)
		free(exact_copy(call.reply, call.reply_length));
	free(call.reply_block);
}

/* Connections that calls have moved to, which nobody has answered. */
static void accept_rest(void)
{
	struct pollfd p = { .fd = listening, .events = POLLIN };

	while (poll(&p, 1, 0) > 0)
		close(accept(listening, NULL, NULL));
}

/*
 * The first has what happens to it; the others wait for the server, or for its
 * end.
 */
static void some_calls(struct rpcc_binding *binding, struct rpcc_io *io,
		       uint8_t how, const uint8_t *data, size_t size)
{
	struct rpcc_client_call call[SHARED] = { 0 };
	int i;

	for (i = 0; i < SHARED; i++) {
		call[i].binding = binding;
		call[i].io = io;
		call[i].interface = &interface;
		call[i].request = request;
		call[i].request_length = how & LONG ? 16384 : 8;
		call[i].async = true;
		call[i].quiet = how & QUIET;
		call[i].timer = ~0ull;
		MUST(rpcc_cn_client.prepare(&call[i]) == RPC_S_OK);
	}
	for (i = 1; i < SHARED; i++)
		rpcc_cn_client.start(&call[i]);
	run(&call[0], how, data, size);
	for (i = 0; i < 64; i++)
		rpcc_io_wait(io, 0);
	for (i = 0; i < SHARED; i++) {
		if (!call[i].done)
			rpcc_cn_client.abandon(&call[i], RPC_S_CALL_FAILED);
		MUST(call[i].done);
		if (call[i].status == RPC_S_OK)
			free(exact_copy(call[i].reply, call[i].reply_length));
		free(call[i].reply_block);
	}
	accept_rest();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char nothing[] = "", endpoint[] = "x";
	struct rpcc_binding binding = {
		.magic = RPCC_BINDING_MAGIC,
		.protseq = &protseq,
		.address = nothing,
		.endpoint = endpoint,
		.options = nothing,
		.com_timeout = RPC_C_BINDING_INFINITE_TIMEOUT,
	};
	struct rpcc_io *io;

	if (!size || rpcc_io_create(&io, 0))
		return -1;
	if (data[0] & SHARE)
		some_calls(&binding, io, data[0], data + 1, size - 1);
	else
		one_call(&binding, io, data[0], data + 1, size - 1);
	if (data[0] & AGAIN)
		one_call(&binding, io, 0, data + 1, size - 1);
	rpcc_cn_client.release(&binding);
	rpcc_io_destroy(io);
	return 0;
}
