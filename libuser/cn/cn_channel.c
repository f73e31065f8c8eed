// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Bytes in and out of a channel.
 *
 * There is one receive at a time, from the moment that something was sent to
 * the end of the last call, and one send. PDUs are taken out of the input as
 * soon as they are whole; what is left over stays there for the next call.
 *
 * A co_cancel is a send of its own, after the request's, and so cannot end up in
 * the middle of another PDU. An orphaned PDU is the last of a call, which does
 * not wait for it. While there are other calls it is sent in the same way as a
 * co_cancel; otherwise it goes out with a plain send(2), or not at all.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cn/cn_client.h"
#include "internal.h"

#define LOOKS_MAX 64 /* receives, for one idle channel at a time */

static struct cn_channel *channel_of(struct rpcc_io_req *req, size_t offset)
{
	return (void *)((char *)req - offset);
}

/*
 * Out.
 */

/*
 * The peer has closed. What it had to say before that may still be there, and so
 * the receive, which is told of the end as well, has the last word.
 */
static bool peer_closed(int err)
{
	return err == -EPIPE || err == -ECONNRESET;
}

static void not_sent(struct cn_channel *c, const struct rpcc_io_req *req)
{
	struct cn_call *k = c->sending;

	c->peer_gone = true;
	if (k)
		k->unsent = !k->sent && !req->moved;
}

static void sent(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct cn_channel *c =
		channel_of(req, offsetof(struct cn_channel, send));

	(void)data;
	(void)more;
	if (res >= 0)
		cn_request_sent(c);
	else if (!peer_closed(res))
		cn_break(c, RPC_S_CALL_FAILED);
	else
		not_sent(c, req);
	cn_settle(c);
}

void cn_send(struct cn_channel *c, unsigned int parts, unsigned int flags)
{
	c->send_msg = (struct msghdr){
		.msg_iov = c->send_iov,
		.msg_iovlen = parts,
	};
	rpcc_io_sendmsg(c->io, &c->send, c->fd, &c->send_msg, flags);
}

static void control_sent(struct rpcc_io_req *req, int res, void *data,
			 bool more)
{
	struct cn_channel *c =
		channel_of(req, offsetof(struct cn_channel, control));

	(void)data;
	(void)more;
	if (res >= 0)
		cn_control_sent(c);
	else if (!peer_closed(res))
		cn_break(c, RPC_S_CALL_FAILED);
	else
		c->peer_gone = true;
	cn_settle(c);
}

/*
 * The flags are those that a Windows client's have. Never as PENDING_CANCEL in
 * the request, which C706 has too: Windows and Samba answer that with a fault.
 */
static size_t put_control(uint8_t *pdu, struct cn_call *k)
{
	size_t length = 0;

	if (k->cancels_sent < k->cancels) {
		k->cancels_sent++;
		length = cn_put_bare(pdu, CN_HEADER_SIZE, CN_CO_CANCEL,
				     CN_LAST_FRAG | CN_PENDING_CANCEL, k->id);
	}
	if (k->orphaned)
		length += cn_put_bare(pdu + length, CN_HEADER_SIZE, CN_ORPHANED,
				      CN_FIRST_FRAG | CN_LAST_FRAG, k->id);
	return length;
}

/*
 * A request whose end is not reported is so short that it is gone when the next
 * send begins, see cn_client.c.
 */
void cn_send_control(struct cn_channel *c, struct cn_call *k)
{
	c->control_call = k;
	c->control_orphaned = k->orphaned;
	c->control_cancels = k->cancels_sent < k->cancels;
	c->control_iov.iov_base = c->control_pdu;
	c->control_iov.iov_len = put_control(c->control_pdu, k);
	c->control_msg = (struct msghdr){
		.msg_iov = &c->control_iov,
		.msg_iovlen = 1,
	};
	rpcc_io_sendmsg(c->io, &c->control, c->fd, &c->control_msg, 0);
}

/* The co_cancel that has not left is to go with the orphaned PDU, if any. */
bool cn_stop_control(struct cn_channel *c)
{
	if (c->control.op == RPCC_IO_NONE)
		return true;
	if (rpcc_io_begun(&c->control))
		return false;
	rpcc_io_cancel(c->io, &c->control);
	if (c->control_call)
		c->control_call->cancels_sent -= c->control_cancels;
	c->control_call = NULL;
	return true;
}

bool cn_send_orphaned(struct cn_channel *c, struct cn_call *k)
{
	size_t length = put_control(c->control_pdu, k);
	ssize_t n;

	do {
		n = send(c->fd, c->control_pdu, length,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)length;
}

/*
 * In.
 */

/* Takes the PDUs out of the input. False if one is malformed, or wrong here. */
static bool take_pdus(struct cn_channel *c)
{
	struct cn_header header;
	const uint8_t *pdu;

	while (c->end - c->begin >= CN_HEADER_SIZE && !c->broken) {
		pdu = c->input + c->begin;
		if (!cn_get_header(pdu, &header) ||
		    header.frag_length > c->max_receive)
			return false;
		if (c->end - c->begin < header.frag_length)
			break;
		c->begin += header.frag_length;
		if (!cn_pdu(c, pdu, &header))
			return false;
	}
	/* Room for a whole one. */
	memmove(c->input, c->input + c->begin, c->end - c->begin);
	c->end -= c->begin;
	c->begin = 0;
	return true;
}

static void lost(struct cn_channel *c)
{
	if (c->state == CN_CHANNEL_OPEN)
		cn_request_lost(c);
	else
		cn_bind_lost(c);
}

static void received(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct cn_channel *c =
		channel_of(req, offsetof(struct cn_channel, receive));

	(void)data;
	(void)more;
	if (res <= 0) {
		lost(c);
		cn_settle(c);
		return;
	}
	c->end += (size_t)res;
	if (!take_pdus(c))
		cn_break(c, RPC_S_PROTOCOL_ERROR);
	else if (c->live && c->state != CN_CHANNEL_CONNECTING)
		cn_receive(c);
	cn_settle(c);
}

void cn_receive(struct cn_channel *c)
{
	if (c->receive.op != RPCC_IO_NONE)
		return;
	rpcc_io_recv(c->io, &c->receive, c->fd, c->input + c->end,
		     c->input_size - c->end);
}

bool cn_channel_look(struct cn_channel *c)
{
	unsigned int i;
	ssize_t n;

	for (i = 0; i < LOOKS_MAX; i++) {
		n = recv(c->fd, c->input + c->end, c->input_size - c->end,
			 MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN && !c->closing;
		if (!n)
			return false;
		c->end += (size_t)n;
		if (!take_pdus(c))
			return false;
	}
	return !c->closing;
}

/*
 * Both ends of a channel's use.
 */

void cn_channel_init(struct cn_channel *c)
{
	c->send.done = sent;
	c->receive.done = received;
	c->control.done = control_sent;
	c->max_receive = c->protseq->max_frag;
	c->max_send = CN_MUST_RECV_FRAG;
}

static void cancel_all(struct cn_channel *c)
{
	struct rpcc_io *io = c->io;

	if (c->connect.op != RPCC_IO_NONE)
		rpcc_io_cancel(io, &c->connect);
	if (c->send.op != RPCC_IO_NONE)
		rpcc_io_cancel(io, &c->send);
	if (c->control.op != RPCC_IO_NONE)
		rpcc_io_cancel(io, &c->control);
	if (c->receive.op != RPCC_IO_NONE)
		rpcc_io_cancel(io, &c->receive);
}

/*
 * On a channel that is kept, what was sent has left: its answer has come, or
 * there was so little of it. A receive may have got something already.
 */
void cn_quiesce(struct cn_channel *c)
{
	struct rpcc_io *io = c->io;
	int res;

	if (unlikely(c->broken)) {
		cancel_all(c);
		return;
	}
	if (c->send.op != RPCC_IO_NONE)
		rpcc_io_sent(io, &c->send);
	if (c->control.op != RPCC_IO_NONE)
		rpcc_io_cancel(io, &c->control);
	if (likely(c->receive.op == RPCC_IO_NONE))
		return;
	res = rpcc_io_cancel(io, &c->receive);
	if (res > 0)
		c->end += (size_t)res;
	else if (res != -ECANCELED)
		c->broken = true;
}

/*
 * io_uring lets go of a socket only when its thread waits the next time, so
 * close(2) alone would tell the server late. Not to be used in a forked child.
 */
void cn_close(struct cn_channel *c)
{
	int fd = c->fd;

	c->fd = -1;
	if (fd < 0)
		return;
	shutdown(fd, SHUT_RDWR);
	close(fd);
}

void cn_disconnect(struct cn_channel *c)
{
	cancel_all(c);
	cn_channel_unbound(c);
	cn_close(c);
	c->begin = c->end = 0;
	c->context_count = 0;
	c->max_send = CN_MUST_RECV_FRAG;
	c->keep_on_orphan = false;
	c->mpx = false;
	c->peer_gone = false;
	c->closing = false;
	c->used = false;
	c->due = 0;
}
