// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The connection-oriented protocol on the server's side, byte by byte.
 */
#include "rpc_server.h"

static const RPC_SYNTAX_IDENTIFIER mgmt = {
	{ 0xafa8bd80,
	  0x7d8a,
	  0x11c9,
	  { 0xbe, 0xf4, 0x08, 0x00, 0x2b, 0x10, 0x29, 0x89 } },
	{ 1, 0 },
};
static const RPC_SYNTAX_IDENTIFIER ndr64 = {
	{ 0x71710533,
	  0xbeba,
	  0x4937,
	  { 0x83, 0x19, 0xb5, 0xdb, 0xef, 0x9c, 0xcc, 0x36 } },
	{ 1, 0 },
};
static const RPC_SYNTAX_IDENTIFIER features = {
	{ 0x6cb71c2c, 0x9812, 0x4540, { 0x03 } },
	{ 1, 0 },
};
static const RPC_SYNTAX_IDENTIFIER unknown = { TEST_GUID(99), { 1, 0 } };
static RPC_SERVER_INTERFACE other_if = TEST_INTERFACE(1);
static RPC_SERVER_INTERFACE interrupt_if = TEST_INTERFACE(2);
static RPC_SERVER_INTERFACE few_if = TEST_INTERFACE(3);
static RPC_SERVER_INTERFACE short_if = TEST_INTERFACE(4);
static RPC_SERVER_INTERFACE local_if = TEST_INTERFACE(5);
static RPC_SERVER_INTERFACE secure_if = TEST_INTERFACE(6);
static RPC_SERVER_INTERFACE guarded_if = TEST_INTERFACE(7);

static int port;
static struct pdu p;

/* Sends @pdu, receives the answer into it. */
static void exchange(int fd, struct pdu *pdu)
{
	send_pdu(fd, pdu);
	receive(fd, pdu);
	pdu->big = false;
}

static void echo(int fd, uint32_t call)
{
	request(fd, call, OP_ECHO, "x", 1);
	receive(fd, &p);
}

/* A fragment of a request. */
static void send_part(int fd, uint8_t flags, uint32_t call, uint16_t context)
{
	make_request(&p, flags, call, context, OP_ECHO, "x", 1);
	send_pdu(fd, &p);
}

/* All that was sent so far has been read, even if no thread is free. */
static void flush(int fd, const char *what)
{
	make_request(&p, WHOLE, 9999, 9, 0, "", 0);
	exchange(fd, &p);
	ok(is_fault(&p, 9999, WHOLE | DNE, 0, UNK_IF), "%s", what);
}

static int client_of(const RPC_SYNTAX_IDENTIFIER *interface)
{
	int fd = connect_to(port);

	make_bind(&p, BIND, WHOLE | MPX, 0, 0, interface, &ndr);
	exchange(fd, &p);
	ok(pdu_type(&p) == BIND_ACK, "bound");
	return fd;
}

/* Of the last fragment of a bind_ack or alter_context_resp. */
static uint16_t result_at(const struct pdu *ack, unsigned int i, int field)
{
	size_t at = (26 + u16(ack, 24) + 3) & ~3u;

	return u16(ack, at + 4 + 24 * i + 2 * (size_t)field);
}

static void ended(int fd, const char *what)
{
	ok(is_closed(fd), "%s: the connection is closed", what);
	close(fd);
}

/*
 * Good weather.
 */

static void calls_are_answered(void)
{
	int fd = client(port, 0);

	ok(echoes(fd, 2), "a call is answered");
	ok(echoes(fd, 3), "and so is the next");
	ok(echoes(fd, 3), "a call id can be used again");
	request(fd, 4, OP_SILENT, "x", 1);
	receive(fd, &p);
	ok(is_response(&p, 4, "", 0), "an answer can be empty");
	close(fd);
}

static void add_pieces(struct pdu *stream, uint32_t call)
{
	make_request(&p, FIRST, call, 0, OP_ECHO, "abcdefgh", 8);
	add_bytes(stream, p.b, p.size);
	make_request(&p, 0, call, 0, OP_ECHO, "ijk", 3);
	add_bytes(stream, p.b, p.size);
	make_request(&p, LAST, call, 0, OP_ECHO, "", 0);
	add_bytes(stream, p.b, p.size);
}

static void bytes_may_come_one_by_one(void)
{
	struct pdu stream = { .size = 0 };
	int fd = connect_to(port);
	size_t i;

	make_bind(&stream, BIND, WHOLE, 0, 0, &test_if.InterfaceId, &ndr);
	add_pieces(&stream, 2);
	for (i = 0; i < stream.size; i++)
		send_bytes(fd, stream.b + i, 1);
	receive(fd, &p);
	is(pdu_type(&p), BIND_ACK, "a bind in single bytes");
	receive(fd, &p);
	ok(is_response(&p, 2, "abcdefghijk", 11), "and a request in pieces");
	close(fd);
}

static void many_pdus_may_come_at_once(void)
{
	struct pdu stream = { .size = 0 };
	int fd = connect_to(port), got = 0, i;

	make_bind(&stream, BIND, WHOLE, 0, 0, &test_if.InterfaceId, &ndr);
	for (i = 0; i < 30; i++)
		add_pieces(&stream, i);
	send_bytes(fd, stream.b, stream.size);
	receive(fd, &p);
	is(pdu_type(&p), BIND_ACK, "a bind with requests behind it");
	for (i = 0; i < 30; i++) {
		receive(fd, &p);
		got += is_response(&p, pdu_call(&p), "abcdefghijk", 11);
	}
	is(got, 30, "which are all answered");
	close(fd);
}

static void big_endian_clients_are_understood(void)
{
	int fd = connect_to(port);

	ok(bind_with(fd, 0, true), "a big-endian bind");
	p.big = true;
	make_request(&p, WHOLE | OBJECT, 7, 0, OP_ECHO, "", 0);
	p.size = 24;
	add_uuid(&p, &test_if.InterfaceId.SyntaxGUID);
	add_bytes(&p, "stub", 4);
	end_pdu(&p);
	exchange(fd, &p);
	ok(is_response(&p, 7, "stub", 4), "and request, with an object");
	close(fd);
}

static void stubs_have_their_message(void)
{
	int fd = client(port, 0);
	uint32_t zero = 0;

	make_request(&p, WHOLE | OBJECT, 2, 0, OP_MESSAGE, "", 0);
	add_uuid(&p, &test_if.InterfaceId.SyntaxGUID);
	end_pdu(&p);
	exchange(fd, &p);
	ok(is_response(&p, 2, &zero, 4), "all fields of a stub's message");
	close(fd);
}

static void long_answers_come_in_fragments(void)
{
	uint32_t size = 100001, got = 0, bad = 0, hint = size;
	int fd = client(port, 0);
	bool first = true, sizes = true;
	size_t i;

	request(fd, 2, OP_BIG, &size, 4);
	do {
		receive(fd, &p);
		sizes &= p.size <= 5840 && u32(&p, 16) == hint;
		if (!(pdu_flags(&p) & LAST))
			sizes &= !((p.size - 24) % 8);
		sizes &= first == !!(pdu_flags(&p) & FIRST);
		for (i = 24; i < p.size; i++, got++)
			bad += p.b[i] != (uint8_t)(got * 7);
		hint = size - got;
		first = false;
	} while (p.size && !(pdu_flags(&p) & LAST));
	is(got, size, "all of a long answer comes");
	is(bad, 0, "unchanged");
	ok(sizes, "in fragments of good sizes and hints");
	ok(echoes(fd, 3), "and the connection goes on");
	close(fd);
}

static void fragments_are_as_long_as_agreed(void)
{
	static const struct {
		uint16_t xmit, recv, agreed;
	} cases[] = {
		{ 0xffff, 0xffff, 5840 }, { 0, 0xffff, 2048 },
		{ 0xffff, 0, 2048 },	  { 0, 0, 2048 },
		{ 3199, 0xffff, 3192 },	  { 0xffff, 1432, 1432 },
	};
	uint32_t size = 6000;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fd = connect_to(port);
		make_bind(&p, BIND, WHOLE, 0, 0, &test_if.InterfaceId, &ndr);
		p.b[16] = cases[i].xmit & 0xff;
		p.b[17] = cases[i].xmit >> 8;
		p.b[18] = cases[i].recv & 0xff;
		p.b[19] = cases[i].recv >> 8;
		exchange(fd, &p);
		is(u16(&p, 16), cases[i].agreed, "what the server sends");
		is(u16(&p, 18), cases[i].agreed, "what it receives");
		request(fd, 2, OP_BIG, &size, 4);
		receive(fd, &p);
		is(p.size, cases[i].agreed, "it keeps to that");
		close(fd);
	}
}

static void calls_are_multiplexed(void)
{
	int fd = client(port, MPX), i, got = 0;

	for (i = 0; i < 3; i++)
		request(fd, 10 + i, OP_HOLD, &i, 4);
	for (i = 0; i < 3; i++)
		ok(wait_sem(&entered), "call %d runs", i);
	ok(echoes(fd, 20), "while three block, a fourth is answered");
	for (i = 0; i < 3; i++)
		post(&released);
	for (i = 0; i < 3; i++) {
		receive(fd, &p);
		got |= 1 << u32(&p, 24);
	}
	is(got, 7, "each has its own answer");
	close(fd);
}

static void requests_may_be_interleaved(void)
{
	int fd = client(port, MPX);

	make_request(&p, FIRST, 1, 0, OP_ECHO, "one ", 4);
	send_pdu(fd, &p);
	make_request(&p, FIRST, 2, 0, OP_ECHO, "two ", 4);
	send_pdu(fd, &p);
	ok(echoes(fd, 3), "a whole request between the fragments of two");
	make_request(&p, LAST, 1, 0, OP_ECHO, "end", 3);
	exchange(fd, &p);
	ok(is_response(&p, 1, "one end", 7), "the first is put together");
	make_request(&p, LAST, 2, 0, OP_ECHO, "end", 3);
	exchange(fd, &p);
	ok(is_response(&p, 2, "two end", 7), "and the second");
	close(fd);
}

static void maybe_calls_have_no_answer(void)
{
	int fd = client(port, 0);

	make_request(&p, WHOLE | MAYBE, 2, 0, OP_ECHO, "x", 1);
	send_pdu(fd, &p);
	make_request(&p, WHOLE | MAYBE, 3, 0, 999, "x", 1);
	send_pdu(fd, &p);
	ok(echoes(fd, 4), "no answer to maybe calls, good or bad");
	close(fd);
}

/*
 * Binds.
 */

static void several_contexts_can_be_used(void)
{
	int fd = connect_to(port);

	begin_pdu(&p, BIND, WHOLE | MPX, 1);
	add32(&p, 5840 | 5840 << 16);
	add32(&p, 0);
	add32(&p, 5);
	add32(&p, 0xabcd | 1 << 16);
	add_syntax(&p, &test_if.InterfaceId);
	add_syntax(&p, &ndr);
	add32(&p, 2 | 1 << 16);
	add_syntax(&p, &test_if.InterfaceId);
	add_syntax(&p, &ndr64);
	add32(&p, 3 | 1 << 16);
	add_syntax(&p, &test_if.InterfaceId);
	add_syntax(&p, &features);
	add32(&p, 4 | 2 << 16);
	add_syntax(&p, &mgmt);
	add_syntax(&p, &ndr64);
	add_syntax(&p, &ndr);
	add32(&p, 5 | 1 << 16);
	add_syntax(&p, &unknown);
	add_syntax(&p, &ndr);
	end_pdu(&p);
	exchange(fd, &p);
	is(pdu_flags(&p), WHOLE | MPX, "multiplexing is granted");
	is(atoi((char *)p.b + 26), port, "the endpoint is told");
	is(result_at(&p, 0, 0), 0, "NDR is accepted");
	is(result_at(&p, 1, 0), 2, "NDR64 is rejected");
	is(result_at(&p, 1, 1), 2, "as a transfer syntax");
	is(result_at(&p, 2, 0), 3, "features are negotiated");
	is(result_at(&p, 2, 1), 2, "to keep the connection on orphans");
	is(result_at(&p, 3, 0), 0, "a second interface is accepted");
	is(result_at(&p, 4, 0), 2, "an unknown one is rejected");
	is(result_at(&p, 4, 1), 1, "as an abstract syntax");

	make_request(&p, WHOLE, 2, 0xabcd, OP_ECHO, "x", 1);
	exchange(fd, &p);
	ok(is_response(&p, 2, "x", 1), "the first context works");
	is(pdu_context(&p), 0xcd, "answers have 8 bits of its number");
	make_request(&p, WHOLE, 3, 4, 0, "", 0);
	exchange(fd, &p);
	is(pdu_type(&p), RESPONSE, "the other one, too");
	make_request(&p, WHOLE, 4, 2, OP_ECHO, "", 0);
	exchange(fd, &p);
	ok(is_fault(&p, 4, WHOLE | DNE, 0, UNK_IF), "a rejected one does not");
	make_request(&p, WHOLE, 5, 0xabcd, 999, "", 0);
	exchange(fd, &p);
	ok(is_fault(&p, 5, WHOLE | DNE, 0xabcd, OP_RNG), "no such operation");
	close(fd);
}

static void contexts_can_be_added(void)
{
	int fd = client(port, 0);

	make_bind(&p, ALTER, WHOLE, 77, 1, &other_if.InterfaceId, &ndr);
	exchange(fd, &p);
	is(pdu_type(&p), ALTER_RESP, "alter_context");
	is(u16(&p, 24), 0, "has no secondary address");
	is(result_at(&p, 0, 0), 0, "is accepted");
	make_request(&p, WHOLE, 2, 1, OP_ECHO, "x", 1);
	exchange(fd, &p);
	ok(is_response(&p, 2, "x", 1), "and works");
	make_bind(&p, ALTER, WHOLE, 0, 1, &other_if.InterfaceId, &ndr);
	exchange(fd, &p);
	is(pdu_type(&p), ALTER_RESP, "once more the same");
	make_bind(&p, ALTER, WHOLE, 0, 1, &test_if.InterfaceId, &ndr);
	exchange(fd, &p);
	ok(is_fault(&p, 1, WHOLE | DNE, 0, PROTO_ERROR), "it cannot change");
	ended(fd, "a context that changes");
}

static void contexts_are_limited(void)
{
	int fd = client(port, 0), i, accepted = 1;

	for (i = 1; i < 300; i++) {
		make_bind(&p, ALTER, WHOLE, 0, i, &other_if.InterfaceId, &ndr);
		exchange(fd, &p);
		if (!result_at(&p, 0, 0))
			accepted++;
	}
	is(accepted, 256, "256 contexts are accepted");
	is(result_at(&p, 0, 1), 3, "the next exceeds a local limit");
	ok(echoes(fd, 400), "the connection is none the worse");
	close(fd);
}

static void groups_are_joined(void)
{
	int fd = connect_to(port), second = connect_to(port);
	uint32_t group;

	make_bind(&p, BIND, WHOLE, 0, 0, &test_if.InterfaceId, &ndr);
	exchange(fd, &p);
	group = u32(&p, 20);
	ok(group, "a new association group");
	make_bind(&p, BIND, WHOLE, group, 0, &test_if.InterfaceId, &ndr);
	exchange(second, &p);
	is(u32(&p, 20), group, "is joined by a second connection");
	close(second);
	second = connect_to(port);
	make_bind(&p, BIND, WHOLE, group + 1000, 0, &test_if.InterfaceId, &ndr);
	exchange(second, &p);
	is(pdu_type(&p), BIND_NAK, "there is no other group");
	ended(second, "an unknown group");
	close(fd);
}

static void bad_bind(const char *what, uint16_t reason)
{
	int fd = connect_to(port);

	exchange(fd, &p);
	ok(pdu_type(&p) == BIND_NAK && u16(&p, 16) == reason, "%s: bind_nak %u",
	   what, reason);
	ended(fd, what);
}

static void good_bind(void)
{
	make_bind(&p, BIND, WHOLE, 0, 0, &test_if.InterfaceId, &ndr);
}

/* A good bind but for one byte. */
static void bad_byte(size_t at, uint8_t value, const char *what,
		     uint16_t reason)
{
	good_bind();
	p.b[at] = value;
	bad_bind(what, reason);
}

static void bad_binds_are_refused(void)
{
	int fd;

	bad_byte(0, 6, "version 6", 4);
	bad_byte(24, 0, "no context", 0);
	bad_byte(24, 2, "a context that is missing", 0);
	bad_byte(24, 255, "too many contexts", 0);
	bad_byte(30, 0, "no transfer syntax", 0);
	bad_byte(30, 200, "transfer syntaxes that are missing", 0);
	bad_byte(10, 200, "an authentication that does not fit", 4);
	bad_byte(9, 0x40, "a PDU of 16 KiB", 0);
	good_bind();
	p.b[10] = 4;
	add_bytes(&p, "\x0a\x06\0\0\0\0\0\0none", 12);
	end_pdu(&p);
	bad_bind("authentication", 8);

	fd = client(port, 0);
	good_bind();
	exchange(fd, &p);
	is(pdu_type(&p), BIND_NAK, "a second bind is refused");
	ended(fd, "a second bind");
}

/*
 * Violations.
 */

static void proto_error(int fd, uint32_t call, uint16_t context,
			const char *what)
{
	receive(fd, &p);
	ok(is_fault(&p, call, WHOLE, context, PROTO_ERROR), "%s: a fault",
	   what);
	ended(fd, what);
}

static void fragments_must_belong_together(void)
{
	int fd = client(port, 0);

	send_part(fd, FIRST, 50, 0);
	request(fd, 51, OP_ECHO, "x", 1);
	proto_error(fd, 50, 0, "a request inside another");

	fd = client(port, MPX);
	send_part(fd, FIRST, 50, 0);
	send_pdu(fd, &p);
	proto_error(fd, 50, 0, "the same request again");

	fd = client(port, 0);
	send_part(fd, LAST, 2, 0);
	proto_error(fd, 2, 0, "a last fragment alone");

	fd = client(port, 0);
	send_part(fd, FIRST, 2, 0);
	p.big = true;
	send_part(fd, LAST, 2, 0);
	p.big = false;
	proto_error(fd, 2, 0, "another byte order");

	fd = client(port, MPX);
	request(fd, 5, OP_HOLD, "x", 1);
	wait_sem(&entered);
	request(fd, 5, OP_ECHO, "x", 1);
	proto_error(fd, 5, 0, "a call id that is in use");
	post(&released);
}

static void refused_requests_are_skipped(void)
{
	int fd = client(port, 0);

	make_request(&p, FIRST, 2, 9, OP_ECHO, "x", 1);
	exchange(fd, &p);
	ok(is_fault(&p, 2, WHOLE | DNE, 0, UNK_IF), "an unknown context");
	send_part(fd, 0, 2, 9);
	send_part(fd, LAST, 2, 9);
	ok(echoes(fd, 3), "the rest of the request is skipped");
	close(fd);
}

static void spurious_pdus_end_the_connection(void)
{
	static const uint8_t types[] = { 1,  RESPONSE, FAULT,	 4,
					 10, BIND_ACK, BIND_NAK, ALTER_RESP,
					 17, 20,       255 };
	size_t i;
	int fd;

	for (i = 0; i < sizeof(types); i++) {
		fd = client(port, 0);
		bare(fd, types[i], 2);
		ok(is_closed(fd), "type %u closes", types[i]);
		close(fd);
	}
	fd = client(port, 0);
	bare(fd, REQUEST, 2);
	proto_error(fd, 2, 0, "a request without a body");
	fd = client(port, 0);
	bare(fd, AUTH3, 2);
	proto_error(fd, 2, 0, "auth3");
	fd = client(port, 0);
	bare(fd, ALTER, 2);
	receive(fd, &p);
	ok(is_fault(&p, 2, WHOLE | DNE, 0, PROTO_ERROR), "alter, no body");
	ended(fd, "alter without a body");
	fd = connect_to(port);
	request(fd, 2, OP_ECHO, "x", 1);
	proto_error(fd, 2, 0, "a request before the bind");
	fd = connect_to(port);
	send_bytes(fd, "GET / HTTP/1.1\r\n\r\n", 18);
	ended(fd, "another protocol");

	fd = client(port, 0);
	make_request(&p, WHOLE, 2, 0, OP_ECHO, "x", 1);
	p.b[8] = 0xd1;
	p.b[9] = 0x16; /* 5841 */
	send_pdu(fd, &p);
	proto_error(fd, 2, 0, "a PDU that is too long");

	fd = client(port, 0);
	make_request(&p, WHOLE, 2, 0, OP_ECHO, "xxxx\x0a\x02\0\0\0\0\0\0none",
		     16);
	p.b[10] = 4;
	exchange(fd, &p);
	ok(is_fault(&p, 2, WHOLE, 0, 5), "a request with authentication");
	ended(fd, "authentication");
}

static void requests_are_limited_in_size(void)
{
	static uint8_t stub[5816];
	int fd = client(port, 0), i;

	make_request(&p, FIRST, 2, 0, OP_ECHO, stub, 8);
	p.b[16] = 1;
	p.b[18] = 0x40; /* a hint of 4 MiB and 1 */
	exchange(fd, &p);
	ok(is_fault(&p, 2, WHOLE, 0, 5), "a hint beyond the limit");
	ended(fd, "a hint");

	fd = client(port, 0);
	make_request(&p, FIRST, 2, 0, OP_SILENT, stub, sizeof(stub));
	send_pdu(fd, &p);
	make_request(&p, 0, 2, 0, OP_SILENT, stub, sizeof(stub));
	for (i = 1; i < (4 << 20) / (int)sizeof(stub); i++)
		send_pdu(fd, &p);
	make_request(&p, LAST, 2, 0, OP_SILENT, stub,
		     (4 << 20) - i * sizeof(stub));
	exchange(fd, &p);
	ok(is_response(&p, 2, "", 0), "a request of 4 MiB");

	make_request(&p, FIRST, 3, 0, OP_SILENT, stub, sizeof(stub));
	send_pdu(fd, &p);
	make_request(&p, 0, 3, 0, OP_SILENT, stub, sizeof(stub));
	for (i = 1; i <= (4 << 20) / (int)sizeof(stub); i++)
		send_pdu(fd, &p);
	receive(fd, &p);
	ok(is_fault(&p, 3, WHOLE, 0, 5), "and not one byte more");
	ended(fd, "a long request");
}

/*
 * Cancels.
 */

static void a_cancel_is_noticed(void)
{
	int fd = client(port, 0);
	uint32_t one = 1;

	request(fd, 2, OP_WAIT, "", 0);
	wait_sem(&entered);
	bare(fd, CO_CANCEL, 2);
	receive(fd, &p);
	ok(is_response(&p, 2, &one, 4), "a polling stub notices a cancel");
	is(pdu_cancels(&p), 1, "it is counted");
	is(pdu_flags(&p), WHOLE, "and not pending");
	echo(fd, 3);
	ok(is_response(&p, 3, "x", 1), "the next call is not cancelled");
	is(pdu_cancels(&p), 0, "and has no count");
	close(fd);
}

static void a_cancel_not_noticed_is_pending(void)
{
	int fd = client(port, 0);

	request(fd, 2, OP_HOLD, "x", 1);
	wait_sem(&entered);
	bare(fd, CO_CANCEL, 2);
	bare(fd, CO_CANCEL, 2);
	bare(fd, CO_CANCEL, 7);
	flush(fd, "the cancels were read");
	post(&released);
	receive(fd, &p);
	ok(is_response(&p, 2, "x", 1), "the call completes");
	is(pdu_cancels(&p), 2, "both cancels are counted");
	is(pdu_flags(&p), WHOLE | PENDING, "and pending");
	bare(fd, CO_CANCEL, 2);
	echo(fd, 3);
	ok(is_response(&p, 3, "x", 1), "a cancel after the answer is dropped");
	is(pdu_flags(&p), WHOLE, "for good");
	close(fd);
}

static void a_cancel_waits_for_the_stub(void)
{
	int fd = client(port, MPX), i, n = 20;
	uint32_t one = 1;

	for (i = 0; i < n; i++)
		request(fd, 100 + i, OP_HOLD, "x", 1);
	for (i = 0; i < n; i++)
		wait_sem(&entered);
	request(fd, 2, OP_WAIT, "", 0);
	bare(fd, CO_CANCEL, 2);
	flush(fd, "all threads are busy, and a cancel is read");
	post(&released);
	receive(fd, &p);
	ok(pdu_type(&p) == RESPONSE && pdu_call(&p) >= 100, "one is released");
	receive(fd, &p);
	ok(is_response(&p, 2, &one, 4), "the queued call finds its cancel");
	is(pdu_cancels(&p), 1, "counted");
	wait_sem(&entered);
	for (i = 1; i < n; i++)
		post(&released);
	for (i = 1; i < n; i++)
		receive(fd, &p);
	ok(pdu_call(&p) >= 100 && !pdu_cancels(&p), "no other was cancelled");
	close(fd);
}

static void a_cancel_between_fragments(void)
{
	int fd = client(port, 0);
	uint32_t one = 1;

	make_request(&p, FIRST, 2, 0, OP_WAIT, "", 0);
	send_pdu(fd, &p);
	bare(fd, CO_CANCEL, 2);
	make_request(&p, LAST, 2, 0, OP_WAIT, "", 0);
	exchange(fd, &p);
	ok(is_response(&p, 2, &one, 4), "reaches the stub");
	is(pdu_cancels(&p), 0, "and is not counted, as on Windows");
	wait_sem(&entered);

	make_request(&p, FIRST, 3, 0, OP_ECHO, "a", 1);
	send_pdu(fd, &p);
	bare(fd, ORPHANED, 3);
	make_request(&p, PENDING, 3, 0, OP_ECHO, "b", 1);
	send_pdu(fd, &p);
	make_request(&p, LAST | PENDING, 3, 0, OP_ECHO, "c", 1);
	exchange(fd, &p);
	ok(is_response(&p, 3, "abc", 3), "an orphaned there is ignored");
	is(pdu_flags(&p), WHOLE, "and a pending cancel in a later fragment");

	make_request(&p, FIRST | PENDING, 4, 0, OP_ECHO, "a", 1);
	exchange(fd, &p);
	ok(is_fault(&p, 4, WHOLE | DNE, 0, RPC_S_NO_CALL_ACTIVE),
	   "in the first one it is a fault");
	ended(fd, "a pending cancel");
}

static void unknown_calls_can_be_cancelled(void)
{
	int fd = client(port, 0);

	bare(fd, CO_CANCEL, 99);
	bare(fd, ORPHANED, 99);
	ok(echoes(fd, 2), "without any effect");
	close(fd);
}

static void a_cancelled_exception_is_a_fault(void)
{
	uint32_t code = RPC_S_CALL_CANCELLED;
	int fd = client(port, 0);

	request(fd, 2, OP_RAISE, &code, 4);
	receive(fd, &p);
	ok(is_fault(&p, 2, WHOLE, 0, FAULT_CANCEL), "RPC_S_CALL_CANCELLED");
	code = RPC_S_OBJECT_NOT_FOUND;
	request(fd, 3, OP_RAISE, &code, 4);
	receive(fd, &p);
	ok(is_fault(&p, 3, WHOLE, 0, RPC_S_OBJECT_NOT_FOUND) ||
		   pdu_type(&p) == FAULT,
	   "another exception");
	ok(echoes(fd, 4), "exceptions do not disturb");
	close(fd);
}

static void an_orphan_has_no_answer(void)
{
	int fd = client(port, MPX), i;

	request(fd, 2, OP_WAIT, "", 0);
	wait_sem(&entered);
	bare(fd, ORPHANED, 2);
	ok(echoes(fd, 3), "the connection stays");
	for (i = 0; i < 20; i++)
		request(fd, 100 + i, OP_HOLD, "x", 1);
	for (i = 0; i < 20; i++)
		ok(wait_sem(&entered), "the orphan gives its thread back");
	request(fd, 4, OP_WAIT, "", 0);
	bare(fd, ORPHANED, 4);
	flush(fd, "all threads are busy, and an orphaned is read");
	for (i = 0; i < 20; i++)
		post(&released);
	for (i = 0; i < 20; i++)
		receive(fd, &p);
	ok(pdu_call(&p) >= 100, "none of the answers is an orphan's");
	ok(echoes(fd, 5), "and nothing is left");
	ok(!try_sem(&entered), "a queued orphan never ran");
	close(fd);
}

static void lost_connections_orphan_their_calls(void)
{
	int fd = client(port, MPX), i;

	for (i = 0; i < 20; i++)
		request(fd, 10 + i, OP_WAIT, "", 0);
	for (i = 0; i < 20; i++)
		wait_sem(&entered);
	close(fd);
	fd = client(port, 0);
	ok(echoes(fd, 2), "all threads are free again");
	close(fd);
}

static void stubs_may_poll(void)
{
	int fd = client(port, 0);
	uint32_t one = 1;

	request(fd, 2, OP_FD, "", 0);
	wait_sem(&entered);
	bare(fd, CO_CANCEL, 2);
	receive(fd, &p);
	ok(is_response(&p, 2, &one, 4), "a descriptor tells of the cancel");

	make_request(&p, FIRST, 3, 0, OP_FD, "", 0);
	send_pdu(fd, &p);
	bare(fd, CO_CANCEL, 3);
	make_request(&p, LAST, 3, 0, OP_FD, "", 0);
	exchange(fd, &p);
	ok(is_response(&p, 3, &one, 4), "also of one from before");
	wait_sem(&entered);
	close(fd);
}

static void blocked_stubs_are_interrupted(void)
{
	uint32_t canceled = ECANCELED;
	int fd = client_of(&interrupt_if.InterfaceId);
	struct rpccancel_query query;

	if (rpccancel_query(&query) != RPC_S_OK) {
		ok(echoes(fd, 2), "stubs run without the module");
		close(fd);
		return;
	}
	request(fd, 2, OP_SLEEP, "", 0);
	wait_sem(&entered);
	bare(fd, CO_CANCEL, 2);
	receive(fd, &p);
	ok(is_response(&p, 2, &canceled, 4), "a blocked stub is interrupted");
	is(pdu_flags(&p), WHOLE, "and has noticed");
	ok(echoes(fd, 3), "the next call is not");
	close(fd);
}

/*
 * Interfaces that refuse.
 */

static RPC_STATUS nobody(RPC_IF_HANDLE interface, void *context)
{
	(void)context;
	return interface == &guarded_if ? RPC_S_ACCESS_DENIED : RPC_S_OK;
}

static void register_all(void)
{
	is(RpcServerRegisterIf(&test_if, NULL, NULL), 0, "registered");
	is(RpcServerRegisterIf(&other_if, NULL, NULL), 0, "registered");
	is(RpcServerRegisterIfEx(&interrupt_if, NULL, NULL,
				 RPCCANCEL_IF_INTERRUPT, 100, NULL),
	   0, "registered");
	is(RpcServerRegisterIfEx(&few_if, NULL, NULL, 0, 1, NULL), 0,
	   "registered for one call");
	is(RpcServerRegisterIf2(&short_if, NULL, NULL, 0, 100, 8, NULL), 0,
	   "registered for short calls");
	is(RpcServerRegisterIfEx(&local_if, NULL, NULL, RPC_IF_ALLOW_LOCAL_ONLY,
				 100, NULL),
	   0, "registered for local clients");
	is(RpcServerRegisterIfEx(&secure_if, NULL, NULL,
				 RPC_IF_ALLOW_SECURE_ONLY, 100, NULL),
	   0, "registered for known clients");
	is(RpcServerRegisterIfEx(&guarded_if, NULL, NULL, 0, 100, nobody), 0,
	   "registered for nobody");
}

static void denied(RPC_SERVER_INTERFACE *interface, const char *what)
{
	int fd = client_of(&interface->InterfaceId);

	request(fd, 2, OP_ECHO, "x", 1);
	receive(fd, &p);
	ok(is_fault(&p, 2, WHOLE | DNE, 0, 5), "denied: %s", what);
	close(fd);
}

static void interfaces_refuse(void)
{
	int fd = client_of(&few_if.InterfaceId);

	request(fd, 2, OP_HOLD, "x", 1);
	wait_sem(&entered);
	request(fd, 3, OP_ECHO, "x", 1);
	receive(fd, &p);
	ok(is_fault(&p, 3, WHOLE | DNE, 0, TOO_BUSY), "one call at a time");
	post(&released);
	receive(fd, &p);
	ok(is_response(&p, 2, "x", 1), "that one is answered");
	close(fd);

	fd = client_of(&short_if.InterfaceId);
	request(fd, 2, OP_ECHO, "12345678", 8);
	receive(fd, &p);
	ok(is_response(&p, 2, "12345678", 8), "a short request");
	request(fd, 3, OP_ECHO, "123456789", 9);
	receive(fd, &p);
	ok(is_fault(&p, 3, WHOLE | DNE, 0, 5), "a long one is denied");
	close(fd);

	denied(&local_if, "a remote client");
	denied(&secure_if, "a client that is not known");
	denied(&guarded_if, "whom the application refuses");
}

static void attributes_are_told(void)
{
	int fd = client(port, 0);

	request(fd, 2, OP_ATTRIBUTES, "", 0);
	receive(fd, &p);
	is(p.b[24], RPC_PROTSEQ_TCP, "the protocol sequence");
	is(p.b[25], rcclLocal, "the client is local");
	is(p.b[26], OP_ATTRIBUTES, "the operation");
	is(p.b[27], 0, "not cancelled");
	close(fd);
}

/*
 * Management.
 */

static void servers_can_be_managed(void)
{
	int fd = client_of(&mgmt);
	uint32_t count;

	request(fd, 2, 0, "", 0);
	receive(fd, &p);
	count = u32(&p, 28);
	is(pdu_type(&p), RESPONSE, "inq_if_ids");
	ok(count == 9 && p.size == 24 + 16 + count * 24, "of all interfaces");
	is(u32(&p, 16), p.size - 24, "with a hint");
	request(fd, 3, 1, "\4\0\0\0\0\0\0\0", 8);
	receive(fd, &p);
	is(p.size, 24 + 28, "inq_stats");
	request(fd, 4, 2, "", 0);
	receive(fd, &p);
	is(u32(&p, 24), 0, "is_server_listening: good");
	is(u32(&p, 28), 1, "it is");
	request(fd, 5, 3, "", 0);
	receive(fd, &p);
	is(u32(&p, 24), 5, "stop_server_listening is denied");
	request(fd, 6, 4, "\x0a\0\0\0\x20\0\0\0", 8);
	receive(fd, &p);
	is(pdu_type(&p), RESPONSE, "inq_princ_name");
	request(fd, 7, 5, "", 0);
	receive(fd, &p);
	ok(is_fault(&p, 7, WHOLE | DNE, 0, OP_RNG), "there is no more");
	close(fd);
}

int main(void)
{
	begin_server_tests();
	port = use_tcp();
	test_if.DefaultManagerEpv = &p;
	register_all();
	is(RpcServerListen(1, 20, 1), RPC_S_OK, "listening");

	calls_are_answered();
	bytes_may_come_one_by_one();
	many_pdus_may_come_at_once();
	big_endian_clients_are_understood();
	stubs_have_their_message();
	long_answers_come_in_fragments();
	fragments_are_as_long_as_agreed();
	calls_are_multiplexed();
	requests_may_be_interleaved();
	maybe_calls_have_no_answer();

	several_contexts_can_be_used();
	contexts_can_be_added();
	contexts_are_limited();
	groups_are_joined();
	bad_binds_are_refused();

	fragments_must_belong_together();
	refused_requests_are_skipped();
	spurious_pdus_end_the_connection();
	requests_are_limited_in_size();

	a_cancel_is_noticed();
	a_cancel_not_noticed_is_pending();
	a_cancel_waits_for_the_stub();
	a_cancel_between_fragments();
	unknown_calls_can_be_cancelled();
	a_cancelled_exception_is_a_fault();
	an_orphan_has_no_answer();
	lost_connections_orphan_their_calls();
	stubs_may_poll();
	blocked_stubs_are_interrupted();

	interfaces_refuse();
	attributes_are_told();
	servers_can_be_managed();

	stop_server();
	return tap_end();
}
