/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * librpccancel: cancel a thread that is blocked in somebody else's code.
 *
 * The extensions to Microsoft's interface, in lower case so that nobody takes
 * them for a part of it. Start with rpccancel(7); each function has a page in
 * section 3 of the manual. The constants RPCCANCEL_CLASS_*, _REASON_*,
 * _RESULT_*, _STATE_* and the structures rpccancel_info, rpccancel_query and
 * rpccancel_target are those of the kernel's interface.
 */
#ifndef RPCCANCEL_H
#define RPCCANCEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/rpccancel.h>

#include "rpc.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Scopes: what runs between begin and end can be cancelled.
 */

/* Memory for one scope, on the stack of its thread. Opaque. */
struct rpccancel_scope {
	uint64_t opaque[16];
};

/* How a scope differs from the default. Set all that is not needed to 0. */
struct rpccancel_scope_attr {
	uint32_t size;	  /* sizeof(struct rpccancel_scope_attr) */
	uint32_t classes; /* RPCCANCEL_CLASS_*; 0 the default */
	int32_t error;	  /* errno of refused calls; 0 ECANCELED or ETIMEDOUT */
	uint32_t pad;	  /* must be 0 */
	uint64_t tag;	  /* shown in lists; 0 the enclosing scope's */
	uint64_t timeout; /* ns until the deadline; 0 none */
};

RPC_STATUS rpccancel_scope_begin(struct rpccancel_scope *scope,
				 const struct rpccancel_scope_attr *attr);
RPC_STATUS rpccancel_scope_end(struct rpccancel_scope *scope);
unsigned int rpccancel_scope_test(void);
RPC_STATUS rpccancel_scope_set_timeout(uint64_t timeout);

/*
 * Threads. A handle is a void *, as on Windows; NULL is never one.
 */

/* Stands for the calling thread wherever a handle is wanted. */
#define RPCCANCEL_CURRENT_THREAD ((void *)(intptr_t)-2)

RPC_STATUS rpccancel_thread_attach(void);
RPC_STATUS rpccancel_thread_detach(void);
RPC_STATUS rpccancel_thread_self(unsigned int access, void **thread);
RPC_STATUS rpccancel_thread_open(pid_t tid, unsigned int access, void **thread);
RPC_STATUS rpccancel_thread_open_pidfd(int pidfd, unsigned int access,
				       void **thread);
RPC_STATUS rpccancel_thread_duplicate(void *thread, unsigned int access,
				      void **duplicate);
RPC_STATUS rpccancel_thread_close(void *thread);
int rpccancel_thread_fd(void *thread);
RPC_STATUS rpccancel_thread_from_fd(int fd, void **thread);
RPC_STATUS rpccancel_thread_send(int sock, void *thread);
RPC_STATUS rpccancel_thread_receive(int sock, void **thread);
RPC_STATUS rpccancel_thread_info(void *thread, struct rpccancel_info *info);

/*
 * Cancels that tell what became of them.
 */

#define RPCCANCEL_UNTIL_REQUESTED 0 /* do not wait */
#define RPCCANCEL_UNTIL_DELIVERED 1 /* until it has taken effect */
#define RPCCANCEL_UNTIL_ENDED	  2 /* until the target's call has ended */

struct rpccancel_request {
	uint32_t size;	  /* in: sizeof(struct rpccancel_request) */
	uint32_t until;	  /* in: RPCCANCEL_UNTIL_* */
	uint64_t gen;	  /* in, out: generation, or RPCCANCEL_GEN_ANY */
	uint64_t grace;	  /* in: ns; only for calls that listen */
	uint64_t timeout; /* in: how long to wait, ns; RPCCANCEL_INFINITE */
	uint32_t result;  /* out: RPCCANCEL_RESULT_* */
	uint32_t state;	  /* out: RPCCANCEL_STATE_* */
	int32_t syscall;  /* out: system call it sleeps in, -1 none */
	uint32_t pad;	  /* must be 0 */
};

RPC_STATUS rpccancel_cancel(void *thread, struct rpccancel_request *request);
RPC_STATUS rpccancel_cancel_many(struct rpccancel_target *targets, size_t count,
				 uint64_t grace, size_t *done);
RPC_STATUS rpccancel_list(struct rpccancel_info *info, size_t *count,
			  uint64_t *cursor);
RPC_STATUS rpccancel_query(struct rpccancel_query *query);

/*
 * The run time: what Microsoft's interface has no function for.
 */

/*
 * For RpcServerRegisterIf2() and RpcServerRegisterIfEx(): the stubs of this
 * interface run in a scope, which is cancelled when the client cancels the call.
 * Needs the kernel module.
 */
#define RPCCANCEL_IF_INTERRUPT 0x01000000

/* An eventfd(2) of a call being served: readable once its client cancels it. */
RPC_STATUS rpccancel_server_cancel_fd(RPC_BINDING_HANDLE binding, int *fd);

/* Bounds on what clients can make a server do. 0 leaves one as it is. */
struct rpccancel_server_limits {
	uint32_t size;	       /* sizeof(struct rpccancel_server_limits) */
	uint32_t connections;  /* open at a time; 16384 */
	uint32_t queued_calls; /* waiting for a thread; 4096 */
	uint32_t calls_per_connection; /* in progress on one; 256 */
	uint64_t call_bytes;	       /* of one request; 4 MiB */
	uint64_t connection_bytes;     /* of requests in pieces; 8 MiB */
	uint64_t bind_timeout;	       /* ns until a client has bound; 30 s */
	uint64_t fragment_timeout; /* ns until a request is complete; 60 s */
	uint64_t idle_timeout;	   /* ns without a call; 0: no limit */
};

RPC_STATUS
rpccancel_server_set_limits(const struct rpccancel_server_limits *limits);

/* What the run time would print if it printed. Called in any of its threads. */
#define RPCCANCEL_LOG_ERROR   3 /* the levels are those of syslog(3) */
#define RPCCANCEL_LOG_WARNING 4
#define RPCCANCEL_LOG_INFO    6
#define RPCCANCEL_LOG_DEBUG   7

typedef void rpccancel_log_fn(void *context, int level, const char *message);

void rpccancel_set_log(rpccancel_log_fn *log, void *context);

/* Which engine and which back end are in use: "io_uring" or "poll", "kernel"
 * or "user". */
const char *rpccancel_engine_name(void);
const char *rpccancel_backend_name(void);

#ifdef __cplusplus
}
#endif

#endif /* RPCCANCEL_H */
