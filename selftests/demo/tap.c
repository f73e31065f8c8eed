// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What the tables claim about our row, as test results (TAP). */
#include "demo.h"

#include <stdarg.h>
#include <stdio.h>

#define KSFT_SKIP 4

static unsigned int tests, failed;

__printf(3, 4)
static void check(bool ok, const struct library *l, const char *format, ...)
{
	va_list args;

	printf("%s %u %s: ", ok ? "ok" : "not ok", ++tests, l->name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	failed += !ok;
}

static void check_library(const struct library *l)
{
	const struct report *r = trial_run(l, ours);
	const struct attempt *first = &r->first, *second = &r->second;

	printf("# %s, %s\n", l->version(), l->title);
	if (r->problem[0])
		printf("# %s\n", r->problem);
	printf("# first call: %s, after %.1f ms; second call: %s%s\n",
	       first->answer.text, first->ms,
	       second->end == STUCK ? "stuck in " : "",
	       second->end == STUCK ? second->where : second->answer.text);
	check(r->complete && r->status == RPC_S_OK && r->tid, l,
	      "RpcCancelThreadEx() succeeds");
	check(first->end == RETURNED, l,
	      "the thread comes out of the call within %d ms", limit_ms);
	check(first->end == RETURNED && first->answer.code == l->expect_code, l,
	      "with the result code %d", l->expect_code);
	if (l->expect_error)
		check(first->end == RETURNED &&
		      first->answer.error == l->expect_error, l,
		      "and errno %d", l->expect_error);
	check(r->reason, l, "rpccancel_scope_test() says so too");
	check(second->end == RETURNED, l,
	      "it lives, and returns from a second call");
	check(second->answer.ok || r->repaired.answer.ok, l,
	      "with the right answer, on the same %s%s%s", l->object,
	      l->repair ? " after " : "", l->repair ? l->repair_name : "");
	check(r->complete && !r->handled && r->mask_after == r->mask_before, l,
	      "no signal handler ran, the signal mask is as before");
}

int run_tap(const struct library *const *libraries, size_t count)
{
	char why[160];

	printf("TAP version 13\n");
	if (!module_present(why, sizeof(why))) {
		printf("1..0 # SKIP %s\n", why);
		return KSFT_SKIP;
	}
	for (size_t i = 0; i < count; i++)
		check_library(libraries[i]);
	printf("1..%u\n", tests);
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:0 error:0\n",
	       tests - failed, failed);
	return failed ? 1 : 0;
}
