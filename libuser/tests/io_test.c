// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The I/O engines keep the promises of io/io.h, each in a process of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rpccancel.h>

#include "../io/io.h"
#include "tap.h"

#define MS	 1000000ull
#define WATCHDOG (20000 * MS)

/* A request and what became of it. */
struct probe {
	struct rpcc_io_req req;
	int calls, res, last_fd;
	bool over;
	size_t bytes;
	uint32_t sum; /* of what rpcc_io_recv_multi() gave */
};

static struct rpcc_io *io;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void probe_done(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct probe *p = (struct probe *)req;
	const unsigned char *bytes = data;
	int i;

	p->calls++;
	p->res = res;
	p->over = !more;
	for (i = 0; bytes && i < res; i++)
		p->sum = p->sum * 31 + bytes[i];
	if (res > 0)
		p->bytes += (size_t)res;
}

#define PROBE                          \
	{                              \
		.req.done = probe_done \
	}

static void open_io(unsigned int flags)
{
	int ret = rpcc_io_create(&io, flags);

	if (ret) {
		ok(false, "an engine: %s", strerror(-ret));
		exit(1);
	}
}

static void close_io(void)
{
	rpcc_io_destroy(io);
	io = NULL;
}

static int wait_soon(void)
{
	return rpcc_io_wait(io, now() + WATCHDOG);
}

/* Until @p has been told @calls times. */
static bool wait_calls(struct probe *p, int calls)
{
	uint64_t end = now() + WATCHDOG;

	while (p->calls < calls)
		if (rpcc_io_wait(io, end) <= 0)
			return false;
	return true;
}

static void pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		abort();
}

static int tcp_listen(struct sockaddr_in *addr, int backlog)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_in){ .sin_family = AF_INET };
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (void *)addr, sizeof(*addr)) || listen(fd, backlog) ||
	    getsockname(fd, (void *)addr, &len))
		abort();
	return fd;
}

static int tcp_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void connects(void)
{
	struct sockaddr_in addr;
	struct probe p = PROBE;
	int lfd = tcp_listen(&addr, 5), fd = tcp_socket();

	open_io(0);
	rpcc_io_connect(io, &p.req, fd, (void *)&addr, sizeof(addr));
	is(wait_soon(), 1, "connecting ends");
	is(p.res, 0, "with success");
	ok(p.over && p.req.op == RPCC_IO_NONE, "and the request is idle");
	ok(!(fcntl(fd, F_GETFL) & O_NONBLOCK), "the socket is still blocking");
	close(fd);
	close(lfd);

	fd = tcp_socket();
	rpcc_io_connect(io, &p.req, fd, (void *)&addr, sizeof(addr));
	is(wait_soon(), 1, "connecting to nobody ends");
	is(p.res, -ECONNREFUSED, "refused");
	close(fd);
	close_io();
}

/* Of the process, in the kernel too. */
static uint64_t cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The queue of a Unix socket is full until the listener accepts. */
static void connect_full(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(addr);
	int lfd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int second = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct probe p = PROBE, q = PROBE;
	uint64_t cpu;
	int other;

	if (bind(lfd, (void *)&addr, sizeof(sa_family_t)) || listen(lfd, 0) ||
	    getsockname(lfd, (void *)&addr, &len))
		abort();
	open_io(0);
	rpcc_io_connect(io, &p.req, first, (void *)&addr, len);
	ok(wait_calls(&p, 1) && p.res == 0, "a queue with room for one");
	rpcc_io_connect(io, &q.req, second, (void *)&addr, len);
	cpu = cpu_time();
	is(rpcc_io_wait(io, now() + 400 * MS), 0, "has none for the second");
	ok(cpu_time() - cpu < 100 * MS, "which does not spin meanwhile");
	rpcc_io_cancel(io, &q.req);
	is(rpcc_io_wait(io, 0), 0, "which may be cancelled");
	rpcc_io_connect(io, &q.req, second, (void *)&addr, len);
	is(rpcc_io_wait(io, now() + 20 * MS), 0, "and tried again");
	other = accept(lfd, NULL, NULL);
	ok(wait_calls(&q, 1) && q.res == 0, "until there is room");
	close_io();
	close(other);
	close(first);
	close(second);
	close(lfd);
}

struct reader {
	int fd;
	size_t want, got;
	uint32_t sum;
};

static void *slow_reader(void *arg)
{
	struct reader *r = arg;
	unsigned char bytes[7000];
	ssize_t n, i;

	while (r->got < r->want && (n = read(r->fd, bytes, sizeof(bytes))) > 0)
		for (i = 0; i < n; i++, r->got++)
			r->sum = r->sum * 31 + bytes[i];
	if (write(r->fd, "x", 1) != 1)
		abort();
	return NULL;
}

static uint32_t fill(unsigned char *bytes, size_t size)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < size; i++) {
		bytes[i] = (unsigned char)(i * 7 + i / 251);
		sum = sum * 31 + bytes[i];
	}
	return sum;
}

static void send_large(unsigned int flags)
{
	const size_t size = 8 << 20;
	unsigned char *bytes = malloc(size);
	uint32_t sum = fill(bytes, size);
	struct iovec iov[3] = { { bytes, 10 },
				{ bytes + 10, 100000 },
				{ bytes + 100010, size - 100010 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	struct reader reader = { .want = size };
	struct probe p = PROBE, answer = PROBE;
	int fds[2], room = 4096;
	pthread_t thread;
	char end;

	pair(fds);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	reader.fd = fds[1];
	open_io(0);
	rpcc_io_sendmsg(io, &p.req, fds[0], &msg, flags);
	rpcc_io_recv(io, &answer.req, fds[0], &end, 1);
	pthread_create(&thread, NULL, slow_reader, &reader);
	ok(wait_calls(&answer, 1) && answer.res == 1,
	   "a large message is answered");
	pthread_join(thread, NULL);
	is(reader.got, size, "8 MiB have arrived");
	ok(reader.sum == sum, "as they were");
	if (flags & RPCC_IO_QUIET)
		is(p.calls, 0, "a quiet send is not reported");
	else
		ok(wait_calls(&p, 1) && p.res == (int)size,
		   "and the sender knows");
	rpcc_io_sent(io, &p.req);
	close_io();
	close(fds[0]);
	close(fds[1]);
	free(bytes);
}

static void send_failures(void)
{
	struct iovec iov = { (char[]){ "abc" }, 3 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct probe p = PROBE;
	int fds[2];

	pair(fds);
	close(fds[1]);
	open_io(0);
	rpcc_io_sendmsg(io, &p.req, fds[0], &msg, RPCC_IO_QUIET);
	is(wait_soon(), 1, "a quiet send that fails is reported");
	is(p.res, -EPIPE, "as a broken pipe, without a signal");
	ok(p.over && p.req.op == RPCC_IO_NONE, "and is over");
	rpcc_io_sendmsg(io, &p.req, fds[0], &msg, 0);
	ok(wait_calls(&p, 2) && p.res == -EPIPE, "and so is any other");
	close_io();
	close(fds[0]);
}

/* Part of it had been sent already when the peer went away. */
static void send_cut_short(unsigned int flags)
{
	const size_t size = 4 << 20;
	struct iovec iov = { calloc(1, size), size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	void *block = iov.iov_base;
	struct probe p = PROBE;
	int fds[2];

	pair(fds);
	open_io(0);
	rpcc_io_sendmsg(io, &p.req, fds[0], &msg, flags);
	is(rpcc_io_wait(io, now() + 20 * MS), 0, "a send is stuck");
	close(fds[1]);
	ok(wait_calls(&p, 1), "until the peer goes away");
	ok(p.res == -EPIPE || p.res == -ECONNRESET, "and then fails");
	close_io();
	close(fds[0]);
	free(block);
}

static void receives(void)
{
	struct sockaddr_in from, addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	char bytes[16], text[4] = "udp";
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_iov = &iov,
			      .msg_iovlen = 1 };
	int a = socket(AF_INET, SOCK_DGRAM, 0), fds[2];
	int b = socket(AF_INET, SOCK_DGRAM, 0);
	struct probe p = PROBE, q = PROBE;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(a, (void *)&addr, len) || getsockname(a, (void *)&addr, &len))
		abort();
	pair(fds);
	open_io(0);
	rpcc_io_recvmsg(io, &p.req, a, &msg);
	is(rpcc_io_wait(io, 0), 0, "no datagram yet");
	sendto(b, text, 3, 0, (void *)&addr, len);
	ok(wait_calls(&p, 1) && p.res == 3, "a datagram");
	ok(!memcmp(bytes, text, 3) && from.sin_family == AF_INET,
	   "with its contents and its sender");

	rpcc_io_recv(io, &q.req, fds[0], bytes, sizeof(bytes));
	is(rpcc_io_wait(io, 0), 0, "no bytes yet");
	if (write(fds[1], "hello", 5) != 5)
		abort();
	ok(wait_calls(&q, 1) && q.res == 5 && !memcmp(bytes, "hello", 5),
	   "bytes of a stream");
	close(fds[1]);
	rpcc_io_recv(io, &q.req, fds[0], bytes, sizeof(bytes));
	ok(wait_calls(&q, 2) && q.res == 0, "its end");
	close_io();
	close(fds[0]);
	close(a);
	close(b);
}

static void connection_reset(void)
{
	struct linger abrupt = { 1, 0 };
	struct sockaddr_in addr;
	int lfd = tcp_listen(&addr, 5), fd = tcp_socket(), peer;
	struct probe p = PROBE;
	char byte;

	if (connect(fd, (void *)&addr, sizeof(addr)))
		abort();
	peer = accept(lfd, NULL, NULL);
	open_io(0);
	rpcc_io_recv(io, &p.req, fd, &byte, 1);
	rpcc_io_wait(io, 0);
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt));
	close(peer);
	ok(wait_calls(&p, 1) && p.res == -ECONNRESET, "a reset is an error");
	close_io();
	close(fd);
	close(lfd);
}

struct acceptor {
	struct probe probe;
	int fds[128];
};

static void accepted(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct acceptor *a = (struct acceptor *)req;

	if (res >= 0)
		a->fds[a->probe.calls] = res;
	probe_done(req, res, data, more);
}

static int close_range_of(const int *fds, int count)
{
	int i, bad = 0;

	for (i = 0; i < count; i++) {
		bad += !(fcntl(fds[i], F_GETFD) & FD_CLOEXEC) ||
		       fcntl(fds[i], F_GETFL) & O_NONBLOCK;
		close(fds[i]);
	}
	return bad;
}

static void accepts(void)
{
	struct acceptor a = { .probe.req.done = accepted };
	struct sockaddr_in addr;
	int i, clients[100], lfd = tcp_listen(&addr, 128);

	open_io(RPCC_IO_SERVER);
	rpcc_io_accept(io, &a.probe.req, lfd);
	is(rpcc_io_wait(io, 0), 0, "nobody there");
	for (i = 0; i < 100; i++) {
		clients[i] = tcp_socket();
		if (connect(clients[i], (void *)&addr, sizeof(addr)))
			abort();
	}
	ok(wait_calls(&a.probe, 100), "one request accepts 100 connections");
	ok(!a.probe.over, "and goes on");
	is(rpcc_io_wait(io, 0), 0, "none is accepted twice");
	is(close_range_of(a.fds, a.probe.calls), 0,
	   "all blocking and close-on-exec");
	close_range_of(clients, 100);
	rpcc_io_cancel(io, &a.probe.req);
	close_io();
	close(lfd);
}

static int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* What the kernel accepted before it heard of the cancel. */
static void accept_cancelled(void)
{
	struct probe p = PROBE;
	struct sockaddr_in addr;
	int before, fd, lfd = tcp_listen(&addr, 5);

	open_io(RPCC_IO_SERVER);
	rpcc_io_accept(io, &p.req, lfd);
	is(rpcc_io_wait(io, 0), 0, "a listener");
	fd = tcp_socket();
	before = lowest_fd();
	if (connect(fd, (void *)&addr, sizeof(addr)))
		abort();
	rpcc_io_cancel(io, &p.req);
	is(rpcc_io_wait(io, 0), 0, "cancelled, it says nothing");
	is(p.calls, 0, "of a connection that has come before");
	is(lowest_fd(), before, "and does not keep it open");
	close_io();
	close(fd);
	close(lfd);
}

static void accept_refused(void)
{
	struct probe p = PROBE;
	int fds[2];

	pair(fds);
	open_io(RPCC_IO_SERVER);
	rpcc_io_accept(io, &p.req, fds[0]);
	ok(wait_calls(&p, 1) && p.res == -EINVAL && p.over,
	   "what does not listen ends the request");
	close_io();
	close(fds[0]);
	close(fds[1]);
}

/* The caller has run out of descriptors, and goes on when it has some. */
static void accept_exhausted(void)
{
	struct rlimit limit, none;
	struct probe p = PROBE;
	struct sockaddr_in addr;
	int fd, lfd = tcp_listen(&addr, 5);

	open_io(RPCC_IO_SERVER);
	fd = tcp_socket();
	if (connect(fd, (void *)&addr, sizeof(addr)))
		abort();
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = (rlim_t)lowest_fd();
	setrlimit(RLIMIT_NOFILE, &none);
	rpcc_io_accept(io, &p.req, lfd);
	ok(wait_calls(&p, 1) && p.res == -EMFILE && p.over,
	   "without descriptors, the request ends");
	setrlimit(RLIMIT_NOFILE, &limit);
	rpcc_io_accept(io, &p.req, lfd);
	ok(wait_calls(&p, 2) && p.res > 0 && !p.over, "and may begin again");
	close(p.res);
	close_io();
	close(fd);
	close(lfd);
}

/* 8 MiB: more than the provided buffers of any engine. */
static void receives_much(void)
{
	const size_t size = 8 << 20;
	unsigned char *bytes = malloc(size);
	uint32_t sum = fill(bytes, size);
	struct iovec iov = { bytes, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct probe out = PROBE, in = PROBE;
	int room = 4 << 20, fds[2];

	pair(fds);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	open_io(RPCC_IO_SERVER);
	rpcc_io_sendmsg(io, &out.req, fds[0], &msg, 0);
	rpcc_io_wait(io, 0);
	rpcc_io_recv_multi(io, &in.req, fds[1]);
	while (in.bytes < size && wait_soon() > 0)
		;
	is(in.bytes, size, "more than fits into the buffers is received");
	ok(in.sum == sum, "in order");
	ok(!in.over, "and the request goes on");
	close(fds[0]);
	while (!in.over && wait_soon() > 0)
		;
	ok(in.over && in.res == 0, "to the end of the stream");
	close_io();
	close(fds[1]);
	free(bytes);
}

static void polls(void)
{
	int fd = eventfd(0, EFD_NONBLOCK), i, good = 0;
	struct probe p = PROBE;
	uint64_t value;

	open_io(0);
	rpcc_io_poll(io, &p.req, fd);
	is(rpcc_io_wait(io, 0), 0, "an eventfd at rest");
	for (i = 1; i <= 5; i++) {
		eventfd_write(fd, 1);
		good += wait_calls(&p, i) && p.res & POLLIN && !p.over;
		good += read(fd, &value, sizeof(value)) == sizeof(value);
	}
	is(good, 10, "is seen whenever it becomes readable");
	is(rpcc_io_wait(io, 0), 0, "and not without a reason");
	rpcc_io_cancel(io, &p.req);
	eventfd_write(fd, 1);
	is(rpcc_io_wait(io, 0), 0, "nor once it is cancelled");
	is(p.calls, 5, "which is final");
	close_io();
	close(fd);
}

/*
 * Cancelling at each stage, for each kind of request.
 */
enum stage {
	UNSUBMITTED,
	IN_FLIGHT,
	COMPLETED,
	STAGES
};

static const char *const stage_names[] = { "before it is started", "in flight",
					   "when it has completed unseen" };

struct cancel_case {
	const char *name;
	unsigned int flags;
	void (*begin)(struct probe *p, int fds[2]);
	void (*finish)(int fds[2]); /* lets it complete */
};

static char cancel_bytes[64];
static struct iovec cancel_iov;
static struct msghdr cancel_msg;
static struct sockaddr_in cancel_addr;
static char *stuck_block;

static void begin_recv(struct probe *p, int fds[2])
{
	rpcc_io_recv(io, &p->req, fds[0], cancel_bytes, sizeof(cancel_bytes));
}

static void begin_recvmsg(struct probe *p, int fds[2])
{
	cancel_iov = (struct iovec){ cancel_bytes, sizeof(cancel_bytes) };
	cancel_msg = (struct msghdr){ .msg_iov = &cancel_iov, .msg_iovlen = 1 };
	rpcc_io_recvmsg(io, &p->req, fds[0], &cancel_msg);
}

static void begin_recv_multi(struct probe *p, int fds[2])
{
	rpcc_io_recv_multi(io, &p->req, fds[0]);
}

static void begin_poll(struct probe *p, int fds[2])
{
	rpcc_io_poll(io, &p->req, fds[0]);
}

static void finish_write(int fds[2])
{
	if (write(fds[1], "data", 4) != 4)
		abort();
}

static void begin_send_flags(struct probe *p, int fds[2], unsigned int flags)
{
	cancel_iov = (struct iovec){ stuck_block, 4 << 20 };
	cancel_msg = (struct msghdr){ .msg_iov = &cancel_iov, .msg_iovlen = 1 };
	rpcc_io_sendmsg(io, &p->req, fds[0], &cancel_msg, flags);
}

static void begin_send(struct probe *p, int fds[2])
{
	begin_send_flags(p, fds, 0);
}

static void begin_quiet_send(struct probe *p, int fds[2])
{
	begin_send_flags(p, fds, RPCC_IO_QUIET);
}

static void finish_shutdown(int fds[2])
{
	shutdown(fds[1], SHUT_RDWR);
}

static void begin_accept(struct probe *p, int fds[2])
{
	close(fds[0]);
	fds[0] = tcp_listen(&cancel_addr, 5);
	rpcc_io_accept(io, &p->req, fds[0]);
}

static void finish_accept(int fds[2])
{
	close(fds[1]);
	fds[1] = tcp_socket();
	if (connect(fds[1], (void *)&cancel_addr, sizeof(cancel_addr)))
		abort();
}

/* A listener whose queue is full does not answer. */
static void begin_connect(struct probe *p, int fds[2])
{
	close(fds[0]);
	close(fds[1]);
	fds[1] = tcp_listen(&cancel_addr, 0);
	fds[0] = tcp_socket();
	rpcc_io_connect(io, &p->req, fds[0], (void *)&cancel_addr,
			sizeof(cancel_addr));
}

static void finish_nothing(int fds[2])
{
	(void)fds;
}

static const struct cancel_case cancel_cases[] = {
	{ "recv", 0, begin_recv, finish_write },
	{ "recvmsg", 0, begin_recvmsg, finish_write },
	{ "recv_multi", RPCC_IO_SERVER, begin_recv_multi, finish_write },
	{ "poll", 0, begin_poll, finish_write },
	{ "sendmsg", 0, begin_send, finish_shutdown },
	{ "quiet sendmsg", 0, begin_quiet_send, finish_shutdown },
	{ "accept", RPCC_IO_SERVER, begin_accept, finish_accept },
	{ "connect", 0, begin_connect, finish_nothing },
};

/* The request is on the heap, so that a late touch is seen by a sanitizer. */
static void cancel_one(const struct cancel_case *c, enum stage stage,
		       bool by_fd)
{
	struct probe *p = calloc(1, sizeof(*p)), other = PROBE;
	int fds[2], extra[2], said;
	char byte;

	pair(fds);
	pair(extra);
	open_io(c->flags);
	p->req.done = probe_done;
	c->begin(p, fds);
	if (stage >= IN_FLIGHT)
		rpcc_io_wait(io, 0);
	if (stage >= COMPLETED)
		c->finish(fds);
	said = p->calls;
	if (by_fd)
		rpcc_io_cancel_fd(io, fds[0]);
	else
		rpcc_io_cancel(io, &p->req);
	ok(p->calls == said && p->req.op == RPCC_IO_NONE,
	   "%s is cancelled %s%s", c->name, stage_names[stage],
	   by_fd ? ", by its descriptor" : "");
	memset(p, 0xa5, sizeof(*p));
	free(p);
	memset(cancel_bytes, 0, sizeof(cancel_bytes));
	if (stage < COMPLETED)
		c->finish(fds);
	rpcc_io_recv(io, &other.req, extra[0], &byte, 1);
	if (write(extra[1], "x", 1) != 1)
		abort();
	ok(wait_calls(&other, 1) && other.res == 1, "others go on");
	ok(!cancel_bytes[0], "its memory is left alone");
	close_io();
	close(fds[0]);
	close(fds[1]);
	close(extra[0]);
	close(extra[1]);
}

static void cancels(void)
{
	size_t i, count = sizeof(cancel_cases) / sizeof(*cancel_cases);
	int stage;

	stuck_block = calloc(1, 4 << 20);
	for (i = 0; i < count; i++)
		for (stage = 0; stage < STAGES; stage++) {
			cancel_one(&cancel_cases[i], stage, false);
			cancel_one(&cancel_cases[i], stage, true);
		}
	free(stuck_block);
}

static void cancel_idle(void)
{
	struct probe p = PROBE;

	open_io(0);
	rpcc_io_cancel(io, &p.req);
	rpcc_io_sent(io, &p.req);
	rpcc_io_cancel_fd(io, 0);
	is(p.calls, 0, "an idle request is cancelled without effect");
	close_io();
}

/* The slot of a forgotten send is used by the next, whose failure is its own. */
static void quiet_reuse(void)
{
	struct iovec iov = { (char[]){ "abc" }, 3 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct probe p = PROBE, r = PROBE;
	int fds[2], i, good = 0;
	char bytes[3];

	pair(fds);
	open_io(0);
	for (i = 0; i < 1000; i++) {
		iov = (struct iovec){ (char[]){ "abc" }, 3 };
		msg.msg_iov = &iov;
		msg.msg_iovlen = 1;
		rpcc_io_sendmsg(io, &p.req, fds[0], &msg, RPCC_IO_QUIET);
		rpcc_io_recv(io, &r.req, fds[1], bytes, 3);
		good += wait_calls(&r, i + 1) && r.res == 3;
	}
	is(good, 1000, "a quiet request is used 1000 times");
	is(p.calls, 0, "and never heard of");
	rpcc_io_cancel(io, &p.req);
	close_io();
	close(fds[0]);
	close(fds[1]);
}

static void deadlines(void)
{
	struct probe p = PROBE;
	uint64_t begin, end;
	int fds[2], i, early = 0, bad = 0;
	char byte;

	pair(fds);
	open_io(0);
	is(rpcc_io_wait(io, now() + 5 * MS), 0, "waiting for nothing at all");
	rpcc_io_recv(io, &p.req, fds[0], &byte, 1);
	for (i = 0; i < 20; i++) {
		begin = now();
		bad += rpcc_io_wait(io, begin + 3 * MS) != 0;
		early += now() < begin + 3 * MS;
	}
	is(bad, 0, "a deadline passes");
	is(early, 0, "and never too early");
	is(rpcc_io_wait(io, 1), 0, "one long past");
	begin = now();
	is(rpcc_io_wait(io, 0), 0, "0 only looks");
	end = now();
	ok(end - begin < 1000 * MS, "without waiting");
	if (write(fds[1], "x", 1) != 1)
		abort();
	is(rpcc_io_wait(io, 0), 1, "and sees what is there");
	close_io();
	close(fds[0]);
	close(fds[1]);
}

static void *waker(void *arg)
{
	rpcc_io_wake(arg);
	return NULL;
}

static void wakes(void)
{
	pthread_t thread;
	int i, good = 0;

	open_io(RPCC_IO_WAKEABLE);
	is(rpcc_io_wait(io, now() + 2 * MS), 0, "nobody wakes");
	for (i = 0; i < 50; i++) {
		pthread_create(&thread, NULL, waker, io);
		good += rpcc_io_wait(io, RPCCANCEL_INFINITE) == 0;
		pthread_join(thread, NULL);
	}
	is(good, 50, "another thread wakes, while or before one waits");
	rpcc_io_wake(io);
	rpcc_io_wake(io);
	is(rpcc_io_wait(io, RPCCANCEL_INFINITE), 0, "twice is once");
	is(rpcc_io_wait(io, now() + 2 * MS), 0, "and then it is used up");
	close_io();
}

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void interrupted(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct itimerval timer = { { 0, 2000 }, { 0, 2000 } }, off = { 0 };
	struct probe p = PROBE;
	uint64_t begin;
	int fds[2];
	char byte;

	pair(fds);
	open_io(0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	rpcc_io_recv(io, &p.req, fds[0], &byte, 1);
	begin = now();
	is(rpcc_io_wait(io, begin + 50 * MS), 0, "signals do not end a wait");
	ok(now() >= begin + 50 * MS, "which goes on to its deadline");
	ok(signals > 1, "they were handled");
	setitimer(ITIMER_REAL, &off, NULL);
	if (write(fds[1], "x", 1) != 1)
		abort();
	ok(wait_calls(&p, 1), "and lose nothing");
	close_io();
	close(fds[0]);
	close(fds[1]);
}

/* A chain of requests, each from within the done function of the one before. */
struct chain {
	struct rpcc_io_req req;
	struct rpcc_io_req *victim;
	int fd, left;
	char byte;
};

static void chain_done(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct chain *c = (struct chain *)req;

	(void)data;
	(void)more;
	if (c->victim)
		rpcc_io_cancel(io, c->victim);
	c->victim = NULL;
	if (res == 1 && --c->left)
		rpcc_io_recv(io, &c->req, c->fd, &c->byte, 1);
}

static void from_done(void)
{
	struct chain a = { .req.done = chain_done, .left = 100 };
	struct chain b = { .req.done = chain_done, .left = 1 };
	char bytes[100] = { 0 };
	int fds[2], other[2];

	pair(fds);
	pair(other);
	a.fd = fds[0];
	a.victim = &b.req;
	b.victim = &a.req;
	if (write(fds[1], bytes, 100) != 100 || write(other[1], bytes, 1) != 1)
		abort();
	open_io(0);
	rpcc_io_recv(io, &a.req, fds[0], &a.byte, 1);
	rpcc_io_recv(io, &b.req, other[0], &b.byte, 1);
	while (a.left && wait_soon() > 0)
		;
	is(a.left, 0, "done functions make requests");
	is(b.left, 1, "and cancel one that has completed with them");
	is(rpcc_io_wait(io, 0), 0, "for good");
	close_io();
	close(fds[0]);
	close(fds[1]);
	close(other[0]);
	close(other[1]);
}

static void many(unsigned int flags, const char *what)
{
	struct probe *probes = calloc(1000, sizeof(*probes));
	char bytes[1000];
	int i, fds[2], good = 0;
	uint64_t end = now() + WATCHDOG;

	open_io(flags);
	pair(fds);
	memset(bytes, 'x', sizeof(bytes));
	if (write(fds[1], bytes, 1000) != 1000)
		abort();
	for (i = 0; i < 1000; i++) {
		probes[i].req.done = probe_done;
		rpcc_io_recv(io, &probes[i].req, fds[0], &bytes[i], 1);
	}
	for (i = 0; i < 1000 && now() < end;)
		i += rpcc_io_wait(io, end);
	for (i = 0; i < 1000; i++)
		good += probes[i].calls == 1 && probes[i].res == 1;
	is(good, 1000, what);
	close_io();
	close(fds[0]);
	close(fds[1]);
	free(probes);
}

/* More waiting requests than the kernel does at a time, all cancelled. */
/*
 * Both engines keep what they know of requests in arrays that grow, beyond eight
 * for the first time. There may be no memory for that.
 */
static bool no_memory;

void *reallocarray(void *block, size_t count, size_t size)
{
	if (no_memory || count > SIZE_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(block, count * size);
}

static void out_of_memory(void)
{
	struct sockaddr_in addr, peer;
	struct probe connecting = PROBE, others[8];
	socklen_t len = sizeof(peer);
	int fds[2], i, ret, fd = tcp_socket(), listener = tcp_listen(&addr, 5);

	pair(fds);
	open_io(0);
	others[0] = (struct probe)PROBE;
	rpcc_io_poll(io, &others[0].req, fds[0]);
	rpcc_io_wait(io, 0);
	rpcc_io_cancel(io, &others[0].req);
	rpcc_io_connect(io, &connecting.req, fd, (struct sockaddr *)&addr,
			sizeof(addr));
	for (i = 0; i < 8; i++) {
		others[i] = (struct probe)PROBE;
		rpcc_io_poll(io, &others[i].req, fds[0]);
	}
	no_memory = true;
	ret = rpcc_io_wait(io, 0);
	no_memory = false;
	ok(ret == -ENOMEM || others[7].res == -ENOMEM,
	   "that there is no memory is told");
	ok(wait_calls(&connecting, 1) && !connecting.res &&
		   !getpeername(fd, (struct sockaddr *)&peer, &len),
	   "requests before that are started");
	close_io();
	close(fd);
	close(listener);
	close(fds[0]);
	close(fds[1]);
}

static void many_cancelled(void)
{
	struct probe *probes = calloc(1000, sizeof(*probes));
	char *bytes = calloc(1, 1000);
	int i, fds[2], calls = 0;

	open_io(0);
	pair(fds);
	for (i = 0; i < 1000; i++) {
		probes[i].req.done = probe_done;
		rpcc_io_recv(io, &probes[i].req, fds[0], &bytes[i], 1);
	}
	rpcc_io_wait(io, 0);
	if (write(fds[1], bytes, 500) != 500)
		abort();
	rpcc_io_cancel_fd(io, fds[0]);
	for (i = 0; i < 1000; i++)
		calls += probes[i].calls;
	free(probes);
	free(bytes);
	is(calls, 0, "1000 requests are cancelled");
	is(rpcc_io_wait(io, 0), 0, "and not heard of again");
	close_io();
	close(fds[0]);
	close(fds[1]);
}

static void destroys(void)
{
	struct probe *probes = calloc(100, sizeof(*probes));
	char *bytes = calloc(1, 100);
	struct probe stuck = PROBE, accept = PROBE;
	char *block = calloc(1, 4 << 20);
	struct iovec iov = { block, 4 << 20 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct sockaddr_in addr;
	int i, fds[2], lfd = tcp_listen(&addr, 5);

	pair(fds);
	open_io(RPCC_IO_SERVER | RPCC_IO_WAKEABLE);
	for (i = 0; i < 100; i++) {
		probes[i].req.done = probe_done;
		rpcc_io_recv(io, &probes[i].req, fds[0], &bytes[i], 1);
	}
	rpcc_io_sendmsg(io, &stuck.req, fds[0], &msg, RPCC_IO_QUIET);
	rpcc_io_accept(io, &accept.req, lfd);
	is(rpcc_io_wait(io, 0), 0, "requests are outstanding");
	if (write(fds[1], "x", 1) != 1)
		abort();
	close_io();
	is(probes[0].calls + stuck.calls + accept.calls, 0,
	   "an engine is destroyed without a word");
	free(probes);
	free(bytes);
	free(block);
	open_io(0);
	ok(rpcc_io_wait(io, 0) == 0, "and another begins");
	close_io();
	rpcc_io_destroy(NULL);
	close(fds[0]);
	close(fds[1]);
	close(lfd);
}

static void forks(void)
{
	struct probe p = PROBE;
	int fds[2], status = -1;
	char byte;
	pid_t pid;

	pair(fds);
	open_io(RPCC_IO_SERVER | RPCC_IO_WAKEABLE);
	rpcc_io_recv(io, &p.req, fds[0], &byte, 1);
	is(rpcc_io_wait(io, 0), 0, "a request of the parent's");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close_io();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	is(status, 0, "a forked child destroys its copy of the engine");
	if (write(fds[1], "x", 1) != 1)
		abort();
	ok(wait_calls(&p, 1) && p.res == 1, "and the parent's goes on");
	close_io();
	close(fds[0]);
	close(fds[1]);
}

/* A completion between two waits must not end the application's system call. */
static void *write_later(void *arg)
{
	struct timespec while_asleep = { 0, 20 * 1000000 };

	nanosleep(&while_asleep, NULL);
	if (write(*(int *)arg, "x", 1) != 1)
		abort();
	return NULL;
}

static void undisturbed(void)
{
	struct probe p = PROBE;
	pthread_t thread;
	int fds[2], ret;
	char byte;

	pair(fds);
	open_io(0);
	rpcc_io_recv(io, &p.req, fds[0], &byte, 1);
	rpcc_io_wait(io, 0);
	pthread_create(&thread, NULL, write_later, &fds[1]);
	ret = poll(NULL, 0, 100);
	is(ret, 0, "a completion does not disturb the thread elsewhere");
	pthread_join(thread, NULL);
	ok(wait_calls(&p, 1), "it waits for the thread to wait");
	close_io();
	close(fds[0]);
	close(fds[1]);
}

static void all_tests(void)
{
	printf("# engine: %s\n", rpccancel_engine_name());
	connects();
	connect_full();
	send_large(0);
	send_large(RPCC_IO_QUIET);
	send_failures();
	send_cut_short(0);
	send_cut_short(RPCC_IO_QUIET);
	receives();
	connection_reset();
	accepts();
	accept_cancelled();
	accept_refused();
	accept_exhausted();
	receives_much();
	polls();
	cancels();
	cancel_idle();
	quiet_reuse();
	deadlines();
	wakes();
	interrupted();
	from_done();
	many(0, "1000 requests at once, of a small ring");
	many(RPCC_IO_SERVER, "1000 requests at once, of a large ring");
	out_of_memory();
	many_cancelled();
	destroys();
	forks();
	undisturbed();
}

/* An engine is picked once in a process, so each has its own. */
static void run(const char *engine, int *counts)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		setenv("RPCCANCEL_ENGINE", engine, 1);
		if (strcmp(rpccancel_engine_name(), engine))
			printf("ok %d # SKIP no %s here\n", ++tap_count,
			       engine);
		else
			all_tests();
		counts[0] = tap_count;
		counts[1] = tap_failed;
		fflush(stdout);
		exit(0);
	}
	waitpid(pid, &status, 0);
	tap_count = counts[0];
	tap_failed = counts[1];
	is(status, 0, "the tests came to their end");
}

/* As the usual filter of a container does. */
static bool forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(*code), code };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* Whether @engine is picked when the environment asks for @wanted. */
static bool picks(const char *wanted, bool forbidden, const char *engine)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (wanted)
			setenv("RPCCANCEL_ENGINE", wanted, 1);
		else
			unsetenv("RPCCANCEL_ENGINE");
		if (forbidden && !forbid_io_uring())
			_exit(2);
		_exit(strcmp(rpccancel_engine_name(), engine) != 0);
	}
	waitpid(pid, &status, 0);
	return !status;
}

static void picking(void)
{
	ok(picks("poll", false, "poll"), "poll(2) is used where it is wanted");
	ok(picks(NULL, true, "poll"), "and where io_uring is forbidden");
	ok(picks("io_uring", true, "poll"), "even if it is wanted");
	ok(picks("nonsense", true, "poll"), "whatever is wanted");
}

/*
 * For a look at the system calls: so many calls, each a request and an answer.
 */
static void *echo(void *arg)
{
	int fd = *(int *)arg;
	char bytes[16];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		if (write(fd, bytes, (size_t)n) != n)
			break;
	return NULL;
}

static int ping_pong(int rounds)
{
	struct probe out = PROBE, in = PROBE;
	char question[] = "question", answer[16];
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov };
	pthread_t thread;
	int i, fds[2];

	pair(fds);
	open_io(0);
	pthread_create(&thread, NULL, echo, &fds[1]);
	for (i = 0; i < rounds; i++) {
		iov = (struct iovec){ question, sizeof(question) };
		msg.msg_iov = &iov;
		msg.msg_iovlen = 1;
		rpcc_io_sendmsg(io, &out.req, fds[0], &msg, RPCC_IO_QUIET);
		rpcc_io_recv(io, &in.req, fds[0], answer, sizeof(answer));
		if (!wait_calls(&in, i + 1) || in.res != sizeof(question))
			return 1;
	}
	close_io();
	close(fds[0]);
	pthread_join(thread, NULL);
	puts(rpccancel_engine_name());
	return 0;
}

/* usage: io_test [BUILD], or io_test ping-pong ROUNDS */
int main(int argc, char **argv)
{
	int *counts = mmap(NULL, 2 * sizeof(int), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (argc == 3 && !strcmp(argv[1], "ping-pong"))
		return ping_pong(atoi(argv[2]));
	run("io_uring", counts);
	run("poll", counts);
	picking();
	return tap_end();
}
