// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Calls that block, of each class and of none, and what lets them go on. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

struct message {
	long type;
	char text[1];
};

static void fill(int fd)
{
	static const char zeros[4096];

	rc_set_nonblock(fd, true);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	rc_set_nonblock(fd, false);
}

/* An address of the kernel's choice, and nobody is accepted from it. */
static int listen_somewhere(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (void *)&name, sizeof(name.sun_family)) ||
	    listen(fd, 0))
		return -1;
	return fd;
}

static int connect_to(int listener, int flags)
{
	struct sockaddr_un name;
	socklen_t size = sizeof(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int ret;

	if (getsockname(listener, (void *)&name, &size))
		return -errno;
	ret = connect(fd, (void *)&name, size) ? -errno : 0;
	close(fd);
	return ret;
}

int blockers_init(struct blockers *b)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };
	int fd = memfd_create("lock", MFD_CLOEXEC), one = 1;
	char path[64];

	if (pipe2(b->pipe, O_CLOEXEC) || pipe2(b->full, O_CLOEXEC) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b->pair) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b->full_pair))
		return -errno;
	/* Soon full. */
	fcntl(b->full[1], F_SETPIPE_SZ, 4096);
	setsockopt(b->full_pair[1], SOL_SOCKET, SO_SNDBUF, &one, sizeof(one));
	fill(b->full[1]);
	fill(b->full_pair[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	b->file[0] = fd;
	b->file[1] = open(path, O_RDWR | O_CLOEXEC);
	if (b->file[1] < 0 || flock(b->file[1], LOCK_EX) ||
	    fcntl(b->file[1], F_OFD_SETLK, &lock))
		return -errno;
	b->listener = listen_somewhere();
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	return epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->pipe[0], &ev);
}

static long block_read(struct blockers *b, uint64_t ns)
{
	char byte;

	return read(b->pipe[0], &byte, 1);
}

static long block_readv(struct blockers *b, uint64_t ns)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return readv(b->pipe[0], &iov, 1);
}

static long block_write(struct blockers *b, uint64_t ns)
{
	return write(b->full[1], "", 1);
}

static long block_recv(struct blockers *b, uint64_t ns)
{
	char byte;

	return recv(b->pair[0], &byte, 1, 0);
}

static long block_recvmmsg(struct blockers *b, uint64_t ns)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	struct mmsghdr msg = {
		.msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 },
	};

	return recvmmsg(b->pair[0], &msg, 1, 0, NULL);
}

static long block_send(struct blockers *b, uint64_t ns)
{
	return send(b->full_pair[1], "", 1, 0);
}

static long block_connect(struct blockers *b, uint64_t ns)
{
	int ret = 0;

	/* The first ones find room. */
	while (!ret)
		ret = connect_to(b->listener, SOCK_NONBLOCK);
	ret = connect_to(b->listener, 0);
	errno = -ret;
	return ret ? -1 : 0;
}

static long block_accept(struct blockers *b, uint64_t ns)
{
	int fd = accept(b->listener, NULL, NULL);

	return fd < 0 ? fd : close(fd);
}

static long block_poll(struct blockers *b, uint64_t ns)
{
	struct pollfd p = { .fd = b->pipe[0], .events = POLLIN };

	return poll(&p, 1, ns % 8 ? -1 : 5);
}

static long block_select(struct blockers *b, uint64_t ns)
{
	struct timespec ts = { ns / 1000000000 % 1000, ns % 1000000000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(b->pipe[0], &set);
	return pselect(b->pipe[0] + 1, &set, NULL, NULL, &ts, NULL);
}

static long block_sleep(struct blockers *b, uint64_t ns)
{
	struct timespec ts = { ns / 1000000000 % 1000, ns % 1000000000 };

	return nanosleep(&ts, &ts);
}

static long block_sleep_until(struct blockers *b, uint64_t ns)
{
	struct timespec ts = { rc_now() / 1000000000 + 100, 0 };
	int ret = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);

	errno = ret;
	return ret ? -1 : 0;
}

static long block_flock(struct blockers *b, uint64_t ns)
{
	return flock(b->file[0], LOCK_EX);
}

static long block_lock(struct blockers *b, uint64_t ns)
{
	struct flock lock = { .l_type = F_WRLCK, .l_len = 1 };

	return fcntl(b->file[0], F_OFD_SETLKW, &lock);
}

static long block_wait(struct blockers *b, uint64_t ns)
{
	pid_t pid = rc_fork();

	if (!pid) {
		rc_sleep(1000);
		_exit(0);
	}
	return ns % 2 ? waitpid(pid, NULL, 0) :
			waitid(P_PID, pid, NULL, WEXITED);
}

static long block_msgrcv(struct blockers *b, uint64_t ns)
{
	struct message m;

	return msgrcv(shared->queue, &m, sizeof(m.text), 0, 0);
}

static long block_semop(struct blockers *b, uint64_t ns)
{
	struct sembuf op = { .sem_op = -1 };

	return semop(shared->semaphore, &op, 1);
}

static long block_epoll(struct blockers *b, uint64_t ns)
{
	struct epoll_event ev;

	return epoll_wait(b->epoll, &ev, 1, -1);
}

static long block_futex(struct blockers *b, uint64_t ns)
{
	struct timespec ts = { 0, ns % 1000000000 };

	return syscall(SYS_futex, &b->futex, FUTEX_WAIT, 0, ns % 4 ? &ts : NULL,
		       NULL, 0);
}

static long block_sigwait(struct blockers *b, uint64_t ns)
{
	struct timespec ts = { 0, ns % 1000000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return sigtimedwait(&set, NULL, &ts);
}

static const struct {
	long (*fn)(struct blockers *b, uint64_t ns);
	unsigned int class;
} blocks[] = {
	{ block_read, RPCCANCEL_CLASS_READ },
	{ block_readv, RPCCANCEL_CLASS_READ },
	{ block_write, RPCCANCEL_CLASS_WRITE },
	{ block_recv, RPCCANCEL_CLASS_RECV },
	{ block_recvmmsg, RPCCANCEL_CLASS_RECV },
	{ block_send, RPCCANCEL_CLASS_SEND },
	{ block_connect, RPCCANCEL_CLASS_CONNECT },
	{ block_accept, RPCCANCEL_CLASS_ACCEPT },
	{ block_poll, RPCCANCEL_CLASS_POLL },
	{ block_select, RPCCANCEL_CLASS_POLL },
	{ block_sleep, RPCCANCEL_CLASS_SLEEP },
	{ block_sleep_until, RPCCANCEL_CLASS_SLEEP },
	{ block_flock, RPCCANCEL_CLASS_LOCK },
	{ block_lock, RPCCANCEL_CLASS_LOCK },
	{ block_wait, RPCCANCEL_CLASS_WAIT },
	{ block_msgrcv, RPCCANCEL_CLASS_MSG },
	{ block_semop, RPCCANCEL_CLASS_SEM },
	{ block_epoll, RPCCANCEL_CLASS_EPOLL },
	{ block_futex, 0 },
	{ block_sigwait, 0 },
};

static long op_block(struct worker *w, const uint64_t *args)
{
	size_t what = args[0] % COUNT(blocks);
	long ret;

	w->blocking = blocks[what].class;
	ret = from_errno(blocks[what].fn(&w->process->block, args[1]));
	w->blocking = 0;
	return ret;
}

/* Whatever blocks may go on. */
static long op_feed(struct worker *w, const uint64_t *args)
{
	struct blockers *b = &w->process->block;
	struct sembuf up = { .sem_op = 1 };
	struct message m = { .type = 1 };
	char buf[4096];

	switch (args[0] % 9) {
	case 0:
		return from_errno(write(b->pipe[1], "", 1));
	case 1:
		return from_errno(read(b->full[0], buf, sizeof(buf)));
	case 2:
		return from_errno(send(b->pair[1], "", 1, MSG_DONTWAIT));
	case 3:
		return from_errno(recv(b->full_pair[0], buf, sizeof(buf),
				       MSG_DONTWAIT));
	case 4:
		return connect_to(b->listener, SOCK_NONBLOCK);
	case 5:
		return from_errno(flock(b->file[1], LOCK_UN));
	case 6:
		return from_errno(msgsnd(shared->queue, &m, sizeof(m.text),
					 IPC_NOWAIT));
	case 7:
		return from_errno(semop(shared->semaphore, &up, 1));
	default:
		b->futex = 1;
		return from_errno(syscall(SYS_futex, &b->futex, FUTEX_WAKE, 1));
	}
}

static long op_delay(struct worker *w, const uint64_t *args)
{
	for (uint64_t n = args[0] % (1 << 17); n; n--)
		__asm__ volatile("" : : : "memory");
	sched_yield();
	return 0;
}

const struct op block_ops[] = {
	{ "block", op_block, 24, { SMALL, NANOSECONDS } },
	{ "feed", op_feed, 4, { SMALL } },
	{ "delay", op_delay, 3, { NANOSECONDS } },
};

const unsigned int block_ops_count = COUNT(block_ops);
