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
#include <stddef.h>
#include <stdint.h>

#include <rpccancel.h>

#define EXPORT	    __attribute__((visibility("default")))
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * For slots, which others write or read at the same time. Volatile, so that the
 * compiler keeps their order, and atomic, so that this is no data race.
 */
#define READ_ONCE(x) \
	__atomic_load_n((const volatile __typeof__(x) *)&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) \
	__atomic_store_n((volatile __typeof__(x) *)&(x), (v), __ATOMIC_RELAXED)

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

struct rpcc_call;
struct rpcc_scope;

/* The calling thread. All zero is the valid state of a new one. */
struct rpcc_thread {
	struct rpccancel_slot *slot;  /* NULL: not attached */
	struct rpcc_scope *top;	      /* its innermost scope */
	struct rpcc_call *call;	      /* its innermost call */
	uint64_t grace;		      /* valid if @grace_set */
	bool grace_set;		      /* RpcMgmtSetCancelTimeout() was called */
	bool scopes;		      /* attached to where there are scopes */
	bool fence;		      /* see rpcc_advance() */
	int event_handle;	      /* rpcc_call_fd() + 1, or 0 */
	struct rpccancel_event event; /* the last one that it gave */
};

/*
 * Built for the initial-exec model, so that it is reached without a call: it
 * takes a few bytes of the room that the C library keeps for late libraries.
 */
extern __thread struct rpcc_thread rpcc_self;

/*
 * fork.c. One in each file that has something to do at a fork. The order is that
 * of registration: whose locks are taken inside of others' comes first.
 */
enum {
	RPCC_FORK_LOG = 101, /* the first that is not the compiler's */
	RPCC_FORK_BACKEND,
	RPCC_FORK_CLIENT,
	RPCC_FORK_SERVER,
};

#define RPCC_AT_FORK(order, prepare, parent, child)                   \
	static __attribute__((constructor(order))) void at_fork(void) \
	{                                                             \
		rpcc_at_fork(prepare, parent, child);                 \
	}                                                             \
	_Static_assert(order >= RPCC_FORK_LOG, "an order of those above")

void rpcc_at_fork(void (*prepare)(void), void (*parent)(void),
		  void (*child)(void));
/* Not 0 if there was no memory for them: then the library cannot be used. */
int rpcc_fork_error(void);

/* attach.c */
int rpcc_prepare(void);
int rpcc_attach(void);
void rpcc_settle(void);

/* status.c */
RPC_STATUS rpcc_status(int err);
RPC_STATUS rpcc_result_status(uint32_t result);
RPC_STATUS rpcc_check_size(const void *arg, size_t size, size_t known);

/* thread.c */
int rpcc_open(pid_t tid, pid_t tgid, unsigned int access);
void rpcc_close(int fd);
void rpcc_close_handle(int fd);
bool rpcc_is_handle(int fd);
RPC_STATUS rpcc_give(int fd, void **thread);
int rpcc_handle_get(void *thread, unsigned int access);
void rpcc_handle_put(void *thread, int fd);

/* call.c */
void rpcc_switch_mode(struct rpccancel_slot *slot, uint32_t flags);
void rpcc_call_take_event(void);
void rpcc_call_forget(void);

/* rpc/server_call.c: -1 this thread serves no call, 0 not cancelled, 1 cancelled */
int rpcc_server_test_cancel(void);

/* proc.c */
#define RPCC_PROC_NAME 48
void rpcc_proc_name(char *name, const char *before, int number,
		    const char *after);
int rpcc_read_proc(const char *name, char *buf, size_t size);

/* clock.c */
uint64_t rpcc_now(void);
uint64_t rpcc_now_coarse(void);
uint64_t rpcc_deadline(uint64_t timeout);
uint64_t rpcc_seconds(long seconds);

/* Why @gen was cancelled; 0 if it was not. */
static inline unsigned int rpcc_slot_reason(const struct rpccancel_slot *slot,
					    uint64_t gen)
{
	return READ_ONCE(slot->cancel) == gen ? READ_ONCE(slot->reason) : 0;
}

/*
 * Leaves the generation, or enters one. Returns why the one left was ended. The
 * reason is looked at first: once the generation is left, an interrupt is
 * enough for the kernel to find the cancel over, and to take it away.
 *
 * What makes the look at slot->cancel come after the store is told in scope.c
 * for the kernel, which needs nothing, and in backend_user.c, which may need
 * @fence.
 */
static inline unsigned int rpcc_advance(struct rpccancel_slot *slot)
{
	volatile __u64 *p = &slot->gen;
	uint64_t gen = READ_ONCE(slot->gen);
	unsigned int reason = rpcc_slot_reason(slot, gen);
	uint64_t cancel;

	if (unlikely(rpcc_self.fence)) {
		__atomic_exchange_n(p, gen + 1, __ATOMIC_SEQ_CST);
		cancel = __atomic_load_n(&slot->cancel, __ATOMIC_SEQ_CST);
	} else {
		__atomic_store_n(p, gen + 1, __ATOMIC_RELEASE);
		cancel = READ_ONCE(slot->cancel);
	}
	if (unlikely(cancel)) {
		reason |= rpcc_slot_reason(slot, gen);
		rpcc_settle();
	}
	return reason;
}

#endif /* RPCC_INTERNAL_H */
