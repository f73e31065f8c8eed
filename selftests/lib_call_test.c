// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Calls of the library's run time with the real module: told by a descriptor,
 * in a ring and to poll(2), with grace periods, and inside scopes. The functions
 * are internal; the static library has them.
 */
#define _GNU_SOURCE
#include <liburing.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <rpccancel.h>

#include "../libuser/call.h"
#include "kselftest_harness.h"
#include "rpccancel_util.h"

#define MSEC 1000000ULL
#define SECOND 1000000000ULL
#define CANCEL RPCCANCEL_REASON_CANCEL
#define GRACE RPCCANCEL_REASON_GRACE
#define TARGET RPCCANCEL_REASON_TARGET

/* A thread in a call that waits for a byte of a pipe, the answer. */
FIXTURE(call)
{
	int pipe[2];
	struct rc_thread thread;
	void *handle;
	/* To be set by the test. */
	bool ring;
	uint32_t flags;
	long grace; /* in seconds, RpcMgmtSetCancelTimeout(); 0 none set */
	/* What came of it. */
	int begun, errors;
	int told; /* how often it was told that it is cancelled */
	struct rpcc_call_cancel first, last;
	uint64_t end;
};

FIXTURE_SETUP(call)
{
	memset(self, 0, sizeof(*self));
	ASSERT_EQ(0, pipe(self->pipe));
}

FIXTURE_TEARDOWN(call)
{
	if (self->handle)
		rpccancel_thread_close(self->handle);
	close(self->pipe[0]);
	close(self->pipe[1]);
}

static int poll_two(int fd, int answer, bool *told)
{
	struct pollfd fds[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = answer, .events = POLLIN },
	};

	if (poll(fds, 2, -1) < 0)
		return -errno;
	*told = fds[0].revents;
	return fds[1].revents ? 1 : 0;
}

/* Returns 1 for the answer. @told is for what the ring says meanwhile. */
static int ring_two(struct io_uring *ring, bool *told)
{
	struct io_uring_cqe *cqe;
	int ret, answered = 0;

	do {
		ret = io_uring_wait_cqe(ring, &cqe);
	} while (ret == -EINTR);
	if (ret)
		return ret;
	while (!io_uring_peek_cqe(ring, &cqe)) {
		if (cqe->res < 0)
			answered = cqe->res;
		else if (cqe->user_data)
			answered = 1;
		else
			*told = true;
		io_uring_cqe_seen(ring, cqe);
	}
	return answered;
}

static int ring_start(struct io_uring *ring, int fd, int answer)
{
	struct io_uring_sqe *sqe;
	int ret = io_uring_queue_init(8, ring, 0);

	if (ret)
		return ret;
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, 0);
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_poll_add(sqe, answer, POLLIN);
	io_uring_sqe_set_data64(sqe, 1);
	ret = io_uring_submit(ring);
	return ret < 0 ? ret : 0;
}

static void listen_to(FIXTURE_DATA(call) *self, const struct rpcc_call *call)
{
	struct rpcc_call_cancel cancel;

	if (!rpcc_call_cancelled(call, &cancel))
		return;
	if (!self->told)
		self->first = cancel;
	self->last = cancel;
	self->told++;
}

static long one_call(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;
	struct io_uring ring;
	struct rpcc_call call;
	int ret = 0, fd;

	if (self->grace)
		RpcMgmtSetCancelTimeout(self->grace);
	fd = rpcc_call_fd();
	if (self->ring)
		ret = ring_start(&ring, fd, self->pipe[0]);
	self->begun = rpcc_call_begin(&call, self->flags, 0x77);
	t->stage = 1;
	while (!ret) {
		bool told = false;

		ret = self->ring ? ring_two(&ring, &told) :
				   poll_two(fd, self->pipe[0], &told);
		if (told)
			listen_to(self, &call);
		if (self->told)
			t->stage = 1 + self->told;
	}
	self->end = rc_now();
	rpcc_call_end(&call);
	if (self->ring)
		io_uring_queue_exit(&ring);
	return ret;
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(call) *self)
{
	ASSERT_EQ(0, rc_start(&self->thread, -1, one_call, self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid,
				   self->ring ? SYS_io_uring_enter :
						RC_SYS_POLL,
				   RC_PATIENCE));
	ASSERT_EQ(0, self->begun);
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_open(self->thread.tid,
						  THREAD_ALL_ACCESS,
						  &self->handle));
}

/* It has got its answer, and nothing in between was refused. */
static void finish(struct __test_metadata *_metadata, FIXTURE_DATA(call) *self)
{
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(1, self->thread.ret);
}

static void told_and_answered(struct __test_metadata *_metadata,
			      FIXTURE_DATA(call) *self)
{
	struct rpccancel_info info;

	start(_metadata, self);
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_info(self->handle, &info));
	EXPECT_EQ(RPCCANCEL_MODE_CALL, info.mode);
	EXPECT_EQ(0x77, info.tag);
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 2, RC_PATIENCE));
	finish(_metadata, self);
	EXPECT_EQ(1, self->told);
	EXPECT_EQ(CANCEL | TARGET, self->first.reason);
	EXPECT_EQ(RPCCANCEL_INFINITE, self->first.deadline);
}

TEST_F(call, is_told_at_once_in_poll)
{
	told_and_answered(_metadata, self);
}

TEST_F(call, is_told_at_once_in_a_ring)
{
	self->ring = true;
	told_and_answered(_metadata, self);
}

static void deadline_of_target(struct __test_metadata *_metadata,
			       FIXTURE_DATA(call) *self)
{
	uint64_t asked;

	self->grace = 300;
	start(_metadata, self);
	asked = rc_now();
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 2, RC_PATIENCE));
	finish(_metadata, self);
	EXPECT_EQ(CANCEL | TARGET, self->first.reason);
	EXPECT_LE(asked + 300 * SECOND, self->first.deadline);
	EXPECT_GE(rc_now() + 300 * SECOND, self->first.deadline);
}

TEST_F(call, knows_the_end_of_its_own_grace_in_poll)
{
	deadline_of_target(_metadata, self);
}

TEST_F(call, knows_the_end_of_its_own_grace_in_a_ring)
{
	self->ring = true;
	deadline_of_target(_metadata, self);
}

static long cancel_ex(struct rc_thread *t)
{
	return RpcCancelThreadEx(t->arg, 300);
}

/* The canceller waits for the end of the call. */
TEST_F(call, knows_a_grace_that_is_the_cancellers)
{
	struct rc_thread canceller;
	uint64_t asked;

	self->ring = true;
	self->grace = 7;
	start(_metadata, self);
	asked = rc_now();
	ASSERT_EQ(0, rc_start(&canceller, -1, cancel_ex, self->handle));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 2, RC_PATIENCE));
	EXPECT_FALSE(canceller.done);
	finish(_metadata, self);
	ASSERT_EQ(0, rc_join(&canceller, RC_PATIENCE));
	EXPECT_EQ(RPC_S_OK, canceller.ret);
	EXPECT_EQ(CANCEL, self->first.reason);
	EXPECT_LE(asked + 300 * SECOND, self->first.deadline);
	EXPECT_GE(rc_now() + 300 * SECOND, self->first.deadline);
}

static void grace_over(struct __test_metadata *_metadata,
		       FIXTURE_DATA(call) *self)
{
	struct rpccancel_request request = {
		.size = sizeof(request),
		.grace = 200 * MSEC,
	};
	struct rpccancel_info info;

	start(_metadata, self);
	EXPECT_EQ(RPC_S_OK, rpccancel_cancel(self->handle, &request));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 3, RC_PATIENCE));
	/* It is told, not refused: it goes on until its answer comes. */
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid,
				   self->ring ? SYS_io_uring_enter :
						RC_SYS_POLL,
				   RC_PATIENCE));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_info(self->handle, &info));
	EXPECT_EQ(CANCEL | GRACE, info.reason);
	finish(_metadata, self);
	EXPECT_EQ(2, self->told);
	EXPECT_EQ(CANCEL, self->first.reason);
	EXPECT_EQ(CANCEL | GRACE, self->last.reason);
	EXPECT_EQ(0, self->last.deadline);
}

TEST_F(call, is_told_the_end_of_the_grace_in_poll)
{
	grace_over(_metadata, self);
}

TEST_F(call, is_told_the_end_of_the_grace_in_a_ring)
{
	self->ring = true;
	grace_over(_metadata, self);
}

TEST_F(call, that_needs_a_finite_grace_says_so)
{
	self->flags = RPCCANCEL_SLOT_FINITE;
	start(_metadata, self);
	EXPECT_EQ(RPC_S_INVALID_TIMEOUT, RpcCancelThread(self->handle));
	EXPECT_EQ(RPC_S_INVALID_TIMEOUT,
		  RpcCancelThreadEx(self->handle,
				    RPC_C_CANCEL_INFINITE_TIMEOUT));
	finish(_metadata, self);
	EXPECT_EQ(0, self->told);
}

TEST_F(call, that_needs_a_finite_grace_may_have_one)
{
	self->flags = RPCCANCEL_SLOT_FINITE;
	self->grace = 300;
	start(_metadata, self);
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(self->handle));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 2, RC_PATIENCE));
	finish(_metadata, self);
}

TEST_F(call, that_cannot_be_cancelled_says_so)
{
	self->flags = RPCCANCEL_SLOT_NO_CANCEL;
	start(_metadata, self);
	EXPECT_EQ(RPC_S_CANNOT_SUPPORT, RpcCancelThread(self->handle));
	EXPECT_EQ(RPC_S_CANNOT_SUPPORT, RpcCancelThreadEx(self->handle, 1));
	finish(_metadata, self);
	EXPECT_EQ(0, self->told);
}

/* Below, the calling thread cancels itself. */

static void cancel_me(struct __test_metadata *_metadata, uint64_t grace)
{
	struct rpccancel_request request = {
		.size = sizeof(request),
		.grace = grace,
	};

	ASSERT_EQ(RPC_S_OK,
		  rpccancel_cancel(RPCCANCEL_CURRENT_THREAD, &request));
}

/* What poll(2) says: 0 after a while of nothing. */
static int poll_for(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int ret = poll(&pfd, 1, ms);

	return ret < 0 ? -errno : ret;
}

TEST_F(call, begins_cancelled_if_the_cancel_came_before)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call call;
	struct rusage before, after;
	int fd = rpcc_call_fd();

	ASSERT_LE(0, fd);
	cancel_me(_metadata, RPCCANCEL_INFINITE);
	EXPECT_EQ(0, poll_for(fd, 0));
	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	EXPECT_EQ(1, poll_for(fd, 0));
	ASSERT_TRUE(rpcc_call_cancelled(&call, &cancel));
	EXPECT_EQ(CANCEL, cancel.reason);
	EXPECT_EQ(RPCCANCEL_INFINITE, cancel.deadline);
	EXPECT_EQ(0, poll_for(fd, 0));

	/* A call that was told is left to sleep. */
	ASSERT_EQ(0, getrusage(RUSAGE_THREAD, &before));
	EXPECT_EQ(0, poll_for(self->pipe[0], 200));
	ASSERT_EQ(0, getrusage(RUSAGE_THREAD, &after));
	EXPECT_GE(20, after.ru_nvcsw - before.ru_nvcsw);
	rpcc_call_end(&call);

	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	EXPECT_FALSE(rpcc_call_cancelled(&call, &cancel));
	EXPECT_EQ(0, poll_for(fd, 0));
	rpcc_call_end(&call);
}

TEST_F(call, leaves_nothing_to_read_to_the_next)
{
	struct rpcc_call call;
	int fd = rpcc_call_fd();

	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	cancel_me(_metadata, 0);
	EXPECT_EQ(1, poll_for(fd, 0));
	rpcc_call_end(&call);
	EXPECT_EQ(0, poll_for(fd, 0));
}

static long read_once(int fd)
{
	char byte;
	long n = read(fd, &byte, 1);

	return n < 0 ? -errno : n;
}

/* Nothing more is told when the call ends, but the scope is sticky again. */
TEST_F(call, in_a_scope_leaves_the_scope_cancelled)
{
	struct rpcc_call_cancel cancel;
	struct rpccancel_scope scope;
	struct rpcc_call call;

	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&scope, NULL));
	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	cancel_me(_metadata, RPCCANCEL_INFINITE);
	EXPECT_EQ(0, poll_for(self->pipe[0], RC_WHILE));
	EXPECT_TRUE(rpcc_call_cancelled(&call, &cancel));
	rpcc_call_end(&call);
	EXPECT_EQ(CANCEL, rpccancel_scope_test());
	EXPECT_EQ(-ECANCELED, read_once(self->pipe[0]));
	EXPECT_EQ(-ECANCELED, poll_for(self->pipe[0], RC_PATIENCE));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&scope));
}

TEST_F(call, in_a_scope_leaves_the_scope_cancelled_after_the_grace)
{
	struct rpcc_call_cancel cancel;
	struct rpccancel_scope scope;
	struct rpcc_call call;

	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&scope, NULL));
	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	cancel_me(_metadata, 0);
	EXPECT_TRUE(rpcc_call_cancelled(&call, &cancel));
	EXPECT_EQ(CANCEL | GRACE, cancel.reason);
	rpcc_call_end(&call);
	EXPECT_EQ(-ECANCELED, read_once(self->pipe[0]));

	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	EXPECT_TRUE(rpcc_call_cancelled(&call, &cancel));
	EXPECT_EQ(CANCEL | GRACE, cancel.reason);
	EXPECT_EQ(0, cancel.deadline);
	EXPECT_EQ(0, poll_for(self->pipe[0], RC_WHILE));
	rpcc_call_end(&call);
	EXPECT_EQ(-ECANCELED, read_once(self->pipe[0]));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&scope));
}

TEST_F(call, in_a_cancelled_scope_is_cancelled_from_the_start)
{
	struct rpcc_call_cancel cancel;
	struct rpccancel_scope scope;
	struct rpcc_call call;
	uint64_t deadline;

	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&scope, NULL));
	cancel_me(_metadata, 300 * SECOND);
	EXPECT_EQ(-ECANCELED, read_once(self->pipe[0]));
	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	ASSERT_TRUE(rpcc_call_cancelled(&call, &cancel));
	EXPECT_EQ(CANCEL, cancel.reason);
	EXPECT_GE(rc_now() + 300 * SECOND, cancel.deadline);
	deadline = cancel.deadline;
	/* The grace has begun: its system calls are not refused any more. */
	EXPECT_EQ(0, poll_for(self->pipe[0], RC_WHILE));
	rpcc_call_end(&call);
	EXPECT_EQ(-ECANCELED, read_once(self->pipe[0]));

	/* Another call does not make the grace longer. */
	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	ASSERT_TRUE(rpcc_call_cancelled(&call, &cancel));
	EXPECT_EQ(deadline, cancel.deadline);
	rpcc_call_end(&call);
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&scope));
}

/* As in a callback of an RPC. */
TEST_F(call, may_have_a_scope_in_it)
{
	struct rpcc_call_cancel cancel;
	struct rpccancel_scope scope;
	struct rpcc_call call;

	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&scope, NULL));
	cancel_me(_metadata, RPCCANCEL_INFINITE);
	EXPECT_EQ(-ECANCELED, read_once(self->pipe[0]));
	EXPECT_EQ(RPC_S_CALL_CANCELLED, rpccancel_scope_end(&scope));
	EXPECT_TRUE(rpcc_call_cancelled(&call, &cancel));
	EXPECT_EQ(RPCCANCEL_INFINITE, cancel.deadline);
	EXPECT_EQ(0, poll_for(self->pipe[0], RC_WHILE));
	rpcc_call_end(&call);
	EXPECT_EQ(0, rpccancel_scope_test());
}

TEST_F(call, is_not_inherited_by_a_child)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call call, own;
	int fd = rpcc_call_fd();
	pid_t pid;

	ASSERT_EQ(0, rpcc_call_begin(&call, 0, 0));
	pid = rc_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		bool good = fcntl(fd, F_GETFD) < 0 &&
			    !rpcc_call_cancelled(&call, &cancel);

		rpcc_call_end(&call);
		good = good && !rpcc_call_begin(&own, 0, 0) &&
		       !RpcCancelThread(RPCCANCEL_CURRENT_THREAD) &&
		       rpcc_call_cancelled(&own, &cancel);
		_exit(!good);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	EXPECT_FALSE(rpcc_call_cancelled(&call, &cancel));
	rpcc_call_end(&call);
}

/*
 * Which back end it is: chosen once in a process, and each test is one. The
 * device comes back whatever happens, for the tests after it.
 */
FIXTURE(choice)
{
	struct stat device;
};

FIXTURE_SETUP(choice)
{
	if (geteuid())
		SKIP(return, "only root can change the device");
	ASSERT_EQ(0, stat(RC_DEVICE, &self->device));
}

FIXTURE_TEARDOWN(choice)
{
	rename(RC_DEVICE ".away", RC_DEVICE);
	chmod(RC_DEVICE, self->device.st_mode & 07777);
}

static bool can_be_cancelled(void)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call call;
	bool cancelled;

	if (rpcc_call_begin(&call, 0, 0) ||
	    RpcCancelThread(RPCCANCEL_CURRENT_THREAD) != RPC_S_OK)
		return false;
	cancelled = rpcc_call_cancelled(&call, &cancel);
	rpcc_call_end(&call);
	return cancelled;
}

TEST_F(choice, is_the_module)
{
	EXPECT_STREQ("kernel", rpccancel_backend_name());
	EXPECT_TRUE(can_be_cancelled());
}

TEST_F(choice, can_be_user_space)
{
	struct rpccancel_scope scope;

	ASSERT_EQ(0, setenv("RPCCANCEL_BACKEND", "user", 1));
	EXPECT_STREQ("user", rpccancel_backend_name());
	EXPECT_TRUE(can_be_cancelled());
	EXPECT_EQ(RPC_S_CANNOT_SUPPORT, rpccancel_scope_begin(&scope, NULL));
}

/* Calls can be had without permission, scopes cannot, and say why. */
TEST_F(choice, is_user_space_without_permission)
{
	struct rpccancel_query query;
	struct rpccancel_scope scope;
	pid_t pid;

	ASSERT_EQ(0, chmod(RC_DEVICE, 0600));
	pid = rc_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(setresuid(65534, 65534, 65534) ||
		      rpccancel_scope_begin(&scope, NULL) !=
			      RPC_S_ACCESS_DENIED ||
		      !can_be_cancelled() ||
		      rpccancel_scope_begin(&scope, NULL) !=
			      RPC_S_ACCESS_DENIED ||
		      rpccancel_query(&query) != RPC_S_ACCESS_DENIED ||
		      strcmp(rpccancel_backend_name(), "user"));
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
}

TEST_F(choice, is_the_module_that_is_loaded_later)
{
	struct rpccancel_scope scope;

	ASSERT_EQ(0, rename(RC_DEVICE, RC_DEVICE ".away"));
	EXPECT_STREQ("user", rpccancel_backend_name());
	EXPECT_EQ(RPC_S_CANNOT_SUPPORT, rpccancel_scope_begin(&scope, NULL));
	ASSERT_EQ(0, rename(RC_DEVICE ".away", RC_DEVICE));
	ASSERT_EQ(RPC_S_OK, rpccancel_scope_begin(&scope, NULL));
	EXPECT_EQ(RPC_S_OK, rpccancel_scope_end(&scope));
	EXPECT_STREQ("kernel", rpccancel_backend_name());
}

TEST_F(choice, stays_once_it_is_used)
{
	struct rpccancel_scope scope;

	ASSERT_EQ(0, rename(RC_DEVICE, RC_DEVICE ".away"));
	EXPECT_TRUE(can_be_cancelled());
	ASSERT_EQ(0, rename(RC_DEVICE ".away", RC_DEVICE));
	EXPECT_EQ(RPC_S_CANNOT_SUPPORT, rpccancel_scope_begin(&scope, NULL));
	EXPECT_STREQ("user", rpccancel_backend_name());
	EXPECT_TRUE(can_be_cancelled());
}

RPCCANCEL_TEST_MAIN
