// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Calls that are cancelled before there is an answer to wait for: while
 * connecting, binding, sending, and with servers that say nothing. The servers
 * are made of bare sockets, and look at what is on the wire.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "testing.h"

#define BIG (4 << 20)

enum pdu_type {
	REQUEST = 0,
	RESPONSE = 2,
	CL_CANCEL = 8,
	BIND = 11,
	BIND_ACK = 12,
	CO_CANCEL = 18,
	ORPHANED = 19,
};

enum pdu_flag {
	FIRST = 1,
	LAST = 2,
};

struct pdu {
	uint8_t type, flags;
	uint16_t length;
	uint32_t call_id;
};

/* A server that listens; what it does with its first connection is its mode. */
static struct fake {
	enum {
		ANSWER,
		SILENT,
		DEAF
	} mode;
	int fd;
	uint16_t port;
	pthread_t thread;
	pthread_mutex_t lock; /* protects what follows */
	struct pdu pdu[64];
	unsigned int count;
	bool closed; /* the client has closed the first connection */
	sem_t over;  /* a deaf server may go on */
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct caller caller;

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = value >> 8 * i;
}

static bool read_all(int fd, uint8_t *p, size_t size)
{
	while (size) {
		ssize_t n = recv(fd, p, size, 0);

		if (n <= 0)
			return false;
		p += n;
		size -= n;
	}
	return true;
}

/* The next PDU of a client, noted down. Its length, or 0. */
static size_t read_pdu(int fd, uint8_t *p)
{
	size_t length;

	if (!read_all(fd, p, 16))
		return 0;
	length = p[8] | p[9] << 8;
	if (length < 16 || !read_all(fd, p + 16, length - 16))
		return 0;
	pthread_mutex_lock(&fake.lock);
	if (fake.count < ARRAY_SIZE(fake.pdu))
		fake.pdu[fake.count++] =
			(struct pdu){ p[2], p[3], length, get32(p + 12) };
	pthread_mutex_unlock(&fake.lock);
	return length;
}

/* Accepts the contexts with NDR 2.0, and no others. */
static void acknowledge(int fd, const uint8_t *bind)
{
	static const uint8_t ndr[] = { 0x04, 0x5d, 0x88, 0x8a };
	uint8_t out[512] = { 5, 0, BIND_ACK, FIRST | LAST, 0x10 };
	const uint8_t *in = bind + 28;
	uint8_t *p = out + 32;

	memcpy(out + 12, bind + 12, 4); /* call_id */
	memcpy(out + 16, bind + 16, 4); /* fragment sizes */
	put32(out + 20, 1);
	memcpy(out + 24, "\2\0\60\0", 4); /* secondary address "0" */
	out[28] = bind[24];
	for (int i = 0; i < bind[24] && p < out + 480; i++, p += 24) {
		if (memcmp(in + 24, ndr, sizeof(ndr)))
			put32(p, 2 | 2 << 16);
		else
			memcpy(p + 4, in + 24, 20);
		in += 24 + 20 * in[2];
	}
	out[8] = p - out;
	out[9] = (p - out) >> 8;
	send(fd, out, p - out, MSG_NOSIGNAL);
}

static void answer(int fd, const uint8_t *request)
{
	uint8_t out[24] = { 5, 0, RESPONSE, FIRST | LAST, 0x10 };

	out[8] = sizeof(out);
	memcpy(out + 12, request + 12, 4); /* call_id */
	memcpy(out + 20, request + 20, 2); /* context */
	send(fd, out, sizeof(out), MSG_NOSIGNAL);
}

static void serve(int fd, int mode)
{
	static uint8_t p[0x10000];

	while (read_pdu(fd, p)) {
		if (p[2] == BIND)
			acknowledge(fd, p);
		if (p[2] == BIND && mode == DEAF)
			while (sem_wait(&fake.over))
				;
		if (p[2] == REQUEST && p[3] & LAST && mode == ANSWER)
			answer(fd, p);
	}
}

/* Ends when the listening socket is shut down. */
static void *run_fake(void *arg)
{
	int mode = fake.mode, fd;

	(void)arg;
	while ((fd = accept4(fake.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		serve(fd, mode);
		close(fd);
		pthread_mutex_lock(&fake.lock);
		fake.closed = true;
		pthread_mutex_unlock(&fake.lock);
		mode = ANSWER;
	}
	return NULL;
}

static void start_fake(void)
{
	errno = pthread_create(&fake.thread, NULL, run_fake, NULL);
	if (errno)
		die("pthread_create");
}

static int bind_socket(int type, uint16_t *port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), small = 4096;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		die("a socket");
	*port = ntohs(addr.sin_port);
	return fd;
}

static void open_fake(int mode)
{
	char binding[80];

	fake.mode = mode;
	fake.fd = bind_socket(SOCK_STREAM, &fake.port);
	if (listen(fake.fd, 0))
		die("listen");
	fake.count = 0;
	fake.closed = false;
	sem_init(&fake.over, 0, 0);
	snprintf(binding, sizeof(binding), "ncacn_ip_tcp:127.0.0.1[%u]",
		 fake.port);
	caller_start(&caller, bind_to(binding));
}

/* The server behaves from now on, and the caller's next call must succeed. */
static void next_call_works(void)
{
	is(caller_call(&caller, call_null), RPC_S_OK, "the next call works");
	caller_stop(&caller);
	shutdown(fake.fd, SHUT_RDWR);
	pthread_join(fake.thread, NULL);
	close(fake.fd);
	sem_destroy(&fake.over);
}

static void ends_cancelled(const char *what)
{
	if (!ok(caller_wait(&caller), "it comes back: %s", what))
		die("this thread is of no use any more");
	is(caller.status, RPC_S_CALL_CANCELLED, what);
}

static RPC_STATUS call_sink(struct caller *c)
{
	return echo_sink(c->binding, c->arg, BIG);
}

/* Until the caller sleeps, which it does only in the kernel's socket code. */
static void wait_asleep(void)
{
	char path[64], state = 0;
	int asleep = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", caller.tid);
	for (uint64_t until = now_ms() + PATIENCE; now_ms() < until;) {
		FILE *f = fopen(path, "r");

		if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		if (f)
			fclose(f);
		asleep = state == 'S' ? asleep + 1 : 0;
		if (asleep == 20)
			return;
		sleep_ms(5);
	}
	die("the call does not sleep");
}

/* Connections that nobody accepts, until no more are answered. */
static int fill_backlog(int *fds, int max)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int count = 0;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(fake.port);
	while (count < max) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		struct pollfd pfd = { .fd = fd, .events = POLLOUT };

		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
		    errno != EINPROGRESS)
			die("connect");
		fds[count++] = fd;
		if (!poll(&pfd, 1, WHILE))
			return count;
	}
	die("the backlog is never full");
}

static void cancel_connecting(long grace)
{
	int fds[16], count;

	printf("# connecting, grace %ld\n", grace);
	open_fake(ANSWER);
	count = fill_backlog(fds, 16);
	caller_go(&caller, call_null);
	wait_asleep();
	is(RpcCancelThreadEx(caller.handle, grace), RPC_S_OK,
	   "RpcCancelThreadEx of a thread that connects");
	ends_cancelled("cancelled while it connects");
	while (count)
		close(fds[--count]);
	start_fake();
	next_call_works();
}

/* The kernel takes the connection, and nobody answers the bind. */
static void cancel_binding(long grace)
{
	printf("# binding, grace %ld\n", grace);
	open_fake(ANSWER);
	caller_go(&caller, call_null);
	wait_asleep();
	is(RpcCancelThreadEx(caller.handle, grace), RPC_S_OK,
	   "RpcCancelThreadEx of a thread that binds");
	ends_cancelled("cancelled while it binds");
	start_fake();
	next_call_works();
}

/* More than fits into the socket, to a server that does not read it. */
static void cancel_sending(long grace)
{
	printf("# sending, grace %ld\n", grace);
	open_fake(DEAF);
	caller.arg = calloc(1, BIG);
	start_fake();
	caller_go(&caller, call_sink);
	wait_asleep();
	is(RpcCancelThreadEx(caller.handle, grace), RPC_S_OK,
	   "RpcCancelThreadEx of a thread that sends");
	ends_cancelled("cancelled while it sends");
	free(caller.arg);
	sem_post(&fake.over);
	next_call_works();
}

static struct pdu noted(unsigned int index)
{
	struct pdu pdu = { .type = 255 };

	for (uint64_t until = now_ms() + PATIENCE; now_ms() < until;) {
		pthread_mutex_lock(&fake.lock);
		if (index < fake.count)
			pdu = fake.pdu[index];
		pthread_mutex_unlock(&fake.lock);
		if (pdu.type != 255)
			break;
		sleep_ms(2);
	}
	return pdu;
}

/* What Windows' clients send; Samba has it among the packets of its tests. */
static void is_short(struct pdu pdu, uint8_t type, uint32_t call_id,
		     const char *what)
{
	is(pdu.type, type, what);
	is(pdu.length, 16, "it is nothing but a header");
	is(pdu.call_id, call_id, "of this call");
	ok(pdu.flags & LAST, "and a whole PDU");
}

/* co_cancel at once, orphaned when the grace is over. */
static void cancel_waiting(void)
{
	struct pdu request;
	bool closed;

	printf("# waiting\n");
	open_fake(SILENT);
	start_fake();
	caller_go(&caller, call_null);
	is(noted(0).type, BIND, "the client binds");
	request = noted(1);
	is(request.type, REQUEST, "and sends its request");
	is(RpcCancelThreadEx(caller.handle, 1), RPC_S_OK,
	   "RpcCancelThreadEx of a thread that waits");
	is_short(noted(2), CO_CANCEL, request.call_id, "co_cancel was sent");
	ends_cancelled("cancelled while it waits");
	is_short(noted(3), ORPHANED, request.call_id, "then orphaned");
	next_call_works();
	pthread_mutex_lock(&fake.lock);
	closed = fake.closed;
	pthread_mutex_unlock(&fake.lock);
	ok(closed, "no KeepConnectionOnOrphan: the connection was closed");
}

/* The next datagram of this type, or 0. */
static ssize_t next_datagram(int fd, uint8_t type, uint8_t *p, size_t size)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	while (poll(&pfd, 1, PATIENCE) > 0) {
		n = recv(fd, p, size, 0);
		if (n >= 80 && (p[1] & 0x1f) == type)
			return n;
	}
	return 0;
}

static void silent_datagrams(void)
{
	uint8_t request[2048], p[2048];
	char binding[80];
	uint16_t port;
	int fd;

	printf("# datagrams to a silent server\n");
	fd = bind_socket(SOCK_DGRAM, &port);
	snprintf(binding, sizeof(binding), "ncadg_ip_udp:127.0.0.1[%u]", port);
	caller_start(&caller, bind_to(binding));
	caller_go(&caller, call_null);
	ok(next_datagram(fd, REQUEST, request, sizeof(request)) > 0,
	   "the request");
	is(RpcCancelThreadEx(caller.handle, 1), RPC_S_OK, "RpcCancelThreadEx");
	is(next_datagram(fd, CL_CANCEL, p, sizeof(p)), 88,
	   "cl_cancel was sent");
	ok(!memcmp(p + 40, request + 40, 16), "of this activity");
	is(get32(p + 64), get32(request + 64), "and sequence number");
	is(get32(p + 80), 0, "its version is 0");
	ok(get32(p + 84) > 0, "it has an id");
	ends_cancelled("cancelled while it waits");
	while (next_datagram(fd, CL_CANCEL, p, sizeof(p)) > 80)
		;
	is(p[74] | p[75] << 8, 0,
	   "then one without body: the call is orphaned");
	caller_stop(&caller);
	close(fd);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# engine %s, back end %s\n", rpccancel_engine_name(),
	       rpccancel_backend_name());
	for (long grace = 0; grace < 2; grace++) {
		cancel_connecting(grace);
		cancel_binding(grace);
		cancel_sending(grace);
	}
	cancel_waiting();
	silent_datagrams();
	return tap_end();
}
