// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What a server's connection sends.
 *
 * Who has an answer sends it himself, without waiting, if nothing is queued: in
 * the common case that is one system call on the executor's thread and nothing
 * for the loop to do. What the socket does not take is copied to the queue,
 * which the loop sends. A whole answer is queued at once, so the fragments of
 * two answers never mix.
 *
 * A peer that asks faster than it reads has its requests refused while much is
 * queued, so at most the answers of all calls that it may have are. One that does
 * not read at all is closed, when nothing has moved for the time that a request
 * may take, or when it has made us say too much.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "cn/cn_server.h"
#include "internal.h"

#define FULL	   (8u << 20)  /* bytes: no more requests are taken */
#define MAX_UNREAD 1024	       /* PDUs that the loop has sent since then */
#define MAX_CHUNK  (64u << 10) /* to see that it moves */
#define MAX_IOV	   64

/* The loop has something to look at. Under conn->tx. */
static void ask(struct cn_conn *conn)
{
	if (conn->work_queued || conn->fd < 0)
		return;
	conn->work_queued = true;
	cn_conn_ref(conn);
	rpcc_loop_queue(conn->loop, &conn->work);
}

void cn_conn_ask(struct cn_conn *conn)
{
	pthread_mutex_lock(&conn->tx);
	ask(conn);
	pthread_mutex_unlock(&conn->tx);
}

static size_t iov_size(const struct iovec *iov, size_t count)
{
	size_t size = 0;

	while (count--)
		size += iov++->iov_len;
	return size;
}

/* Skips @done bytes. */
static void iov_advance(struct iovec **iov, size_t *count, size_t done)
{
	while (*count && done >= (*iov)->iov_len) {
		done -= (*iov)->iov_len;
		(*iov)++;
		(*count)--;
	}
	if (*count) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + done;
		(*iov)->iov_len -= done;
	}
}

/* False when the socket takes no more, or is broken. */
static bool send_some(struct cn_conn *conn, struct iovec **iov, size_t *count)
{
	struct msghdr msg = {
		.msg_iov = *iov,
		.msg_iovlen = *count < MAX_IOV ? *count : MAX_IOV,
	};
	ssize_t n = sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0) {
		iov_advance(iov, count, (size_t)n);
		return true;
	}
	if (errno == EINTR)
		return true;
	conn->broken = errno != EAGAIN && errno != EWOULDBLOCK;
	return false;
}

static void queue(struct cn_conn *conn, const struct iovec *iov, size_t count)
{
	size_t size = iov_size(iov, count), at = 0;
	struct cn_out *out = malloc(sizeof(*out) + size);

	if (!out) {
		conn->broken = true;
		return;
	}
	out->next = NULL;
	out->done = 0;
	out->size = size;
	for (; count--; iov++) {
		memcpy(out->bytes + at, iov->iov_base, iov->iov_len);
		at += iov->iov_len;
	}
	*conn->out_last = out;
	conn->out_last = &out->next;
	conn->out_bytes += size;
}

static void send_or_queue(struct cn_conn *conn, struct iovec *iov, size_t count)
{
	if (conn->fd < 0 || conn->broken)
		return;
	while (!conn->out && count && send_some(conn, &iov, &count))
		;
	if (count && !conn->broken)
		queue(conn, iov, count);
	if (conn->broken || conn->out)
		ask(conn);
}

bool cn_conn_is_full(struct cn_conn *conn)
{
	bool full;

	pthread_mutex_lock(&conn->tx);
	full = conn->out_bytes > FULL;
	pthread_mutex_unlock(&conn->tx);
	return full;
}

void cn_conn_send(struct cn_conn *conn, struct iovec *iov, size_t count)
{
	pthread_mutex_lock(&conn->tx);
	send_or_queue(conn, iov, count);
	pthread_mutex_unlock(&conn->tx);
}

void cn_conn_send_pdu(struct cn_conn *conn, void *pdu, size_t size)
{
	struct iovec iov = { .iov_base = pdu, .iov_len = size };

	cn_conn_send(conn, &iov, 1);
}

void cn_conn_say(struct cn_conn *conn, void *pdu, size_t size)
{
	if (!cn_conn_is_full(conn))
		conn->unread = 0;
	else if (++conn->unread > MAX_UNREAD)
		cn_conn_fail(conn, "it does not read");
	cn_conn_send_pdu(conn, pdu, size);
}

static void pop(struct cn_conn *conn)
{
	struct cn_out *first = conn->out;

	conn->out = first->next;
	if (!conn->out)
		conn->out_last = &conn->out;
	conn->out_bytes -= first->size;
	free(first);
}

static void sent(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct cn_conn *conn =
		(struct cn_conn *)((char *)req -
				   offsetof(struct cn_conn, send));

	(void)data;
	(void)more;
	pthread_mutex_lock(&conn->tx);
	conn->sending = false;
	if (res < 0) {
		conn->broken = true;
	} else {
		conn->out->done += (size_t)res;
		if (conn->out->done == conn->out->size)
			pop(conn);
	}
	ask(conn);
	pthread_mutex_unlock(&conn->tx);
}

static void send_next(struct cn_conn *conn)
{
	struct cn_out *first = conn->out;
	size_t left = first->size - first->done;

	conn->sending = true;
	conn->send.done = sent;
	conn->send_iov.iov_base = first->bytes + first->done;
	conn->send_iov.iov_len = left < MAX_CHUNK ? left : MAX_CHUNK;
	conn->send_msg = (struct msghdr){
		.msg_iov = &conn->send_iov,
		.msg_iovlen = 1,
	};
	rpcc_io_sendmsg(rpcc_loop_io(conn->loop), &conn->send, conn->fd,
			&conn->send_msg, 0);
}

/* In the loop: something was queued, or has moved, or all is over. */
void cn_conn_send_work(struct cn_conn *conn)
{
	bool started = false, empty, broken;

	pthread_mutex_lock(&conn->tx);
	broken = conn->broken;
	empty = !conn->out;
	if (!broken && !empty && !conn->sending) {
		send_next(conn);
		started = true;
	}
	if (!broken && empty && conn->finish) {
		conn->finish = false;
		shutdown(conn->fd, SHUT_WR);
	}
	pthread_mutex_unlock(&conn->tx);

	if (broken)
		cn_conn_fail(conn, "cannot send, or it does not read");
	else if (empty)
		cn_conn_limit(conn, CN_LIMIT_SEND, RPCCANCEL_INFINITE);
	else if (started)
		cn_conn_limit(conn, CN_LIMIT_SEND,
			      rpcc_deadline(conn->limits.fragment_timeout));
}
