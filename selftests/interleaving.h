/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What an interleaving is made of: three helpers that do what they are told, the
 * stages of the module's test build, and what must be true in the end.
 *
 * Each interleaving is a process, and has
 *
 *	TARGET		the thread that is cancelled, in a process of its own
 *	PROCESS		the first thread of that process
 *	CANCELLER	a thread beside the test itself
 *
 * A check that fails says so, with the line, and ends the interleaving; what it
 * holds at a stage is then let go.
 */
#ifndef INTERLEAVING_H
#define INTERLEAVING_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rpccancel_util.h"

/* What a program that was started by execve(2) finds as its argument. */
#define EXEC_ARG	"read-after-exec"
/* Within this what must come comes; stages wait longer or a little less. */
#define SOON		8000
/* The system call says EWOULDBLOCK for what rmmod(8) calls "in use". */
#define IN_USE		(-EWOULDBLOCK)

enum order {
	NOTHING,
	/* For the target; what it shows is up to date after each of them. */
	LOOK,
	PIN,
	ATTACH,
	DETACH,
	OPEN_SELF,
	BEGIN,
	BEGIN_CALL,
	NEXT,
	END,
	DEADLINE,	/* in so many ms, on the second processor; 0: none */
	READ,
	FUTEX,
	EXIT,
	EXEC,
	/* For its process, beside EXIT and EXEC. */
	CLOSE_DEVICE,
	/* For the canceller, beside PIN. */
	CANCEL,
	WAIT_DELIVERED,
	WAIT_ENDED,
	POLL,
	CLOSE,
	UNLOAD,
};

/* A thread that does what it is told, one thing after the other. */
struct actor {
	atomic_int tid;
	atomic_int order;	/* NOTHING when it is done */
	uint64_t arg;
	long ret;
};

/* What the processes share. */
struct shared {
	struct actor target, process, canceller;
	atomic_int futex;
	atomic_bool unmapped;	/* the target's slot is not there any more */
	/* The target's slot. */
	uint64_t gen, cancel, refused;
};

struct race {
	struct shared *s;
	pid_t pid;	/* the target's process */
	pid_t tid;	/* the target */
	int dev;	/* the test's own */
	int handle;	/* of the target */
	int pipe[2];	/* what the target reads */
	uint64_t gen;	/* that is cancelled */
	bool unloaded;	/* nothing is known of earlier stages */
	const char *armed[8];
	int n_armed;
};

extern struct race race;

#define TARGET		(&race.s->target)
#define PROCESS		(&race.s->process)
#define CANCELLER	(&race.s->canceller)

/* Saying what is wrong. */
void check(int line, const char *what, long expected, long seen);

#define CHECK(expected, seen)	check(__LINE__, #seen, expected, seen)
#define CHECK_THAT(condition)	check(__LINE__, #condition, true, !!(condition))

/* Waits until it is so. */
#define CHECK_SOON(condition)						\
	do {								\
		uint64_t _end = rc_now() + SOON * RC_NSEC_PER_MSEC;	\
		bool _so;						\
									\
		while (!(_so = (condition)) && rc_now() < _end)		\
			usleep(200);					\
		check(__LINE__, #condition, true, _so);			\
	} while (0)

/* Stages. */
struct stage {
	char state[16];
	int reached, left;	/* numbers that grow with each event */
};

bool stages_there(void);
bool is(const char *name, const char *state);
void arm_until(const char *name, pid_t tid, const char *until);
void arm(const char *name);
void watch(const char *name, pid_t tid);
void wait_reached(int line, const char *name);
void release_stage(int line, const char *name);
struct stage wait_left(int line, const char *name);

#define REACHED(name)		wait_reached(__LINE__, name)
#define RELEASE(name)		release_stage(__LINE__, name)
#define REACHED_AT(name)	wait_left(__LINE__, name).reached
#define LEFT_AT(name)		wait_left(__LINE__, name).left

/* Actors. */
void tell(struct actor *a, enum order what, uint64_t arg);
bool done(struct actor *a);
long wait_result(int line, struct actor *a);
long ask(int line, struct actor *a, enum order what, uint64_t arg);

#define RESULT(actor)		wait_result(__LINE__, actor)
/* Tells it, and waits for it. */
#define ASK(actor, order, arg)	ask(__LINE__, actor, order, arg)

/* From the start of an interleaving to its end. */
void start(void);
void finish(void);
void begin(enum order how);
void begin_read(void);
void begin_cancelled(void);
void read_asleep(void);
void feed(void);
void complete(void);
int cancel(void);
int became(void);
long events(void);
void close_all(void);
void kill_target(void);
void reap(int status);
long unload(void);
void load(void);

/* What must be. */
bool asleep_in(pid_t tid, long nr);
bool thread_gone(void);
void goes_on_reading(void);
void is_left_alone(void);
void is_refused(int error);
void is_gone(void);
void new_program_reads(void);
void over(int line, int result, int changes, int refusals);

/* The generation ends; what became of the cancel; the next is not hit. */
#define OVER(result, changes, refusals)					\
	over(__LINE__, result, changes, refusals)

#endif /* INTERLEAVING_H */
