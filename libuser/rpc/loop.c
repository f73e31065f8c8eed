// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * I/O loops: one thread with one engine for each processor, up to a bound.
 *
 * A loop owns what was opened in it, its timers and its members; all of that is
 * touched by its thread only, and needs no lock. What other threads want from
 * it they queue as work.
 *
 * Loops exist from the first moment of serving to the last. They end when
 * nobody can queue work any more but themselves: the work that is left is run,
 * the members are closed, and what that has queued is run too.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"
#include "log.h"
#include "rpc/server_impl.h"

#define MAX_LOOPS   8
#define BACK_OFF_MS 100

enum loop_state {
	STARTING,
	RUNNING,
};

struct rpcc_loop {
	pthread_t thread;
	struct rpcc_io *io;
	struct rpcc_timer *timers; /* root of the heap: the nearest */
	struct rpcc_member *members;
	bool ending; /* in its own thread */

	pthread_mutex_t lock;
	pthread_cond_t started;
	int state; /* enum loop_state, or why it did not start */
	struct rpcc_work *first, **last;
};

static struct rpcc_loop loops[MAX_LOOPS];
static unsigned int loop_count;
static atomic_uint turn;

int rpcc_thread_create(pthread_t *thread, bool detached, void *(*run)(void *),
		       void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int err;

	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	if (detached)
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

struct rpcc_io *rpcc_loop_io(struct rpcc_loop *loop)
{
	return loop->io;
}

struct rpcc_loop *rpcc_loop_next(void)
{
	return &loops[atomic_fetch_add(&turn, 1) % loop_count];
}

/* Either may be NULL. The nearer one becomes the other's parent. */
static struct rpcc_timer *meld(struct rpcc_timer *a, struct rpcc_timer *b)
{
	struct rpcc_timer *swap;

	if (!a || !b)
		return a ? a : b;
	if (b->when < a->when) {
		swap = a;
		a = b;
		b = swap;
	}
	b->next = a->child;
	if (b->next)
		b->next->link = &b->next;
	a->child = b;
	b->link = &a->child;
	return a;
}

/* Siblings, in pairs from the first to the last, then back to one. */
static struct rpcc_timer *meld_all(struct rpcc_timer *list)
{
	struct rpcc_timer *pairs = NULL, *root = NULL, *a, *b;

	while (list) {
		a = list;
		b = a->next;
		list = b ? b->next : NULL;
		a->next = NULL;
		if (b)
			b->next = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		a = pairs;
		pairs = a->next;
		a->next = NULL;
		root = meld(root, a);
	}
	return root;
}

static void set_root(struct rpcc_loop *loop, struct rpcc_timer *root)
{
	loop->timers = root;
	if (root)
		root->link = &loop->timers;
}

void rpcc_timer_arm(struct rpcc_loop *loop, struct rpcc_timer *timer,
		    uint64_t when)
{
	rpcc_timer_disarm(timer);
	timer->loop = loop;
	timer->when = when;
	timer->armed = true;
	timer->child = NULL;
	timer->next = NULL;
	set_root(loop, meld(loop->timers, timer));
}

void rpcc_timer_disarm(struct rpcc_timer *timer)
{
	struct rpcc_timer *rest;

	if (!timer->armed)
		return;
	timer->armed = false;
	*timer->link = timer->next;
	if (timer->next)
		timer->next->link = timer->link;
	rest = meld_all(timer->child);
	set_root(timer->loop, meld(timer->loop->timers, rest));
}

static void run_timers(struct rpcc_loop *loop)
{
	struct rpcc_timer *timer = loop->timers;
	uint64_t now;

	if (!timer)
		return;
	now = rpcc_now();
	while (timer && timer->when <= now) {
		rpcc_timer_disarm(timer);
		timer->expired(timer, now);
		timer = loop->timers;
	}
}

void rpcc_loop_queue(struct rpcc_loop *loop, struct rpcc_work *work)
{
	bool was_empty;

	work->next = NULL;
	pthread_mutex_lock(&loop->lock);
	was_empty = !loop->first;
	*loop->last = work;
	loop->last = &work->next;
	pthread_mutex_unlock(&loop->lock);
	if (was_empty && !pthread_equal(pthread_self(), loop->thread))
		rpcc_io_wake(loop->io);
}

static struct rpcc_work *take_work(struct rpcc_loop *loop)
{
	struct rpcc_work *first;

	pthread_mutex_lock(&loop->lock);
	first = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	pthread_mutex_unlock(&loop->lock);
	return first;
}

/* Until there is no more: what runs may queue work for this loop. */
static void run_work(struct rpcc_loop *loop)
{
	struct rpcc_work *work, *next;

	while ((work = take_work(loop))) {
		for (; work; work = next) {
			next = work->next;
			work->run(work);
		}
	}
}

void rpcc_loop_join(struct rpcc_loop *loop, struct rpcc_member *member)
{
	member->next = loop->members;
	if (member->next)
		member->next->link = &member->next;
	loop->members = member;
	member->link = &loop->members;
}

void rpcc_loop_leave(struct rpcc_member *member)
{
	*member->link = member->next;
	if (member->next)
		member->next->link = member->link;
}

static void close_members(struct rpcc_loop *loop)
{
	run_work(loop);
	while (loop->members) {
		loop->members->close(loop->members);
		run_work(loop);
	}
}

static void wait_for_io(struct rpcc_loop *loop)
{
	uint64_t deadline = RPCCANCEL_INFINITE;
	int err;

	if (loop->timers)
		deadline = loop->timers->when;
	err = rpcc_io_wait(loop->io, deadline);
	if (err >= 0)
		return;
	rpcc_log(RPCCANCEL_LOG_ERROR,
		 "server: waiting for I/O failed: error %d", -err);
	poll(NULL, 0, BACK_OFF_MS);
}

static void report(struct rpcc_loop *loop, int state)
{
	pthread_mutex_lock(&loop->lock);
	loop->state = state;
	pthread_cond_signal(&loop->started);
	pthread_mutex_unlock(&loop->lock);
}

/* The engine is made here, because it belongs to the thread that made it. */
static void *loop_thread(void *arg)
{
	struct rpcc_loop *loop = arg;
	int err;

	loop->thread = pthread_self();
	err = rpcc_io_create(&loop->io, RPCC_IO_WAKEABLE | RPCC_IO_SERVER);
	report(loop, err ? err : RUNNING);
	if (err)
		return NULL;
	while (!loop->ending) {
		run_timers(loop);
		run_work(loop);
		if (!loop->ending)
			wait_for_io(loop);
	}
	close_members(loop);
	return NULL;
}

struct loop_call {
	struct rpcc_work work;
	void (*run)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
};

static void run_call(struct rpcc_work *work)
{
	struct loop_call *call = (struct loop_call *)work;

	call->run(call->arg);
	pthread_mutex_lock(&call->lock);
	call->done = true;
	pthread_cond_signal(&call->changed);
	pthread_mutex_unlock(&call->lock);
}

void rpcc_loop_call(struct rpcc_loop *loop, void (*run)(void *arg), void *arg)
{
	struct loop_call call = {
		.work.run = run_call,
		.run = run,
		.arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};

	rpcc_loop_queue(loop, &call.work);
	pthread_mutex_lock(&call.lock);
	while (!call.done)
		pthread_cond_wait(&call.changed, &call.lock);
	pthread_mutex_unlock(&call.lock);
	pthread_mutex_destroy(&call.lock);
	pthread_cond_destroy(&call.changed);
}

static void set_ending(void *arg)
{
	struct rpcc_loop *loop = arg;

	loop->ending = true;
}

static int wait_started(struct rpcc_loop *loop)
{
	int state;

	pthread_mutex_lock(&loop->lock);
	while (loop->state == STARTING)
		pthread_cond_wait(&loop->started, &loop->lock);
	state = loop->state;
	pthread_mutex_unlock(&loop->lock);
	return state == RUNNING ? 0 : state;
}

static int start(struct rpcc_loop *loop)
{
	pthread_t thread;
	int err;

	*loop = (struct rpcc_loop){ .last = &loop->first };
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->started, NULL);
	err = rpcc_thread_create(&thread, false, loop_thread, loop);
	if (err)
		goto fail;
	err = wait_started(loop);
	if (!err)
		return 0;
	pthread_join(thread, NULL);
fail:
	pthread_cond_destroy(&loop->started);
	pthread_mutex_destroy(&loop->lock);
	return err;
}

/* Who queued work wakes the loop after that may have run: the engine outlives it. */
static void stop(struct rpcc_loop *loop)
{
	rpcc_loop_call(loop, set_ending, loop);
	pthread_join(loop->thread, NULL);
	rpcc_io_destroy(loop->io);
	pthread_cond_destroy(&loop->started);
	pthread_mutex_destroy(&loop->lock);
}

/* With fewer than it could be, it still serves. */
RPC_STATUS rpcc_loops_start(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int err = 0;

	if (processors > MAX_LOOPS)
		processors = MAX_LOOPS;
	if (processors < 1)
		processors = 1;
	while (!err && loop_count < processors) {
		err = start(&loops[loop_count]);
		if (!err)
			loop_count++;
	}
	if (loop_count)
		return RPC_S_OK;
	return err == -ENOMEM ? RPC_S_OUT_OF_MEMORY : RPC_S_OUT_OF_RESOURCES;
}

void rpcc_loops_stop(void)
{
	while (loop_count)
		stop(&loops[--loop_count]);
}

void rpcc_loops_fork_child(void)
{
	loop_count = 0;
}
