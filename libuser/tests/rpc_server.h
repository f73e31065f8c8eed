/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A server for tests, and a client that has every byte in its own hands, so that
 * both the good and the bad of the protocol can be sent. The PDUs are made here,
 * and not by the library, which would agree with itself.
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rpc.h>
#include <rpcasync.h>
#include <rpccancel.h>
#include <rpcdcep.h>

#include "tap.h"

#define WATCHDOG_MS 20000

/* Types and flags of PDUs. */
enum {
	REQUEST = 0,
	RESPONSE = 2,
	FAULT = 3,
	BIND = 11,
	BIND_ACK = 12,
	BIND_NAK = 13,
	ALTER = 14,
	ALTER_RESP = 15,
	AUTH3 = 16,
	CO_CANCEL = 18,
	ORPHANED = 19,
};

#define FIRST	0x01
#define LAST	0x02
#define WHOLE	0x03
#define PENDING 0x04
#define MPX	0x10
#define DNE	0x20
#define MAYBE	0x40
#define OBJECT	0x80

#define UNK_IF	     0x1c010003u
#define OP_RNG	     0x1c010002u
#define PROTO_ERROR  0x1c01000bu
#define TOO_BUSY     0x1c010014u
#define FAULT_CANCEL 0x1c00000du

/*
 * The server's operations.
 */
enum {
	OP_ECHO,
	OP_WAIT,  /* until cancelled: says 1, or released: says 0 */
	OP_HOLD,  /* until released, whatever happens; then it echoes */
	OP_RAISE, /* the exception that the request says */
	OP_ATTRIBUTES,
	OP_ASYNC,   /* leaves its message to the test */
	OP_FD,	    /* waits for the descriptor: says 1 */
	OP_BIG,	    /* as many bytes as the request says */
	OP_SILENT,  /* no buffer for an answer */
	OP_MESSAGE, /* says what is wrong with its message */
	OP_SLEEP,   /* blocks in a system call: says what errno was */
	OP_COUNT,
};

static sem_t entered, released;
static RPC_ASYNC_STATE async_states[8];

static inline void post(sem_t *sem)
{
	sem_post(sem);
}

/* Whether it came before the watchdog. */
static inline bool wait_sem(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WATCHDOG_MS / 1000;
	while (sem_timedwait(sem, &until))
		if (errno != EINTR)
			return false;
	return true;
}

static inline bool try_sem(sem_t *sem)
{
	return !sem_trywait(sem);
}

static inline uint8_t *reply(RPC_MESSAGE *message, unsigned int size)
{
	message->BufferLength = size;
	if (I_RpcGetBuffer(message) != RPC_S_OK)
		RpcRaiseException(RPC_S_OUT_OF_MEMORY);
	return message->Buffer;
}

static inline void reply_u32(RPC_MESSAGE *message, uint32_t value)
{
	memcpy(reply(message, sizeof(value)), &value, sizeof(value));
}

static inline uint32_t argument(const RPC_MESSAGE *message)
{
	uint32_t value = 0;

	if (message->BufferLength >= sizeof(value))
		memcpy(&value, message->Buffer, sizeof(value));
	return value;
}

static inline void nap(void)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	nanosleep(&ms, NULL);
}

static inline void stub_echo(RPC_MESSAGE *message)
{
	unsigned int size = message->BufferLength;
	const void *request = message->Buffer;

	memcpy(reply(message, size), request, size);
}

/* By polling, as a ported server does it. */
static inline void stub_wait(RPC_MESSAGE *message)
{
	bool cancelled = false;
	int i;

	post(&entered);
	for (i = 0; i < WATCHDOG_MS && !cancelled; i++) {
		cancelled = RpcServerTestCancel(NULL) == RPC_S_OK;
		if (!cancelled && try_sem(&released))
			break;
		if (!cancelled)
			nap();
	}
	reply_u32(message, cancelled);
}

static inline void stub_hold(RPC_MESSAGE *message)
{
	post(&entered);
	wait_sem(&released);
	stub_echo(message);
}

static inline void stub_raise(RPC_MESSAGE *message)
{
	RpcRaiseException((RPC_STATUS)argument(message));
}

static inline void stub_attributes(RPC_MESSAGE *message)
{
	RPC_CALL_ATTRIBUTES_V2 attributes = {
		.Version = RPC_CALL_ATTRIBUTES_VERSION,
	};
	uint8_t *p;

	if (RpcServerInqCallAttributes(NULL, &attributes) != RPC_S_OK)
		RpcRaiseException(RPC_S_INTERNAL_ERROR);
	p = reply(message, 4);
	p[0] = (uint8_t)attributes.ProtocolSequence;
	p[1] = (uint8_t)attributes.IsClientLocal;
	p[2] = (uint8_t)attributes.OpNum;
	p[3] = (uint8_t)attributes.CallStatus;
}

/* The request says which state to use; the test has it once it is entered. */
static inline void stub_async(RPC_MESSAGE *message)
{
	RPC_ASYNC_STATE *state = &async_states[argument(message)];

	RpcAsyncInitializeHandle(state, sizeof(*state));
	state->UserInfo = message;
	if (I_RpcAsyncSetHandle(message, state) != RPC_S_OK)
		RpcRaiseException(RPC_S_INTERNAL_ERROR);
	post(&entered);
}

static inline void stub_fd(RPC_MESSAGE *message)
{
	struct pollfd p = { .events = POLLIN };

	if (rpccancel_server_cancel_fd(NULL, &p.fd) != RPC_S_OK)
		RpcRaiseException(RPC_S_INTERNAL_ERROR);
	post(&entered);
	poll(&p, 1, WATCHDOG_MS);
	reply_u32(message,
		  RpcServerTestCancel(NULL) == RPC_S_OK && p.revents == POLLIN);
}

static inline void stub_big(RPC_MESSAGE *message)
{
	uint32_t size = argument(message), i;
	uint8_t *p = reply(message, size);

	for (i = 0; i < size; i++)
		p[i] = (uint8_t)(i * 7);
}

static inline void stub_silent(RPC_MESSAGE *message)
{
	(void)message;
}

static inline void stub_sleep(RPC_MESSAGE *message)
{
	struct timespec long_time = { .tv_sec = WATCHDOG_MS / 1000 };
	int err = 0;

	post(&entered);
	if (nanosleep(&long_time, NULL))
		err = errno;
	reply_u32(message, (uint32_t)err);
}

static inline void stub_message(RPC_MESSAGE *message);

static RPC_DISPATCH_FUNCTION functions[OP_COUNT] = {
	[OP_ECHO] = stub_echo,
	[OP_WAIT] = stub_wait,
	[OP_HOLD] = stub_hold,
	[OP_RAISE] = stub_raise,
	[OP_ATTRIBUTES] = stub_attributes,
	[OP_ASYNC] = stub_async,
	[OP_FD] = stub_fd,
	[OP_BIG] = stub_big,
	[OP_SILENT] = stub_silent,
	[OP_MESSAGE] = stub_message,
	[OP_SLEEP] = stub_sleep,
};

static RPC_DISPATCH_TABLE table = { OP_COUNT, functions, 0 };

#define NDR_SYNTAX                                                      \
	{                                                               \
		{ 0x8a885d04,                                           \
		  0x1ceb,                                               \
		  0x11c9,                                               \
		  { 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60 } }, \
		{                                                       \
			2, 0                                            \
		}                                                       \
	}
#define TEST_GUID(n)                              \
	{                                         \
		0x11223344 + (n), 0x5566, 0x7788, \
		{                                 \
			1, 2, 3, 4, 5, 6, 7, 8    \
		}                                 \
	}
#define TEST_INTERFACE(n)                                             \
	{                                                             \
		.Length = sizeof(RPC_SERVER_INTERFACE),               \
		.InterfaceId = { TEST_GUID(n), { 1, 2 } },            \
		.TransferSyntax = NDR_SYNTAX, .DispatchTable = &table \
	}

static RPC_SERVER_INTERFACE test_if = TEST_INTERFACE(0);
static const RPC_SYNTAX_IDENTIFIER ndr = NDR_SYNTAX;

/* A bit for each field that is not as it should be. */
static inline void stub_message(RPC_MESSAGE *message)
{
	PRPC_SYNTAX_IDENTIFIER syntax = message->TransferSyntax;
	uint32_t wrong = 0;
	UUID object;

	wrong |= (message->RpcInterfaceInformation != &test_if) << 0;
	wrong |= (message->ManagerEpv != test_if.DefaultManagerEpv) << 1;
	wrong |= (message->ProcNum != OP_MESSAGE) << 2;
	wrong |= (message->DataRepresentation != 0x10) << 3;
	wrong |= !!memcmp(&syntax->SyntaxGUID, &ndr.SyntaxGUID, 16) << 4;
	wrong |= (RpcBindingInqObject(message->Handle, &object) ||
		  memcmp(&object, &test_if.InterfaceId.SyntaxGUID, 16))
		 << 5;
	wrong |=
		(RpcServerTestCancel(message->Handle) != RPC_S_CALL_IN_PROGRESS)
		<< 6;
	wrong |= (RpcTestCancel() == RPC_S_OK) << 7;
	reply_u32(message, wrong);
}

/* The port, of a server on loopback that is not listening yet. */
static inline int use_tcp(void)
{
	RPC_BINDING_VECTOR *vector;
	RPC_CSTR text, endpoint;
	int port = -1;

	if (RpcServerUseProtseq((RPC_CSTR) "ncacn_ip_tcp", 10, NULL) ||
	    RpcServerInqBindings(&vector))
		return -1;
	if (!RpcBindingToStringBinding(vector->BindingH[0], &text)) {
		RpcStringBindingParse(text, NULL, NULL, NULL, &endpoint, NULL);
		port = atoi((char *)endpoint);
		RpcStringFree(&endpoint);
		RpcStringFree(&text);
	}
	RpcBindingVectorFree(&vector);
	return port;
}

static inline void stop_server(void)
{
	is(RpcMgmtStopServerListening(NULL), RPC_S_OK, "the server stops");
	is(RpcMgmtWaitServerListen(), RPC_S_OK, "and has ended");
}

/*
 * The client.
 */

struct pdu {
	uint8_t b[65536];
	size_t size;
	bool big; /* big-endian */
};

static inline void add8(struct pdu *p, uint8_t v)
{
	p->b[p->size++] = v;
}

static inline void add16(struct pdu *p, uint16_t v)
{
	add8(p, p->big ? v >> 8 : v & 0xff);
	add8(p, p->big ? v & 0xff : v >> 8);
}

static inline void add32(struct pdu *p, uint32_t v)
{
	add16(p, p->big ? v >> 16 : v & 0xffff);
	add16(p, p->big ? v & 0xffff : v >> 16);
}

static inline void add_bytes(struct pdu *p, const void *bytes, size_t size)
{
	memcpy(p->b + p->size, bytes, size);
	p->size += size;
}

static inline void add_uuid(struct pdu *p, const UUID *uuid)
{
	add32(p, uuid->Data1);
	add16(p, uuid->Data2);
	add16(p, uuid->Data3);
	add_bytes(p, uuid->Data4, 8);
}

static inline void add_syntax(struct pdu *p, const RPC_SYNTAX_IDENTIFIER *s)
{
	add_uuid(p, &s->SyntaxGUID);
	add16(p, p->big ? s->SyntaxVersion.MinorVersion
			: s->SyntaxVersion.MajorVersion);
	add16(p, p->big ? s->SyntaxVersion.MajorVersion
			: s->SyntaxVersion.MinorVersion);
}

static inline uint16_t u16(const struct pdu *p, size_t at)
{
	return p->b[at] | p->b[at + 1] << 8;
}

static inline uint32_t u32(const struct pdu *p, size_t at)
{
	return u16(p, at) | (uint32_t)u16(p, at + 2) << 16;
}

#define pdu_type(p)    ((p)->b[2])
#define pdu_flags(p)   ((p)->b[3])
#define pdu_call(p)    u32(p, 12)
#define pdu_context(p) u16(p, 20)
#define pdu_cancels(p) ((p)->b[22])
#define fault_of(p)    u32(p, 24)

static inline void begin_pdu(struct pdu *p, uint8_t type, uint8_t flags,
			     uint32_t call)
{
	p->size = 0;
	add8(p, 5);
	add8(p, 0);
	add8(p, type);
	add8(p, flags);
	add8(p, p->big ? 0 : 0x10);
	add8(p, 0);
	add8(p, 0);
	add8(p, 0);
	add32(p, 0);
	add32(p, call);
}

static inline void end_pdu(struct pdu *p)
{
	size_t size = p->size;

	p->size = 8;
	add16(p, (uint16_t)size);
	p->size = size;
}

static inline int connect_to(int port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		ok(false, "connected to port %d", port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static inline void send_bytes(int fd, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	ssize_t n;

	for (; size; p += n, size -= (size_t)n) {
		n = send(fd, p, size, MSG_NOSIGNAL);
		if (n < 0)
			return; /* the server has closed: seen by reading */
	}
}

static inline void send_pdu(int fd, const struct pdu *p)
{
	send_bytes(fd, p->b, p->size);
}

static inline bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

static inline bool read_exactly(int fd, uint8_t *to, size_t size)
{
	ssize_t n;

	for (; size; to += n, size -= (size_t)n) {
		if (!readable(fd, WATCHDOG_MS))
			return false;
		n = recv(fd, to, size, 0);
		if (n <= 0)
			return false;
	}
	return true;
}

/* A whole PDU; or size 0: closed, or the watchdog. */
static inline void receive(int fd, struct pdu *p)
{
	p->size = 0;
	memset(p->b, 0, 64);
	if (!read_exactly(fd, p->b, 16))
		return;
	if (u16(p, 8) >= 16 && read_exactly(fd, p->b + 16, u16(p, 8) - 16))
		p->size = u16(p, 8);
}

static inline bool is_closed(int fd)
{
	uint8_t byte;

	return readable(fd, WATCHDOG_MS) && recv(fd, &byte, 1, 0) <= 0;
}

/* One context, for the test's interface, unless another is given. */
static inline void make_bind(struct pdu *p, uint8_t type, uint8_t flags,
			     uint32_t group, uint16_t context,
			     const RPC_SYNTAX_IDENTIFIER *abstract,
			     const RPC_SYNTAX_IDENTIFIER *transfer)
{
	begin_pdu(p, type, flags, 1);
	add16(p, 5840);
	add16(p, 5840);
	add32(p, group);
	add32(p, p->big ? 0x01000000 : 1);
	add16(p, context);
	add16(p, p->big ? 0x0100 : 1);
	add_syntax(p, abstract);
	add_syntax(p, transfer);
	end_pdu(p);
}

static inline bool bind_with(int fd, uint8_t flags, bool big)
{
	struct pdu p = { .big = big };

	make_bind(&p, BIND, WHOLE | flags, 0, 0, &test_if.InterfaceId, &ndr);
	send_pdu(fd, &p);
	receive(fd, &p);
	return p.size && pdu_type(&p) == BIND_ACK;
}

static inline int client(int port, uint8_t flags)
{
	int fd = connect_to(port);

	if (!bind_with(fd, flags, false))
		ok(false, "bound");
	return fd;
}

static inline void make_request(struct pdu *p, uint8_t flags, uint32_t call,
				uint16_t context, uint16_t op, const void *stub,
				size_t size)
{
	begin_pdu(p, REQUEST, flags, call);
	add32(p, (uint32_t)size);
	add16(p, context);
	add16(p, op);
	add_bytes(p, stub, size);
	end_pdu(p);
}

static inline void request(int fd, uint32_t call, uint16_t op, const void *stub,
			   size_t size)
{
	struct pdu p = { .size = 0 };

	make_request(&p, WHOLE, call, 0, op, stub, size);
	send_pdu(fd, &p);
}

static inline void bare(int fd, uint8_t type, uint32_t call)
{
	struct pdu p = { .size = 0 };

	begin_pdu(&p, type, type == CO_CANCEL ? LAST | PENDING : WHOLE, call);
	end_pdu(&p);
	send_pdu(fd, &p);
}

static inline bool is_response(const struct pdu *p, uint32_t call,
			       const void *stub, size_t size)
{
	return p->size == 24 + size && pdu_type(p) == RESPONSE &&
	       pdu_call(p) == call && !memcmp(p->b + 24, stub, size);
}

static inline bool is_fault(const struct pdu *p, uint32_t call, uint8_t flags,
			    uint16_t context, uint32_t status)
{
	bool good = p->size == 32 && pdu_type(p) == FAULT &&
		    pdu_call(p) == call && pdu_flags(p) == flags &&
		    pdu_context(p) == context && fault_of(p) == status &&
		    u32(p, 16);

	if (!good)
		printf("# size %zu type %u call %u flags %02x context %u "
		       "status %08x\n",
		       p->size, pdu_type(p), pdu_call(p), pdu_flags(p),
		       pdu_context(p), fault_of(p));
	return good;
}

/* A call that proves that the connection, and the server, live. */
static inline bool echoes(int fd, uint32_t call)
{
	static const char text[] = "are you there";
	struct pdu p = { .size = 0 };

	request(fd, call, OP_ECHO, text, sizeof(text));
	receive(fd, &p);
	return is_response(&p, call, text, sizeof(text));
}

static inline void begin_server_tests(void)
{
	setbuf(stdout, NULL);
	sem_init(&entered, 0, 0);
	sem_init(&released, 0, 0);
}

#endif /* RPC_SERVER_H */
