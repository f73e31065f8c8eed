/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * One call, on the client's side, whatever the protocol.
 *
 * A call is a state machine, run by completions of one I/O engine: that of the
 * calling thread for a synchronous call, that of the run time's one I/O thread
 * for an asynchronous one. So a call is only ever touched by one thread, and
 * needs no lock. Whoever runs the engine is the driver:
 *
 *	driver				protocol
 *	------				--------
 *	prepare()		->	looks up names, finds a connection
 *	rpcc_call_begin()
 *	start()			->	connects, binds, sends, receives
 *	rpcc_io_wait()			  (completions)
 *	   cancel noticed: cancel() ->	tells the server, goes on waiting
 *	   call->timer passed: timer() -> its own time-outs, retransmission
 *	   grace or call time-out over:
 *	     abandon(status)	->	tells the server that nobody waits
 *					rpcc_client_call_complete(call, status)
 *	call->completed(call)	<-
 *
 * After rpcc_client_call_complete() the protocol does not touch the call any
 * more, and the engine has forgotten all requests on its behalf.
 */
#ifndef RPCC_CLIENT_H
#define RPCC_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <rpcdcep.h>

#include "io/io.h"
#include "rpc/binding.h"

struct rpcc_client_call {
	/* Set by the driver. */
	struct rpcc_binding *binding;
	struct rpcc_io *io;
	const RPC_CLIENT_INTERFACE *interface;
	const uint8_t *request; /* until the call has completed */
	uint32_t request_length;
	uint16_t opnum;
	uint32_t flags; /* RPC_NCA_FLAGS_* */
	UUID object;	/* nil: none */
	unsigned int com_timeout;
	bool async; /* of the I/O thread, with all others that say so */
	bool quiet; /* abandon() without telling the server */
	void (*completed)(struct rpcc_client_call *call);
	void *driver;

	/* Set by the protocol. */
	void *protocol;	   /* its state of this call */
	uint64_t timer;	   /* when it wants timer(); RPCCANCEL_INFINITE never */
	uint64_t progress; /* when the call last got on; 0: not yet */

	/*
	 * Set at completion. The reply is in @reply_block, from malloc(), at
	 * @reply; a driver takes the block over by setting it to NULL. A driver
	 * may offer the block of its last call to be used again.
	 */
	bool done;
	RPC_STATUS status;
	void *reply_block;
	size_t reply_size; /* of the block */
	uint8_t *reply;
	uint32_t reply_length;
	uint32_t reply_drep;
	bool cancel_unused; /* the server says that it did not notice */
};

struct rpcc_client_protocol {
	/*
	 * May block for name look-ups, in a scope of the look-up's own: the call
	 * itself, in which no scope may be begun, has not. If it succeeds,
	 * start() follows, or abandon(). NULL if there is nothing to do.
	 */
	RPC_STATUS (*prepare)(struct rpcc_client_call *call);
	/* May complete the call before it returns. */
	void (*start)(struct rpcc_client_call *call);
	/* Any number of times; harmless at any moment before completion. */
	void (*cancel)(struct rpcc_client_call *call);
	/* Completes the call before it returns. */
	void (*abandon)(struct rpcc_client_call *call, RPC_STATUS status);
	void (*timer)(struct rpcc_client_call *call, uint64_t now);
	/* For a copied and for a freed or reset binding. */
	void (*share)(struct rpcc_binding *from, struct rpcc_binding *to);
	void (*release)(struct rpcc_binding *binding);
};

extern const struct rpcc_client_protocol rpcc_cn_client; /* cn/cn_client.c */
extern const struct rpcc_client_protocol rpcc_dg_client; /* dg/dg_client.c */

static inline const struct rpcc_client_protocol *
rpcc_client_protocol(const struct rpcc_binding *binding)
{
	return binding->protseq->protocol == RPCC_CN ? &rpcc_cn_client
						     : &rpcc_dg_client;
}

/*
 * For the protocols. Makes room for @size bytes of reply, keeping the first
 * @keep; false if there is no memory.
 */
bool rpcc_client_reply_grow(struct rpcc_client_call *call, size_t keep,
			    size_t size);
void rpcc_client_call_complete(struct rpcc_client_call *call,
			       RPC_STATUS status);

/*
 * Where the binding's server is: @list has RPCC_MAX_ADDRESSES elements. A
 * partially bound one gets the endpoint that the interface has for its protocol
 * sequence. For prepare().
 */
RPC_STATUS rpcc_client_resolve(struct rpcc_binding *binding,
			       const RPC_CLIENT_INTERFACE *interface,
			       struct rpcc_address *list, size_t *count);

#endif /* RPCC_CLIENT_H */
