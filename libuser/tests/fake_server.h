/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A server that does what a test says, byte by byte: for the tests of clients.
 * It does not share a line with the library. Each test has a script, which runs
 * in a thread of its own; what it finds wrong is counted, and told at the end.
 */
#ifndef FAKE_SERVER_H
#define FAKE_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rpccancel.h>
#include <rpcdcep.h>

#include "engines.h"
#include "tap.h"

#define WATCHDOG 20000 /* ms that anything may take */

struct fake {
	int listen, port;
	int go; /* an eventfd: the client tells the script to go on */
	int at; /* and this one the other way round */
	pthread_t thread;
	void (*script)(struct fake *f);
	_Atomic int wrong;
};

/* One PDU that has come. */
struct pdu {
	uint8_t bytes[65536];
	size_t length;
};

static inline unsigned int pdu_type(const struct pdu *p)
{
	return p->bytes[2];
}

static inline unsigned int pdu_flags(const struct pdu *p)
{
	return p->bytes[3];
}

static inline uint32_t pdu_u16(const struct pdu *p, size_t at)
{
	return p->bytes[at] | (uint32_t)p->bytes[at + 1] << 8;
}

static inline uint32_t pdu_u32(const struct pdu *p, size_t at)
{
	return pdu_u16(p, at) | pdu_u16(p, at + 2) << 16;
}

static inline uint32_t pdu_call(const struct pdu *p)
{
	return pdu_u32(p, 12);
}

static inline void expect_at(struct fake *f, bool good, int line)
{
	if (good)
		return;
	printf("# the server's script: line %d\n", line);
	f->wrong++;
}

#define expect(f, good) expect_at(f, good, __LINE__)

static inline void post(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static inline bool await(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&p, 1, WATCHDOG) == 1 &&
	       read(fd, &count, sizeof(count)) == sizeof(count);
}

static inline int fake_accept(struct fake *f)
{
	struct pollfd p = { .fd = f->listen, .events = POLLIN };
	int fd = -1;

	if (poll(&p, 1, WATCHDOG) == 1)
		fd = accept4(f->listen, NULL, NULL, SOCK_CLOEXEC);
	expect(f, fd >= 0);
	return fd;
}

/* Whether another client comes: none is expected. */
static inline bool fake_nobody(struct fake *f)
{
	struct pollfd p = { .fd = f->listen, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

static inline bool get_bytes(int fd, uint8_t *to, size_t count)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	while (count) {
		if (poll(&p, 1, WATCHDOG) != 1)
			return false;
		n = recv(fd, to, count, 0);
		if (n <= 0)
			return false;
		to += n;
		count -= (size_t)n;
	}
	return true;
}

/* False at the end of the connection. */
static inline bool get_pdu(int fd, struct pdu *p)
{
	p->length = 0;
	if (!get_bytes(fd, p->bytes, 16))
		return false;
	p->length = pdu_u16(p, 8);
	return p->length >= 16 && get_bytes(fd, p->bytes + 16, p->length - 16);
}

/* Whether nothing has come, nor the end. */
static inline bool is_silent(int fd)
{
	uint8_t byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

static inline bool is_closed(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t byte;

	return poll(&p, 1, WATCHDOG) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static inline void put_bytes(int fd, const void *bytes, size_t count)
{
	const uint8_t *from = bytes;
	ssize_t n;

	while (count) {
		n = send(fd, from, count, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		from += n;
		count -= (size_t)n;
	}
}

static inline void set_u16(uint8_t *at, uint32_t value, bool little)
{
	at[little ? 0 : 1] = (uint8_t)value;
	at[little ? 1 : 0] = (uint8_t)(value >> 8);
}

static inline void set_u32(uint8_t *at, uint32_t value, bool little)
{
	set_u16(at + (little ? 0 : 2), value, little);
	set_u16(at + (little ? 2 : 0), value >> 16, little);
}

static inline void set_header(uint8_t *at, unsigned int type,
			      unsigned int flags, size_t length, uint32_t call,
			      bool little)
{
	memset(at, 0, 16);
	at[0] = 5;
	at[2] = (uint8_t)type;
	at[3] = (uint8_t)flags;
	at[4] = little ? 0x10 : 0;
	set_u16(at + 8, (uint32_t)length, little);
	set_u32(at + 12, call, little);
}

/* NDR 2.0: 8a885d04-1ceb-11c9-9fe8-08002b104860, version 2. */
static const uint8_t ndr_wire[20] = { 0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9,
				      0x11, 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10,
				      0x48, 0x60, 0x02, 0x00, 0x00, 0x00 };

struct ack {
	unsigned int type;   /* 0: by that of the bind */
	unsigned int result; /* of the interface */
	unsigned int reason;
	unsigned int features; /* KeepConnectionOnOrphan: 2 */
	unsigned int flags;    /* beside first and last: CONC_MPX is 0x10 */
	uint32_t max_recv;     /* 0: 5840 */
	uint32_t group;
};

/* A bind_ack or alter_context_resp to @p, with the port as second address. */
static inline void put_ack(int fd, const struct pdu *p, const struct ack *a)
{
	unsigned int contexts = p->bytes[24];
	unsigned int type = a->type ? a->type : pdu_type(p) + 1;
	uint8_t b[256] = { 0 };
	size_t length = 24;

	set_u16(b + 16, 5840, true);
	set_u16(b + 18, a->max_recv ? a->max_recv : 5840, true);
	set_u32(b + 20, a->group, true);
	set_u16(b + length, 4, true);
	memcpy(b + length + 2, "135", 4);
	length += 8; /* with padding */
	b[length] = (uint8_t)contexts;
	length += 4;
	set_u16(b + length, a->result, true);
	set_u16(b + length + 2, a->reason, true);
	if (!a->result)
		memcpy(b + length + 4, ndr_wire, sizeof(ndr_wire));
	length += 24;
	if (contexts > 1) {
		set_u16(b + length, a->features ? 3 : 2, true);
		set_u16(b + length + 2, a->features ? a->features : 2, true);
		length += 24;
	}
	set_header(b, type, 3 | a->flags, length, pdu_call(p), true);
	put_bytes(fd, b, length);
}

/* A fragment of a response. */
static inline void put_part(int fd, unsigned int flags, uint32_t call,
			    uint32_t context, const void *stub, size_t count,
			    bool little)
{
	uint8_t b[8192] = { 0 };

	set_header(b, 2, flags, 24 + count, call, little);
	set_u32(b + 16, (uint32_t)count, little);
	set_u16(b + 20, context, little);
	if (count)
		memcpy(b + 24, stub, count);
	put_bytes(fd, b, 24 + count);
}

static inline void put_response(int fd, const struct pdu *p, const void *stub,
				size_t count)
{
	put_part(fd, 3, pdu_call(p), pdu_u16(p, 20), stub, count, true);
}

static inline void put_fault(int fd, const struct pdu *p, unsigned int flags,
			     uint32_t status, bool little)
{
	uint8_t b[32] = { 0 };

	set_header(b, 3, 3 | flags, sizeof(b), pdu_call(p), little);
	set_u32(b + 16, sizeof(b), little);
	set_u16(b + 20, pdu_u16(p, 20), little);
	set_u32(b + 24, status, little);
	put_bytes(fd, b, sizeof(b));
}

static inline void put_bare(int fd, unsigned int type, uint32_t call)
{
	uint8_t b[16];

	set_header(b, type, 3, sizeof(b), call, true);
	put_bytes(fd, b, sizeof(b));
}

/* Takes a client in, up to its first request. */
static inline int serve_with(struct fake *f, struct pdu *p, const struct ack *a)
{
	int fd = fake_accept(f);

	expect(f, get_pdu(fd, p) && pdu_type(p) == 11);
	put_ack(fd, p, a);
	return fd;
}

static inline int serve(struct fake *f, struct pdu *p)
{
	struct ack a = { .features = 2, .group = 0x1234 };

	return serve_with(f, p, &a);
}

/* A request, and the answer "ok". */
static inline bool serve_call(struct fake *f, int fd, struct pdu *p)
{
	bool good = get_pdu(fd, p) && pdu_type(p) == 0;

	expect(f, good);
	if (good)
		put_response(fd, p, "ok", 2);
	return good;
}

static inline void *fake_thread(void *arg)
{
	struct fake *f = arg;

	f->script(f);
	return NULL;
}

static inline void fake_start(struct fake *f, void (*script)(struct fake *f))
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t length = sizeof(a);

	memset(f, 0, sizeof(*f));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->script = script;
	f->listen = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	f->go = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	f->at = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	if (bind(f->listen, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(f->listen, 16) ||
	    getsockname(f->listen, (struct sockaddr *)&a, &length) ||
	    (script && pthread_create(&f->thread, NULL, fake_thread, f)))
		abort();
	f->port = ntohs(a.sin_port);
}

/* How much the script found wrong. */
static inline int fake_stop(struct fake *f)
{
	if (f->script)
		pthread_join(f->thread, NULL);
	close(f->listen);
	close(f->go);
	close(f->at);
	return f->wrong;
}

/*
 * Clients.
 */

static RPC_CLIENT_INTERFACE fake_interface = {
	.Length = sizeof(RPC_CLIENT_INTERFACE),
	.InterfaceId = { { 0x60a15ec5,
			   0x4de8,
			   0x11d7,
			   { 0xa6, 0x37, 0, 0x50, 0x56, 0xa2, 1, 0x82 } },
			 { 1, 0 } },
	.TransferSyntax = { { 0x8a885d04,
			      0x1ceb,
			      0x11c9,
			      { 0x9f, 0xe8, 8, 0, 0x2b, 0x10, 0x48, 0x60 } },
			    { 2, 0 } },
};

static inline RPC_BINDING_HANDLE fake_binding(const struct fake *f)
{
	RPC_BINDING_HANDLE binding = NULL;
	char text[64];

	snprintf(text, sizeof(text), "ncacn_ip_tcp:127.0.0.1[%d]", f->port);
	if (RpcBindingFromStringBinding((RPC_CSTR)text, &binding))
		abort();
	return binding;
}

/* One call with @size bytes, 'x'; the answer is in *@message, to be freed. */
static inline RPC_STATUS call_message(RPC_BINDING_HANDLE binding, size_t size,
				      RPC_MESSAGE *message)
{
	RPC_STATUS status;

	memset(message, 0, sizeof(*message));
	message->Handle = binding;
	message->ProcNum = 7;
	message->BufferLength = (unsigned int)size;
	message->RpcInterfaceInformation = &fake_interface;
	status = I_RpcGetBuffer(message);
	if (status)
		return status;
	memset(message->Buffer, 'x', size);
	return I_RpcSendReceive(message);
}

/* RPC_S_OK if the answer is "ok". */
static inline RPC_STATUS call_ok(RPC_BINDING_HANDLE binding, size_t size)
{
	RPC_MESSAGE message;
	RPC_STATUS status = call_message(binding, size, &message);

	if (!status &&
	    (message.BufferLength != 2 || memcmp(message.Buffer, "ok", 2)))
		status = RPC_X_BAD_STUB_DATA;
	I_RpcFreeBuffer(&message);
	return status;
}

#endif /* FAKE_SERVER_H */
