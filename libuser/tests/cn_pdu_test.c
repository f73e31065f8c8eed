// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * PDUs of the connection-oriented protocol: what is sent, byte by byte; what
 * is understood, in both byte orders; and that nothing is read which is not
 * there.
 */
#include "pdu.h"
#include "wire/cn_pdu.h"

#define BOTH (CN_FIRST_FRAG | CN_LAST_FRAG)

/* As Windows sends them. */
static const uint8_t windows_cancel[] = { 0x05, 0x00, 0x12, 0x06, 0x10, 0x00,
					  0x00, 0x00, 0x10, 0x00, 0x00, 0x00,
					  0x01, 0x00, 0x00, 0x00 };
static const uint8_t windows_orphaned[] = { 0x05, 0x00, 0x13, 0x03, 0x10, 0x00,
					    0x00, 0x00, 0x10, 0x00, 0x00, 0x00,
					    0x08, 0x00, 0x00, 0x00 };

static void bare_pdus(void)
{
	struct cn_header h;
	uint8_t pdu[CN_HEADER_SIZE];

	ok(cn_get_header(windows_cancel, &h), "a co_cancel of Windows");
	is(h.type, CN_CO_CANCEL, "is a co_cancel");
	is(h.flags, CN_LAST_FRAG | CN_PENDING_CANCEL, "with its flags");
	is(h.frag_length, 16, "is nothing but a header");
	is(h.call_id, 1, "names its call");
	ok(cn_get_header(windows_orphaned, &h), "an orphaned of Windows");
	is(h.type, CN_ORPHANED, "is an orphaned");
	is(h.call_id, 8, "names its call");

	is(cn_put_bare(pdu, sizeof(pdu), CN_CO_CANCEL,
		       CN_LAST_FRAG | CN_PENDING_CANCEL, 1),
	   16, "our co_cancel has 16 bytes");
	is_bytes(pdu, windows_cancel, 16, "and is that of Windows");
	is(cn_put_bare(pdu, sizeof(pdu), CN_ORPHANED, BOTH, 8), 16,
	   "our orphaned has 16 bytes");
	is_bytes(pdu, windows_orphaned, 16, "and is that of Windows");
	is(cn_put_bare(pdu, 15, CN_SHUTDOWN, BOTH, 1), 0,
	   "it is not put where it does not fit");
}

static bool header_with(unsigned int offset, uint8_t value)
{
	uint8_t pdu[16];
	struct cn_header h;

	memcpy(pdu, windows_cancel, sizeof(pdu));
	pdu[offset] = value;
	return cn_get_header(pdu, &h);
}

static void headers(void)
{
	static const uint8_t big[] = { 5, 1,  0, 3, 0,	  0,	0,    0,
				       0, 32, 0, 4, 0x01, 0x02, 0x03, 0x04 };
	struct cn_header h;

	ok(!header_with(0, 4), "version 4 is refused");
	ok(!header_with(0, 6), "version 6 is refused");
	ok(header_with(1, 1), "version 5.1 is taken");
	ok(!header_with(1, 2), "version 5.2 is refused");
	ok(header_with(2, 99), "an unknown type is the caller's business");
	ok(header_with(4, 0x11), "EBCDIC is the stub's business");
	ok(!header_with(4, 0x20), "an unknown order of integers is refused");
	ok(!header_with(4, 0x12), "an unknown character set is refused");
	ok(header_with(5, 1), "VAX floats are the stub's business");
	ok(!header_with(8, 15), "a length below the header's is refused");
	ok(!header_with(10, 1), "a trailer that does not fit is refused");

	ok(cn_get_header(big, &h), "a big-endian header");
	is(h.frag_length, 32, "has its length");
	is(h.auth_length, 4, "and that of its credentials");
	is(h.call_id, 0x01020304, "and its call");
}

static void trailer_at_the_limit(void)
{
	uint8_t pdu[16];
	struct cn_header h;

	memcpy(pdu, windows_cancel, sizeof(pdu));
	pdu[8] = 16 + 8 + 5;
	pdu[10] = 5;
	ok(cn_get_header(pdu, &h), "a trailer that just fits is taken");
	pdu[10] = 6;
	ok(!cn_get_header(pdu, &h), "one byte more is refused");
	pdu[10] = 0xff;
	pdu[11] = 0xff;
	ok(!cn_get_header(pdu, &h), "the largest is refused");
}

static void writer_header(struct writer *w, uint8_t type, uint8_t flags,
			  uint16_t auth_length)
{
	static const uint8_t drep[2] = { 0x00, 0x10 };

	w->length = 0;
	add(w, 5, 1);
	add(w, 0, 1);
	add(w, type, 1);
	add(w, flags, 1);
	add(w, drep[w->little], 1);
	add(w, 0, 3);
	add(w, 0, 2); /* see finish() */
	add(w, auth_length, 2);
	add(w, 7, 4);
}

static void finish(struct writer *w)
{
	size_t length = w->length;

	w->length = 8;
	add(w, length, 2);
	w->length = length;
}

static void add_syntax(struct writer *w, const RPC_SYNTAX_IDENTIFIER *syntax)
{
	add_uuid(w, &syntax->SyntaxGUID);
	add(w,
	    (uint32_t)syntax->SyntaxVersion.MinorVersion << 16 |
		    syntax->SyntaxVersion.MajorVersion,
	    4);
}

static const RPC_SYNTAX_IDENTIFIER an_interface = {
	{ 0x60a15ec5,
	  0x4de8,
	  0x11d7,
	  { 0xa6, 0x37, 0x00, 0x50, 0x56, 0xa2, 0x01, 0x82 } },
	{ 1, 2 },
};

typedef bool decode_fn(const uint8_t *pdu, const struct cn_header *h);

/*
 * Decodes each beginning of the PDU as if it were all; the first @whole bytes
 * are needed.
 */
static void truncated(const struct writer *w, size_t whole, decode_fn *decode,
		      const char *what)
{
	struct cn_header h;
	bool good = true;
	uint8_t *pdu;
	size_t i;

	cn_get_header(w->bytes, &h);
	for (i = CN_HEADER_SIZE; i <= w->length; i++) {
		pdu = copy_of(w->bytes, i);
		h.frag_length = (uint16_t)i;
		good = good && decode(pdu, &h) == (i >= whole);
		free(pdu);
	}
	ok(good, "%s is taken only when it is whole", what);
}

static bool decode_bind(const uint8_t *pdu, const struct cn_header *h)
{
	struct cn_bind bind;

	return cn_get_bind(pdu, h, &bind);
}

static bool decode_ack(const uint8_t *pdu, const struct cn_header *h)
{
	struct cn_bind_ack ack;

	return cn_get_bind_ack(pdu, h, &ack);
}

static bool decode_nak(const uint8_t *pdu, const struct cn_header *h)
{
	uint16_t reason;

	return cn_get_bind_nak(pdu, h, &reason);
}

static bool decode_request(const uint8_t *pdu, const struct cn_header *h)
{
	struct cn_request request;

	return cn_get_request(pdu, h, &request);
}

static bool decode_response(const uint8_t *pdu, const struct cn_header *h)
{
	struct cn_response response;

	return cn_get_response(pdu, h, &response);
}

static bool decode_fault(const uint8_t *pdu, const struct cn_header *h)
{
	struct cn_response fault;

	return cn_get_fault(pdu, h, &fault);
}

static void write_bind(struct writer *w, unsigned int contexts,
		       unsigned int transfers)
{
	unsigned int i, j;

	writer_header(w, CN_BIND, BOTH, 0);
	add(w, 4280, 2);
	add(w, 5840, 2);
	add(w, 0x01020304, 4);
	add(w, contexts, 1);
	add(w, 0, 3);
	for (i = 0; i < contexts; i++) {
		add(w, 0x100 + i, 2);
		add(w, transfers, 1);
		add(w, 0, 1);
		add_syntax(w, &an_interface);
		for (j = 0; j < transfers; j++)
			add_syntax(w,
				   j ? &rpcc_ndr64_syntax : &rpcc_ndr_syntax);
	}
	finish(w);
}

static void binds(bool little)
{
	struct writer w = { .little = little };
	struct cn_header h;
	struct cn_bind b;

	write_bind(&w, 2, 2);
	ok(cn_get_header(w.bytes, &h) && h.frag_length == w.length,
	   "the header of a bind, %s", little ? "little" : "big");
	ok(cn_get_bind(w.bytes, &h, &b), "and its body");
	is(b.max_xmit, 4280, "max_xmit");
	is(b.max_recv, 5840, "max_recv");
	is(b.assoc_group, 0x01020304, "assoc_group");
	is(b.context_count, 2, "contexts");
	is(b.context[1].id, 0x101, "id of the second");
	is(b.context[1].transfer_count, 2, "its transfer syntaxes");
	ok(rpcc_syntax_equal(&b.context[1].abstract, &an_interface),
	   "its abstract syntax");
	ok(rpcc_syntax_equal(&b.context[1].transfer[0], &rpcc_ndr_syntax),
	   "its first transfer syntax");
	ok(rpcc_syntax_equal(&b.context[1].transfer[1], &rpcc_ndr64_syntax),
	   "its second");
	truncated(&w, w.length, decode_bind, "a bind");
}

static void bind_limits(void)
{
	struct writer w = { .little = true };
	struct cn_header h;
	struct cn_bind b;

	write_bind(&w, 2, CN_MAX_TRANSFERS + 2);
	cn_get_header(w.bytes, &h);
	ok(cn_get_bind(w.bytes, &h, &b),
	   "more transfer syntaxes than are kept");
	is(b.context[0].transfer_count, CN_MAX_TRANSFERS,
	   "the rest is skipped");
	is(b.context[1].id, 0x101, "and the next context found");

	write_bind(&w, CN_MAX_CONTEXTS, 0);
	cn_get_header(w.bytes, &h);
	ok(cn_get_bind(w.bytes, &h, &b), "as many contexts as are accepted");
	is(b.context_count, CN_MAX_CONTEXTS, "are decoded");
	write_bind(&w, CN_MAX_CONTEXTS + 1, 0);
	cn_get_header(w.bytes, &h);
	ok(!cn_get_bind(w.bytes, &h, &b), "one more is refused");
	is(b.context_count, 0, "and none is there");
	write_bind(&w, 0, 0);
	cn_get_header(w.bytes, &h);
	ok(cn_get_bind(w.bytes, &h, &b),
	   "none at all is the caller's business");
}

/* What Samba's and Windows' clients send for NDR on one interface. */
static void bind_bytes(void)
{
	static const uint8_t want[] = {
		0x05, 0x00, 0x0b, 0x03, 0x10, 0x00, 0x00, 0x00, 0x48,
		0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0xd0, 0x16,
		0xd0, 0x16, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x01, 0x00, 0xc5, 0x5e, 0xa1, 0x60,
		0xe8, 0x4d, 0xd7, 0x11, 0xa6, 0x37, 0x00, 0x50, 0x56,
		0xa2, 0x01, 0x82, 0x01, 0x00, 0x02, 0x00, 0x04, 0x5d,
		0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8, 0x08,
		0x00, 0x2b, 0x10, 0x48, 0x60, 0x02, 0x00, 0x00, 0x00,
	};
	static struct cn_bind bind = {
		.max_xmit = CN_DEFAULT_FRAG,
		.max_recv = CN_DEFAULT_FRAG,
		.context_count = 1,
	};
	uint8_t pdu[sizeof(want)];

	bind.context[0].transfer_count = 1;
	bind.context[0].abstract = an_interface;
	bind.context[0].transfer[0] = rpcc_ndr_syntax;
	is(cn_put_bind(pdu, sizeof(pdu), false, BOTH, 1, &bind), sizeof(want),
	   "a bind has 72 bytes");
	is_bytes(pdu, want, sizeof(want), "those that are expected");
	is(cn_put_bind(pdu, sizeof(pdu) - 1, false, BOTH, 1, &bind), 0,
	   "it is not put where it does not fit");
	cn_put_bind(pdu, sizeof(pdu), true, BOTH, 1, &bind);
	is(pdu[2], CN_ALTER_CONTEXT, "an alter_context differs in its type");
}

static void acks(bool little)
{
	struct writer w = { .little = little };
	struct cn_header h;
	struct cn_bind_ack a;

	writer_header(&w, CN_BIND_ACK, BOTH, 0);
	add(&w, 4280, 2);
	add(&w, 5840, 2);
	add(&w, 0x01020304, 4);
	add(&w, 6, 2);
	memcpy(w.bytes + w.length, "49152", 6);
	w.length += 6;
	add(&w, 1, 1);
	add(&w, 0, 3);
	add(&w, CN_PROVIDER_REJECTION, 2);
	add(&w, CN_REASON_TRANSFER, 2);
	add_syntax(&w, &rpcc_ndr_syntax);
	finish(&w);

	cn_get_header(w.bytes, &h);
	ok(cn_get_bind_ack(w.bytes, &h, &a), "a bind_ack, %s",
	   little ? "little" : "big");
	is(a.max_xmit, 4280, "max_xmit");
	is(a.assoc_group, 0x01020304, "assoc_group");
	ok(!strcmp(a.sec_addr, "49152"), "the secondary address");
	is(a.result_count, 1, "results");
	is(a.result[0].result, CN_PROVIDER_REJECTION, "the result");
	is(a.result[0].reason, CN_REASON_TRANSFER, "its reason");
	ok(rpcc_syntax_equal(&a.result[0].transfer, &rpcc_ndr_syntax),
	   "its syntax");
	truncated(&w, w.length, decode_ack, "a bind_ack");
}

/* Of each length, so that all ways to pad it are met. */
static void secondary_addresses(void)
{
	static struct cn_bind_ack in = { .result_count = 2 }, out;
	bool good = true;
	uint8_t pdu[512];
	struct cn_header h;
	size_t i, length;

	in.result[1].result = CN_NEGOTIATE_ACK;
	in.result[1].reason = CN_FEATURE_KEEP_ON_ORPHAN;
	for (i = 0; i < sizeof(in.sec_addr); i++) {
		length = cn_put_bind_ack(pdu, sizeof(pdu), false, BOTH, 9, &in);
		good = good && cn_get_header(pdu, &h) &&
		       h.frag_length == length &&
		       cn_get_bind_ack(pdu, &h, &out) &&
		       !strcmp(in.sec_addr, out.sec_addr) &&
		       out.result_count == 2 &&
		       out.result[1].result == CN_NEGOTIATE_ACK &&
		       out.result[1].reason == CN_FEATURE_KEEP_ON_ORPHAN;
		if (i < sizeof(in.sec_addr) - 1)
			in.sec_addr[i] = 'a';
	}
	ok(good, "secondary addresses of all lengths come back");
	length = cn_put_bind_ack(pdu, sizeof(pdu), true, BOTH, 9, &in);
	is(pdu[2], CN_ALTER_CONTEXT_RESP, "so do those of an alter_context");
	is(cn_put_bind_ack(pdu, length - 1, false, BOTH, 9, &in), 0,
	   "it is not put where it does not fit");
}

static void long_secondary_address(void)
{
	struct writer w = { .little = true };
	struct cn_header h;
	struct cn_bind_ack a;

	writer_header(&w, CN_BIND_ACK, BOTH, 0);
	add(&w, 0, 8);
	add(&w, 302, 2);
	memset(w.bytes + w.length, 'p', 302);
	w.length += 302;
	add(&w, 0, 4);
	finish(&w);
	cn_get_header(w.bytes, &h);
	ok(cn_get_bind_ack(w.bytes, &h, &a),
	   "a long secondary address without a NUL is taken");
	is(strlen(a.sec_addr), sizeof(a.sec_addr) - 1, "as far as it fits");
}

static void naks(void)
{
	static const uint8_t want[] = {
		5, 0, 13, 3, 0x10, 0, 0, 0, 24, 0, 0, 0,
		2, 0, 0,  0, 4,	   0, 1, 5, 0,	0, 0, 0
	};
	struct writer w = { .little = true };
	struct cn_header h;
	uint16_t reason;

	w.length = cn_put_bind_nak(w.bytes, sizeof(w.bytes), 2, CN_NAK_VERSION);
	is(w.length, 24, "a bind_nak has 24 bytes");
	is_bytes(w.bytes, want, 24, "those that are expected");
	is(cn_put_bind_nak(w.bytes, 23, 2, 0), 0,
	   "it is not put where it does not fit");
	cn_get_header(w.bytes, &h);
	ok(cn_get_bind_nak(w.bytes, &h, &reason), "it is understood");
	is(reason, CN_NAK_VERSION, "with its reason");
	truncated(&w, 18, decode_nak, "a bind_nak");
}

static void requests(bool little, bool object)
{
	struct writer w = { .little = little };
	uint8_t flags = BOTH | (object ? CN_OBJECT_UUID : 0);
	struct cn_header h;
	struct cn_request r;

	writer_header(&w, CN_REQUEST, flags, 0);
	add(&w, 0x11223344, 4);
	add(&w, 0x0102, 2);
	add(&w, 0x0304, 2);
	if (object)
		add_uuid(&w, &test_uuid);
	add(&w, 0xaabbccdd, 5);
	finish(&w);

	cn_get_header(w.bytes, &h);
	ok(cn_get_request(w.bytes, &h, &r), "a request, %s, %s object",
	   little ? "little" : "big", object ? "with an" : "without");
	is(r.alloc_hint, 0x11223344, "alloc_hint");
	is(r.context_id, 0x0102, "context");
	is(r.opnum, 0x0304, "operation");
	is(r.has_object, object, "whether it has an object");
	ok(!object || !memcmp(&r.object, &test_uuid, sizeof(UUID)), "which");
	is(r.stub_length, 5, "length of the stub's bytes");
	ok(r.stub == w.bytes + (object ? 40 : 24), "and where they are");
	truncated(&w, w.length - 5, decode_request, "a request");
}

static void request_bytes(void)
{
	static const uint8_t want[] = {
		5,    0,    0,	  0x83, 0x10, 0,    0,	  0,	43,   0,
		0,    0,    2,	  0,	0,    0,    3,	  0,	0,    0,
		1,    0,    0x05, 0,	0x04, 0x03, 0x02, 0x01, 0x06, 0x05,
		0x08, 0x07, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10
	};
	uint8_t pdu[64];

	is(cn_put_request(pdu, sizeof(pdu), BOTH, 2, 3, 1, 5, &test_uuid, 3),
	   40, "a request with an object has 40 bytes before its stub");
	is_bytes(pdu, want, 40, "those that are expected");
	is(cn_put_request(pdu, sizeof(pdu), BOTH, 2, 3, 1, 5, NULL, 3), 24,
	   "one without has 24");
	is(pdu[3], BOTH, "and not the flag");
	is(cn_put_request(pdu, 39, BOTH, 2, 3, 1, 5, &test_uuid, 3), 0,
	   "it is not put where it does not fit");
	is(cn_put_request(pdu, 64, BOTH, 2, 3, 1, 5, NULL, 65535 - 24), 24,
	   "a fragment may have 65535 bytes");
	is(cn_put_request(pdu, 64, BOTH, 2, 3, 1, 5, NULL, 65536 - 24), 0,
	   "but not more");
	is(cn_put_request(pdu, 64, BOTH, 2, 3, 1, 5, NULL, SIZE_MAX), 0,
	   "not even when the sum overflows");
}

static void answers(bool little)
{
	struct writer w = { .little = little };
	struct cn_header h;
	struct cn_response r;

	writer_header(&w, CN_RESPONSE, BOTH | CN_PENDING_CANCEL, 0);
	add(&w, 0x11223344, 4);
	add(&w, 0x0102, 2);
	add(&w, 3, 1);
	add(&w, 0, 1);
	add(&w, 0xaabbccdd, 4);
	finish(&w);
	cn_get_header(w.bytes, &h);
	ok(cn_get_response(w.bytes, &h, &r), "a response, %s",
	   little ? "little" : "big");
	is(r.alloc_hint, 0x11223344, "alloc_hint");
	is(r.context_id, 0x0102, "context");
	is(r.cancel_count, 3, "cancels");
	is(r.status, 0, "no status");
	is(r.stub_length, 4, "the stub's bytes");
	truncated(&w, 24, decode_response, "a response");

	w.bytes[2] = CN_FAULT;
	add(&w, 0, 4);
	add(&w, 0x55, 1);
	finish(&w);
	cn_get_header(w.bytes, &h);
	ok(cn_get_fault(w.bytes, &h, &r), "a fault");
	is(r.status, 0xaabbccdd, "its status");
	is(r.cancel_count, 3, "cancels");
	is(r.stub_length, 1, "the stub's bytes");
}

/* Truncated, it has 28 bytes at one point: what some servers send. */
static void short_faults(void)
{
	struct writer w = { .little = true };
	struct cn_header h;
	struct cn_response r;
	unsigned int length;
	bool good = true;

	w.length = cn_put_fault(w.bytes, sizeof(w.bytes), BOTH, 1, 0, 0,
				0x1c00000d);
	cn_get_header(w.bytes, &h);
	for (length = 16; length <= 32; length++) {
		h.frag_length = (uint16_t)length;
		good = good && decode_fault(w.bytes, &h) ==
				       (length == 28 || length == 32);
	}
	ok(good, "a fault has 28 bytes or at least 32");
	h.frag_length = 28;
	cn_get_fault(w.bytes, &h, &r);
	is(r.status, 0x1c00000d, "one of 28 has its status");
	is(r.stub_length, 0, "and no stub's bytes");
}

static void answer_bytes(void)
{
	static const uint8_t fault[] = { 5,    0, 3,	0x23, 0x10, 0, 0, 0,
					 32,   0, 0,	0,    7,    0, 0, 0,
					 32,   0, 0,	0,    1,    0, 2, 0,
					 0x0d, 0, 0x00, 0x1c, 0,    0, 0, 0 };
	static const uint8_t response[] = { 5,	0, 2, 3, 0x10, 0, 0, 0,
					    34, 0, 0, 0, 7,    0, 0, 0,
					    10, 0, 0, 0, 1,    0, 2, 0 };
	uint8_t pdu[32];

	is(cn_put_fault(pdu, 32, BOTH | CN_DID_NOT_EXECUTE, 7, 1, 2,
			0x1c00000d),
	   32, "a fault has 32 bytes");
	is_bytes(pdu, fault, 32, "those that are expected");
	is(cn_put_fault(pdu, 31, BOTH, 7, 1, 2, 5), 0,
	   "it is not put where it does not fit");
	is(cn_put_response(pdu, 24, BOTH, 7, 10, 1, 2, 10), 24,
	   "a response has 24 bytes before its stub");
	is_bytes(pdu, response, 24, "those that are expected");
	is(cn_put_response(pdu, 23, BOTH, 7, 10, 1, 2, 10), 0,
	   "it is not put where it does not fit");
	is(cn_put_response(pdu, 24, BOTH, 7, 10, 1, 2, 65536 - 24), 0,
	   "nor when it would be longer than a fragment can be");
}

/* @pad bytes, then 8 and the credentials. */
static bool trailer(unsigned int stub, unsigned int pad, unsigned int said,
		    size_t *length)
{
	struct writer w = { .little = true };
	struct cn_header h;
	struct cn_request r;
	bool good;
	uint8_t *pdu;

	writer_header(&w, CN_REQUEST, BOTH, 4);
	add(&w, 0, 8);
	w.length += stub + pad;
	add(&w, 10, 1);
	add(&w, 6, 1);
	add(&w, said, 1);
	add(&w, 0, 5);
	add(&w, 0, 4);
	finish(&w);
	pdu = copy_of(w.bytes, w.length);
	good = cn_get_header(pdu, &h) && cn_get_request(pdu, &h, &r);
	free(pdu);
	*length = good ? r.stub_length : 0;
	return good;
}

static void trailers(void)
{
	size_t length;

	ok(trailer(5, 3, 3, &length), "a request with a trailer");
	is(length, 5, "neither pad nor trailer are the stub's");
	ok(trailer(0, 0, 0, &length), "a trailer and no stub's bytes");
	ok(trailer(5, 3, 8, &length), "a pad that is all of the body");
	is(length, 0, "leaves nothing");
	ok(!trailer(5, 3, 9, &length), "a pad that reaches further is refused");
	ok(!trailer(0, 0, 255, &length), "the longest as well");
}

static void trailer_of_bind(void)
{
	struct writer w = { .little = true };
	struct cn_header h;
	struct cn_bind b;

	write_bind(&w, 1, 1);
	cn_get_header(w.bytes, &h);
	h.auth_length = 1;
	ok(!cn_get_bind(w.bytes, &h, &b),
	   "contexts that reach into the trailer are refused");
	w.length += 9;
	finish(&w);
	cn_get_header(w.bytes, &h);
	h.auth_length = 1;
	ok(cn_get_bind(w.bytes, &h, &b), "those that end before it are taken");
}

static void syntaxes(void)
{
	RPC_SYNTAX_IDENTIFIER s;
	static const uint8_t samba[] = { 0x2c, 0x1c, 0xb7, 0x6c, 0x12,
					 0x98, 0x40, 0x45, 0x03, 0x00,
					 0x00, 0x00, 0x00, 0x00, 0x00,
					 0x00, 0x01, 0x00, 0x00, 0x00 };
	static struct cn_bind bind = { .context_count = 1 };
	uint8_t bits, pdu[128];

	rpcc_syntax_set_features(&s, CN_FEATURE_SEC_CONTEXT_MPX |
					     CN_FEATURE_KEEP_ON_ORPHAN);
	ok(rpcc_syntax_features(&s, &bits), "a feature syntax is known");
	is(bits, 3, "with its bits");
	bind.context[0].transfer_count = 1;
	bind.context[0].transfer[0] = s;
	cn_put_bind(pdu, sizeof(pdu), false, BOTH, 1, &bind);
	is_bytes(pdu + 52, samba, 20, "on the wire it is what Samba sends");
	ok(!rpcc_syntax_features(&rpcc_ndr_syntax, &bits), "NDR is none");
	s.SyntaxVersion.MajorVersion = 2;
	ok(!rpcc_syntax_features(&s, &bits), "nor is another version");

	s = rpcc_ndr_syntax;
	ok(rpcc_syntax_equal(&s, &rpcc_ndr_syntax), "NDR equals NDR");
	s.SyntaxVersion.MinorVersion = 1;
	ok(!rpcc_syntax_equal(&s, &rpcc_ndr_syntax), "but not another version");
	ok(!rpcc_syntax_equal(&rpcc_ndr64_syntax, &rpcc_ndr_syntax),
	   "nor NDR64");
}

int main(void)
{
	bare_pdus();
	headers();
	trailer_at_the_limit();
	binds(true);
	binds(false);
	bind_limits();
	bind_bytes();
	acks(true);
	acks(false);
	secondary_addresses();
	long_secondary_address();
	naks();
	requests(true, false);
	requests(true, true);
	requests(false, false);
	requests(false, true);
	request_bytes();
	answers(true);
	answers(false);
	short_faults();
	answer_bytes();
	trailers();
	trailer_of_bind();
	syntaxes();
	return tap_end();
}
