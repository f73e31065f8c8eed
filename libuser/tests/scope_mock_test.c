// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The library's side of scopes, with a back end that is not the kernel's.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rpccancel.h>

#include "mock.h"
#include "tap.h"

#define SECOND 1000000000ULL

static const struct rpccancel_scope_attr *attr(uint32_t classes, int error,
					       uint64_t tag, uint64_t timeout)
{
	static struct rpccancel_scope_attr a;

	a = (struct rpccancel_scope_attr){
		.size = sizeof(a),
		.classes = classes,
		.error = error,
		.tag = tag,
		.timeout = timeout,
	};
	return &a;
}

static void plain(void)
{
	struct rpccancel_scope s;

	is(rpccancel_scope_begin(&s, NULL), RPC_S_OK, "begin");
	is(mock.attached, 1, "the thread has attached itself");
	is(mock.slot.gen, 1, "the generation is odd");
	is(mock.slot.grace, RPCCANCEL_INFINITE, "the grace has no end");
	ok(mock.slot.since, "the list can show since when");
	is(rpccancel_scope_test(), 0, "not cancelled");
	is(RpcTestCancel(), RPC_S_ACCESS_DENIED,
	   "RpcTestCancel: not cancelled");
	is(rpccancel_scope_end(&s), RPC_S_OK, "end");
	is(mock.slot.gen, 2, "the generation is even");
	is(mock.settled + mock.deadlines, 0, "no request to the kernel");
	is(rpccancel_scope_end(&s), RPC_S_NO_CALL_ACTIVE, "end once more");
	is(mock.slot.gen, 2, "nothing has changed");
}

static void cancelled(void)
{
	struct rpccancel_scope s;

	rpccancel_scope_begin(&s, attr(RPCCANCEL_CLASS_RECV, EINTR, 7, 0));
	is(mock.slot.classes, RPCCANCEL_CLASS_RECV, "the classes are set");
	is(mock.slot.error, EINTR, "the errno is set");
	is(mock.slot.tag, 7, "the tag is set");
	mock_tell(RPCCANCEL_REASON_CANCEL);
	is(rpccancel_scope_test(), RPCCANCEL_REASON_CANCEL, "test sees it");
	is(RpcTestCancel(), RPC_S_OK, "RpcTestCancel: cancelled");
	is(rpccancel_scope_end(&s), RPC_S_CALL_CANCELLED, "end tells");
	is(mock.settled, 1, "it was settled");
	is(mock.slot.cancel, 0, "and is over");
	is(rpccancel_scope_test(), 0, "test outside sees nothing");

	rpccancel_scope_begin(&s, NULL);
	is(mock.slot.error, 0, "the next one has the default errno");
	is(rpccancel_scope_end(&s), RPC_S_OK, "and is not cancelled");
}

static void pending(void)
{
	struct rpccancel_scope s;

	mock_tell(RPCCANCEL_REASON_CANCEL);
	is(rpccancel_scope_test(), 0, "one that waits is not seen in no scope");
	is(rpccancel_scope_begin(&s, NULL), RPC_S_OK, "begin takes it");
	is(mock.settled, 1, "it was settled");
	is(rpccancel_scope_test(), RPCCANCEL_REASON_CANCEL, "test sees it");
	is(rpccancel_scope_end(&s), RPC_S_CALL_CANCELLED, "end tells");
}

static void deadline(void)
{
	struct rpccancel_scope s;

	rpccancel_scope_begin(&s, attr(0, 0, 0, SECOND));
	is(mock.deadlines, 1, "the kernel knows the deadline");
	ok(mock.deadline != RPCCANCEL_INFINITE, "which is finite");
	is(rpccancel_scope_set_timeout(RPCCANCEL_INFINITE), RPC_S_OK,
	   "take it back");
	is(mock.deadline, RPCCANCEL_INFINITE, "the kernel knows");
	is(rpccancel_scope_set_timeout(0), RPC_S_OK, "at once");
	ok(mock.deadline && mock.deadline != RPCCANCEL_INFINITE,
	   "is a time, not none");
	mock_tell(RPCCANCEL_REASON_DEADLINE);
	is(rpccancel_scope_end(&s), RPC_S_TIMEOUT, "end tells");

	rpccancel_scope_begin(&s, NULL);
	mock_tell(RPCCANCEL_REASON_DEADLINE);
	mock_tell(RPCCANCEL_REASON_CANCEL);
	is(rpccancel_scope_end(&s), RPC_S_CALL_CANCELLED,
	   "a cancel says more than a deadline");
	is(rpccancel_scope_set_timeout(1), RPC_S_NO_CALL_ACTIVE,
	   "no deadline outside");

	rpccancel_scope_begin(&s, attr(0, 0, 0, UINT64_MAX - 5));
	is(mock.deadlines, 3, "a timeout too long is none");
	rpccancel_scope_end(&s);

	mock.error = -ENOMEM;
	is(rpccancel_scope_begin(&s, attr(0, 0, 0, 1)), RPC_S_OUT_OF_MEMORY,
	   "begin fails with its deadline");
	is(mock.slot.gen % 2, 0, "and leaves the generation");
	is(rpccancel_scope_end(&s), RPC_S_OUT_OF_MEMORY, "end says so again");
}

static void nested(void)
{
	struct rpccancel_scope a, b, c;
	uint64_t gen;

	rpccancel_scope_begin(
		&a, attr(RPCCANCEL_CLASS_RECV | RPCCANCEL_CLASS_POLL, 0, 1, 0));
	gen = mock.slot.gen;
	rpccancel_scope_begin(&b,
			      attr(RPCCANCEL_CLASS_POLL | RPCCANCEL_CLASS_EPOLL,
				   EINTR, 2, 0));
	is(mock.slot.gen, gen, "the outermost owns the generation");
	is(mock.slot.classes, RPCCANCEL_CLASS_POLL, "classes get fewer");
	rpccancel_scope_begin(&c, attr(RPCCANCEL_CLASS_RECV, 0, 0, 0));
	ok(!(mock.slot.classes & RPCCANCEL_CLASS_ALL) && mock.slot.classes,
	   "down to none, which is not the default");
	is(mock.slot.error, EINTR, "the errno is inherited");
	is(mock.slot.tag, 2, "and so is the tag");
	is(rpccancel_scope_end(&a), RPC_S_CALL_IN_PROGRESS, "wrong order");
	is(rpccancel_scope_end(&b), RPC_S_CALL_IN_PROGRESS, "wrong order");
	is(rpccancel_scope_begin(&b, NULL), RPC_S_CALL_IN_PROGRESS,
	   "begin one that is open");
	mock_tell(RPCCANCEL_REASON_CANCEL);
	is(rpccancel_scope_end(&c), RPC_S_CALL_CANCELLED,
	   "cancelled, all three");
	is(mock.slot.classes, RPCCANCEL_CLASS_POLL, "classes are put back");
	is(rpccancel_scope_end(&b), RPC_S_CALL_CANCELLED, "the second");
	is(mock.slot.error, 0, "the errno is put back");
	is(mock.slot.tag, 1, "the tag is put back");
	is(rpccancel_scope_end(&a), RPC_S_CALL_CANCELLED, "the first");
	is(mock.slot.gen, gen + 1, "only now the generation is over");
	is(mock.deadlines, 0, "no deadline was ever set");
}

static void nested_deadlines(void)
{
	struct rpccancel_scope a, b, c;
	uint64_t outer;

	rpccancel_scope_begin(&a, attr(0, 0, 0, 100 * SECOND));
	outer = mock.deadline;
	rpccancel_scope_begin(&b, attr(0, 0, 0, 200 * SECOND));
	is(mock.deadlines, 1, "a later one inside changes nothing");
	rpccancel_scope_begin(&c, attr(0, 0, 0, SECOND));
	ok(mock.deadline < outer, "a nearer one counts");
	mock_tell(RPCCANCEL_REASON_DEADLINE);
	is(rpccancel_scope_end(&c), RPC_S_TIMEOUT, "it has passed");
	is(mock.deadline, outer, "the outer one's is back");
	is(rpccancel_scope_test(), 0, "the outer one is not over");
	is(rpccancel_scope_set_timeout(300 * SECOND), RPC_S_OK, "longer");
	is(mock.deadlines, 3, "than the outer one's: nothing to do");
	is(rpccancel_scope_end(&b), RPC_S_OK, "the second");
	is(mock.deadlines, 3, "ends without a request");
	is(rpccancel_scope_end(&a), RPC_S_OK, "the first");
}

static void arguments(void)
{
	struct {
		struct rpccancel_scope_attr attr;
		uint64_t newer;
	} large = { .attr.size = sizeof(large) };
	struct rpccancel_scope_attr bad = { .size = sizeof(bad) - 1 };
	struct rpccancel_scope s;

	is(rpccancel_scope_begin(NULL, NULL), RPC_S_INVALID_ARG, "no scope");
	is(rpccancel_scope_end(NULL), RPC_S_INVALID_ARG, "no scope to end");
	is(rpccancel_scope_begin(&s, &bad), RPC_S_INVALID_ARG, "too short");
	bad.size = sizeof(bad);
	bad.pad = 1;
	is(rpccancel_scope_begin(&s, &bad), RPC_S_INVALID_ARG, "padding");
	is(rpccancel_scope_begin(&s, attr(RPCCANCEL_CLASS_ALL + 1, 0, 0, 0)),
	   RPC_S_INVALID_ARG, "unknown class");
	is(rpccancel_scope_begin(&s, attr(0, 4096, 0, 0)), RPC_S_INVALID_ARG,
	   "errno too large");
	is(rpccancel_scope_begin(&s, attr(0, -1, 0, 0)), RPC_S_INVALID_ARG,
	   "errno negative");
	is(rpccancel_scope_begin(&s, &large.attr), RPC_S_OK,
	   "a newer program's that says nothing new");
	is(rpccancel_scope_end(&s), RPC_S_OK, "and its end");
	large.newer = 1;
	is(rpccancel_scope_begin(&s, &large.attr), RPC_S_CANNOT_SUPPORT,
	   "one that does");
}

static struct rpccancel_scope foreign;

static void *end_foreign(void *arg)
{
	*(RPC_STATUS *)arg = rpccancel_scope_end(&foreign);
	return NULL;
}

static void elsewhere(void)
{
	RPC_STATUS status = 4242;
	pthread_t thread;
	int wstatus;
	pid_t pid;

	rpccancel_scope_begin(&foreign, NULL);
	pthread_create(&thread, NULL, end_foreign, &status);
	pthread_join(thread, NULL);
	is(status, RPC_S_NO_CALL_ACTIVE, "another thread cannot end it");

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(rpccancel_scope_end(&foreign) != RPC_S_NO_CALL_ACTIVE ||
		      rpccancel_scope_begin(&foreign, NULL) != RPC_S_OK ||
		      rpccancel_scope_end(&foreign) != RPC_S_OK);
	waitpid(pid, &wstatus, 0);
	is(wstatus, 0, "a forked child cannot, and may begin its own");

	is(rpccancel_thread_detach(), RPC_S_CALL_IN_PROGRESS,
	   "no detaching inside");
	is(rpccancel_scope_end(&foreign), RPC_S_OK, "its thread can");
	is(rpccancel_thread_detach(), RPC_S_OK, "detach");
	is(mock.attached, 0, "the kernel knows");
	is(rpccancel_thread_attach(), RPC_S_OK, "attach");
	is(rpccancel_thread_attach(), RPC_S_OK, "attach once more");
	is(mock.attached, 1, "it is attached once");
}

static void *exiting(void *arg)
{
	*(RPC_STATUS *)arg = rpccancel_thread_attach();
	return NULL;
}

static void thread_exit(void)
{
	RPC_STATUS status = 4242;
	pthread_t thread;

	rpccancel_thread_detach();
	pthread_create(&thread, NULL, exiting, &status);
	pthread_join(thread, NULL);
	is(status, RPC_S_OK, "a thread attaches");
	is(mock.attached, 0, "and is detached when it exits");
}

static void grace(void)
{
	is(RpcMgmtSetCancelTimeout(3), RPC_S_OK, "3 seconds");
	is(mock.slot.grace, 3 * SECOND, "are in the slot");
	is(RpcMgmtSetCancelTimeout(-2), RPC_S_INVALID_TIMEOUT, "-2 seconds");
	is(mock.slot.grace, 3 * SECOND, "change nothing");
	rpccancel_thread_detach();
	rpccancel_thread_attach();
	is(mock.slot.grace, 3 * SECOND, "survive the slot");
	is(RpcMgmtSetCancelTimeout(0), RPC_S_OK, "0 seconds");
	is(mock.slot.grace, 0, "are at once");
	is(RpcMgmtSetCancelTimeout(RPC_C_CANCEL_INFINITE_TIMEOUT), RPC_S_OK,
	   "for ever");
	is(mock.slot.grace, RPCCANCEL_INFINITE, "is for ever");
}

int main(void)
{
	static void (*const tests[])(void) = {
		plain,	   cancelled, pending,
		deadline,  nested,    nested_deadlines,
		arguments, elsewhere, thread_exit,
		grace,
	};
	size_t i;

	errno = 4242;
	for (i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		tests[i]();
		mock_reset();
		mock.attached = 1;
	}
	is(errno, 4242, "errno is what it was");
	return tap_end();
}
