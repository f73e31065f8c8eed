// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The back end in user space: handles, results, grace periods, threads that
 * come and go, and cancels that race with the calls they are meant for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rpccancel.h>

#include "../call.h"
#include "tap.h"

#define SECOND 1000000000ULL
#define CANCEL RPCCANCEL_REASON_CANCEL
#define GRACE  RPCCANCEL_REASON_GRACE
#define TARGET RPCCANCEL_REASON_TARGET
#define ANY    RPCCANCEL_GEN_ANY

/*
 * A thread that does one thing at a time, when it is told to.
 */
struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void (*fn)(struct worker *w); /* NULL: idle */
	bool stop;
	pid_t tid;
	void *handle;
	/* Of its call. */
	uint32_t flags;
	long grace;
	struct rpcc_call call;
	struct rpcc_call_cancel cancel;
	bool cancelled;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	pthread_mutex_lock(&w->lock);
	w->tid = (pid_t)syscall(SYS_gettid);
	pthread_cond_broadcast(&w->changed);
	for (;;) {
		while (!w->fn && !w->stop)
			pthread_cond_wait(&w->changed, &w->lock);
		if (!w->fn)
			break;
		w->fn(w);
		w->fn = NULL;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void worker_start(struct worker *w)
{
	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	pthread_create(&w->thread, NULL, worker_main, w);
	pthread_mutex_lock(&w->lock);
	while (!w->tid)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
	is(rpccancel_thread_open(w->tid, THREAD_ALL_ACCESS, &w->handle),
	   RPC_S_OK, "a thread is opened");
}

static void worker_do(struct worker *w, void (*fn)(struct worker *w))
{
	pthread_mutex_lock(&w->lock);
	w->fn = fn;
	pthread_cond_broadcast(&w->changed);
	while (w->fn)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static void worker_exit(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
}

static void worker_stop(struct worker *w)
{
	worker_exit(w);
	is(rpccancel_thread_close(w->handle), RPC_S_OK, "it is closed");
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
}

static void begin(struct worker *w)
{
	if (w->grace)
		RpcMgmtSetCancelTimeout(w->grace);
	rpcc_call_begin(&w->call, w->flags, 0x55);
}

static void end(struct worker *w)
{
	rpcc_call_end(&w->call);
}

static void look(struct worker *w)
{
	w->cancelled = rpcc_call_cancelled(&w->call, &w->cancel);
}

static bool readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static int ask(void *thread, uint64_t gen, uint64_t grace, uint64_t *got)
{
	struct rpccancel_request request = {
		.size = sizeof(request),
		.gen = gen,
		.grace = grace,
	};
	RPC_STATUS status = rpccancel_cancel(thread, &request);

	if (got)
		*got = request.gen;
	return status ? -(int)status : (int)request.result;
}

static int ask_until(void *thread, uint64_t gen, uint32_t until,
		     uint64_t timeout)
{
	struct rpccancel_request request = {
		.size = sizeof(request),
		.gen = gen,
		.grace = RPCCANCEL_INFINITE,
		.until = until,
		.timeout = timeout,
	};
	RPC_STATUS status = rpccancel_cancel(thread, &request);

	return status ? -(int)status : (int)request.result;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

/*
 * Handles.
 */

static void handles(void)
{
	void *all, *set, *look_only, *other;
	struct rpccancel_info info;
	int fds[2], pair[2], fd;

	errno = 4242;
	ok(!strcmp(rpccancel_backend_name(), "user"), "it is the one");
	is(rpccancel_thread_self(THREAD_ALL_ACCESS, &all), RPC_S_OK, "self");
	is(rpccancel_thread_duplicate(all, THREAD_SET_CONTEXT, &set), RPC_S_OK,
	   "a duplicate that may cancel");
	is(rpccancel_thread_duplicate(all, THREAD_QUERY_INFORMATION,
				      &look_only),
	   RPC_S_OK, "one that may look");
	is(rpccancel_thread_duplicate(set, THREAD_QUERY_INFORMATION, &other),
	   RPC_S_ACCESS_DENIED, "rights do not grow");
	is(rpccancel_thread_duplicate(look_only, 0, &other), RPC_S_OK,
	   "the same rights");
	is(RpcCancelThread(other), RPC_S_ACCESS_DENIED, "may not cancel");
	is(rpccancel_thread_info(set, &info), RPC_S_ACCESS_DENIED,
	   "may not look");
	is(rpccancel_thread_info(other, &info), RPC_S_OK, "may look");
	is(info.tid, syscall(SYS_gettid), "at this thread");
	is(info.pid, getpid(), "of this process");
	ok(!strncmp((char *)info.comm, "backend_user_te", 16), "by its name");
	is(info.attached, 0, "which has not attached itself");
	ok(fcntl(rpccancel_thread_fd(all), F_GETFD) & FD_CLOEXEC,
	   "it is closed by execve()");
	is(rpccancel_thread_from_fd(rpccancel_thread_fd(set), &other), RPC_S_OK,
	   "a descriptor is a handle");

	is(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0, "sockets");
	is(rpccancel_thread_send(pair[0], all), RPC_S_CANNOT_SUPPORT,
	   "a handle means nothing to another process");
	close(pair[0]);
	close(pair[1]);

	fd = rpccancel_thread_fd(all);
	is(rpccancel_thread_close(all), RPC_S_OK, "close");
	is(rpccancel_thread_close(all), ERROR_INVALID_HANDLE, "close twice");
	is(RpcCancelThread(all), ERROR_INVALID_HANDLE, "use it once more");
	is(pipe(fds), 0, "a pipe");
	ok(fds[0] == fd || fds[1] == fd, "takes its number");
	is(rpccancel_thread_close(all), ERROR_INVALID_HANDLE,
	   "which is not a handle");
	ok(fcntl(fd, F_GETFD) >= 0, "and is left open");
	close(fds[0]);
	close(fds[1]);
	rpccancel_thread_close(set);
	rpccancel_thread_close(look_only);
}

static void numbers(void)
{
	void *thread;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	is(rpccancel_thread_open(pid, THREAD_SET_CONTEXT, &thread),
	   RPC_S_CANNOT_SUPPORT, "a thread of another process");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	is(rpccancel_thread_open(pid, THREAD_SET_CONTEXT, &thread),
	   RPC_S_INVALID_ARG, "a thread that is not there");
	is(rpccancel_thread_open(getpid(), THREAD_SET_CONTEXT, &thread),
	   RPC_S_OK, "the main thread");
	is(rpccancel_thread_close(thread), RPC_S_OK, "is closed");
}

/*
 * What becomes of a cancel.
 */

static void told(void)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call c;
	int fd = rpcc_call_fd();

	ok(fd >= 0, "a descriptor");
	is(rpcc_call_begin(&c, 0, 0), 0, "begin");
	ok(!rpcc_call_cancelled(&c, &cancel), "not cancelled");
	ok(!readable(fd), "nothing to read");
	is(RpcCancelThread(RPCCANCEL_CURRENT_THREAD), RPC_S_OK, "cancel");
	ok(readable(fd), "something to read");
	ok(rpcc_call_cancelled(&c, &cancel), "cancelled");
	is(cancel.reason, CANCEL | TARGET, "with its own grace");
	is(cancel.deadline, RPCCANCEL_INFINITE, "which has no end");
	ok(!readable(fd), "nothing more to read");
	ok(rpcc_call_cancelled(&c, &cancel), "still cancelled");
	is(ask(RPCCANCEL_CURRENT_THREAD, ANY, 0, NULL),
	   RPCCANCEL_RESULT_ALREADY, "without grace");
	ok(readable(fd), "something to read");
	ok(rpcc_call_cancelled(&c, &cancel), "cancelled");
	is(cancel.reason, CANCEL | GRACE, "it is over");
	is(cancel.deadline, 0, "now");
	rpcc_call_end(&c);

	is(rpcc_call_begin(&c, 0, 0), 0, "the next one");
	ok(!rpcc_call_cancelled(&c, &cancel), "is not cancelled");
	RpcCancelThread(RPCCANCEL_CURRENT_THREAD);
	rpcc_call_end(&c);
	ok(!readable(fd), "one that nobody heard is gone");

	is(RpcCancelThread(RPCCANCEL_CURRENT_THREAD), RPC_S_OK, "while idle");
	ok(!readable(fd), "nothing to read");
	rpcc_call_begin(&c, 0, 0);
	ok(readable(fd), "but in the next call");
	ok(rpcc_call_cancelled(&c, &cancel), "which begins cancelled");
	rpcc_call_end(&c);
	is(rpccancel_thread_detach(), RPC_S_OK, "detach");
	ok(fcntl(fd, F_GETFD) < 0, "closes the descriptor");
}

static void results(void)
{
	struct worker w;
	uint64_t gen;

	worker_start(&w);
	is(ask(w.handle, 7, 0, NULL), RPCCANCEL_RESULT_TOO_LATE,
	   "a generation that never was");
	is(ask(w.handle, 2, 0, NULL), -RPC_S_INVALID_ARG, "an even one");
	worker_do(&w, begin);
	is(ask(w.handle, ANY, RPCCANCEL_INFINITE, &gen),
	   RPCCANCEL_RESULT_PENDING, "in a call");
	is(gen, w.call.gen, "that one");
	is(ask(w.handle, gen, RPCCANCEL_INFINITE, NULL),
	   RPCCANCEL_RESULT_ALREADY, "twice");
	worker_do(&w, look);
	ok(w.cancelled, "it has noticed");
	worker_do(&w, end);
	is(ask(w.handle, gen, 0, NULL), RPCCANCEL_RESULT_TOO_LATE, "later");
	is(ask(w.handle, ANY, RPCCANCEL_INFINITE, &gen), RPCCANCEL_RESULT_NEXT,
	   "in no call");
	is(gen, 0, "it has no generation yet");
	is(ask(w.handle, ANY, RPCCANCEL_INFINITE, NULL),
	   RPCCANCEL_RESULT_ALREADY, "twice");

	w.flags = RPCCANCEL_SLOT_NO_CANCEL;
	worker_do(&w, begin);
	worker_do(&w, look);
	ok(!w.cancelled, "it does not hit a call that cannot be cancelled");
	is(ask(w.handle, ANY, 0, NULL), RPCCANCEL_RESULT_REFUSED, "refused");
	is(RpcCancelThread(w.handle), RPC_S_CANNOT_SUPPORT, "RpcCancelThread");
	is(RpcCancelThreadEx(w.handle, 1), RPC_S_CANNOT_SUPPORT,
	   "RpcCancelThreadEx");
	worker_do(&w, end);

	w.flags = RPCCANCEL_SLOT_FINITE;
	worker_do(&w, begin);
	worker_do(&w, look);
	ok(!w.cancelled, "nor the call after");
	is(RpcCancelThread(w.handle), RPC_S_INVALID_TIMEOUT, "not finite");
	is(RpcCancelThreadEx(w.handle, -1), RPC_S_INVALID_TIMEOUT,
	   "not finite either");
	worker_do(&w, look);
	ok(!w.cancelled, "nothing has happened");
	is(ask(w.handle, ANY, SECOND, NULL), RPCCANCEL_RESULT_PENDING,
	   "finite");
	worker_do(&w, end);
	worker_stop(&w);
}

static void graces(void)
{
	struct worker w;
	uint64_t asked, deadline;

	worker_start(&w);
	w.grace = 300;
	worker_do(&w, begin);
	asked = now();
	is(RpcCancelThread(w.handle), RPC_S_OK, "RpcCancelThread");
	worker_do(&w, look);
	is(w.cancel.reason, CANCEL | TARGET, "the grace is the target's");
	deadline = w.cancel.deadline;
	ok(deadline >= asked + 300 * SECOND && deadline <= now() + 300 * SECOND,
	   "300 seconds");
	is(ask(w.handle, ANY, 500 * SECOND, NULL), RPCCANCEL_RESULT_ALREADY,
	   "a longer one");
	worker_do(&w, look);
	is(w.cancel.deadline, deadline, "changes nothing");
	is(ask(w.handle, ANY, 100 * SECOND, NULL), RPCCANCEL_RESULT_ALREADY,
	   "a shorter one");
	worker_do(&w, look);
	ok(w.cancel.deadline <= now() + 100 * SECOND, "does");
	is(w.cancel.reason, CANCEL, "and is the canceller's");
	worker_do(&w, end);
	worker_stop(&w);
}

static void *cancel_ex(void *thread)
{
	return (void *)(intptr_t)RpcCancelThreadEx(thread, 300);
}

static void *cancel_and_tell(void *thread)
{
	return (void *)(intptr_t)ask_until(thread, ANY, RPCCANCEL_UNTIL_ENDED,
					   RPCCANCEL_INFINITE);
}

static void until_noticed(struct worker *w)
{
	struct pollfd pfd = { .fd = rpcc_call_fd(), .events = POLLIN };

	do {
		poll(&pfd, 1, -1);
		look(w);
	} while (!w->cancelled);
}

static void waits(void)
{
	pthread_t canceller;
	struct worker w;
	void *ret;

	worker_start(&w);
	is(ask_until(w.handle, ANY, RPCCANCEL_UNTIL_ENDED, RPCCANCEL_INFINITE),
	   RPCCANCEL_RESULT_NEXT, "an idle thread is not waited for");
	worker_do(&w, begin);
	is(ask_until(w.handle, ANY, RPCCANCEL_UNTIL_DELIVERED,
		     RPCCANCEL_INFINITE),
	   RPCCANCEL_RESULT_DELIVERED, "delivered");
	is(ask_until(w.handle, ANY, RPCCANCEL_UNTIL_ENDED, SECOND / 100),
	   RPCCANCEL_RESULT_PENDING, "not ended in a while");
	worker_do(&w, end);

	worker_do(&w, begin);
	pthread_create(&canceller, NULL, cancel_ex, w.handle);
	worker_do(&w, until_noticed);
	is(w.cancel.reason, CANCEL, "the grace is the canceller's");
	worker_do(&w, end);
	pthread_join(canceller, &ret);
	is((intptr_t)ret, RPC_S_OK, "RpcCancelThreadEx has waited for the end");

	worker_do(&w, begin);
	pthread_create(&canceller, NULL, cancel_and_tell, w.handle);
	worker_do(&w, until_noticed);
	worker_do(&w, end);
	pthread_join(canceller, &ret);
	is((intptr_t)ret, RPCCANCEL_RESULT_ENDED, "and so is told");

	worker_do(&w, begin);
	pthread_create(&canceller, NULL, cancel_and_tell, w.handle);
	worker_do(&w, until_noticed);
	worker_exit(&w);
	pthread_join(canceller, &ret);
	is((intptr_t)ret, -RPC_S_NO_CALL_ACTIVE, "the thread exits meanwhile");
	is(ask(w.handle, ANY, 0, NULL), -RPC_S_NO_CALL_ACTIVE, "it is gone");
	is(RpcCancelThread(w.handle), RPC_S_OK, "which is no error there");
	ok(readable(rpccancel_thread_fd(w.handle)), "its handle is readable");
	is(rpccancel_thread_close(w.handle), RPC_S_OK, "and can be closed");
}

static void cancels_itself(void)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call c;

	rpcc_call_begin(&c, 0, 0);
	is(RpcCancelThreadEx(RPCCANCEL_CURRENT_THREAD, 100), RPC_S_OK,
	   "a thread does not wait for itself");
	ok(rpcc_call_cancelled(&c, &cancel), "it is cancelled");
	rpcc_call_end(&c);
	is(rpccancel_thread_detach(), RPC_S_OK, "detach");
	RpcCancelThread(RPCCANCEL_CURRENT_THREAD);
	is(rpccancel_thread_detach(), RPC_S_OK, "detach with one pending");
	rpcc_call_begin(&c, 0, 0);
	ok(!rpcc_call_cancelled(&c, &cancel), "it went, too");
	rpcc_call_end(&c);
}

static void not_attached(void)
{
	struct rpccancel_info info;
	struct worker w;

	worker_start(&w);
	is(RpcCancelThread(w.handle), RPC_S_OK, "a thread that never called");
	worker_do(&w, begin);
	worker_do(&w, look);
	ok(w.cancelled, "its first call is cancelled");
	is(rpccancel_thread_info(w.handle, &info), RPC_S_OK, "information");
	is(info.attached, 1, "it is attached now");
	is(info.gen, w.call.gen, "and in its call");
	is(info.pending, info.gen, "which is cancelled");
	is(info.mode, RPCCANCEL_MODE_CALL, "it listens");
	is(info.tag, 0x55, "and has its tag");
	worker_do(&w, end);
	worker_stop(&w);

	worker_start(&w);
	worker_exit(&w);
	/* The C library knows of its end before the kernel is through. */
	while (!syscall(SYS_tgkill, getpid(), w.tid, 0))
		sched_yield();
	is(ask(w.handle, ANY, 0, NULL), -RPC_S_NO_CALL_ACTIVE,
	   "a thread that never called and is gone");
	rpccancel_thread_close(w.handle);
}

static void polled(void)
{
	struct worker w;
	void *late, *set;
	int fd;

	worker_start(&w);
	fd = rpccancel_thread_fd(w.handle);
	rpccancel_thread_duplicate(w.handle, THREAD_SET_CONTEXT, &set);
	worker_do(&w, begin);
	ok(!readable(fd), "nothing to read");
	RpcCancelThread(w.handle);
	ok(readable(fd), "a handle becomes readable");
	ok(!readable(rpccancel_thread_fd(set)), "if it may look");
	rpccancel_thread_duplicate(w.handle, 0, &late);
	ok(readable(rpccancel_thread_fd(late)), "also a later one");
	worker_do(&w, end);
	rpccancel_thread_close(late);
	rpccancel_thread_duplicate(w.handle, 0, &late);
	ok(!readable(rpccancel_thread_fd(late)), "but not when it is over");
	rpccancel_thread_close(late);
	rpccancel_thread_close(set);
	worker_stop(&w);
}

static size_t listed(pid_t tid)
{
	struct rpccancel_info info;
	uint64_t cursor = 0;
	size_t count = 1, found = 0;

	while (!rpccancel_list(&info, &count, &cursor) && count)
		found += info.tid == tid;
	return found;
}

static void lists(void)
{
	struct rpccancel_target targets[3] = { { 0 } };
	struct worker a, b;
	size_t done;

	worker_start(&a);
	worker_start(&b);
	worker_do(&a, begin);
	is(listed(a.tid), 1, "an attached thread is listed once");
	is(listed(b.tid), 1, "and one that was opened");
	targets[0].handle = rpccancel_thread_fd(a.handle);
	targets[1].handle = -1;
	targets[2].handle = rpccancel_thread_fd(b.handle);
	is(rpccancel_cancel_many(targets, 3, RPCCANCEL_INFINITE, &done),
	   RPC_S_OK, "many");
	is(done, 3, "all of them");
	is(targets[0].error, 0, "the first");
	is(targets[0].gen, a.call.gen, "is in a call");
	is(targets[0].result, RPCCANCEL_RESULT_PENDING, "and cancelled");
	is(targets[1].error, EBADF, "the second is no handle");
	is(targets[2].result, RPCCANCEL_RESULT_NEXT, "the third is idle");
	worker_do(&a, look);
	ok(a.cancelled, "the first has noticed");
	worker_do(&a, end);
	worker_stop(&a);
	worker_stop(&b);
	is(listed(a.tid) + listed(b.tid), 0, "they are not listed any more");
}

static void scopes(void)
{
	struct rpccancel_query query;
	struct rpccancel_scope s;

	rpccancel_thread_attach();
	is(rpccancel_scope_begin(&s, NULL), RPC_S_CANNOT_SUPPORT,
	   "there are no scopes");
	is(rpccancel_scope_end(&s), RPC_S_CANNOT_SUPPORT, "the end says so");
	is(rpccancel_scope_test(), 0, "nothing is cancelled");
	is(rpccancel_scope_set_timeout(1), RPC_S_NO_CALL_ACTIVE,
	   "no scope can get a deadline");
	is(rpccancel_query(&query), RPC_S_CANNOT_SUPPORT, "nor is a module");
}

static void forks(void)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call c, own;
	struct worker w;
	int status, fd = rpcc_call_fd();
	pid_t pid;

	worker_start(&w);
	rpcc_call_begin(&c, 0, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		bool good = fcntl(fd, F_GETFD) < 0 &&
			    RpcCancelThread(w.handle) == ERROR_INVALID_HANDLE &&
			    !rpcc_call_cancelled(&c, &cancel);

		rpcc_call_end(&c);
		good = good && !rpcc_call_begin(&own, 0, 0) &&
		       !RpcCancelThread(RPCCANCEL_CURRENT_THREAD) &&
		       rpcc_call_cancelled(&own, &cancel);
		rpcc_call_end(&own);
		_exit(!good);
	}
	waitpid(pid, &status, 0);
	is(status, 0, "a child has a start of its own");
	ok(!rpcc_call_cancelled(&c, &cancel), "the parent is not disturbed");
	ok(!readable(fd) && !readable(rpccancel_thread_fd(w.handle)),
	   "nor are its descriptors");
	rpcc_call_end(&c);
	worker_stop(&w);
}

static void *exits_in_a_call(void *arg)
{
	static __thread struct rpcc_call c;

	rpcc_call_begin(&c, 0, 0);
	rpcc_call_fd();
	return arg;
}

static void many_threads(void)
{
	int before = dup(0), after, i;
	pthread_t thread;

	close(before);
	for (i = 0; i < 1000; i++) {
		pthread_create(&thread, NULL, exits_in_a_call, NULL);
		pthread_join(thread, NULL);
	}
	after = dup(0);
	close(after);
	is(after, before, "1000 threads leave no descriptors behind");
}

/*
 * The race. One thread makes calls as fast as it can, another cancels it.
 */
#define CANCELS 100000 /* each time */
#define GENS	(1UL << 26)
/* How long to wait for what ought to take no time, in tenths of a second. */
#define PATIENCE 200

static struct {
	atomic_bool stop, lost;
	atomic_ulong gen; /* of the call in progress */
	atomic_int tid;
	/* By generation; each is written by one thread. */
	uint8_t *noticed, *asked, *late;
	unsigned long calls;
} race;

static uint32_t random_below(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525 + 1013904223;
	return (*state >> 8) % below;
}

/* Every 64th call ends only when it is cancelled: none may get lost. */
static void *race_calls(void *arg)
{
	struct pollfd pfd = { .fd = rpcc_call_fd(), .events = POLLIN };
	struct rpcc_call_cancel cancel;
	uint32_t state = 1, spin;
	struct rpcc_call c;
	bool noticed;
	int patience;

	race.tid = (int)syscall(SYS_gettid);
	while (!race.stop && race.calls < GENS / 2 - 2) {
		rpcc_call_begin(&c, 0, 0);
		race.gen = c.gen;
		for (spin = random_below(&state, 64); spin; spin--)
			__asm__ volatile("");
		noticed = rpcc_call_cancelled(&c, &cancel);
		if (!(race.calls % 64))
			for (patience = PATIENCE; !noticed && !race.stop;) {
				if (!poll(&pfd, 1, 100) && !patience--) {
					race.lost = true;
					return arg;
				}
				noticed = rpcc_call_cancelled(&c, &cancel);
			}
		race.noticed[c.gen] = noticed;
		rpcc_call_end(&c);
		race.calls++;
	}
	/* A cancel that still waits is for this one. */
	rpcc_call_begin(&c, 0, 0);
	race.noticed[c.gen] = rpcc_call_cancelled(&c, &cancel);
	rpcc_call_end(&c);
	return arg;
}

struct race_count {
	unsigned long results[RPCCANCEL_RESULT_ENDED + 1];
	unsigned long errors;
	unsigned long next; /* cancels that were to take the next call */
};

static void race_cancel(void *thread, bool any, uint32_t *state,
			struct race_count *count)
{
	struct rpccancel_request r = {
		.size = sizeof(r),
		.gen = any ? ANY : race.gen,
		.grace = RPCCANCEL_INFINITE,
	};
	uint64_t named = r.gen, before = race.gen;
	int spin;

	if (!random_below(state, 8)) {
		r.until = RPCCANCEL_UNTIL_ENDED;
		r.timeout = PATIENCE * SECOND / 10;
	}
	if (!any && !(named & 1))
		r.gen = ++named;
	if (rpccancel_cancel(thread, &r) != RPC_S_OK) {
		count->errors++;
		return;
	}
	/* Gives the other a chance to get on, if it has a processor. */
	for (spin = 1000; spin && race.gen == before; spin--)
		__asm__ volatile("");
	if (!random_below(state, 64))
		sched_yield();
	count->results[r.result]++;
	if (r.until && r.result == RPCCANCEL_RESULT_PENDING)
		race.lost = true;
	switch (r.result) {
	case RPCCANCEL_RESULT_TOO_LATE:
		race.late[named] = 1;
		break;
	case RPCCANCEL_RESULT_NEXT:
		count->next++;
		break;
	default:
		if (r.gen)
			race.asked[r.gen] = 1;
	}
}

#define RACE_CHECKS 6

static void race_check(const struct race_count *count)
{
	unsigned long gen, hit = 0, strayed = 0, after = 0;

	for (gen = 1; gen < 2 * (race.calls + 1); gen += 2) {
		hit += race.noticed[gen];
		strayed += race.noticed[gen] && !race.asked[gen];
		after +=
			race.late[gen] && race.noticed[gen] && !race.asked[gen];
	}
	printf("# %d cancels of %lu calls: %lu noticed; pending %lu, next %lu, "
	       "too late %lu, already %lu, ended %lu\n",
	       CANCELS, race.calls, hit,
	       count->results[RPCCANCEL_RESULT_PENDING], count->next,
	       count->results[RPCCANCEL_RESULT_TOO_LATE],
	       count->results[RPCCANCEL_RESULT_ALREADY],
	       count->results[RPCCANCEL_RESULT_ENDED]);
	is(count->errors, 0, "no cancel failed");
	ok(hit > CANCELS / 10000, "some were noticed");
	ok(!race.lost, "none got lost");
	ok(race.calls < GENS / 2 - 2, "there was room for all");
	ok(strayed <= count->next, "no call noticed one that was another's");
	ok(after <= count->next, "nor one that was too late");
}

static void races(bool any)
{
	struct race_count count = { .errors = 0 };
	pthread_t thread;
	uint32_t state = 2;
	void *handle;
	int i;

	memset(&race, 0, sizeof(race));
	race.noticed = calloc(1, GENS);
	race.asked = calloc(1, GENS);
	race.late = calloc(1, GENS);
	pthread_create(&thread, NULL, race_calls, NULL);
	while (!race.tid)
		sched_yield();
	rpccancel_thread_open(race.tid, THREAD_ALL_ACCESS, &handle);
	for (i = 0; i < CANCELS && !race.lost; i++)
		race_cancel(handle, any && i % 2, &state, &count);
	race.stop = true;
	pthread_join(thread, NULL);
	rpccancel_thread_close(handle);
	race_check(&count);
	free(race.noticed);
	free(race.asked);
	free(race.late);
}

/* Each names the call that it is for: no other may notice it. */
static void races_by_name(void)
{
	races(false);
}

static void races_for_any(void)
{
	races(true);
}

/* In a process that has no membarrier(2): a filter says so. */
static void without_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(*filter),
		.filter = filter,
	};
	int status;
	pid_t pid;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		ok(true, "no filter can be set # SKIP");
		return;
	}
	is(syscall(SYS_membarrier, 0, 0, 0), -1, "there is no membarrier");
	fflush(stdout);
	/* A child is asked anew. */
	pid = fork();
	if (!pid) {
		tap_failed = 0;
		races(false);
		fflush(stdout);
		_exit(tap_failed);
	}
	waitpid(pid, &status, 0);
	tap_count += RACE_CHECKS;
	is(status, 0, "a child that races without it");
}

static void run(const char *name, void (*fn)(void))
{
	printf("# %s\n", name);
	fn();
}

int main(void)
{
	setenv("RPCCANCEL_BACKEND", "user", 1);
	run("handles", handles);
	run("numbers", numbers);
	run("told", told);
	run("results", results);
	run("graces", graces);
	run("waits", waits);
	run("cancels itself", cancels_itself);
	run("not attached", not_attached);
	run("polled", polled);
	run("lists", lists);
	run("scopes", scopes);
	run("forks", forks);
	run("many threads", many_threads);
	run("races by name", races_by_name);
	run("races for any", races_for_any);
	run("without membarrier", without_membarrier);
	return tap_end();
}
