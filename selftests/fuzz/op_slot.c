// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What threads write into slots: as they should, and as they should not. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "fuzz.h"

static long op_begin(struct worker *w, const uint64_t *args)
{
	long ret = -EFAULT;

	if (!attach(w))
		return -ENOENT;
	w->gen = 0;
	w->classes = args[1];
	GUARDED(w->slot->grace = args[3];
		w->gen = rc_begin(w->process->device[w->device], w->slot,
				  args[0], args[1], args[2]);
		ret = !!w->slot->cancel);
	/* Such a call is not to be cancelled. */
	if (args[0] & (RPCCANCEL_SLOT_NO_CANCEL | RPCCANCEL_SLOT_FINITE))
		w->gen = 0;
	return ret;
}

static long op_end(struct worker *w, const uint64_t *args)
{
	long ret = -EFAULT;

	if (!w->slot)
		return -ENOENT;
	w->gen = 0;
	GUARDED(rc_end(w->process->device[w->device], w->slot);
		ret = !!w->slot->cancel);
	return ret;
}

static long op_next(struct worker *w, const uint64_t *args)
{
	long ret = -EFAULT;

	if (!w->slot)
		return -ENOENT;
	GUARDED(w->gen = rc_next(w->process->device[w->device], w->slot);
		ret = !!w->slot->cancel);
	return ret;
}

/* The mode may change within a call. */
static long op_mode(struct worker *w, const uint64_t *args)
{
	long ret = -EFAULT;

	if (!w->slot)
		return -ENOENT;
	GUARDED(w->slot->flags = args[0] & RPCCANCEL_MODE_MASK; ret = 0);
	return ret;
}

/* Anybody's slot, at any time, anything. */
static long op_lie(struct worker *w, const uint64_t *args)
{
	struct rpccancel_slot *slot = w->process->worker[args[0] % THREADS].slot;
	uint64_t value = args[2];

	if (!slot)
		return -ENOENT;
	w->process->lies = true;
	switch (args[1] % 10) {
	case 0:
		GUARDED(slot->gen = value);
		break;
	case 1:
		GUARDED(slot->cancel = value);
		break;
	case 2:
		GUARDED(slot->flags = value);
		break;
	case 3:
		GUARDED(slot->classes = value);
		break;
	case 4:
		GUARDED(slot->error = value);
		break;
	case 5:
		GUARDED(slot->reason = value);
		break;
	case 6:
		GUARDED(slot->grace = value);
		break;
	case 7:
		GUARDED(slot->gen ^= 1);
		break;
	case 8:
		GUARDED(slot->gen += 2);
		break;
	default:
		GUARDED(memset(slot, value, sizeof(*slot)));
	}
	return 0;
}

const struct op slot_ops[] = {
	{ "begin", op_begin, 20, { FLAGS, CLASSES, ERROR, NANOSECONDS } },
	{ "end", op_end, 6, { NONE } },
	{ "next", op_next, 4, { NONE } },
	{ "mode", op_mode, 2, { FLAGS } },
	{ "lie", op_lie, 3, { THREAD, SMALL, NUMBER } },
};

const unsigned int slot_ops_count = COUNT(slot_ops);
