// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking at a thread from outside: where it sleeps, and what is pending.
 *
 * All of it is a snapshot.  The registers of another task are read from its
 * stack without holding it: a read that faults, or a task that has begun to exit
 * by the end of the read, gives no answer instead of a wrong one.  Locking:
 * rpcc_thread.lock for the record.
 */
#include <linux/pid.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/syscall.h>

#include "inspect.h"
#include "syscalls.h"
#include "thread.h"

/*
 * What a task writes to its state on its way out of a call that it need not
 * sleep in may not be seen yet, so it sleeps only once it has left its processor.
 */
static bool rpcc_inspect_asleep(struct task_struct *task)
{
#ifdef CONFIG_SMP
	/* Pairs with finish_task(): what it has written before is seen. */
	if (smp_load_acquire(&task->on_cpu))
		return false;
#endif
	return READ_ONCE(task->__state);
}

/**
 * rpcc_inspect_regs() - what a sleeping task brought into the kernel
 * @task:	the task
 * @regs:	out: a copy of its user registers
 * @restart:	out: a copy of its restart block
 *
 * Return: whether it was asleep.
 */
bool rpcc_inspect_regs(struct task_struct *task, struct pt_regs *regs,
		       struct restart_block *restart)
{
	unsigned long switches = READ_ONCE(task->nvcsw);

	if (!rpcc_inspect_asleep(task) || !READ_ONCE(task->stack))
		return false;
	if (copy_from_kernel_nofault(regs, task_pt_regs(task), sizeof(*regs)))
		return false;
	memcpy(restart, &task->restart_block, sizeof(*restart));

	/* It slept all the time, so its stack was its own. */
	smp_rmb();
	return READ_ONCE(task->__state) && !(READ_ONCE(task->flags) & PF_EXITING) &&
	       READ_ONCE(task->nvcsw) == switches;
}

static u32 rpcc_inspect_classes(struct rpcc_thread *t)
{
	u32 classes = t->slot ? READ_ONCE(t->slot->classes) : 0;

	return classes ?: RPCCANCEL_CLASS_DEFAULT;
}

/**
 * rpcc_inspect_state() - where a thread is
 * @t:		the record
 * @state:	out: RPCCANCEL_STATE_*
 * @nr:		out: system call number, or -1
 * @fd:		out: descriptor it works on, or -1
 */
void rpcc_inspect_state(struct rpcc_thread *t, u32 *state, s32 *nr, s32 *fd)
{
	unsigned int sleep = READ_ONCE(t->task->__state);
	struct restart_block restart;
	struct pt_regs regs;
	u32 class;

	*state = RPCCANCEL_STATE_RUNNING;
	*nr = -1;
	*fd = -1;

	/* Where it cannot be seen asleep it counts as running. */
	if (t->task == current || !rpcc_inspect_regs(t->task, &regs, &restart))
		return;

	class = rpcc_syscall_class(t->task, &regs, &restart);
	if (sleep & (__TASK_STOPPED | __TASK_TRACED | TASK_FROZEN) ||
	    READ_ONCE(t->task->jobctl) & JOBCTL_TRAP_FREEZE)
		*state = RPCCANCEL_STATE_STOPPED;
	else if (sleep & TASK_INTERRUPTIBLE)
		*state = class & rpcc_inspect_classes(t) ?
			 RPCCANCEL_STATE_BLOCKED : RPCCANCEL_STATE_EXCLUDED;
	else if (sleep & TASK_UNINTERRUPTIBLE)
		*state = RPCCANCEL_STATE_UNINTERRUPTIBLE;

	/* What a thread does that has not attached itself is not for others. */
	if (READ_ONCE(t->owner)) {
		*nr = syscall_get_nr(t->task, &regs);
		*fd = rpcc_syscall_fd(t->task, &regs);
	}
}

/**
 * rpcc_inspect() - all there is to know about a thread
 * @t:		the record
 * @ns:		whose numbers to give
 * @info:	out: what is known
 */
void rpcc_inspect(struct rpcc_thread *t, struct pid_namespace *ns,
		  struct rpccancel_info *info)
{
	const struct rpccancel_slot *slot;

	memset(info, 0, sizeof(*info));
	info->pid = task_tgid_nr_ns(t->task, ns);
	info->tid = task_pid_nr_ns(t->task, ns);
	BUILD_BUG_ON(sizeof(info->comm) != TASK_COMM_LEN);
	get_task_comm(info->comm, t->task);
	rpcc_inspect_state(t, &info->state, &info->syscall, &info->fd);

	spin_lock_irq(&t->lock);
	info->pending = t->pending;
	info->reason = t->reason;
	info->deadline = t->grace_end;
	if (t->deadline && (!info->deadline || t->deadline < info->deadline))
		info->deadline = t->deadline;
	info->attached = !!t->owner;
	slot = t->slot;
	spin_unlock_irq(&t->lock);

	if (!slot)
		return;

	info->gen = READ_ONCE(slot->gen);
	info->since = READ_ONCE(slot->since);
	info->tag = READ_ONCE(slot->tag);
	info->mode = READ_ONCE(slot->flags);
	info->classes = rpcc_inspect_classes(t);
	info->error = READ_ONCE(slot->error);
}
