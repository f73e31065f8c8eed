// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * How the library asks for cancels and what it makes of the answers, with a
 * back end that is not the kernel's.
 */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include <rpccancel.h>

#include "mock.h"
#include "tap.h"

#define SECOND 1000000000ULL

static void *thread;

static RPC_STATUS cancel_with(uint32_t result, uint64_t gen)
{
	mock_reset();
	mock.result = result;
	mock.gen = gen;
	return RpcCancelThread(thread);
}

static RPC_STATUS cancel_fails(int error)
{
	mock_reset();
	mock.error = error;
	return RpcCancelThread(thread);
}

static void statuses(void)
{
	is(cancel_with(RPCCANCEL_RESULT_PENDING, 5), RPC_S_OK, "pending");
	is(mock.cancel.gen, RPCCANCEL_GEN_ANY, "whatever is current");
	is(mock.cancel.grace, RPCCANCEL_GRACE_TARGET, "the target's grace");
	is(mock.waits, 0, "RpcCancelThread does not wait");
	is(cancel_with(RPCCANCEL_RESULT_NEXT, 0), RPC_S_OK, "idle");
	is(cancel_with(RPCCANCEL_RESULT_ALREADY, 5), RPC_S_OK, "twice");
	is(cancel_with(RPCCANCEL_RESULT_REFUSED, 5), RPC_S_CANNOT_SUPPORT,
	   "a call that cannot be cancelled");
	is(cancel_with(RPCCANCEL_RESULT_NOT_FINITE, 5), RPC_S_INVALID_TIMEOUT,
	   "a call that needs a finite timeout");
	is(cancel_fails(-EACCES), RPC_S_ACCESS_DENIED, "not permitted");
	is(cancel_fails(-EBADF), ERROR_INVALID_HANDLE, "no handle");
	is(cancel_fails(-ESRCH), RPC_S_OK, "the thread has exited");
	is(cancel_fails(-E2BIG), RPC_S_CANNOT_SUPPORT, "an old module");
	is(cancel_fails(-ENOMEM), RPC_S_OUT_OF_MEMORY, "no memory");
	is(cancel_fails(-ERANGE), RPC_S_INTERNAL_ERROR, "something else");
}

static RPC_STATUS cancel_ex(uint32_t result, uint64_t gen, long timeout)
{
	mock_reset();
	mock.result = result;
	mock.gen = gen;
	mock.wait_result = RPCCANCEL_RESULT_ENDED;
	return RpcCancelThreadEx(thread, timeout);
}

static void waiting(void)
{
	is(cancel_ex(RPCCANCEL_RESULT_PENDING, 5, 2), RPC_S_OK, "2 seconds");
	is(mock.cancel.grace, 2 * SECOND, "are its grace");
	is(mock.waits, 1, "and it waits");
	is(mock.wait.gen, 5, "for that call");
	is(mock.wait.until, RPCCANCEL_WAIT_ENDED, "to end");
	ok(mock.wait.deadline && mock.wait.deadline != RPCCANCEL_INFINITE,
	   "not for ever");
	is(cancel_ex(RPCCANCEL_RESULT_PENDING, 5, -1), RPC_S_OK, "for ever");
	is(mock.cancel.grace, RPCCANCEL_INFINITE, "is its grace");
	is(mock.wait.deadline, RPCCANCEL_INFINITE, "and its wait");
	is(cancel_ex(RPCCANCEL_RESULT_PENDING, 5, INTPTR_MAX), RPC_S_OK,
	   "longer than the clock");
	is(mock.wait.deadline, RPCCANCEL_INFINITE, "is for ever, too");
	is(cancel_ex(RPCCANCEL_RESULT_PENDING, 5, 0), RPC_S_OK, "0 seconds");
	is(mock.waits, 0, "are no wait");
	is(cancel_ex(RPCCANCEL_RESULT_NEXT, 0, 2), RPC_S_OK, "an idle thread");
	is(mock.waits, 0, "is not waited for");
	is(cancel_ex(RPCCANCEL_RESULT_REFUSED, 5, 2), RPC_S_CANNOT_SUPPORT,
	   "a call that cannot be cancelled");
	is(mock.waits, 0, "is not waited for");
	is(cancel_ex(RPCCANCEL_RESULT_ALREADY, 5, 2), RPC_S_OK, "twice");
	is(mock.waits, 1, "waits as well");
	is(cancel_ex(RPCCANCEL_RESULT_PENDING, 5, -2), RPC_S_INVALID_TIMEOUT,
	   "-2 seconds");

	mock_reset();
	mock.result = RPCCANCEL_RESULT_PENDING;
	mock.gen = 5;
	mock.wait_error = -EDEADLK;
	is(RpcCancelThreadEx(thread, 2), RPC_S_OK, "it is the caller itself");
	mock.wait_error = -ESRCH;
	is(RpcCancelThreadEx(thread, 2), RPC_S_OK, "it exits meanwhile");
}

static void truth(void)
{
	struct rpccancel_request r = {
		.size = sizeof(r),
		.until = RPCCANCEL_UNTIL_DELIVERED,
		.gen = 5,
		.grace = 7,
		.timeout = SECOND,
	};

	mock_reset();
	mock.result = RPCCANCEL_RESULT_PENDING;
	mock.wait_result = RPCCANCEL_RESULT_DELIVERED;
	mock.gen = 5;
	is(rpccancel_cancel(thread, &r), RPC_S_OK, "rpccancel_cancel");
	is(mock.cancel.gen, 5, "names the generation");
	is(mock.cancel.grace, 7, "and the grace");
	is(mock.wait.until, RPCCANCEL_WAIT_DELIVERED, "waits as asked");
	is(r.result, RPCCANCEL_RESULT_DELIVERED, "and tells the result");
	mock.result = RPCCANCEL_RESULT_REFUSED;
	is(rpccancel_cancel(thread, &r), RPC_S_OK, "a refusal is no failure");
	is(r.result, RPCCANCEL_RESULT_REFUSED, "but a result");
	mock.error = -ESRCH;
	is(rpccancel_cancel(thread, &r), RPC_S_NO_CALL_ACTIVE,
	   "the thread has exited");
}

static void many(void)
{
	static struct rpccancel_target targets[RPCCANCEL_BULK_MAX + 3];
	const size_t all = RPCCANCEL_BULK_MAX + 3;
	size_t done = 4242;

	mock_reset();
	is(rpccancel_cancel_many(targets, all, 0, &done), RPC_S_OK, "many");
	is(done, all, "all of them");
	mock_reset();
	mock.bulk_stop = RPCCANCEL_BULK_MAX + 1;
	is(rpccancel_cancel_many(targets, all, 0, &done), RPC_S_INVALID_ARG,
	   "bad memory");
	is(done, RPCCANCEL_BULK_MAX + 1, "tells how far it came");
	is(rpccancel_cancel_many(NULL, 0, 0, &done), RPC_S_OK, "none");
	is(done, 0, "is none");
	is(rpccancel_cancel_many(NULL, 1, 0, NULL), RPC_S_INVALID_ARG,
	   "no array");
}

static void duplicates(void)
{
	static const uint32_t rights[] = {
		RPCCANCEL_ACCESS_ALL,
		RPCCANCEL_SET_CONTEXT,
		RPCCANCEL_QUERY_INFORMATION,
	};
	void *other;
	size_t i;

	for (i = 0; i < sizeof(rights) / sizeof(*rights); i++) {
		mock_reset();
		mock.rights = rights[i];
		is(rpccancel_thread_duplicate(thread, 0, &other), RPC_S_OK,
		   "the same rights");
		is(rpccancel_thread_close(other), RPC_S_OK, "close it");
	}
	mock.rights = RPCCANCEL_QUERY_INFORMATION;
	is(rpccancel_thread_duplicate(thread, THREAD_SET_CONTEXT, &other),
	   RPC_S_ACCESS_DENIED, "more rights");
}

int main(void)
{
	if (rpccancel_thread_self(THREAD_ALL_ACCESS, &thread) != RPC_S_OK)
		return 1;
	statuses();
	waiting();
	truth();
	many();
	duplicates();
	return tap_end();
}
