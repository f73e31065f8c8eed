// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Ours, on the engine that RPCCANCEL_ENGINE names. The request is the bytes, and so
 * is the answer: as for the others, data that needs no conversion.
 */
#include "peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rpcasync.h>
#include <rpccancel.h>
#include <rpcdcep.h>

#define ECHO_ID                                                             \
	{                                                                   \
		{ 0x2f5f6f52, 0x1a3c, 0x4f0e,                               \
		  { 0x9b, 0x0d, 0x5e, 0x1c, 0x7a, 0x42, 0x88, 0x10 } },     \
		{ 1, 0 },                                                   \
	}
#define NDR_ID                                                              \
	{                                                                   \
		{ 0x8a885d04, 0x1ceb, 0x11c9,                               \
		  { 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60 } },     \
		{ 2, 0 },                                                   \
	}

static RPC_CLIENT_INTERFACE echo_client = {
	.Length = sizeof(echo_client),
	.InterfaceId = ECHO_ID,
	.TransferSyntax = NDR_ID,
};

static void echo_stub(PRPC_MESSAGE message)
{
	const void *request = message->Buffer;

	if (I_RpcGetBuffer(message) != RPC_S_OK)
		RpcRaiseException(RPC_S_OUT_OF_MEMORY);
	memcpy(message->Buffer, request, message->BufferLength);
}

static RPC_DISPATCH_FUNCTION echo_stubs[] = { echo_stub };
static RPC_DISPATCH_TABLE echo_table = { 1, echo_stubs, 0 };
static RPC_SERVER_INTERFACE echo_server = {
	.Length = sizeof(echo_server),
	.InterfaceId = ECHO_ID,
	.TransferSyntax = NDR_ID,
	.DispatchTable = &echo_table,
};

static const char *version(void)
{
	static char text[64];
	void *self;

	if (rpccancel_thread_self(THREAD_SET_CONTEXT, &self) == RPC_S_OK)
		rpccancel_thread_close(self);
	snprintf(text, sizeof(text), "%s, %s", rpccancel_engine_name(),
		 rpccancel_backend_name());
	return text;
}

/* The endpoint of a Unix socket, which lies in the folder of the others. */
static const char *endpoint(const struct peer_address *address, char *port)
{
	if (address->local) {
		setenv("RPCCANCEL_DIR", getenv("RPC_BENCH_DIR"), 1);
		return "bench";
	}
	sprintf(port, "%u", address->port);
	return port;
}

static const char *protseq(const struct peer_address *address)
{
	return address->local ? "ncalrpc" : "ncacn_ip_tcp";
}

static void serve(const struct peer_address *address, void (*ready)(void))
{
	char port[8];

	if (RpcServerUseProtseqEp((RPC_CSTR)protseq(address),
				  RPC_C_PROTSEQ_MAX_REQS_DEFAULT,
				  (RPC_CSTR)endpoint(address, port),
				  NULL) != RPC_S_OK ||
	    RpcServerRegisterIf(&echo_server, NULL, NULL) != RPC_S_OK ||
	    RpcServerListen(1, RPC_C_LISTEN_MAX_CALLS_DEFAULT, 1) != RPC_S_OK)
		return;
	ready();
	RpcMgmtWaitServerListen();
}

static void *open_binding(const struct peer_address *address)
{
	RPC_BINDING_HANDLE binding;
	char port[8], text[64];

	snprintf(text, sizeof(text), "%s:%s[%s]", protseq(address),
		 address->local ? "" : "127.0.0.1", endpoint(address, port));
	if (RpcBindingFromStringBinding((RPC_CSTR)text, &binding) != RPC_S_OK)
		return NULL;
	if (RpcBindingSetOption(binding, RPC_C_OPT_UNIQUE_BINDING, 1) ||
	    RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT,
				PEER_TIMEOUT_MS))
		return NULL;
	return binding;
}

static void close_binding(void *connection)
{
	RpcBindingFree(&connection);
}

static void prepare(RPC_MESSAGE *message, void *binding, size_t size)
{
	*message = (RPC_MESSAGE){
		.Handle = binding,
		.BufferLength = (unsigned int)size,
		.RpcInterfaceInformation = &echo_client,
	};
}

static bool echo(void *connection, void *data, size_t size)
{
	RPC_MESSAGE message;
	bool good;

	prepare(&message, connection, size);
	if (I_RpcGetBuffer(&message) != RPC_S_OK)
		return false;
	memcpy(message.Buffer, data, size);
	if (I_RpcSendReceive(&message) != RPC_S_OK)
		return false;
	good = message.BufferLength == size;
	if (good)
		memcpy(data, message.Buffer, size);
	I_RpcFreeBuffer(&message);
	return good;
}

/*
 * Asynchronous calls: each is started again by the thread that makes them, which the
 * function of completion wakes.
 */
struct window {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct async_call *done; /* a list */
	unsigned int in_flight;
};

struct async_call {
	struct window *window;
	struct async_call *next;
	RPC_ASYNC_STATE state;
	RPC_MESSAGE message;
};

static void completed(RPC_ASYNC_STATE *state, void *context, RPC_ASYNC_EVENT event)
{
	struct async_call *call = state->UserInfo;
	struct window *w = call->window;

	(void)context;
	(void)event;
	pthread_mutex_lock(&w->lock);
	call->next = w->done;
	w->done = call;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->some);
}

static bool start(struct async_call *call, void *binding, const void *data,
		  size_t size)
{
	prepare(&call->message, binding, size);
	if (RpcAsyncInitializeHandle(&call->state, sizeof(call->state)))
		return false;
	call->state.UserInfo = call;
	call->state.NotificationType = RpcNotificationTypeCallback;
	call->state.u.NotificationRoutine = completed;
	if (I_RpcGetBuffer(&call->message) != RPC_S_OK)
		return false;
	memcpy(call->message.Buffer, data, size);
	return I_RpcAsyncSetHandle(&call->message, &call->state) == RPC_S_OK &&
	       I_RpcSend(&call->message) == RPC_S_OK;
}

/* Takes all that are done, waiting for one at least. */
static struct async_call *take_done(struct window *w)
{
	struct async_call *done;

	pthread_mutex_lock(&w->lock);
	while (!w->done)
		pthread_cond_wait(&w->some, &w->lock);
	done = w->done;
	w->done = NULL;
	pthread_mutex_unlock(&w->lock);
	return done;
}

static bool finish(struct async_call *call, size_t size)
{
	bool good;

	if (RpcAsyncCompleteCall(&call->state, &call->message) != RPC_S_OK)
		return false;
	good = call->message.BufferLength == size;
	I_RpcFreeBuffer(&call->message);
	return good;
}

static int64_t pipeline(void *connection, const void *data, size_t size,
			unsigned int window, const volatile bool *stop)
{
	struct window w = { .lock = PTHREAD_MUTEX_INITIALIZER,
			    .some = PTHREAD_COND_INITIALIZER };
	struct async_call *calls = calloc(window, sizeof(*calls)), *call, *next;
	unsigned int in_flight = 0;
	int64_t count = 0;

	for (unsigned int i = 0; calls && i < window; i++) {
		calls[i].window = &w;
		if (!start(&calls[i], connection, data, size))
			return -1;
		in_flight++;
	}
	while (in_flight) {
		for (call = take_done(&w); call; call = next) {
			next = call->next;
			if (!finish(call, size))
				return -1;
			count++;
			in_flight--;
			if (*stop)
				continue;
			if (!start(call, connection, data, size))
				return -1;
			in_flight++;
		}
	}
	free(calls);
	return count;
}

const struct peer peer = {
	.version = version,
	.has_local = true,
	.serve = serve,
	.open = open_binding,
	.close = close_binding,
	.echo = echo,
	.pipeline = pipeline,
};
