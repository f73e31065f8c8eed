/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the parts of device_fuzz share.
 *
 * A program is a short list of calls for the threads of one process. They name
 * what they work on by small numbers: devices, handles, threads, which each
 * process has tables of, so any call may follow any other one.
 *
 *	device_fuzz.c	runs programs one after the other, some at a time, and
 *			keeps those that have shown something new
 *	program.c	makes, changes, writes and reads programs
 *	execute.c	runs one, in a process of its own
 *	op_*.c		what the calls do
 *	coverage.c	what is new
 */
#ifndef RPCCANCEL_FUZZ_H
#define RPCCANCEL_FUZZ_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <linux/rpccancel.h>

#include "../rpccancel_util.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

#define PROCESSES	3	/* programs that run at a time */
#define THREADS		5	/* of each program */
#define DEVICES		3
#define HANDLES		8
#define MAX_CALLS	24
#define MAX_ARGS	5

/*
 * Programs.
 */

struct call {
	uint8_t op;
	uint8_t thread;
	uint64_t args[MAX_ARGS];
};

struct program {
	unsigned int calls;
	bool collide;		/* no call waits for the one before it */
	struct call call[MAX_CALLS];
};

/* What an argument may be: how it is made up. */
enum kind {
	NONE,
	DEVICE,		/* a device of the process */
	HANDLE,		/* a handle of the process */
	THREAD,		/* a thread of the process */
	PEER,		/* a thread of any program that runs now */
	SMALL,		/* which of a few ways */
	NUMBER,		/* any, but rather a telling one */
	SIZE,		/* bytes, rather those of a structure */
	MEMORY,		/* where an argument lies, rather a good place */
	GENERATION,	/* how to choose one, rather the current */
	NANOSECONDS,	/* a period, rather a short one */
	FLAGS,		/* of a slot */
	CLASSES,	/* of a slot */
	ERROR,		/* of a slot */
	ACCESS,		/* of a handle */
};

struct process;
struct worker;

struct op {
	const char *name;
	/* A result, a small number, or a negative errno. */
	long (*fn)(struct worker *w, const uint64_t *args);
	unsigned int weight;
	uint8_t args[MAX_ARGS];
};

extern const struct op device_ops[], handle_ops[], slot_ops[], block_ops[],
	process_ops[];
extern const unsigned int device_ops_count, handle_ops_count, slot_ops_count,
	block_ops_count, process_ops_count;

const struct op *op_get(unsigned int number);
unsigned int op_count(void);

void program_make(struct program *p, uint32_t *seed);
void program_change(struct program *p, const struct program *other,
		    uint32_t *seed);
/* Text of one line: what is logged can be run again. */
#define PROGRAM_TEXT	4096
void program_write(const struct program *p, char *text, size_t size);
int program_read(struct program *p, const char *text);

uint64_t random64(uint32_t *seed);

/*
 * Running one.
 */

/* What all processes share. */
struct shared {
	atomic_long programs, calls, succeeded, skipped;
	atomic_long ended_by_signal, checked_cancels, lost_cancels;
	atomic_int errors[256];
	atomic_int pcs;			/* in the module that were reached */
	atomic_int kept;		/* programs that showed something new */
	atomic_int freeze_ms;		/* asks the manager to freeze all */
	int queue, semaphore;		/* System V, empty and 0 */
	atomic_int fresh[PROCESSES];	/* what was new in its program */
	/* Thread and process ids, 0 for none. */
	atomic_int tid[PROCESSES][THREADS];
	atomic_int pid[PROCESSES];
	atomic_uint pc_map[(1 << 16) / 32];
	atomic_uint signal_map[(1 << 18) / 32];
};

extern struct shared *shared;

enum worker_state {
	ABSENT,		/* no thread yet, or no longer */
	IDLE,
	BUSY,
};

struct worker {
	struct process *process;
	int index;
	atomic_int state;
	atomic_int tid;
	pthread_t thread;
	const struct call *call;
	uint32_t seed;
	/* The attachment. */
	int device;			/* index, -1 for none */
	struct rpccancel_slot *slot;
	void *map;
	/* For the check that no cancel is lost. */
	atomic_uint blocking;		/* the class it blocks in, or 0 */
	atomic_ullong gen;
	atomic_uint classes;
	/* A page, a page that cannot be written, a hole. */
	unsigned char *arena;
	int fail_nth;			/* descriptor, or -1 */
};

/* What a thread can block in, each with its end that lets it go on. */
struct blockers {
	int pipe[2];		/* empty */
	int full[2];		/* full */
	int pair[2];		/* nothing to receive */
	int full_pair[2];	/* no room to send */
	int listener;		/* nobody to accept, no room to connect */
	int file[2];		/* locked through the second */
	int epoll;
	atomic_int futex;
};

struct process {
	int number;
	bool lies;		/* slots may be wrong: cancels cannot be checked */
	atomic_int device[DEVICES];
	atomic_int handle[HANDLES];
	int passing[2];		/* a socket pair that all processes have */
	struct blockers block;
	struct worker worker[THREADS];
	size_t page;
};

/* Does not return; the exit status is one of these. */
enum { EXIT_DONE, EXIT_LOST, EXIT_SETUP };
void execute(const struct program *p, int number, const int *passing,
	     uint32_t seed);

/* What is there, or is made because it was never there. */
int device_get(struct worker *w, uint64_t index);
int handle_get(struct worker *w, uint64_t index);
long handle_put(struct worker *w, uint64_t index, int handle);
bool attach(struct worker *w);
long map_slot(struct worker *w, uint32_t number);
void *memory_get(struct worker *w, uint64_t where, size_t size);
uint64_t generation_get(struct worker *w, uint64_t how, uint64_t thread);
int blockers_init(struct blockers *b);

long from_errno(long ret);

/* Access to memory that may not be there. */
extern __thread sigjmp_buf guard;
extern __thread volatile sig_atomic_t guarded;

#define GUARDED(...)							\
	do {								\
		if (!sigsetjmp(guard, 1)) {				\
			guarded = 1;					\
			__VA_ARGS__;					\
		}							\
		guarded = 0;						\
	} while (0)

/*
 * What is new.
 */

int coverage_init(void);		/* 0 if the kernel has KCOV */
void coverage_enable(int process, int thread);
void coverage_begin(int process, int thread);
void coverage_end(int process, int thread);
void coverage_result(int process, unsigned int op, long result);

#endif /* RPCCANCEL_FUZZ_H */
