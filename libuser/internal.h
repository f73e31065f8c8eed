/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the files of librpccancel share. Names that the linker sees begin with
 * rpcc_, for the sake of programs that link the static library.
 *
 * Ownership: a thread owns its struct rpcc_thread and its slot, and nobody else
 * touches them. What the threads of a process share is inside the back end.
 */
#ifndef RPCC_INTERNAL_H
#define RPCC_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <rpccancel.h>

#define EXPORT	    __attribute__((visibility("default")))
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define READ_ONCE(x)	 (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * The library reports by status and leaves errno to its caller, whose cleanup
 * after a failed call may well end a scope before it looks at errno.
 */
static inline void rpcc_restore_errno(const int *saved)
{
	errno = *saved;
}

#define KEEP_ERRNO()                                                           \
	int saved_errno __attribute__((cleanup(rpcc_restore_errno), unused)) = \
		errno

struct rpcc_scope;

/* The calling thread. All zero is the valid state of a new one. */
struct rpcc_thread {
	struct rpccancel_slot *slot; /* NULL: not attached */
	struct rpcc_scope *top;	     /* its innermost scope */
	uint64_t grace;		     /* valid if @grace_set */
	bool grace_set;		     /* RpcMgmtSetCancelTimeout() was called */
};

/*
 * Built for the initial-exec model, so that it is reached without a call: it
 * takes a few bytes of the room that the C library keeps for late libraries.
 */
extern __thread struct rpcc_thread rpcc_self;

/* attach.c */
int rpcc_prepare(void);
int rpcc_attach(void);

/* status.c */
RPC_STATUS rpcc_status(int err);
RPC_STATUS rpcc_result_status(uint32_t result);
RPC_STATUS rpcc_check_size(const void *arg, size_t size, size_t known);

/* thread.c */
int rpcc_open(pid_t tid, pid_t tgid, unsigned int access);
void rpcc_close(int fd);
bool rpcc_is_handle(int fd);
RPC_STATUS rpcc_give(int fd, void **thread);
int rpcc_handle_get(void *thread, unsigned int access);
void rpcc_handle_put(void *thread, int fd);

/* clock.c */
uint64_t rpcc_now(void);
uint64_t rpcc_now_coarse(void);
uint64_t rpcc_deadline(uint64_t timeout);
uint64_t rpcc_seconds(long seconds);

#endif /* RPCC_INTERNAL_H */
