/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A thread's calls, cancels of them, their deadlines and grace periods: what is
 * matched with which generation, what is refused, and that no wake-up is lost.
 *
 * Each step bears the name of the function that it stands for.  What is done
 * under rpcc_thread.lock is one step: nobody looks in the middle.  What others
 * may see in between is a step of its own: what user space does to the slot, the
 * parts of task_work_add(), of schedule() and of the return to user mode.
 *
 * Time is two flags, deadline_due and grace_due, which the clock may set at any
 * moment, or never.  Memory is consistent here; what the barriers are for is in
 * order.pml.  The life of the record is in lifetime.pml.
 *
 * Sizes, by -D:
 *   GENS      calls of the interface, each with a generation
 *   CALLS     system calls in each of them
 *   IDLE      system calls between them
 *   CANCELS   cancellers
 *   DATA      how often data comes, at most
 *   TIMES     how often the thread sets a deadline
 *   MODE_CALL generations may be in RPCCANCEL_MODE_CALL, with a grace period
 */
#ifndef GENS
#define GENS	2
#endif
#ifndef CALLS
#define CALLS	1
#endif
#ifndef IDLE
#define IDLE	1
#endif
#ifndef CANCELS
#define CANCELS	1
#endif
#ifndef DATA
#define DATA	1
#endif
#ifndef TIMES
#define TIMES	0
#endif

#define NEXT		255	/* RPCCANCEL_GEN_NEXT */
#define REASON_CANCEL	1
#define REASON_DEADLINE	2
#define REASON_GRACE	4
#define ENDS		(REASON_DEADLINE | REASON_GRACE)

/* A grace period: none, one that the clock ends, one without end. */
#define AT_ONCE		0
#define FINITE		1
#define INFINITE	2

/* What the thread came into the kernel for: its registers. */
mtype:entry = { READ, OTHER, SETTLE, SET_DEADLINE, INTERRUPT };
/* What it comes out with. */
mtype:result = { NOTHING, MOVED, INTERRUPTED, RESTART, REFUSED };

/* The slot. */
byte gen;
byte slot_cancel;
bool mode_call;

/* The record. */
byte pending;
byte refuse;
byte reason;
byte grace;
bool grace_end;
bool told;
bool deadline;
byte deadline_gen;
byte event_gen;
byte event_reason;
bool event_end;
bool queued, noted, armed;	/* RPCC_QUEUED, RPCC_NOTED, RPCC_ARMED */
bool kick_queued, kick_busy;	/* the irq_work */
bool timer_deadline, timer_grace;	/* what the timer is programmed for */

/* The task. */
bool asleep;			/* __state: TASK_INTERRUPTIBLE */
bool notify_signal;		/* TIF_NOTIFY_SIGNAL */
bool notify_resume;		/* TIF_NOTIFY_RESUME */
bool work_listed, note_listed;	/* on its list of task works */
mtype:entry entry = INTERRUPT;
mtype:result result = NOTHING;
bool in_call;

/* The world. */
byte data;
bool deadline_due, grace_due;

/* What is right, for each generation: known to the properties alone. */
#define nr(g)		((g) >> 1)
bool asked[GENS + 1];		/* somebody was told that it is cancelled */
bool asked_at_once[GENS + 1];	/* ... without grace */
bool expired[GENS + 1];		/* its deadline has passed */
bool grace_over[GENS + 1];
bool hit[GENS + 1];		/* it was told */
bool refused[GENS + 1];		/* a call of it was refused */
int told_of[GENS + 1];	/* a bit for each thing it was told */
byte next_accepted, next_used;	/* cancels for the next call */
byte next_gen;			/* who got the last one */
bool moved;			/* the call in progress has moved data */

#define must_end \
	(expired[nr(gen)] || \
	 (!mode_call && (asked[nr(gen)] || next_accepted > next_used)) || \
	 (mode_call && (grace_over[nr(gen)] || asked_at_once[nr(gen)])))

/* A call that is to be refused is still going on. */
#define stuck	(in_call && entry == READ && (gen & 1) && must_end)

/*
 * No lost wake-up: such a call ends, be it with data.  This needs weak fairness:
 * a canceller that noted a cancel comes to kick, a timer that has expired and an
 * irq_work that is queued come to run, a thread that can run runs.  Nothing is
 * assumed of what may never happen: data, or the passing of time.
 */
ltl no_lost_wakeup { [] <> !stuck }

/* rpcc_timer_program() with rpcc_timer_next() */
inline rpcc_timer_program()
{
	timer_deadline = deadline && !(reason & REASON_DEADLINE);
	timer_grace = grace_end;
}

/* rpcc_deliver_show() */
inline rpcc_deliver_show(what)
{
	slot_cancel = what;
}

/* rpcc_deliver_event(): nothing is told twice. */
inline rpcc_deliver_event()
{
	event_gen = pending;
	event_reason = reason;
	event_end = grace_end;
	assert(!(told_of[nr(pending)] & (1 << (reason + 8 * grace_end))));
	told_of[nr(pending)] = told_of[nr(pending)] |
			       (1 << (reason + 8 * grace_end));
}

/* rpcc_deliver_outcome(): the waiters learn what is true. */
inline rpcc_deliver_outcome()
{
	assert(pending == NEXT || told == hit[nr(pending)]);
	assert(pending != next_gen || told);
}

/* rpcc_deliver_finish() */
inline rpcc_deliver_finish()
{
	rpcc_deliver_outcome();
	pending = 0;
	reason = 0;
	told = false;
	grace_end = false;
	refuse = 0;
	rpcc_timer_program();
	rpcc_deliver_show(0);
}

/* rpcc_deliver_start_grace() */
inline rpcc_deliver_start_grace()
{
	if
	:: grace == AT_ONCE ->
		reason = reason | REASON_GRACE;
	:: grace == FINITE && !grace_end ->
		grace_end = true;
		grace_due = false;
		rpcc_timer_program();
	:: else
	fi
}

/* rpcc_deliver_tell() */
inline rpcc_deliver_tell()
{
	if
	:: mode_call && !(reason & ENDS) -> rpcc_deliver_start_grace();
	:: else
	fi;
	known = told && event_gen == pending && event_reason == reason &&
		event_end == grace_end;
#ifdef MUTATE_TWICE
	known = false;
#endif
	told = true;
#ifdef MUTATE_GRACE
	refuse = pending;
#else
	refuse = (mode_call && !(reason & ENDS) -> 0 : pending);
#endif

	/* No delivery to another generation than the one that was meant. */
	assert(pending == gen && (gen & 1));
	assert(asked[nr(gen)] || expired[nr(gen)]);
	hit[nr(gen)] = true;

	if
	:: !known ->
		rpcc_deliver_show(pending);
		rpcc_deliver_event();
	:: else
	fi
}

/* A cancel for the next call becomes one of generation g, and of no other. */
inline take_next(g)
{
	next_used++;
	assert(next_used <= next_accepted);
	next_gen = g;
	asked[nr(g)] = true;
	asked_at_once[nr(g)] = asked_at_once[nr(g)] || grace == AT_ONCE;
	pending = g;
}

/* rpcc_deliver_match() */
inline rpcc_deliver_match()
{
	if
	:: deadline && deadline_gen != gen ->
		deadline = false;
		rpcc_timer_program();
	:: else
	fi;
	if
	:: !pending
#ifdef MUTATE_NEXT_IDLE
	:: pending == NEXT -> take_next(gen); rpcc_deliver_tell();
#else
	:: pending == NEXT && !(gen & 1) ->
		rpcc_deliver_show(NEXT);
		refuse = NEXT;
	:: pending == NEXT && (gen & 1) ->
		take_next(gen);
		rpcc_deliver_tell();
#ifdef MUTATE_NEXT_STAYS
		pending = NEXT;
#endif
#endif
#ifdef MUTATE_GEN
	:: pending && pending != NEXT ->
		pending = (gen & 1 -> gen : pending);
		if
		:: pending == gen -> rpcc_deliver_tell();
		:: else -> rpcc_deliver_finish();
		fi
#else
	:: pending == gen && pending -> rpcc_deliver_tell();
	:: pending && pending != NEXT && pending != gen -> rpcc_deliver_finish();
#endif
	fi
}

/*
 * rpcc_deliver_refuse(): only a call that may be refused, with a result that
 * means that it did nothing.
 */
inline rpcc_deliver_refuse()
{
	if
	:: refuse && refuse == pending && pending != NEXT && entry == READ &&
#ifdef MUTATE_DATA
	   (result == INTERRUPTED || result == MOVED) ->
#else
	   result == INTERRUPTED ->
#endif
		assert(!moved);
		assert(gen & 1);
		assert(!mode_call || expired[nr(gen)] || grace_over[nr(gen)] ||
		       asked_at_once[nr(gen)]);
		refused[nr(gen)] = true;
		result = REFUSED;
	:: else
	fi
}

/* rpcc_rearm_off(): with irq_work_sync() */
inline rpcc_rearm_off()
{
	armed = false;
	!kick_queued && !kick_busy;
}

/* rpcc_deliver(): up to the unlock it is one step. */
inline rpcc_deliver()
{
	d_step {
		rpcc_deliver_match();
		rpcc_deliver_refuse();
#ifdef MUTATE_OFF_EARLY
		rearm = pending && !told;
#else
		rearm = pending;
#endif
		if
		:: rearm -> armed = true;	/* rpcc_rearm_on() */
		:: else
		fi
	};
	if
	:: !rearm -> rpcc_rearm_off();
	:: else
	fi
}

/* rpcc_deliver_run(): the bit is cleared before anything is looked at. */
inline rpcc_deliver_run(flag)
{
#ifdef MUTATE_CLEAR_LATE
	rpcc_deliver();
	flag = false;
#else
	flag = false;
	rpcc_deliver();
#endif
}

/* task_work_run() */
inline task_work_run()
{
	do
	:: work_listed -> work_listed = false; rpcc_deliver_run(queued);
	:: note_listed -> note_listed = false; rpcc_deliver_run(noted);
	:: !work_listed && !note_listed -> break;
	od
}

/*
 * exit_to_user_mode_loop(): get_signal() runs task work before it looks at the
 * result.  The last look is done with interrupts off, so whoever sets a flag
 * later finds the thread in user mode, and interrupts it there.
 */
inline exit_to_user_mode_loop()
{
	do
	:: notify_signal ->
#ifdef MUTATE_RESTART_FIRST
		d_step {
			notify_signal = false;
			result = (result == INTERRUPTED -> RESTART : result);
		};
		task_work_run();
#else
		notify_signal = false;
		task_work_run();
		result = (result == INTERRUPTED -> RESTART : result);
#endif
	:: !notify_signal && notify_resume ->
		notify_resume = false;
		task_work_run();
	:: atomic { !notify_signal && !notify_resume ->
		if
		:: result != RESTART -> in_call = false;
		:: else
		fi;
		break; }
	od;
	assert(result != INTERRUPTED);
}

/* rpcc_rearm_wanted(), without what is not modelled: the freezer, core dumps */
#define rpcc_rearm_wanted \
	(refuse && asleep && !notify_signal && (gen & 1) && \
	 (refuse == gen || refuse == NEXT) && entry == READ)

/*
 * schedule(): no sleep with a signal pending, which is decided with the run
 * queue lock held; then rpcc_rearm_sched_out(), still with interrupts off.
 */
inline schedule()
{
	d_step {
		if
		:: asleep && notify_signal -> asleep = false;
		:: else
		fi
	};
	d_step {
		if
#ifndef MUTATE_LOSE
		:: armed && rpcc_rearm_wanted -> kick_queued = true;
#endif
		:: else
		fi
	};
end_asleep:
	!asleep;
}

/* A system call that sleeps until data comes. */
inline sleep_for_data()
{
	do
	:: asleep = true;	/* prepare_to_wait() */
	   if
	   :: data ->
		d_step {
			data--;
			moved = true;
			result = MOVED;
			asleep = false;
		};
		break;
	   :: !data && notify_signal ->	/* signal_pending() */
		d_step {
			result = INTERRUPTED;
			asleep = false;
		};
		break;
	   :: !data && !notify_signal ->
		schedule();
	   fi
	od
}

/* rpcc_timer_deadline(): a new deadline, or none */
inline rpcc_timer_deadline(on)
{
	d_step {
		deadline = on;
		deadline_gen = gen;
		deadline_due = false;
		reason = reason & ~REASON_DEADLINE;
		expired[nr(gen)] = false;
		told_of[nr(gen)] = 0;
		if
		:: pending == gen && !reason ->
			pending = 0;
			told = false;
			refuse = 0;
			slot_cancel = 0;
			hit[nr(gen)] = false;
			refused[nr(gen)] = false;
		:: else
		fi;
		rpcc_timer_program();
	}
}

/*
 * The thread.  Its user space is rpcc_advance() of the library, and what may
 * come between; an interrupt may come anywhere there.
 */
active proctype thread()
{
	byte calls = IDLE;
	byte times = TIMES;
	byte at = 0;		/* in rpcc_advance(): its next line */
	bool was_cancelled;
	bool enter, rearm, known;

	do
	:: enter = false;
	   if
	   /* It begins: the other fields are written before the generation. */
	   :: !at && !(gen & 1) && gen < 2 * GENS ->
		d_step {
#ifdef MODE_CALL
			mode_call = true;
#endif
			gen++;
			calls = CALLS;
			at = 2;
		}
	   /* It ends. */
	   :: !at && (gen & 1) ->
		d_step {
			was_cancelled = (slot_cancel == gen);
			at = 1;
		}
	   :: at == 1 ->
		d_step {
			gen++;
			calls = IDLE;
			at = 2;
		}
	   :: at == 2 ->
		d_step {
			if
			:: !(gen & 1) ->
				was_cancelled = was_cancelled ||
						slot_cancel == gen - 1;
				/* What it is told, and what was done, agree. */
				assert(!refused[nr(gen - 1)] || was_cancelled);
				assert(!was_cancelled || hit[nr(gen - 1)]);
			:: else
			fi;
			at = 0;
			if
			:: slot_cancel -> entry = SETTLE; enter = true;
			:: else
			fi
		}
	   :: !at && calls ->
		d_step { calls--; entry = READ; in_call = true; enter = true; }
	   :: !at && calls ->
		d_step { calls--; entry = OTHER; in_call = true; enter = true; }
#if TIMES > 0
	   :: !at && (gen & 1) && times ->
		times--;
		d_step { entry = SET_DEADLINE; enter = true; }
#endif
	   :: notify_signal || notify_resume ->
		d_step { entry = INTERRUPT; enter = true; }
	   :: !at && !(gen & 1) -> break;
	   fi;

	   do
	   :: !enter -> break;
	   :: else ->
		moved = false;
		result = NOTHING;
		if
		:: entry == READ || entry == OTHER -> sleep_for_data();
		:: entry == SETTLE -> rpcc_deliver();	/* rpcc_device_settle() */
#if TIMES > 0
		:: entry == SET_DEADLINE ->	/* rpcc_device_deadline() */
			if
			:: rpcc_timer_deadline(true);
			:: deadline -> rpcc_timer_deadline(false);
			fi;
			rpcc_deliver();
#endif
		:: entry == INTERRUPT
		fi;
		exit_to_user_mode_loop();
		enter = (result == RESTART);
	   od
	od
}

/* rpcc_deliver_queue(): task_work_add() with its mode of notification */
inline rpcc_deliver_wake()
{
	if
	:: atomic { !queued -> queued = true };
		work_listed = true;
		if
		:: atomic { !notify_signal -> notify_signal = true };
			asleep = false;		/* wake_up_state() */
		:: notify_signal
		fi
	:: queued
	fi
}

inline rpcc_deliver_note()
{
	if
	:: atomic { !noted -> noted = true };
		note_listed = true;
		notify_resume = true;
	:: noted
	fi
}

/*
 * rpcc_deliver_can_wait(): what is read one after the other is.  The check
 * that the thread has not slept twice meanwhile is left out: it is not needed
 * for this.
 */
inline rpcc_deliver_can_wait()
{
	can_wait = false;
	if
	:: !asleep
	:: else ->
		seen = entry;
		if
		:: !asleep
		:: else ->
			if
			:: !(gen & 1) -> can_wait = true;
			:: else -> can_wait = !mode_call && seen != READ;
			fi
		fi
	fi
}

/* rpcc_deliver_kick() */
inline rpcc_deliver_kick()
{
	rpcc_deliver_can_wait();
	if
	:: can_wait ->
		rpcc_deliver_note();
#ifndef MUTATE_ONE_LOOK
		rpcc_deliver_can_wait();
#endif
	:: else
	fi;
	if
	:: !can_wait -> rpcc_deliver_wake();
	:: else
	fi
}

/* rpcc_cancel_locked(), with rpcc_cancel_again() */
inline rpcc_cancel_locked()
{
	d_step {
		now = gen;
		if
		:: !want -> want = (now & 1 -> now : NEXT);
		:: else
		fi;
		if
		:: want != NEXT && want != now	/* RPCCANCEL_RESULT_TOO_LATE */
		:: else ->
			accepted = true;
			if
			:: want != NEXT ->
				asked[nr(want)] = true;
				asked_at_once[nr(want)] =
					asked_at_once[nr(want)] ||
					(period == AT_ONCE);
			:: else
			fi;
			if
			:: pending == want || pending == NEXT ->
				grace = (period < grace -> period : grace);
				reason = reason | REASON_CANCEL;
			:: else ->
				if
				:: pending -> rpcc_deliver_outcome();
				:: else
				fi;
				next_accepted = next_accepted + (want == NEXT);
				pending = want;
				reason = REASON_CANCEL;
				grace = period;
				grace_end = false;
				told = false;
			fi
		fi
	}
}

/* RPCCANCEL_IOC_CANCEL, of the call at hand or of one that was seen before */
active [CANCELS] proctype canceller()
{
	byte want, now, period = INFINITE;
	bool can_wait, accepted;
	mtype:entry seen;

	if
	:: want = 0;
	:: d_step { gen & 1 -> want = gen }
	fi;
#ifdef MODE_CALL
	if
	:: period = AT_ONCE;
	:: period = FINITE;
	:: true			/* INFINITE */
	fi;
#endif
	rpcc_cancel_locked();
	if
	:: accepted -> rpcc_deliver_kick();
	:: else
	fi
}

/* The irq_work: as soon as the run queue lock is released, on any processor. */
active proctype rpcc_rearm_kick()
{
end:
	do
	:: atomic { kick_queued -> kick_queued = false; kick_busy = true };
		rpcc_deliver_wake();
		kick_busy = false;
	od
}

/* Who sends data, or does not. */
active proctype peer()
{
	byte count = DATA;

	do
	:: count ->
		d_step {
			count--;
			data++;
			asleep = false;
		}
	:: break;
	od
}

#if TIMES > 0 || defined(MODE_CALL)
/* rpcc_timer_expire() */
inline rpcc_timer_expire()
{
	before = reason;
	if
	:: grace_end && grace_due ->
		grace_end = false;
		reason = reason | REASON_GRACE;
	:: else
	fi;
	if
#ifdef MUTATE_DEADLINE
	:: deadline && deadline_due && (gen & 1) ->
		deadline_gen = gen;
#else
	:: deadline && deadline_due && gen == deadline_gen ->
#endif
		if
		:: pending == NEXT -> take_next(deadline_gen);
		:: !pending -> pending = deadline_gen;
		:: else
		fi;
		if
		:: pending == deadline_gen -> reason = reason | REASON_DEADLINE;
		:: else
		fi
	:: else
	fi;
	due = (reason != before);
	if
	:: due -> rpcc_timer_program();
	:: else
	fi
}

/* rpcc_timer_fn() */
active proctype rpcc_timer_fn()
{
	byte before;
	bool due, can_wait;
	mtype:entry seen;

end:
	do
	:: d_step {
		(timer_deadline && deadline_due) || (timer_grace && grace_due) ->
			timer_deadline = false;
			timer_grace = false;
	   };
	   d_step { rpcc_timer_expire(); };
	   if
	   :: due -> rpcc_deliver_kick();
	   :: else
	   fi
	od
}

/* Time passes, or it does not. */
active proctype clock()
{
end:
	do
	:: d_step {
		deadline && !deadline_due ->
			deadline_due = true;
			if
			:: gen == deadline_gen -> expired[nr(gen)] = true;
			:: else
			fi
	   }
	:: d_step {
		grace_end && !grace_due ->
			grace_due = true;
			if
			:: pending == gen -> grace_over[nr(gen)] = true;
			:: else
			fi
	   }
	:: break;
	od
}
#endif
