// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Synchronous calls of a client over the connection-oriented protocol, against
 * servers that behave and servers that do not; with both I/O engines.
 */
#include <time.h>

#include "fake_server.h"

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* One call of @size bytes against @script. */
static void one_call(void (*script)(struct fake *f), size_t size,
		     RPC_STATUS want, const char *what)
{
	RPC_BINDING_HANDLE binding;
	RPC_STATUS status;
	struct fake f;

	fake_start(&f, script);
	binding = fake_binding(&f);
	status = call_ok(binding, size);
	RpcBindingFree(&binding);
	if (fake_stop(&f))
		status = -1;
	is(status, want, what);
}

/*
 * What goes out.
 */

static void bind_script(struct fake *f)
{
	static const uint8_t syntax[20] = { 0xc5, 0x5e, 0xa1, 0x60, 0xe8,
					    0x4d, 0xd7, 0x11, 0xa6, 0x37,
					    0,	  0x50, 0x56, 0xa2, 1,
					    0x82, 1,	0,    0,    0 };
	static const uint8_t features[8] = { 0x2c, 0x1c, 0xb7, 0x6c,
					     0x12, 0x98, 0x40, 0x45 };
	struct pdu p;
	int fd = fake_accept(f);

	expect(f, get_pdu(fd, &p) && pdu_type(&p) == 11);
	expect(f, p.bytes[0] == 5 && p.bytes[1] == 0 && p.bytes[4] == 0x10);
	expect(f, pdu_flags(&p) == 0x13 && pdu_u16(&p, 10) == 0);
	expect(f, pdu_u16(&p, 16) >= 1432 && pdu_u16(&p, 18) >= 1432);
	expect(f, pdu_u32(&p, 20) == 0 && p.bytes[24] == 2);
	expect(f, !memcmp(p.bytes + 32, syntax, 20));
	expect(f, !memcmp(p.bytes + 52, ndr_wire, 20));
	expect(f, !memcmp(p.bytes + 76, syntax, 20));
	expect(f, !memcmp(p.bytes + 96, features, 8) && p.bytes[104] & 2);
	put_ack(fd, &p, &(struct ack){ .features = 2, .group = 9 });

	expect(f, get_pdu(fd, &p) && pdu_type(&p) == 0 && p.length == 29);
	expect(f, pdu_flags(&p) == 3 && pdu_u16(&p, 22) == 7);
	expect(f, pdu_u32(&p, 16) == 5 && !memcmp(p.bytes + 24, "xxxxx", 5));
	put_response(fd, &p, "ok", 2);
	expect(f, is_closed(fd));
	close(fd);
}

static void big_request_script(struct fake *f)
{
	struct pdu p;
	int fd = serve_with(f, &p, &(struct ack){ .max_recv = 1500 });
	uint32_t call = 0;
	size_t total = 0;
	bool first = true;

	do {
		if (!get_pdu(fd, &p) || pdu_type(&p)) {
			expect(f, false);
			break;
		}
		expect(f, p.length <= 1500);
		expect(f, !!(pdu_flags(&p) & 1) == first);
		expect(f, first || pdu_call(&p) == call);
		if (!(pdu_flags(&p) & 2))
			expect(f, (p.length - 24) % 8 == 0);
		call = pdu_call(&p);
		first = false;
		total += p.length - 24;
	} while (!(pdu_flags(&p) & 2));
	expect(f, total == 1000003);
	put_response(fd, &p, "ok", 2);
	close(fd);
}

static void object_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p) && pdu_flags(&p) == 0x83);
	expect(f, p.length == 24 + 16 && p.bytes[24] == 0x44);
	put_response(fd, &p, "ok", 2);
	close(fd);
}

static void test_object(void)
{
	UUID object = {
		0x11223344, 0x5566, 0x7788, { 1, 2, 3, 4, 5, 6, 7, 8 }
	};
	RPC_BINDING_HANDLE binding;
	struct fake f;

	fake_start(&f, object_script);
	binding = fake_binding(&f);
	RpcBindingSetObject(binding, &object);
	is(call_ok(binding, 0), RPC_S_OK, "a call of an object");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "names it in the request");
}

static void maybe_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p) && pdu_flags(&p) == 0x43);
	expect(f, serve_call(f, fd, &p));
	close(fd);
}

static void test_maybe(void)
{
	RPC_BINDING_HANDLE binding;
	RPC_MESSAGE message = { 0 };
	struct fake f;

	fake_start(&f, maybe_script);
	binding = fake_binding(&f);
	message.Handle = binding;
	message.ProcNum = 7 | RPC_FLAGS_VALID_BIT;
	message.RpcFlags = RPC_NCA_FLAGS_MAYBE;
	message.RpcInterfaceInformation = &fake_interface;
	I_RpcGetBuffer(&message);
	is(I_RpcSendReceive(&message), RPC_S_OK,
	   "a maybe call does not wait for an answer");
	I_RpcFreeBuffer(&message);
	is(call_ok(binding, 4), RPC_S_OK, "the next call uses the connection");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "the request says that it is one");
}

static void test_requests(void)
{
	one_call(bind_script, 5, RPC_S_OK, "bind, a request and its answer");
	one_call(big_request_script, 1000003, RPC_S_OK,
		 "a big request goes in fragments that the server takes");
	test_object();
	test_maybe();
}

/*
 * What comes in.
 */

static void parts(struct fake *f, bool little)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	put_part(fd, 1, pdu_call(&p), 0, "o", 1, little);
	put_part(fd, 0, pdu_call(&p), 0, "", 0, little);
	put_part(fd, 2, pdu_call(&p), 0, "k", 1, little);
	close(fd);
}

static void little_parts_script(struct fake *f)
{
	parts(f, true);
}

static void big_parts_script(struct fake *f)
{
	parts(f, false);
}

/* Byte after byte. */
static void slow_script(struct fake *f)
{
	uint8_t b[26] = { 0 };
	struct pdu p;
	int fd = serve(f, &p);
	size_t i;

	expect(f, get_pdu(fd, &p));
	set_header(b, 2, 3, sizeof(b), pdu_call(&p), true);
	memcpy(b + 24, "ok", 2);
	for (i = 0; i < sizeof(b); i++)
		put_bytes(fd, b + i, 1);
	close(fd);
}

#define BIG_ANSWER (500 * 5000)

static void big_answer_script(struct fake *f)
{
	static uint8_t stub[5000];
	struct pdu p;
	int fd = serve(f, &p), i;

	expect(f, get_pdu(fd, &p));
	for (i = 0; i < 500; i++) {
		memset(stub, i, sizeof(stub));
		put_part(fd,
			 i == 0	    ? 1
			 : i == 499 ? 2
				    : 0,
			 pdu_call(&p), 0, stub, sizeof(stub), true);
	}
	close(fd);
}

static void test_big_answer(void)
{
	RPC_BINDING_HANDLE binding;
	RPC_MESSAGE message;
	const uint8_t *b;
	size_t i, wrong = 0;
	struct fake f;

	fake_start(&f, big_answer_script);
	binding = fake_binding(&f);
	is(call_message(binding, 8, &message), RPC_S_OK,
	   "an answer in 500 fragments");
	b = message.Buffer;
	is(message.BufferLength, BIG_ANSWER, "is complete");
	for (i = 0; b && i < message.BufferLength; i++)
		wrong += b[i] != (uint8_t)(i / 5000);
	is(wrong, 0, "and in order");
	I_RpcFreeBuffer(&message);
	RpcBindingFree(&binding);
	fake_stop(&f);
}

static void test_answers(void)
{
	one_call(little_parts_script, 0, RPC_S_OK,
		 "an answer in little-endian fragments");
	one_call(big_parts_script, 0, RPC_S_OK,
		 "an answer in big-endian fragments");
	one_call(slow_script, 0, RPC_S_OK, "an answer byte by byte");
	test_big_answer();
}

/*
 * Refusals.
 */

static struct ack bad_ack;

static void bad_ack_script(struct fake *f)
{
	struct pdu p;
	int fd = serve_with(f, &p, &bad_ack);

	expect(f, is_closed(fd));
	close(fd);
}

static unsigned int nak_reason;

static void put_nak(int fd, const struct pdu *p, uint16_t reason)
{
	uint8_t b[24] = { 0 };

	set_header(b, 13, 3, sizeof(b), pdu_call(p), true);
	set_u16(b + 16, reason, true);
	b[18] = 1;
	b[19] = 5;
	put_bytes(fd, b, sizeof(b));
}

static void nak_script(struct fake *f)
{
	struct pdu p;
	int fd = fake_accept(f);

	expect(f, get_pdu(fd, &p));
	put_nak(fd, &p, nak_reason);
	expect(f, is_closed(fd));
	close(fd);
}

static struct {
	uint32_t nca;
	RPC_STATUS status;
} faults[] = {
	{ 0x1c010002, RPC_S_PROCNUM_OUT_OF_RANGE },
	{ 0x1c010003, RPC_S_UNKNOWN_IF },
	{ 0x1c01000b, RPC_S_PROTOCOL_ERROR },
	{ 0x1c010014, RPC_S_SERVER_TOO_BUSY },
	{ 0x1c00000d, RPC_S_CALL_CANCELLED },
	{ 0x1c000012, RPC_S_CALL_FAILED },
	{ 0x1c00001b, RPC_S_SERVER_OUT_OF_MEMORY },
	{ 5, RPC_S_ACCESS_DENIED },
	{ 0x6f7, RPC_X_BAD_STUB_DATA },
	{ 0, RPC_S_CALL_FAILED },
};

static unsigned int fault_index;

static void fault_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	put_fault(fd, &p, 0, faults[fault_index].nca, fault_index & 1);
	close(fd);
}

static void test_refusals(void)
{
	char what[80];

	bad_ack = (struct ack){ .result = 2, .reason = 1 };
	one_call(bad_ack_script, 0, RPC_S_UNKNOWN_IF,
		 "the abstract syntax is refused");
	bad_ack = (struct ack){ .result = 2, .reason = 2 };
	one_call(bad_ack_script, 0, RPC_S_UNSUPPORTED_TRANS_SYN,
		 "the transfer syntax is refused");
	bad_ack = (struct ack){ .result = 2, .reason = 3 };
	one_call(bad_ack_script, 0, RPC_S_SERVER_TOO_BUSY,
		 "the server is at its limit");
	bad_ack = (struct ack){ .type = 15 };
	one_call(bad_ack_script, 0, RPC_S_PROTOCOL_ERROR,
		 "a bind is answered as if it were an alter_context");
	bad_ack = (struct ack){ .max_recv = 100 };
	one_call(bad_ack_script, 0, RPC_S_PROTOCOL_ERROR,
		 "the server takes less than it must");
	nak_reason = 2;
	one_call(nak_script, 0, RPC_S_SERVER_TOO_BUSY, "bind_nak: limit");
	nak_reason = 4;
	one_call(nak_script, 0, RPC_S_PROTOCOL_ERROR, "bind_nak: version");
	nak_reason = 0;
	one_call(nak_script, 0, RPC_S_CALL_FAILED_DNE, "bind_nak: no reason");
	for (fault_index = 0; fault_index < sizeof(faults) / sizeof(faults[0]);
	     fault_index++) {
		snprintf(what, sizeof(what), "fault %#x",
			 faults[fault_index].nca);
		one_call(fault_script, 0, faults[fault_index].status, what);
	}
}

/*
 * Servers that are broken, or gone.
 */

/* What replaces a good answer, byte after byte. */
static struct {
	const char *what;
	size_t offset;
	uint8_t value;
} damages[] = {
	{ "version 4", 0, 4 },
	{ "a frag_length of 15", 8, 15 },
	{ "a frag_length of 65280 and some", 9, 0xff },
	{ "an auth_length", 10, 1 },
	{ "a type of the datagram protocol", 2, 1 },
	{ "a request", 2, 0 },
	{ "a bind_ack after the bind", 2, 12 },
	{ "a call_id that was never used", 12, 99 },
	{ "another context", 20, 7 },
	{ "no first fragment", 3, 2 },
	{ "a byte order that does not exist", 4, 0x20 },
};

static unsigned int damage_index;

static void damage_script(struct fake *f)
{
	uint8_t b[32] = { 0 };
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	set_header(b, 2, 3, sizeof(b), pdu_call(&p), true);
	b[damages[damage_index].offset] = damages[damage_index].value;
	put_bytes(fd, b, sizeof(b));
	expect(f, is_closed(fd));
	close(fd);
}

static void first_twice_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	put_part(fd, 1, pdu_call(&p), 0, "o", 1, true);
	put_part(fd, 3, pdu_call(&p), 0, "k", 1, true);
	expect(f, is_closed(fd));
	close(fd);
}

static void other_order_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	put_part(fd, 1, pdu_call(&p), 0, "o", 1, true);
	put_part(fd, 2, pdu_call(&p), 0, "k", 1, false);
	expect(f, is_closed(fd));
	close(fd);
}

static void close_at_once_script(struct fake *f)
{
	close(fake_accept(f));
}

static void close_after_bind_script(struct fake *f)
{
	struct pdu p;
	int fd = fake_accept(f);

	expect(f, get_pdu(fd, &p));
	close(fd);
}

static void close_after_request_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	close(fd);
}

static void close_in_answer_script(struct fake *f)
{
	uint8_t b[20] = { 0 };
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	set_header(b, 2, 3, 100, pdu_call(&p), true);
	put_bytes(fd, b, sizeof(b));
	close(fd);
}

static void close_between_parts_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	put_part(fd, 1, pdu_call(&p), 0, "o", 1, true);
	close(fd);
}

/* It has said why before it closed, and did not read all of the request. */
static void early_fault_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	put_fault(fd, &p, 0, 0x1c010014, true);
	expect(f, is_closed(fd) || true);
	close(fd);
}

static void test_broken(void)
{
	char what[80];

	for (damage_index = 0;
	     damage_index < sizeof(damages) / sizeof(damages[0]);
	     damage_index++) {
		snprintf(what, sizeof(what), "malformed: %s",
			 damages[damage_index].what);
		one_call(damage_script, 0, RPC_S_PROTOCOL_ERROR, what);
	}
	one_call(first_twice_script, 0, RPC_S_PROTOCOL_ERROR,
		 "malformed: a second first fragment");
	one_call(other_order_script, 0, RPC_S_PROTOCOL_ERROR,
		 "malformed: another byte order in the second fragment");
	one_call(close_at_once_script, 0, RPC_S_CALL_FAILED_DNE,
		 "the server closes instead of binding");
	one_call(close_after_bind_script, 0, RPC_S_CALL_FAILED_DNE,
		 "the server closes after the bind");
	one_call(close_after_request_script, 0, RPC_S_CALL_FAILED,
		 "the server closes after the request");
	one_call(close_in_answer_script, 0, RPC_S_CALL_FAILED,
		 "the server closes in the middle of a PDU");
	one_call(close_between_parts_script, 0, RPC_S_CALL_FAILED,
		 "the server closes in the middle of an answer");
	one_call(early_fault_script, 8 << 20, RPC_S_SERVER_TOO_BUSY,
		 "a fault before all of the request was sent");
}

static void test_unavailable(void)
{
	RPC_BINDING_HANDLE binding;
	struct fake f;

	fake_start(&f, NULL);
	close(f.listen);
	binding = fake_binding(&f);
	is(call_ok(binding, 0), RPC_S_SERVER_UNAVAILABLE, "nobody listens");
	RpcBindingFree(&binding);
	f.listen = dup(f.go);
	fake_stop(&f);
}

static void test_silent_server(void)
{
	RPC_BINDING_HANDLE binding;
	uint64_t start = now_ms();
	struct fake f;

	/* It listens, and so the connection comes about, but nobody binds. */
	fake_start(&f, NULL);
	binding = fake_binding(&f);
	RpcMgmtSetComTimeout(binding, 0);
	is(call_ok(binding, 0), RPC_S_SERVER_UNAVAILABLE,
	   "a server that does not bind is unavailable after a time");
	ok(now_ms() - start >= 900, "which is the com-time-out");
	RpcBindingFree(&binding);
	fake_stop(&f);
}

/*
 * One connection, several calls.
 */

/* What this thread allocates; sanitizers have an allocator of their own. */
static __thread long allocations;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#ifdef SANITIZED
#include <sanitizer/allocator_interface.h>

static void allocated(const volatile void *p, size_t size)
{
	(void)p;
	(void)size;
	allocations++;
}

static void freed(const volatile void *p)
{
	(void)p;
}

static void count_allocations(void)
{
	if (!__sanitizer_install_malloc_and_free_hooks(allocated, freed))
		abort();
}
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	allocations++;
	return __libc_realloc(old, size);
}

static void count_allocations(void)
{
}
#endif

static void null_calls_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p), i;

	for (i = 0; i < 100; i++)
		serve_call(f, fd, &p);
	close(fd);
}

static void test_null_calls(void)
{
	RPC_BINDING_HANDLE binding;
	int i, good = 0;
	struct fake f;
	long before;

	count_allocations();
	fake_start(&f, null_calls_script);
	binding = fake_binding(&f);
	before = allocations;
	good += call_ok(binding, 0) == RPC_S_OK;
	ok(allocations > before, "a call allocates");
	before = allocations;
	for (i = 1; i < 100; i++)
		good += call_ok(binding, 0) == RPC_S_OK;
	is(good, 100, "a hundred calls");
	is(allocations - before, 0, "allocate nothing after the first");
	RpcBindingFree(&binding);
	fake_stop(&f);
}

static void reuse_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p), i;
	uint32_t last = 0;

	for (i = 0; i < 3; i++) {
		expect(f, serve_call(f, fd, &p));
		expect(f, pdu_call(&p) > last);
		last = pdu_call(&p);
	}
	expect(f, is_closed(fd));
	expect(f, fake_nobody(f));
	close(fd);
}

static void test_reuse(void)
{
	RPC_BINDING_HANDLE binding, copy;
	struct fake f;

	fake_start(&f, reuse_script);
	binding = fake_binding(&f);
	is(call_ok(binding, 0), RPC_S_OK, "a first call");
	is(call_ok(binding, 100), RPC_S_OK, "a second one");
	is(RpcBindingCopy(binding, &copy), RPC_S_OK, "a copy of the binding");
	RpcBindingFree(&binding);
	is(call_ok(copy, 3), RPC_S_OK, "makes a third call");
	RpcBindingFree(&copy);
	is(fake_stop(&f), 0, "all on one connection, with rising call_ids");
}

static void alter_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, serve_call(f, fd, &p) && pdu_u16(&p, 20) == 0);
	expect(f, get_pdu(fd, &p) && pdu_type(&p) == 14);
	expect(f, p.bytes[24] == 1 && pdu_u32(&p, 20) == 0x1234);
	put_ack(fd, &p, &(struct ack){ .group = 0x1234 });
	expect(f, serve_call(f, fd, &p) && pdu_u16(&p, 20) == 1);
	expect(f, serve_call(f, fd, &p) && pdu_u16(&p, 20) == 0);
	expect(f, get_pdu(fd, &p) && pdu_type(&p) == 14);
	put_ack(fd, &p, &(struct ack){ .result = 2, .reason = 1 });
	expect(f, serve_call(f, fd, &p) && pdu_u16(&p, 20) == 0);
	close(fd);
}

static void test_alter(void)
{
	unsigned short *major =
		&fake_interface.InterfaceId.SyntaxVersion.MajorVersion;
	RPC_BINDING_HANDLE binding;
	struct fake f;

	fake_start(&f, alter_script);
	binding = fake_binding(&f);
	is(call_ok(binding, 0), RPC_S_OK, "a call of one interface");
	*major = 2;
	is(call_ok(binding, 0), RPC_S_OK,
	   "another one is added by alter_context");
	*major = 1;
	is(call_ok(binding, 0), RPC_S_OK, "the first one is still there");
	*major = 3;
	is(call_ok(binding, 0), RPC_S_UNKNOWN_IF, "a third one is refused");
	*major = 1;
	is(call_ok(binding, 0), RPC_S_OK, "which harms nobody");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "all on one connection");
}

static bool group_unknown;

static void group_script(struct fake *f)
{
	struct pdu p, q;
	int a = serve(f, &p), b;

	expect(f, get_pdu(a, &p));
	post(f->at);
	b = fake_accept(f);
	expect(f, get_pdu(b, &q) && pdu_u32(&q, 20) == 0x1234);
	if (group_unknown) {
		put_nak(b, &q, 0);
		expect(f, is_closed(b));
		close(b);
		b = fake_accept(f);
		expect(f, get_pdu(b, &q) && !pdu_u32(&q, 20));
	}
	put_ack(b, &q, &(struct ack){ .group = 0x1234 });
	expect(f, serve_call(f, b, &q));
	put_response(a, &p, "ok", 2);
	expect(f, is_closed(a) && is_closed(b));
	close(a);
	close(b);
}

static void *call_thread(void *binding)
{
	return (void *)(intptr_t)call_ok(binding, 0);
}

static void test_group(void)
{
	RPC_BINDING_HANDLE binding;
	pthread_t thread;
	void *status;
	struct fake f;

	fake_start(&f, group_script);
	binding = fake_binding(&f);
	pthread_create(&thread, NULL, call_thread, binding);
	await(f.at);
	is(call_ok(binding, 0), RPC_S_OK,
	   "a call beside another one has a connection of its own");
	pthread_join(thread, &status);
	is((intptr_t)status, RPC_S_OK, "which does not disturb the other one");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0,
	   group_unknown ? "and makes a group if the old one has gone"
			 : "and joins its association group");
}

static void shutdown_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	put_bare(fd, 17, 0);
	put_response(fd, &p, "ok", 2);
	expect(f, is_closed(fd));
	close(fd);
	fd = serve(f, &p);
	expect(f, serve_call(f, fd, &p));
	close(fd);
}

static void test_shutdown(void)
{
	RPC_BINDING_HANDLE binding;
	struct fake f;

	fake_start(&f, shutdown_script);
	binding = fake_binding(&f);
	is(call_ok(binding, 0), RPC_S_OK, "shutdown does not harm a call");
	is(call_ok(binding, 0), RPC_S_OK,
	   "the next one is on a new connection");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "and the old one is closed");
}

static void restart_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, serve_call(f, fd, &p));
	close(fd);
	post(f->at);
	fd = serve(f, &p);
	expect(f, serve_call(f, fd, &p));
	close(fd);
}

static void test_restart(bool idempotent)
{
	RPC_MESSAGE message = { 0 };
	RPC_BINDING_HANDLE binding;
	struct fake f;

	fake_start(&f, restart_script);
	binding = fake_binding(&f);
	call_ok(binding, 0);
	await(f.at);
	message.Handle = binding;
	message.RpcInterfaceInformation = &fake_interface;
	if (idempotent) {
		message.ProcNum = RPC_FLAGS_VALID_BIT;
		message.RpcFlags = RPC_NCA_FLAGS_IDEMPOTENT;
	} else {
		/* An idle connection is looked at before it is used. */
		poll(NULL, 0, 200);
	}
	I_RpcGetBuffer(&message);
	is(I_RpcSendReceive(&message), RPC_S_OK,
	   idempotent ? "an idempotent call is made again"
		      : "an idle connection that is gone is not used");
	I_RpcFreeBuffer(&message);
	RpcBindingFree(&binding);
	fake_stop(&f);
}

static void fork_script(struct fake *f)
{
	struct pdu p, q;
	int a = serve(f, &p), b;

	expect(f, serve_call(f, a, &p));
	b = serve(f, &q);
	expect(f, serve_call(f, b, &q));
	expect(f, is_closed(b));
	expect(f, is_silent(a));
	post(f->at);
	expect(f, serve_call(f, a, &p));
	expect(f, is_closed(a));
	close(a);
	close(b);
}

static void test_fork(void)
{
	RPC_BINDING_HANDLE binding;
	int status = -1;
	struct fake f;
	pid_t pid;

	fake_start(&f, fork_script);
	binding = fake_binding(&f);
	is(call_ok(binding, 0), RPC_S_OK, "a call before fork()");
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(call_ok(binding, 0) ? 1 : 0);
	waitpid(pid, &status, 0);
	is(status, 0, "a call of the child");
	ok(await(f.at), "which the server has seen to the end");
	is(call_ok(binding, 0), RPC_S_OK, "a call of the parent after it");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "the child left the parent's connection alone");
}

static void test_connections(void)
{
	test_null_calls();
	test_reuse();
	test_alter();
	test_group();
	group_unknown = true;
	test_group();
	group_unknown = false;
	test_shutdown();
	test_restart(true);
	test_restart(false);
	test_fork();
}

/*
 * Cancels. The script is the canceller, and knows where the call is.
 */

static void *target;

static bool is_cancel(const struct pdu *cancel, uint32_t call)
{
	return pdu_type(cancel) == 18 && cancel->length == 16 &&
	       pdu_flags(cancel) == 6 && pdu_call(cancel) == call;
}

static bool is_orphaned(const struct pdu *orphaned, uint32_t call)
{
	return pdu_type(orphaned) == 19 && orphaned->length == 16 &&
	       pdu_flags(orphaned) == 3 && pdu_call(orphaned) == call;
}

static void expect_cancel(struct fake *f, int fd, uint32_t call)
{
	struct pdu p;

	expect(f, get_pdu(fd, &p) && is_cancel(&p, call));
}

static void expect_orphaned(struct fake *f, int fd, uint32_t call)
{
	struct pdu p;

	expect(f, get_pdu(fd, &p) && is_orphaned(&p, call));
}

static void cancel_fault_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThread(target) == RPC_S_OK);
	expect_cancel(f, fd, pdu_call(&p));
	put_fault(fd, &p, 0, 0x1c00000d, true);
	expect(f, is_closed(fd));
	close(fd);
}

static void cancel_answer_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThread(target) == RPC_S_OK);
	expect_cancel(f, fd, pdu_call(&p));
	put_part(fd, 3 | 4, pdu_call(&p), 0, "ok", 2, true);
	close(fd);
}

/* It waits for this call, and takes effect as soon as the request is out. */
static void cancelled_before_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p) && pdu_flags(&p) == 3);
	expect_cancel(f, fd, pdu_call(&p));
	put_response(fd, &p, "ok", 2);
	close(fd);
}

static void cancel_in_bind_script(struct fake *f)
{
	int fd = fake_accept(f);
	struct pdu p;

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThread(target) == RPC_S_OK);
	put_ack(fd, &p, &(struct ack){ .features = 2 });
	expect(f, get_pdu(fd, &p) && pdu_type(&p) == 0 && pdu_flags(&p) == 3);
	expect_cancel(f, fd, pdu_call(&p));
	put_response(fd, &p, "ok", 2);
	close(fd);
}

static void abandon_in_bind_script(struct fake *f)
{
	int fd = fake_accept(f);
	struct pdu p;

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThread(target) == RPC_S_OK);
	expect(f, is_closed(fd));
	close(fd);
}

static void no_keep_script(struct fake *f)
{
	struct pdu p;
	int fd = serve_with(f, &p, &(struct ack){ .features = 0 });

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThread(target) == RPC_S_OK);
	expect_cancel(f, fd, pdu_call(&p));
	expect_orphaned(f, fd, pdu_call(&p));
	expect(f, is_closed(fd));
	close(fd);
}

static void no_callback_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThread(target) == RPC_S_CANNOT_SUPPORT);
	expect(f, is_silent(fd));
	put_response(fd, &p, "ok", 2);
	close(fd);
}

/* Reads the request only after the cancel; the co_cancel is between PDUs. */
static void cancel_in_request_script(struct fake *f)
{
	unsigned int cancels = 0;
	struct pdu p;
	int fd = serve(f, &p);
	uint32_t call;

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThread(target) == RPC_S_OK);
	call = pdu_call(&p);
	while (get_pdu(fd, &p)) {
		if (pdu_type(&p) == 18) {
			expect(f, is_cancel(&p, call));
			cancels++;
			continue;
		}
		expect(f, pdu_type(&p) == 0 && pdu_call(&p) == call);
		if (pdu_flags(&p) & 2)
			break;
	}
	expect(f, pdu_flags(&p) & 2);
	if (!cancels)
		expect_cancel(f, fd, call);
	expect(f, cancels <= 1);
	put_response(fd, &p, "ok", 2);
	close(fd);
}

/* What has been begun is not finished: the end of the connection says it all. */
static void abandon_in_request_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThread(target) == RPC_S_OK);
	await(f->go);
	while (get_pdu(fd, &p))
		expect(f, pdu_type(&p) == 0 && !(pdu_flags(&p) & 2));
	close(fd);
}

static void test_abandon_in_request(void)
{
	RPC_BINDING_HANDLE binding;
	struct fake f;

	RpcMgmtSetCancelTimeout(0);
	fake_start(&f, abandon_in_request_script);
	binding = fake_binding(&f);
	is(call_ok(binding, 64 << 20), RPC_S_CALL_FAILED,
	   "given up in the middle of a request");
	post(f.go);
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "which closes the connection");
	RpcMgmtSetCancelTimeout(RPC_C_CANCEL_INFINITE_TIMEOUT);
}

/* The next call comes before the answer to the one that was given up. */
static void kept_script(struct fake *f)
{
	struct pdu p, q;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThread(target) == RPC_S_OK);
	expect_cancel(f, fd, pdu_call(&p));
	expect_orphaned(f, fd, pdu_call(&p));
	expect(f, get_pdu(fd, &q) && pdu_call(&q) > pdu_call(&p));
	put_part(fd, 1, pdu_call(&p), 0, "no", 2, true);
	put_part(fd, 2, pdu_call(&p), 0, "no", 2, true);
	put_response(fd, &q, "ok", 2);
	expect(f, is_closed(fd));
	expect(f, fake_nobody(f));
	close(fd);
}

static void test_kept(void)
{
	RPC_BINDING_HANDLE binding;
	struct fake f;

	RpcMgmtSetCancelTimeout(0);
	fake_start(&f, kept_script);
	binding = fake_binding(&f);
	is(call_ok(binding, 0), RPC_S_CALL_FAILED,
	   "without a grace the call is given up, and the server told");
	is(call_ok(binding, 0), RPC_S_OK, "the next call's answer is its own");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "on the connection that was kept");
	RpcMgmtSetCancelTimeout(RPC_C_CANCEL_INFINITE_TIMEOUT);
}

/* RpcCancelThreadEx() comes back when the call has ended. */
static void grace_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	expect(f, RpcCancelThreadEx(target, 1) == RPC_S_OK);
	expect_cancel(f, fd, pdu_call(&p));
	expect_orphaned(f, fd, pdu_call(&p));
	expect(f, is_closed(fd));
	close(fd);
}

static void test_grace(void)
{
	uint64_t start = now_ms();

	one_call(grace_script, 0, RPC_S_CALL_CANCELLED,
		 "the grace of RpcCancelThreadEx() ends the call");
	ok(now_ms() - start >= 900, "not before it is over");
}

static void test_cancels(void)
{
	one_call(cancel_fault_script, 0, RPC_S_CALL_CANCELLED,
		 "a cancel that the server follows");
	rpccancel_thread_close(target);
	rpccancel_thread_detach();
	rpccancel_thread_self(THREAD_SET_CONTEXT, &target);
	one_call(cancel_fault_script, 0, RPC_S_CALL_CANCELLED,
		 "and one after the thread was detached and attached");
	one_call(cancel_answer_script, 0, RPC_S_OK,
		 "a cancel that the server's answer crosses");
	is(RpcCancelThread(target), RPC_S_OK, "a cancel before the call");
	one_call(cancelled_before_script, 0, RPC_S_OK,
		 "is sent after it began");
	one_call(cancel_in_bind_script, 0, RPC_S_OK,
		 "a cancel during the bind is sent after the request");
	one_call(cancel_in_request_script, 16 << 20, RPC_S_OK,
		 "a cancel during a long request does not cut it");
	fake_interface.Flags = RPCFLG_HAS_CALLBACK;
	one_call(no_callback_script, 0, RPC_S_OK,
		 "a call with callbacks cannot be cancelled");
	fake_interface.Flags = 0;
	RpcMgmtSetCancelTimeout(0);
	one_call(abandon_in_bind_script, 0, RPC_S_CALL_FAILED,
		 "without a grace a call ends during the bind");
	one_call(no_keep_script, 0, RPC_S_CALL_FAILED,
		 "a connection that must not be kept is closed");
	RpcMgmtSetCancelTimeout(RPC_C_CANCEL_INFINITE_TIMEOUT);
	test_abandon_in_request();
	test_kept();
	test_grace();
}

/*
 * RPC_C_OPT_CALL_TIMEOUT.
 */

static void timeout_script(struct fake *f)
{
	struct pdu p, q;
	int fd = serve(f, &p), other;

	expect(f, get_pdu(fd, &p));
	await(f->go);
	expect(f, is_silent(fd));
	other = serve(f, &q);
	expect(f, serve_call(f, other, &q));
	close(other);
	put_response(fd, &p, "no", 2);
	post(f->at);
	expect(f, serve_call(f, fd, &p));
	close(fd);
}

static void test_timeout(void)
{
	RPC_BINDING_HANDLE binding;
	struct fake f;

	fake_start(&f, timeout_script);
	binding = fake_binding(&f);
	RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 300);
	is(call_ok(binding, 0), RPC_S_CALL_CANCELLED,
	   "a call that takes too long");
	RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 0);
	post(f.go);
	is(call_ok(binding, 0), RPC_S_OK,
	   "its connection is not used while the answer is due");
	await(f.at);
	/* The other one is closed, which is noticed by looking. */
	poll(NULL, 0, 200);
	is(call_ok(binding, 0), RPC_S_OK, "and is used again afterwards");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "the server is not told");
}

#define INTERFACES 16 /* that a connection has room for */

static void full_script(struct fake *f)
{
	struct pdu p, q;
	int fd = serve(f, &p), other, i;

	expect(f, serve_call(f, fd, &p));
	for (i = 1; i < INTERFACES; i++) {
		expect(f, get_pdu(fd, &p) && pdu_type(&p) == 14);
		put_ack(fd, &p, &(struct ack){ .group = 0x1234 });
		expect(f, serve_call(f, fd, &p));
	}
	expect(f, get_pdu(fd, &p));
	await(f->go);
	put_response(fd, &p, "no", 2);
	post(f->at);
	other = serve(f, &q);
	expect(f, get_pdu(other, &q) && pdu_type(&q) == 0);
	expect(f, is_silent(fd));
	put_response(other, &q, "ok", 2);
	close(other);
	close(fd);
}

static void test_full(void)
{
	unsigned short *major =
		&fake_interface.InterfaceId.SyntaxVersion.MajorVersion;
	RPC_BINDING_HANDLE binding;
	struct fake f;
	int good = 0;

	fake_start(&f, full_script);
	binding = fake_binding(&f);
	for (*major = 1; *major <= INTERFACES; ++*major)
		good += call_ok(binding, 0) == RPC_S_OK;
	is(good, INTERFACES, "as many interfaces as a connection can have");
	*major = 1;
	RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 200);
	is(call_ok(binding, 0), RPC_S_CALL_CANCELLED,
	   "a call that takes too long");
	RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 0);
	post(f.go);
	await(f.at);
	*major = INTERFACES + 1;
	is(call_ok(binding, 0), RPC_S_OK,
	   "when its answer has come there is still no room for another");
	*major = 1;
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "which has a connection of its own");
}

static void trickle_script(struct fake *f)
{
	struct pdu p;
	int fd = serve(f, &p), i;

	expect(f, get_pdu(fd, &p));
	put_part(fd, 1, pdu_call(&p), 0, "o", 1, true);
	for (i = 0; i < 4; i++) {
		poll(NULL, 0, 400);
		put_part(fd, 0, pdu_call(&p), 0, "", 0, true);
	}
	put_part(fd, 2, pdu_call(&p), 0, "k", 1, true);
	close(fd);
}

static void test_trickle(void)
{
	RPC_BINDING_HANDLE binding;
	struct fake f;

	fake_start(&f, trickle_script);
	binding = fake_binding(&f);
	RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 1200);
	is(call_ok(binding, 0), RPC_S_OK,
	   "the time-out begins again with each packet");
	RpcBindingFree(&binding);
	fake_stop(&f);
}

/*
 * The management of a server that says what it wants.
 */

static void mgmt_script(struct fake *f)
{
	static const uint32_t none[] = { 0, RPC_S_OK },
			      reason[] = { 0, RPC_S_ACCESS_DENIED },
			      many[] = { 1, 0x20000000, 0x20000000, 0 },
			      null[] = { 1, 1, 1, 0, 0, 0, 0, 0, 0, 0 };
	struct pdu p;
	int fd = serve(f, &p);

	expect(f, get_pdu(fd, &p));
	put_response(fd, &p, none, sizeof(none));
	expect(f, get_pdu(fd, &p));
	put_response(fd, &p, none, sizeof(none[0]));
	expect(f, get_pdu(fd, &p));
	put_response(fd, &p, reason, sizeof(reason));
	expect(f, get_pdu(fd, &p));
	put_response(fd, &p, many, sizeof(many));
	expect(f, get_pdu(fd, &p));
	put_response(fd, &p, null, sizeof(null));
	close(fd);
}

static void test_mgmt(void)
{
	static const struct {
		RPC_STATUS status;
		const char *what;
	} cases[] = {
		{ RPC_X_BAD_STUB_DATA, "no interfaces, without a reason" },
		{ RPC_X_BAD_STUB_DATA, "and without a status" },
		{ RPC_S_ACCESS_DENIED, "with a reason" },
		{ RPC_X_BAD_STUB_DATA, "more interfaces than fit" },
		{ RPC_X_BAD_STUB_DATA, "one that is not there" },
	};
	RPC_BINDING_HANDLE binding;
	RPC_IF_ID_VECTOR *ids;
	struct fake f;
	size_t i;

	fake_start(&f, mgmt_script);
	binding = fake_binding(&f);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		is(RpcMgmtInqIfIds(binding, &ids), cases[i].status,
		   cases[i].what);
		ok(!ids, "there is no list");
	}
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "the server was asked");
}

static int run_tests(void)
{
	rpccancel_thread_self(THREAD_SET_CONTEXT, &target);
	test_requests();
	test_answers();
	test_refusals();
	test_broken();
	test_unavailable();
	test_silent_server();
	test_connections();
	test_cancels();
	test_timeout();
	test_full();
	test_trickle();
	test_mgmt();
	rpccancel_thread_close(target);
	return 0;
}

int main(void)
{
	return both_engines(run_tests);
}
