// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What comes before a client's first request of an interface: a connection, the
 * bind that opens it, alter_context for further interfaces.
 *
 * A bind offers NDR 2.0 for the interface, and, in a context of its own, the
 * features of [MS-RPCE] 3.3.1.5.3 that we have use for. Servers that do not know
 * them reject that context, and that is all.
 *
 * Until here nothing of the call has reached the server, so whatever goes wrong
 * is RPC_S_SERVER_UNAVAILABLE, or "did not execute", or what the server says. The
 * com-time-out covers all of it.
 */
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "cn/cn_client.h"
#include "internal.h"

#define FEATURE_CONTEXT 0xfe /* beyond those of interfaces */

static void connect_next(struct cn_channel *c);

/*
 * A server whose machine is gone says nothing. The com-time-out is how long a
 * server may be unreachable, so that is when the kernel is to give up, too.
 */
static void keep_alive(int fd, uint64_t timeout)
{
	int on = 1, idle, ms;

	if (timeout == RPCCANCEL_INFINITE)
		return;
	ms = (int)(timeout / 1000000);
	idle = ms / 4000 ? ms / 4000 : 1;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

static void connected(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct cn_channel *c =
		(void *)((char *)req - offsetof(struct cn_channel, connect));

	(void)data;
	(void)more;
	if (res < 0) {
		cn_disconnect(c);
		connect_next(c);
	} else {
		c->state = CN_CHANNEL_BINDING;
		cn_bind(c);
		cn_receive(c);
	}
	cn_settle(c);
}

/* The protocol sequence's sockets have no other errors than these. */
static RPC_STATUS open_status(int err)
{
	switch (-err) {
	case EMFILE:
	case ENFILE:
		return RPC_S_OUT_OF_RESOURCES;
	case ENOMEM:
	case ENOBUFS:
		return RPC_S_OUT_OF_MEMORY;
	default:
		return RPC_S_SERVER_UNAVAILABLE;
	}
}

static void connect_next(struct cn_channel *c)
{
	RPC_STATUS status = RPC_S_SERVER_UNAVAILABLE;
	const struct rpcc_address *to;
	int fd;

	while (c->address < c->address_count) {
		to = &c->addresses[c->address++];
		fd = c->protseq->open(to);
		if (fd < 0) {
			status = open_status(fd);
			continue;
		}
		if (!c->protseq->local)
			keep_alive(fd, c->com_timeout);
		c->fd = fd;
		c->connect.done = connected;
		rpcc_io_connect(c->io, &c->connect, fd, &to->any, to->len);
		return;
	}
	cn_break(c, status);
}

void cn_connect(struct cn_channel *c)
{
	c->state = CN_CHANNEL_CONNECTING;
	c->address = 0;
	cn_set_timers(c, rpcc_deadline(c->com_timeout));
	connect_next(c);
}

/*
 * An idle connection that had been closed is no reason for a call to fail while
 * nothing of it was sent.
 */
void cn_bind_lost(struct cn_channel *c)
{
	if (c->state == CN_CHANNEL_ALTERING && c->used && !c->retried)
		cn_retry(c);
	else
		cn_break(c, RPC_S_CALL_FAILED_DNE);
}

/*
 * What is sent.
 */

static void send_bind(struct cn_channel *c, bool alter,
		      const struct cn_bind *bind)
{
	uint8_t flags = CN_FIRST_FRAG | CN_LAST_FRAG;

	/* It is of the connection, and so settled once. */
	if (!alter)
		flags |= CN_CONC_MPX;
	c->call_id++;
	c->send_iov[0].iov_base = c->bind;
	c->send_iov[0].iov_len = cn_put_bind(c->bind, sizeof(c->bind), alter,
					     flags, c->call_id, bind);
	cn_send(c, 1, RPCC_IO_QUIET);
}

static void add_context(struct cn_bind *bind, unsigned int id,
			const RPC_SYNTAX_IDENTIFIER *interface,
			const RPC_SYNTAX_IDENTIFIER *transfer)
{
	struct cn_context *context = &bind->context[bind->context_count++];

	context->id = (uint16_t)id;
	context->abstract = *interface;
	context->transfer_count = 1;
	context->transfer[0] = *transfer;
}

static void start_bind(struct cn_channel *c, struct cn_bind *bind)
{
	bind->max_xmit = c->protseq->max_frag;
	bind->max_recv = c->protseq->max_frag;
	bind->assoc_group = c->regroup ? 0 : cn_channel_group(c);
	c->group = bind->assoc_group;
	bind->context_count = 0;
	add_context(bind, c->context_count, &c->interface, &rpcc_ndr_syntax);
}

void cn_bind(struct cn_channel *c)
{
	RPC_SYNTAX_IDENTIFIER features;
	struct cn_bind bind;

	start_bind(c, &bind);
	rpcc_syntax_set_features(&features, CN_FEATURE_KEEP_ON_ORPHAN);
	add_context(&bind, FEATURE_CONTEXT, &c->interface, &features);
	send_bind(c, false, &bind);
}

void cn_alter(struct cn_channel *c)
{
	struct cn_bind bind;

	c->state = CN_CHANNEL_ALTERING;
	cn_set_timers(c, rpcc_deadline(c->com_timeout));
	start_bind(c, &bind);
	send_bind(c, true, &bind);
}

/*
 * What comes back.
 */

static RPC_STATUS nak_status(uint16_t reason)
{
	switch (reason) {
	case CN_NAK_CONGESTION:
	case CN_NAK_LIMIT:
		return RPC_S_SERVER_TOO_BUSY;
	case CN_NAK_VERSION:
		return RPC_S_PROTOCOL_ERROR;
	case CN_NAK_AUTH_TYPE:
		return RPC_S_ACCESS_DENIED;
	default:
		return RPC_S_CALL_FAILED_DNE;
	}
}

static RPC_STATUS result_status(const struct cn_result *result)
{
	if (result->result == CN_ACCEPTANCE)
		return rpcc_syntax_equal(&result->transfer, &rpcc_ndr_syntax)
			       ? RPC_S_OK
			       : RPC_S_PROTOCOL_ERROR;
	switch (result->reason) {
	case CN_REASON_ABSTRACT:
		return RPC_S_UNKNOWN_IF;
	case CN_REASON_TRANSFER:
		return RPC_S_UNSUPPORTED_TRANS_SYN;
	case CN_REASON_LIMIT:
		return RPC_S_SERVER_TOO_BUSY;
	default:
		return RPC_S_CALL_FAILED_DNE;
	}
}

/* The interface may be used, and the request follows. Not all may stay. */
static void accepted(struct cn_channel *c)
{
	c->context = c->context_count;
	c->contexts[c->context_count++] = c->interface;
	c->state = CN_CHANNEL_OPEN;
	c->unsettled = true;
	cn_set_timers(c, RPCCANCEL_INFINITE);
	cn_continue(c);
}

static bool on_bind_ack(struct cn_channel *c, const uint8_t *pdu,
			const struct cn_header *header)
{
	struct cn_bind_ack ack;
	RPC_STATUS status;

	if (!cn_get_bind_ack(pdu, header, &ack) || !ack.result_count ||
	    ack.max_recv < CN_MUST_RECV_FRAG)
		return false;
	status = result_status(&ack.result[0]);
	if (status != RPC_S_OK) {
		cn_break(c, status);
		return true;
	}
	c->max_send = c->protseq->max_frag;
	if (c->max_send > ack.max_recv)
		c->max_send = ack.max_recv;
	c->keep_on_orphan = ack.result_count > 1 &&
			    ack.result[1].result == CN_NEGOTIATE_ACK &&
			    ack.result[1].reason & CN_FEATURE_KEEP_ON_ORPHAN;
	c->mpx = header->flags & CN_CONC_MPX;
	cn_channel_bound(c, ack.assoc_group);
	accepted(c);
	return true;
}

/* All calls here are of that interface. */
static void refused(struct cn_channel *c, RPC_STATUS status)
{
	struct cn_call *k;

	c->state = CN_CHANNEL_OPEN;
	for (k = c->calls; k; k = k->next)
		cn_end(k, status);
}

/* A refused interface is no reason to part with the connection. */
static bool on_alter_resp(struct cn_channel *c, const uint8_t *pdu,
			  const struct cn_header *header)
{
	struct cn_bind_ack ack;
	RPC_STATUS status;

	if (!cn_get_bind_ack(pdu, header, &ack) || !ack.result_count)
		return false;
	status = result_status(&ack.result[0]);
	if (status == RPC_S_OK)
		accepted(c);
	else
		refused(c, status);
	return true;
}

static bool on_nak(struct cn_channel *c, const uint8_t *pdu,
		   const struct cn_header *header)
{
	uint16_t reason;

	if (!cn_get_bind_nak(pdu, header, &reason))
		return false;
	/*
	 * The last connection of the group may have gone while this one was on
	 * its way; then there is to be another group.
	 */
	if (reason == CN_NAK_UNSPECIFIED && c->group && !c->regroup) {
		c->regroup = true;
		cn_retry(c);
	} else {
		cn_break(c, nak_status(reason));
	}
	return true;
}

/* A server that refuses to bind or to alter may say so by a fault, too. */
static bool on_fault(struct cn_channel *c, const uint8_t *pdu,
		     const struct cn_header *header)
{
	struct cn_response fault;

	if (!cn_get_fault(pdu, header, &fault))
		return false;
	cn_break(c, cn_fault_status(&fault));
	return true;
}

bool cn_bind_pdu(struct cn_channel *c, const uint8_t *pdu,
		 const struct cn_header *header)
{
	bool alter = c->state == CN_CHANNEL_ALTERING;

	switch (header->type) {
	case CN_BIND_ACK:
		return !alter && on_bind_ack(c, pdu, header);
	case CN_ALTER_CONTEXT_RESP:
		return alter && on_alter_resp(c, pdu, header);
	case CN_BIND_NAK:
		return on_nak(c, pdu, header);
	case CN_FAULT:
		return on_fault(c, pdu, header);
	default:
		return false;
	}
}
