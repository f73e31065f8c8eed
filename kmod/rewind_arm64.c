// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a system call on arm64, as task work has to see it.
 *
 * There do_signal() forgets the call's number and rewinds an interrupted call to
 * its SVC, and only then runs task work.  The work finds the registers that the
 * thread had before the call: x0 is an argument again, the number is -1, and
 * the next instruction is the SVC.  An interrupt that hits user mode right
 * before an SVC, or the return from a signal handler that has interrupted one,
 * leave the same.  To refuse a call then would be to refuse one that need not
 * sleep, so the work has to know that the thread comes out of a call, and out
 * of which.
 *
 * Registers do not tell, but those who wake the thread can: while it sleeps
 * they still show the call.  Whoever is about to wake it first queues task work
 * that wakes nobody (rpcc_deliver_note()), and looks then:
 *
 *	kick				thread
 *	----				------
 *	runs is 3			in read(), asleep
 *	queue note, set flag
 *	  (full barrier)
 *	asleep: pc = P
 *	queue work, wake it
 *					read() is interrupted, rewound to P - 4
 *					work: runs = 4, takes P: a read() that
 *					was interrupted: refused
 *
 *	runs is 3			in read(), asleep
 *	queue note, set flag
 *	  (full barrier)
 *	asleep ...
 *					data: read() returns 5
 *					note: runs = 4, nothing was seen: kept
 *	... at P, but runs is not 3	user mode
 *	queue work
 *					about to do the SVC at P - 4
 *					work: nothing was seen: not refused
 *
 * A thread that sleeps after its flag was set is in the call at whose end the
 * note will run.  So what the work takes is about the call that it ends: never
 * wrong, but missing if the thread was running.  The call is restarted then, the
 * cancel stays pending, and rearm_*.c sees the thread go to sleep again.  The
 * code that such a call has ended with is gone, but all of them mean the same.
 *
 * A wait that is not restarted leaves EINTR behind its SVC, and so does one that
 * a signal handler has interrupted before.  Both may be refused, also when the
 * thread was not seen in it: nothing is lost by another errno.  Only one that
 * was seen is restarted by rpcc_syscall_resume(), which must not hide the EINTR
 * of a handler; others fail with it, as they may do after SIGCONT, too.
 *
 * Locking: rpcc_rewind.lock, a raw one because irq_work kicks too.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <asm/insn.h>

#include "rewind.h"

#define RPCC_SVC_SIZE	4

/**
 * rpcc_rewind_init() - prepare a new record
 * @rewind:	its part of that
 */
void rpcc_rewind_init(struct rpcc_rewind *rewind)
{
	raw_spin_lock_init(&rewind->lock);
}

/**
 * rpcc_rewind_runs() - how often the thread has run work
 * @rewind:	the record's part
 *
 * To be read before a note is queued.
 */
unsigned int rpcc_rewind_runs(const struct rpcc_rewind *rewind)
{
	return READ_ONCE(rewind->runs);
}

/**
 * rpcc_rewind_noted() - a note was queued
 * @rewind:	the record's part
 * @runs:	how often the thread had run work before
 */
void rpcc_rewind_noted(struct rpcc_rewind *rewind, unsigned int runs)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&rewind->lock, flags);
	if (rewind->runs == runs)
		rewind->noted = true;
	raw_spin_unlock_irqrestore(&rewind->lock, flags);
}

/**
 * rpcc_rewind_look() - whether to look if the thread is asleep
 * @rewind:	the record's part
 * @runs:	out: for rpcc_rewind_seen()
 *
 * Return: true if a note is queued, now or long ago, and has not run.
 */
bool rpcc_rewind_look(struct rpcc_rewind *rewind, unsigned int *runs)
{
	unsigned long flags;
	bool noted;

	raw_spin_lock_irqsave(&rewind->lock, flags);
	noted = rewind->noted;
	*runs = rewind->runs;
	raw_spin_unlock_irqrestore(&rewind->lock, flags);
	/* The flag is set, see the diagram. */
	smp_mb();

	return noted;
}

/**
 * rpcc_rewind_seen() - the thread was seen asleep
 * @rewind:	the record's part
 * @runs:	from rpcc_rewind_look(), before
 * @regs:	a copy of its user registers
 */
void rpcc_rewind_seen(struct rpcc_rewind *rewind, unsigned int runs,
		      const struct pt_regs *regs)
{
	unsigned long flags;

	if (regs->syscallno == NO_SYSCALL)
		return;

	raw_spin_lock_irqsave(&rewind->lock, flags);
	if (rewind->runs == runs)
		rewind->pc = regs->pc;
	raw_spin_unlock_irqrestore(&rewind->lock, flags);
}

/*
 * What was seen, for the first that runs.  Returns false to work whose part the
 * note has played already.
 */
static bool rpcc_rewind_take(struct rpcc_rewind *rewind, bool woken,
			     unsigned long *pc)
{
	unsigned long flags;
	bool taken;

	raw_spin_lock_irqsave(&rewind->lock, flags);
	taken = rewind->taken;
	*pc = rewind->pc;
	rewind->taken = !woken && (taken || rewind->pc);
	rewind->pc = 0;
	rewind->noted = false;
	WRITE_ONCE(rewind->runs, rewind->runs + 1);
	raw_spin_unlock_irqrestore(&rewind->lock, flags);

	return !taken;
}

/* Whether an SVC has just returned EINTR. */
static bool rpcc_rewind_eintr(const struct pt_regs *regs)
{
	unsigned long svc = regs->pc - RPCC_SVC_SIZE;
	__le32 insn;

	return (long)regs->regs[0] == -EINTR && IS_ALIGNED(svc, RPCC_SVC_SIZE) &&
	       !copy_from_user_nofault(&insn, (const void __user *)svc,
				       sizeof(insn)) &&
	       aarch64_insn_is_svc(le32_to_cpu(insn));
}

/**
 * rpcc_rewind_undo() - let the registers show the end of a call
 * @rewind:	the record's part
 * @woken:	for the work that wakes, not the note
 * @regs:	the calling thread's user registers
 * @was:	out: for rpcc_rewind_redo()
 *
 * Work that runs without do_signal() before it finds them like that.  A tracer
 * may have sent the thread elsewhere; that is left alone.
 */
void rpcc_rewind_undo(struct rpcc_rewind *rewind, bool woken,
		      struct pt_regs *regs, struct rpcc_rewound *was)
{
	unsigned long pc;
	bool first;

	first = rpcc_rewind_take(rewind, woken, &pc);
	was->shown = false;
	if (regs->syscallno != NO_SYSCALL || compat_user_mode(regs))
		return;

	was->rewound = pc && regs->pc == pc - RPCC_SVC_SIZE;
	was->seen = was->rewound || (pc && regs->pc == pc);
	was->shown = was->seen || (woken && first && rpcc_rewind_eintr(regs));
	if (!was->shown)
		return;

	was->x0 = regs->regs[0];
	regs->syscallno = regs->regs[8];
	if (was->rewound) {
		regs->pc = pc;
		regs->regs[0] = -ERESTARTNOINTR;
	}
}

/* To the SVC; do_signal() looks at the pc and does what else there is to do. */
static void rpcc_rewind_restart(struct pt_regs *regs, unsigned long x0)
{
	regs->pc -= RPCC_SVC_SIZE;
	regs->regs[0] = x0;
}

/**
 * rpcc_rewind_redo() - leave the registers as the restart logic would
 * @regs:	the calling thread's user registers
 * @was:	from rpcc_rewind_undo()
 *
 * A call that is refused ends.  One that was rewound is again.  One that has
 * ended with EINTR, and is to be restarted instead (rpcc_syscall_resume()), is
 * rewound as if it had not begun.  A signal that comes right now then counts as
 * one that came before it, which is no good where the call was to let it in: a
 * wait with a signal mask of its own keeps its EINTR.
 */
void rpcc_rewind_redo(struct pt_regs *regs, const struct rpcc_rewound *was)
{
	if (!was->shown)
		return;

	regs->syscallno = NO_SYSCALL;
	switch ((long)regs->regs[0]) {
	case -ERESTARTNOINTR:
		if (was->rewound)
			rpcc_rewind_restart(regs, was->x0);
		break;
	case -ERESTARTNOHAND:
		if (!was->seen || test_restore_sigmask())
			regs->regs[0] = was->x0;
		else
			rpcc_rewind_restart(regs, regs->orig_x0);
		break;
	}
}
