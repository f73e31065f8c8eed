/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The life of a record: references, claims, the end of its thread, of its
 * device and of its handles in any order, and the unloading of the module.
 *
 * In the end, whatever happened and although the thread may sleep for ever, no
 * claim is left, the record is freed and the module is unloaded: every other
 * final state is an error, as a deadlock is.  The assertions: nobody touches the
 * record after it was freed, takes a reference when there is none, or runs code
 * that was unloaded.
 *
 * Each step bears the name of the function that it stands for.  What is pending
 * is one flag here; cancel.pml has the rest, and order.pml the barriers.  A
 * handler of an irq_work counts as an RCU reader from the time it is queued,
 * which is done with interrupts off; a handler of the timer counts as none.
 */
#ifndef STEPS
#define STEPS	2	/* things that the thread does before it exits */
#endif
#ifndef REQUESTS
#define REQUESTS 1	/* things that are done with the handle */
#endif

/* The record. */
byte refs = 1;
byte claims = 1;		/* the attachment */
bool attached = true;		/* @owner */
bool gone;
bool queued, noted, armed;	/* RPCC_QUEUED, RPCC_NOTED, RPCC_ARMED */
bool pending, watched;
bool timer_armed, timer_running;
bool kick_queued, kick_busy;	/* the irq_works */
bool death_queued, death_busy;
bool bury_queued;
bool rcu_queued, freed;

/* The task. */
bool asleep, exiting, execed, works_closed;
bool notify_signal, notify_resume;
bool work_listed, note_listed;

/* The world. */
bool mutex;			/* rpcc_threads_mutex */
bool locked;			/* rpcc_thread.lock, where somebody waits in it */
bool device_closed, in_ioctl;
byte module_refs = 3;		/* the device, the handle's opener, the record */
bool thread_in_code, bury_in_code, rcu_in_code;
bool unloaded;

#define alive	(!gone && !exiting && !execed)	/* rpcc_thread_alive() */
#define touch	assert(!freed)
#define code	assert(!unloaded)

inline mutex_lock()
{
	atomic { !mutex -> mutex = true }
}

inline mutex_unlock()
{
	mutex = false;
}

/* rpcc_thread_get() */
inline rpcc_thread_get()
{
	touch;
	assert(refs);
	refs++;
}

/* rpcc_thread_put() */
inline rpcc_thread_put()
{
	d_step {
		touch;
		assert(refs);
		refs--;
		if
		:: !refs ->
#ifdef MUTATE_NO_RCU
			freed = true;
#endif
			rcu_queued = true;
		:: else
		fi
	}
}

/* What a queued work holds, for the mutations that forget it. */
#ifdef MUTATE_QUEUED_REF
#define work_holds	false
#else
#define work_holds	true
#endif
#ifdef MUTATE_NOTED_REF
#define note_holds	false
#else
#define note_holds	true
#endif

/* rpcc_deliver_queue(): refcount_inc_not_zero(), then task_work_add() */
inline rpcc_deliver_queue(flag, listed, notify, wakes, holds)
{
	if
	:: d_step { !flag -> touch; flag = true };
		if
#ifndef MUTATE_INC
		:: !refs
		:: d_step { refs ->
#else
		:: d_step {
#endif
			if
			:: holds -> rpcc_thread_get();
			:: else
			fi };
			if
			:: d_step { !works_closed ->
				listed = true;
				notify = true;
				asleep = asleep && !wakes };
			:: d_step { works_closed -> touch; flag = false };
#ifndef MUTATE_LEAK
				if
				:: holds -> rpcc_thread_put();
				:: else
				fi
#endif
			fi
		fi
	:: d_step { flag -> touch }
	fi
}

inline rpcc_deliver_wake()
{
	rpcc_deliver_queue(queued, work_listed, notify_signal, true, work_holds);
}

inline rpcc_deliver_note()
{
	rpcc_deliver_queue(noted, note_listed, notify_resume, false, note_holds);
}

/* rpcc_deliver_can_wait(): what the thread sleeps in is left open. */
#ifdef MUTATE_NOTE_GONE
#define can_wait	asleep
#else
#define can_wait	(asleep && !gone)
#endif

/* rpcc_deliver_kick() */
inline rpcc_deliver_kick()
{
	woken = true;
	if
	:: can_wait ->
		rpcc_deliver_note();
		if
		:: can_wait -> woken = false;
		:: true
		fi
	:: true
	fi;
	if
	:: woken -> rpcc_deliver_wake();
	:: else
	fi
}

/* rpcc_deliver_end(): up to the unlock it is one step. */
inline rpcc_deliver_end()
{
#ifdef MUTATE_CANCEL_LOCKED
	d_step { touch; locked = true; timer_armed = false };
	!timer_running;
	locked = false;
#endif
	d_step {
		touch;
		gone = true;
		pending = false;
		timer_armed = false;	/* rpcc_timer_program() */
	};
#ifndef MUTATE_END_ASLEEP
	if
	:: armed || noted -> rpcc_deliver_wake();
	:: else
	fi
#endif
}

/* rpcc_thread_remove() */
inline rpcc_thread_remove()
{
	if
	:: d_step { !gone -> touch };
		rpcc_deliver_end();
	:: d_step { gone -> touch }
	fi
}

/* rpcc_thread_drop_claim(), with rpcc_timer_destroy() */
inline rpcc_thread_drop_claim()
{
	d_step { touch; claims-- };
	if
	:: !claims ->
		rpcc_thread_remove();
#ifndef MUTATE_TIMER
		timer_armed = false;
		!timer_running;
#endif
		rpcc_thread_put();
	:: else
	fi
}

/* rpcc_thread_detach_locked() */
inline rpcc_thread_detach_locked()
{
	d_step { touch; attached = false };
	rpcc_thread_remove();
#ifdef MUTATE_MUTEX
	mutex_lock();
#endif
	rpcc_thread_drop_claim();
}

/* rpcc_rearm_off(): with irq_work_sync() */
inline rpcc_rearm_off()
{
	if
	:: d_step { !armed -> touch }
	:: d_step { armed -> touch; armed = false };
#ifdef MUTATE_OFF_PUT
		rpcc_thread_put();
#endif
		!kick_queued && !kick_busy;
#if !defined(MUTATE_ARMED_REF) && !defined(MUTATE_OFF_PUT)
		rpcc_thread_put();
#endif
	fi
}

/* rpcc_rearm_on() */
inline rpcc_rearm_on()
{
	d_step {
		if
		:: !armed ->
#ifndef MUTATE_ARMED_REF
			rpcc_thread_get();
#endif
			armed = true;
		:: else
		fi
	}
}

/*
 * rpcc_deliver(): what is pending may be over, or not, and may need the timer.
 * The hook is registered with the lock held.
 */
inline rpcc_deliver()
{
	atomic {
		touch;
		if
		:: gone -> rearm = false;
		:: !gone ->
			if
			:: pending = false;
#ifdef TIMER
			:: pending -> timer_armed = true;
#endif
			:: true
			fi;
			rearm = pending || watched;
		fi;
		if
		:: rearm -> rpcc_rearm_on();
		:: else
		fi
	};
	if
	:: !rearm -> rpcc_rearm_off();
	:: else
	fi
}

/* rpcc_thread_forget() */
inline rpcc_thread_forget()
{
	mutex_lock();
	rpcc_thread_remove();
	if
	:: attached -> rpcc_thread_detach_locked();
	:: else
	fi;
	mutex_unlock();
}

/* rpcc_deliver_run(): the last thing that it does is to drop its reference. */
inline rpcc_deliver_run(flag, holds)
{
	d_step { code; touch; thread_in_code = true; flag = false };
#ifdef MUTATE_PUT_EARLY
	rpcc_thread_put();
#endif
	if
	:: alive -> rpcc_deliver();
	:: !alive ->
		rpcc_rearm_off();
		rpcc_thread_forget();
	fi;
#ifndef MUTATE_PUT_EARLY
	if
	:: holds -> rpcc_thread_put();
	:: else
	fi;
#endif
	/* Its last instructions. */
	d_step { code; thread_in_code = false }
}

/* task_work_run(), up to the end of the list */
inline task_work_run()
{
	do
	:: work_listed ->
		work_listed = false;
		rpcc_deliver_run(queued, work_holds);
	:: note_listed ->
		note_listed = false;
		rpcc_deliver_run(noted, note_holds);
	:: atomic { !work_listed && !note_listed ->
		works_closed = exiting;
		break; }
	od
}

/* rpcc_rearm_sched_out(): the run queue lock is held, interrupts are off. */
inline rpcc_rearm_sched_out(task_dead)
{
	atomic {
		if
		:: !armed
		:: armed ->
			touch;
			code;
			if
#ifndef MUTATE_DEATH
			:: task_dead -> death_queued = true;
#endif
			:: !task_dead && !alive -> kick_queued = true;
			:: !task_dead && alive && pending && asleep &&
			   !notify_signal -> kick_queued = true;
			:: !task_dead && alive	/* none that is to be refused */
#ifdef MUTATE_DEATH
			:: task_dead
#endif
			fi
		fi
	}
}

/* The thread; it starts attached. */
active proctype thread()
{
	byte steps = STEPS;
	bool rearm;

	do
	:: steps ->
		steps--;
		if
		:: asleep = true;
			d_step {
				if
				:: notify_signal -> asleep = false;
				:: else
				fi
			};
			rpcc_rearm_sched_out(false);
end_asleep:
			!asleep;
		/* rpcc_device_settle() */
		:: atomic { !device_closed && attached && alive ->
			in_ioctl = true };
			rpcc_deliver();
			in_ioctl = false;
		/* rpcc_thread_detach() */
		:: atomic { !device_closed && attached && alive ->
			in_ioctl = true };
			mutex_lock();
			if
			:: attached && alive ->
				rpcc_rearm_off();
				rpcc_thread_detach_locked();
			:: else
			fi;
			mutex_unlock();
			in_ioctl = false;
		/* execve() */
		:: execed = true;
		/* A stray wake-up: it goes to user mode and comes back. */
		:: true
		fi;
		/* exit_to_user_mode_loop() */
		do
		:: atomic { notify_signal || notify_resume ->
			notify_signal = false;
			notify_resume = false };
			task_work_run();
		:: !notify_signal && !notify_resume -> break;
		od
	:: break;
	od;

	/* do_exit(): exit_task_work() runs what is queued and lets nothing in. */
	exiting = true;
	task_work_run();
	rpcc_rearm_sched_out(true);
}

/* rpcc_thread_claim() by another process, its requests, and its close */
active proctype handle()
{
	byte requests = REQUESTS;
	bool claimed, accepted, woken;

	/* rpcc_thread_find(): the table has no record that is gone. */
	mutex_lock();
	if
	:: gone
	:: d_step { !gone && alive -> touch; claims++; claimed = true }
	:: !gone && !alive -> rpcc_thread_remove();
	fi;
	mutex_unlock();

	do
	:: claimed && requests ->
		requests--;
		if
		/* rpcc_cancel() */
		:: alive ->
			d_step {
				touch;
				accepted = !gone;
				pending = pending || !gone;
			};
			if
			:: accepted -> rpcc_deliver_kick();
			:: else
			fi
		/* rpcc_deliver_watch() */
		:: atomic {
			touch;
			if
			:: !gone && !watched ->
				watched = true;
				rpcc_deliver_note();
			:: else
			fi }
		fi
	:: break;
	od;

	if
	:: claimed ->		/* rpcc_thread_unclaim() */
		mutex_lock();
		rpcc_thread_drop_claim();
		mutex_unlock();
	:: else
	fi;
	module_refs--;
}

/*
 * rpcc_device_release(), which comes when no ioctl of the device is running.
 * That a record is reaped, at another's attach, is the same.
 */
active proctype device()
{
	atomic { !in_ioctl -> device_closed = true };
	mutex_lock();
	if
	:: attached -> rpcc_thread_detach_locked();
	:: else
	fi;
	mutex_unlock();
	module_refs--;
}

#ifdef TIMER
/* rpcc_timer_fn() */
active proctype timer()
{
	bool due, woken;

end:
	do
	:: atomic { timer_armed -> timer_armed = false; timer_running = true };
		d_step { !locked -> code; touch; due = !gone };
		if
		:: due -> rpcc_deliver_kick();
		:: true
		fi;
		d_step { code; touch; due = false; timer_running = false }
	od
}

#endif

/* rpcc_rearm_kick(), and the last look at the irq_work */
active proctype kick()
{
end:
	do
	:: atomic { kick_queued -> kick_queued = false; kick_busy = true };
		rpcc_deliver_wake();
		d_step { code; touch; kick_busy = false }
	od
}

/* rpcc_rearm_death() */
active proctype death()
{
end:
	do
	:: atomic { death_queued -> death_queued = false; death_busy = true };
		d_step { code; touch; bury_queued = true };
		d_step { code; touch; death_busy = false }
	od
}

/* rpcc_rearm_bury() */
active proctype bury()
{
end:
	do
	:: atomic { bury_queued -> bury_queued = false; bury_in_code = true };
		d_step { code; touch };		/* wake_up_all() */
#ifndef MUTATE_ARMED_REF
		rpcc_thread_put();
#endif
		d_step { code; bury_in_code = false }
	od
}

/* rpcc_thread_free(), after a grace period */
active proctype rcu()
{
end:
	atomic {
		rcu_queued && !kick_queued && !kick_busy && !death_queued &&
		!death_busy ->
			rcu_in_code = true;
	};
	d_step {
		code;
		assert(!refs && !claims && !work_listed && !note_listed);
		freed = true;
	};
#ifndef MUTATE_MODULE_REF
	module_refs--;
#endif
	d_step { code; rcu_in_code = false }
}

/* rpcc_exit(), when rmmod gets that far */
active proctype rmmod()
{
#ifdef MUTATE_MODULE_REF
	module_refs == 1;
#else
	!module_refs;
#endif
#ifndef MUTATE_NO_RCU_TASKS
	!thread_in_code && !bury_in_code;	/* synchronize_rcu_tasks() */
#endif
#ifndef MUTATE_NO_RCU_BARRIER
	!rcu_in_code;				/* rcu_barrier() */
#endif
	d_step {
		assert(freed);
		unloaded = true;
	}
}
