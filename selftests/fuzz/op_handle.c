// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The calls of a handle, and what can be done with its descriptor. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz.h"

/* One that was closed stays: its number may mean something else by then. */
int handle_get(struct worker *w, uint64_t index)
{
	struct process *p = w->process;
	atomic_int *handle = &p->handle[index % HANDLES];
	pid_t tid = p->worker[index % THREADS].tid;

	if (*handle < 0)
		*handle = rc_open(device_get(w, 0), tid, RPCCANCEL_ACCESS_ALL);
	return *handle;
}

/* The number may be a device's by now, whose threads are then detached. */
static void spoil(struct worker *w, int fd)
{
	for (int i = 0; i < DEVICES; i++)
		if (w->process->device[i] == fd)
			w->process->lies = true;
}

long handle_put(struct worker *w, uint64_t index, int handle)
{
	int before = atomic_exchange(&w->process->handle[index % HANDLES],
				     handle);

	spoil(w, before);
	if (before > 2)
		close(before);
	return 0;
}

uint64_t generation_get(struct worker *w, uint64_t how, uint64_t thread)
{
	uint64_t gen = w->process->worker[thread % THREADS].gen;

	switch (how % 8) {
	case 0:
		return RPCCANCEL_GEN_ANY;
	case 1:
		return gen + 2;
	case 2:
		return gen - 2;
	case 3:
		return random64(&w->seed);
	case 4:
		return RPCCANCEL_GEN_NEXT;
	default:
		return gen;
	}
}

static long op_cancel(struct worker *w, const uint64_t *args)
{
	struct rpccancel_cancel *req = memory_get(w, args[4], sizeof(*req));
	struct rpccancel_cancel right = {
		.gen = generation_get(w, args[1], args[0]),
		.grace = args[3] % 4 ? 0 : args[2],
		.flags = args[3] == 31,
	};
	long ret;

	GUARDED(*req = right);
	ret = from_errno(ioctl(handle_get(w, args[0]), RPCCANCEL_IOC_CANCEL,
			       req));
	if (!ret)
		GUARDED(ret = req->result | req->state << 4);
	return ret;
}

static long op_wait(struct worker *w, const uint64_t *args)
{
	struct rpccancel_wait *req = memory_get(w, args[4], sizeof(*req));
	struct rpccancel_wait right = {
		.gen = generation_get(w, args[1], args[0]),
		.deadline = rc_now() + args[2],
		.until = args[3] == 31 ? 2 : args[3] % 2,
	};
	long ret;

	if (args[2] > RC_NSEC_PER_MSEC * 1000)
		right.deadline = args[2];
	GUARDED(*req = right);
	ret = from_errno(ioctl(handle_get(w, args[0]), RPCCANCEL_IOC_WAIT,
			       req));
	if (!ret)
		GUARDED(ret = req->result);
	return ret;
}

static long op_info(struct worker *w, const uint64_t *args)
{
	struct rpccancel_info *info = memory_get(w, args[1], sizeof(*info));
	long ret = from_errno(ioctl(handle_get(w, args[0]), RPCCANCEL_IOC_INFO,
				    info));

	if (!ret)
		GUARDED(ret = info->state | info->attached << 4);
	return ret;
}

static long op_dup(struct worker *w, const uint64_t *args)
{
	int handle = ioctl(handle_get(w, args[0]), RPCCANCEL_IOC_DUP, args[2]);

	return handle < 0 ? -errno : handle_put(w, args[1], handle);
}

static long op_dup2(struct worker *w, const uint64_t *args)
{
	int to = w->process->handle[args[1] % HANDLES];

	if (to <= 2)
		return -EBADF;
	spoil(w, to);
	return dup2(handle_get(w, args[0]), to) < 0 ? -errno : 0;
}

static long op_close(struct worker *w, const uint64_t *args)
{
	int handle = w->process->handle[args[0] % HANDLES];

	spoil(w, handle);
	return handle > 2 ? from_errno(close(handle)) : -EBADF;
}

static long op_read(struct worker *w, const uint64_t *args)
{
	size_t size = args[1] % 128;
	void *buf = memory_get(w, args[3], size);
	struct iovec iov[2] = { { buf, size / 2 }, { buf, size - size / 2 } };
	int handle = handle_get(w, args[0]);

	switch (args[2] % 4) {
	case 0:
		return from_errno(read(handle, buf, size));
	case 1:
		return from_errno(readv(handle, iov, 2));
	case 2:
		return from_errno(preadv2(handle, iov, 2, -1, RWF_NOWAIT));
	default:
		rc_set_nonblock(handle, args[2] & 4);
		return from_errno(read(handle, buf, size));
	}
}

static long op_poll(struct worker *w, const uint64_t *args)
{
	struct pollfd p[2] = {
		{ .fd = handle_get(w, args[0]), .events = args[2] },
		{ .fd = handle_get(w, args[0] + 1), .events = POLLIN },
	};
	int ret = poll(p, 2, args[1] % 16);

	return ret < 0 ? -errno : p[0].revents & 0xff;
}

static long op_epoll(struct worker *w, const uint64_t *args)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET * (args[1] & 1) };
	int handle = handle_get(w, args[0]), epoll = w->process->block.epoll;

	return from_errno(epoll_ctl(epoll, args[1] & 2 ? EPOLL_CTL_DEL :
							 EPOLL_CTL_ADD,
				    handle, &ev));
}

static long op_fdinfo(struct worker *w, const uint64_t *args)
{
	char path[64], buf[512];
	int fd = args[1] & 1 ? device_get(w, args[0]) : handle_get(w, args[0]);

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return rc_read_file(path, buf, sizeof(buf)) < 0 ? -EIO : 0;
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* To whoever takes it, of any process. */
static long op_pass(struct worker *w, const uint64_t *args)
{
	union control control = { .header = {
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	} };
	struct iovec iov = { "", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fd = args[1] % 8 ? handle_get(w, args[0]) : device_get(w, args[0]);

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	return from_errno(sendmsg(w->process->passing[0], &msg, MSG_DONTWAIT));
}

static long op_take(struct worker *w, const uint64_t *args)
{
	union control control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(w->process->passing[1], &msg,
		    MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	if (!CMSG_FIRSTHDR(&msg))
		return 1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(int));
	return handle_put(w, args[0], fd);
}

const struct op handle_ops[] = {
	{ "cancel", op_cancel, 16, { HANDLE, GENERATION, NANOSECONDS, SMALL,
				     MEMORY } },
	{ "wait", op_wait, 5, { HANDLE, GENERATION, NANOSECONDS, SMALL,
				MEMORY } },
	{ "info", op_info, 4, { HANDLE, MEMORY } },
	{ "dup", op_dup, 3, { HANDLE, HANDLE, ACCESS } },
	{ "dup2", op_dup2, 1, { HANDLE, HANDLE } },
	{ "close", op_close, 2, { HANDLE } },
	{ "read", op_read, 4, { HANDLE, SIZE, SMALL, MEMORY } },
	{ "poll", op_poll, 4, { HANDLE, SMALL, SMALL } },
	{ "epoll", op_epoll, 2, { HANDLE, SMALL } },
	{ "fdinfo", op_fdinfo, 1, { HANDLE, SMALL } },
	{ "pass", op_pass, 2, { HANDLE, SMALL } },
	{ "take", op_take, 2, { HANDLE } },
};

const unsigned int handle_ops_count = COUNT(handle_ops);
