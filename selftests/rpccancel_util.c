// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rpccancel_util.h"

int rc_open_device(void)
{
	int dev = open(RC_DEVICE, O_RDWR | O_CLOEXEC);

	return dev < 0 ? -errno : dev;
}

/* Ends the program, which has done nothing yet, as skipped. */
void rc_skip(const char *why)
{
	if (!getenv("KSFT_TAP_LEVEL"))
		puts("TAP version 13");
	printf("1..0 # SKIP %s\n", why);
	exit(4);
}

/* Ends the program as skipped when there is nothing to test. */
void rc_need_device(void)
{
	int dev = rc_open_device();
	char why[64];

	if (dev >= 0) {
		close(dev);
		return;
	}
	if (dev == -ENOENT)
		rc_skip(RC_DEVICE " is not there: load the module");
	snprintf(why, sizeof(why), RC_DEVICE ": %s", strerror(-dev));
	rc_skip(why);
}

int rc_query(int dev, struct rpccancel_query *q)
{
	return ioctl(dev, RPCCANCEL_IOC_QUERY, q) ? -errno : 0;
}

int rc_attach(int dev, struct rpccancel_slot **slot)
{
	struct rpccancel_attach attach = {};
	struct rpccancel_query q;
	size_t offset, page = sysconf(_SC_PAGESIZE);
	char *map;
	int ret;

	ret = rc_query(dev, &q);
	if (ret)
		return ret;
	if (ioctl(dev, RPCCANCEL_IOC_ATTACH, &attach))
		return -errno;
	offset = (size_t)attach.slot * q.slot_size;
	map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, dev,
		   offset & ~(page - 1));
	if (map == MAP_FAILED)
		return -errno;
	*slot = (struct rpccancel_slot *)(map + (offset & (page - 1)));
	return 0;
}

/* As the header prescribes: everything else, then gen, then look at cancel. */
static void set_gen(int dev, struct rpccancel_slot *slot, uint64_t gen)
{
	atomic_signal_fence(memory_order_seq_cst);
	*(volatile __u64 *)&slot->gen = gen;
	atomic_signal_fence(memory_order_seq_cst);
	if (*(volatile __u64 *)&slot->cancel)
		ioctl(dev, RPCCANCEL_IOC_SETTLE);
}

uint64_t rc_begin(int dev, struct rpccancel_slot *slot, uint32_t flags,
		  uint32_t classes, int error)
{
	uint64_t gen = (slot->gen + 1) | 1;

	slot->flags = flags;
	slot->classes = classes;
	slot->error = error;
	slot->since = rc_now();
	set_gen(dev, slot, gen);
	return gen;
}

void rc_end(int dev, struct rpccancel_slot *slot)
{
	set_gen(dev, slot, (slot->gen | 1) + 1);
}

/* From one call into the next one, with no moment between them. */
uint64_t rc_next(int dev, struct rpccancel_slot *slot)
{
	set_gen(dev, slot, slot->gen + 2);
	return slot->gen;
}

int rc_deadline(int dev, uint64_t when)
{
	struct rpccancel_deadline d = { .deadline = when };

	return ioctl(dev, RPCCANCEL_IOC_DEADLINE, &d) ? -errno : 0;
}

pid_t rc_gettid(void)
{
	return syscall(SYS_gettid);
}

int rc_open(int dev, pid_t tid, uint32_t access)
{
	struct rpccancel_open o = { .tid = tid, .access = access };
	int handle = ioctl(dev, RPCCANCEL_IOC_OPEN, &o);

	return handle < 0 ? -errno : handle;
}

int rc_cancel(int handle, uint64_t gen, uint64_t grace,
	      struct rpccancel_cancel *out)
{
	struct rpccancel_cancel c = { .gen = gen, .grace = grace };
	int ret = ioctl(handle, RPCCANCEL_IOC_CANCEL, &c) ? -errno : 0;

	if (out)
		*out = c;
	return ret;
}

/* Cancel without grace; the result, or a negative errno. */
int rc_cancel_result(int handle, uint64_t gen)
{
	struct rpccancel_cancel c;
	int ret = rc_cancel(handle, gen, 0, &c);

	return ret ? ret : (int)c.result;
}

/* The result, or a negative errno. */
int rc_wait(int handle, uint64_t gen, uint32_t until, int timeout)
{
	struct rpccancel_wait w = {
		.gen = gen,
		.deadline = rc_now() + timeout * RC_NSEC_PER_MSEC,
		.until = until,
	};

	return ioctl(handle, RPCCANCEL_IOC_WAIT, &w) ? -errno : (int)w.result;
}

int rc_info(int handle, struct rpccancel_info *info)
{
	return ioctl(handle, RPCCANCEL_IOC_INFO, info) ? -errno : 0;
}

int rc_dup(int handle, uint32_t access)
{
	int new = ioctl(handle, RPCCANCEL_IOC_DUP, (unsigned long)access);

	return new < 0 ? -errno : new;
}

/* The events that have come, 0 for none. */
int rc_poll(int fd, short events, int timeout)
{
	struct pollfd p = { .fd = fd, .events = events };
	int ret = poll(&p, 1, timeout);

	return ret < 0 ? -errno : ret ? p.revents : 0;
}

/* How many attached threads the caller is shown. */
int rc_list_count(int dev)
{
	struct rpccancel_info info[64];
	struct rpccancel_list list = {
		.buf = (uintptr_t)info,
		.entry_size = sizeof(info[0]),
	};
	int n = 0;

	do {
		list.count = 64;
		if (ioctl(dev, RPCCANCEL_IOC_LIST, &list))
			return -errno;
		n += list.count;
	} while (list.count);
	return n;
}

static void *thread_main(void *arg)
{
	struct rc_thread *t = arg;
	int ret;

	/* Without a device it is a thread like any other. */
	ret = t->dev < 0 ? 0 : rc_attach(t->dev, &t->slot);
	if (t->dev >= 0 && !ret) {
		t->handle = rc_open(t->dev, 0, RPCCANCEL_ACCESS_ALL);
		ret = t->handle < 0 ? t->handle : 0;
	}
	t->tid = ret ? ret : rc_gettid();
	if (!ret)
		t->ret = t->fn(t);
	t->done = true;
	return NULL;
}

/* Starts an attached thread and opens a handle of it. */
int rc_start(struct rc_thread *t, int dev, long (*fn)(struct rc_thread *t),
	     void *arg)
{
	uint64_t end = rc_now() + RC_PATIENCE * RC_NSEC_PER_MSEC;
	pthread_attr_t attr;
	int ret;

	memset(t, 0, sizeof(*t));
	t->fn = fn;
	t->arg = arg;
	t->dev = dev;
	t->handle = -1;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	ret = pthread_create(&t->thread, &attr, thread_main, t);
	pthread_attr_destroy(&attr);
	if (ret)
		return -ret;
	while (!t->tid) {
		if (rc_now() > end)
			return -ETIMEDOUT;
		usleep(100);
	}
	return t->tid < 0 ? t->tid : 0;
}

/* Ends with ETIMEDOUT when the thread does not: it stays as it is. */
int rc_join(struct rc_thread *t, int timeout)
{
	struct timespec end;
	int ret;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += timeout / 1000;
	end.tv_nsec += timeout % 1000 * 1000000L;
	if (end.tv_nsec >= 1000000000L) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000L;
	}
	ret = pthread_timedjoin_np(t->thread, NULL, &end);
	if (!ret && t->handle >= 0) {
		close(t->handle);
		t->handle = -1;
	}
	return -ret;
}

bool rc_wait_stage(struct rc_thread *t, int stage, int timeout)
{
	uint64_t end = rc_now() + timeout * RC_NSEC_PER_MSEC;

	while (t->stage < stage) {
		if (rc_now() > end)
			return false;
		usleep(200);
	}
	return true;
}

/* The state's letter, as ps shows it; 0 when the thread is gone. */
char rc_state(pid_t pid, pid_t tid)
{
	char path[64], buf[256], *p;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	if (rc_read_file(path, buf, sizeof(buf)) < 0)
		return 0;
	p = strrchr(buf, ')');
	return p && p[1] ? p[2] : 0;
}

bool rc_wait_state(pid_t pid, pid_t tid, const char *states, int timeout)
{
	uint64_t end = rc_now() + timeout * RC_NSEC_PER_MSEC;
	char state;

	for (;;) {
		state = rc_state(pid, tid);
		if (state && strchr(states, state))
			return true;
		if (rc_now() > end)
			return false;
		usleep(500);
	}
}

/* The number of the system call it sleeps in, -1 when it sleeps in none. */
long rc_asleep_in(pid_t pid, pid_t tid)
{
	char path[64], buf[256], *end;
	long nr;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	if (rc_read_file(path, buf, sizeof(buf)) <= 0)
		return -1;
	nr = strtol(buf, &end, 10);
	return end == buf ? -1 : nr;
}

/* Waits for a thread of this process to sleep in a call, any if nr is -1. */
bool rc_wait_asleep(pid_t tid, long nr, int timeout)
{
	uint64_t end = rc_now() + timeout * RC_NSEC_PER_MSEC;
	long seen;

	for (;;) {
		seen = rc_asleep_in(getpid(), tid);
		if (seen >= 0 && (nr < 0 || seen == nr))
			return true;
		if (rc_now() > end)
			return false;
		usleep(500);
	}
}

/* A child that does not outlive the calling thread. */
pid_t rc_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
	}
	return pid;
}

static void remote(int report, int in, void (*prepare)(void *arg), void *arg)
{
	struct rpccancel_slot *slot;
	uint64_t gen;
	char byte;
	int dev, ret;

	if (prepare)
		prepare(arg);
	dev = rc_open_device();
	if (dev < 0 || rc_attach(dev, &slot))
		_exit(RC_REMOTE_SETUP);
	gen = rc_begin_scope(dev, slot);
	if (write(report, &gen, sizeof(gen)) != sizeof(gen))
		_exit(RC_REMOTE_SETUP);
	close(report);
	ret = read(in, &byte, 1);
	if (ret < 0)
		ret = -errno;
	rc_end(dev, slot);
	_exit(ret == -ECANCELED ? RC_REMOTE_CANCELED :
	      ret == 1 ? RC_REMOTE_READ : RC_REMOTE_ERROR);
}

/* Returns when the child is about to read; it runs @prepare first. */
int rc_remote_start(struct rc_remote *r, void (*prepare)(void *arg), void *arg)
{
	int report[2], in[2];

	if (pipe(report) || pipe(in))
		return -errno;
	r->pid = rc_fork();
	if (r->pid < 0)
		return -errno;
	if (!r->pid) {
		close(report[0]);
		close(in[1]);
		remote(report[1], in[0], prepare, arg);
	}
	close(report[1]);
	close(in[0]);
	r->feed = in[1];
	if (read(report[0], &r->gen, sizeof(r->gen)) != sizeof(r->gen)) {
		close(report[0]);
		return -ECHILD;
	}
	close(report[0]);
	return rc_wait_state(r->pid, r->pid, "S", RC_PATIENCE) ? 0 : -ETIMEDOUT;
}

/* Waits for the child to exit; what it says. */
int rc_remote_finish(struct rc_remote *r)
{
	int ret = rc_reap(r->pid, RC_PATIENCE);

	close(r->feed);
	return ret;
}

/* The child's exit status, or a negative number; signals are 256 and up. */
int rc_reap(pid_t pid, int timeout)
{
	uint64_t end = rc_now() + timeout * RC_NSEC_PER_MSEC;
	int status;
	pid_t ret;

	for (;;) {
		ret = waitpid(pid, &status, WNOHANG);
		if (ret < 0 && errno != EINTR)
			return -errno;
		if (ret > 0)
			break;
		if (rc_now() > end)
			return -ETIMEDOUT;
		usleep(500);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* Stops the whole calling process, and lets it go on. */
int rc_stop_and_continue(void)
{
	pid_t self = getpid(), pid = rc_fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		bool ok;

		kill(self, SIGSTOP);
		ok = rc_wait_state(self, self, "T", RC_PATIENCE);
		rc_sleep(5);
		kill(self, SIGCONT);
		_exit(ok ? 0 : 1);
	}
	return rc_reap(pid, RC_PATIENCE);
}

/* Has a thread of this process traced, stopped and released by another one. */
int rc_trace_briefly(pid_t tid)
{
	pid_t pid;

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid = rc_fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		int status;

		if (ptrace(PTRACE_SEIZE, tid, 0, 0))
			_exit(errno);
		if (ptrace(PTRACE_INTERRUPT, tid, 0, 0))
			_exit(errno);
		if (waitpid(tid, &status, __WALL) != tid)
			_exit(errno);
		if (!WIFSTOPPED(status))
			_exit(255);
		_exit(ptrace(PTRACE_DETACH, tid, 0, 0) ? errno : 0);
	}
	return rc_reap(pid, RC_PATIENCE);
}

uint64_t rc_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void rc_sleep(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* Two threads that race are to run at the same time. */
void rc_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Repeatable random numbers: a test prints its seed. */
uint32_t rc_random(uint32_t *state, uint32_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state % below;
}

long rc_env(const char *name, long fallback)
{
	const char *value = getenv(name);

	return value && *value ? atol(value) : fallback;
}

int rc_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t ret;

	if (fd < 0)
		return -errno;
	while (n < size - 1) {
		ret = read(fd, buf + n, size - 1 - n);
		if (ret < 0) {
			ret = -errno;
			close(fd);
			return ret;
		}
		if (!ret)
			break;
		n += ret;
	}
	close(fd);
	buf[n] = 0;
	return n;
}

int rc_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

long rc_read_number(const char *path)
{
	char buf[64];
	int ret = rc_read_file(path, buf, sizeof(buf));

	return ret < 0 ? ret : atol(buf);
}

bool rc_wait_number(const char *path, long number, int timeout)
{
	uint64_t end = rc_now() + timeout * RC_NSEC_PER_MSEC;

	while (rc_read_number(path) != number) {
		if (rc_now() > end)
			return false;
		usleep(2000);
	}
	return true;
}

/* A limit of the system's is raised, if it is lower. */
void rc_more_room(const char *path, long minimum)
{
	char text[32];

	if (rc_read_number(path) >= minimum)
		return;
	snprintf(text, sizeof(text), "%ld", minimum);
	rc_write_file(path, text);
}

/* Objects in use in the cache, -1 if it is not shown by its own name. */
long rc_slab_objects(const char *cache)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	char line[512], name[64];
	long active = -1, n;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", name, &n) == 2 &&
		    !strcmp(name, cache))
			active = n;
	fclose(f);
	return active;
}

/* A line of /proc/meminfo, -1 if there is none of this name. */
long rc_meminfo_kb(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "r");
	size_t len = strlen(name);
	char line[256];
	long kb = -1;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			kb = atol(line + len + 1);
	fclose(f);
	return kb;
}

int rc_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) ? -errno : 0;
}

const char *rc_result_name(int result)
{
	static const char * const names[] = {
		"none", "delivered", "pending", "next", "too late", "already",
		"refused", "not finite", "ended",
	};

	if (result < 0)
		return strerror(-result);
	if (result > RPCCANCEL_RESULT_ENDED)
		return "unknown";
	return names[result];
}
