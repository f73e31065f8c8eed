// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Many threads that make calls of all kinds, and one that cancels them at
 * random. Every call comes back, as answered, cancelled or, on purpose, as
 * refused by its stub; the server has as many stubs leave as enter.
 * RPCCANCEL_SECONDS is for how long, RPCCANCEL_THREADS how many.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "testing.h"

#define THREADS_MAX 256

static struct server server;
static atomic_bool stop;

static struct worker {
	struct caller caller; /* first: call_many() gets it back from there */
	unsigned int seed;
	uint64_t calls, answered, cancelled, raised, failed, wrong;
} workers[THREADS_MAX];

static void count(struct worker *w, RPC_STATUS status)
{
	w->calls++;
	switch (status) {
	case RPC_S_OK:
		w->answered++;
		break;
	case RPC_S_CALL_CANCELLED:
	case RPC_S_CALL_FAILED:
		w->cancelled++;
		break;
	case RPC_S_ZERO_DIVIDE:
		w->raised++;
		break;
	default:
		if (!w->failed++)
			printf("# a call failed with %d\n", status);
		break;
	}
}

static RPC_STATUS add(struct worker *w)
{
	uint32_t in = rand_r(&w->seed), out = 0;
	RPC_STATUS status = echo_add_one(w->caller.binding, in, &out);

	w->wrong += status == RPC_S_OK && out != in + 1;
	return status;
}

static RPC_STATUS move(struct worker *w)
{
	uint8_t in[20000], out[20000];
	uint32_t size = rand_r(&w->seed) % sizeof(in);
	RPC_STATUS status;

	memset(in, rand_r(&w->seed), size);
	memset(out, ~in[0], size);
	status = echo_data(w->caller.binding, in, out, size);
	w->wrong += status == RPC_S_OK && memcmp(in, out, size);
	return status;
}

static RPC_STATUS call_many(struct caller *c)
{
	struct worker *w = (struct worker *)c;
	uint32_t flags;

	while (!stop) {
		switch (rand_r(&w->seed) % 8) {
		case 0:
			flags = rand_r(&w->seed) % 4;
			count(w, slow_stay(c->binding, rand_r(&w->seed) % 20,
					   flags, &c->result));
			break;
		case 1:
			count(w, slow_raise(c->binding, RPC_S_ZERO_DIVIDE));
			break;
		case 2:
		case 3:
			count(w, move(w));
			break;
		default:
			count(w, add(w));
			break;
		}
	}
	return RPC_S_OK;
}

/* Grace or none, at once or after a while. */
static unsigned int cancel_some(unsigned int threads, int seconds)
{
	unsigned int seed = setting("RPCCANCEL_SEED", getpid()), failed = 0;
	uint64_t until = now_ms() + 1000 * seconds;
	struct timespec ts = { 0 };
	void *handle;

	printf("# seed %u\n", seed);
	while (now_ms() < until) {
		handle = workers[rand_r(&seed) % threads].caller.handle;
		if (rand_r(&seed) % 2)
			failed += RpcCancelThreadEx(handle, 0) != RPC_S_OK;
		else
			failed += RpcCancelThread(handle) != RPC_S_OK;
		ts.tv_nsec = rand_r(&seed) % 1000000;
		nanosleep(&ts, NULL);
	}
	return failed;
}

static void report(unsigned int threads)
{
	struct worker sum = { .seed = 0 };

	for (unsigned int i = 0; i < threads; i++) {
		sum.calls += workers[i].calls;
		sum.answered += workers[i].answered;
		sum.cancelled += workers[i].cancelled;
		sum.raised += workers[i].raised;
		sum.failed += workers[i].failed;
		sum.wrong += workers[i].wrong;
	}
	printf("# %lu calls: %lu answered, %lu cancelled, %lu raised\n",
	       (long)sum.calls, (long)sum.answered, (long)sum.cancelled,
	       (long)sum.raised);
	is(sum.answered + sum.cancelled + sum.raised + sum.failed, sum.calls,
	   "every call came back once");
	is(sum.failed, 0, "none failed otherwise");
	is(sum.wrong, 0, "no answer was another call's");
	ok(sum.answered && sum.cancelled && sum.raised, "there were all kinds");
}

/* Some threads share a binding, some have their own. */
static void load(enum protseq protseq, unsigned int threads, int seconds)
{
	RPC_BINDING_HANDLE shared = server_bind(&server, protseq), binding;
	struct slow_counts counts;
	bool all = true;

	printf("# %s\n", protseq_names[protseq]);
	memset(workers, 0, sizeof(workers));
	stop = false;
	for (unsigned int i = 0; i < threads; i++) {
		if (i % 2)
			binding = server_bind(&server, protseq);
		else if (RpcBindingCopy(shared, &binding) != RPC_S_OK)
			die("RpcBindingCopy");
		caller_start(&workers[i].caller, binding);
		workers[i].seed = i + 1;
	}
	for (unsigned int i = 0; i < threads; i++)
		caller_go(&workers[i].caller, call_many);
	is(cancel_some(threads, seconds), 0, "no cancel failed");
	stop = true;
	for (unsigned int i = 0; i < threads; i++)
		all &= caller_wait(&workers[i].caller);
	if (!ok(all, "all threads come to an end"))
		die("threads are left");
	report(threads);
	for (unsigned int i = 0; i < threads; i++)
		caller_stop(&workers[i].caller);
	RpcBindingFree(&shared);
	counts = server_counts(&server);
	ok(server_wait_left(&server, counts.entered), "all stubs have ended");
}

int main(void)
{
	unsigned int threads = setting("RPCCANCEL_THREADS", 64);
	int seconds = setting("RPCCANCEL_SECONDS", 4);

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# engine %s, back end %s\n", rpccancel_engine_name(),
	       rpccancel_backend_name());
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	server_start(&server, NULL);
	load(TCP, threads, seconds);
	load(UDP, threads / 4, seconds);
	ok(server_stop(&server), "the server ends well");
	return tap_end();
}
