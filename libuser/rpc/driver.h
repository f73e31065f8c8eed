/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the drivers of calls share: message.c makes a call out of a stub's
 * message, client.c runs it in the calling thread, or async.c in the I/O thread.
 */
#ifndef RPCC_DRIVER_H
#define RPCC_DRIVER_H

#include <rpcasync.h>

#include "rpc/client.h"

#define RPCC_CLIENT_MESSAGE_MAGIC 0x6d637072u

/*
 * Hangs on RPC_MESSAGE.ReservedForRuntime from I_RpcGetBuffer() to
 * I_RpcFreeBuffer(), and has the request and the answer. A thread keeps one
 * with its buffers for its next call.
 */
struct rpcc_client_message {
	uint32_t magic;
	struct rpcc_client_call call;
	void *request;
	size_t request_size;

	uint64_t call_timeout; /* ns; RPCCANCEL_INFINITE none */
	uint64_t since;	       /* when it began, if there is a time-out */

	/* async.c, which says who may touch what. */
	RPC_ASYNC_STATE *async;
	RPC_MESSAGE *message;
	enum {
		RPCC_ASYNC_NONE,
		RPCC_ASYNC_PENDING,
		RPCC_ASYNC_DONE,
	} state;
	unsigned int wanted; /* of the I/O thread */
	unsigned int forks;
	struct rpcc_client_message *next_wanted;
	struct rpcc_client_message *next, **link; /* of those running */
	struct rpcc_client_message *next_ended;
};

/* With room for a request of @size bytes; NULL if there is no memory. */
struct rpcc_client_message *rpcc_client_message_get(size_t size);
void rpcc_client_message_put(struct rpcc_client_message *m);

/* Sets the call up, up to prepare(). May block, see there. */
RPC_STATUS rpcc_client_prepare(struct rpcc_client_message *m,
			       const RPC_MESSAGE *message);
/* All of a prepared call, in this thread. */
RPC_STATUS rpcc_client_run(struct rpcc_client_message *m);
/* The message gets the answer. */
void rpcc_client_deliver(struct rpcc_client_message *m, RPC_MESSAGE *message);

/* When rpcc_client_check_time() has something to do. */
uint64_t rpcc_client_deadline(const struct rpcc_client_message *m);
void rpcc_client_check_time(struct rpcc_client_message *m);

/* How often this process is a child. Whoever asks hears of later forks. */
unsigned int rpcc_client_forks(void);

/* Whether RpcAsyncInitializeHandle() has made it, for either side. */
bool rpcc_is_async(const RPC_ASYNC_STATE *async);

/* async.c: the parts of the public functions that are about such calls. */
RPC_STATUS rpcc_client_async_set_handle(struct rpcc_client_message *m,
					RPC_MESSAGE *message,
					RPC_ASYNC_STATE *async);
RPC_STATUS rpcc_client_async_send(struct rpcc_client_message *m);
RPC_STATUS rpcc_client_async_receive(struct rpcc_client_message *m);
bool rpcc_client_async_pending(struct rpcc_client_message *m);

#endif /* RPCC_DRIVER_H */
