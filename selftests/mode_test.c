// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What a cancel does: the two modes, grace periods, deadlines, generations,
 * and what the canceller is told about all that.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

#define MS	RC_NSEC_PER_MSEC
#define GRACE	300			/* ms */

/* A thread in one call that reads from a pipe. */
FIXTURE(call)
{
	int dev;
	int pipe[2];
	struct rc_thread thread;
	bool started;
	/* To be set by the test. */
	uint32_t flags;
	int error;
	uint64_t grace;
	int deadline;		/* in ms, from the begin */
	void (*before)(struct rc_thread *t);
	/* What came of it. */
	uint64_t gen, begin, end, cancel, refused;
	uint32_t reason;
	int deadline_error;
};

FIXTURE_SETUP(call)
{
	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, pipe(self->pipe));
	self->grace = RPCCANCEL_INFINITE;
}

FIXTURE_TEARDOWN(call)
{
	close(self->dev);
	close(self->pipe[0]);
	close(self->pipe[1]);
}

static long one_call(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;
	char byte;
	long ret;

	t->slot->grace = self->grace;
	self->begin = rc_now();
	self->gen = rc_begin(t->dev, t->slot, self->flags, 0, self->error);
	if (self->deadline)
		self->deadline_error = rc_deadline(t->dev, self->begin +
						   self->deadline * MS);
	t->stage = 1;
	if (self->before)
		self->before(t);
	ret = read(self->pipe[0], &byte, 1);
	if (ret < 0)
		ret = -errno;
	self->end = rc_now();
	self->cancel = t->slot->cancel;
	self->reason = t->slot->reason;
	self->refused = t->slot->refused;
	t->stage = 2;
	rc_end(t->dev, t->slot);
	return ret;
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(call) *self)
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_call, self));
	rc_set_nonblock(self->thread.handle, true);
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
}

static void finish(struct __test_metadata *_metadata, FIXTURE_DATA(call) *self,
		   long ret)
{
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(ret, self->thread.ret);
}

static void feed(struct __test_metadata *_metadata, FIXTURE_DATA(call) *self)
{
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
}

static bool still_asleep(FIXTURE_DATA(call) *self)
{
	rc_sleep(RC_WHILE);
	return !self->thread.done &&
	       rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE);
}

static int took(FIXTURE_DATA(call) *self)
{
	return (self->end - self->begin) / MS;
}

TEST_F(call, mode_call_is_told_and_goes_on_without_end_of_grace)
{
	struct rpccancel_cancel c;
	struct rpccancel_event ev;

	self->flags = RPCCANCEL_MODE_CALL;
	start(_metadata, self);
	EXPECT_EQ(0, rc_poll(self->thread.handle, POLLIN, 0));
	EXPECT_EQ(-1, read(self->thread.handle, &ev, sizeof(ev)));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, c.result);
	EXPECT_EQ(self->gen, c.gen);
	EXPECT_TRUE(rc_poll(self->thread.handle, POLLIN, RC_PATIENCE) & POLLIN);
	ASSERT_EQ(sizeof(ev), read(self->thread.handle, &ev, sizeof(ev)));
	EXPECT_EQ(self->gen, ev.gen);
	EXPECT_EQ(0, ev.deadline);
	EXPECT_EQ(1, ev.count);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, ev.reason);
	EXPECT_EQ(0, ev.pad);
	EXPECT_EQ(0, rc_poll(self->thread.handle, POLLIN, 0));
	EXPECT_EQ(self->gen, self->thread.slot->cancel);
	EXPECT_EQ(RPCCANCEL_RESULT_DELIVERED,
		  rc_wait(self->thread.handle, self->gen,
			  RPCCANCEL_WAIT_DELIVERED, RC_PATIENCE));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_wait(self->thread.handle, self->gen,
			  RPCCANCEL_WAIT_ENDED, 20));
	EXPECT_TRUE(still_asleep(self));
	feed(_metadata, self);
	finish(_metadata, self, 1);
	EXPECT_EQ(0, self->refused);
	EXPECT_EQ(self->gen, self->cancel);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, self->reason);
}

TEST_F(call, mode_call_is_refused_at_once_without_grace)
{
	self->flags = RPCCANCEL_MODE_CALL;
	start(_metadata, self);
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_cancel_result(self->thread.handle, self->gen));
	finish(_metadata, self, -ECANCELED);
	EXPECT_EQ(1, self->refused);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL | RPCCANCEL_REASON_GRACE,
		  self->reason);
}

TEST_F(call, mode_call_is_refused_when_the_grace_is_over)
{
	struct rpccancel_event ev;
	uint64_t asked;

	self->flags = RPCCANCEL_MODE_CALL;
	start(_metadata, self);
	asked = rc_now();
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen, GRACE * MS,
			       NULL));
	EXPECT_TRUE(rc_poll(self->thread.handle, POLLIN, RC_PATIENCE) & POLLIN);
	ASSERT_EQ(sizeof(ev), read(self->thread.handle, &ev, sizeof(ev)));
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, ev.reason);
	EXPECT_EQ(1, ev.count);
	EXPECT_GE(ev.deadline, asked + GRACE * MS);
	EXPECT_LE(ev.deadline, rc_now() + GRACE * MS);
	EXPECT_TRUE(rc_poll(self->thread.handle, POLLIN, RC_PATIENCE) & POLLIN);
	ASSERT_EQ(sizeof(ev), read(self->thread.handle, &ev, sizeof(ev)));
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL | RPCCANCEL_REASON_GRACE, ev.reason);
	EXPECT_EQ(1, ev.count);
	finish(_metadata, self, -ECANCELED);
	EXPECT_GE(self->end, asked + GRACE * MS);
	EXPECT_EQ(1, self->refused);
}

TEST_F(call, grace_of_the_target_is_what_its_slot_says)
{
	uint64_t asked;

	self->flags = RPCCANCEL_MODE_CALL;
	self->grace = GRACE * MS;
	start(_metadata, self);
	asked = rc_now();
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_GRACE_TARGET, NULL));
	finish(_metadata, self, -ECANCELED);
	EXPECT_GE(self->end, asked + GRACE * MS);
}

TEST_F(call, grace_of_the_target_without_end_is_without_end)
{
	self->flags = RPCCANCEL_MODE_CALL;
	start(_metadata, self);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_GRACE_TARGET, NULL));
	EXPECT_TRUE(still_asleep(self));
	EXPECT_EQ(self->gen, self->thread.slot->cancel);
	feed(_metadata, self);
	finish(_metadata, self, 1);
}

TEST_F(call, second_cancel_says_already_and_may_shorten_the_grace)
{
	struct rpccancel_cancel c;

	self->flags = RPCCANCEL_MODE_CALL;
	start(_metadata, self);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, NULL));
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_ALREADY, c.result);
	EXPECT_TRUE(still_asleep(self));
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen, 0, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_ALREADY, c.result);
	finish(_metadata, self, -ECANCELED);
}

TEST_F(call, scope_knows_no_grace)
{
	start(_metadata, self);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, NULL));
	finish(_metadata, self, -ECANCELED);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, self->reason);
}

TEST_F(call, that_cannot_be_cancelled_says_refused_and_is_left_alone)
{
	self->flags = RPCCANCEL_MODE_CALL | RPCCANCEL_SLOT_NO_CANCEL;
	start(_metadata, self);
	EXPECT_EQ(RPCCANCEL_RESULT_REFUSED,
		  rc_cancel_result(self->thread.handle, self->gen));
	EXPECT_EQ(RPCCANCEL_RESULT_REFUSED,
		  rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY));
	EXPECT_TRUE(still_asleep(self));
	EXPECT_EQ(0, self->thread.slot->cancel);
	EXPECT_EQ(0, rc_poll(self->thread.handle, POLLIN, 0));
	feed(_metadata, self);
	finish(_metadata, self, 1);
}

TEST_F(call, that_wants_a_finite_grace_says_so)
{
	struct rpccancel_cancel c;

	self->flags = RPCCANCEL_MODE_CALL | RPCCANCEL_SLOT_FINITE;
	start(_metadata, self);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_NOT_FINITE, c.result);
	/* The slot says infinite. */
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_GRACE_TARGET, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_NOT_FINITE, c.result);
	EXPECT_TRUE(still_asleep(self));
	EXPECT_EQ(0, self->thread.slot->cancel);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen, 10 * MS, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, c.result);
	finish(_metadata, self, -ECANCELED);
}

TEST_F(call, deadline_ends_a_scope_with_ETIMEDOUT)
{
	self->deadline = GRACE;
	/* It may be over before it can be seen asleep. */
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_call, self));
	finish(_metadata, self, -ETIMEDOUT);
	EXPECT_EQ(0, self->deadline_error);
	EXPECT_GE(took(self), GRACE);
	EXPECT_LT(took(self), GRACE + RC_PATIENCE);
	EXPECT_EQ(RPCCANCEL_REASON_DEADLINE, self->reason);
	EXPECT_EQ(self->gen, self->cancel);
	EXPECT_EQ(1, self->refused);
}

TEST_F(call, deadline_ends_a_call_with_ETIMEDOUT)
{
	struct rpccancel_event ev;

	self->flags = RPCCANCEL_MODE_CALL;
	self->deadline = GRACE;
	start(_metadata, self);
	EXPECT_TRUE(rc_poll(self->thread.handle, POLLIN, RC_PATIENCE) & POLLIN);
	ASSERT_EQ(sizeof(ev), read(self->thread.handle, &ev, sizeof(ev)));
	EXPECT_EQ(RPCCANCEL_REASON_DEADLINE, ev.reason);
	EXPECT_EQ(self->gen, ev.gen);
	finish(_metadata, self, -ETIMEDOUT);
	EXPECT_GE(took(self), GRACE);
}

TEST_F(call, deadline_ends_it_with_the_errno_of_the_scope)
{
	self->deadline = 50;
	self->error = ECONNABORTED;
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_call, self));
	finish(_metadata, self, -ECONNABORTED);
	EXPECT_EQ(RPCCANCEL_REASON_DEADLINE, self->reason);
}

TEST_F(call, cancel_before_the_deadline_gives_ECANCELED)
{
	self->deadline = 600000;
	start(_metadata, self);
	rc_cancel_result(self->thread.handle, self->gen);
	finish(_metadata, self, -ECANCELED);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, self->reason);
}

TEST_F(call, cancel_in_its_grace_leaves_the_deadline_in_force)
{
	self->flags = RPCCANCEL_MODE_CALL;
	self->deadline = GRACE;
	start(_metadata, self);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, NULL));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_LT(self->thread.ret, 0);
	EXPECT_GE(took(self), GRACE);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL | RPCCANCEL_REASON_DEADLINE,
		  self->reason);
}

static void take_back(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;

	self->deadline_error = rc_deadline(t->dev, 0);
}

TEST_F(call, deadline_can_be_taken_back)
{
	self->deadline = 100;
	self->before = take_back;
	start(_metadata, self);
	rc_sleep(150);
	EXPECT_TRUE(still_asleep(self));
	EXPECT_EQ(0, self->deadline_error);
	feed(_metadata, self);
	finish(_metadata, self, 1);
	EXPECT_EQ(0, self->cancel);
}

static void pass_and_take_back(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;

	/* It does not sleep, so it is only told. */
	while (!*(volatile __u64 *)&t->slot->cancel)
		;
	self->deadline_error = rc_deadline(t->dev, 0);
	self->cancel = t->slot->cancel;
}

TEST_F(call, deadline_that_has_passed_can_be_taken_back)
{
	self->deadline = 20;
	self->before = pass_and_take_back;
	start(_metadata, self);
	EXPECT_TRUE(still_asleep(self));
	feed(_metadata, self);
	finish(_metadata, self, 1);
	EXPECT_EQ(0, self->deadline_error);
	EXPECT_EQ(0, self->cancel);
	EXPECT_EQ(0, self->refused);
}

static void bring_forward(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;

	self->deadline_error = rc_deadline(t->dev, self->begin + GRACE * MS);
}

TEST_F(call, deadline_can_be_brought_forward)
{
	self->deadline = 600000;
	self->before = bring_forward;
	start(_metadata, self);
	finish(_metadata, self, -ETIMEDOUT);
	EXPECT_GE(took(self), GRACE);
}

static void new_call(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;

	rc_end(t->dev, t->slot);
	self->gen = rc_begin_scope(t->dev, t->slot);
}

TEST_F(call, deadline_goes_with_its_generation)
{
	self->deadline = 50;
	self->before = new_call;
	start(_metadata, self);
	rc_sleep(50);
	EXPECT_TRUE(still_asleep(self));
	feed(_metadata, self);
	finish(_metadata, self, 1);
	EXPECT_EQ(0, self->cancel);
}

static long deadline_in_no_call(struct rc_thread *t)
{
	return rc_deadline(t->dev, rc_now() + MS);
}

TEST_F(call, deadline_is_for_an_attached_thread_in_a_call)
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, deadline_in_no_call,
			      self));
	finish(_metadata, self, -EINVAL);
	EXPECT_EQ(-ESRCH, rc_deadline(self->dev, rc_now()));
}

TEST_F(call, wait_tells_what_became_of_the_cancel)
{
	int handle;

	start(_metadata, self);
	handle = rc_dup(self->thread.handle, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	EXPECT_EQ(RPCCANCEL_RESULT_NONE,
		  rc_wait(handle, self->gen, RPCCANCEL_WAIT_DELIVERED, 10));
	EXPECT_EQ(-EINVAL, rc_wait(handle, self->gen + 1, 0, 10));
	EXPECT_EQ(-EINVAL, rc_wait(handle, self->gen, 2, 10));
	rc_cancel_result(handle, self->gen);
	EXPECT_EQ(RPCCANCEL_RESULT_ENDED,
		  rc_wait(handle, self->gen, RPCCANCEL_WAIT_ENDED,
			  RC_PATIENCE));
	finish(_metadata, self, -ECANCELED);
	/* What is known stays known. */
	EXPECT_EQ(RPCCANCEL_RESULT_ENDED,
		  rc_wait(handle, self->gen, RPCCANCEL_WAIT_ENDED, 10));
	EXPECT_EQ(-ESRCH,
		  rc_wait(handle, self->gen + 2, RPCCANCEL_WAIT_ENDED, 10));
}

static long stay_in_the_call(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;
	char byte;
	long ret;

	self->gen = rc_begin_scope(t->dev, t->slot);
	ret = read(self->pipe[0], &byte, 1) < 0 ? -errno : 0;
	t->stage = 1;
	while (t->stage == 1)
		;
	rc_end(t->dev, t->slot);
	t->stage = 3;
	while (t->stage == 3)
		;
	return ret;
}

TEST_F(call, wait_distinguishes_delivered_and_ended)
{
	start(_metadata, self);
	feed(_metadata, self);
	finish(_metadata, self, 1);
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, stay_in_the_call,
			      self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
	rc_cancel_result(self->thread.handle, self->gen);
	EXPECT_EQ(RPCCANCEL_RESULT_DELIVERED,
		  rc_wait(self->thread.handle, self->gen,
			  RPCCANCEL_WAIT_DELIVERED, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_wait(self->thread.handle, self->gen,
			  RPCCANCEL_WAIT_ENDED, 20));
	self->thread.stage = 2;
	EXPECT_EQ(RPCCANCEL_RESULT_ENDED,
		  rc_wait(self->thread.handle, self->gen, RPCCANCEL_WAIT_ENDED,
			  RC_PATIENCE));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 3, RC_PATIENCE));
	/* It is over: asking for it again is too late. */
	EXPECT_EQ(RPCCANCEL_RESULT_TOO_LATE,
		  rc_cancel_result(self->thread.handle, self->gen));
	self->thread.stage = 4;
	finish(_metadata, self, -ECANCELED);
}

TEST_F(call, cannot_wait_for_itself)
{
	struct rpccancel_slot *slot;
	int handle;

	ASSERT_EQ(0, rc_attach(self->dev, &slot));
	handle = rc_open(self->dev, 0, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	EXPECT_EQ(-EDEADLK, rc_wait(handle, 1, RPCCANCEL_WAIT_ENDED, 10));
}

TEST_F(call, can_cancel_itself)
{
	struct rpccancel_slot *slot;
	uint64_t gen;
	char byte;
	int handle;

	ASSERT_EQ(0, rc_attach(self->dev, &slot));
	handle = rc_open(self->dev, rc_gettid(), RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	gen = rc_begin_scope(self->dev, slot);
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, rc_cancel_result(handle, gen));
	EXPECT_EQ(gen, slot->cancel);
	EXPECT_EQ(-1, read(self->pipe[0], &byte, 1));
	EXPECT_EQ(ECANCELED, errno);
	rc_end(self->dev, slot);
	EXPECT_EQ(0, slot->cancel);
}

TEST_F(call, generation_that_is_over_is_too_late)
{
	struct rpccancel_cancel c;

	self->before = new_call;
	start(_metadata, self);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen - 2, 0, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_TOO_LATE, c.result);
	EXPECT_TRUE(still_asleep(self));
	EXPECT_EQ(0, self->thread.slot->cancel);
	EXPECT_EQ(-EINVAL, rc_cancel(self->thread.handle, self->gen + 1, 0,
				     NULL));
	EXPECT_TRUE(still_asleep(self));
	feed(_metadata, self);
	finish(_metadata, self, 1);
}

static long wait_for_cancel_then_call(struct rc_thread *t)
{
	while (*(volatile __u64 *)&t->slot->cancel != RPCCANCEL_GEN_NEXT)
		;
	return one_call(t);
}

TEST_F(call, cancel_of_an_idle_thread_waits_for_its_next_call)
{
	struct rpccancel_cancel c;

	ASSERT_EQ(0, rc_start(&self->thread, self->dev,
			      wait_for_cancel_then_call, self));
	ASSERT_EQ(0, rc_cancel(self->thread.handle, RPCCANCEL_GEN_ANY, 0, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_NEXT, c.result);
	EXPECT_EQ(0, c.gen);
	finish(_metadata, self, -ECANCELED);
	EXPECT_EQ(self->gen, self->cancel);
	EXPECT_EQ(1, self->refused);
}

TEST_F(call, cancel_that_waited_leaves_a_call_alone_that_allows_none)
{
	self->flags = RPCCANCEL_SLOT_NO_CANCEL;
	ASSERT_EQ(0, rc_start(&self->thread, self->dev,
			      wait_for_cancel_then_call, self));
	EXPECT_EQ(RPCCANCEL_RESULT_NEXT,
		  rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
	EXPECT_TRUE(still_asleep(self));
	feed(_metadata, self);
	finish(_metadata, self, 1);
}

/* It has been told, and sleeps in peace until the grace is over. */
TEST_F(call, cancel_that_waited_does_not_keep_a_call_in_its_grace_awake)
{
	struct rpccancel_slot *slot;
	struct rusage before, after;
	struct pollfd pfd = { .fd = self->pipe[0], .events = POLLIN };
	int handle;

	ASSERT_EQ(0, rc_attach(self->dev, &slot));
	handle = rc_open(self->dev, 0, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	ASSERT_EQ(0, rc_cancel(handle, RPCCANCEL_GEN_ANY, RPCCANCEL_INFINITE,
			       NULL));
	rc_begin(self->dev, slot, RPCCANCEL_MODE_CALL, 0, 0);
	EXPECT_EQ(slot->gen, slot->cancel);
	ASSERT_EQ(0, getrusage(RUSAGE_THREAD, &before));
	EXPECT_EQ(0, poll(&pfd, 1, 4 * RC_WHILE));
	ASSERT_EQ(0, getrusage(RUSAGE_THREAD, &after));
	EXPECT_GE(20, after.ru_nvcsw - before.ru_nvcsw);
	rc_end(self->dev, slot);
}

/* As a runtime does that makes a call inside somebody's scope. */
TEST_F(call, what_is_refused_follows_the_mode_of_a_generation)
{
	struct pollfd pfd = { .fd = self->pipe[0], .events = POLLIN };
	struct rpccancel_slot *slot;
	int handle;

	ASSERT_EQ(0, rc_attach(self->dev, &slot));
	handle = rc_open(self->dev, 0, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	rc_begin(self->dev, slot, RPCCANCEL_MODE_CALL, 0, 0);
	ASSERT_EQ(0, rc_cancel(handle, slot->gen, RPCCANCEL_INFINITE, NULL));
	EXPECT_EQ(0, poll(&pfd, 1, RC_WHILE));
	slot->flags = RPCCANCEL_MODE_SCOPE;
	ASSERT_EQ(0, ioctl(self->dev, RPCCANCEL_IOC_SETTLE));
	EXPECT_EQ(-1, poll(&pfd, 1, RC_PATIENCE));
	EXPECT_EQ(ECANCELED, errno);
	slot->flags = RPCCANCEL_MODE_CALL;
	ASSERT_EQ(0, ioctl(self->dev, RPCCANCEL_IOC_SETTLE));
	EXPECT_EQ(0, poll(&pfd, 1, RC_WHILE));
	/* The grace ends here, in either mode. */
	ASSERT_EQ(0, rc_cancel(handle, slot->gen, 0, NULL));
	EXPECT_EQ(-1, poll(&pfd, 1, RC_PATIENCE));
	slot->flags = RPCCANCEL_MODE_SCOPE;
	ASSERT_EQ(0, ioctl(self->dev, RPCCANCEL_IOC_SETTLE));
	EXPECT_EQ(-1, poll(&pfd, 1, RC_PATIENCE));
	rc_end(self->dev, slot);
	EXPECT_EQ(0, slot->cancel);
}

static long attach_late(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;
	int ret;

	while (!t->stage)
		usleep(100);
	t->dev = self->dev;
	ret = rc_attach(t->dev, &t->slot);
	return ret ?: one_call(t);
}

TEST_F(call, cancel_of_a_thread_not_yet_attached_waits_for_it)
{
	ASSERT_EQ(0, rc_start(&self->thread, -1, attach_late, self));
	self->thread.handle = rc_open(self->dev, self->thread.tid,
				      RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(self->thread.handle, 0);
	EXPECT_EQ(RPCCANCEL_RESULT_NEXT,
		  rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY));
	self->thread.stage = 1;
	finish(_metadata, self, -ECANCELED);
	EXPECT_EQ(1, self->refused);
}

TEST_F(call, every_handle_has_a_memory_of_its_own)
{
	struct rpccancel_event ev;
	int other;

	self->flags = RPCCANCEL_MODE_CALL;
	start(_metadata, self);
	other = rc_dup(self->thread.handle, RPCCANCEL_QUERY_INFORMATION);
	ASSERT_GE(other, 0);
	rc_set_nonblock(other, true);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, NULL));
	EXPECT_TRUE(rc_poll(self->thread.handle, POLLIN, RC_PATIENCE) & POLLIN);
	EXPECT_EQ(sizeof(ev), read(self->thread.handle, &ev, sizeof(ev)));
	EXPECT_EQ(POLLIN, rc_poll(other, POLLIN, RC_PATIENCE));
	EXPECT_EQ(sizeof(ev), read(other, &ev, sizeof(ev)));
	EXPECT_EQ(self->gen, ev.gen);
	EXPECT_EQ(-1, read(other, &ev, sizeof(ev)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(-1, read(other, &ev, sizeof(ev) - 1));
	EXPECT_EQ(EINVAL, errno);
	feed(_metadata, self);
	finish(_metadata, self, 1);
}

TEST_F(call, an_event_that_could_not_be_copied_is_still_there)
{
	struct iovec nowhere = { NULL, sizeof(struct rpccancel_event) };
	struct rpccancel_event ev;

	self->flags = RPCCANCEL_MODE_CALL;
	start(_metadata, self);
	ASSERT_EQ(0, rc_set_nonblock(self->thread.handle, true));
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, NULL));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(POLLIN, rc_poll(self->thread.handle, POLLIN,
					  RC_PATIENCE));
		EXPECT_EQ(-1, readv(self->thread.handle, &nowhere, 1));
		EXPECT_EQ(EFAULT, errno);
	}
	EXPECT_EQ(sizeof(ev), read(self->thread.handle, &ev, sizeof(ev)));
	EXPECT_EQ(self->gen, ev.gen);
	EXPECT_EQ(1u, ev.count);
	EXPECT_EQ(0, rc_poll(self->thread.handle, POLLIN, 0));
	feed(_metadata, self);
	finish(_metadata, self, 1);
}

static void poll_own_handle(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;
	struct pollfd p[2] = {
		{ .fd = rc_open(t->dev, 0, RPCCANCEL_QUERY_INFORMATION),
		  .events = POLLIN },
		{ .fd = self->pipe[0], .events = POLLIN },
	};
	int ret;

	do {
		ret = poll(p, 2, -1);
	} while (ret < 0 && errno == EINTR);
	/* Then the "answer" is what the read() after this gets. */
	if (ret == 1 && p[0].revents == POLLIN && write(self->pipe[1], "x", 1))
		t->stage = 5;
	close(p[0].fd);
}

TEST_F(call, runtime_can_poll_its_own_handle)
{
	self->flags = RPCCANCEL_MODE_CALL;
	self->before = poll_own_handle;
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_call, self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, RC_SYS_POLL, RC_PATIENCE));
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, NULL));
	finish(_metadata, self, 1);
	EXPECT_EQ(0, self->refused);
}

static long partial_write(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;
	static char data[1 << 20];
	long ret, again;

	self->gen = rc_begin_scope(t->dev, t->slot);
	ret = write(self->pipe[1], data, sizeof(data));
	if (ret < 0)
		ret = -errno;
	self->refused = t->slot->refused;
	again = write(self->pipe[1], data, sizeof(data)) < 0 ? -errno : 1;
	self->cancel = t->slot->refused;
	rc_end(t->dev, t->slot);
	return again == -ECANCELED ? ret : -1;
}

TEST_F(call, partial_write_keeps_its_count_and_the_next_is_refused)
{
	long size;

	size = fcntl(self->pipe[1], F_GETPIPE_SZ);
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, partial_write, self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_write, RC_PATIENCE));
	rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY);
	finish(_metadata, self, size);
	EXPECT_EQ(0, self->refused);
	EXPECT_EQ(1, self->cancel);
}

static long run_for_ever(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;

	self->gen = rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	while (t->stage == 1)
		;
	rc_end(t->dev, t->slot);
	return 0;
}

TEST_F(call, state_of_a_running_thread)
{
	struct rpccancel_cancel c;
	struct rpccancel_info info;

	ASSERT_EQ(0, rc_start(&self->thread, self->dev, run_for_ever, self));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	ASSERT_EQ(0, rc_info(self->thread.handle, &info));
	EXPECT_EQ(RPCCANCEL_STATE_RUNNING, info.state);
	EXPECT_EQ(-1, info.syscall);
	EXPECT_EQ(-1, info.fd);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen, 0, &c));
	EXPECT_EQ(RPCCANCEL_STATE_RUNNING, c.state);
	EXPECT_EQ(-1, c.syscall);
	self->thread.stage = 2;
	finish(_metadata, self, 0);
}

TEST_F(call, state_of_a_blocked_thread)
{
	struct rpccancel_cancel c;
	struct rpccancel_info info;

	start(_metadata, self);
	ASSERT_EQ(0, rc_info(self->thread.handle, &info));
	EXPECT_EQ(RPCCANCEL_STATE_BLOCKED, info.state);
	EXPECT_EQ(SYS_read, info.syscall);
	EXPECT_EQ(self->pipe[0], info.fd);
	EXPECT_EQ(1, info.attached);
	EXPECT_EQ(0, info.pending);
	EXPECT_EQ(self->gen, info.gen);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen, 0, &c));
	EXPECT_EQ(RPCCANCEL_STATE_BLOCKED, c.state);
	EXPECT_EQ(SYS_read, c.syscall);
	finish(_metadata, self, -ECANCELED);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock_mutex(struct rc_thread *t)
{
	(void)t;
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
}

TEST_F(call, state_of_a_thread_in_an_excluded_call)
{
	struct rpccancel_cancel c;
	struct rpccancel_info info;

	self->before = lock_mutex;
	pthread_mutex_lock(&mutex);
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_call, self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_futex, RC_PATIENCE));
	ASSERT_EQ(0, rc_info(self->thread.handle, &info));
	EXPECT_EQ(RPCCANCEL_STATE_EXCLUDED, info.state);
	EXPECT_EQ(SYS_futex, info.syscall);
	EXPECT_EQ(-1, info.fd);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen, 0, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, c.result);
	EXPECT_EQ(RPCCANCEL_STATE_EXCLUDED, c.state);
	EXPECT_EQ(SYS_futex, c.syscall);
	pthread_mutex_unlock(&mutex);
	finish(_metadata, self, -ECANCELED);
}

static void vfork_a_sleeper(struct rc_thread *t)
{
	FIXTURE_DATA(call) *self = t->arg;
	char byte;
	pid_t pid;

	pid = vfork();
	if (!pid) {
		if (syscall(SYS_read, self->pipe[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	if (waitpid(pid, NULL, 0) == pid)
		t->stage = 4;
}

TEST_F(call, state_of_a_thread_that_nothing_can_wake)
{
	struct rpccancel_cancel c;
	struct rpccancel_info info;

	self->before = vfork_a_sleeper;
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_call, self));
	ASSERT_TRUE(rc_wait_state(getpid(), self->thread.tid, "D",
				  RC_PATIENCE));
	ASSERT_EQ(0, rc_info(self->thread.handle, &info));
	EXPECT_EQ(RPCCANCEL_STATE_UNINTERRUPTIBLE, info.state);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen, 0, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, c.result);
	EXPECT_EQ(RPCCANCEL_STATE_UNINTERRUPTIBLE, c.state);
	rc_sleep(RC_WHILE);
	EXPECT_EQ('D', rc_state(getpid(), self->thread.tid));
	feed(_metadata, self);
	/* Then it waits for its child, or has come to read(). */
	finish(_metadata, self, -ECANCELED);
}

/*
 * A reader keeps the pipe locked while the page it reads to is missing; the
 * call that is cancelled waits for the lock in state D, and then for data.
 */
static long read_to_missing_page(struct rc_thread *t)
{
	void **where = t->arg;

	return syscall(SYS_read, *(int *)where[1], where[0], 1);
}

TEST_F(call, cancelled_where_nothing_can_wake_it_is_refused_later)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = {};
	struct rpccancel_cancel c;
	struct rc_thread holder;
	void *page, *where[2];
	int uffd;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	reg.range.start = (uintptr_t)page;
	reg.range.len = 4096;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &reg));
	where[0] = page;
	where[1] = &self->pipe[0];
	feed(_metadata, self);
	ASSERT_EQ(0, rc_start(&holder, -1, read_to_missing_page, where));
	ASSERT_EQ(POLLIN, rc_poll(uffd, POLLIN, RC_PATIENCE));
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_call, self));
	ASSERT_TRUE(rc_wait_state(getpid(), self->thread.tid, "D",
				  RC_PATIENCE));
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen, 0, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, c.result);
	EXPECT_EQ(RPCCANCEL_STATE_UNINTERRUPTIBLE, c.state);
	rc_sleep(RC_WHILE);
	EXPECT_EQ('D', rc_state(getpid(), self->thread.tid));
	zero.range = reg.range;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	ASSERT_EQ(0, rc_join(&holder, RC_PATIENCE));
	EXPECT_EQ(1, holder.ret);
	finish(_metadata, self, -ECANCELED);
}

TEST_F(call, state_of_a_stopped_process)
{
	struct rpccancel_cancel c;
	struct rpccancel_info info;
	struct rc_remote r;
	int handle;

	ASSERT_EQ(0, rc_remote_start(&r, NULL, NULL));
	handle = rc_open(self->dev, r.pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	kill(r.pid, SIGSTOP);
	ASSERT_TRUE(rc_wait_state(r.pid, r.pid, "T", RC_PATIENCE));
	ASSERT_EQ(0, rc_info(handle, &info));
	EXPECT_EQ(RPCCANCEL_STATE_STOPPED, info.state);
	ASSERT_EQ(0, rc_cancel(handle, r.gen, 0, &c));
	EXPECT_EQ(RPCCANCEL_STATE_STOPPED, c.state);
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, c.result);
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_wait(handle, r.gen, RPCCANCEL_WAIT_DELIVERED, RC_WHILE));
	EXPECT_EQ('T', rc_state(r.pid, r.pid));
	kill(r.pid, SIGCONT);
	EXPECT_EQ(RC_REMOTE_CANCELED, rc_remote_finish(&r));
}

static long sleep_in_call(struct rc_thread *t)
{
	char byte;
	int p[2];
	long ret;

	if (pipe(p))
		return -errno;
	rc_begin_scope(t->dev, t->slot);
	ret = read(p[0], &byte, 1) < 0 ? -errno : 0;
	rc_end(t->dev, t->slot);
	close(p[0]);
	close(p[1]);
	return ret;
}

TEST_F(call, bulk_cancels_in_one_go_and_says_what_failed)
{
	enum { COUNT = 20 };
	struct rc_thread threads[COUNT];
	struct rpccancel_target targets[COUNT + 2] = {};
	struct rpccancel_bulk bulk = {
		.targets = (uintptr_t)targets,
		.count = COUNT + 2,
	};

	for (int i = 0; i < COUNT; i++) {
		ASSERT_EQ(0, rc_start(&threads[i], self->dev, sleep_in_call,
				      NULL));
		ASSERT_TRUE(rc_wait_asleep(threads[i].tid, SYS_read,
					   RC_PATIENCE));
		targets[i].handle = threads[i].handle;
		targets[i].result = 77;
	}
	/* In the middle: one that is no handle, and one that is nothing. */
	targets[COUNT] = targets[5];
	targets[COUNT + 1] = targets[6];
	targets[5].handle = self->pipe[0];
	targets[6].handle = -1;
	ASSERT_EQ(0, ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	EXPECT_EQ(COUNT + 2, bulk.count);
	for (int i = 0; i < COUNT + 2; i++) {
		EXPECT_EQ(i == 5 || i == 6 ? EBADF : 0, targets[i].error);
		if (i == 5 || i == 6)
			continue;
		EXPECT_EQ(RPCCANCEL_RESULT_PENDING, targets[i].result);
		EXPECT_EQ(1, targets[i].gen);
	}
	for (int i = 0; i < COUNT; i++) {
		ASSERT_EQ(0, rc_join(&threads[i], RC_PATIENCE));
		EXPECT_EQ(-ECANCELED, threads[i].ret);
	}
	bulk.count = 0;
	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	EXPECT_EQ(EINVAL, errno);
	bulk.count = RPCCANCEL_BULK_MAX + 1;
	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	EXPECT_EQ(EINVAL, errno);
	bulk.count = 1;
	bulk.targets = 16;
	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, bulk.count);
}

RPCCANCEL_TEST_MAIN
