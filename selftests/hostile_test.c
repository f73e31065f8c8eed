// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * An ordinary user who does everything wrong on purpose: all commands with all
 * kinds of arguments, memory that comes and goes, slots full of nonsense,
 * descriptors that are closed under their users. The kernel must survive, say
 * nothing in its log, and go on serving others.
 *
 * usage: hostile_test
 *	RPCCANCEL_SEED=n repeats a run (as far as the scheduler lets it),
 *	RPCCANCEL_HOSTILE_CALLS=n is how many calls each part makes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "rpccancel_util.h"

#define UID		1000
#define VICTIMS		4
#define WORKERS		3
/* Below all that mmap() hands out by itself: nobody else gets into the hole. */
#define FAR_AWAY	0x200000000000ul
#define MAX_ERRNO	4095
/* No part may take longer, whatever happens. */
#define PART_LIMIT	300

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
/* A command without its size. */
#define KEY(cmd)	((cmd) & ~((unsigned int)_IOC_SIZEMASK << _IOC_SIZESHIFT))

static size_t page;
static long calls;
static uint32_t first_seed;

/* What the parts count, in memory that the parent sees too. */
static struct counts {
	atomic_long calls, ok, odd;
	atomic_int odd_errno, odd_command;
	atomic_long errors[MAX_ERRNO + 1];
	atomic_long extra;	/* what a part wants to count besides */
} *counts;

/* The only answers that anybody may ever get. */
static const int allowed[] = {
	EPERM, ESRCH, EINTR, EBADF, EAGAIN, ENOMEM, EACCES, EFAULT, EINVAL,
	EMFILE, ENOTTY, ENOSPC, EDEADLK, E2BIG, EALREADY, EDQUOT,
	EOPNOTSUPP,	/* RWF_NOWAIT, where there is nothing to read at all */
};

static bool is_allowed(int error)
{
	for (size_t i = 0; i < COUNT(allowed); i++)
		if (allowed[i] == error)
			return true;
	return false;
}

static long note(unsigned int what, long ret)
{
	int error = errno;

	counts->calls++;
	if (ret >= 0) {
		counts->ok++;
		return ret;
	}
	if (ret != -1 || error <= 0 || error > MAX_ERRNO)
		error = MAX_ERRNO;
	counts->errors[error]++;
	if (!is_allowed(error)) {
		counts->odd++;
		counts->odd_errno = error;
		counts->odd_command = what;
	}
	return ret;
}

/* Its own slot may be nonsense: then a call may fail with any errno at all. */
static void note_refusable(unsigned int what, long ret)
{
	note(what, ret == -1 && !is_allowed(errno) ? 0 : ret);
}

static uint64_t random64(uint32_t *seed)
{
	uint64_t hi = rc_random(seed, UINT32_MAX);

	return hi << 32 ^ (uint64_t)rc_random(seed, UINT32_MAX) << 1;
}

/* Numbers that are worth trying. */
static uint64_t number(uint32_t *seed)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 0x10, 0x40, 0x50, 0x7fffffff, 0x80000000,
		0xffffffff, 0x100000000, 0x100000001, INT64_MAX,
		1ull << 63, UINT64_MAX - 1, UINT64_MAX,
	};

	switch (rc_random(seed, 3)) {
	case 0:
		return edges[rc_random(seed, COUNT(edges))];
	case 1:
		return rc_random(seed, 200);
	default:
		return random64(seed) >> rc_random(seed, 64);
	}
}

static void scribble(void *p, size_t size, uint32_t *seed)
{
	unsigned char *bytes = p;

	for (size_t i = 0; i < size; i++)
		bytes[i] = rc_random(seed, 256);
}

/*
 * The targets: threads that call, and threads that only sleep.
 */

static struct rc_thread victims[VICTIMS];
static atomic_bool stop;

static long victim(struct rc_thread *t)
{
	struct timespec ts = { 0, 300000 };

	while (!stop) {
		rc_begin_scope(t->dev, t->slot);
		t->slot->refused = 0;
		poll(NULL, 0, 1);
		nanosleep(&ts, NULL);
		rc_end(t->dev, t->slot);
		t->stage++;
		poll(NULL, 0, 1);
	}
	return 0;
}

static int start_victims(int dev)
{
	for (int i = 0; i < VICTIMS; i++) {
		int ret = rc_start(&victims[i], dev, victim, NULL);

		if (ret)
			return ret;
		rc_set_nonblock(victims[i].handle, true);
	}
	return 0;
}

static bool stop_victims(void)
{
	bool ok = true;

	stop = true;
	for (int i = 0; i < VICTIMS; i++)
		ok &= !rc_join(&victims[i], RC_PATIENCE);
	return ok;
}

/*
 * Commands.
 */

static const unsigned int commands[] = {
	RPCCANCEL_IOC_QUERY, RPCCANCEL_IOC_ATTACH, RPCCANCEL_IOC_DETACH,
	RPCCANCEL_IOC_SETTLE, RPCCANCEL_IOC_DEADLINE, RPCCANCEL_IOC_OPEN,
	RPCCANCEL_IOC_BULK, RPCCANCEL_IOC_LIST, RPCCANCEL_IOC_CANCEL,
	RPCCANCEL_IOC_WAIT, RPCCANCEL_IOC_INFO, RPCCANCEL_IOC_DUP,
};

static unsigned int sized(unsigned int cmd, size_t size)
{
	return KEY(cmd) | (unsigned int)size << _IOC_SIZESHIFT;
}

static unsigned int random_command(uint32_t *seed)
{
	unsigned int cmd = commands[rc_random(seed, COUNT(commands))];

	switch (rc_random(seed, 8)) {
	case 0:
		return sized(cmd, rc_random(seed, _IOC_SIZEMASK + 1));
	case 1:
		return sized(cmd, (_IOC_SIZE(cmd) + rc_random(seed, 33) - 16) &
				  _IOC_SIZEMASK);
	case 2:
		/* Any number of ours, but nobody else's: those are the VFS's. */
		return _IOC(rc_random(seed, 4), RPCCANCEL_IOC_MAGIC,
			    rc_random(seed, 256), rc_random(seed, 128));
	default:
		return cmd;
	}
}

struct worker {
	pthread_t thread;
	uint32_t seed;
	int dev, other;
	int handles[VICTIMS + 2];
	long calls;
	/* Two pages of its own, then a hole. */
	unsigned char *arena;
	unsigned char *readonly;
	void *slots;
	void *hole;
};

/* A structure that means something, and nearly something good. */
static void plausible(struct worker *w, unsigned int cmd, void *arg)
{
	/* Right before a hole: it may lie about how many there are. */
	struct rpccancel_target *targets = w->hole;
	struct rpccancel_info *infos = w->hole;
	uint32_t *seed = &w->seed;
	union {
		struct rpccancel_deadline deadline;
		struct rpccancel_open open;
		struct rpccancel_bulk bulk;
		struct rpccancel_list list;
		struct rpccancel_cancel cancel;
		struct rpccancel_wait wait;
		unsigned char bytes[128];
	} u = {};

	switch (KEY(cmd)) {
	default:
		break;
	case KEY(RPCCANCEL_IOC_DEADLINE):
		u.deadline.deadline = rc_random(seed, 2) ? rc_now() +
				      rc_random(seed, 2000000) : number(seed);
		break;
	case KEY(RPCCANCEL_IOC_OPEN):
		u.open.tid = victims[rc_random(seed, VICTIMS)].tid;
		if (rc_random(seed, 2))
			u.open.tid = number(seed);
		u.open.tgid = rc_random(seed, 3) ? 0 : getpid();
		u.open.access = rc_random(seed, 2) ? RPCCANCEL_ACCESS_ALL :
						     number(seed);
		break;
	case KEY(RPCCANCEL_IOC_BULK):
		targets -= 64;
		for (int i = 0; i < 64; i++) {
			targets[i].handle = rc_random(seed, 2) ? number(seed) :
					    rc_random(seed, 128);
			targets[i].gen = rc_random(seed, 2) ? 0 : number(seed);
			targets[i].pad = !rc_random(seed, 16);
		}
		u.bulk.targets = (uintptr_t)targets;
		if (!rc_random(seed, 8))
			u.bulk.targets = number(seed);
		u.bulk.count = rc_random(seed, 8) ? rc_random(seed, 64) :
						    number(seed);
		u.bulk.grace = number(seed);
		break;
	case KEY(RPCCANCEL_IOC_LIST):
		u.list.buf = rc_random(seed, 8) ? (uintptr_t)(infos - 16) :
						  number(seed);
		u.list.count = rc_random(seed, 8) ? rc_random(seed, 17) :
						    number(seed);
		u.list.cursor = rc_random(seed, 2) ? 0 : number(seed);
		u.list.entry_size = rc_random(seed, 8) ? sizeof(infos[0]) :
							 number(seed);
		break;
	case KEY(RPCCANCEL_IOC_CANCEL):
		u.cancel.gen = rc_random(seed, 2) ? 0 : number(seed);
		u.cancel.grace = number(seed);
		break;
	case KEY(RPCCANCEL_IOC_WAIT):
		u.wait.gen = number(seed) | 1;
		if (rc_random(seed, 2))
			u.wait.gen = victims[rc_random(seed, VICTIMS)].slot->gen;
		u.wait.deadline = rc_now() + rc_random(seed, 2000000);
		u.wait.until = rc_random(seed, 3);
		break;
	}
	memcpy(arg, &u, sizeof(u));
}

/* Everything that can stand where a structure should. */
static void *argument(struct worker *w, unsigned int cmd)
{
	static const uintptr_t nowhere[] = {
		0, 1, 8, 4095, 4096,
		0x7ffffffff000, 0x7fffffffffff,		/* the last of ours */
		0x800000000000, 0x8000000000000000,	/* not canonical */
		0xffff800000000000, 0xffff888000000000, /* the kernel's */
		0xffffffff81000000, 0xffffffffa0000000, 0xffffffffff600000,
		~0ul - 4096, ~0ul - 7, ~0ul,
	};
	uint32_t *seed = &w->seed;
	size_t size = _IOC_SIZE(cmd);

	if (size > page)
		size = page;
	switch (rc_random(seed, 12)) {
	case 0:
		return (void *)nowhere[rc_random(seed, COUNT(nowhere))];
	case 1:
		return (void *)random64(seed);
	case 2:
		return (void *)(uintptr_t)number(seed);
	case 3:
		return w->readonly + rc_random(seed, page);
	case 4:		/* the end of the structure is in the hole */
		scribble(w->arena, 2 * page - page / 2, seed);
		return w->arena + 2 * page - rc_random(seed, 64);
	case 5:		/* it just fits, and misaligned */
		memset(w->arena + page, 0, page);
		return w->arena + 2 * page - size - !!rc_random(seed, 2);
	case 6:
		return w->slots;
	case 7:
		return (char *)w->slots + rc_random(seed, page - 64);
	case 8:
		memset(w->arena, 0, page);
		scribble(w->arena, rc_random(seed, 128), seed);
		return w->arena;
	case 9:		/* misaligned, but right */
		memset(w->arena, 0, page);
		plausible(w, cmd, w->arena + 3);
		return w->arena + 3;
	default:
		memset(w->arena, 0, 256);
		plausible(w, cmd, w->arena);
		return w->arena;
	}
}

static int random_fd(struct worker *w)
{
	switch (rc_random(&w->seed, 8)) {
	case 0:
		return w->other;
	case 1:
	case 2:
	case 3:
		return w->dev;
	default:
		return w->handles[rc_random(&w->seed, COUNT(w->handles))];
	}
}

/* OPEN and DUP have made a descriptor: the table must not fill up at once. */
static void forget(uint32_t *seed, unsigned int cmd, long ret)
{
	if (ret < 3 || (KEY(cmd) != KEY(RPCCANCEL_IOC_OPEN) &&
			KEY(cmd) != RPCCANCEL_IOC_DUP))
		return;
	if (rc_random(seed, 64))
		close(ret);
}

static void other_calls(struct worker *w)
{
	int fd = random_fd(w);
	char buf[4096];
	char path[64];
	size_t size;
	struct pollfd p = { .fd = fd, .events = number(&w->seed) };
	void *map;

	switch (rc_random(&w->seed, 6)) {
	case 0:
		note_refusable(1, read(fd, rc_random(&w->seed, 2) ? buf :
				       (void *)random64(&w->seed),
				       rc_random(&w->seed, 64)));
		break;
	case 1:
		note_refusable(2, write(fd, buf, rc_random(&w->seed, 64)));
		break;
	case 2:
		note_refusable(3, poll(&p, 1, rc_random(&w->seed, 2)));
		break;
	case 3:
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		rc_read_file(path, buf, sizeof(buf));
		note(4, 0);
		break;
	default:
		size = (1 + rc_random(&w->seed, 3)) * page;
		map = mmap(NULL, size, rc_random(&w->seed, 8),
			   1 + rc_random(&w->seed, 2), w->dev,
			   (number(&w->seed) * page) & INT64_MAX & ~(page - 1));
		if (map == MAP_FAILED)
			/* Not one of ours: the offset is past any file's end. */
			note(5, errno == EOVERFLOW ? 0 : -1);
		else
			note(5, munmap(map, size));
	}
}

static void *call_all(void *arg)
{
	struct worker *w = arg;
	unsigned int cmd;
	long ret;

	for (long i = 0; i < w->calls; i++) {
		if (!rc_random(&w->seed, 10)) {
			other_calls(w);
			continue;
		}
		cmd = random_command(&w->seed);
		ret = note(cmd, ioctl(random_fd(w), cmd, argument(w, cmd)));
		forget(&w->seed, cmd, ret);
	}
	return NULL;
}

static bool worker_init(struct worker *w, int dev, int number)
{
	memset(w, 0, sizeof(*w));
	w->seed = (first_seed + 7919 * number) | 1;
	w->dev = dev;
	w->other = rc_open_device();
	for (int i = 0; i < VICTIMS; i++) {
		w->handles[i] = rc_dup(victims[i].handle, RPCCANCEL_ACCESS_ALL);
		rc_set_nonblock(w->handles[i], true);
	}
	/* One that may only look, and one of a thread that is not attached. */
	w->handles[VICTIMS] = rc_dup(victims[0].handle,
				     RPCCANCEL_QUERY_INFORMATION);
	rc_set_nonblock(w->handles[VICTIMS], true);
	w->handles[VICTIMS + 1] = rc_open(dev, getpid(), RPCCANCEL_ACCESS_ALL);
	rc_set_nonblock(w->handles[VICTIMS + 1], true);
	w->arena = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w->readonly = mmap(NULL, 4 * page, PROT_READ,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* Its own: what is in these slots is nobody's. With a hole after it. */
	w->slots = mmap(NULL, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (w->slots != MAP_FAILED)
		w->slots = mmap(w->slots, page, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, w->other, 0);
	w->hole = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->hole == MAP_FAILED)
		return false;
	w->hole = (char *)w->hole + page;
	if (mprotect(w->hole, page, PROT_NONE))
		return false;
	if (w->arena == MAP_FAILED || w->readonly == MAP_FAILED ||
	    w->slots == MAP_FAILED)
		return false;
	return !mprotect(w->arena + 2 * page, page, PROT_NONE) &&
	       w->other >= 0 && w->handles[VICTIMS + 1] >= 0;
}

static bool run_workers(struct worker *workers, void *(*fn)(void *arg), int dev)
{
	for (int i = 0; i < WORKERS; i++) {
		if (!worker_init(&workers[i], dev, i))
			return false;
		workers[i].calls = calls / WORKERS;
	}
	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&workers[i].thread, NULL, fn, &workers[i]))
			return false;
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	return true;
}

/* 1: every command, every kind of argument. */
static bool arguments(void)
{
	static struct worker workers[WORKERS];
	int dev = rc_open_device();

	return !start_victims(dev) && run_workers(workers, call_all, dev) &&
	       stop_victims();
}

/*
 * 2: the page with the argument, and the page with the slot, come and go.
 */

static void *call_far_away(void *arg)
{
	struct worker *w = arg;

	for (long i = 0; i < w->calls && !stop; i++) {
		unsigned int cmd = commands[rc_random(&w->seed,
						      COUNT(commands))];
		char *at = (char *)FAR_AWAY + rc_random(&w->seed, 2) *
			   (page - rc_random(&w->seed, 32));
		struct rpccancel_bulk bulk = {
			.targets = (uintptr_t)at, .count = 64,
		};
		struct rpccancel_list list = {
			.buf = (uintptr_t)at, .count = 32,
			.entry_size = sizeof(struct rpccancel_info),
		};
		long ret;

		switch (rc_random(&w->seed, 4)) {
		case 0:
			note(6, ioctl(w->dev, RPCCANCEL_IOC_BULK, &bulk));
			break;
		case 1:
			note(7, ioctl(w->dev, RPCCANCEL_IOC_LIST, &list));
			break;
		default:
			ret = note(cmd, ioctl(random_fd(w), cmd, at));
			forget(&w->seed, cmd, ret);
		}
	}
	counts->extra++;
	return NULL;
}

static void *unmap_far_away(void *arg)
{
	uint32_t seed = (first_seed ^ 0x9e3779b9) | 1;
	void *slots;
	int dev = *(int *)arg;
	size_t size = 2 * page;

	for (;;) {
		void *at = (void *)FAR_AWAY;
		int prot = PROT_READ | (rc_random(&seed, 4) ? PROT_WRITE : 0);

		if (counts->extra == WORKERS)
			return NULL;
		if (rc_random(&seed, 8)) {
			if (mmap(at, size, prot, MAP_FIXED | MAP_PRIVATE |
				 MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
				abort();
		} else {
			/* Or slots: two kinds of pages, one address. */
			mmap(at, size, prot, MAP_FIXED | MAP_SHARED, dev, 0);
		}
		for (uint32_t n = rc_random(&seed, 2000); n; n--)
			__asm__ volatile("" : : : "memory");
		switch (rc_random(&seed, 4)) {
		case 0:
			munmap(at, page);
			munmap((char *)at + page, page);
			break;
		case 1:
			mprotect(at, size, PROT_NONE);
			break;
		case 2:
			munmap((char *)at + page, page);
			break;
		default:
			munmap(at, size);
		}
		/* The victims' slots, once more, and away. */
		slots = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED,
			     dev, 0);
		if (slots != MAP_FAILED)
			munmap(slots, page);
	}
}

/* Attached, and its slot is not there, again and again. */
static void *unmap_own_slot(void *arg)
{
	int dev = rc_open_device(), rounds = 0;
	struct rpccancel_slot *slot;
	void *at;
	int handle;

	(void)arg;

	while (counts->extra < WORKERS) {
		if (rc_attach(dev, &slot))
			continue;
		handle = rc_open(dev, 0, RPCCANCEL_ACCESS_ALL);
		rc_begin_scope(dev, slot);
		at = (void *)((uintptr_t)slot & ~(page - 1));
		rc_cancel_result(handle, rounds & 1 ? RPCCANCEL_GEN_ANY : 1);
		munmap(at, page);
		poll(NULL, 0, 1);
		note(8, ioctl(dev, RPCCANCEL_IOC_SETTLE));
		rc_cancel_result(handle, 1);
		poll(NULL, 0, 1);
		if (rounds++ & 2) {
			ioctl(dev, RPCCANCEL_IOC_DETACH);
		} else {
			close(dev);
			dev = rc_open_device();
		}
		close(handle);
	}
	close(dev);
	return NULL;
}

static bool unmapping(void)
{
	static struct worker workers[WORKERS];
	pthread_t unmapper, slotless;
	int dev = rc_open_device();
	bool ok;

	if (start_victims(dev) ||
	    pthread_create(&unmapper, NULL, unmap_far_away, &dev) ||
	    pthread_create(&slotless, NULL, unmap_own_slot, NULL))
		return false;
	ok = run_workers(workers, call_far_away, dev);
	if (!ok)
		counts->extra = WORKERS;
	pthread_join(unmapper, NULL);
	pthread_join(slotless, NULL);
	return stop_victims() && ok;
}

/*
 * 3: slots full of nonsense.
 */

static void scribble_slot(struct rpccancel_slot *slot, uint32_t *seed)
{
	switch (rc_random(seed, 10)) {
	case 0:
		slot->gen = number(seed);
		break;
	case 1:
		slot->cancel = number(seed);
		break;
	case 2:
		slot->flags = number(seed);
		break;
	case 3:
		slot->classes = number(seed);
		break;
	case 4:
		slot->error = number(seed);
		break;
	case 5:
		slot->reason = number(seed);
		break;
	case 6:
		slot->grace = number(seed);
		break;
	case 7:
		slot->refused = number(seed);
		break;
	case 8:
		slot->tag = number(seed);
		break;
	default:
		scribble(slot, sizeof(*slot), seed);
	}
	if (rc_random(seed, 2))
		slot->gen |= 1;
}

/* The thread itself, in calls that a cancel may end. */
static long scribbler(struct rc_thread *t)
{
	uint32_t seed = (first_seed ^ t->tid) | 1;
	struct timespec ts = { 0, 200000 };

	while (!stop) {
		long ret;

		scribble_slot(t->slot, &seed);
		switch (rc_random(&seed, 4)) {
		case 0:
			ret = rc_deadline(t->dev, rc_random(&seed, 2) ?
					  rc_now() + rc_random(&seed, 500000) :
					  number(&seed));
			break;
		case 1:
			ret = ioctl(t->dev, RPCCANCEL_IOC_SETTLE);
			break;
		case 2:
			ret = nanosleep(&ts, NULL);
			break;
		default:
			ret = poll(NULL, 0, 1);
		}
		/* A slot can say any errno, and it is no more than that. */
		if (ret < -MAX_ERRNO || ret > 0)
			counts->odd++;
		t->stage++;
	}
	memset(t->slot, 0, sizeof(*t->slot));
	return 0;
}

/* Another thread of the process, which has the same mapping. */
static void *scribble_others(void *arg)
{
	struct rc_thread *threads = arg;
	uint32_t seed = (first_seed ^ 0x2545f490) | 1;

	while (!stop)
		scribble_slot(threads[rc_random(&seed, VICTIMS)].slot, &seed);
	return NULL;
}

static bool nonsense(void)
{
	static struct rc_thread threads[VICTIMS];
	uint32_t seed = first_seed;
	struct rpccancel_info info;
	pthread_t other;
	int dev = rc_open_device();
	bool ok = true;
	int stages = 0;

	for (int i = 0; i < VICTIMS; i++) {
		if (rc_start(&threads[i], dev, scribbler, NULL))
			return false;
		rc_set_nonblock(threads[i].handle, true);
	}
	if (pthread_create(&other, NULL, scribble_others, threads))
		return false;
	for (long i = 0; i < calls / 2; i++) {
		struct rc_thread *t = &threads[rc_random(&seed, VICTIMS)];
		struct rpccancel_cancel c = {
			.gen = rc_random(&seed, 2) ? 0 : t->slot->gen,
			.grace = number(&seed),
		};
		struct rpccancel_wait w = {
			.gen = t->slot->gen,
			.deadline = rc_now() + rc_random(&seed, 300000),
			.until = rc_random(&seed, 2),
		};
		struct rpccancel_event ev;

		switch (rc_random(&seed, 12)) {
		case 0:
			if (rc_list_count(dev) != VICTIMS) {
				counts->odd++;
				counts->odd_command = RPCCANCEL_IOC_LIST;
			}
			break;
		case 1:
			note(RPCCANCEL_IOC_WAIT, ioctl(t->handle,
						       RPCCANCEL_IOC_WAIT, &w));
			break;
		case 2:
		case 3:
			note(RPCCANCEL_IOC_INFO, ioctl(t->handle,
						       RPCCANCEL_IOC_INFO,
						       &info));
			break;
		case 4:
			note(1, read(t->handle, &ev, sizeof(ev)));
			break;
		case 5:
			note(3, rc_poll(t->handle, POLLIN, 0));
			break;
		default:
			note(RPCCANCEL_IOC_CANCEL,
			     ioctl(t->handle, RPCCANCEL_IOC_CANCEL, &c));
			if (c.result > RPCCANCEL_RESULT_ENDED)
				counts->odd++;
		}
	}
	stop = true;
	pthread_join(other, NULL);
	for (int i = 0; i < VICTIMS; i++) {
		/* Whatever it was made to believe, it can be let go. */
		for (int n = 0; n < RC_PATIENCE && !threads[i].done; n++) {
			memset(threads[i].slot, 0, sizeof(*threads[i].slot));
			rc_sleep(1);
		}
		stages += threads[i].stage;
		ok &= !rc_join(&threads[i], RC_PATIENCE);
	}
	counts->extra = stages;
	return ok && stages > 0;
}

/*
 * 4: an errno that is none, but the kernel's own word for "once more".
 */

struct once_more {
	int error;
	int pipe[2];
	long ret;
	int errno_seen;
	uint64_t refused;
};

static long read_with_errno(struct rc_thread *t)
{
	struct once_more *o = t->arg;
	char byte;

	rc_begin(t->dev, t->slot, 0, 0, o->error);
	t->stage = 1;
	o->ret = read(o->pipe[0], &byte, 1);
	o->errno_seen = errno;
	o->refused = t->slot->refused;
	rc_end(t->dev, t->slot);
	return 0;
}

static bool kernels_own_errnos(void)
{
	/* ERESTARTSYS, NOINTR, NOHAND, ENOIOCTLCMD, RESTARTBLOCK, the ends. */
	static const int errors[] = {
		512, 513, 514, 515, 516, 517, 1, 4095, 4096, -1, -512,
		INT32_MAX, INT32_MIN,
	};
	bool ok = true;

	for (size_t i = 0; i < COUNT(errors); i++) {
		struct once_more o = { .error = errors[i] };
		int dev = rc_open_device();
		struct rc_thread t;
		bool came_out;

		if (pipe(o.pipe) || rc_start(&t, dev, read_with_errno, &o) ||
		    !rc_wait_stage(&t, 1, RC_PATIENCE))
			return false;
		rc_wait_asleep(t.tid, SYS_read, 1000);
		note(RPCCANCEL_IOC_CANCEL, rc_cancel_result(t.handle, 1));
		came_out = !rc_join(&t, 2000);
		if (!came_out) {
			ksft_print_msg("slot errno %d: read() does not end, refused %llu times\n",
				       o.error,
				       (unsigned long long)t.slot->refused);
			/* The byte ends it after all. */
			rc_end(dev, t.slot);
			if (write(o.pipe[1], "x", 1) != 1 ||
			    rc_join(&t, RC_PATIENCE))
				return false;
		} else if (o.ret != -1 || o.refused != 1) {
			ksft_print_msg("slot errno %d: read() gave %ld (%d), refused %llu times\n",
				       o.error, o.ret, o.errno_seen,
				       (unsigned long long)o.refused);
			came_out = false;
		}
		ok &= came_out;
		close(o.pipe[0]);
		close(o.pipe[1]);
		close(dev);
	}
	return ok;
}

/*
 * 5: descriptors that are closed under their users.
 */

static atomic_int shared_dev, shared_handle;

static void *use_what_is_closed(void *arg)
{
	struct worker *w = arg;

	while (!stop) {
		struct rpccancel_wait wait = {
			.gen = victims[rc_random(&w->seed, VICTIMS)].slot->gen |
			       1,
			.deadline = rc_now() + rc_random(&w->seed, 1000000),
			.until = RPCCANCEL_WAIT_ENDED,
		};
		struct rpccancel_cancel cancel = {};
		struct rpccancel_target targets[16] = {};
		struct rpccancel_bulk bulk = {
			.targets = (uintptr_t)targets, .count = 16,
		};
		struct rpccancel_attach attach = {};
		struct rpccancel_event ev;
		struct iovec iov = { &ev, sizeof(ev) };
		int dev = shared_dev, handle = shared_handle;
		unsigned int what = rc_random(&w->seed, 8);

		for (size_t i = 0; i < COUNT(targets); i++)
			targets[i].handle = handle;
		switch (what) {
		case 0:
			note(what, ioctl(handle, RPCCANCEL_IOC_WAIT, &wait));
			break;
		case 1:
			note(what, ioctl(handle, RPCCANCEL_IOC_CANCEL,
					 &cancel));
			break;
		case 2:
			note(what, rc_poll(handle, POLLIN, 1));
			break;
		case 3:
			/* The number may be that of a new one, which blocks. */
			note(what, preadv2(handle, &iov, 1, -1, RWF_NOWAIT));
			break;
		case 4:
			note(what, ioctl(dev, RPCCANCEL_IOC_BULK, &bulk));
			break;
		case 5:
			/* Whatever device it gets it is detached with that. */
			note(what, ioctl(dev, RPCCANCEL_IOC_ATTACH, &attach));
			break;
		case 6:
			note(what, ioctl(dev, RPCCANCEL_IOC_DETACH));
			break;
		default:
			note(what, rc_list_count(dev) < 0 ? -1 : 0);
		}
	}
	return NULL;
}

static bool closing(void)
{
	static struct worker workers[WORKERS];
	uint32_t seed = first_seed;
	int dev = rc_open_device();
	long rounds = calls / 20;

	if (start_victims(dev))
		return false;
	shared_dev = -1;
	shared_handle = -1;
	for (int i = 0; i < WORKERS; i++) {
		workers[i].seed = (first_seed + 31 * i) | 1;
		if (pthread_create(&workers[i].thread, NULL, use_what_is_closed,
				   &workers[i]))
			return false;
	}
	for (long i = 0; i < rounds; i++) {
		int new = rc_open_device();
		int handle = rc_open(new, victims[i % VICTIMS].tid,
				     RPCCANCEL_ACCESS_ALL);

		if (new < 0 || handle < 0)
			return false;
		rc_set_nonblock(handle, true);
		shared_dev = new;
		shared_handle = handle;
		for (uint32_t n = rc_random(&seed, 20000); n; n--)
			__asm__ volatile("" : : : "memory");
		if (rc_random(&seed, 2)) {
			close(new);
			close(handle);
		} else {
			/* Another one comes to the same number. */
			dup2(dev, handle);
			dup2(victims[0].handle, new);
			close(handle);
			close(new);
		}
	}
	counts->extra = rounds;
	stop = true;
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	return stop_victims();
}

/*
 * Afterwards: others must not have noticed.
 */

static long read_once(struct rc_thread *t)
{
	int *pipe = t->arg;
	char byte;
	long ret;

	rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	ret = read(pipe[0], &byte, 1) < 0 ? -errno : 1;
	rc_end(t->dev, t->slot);
	return ret;
}

static bool still_works(void)
{
	int dev = rc_open_device(), pipes[2], ret;
	struct rc_thread t;

	if (dev < 0 || pipe(pipes) || rc_start(&t, dev, read_once, pipes) ||
	    !rc_wait_stage(&t, 1, RC_PATIENCE))
		return false;
	ret = rc_cancel_result(t.handle, 1);
	if (ret != RPCCANCEL_RESULT_PENDING || rc_join(&t, RC_PATIENCE)) {
		ksft_print_msg("afterwards: a cancel is \"%s\"\n",
			       rc_result_name(ret));
		return false;
	}
	close(pipes[0]);
	close(pipes[1]);
	close(dev);
	return t.ret == -ECANCELED;
}

static int open_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* Whether the kernel has complained since. */
static bool log_is_clean(int fd)
{
	static const char * const bad[] = {
		"WARNING:", "BUG", "Oops", "Call Trace", "general protection",
		"unable to handle", "stall", "refcount_t", "cut here",
	};
	char line[8192];
	bool clean = true;
	ssize_t n;

	while ((n = read(fd, line, sizeof(line) - 1)) > 0 ||
	       (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;
		line[n] = 0;
		for (size_t i = 0; i < COUNT(bad); i++) {
			if (!strstr(line, bad[i]))
				continue;
			ksft_print_msg("log: %s", line);
			clean = false;
		}
	}
	return clean;
}

static const struct part {
	bool (*fn)(void);
	const char *name;
} parts[] = {
	{ arguments, "every command with every kind of argument" },
	{ unmapping, "arguments and slots that are unmapped meanwhile" },
	{ nonsense, "slots full of nonsense" },
	{ kernels_own_errnos, "any errno in a slot ends the call" },
	{ closing, "descriptors that are closed under their users" },
};

static void child(const struct part *part)
{
	struct rlimit files = { 1024, 1024 };

	if (!getuid() && (setresgid(UID, UID, UID) || setresuid(UID, UID, UID)))
		_exit(2);
	/* What setresuid() has taken away. */
	prctl(PR_SET_DUMPABLE, 1);
	setrlimit(RLIMIT_NOFILE, &files);
	alarm(PART_LIMIT);
	if (!part->fn()) {
		ksft_print_msg("in the end: %s\n", strerror(errno));
		_exit(1);
	}
	_exit(0);
}

/* In a child: what it has open goes with it. */
static bool works_in_child(void)
{
	pid_t pid = rc_fork();

	if (!pid)
		_exit(!still_works());
	return !rc_reap(pid, 3 * RC_PATIENCE);
}

static bool run(const struct part *part)
{
	uint64_t start = rc_now();
	int status;
	pid_t pid;

	memset(counts, 0, sizeof(*counts));
	fflush(stdout);
	pid = rc_fork();
	if (pid < 0)
		ksft_exit_fail_msg("fork: %s\n", strerror(errno));
	if (!pid)
		child(part);
	status = rc_reap(pid, 2 * PART_LIMIT * 1000);
	ksft_print_msg("%ld calls in %llu ms, %ld succeeded, %ld besides\n",
		       counts->calls, (rc_now() - start) / RC_NSEC_PER_MSEC,
		       counts->ok, counts->extra);
	for (int i = 0; i <= MAX_ERRNO; i++)
		if (counts->errors[i])
			ksft_print_msg("  %ld x %s\n", counts->errors[i],
				       i == MAX_ERRNO ? "no errno at all" :
				       strerror(i));
	if (counts->odd)
		ksft_print_msg("%ld answers that must not be, the last errno %d for command %#x\n",
			       counts->odd, counts->odd_errno,
			       counts->odd_command);
	if (status)
		ksft_print_msg("the child ended with %d\n", status);
	return !status && !counts->odd && counts->ok;
}

int main(void)
{
	int log;

	rc_need_device();
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	ksft_set_plan(COUNT(parts) + 3);
	page = sysconf(_SC_PAGESIZE);
	calls = rc_env("RPCCANCEL_HOSTILE_CALLS", 40000);
	first_seed = rc_env("RPCCANCEL_SEED", rc_now() >> 10) | 1;
	ksft_print_msg("seed %u\n", first_seed);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	log = open_log();

	for (size_t i = 0; i < COUNT(parts); i++)
		ksft_test_result(run(&parts[i]), "%s\n", parts[i].name);
	ksft_test_result(works_in_child(), "cancels work as before\n");
	if (access("/sys/module/rpccancel/refcnt", R_OK))
		ksft_test_result_skip("no references are left: the module is built in\n");
	else
		ksft_test_result(rc_wait_number(RC_REFCNT, 0, 1000),
				 "no references are left\n");
	if (log < 0)
		ksft_test_result_skip("the kernel says nothing: its log cannot be read\n");
	else
		ksft_test_result(log_is_clean(log), "the kernel says nothing\n");
	ksft_finished();
}
