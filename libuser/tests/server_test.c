// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Servers: endpoints, interfaces, listening and its end, limits, asynchronous
 * calls. What happens on the wire is tested by cn_server_test.c.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "rpc_server.h"

static RPC_SERVER_INTERFACE other_if = TEST_INTERFACE(1);
static RPC_SERVER_INTERFACE auto_if = TEST_INTERFACE(2);

static int port;
static struct pdu p;

/* What OP_SILENT does for the time of a test, while the server runs. */
static _Atomic(RPC_DISPATCH_FUNCTION) special = stub_silent;

static void stub_special(RPC_MESSAGE *message)
{
	atomic_load (&special)(message);
}

static void arguments_are_checked(void)
{
	UUID type = TEST_GUID(0);
	RPC_SERVER_INTERFACE bad = TEST_INTERFACE(3);
	RPC_IF_ID id;

	is(RpcServerListen(1, 0, 1), RPC_S_MAX_CALLS_TOO_SMALL, "no calls");
	is(RpcServerListen(2, 1, 1), RPC_S_MAX_CALLS_TOO_SMALL,
	   "fewer calls than threads");
	is(RpcServerListen(1, 20, 1), RPC_S_NO_PROTSEQS_REGISTERED,
	   "listen without an endpoint");
	is(RpcMgmtWaitServerListen(), RPC_S_NOT_LISTENING,
	   "wait without listening");
	is(RpcMgmtStopServerListening(NULL), RPC_S_NOT_LISTENING,
	   "stop without listening");
	is(RpcMgmtIsServerListening(NULL), RPC_S_NOT_LISTENING,
	   "it is not listening");
	is(RpcServerUseProtseq((RPC_CSTR) "ncacn_none", 1, NULL),
	   RPC_S_INVALID_RPC_PROTSEQ, "no such protocol sequence");
	is(RpcServerUseProtseq((RPC_CSTR) "ncacn_ip_tcp", 1, &type),
	   RPC_S_INVALID_SECURITY_DESC, "a security descriptor");
	is(RpcServerUseProtseqEp((RPC_CSTR) "ncacn_ip_tcp", 1, NULL, NULL),
	   RPC_S_INVALID_ENDPOINT_FORMAT, "no endpoint");
	is(RpcServerRegisterIf(NULL, NULL, NULL), RPC_S_INVALID_ARG,
	   "no interface");
	is(RpcServerRegisterIf(&test_if, &type, NULL), RPC_S_CANNOT_SUPPORT,
	   "a manager for one type");
	bad.Length = 4;
	is(RpcServerRegisterIf(&bad, NULL, NULL), RPC_S_INVALID_ARG,
	   "an interface of another size");
	is(RpcServerRegisterIfEx(&test_if, NULL, NULL, 0x80000000, 1, NULL),
	   RPC_S_INVALID_ARG, "an unknown flag");
	is(RpcIfInqId(&test_if, &id), RPC_S_OK, "RpcIfInqId");
	ok(id.VersMajor == 1 && id.VersMinor == 2 && id.Uuid.Data2 == 0x5566,
	   "names the interface");
	is(RpcServerTestCancel(NULL), RPC_S_NO_CALL_ACTIVE, "no call to test");
	is(rpccancel_server_cancel_fd(NULL, &port), RPC_S_NO_CALL_ACTIVE,
	   "nor to have a descriptor of");
}

static void interfaces_are_registered_once(void)
{
	is(RpcServerRegisterIf(&test_if, NULL, NULL), RPC_S_OK, "register");
	is(RpcServerRegisterIf(&test_if, NULL, NULL), RPC_S_ALREADY_REGISTERED,
	   "register again");
	is(RpcServerUnregisterIf(&other_if, NULL, 0), RPC_S_UNKNOWN_IF,
	   "unregister what is not");
	is(RpcServerUnregisterIf(&test_if, NULL, 1), RPC_S_OK, "unregister");
	is(RpcServerRegisterIf(&test_if, NULL, NULL), RPC_S_OK,
	   "register once more");
}

static void endpoints_have_bindings(void)
{
	RPC_BINDING_VECTOR *vector;
	char text[20];

	is(RpcServerInqBindings(&vector), RPC_S_NO_BINDINGS, "no endpoint");
	port = use_tcp();
	ok(port > 0, "a port of the system's choice");
	snprintf(text, sizeof(text), "%d", port);
	is(RpcServerUseProtseqEp((RPC_CSTR) "ncacn_ip_tcp", 1, (RPC_CSTR)text,
				 NULL),
	   RPC_S_DUPLICATE_ENDPOINT, "the same port again");
}

static void listening_ends_and_begins_again(void)
{
	int fd, i;

	for (i = 0; i < 3; i++) {
		is(RpcServerListen(1, 20, 1), RPC_S_OK, "listen");
		is(RpcServerListen(1, 20, 1), RPC_S_ALREADY_LISTENING,
		   "listen twice");
		is(RpcMgmtIsServerListening(NULL), RPC_S_OK, "it is listening");
		fd = client(port, 0);
		ok(echoes(fd, 2), "a call");
		stop_server();
		ok(is_closed(fd), "connections are closed");
		close(fd);
	}
}

static void *listen_thread(void *status)
{
	*(RPC_STATUS *)status = RpcServerListen(1, 20, 0);
	return NULL;
}

static void *stop_thread(void *fd)
{
	struct pdu q = { .size = 0 };

	request(*(int *)fd, 3, OP_HOLD, "x", 1);
	receive(*(int *)fd, &q);
	return (void *)(intptr_t)is_response(&q, 3, "x", 1);
}

/* The stub that stops the server may be one of its own. */
static void stub_stop(RPC_MESSAGE *message)
{
	reply_u32(message, (uint32_t)RpcMgmtStopServerListening(NULL));
}

static void wait_listening(void)
{
	int i;

	for (i = 0; i < WATCHDOG_MS; i++) {
		if (RpcMgmtIsServerListening(NULL) == RPC_S_OK)
			return;
		nap();
	}
}

/* As any client does, over the wire. */
static RPC_STATUS asked_from_outside(void)
{
	RPC_BINDING_HANDLE binding;
	RPC_STATUS status;
	char text[40];

	snprintf(text, sizeof(text), "ncacn_ip_tcp:127.0.0.1[%d]", port);
	status = RpcBindingFromStringBinding((RPC_CSTR)text, &binding);
	if (status != RPC_S_OK)
		return status;
	status = RpcMgmtIsServerListening(binding);
	RpcBindingFree(&binding);
	return status;
}

static void calls_in_progress_complete(void)
{
	RPC_STATUS status = -1;
	pthread_t listener, caller;
	void *answered;
	int fd, other;

	atomic_store(&special, stub_stop);
	pthread_create(&listener, NULL, listen_thread, &status);
	wait_listening();
	fd = client(port, 0);
	other = client(port, 0);
	pthread_create(&caller, NULL, stop_thread, &fd);
	wait_sem(&entered);
	is(asked_from_outside(), RPC_S_OK, "a client sees it listening");
	request(other, 2, OP_SILENT, "", 0);
	receive(other, &p);
	is(u32(&p, 24), RPC_S_OK, "a stub stops its server");
	is(RpcMgmtIsServerListening(NULL), RPC_S_NOT_LISTENING,
	   "it is not listening any more");
	is(asked_from_outside(), RPC_S_NOT_LISTENING, "as a client sees");
	request(other, 3, OP_ECHO, "x", 1);
	receive(other, &p);
	ok(is_fault(&p, 3, WHOLE | DNE, 0, RPC_S_SERVER_UNAVAILABLE),
	   "new calls are refused");
	is(RpcMgmtWaitServerListen(), RPC_S_ALREADY_LISTENING,
	   "somebody waits already");
	post(&released);
	pthread_join(caller, &answered);
	ok(answered, "the call in progress is answered");
	pthread_join(listener, NULL);
	is(status, RPC_S_OK, "then RpcServerListen() returns");
	atomic_store(&special, stub_silent);
	close(fd);
	close(other);
}

/* Each function of the management's with the handle of its own call. */
static void stub_manages(RPC_MESSAGE *message)
{
	uint32_t *status = (uint32_t *)reply(message, 4 * sizeof(*status));
	RPC_IF_ID_VECTOR *ids;

	status[0] = (uint32_t)RpcMgmtInqIfIds(message->Handle, &ids);
	status[1] = (uint32_t)RpcMgmtIsServerListening(message->Handle);
	status[2] = (uint32_t)RpcMgmtStopServerListening(message->Handle);
	status[3] = message->Buffer == status;
}

static void served_calls_are_not_bindings(void)
{
	int fd;

	atomic_store(&special, stub_manages);
	is(RpcServerListen(1, 20, 1), RPC_S_OK, "listen");
	fd = client(port, 0);
	request(fd, 2, OP_SILENT, "", 0);
	receive(fd, &p);
	is(u32(&p, 24), RPC_S_WRONG_KIND_OF_BINDING,
	   "RpcMgmtInqIfIds() of a call that is being served");
	is(u32(&p, 28), RPC_S_WRONG_KIND_OF_BINDING,
	   "RpcMgmtIsServerListening()");
	is(u32(&p, 32), RPC_S_WRONG_KIND_OF_BINDING,
	   "RpcMgmtStopServerListening()");
	is(u32(&p, 36), 1, "the stub's answer is left alone");
	close(fd);
	stop_server();
	atomic_store(&special, stub_silent);
}

static void stub_twice(RPC_MESSAGE *message)
{
	memset(reply(message, 10000), 0x55, 10000);
	reply_u32(message, 7);
}

static void answers_may_be_begun_again(void)
{
	uint32_t answer = 7;
	int fd;

	atomic_store(&special, stub_twice);
	is(RpcServerListen(1, 20, 1), RPC_S_OK, "listen");
	fd = client(port, 0);
	request(fd, 2, OP_SILENT, "", 0);
	receive(fd, &p);
	ok(is_response(&p, 2, &answer, sizeof(answer)),
	   "the last buffer that a stub gets has the answer");
	close(fd);
	stop_server();
	atomic_store(&special, stub_silent);
}

static void stopping_can_be_taken_back(void)
{
	int fd;

	is(RpcServerListen(1, 20, 1), RPC_S_OK, "listen");
	fd = client(port, 0);
	is(RpcMgmtStopServerListening(NULL), RPC_S_OK, "stop");
	is(RpcServerListen(1, 20, 1), RPC_S_OK, "listen, nobody has waited");
	ok(echoes(fd, 2), "the connection is still there");
	close(fd);
}

static void *unregister_thread(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)RpcServerUnregisterIf(&other_if, NULL, 1);
}

static void unregistering_waits(void)
{
	int fd = connect_to(port);
	pthread_t thread;
	void *status;

	is(RpcServerRegisterIf(&other_if, NULL, NULL), RPC_S_OK, "register");
	make_bind(&p, BIND, WHOLE | MPX, 0, 0, &other_if.InterfaceId, &ndr);
	send_pdu(fd, &p);
	receive(fd, &p);
	request(fd, 2, OP_HOLD, "x", 1);
	wait_sem(&entered);
	pthread_create(&thread, NULL, unregister_thread, NULL);
	do {
		request(fd, 3, OP_ECHO, "x", 1);
		receive(fd, &p);
	} while (pdu_type(&p) == RESPONSE);
	ok(is_fault(&p, 3, WHOLE | DNE, 0, UNK_IF), "unknown at once");
	ok(pthread_tryjoin_np(thread, &status), "a call is in progress");
	post(&released);
	pthread_join(thread, &status);
	is((intptr_t)status, RPC_S_OK, "it has ended");
	receive(fd, &p);
	ok(is_response(&p, 2, "x", 1), "with an answer");
	close(fd);
}

static void interfaces_may_listen_by_themselves(void)
{
	int fd = connect_to(port);

	is(RpcServerRegisterIfEx(&auto_if, NULL, NULL, RPC_IF_AUTOLISTEN, 10,
				 NULL),
	   RPC_S_OK, "register with RPC_IF_AUTOLISTEN");
	make_bind(&p, BIND, WHOLE, 0, 0, &auto_if.InterfaceId, &ndr);
	send_pdu(fd, &p);
	receive(fd, &p);
	ok(echoes(fd, 2), "a call without listening");
	is(RpcServerListen(1, 20, 1), RPC_S_OK, "listen");
	stop_server();
	ok(echoes(fd, 3), "and after it");
	is(RpcServerUnregisterIf(&auto_if, NULL, 1), RPC_S_OK, "unregister");
	is(RpcServerListen(1, 20, 1), RPC_S_OK, "listen");
	stop_server();
	ok(is_closed(fd), "now the end is the end");
	close(fd);
}

static sem_t ask;

static void stub_asks(RPC_MESSAGE *message)
{
	post(&entered);
	wait_sem(&ask);
	reply_u32(message, (uint32_t)RpcMgmtIsServerListening(NULL));
}

/* The end has begun to wait for all but the calls of auto_if, then for those. */
static void unregistered_while_the_server_ends(void)
{
	RPC_STATUS status = -1;
	int fd, other, i;
	pthread_t listener;

	atomic_store(&special, stub_asks);
	sem_init(&ask, 0, 0);
	is(RpcServerRegisterIfEx(&auto_if, NULL, NULL, RPC_IF_AUTOLISTEN, 10,
				 NULL),
	   RPC_S_OK, "register with RPC_IF_AUTOLISTEN");
	pthread_create(&listener, NULL, listen_thread, &status);
	wait_listening();
	fd = client(port, 0);
	request(fd, 2, OP_HOLD, "x", 1);
	wait_sem(&entered);
	other = connect_to(port);
	make_bind(&p, BIND, WHOLE, 0, 0, &auto_if.InterfaceId, &ndr);
	send_pdu(other, &p);
	receive(other, &p);
	request(other, 2, OP_SILENT, "", 0);
	wait_sem(&entered);
	is(RpcMgmtStopServerListening(NULL), RPC_S_OK, "stop");
	for (i = 0; i < 50; i++)
		nap();
	is(RpcServerUnregisterIf(&auto_if, NULL, 0), RPC_S_OK, "unregister");
	post(&released);
	receive(fd, &p);
	ok(is_response(&p, 2, "x", 1), "the one call is answered");
	for (i = 0; i < 50; i++)
		nap();
	post(&ask);
	receive(other, &p);
	is(u32(&p, 24), RPC_S_NOT_LISTENING, "the other may ask what it likes");
	pthread_join(listener, NULL);
	is(status, RPC_S_OK, "then the server ends");
	atomic_store(&special, stub_silent);
	close(fd);
	close(other);
}

static void *register_thread(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)RpcServerRegisterIfEx(
		&auto_if, NULL, NULL, RPC_IF_AUTOLISTEN, 10, NULL);
}

/*
 * What a server does when it ends, after it has seen that there are no calls, and
 * before its threads end: see the Makefile.
 */
void __real_rpcc_executor_stop(void);
void __wrap_rpcc_executor_stop(void);

static void (*before_stop)(void);

void __wrap_rpcc_executor_stop(void)
{
	if (before_stop)
		before_stop();
	__real_rpcc_executor_stop();
}

static pthread_t registering;
static int late_fd;

static bool is_registered(void)
{
	RPC_IF_ID_VECTOR *ids;
	bool found = false;
	unsigned int i;

	if (RpcMgmtInqIfIds(NULL, &ids) != RPC_S_OK)
		return false;
	for (i = 0; i < ids->Count; i++)
		found |= !memcmp(&ids->IfId[i]->Uuid,
				 &auto_if.InterfaceId.SyntaxGUID, sizeof(UUID));
	RpcIfIdVectorFree(&ids);
	return found;
}

static void call_late(void)
{
	before_stop = NULL;
	pthread_create(&registering, NULL, register_thread, NULL);
	while (!is_registered())
		nap();
	make_bind(&p, ALTER, WHOLE, 0, 1, &auto_if.InterfaceId, &ndr);
	send_pdu(late_fd, &p);
	receive(late_fd, &p);
	make_request(&p, WHOLE, 3, 1, OP_SILENT, "", 0);
	send_pdu(late_fd, &p);
	receive(late_fd, &p);
	if (!ok(is_fault(&p, 3, WHOLE | DNE, 1, RPC_S_SERVER_UNAVAILABLE),
		"a call is refused when the server has begun to end"))
		exit(tap_end()); /* the stub waits for the server, which waits */
}

static void registered_while_the_server_ends(void)
{
	void *status;

	atomic_store(&special, stub_asks);
	sem_init(&ask, 0, 1);
	is(RpcServerListen(1, 20, 1), RPC_S_OK, "listen");
	late_fd = client(port, 0);
	before_stop = call_late;
	stop_server();
	ok(is_closed(late_fd), "the connection is closed");
	close(late_fd);
	pthread_join(registering, &status);
	is((intptr_t)status, RPC_S_OK,
	   "but what was registered meanwhile with RPC_IF_AUTOLISTEN");
	late_fd = connect_to(port);
	make_bind(&p, BIND, WHOLE, 0, 0, &auto_if.InterfaceId, &ndr);
	send_pdu(late_fd, &p);
	receive(late_fd, &p);
	ok(echoes(late_fd, 2), "is served");
	close(late_fd);
	is(RpcServerUnregisterIf(&auto_if, NULL, 1), RPC_S_OK, "unregister");
	atomic_store(&special, stub_silent);
}

static void unregistering_all(void)
{
	is(RpcServerRegisterIf(&other_if, NULL, NULL), RPC_S_OK, "register");
	is(RpcServerUnregisterIf(NULL, NULL, 1), RPC_S_OK, "unregister all");
	is(RpcServerUnregisterIf(NULL, NULL, 1), RPC_S_UNKNOWN_IF,
	   "there are none left");
	is(RpcServerRegisterIf(&test_if, NULL, NULL), RPC_S_OK, "register");
}

/*
 * Asynchronous calls.
 */

/* Begins an asynchronous call, whose stub has then returned, or nearly so. */
static RPC_ASYNC_STATE *begin_async(int fd, uint32_t call, uint32_t which)
{
	request(fd, call, OP_ASYNC, &which, sizeof(which));
	wait_sem(&entered);
	return &async_states[which];
}

static void async_calls_are_completed(void)
{
	int fd = client(port, MPX);
	RPC_ASYNC_STATE *async_state = begin_async(fd, 2, 0);

	ok(echoes(fd, 3), "the stub has returned, and others run");
	is(RpcServerTestCancel(RpcAsyncGetCallHandle(async_state)),
	   RPC_S_CALL_IN_PROGRESS, "it is not cancelled");
	bare(fd, CO_CANCEL, 2);
	ok(echoes(fd, 4), "the cancel was read");
	is(RpcServerTestCancel(RpcAsyncGetCallHandle(async_state)), RPC_S_OK,
	   "now it is");
	memcpy(reply(async_state->UserInfo, 4), "done", 4);
	is(RpcAsyncCompleteCall(async_state, NULL), RPC_S_OK, "complete");
	receive(fd, &p);
	ok(is_response(&p, 2, "done", 4), "another thread has answered");
	is(pdu_cancels(&p), 1, "with the cancel counted");
	is(RpcAsyncCompleteCall(async_state, NULL), RPC_S_INVALID_ASYNC_HANDLE,
	   "only once");

	async_state = begin_async(fd, 5, 1);
	is(RpcAsyncAbortCall(async_state, RPC_S_CALL_CANCELLED), RPC_S_OK,
	   "abort");
	receive(fd, &p);
	ok(is_fault(&p, 5, WHOLE, 0, FAULT_CANCEL), "the client is told why");
	close(fd);
}

static void async_calls_are_orphaned(void)
{
	struct pollfd cancelled = { .events = POLLIN };
	int fd = client(port, MPX);
	RPC_ASYNC_STATE *async_state = begin_async(fd, 2, 2);

	is(rpccancel_server_cancel_fd(RpcAsyncGetCallHandle(async_state),
				      &cancelled.fd),
	   RPC_S_OK, "a descriptor for its cancel");
	close(fd);
	is(poll(&cancelled, 1, WATCHDOG_MS), 1, "the client has gone");
	is(RpcAsyncCompleteCall(async_state, NULL), RPC_S_CALL_CANCELLED,
	   "nobody takes the answer");
}

/* A state that nobody could ever complete the call with. */
static void stub_uninitialised(RPC_MESSAGE *message)
{
	RPC_ASYNC_STATE state;

	memset(&state, 0x55, sizeof(state));
	reply_u32(message, (uint32_t)I_RpcAsyncSetHandle(message, &state));
}

static void async_states_are_checked(void)
{
	int fd = client(port, 0);

	atomic_store(&special, stub_uninitialised);
	request(fd, 2, OP_SILENT, "", 0);
	receive(fd, &p);
	is(u32(&p, 24), RPC_S_INVALID_ASYNC_HANDLE,
	   "a state that was not initialised");
	atomic_store(&special, stub_silent);
	close(fd);
}

/*
 * Limits.
 */

#define MS 1000000ull

static struct rpccancel_server_limits limits(void)
{
	return (struct rpccancel_server_limits){
		.size = sizeof(struct rpccancel_server_limits),
	};
}

static void set(const struct rpccancel_server_limits *l, const char *what)
{
	is(rpccancel_server_set_limits(l), RPC_S_OK, what);
}

static void calls_are_limited(void)
{
	struct rpccancel_server_limits l = limits();
	int fd, i;

	is(rpccancel_server_set_limits(NULL), RPC_S_INVALID_ARG, "no limits");
	l.calls_per_connection = 3;
	set(&l, "three calls per connection");
	fd = client(port, MPX);
	for (i = 0; i < 3; i++)
		request(fd, 10 + i, OP_WAIT, "", 0);
	for (i = 0; i < 3; i++)
		wait_sem(&entered);
	request(fd, 20, OP_ECHO, "x", 1);
	receive(fd, &p);
	ok(is_fault(&p, 20, WHOLE | DNE, 0, TOO_BUSY), "a fourth is refused");
	bare(fd, CO_CANCEL, 11);
	receive(fd, &p);
	is(pdu_call(&p), 11, "a cancel gets through all the same");
	bare(fd, ORPHANED, 10);
	bare(fd, ORPHANED, 12);
	ok(echoes(fd, 21), "and makes room");
	close(fd);
	l.calls_per_connection = 256;
	set(&l, "back");
}

static void queued_calls_are_limited(void)
{
	struct rpccancel_server_limits l = limits();
	int fd = client(port, MPX), i;

	l.queued_calls = 2;
	set(&l, "two queued calls");
	for (i = 0; i < 20; i++)
		request(fd, 100 + i, OP_HOLD, "x", 1);
	for (i = 0; i < 20; i++)
		wait_sem(&entered);
	for (i = 0; i < 3; i++)
		request(fd, 200 + i, OP_SILENT, "x", 1);
	receive(fd, &p);
	ok(is_fault(&p, 202, WHOLE | DNE, 0, TOO_BUSY), "a third is refused");
	for (i = 0; i < 20; i++)
		post(&released);
	for (i = 0; i < 22; i++)
		receive(fd, &p);
	is(pdu_type(&p), RESPONSE, "all others are answered");
	close(fd);
	l.queued_calls = 4096;
	set(&l, "back");
}

static void bytes_are_limited(void)
{
	struct rpccancel_server_limits l = limits();
	static uint8_t stub[4000];
	int fd;

	l.connection_bytes = 10000;
	set(&l, "10000 bytes per connection");
	fd = client(port, MPX);
	make_request(&p, FIRST, 2, 0, OP_SILENT, stub, sizeof(stub));
	send_pdu(fd, &p);
	make_request(&p, FIRST, 3, 0, OP_SILENT, stub, sizeof(stub));
	send_pdu(fd, &p);
	make_request(&p, FIRST, 4, 0, OP_SILENT, stub, sizeof(stub));
	send_pdu(fd, &p);
	receive(fd, &p);
	ok(is_fault(&p, 4, WHOLE | DNE, 0, TOO_BUSY), "too many bytes");
	make_request(&p, 0, 3, 0, OP_SILENT, stub, sizeof(stub));
	send_pdu(fd, &p);
	receive(fd, &p);
	ok(is_fault(&p, 3, WHOLE | DNE, 0, TOO_BUSY), "also in the middle");
	make_request(&p, LAST, 3, 0, OP_SILENT, stub, sizeof(stub));
	send_pdu(fd, &p);
	make_request(&p, LAST, 2, 0, OP_SILENT, "", 0);
	send_pdu(fd, &p);
	receive(fd, &p);
	ok(is_response(&p, 2, "", 0), "the request that is left completes");
	close(fd);
	l.connection_bytes = 8 << 20;
	set(&l, "back");
}

/* That earlier clients have closed, the server may have yet to see. */
static int client_at_last(void)
{
	int fd = connect_to(port), i;

	for (i = 0; i < WATCHDOG_MS && !bind_with(fd, 0, false); i++) {
		close(fd);
		nap();
		fd = connect_to(port);
	}
	return fd;
}

static void connections_are_limited(void)
{
	struct rpccancel_server_limits l = limits();
	int fd[3], i;

	l.connections = 2;
	set(&l, "two connections");
	for (i = 0; i < 2; i++)
		fd[i] = client_at_last();
	fd[2] = connect_to(port);
	ok(is_closed(fd[2]), "a third is closed");
	ok(echoes(fd[0], 2) && echoes(fd[1], 2), "the others are served");
	l.connections = 16384;
	set(&l, "back");
	for (i = 0; i < 3; i++)
		close(fd[i]);
}

static void slow_clients_are_closed(void)
{
	struct rpccancel_server_limits l = limits();
	int fd;

	l.bind_timeout = 50 * MS;
	l.fragment_timeout = 50 * MS;
	set(&l, "short times");
	fd = connect_to(port);
	ok(is_closed(fd), "who does not bind is closed");
	close(fd);
	fd = client(port, 0);
	send_bytes(fd, "\5", 1);
	ok(is_closed(fd), "who does not finish a PDU");
	close(fd);
	fd = client(port, 0);
	make_request(&p, FIRST, 2, 0, OP_ECHO, "x", 1);
	send_pdu(fd, &p);
	ok(is_closed(fd), "who does not finish a request");
	close(fd);
	l.bind_timeout = 30000 * MS;
	l.fragment_timeout = 60000 * MS;
	l.idle_timeout = 50 * MS;
	set(&l, "idle clients");
	fd = client(port, MPX);
	request(fd, 2, OP_HOLD, "x", 1);
	wait_sem(&entered);
	ok(!readable(fd, 200), "who has a call is not idle");
	post(&released);
	receive(fd, &p);
	ok(is_response(&p, 2, "x", 1), "and is answered");
	ok(is_closed(fd), "who is idle is closed");
	close(fd);
	l.idle_timeout = RPCCANCEL_INFINITE;
	set(&l, "back");
}

static bool reads_answers(int fd, int count, int *refused)
{
	int answers = 0;

	for (*refused = 0; answers < count;
	     answers += !!(pdu_flags(&p) & LAST)) {
		receive(fd, &p);
		if (!p.size)
			return false;
		*refused += pdu_type(&p) == FAULT && fault_of(&p) == TOO_BUSY;
	}
	return true;
}

/* It asks, and reads later: it may not ask for more meanwhile. */
static void clients_that_read_late_are_refused(void)
{
	int fd = client(port, MPX), i, refused;
	uint32_t size = 4 << 20;

	for (i = 0; i < 4; i++)
		request(fd, 10 + i, OP_BIG, &size, 4);
	for (i = 0; i < 500; i++) {
		request(fd, 100 + i, OP_ECHO, "x", 1);
		nap();
	}
	ok(reads_answers(fd, 504, &refused), "all requests are answered");
	ok(refused, "some, that they are too many: %d", refused);
	ok(echoes(fd, 2), "who has read everything is welcome");
	close(fd);
}

/* Nor may it make the server say without end that it may not. */
static void clients_that_do_not_listen_are_closed(void)
{
	int fd = client(port, MPX), i;
	uint32_t size = 64 << 20;

	request(fd, 2, OP_BIG, &size, 4);
	ok(readable(fd, WATCHDOG_MS), "an answer is there, and is not read");
	for (i = 0; i < 1000000; i++) {
		struct pollfd closed = { .fd = fd, .events = POLLRDHUP };

		if (poll(&closed, 1, 0))
			break;
		request(fd, 3, OP_ECHO, "x", 1);
	}
	ok(i < 1000000, "closed after a number of refusals");
	close(fd);
}

/* Nothing is read: the server must not keep answers without end. */
static void clients_that_do_not_read_are_closed(void)
{
	struct pollfd closed = { .events = POLLRDHUP };
	struct rpccancel_server_limits l = limits();
	uint32_t size = 16 << 20;

	l.fragment_timeout = 50 * MS;
	set(&l, "a short time");
	closed.fd = client(port, MPX);
	request(closed.fd, 2, OP_BIG, &size, 4);
	is(poll(&closed, 1, WATCHDOG_MS), 1, "nothing moves: closed");
	close(closed.fd);
	l.fragment_timeout = 60000 * MS;
	set(&l, "back");
}

static char logged[200];
static sem_t was_logged;

static void keep_log(void *context, int level, const char *message)
{
	(void)context;
	if (level != RPCCANCEL_LOG_WARNING)
		return;
	snprintf(logged, sizeof(logged), "%s", message);
	post(&was_logged);
}

static void violations_are_logged(void)
{
	int fd;

	sem_init(&was_logged, 0, 0);
	rpccancel_set_log(keep_log, NULL);
	fd = connect_to(port);
	send_bytes(fd, "GET / HTTP/1.1\r\n\r\n", 18);
	ok(is_closed(fd), "a violation");
	close(fd);
	wait_sem(&was_logged);
	rpccancel_set_log(NULL, NULL);
	ok(strstr(logged, "127.0.0.1") && strstr(logged, "not a PDU"),
	   "is logged");
	printf("# %s\n", logged);
}

/*
 * Clients that do everything at once, while the server stops and listens.
 */

#define STRESS_MS 1500

static bool stress_over(const struct timespec *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end->tv_sec ||
	       (now.tv_sec == end->tv_sec && now.tv_nsec > end->tv_nsec);
}

static void one_connection(unsigned int *seed)
{
	struct pdu *q = malloc(sizeof(*q));
	int fd = connect_to(port), i, calls = rand_r(seed) % 20;
	uint32_t size = rand_r(seed) % 30000;

	q->big = false;
	make_bind(q, BIND, WHOLE | MPX, 0, 0, &test_if.InterfaceId, &ndr);
	send_pdu(fd, q);
	for (i = 0; i < calls; i++) {
		request(fd, 10 + i, rand_r(seed) % 2 ? OP_BIG : OP_ECHO, &size,
			4);
		if (rand_r(seed) % 2)
			bare(fd, CO_CANCEL, 10 + rand_r(seed) % 20);
		if (rand_r(seed) % 4 == 0)
			bare(fd, ORPHANED, 10 + rand_r(seed) % 20);
		if (rand_r(seed) % 2)
			recv(fd, q->b, sizeof(q->b), MSG_DONTWAIT);
	}
	if (rand_r(seed) % 2)
		shutdown(fd, SHUT_WR);
	close(fd);
	free(q);
}

static void *stress_thread(void *end)
{
	unsigned int seed = (unsigned int)(uintptr_t)pthread_self();

	while (!stress_over(end))
		one_connection(&seed);
	return NULL;
}

static void stress(void)
{
	struct timespec end;
	pthread_t thread[4];
	int i, rounds = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += STRESS_MS % 1000 * 1000000;
	end.tv_sec += STRESS_MS / 1000 + end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, stress_thread, &end);
	for (; !stress_over(&end); rounds++) {
		nap();
		RpcMgmtStopServerListening(NULL);
		if (rounds % 2)
			RpcMgmtWaitServerListen();
		RpcServerListen(rounds % 3, 4, 1);
	}
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	i = client_at_last();
	ok(echoes(i, 2), "the server survives %d stops", rounds);
	close(i);
}

/* The threads of the parent are not in it, nor is its listening. */
static void a_forked_child_starts_anew(void)
{
	int status = 0, fd = client(port, 0);
	pid_t pid = fork();

	if (!pid) {
		alarm(WATCHDOG_MS / 1000);
		if (RpcMgmtIsServerListening(NULL) != RPC_S_NOT_LISTENING ||
		    use_tcp() <= 0 || RpcServerListen(1, 4, 1))
			_exit(1);
		RpcMgmtStopServerListening(NULL);
		_exit(RpcMgmtWaitServerListen() ? 2 : 0);
	}
	waitpid(pid, &status, 0);
	is(status, 0, "a child can have a server of its own");
	ok(echoes(fd, 2), "and the parent goes on");
	close(fd);
}

int main(void)
{
	begin_server_tests();
	functions[OP_SILENT] = stub_special;
	arguments_are_checked();
	interfaces_are_registered_once();
	endpoints_have_bindings();
	listening_ends_and_begins_again();
	calls_in_progress_complete();
	interfaces_may_listen_by_themselves();
	unregistered_while_the_server_ends();
	registered_while_the_server_ends();
	unregistering_all();

	served_calls_are_not_bindings();
	answers_may_be_begun_again();
	stopping_can_be_taken_back();
	unregistering_waits();
	async_calls_are_completed();
	async_calls_are_orphaned();
	async_states_are_checked();
	calls_are_limited();
	queued_calls_are_limited();
	bytes_are_limited();
	connections_are_limited();
	slow_clients_are_closed();
	clients_that_read_late_are_refused();
	clients_that_do_not_listen_are_closed();
	clients_that_do_not_read_are_closed();
	violations_are_logged();
	stress();
	a_forked_child_starts_anew();
	stop_server();
	return tap_end();
}
