// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A server's connection, fed with what a client might send. The loop and the
 * executor are replaced by what runs at once and in one thread, so that the same
 * bytes always do the same; the rest is the library's own.
 *
 * The first byte of the input says how: whether a good bind comes first, with
 * or without multiplexing, and how many bytes come at a time. What the server
 * sends must be PDUs that a server sends.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "cn/cn_server.h"
#include "fuzz.h"
#include "rpc/server_impl.h"

#define BOUND	  0x01
#define MPX	  0x02
#define CHUNK(b)  ((size_t)((b) >> 2) + 1)
#define MAX_ASYNC 64

/*
 * Instead of loop.c.
 */

struct rpcc_loop {
	struct rpcc_io *io;
	struct rpcc_work *first, **last;
};

static struct rpcc_loop loop = { .last = &loop.first };

struct rpcc_io *rpcc_loop_io(struct rpcc_loop *l)
{
	return l->io;
}

struct rpcc_loop *rpcc_loop_next(void)
{
	return &loop;
}

void rpcc_timer_arm(struct rpcc_loop *l, struct rpcc_timer *timer,
		    uint64_t when)
{
	timer->loop = l;
	timer->when = when;
	timer->armed = true;
}

void rpcc_timer_disarm(struct rpcc_timer *timer)
{
	timer->armed = false;
}

void rpcc_loop_queue(struct rpcc_loop *l, struct rpcc_work *work)
{
	work->next = NULL;
	*l->last = work;
	l->last = &work->next;
}

static void run_work(void)
{
	struct rpcc_work *work;

	while ((work = loop.first)) {
		loop.first = work->next;
		if (!loop.first)
			loop.last = &loop.first;
		work->run(work);
	}
}

void rpcc_loop_join(struct rpcc_loop *l, struct rpcc_member *member)
{
	(void)l;
	(void)member;
}

void rpcc_loop_leave(struct rpcc_member *member)
{
	(void)member;
}

void rpcc_loop_call(struct rpcc_loop *l, void (*run)(void *arg), void *arg)
{
	(void)l;
	run(arg);
}

RPC_STATUS rpcc_loops_start(void)
{
	return RPC_S_OK;
}

void rpcc_loops_stop(void)
{
}

void rpcc_loops_fork_child(void)
{
}

/*
 * Instead of executor.c.
 */

void rpcc_executor_start(unsigned int min_threads, unsigned int max_threads)
{
	(void)min_threads;
	(void)max_threads;
}

void rpcc_executor_stop(void)
{
}

void rpcc_executor_fork_child(void)
{
}

bool rpcc_executor_submit(struct rpcc_server_call *call)
{
	rpcc_server_call_run(call);
	return true;
}

/*
 * The server.
 */

static RPC_ASYNC_STATE async[MAX_ASYNC];
static unsigned int async_count;

static void echo(RPC_MESSAGE *message)
{
	unsigned int size = message->BufferLength;
	const void *request = message->Buffer;

	MUST(rpcc_server_get_buffer(message) == RPC_S_OK);
	if (size)
		memcpy(message->Buffer, request, size);
}

/* Stays in progress, to be cancelled, orphaned, or completed in the end. */
static void stay(RPC_MESSAGE *message)
{
	if (async_count == MAX_ASYNC)
		return;
	MUST(RpcAsyncInitializeHandle(&async[async_count],
				      sizeof(async[async_count])) == RPC_S_OK);
	MUST(rpcc_server_async_set_handle(message, &async[async_count]) ==
	     RPC_S_OK);
	async_count++;
}

static void complete_all(void)
{
	while (async_count)
		rpcc_server_async_complete(&async[--async_count], NULL);
}

static void complete(RPC_MESSAGE *message)
{
	complete_all();
	echo(message);
}

static void raise_it(RPC_MESSAGE *message)
{
	(void)message;
	RpcRaiseException(RPC_S_CALL_CANCELLED);
}

static void be_long(RPC_MESSAGE *message)
{
	message->BufferLength = 20000;
	MUST(rpcc_server_get_buffer(message) == RPC_S_OK);
	memset(message->Buffer, 0, message->BufferLength);
}

static RPC_DISPATCH_FUNCTION functions[] = { echo, stay, complete, raise_it,
					     be_long };
static RPC_DISPATCH_TABLE table = { 5, functions, 0 };
static RPC_SERVER_INTERFACE interface = {
	.Length = sizeof(interface),
	.InterfaceId = { { 1, 2, 3, { 4 } }, { 1, 0 } },
	.DispatchTable = &table,
};

static const struct rpcc_protseq protseq = {
	.name = "ncalrpc",
	.protocol = RPCC_CN,
	.max_frag = CN_DEFAULT_FRAG,
	.local = true,
};
static const struct rpcc_listener listener = {
	.protseq = &protseq,
	.endpoint = "fuzz",
};

static void set_up(void)
{
	struct rpccancel_server_limits limits = {
		.size = sizeof(limits),
		.calls_per_connection = 16,
		.call_bytes = 3000,
		.connection_bytes = 5000,
	};

	setenv("RPCCANCEL_ENGINE", "poll", 1);
	MUST(!rpcc_io_create(&loop.io, RPCC_IO_SERVER));
	MUST(RpcServerRegisterIf(&interface, NULL, NULL) == RPC_S_OK);
	MUST(rpccancel_server_set_limits(&limits) == RPC_S_OK);
	rpcc_interfaces_listen(true);
}

/*
 * The client.
 */

static void bind_first(struct cn_conn *conn, uint8_t how)
{
	static struct cn_bind bind = {
		.max_xmit = CN_DEFAULT_FRAG,
		.max_recv = CN_MUST_RECV_FRAG,
		.context_count = 1,
	};
	uint8_t flags = CN_FIRST_FRAG | CN_LAST_FRAG;
	uint8_t pdu[256];

	if (how & MPX)
		flags |= CN_CONC_MPX;
	bind.context[0].transfer_count = 1;
	bind.context[0].abstract = interface.InterfaceId;
	bind.context[0].transfer[0] = rpcc_ndr_syntax;
	cn_conn_feed(conn, pdu,
		     cn_put_bind(pdu, sizeof(pdu), false, flags, 1, &bind));
	MUST(conn->bound);
}

static void feed(struct cn_conn *conn, const uint8_t *data, size_t size,
		 size_t chunk)
{
	uint8_t *copy;
	size_t n;

	for (; size; data += n, size -= n) {
		n = size < chunk ? size : chunk;
		copy = exact_copy(data, n);
		cn_conn_feed(conn, copy, n);
		free(copy);
	}
}

static bool servers_send(uint8_t type)
{
	return type == CN_RESPONSE || type == CN_FAULT || type == CN_BIND_ACK ||
	       type == CN_BIND_NAK || type == CN_ALTER_CONTEXT_RESP;
}

/* A part of the last PDU may be in the queue of a connection that was closed. */
static void check_output(int fd)
{
	static uint8_t bytes[1 << 20];
	size_t size = 0, at = 0;
	struct cn_header header;
	ssize_t n;

	while ((n = recv(fd, bytes + size, sizeof(bytes) - size,
			 MSG_DONTWAIT)) > 0)
		size += (size_t)n;
	for (; size - at >= CN_HEADER_SIZE; at += header.frag_length) {
		MUST(cn_get_header(bytes + at, &header));
		MUST(servers_send(header.type));
		MUST(header.frag_length <= CN_DEFAULT_FRAG);
		if (header.frag_length > size - at)
			break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cn_conn *conn;
	int fd[2];

	if (!loop.io)
		set_up();
	if (!size)
		return -1;
	MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
	conn = cn_conn_create(&loop, &listener, fd[0]);
	MUST(conn);
	conn->work.run(&conn->work);
	if (data[0] & BOUND)
		bind_first(conn, data[0]);
	cn_conn_ref(conn);
	feed(conn, data + 1, size - 1, CHUNK(data[0]));
	run_work();
	complete_all();
	run_work();
	if (!conn->closed)
		conn->member.close(&conn->member);
	run_work();
	MUST(!conn->call_count && !conn->request_bytes);
	MUST(atomic_load(&conn->refs) == 1);
	cn_conn_put(conn);
	check_output(fd[1]);
	close(fd[1]);
	return 0;
}
