// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The engine that is poll(2), for where io_uring is not to be had.
 *
 * Sockets are in blocking mode (see io.h), so every call on one says
 * MSG_DONTWAIT. connect(2) and accept(2) have no such flag: the descriptor is
 * made non-blocking for the first, and stays so for the second.
 *
 * What can be expected to succeed at once, connecting, sending and accepting, is
 * tried before it is polled for: a call without arguments is sendmsg(2),
 * ppoll(2) and recv(2).
 *
 * The array for ppoll(2) is built anew for every wait. While its results are
 * worked off, a request knows its place in it (slot), so that a done function
 * may cancel one whose turn is yet to come.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/engine.h"
#include "internal.h"

#define BUFFER_SIZE 65536

#define RETRY 0x40 /* of rpcc_io_req.flags: connect once more */

struct polling {
	struct rpcc_io io;
	struct pollfd *fds;
	struct rpcc_io_req **reqs; /* of the same index; NULL: forgotten */
	uint32_t count, room;
	char *buffer; /* for rpcc_io_recv_multi() */
};

static short events_of(const struct rpcc_io_req *req)
{
	switch (req->op) {
	case RPCC_IO_CONNECT:
	case RPCC_IO_SENDMSG:
		return POLLOUT;
	default:
		return POLLIN;
	}
}

static int result(ssize_t ret)
{
	return ret < 0 ? -errno : (int)ret;
}

/* The caller will be asked again by poll(2), or has nothing to do. */
static bool not_yet(int res)
{
	return res == -EAGAIN || res == -EINTR;
}

static void start_connect(struct rpcc_io *io, struct rpcc_io_req *req)
{
	int res = rpcc_io_try_connect(req);

	req->flags &= (uint8_t)~RETRY;
	if (res == -EAGAIN)
		req->flags |= RETRY;
	else if (res != -EINPROGRESS && res != -EINTR)
		rpcc_io_end(io, req, res);
}

static void on_connect(struct rpcc_io *io, struct rpcc_io_req *req)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (req->flags & RETRY) {
		start_connect(io, req);
		return;
	}
	if (getsockopt(req->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	rpcc_io_end(io, req, -error);
}

static void on_sendmsg(struct rpcc_io *io, struct rpcc_io_req *req)
{
	int res;

	do {
		res = result(sendmsg(req->fd, req->msg,
				     MSG_DONTWAIT | MSG_NOSIGNAL));
	} while (res == -EINTR ||
		 (res > 0 && !rpcc_io_sent_all(req, (size_t)res)));
	if (res == -EAGAIN)
		return;
	if (res < 0)
		rpcc_io_end(io, req, res);
	else if (req->flags & RPCC_IO_QUIET)
		rpcc_io_sent(io, req);
	else
		rpcc_io_end(io, req, (int)req->moved);
}

static void on_recv(struct rpcc_io *io, struct rpcc_io_req *req)
{
	int res = result(recv(req->fd, req->buf, req->len, MSG_DONTWAIT));

	if (!not_yet(res))
		rpcc_io_end(io, req, res);
}

static void on_recvmsg(struct rpcc_io *io, struct rpcc_io_req *req)
{
	int res = result(recvmsg(req->fd, req->msg, MSG_DONTWAIT));

	if (!not_yet(res))
		rpcc_io_end(io, req, res);
}

/* A connection that was gone before it was accepted is none of our business. */
static void on_accept(struct rpcc_io *io, struct rpcc_io_req *req)
{
	int res = result(accept4(req->fd, NULL, NULL, SOCK_CLOEXEC));

	if (res >= 0)
		rpcc_io_event(io, req, res, NULL);
	else if (!not_yet(res) && res != -ECONNABORTED)
		rpcc_io_end(io, req, res);
}

static void on_recv_multi(struct polling *p, struct rpcc_io_req *req)
{
	int res = result(recv(req->fd, p->buffer, BUFFER_SIZE, MSG_DONTWAIT));

	if (res > 0)
		rpcc_io_event(&p->io, req, res, p->buffer);
	else if (!not_yet(res))
		rpcc_io_end(&p->io, req, res);
}

static void on_poll(struct rpcc_io *io, struct rpcc_io_req *req, int events)
{
	if (events & POLLNVAL)
		rpcc_io_end(io, req, -EBADF);
	else
		rpcc_io_event(io, req, events, NULL);
}

static void on_ready(struct polling *p, struct rpcc_io_req *req, int events)
{
	switch (req->op) {
	case RPCC_IO_CONNECT:
		on_connect(&p->io, req);
		break;
	case RPCC_IO_SENDMSG:
		on_sendmsg(&p->io, req);
		break;
	case RPCC_IO_RECV:
		on_recv(&p->io, req);
		break;
	case RPCC_IO_RECVMSG:
		on_recvmsg(&p->io, req);
		break;
	case RPCC_IO_ACCEPT:
		on_accept(&p->io, req);
		break;
	case RPCC_IO_RECV_MULTI:
		on_recv_multi(p, req);
		break;
	case RPCC_IO_POLL:
		on_poll(&p->io, req, events);
		break;
	case RPCC_IO_NONE:
		break;
	}
}

static void start(struct polling *p, struct rpcc_io_req *req)
{
	if (req->op == RPCC_IO_CONNECT) {
		start_connect(&p->io, req);
	} else if (req->op == RPCC_IO_SENDMSG) {
		on_sendmsg(&p->io, req);
	} else if (req->op == RPCC_IO_ACCEPT) {
		fcntl(req->fd, F_SETFL, fcntl(req->fd, F_GETFL) | O_NONBLOCK);
		on_accept(&p->io, req);
	}
}

static bool make_room(struct polling *p)
{
	uint32_t room = p->room ? p->room * 2 : 8;
	struct rpcc_io_req **reqs;
	struct pollfd *fds;

	if (p->count < p->room)
		return true;
	fds = reallocarray(p->fds, room, sizeof(*fds));
	if (!fds)
		return false;
	p->fds = fds;
	reqs = reallocarray(p->reqs, room, sizeof(*reqs));
	if (!reqs)
		return false;
	p->reqs = reqs;
	p->room = room;
	return true;
}

static bool add(struct polling *p, struct rpcc_io_req *req)
{
	if (!make_room(p))
		return false;
	p->fds[p->count].fd = req->flags & RETRY ? -1 : req->fd;
	p->fds[p->count].events = events_of(req);
	p->fds[p->count].revents = 0;
	p->reqs[p->count] = req;
	req->slot = p->count++;
	return true;
}

/*
 * What done functions request meanwhile is for the next wait; so is what there is
 * no room for.
 */
static int start_pending(struct polling *p)
{
	struct rpcc_io_req *req;
	uint32_t i;

	p->count = 0;
	while ((req = p->io.pending.first) && add(p, req))
		rpcc_io_started(&p->io, req);
	for (i = 0; i < p->count; i++)
		if (p->reqs[i])
			start(p, p->reqs[i]);
	return req ? -ENOMEM : 0;
}

/* @retry: whether one of them waits for time to pass, not for events. */
static int collect_active(struct polling *p, bool *retry)
{
	struct rpcc_io_req *req;

	p->count = 0;
	*retry = false;
	for (req = p->io.active.first; req; req = req->next) {
		if (!add(p, req))
			return -ENOMEM;
		*retry |= (req->flags & RETRY) != 0;
	}
	return 0;
}

static int wait_for_events(struct polling *p, uint64_t deadline, bool retry)
{
	uint64_t now, left = 0;
	struct timespec ts;

	if (deadline && !p->io.ended) {
		now = rpcc_now();
		left = deadline > now ? deadline - now : 0;
		if (retry && left > RPCC_IO_CONNECT_RETRY)
			left = RPCC_IO_CONNECT_RETRY;
	}
	if (left && deadline == RPCCANCEL_INFINITE && !retry)
		return result(ppoll(p->fds, p->count, NULL, NULL));
	ts.tv_sec = (time_t)(left / 1000000000);
	ts.tv_nsec = (long)(left % 1000000000);
	return result(ppoll(p->fds, p->count, &ts, NULL));
}

static void work_off(struct polling *p)
{
	struct rpcc_io_req *req;
	uint32_t i;

	for (i = 0; i < p->count; i++) {
		req = p->reqs[i];
		if (req && (p->fds[i].revents || req->flags & RETRY))
			on_ready(p, req, p->fds[i].revents);
	}
	p->count = 0;
}

static int poll_wait(struct rpcc_io *io, uint64_t deadline)
{
	struct polling *p = (struct polling *)io;
	bool retry;
	int ret;

	ret = start_pending(p);
	if (!ret)
		ret = collect_active(p, &retry);
	if (!ret)
		ret = wait_for_events(p, deadline, retry);
	if (ret < 0) {
		p->count = 0;
		return not_yet(ret) ? 0 : ret;
	}
	work_off(p);
	return 0;
}

static void poll_forget(struct rpcc_io *io, struct rpcc_io_req *req)
{
	struct polling *p = (struct polling *)io;

	if (req->slot < p->count && p->reqs[req->slot] == req)
		p->reqs[req->slot] = NULL;
}

/* What was done for a request has been told at once. */
static int poll_cancel(struct rpcc_io *io, struct rpcc_io_req *req)
{
	poll_forget(io, req);
	return -ECANCELED;
}

static void poll_destroy(struct rpcc_io *io)
{
	struct polling *p = (struct polling *)io;

	free(p->buffer);
	free(p->reqs);
	free(p->fds);
	free(p);
}

static int poll_create(struct rpcc_io **io, unsigned int flags)
{
	struct polling *p = calloc(1, sizeof(*p));

	if (p && flags & RPCC_IO_SERVER) {
		p->buffer = malloc(BUFFER_SIZE);
		if (!p->buffer) {
			free(p);
			p = NULL;
		}
	}
	if (!p)
		return -ENOMEM;
	*io = &p->io;
	return 0;
}

const struct rpcc_engine rpcc_poll_engine = {
	.name = "poll",
	.create = poll_create,
	.destroy = poll_destroy,
	.wait = poll_wait,
	.cancel = poll_cancel,
	.forget = poll_forget,
};
