// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The server's side of the interfaces of the tests: what MIDL's server stubs
 * and the functions that they call would be, in one. All state is in atomic
 * counters; stubs run in any thread.
 */
#include "echo.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rpccancel.h>

#define POLL_MS 2 /* how often a stub looks for a cancel */
/* Of what a client can make a stub allocate. */
#define LENGTH_MAX (8 << 20)

static struct {
	atomic_uint entered, left, cancelled, nulls, released;
} count;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void request(RPC_MESSAGE *m, struct ndr *n)
{
	ndr_init(n, m->Buffer, m->BufferLength, m->DataRepresentation);
}

static void check(const struct ndr *n)
{
	if (n->bad)
		RpcRaiseException(RPC_X_BAD_STUB_DATA);
}

/* The last thing that a stub does is to write its answer, all @size bytes. */
static void reply(RPC_MESSAGE *m, struct ndr *n, size_t size)
{
	RPC_STATUS status;

	m->BufferLength = size;
	status = I_RpcGetBuffer(m);
	if (status != RPC_S_OK)
		RpcRaiseException(status);
	m->DataRepresentation = NDR_LITTLE_ENDIAN;
	ndr_init(n, m->Buffer, size, NDR_LITTLE_ENDIAN);
}

static void reply_numbers(RPC_MESSAGE *m, const uint32_t *numbers,
			  size_t numbers_count)
{
	struct ndr n;

	reply(m, &n, 4 * numbers_count);
	for (size_t i = 0; i < numbers_count; i++)
		ndr_put_u32(&n, numbers[i]);
}

static void add_one(RPC_MESSAGE *m)
{
	struct ndr n;
	uint32_t value;

	request(m, &n);
	value = ndr_get_u32(&n) + 1;
	check(&n);
	reply_numbers(m, &value, 1);
}

/* The length, and a conformant array that has it. */
static const uint8_t *get_bytes(RPC_MESSAGE *m, uint32_t *length)
{
	const uint8_t *data;
	struct ndr n;

	request(m, &n);
	*length = ndr_get_u32(&n);
	if (ndr_get_u32(&n) != *length)
		n.bad = true;
	data = ndr_get_array(&n, *length, 1);
	check(&n);
	return data;
}

static void echo_data_stub(RPC_MESSAGE *m)
{
	const uint8_t *data;
	uint32_t length;
	struct ndr n;
	uint8_t *p;

	data = get_bytes(m, &length);
	reply(m, &n, 4 + length);
	ndr_put_u32(&n, length);
	p = ndr_put_array(&n, length, 1);
	if (length)
		memcpy(p, data, length);
}

static void sink_data(RPC_MESSAGE *m)
{
	uint32_t length;

	get_bytes(m, &length);
	reply_numbers(m, NULL, 0);
}

static void source_data(RPC_MESSAGE *m)
{
	uint32_t length;
	struct ndr n;
	uint8_t *p;

	request(m, &n);
	length = ndr_get_u32(&n);
	if (length > LENGTH_MAX)
		n.bad = true;
	check(&n);
	reply(m, &n, 4 + length);
	ndr_put_u32(&n, length);
	p = ndr_put_array(&n, length, 1);
	for (uint32_t i = 0; i < length; i++)
		p[i] = i;
}

/* A string in UTF-16 is given back, as a unique pointer to it. */
static void test_call(RPC_MESSAGE *m)
{
	const uint8_t *text;
	uint32_t max, length;
	struct ndr n;
	uint8_t *p;
	bool big;

	request(m, &n);
	max = ndr_get_u32(&n);
	if (ndr_get_u32(&n))
		n.bad = true;
	length = ndr_get_u32(&n);
	if (length > max)
		n.bad = true;
	text = ndr_get_array(&n, length, 2);
	check(&n);
	big = n.big;

	reply(m, &n, 16 + 2 * length);
	ndr_put_u32(&n, 0x20000);
	ndr_put_u32(&n, length);
	ndr_put_u32(&n, 0);
	ndr_put_u32(&n, length);
	p = ndr_put_array(&n, length, 2);
	for (uint32_t i = 0; i < 2 * length; i++)
		p[i] = text[big ? i ^ 1 : i];
}

/* The arms of a union, which differ in how they are aligned. */
static void put_info(struct ndr *n, uint16_t level)
{
	ndr_put_u16(n, level);
	switch (level) {
	case 1:
		ndr_put_u8(n, 10);
		break;
	case 2:
		ndr_put_u16(n, 20);
		break;
	case 3:
		ndr_put_u32(n, 30);
		break;
	case 4:
		ndr_put_u64(n, 40);
		break;
	case 6:
		ndr_put_u8(n, 70);
		ndr_put_u8(n, 80);
		break;
	default: /* 5 and 7: a structure with a hyper in it */
		ndr_align(n, 8);
		ndr_put_u8(n, level == 5 ? 50 : 80);
		ndr_put_u64(n, level == 5 ? 60 : 90);
		break;
	}
}

static void test_call2(RPC_MESSAGE *m)
{
	uint16_t level;
	struct ndr n;

	request(m, &n);
	level = ndr_get_u16(&n);
	check(&n);
	if (level < 1 || level > 7)
		RpcRaiseException(RPC_S_INVALID_TAG);
	reply(m, &n, 32);
	memset(m->Buffer, 0, 32);
	put_info(&n, level);
	ndr_put_u32(&n, 0);
	m->BufferLength = n.offset;
}

/* Returns early when it is cancelled, and says how long it has slept. */
static void test_sleep(RPC_MESSAGE *m)
{
	uint64_t start = now_ms(), end;
	uint32_t seconds;
	struct ndr n;

	request(m, &n);
	seconds = ndr_get_u32(&n);
	check(&n);
	end = start + 1000ULL * seconds;
	while (now_ms() < end && RpcTestCancel() != RPC_S_OK)
		poll(NULL, 0, POLL_MS);
	seconds = (now_ms() - start) / 1000;
	reply_numbers(m, &seconds, 1);
}

/* All three come back as they were. */
static void test_enum(RPC_MESSAGE *m)
{
	uint32_t e2, value32 = 0;
	uint16_t e1, foo1, tag, value;
	struct ndr n;

	request(m, &n);
	foo1 = ndr_get_u16(&n);
	ndr_align(&n, 4);
	e1 = ndr_get_u16(&n);
	e2 = ndr_get_u32(&n);
	tag = ndr_get_u16(&n);
	if (tag != foo1 || tag < 1 || tag > 2)
		n.bad = true;
	if (tag == 2)
		ndr_align(&n, 4);
	value = ndr_get_u16(&n);
	if (tag == 2)
		value32 = ndr_get_u32(&n);
	check(&n);

	reply(m, &n, 24);
	memset(m->Buffer, 0, 24);
	ndr_put_u16(&n, foo1);
	ndr_align(&n, 4);
	ndr_put_u16(&n, e1);
	ndr_put_u32(&n, e2);
	ndr_put_u16(&n, tag);
	if (tag == 2)
		ndr_align(&n, 4);
	ndr_put_u16(&n, value);
	if (tag == 2)
		ndr_put_u32(&n, value32);
	m->BufferLength = n.offset;
}

/* A conformant structure comes back twice as long, and zero. */
static void test_surrounding(RPC_MESSAGE *m)
{
	uint32_t length;
	struct ndr n;
	uint8_t *p;

	request(m, &n);
	length = ndr_get_u32(&n);
	if (ndr_get_u32(&n) != length)
		n.bad = true;
	ndr_get_array(&n, length, 2);
	check(&n);
	length *= 2;
	reply(m, &n, 8 + 2 * length);
	ndr_put_u32(&n, length);
	ndr_put_u32(&n, length);
	p = ndr_put_array(&n, length, 2);
	if (length)
		memset(p, 0, 2 * length);
}

static void test_double_pointer(RPC_MESSAGE *m)
{
	uint16_t value = 0;
	struct ndr n;

	request(m, &n);
	if (ndr_get_u32(&n) && ndr_get_u32(&n))
		value = ndr_get_u16(&n);
	check(&n);
	reply(m, &n, 2);
	ndr_put_u16(&n, value);
}

static void null(RPC_MESSAGE *m)
{
	count.nulls++;
	reply_numbers(m, NULL, 0);
}

/* Until @end, or until @flags let it return. True: it was cancelled. */
static bool stay(uint64_t end, uint32_t flags, unsigned int released)
{
	struct pollfd pfd = { .fd = -1, .events = POLLIN };
	bool cancelled = false;

	if (flags & SLOW_BY_DESCRIPTOR &&
	    rpccancel_server_cancel_fd(NULL, &pfd.fd) != RPC_S_OK)
		RpcRaiseException(RPC_S_CANNOT_SUPPORT);
	while (now_ms() < end) {
		if (flags & SLOW_UNTIL_RELEASED && count.released != released)
			break;
		if (flags & SLOW_BY_DESCRIPTOR)
			cancelled = poll(&pfd, 1, 100) > 0;
		else
			poll(NULL, 0, POLL_MS);
		if (!(flags & SLOW_BY_DESCRIPTOR))
			cancelled = RpcTestCancel() == RPC_S_OK;
		if (cancelled && flags & SLOW_HEED)
			break;
	}
	return cancelled;
}

static void slow_stay_stub(RPC_MESSAGE *m)
{
	unsigned int released = count.released;
	uint64_t start = now_ms();
	uint32_t ms, flags, out[2];
	struct ndr n;

	request(m, &n);
	ms = ndr_get_u32(&n);
	flags = ndr_get_u32(&n);
	check(&n);
	count.entered++;
	out[0] = stay(start + ms, flags, released);
	out[1] = now_ms() - start;
	count.cancelled += out[0];
	count.left++;
	if (out[0] && flags & SLOW_RAISE_CANCEL)
		RpcRaiseException(RPC_S_CALL_CANCELLED);
	reply_numbers(m, out, 2);
}

static void raise_stub(RPC_MESSAGE *m)
{
	uint32_t status;
	struct ndr n;

	request(m, &n);
	status = ndr_get_u32(&n);
	check(&n);
	RpcRaiseException(status);
}

static void count_stub(RPC_MESSAGE *m)
{
	uint32_t out[] = { count.entered, count.left, count.cancelled,
			   count.nulls };

	reply_numbers(m, out, 4);
}

void slow_release_all(void)
{
	count.released++;
}

static void release_stub(RPC_MESSAGE *m)
{
	slow_release_all();
	reply_numbers(m, NULL, 0);
}

static void attributes_stub(RPC_MESSAGE *m)
{
	RPC_CALL_ATTRIBUTES_V2 attributes = {
		.Version = 2,
		.Flags = RPC_QUERY_CLIENT_PID | RPC_QUERY_IS_CLIENT_LOCAL,
	};
	uint32_t out[7];

	out[0] = RpcServerInqCallAttributes(NULL, &attributes);
	out[1] = attributes.ProtocolSequence;
	out[2] = attributes.OpNum;
	out[3] = attributes.IsClientLocal;
	out[4] = (uintptr_t)attributes.ClientPID;
	out[5] = RpcTestCancel();
	out[6] = RpcServerTestCancel(m->Handle);
	reply_numbers(m, out, 7);
}

/* Reads from a socket to which nobody writes, in one system call. */
static void block_recv_stub(RPC_MESSAGE *m)
{
	struct timeval tv;
	uint32_t out = EMFILE, ms;
	int pair[2];
	struct ndr n;
	char byte;

	request(m, &n);
	ms = ndr_get_u32(&n);
	check(&n);
	count.entered++;
	if (!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		tv = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		out = recv(pair[0], &byte, 1, 0) < 0 ? errno : 0;
		close(pair[0]);
		close(pair[1]);
	}
	count.cancelled += out == ECANCELED;
	count.left++;
	out = out == EAGAIN ? 0 : out;
	reply_numbers(m, &out, 1);
}

/*
 * netr_ServerReqChallenge: a server's challenge of eight bytes and a status.
 * Its arguments are of no interest; Samba's tests look at the packets.
 */
static void req_challenge(RPC_MESSAGE *m)
{
	static const uint32_t out[3];

	reply_numbers(m, out, 3);
}

static void not_here(RPC_MESSAGE *m)
{
	(void)m;
	RpcRaiseException(RPC_S_PROCNUM_OUT_OF_RANGE);
}

#define SERVER(uuid, table)                               \
	{                                                 \
		.Length = sizeof(RPC_SERVER_INTERFACE),   \
		.InterfaceId = { uuid, { 1, 0 } },        \
		.TransferSyntax = { NDR_UUID, { 2, 0 } }, \
		.DispatchTable = &(table),                \
	}
#define TABLE(functions)                                            \
	{                                                           \
		.DispatchTableCount =                               \
			sizeof(functions) / sizeof((functions)[0]), \
		.DispatchTable = (functions),                       \
	}

static RPC_DISPATCH_FUNCTION echo_functions[] = {
	[ECHO_ADD_ONE] = add_one,
	[ECHO_ECHO_DATA] = echo_data_stub,
	[ECHO_SINK_DATA] = sink_data,
	[ECHO_SOURCE_DATA] = source_data,
	[ECHO_TEST_CALL] = test_call,
	[ECHO_TEST_CALL2] = test_call2,
	[ECHO_TEST_SLEEP] = test_sleep,
	[ECHO_TEST_ENUM] = test_enum,
	[ECHO_TEST_SURROUNDING] = test_surrounding,
	[ECHO_TEST_DOUBLE_POINTER] = test_double_pointer,
};

static RPC_DISPATCH_FUNCTION slow_functions[] = {
	[SLOW_NULL] = null,
	[SLOW_STAY] = slow_stay_stub,
	[SLOW_RAISE] = raise_stub,
	[SLOW_COUNT] = count_stub,
	[SLOW_RELEASE] = release_stub,
	[SLOW_ATTRIBUTES] = attributes_stub,
};

static RPC_DISPATCH_FUNCTION block_functions[] = {
	[BLOCK_RECV] = block_recv_stub,
};

static RPC_DISPATCH_FUNCTION netlogon_functions[] = {
	not_here, not_here, not_here, not_here, req_challenge,
};

static RPC_DISPATCH_TABLE echo_table = TABLE(echo_functions);
static RPC_DISPATCH_TABLE slow_table = TABLE(slow_functions);
static RPC_DISPATCH_TABLE block_table = TABLE(block_functions);
static RPC_DISPATCH_TABLE netlogon_table = TABLE(netlogon_functions);

RPC_SERVER_INTERFACE echo_server = SERVER(ECHO_UUID, echo_table);
RPC_SERVER_INTERFACE slow_server = SERVER(SLOW_UUID, slow_table);
RPC_SERVER_INTERFACE block_server = SERVER(BLOCK_UUID, block_table);
RPC_SERVER_INTERFACE netlogon_server = SERVER(NETLOGON_UUID, netlogon_table);
