// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The connection-oriented protocol on the server's side: sockets.
 *
 * A listening socket belongs to one loop, which gives the connections that it
 * accepts to all loops in turn. Bytes come in pieces of any size; a PDU that
 * came whole is looked at where it is, any other is put together first.
 *
 * Reading never stops for want of resources, because a cancel may come any
 * time: a request that is too much is refused by a fault. A peer that violates
 * the protocol is told so where the protocol has words for it (C706 and, where
 * that is silent, what Windows answers), and its connection is closed in such
 * a way that it can read them; its other calls are orphaned then, and other
 * connections never notice.
 */
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cn/cn_server.h"
#include "internal.h"
#include "log.h"
#include "wire/nca.h"

#define LINGER_NS     (5 * 1000000000ull)
#define NO_SOCKETS_NS (100 * 1000000ull) /* until accept() is tried again */

#define container(p, type, member) \
	((type *)((char *)(p)-offsetof(type, member)))

struct cn_listener {
	struct rpcc_loop *loop;
	const struct rpcc_listener *listener;
	int fd;
	struct rpcc_io_req accept;
	struct rpcc_timer again;
};

static atomic_uint connections;

static void conn_log(const struct cn_conn *conn, int level, const char *why)
{
	char peer[INET6_ADDRSTRLEN + 1] = "";

	rpcc_address_text(&conn->peer, peer, sizeof(peer));
	rpcc_log(level, "server: %s[%s], client %s: %s", conn->protseq->name,
		 conn->endpoint, *peer ? peer : "on this machine", why);
}

void cn_conn_ref(struct cn_conn *conn)
{
	atomic_fetch_add_explicit(&conn->refs, 1, memory_order_relaxed);
}

void cn_conn_put(struct cn_conn *conn)
{
	if (atomic_fetch_sub_explicit(&conn->refs, 1, memory_order_acq_rel) > 1)
		return;
	pthread_mutex_destroy(&conn->lock);
	pthread_mutex_destroy(&conn->tx);
	free(conn);
}

/*
 * Time limits.
 */

static void arm(struct cn_conn *conn)
{
	uint64_t nearest = RPCCANCEL_INFINITE;
	unsigned int i;

	for (i = 0; i < CN_LIMITS; i++)
		if (conn->limit[i] < nearest)
			nearest = conn->limit[i];
	if (nearest == RPCCANCEL_INFINITE)
		rpcc_timer_disarm(&conn->timer);
	else if (!conn->timer.armed || conn->timer.when != nearest)
		rpcc_timer_arm(conn->loop, &conn->timer, nearest);
}

void cn_conn_limit(struct cn_conn *conn, enum cn_limit limit, uint64_t when)
{
	if (conn->limit[limit] == when || conn->closed)
		return;
	conn->limit[limit] = when;
	arm(conn);
}

/* Calls end in other threads, so the timer is not moved, but looks. */
static uint64_t idle_limit(struct cn_conn *conn, uint64_t now)
{
	uint64_t since;

	pthread_mutex_lock(&conn->lock);
	since = conn->call_count ? now : conn->last_call;
	pthread_mutex_unlock(&conn->lock);
	return since + conn->limits.idle_timeout;
}

static void limit_passed(struct cn_conn *conn, enum cn_limit limit,
			 uint64_t now)
{
	static const char *const why[CN_LIMITS] = {
		[CN_LIMIT_BIND] = "it does not bind",
		[CN_LIMIT_PDU] = "a PDU does not come to its end",
		[CN_LIMIT_REQUEST] = "a request does not come to its end",
		[CN_LIMIT_SEND] = "it does not read",
		[CN_LIMIT_IDLE] = "it was idle for too long",
		[CN_LIMIT_LINGER] = "it does not close",
	};
	uint64_t again;

	conn->limit[limit] = RPCCANCEL_INFINITE;
	if (limit == CN_LIMIT_IDLE) {
		again = idle_limit(conn, now);
		if (again > now) {
			conn->limit[limit] = again;
			return;
		}
	}
	cn_conn_fail(conn, why[limit]);
}

static void timer_expired(struct rpcc_timer *timer, uint64_t now)
{
	struct cn_conn *conn = container(timer, struct cn_conn, timer);
	unsigned int i;

	for (i = 0; i < CN_LIMITS; i++)
		if (conn->limit[i] <= now)
			limit_passed(conn, i, now);
	arm(conn);
}

/*
 * The end of a connection.
 */

static void drop_output(struct cn_conn *conn)
{
	struct cn_out *out;

	while ((out = conn->out)) {
		conn->out = out->next;
		free(out);
	}
	conn->out_last = &conn->out;
	conn->out_bytes = 0;
}

/* What the peer has not read until now, it must not make the system keep. */
static void close_socket(struct cn_conn *conn)
{
	static const struct linger reset = { .l_onoff = 1 };
	int fd;

	rpcc_io_cancel_fd(rpcc_loop_io(conn->loop), conn->fd);
	pthread_mutex_lock(&conn->tx);
	fd = conn->fd;
	if (conn->out || conn->broken)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	conn->fd = -1;
	drop_output(conn);
	pthread_mutex_unlock(&conn->tx);
	close(fd);
}

static void close_conn(struct cn_conn *conn)
{
	rpcc_timer_disarm(&conn->timer);
	conn->closed = true;
	rpcc_loop_leave(&conn->member);
	close_socket(conn);
	cn_server_drop_calls(conn);
	cn_server_unbind(conn);
	free(conn->partial);
	atomic_fetch_sub(&connections, 1);
	cn_conn_put(conn);
}

static void close_member(struct rpcc_member *member)
{
	close_conn(container(member, struct cn_conn, member));
}

void cn_conn_fail(struct cn_conn *conn, const char *why)
{
	if (conn->failed)
		return;
	conn->failed = true;
	conn_log(conn, RPCCANCEL_LOG_WARNING, why);
	cn_conn_ask(conn);
}

/*
 * Bytes that nobody has read make close() reset the connection, and the peer
 * lose what it was told: so the peer closes first, or has its time.
 */
void cn_conn_end(struct cn_conn *conn, const char *why)
{
	if (conn->failed || conn->ending)
		return;
	conn_log(conn, RPCCANCEL_LOG_WARNING, why);
	conn->ending = true;
	cn_server_drop_calls(conn);
	cn_conn_limit(conn, CN_LIMIT_LINGER, rpcc_deadline(LINGER_NS));
	pthread_mutex_lock(&conn->tx);
	conn->finish = true;
	pthread_mutex_unlock(&conn->tx);
	cn_conn_ask(conn);
}

/* By the peer; it has the right to. */
static void peer_closed(struct cn_conn *conn)
{
	if (conn->failed)
		return;
	conn->failed = true;
	if (!conn->ending)
		conn_log(conn, RPCCANCEL_LOG_DEBUG, "closed");
	cn_conn_ask(conn);
}

/*
 * PDUs.
 */

static void handle_pdu(struct cn_conn *conn, const uint8_t *pdu,
		       const struct cn_header *header)
{
	switch (header->type) {
	case CN_BIND:
		cn_server_bind(conn, pdu, header);
		break;
	case CN_ALTER_CONTEXT:
		cn_server_alter(conn, pdu, header);
		break;
	case CN_REQUEST:
		cn_server_request(conn, pdu, header);
		break;
	case CN_CO_CANCEL:
		cn_server_cancel(conn, header->call_id);
		break;
	case CN_ORPHANED:
		cn_server_orphaned(conn, header->call_id);
		break;
	case CN_AUTH3:
		cn_server_fault(conn, 0, header->call_id, 0, NCA_S_PROTO_ERROR);
		cn_conn_end(conn, "it authenticates, and nobody has asked");
		break;
	default:
		cn_conn_fail(conn, "a PDU that clients do not send");
	}
}

static bool is_reading(const struct cn_conn *conn)
{
	return !conn->ending && !conn->failed;
}

/* What is taken, whatever was agreed: Windows takes that much. */
static size_t max_pdu(const struct cn_conn *conn)
{
	return conn->protseq->max_frag > CN_DEFAULT_FRAG
		       ? conn->protseq->max_frag
		       : CN_DEFAULT_FRAG;
}

static bool acceptable(struct cn_conn *conn, const uint8_t *bytes,
		       struct cn_header *header)
{
	bool good = cn_get_header(bytes, header);

	if (good && header->frag_length <= max_pdu(conn))
		return true;
	if (header->type == CN_BIND) {
		cn_server_bind_refused(conn, header,
				       good ? CN_NAK_UNSPECIFIED
					    : CN_NAK_VERSION,
				       "a bind that cannot be read");
	} else if (good) {
		cn_server_fault(conn, 0, header->call_id, 0, NCA_S_PROTO_ERROR);
		cn_conn_end(conn, "a PDU that is too long");
	} else {
		cn_conn_fail(conn, "not a PDU");
	}
	return false;
}

static bool is_whole(struct cn_conn *conn, const uint8_t *bytes, size_t size,
		     struct cn_header *header)
{
	return size >= CN_HEADER_SIZE && acceptable(conn, bytes, header) &&
	       size >= header->frag_length;
}

static bool begin_partial(struct cn_conn *conn)
{
	if (!conn->partial) {
		conn->partial_room = max_pdu(conn);
		conn->partial = malloc(conn->partial_room);
		if (!conn->partial) {
			cn_conn_fail(conn, "no memory");
			return false;
		}
	}
	cn_conn_limit(conn, CN_LIMIT_PDU,
		      rpcc_deadline(conn->limits.fragment_timeout));
	return true;
}

/* First the header, then as much as that says. Returns how much was taken. */
static size_t add_partial(struct cn_conn *conn, const uint8_t *data,
			  size_t size)
{
	size_t wanted = CN_HEADER_SIZE;
	struct cn_header header;

	if (!conn->partial_size && !begin_partial(conn))
		return 0;
	if (conn->partial_size >= CN_HEADER_SIZE) {
		cn_get_header(conn->partial, &header);
		wanted = header.frag_length;
	}
	wanted -= conn->partial_size;
	if (wanted > size)
		wanted = size;
	memcpy(conn->partial + conn->partial_size, data, wanted);
	conn->partial_size += wanted;
	return wanted;
}

static void end_partial(struct cn_conn *conn)
{
	conn->partial_size = 0;
	cn_conn_limit(conn, CN_LIMIT_PDU, RPCCANCEL_INFINITE);
}

void cn_conn_feed(struct cn_conn *conn, const uint8_t *data, size_t size)
{
	struct cn_header header;
	size_t used;

	for (; size && is_reading(conn); data += used, size -= used) {
		if (!conn->partial_size &&
		    is_whole(conn, data, size, &header)) {
			handle_pdu(conn, data, &header);
			used = header.frag_length;
			continue;
		}
		if (!is_reading(conn))
			break;
		used = add_partial(conn, data, size);
		if (is_whole(conn, conn->partial, conn->partial_size,
			     &header)) {
			handle_pdu(conn, conn->partial, &header);
			end_partial(conn);
		}
	}
}

static void received(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct cn_conn *conn = container(req, struct cn_conn, recv);

	if (res <= 0 && res != -ENOBUFS) {
		peer_closed(conn);
		return;
	}
	if (res > 0)
		cn_conn_feed(conn, data, (size_t)res);
	if (!more && !conn->failed)
		rpcc_io_recv_multi(rpcc_loop_io(conn->loop), &conn->recv,
				   conn->fd);
}

/*
 * The beginning of a connection.
 */

static void run_work(struct rpcc_work *work)
{
	struct cn_conn *conn = container(work, struct cn_conn, work);

	pthread_mutex_lock(&conn->tx);
	conn->work_queued = false;
	pthread_mutex_unlock(&conn->tx);
	if (conn->failed && !conn->closed)
		close_conn(conn);
	else if (!conn->closed)
		cn_conn_send_work(conn);
	cn_conn_put(conn);
}

/* In its loop. The reference that was handed over becomes the loop's. */
static void start_conn(struct rpcc_work *work)
{
	struct cn_conn *conn = container(work, struct cn_conn, work);

	conn->work.run = run_work;
	rpcc_loop_join(conn->loop, &conn->member);
	cn_conn_limit(conn, CN_LIMIT_BIND,
		      rpcc_deadline(conn->limits.bind_timeout));
	rpcc_io_recv_multi(rpcc_loop_io(conn->loop), &conn->recv, conn->fd);
}

static void get_peer(struct cn_conn *conn)
{
	conn->peer.len =
		sizeof(conn->peer) - offsetof(struct rpcc_address, any);
	if (getpeername(conn->fd, &conn->peer.any, &conn->peer.len))
		conn->peer.any.sa_family = AF_UNSPEC;
	conn->peer_pid = rpcc_peer_pid(conn->fd);
}

/* Answers leave at once; a peer that has vanished is noticed in the end. */
static void set_options(const struct cn_conn *conn)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 60 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 15 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
	};
	size_t i;

	if (conn->protseq->local)
		return;
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(conn->fd, options[i].level, options[i].name,
			   &options[i].value, sizeof(options[i].value));
}

struct cn_conn *cn_conn_create(struct rpcc_loop *loop,
			       const struct rpcc_listener *listener, int fd)
{
	struct cn_conn *conn = calloc(1, sizeof(*conn));
	unsigned int i;

	if (!conn)
		return NULL;
	atomic_init(&conn->refs, 1);
	pthread_mutex_init(&conn->lock, NULL);
	pthread_mutex_init(&conn->tx, NULL);
	conn->member.close = close_member;
	conn->loop = loop;
	conn->protseq = listener->protseq;
	memcpy(conn->endpoint, listener->endpoint, sizeof(conn->endpoint));
	conn->fd = fd;
	conn->recv.done = received;
	conn->timer.expired = timer_expired;
	conn->limits = rpcc_server_limits();
	conn->out_last = &conn->out;
	conn->work.run = start_conn;
	for (i = 0; i < CN_LIMITS; i++)
		conn->limit[i] = RPCCANCEL_INFINITE;
	get_peer(conn);
	set_options(conn);
	return conn;
}

static void refuse_socket(const struct cn_listener *listener, int fd,
			  const char *why)
{
	rpcc_log(RPCCANCEL_LOG_WARNING, "server: %s[%s]: refused a client: %s",
		 listener->listener->protseq->name,
		 listener->listener->endpoint, why);
	close(fd);
}

static void take_socket(const struct cn_listener *listener, int fd)
{
	struct cn_conn *conn;

	if (atomic_fetch_add(&connections, 1) >=
	    rpcc_server_limits().connections) {
		atomic_fetch_sub(&connections, 1);
		refuse_socket(listener, fd, "too many connections");
		return;
	}
	conn = cn_conn_create(rpcc_loop_next(), listener->listener, fd);
	if (conn) {
		rpcc_loop_queue(conn->loop, &conn->work);
		return;
	}
	atomic_fetch_sub(&connections, 1);
	refuse_socket(listener, fd, "no memory");
}

static void accept_again(struct rpcc_timer *timer, uint64_t now)
{
	struct cn_listener *listener =
		container(timer, struct cn_listener, again);

	(void)now;
	rpcc_io_accept(rpcc_loop_io(listener->loop), &listener->accept,
		       listener->fd);
}

/* A client that has given up meanwhile is no reason to wait. */
static bool is_passing(int err)
{
	return err == -ECONNABORTED || err == -EPROTO || err == -EINTR ||
	       err == -EAGAIN;
}

static void accepted(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct cn_listener *listener =
		container(req, struct cn_listener, accept);

	(void)data;
	if (res >= 0)
		take_socket(listener, res);
	if (more)
		return;
	if (res >= 0 || is_passing(res)) {
		accept_again(&listener->again, 0);
		return;
	}
	rpcc_log(RPCCANCEL_LOG_ERROR, "server: %s[%s]: accept: error %d",
		 listener->listener->protseq->name,
		 listener->listener->endpoint, -res);
	rpcc_timer_arm(listener->loop, &listener->again,
		       rpcc_deadline(NO_SOCKETS_NS));
}

static RPC_STATUS cn_open(struct rpcc_loop *loop,
			  const struct rpcc_listener *from, int fd,
			  void **state)
{
	struct cn_listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return RPC_S_OUT_OF_MEMORY;
	listener->loop = loop;
	listener->listener = from;
	listener->fd = fd;
	listener->accept.done = accepted;
	listener->again.expired = accept_again;
	rpcc_io_accept(rpcc_loop_io(loop), &listener->accept, fd);
	*state = listener;
	return RPC_S_OK;
}

static void cn_close(void *state)
{
	struct cn_listener *listener = state;

	rpcc_timer_disarm(&listener->again);
	rpcc_io_cancel_fd(rpcc_loop_io(listener->loop), listener->fd);
	free(listener);
}

static void cn_fork_child(void)
{
	atomic_store(&connections, 0);
	cn_server_forget_groups();
}

const struct rpcc_server_protocol rpcc_cn_server = {
	.fork_child = cn_fork_child,
	.open = cn_open,
	.close = cn_close,
};
