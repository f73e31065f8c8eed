// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delivery of a cancel, in the context of the thread that is cancelled.
 *
 * A canceller only notes what it wants in the record and queues task work.  The
 * work wakes an interruptible sleep; the system call unwinds as for a signal,
 * and the work runs on the way to user mode, before the restart logic looks at
 * the result, or as if it did (rewind_arm64.c).  Only there, where the thread can
 * neither begin nor end a call, is the cancel matched with its generation:
 *
 *	canceller			thread
 *	---------			------
 *	pending = 5			gen = 5, enters read()
 *	queue work
 *					work: gen is 5: in effect
 *					read() fails with ECANCELED
 *
 *	pending = 5			gen = 5, leaves read() with data
 *	queue work			gen = 6
 *					work: gen is 6: too late, dropped
 *
 *	pending = NEXT			gen = 6 (idle)
 *	queue work
 *					work: gen is even: stays pending
 *					gen = 7, enters read(), about to sleep
 *					rearm_*.c queues the work again
 *					work: takes 7: in effect
 *
 * A result is replaced only when it is one of the codes by which the kernel
 * marks a call that was interrupted before it did anything.  Any other result
 * is kept, and the cancel stays pending.
 *
 * Locking: see thread.c.  rpcc_thread.lock protects the state; the slot is
 * written only by the thread itself, here and when it sets a deadline, so user
 * space needs no atomics.
 */
#include <linux/kernel.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/task_stack.h>

#include "broken.h"
#include "deliver.h"
#include "inspect.h"
#include "rearm.h"
#include "rewind.h"
#include "stage.h"
#include "syscalls.h"
#include "thread.h"
#include "timer.h"
#include "trace.h"

/* Shows the slot's thread what is pending. */
static void rpcc_deliver_show(struct rpcc_thread *t, u64 cancel)
{
	if (!t->slot)
		return;

	WRITE_ONCE(t->slot->reason, t->reason);
	WRITE_ONCE(t->slot->cancel, cancel);
}

/* Tells pollers and readers of handles. */
static void rpcc_deliver_event(struct rpcc_thread *t)
{
	t->event.gen = t->pending;
	t->event.reason = t->reason;
	t->event.deadline = t->grace_end;
	WRITE_ONCE(t->events,
		   t->events + (rpcc_broken(RPCC_BROKEN_TWICE) ? 2 : 1));
}

/**
 * rpcc_deliver_outcome() - remember what became of the pending cancel
 * @t:		the record, locked
 *
 * It is over.  Its waiters look for this.
 */
void rpcc_deliver_outcome(struct rpcc_thread *t)
{
	t->last_gen = t->pending;
	t->last_result = t->told ? RPCCANCEL_RESULT_ENDED :
				   RPCCANCEL_RESULT_TOO_LATE;
}

/* The pending cancel is over. */
static void rpcc_deliver_finish(struct rpcc_thread *t)
{
	rpcc_deliver_outcome(t);
	if (!t->told)
		trace_rpccancel_too_late(t->task, t->pending);

	t->pending = 0;
	t->reason = 0;
	t->told = false;
	t->delivered = false;
	t->grace_end = 0;
	WRITE_ONCE(t->refuse, 0);
	rpcc_timer_program(t);
	rpcc_deliver_show(t, 0);
}

/* A cancel that waited for the next call has found one that it must not hit. */
static bool rpcc_deliver_excluded(struct rpcc_thread *t, u32 flags)
{
	u64 grace = t->grace;

	if (flags & RPCCANCEL_SLOT_NO_CANCEL)
		return true;
	if (grace == RPCCANCEL_GRACE_TARGET)
		grace = READ_ONCE(t->slot->grace);

	return flags & RPCCANCEL_SLOT_FINITE && grace == RPCCANCEL_INFINITE;
}

/* The grace starts when the thread's runtime is told. */
static void rpcc_deliver_start_grace(struct rpcc_thread *t)
{
	u64 now = ktime_get_ns(), grace = t->grace, end;

	t->reason &= ~RPCCANCEL_REASON_TARGET;
	if (grace == RPCCANCEL_GRACE_TARGET) {
		grace = READ_ONCE(t->slot->grace);
		t->reason |= RPCCANCEL_REASON_TARGET;
	}
	if (!grace) {
		t->reason |= RPCCANCEL_REASON_GRACE;
		return;
	}
	if (grace >= KTIME_MAX - now)
		return;

	end = now + grace;
	if (!t->grace_end || end < t->grace_end)
		t->grace_end = end;
	rpcc_timer_program(t);
}

/*
 * Tells a generation that it is cancelled, and again when that gets worse.  The
 * mode may change within a generation, as a runtime makes a call in somebody's
 * scope: what is refused follows the mode, also when there is nothing to tell.
 */
static void rpcc_deliver_tell(struct rpcc_thread *t, u32 flags)
{
	const u32 ends = RPCCANCEL_REASON_GRACE | RPCCANCEL_REASON_DEADLINE;
	bool call = (flags & RPCCANCEL_MODE_MASK) == RPCCANCEL_MODE_CALL;
	bool known;

	if (call && !(t->reason & ends))
		rpcc_deliver_start_grace(t);

	known = t->told && t->event.gen == t->pending &&
		t->event.reason == t->reason &&
		t->event.deadline == t->grace_end;

	t->told = true;
	t->delivered |= call;
	WRITE_ONCE(t->refuse, call && !(t->reason & ends) ? 0 : t->pending);
	if (known)
		return;

	rpcc_deliver_show(t, t->pending);
	rpcc_deliver_event(t);
}

/*
 * Matches what is pending with the generation the thread is in.  The thread
 * cannot change its generation meanwhile: it is here.
 */
static void rpcc_deliver_match(struct rpcc_thread *t)
{
	u64 gen = t->slot ? READ_ONCE(t->slot->gen) : 0;
	u32 flags;

	if (t->deadline && t->deadline_gen != gen) {
		t->deadline = 0;
		rpcc_timer_program(t);
	}
	if (!t->pending)
		return;

	if (t->pending == RPCCANCEL_GEN_NEXT && !(gen & 1)) {
		rpcc_deliver_show(t, RPCCANCEL_GEN_NEXT);
		WRITE_ONCE(t->refuse, RPCCANCEL_GEN_NEXT);
		return;
	}

	if (rpcc_broken(RPCC_BROKEN_NEXT) && gen & 1)
		t->pending = gen;

	flags = t->slot ? READ_ONCE(t->slot->flags) : 0;
	if (t->pending == RPCCANCEL_GEN_NEXT) {
		t->pending = gen;
		if (rpcc_deliver_excluded(t, flags))
			rpcc_deliver_finish(t);
		else
			rpcc_deliver_tell(t, flags);
	} else if (t->pending == gen) {
		rpcc_deliver_tell(t, flags);
	} else {
		rpcc_deliver_finish(t);
	}
}

static int rpcc_deliver_error(struct rpcc_thread *t)
{
	int error = READ_ONCE(t->slot->error);

	if (error >= 1 && error <= RPCCANCEL_ERROR_MAX)
		return error;

	return t->reason & RPCCANCEL_REASON_CANCEL ? ECANCELED : ETIMEDOUT;
}

/* Refuses the system call that the thread comes out of, if it may be. */
static bool rpcc_deliver_refuse(struct rpcc_thread *t, struct pt_regs *regs)
{
	u32 classes, class;
	int error;

	if (!t->refuse || t->refuse != t->pending ||
	    t->pending == RPCCANCEL_GEN_NEXT)
		return false;

	class = rpcc_syscall_class(current, regs, &current->restart_block);
	classes = READ_ONCE(t->slot->classes) ?: RPCCANCEL_CLASS_DEFAULT;
	if (!(class & classes))
		return false;
	if (!rpcc_syscall_interrupted(regs) &&
	    !(rpcc_broken(RPCC_BROKEN_DATA) && class & RPCCANCEL_CLASS_READ &&
	      regs_return_value(regs) > 0))
		return false;

	error = rpcc_deliver_error(t);
	rpcc_syscall_refuse(regs, error);
	t->delivered = true;
	WRITE_ONCE(t->slot->refused, READ_ONCE(t->slot->refused) + 1);
	trace_rpccancel_deliver(t->task, t->pending, error);

	return true;
}

/**
 * rpcc_deliver() - bring the calling thread up to date with its record
 * @t:		its record
 *
 * Matches, tells, refuses, and keeps the scheduler hook registered for as long
 * as something is pending, or somebody wants to know when the thread dies.
 *
 * Return: true if the system call that the thread comes out of was refused.
 */
bool rpcc_deliver(struct rpcc_thread *t)
{
	bool rearm = false, refused = false;

	spin_lock_irq(&t->lock);
	if (!t->gone) {
		rpcc_deliver_match(t);
		rpcc_stage_atomic(RPCC_STAGE_MATCHED, t->task->pid);
		refused = rpcc_deliver_refuse(t, current_pt_regs());
		rearm = t->pending || t->watched;
	}
	/* Under the lock, so that rpcc_deliver_end() does not miss it. */
	if (rearm)
		rpcc_rearm_on(t);
	spin_unlock_irq(&t->lock);
	rpcc_stage(RPCC_STAGE_DELIVERED, t->task->pid);

	if (!rearm)
		rpcc_rearm_off(t);

	/* Pairs with the barrier in prepare_to_wait(), as in the poll side. */
	if (wq_has_sleeper(&t->wait))
		wake_up_all(&t->wait);

	return refused;
}

/*
 * Either work has come to run; it may be queued again from here on.  Returns
 * whether a call was refused.
 */
static bool rpcc_deliver_run(struct rpcc_thread *t, int bit)
{
	bool refused = false;

	rpcc_stage(RPCC_STAGE_WORK_BEGUN, t->task->pid);
	clear_bit(bit, &t->bits);
	/* Pairs with test_and_set_bit() in rpcc_deliver_queue(). */
	smp_mb__after_atomic();
	rpcc_stage(RPCC_STAGE_WORK_CLEARED, t->task->pid);

	if (rpcc_thread_alive(t)) {
		refused = rpcc_deliver(t);
	} else {
		rpcc_rearm_off(t);
		rpcc_thread_forget(t);
	}

	rpcc_thread_put(t);
	rpcc_stage_atomic(RPCC_STAGE_WORK_DONE, current->pid);

	return refused;
}

/* Runs before the restart logic, and so may tell it what to do. */
static void rpcc_deliver_work(struct callback_head *work)
{
	struct rpcc_thread *t = container_of(work, struct rpcc_thread, work);
	struct pt_regs *regs = current_pt_regs();
	struct rpcc_rewound was;

	rpcc_rewind_undo(&t->rewind, true, regs, &was);
	if (!rpcc_deliver_run(t, RPCC_QUEUED))
		rpcc_syscall_resume(regs);
	rpcc_rewind_redo(regs, &was);
}

/* May run after it, when it is too late for that; it has woken nobody, too. */
static void rpcc_deliver_note(struct callback_head *note)
{
	struct rpcc_thread *t = container_of(note, struct rpcc_thread, note);
	struct pt_regs *regs = current_pt_regs();
	struct rpcc_rewound was;

	rpcc_rewind_undo(&t->rewind, false, regs, &was);
	rpcc_deliver_run(t, RPCC_NOTED);
	rpcc_rewind_redo(regs, &was);
}

/*
 * Work that is queued cannot be withdrawn; it holds a reference, and with it the
 * module.  A thread that is past running task work exits; what is pending is
 * then of no interest.  The last reference may just have gone when this comes
 * from an irq_work of a thread that died on another processor meanwhile.
 * Returns whether it was queued, and not before.
 */
static bool rpcc_deliver_queue(struct rpcc_thread *t, int bit,
			       struct callback_head *work,
			       enum task_work_notify_mode notify)
{
	if (test_and_set_bit(bit, &t->bits))
		return false;
	if (!refcount_inc_not_zero(&t->refs))
		return false;

	rpcc_stage_atomic(RPCC_STAGE_WORK_CLAIMED, t->task->pid);
	if (task_work_add(t->task, work, notify)) {
		clear_bit(bit, &t->bits);
		rpcc_thread_put(t);
		return false;
	}

	return true;
}

static void rpcc_deliver_queue_note(struct rpcc_thread *t)
{
	unsigned int runs = rpcc_rewind_runs(&t->rewind);

	if (rpcc_deliver_queue(t, RPCC_NOTED, &t->note, TWA_RESUME))
		rpcc_rewind_noted(&t->rewind, runs);
}

/* Sees for the thread what its work cannot see any more, see rewind_arm64.c. */
static void rpcc_deliver_look(struct rpcc_thread *t)
{
	struct restart_block restart;
	struct pt_regs regs;
	unsigned int runs;

	rpcc_deliver_queue_note(t);
	if (rpcc_rewind_look(&t->rewind, &runs) &&
	    rpcc_inspect_regs(t->task, &regs, &restart))
		rpcc_rewind_seen(&t->rewind, runs, &regs);
}

/**
 * rpcc_deliver_wake() - make the thread look at its record now
 * @t:		the record
 *
 * Any context, but not with a run queue lock.
 */
void rpcc_deliver_wake(struct rpcc_thread *t)
{
	if (RPCC_REWINDS)
		rpcc_deliver_look(t);
	rpcc_deliver_queue(t, RPCC_QUEUED, &t->work, TWA_SIGNAL);
}

/*
 * Whether the thread sleeps where what is pending must not disturb it.  A record
 * that is gone must not stay queued for as long as it sleeps.
 */
static bool rpcc_deliver_can_wait(struct rpcc_thread *t)
{
	struct rpccancel_slot *slot = READ_ONCE(t->slot);
	u32 state;
	s32 nr, fd;

	if (READ_ONCE(t->gone))
		return false;

	rpcc_inspect_state(t, &state, &nr, &fd);
	if (state == RPCCANCEL_STATE_RUNNING)
		return false;
	if (!slot || !(READ_ONCE(slot->gen) & 1))
		return true;
	if ((READ_ONCE(slot->flags) & RPCCANCEL_MODE_MASK) ==
	    RPCCANCEL_MODE_CALL)
		return false;

	/* The freezer, which comes after the call, unlike other stops. */
	if (READ_ONCE(t->task->jobctl) & JOBCTL_TRAP_FREEZE &&
	    READ_ONCE(t->task->__state) & TASK_INTERRUPTIBLE)
		return true;

	/*
	 * A stop or an uninterruptible sleep may be in the middle of a call
	 * that goes on to sleep where it has to be refused.
	 */
	return state == RPCCANCEL_STATE_EXCLUDED;
}

/**
 * rpcc_deliver_kick() - make the thread look at its record as soon as it may
 * @t:		the record
 *
 * A thread that sleeps between calls, or in a system call that is not to be
 * refused, is not woken: even a call that is restarted may have returned less
 * than it would have.  It will look on its way to user mode, before it
 * can enter another call:
 *
 *	kick				thread
 *	----				------
 *	queue note, set flag		asleep
 *	  (full barrier)
 *	still asleep ?			wakes up
 *					  sees the flag before user mode
 *
 * If it is not asleep any more it may have missed the flag, and is woken after
 * all.  Same contexts as rpcc_deliver_wake().
 */
void rpcc_deliver_kick(struct rpcc_thread *t)
{
	if (rpcc_deliver_can_wait(t)) {
		rpcc_stage_atomic(RPCC_STAGE_KICK_LOOKED, t->task->pid);
		rpcc_deliver_queue_note(t);
		rpcc_stage_atomic(RPCC_STAGE_KICK_NOTED, t->task->pid);
		/*
		 * See the diagram; it may have been queued before.  Also pairs
		 * with rpcc_deliver_end(), which may not have seen the note.
		 */
		smp_mb();
		if (rpcc_deliver_can_wait(t))
			return;
	}

	rpcc_deliver_wake(t);
}

/**
 * rpcc_deliver_watch() - let those who poll a handle know when the thread dies
 * @t:		the record
 *
 * The thread is not disturbed: the note runs when it next gets to user mode, and
 * registers the scheduler hook, or when it exits.
 */
void rpcc_deliver_watch(struct rpcc_thread *t)
{
	if (READ_ONCE(t->watched) || t->task == current)
		return;

	spin_lock_irq(&t->lock);
	if (!t->gone && !t->watched) {
		WRITE_ONCE(t->watched, true);
		rpcc_deliver_queue_note(t);
	}
	spin_unlock_irq(&t->lock);
}

/**
 * rpcc_deliver_end() - the record has left the table
 * @t:		the record
 *
 * Wakes all who wait for its thread.  If the scheduler hook is still registered
 * or a note is queued, only the thread itself can take them off: it is woken to
 * do so, or they would pin the module for as long as it sleeps.  A note may be
 * queued meanwhile:
 *
 *	kick				end
 *	----				---
 *	queue note			gone = true
 *	  (full barrier)		  (full barrier)
 *	gone ?				is a note queued ?
 *
 * At least one of the two sees the other, and wakes the thread.
 */
void rpcc_deliver_end(struct rpcc_thread *t)
{
	spin_lock_irq(&t->lock);
	WRITE_ONCE(t->gone, true);
	t->pending = 0;
	t->deadline = 0;
	t->grace_end = 0;
	WRITE_ONCE(t->refuse, 0);
	rpcc_timer_program(t);
	spin_unlock_irq(&t->lock);

	/* See the diagram. */
	smp_mb();
	if (test_bit(RPCC_ARMED, &t->bits) || test_bit(RPCC_NOTED, &t->bits))
		rpcc_deliver_wake(t);
	wake_up_all(&t->wait);
}

/**
 * rpcc_deliver_init() - prepare a new record
 * @t:		the record
 */
void rpcc_deliver_init(struct rpcc_thread *t)
{
	init_task_work(&t->work, rpcc_deliver_work);
	init_task_work(&t->note, rpcc_deliver_note);
	rpcc_rewind_init(&t->rewind);
}
