/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * One call, on the server's side, whatever the protocol; and the loops that run
 * the protocols.
 *
 * Threads. A loop is one thread with one I/O engine; it owns connections and
 * datagram sockets. Stubs run on the executor's threads, so that a stub that
 * blocks stops nothing. A call goes from a loop to an executor's thread, which
 * answers it:
 *
 *	loop					executor
 *	----					--------
 *	request complete
 *	rpcc_server_dispatch(call)	->	stub runs
 *	cancel PDU: rpcc_server_call_cancel()	  RpcTestCancel(): RPC_S_OK
 *	orphaned, connection lost:
 *	  rpcc_server_call_orphan()
 *						call->ops->respond(call)
 *						rpcc_server_call_put(call)
 *
 * Lifetime: a call is counted. It begins with one reference, which
 * rpcc_server_dispatch() takes over, whatever it returns; a protocol that keeps a
 * pointer to a call takes its own. Locking: call->lock protects the state of
 * the cancel and of the answer. No lock of a protocol may be held when calling
 * into here if its respond() takes it.
 */
#ifndef RPCC_SERVER_H
#define RPCC_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rpcasync.h>
#include <rpccancel.h>
#include <rpcdcep.h>

#include "io/io.h"
#include "rpc/binding.h"

struct rpcc_interface; /* rpc/interface.c: the registered ones */
struct rpcc_server_call;

struct rpcc_server_call_ops {
	/*
	 * The stub has ended: call->fault is 0 and the answer is in
	 * message.Buffer, message.BufferLength bytes, or it is what to put into
	 * a fault. In any thread; not called for a call that was orphaned.
	 */
	void (*respond)(struct rpcc_server_call *call);
	/* The last reference is gone: free what contains the call. */
	void (*release)(struct rpcc_server_call *call);
	/* The peer, for RpcServerInqCallAttributes() and binding handles. */
	void (*peer)(struct rpcc_server_call *call,
		     struct rpcc_address *address, pid_t *pid);
};

struct rpcc_server_call {
	uint32_t magic; /* RPCC_SERVER_CALL_MAGIC; first, see binding.h */
	atomic_uint refs;
	const struct rpcc_server_call_ops *ops;
	const struct rpcc_protseq *protseq;
	struct rpcc_server_call *next; /* in the executor's queue */

	/* Set by the protocol before dispatch. */
	struct rpcc_interface *interface; /* holds a reference */
	UUID object;			  /* nil: none */
	uint16_t opnum;
	uint32_t flags; /* RPC_NCA_FLAGS_* */
	uint32_t drep;
	uint8_t *request; /* from malloc(), the call's */
	uint32_t request_length;

	/* While the stub runs. */
	RPC_MESSAGE message;
	void *reply; /* what I_RpcGetBuffer() gave the stub, from malloc() */
	uint32_t reply_size;

	pthread_mutex_t lock; /* protects what follows */
	struct _RPC_ASYNC_STATE *async;
	void *interrupt;	/* handle of the stub's thread, or NULL */
	uint64_t interrupt_gen; /* and its generation */
	bool admitted;		/* counted by its interface, until both: */
	bool stub_done, answer_done;
	bool went_async;
	enum {
		RPCC_CALL_QUEUED,
		RPCC_CALL_RUNNING,
		RPCC_CALL_ANSWERED,
	} state;
	unsigned int cancels; /* asked for so far */
	bool cancel_noticed;  /* the stub has asked */
	bool orphaned;	      /* nobody waits for the answer */
	int cancel_fd;	      /* rpccancel_server_cancel_fd(), or -1 */

	/* Set before respond(). */
	uint32_t fault;	      /* for the wire; 0: none */
	bool did_not_execute; /* the fault came before the stub */
	bool cancel_unused;   /* cancelled, and the stub did not notice */
};

/* All zero before; the caller has the one reference. */
void rpcc_server_call_init(struct rpcc_server_call *call,
			   const struct rpcc_server_call_ops *ops,
			   const struct rpcc_protseq *protseq);
void rpcc_server_call_ref(struct rpcc_server_call *call);
void rpcc_server_call_put(struct rpcc_server_call *call);
/* A handle as what it is, or NULL. 0 is the call that this thread serves. */
struct rpcc_server_call *rpcc_server_call_get(RPC_BINDING_HANDLE handle);

/*
 * Checks what can be checked before a stub is entered, and queues the call.
 * Answers it by respond(), perhaps before it returns, when it is refused:
 * unknown operation, too busy, not allowed.
 */
void rpcc_server_dispatch(struct rpcc_server_call *call);

/* The client has cancelled. Harmless at any moment. */
void rpcc_server_call_cancel(struct rpcc_server_call *call);
/* Nobody waits any more: no answer will be made, and the stub is cancelled. */
void rpcc_server_call_orphan(struct rpcc_server_call *call);

/*
 * What the public functions that serve both sides come down to on the server's:
 * I_RpcGetBuffer() and so on find out whose the handle is, and call these. A
 * struct _RPC_ASYNC_STATE is the server's if its RuntimeInfo is a server call
 * (rpcc_server_call_get()).
 */
RPC_STATUS rpcc_server_get_buffer(RPC_MESSAGE *message);
RPC_STATUS rpcc_server_free_buffer(RPC_MESSAGE *message);
RPC_STATUS rpcc_server_async_set_handle(RPC_MESSAGE *message,
					struct _RPC_ASYNC_STATE *async);
RPC_STATUS rpcc_server_async_complete(struct _RPC_ASYNC_STATE *async,
				      void *reply);
RPC_STATUS rpcc_server_async_abort(struct _RPC_ASYNC_STATE *async,
				   unsigned long code);
/* The calls with a binding of NULL: this process's own server. */
RPC_STATUS rpcc_server_stop_listening(void);
RPC_STATUS rpcc_server_is_listening(void);
RPC_STATUS rpcc_server_inq_if_ids(RPC_IF_ID_VECTOR **vector);

/*
 * For RpcTestCancel(): -1 if the calling thread serves no call, otherwise
 * whether that call was cancelled, which the stub has thereby noticed.
 */
int rpcc_server_test_cancel(void);

/*
 * The registered interface that serves a client of @syntax (same UUID and major
 * version, no lower minor version), with a reference, or NULL.
 */
struct rpcc_interface *rpcc_interface_find(const RPC_SYNTAX_IDENTIFIER *syntax);
void rpcc_interface_ref(struct rpcc_interface *interface);
void rpcc_interface_put(struct rpcc_interface *interface);

/*
 * Loops. Timers are a pairing heap, so that many cost nothing until they expire.
 */
struct rpcc_loop;
struct rpcc_timer {
	void (*expired)(struct rpcc_timer *timer, uint64_t now);
	uint64_t when; /* ns of CLOCK_MONOTONIC */
	bool armed;
	struct rpcc_loop *loop;
	struct rpcc_timer *child, *next, **link;
};

struct rpcc_io *rpcc_loop_io(struct rpcc_loop *loop);
/* In the loop's thread. Arming again moves it. */
void rpcc_timer_arm(struct rpcc_loop *loop, struct rpcc_timer *timer,
		    uint64_t when);
void rpcc_timer_disarm(struct rpcc_timer *timer);
/* From any thread: @run in the loop's thread, soon. @work is the caller's. */
struct rpcc_work {
	void (*run)(struct rpcc_work *work);
	struct rpcc_work *next;
};
void rpcc_loop_queue(struct rpcc_loop *loop, struct rpcc_work *work);
/* The loop whose turn it is to take a new connection. */
struct rpcc_loop *rpcc_loop_next(void);
/* What a loop has to close before it ends; both in the loop's thread. */
struct rpcc_member {
	void (*close)(struct rpcc_member *member);
	struct rpcc_member *next, **link;
};
void rpcc_loop_join(struct rpcc_loop *loop, struct rpcc_member *member);
void rpcc_loop_leave(struct rpcc_member *member);

/* The limits in force, as set by rpccancel_server_set_limits(). */
struct rpccancel_server_limits rpcc_server_limits(void);

/*
 * Protocols. open() begins to serve a listening socket, in the loop's thread;
 * close() ends that, and with it all its calls (orphaned), but for connections
 * that were given to other loops: those are closed as members of their loops.
 */
struct rpcc_server_protocol {
	void (*fork_child)(void); /* nothing is open any more; may be NULL */
	RPC_STATUS(*open)
	(struct rpcc_loop *loop, const struct rpcc_listener *listener, int fd,
	 void **state);
	void (*close)(void *state);
};

extern const struct rpcc_server_protocol rpcc_cn_server; /* cn/cn_server.c */
extern const struct rpcc_server_protocol rpcc_dg_server; /* dg/dg_server.c */

#endif /* RPCC_SERVER_H */
