// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Many asynchronous calls of one client to our own server, which grants
 * concurrent multiplexing: they share few connections; with both I/O engines.
 */
#include <sys/eventfd.h>

#include "engines.h"
#include "rpc_server.h"

#define CALLS	  1000
#define CALLS_MAX 64
#define MAX_FDS	  4096
#define OP_NAP	  OP_ECHO /* in place of that */

struct async {
	RPC_ASYNC_STATE state;
	RPC_MESSAGE message;
};

static RPC_CLIENT_INTERFACE client_if = {
	.Length = sizeof(RPC_CLIENT_INTERFACE),
	.InterfaceId = { TEST_GUID(0), { 1, 2 } },
	.TransferSyntax = NDR_SYNTAX,
};

static struct async calls[CALLS];
static int event; /* of all calls */

/* Some take longer than others. */
static void stub_nap(RPC_MESSAGE *message)
{
	if (argument(message) % 3)
		nap();
	stub_echo(message);
}

static uint32_t size_of(uint32_t number)
{
	return 4 + number * 7 % 12000;
}

static RPC_STATUS begin(struct async *a, RPC_BINDING_HANDLE binding,
			unsigned int op, uint32_t number)
{
	RPC_STATUS status;

	memset(a, 0, sizeof(*a));
	RpcAsyncInitializeHandle(&a->state, sizeof(a->state));
	a->state.NotificationType = RpcNotificationTypeEvent;
	a->state.u.hEvent = (void *)(intptr_t)event;
	a->message.Handle = binding;
	a->message.ProcNum = op;
	a->message.BufferLength = size_of(number);
	a->message.RpcInterfaceInformation = &client_if;
	status = I_RpcGetBuffer(&a->message);
	if (status)
		return status;
	memset(a->message.Buffer, (int)(number & 0xff), size_of(number));
	memcpy(a->message.Buffer, &number, sizeof(number));
	status = I_RpcAsyncSetHandle(&a->message, &a->state);
	return status ? status : I_RpcSend(&a->message);
}

static RPC_STATUS end(struct async *a)
{
	struct pollfd p = { .fd = event, .events = POLLIN };
	RPC_STATUS status;
	uint64_t count;

	while ((status = RpcAsyncCompleteCall(&a->state, NULL)) ==
	       RPC_S_ASYNC_CALL_PENDING)
		if (poll(&p, 1, WATCHDOG_MS) != 1 ||
		    read(event, &count, sizeof(count)) != sizeof(count))
			break;
	return status;
}

/* It has come back, to the last byte. */
static bool is_echo(const struct async *a, uint32_t number)
{
	const uint8_t *b = a->message.Buffer;
	uint32_t i;

	if (a->message.BufferLength != size_of(number) ||
	    memcmp(b, &number, sizeof(number)))
		return false;
	for (i = sizeof(number); i < size_of(number); i++)
		if (b[i] != (number & 0xff))
			return false;
	return true;
}

/* Of the client's: the server may close its ends later. */
static int connections(int port)
{
	struct sockaddr_in peer;
	int fd, count = 0;
	socklen_t length;

	for (fd = 0; fd < MAX_FDS; fd++) {
		length = sizeof(peer);
		count += !getpeername(fd, (struct sockaddr *)&peer, &length) &&
			 peer.sin_family == AF_INET &&
			 peer.sin_port == htons(port);
	}
	return count;
}

static RPC_BINDING_HANDLE bind_to(int port)
{
	RPC_BINDING_HANDLE binding = NULL;
	char text[64];

	snprintf(text, sizeof(text), "ncacn_ip_tcp:127.0.0.1[%d]", port);
	RpcBindingFromStringBinding((RPC_CSTR)text, &binding);
	return binding;
}

static void many_calls_share(int port)
{
	RPC_BINDING_HANDLE binding = bind_to(port);
	int i, begun = 0, good = 0, most;

	for (i = 0; i < CALLS; i++)
		begun += !begin(&calls[i], binding, OP_NAP, (uint32_t)i);
	most = connections(port);
	is(begun, CALLS, "calls begin");
	for (i = 0; i < CALLS; i++) {
		good += !end(&calls[i]) && is_echo(&calls[i], (uint32_t)i);
		I_RpcFreeBuffer(&calls[i].message);
	}
	is(good, CALLS, "each has its own answer");
	ok(most <= CALLS / CALLS_MAX + 1, "over few connections (%d)", most);
	RpcBindingFree(&binding);
}

/* The last stub that runs is that of a call nobody waits for. */
static void cancels_find_their_call(int port)
{
	RPC_BINDING_HANDLE binding = bind_to(port);
	uint32_t value = 0;
	int i;

	for (i = 0; i < 3; i++)
		begin(&calls[i], binding, OP_WAIT, 0);
	for (i = 0; i < 3; i++)
		wait_sem(&entered);
	RpcAsyncCancelCall(&calls[1].state, 0);
	is(end(&calls[1]), RPC_S_OK, "one of three is cancelled");
	memcpy(&value, calls[1].message.Buffer, sizeof(value));
	is(value, 1, "and its stub knows");
	is(connections(port), 1, "on one connection");
	RpcAsyncCancelCall(&calls[0].state, 1);
	is(end(&calls[0]), RPC_S_CALL_CANCELLED, "another one is aborted");
	/* Its stub may not know yet, and take one. */
	post(&released);
	post(&released);
	is(end(&calls[2]), RPC_S_OK, "the third is not disturbed");
	memcpy(&value, calls[2].message.Buffer, sizeof(value));
	is(value, 0, "nor its stub");
	I_RpcFreeBuffer(&calls[1].message);
	I_RpcFreeBuffer(&calls[2].message);
	RpcBindingFree(&binding);
}

/* At any moment, with others that must not notice. */
static void cancels_may_race(int port)
{
	RPC_BINDING_HANDLE binding = bind_to(port);
	int i, wrong = 0;
	RPC_STATUS status;

	for (i = 0; i < CALLS; i++) {
		wrong += !!begin(&calls[i], binding, OP_NAP, (uint32_t)i);
		if (i >= 10 && i % 2)
			RpcAsyncCancelCall(&calls[i - i % 10].state, 1);
	}
	for (i = 0; i < CALLS; i++) {
		status = end(&calls[i]);
		if (i % 10 || i < 10)
			wrong += status || !is_echo(&calls[i], (uint32_t)i);
		else
			wrong += status && status != RPC_S_CALL_CANCELLED;
		I_RpcFreeBuffer(&calls[i].message);
	}
	is(wrong, 0, "calls among which others are aborted");
	RpcBindingFree(&binding);
}

static int run_tests(void)
{
	int port;

	begin_server_tests();
	event = eventfd(0, EFD_CLOEXEC);
	functions[OP_NAP] = stub_nap;
	port = use_tcp();
	is(RpcServerRegisterIf(&test_if, NULL, NULL), RPC_S_OK, "register");
	is(RpcServerListen(1, 20, 1), RPC_S_OK, "listening");
	many_calls_share(port);
	cancels_find_their_call(port);
	cancels_may_race(port);
	stop_server();
	return 0;
}

int main(void)
{
	return both_engines(run_tests);
}
