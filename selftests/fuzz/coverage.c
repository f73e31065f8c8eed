// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What a program has shown that none before has: pairs of places in the module
 * that were reached one after the other, as KCOV tells where the kernel has it,
 * and results of calls.
 *
 * Only the module is built for KCOV, so all it records is the module's. It is
 * recorded by each thread of its own calls, with the work that they run on their
 * way out, but not in interrupts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

/* Of the kernel's uapi/linux/kcov.h, which is not among the C library's. */
#define KCOV_INIT_TRACE	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0

#define ENTRIES		(16 << 10)

/* Made once; each process takes over those of the one before it. */
static struct kcov {
	int fd;
	volatile unsigned long *area;	/* how many, and then these */
} kcovs[PROCESSES][THREADS];
static bool available;

static int kcov_open(struct kcov *k)
{
	void *area;

	k->fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	if (k->fd < 0)
		return -errno;
	if (ioctl(k->fd, KCOV_INIT_TRACE, ENTRIES))
		return -errno;
	area = mmap(NULL, ENTRIES * sizeof(*k->area), PROT_READ | PROT_WRITE,
		    MAP_SHARED, k->fd, 0);
	if (area == MAP_FAILED)
		return -errno;
	k->area = area;
	return 0;
}

int coverage_init(void)
{
	for (int p = 0; p < PROCESSES; p++) {
		for (int t = 0; t < THREADS; t++) {
			int ret = kcov_open(&kcovs[p][t]);

			if (ret)
				return ret;
		}
	}
	available = true;
	return 0;
}

void coverage_enable(int process, int thread)
{
	if (available)
		ioctl(kcovs[process][thread].fd, KCOV_ENABLE, KCOV_TRACE_PC);
}

/* Whether it was not there. */
static bool add(atomic_uint *map, uint32_t bit)
{
	uint32_t mask = 1u << bit % 32;

	return !(atomic_load_explicit(&map[bit / 32], memory_order_relaxed) &
		 mask) &&
	       !(atomic_fetch_or(&map[bit / 32], mask) & mask);
}

static bool add_signal(uint64_t signal)
{
	signal *= 0x9e3779b97f4a7c15ull;
	return add(shared->signal_map, signal >> 46);
}

void coverage_begin(int process, int thread)
{
	if (available)
		kcovs[process][thread].area[0] = 0;
}

void coverage_end(int process, int thread)
{
	volatile unsigned long *area = kcovs[process][thread].area;
	unsigned long before = 0;

	if (!available)
		return;
	for (unsigned long i = 1; i <= area[0] && i < ENTRIES; i++) {
		unsigned long pc = area[i];

		/* The module's text is smaller than that. */
		if (add(shared->pc_map, pc & 0xffff))
			shared->pcs++;
		if (add_signal(pc ^ before >> 1))
			shared->fresh[process]++;
		before = pc;
	}
}

void coverage_result(int process, unsigned int op, long result)
{
	if (result > 0xff)
		result = 0xff;
	if (add_signal((uint64_t)(op + 1) << 32 | (uint32_t)result))
		shared->fresh[process]++;
}
