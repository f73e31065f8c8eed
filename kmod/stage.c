// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stages: where a test makes one side of a race wait for the other.
 *
 * A test arms a stage for one thread, lets that side come to it, sees that it
 * is there, lets the other side do its step, and lets the first one go on:
 *
 *	test			one side		other side
 *	----			--------		----------
 *	arm
 *				reaches the stage
 *	reads "reached"
 *							its step
 *	release
 *				goes on
 *
 * Each arming is good for one arrival.  The parameter takes
 *
 *	arm STAGE TID		it holds until it is released
 *	arm STAGE TID OTHER	until the other stage is reached, and a moment longer:
 *				where the other side, coming from there, waits for
 *				this one, and the test perhaps too
 *	arm STAGE TID MS	for so long; 0 holds nobody, but proves the order
 *	release STAGE
 *
 * and shows for each stage that was armed its state and when it was reached and
 * left: numbers that grow with each such event, so that a test can prove in
 * which order they came.  TID is a number of the initial pid namespace: of the
 * thread that is cancelled, if enum rpcc_stage does not say otherwise.
 *
 * It is a parameter, and no file of debugfs, because an open file would keep the
 * module from being unloaded, which is one of the sides.
 *
 * Nobody waits for ever: a stage is left after a time, which then counts as a
 * failure of the test, and, where the waiting is asleep, when the process that
 * armed it is gone.
 *
 * Locking: the module's parameter lock for those who write.  Who reaches a stage
 * may hold any lock, so it takes none: it owns the stage from the moment it
 * has set @tid to 0.
 */
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "stage.h"

/* Long for a machine, short for those who detect lockups. */
#define RPCC_STAGE_MAX		(10 * NSEC_PER_SEC)
/* With interrupts off: short for clocks that overflow, too. */
#define RPCC_STAGE_MAX_OFF	(4 * NSEC_PER_SEC)

/* The moment: if the other side does not wait, it is seen to be ahead. */
#define RPCC_STAGE_MOMENT	(200 * NSEC_PER_MSEC)

enum rpcc_stage_state {
	RPCC_STAGE_FREE,
	RPCC_STAGE_ARMED,
	RPCC_STAGE_REACHED,	/* waits */
	RPCC_STAGE_RELEASED,	/* may go on */
	RPCC_STAGE_LEFT,
	RPCC_STAGE_EXPIRED,	/* went on since nobody released it */
};

static const char * const rpcc_stage_states[] = {
	[RPCC_STAGE_FREE] = "free",
	[RPCC_STAGE_ARMED] = "armed",
	[RPCC_STAGE_REACHED] = "reached",
	[RPCC_STAGE_RELEASED] = "released",
	[RPCC_STAGE_LEFT] = "left",
	[RPCC_STAGE_EXPIRED] = "expired",
};

/**
 * struct rpcc_stage_point - one stage
 * @tid:	for whom it is armed, 0 for nobody
 * @owner:	process that has armed it
 * @hold:	for how long it holds, in ms, -1 without end
 * @until:	what else it holds until, or NULL
 * @from:	when that was seen to be reached, 0 not yet
 * @state:	enum rpcc_stage_state
 * @reached:	when it was reached, 0 not yet
 * @left:	when it was left, likewise
 */
struct rpcc_stage_point {
	pid_t tid;
	pid_t owner;
	int hold;
	const struct rpcc_stage_point *until;
	u64 from;
	int state;
	int reached;
	int left;
};

static struct rpcc_stage_point rpcc_stages[RPCC_STAGES];
static atomic_t rpcc_stage_clock;

static const char * const rpcc_stage_names[] = {
	[RPCC_STAGE_CANCEL] = "cancel",
	[RPCC_STAGE_CANCEL_NOTED] = "cancel-noted",
	[RPCC_STAGE_CANCEL_KICKED] = "cancel-kicked",
	[RPCC_STAGE_KICK_LOOKED] = "kick-looked",
	[RPCC_STAGE_KICK_NOTED] = "kick-noted",
	[RPCC_STAGE_WORK_CLAIMED] = "work-claimed",
	[RPCC_STAGE_WORK_BEGUN] = "work-begun",
	[RPCC_STAGE_WORK_CLEARED] = "work-cleared",
	[RPCC_STAGE_MATCHED] = "matched",
	[RPCC_STAGE_DELIVERED] = "delivered",
	[RPCC_STAGE_WORK_DONE] = "work-done",
	[RPCC_STAGE_SLEEP_KICK] = "sleep-kick",
	[RPCC_STAGE_DEATH_TOLD] = "death-told",
	[RPCC_STAGE_BURY] = "bury",
	[RPCC_STAGE_BURIED] = "buried",
	[RPCC_STAGE_TIMER_FIRED] = "timer-fired",
	[RPCC_STAGE_TIMER_NOTED] = "timer-noted",
	[RPCC_STAGE_ATTACH_CLAIMED] = "attach-claimed",
	[RPCC_STAGE_ATTACHED] = "attached",
	[RPCC_STAGE_SETTLE] = "settle",
	[RPCC_STAGE_DETACH] = "detach",
	[RPCC_STAGE_DETACH_ALL] = "detach-all",
	[RPCC_STAGE_FORGET] = "forget",
	[RPCC_STAGE_UNCLAIM] = "unclaim",
	[RPCC_STAGE_WAIT_LOOKED] = "wait-looked",
	[RPCC_STAGE_POLL_QUEUED] = "poll-queued",
	[RPCC_STAGE_MODULE_EXIT] = "module-exit",
};

static bool rpcc_stage_enter(struct rpcc_stage_point *p, pid_t tid)
{
	/* Most are not armed: only look. */
	if (READ_ONCE(p->tid) != tid || cmpxchg(&p->tid, tid, 0) != tid)
		return false;

	WRITE_ONCE(p->reached, atomic_inc_return(&rpcc_stage_clock));
	/* Who sees the state sees the number: pairs with rpcc_stage_get(). */
	smp_store_release(&p->state, RPCC_STAGE_REACHED);

	return true;
}

static bool rpcc_stage_abandoned(struct rpcc_stage_point *p)
{
	bool gone;

	rcu_read_lock();
	gone = !pid_task(find_pid_ns(p->owner, &init_pid_ns), PIDTYPE_TGID);
	rcu_read_unlock();

	return gone;
}

/* Whether it is to wait on; @waited is for how long it has, in ns. */
static bool rpcc_stage_held(struct rpcc_stage_point *p, u64 waited, u64 max)
{
	u64 hold = p->hold * NSEC_PER_MSEC;

	/* What was done before the release: pairs with its cmpxchg(). */
	if (smp_load_acquire(&p->state) != RPCC_STAGE_REACHED)
		return false;
	if (p->hold >= 0 && waited >= hold)
		return false;
	if (p->until && !p->from && READ_ONCE(p->until->reached))
		p->from = waited + 1;
	if (p->from && waited > p->from + RPCC_STAGE_MOMENT)
		return false;
	if (waited >= max)
		WRITE_ONCE(p->state, RPCC_STAGE_EXPIRED);

	return waited < max;
}

static void rpcc_stage_leave(struct rpcc_stage_point *p)
{
	WRITE_ONCE(p->left, atomic_inc_return(&rpcc_stage_clock));
	if (READ_ONCE(p->state) == RPCC_STAGE_EXPIRED)
		return;
	/* As in rpcc_stage_enter(). */
	smp_store_release(&p->state, RPCC_STAGE_LEFT);
}

/**
 * rpcc_stage() - wait here if a test wants it
 * @stage:	where this is
 * @tid:	for whom
 *
 * May sleep: where the caller is not about to sleep itself, and nothing waits
 * for it to stop running, as synchronize_rcu_tasks() does.
 */
void rpcc_stage(enum rpcc_stage stage, pid_t tid)
{
	struct rpcc_stage_point *p = &rpcc_stages[stage];
	u64 start;

	if (!rpcc_stage_enter(p, tid))
		return;

	/* Not interruptibly, which the scheduler hook would take for a call. */
	start = ktime_get_mono_fast_ns();
	while (rpcc_stage_held(p, ktime_get_mono_fast_ns() - start,
			       RPCC_STAGE_MAX) &&
	       !rpcc_stage_abandoned(p))
		schedule_timeout_idle(1);
	rpcc_stage_leave(p);
}

/**
 * rpcc_stage_atomic() - the same in any context, under any lock
 * @stage:	where this is
 * @tid:	for whom
 */
void rpcc_stage_atomic(enum rpcc_stage stage, pid_t tid)
{
	struct rpcc_stage_point *p = &rpcc_stages[stage];
	u64 max = irqs_disabled() ? RPCC_STAGE_MAX_OFF : RPCC_STAGE_MAX;
	u64 start;

	if (!rpcc_stage_enter(p, tid))
		return;

	start = ktime_get_mono_fast_ns();
	while (rpcc_stage_held(p, ktime_get_mono_fast_ns() - start, max)) {
		/* Others may need the processor.  This is no sleep for RCU. */
		if (preemptible())
			cond_resched();
		else
			cpu_relax();
	}
	rpcc_stage_leave(p);
}

static int rpcc_stage_arm(struct rpcc_stage_point *p, pid_t tid, int hold,
			  const struct rpcc_stage_point *until)
{
	int state = READ_ONCE(p->state);

	if (tid <= 0)
		return -EINVAL;
	/* Somebody is still there, or may be just now. */
	if (state == RPCC_STAGE_REACHED || state == RPCC_STAGE_RELEASED ||
	    (state == RPCC_STAGE_ARMED && !xchg(&p->tid, 0)))
		return -EBUSY;

	p->owner = task_tgid_nr(current);
	p->hold = hold;
	p->until = until;
	p->from = 0;
	p->reached = 0;
	p->left = 0;
	WRITE_ONCE(p->state, RPCC_STAGE_ARMED);
	/* Who takes it sees all of that: pairs with cmpxchg(). */
	smp_store_release(&p->tid, tid);

	return 0;
}

static int rpcc_stage_release(struct rpcc_stage_point *p)
{
	if (cmpxchg(&p->state, RPCC_STAGE_REACHED, RPCC_STAGE_RELEASED) !=
	    RPCC_STAGE_REACHED)
		return -ESRCH;

	return 0;
}

static struct rpcc_stage_point *rpcc_stage_find(const char *name)
{
	int stage = match_string(rpcc_stage_names, RPCC_STAGES, name);

	return stage < 0 ? NULL : &rpcc_stages[stage];
}

static int rpcc_stage_set(const char *text, const struct kernel_param *param)
{
	const struct rpcc_stage_point *until = NULL;
	char verb[8], name[16], other[16] = "";
	int tid = 0, hold = -1;
	struct rpcc_stage_point *p;

	if (sscanf(text, "%7s %15s %d %15s", verb, name, &tid, other) < 2)
		return -EINVAL;
	p = rpcc_stage_find(name);
	if (!p)
		return -EINVAL;
	if (*other && kstrtoint(other, 10, &hold)) {
		until = rpcc_stage_find(other);
		if (!until)
			return -EINVAL;
	}

	if (!strcmp(verb, "arm"))
		return rpcc_stage_arm(p, tid, hold, until);
	if (!strcmp(verb, "release"))
		return rpcc_stage_release(p);

	return -EINVAL;
}

static int rpcc_stage_get(char *buf, const struct kernel_param *param)
{
	int stage, len = 0;

	for (stage = 0; stage < RPCC_STAGES; stage++) {
		struct rpcc_stage_point *p = &rpcc_stages[stage];
		/* The numbers belong to it. */
		int state = smp_load_acquire(&p->state);

		if (state == RPCC_STAGE_FREE)
			continue;
		len += scnprintf(buf + len, PAGE_SIZE - len, "%s %s %d %d\n",
				 rpcc_stage_names[stage],
				 rpcc_stage_states[state],
				 READ_ONCE(p->reached), READ_ONCE(p->left));
	}

	return len;
}

static const struct kernel_param_ops rpcc_stage_ops = {
	.set = rpcc_stage_set,
	.get = rpcc_stage_get,
};
module_param_cb(stage, &rpcc_stage_ops, NULL, 0600);
MODULE_PARM_DESC(stage, "Where to wait for the other side of a race, see stage.c");
