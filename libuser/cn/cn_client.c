// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Calls over the connection-oriented protocol, on the client's side: the request
 * in fragments, the answer out of fragments, and ways to end without one.
 * Requests go out one after the other, each of them whole; answers come in any
 * order, and in pieces between those of others.
 *
 * A short request is sent quietly, together with the receive, so that a call is
 * one system call. Nothing tells when it has left; but a socket on which nothing
 * is under way takes that much at once, and so it has left when whatever comes
 * next is sent. The end of a longer one is reported, and so is that of any on a
 * channel with several calls, where many short ones are a long one.
 *
 * A call that is given up leaves a server behind that may still answer. Its late
 * answer is told by the call's identifier and skipped; those of calls in progress
 * are known, so any other that was given is late, and a higher one is an error.
 * After an orphaned PDU the connection may only be kept if that was agreed upon
 * ([MS-RPCE] 3.3.1.5.10). After a call that ended silently, by its time-out, it
 * is not used before the answer has come: without concurrent multiplexing, a
 * connection has one call at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "cn/cn_client.h"
#include "internal.h"
#include "wire/nca.h"

#define QUIET_MAX 4096 /* bytes of a request that a socket always takes */

static const UUID nil;

/*
 * The request.
 */

/* One fragment into two elements of c->send_iov. Returns its part of the stub. */
static uint32_t put_fragment(struct cn_channel *c, const struct cn_call *k,
			     unsigned int i, uint32_t offset)
{
	const struct rpcc_client_call *call = k->call;
	const UUID *object =
		memcmp(&call->object, &nil, sizeof(nil)) ? &call->object : NULL;
	size_t header = CN_REQUEST_SIZE + (object ? sizeof(*object) : 0);
	uint32_t left = call->request_length - offset, part = left;
	uint8_t flags = 0;

	if (!offset)
		flags |= CN_FIRST_FRAG;
	if (call->flags & RPC_NCA_FLAGS_MAYBE)
		flags |= CN_MAYBE;
	/* Parts of a multiple of 8 keep what is in them aligned. */
	if (left > c->max_send - header)
		part = (uint32_t)(c->max_send - header) & ~7u;
	else
		flags |= CN_LAST_FRAG;

	c->send_iov[2 * i].iov_base = c->headers[i];
	c->send_iov[2 * i].iov_len =
		cn_put_request(c->headers[i], sizeof(c->headers[i]), flags,
			       k->id, left, (uint16_t)c->context, call->opnum,
			       object, part);
	c->send_iov[2 * i + 1].iov_base = (void *)(k->request + offset);
	c->send_iov[2 * i + 1].iov_len = part;
	return part;
}

static void send_batch(struct cn_channel *c, struct cn_call *k)
{
	const struct rpcc_client_call *call = k->call;
	unsigned int count = 0, flags = 0;

	k->batch = 0;
	do {
		k->batch += put_fragment(c, k, count++, k->sent + k->batch);
	} while (count < CN_BATCH && k->sent + k->batch < call->request_length);

	/* Nobody answers a call of that kind: to have sent it is all. */
	if (call->request_length <= QUIET_MAX && !k->shared &&
	    !(call->flags & RPC_NCA_FLAGS_MAYBE)) {
		flags = RPCC_IO_QUIET;
		k->state = CN_CALL_WAITING;
	}
	/* An empty part would be an element too many. */
	cn_send(c, call->request_length ? 2 * count : 1, flags);
}

static void start_request(struct cn_channel *c, struct cn_call *k)
{
	k->state = CN_CALL_SENDING;
	k->id = ++c->call_id;
	k->sent = 0;
	k->received = 0;
	k->receiving = false;
	k->unsent = false;
	c->sending = k;
	send_batch(c, k);
}

/* Of which the server does not know all that there is to know. */
static struct cn_call *next_to_tell(const struct cn_channel *c)
{
	struct cn_call *k;

	for (k = c->ghosts; k; k = k->next)
		if (k->orphaned)
			return k;
	for (k = c->calls; k; k = k->next)
		if (k->state >= CN_CALL_SENDING && !k->over &&
		    k->cancels_sent < k->cancels)
			return k;
	return NULL;
}

static struct cn_call *next_queued(const struct cn_channel *c)
{
	struct cn_call *k = c->calls;

	while (k && (k->over || k->state != CN_CALL_QUEUED))
		k = k->next;
	return k;
}

static bool is_sending(const struct cn_channel *c)
{
	return c->sending && c->sending->state == CN_CALL_SENDING;
}

/* One step: true if there may be another. */
static bool send_next(struct cn_channel *c)
{
	struct cn_call *k;

	if (c->control.op != RPCC_IO_NONE ||
	    (is_sending(c) && c->send.op != RPCC_IO_NONE))
		return false;
	if ((k = next_to_tell(c)))
		cn_send_control(c, k);
	else if (is_sending(c))
		send_batch(c, c->sending);
	else if ((k = next_queued(c)))
		start_request(c, k);
	else
		return false;
	return true;
}

/* A control may follow a quiet request at once. */
void cn_continue(struct cn_channel *c)
{
	if (c->state != CN_CHANNEL_OPEN || c->broken || c->peer_gone)
		return;
	while (send_next(c))
		;
}

void cn_request_sent(struct cn_channel *c)
{
	struct cn_call *k = c->sending;

	k->sent += k->batch;
	if (!k->call) {
		k->state = CN_CALL_WAITING;
		if (!k->orphaned)
			cn_ghost_end(c, k);
	} else if (k->sent == k->call->request_length) {
		k->state = CN_CALL_WAITING;
		if (k->call->flags & RPC_NCA_FLAGS_MAYBE)
			cn_end(k, RPC_S_OK);
	}
	cn_continue(c);
}

void cn_control_sent(struct cn_channel *c)
{
	struct cn_call *k = c->control_call;

	c->control_call = NULL;
	if (k && c->control_orphaned)
		cn_ghost_end(c, k);
	cn_continue(c);
}

/*
 * The connection is gone. If it was an idle one before, the server may have
 * closed it at the same time: then its calls are made once more, but only where
 * that cannot make the server execute one of them twice.
 */
static bool may_retry(const struct cn_channel *c)
{
	const struct cn_call *k;

	if (!c->used || c->retried || c->answered || c->begin != c->end)
		return false;
	for (k = c->calls; k; k = k->next)
		if (k->state != CN_CALL_QUEUED && !k->unsent &&
		    !(k->call->flags & RPC_NCA_FLAGS_IDEMPOTENT))
			return false;
	return true;
}

void cn_request_lost(struct cn_channel *c)
{
	struct cn_call *k;

	if (may_retry(c)) {
		cn_retry(c);
		return;
	}
	for (k = c->calls; k; k = k->next)
		if (k->unsent || k->state == CN_CALL_QUEUED)
			cn_end(k, RPC_S_CALL_FAILED_DNE);
	cn_break(c, RPC_S_CALL_FAILED);
}

/*
 * The answer.
 */

/*
 * FreeDCE's accounting: a co_cancel that the server did not count, or that its
 * stub has not asked about, was of no use.
 */
static bool cancel_unused(const struct cn_call *k,
			  const struct cn_header *header,
			  const struct cn_response *response)
{
	return header->flags & CN_PENDING_CANCEL ||
	       k->cancels_sent > response->cancel_count;
}

static bool in_order(const struct cn_call *k, const struct cn_header *header,
		     const struct cn_response *response)
{
	bool first = header->flags & CN_FIRST_FRAG;

	/* Windows and Samba answer with the low half of the context only. */
	return (response->context_id & 0xff) == (k->channel->context & 0xff) &&
	       first == !k->receiving &&
	       (first || header->drep == k->reply_drep);
}

/* What else there is of such an answer is late, or dropped with the channel. */
static void give_up(struct cn_call *k)
{
	if (k->shared && k->channel->mpx)
		cn_end(k, RPC_S_OUT_OF_MEMORY);
	else
		cn_break(k->channel, RPC_S_OUT_OF_MEMORY);
}

static bool append(struct cn_call *k, const struct cn_response *response)
{
	struct rpcc_client_call *call = k->call;
	size_t size = k->received + response->stub_length;

	if (size > CN_REPLY_MAX ||
	    !rpcc_client_reply_grow(call, k->received, size)) {
		give_up(k);
		return false;
	}
	if (response->stub_length)
		memcpy(call->reply + k->received, response->stub,
		       response->stub_length);
	k->received = (uint32_t)size;
	return true;
}

static bool on_response(struct cn_call *k, const uint8_t *pdu,
			const struct cn_header *header)
{
	struct rpcc_client_call *call = k->call;
	struct cn_response response;

	if (!cn_get_response(pdu, header, &response) ||
	    !in_order(k, header, &response))
		return false;
	k->receiving = true;
	k->reply_drep = header->drep;
	if (!append(k, &response))
		return true;
	if (!(header->flags & CN_LAST_FRAG)) {
		call->progress = rpcc_now();
		return true;
	}
	call->reply_length = k->received;
	call->reply_drep = header->drep;
	call->cancel_unused = cancel_unused(k, header, &response);
	cn_end(k, RPC_S_OK);
	return true;
}

/* A user's exception has a status of 0, and data that nobody here knows. */
RPC_STATUS cn_fault_status(const struct cn_response *fault)
{
	RPC_STATUS status = rpcc_nca_to_status(fault->status);

	return status == RPC_S_OK ? RPC_S_CALL_FAILED : status;
}

static bool on_fault(struct cn_call *k, const uint8_t *pdu,
		     const struct cn_header *header)
{
	struct cn_response fault;

	if (!cn_get_fault(pdu, header, &fault))
		return false;
	k->call->cancel_unused = cancel_unused(k, header, &fault);
	cn_end(k, cn_fault_status(&fault));
	/* After this one servers disconnect. */
	if (fault.status == NCA_S_PROTO_ERROR)
		cn_break(k->channel, RPC_S_CALL_FAILED);
	return true;
}

static bool is_answer(const struct cn_header *header)
{
	return header->type == CN_RESPONSE || header->type == CN_FAULT;
}

/* Of a call that nobody waits for any more. */
static bool is_late(const struct cn_channel *c, const struct cn_header *header)
{
	return is_answer(header) &&
	       (int32_t)(header->call_id - c->call_id) <= 0;
}

static void skip(struct cn_channel *c, const struct cn_header *header)
{
	bool last = header->type == CN_FAULT || header->flags & CN_LAST_FRAG;

	if (last && header->call_id == c->due)
		c->due = 0;
}

/* In the sense of cn_pdu(), of what belongs to the call. */
static bool call_pdu(struct cn_call *k, const uint8_t *pdu,
		     const struct cn_header *header)
{
	if (!is_answer(header))
		return false;
	k->channel->answered = true;
	return header->type == CN_RESPONSE ? on_response(k, pdu, header)
					   : on_fault(k, pdu, header);
}

static bool is_opening(const struct cn_channel *c)
{
	return c->state == CN_CHANNEL_BINDING ||
	       c->state == CN_CHANNEL_ALTERING;
}

bool cn_pdu(struct cn_channel *c, const uint8_t *pdu,
	    const struct cn_header *header)
{
	struct cn_call *k;

	/* Nothing was agreed upon that would need an authentication trailer. */
	if (header->auth_length)
		return false;
	if (header->type == CN_SHUTDOWN) {
		c->closing = true;
		c->unsettled = true;
		return true;
	}
	if (is_opening(c) && header->call_id == c->call_id)
		return c->live && cn_bind_pdu(c, pdu, header);
	k = cn_call_find(c, header->call_id);
	if (k)
		return call_pdu(k, pdu, header);
	if (!is_late(c, header))
		return false;
	skip(c, header);
	return true;
}

/*
 * What drivers call.
 */

static RPC_STATUS prepare(struct rpcc_client_call *call)
{
	bool share = call->async && call->request_length <= CN_SHARED_MAX;
	struct cn_call *k = NULL;
	struct cn_channel *c;
	RPC_STATUS status;

	if (call->flags & RPC_NCA_FLAGS_BROADCAST)
		return RPC_S_CANNOT_SUPPORT;
	if (!rpcc_syntax_equal(&call->interface->TransferSyntax,
			       &rpcc_ndr_syntax))
		return RPC_S_UNSUPPORTED_TRANS_SYN;
	if (share && !(k = cn_call_alloc(call)))
		return RPC_S_OUT_OF_MEMORY;
	status = cn_channel_take(call, share, NULL, &c);
	if (status != RPC_S_OK) {
		free(k);
		return status;
	}
	cn_call_init(share ? k : &c->own, call, c);
	return RPC_S_OK;
}

static void start(struct rpcc_client_call *call)
{
	cn_call_start(call->protocol);
}

static void cancel(struct rpcc_client_call *call)
{
	struct cn_call *k = call->protocol;

	k->cancels++;
	cn_continue(k->channel);
}

/* Takes the request back, if nothing of it has left. */
static bool withdraw(struct cn_channel *c, struct cn_call *k)
{
	if (k->state == CN_CALL_QUEUED)
		return true;
	if (k->sent || c->sending != k || c->send.op == RPCC_IO_NONE ||
	    rpcc_io_begun(&c->send))
		return false;
	rpcc_io_cancel(c->io, &c->send);
	if (c->control_call == k)
		cn_stop_control(c);
	c->sending = NULL;
	k->state = CN_CALL_QUEUED;
	return true;
}

/* Without multiplexing, nothing else is asked until the answer has come. */
static void end_silently(struct cn_channel *c, const struct cn_call *k)
{
	if (!c->mpx)
		c->due = k->id;
}

static void abandon_request(struct cn_channel *c, struct cn_call *k)
{
	k->abandoned = true;
	if (k->call->quiet) {
		end_silently(c, k);
	} else {
		k->orphaned = true;
		c->closing = c->closing || !c->keep_on_orphan;
	}
}

/* Before there is a request, the server knows of nothing that it could end. */
static void abandon(struct rpcc_client_call *call, RPC_STATUS status)
{
	struct cn_call *k = call->protocol;
	struct cn_channel *c = k->channel;

	if (k->state == CN_CALL_NEW) {
		cn_call_dismiss(k, status);
		return;
	}
	if (c->state == CN_CHANNEL_OPEN && !withdraw(c, k))
		abandon_request(c, k);
	cn_end(k, status);
	cn_settle(c);
}

/* Only connecting and binding have a time of their own, the same for all. */
static void timer(struct rpcc_client_call *call, uint64_t now)
{
	struct cn_call *k = call->protocol;
	struct cn_channel *c = k->channel;

	(void)now;
	cn_break(c, RPC_S_SERVER_UNAVAILABLE);
	cn_settle(c);
}

const struct rpcc_client_protocol rpcc_cn_client = {
	.prepare = prepare,
	.start = start,
	.cancel = cancel,
	.abandon = abandon,
	.timer = timer,
	.share = cn_association_share,
	.release = cn_association_release,
};
