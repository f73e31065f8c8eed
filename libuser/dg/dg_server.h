/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the files of the connectionless server share.
 *
 *	dg_server.c	   the socket, and what each kind of packet does
 *	dg_conversation.c  the table of the clients' activities
 *	dg_server_call.c   one call: request, stub, answer
 *
 * A conversation is what the server knows of one activity: the number of its
 * last call, and what remains of that call. It lives as long as its client is
 * heard of, and some time more, so that duplicates are known for what they are.
 *
 * Threads: everything here is touched by the loop's thread only, except that a
 * stub's thread ends in respond(), which does nothing but queue the rest.
 */
#ifndef RPCC_DG_SERVER_H
#define RPCC_DG_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "dg/dg_fragments.h"
#include "rpc/server.h"

#define DG_BUCKETS 2048

struct dg_server;

/*
 * A client, and which of our own addresses it has sent to: of a host with many,
 * the answer must come from the same one.
 */
struct dg_peer {
	struct rpcc_address address;
	size_t control_size; /* 0: the kernel chooses */
	_Alignas(struct cmsghdr)
		uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* One packet that came. */
struct dg_packet {
	struct dg_header header;
	const uint8_t *pdu;
	struct dg_peer from;
};

/* Conversations are found by their activity, or by the one that asks them. */
struct dg_node {
	struct dg_node *next, **link; /* @link NULL: not in its table */
	UUID id;
};

struct dg_table {
	uint64_t keys[2];
	struct dg_node *buckets[DG_BUCKETS];
};

/* A call, from dispatch on. Both sides have a reference while they need it. */
struct dg_call {
	struct rpcc_server_call call;
	struct rpcc_work work;
	struct rpcc_loop *loop;
	struct rpcc_address peer;
	struct dg_conversation *conversation; /* NULL: it has gone on */
};

enum dg_state {
	DG_QUIET,     /* no call, or one that is over for both sides */
	DG_RECEIVING, /* the request; or who sends it is not clear yet */
	DG_RUNNING,   /* the stub has it */
	DG_ANSWERING, /* the client is not known to have the answer */
	DG_REFUSED,   /* so it was told, and will be again if it asks again */
};

struct dg_conversation {
	struct dg_node activity;
	struct dg_node question; /* our own activity, to ask who_are_you */
	struct dg_server *server;
	struct dg_conversation *older,
		*newer; /* by when the client was heard */
	uint64_t heard;
	struct dg_peer peer;
	bool known; /* it has proven to be there, and to make this call */
	unsigned int questions; /* without an answer; 0: none is open */

	/* The last call. */
	enum dg_state state;
	struct dg_header request;	  /* what its packets have in common */
	struct rpcc_interface *interface; /* until dispatch */
	struct dg_receiver in;
	uint64_t deadline; /* for the request to be complete */
	uint32_t cancels;
	struct dg_call *call;

	uint8_t answer; /* DG_RESPONSE, DG_FAULT or DG_REJECT */
	uint8_t answer_flags2;
	uint8_t status[4]; /* of the last two, as it is sent */
	struct dg_sender out;
	uint16_t serial;
	uint32_t budget; /* packets that the answer may still cost */
	unsigned int resends;
	uint64_t interval;
	struct rpcc_timer timer;
};

struct dg_server {
	struct rpcc_loop *loop;
	const struct rpcc_protseq *protseq;
	const char *endpoint;
	int fd;
	struct dg_table activities, questions;
	unsigned int count;			 /* of conversations */
	struct dg_conversation *oldest, *newest; /* heard of */
	size_t bytes;				 /* of incomplete requests */
	struct rpcc_timer sweep;

	unsigned int errors; /* of the socket, in a row */
	struct rpcc_timer again;
	struct rpcc_io_req receive;
	struct msghdr message;
	struct iovec part;
	_Alignas(struct cmsghdr) uint8_t control[256];
	struct dg_packet packet;
	uint8_t buffer[DG_RECEIVE_SIZE];
};

/* dg_server.c */
uint32_t dg_server_boot(void);
/* header->length bytes of @body. It may be lost, like any packet. */
void dg_server_send(struct dg_server *server, const struct dg_peer *to,
		    const struct dg_header *header, const uint8_t *body);
/* A whole PDU. */
void dg_server_send_pdu(struct dg_server *server, const struct dg_peer *to,
			const uint8_t *pdu, size_t length);
/* The header of an answer to a packet with @header. */
struct dg_header dg_server_header(const struct dg_header *header,
				  enum rpcc_dg_type type);
void dg_server_reject(struct dg_server *server, const struct dg_peer *to,
		      const struct dg_header *header, uint32_t nca);

/* dg_conversation.c */
bool dg_tables_init(struct dg_server *server);
/* All conversations end, and their calls are orphaned. */
void dg_tables_clear(struct dg_server *server);
struct dg_conversation *dg_find(struct dg_server *server, const UUID *activity);
/* By the activity that asks. */
struct dg_conversation *dg_find_asked(struct dg_server *server,
				      const UUID *question);
/* NULL: no memory, or too many others. */
struct dg_conversation *dg_create(struct dg_server *server,
				  const UUID *activity);
void dg_destroy(struct dg_conversation *c);
/* The client was heard of. */
void dg_heard(struct dg_conversation *c);
/* Asks the client who_are_you, or again; false if that was its end. */
bool dg_ask(struct dg_conversation *c);
void dg_got_reply(struct dg_conversation *c, const struct dg_packet *packet);

/* dg_server_call.c */
/* A new call: @packet is the first of it that came. Takes @interface over. */
void dg_call_begin(struct dg_conversation *c, const struct dg_packet *packet,
		   struct rpcc_interface *interface);
/* A fragment of the request of the present call. */
void dg_call_fragment(struct dg_conversation *c,
		      const struct dg_packet *packet);
/* The client is known now: goes on with what waited for that. */
void dg_call_go_on(struct dg_conversation *c);
/* The client has shown that it waits for what it should have. */
void dg_call_resend(struct dg_conversation *c);
void dg_call_fack(struct dg_conversation *c, const struct dg_packet *packet);
void dg_call_cancel(struct dg_conversation *c, uint32_t id);
void dg_call_expired(struct dg_conversation *c);
/* Whatever is left of the call is dropped; a running one is orphaned. */
void dg_call_end(struct dg_conversation *c);
/* An answer to its client that says no more than its type. */
void dg_call_tell(struct dg_conversation *c, enum rpcc_dg_type type);

#endif /* RPCC_DG_SERVER_H */
