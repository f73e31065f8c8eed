/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the tests of rpccancel share: the bare interface of the kernel, and
 * threads that are to be cancelled.
 *
 * Functions that can fail return a negative errno.  Times are in milliseconds,
 * but for rc_now().
 */
#ifndef RPCCANCEL_UTIL_H
#define RPCCANCEL_UTIL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include <linux/rpccancel.h>

#define RC_DEVICE	"/dev/rpccancel"

/* How long something may take that ought to take no time, on a slow machine. */
#define RC_PATIENCE	20000
/* How long to look at something that must not happen. */
#define RC_WHILE	50

/* The system call that poll() makes: newer architectures have only one. */
#ifdef SYS_poll
#define RC_SYS_POLL	SYS_poll
#else
#define RC_SYS_POLL	SYS_ppoll
#endif

#define RC_NSEC_PER_MSEC	1000000ULL

/* A thread that is to be cancelled. */
struct rc_thread {
	long (*fn)(struct rc_thread *t);	/* what it does */
	void *arg;
	int dev;				/* device to attach to */
	struct rpccancel_slot *slot;		/* its own */
	int handle;				/* of it, with all rights */
	long ret;				/* what @fn has returned */
	atomic_int tid;				/* or a negative errno */
	atomic_int stage;			/* for @fn */
	atomic_bool done;			/* @fn has returned */
	pthread_t thread;
};

/* The device and what it says about itself. */
int rc_open_device(void);
void rc_need_device(void);
void rc_skip(const char *why);
int rc_query(int dev, struct rpccancel_query *q);

/* The calling thread. */
int rc_attach(int dev, struct rpccancel_slot **slot);
uint64_t rc_begin(int dev, struct rpccancel_slot *slot, uint32_t flags,
		  uint32_t classes, int error);
void rc_end(int dev, struct rpccancel_slot *slot);
uint64_t rc_next(int dev, struct rpccancel_slot *slot);
int rc_deadline(int dev, uint64_t when);
pid_t rc_gettid(void);

static inline uint64_t rc_begin_scope(int dev, struct rpccancel_slot *slot)
{
	return rc_begin(dev, slot, RPCCANCEL_MODE_SCOPE, 0, 0);
}

/* Other threads. */
int rc_open(int dev, pid_t tid, uint32_t access);
int rc_cancel(int handle, uint64_t gen, uint64_t grace,
	      struct rpccancel_cancel *out);
int rc_cancel_result(int handle, uint64_t gen);
int rc_wait(int handle, uint64_t gen, uint32_t until, int timeout);
int rc_info(int handle, struct rpccancel_info *info);
int rc_dup(int handle, uint32_t access);
int rc_poll(int fd, short events, int timeout);
int rc_list_count(int dev);

/* Threads of this process. */
int rc_start(struct rc_thread *t, int dev, long (*fn)(struct rc_thread *t),
	     void *arg);
int rc_join(struct rc_thread *t, int timeout);
bool rc_wait_stage(struct rc_thread *t, int stage, int timeout);
bool rc_wait_asleep(pid_t tid, long nr, int timeout);
bool rc_wait_state(pid_t pid, pid_t tid, const char *states, int timeout);
char rc_state(pid_t pid, pid_t tid);
long rc_asleep_in(pid_t pid, pid_t tid);

/*
 * A child process whose only thread sits in read(), in a scope, and exits
 * with one of these.
 */
struct rc_remote {
	pid_t pid;
	int feed;		/* a byte lets the read() end */
	uint64_t gen;
};

enum {
	RC_REMOTE_CANCELED = 100,	/* read() failed with ECANCELED */
	RC_REMOTE_READ,			/* it gave a byte */
	RC_REMOTE_ERROR,		/* it did something else */
	RC_REMOTE_SETUP,		/* it never came so far */
};

int rc_remote_start(struct rc_remote *r, void (*prepare)(void *arg), void *arg);
int rc_remote_finish(struct rc_remote *r);

/* Processes. */
pid_t rc_fork(void);
int rc_reap(pid_t pid, int timeout);
int rc_stop_and_continue(void);
int rc_trace_briefly(pid_t tid);

/* Small things. */
uint64_t rc_now(void);
void rc_sleep(int ms);
void rc_pin(int cpu);
uint32_t rc_random(uint32_t *state, uint32_t below);
long rc_env(const char *name, long fallback);
int rc_read_file(const char *path, char *buf, size_t size);
int rc_write_file(const char *path, const char *text);
long rc_read_number(const char *path);
bool rc_wait_number(const char *path, long number, int timeout);
void rc_more_room(const char *path, long minimum);
long rc_slab_objects(const char *cache);
long rc_meminfo_kb(const char *name);
int rc_set_nonblock(int fd, bool on);
const char *rc_result_name(int result);

#define RC_REFCNT	"/sys/module/rpccancel/refcnt"
#define RC_PARAMETERS	"/sys/module/rpccancel/parameters/"

/* With the harness: its main(), which skips when there is no device. */
#define RPCCANCEL_TEST_MAIN	RPCCANCEL_TEST_MAIN_NEEDING((void)0)

/* The same, with what else it cannot be without: a call that may rc_skip(). */
#define RPCCANCEL_TEST_MAIN_NEEDING(needs)				\
static void __attribute__((constructor)) __constructor_order_last(void)\
{									\
	if (!__constructor_order)					\
		__constructor_order = _CONSTRUCTOR_ORDER_BACKWARD;	\
}									\
int main(int argc, char **argv)						\
{									\
	rc_need_device();						\
	needs;								\
	return test_harness_run(argc, argv);				\
}

#endif /* RPCCANCEL_UTIL_H */
