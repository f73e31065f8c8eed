// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Asynchronous calls: told by an eventfd or by a callback, cancelled so that
 * the server may still answer, or so that the client does not wait.
 */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tap.h"
#include "testing.h"

static struct server server;

/* An asynchronous SLOW_STAY. */
struct async {
	RPC_ASYNC_STATE state;
	struct call call;
	int fd; /* readable when it has completed */
	RPC_ASYNC_EVENT event;
};

static void RPC_ENTRY completed(struct _RPC_ASYNC_STATE *state, void *context,
				RPC_ASYNC_EVENT event)
{
	struct async *a = state->UserInfo;
	uint64_t one = 1;

	(void)context;
	a->event = event;
	if (write(a->fd, &one, sizeof(one)) < 0)
		die("write");
}

static void start(struct async *a, RPC_BINDING_HANDLE binding,
		  RPC_NOTIFICATION_TYPES how, uint32_t ms, uint32_t flags)
{
	memset(a, 0, sizeof(*a));
	a->fd = eventfd(0, EFD_CLOEXEC);
	is(RpcAsyncInitializeHandle(&a->state, sizeof(a->state)), RPC_S_OK,
	   "RpcAsyncInitializeHandle");
	a->state.NotificationType = how;
	a->state.UserInfo = a;
	a->event = 99;
	if (how == RpcNotificationTypeEvent)
		a->state.u.hEvent = (void *)(intptr_t)a->fd;
	else
		a->state.u.NotificationRoutine = completed;
	is(call_begin(&a->call, binding, &slow_client, SLOW_STAY, 8), RPC_S_OK,
	   "I_RpcGetBuffer");
	ndr_put_u32(&a->call.ndr, ms);
	ndr_put_u32(&a->call.ndr, flags);
	is(I_RpcAsyncSetHandle(&a->call.message, &a->state), RPC_S_OK,
	   "I_RpcAsyncSetHandle");
	is(I_RpcSend(&a->call.message), RPC_S_OK, "I_RpcSend");
}

static bool wait_for(struct async *a)
{
	struct pollfd pfd = { .fd = a->fd, .events = POLLIN };
	uint64_t value;

	return poll(&pfd, 1, PATIENCE) == 1 &&
	       read(a->fd, &value, sizeof(value)) == sizeof(value);
}

/* After it has completed; *cancelled is what the stub says. */
static RPC_STATUS complete(struct async *a, uint32_t *cancelled)
{
	RPC_STATUS status = RpcAsyncCompleteCall(&a->state, NULL);

	if (status == RPC_S_OK) {
		ndr_init(&a->call.ndr, a->call.message.Buffer,
			 a->call.message.BufferLength,
			 a->call.message.DataRepresentation);
		*cancelled = ndr_get_u32(&a->call.ndr);
	}
	I_RpcFreeBuffer(&a->call.message);
	close(a->fd);
	return status;
}

static void answered(RPC_BINDING_HANDLE binding, RPC_NOTIFICATION_TYPES how)
{
	uint32_t cancelled = 99;
	struct async a;

	start(&a, binding, how, WHILE, SLOW_HEED);
	is(RpcAsyncGetCallStatus(&a.state), RPC_S_ASYNC_CALL_PENDING,
	   "it is pending");
	ok(wait_for(&a), "it completes");
	if (how == RpcNotificationTypeCallback)
		is(a.event, RpcCallComplete, "the callback was told so");
	is(RpcAsyncGetCallStatus(&a.state), RPC_S_OK, "its status");
	is(complete(&a, &cancelled), RPC_S_OK, "RpcAsyncCompleteCall");
	is(cancelled, 0, "nobody has cancelled it");
}

static void cancelled_gently(RPC_BINDING_HANDLE binding,
			     RPC_NOTIFICATION_TYPES how)
{
	unsigned int entered = server_counts(&server).entered;
	uint32_t cancelled = 99;
	struct async a;

	start(&a, binding, how, 10 * PATIENCE, SLOW_HEED);
	ok(server_wait_entered(&server, entered + 1), "it is at its stub");
	is(RpcAsyncCancelCall(&a.state, 0), RPC_S_OK,
	   "RpcAsyncCancelCall, not abortive");
	ok(wait_for(&a), "it completes");
	is(complete(&a, &cancelled), RPC_S_OK, "with the stub's answer");
	is(cancelled, 1, "which was told");
}

static void cancelled_abortively(RPC_BINDING_HANDLE binding,
				 RPC_NOTIFICATION_TYPES how)
{
	struct slow_counts before = server_counts(&server);
	uint32_t cancelled = 99;
	struct async a;

	start(&a, binding, how, 10 * PATIENCE, SLOW_UNTIL_RELEASED);
	ok(server_wait_entered(&server, before.entered + 1),
	   "it is at its stub");
	is(RpcAsyncCancelCall(&a.state, 1), RPC_S_OK,
	   "RpcAsyncCancelCall, abortive");
	ok(wait_for(&a), "it completes");
	is(complete(&a, &cancelled), RPC_S_CALL_CANCELLED, "without an answer");
	is(server_counts(&server).left, before.left, "the stub goes on");
	server_release(&server);
	ok(server_wait_left(&server, before.entered + 1), "until it ends");
	is(slow_null(binding), RPC_S_OK, "the next call works");
}

/* Gently first, abortively when that does not help: what Microsoft advises. */
static void cancelled_both_ways(RPC_BINDING_HANDLE binding)
{
	unsigned int entered = server_counts(&server).entered;
	uint32_t cancelled = 99;
	struct async a;

	start(&a, binding, RpcNotificationTypeEvent, 10 * PATIENCE,
	      SLOW_UNTIL_RELEASED);
	ok(server_wait_entered(&server, entered + 1), "it is at its stub");
	is(RpcAsyncCancelCall(&a.state, 0), RPC_S_OK, "not abortive");
	is(RpcAsyncCompleteCall(&a.state, NULL), RPC_S_ASYNC_CALL_PENDING,
	   "that does not end it");
	is(RpcAsyncCancelCall(&a.state, 1), RPC_S_OK, "abortive");
	ok(wait_for(&a), "it completes");
	is(complete(&a, &cancelled), RPC_S_CALL_CANCELLED, "without an answer");
	server_release(&server);
}

/* Several at a time on one binding; the last is answered first. */
static void several(RPC_BINDING_HANDLE binding)
{
	uint32_t cancelled;
	struct async a[4];

	for (int i = 0; i < 4; i++)
		start(&a[i], binding, RpcNotificationTypeEvent, WHILE * (4 - i),
		      SLOW_HEED);
	for (int i = 3; i >= 0; i--) {
		ok(wait_for(&a[i]), "call %d completes", i);
		is(complete(&a[i], &cancelled), RPC_S_OK, "with its answer");
	}
}

static void misused(RPC_BINDING_HANDLE binding)
{
	RPC_ASYNC_STATE state;

	memset(&state, 0, sizeof(state));
	is(RpcAsyncInitializeHandle(&state, 3), RPC_S_INVALID_ARG,
	   "a state of a wrong size");
	is(RpcAsyncCancelCall(&state, 0), RPC_S_INVALID_ASYNC_HANDLE,
	   "RpcAsyncCancelCall of what is no state");
	is(RpcAsyncCompleteCall(&state, NULL), RPC_S_INVALID_ASYNC_HANDLE,
	   "RpcAsyncCompleteCall of what is no state");
	is(slow_null(binding), RPC_S_OK, "the next call works");
}

static void test(enum protseq which)
{
	static const RPC_NOTIFICATION_TYPES how[] = {
		RpcNotificationTypeEvent,
		RpcNotificationTypeCallback,
	};
	RPC_BINDING_HANDLE binding;

	printf("# %s\n", protseq_names[which]);
	binding = server_bind(&server, which);
	for (int i = 0; i < 2; i++) {
		answered(binding, how[i]);
		cancelled_gently(binding, how[i]);
		cancelled_abortively(binding, how[i]);
	}
	cancelled_both_ways(binding);
	several(binding);
	misused(binding);
	RpcBindingFree(&binding);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# engine %s, back end %s\n", rpccancel_engine_name(),
	       rpccancel_backend_name());
	server_start(&server, NULL);
	for (int i = TCP; i <= NP; i++)
		test(i);
	ok(server_stop(&server), "the server ends well");
	return tap_end();
}
