/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the barriers are for: each pair of which "at least one of the two sees
 * the other" is said.  A plain store stays in its processor's store buffer until
 * that comes round to it, a barrier, or a switch to another thread.
 *
 * This is the reordering that x86 has, but less is taken for granted than x86
 * gives: only smp_mb() and what is documented to be one drains the buffer.  Bit
 * operations, task_work_add() and spinlocks do not, as far as what they are not
 * there for is concerned; an IPI may come late.
 *
 * One of:
 *   PAIR_KICK   rpcc_deliver_kick() and a thread on its way to user mode
 *   PAIR_GONE   rpcc_deliver_kick() and rpcc_deliver_end()
 *   PAIR_POLL   rpcc_handle_poll() and rpcc_deliver()
 *   PAIR_QUEUE  rpcc_deliver_queue() and rpcc_deliver_run()
 */

/* A variable of which one processor's stores are delayed. */
#define delayed(x, init) bool x = init, x##_buffer, x##_full
#define store(x, v)	d_step { x##_buffer = v; x##_full = true }
#define drain(x)	d_step { x##_full -> x = x##_buffer; x##_full = false; \
				 x##_buffer = false }
#define smp_mb(x)	d_step { x = (x##_full -> x##_buffer : x); \
				 x##_full = false; x##_buffer = false }

#ifdef PAIR_KICK
/*
 * The thread comes out of a call between two generations, in which it slept or
 * only was about to, begins a generation and sleeps in a call that is to be
 * refused.  The canceller has noted a cancel for the next call and kicks.
 */
delayed(asleep, false);		/* __state, as the thread writes it */
delayed(notify_resume, false);	/* the flag, as the canceller sets it */
bool on_cpu = true;
bool refusable;				/* the registers are those of read() */
bool woken, looked, kicked;

active proctype thread()
{
	/* The first call: it sleeps and is woken, or finds it need not. */
	store(asleep, true);
	smp_mb(asleep);			/* set_current_state() */
	if
	:: on_cpu = false;
	   asleep = false;		/* the waker writes the state */
	   on_cpu = true;		/* the switch is a full barrier */
	:: store(asleep, false);	/* __set_current_state() */
	fi;

	/* exit_to_user_mode_loop() */
	if
	:: notify_resume -> looked = true;
	:: !notify_resume
	fi;

	/* The next call. */
	refusable = true;
	store(asleep, true);
	smp_mb(asleep);
	on_cpu = false;
	/* Asleep for good, unless it is woken by the work. */
	woken || looked;
}

inline can_wait(result)
{
	result = false;
#ifndef MUTATE_ON_CPU
	if
	:: !on_cpu ->
#endif
		if
		:: asleep -> result = !refusable;
		:: !asleep
		fi
#ifndef MUTATE_ON_CPU
	:: on_cpu
	fi
#endif
}

active proctype canceller()
{
	bool wait;

	can_wait(wait);
	if
	:: wait ->
		store(notify_resume, true);
#ifndef MUTATE_NO_BARRIER
		smp_mb(notify_resume);
#endif
		can_wait(wait);
	:: else
	fi;
	if
	:: !wait -> woken = true;
	:: else
	fi
}

active proctype buffers()
{
end:
	do
	:: drain(asleep)
	:: drain(notify_resume)
	od
}
#endif

#ifdef PAIR_GONE
/* The thread sleeps on.  A note that is queued after the end must not stay. */
delayed(gone, false);
delayed(noted, false);
bool woken;

active proctype rpcc_deliver_kick()
{
	store(noted, true);
#ifndef MUTATE_NO_BARRIER
	smp_mb(noted);
#endif
	if
	:: gone -> woken = true;
	:: !gone
	fi
}

active proctype rpcc_deliver_end()
{
	store(gone, true);
#ifndef MUTATE_NO_BARRIER_END
	smp_mb(gone);
#endif
	if
	:: noted -> woken = true;
	:: !noted
	fi
}

active proctype buffers()
{
end:
	do
	:: drain(gone)
	:: drain(noted)
	od
}

active proctype pinned()
{
	woken;
}
#endif

#ifdef PAIR_POLL
/* Who polls sleeps unless it has seen the event; who tells wakes sleepers. */
delayed(events, false);
delayed(waiting, false);
bool woken;

active proctype rpcc_handle_poll()
{
	store(waiting, true);		/* poll_wait() */
#ifndef MUTATE_NO_BARRIER
	smp_mb(waiting);
#endif
	if
	:: events
	:: !events -> woken;
	fi
}

active proctype rpcc_deliver()
{
	store(events, true);
#ifndef MUTATE_NO_BARRIER_DELIVER
	smp_mb(events);			/* wq_has_sleeper() */
#endif
	if
	:: waiting -> woken = true;
	:: !waiting
	fi
}

active proctype buffers()
{
end:
	do
	:: drain(events)
	:: drain(waiting)
	od
}
#endif

#ifdef PAIR_QUEUE
/*
 * Work is queued already and about to run: either it sees what is new, or the
 * bit is seen cleared and it is queued again.  The news is @gone, which
 * rpcc_thread_alive() reads without the lock.
 */
delayed(gone, false);
delayed(queued, true);
bool seen, again;

active proctype rpcc_deliver_run()
{
	store(queued, false);		/* clear_bit() */
#ifndef MUTATE_NO_BARRIER
	smp_mb(queued);			/* smp_mb__after_atomic() */
#endif
	seen = gone;
	seen || again;
}

active proctype rpcc_deliver_queue()
{
	store(gone, true);
#ifndef MUTATE_NO_BARRIER_QUEUE
	smp_mb(gone);			/* test_and_set_bit() is one */
#endif
	if
	:: queued
	:: !queued -> again = true;
	fi
}

active proctype buffers()
{
end:
	do
	:: drain(gone)
	:: drain(queued)
	od
}
#endif
