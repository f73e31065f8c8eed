// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Cancels at random moments against a thread that makes one call after another.
 * A cancel that names a call's generation hits that call or none, and what the
 * canceller is told is what became of the call. RPCCANCEL_RACES is how many.
 *
 * The canceller notes the generation of each cancel that was accepted; the
 * caller notes that of each call that was hit. A hit of a generation that
 * nobody cancelled is one of the next call: that must not happen.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "testing.h"

static struct server server;

/* By generation, modulo the size, which is more than can be under way. */
#define SLOTS 65536
static _Atomic uint64_t cancelled[SLOTS];

static struct race {
	struct caller caller;
	atomic_bool stop;
	/* the caller's */
	_Atomic uint64_t answered, hit, failed, wrong;
	uint64_t last;			       /* generation, after a call */
	uint64_t accepted, late, other;	       /* the canceller's */
} race;

static uint64_t generation(void *handle)
{
	struct rpccancel_info info = { 0 };

	if (rpccancel_thread_info(handle, &info) != RPC_S_OK)
		die("rpccancel_thread_info");
	return info.gen;
}

/* Whether the canceller has noted one of the generations between these. */
static bool was_cancelled(uint64_t from, uint64_t to)
{
	for (uint64_t gen = from | 1; gen < to; gen += 2)
		if (cancelled[gen / 2 % SLOTS] == gen)
			return true;
	return false;
}

/* The calls of this thread since the last have had the generations between. */
static void count_call(struct race *r, RPC_STATUS status)
{
	uint64_t gen = generation(r->caller.handle);

	switch (status) {
	case RPC_S_OK:
		r->answered++;
		break;
	case RPC_S_CALL_CANCELLED:
		r->hit++;
		r->wrong += !was_cancelled(r->last, gen);
		break;
	default:
		r->failed++;
		printf("# a call failed with %d\n", status);
		break;
	}
	r->last = gen;
}

static RPC_STATUS call_all(struct caller *c)
{
	while (!race.stop && race.failed < 10)
		count_call(&race, slow_null(c->binding));
	return RPC_S_OK;
}

static void cancel_once(struct race *r)
{
	struct rpccancel_request request = {
		.size = sizeof(request),
		.until = RPCCANCEL_UNTIL_REQUESTED,
		.gen = generation(r->caller.handle),
	};

	if (!(request.gen & 1)) {
		r->late++;
		return;
	}
	cancelled[request.gen / 2 % SLOTS] = request.gen;
	if (rpccancel_cancel(r->caller.handle, &request) != RPC_S_OK)
		r->other++;
	else if (request.result == RPCCANCEL_RESULT_TOO_LATE)
		r->late++;
	else
		r->accepted++;
}

static void pause_briefly(uint32_t *seed)
{
	struct timespec ts = { 0, rand_r((unsigned int *)seed) % 60000 };

	nanosleep(&ts, NULL);
}

/* However slow the machine is, there is to be some of both. */
static bool is_enough(struct race *r, uint64_t until)
{
	return (r->hit && r->answered) || now_ms() > until;
}

static void named_cancels(enum protseq protseq, long races)
{
	uint32_t seed = setting("RPCCANCEL_SEED", getpid());

	memset(&race, 0, sizeof(race));
	memset(cancelled, 0, sizeof(cancelled));
	caller_start(&race.caller, server_bind(&server, protseq));
	caller_call(&race.caller, call_null);
	caller_go(&race.caller, call_all);
	for (long i = 0; i < races; i++) {
		cancel_once(&race);
		if (i % 2)
			pause_briefly(&seed);
	}
	for (uint64_t until = now_ms() + PATIENCE; !is_enough(&race, until);) {
		sleep_ms(WHILE);
		cancel_once(&race);
	}
	race.stop = true;
	ok(caller_wait(&race.caller), "%s: the caller comes to an end",
	   protseq_names[protseq]);
	printf("# seed %u, %ld cancels: %lu accepted, %lu too late\n", seed,
	       races, (long)race.accepted, (long)race.late);
	printf("# calls: %lu answered, %lu cancelled\n", (long)race.answered,
	       (long)race.hit);
	is(race.wrong, 0, "no call was hit by a cancel of another");
	is(race.failed, 0, "no call failed otherwise");
	is(race.other, 0, "no cancel failed");
	ok(race.hit <= race.accepted, "not more calls hit than cancels taken");
	ok(race.hit && race.answered, "some calls were hit, some answered");
	is(caller_call(&race.caller, call_null), RPC_S_OK,
	   "nothing is left for the next call");
	caller_stop(&race.caller);
}

/*
 * RpcCancelThreadEx() names no call: an idle thread's next call is hit, once.
 * So the calls hit are not more than the cancels, and then none is left.
 */
static void unnamed_cancels(enum protseq protseq, long races)
{
	uint32_t seed = setting("RPCCANCEL_SEED", getpid());
	RPC_STATUS status = RPC_S_OK;

	memset(&race, 0, sizeof(race));
	caller_start(&race.caller, server_bind(&server, protseq));
	caller_go(&race.caller, call_all);
	for (long i = 0; i < races && status == RPC_S_OK; i++) {
		status = RpcCancelThreadEx(race.caller.handle, 0);
		if (i % 2)
			pause_briefly(&seed);
	}
	is(status, RPC_S_OK, "RpcCancelThreadEx at random moments");
	race.stop = true;
	ok(caller_wait(&race.caller), "%s: the caller comes to an end",
	   protseq_names[protseq]);
	printf("# seed %u: %ld cancels; calls: answered %lu, cancelled %lu\n",
	       seed, races, (long)race.answered, (long)race.hit);
	ok(race.hit && race.hit <= (uint64_t)races,
	   "not more calls hit than cancels");
	is(race.failed, 0, "no call failed otherwise");
	caller_call(&race.caller, call_null); /* the last may hit this one */
	is(caller_call(&race.caller, call_null), RPC_S_OK,
	   "nothing is left for the call after the next");
	caller_stop(&race.caller);
}

int main(void)
{
	long races = setting("RPCCANCEL_RACES", 100000);
	/* Datagrams that are abandoned take longer. */
	long fewer = races / 50 > 500 ? races / 50 : 500;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# engine %s, back end %s\n", rpccancel_engine_name(),
	       rpccancel_backend_name());
	server_start(&server, NULL);
	named_cancels(TCP, races);
	named_cancels(UDP, fewer);
	unnamed_cancels(TCP, races / 10);
	unnamed_cancels(UDP, fewer);
	ok(server_stop(&server), "the server ends well");
	return tap_end();
}
