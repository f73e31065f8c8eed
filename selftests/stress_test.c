// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Ten thousand attached threads, and everything that can happen to them, at
 * random and all at once; afterwards nothing may be left.
 *
 * usage: stress_test
 *	RPCCANCEL_STRESS_SECONDS (60; less, but not less than half of it, where
 *	it takes long to start), RPCCANCEL_STRESS_THREADS (10000),
 *	RPCCANCEL_SEED=n (which says only what is tried, not when)
 *
 * The manager starts processes of threads ("workers") and cancellers, kills,
 * stops and continues them, and tries to remove the module meanwhile. It kills
 * only what it has started, by number.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "rpccancel_util.h"

#define MODULE		"rpccancel"
#define LIST		"/sys/kernel/debug/rpccancel/threads"
#define CACHE		"rpccancel_thread"

#define PER_PROCESS	100
#define MAX_PROCESSES	400
#define CANCELLERS	3
#define STACK		(64 << 10)
/* What starting takes beyond that is taken off the time, but for half of it. */
#define START_MS	20000
/*
 * How long the last record may take to go, once all are dead: ten thousand are
 * waiting for RCU, which frees ten at a time. With KASAN, debug objects and
 * lockdep, in an emulated guest, these are some hundred in a second.
 */
#define GONE_WITHIN	60000
/*
 * A call of a worker ends by itself after that, so none can stay blocked. Ten
 * thousand that wake up more often would do nothing else, on a slow machine.
 */
#define LONGEST_MS	60000
/* How much unreclaimable slab may stay, if the cache cannot be looked at. */
#define SLAB_SLACK_KB	(48 << 10)

/* What all of them count, in memory that they share. */
static struct shared {
	atomic_bool go, stop;
	atomic_long attached[MAX_PROCESSES];	/* threads that are, right now */
	atomic_long scopes, calls, refused, finished, deadlines, in_call_mode;
	atomic_long detached, exited, execs, closes;
	atomic_long cancels, bulks, waits, infos, lists;
	atomic_long results[RPCCANCEL_RESULT_ENDED + 1];
	atomic_long gone;	/* cancels of threads that were gone */
	atomic_long odd;	/* answers that must not be */
	atomic_int odd_line, odd_errno;
} *shared;

static uint32_t seed;
static int processes;

#define ODD()								\
	do {								\
		shared->odd_errno = errno;				\
		shared->odd_line = __LINE__;				\
		shared->odd++;						\
	} while (0)

/*
 * A process of threads.
 */

struct member {
	struct worker *worker;
	pthread_t thread;
	uint32_t seed;
	atomic_int state;	/* 0 none, 1 running, 2 ended */
};

static struct worker {
	int index;
	int never[2];		/* a pipe that never has a byte */
	atomic_int dev;		/* of the current generation */
	atomic_long generation;
	atomic_int word;
	pthread_mutex_t lock;	/* the device is being changed */
	char *stacks;		/* theirs: one mapping is quicker than many */
	struct member members[PER_PROCESS];
} worker;

static void nap(uint32_t *s, int most_ms)
{
	uint32_t ms = rc_random(s, most_ms) + 1;
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

/* One call under a scope; how it ended is counted. */
static void one_call(struct rpccancel_slot *slot, int dev, uint32_t *s)
{
	bool call = !rc_random(s, 4), limited = false;
	uint32_t ms = rc_random(s, LONGEST_MS) + 1;
	uint64_t refused = slot->refused;
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	uint32_t what = rc_random(s, 5);
	char byte;
	int ret = 0;

	slot->grace = rc_random(s, 2) ? 0 : RC_NSEC_PER_MSEC * 20;
	slot->tag = ms;
	rc_begin(dev, slot, call ? RPCCANCEL_MODE_CALL : RPCCANCEL_MODE_SCOPE,
		 0, 0);
	/* A read() from nowhere ends only by a deadline or a cancel. */
	if (what == 0 || !rc_random(s, 8)) {
		ret = rc_deadline(dev, rc_now() + ms * RC_NSEC_PER_MSEC);
		limited = !ret;
	}
	switch (what) {
	case 0:
		/* Without a deadline it would never end. */
		ret = limited ? read(worker.never[0], &byte, 1) : 0;
		break;
	case 1:
		ret = poll(NULL, 0, ms);
		break;
	case 2:
		/* Not to be refused, whatever comes. */
		ret = syscall(SYS_futex, &worker.word, FUTEX_WAIT_PRIVATE, 0,
			      &ts, NULL, 0);
		if (ret && errno != ETIMEDOUT)
			ODD();
		ret = 0;
		break;
	default:
		ret = nanosleep(&ts, NULL);
	}
	if (ret < 0 && errno != ECANCELED && errno != ETIMEDOUT)
		ODD();
	refused = slot->refused - refused;
	if (refused != (ret < 0 ? 1u : 0u))
		ODD();
	shared->calls++;
	shared->in_call_mode += call;
	shared->deadlines += limited;
	if (ret < 0)
		shared->refused++;
	else
		shared->finished++;
	rc_end(dev, slot);
	shared->scopes++;
}

/*
 * Attaches to the device of the day. While the last one is being closed by the
 * others it may still be attached there.
 */
static struct rpccancel_slot *attach(struct worker *w, int *dev, long *gen,
				     uint32_t *s)
{
	struct rpccancel_slot *slot = NULL;
	int ret = -EALREADY;

	while (!shared->stop) {
		/* The descriptor must not be closed between the two calls. */
		pthread_mutex_lock(&w->lock);
		*dev = w->dev;
		*gen = w->generation;
		ret = rc_attach(*dev, &slot);
		pthread_mutex_unlock(&w->lock);
		if (ret != -EALREADY)
			break;
		nap(s, 50);
	}
	if (ret) {
		errno = -ret;
		if (ret != -EALREADY)
			ODD();
		return NULL;
	}
	shared->attached[w->index]++;
	return slot;
}

static void unmap(struct rpccancel_slot *slot)
{
	size_t page = sysconf(_SC_PAGESIZE);

	munmap((void *)((uintptr_t)slot & ~(page - 1)), page);
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	struct worker *w = m->worker;
	struct rpccancel_slot *slot = NULL;
	long gen = -1;
	int dev = -1;

	for (;;) {
		if (!slot || gen != w->generation) {
			/*
			 * Whoever lets go of the old device's last mapping
			 * closes it, and detaches all that did not do it.
			 */
			if (slot) {
				unmap(slot);
				shared->attached[w->index]--;
			}
			slot = attach(w, &dev, &gen, &m->seed);
			if (!slot)
				break;
		}
		/* Nobody goes before all are there. */
		if (!shared->go) {
			nap(&m->seed, LONGEST_MS);
			continue;
		}
		switch (rc_random(&m->seed, 40)) {
		case 0:
			/* The descriptor may be that of a device already. */
			pthread_mutex_lock(&w->lock);
			if (gen == w->generation &&
			    ioctl(dev, RPCCANCEL_IOC_DETACH))
				ODD();
			pthread_mutex_unlock(&w->lock);
			unmap(slot);
			shared->attached[w->index]--;
			shared->detached++;
			m->state = 2;
			return NULL;
		case 1:
			unmap(slot);
			shared->attached[w->index]--;
			shared->exited++;
			m->state = 2;
			syscall(SYS_exit, 0);
			break;
		case 2:
		case 3:
		case 4:
			nap(&m->seed, LONGEST_MS);
			break;
		default:
			one_call(slot, dev, &m->seed);
		}
	}
	m->state = 2;
	return NULL;
}

static void start_members(struct worker *w, uint32_t *s)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	for (int i = 0; i < PER_PROCESS; i++) {
		struct member *m = &w->members[i];

		if (m->state == 1)
			continue;
		if (m->state == 2)
			pthread_join(m->thread, NULL);
		m->worker = w;
		m->seed = rc_random(s, UINT32_MAX) | 1;
		m->state = 1;
		pthread_attr_setstack(&attr, w->stacks + i * STACK, STACK);
		/* When there is no room it is tried again. */
		if (pthread_create(&m->thread, &attr, member_main, m))
			m->state = 0;
	}
	pthread_attr_destroy(&attr);
}

/* A new device; the old one goes when its last mapping does. */
static void change_device(struct worker *w)
{
	int new = open(RC_DEVICE, O_RDWR), old;

	if (new < 0) {
		ODD();
		return;
	}
	pthread_mutex_lock(&w->lock);
	old = w->dev;
	w->dev = new;
	w->generation++;
	if (old >= 0) {
		/* Who still uses the number meets the new device. */
		if (dup2(new, old) != old)
			ODD();
		w->dev = old;
		close(new);
		shared->closes++;
	}
	pthread_mutex_unlock(&w->lock);
}

static void exec_again(struct worker *w, int memory, uint32_t *s)
{
	char index[16], fd[16], start[16];

	snprintf(index, sizeof(index), "%d", w->index);
	snprintf(fd, sizeof(fd), "%d", memory);
	snprintf(start, sizeof(start), "%u", rc_random(s, UINT32_MAX) | 1);
	shared->execs++;
	/* The device stays open over it: it has no close-on-exec. */
	execl("/proc/self/exe", "stress_test", "--worker", index, fd, start,
	      NULL);
	ODD();
}

static void worker_main(int index, int memory, uint32_t s)
{
	struct worker *w = &worker;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	w->index = index;
	w->dev = -1;
	shared->attached[index] = 0;	/* those before have died */
	pthread_mutex_init(&w->lock, NULL);
	w->stacks = mmap(NULL, PER_PROCESS * STACK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->stacks == MAP_FAILED || pipe(w->never))
		ODD();
	change_device(w);
	while (!shared->stop) {
		start_members(w, &s);
		nap(&s, 1000);
		switch (shared->go ? rc_random(&s, 500) : 2) {
		case 0:
			change_device(w);
			break;
		case 1:
			exec_again(w, memory, &s);
			break;
		}
	}
	for (;;)
		pause();
}

/*
 * A canceller: takes threads from the list, and does to them what it may.
 */

static void count_result(uint32_t result)
{
	if (result <= RPCCANCEL_RESULT_ENDED)
		shared->results[result]++;
	else
		ODD();
}

static void cancel_one(int handle, const struct rpccancel_info *info, uint32_t *s)
{
	bool exact = rc_random(s, 2) && info->gen & 1;
	uint64_t gen = exact ? info->gen : RPCCANCEL_GEN_ANY;
	uint64_t grace = rc_random(s, 3) ? 0 : rc_random(s, 2) ?
			 RPCCANCEL_GRACE_TARGET : rc_random(s, 30000000);
	struct rpccancel_cancel c;
	struct rpccancel_info now;
	int ret;

	ret = rc_cancel(handle, gen, grace, &c);
	shared->cancels++;
	if (ret == -ESRCH) {
		shared->gone++;
		return;
	}
	if (ret) {
		errno = -ret;
		ODD();
		return;
	}
	count_result(c.result);
	if (exact && c.result == RPCCANCEL_RESULT_NEXT)
		ODD();
	if (c.gen & 1 && !rc_random(s, 4)) {
		ret = rc_wait(handle, c.gen, rc_random(s, 2), rc_random(s, 5));
		shared->waits++;
		if (ret < 0 && ret != -ESRCH) {
			errno = -ret;
			ODD();
		}
	}
	if (!rc_random(s, 8)) {
		ret = rc_info(handle, &now);
		shared->infos++;
		if (ret && ret != -ESRCH)
			ODD();
	}
	if (!rc_random(s, 16))
		rc_poll(handle, POLLIN, rc_random(s, 2));
}

static void cancel_bulk(int dev, const int *handles, int n, uint32_t *s)
{
	struct rpccancel_target targets[64] = {};
	struct rpccancel_bulk bulk = {
		.targets = (uintptr_t)targets,
		.grace = rc_random(s, 2) ? 0 : rc_random(s, 30000000),
		.count = n,
	};

	for (int i = 0; i < n; i++)
		targets[i].handle = handles[i];
	if (ioctl(dev, RPCCANCEL_IOC_BULK, &bulk) || bulk.count != (unsigned int)n)
		ODD();
	shared->bulks++;
	for (int i = 0; i < n; i++) {
		shared->cancels++;
		if (targets[i].error == ESRCH)
			shared->gone++;
		else if (targets[i].error)
			ODD();
		else
			count_result(targets[i].result);
	}
}

static void canceller_main(uint32_t s)
{
	struct rpccancel_info info[64];
	struct rpccancel_list list = {
		.buf = (uintptr_t)info,
		.entry_size = sizeof(info[0]),
	};
	int dev = rc_open_device();

	if (dev < 0)
		ODD();
	while (!shared->stop) {
		int handles[64], n = 0;

		list.count = 64;
		if (ioctl(dev, RPCCANCEL_IOC_LIST, &list)) {
			ODD();
			break;
		}
		shared->lists++;
		if (!list.count) {
			list.cursor = 0;
			nap(&s, 5);
			continue;
		}
		/* Not all of them each time, or nobody would ever sleep. */
		for (unsigned int i = 0; i < list.count; i++) {
			if (rc_random(&s, 3))
				continue;
			handles[n] = rc_open(dev, info[i].tid,
					     RPCCANCEL_ACCESS_ALL);
			if (handles[n] == -ESRCH)
				continue;
			if (handles[n] < 0) {
				errno = -handles[n];
				ODD();
				continue;
			}
			if (rc_random(&s, 4))
				cancel_one(handles[n], &info[i], &s);
			n++;
		}
		if (n && !rc_random(&s, 4))
			cancel_bulk(dev, handles, n, &s);
		while (n--)
			close(handles[n]);
		nap(&s, 100);
	}
	for (;;)
		pause();
}

/*
 * The manager.
 */

static pid_t pids[MAX_PROCESSES], canceller_pids[CANCELLERS];
static bool killed[MAX_PROCESSES], canceller_killed[CANCELLERS];
static long kills, stops, removals, died;

static pid_t start(int index, int memory)
{
	uint32_t s = rc_random(&seed, UINT32_MAX) | 1;
	pid_t pid = rc_fork();

	if (pid < 0)
		ksft_exit_fail_msg("fork: %s\n", strerror(errno));
	if (pid)
		return pid;
	setpriority(PRIO_PROCESS, 0, 0);
	if (index < 0)
		canceller_main(s);
	else
		worker_main(index, memory, s);
	_exit(0);
}

static int unload(void)
{
	return syscall(SYS_delete_module, MODULE, O_NONBLOCK) ? -errno : 0;
}

static int load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* Lines of the list without its header, or a negative errno. */
static long count_listed(void)
{
	static char buf[1 << 16];
	long lines = 0;
	ssize_t n;
	int fd = open(LIST, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	close(fd);
	return lines - 1;
}

/* Whoever has ended without having been killed is a failure. */
static void start_again(pid_t *pid, bool *was_killed, int index, int memory,
			int status)
{
	if (!*was_killed) {
		ksft_print_msg("process %d ended by itself: %#x\n", *pid,
			       status);
		died++;
	}
	*was_killed = false;
	*pid = start(index, memory);
}

static void look_after(int memory)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < processes; i++)
			if (pids[i] == pid)
				start_again(&pids[i], &killed[i], i, memory,
					    status);
		for (int i = 0; i < CANCELLERS; i++)
			if (canceller_pids[i] == pid)
				start_again(&canceller_pids[i],
					    &canceller_killed[i], -1, memory,
					    status);
	}
}

/* It takes its time to die; look_after() starts it again. */
static void kill_one(pid_t pid, bool *was_killed)
{
	if (*was_killed)
		return;
	*was_killed = true;
	kill(pid, SIGKILL);
	kills++;
}

static long count_attached(void)
{
	long n = 0;

	for (int i = 0; i < processes; i++)
		n += shared->attached[i];
	return n;
}

/* So that somebody who waits, or reads why it took so long, sees it go on. */
static void print_progress(uint64_t begin)
{
	static uint64_t next;

	if (rc_now() < next)
		return;
	next = rc_now() + 10000 * RC_NSEC_PER_MSEC;
	ksft_print_msg("%llu s: %ld attached, %ld calls, %ld refused, %ld cancels, %ld killed\n",
		       (rc_now() - begin) / RC_NSEC_PER_MSEC / 1000,
		       count_attached(), shared->calls, shared->refused,
		       shared->cancels, kills);
}

/* Something happens to one of them. */
static bool happen(void)
{
	int i = rc_random(&seed, processes);
	int ret;

	/* Not more than can be started again meanwhile. */
	switch (rc_random(&seed, 48)) {
	case 0:
		kill_one(pids[i], &killed[i]);
		break;
	case 1:
		i %= CANCELLERS;
		kill_one(canceller_pids[i], &canceller_killed[i]);
		break;
	case 2 ... 13:
		kill(pids[i], SIGSTOP);
		nap(&seed, 60);
		kill(pids[i], SIGCONT);
		stops++;
		break;
	default:
		/* What rmmod(8) calls "in use" is EWOULDBLOCK here. */
		ret = unload();
		removals++;
		if (ret != -EWOULDBLOCK) {
			ksft_print_msg("the module was removed under them: %s\n",
				       strerror(-ret));
			return false;
		}
	}
	return true;
}

static void end_all(void)
{
	for (int i = 0; i < processes; i++)
		kill(pids[i], SIGKILL);
	for (int i = 0; i < CANCELLERS; i++)
		kill(canceller_pids[i], SIGKILL);
	for (int i = 0; i < processes; i++)
		waitpid(pids[i], NULL, 0);
	for (int i = 0; i < CANCELLERS; i++)
		waitpid(canceller_pids[i], NULL, 0);
}

static void print_counts(void)
{
	ksft_print_msg("%ld scopes, %ld in call mode, %ld deadlines; %ld calls, %ld refused\n",
		       shared->scopes, shared->in_call_mode, shared->deadlines,
		       shared->calls, shared->refused);
	ksft_print_msg("%ld cancels (%ld lists, %ld bulks), %ld waits, %ld looks, %ld dead\n",
		       shared->cancels, shared->lists, shared->bulks,
		       shared->waits, shared->infos, shared->gone);
	for (int r = 0; r <= RPCCANCEL_RESULT_ENDED; r++)
		if (shared->results[r])
			ksft_print_msg("  answered \"%s\": %ld\n",
				       rc_result_name(r), shared->results[r]);
	ksft_print_msg("%ld detached, %ld just exited, %ld execs, %ld devices closed\n",
		       shared->detached, shared->exited, shared->execs,
		       shared->closes);
	ksft_print_msg("%ld killed, %ld stopped, %ld times tried to remove the module\n",
		       kills, stops, removals);
	if (shared->odd)
		ksft_print_msg("%ld answers that must not be, the last in line %d: %s\n",
			       shared->odd, shared->odd_line,
			       strerror(shared->odd_errno));
}

/* All of them at once. */
static bool wait_attached(long threads, int memory, int seconds)
{
	uint64_t end = rc_now() + seconds * 1000 * RC_NSEC_PER_MSEC;

	while (count_attached() < threads && rc_now() < end) {
		look_after(memory);
		rc_sleep(5);
	}
	return count_attached() >= threads;
}

static void check_end(const char *module, long before_kb)
{
	uint64_t start = rc_now();
	bool list, refs;
	long objects;

	list = !access(LIST, R_OK);
	while (list && count_listed() > 0 &&
	       rc_now() - start < GONE_WITHIN * RC_NSEC_PER_MSEC)
		rc_sleep(2);
	refs = rc_wait_number(RC_REFCNT, 0, GONE_WITHIN);
	ksft_print_msg("nothing left after %llu ms: %ld listed, %ld references\n",
		       (rc_now() - start) / RC_NSEC_PER_MSEC, count_listed(),
		       rc_read_number(RC_REFCNT));
	if (list)
		ksft_test_result(!count_listed(), "no record is listed\n");
	else
		ksft_test_result_skip("no record is listed: there is no " LIST "\n");
	ksft_test_result(refs, "no reference is left\n");

	/* What is free but kept by the allocator counts as in use. */
	rc_write_file("/sys/kernel/slab/" CACHE "/shrink", "1");
	objects = rc_slab_objects(CACHE);
	if (objects >= 0) {
		ksft_test_result(!objects, "no record is in memory: %ld\n",
				 objects);
	} else {
		long kb = rc_meminfo_kb("SUnreclaim");

		ksft_print_msg(CACHE " is merged with another cache: looking at all\n");
		for (int i = 0; i < 50 && kb > before_kb + SLAB_SLACK_KB; i++) {
			rc_sleep(100);
			kb = rc_meminfo_kb("SUnreclaim");
		}
		ksft_test_result(before_kb > 0 && kb <= before_kb +
				 SLAB_SLACK_KB,
				 "no memory is lost: %ld kB before, %ld kB after\n",
				 before_kb, kb);
	}

	if (!module) {
		ksft_test_result_skip("the module is removed: RPCCANCEL_MODULE is not set\n");
		ksft_test_result_skip("the module comes back: likewise\n");
		return;
	}
	ksft_test_result(!unload() && rc_slab_objects(CACHE) < 0 &&
			 access(RC_DEVICE, F_OK), "the module is removed\n");
	ksft_test_result(!load(module) && !access(RC_DEVICE, R_OK | W_OK) &&
			 !rc_read_number(RC_REFCNT), "the module comes back\n");
}

int main(int argc, char **argv)
{
	const char *module = getenv("RPCCANCEL_MODULE");
	long threads = rc_env("RPCCANCEL_STRESS_THREADS", 10000);
	long seconds = rc_env("RPCCANCEL_STRESS_SECONDS", 60);
	struct rlimit files = { 4096, 4096 };
	uint64_t begin = rc_now(), started, end;
	long before_kb, listed;
	bool all, removed = false;
	int memory;

	if (argc == 5 && !strcmp(argv[1], "--worker")) {
		memory = atoi(argv[3]);
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED, memory, 0);
		if (shared == MAP_FAILED)
			return 1;
		worker_main(atoi(argv[2]), memory, strtoul(argv[4], NULL, 10));
	}

	rc_need_device();
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	if (getuid())
		ksft_exit_skip("only root may remove the module and read its lists\n");
	if (module && access(module, R_OK))
		module = NULL;
	ksft_set_plan(10);
	processes = (threads + PER_PROCESS - 1) / PER_PROCESS;
	if (processes < 1 || processes > MAX_PROCESSES)
		ksft_exit_fail_msg("RPCCANCEL_STRESS_THREADS is out of range\n");
	threads = processes * PER_PROCESS;
	seed = rc_env("RPCCANCEL_SEED", begin >> 10) | 1;
	ksft_print_msg("%ld threads in %d processes for %ld s, seed %u\n",
		       threads, processes, seconds, seed);
	rc_more_room("/proc/sys/kernel/threads-max", 2 * threads);
	rc_more_room("/proc/sys/kernel/pid_max", 32768);
	setrlimit(RLIMIT_NOFILE, &files);
	memory = memfd_create("stress", 0);
	if (memory < 0 || ftruncate(memory, sizeof(*shared)))
		ksft_exit_fail_msg("memfd: %s\n", strerror(errno));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
		      memory, 0);
	if (shared == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	before_kb = rc_meminfo_kb("SUnreclaim");

	/* Before all others: whatever load they make, the time is what it is. */
	setpriority(PRIO_PROCESS, 0, -20);
	/* Two at a time: switching between many is what takes the time. */
	for (int i = 0; i < processes; i++) {
		wait_attached((i - 1) * PER_PROCESS, memory, 10);
		pids[i] = start(i, memory);
	}
	all = wait_attached(threads, memory, 60);
	listed = count_listed();
	ksft_print_msg("%ld attached, %ld listed, after %llu ms\n",
		       count_attached(), listed,
		       (rc_now() - begin) / RC_NSEC_PER_MSEC);
	ksft_test_result(all && (listed < 0 || listed == threads),
			 "all threads can be attached at once\n");
	shared->go = true;
	for (int i = 0; i < CANCELLERS; i++)
		canceller_pids[i] = start(-1, memory);

	started = rc_now();
	end = begin + (START_MS + seconds * 1000) * RC_NSEC_PER_MSEC;
	if (end > started + seconds * 1000 * RC_NSEC_PER_MSEC)
		end = started + seconds * 1000 * RC_NSEC_PER_MSEC;
	if (end < started + seconds * 500 * RC_NSEC_PER_MSEC)
		end = started + seconds * 500 * RC_NSEC_PER_MSEC;
	while (rc_now() < end && !removed) {
		look_after(memory);
		print_progress(begin);
		removed = !happen();
		rc_sleep(rc_random(&seed, 100));
	}
	look_after(memory);
	listed = count_listed();
	shared->stop = true;
	end_all();
	print_counts();
	ksft_print_msg("%ld listed at the end, after %llu ms of stress; all dead after %llu ms\n",
		       listed, (end - started) / RC_NSEC_PER_MSEC,
		       (rc_now() - begin) / RC_NSEC_PER_MSEC);
	ksft_test_result(!removed && removals,
			 "the module cannot be removed while it is in use\n");
	ksft_test_result(!died, "nobody dies who was not killed\n");
	ksft_test_result(!shared->odd, "all answers are possible ones\n");
	ksft_test_result(shared->refused && shared->finished && shared->cancels &&
			 shared->bulks && shared->waits && kills && stops,
			 "calls are refused, and calls come to their own end\n");
	check_end(module, before_kb);
	ksft_finished();
}
