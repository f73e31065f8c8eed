// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * One call of a conversation.
 *
 *	QUIET -> RECEIVING -> RUNNING -> ANSWERING -> QUIET
 *	             |                       |
 *	             +------> REFUSED        +-> (who are you?) -> ANSWERING
 *
 * The stub's thread hands the answer over by rpcc_loop_queue(): the conversation
 * may have gone on meanwhile, and only the loop knows. The bytes of the answer
 * are the call's, so its reference is kept until the client has them.
 *
 * The answer of an idempotent call is sent once and forgotten if it fits into
 * one packet: a client that misses it makes the call again.
 */
#include <stdlib.h>
#include <string.h>

#include "dg/dg_server.h"
#include "dg/dg_timers.h"
#include "internal.h"
#include "wire/bytes.h"
#include "wire/nca.h"

#define MAX_CANCELS    255 /* that are told to one stub */
#define MAX_ASSEMBLY   16  /* requests of full size, of all that come in */
#define UNKNOWN_WINDOW 1
#define PACKETS_PER_PART \
	4 /* that a fragment of an answer may cost on average */
#define PACKETS_EXTRA 32

static void arm(struct dg_conversation *c, uint64_t timeout)
{
	rpcc_timer_arm(c->server->loop, &c->timer, rpcc_now() + timeout);
}

static struct dg_header answer_header(struct dg_conversation *c,
				      enum rpcc_dg_type type)
{
	struct dg_header header = dg_server_header(&c->request, type);

	header.serial = c->serial++;
	return header;
}

void dg_call_tell(struct dg_conversation *c, enum rpcc_dg_type type)
{
	struct dg_header header = answer_header(c, type);

	dg_server_send(c->server, &c->peer, &header, NULL);
}

/*
 * The end.
 */

static void drop_request(struct dg_conversation *c)
{
	c->server->bytes -= dg_receiver_bytes(&c->in);
	dg_receiver_free(&c->in);
	if (c->interface)
		rpcc_interface_put(c->interface);
	c->interface = NULL;
}

static void drop_call(struct dg_conversation *c)
{
	if (!c->call)
		return;
	c->call->conversation = NULL;
	if (c->state == DG_RUNNING)
		rpcc_server_call_orphan(&c->call->call);
	rpcc_server_call_put(&c->call->call);
	c->call = NULL;
}

void dg_call_end(struct dg_conversation *c)
{
	drop_request(c);
	drop_call(c);
	c->state = DG_QUIET;
	if (!c->questions)
		rpcc_timer_disarm(&c->timer);
}

/*
 * The answer.
 */

static void send_fragment(struct dg_conversation *c,
			  const struct dg_fragment *fragment)
{
	struct dg_header header =
		answer_header(c, (enum rpcc_dg_type)c->answer);

	header.flags1 = fragment->flags;
	if (c->out.count == 1 || fragment->flags & DG_LAST_FRAG)
		header.flags2 = c->answer_flags2;
	header.fragnum = fragment->number;
	header.length = fragment->length;
	dg_server_send(c->server, &c->peer, &header, fragment->body);
}

static void send_answer(struct dg_conversation *c)
{
	struct dg_fragment fragment;

	while (dg_sender_next(&c->out, c->serial, &fragment)) {
		if (!c->budget--) {
			dg_call_end(c);
			return;
		}
		send_fragment(c, &fragment);
	}
}

/* Whether it is enough to send the answer once. */
static bool may_be_lost(const struct dg_conversation *c)
{
	return c->request.flags1 & DG_IDEMPOTENT && c->out.count == 1;
}

static void start_answer(struct dg_conversation *c)
{
	c->resends = 0;
	c->interval = DG_TIMEOUT_RESEND;
	send_answer(c);
	if (c->state != DG_ANSWERING)
		return;
	if (may_be_lost(c))
		dg_call_end(c);
	else
		arm(c, c->interval);
}

static void set_answer(struct dg_conversation *c, enum rpcc_dg_type type,
		       const uint8_t *data, uint32_t length)
{
	c->answer = type;
	dg_sender_init(&c->out, data, length,
		       c->known ? DG_FIRST_WINDOW : UNKNOWN_WINDOW);
	c->budget = c->out.count * PACKETS_PER_PART + PACKETS_EXTRA;
	c->state = DG_ANSWERING;
}

static void set_status(struct dg_conversation *c, enum rpcc_dg_type type,
		       uint32_t nca)
{
	put_u32(c->status, nca);
	set_answer(c, type, c->status, sizeof(c->status));
}

/* There is no answer to a reject: it is repeated when the client asks. */
static void reject(struct dg_conversation *c, uint32_t nca)
{
	drop_request(c);
	set_status(c, DG_REJECT, nca);
	send_answer(c);
	drop_call(c);
	if (!c->questions)
		rpcc_timer_disarm(&c->timer);
	c->state = DG_REFUSED;
}

/* More than one packet only goes to who is known to be there. */
static void answer(struct dg_conversation *c)
{
	const struct rpcc_server_call *call = &c->call->call;

	c->answer_flags2 = call->cancel_unused ? DG2_CANCEL_PENDING : 0;
	if (c->request.flags1 & DG_MAYBE) {
		c->state = DG_ANSWERING;
		dg_call_end(c);
	} else if (call->fault && call->did_not_execute) {
		reject(c, call->fault);
	} else if (call->fault) {
		set_status(c, DG_FAULT, call->fault);
		start_answer(c);
	} else if (call->message.BufferLength > DG_MAX_BODY) {
		set_status(c, DG_FAULT, NCA_S_OUT_ARGS_TOO_BIG);
		start_answer(c);
	} else {
		set_answer(c, DG_RESPONSE, call->message.Buffer,
			   call->message.BufferLength);
		if (c->out.count > 1 && !c->known)
			dg_ask(c);
		else
			start_answer(c);
	}
}

static struct dg_call *of_call(struct rpcc_server_call *call)
{
	return (struct dg_call *)((char *)call -
				  offsetof(struct dg_call, call));
}

static void answered(struct rpcc_work *work)
{
	struct dg_call *call =
		(struct dg_call *)((char *)work -
				   offsetof(struct dg_call, work));

	if (call->conversation)
		answer(call->conversation);
	rpcc_server_call_put(&call->call);
}

static void respond(struct rpcc_server_call *call)
{
	struct dg_call *c = of_call(call);

	rpcc_server_call_ref(call);
	rpcc_loop_queue(c->loop, &c->work);
}

static void release(struct rpcc_server_call *call)
{
	free(of_call(call));
}

static void peer(struct rpcc_server_call *call, struct rpcc_address *address,
		 pid_t *pid)
{
	*address = of_call(call)->peer;
	*pid = 0;
}

static const struct rpcc_server_call_ops call_ops = {
	.respond = respond,
	.release = release,
	.peer = peer,
};

/* Nobody has said anything for too long. */
void dg_call_expired(struct dg_conversation *c)
{
	if (c->state != DG_ANSWERING || c->resends++ == DG_MAX_RESENDS) {
		dg_call_end(c);
		return;
	}
	c->interval *= 2;
	if (c->interval > DG_TIMEOUT_LONGEST)
		c->interval = DG_TIMEOUT_LONGEST;
	arm(c, c->interval);
	dg_sender_resend(&c->out);
	send_answer(c);
}

void dg_call_resend(struct dg_conversation *c)
{
	if (c->questions)
		return;
	dg_sender_resend(&c->out);
	send_answer(c);
}

void dg_call_fack(struct dg_conversation *c, const struct dg_packet *packet)
{
	struct dg_fack fack;

	if (c->questions || !dg_get_fack(packet->pdu, &packet->header, &fack))
		return;
	if (dg_sender_fack(&c->out, packet->header.fragnum, &fack)) {
		c->resends = 0;
		c->interval = DG_TIMEOUT_RESEND;
		arm(c, c->interval);
	}
	if (dg_sender_done(&c->out))
		dg_call_end(c);
	else
		send_answer(c);
}

/*
 * The request.
 */

static struct dg_call *create_call(struct dg_conversation *c)
{
	struct dg_call *call = calloc(1, sizeof(*call));
	uint8_t flags1 = c->request.flags1;

	if (!call)
		return NULL;
	rpcc_server_call_init(&call->call, &call_ops, c->server->protseq);
	call->work.run = answered;
	call->loop = c->server->loop;
	call->peer = c->peer.address;
	call->conversation = c;
	call->call.interface = c->interface;
	call->call.object = c->request.object;
	call->call.opnum = c->request.opnum;
	call->call.drep = c->request.drep;
	call->call.request = c->in.data;
	call->call.request_length = c->in.length;
	if (flags1 & DG_IDEMPOTENT)
		call->call.flags |= RPC_NCA_FLAGS_IDEMPOTENT;
	if (flags1 & DG_MAYBE)
		call->call.flags |= RPC_NCA_FLAGS_MAYBE;
	if (flags1 & DG_BROADCAST)
		call->call.flags |= RPC_NCA_FLAGS_BROADCAST;
	return call;
}

/* Cancels that came earlier come along. */
static void dispatch(struct dg_conversation *c)
{
	struct dg_call *call = create_call(c);
	uint32_t i;

	if (!call) {
		reject(c, NCA_S_FAULT_REMOTE_NO_MEMORY);
		return;
	}
	c->server->bytes -= dg_receiver_bytes(&c->in);
	c->in.data = NULL;
	dg_receiver_free(&c->in);
	c->interface = NULL;
	c->call = call;
	c->state = DG_RUNNING;
	rpcc_timer_disarm(&c->timer);
	rpcc_server_call_ref(&call->call);
	for (i = 0; i < c->cancels; i++)
		rpcc_server_call_cancel(&call->call);
	rpcc_server_dispatch(&call->call);
}

static void send_fack(struct dg_conversation *c, uint16_t serial)
{
	struct dg_header header = answer_header(c, DG_FACK);
	uint8_t pdu[DG_MUST_RECV_FRAG];
	struct dg_fack fack;

	header.fragnum = dg_receiver_fack(&c->in, serial, &fack);
	dg_server_send_pdu(c->server, &c->peer, pdu,
			   dg_put_fack(pdu, &header, &fack));
}

static enum dg_received add_fragment(struct dg_conversation *c,
				     const struct dg_packet *packet)
{
	size_t before = dg_receiver_bytes(&c->in);
	enum dg_received result;

	result = dg_receiver_add(&c->in, &packet->header,
				 packet->pdu + DG_HEADER_SIZE);
	c->server->bytes += dg_receiver_bytes(&c->in) - before;
	return result;
}

/* What would be kept of a request that is not complete must have its bounds. */
static bool too_much(const struct dg_conversation *c,
		     const struct dg_header *header)
{
	if (!(header->flags1 & DG_FRAG))
		return false;
	return (!c->known && header->fragnum >= DG_WINDOW) ||
	       c->server->bytes / MAX_ASSEMBLY >= c->in.limit;
}

void dg_call_fragment(struct dg_conversation *c, const struct dg_packet *packet)
{
	const struct dg_header *header = &packet->header;
	enum dg_received result;

	if (too_much(c, header))
		return;
	result = add_fragment(c, packet);
	switch (result) {
	case DG_RECEIVED_ALL:
		if (!c->questions)
			dispatch(c);
		return;
	case DG_RECEIVED_TOO_BIG:
		reject(c, RPC_S_ACCESS_DENIED);
		return;
	case DG_RECEIVED_NO_MEMORY:
		reject(c, NCA_S_FAULT_REMOTE_NO_MEMORY);
		return;
	default:
		if (!(header->flags1 & DG_NO_FACK) ||
		    result == DG_RECEIVED_AGAIN)
			send_fack(c, header->serial);
	}
}

void dg_call_go_on(struct dg_conversation *c)
{
	if (c->state == DG_ANSWERING) {
		c->out.window = DG_FIRST_WINDOW;
		start_answer(c);
	} else if (c->state == DG_RECEIVING && dg_receiver_done(&c->in)) {
		dispatch(c);
	} else if (c->state == DG_RECEIVING) {
		rpcc_timer_arm(c->server->loop, &c->timer, c->deadline);
	}
}

/* Whether the client must be asked before the call is executed. */
static bool must_ask(const struct dg_conversation *c)
{
	uint8_t flags1 = c->request.flags1;

	if (c->known || flags1 & DG_MAYBE)
		return false;
	return !(flags1 & DG_IDEMPOTENT) || flags1 & DG_FRAG;
}

void dg_call_begin(struct dg_conversation *c, const struct dg_packet *packet,
		   struct rpcc_interface *interface)
{
	struct rpccancel_server_limits limits = rpcc_server_limits();

	dg_call_end(c);
	c->interface = interface;
	c->request = packet->header;
	c->peer = packet->from;
	c->cancels = 0;
	c->serial = 0;
	c->in.limit = limits.call_bytes;
	c->deadline = rpcc_deadline(limits.fragment_timeout);
	c->state = DG_RECEIVING;
	dg_heard(c);
	if (must_ask(c) && !c->questions && !dg_ask(c))
		return;
	if (!c->questions && packet->header.flags1 & DG_FRAG)
		rpcc_timer_arm(c->server->loop, &c->timer, c->deadline);
	dg_call_fragment(c, packet);
}

/*
 * Cancels.
 */

static void send_cancel_ack(struct dg_conversation *c, uint32_t id)
{
	struct dg_header header = answer_header(c, DG_CANCEL_ACK);
	struct dg_cancel ack = {
		.id = id,
		.accepting = c->state == DG_RECEIVING || c->state == DG_RUNNING,
	};
	uint8_t pdu[DG_MUST_RECV_FRAG];

	dg_server_send_pdu(c->server, &c->peer, pdu,
			   dg_put_cancel_ack(pdu, &header, &ack));
}

/*
 * @id counts the cancels of the call. One that is not new is acknowledged like
 * the others: the client has missed our packet and would never stop.
 */
void dg_call_cancel(struct dg_conversation *c, uint32_t id)
{
	uint32_t count = id < MAX_CANCELS ? id : MAX_CANCELS;

	send_cancel_ack(c, id > c->cancels ? id : c->cancels);
	if (c->state != DG_RECEIVING && c->state != DG_RUNNING)
		return;
	while (c->cancels < count) {
		c->cancels++;
		if (c->state == DG_RUNNING)
			rpcc_server_call_cancel(&c->call->call);
	}
}
