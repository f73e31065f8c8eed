// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The client of the connectionless protocol: packets of a server, errors of the
 * socket, cancels and time come in any order, during a few calls in a row. Each
 * call ends once, with nothing left in the engine.
 *
 * Engine, clock and driver are what stands here. What the client sends goes to
 * a socket that nobody reads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dg/dg_association.h"
#include "dg/dg_conv.h"
#include "fake_clock.h"
#include "fuzz.h"
#include "internal.h"
#include "rpc/driver.h"
#include "wire/bytes.h"
#include "wire/cn_pdu.h"

#define MAX_CALLS 6
#define MAX_TIME  600 /* s */

static struct rpcc_io_req *receiving, *sending;
static int sink = -1;
static struct rpcc_address sink_address;

struct input {
	const uint8_t *p;
	size_t left;
};

static unsigned int take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

/*
 * What the client stands on.
 */

uint64_t rpcc_com_timeout(unsigned int timeout)
{
	return rpcc_seconds(timeout);
}

unsigned int rpcc_client_forks(void)
{
	return 0;
}

void rpcc_io_recv(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		  void *buf, size_t len)
{
	(void)io;
	(void)fd;
	MUST(!receiving);
	req->op = RPCC_IO_RECV;
	req->buf = buf;
	req->len = len;
	receiving = req;
}

void rpcc_io_sendmsg(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		     struct msghdr *msg, unsigned int flags)
{
	(void)io;
	(void)flags;
	MUST(!sending);
	MUST(sendmsg(fd, msg, MSG_DONTWAIT) >= DG_HEADER_SIZE);
	req->op = RPCC_IO_SENDMSG;
	sending = req;
}

static void forget(struct rpcc_io_req *req)
{
	if (receiving == req)
		receiving = NULL;
	if (sending == req)
		sending = NULL;
	req->op = RPCC_IO_NONE;
}

void rpcc_io_sent(struct rpcc_io *io, struct rpcc_io_req *req)
{
	(void)io;
	forget(req);
}

/* It leaves at once, unlike that of an engine. */
bool rpcc_io_begun(const struct rpcc_io_req *req)
{
	return req->op != RPCC_IO_NONE;
}

int rpcc_io_cancel(struct rpcc_io *io, struct rpcc_io_req *req)
{
	(void)io;
	forget(req);
	return -ECANCELED;
}

void rpcc_client_call_complete(struct rpcc_client_call *call, RPC_STATUS status)
{
	MUST(!call->done && !receiving && !sending);
	MUST(call->reply_length <= call->reply_size);
	call->done = true;
	call->status = status;
}

RPC_STATUS rpcc_client_resolve(struct rpcc_binding *binding,
			       const RPC_CLIENT_INTERFACE *interface,
			       struct rpcc_address *list, size_t *count)
{
	(void)binding;
	(void)interface;
	list[0] = list[1] = sink_address;
	*count = 2;
	return RPC_S_OK;
}

static int open_udp(const struct rpcc_address *to)
{
	(void)to;
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static const struct rpcc_protseq protseq = { .open = open_udp };
static RPC_CLIENT_INTERFACE interface;
static struct rpcc_binding binding = {
	.protseq = &protseq,
};

static void open_sink(void)
{
	sink_address.len = sizeof(sink_address.ip4);
	sink_address.ip4.sin_family = AF_INET;
	sink_address.ip4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sink = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	MUST(!bind(sink, &sink_address.any, sink_address.len));
	MUST(!getsockname(sink, &sink_address.any, &sink_address.len));
	interface.TransferSyntax = rpcc_ndr_syntax;
}

/*
 * What happens to a call.
 */

static uint8_t request[60000];

static void start_call(struct rpcc_client_call *call, unsigned int how)
{
	static const uint32_t lengths[] = { 0, 10, 5000, sizeof(request) };
	void *block = call->reply_block;
	size_t size = call->reply_size;

	memset(call, 0, sizeof(*call));
	call->reply_block = block;
	call->reply_size = size;
	call->binding = &binding;
	call->interface = &interface;
	call->request = request;
	call->request_length = lengths[how % 4];
	call->com_timeout = 60;
	call->timer = RPCCANCEL_INFINITE;
	if (how & 4)
		call->flags |= RPC_NCA_FLAGS_IDEMPOTENT;
	if (how & 8)
		call->flags |= RPC_NCA_FLAGS_MAYBE;
	if (rpcc_dg_client.prepare(call) != RPC_S_OK)
		call->done = true;
	else
		rpcc_dg_client.start(call);
}

static void receive(const uint8_t *bytes, size_t size)
{
	struct rpcc_io_req *req = receiving;

	if (!req)
		return;
	MUST(size <= req->len);
	memcpy(req->buf, bytes, size);
	forget(req);
	req->done(req, (int)size, NULL, false);
}

static void packet(struct rpcc_client_call *call, struct input *in)
{
	const struct dg_activity *a = call->protocol;
	uint8_t bytes[DG_MUST_RECV_FRAG];
	struct dg_header header = {
		.type = take(in) % 11,
		.flags1 = (uint8_t)take(in),
		.fragnum = (uint16_t)take(in),
		.serial = (uint16_t)take(in),
	};
	unsigned int which = take(in), size = take(in) * 6;

	header.activity = a->id;
	header.seqnum = a->seqnum - (which % 8 == 7);
	header.server_boot = which / 8 % 4;
	header.flags2 = (uint8_t)(which / 32);
	if (header.fragnum == 0xff)
		header.fragnum = 0xffff;
	if (header.type == DG_REQUEST) {
		header.interface = dg_conv_interface;
		header.opnum = which % 4;
	}
	if (size > in->left)
		size = (unsigned int)in->left;
	if (size > DG_BODY_SIZE)
		size = DG_BODY_SIZE;
	header.length = (uint16_t)size;
	dg_put_header(bytes, &header);
	memcpy(bytes + DG_HEADER_SIZE, in->p, size);
	in->p += size;
	in->left -= size;
	receive(bytes, DG_HEADER_SIZE + size);
}

static void raw_packet(struct input *in)
{
	size_t size = take(in);

	if (size > in->left)
		size = in->left;
	receive(in->p, size);
	in->p += size;
	in->left -= size;
}

static void error(struct rpcc_io_req *req, unsigned int which)
{
	static const int errors[] = { ECONNREFUSED, EHOSTUNREACH, ENOMEM,
				      EAGAIN };

	if (!req)
		return;
	forget(req);
	req->done(req, -errors[which % 4], NULL, false);
}

static void pass_time(struct rpcc_client_call *call, unsigned int tenths)
{
	now += tenths * (uint64_t)100000000;
	if (now >= call->timer)
		rpcc_dg_client.timer(call, now);
}

static void step(struct rpcc_client_call *call, struct input *in)
{
	switch (take(in) % 16) {
	case 0:
		raw_packet(in);
		break;
	case 1:
		error(receiving, take(in));
		break;
	case 2:
		error(sending, take(in));
		break;
	case 3:
		rpcc_dg_client.cancel(call);
		break;
	case 4:
		call->quiet = take(in) & 1;
		rpcc_dg_client.abandon(call, RPC_S_CALL_CANCELLED);
		break;
	case 5:
	case 6:
		pass_time(call, take(in));
		break;
	default:
		packet(call, in);
	}
}

/* One that nothing happens to any more ends by its time-outs. */
static void wait_for_end(struct rpcc_client_call *call)
{
	uint64_t end = now + rpcc_seconds(MAX_TIME);

	while (!call->done) {
		MUST(call->timer != RPCCANCEL_INFINITE && call->timer < end);
		now = call->timer;
		rpcc_dg_client.timer(call, now);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct rpcc_client_call call = { 0 };
	unsigned int calls;

	if (sink < 0)
		open_sink();
	now = 1000000000;
	for (calls = 0; in.left && calls < MAX_CALLS; calls++) {
		start_call(&call, take(&in));
		while (!call.done && in.left)
			step(&call, &in);
		wait_for_end(&call);
	}
	free(call.reply_block);
	rpcc_dg_client.release(&binding);
	return 0;
}
