// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cancelling many threads by one call.
 *
 * Lifetime: each handle's file is held while its thread is cancelled, nothing
 * longer.  Locking: none of its own.
 */
#include <linux/file.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "cancel.h"
#include "handle.h"
#include "thread.h"

static int rpcc_cancel_target(struct rpccancel_target *target, u64 grace)
{
	struct rpcc_thread *t;
	struct file *file;
	int err;

	if (target->pad)
		return -EINVAL;

	file = fget(target->handle);
	if (!file)
		return -EBADF;

	t = rpcc_handle_thread(file, RPCCANCEL_SET_CONTEXT);
	err = PTR_ERR_OR_ZERO(t);
	if (!err)
		err = rpcc_cancel(t, &target->gen, grace, &target->result);
	fput(file);

	return err;
}

/**
 * rpcc_cancel_bulk() - cancel an array of handles, in order
 * @req:	what to cancel; out: how many elements were done
 *
 * Return: 0; -EINVAL for an empty or too long array; -EFAULT or -EINTR when it
 * stopped early.
 */
int rpcc_cancel_bulk(struct rpccancel_bulk *req)
{
	struct rpccancel_target __user *user = u64_to_user_ptr(req->targets);
	u32 i, count = req->count;

	if (req->flags || !count || count > RPCCANCEL_BULK_MAX)
		return -EINVAL;

	for (i = 0; i < count; i++) {
		struct rpccancel_target target;

		req->count = i;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (copy_from_user(&target, &user[i], sizeof(target)))
			return -EFAULT;
		target.result = RPCCANCEL_RESULT_NONE;
		target.error = -rpcc_cancel_target(&target, req->grace);
		if (copy_to_user(&user[i], &target, sizeof(target)))
			return -EFAULT;
		cond_resched();
	}
	req->count = count;

	return 0;
}
