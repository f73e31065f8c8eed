// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mock.h"

struct mock mock;

void mock_reset(void)
{
	struct rpccancel_slot slot = mock.slot;
	int handle = mock.handle;

	memset(&mock, 0, sizeof(mock));
	mock.slot = slot;
	mock.handle = handle;
	mock.deadline = RPCCANCEL_INFINITE;
}

void mock_tell(uint32_t reason)
{
	if (!(mock.slot.gen & 1)) {
		mock.slot.cancel = RPCCANCEL_GEN_NEXT;
		mock.slot.reason = reason;
		return;
	}
	mock.slot.reason = reason | (mock.slot.cancel ? mock.slot.reason : 0);
	mock.slot.cancel = mock.slot.gen;
}

static int take_error(void)
{
	int error = mock.error;

	mock.error = 0;
	return error;
}

static int mock_query(struct rpccancel_query *query)
{
	memset(query, 0, sizeof(*query));
	query->abi = RPCCANCEL_ABI_VERSION;
	return take_error();
}

static int mock_attach(struct rpccancel_slot **slot)
{
	memset(&mock.slot, 0, sizeof(mock.slot));
	mock.attached++;
	*slot = &mock.slot;
	return take_error();
}

static int mock_detach(void)
{
	mock.attached--;
	return 0;
}

static int mock_settle(void)
{
	mock.settled++;
	if (mock.slot.cancel == RPCCANCEL_GEN_NEXT && mock.slot.gen & 1)
		mock.slot.cancel = mock.slot.gen;
	else if (mock.slot.cancel != RPCCANCEL_GEN_NEXT &&
		 mock.slot.cancel != mock.slot.gen)
		mock.slot.cancel = 0;
	return 0;
}

static int mock_set_deadline(uint64_t deadline)
{
	int error = take_error();

	mock.deadlines++;
	if (error)
		return error;
	if (!(mock.slot.gen & 1))
		return -EINVAL;
	mock.deadline = deadline;
	mock.slot.reason &= ~(uint32_t)RPCCANCEL_REASON_DEADLINE;
	if (!mock.slot.reason)
		mock.slot.cancel = 0;
	return 0;
}

static int mock_open(pid_t tid, pid_t tgid, unsigned int access)
{
	int error = take_error();

	(void)tid;
	(void)tgid;
	(void)access;
	if (error)
		return error;
	mock.handle = dup(0);
	return mock.handle;
}

static int mock_bulk(struct rpccancel_bulk *bulk)
{
	size_t left = mock.bulk_stop ? mock.bulk_stop - mock.bulk : SIZE_MAX;

	if (left < bulk->count) {
		mock.bulk += left;
		bulk->count = (uint32_t)left;
		return -EFAULT;
	}
	mock.bulk += bulk->count;
	return 0;
}

static int mock_list(struct rpccancel_list *list)
{
	list->count = 0;
	return take_error();
}

static int mock_cancel(int fd, struct rpccancel_cancel *cancel)
{
	(void)fd;
	mock.cancel = *cancel;
	cancel->result = mock.result;
	cancel->gen = mock.gen;
	cancel->syscall = -1;
	return take_error();
}

static int mock_wait(int fd, struct rpccancel_wait *wait)
{
	(void)fd;
	mock.waits++;
	mock.wait = *wait;
	wait->result = mock.wait_result;
	return mock.wait_error;
}

static int mock_info(int fd, struct rpccancel_info *info)
{
	(void)fd;
	memset(info, 0, sizeof(*info));
	return take_error();
}

static int mock_duplicate(int fd, unsigned int access)
{
	if (access & ~mock.rights)
		return -EACCES;
	return dup(fd);
}

static int mock_read_event(int fd, struct rpccancel_event *event)
{
	if (fd != mock.handle || !mock.event.gen)
		return -EAGAIN;
	*event = mock.event;
	mock.event.gen = 0;
	mock.events++;
	return 0;
}

static void mock_close(int fd)
{
	close(fd);
}

static int mock_open_error(void)
{
	return ENOENT;
}

static void mock_fork(void)
{
}

const struct rpcc_backend rpcc_kernel_backend = {
	.name = "kernel",
	.query = mock_query,
	.open_error = mock_open_error,
	.attach = mock_attach,
	.detach = mock_detach,
	.settle = mock_settle,
	.set_deadline = mock_set_deadline,
	.open = mock_open,
	.cancel_many = mock_bulk,
	.list = mock_list,
	.cancel = mock_cancel,
	.wait = mock_wait,
	.info = mock_info,
	.duplicate = mock_duplicate,
	.read_event = mock_read_event,
	.close = mock_close,
	.fork_prepare = mock_fork,
	.fork_parent = mock_fork,
	.fork_child = mock_fork,
};
