// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The server of the connectionless protocol: its socket, and what each kind of
 * packet does (C706, chapters 10 and 12).
 *
 * Everything a client may send is small, and so is what goes back at once: one
 * packet for one, of about the same size. What is bigger, and what is sent
 * without having been asked for, goes only to clients that have answered a
 * question of ours, and has its bounds; see dg_conversation.c and
 * dg_server_call.c.
 *
 * Closing waits for no client: what has been answered has been sent, but is not
 * sent again if it was lost, and of an answer in many packets the rest is not
 * sent at all. Nor would it help to wait for acknowledgements, since none come
 * from clients that have gone. Such a client gives its call up in the end.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "dg/dg_server.h"
#include "dg/dg_timers.h"
#include "internal.h"
#include "log.h"
#include "wire/nca.h"

#define NO_HINT	    0xffff
#define BURST	    32 /* packets before others have their turn */
#define MAX_ERRORS  10 /* in a row, each of which is ignored */
#define BACK_OFF_NS (100 * 1000000ull) /* until it is tried again after more */

/* Of this process; 0: not made up yet. */
static _Atomic uint32_t boot_time;

/*
 * Clients compare it, to see whether a server has been started anew. So it is
 * finer than C706's seconds, to be different after a quick restart.
 */
uint32_t dg_server_boot(void)
{
	uint32_t boot = atomic_load(&boot_time), now;
	struct timespec ts;

	if (boot)
		return boot;
	clock_gettime(CLOCK_REALTIME, &ts);
	now = (uint32_t)((uint64_t)ts.tv_sec * 1000 +
			 (uint64_t)ts.tv_nsec / 1000000);
	if (!now)
		now = 1;
	/* Another thread may have been faster; then it is that one's. */
	return atomic_compare_exchange_strong(&boot_time, &boot, now) ? now
								      : boot;
}

/* The child knows nothing of the calls that its parent has served. */
static void dg_fork_child(void)
{
	atomic_store(&boot_time, 0);
}

/*
 * Sending.
 */

static void transmit(struct dg_server *server, const struct dg_peer *to,
		     const uint8_t *pdu, const uint8_t *body, size_t length)
{
	struct iovec parts[2] = {
		{ .iov_base = (void *)pdu, .iov_len = DG_HEADER_SIZE },
		{ .iov_base = (void *)body, .iov_len = length },
	};
	struct msghdr message = {
		.msg_name = (void *)&to->address.any,
		.msg_namelen = to->address.len,
		.msg_iov = parts,
		.msg_iovlen = length ? 2 : 1,
		.msg_control = to->control_size ? (void *)to->control : NULL,
		.msg_controllen = to->control_size,
	};

	if (sendmsg(server->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		rpcc_log(RPCCANCEL_LOG_DEBUG,
			 "ncadg: a packet could not be sent: error %d", errno);
}

void dg_server_send_pdu(struct dg_server *server, const struct dg_peer *to,
			const uint8_t *pdu, size_t length)
{
	transmit(server, to, pdu, pdu + DG_HEADER_SIZE,
		 length - DG_HEADER_SIZE);
}

void dg_server_send(struct dg_server *server, const struct dg_peer *to,
		    const struct dg_header *header, const uint8_t *body)
{
	uint8_t pdu[DG_HEADER_SIZE];

	dg_put_header(pdu, header);
	transmit(server, to, pdu, body, header->length);
}

struct dg_header dg_server_header(const struct dg_header *header,
				  enum rpcc_dg_type type)
{
	return (struct dg_header){
		.type = type,
		.object = header->object,
		.interface = header->interface,
		.interface_vers = header->interface_vers,
		.activity = header->activity,
		.server_boot = dg_server_boot(),
		.seqnum = header->seqnum,
		.opnum = header->opnum,
		.interface_hint = NO_HINT,
		.activity_hint = header->activity_hint,
	};
}

static void send_bare(struct dg_server *server, const struct dg_packet *packet,
		      enum rpcc_dg_type type)
{
	struct dg_header header = dg_server_header(&packet->header, type);

	dg_server_send(server, &packet->from, &header, NULL);
}

void dg_server_reject(struct dg_server *server, const struct dg_peer *to,
		      const struct dg_header *header, uint32_t nca)
{
	struct dg_header answer = dg_server_header(header, DG_REJECT);
	uint8_t pdu[DG_MUST_RECV_FRAG];

	dg_server_send_pdu(server, to, pdu, dg_put_status(pdu, &answer, nca));
}

static void reject(struct dg_server *server, const struct dg_packet *packet,
		   uint32_t nca)
{
	if (!(packet->header.flags1 & DG_MAYBE))
		dg_server_reject(server, &packet->from, &packet->header, nca);
}

/*
 * Requests.
 */

static bool same_peer(const struct dg_peer *first, const struct dg_peer *second)
{
	const struct rpcc_address *a = &first->address, *b = &second->address;

	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->ip4.sin_port == b->ip4.sin_port &&
		       a->ip4.sin_addr.s_addr == b->ip4.sin_addr.s_addr;
	return a->ip6.sin6_port == b->ip6.sin6_port &&
	       a->ip6.sin6_scope_id == b->ip6.sin6_scope_id &&
	       !memcmp(&a->ip6.sin6_addr, &b->ip6.sin6_addr,
		       sizeof(a->ip6.sin6_addr));
}

static struct rpcc_interface *find_interface(const struct dg_header *header)
{
	RPC_SYNTAX_IDENTIFIER syntax = {
		.SyntaxGUID = header->interface,
		.SyntaxVersion = {
			.MajorVersion = header->interface_vers & 0xffff,
			.MinorVersion = header->interface_vers >> 16,
		},
	};

	return rpcc_interface_find(&syntax);
}

/* Why a request is not looked at; 0: it is. */
static uint32_t refuse_request(const struct dg_header *header)
{
	if (header->auth_proto)
		return NCA_S_UNSPEC_REJECT;
	if (header->flags1 & DG_MAYBE && header->flags1 & DG_FRAG)
		return NCA_S_PROTO_ERROR;
	if (header->server_boot && header->server_boot != dg_server_boot())
		return NCA_S_WRONG_BOOT_TIME;
	return 0;
}

/* @c is NULL for an activity that is new, or was forgotten. */
static void new_call(struct dg_server *server, struct dg_conversation *c,
		     const struct dg_packet *packet)
{
	struct rpcc_interface *interface = find_interface(&packet->header);

	if (!interface) {
		reject(server, packet, NCA_S_UNK_IF);
		return;
	}
	if (!c)
		c = dg_create(server, &packet->header.activity);
	else if (!same_peer(&c->peer, &packet->from))
		c->known = false;
	if (!c) {
		rpcc_interface_put(interface);
		reject(server, packet, NCA_S_SERVER_TOO_BUSY);
		return;
	}
	dg_call_begin(c, packet, interface);
}

/* A packet of the call that the conversation is about, perhaps once more. */
static void same_call(struct dg_conversation *c, const struct dg_packet *packet)
{
	switch (c->state) {
	case DG_RECEIVING:
		if (!dg_receiver_done(&c->in))
			dg_call_fragment(c, packet);
		else
			dg_ask(c);
		break;
	case DG_RUNNING:
		if (!(c->request.flags1 & DG_MAYBE))
			dg_call_tell(c, DG_WORKING);
		break;
	case DG_ANSWERING:
	case DG_REFUSED:
		dg_call_resend(c);
		break;
	case DG_QUIET:
		if (c->request.flags1 & DG_IDEMPOTENT)
			new_call(c->server, c, packet);
		break;
	}
}

static void got_request(struct dg_server *server, struct dg_conversation *c,
			const struct dg_packet *packet)
{
	uint32_t refusal = refuse_request(&packet->header);
	int32_t later = 1;

	if (refusal) {
		reject(server, packet, refusal);
		return;
	}
	if (c)
		later = (int32_t)(packet->header.seqnum - c->request.seqnum);
	if (later > 0)
		new_call(server, c, packet);
	else if (!later && same_peer(&c->peer, &packet->from))
		same_call(c, packet);
}

/*
 * The rest of what clients send, about the call that the conversation is about.
 */

static void got_ping(struct dg_conversation *c)
{
	switch (c->state) {
	case DG_RECEIVING:
		dg_call_tell(c,
			     dg_receiver_done(&c->in) ? DG_WORKING : DG_NOCALL);
		break;
	case DG_RUNNING:
		dg_call_tell(c, DG_WORKING);
		break;
	case DG_ANSWERING:
	case DG_REFUSED:
		dg_call_resend(c);
		break;
	case DG_QUIET:
		dg_call_tell(c, DG_NOCALL);
		break;
	}
}

/* An empty one means that nobody waits any more. */
static void got_cancel(struct dg_conversation *c,
		       const struct dg_packet *packet)
{
	struct dg_cancel cancel;

	if (!packet->header.length) {
		dg_call_end(c);
		dg_call_tell(c, DG_CANCEL_ACK);
	} else if (dg_get_cancel(packet->pdu, &packet->header, &cancel)) {
		dg_call_cancel(c, cancel.id);
	}
}

static void about_call(struct dg_conversation *c,
		       const struct dg_packet *packet)
{
	switch (packet->header.type) {
	case DG_PING:
		got_ping(c);
		break;
	case DG_CANCEL:
		got_cancel(c, packet);
		break;
	case DG_ACK:
		if (c->state == DG_ANSWERING)
			dg_call_end(c);
		break;
	case DG_FACK:
		if (c->state == DG_ANSWERING)
			dg_call_fack(c, packet);
		break;
	}
}

static void of_client(struct dg_server *server, const struct dg_packet *packet)
{
	const struct dg_header *header = &packet->header;
	struct dg_conversation *c = dg_find(server, &header->activity);
	bool same = c && c->request.seqnum == header->seqnum &&
		    same_peer(&c->peer, &packet->from);

	if (same)
		dg_heard(c);
	if (header->type == DG_REQUEST)
		got_request(server, c, packet);
	else if (same)
		about_call(c, packet);
	else if (header->type == DG_PING &&
		 (!c || (int32_t)(header->seqnum - c->request.seqnum) > 0))
		send_bare(server, packet, DG_NOCALL);
}

static void of_asked(struct dg_server *server, const struct dg_packet *packet)
{
	struct dg_conversation *c =
		dg_find_asked(server, &packet->header.activity);

	if (c && same_peer(&c->peer, &packet->from))
		dg_got_reply(c, packet);
}

static void got_packet(struct dg_server *server, size_t size)
{
	struct dg_packet *packet = &server->packet;

	if (!dg_get_header(packet->pdu, size, &packet->header))
		return;
	switch (packet->header.type) {
	case DG_REQUEST:
	case DG_PING:
	case DG_CANCEL:
	case DG_ACK:
	case DG_FACK:
		of_client(server, packet);
		break;
	case DG_RESPONSE:
	case DG_FAULT:
	case DG_REJECT:
		of_asked(server, packet);
		break;
	}
}

/*
 * The socket.
 */

static void prepare_message(struct dg_server *server)
{
	server->part.iov_base = server->buffer;
	server->part.iov_len = sizeof(server->buffer);
	server->message = (struct msghdr){
		.msg_name = &server->packet.from.address.any,
		.msg_namelen = sizeof(server->packet.from.address) -
			       offsetof(struct rpcc_address, any),
		.msg_iov = &server->part,
		.msg_iovlen = 1,
		.msg_control = server->control,
		.msg_controllen = sizeof(server->control),
	};
	server->packet.pdu = server->buffer;
}

static void set_control(struct dg_peer *peer, int level, int type,
			const void *data, size_t size)
{
	struct cmsghdr *cmsg = (struct cmsghdr *)peer->control;

	memset(peer->control, 0, sizeof(peer->control));
	cmsg->cmsg_level = level;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(cmsg), data, size);
	peer->control_size = CMSG_SPACE(size);
}

/* What the kernel tells of the packet is what it wants to hear for the answer,
 * except that it may choose the interface where the address does not. */
static void note_local(struct dg_peer *peer, const struct cmsghdr *cmsg)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info;

	if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
		memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
		info.ipi_ifindex = 0;
		set_control(peer, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else if (cmsg->cmsg_level == IPPROTO_IPV6 &&
		   cmsg->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info6, CMSG_DATA(cmsg), sizeof(info6));
		if (IN6_IS_ADDR_MULTICAST(&info6.ipi6_addr))
			return;
		if (!IN6_IS_ADDR_LINKLOCAL(&info6.ipi6_addr))
			info6.ipi6_ifindex = 0;
		set_control(peer, IPPROTO_IPV6, IPV6_PKTINFO, &info6,
			    sizeof(info6));
	}
}

static void look_at(struct dg_server *server, size_t size)
{
	struct dg_peer *from = &server->packet.from;
	struct cmsghdr *cmsg;

	from->address.len = server->message.msg_namelen;
	from->control_size = 0;
	for (cmsg = CMSG_FIRSTHDR(&server->message); cmsg;
	     cmsg = CMSG_NXTHDR(&server->message, cmsg))
		note_local(from, cmsg);
	if (!(server->message.msg_flags & MSG_TRUNC))
		got_packet(server, size);
}

/* What has come meanwhile is taken along. */
static void look_at_all(struct dg_server *server, ssize_t size)
{
	unsigned int i;

	for (i = 0; i < BURST && size >= 0; i++) {
		look_at(server, (size_t)size);
		prepare_message(server);
		size = recvmsg(server->fd, &server->message, MSG_DONTWAIT);
	}
	if (size >= 0)
		look_at(server, (size_t)size);
}

static void receive(struct dg_server *server)
{
	prepare_message(server);
	rpcc_io_recvmsg(rpcc_loop_io(server->loop), &server->receive,
			server->fd, &server->message);
}

static void receive_again(struct rpcc_timer *timer, uint64_t now)
{
	(void)now;
	receive((struct dg_server *)((char *)timer -
				     offsetof(struct dg_server, again)));
}

/*
 * What was wrong with one packet, as the kernel would say it, has passed with it.
 * Errors that do not end are of the machine, such as a want of memory: they may
 * last, but not take a processor, and not make the socket deaf.
 */
static void failed(struct dg_server *server, int error)
{
	if (server->errors < MAX_ERRORS) {
		server->errors++;
		receive(server);
		return;
	}
	if (server->errors == MAX_ERRORS)
		rpcc_log(RPCCANCEL_LOG_ERROR,
			 "server: %s[%s]: receive: error %d, to be tried again",
			 server->protseq->name, server->endpoint, error);
	server->errors = MAX_ERRORS + 1;
	rpcc_timer_arm(server->loop, &server->again,
		       rpcc_deadline(BACK_OFF_NS));
}

static void received(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct dg_server *server =
		(struct dg_server *)((char *)req -
				     offsetof(struct dg_server, receive));

	(void)data;
	(void)more;
	if (res < 0) {
		failed(server, -res);
		return;
	}
	if (server->errors > MAX_ERRORS)
		rpcc_log(RPCCANCEL_LOG_INFO, "server: %s[%s]: receives again",
			 server->protseq->name, server->endpoint);
	server->errors = 0;
	look_at_all(server, res);
	receive(server);
}

/* One of them is not for this socket. If neither is, the kernel chooses. */
static void ask_for_local(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
}

static RPC_STATUS dg_open(struct rpcc_loop *loop,
			  const struct rpcc_listener *listener, int fd,
			  void **state)
{
	struct dg_server *server = calloc(1, sizeof(*server));

	if (!server)
		return RPC_S_OUT_OF_MEMORY;
	server->loop = loop;
	server->protseq = listener->protseq;
	server->endpoint = listener->endpoint;
	server->fd = fd;
	if (!dg_tables_init(server)) {
		free(server);
		return RPC_S_OUT_OF_RESOURCES;
	}
	ask_for_local(fd);
	server->receive.done = received;
	server->again.expired = receive_again;
	receive(server);
	*state = server;
	return RPC_S_OK;
}

static void dg_close(void *state)
{
	struct dg_server *server = state;

	rpcc_timer_disarm(&server->again);
	rpcc_io_cancel(rpcc_loop_io(server->loop), &server->receive);
	dg_tables_clear(server);
	free(server);
}

const struct rpcc_server_protocol rpcc_dg_server = {
	.open = dg_open,
	.close = dg_close,
	.fork_child = dg_fork_child,
};
