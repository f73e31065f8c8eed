/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Bodies that do not fit into one datagram: the sender's and the receiver's end
 * of C706's fragments, without the sockets. Both ends of a call use both.
 *
 * The receiver says by facks what has come: all below one number, and by a bit
 * mask what has come beyond it. The sender keeps at most a window of fragments
 * under way. The serial number of the packet that a fack answers tells which
 * fragments were sent before it, and are missing because they were lost.
 *
 * Ownership: a sender's bytes are the caller's, and stay until it is done. A
 * receiver's are its own; the caller may take @data over when it is complete.
 * No locking: a call's owner is one thread.
 */
#ifndef RPCC_DG_FRAGMENTS_H
#define RPCC_DG_FRAGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/dg_pdu.h"

#define DG_BODY_SIZE	 (DG_MUST_RECV_FRAG - DG_HEADER_SIZE)
#define DG_MAX_FRAGMENTS 65535 /* 0xffff in a fack means that none has come */
#define DG_MAX_BODY	 ((uint32_t)DG_MAX_FRAGMENTS * DG_BODY_SIZE)
#define DG_WINDOW	 32   /* most fragments under way */
#define DG_FIRST_WINDOW	 8    /* before the peer has told its own */
#define DG_RECEIVE_SIZE	 8192 /* of a datagram; ones cut off are dropped */

struct dg_sender {
	const uint8_t *data;
	uint32_t length;
	uint32_t count;		    /* fragments, at least 1 */
	uint32_t acked;		    /* all below have arrived */
	uint32_t next;		    /* the first one never sent */
	uint32_t window;	    /* fragments under way at a time */
	uint32_t selected;	    /* bit i: acked + i has arrived too */
	uint32_t lost;		    /* bit i: acked + i is to be sent again */
	uint16_t serial[DG_WINDOW]; /* of when a fragment was last sent */
};

/* One fragment: what goes into its header, and its body. */
struct dg_fragment {
	uint16_t number;
	uint8_t flags; /* DG_FRAG, DG_LAST_FRAG, DG_NO_FACK */
	const uint8_t *body;
	uint16_t length;
};

/* @length: at most DG_MAX_BODY. */
void dg_sender_init(struct dg_sender *sender, const uint8_t *data,
		    uint32_t length, uint32_t window);
/*
 * What is to be sent now, with @serial; false if there is nothing. Asks for a
 * fack at times, and with what is the last one that may be sent for now.
 */
bool dg_sender_next(struct dg_sender *sender, uint16_t serial,
		    struct dg_fragment *fragment);
/* A fack came; @fragnum is its header's. Whether it tells of progress. */
bool dg_sender_fack(struct dg_sender *sender, uint16_t fragnum,
		    const struct dg_fack *fack);
/* Time has passed without news: the first one missing is to be sent again. */
void dg_sender_resend(struct dg_sender *sender);
/* The peer has lost everything. */
void dg_sender_restart(struct dg_sender *sender);
/* Something else has told that all has arrived. */
void dg_sender_all_arrived(struct dg_sender *sender);

static inline bool dg_sender_done(const struct dg_sender *sender)
{
	return sender->acked == sender->count;
}

struct dg_receiver {
	uint8_t *data; /* from malloc() */
	size_t size;   /* of the block */
	size_t limit;  /* on the length */
	uint32_t length;
	uint32_t next;	/* the first fragment missing */
	uint32_t count; /* fragments; 0 until the last one has come */
	uint32_t ahead; /* bit i: next + i has come */
	size_t held_bytes;
	struct {
		uint8_t *data;
		uint16_t length;
	} held[DG_WINDOW]; /* those, by their number modulo DG_WINDOW */
};

enum dg_received {
	DG_RECEIVED_NEW,
	DG_RECEIVED_AGAIN,
	DG_RECEIVED_ALL,
	DG_RECEIVED_WRONG, /* beyond the window or the last one */
	DG_RECEIVED_TOO_BIG,
	DG_RECEIVED_NO_MEMORY,
};

/* All zero but @limit is a new one. @body: header->length bytes. */
enum dg_received dg_receiver_add(struct dg_receiver *receiver,
				 const struct dg_header *header,
				 const uint8_t *body);
/* What to answer to the packet with @serial; returns the header's fragnum. */
uint16_t dg_receiver_fack(const struct dg_receiver *receiver, uint16_t serial,
			  struct dg_fack *fack);
/* Forgets all that has come, and keeps the block. */
void dg_receiver_reset(struct dg_receiver *receiver);
void dg_receiver_free(struct dg_receiver *receiver);

static inline bool dg_receiver_done(const struct dg_receiver *receiver)
{
	return receiver->count && receiver->next == receiver->count;
}

static inline bool dg_receiver_empty(const struct dg_receiver *receiver)
{
	return !receiver->next && !receiver->ahead;
}

/* The memory in use. */
static inline size_t dg_receiver_bytes(const struct dg_receiver *receiver)
{
	return receiver->size + receiver->held_bytes;
}

#endif /* RPCC_DG_FRAGMENTS_H */
