/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The client's side of the connection-oriented protocol.
 *
 * An association is the connections to one server that a binding and its copies
 * use. A channel is one of them. A synchronous call has one to itself. The
 * asynchronous ones, which are all run by the one I/O thread, share channels
 * where the server has granted concurrent multiplexing (C706, chapter 9;
 * [MS-RPCE] 3.3.1.5.8): those that are of the same interface, and whose request
 * is short, so that none waits long behind another.
 *
 * While a channel is in use, it is its driver's, with all that is in it, and its
 * requests are in that driver's engine. Between uses it is in its association's
 * pool, and nothing is under way on it, so that the next use may be any
 * thread's. A channel that others may join is offered: a call joins it in its
 * caller's thread, and does not touch it before it has been started by the I/O
 * thread. Who joins does so before it is known whether the server multiplexes;
 * if it does not, the calls move to channels of their own.
 *
 *	cn_association.c	the pool, and channels' life in it
 *	cn_bind.c		connecting, bind, alter_context
 *	cn_channel.c		bytes in and out
 *	cn_call.c		which calls are on a channel
 *	cn_client.c		requests and answers
 *
 * Lifetime: an association is counted, by bindings and by channels in use. A
 * channel lives until it is closed or its association goes. Locking: one lock
 * for all pools and offers, which is held across fork(2); what else is in a
 * channel in use needs none.
 */
#ifndef RPCC_CN_CLIENT_H
#define RPCC_CN_CLIENT_H

#include <sys/socket.h>

#include "rpc/client.h"
#include "wire/cn_pdu.h"

#define CN_POOL_MAX   32	 /* channels in one */
#define CN_CONTEXTS   16	 /* interfaces on one channel */
#define CN_REPLY_MAX  (64 << 20) /* bytes of one answer */
#define CN_INPUT_MIN  16384
#define CN_BATCH      16 /* fragments that are sent at a time */
#define CN_HEADER_MAX (CN_REQUEST_SIZE + sizeof(UUID))
#define CN_BIND_MAX   128
#define CN_CALLS_MAX  64    /* on one channel */
#define CN_SHARED_MAX 16384 /* bytes of a request that shares: one batch */

struct cn_association {
	unsigned int refs;
	unsigned int channels; /* bound, in the pool or in use */
	uint32_t group; /* the server's name for it while there are any */
	struct cn_channel *pool;
	unsigned int pooled;
	struct cn_channel *offered;
	bool refused; /* the server does not multiplex, it last said */
};

enum cn_call_state {
	CN_CALL_NEW,	/* to be started, perhaps by another thread */
	CN_CALL_QUEUED, /* nothing of it has been sent */
	CN_CALL_SENDING,
	CN_CALL_WAITING, /* all of the request has been sent */
};

/*
 * One call on a channel. One that shares is allocated, with a copy of its
 * request behind it: what is being sent can then be sent to its end, as a ghost,
 * though the call has ended, and the channel stays good for the others. Another
 * has the place in the channel, and the request where its driver keeps it.
 */
struct cn_call {
	struct rpcc_client_call *call; /* NULL: a ghost */
	struct cn_channel *channel;
	struct cn_call *next;
	const uint8_t *request;
	enum cn_call_state state;
	uint32_t id;
	bool shared;
	bool moved;	/* from a channel that was closing */
	bool over;	/* has ended, with @status */
	bool abandoned; /* not by an answer */
	bool orphaned;	/* and the server is to be told */
	bool unsent;	/* the request has failed to leave, all of it */
	RPC_STATUS status;
	uint32_t sent;	/* of the request, without the last batch */
	uint32_t batch; /* bytes of it in that */
	unsigned int cancels, cancels_sent;
	bool receiving; /* the answer has begun */
	uint32_t received, reply_drep;
};

enum cn_channel_state {
	CN_CHANNEL_IDLE,
	CN_CHANNEL_CONNECTING,
	CN_CHANNEL_BINDING,
	CN_CHANNEL_ALTERING,
	CN_CHANNEL_OPEN, /* for requests of @interface */
};

struct cn_channel {
	struct cn_association *association;
	const struct rpcc_protseq *protseq;
	struct cn_channel *next;	/* in the pool, or offered */
	struct cn_channel *all, **link; /* of the process */
	struct rpcc_address *addresses;
	size_t address_count, address; /* the one to try next */

	int fd;				/* or -1 */
	uint16_t max_send, max_receive; /* fragments */
	bool bound;			/* counted in association->channels */
	bool keep_on_orphan;		/* negotiated */
	bool mpx;			/* granted */
	bool closing;			/* no more calls, but those on it */
	bool used;			/* has made a call before */
	uint32_t call_id;		/* the last one that was given */
	uint32_t due;	/* call whose answer must come first; 0 none */
	uint64_t since; /* when it came to the pool */
	unsigned int context_count;
	RPC_SYNTAX_IDENTIFIER contexts[CN_CONTEXTS];

	/* Of a use. Locked, if it is shared: @offered, @users, @interface. */
	bool shared; /* was offered at its begin */
	bool offered;
	unsigned int users; /* calls on it, or to come */
	RPC_SYNTAX_IDENTIFIER interface;

	struct rpcc_io *io;
	enum cn_channel_state state;
	struct cn_call *calls; /* in the order of their requests */
	unsigned int live;     /* of them, that are not over */
	struct cn_call *ghosts;
	struct cn_call *sending; /* the one whose request was sent last */
	bool unsettled;		 /* there is something for cn_settle() */
	bool broken;		 /* the channel is of no further use */
	bool peer_gone;		 /* nothing can be sent; see sent() */
	bool retried;
	uint32_t group;	      /* that the last bind has asked for */
	bool regroup;	      /* which the server does not know: ask for none */
	bool answered;	      /* something has come since it began */
	unsigned int context; /* of @interface, in @contexts */
	uint64_t com_timeout, deadline;
	struct cn_call own;

	struct rpcc_io_req connect, send, receive, control;
	struct msghdr send_msg, control_msg;
	struct iovec send_iov[2 * CN_BATCH], control_iov;
	union {
		uint8_t headers[CN_BATCH][CN_HEADER_MAX];
		uint8_t bind[CN_BIND_MAX];
	};
	uint8_t control_pdu[2 * CN_HEADER_SIZE];
	struct cn_call
		*control_call; /* whose it is, while it is on a channel */
	bool control_cancels, control_orphaned; /* what it says */

	size_t input_size, begin, end; /* what is unread of @input */
	uint8_t input[];
};

/*
 * cn_association.c
 */

/*
 * For one call: one that is offered, if it may @share; one from the pool that has
 * its interface or room for it; or a new one, to where @from is connected, if
 * that is not NULL, in which case nothing blocks.
 */
RPC_STATUS cn_channel_take(struct rpcc_client_call *call, bool share,
			   const struct cn_channel *from,
			   struct cn_channel **channel);
/* Nobody joins from now on. */
void cn_channel_withdraw(struct cn_channel *c);
/*
 * @count calls go. After the last one, which has left it quiet, the channel is
 * back in the pool, or dropped.
 */
void cn_channel_leave(struct cn_channel *c, unsigned int count);
/* The index in c->contexts, or c->context_count. */
unsigned int cn_channel_context(const struct cn_channel *c,
				const RPC_SYNTAX_IDENTIFIER *interface);
uint32_t cn_channel_group(const struct cn_channel *c);
/* With c->mpx as it was granted. */
void cn_channel_bound(struct cn_channel *c, uint32_t group);
void cn_channel_unbound(struct cn_channel *c);

void cn_association_share(struct rpcc_binding *from, struct rpcc_binding *to);
void cn_association_release(struct rpcc_binding *binding);

/*
 * cn_bind.c: all that comes before the first request. cn_continue() follows.
 */
void cn_connect(struct cn_channel *c);
void cn_bind(struct cn_channel *c);
void cn_alter(struct cn_channel *c);
/* The connection has not come about, or is gone before there was a request. */
void cn_bind_lost(struct cn_channel *c);
/* One PDU, in CN_CHANNEL_BINDING and _ALTERING. As cn_pdu(). */
bool cn_bind_pdu(struct cn_channel *c, const uint8_t *pdu,
		 const struct cn_header *header);

/*
 * cn_channel.c
 */
void cn_channel_init(struct cn_channel *c);
/* The first @parts of c->send_iov; @flags as of rpcc_io_sendmsg(). */
void cn_send(struct cn_channel *c, unsigned int parts, unsigned int flags);
/* Not while PDUs are being taken out of the input, which does so at its end. */
void cn_receive(struct cn_channel *c);
/*
 * All that the server is still to be told of cancels of @k, and that it is
 * orphaned. Only when nothing is being sent. cn_control_sent() follows.
 */
void cn_send_control(struct cn_channel *c, struct cn_call *k);
/* The same, at once, of a channel that nobody uses any more. Or false. */
bool cn_send_orphaned(struct cn_channel *c, struct cn_call *k);
/* No control is under way any more. False: nobody knows how much of it left. */
bool cn_stop_control(struct cn_channel *c);
/* Nothing is under way any more, and nothing that has come is lost. */
void cn_quiesce(struct cn_channel *c);
void cn_close(struct cn_channel *c);
/* The socket goes, and with it all that was agreed upon. */
void cn_disconnect(struct cn_channel *c);
/* Reads what has come to a channel that is idle. False: it is of no use. */
bool cn_channel_look(struct cn_channel *c);

/*
 * cn_call.c
 */

/* One that shares, with a copy of the request; or NULL. */
struct cn_call *cn_call_alloc(const struct rpcc_client_call *call);
/* @k as the call on @c, not yet started. */
void cn_call_init(struct cn_call *k, struct rpcc_client_call *call,
		  struct cn_channel *c);
void cn_call_start(struct cn_call *k);
/* It has not been started, and is not going to be. */
void cn_call_dismiss(struct cn_call *k, RPC_STATUS status);
/* The call in progress with that identifier, or NULL. */
struct cn_call *cn_call_find(const struct cn_channel *c, uint32_t id);
/* A ghost has done what it was there for. */
void cn_ghost_end(struct cn_channel *c, struct cn_call *ghost);
/* Of all calls that are in progress. */
void cn_set_timers(struct cn_channel *c, uint64_t timer);
/* The call has ended; with cn_break(), all and the channel. Then cn_settle(). */
void cn_end(struct cn_call *k, RPC_STATUS status);
void cn_break(struct cn_channel *c, RPC_STATUS status);
/* The last step of all that an engine or a driver begins: @c may be gone. */
void cn_settle(struct cn_channel *c);
/* The calls once more, on a new connection. */
void cn_retry(struct cn_channel *c);

/*
 * cn_client.c
 */

RPC_STATUS cn_fault_status(const struct cn_response *fault);
/* The last batch has left. */
void cn_request_sent(struct cn_channel *c);
void cn_control_sent(struct cn_channel *c);
/* What comes next: cancels, more of a request, another one. */
void cn_continue(struct cn_channel *c);
void cn_request_lost(struct cn_channel *c);
/*
 * One PDU, whole and with a good header, on a channel in use or not. False if
 * the protocol does not allow it here.
 */
bool cn_pdu(struct cn_channel *c, const uint8_t *pdu,
	    const struct cn_header *header);

#endif /* RPCC_CN_CLIENT_H */
