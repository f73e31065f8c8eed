/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Results in the Test Anything Protocol, for the tests that need no kernel.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_count, tap_failed;

static inline __attribute__((format(printf, 2, 3))) bool
ok(bool good, const char *format, ...)
{
	va_list args;

	printf("%sok %d - ", good ? "" : "not ", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	tap_failed += !good;
	return good;
}

static inline bool is_value(long long got, long long want, const char *what)
{
	bool good = ok(got == want, "%s", what);

	if (!good)
		printf("# got %lld, expected %lld\n", got, want);
	return good;
}

/* got and want are evaluated once. */
#define is(got, want, what) is_value((long long)(got), (long long)(want), what)

static inline int tap_end(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

static inline void tap_skip_all(const char *why)
{
	printf("1..0 # SKIP %s\nok # SKIP %s\n", why, why);
	exit(0);
}

#endif /* TAP_H */
