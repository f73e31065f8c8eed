// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The client of the connectionless protocol (C706, chapters 10 and 12).
 *
 * A call goes through three phases, told apart by its two ends of fragments:
 *
 *	sending		not all of the request is known to have arrived:
 *			fragments are sent again until facks tell so
 *	waiting		the server works on it: it is pinged now and then
 *	receiving	some of the response has come: facks go back
 *
 * Any phase may be skipped: a response says that all of the request has
 * arrived, and usually nothing else ever does. There is one time for the next
 * thing to be sent, one for the next cancel, and one when the server is given
 * up; the nearest is call->timer.
 *
 * Packets go out by a plain sendmsg(), which does not wait: one that the socket
 * has no room for is a lost one, and sent again like any other. Only the first
 * packet of a request goes through the engine, so that it leaves together with
 * the system call that waits for the answer.
 *
 * At most once: the request of a call that is not idempotent is sent again only
 * under its own activity and sequence number, and never to another address than
 * the one that it may have arrived at.
 *
 * Functions that can end the call return false when they have: the activity is
 * then no longer the caller's.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dg/dg_association.h"
#include "dg/dg_conv.h"
#include "dg/dg_timers.h"
#include "internal.h"
#include "rpc/driver.h"
#include "wire/cn_pdu.h"
#include "wire/dg_pdu.h"
#include "wire/nca.h"

#define NO_HINT	    0xffff
#define MAX_REBOOTS 3 /* of a server, during one idempotent call */

struct packet {
	struct dg_header header;
	const uint8_t *pdu;
};

static const uint8_t *packet_body(const struct packet *packet)
{
	return packet->pdu + DG_HEADER_SIZE;
}

static bool same_uuid(const UUID *a, const UUID *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool is_idempotent(const struct rpcc_client_call *call)
{
	return call->flags & RPC_NCA_FLAGS_IDEMPOTENT;
}

/*
 * Sending.
 */

/* What all packets of the call have in common. */
static struct dg_header make_header(struct dg_activity *a,
				    enum rpcc_dg_type type)
{
	const RPC_SYNTAX_IDENTIFIER *id = &a->call->interface->InterfaceId;

	return (struct dg_header){
		.vers = 4,
		.type = type,
		.flags1 = is_idempotent(a->call) ? DG_IDEMPOTENT : 0,
		.serial = a->serial++,
		.object = a->call->object,
		.interface = id->SyntaxGUID,
		.interface_vers = id->SyntaxVersion.MajorVersion |
				  (uint32_t)id->SyntaxVersion.MinorVersion
					  << 16,
		.activity = a->id,
		.server_boot = a->server_boot,
		.seqnum = a->seqnum,
		.opnum = a->call->opnum,
		.interface_hint = NO_HINT,
		.activity_hint = NO_HINT,
	};
}

/* Whether an error of the socket says that nobody is there. */
static bool says_unreachable(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH ||
	       error == ENETUNREACH;
}

static void transmit(struct dg_activity *a, const uint8_t *header,
		     const uint8_t *body, size_t length)
{
	struct iovec parts[2] = {
		{ .iov_base = (void *)header, .iov_len = DG_HEADER_SIZE },
		{ .iov_base = (void *)body, .iov_len = length },
	};
	struct msghdr message = {
		.msg_iov = parts,
		.msg_iovlen = length ? 2 : 1,
	};

	if (sendmsg(a->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	    says_unreachable(errno))
		a->unreachable = true;
}

static void transmit_pdu(struct dg_activity *a, const uint8_t *pdu,
			 size_t length)
{
	transmit(a, pdu, pdu + DG_HEADER_SIZE, length - DG_HEADER_SIZE);
}

/* ping, ack, and the cl_cancel that orphans the call. */
static void send_bare(struct dg_activity *a, enum rpcc_dg_type type)
{
	struct dg_header header = make_header(a, type);
	uint8_t pdu[DG_HEADER_SIZE];

	dg_put_header(pdu, &header);
	transmit(a, pdu, NULL, 0);
}

static void send_fack(struct dg_activity *a, uint16_t serial)
{
	struct dg_header header = make_header(a, DG_FACK);
	uint8_t pdu[DG_MUST_RECV_FRAG];
	struct dg_fack fack;

	header.fragnum = dg_receiver_fack(&a->in, serial, &fack);
	transmit_pdu(a, pdu, dg_put_fack(pdu, &header, &fack));
}

static void send_cancel(struct dg_activity *a, uint64_t now)
{
	struct dg_header header = make_header(a, DG_CANCEL);
	struct dg_cancel cancel = { .id = a->cancels };
	uint8_t pdu[DG_MUST_RECV_FRAG];

	transmit_pdu(a, pdu, dg_put_cancel(pdu, &header, &cancel));
	a->next_cancel = now + DG_TIMEOUT_CANCEL;
}

static void send_fragment(struct dg_activity *a,
			  const struct dg_fragment *fragment)
{
	struct dg_header header = make_header(a, DG_REQUEST);
	uint8_t pdu[DG_HEADER_SIZE];

	header.flags1 |= fragment->flags;
	if (a->call->flags & RPC_NCA_FLAGS_MAYBE)
		header.flags1 |= DG_MAYBE;
	header.fragnum = fragment->number;
	header.length = fragment->length;
	dg_put_header(pdu, &header);
	transmit(a, pdu, fragment->body, fragment->length);
}

/* All of the request that may be sent now. */
static void send_request(struct dg_activity *a)
{
	struct dg_fragment fragment;

	while (dg_sender_next(&a->out, a->serial, &fragment))
		send_fragment(a, &fragment);
	a->started = true;
}

/* The first and only packet of a request, with the next wait. */
static void queue_request(struct dg_activity *a)
{
	struct dg_fragment fragment;
	struct dg_header header;

	dg_sender_next(&a->out, a->serial, &fragment);
	header = make_header(a, DG_REQUEST);
	header.length = fragment.length;
	dg_put_header(a->header, &header);
	a->parts[0].iov_base = a->header;
	a->parts[0].iov_len = DG_HEADER_SIZE;
	a->parts[1].iov_base = (void *)fragment.body;
	a->parts[1].iov_len = fragment.length;
	a->message.msg_iov = a->parts;
	a->message.msg_iovlen = fragment.length ? 2 : 1;
	rpcc_io_sendmsg(a->call->io, &a->send, a->fd, &a->message,
			RPCC_IO_QUIET);
	a->started = true;
}

/* It has not left yet: the engine starts it when it is waited for. */
static bool request_is_queued(const struct dg_activity *a)
{
	return a->send.op != RPCC_IO_NONE && !rpcc_io_begun(&a->send);
}

static void wait_for(struct dg_activity *a, uint64_t interval)
{
	a->interval = interval;
	a->next_send = rpcc_now() + interval;
}

/*
 * The end.
 */

static void take_reply_block(struct dg_activity *a)
{
	a->in.data = a->call->reply_block;
	a->in.size = a->call->reply_block ? a->call->reply_size : 0;
	a->call->reply_block = NULL;
	dg_receiver_reset(&a->in);
}

static void give_reply_block(struct dg_activity *a)
{
	struct rpcc_client_call *call = a->call;

	call->reply_block = call->reply = a->in.data;
	call->reply_size = a->in.size;
	call->reply_length = a->in.length;
	a->in.data = NULL;
	a->in.size = 0;
	dg_receiver_reset(&a->in);
}

/* @again: nothing of the call is under way any more. */
static bool finish(struct dg_activity *a, RPC_STATUS status, bool again)
{
	struct rpcc_client_call *call = a->call;

	rpcc_io_cancel(call->io, &a->receive);
	rpcc_io_cancel(call->io, &a->send);
	give_reply_block(a);
	call->protocol = NULL;
	call->timer = RPCCANCEL_INFINITE;
	a->call = NULL;
	a->used = true;
	dg_activity_give(a, again);
	rpcc_client_call_complete(call, status);
	return false;
}

/* The server is told, once, that nobody waits for it. */
static bool give_up(struct dg_activity *a, RPC_STATUS status)
{
	if (a->started)
		send_bare(a, DG_CANCEL);
	return finish(a, status, false);
}

static uint64_t last_heard(const struct dg_activity *a)
{
	return a->heard ? a->heard : a->began;
}

static uint64_t give_up_time(const struct dg_activity *a)
{
	uint64_t timeout = rpcc_com_timeout(a->call->com_timeout);
	uint64_t heard = last_heard(a);

	return timeout < RPCCANCEL_INFINITE - heard ? heard + timeout
						    : RPCCANCEL_INFINITE;
}

static void set_timer(struct dg_activity *a)
{
	uint64_t when = give_up_time(a);

	if (a->next_send < when)
		when = a->next_send;
	if (a->next_cancel < when)
		when = a->next_cancel;
	a->call->timer = when;
}

/*
 * Nobody listens where we send. Known from the answer to something sent before,
 * on a socket that was used before perhaps by an earlier call: then it may be
 * different by now. If it answers the first packets of the request, nobody has
 * got them; if it answers something later, somebody may have, who is no more.
 */
static bool try_elsewhere(struct dg_activity *a)
{
	struct rpcc_client_call *call = a->call;

	a->unreachable = false;
	if (a->heard)
		return finish(a, RPC_S_CALL_FAILED, false);
	if (a->used && !a->refusals++) {
		a->resent = true;
		dg_sender_resend(&a->out);
		send_request(a);
		return true;
	}
	rpcc_io_cancel(call->io, &a->receive);
	rpcc_io_cancel(call->io, &a->send);
	if (!a->resent && !a->cancels &&
	    dg_activity_connect(a, call->binding->protseq)) {
		dg_sender_restart(&a->out);
		send_request(a);
		return true;
	}
	dg_association_lost(a->association);
	return finish(a, RPC_S_SERVER_UNAVAILABLE, false);
}

/* After everything that has happened to a call that goes on. */
static void go_on(struct dg_activity *a)
{
	while (a->unreachable)
		if (!try_elsewhere(a))
			return;
	if (a->receive.op == RPCC_IO_NONE)
		rpcc_io_recv(a->call->io, &a->receive, a->fd, a->buffer,
			     sizeof(a->buffer));
	set_timer(a);
}

/*
 * Receiving.
 */

/*
 * The server is there, and has got some of the call, whatever it says of it; or
 * asks, since it asks only those who call.
 */
static void note_heard(struct dg_activity *a)
{
	if (!a->heard)
		dg_association_found(a->association, &a->server);
	a->heard = rpcc_now();
}

/*
 * The server asks which call this activity makes. One that began after the
 * server that we know, or knew something else before, must not execute a call
 * that the other may have executed.
 */
static uint32_t conv_status(struct dg_activity *a,
			    const struct dg_conv_request *request)
{
	if (!same_uuid(&request->activity, &a->id))
		return NCA_S_BAD_ACTID;
	if (a->server_boot && a->server_boot != request->server_boot)
		return NCA_S_YOU_CRASHED;
	a->server_boot = request->server_boot;
	return 0;
}

static void answer_conv(struct dg_activity *a, const struct packet *packet)
{
	struct dg_header header = packet->header;
	struct dg_conv_response response = { .seqnum = a->seqnum };
	uint8_t pdu[DG_HEADER_SIZE + DG_CONV_BODY_SIZE];
	struct dg_conv_request request;
	size_t length;

	header.flags1 = header.flags2 = 0;
	header.fragnum = 0;
	header.auth_proto = 0;
	if (header.opnum > DG_CONV_ARE_YOU_THERE) {
		header.type = DG_REJECT;
		length = dg_put_status(pdu, &header, NCA_S_OP_RNG_ERROR);
		transmit_pdu(a, pdu, length);
		return;
	}
	if (!dg_conv_get_request(packet_body(packet), header.length,
				 header.drep, &request))
		return;
	response.status = conv_status(a, &request);
	if (!response.status)
		note_heard(a);
	dg_client_uuid(&response.client);
	header.type = DG_RESPONSE;
	header.length = (uint16_t)dg_conv_put_response(
		pdu + DG_HEADER_SIZE, (enum dg_conv_operation)header.opnum,
		&response);
	dg_put_header(pdu, &header);
	transmit_pdu(a, pdu, DG_HEADER_SIZE + (size_t)header.length);
}

/*
 * What RPC_C_OPT_CALL_TIMEOUT counts from: more of the request has arrived, or
 * more of the answer. A server that only says that it works has not got on.
 */
static void note_progress(struct dg_activity *a)
{
	a->call->progress = rpcc_now();
}

static bool got_response(struct dg_activity *a, const struct packet *packet)
{
	const struct dg_header *header = &packet->header;
	bool fragmented = header->flags1 & DG_FRAG;
	enum dg_received result;

	dg_sender_all_arrived(&a->out);
	if (header->flags2 & DG2_CANCEL_PENDING)
		a->call->cancel_unused = true;
	result = dg_receiver_add(&a->in, header, packet_body(packet));
	switch (result) {
	case DG_RECEIVED_ALL:
		a->call->reply_drep = header->drep;
		if (fragmented || !is_idempotent(a->call))
			send_bare(a, DG_ACK);
		return finish(a, RPC_S_OK, true);
	case DG_RECEIVED_TOO_BIG:
	case DG_RECEIVED_NO_MEMORY:
		return give_up(a, RPC_S_OUT_OF_MEMORY);
	default:
		if (result == DG_RECEIVED_NEW)
			note_progress(a);
		if (!(header->flags1 & DG_NO_FACK) ||
		    result == DG_RECEIVED_AGAIN)
			send_fack(a, header->serial);
		wait_for(a, DG_TIMEOUT_FRAG);
		return true;
	}
}

static bool got_fault(struct dg_activity *a, const struct packet *packet)
{
	uint32_t nca;

	if (!dg_get_status(packet->pdu, &packet->header, &nca))
		return true;
	if (packet->header.flags2 & DG2_CANCEL_PENDING)
		a->call->cancel_unused = true;
	if (!is_idempotent(a->call))
		send_bare(a, DG_ACK);
	return finish(a, rpcc_nca_to_status(nca), true);
}

/*
 * The server has been started anew since it was last heard of. What was sent
 * more than once may have been executed by the one before.
 */
static bool server_rebooted(struct dg_activity *a)
{
	a->server_boot = 0;
	if (is_idempotent(a->call) && a->reboots++ < MAX_REBOOTS) {
		dg_sender_restart(&a->out);
		dg_receiver_reset(&a->in);
		send_request(a);
		wait_for(a, DG_TIMEOUT_RESEND);
		return true;
	}
	return finish(a, a->resent ? RPC_S_CALL_FAILED : RPC_S_CALL_FAILED_DNE,
		      true);
}

static bool got_reject(struct dg_activity *a, const struct packet *packet)
{
	uint32_t nca;

	if (!dg_get_status(packet->pdu, &packet->header, &nca))
		return true;
	if (nca == NCA_S_WRONG_BOOT_TIME)
		return server_rebooted(a);
	return finish(a, rpcc_nca_to_status(nca), true);
}

static bool got_fack(struct dg_activity *a, const struct packet *packet)
{
	struct dg_fack fack;

	if (!dg_get_fack(packet->pdu, &packet->header, &fack))
		return true;
	if (dg_sender_fack(&a->out, packet->header.fragnum, &fack)) {
		note_progress(a);
		wait_for(a, DG_TIMEOUT_RESEND);
	}
	if (a->out.lost)
		a->resent = true;
	send_request(a);
	return true;
}

/* The server has all of the request, and has not answered it. */
static bool got_working(struct dg_activity *a)
{
	if (!dg_sender_done(&a->out)) {
		dg_sender_all_arrived(&a->out);
		wait_for(a, DG_TIMEOUT_PING);
	}
	return true;
}

/*
 * The answer to a ping: the server knows nothing of a call that it once had. If
 * the call must not be executed twice, this is its end.
 */
static bool got_nocall(struct dg_activity *a)
{
	if (!dg_sender_done(&a->out) || !dg_receiver_empty(&a->in))
		return true;
	if (!is_idempotent(a->call))
		return finish(a, RPC_S_CALL_FAILED, false);
	dg_sender_restart(&a->out);
	a->resent = true;
	a->cancels_known = 0;
	if (a->cancels)
		a->next_cancel = rpcc_now();
	send_request(a);
	wait_for(a, DG_TIMEOUT_RESEND);
	return true;
}

/* An empty one answers the end of a call, which we have not told of. */
static bool got_cancel_ack(struct dg_activity *a, const struct packet *packet)
{
	struct dg_cancel ack;

	if (!packet->header.length)
		return finish(a, RPC_S_CALL_CANCELLED, false);
	if (!dg_get_cancel_ack(packet->pdu, &packet->header, &ack))
		return true;
	if (ack.id > a->cancels || ack.id < a->cancels_known)
		return true;
	a->cancels_known = ack.id;
	a->deaf = !ack.accepting;
	if (a->deaf || a->cancels_known == a->cancels)
		a->next_cancel = RPCCANCEL_INFINITE;
	return true;
}

/*
 * Whether the packet is of the server that the call was sent to. Another one's
 * knows nothing of what its predecessor may have executed.
 */
static bool same_server(struct dg_activity *a, uint32_t server_boot)
{
	bool same = !a->server_boot || !server_boot ||
		    a->server_boot == server_boot;

	if (server_boot)
		a->server_boot = server_boot;
	return same || is_idempotent(a->call);
}

static bool dispatch(struct dg_activity *a, const struct packet *packet)
{
	switch (packet->header.type) {
	case DG_RESPONSE:
		return got_response(a, packet);
	case DG_FAULT:
		return got_fault(a, packet);
	case DG_WORKING:
		return got_working(a);
	case DG_NOCALL:
		return got_nocall(a);
	case DG_FACK:
		return got_fack(a, packet);
	case DG_CANCEL_ACK:
		return got_cancel_ack(a, packet);
	default:
		return true;
	}
}

static bool got_packet(struct dg_activity *a, size_t size)
{
	struct packet packet = { .pdu = a->buffer };
	const struct dg_header *header = &packet.header;

	if (!dg_get_header(packet.pdu, size, &packet.header))
		return true;
	if (header->type == DG_REQUEST &&
	    same_uuid(&header->interface, &dg_conv_interface)) {
		answer_conv(a, &packet);
		return true;
	}
	if (!same_uuid(&header->activity, &a->id) ||
	    header->seqnum != a->seqnum)
		return true;
	note_heard(a);
	rpcc_io_sent(a->call->io, &a->send);
	if (header->type == DG_REJECT)
		return got_reject(a, &packet);
	if (!same_server(a, header->server_boot))
		return finish(a, RPC_S_CALL_FAILED, true);
	return dispatch(a, &packet);
}

static void received(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct dg_activity *a =
		(struct dg_activity *)((char *)req -
				       offsetof(struct dg_activity, receive));

	(void)data;
	(void)more;
	if (res >= 0) {
		if (!got_packet(a, (size_t)res))
			return;
	} else if (says_unreachable(-res)) {
		a->unreachable = true;
	} else if (res != -EAGAIN && res != -EINTR) {
		finish(a, RPC_S_CALL_FAILED, false);
		return;
	}
	go_on(a);
}

/* Only failures are told. Anything else than that nobody is there is a loss. */
static void send_failed(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct dg_activity *a =
		(struct dg_activity *)((char *)req -
				       offsetof(struct dg_activity, send));

	(void)data;
	(void)more;
	if (!says_unreachable(-res))
		return;
	a->unreachable = true;
	go_on(a);
}

/*
 * What the driver calls.
 */

static RPC_STATUS check_call(const struct rpcc_client_call *call)
{
	if (call->flags & RPC_NCA_FLAGS_BROADCAST)
		return RPC_S_CANNOT_SUPPORT;
	/* There is nothing to tell that a fragment was lost. */
	if (call->flags & RPC_NCA_FLAGS_MAYBE &&
	    call->request_length > DG_BODY_SIZE)
		return RPC_S_CANNOT_SUPPORT;
	if (call->request_length > DG_MAX_BODY)
		return RPC_S_OUT_OF_RESOURCES;
	if (!rpcc_syntax_equal(&call->interface->TransferSyntax,
			       &rpcc_ndr_syntax))
		return RPC_S_UNSUPPORTED_TRANS_SYN;
	return RPC_S_OK;
}

static void reset_activity(struct dg_activity *a)
{
	a->seqnum += a->used;
	a->receive.done = received;
	a->send.done = send_failed;
	a->serial = 0;
	a->started = a->resent = a->unreachable = a->deaf = false;
	a->refusals = a->reboots = 0;
	a->cancels = a->cancels_known = 0;
	a->heard = 0;
	a->next_cancel = RPCCANCEL_INFINITE;
}

static RPC_STATUS dg_prepare(struct rpcc_client_call *call)
{
	struct dg_association *association;
	struct dg_activity *a;
	RPC_STATUS status = check_call(call);

	if (status != RPC_S_OK)
		return status;
	association = dg_association_get(call->binding);
	if (!association)
		return RPC_S_OUT_OF_MEMORY;
	status = dg_activity_take(association, call, &a);
	if (status != RPC_S_OK)
		return status;
	reset_activity(a);
	a->call = call;
	take_reply_block(a);
	call->protocol = a;
	call->timer = RPCCANCEL_INFINITE;
	call->progress = 0;
	call->cancel_unused = false;
	return RPC_S_OK;
}

static void dg_start(struct rpcc_client_call *call)
{
	struct dg_activity *a = call->protocol;

	dg_sender_init(&a->out, call->request, call->request_length,
		       DG_FIRST_WINDOW);
	a->began = rpcc_now();
	wait_for(a, DG_TIMEOUT_RESEND);
	if (call->flags & RPC_NCA_FLAGS_MAYBE) {
		send_request(a);
		finish(a, RPC_S_OK, true);
		return;
	}
	if (a->out.count == 1)
		queue_request(a);
	else
		send_request(a);
	go_on(a);
}

/*
 * The cancel must not overtake the request: a server that has not heard of the
 * call ignores it.
 */
static void dg_cancel(struct rpcc_client_call *call)
{
	struct dg_activity *a = call->protocol;

	if (!a || !a->started || a->deaf)
		return;
	a->cancels++;
	if (request_is_queued(a))
		a->next_cancel = rpcc_now();
	else
		send_cancel(a, rpcc_now());
	go_on(a);
}

static void dg_abandon(struct rpcc_client_call *call, RPC_STATUS status)
{
	struct dg_activity *a = call->protocol;

	if (!a->started || request_is_queued(a))
		finish(a, status, true);
	else if (call->quiet)
		finish(a, status, false);
	else
		give_up(a, status);
}

/* Nothing was heard for a while. */
static void remind(struct dg_activity *a, uint64_t now)
{
	if (!dg_receiver_empty(&a->in)) {
		send_fack(a, 0);
	} else if (dg_sender_done(&a->out)) {
		send_bare(a, DG_PING);
	} else {
		a->resent = true;
		dg_sender_resend(&a->out);
		send_request(a);
	}
	a->interval *= 2;
	if (a->interval > DG_TIMEOUT_LONGEST)
		a->interval = DG_TIMEOUT_LONGEST;
	a->next_send = now + a->interval;
}

static void dg_timer(struct rpcc_client_call *call, uint64_t now)
{
	struct dg_activity *a = call->protocol;

	if (now >= give_up_time(a)) {
		give_up(a, a->heard ? RPC_S_CALL_FAILED
				    : RPC_S_SERVER_UNAVAILABLE);
		return;
	}
	if (now >= a->next_cancel)
		send_cancel(a, now);
	if (now >= a->next_send)
		remind(a, now);
	go_on(a);
}

static void dg_share(struct rpcc_binding *from, struct rpcc_binding *to)
{
	to->dg = dg_association_get(from);
}

const struct rpcc_client_protocol rpcc_dg_client = {
	.prepare = dg_prepare,
	.start = dg_start,
	.cancel = dg_cancel,
	.abandon = dg_abandon,
	.timer = dg_timer,
	.share = dg_share,
	.release = dg_association_release,
};
