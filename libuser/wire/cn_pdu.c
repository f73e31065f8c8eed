// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * PDUs of the connection-oriented protocol: bytes to structures and back. The
 * layouts are those of C706, chapter 12.6, with what [MS-RPCE] 2.2.2 adds.
 *
 * Bodies are read through a cursor that knows where the body ends: asked for
 * more it gives nothing from then on, so that a decoder looks once, at its
 * end. A body ends before the authentication trailer; we understand none, but
 * a peer may send one, and it must not be taken for data.
 *
 * Flag 0x04 is a pending cancel in requests and answers only. In the PDUs of
 * a bind it offers to sign headers ([MS-RPCE] 2.2.2.3), and no decoder here
 * makes anything of it.
 */
#include "wire/bytes.h"
#include "wire/cn_pdu.h"

#define TRAILER_SIZE	8  /* of authentication, before the credentials */
#define BIND_SIZE	28 /* header and fixed body */
#define CONTEXT_SIZE	24 /* without transfer syntaxes */
#define SYNTAX_SIZE	20
#define RESULT_SIZE	24
#define NAK_SIZE	24
#define SHORT_FAULT	28
#define MAX_FRAG_LENGTH 0xffff

const RPC_SYNTAX_IDENTIFIER rpcc_ndr_syntax = {
	{ 0x8a885d04,
	  0x1ceb,
	  0x11c9,
	  { 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60 } },
	{ 2, 0 },
};

const RPC_SYNTAX_IDENTIFIER rpcc_ndr64_syntax = {
	{ 0x71710533,
	  0xbeba,
	  0x4937,
	  { 0x83, 0x19, 0xb5, 0xdb, 0xef, 0x9c, 0xcc, 0x36 } },
	{ 1, 0 },
};

/* The bits are in the first byte of Data4; the others are reserved. */
static const RPC_SYNTAX_IDENTIFIER features_syntax = {
	{ 0x6cb71c2c, 0x9812, 0x4540, { 0 } },
	{ 1, 0 },
};

/* What has yet to be read of a body. @p NULL: more was asked for than is. */
struct cursor {
	const uint8_t *p, *end;
	bool little;
};

static const uint8_t *take(struct cursor *c, size_t count)
{
	const uint8_t *p = c->p;

	if (!p || (size_t)(c->end - p) < count) {
		c->p = NULL;
		return NULL;
	}
	c->p = p + count;
	return p;
}

static uint8_t take_u8(struct cursor *c)
{
	const uint8_t *p = take(c, 1);

	return p ? *p : 0;
}

static uint16_t take_u16(struct cursor *c)
{
	const uint8_t *p = take(c, 2);

	return p ? get_u16(p, c->little) : 0;
}

static uint32_t take_u32(struct cursor *c)
{
	const uint8_t *p = take(c, 4);

	return p ? get_u32(p, c->little) : 0;
}

static void take_uuid(struct cursor *c, UUID *uuid)
{
	const uint8_t *p = take(c, 16);

	if (p)
		get_uuid(p, c->little, uuid);
}

static void take_syntax(struct cursor *c, RPC_SYNTAX_IDENTIFIER *syntax)
{
	uint32_t version;

	take_uuid(c, &syntax->SyntaxGUID);
	version = take_u32(c);
	syntax->SyntaxVersion.MajorVersion = version & 0xffff;
	syntax->SyntaxVersion.MinorVersion = version >> 16;
}

static size_t trailer_size(const struct cn_header *header)
{
	return header->auth_length ? TRAILER_SIZE + header->auth_length : 0;
}

/* cn_get_header() has seen that the trailer fits. */
static struct cursor body(const uint8_t *pdu, const struct cn_header *header)
{
	struct cursor c = {
		.p = pdu + CN_HEADER_SIZE,
		.end = pdu + header->frag_length - trailer_size(header),
		.little = cn_little_endian(header->drep),
	};

	return c;
}

/* What is left is the stub's bytes, but for what pads them to the trailer. */
static bool take_stub(struct cursor *c, const struct cn_header *header,
		      const uint8_t **stub, size_t *length)
{
	size_t pad;

	if (!c->p)
		return false;
	pad = header->auth_length ? c->end[2] : 0;
	if ((size_t)(c->end - c->p) < pad)
		return false;
	*stub = c->p;
	*length = (size_t)(c->end - c->p) - pad;
	return true;
}

bool cn_get_header(const uint8_t *pdu, struct cn_header *header)
{
	bool little;

	header->vers = pdu[0];
	header->vers_minor = pdu[1];
	header->type = pdu[2];
	header->flags = pdu[3];
	header->drep = get_u32(pdu + 4, true);
	little = cn_little_endian(header->drep);
	header->frag_length = get_u16(pdu + 8, little);
	header->auth_length = get_u16(pdu + 10, little);
	header->call_id = get_u32(pdu + 12, little);

	return header->vers == 5 && header->vers_minor <= 1 &&
	       valid_drep(header->drep) &&
	       header->frag_length >= CN_HEADER_SIZE + trailer_size(header);
}

static void take_context(struct cursor *c, struct cn_context *context)
{
	uint8_t i, count;

	context->id = take_u16(c);
	count = take_u8(c);
	take(c, 1);
	take_syntax(c, &context->abstract);
	context->transfer_count =
		count < CN_MAX_TRANSFERS ? count : CN_MAX_TRANSFERS;
	for (i = 0; i < context->transfer_count; i++)
		take_syntax(c, &context->transfer[i]);
	take(c, (size_t)(count - i) * SYNTAX_SIZE);
}

bool cn_get_bind(const uint8_t *pdu, const struct cn_header *header,
		 struct cn_bind *bind)
{
	struct cursor c = body(pdu, header);
	uint8_t i, count;

	bind->max_xmit = take_u16(&c);
	bind->max_recv = take_u16(&c);
	bind->assoc_group = take_u32(&c);
	bind->context_count = 0;
	count = take_u8(&c);
	take(&c, 3);
	if (count > CN_MAX_CONTEXTS)
		return false;
	for (i = 0; i < count; i++)
		take_context(&c, &bind->context[i]);
	bind->context_count = count;
	return c.p;
}

/* The text may lack its NUL, or be longer than any port or pipe is. */
static void take_sec_addr(struct cursor *c, char *text, size_t size)
{
	size_t length = take_u16(c);
	const uint8_t *p = take(c, length);

	if (!p)
		return;
	if (length > size - 1)
		length = size - 1;
	memcpy(text, p, length);
	text[length] = 0;
}

static size_t align4(size_t offset)
{
	return (offset + 3) & ~(size_t)3;
}

bool cn_get_bind_ack(const uint8_t *pdu, const struct cn_header *header,
		     struct cn_bind_ack *ack)
{
	struct cursor c = body(pdu, header);
	struct cn_result *r;
	uint8_t count;

	ack->sec_addr[0] = 0;
	ack->result_count = 0;
	ack->max_xmit = take_u16(&c);
	ack->max_recv = take_u16(&c);
	ack->assoc_group = take_u32(&c);
	take_sec_addr(&c, ack->sec_addr, sizeof(ack->sec_addr));
	if (c.p)
		take(&c, align4((size_t)(c.p - pdu)) - (size_t)(c.p - pdu));
	count = take_u8(&c);
	take(&c, 3);
	if (count > CN_MAX_CONTEXTS)
		return false;
	for (r = ack->result; r < ack->result + count; r++) {
		r->result = take_u16(&c);
		r->reason = take_u16(&c);
		take_syntax(&c, &r->transfer);
	}
	ack->result_count = count;
	return c.p;
}

/* The versions that the server has are for people; we have no other. */
bool cn_get_bind_nak(const uint8_t *pdu, const struct cn_header *header,
		     uint16_t *reason)
{
	struct cursor c = body(pdu, header);

	*reason = take_u16(&c);
	return c.p;
}

bool cn_get_request(const uint8_t *pdu, const struct cn_header *header,
		    struct cn_request *request)
{
	struct cursor c = body(pdu, header);

	request->alloc_hint = take_u32(&c);
	request->context_id = take_u16(&c);
	request->opnum = take_u16(&c);
	request->has_object = header->flags & CN_OBJECT_UUID;
	memset(&request->object, 0, sizeof(request->object));
	if (request->has_object)
		take_uuid(&c, &request->object);
	return take_stub(&c, header, &request->stub, &request->stub_length);
}

static void take_answer(struct cursor *c, struct cn_response *response)
{
	response->alloc_hint = take_u32(c);
	response->context_id = take_u16(c);
	response->cancel_count = take_u8(c);
	take(c, 1);
	response->status = 0;
}

bool cn_get_response(const uint8_t *pdu, const struct cn_header *header,
		     struct cn_response *response)
{
	struct cursor c = body(pdu, header);

	take_answer(&c, response);
	return take_stub(&c, header, &response->stub, &response->stub_length);
}

/* Some servers end a fault after its status, without the reserved word. */
bool cn_get_fault(const uint8_t *pdu, const struct cn_header *header,
		  struct cn_response *fault)
{
	struct cursor c = body(pdu, header);

	take_answer(&c, fault);
	fault->status = take_u32(&c);
	if (header->frag_length != SHORT_FAULT)
		take(&c, CN_FAULT_SIZE - SHORT_FAULT);
	return take_stub(&c, header, &fault->stub, &fault->stub_length);
}

static void put_header(uint8_t *pdu, enum rpcc_cn_type type, uint8_t flags,
		       size_t frag_length, uint32_t call_id)
{
	pdu[0] = 5;
	pdu[1] = 0;
	pdu[2] = (uint8_t)type;
	pdu[3] = flags;
	put_u32(pdu + 4, 0x10); /* little-endian, ASCII, IEEE */
	put_u16(pdu + 8, (uint16_t)frag_length);
	put_u16(pdu + 10, 0);
	put_u32(pdu + 12, call_id);
}

static uint8_t *put_syntax(uint8_t *p, const RPC_SYNTAX_IDENTIFIER *syntax)
{
	put_uuid(p, &syntax->SyntaxGUID);
	put_u16(p + 16, syntax->SyntaxVersion.MajorVersion);
	put_u16(p + 18, syntax->SyntaxVersion.MinorVersion);
	return p + SYNTAX_SIZE;
}

/* What bind and bind_ack have in common. */
static void put_limits(uint8_t *pdu, uint16_t max_xmit, uint16_t max_recv,
		       uint32_t assoc_group)
{
	put_u16(pdu + 16, max_xmit);
	put_u16(pdu + 18, max_recv);
	put_u32(pdu + 20, assoc_group);
}

static uint8_t *put_count(uint8_t *p, uint8_t count)
{
	put_u32(p, count); /* three bytes are reserved */
	return p + 4;
}

static size_t bind_size(const struct cn_bind *bind)
{
	size_t size = BIND_SIZE;
	uint8_t i;

	for (i = 0; i < bind->context_count; i++)
		size += CONTEXT_SIZE +
			bind->context[i].transfer_count * SYNTAX_SIZE;
	return size;
}

size_t cn_put_bind(uint8_t *pdu, size_t size, bool alter, uint8_t flags,
		   uint32_t call_id, const struct cn_bind *bind)
{
	size_t length = bind_size(bind);
	const struct cn_context *context;
	uint8_t i, j, *p;

	if (length > size || length > MAX_FRAG_LENGTH)
		return 0;

	put_header(pdu, alter ? CN_ALTER_CONTEXT : CN_BIND, flags, length,
		   call_id);
	put_limits(pdu, bind->max_xmit, bind->max_recv, bind->assoc_group);
	p = put_count(pdu + 24, bind->context_count);
	for (i = 0; i < bind->context_count; i++) {
		context = &bind->context[i];
		put_u16(p, context->id);
		put_u16(p + 2, context->transfer_count);
		p = put_syntax(p + 4, &context->abstract);
		for (j = 0; j < context->transfer_count; j++)
			p = put_syntax(p, &context->transfer[j]);
	}
	return length;
}

size_t cn_put_bind_ack(uint8_t *pdu, size_t size, bool alter, uint8_t flags,
		       uint32_t call_id, const struct cn_bind_ack *ack)
{
	size_t addr = strnlen(ack->sec_addr, sizeof(ack->sec_addr) - 1);
	size_t addr_length = addr ? addr + 1 : 0;
	size_t results = align4(26 + addr_length);
	size_t length = results + 4 + ack->result_count * RESULT_SIZE;
	uint8_t i, *p;

	if (length > size || length > MAX_FRAG_LENGTH)
		return 0;

	put_header(pdu, alter ? CN_ALTER_CONTEXT_RESP : CN_BIND_ACK, flags,
		   length, call_id);
	put_limits(pdu, ack->max_xmit, ack->max_recv, ack->assoc_group);
	put_u16(pdu + 24, (uint16_t)addr_length);
	memset(pdu + 26, 0, results - 26);
	memcpy(pdu + 26, ack->sec_addr, addr);
	p = put_count(pdu + results, ack->result_count);
	for (i = 0; i < ack->result_count; i++) {
		put_u16(p, ack->result[i].result);
		put_u16(p + 2, ack->result[i].reason);
		p = put_syntax(p + 4, &ack->result[i].transfer);
	}
	return length;
}

/* One version, 5.0. Windows pads it to 24 bytes, and peers may count on it. */
size_t cn_put_bind_nak(uint8_t *pdu, size_t size, uint32_t call_id,
		       uint16_t reason)
{
	if (size < NAK_SIZE)
		return 0;

	put_header(pdu, CN_BIND_NAK, CN_FIRST_FRAG | CN_LAST_FRAG, NAK_SIZE,
		   call_id);
	put_u16(pdu + 16, reason);
	memset(pdu + 18, 0, NAK_SIZE - 18);
	pdu[18] = 1;
	pdu[19] = 5;
	return NAK_SIZE;
}

size_t cn_put_request(uint8_t *pdu, size_t size, uint8_t flags,
		      uint32_t call_id, uint32_t alloc_hint, uint16_t context,
		      uint16_t opnum, const UUID *object, size_t stub_length)
{
	size_t length = CN_REQUEST_SIZE + (object ? 16 : 0);

	if (length > size || stub_length > MAX_FRAG_LENGTH - length)
		return 0;

	if (object) {
		flags |= CN_OBJECT_UUID;
		put_uuid(pdu + CN_REQUEST_SIZE, object);
	}
	put_header(pdu, CN_REQUEST, flags, length + stub_length, call_id);
	put_u32(pdu + 16, alloc_hint);
	put_u16(pdu + 20, context);
	put_u16(pdu + 22, opnum);
	return length;
}

static void put_answer(uint8_t *pdu, uint32_t alloc_hint, uint16_t context,
		       uint8_t cancel_count)
{
	put_u32(pdu + 16, alloc_hint);
	put_u16(pdu + 20, context);
	pdu[22] = cancel_count;
	pdu[23] = 0;
}

size_t cn_put_response(uint8_t *pdu, size_t size, uint8_t flags,
		       uint32_t call_id, uint32_t alloc_hint, uint16_t context,
		       uint8_t cancel_count, size_t stub_length)
{
	if (size < CN_RESPONSE_SIZE ||
	    stub_length > MAX_FRAG_LENGTH - CN_RESPONSE_SIZE)
		return 0;

	put_header(pdu, CN_RESPONSE, flags, CN_RESPONSE_SIZE + stub_length,
		   call_id);
	put_answer(pdu, alloc_hint, context, cancel_count);
	return CN_RESPONSE_SIZE;
}

/* Some clients take an alloc_hint of 0 ill, so it is the PDU's length. */
size_t cn_put_fault(uint8_t *pdu, size_t size, uint8_t flags, uint32_t call_id,
		    uint16_t context, uint8_t cancel_count, uint32_t status)
{
	if (size < CN_FAULT_SIZE)
		return 0;

	put_header(pdu, CN_FAULT, flags, CN_FAULT_SIZE, call_id);
	put_answer(pdu, CN_FAULT_SIZE, context, cancel_count);
	put_u32(pdu + 24, status);
	put_u32(pdu + 28, 0);
	return CN_FAULT_SIZE;
}

size_t cn_put_bare(uint8_t *pdu, size_t size, enum rpcc_cn_type type,
		   uint8_t flags, uint32_t call_id)
{
	if (size < CN_HEADER_SIZE)
		return 0;

	put_header(pdu, type, flags, CN_HEADER_SIZE, call_id);
	return CN_HEADER_SIZE;
}

static bool same_version(const RPC_SYNTAX_IDENTIFIER *a,
			 const RPC_SYNTAX_IDENTIFIER *b)
{
	return a->SyntaxVersion.MajorVersion == b->SyntaxVersion.MajorVersion &&
	       a->SyntaxVersion.MinorVersion == b->SyntaxVersion.MinorVersion;
}

bool rpcc_syntax_equal(const RPC_SYNTAX_IDENTIFIER *a,
		       const RPC_SYNTAX_IDENTIFIER *b)
{
	return !memcmp(&a->SyntaxGUID, &b->SyntaxGUID, sizeof(a->SyntaxGUID)) &&
	       same_version(a, b);
}

bool rpcc_syntax_features(const RPC_SYNTAX_IDENTIFIER *syntax, uint8_t *bits)
{
	const GUID *uuid = &syntax->SyntaxGUID;

	if (uuid->Data1 != features_syntax.SyntaxGUID.Data1 ||
	    uuid->Data2 != features_syntax.SyntaxGUID.Data2 ||
	    uuid->Data3 != features_syntax.SyntaxGUID.Data3 ||
	    !same_version(syntax, &features_syntax))
		return false;
	*bits = uuid->Data4[0];
	return true;
}

void rpcc_syntax_set_features(RPC_SYNTAX_IDENTIFIER *syntax, uint8_t bits)
{
	*syntax = features_syntax;
	syntax->SyntaxGUID.Data4[0] = bits;
}
