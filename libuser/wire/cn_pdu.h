/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * PDUs of the connection-oriented protocol, version 5 (C706, chapter 12).
 *
 * Encoding is little-endian; decoding takes both byte orders. Nothing here
 * allocates: decoded PDUs point into the caller's bytes. Every length is
 * checked; a decoder that returns false has met a PDU that is malformed.
 */
#ifndef RPCC_CN_PDU_H
#define RPCC_CN_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rpcdce.h>

enum rpcc_cn_type {
	CN_REQUEST = 0,
	CN_RESPONSE = 2,
	CN_FAULT = 3,
	CN_BIND = 11,
	CN_BIND_ACK = 12,
	CN_BIND_NAK = 13,
	CN_ALTER_CONTEXT = 14,
	CN_ALTER_CONTEXT_RESP = 15,
	CN_AUTH3 = 16,
	CN_SHUTDOWN = 17,
	CN_CO_CANCEL = 18,
	CN_ORPHANED = 19,
};

#define CN_FIRST_FRAG	   0x01
#define CN_LAST_FRAG	   0x02
#define CN_PENDING_CANCEL  0x04
#define CN_CONC_MPX	   0x10
#define CN_DID_NOT_EXECUTE 0x20
#define CN_MAYBE	   0x40
#define CN_OBJECT_UUID	   0x80

#define CN_HEADER_SIZE	  16
#define CN_REQUEST_SIZE	  24 /* header and fixed body, no object */
#define CN_RESPONSE_SIZE  24
#define CN_FAULT_SIZE	  32
#define CN_MUST_RECV_FRAG 1432 /* C706, appendix K */
#define CN_DEFAULT_FRAG	  5840
#define CN_MAX_CONTEXTS	  32 /* of one bind that we accept */
#define CN_MAX_TRANSFERS  8  /* of one context; the rest is skipped */

/* Reasons of a bind_nak, results and reasons of a bind_ack. */
#define CN_NAK_UNSPECIFIED    0
#define CN_NAK_CONGESTION     1
#define CN_NAK_LIMIT	      2
#define CN_NAK_VERSION	      4
#define CN_NAK_AUTH_TYPE      8
#define CN_ACCEPTANCE	      0
#define CN_USER_REJECTION     1
#define CN_PROVIDER_REJECTION 2
#define CN_NEGOTIATE_ACK      3
#define CN_REASON_UNSPECIFIED 0
#define CN_REASON_ABSTRACT    1
#define CN_REASON_TRANSFER    2
#define CN_REASON_LIMIT	      3

/* Bits of bind-time feature negotiation, [MS-RPCE] 2.2.2.14. */
#define CN_FEATURE_SEC_CONTEXT_MPX 0x01
#define CN_FEATURE_KEEP_ON_ORPHAN  0x02

struct cn_header {
	uint8_t vers, vers_minor;
	uint8_t type; /* enum rpcc_cn_type, or what the peer has sent */
	uint8_t flags;
	uint32_t drep; /* as on the wire, first byte lowest */
	uint16_t frag_length;
	uint16_t auth_length;
	uint32_t call_id;
};

struct cn_context {
	uint16_t id;
	uint8_t transfer_count; /* those in @transfer */
	RPC_SYNTAX_IDENTIFIER abstract;
	RPC_SYNTAX_IDENTIFIER transfer[CN_MAX_TRANSFERS];
};

struct cn_bind { /* and alter_context */
	uint16_t max_xmit, max_recv;
	uint32_t assoc_group;
	uint8_t context_count;
	struct cn_context context[CN_MAX_CONTEXTS];
};

struct cn_result {
	uint16_t result, reason;
	RPC_SYNTAX_IDENTIFIER transfer;
};

struct cn_bind_ack { /* and alter_context_resp */
	uint16_t max_xmit, max_recv;
	uint32_t assoc_group;
	char sec_addr[64]; /* encoded with its NUL; "" as length 0 */
	uint8_t result_count;
	struct cn_result result[CN_MAX_CONTEXTS];
};

struct cn_request {
	uint32_t alloc_hint;
	uint16_t context_id;
	uint16_t opnum;
	bool has_object;
	UUID object;
	const uint8_t *stub;
	size_t stub_length;
};

struct cn_response {	     /* and fault, which has @status */
	uint32_t alloc_hint; /* not to be trusted, nor that of a request */
	uint16_t context_id;
	uint8_t cancel_count;
	uint32_t status;
	const uint8_t *stub;
	size_t stub_length;
};

/* Whether integers of a peer with this label are little-endian. */
static inline bool cn_little_endian(uint32_t drep)
{
	return drep & 0x10;
}

/*
 * The header out of at least CN_HEADER_SIZE bytes. False if no PDU can begin
 * so: version, byte order, a length below the header, an auth trailer that
 * does not fit. frag_length is then not to be trusted; the other fields are as
 * sent, for a bind_nak that says which version we have.
 */
bool cn_get_header(const uint8_t *pdu, struct cn_header *header);

/*
 * The body of a whole PDU of header->frag_length bytes. A bind or bind_ack of
 * more than CN_MAX_CONTEXTS is refused like a malformed one; that it is a bind
 * is for the caller to know, who answers with a bind_nak either way.
 */
bool cn_get_bind(const uint8_t *pdu, const struct cn_header *header,
		 struct cn_bind *bind);
bool cn_get_bind_ack(const uint8_t *pdu, const struct cn_header *header,
		     struct cn_bind_ack *ack);
bool cn_get_bind_nak(const uint8_t *pdu, const struct cn_header *header,
		     uint16_t *reason);
bool cn_get_request(const uint8_t *pdu, const struct cn_header *header,
		    struct cn_request *request);
bool cn_get_response(const uint8_t *pdu, const struct cn_header *header,
		     struct cn_response *response);
bool cn_get_fault(const uint8_t *pdu, const struct cn_header *header,
		  struct cn_response *fault);

/*
 * Whole PDUs, or for request and response what comes before the stub's bytes.
 * Return the length, 0 if @size is too small. Little-endian, minor version 0.
 */
size_t cn_put_bind(uint8_t *pdu, size_t size, bool alter, uint8_t flags,
		   uint32_t call_id, const struct cn_bind *bind);
size_t cn_put_bind_ack(uint8_t *pdu, size_t size, bool alter, uint8_t flags,
		       uint32_t call_id, const struct cn_bind_ack *ack);
size_t cn_put_bind_nak(uint8_t *pdu, size_t size, uint32_t call_id,
		       uint16_t reason);
/* @stub_length: how many bytes of the stub follow in this fragment. */
size_t cn_put_request(uint8_t *pdu, size_t size, uint8_t flags,
		      uint32_t call_id, uint32_t alloc_hint, uint16_t context,
		      uint16_t opnum, const UUID *object, size_t stub_length);
size_t cn_put_response(uint8_t *pdu, size_t size, uint8_t flags,
		       uint32_t call_id, uint32_t alloc_hint, uint16_t context,
		       uint8_t cancel_count, size_t stub_length);
size_t cn_put_fault(uint8_t *pdu, size_t size, uint8_t flags, uint32_t call_id,
		    uint16_t context, uint8_t cancel_count, uint32_t status);
/* co_cancel, orphaned, shutdown: nothing but a header. */
size_t cn_put_bare(uint8_t *pdu, size_t size, enum rpcc_cn_type type,
		   uint8_t flags, uint32_t call_id);

extern const RPC_SYNTAX_IDENTIFIER rpcc_ndr_syntax;   /* NDR 2.0 */
extern const RPC_SYNTAX_IDENTIFIER rpcc_ndr64_syntax; /* NDR64 1.0 */

bool rpcc_syntax_equal(const RPC_SYNTAX_IDENTIFIER *a,
		       const RPC_SYNTAX_IDENTIFIER *b);
/* Whether it is a bind-time feature syntax; @bits: which. */
bool rpcc_syntax_features(const RPC_SYNTAX_IDENTIFIER *syntax, uint8_t *bits);
void rpcc_syntax_set_features(RPC_SYNTAX_IDENTIFIER *syntax, uint8_t bits);

#endif /* RPCC_CN_PDU_H */
