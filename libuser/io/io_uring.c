// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The engine that is io_uring, of Linux 6.1 or later: one io_uring_enter(2)
 * starts everything and waits.
 *
 * What the kernel knows of a request is not its address but the number of a slot
 * and that slot's generation, so a completion that comes after the request was
 * forgotten finds nobody. Nothing is allocated for a request unless there have
 * never been so many.
 *
 * The ring is set up so that completions are worked off only while its thread
 * waits in it (IORING_SETUP_DEFER_TASKRUN). Otherwise one that comes between two
 * calls, say on an idle connection, would be a signal of a kind to the thread,
 * and end an epoll_wait(2) of the application's with EINTR. Such a ring belongs
 * to one thread (IORING_SETUP_SINGLE_ISSUER): to the one that enables it, which
 * is the first to wait.
 *
 * A forked child inherits the mapped ring, shared with its parent, and the
 * descriptor. It may only unmap the one and close the other, of which the parent
 * does not notice anything.
 */
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/engine.h"
#include "internal.h"

#define CLIENT_ENTRIES 16
#define SERVER_ENTRIES 256
#define SERVER_CQ      4096

/* Provided buffers: each is for one piece of a stream, so of any size. */
#define BUFFERS	     256 /* a power of two */
#define BUFFER_SIZE  8192
#define BUFFER_GROUP 0
#define BUFFER_RING  (BUFFERS * sizeof(struct io_uring_buf))
#define BUFFER_BYTES (BUFFER_RING + (size_t)BUFFERS * BUFFER_SIZE)

#define NO_SLOT UINT32_MAX

struct slot {
	struct rpcc_io_req *req; /* NULL: free */
	uint32_t gen;		 /* of the present or the next request */
	uint32_t next_free;
};

struct uring {
	struct rpcc_io io;
	struct io_uring ring;
	bool enabled;
	pid_t pid; /* of the process that the ring is for */
	struct slot *slots;
	uint32_t slot_count, used_slots, free_slot;
	uint32_t forgotten; /* cancelled, and still to complete: at most */
	struct io_uring_buf_ring *buffers; /* and behind it their memory */
};

/* The operation is there because a forgotten request's result may need care. */
static uint64_t user_data(const struct uring *u, const struct rpcc_io_req *req)
{
	return (uint64_t)u->slots[req->slot].gen << 32 |
	       (uint64_t)req->slot << 8 | req->op;
}

#define OP_MASK	  UINT64_C(0xff)
#define MAX_SLOTS (1u << 24)

static uint32_t data_slot(uint64_t data)
{
	return (uint32_t)data >> 8;
}

static bool grow_slots(struct uring *u)
{
	uint32_t i, count = u->slot_count ? u->slot_count * 2 : 8;
	struct slot *slots;

	if (count > MAX_SLOTS)
		return false;
	slots = reallocarray(u->slots, count, sizeof(*slots));
	if (!slots)
		return false;
	for (i = u->slot_count; i < count; i++) {
		slots[i].req = NULL;
		slots[i].gen = 0;
		slots[i].next_free = i + 1 < count ? i + 1 : NO_SLOT;
	}
	u->free_slot = u->slot_count;
	u->slots = slots;
	u->slot_count = count;
	return true;
}

static bool take_slot(struct uring *u, struct rpcc_io_req *req)
{
	if (u->free_slot == NO_SLOT && !grow_slots(u))
		return false;
	req->slot = u->free_slot;
	u->free_slot = u->slots[req->slot].next_free;
	u->slots[req->slot].req = req;
	u->used_slots++;
	return true;
}

static void give_slot(struct uring *u, uint32_t number)
{
	struct slot *slot = &u->slots[number];

	slot->req = NULL;
	slot->gen++;
	slot->next_free = u->free_slot;
	u->free_slot = number;
	u->used_slots--;
}

static struct rpcc_io_req *find_request(const struct uring *u, uint64_t data)
{
	const struct slot *slot = &u->slots[data_slot(data)];

	return slot->gen == data >> 32 ? slot->req : NULL;
}

/*
 * Provided buffers.
 */

static char *buffer_at(const struct uring *u, unsigned int number)
{
	return (char *)u->buffers + BUFFER_RING + (size_t)number * BUFFER_SIZE;
}

static void give_buffer(struct uring *u, unsigned int number)
{
	io_uring_buf_ring_add(u->buffers, buffer_at(u, number), BUFFER_SIZE,
			      (unsigned short)number,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(u->buffers, 1);
}

static int prepare_buffers(struct uring *u)
{
	struct io_uring_buf_reg reg = {
		.ring_entries = BUFFERS,
		.bgid = BUFFER_GROUP,
	};
	unsigned int i;
	void *map;
	int ret;

	map = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	u->buffers = map;
	reg.ring_addr = (uintptr_t)map;
	ret = io_uring_register_buf_ring(&u->ring, &reg, 0);
	if (ret < 0)
		return ret;
	io_uring_buf_ring_init(u->buffers);
	for (i = 0; i < BUFFERS; i++)
		give_buffer(u, i);
	return 0;
}

/*
 * Starting.
 */

/*
 * While the queue of a Unix socket is full, Linux 6.1 tries to connect again and
 * again without leaving the kernel, where not even SIGKILL can end it: a socket
 * that is not connected counts as writable. So it is not left to the kernel.
 */
static bool connects_locally(const struct rpcc_io_req *req)
{
	return req->op == RPCC_IO_CONNECT && req->addr->sa_family == AF_UNIX;
}

static void prepare_connect(struct io_uring_sqe *sqe,
			    const struct rpcc_io_req *req)
{
	static struct __kernel_timespec retry = {
		.tv_nsec = RPCC_IO_CONNECT_RETRY,
	};

	if (connects_locally(req))
		io_uring_prep_timeout(sqe, &retry, 0, 0);
	else
		io_uring_prep_connect(sqe, req->fd, req->addr, req->addr_len);
}

static void prepare(struct io_uring_sqe *sqe, const struct rpcc_io_req *req)
{
	switch (req->op) {
	case RPCC_IO_CONNECT:
		prepare_connect(sqe, req);
		break;
	case RPCC_IO_SENDMSG:
		io_uring_prep_sendmsg(sqe, req->fd, req->msg,
				      MSG_NOSIGNAL | MSG_WAITALL);
		if (req->flags & RPCC_IO_QUIET)
			sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		break;
	case RPCC_IO_RECV:
		io_uring_prep_recv(sqe, req->fd, req->buf, req->len, 0);
		break;
	case RPCC_IO_RECVMSG:
		io_uring_prep_recvmsg(sqe, req->fd, req->msg, 0);
		break;
	case RPCC_IO_ACCEPT:
		io_uring_prep_multishot_accept(sqe, req->fd, NULL, NULL,
					       SOCK_CLOEXEC);
		break;
	case RPCC_IO_RECV_MULTI:
		io_uring_prep_recv_multishot(sqe, req->fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = BUFFER_GROUP;
		break;
	case RPCC_IO_POLL:
		io_uring_prep_poll_multishot(sqe, req->fd, POLLIN);
		break;
	case RPCC_IO_NONE:
		io_uring_prep_nop(sqe);
		break;
	}
}

/* With the ring full, the kernel takes what there is and the rest follows. */
static struct io_uring_sqe *get_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe && io_uring_submit(&u->ring) > 0)
		sqe = io_uring_get_sqe(&u->ring);
	return sqe;
}

/* True if the request is over, and needs no ring. */
static bool connect_at_once(struct uring *u, struct rpcc_io_req *req)
{
	int res;

	if (!connects_locally(req))
		return false;
	res = rpcc_io_try_connect(req);
	if (res == -EAGAIN)
		return false;
	rpcc_io_end(&u->io, req, res);
	return true;
}

static void start_pending(struct uring *u)
{
	struct io_uring_sqe *sqe;
	struct rpcc_io_req *req;

	while ((req = u->io.pending.first)) {
		if (connect_at_once(u, req))
			continue;
		if (!take_slot(u, req)) {
			rpcc_io_end(&u->io, req, -ENOMEM);
			return;
		}
		sqe = get_sqe(u);
		if (!sqe) {
			give_slot(u, req->slot);
			return;
		}
		prepare(sqe, req);
		io_uring_sqe_set_data64(sqe, user_data(u, req));
		rpcc_io_started(&u->io, req);
	}
}

/*
 * Completions.
 */

/* A request whose last completion this was begins again. */
static void again(struct uring *u, struct rpcc_io_req *req, bool more)
{
	if (more)
		return;
	give_slot(u, req->slot);
	rpcc_io_again(&u->io, req);
}

static void end(struct uring *u, struct rpcc_io_req *req, int res)
{
	give_slot(u, req->slot);
	rpcc_io_end(&u->io, req, res);
}

/*
 * The kernel goes on by itself after a short send (MSG_WAITALL). One that comes
 * to us was ended by a failure, which the next attempt will tell.
 */
static void on_sendmsg(struct uring *u, struct rpcc_io_req *req, int res)
{
	if (res == -EINTR || (res >= 0 && !rpcc_io_sent_all(req, (size_t)res)))
		again(u, req, false);
	else
		end(u, req, res < 0 ? res : (int)req->moved);
}

static void on_receive(struct uring *u, struct rpcc_io_req *req, int res)
{
	if (res == -EINTR)
		again(u, req, false);
	else
		end(u, req, res);
}

/* What has ended may be the time until the next attempt. */
static void on_connect(struct uring *u, struct rpcc_io_req *req, int res)
{
	if (connects_locally(req) && res == -ETIME)
		again(u, req, false);
	else
		end(u, req, res);
}

/* A connection that was gone before it was accepted is none of our business. */
static void on_accept(struct uring *u, struct rpcc_io_req *req, int res,
		      bool more)
{
	if (res < 0 && res != -EINTR && res != -ECONNABORTED) {
		end(u, req, res);
		return;
	}
	again(u, req, more);
	if (res >= 0)
		rpcc_io_event(&u->io, req, res, NULL);
}

/* Out of buffers: they are back by the time that the request begins again. */
static void on_recv_multi(struct uring *u, struct rpcc_io_req *req, int res,
			  bool more, void *data)
{
	if (res > 0) {
		again(u, req, more);
		rpcc_io_event(&u->io, req, res, data);
	} else if (res == -ENOBUFS || res == -EINTR) {
		again(u, req, more);
	} else {
		end(u, req, res);
	}
}

static void on_poll(struct uring *u, struct rpcc_io_req *req, int res,
		    bool more)
{
	if (res < 0) {
		end(u, req, res);
		return;
	}
	again(u, req, more);
	rpcc_io_event(&u->io, req, res, NULL);
}

static void deliver(struct uring *u, struct rpcc_io_req *req, int res,
		    bool more, void *data)
{
	switch (req->op) {
	case RPCC_IO_CONNECT:
		on_connect(u, req, res);
		break;
	case RPCC_IO_SENDMSG:
		on_sendmsg(u, req, res);
		break;
	case RPCC_IO_RECV:
	case RPCC_IO_RECVMSG:
		on_receive(u, req, res);
		break;
	case RPCC_IO_ACCEPT:
		on_accept(u, req, res, more);
		break;
	case RPCC_IO_RECV_MULTI:
		on_recv_multi(u, req, res, more, data);
		break;
	case RPCC_IO_POLL:
		on_poll(u, req, res, more);
		break;
	default:
		end(u, req, res);
		break;
	}
}

/* The request was forgotten, but not what the kernel has done for it. */
static void discard(struct uring *u, const struct io_uring_cqe *cqe)
{
	uint64_t op = cqe->user_data & OP_MASK;

	if (op == RPCC_IO_ACCEPT && cqe->res >= 0)
		close(cqe->res);
	if (u->forgotten && !(cqe->flags & IORING_CQE_F_MORE))
		u->forgotten--;
}

static void complete(struct uring *u, const struct io_uring_cqe *cqe)
{
	struct rpcc_io_req *req = find_request(u, cqe->user_data);
	unsigned int buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	bool has_buffer = cqe->flags & IORING_CQE_F_BUFFER;

	if (req)
		deliver(u, req, cqe->res, cqe->flags & IORING_CQE_F_MORE,
			has_buffer ? buffer_at(u, buffer) : NULL);
	else
		discard(u, cqe);
	if (has_buffer)
		give_buffer(u, buffer);
}

/* The copy is because a done function may take long, and the ring is small. */
static void reap(struct uring *u)
{
	unsigned int count = io_uring_cq_ready(&u->ring);
	struct io_uring_cqe *next, cqe;

	while (count-- && !io_uring_peek_cqe(&u->ring, &next)) {
		cqe = *next;
		io_uring_cqe_seen(&u->ring, next);
		complete(u, &cqe);
	}
}

/*
 * Waiting.
 */

static int enable(struct uring *u)
{
	int ret;

	if (u->enabled)
		return 0;
	/* io_uring_enable_rings() is declared, but missing in liburing 2.3. */
	ret = io_uring_register((unsigned int)u->ring.ring_fd,
				IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (ret < 0)
		return ret;
	u->enabled = true;
	return 0;
}

static int enter(struct uring *u, uint64_t deadline)
{
	struct __kernel_timespec ts, *timeout = NULL;
	struct io_uring_cqe *cqe;
	uint64_t now, left;

	if (!deadline || u->io.ended)
		return io_uring_submit_and_get_events(&u->ring);
	if (deadline != RPCCANCEL_INFINITE) {
		now = rpcc_now();
		left = deadline > now ? deadline - now : 0;
		ts.tv_sec = (long long)(left / 1000000000);
		ts.tv_nsec = (long long)(left % 1000000000);
		timeout = &ts;
	}
	return io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, timeout,
						NULL);
}

static int uring_wait(struct rpcc_io *io, uint64_t deadline)
{
	struct uring *u = (struct uring *)io;
	int ret = enable(u);

	if (ret < 0)
		return ret;
	start_pending(u);
	ret = enter(u, deadline);
	reap(u);
	return ret < 0 && ret != -ETIME && ret != -EINTR && ret != -EAGAIN ? ret
									   : 0;
}

/*
 * Cancelling.
 */

/*
 * Makes the kernel do what it has put off. It may do as many things at a time as
 * events are asked for (and some 20 if less are, from Linux 6.13 on), and there
 * is at most one for each request, forgotten or not. Nothing is waited for.
 */
static void run_deferred(struct uring *u)
{
	unsigned int batch = u->ring.cq.ring_entries;
	struct __kernel_timespec none = { 0, 0 };
	struct io_uring_getevents_arg arg = { .ts = (uintptr_t)&none };
	uint32_t done, count = u->used_slots + u->forgotten;

	/* io_uring_wait_cqes() would not enter with a full completion queue. */
	for (done = 0; done <= count; done += batch)
		io_uring_enter2((unsigned int)u->ring.ring_fd, 0, batch,
				IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
				(sigset_t *)&arg, sizeof(arg));
	u->forgotten = 0;
}

/*
 * A request that a worker has is waited for, but the kernel does not notice the
 * end of it before it has done what it has put off: so only for a moment.
 */
static int sync_cancel(struct uring *u, uint64_t data, uint32_t flags)
{
	struct io_uring_sync_cancel_reg reg = {
		.addr = data,
		.fd = -1,
		.flags = flags,
		.timeout = { 0, 1000000 },
	};
	int ret;

	for (;;) {
		ret = io_uring_register_sync_cancel(&u->ring, &reg);
		if (ret != -EINTR && ret != -EALREADY && ret != -ETIME)
			return ret;
		run_deferred(u);
	}
}

/* What the kernel did not take when it last had to, for want of memory. */
static void withdraw(struct uring *u, uint64_t data)
{
	struct io_uring_sq *sq = &u->ring.sq;
	unsigned int i, count = io_uring_sq_ready(&u->ring);
	struct io_uring_sqe *sqe;

	for (i = 1; i <= count; i++) {
		sqe = &sq->sqes[(sq->sqe_tail - i) & sq->ring_mask];
		if (sqe->user_data != data)
			continue;
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data64(sqe, data & ~OP_MASK);
	}
}

/* Of a request that is over, but whose completion has not been looked at. */
static int result_of(struct uring *u, uint64_t data)
{
	struct io_uring_cqe *cqe;
	unsigned int head;

	io_uring_for_each_cqe(&u->ring, head, cqe)
		if (cqe->user_data == data)
			return cqe->res;
	return -ECANCELED;
}

/*
 * The kernel finds a request that waits for its socket, or that a worker has;
 * then it does not touch the caller's memory any more, although the completion
 * may still be to come. It does not find one that is over, nor one that it has
 * put off trying again. So one that is not found is looked for once more after
 * that trial, and then it is over for sure.
 */
static int uring_cancel(struct rpcc_io *io, struct rpcc_io_req *req)
{
	struct uring *u = (struct uring *)io;
	uint64_t data = user_data(u, req);
	int res;

	withdraw(u, data);
	if (sync_cancel(u, data, 0) == -ENOENT) {
		run_deferred(u);
		sync_cancel(u, data, 0);
	}
	res = result_of(u, data);
	give_slot(u, req->slot);
	u->forgotten++;
	return res;
}

static void uring_forget(struct rpcc_io *io, struct rpcc_io_req *req)
{
	give_slot((struct uring *)io, req->slot);
}

/* Closing the ring would cancel everything too, but some time later. */
static void cancel_all(struct uring *u)
{
	const uint32_t any = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
	struct io_uring_cqe *next;

	sync_cancel(u, 0, any);
	do {
		run_deferred(u);
	} while (sync_cancel(u, 0, any) > 0);
	while (!io_uring_peek_cqe(&u->ring, &next)) {
		discard(u, next);
		io_uring_cqe_seen(&u->ring, next);
	}
}

static void uring_destroy(struct rpcc_io *io)
{
	struct uring *u = (struct uring *)io;

	if (u->enabled && u->pid == getpid())
		cancel_all(u);
	io_uring_queue_exit(&u->ring);
	if (u->buffers)
		munmap(u->buffers, BUFFER_BYTES);
	free(u->slots);
	free(u);
}

static int setup_ring(struct uring *u, unsigned int flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
			 IORING_SETUP_R_DISABLED,
	};
	unsigned int entries = CLIENT_ENTRIES;

	if (flags & RPCC_IO_SERVER) {
		entries = SERVER_ENTRIES;
		params.flags |= IORING_SETUP_CQSIZE;
		params.cq_entries = SERVER_CQ;
	}
	return io_uring_queue_init_params(entries, &u->ring, &params);
}

static int uring_create(struct rpcc_io **io, unsigned int flags)
{
	struct uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	u->free_slot = NO_SLOT;
	u->pid = getpid();
	ret = setup_ring(u, flags);
	if (ret < 0) {
		free(u);
		return ret;
	}
	if (flags & RPCC_IO_SERVER)
		ret = prepare_buffers(u);
	if (ret < 0) {
		uring_destroy(&u->io);
		return ret;
	}
	*io = &u->io;
	return 0;
}

/* IORING_SETUP_DEFER_TASKRUN is younger than anything else that is needed. */
int rpcc_uring_try(void)
{
	struct uring u = { 0 };
	int ret = setup_ring(&u, 0);

	if (ret < 0)
		return ret;
	io_uring_queue_exit(&u.ring);
	return 0;
}

const struct rpcc_engine rpcc_uring_engine = {
	.name = "io_uring",
	.create = uring_create,
	.destroy = uring_destroy,
	.wait = uring_wait,
	.cancel = uring_cancel,
	.forget = uring_forget,
};
