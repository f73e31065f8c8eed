/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the library needs from whatever cancels threads.
 *
 * There are two back ends: the kernel module, and one in user space that serves
 * the calls of the library's own run time where there is no module. The process
 * has one of them, which backend.c chooses.
 *
 * All return 0, or a descriptor where they say so, or a negative errno:
 * -EOPNOTSUPP for what the back end cannot do, -EBADF for what is not a handle.
 * They leave errno alone and are no cancellation points.
 */
#ifndef RPCC_BACKEND_H
#define RPCC_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/rpccancel.h>

struct rpcc_backend {
	const char *name;
	/* Only calls of the run time and threads of this process; no scopes. */
	bool local;

	int (*query)(struct rpccancel_query *query);
	/* The kernel's only: errno of its last attempt to open the device. */
	int (*open_error)(void);

	/* For the calling thread. -EALREADY: through another copy of us. */
	int (*attach)(struct rpccancel_slot **slot);
	int (*detach)(void);
	/* It changed slot->gen and found slot->cancel set. */
	int (*settle)(void);
	/* Absolute, or RPCCANCEL_INFINITE for none. Only inside a scope. */
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
	/* What it has not told yet; never waits: -EAGAIN. */
	int (*read_event)(int fd, struct rpccancel_event *event);
	/* The descriptor too. */
	void (*close)(int fd);

	/* Around fork(2): nobody is inside the back end while it happens. */
	void (*fork_prepare)(void);
	void (*fork_parent)(void);
	void (*fork_child)(void);
};

extern const struct rpcc_backend rpcc_kernel_backend;
extern const struct rpcc_backend rpcc_user_backend;

/*
 * The process's back end. _use() is for what leaves something there, a slot or
 * a handle: from then on it stays the one.
 */
const struct rpcc_backend *rpcc_backend(void);
const struct rpcc_backend *rpcc_backend_use(void);

/* 0 if there can be scopes, or why there cannot. */
int rpcc_backend_scopes(void);

void rpcc_backend_fork_prepare(void);
void rpcc_backend_fork_parent(void);
void rpcc_backend_fork_child(void);

#endif /* RPCC_BACKEND_H */
