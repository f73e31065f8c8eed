// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The front of the I/O engines: it picks one, once for the process, and does
 * what both have in common: the lists of requests, and waking.
 *
 * The environment variable RPCCANCEL_ENGINE, "io_uring" or "poll", asks for one
 * of them; a program with more rights than its caller does not listen to it.
 * io_uring is used only where it works: it may be missing, too old, forbidden by
 * the sysctl kernel.io_uring_disabled, or filtered by seccomp(2), as in most
 * containers.
 *
 * There are no locks, because an engine has one thread. To wake it, others write
 * to an eventfd, which the engine polls like any other descriptor.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/engine.h"
#include "internal.h"
#include "log.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const struct rpcc_engine *engine;

static void pick_engine(void)
{
	const char *wanted = secure_getenv("RPCCANCEL_ENGINE");
	int err;

	engine = &rpcc_poll_engine;
	if (wanted && !strcmp(wanted, engine->name))
		return;
	err = rpcc_uring_try();
	if (!err)
		engine = &rpcc_uring_engine;
	else
		rpcc_log(RPCCANCEL_LOG_INFO, "poll instead of io_uring: %s",
			 strerrordesc_np(-err));
}

const char *rpcc_io_name(void)
{
	pthread_once(&once, pick_engine);
	return engine->name;
}

EXPORT const char *rpccancel_engine_name(void)
{
	KEEP_ERRNO();

	return rpcc_io_name();
}

static void list_init(struct rpcc_io_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static void list_append(struct rpcc_io_list *list, struct rpcc_io_req *req)
{
	req->next = NULL;
	req->link = list->last;
	*list->last = req;
	list->last = &req->next;
}

static void unlink_req(struct rpcc_io *io, struct rpcc_io_req *req)
{
	struct rpcc_io_list *list =
		req->flags & RPCC_IO_STARTED ? &io->active : &io->pending;

	*req->link = req->next;
	if (req->next)
		req->next->link = req->link;
	else
		list->last = req->link;
}

void rpcc_io_started(struct rpcc_io *io, struct rpcc_io_req *req)
{
	unlink_req(io, req);
	req->flags |= RPCC_IO_STARTED;
	list_append(&io->active, req);
}

void rpcc_io_again(struct rpcc_io *io, struct rpcc_io_req *req)
{
	unlink_req(io, req);
	req->flags &= (uint8_t)~RPCC_IO_STARTED;
	list_append(&io->pending, req);
}

void rpcc_io_event(struct rpcc_io *io, struct rpcc_io_req *req, int res,
		   void *data)
{
	io->ended += req != &io->wake;
	req->done(req, res, data, true);
}

static void make_idle(struct rpcc_io *io, struct rpcc_io_req *req)
{
	unlink_req(io, req);
	req->op = RPCC_IO_NONE;
	req->flags = 0;
}

void rpcc_io_end(struct rpcc_io *io, struct rpcc_io_req *req, int res)
{
	io->ended += req != &io->wake;
	make_idle(io, req);
	req->done(req, res, NULL, false);
}

bool rpcc_io_sent_all(struct rpcc_io_req *req, size_t sent)
{
	struct msghdr *msg = req->msg;

	req->moved += sent;
	while (msg->msg_iovlen && sent >= msg->msg_iov->iov_len) {
		sent -= msg->msg_iov->iov_len;
		msg->msg_iov++;
		msg->msg_iovlen--;
	}
	if (!msg->msg_iovlen)
		return true;
	msg->msg_iov->iov_base = (char *)msg->msg_iov->iov_base + sent;
	msg->msg_iov->iov_len -= sent;
	return false;
}

int rpcc_io_try_connect(const struct rpcc_io_req *req)
{
	int res, mode = fcntl(req->fd, F_GETFL);

	fcntl(req->fd, F_SETFL, mode | O_NONBLOCK);
	res = connect(req->fd, req->addr, req->addr_len) ? -errno : 0;
	if (mode >= 0)
		fcntl(req->fd, F_SETFL, mode);
	return res;
}

static void woken(struct rpcc_io_req *req, int res, void *data, bool more)
{
	struct rpcc_io *io =
		(void *)((char *)req - offsetof(struct rpcc_io, wake));
	uint64_t count;

	(void)res;
	(void)data;
	(void)more;
	/* A second event of the same wait finds nothing, and takes nothing back. */
	if (read(io->wake_fd, &count, sizeof(count)) > 0)
		io->woken = true;
}

static int prepare_wake(struct rpcc_io *io)
{
	io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (io->wake_fd < 0)
		return -errno;
	io->wake.done = woken;
	rpcc_io_poll(io, &io->wake, io->wake_fd);
	return 0;
}

int rpcc_io_create(struct rpcc_io **io, unsigned int flags)
{
	int ret;

	pthread_once(&once, pick_engine);
	ret = engine->create(io, flags);
	if (ret < 0)
		return ret;
	(*io)->flags = flags;
	(*io)->wake_fd = -1;
	list_init(&(*io)->pending);
	list_init(&(*io)->active);

	if (flags & RPCC_IO_WAKEABLE)
		ret = prepare_wake(*io);
	if (ret < 0) {
		rpcc_io_destroy(*io);
		*io = NULL;
	}
	return ret;
}

void rpcc_io_destroy(struct rpcc_io *io)
{
	int wake_fd;

	if (!io)
		return;
	wake_fd = io->wake_fd;
	engine->destroy(io);
	if (wake_fd >= 0)
		close(wake_fd);
}

static void request(struct rpcc_io *io, struct rpcc_io_req *req,
		    enum rpcc_io_op op, int fd)
{
	if (req->flags & RPCC_IO_QUIET)
		rpcc_io_sent(io, req);
	else
		rpcc_io_cancel(io, req);
	req->op = op;
	req->flags = 0;
	req->fd = fd;
	req->moved = 0;
	list_append(&io->pending, req);
}

void rpcc_io_connect(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		     const struct sockaddr *addr, socklen_t len)
{
	request(io, req, RPCC_IO_CONNECT, fd);
	req->addr = addr;
	req->addr_len = len;
}

void rpcc_io_sendmsg(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		     struct msghdr *msg, unsigned int flags)
{
	request(io, req, RPCC_IO_SENDMSG, fd);
	req->msg = msg;
	req->flags = flags & RPCC_IO_QUIET;
}

void rpcc_io_recv(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		  void *buf, size_t len)
{
	request(io, req, RPCC_IO_RECV, fd);
	req->buf = buf;
	req->len = len;
}

void rpcc_io_recvmsg(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		     struct msghdr *msg)
{
	request(io, req, RPCC_IO_RECVMSG, fd);
	req->msg = msg;
}

void rpcc_io_accept(struct rpcc_io *io, struct rpcc_io_req *req, int fd)
{
	request(io, req, RPCC_IO_ACCEPT, fd);
}

void rpcc_io_recv_multi(struct rpcc_io *io, struct rpcc_io_req *req, int fd)
{
	request(io, req, RPCC_IO_RECV_MULTI, fd);
}

void rpcc_io_poll(struct rpcc_io *io, struct rpcc_io_req *req, int fd)
{
	request(io, req, RPCC_IO_POLL, fd);
}

void rpcc_io_sent(struct rpcc_io *io, struct rpcc_io_req *req)
{
	if (req->op == RPCC_IO_NONE)
		return;
	if (req->flags & RPCC_IO_STARTED)
		engine->forget(io, req);
	make_idle(io, req);
}

bool rpcc_io_begun(const struct rpcc_io_req *req)
{
	return req->op != RPCC_IO_NONE && req->flags & RPCC_IO_STARTED;
}

int rpcc_io_cancel(struct rpcc_io *io, struct rpcc_io_req *req)
{
	int res = -ECANCELED;

	if (req->op == RPCC_IO_NONE)
		return res;
	if (req->flags & RPCC_IO_STARTED)
		res = engine->cancel(io, req);
	make_idle(io, req);
	return res;
}

static void cancel_in_list(struct rpcc_io *io, struct rpcc_io_list *list,
			   int fd)
{
	struct rpcc_io_req *req, *next;

	for (req = list->first; req; req = next) {
		next = req->next;
		if (req->fd == fd)
			rpcc_io_cancel(io, req);
	}
}

void rpcc_io_cancel_fd(struct rpcc_io *io, int fd)
{
	cancel_in_list(io, &io->pending, fd);
	cancel_in_list(io, &io->active, fd);
}

/* An engine may come back early: after a signal, or a wake-up by the kernel. */
int rpcc_io_wait(struct rpcc_io *io, uint64_t deadline)
{
	int ret;

	io->ended = 0;
	io->woken = false;
	do {
		ret = engine->wait(io, deadline);
	} while (!ret && !io->ended && !io->woken && deadline &&
		 (deadline == RPCCANCEL_INFINITE || rpcc_now() < deadline));
	return io->ended ? io->ended : ret;
}

void rpcc_io_wake(struct rpcc_io *io)
{
	KEEP_ERRNO();

	/* Fails only when there are already too many for another to matter. */
	eventfd_write(io->wake_fd, 1);
}
