/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_THREAD_H
#define _RPCC_THREAD_H

#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/list.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/rpccancel.h>

#include "rearm.h"
#include "rewind.h"

struct rpcc_device;
struct rpcc_user;

/* Bits of rpcc_thread.bits. */
enum {
	RPCC_QUEUED,	/* @work is on the task's list; holds a reference */
	RPCC_NOTED,	/* @note is on the task's list; holds a reference */
	RPCC_ARMED,	/* @rearm is registered; holds a reference */
};

/**
 * struct rpcc_thread - one thread that can be cancelled
 * @node:	in the table of all records, by @task
 * @refs:	keeps the memory: one for all claims, one for each
 *		bit above
 * @id:		number in the index of all records, for lists
 * @claims:	what keeps it in the table: the attachment and open handles
 * @task:	the thread; holds a reference
 * @exec_id:	its self_exec_id at creation: after execve() it is another program
 * @user:	who is charged for the record
 * @owner:	device it is attached through, or NULL
 * @siblings:	in @owner's list
 * @slot:	its slot, or NULL before attachment; written once
 * @slot_index:	number of @slot in @owner
 * @bits:	RPCC_QUEUED and so on
 * @watched:	somebody polls a handle, and wants to know of its death
 * @lock:	protects everything below, and the writing of @owner and @slot
 * @gone:	no longer in the table, never to be used again
 * @told:	the slot shows @pending
 * @delivered:	@pending refused a system call, or its runtime was told
 * @reason:	RPCCANCEL_REASON_* of @pending
 * @pending:	generation that is cancelled, RPCCANCEL_GEN_NEXT, or 0
 * @grace:	grace period of @pending as requested, in ns
 * @grace_end:	when the grace is over, 0 before it started, or without end
 * @deadline:	when @deadline_gen ends by itself, 0 never
 * @deadline_gen: generation the deadline belongs to
 * @refuse:	generation whose calls are refused, RPCCANCEL_GEN_NEXT, or 0;
 *		read without @lock by the scheduler hook
 * @last_gen:	the generation of the last cancel that is over
 * @last_result: and what became of it
 * @events:	changes told so far
 * @event:	the last one
 * @wait:	pollers, readers and waiting cancellers
 * @work:	runs rpcc_deliver() in the context of @task, which it wakes
 * @note:	the same, but only when @task gets to user mode by itself
 * @rearm:	sees @task go to sleep while a cancel is undelivered
 * @kick:	queues @work for @rearm, which holds the run queue lock
 * @death:	queues @bury for @rearm, likewise, when @task is dead
 * @backoff:	instead of these where the kernel has no preempt notifiers
 * @backoff_ns:	its current period
 * @rewind:	the call it comes out of, where @work cannot see that
 * @timer:	ends the grace and the deadline
 * @bury:	tells waiters of the death, and drops @rearm's reference
 * @rcu:	delays the freeing
 */
struct rpcc_thread {
	struct rhash_head node;
	refcount_t refs;
	u32 id;
	unsigned int claims;
	unsigned long bits;
	struct task_struct *task;
	u64 exec_id;
	struct rpcc_user *user;
	struct rpcc_device *owner;
	struct list_head siblings;
	struct rpccancel_slot *slot;
	u32 slot_index;
	bool watched;

	spinlock_t lock;	/* see @lock above */
	bool gone;
	bool told;
	bool delivered;
	u32 reason;
	u64 pending;
	u64 grace;
	u64 grace_end;
	u64 deadline;
	u64 deadline_gen;
	u64 refuse;
	u64 last_gen;
	u32 last_result;
	u64 events;
	struct rpccancel_event event;

	wait_queue_head_t wait;
	struct callback_head work;
	struct callback_head note;
	struct rpcc_rewind rewind;
#if RPCC_HAVE_NOTIFIER
	struct preempt_notifier rearm;
	struct irq_work kick;
	struct irq_work death;
#else
	struct hrtimer backoff;
	u64 backoff_ns;
#endif
	struct hrtimer timer;
	union {
		struct work_struct bury;	/* before the last reference */
		struct rcu_head rcu;		/* after it */
	};
};

int rpcc_threads_init(void);
void rpcc_threads_exit(void);

struct rpcc_thread *rpcc_thread_prepare(struct rpcc_device *device,
					struct rpccancel_slot **slot);
void rpcc_thread_unprepare(struct rpcc_device *device, struct rpcc_thread *t,
			   struct rpccancel_slot *slot);
void rpcc_thread_attach(struct rpcc_device *device, struct rpcc_thread *t,
			struct rpccancel_slot *slot);
int rpcc_thread_detach(struct rpcc_device *device);
void rpcc_thread_detach_all(struct rpcc_device *device);
void rpcc_thread_forget(struct rpcc_thread *t);
struct rpcc_thread *rpcc_thread_current(struct rpcc_device *device);

struct rpcc_thread *rpcc_thread_claim(struct rpcc_device *device,
				      struct task_struct *task);
void rpcc_thread_claim_again(struct rpcc_thread *t);
void rpcc_thread_unclaim(struct rpcc_thread *t);

struct rpcc_thread *rpcc_thread_next(unsigned long *id);
void rpcc_thread_put(struct rpcc_thread *t);
bool rpcc_thread_alive(const struct rpcc_thread *t);

static inline void rpcc_thread_get(struct rpcc_thread *t)
{
	refcount_inc(&t->refs);
}

#endif /* _RPCC_THREAD_H */
