// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * PDUs of the connectionless protocol: bytes to structures and back. The
 * layouts are those of C706, chapter 12.5.
 *
 * A datagram is one PDU. What lies behind its body is the authentication
 * verifier, which only the header's auth_proto announces; it is no part of the
 * body, and we understand none.
 *
 * cl_cancel, cancel_ack and nocall have a body or none, and mean different
 * things by that (an empty cl_cancel orphans the call). The decoders are for
 * bodies and refuse an empty one: look at header->length first.
 *
 * The window of a fack is in KiB whatever the version of its body (FreeDCE
 * sends 1), so the version is handed on and changes nothing here.
 */
#include "wire/bytes.h"
#include "wire/dg_pdu.h"

#define FACK_SIZE   16 /* without selective acknowledgements */
#define CANCEL_SIZE 8
#define ACK_SIZE    9 /* of a cancel_ack; some think it is 12 */
#define STATUS_SIZE 4

static bool little_endian(uint32_t drep)
{
	return drep & 0x10;
}

/* The upper bits of the first two bytes are reserved: not looked at. */
bool dg_get_header(const uint8_t *pdu, size_t size, struct dg_header *header)
{
	bool little;

	if (size < DG_HEADER_SIZE)
		return false;

	header->vers = pdu[0] & 0x0f;
	header->type = pdu[1] & 0x1f;
	header->flags1 = pdu[2];
	header->flags2 = pdu[3];
	header->drep = pdu[4] | (uint32_t)pdu[5] << 8 | (uint32_t)pdu[6] << 16;
	little = little_endian(header->drep);
	header->serial = (uint16_t)(pdu[7] << 8 | pdu[79]);
	get_uuid(pdu + 8, little, &header->object);
	get_uuid(pdu + 24, little, &header->interface);
	get_uuid(pdu + 40, little, &header->activity);
	header->server_boot = get_u32(pdu + 56, little);
	header->interface_vers = get_u32(pdu + 60, little);
	header->seqnum = get_u32(pdu + 64, little);
	header->opnum = get_u16(pdu + 68, little);
	header->interface_hint = get_u16(pdu + 70, little);
	header->activity_hint = get_u16(pdu + 72, little);
	header->length = get_u16(pdu + 74, little);
	header->fragnum = get_u16(pdu + 76, little);
	header->auth_proto = pdu[78];

	return header->vers == 4 && valid_drep(header->drep) &&
	       header->length <= size - DG_HEADER_SIZE;
}

bool dg_get_fack(const uint8_t *pdu, const struct dg_header *header,
		 struct dg_fack *fack)
{
	const uint8_t *body = pdu + DG_HEADER_SIZE;
	bool little = little_endian(header->drep);
	uint16_t i, count;

	if (header->length < FACK_SIZE)
		return false;
	fack->vers = body[0];
	fack->window = get_u16(body + 2, little);
	fack->max_tsdu = get_u32(body + 4, little);
	fack->max_frag = get_u32(body + 8, little);
	fack->serial = get_u16(body + 12, little);
	count = get_u16(body + 14, little);
	if ((header->length - FACK_SIZE) / 4 < count)
		return false;
	if (count > DG_MAX_SELACK)
		count = DG_MAX_SELACK;
	fack->selack_count = count;
	for (i = 0; i < count; i++)
		fack->selack[i] = get_u32(body + FACK_SIZE + 4 * i, little);
	return true;
}

bool dg_get_cancel(const uint8_t *pdu, const struct dg_header *header,
		   struct dg_cancel *cancel)
{
	const uint8_t *body = pdu + DG_HEADER_SIZE;
	bool little = little_endian(header->drep);

	if (header->length < CANCEL_SIZE)
		return false;
	cancel->vers = get_u32(body, little);
	cancel->id = get_u32(body + 4, little);
	cancel->accepting = false;
	return true;
}

bool dg_get_cancel_ack(const uint8_t *pdu, const struct dg_header *header,
		       struct dg_cancel *ack)
{
	if (header->length < ACK_SIZE || !dg_get_cancel(pdu, header, ack))
		return false;
	ack->accepting = pdu[DG_HEADER_SIZE + CANCEL_SIZE];
	return true;
}

bool dg_get_status(const uint8_t *pdu, const struct dg_header *header,
		   uint32_t *status)
{
	if (header->length < STATUS_SIZE)
		return false;
	*status = get_u32(pdu + DG_HEADER_SIZE, little_endian(header->drep));
	return true;
}

void dg_put_header(uint8_t *pdu, const struct dg_header *header)
{
	pdu[0] = 4;
	pdu[1] = header->type;
	pdu[2] = header->flags1;
	pdu[3] = header->flags2;
	pdu[4] = 0x10; /* little-endian, ASCII, IEEE */
	pdu[5] = 0;
	pdu[6] = 0;
	pdu[7] = header->serial >> 8;
	put_uuid(pdu + 8, &header->object);
	put_uuid(pdu + 24, &header->interface);
	put_uuid(pdu + 40, &header->activity);
	put_u32(pdu + 56, header->server_boot);
	put_u32(pdu + 60, header->interface_vers);
	put_u32(pdu + 64, header->seqnum);
	put_u16(pdu + 68, header->opnum);
	put_u16(pdu + 70, header->interface_hint);
	put_u16(pdu + 72, header->activity_hint);
	put_u16(pdu + 74, header->length);
	put_u16(pdu + 76, header->fragnum);
	pdu[78] = header->auth_proto;
	pdu[79] = header->serial & 0xff;
}

static size_t put_length(uint8_t *pdu, struct dg_header *header, size_t length)
{
	header->length = (uint16_t)length;
	dg_put_header(pdu, header);
	return DG_HEADER_SIZE + length;
}

size_t dg_put_fack(uint8_t *pdu, struct dg_header *header,
		   const struct dg_fack *fack)
{
	uint8_t *body = pdu + DG_HEADER_SIZE;
	uint16_t i;

	body[0] = fack->vers;
	body[1] = 0;
	put_u16(body + 2, fack->window);
	put_u32(body + 4, fack->max_tsdu);
	put_u32(body + 8, fack->max_frag);
	put_u16(body + 12, fack->serial);
	put_u16(body + 14, fack->selack_count);
	for (i = 0; i < fack->selack_count; i++)
		put_u32(body + FACK_SIZE + 4 * i, fack->selack[i]);
	return put_length(pdu, header,
			  FACK_SIZE + 4 * (size_t)fack->selack_count);
}

size_t dg_put_cancel(uint8_t *pdu, struct dg_header *header,
		     const struct dg_cancel *cancel)
{
	put_u32(pdu + DG_HEADER_SIZE, cancel->vers);
	put_u32(pdu + DG_HEADER_SIZE + 4, cancel->id);
	return put_length(pdu, header, CANCEL_SIZE);
}

size_t dg_put_cancel_ack(uint8_t *pdu, struct dg_header *header,
			 const struct dg_cancel *ack)
{
	dg_put_cancel(pdu, header, ack);
	pdu[DG_HEADER_SIZE + CANCEL_SIZE] = ack->accepting;
	return put_length(pdu, header, ACK_SIZE);
}

size_t dg_put_status(uint8_t *pdu, struct dg_header *header, uint32_t status)
{
	put_u32(pdu + DG_HEADER_SIZE, status);
	return put_length(pdu, header, STATUS_SIZE);
}
