// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A call on the server's side: from dispatch to its answer, and its cancel.
 *
 *	QUEUED	   a cancel is only counted; the stub will find it
 *	RUNNING	   a cancel is told at once: to the descriptor that the stub has
 *		   asked for, and to the scope that it runs in
 *	ANSWERED   too late for a cancel, which is dropped
 *
 * That a call leaves RUNNING and that a cancel is told happen under call->lock,
 * and the cancel names the generation of that stub: so none can reach the next
 * call of the thread. Somebody must have answered a call, and its stub must
 * have returned, before its interface can be taken away: an asynchronous call may
 * do the two in either order.
 *
 * An orphaned call is cancelled like any other, but gets no answer; one that was
 * still queued is dropped when its turn comes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rpcexcept.h>

#include "internal.h"
#include "log.h"
#include "rpc/driver.h"
#include "rpc/server_impl.h"
#include "wire/cn_pdu.h"
#include "wire/nca.h"

/* CallStatus of RPC_CALL_ATTRIBUTES, and what stands for no authentication. */
#define CALL_CANCELLED	  1
#define CALL_DISCONNECTED 2
#define AUTHN_LEVEL_NONE  1

static __thread struct rpcc_server_call *serving;
static __thread void *own_handle; /* of this thread, once it was needed */

void rpcc_server_call_init(struct rpcc_server_call *call,
			   const struct rpcc_server_call_ops *ops,
			   const struct rpcc_protseq *protseq)
{
	call->magic = RPCC_SERVER_CALL_MAGIC;
	atomic_init(&call->refs, 1);
	call->ops = ops;
	call->protseq = protseq;
	call->cancel_fd = -1;
	pthread_mutex_init(&call->lock, NULL);
}

void rpcc_server_call_ref(struct rpcc_server_call *call)
{
	atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
}

void rpcc_server_call_put(struct rpcc_server_call *call)
{
	if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) > 1)
		return;
	call->magic = 0;
	free(call->request);
	free(call->reply);
	if (call->interface)
		rpcc_interface_put(call->interface);
	pthread_mutex_destroy(&call->lock);
	call->ops->release(call);
}

struct rpcc_server_call *rpcc_server_call_get(RPC_BINDING_HANDLE handle)
{
	struct rpcc_server_call *call = handle;

	if (!call)
		return serving;
	return call->magic == RPCC_SERVER_CALL_MAGIC ? call : NULL;
}

/*
 * Cancelling.
 */

static void interrupt(struct rpcc_server_call *call)
{
	struct rpccancel_request request = {
		.size = sizeof(request),
		.until = RPCCANCEL_UNTIL_REQUESTED,
		.gen = call->interrupt_gen,
	};

	rpccancel_cancel(call->interrupt, &request);
}

/* Under the call's lock. */
static void tell(struct rpcc_server_call *call)
{
	if (call->cancel_fd >= 0)
		eventfd_write(call->cancel_fd, 1);
	if (call->interrupt)
		interrupt(call);
}

static bool is_cancelled(const struct rpcc_server_call *call)
{
	return call->cancels || call->orphaned;
}

void rpcc_server_call_cancel(struct rpcc_server_call *call)
{
	pthread_mutex_lock(&call->lock);
	if (call->state != RPCC_CALL_ANSWERED) {
		call->cancels++;
		tell(call);
	}
	pthread_mutex_unlock(&call->lock);
}

void rpcc_server_call_orphan(struct rpcc_server_call *call)
{
	pthread_mutex_lock(&call->lock);
	if (call->state != RPCC_CALL_ANSWERED) {
		call->orphaned = true;
		tell(call);
	}
	pthread_mutex_unlock(&call->lock);
}

static bool notice(struct rpcc_server_call *call)
{
	bool cancelled;

	pthread_mutex_lock(&call->lock);
	cancelled = is_cancelled(call);
	if (cancelled)
		call->cancel_noticed = true;
	pthread_mutex_unlock(&call->lock);
	return cancelled;
}

int rpcc_server_test_cancel(void)
{
	return serving ? notice(serving) : -1;
}

EXPORT RPC_STATUS RpcServerTestCancel(RPC_BINDING_HANDLE BindingHandle)
{
	struct rpcc_server_call *call = rpcc_server_call_get(BindingHandle);

	if (!call)
		return BindingHandle ? RPC_S_INVALID_BINDING
				     : RPC_S_NO_CALL_ACTIVE;
	return notice(call) ? RPC_S_OK : RPC_S_CALL_IN_PROGRESS;
}

static RPC_STATUS open_cancel_fd(struct rpcc_server_call *call)
{
	if (call->state == RPCC_CALL_ANSWERED)
		return RPC_S_NO_CALL_ACTIVE;
	if (call->cancel_fd < 0)
		call->cancel_fd =
			eventfd(is_cancelled(call), EFD_CLOEXEC | EFD_NONBLOCK);
	return call->cancel_fd < 0 ? rpcc_status(-errno) : RPC_S_OK;
}

/* The descriptor is the call's, and closed when that is answered. */
EXPORT RPC_STATUS rpccancel_server_cancel_fd(RPC_BINDING_HANDLE binding,
					     int *fd)
{
	struct rpcc_server_call *call = rpcc_server_call_get(binding);
	RPC_STATUS status;
	KEEP_ERRNO();

	if (!fd)
		return RPC_S_INVALID_ARG;
	if (!call)
		return binding ? RPC_S_INVALID_BINDING : RPC_S_NO_CALL_ACTIVE;
	pthread_mutex_lock(&call->lock);
	status = open_cancel_fd(call);
	*fd = call->cancel_fd;
	pthread_mutex_unlock(&call->lock);
	return status;
}

/*
 * Answering.
 */

/* Both halves of a call are over: its interface does not count it any more. */
static void half_done(struct rpcc_server_call *call, bool *half)
{
	struct rpcc_interface *interface = NULL;

	pthread_mutex_lock(&call->lock);
	*half = true;
	if (call->stub_done && call->answer_done && call->admitted)
		interface = call->interface;
	pthread_mutex_unlock(&call->lock);
	if (interface)
		rpcc_interface_leave(interface);
}

/* Under the call's lock. What is decided here is what the answer says. */
static void freeze(struct rpcc_server_call *call, uint32_t fault)
{
	call->state = RPCC_CALL_ANSWERED;
	call->fault = fault;
	call->cancel_unused = call->cancels && !call->cancel_noticed;
	if (call->cancel_fd >= 0)
		close(call->cancel_fd);
	call->cancel_fd = -1;
	if (call->async)
		call->async->RuntimeInfo = NULL;
	call->async = NULL;
}

static void respond(struct rpcc_server_call *call)
{
	RPC_MESSAGE *message = &call->message;

	message->Buffer = call->reply;
	if (!call->reply)
		message->BufferLength = 0;
	if (message->BufferLength > call->reply_size)
		message->BufferLength = call->reply_size;
	call->ops->respond(call);
}

/*
 * Once only: false if it was answered already, or if @async is not NULL and not
 * the state that the call is waiting for. Drops the reference of a state.
 */
static bool answer(struct rpcc_server_call *call, const RPC_ASYNC_STATE *async,
		   uint32_t fault)
{
	bool mine, was_async, orphaned;

	pthread_mutex_lock(&call->lock);
	mine = call->state != RPCC_CALL_ANSWERED &&
	       (!async || async == call->async);
	was_async = call->async;
	orphaned = call->orphaned;
	if (mine)
		freeze(call, fault);
	pthread_mutex_unlock(&call->lock);
	if (!mine)
		return false;

	if (!orphaned)
		respond(call);
	half_done(call, &call->answer_done);
	if (was_async)
		rpcc_server_call_put(call);
	return true;
}

static void refuse(struct rpcc_server_call *call, uint32_t fault)
{
	call->did_not_execute = true;
	answer(call, NULL, fault);
	half_done(call, &call->stub_done);
	rpcc_server_call_put(call);
}

void rpcc_server_dispatch(struct rpcc_server_call *call)
{
	uint32_t fault = rpcc_interface_admit(call);

	call->admitted = !fault;
	if (!fault && !rpcc_executor_submit(call))
		fault = NCA_S_SERVER_TOO_BUSY;
	if (fault)
		refuse(call, fault);
}

/*
 * The stub.
 */

static void fill_message(struct rpcc_server_call *call)
{
	call->message = (RPC_MESSAGE){
		.Handle = call,
		.DataRepresentation = call->drep,
		.Buffer = call->request,
		.BufferLength = call->request_length,
		.ProcNum = call->opnum,
		.TransferSyntax = (PRPC_SYNTAX_IDENTIFIER)&rpcc_ndr_syntax,
		.RpcInterfaceInformation = (void *)call->interface->spec,
		.ManagerEpv = call->interface->epv,
		.RpcFlags = call->flags,
	};
}

static bool lets_in(struct rpcc_server_call *call)
{
	const struct rpcc_interface *interface = call->interface;

	if (!interface->callback)
		return true;
	return interface->callback((RPC_IF_HANDLE)interface->spec, call) ==
	       RPC_S_OK;
}

/* What to put into a fault; 0: none. */
static uint32_t enter_stub(struct rpcc_server_call *call)
{
	volatile RPC_STATUS status = RPC_S_OK;

	RpcTryExcept
	{
		call->did_not_execute = !lets_in(call);
		if (call->did_not_execute)
			status = RPC_S_ACCESS_DENIED;
		else
			call->interface->dispatch->DispatchTable[call->opnum](
				&call->message);
	}
	RpcExcept(1)
	{
		status = (RPC_STATUS)RpcExceptionCode();
		if (!status)
			status = RPC_S_CALL_FAILED;
	}
	RpcEndExcept if (status == RPC_S_CALL_CANCELLED) notice(call);
	return status ? rpcc_status_to_nca(status) : 0;
}

/*
 * A stub that was left by an exception may have left scopes open, whose memory
 * is gone. Detached, the thread has forgotten them; it attaches again.
 */
static void forget_scopes(void)
{
	rpcc_self.top = NULL;
	rpccancel_thread_detach();
}

/* Here, and not when it exits: who waits for the thread does not see that. */
void rpcc_server_thread_ends(void)
{
	if (own_handle)
		rpccancel_thread_close(own_handle);
	own_handle = NULL;
	rpccancel_thread_detach();
}

/* A cancel that came before the stub takes effect here. */
static void set_interrupt(struct rpcc_server_call *call, void *handle)
{
	pthread_mutex_lock(&call->lock);
	call->interrupt = handle;
	if (handle) {
		call->interrupt_gen = READ_ONCE(rpcc_self.slot->gen);
		if (is_cancelled(call))
			interrupt(call);
	}
	pthread_mutex_unlock(&call->lock);
}

static void log_no_interrupt(RPC_STATUS status)
{
	static atomic_flag logged = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set(&logged))
		rpcc_log(RPCCANCEL_LOG_WARNING,
			 "server: stubs cannot be interrupted: status %d",
			 status);
}

static void *handle_of_thread(void)
{
	RPC_STATUS status = RPC_S_OK;

	if (!own_handle)
		status = rpccancel_thread_self(THREAD_SET_CONTEXT, &own_handle);
	if (status != RPC_S_OK)
		log_no_interrupt(status);
	return own_handle;
}

/* A system call that was refused is a cancel that was noticed. */
static uint32_t run_in_scope(struct rpcc_server_call *call,
			     struct rpccancel_scope *scope)
{
	uint64_t refused = READ_ONCE(rpcc_self.slot->refused);
	uint32_t fault;

	set_interrupt(call, handle_of_thread());
	fault = enter_stub(call);
	set_interrupt(call, NULL);
	if (READ_ONCE(rpcc_self.slot->refused) != refused)
		notice(call);
	if (rpcc_self.top == (struct rpcc_scope *)scope)
		rpccancel_scope_end(scope);
	return fault;
}

static uint32_t run_stub(struct rpcc_server_call *call)
{
	struct rpccancel_scope scope;
	RPC_STATUS status;
	uint32_t fault;

	if (call->interface->flags & RPCCANCEL_IF_INTERRUPT) {
		status = rpccancel_scope_begin(&scope, NULL);
		if (status == RPC_S_OK) {
			fault = run_in_scope(call, &scope);
			goto out;
		}
		log_no_interrupt(status);
	}
	fault = enter_stub(call);
out:
	if (rpcc_self.top)
		forget_scopes();
	return fault;
}

static bool begin(struct rpcc_server_call *call)
{
	bool wanted;

	pthread_mutex_lock(&call->lock);
	wanted = !call->orphaned;
	if (wanted)
		call->state = RPCC_CALL_RUNNING;
	pthread_mutex_unlock(&call->lock);
	return wanted;
}

void rpcc_server_call_run(struct rpcc_server_call *call)
{
	uint32_t fault = 0;

	if (begin(call)) {
		fill_message(call);
		serving = call;
		fault = run_stub(call);
		serving = NULL;
	}
	if (fault || !call->went_async)
		answer(call, NULL, fault);
	half_done(call, &call->stub_done);
	rpcc_server_call_put(call);
}

/*
 * Buffers. The stub gets a new one for its answer, and keeps the request.
 */

RPC_STATUS rpcc_server_get_buffer(RPC_MESSAGE *message)
{
	struct rpcc_server_call *call = rpcc_server_call_get(message->Handle);
	void *reply;

	if (!call)
		return RPC_S_INVALID_BINDING;
	reply = malloc(message->BufferLength ? message->BufferLength : 1);
	if (!reply)
		return RPC_S_OUT_OF_MEMORY;
	free(call->reply);
	call->reply = reply;
	call->reply_size = message->BufferLength;
	call->message.BufferLength = message->BufferLength;
	message->Buffer = reply;
	return RPC_S_OK;
}

/* The request is not the stub's to free. */
RPC_STATUS rpcc_server_free_buffer(RPC_MESSAGE *message)
{
	struct rpcc_server_call *call = rpcc_server_call_get(message->Handle);

	if (!call)
		return RPC_S_INVALID_BINDING;
	if (call->reply && message->Buffer == call->reply) {
		free(call->reply);
		call->reply = NULL;
		call->reply_size = 0;
	}
	message->Buffer = NULL;
	message->BufferLength = 0;
	return RPC_S_OK;
}

/*
 * Asynchronous calls. The message stays, for I_RpcGetBuffer(), until the call is
 * completed or aborted; the stub's argument points to it.
 */

static RPC_STATUS set_async(struct rpcc_server_call *call,
			    RPC_ASYNC_STATE *async)
{
	if (call->went_async)
		return RPC_S_CALL_IN_PROGRESS;
	rpcc_server_call_ref(call);
	call->went_async = true;
	call->async = async;
	async->RuntimeInfo = call;
	return RPC_S_OK;
}

RPC_STATUS rpcc_server_async_set_handle(RPC_MESSAGE *message,
					RPC_ASYNC_STATE *async)
{
	struct rpcc_server_call *call = rpcc_server_call_get(message->Handle);
	RPC_STATUS status;

	if (!rpcc_is_async(async))
		return RPC_S_INVALID_ASYNC_HANDLE;
	if (!call || call != serving)
		return RPC_S_INVALID_ASYNC_CALL;
	pthread_mutex_lock(&call->lock);
	status = set_async(call, async);
	pthread_mutex_unlock(&call->lock);
	return status;
}

static RPC_STATUS finish_async(RPC_ASYNC_STATE *async, uint32_t fault)
{
	struct rpcc_server_call *call = NULL;
	RPC_STATUS status = RPC_S_OK;

	if (async && async->RuntimeInfo)
		call = rpcc_server_call_get(async->RuntimeInfo);
	if (!call)
		return RPC_S_INVALID_ASYNC_HANDLE;
	rpcc_server_call_ref(call);
	if (!answer(call, async, fault))
		status = RPC_S_INVALID_ASYNC_HANDLE;
	else if (call->orphaned)
		status = RPC_S_CALL_CANCELLED;
	rpcc_server_call_put(call);
	return status;
}

/* What a stub of MIDL returns is in the buffer here, and @reply is not used. */
RPC_STATUS rpcc_server_async_complete(RPC_ASYNC_STATE *async, void *reply)
{
	(void)reply;
	return finish_async(async, 0);
}

RPC_STATUS rpcc_server_async_abort(RPC_ASYNC_STATE *async, unsigned long code)
{
	if (!code)
		return RPC_S_INVALID_ARG;
	return finish_async(async, rpcc_status_to_nca((RPC_STATUS)code));
}

/*
 * What a server can learn.
 */

static bool is_loopback(const struct rpcc_address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return ntohl(address->ip4.sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&address->ip6.sin6_addr);
	default:
		return false;
	}
}

static void describe(struct rpcc_server_call *call,
		     RPC_CALL_ATTRIBUTES_V2 *attributes)
{
	struct rpcc_address address = { .any.sa_family = AF_UNSPEC };
	bool local;
	pid_t pid = 0;

	call->ops->peer(call, &address, &pid);
	local = call->protseq->local || is_loopback(&address);
	*attributes = (RPC_CALL_ATTRIBUTES_V2){
		.Version = attributes->Version,
		.Flags = attributes->Flags,
		.AuthenticationLevel = AUTHN_LEVEL_NONE,
		.NullSession = 1,
		.ProtocolSequence = call->protseq->number,
		.IsClientLocal = local ? rcclLocal : rcclRemote,
		.ClientPID = (void *)(intptr_t)pid,
		.CallType = rctNormal,
		.OpNum = call->opnum,
		.InterfaceUuid = call->interface->id.SyntaxGUID,
	};
	pthread_mutex_lock(&call->lock);
	if (call->cancels)
		attributes->CallStatus |= CALL_CANCELLED;
	if (call->orphaned)
		attributes->CallStatus |= CALL_DISCONNECTED;
	pthread_mutex_unlock(&call->lock);
}

EXPORT RPC_STATUS RpcServerInqCallAttributes(RPC_BINDING_HANDLE ClientBinding,
					     void *RpcCallAttributes)
{
	struct rpcc_server_call *call = rpcc_server_call_get(ClientBinding);
	RPC_CALL_ATTRIBUTES_V2 *attributes = RpcCallAttributes;

	if (!attributes || attributes->Version != RPC_CALL_ATTRIBUTES_VERSION)
		return RPC_S_INVALID_ARG;
	if (!call)
		return ClientBinding ? RPC_S_INVALID_BINDING
				     : RPC_S_NO_CALL_ACTIVE;
	describe(call, attributes);
	return RPC_S_OK;
}
