// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Requests, cancels and answers of a server's connection.
 *
 * A request is put together from its fragments on the list of those in progress:
 * one at a time, or with concurrent multiplexing any number. Once complete it is
 * a call, on the list of calls until it is answered, orphaned, or its
 * connection is closed, whichever comes first; only then can an answer be sent.
 * Complete or not, the requests of a connection share a limit on their number
 * and one on their bytes.
 *
 * A cancel is for a complete request. One that comes between the fragments
 * reaches the stub all the same, but the answer does not count it, because
 * Windows, which ignores it, does not; an orphaned PDU is ignored then, because
 * the call completes there (Samba's raw protocol tests have it so).
 */
#include <stdlib.h>
#include <string.h>

#include "cn/cn_server.h"
#include "internal.h"
#include "wire/nca.h"

#define WHOLE (CN_FIRST_FRAG | CN_LAST_FRAG)

static struct cn_server_call *to_call(struct rpcc_server_call *base)
{
	return (struct cn_server_call *)base;
}

/*
 * Answers.
 */

static uint8_t count_byte(unsigned int cancels)
{
	return cancels < 255 ? (uint8_t)cancels : 255;
}

void cn_server_fault(struct cn_conn *conn, uint8_t flags, uint32_t call_id,
		     uint16_t context_id, uint32_t status)
{
	uint8_t pdu[CN_FAULT_SIZE];
	size_t size;

	size = cn_put_fault(pdu, sizeof(pdu), WHOLE | flags, call_id,
			    context_id, 0, status);
	cn_conn_say(conn, pdu, size);
}

/* A violation of the protocol, which ends the connection. */
static void protocol_error(struct cn_conn *conn, uint32_t call_id,
			   uint16_t context_id, const char *why)
{
	cn_server_fault(conn, 0, call_id, context_id, NCA_S_PROTO_ERROR);
	cn_conn_end(conn, why);
}

/* What the answer says about cancels. */
static unsigned int counted(const struct cn_server_call *call)
{
	return call->base.cancels - call->early;
}

static uint8_t cancel_flag(const struct cn_server_call *call)
{
	return call->base.cancel_unused && counted(call) ? CN_PENDING_CANCEL
							 : 0;
}

static void send_fault(const struct cn_server_call *call, uint32_t status)
{
	uint8_t flags = WHOLE | cancel_flag(call);
	uint8_t pdu[CN_FAULT_SIZE];
	size_t size;

	if (call->base.did_not_execute)
		flags |= CN_DID_NOT_EXECUTE;
	size = cn_put_fault(pdu, sizeof(pdu), flags, call->call_id,
			    call->context_id, count_byte(counted(call)),
			    status);
	cn_conn_send_pdu(call->conn, pdu, size);
}

/* One fragment of the answer: @left bytes of it have yet to be sent. */
static size_t put_fragment(const struct cn_server_call *call, uint8_t *head,
			   struct iovec *iov, size_t left, size_t chunk)
{
	size_t length = call->base.message.BufferLength;
	uint8_t *stub = call->base.message.Buffer;
	size_t size = left < chunk ? left : chunk;
	uint8_t flags = 0;

	if (left == length)
		flags |= CN_FIRST_FRAG;
	if (left == size)
		flags |= CN_LAST_FRAG | cancel_flag(call);
	/* Windows, and so its clients, have 8 bits of it in answers. */
	iov[0].iov_len =
		cn_put_response(head, CN_RESPONSE_SIZE, flags, call->call_id,
				(uint32_t)left, call->context_id & 0xff,
				count_byte(counted(call)), size);
	iov[0].iov_base = head;
	iov[1].iov_base = stub ? stub + (length - left) : NULL;
	iov[1].iov_len = size;
	return size;
}

static void send_response(const struct cn_server_call *call)
{
	size_t chunk = (call->conn->max_frag - CN_RESPONSE_SIZE) & ~7u;
	size_t left = call->base.message.BufferLength;
	size_t count = left ? (left + chunk - 1) / chunk : 1, i;
	uint8_t one_head[CN_RESPONSE_SIZE], (*head)[CN_RESPONSE_SIZE];
	struct iovec one_iov[2], *iov;
	void *block = NULL;

	head = &one_head;
	iov = one_iov;
	if (count > 1) {
		block = calloc(count, sizeof(*head) + 2 * sizeof(*iov));
		if (!block) {
			send_fault(call, NCA_S_FAULT_REMOTE_NO_MEMORY);
			return;
		}
		iov = block;
		head = (void *)(iov + 2 * count);
	}
	for (i = 0; i < count; i++)
		left -= put_fragment(call, head[i], &iov[2 * i], left, chunk);
	cn_conn_send(call->conn, iov, 2 * count);
	free(block);
}

/*
 * Lists. The list has a reference to what is on it.
 */

static void insert(struct cn_server_call **list, struct cn_server_call *call)
{
	call->next = *list;
	if (call->next)
		call->next->link = &call->next;
	*list = call;
	call->link = list;
}

static void delete (struct cn_server_call *call)
{
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	call->link = NULL;
}

static struct cn_server_call *find(struct cn_server_call *list,
				   uint32_t call_id)
{
	while (list && list->call_id != call_id)
		list = list->next;
	return list;
}

/* Under conn->lock: the call counts no more. */
static void forget(struct cn_conn *conn, const struct cn_server_call *call)
{
	conn->call_count--;
	conn->request_bytes -= call->base.request_length;
	conn->last_call = rpcc_now_coarse();
}

/* Whether it was there; then the list's reference is the caller's. */
static bool take_off(struct cn_conn *conn, struct cn_server_call *call)
{
	bool listed;

	pthread_mutex_lock(&conn->lock);
	listed = call->link;
	if (listed) {
		delete (call);
		forget(conn, call);
	}
	pthread_mutex_unlock(&conn->lock);
	return listed;
}

/* With a reference. */
static struct cn_server_call *get_call(struct cn_conn *conn, uint32_t call_id)
{
	struct cn_server_call *call;

	pthread_mutex_lock(&conn->lock);
	call = find(conn->calls, call_id);
	if (call)
		rpcc_server_call_ref(&call->base);
	pthread_mutex_unlock(&conn->lock);
	return call;
}

static void respond(struct rpcc_server_call *base)
{
	struct cn_server_call *call = to_call(base);

	if (!take_off(call->conn, call))
		return; /* orphaned, at the last moment */
	if (call->maybe)
		;
	else if (base->fault)
		send_fault(call, base->fault);
	else
		send_response(call);
	rpcc_server_call_put(base);
}

static void release(struct rpcc_server_call *base)
{
	struct cn_server_call *call = to_call(base);

	cn_conn_put(call->conn);
	free(call);
}

static void peer(struct rpcc_server_call *base, struct rpcc_address *address,
		 pid_t *pid)
{
	const struct cn_conn *conn = to_call(base)->conn;

	*address = conn->peer;
	*pid = conn->peer_pid;
}

static const struct rpcc_server_call_ops ops = {
	.respond = respond,
	.release = release,
	.peer = peer,
};

/*
 * Cancels.
 */

void cn_server_cancel(struct cn_conn *conn, uint32_t call_id)
{
	struct cn_server_call *call = find(conn->assembling, call_id);

	if (call) {
		call->early++;
		rpcc_server_call_cancel(&call->base);
		return;
	}
	call = get_call(conn, call_id);
	if (!call)
		return; /* too late, as cancels may be */
	rpcc_server_call_cancel(&call->base);
	rpcc_server_call_put(&call->base);
}

static void orphan(struct cn_conn *conn, struct cn_server_call *call)
{
	if (!take_off(conn, call))
		return;
	rpcc_server_call_orphan(&call->base);
	rpcc_server_call_put(&call->base);
}

void cn_server_orphaned(struct cn_conn *conn, uint32_t call_id)
{
	struct cn_server_call *call = get_call(conn, call_id);

	if (!call)
		return;
	orphan(conn, call);
	rpcc_server_call_put(&call->base);
}

static struct cn_server_call *get_first(struct cn_conn *conn)
{
	struct cn_server_call *call;

	pthread_mutex_lock(&conn->lock);
	call = conn->calls;
	if (call)
		rpcc_server_call_ref(&call->base);
	pthread_mutex_unlock(&conn->lock);
	return call;
}

/* The connection is lost: nobody waits for any of them. */
void cn_server_drop_calls(struct cn_conn *conn)
{
	struct cn_server_call *call;

	while ((call = conn->assembling)) {
		take_off(conn, call);
		rpcc_server_call_put(&call->base);
	}
	while ((call = get_first(conn))) {
		orphan(conn, call);
		rpcc_server_call_put(&call->base);
	}
}

/*
 * Requests.
 */

/* Refuses a request, of which there may be more fragments to come. */
static void refuse(struct cn_conn *conn, const struct cn_header *header,
		   uint16_t context_id, uint32_t status)
{
	cn_server_fault(conn, CN_DID_NOT_EXECUTE, header->call_id, context_id,
			status);
	conn->refusing = !(header->flags & CN_LAST_FRAG);
	conn->refused_id = header->call_id;
}

/* While another request is in pieces, Windows does not forgive this one. */
static void unknown_context(struct cn_conn *conn,
			    const struct cn_header *header)
{
	if (conn->assembling)
		protocol_error(conn, header->call_id, 0,
			       "an unknown presentation context");
	else
		refuse(conn, header, 0, NCA_S_UNK_IF);
}

/* The oldest of those that are in pieces decides when time is up. */
static void limit_requests(struct cn_conn *conn)
{
	uint64_t oldest = RPCCANCEL_INFINITE;
	const struct cn_server_call *i;

	for (i = conn->assembling; i; i = i->next)
		if (i->begun < oldest)
			oldest = i->begun;
	if (oldest < RPCCANCEL_INFINITE - conn->limits.fragment_timeout)
		oldest += conn->limits.fragment_timeout;
	else
		oldest = RPCCANCEL_INFINITE;
	cn_conn_limit(conn, CN_LIMIT_REQUEST, oldest);
}

static struct cn_server_call *new_call(struct cn_conn *conn,
				       const struct cn_header *header,
				       const struct cn_request *request,
				       struct rpcc_interface *interface)
{
	struct cn_server_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	rpcc_server_call_init(&call->base, &ops, conn->protseq);
	call->conn = conn;
	cn_conn_ref(conn);
	call->call_id = header->call_id;
	call->context_id = request->context_id;
	call->maybe = header->flags & CN_MAYBE;
	rpcc_interface_ref(interface);
	call->base.interface = interface;
	call->base.object = request->object;
	call->base.opnum = request->opnum;
	call->base.flags = call->maybe ? RPC_NCA_FLAGS_MAYBE : 0;
	call->base.drep = header->drep;
	call->begun = RPCCANCEL_INFINITE;
	return call;
}

/* Of the limits that all requests share, complete or not. */
static bool has_room(struct cn_conn *conn, unsigned int calls, size_t bytes)
{
	bool room;

	pthread_mutex_lock(&conn->lock);
	room = conn->call_count + calls <= conn->limits.calls_per_connection &&
	       conn->request_bytes + bytes <= conn->limits.connection_bytes;
	pthread_mutex_unlock(&conn->lock);
	return room;
}

static bool in_use(struct cn_conn *conn, uint32_t call_id)
{
	struct cn_server_call *call = get_call(conn, call_id);

	if (call)
		rpcc_server_call_put(&call->base);
	return call;
}

static struct cn_server_call *begin_call(struct cn_conn *conn,
					 const struct cn_header *header,
					 const struct cn_request *request,
					 struct rpcc_interface *interface)
{
	struct cn_server_call *call = NULL;

	if (has_room(conn, 1, request->stub_length) && !cn_conn_is_full(conn))
		call = new_call(conn, header, request, interface);
	if (!call) {
		refuse(conn, header, request->context_id,
		       NCA_S_SERVER_TOO_BUSY);
		return NULL;
	}
	if (!(header->flags & CN_LAST_FRAG))
		call->begun = rpcc_now();
	pthread_mutex_lock(&conn->lock);
	insert(&conn->assembling, call);
	conn->call_count++;
	pthread_mutex_unlock(&conn->lock);
	if (!(header->flags & CN_LAST_FRAG))
		limit_requests(conn);
	return call;
}

static struct cn_server_call *first_fragment(struct cn_conn *conn,
					     const struct cn_header *header,
					     const struct cn_request *request,
					     struct cn_server_call *before)
{
	struct rpcc_interface *interface;

	if (!conn->mpx)
		before = conn->assembling;
	if (before) {
		protocol_error(conn, before->call_id, before->context_id,
			       "a request before the end of another");
		return NULL;
	}
	if (header->flags & CN_PENDING_CANCEL) {
		cn_server_fault(conn, CN_DID_NOT_EXECUTE, header->call_id, 0,
				RPC_S_NO_CALL_ACTIVE);
		cn_conn_end(conn, "a request that begins with a cancel");
		return NULL;
	}
	interface = cn_server_context(conn, request->context_id);
	if (!interface) {
		unknown_context(conn, header);
		return NULL;
	}
	if (in_use(conn, header->call_id)) {
		protocol_error(conn, header->call_id, request->context_id,
			       "a call id that is in use");
		return NULL;
	}
	return begin_call(conn, header, request, interface);
}

/* Context and operation of later fragments mean nothing (Windows). */
static struct cn_server_call *next_fragment(struct cn_conn *conn,
					    const struct cn_header *header,
					    const struct cn_request *request,
					    struct cn_server_call *call)
{
	const char *why = "a fragment of no request";
	uint32_t call_id = header->call_id;
	uint16_t context_id = 0;

	if (call && call->base.drep == header->drep)
		return call;
	if (!call && conn->refusing && conn->refused_id == call_id) {
		conn->refusing = !(header->flags & CN_LAST_FRAG);
		return NULL;
	}
	if (!call && !conn->mpx)
		call = conn->assembling;
	if (call) {
		call_id = call->call_id;
		context_id = call->context_id;
		why = "a fragment that does not belong to its request";
	} else if (conn->mpx) {
		if (!cn_server_context(conn, request->context_id)) {
			unknown_context(conn, header);
			return NULL;
		}
		context_id = request->context_id;
	}
	protocol_error(conn, call_id, context_id, why);
	return NULL;
}

/* alloc_hint is not to be trusted: memory grows with what has come. */
static bool make_room(struct cn_server_call *call, size_t more, bool last)
{
	size_t length = call->base.request_length + more;
	size_t room = length;
	uint8_t *bytes;

	if (length <= call->request_room)
		return true;
	if (!last && room < 2 * call->request_room)
		room = 2 * call->request_room;
	bytes = realloc(call->base.request, room);
	if (!bytes)
		return false;
	call->base.request = bytes;
	call->request_room = room;
	return true;
}

static void add_bytes(struct cn_conn *conn, struct cn_server_call *call,
		      const struct cn_request *request)
{
	if (request->stub_length)
		memcpy(call->base.request + call->base.request_length,
		       request->stub, request->stub_length);
	pthread_mutex_lock(&conn->lock);
	call->base.request_length += request->stub_length;
	conn->request_bytes += request->stub_length;
	pthread_mutex_unlock(&conn->lock);
}

static void drop_request(struct cn_conn *conn, struct cn_server_call *call)
{
	take_off(conn, call);
	limit_requests(conn);
	rpcc_server_call_put(&call->base);
}

/* False: the request is no more, or even the connection. */
static bool append(struct cn_conn *conn, const struct cn_header *header,
		   struct cn_server_call *call,
		   const struct cn_request *request)
{
	size_t length = call->base.request_length + request->stub_length;
	bool last = header->flags & CN_LAST_FRAG;

	if (length > conn->limits.call_bytes ||
	    (!last && header->flags & CN_FIRST_FRAG &&
	     request->alloc_hint > conn->limits.call_bytes)) {
		cn_server_fault(conn, 0, call->call_id, call->context_id,
				RPC_S_ACCESS_DENIED);
		cn_conn_end(conn, "a request that is too long");
		return false;
	}
	if (!has_room(conn, 0, request->stub_length) ||
	    !make_room(call, request->stub_length, last)) {
		refuse(conn, header, call->context_id, NCA_S_SERVER_TOO_BUSY);
		drop_request(conn, call);
		return false;
	}
	add_bytes(conn, call, request);
	return true;
}

/* The reference of the list of those in pieces is the dispatcher's now. */
static void finish(struct cn_conn *conn, struct cn_server_call *call)
{
	bool in_pieces = call->begun != RPCCANCEL_INFINITE;

	rpcc_server_call_ref(&call->base);
	pthread_mutex_lock(&conn->lock);
	delete (call);
	insert(&conn->calls, call);
	pthread_mutex_unlock(&conn->lock);
	if (in_pieces)
		limit_requests(conn);
	rpcc_server_dispatch(&call->base);
}

void cn_server_request(struct cn_conn *conn, const uint8_t *pdu,
		       const struct cn_header *header)
{
	struct cn_server_call *call;
	struct cn_request request;

	if (!conn->bound || !cn_get_request(pdu, header, &request)) {
		protocol_error(conn, header->call_id, 0,
			       "a request that is malformed, or before a bind");
		return;
	}
	if (header->auth_length) {
		cn_server_fault(conn, 0, header->call_id, request.context_id,
				RPC_S_ACCESS_DENIED);
		cn_conn_end(conn, "a request with authentication");
		return;
	}
	call = find(conn->assembling, header->call_id);
	if (header->flags & CN_FIRST_FRAG)
		call = first_fragment(conn, header, &request, call);
	else
		call = next_fragment(conn, header, &request, call);
	if (!call || !append(conn, header, call, &request))
		return;
	if (header->flags & CN_LAST_FRAG)
		finish(conn, call);
}
