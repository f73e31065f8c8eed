// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A cancel that comes at a random point around the entry to a blocking read().
 * None may be lost, none may hit the call after, none may be told twice, and
 * what the canceller was told must add up to what the thread has seen.
 *
 * usage: race_entry_test [ITERATIONS [RACE]]
 *	50000 by default, 1000000 with RPCCANCEL_NIGHTLY=1 in the environment,
 *	and a fifth of that for each of the other races; RACE, from 1 to 4, runs
 *	only that one;
 *	RPCCANCEL_SEED=n repeats a run, RPCCANCEL_WATCHDOG=ms is for how long a
 *	cancel may take before it counts as lost
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "rpccancel_util.h"

enum mode {
	EXACT,	/* the generation by its number, once it has begun */
	ANY,	/* whatever is current, or comes next; also before it begins */
	END,	/* by its number, while it may also end by itself */
	SHORT,	/* by its number, while one call follows the other */
	MODES,
};

static const char * const mode_names[] = {
	[EXACT]	= "cancel of one generation around the entry to read()",
	[ANY]	= "cancel of any generation around the entry to read()",
	[END]	= "cancel of one generation around its end",
	[SHORT]	= "cancel of one generation among many short ones",
};

static struct {
	enum mode mode;
	long iterations;
	int watchdog;
	uint32_t seed;
	int pipe[2], sync[2];
	atomic_bool stop;

	/* The iteration that the thread has announced, and has finished. */
	atomic_int ready, over;
	atomic_ulong gen;
	long ret;		/* of read() */
	uint64_t refused;	/* in this generation */
	long byte;		/* whether the byte has come after all */

	/* What must stay 0. */
	long lost, hit_next, duplicated, wrong_result, wrong_count, wrong_data;
	/* What must add up. */
	long requests, delivered, ended, too_late;
	/* What is good to know. */
	long answer[RPCCANCEL_RESULT_ENDED + 1];
} race;

/* One thing that must not be; the first few are shown. */
static void wrong(long *counter, const char *what, uint64_t gen, int answer,
		  int final)
{
	if (++*counter > 5)
		return;
	ksft_print_msg("generation %llu: %s; answer \"%s\", in the end \"%s\"\n",
		       (unsigned long long)gen, what, rc_result_name(answer),
		       rc_result_name(final));
	ksft_print_msg("  read() gave %ld, refused %llu\n", race.ret,
		       (unsigned long long)race.refused);
}

static void spin(uint32_t turns)
{
	for (volatile uint32_t i = 0; i < turns; i++)
		;
}

/* Times that are spread over all magnitudes, as are the races. */
static void random_delay(uint32_t *seed)
{
	spin(rc_random(seed, 1u << rc_random(seed, 13)));
}

/* The canceller's: it is to come before the call, in it and behind it. */
static void random_moment(uint32_t *seed)
{
	spin(rc_random(seed, 1u << rc_random(seed, 16)));
}

/*
 * Waiting for the other side: for a moment as a race wants it, then asleep, as
 * a machine wants it that has other things to do.
 */
static void announce(atomic_int *counter, int value)
{
	*counter = value;
	syscall(SYS_futex, counter, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool wait_for(atomic_int *counter, int value, int timeout)
{
	uint64_t end;
	struct timespec ts = { 1, 0 };
	int seen;

	for (int turns = 0; turns < 20000; turns++) {
		if (*counter >= value)
			return true;
		if (turns > 200)
			sched_yield();
	}
	end = rc_now() + timeout * RC_NSEC_PER_MSEC;
	while ((seen = *counter) < value) {
		if (race.stop || rc_now() > end)
			return false;
		syscall(SYS_futex, counter, FUTEX_WAIT_PRIVATE, seen, &ts, NULL,
			0);
	}
	return true;
}

/*
 * A scope of its own, with a call that sleeps until the canceller has done its
 * work: whatever hits it is wrong.
 */
static void check_next(struct rc_thread *t)
{
	uint64_t refused = t->slot->refused;
	char byte;

	rc_begin_scope(t->dev, t->slot);
	if (read(race.sync[0], &byte, 1) != 1 || t->slot->cancel ||
	    t->slot->refused != refused) {
		race.hit_next++;
		rc_end(t->dev, t->slot);
		if (t->slot->refused != refused && read(race.sync[0], &byte, 1))
			return;
	}
	rc_end(t->dev, t->slot);
}

static long target(struct rc_thread *t)
{
	struct rpccancel_slot *slot = t->slot;
	uint32_t seed = race.seed ^ 0x5bd1e995;
	uint64_t refused;
	char byte;

	rc_pin(1);
	for (long i = 1; i <= race.iterations; i++) {
		refused = slot->refused;
		if (race.mode == ANY) {
			race.gen = slot->gen + 1;
			announce(&race.ready, i);
			random_delay(&seed);
			rc_begin_scope(t->dev, slot);
		} else {
			race.gen = rc_begin_scope(t->dev, slot);
			announce(&race.ready, i);
		}
		random_delay(&seed);
		race.ret = read(race.pipe[0], &byte, 1);
		if (race.ret < 0)
			race.ret = -errno;
		race.refused = slot->refused - refused;
		if (race.refused && slot->cancel != race.gen)
			race.wrong_count++;
		rc_end(t->dev, slot);
		check_next(t);
		race.byte = race.ret == 1;
		if (race.mode == END && race.ret < 0)
			race.byte = read(race.pipe[0], &byte, 1);
		announce(&race.over, i);
	}
	return 0;
}

/*
 * Calls that are over in no time: what is told in one of them must have been
 * meant for it.  A cancel is often overtaken on its way to this processor.
 */
static long short_calls(struct rc_thread *t)
{
	volatile struct rpccancel_slot *slot = t->slot;
	uint32_t seed = race.seed ^ 0x5bd1e995;
	uint64_t gen, cancel;

	rc_pin(1);
	gen = rc_begin_scope(t->dev, t->slot);
	announce(&race.ready, 1);
	while (!race.stop) {
		random_delay(&seed);
		cancel = slot->cancel;
		if (cancel && (cancel != gen || gen != race.gen))
			race.hit_next++;
		gen = rc_next(t->dev, t->slot);
	}
	rc_end(t->dev, t->slot);
	return 0;
}

/* What the handle has to tell about this generation, which is over. */
static void check_event(int handle, uint64_t gen, int answer, int final)
{
	bool told = final == RPCCANCEL_RESULT_ENDED;
	struct rpccancel_event ev;
	ssize_t ret = read(handle, &ev, sizeof(ev));

	if (ret < 0 && errno == EAGAIN) {
		if (told)
			wrong(&race.wrong_result, "no event", gen, answer,
			      final);
	} else if (ret != sizeof(ev) || !told || ev.gen != gen) {
		wrong(&race.wrong_result, "wrong event", gen, answer, final);
	} else if (ev.count != 1) {
		race.duplicated++;
	}
}

static void feed(const int *pipe)
{
	if (write(pipe[1], "x", 1) != 1)
		ksft_exit_fail_msg("write: %s\n", strerror(errno));
}

/* The thread has not come out: let it go, if it goes. */
static bool lost(long i)
{
	race.lost++;
	if (race.lost > 3)
		return false;
	if (race.mode != END)
		feed(race.pipe);
	return wait_for(&race.over, i, race.watchdog);
}

static bool one_cancel(int handle, long i, uint32_t *seed)
{
	struct rpccancel_cancel c;
	bool early = rc_random(seed, 2);
	uint64_t gen = race.gen;
	int ret, final;

	random_moment(seed);
	if (race.mode == END && early) {
		feed(race.pipe);
		random_moment(seed);
	}
	ret = rc_cancel(handle, race.mode == ANY ? RPCCANCEL_GEN_ANY : gen, 0,
			&c);
	if (race.mode == END && !early) {
		random_delay(seed);
		feed(race.pipe);
	}
	race.requests++;
	random_delay(seed);
	feed(race.sync);
	if (ret || c.result > RPCCANCEL_RESULT_ENDED) {
		race.wrong_result++;
		ksft_print_msg("cancel: %s\n", strerror(-ret));
		return false;
	}
	race.answer[c.result]++;
	if (!wait_for(&race.over, i, race.watchdog) && !lost(i))
		return false;

	final = rc_wait(handle, gen, RPCCANCEL_WAIT_ENDED, race.watchdog);
	if (c.result == RPCCANCEL_RESULT_TOO_LATE)
		final = RPCCANCEL_RESULT_TOO_LATE;
	if (race.ret == -ECANCELED)
		race.delivered++;
	else if (final == RPCCANCEL_RESULT_ENDED)
		race.ended++;
	else if (final == RPCCANCEL_RESULT_TOO_LATE)
		race.too_late++;
	else
		wrong(&race.wrong_result, "no end", gen, c.result, final);

	/* Refused exactly once, and never behind the canceller's back. */
	if (race.refused != (race.ret == -ECANCELED))
		wrong(&race.wrong_count, "wrong count", gen, c.result, final);
	if (race.refused && final != RPCCANCEL_RESULT_ENDED)
		wrong(&race.wrong_result, "wrong end", gen, c.result, final);
	if (race.mode != END && race.ret != -ECANCELED)
		race.lost += race.ret != 1;
	if (race.mode == END && race.byte != 1)
		race.wrong_data++;
	if ((race.mode != ANY && c.result == RPCCANCEL_RESULT_NEXT) ||
	    (race.mode != END && c.result == RPCCANCEL_RESULT_TOO_LATE))
		wrong(&race.wrong_result, "wrong answer", gen, c.result, final);
	check_event(handle, gen, c.result, final);
	return true;
}

static bool one_short_cancel(struct rc_thread *t)
{
	volatile struct rpccancel_slot *slot = t->slot;
	struct rpccancel_cancel c;
	uint64_t gen;
	int ret;

	do {
		gen = slot->gen;
	} while (!(gen & 1));
	race.gen = gen;
	ret = rc_cancel(t->handle, gen, 0, &c);
	race.requests++;
	if (ret || (c.result != RPCCANCEL_RESULT_PENDING &&
		    c.result != RPCCANCEL_RESULT_TOO_LATE)) {
		wrong(&race.wrong_result, "wrong answer", gen, c.result, ret);
		return false;
	}
	race.answer[c.result]++;
	ret = c.result;
	if (ret == RPCCANCEL_RESULT_PENDING)
		ret = rc_wait(t->handle, gen, RPCCANCEL_WAIT_ENDED,
			      race.watchdog);
	if (ret == RPCCANCEL_RESULT_ENDED)
		race.ended++;
	else if (ret == RPCCANCEL_RESULT_TOO_LATE)
		race.too_late++;
	else
		wrong(&race.wrong_result, "no end", gen, c.result, ret);
	check_event(t->handle, gen, c.result, ret);
	return race.wrong_result < 100;
}

static bool run(enum mode mode, long iterations)
{
	struct rc_thread thread;
	uint32_t seed;
	uint64_t start = rc_now();
	long done = 0;
	int dev, ret;
	bool ok;

	memset(&race, 0, sizeof(race));
	race.mode = mode;
	race.iterations = iterations;
	race.watchdog = rc_env("RPCCANCEL_WATCHDOG", RC_PATIENCE);
	race.seed = rc_env("RPCCANCEL_SEED", start >> 10 | 1);
	seed = race.seed;
	dev = rc_open_device();
	if (dev < 0 || pipe(race.pipe) || pipe(race.sync))
		ksft_exit_fail_msg("no device or no pipe\n");
	ret = rc_start(&thread, dev, mode == SHORT ? short_calls : target,
		       NULL);
	if (ret)
		ksft_exit_fail_msg("attach: %s\n", strerror(-ret));
	rc_set_nonblock(thread.handle, true);
	rc_pin(0);

	for (long i = 1; i <= iterations; i++) {
		if (!wait_for(&race.ready, mode == SHORT ? 1 : i,
			      race.watchdog)) {
			race.lost++;
			break;
		}
		if (mode == SHORT ? !one_short_cancel(&thread) :
				    !one_cancel(thread.handle, i, &seed))
			break;
		done++;
	}
	race.stop = true;
	/* A thread that stays blocked goes with the process. */
	ret = rc_join(&thread, race.lost ? 1000 : RC_PATIENCE);
	ok = !ret && done == iterations && !race.lost && !race.hit_next &&
	     !race.duplicated && !race.wrong_result && !race.wrong_count &&
	     !race.wrong_data &&
	     race.delivered + race.ended + race.too_late == race.requests;

	ksft_print_msg("%ld of %ld iterations in %llu ms, seed %u\n", done,
		       iterations, (rc_now() - start) / RC_NSEC_PER_MSEC,
		       race.seed);
	ksft_print_msg("lost %ld, hit the next call %ld, duplicated %ld\n",
		       race.lost, race.hit_next, race.duplicated);
	ksft_print_msg("wrong results %ld, wrong counts %ld, wrong data %ld\n",
		       race.wrong_result, race.wrong_count, race.wrong_data);
	ksft_print_msg("%ld requests: %ld delivered, %ld ended, %ld too late\n",
		       race.requests, race.delivered, race.ended,
		       race.too_late);
	for (int r = 0; r <= RPCCANCEL_RESULT_ENDED; r++)
		if (race.answer[r])
			ksft_print_msg("answered \"%s\": %ld\n",
				       rc_result_name(r), race.answer[r]);
	close(race.pipe[0]);
	close(race.pipe[1]);
	close(race.sync[0]);
	close(race.sync[1]);
	close(dev);
	return ok;
}

int main(int argc, char **argv)
{
	long iterations = rc_env("RPCCANCEL_NIGHTLY", 0) ? 1000000 : 50000;
	int only = argc > 2 ? atoi(argv[2]) - 1 : -1;
	bool ok;

	if (argc > 1)
		iterations = atol(argv[1]);
	rc_need_device();
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	ksft_set_plan(only < 0 ? MODES : 1);
	for (int mode = 0; mode < MODES; mode++) {
		if (only >= 0 && mode != only)
			continue;
		ok = run(mode, mode == EXACT || only >= 0 ? iterations :
							    iterations / 5);
		ksft_test_result(ok, "%s\n", mode_names[mode]);
		/* The lost thread still uses what the next race needs. */
		if (race.lost)
			ksft_exit_fail_msg("a thread is still blocked\n");
	}
	ksft_finished();
}
