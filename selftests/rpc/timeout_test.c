// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * RPC_C_OPT_CALL_TIMEOUT ends a call on the client's side, and the server is
 * not told: so say Microsoft's pages.
 */
#include "tap.h"
#include "testing.h"

#define TIMEOUT 300

static struct server server;

static void set_timeout(RPC_BINDING_HANDLE binding, uint32_t ms)
{
	is(RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, ms), RPC_S_OK,
	   "RpcBindingSetOption");
}

static void call_timeout(enum protseq protseq)
{
	RPC_BINDING_HANDLE binding = server_bind(&server, protseq);
	struct slow_counts before = server_counts(&server), after;
	struct slow_result result;
	uint64_t start = now_ms();

	printf("# %s\n", protseq_names[protseq]);
	set_timeout(binding, TIMEOUT);
	is(slow_stay(binding, 10 * PATIENCE, SLOW_UNTIL_RELEASED, &result),
	   RPC_S_CALL_CANCELLED, "a call that takes longer");
	ok(now_ms() - start >= TIMEOUT - 1, "it was given its time");
	is(slow_null(binding), RPC_S_OK, "the next call works");
	after = server_counts(&server);
	is(after.entered, before.entered + 1, "the stub had been entered");
	is(after.left, before.left, "and goes on");
	server_release(&server);
	ok(server_wait_left(&server, after.entered), "until it ends");
	is(server_counts(&server).left, after.entered, "all have ended");
	set_timeout(binding, PATIENCE);
	is(slow_stay(binding, WHILE, 0, &result), RPC_S_OK,
	   "a call that takes less");
	set_timeout(binding, 0);
	is(slow_stay(binding, 2 * TIMEOUT, 0, &result), RPC_S_OK,
	   "a call without a time-out");
	RpcBindingFree(&binding);
}

static void nobody_there(enum protseq protseq, const char *string_binding)
{
	RPC_BINDING_HANDLE binding = bind_to(string_binding);

	is(slow_null(binding), RPC_S_SERVER_UNAVAILABLE,
	   protseq_names[protseq]);
	RpcBindingFree(&binding);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# engine %s, back end %s\n", rpccancel_engine_name(),
	       rpccancel_backend_name());
	server_start(&server, NULL);
	for (int i = 0; i < PROTSEQS; i++)
		call_timeout(i);
	printf("# nobody serves there\n");
	nobody_there(TCP, "ncacn_ip_tcp:127.0.0.1[1]");
	nobody_there(NP, "ncacn_np:[\\\\pipe\\\\rpccancel-nobody]");
	nobody_there(LRPC, "ncalrpc:[rpccancel-nobody]");
	ok(server_stop(&server), "the server ends well");
	return tap_end();
}
