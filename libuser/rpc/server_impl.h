/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the files of the server share among themselves, and not with protocols.
 *
 * Locks, outermost first: that of server.c, of interface.c, of the executor, of
 * a call. No code of the application runs under any of them.
 */
#ifndef RPCC_SERVER_IMPL_H
#define RPCC_SERVER_IMPL_H

#include "rpc/server.h"

/*
 * interface.c. Everything but the counts is set once, so that it may be read
 * without the lock. What @dispatch and @epv point to is the application's, and
 * there while the interface is registered or has calls.
 */
struct rpcc_interface {
	struct rpcc_interface *next;
	const void *spec; /* what it was registered as */
	RPC_SYNTAX_IDENTIFIER id;
	const RPC_DISPATCH_TABLE *dispatch;
	RPC_MGR_EPV *epv;
	unsigned int flags;
	unsigned int max_calls;
	unsigned int max_size;
	RPC_IF_CALLBACK_FN *callback;
	bool builtin; /* the run time's own */

	unsigned int refs;
	unsigned int calls; /* admitted and not yet over */
	bool registered;
};

/*
 * Whether a call may be made: 0, and it is counted until
 * rpcc_interface_leave(); or what to put into its fault.
 */
uint32_t rpcc_interface_admit(const struct rpcc_server_call *call);
void rpcc_interface_leave(struct rpcc_interface *interface);

/*
 * Whether any interface admits calls. It cannot be closed while there are calls,
 * or an interface that is RPC_IF_AUTOLISTEN: then it returns false.
 */
void rpcc_interfaces_open(void);
bool rpcc_interfaces_close(void);
/* Whether interfaces that are not RPC_IF_AUTOLISTEN admit calls. */
void rpcc_interfaces_listen(bool listening);
/* Waits for the calls of all interfaces, or of those that need listening. */
void rpcc_interfaces_wait(bool all);
bool rpcc_interfaces_autolisten(void);
RPC_STATUS rpcc_interface_register(const RPC_SERVER_INTERFACE *spec,
				   const struct rpcc_interface *how);

/* executor.c */
void rpcc_executor_start(unsigned int min_threads, unsigned int max_threads);
void rpcc_executor_stop(void);
/* False: too busy. */
bool rpcc_executor_submit(struct rpcc_server_call *call);

/* server_call.c: on an executor's thread. Takes over a reference. */
void rpcc_server_call_run(struct rpcc_server_call *call);
void rpcc_server_thread_ends(void);

/* loop.c */
RPC_STATUS rpcc_loops_start(void);
void rpcc_loops_stop(void);
/* Runs @run in the loop's thread and waits for it. */
void rpcc_loop_call(struct rpcc_loop *loop, void (*run)(void *arg), void *arg);
/* A thread of the run time's own, which takes no signals. */
int rpcc_thread_create(pthread_t *thread, bool detached, void *(*run)(void *),
		       void *arg);

/* server.c. To be called before anything else of the server is used. */
RPC_STATUS rpcc_server_prepare(void);
RPC_STATUS rpcc_server_serve(void);

/* mgmt_server.c */
RPC_STATUS rpcc_mgmt_register(void);

/*
 * fork(2): what is kept is locked meanwhile; what belonged to threads that are
 * not in the child is forgotten there.
 */
void rpcc_interfaces_fork_prepare(void);
void rpcc_interfaces_fork_parent(void);
void rpcc_interfaces_fork_child(void);
void rpcc_executor_fork_child(void);
void rpcc_loops_fork_child(void);

#endif /* RPCC_SERVER_IMPL_H */
