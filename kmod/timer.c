// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a grace period and of a call's own deadline: one hrtimer for both.
 *
 * Lifetime: the timer is destroyed before the claims' reference is dropped, so
 * its handler needs none.  Locking: everything under rpcc_thread.lock, which
 * the handler takes too; a handler that finds nothing due is harmless.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>

#include "deliver.h"
#include "stage.h"
#include "thread.h"
#include "timer.h"
#include "trace.h"

/* A deadline that has passed, or whose call is over, is not programmed again. */
static u64 rpcc_timer_next(const struct rpcc_thread *t)
{
	if (!t->deadline || t->reason & RPCCANCEL_REASON_DEADLINE)
		return t->grace_end;
	if (!t->grace_end)
		return t->deadline;

	return min(t->deadline, t->grace_end);
}

/**
 * rpcc_timer_program() - make the timer fit the record
 * @t:		the record, locked
 */
void rpcc_timer_program(struct rpcc_thread *t)
{
	u64 next = t->gone ? 0 : rpcc_timer_next(t);

	lockdep_assert_held(&t->lock);

	if (next)
		hrtimer_start(&t->timer, ns_to_ktime(next), HRTIMER_MODE_ABS);
	else
		hrtimer_try_to_cancel(&t->timer);
}

/* Notes what has passed; returns whether the thread must look. */
static bool rpcc_timer_expire(struct rpcc_thread *t, u64 now)
{
	u32 before = t->reason;

	if (t->gone)
		return false;

	if (t->grace_end && now >= t->grace_end) {
		t->grace_end = 0;
		t->reason |= RPCCANCEL_REASON_GRACE;
	}
	if (t->deadline && now >= t->deadline &&
	    READ_ONCE(t->slot->gen) == t->deadline_gen) {
		if (!t->pending || t->pending == RPCCANCEL_GEN_NEXT)
			t->pending = t->deadline_gen;
		if (t->pending == t->deadline_gen)
			t->reason |= RPCCANCEL_REASON_DEADLINE;
	}
	if (t->reason == before)
		return false;

	trace_rpccancel_expire(t->task, t->pending, t->reason);

	return true;
}

static enum hrtimer_restart rpcc_timer_fn(struct hrtimer *timer)
{
	struct rpcc_thread *t = container_of(timer, struct rpcc_thread, timer);
	unsigned long flags;
	bool due;

	rpcc_stage_atomic(RPCC_STAGE_TIMER_FIRED, t->task->pid);
	spin_lock_irqsave(&t->lock, flags);
	due = rpcc_timer_expire(t, ktime_get_ns());
	if (due)
		rpcc_timer_program(t);
	spin_unlock_irqrestore(&t->lock, flags);
	rpcc_stage_atomic(RPCC_STAGE_TIMER_NOTED, t->task->pid);

	if (due)
		rpcc_deliver_kick(t);

	return HRTIMER_NORESTART;
}

/**
 * rpcc_timer_deadline() - set or take back the deadline of the current call
 * @t:		the calling thread's record
 * @deadline:	when it ends, in ns of CLOCK_MONOTONIC, or 0
 *
 * Return: 0, or -EINVAL if the thread is in no call.
 */
int rpcc_timer_deadline(struct rpcc_thread *t, u64 deadline)
{
	u64 gen = READ_ONCE(t->slot->gen);

	if (!(gen & 1))
		return -EINVAL;

	spin_lock_irq(&t->lock);
	t->deadline = min_t(u64, deadline, KTIME_MAX);
	t->deadline_gen = gen;
	t->reason &= ~RPCCANCEL_REASON_DEADLINE;
	if (t->pending == gen && !t->reason) {
		t->pending = 0;
		t->told = false;
		t->delivered = false;
		WRITE_ONCE(t->refuse, 0);
		WRITE_ONCE(t->slot->cancel, 0);
	}
	WRITE_ONCE(t->slot->reason, t->reason);
	rpcc_timer_program(t);
	spin_unlock_irq(&t->lock);

	return 0;
}

/**
 * rpcc_timer_init() - prepare a new record
 * @t:		the record
 */
void rpcc_timer_init(struct rpcc_thread *t)
{
	hrtimer_init(&t->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	t->timer.function = rpcc_timer_fn;
}

/**
 * rpcc_timer_destroy() - the record has lost its last claim
 * @t:		the record, @t->gone, not locked
 */
void rpcc_timer_destroy(struct rpcc_thread *t)
{
	hrtimer_cancel(&t->timer);
}
