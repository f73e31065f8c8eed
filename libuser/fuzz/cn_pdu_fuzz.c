// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * One PDU of the connection-oriented protocol, decoded as each of the types.
 * What was decoded and is encoded again must decode to the same.
 */
#include "fuzz.h"
#include "wire/cn_pdu.h"

static uint8_t again[65536];

/* The stub's bytes must lie in the PDU, before any trailer. */
static void check_stub(const uint8_t *pdu, const struct cn_header *h,
		       const uint8_t *stub, size_t length)
{
	size_t trailer = h->auth_length ? 8 + h->auth_length : 0;

	MUST(stub >= pdu + CN_HEADER_SIZE);
	MUST(length <= h->frag_length - trailer - (size_t)(stub - pdu));
	free(exact_copy(stub, length));
}

static void header_again(struct cn_header *h, size_t length)
{
	MUST(length >= CN_HEADER_SIZE);
	MUST(cn_get_header(again, h));
	MUST(h->frag_length >= length && !h->auth_length);
}

static void try_bind(const uint8_t *pdu, const struct cn_header *h)
{
	static struct cn_bind bind, other;
	struct cn_header g;
	unsigned int i;

	if (!cn_get_bind(pdu, h, &bind))
		return;
	MUST(bind.context_count <= CN_MAX_CONTEXTS);
	header_again(&g, cn_put_bind(again, sizeof(again), false, h->flags,
				     h->call_id, &bind));
	MUST(cn_get_bind(again, &g, &other));
	MUST(other.assoc_group == bind.assoc_group);
	MUST(other.context_count == bind.context_count);
	for (i = 0; i < bind.context_count; i++) {
		MUST(bind.context[i].transfer_count <= CN_MAX_TRANSFERS);
		MUST(other.context[i].id == bind.context[i].id);
		MUST(rpcc_syntax_equal(&other.context[i].abstract,
				       &bind.context[i].abstract));
		MUST(!memcmp(other.context[i].transfer,
			     bind.context[i].transfer,
			     bind.context[i].transfer_count *
				     sizeof(RPC_SYNTAX_IDENTIFIER)));
	}
}

static void try_bind_ack(const uint8_t *pdu, const struct cn_header *h)
{
	static struct cn_bind_ack ack, other;
	struct cn_header g;

	if (!cn_get_bind_ack(pdu, h, &ack))
		return;
	MUST(ack.result_count <= CN_MAX_CONTEXTS);
	MUST(memchr(ack.sec_addr, 0, sizeof(ack.sec_addr)));
	header_again(&g, cn_put_bind_ack(again, sizeof(again), true, h->flags,
					 h->call_id, &ack));
	MUST(cn_get_bind_ack(again, &g, &other));
	MUST(!strcmp(other.sec_addr, ack.sec_addr));
	MUST(other.result_count == ack.result_count);
	MUST(!memcmp(other.result, ack.result,
		     ack.result_count * sizeof(ack.result[0])));
}

static void try_bind_nak(const uint8_t *pdu, const struct cn_header *h)
{
	uint16_t reason, other;
	struct cn_header g;

	if (!cn_get_bind_nak(pdu, h, &reason))
		return;
	header_again(&g,
		     cn_put_bind_nak(again, sizeof(again), h->call_id, reason));
	MUST(cn_get_bind_nak(again, &g, &other) && other == reason);
}

static void try_request(const uint8_t *pdu, const struct cn_header *h)
{
	struct cn_request r, other;
	struct cn_header g;

	if (!cn_get_request(pdu, h, &r))
		return;
	check_stub(pdu, h, r.stub, r.stub_length);
	header_again(&g,
		     cn_put_request(again, sizeof(again), h->flags, h->call_id,
				    r.alloc_hint, r.context_id, r.opnum,
				    r.has_object ? &r.object : NULL,
				    r.stub_length));
	MUST(cn_get_request(again, &g, &other));
	MUST(other.alloc_hint == r.alloc_hint && other.opnum == r.opnum);
	MUST(other.context_id == r.context_id);
	MUST(!memcmp(&other.object, &r.object, sizeof(r.object)));
	MUST(other.stub_length == r.stub_length);
}

static void try_response(const uint8_t *pdu, const struct cn_header *h)
{
	struct cn_response r, other;
	struct cn_header g;

	if (!cn_get_response(pdu, h, &r))
		return;
	check_stub(pdu, h, r.stub, r.stub_length);
	header_again(&g, cn_put_response(again, sizeof(again), h->flags,
					 h->call_id, r.alloc_hint, r.context_id,
					 r.cancel_count, r.stub_length));
	MUST(cn_get_response(again, &g, &other));
	MUST(other.alloc_hint == r.alloc_hint);
	MUST(other.cancel_count == r.cancel_count);
	MUST(other.stub_length == r.stub_length);
}

static void try_fault(const uint8_t *pdu, const struct cn_header *h)
{
	struct cn_response r, other;
	struct cn_header g;

	if (!cn_get_fault(pdu, h, &r))
		return;
	check_stub(pdu, h, r.stub, r.stub_length);
	header_again(&g,
		     cn_put_fault(again, sizeof(again), h->flags, h->call_id,
				  r.context_id, r.cancel_count, r.status));
	MUST(cn_get_fault(again, &g, &other));
	MUST(other.status == r.status && other.context_id == r.context_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cn_header h;
	uint8_t *pdu;

	if (size < CN_HEADER_SIZE || !cn_get_header(data, &h) ||
	    h.frag_length > size)
		return -1;
	pdu = exact_copy(data, h.frag_length);
	try_bind(pdu, &h);
	try_bind_ack(pdu, &h);
	try_bind_nak(pdu, &h);
	try_request(pdu, &h);
	try_response(pdu, &h);
	try_fault(pdu, &h);
	free(pdu);
	return 0;
}
