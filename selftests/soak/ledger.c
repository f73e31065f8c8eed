// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Whether what the parties have counted adds up. */
#include <stdio.h>

#include "ledger.h"

struct ledger *ledger;

bool is_spared(int process)
{
	return process % SPARE == 0;
}

/* What has been begun and has no end: at most one for each death. */
static unsigned long cut(unsigned long begun, unsigned long ended,
			 unsigned long deaths, struct sums *s)
{
	unsigned long left = begun - ended;

	if (begun < ended || left > deaths)
		s->bad++;
	return left;
}

/*
 * A cancel that took effect is told to its canceller and to the scope. Only the
 * end of the thread can come between the two, and the end of the canceller. A
 * thread may die with two of them: one of a scope that it has left and not yet
 * counted, and one that waits for the next.
 */
static void compare(const struct account *a, struct sums *s)
{
	long effective = a->outcomes[DELIVERED] + a->outcomes[NEXT];
	long lost = effective - (long)a->cancelled;

	if (lost > 2 * (long)a->deaths || lost < -(long)a->cut)
		s->bad++;
	s->lost += lost;
}

static void add_account(const struct account *a, struct sums *s)
{
	unsigned long outcomes = 0;

	s->scopes += a->scopes;
	s->quiet += a->quiet;
	s->cancelled += a->cancelled;
	s->scopes_cut += cut(a->scopes, a->quiet + a->cancelled, a->deaths, s);
	s->calls += a->calls;
	s->answered += a->answered;
	s->raised += a->raised;
	s->abandoned += a->abandoned;
	s->failed += a->failed;
	s->calls_cut += cut(a->calls, a->answered + a->raised + a->abandoned +
			    a->failed, a->deaths, s);
	s->cancels += a->cancels;
	for (int i = 0; i < OUTCOMES; i++) {
		s->outcomes[i] += a->outcomes[i];
		outcomes += a->outcomes[i];
	}
	s->cancels_cut += a->cut;
	if (a->cancels != outcomes + a->cut)
		s->bad++;
	s->deaths += a->deaths;
	compare(a, s);
}

void add_up(struct sums *s, bool spared)
{
	*s = (struct sums){ 0 };
	for (int i = 0; i < ledger->threads; i++)
		if (!spared || is_spared(i / PER_PROCESS))
			add_account(&ledger->account[i], s);
}

void print_sums(const struct sums *s)
{
	static const char * const names[OUTCOMES] = {
		[DELIVERED] = "delivered", [NEXT] = "pending",
		[TOO_LATE] = "too late", [ALREADY] = "already",
		[REFUSED] = "refused", [GONE] = "gone", [DIED] = "died",
	};

	printf("#   %lu scopes = %lu quiet + %lu cancelled + %lu killed inside\n",
	       s->scopes, s->quiet, s->cancelled, s->scopes_cut);
	printf("#   %lu calls = %lu answered + %lu raised + %lu abandoned",
	       s->calls, s->answered, s->raised, s->abandoned);
	printf(" + %lu failed + %lu killed inside\n", s->failed, s->calls_cut);
	printf("#   %lu cancels", s->cancels);
	for (int i = 0; i < OUTCOMES; i++)
		printf("%s%lu %s", i ? " + " : " = ", s->outcomes[i], names[i]);
	printf(" + %lu killed inside\n", s->cancels_cut);
	printf("#   %lu delivered + %lu pending = %lu cancelled scopes + %ld of the killed\n",
	       s->outcomes[DELIVERED], s->outcomes[NEXT], s->cancelled,
	       (long)s->lost);
}
