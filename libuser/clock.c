// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Time, in nanoseconds of CLOCK_MONOTONIC. Without a system call: both clocks
 * are read in the vDSO.
 */
#include <time.h>

#include "internal.h"

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t rpcc_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

/* For what people look at: a few milliseconds old, and half the price. */
uint64_t rpcc_now_coarse(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

/* A period too long for the clock has no end. */
uint64_t rpcc_deadline(uint64_t timeout)
{
	uint64_t now = rpcc_now();

	if (timeout >= INT64_MAX - now)
		return RPCCANCEL_INFINITE;
	return now + timeout;
}

/* Microsoft's unit. Negative ones have been sorted out: -1 is infinite. */
uint64_t rpcc_seconds(long seconds)
{
	if (seconds < 0 || seconds > INT64_MAX / 1000000000)
		return RPCCANCEL_INFINITE;
	return (uint64_t)seconds * 1000000000;
}
