// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The two ends of a fragmented body; see dg_fragments.h.
 */
#include <stdlib.h>
#include <string.h>

#include "dg/dg_fragments.h"

#define WINDOW_KIB    (DG_WINDOW * DG_MUST_RECV_FRAG / 1024)
#define FACK_INTERVAL 4 /* fragments for one fack, within a burst */
#define FIRST_SIZE    4096

_Static_assert(DG_WINDOW == 32, "the masks have one bit for each fragment");
_Static_assert(DG_BODY_SIZE % 8 == 0, "NDR's alignment survives fragments");

void dg_sender_init(struct dg_sender *sender, const uint8_t *data,
		    uint32_t length, uint32_t window)
{
	memset(sender, 0, sizeof(*sender));
	sender->data = data;
	sender->length = length;
	sender->count = (length + DG_BODY_SIZE - 1) / DG_BODY_SIZE;
	if (!sender->count)
		sender->count = 1;
	sender->window = window;
}

/* The next one is taken from @sender; false if none may be sent. */
static bool take(struct dg_sender *sender, uint32_t *number)
{
	if (sender->lost) {
		unsigned int bit = (unsigned int)__builtin_ctz(sender->lost);

		sender->lost &= ~(1u << bit);
		*number = sender->acked + bit;
		return true;
	}
	if (sender->next == sender->count ||
	    sender->next - sender->acked >= sender->window)
		return false;
	*number = sender->next++;
	return true;
}

static bool more(const struct dg_sender *sender)
{
	return sender->lost || (sender->next < sender->count &&
				sender->next - sender->acked < sender->window);
}

/* C706 wants no fack of the last one: the answer of the call is one. */
static uint8_t fragment_flags(const struct dg_sender *sender, uint32_t number)
{
	if (sender->count == 1)
		return 0;
	if (number == sender->count - 1)
		return DG_FRAG | DG_LAST_FRAG | DG_NO_FACK;
	if (more(sender) && number % FACK_INTERVAL != FACK_INTERVAL - 1)
		return DG_FRAG | DG_NO_FACK;
	return DG_FRAG;
}

bool dg_sender_next(struct dg_sender *sender, uint16_t serial,
		    struct dg_fragment *fragment)
{
	uint32_t number, left;

	if (!take(sender, &number))
		return false;

	left = sender->length - number * DG_BODY_SIZE;
	sender->serial[number % DG_WINDOW] = serial;
	fragment->number = (uint16_t)number;
	fragment->flags = fragment_flags(sender, number);
	fragment->length =
		(uint16_t)(left < DG_BODY_SIZE ? left : DG_BODY_SIZE);
	fragment->body =
		fragment->length ? sender->data + number * DG_BODY_SIZE : NULL;
	return true;
}

static void set_window(struct dg_sender *sender, uint16_t kib)
{
	uint32_t window = (uint32_t)kib * 1024 / DG_MUST_RECV_FRAG;

	if (window < 1)
		window = 1;
	sender->window = window < DG_WINDOW ? window : DG_WINDOW;
}

static void advance(struct dg_sender *sender, uint32_t acked)
{
	uint32_t n = acked - sender->acked;

	sender->acked = acked;
	sender->selected = n < 32 ? sender->selected >> n : 0;
	sender->lost = n < 32 ? sender->lost >> n : 0;
}

/* Bits of what is under way. */
static uint32_t under_way(const struct dg_sender *sender)
{
	uint32_t n = sender->next - sender->acked;

	return n < 32 ? (1u << n) - 1 : UINT32_MAX;
}

/*
 * Sent before the packet that the peer answered, and not there: lost, or on a
 * longer way, which is rarer. One sent again has a new serial number, so this
 * happens once.
 */
static void find_lost(struct dg_sender *sender, uint16_t serial)
{
	uint32_t bits = under_way(sender) & ~sender->selected;

	while (bits) {
		unsigned int bit = (unsigned int)__builtin_ctz(bits);
		uint32_t number = sender->acked + bit;
		uint16_t sent = sender->serial[number % DG_WINDOW];

		if ((int16_t)(sent - serial) < 0)
			sender->lost |= 1u << bit;
		bits &= bits - 1;
	}
}

bool dg_sender_fack(struct dg_sender *sender, uint16_t fragnum,
		    const struct dg_fack *fack)
{
	uint32_t acked = (uint16_t)(fragnum + 1);
	bool progress = acked > sender->acked;

	/* An old one, or one of what was never sent. */
	if (acked < sender->acked || acked > sender->next)
		return false;

	advance(sender, acked);
	set_window(sender, fack->window);
	if (fack->selack_count)
		sender->selected |= fack->selack[0] & under_way(sender);
	sender->lost &= ~sender->selected;
	find_lost(sender, fack->serial);
	return progress;
}

void dg_sender_resend(struct dg_sender *sender)
{
	if (sender->acked < sender->next)
		sender->lost |= 1;
}

void dg_sender_restart(struct dg_sender *sender)
{
	dg_sender_init(sender, sender->data, sender->length, DG_FIRST_WINDOW);
}

void dg_sender_all_arrived(struct dg_sender *sender)
{
	sender->acked = sender->next = sender->count;
	sender->selected = sender->lost = 0;
}

/* There is a block even for an empty body: nothing is no stub's buffer. */
static bool make_room(struct dg_receiver *receiver, size_t size)
{
	size_t grown = receiver->size ? receiver->size * 2 : FIRST_SIZE;
	uint8_t *data;

	if (size <= receiver->size)
		return true;
	while (grown < size)
		grown *= 2;
	data = realloc(receiver->data, grown);
	if (!data)
		return false;
	receiver->data = data;
	receiver->size = grown;
	return true;
}

static enum dg_received append(struct dg_receiver *receiver,
			       const uint8_t *body, uint16_t length)
{
	if (length > receiver->limit - receiver->length)
		return DG_RECEIVED_TOO_BIG;
	if (!make_room(receiver, (size_t)receiver->length + length + 1))
		return DG_RECEIVED_NO_MEMORY;
	if (length)
		memcpy(receiver->data + receiver->length, body, length);
	receiver->length += length;
	receiver->next++;
	receiver->ahead >>= 1;
	return DG_RECEIVED_NEW;
}

/* What was held because something before it was missing. */
static enum dg_received append_held(struct dg_receiver *receiver)
{
	enum dg_received result = DG_RECEIVED_NEW;

	while ((receiver->ahead & 1) && result == DG_RECEIVED_NEW) {
		uint32_t slot = receiver->next % DG_WINDOW;
		uint16_t length = receiver->held[slot].length;

		result = append(receiver, receiver->held[slot].data, length);
		if (result == DG_RECEIVED_NEW) {
			free(receiver->held[slot].data);
			receiver->held[slot].data = NULL;
			receiver->held_bytes -= length;
		}
	}
	return result;
}

static enum dg_received hold(struct dg_receiver *receiver, uint32_t number,
			     const uint8_t *body, uint16_t length)
{
	uint32_t slot = number % DG_WINDOW;
	uint8_t *copy = malloc(length ? length : 1);

	if (!copy)
		return DG_RECEIVED_NO_MEMORY;
	if (length)
		memcpy(copy, body, length);
	receiver->held[slot].data = copy;
	receiver->held[slot].length = length;
	receiver->held_bytes += length;
	receiver->ahead |= 1u << (number - receiver->next);
	return DG_RECEIVED_NEW;
}

/* Whether the number of the last fragment goes with what is known. */
static bool note_last(struct dg_receiver *receiver, uint32_t number, bool last)
{
	if (receiver->count)
		return last ? number == receiver->count - 1
			    : number < receiver->count - 1;
	if (!last)
		return true;
	if (receiver->ahead &&
	    number < receiver->next + 31 -
			     (uint32_t)__builtin_clz(receiver->ahead))
		return false;
	receiver->count = number + 1;
	return true;
}

enum dg_received dg_receiver_add(struct dg_receiver *receiver,
				 const struct dg_header *header,
				 const uint8_t *body)
{
	bool whole = !(header->flags1 & DG_FRAG);
	uint32_t number = whole ? 0 : header->fragnum;
	enum dg_received result;

	if (number < receiver->next)
		return DG_RECEIVED_AGAIN;
	if (number - receiver->next >= DG_WINDOW)
		return DG_RECEIVED_WRONG;
	if (receiver->ahead >> (number - receiver->next) & 1)
		return DG_RECEIVED_AGAIN;
	if (!note_last(receiver, number,
		       whole || (header->flags1 & DG_LAST_FRAG)))
		return DG_RECEIVED_WRONG;

	if (number > receiver->next)
		return hold(receiver, number, body, header->length);
	result = append(receiver, body, header->length);
	if (result == DG_RECEIVED_NEW)
		result = append_held(receiver);
	if (result == DG_RECEIVED_NEW && dg_receiver_done(receiver))
		result = DG_RECEIVED_ALL;
	return result;
}

uint16_t dg_receiver_fack(const struct dg_receiver *receiver, uint16_t serial,
			  struct dg_fack *fack)
{
	memset(fack, 0, sizeof(*fack));
	fack->vers = 1;
	fack->window = WINDOW_KIB;
	fack->max_tsdu = DG_MUST_RECV_FRAG;
	fack->max_frag = DG_MUST_RECV_FRAG;
	fack->serial = serial;
	fack->selack_count = receiver->ahead ? 1 : 0;
	fack->selack[0] = receiver->ahead;
	return (uint16_t)(receiver->next - 1);
}

void dg_receiver_reset(struct dg_receiver *receiver)
{
	unsigned int i;

	for (i = 0; i < DG_WINDOW; i++) {
		free(receiver->held[i].data);
		receiver->held[i].data = NULL;
	}
	receiver->held_bytes = 0;
	receiver->length = 0;
	receiver->next = 0;
	receiver->count = 0;
	receiver->ahead = 0;
}

void dg_receiver_free(struct dg_receiver *receiver)
{
	dg_receiver_reset(receiver);
	free(receiver->data);
	receiver->data = NULL;
	receiver->size = 0;
}
