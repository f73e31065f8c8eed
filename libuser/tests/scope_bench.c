// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What a scope costs its thread: "make bench". The back end is not asked
 * between begin and end, so it does not matter that it is not the kernel's.
 */
#include <time.h>

#include <rpccancel.h>

#include "tap.h"

#define ROUNDS 2000000ULL
#define TRIES  10

static struct rpccancel_scope scope;

static void begin_end(void)
{
	rpccancel_scope_begin(&scope, NULL);
	rpccancel_scope_end(&scope);
}

static void test(void)
{
	rpccancel_scope_test();
}

static void nothing(void)
{
	__asm__ volatile("");
}

/* Time on the processor: other programs may be running. */
static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void bench(const char *what, void (*fn)(void))
{
	double best = 1e9;
	uint64_t i;
	int try;

	for (try = 0; try < TRIES; try++) {
		double start = now(), ns;

		for (i = 0; i < ROUNDS; i++)
			fn();
		ns = (now() - start) / (double)ROUNDS;
		if (ns < best)
			best = ns;
	}
	printf("%-20s %6.1f ns\n", what, best);
}

int main(void)
{
	struct rpccancel_scope outer;

	bench("an empty function", nothing);
	bench("begin + end", begin_end);
	rpccancel_scope_begin(&outer, NULL);
	bench("begin + end, nested", begin_end);
	bench("test", test);
	return 0;
}
