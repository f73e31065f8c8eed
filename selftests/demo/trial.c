// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * One trial: a thread calls a library and gets stuck, the mechanism is used,
 * the server answers again, and a second call is made with the same handle: by
 * the same thread if it lives.
 */
#include "demo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ULL
#define BLOCKED_MS 300 /* asleep for so long: it is blocked */
#define BLOCKED_LIMIT_MS 20000 /* to get there, on a machine that is busy */
#define REPEAT_MS 100

int limit_ms = 4000;

__u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * MS };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* Read a file of a thread of ours; "" when there is none. */
static void read_task(pid_t tid, const char *name, char *buf, size_t size)
{
	char path[64];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, name);
	file = fopen(path, "re");
	n = file ? fread(buf, 1, size - 1, file) : 0;
	buf[n] = '\0';
	if (file)
		fclose(file);
}

/* A set of signals out of a thread's status: "SigBlk:" or "SigCgt:". */
static __u64 signals(pid_t tid, const char *set)
{
	char status[4096];
	const char *line;

	read_task(tid, "status", status, sizeof(status));
	line = strstr(status, set);
	return line ? strtoull(line + 7, NULL, 16) : 0;
}

/* The system call that a thread sleeps in, or -1. */
static long sleeps_in(pid_t tid)
{
	char line[160], *end;
	long number;

	read_task(tid, "syscall", line, sizeof(line));
	number = strtol(line, &end, 10);
	return end == line ? -1 : number;
}

static void name_syscall(long number, char *buf, size_t size)
{
	static const struct {
		long number;
		const char *name;
	} known[] = {
#ifdef SYS_poll
		{ SYS_poll, "poll" },
		{ SYS_select, "select" },
#endif
		{ SYS_ppoll, "ppoll" },		{ SYS_read, "read" },
		{ SYS_recvfrom, "recvfrom" },	{ SYS_recvmsg, "recvmsg" },
		{ SYS_futex, "futex" },		{ SYS_connect, "connect" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].number == number) {
			snprintf(buf, size, "%s", known[i].name);
			return;
		}
	snprintf(buf, size, number < 0 ? "user mode" : "system call %ld",
		 number);
}

/* Where a thread is that did not come out in time. */
static void find_stuck(struct trial *t, char *buf, size_t size)
{
	struct timespec cpu = { 0 };
	clockid_t clock;

	if (!pthread_getcpuclockid(t->thread, &clock))
		clock_gettime(clock, &cpu);
	if ((cpu.tv_sec * 1000 + cpu.tv_nsec / 1000000) * 2 > limit_ms)
		snprintf(buf, size, "a busy loop");
	else
		name_syscall(sleeps_in(t->tid), buf, size);
}

static void attempt_ended(void *arg)
{
	struct trial *t = arg;

	t->ended = now_ns();
	t->died = true;
	sem_post(&t->done);
}

static void *caller(void *arg)
{
	struct trial *t = arg;

	t->tid = gettid();
	sem_post(&t->done);
	for (;;) {
		while (sem_wait(&t->go))
			;
		memset(&t->answer, 0, sizeof(t->answer));
		pthread_cleanup_push(attempt_ended, t);
		if (t->mechanism->enter)
			t->mechanism->enter(t);
		t->subject->call(t, &t->answer);
		t->ended = now_ns();
		if (t->mechanism->leave)
			t->mechanism->leave(t);
		pthread_cleanup_pop(0);
		sem_post(&t->done);
	}
	return NULL;
}

static bool wait_done(struct trial *t, __u64 until)
{
	struct timespec ts = { until / 1000000000, until % 1000000000 };

	while (sem_clockwait(&t->done, CLOCK_MONOTONIC, &ts))
		if (errno != EINTR)
			return false;
	return true;
}

static int start_caller(struct trial *t)
{
	int err = pthread_create(&t->thread, NULL, caller, t);

	if (err)
		return -err;
	wait_done(t, now_ns() + limit_ms * MS);
	return 0;
}

/* Wait until the thread has slept in the same kind of call for a while. */
static bool wait_blocked(struct trial *t)
{
	__u64 since = now_ns(), until = since + BLOCKED_LIMIT_MS * MS;
	long last = -1;

	while (now_ns() < until) {
		long number = sleeps_in(t->tid);

		/* Waiting for sem_go is not yet the call. */
		if (number < 0 || number == SYS_futex || number != last)
			since = now_ns();
		else if (now_ns() - since > BLOCKED_MS * MS)
			return true;
		last = number;
		sleep_ms(10);
	}
	return false;
}

static void look_inside(struct trial *t)
{
	struct report *r = t->report;

	r->mask_inside = signals(t->tid, "SigBlk:");
	name_syscall(sleeps_in(t->tid), r->syscall, sizeof(r->syscall));
	read_task(t->tid, "wchan", r->wchan, sizeof(r->wchan));
	if (r->wchan[0] < 'A')
		r->wchan[0] = '\0';
}

static void note_end(struct trial *t, struct attempt *a, bool out,
		     __u64 start)
{
	if (!out) {
		a->end = STUCK;
		a->ms = limit_ms;
		find_stuck(t, a->where, sizeof(a->where));
		return;
	}
	a->end = t->died ? DIED : RETURNED;
	a->ms = (t->ended - start) / 1e6;
	a->answer = t->answer;
}

/* Use the mechanism on the thread that is in its call. */
static void fire(struct trial *t)
{
	__u64 start = now_ns(), until = start + limit_ms * MS;
	struct report *r = t->report;
	__u64 caught = signals(gettid(), "SigCgt:");
	bool out = false;

	do {
		r->fired++;
		t->mechanism->fire(t);
		if (r->fired == 1)
			r->fire_ms = (now_ns() - start) / 1e6;
		out = wait_done(t, t->mechanism->repeat ?
				   now_ns() + REPEAT_MS * MS : until);
	} while (!out && now_ns() < until);
	note_end(t, &r->first, out, start);
	r->handled = handlers_run();
	r->caught = signals(gettid(), "SigCgt:") & ~caught;
	if (r->first.end == RETURNED)
		r->mask_after = signals(t->tid, "SigBlk:");
}

static void call_again(struct trial *t, struct attempt *a)
{
	__u64 start;

	if (t->died) {
		pthread_join(t->thread, NULL);
		t->died = false;
		if (start_caller(t))
			return;
	}
	t->call++;
	start = now_ns();
	sem_post(&t->go);
	note_end(t, a, wait_done(t, start + limit_ms * MS), start);
}

static void measure(struct trial *t)
{
	struct report *r = t->report;

	r->canceller = gettid();
	r->tid = t->tid;
	r->mask_before = signals(t->tid, "SigBlk:");
	sem_post(&t->go);
	if (!wait_blocked(t)) {
		snprintf(r->problem, sizeof(r->problem),
			 "the call did not block for %d ms %s", BLOCKED_MS,
			 t->answer.text);
		return;
	}
	look_inside(t);
	fire(t);
	if (r->first.end == STUCK)
		return;
	peer_answer(&t->peer);
	call_again(t, &r->second);
	if (!t->subject->repair || r->second.end != RETURNED || r->second.answer.ok)
		return;
	t->subject->repair(t);
	call_again(t, &r->repaired);
}

static void run(struct trial *t)
{
	struct report *r = t->report;
	int err;

	/* Whatever happens to this process, the demo goes on. */
	alarm((2 * BLOCKED_LIMIT_MS + 4 * limit_ms) / 1000);
	sem_init(&t->go, 0, 0);
	sem_init(&t->done, 0, 0);
	err = peer_start(&t->peer, t->subject->protocol);
	if (t->mechanism->prepare(t))
		return;
	if (!err)
		err = t->subject->open(t);
	if (!err)
		err = start_caller(t);
	if (err)
		snprintf(r->problem, sizeof(r->problem), "cannot start: %s",
			 strerror(-err));
	else
		measure(t);
}

/* Returns what was measured; it stays there until the program ends. */
struct report *trial_run(const struct library *l, const struct mechanism *m)
{
	struct trial trial = {
		.subject = l, .mechanism = m, .fd = -1, .call = 1,
	};
	struct report *r;
	pid_t pid;

	r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r == MAP_FAILED)
		abort();
	trial.report = r;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		run(&trial);
		r->complete = true;
		_exit(0); /* no destructors: the locks may be held */
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (!r->complete && !r->problem[0])
		snprintf(r->problem, sizeof(r->problem),
			 "the process of this trial died");
	return r;
}
