// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The server of the connectionless protocol: against scripted clients on raw
 * sockets, and against our own client over a network that loses, doubles and
 * reorders packets.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

#include <rpc.h>
#include <rpcasync.h>
#include <rpccancel.h>
#include <rpcdcep.h>

#include "internal.h"
#include "io/io.h"
#include "wire/cn_pdu.h"

#include "dg_peer.h"

#define THREADS	      64
#define CALLS	      16 /* of each */
#define MAX_KEYS      (THREADS * CALLS)
#define NOTHING_FOR   300 /* ms, within which an answer would have come */
#define LAST_INTERVAL 2500

/*
 * The interface.
 */

enum {
	OP_ECHO,
	OP_COUNT,  /* how often it was called with a key */
	OP_BIG,	   /* as many bytes as it is told */
	OP_WAIT,   /* until it is cancelled, or let go */
	OP_IGNORE, /* until it is let go, whoever cancels */
	OP_RAISE,
	OPS,
};

static atomic_int executed[MAX_KEYS], echoes, waits_cancelled, waits_entered;
static sem_t let_go;

static void *reply(RPC_MESSAGE *message, unsigned int length)
{
	message->BufferLength = length;
	if (I_RpcGetBuffer(message) != RPC_S_OK)
		RpcRaiseException(RPC_S_OUT_OF_MEMORY);
	return message->Buffer;
}

static void stub_echo(RPC_MESSAGE *message)
{
	const void *request = message->Buffer;
	unsigned int length = message->BufferLength;
	void *out = reply(message, length);

	atomic_fetch_add(&echoes, 1);
	if (length)
		memcpy(out, request, length);
}

static void stub_count(RPC_MESSAGE *message)
{
	uint32_t key = get32(message->Buffer) % MAX_KEYS;
	int count = atomic_fetch_add(&executed[key], 1) + 1;
	uint8_t *out = reply(message, 8);

	put32(out, key);
	put32(out + 4, (uint32_t)count);
}

static void stub_big(RPC_MESSAGE *message)
{
	uint32_t size = get32(message->Buffer);

	fill(reply(message, size), size, size);
}

static void pause_ms(long ms)
{
	struct timespec ts = { .tv_nsec = ms * 1000000 };

	nanosleep(&ts, NULL);
}

static void stub_wait(RPC_MESSAGE *message)
{
	int cancelled = 0;

	atomic_fetch_add(&waits_entered, 1);
	while (sem_trywait(&let_go)) {
		if (RpcServerTestCancel(NULL) == RPC_S_OK) {
			cancelled = 1;
			break;
		}
		pause_ms(1);
	}
	atomic_fetch_add(&waits_cancelled, cancelled);
	*(uint8_t *)reply(message, 1) = (uint8_t)cancelled;
}

static void stub_ignore(RPC_MESSAGE *message)
{
	atomic_fetch_add(&waits_entered, 1);
	sem_wait(&let_go);
	reply(message, 0);
}

static void stub_raise(RPC_MESSAGE *message)
{
	(void)message;
	RpcRaiseException(RPC_X_BAD_STUB_DATA);
}

static RPC_DISPATCH_FUNCTION functions[OPS] = {
	[OP_ECHO] = stub_echo,	   [OP_COUNT] = stub_count,
	[OP_BIG] = stub_big,	   [OP_WAIT] = stub_wait,
	[OP_IGNORE] = stub_ignore, [OP_RAISE] = stub_raise,
};
static RPC_DISPATCH_TABLE table = { OPS, functions, 0 };
static RPC_SERVER_INTERFACE server_interface = {
	.Length = sizeof(server_interface),
	.InterfaceId = { { 0x12345678,
			   0x1234,
			   0xabcd,
			   { 0xef, 0, 1, 0x23, 0x45, 0x67, 0x89, 0xab } },
			 { 1, 0 } },
	.DispatchTable = &table,
};
static RPC_CLIENT_INTERFACE client_interface = {
	.Length = sizeof(client_interface),
	.InterfaceId = { { 0x12345678,
			   0x1234,
			   0xabcd,
			   { 0xef, 0, 1, 0x23, 0x45, 0x67, 0x89, 0xab } },
			 { 1, 0 } },
};

static uint16_t server_port;

static bool start_server(void)
{
	RPC_CSTR text, endpoint;
	RPC_BINDING_VECTOR *vector;

	sem_init(&let_go, 0, 0);
	if (RpcServerUseProtseq((RPC_CSTR) "ncadg_ip_udp", 10, NULL) ||
	    RpcServerRegisterIf(&server_interface, NULL, NULL) ||
	    RpcServerListen(1, 100, 1) || RpcServerInqBindings(&vector))
		return false;
	RpcBindingToStringBinding(vector->BindingH[0], &text);
	RpcStringBindingParse(text, NULL, NULL, NULL, &endpoint, NULL);
	server_port = (uint16_t)atoi((const char *)endpoint);
	RpcStringFree(&endpoint);
	RpcStringFree(&text);
	RpcBindingVectorFree(&vector);
	return server_port;
}

/*
 * Scripted clients.
 */

static int fd;
static uint32_t boot;

static void send_to_server(struct pdu *p)
{
	p->from.sin_family = AF_INET;
	p->from.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->from.sin_port = htons(server_port);
	pdu_send(fd, p);
}

static void send_call(struct pdu *call)
{
	send_to_server(call);
}

static void send_bare(const struct pdu *call, int type)
{
	struct pdu p = pdu_for(call, type, 0, boot);

	send_to_server(&p);
}

static void send_cancel(const struct pdu *call, uint32_t id)
{
	struct pdu p = pdu_for(call, CANCEL, 0, boot);
	uint8_t body[8] = { 0 };

	put32(body + 4, id);
	pdu_body(&p, body, sizeof(body));
	send_to_server(&p);
}

static bool await(struct pdu *p, int type)
{
	return pdu_await(fd, p, type, PATIENCE);
}

static bool nothing_comes(void)
{
	struct pdu p;

	return !pdu_receive(fd, &p, NOTHING_FOR);
}

/* To the question that is in @ask. */
static void say_who(struct pdu *ask, uint32_t seq, uint32_t status)
{
	struct pdu p = pdu_for(ask, RESPONSE, 0, pdu_boot(ask));
	uint8_t body[8];

	put32(body, seq);
	put32(body + 4, status);
	pdu_body(&p, body, sizeof(body));
	send_to_server(&p);
}

static bool is_question(const struct pdu *p, const struct pdu *call)
{
	return pdu_type(p) == REQUEST && pdu_length(p) == 20 &&
	       !memcmp(p->bytes + 24, conv_interface, 16) &&
	       get32(p->bytes + 60) == 3 && pdu_opnum(p) == 0 &&
	       !memcmp(p->bytes + HEADER, pdu_activity(call), 16) &&
	       get32(p->bytes + HEADER + 16);
}

/* A whole call with its acknowledgement; answers the question if there is one,
 * and sends again what a full socket may have lost. */
static bool make_call(struct pdu *call, struct pdu *p)
{
	uint64_t end = now_ms() + PATIENCE;

	send_call(call);
	while (now_ms() < end) {
		if (!pdu_receive(fd, p, LAST_INTERVAL)) {
			send_call(call);
		} else if (pdu_type(p) == REQUEST) {
			say_who(p, pdu_seq(call), 0);
		} else if (pdu_type(p) != WORKING) {
			boot = pdu_boot(p);
			if (!(pdu_flags(call) & IDEMPOTENT))
				send_bare(call, ACK);
			return pdu_seq(p) == pdu_seq(call);
		}
	}
	return false;
}

static void new_client(void)
{
	if (fd)
		close(fd);
	fd = udp_socket(NULL);
}

static void test_first_call(void)
{
	struct pdu call = pdu_call(1, 0, OP_ECHO, 0), p;

	new_client();
	pdu_body(&call, "hello", 5);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && is_question(&p, &call),
	   "an unknown client is asked who_are_you");
	is(atomic_load(&echoes), 0, "before its call is executed");
	boot = get32(p.bytes + HEADER + 16);
	say_who(&p, 0, 0);
	ok(await(&p, RESPONSE) && pdu_length(&p) == 5 &&
		   !memcmp(p.bytes + HEADER, "hello", 5),
	   "then it is answered");
	ok(!memcmp(p.bytes + 8, call.bytes + 8, 48) &&
		   !memcmp(p.bytes + 60, call.bytes + 60, 10),
	   "in the name of the same object, interface, activity and call");
	is(pdu_boot(&p), boot, "by a server that tells its boot time");
	ok(p.bytes[0] == 4 && p.bytes[2] == 0 && p.bytes[3] == 0 &&
		   p.bytes[4] == 0x10,
	   "without flags");
	send_bare(&call, ACK);

	call = pdu_call(1, 1, OP_ECHO, 0);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == RESPONSE &&
		   pdu_seq(&p) == 1,
	   "a known client is not asked again");
	send_bare(&call, ACK);
	call = pdu_call(2, 77, OP_ECHO, IDEMPOTENT);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == RESPONSE &&
		   pdu_seq(&p) == 77,
	   "nor is one with an idempotent call");
}

static void test_duplicates(void)
{
	struct pdu call = pdu_call(3, 5, OP_WAIT, 0), old, p;
	int before;

	new_client();
	send_call(&call);
	await(&p, REQUEST);
	say_who(&p, 5, 0);
	while (!atomic_load(&waits_entered))
		pause_ms(1);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == WORKING,
	   "the request of a running call, again: working");
	send_bare(&call, PING);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == WORKING,
	   "so for a ping");
	sem_post(&let_go);
	ok(await(&p, RESPONSE), "it ends");
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == RESPONSE,
	   "the request of an answered call, again: its answer");
	send_bare(&call, PING);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == RESPONSE,
	   "so for a ping");
	is(atomic_load(&waits_entered), 1, "without calling the stub again");
	ok(pdu_receive(fd, &p, LAST_INTERVAL) && pdu_type(&p) == RESPONSE,
	   "an answer that is not acknowledged is sent again");
	send_bare(&call, ACK);
	old = call;
	call = pdu_call(3, 6, OP_ECHO, 0);
	ok(make_call(&call, &p), "the next call of the activity is executed");
	before = atomic_load(&echoes);
	send_call(&call);
	send_call(&old);
	ok(nothing_comes() && atomic_load(&echoes) == before &&
		   atomic_load(&waits_entered) == 1,
	   "requests of acknowledged and older calls are dropped");
	atomic_store(&waits_entered, 0);
}

static void test_next_call_orphans(void)
{
	struct pdu call = pdu_call(4, 0, OP_WAIT, IDEMPOTENT), p;
	int before = atomic_load(&waits_cancelled);

	new_client();
	send_call(&call);
	while (!atomic_load(&waits_entered))
		pause_ms(1);
	call = pdu_call(4, 1, OP_ECHO, IDEMPOTENT);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == RESPONSE &&
		   pdu_seq(&p) == 1,
	   "a new call of an activity that has one is executed");
	while (atomic_load(&waits_cancelled) == before)
		pause_ms(1);
	ok(nothing_comes(), "and the old one is orphaned: cancelled, and not "
			    "answered");
	atomic_store(&waits_entered, 0);
}

static void send_part(const struct pdu *call, const uint8_t *data, size_t size,
		      unsigned int n, int flags)
{
	struct pdu p = *call;
	size_t left = size - n * BODY;

	p.bytes[2] |= FRAG | flags;
	if (left <= BODY)
		p.bytes[2] |= LAST_FRAG;
	pdu_body(&p, data + n * BODY, left < BODY ? left : BODY);
	pdu_set_frag(&p, n);
	pdu_set_serial(&p, n + 7);
	send_to_server(&p);
}

/* All of an answer of @size bytes, with facks; each fragment once. */
static bool take_answer(const struct pdu *call, size_t size, unsigned int seed)
{
	unsigned int count = (unsigned int)((size + BODY - 1) / BODY), n,
		     next = 0;
	uint8_t *got = malloc(size);
	struct pdu p, fack;
	bool good = true;

	while (good && next < count && pdu_receive(fd, &p, PATIENCE)) {
		if (pdu_type(&p) != RESPONSE)
			continue;
		n = pdu_frag(&p);
		good = n == next && pdu_flags(&p) & FRAG &&
		       !!(pdu_flags(&p) & LAST_FRAG) == (n == count - 1) &&
		       p.size <= 1464;
		if (!good)
			break;
		memcpy(got + n * BODY, p.bytes + HEADER, pdu_length(&p));
		next++;
		if (pdu_flags(&p) & NO_FACK)
			continue;
		fack = pdu_fack(call, boot, (int)n, 45, pdu_serial(&p), 0);
		send_to_server(&fack);
	}
	send_bare(call, ACK);
	good = good && next == count && is_filled(got, size, seed);
	free(got);
	return good;
}

static uint8_t big[200000];

static void test_fragments(void)
{
	struct pdu call = pdu_call(5, 3, OP_ECHO, 0), p;
	unsigned int n, count = (sizeof(big) + BODY - 1) / BODY;

	new_client();
	fill(big, sizeof(big), 9);
	send_part(&call, big, sizeof(big), 0, NO_FACK);
	await(&p, REQUEST);
	say_who(&p, 3, 0);
	send_part(&call, big, sizeof(big), 2, NO_FACK);
	send_part(&call, big, sizeof(big), 4, 0);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == FACK &&
		   pdu_frag(&p) == 0 && get16(p.bytes + HEADER + 12) == 11 &&
		   get16(p.bytes + HEADER + 14) == 1 &&
		   get32(p.bytes + HEADER + 16) == 0xa,
	   "a fack tells what has come, and what is missing");
	send_bare(&call, PING);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == NOCALL,
	   "a call that has not all come is none yet");
	for (n = 1; n < count; n++) {
		send_part(&call, big, sizeof(big), n, n % 8 ? NO_FACK : 0);
		if (n != count - 1)
			send_part(&call, big, sizeof(big), n, NO_FACK);
		while (n % 8 == 0 && n != count - 1 && await(&p, FACK))
			if (pdu_frag(&p) >= n)
				break;
	}
	ok(take_answer(&call, sizeof(big), 9),
	   "200 KB go there and back in fragments");
	ok(nothing_comes(), "and nothing is sent after the acknowledgement");
}

static void test_unproven(void)
{
	struct pdu call = pdu_call(6, 0, OP_BIG, IDEMPOTENT), p;
	uint8_t body[4];
	unsigned int n;

	new_client();
	put32(body, 100000);
	pdu_body(&call, body, sizeof(body));
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && is_question(&p, &call) &&
		   nothing_comes(),
	   "nothing big goes to who has not shown to be there");
	say_who(&p, 0, 0);
	ok(take_answer(&call, 100000, 100000), "then it does");

	new_client();
	call = pdu_call(7, 0, OP_ECHO, 0);
	for (n = 0; n < 40; n++)
		send_part(&call, big, sizeof(big), n, NO_FACK);
	send_part(&call, big, sizeof(big), 31, 0);
	ok(await(&p, FACK) && pdu_frag(&p) == 31,
	   "nor is more than a window kept from there");
}

static bool is_cancel_ack(const struct pdu *p, uint32_t id, bool accepting)
{
	return pdu_type(p) == CANCEL_ACK && pdu_length(p) == 9 &&
	       get32(p->bytes + HEADER) == 0 &&
	       get32(p->bytes + HEADER + 4) == id &&
	       p->bytes[HEADER + 8] == accepting;
}

static void test_cancel(void)
{
	struct pdu call = pdu_call(8, 10, OP_ECHO, 0), other, p;

	new_client();
	make_call(&call, &p);
	call = pdu_call(8, 11, OP_IGNORE, 0);
	send_call(&call);
	while (!atomic_load(&waits_entered))
		pause_ms(1);
	other = pdu_call(8, 10, OP_ECHO, 0);
	send_cancel(&other, 1);
	other = pdu_call(8, 12, OP_ECHO, 0);
	send_cancel(&other, 1);
	other = pdu_call(9, 11, OP_ECHO, 0);
	send_cancel(&other, 1);
	ok(nothing_comes(), "a cancel of another call is not answered");
	send_cancel(&call, 1);
	ok(pdu_receive(fd, &p, PATIENCE) && is_cancel_ack(&p, 1, true),
	   "a cancel is acknowledged");
	send_cancel(&call, 1);
	ok(pdu_receive(fd, &p, PATIENCE) && is_cancel_ack(&p, 1, true),
	   "so is the same one again, as its acknowledgement was lost");
	send_cancel(&call, 4000000000u);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == CANCEL_ACK,
	   "so are very many");
	sem_post(&let_go);
	ok(await(&p, RESPONSE) && p.bytes[3] == CANCEL_PENDING,
	   "the answer tells of a cancel that the stub has not noticed");
	send_cancel(&call, 1);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == CANCEL_ACK &&
		   !p.bytes[HEADER + 8],
	   "then it is too late");
	send_bare(&call, ACK);

	call = pdu_call(8, 13, OP_WAIT, 0);
	send_call(&call);
	send_cancel(&call, 1);
	ok(await(&p, RESPONSE) && p.bytes[HEADER] == 1 && p.bytes[3] == 0,
	   "a stub that notices its cancel answers early");
	send_bare(&call, ACK);
	atomic_store(&waits_entered, 0);
}

static void test_early_cancel(void)
{
	struct pdu call = pdu_call(8, 20, OP_WAIT, 0), p;

	new_client();
	send_part(&call, big, 2 * BODY, 0, NO_FACK);
	await(&p, REQUEST);
	send_cancel(&call, 1);
	ok(pdu_receive(fd, &p, PATIENCE) && is_cancel_ack(&p, 1, true),
	   "a call may be cancelled before it has all come");
	send_part(&call, big, 2 * BODY, 1, 0);
	while (pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) != RESPONSE)
		if (pdu_type(&p) == REQUEST)
			say_who(&p, 20, 0);
	ok(pdu_type(&p) == RESPONSE && p.bytes[HEADER] == 1,
	   "and its stub finds that");
	send_bare(&call, ACK);
	atomic_store(&waits_entered, 0);
}

static void test_orphan(void)
{
	struct pdu call = pdu_call(10, 0, OP_WAIT, IDEMPOTENT), p;
	int before = atomic_load(&waits_cancelled);

	new_client();
	send_call(&call);
	while (!atomic_load(&waits_entered))
		pause_ms(1);
	send_bare(&call, CANCEL);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == CANCEL_ACK &&
		   pdu_length(&p) == 0,
	   "the end of the waiting is acknowledged");
	while (atomic_load(&waits_cancelled) == before)
		pause_ms(1);
	send_bare(&call, CANCEL);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == CANCEL_ACK,
	   "and again");
	ok(nothing_comes(), "the stub is cancelled, and nothing is answered");
	atomic_store(&waits_entered, 0);
}

static bool is_status(const struct pdu *p, int type, uint32_t status)
{
	return pdu_type(p) == type && pdu_length(p) == 4 &&
	       get32(p->bytes + HEADER) == status;
}

static void test_refusals(void)
{
	struct pdu call = pdu_call(11, 0, OP_ECHO, IDEMPOTENT), p;

	new_client();
	call.bytes[24]++;
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && is_status(&p, REJECT, 0x1c010003),
	   "an unknown interface is rejected");
	call = pdu_call(11, 1, OPS, IDEMPOTENT);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && is_status(&p, REJECT, 0x1c010002),
	   "so is an unknown operation");
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && is_status(&p, REJECT, 0x1c010002),
	   "as often as it is asked for");
	call = pdu_call(11, 2, OP_ECHO, IDEMPOTENT);
	put32(call.bytes + 56, boot + 1);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && is_status(&p, REJECT, 0x1c010006),
	   "and a call to another instance of the server");
	call = pdu_call(11, 3, OP_RAISE, IDEMPOTENT);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && is_status(&p, FAULT, 0x6f7),
	   "an exception of a stub is a fault");
	call = pdu_call(11, 4, OP_ECHO, IDEMPOTENT);
	call.bytes[78] = 10;
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == REJECT,
	   "authentication is refused");
	call = pdu_call(12, 4, OP_ECHO, 0);
	send_bare(&call, PING);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == NOCALL,
	   "a ping for a call that nobody knows: nocall");
}

static void test_questions(void)
{
	struct pdu call = pdu_call(13, 8, OP_ECHO, 0), p;
	int before = atomic_load(&echoes);
	unsigned int questions = 0;

	new_client();
	send_call(&call);
	await(&p, REQUEST);
	say_who(&p, 9, 0);
	ok(nothing_comes() && atomic_load(&echoes) == before,
	   "a call that its client does not make is not executed");
	call = pdu_call(13, 9, OP_ECHO, 0);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && pdu_type(&p) == RESPONSE,
	   "the one that it makes is");
	send_bare(&call, ACK);

	new_client();
	call = pdu_call(14, 0, OP_ECHO, 0);
	before = atomic_load(&echoes);
	send_call(&call);
	await(&p, REQUEST);
	say_who(&p, 0, 0x1c010009);
	ok(await(&p, REJECT) && atomic_load(&echoes) == before,
	   "nor is one that another instance may have executed");

	new_client();
	call = pdu_call(15, 0, OP_ECHO, 0);
	send_call(&call);
	while (pdu_receive(fd, &p, 2 * LAST_INTERVAL))
		questions += is_question(&p, &call);
	ok(questions == 2 && atomic_load(&echoes) == before,
	   "nor one whose client does not answer when asked twice");
	send_call(&call);
	await(&p, REQUEST);
	send_call(&call);
	ok(await(&p, REQUEST), "who calls again is asked again");
	say_who(&p, 0, 0);
	ok(await(&p, RESPONSE), "and may answer then");
	send_bare(&call, ACK);
}

static void test_maybe(void)
{
	struct pdu call = pdu_call(16, 0, OP_ECHO, MAYBE), p;
	int before = atomic_load(&echoes);

	new_client();
	send_call(&call);
	while (atomic_load(&echoes) == before)
		pause_ms(1);
	ok(nothing_comes(), "a maybe call is executed and not answered");
	call = pdu_call(16, 1, OPS, MAYBE);
	send_call(&call);
	ok(nothing_comes(), "not even when it cannot be executed");
	call = pdu_call(16, 2, OP_ECHO, IDEMPOTENT);
	ok(make_call(&call, &p), "other calls of the activity are");
}

static void test_garbage(void)
{
	struct pdu call = pdu_call(17, 0, OP_ECHO, 0), p;
	uint64_t random = 815;
	unsigned int i, j;

	new_client();
	ok(make_call(&call, &p), "a call before all kinds of packets");
	for (i = 0; i < 20000; i++) {
		p = pdu_call((uint8_t)(i % 50), i % 7, OP_ECHO, 0);
		p.size = HEADER + 40;
		for (j = 0; j < 40; j++) {
			random = random * 6364136223846793005u + 1;
			p.bytes[HEADER + j] = (uint8_t)(random >> 40);
		}
		p.bytes[1] = (uint8_t)(random >> 33) % 16;
		p.bytes[2] = (uint8_t)(random >> 41);
		put16(p.bytes + 74, (random >> 49) % 48);
		put16(p.bytes + 76, (random >> 20) % 40);
		if (i % 5 == 0)
			p.size = random % (HEADER + 40);
		send_to_server(&p);
	}
	new_client();
	call = pdu_call(200, 1, OP_ECHO, 0);
	ok(make_call(&call, &p), "and one after them");
	while (!sem_trywait(&let_go))
		;
	atomic_store(&waits_entered, 0);
}

static void set_connections(uint32_t connections)
{
	struct rpccancel_server_limits limits = {
		.size = sizeof(limits),
		.connections = connections,
	};

	rpccancel_server_set_limits(&limits);
}

static void test_bounds(void)
{
	struct pdu call, p;
	uint8_t i;
	bool good = true;

	new_client();
	call = pdu_call(210, 0, OP_ECHO, 0);
	make_call(&call, &p);
	set_connections(4);
	for (i = 211; i < 231; i++) {
		call = pdu_call(i, 0, OP_ECHO, IDEMPOTENT);
		good = good && make_call(&call, &p);
	}
	ok(good, "more clients are served than are remembered");
	call = pdu_call(210, 1, OP_ECHO, 0);
	send_call(&call);
	ok(pdu_receive(fd, &p, PATIENCE) && is_question(&p, &call),
	   "one that was forgotten is asked again");
	say_who(&p, 1, 0);
	ok(await(&p, RESPONSE), "and served");
	send_bare(&call, ACK);
	set_connections(16384);
}

/*
 * A socket that fails, as in want of memory: whatever is asked of it is asked of
 * something else, which is no socket. See the Makefile.
 */

static atomic_bool broken;
static atomic_int attempts, logged[RPCCANCEL_LOG_DEBUG + 1];

void __real_rpcc_io_recvmsg(struct rpcc_io *io, struct rpcc_io_req *req,
			    int sock, struct msghdr *msg);
void __wrap_rpcc_io_recvmsg(struct rpcc_io *io, struct rpcc_io_req *req,
			    int sock, struct msghdr *msg);

void __wrap_rpcc_io_recvmsg(struct rpcc_io *io, struct rpcc_io_req *req,
			    int sock, struct msghdr *msg)
{
	static int no_socket = -1;

	if (atomic_load(&broken)) {
		atomic_fetch_add(&attempts, 1);
		if (no_socket < 0)
			no_socket = open("/dev/null", O_RDWR | O_CLOEXEC);
		sock = no_socket;
	}
	__real_rpcc_io_recvmsg(io, req, sock, msg);
}

static void count_log(void *context, int level, const char *message)
{
	(void)context;
	if (strstr(message, "receive"))
		atomic_fetch_add(&logged[level], 1);
}

static void test_errors(void)
{
	struct pdu call = pdu_call(90, 0, OP_ECHO, IDEMPOTENT), p;
	uint64_t since;
	int before, i;

	new_client();
	rpccancel_set_log(count_log, NULL);
	atomic_store(&broken, true);
	send_bare(&call, PING);
	for (i = 0; i < PATIENCE && !atomic_load(&logged[RPCCANCEL_LOG_ERROR]);
	     i++)
		pause_ms(1);
	ok(i < PATIENCE, "that a socket fails is logged");
	since = now_ms();
	before = atomic_load(&attempts);
	pause_ms(550);
	i = atomic_load(&attempts) - before;
	ok(i > 0 && (uint64_t)i <= (now_ms() - since) / 100 + 1,
	   "it is tried %d times, ten times a second at most", i);
	is(atomic_load(&logged[RPCCANCEL_LOG_ERROR]), 1, "not logged again");
	new_client(); /* the old one has an answer to its ping */
	atomic_store(&broken, false);
	ok(make_call(&call, &p), "and used when it works again");
	is(atomic_load(&logged[RPCCANCEL_LOG_INFO]), 1, "which is logged");
	rpccancel_set_log(NULL, NULL);
}

/*
 * Our own client.
 */

static RPC_BINDING_HANDLE bind_at(const char *address, uint16_t port)
{
	RPC_BINDING_HANDLE binding = NULL;
	char text[64];

	snprintf(text, sizeof(text), "ncadg_ip_udp:%s[%u]", address, port);
	RpcBindingFromStringBinding((RPC_CSTR)text, &binding);
	RpcMgmtSetComTimeout(binding, 7);
	return binding;
}

static RPC_BINDING_HANDLE bind_to(uint16_t port)
{
	return bind_at("127.0.0.1", port);
}

static RPC_STATUS call_server(RPC_BINDING_HANDLE binding, unsigned int opnum,
			      const void *in, unsigned int in_size, void *out,
			      unsigned int *out_size)
{
	RPC_MESSAGE message = {
		.Handle = binding,
		.ProcNum = opnum,
		.BufferLength = in_size,
		.RpcInterfaceInformation = &client_interface,
	};
	RPC_STATUS status = I_RpcGetBuffer(&message);

	if (status != RPC_S_OK)
		return status;
	memcpy(message.Buffer, in, in_size);
	status = I_RpcSendReceive(&message);
	if (status == RPC_S_OK) {
		if (message.BufferLength < *out_size)
			*out_size = message.BufferLength;
		memcpy(out, message.Buffer, *out_size);
	}
	I_RpcFreeBuffer(&message);
	return status;
}

static RPC_BINDING_HANDLE shared;
static atomic_int wrong;

static void *make_calls(void *arg)
{
	unsigned int first = (unsigned int)(uintptr_t)arg * CALLS, i, size;
	uint8_t in[4], out[8];
	RPC_STATUS status;

	for (i = first; i < first + CALLS; i++) {
		put32(in, i);
		size = sizeof(out);
		status = call_server(shared, OP_COUNT, in, 4, out, &size);
		if (status || size != 8 || get32(out) != i ||
		    get32(out + 4) != 1) {
			printf("# call %u: status %d\n", i, status);
			atomic_fetch_add(&wrong, 1);
		}
	}
	return NULL;
}

static void count_executions(void)
{
	unsigned int i, once = 0;

	for (i = 0; i < MAX_KEYS; i++)
		once += atomic_load(&executed[i]) == 1;
	is(once, MAX_KEYS, "each call is executed exactly once");
	is(atomic_load(&wrong), 0, "and has its own answer");
}

static void test_bad_network(void)
{
	pthread_t threads[THREADS], proxy_thread;
	static struct proxy proxy;
	unsigned int i, size = sizeof(big);
	static uint8_t back[sizeof(big)];
	RPC_STATUS status;

	for (i = 0; i < MAX_KEYS; i++)
		atomic_store(&executed[i], 0);
	proxy_init(&proxy, server_port, 10);
	pthread_create(&proxy_thread, NULL, proxy_run, &proxy);
	shared = bind_to(proxy.port);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, make_calls,
			       (void *)(uintptr_t)i);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	count_executions();

	fill(big, sizeof(big), 77);
	status = call_server(shared, OP_ECHO, big, sizeof(big), back, &size);
	ok(status == RPC_S_OK && size == sizeof(big) &&
		   is_filled(back, sizeof(big), 77),
	   "200 KB go there and back");
	RpcBindingFree(&shared);
	close(proxy.stop[1]);
	pthread_join(proxy_thread, NULL);
	close(proxy.stop[0]);
	ok(proxy.lost && proxy.doubled && proxy.reordered,
	   "over a network that loses, doubles and reorders packets");
	printf("# %u packets: %u lost, %u doubled, %u reordered\n",
	       proxy.packets, proxy.lost, proxy.doubled, proxy.reordered);
}

static void test_own_client(void)
{
	static uint8_t huge[(4 << 20) + 1];
	RPC_BINDING_HANDLE binding = bind_to(server_port);
	unsigned int size = 16;
	uint8_t out[16];

	is(call_server(binding, OP_ECHO, "abc", 3, out, &size), RPC_S_OK,
	   "our client calls our server");
	ok(size == 3 && !memcmp(out, "abc", 3), "and gets its answer");
	is(call_server(binding, OP_RAISE, "", 0, out, &size),
	   RPC_X_BAD_STUB_DATA, "an exception travels");
	is(call_server(binding, OPS, "", 0, out, &size),
	   RPC_S_PROCNUM_OUT_OF_RANGE, "an unknown operation is told apart");
	is(call_server(binding, OP_ECHO, huge, sizeof(huge), out, &size),
	   RPC_S_ACCESS_DENIED, "a request beyond the limit is refused");
	RpcBindingFree(&binding);

	binding = bind_at("127.0.0.2", server_port);
	is(call_server(binding, OP_ECHO, "", 0, out, &size), RPC_S_OK,
	   "the answer comes from the address that was called");
	RpcBindingFree(&binding);
	binding = bind_at("::1", server_port);
	is(call_server(binding, OP_ECHO, "", 0, out, &size), RPC_S_OK,
	   "over IPv6 too");
	RpcBindingFree(&binding);
}

/*
 * A thread whose call is cancelled by another one.
 */

struct cancelled_call {
	pthread_t thread;
	sem_t ready;
	void *handle;
	RPC_BINDING_HANDLE binding;
	unsigned int opnum;
	RPC_STATUS status;
	uint8_t out[16];
	RPC_STATUS next_status;
};

static void *make_cancelled_call(void *arg)
{
	struct cancelled_call *c = arg;
	unsigned int size = 1;

	rpccancel_thread_self(THREAD_SET_CONTEXT, &c->handle);
	sem_post(&c->ready);
	c->status = call_server(c->binding, c->opnum, "", 0, c->out, &size);
	size = sizeof(c->out);
	c->next_status =
		call_server(c->binding, OP_ECHO, "next", 4, c->out + 1, &size);
	return NULL;
}

static void cancel_call(struct cancelled_call *c, unsigned int opnum,
			long timeout)
{
	memset(c, 0, sizeof(*c));
	sem_init(&c->ready, 0, 0);
	c->binding = bind_to(server_port);
	c->opnum = opnum;
	pthread_create(&c->thread, NULL, make_cancelled_call, c);
	sem_wait(&c->ready);
	while (!atomic_load(&waits_entered))
		pause_ms(1);
	is(RpcCancelThreadEx(c->handle, timeout), RPC_S_OK,
	   "a thread in a call is cancelled");
	pthread_join(c->thread, NULL);
	rpccancel_thread_close(c->handle);
	RpcBindingFree(&c->binding);
	atomic_store(&waits_entered, 0);
}

static void test_own_cancel(void)
{
	struct cancelled_call c;
	uint64_t since;

	cancel_call(&c, OP_WAIT, RPC_C_CANCEL_INFINITE_TIMEOUT);
	ok(c.status == RPC_S_OK && c.out[0] == 1,
	   "the server's stub sees it, and its answer arrives");
	is(c.next_status, RPC_S_OK, "the next call of the thread is none's");
	since = now_ms();
	cancel_call(&c, OP_IGNORE, 1);
	is(c.status, RPC_S_CALL_CANCELLED,
	   "a stub that does not see it is left alone");
	ok(now_ms() - since >= 900, "after the time it was given");
	is(c.next_status, RPC_S_OK, "and the next call is not disturbed");
	sem_post(&let_go);
}

/*
 * A server that is started anew, at the same port.
 */

static pid_t serve_in_child(const char *port)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		RpcServerUseProtseqEp((RPC_CSTR) "ncadg_ip_udp", 10,
				      (RPC_CSTR)port, NULL);
		RpcServerRegisterIf(&server_interface, NULL, NULL);
		RpcServerListen(1, 10, 1);
		close(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1))
		pid = -1;
	close(ready[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_restart(void)
{
	uint8_t out[16];
	unsigned int size = sizeof(out);
	RPC_BINDING_HANDLE binding;
	uint16_t port;
	char text[8];
	pid_t pid;

	close(udp_socket(&port));
	snprintf(text, sizeof(text), "%u", port);
	binding = bind_to(port);
	pid = serve_in_child(text);
	is(call_server(binding, OP_ECHO, "", 0, out, &size), RPC_S_OK,
	   "a server is called");
	end_child(pid);
	pid = serve_in_child(text);
	is(call_server(binding, OP_ECHO, "", 0, out, &size),
	   RPC_S_CALL_FAILED_DNE,
	   "after its restart the next call fails, and was not executed");
	is(call_server(binding, OP_ECHO, "", 0, out, &size), RPC_S_OK,
	   "the one after that succeeds");
	end_child(pid);
	is(call_server(binding, OP_ECHO, "", 0, out, &size),
	   RPC_S_SERVER_UNAVAILABLE, "without a server none does");
	RpcBindingFree(&binding);
}

static bool begin(void)
{
	printf("# engine: %s\n", rpccancel_engine_name());
	server_interface.TransferSyntax = rpcc_ndr_syntax;
	client_interface.TransferSyntax = rpcc_ndr_syntax;
	return ok(start_server(), "a server listens on UDP");
}

static void end(void)
{
	is(RpcMgmtStopServerListening(NULL), RPC_S_OK, "the server stops");
	is(RpcMgmtWaitServerListen(), RPC_S_OK, "and ends");
}

static void scripted_clients(void)
{
	if (!begin())
		return;
	test_first_call();
	test_duplicates();
	test_next_call_orphans();
	test_fragments();
	test_unproven();
	test_cancel();
	test_early_cancel();
	test_orphan();
	test_refusals();
	test_questions();
	test_maybe();
	test_garbage();
	test_bounds();
	test_errors();
	close(fd);
	end();
}

static void own_client(void)
{
	if (!begin())
		return;
	test_own_client();
	test_own_cancel();
	end();
	test_restart(); /* of servers that are children of one */
}

static void bad_network(void)
{
	if (!begin())
		return;
	test_bad_network();
	end();
}

int main(void)
{
	static void (*const parts[])(void) = { scripted_clients, own_client,
					       bad_network };

	return both_engines(parts, 3);
}
