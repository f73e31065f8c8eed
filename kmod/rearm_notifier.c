// SPDX-License-Identifier: GPL-2.0-only
/*
 * What makes a cancel sticky: it is delivered again each time the thread is
 * about to sleep in a system call that has to be refused.
 *
 * A preempt notifier exists only on a thread with a cancel pending, or whose
 * death somebody waits for.  When the thread is switched out, sched_out sees it
 * go to sleep.  The run queue lock is held there, so it cannot be woken from
 * inside: an irq_work does that, as soon as the lock is released.  So no wake-up
 * is lost, wherever the work comes, and nothing polls:
 *
 *	canceller		thread
 *	---------		------
 *				enters read()
 *	queue work
 *				schedule(): a signal is pending, no sleep;
 *				the work runs on the way to user mode
 *
 *	queue work
 *				the work runs, registers the notifier
 *				enters read()
 *				schedule(): sched_out -> irq_work -> work
 *
 * The irq_work must be a hard one, or PREEMPT_RT would run it in a thread of
 * lower priority, which could be preempted between the handler, which may drop
 * the last reference, and its own last look at the irq_work.  A death wakes
 * waiters, which takes locks that sleep there: it goes on to a workqueue.
 *
 * Lifetime: a registered notifier holds a reference on the record.  Only the
 * thread itself can take it off, in its own context; if it exits before, its
 * very last switch shows state TASK_DEAD, after which the scheduler never looks
 * at its notifiers again.  Locking: none; sched_out reads @refuse and the
 * slot, the rest is done by the work under rpcc_thread.lock.
 *
 * Kernels without preempt notifiers use rearm_backoff.c instead.
 */
#include <linux/irq_work.h>
#include <linux/preempt.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/workqueue.h>

#include "broken.h"
#include "deliver.h"
#include "rearm.h"
#include "stage.h"
#include "syscalls.h"
#include "thread.h"
#include "trace.h"

/* Whether the sleep that the current task is about to begin is to be refused. */
static bool rpcc_rearm_wanted(struct rpcc_thread *t)
{
	u64 refuse = READ_ONCE(t->refuse);
	u32 class, classes;
	u64 gen;

	if (!refuse || !(READ_ONCE(current->__state) & TASK_INTERRUPTIBLE) ||
	    signal_pending(current))
		return false;

	/* The freezer and a core dump sleep interruptibly after the call. */
	if (READ_ONCE(current->jobctl) & JOBCTL_TRAP_FREEZE ||
	    current->flags & PF_SIGNALED)
		return false;

	gen = READ_ONCE(t->slot->gen);
	if (!(gen & 1) || (refuse != gen && refuse != RPCCANCEL_GEN_NEXT))
		return false;

	class = rpcc_syscall_class(current, current_pt_regs(),
				   &current->restart_block);
	classes = READ_ONCE(t->slot->classes) ?: RPCCANCEL_CLASS_DEFAULT;

	return class & classes;
}

static void rpcc_rearm_sched_out(struct preempt_notifier *notifier,
				 struct task_struct *next)
{
	struct rpcc_thread *t = container_of(notifier, struct rpcc_thread, rearm);

	if (READ_ONCE(current->__state) == TASK_DEAD) {
		irq_work_queue(&t->death);
		return;
	}
	/* After execve() the hook has to come off, and who waits be told. */
	if (!rpcc_thread_alive(t)) {
		if (!(current->flags & PF_EXITING))
			irq_work_queue(&t->kick);
		return;
	}
	if (!READ_ONCE(t->slot) || rpcc_broken(RPCC_BROKEN_LOSE))
		return;
	if (rpcc_rearm_wanted(t)) {
		trace_rpccancel_rearm(t->task, t->refuse);
		irq_work_queue(&t->kick);
	}
}

static void rpcc_rearm_sched_in(struct preempt_notifier *notifier, int cpu)
{
}

static struct preempt_ops rpcc_rearm_ops = {
	.sched_in = rpcc_rearm_sched_in,
	.sched_out = rpcc_rearm_sched_out,
};

static void rpcc_rearm_kick(struct irq_work *kick)
{
	struct rpcc_thread *t = container_of(kick, struct rpcc_thread, kick);

	rpcc_stage_atomic(RPCC_STAGE_SLEEP_KICK, t->task->pid);
	rpcc_deliver_wake(t);
}

static void rpcc_rearm_death(struct irq_work *death)
{
	struct rpcc_thread *t = container_of(death, struct rpcc_thread, death);

	rpcc_stage_atomic(RPCC_STAGE_DEATH_TOLD, t->task->pid);
	schedule_work(&t->bury);
}

static void rpcc_rearm_bury(struct work_struct *bury)
{
	struct rpcc_thread *t = container_of(bury, struct rpcc_thread, bury);
	pid_t tid = t->task->pid;

	rpcc_stage(RPCC_STAGE_BURY, tid);
	wake_up_all(&t->wait);
	rpcc_thread_put(t);
	rpcc_stage_atomic(RPCC_STAGE_BURIED, tid);
}

/**
 * rpcc_rearm_init() - prepare a new record
 * @t:		the record
 */
void rpcc_rearm_init(struct rpcc_thread *t)
{
	preempt_notifier_init(&t->rearm, &rpcc_rearm_ops);
	t->kick = IRQ_WORK_INIT_HARD(rpcc_rearm_kick);
	t->death = IRQ_WORK_INIT_HARD(rpcc_rearm_death);
	INIT_WORK(&t->bury, rpcc_rearm_bury);
}

/**
 * rpcc_rearm_on() - watch the calling thread go to sleep
 * @t:		its record
 */
void rpcc_rearm_on(struct rpcc_thread *t)
{
	if (test_and_set_bit(RPCC_ARMED, &t->bits))
		return;

	rpcc_thread_get(t);
	preempt_disable();
	preempt_notifier_register(&t->rearm);
	preempt_enable();
}

/**
 * rpcc_rearm_off() - stop watching the calling thread
 * @t:		its record
 */
void rpcc_rearm_off(struct rpcc_thread *t)
{
	if (!test_bit(RPCC_ARMED, &t->bits))
		return;

	preempt_disable();
	preempt_notifier_unregister(&t->rearm);
	preempt_enable();
	clear_bit(RPCC_ARMED, &t->bits);
	irq_work_sync(&t->kick);
	rpcc_thread_put(t);
}

/**
 * rpcc_rearm_module_init() - switch the scheduler's hook on, at module load
 */
void rpcc_rearm_module_init(void)
{
	preempt_notifier_inc();
}

/**
 * rpcc_rearm_module_exit() - undo rpcc_rearm_module_init()
 */
void rpcc_rearm_module_exit(void)
{
	preempt_notifier_dec();
}
