// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Without the module: everything that needs it says so, and nothing pretends.
 * Threads of this process can be cancelled all the same, in calls of the run
 * time: see backend_user_test.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rpccancel.h>

#include "tap.h"

static struct {
	int count, level;
	char message[512];
} last;

static void remember(void *context, int level, const char *message)
{
	(void)context;
	last.count++;
	last.level = level;
	snprintf(last.message, sizeof(last.message), "%s", message);
}

static void scopes(void)
{
	struct rpccancel_scope_attr attr = {
		.size = sizeof(attr),
		.timeout = 1000000000,
	};
	struct rpccancel_scope scope;

	errno = 4242;
	is(rpccancel_scope_begin(&scope, NULL), RPC_S_CANNOT_SUPPORT,
	   "a scope does not begin");
	is(rpccancel_scope_end(&scope), RPC_S_CANNOT_SUPPORT,
	   "its end says why it did not begin");
	is(rpccancel_scope_begin(&scope, &attr), RPC_S_CANNOT_SUPPORT,
	   "a scope with a deadline does not begin");
	is(rpccancel_scope_end(&scope), RPC_S_CANNOT_SUPPORT,
	   "its end says why it did not begin");
	is(rpccancel_scope_test(), 0, "nothing is cancelled");
	is(rpccancel_scope_set_timeout(1), RPC_S_NO_CALL_ACTIVE,
	   "no scope can get a deadline");
	is(errno, 4242, "errno is what it was");
}

static void threads(void)
{
	struct rpccancel_info info;
	void *thread;

	errno = 4242;
	is(rpccancel_thread_attach(), RPC_S_OK, "attach");
	is(rpccancel_thread_self(THREAD_ALL_ACCESS, &thread), RPC_S_OK,
	   "handle of the calling thread");
	is(rpccancel_thread_close(thread), RPC_S_OK, "closed");
	is(rpccancel_thread_open(getpid(), THREAD_SET_CONTEXT, &thread),
	   RPC_S_OK, "handle of a thread of this process");
	is(rpccancel_thread_close(thread), RPC_S_OK, "closed");
	is(rpccancel_thread_open(getppid(), THREAD_SET_CONTEXT, &thread),
	   RPC_S_CANNOT_SUPPORT, "handle of a thread of another process");
	is(rpccancel_thread_duplicate(RPCCANCEL_CURRENT_THREAD, 0, &thread),
	   RPC_S_OK, "duplicate of the calling thread's");
	is(rpccancel_thread_close(thread), RPC_S_OK, "closed");
	is(rpccancel_thread_info(RPCCANCEL_CURRENT_THREAD, &info), RPC_S_OK,
	   "information");
	is(rpccancel_thread_detach(), RPC_S_OK, "detach");
	is(rpccancel_thread_detach(), RPC_S_OK, "a detached thread stays so");
	is(errno, 4242, "errno is what it was");
}

static void cancels(void)
{
	struct rpccancel_request request = { .size = sizeof(request) };
	struct rpccancel_target target = { .handle = 0 };
	struct rpccancel_query query;
	struct rpccancel_info info;
	uint64_t cursor = 0;
	size_t count = 1;

	errno = 4242;
	is(RpcCancelThread(RPCCANCEL_CURRENT_THREAD), RPC_S_OK,
	   "RpcCancelThread");
	is(RpcCancelThreadEx(RPCCANCEL_CURRENT_THREAD, 0), RPC_S_OK,
	   "RpcCancelThreadEx");
	is(RpcCancelThreadEx(RPCCANCEL_CURRENT_THREAD, -2),
	   RPC_S_INVALID_TIMEOUT, "RpcCancelThreadEx, -2 seconds");
	is(RpcMgmtSetCancelTimeout(1), RPC_S_OK, "RpcMgmtSetCancelTimeout");
	is(RpcMgmtSetCancelTimeout(-2), RPC_S_INVALID_TIMEOUT,
	   "RpcMgmtSetCancelTimeout, -2 seconds");
	is(RpcTestCancel(), RPC_S_ACCESS_DENIED,
	   "RpcTestCancel: not cancelled");
	is(rpccancel_cancel(RPCCANCEL_CURRENT_THREAD, &request), RPC_S_OK,
	   "rpccancel_cancel");
	is(request.result, RPCCANCEL_RESULT_ALREADY, "like those before");
	is(rpccancel_cancel_many(&target, 1, 0, &count), RPC_S_OK,
	   "rpccancel_cancel_many");
	is(count, 1, "one was done");
	is(target.error, EBADF, "which is no handle");
	is(rpccancel_list(&info, &count, &cursor), RPC_S_OK, "rpccancel_list");
	is(count, 1, "one thread");
	is(info.pending, RPCCANCEL_GEN_NEXT, "with a cancel that waits");
	is(rpccancel_query(&query), RPC_S_CANNOT_SUPPORT, "rpccancel_query");
	is(errno, 4242, "errno is what it was");
}

/* Handlers and destructors are registered by now; they must be harmless. */
static void *other_thread(void *arg)
{
	struct rpccancel_scope scope;

	rpccancel_scope_begin(&scope, NULL);
	rpccancel_thread_attach();
	return arg;
}

static void exits_and_forks(void)
{
	pthread_t thread;
	int status;
	pid_t pid;

	pthread_create(&thread, NULL, other_thread, NULL);
	is(pthread_join(thread, NULL), 0, "a thread exits");

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(rpccancel_thread_attach() != RPC_S_OK);
	waitpid(pid, &status, 0);
	is(status, 0, "a forked child");
}

/* Before anything else: the choice is made once. */
static void only_the_kernel(void)
{
	void *thread;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		setenv("RPCCANCEL_BACKEND", "kernel", 1);
		_exit(strcmp(rpccancel_backend_name(), "kernel") ||
		      rpccancel_thread_attach() != RPC_S_CANNOT_SUPPORT ||
		      RpcMgmtSetCancelTimeout(1) != RPC_S_CANNOT_SUPPORT ||
		      RpcCancelThread(RPCCANCEL_CURRENT_THREAD) !=
			      RPC_S_CANNOT_SUPPORT ||
		      rpccancel_thread_self(THREAD_ALL_ACCESS, &thread) !=
			      RPC_S_CANNOT_SUPPORT);
	}
	waitpid(pid, &status, 0);
	is(status, 0, "who insists on the module gets nothing");
}

int main(void)
{
	if (!access("/dev/rpccancel", F_OK))
		tap_skip_all("the module is loaded here");
	only_the_kernel();
	unsetenv("RPCCANCEL_BACKEND");
	rpccancel_set_log(remember, NULL);
	ok(!strcmp(rpccancel_backend_name(), "user"), "the one in user space");
	ok(!strcmp(last.message,
		   "no scopes: /dev/rpccancel: No such file or directory"),
	   "the log says why");
	is(last.level, RPCCANCEL_LOG_INFO, "which is no warning");
	scopes();
	is(last.count, 1, "it says so once");
	threads();
	cancels();
	exits_and_forks();
	return tap_end();
}
