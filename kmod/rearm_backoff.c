// SPDX-License-Identifier: GPL-2.0-only
/*
 * What makes a cancel sticky on kernels without preempt notifiers: a timer kicks
 * the thread again and again, in case it has gone to sleep in a system call that
 * has to be refused.  The pauses double up to RPCC_BACKOFF_MAX, which bounds both
 * the delay of a cancel and what it costs.
 *
 * Lifetime: a running timer holds a reference on the record.  It is stopped by
 * the thread itself, or stops when it finds it dead.  Locking: none.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/sched.h>

#include "broken.h"
#include "deliver.h"
#include "rearm.h"
#include "thread.h"
#include "trace.h"

#define RPCC_BACKOFF_MIN	(100 * NSEC_PER_USEC)
#define RPCC_BACKOFF_MAX	(20 * NSEC_PER_MSEC)

/* Kicks a thread that may have gone to sleep; longer pauses while it does not. */
static enum hrtimer_restart rpcc_rearm_backoff(struct hrtimer *timer)
{
	struct rpcc_thread *t = container_of(timer, struct rpcc_thread, backoff);

	if (!rpcc_thread_alive(t)) {
		wake_up_all(&t->wait);
		clear_bit(RPCC_ARMED, &t->bits);
		rpcc_thread_put(t);
		return HRTIMER_NORESTART;
	}

	if (READ_ONCE(t->refuse) && !rpcc_broken(RPCC_BROKEN_LOSE)) {
		trace_rpccancel_rearm(t->task, t->refuse);
		rpcc_deliver_kick(t);
	}
	t->backoff_ns = min(2 * t->backoff_ns, (u64)RPCC_BACKOFF_MAX);
	hrtimer_forward_now(timer, ns_to_ktime(t->backoff_ns));

	return HRTIMER_RESTART;
}

/**
 * rpcc_rearm_init() - prepare a new record
 * @t:		the record
 */
void rpcc_rearm_init(struct rpcc_thread *t)
{
	hrtimer_init(&t->backoff, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	t->backoff.function = rpcc_rearm_backoff;
}

/**
 * rpcc_rearm_on() - kick the calling thread while its cancel is pending
 * @t:		its record
 */
void rpcc_rearm_on(struct rpcc_thread *t)
{
	if (test_and_set_bit(RPCC_ARMED, &t->bits))
		return;

	rpcc_thread_get(t);
	t->backoff_ns = RPCC_BACKOFF_MIN;
	hrtimer_start(&t->backoff, ns_to_ktime(t->backoff_ns), HRTIMER_MODE_REL);
}

/**
 * rpcc_rearm_off() - stop kicking the calling thread
 * @t:		its record
 */
void rpcc_rearm_off(struct rpcc_thread *t)
{
	if (!test_bit(RPCC_ARMED, &t->bits))
		return;

	hrtimer_cancel(&t->backoff);
	if (test_and_clear_bit(RPCC_ARMED, &t->bits))
		rpcc_thread_put(t);
}

/**
 * rpcc_rearm_module_init() - nothing to switch on
 */
void rpcc_rearm_module_init(void)
{
}

/**
 * rpcc_rearm_module_exit() - nothing to switch off
 */
void rpcc_rearm_module_exit(void)
{
}
