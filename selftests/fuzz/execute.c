// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * One program, in a process of its own: threads that make the calls, one thread
 * that hands them out, and the check in the end that no cancel is lost.
 *
 * A call that blocks keeps its thread; calls for a thread that is busy go to the
 * next one that is not. In the end the process exits with its threads in whatever
 * they are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../faults.h"
#include "fuzz.h"

#define UID		1000
#define STACK		(128 << 10)
/* How long a call may take until the next one, in us. */
#define PATIENCE	5000
#define FILES		128

__thread sigjmp_buf guard;
__thread volatile sig_atomic_t guarded;

long from_errno(long ret)
{
	return ret < 0 ? -errno : ret;
}

static void on_fault(int signal)
{
	if (guarded)
		siglongjmp(guard, 1);
	_exit(128 + signal);
}

static void on_signal(int signal)
{
}

static void handle_signals(void)
{
	struct sigaction fault = { .sa_handler = on_fault };
	struct sigaction plain = { .sa_handler = on_signal };
	struct sigaction restart = {
		.sa_handler = on_signal, .sa_flags = SA_RESTART,
	};

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGUSR1, &plain, NULL);
	sigaction(SIGALRM, &plain, NULL);
	sigaction(SIGUSR2, &restart, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Sleeps until the word is no longer @seen, or the time is over. */
static void wait_while(atomic_int *word, int seen, long us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, us ? &ts : NULL,
		NULL, 0);
}

static void wake(atomic_int *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static void make_call(struct worker *w)
{
	const struct op *op = op_get(w->call->op);
	int number = w->process->number;
	long ret;

	coverage_begin(number, w->index);
	ret = op->fn(w, w->call->args);
	coverage_end(number, w->index);
	coverage_result(number, w->call->op, ret);
	shared->calls++;
	if (ret >= 0)
		shared->succeeded++;
	else if (ret > -(long)COUNT(shared->errors))
		shared->errors[-ret]++;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	w->fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	w->tid = rc_gettid();
	shared->tid[w->process->number][w->index] = w->tid;
	coverage_enable(w->process->number, w->index);
	for (;;) {
		while (w->state != BUSY)
			wait_while(&w->state, IDLE, 0);
		make_call(w);
		w->state = IDLE;
		wake(&w->state);
	}
	return NULL;
}

static bool worker_start(struct worker *w)
{
	pthread_attr_t attr;
	int ret;

	w->device = -1;
	w->slot = NULL;
	w->map = NULL;
	w->blocking = 0;
	w->state = IDLE;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ret = pthread_create(&w->thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	if (ret)
		w->state = ABSENT;
	return !ret;
}

/* The thread that a call is for, or another one. */
static struct worker *choose(struct process *p, int thread)
{
	struct worker *w = &p->worker[thread];

	if (w->state == BUSY)
		wait_while(&w->state, BUSY, PATIENCE / 10);
	for (int i = 0; i < THREADS; i++) {
		w = &p->worker[(thread + i) % THREADS];
		if (w->state == IDLE ||
		    (w->state == ABSENT && worker_start(w)))
			return w;
	}
	return NULL;
}

static void hand_out(struct process *p, const struct call *c, bool collide)
{
	struct worker *w = choose(p, c->thread);

	if (!w) {
		shared->skipped++;
		return;
	}
	w->call = c;
	w->state = BUSY;
	wake(&w->state);
	if (!collide)
		wait_while(&w->state, BUSY, PATIENCE);
}

/*
 * Only what this program has not spoilt itself can be held against the module. A
 * thread that is in no scope has generation 0, and may sleep.
 */
static bool must_come_out(struct worker *w)
{
	unsigned int classes = w->classes ? w->classes :
					    RPCCANCEL_CLASS_DEFAULT;

	return w->state == BUSY && w->slot && w->gen & 1 && w->blocking & classes;
}

/*
 * A thread that blocks in its scope is cancelled, and has to come out. It is
 * counted how often one looks, not how long: the process may be stopped.
 */
static bool cancel_works(struct process *p, struct worker *w)
{
	int dev = device_get(w, 0), handle, result;
	unsigned long long gen = w->gen;
	char path[64], where[256] = "";

	handle = dev < 0 ? dev : rc_open(dev, w->tid, RPCCANCEL_ACCESS_ALL);
	if (handle < 0)
		return true;
	result = rc_cancel_result(handle, gen);
	close(handle);
	if (result != RPCCANCEL_RESULT_PENDING &&
	    result != RPCCANCEL_RESULT_ALREADY)
		return true;
	shared->checked_cancels++;
	for (int i = 0; i < RC_PATIENCE / 10; i++) {
		if (!must_come_out(w) || w->gen != gen || p->lies)
			return true;
		rc_sleep(10);
	}
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", w->tid);
	rc_read_file(path, where, sizeof(where));
	printf("# lost: thread %d, generation %llu, \"%s\", in system call %s",
	       w->index, gen, rc_result_name(result), where);
	return false;
}

static bool check(struct process *p)
{
	bool ok = true;

	for (int i = 0; i < THREADS && !p->lies; i++) {
		struct worker *w = &p->worker[i];

		if (must_come_out(w))
			ok &= cancel_works(p, w);
	}
	return ok;
}

static bool worker_init(struct worker *w, struct process *p, int index,
			uint32_t seed)
{
	w->process = p;
	w->index = index;
	w->seed = (seed + 7919 * index) | 1;
	w->device = -1;
	w->fail_nth = -1;
	w->arena = mmap(NULL, 3 * p->page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->arena == MAP_FAILED)
		return false;
	return !mprotect(w->arena + p->page, p->page, PROT_READ) &&
	       !mprotect(w->arena + 2 * p->page, p->page, PROT_NONE);
}

static bool process_init(struct process *p, int number, const int *passing,
			 uint32_t seed)
{
	struct rlimit files = { FILES, FILES };

	p->number = number;
	p->page = sysconf(_SC_PAGESIZE);
	memcpy(p->passing, passing, sizeof(p->passing));
	for (int i = 0; i < DEVICES; i++)
		p->device[i] = -1;
	for (int i = 0; i < HANDLES; i++)
		p->handle[i] = -1;
	for (int i = 0; i < THREADS; i++) {
		if (!worker_init(&p->worker[i], p, i, seed))
			return false;
		shared->tid[number][i] = 0;
	}
	shared->pid[number] = getpid();
	setrlimit(RLIMIT_NOFILE, &files);
	handle_signals();
	return !blockers_init(&p->block);
}

/* Every second process is an ordinary user's, if there is a choice. */
static void choose_user(int number)
{
	if (getuid() || !(number % 2))
		return;
	if (setresgid(UID, UID, UID) || setresuid(UID, UID, UID))
		_exit(EXIT_SETUP);
	/* What setresuid() has taken away. */
	prctl(PR_SET_DUMPABLE, 1);
}

void execute(const struct program *program, int number, const int *passing,
	     uint32_t seed)
{
	static struct process process;
	struct process *p = &process;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	choose_user(number);
	if (!process_init(p, number, passing, seed))
		_exit(EXIT_SETUP);
	for (unsigned int i = 0; i < program->calls; i++)
		hand_out(p, &program->call[i], program->collide);
	if (!check(p)) {
		fflush(stdout);
		_exit(EXIT_LOST);
	}
	_exit(EXIT_DONE);
}
