// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Cancelling threads.
 */
#include "backend.h"
#include "internal.h"

/*
 * Waits for what @cancel has asked for. Without a generation there is nothing
 * to wait for: the thread is idle, or nothing was done. Nor can a thread wait
 * for itself. @cancel->result is left alone in these cases.
 */
static int wait_for(int fd, struct rpccancel_cancel *cancel,
		    const struct rpccancel_request *request)
{
	struct rpccancel_wait wait = {
		.gen = cancel->gen,
		.until = RPCCANCEL_WAIT_DELIVERED,
	};
	int err;

	if (request->until == RPCCANCEL_UNTIL_REQUESTED)
		return 0;
	if (request->until == RPCCANCEL_UNTIL_ENDED)
		wait.until = RPCCANCEL_WAIT_ENDED;
	switch (cancel->result) {
	case RPCCANCEL_RESULT_DELIVERED:
	case RPCCANCEL_RESULT_PENDING:
	case RPCCANCEL_RESULT_ALREADY:
		break;
	default:
		return 0;
	}
	if (!(cancel->gen & 1) || cancel->gen == RPCCANCEL_GEN_NEXT)
		return 0;

	wait.deadline = rpcc_deadline(request->timeout);
	err = rpcc_backend()->wait(fd, &wait);
	if (!err)
		cancel->result = wait.result;
	return err == -EDEADLK ? 0 : err;
}

static RPC_STATUS check_request(const struct rpccancel_request *request)
{
	if (!request || request->pad || request->until > RPCCANCEL_UNTIL_ENDED)
		return RPC_S_INVALID_ARG;
	return rpcc_check_size(request, request->size, sizeof(*request));
}

EXPORT RPC_STATUS rpccancel_cancel(void *thread,
				   struct rpccancel_request *request)
{
	struct rpccancel_cancel cancel;
	RPC_STATUS status;
	int fd, err;

	status = check_request(request);
	if (status != RPC_S_OK)
		return status;
	fd = rpcc_handle_get(thread, RPCCANCEL_SET_CONTEXT);
	if (fd < 0)
		return rpcc_status(fd);

	cancel = (struct rpccancel_cancel){
		.gen = request->gen,
		.grace = request->grace,
	};
	err = rpcc_backend()->cancel(fd, &cancel);
	if (!err)
		err = wait_for(fd, &cancel, request);
	rpcc_handle_put(thread, fd);

	request->gen = cancel.gen;
	request->result = cancel.result;
	request->state = cancel.state;
	request->syscall = cancel.syscall;
	return rpcc_status(err);
}

/*
 * What Microsoft's two functions share. A handle whose thread has exited is a
 * good handle there, and so it is here: no call of that thread is in progress
 * any more, which is all that the caller wants, and whether the thread was
 * still there to be cancelled is a race that no caller can win or even see.
 */
static RPC_STATUS cancel_thread(void *thread, uint64_t grace, uint32_t until,
				uint64_t timeout)
{
	struct rpccancel_request request = {
		.size = sizeof(request),
		.until = until,
		.gen = RPCCANCEL_GEN_ANY,
		.grace = grace,
		.timeout = timeout,
	};
	RPC_STATUS status = rpccancel_cancel(thread, &request);

	if (status == RPC_S_NO_CALL_ACTIVE)
		return RPC_S_OK;
	return status == RPC_S_OK ? rpcc_result_status(request.result) : status;
}

EXPORT RPC_STATUS RpcCancelThread(void *Thread)
{
	return cancel_thread(Thread, RPCCANCEL_GRACE_TARGET,
			     RPCCANCEL_UNTIL_REQUESTED, 0);
}

EXPORT RPC_STATUS RpcCancelThreadEx(void *Thread, long Timeout)
{
	uint32_t until = RPCCANCEL_UNTIL_ENDED;
	uint64_t timeout = rpcc_seconds(Timeout);

	if (Timeout < RPC_C_CANCEL_INFINITE_TIMEOUT)
		return RPC_S_INVALID_TIMEOUT;
	if (!Timeout)
		until = RPCCANCEL_UNTIL_REQUESTED;
	return cancel_thread(Thread, timeout, until, timeout);
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

EXPORT RPC_STATUS rpccancel_cancel_many(struct rpccancel_target *targets,
					size_t count, uint64_t grace,
					size_t *done)
{
	size_t n = 0;
	int err = 0;

	if (count && !targets)
		return RPC_S_INVALID_ARG;
	err = rpcc_prepare();
	while (!err && n < count) {
		size_t part = min_size(count - n, RPCCANCEL_BULK_MAX);
		struct rpccancel_bulk bulk = {
			.targets = (uintptr_t)(targets + n),
			.grace = grace,
			.count = (uint32_t)part,
		};

		err = rpcc_backend()->cancel_many(&bulk);
		if (!err || bulk.count < part)
			n += bulk.count;
		if (!err && bulk.count < part)
			break;
	}
	if (done)
		*done = n;
	return rpcc_status(err);
}

EXPORT RPC_STATUS rpccancel_list(struct rpccancel_info *info, size_t *count,
				 uint64_t *cursor)
{
	struct rpccancel_list list;
	int err;

	if (!info || !count || !cursor || !*count)
		return RPC_S_INVALID_ARG;
	err = rpcc_prepare();
	if (err)
		return rpcc_status(err);

	list = (struct rpccancel_list){
		.buf = (uintptr_t)info,
		.cursor = *cursor,
		.count = (uint32_t)min_size(*count, UINT32_MAX),
		.entry_size = sizeof(*info),
	};
	err = rpcc_backend()->list(&list);
	if (err)
		return rpcc_status(err);
	*count = list.count;
	*cursor = list.cursor;
	return RPC_S_OK;
}
