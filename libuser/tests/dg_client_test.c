// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The client of the connectionless protocol, against scripted servers: each
 * case is a call in one thread and a script on a raw socket in another.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "dg/dg_timers.h"
#include "internal.h"
#include "rpc/client.h"
#include "transport/protseq.h"
#include "wire/cn_pdu.h"

#include "dg_peer.h"

#define BOOT 0x11223344u

/*
 * The binding goes to a port of this machine that the test knows.
 */

static uint16_t server_port, dead_port;
static bool dead_first;

static int open_udp(const struct rpcc_address *to)
{
	return socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static void set_address(struct rpcc_address *address, uint16_t port)
{
	memset(address, 0, sizeof(*address));
	address->len = sizeof(address->ip4);
	address->ip4.sin_family = AF_INET;
	address->ip4.sin_port = htons(port);
	address->ip4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static RPC_STATUS resolve(const char *address, const char *endpoint,
			  struct rpcc_address *list, size_t *count)
{
	(void)address;
	(void)endpoint;
	*count = 0;
	if (dead_first)
		set_address(&list[(*count)++], dead_port);
	set_address(&list[(*count)++], server_port);
	return RPC_S_OK;
}

static const struct rpcc_protseq protseq = {
	.name = "ncadg_ip_udp",
	.protocol = RPCC_DG,
	.open = open_udp,
	.resolve = resolve,
};

static RPC_CLIENT_INTERFACE interface = {
	.Length = sizeof(interface),
	.InterfaceId = { { 0x12345678,
			   0x1234,
			   0xabcd,
			   { 0xef, 0, 1, 0x23, 0x45, 0x67, 0x89, 0xab } },
			 { 1, 0 } },
};

static struct rpcc_binding binding = {
	.magic = RPCC_BINDING_MAGIC,
	.protseq = &protseq,
	.address = (char *)"127.0.0.1",
	.endpoint = (char *)"0",
};

/*
 * The driver: what rpc/client.c does, as far as it is needed here.
 */

static struct rpcc_io *io;

static RPC_STATUS call_begin(struct rpcc_client_call *call, uint32_t flags,
			     const uint8_t *request, uint32_t length)
{
	memset(call, 0, sizeof(*call));
	call->binding = &binding;
	call->io = io;
	call->interface = &interface;
	call->request = request;
	call->request_length = length;
	call->opnum = 7;
	call->flags = flags;
	call->com_timeout = 5;
	call->timer = RPCCANCEL_INFINITE;
	call->status = rpcc_dg_client.prepare(call);
	call->done = call->status != RPC_S_OK;
	return call->status;
}

/* Until the call is done, or until @ms have passed. */
static void drive_for(struct rpcc_client_call *call, uint64_t ms)
{
	uint64_t end = rpcc_now() + ms * 1000000, now, until;

	while (!call->done) {
		until = call->timer < end ? call->timer : end;
		rpcc_io_wait(io, until);
		now = rpcc_now();
		if (!call->done && now >= call->timer)
			rpcc_dg_client.timer(call, now);
		if (now >= end)
			break;
	}
}

static void drive(struct rpcc_client_call *call)
{
	rpcc_dg_client.start(call);
	drive_for(call, PATIENCE * 2);
}

static void call_free(struct rpcc_client_call *call)
{
	free(call->reply_block);
}

/*
 * Scripts.
 */

static int server_fd;
static pthread_t script_thread;

static void script_start(void *(*script)(void *))
{
	pthread_create(&script_thread, NULL, script, NULL);
}

/* Whether everything went as the script wanted. */
static bool script_end(void)
{
	void *result;

	pthread_join(script_thread, &result);
	return !result;
}

#define FAIL ((void *)(intptr_t)__LINE__)
#define EXPECT(what)                                                    \
	do {                                                            \
		if (!(what)) {                                          \
			printf("# line %d: not " #what "\n", __LINE__); \
			return FAIL;                                    \
		}                                                       \
	} while (0)

static void answer(const struct pdu *request, const void *body, size_t length)
{
	struct pdu p = pdu_for(request, RESPONSE, 0, BOOT);

	pdu_body(&p, body, length);
	pdu_send(server_fd, &p);
}

static void new_server(void)
{
	rpcc_dg_client.release(&binding);
	if (server_fd)
		close(server_fd);
	server_fd = udp_socket(&server_port);
}

/* The first call of a new server, from its begin to its end. */
static void make_call(struct rpcc_client_call *call, void *(*script)(void *),
		      uint32_t flags, const uint8_t *request, uint32_t length)
{
	new_server();
	script_start(script);
	call_begin(call, flags, request, length);
	drive(call);
}

/*
 * Cases.
 */

static struct pdu first_request, second_request;

static void *serve_null(void *arg)
{
	struct pdu p;

	(void)arg;
	EXPECT(pdu_await(server_fd, &first_request, REQUEST, PATIENCE));
	answer(&first_request, "out", 3);
	EXPECT(pdu_receive(server_fd, &p, PATIENCE));
	EXPECT(pdu_type(&p) == ACK);
	EXPECT(p.size == HEADER && pdu_seq(&p) == pdu_seq(&first_request));
	EXPECT(pdu_receive(server_fd, &second_request, PATIENCE));
	answer(&second_request, "", 0);
	return NULL;
}

static void check_first_request(void)
{
	static const uint8_t nothing[16];
	const uint8_t *b = first_request.bytes;

	is(first_request.size, HEADER + 2, "a request is header and stub data");
	ok(b[0] == 4 && b[1] == 0 && b[2] == 0 && b[3] == 0 && b[4] == 0x10 &&
		   b[5] == 0 && b[6] == 0,
	   "it says version, type, no flags, and little-endian");
	ok(!memcmp(b + 8, nothing, 16), "it has no object");
	ok(!memcmp(b + 24, test_interface, 16) && get32(b + 60) == 1,
	   "it names the interface and its version");
	ok(memcmp(b + 40, nothing, 16), "it has an activity");
	is(get32(b + 56), 0, "it knows no boot time yet");
	is(pdu_opnum(&first_request), 7, "it names the operation");
	ok(get16(b + 70) == 0xffff && get16(b + 72) == 0xffff,
	   "it has no hints");
	ok(!memcmp(b + HEADER, "in", 2), "it carries the stub data");
}

static void test_null(void)
{
	struct rpcc_client_call call;

	make_call(&call, serve_null, 0, (const uint8_t *)"in", 2);
	is(call.status, RPC_S_OK, "a call succeeds");
	ok(call.reply_length == 3 && !memcmp(call.reply, "out", 3),
	   "it has the answer");
	is(call.reply_drep, 0x10, "and the server's data representation");
	call_free(&call);

	call_begin(&call, RPC_NCA_FLAGS_IDEMPOTENT, NULL, 0);
	drive(&call);
	ok(call.status == RPC_S_OK && !call.reply_length && call.reply,
	   "an empty one succeeds too");
	call_free(&call);
	ok(script_end(), "the answer of a non-idempotent call is acknowledged");
	check_first_request();
	ok(!memcmp(pdu_activity(&first_request), pdu_activity(&second_request),
		   16) &&
		   pdu_seq(&second_request) == pdu_seq(&first_request) + 1,
	   "the next call goes on in the same activity");
	is(pdu_boot(&second_request), BOOT, "and knows the server's boot time");
	is(pdu_flags(&second_request), IDEMPOTENT,
	   "an idempotent call says so");
}

static void *serve_late(void *arg)
{
	struct pdu a, b;
	uint64_t since;

	(void)arg;
	EXPECT(pdu_await(server_fd, &a, REQUEST, PATIENCE));
	since = now_ms();
	EXPECT(pdu_receive(server_fd, &b, PATIENCE));
	EXPECT(now_ms() - since >= 1900);
	EXPECT(pdu_type(&b) == REQUEST && pdu_seq(&a) == pdu_seq(&b));
	EXPECT(pdu_serial(&b) == pdu_serial(&a) + 1);
	b = pdu_for(&a, WORKING, 0, BOOT);
	pdu_send(server_fd, &b);
	since = now_ms();
	EXPECT(pdu_receive(server_fd, &b, PATIENCE));
	EXPECT(pdu_type(&b) == PING && now_ms() - since >= 1900);
	answer(&a, "x", 1);
	EXPECT(pdu_await(server_fd, &b, ACK, PATIENCE));
	return NULL;
}

static void test_patience(void)
{
	struct rpcc_client_call call;

	make_call(&call, serve_late, 0, NULL, 0);
	is(call.status, RPC_S_OK, "a call waits for a slow server");
	call_free(&call);
	ok(script_end(), "a request is sent again, until the server works on "
			 "it; then it is pinged");
}

static uint8_t big[200000];

/* Everything of @total bytes, and one fragment only the second time. */
static void *take_big(void *arg)
{
	static uint8_t got[sizeof(big)];
	static bool have[sizeof(big) / BODY + 2];
	unsigned int count = (sizeof(big) + BODY - 1) / BODY, next = 0, n = 0;
	unsigned int again = 0, beyond;
	struct pdu p, fack, request;
	uint32_t mask;
	bool lost = false;

	(void)arg;
	while (next < count) {
		EXPECT(pdu_await(server_fd, &p, REQUEST, PATIENCE));
		n = pdu_frag(&p);
		EXPECT(p.size <= 1464 && n < count);
		EXPECT(pdu_flags(&p) & FRAG);
		EXPECT(!!(pdu_flags(&p) & LAST_FRAG) == (n == count - 1));
		EXPECT(n < next + 32);
		request = p;
		if (n == 5 && !lost) {
			lost = true;
			continue;
		}
		again += have[n];
		have[n] = true;
		memcpy(got + n * BODY, p.bytes + HEADER, pdu_length(&p));
		while (have[next])
			next++;
		mask = 0;
		for (beyond = 0; beyond < 32 && next + beyond < count; beyond++)
			mask |= (uint32_t)have[next + beyond] << beyond;
		if (pdu_flags(&p) & NO_FACK)
			continue;
		fack = pdu_fack(&p, BOOT, (int)next - 1, 45, pdu_serial(&p),
				mask);
		pdu_send(server_fd, &fack);
	}
	EXPECT(!memcmp(got, big, sizeof(big)));
	EXPECT(again == 0);
	answer(&request, "all", 3);
	EXPECT(pdu_await(server_fd, &p, ACK, PATIENCE));
	return NULL;
}

static void test_big_request(void)
{
	struct rpcc_client_call call;
	uint64_t since = now_ms();

	new_server();
	fill(big, sizeof(big), 1);
	script_start(take_big);
	call_begin(&call, 0, big, sizeof(big));
	drive(&call);
	is(call.status, RPC_S_OK, "a request of 200 KB is sent in fragments");
	call_free(&call);
	ok(script_end(), "and only what was lost is sent again");
	ok(now_ms() - since < 1500, "at once, not after a time-out");
}

static void send_part(const struct pdu *request, unsigned int n,
		      unsigned int count, int flags)
{
	struct pdu p = pdu_for(request, RESPONSE, FRAG | flags, BOOT);
	size_t left = sizeof(big) - n * BODY;

	if (n == count - 1)
		p.bytes[2] |= LAST_FRAG;
	pdu_body(&p, big + n * BODY, left < BODY ? left : BODY);
	pdu_set_frag(&p, n);
	pdu_set_serial(&p, n + 100);
	pdu_send(server_fd, &p);
}

/* In pairs the wrong way round, one twice, and one late. */
static void *give_big(void *arg)
{
	unsigned int count = (sizeof(big) + BODY - 1) / BODY, i;
	struct pdu request, p;

	(void)arg;
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	for (i = 0; i < 20; i += 2) {
		send_part(&request, i + 1, count, NO_FACK);
		if (i != 10)
			send_part(&request, i, count, NO_FACK);
	}
	send_part(&request, 3, count, 0);
	EXPECT(pdu_receive(server_fd, &p, PATIENCE));
	EXPECT(pdu_type(&p) == FACK && pdu_frag(&p) == 9);
	EXPECT(pdu_length(&p) == 20 && p.bytes[HEADER] == 1);
	EXPECT(get16(p.bytes + HEADER + 2) > 0);
	EXPECT(get32(p.bytes + HEADER + 4) == 1464);
	EXPECT(get32(p.bytes + HEADER + 8) == 1464);
	EXPECT(get16(p.bytes + HEADER + 12) == 103);
	EXPECT(get16(p.bytes + HEADER + 14) == 1);
	EXPECT(get32(p.bytes + HEADER + 16) == 0x3fe);
	send_part(&request, 10, count, 0);
	EXPECT(pdu_receive(server_fd, &p, PATIENCE));
	EXPECT(pdu_type(&p) == FACK && pdu_frag(&p) == 19);
	EXPECT(get16(p.bytes + HEADER + 14) == 0);
	for (; i < count; i++) {
		send_part(&request, i, count, i % 8 == 7 ? 0 : NO_FACK);
		if (i % 8 == 7 && i != count - 1)
			EXPECT(pdu_await(server_fd, &p, FACK, PATIENCE));
	}
	EXPECT(pdu_await(server_fd, &p, ACK, PATIENCE));
	return NULL;
}

static void test_big_response(void)
{
	struct rpcc_client_call call;

	new_server();
	fill(big, sizeof(big), 2);
	script_start(give_big);
	call_begin(&call, RPC_NCA_FLAGS_IDEMPOTENT, NULL, 0);
	drive(&call);
	is(call.status, RPC_S_OK, "an answer of 200 KB comes in fragments");
	ok(call.reply_length == sizeof(big) &&
		   is_filled(call.reply, sizeof(big), 2),
	   "doubled and reordered ones are put in order");
	call_free(&call);
	ok(script_end(), "facks tell what has come");
}

/* What the next script answers with. */
static int reply_type;
static uint32_t reply_status;

static void *serve_status(void *arg)
{
	struct pdu request, p;

	(void)arg;
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	p = pdu_status(&request, reply_type, BOOT, reply_status);
	pdu_send(server_fd, &p);
	return NULL;
}

static void check_status(int type, uint32_t nca, RPC_STATUS status,
			 const char *what)
{
	struct rpcc_client_call call;

	reply_type = type;
	reply_status = nca;
	script_start(serve_status);
	call_begin(&call, 0, NULL, 0);
	drive(&call);
	is(call.status, status, what);
	call_free(&call);
	script_end();
}

static void test_status(void)
{
	new_server();
	check_status(FAULT, 0x1c00000d, RPC_S_CALL_CANCELLED,
		     "the fault of a cancelled stub is its status");
	check_status(FAULT, 0x6f7, RPC_X_BAD_STUB_DATA,
		     "a fault with a Win32 code keeps it");
	check_status(REJECT, 0x1c010003, RPC_S_UNKNOWN_IF,
		     "a reject for an unknown interface says so");
	check_status(REJECT, 0x1c010014, RPC_S_SERVER_TOO_BUSY,
		     "so does one of a busy server");
	check_status(REJECT, 0x1c010006, RPC_S_CALL_FAILED_DNE,
		     "a restarted server has not executed what it rejects");
}

static struct pdu cancelled_request;
static pthread_barrier_t cancel_now;

/* The first acknowledgement is lost. */
static void *serve_cancel(void *arg)
{
	uint8_t body[9] = { 0, 0, 0, 0, 1, 0, 0, 0, 1 };
	struct pdu request, p;
	uint64_t since;

	(void)arg;
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	cancelled_request = request;
	pthread_barrier_wait(&cancel_now);
	EXPECT(pdu_await(server_fd, &p, CANCEL, PATIENCE));
	since = now_ms();
	EXPECT(pdu_length(&p) == 8 && !get32(p.bytes + HEADER));
	EXPECT(get32(p.bytes + HEADER + 4) == 1);
	EXPECT(pdu_seq(&p) == pdu_seq(&request));
	EXPECT(pdu_await(server_fd, &p, CANCEL, PATIENCE));
	EXPECT(now_ms() - since >= 900 && now_ms() - since < 1900);
	EXPECT(get32(p.bytes + HEADER + 4) == 1);
	p = pdu_for(&request, CANCEL_ACK, 0, BOOT);
	pdu_body(&p, body, sizeof(body));
	pdu_send(server_fd, &p);
	while (pdu_receive(server_fd, &p, 1500))
		EXPECT(pdu_type(&p) != CANCEL);
	p = pdu_for(&request, RESPONSE, 0, BOOT);
	p.bytes[3] = CANCEL_PENDING;
	pdu_send(server_fd, &p);
	EXPECT(pdu_await(server_fd, &p, ACK, PATIENCE));
	return NULL;
}

static void test_cancel(void)
{
	struct rpcc_client_call call;

	new_server();
	pthread_barrier_init(&cancel_now, NULL, 2);
	script_start(serve_cancel);
	call_begin(&call, 0, NULL, 0);
	rpcc_dg_client.start(&call);
	drive_for(&call, 1);
	pthread_barrier_wait(&cancel_now);
	rpcc_dg_client.cancel(&call);
	drive_for(&call, PATIENCE);
	is(call.status, RPC_S_OK, "a cancelled call waits for its answer");
	ok(call.cancel_unused, "and knows that the stub did not notice");
	call_free(&call);
	ok(script_end(),
	   "a cancel is sent again until it is acknowledged, then never");
}

static void *serve_pending_cancel(void *arg)
{
	uint8_t body[9] = { 0, 0, 0, 0, 1, 0, 0, 0, 1 };
	struct pdu request, p;

	(void)arg;
	EXPECT(pdu_receive(server_fd, &request, PATIENCE));
	EXPECT(pdu_type(&request) == REQUEST);
	EXPECT(pdu_receive(server_fd, &p, PATIENCE));
	EXPECT(pdu_type(&p) == CANCEL && pdu_length(&p) == 8);
	EXPECT(pdu_seq(&p) == pdu_seq(&request));
	p = pdu_for(&request, CANCEL_ACK, 0, BOOT);
	pdu_body(&p, body, sizeof(body));
	pdu_send(server_fd, &p);
	answer(&request, "", 0);
	EXPECT(pdu_await(server_fd, &p, ACK, PATIENCE));
	return NULL;
}

static void test_pending_cancel(void)
{
	struct rpcc_client_call call;

	new_server();
	script_start(serve_pending_cancel);
	call_begin(&call, 0, NULL, 0);
	rpcc_dg_client.start(&call);
	rpcc_dg_client.cancel(&call);
	drive_for(&call, PATIENCE);
	is(call.status, RPC_S_OK, "a call that begins cancelled is made");
	call_free(&call);
	ok(script_end(), "its cancel leaves after its request");
}

static void *serve_second(void *arg)
{
	struct pdu request;

	(void)arg;
	EXPECT(pdu_receive(server_fd, &request, PATIENCE));
	EXPECT(pdu_type(&request) == REQUEST && pdu_length(&request) == 6);
	answer(&request, "", 0);
	return NULL;
}

static void test_pending_abandon(void)
{
	struct rpcc_client_call call;

	new_server();
	script_start(serve_second);
	call_begin(&call, 0, (const uint8_t *)"first", 5);
	rpcc_dg_client.start(&call);
	rpcc_dg_client.abandon(&call, RPC_S_CALL_CANCELLED);
	is(call.status, RPC_S_CALL_CANCELLED,
	   "a call may be abandoned as it begins");
	call_free(&call);
	call_begin(&call, RPC_NCA_FLAGS_IDEMPOTENT, (const uint8_t *)"second",
		   6);
	drive(&call);
	is(call.status, RPC_S_OK, "the next one is made");
	call_free(&call);
	ok(script_end(), "and nothing of the first was sent");
}

static void *serve_abandon(void *arg)
{
	struct pdu request, p;

	(void)arg;
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	pthread_barrier_wait(&cancel_now);
	EXPECT(pdu_receive(server_fd, &p, PATIENCE));
	EXPECT(pdu_type(&p) == CANCEL && pdu_length(&p) == 0);
	EXPECT(pdu_seq(&p) == pdu_seq(&request));
	answer(&request, "late", 4);
	EXPECT(pdu_receive(server_fd, &p, PATIENCE));
	EXPECT(pdu_type(&p) == REQUEST);
	EXPECT(memcmp(pdu_activity(&p), pdu_activity(&request), 16));
	answer(&p, "new", 3);
	return NULL;
}

static void test_abandon(void)
{
	struct rpcc_client_call call;

	new_server();
	script_start(serve_abandon);
	call_begin(&call, 0, NULL, 0);
	rpcc_dg_client.start(&call);
	drive_for(&call, 1);
	pthread_barrier_wait(&cancel_now);
	rpcc_dg_client.abandon(&call, RPC_S_CALL_CANCELLED);
	ok(call.done && call.status == RPC_S_CALL_CANCELLED,
	   "an abandoned call ends at once");
	call_free(&call);
	call_begin(&call, 0, NULL, 0);
	drive(&call);
	ok(call.status == RPC_S_OK && call.reply_length == 3,
	   "the next one does not get its answer");
	call_free(&call);
	ok(script_end(),
	   "the server is told, and its activity is not used again");
}

/*
 * The caller goes on with its call until the script has come to a point, and
 * the script with its own until the caller lets it.
 */
static atomic_int reached, let_on;

static void reach(int point)
{
	atomic_store(&reached, point);
	while (atomic_load(&let_on) < point)
		usleep(1000);
}

static void drive_until_reached(struct rpcc_client_call *call, int point)
{
	while (!call->done && atomic_load(&reached) < point)
		drive_for(call, 5);
}

/* It takes the request in two, each part the second time; answers in two. */
static void *serve_slowly(void *arg)
{
	struct pdu first, request, p;

	(void)arg;
	EXPECT(pdu_await(server_fd, &first, REQUEST, PATIENCE));
	p = pdu_fack(&first, BOOT, -1, 45, pdu_serial(&first) + 1, 0);
	pdu_send(server_fd, &p);
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	reach(1);
	p = pdu_fack(&first, BOOT, 0, 45, pdu_serial(&first) + 2, 0);
	pdu_send(server_fd, &p);
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	reach(2);
	p = pdu_for(&request, WORKING, 0, BOOT);
	pdu_send(server_fd, &p);
	EXPECT(pdu_await(server_fd, &p, PING, PATIENCE));
	reach(3);
	p = pdu_for(&request, RESPONSE, FRAG, BOOT);
	pdu_send(server_fd, &p);
	EXPECT(pdu_await(server_fd, &p, FACK, PATIENCE));
	reach(4);
	p = pdu_for(&request, RESPONSE, FRAG | LAST_FRAG, BOOT);
	pdu_set_frag(&p, 1);
	pdu_send(server_fd, &p);
	return NULL;
}

/* RPC_C_OPT_CALL_TIMEOUT counts from what the driver is told of. */
static void test_progress(void)
{
	struct rpcc_client_call call;
	uint64_t before;

	new_server();
	fill(big, sizeof(big), 3);
	script_start(serve_slowly);
	call_begin(&call, RPC_NCA_FLAGS_IDEMPOTENT, big, 2 * BODY);
	rpcc_dg_client.start(&call);
	drive_until_reached(&call, 1);
	is(call.progress, 0, "a fack of nothing is no progress of a call");
	atomic_store(&let_on, 1);
	drive_until_reached(&call, 2);
	ok(call.progress, "a fack of a part of the request is");
	before = call.progress;
	atomic_store(&let_on, 2);
	drive_until_reached(&call, 3);
	ok(call.progress == before, "that the server works on it is none");
	atomic_store(&let_on, 3);
	drive_until_reached(&call, 4);
	ok(call.progress > before, "a part of the answer is");
	atomic_store(&let_on, 4);
	drive_for(&call, PATIENCE);
	is(call.status, RPC_S_OK, "and the rest is its end");
	call_free(&call);
	ok(script_end(), "all of which took place");
}

static void *serve_conv(void *arg)
{
	struct pdu request, ask, p;
	uint8_t body[20];

	(void)arg;
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	memcpy(body, pdu_activity(&request), 16);
	put32(body + 16, BOOT);
	ask = pdu_call(0x77, 5, 0, IDEMPOTENT);
	ask.from = request.from;
	memcpy(ask.bytes + 24, conv_interface, 16);
	put32(ask.bytes + 60, 3);
	pdu_body(&ask, body, sizeof(body));
	pdu_send(server_fd, &ask);
	EXPECT(pdu_await(server_fd, &p, RESPONSE, PATIENCE));
	EXPECT(!memcmp(pdu_activity(&p), pdu_activity(&ask), 16));
	EXPECT(pdu_seq(&p) == 5 && pdu_length(&p) == 8);
	EXPECT(get32(p.bytes + HEADER) == pdu_seq(&request));
	EXPECT(get32(p.bytes + HEADER + 4) == 0);

	put16(ask.bytes + 68, 1);
	pdu_send(server_fd, &ask);
	EXPECT(pdu_await(server_fd, &p, RESPONSE, PATIENCE));
	EXPECT(pdu_length(&p) == 24 && !get32(p.bytes + HEADER + 20));
	put16(ask.bytes + 68, 2);
	pdu_send(server_fd, &ask);
	EXPECT(pdu_await(server_fd, &p, RESPONSE, PATIENCE));
	EXPECT(pdu_length(&p) == 4 && !get32(p.bytes + HEADER));
	put16(ask.bytes + 68, 9);
	pdu_send(server_fd, &ask);
	EXPECT(pdu_await(server_fd, &p, REJECT, PATIENCE));
	EXPECT(get32(p.bytes + HEADER) == 0x1c010002);

	put16(ask.bytes + 68, 0);
	put32(ask.bytes + HEADER + 16, BOOT + 1);
	pdu_send(server_fd, &ask);
	EXPECT(pdu_await(server_fd, &p, RESPONSE, PATIENCE));
	EXPECT(get32(p.bytes + HEADER + 4) == 0x1c010009);
	put32(ask.bytes + HEADER + 16, BOOT);
	ask.bytes[HEADER]++;
	pdu_send(server_fd, &ask);
	EXPECT(pdu_await(server_fd, &p, RESPONSE, PATIENCE));
	EXPECT(get32(p.bytes + HEADER + 4) == 0x1c00000a);
	pdu_body(&ask, body, 19);
	pdu_send(server_fd, &ask);
	answer(&request, "", 0);
	EXPECT(pdu_await(server_fd, &p, ACK, PATIENCE));
	return NULL;
}

static void test_conv(void)
{
	struct rpcc_client_call call;

	make_call(&call, serve_conv, 0, NULL, 0);
	is(call.status, RPC_S_OK, "a server asks back during a call");
	call_free(&call);
	ok(script_end(), "who_are_you, who_are_you2 and are_you_there are "
			 "answered, and impostors told apart");
}

static void *serve_restart(void *arg)
{
	struct pdu a, b, p;

	(void)arg;
	EXPECT(pdu_await(server_fd, &a, REQUEST, PATIENCE));
	answer(&a, "", 0);
	EXPECT(pdu_await(server_fd, &a, REQUEST, PATIENCE));
	EXPECT(pdu_boot(&a) == BOOT);
	p = pdu_status(&a, REJECT, BOOT + 1, 0x1c010006);
	pdu_send(server_fd, &p);
	EXPECT(pdu_await(server_fd, &b, REQUEST, PATIENCE));
	EXPECT(pdu_boot(&b) == 0 && pdu_seq(&a) == pdu_seq(&b));
	p = pdu_for(&b, WORKING, 0, BOOT + 1);
	pdu_send(server_fd, &p);
	p = pdu_for(&b, NOCALL, 0, BOOT + 1);
	pdu_send(server_fd, &p);
	EXPECT(pdu_await(server_fd, &b, REQUEST, PATIENCE));
	p = pdu_for(&b, RESPONSE, 0, BOOT + 1);
	pdu_send(server_fd, &p);
	return NULL;
}

static void *forget_call(void *arg)
{
	struct pdu a, p;

	(void)arg;
	EXPECT(pdu_await(server_fd, &a, REQUEST, PATIENCE));
	p = pdu_for(&a, WORKING, 0, BOOT + 1);
	pdu_send(server_fd, &p);
	p = pdu_for(&a, NOCALL, 0, BOOT + 1);
	pdu_send(server_fd, &p);
	return NULL;
}

static void *change_boot(void *arg)
{
	struct pdu a, p;

	(void)arg;
	EXPECT(pdu_await(server_fd, &a, REQUEST, PATIENCE));
	p = pdu_for(&a, WORKING, 0, BOOT);
	pdu_send(server_fd, &p);
	p = pdu_for(&a, WORKING, 0, BOOT + 5);
	pdu_send(server_fd, &p);
	return NULL;
}

static void test_restart(void)
{
	struct rpcc_client_call call;

	make_call(&call, serve_restart, RPC_NCA_FLAGS_IDEMPOTENT, NULL, 0);
	call_free(&call);
	call_begin(&call, RPC_NCA_FLAGS_IDEMPOTENT, NULL, 0);
	drive(&call);
	is(call.status, RPC_S_OK,
	   "an idempotent call survives a restart and a "
	   "server that forgets");
	call_free(&call);
	ok(script_end(), "its request is sent anew");

	script_start(forget_call);
	call_begin(&call, 0, NULL, 0);
	drive(&call);
	is(call.status, RPC_S_CALL_FAILED,
	   "another one fails when the server has forgotten it");
	call_free(&call);
	script_end();
	script_start(change_boot);
	call_begin(&call, 0, NULL, 0);
	drive(&call);
	is(call.status, RPC_S_CALL_FAILED,
	   "and when the server is another one");
	call_free(&call);
	script_end();
}

static void *say_working(void *arg)
{
	struct pdu a, p;

	(void)arg;
	EXPECT(pdu_await(server_fd, &a, REQUEST, PATIENCE));
	p = pdu_for(&a, WORKING, 0, BOOT);
	pdu_send(server_fd, &p);
	return NULL;
}

static void test_unreachable(void)
{
	struct rpcc_client_call call;
	uint64_t since;
	int fd = udp_socket(&dead_port);

	close(fd);
	new_server();
	server_port = dead_port;
	since = now_ms();
	call_begin(&call, 0, NULL, 0);
	drive(&call);
	is(call.status, RPC_S_SERVER_UNAVAILABLE, "nobody listens");
	ok(now_ms() - since < 1000, "which is known at once");
	call_free(&call);

	new_server();
	since = now_ms();
	call_begin(&call, 0, NULL, 0);
	call.com_timeout = 0;
	drive(&call);
	is(call.status, RPC_S_SERVER_UNAVAILABLE,
	   "a server that says nothing is unavailable");
	ok(now_ms() - since >= 900, "after RpcMgmtSetComTimeout()'s time");
	call_free(&call);

	new_server();
	script_start(say_working);
	call_begin(&call, 0, NULL, 0);
	call.com_timeout = 0;
	drive(&call);
	is(call.status, RPC_S_CALL_FAILED,
	   "one that says no more has failed the call");
	call_free(&call);
	script_end();

	new_server();
	dead_first = true;
	script_start(serve_null);
	call_begin(&call, 0, (const uint8_t *)"in", 2);
	drive(&call);
	is(call.status, RPC_S_OK,
	   "where nobody listens, the next address is "
	   "tried");
	call_free(&call);
	dead_first = false;
	server_port = dead_port;
	call_begin(&call, RPC_NCA_FLAGS_IDEMPOTENT, NULL, 0);
	drive(&call);
	ok(call.status == RPC_S_OK && script_end(),
	   "the address that answered is kept");
	call_free(&call);
}

/* Dies when it has the request and has asked who calls, or is cancelled. */
static bool dies_asking;

static void *serve_and_die(void *arg)
{
	struct pdu request, ask, p;
	uint8_t body[20];

	(void)arg;
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	if (!dies_asking) {
		close(server_fd);
		server_fd = 0;
		reach(5);
		return NULL;
	}
	memcpy(body, pdu_activity(&request), 16);
	put32(body + 16, BOOT);
	ask = pdu_call(0x78, 5, 0, IDEMPOTENT);
	ask.from = request.from;
	memcpy(ask.bytes + 24, conv_interface, 16);
	put32(ask.bytes + 60, 3);
	pdu_body(&ask, body, sizeof(body));
	pdu_send(server_fd, &ask);
	EXPECT(pdu_await(server_fd, &p, RESPONSE, PATIENCE));
	pdu_send(server_fd, &ask);
	close(server_fd);
	server_fd = 0;
	return NULL;
}

static void check_death(bool asking, RPC_STATUS status, const char *what)
{
	struct rpcc_client_call call;
	struct pdu p;
	int other;

	new_server();
	dead_port = server_port;
	other = udp_socket(&server_port);
	dead_first = true;
	dies_asking = asking;
	atomic_store(&let_on, 5);
	atomic_store(&reached, 0);
	script_start(serve_and_die);
	call_begin(&call, 0, NULL, 0);
	rpcc_dg_client.start(&call);
	if (!asking) {
		drive_until_reached(&call, 5);
		rpcc_dg_client.cancel(&call);
	}
	drive_for(&call, PATIENCE);
	is(call.status, status, what);
	call_free(&call);
	ok(script_end() && !pdu_receive(other, &p, 0),
	   "and the call is not made elsewhere");
	dead_first = false;
	close(other);
}

static void test_death(void)
{
	check_death(true, RPC_S_CALL_FAILED,
		    "a server that dies after its question fails the call");
	check_death(false, RPC_S_SERVER_UNAVAILABLE,
		    "one that is gone when it is to be cancelled is so");
}

static void test_maybe(void)
{
	struct rpcc_client_call call;
	struct pdu p;

	new_server();
	call_begin(&call, RPC_NCA_FLAGS_MAYBE, (const uint8_t *)"m", 1);
	rpcc_dg_client.start(&call);
	ok(call.done && call.status == RPC_S_OK && !call.reply_length,
	   "a maybe call does not wait");
	call_free(&call);
	ok(pdu_receive(server_fd, &p, PATIENCE) && pdu_type(&p) == REQUEST &&
		   pdu_flags(&p) == MAYBE,
	   "and is sent");
	is(call_begin(&call, RPC_NCA_FLAGS_BROADCAST, NULL, 0),
	   RPC_S_CANNOT_SUPPORT, "a broadcast is refused");
	is(call_begin(&call, RPC_NCA_FLAGS_MAYBE, big, sizeof(big)),
	   RPC_S_CANNOT_SUPPORT, "so is a maybe call of more than a packet");
	is(call_begin(&call, 0, big, 0x7fffffff), RPC_S_OUT_OF_RESOURCES,
	   "and a call that has more fragments than there are numbers");
}

/* All kinds of nonsense, and then the answer. */
static void *serve_garbage(void *arg)
{
	struct pdu request, p, good;
	uint64_t random = 4711;
	unsigned int i, j;

	(void)arg;
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	good = pdu_for(&request, RESPONSE, 0, BOOT);
	p = good;
	p.bytes[64]++; /* another call */
	pdu_send(server_fd, &p);
	p = good;
	p.bytes[40] ^= 1; /* another activity */
	pdu_send(server_fd, &p);
	p = good;
	p.bytes[0] = 5;
	pdu_send(server_fd, &p);
	p = good;
	put16(p.bytes + 74, 1); /* longer than it is */
	pdu_send(server_fd, &p);
	for (i = 0; i < HEADER; i++) {
		p = good;
		p.size = i;
		pdu_send(server_fd, &p);
	}
	for (i = 4; i <= 10; i++) { /* bodies cut off */
		if (i == NOCALL || i == WORKING || i == CANCEL_ACK)
			continue;
		p = pdu_for(&request, (int)i, 0, BOOT);
		pdu_body(&p, "abc", 3);
		pdu_send(server_fd, &p);
	}
	for (i = 0; i < 3000; i++) {
		p = good;
		for (j = 0; j < 24; j++) {
			random = random * 6364136223846793005u + 1;
			p.bytes[HEADER + j] = (uint8_t)(random >> 40);
		}
		p.size = HEADER + 24;
		put16(p.bytes + 74, 24);
		p.bytes[1] = (uint8_t)(i % 2 ? FACK : 11 + random % 245);
		pdu_set_frag(&p, (unsigned int)(random >> 33));
		pdu_send(server_fd, &p);
	}
	for (i = 1; i < 100; i++) { /* far ahead, and beyond the end */
		p = pdu_for(&request, RESPONSE, FRAG, BOOT);
		pdu_set_frag(&p, i * 31);
		pdu_send(server_fd, &p);
	}
	for (i = 0; i < 200; i++) { /* never mind what is full */
		p = pdu_for(&request, RESPONSE, FRAG | LAST_FRAG, BOOT);
		pdu_body(&p, "ok", 2);
		pdu_set_frag(&p, i % 3 ? 0 : 1);
		pdu_send(server_fd, &p);
	}
	return NULL;
}

static void test_garbage(void)
{
	struct rpcc_client_call call;
	int size = 1 << 22;

	new_server();
	setsockopt(server_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	script_start(serve_garbage);
	call_begin(&call, RPC_NCA_FLAGS_IDEMPOTENT, NULL, 0);
	drive(&call);
	ok(call.done, "a call survives packets of all kinds");
	call_free(&call);
	script_end();
}

static void *serve_big_endian(void *arg)
{
	struct pdu request, p;
	uint8_t *b = p.bytes;
	const uint8_t *r = request.bytes;

	(void)arg;
	EXPECT(pdu_await(server_fd, &request, REQUEST, PATIENCE));
	p = pdu_for(&request, RESPONSE, 0, 0);
	b[4] = 0;
	b[24] = r[27], b[25] = r[26], b[26] = r[25], b[27] = r[24];
	b[40] = r[43], b[41] = r[42], b[42] = r[41], b[43] = r[40];
	b[44] = r[45], b[45] = r[44], b[46] = r[47], b[47] = r[46];
	b[64] = r[67], b[65] = r[66], b[66] = r[65], b[67] = r[64];
	b[74] = 0, b[75] = 2;
	memcpy(b + HEADER, "be", 2);
	p.size = HEADER + 2;
	pdu_send(server_fd, &p);
	return NULL;
}

static void test_big_endian(void)
{
	struct rpcc_client_call call;

	make_call(&call, serve_big_endian, RPC_NCA_FLAGS_IDEMPOTENT, NULL, 0);
	ok(call.status == RPC_S_OK && call.reply_length == 2 &&
		   call.reply_drep == 0,
	   "a big-endian server is understood");
	call_free(&call);
	script_end();
}

static void run(void)
{
	int ret = rpcc_io_create(&io, 0);

	if (ret < 0) {
		ok(false, "an engine: %s", strerror(-ret));
		return;
	}
	printf("# engine: %s\n", rpcc_io_name());
	interface.TransferSyntax = rpcc_ndr_syntax;
	pthread_barrier_init(&cancel_now, NULL, 2);
	test_null();
	test_patience();
	test_big_request();
	test_big_response();
	test_status();
	test_cancel();
	test_pending_cancel();
	test_pending_abandon();
	test_abandon();
	test_progress();
	test_conv();
	test_restart();
	test_unreachable();
	test_death();
	test_maybe();
	test_garbage();
	test_big_endian();
	rpcc_dg_client.release(&binding);
	rpcc_io_destroy(io);
	close(server_fd);
}

int main(void)
{
	static void (*const parts[])(void) = { run };

	return both_engines(parts, 1);
}
