/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * I/O engines: what the run time does to sockets, behind one interface. One
 * engine is io_uring, the other poll(2), for where io_uring is forbidden.
 *
 * An engine belongs to one thread, the first to call rpcc_io_wait(): only
 * rpcc_io_wake() may be called by others. Another may destroy it once that
 * thread has ended, and so may a forked child, which must do nothing else with
 * it. Requests are memory of the caller's, which must stay until the request is
 * over. Nothing happens before rpcc_io_wait(), which starts what was requested,
 * waits, and calls the done function of what has come to an end; that function
 * may make new requests and cancel others, but not wait.
 *
 * Sockets are in blocking mode: io_uring takes O_NONBLOCK to mean that it must
 * not wait either. Before a descriptor is closed, its requests are cancelled.
 *
 * Results are as of the system call: >= 0 or a negative errno.
 */
#ifndef RPCC_IO_H
#define RPCC_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct rpcc_io;
struct rpcc_io_req;

/*
 * @data: of rpcc_io_recv_multi(), the bytes, valid until the function returns.
 * @more: of a multishot request, false when this was its last result.
 */
typedef void rpcc_io_done_fn(struct rpcc_io_req *req, int res, void *data,
			     bool more);

enum rpcc_io_op {
	RPCC_IO_NONE,
	RPCC_IO_CONNECT,
	RPCC_IO_SENDMSG,
	RPCC_IO_RECV,
	RPCC_IO_RECVMSG,
	RPCC_IO_ACCEPT,
	RPCC_IO_RECV_MULTI,
	RPCC_IO_POLL,
};

/* Set @done before the first use; the rest is the engine's. All zero is idle. */
struct rpcc_io_req {
	rpcc_io_done_fn *done;
	enum rpcc_io_op op;
	uint8_t flags;
	int fd;
	uint32_t slot; /* the engine's */
	union {
		struct {
			const struct sockaddr *addr;
			socklen_t addr_len;
		};
		struct msghdr *msg;
		struct {
			void *buf;
			size_t len;
		};
	};
	size_t moved;			  /* bytes so far */
	struct rpcc_io_req *next, **link; /* in the engine's list */
};

/* Of rpcc_io_create(). */
#define RPCC_IO_WAKEABLE 0x1 /* rpcc_io_wake() will be used */
#define RPCC_IO_SERVER	 0x2 /* many requests, provided buffers */

/*
 * Of rpcc_io_sendmsg(): only a failure is reported. That all was sent is then
 * known from elsewhere, usually because an answer has come, and the engine is
 * told by using the request again, or by rpcc_io_sent(). Not for what may be
 * answered before the peer has read all of it: then nothing is known.
 */
#define RPCC_IO_QUIET 0x1

int rpcc_io_create(struct rpcc_io **io, unsigned int flags);
void rpcc_io_destroy(struct rpcc_io *io); /* NULL is allowed */
const char *rpcc_io_name(void);

void rpcc_io_connect(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		     const struct sockaddr *addr, socklen_t len);
/*
 * On a stream, all of the message or a failure. @msg and its iovec must stay,
 * and may be changed by the engine, until the request is over. A second one on
 * the same stream before that may overtake the first, or mix with it.
 */
void rpcc_io_sendmsg(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		     struct msghdr *msg, unsigned int flags);
/* A quiet request has succeeded, as the caller knows. No-op for an idle one. */
void rpcc_io_sent(struct rpcc_io *io, struct rpcc_io_req *req);
void rpcc_io_recv(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		  void *buf, size_t len);
void rpcc_io_recvmsg(struct rpcc_io *io, struct rpcc_io_req *req, int fd,
		     struct msghdr *msg);
/*
 * Multishot: each result is a new socket, close-on-exec. A failure, such as
 * -EMFILE, is the last result: the caller knows when it makes sense to go on.
 */
void rpcc_io_accept(struct rpcc_io *io, struct rpcc_io_req *req, int fd);
/* Multishot, only with RPCC_IO_SERVER. 0 is the end of the stream. */
void rpcc_io_recv_multi(struct rpcc_io *io, struct rpcc_io_req *req, int fd);
/* Multishot: whenever @fd becomes readable. Level or edge is not promised. */
void rpcc_io_poll(struct rpcc_io *io, struct rpcc_io_req *req, int fd);

/* Whether the engine has started the request, and something may have happened. */
bool rpcc_io_begun(const struct rpcc_io_req *req);

/*
 * When these return, the engine has forgotten the request (all requests on the
 * descriptor): its memory is the caller's again, and done will not be called.
 * The first one returns what a receive had as its result already, which is not
 * lost, or -ECANCELED. No-op for an idle one.
 */
int rpcc_io_cancel(struct rpcc_io *io, struct rpcc_io_req *req);
void rpcc_io_cancel_fd(struct rpcc_io *io, int fd);

/*
 * Starts what was requested, and waits until something ends, or until
 * @deadline, in ns of CLOCK_MONOTONIC; 0 only looks, RPCCANCEL_INFINITE is for
 * ever. One system call in the common case. Returns how many ended, 0 at
 * the deadline or after rpcc_io_wake(), or a negative errno, never -EINTR.
 */
int rpcc_io_wait(struct rpcc_io *io, uint64_t deadline);

/* From any thread: makes rpcc_io_wait() return soon. Needs RPCC_IO_WAKEABLE. */
void rpcc_io_wake(struct rpcc_io *io);

#endif /* RPCC_IO_H */
