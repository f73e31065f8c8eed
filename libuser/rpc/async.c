// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Asynchronous calls, and the thread that runs them.
 *
 * There is one such thread in a process, from its first asynchronous call on; it
 * blocks all signals, and runs all of these calls in one engine. It also runs the
 * callbacks that tell of their end, one after the other: while one is busy, the
 * other calls wait.
 *
 * A call is begun, cancelled and aborted by asking the thread, and only the
 * thread touches it until it is done. What is asked is in the queue of wishes.
 *
 *	application		thread
 *	-----------		------
 *	I_RpcSend()	->	start()
 *	RpcAsyncCancelCall() ->	cancel(), abandon()
 *				call->completed(): into the list of ended ones
 *			<-	finish(): done; out of the queue; notify
 *	RpcAsyncCompleteCall()
 *
 * Locking: the lock protects the queue and the state of the messages. An event
 * is signalled under it, so that whoever sees the call done may close the event.
 *
 * A forked child has no such thread: calls that were in progress have failed
 * there, and its next asynchronous call makes a thread of its own.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "rpc/driver.h"
#include "rpc/server.h"

#define SIGNATURE 0x43595341 /* Microsoft's */

#define WANT_START  0x1
#define WANT_CANCEL 0x2
#define WANT_ABORT  0x4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Protected by the lock. */
static struct rpcc_io *io; /* of the thread; NULL: there is none */
static unsigned int io_forks;
static struct rpcc_client_message *wanted, **wanted_last = &wanted;

/* The thread's own. */
static struct rpcc_client_message *running, *ended;

/*
 * The thread.
 */

static struct rpcc_client_message *next_wish(unsigned int *wishes)
{
	struct rpcc_client_message *m;

	pthread_mutex_lock(&lock);
	m = wanted;
	if (m) {
		wanted = m->next_wanted;
		if (!wanted)
			wanted_last = &wanted;
		*wishes = m->wanted;
		m->wanted = 0;
	}
	pthread_mutex_unlock(&lock);
	return m;
}

/* Locked. */
static void forget_wishes(struct rpcc_client_message *m)
{
	struct rpcc_client_message **link = &wanted;

	if (!m->wanted)
		return;
	while (*link != m)
		link = &(*link)->next_wanted;
	*link = m->next_wanted;
	if (!m->next_wanted)
		wanted_last = link;
	m->wanted = 0;
}

/* Locked. */
static void wish(struct rpcc_client_message *m, unsigned int what)
{
	if (!m->wanted) {
		m->next_wanted = NULL;
		*wanted_last = m;
		wanted_last = &m->next_wanted;
	}
	m->wanted |= what;
	rpcc_io_wake(io);
}

static void completed(struct rpcc_client_call *call)
{
	struct rpcc_client_message *m = call->driver;

	m->next_ended = ended;
	ended = m;
}

static void grant(struct rpcc_client_message *m, unsigned int wishes)
{
	const struct rpcc_client_protocol *protocol =
		rpcc_client_protocol(m->call.binding);

	if (wishes & WANT_START) {
		m->next = running;
		m->link = &running;
		if (running)
			running->link = &m->next;
		running = m;
		protocol->start(&m->call);
	}
	if (wishes & WANT_CANCEL && !m->call.done)
		protocol->cancel(&m->call);
	if (wishes & WANT_ABORT && !m->call.done)
		protocol->abandon(&m->call, RPC_S_CALL_CANCELLED);
}

/* Locked, and without waiting: an event has room for many. */
static void signal_event(const RPC_ASYNC_STATE *async)
{
	uint64_t one = 1;

	if (async->NotificationType == RpcNotificationTypeEvent &&
	    write((int)(intptr_t)async->u.hEvent, &one, sizeof(one)) < 0)
		return;
}

/* The message is its owner's again, and may be gone when this returns. */
static void finish(struct rpcc_client_message *m)
{
	RPC_ASYNC_STATE *async = m->async;
	PFN_RPCNOTIFICATION_ROUTINE routine = NULL;

	*m->link = m->next;
	if (m->next)
		m->next->link = m->link;
	if (async->NotificationType == RpcNotificationTypeCallback)
		routine = async->u.NotificationRoutine;

	pthread_mutex_lock(&lock);
	forget_wishes(m);
	async->Event = RpcCallComplete;
	m->state = RPCC_ASYNC_DONE;
	signal_event(async);
	pthread_mutex_unlock(&lock);
	if (routine)
		routine(async, NULL, RpcCallComplete);
}

static void finish_ended(void)
{
	struct rpcc_client_message *m;

	while ((m = ended)) {
		ended = m->next_ended;
		finish(m);
	}
}

static uint64_t nearest_deadline(void)
{
	uint64_t deadline = RPCCANCEL_INFINITE, d;
	struct rpcc_client_message *m;

	for (m = running; m; m = m->next) {
		d = rpcc_client_deadline(m);
		if (d < deadline)
			deadline = d;
	}
	return deadline;
}

static void check_times(void)
{
	struct rpcc_client_message *m;

	for (m = running; m; m = m->next)
		if (!m->call.done)
			rpcc_client_check_time(m);
}

/* The engine does not work: no call can go on. It may later, if memory is back. */
static void abandon_all(int err)
{
	struct rpcc_client_message *m;

	poll(NULL, 0, 10);

	for (m = running; m; m = m->next)
		if (!m->call.done)
			rpcc_client_protocol(m->call.binding)
				->abandon(&m->call, rpcc_status(err));
}

/* Ends only in the child of a callback that has forked and then returned. */
static void *run(void *arg)
{
	struct rpcc_io *engine = arg;
	unsigned int forks = rpcc_client_forks(), wishes;
	struct rpcc_client_message *m;
	int n;

	while (forks == rpcc_client_forks()) {
		while ((m = next_wish(&wishes)))
			grant(m, wishes);
		finish_ended();
		if (forks != rpcc_client_forks())
			break;
		n = rpcc_io_wait(engine, nearest_deadline());
		if (n < 0)
			abandon_all(n);
		check_times();
		finish_ended();
	}
	return NULL;
}

static int create_thread(struct rpcc_io *engine)
{
	sigset_t all, old;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, run, engine);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	pthread_setname_np(thread, "rpccancel-io");
	pthread_detach(thread);
	return 0;
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void fork_child(void)
{
	wanted = NULL;
	wanted_last = &wanted;
	running = NULL;
	ended = NULL;
	pthread_mutex_unlock(&lock);
}

RPCC_AT_FORK(RPCC_FORK_CLIENT, fork_prepare, fork_parent, fork_child);

/* Locked. */
static int need_thread(void)
{
	struct rpcc_io *engine;
	int err;

	if (io && io_forks == rpcc_client_forks())
		return 0;
	rpcc_io_destroy(io);
	io = NULL;
	err = rpcc_io_create(&engine, RPCC_IO_WAKEABLE);
	if (err)
		return err;
	err = create_thread(engine);
	if (err) {
		rpcc_io_destroy(engine);
		return err;
	}
	io = engine;
	io_forks = rpcc_client_forks();
	return 0;
}

/*
 * Messages.
 */

/* Locked. In a child nobody will ever finish what its parent has begun. */
static bool is_pending(struct rpcc_client_message *m)
{
	if (m->state == RPCC_ASYNC_PENDING && m->forks != rpcc_client_forks()) {
		m->call.status = RPC_S_CALL_FAILED;
		m->state = RPCC_ASYNC_DONE;
		m->wanted = 0;
	}
	return m->state == RPCC_ASYNC_PENDING;
}

bool rpcc_client_async_pending(struct rpcc_client_message *m)
{
	bool pending;

	if (likely(!m->async))
		return false;
	pthread_mutex_lock(&lock);
	pending = is_pending(m);
	pthread_mutex_unlock(&lock);
	return pending;
}

bool rpcc_is_async(const RPC_ASYNC_STATE *async)
{
	return async && async->Signature == SIGNATURE &&
	       async->Size == sizeof(*async);
}

/* Whose call it is: a client's, or NULL. */
static struct rpcc_client_message *async_message(const RPC_ASYNC_STATE *async)
{
	struct rpcc_client_message *m;

	if (!rpcc_is_async(async))
		return NULL;
	m = async->RuntimeInfo;
	return m && m->magic == RPCC_CLIENT_MESSAGE_MAGIC ? m : NULL;
}

static bool is_served(const RPC_ASYNC_STATE *async)
{
	return rpcc_is_async(async) && async->RuntimeInfo &&
	       rpcc_server_call_get(async->RuntimeInfo);
}

static RPC_STATUS check_notification(const RPC_ASYNC_STATE *async)
{
	switch (async->NotificationType) {
	case RpcNotificationTypeNone:
	case RpcNotificationTypeEvent:
		return RPC_S_OK;
	case RpcNotificationTypeCallback:
		return async->u.NotificationRoutine ? RPC_S_OK
						    : RPC_S_INVALID_ARG;
	case RpcNotificationTypeApc:
	case RpcNotificationTypeIoc:
	case RpcNotificationTypeHwnd:
		return RPC_S_CANNOT_SUPPORT;
	default:
		return RPC_S_INVALID_ARG;
	}
}

RPC_STATUS rpcc_client_async_set_handle(struct rpcc_client_message *m,
					RPC_MESSAGE *message,
					RPC_ASYNC_STATE *async)
{
	RPC_STATUS status;

	if (!rpcc_is_async(async))
		return RPC_S_INVALID_ASYNC_HANDLE;
	/* One call at a time, on both sides. */
	if (async->RuntimeInfo || rpcc_client_async_pending(m))
		return RPC_S_INVALID_ASYNC_CALL;
	status = check_notification(async);
	if (status != RPC_S_OK)
		return status;
	m->async = async;
	m->message = message;
	return RPC_S_OK;
}

RPC_STATUS rpcc_client_async_send(struct rpcc_client_message *m)
{
	int err;

	pthread_mutex_lock(&lock);
	err = need_thread();
	if (!err) {
		m->call.io = io;
		m->call.completed = completed;
		m->call.driver = m;
		m->forks = io_forks;
		m->state = RPCC_ASYNC_PENDING;
		m->async->RuntimeInfo = m;
		wish(m, WANT_START);
	}
	pthread_mutex_unlock(&lock);
	if (err && rpcc_client_protocol(m->call.binding)->prepare)
		rpcc_client_protocol(m->call.binding)
			->abandon(&m->call, rpcc_status(err));
	return rpcc_status(err);
}

/* The end of it: the message has the answer, the handle may be used again. */
RPC_STATUS rpcc_client_async_receive(struct rpcc_client_message *m)
{
	if (rpcc_client_async_pending(m))
		return RPC_S_ASYNC_CALL_PENDING;
	if (m->state != RPCC_ASYNC_DONE)
		return RPC_S_INVALID_ASYNC_CALL;
	m->state = RPCC_ASYNC_NONE;
	m->async->RuntimeInfo = NULL;
	m->async = NULL;
	rpcc_client_deliver(m, m->message);
	return m->call.status;
}

/*
 * The public functions.
 */

EXPORT RPC_STATUS RpcAsyncInitializeHandle(PRPC_ASYNC_STATE pAsync,
					   unsigned int Size)
{
	if (!pAsync)
		return RPC_S_INVALID_ASYNC_HANDLE;
	if (Size != sizeof(*pAsync))
		return RPC_S_INVALID_ARG;
	memset(pAsync, 0, sizeof(*pAsync));
	pAsync->Size = Size;
	pAsync->Signature = SIGNATURE;
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcAsyncGetCallStatus(PRPC_ASYNC_STATE pAsync)
{
	struct rpcc_client_message *m = async_message(pAsync);
	RPC_STATUS status;

	if (!m)
		return is_served(pAsync) ? RPC_S_ASYNC_CALL_PENDING
					 : RPC_S_INVALID_ASYNC_HANDLE;
	pthread_mutex_lock(&lock);
	status = is_pending(m) ? RPC_S_ASYNC_CALL_PENDING : m->call.status;
	pthread_mutex_unlock(&lock);
	return status;
}

/*
 * A client's stub looks for the answer in its message: there is no @Reply that
 * this level knows how to fill.
 */
EXPORT RPC_STATUS RpcAsyncCompleteCall(PRPC_ASYNC_STATE pAsync, void *Reply)
{
	KEEP_ERRNO();
	struct rpcc_client_message *m = async_message(pAsync);

	if (m)
		return I_RpcReceive(m->message, 0);
	return is_served(pAsync) ? rpcc_server_async_complete(pAsync, Reply)
				 : RPC_S_INVALID_ASYNC_HANDLE;
}

EXPORT RPC_STATUS RpcAsyncAbortCall(PRPC_ASYNC_STATE pAsync,
				    unsigned long ExceptionCode)
{
	KEEP_ERRNO();

	return is_served(pAsync)
		       ? rpcc_server_async_abort(pAsync, ExceptionCode)
		       : RPC_S_INVALID_ASYNC_HANDLE;
}

/* Too late is no error: the call has an outcome, which is not changed. */
EXPORT RPC_STATUS RpcAsyncCancelCall(PRPC_ASYNC_STATE pAsync, int fAbort)
{
	KEEP_ERRNO();
	struct rpcc_client_message *m = async_message(pAsync);

	if (!m)
		return RPC_S_INVALID_ASYNC_HANDLE;
	pthread_mutex_lock(&lock);
	if (is_pending(m))
		wish(m, fAbort ? WANT_CANCEL | WANT_ABORT : WANT_CANCEL);
	pthread_mutex_unlock(&lock);
	return RPC_S_OK;
}
