// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What stubs call, on both sides: buffers, and the call itself.
 *
 * Whose message it is shows at its handle: a client's binding or a call that is
 * being served. A client's message has its call in ReservedForRuntime from
 * I_RpcGetBuffer() on. I_RpcFreeBuffer() ends that, and so does a call that
 * failed, as on Windows, where there is nothing to free after a failure.
 */
#include "internal.h"
#include "rpc/driver.h"
#include "rpc/server.h"

/* NDR's label for the data of this machine: ASCII, IEEE. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOCAL_DREP 0x10
#else
#define LOCAL_DREP 0x00
#endif

static bool is_served(const RPC_MESSAGE *message)
{
	return message->Handle && rpcc_server_call_get(message->Handle);
}

/* The binding may be gone already, the message is not. */
static struct rpcc_client_message *client_message(const RPC_MESSAGE *message)
{
	struct rpcc_client_message *m = message->ReservedForRuntime;

	return m && m->magic == RPCC_CLIENT_MESSAGE_MAGIC ? m : NULL;
}

static void release(RPC_MESSAGE *message, struct rpcc_client_message *m)
{
	rpcc_client_message_put(m);
	message->ReservedForRuntime = NULL;
	message->Buffer = NULL;
	message->BufferLength = 0;
}

EXPORT RPC_STATUS I_RpcGetBuffer(RPC_MESSAGE *Message)
{
	KEEP_ERRNO();
	struct rpcc_binding *binding;
	struct rpcc_client_message *m;

	if (!Message)
		return RPC_S_INVALID_ARG;
	binding = rpcc_binding_get(Message->Handle);
	if (!binding)
		return is_served(Message) ? rpcc_server_get_buffer(Message)
					  : RPC_S_INVALID_BINDING;
	m = client_message(Message);
	if (m && rpcc_client_async_pending(m))
		return RPC_S_CALL_IN_PROGRESS;
	/* One for a larger request, or one of a call before that was not freed. */
	if (m) {
		rpcc_client_message_put(m);
		Message->ReservedForRuntime = NULL;
		Message->Buffer = NULL;
	}
	m = rpcc_client_message_get(Message->BufferLength);
	if (!m)
		return RPC_S_OUT_OF_MEMORY;
	m->call.binding = binding;
	Message->ReservedForRuntime = m;
	Message->Buffer = m->request;
	Message->DataRepresentation = LOCAL_DREP;
	return RPC_S_OK;
}

EXPORT RPC_STATUS I_RpcFreeBuffer(RPC_MESSAGE *Message)
{
	KEEP_ERRNO();
	struct rpcc_client_message *m;

	if (!Message)
		return RPC_S_INVALID_ARG;
	if (!Message->ReservedForRuntime && !Message->Buffer)
		return RPC_S_OK;
	m = client_message(Message);
	if (!m)
		return is_served(Message) ? rpcc_server_free_buffer(Message)
					  : RPC_S_OK;
	if (rpcc_client_async_pending(m))
		return RPC_S_CALL_IN_PROGRESS;
	release(Message, m);
	return RPC_S_OK;
}

/* Of a client's message that has a buffer; a server does not call back. */
static RPC_STATUS message_to_send(const RPC_MESSAGE *message,
				  struct rpcc_client_message **m)
{
	if (!message)
		return RPC_S_INVALID_ARG;
	if (!rpcc_binding_get(message->Handle))
		return is_served(message) ? RPC_S_CANNOT_SUPPORT
					  : RPC_S_INVALID_BINDING;
	*m = client_message(message);
	return *m ? RPC_S_OK : RPC_S_INVALID_ARG;
}

EXPORT RPC_STATUS I_RpcSendReceive(RPC_MESSAGE *Message)
{
	KEEP_ERRNO();
	struct rpcc_client_message *m;
	RPC_STATUS status = message_to_send(Message, &m);

	if (status != RPC_S_OK)
		return status;
	if (m->async)
		return RPC_S_INVALID_ASYNC_CALL;
	status = rpcc_client_prepare(m, Message);
	if (status == RPC_S_OK)
		status = rpcc_client_run(m);
	if (likely(status == RPC_S_OK))
		rpcc_client_deliver(m, Message);
	else
		release(Message, m);
	return status;
}

/*
 * Begins a call for which I_RpcAsyncSetHandle() was called. Without that, these
 * two would be for pipes, which there are none of.
 */
EXPORT RPC_STATUS I_RpcSend(RPC_MESSAGE *Message)
{
	KEEP_ERRNO();
	struct rpcc_client_message *m;
	RPC_STATUS status = message_to_send(Message, &m);

	if (status != RPC_S_OK)
		return status;
	if (!m->async)
		return RPC_S_CANNOT_SUPPORT;
	if (rpcc_client_async_pending(m))
		return RPC_S_CALL_IN_PROGRESS;
	status = rpcc_client_prepare(m, Message);
	if (status == RPC_S_OK)
		status = rpcc_client_async_send(m);
	if (status != RPC_S_OK)
		release(Message, m);
	return status;
}

/* The answer of such a call; all of it, whatever size is asked for. */
EXPORT RPC_STATUS I_RpcReceive(RPC_MESSAGE *Message, unsigned int Size)
{
	KEEP_ERRNO();
	struct rpcc_client_message *m;
	RPC_STATUS status;

	(void)Size;
	if (!Message)
		return RPC_S_INVALID_ARG;
	m = client_message(Message);
	if (!m || !m->async)
		return RPC_S_CANNOT_SUPPORT;
	status = rpcc_client_async_receive(m);
	if (status != RPC_S_OK && status != RPC_S_ASYNC_CALL_PENDING)
		release(Message, m);
	return status;
}

EXPORT RPC_STATUS I_RpcAsyncSetHandle(RPC_MESSAGE *Message,
				      struct _RPC_ASYNC_STATE *pAsync)
{
	KEEP_ERRNO();
	struct rpcc_client_message *m;
	RPC_STATUS status;

	if (!Message || !pAsync)
		return RPC_S_INVALID_ARG;
	if (is_served(Message))
		return rpcc_server_async_set_handle(Message, pAsync);
	status = message_to_send(Message, &m);
	if (status != RPC_S_OK)
		return status;
	return rpcc_client_async_set_handle(m, Message, pAsync);
}
