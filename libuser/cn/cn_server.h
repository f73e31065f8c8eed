/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A connection of the connection-oriented protocol, on the server's side.
 *
 *	cn_server.c	  sockets, bytes to PDUs, time limits, closing
 *	cn_server_bind.c  presentation contexts and association groups
 *	cn_server_call.c  requests, cancels, answers
 *	cn_server_send.c  what goes out
 *
 * A connection belongs to a loop, which has one reference; each call has one
 * more, and so has work that is queued. It is closed by its loop only, between
 * completions: everybody else asks for that. After it is closed it is memory
 * that waits for its last call.
 *
 * Locks: conn->lock protects what calls on executor's threads share with the
 * loop, the list of calls; conn->tx what is sent. They are never held together,
 * nor while calling into rpc/server.h, but for taking references.
 */
#ifndef RPCC_CN_SERVER_H
#define RPCC_CN_SERVER_H

#include "rpc/server.h"
#include "wire/cn_pdu.h"

#define CN_SERVER_CONTEXTS 256 /* of one connection */

struct cn_group;
struct cn_conn;

/* Times by which something must have happened, or the connection is closed. */
enum cn_limit {
	CN_LIMIT_BIND,
	CN_LIMIT_PDU,	  /* all bytes of one that has begun */
	CN_LIMIT_REQUEST, /* all fragments of one that has begun */
	CN_LIMIT_SEND,	  /* the peer reads what waits for it */
	CN_LIMIT_IDLE,
	CN_LIMIT_LINGER, /* it has been told the end, and closes */
	CN_LIMITS,
};

struct cn_server_context {
	uint16_t id;
	RPC_SYNTAX_IDENTIFIER abstract;	  /* as the client has named it */
	struct rpcc_interface *interface; /* a reference */
};

/* Bytes that the socket did not take at once. */
struct cn_out {
	struct cn_out *next;
	size_t done, size;
	uint8_t bytes[];
};

struct cn_server_call {
	struct rpcc_server_call base;	     /* first */
	struct cn_conn *conn;		     /* a reference */
	struct cn_server_call *next, **link; /* link NULL: on no list */
	uint32_t call_id;
	uint16_t context_id;
	bool maybe;	     /* no answer is wanted */
	unsigned int early;  /* cancels that came with the fragments */
	size_t request_room; /* while it is put together */
	uint64_t begun;	     /* if it takes more than one fragment */
};

struct cn_conn {
	atomic_uint refs;
	struct rpcc_member member; /* of its loop */
	struct rpcc_loop *loop;
	const struct rpcc_protseq *protseq;
	char endpoint[RPCC_MAX_ENDPOINT];
	struct rpcc_address peer;
	pid_t peer_pid;

	/* The loop's alone. */
	struct rpcc_io_req recv;
	uint8_t *partial; /* the beginning of a PDU */
	size_t partial_size, partial_room;
	uint64_t limit[CN_LIMITS]; /* RPCCANCEL_INFINITE: none */
	struct rpcc_timer timer;
	struct rpccancel_server_limits limits; /* when it was accepted */
	bool bound, mpx;
	bool ending; /* what comes is thrown away */
	bool failed; /* to be closed */
	bool closed;
	uint16_t max_frag; /* of both directions */
	struct cn_group *group;
	struct cn_server_context *context;
	unsigned int context_count;
	struct cn_server_call *assembling;
	bool refusing; /* the rest of this request is skipped: */
	uint32_t refused_id;
	unsigned int unread; /* said while it does not read */

	pthread_mutex_t lock;
	struct cn_server_call *calls; /* dispatched, not answered or orphaned */
	unsigned int call_count;      /* of both lists */
	size_t request_bytes;	      /* of their requests */
	uint64_t last_call;	      /* when the last of them ended */

	pthread_mutex_t tx;
	int fd; /* -1 when closed */
	struct cn_out *out, **out_last;
	size_t out_bytes;
	bool sending; /* the loop sends the first of @out */
	bool broken;  /* nothing can be sent any more */
	bool finish;  /* shut down when all is sent */
	bool work_queued;
	struct rpcc_work work; /* the loop looks at all of this */
	struct rpcc_io_req send;
	struct msghdr send_msg;
	struct iovec send_iov;
};

/*
 * cn_server.c. cn_conn_create() and cn_conn_feed() are known outside of it for
 * the sake of the fuzzer, which has no sockets to feed.
 */
struct cn_conn *cn_conn_create(struct rpcc_loop *loop,
			       const struct rpcc_listener *listener, int fd);
void cn_conn_feed(struct cn_conn *conn, const uint8_t *data, size_t size);
void cn_conn_ref(struct cn_conn *conn);
void cn_conn_put(struct cn_conn *conn);
/* In the loop's thread; @limit of CN_LIMITS, @when RPCCANCEL_INFINITE for none. */
void cn_conn_limit(struct cn_conn *conn, enum cn_limit limit, uint64_t when);
/* Closed soon, without a word. @why is for the log. */
void cn_conn_fail(struct cn_conn *conn, const char *why);
/* Closed once the peer has what was sent so far. */
void cn_conn_end(struct cn_conn *conn, const char *why);

/* cn_server_bind.c */
void cn_server_bind(struct cn_conn *conn, const uint8_t *pdu,
		    const struct cn_header *header);
void cn_server_alter(struct cn_conn *conn, const uint8_t *pdu,
		     const struct cn_header *header);
void cn_server_bind_refused(struct cn_conn *conn,
			    const struct cn_header *header, uint16_t reason,
			    const char *why);
void cn_server_forget_groups(void);
void cn_server_unbind(struct cn_conn *conn);
/* Without a reference; NULL if there is none. */
struct rpcc_interface *cn_server_context(const struct cn_conn *conn,
					 uint16_t id);

/* cn_server_call.c */
void cn_server_request(struct cn_conn *conn, const uint8_t *pdu,
		       const struct cn_header *header);
void cn_server_cancel(struct cn_conn *conn, uint32_t call_id);
void cn_server_orphaned(struct cn_conn *conn, uint32_t call_id);
void cn_server_drop_calls(struct cn_conn *conn);
void cn_server_fault(struct cn_conn *conn, uint8_t flags, uint32_t call_id,
		     uint16_t context_id, uint32_t status);

/*
 * cn_server_send.c. In any thread, @iov is used up; but cn_conn_say() is for the
 * loop, which must not answer without end.
 */
void cn_conn_send(struct cn_conn *conn, struct iovec *iov, size_t count);
void cn_conn_send_pdu(struct cn_conn *conn, void *pdu, size_t size);
void cn_conn_say(struct cn_conn *conn, void *pdu, size_t size);
bool cn_conn_is_full(struct cn_conn *conn);
void cn_conn_send_work(struct cn_conn *conn);
void cn_conn_ask(struct cn_conn *conn);

#endif /* RPCC_CN_SERVER_H */
