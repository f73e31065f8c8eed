// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Scopes of librpccancel with the real module: cancelled, nested, with
 * deadlines, errnos and classes, and their cost in system calls.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <rpccancel.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

#define MSEC 1000000ULL

/* A thread in a scope that reads from a socket that stays silent. */
struct reader {
	struct rpccancel_scope_attr attr;
	int fd;
	int want;		/* reads to try */
	long ret[3];		/* what they have returned */
	RPC_STATUS begun, ended;
	unsigned int test;	/* in the scope, after the reads */
	unsigned int after;	/* and after its end */
};

static long read_once(int fd)
{
	char byte;
	long n = recv(fd, &byte, 1, 0);

	return n < 0 ? -errno : n;
}

static long reader_main(struct rc_thread *t)
{
	struct reader *r = t->arg;
	struct rpccancel_scope scope;
	int i;

	r->begun = rpccancel_scope_begin(&scope, &r->attr);
	t->stage = 1;
	for (i = 0; i < r->want; i++)
		r->ret[i] = read_once(r->fd);
	r->test = rpccancel_scope_test();
	r->ended = rpccancel_scope_end(&scope);
	r->after = rpccancel_scope_test();
	return 0;
}

static int reader_start(struct rc_thread *t, struct reader *r)
{
	int ret = rc_start(t, -1, reader_main, r);

	if (!ret && !rc_wait_asleep(t->tid, SYS_recvfrom, RC_PATIENCE))
		ret = -ETIMEDOUT;
	return ret;
}

FIXTURE(scope)
{
	int pair[2];
	struct reader reader;
	struct rc_thread thread;
	void *handle;
};

FIXTURE_SETUP(scope)
{
	memset(&self->reader, 0, sizeof(self->reader));
	self->handle = NULL;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->pair));
	self->reader.attr.size = sizeof(self->reader.attr);
	self->reader.fd = self->pair[0];
	self->reader.want = 1;
}

FIXTURE_TEARDOWN(scope)
{
	if (self->handle)
		rpccancel_thread_close(self->handle);
	close(self->pair[0]);
	close(self->pair[1]);
}

TEST_F(scope, cancelled)
{
	struct reader *r = &self->reader;

	r->want = 3;
	ASSERT_EQ(0, reader_start(&self->thread, r));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_open(self->thread.tid,
						  THREAD_SET_CONTEXT,
						  &self->handle));
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(RPC_S_OK, r->begun);
	EXPECT_EQ(-ECANCELED, r->ret[0]);
	EXPECT_EQ(-ECANCELED, r->ret[1]);
	EXPECT_EQ(-ECANCELED, r->ret[2]);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, r->test);
	EXPECT_EQ(RPC_S_CALL_CANCELLED, r->ended);
	EXPECT_EQ(0, r->after);
}

TEST_F(scope, own_errno)
{
	struct reader *r = &self->reader;

	r->attr.error = EINTR;
	r->attr.tag = 0x1234;
	ASSERT_EQ(0, reader_start(&self->thread, r));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_open(self->thread.tid,
						  THREAD_SET_CONTEXT,
						  &self->handle));
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(-EINTR, r->ret[0]);
	EXPECT_EQ(RPC_S_CALL_CANCELLED, r->ended);
}

/* What its classes leave out is not touched, and the data gets through. */
TEST_F(scope, other_class)
{
	struct reader *r = &self->reader;

	r->attr.classes = RPCCANCEL_CLASS_SLEEP;
	ASSERT_EQ(0, reader_start(&self->thread, r));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_open(self->thread.tid,
						  THREAD_SET_CONTEXT,
						  &self->handle));
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	rc_sleep(RC_WHILE);
	EXPECT_FALSE(self->thread.done);
	ASSERT_EQ(1, write(self->pair[1], "x", 1));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(1, r->ret[0]);
	EXPECT_EQ(RPC_S_CALL_CANCELLED, r->ended);
}

TEST_F(scope, deadline)
{
	struct reader *r = &self->reader;
	uint64_t start = rc_now();

	r->attr.timeout = 50 * MSEC;
	r->want = 2;
	ASSERT_EQ(0, rc_start(&self->thread, -1, reader_main, r));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_LE(50 * MSEC, rc_now() - start);
	EXPECT_EQ(-ETIMEDOUT, r->ret[0]);
	EXPECT_EQ(-ETIMEDOUT, r->ret[1]);
	EXPECT_EQ(RPCCANCEL_REASON_DEADLINE, r->test);
	EXPECT_EQ(RPC_S_TIMEOUT, r->ended);
}

/* A cancel that came before the scope is for the scope. */
TEST_F(scope, cancelled_before)
{
	struct rpccancel_scope s;

	ASSERT_EQ(RPC_S_OK, rpccancel_thread_attach());
	ASSERT_EQ(RPC_S_OK, RpcCancelThread(RPCCANCEL_CURRENT_THREAD));
	EXPECT_EQ(0, rpccancel_scope_test());
	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&s, NULL));
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, rpccancel_scope_test());
	EXPECT_EQ(-ECANCELED, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&s));

	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&s, NULL));
	EXPECT_EQ(0, rpccancel_scope_test());
	EXPECT_EQ(RPC_S_OK, rpccancel_scope_end(&s));
}

TEST_F(scope, cancels_itself)
{
	struct rpccancel_scope s;

	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&s, NULL));
	EXPECT_EQ(RPC_S_ACCESS_DENIED, RpcTestCancel());
	EXPECT_EQ(RPC_S_OK, RpcCancelThreadEx(RPCCANCEL_CURRENT_THREAD,
					      RPC_C_CANCEL_INFINITE_TIMEOUT));
	EXPECT_EQ(RPC_S_OK, RpcTestCancel());
	EXPECT_EQ(-ECANCELED, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&s));
}

static const struct rpccancel_scope_attr *with(uint32_t classes, int error,
					       uint64_t timeout)
{
	static struct rpccancel_scope_attr attr;

	attr = (struct rpccancel_scope_attr){
		.size = sizeof(attr),
		.classes = classes,
		.error = error,
		.timeout = timeout,
	};
	return &attr;
}

TEST_F(scope, nested_cancel)
{
	struct rpccancel_scope outer, inner;

	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&outer, NULL));
	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&inner, with(0, EINTR, 0)));
	ASSERT_EQ(RPC_S_OK, RpcCancelThread(RPCCANCEL_CURRENT_THREAD));
	EXPECT_EQ(-EINTR, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_CALL_IN_PROGRESS, rpccancel_scope_end(&outer));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&inner));
	EXPECT_EQ(-ECANCELED, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&outer));
}

/* Disjoint classes leave nothing that may fail. */
TEST_F(scope, nested_classes)
{
	struct rpccancel_scope outer, inner;
	struct timeval wait = { .tv_usec = RC_WHILE * 1000 };

	ASSERT_EQ(0, setsockopt(self->pair[0], SOL_SOCKET, SO_RCVTIMEO, &wait,
				sizeof(wait)));
	ASSERT_EQ(RPC_S_OK,
		  rpccancel_scope_begin(&outer,
					with(RPCCANCEL_CLASS_RECV, 0, 0)));
	ASSERT_EQ(RPC_S_OK,
		  rpccancel_scope_begin(&inner,
					with(RPCCANCEL_CLASS_EPOLL, 0, 0)));
	ASSERT_EQ(RPC_S_OK, RpcCancelThread(RPCCANCEL_CURRENT_THREAD));
	EXPECT_EQ(-EAGAIN, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&inner));
	EXPECT_EQ(-ECANCELED, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&outer));
}

/* An inner deadline that has passed does not doom the outer scope. */
TEST_F(scope, nested_deadline)
{
	struct rpccancel_scope outer, inner;

	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&outer, NULL));
	ASSERT_EQ(RPC_S_OK,
		  rpccancel_scope_begin(&inner, with(0, 0, 20 * MSEC)));
	EXPECT_EQ(-ETIMEDOUT, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_TIMEOUT, rpccancel_scope_end(&inner));
	EXPECT_EQ(0, rpccancel_scope_test());
	ASSERT_EQ(1, write(self->pair[1], "x", 1));
	EXPECT_EQ(1, read_once(self->pair[0]));

	/* And it was only this once: nothing sleeps less for it. */
	ASSERT_EQ(RPC_S_OK, rpccancel_scope_set_timeout(50 * MSEC));
	EXPECT_EQ(-ETIMEDOUT, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_TIMEOUT, rpccancel_scope_end(&outer));
}

TEST_F(scope, nested_deadline_outer)
{
	struct rpccancel_scope outer, inner;

	ASSERT_EQ(RPC_S_OK,
		  rpccancel_scope_begin(&outer, with(0, 0, 20 * MSEC)));
	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&inner,
						  with(0, 0, 60000 * MSEC)));
	EXPECT_EQ(-ETIMEDOUT, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_TIMEOUT, rpccancel_scope_end(&inner));
	EXPECT_EQ(-ETIMEDOUT, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_TIMEOUT, rpccancel_scope_end(&outer));
}

TEST_F(scope, set_timeout)
{
	struct rpccancel_scope s;

	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&s, NULL));
	ASSERT_EQ(RPC_S_OK, rpccancel_scope_set_timeout(0));
	EXPECT_EQ(-ETIMEDOUT, read_once(self->pair[0]));
	ASSERT_EQ(RPC_S_OK, rpccancel_scope_set_timeout(RPCCANCEL_INFINITE));
	EXPECT_EQ(0, rpccancel_scope_test());
	EXPECT_EQ(RPC_S_OK, rpccancel_scope_end(&s));
}

TEST_F(scope, errno_is_kept)
{
	struct rpccancel_scope s;

	errno = 4242;
	EXPECT_EQ(RPC_S_OK, rpccancel_scope_begin(&s, with(0, 0, 1)));
	EXPECT_EQ(4242, errno);
	read_once(self->pair[0]);
	errno = 4242;
	EXPECT_EQ(RPC_S_TIMEOUT, rpccancel_scope_end(&s));
	EXPECT_EQ(4242, errno);
}

/* In strict mode the kernel kills whoever makes a system call but the last. */
TEST_F(scope, no_system_calls)
{
	pid_t pid = rc_fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct rpccancel_scope outer, inner;

		if (rpccancel_scope_begin(&outer, NULL) ||
		    rpccancel_scope_end(&outer) ||
		    prctl(PR_SET_SECCOMP, 1))
			syscall(SYS_exit, 1);
		for (int i = 0; i < 1000; i++)
			if (rpccancel_scope_begin(&outer, NULL) ||
			    rpccancel_scope_begin(&inner, NULL) ||
			    rpccancel_scope_test() ||
			    rpccancel_scope_end(&inner) ||
			    rpccancel_scope_end(&outer))
				syscall(SYS_exit, 2);
		syscall(SYS_exit, 0);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
}

/* A child has its own, from the start; the parent's goes on. */
TEST_F(scope, fork)
{
	struct rpccancel_scope s, own;
	pid_t pid;

	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&s, NULL));
	pid = rc_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		bool good = rpccancel_scope_test() == 0 &&
			    rpccancel_scope_end(&s) == RPC_S_NO_CALL_ACTIVE &&
			    !rpccancel_scope_begin(&own, NULL) &&
			    !RpcCancelThread(RPCCANCEL_CURRENT_THREAD) &&
			    read_once(self->pair[0]) == -ECANCELED &&
			    rpccancel_scope_end(&own) == RPC_S_CALL_CANCELLED;

		_exit(!good);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	EXPECT_EQ(0, rpccancel_scope_test());
	ASSERT_EQ(RPC_S_OK, RpcCancelThread(RPCCANCEL_CURRENT_THREAD));
	EXPECT_EQ(-ECANCELED, read_once(self->pair[0]));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&s));
}

RPCCANCEL_TEST_MAIN
