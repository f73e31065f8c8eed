// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What passes through a server's Unix sockets, as a capture file: there is no
 * packet capture for these. It is linked between the library and what that calls
 * (ld's --wrap), so that nothing is in the way of the bytes, and the peer's
 * identity stays what it is; a relay would have its own.
 *
 * Each connection becomes one of TCP, without ACKs, in $RPC_CAPTURE/PID.pcap: from
 * 10.0.0.0/8 to NP or LRPC, addresses that the loopback device does not see.
 * What the client has sent is noted when the server has received it, and what
 * the server has not received when it closes is looked at then. Without the
 * variable nothing is noted.
 *
 * The lock is held from before something is sent until it is noted: what is an
 * answer to it is noted later. What the loop sends, because the socket was full,
 * is noted when the engine knows that it was sent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rpccancel.h>

#include "unix_capture.h"

#define NP	     0xc0000201 /* 192.0.2.1 */
#define LRPC	     0xc0000202
#define CLIENTS	     0x0a000000
#define PORT	     135
#define FDS	     4096
#define SEGMENT	     32768
#define LINKTYPE_RAW 101 /* IP, and nothing before it */

struct conn {
	enum {
		UNKNOWN,
		OTHER, /* no connection of a Unix socket */
		LOCAL
	} kind;
	uint32_t client, server;
	uint32_t seq[2]; /* of what the server and the client send next */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static struct conn conns[FDS];
static uint32_t count;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "echo_server: capture: %s: %s\n", what,
		strerror(errno));
	abort();
}

static void open_file(void)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, figures, snap, link;
	} header = { 0xa1b23c4d, 2, 4, 0, 0, 262144, LINKTYPE_RAW };
	const char *folder = getenv("RPC_CAPTURE");
	char path[4096];

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%d.pcap", folder, getpid());
	file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (file < 0 || write(file, &header, sizeof(header)) != sizeof(header))
		die(path);
}

static void put_segment(struct conn *c, bool to_server, bool syn,
			const void *data, size_t size)
{
	struct {
		uint32_t s, ns, length, original;
		struct iphdr ip;
		struct tcphdr tcp;
	} h = { 0 };
	struct iovec iov[] = { { &h, sizeof(h) }, { (void *)data, size } };
	uint32_t length = sizeof(h.ip) + sizeof(h.tcp) + size;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	h.s = ts.tv_sec;
	h.ns = ts.tv_nsec;
	h.length = length;
	h.original = length;
	h.ip.version = 4;
	h.ip.ihl = sizeof(h.ip) / 4;
	h.ip.ttl = 64;
	h.ip.protocol = IPPROTO_TCP;
	h.ip.tot_len = htons(length);
	h.ip.saddr = htonl(to_server ? c->client : c->server);
	h.ip.daddr = htonl(to_server ? c->server : c->client);
	h.tcp.source = htons(to_server ? getpid() % 60000 + 1024 : PORT);
	h.tcp.dest = htons(to_server ? PORT : getpid() % 60000 + 1024);
	h.tcp.seq = htonl(c->seq[to_server]);
	h.tcp.ack_seq = htonl(c->seq[!to_server]);
	h.tcp.doff = sizeof(h.tcp) / 4;
	h.tcp.syn = syn;
	h.tcp.ack = !syn || !to_server;
	h.tcp.window = htons(65535);
	if (writev(file, iov, 2) != (ssize_t)(sizeof(h) + size))
		die("writev");
	c->seq[to_server] += size + syn;
}

/* False if it is none. */
static bool begin(struct conn *c, int fd)
{
	struct sockaddr_un addr = { 0 };
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    addr.sun_family != AF_UNIX)
		return false;
	c->client = CLIENTS | (++count & 0xffffff);
	c->server = strstr(addr.sun_path, "/ncalrpc/") ? LRPC : NP;
	c->seq[false] = count << 16; /* not those of any before */
	c->seq[true] = count << 16;
	put_segment(c, true, true, NULL, 0);
	put_segment(c, false, true, NULL, 0);
	return true;
}

/* NULL, or locked. */
static struct conn *lock_conn(int fd)
{
	struct conn *c;

	pthread_once(&once, open_file);
	if (file < 0 || fd < 0)
		return NULL;
	if (fd >= FDS)
		die("too many descriptors");
	pthread_mutex_lock(&lock);
	c = &conns[fd];
	if (c->kind == UNKNOWN)
		c->kind = begin(c, fd) ? LOCAL : OTHER;
	if (c->kind == LOCAL)
		return c;
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void note(struct conn *c, bool to_server, const uint8_t *data,
		 size_t size)
{
	size_t n;

	for (; size; data += n, size -= n) {
		n = size < SEGMENT ? size : SEGMENT;
		put_segment(c, to_server, false, data, n);
	}
}

/* The first @size bytes were sent. */
static void note_sent(struct conn *c, const struct iovec *iov, size_t size)
{
	size_t n;

	for (; size; iov++, size -= n) {
		n = size < iov->iov_len ? size : iov->iov_len;
		note(c, false, iov->iov_base, n);
	}
}

/* By who has an answer, and by the engine that is poll(2). It does not wait. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct conn *c = lock_conn(fd);
	ssize_t n = __real_sendmsg(fd, msg, flags);
	int error = errno;

	if (c && n > 0)
		note_sent(c, msg->msg_iov, n);
	if (c)
		pthread_mutex_unlock(&lock);
	errno = error;
	return n;
}

/* By io_uring. */
bool __wrap_rpcc_io_sent_all(struct rpcc_io_req *req, size_t sent)
{
	bool uring = !strcmp(rpccancel_engine_name(), "io_uring");
	struct conn *c = uring ? lock_conn(req->fd) : NULL;

	if (c) {
		note_sent(c, req->msg->msg_iov, sent);
		pthread_mutex_unlock(&lock);
	}
	return __real_rpcc_io_sent_all(req, sent);
}

void __wrap_rpcc_io_event(struct rpcc_io *io, struct rpcc_io_req *req, int res,
			  void *data)
{
	struct conn *c = NULL;

	if (req->op == RPCC_IO_RECV_MULTI && res > 0)
		c = lock_conn(req->fd);
	if (c) {
		note(c, true, data, res);
		pthread_mutex_unlock(&lock);
	}
	__real_rpcc_io_event(io, req, res, data);
}

static void note_rest(struct conn *c, int fd)
{
	static uint8_t rest[1 << 20];
	ssize_t n = recv(fd, rest, sizeof(rest), MSG_PEEK | MSG_DONTWAIT);

	if (n > 0)
		note(c, true, rest, n);
}

/* The number may be another connection's as soon as it is closed. */
int __wrap_close(int fd)
{
	int error = errno;

	pthread_mutex_lock(&lock);
	if (fd >= 0 && fd < FDS) {
		if (conns[fd].kind == LOCAL)
			note_rest(&conns[fd], fd);
		conns[fd].kind = UNKNOWN;
	}
	pthread_mutex_unlock(&lock);
	errno = error;
	return __real_close(fd);
}
