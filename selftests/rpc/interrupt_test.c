// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Stubs that are blocked in a system call when their client cancels:
 * RPCCANCEL_IF_INTERRUPT gets them out. That needs the kernel module; without it
 * they block as they would, and their client has its grace.
 */
#include <errno.h>
#include <string.h>

#include "tap.h"
#include "testing.h"

static struct server server;

static RPC_STATUS call_block(struct caller *c)
{
	return block_recv(c->binding, c->ms, &c->result.cancelled);
}

static void not_interrupted(enum protseq protseq)
{
	RPC_BINDING_HANDLE binding = server_bind(&server, protseq);
	uint32_t error = 1;

	is(block_recv(binding, 10, &error), RPC_S_OK, protseq_names[protseq]);
	is(error, 0, "without a cancel the stub's recv() is left alone");
	RpcBindingFree(&binding);
}

static void interrupted(enum protseq protseq)
{
	unsigned int entered = server_counts(&server).entered;
	struct caller c;

	caller_start(&c, server_bind(&server, protseq));
	c.ms = 10 * PATIENCE;
	caller_go(&c, call_block);
	ok(server_wait_entered(&server, entered + 1), "a stub is in recv()");
	is(RpcCancelThreadEx(c.handle, PATIENCE / 1000), RPC_S_OK,
	   "its client is cancelled");
	ok(caller_wait(&c), "the call comes back");
	is(c.status, RPC_S_OK, "with the stub's answer");
	is(c.result.cancelled, ECANCELED, "its recv() failed with ECANCELED");
	is(caller_call(&c, call_null), RPC_S_OK, "the next call works");
	not_interrupted(protseq);
	caller_stop(&c);
}

/* Its client is out after a second, the stub when its recv() gives up. */
static void left_alone(enum protseq protseq)
{
	struct slow_counts before = server_counts(&server);
	struct caller c;

	caller_start(&c, server_bind(&server, protseq));
	c.ms = 3000;
	caller_go(&c, call_block);
	ok(server_wait_entered(&server, before.entered + 1),
	   "a stub is in recv()");
	is(RpcCancelThreadEx(c.handle, 1), RPC_S_OK, "its client is cancelled");
	ok(caller_wait(&c), "the call comes back");
	is(c.status, RPC_S_CALL_CANCELLED, "without an answer");
	is(caller_call(&c, call_null), RPC_S_OK, "the next call works");
	ok(server_wait_left(&server, before.left + 1), "the stub ends");
	is(server_counts(&server).cancelled, before.cancelled,
	   "its recv() was not interrupted");
	caller_stop(&c);
}

int main(void)
{
	bool kernel = !strcmp(rpccancel_backend_name(), "kernel");

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# engine %s, back end %s\n", rpccancel_engine_name(),
	       rpccancel_backend_name());
	server_start(&server, "--interrupt");
	is(server.interrupt, RPC_S_OK, "RPCCANCEL_IF_INTERRUPT");
	for (int i = TCP; i <= NP; i++) {
		not_interrupted(i);
		if (kernel)
			interrupted(i);
		else
			left_alone(i);
	}
	ok(server_stop(&server), "the server ends well");
	return tap_end();
}
