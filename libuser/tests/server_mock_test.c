// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Stubs that may be interrupted: which generation of their thread a cancel of
 * the client's asks for. The server has one thread for calls, so all run on the
 * same one.
 */
#include "mock.h"
#include "rpc_server.h"

enum {
	NOT_CANCELLED,
	MINE,
	ELSEWHERE,
};

static struct pdu p;

/* What was cancelled while it ran, if anything. */
static void stub_probe(RPC_MESSAGE *message)
{
	uint64_t gen = mock.slot.gen;
	uint32_t what = ELSEWHERE;

	post(&entered);
	wait_sem(&released);
	RpcServerTestCancel(NULL);
	if (!mock.cancel.gen)
		what = NOT_CANCELLED;
	else if (mock.cancel.gen == gen && gen & 1)
		what = MINE;
	mock.cancel.gen = 0;
	reply_u32(message, what);
}

/* Its scope is on a stack that is gone when the exception is taken. */
static void stub_leave_scope(RPC_MESSAGE *message)
{
	struct rpccancel_scope scope;

	(void)message;
	rpccancel_scope_begin(&scope, NULL);
	RpcRaiseException(RPC_S_OBJECT_NOT_FOUND);
}

static void finish(int fd, uint32_t call, uint32_t want, const char *what)
{
	post(&released);
	receive(fd, &p);
	is(pdu_call(&p), call, "the call is answered");
	is(u32(&p, 24), want, what);
}

static void begin(int fd, uint32_t call)
{
	request(fd, call, OP_HOLD, "", 0);
	wait_sem(&entered);
}

static void cancel(int fd, uint32_t call)
{
	bare(fd, CO_CANCEL, call);
	make_request(&p, WHOLE, 9999, 9, 0, "", 0);
	send_pdu(fd, &p);
	receive(fd, &p);
	ok(is_fault(&p, 9999, WHOLE | DNE, 0, UNK_IF), "the cancel was read");
}

static void a_cancel_is_for_its_own_call(int fd)
{
	begin(fd, 2);
	cancel(fd, 2);
	finish(fd, 2, MINE, "the stub's scope is cancelled");

	begin(fd, 3);
	cancel(fd, 2);
	finish(fd, 3, NOT_CANCELLED, "a late cancel is for nobody");

	begin(fd, 4);
	request(fd, 5, OP_HOLD, "", 0);
	cancel(fd, 5);
	finish(fd, 4, NOT_CANCELLED, "nor is one of a call that waits");
	wait_sem(&entered);
	finish(fd, 5, MINE, "which reaches it when it runs");

	begin(fd, 6);
	finish(fd, 6, NOT_CANCELLED, "and not the next one");
}

static void scopes_that_are_left_are_forgotten(int fd)
{
	request(fd, 7, OP_SLEEP, "", 0);
	receive(fd, &p);
	is(pdu_type(&p), FAULT, "an exception out of a scope");
	begin(fd, 8);
	cancel(fd, 8);
	finish(fd, 8, MINE, "the next call has a scope of its own");
}

int main(void)
{
	int port, fd;

	begin_server_tests();
	functions[OP_HOLD] = stub_probe;
	functions[OP_SLEEP] = stub_leave_scope;
	port = use_tcp();
	is(RpcServerRegisterIfEx(&test_if, NULL, NULL, RPCCANCEL_IF_INTERRUPT,
				 100, NULL),
	   RPC_S_OK, "registered to be interrupted");
	is(RpcServerListen(1, 1, 1), RPC_S_OK, "listening with one thread");
	fd = client(port, MPX);
	a_cancel_is_for_its_own_call(fd);
	scopes_that_are_left_are_forgotten(fd);
	close(fd);
	stop_server();
	is(mock.attached, 0, "the thread has detached");
	return tap_end();
}
