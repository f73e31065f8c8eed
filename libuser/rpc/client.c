// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Synchronous calls: the calling thread runs its own I/O engine until the call
 * has ended.
 *
 * A thread makes its engine at its first call and keeps it until it exits, with
 * a poll on the descriptor that tells of cancels. So a cancel is one more
 * completion beside those of the socket, and there is no moment at which it could be
 * missed. It also keeps the memory of its last call for the next one.
 *
 * A forked child does not share the parent's engine: it forgets it, and makes
 * one of its own at its first call.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "internal.h"
#include "rpc/driver.h"

#define MILLISECOND 1000000ull
#define CACHE_MAX   65536 /* a buffer that is kept for the next call */
#define REPLY_MIN   1024

/* What a thread that makes calls has. */
struct client_thread {
	struct rpcc_io *io;
	struct rpcc_io_req poll;
	int cancel_fd; /* that @poll is about, while @polling */
	bool polling;
	struct rpcc_client_message *spare;
	unsigned int forks;
};

/* One synchronous call, while it runs. */
struct run {
	struct rpcc_client_message *m;
	struct rpcc_call gen;
	struct rpcc_call_cancel cancel;
	bool cancellable;
	bool cancelled;
};

static __thread struct client_thread *self;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static int once_error;
static unsigned int forks;

static void message_free(struct rpcc_client_message *m)
{
	if (!m)
		return;
	free(m->request);
	free(m->call.reply_block);
	free(m);
}

static void thread_exits(void *arg)
{
	struct client_thread *t = arg;

	rpcc_io_destroy(t->io);
	message_free(t->spare);
	free(t);
	self = NULL;
}

static void fork_child(void)
{
	forks++;
}

RPCC_AT_FORK(RPCC_FORK_CLIENT, NULL, NULL, fork_child);

static void first_use(void)
{
	once_error = -pthread_key_create(&exit_key, thread_exits);
	if (!once_error)
		once_error = rpcc_fork_error();
}

unsigned int rpcc_client_forks(void)
{
	return forks;
}

static void cancel_polled(struct rpcc_io_req *req, int res, void *data,
			  bool more)
{
	struct client_thread *t =
		(void *)((char *)req - offsetof(struct client_thread, poll));

	(void)res;
	(void)data;
	t->polling = more;
}

static int thread_create(struct client_thread **result)
{
	struct client_thread *t;
	int err;

	pthread_once(&once, first_use);
	if (once_error)
		return once_error;
	if (self)
		thread_exits(self);
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	err = rpcc_io_create(&t->io, 0);
	if (!err)
		err = -pthread_setspecific(exit_key, t);
	if (err) {
		rpcc_io_destroy(t->io);
		free(t);
		return err;
	}
	t->poll.done = cancel_polled;
	t->forks = forks;
	*result = self = t;
	return 0;
}

static int thread_get(struct client_thread **t)
{
	*t = self;
	if (likely(*t && (*t)->forks == forks))
		return 0;
	return thread_create(t);
}

/*
 * A thread that was detached meanwhile has, or will get, another descriptor,
 * perhaps of the same number. One that cannot be cancelled makes calls all the
 * same.
 */
static void watch_for_cancels(struct client_thread *t)
{
	bool attached = rpcc_self.event_handle;
	int fd = rpcc_call_fd();

	if (likely(attached && t->polling && fd == t->cancel_fd))
		return;
	if (t->polling)
		rpcc_io_cancel(t->io, &t->poll);
	t->polling = fd >= 0;
	t->cancel_fd = fd;
	if (fd >= 0)
		rpcc_io_poll(t->io, &t->poll, fd);
}

/*
 * Messages.
 */

static struct rpcc_client_message *message_alloc(size_t size)
{
	struct rpcc_client_message *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->magic = RPCC_CLIENT_MESSAGE_MAGIC;
	/* Not 0, so that there always is a buffer to give away. */
	m->request_size = size ? size : 1;
	m->request = malloc(m->request_size);
	if (!m->request) {
		free(m);
		return NULL;
	}
	return m;
}

static bool request_grow(struct rpcc_client_message *m, size_t size)
{
	void *request;

	if (m->request_size >= size)
		return true;
	request = malloc(size);
	if (!request)
		return false;
	free(m->request);
	m->request = request;
	m->request_size = size;
	return true;
}

struct rpcc_client_message *rpcc_client_message_get(size_t size)
{
	struct rpcc_client_message *m = self ? self->spare : NULL;

	if (!m)
		return message_alloc(size);
	if (!request_grow(m, size))
		return NULL;
	self->spare = NULL;
	return m;
}

void rpcc_client_message_put(struct rpcc_client_message *m)
{
	/* A call that has ended, and was not completed. */
	if (m->state == RPCC_ASYNC_DONE)
		m->async->RuntimeInfo = NULL;
	m->async = NULL;
	m->state = RPCC_ASYNC_NONE;
	if (self && !self->spare && m->request_size <= CACHE_MAX &&
	    m->call.reply_size <= CACHE_MAX)
		self->spare = m;
	else
		message_free(m);
}

bool rpcc_client_reply_grow(struct rpcc_client_call *call, size_t keep,
			    size_t size)
{
	size_t room = call->reply_size * 2;
	uint8_t *block;

	if (size <= call->reply_size) {
		call->reply = call->reply_block;
		return true;
	}
	if (room < size)
		room = size < REPLY_MIN ? REPLY_MIN : size;
	block = malloc(room);
	if (!block)
		return false;
	if (keep)
		memcpy(block, call->reply_block, keep);
	free(call->reply_block);
	call->reply_block = call->reply = block;
	call->reply_size = room;
	return true;
}

void rpcc_client_call_complete(struct rpcc_client_call *call, RPC_STATUS status)
{
	call->done = true;
	call->status = status;
	call->timer = RPCCANCEL_INFINITE;
	if (call->completed)
		call->completed(call);
}

void rpcc_client_deliver(struct rpcc_client_message *m, RPC_MESSAGE *message)
{
	bool good = m->call.status == RPC_S_OK;

	message->Buffer = good ? m->call.reply : NULL;
	message->BufferLength = good ? m->call.reply_length : 0;
	if (good)
		message->DataRepresentation = m->call.reply_drep;
}

/*
 * Setting up.
 */

static const char *interface_endpoint(const RPC_CLIENT_INTERFACE *interface,
				      const struct rpcc_protseq *protseq)
{
	const RPC_PROTSEQ_ENDPOINT *e;
	unsigned int i;

	for (i = 0; i < interface->RpcProtseqEndpointCount; i++) {
		e = &interface->RpcProtseqEndpoint[i];
		if (!strcmp((const char *)e->RpcProtocolSequence,
			    protseq->name))
			return (const char *)e->Endpoint;
	}
	return NULL;
}

/*
 * No endpoint mapper is asked: it would have to run on each machine, on a port
 * that is not for everybody. So there is none for whom the interface has none.
 */
static RPC_STATUS bind_fully(struct rpcc_binding *binding,
			     const RPC_CLIENT_INTERFACE *interface)
{
	const char *endpoint;
	char *copy;
	RPC_STATUS status;

	if (*binding->endpoint)
		return RPC_S_OK;
	endpoint = interface_endpoint(interface, binding->protseq);
	if (!endpoint || !*endpoint)
		return RPC_S_NO_ENDPOINT_FOUND;
	status = binding->protseq->check(binding->address, endpoint);
	if (status != RPC_S_OK)
		return status;
	copy = strdup(endpoint);
	if (!copy)
		return RPC_S_OUT_OF_MEMORY;
	free(binding->endpoint);
	binding->endpoint = copy;
	return RPC_S_OK;
}

RPC_STATUS rpcc_client_resolve(struct rpcc_binding *binding,
			       const RPC_CLIENT_INTERFACE *interface,
			       struct rpcc_address *list, size_t *count)
{
	char *endpoint = NULL;
	RPC_STATUS status;

	rpcc_bindings_lock();
	status = bind_fully(binding, interface);
	if (status == RPC_S_OK)
		endpoint = strdup(binding->endpoint);
	rpcc_bindings_unlock();
	if (status != RPC_S_OK)
		return status;
	if (!endpoint)
		return RPC_S_OUT_OF_MEMORY;
	/* The address does not change while the binding lives. */
	status = binding->protseq->resolve(binding->address, endpoint, list,
					   count);
	free(endpoint);
	return status;
}

static void set_up(struct rpcc_client_message *m, const RPC_MESSAGE *message)
{
	struct rpcc_client_call *call = &m->call;
	struct rpcc_binding *binding = call->binding;
	uint32_t ms;

	call->interface = message->RpcInterfaceInformation;
	call->request = m->request;
	call->request_length = message->BufferLength;
	call->opnum = message->ProcNum & ~RPC_FLAGS_VALID_BIT;
	call->flags = 0;
	if (message->ProcNum & RPC_FLAGS_VALID_BIT)
		call->flags = message->RpcFlags &
			      (RPC_NCA_FLAGS_IDEMPOTENT |
			       RPC_NCA_FLAGS_BROADCAST | RPC_NCA_FLAGS_MAYBE);
	rpcc_bindings_lock();
	call->object = binding->object;
	call->com_timeout = binding->com_timeout;
	ms = binding->call_timeout;
	rpcc_bindings_unlock();

	call->async = m->async;
	call->quiet = false;
	call->done = false;
	call->cancel_unused = false;
	call->protocol = NULL;
	call->timer = RPCCANCEL_INFINITE;
	call->progress = 0;
	call->reply = NULL;
	call->reply_length = 0;
	call->completed = NULL;
	m->call_timeout = ms ? ms * MILLISECOND : RPCCANCEL_INFINITE;
	m->since = ms ? rpcc_now() : 0;
}

RPC_STATUS rpcc_client_prepare(struct rpcc_client_message *m,
			       const RPC_MESSAGE *message)
{
	const struct rpcc_client_protocol *protocol;

	if (!message->RpcInterfaceInformation ||
	    message->BufferLength > m->request_size)
		return RPC_S_INVALID_ARG;
	if (message->ProcNum > UINT16_MAX)
		return RPC_S_PROCNUM_OUT_OF_RANGE;
	set_up(m, message);
	protocol = rpcc_client_protocol(m->call.binding);
	return protocol->prepare ? protocol->prepare(&m->call) : RPC_S_OK;
}

/*
 * Running.
 */

/* [MS-RPCE] has no word for it; Windows begins anew with each packet. */
static uint64_t timeout_at(const struct rpcc_client_message *m)
{
	uint64_t since = m->since;

	if (m->call_timeout == RPCCANCEL_INFINITE)
		return RPCCANCEL_INFINITE;
	if (since < m->call.progress)
		since = m->call.progress;
	return since + m->call_timeout;
}

uint64_t rpcc_client_deadline(const struct rpcc_client_message *m)
{
	uint64_t timeout = timeout_at(m);

	return m->call.timer < timeout ? m->call.timer : timeout;
}

/*
 * A call that takes longer than RPC_C_OPT_CALL_TIMEOUT is cancelled on this side
 * only: Windows documents that the server is not told.
 */
void rpcc_client_check_time(struct rpcc_client_message *m)
{
	const struct rpcc_client_protocol *protocol;
	uint64_t now;

	if (likely(rpcc_client_deadline(m) == RPCCANCEL_INFINITE))
		return;
	now = rpcc_now();
	protocol = rpcc_client_protocol(m->call.binding);
	if (now >= timeout_at(m)) {
		m->call.quiet = true;
		protocol->abandon(&m->call, RPC_S_CALL_CANCELLED);
	} else if (now >= m->call.timer) {
		protocol->timer(&m->call, now);
	}
}

/* A cancel that came later has another grace; the end of it is not a cancel. */
static bool is_new(const struct run *r, const struct rpcc_call_cancel *cancel)
{
	if (!r->cancelled)
		return true;
	return cancel->deadline != r->cancel.deadline &&
	       !(cancel->reason & RPCCANCEL_REASON_GRACE);
}

/*
 * The server is told of each cancel; then its answer is waited for as long as
 * the grace lasts. An answer that comes before that ends the call as if there
 * had been no cancel, whatever the server made of it. DCE then has the cancel
 * raised again at the thread's next cancellation point; Windows, whose words
 * these are, does not, and neither do we.
 */
static void look_for_cancel(struct run *r)
{
	struct rpcc_client_call *call = &r->m->call;
	const struct rpcc_client_protocol *protocol;
	struct rpcc_call_cancel cancel;
	bool more;

	if (!r->cancellable || likely(!rpcc_call_cancelled(&r->gen, &cancel)))
		return;
	protocol = rpcc_client_protocol(call->binding);
	more = is_new(r, &cancel);
	r->cancel = cancel;
	r->cancelled = true;
	if (more)
		protocol->cancel(call);
	if (call->done)
		return;
	if (cancel.reason & RPCCANCEL_REASON_GRACE ||
	    cancel.deadline <= rpcc_now())
		protocol->abandon(call, cancel.reason & RPCCANCEL_REASON_TARGET
						? RPC_S_CALL_FAILED
						: RPC_S_CALL_CANCELLED);
}

static void run_until_done(struct run *r)
{
	struct rpcc_client_call *call = &r->m->call;
	uint64_t deadline;
	int n;

	while (!call->done) {
		deadline = rpcc_client_deadline(r->m);
		if (r->cancelled && r->cancel.deadline < deadline)
			deadline = r->cancel.deadline;
		n = rpcc_io_wait(call->io, deadline);
		if (likely(!call->done))
			look_for_cancel(r);
		if (!call->done && n < 0)
			rpcc_client_protocol(call->binding)
				->abandon(call, rpcc_status(n));
		if (!call->done)
			rpcc_client_check_time(r->m);
	}
}

/*
 * Microsoft: a call that may issue a static callback is not to be cancelled,
 * since its thread may be busy with the callback.
 */
static uint32_t call_flags(const struct rpcc_client_call *call)
{
	const RPC_CLIENT_INTERFACE *interface = call->interface;
	uint32_t flags = call->binding->protseq->call_flags;

	if (interface->DispatchTable || interface->Flags & RPCFLG_HAS_CALLBACK)
		flags |= RPCCANCEL_SLOT_NO_CANCEL;
	return flags;
}

/* What a list of calls in progress shows: interface and operation. */
static uint64_t call_tag(const struct rpcc_client_call *call)
{
	return (uint64_t)call->interface->InterfaceId.SyntaxGUID.Data1 << 32 |
	       call->opnum;
}

/* Without a place in the back end, the call is made all the same. */
static int begin(struct run *r)
{
	struct rpcc_client_call *call = &r->m->call;
	struct client_thread *t;
	int err = thread_get(&t);

	if (err)
		return err;
	call->io = t->io;
	watch_for_cancels(t);
	r->cancellable =
		!rpcc_call_begin(&r->gen, call_flags(call), call_tag(call));
	return 0;
}

RPC_STATUS rpcc_client_run(struct rpcc_client_message *m)
{
	const struct rpcc_client_protocol *protocol =
		rpcc_client_protocol(m->call.binding);
	struct run r = { .m = m };
	int err = begin(&r);

	if (err) {
		if (protocol->prepare)
			protocol->abandon(&m->call, rpcc_status(err));
		return rpcc_status(err);
	}
	/* One may have waited for this call. */
	protocol->start(&m->call);
	if (likely(!m->call.done)) {
		look_for_cancel(&r);
		run_until_done(&r);
	}
	if (likely(r.cancellable))
		rpcc_call_end(&r.gen);
	return m->call.status;
}
