/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the parties of the soak test count, in memory that they share.
 *
 * Each thread that is cancelled has an account.  It is the only one to write its
 * own half; its canceller, of which it has one, is the only one to write the
 * other.  Both count what they begin before they begin it, and how it ended
 * afterwards, so whoever is killed leaves at most one thing that has no end.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../rpc/testing.h"

#define PER_PROCESS	100
#define MAX_PROCESSES	128
#define MAX_THREADS	(MAX_PROCESSES * PER_PROCESS)
#define CANCELLERS	4
#define SERVERS		2
/* One process in so many, the first canceller and the first server are spared. */
#define SPARE		4
/* One thread in so many makes remote calls. */
#define CALLER		5

/* What became of a cancel, as its canceller was told in the end. */
enum outcome {
	DELIVERED,	/* the scope ended, and was told */
	NEXT,		/* the thread was in none: pending, for its next scope */
	TOO_LATE,	/* the scope was over, or ended before it was told */
	ALREADY,	/* it was cancelled before */
	REFUSED,	/* the call said that it cannot be cancelled, or not so */
	GONE,		/* there was no thread */
	DIED,		/* it died before anything became of the cancel */
	OUTCOMES
};

struct account {
	/* By the thread. */
	atomic_int pid, tid;	/* 0 while it cannot be cancelled */
	atomic_ulong scopes, quiet, cancelled;
	atomic_ulong calls, answered, raised, abandoned, failed;
	/* By its canceller. */
	atomic_ulong cancels, outcomes[OUTCOMES];
	/* By the manager. */
	atomic_ulong deaths;	/* of the thread, with its process */
	atomic_ulong cut;	/* cancels whose canceller was killed meanwhile */
};

enum stage {
	RUN,
	CANCELLERS_END,
	WORKERS_END,
};

struct ledger {
	atomic_int stage;
	int threads, processes;
	int longest;		/* ms that a thread may wait */
	char binding[SERVERS][PROTSEQS][128];
	atomic_int attached;	/* threads that have come so far */
	atomic_ulong odd;	/* what must not be */
	atomic_int odd_line, odd_value;
	struct account account[MAX_THREADS];
};

extern struct ledger *ledger;

#define ODD(value)							\
	do {								\
		ledger->odd_value = (value);				\
		ledger->odd_line = __LINE__;				\
		ledger->odd++;						\
	} while (0)

/* The sums of all accounts, or of those whose process and server are spared. */
struct sums {
	unsigned long scopes, quiet, cancelled, scopes_cut;
	unsigned long calls, answered, raised, abandoned, failed, calls_cut;
	unsigned long cancels, outcomes[OUTCOMES], cancels_cut;
	unsigned long lost;	/* cancels that took effect, and no scope tells of */
	unsigned long deaths;
	unsigned int bad;	/* accounts that do not add up */
};

bool is_spared(int process);
void add_up(struct sums *s, bool spared);
void print_sums(const struct sums *s);

/* What the processes do; these return at the end of the test only. */
void worker_main(int process, uint32_t seed);
void canceller_main(int number, uint32_t seed);

#endif /* LEDGER_H */
