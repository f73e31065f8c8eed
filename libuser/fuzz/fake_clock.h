/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A clock in place of the library's, for fuzzers whose input decides how time
 * passes. To be included once in a program.
 */
#ifndef FAKE_CLOCK_H
#define FAKE_CLOCK_H

#include "internal.h"

static uint64_t now;

uint64_t rpcc_now(void)
{
	return now;
}

uint64_t rpcc_now_coarse(void)
{
	return now;
}

uint64_t rpcc_deadline(uint64_t timeout)
{
	return now + timeout;
}

uint64_t rpcc_seconds(long seconds)
{
	return (uint64_t)seconds * 1000000000;
}

#endif /* FAKE_CLOCK_H */
