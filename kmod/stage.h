/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_STAGE_H
#define _RPCC_STAGE_H

#include <linux/types.h>

/*
 * Where one side of a race can be told to wait for the other, in a test build.
 * In a normal one all this is compiled to nothing.
 */
enum rpcc_stage {
	RPCC_STAGE_CANCEL,		/* before the lock */
	RPCC_STAGE_CANCEL_NOTED,	/* pending is set, nothing is queued */
	RPCC_STAGE_CANCEL_KICKED,	/* the canceller has done its part */
	RPCC_STAGE_KICK_LOOKED,		/* found asleep, the note is not queued */
	RPCC_STAGE_KICK_NOTED,		/* it is, before the second look */
	RPCC_STAGE_WORK_CLAIMED,	/* the bit is set, nothing is queued */
	RPCC_STAGE_WORK_BEGUN,		/* cannot be queued again yet */
	RPCC_STAGE_WORK_CLEARED,	/* can be, but has not looked yet */
	RPCC_STAGE_MATCHED,		/* with the lock, not refused yet */
	RPCC_STAGE_DELIVERED,		/* without it, nobody is woken yet */
	RPCC_STAGE_WORK_DONE,		/* only its last instructions are left */
	RPCC_STAGE_SLEEP_KICK,		/* in the irq_work */
	RPCC_STAGE_DEATH_TOLD,		/* in the irq_work */
	RPCC_STAGE_BURY,
	RPCC_STAGE_BURIED,		/* only its last instructions are left */
	RPCC_STAGE_TIMER_FIRED,		/* before the lock */
	RPCC_STAGE_TIMER_NOTED,		/* after it, before the kick */
	RPCC_STAGE_ATTACH_CLAIMED,	/* has a record, but no slot */
	RPCC_STAGE_ATTACHED,		/* has a slot, but has not looked */
	RPCC_STAGE_SETTLE,
	RPCC_STAGE_DETACH,
	RPCC_STAGE_DETACH_ALL,		/* of the thread that closes the device */
	RPCC_STAGE_FORGET,
	RPCC_STAGE_UNCLAIM,		/* a handle is being closed */
	RPCC_STAGE_WAIT_LOOKED,		/* about to sleep */
	RPCC_STAGE_POLL_QUEUED,		/* before it looks */
	RPCC_STAGE_MODULE_EXIT,		/* of the thread that unloads the module */
	RPCC_STAGES
};

#ifdef RPCCANCEL_TEST
void rpcc_stage(enum rpcc_stage stage, pid_t tid);
void rpcc_stage_atomic(enum rpcc_stage stage, pid_t tid);
#else
static inline void rpcc_stage(enum rpcc_stage stage, pid_t tid)
{
}

static inline void rpcc_stage_atomic(enum rpcc_stage stage, pid_t tid)
{
}
#endif

#endif /* _RPCC_STAGE_H */
