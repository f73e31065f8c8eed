/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the library needs from whatever cancels threads.
 *
 * There is one back end, the kernel module. A second one, in user space, is to
 * serve the library's own transports where there is no module; it has its
 * place beside backend_kernel.c, and rpcc_backend() is where one is chosen.
 *
 * All return 0, or a descriptor where they say so, or a negative errno:
 * -EOPNOTSUPP where there is no back end, -EBADF for what is not a handle.
 * They leave errno alone and are no cancellation points.
 */
#ifndef RPCC_BACKEND_H
#define RPCC_BACKEND_H

#include <stdint.h>
#include <sys/types.h>

#include <linux/rpccancel.h>

struct rpcc_backend {
	int (*query)(struct rpccancel_query *query);

	/* For the calling thread. -EALREADY: through another copy of us. */
	int (*attach)(struct rpccancel_slot **slot);
	int (*detach)(void);
	/* It changed slot->gen and found slot->cancel set. */
	int (*settle)(void);
	/* Absolute, or RPCCANCEL_INFINITE for none. Only inside a call. */
	int (*set_deadline)(uint64_t deadline);

	/* Returns a descriptor. @tgid 0: whatever process it is in. */
	int (*open)(pid_t tid, pid_t tgid, unsigned int access);
	int (*cancel_many)(struct rpccancel_bulk *bulk);
	int (*list)(struct rpccancel_list *list);

	/* On a descriptor that may not be a handle. */
	int (*cancel)(int fd, struct rpccancel_cancel *cancel);
	int (*wait)(int fd, struct rpccancel_wait *wait);
	int (*info)(int fd, struct rpccancel_info *info);
	int (*duplicate)(int fd, unsigned int access);

	/* Around fork(2): nobody is inside the back end while it happens. */
	void (*fork_prepare)(void);
	void (*fork_parent)(void);
	void (*fork_child)(void);
};

extern const struct rpcc_backend rpcc_kernel_backend;

static inline const struct rpcc_backend *rpcc_backend(void)
{
	return &rpcc_kernel_backend;
}

#endif /* RPCC_BACKEND_H */
