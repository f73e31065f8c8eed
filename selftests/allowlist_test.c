// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Every system call that a cancel may fail: blocked, cancelled, out with the
 * errno of the scope, the thread alive; and untouched when its class is not
 * selected.  What must never be touched is in excluded_test.c.
 *
 * There is no pwrite64 and no pwritev: no file of a usual kernel supports them
 * and sleeps in them so that anything could wake it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

/* What one blocking call works on. */
struct ctx {
	int fd[8];	/* the call works on fd[0]; all are closed in the end */
	pid_t child;
	int msg, sem;
	int ms;		/* time limit of a call that has one */
};

static char buffer[8192] = { 1 };	/* no eventfd takes a 0 */
static struct iovec vec = { buffer, 1 };
static struct iovec big_vec = { buffer, sizeof(buffer) };

static void init(struct ctx *c)
{
	memset(c, 0, sizeof(*c));
	memset(c->fd, -1, sizeof(c->fd));
	c->msg = -1;
	c->sem = -1;
	c->ms = 600000;
}

static void cleanup(struct ctx *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->fd); i++)
		if (c->fd[i] >= 0)
			close(c->fd[i]);
	if (c->child > 0) {
		kill(c->child, SIGKILL);
		waitpid(c->child, NULL, 0);
	}
	if (c->msg >= 0)
		msgctl(c->msg, IPC_RMID, NULL);
	if (c->sem >= 0)
		semctl(c->sem, 0, IPC_RMID);
}

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static struct timespec limit(struct ctx *c)
{
	return (struct timespec){ c->ms / 1000, c->ms % 1000 * 1000000L };
}

#define CALL(name, expr)						\
static long name(struct ctx *c)						\
{									\
	(void)c;							\
	return result(expr);						\
}

/* What the calls block on, and how they are let go. */
static int empty_pipe(struct ctx *c)
{
	return pipe(c->fd);
}

static void feed_pipe(struct ctx *c)
{
	if (write(c->fd[1], "x", 1) != 1)
		abort();
}

static int full_pipe(struct ctx *c)
{
	int p[2];

	if (pipe(p))
		return -1;
	c->fd[0] = p[1];
	c->fd[1] = p[0];
	rc_set_nonblock(p[1], true);
	while (write(p[1], buffer, 4096) > 0)
		;
	while (write(p[1], buffer, 1) > 0)
		;
	return rc_set_nonblock(p[1], false);
}

static void drain(struct ctx *c)
{
	rc_set_nonblock(c->fd[1], true);
	while (read(c->fd[1], buffer, sizeof(buffer)) > 0)
		;
}

static int empty_eventfd(struct ctx *c)
{
	c->fd[0] = eventfd(0, 0);
	c->fd[1] = dup(c->fd[0]);
	return c->fd[1];
}

static void feed_eventfd(struct ctx *c)
{
	if (eventfd_write(c->fd[1], 1))
		abort();
}

static int full_eventfd(struct ctx *c)
{
	if (empty_eventfd(c) < 0)
		return -1;
	return eventfd_write(c->fd[0], UINT64_MAX - 1);
}

static void drain_eventfd(struct ctx *c)
{
	eventfd_t value;

	if (eventfd_read(c->fd[1], &value))
		abort();
}

static int empty_timerfd(struct ctx *c)
{
	c->fd[0] = timerfd_create(CLOCK_MONOTONIC, 0);
	return c->fd[0];
}

static void feed_timerfd(struct ctx *c)
{
	struct itimerspec its = { .it_value.tv_nsec = 1 };

	timerfd_settime(c->fd[0], 0, &its, NULL);
}

static int empty_terminal(struct ctx *c)
{
	char name[64];
	int unlock = 0;

	c->fd[1] = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (c->fd[1] < 0 || ioctl(c->fd[1], TIOCSPTLCK, &unlock) ||
	    ptsname_r(c->fd[1], name, sizeof(name)))
		return -1;
	c->fd[0] = open(name, O_RDWR | O_NOCTTY);
	return c->fd[0];
}

static void feed_terminal(struct ctx *c)
{
	if (write(c->fd[1], "x\n", 2) != 2)
		abort();
}

static int end_of_kmsg(struct ctx *c)
{
	c->fd[0] = open("/dev/kmsg", O_RDONLY);
	c->fd[1] = open("/dev/kmsg", O_WRONLY);
	if (c->fd[0] < 0 || c->fd[1] < 0)
		return -1;
	return lseek(c->fd[0], 0, SEEK_END) < 0 ? -1 : 0;
}

static void feed_kmsg(struct ctx *c)
{
	if (write(c->fd[1], "rpccancel: a test\n", 18) != 18)
		abort();
}

static int empty_socket(struct ctx *c)
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, c->fd);
}

static int empty_socket_timeout(struct ctx *c)
{
	struct timeval tv = { 600, 0 };

	if (empty_socket(c))
		return -1;
	return setsockopt(c->fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

static int full_socket(struct ctx *c)
{
	if (empty_socket(c))
		return -1;
	rc_set_nonblock(c->fd[0], true);
	while (write(c->fd[0], buffer, 4096) > 0)
		;
	while (write(c->fd[0], buffer, 1) > 0)
		;
	return rc_set_nonblock(c->fd[0], false);
}

static int full_socket_timeout(struct ctx *c)
{
	struct timeval tv = { 600, 0 };

	if (full_socket(c))
		return -1;
	return setsockopt(c->fd[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static int listener(struct ctx *c, int at, int family)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(family, SOCK_STREAM, 0);

	c->fd[at] = fd;
	if (fd < 0)
		return -1;
	if (family == AF_INET) {
		if (bind(fd, (struct sockaddr *)&in, sizeof(in)))
			return -1;
	} else if (bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t))) {
		return -1;	/* which makes the kernel choose a name */
	}
	return listen(fd, 0);
}

static int connect_to(int fd, int to)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getsockname(to, (struct sockaddr *)&addr, &len))
		return -1;
	return syscall(SYS_connect, fd, &addr, len);
}

/* Connections nobody accepts until the listener takes no more. */
static int full_listener(struct ctx *c, int family)
{
	int fd, tries;

	if (listener(c, 1, family))
		return -1;
	for (tries = 2; tries < 6; tries++) {
		fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (fd < 0)
			return -1;
		c->fd[tries] = fd;
		connect_to(fd, c->fd[1]);
	}
	c->fd[0] = socket(family, SOCK_STREAM, 0);
	return c->fd[0];
}

static int full_unix_listener(struct ctx *c)
{
	return full_listener(c, AF_UNIX);
}

static int full_tcp_listener(struct ctx *c)
{
	return full_listener(c, AF_INET);
}

static int full_tcp_listener_timeout(struct ctx *c)
{
	struct timeval tv = { 600, 0 };

	if (full_listener(c, AF_INET) < 0)
		return -1;
	return setsockopt(c->fd[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static void accept_all(struct ctx *c)
{
	/* The others are not to get in before the one that waits. */
	for (int i = 3; i < 6; i++) {
		close(c->fd[i]);
		c->fd[i] = -1;
	}
	for (int i = 0; i < 2; i++)
		c->fd[6 + i] = accept(c->fd[1], NULL, NULL);
}

static int idle_unix_listener(struct ctx *c)
{
	return listener(c, 0, AF_UNIX);
}

static int idle_tcp_listener(struct ctx *c)
{
	return listener(c, 0, AF_INET);
}

static int idle_listener_timeout(struct ctx *c)
{
	struct timeval tv = { 600, 0 };

	if (listener(c, 0, AF_INET))
		return -1;
	return setsockopt(c->fd[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

static void connect_one(struct ctx *c)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getsockname(c->fd[0], (struct sockaddr *)&addr, &len))
		abort();
	c->fd[1] = socket(addr.ss_family, SOCK_STREAM, 0);
	if (connect_to(c->fd[1], c->fd[0]))
		abort();
}

static int empty_epoll(struct ctx *c)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (pipe(&c->fd[1]))
		return -1;
	c->fd[0] = epoll_create1(0);
	return epoll_ctl(c->fd[0], EPOLL_CTL_ADD, c->fd[1], &ev);
}

static void feed_epoll(struct ctx *c)
{
	if (write(c->fd[2], "x", 1) != 1)
		abort();
}

static int nothing(struct ctx *c)
{
	(void)c;
	return 0;
}

static void let_time_pass(struct ctx *c)
{
	(void)c;
}

static int flocked(struct ctx *c)
{
	char path[64];

	c->fd[1] = memfd_create("lock", 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", c->fd[1]);
	c->fd[0] = open(path, O_RDWR);
	return c->fd[0] < 0 ? -1 : flock(c->fd[1], LOCK_EX);
}

static void unflock(struct ctx *c)
{
	flock(c->fd[1], LOCK_UN);
}

static int locked(struct ctx *c)
{
	struct flock fl = { .l_type = F_WRLCK };
	int ready[2];
	char ok;

	c->fd[0] = memfd_create("lock", 0);
	if (pipe(ready))
		return -1;
	c->child = rc_fork();
	if (!c->child) {
		if (!fcntl(c->fd[0], F_SETLK, &fl) && write(ready[1], "x", 1))
			pause();
		_exit(1);
	}
	close(ready[1]);
	c->fd[1] = ready[0];
	return read(ready[0], &ok, 1) == 1 ? 0 : -1;
}

static void kill_child(struct ctx *c)
{
	kill(c->child, SIGKILL);
}

static int ofd_locked(struct ctx *c)
{
	struct flock fl = { .l_type = F_WRLCK };
	char path[64];

	c->fd[1] = memfd_create("lock", 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", c->fd[1]);
	c->fd[0] = open(path, O_RDWR);
	return c->fd[0] < 0 ? -1 : fcntl(c->fd[1], F_OFD_SETLK, &fl);
}

static void ofd_unlock(struct ctx *c)
{
	struct flock fl = { .l_type = F_UNLCK };

	fcntl(c->fd[1], F_OFD_SETLK, &fl);
}

static int child(struct ctx *c)
{
	c->child = rc_fork();
	if (!c->child)
		for (;;)
			pause();
	return c->child;
}

static int empty_queue(struct ctx *c)
{
	c->msg = msgget(IPC_PRIVATE, 0600);
	return c->msg;
}

static struct {
	long type;
	char text[4096];
} message = { .type = 1 };

static void feed_queue(struct ctx *c)
{
	if (msgsnd(c->msg, &message, 1, 0))
		abort();
}

static int full_queue(struct ctx *c)
{
	if (empty_queue(c) < 0)
		return -1;
	while (!msgsnd(c->msg, &message, sizeof(message.text), IPC_NOWAIT))
		;
	return errno == EAGAIN ? 0 : -1;
}

static void drain_queue(struct ctx *c)
{
	static __thread char buf[sizeof(message)];

	if (msgrcv(c->msg, buf, sizeof(message.text), 0, 0) < 0)
		abort();
}

static int semaphore(struct ctx *c)
{
	c->sem = semget(IPC_PRIVATE, 1, 0600);
	return c->sem;
}

static void raise_semaphore(struct ctx *c)
{
	semctl(c->sem, 0, SETVAL, 1);
}

/* The calls. */
static __thread char in[8192];
static __thread struct timespec ts;

static struct timespec *timeout_of(struct ctx *c)
{
	ts = limit(c);
	return &ts;
}

static struct timespec *end_of(struct ctx *c)
{
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += c->ms / 1000;
	ts.tv_nsec += c->ms % 1000 * 1000000L;
	if (ts.tv_nsec >= 1000000000L) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000L;
	}
	return &ts;
}

CALL(do_read, syscall(SYS_read, c->fd[0], in, 8))
CALL(do_readv, syscall(SYS_readv, c->fd[0], &big_vec, 1))
CALL(do_pread, syscall(SYS_pread64, c->fd[0], in, sizeof(in), 0))
CALL(do_preadv, syscall(SYS_preadv, c->fd[0], &big_vec, 1, 0, 0))
CALL(do_preadv2, syscall(SYS_preadv2, c->fd[0], &big_vec, 1, -1L, -1L, 0))
CALL(do_write, syscall(SYS_write, c->fd[0], buffer, 8))
CALL(do_writev, syscall(SYS_writev, c->fd[0], &vec, 1))
CALL(do_pwritev2, syscall(SYS_pwritev2, c->fd[0], &vec, 1, -1L, -1L, 0))
CALL(do_recvfrom, syscall(SYS_recvfrom, c->fd[0], in, 8, 0, NULL, NULL))
CALL(do_sendto, syscall(SYS_sendto, c->fd[0], buffer, 1, 0, NULL, 0))
CALL(do_connect, connect_to(c->fd[0], c->fd[1]))
CALL(do_flock, syscall(SYS_flock, c->fd[0], LOCK_EX))
CALL(do_nanosleep, syscall(SYS_nanosleep, timeout_of(c), NULL))
CALL(do_clock_nanosleep, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0,
				 timeout_of(c), NULL))
CALL(do_clock_nanosleep_abs, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC,
				     TIMER_ABSTIME, end_of(c), NULL))
CALL(do_wait4, syscall(SYS_wait4, c->child, NULL, 0, NULL))
CALL(do_waitid, syscall(SYS_waitid, P_PID, c->child, NULL, WEXITED, NULL))
CALL(do_msgrcv, syscall(SYS_msgrcv, c->msg, in, 4096, 0, 0))
CALL(do_msgsnd, syscall(SYS_msgsnd, c->msg, &message, 4096, 0))

static long do_accept(struct ctx *c)
{
	long fd = syscall(SYS_accept, c->fd[0], NULL, NULL);

	if (fd >= 0)
		close(fd);
	return result(fd);
}

static long do_accept4(struct ctx *c)
{
	long fd = syscall(SYS_accept4, c->fd[0], NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return result(fd);
}

static long do_recvmsg(struct ctx *c)
{
	struct msghdr msg = { .msg_iov = &vec, .msg_iovlen = 1 };

	return result(syscall(SYS_recvmsg, c->fd[0], &msg, 0));
}

static long do_recvmmsg(struct ctx *c)
{
	struct mmsghdr msg = { { .msg_iov = &vec, .msg_iovlen = 1 }, 0 };

	return result(syscall(SYS_recvmmsg, c->fd[0], &msg, 1, 0, NULL));
}

static long do_sendmsg(struct ctx *c)
{
	struct msghdr msg = { .msg_iov = &vec, .msg_iovlen = 1 };

	return result(syscall(SYS_sendmsg, c->fd[0], &msg, 0));
}

static long do_sendmmsg(struct ctx *c)
{
	struct mmsghdr msg = { { .msg_iov = &vec, .msg_iovlen = 1 }, 0 };

	return result(syscall(SYS_sendmmsg, c->fd[0], &msg, 1, 0));
}

/* Newer architectures have only the newer ones of these. */
#ifdef SYS_poll
static long do_poll(struct ctx *c)
{
	struct pollfd p = { .fd = c->fd[0], .events = POLLIN };

	return result(syscall(SYS_poll, &p, 1, -1));
}

static long do_poll_timeout(struct ctx *c)
{
	struct pollfd p = { .fd = c->fd[0], .events = POLLIN };

	return result(syscall(SYS_poll, &p, 1, c->ms));
}

static long do_select(struct ctx *c)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(c->fd[0], &set);
	return result(syscall(SYS_select, c->fd[0] + 1, &set, NULL, NULL,
			      NULL));
}

static long do_epoll_wait(struct ctx *c)
{
	struct epoll_event ev;

	return result(syscall(SYS_epoll_wait, c->fd[0], &ev, 1, -1));
}
#endif

static long do_ppoll(struct ctx *c)
{
	struct pollfd p = { .fd = c->fd[0], .events = POLLIN };

	return result(syscall(SYS_ppoll, &p, 1, NULL, NULL, 8));
}

static long do_ppoll_timeout(struct ctx *c)
{
	struct pollfd p = { .fd = c->fd[0], .events = POLLIN };
	sigset_t all;

	sigfillset(&all);
	return result(syscall(SYS_ppoll, &p, 1, timeout_of(c), &all, 8));
}

static long do_pselect6(struct ctx *c)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(c->fd[0], &set);
	return result(syscall(SYS_pselect6, c->fd[0] + 1, &set, NULL, NULL,
			      timeout_of(c), NULL));
}

static long do_epoll_pwait(struct ctx *c)
{
	struct epoll_event ev;

	return result(syscall(SYS_epoll_pwait, c->fd[0], &ev, 1, c->ms, NULL,
			      8));
}

static long do_epoll_pwait2(struct ctx *c)
{
	struct epoll_event ev;

	return result(syscall(SYS_epoll_pwait2, c->fd[0], &ev, 1, timeout_of(c),
			      NULL, 8));
}

static long do_setlkw(struct ctx *c)
{
	struct flock fl = { .l_type = F_WRLCK };

	return result(syscall(SYS_fcntl, c->fd[0], F_SETLKW, &fl));
}

static long do_ofd_setlkw(struct ctx *c)
{
	struct flock fl = { .l_type = F_WRLCK };

	return result(syscall(SYS_fcntl, c->fd[0], F_OFD_SETLKW, &fl));
}

static long do_semop(struct ctx *c)
{
	struct sembuf op = { .sem_op = -1 };

	return result(syscall(SYS_semop, c->sem, &op, 1));
}

static long do_semtimedop(struct ctx *c)
{
	struct sembuf op = { .sem_op = -1 };

	return result(syscall(SYS_semtimedop, c->sem, &op, 1, timeout_of(c)));
}

struct call {
	uint32_t class;
	long nr;
	int (*prepare)(struct ctx *c);
	long (*call)(struct ctx *c);
	void (*release)(struct ctx *c);	/* lets the call succeed */
};

/* One thread in one call. */
struct blocked {
	struct ctx ctx;
	struct rc_thread thread;
	const struct call *call;
	uint32_t classes;
	int error;
	bool again;		/* repeat the call when it says EINTR */
	uint64_t gen, cancel, refused;
	uint32_t reason;
	bool usable;
	int dev;
};

/*
 * Every call, and those that stand for their class or restart in a way of
 * their own.
 */
FIXTURE_VARIANT(blocked)
{
	const struct call *call;
};

FIXTURE(blocked)
{
	struct blocked b;
};

FIXTURE_VARIANT(chosen)
{
	const struct call *call;
};

FIXTURE(chosen)
{
	struct blocked b;
};

#define VARIANT(name, _class, _nr, _prepare, _call, _release)		\
static const struct call call_##name = {				\
	.class = RPCCANCEL_CLASS_##_class,				\
	.nr = SYS_##_nr,						\
	.prepare = _prepare,						\
	.call = _call,							\
	.release = _release,						\
};									\
FIXTURE_VARIANT_ADD(blocked, name) { .call = &call_##name }

#define CHOSEN(name)							\
FIXTURE_VARIANT_ADD(chosen, name) { .call = &call_##name }

VARIANT(read_pipe, READ, read, empty_pipe, do_read, feed_pipe);
VARIANT(read_eventfd, READ, read, empty_eventfd, do_read, feed_eventfd);
VARIANT(read_timerfd, READ, read, empty_timerfd, do_read, feed_timerfd);
VARIANT(read_terminal, READ, read, empty_terminal, do_read, feed_terminal);
VARIANT(read_socket, READ, read, empty_socket, do_read, feed_pipe);
VARIANT(readv, READ, readv, empty_pipe, do_readv, feed_pipe);
VARIANT(pread64, READ, pread64, end_of_kmsg, do_pread, feed_kmsg);
VARIANT(preadv, READ, preadv, end_of_kmsg, do_preadv, feed_kmsg);
VARIANT(preadv2, READ, preadv2, empty_pipe, do_preadv2, feed_pipe);
VARIANT(write_pipe, WRITE, write, full_pipe, do_write, drain);
VARIANT(write_eventfd, WRITE, write, full_eventfd, do_write, drain_eventfd);
VARIANT(write_socket, WRITE, write, full_socket, do_write, drain);
VARIANT(writev, WRITE, writev, full_pipe, do_writev, drain);
VARIANT(pwritev2, WRITE, pwritev2, full_pipe, do_pwritev2, drain);
VARIANT(recvfrom, RECV, recvfrom, empty_socket, do_recvfrom, feed_pipe);
VARIANT(recvfrom_so_rcvtimeo, RECV, recvfrom, empty_socket_timeout, do_recvfrom,
	feed_pipe);
VARIANT(recvmsg, RECV, recvmsg, empty_socket, do_recvmsg, feed_pipe);
VARIANT(recvmmsg, RECV, recvmmsg, empty_socket, do_recvmmsg, feed_pipe);
VARIANT(sendto, SEND, sendto, full_socket, do_sendto, drain);
VARIANT(sendto_so_sndtimeo, SEND, sendto, full_socket_timeout, do_sendto, drain);
VARIANT(sendmsg, SEND, sendmsg, full_socket, do_sendmsg, drain);
VARIANT(sendmmsg, SEND, sendmmsg, full_socket, do_sendmmsg, drain);
VARIANT(connect_unix, CONNECT, connect, full_unix_listener, do_connect,
	accept_all);
VARIANT(connect_tcp, CONNECT, connect, full_tcp_listener, do_connect,
	accept_all);
VARIANT(connect_so_sndtimeo, CONNECT, connect, full_tcp_listener_timeout,
	do_connect, accept_all);
VARIANT(accept_unix, ACCEPT, accept, idle_unix_listener, do_accept, connect_one);
VARIANT(accept_so_rcvtimeo, ACCEPT, accept, idle_listener_timeout, do_accept,
	connect_one);
VARIANT(accept4_tcp, ACCEPT, accept4, idle_tcp_listener, do_accept4,
	connect_one);
#ifdef SYS_poll
VARIANT(poll, POLL, poll, empty_pipe, do_poll, feed_pipe);
VARIANT(poll_timeout, POLL, poll, empty_pipe, do_poll_timeout, feed_pipe);
VARIANT(select, POLL, select, empty_pipe, do_select, feed_pipe);
VARIANT(epoll_wait, EPOLL, epoll_wait, empty_epoll, do_epoll_wait, feed_epoll);
#endif
VARIANT(ppoll, POLL, ppoll, empty_pipe, do_ppoll, feed_pipe);
VARIANT(ppoll_timeout_mask, POLL, ppoll, empty_pipe, do_ppoll_timeout,
	feed_pipe);
VARIANT(pselect6_timeout, POLL, pselect6, empty_pipe, do_pselect6, feed_pipe);
VARIANT(nanosleep, SLEEP, nanosleep, nothing, do_nanosleep, let_time_pass);
VARIANT(clock_nanosleep, SLEEP, clock_nanosleep, nothing, do_clock_nanosleep,
	let_time_pass);
VARIANT(clock_nanosleep_abs, SLEEP, clock_nanosleep, nothing,
	do_clock_nanosleep_abs, let_time_pass);
VARIANT(flock, LOCK, flock, flocked, do_flock, unflock);
VARIANT(fcntl_setlkw, LOCK, fcntl, locked, do_setlkw, kill_child);
VARIANT(fcntl_ofd_setlkw, LOCK, fcntl, ofd_locked, do_ofd_setlkw, ofd_unlock);
VARIANT(wait4, WAIT, wait4, child, do_wait4, kill_child);
VARIANT(waitid, WAIT, waitid, child, do_waitid, kill_child);
VARIANT(msgrcv, MSG, msgrcv, empty_queue, do_msgrcv, feed_queue);
VARIANT(msgsnd, MSG, msgsnd, full_queue, do_msgsnd, drain_queue);
VARIANT(semop, SEM, semop, semaphore, do_semop, raise_semaphore);
VARIANT(semtimedop, SEM, semtimedop, semaphore, do_semtimedop, raise_semaphore);
VARIANT(epoll_pwait, EPOLL, epoll_pwait, empty_epoll, do_epoll_pwait,
	feed_epoll);
VARIANT(epoll_pwait2, EPOLL, epoll_pwait2, empty_epoll, do_epoll_pwait2,
	feed_epoll);

CHOSEN(read_pipe);
CHOSEN(read_terminal);
CHOSEN(pread64);
CHOSEN(write_pipe);
CHOSEN(recvmsg);
CHOSEN(recvfrom_so_rcvtimeo);
CHOSEN(sendto);
CHOSEN(connect_unix);
CHOSEN(connect_tcp);
CHOSEN(accept4_tcp);
#ifdef SYS_poll
CHOSEN(poll);
CHOSEN(poll_timeout);
CHOSEN(select);
CHOSEN(epoll_wait);
#endif
CHOSEN(ppoll_timeout_mask);
CHOSEN(pselect6_timeout);
CHOSEN(nanosleep);
CHOSEN(clock_nanosleep);
CHOSEN(clock_nanosleep_abs);
CHOSEN(fcntl_setlkw);
CHOSEN(waitid);
CHOSEN(msgrcv);
CHOSEN(semtimedop);

static void set_up(struct __test_metadata *_metadata, struct blocked *self,
		   const struct call *call)
{
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	self->call = call;
	self->classes = call->class;
	self->error = 0;
	self->again = false;
	init(&self->ctx);
	if (call->prepare == end_of_kmsg && access("/dev/kmsg", W_OK))
		SKIP(return, "/dev/kmsg is for root only");
	ASSERT_GE(call->prepare(&self->ctx), 0) TH_LOG("%m");
}

static void tear_down(struct blocked *self)
{
	cleanup(&self->ctx);
	close(self->dev);
}

FIXTURE_SETUP(blocked)
{
	set_up(_metadata, &self->b, variant->call);
}

FIXTURE_TEARDOWN(blocked)
{
	tear_down(&self->b);
}

FIXTURE_SETUP(chosen)
{
	set_up(_metadata, &self->b, variant->call);
}

FIXTURE_TEARDOWN(chosen)
{
	tear_down(&self->b);
}

/* Can the calling thread still sleep in a scope of its own, and wake up? */
static bool usable(struct rc_thread *t)
{
	struct pollfd p = { .events = POLLIN };
	uint64_t gen = rc_begin(t->dev, t->slot, 0, RPCCANCEL_CLASS_ALL, 0);
	uint64_t value = 1;
	bool ok;

	p.fd = eventfd(0, 0);
	ok = poll(&p, 1, 1) == 0 && write(p.fd, &value, 8) == 8 &&
	     read(p.fd, &value, 8) == 8 && t->slot->cancel == 0 &&
	     t->slot->gen == gen;
	close(p.fd);
	rc_end(t->dev, t->slot);
	return ok;
}

static long one_call(struct rc_thread *t)
{
	struct blocked *self = t->arg;
	long ret;

	self->gen = rc_begin(t->dev, t->slot, RPCCANCEL_MODE_SCOPE,
			     self->classes, self->error);
	t->stage = 1;
	do {
		ret = self->call->call(&self->ctx);
	} while (ret == -EINTR && self->again);
	self->cancel = t->slot->cancel;
	self->reason = t->slot->reason;
	self->refused = t->slot->refused;
	rc_end(t->dev, t->slot);
	self->usable = usable(t);
	return ret;
}

static void start(struct __test_metadata *_metadata, struct blocked *self)
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_call, self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, self->call->nr,
				   RC_PATIENCE));
}

/* Cancels the call, which must come out with an error, and looks round. */
static void cancel(struct __test_metadata *_metadata, struct blocked *self,
		   int error)
{
	struct rpccancel_cancel c;

	ASSERT_EQ(0, rc_cancel(self->thread.handle, RPCCANCEL_GEN_ANY, 0, &c));
	EXPECT_EQ(self->gen, c.gen);
	EXPECT_TRUE(c.result == RPCCANCEL_RESULT_PENDING ||
		    c.result == RPCCANCEL_RESULT_DELIVERED)
		TH_LOG("result: %s", rc_result_name(c.result));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE))
		TH_LOG("lost: the thread is still in system call %ld",
		       rc_asleep_in(getpid(), self->thread.tid));
	EXPECT_EQ(-error, self->thread.ret);
	EXPECT_EQ(self->gen, self->cancel);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, self->reason);
	EXPECT_EQ(1, self->refused);
	EXPECT_TRUE(self->usable);
}

TEST_F(blocked, fails_with_ECANCELED)
{
	start(_metadata, &self->b);
	cancel(_metadata, &self->b, ECANCELED);
}

TEST_F(blocked, is_untouched_when_its_class_is_not_selected)
{
	struct blocked *b = &self->b;
	struct rpccancel_cancel c;

	b->classes = RPCCANCEL_CLASS_ALL & ~b->call->class;
	if (b->call->class == RPCCANCEL_CLASS_EPOLL)
		b->classes = 0;		/* the default */
	if (b->call->class == RPCCANCEL_CLASS_SLEEP)
		b->ctx.ms = 1000;
	start(_metadata, b);
	ASSERT_EQ(0, rc_cancel(b->thread.handle, RPCCANCEL_GEN_ANY, 0, &c));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, c.result);
	rc_sleep(RC_WHILE);
	EXPECT_FALSE((bool)b->thread.done);
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_wait(b->thread.handle, b->gen, RPCCANCEL_WAIT_DELIVERED,
			  1));
	b->call->release(&b->ctx);
	ASSERT_EQ(0, rc_join(&b->thread, RC_PATIENCE));
	EXPECT_GE(b->thread.ret, 0);
	EXPECT_EQ(b->gen, b->cancel);
	EXPECT_EQ(0, b->refused);
	EXPECT_TRUE(b->usable);
}

TEST_F(chosen, fails_with_the_errno_of_the_scope)
{
	static const int errors[] = { EINTR, ETIMEDOUT, ECONNABORTED };
	struct blocked *b = &self->b;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (i) {
			cleanup(&b->ctx);
			init(&b->ctx);
			ASSERT_GE(b->call->prepare(&b->ctx), 0);
		}
		b->error = errors[i];
		start(_metadata, b);
		cancel(_metadata, b, errors[i]);
	}
}

TEST_F(chosen, is_refused_when_cancelled_before)
{
	struct blocked *b = &self->b;

	ASSERT_EQ(0, rc_start(&b->thread, b->dev, one_call, b));
	ASSERT_TRUE(rc_wait_stage(&b->thread, 1, RC_PATIENCE));
	ASSERT_EQ(0, rc_cancel(b->thread.handle, RPCCANCEL_GEN_ANY, 0, NULL));
	ASSERT_EQ(0, rc_join(&b->thread, RC_PATIENCE));
	EXPECT_EQ(-ECANCELED, b->thread.ret);
	EXPECT_EQ(1, b->refused);
	EXPECT_TRUE(b->usable);
}

/* What a poller leaves with the thread to do later is not in the way. */
TEST_F(chosen, is_refused_when_its_handle_has_been_polled)
{
	struct pollfd p = { .events = POLLIN };

	start(_metadata, &self->b);
	p.fd = self->b.thread.handle;
	ASSERT_EQ(0, poll(&p, 1, 0));
	cancel(_metadata, &self->b, ECANCELED);
}

/* Behind a stop, some of them sit in restart_syscall(2). */
TEST_F(chosen, can_be_cancelled_after_stop_and_continue)
{
	self->b.again = true;
	start(_metadata, &self->b);
	ASSERT_EQ(0, rc_stop_and_continue());
	ASSERT_TRUE(rc_wait_asleep(self->b.thread.tid, -1, RC_PATIENCE));
	cancel(_metadata, &self->b, ECANCELED);
}

TEST_F(chosen, can_be_cancelled_after_a_tracer_has_stopped_it)
{
	int ret;

	self->b.again = true;
	start(_metadata, &self->b);
	ret = rc_trace_briefly(self->b.thread.tid);
	if (ret == EPERM)
		SKIP(return, "not permitted to trace");
	ASSERT_EQ(0, ret);
	ASSERT_TRUE(rc_wait_asleep(self->b.thread.tid, -1, RC_PATIENCE));
	cancel(_metadata, &self->b, ECANCELED);
}

RPCCANCEL_TEST_MAIN
