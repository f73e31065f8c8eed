// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Threads come and go: attach at the first use, detach at exit.
 *
 * The kernel detaches an exiting thread by itself. The destructor of the
 * thread-specific data does so earlier, while the thread can still be seen to be
 * alive. When another destructor uses the library after it, the thread attaches
 * once more, and the destructor runs again.
 *
 * A forked child starts anew: slots are not inherited, so its one thread is not
 * attached and in no scope. The destructor is one reason why the library cannot be
 * unloaded (-z nodelete), the handlers of fork.c are the other.
 */
#include <pthread.h>

#include "backend.h"
#include "internal.h"

__thread struct rpcc_thread rpcc_self;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static int once_error;

static void forget(void)
{
	rpcc_self.slot = NULL;
	rpcc_self.top = NULL;
	rpcc_self.scopes = false;
	rpcc_call_forget();
}

static void thread_exits(void *self)
{
	(void)self;
	if (rpcc_self.slot)
		rpcc_backend()->detach();
	forget();
}

static void fork_child(void)
{
	rpcc_backend_fork_child();
	forget();
}

RPCC_AT_FORK(RPCC_FORK_BACKEND, rpcc_backend_fork_prepare,
	     rpcc_backend_fork_parent, fork_child);

static void first_use(void)
{
	once_error = -pthread_key_create(&exit_key, thread_exits);
	if (!once_error)
		once_error = rpcc_fork_error();
}

/* To be called before a thread is attached, or another's handle opened. */
int rpcc_prepare(void)
{
	pthread_once(&once, first_use);
	return once_error;
}

/* The slot comes zeroed, and a grace of 0 is not DCE's default. */
static void init_slot(struct rpccancel_slot *slot, bool scopes)
{
	if (!rpcc_self.grace_set)
		rpcc_self.grace = RPCCANCEL_INFINITE;
	WRITE_ONCE(slot->grace, rpcc_self.grace);
	rpcc_self.slot = slot;
	rpcc_self.scopes = scopes;
}

int rpcc_attach(void)
{
	const struct rpcc_backend *backend;
	struct rpccancel_slot *slot;
	int err;

	if (rpcc_self.slot)
		return 0;

	err = rpcc_prepare();
	if (!err)
		err = -pthread_setspecific(exit_key, &rpcc_self);
	if (err)
		return err;

	backend = rpcc_backend_use();
	err = backend->attach(&slot);
	if (!err)
		init_slot(slot, !backend->local);
	return err;
}

/*
 * The thread has changed its generation, and there is a cancel. Whatever the
 * generation that was left had to tell is of no interest any more, and must not
 * wake the next call.
 */
void rpcc_settle(void)
{
	rpcc_backend()->settle();
	if (!(READ_ONCE(rpcc_self.slot->gen) & 1))
		rpcc_call_take_event();
}

EXPORT RPC_STATUS rpccancel_thread_attach(void)
{
	return rpcc_status(rpcc_attach());
}

EXPORT RPC_STATUS rpccancel_thread_detach(void)
{
	if (rpcc_self.top || rpcc_self.call)
		return RPC_S_CALL_IN_PROGRESS;
	thread_exits(NULL);
	return RPC_S_OK;
}

EXPORT RPC_STATUS rpccancel_query(struct rpccancel_query *query)
{
	int err;

	if (!query)
		return RPC_S_INVALID_ARG;
	err = rpcc_prepare();
	if (err)
		return rpcc_status(err);
	return rpcc_status(rpcc_backend()->query(query));
}

/* Takes effect at once, also for a call that is already cancelled. */
EXPORT RPC_STATUS RpcMgmtSetCancelTimeout(long Timeout)
{
	int err;

	if (Timeout < RPC_C_CANCEL_INFINITE_TIMEOUT)
		return RPC_S_INVALID_TIMEOUT;
	err = rpcc_attach();
	if (err)
		return rpcc_status(err);
	rpcc_self.grace = rpcc_seconds(Timeout);
	rpcc_self.grace_set = true;
	WRITE_ONCE(rpcc_self.slot->grace, rpcc_self.grace);
	return RPC_S_OK;
}
