// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Races by construction.  The test build of the module can be told to wait at a
 * stage (kmod/stage.c), so that each order in which two sides can meet is made
 * on purpose, once, and its outcome is known exactly:
 *
 *	cancel		before and after it has woken the thread
 *	complete	with data, in peace, and followed by the next call
 *	expire		the deadline, and the grace
 *	exit		of the thread, by a signal, by execve(2)
 *	close		of the handle, of the device, detaching
 *	rmmod
 *
 * A stage that was not reached is a failure.
 *
 * What holds a processor is on the second one; the test itself is on the first.
 * While that is so, nothing may wait for the second processor (unmapping memory
 * does, or waking a thread there): such a stage holds until the other side has
 * come to one of its own, and the module numbers what comes when.
 *
 * What cannot meet:
 *  - the target's own steps, while it is in its own work: it cannot end a call,
 *    begin one, or exit between the kernel's looking at it and its leaving;
 *  - anything that needs the record's lock, after "matched": it waits, as is shown
 *    for a second cancel;
 *  - data, or whatever else wakes it, and a thread that is seen going to sleep: the
 *    scheduler lets who wakes it wait until it has been switched out, and the
 *    irq_work is queued by then; they meet in the irq_work;
 *  - a step of the other side and a thread that is being switched out: the run
 *    queue lock is held there, which soon everybody waits for; they meet in the
 *    irq_works that follow;
 *  - the end of the module and anything that refers to it: EBUSY, but for the last
 *    instructions of work, which have dropped their reference.
 *
 * usage: interleaving_test [TEXT]
 *	TEXT: only those with this in their names.  RPCCANCEL_TEST_MODULE is what
 *	to load again after it was unloaded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "interleaving.h"
#include "kselftest.h"

/* In this time the module is gone if nothing holds it up. */
#define UNLOADS_WITHIN	300
/* When a deadline passes: what comes before must be done by then. */
#define DEADLINE_IN	300

/*
 * A cancel that has been noted; nothing is queued, and the thread is asleep.
 */

static void hold_cancel(const char *stage)
{
	arm(stage);
	tell(CANCELLER, CANCEL, race.gen);
	REACHED(stage);
}

static void release_cancel(const char *stage)
{
	RELEASE(stage);
	CHECK(RPCCANCEL_RESULT_PENDING, RESULT(CANCELLER));
}

static void noted_data(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	complete();
	CHECK(0, (long)race.s->cancel);
	CHECK(0, events());
	release_cancel("cancel-noted");
	is_refused(ECANCELED);
	CHECK((long)race.gen, (long)race.s->cancel);
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void noted_end(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	complete();
	CHECK(0, ASK(TARGET, END, 0));
	release_cancel("cancel-noted");
	OVER(RPCCANCEL_RESULT_TOO_LATE, 0, 0);
}

static void noted_next(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	complete();
	CHECK(0, ASK(TARGET, NEXT, 0));
	read_asleep();
	release_cancel("cancel-noted");
	goes_on_reading();
	OVER(RPCCANCEL_RESULT_TOO_LATE, 0, 0);
}

static void noted_detach(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	complete();
	CHECK(0, ASK(TARGET, DETACH, 0));
	release_cancel("cancel-noted");
	is_gone();
	CHECK(0, events());
	is_left_alone();
}

static void noted_exit(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	complete();
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	release_cancel("cancel-noted");
	is_gone();
}

static void noted_kill(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	kill_target();
	reap(256 + SIGKILL);
	release_cancel("cancel-noted");
	is_gone();
}

static void noted_exec(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	complete();
	tell(TARGET, EXEC, 0);
	CHECK_SOON(asleep_in(race.pid, SYS_read));
	release_cancel("cancel-noted");
	new_program_reads();
	is_gone();
}

static void noted_exec_by_another(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	tell(PROCESS, EXEC, 0);
	CHECK_SOON(asleep_in(race.pid, SYS_read));
	release_cancel("cancel-noted");
	new_program_reads();
	is_gone();
}

static void noted_cancel(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	CHECK(RPCCANCEL_RESULT_ALREADY, cancel());
	CHECK(-ECANCELED, RESULT(TARGET));
	release_cancel("cancel-noted");
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

/* The deadline is the target's, and waits for its lock. */
static void hold_deadline(const char *stage)
{
	CHECK(0, ASK(CANCELLER, PIN, 0));
	begin(BEGIN);
	arm(stage);
	CHECK(0, ASK(TARGET, DEADLINE, DEADLINE_IN));
	read_asleep();
	REACHED(stage);
}

static bool has_reason(uint32_t reason)
{
	struct rpccancel_info info;

	return !rc_info(race.handle, &info) && info.reason == reason;
}

static void noted_expire(void)
{
	hold_deadline("timer-fired");
	hold_cancel("cancel-noted");
	RELEASE("timer-fired");
	/* It is the deadline that wakes it, but the cancel was first. */
	CHECK(-ECANCELED, RESULT(TARGET));
	CHECK_THAT(has_reason(RPCCANCEL_REASON_CANCEL |
			      RPCCANCEL_REASON_DEADLINE));
	release_cancel("cancel-noted");
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void noted_close_handle(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	close_all();
	release_cancel("cancel-noted");
	CHECK(-ECANCELED, RESULT(TARGET));
	CHECK(0, ASK(TARGET, END, 0));
	CHECK(1, (long)race.s->refused);
	is_left_alone();
}

static void noted_close_device(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	release_cancel("cancel-noted");
	is_gone();
	CHECK(0, events());
	goes_on_reading();
}

/* What is queued for a thread that is not woken would pin the module. */
static void noted_close_device_in_futex(void)
{
	begin(BEGIN);
	tell(TARGET, FUTEX, 0);
	CHECK_SOON(asleep_in(race.tid, SYS_futex));
	hold_cancel("cancel-noted");
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	release_cancel("cancel-noted");
	is_gone();
	close_all();
	CHECK_SOON(rc_read_number(RC_REFCNT) == 0);
	CHECK_SOON(asleep_in(race.tid, SYS_futex));
	race.s->futex = 1;
	syscall(SYS_futex, &race.s->futex, FUTEX_WAKE, 1, NULL, NULL, 0);
	CHECK(0, RESULT(TARGET));
	is_left_alone();
}

static void noted_rmmod(void)
{
	begin_read();
	hold_cancel("cancel-noted");
	close_all();
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	CHECK(IN_USE, unload());
	release_cancel("cancel-noted");
	goes_on_reading();
}

/*
 * The canceller has claimed the work, and has not queued it.
 */

static void claimed_end(void)
{
	begin_read();
	hold_cancel("work-claimed");
	complete();
	CHECK(0, ASK(TARGET, END, 0));
	release_cancel("work-claimed");
	OVER(RPCCANCEL_RESULT_TOO_LATE, 0, 0);
}

static void claimed_cancel(void)
{
	begin_read();
	hold_cancel("work-claimed");
	/* Whoever has claimed it will queue it: the second need not. */
	CHECK(RPCCANCEL_RESULT_ALREADY, cancel());
	rc_sleep(10);
	CHECK_THAT(asleep_in(race.tid, SYS_read));
	release_cancel("work-claimed");
	CHECK(-ECANCELED, RESULT(TARGET));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void claimed_exit(void)
{
	begin_read();
	hold_cancel("work-claimed");
	complete();
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	release_cancel("work-claimed");
	is_gone();
}

static void claimed_settle(void)
{
	begin_read();
	hold_cancel("work-claimed");
	complete();
	/* A system call of its own sees what is pending before the work does. */
	CHECK(0, ASK(TARGET, DEADLINE, 0));
	CHECK((long)race.gen, (long)race.s->cancel);
	/* But it takes the work to wake it. */
	read_asleep();
	release_cancel("work-claimed");
	CHECK(-ECANCELED, RESULT(TARGET));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

/*
 * The canceller has queued the work, and has not returned.
 */

static void kicked_next(void)
{
	begin_read();
	hold_cancel("cancel-kicked");
	CHECK(-ECANCELED, RESULT(TARGET));
	CHECK(0, ASK(TARGET, NEXT, 0));
	read_asleep();
	release_cancel("cancel-kicked");
	goes_on_reading();
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void kicked_exit(void)
{
	begin_read();
	hold_cancel("cancel-kicked");
	CHECK(-ECANCELED, RESULT(TARGET));
	CHECK(0, ASK(TARGET, END, 0));
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	release_cancel("cancel-kicked");
	/* It was known before the thread was gone. */
	CHECK(RPCCANCEL_RESULT_ENDED, became());
	CHECK(-ESRCH, cancel());
	CHECK(1, events());
}

static void kicked_cancel(void)
{
	begin_read();
	hold_cancel("cancel-kicked");
	CHECK(-ECANCELED, RESULT(TARGET));
	CHECK(0, ASK(TARGET, END, 0));
	CHECK(RPCCANCEL_RESULT_TOO_LATE, cancel());
	release_cancel("cancel-kicked");
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

/*
 * The canceller has found the thread asleep between two calls, and does not
 * wake it.
 */

static void hold_next(const char *stage)
{
	read_asleep();
	arm(stage);
	tell(CANCELLER, CANCEL, RPCCANCEL_GEN_ANY);
	REACHED(stage);
}

static void looked_begin(void)
{
	hold_next("kick-looked");
	complete();
	CHECK(0, (long)race.s->cancel);
	begin(BEGIN);
	CHECK(0, (long)race.s->cancel);
	read_asleep();
	RELEASE("kick-looked");
	CHECK(RPCCANCEL_RESULT_NEXT, RESULT(CANCELLER));
	CHECK(-ECANCELED, RESULT(TARGET));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void looked_exit(void)
{
	hold_next("kick-looked");
	complete();
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	RELEASE("kick-looked");
	CHECK(RPCCANCEL_RESULT_NEXT, RESULT(CANCELLER));
	CHECK(-ESRCH, cancel());
}

static void note_begin(void)
{
	hold_next("kick-noted");
	complete();
	/* The note has run on the way to user mode. */
	CHECK_THAT(race.s->cancel == RPCCANCEL_GEN_NEXT);
	begin(BEGIN);
	CHECK((long)race.gen, (long)race.s->cancel);
	is_refused(ECANCELED);
	RELEASE("kick-noted");
	CHECK(RPCCANCEL_RESULT_NEXT, RESULT(CANCELLER));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void note_stays_asleep(void)
{
	hold_next("kick-noted");
	RELEASE("kick-noted");
	CHECK(RPCCANCEL_RESULT_NEXT, RESULT(CANCELLER));
	goes_on_reading();
	begin(BEGIN);
	is_refused(ECANCELED);
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

/*
 * The thread has come out of read(), and is in its work.
 */

static void hold_work(const char *stage)
{
	arm(stage);
	CHECK(RPCCANCEL_RESULT_PENDING, cancel());
	REACHED(stage);
}

static void begun_data(void)
{
	begin_read();
	hold_work("work-begun");
	feed();
	RELEASE("work-begun");
	CHECK(-ECANCELED, RESULT(TARGET));
	/* It does not sleep, so it is not refused; and nothing is lost. */
	CHECK(1, ASK(TARGET, READ, 0));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void work_cancel(const char *stage)
{
	begin_read();
	hold_work(stage);
	CHECK(RPCCANCEL_RESULT_ALREADY, cancel());
	RELEASE(stage);
	CHECK(-ECANCELED, RESULT(TARGET));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void begun_cancel(void)
{
	work_cancel("work-begun");
}

static void cleared_cancel(void)
{
	work_cancel("work-cleared");
}

static void delivered_cancel(void)
{
	work_cancel("delivered");
}

/* The deadline passes while the work of a cancel is at a stage. */
static void work_expire(const char *stage)
{
	hold_deadline("timer-fired");
	hold_work(stage);
	RELEASE("timer-fired");
	CHECK_SOON(has_reason(RPCCANCEL_REASON_CANCEL |
			      RPCCANCEL_REASON_DEADLINE));
	RELEASE(stage);
	CHECK(-ECANCELED, RESULT(TARGET));
}

static void begun_expire(void)
{
	work_expire("work-begun");
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void delivered_expire(void)
{
	work_expire("delivered");
	OVER(RPCCANCEL_RESULT_ENDED, 2, 1);
}

static void begun_kill(void)
{
	begin_read();
	hold_work("work-begun");
	kill_target();
	RELEASE("work-begun");
	reap(256 + SIGKILL);
	is_gone();
	CHECK(1, events());
}

static void begun_exec_by_another(void)
{
	begin_read();
	hold_work("work-begun");
	tell(PROCESS, EXEC, 0);
	rc_sleep(10);
	RELEASE("work-begun");
	new_program_reads();
	is_gone();
}

static void begun_close_handle(void)
{
	begin_read();
	hold_work("work-begun");
	close_all();
	RELEASE("work-begun");
	CHECK(-ECANCELED, RESULT(TARGET));
	CHECK(0, ASK(TARGET, END, 0));
	CHECK(1, (long)race.s->refused);
	is_left_alone();
}

static void begun_close_device(void)
{
	begin_read();
	hold_work("work-begun");
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	RELEASE("work-begun");
	goes_on_reading();
	is_gone();
	CHECK(0, events());
}

static void delivered_close_device(void)
{
	begin_read();
	hold_work("delivered");
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	RELEASE("delivered");
	CHECK(-ECANCELED, RESULT(TARGET));
	is_gone();
	CHECK(1, events());
	is_left_alone();
}

static void begun_rmmod(void)
{
	begin_read();
	hold_work("work-begun");
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	close_all();
	rc_sleep(RC_WHILE);
	CHECK(IN_USE, unload());
	RELEASE("work-begun");
	goes_on_reading();
}

static void matched_cancel(void)
{
	CHECK(0, ASK(TARGET, PIN, 1));
	begin_read();
	arm_until("matched", race.tid, "cancel");
	CHECK(RPCCANCEL_RESULT_PENDING, cancel());
	REACHED("matched");
	watch("cancel", race.tid);
	watch("cancel-noted", race.tid);
	CHECK(RPCCANCEL_RESULT_ALREADY, cancel());
	CHECK_THAT(REACHED_AT("cancel") < LEFT_AT("matched"));
	CHECK_THAT(LEFT_AT("matched") < REACHED_AT("cancel-noted"));
	CHECK(-ECANCELED, RESULT(TARGET));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

/*
 * The thread is about to sleep, or just asleep, with a cancel pending.
 */

static void hold_sleep(const char *stage, const char *until)
{
	CHECK(0, ASK(CANCELLER, PIN, 0));
	CHECK(0, ASK(TARGET, PIN, 1));
	begin_cancelled();
	if (*until)
		watch(until, race.tid);
	arm_until(stage, race.tid, until);
	tell(TARGET, READ, 0);
	REACHED(stage);
}

/* It sleeps, and what holds its processor is not to hold it any longer. */
static void move_target(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	CHECK(0, sched_setaffinity(race.tid, sizeof(set), &set));
}

static void kick_data(void)
{
	hold_sleep("sleep-kick", "");
	move_target();
	complete();
	RELEASE("sleep-kick");
	is_refused(ECANCELED);
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

/* The data and the work come out of the same read(). */
static void kick_with_data(void)
{
	hold_sleep("sleep-kick", "");
	feed();
	RELEASE("sleep-kick");
	CHECK(1, RESULT(TARGET));
	is_refused(ECANCELED);
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

/* The scope's end takes the hook off, for which the irq_work must be over. */
static void kick_end(void)
{
	hold_sleep("sleep-kick", "delivered");
	move_target();
	complete();
	CHECK(0, ASK(TARGET, END, 0));
	CHECK_THAT(is("sleep-kick", "left"));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 0);
}

static void kick_exit(void)
{
	hold_sleep("sleep-kick", "");
	move_target();
	complete();
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	RELEASE("sleep-kick");
	is_gone();
	CHECK(1, events());
}

/*
 * Exit.
 */

/* The last thread of its process closes a handle in exit_task_work(). */
static void exit_noted(void)
{
	CHECK_THAT(ASK(TARGET, OPEN_SELF, 0) >= 0);
	tell(PROCESS, EXIT, 0);
	begin(BEGIN);
	hold_cancel("cancel-noted");
	arm("unclaim");
	tell(TARGET, EXIT, 0);
	REACHED("unclaim");
	CHECK(-ESRCH, cancel());
	release_cancel("cancel-noted");
	arm("forget");
	RELEASE("unclaim");
	REACHED("forget");
	CHECK(-ESRCH, cancel());
	CHECK(-ESRCH, became());
	RELEASE("forget");
	reap(0);
	is_gone();
}

static void hold_death(const char *stage)
{
	CHECK(0, ASK(CANCELLER, PIN, 0));
	CHECK(0, ASK(TARGET, PIN, 1));
	begin_cancelled();
	tell(CANCELLER, WAIT_ENDED, race.gen);
	CHECK_SOON(rc_asleep_in(getpid(), race.s->canceller.tid) == SYS_ioctl);
	arm(stage);
	tell(TARGET, EXIT, 0);
	REACHED(stage);
}

static void death_cancel(const char *stage)
{
	hold_death(stage);
	is_gone();
	CHECK_THAT(!done(CANCELLER));
	RELEASE(stage);
	CHECK(-ESRCH, RESULT(CANCELLER));
	CHECK(1, events());
}

static void death_told_cancel(void)
{
	death_cancel("death-told");
}

static void bury_cancel(void)
{
	death_cancel("bury");
}

static void death_told_close_handle(void)
{
	int handle = rc_dup(race.handle, RPCCANCEL_ACCESS_ALL);

	CHECK_THAT(handle >= 0);
	hold_death("death-told");
	close(handle);
	RELEASE("death-told");
	CHECK(-ESRCH, RESULT(CANCELLER));
}

/* Only the work that buries it still refers to the module. */
static void hold_last_work(void)
{
	CHECK(0, ASK(TARGET, PIN, 1));
	CHECK(0, ASK(CANCELLER, PIN, 0));
	begin_cancelled();
	arm("bury");
	tell(TARGET, EXIT, 0);
	REACHED("bury");
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	close_all();
}

static void bury_close_all(void)
{
	hold_last_work();
	rc_sleep(RC_WHILE);
	CHECK(1, rc_read_number(RC_REFCNT));
	CHECK(IN_USE, unload());
	RELEASE("bury");
}

/* Nothing refers to the module any more, but its code still runs. */
static void unload_waits_for(const char *stage)
{
	CHECK_SOON(rc_read_number(RC_REFCNT) == 0);
	watch("module-exit", race.s->canceller.tid);
	tell(CANCELLER, UNLOAD, 0);
	CHECK_SOON(is("module-exit", "left"));
	rc_sleep(UNLOADS_WITHIN);
	CHECK_THAT(!done(CANCELLER));
	RELEASE(stage);
	CHECK(0, RESULT(CANCELLER));
	race.unloaded = true;
	load();
}

static void buried_rmmod(void)
{
	hold_last_work();
	arm("buried");
	RELEASE("bury");
	REACHED("buried");
	unload_waits_for("buried");
}

/*
 * A deadline, or the end of a grace, before and after it is noted.
 */

static void fired_data(void)
{
	hold_deadline("timer-fired");
	complete();
	RELEASE("timer-fired");
	is_refused(ETIMEDOUT);
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void fired_end(void)
{
	hold_deadline("timer-fired");
	complete();
	CHECK(0, ASK(TARGET, END, 0));
	RELEASE("timer-fired");
	OVER(RPCCANCEL_RESULT_NONE, 0, 0);
}

static void fired_next(void)
{
	hold_deadline("timer-fired");
	complete();
	CHECK(0, ASK(TARGET, NEXT, 0));
	read_asleep();
	RELEASE("timer-fired");
	goes_on_reading();
	OVER(RPCCANCEL_RESULT_NONE, 0, 0);
}

static void fired_taken_back(void)
{
	hold_deadline("timer-fired");
	complete();
	CHECK(0, ASK(TARGET, DEADLINE, 0));
	RELEASE("timer-fired");
	is_left_alone();
	OVER(RPCCANCEL_RESULT_NONE, 0, 0);
}

static void fired_cancel(void)
{
	hold_deadline("timer-fired");
	CHECK(RPCCANCEL_RESULT_PENDING, cancel());
	CHECK(-ECANCELED, RESULT(TARGET));
	RELEASE("timer-fired");
	CHECK_SOON(has_reason(RPCCANCEL_REASON_CANCEL |
			      RPCCANCEL_REASON_DEADLINE));
	is_refused(ECANCELED);
	OVER(RPCCANCEL_RESULT_ENDED, 2, 2);
}

/* The last claim goes: the timer must be over before the record is. */
static void fired_close(void)
{
	CHECK(0, ASK(CANCELLER, PIN, 0));
	begin(BEGIN);
	watch("detach", race.tid);
	arm_until("timer-fired", race.tid, "detach");
	CHECK(0, ASK(TARGET, DEADLINE, DEADLINE_IN));
	read_asleep();
	REACHED("timer-fired");
	complete();
	close_all();
	CHECK(0, ASK(TARGET, DETACH, 0));
	CHECK_THAT(is("timer-fired", "left"));
	is_left_alone();
}

static void fired_exit(void)
{
	hold_deadline("timer-fired");
	complete();
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	RELEASE("timer-fired");
	is_gone();
	CHECK(0, events());
}

static void expired_data(void)
{
	hold_deadline("timer-noted");
	complete();
	RELEASE("timer-noted");
	is_refused(ETIMEDOUT);
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void expired_end(void)
{
	hold_deadline("timer-noted");
	complete();
	CHECK(0, ASK(TARGET, END, 0));
	RELEASE("timer-noted");
	OVER(RPCCANCEL_RESULT_TOO_LATE, 0, 0);
}

static void expired_next(void)
{
	hold_deadline("timer-noted");
	complete();
	CHECK(0, ASK(TARGET, NEXT, 0));
	read_asleep();
	RELEASE("timer-noted");
	goes_on_reading();
	OVER(RPCCANCEL_RESULT_TOO_LATE, 0, 0);
}

static void expired_cancel(void)
{
	hold_deadline("timer-noted");
	CHECK(RPCCANCEL_RESULT_ALREADY, cancel());
	CHECK(-ECANCELED, RESULT(TARGET));
	RELEASE("timer-noted");
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void expired_detach(void)
{
	hold_deadline("timer-noted");
	complete();
	CHECK(0, ASK(TARGET, DETACH, 0));
	RELEASE("timer-noted");
	is_gone();
	is_left_alone();
}

static void expired_exit(void)
{
	hold_deadline("timer-noted");
	complete();
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	RELEASE("timer-noted");
	is_gone();
	CHECK(0, events());
}

/* The timer of a grace is on the processor on which the runtime was told. */
static void hold_grace(const char *stage)
{
	struct rpccancel_cancel c;

	CHECK(0, ASK(TARGET, PIN, 1));
	begin(BEGIN_CALL);
	read_asleep();
	arm(stage);
	CHECK(0, rc_cancel(race.handle, race.gen,
			   DEADLINE_IN * RC_NSEC_PER_MSEC, &c));
	CHECK(RPCCANCEL_RESULT_PENDING, c.result);
	REACHED(stage);
	move_target();
	CHECK_THAT(asleep_in(race.tid, SYS_read));
}

static void grace_fired_end(void)
{
	hold_grace("timer-fired");
	complete();
	CHECK((long)race.gen, (long)race.s->cancel);
	CHECK(0, ASK(TARGET, END, 0));
	RELEASE("timer-fired");
	OVER(RPCCANCEL_RESULT_ENDED, 1, 0);
}

static void grace_over_data(void)
{
	hold_grace("timer-noted");
	complete();
	RELEASE("timer-noted");
	is_refused(ECANCELED);
	OVER(RPCCANCEL_RESULT_ENDED, 2, 1);
}

static void grace_over_next(void)
{
	hold_grace("timer-noted");
	complete();
	CHECK(0, ASK(TARGET, NEXT, 0));
	read_asleep();
	RELEASE("timer-noted");
	goes_on_reading();
	OVER(RPCCANCEL_RESULT_ENDED, 1, 0);
}

/*
 * Closing.
 */

static void unclaim_cancel(void)
{
	int handle = rc_dup(race.handle, RPCCANCEL_ACCESS_ALL);

	begin_read();
	arm("unclaim");
	tell(CANCELLER, CLOSE, handle);
	REACHED("unclaim");
	CHECK(RPCCANCEL_RESULT_PENDING, cancel());
	CHECK(-ECANCELED, RESULT(TARGET));
	RELEASE("unclaim");
	CHECK(0, RESULT(CANCELLER));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

/* The only handle is being closed. */
static void hold_close(void)
{
	begin_read();
	arm("unclaim");
	tell(CANCELLER, CLOSE, race.handle);
	race.handle = -1;
	REACHED("unclaim");
}

static void release_close(void)
{
	RELEASE("unclaim");
	CHECK(0, RESULT(CANCELLER));
}

static void unclaim_detach(void)
{
	hold_close();
	complete();
	CHECK(0, ASK(TARGET, DETACH, 0));
	release_close();
	is_left_alone();
}

static void unclaim_close_device(void)
{
	hold_close();
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	CHECK(IN_USE, unload());
	release_close();
	goes_on_reading();
}

static void unclaim_kill(void)
{
	hold_close();
	kill_target();
	reap(256 + SIGKILL);
	release_close();
}

static void hold_close_device(void)
{
	begin_read();
	arm_until("detach-all", race.s->process.tid, "");
	tell(PROCESS, CLOSE_DEVICE, 0);
	REACHED("detach-all");
}

static void release_close_device(void)
{
	RELEASE("detach-all");
	CHECK(0, RESULT(PROCESS));
}

static void detach_all_cancel(void)
{
	hold_close_device();
	CHECK(RPCCANCEL_RESULT_PENDING, cancel());
	CHECK(-ECANCELED, RESULT(TARGET));
	release_close_device();
	is_gone();
	CHECK(1, events());
	is_left_alone();
}

static void detach_all_close_handle(void)
{
	hold_close_device();
	close_all();
	CHECK(IN_USE, unload());
	release_close_device();
	goes_on_reading();
}

static void detach_all_exit(void)
{
	hold_close_device();
	complete();
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	CHECK(-ESRCH, cancel());
	release_close_device();
	is_gone();
}

static void detach_cancel(void)
{
	begin(BEGIN);
	arm("detach");
	tell(TARGET, DETACH, 0);
	REACHED("detach");
	CHECK(RPCCANCEL_RESULT_PENDING, cancel());
	RELEASE("detach");
	CHECK(0, RESULT(TARGET));
	is_gone();
	CHECK(0, events());
	is_left_alone();
}

static void detach_close_handle(void)
{
	begin(BEGIN);
	arm("detach");
	tell(TARGET, DETACH, 0);
	REACHED("detach");
	close_all();
	RELEASE("detach");
	CHECK(0, RESULT(TARGET));
	is_left_alone();
}

/*
 * Somebody has looked, seen nothing, and is about to sleep.
 */

static void hold_wait(enum order until)
{
	begin_cancelled();
	arm("wait-looked");
	tell(CANCELLER, until, race.gen);
	REACHED("wait-looked");
}

static void wait_refused(void)
{
	hold_wait(WAIT_DELIVERED);
	is_refused(ECANCELED);
	RELEASE("wait-looked");
	CHECK(RPCCANCEL_RESULT_DELIVERED, RESULT(CANCELLER));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void wait_end(void)
{
	hold_wait(WAIT_ENDED);
	CHECK(0, ASK(TARGET, END, 0));
	RELEASE("wait-looked");
	CHECK(RPCCANCEL_RESULT_ENDED, RESULT(CANCELLER));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 0);
}

static void wait_detach(void)
{
	hold_wait(WAIT_ENDED);
	CHECK(0, ASK(TARGET, DETACH, 0));
	RELEASE("wait-looked");
	CHECK(-ESRCH, RESULT(CANCELLER));
	is_left_alone();
}

static void wait_exit(void)
{
	hold_wait(WAIT_ENDED);
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	RELEASE("wait-looked");
	CHECK(-ESRCH, RESULT(CANCELLER));
}

static void wait_close_device(void)
{
	hold_wait(WAIT_ENDED);
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	RELEASE("wait-looked");
	CHECK(-ESRCH, RESULT(CANCELLER));
	is_left_alone();
}

static void hold_poll(void)
{
	begin(BEGIN);
	arm("poll-queued");
	tell(CANCELLER, POLL, 0);
	REACHED("poll-queued");
}

static void poll_cancel(void)
{
	hold_poll();
	CHECK(RPCCANCEL_RESULT_PENDING, cancel());
	is_refused(ECANCELED);
	RELEASE("poll-queued");
	CHECK(POLLIN, RESULT(CANCELLER));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void poll_exit(void)
{
	hold_poll();
	tell(TARGET, EXIT, 0);
	CHECK_SOON(thread_gone());
	RELEASE("poll-queued");
	CHECK(POLLHUP, RESULT(CANCELLER));
}

/*
 * Attaching and settling.
 */

static void hold_attach(const char *stage)
{
	CHECK(0, ASK(TARGET, DETACH, 0));
	close(race.handle);
	race.handle = rc_open(race.dev, race.tid, RPCCANCEL_ACCESS_ALL);
	CHECK(0, rc_set_nonblock(race.handle, true));
	arm(stage);
	tell(TARGET, ATTACH, 0);
	REACHED(stage);
}

static void attach_cancel(const char *stage)
{
	hold_attach(stage);
	CHECK(RPCCANCEL_RESULT_NEXT,
	      rc_cancel_result(race.handle, RPCCANCEL_GEN_ANY));
	RELEASE(stage);
	CHECK(0, RESULT(TARGET));
	CHECK_THAT(race.s->cancel == RPCCANCEL_GEN_NEXT);
	begin(BEGIN);
	is_refused(ECANCELED);
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void attach_claimed_cancel(void)
{
	attach_cancel("attach-claimed");
}

static void attached_cancel(void)
{
	attach_cancel("attached");
}

static void attach_claimed_close_handle(void)
{
	hold_attach("attach-claimed");
	close(race.handle);
	RELEASE("attach-claimed");
	CHECK(0, RESULT(TARGET));
	race.handle = rc_open(race.dev, race.tid, RPCCANCEL_ACCESS_ALL);
	CHECK(0, rc_set_nonblock(race.handle, true));
	begin_read();
	CHECK(RPCCANCEL_RESULT_PENDING, cancel());
	CHECK(-ECANCELED, RESULT(TARGET));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void attach_claimed_kill(void)
{
	hold_attach("attach-claimed");
	kill_target();
	RELEASE("attach-claimed");
	reap(256 + SIGKILL);
	CHECK(-ESRCH, rc_cancel_result(race.handle, RPCCANCEL_GEN_ANY));
}

static void hold_settle(void)
{
	begin_cancelled();
	arm("settle");
	tell(TARGET, END, 0);
	REACHED("settle");
}

static void settle_cancel(void)
{
	hold_settle();
	CHECK(RPCCANCEL_RESULT_TOO_LATE, cancel());
	RELEASE("settle");
	CHECK(0, RESULT(TARGET));
	OVER(RPCCANCEL_RESULT_ENDED, 1, 0);
}

static void settle_cancel_next(void)
{
	hold_settle();
	CHECK(RPCCANCEL_RESULT_NEXT,
	      rc_cancel_result(race.handle, RPCCANCEL_GEN_ANY));
	RELEASE("settle");
	CHECK(0, RESULT(TARGET));
	CHECK_THAT(race.s->cancel == RPCCANCEL_GEN_NEXT);
	CHECK(RPCCANCEL_RESULT_ENDED, became());
	CHECK(1, events());
	begin(BEGIN);
	is_refused(ECANCELED);
	OVER(RPCCANCEL_RESULT_ENDED, 1, 1);
}

static void settle_kill(void)
{
	hold_settle();
	kill_target();
	RELEASE("settle");
	reap(256 + SIGKILL);
	CHECK(RPCCANCEL_RESULT_ENDED, became());
	CHECK(-ESRCH, cancel());
}

/*
 * Unloading.
 */

static void done_rmmod(void)
{
	CHECK(0, ASK(TARGET, PIN, 1));
	CHECK(0, ASK(CANCELLER, PIN, 0));
	begin_read();
	hold_work("work-begun");
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	close_all();
	arm("work-done");
	RELEASE("work-begun");
	REACHED("work-done");
	unload_waits_for("work-done");
	goes_on_reading();
}

static void exit_open(void)
{
	CHECK(0, ASK(TARGET, DETACH, 0));
	CHECK(0, ASK(PROCESS, CLOSE_DEVICE, 0));
	close_all();
	CHECK_SOON(rc_read_number(RC_REFCNT) == 0);
	arm_until("module-exit", race.s->canceller.tid, "");
	tell(CANCELLER, UNLOAD, 0);
	REACHED("module-exit");
	CHECK(-ENODEV, rc_open_device());
	RELEASE("module-exit");
	CHECK(0, RESULT(CANCELLER));
	CHECK(-ENOENT, rc_open_device());
	race.unloaded = true;
	load();
}

/* What comes first, what then: the outcome. */
static const struct interleaving {
	const char *name;
	void (*run)(void);
} interleavings[] = {
	{ "cancel noted, data comes before the work runs: data kept, next sleep refused",
	  noted_data },
	{ "cancel noted, call ends in peace: too late, nothing told",
	  noted_end },
	{ "cancel noted, next call begins and sleeps: too late, it is not hit",
	  noted_next },
	{ "cancel noted, thread detaches: gone, not disturbed", noted_detach },
	{ "cancel noted, thread exits: gone", noted_exit },
	{ "cancel noted, process is killed: gone", noted_kill },
	{ "cancel noted, thread calls execve: the new program is not disturbed",
	  noted_exec },
	{ "cancel noted, another thread calls execve: the new program is not disturbed",
	  noted_exec_by_another },
	{ "cancel noted, a second cancel: refused once, told once",
	  noted_cancel },
	{ "cancel noted, deadline passes: refused once, with ECANCELED",
	  noted_expire },
	{ "cancel noted, its handle is closed: refused all the same",
	  noted_close_handle },
	{ "cancel noted, device is closed: gone, read() goes on",
	  noted_close_device },
	{ "cancel noted, device is closed under a sleep in a futex: it sleeps on, nothing is left",
	  noted_close_device_in_futex },
	{ "cancel noted, everything is closed, rmmod: busy", noted_rmmod },
	{ "work claimed, call ends in peace: too late, nothing told",
	  claimed_end },
	{ "work claimed, a second cancel: left to the first, refused once",
	  claimed_cancel },
	{ "work claimed, thread exits: cannot be queued, gone", claimed_exit },
	{ "work claimed, thread looks by itself: refused once, told once",
	  claimed_settle },
	{ "work queued, refused, next call begins before the canceller returns: it is not hit",
	  kicked_next },
	{ "work queued, refused, thread exits: it has ended", kicked_exit },
	{ "work queued, refused, a second cancel after the end: too late",
	  kicked_cancel },
	{ "found asleep between calls, call begins before the note is queued: woken and refused",
	  looked_begin },
	{ "found asleep between calls, thread exits before the note is queued: gone",
	  looked_exit },
	{ "note queued, call begins before the second look: refused once",
	  note_begin },
	{ "note queued, thread sleeps on: not woken, next call refused",
	  note_stays_asleep },
	{ "work begun, data comes: refused, data there for the next read()",
	  begun_data },
	{ "work begun, a second cancel: refused once, told once",
	  begun_cancel },
	{ "work may be queued again, a second cancel: refused once, told once",
	  cleared_cancel },
	{ "delivered, a second cancel: refused once, told once",
	  delivered_cancel },
	{ "work begun, deadline passes: ECANCELED, told once", begun_expire },
	{ "delivered, deadline passes: ECANCELED, told of the deadline too",
	  delivered_expire },
	{ "work begun, process is killed: gone", begun_kill },
	{ "work begun, another thread calls execve: the new program is not disturbed",
	  begun_exec_by_another },
	{ "work begun, handle is closed: refused all the same",
	  begun_close_handle },
	{ "work begun, device is closed: not refused, read() goes on",
	  begun_close_device },
	{ "delivered, device is closed: refused, then left alone",
	  delivered_close_device },
	{ "work begun, everything is closed, rmmod: busy until it is over",
	  begun_rmmod },
	{ "matched with the lock, a second cancel: waits, refused once",
	  matched_cancel },
	{ "irq_work about to kick, call completes with data: data kept, next sleep refused",
	  kick_data },
	{ "irq_work about to kick, data wakes the thread too: data kept, next sleep refused",
	  kick_with_data },
	{ "irq_work about to kick, scope ends: waits for it, next call not hit",
	  kick_end },
	{ "irq_work about to kick, thread exits: gone", kick_exit },
	{ "thread in exit_task_work(), cancel queues its work: it runs and forgets the thread",
	  exit_noted },
	{ "irq_work of a death, handle is closed: who waits is woken later",
	  death_told_close_handle },
	{ "irq_work of a death, cancel: gone, who waits is woken later",
	  death_told_cancel },
	{ "death about to be told, cancel: gone, who waits is woken then",
	  bury_cancel },
	{ "death about to be told, everything is closed, rmmod: busy until it is over",
	  bury_close_all },
	{ "death told, last instructions of the work, rmmod: waits for them",
	  buried_rmmod },
	{ "deadline fires, call completes with data: data kept, next sleep ETIMEDOUT",
	  fired_data },
	{ "deadline fires, call ends in peace: nothing told", fired_end },
	{ "deadline fires, next call begins and sleeps: it is not hit",
	  fired_next },
	{ "deadline fires, thread takes it back: not refused",
	  fired_taken_back },
	{ "deadline fires, cancel: ECANCELED, told of both", fired_cancel },
	{ "deadline fires, last claim goes: waits for the timer", fired_close },
	{ "deadline fires, thread exits: gone, nothing told", fired_exit },
	{ "deadline noted, call completes with data: data kept, next sleep ETIMEDOUT",
	  expired_data },
	{ "deadline noted, call ends in peace: too late, nothing told",
	  expired_end },
	{ "deadline noted, next call begins and sleeps: it is not hit",
	  expired_next },
	{ "deadline noted, cancel: already, ECANCELED, told once",
	  expired_cancel },
	{ "deadline noted, thread detaches: gone, not disturbed",
	  expired_detach },
	{ "deadline noted, thread exits: gone, nothing told", expired_exit },
	{ "end of the grace fires, answer comes and call ends: not refused",
	  grace_fired_end },
	{ "end of the grace noted, answer comes: kept, next sleep refused",
	  grace_over_data },
	{ "end of the grace noted, next call begins and sleeps: it is not hit",
	  grace_over_next },
	{ "handle being closed, cancel by another: refused", unclaim_cancel },
	{ "handle being closed, thread detaches: nothing is left",
	  unclaim_detach },
	{ "handle being closed, device is closed, rmmod: busy until it is over",
	  unclaim_close_device },
	{ "handle being closed, process is killed: nothing is left",
	  unclaim_kill },
	{ "device being closed, cancel: refused, then gone", detach_all_cancel },
	{ "device being closed, handle is closed, rmmod: busy until it is over",
	  detach_all_close_handle },
	{ "device being closed, thread exits: gone", detach_all_exit },
	{ "thread about to detach, cancel: gone, nothing told", detach_cancel },
	{ "thread about to detach, handle is closed: nothing is left",
	  detach_close_handle },
	{ "wait about to sleep, call is refused: delivered at once",
	  wait_refused },
	{ "wait about to sleep, scope ends: ended at once", wait_end },
	{ "wait about to sleep, thread detaches: gone at once", wait_detach },
	{ "wait about to sleep, thread exits: gone at once", wait_exit },
	{ "wait about to sleep, device is closed: gone at once",
	  wait_close_device },
	{ "poll about to look, cancel is told: readable", poll_cancel },
	{ "poll about to look, thread exits: hang-up", poll_exit },
	{ "thread without a slot yet attaches, cancel: shown at once, next call refused",
	  attach_claimed_cancel },
	{ "thread with a new slot, cancel: shown at once, next call refused",
	  attached_cancel },
	{ "thread attaches, handle is closed: attached, can be cancelled",
	  attach_claimed_close_handle },
	{ "thread attaches, process is killed: gone", attach_claimed_kill },
	{ "scope about to be settled, cancel of it: too late", settle_cancel },
	{ "scope about to be settled, cancel of any: next call refused",
	  settle_cancel_next },
	{ "scope about to be settled, process is killed: it has ended",
	  settle_kill },
	{ "last instructions of the work, rmmod: waits for them", done_rmmod },
	{ "module about to go, open: no device", exit_open },
};

static int after_exec(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 1 ? 0 : 1;
}

/* In a process of its own: whatever it leaves behind goes with it. */
static bool run(const struct interleaving *i)
{
	pid_t pid = rc_fork();
	int ret;

	if (!pid) {
		start();
		CHECK(0, ASK(TARGET, ATTACH, 0));
		i->run();
		finish();
		_exit(0);
	}
	ret = rc_reap(pid, 2 * RC_PATIENCE);
	if (access(RC_DEVICE, F_OK))
		load();
	if (ret == -ETIMEDOUT) {
		ksft_print_msg("it hangs\n");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	} else if (ret > 1) {
		ksft_print_msg("it ended with %d\n", ret);
	}
	return !ret;
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";
	int plan = 0;

	if (argc == 3 && !strcmp(argv[1], EXEC_ARG))
		return after_exec(atoi(argv[2]));
	rc_need_device();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		ksft_exit_skip("needs two processors\n");
	if (!stages_there())
		ksft_exit_skip("needs root and the test build of the module\n");
	for (size_t i = 0; i < ARRAY_SIZE(interleavings); i++)
		plan += !!strstr(interleavings[i].name, only);
	ksft_print_header();
	ksft_set_plan(plan);
	for (size_t i = 0; i < ARRAY_SIZE(interleavings); i++) {
		if (!!strstr(interleavings[i].name, only))
			ksft_test_result(run(&interleavings[i]), "%s\n",
					 interleavings[i].name);
	}
	ksft_finished();
}
