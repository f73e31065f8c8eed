// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "interleaving.h"
#include "kselftest.h"

#define STAGE		RC_PARAMETERS "stage"
#define LIST		"/sys/kernel/debug/rpccancel/threads"

struct race race;

/* In the target's process. */
static int target_dev;
static struct rpccancel_slot *target_slot;

void check(int line, const char *what, long expected, long seen)
{
	if (expected == seen)
		return;
	ksft_print_msg("line %d: %s is %ld, not %ld\n", line, what, seen,
		       expected);
	_exit(1);
}

/*
 * Stages.
 */

static struct stage look_at(const char *name)
{
	struct stage stage = { "free", 0, 0 };
	char buf[4096], *line, *next, seen[16];

	CHECK_THAT(rc_read_file(STAGE, buf, sizeof(buf)) >= 0);
	for (line = strtok_r(buf, "\n", &next); line;
	     line = strtok_r(NULL, "\n", &next)) {
		if (sscanf(line, "%15s", seen) == 1 && !strcmp(seen, name))
			sscanf(line, "%*s %15s %d %d", stage.state,
			       &stage.reached, &stage.left);
	}
	return stage;
}

/* Whether this is the test build, and it is ours. */
bool stages_there(void)
{
	return !access(STAGE, W_OK);
}

bool is(const char *name, const char *state)
{
	return !strcmp(look_at(name).state, state);
}

/* @until: the other stage that ends it, or a time; "": it waits for us. */
void arm_until(const char *name, pid_t tid, const char *until)
{
	char text[64];

	snprintf(text, sizeof(text), "arm %s %d %s", name, tid, until);
	CHECK(0, rc_write_file(STAGE, text));
	race.armed[race.n_armed++] = name;
}

void arm(const char *name)
{
	arm_until(name, race.tid, "");
}

/* Holds nobody, but is numbered when it is reached. */
void watch(const char *name, pid_t tid)
{
	arm_until(name, tid, "0");
}

void wait_reached(int line, const char *name)
{
	uint64_t end = rc_now() + SOON * RC_NSEC_PER_MSEC;

	while (!is(name, "reached")) {
		if (rc_now() > end) {
			ksft_print_msg("line %d: stage %s was not reached: %s\n",
				       line, name, look_at(name).state);
			_exit(1);
		}
		/*
		 * A processor that goes idle may look for work at the other
		 * one, whose run queue lock may be held there.
		 */
		sched_yield();
	}
}

void release_stage(int line, const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "release %s", name);
	check(line, text, 0, rc_write_file(STAGE, text));
}

/* Waits until it was left, for the numbers. */
struct stage wait_left(int line, const char *name)
{
	uint64_t end = rc_now() + SOON * RC_NSEC_PER_MSEC;

	while (!is(name, "left") && rc_now() < end)
		usleep(100);
	check(line, name, true, is(name, "left"));
	return look_at(name);
}

/*
 * Actors.
 */

void tell(struct actor *a, enum order what, uint64_t arg)
{
	CHECK(NOTHING, a->order);
	a->arg = arg;
	a->order = what;
	syscall(SYS_futex, &a->order, FUTEX_WAKE, 1, NULL, NULL, 0);
}

bool done(struct actor *a)
{
	return a->order == NOTHING;
}

long wait_result(int line, struct actor *a)
{
	uint64_t end = rc_now() + SOON * RC_NSEC_PER_MSEC;

	while (!done(a)) {
		if (rc_now() > end) {
			ksft_print_msg("line %d: still busy with order %d\n",
				       line, a->order);
			_exit(1);
		}
		usleep(100);
	}
	return a->ret;
}

long ask(int line, struct actor *a, enum order what, uint64_t arg)
{
	tell(a, what, arg);
	return wait_result(line, a);
}

static void serve(struct actor *a, bool may_sleep,
		  long (*execute)(enum order what, uint64_t arg))
{
	a->tid = rc_gettid();
	for (;;) {
		while (done(a)) {
			if (may_sleep)
				syscall(SYS_futex, &a->order, FUTEX_WAIT,
					NOTHING, NULL, NULL, 0);
			else
				sched_yield();
		}
		a->ret = execute(a->order, a->arg);
		a->order = NOTHING;
	}
}

static long read_byte(void)
{
	char byte;
	ssize_t ret = read(race.pipe[0], &byte, 1);

	return ret < 0 ? -errno : ret;
}

static long exec_self(void)
{
	char fd[16];

	snprintf(fd, sizeof(fd), "%d", race.pipe[0]);
	execl("/proc/self/exe", "interleaving_test", EXEC_ARG, fd, NULL);
	return -errno;
}

/* Only the hrtimer's processor is held by a stage: it is not the target's. */
static long set_deadline(uint64_t ms)
{
	int ret;

	if (!ms)
		return rc_deadline(target_dev, 0);
	rc_pin(1);
	ret = rc_deadline(target_dev, rc_now() + ms * RC_NSEC_PER_MSEC);
	rc_pin(0);
	return ret;
}

static long target_order(enum order what, uint64_t arg)
{
	switch (what) {
	case PIN:
		rc_pin(arg);
		return 0;
	case ATTACH:
		return rc_attach(target_dev, &target_slot);
	case DETACH:
		return ioctl(target_dev, RPCCANCEL_IOC_DETACH) ? -errno : 0;
	case OPEN_SELF:
		return rc_open(target_dev, 0, RPCCANCEL_ACCESS_ALL);
	case BEGIN:
		rc_begin_scope(target_dev, target_slot);
		return 0;
	case BEGIN_CALL:
		rc_begin(target_dev, target_slot, RPCCANCEL_MODE_CALL, 0, 0);
		return 0;
	case NEXT:
		rc_next(target_dev, target_slot);
		return 0;
	case END:
		rc_end(target_dev, target_slot);
		return 0;
	case DEADLINE:
		return set_deadline(arg);
	case READ:
		return read_byte();
	case FUTEX:
		return syscall(SYS_futex, &race.s->futex, FUTEX_WAIT, 0, NULL,
			       NULL, 0) ? -errno : 0;
	case EXIT:
		/* Without a word to the C library, which would unmap. */
		return syscall(SYS_exit, 0);
	case EXEC:
		return exec_self();
	default:
		return 0;
	}
}

static long target_execute(enum order what, uint64_t arg)
{
	volatile struct rpccancel_slot *slot;
	long ret = target_order(what, arg);

	slot = target_slot;
	if (slot && !race.s->unmapped) {
		race.s->gen = slot->gen;
		race.s->cancel = slot->cancel;
		race.s->refused = slot->refused;
	}
	return ret;
}

static void *target_main(void *unused)
{
	rc_pin(0);
	/* Asleep it could be refused what it does not expect. */
	serve(TARGET, false, target_execute);
	return NULL;
}

static long close_device(void)
{
	size_t page = sysconf(_SC_PAGESIZE);

	race.s->unmapped = true;
	munmap((void *)((uintptr_t)target_slot & ~(page - 1)), page);
	return close(target_dev) ? -errno : 0;
}

static long process_execute(enum order what, uint64_t arg)
{
	return what == CLOSE_DEVICE ? close_device() : target_order(what, arg);
}

static void process_main(void)
{
	pthread_t thread;

	close(race.pipe[1]);
	target_dev = rc_open_device();
	if (target_dev < 0 ||
	    pthread_create(&thread, NULL, target_main, NULL))
		_exit(1);
	rc_pin(0);
	serve(PROCESS, true, process_execute);
}

long unload(void)
{
	return syscall(SYS_delete_module, "rpccancel", O_NONBLOCK) ? -errno : 0;
}

static long canceller_execute(enum order what, uint64_t arg)
{
	switch (what) {
	case PIN:
		rc_pin(arg);
		return 0;
	case CANCEL:
		return rc_cancel_result(race.handle, arg);
	case WAIT_DELIVERED:
		return rc_wait(race.handle, arg, RPCCANCEL_WAIT_DELIVERED,
			       RC_PATIENCE);
	case WAIT_ENDED:
		return rc_wait(race.handle, arg, RPCCANCEL_WAIT_ENDED,
			       RC_PATIENCE);
	case POLL:
		return rc_poll(race.handle, POLLIN, RC_PATIENCE);
	case CLOSE:
		return close(arg) ? -errno : 0;
	case UNLOAD:
		return unload();
	default:
		return 0;
	}
}

static void *canceller_main(void *unused)
{
	rc_pin(1);
	serve(CANCELLER, true, canceller_execute);
	return NULL;
}

/*
 * What the interleavings are made of.
 */

void start(void)
{
	pthread_t thread;

	race.s = mmap(NULL, sizeof(*race.s), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK_THAT(race.s != MAP_FAILED);
	CHECK(0, pipe(race.pipe));
	rc_pin(0);
	race.pid = rc_fork();
	if (!race.pid)
		process_main();
	CHECK_SOON(race.s->target.tid && race.s->process.tid);
	race.tid = race.s->target.tid;
	CHECK(0, pthread_create(&thread, NULL, canceller_main, NULL));
	CHECK_SOON(race.s->canceller.tid);
	race.dev = rc_open_device();
	CHECK_THAT(race.dev >= 0);
	race.handle = rc_open(race.dev, race.tid, RPCCANCEL_ACCESS_ALL);
	CHECK_THAT(race.handle >= 0);
	CHECK(0, rc_set_nonblock(race.handle, true));
}

bool asleep_in(pid_t tid, long nr)
{
	return rc_asleep_in(race.pid, tid) == nr;
}

bool thread_gone(void)
{
	return !rc_state(race.pid, race.tid);
}

void feed(void)
{
	CHECK(1, write(race.pipe[1], "x", 1));
}

void begin(enum order how)
{
	CHECK(0, ASK(TARGET, how, 0));
	race.gen = race.s->gen;
}

void read_asleep(void)
{
	tell(TARGET, READ, 0);
	CHECK_SOON(asleep_in(race.tid, SYS_read));
}

/* In a scope, and asleep in read(). */
void begin_read(void)
{
	begin(BEGIN);
	read_asleep();
}

/* In a scope, in user mode, and cancelled: the scheduler hook is on. */
void begin_cancelled(void)
{
	begin(BEGIN);
	CHECK(RPCCANCEL_RESULT_PENDING,
	      rc_cancel_result(race.handle, race.gen));
	CHECK_SOON(!ASK(TARGET, LOOK, 0) && race.s->cancel == race.gen);
}

int cancel(void)
{
	return rc_cancel_result(race.handle, race.gen);
}

/* The read() that the target is in gets its byte. */
void complete(void)
{
	feed();
	CHECK(1, RESULT(TARGET));
}

/* It sleeps in read(), goes on doing so, and gets its byte. */
void goes_on_reading(void)
{
	rc_sleep(10);
	CHECK_SOON(asleep_in(race.tid, SYS_read));
	complete();
}

void is_left_alone(void)
{
	read_asleep();
	goes_on_reading();
}

void is_refused(int error)
{
	CHECK(-error, ASK(TARGET, READ, 0));
}

/* How many changes the handle has to tell of. */
long events(void)
{
	struct rpccancel_event ev;

	return read(race.handle, &ev, sizeof(ev)) == sizeof(ev) ? ev.count : 0;
}

int became(void)
{
	return rc_wait(race.handle, race.gen, RPCCANCEL_WAIT_ENDED, SOON);
}

/* The generation ends; what became of the cancel; the next is not hit. */
void over(int line, int result, int changes, int refusals)
{
	check(line, "end", 0, ASK(TARGET, END, 0));
	check(line, "the slot's cancel", 0, race.s->cancel);
	check(line, "what became of it", result, became());
	check(line, "count of changes told", changes, events());
	check(line, "count of refused calls", refusals, race.s->refused);
	check(line, "begin", 0, ASK(TARGET, BEGIN, 0));
	is_left_alone();
	check(line, "the next slot's cancel", 0, race.s->cancel);
	check(line, "count with the next call", refusals, race.s->refused);
	check(line, "changes in the next call", 0, events());
	check(line, "end of the next call", 0, ASK(TARGET, END, 0));
}

/* The record means nobody any more. */
void is_gone(void)
{
	CHECK(-ESRCH, became());
	CHECK(-ESRCH, cancel());
	CHECK_THAT(rc_poll(race.handle, POLLIN, 0) & POLLHUP);
}

void close_all(void)
{
	if (race.handle >= 0)
		close(race.handle);
	if (race.dev >= 0)
		close(race.dev);
	race.handle = -1;
	race.dev = -1;
}

void kill_target(void)
{
	CHECK(0, kill(race.pid, SIGKILL));
}

void reap(int status)
{
	CHECK(status, rc_reap(race.pid, SOON));
	race.pid = 0;
}

/* The new program reads from the same pipe, and is not disturbed. */
void new_program_reads(void)
{
	CHECK_SOON(asleep_in(race.pid, SYS_read));
	rc_sleep(10);
	CHECK_THAT(asleep_in(race.pid, SYS_read));
	feed();
	reap(0);
}

void load(void)
{
	const char *path = getenv("RPCCANCEL_TEST_MODULE");
	int fd = open(path ?: "", O_RDONLY | O_CLOEXEC);

	CHECK_THAT(fd >= 0);
	CHECK(0, syscall(SYS_finit_module, fd, "", 0) ? -errno : 0);
	close(fd);
}

/* Nothing is left of it. */
void finish(void)
{
	char list[4096];

	for (int i = 0; i < race.n_armed && !race.unloaded; i++)
		CHECK_SOON(is(race.armed[i], "left"));
	close_all();
	if (race.pid) {
		kill(race.pid, SIGKILL);
		reap(256 + SIGKILL);
	}
	CHECK_SOON(rc_read_number(RC_REFCNT) == 0);
	CHECK_THAT(rc_read_file(LIST, list, sizeof(list)) > 0);
	CHECK_THAT(strchr(list, '\n') && !strchr(list, '\n')[1]);
}
