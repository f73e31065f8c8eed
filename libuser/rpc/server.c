// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The server of the process: endpoints, listening, and its end.
 *
 *	IDLE ---- RpcServerListen() ----> LISTENING <---- RpcServerListen() ---,
 *	  ^                                   |                                |
 *	  |                    RpcMgmtStopServerListening()                    |
 *	  |                                   v                                |
 *	  '-- the waiter, no calls left -- STOPPED ------- without a waiter ---'
 *
 * Stopping only makes interfaces refuse calls, and so may be done from a stub.
 * Whoever waits for the end, RpcServerListen() itself or
 * RpcMgmtWaitServerListen(), then closes connections, loops and threads. The
 * endpoints stay, for the next time. An interface with RPC_IF_AUTOLISTEN is
 * served from its registration on, and keeps the loops alive.
 *
 * A forked child starts with the endpoints and interfaces of its parent, in
 * IDLE: the threads are not in it.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "log.h"
#include "rpc/server_impl.h"

enum state {
	IDLE,
	LISTENING,
	STOPPED,
};

struct endpoint {
	struct endpoint *next;
	struct rpcc_listener listener;
	struct rpcc_loop *loop; /* of all its sockets; NULL: not open */
	void *state[RPCC_MAX_LISTENERS]; /* of the protocol */
	unsigned int open;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct endpoint *endpoints;
	enum state state;
	bool waiter;
	bool serving; /* loops and endpoints are open */
} server = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

static pthread_mutex_t limits_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rpccancel_server_limits limits = {
	.size = sizeof(limits),
	.connections = 16384,
	.queued_calls = 4096,
	.calls_per_connection = 256,
	.call_bytes = 4 << 20,
	.connection_bytes = 8 << 20,
	.bind_timeout = 30 * 1000000000ull,
	.fragment_timeout = 60 * 1000000000ull,
};

struct rpccancel_server_limits rpcc_server_limits(void)
{
	struct rpccancel_server_limits copy;

	pthread_mutex_lock(&limits_lock);
	copy = limits;
	pthread_mutex_unlock(&limits_lock);
	return copy;
}

#define CHANGE(new, field)                           \
	do {                                         \
		if ((new)->field)                    \
			limits.field = (new)->field; \
	} while (0)

EXPORT RPC_STATUS
rpccancel_server_set_limits(const struct rpccancel_server_limits *new)
{
	RPC_STATUS status;

	if (!new)
		return RPC_S_INVALID_ARG;
	status = rpcc_check_size(new, new->size, sizeof(*new));
	if (status != RPC_S_OK)
		return status;
	pthread_mutex_lock(&limits_lock);
	CHANGE(new, connections);
	CHANGE(new, queued_calls);
	CHANGE(new, calls_per_connection);
	CHANGE(new, call_bytes);
	CHANGE(new, connection_bytes);
	CHANGE(new, bind_timeout);
	CHANGE(new, fragment_timeout);
	CHANGE(new, idle_timeout);
	pthread_mutex_unlock(&limits_lock);
	return RPC_S_OK;
}

/*
 * Endpoints in loops. What happens in a loop's thread takes no lock of ours.
 */

static const struct rpcc_server_protocol *
protocol_of(const struct endpoint *endpoint)
{
	return endpoint->listener.protseq->protocol == RPCC_CN
		       ? &rpcc_cn_server
		       : &rpcc_dg_server;
}

static void close_sockets(void *arg)
{
	struct endpoint *endpoint = arg;

	while (endpoint->open)
		protocol_of(endpoint)->close(endpoint->state[--endpoint->open]);
}

struct opening {
	struct endpoint *endpoint;
	RPC_STATUS status;
};

static void open_sockets(void *arg)
{
	struct opening *opening = arg;
	struct endpoint *endpoint = opening->endpoint;
	unsigned int i;

	for (i = 0; i < endpoint->listener.fd_count; i++) {
		opening->status = protocol_of(endpoint)->open(
			endpoint->loop, &endpoint->listener,
			endpoint->listener.fd[i], &endpoint->state[i]);
		if (opening->status != RPC_S_OK) {
			close_sockets(endpoint);
			return;
		}
		endpoint->open++;
	}
}

static RPC_STATUS open_endpoint(struct endpoint *endpoint)
{
	struct opening opening = { .endpoint = endpoint };

	endpoint->loop = rpcc_loop_next();
	rpcc_loop_call(endpoint->loop, open_sockets, &opening);
	if (opening.status != RPC_S_OK)
		endpoint->loop = NULL;
	return opening.status;
}

static void close_endpoints(void)
{
	struct endpoint *i;

	for (i = server.endpoints; i; i = i->next) {
		if (i->loop)
			rpcc_loop_call(i->loop, close_sockets, i);
		i->loop = NULL;
	}
}

/* With the lock, for which a stub might wait: so none is left, nor can begin. */
static void stop_serving(void)
{
	close_endpoints();
	rpcc_executor_stop();
	rpcc_loops_stop();
	server.serving = false;
}

static RPC_STATUS start_serving(void)
{
	struct endpoint *i;
	RPC_STATUS status;

	if (server.serving)
		return RPC_S_OK;
	status = rpcc_loops_start();
	if (status != RPC_S_OK)
		return status;
	rpcc_executor_start(0, RPC_C_LISTEN_MAX_CALLS_DEFAULT);
	server.serving = true;
	for (i = server.endpoints; i && status == RPC_S_OK; i = i->next)
		status = open_endpoint(i);
	if (status == RPC_S_OK)
		rpcc_interfaces_open();
	else
		stop_serving();
	return status;
}

/* For an interface that listens by itself. */
RPC_STATUS rpcc_server_serve(void)
{
	RPC_STATUS status;

	pthread_mutex_lock(&server.lock);
	status = start_serving();
	pthread_mutex_unlock(&server.lock);
	return status;
}

/*
 * fork(2).
 */

static void fork_prepare(void)
{
	pthread_mutex_lock(&server.lock);
	pthread_mutex_lock(&limits_lock);
	rpcc_interfaces_fork_prepare();
}

static void fork_parent(void)
{
	rpcc_interfaces_fork_parent();
	pthread_mutex_unlock(&limits_lock);
	pthread_mutex_unlock(&server.lock);
}

static void fork_child(void)
{
	struct endpoint *i;

	rpcc_interfaces_fork_child();
	rpcc_executor_fork_child();
	rpcc_loops_fork_child();
	if (rpcc_cn_server.fork_child)
		rpcc_cn_server.fork_child();
	if (rpcc_dg_server.fork_child)
		rpcc_dg_server.fork_child();
	for (i = server.endpoints; i; i = i->next) {
		i->loop = NULL;
		i->open = 0;
	}
	server.state = IDLE;
	server.waiter = false;
	server.serving = false;
	pthread_cond_init(&server.changed, NULL);
	pthread_mutex_unlock(&limits_lock);
	pthread_mutex_unlock(&server.lock);
}

RPCC_AT_FORK(RPCC_FORK_SERVER, fork_prepare, fork_parent, fork_child);

/* The management interface may have to be registered again. */
RPC_STATUS rpcc_server_prepare(void)
{
	RPC_STATUS status = rpcc_status(rpcc_fork_error());

	return status == RPC_S_OK ? rpcc_mgmt_register() : status;
}

static RPC_STATUS add_endpoint(struct endpoint *endpoint)
{
	RPC_STATUS status = RPC_S_OK;

	pthread_mutex_lock(&server.lock);
	if (server.serving)
		status = open_endpoint(endpoint);
	if (status == RPC_S_OK) {
		endpoint->next = server.endpoints;
		server.endpoints = endpoint;
	}
	pthread_mutex_unlock(&server.lock);
	return status;
}

static RPC_STATUS use_protseq(const char *name, unsigned int backlog,
			      const char *text)
{
	const struct rpcc_protseq *protseq;
	struct endpoint *endpoint;
	RPC_STATUS status;

	protseq = rpcc_protseq_find(name, &status);
	if (!protseq)
		return status;
	status = rpcc_server_prepare();
	if (status != RPC_S_OK)
		return status;
	endpoint = calloc(1, sizeof(*endpoint));
	if (!endpoint)
		return RPC_S_OUT_OF_MEMORY;
	status = protseq->listen(text, backlog, &endpoint->listener);
	if (status != RPC_S_OK)
		goto fail;
	status = add_endpoint(endpoint);
	if (status == RPC_S_OK)
		return RPC_S_OK;
	rpcc_listener_close(&endpoint->listener);
fail:
	free(endpoint);
	return status;
}

/* Access is the business of the socket's file here: there are no descriptors. */
EXPORT RPC_STATUS RpcServerUseProtseqEp(RPC_CSTR Protseq, unsigned int MaxCalls,
					RPC_CSTR Endpoint,
					void *SecurityDescriptor)
{
	KEEP_ERRNO();

	if (!Protseq)
		return RPC_S_INVALID_RPC_PROTSEQ;
	if (!Endpoint)
		return RPC_S_INVALID_ENDPOINT_FORMAT;
	if (SecurityDescriptor)
		return RPC_S_INVALID_SECURITY_DESC;
	return use_protseq((const char *)Protseq, MaxCalls,
			   (const char *)Endpoint);
}

EXPORT RPC_STATUS RpcServerUseProtseq(RPC_CSTR Protseq, unsigned int MaxCalls,
				      void *SecurityDescriptor)
{
	KEEP_ERRNO();

	if (!Protseq)
		return RPC_S_INVALID_RPC_PROTSEQ;
	if (SecurityDescriptor)
		return RPC_S_INVALID_SECURITY_DESC;
	return use_protseq((const char *)Protseq, MaxCalls, NULL);
}

/*
 * Bindings: one for each endpoint, without an address, which is this machine.
 */

static RPC_STATUS bind_endpoint(const struct endpoint *endpoint,
				RPC_BINDING_HANDLE *binding)
{
	RPC_STATUS status;
	RPC_CSTR text;

	status = RpcStringBindingCompose(
		NULL, (RPC_CSTR)endpoint->listener.protseq->name, NULL,
		(RPC_CSTR)endpoint->listener.endpoint, NULL, &text);
	if (status != RPC_S_OK)
		return status;
	status = RpcBindingFromStringBinding(text, binding);
	RpcStringFree(&text);
	return status;
}

static RPC_STATUS list_bindings(RPC_BINDING_VECTOR **vector)
{
	const struct endpoint *i;
	RPC_STATUS status = RPC_S_OK;
	RPC_BINDING_VECTOR *list;
	size_t count = 0;

	for (i = server.endpoints; i; i = i->next)
		count++;
	if (!count)
		return RPC_S_NO_BINDINGS;
	list = calloc(1, sizeof(*list) + count * sizeof(list->BindingH[0]));
	if (!list)
		return RPC_S_OUT_OF_MEMORY;
	for (i = server.endpoints; i && status == RPC_S_OK; i = i->next) {
		status = bind_endpoint(i, &list->BindingH[list->Count]);
		if (status == RPC_S_OK)
			list->Count++;
	}
	if (status != RPC_S_OK)
		RpcBindingVectorFree(&list);
	else
		*vector = list;
	return status;
}

EXPORT RPC_STATUS RpcServerInqBindings(RPC_BINDING_VECTOR **BindingVector)
{
	RPC_STATUS status;
	KEEP_ERRNO();

	if (!BindingVector)
		return RPC_S_INVALID_ARG;
	*BindingVector = NULL;
	pthread_mutex_lock(&server.lock);
	status = list_bindings(BindingVector);
	pthread_mutex_unlock(&server.lock);
	return status;
}

/*
 * Listening.
 */

static RPC_STATUS start_listening(unsigned int min, unsigned int max)
{
	RPC_STATUS status;

	if (!server.endpoints)
		return RPC_S_NO_PROTSEQS_REGISTERED;
	if (server.state == LISTENING || server.waiter)
		return RPC_S_ALREADY_LISTENING;
	status = start_serving();
	if (status != RPC_S_OK)
		return status;
	rpcc_executor_start(min, max);
	rpcc_interfaces_listen(true);
	server.state = LISTENING;
	return RPC_S_OK;
}

/* Under the lock, which is given up while there are calls. */
static void end_listening(void)
{
	bool all, over;

	while (server.state == LISTENING)
		pthread_cond_wait(&server.changed, &server.lock);
	/* Stubs that are left may need the lock, with which the end waits. */
	do {
		all = !rpcc_interfaces_autolisten();
		pthread_mutex_unlock(&server.lock);
		rpcc_interfaces_wait(all);
		pthread_mutex_lock(&server.lock);
		over = all ? rpcc_interfaces_close()
			   : rpcc_interfaces_autolisten();
	} while (!over);
	if (all)
		stop_serving();
	server.state = IDLE;
	server.waiter = false;
}

static RPC_STATUS wait_listen(void)
{
	if (server.state == IDLE)
		return RPC_S_NOT_LISTENING;
	if (server.waiter)
		return RPC_S_ALREADY_LISTENING;
	server.waiter = true;
	end_listening();
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcServerListen(unsigned int MinimumCallThreads,
				  unsigned int MaxCalls, unsigned int DontWait)
{
	RPC_STATUS status;
	KEEP_ERRNO();

	if (!MaxCalls || MaxCalls < MinimumCallThreads)
		return RPC_S_MAX_CALLS_TOO_SMALL;
	pthread_mutex_lock(&server.lock);
	status = start_listening(MinimumCallThreads, MaxCalls);
	if (status == RPC_S_OK && !DontWait)
		status = wait_listen();
	pthread_mutex_unlock(&server.lock);
	return status;
}

EXPORT RPC_STATUS RpcMgmtWaitServerListen(void)
{
	RPC_STATUS status;
	KEEP_ERRNO();

	pthread_mutex_lock(&server.lock);
	status = wait_listen();
	pthread_mutex_unlock(&server.lock);
	return status;
}

RPC_STATUS rpcc_server_stop_listening(void)
{
	RPC_STATUS status = RPC_S_NOT_LISTENING;

	pthread_mutex_lock(&server.lock);
	if (server.state == LISTENING) {
		rpcc_interfaces_listen(false);
		server.state = STOPPED;
		pthread_cond_broadcast(&server.changed);
		status = RPC_S_OK;
	}
	pthread_mutex_unlock(&server.lock);
	return status;
}

RPC_STATUS rpcc_server_is_listening(void)
{
	bool listening;

	pthread_mutex_lock(&server.lock);
	listening = server.state == LISTENING;
	pthread_mutex_unlock(&server.lock);
	return listening ? RPC_S_OK : RPC_S_NOT_LISTENING;
}
