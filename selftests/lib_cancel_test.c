// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The cancelling side of librpccancel with the real module: who waits for what
 * and for how long, what is told, and who may.
 */
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/syscall.h>

#include <rpccancel.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

#define MSEC 1000000ULL

/* Unless it has been told already to go on. */
static void reach(struct rc_thread *t, int stage)
{
	int before = stage - 1;

	atomic_compare_exchange_strong(&t->stage, &before, stage);
}

/*
 * A thread that, in a scope, reads from a silent socket; then, still in the
 * scope, waits to be told to end it.
 */
static long stay_in_scope(struct rc_thread *t)
{
	int *pair = t->arg;
	struct rpccancel_scope scope;
	char byte;
	long ret;

	rpccancel_scope_begin(&scope, NULL);
	ret = recv(pair[0], &byte, 1, 0) < 0 ? -errno : 0;
	reach(t, 1);
	while (t->stage < 2)
		sched_yield();
	return rpccancel_scope_end(&scope) == RPC_S_CALL_CANCELLED ? ret : 1;
}

/* A thread that is attached, in no scope, until it is told to go on. */
static long stay_idle(struct rc_thread *t)
{
	int *pair = t->arg;
	struct rpccancel_scope scope;
	char byte;
	long ret;

	rpccancel_thread_attach();
	reach(t, 1);
	while (t->stage < 2)
		sched_yield();
	rpccancel_scope_begin(&scope, NULL);
	ret = recv(pair[0], &byte, 1, 0) < 0 ? -errno : 0;
	return rpccancel_scope_end(&scope) == RPC_S_CALL_CANCELLED ? ret : 1;
}

FIXTURE(cancel)
{
	int pair[2];
	struct rc_thread thread;
	struct rpccancel_request request;
	void *handle;
};

FIXTURE_SETUP(cancel)
{
	memset(&self->request, 0, sizeof(self->request));
	self->request.size = sizeof(self->request);
	self->handle = NULL;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->pair));
}

FIXTURE_TEARDOWN(cancel)
{
	if (self->handle)
		rpccancel_thread_close(self->handle);
	close(self->pair[0]);
	close(self->pair[1]);
}

static bool start_blocked(struct rc_thread *t, int *pair, void **handle)
{
	return !rc_start(t, -1, stay_in_scope, pair) &&
	       rc_wait_asleep(t->tid, SYS_recvfrom, RC_PATIENCE) &&
	       !rpccancel_thread_open(t->tid, THREAD_ALL_ACCESS, handle);
}

static bool start_idle(struct rc_thread *t, int *pair, void **handle)
{
	return !rc_start(t, -1, stay_idle, pair) &&
	       rc_wait_stage(t, 1, RC_PATIENCE) &&
	       !rpccancel_thread_open(t->tid, THREAD_ALL_ACCESS, handle);
}

TEST_F(cancel, does_not_wait)
{
	ASSERT_TRUE(start_blocked(&self->thread, self->pair, &self->handle));
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	EXPECT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	self->thread.stage = 2;
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(-ECANCELED, self->thread.ret);
}

/* The call has failed at once, but the scope goes on: Timeout is waited for. */
TEST_F(cancel, ex_gives_up)
{
	uint64_t start = rc_now();

	ASSERT_TRUE(start_blocked(&self->thread, self->pair, &self->handle));
	EXPECT_EQ(RPC_S_OK, RpcCancelThreadEx(self->handle, 1));
	EXPECT_LE(1000 * MSEC, rc_now() - start);
	EXPECT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	self->thread.stage = 2;
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(-ECANCELED, self->thread.ret);
}

static void *end_later(void *arg)
{
	struct rc_thread *t = arg;

	rc_wait_stage(t, 1, RC_PATIENCE);
	rc_sleep(100);
	t->stage = 2;
	return NULL;
}

/* It comes back as soon as the scope has ended, not later and not before. */
TEST_F(cancel, ex_waits_for_the_end)
{
	uint64_t start;
	pthread_t helper;

	ASSERT_TRUE(start_blocked(&self->thread, self->pair, &self->handle));
	ASSERT_EQ(0, pthread_create(&helper, NULL, end_later, &self->thread));
	start = rc_now();
	EXPECT_EQ(RPC_S_OK, RpcCancelThreadEx(self->handle,
					      RPC_C_CANCEL_INFINITE_TIMEOUT));
	EXPECT_LE(100 * MSEC, rc_now() - start);
	EXPECT_EQ(2, self->thread.stage);
	pthread_join(helper, NULL);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(-ECANCELED, self->thread.ret);
}

/* An idle thread is not waited for, and its next call is cancelled. */
TEST_F(cancel, idle)
{
	ASSERT_TRUE(start_idle(&self->thread, self->pair, &self->handle));
	EXPECT_EQ(RPC_S_OK, RpcCancelThreadEx(self->handle,
					      RPC_C_CANCEL_INFINITE_TIMEOUT));
	EXPECT_EQ(RPC_S_OK, rpccancel_cancel(self->handle, &self->request));
	EXPECT_EQ(RPCCANCEL_RESULT_ALREADY, self->request.result);
	EXPECT_EQ(0, self->request.gen);
	self->thread.stage = 2;
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(-ECANCELED, self->thread.ret);
}

TEST_F(cancel, tells_the_truth)
{
	struct rpccancel_request *r = &self->request;
	uint64_t gen;

	ASSERT_TRUE(start_blocked(&self->thread, self->pair, &self->handle));
	r->until = RPCCANCEL_UNTIL_DELIVERED;
	r->timeout = RPCCANCEL_INFINITE;
	ASSERT_EQ(RPC_S_OK, rpccancel_cancel(self->handle, r));
	EXPECT_EQ(RPCCANCEL_RESULT_DELIVERED, r->result);
	EXPECT_EQ(1, r->gen & 1);
	gen = r->gen;

	r->until = RPCCANCEL_UNTIL_ENDED;
	r->timeout = 20 * MSEC;
	ASSERT_EQ(RPC_S_OK, rpccancel_cancel(self->handle, r));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, r->result);

	r->until = RPCCANCEL_UNTIL_REQUESTED;
	ASSERT_EQ(RPC_S_OK, rpccancel_cancel(self->handle, r));
	EXPECT_EQ(RPCCANCEL_RESULT_ALREADY, r->result);
	EXPECT_EQ(gen, r->gen);

	r->gen = gen + 2;
	ASSERT_EQ(RPC_S_OK, rpccancel_cancel(self->handle, r));
	EXPECT_EQ(RPCCANCEL_RESULT_TOO_LATE, r->result);
	r->gen = 2;
	EXPECT_EQ(RPC_S_INVALID_ARG, rpccancel_cancel(self->handle, r));

	self->thread.stage = 2;
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(-ECANCELED, self->thread.ret);
}

TEST_F(cancel, tells_where)
{
	struct rpccancel_info info;

	ASSERT_TRUE(start_blocked(&self->thread, self->pair, &self->handle));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_info(self->handle, &info));
	EXPECT_EQ(getpid(), info.pid);
	EXPECT_EQ(self->thread.tid, info.tid);
	EXPECT_EQ(1, info.gen & 1);
	EXPECT_EQ(RPCCANCEL_STATE_BLOCKED, info.state);
	EXPECT_EQ(SYS_recvfrom, info.syscall);
	EXPECT_EQ(self->pair[0], info.fd);
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	self->thread.stage = 2;
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
}

/* Gone is gone: for Microsoft's functions a success, for ours the truth. */
TEST_F(cancel, exited)
{
	struct rpccancel_info info;

	ASSERT_TRUE(start_idle(&self->thread, self->pair, &self->handle));
	ASSERT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	self->thread.stage = 2;
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	while (rpccancel_thread_info(self->handle, &info) == RPC_S_OK)
		rc_sleep(1);
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	EXPECT_EQ(RPC_S_OK, RpcCancelThreadEx(self->handle, 5));
	EXPECT_EQ(RPC_S_NO_CALL_ACTIVE,
		  rpccancel_cancel(self->handle, &self->request));
	EXPECT_EQ(RPC_S_NO_CALL_ACTIVE,
		  rpccancel_thread_info(self->handle, &info));
}

TEST_F(cancel, access)
{
	void *look, *act;
	struct rpccancel_info info;

	ASSERT_TRUE(start_blocked(&self->thread, self->pair, &self->handle));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_duplicate(self->handle,
						       THREAD_QUERY_INFORMATION,
						       &look));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_duplicate(self->handle,
						       THREAD_SET_CONTEXT,
						       &act));
	EXPECT_EQ(RPC_S_ACCESS_DENIED, RpcCancelThread(look));
	EXPECT_EQ(RPC_S_ACCESS_DENIED, RpcCancelThreadEx(look, 1));
	EXPECT_EQ(RPC_S_ACCESS_DENIED,
		  rpccancel_cancel(look, &self->request));
	EXPECT_EQ(RPC_S_ACCESS_DENIED, rpccancel_thread_info(act, &info));
	EXPECT_EQ(0, self->thread.stage);
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(act));
	self->thread.stage = 2;
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_close(look));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_close(act));
	EXPECT_EQ(ERROR_INVALID_HANDLE, rpccancel_thread_close(act));
}

TEST_F(cancel, many)
{
	enum { N = 8 };
	struct rpccancel_target targets[N + 1] = {};
	struct rc_thread threads[N];
	void *handles[N];
	size_t done = 0;
	int i;

	for (i = 0; i < N; i++) {
		ASSERT_TRUE(start_blocked(&threads[i], self->pair, &handles[i]));
		targets[i].handle = rpccancel_thread_fd(handles[i]);
	}
	targets[N].handle = self->pair[0];
	EXPECT_EQ(RPC_S_OK, rpccancel_cancel_many(targets, N + 1, 0, &done));
	EXPECT_EQ(N + 1, done);
	EXPECT_EQ(EBADF, targets[N].error);
	for (i = 0; i < N; i++) {
		EXPECT_EQ(0, targets[i].error);
		EXPECT_EQ(RPCCANCEL_RESULT_PENDING, targets[i].result);
		threads[i].stage = 2;
		ASSERT_EQ(0, rc_join(&threads[i], RC_PATIENCE));
		EXPECT_EQ(-ECANCELED, threads[i].ret);
		rpccancel_thread_close(handles[i]);
	}
}

static bool listed(pid_t tid, uint64_t *since)
{
	struct rpccancel_info info[4];
	uint64_t cursor = 0;
	size_t count, i;

	for (;;) {
		count = 4;
		if (rpccancel_list(info, &count, &cursor) || !count)
			return false;
		for (i = 0; i < count; i++) {
			if (info[i].tid == tid) {
				*since = info[i].since;
				return true;
			}
		}
	}
}

TEST_F(cancel, list)
{
	uint64_t since, start = rc_now();

	ASSERT_TRUE(start_blocked(&self->thread, self->pair, &self->handle));
	ASSERT_TRUE(listed(self->thread.tid, &since));
	/* The coarse clock is behind, by up to a tick. */
	EXPECT_LE(start, since + 20 * MSEC);
	EXPECT_GE(rc_now(), since);
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	self->thread.stage = 2;
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
}

TEST_F(cancel, query)
{
	struct rpccancel_query query;

	ASSERT_EQ(RPC_S_OK, rpccancel_query(&query));
	EXPECT_LE(RPCCANCEL_ABI_VERSION, query.abi);
	EXPECT_EQ(RPCCANCEL_CLASS_ALL,
		  query.classes & RPCCANCEL_CLASS_ALL);
}

/* The grace is for calls that listen; a thread keeps it for all its calls. */
TEST_F(cancel, grace)
{
	EXPECT_EQ(RPC_S_OK, RpcMgmtSetCancelTimeout(0));
	EXPECT_EQ(RPC_S_OK, RpcMgmtSetCancelTimeout(30));
	EXPECT_EQ(RPC_S_OK,
		  RpcMgmtSetCancelTimeout(RPC_C_CANCEL_INFINITE_TIMEOUT));
	EXPECT_EQ(RPC_S_INVALID_TIMEOUT, RpcMgmtSetCancelTimeout(-2));
	EXPECT_EQ(RPC_S_INVALID_TIMEOUT,
		  RpcCancelThreadEx(RPCCANCEL_CURRENT_THREAD, -2));
}

RPCCANCEL_TEST_MAIN
