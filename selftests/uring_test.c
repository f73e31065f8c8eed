// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The second channel: a thread handle in an io_uring.  A cancel is one more
 * completion in the ring that also gets the answer, so there is no race at all;
 * and a ring that goes away with a poll in it takes nothing along.
 */
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

/* What liburing does, as far as it is needed here. */
struct ring {
	int fd;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	uint32_t *sq_array;
	atomic_uint *sq_tail, *sq_flags, *cq_head, *cq_tail;
	uint32_t sq_mask, cq_mask, flags;
};

struct done {
	uint64_t user_data;
	int res;
	uint32_t flags;
};

static int ring_init(struct ring *r, uint32_t flags)
{
	struct io_uring_params p = { .flags = flags, .sq_thread_idle = 100 };
	char *sq, *cq;

	r->fd = syscall(SYS_io_uring_setup, 8, &p);
	if (r->fd < 0)
		return -errno;
	r->flags = flags;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4,
		  PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		  IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*r->cqes),
		  PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		  IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, p.sq_entries * sizeof(*r->sqes),
		       PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		       IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || r->sqes == MAP_FAILED)
		return -ENOMEM;
	r->sq_array = (uint32_t *)(sq + p.sq_off.array);
	r->sq_tail = (atomic_uint *)(sq + p.sq_off.tail);
	r->sq_flags = (atomic_uint *)(sq + p.sq_off.flags);
	r->sq_mask = *(uint32_t *)(sq + p.sq_off.ring_mask);
	r->cq_head = (atomic_uint *)(cq + p.cq_off.head);
	r->cq_tail = (atomic_uint *)(cq + p.cq_off.tail);
	r->cq_mask = *(uint32_t *)(cq + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return 0;
}

static int ring_enter(struct ring *r, unsigned int submit, unsigned int wait)
{
	unsigned int flags = wait ? IORING_ENTER_GETEVENTS : 0;
	int ret;

	if (r->flags & IORING_SETUP_SQPOLL) {
		submit = 0;
		if (*r->sq_flags & IORING_SQ_NEED_WAKEUP)
			flags |= IORING_ENTER_SQ_WAKEUP;
	}
	ret = syscall(SYS_io_uring_enter, r->fd, submit, wait, flags, NULL, 0);
	return ret < 0 ? -errno : ret;
}

static int ring_submit(struct ring *r, const struct io_uring_sqe *sqe)
{
	uint32_t tail = *r->sq_tail;

	r->sqes[tail & r->sq_mask] = *sqe;
	r->sq_array[tail & r->sq_mask] = tail & r->sq_mask;
	*r->sq_tail = tail + 1;
	return ring_enter(r, 1, 0);
}

static int ring_poll(struct ring *r, int fd, uint64_t data, bool multi)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_POLL_ADD,
		.fd = fd,
		.len = multi ? IORING_POLL_ADD_MULTI : 0,
		.poll32_events = POLLIN,
		.user_data = data,
	};

	return ring_submit(r, &sqe);
}

static int ring_read(struct ring *r, int fd, void *buf, size_t len,
		     uint64_t data)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_READ,
		.fd = fd,
		.addr = (uintptr_t)buf,
		.len = len,
		.off = -1,
		.user_data = data,
	};

	return ring_submit(r, &sqe);
}

/* The next completion, without waiting. */
static bool ring_peek(struct ring *r, struct done *done)
{
	uint32_t head = *r->cq_head;

	if (head == *r->cq_tail)
		return false;
	done->user_data = r->cqes[head & r->cq_mask].user_data;
	done->res = r->cqes[head & r->cq_mask].res;
	done->flags = r->cqes[head & r->cq_mask].flags;
	*r->cq_head = head + 1;
	return true;
}

static bool ring_wait(struct ring *r, struct done *done)
{
	uint64_t end = rc_now() + RC_PATIENCE * RC_NSEC_PER_MSEC;

	while (!ring_peek(r, done)) {
		if (rc_now() > end)
			return false;
		/* Runs what is queued for this thread, and waits for no more. */
		ring_enter(r, 0, 0);
		syscall(SYS_io_uring_enter, r->fd, 0, 0, IORING_ENTER_GETEVENTS,
			NULL, 0);
		usleep(200);
	}
	return true;
}

/* A thread that waits for its answer in a ring. */
FIXTURE(ring)
{
	int dev;
	int pipe[2];
	uint32_t flags;
	bool multi;
	struct rc_thread thread;
	uint64_t gen;
	struct done first, second;
	struct rpccancel_event event;
	int read;
};

FIXTURE_SETUP(ring)
{
	struct ring r;
	int ret;

	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, pipe(self->pipe));
	ret = ring_init(&r, 0);
	if (ret == -ENOSYS || ret == -EPERM)
		SKIP(return, "no io_uring: %s", strerror(-ret));
	ASSERT_EQ(0, ret);
	close(r.fd);
}

FIXTURE_TEARDOWN(ring)
{
	close(self->dev);
}

enum { CANCEL = 1, ANSWER };

static long wait_in_ring(struct rc_thread *t)
{
	FIXTURE_DATA(ring) *self = t->arg;
	int handle = rc_open(t->dev, 0, RPCCANCEL_QUERY_INFORMATION);
	struct ring r;
	char byte;
	int ret;

	ret = ring_init(&r, self->flags);
	if (ret)
		return ret;
	ring_poll(&r, handle, CANCEL, self->multi);
	ring_read(&r, self->pipe[0], &byte, 1, ANSWER);
	self->gen = rc_begin(t->dev, t->slot, RPCCANCEL_MODE_CALL, 0, 0);
	t->stage = 1;
	do {
		ret = ring_enter(&r, 0, 1);
	} while (ret == -EINTR);
	if (ret < 0)
		return ret;
	if (!ring_wait(&r, &self->first))
		return 1;
	rc_set_nonblock(handle, true);
	self->read = read(handle, &self->event, sizeof(self->event));
	t->stage = 2;
	/* The grace: the answer may still come. */
	if (!ring_wait(&r, &self->second))
		return 2;
	rc_end(t->dev, t->slot);
	close(handle);
	close(r.fd);
	return t->slot->refused ? 3 : 0;
}

static void cancel_in_ring(struct __test_metadata *_metadata,
			   FIXTURE_DATA(ring) *self)
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, wait_in_ring, self));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_io_uring_enter,
				   RC_PATIENCE));
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, NULL));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 2, RC_PATIENCE));
	EXPECT_EQ(CANCEL, self->first.user_data);
	EXPECT_TRUE(self->first.res & POLLIN);
	EXPECT_EQ(sizeof(self->event), self->read);
	EXPECT_EQ(self->gen, self->event.gen);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, self->event.reason);
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
	EXPECT_EQ(ANSWER, self->second.user_data);
	EXPECT_EQ(1, self->second.res);
}

TEST_F(ring, cancel_completes_a_poll_beside_the_answer)
{
	cancel_in_ring(_metadata, self);
}

TEST_F(ring, cancel_completes_a_multishot_poll)
{
	self->multi = true;
	cancel_in_ring(_metadata, self);
	EXPECT_TRUE(self->first.flags & IORING_CQE_F_MORE);
}

TEST_F(ring, cancel_completes_a_poll_of_a_kernel_thread)
{
	self->flags = IORING_SETUP_SQPOLL;
	cancel_in_ring(_metadata, self);
}

TEST_F(ring, answer_before_the_cancel_is_what_comes)
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, wait_in_ring, self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_io_uring_enter,
				   RC_PATIENCE));
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 2, RC_PATIENCE));
	EXPECT_EQ(ANSWER, self->first.user_data);
	EXPECT_EQ(1, self->first.res);
	EXPECT_EQ(-1, self->read);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, NULL));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
	EXPECT_EQ(CANCEL, self->second.user_data);
}

static long sleep_in_read(struct rc_thread *t)
{
	FIXTURE_DATA(ring) *self = t->arg;
	char byte;
	long ret;

	self->gen = rc_begin(t->dev, t->slot, RPCCANCEL_MODE_CALL, 0, 0);
	ret = read(self->pipe[0], &byte, 1) < 0 ? -errno : 0;
	rc_end(t->dev, t->slot);
	return ret;
}

/* The canceller's side may sit in a ring as well. */
TEST_F(ring, read_of_the_handle_gives_the_event)
{
	struct rpccancel_event ev = {};
	struct done done;
	struct ring r;

	ASSERT_EQ(0, ring_init(&r, 0));
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, sleep_in_read, self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
	ASSERT_EQ(1, ring_read(&r, self->thread.handle, &ev, sizeof(ev), 7));
	rc_sleep(10);
	EXPECT_FALSE(ring_peek(&r, &done));
	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       RPCCANCEL_INFINITE, NULL));
	ASSERT_TRUE(ring_wait(&r, &done));
	EXPECT_EQ(7, done.user_data);
	EXPECT_EQ(sizeof(ev), done.res);
	EXPECT_EQ(self->gen, ev.gen);
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
}

TEST_F(ring, death_of_the_thread_completes_the_poll)
{
	struct done done;
	struct rc_remote remote;
	struct ring r;
	int handle;

	ASSERT_EQ(0, ring_init(&r, 0));
	ASSERT_EQ(0, rc_remote_start(&remote, NULL, NULL));
	handle = rc_open(self->dev, remote.pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	ASSERT_EQ(1, ring_poll(&r, handle, 9, false));
	kill(remote.pid, SIGKILL);
	ASSERT_TRUE(ring_wait(&r, &done));
	EXPECT_EQ(9, done.user_data);
	EXPECT_TRUE(done.res & POLLHUP);
	rc_remote_finish(&remote);
}

/* Kills a process with armed polls: 0 for its own thread's handle. */
static void die_with_armed_polls(uint32_t flags, bool read_too, bool kill_it)
{
	static struct rpccancel_event ev;
	struct rpccancel_slot *slot;
	struct ring r;
	int dev = rc_open_device(), handle;

	if (dev < 0 || rc_attach(dev, &slot) || ring_init(&r, flags))
		_exit(1);
	handle = rc_open(dev, 0, RPCCANCEL_ACCESS_ALL);
	for (int i = 0; i < 3; i++)
		ring_poll(&r, handle, i, i == 2);
	if (read_too)
		ring_read(&r, handle, &ev, sizeof(ev), 4);
	rc_begin_scope(dev, slot);
	rc_cancel_result(handle, RPCCANCEL_GEN_ANY);
	rc_end(dev, slot);
	ring_poll(&r, handle, 5, false);
	if (kill_it)
		kill(getpid(), SIGKILL);
	_exit(0);
}

TEST_F(ring, end_of_a_ring_with_armed_polls_leaves_nothing_behind)
{
	pid_t pid;

	close(self->dev);
	self->dev = -1;
	if (rc_read_number(RC_REFCNT) < 0)
		SKIP(return, "no reference count: the module is built in");
	/* What the tests before have closed may take a moment. */
	ASSERT_TRUE(rc_wait_number(RC_REFCNT, 0, RC_PATIENCE));
	for (int i = 0; i < 24; i++) {
		pid = rc_fork();
		if (!pid)
			die_with_armed_polls(i & 1 ? IORING_SETUP_SQPOLL : 0,
					     i & 2, i & 4);
		EXPECT_EQ(i & 4 ? 256 + SIGKILL : 0,
			  rc_reap(pid, RC_PATIENCE));
	}
	EXPECT_TRUE(rc_wait_number(RC_REFCNT, 0, RC_PATIENCE))
		TH_LOG("the module is still in use %ld times",
		       rc_read_number(RC_REFCNT));
}

RPCCANCEL_TEST_MAIN
