// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The connectionless protocol behind its decoders. The first byte chooses:
 *
 *	fragments	a body goes from a sender to a receiver, and facks go
 *			back, over a network that the input makes lose, double
 *			and reorder packets; what comes out is what went in
 *	server		packets, answers of stubs, replies of clients and time
 *			come in any order; nothing is lost and nothing grows
 *
 * The server runs on what stands here for loop, clock, executor and engine, so
 * that an input always has the same effect.
 */
#include <stdlib.h>
#include <string.h>

#include "dg/dg_conv.h"
#include "dg/dg_fragments.h"
#include "dg/dg_server.h"
#include "fake_clock.h"
#include "fuzz.h"
#include "internal.h"
#include "wire/bytes.h"
#include "wire/nca.h"

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
 * Fragments.
 */

#define LONGEST	  (50 * DG_BODY_SIZE)
#define IN_FLIGHT 8

struct flight {
	struct dg_header header;
	const uint8_t *body;
};

static uint8_t original[LONGEST];

static void deliver(struct dg_sender *s, struct dg_receiver *r,
		    const struct flight *f, bool fack_lost)
{
	enum dg_received result = dg_receiver_add(r, &f->header, f->body);
	struct dg_fack fack;
	uint16_t number;

	MUST(result != DG_RECEIVED_TOO_BIG);
	MUST((result == DG_RECEIVED_ALL) <= dg_receiver_done(r));
	if (fack_lost || f->header.flags1 & DG_NO_FACK)
		return;
	number = dg_receiver_fack(r, f->header.serial, &fack);
	dg_sender_fack(s, number, &fack);
}

static void put_into_flight(struct flight *f, const struct dg_fragment *part,
			    uint16_t serial)
{
	memset(f, 0, sizeof(*f));
	f->header.flags1 = part->flags;
	f->header.fragnum = part->number;
	f->header.length = part->length;
	f->header.serial = serial;
	f->body = part->body;
}

static void fuzz_fragments(struct input *in)
{
	uint32_t length = (take(in) << 8 | take(in)) % (LONGEST + 1);
	struct dg_receiver r = { .limit = LONGEST };
	struct flight flights[IN_FLIGHT] = { 0 };
	struct dg_fragment part;
	struct dg_sender s;
	uint16_t serial = 0;
	unsigned int fate, slot;

	dg_sender_init(&s, original, length, 1 + take(in) % DG_WINDOW);
	while (in->left && !dg_sender_done(&s)) {
		fate = take(in);
		slot = fate % IN_FLIGHT;
		if (flights[slot].header.length && fate & 0x10)
			deliver(&s, &r, &flights[slot], fate & 0x20);
		if (fate & 0x40)
			dg_sender_resend(&s);
		if (!dg_sender_next(&s, serial, &part))
			continue;
		put_into_flight(&flights[slot], &part, serial++);
		if (fate & 0x80)
			deliver(&s, &r, &flights[slot], fate & 0x08);
	}
	MUST(!dg_sender_done(&s) || dg_receiver_done(&r));
	MUST(r.length <= length && r.length <= r.size);
	MUST(!r.length || !memcmp(r.data, original, r.length));
	MUST(!dg_receiver_done(&r) || r.length == length);
	dg_receiver_free(&r);
}

/*
 * What the server stands on.
 */

#define MAX_RUNNING 16

static struct rpcc_timer *timers;
static struct rpcc_work *works;
static struct rpcc_server_call *running[MAX_RUNNING];
static int calls, interfaces;

struct rpcc_io *rpcc_loop_io(struct rpcc_loop *loop)
{
	(void)loop;
	return NULL;
}

void rpcc_io_recvmsg(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		     struct msghdr *msg)
{
	(void)io;
	(void)req;
	(void)fd;
	(void)msg;
}

int rpcc_io_cancel(struct rpcc_io *io, struct rpcc_io_req *req)
{
	(void)io;
	(void)req;
	return 0;
}

void rpcc_timer_arm(struct rpcc_loop *loop, struct rpcc_timer *timer,
		    uint64_t when)
{
	(void)loop;
	rpcc_timer_disarm(timer);
	timer->armed = true;
	timer->when = when;
	timer->next = timers;
	if (timers)
		timers->link = &timer->next;
	timers = timer;
	timer->link = &timers;
}

void rpcc_timer_disarm(struct rpcc_timer *timer)
{
	if (!timer->armed)
		return;
	timer->armed = false;
	*timer->link = timer->next;
	if (timer->next)
		timer->next->link = timer->link;
}

void rpcc_loop_queue(struct rpcc_loop *loop, struct rpcc_work *work)
{
	(void)loop;
	work->next = works;
	works = work;
}

struct rpccancel_server_limits rpcc_server_limits(void)
{
	return (struct rpccancel_server_limits){
		.connections = 3,
		.call_bytes = 100000,
		.fragment_timeout = 60000000000u,
	};
}

struct rpcc_interface *rpcc_interface_find(const RPC_SYNTAX_IDENTIFIER *syntax)
{
	if (syntax->SyntaxVersion.MajorVersion != 1)
		return NULL;
	interfaces++;
	return (struct rpcc_interface *)&interfaces;
}

void rpcc_interface_put(struct rpcc_interface *interface)
{
	MUST((void *)interface == &interfaces);
	interfaces--;
}

void rpcc_server_call_init(struct rpcc_server_call *call,
			   const struct rpcc_server_call_ops *ops,
			   const struct rpcc_protseq *protseq)
{
	(void)protseq;
	atomic_init(&call->refs, 1);
	call->ops = ops;
	calls++;
}

void rpcc_server_call_ref(struct rpcc_server_call *call)
{
	atomic_fetch_add(&call->refs, 1);
}

void rpcc_server_call_put(struct rpcc_server_call *call)
{
	if (atomic_fetch_sub(&call->refs, 1) > 1)
		return;
	free(call->request);
	free(call->reply);
	rpcc_interface_put(call->interface);
	calls--;
	call->ops->release(call);
}

void rpcc_server_call_cancel(struct rpcc_server_call *call)
{
	call->cancels++;
	MUST(call->cancels <= 255);
}

void rpcc_server_call_orphan(struct rpcc_server_call *call)
{
	call->orphaned = true;
}

static void end_call(struct rpcc_server_call *call)
{
	if (!call->orphaned)
		call->ops->respond(call);
	rpcc_server_call_put(call);
}

void rpcc_server_dispatch(struct rpcc_server_call *call)
{
	unsigned int i;

	/* All of the bytes are there. */
	for (i = 0; i < call->request_length; i++)
		call->cancel_unused ^= call->request[i] & 1;
	for (i = 0; i < MAX_RUNNING; i++) {
		if (!running[i]) {
			running[i] = call;
			return;
		}
	}
	call->fault = NCA_S_SERVER_TOO_BUSY;
	call->did_not_execute = true;
	end_call(call);
}

/*
 * What happens to the server.
 */

static void stub_ends(struct input *in)
{
	static const unsigned int lengths[] = { 0, 10, 3000, 60000 };
	unsigned int how = take(in);
	struct rpcc_server_call *call = running[how % MAX_RUNNING];

	running[how % MAX_RUNNING] = NULL;
	if (!call)
		return;
	how /= MAX_RUNNING;
	if (how & 4) {
		call->fault = NCA_S_FAULT_UNSPEC;
		call->did_not_execute = how & 8;
	} else {
		call->message.BufferLength = lengths[how % 4];
		call->reply = calloc(1, lengths[how % 4] + 1);
		call->message.Buffer = call->reply;
	}
	end_call(call);
}

static void run_works(void)
{
	struct rpcc_work *work;

	while ((work = works)) {
		works = work->next;
		work->run(work);
	}
}

static void pass_time(unsigned int tenths)
{
	struct rpcc_timer *timer = timers;

	now += tenths * (uint64_t)100000000;
	while (timer) {
		if (timer->when <= now) {
			rpcc_timer_disarm(timer);
			timer->expired(timer, now);
			timer = timers;
		} else {
			timer = timer->next;
		}
	}
}

static void receive(struct dg_server *server, const uint8_t *bytes, size_t size,
		    unsigned int port)
{
	struct rpcc_address *from = &server->packet.from.address;

	memset(from, 0, sizeof(*from));
	from->ip4.sin_family = AF_INET;
	from->ip4.sin_port = htons((uint16_t)(port + 1));
	server->message.msg_namelen = sizeof(from->ip4);
	server->message.msg_controllen = 0;
	server->message.msg_flags = 0;
	memcpy(server->buffer, bytes, size);
	server->receive.done(&server->receive, (int)size, NULL, false);
}

static UUID activity_of(unsigned int n)
{
	UUID id = { .Data1 = n % 5 };

	return id;
}

static void packet(struct dg_server *server, struct input *in)
{
	uint8_t bytes[DG_MUST_RECV_FRAG];
	struct dg_header header = {
		.type = take(in) % 11,
		.flags1 = (uint8_t)take(in),
		.interface_vers = 1,
		.fragnum = (uint16_t)take(in),
		.serial = (uint16_t)take(in),
	};
	unsigned int which = take(in), size = take(in) * 6;

	header.activity = activity_of(which);
	header.seqnum = which / 8 % 4;
	if (size > in->left)
		size = (unsigned int)in->left;
	if (size > DG_BODY_SIZE)
		size = DG_BODY_SIZE;
	header.length = (uint16_t)size;
	dg_put_header(bytes, &header);
	memcpy(bytes + DG_HEADER_SIZE, in->p, size);
	in->p += size;
	in->left -= size;
	receive(server, bytes, DG_HEADER_SIZE + size, which / 32 % 2);
}

static void raw_packet(struct dg_server *server, struct input *in)
{
	size_t size = take(in);

	if (size > in->left)
		size = in->left;
	receive(server, in->p, size, 0);
	in->p += size;
	in->left -= size;
}

/* As the client does, or nearly. */
static void client_replies(struct dg_server *server, struct input *in)
{
	unsigned int which = take(in);
	UUID id = activity_of(which);
	struct dg_conversation *c = dg_find(server, &id);
	struct dg_conv_response response = {
		.seqnum = which / 8 % 4,
		.status = which & 0x80 ? NCA_S_BAD_ACTID : 0,
	};
	uint8_t bytes[DG_MUST_RECV_FRAG];
	struct dg_header header = { .type = DG_RESPONSE };

	if (!c || !c->questions)
		return;
	header.activity = c->question.id;
	header.length = (uint16_t)dg_conv_put_response(
		bytes + DG_HEADER_SIZE, DG_CONV_WHO_ARE_YOU, &response);
	dg_put_header(bytes, &header);
	receive(server, bytes, DG_HEADER_SIZE + (size_t)header.length,
		which / 32 % 2);
}

static void step(struct dg_server *server, struct input *in)
{
	switch (take(in) % 8) {
	case 0:
		raw_packet(server, in);
		break;
	case 1:
		stub_ends(in);
		break;
	case 2:
		run_works();
		break;
	case 3:
		pass_time(take(in));
		break;
	case 4:
		client_replies(server, in);
		break;
	default:
		packet(server, in);
	}
}

static void fuzz_server(struct input *in)
{
	static const struct rpcc_listener listener;
	struct dg_server *server;
	struct input end = { 0 };
	unsigned int i;
	void *state;

	MUST(rpcc_dg_server.open(NULL, &listener, -1, &state) == RPC_S_OK);
	server = state;
	while (in->left) {
		step(server, in);
		MUST(server->count <= 3);
		server->errors = 0;
	}
	rpcc_dg_server.close(state);
	for (i = 0; i < MAX_RUNNING; i++) {
		uint8_t which = (uint8_t)i;

		end.p = &which;
		end.left = 1;
		stub_ends(&end);
	}
	run_works();
	MUST(!calls && !interfaces && !timers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	if (!original[1])
		for (size_t i = 0; i < sizeof(original); i++)
			original[i] = (uint8_t)(i * 31 + i / 256);
	if (take(&in) & 1)
		fuzz_fragments(&in);
	else
		fuzz_server(&in);
	return 0;
}
