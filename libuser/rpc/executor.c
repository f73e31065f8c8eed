// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The threads that stubs run on.
 *
 * A thread is made when a call comes and no thread is idle, up to the maximum of
 * RpcServerListen(); beyond that calls wait, up to the limit on queued calls.
 * Threads above the minimum end after some idle seconds. All are detached: who
 * stops the executor waits until their number is 0.
 */
#include <time.h>

#include "internal.h"
#include "log.h"
#include "rpc/server_impl.h"

#define IDLE_SECONDS 5

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* on CLOCK_MONOTONIC; or it is stopping */
	pthread_cond_t ended; /* the last thread */
	struct rpcc_server_call *first, **last;
	unsigned int queued;
	unsigned int threads, busy; /* those that run a call */
	unsigned int min, max;
	bool stopping;
} executor = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.ended = PTHREAD_COND_INITIALIZER,
	.last = &executor.first,
	.stopping = true,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_cond(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&executor.work, &attr);
	pthread_condattr_destroy(&attr);
}

/* False if it was for nothing for a while. */
static bool wait_for_work(void)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	while (!executor.first && !executor.stopping && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&executor.work, &executor.lock,
					     &until);
	return executor.first || executor.stopping;
}

static struct rpcc_server_call *next_call(void)
{
	struct rpcc_server_call *call = executor.first;

	executor.first = call->next;
	if (!executor.first)
		executor.last = &executor.first;
	executor.queued--;
	return call;
}

/* Runs what is queued. False when the thread should end. */
static bool work(void)
{
	struct rpcc_server_call *call;

	while (executor.first) {
		call = next_call();
		executor.busy++;
		pthread_mutex_unlock(&executor.lock);
		rpcc_server_call_run(call);
		pthread_mutex_lock(&executor.lock);
		executor.busy--;
	}
	if (executor.stopping)
		return false;
	return wait_for_work() || executor.threads <= executor.min;
}

static void *executor_thread(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&executor.lock);
	while (work())
		;
	pthread_mutex_unlock(&executor.lock);

	rpcc_server_thread_ends();

	pthread_mutex_lock(&executor.lock);
	executor.threads--;
	if (!executor.threads)
		pthread_cond_broadcast(&executor.ended);
	pthread_mutex_unlock(&executor.lock);
	return NULL;
}

static void add_thread(void)
{
	pthread_t thread;
	int err;

	executor.threads++;
	err = rpcc_thread_create(&thread, true, executor_thread, NULL);
	if (!err)
		return;
	executor.threads--;
	rpcc_log(RPCCANCEL_LOG_WARNING,
		 "server: no thread for a call: error %d", -err);
}

void rpcc_executor_start(unsigned int min_threads, unsigned int max_threads)
{
	pthread_once(&once, init_cond);
	pthread_mutex_lock(&executor.lock);
	executor.min = min_threads;
	executor.max = max_threads;
	executor.stopping = false;
	pthread_mutex_unlock(&executor.lock);
}

void rpcc_executor_stop(void)
{
	pthread_mutex_lock(&executor.lock);
	executor.stopping = true;
	if (executor.threads)
		pthread_cond_broadcast(&executor.work);
	while (executor.threads)
		pthread_cond_wait(&executor.ended, &executor.lock);
	pthread_mutex_unlock(&executor.lock);
}

void rpcc_executor_fork_child(void)
{
	pthread_mutex_init(&executor.lock, NULL);
	pthread_cond_init(&executor.ended, NULL);
	init_cond();
	executor.first = NULL;
	executor.last = &executor.first;
	executor.queued = 0;
	executor.threads = 0;
	executor.busy = 0;
	executor.stopping = true;
}

/* Calls that a thread will take at once, or may be made to take, do not wait. */
static bool has_room(unsigned int limit)
{
	return executor.queued + executor.busy < (uint64_t)executor.max + limit;
}

static void append(struct rpcc_server_call *call)
{
	call->next = NULL;
	*executor.last = call;
	executor.last = &call->next;
	executor.queued++;
}

/* Without any thread, and none to be had, nobody would ever take the call. */
static bool ensure_thread(void)
{
	if (executor.threads - executor.busy > executor.queued)
		pthread_cond_signal(&executor.work);
	else if (executor.threads < executor.max)
		add_thread();
	return executor.threads;
}

bool rpcc_executor_submit(struct rpcc_server_call *call)
{
	unsigned int limit = rpcc_server_limits().queued_calls;
	bool taken;

	pthread_mutex_lock(&executor.lock);
	taken = !executor.stopping && has_room(limit) && ensure_thread();
	if (taken)
		append(call);
	pthread_mutex_unlock(&executor.lock);
	return taken;
}
