// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What a cancel must never touch: locks and everything else that waits on a
 * futex, and system calls that are not on the list.  Under a pending scope
 * cancel none of them aborts, none fails, none ends early, none ends late.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

static struct {
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
	pthread_cond_t cond;
	pthread_barrier_t barrier;
	pthread_t other;
	sem_t sem;
	atomic_bool go;
	uint32_t futex;
	int fd[2];
	int ring;
	mqd_t mq;
	char path[64];
} on;

static void after(struct timespec *ts, clockid_t clock, int ms)
{
	clock_gettime(clock, ts);
	ts->tv_sec += ms / 1000;
	ts->tv_nsec += ms % 1000 * 1000000L;
	if (ts->tv_nsec >= 1000000000L) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000L;
	}
}

static int futex(uint32_t *word, int op, uint32_t value, struct timespec *ts)
{
	return syscall(SYS_futex, word, op, value, ts, NULL, 0) ? -errno : 0;
}

/* prepare() by the test, block() by the thread, release() by the test. */
static int mutex_locked(void)
{
	pthread_mutex_init(&on.mutex, NULL);
	return pthread_mutex_lock(&on.mutex);
}

static int pi_mutex_locked(void)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&on.mutex, &attr);
	return pthread_mutex_lock(&on.mutex);
}

static long lock_mutex(void)
{
	int ret = pthread_mutex_lock(&on.mutex);

	return ret ?: pthread_mutex_unlock(&on.mutex);
}

static void unlock_mutex(void)
{
	pthread_mutex_unlock(&on.mutex);
}

static int rwlock_locked(void)
{
	pthread_rwlock_init(&on.rwlock, NULL);
	return pthread_rwlock_wrlock(&on.rwlock);
}

static long lock_rwlock(void)
{
	return pthread_rwlock_rdlock(&on.rwlock);
}

static void unlock_rwlock(void)
{
	pthread_rwlock_unlock(&on.rwlock);
}

static int condition(void)
{
	on.go = false;
	pthread_mutex_init(&on.mutex, NULL);
	return pthread_cond_init(&on.cond, NULL);
}

static long wait_condition(void)
{
	int ret = 0;

	pthread_mutex_lock(&on.mutex);
	while (!on.go && !ret)
		ret = pthread_cond_wait(&on.cond, &on.mutex);
	pthread_mutex_unlock(&on.mutex);
	return ret;
}

static long timedwait_condition(void)
{
	struct timespec ts;
	int ret = 0;

	after(&ts, CLOCK_REALTIME, 600000);
	pthread_mutex_lock(&on.mutex);
	while (!on.go && !ret)
		ret = pthread_cond_timedwait(&on.cond, &on.mutex, &ts);
	pthread_mutex_unlock(&on.mutex);
	return ret;
}

static void signal_condition(void)
{
	pthread_mutex_lock(&on.mutex);
	on.go = true;
	pthread_cond_signal(&on.cond);
	pthread_mutex_unlock(&on.mutex);
}

static int empty_semaphore(void)
{
	return sem_init(&on.sem, 0, 0);
}

static long wait_semaphore(void)
{
	return sem_wait(&on.sem) ? -errno : 0;
}

static long timedwait_semaphore(void)
{
	struct timespec ts;

	after(&ts, CLOCK_REALTIME, 600000);
	return sem_timedwait(&on.sem, &ts) ? -errno : 0;
}

static void post_semaphore(void)
{
	sem_post(&on.sem);
}

static int barrier(void)
{
	return pthread_barrier_init(&on.barrier, NULL, 2);
}

static long wait_barrier(void)
{
	int ret = pthread_barrier_wait(&on.barrier);

	return ret == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : ret;
}

static void enter_barrier(void)
{
	pthread_barrier_wait(&on.barrier);
}

static void *other_thread(void *arg)
{
	(void)arg;
	while (!on.go)
		usleep(1000);
	return NULL;
}

static int running_thread(void)
{
	on.go = false;
	return pthread_create(&on.other, NULL, other_thread, NULL);
}

static long join_thread(void)
{
	return pthread_join(on.other, NULL);
}

static void end_thread(void)
{
	on.go = true;
}

static int futex_word(void)
{
	on.futex = 0;
	return 0;
}

/* With a relative limit it goes on in restart_syscall() after a stop. */
static long wait_futex(void)
{
	struct timespec ts = { 600, 0 };

	return futex(&on.futex, FUTEX_WAIT_PRIVATE, 0, &ts);
}

static void wake_futex(void)
{
	on.futex = 1;
	futex(&on.futex, FUTEX_WAKE_PRIVATE, 1, NULL);
}

static int empty_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int p[2];

	if (pipe(p))
		return -1;
	on.fd[0] = epoll_create1(0);
	on.fd[1] = p[1];
	return epoll_ctl(on.fd[0], EPOLL_CTL_ADD, p[0], &ev);
}

static long wait_epoll(void)
{
	struct epoll_event ev;
	int ret = epoll_pwait(on.fd[0], &ev, 1, -1, NULL);

	return ret < 0 ? -errno : ret - 1;
}

static void feed(void)
{
	if (write(on.fd[1], "x", 1) != 1)
		abort();
}

static int empty_pipe(void)
{
	return pipe(on.fd);
}

static long splice_pipe(void)
{
	int null = open("/dev/null", O_WRONLY);
	long ret = splice(on.fd[0], NULL, null, NULL, 1, 0);

	close(null);
	return ret < 0 ? -errno : ret - 1;
}

static int fifo(void)
{
	snprintf(on.path, sizeof(on.path), "/tmp/rpccancel_fifo.%d", getpid());
	return mkfifo(on.path, 0600);
}

static long open_fifo(void)
{
	int fd = open(on.path, O_RDONLY);

	unlink(on.path);
	return fd < 0 ? -errno : 0;
}

static void open_fifo_too(void)
{
	on.fd[1] = open(on.path, O_WRONLY | O_NONBLOCK);
}

static int empty_ring(void)
{
	struct io_uring_params p = {};

	on.ring = syscall(SYS_io_uring_setup, 2, &p);
	if (on.ring < 0 || pipe(on.fd))
		return -1;

	struct io_uring_sqe *sqe;
	char *sq;

	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4,
		  PROT_READ | PROT_WRITE, MAP_SHARED, on.ring,
		  IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE,
		   MAP_SHARED, on.ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || sqe == MAP_FAILED)
		return -1;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = on.fd[0];
	sqe->poll32_events = EPOLLIN;
	((uint32_t *)(sq + p.sq_off.array))[0] = 0;
	atomic_store((_Atomic uint32_t *)(sq + p.sq_off.tail), 1);
	return 0;
}

static long enter_ring(void)
{
	long ret = syscall(SYS_io_uring_enter, on.ring, 1, 1,
			   IORING_ENTER_GETEVENTS, NULL, 0);

	return ret < 0 ? -errno : ret - 1;
}

static volatile sig_atomic_t signalled;

static void handler(int sig)
{
	(void)sig;
	signalled = 1;
}

static int handled_signal(void)
{
	signalled = 0;
	return signal(SIGUSR1, handler) == SIG_ERR ? -1 : 0;
}

/* It is right for these to say EINTR, after the handler, and only then. */
#ifdef SYS_pause
static long do_pause(void)
{
	long ret = pause() ? -errno : 0;

	return ret == -EINTR && signalled ? 0 : ret ?: -1;
}
#endif

static long do_sigsuspend(void)
{
	sigset_t none;
	long ret;

	sigemptyset(&none);
	ret = sigsuspend(&none) ? -errno : 0;
	return ret == -EINTR && signalled ? 0 : ret ?: -1;
}

static void send_signal(void)
{
	/* To the process: the test's own thread has it blocked. */
	kill(getpid(), SIGUSR1);
}

static int blocked_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return sigprocmask(SIG_BLOCK, &set, NULL);
}

static long wait_signal(void)
{
	struct timespec ts = { 600, 0 };
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ret = sigtimedwait(&set, NULL, &ts);
	return ret < 0 ? -errno : ret - SIGUSR1;
}

static int empty_mq(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };

	snprintf(on.path, sizeof(on.path), "/rpccancel.%d", getpid());
	on.mq = mq_open(on.path, O_RDWR | O_CREAT, 0600, &attr);
	mq_unlink(on.path);
	return on.mq;
}

static long receive_mq(void)
{
	char buf[8];
	ssize_t ret = mq_receive(on.mq, buf, sizeof(buf), NULL);

	return ret < 0 ? -errno : ret - 1;
}

static void send_mq(void)
{
	mq_send(on.mq, "x", 1, 0);
}

/* A socket whose close() waits for data to be taken. */
static int lingering_socket(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct linger linger = { 1, 600 };
	socklen_t len = sizeof(addr);
	static char data[65536];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&addr, len) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		return -1;
	on.fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(on.fd[0], (struct sockaddr *)&addr, len))
		return -1;
	on.fd[1] = accept(fd, NULL, NULL);
	close(fd);
	rc_set_nonblock(on.fd[0], true);
	while (write(on.fd[0], data, sizeof(data)) > 0)
		;
	rc_set_nonblock(on.fd[0], false);
	return setsockopt(on.fd[0], SOL_SOCKET, SO_LINGER, &linger,
			  sizeof(linger));
}

static long close_socket(void)
{
	return close(on.fd[0]) ? -errno : 0;
}

static void reset_peer(void)
{
	close(on.fd[1]);
}

FIXTURE_VARIANT(excluded)
{
	long nr;
	int (*prepare)(void);
	long (*block)(void);
	void (*release)(void);
	bool default_classes;
	bool may_end;		/* a kick may end its wait, with success */
	bool fails_after_stop;	/* with EINTR, see signal(7) */
	bool ends_after_stop;	/* with success */
};

FIXTURE(excluded)
{
	const FIXTURE_VARIANT(excluded) *variant;
	struct rc_thread thread;
	atomic_bool cancelled_first;
	uint64_t gen, refused, cancel;
	int dev;
};

#define VARIANT(name, _nr, _prepare, _block, _release, ...)		\
FIXTURE_VARIANT_ADD(excluded, name) {					\
	.nr = SYS_##_nr,						\
	.prepare = _prepare,						\
	.block = _block,						\
	.release = _release,						\
	__VA_ARGS__							\
}

VARIANT(mutex, futex, mutex_locked, lock_mutex, unlock_mutex);
VARIANT(mutex_pi, futex, pi_mutex_locked, lock_mutex, unlock_mutex);
VARIANT(rwlock, futex, rwlock_locked, lock_rwlock, unlock_rwlock);
VARIANT(cond_wait, futex, condition, wait_condition, signal_condition);
VARIANT(cond_timedwait, futex, condition, timedwait_condition,
	signal_condition);
VARIANT(sem_wait, futex, empty_semaphore, wait_semaphore, post_semaphore);
VARIANT(sem_timedwait, futex, empty_semaphore, timedwait_semaphore,
	post_semaphore);
VARIANT(barrier, futex, barrier, wait_barrier, enter_barrier);
VARIANT(join, futex, running_thread, join_thread, end_thread);
VARIANT(futex_relative, futex, futex_word, wait_futex, wake_futex);
VARIANT(epoll_pwait_by_default, epoll_pwait, empty_epoll, wait_epoll, feed,
	.default_classes = true, .fails_after_stop = true);
VARIANT(splice, splice, empty_pipe, splice_pipe, feed);
VARIANT(open_fifo, openat, fifo, open_fifo, open_fifo_too);
/* It says how many it has submitted. */
VARIANT(io_uring_enter, io_uring_enter, empty_ring, enter_ring, feed,
	.ends_after_stop = true);
#ifdef SYS_pause	/* elsewhere it is a ppoll() of nothing */
VARIANT(pause, pause, handled_signal, do_pause, send_signal);
#endif
VARIANT(sigsuspend, rt_sigsuspend, handled_signal, do_sigsuspend, send_signal);
VARIANT(sigtimedwait, rt_sigtimedwait, blocked_signal, wait_signal, send_signal,
	.fails_after_stop = true);
VARIANT(mq_receive, mq_timedreceive, empty_mq, receive_mq, send_mq);
VARIANT(close_linger, close, lingering_socket, close_socket, reset_peer,
	.may_end = true, .ends_after_stop = true);

FIXTURE_SETUP(excluded)
{
	int ret;

	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	self->variant = variant;
	self->cancelled_first = false;
	ret = variant->prepare();
	if (ret < 0 && errno == ENOSYS)
		SKIP(return, "this kernel has no such call");
	ASSERT_GE(ret, 0) TH_LOG("%m");
}

FIXTURE_TEARDOWN(excluded)
{
	close(self->dev);
}

static long one_call(struct rc_thread *t)
{
	FIXTURE_DATA(excluded) *self = t->arg;
	long ret;

	self->gen = rc_begin(t->dev, t->slot, RPCCANCEL_MODE_SCOPE,
			     self->variant->default_classes ? 0 :
			     RPCCANCEL_CLASS_ALL, 0);
	t->stage = 1;
	while (self->cancelled_first && !t->slot->cancel)
		;
	ret = self->variant->block();
	self->cancel = t->slot->cancel;
	self->refused = t->slot->refused;
	rc_end(t->dev, t->slot);
	return ret;
}

/* Signals are for the other thread. */
static void start(struct __test_metadata *_metadata,
		  FIXTURE_DATA(excluded) *self)
{
	sigset_t set;

	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_call, self));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void must_stay(struct __test_metadata *_metadata,
		      FIXTURE_DATA(excluded) *self)
{
	struct rpccancel_cancel c;
	struct rpccancel_info info;

	/* Each request kicks the thread again. */
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, rc_cancel(self->thread.handle, RPCCANCEL_GEN_ANY,
				       0, &c));
		rc_sleep(3);
		EXPECT_EQ(self->gen, c.gen);
	}
	EXPECT_EQ(RPCCANCEL_RESULT_ALREADY, c.result);
	rc_sleep(RC_WHILE);
	EXPECT_FALSE((bool)self->thread.done)
		TH_LOG("it has ended with %ld", self->thread.ret);
	if (self->thread.done)
		return;
	ASSERT_EQ(0, rc_info(self->thread.handle, &info));
	EXPECT_EQ(RPCCANCEL_STATE_EXCLUDED, info.state);
	/* With a relative limit it may go on in restart_syscall(). */
	EXPECT_TRUE(info.syscall == self->variant->nr ||
		    info.syscall == SYS_restart_syscall)
		TH_LOG("it is in system call %d", info.syscall);
	EXPECT_EQ(rc_asleep_in(getpid(), self->thread.tid), info.syscall);
}

static void release(struct __test_metadata *_metadata,
		    FIXTURE_DATA(excluded) *self)
{
	if (!self->thread.done)
		self->variant->release();
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
	EXPECT_EQ(0, self->refused);
	EXPECT_EQ(self->gen, self->cancel);
}

TEST_F(excluded, is_not_touched_when_cancelled_while_asleep)
{
	start(_metadata, self);
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, variant->nr, RC_PATIENCE));
	if (!variant->may_end)
		must_stay(_metadata, self);
	else
		rc_cancel(self->thread.handle, RPCCANCEL_GEN_ANY, 0, NULL);
	release(_metadata, self);
}

TEST_F(excluded, is_not_touched_when_cancelled_before)
{
	struct rpccancel_cancel c;

	self->cancelled_first = true;
	start(_metadata, self);
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	ASSERT_EQ(0, rc_cancel(self->thread.handle, RPCCANCEL_GEN_ANY, 0, &c));
	if (!variant->may_end) {
		ASSERT_TRUE(rc_wait_asleep(self->thread.tid, variant->nr,
					   RC_PATIENCE));
		must_stay(_metadata, self);
	}
	release(_metadata, self);
}

TEST_F(excluded, is_not_touched_after_stop_and_continue)
{
	long nr;

	start(_metadata, self);
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, variant->nr, RC_PATIENCE));
	ASSERT_EQ(0, rc_stop_and_continue());
	if (variant->fails_after_stop || variant->ends_after_stop) {
		/*
		 * A stop ends it in any case: what it says is not changed. Only
		 * a cancel that finds it still on its way out lets it go on.
		 */
		rc_cancel(self->thread.handle, RPCCANCEL_GEN_ANY, 0, NULL);
		if (rc_join(&self->thread, RC_PATIENCE / 4)) {
			ASSERT_TRUE(rc_wait_asleep(self->thread.tid, variant->nr,
						   RC_PATIENCE));
			release(_metadata, self);
			return;
		}
		EXPECT_EQ(variant->ends_after_stop ? 0 : -EINTR,
			  self->thread.ret);
		EXPECT_EQ(0, self->refused);
		return;
	}
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, -1, RC_PATIENCE));
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, rc_cancel(self->thread.handle, RPCCANCEL_GEN_ANY,
				       0, NULL));
		rc_sleep(3);
	}
	rc_sleep(RC_WHILE);
	EXPECT_FALSE((bool)self->thread.done)
		TH_LOG("it has ended with %ld", self->thread.ret);
	nr = rc_asleep_in(getpid(), self->thread.tid);
	EXPECT_TRUE(nr == variant->nr || nr == SYS_restart_syscall)
		TH_LOG("it is in system call %ld", nr);
	release(_metadata, self);
}

/* Timed waits: each ends when it would have ended, cancelled or not. */
#define LIMIT	2000

static long cond_limit(void)
{
	struct timespec ts;
	int ret;

	after(&ts, CLOCK_REALTIME, LIMIT);
	pthread_mutex_lock(&on.mutex);
	ret = pthread_cond_timedwait(&on.cond, &on.mutex, &ts);
	pthread_mutex_unlock(&on.mutex);
	return ret == ETIMEDOUT ? 0 : ret;
}

static long sem_limit(void)
{
	struct timespec ts;

	after(&ts, CLOCK_REALTIME, LIMIT);
	return sem_timedwait(&on.sem, &ts) && errno == ETIMEDOUT ? 0 : -errno;
}

static long futex_limit(void)
{
	struct timespec ts = { LIMIT / 1000, 0 };
	int ret = futex(&on.futex, FUTEX_WAIT_PRIVATE, 0, &ts);

	return ret == -ETIMEDOUT ? 0 : ret ?: 1;
}

static long epoll_limit(void)
{
	struct epoll_event ev;
	int fd = epoll_create1(0), ret = epoll_wait(fd, &ev, 1, LIMIT);

	if (ret < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static long signal_limit(void)
{
	struct timespec ts = { LIMIT / 1000, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, &ts) < 0 && errno == EAGAIN ? 0 :
								     -errno;
}

static long nanosleep_limit(void)
{
	struct timespec ts = { LIMIT / 1000, 0 };

	return nanosleep(&ts, NULL) ? -errno : 0;
}

static long receive_limit(void)
{
	struct timeval tv = { LIMIT / 1000, 0 };
	int fd[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) ||
	    setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)))
		return -errno;
	return recv(fd[0], &byte, 1, 0) < 0 && errno == EAGAIN ? 0 : -errno;
}

struct timed {
	const char *name;
	long (*wait)(void);
	struct rc_thread thread;
	uint64_t took;
};

static long timed_wait(struct rc_thread *t)
{
	struct timed *timed = t->arg;
	uint64_t start = rc_now();
	long ret;

	/* Of the selected classes none is waited in. */
	rc_begin(t->dev, t->slot, RPCCANCEL_MODE_SCOPE, RPCCANCEL_CLASS_ACCEPT,
		 0);
	t->stage = 1;
	ret = timed->wait();
	timed->took = (rc_now() - start) / RC_NSEC_PER_MSEC;
	rc_end(t->dev, t->slot);
	return ret;
}

TEST(timed_waits_keep_their_limit)
{
	struct timed timed[] = {
		{ .name = "pthread_cond_timedwait", .wait = cond_limit },
		{ .name = "sem_timedwait", .wait = sem_limit },
		{ .name = "futex", .wait = futex_limit },
		{ .name = "epoll_wait", .wait = epoll_limit },
		{ .name = "sigtimedwait", .wait = signal_limit },
		{ .name = "nanosleep", .wait = nanosleep_limit },
		{ .name = "recv with SO_RCVTIMEO", .wait = receive_limit },
	};
	int dev = rc_open_device();

	ASSERT_GE(dev, 0);
	condition();
	empty_semaphore();
	futex_word();
	for (size_t i = 0; i < ARRAY_SIZE(timed); i++)
		ASSERT_EQ(0, rc_start(&timed[i].thread, dev, timed_wait,
				      &timed[i]));
	rc_sleep(LIMIT * 3 / 4);
	for (size_t i = 0; i < ARRAY_SIZE(timed); i++)
		ASSERT_EQ(0, rc_cancel(timed[i].thread.handle,
				       RPCCANCEL_GEN_ANY, 0, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(timed); i++) {
		ASSERT_EQ(0, rc_join(&timed[i].thread, RC_PATIENCE));
		EXPECT_EQ(0, timed[i].thread.ret)
			TH_LOG("%s", timed[i].name);
		EXPECT_GE(timed[i].took, LIMIT - 10)
			TH_LOG("%s ended early", timed[i].name);
		EXPECT_LT(timed[i].took, LIMIT * 3 / 2)
			TH_LOG("%s ended late", timed[i].name);
	}
}

RPCCANCEL_TEST_MAIN
