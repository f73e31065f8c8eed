// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The end of threads, processes, programs, devices and of the module itself,
 * at every moment of a cancel: who waits is woken, who comes later is not
 * disturbed, and nothing is left behind.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

#define MODULE		"rpccancel"
#define HOUR		(3600000 * RC_NSEC_PER_MSEC)
/* How long the last reference may take to go. */
#define GONE_WITHIN	1000
/* For how long to wait for what must come: waiting in vain takes that long. */
#define SOON		6000

static bool all_gone(void)
{
	return rc_wait_number(RC_REFCNT, 0, GONE_WITHIN);
}

#define EXPECT_ALL_GONE()						\
	EXPECT_TRUE(all_gone())						\
		TH_LOG("references: %ld", rc_read_number(RC_REFCNT))

/*
 * A child process that is brought to some point of a cancel.
 */

enum point {
	BLOCKED,	/* in a call that a cancel would refuse */
	IDLE,		/* between calls, a cancel waits for the next one */
	PENDING,	/* cancelled, but in a futex */
	REFUSED,	/* one call was refused, and now it is in a futex */
	GRACE,		/* told, and its grace goes on */
	GRACE_OVER,	/* that is over, and it is in a futex */
	DEADLINE,	/* it has one, an hour away */
	EXPIRED,	/* it is over, and it is in a futex */
	STOPPED,	/* cancelled while stopped */
	UNATTACHED,	/* it has only been opened, and cancelled */
	POINTS,
};

/* What the child shows its parent. */
struct shared {
	_Atomic uint64_t gen;
	atomic_int stage;
	atomic_int word;	/* of the futex */
	volatile long ret;
};

struct victim {
	enum point point;
	pid_t pid;
	int handle;
	uint64_t gen;
	struct shared *shared;
	int pipe[2];
};

static long sleep_in_futex(struct shared *s)
{
	while (!s->word)
		syscall(SYS_futex, &s->word, FUTEX_WAIT, 0, NULL, NULL, 0);
	return 0;
}

static void wake_futex(struct shared *s)
{
	s->word = 1;
	syscall(SYS_futex, &s->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static long read_byte(int fd)
{
	char byte;

	return read(fd, &byte, 1) < 0 ? -errno : 1;
}

static bool in_futex(enum point point)
{
	return point == PENDING || point == REFUSED || point == GRACE_OVER ||
	       point == EXPIRED;
}

static void victim_main(struct victim *v)
{
	struct shared *s = v->shared;
	struct rpccancel_slot *slot;
	int dev;

	close(v->pipe[1]);
	if (v->point == UNATTACHED) {
		s->stage = 1;
		s->ret = read_byte(v->pipe[0]);
		_exit(0);
	}
	dev = rc_open_device();
	if (dev < 0 || rc_attach(dev, &slot))
		_exit(1);
	slot->grace = RPCCANCEL_INFINITE;
	if (v->point != IDLE)
		s->gen = rc_begin(dev, slot, v->point == GRACE ||
				  v->point == GRACE_OVER, 0, 0);
	if (v->point == DEADLINE && rc_deadline(dev, rc_now() + HOUR))
		_exit(2);
	if (v->point == EXPIRED && rc_deadline(dev, rc_now() + 1000))
		_exit(3);
	s->stage = 1;
	if (v->point == REFUSED || v->point == GRACE_OVER) {
		if (read_byte(v->pipe[0]) != -ECANCELED)
			_exit(4);
		s->stage = 2;
	}
	if (in_futex(v->point))
		sleep_in_futex(s);
	s->ret = read_byte(v->pipe[0]);
	rc_end(dev, slot);
	_exit(0);
}

static bool victim_asleep(struct victim *v, long nr)
{
	uint64_t end = rc_now() + RC_PATIENCE * RC_NSEC_PER_MSEC;

	while (rc_asleep_in(v->pid, v->pid) != nr) {
		if (rc_now() > end)
			return false;
		rc_sleep(1);
	}
	return true;
}

static bool wait_stage(struct shared *s, int stage)
{
	uint64_t end = rc_now() + RC_PATIENCE * RC_NSEC_PER_MSEC;

	while (s->stage < stage) {
		if (rc_now() > end)
			return false;
		rc_sleep(1);
	}
	return true;
}

/* 0 or the line where it went wrong: the handle's result is then in errno. */
#define NEED(condition)							\
	do {								\
		if (!(condition))					\
			return __LINE__;				\
	} while (0)

static int victim_start(struct victim *v, int dev, enum point point)
{
	memset(v, 0, sizeof(*v));
	v->point = point;
	v->handle = -1;
	v->shared = mmap(NULL, sizeof(*v->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(v->shared != MAP_FAILED);
	NEED(!pipe(v->pipe));
	v->pid = rc_fork();
	NEED(v->pid >= 0);
	if (!v->pid) {
		/* Only its own device may keep the module. */
		close(dev);
		victim_main(v);
	}
	close(v->pipe[0]);
	NEED(wait_stage(v->shared, 1));
	v->gen = v->shared->gen;
	v->handle = rc_open(dev, v->pid, RPCCANCEL_ACCESS_ALL);
	NEED(v->handle >= 0);
	return 0;
}

/* Cancels it, and waits until it is where it is to be. */
static int victim_cancel(struct victim *v)
{
	uint64_t gen = v->gen ?: RPCCANCEL_GEN_ANY;
	uint64_t grace = v->point == GRACE ? HOUR :
			 v->point == GRACE_OVER ? RC_NSEC_PER_MSEC : 0;
	bool first = v->point == REFUSED || v->point == GRACE_OVER;
	struct rpccancel_cancel c;
	struct rpccancel_info info;

	NEED(victim_asleep(v, in_futex(v->point) && !first ? SYS_futex :
							     SYS_read));
	if (v->point == STOPPED) {
		kill(v->pid, SIGSTOP);
		NEED(rc_wait_state(v->pid, v->pid, "T", RC_PATIENCE));
	}
	if (v->point == BLOCKED || v->point == DEADLINE)
		return 0;
	if (v->point == EXPIRED) {
		uint64_t end = rc_now() + RC_PATIENCE * RC_NSEC_PER_MSEC;

		do {
			NEED(!rc_info(v->handle, &info) && rc_now() < end);
		} while (info.pending != v->gen);
		NEED(info.reason == RPCCANCEL_REASON_DEADLINE);
		return 0;
	}
	NEED(!rc_cancel(v->handle, gen, grace, &c));
	NEED(c.result == (v->gen ? RPCCANCEL_RESULT_PENDING :
				   RPCCANCEL_RESULT_NEXT));
	if (v->point == GRACE) {
		NEED(rc_wait(v->handle, gen, RPCCANCEL_WAIT_DELIVERED,
			     RC_PATIENCE) == RPCCANCEL_RESULT_DELIVERED);
	}
	if (first) {
		NEED(wait_stage(v->shared, 2));
		NEED(victim_asleep(v, SYS_futex));
	}
	NEED(!rc_info(v->handle, &info));
	NEED(info.pending == (v->gen ?: RPCCANCEL_GEN_NEXT));
	return 0;
}

static void victim_close(struct victim *v)
{
	if (v->handle >= 0)
		close(v->handle);
	close(v->pipe[1]);
	munmap(v->shared, sizeof(*v->shared));
}

/*
 * Threads that wait for what becomes of it.
 */

struct waiter {
	pthread_t thread;
	atomic_int tid;
	int handle;
	uint64_t gen;
	int ret;
	bool poll;
};

static void *waiter_main(void *arg)
{
	uint64_t end = rc_now() + SOON * RC_NSEC_PER_MSEC;
	struct waiter *w = arg;

	w->tid = rc_gettid();
	w->ret = w->poll ? rc_poll(w->handle, 0, SOON) :
			   rc_wait(w->handle, w->gen, RPCCANCEL_WAIT_ENDED, SOON);
	/* Both look once more when their time is over: that is no waking. */
	if (rc_now() >= end)
		w->ret = -ETIMEDOUT;
	return NULL;
}

static int waiter_start(struct waiter *w, int handle, uint64_t gen, bool poll)
{
	memset(w, 0, sizeof(*w));
	w->handle = handle;
	w->gen = gen;
	w->poll = poll;
	NEED(!pthread_create(&w->thread, NULL, waiter_main, w));
	while (!w->tid)
		rc_sleep(1);
	NEED(rc_wait_asleep(w->tid, poll ? RC_SYS_POLL : SYS_ioctl,
			    RC_PATIENCE));
	return 0;
}

static int waiter_end(struct waiter *w)
{
	pthread_join(w->thread, NULL);
	return w->ret;
}

FIXTURE(end)
{
	int dev;
	struct victim v;
};

FIXTURE_SETUP(end)
{
	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
}

FIXTURE_TEARDOWN(end)
{
	if (self->dev >= 0)
		close(self->dev);
	if (self->v.pid > 0) {
		kill(self->v.pid, SIGKILL);
		waitpid(self->v.pid, NULL, 0);
	}
}

FIXTURE_VARIANT(end)
{
	enum point point;
	bool waits;	/* a cancel of its generation is pending */
};

#define VARIANT(name, p, w)						\
FIXTURE_VARIANT_ADD(end, name) { .point = p, .waits = w }

VARIANT(blocked, BLOCKED, false);
VARIANT(idle, IDLE, false);
VARIANT(pending, PENDING, true);
VARIANT(refused, REFUSED, true);
VARIANT(in_grace, GRACE, true);
VARIANT(after_grace, GRACE_OVER, true);
VARIANT(deadline_armed, DEADLINE, false);
VARIANT(deadline_passed, EXPIRED, true);
VARIANT(stopped, STOPPED, true);
VARIANT(unattached, UNATTACHED, false);

TEST_F_TIMEOUT(end, of_the_target_by_kill_wakes_all_who_wait, 90)
{
	struct waiter waiter, poller;
	struct rpccancel_info info;
	struct rpccancel_event ev;
	int ret;

	ret = victim_start(&self->v, self->dev, variant->point) ?:
	      victim_cancel(&self->v);
	ASSERT_EQ(0, ret) TH_LOG("line %d: %m", ret);
	ASSERT_EQ(0, waiter_start(&poller, self->v.handle, 0, true));
	if (variant->waits) {
		ASSERT_EQ(0, waiter_start(&waiter, self->v.handle, self->v.gen,
					  false));
	}

	ASSERT_EQ(0, kill(self->v.pid, SIGKILL));
	EXPECT_EQ(256 + SIGKILL, rc_reap(self->v.pid, RC_PATIENCE));
	self->v.pid = 0;
	if (variant->waits) {
		ret = waiter_end(&waiter);
		EXPECT_EQ(-ESRCH, ret)
			TH_LOG("waiter: %s", rc_result_name(ret));
	}
	EXPECT_EQ(POLLHUP, waiter_end(&poller));
	/* Whoever comes later learns it as well. */
	EXPECT_EQ(-ESRCH, rc_cancel_result(self->v.handle, RPCCANCEL_GEN_ANY));
	EXPECT_EQ(-ESRCH, rc_wait(self->v.handle, self->v.gen | 1,
				  RPCCANCEL_WAIT_ENDED, SOON));
	EXPECT_EQ(-ESRCH, rc_info(self->v.handle, &info));
	EXPECT_EQ(POLLHUP, rc_poll(self->v.handle, 0, 0));
	while (read(self->v.handle, &ev, sizeof(ev)) == sizeof(ev))
		;
	EXPECT_EQ(0, read(self->v.handle, &ev, sizeof(ev)));
	victim_close(&self->v);
	close(self->dev);
	self->dev = -1;
	EXPECT_ALL_GONE();
}

/* The same, but nobody holds the handle any more when it is killed. */
TEST_F_TIMEOUT(end, of_the_target_by_kill_needs_no_handle, 90)
{
	int ret;

	ret = victim_start(&self->v, self->dev, variant->point) ?:
	      victim_cancel(&self->v);
	ASSERT_EQ(0, ret) TH_LOG("line %d: %m", ret);
	close(self->v.handle);
	close(self->dev);
	self->dev = -1;
	ASSERT_EQ(0, kill(self->v.pid, SIGKILL));
	EXPECT_EQ(256 + SIGKILL, rc_reap(self->v.pid, RC_PATIENCE));
	self->v.pid = 0;
	EXPECT_ALL_GONE();
}

/*
 * The canceller's end.
 */

static void canceller_main(const struct victim *v, int dev, uint64_t grace,
			   struct shared *s)
{
	uint64_t gen = v->gen ?: RPCCANCEL_GEN_ANY;
	int handle = rc_open(dev, v->pid, RPCCANCEL_ACCESS_ALL);
	struct rpccancel_cancel c;

	if (handle < 0 || rc_cancel(handle, gen, grace, &c))
		_exit(1);
	s->stage = 1;
	rc_wait(handle, gen, RPCCANCEL_WAIT_ENDED, 600000);
	for (;;)
		pause();
}

/* Has another process cancel it, and kills that while it waits. */
static int cancel_and_die(struct victim *v, int dev, uint64_t grace)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	NEED(s != MAP_FAILED);
	pid = rc_fork();
	NEED(pid >= 0);
	if (!pid)
		canceller_main(v, dev, grace, s);
	NEED(wait_stage(s, 1));
	NEED(rc_wait_state(pid, pid, "S", RC_PATIENCE));
	NEED(!kill(pid, SIGKILL));
	NEED(rc_reap(pid, RC_PATIENCE) == 256 + SIGKILL);
	munmap(s, sizeof(*s));
	return 0;
}

FIXTURE(canceller)
{
	int dev;
	struct victim v;
};

FIXTURE_SETUP(canceller)
{
	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
}

FIXTURE_TEARDOWN(canceller)
{
	close(self->dev);
	if (self->v.pid > 0) {
		kill(self->v.pid, SIGKILL);
		waitpid(self->v.pid, NULL, 0);
	}
}

TEST_F_TIMEOUT(canceller, end_while_it_waits_leaves_the_cancel_pending, 60)
{
	struct victim *v = &self->v;

	ASSERT_EQ(0, victim_start(v, self->dev, PENDING));
	ASSERT_TRUE(victim_asleep(v, SYS_futex));
	ASSERT_EQ(0, cancel_and_die(v, self->dev, 0));
	EXPECT_EQ(RPCCANCEL_RESULT_ALREADY, rc_cancel_result(v->handle, v->gen));
	wake_futex(v->shared);
	EXPECT_EQ(0, rc_reap(v->pid, RC_PATIENCE));
	v->pid = 0;
	EXPECT_EQ(-ECANCELED, v->shared->ret);
}

TEST_F_TIMEOUT(canceller, end_in_the_grace_does_not_end_the_grace, 60)
{
	struct victim *v = &self->v;
	uint64_t start;

	ASSERT_EQ(0, victim_start(v, self->dev, GRACE));
	ASSERT_TRUE(victim_asleep(v, SYS_read));
	start = rc_now();
	ASSERT_EQ(0, cancel_and_die(v, self->dev, 1500 * RC_NSEC_PER_MSEC));
	EXPECT_EQ(0, rc_reap(v->pid, RC_PATIENCE));
	EXPECT_GE(rc_now() - start, 1500 * RC_NSEC_PER_MSEC);
	v->pid = 0;
	EXPECT_EQ(-ECANCELED, v->shared->ret);
}

TEST_F_TIMEOUT(canceller, end_while_the_target_is_stopped_changes_nothing, 60)
{
	struct victim *v = &self->v;

	ASSERT_EQ(0, victim_start(v, self->dev, STOPPED));
	ASSERT_TRUE(victim_asleep(v, SYS_read));
	kill(v->pid, SIGSTOP);
	ASSERT_TRUE(rc_wait_state(v->pid, v->pid, "T", RC_PATIENCE));
	ASSERT_EQ(0, cancel_and_die(v, self->dev, 0));
	rc_sleep(RC_WHILE);
	EXPECT_EQ('T', rc_state(v->pid, v->pid));
	kill(v->pid, SIGCONT);
	EXPECT_EQ(0, rc_reap(v->pid, RC_PATIENCE));
	v->pid = 0;
	EXPECT_EQ(-ECANCELED, v->shared->ret);
}

TEST_F_TIMEOUT(canceller, end_between_calls_leaves_the_cancel_for_the_next, 60)
{
	struct victim *v = &self->v;
	struct rpccancel_info info;

	ASSERT_EQ(0, victim_start(v, self->dev, IDLE));
	ASSERT_TRUE(victim_asleep(v, SYS_read));
	ASSERT_EQ(0, cancel_and_die(v, self->dev, 0));
	ASSERT_EQ(0, rc_info(v->handle, &info));
	EXPECT_EQ(RPCCANCEL_GEN_NEXT, info.pending);
	ASSERT_EQ(1, write(v->pipe[1], "x", 1));
	EXPECT_EQ(0, rc_reap(v->pid, RC_PATIENCE));
	v->pid = 0;
	EXPECT_EQ(1, v->shared->ret);
}

/* Cancels as fast as it can, one by one and in bulk, until it is killed. */
static void bulk_main(const struct victim *v, int dev)
{
	struct rpccancel_target targets[64];
	struct rpccancel_bulk bulk = {
		.targets = (uintptr_t)targets, .count = 64,
	};

	for (;;) {
		int handle = rc_open(dev, v->pid, RPCCANCEL_ACCESS_ALL);

		for (int i = 0; i < 64; i++)
			targets[i] = (struct rpccancel_target){
				.handle = handle, .gen = v->gen,
			};
		ioctl(dev, RPCCANCEL_IOC_BULK, &bulk);
		rc_wait(handle, v->gen, RPCCANCEL_WAIT_ENDED, 1);
		close(handle);
	}
}

TEST_F_TIMEOUT(canceller, end_at_any_moment_does_no_harm, 90)
{
	uint32_t seed = rc_now() >> 10 | 1;
	struct victim *v = &self->v;
	int rounds = 0;

	ASSERT_EQ(0, victim_start(v, self->dev, PENDING));
	ASSERT_TRUE(victim_asleep(v, SYS_futex));
	for (; rounds < 30; rounds++) {
		pid_t pid = rc_fork();

		ASSERT_GE(pid, 0);
		if (!pid)
			bulk_main(v, self->dev);
		usleep(rc_random(&seed, 20000));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, rc_reap(pid, RC_PATIENCE));
	}
	TH_LOG("%d cancellers killed", rounds);
	EXPECT_EQ(RPCCANCEL_RESULT_ALREADY, rc_cancel_result(v->handle, v->gen));
	wake_futex(v->shared);
	EXPECT_EQ(0, rc_reap(v->pid, RC_PATIENCE));
	v->pid = 0;
	EXPECT_EQ(-ECANCELED, v->shared->ret);
}

/*
 * The end of the device, of threads, and of programs.
 */

struct sleeper {
	atomic_int word;
	bool raw;		/* ends without a word to anybody */
	int pipe[2];
	long after;		/* what a call outside of any scope gave */
};

static long futex_thread(struct rc_thread *t)
{
	struct sleeper *s = t->arg;

	rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	while (!s->word)
		syscall(SYS_futex, &s->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL,
			0);
	if (s->raw)
		syscall(SYS_exit, 0);
	/* The slot may be gone: nothing is cancelled any more. */
	s->after = read_byte(s->pipe[0]);
	return 0;
}

static void futex_let_go(struct sleeper *s)
{
	s->word = 1;
	syscall(SYS_futex, &s->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *slot_page(struct rpccancel_slot *slot)
{
	return (void *)((uintptr_t)slot & ~(sysconf(_SC_PAGESIZE) - 1));
}

FIXTURE(thread)
{
	struct rc_thread t;
	struct sleeper s;
	uint64_t gen;
};

FIXTURE_SETUP(thread)
{
	int dev = rc_open_device();

	memset(self, 0, sizeof(*self));
	ASSERT_GE(dev, 0);
	ASSERT_EQ(0, pipe(self->s.pipe));
	ASSERT_EQ(0, rc_start(&self->t, dev, futex_thread, &self->s));
	ASSERT_TRUE(rc_wait_stage(&self->t, 1, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_asleep(self->t.tid, SYS_futex, RC_PATIENCE));
	self->gen = self->t.slot->gen;
}

FIXTURE_TEARDOWN(thread)
{
}

/* Closes the device under a thread that sleeps in a futex with a cancel. */
TEST_F_TIMEOUT(thread, close_of_its_device_wakes_who_waits_and_frees_all, 60)
{
	struct waiter waiter, poller;

	ASSERT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_cancel_result(self->t.handle, self->gen));
	ASSERT_EQ(0, waiter_start(&poller, self->t.handle, 0, true));
	ASSERT_EQ(0, waiter_start(&waiter, self->t.handle, self->gen, false));

	ASSERT_EQ(0, munmap(slot_page(self->t.slot), sysconf(_SC_PAGESIZE)));
	ASSERT_EQ(0, close(self->t.dev));
	EXPECT_EQ(-ESRCH, waiter_end(&waiter));
	EXPECT_EQ(POLLHUP, waiter_end(&poller));
	EXPECT_EQ(-ESRCH, rc_cancel_result(self->t.handle, self->gen));
	ASSERT_EQ(0, close(self->t.handle));
	self->t.handle = -1;
	/*
	 * It was woken to take the hook off, and sleeps again: it must not be in
	 * the way.
	 */
	EXPECT_TRUE(rc_wait_asleep(self->t.tid, SYS_futex, RC_PATIENCE));
	EXPECT_ALL_GONE();

	futex_let_go(&self->s);
	EXPECT_TRUE(rc_wait_asleep(self->t.tid, SYS_read, RC_PATIENCE));
	rc_sleep(RC_WHILE);
	ASSERT_EQ(1, write(self->s.pipe[1], "x", 1));
	ASSERT_EQ(0, rc_join(&self->t, RC_PATIENCE));
	EXPECT_EQ(1, self->s.after);
	EXPECT_ALL_GONE();
}

TEST_F_TIMEOUT(thread, exit_without_detach_wakes_who_waits_for_a_cancel, 60)
{
	struct waiter waiter, poller;
	int ret;

	self->s.raw = true;
	ASSERT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_cancel_result(self->t.handle, self->gen));
	ASSERT_EQ(0, waiter_start(&poller, self->t.handle, 0, true));
	ASSERT_EQ(0, waiter_start(&waiter, self->t.handle, self->gen, false));
	futex_let_go(&self->s);
	ret = waiter_end(&waiter);
	EXPECT_EQ(-ESRCH, ret) TH_LOG("waiter: %s", rc_result_name(ret));
	EXPECT_EQ(POLLHUP, waiter_end(&poller));
	close(self->t.handle);
	munmap(slot_page(self->t.slot), sysconf(_SC_PAGESIZE));
	close(self->t.dev);
	EXPECT_ALL_GONE();
}

TEST_F_TIMEOUT(thread, exit_without_detach_hangs_up_when_nothing_is_pending, 60)
{
	struct waiter poller;

	self->s.raw = true;
	ASSERT_EQ(0, waiter_start(&poller, self->t.handle, 0, true));
	futex_let_go(&self->s);
	EXPECT_EQ(POLLHUP, waiter_end(&poller));
}

TEST_F_TIMEOUT(thread, exit_without_detach_ends_a_read_of_its_handle, 60)
{
	struct rpccancel_event ev;
	int pid, ret;

	self->s.raw = true;
	/* In a child, so that it can be ended if it is not woken. */
	pid = rc_fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(read(self->t.handle, &ev, sizeof(ev)) ? 1 : 0);
	ASSERT_TRUE(rc_wait_state(pid, pid, "S", RC_PATIENCE));
	futex_let_go(&self->s);
	ret = rc_reap(pid, SOON);
	EXPECT_EQ(0, ret);
	if (ret == -ETIMEDOUT) {
		kill(pid, SIGKILL);
		rc_reap(pid, RC_PATIENCE);
	}
}

TEST_F_TIMEOUT(thread, detach_ends_the_old_handle_and_attach_begins_anew, 60)
{
	struct rpccancel_slot *slot;
	struct rpccancel_info info;
	int dev = self->t.dev, old, new, rounds = 0;
	uint64_t gen;
	char byte;

	for (; rounds < 100; rounds++) {
		ASSERT_EQ(0, rc_attach(dev, &slot));
		old = rc_open(dev, 0, RPCCANCEL_ACCESS_ALL);
		ASSERT_GE(old, 0);
		gen = rc_begin_scope(dev, slot);
		/* Its own, and already pending. */
		EXPECT_EQ(RPCCANCEL_RESULT_PENDING, rc_cancel_result(old, gen));
		EXPECT_EQ(gen, slot->cancel);
		EXPECT_EQ(-1, read(self->s.pipe[0], &byte, 1));
		EXPECT_EQ(ECANCELED, errno);
		ASSERT_EQ(0, ioctl(dev, RPCCANCEL_IOC_DETACH));
		EXPECT_EQ(-ESRCH, rc_cancel_result(old, RPCCANCEL_GEN_ANY));
		EXPECT_EQ(-ESRCH, rc_info(old, &info));
		EXPECT_EQ(POLLHUP, rc_poll(old, 0, 0));
		/* What was pending does not reach the calls after. */
		ASSERT_EQ(1, write(self->s.pipe[1], "x", 1));
		EXPECT_EQ(1, read(self->s.pipe[0], &byte, 1));
		munmap(slot_page(slot), sysconf(_SC_PAGESIZE));

		ASSERT_EQ(0, rc_attach(dev, &slot));
		EXPECT_EQ(0u, slot->cancel);
		new = rc_open(dev, 0, RPCCANCEL_ACCESS_ALL);
		ASSERT_GE(new, 0);
		EXPECT_EQ(-ESRCH, rc_cancel_result(old, RPCCANCEL_GEN_ANY));
		gen = rc_begin_scope(dev, slot);
		EXPECT_EQ(RPCCANCEL_RESULT_PENDING, rc_cancel_result(new, gen));
		EXPECT_EQ(-1, read(self->s.pipe[0], &byte, 1));
		EXPECT_EQ(ECANCELED, errno);
		rc_end(dev, slot);
		ASSERT_EQ(0, ioctl(dev, RPCCANCEL_IOC_DETACH));
		munmap(slot_page(slot), sysconf(_SC_PAGESIZE));
		close(old);
		close(new);
	}
	TH_LOG("%d times detached and attached again", rounds);
}

/* A whole process of threads, each with a cancel, that exits by itself. */
TEST_F_TIMEOUT(canceller, exit_group_of_many_targets_wakes_all_who_wait, 90)
{
	enum { N = 16 };
	struct {
		atomic_int tids[N];
		atomic_int go;
	} *s;
	int handles[N];
	struct waiter waiters[N], pollers[N];
	pid_t pid;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)s);
	pid = rc_fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		static struct rc_thread threads[N];
		static struct sleeper sleepers[N];
		int dev = rc_open_device();

		for (int i = 0; i < N; i++) {
			if (rc_start(&threads[i], dev, futex_thread,
				     &sleepers[i]) ||
			    !rc_wait_stage(&threads[i], 1, RC_PATIENCE))
				_exit(1);
			s->tids[i] = threads[i].tid;
		}
		while (!s->go)
			rc_sleep(1);
		syscall(SYS_exit_group, 33);
	}
	for (int i = 0; i < N; i++) {
		uint64_t end = rc_now() + RC_PATIENCE * RC_NSEC_PER_MSEC;

		while (!s->tids[i] && rc_now() < end)
			rc_sleep(1);
		handles[i] = rc_open(self->dev, s->tids[i],
				     RPCCANCEL_ACCESS_ALL);
		ASSERT_GE(handles[i], 0);
		ASSERT_EQ(RPCCANCEL_RESULT_PENDING,
			  rc_cancel_result(handles[i], 1));
		ASSERT_EQ(0, waiter_start(&waiters[i], handles[i], 1, false));
		ASSERT_EQ(0, waiter_start(&pollers[i], handles[i], 0, true));
	}
	s->go = 1;
	EXPECT_EQ(33, rc_reap(pid, RC_PATIENCE));
	for (int i = 0; i < N; i++) {
		EXPECT_EQ(-ESRCH, waiter_end(&waiters[i]));
		EXPECT_EQ(POLLHUP, waiter_end(&pollers[i]));
		close(handles[i]);
	}
}

/*
 * execve(): the device's descriptor stays open, and nothing else of the old
 * program does.
 */

#define EXEC_ARG	"--read-after-exec"

enum {
	EXEC_READ = 60,		/* the new program's read() gave its byte */
	EXEC_REFUSED,
	EXEC_ATTACHED,		/* through the old program's descriptor */
	EXEC_OWN,		/* its own attachment did not work */
};

static int after_exec(int dev, int in, int out)
{
	struct rpccancel_slot *slot;
	uint64_t gen;
	int own;

	if (write(out, "x", 1) != 1)
		return EXEC_OWN;
	if (read_byte(in) != 1)
		return EXEC_REFUSED;
	if (rc_attach(dev, &slot) != -EPERM)
		return EXEC_ATTACHED;
	/* With a device of its own it begins anew. */
	own = rc_open_device();
	if (own < 0 || rc_attach(own, &slot))
		return EXEC_OWN;
	gen = rc_begin_scope(own, slot);
	if (rc_cancel_result(rc_open(own, 0, RPCCANCEL_ACCESS_ALL), gen) !=
	    RPCCANCEL_RESULT_PENDING || read_byte(in) != -ECANCELED)
		return EXEC_OWN;
	return EXEC_READ;
}

struct exec {
	struct shared *s;
	int in[2], out[2];
	bool by_thread;		/* by another thread than the first */
	bool refused;		/* the cancel has refused a call before */
};

static void do_exec(struct exec *e)
{
	struct rpccancel_slot *slot;
	int dev = open(RC_DEVICE, O_RDWR);	/* without close-on-exec */
	char arg[3][16];

	if (dev < 0 || rc_attach(dev, &slot))
		_exit(1);
	e->s->gen = rc_begin_scope(dev, slot);
	e->s->ret = rc_gettid();
	e->s->stage = 1;
	if (e->refused && read_byte(e->in[0]) != -ECANCELED)
		_exit(2);
	/* The cancel has come: it is shown only to a thread that looks. */
	while (!e->s->word)
		;
	snprintf(arg[0], sizeof(arg[0]), "%d", dev);
	snprintf(arg[1], sizeof(arg[1]), "%d", e->in[0]);
	snprintf(arg[2], sizeof(arg[2]), "%d", e->out[1]);
	execl("/proc/self/exe", "teardown_test", EXEC_ARG, arg[0], arg[1],
	      arg[2], NULL);
	_exit(3);
}

static void *exec_thread(void *arg)
{
	do_exec(arg);
	return NULL;
}

static void exec_child(struct exec *e)
{
	pthread_t thread;

	if (!e->by_thread)
		do_exec(e);
	pthread_create(&thread, NULL, exec_thread, e);
	for (;;)
		pause();
}

FIXTURE(exec)
{
	int dev;
	struct exec e;
	pid_t pid;
};

FIXTURE_VARIANT(exec)
{
	bool by_thread, refused, cancelled;
};

FIXTURE_VARIANT_ADD(exec, by_the_first_thread) { .cancelled = true };

FIXTURE_VARIANT_ADD(exec, by_another_thread)
{
	.cancelled = true, .by_thread = true,
};

FIXTURE_VARIANT_ADD(exec, after_a_refused_call)
{
	.cancelled = true, .refused = true,
};

FIXTURE_VARIANT_ADD(exec, without_a_cancel) { .cancelled = false };

FIXTURE_SETUP(exec)
{
	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, pipe(self->e.in));
	ASSERT_EQ(0, pipe(self->e.out));
	self->e.by_thread = variant->by_thread;
	self->e.refused = variant->refused;
	self->e.s = mmap(NULL, sizeof(*self->e.s), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->e.s);
	self->pid = rc_fork();
	ASSERT_GE(self->pid, 0);
	if (!self->pid)
		exec_child(&self->e);
}

FIXTURE_TEARDOWN(exec)
{
	close(self->dev);
	if (self->pid > 0) {
		kill(self->pid, SIGKILL);
		waitpid(self->pid, NULL, 0);
	}
}

TEST_F_TIMEOUT(exec, leaves_the_cancel_to_the_old_program, 60)
{
	struct rpccancel_info info;
	struct waiter poller;
	char byte;
	int handle;

	ASSERT_TRUE(wait_stage(self->e.s, 1));
	handle = rc_open(self->dev, self->e.s->ret, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	ASSERT_EQ(0, waiter_start(&poller, handle, 0, true));
	if (variant->cancelled) {
		ASSERT_EQ(RPCCANCEL_RESULT_PENDING,
			  rc_cancel_result(handle, self->e.s->gen));
	}
	self->e.s->word = 1;
	/* The new program is there, and about to read. */
	close(self->e.out[1]);
	ASSERT_EQ(1, read(self->e.out[0], &byte, 1));
	ASSERT_TRUE(rc_wait_state(self->pid, self->pid, "S", RC_PATIENCE));
	EXPECT_EQ(-ESRCH, rc_cancel_result(handle, RPCCANCEL_GEN_ANY));
	EXPECT_EQ(-ESRCH, rc_cancel_result(handle, self->e.s->gen));
	EXPECT_EQ(-ESRCH, rc_info(handle, &info));
	rc_sleep(RC_WHILE);
	ASSERT_EQ(1, write(self->e.in[1], "x", 1));
	EXPECT_EQ(EXEC_READ, rc_reap(self->pid, RC_PATIENCE));
	self->pid = 0;
	EXPECT_EQ(POLLHUP, waiter_end(&poller));
	close(handle);
	close(self->dev);
	EXPECT_ALL_GONE();
	self->dev = -1;
}

/*
 * Many at once.
 */

static long read_thread(struct rc_thread *t)
{
	int *pipe = t->arg;
	long ret;

	rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	ret = read_byte(pipe[0]);
	rc_end(t->dev, t->slot);
	return ret;
}

TEST_F_TIMEOUT(canceller, of_many_in_bulk_is_told_what_became_of_each, 60)
{
	enum { GOOD = 24, KINDS = 8, N = GOOD * KINDS };
	struct rpccancel_target targets[N];
	struct rpccancel_bulk bulk = {
		.targets = (uintptr_t)targets, .count = N,
	};
	struct rc_thread threads[GOOD];
	int pipes[2], dead, null, look, good = 0, bad = 0;

	ASSERT_EQ(0, pipe(pipes));
	null = open("/dev/null", O_RDWR);
	ASSERT_EQ(0, victim_start(&self->v, self->dev, BLOCKED));
	dead = self->v.handle;
	kill(self->v.pid, SIGKILL);
	ASSERT_EQ(256 + SIGKILL, rc_reap(self->v.pid, RC_PATIENCE));
	self->v.pid = 0;
	for (int i = 0; i < GOOD; i++) {
		ASSERT_EQ(0, rc_start(&threads[i], self->dev, read_thread,
				      pipes));
		ASSERT_TRUE(rc_wait_stage(&threads[i], 1, RC_PATIENCE));
	}
	look = rc_dup(threads[0].handle, RPCCANCEL_QUERY_INFORMATION);
	ASSERT_GE(look, 0);
	const int bad_handles[] = { -1, 1 << 20, null, self->dev, dead };

	for (int i = 0; i < N; i++) {
		struct rpccancel_target *t = &targets[i];

		memset(t, 0, sizeof(*t));
		t->handle = threads[i / KINDS].handle;
		t->gen = 1;
		t->error = 12345;
		t->result = 12345;
		if (i % KINDS < 5)
			t->handle = bad_handles[i % KINDS];
		else if (i % KINDS == 5)
			t->handle = look;
		else if (i % KINDS == 6)
			t->gen = 2;
	}
	ASSERT_EQ(0, ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	EXPECT_EQ(N, (int)bulk.count);
	for (int i = 0; i < N; i++) {
		static const int errors[KINDS] = {
			EBADF, EBADF, EBADF, EBADF, ESRCH, EACCES, EINVAL, 0,
		};
		bool is_good = !errors[i % KINDS];

		EXPECT_EQ(errors[i % KINDS], targets[i].error)
			TH_LOG("element %d", i);
		EXPECT_EQ(is_good ? RPCCANCEL_RESULT_PENDING :
				    RPCCANCEL_RESULT_NONE,
			  (int)targets[i].result) TH_LOG("element %d", i);
		good += is_good;
		bad += !is_good;
	}
	for (int i = 0; i < GOOD; i++) {
		ASSERT_EQ(0, rc_join(&threads[i], RC_PATIENCE));
		EXPECT_EQ(-ECANCELED, threads[i].ret);
	}
	TH_LOG("%d good, %d bad", good, bad);
	/* Half of the array is not there. */
	long page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)map);
	munmap(map + page, page);
	memset(map, 0xff, page);
	bulk.targets = (uintptr_t)(map + page) - 3 * sizeof(targets[0]);
	bulk.count = N;
	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(3u, bulk.count);
}

/*
 * The module.
 */

static int unload(void)
{
	return syscall(SYS_delete_module, MODULE, O_NONBLOCK) ? -errno : 0;
}

static int load(void)
{
	const char *path = getenv("RPCCANCEL_MODULE");
	int fd = open(path ?: "", O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* The system call says EWOULDBLOCK for what rmmod(8) calls "in use". */
#define IN_USE		(-EWOULDBLOCK)

FIXTURE(module)
{
	int unused;
};

static bool can_reload(void)
{
	const char *path = getenv("RPCCANCEL_MODULE");

	return path && !access(path, R_OK) && !getuid();
}

/* Not in the setup: the test would run nevertheless. */
#define SKIP_UNLESS_RELOADABLE()					\
	do {								\
		if (!can_reload())					\
			SKIP(return, "needs root, and RPCCANCEL_MODULE to load again"); \
	} while (0)

FIXTURE_SETUP(module)
{
	if (can_reload())
		ASSERT_TRUE(all_gone());
}

FIXTURE_TEARDOWN(module)
{
	if (!access(RC_DEVICE, F_OK) || !can_reload())
		return;
	EXPECT_EQ(0, load());
}

#define EXPECT_RELOADS()						\
	do {								\
		struct rpccancel_slot *_slot;				\
		int _dev;						\
									\
		EXPECT_ALL_GONE();					\
		ASSERT_EQ(0, unload());					\
		EXPECT_EQ(-ENOENT, rc_open_device());			\
		ASSERT_EQ(0, load());					\
		_dev = rc_open_device();				\
		ASSERT_GE(_dev, 0);					\
		ASSERT_EQ(0, rc_attach(_dev, &_slot));			\
		munmap(slot_page(_slot), sysconf(_SC_PAGESIZE));	\
		ASSERT_EQ(0, close(_dev));				\
		EXPECT_ALL_GONE();					\
	} while (0)

TEST_F_TIMEOUT(module, cannot_be_removed_while_a_device_is_open, 60)
{
	int dev = rc_open_device();

	SKIP_UNLESS_RELOADABLE();
	ASSERT_GE(dev, 0);
	EXPECT_EQ(IN_USE, unload());
	close(dev);
	EXPECT_RELOADS();
}

TEST_F_TIMEOUT(module, cannot_be_removed_while_a_device_is_mapped, 60)
{
	int dev = rc_open_device();
	void *p;

	SKIP_UNLESS_RELOADABLE();
	ASSERT_GE(dev, 0);
	p = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, dev, 0);
	ASSERT_NE(MAP_FAILED, p);
	close(dev);
	EXPECT_EQ(IN_USE, unload());
	munmap(p, sysconf(_SC_PAGESIZE));
	EXPECT_RELOADS();
}

TEST_F_TIMEOUT(module, cannot_be_removed_while_there_is_a_handle, 60)
{
	int dev = rc_open_device(), handle;

	SKIP_UNLESS_RELOADABLE();
	ASSERT_GE(dev, 0);
	handle = rc_open(dev, 0, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	close(dev);
	rc_sleep(RC_WHILE);
	EXPECT_EQ(IN_USE, unload());
	EXPECT_EQ(RPCCANCEL_RESULT_NEXT,
		  rc_cancel_result(handle, RPCCANCEL_GEN_ANY));
	close(handle);
	EXPECT_RELOADS();
}

TEST_F_TIMEOUT(module, cannot_be_removed_while_a_handle_of_the_dead_is_open, 60)
{
	struct victim v;
	int dev = rc_open_device(), ret;

	SKIP_UNLESS_RELOADABLE();
	ASSERT_GE(dev, 0);
	ret = victim_start(&v, dev, PENDING) ?: victim_cancel(&v);
	ASSERT_EQ(0, ret);
	close(dev);
	kill(v.pid, SIGKILL);
	ASSERT_EQ(256 + SIGKILL, rc_reap(v.pid, RC_PATIENCE));
	rc_sleep(RC_WHILE);
	EXPECT_EQ(IN_USE, unload());
	EXPECT_EQ(-ESRCH, rc_cancel_result(v.handle, v.gen));
	victim_close(&v);
	EXPECT_RELOADS();
}

/* Work that is queued for a stopped thread cannot be withdrawn. */
TEST_F_TIMEOUT(module, cannot_be_removed_while_a_stopped_thread_has_work, 60)
{
	struct victim v;
	int dev = rc_open_device();

	SKIP_UNLESS_RELOADABLE();
	ASSERT_GE(dev, 0);
	ASSERT_EQ(0, victim_start(&v, dev, UNATTACHED));
	ASSERT_TRUE(victim_asleep(&v, SYS_read));
	kill(v.pid, SIGSTOP);
	ASSERT_TRUE(rc_wait_state(v.pid, v.pid, "T", RC_PATIENCE));
	ASSERT_EQ(RPCCANCEL_RESULT_NEXT,
		  rc_cancel_result(v.handle, RPCCANCEL_GEN_ANY));
	close(v.handle);
	v.handle = -1;
	close(dev);
	rc_sleep(RC_WHILE);
	EXPECT_EQ(IN_USE, unload());
	kill(v.pid, SIGCONT);
	EXPECT_ALL_GONE();
	/* It was the unloaded module's, not its own. */
	ASSERT_EQ(1, write(v.pipe[1], "x", 1));
	EXPECT_EQ(0, rc_reap(v.pid, RC_PATIENCE));
	EXPECT_EQ(1, v.shared->ret);
	victim_close(&v);
	EXPECT_RELOADS();
}

TEST_F_TIMEOUT(module, can_be_removed_while_a_stopped_thread_has_none, 60)
{
	struct victim v;
	int dev = rc_open_device();

	SKIP_UNLESS_RELOADABLE();
	ASSERT_GE(dev, 0);
	ASSERT_EQ(0, victim_start(&v, dev, UNATTACHED));
	kill(v.pid, SIGSTOP);
	ASSERT_TRUE(rc_wait_state(v.pid, v.pid, "T", RC_PATIENCE));
	close(v.handle);
	v.handle = -1;
	close(dev);
	EXPECT_RELOADS();
	kill(v.pid, SIGKILL);
	EXPECT_EQ(256 + SIGKILL, rc_reap(v.pid, RC_PATIENCE));
	victim_close(&v);
}

/* Removed the moment after the last user has gone, again and again. */
TEST_F_TIMEOUT(module, can_be_removed_right_after_its_last_user, 90)
{
	int rounds = 0, busy = 0;

	SKIP_UNLESS_RELOADABLE();
	for (; rounds < 8; rounds++) {
		uint64_t end = rc_now() + RC_PATIENCE * RC_NSEC_PER_MSEC;
		struct victim v;
		int dev = rc_open_device(), ret;

		ASSERT_GE(dev, 0);
		ret = victim_start(&v, dev, rounds) ?: victim_cancel(&v);
		ASSERT_EQ(0, ret) TH_LOG("round %d, line %d", rounds, ret);
		close(dev);
		victim_close(&v);
		kill(v.pid, SIGKILL);
		waitpid(v.pid, NULL, 0);
		do {
			ret = unload();
			busy += ret == IN_USE;
		} while (ret == IN_USE && rc_now() < end);
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, load());
	}
	TH_LOG("removed %d times, busy %d times before", rounds, busy);
}

static void __attribute__((constructor)) __constructor_order_last(void)
{
	if (!__constructor_order)
		__constructor_order = _CONSTRUCTOR_ORDER_BACKWARD;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], EXEC_ARG))
		return after_exec(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
	rc_need_device();
	return test_harness_run(argc, argv);
}
