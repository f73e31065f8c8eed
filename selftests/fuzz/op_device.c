// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The calls of the device. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define SIZED(cmd, size)						\
	(((cmd) & ~((unsigned int)_IOC_SIZEMASK << _IOC_SIZESHIFT)) |	\
	 (unsigned int)(size) << _IOC_SIZESHIFT)

/* One that was closed stays: its number may mean something else by then. */
int device_get(struct worker *w, uint64_t index)
{
	atomic_int *device = &w->process->device[index % DEVICES];

	if (*device < 0)
		*device = rc_open_device();
	return *device;
}

/*
 * Where a structure may lie. An even number is a place that is right: the start
 * of the arena, or the end of its first page, after which it cannot be written.
 */
void *memory_get(struct worker *w, uint64_t where, size_t size)
{
	static const uintptr_t nowhere[] = {
		0, 1, 4095, 0x7ffffffff000, 0x7fffffffffff,	/* the last of ours */
		0x800000000000, 0x8000000000000000,		/* not canonical */
		0xffff888000000000, 0xffffffff81000000,		/* the kernel's */
		0xffffffffff600000, ~0ul - 7, ~0ul,
	};
	size_t page = w->process->page;

	if (size > page)
		size = page;
	if (!(where & 1))
		return where & 2 ? w->arena : w->arena + (page - size) % page;
	switch (where >> 1 & 7) {
	case 0:		/* it can be read and not written */
		return w->arena + page;
	case 1:		/* partly */
		return w->arena + page - size / 2;
	case 2:		/* there is nothing */
		return w->arena + 2 * page;
	case 3:		/* its end is missing */
		return w->arena + 2 * page - size / 2;
	case 4:		/* misaligned */
		return w->arena + 1;
	case 5:		/* a slot, its own */
		return w->slot ? (void *)w->slot : w->arena;
	default:
		return (void *)nowhere[(where >> 4) % COUNT(nowhere)];
	}
}

/* Puts a structure there, if it can be, and gives it to the command. */
static long command(struct worker *w, int fd, unsigned int cmd, void *arg,
		    uint64_t where)
{
	size_t size = _IOC_SIZE(cmd);
	void *at = memory_get(w, where, size);
	long ret;

	if (size > w->process->page)
		size = w->process->page;
	GUARDED(memcpy(at, arg, size));
	ret = from_errno(ioctl(fd, cmd, at));
	if (ret >= 0)
		GUARDED(memcpy(arg, at, size));
	return ret;
}

long map_slot(struct worker *w, uint32_t number)
{
	size_t page = w->process->page;
	size_t offset = (size_t)number * sizeof(struct rpccancel_slot);

	w->map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED,
		      w->process->device[w->device], offset & ~(page - 1));
	if (w->map == MAP_FAILED) {
		w->map = NULL;
		return -errno;
	}
	w->slot = (struct rpccancel_slot *)((char *)w->map + offset % page);
	return 0;
}

static long op_attach(struct worker *w, const uint64_t *args)
{
	struct rpccancel_attach req = {};
	long ret = command(w, device_get(w, args[0]), RPCCANCEL_IOC_ATTACH,
			   &req, args[1]);

	if (ret)
		return ret;
	w->device = args[0] % DEVICES;
	return map_slot(w, req.slot);
}

bool attach(struct worker *w)
{
	static const uint64_t args[MAX_ARGS];

	return w->slot || !op_attach(w, args);
}

static long op_detach(struct worker *w, const uint64_t *args)
{
	long ret = from_errno(ioctl(device_get(w, args[0]),
				    RPCCANCEL_IOC_DETACH));

	if (!ret)
		w->slot = NULL;
	return ret;
}

static long op_open_device(struct worker *w, const uint64_t *args)
{
	int dev = rc_open_device();

	if (dev >= 0)
		dev = atomic_exchange(&w->process->device[args[0] % DEVICES],
				      dev);
	/* The one before stays open, in nobody's hands, now and then. */
	if (dev > 2 && args[1] % 4) {
		w->process->lies = true;
		close(dev);
	}
	return dev < -1 ? dev : 0;
}

static long op_close_device(struct worker *w, const uint64_t *args)
{
	int dev = w->process->device[args[0] % DEVICES];

	w->process->lies = true;
	return dev > 2 ? from_errno(close(dev)) : -EBADF;
}

static long op_dup_device(struct worker *w, const uint64_t *args)
{
	int to = w->process->device[args[1] % DEVICES];

	if (to <= 2)
		return -EBADF;
	w->process->lies = true;
	return dup2(device_get(w, args[0]), to) < 0 ? -errno : 0;
}

static long op_query(struct worker *w, const uint64_t *args)
{
	char req[256] = {};

	return command(w, device_get(w, args[0]),
		       SIZED(RPCCANCEL_IOC_QUERY, args[1] % sizeof(req)), req,
		       args[2]);
}

static long op_settle(struct worker *w, const uint64_t *args)
{
	return from_errno(ioctl(device_get(w, args[0]), RPCCANCEL_IOC_SETTLE));
}

static long op_deadline(struct worker *w, const uint64_t *args)
{
	struct rpccancel_deadline req = { .deadline = args[1] };

	switch (args[2] % 4) {
	case 0:
		req.deadline = 0;
		break;
	case 1:
	case 2:
		req.deadline += rc_now();
		break;
	}
	if (args[2] % 32 == 31)
		req.flags = args[2];
	return command(w, device_get(w, args[0]), RPCCANCEL_IOC_DEADLINE, &req,
		       args[3]);
}

static int peer(uint64_t number)
{
	if (number < PROCESSES * THREADS)
		return shared->tid[number / THREADS][number % THREADS];
	return number % 2 ? 1 : 0;	/* the manager, or oneself */
}

static long op_open(struct worker *w, const uint64_t *args)
{
	struct rpccancel_open req = {
		.tid = peer(args[2]),
		.access = args[3],
		.tgid = args[4] % 8 ? 0 : getpid(),
		.flags = args[4] == 31,
	};
	int dev = device_get(w, args[0]);
	long ret = command(w, dev, RPCCANCEL_IOC_OPEN, &req, args[4] == 30);

	if (ret < 0)
		return ret;

	return handle_put(w, args[1], ret);
}

static long op_bulk(struct worker *w, const uint64_t *args)
{
	struct rpccancel_target targets[16];
	unsigned int n = args[1] % COUNT(targets);
	void *at = memory_get(w, args[4], n * sizeof(targets[0]));
	struct rpccancel_bulk req = {
		.targets = (uintptr_t)at,
		.count = args[1] < COUNT(targets) ? n : args[1],
		.grace = args[2],
	};

	for (unsigned int i = 0; i < n; i++) {
		targets[i] = (struct rpccancel_target) {
			.handle = w->process->handle[(args[3] + i) % HANDLES],
			.gen = i % 4 ? 0 : generation_get(w, args[3] >> 3, i),
			.pad = args[3] == 31,
		};
	}
	GUARDED(memcpy(at, targets, n * sizeof(targets[0])));
	return command(w, device_get(w, args[0]), RPCCANCEL_IOC_BULK, &req, 2);
}

static long op_list(struct worker *w, const uint64_t *args)
{
	struct rpccancel_list req = {
		.count = args[1], .cursor = args[2], .entry_size = args[3],
	};
	long ret;

	if (args[3] == 64)
		req.entry_size = sizeof(struct rpccancel_info);
	req.buf = (uintptr_t)memory_get(w, args[4],
					req.count * req.entry_size);
	ret = command(w, device_get(w, args[0]), RPCCANCEL_IOC_LIST, &req, 2);
	return ret ? ret : req.count;
}

/* Any command of any size on anything. */
static long op_ioctl(struct worker *w, const uint64_t *args)
{
	unsigned char req[128];
	unsigned int nr = args[1] % 16 | (args[1] & 16) << 2;
	int fd = args[1] & 16 ? handle_get(w, args[0]) : device_get(w, args[0]);

	for (size_t i = 0; i < sizeof(req); i++)
		req[i] = rc_random(&w->seed, 4) ? 0 :
						  rc_random(&w->seed, 256);
	/* OPEN and DUP would fill the table, ATTACH would not be known of. */
	if (nr == 1 || nr == 5 || nr == 0x43)
		nr = 0x44;
	if (nr == 2)
		w->slot = NULL;
	/* A wait without end can only be killed. */
	if (nr == 0x41)
		memset(req + 8, 0, 8);
	return command(w, fd, _IOC(args[4] & 3, RPCCANCEL_IOC_MAGIC, nr,
				   args[2] % sizeof(req)), req, args[3]);
}

/* Pages of slots besides its own. */
static long op_map(struct worker *w, const uint64_t *args)
{
	size_t page = w->process->page, size = (1 + args[2] % 4) * page;
	void *map = mmap(NULL, size, args[3] & 7,
			 args[3] & 8 ? MAP_PRIVATE : MAP_SHARED,
			 device_get(w, args[0]),
			 args[1] * page & INT64_MAX & ~(page - 1));

	if (map == MAP_FAILED)
		return -errno;
	if (args[3] & 16)
		GUARDED(*(volatile char *)map = 1);
	munmap(map, size);
	return 0;
}

/* The page of a thread's slot goes, moves, or cannot be used. */
static long op_remap(struct worker *w, const uint64_t *args)
{
	struct worker *other = &w->process->worker[args[0] % THREADS];
	size_t page = w->process->page;
	void *map = other->map, *to;

	if (!map)
		return -ENOENT;
	w->process->lies = true;
	switch (args[1] % 6) {
	case 0:
		other->slot = NULL;
		other->map = NULL;
		return from_errno(munmap(map, page));
	case 1:
		to = mremap(map, page, page, MREMAP_MAYMOVE | MREMAP_FIXED,
			    (char *)map - 64 * page);
		return to == MAP_FAILED ? -errno : 0;
	case 2:
		to = mremap(map, page, 2 * page, MREMAP_MAYMOVE);
		return to == MAP_FAILED ? -errno : 0;
	case 3:
		return from_errno(mprotect(map, page, args[1] >> 3));
	case 4:
		return from_errno(madvise(map, page, args[1]));
	default:
		to = mremap(map, 0, page, MREMAP_MAYMOVE);
		return to == MAP_FAILED ? -errno : 0;
	}
}

const struct op device_ops[] = {
	{ "open_device", op_open_device, 2, { DEVICE, SMALL } },
	{ "close_device", op_close_device, 1, { DEVICE } },
	{ "dup_device", op_dup_device, 1, { DEVICE, DEVICE } },
	{ "query", op_query, 1, { DEVICE, SIZE, MEMORY } },
	{ "attach", op_attach, 8, { DEVICE, MEMORY } },
	{ "detach", op_detach, 2, { DEVICE } },
	{ "settle", op_settle, 4, { DEVICE } },
	{ "deadline", op_deadline, 6, { DEVICE, NANOSECONDS, SMALL, MEMORY } },
	{ "open", op_open, 8, { DEVICE, HANDLE, PEER, ACCESS, SMALL } },
	{ "bulk", op_bulk, 4, { DEVICE, SMALL, NUMBER, SMALL, MEMORY } },
	{ "list", op_list, 3, { DEVICE, SMALL, SMALL, SIZE, MEMORY } },
	{ "ioctl", op_ioctl, 3, { DEVICE, SMALL, SIZE, MEMORY, SMALL } },
	{ "map", op_map, 2, { DEVICE, NUMBER, SMALL, SMALL } },
	{ "remap", op_remap, 1, { THREAD, SMALL } },
};

const unsigned int device_ops_count = COUNT(device_ops);
