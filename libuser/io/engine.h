/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Between the front (io.c) and the two engines.
 *
 * A request is in one of two lists: pending, until an engine has started it,
 * then active. The front moves requests into the first one, and out of both
 * when they are over; an engine does what lies between.
 */
#ifndef RPCC_ENGINE_H
#define RPCC_ENGINE_H

#include "io/io.h"

#define RPCC_IO_STARTED 0x80 /* of rpcc_io_req.flags: is in the active list */

struct rpcc_io_list {
	struct rpcc_io_req *first, **last;
};

/* An engine's own structure begins with this one. */
struct rpcc_io {
	unsigned int flags; /* of rpcc_io_create() */
	struct rpcc_io_list pending, active;
	int ended; /* during this rpcc_io_wait() */
	bool woken;
	int wake_fd; /* an eventfd, or -1 */
	struct rpcc_io_req wake;
};

struct rpcc_engine {
	const char *name;
	int (*create)(struct rpcc_io **io, unsigned int flags);
	/* All of its memory. The requests are not looked at any more. */
	void (*destroy)(struct rpcc_io *io);
	/*
	 * Starts what is pending, waits for as long as nothing ends, and calls
	 * rpcc_io_event() and rpcc_io_end(). May return early, with 0.
	 */
	int (*wait)(struct rpcc_io *io, uint64_t deadline);
	/* Forgets a request that was started: see rpcc_io_cancel(). */
	int (*cancel)(struct rpcc_io *io, struct rpcc_io_req *req);
	/* The same for one that is known to have succeeded. */
	void (*forget)(struct rpcc_io *io, struct rpcc_io_req *req);
};

extern const struct rpcc_engine rpcc_uring_engine;
extern const struct rpcc_engine rpcc_poll_engine;
/* 0 if this kernel has all that the engine needs, and lets us use it. */
int rpcc_uring_try(void);

/*
 * connect(2) that does not wait: 0 or a negative errno. On a Unix socket it says
 * -EAGAIN when the listener's queue is full, and there is no way to be told when
 * it is not any more: it has to be tried again.
 */
int rpcc_io_try_connect(const struct rpcc_io_req *req);
#define RPCC_IO_CONNECT_RETRY 5000000 /* ns */

/* Moves a request from one list to the other, to its end. */
void rpcc_io_started(struct rpcc_io *io, struct rpcc_io_req *req);
void rpcc_io_again(struct rpcc_io *io, struct rpcc_io_req *req);
/* A result; after the second one the request is over. */
void rpcc_io_event(struct rpcc_io *io, struct rpcc_io_req *req, int res,
		   void *data);
void rpcc_io_end(struct rpcc_io *io, struct rpcc_io_req *req, int res);

/*
 * Of a send that has moved @sent bytes more: true if it is complete. If not,
 * the message begins with what is left.
 */
bool rpcc_io_sent_all(struct rpcc_io_req *req, size_t sent);

#endif /* RPCC_ENGINE_H */
