// SPDX-License-Identifier: GPL-2.0-only
/*
 * The canceller's side: asking for a cancel, and waiting for what becomes of it.
 *
 * A request only notes in the record what is wanted and kicks the thread; it
 * never blocks and needs no memory.  Whether it is in time is decided by the
 * thread itself, see deliver.c.  The generation read here is a snapshot: a
 * request that finds it over says so at once, one that misses it by a moment
 * is found too late there.
 *
 * Locking: rpcc_thread.lock.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "broken.h"
#include "cancel.h"
#include "deliver.h"
#include "stage.h"
#include "thread.h"
#include "trace.h"

static u64 rpcc_cancel_grace(struct rpcc_thread *t, u64 grace)
{
	if (grace == RPCCANCEL_GRACE_TARGET && t->slot)
		return READ_ONCE(t->slot->grace);

	return grace;
}

/* The same generation was cancelled before; only its grace may get shorter. */
static u32 rpcc_cancel_again(struct rpcc_thread *t, u64 grace)
{
	if (rpcc_cancel_grace(t, grace) < rpcc_cancel_grace(t, t->grace))
		t->grace = grace;
	t->reason |= RPCCANCEL_REASON_CANCEL;

	return RPCCANCEL_RESULT_ALREADY;
}

static u32 rpcc_cancel_locked(struct rpcc_thread *t, u64 *gen, u64 grace)
{
	u64 now = t->slot ? READ_ONCE(t->slot->gen) : 0;
	u32 flags = t->slot ? READ_ONCE(t->slot->flags) : 0;
	u64 want = *gen;

	if (want == RPCCANCEL_GEN_ANY)
		want = now & 1 ? now : RPCCANCEL_GEN_NEXT;
	else if (rpcc_broken(RPCC_BROKEN_NEXT) && now & 1)
		want = now;
	else if (want != now)
		return RPCCANCEL_RESULT_TOO_LATE;
	*gen = want == RPCCANCEL_GEN_NEXT ? 0 : want;

	if (now & 1 && flags & RPCCANCEL_SLOT_NO_CANCEL)
		return RPCCANCEL_RESULT_REFUSED;
	if (now & 1 && flags & RPCCANCEL_SLOT_FINITE &&
	    rpcc_cancel_grace(t, grace) == RPCCANCEL_INFINITE)
		return RPCCANCEL_RESULT_NOT_FINITE;

	if (t->pending == want || t->pending == RPCCANCEL_GEN_NEXT)
		return rpcc_cancel_again(t, grace);

	/* What was pending has missed its generation, and nobody has looked yet. */
	if (t->pending)
		rpcc_deliver_outcome(t);

	t->pending = want;
	t->reason = RPCCANCEL_REASON_CANCEL;
	t->grace = grace;
	t->grace_end = 0;
	t->told = false;
	t->delivered = false;

	return want == RPCCANCEL_GEN_NEXT ? RPCCANCEL_RESULT_NEXT :
					    RPCCANCEL_RESULT_PENDING;
}

/**
 * rpcc_cancel() - ask for a cancel
 * @t:		whose call
 * @gen:	in: generation or RPCCANCEL_GEN_ANY; out: the one it was taken
 *		for, 0 if there is none yet
 * @grace:	grace period in ns, RPCCANCEL_INFINITE or RPCCANCEL_GRACE_TARGET
 * @result:	out: RPCCANCEL_RESULT_*
 *
 * Return: 0, -ESRCH if the thread is gone, -EINVAL for an even generation.
 */
int rpcc_cancel(struct rpcc_thread *t, u64 *gen, u64 grace, u32 *result)
{
	bool gone;

	if (*gen != RPCCANCEL_GEN_ANY && !(*gen & 1))
		return -EINVAL;
	if (!rpcc_thread_alive(t))
		return -ESRCH;

	rpcc_stage(RPCC_STAGE_CANCEL, t->task->pid);
	spin_lock_irq(&t->lock);
	gone = t->gone;
	if (!gone)
		*result = rpcc_cancel_locked(t, gen, grace);
	spin_unlock_irq(&t->lock);
	if (gone)
		return -ESRCH;

	trace_rpccancel_request(t->task, *gen, grace, *result);

	switch (*result) {
	case RPCCANCEL_RESULT_PENDING:
	case RPCCANCEL_RESULT_ALREADY:
	case RPCCANCEL_RESULT_NEXT:
		rpcc_stage(RPCC_STAGE_CANCEL_NOTED, t->task->pid);
		rpcc_deliver_kick(t);
		rpcc_stage(RPCC_STAGE_CANCEL_KICKED, t->task->pid);
		break;
	case RPCCANCEL_RESULT_TOO_LATE:
		trace_rpccancel_too_late(t->task, *gen);
		break;
	}

	return 0;
}

/*
 * What became of the cancel of @gen so far: 0 if it is settled, -EAGAIN if there
 * is something to wait for, -ESRCH if there no longer is.
 */
static int rpcc_cancel_outcome(struct rpcc_thread *t, u64 gen, u32 until,
			       u32 *result)
{
	int err = 0;

	spin_lock_irq(&t->lock);
	if (t->last_gen == gen) {
		*result = t->last_result;
	} else if (!rpcc_thread_alive(t)) {
		err = -ESRCH;
	} else if (t->pending != gen) {
		*result = RPCCANCEL_RESULT_NONE;
	} else if (until == RPCCANCEL_WAIT_DELIVERED && t->delivered) {
		*result = RPCCANCEL_RESULT_DELIVERED;
	} else {
		*result = RPCCANCEL_RESULT_PENDING;
		err = -EAGAIN;
	}
	spin_unlock_irq(&t->lock);

	return err;
}

/**
 * rpcc_cancel_wait() - wait for what becomes of a cancel
 * @t:		whose call
 * @req:	what to wait for; out: the result
 *
 * Return: 0, -EINVAL, -EDEADLK if it is the caller's own, -ESRCH if the thread is
 * gone, -ERESTARTSYS.
 */
int rpcc_cancel_wait(struct rpcc_thread *t, struct rpccancel_wait *req)
{
	ktime_t deadline = ns_to_ktime(min_t(u64, req->deadline, KTIME_MAX));
	bool expired = false;
	DEFINE_WAIT(wait);
	int err;

	if (!(req->gen & 1) || req->until > RPCCANCEL_WAIT_ENDED)
		return -EINVAL;
	if (t->task == current)
		return -EDEADLK;

	for (;;) {
		prepare_to_wait(&t->wait, &wait, TASK_INTERRUPTIBLE);
		err = rpcc_cancel_outcome(t, req->gen, req->until, &req->result);
		if (err != -EAGAIN || expired)
			break;
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		rpcc_stage_atomic(RPCC_STAGE_WAIT_LOOKED, t->task->pid);
		expired = !schedule_hrtimeout_range(&deadline, 0,
						    HRTIMER_MODE_ABS);
	}
	finish_wait(&t->wait, &wait);

	/* Out of time: what it was waiting for is still pending. */
	return err == -EAGAIN ? 0 : err;
}
