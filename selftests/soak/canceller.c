// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A process that cancels threads at random: what is in progress, a generation
 * that it has seen, one or many in one call, with and without grace.  It asks
 * for each cancel what became of it, until it knows.
 *
 * Each thread has one canceller, as what became of a cancel is remembered only
 * until the next one of that thread.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../rpccancel_util.h"
#include "ledger.h"

#define BULK		16
/* Whatever it is in, a thread comes out of it in this time. */
#define PATIENCE_MS	120000

static int dev;

/* Threads NUMBER, NUMBER + CANCELLERS, ... are those of a canceller. */
static struct account *nth_account(int number, int n)
{
	int own = ledger->threads / CANCELLERS;

	return &ledger->account[n % own * CANCELLERS + number];
}

static struct account *any_account(int number, uint32_t *seed)
{
	return nth_account(number, rc_random(seed, ledger->threads));
}

static int open_thread(struct account *a)
{
	struct rpccancel_open o = {
		.tid = a->tid,
		.tgid = a->pid,
		.access = RPCCANCEL_ACCESS_ALL,
	};
	int handle;

	if (!o.tid)
		return -ESRCH;
	handle = ioctl(dev, RPCCANCEL_IOC_OPEN, &o);
	return handle < 0 ? -errno : handle;
}

static uint64_t any_grace(uint32_t *seed)
{
	switch (rc_random(seed, 3)) {
	case 0:
		return 0;
	case 1:
		return rc_random(seed, 50) * RC_NSEC_PER_MSEC;
	default:
		return RPCCANCEL_INFINITE;
	}
}

/* What is in progress, or was a moment ago, or is over for sure. */
static uint64_t any_gen(int handle, uint32_t *seed)
{
	struct rpccancel_info info = { 0 };

	if (rc_random(seed, 2) || rc_info(handle, &info) || info.gen < 3)
		return RPCCANCEL_GEN_ANY;
	if (!(info.gen & 1))
		return info.gen - 1;
	return rc_random(seed, 16) ? info.gen : info.gen - 2;
}

static enum outcome wait_for_end(int handle, uint64_t gen)
{
	int ret = rc_wait(handle, gen, RPCCANCEL_WAIT_ENDED, PATIENCE_MS);

	switch (ret) {
	case RPCCANCEL_RESULT_DELIVERED:
	case RPCCANCEL_RESULT_ENDED:
		return DELIVERED;
	case RPCCANCEL_RESULT_TOO_LATE:
		return TOO_LATE;
	case -ESRCH:
		return DIED;
	default:
		ODD(ret);
		return DIED;
	}
}

static void count(struct account *a, int handle, int error, uint32_t result,
		  uint64_t gen)
{
	enum outcome outcome = GONE;

	if (error && error != ESRCH)
		ODD(error);
	if (!error) {
		switch (result) {
		case RPCCANCEL_RESULT_PENDING:
		case RPCCANCEL_RESULT_DELIVERED:
			outcome = wait_for_end(handle, gen);
			break;
		case RPCCANCEL_RESULT_NEXT:
			outcome = NEXT;
			break;
		case RPCCANCEL_RESULT_TOO_LATE:
			outcome = TOO_LATE;
			break;
		case RPCCANCEL_RESULT_ALREADY:
			outcome = ALREADY;
			break;
		case RPCCANCEL_RESULT_REFUSED:
		case RPCCANCEL_RESULT_NOT_FINITE:
			outcome = REFUSED;
			break;
		default:
			ODD(result);
		}
	}
	a->outcomes[outcome]++;
}

static void cancel_one(struct account *a, uint32_t *seed)
{
	struct rpccancel_cancel c = { 0 };
	int handle, ret;

	a->cancels++;
	handle = open_thread(a);
	if (handle < 0) {
		count(a, -1, -handle, 0, 0);
		return;
	}
	ret = rc_cancel(handle, any_gen(handle, seed), any_grace(seed), &c);
	count(a, handle, -ret, c.result, c.gen);
	close(handle);
}

/*
 * Each thread once: what becomes of the first cancel could not be asked for any
 * more if a second one of that thread came to its end before.
 */
static void cancel_many(int number, uint32_t *seed)
{
	struct rpccancel_target targets[BULK] = { 0 };
	struct account *accounts[BULK];
	struct rpccancel_bulk bulk = {
		.targets = (uintptr_t)targets,
		.grace = any_grace(seed),
	};
	int first = rc_random(seed, ledger->threads);
	uint32_t n = 0;

	for (int i = 0; i < BULK; i++) {
		struct account *a = nth_account(number, first + i);
		int handle = open_thread(a);

		if (handle < 0)
			continue;
		targets[n].handle = handle;
		targets[n].gen = any_gen(handle, seed);
		a->cancels++;
		accounts[n++] = a;
	}
	bulk.count = n;
	if (n && (ioctl(dev, RPCCANCEL_IOC_BULK, &bulk) || bulk.count != n))
		ODD(errno);
	for (uint32_t i = 0; i < n; i++) {
		count(accounts[i], targets[i].handle, targets[i].error,
		      targets[i].result, targets[i].gen);
		close(targets[i].handle);
	}
}

void canceller_main(int number, uint32_t seed)
{
	dev = rc_open_device();
	if (dev < 0)
		die(RC_DEVICE);
	while (ledger->stage < CANCELLERS_END) {
		if (rc_random(&seed, 8))
			cancel_one(any_account(number, &seed), &seed);
		else
			cancel_many(number, &seed);
		rc_sleep(rc_random(&seed, 10));
	}
	close(dev);
}
