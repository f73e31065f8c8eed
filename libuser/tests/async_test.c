// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Asynchronous calls of a client, against servers that do what a script says;
 * with both I/O engines.
 */
#include <rpcasync.h>

#include "fake_server.h"

#define CALLS 20

/* One call, with all that belongs to it. */
struct async {
	RPC_ASYNC_STATE state;
	RPC_MESSAGE message;
	int event;
};

static void async_init(struct async *a)
{
	memset(a, 0, sizeof(*a));
	RpcAsyncInitializeHandle(&a->state, sizeof(a->state));
	a->event = eventfd(0, EFD_CLOEXEC);
	a->state.NotificationType = RpcNotificationTypeEvent;
	a->state.u.hEvent = (void *)(intptr_t)a->event;
}

static RPC_STATUS async_call(struct async *a, RPC_BINDING_HANDLE binding,
			     size_t size)
{
	RPC_STATUS status;

	memset(&a->message, 0, sizeof(a->message));
	a->message.Handle = binding;
	a->message.ProcNum = 7;
	a->message.BufferLength = (unsigned int)size;
	a->message.RpcInterfaceInformation = &fake_interface;
	status = I_RpcGetBuffer(&a->message);
	if (!status)
		status = I_RpcAsyncSetHandle(&a->message, &a->state);
	if (!status)
		status = I_RpcSend(&a->message);
	return status;
}

/* After the notification. RPC_S_OK if the answer is "ok". */
static RPC_STATUS async_end(struct async *a)
{
	RPC_STATUS status = RpcAsyncCompleteCall(&a->state, NULL);

	if (!status && (a->message.BufferLength != 2 ||
			memcmp(a->message.Buffer, "ok", 2)))
		status = RPC_X_BAD_STUB_DATA;
	I_RpcFreeBuffer(&a->message);
	return status;
}

static void async_destroy(struct async *a)
{
	close(a->event);
}

/* A server, and what it takes to call it. */
static RPC_BINDING_HANDLE begin(struct fake *f, void (*script)(struct fake *),
				struct async *a)
{
	fake_start(f, script);
	async_init(a);
	return fake_binding(f);
}

static void end(struct fake *f, RPC_BINDING_HANDLE *binding, struct async *a,
		const char *what)
{
	RpcBindingFree(binding);
	is(fake_stop(f), 0, what);
	async_destroy(a);
}

static void test_arguments(void)
{
	RPC_ASYNC_STATE state;

	is(RpcAsyncInitializeHandle(&state, sizeof(state) - 1),
	   RPC_S_INVALID_ARG, "a handle of the wrong size");
	is(RpcAsyncInitializeHandle(NULL, sizeof(state)),
	   RPC_S_INVALID_ASYNC_HANDLE, "no handle");
	memset(&state, 0x55, sizeof(state));
	is(RpcAsyncGetCallStatus(&state), RPC_S_INVALID_ASYNC_HANDLE,
	   "the status of what is no handle");
	is(RpcAsyncCompleteCall(&state, NULL), RPC_S_INVALID_ASYNC_HANDLE,
	   "completing what is no handle");
	is(RpcAsyncInitializeHandle(&state, sizeof(state)), RPC_S_OK,
	   "a handle");
	is(RpcAsyncGetCallStatus(&state), RPC_S_INVALID_ASYNC_HANDLE,
	   "the status of a handle without a call");
	is(RpcAsyncCancelCall(&state, 1), RPC_S_INVALID_ASYNC_HANDLE,
	   "cancelling a handle without a call");
	is(RpcAsyncAbortCall(&state, 5), RPC_S_INVALID_ASYNC_HANDLE,
	   "aborting is for servers");
}

static void plain_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p) && p.length == 29);
	await(f->go);
	put_response(fd, &p, "ok", 2);
	expect(f, serve_call(f, fd, &p));
	expect(f, is_closed(fd));
	close(fd);
}

static void test_event(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a;
	struct fake f;

	binding = begin(&f, plain_script, &a);
	is(async_call(&a, binding, 5), RPC_S_OK, "a call begins");
	is(RpcAsyncGetCallStatus(&a.state), RPC_S_ASYNC_CALL_PENDING,
	   "it is pending");
	is(RpcAsyncCompleteCall(&a.state, NULL), RPC_S_ASYNC_CALL_PENDING,
	   "and cannot be completed yet");
	is(I_RpcFreeBuffer(&a.message), RPC_S_CALL_IN_PROGRESS,
	   "nor can its buffer be freed");
	is(I_RpcGetBuffer(&a.message), RPC_S_CALL_IN_PROGRESS,
	   "or replaced by another");
	post(f.go);
	ok(await(a.event), "its event is signalled");
	is(RpcAsyncGetCallStatus(&a.state), RPC_S_OK, "it has ended well");
	is(async_end(&a), RPC_S_OK, "the message has the answer");
	is(RpcAsyncGetCallStatus(&a.state), RPC_S_INVALID_ASYNC_HANDLE,
	   "the handle has no call any more");
	is(async_call(&a, binding, 0), RPC_S_OK, "and is used for another one");
	await(a.event);
	is(async_end(&a), RPC_S_OK, "on the same connection");
	end(&f, &binding, &a, "as the server sees it");
}

static int called;

static void callback(RPC_ASYNC_STATE *state, void *context,
		     RPC_ASYNC_EVENT event)
{
	struct async *a = (struct async *)state;

	if (!context && event == RpcCallComplete)
		__atomic_add_fetch(&called, 1, __ATOMIC_RELEASE);
	post(a->event);
}

static void fault_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	put_fault(fd, &p, 0, 0x1c010014, true);
	close(fd);
}

static void test_callback(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a;
	struct fake f;

	binding = begin(&f, fault_script, &a);
	a.state.NotificationType = RpcNotificationTypeCallback;
	a.state.u.NotificationRoutine = callback;
	called = 0;
	is(async_call(&a, binding, 0), RPC_S_OK, "a call with a callback");
	await(a.event);
	is(__atomic_load_n(&called, __ATOMIC_ACQUIRE), 1, "which is called");
	is(RpcAsyncGetCallStatus(&a.state), RPC_S_SERVER_TOO_BUSY,
	   "the status is that of the fault");
	is(async_end(&a), RPC_S_SERVER_TOO_BUSY, "and so is that of the end");
	ok(!a.message.Buffer, "a call that failed has no buffer");
	RpcBindingFree(&binding);
	fake_stop(&f);
	async_destroy(&a);
}

static void test_notifications(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a;
	struct fake f;
	int type;

	fake_start(&f, NULL);
	binding = fake_binding(&f);
	for (type = RpcNotificationTypeApc; type <= RpcNotificationTypeHwnd;
	     type++) {
		async_init(&a);
		a.state.NotificationType = (RPC_NOTIFICATION_TYPES)type;
		is(async_call(&a, binding, 0), RPC_S_CANNOT_SUPPORT,
		   "notifications that do not exist here");
		I_RpcFreeBuffer(&a.message);
		async_destroy(&a);
	}
	RpcBindingFree(&binding);
	fake_stop(&f);
}

static void test_unavailable(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a;
	struct fake f;

	fake_start(&f, NULL);
	shutdown(f.listen, SHUT_RDWR);
	binding = fake_binding(&f);
	async_init(&a);
	is(async_call(&a, binding, 0), RPC_S_OK, "a call of nobody begins");
	await(a.event);
	is(async_end(&a), RPC_S_SERVER_UNAVAILABLE, "and fails");
	RpcBindingFree(&binding);
	fake_stop(&f);
	async_destroy(&a);
}

/* All of them at the same time, and answered from the last to the first. */
static void many_script(struct fake *f)
{
	static struct pdu p[CALLS];
	int fd[CALLS], i;

	for (i = 0; i < CALLS; i++) {
		fd[i] = serve(f, &p[i]);
		expect(f, get_pdu(fd[i], &p[i]));
	}
	for (i = CALLS - 1; i >= 0; i--)
		put_response(fd[i], &p[i], "ok", 2);
	for (i = 0; i < CALLS; i++) {
		expect(f, is_closed(fd[i]));
		close(fd[i]);
	}
}

static void test_many(void)
{
	static struct async a[CALLS];
	RPC_BINDING_HANDLE binding;
	int i, good = 0;
	struct fake f;

	fake_start(&f, many_script);
	binding = fake_binding(&f);
	for (i = 0; i < CALLS; i++) {
		async_init(&a[i]);
		async_call(&a[i], binding, 100);
	}
	for (i = 0; i < CALLS; i++) {
		await(a[i].event);
		good += async_end(&a[i]) == RPC_S_OK;
		async_destroy(&a[i]);
	}
	is(good, CALLS, "many calls at a time");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "as the server sees them");
}

/*
 * Cancels.
 */

static bool is_control(struct fake *f, int fd, unsigned int type, uint32_t call)
{
	struct pdu p;
	bool good = get_pdu(fd, &p) && pdu_type(&p) == type && p.length == 16 &&
		    pdu_call(&p) == call;

	expect(f, good);
	return good;
}

static void cancel_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	post(f->at);
	is_control(f, fd, 18, pdu_call(&p));
	await(f->go);
	put_fault(fd, &p, 0, 0x1c00000d, true);
	expect(f, is_closed(fd));
	close(fd);
}

static void test_cancel(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a;
	struct fake f;

	binding = begin(&f, cancel_script, &a);
	async_call(&a, binding, 0);
	await(f.at);
	is(RpcAsyncCancelCall(&a.state, 0), RPC_S_OK, "a cancel");
	is(RpcAsyncGetCallStatus(&a.state), RPC_S_ASYNC_CALL_PENDING,
	   "leaves the end to the server");
	post(f.go);
	await(a.event);
	is(RpcAsyncCancelCall(&a.state, 1), RPC_S_OK,
	   "a cancel that comes too late");
	is(async_end(&a), RPC_S_CALL_CANCELLED, "does not change the outcome");
	end(&f, &binding, &a, "the server has seen the first one");
}

static void abort_script(struct fake *f)
{
	struct pdu p, q;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	post(f->at);
	is_control(f, fd, 18, pdu_call(&p));
	is_control(f, fd, 19, pdu_call(&p));
	expect(f, get_pdu(fd, &q));
	put_response(fd, &p, "no", 2);
	put_response(fd, &q, "ok", 2);
	expect(f, is_closed(fd));
	close(fd);
}

static void test_abort(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a;
	struct fake f;

	binding = begin(&f, abort_script, &a);
	async_call(&a, binding, 0);
	await(f.at);
	is(RpcAsyncCancelCall(&a.state, 1), RPC_S_OK, "an abortive cancel");
	ok(await(a.event), "ends the call without the server");
	is(async_end(&a), RPC_S_CALL_CANCELLED, "as cancelled");
	is(async_call(&a, binding, 0), RPC_S_OK, "the next call");
	await(a.event);
	is(async_end(&a), RPC_S_OK, "gets its own answer");
	end(&f, &binding, &a, "co_cancel and orphaned have come");
}

static void silent_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	await(f->go);
	expect(f, is_silent(fd));
	close(fd);
}

static void test_timeout(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a;
	struct fake f;

	fake_start(&f, silent_script);
	binding = fake_binding(&f);
	RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 200);
	async_init(&a);
	async_call(&a, binding, 0);
	await(a.event);
	is(async_end(&a), RPC_S_CALL_CANCELLED, "a call that takes too long");
	post(f.go);
	is(fake_stop(&f), 0, "is not told to the server");
	RpcBindingFree(&binding);
	async_destroy(&a);
}

/* Some never come to the server: it ends when it is told, not by counting. */
static void race_script(struct fake *f)
{
	struct pollfd fds[2] = { { .fd = f->listen, .events = POLLIN },
				 { .fd = f->go, .events = POLLIN } };
	struct pdu p;
	int fd;

	while (poll(fds, 2, WATCHDOG) > 0 && !fds[1].revents) {
		fd = accept4(f->listen, NULL, NULL, SOCK_CLOEXEC);
		if (get_pdu(fd, &p)) {
			put_ack(fd, &p, &(struct ack){ .group = 1 });
			if (get_pdu(fd, &p))
				put_response(fd, &p, "ok", 2);
		}
		while (get_pdu(fd, &p))
			;
		close(fd);
	}
}

/* Cancelled and aborted at any moment, while the server answers. */
static void test_race(void)
{
	RPC_BINDING_HANDLE binding;
	int i, wrong = 0;
	struct async a;
	RPC_STATUS status;
	struct fake f;

	fake_start(&f, race_script);
	async_init(&a);
	for (i = 0; i < 200; i++) {
		binding = fake_binding(&f);
		wrong += async_call(&a, binding, 8) != RPC_S_OK;
		poll(NULL, 0, i % 4 == 3);
		RpcAsyncCancelCall(&a.state, i & 1);
		wrong += !await(a.event);
		status = async_end(&a);
		wrong += status != RPC_S_OK && status != RPC_S_CALL_CANCELLED;
		RpcBindingFree(&binding);
	}
	is(wrong, 0, "cancels that race with the answer");
	post(f.go);
	is(fake_stop(&f), 0, "as the server sees them");
	async_destroy(&a);
}

static void fork_script(struct fake *f)
{
	struct pdu p, q;
	int a = serve(f, &p), b;

	expect(f, get_pdu(a, &p));
	post(f->at);
	b = serve(f, &q);
	expect(f, serve_call(f, b, &q));
	expect(f, is_closed(b));
	expect(f, is_silent(a));
	put_response(a, &p, "ok", 2);
	expect(f, is_closed(a));
	close(a);
	close(b);
}

/* In the child: the call of its parent is none, but a new one works. */
static int child(struct async *a, RPC_BINDING_HANDLE binding)
{
	struct async mine;

	if (RpcAsyncGetCallStatus(&a->state) != RPC_S_CALL_FAILED ||
	    async_end(a) != RPC_S_CALL_FAILED)
		return 1;
	async_init(&mine);
	if (async_call(&mine, binding, 0) || !await(mine.event))
		return 2;
	return async_end(&mine) ? 3 : 0;
}

static void test_fork(void)
{
	RPC_BINDING_HANDLE binding;
	int status = -1;
	struct async a;
	struct fake f;
	pid_t pid;

	binding = begin(&f, fork_script, &a);
	async_call(&a, binding, 0);
	await(f.at);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(child(&a, binding));
	waitpid(pid, &status, 0);
	is(status, 0, "a child has calls of its own");
	await(a.event);
	is(async_end(&a), RPC_S_OK, "and its parent keeps the old one");
	end(&f, &binding, &a, "as the server sees it");
}

/* Freeing its buffer gives a call up that has ended. */
static void test_freed(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a;
	struct fake f;

	binding = begin(&f, plain_script, &a);
	async_call(&a, binding, 5);
	post(f.go);
	ok(await(a.event), "a call has ended");
	is(I_RpcFreeBuffer(&a.message), RPC_S_OK, "and is not completed");
	is(RpcAsyncGetCallStatus(&a.state), RPC_S_INVALID_ASYNC_HANDLE,
	   "the handle has no call any more");
	is(async_call(&a, binding, 0), RPC_S_OK, "and may have another");
	await(a.event);
	is(async_end(&a), RPC_S_OK, "which is completed");
	end(&f, &binding, &a, "as the server sees it");
}

static int run_tests(void)
{
	test_arguments();
	test_event();
	test_freed();
	test_callback();
	test_notifications();
	test_unavailable();
	test_many();
	test_cancel();
	test_abort();
	test_timeout();
	test_race();
	test_fork();
	return 0;
}

int main(void)
{
	return both_engines(run_tests);
}
