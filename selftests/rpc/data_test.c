// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Calls that nobody cancels: what goes there comes back, in one fragment or in
 * many, what a stub raises is raised at the client, and a process that forks
 * has working bindings on both sides.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rpcwinthread.h>

#include "tap.h"
#include "testing.h"

static struct server server;

static void echo_sizes(enum protseq protseq)
{
	static const uint32_t sizes[] = { 0,	 1,	 7,	  8,	  1000,
					  1432,	 4280,	 5816,	  5840,	  65535,
					  65536, 100001, 1 << 20, 3 << 20 };
	RPC_BINDING_HANDLE binding = server_bind(&server, protseq);
	uint8_t *in = malloc(3 << 20), *out = malloc(3 << 20);
	RPC_STATUS status;
	uint32_t sum = 0;

	if (!in || !out)
		die("no memory");
	for (uint32_t i = 0; i < 3 << 20; i++)
		in[i] = i * 2654435761u >> 24;
	is(echo_add_one(binding, 0xffffffff, &sum), RPC_S_OK, "AddOne");
	is(sum, 0, "it has added one");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(out, 0, sizes[i]);
		status = echo_data(binding, in, out, sizes[i]);
		ok(status == RPC_S_OK && !memcmp(in, out, sizes[i]),
		   "%s: %u bytes come back", protseq_names[protseq], sizes[i]);
		is(echo_sink(binding, in, sizes[i]), RPC_S_OK, "SinkData");
		is(echo_source(binding, out, sizes[i]), RPC_S_OK, "SourceData");
	}
	free(in);
	free(out);
	RpcBindingFree(&binding);
}

/* Those that have a number on the wire, and one that has not. */
static void raised(enum protseq protseq)
{
	static const RPC_STATUS statuses[] = {
		RPC_S_CALL_CANCELLED,
		RPC_S_ACCESS_DENIED,
		RPC_S_ZERO_DIVIDE,
		RPC_S_ADDRESS_ERROR,
		RPC_S_INVALID_TAG,
		RPC_S_INVALID_BOUND,
		RPC_S_SERVER_TOO_BUSY,
		RPC_X_BAD_STUB_DATA,
		RPC_X_SS_CONTEXT_MISMATCH,
		RPC_S_SERVER_OUT_OF_MEMORY,
		12345,
	};
	RPC_BINDING_HANDLE binding = server_bind(&server, protseq);

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		ok(slow_raise(binding, statuses[i]) == statuses[i],
		   "%s: the stub raises %d", protseq_names[protseq],
		   statuses[i]);
		is(slow_null(binding), RPC_S_OK, "the next call works");
	}
	RpcBindingFree(&binding);
}

static void bad_operation(enum protseq protseq)
{
	RPC_BINDING_HANDLE binding = server_bind(&server, protseq);
	RPC_CLIENT_INTERFACE unknown = slow_client;
	struct call c;

	printf("# %s\n", protseq_names[protseq]);
	is(call_begin(&c, binding, &slow_client, 99, 0), RPC_S_OK,
	   "an operation that the interface has not");
	is(call_send(&c), RPC_S_PROCNUM_OUT_OF_RANGE, "is refused");
	is(call_begin(&c, binding, &slow_client, SLOW_STAY, 0), RPC_S_OK,
	   "arguments that are missing");
	is(call_send(&c), RPC_X_BAD_STUB_DATA, "are noticed");
	unknown.InterfaceId.SyntaxGUID.Data1++;
	is(call_begin(&c, binding, &unknown, 0, 0) ?: call_send(&c),
	   RPC_S_UNKNOWN_IF, "an interface that the server has not");
	is(slow_null(binding), RPC_S_OK, "the next call works");
	RpcBindingFree(&binding);
}

static void attributes(enum protseq protseq)
{
	static const uint32_t numbers[] = {
		[TCP] = RPC_PROTSEQ_TCP,
		[UDP] = RPC_PROTSEQ_UDP,
		[NP] = RPC_PROTSEQ_NMP,
		[LRPC] = RPC_PROTSEQ_LRPC,
	};
	RPC_BINDING_HANDLE binding = server_bind(&server, protseq);
	struct slow_attributes a;

	printf("# %s\n", protseq_names[protseq]);
	is(slow_attributes(binding, &a), RPC_S_OK, "a stub looks at its call");
	is(a.status, RPC_S_OK, "RpcServerInqCallAttributes");
	is(a.protseq, numbers[protseq], "the protocol sequence");
	is(a.opnum, SLOW_ATTRIBUTES, "the operation");
	if (protseq == LRPC)
		is(a.pid, getpid(), "the client's process");
	ok(a.test_cancel != RPC_S_OK, "RpcTestCancel: not cancelled");
	is(a.server_test_cancel, RPC_S_CALL_IN_PROGRESS,
	   "RpcServerTestCancel: neither");
	RpcBindingFree(&binding);
}

/* What MIDL's stubs do with a status. */
static void exceptions(void)
{
	RPC_BINDING_HANDLE binding = server_bind(&server, TCP);
	volatile unsigned long code = 0;
	RPC_STATUS status;

	RpcTryExcept
	{
		status = slow_raise(binding, RPC_S_CALL_CANCELLED);
		if (status != RPC_S_OK)
			RpcRaiseException(status);
	}
	RpcExcept(RpcExceptionCode() == RPC_S_CALL_CANCELLED)
	{
		code = RpcExceptionCode();
	}
	RpcEndExcept is(code, RPC_S_CALL_CANCELLED,
			"RpcTryExcept around a call");
	RpcBindingFree(&binding);
}

/* The child has the parent's binding, and not the parent's connection. */
static void forked(enum protseq protseq)
{
	RPC_BINDING_HANDLE binding = server_bind(&server, protseq), own;
	uint32_t sum = 0;
	int status;
	pid_t pid;

	printf("# %s\n", protseq_names[protseq]);
	is(echo_add_one(binding, 1, &sum), RPC_S_OK, "a call of the parent");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		status = echo_add_one(binding, 41, &sum) != RPC_S_OK ||
			 sum != 42;
		own = server_bind(&server, protseq);
		status |= (echo_add_one(own, 7, &sum) != RPC_S_OK || sum != 8)
			  << 1;
		RpcBindingFree(&own);
		status |= (RpcBindingFree(&binding) != RPC_S_OK) << 2;
		_exit(status);
	}
	for (int i = 0; i < 100; i++)
		if (echo_add_one(binding, i, &sum) != RPC_S_OK)
			break;
	ok(sum == 100, "calls of the parent while the child makes some");
	is(waitpid(pid, &status, 0), pid, "the child ends");
	is(status, 0, "its calls worked, on the parent's binding and its own");
	is(echo_add_one(binding, 2, &sum), RPC_S_OK, "the parent's go on");
	RpcBindingFree(&binding);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# engine %s, back end %s\n", rpccancel_engine_name(),
	       rpccancel_backend_name());
	server_start(&server, NULL);
	for (int i = 0; i < PROTSEQS; i++) {
		echo_sizes(i);
		raised(i);
		bad_operation(i);
		attributes(i);
		forked(i);
	}
	exceptions();
	ok(server_stop(&server), "the server ends well");
	return tap_end();
}
