// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * One datagram of the connectionless protocol, decoded as each of the types.
 * What was decoded and is encoded again must decode to the same.
 */
#include "fuzz.h"
#include "wire/dg_pdu.h"

static uint8_t again[DG_MUST_RECV_FRAG];

static void header_again(const struct dg_header *h, size_t size,
			 struct dg_header *other)
{
	MUST(size <= sizeof(again));
	MUST(dg_get_header(again, size, other));
	MUST(other->length == size - DG_HEADER_SIZE);
	MUST(other->type == h->type && other->serial == h->serial);
	MUST(!memcmp(&other->activity, &h->activity, sizeof(UUID)));
	MUST(other->seqnum == h->seqnum && other->fragnum == h->fragnum);
}

static void try_fack(const uint8_t *pdu, struct dg_header h)
{
	struct dg_fack fack, other;
	struct dg_header g;

	if (!dg_get_fack(pdu, &h, &fack))
		return;
	MUST(fack.selack_count <= DG_MAX_SELACK);
	header_again(&h, dg_put_fack(again, &h, &fack), &g);
	MUST(dg_get_fack(again, &g, &other));
	MUST(other.window == fack.window && other.serial == fack.serial);
	MUST(other.selack_count == fack.selack_count);
	MUST(!memcmp(other.selack, fack.selack,
		     fack.selack_count * sizeof(fack.selack[0])));
}

static void try_cancel(const uint8_t *pdu, struct dg_header h)
{
	struct dg_cancel cancel, other;
	struct dg_header g;

	if (!dg_get_cancel(pdu, &h, &cancel))
		return;
	header_again(&h, dg_put_cancel(again, &h, &cancel), &g);
	MUST(dg_get_cancel(again, &g, &other) && other.id == cancel.id);
}

static void try_cancel_ack(const uint8_t *pdu, struct dg_header h)
{
	struct dg_cancel ack, other;
	struct dg_header g;

	if (!dg_get_cancel_ack(pdu, &h, &ack))
		return;
	header_again(&h, dg_put_cancel_ack(again, &h, &ack), &g);
	MUST(dg_get_cancel_ack(again, &g, &other));
	MUST(other.id == ack.id && other.accepting == ack.accepting);
}

static void try_status(const uint8_t *pdu, struct dg_header h)
{
	struct dg_header g;
	uint32_t status, other;

	if (!dg_get_status(pdu, &h, &status))
		return;
	header_again(&h, dg_put_status(again, &h, status), &g);
	MUST(dg_get_status(again, &g, &other) && other == status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *pdu = exact_copy(data, size);
	struct dg_header h;

	if (dg_get_header(pdu, size, &h)) {
		MUST(h.length <= size - DG_HEADER_SIZE);
		try_fack(pdu, h);
		try_cancel(pdu, h);
		try_cancel_ack(pdu, h);
		try_status(pdu, h);
	}
	free(pdu);
	return 0;
}
