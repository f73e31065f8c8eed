/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * PDUs of the connectionless protocol, version 4 (C706, chapter 12). The same
 * rules as in cn_pdu.h.
 */
#ifndef RPCC_DG_PDU_H
#define RPCC_DG_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rpcdce.h>

enum rpcc_dg_type {
	DG_REQUEST = 0,
	DG_PING = 1,
	DG_RESPONSE = 2,
	DG_FAULT = 3,
	DG_WORKING = 4,
	DG_NOCALL = 5,
	DG_REJECT = 6,
	DG_ACK = 7,
	DG_CANCEL = 8, /* cl_cancel; without a body: orphan */
	DG_FACK = 9,
	DG_CANCEL_ACK = 10,
};

#define DG_LAST_FRAG	   0x02
#define DG_FRAG		   0x04
#define DG_NO_FACK	   0x08
#define DG_MAYBE	   0x10
#define DG_IDEMPOTENT	   0x20
#define DG_BROADCAST	   0x40
#define DG2_CANCEL_PENDING 0x02

#define DG_HEADER_SIZE	  80
#define DG_MUST_RECV_FRAG 1464 /* C706, appendix K: header and body */
#define DG_MAX_SELACK	  32

struct dg_header {
	uint8_t vers;
	uint8_t type;
	uint8_t flags1, flags2;
	uint32_t drep; /* three bytes, first lowest */
	uint16_t serial;
	UUID object, interface, activity;
	uint32_t server_boot;
	uint32_t interface_vers; /* major in the low half */
	uint32_t seqnum;
	uint16_t opnum;
	uint16_t interface_hint, activity_hint;
	uint16_t length; /* of the body */
	uint16_t fragnum;
	uint8_t auth_proto;
};

struct dg_fack {
	uint8_t vers;
	uint16_t window; /* KiB in the original, see dg_pdu.c */
	uint32_t max_tsdu, max_frag;
	uint16_t serial;
	uint16_t
		selack_count; /* those in @selack; a peer's others are skipped */
	uint32_t selack[DG_MAX_SELACK];
};

struct dg_cancel { /* and cancel_ack, which has @accepting */
	uint32_t vers;
	uint32_t id;
	bool accepting;
};

/*
 * @size: of the datagram. The body is at DG_HEADER_SIZE, header->length long;
 * an authentication verifier may follow it.
 */
bool dg_get_header(const uint8_t *pdu, size_t size, struct dg_header *header);

/*
 * The body. Where a PDU may do without (cl_cancel, cancel_ack, nocall), the
 * caller looks at header->length: an empty body is refused here. Bytes beyond
 * what is known are ignored.
 */
bool dg_get_fack(const uint8_t *pdu, const struct dg_header *header,
		 struct dg_fack *fack);
bool dg_get_cancel(const uint8_t *pdu, const struct dg_header *header,
		   struct dg_cancel *cancel);
bool dg_get_cancel_ack(const uint8_t *pdu, const struct dg_header *header,
		       struct dg_cancel *ack);
/* Of fault and reject. */
bool dg_get_status(const uint8_t *pdu, const struct dg_header *header,
		   uint32_t *status);

/*
 * Little-endian, version 4, whatever the header says; room for
 * DG_MUST_RECV_FRAG bytes suffices for each. header->length is set by all but
 * dg_put_header(). Return the length of the datagram.
 */
void dg_put_header(uint8_t *pdu, const struct dg_header *header);
size_t dg_put_fack(uint8_t *pdu, struct dg_header *header,
		   const struct dg_fack *fack);
size_t dg_put_cancel(uint8_t *pdu, struct dg_header *header,
		     const struct dg_cancel *cancel);
size_t dg_put_cancel_ack(uint8_t *pdu, struct dg_header *header,
			 const struct dg_cancel *ack);
size_t dg_put_status(uint8_t *pdu, struct dg_header *header, uint32_t status);

#endif /* RPCC_DG_PDU_H */
