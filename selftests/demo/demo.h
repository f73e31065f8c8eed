/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The demonstration: a thread is stuck in somebody else's library, and several
 * mechanisms try to get it out.  One pair of library and mechanism is a trial;
 * each trial runs in a process of its own, because some mechanisms leave that
 * process unusable.
 */
#ifndef DEMO_H
#define DEMO_H

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <linux/types.h>

#include "rpc.h"
#include "rpccancel.h"

#define __printf(f, a) \
	__attribute__((format(printf, \
			      f, a)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CALL_TIMEOUT_S 25 /* of the calls themselves; never reached here */

/* What one call of a library came back with. */
struct answer {
	bool ok; /* it is the answer to this very call */
	bool stale; /* it is the answer to the cancelled call */
	int code; /* the library's own result code */
	int error; /* the errno that the library passes on, 0 if it has none */
	char text[80]; /* both, for a person */
};

/* How one attempt to call ended. */
enum end {
	NOT_TRIED,
	RETURNED,
	DIED, /* the thread was unwound out of the call */
	STUCK, /* it was still in there at the limit */
};

struct attempt {
	enum end end;
	double ms; /* since the mechanism was used, or the call was made */
	struct answer answer;
	char where[24]; /* where a stuck thread is */
};

/* What a trial measured; shared with the process that ran it. */
struct report {
	bool complete; /* false: the trial's process died */
	char problem[160]; /* why it was not measured, or "" */
	pid_t tid, canceller;
	__u64 mask_before, mask_inside, mask_after; /* SigBlk */
	__u64 caught; /* signals for which the mechanism set a handler */
	char syscall[24], wchan[40]; /* where the thread slept */
	struct attempt first, second;
	struct attempt repaired; /* after library->repair, if the second failed */
	unsigned int fired; /* how often the mechanism was used */
	unsigned int handled; /* how often a signal handler ran */
	bool searched; /* the descriptor was searched for */
	unsigned int reason; /* what rpccancel_scope_test() said */
	long status; /* what the mechanism's function returned */
	double fire_ms; /* and after how long */
};

struct peer {
	pid_t pid;
	int control;
	struct sockaddr_in addr;
};

struct library;
struct mechanism;

struct trial {
	const struct library *subject;
	const struct mechanism *mechanism;
	struct report *report;
	struct peer peer;
	void *client; /* the library's handle, for all calls of the trial */
	int fd; /* the client's socket, or -1: the program does not know it */
	pthread_t thread;
	pid_t tid;
	int call; /* number of the call, from 1 */
	__u64 ended; /* when it ended */
	struct answer answer;
	bool died;
	sem_t go, done;
	struct rpccancel_scope scope;
};

/* A server that can be told to be silent; see peer.c. */
struct protocol {
	int type; /* SOCK_STREAM or SOCK_DGRAM */
	size_t cut; /* falls silent after so many bytes of its first reply */
	/*
	 * Finds the first whole request in @buf, writes its reply, and returns
	 * the request's length, 0 if it is not whole.  *@at_once: this one is
	 * answered even by a silent server.
	 */
	size_t (*reply)(const __u8 *buf, size_t len, __u8 *out,
			size_t *out_len, bool *at_once);
};

#define REQUEST_MAX 4096
#define REPLY_MAX 1024

struct library {
	const char *name; /* as --only knows it */
	const char *title; /* one line over the table */
	const char *object; /* what the second call shares with the first */
	const char *repair_name;
	const struct protocol *protocol;
	const char *(*version)(void);
	int (*open)(struct trial *t); /* 0 or a negative errno */
	void (*call)(struct trial *t, struct answer *a);
	void (*repair)(struct trial *t); /* may be NULL */
	int expect_code, expect_error; /* of a call that we cancel */
};

struct mechanism {
	const char *name;
	bool repeat; /* every 100 ms until the thread is out */
	bool sends_signal; /* one of the program's own */
	int (*prepare)(struct trial *t); /* 0, or not 0 and report->problem */
	void (*enter)(struct trial *t); /* in the thread, around the call */
	void (*leave)(struct trial *t);
	void (*fire)(struct trial *t);
};

extern const struct library tirpc, tirpc_cut, resolver, pq, curl;
extern const struct mechanism mechanisms[];
extern const size_t mechanism_count;
extern const struct mechanism *const ours;
extern int limit_ms; /* after which a thread counts as stuck */

/* mechanism.c */
bool module_present(char *why, size_t size);
unsigned int handlers_run(void);

/* peer.c */
int peer_start(struct peer *p, const struct protocol *protocol);
void peer_answer(struct peer *p);
void put32(__u8 *p, __u32 value);
__u32 get32(const __u8 *p);

/* trial.c */
struct report *trial_run(const struct library *l, const struct mechanism *m);
__u64 now_ns(void);

/* table.c */
__printf(2, 3) void print_wrapped(const char *indent, const char *format, ...);
void print_story(const struct library *l, const struct report *r);
void print_table(const struct library *l, struct report *const *reports);
void print_cut(const struct report *r);
void print_needs(void);

/* tap.c */
int run_tap(const struct library *const *libraries, size_t count);

#endif
