// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Thread handles that come from elsewhere: descriptors, sockets, pidfds.
 *
 * What comes from another process is not believed: it is asked whether it is a
 * handle, and closed if it is not.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend.h"
#include "internal.h"

/* Takes the descriptor only if it succeeds. */
static int adopt(int fd)
{
	if (fd < 0 || !rpcc_is_handle(fd))
		return -EBADF;
	/* A file description cannot refuse this one. */
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

EXPORT RPC_STATUS rpccancel_thread_from_fd(int fd, void **thread)
{
	if (!thread)
		return RPC_S_INVALID_ARG;
	return rpcc_give(adopt(fd), thread);
}

/* Sockets have their own words: the other side is gone, or would block. */
static RPC_STATUS socket_status(int err)
{
	switch (err) {
	case EAGAIN:
		return RPC_S_ASYNC_CALL_PENDING;
	case EBADF:
	case ENOTSOCK:
		return RPC_S_INVALID_ARG;
	case ENOMEM:
	case ENOBUFS:
		return RPC_S_OUT_OF_MEMORY;
	case ETOOMANYREFS:
		return RPC_S_OUT_OF_RESOURCES;
	default:
		return RPC_S_COMM_FAILURE;
	}
}

/* One byte goes along: a stream socket does not pass descriptors alone. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int))];
};

static ssize_t send_fd(int sock, int fd)
{
	char byte = 0;
	union control control = { 0 };
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n;
}

/*
 * The handle of the current thread means nothing to another process, and which
 * rights it would get is for the caller to say: rpccancel_thread_duplicate().
 * Nor do handles of a back end that knows only this process mean anything there.
 */
EXPORT RPC_STATUS rpccancel_thread_send(int sock, void *thread)
{
	KEEP_ERRNO();
	int fd = rpccancel_thread_fd(thread);

	if (fd < 0 || !rpcc_is_handle(fd))
		return ERROR_INVALID_HANDLE;
	if (rpcc_backend()->local)
		return RPC_S_CANNOT_SUPPORT;
	return send_fd(sock, fd) < 0 ? socket_status(errno) : RPC_S_OK;
}

/* Keeps the first descriptor of a message and closes all others. */
static int take_fds(struct msghdr *msg)
{
	struct cmsghdr *cmsg;
	int fd, first = -1;
	size_t i;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = CMSG_LEN(0); i + sizeof(fd) <= cmsg->cmsg_len;
		     i += sizeof(fd)) {
			memcpy(&fd, (char *)cmsg + i, sizeof(fd));
			if (first < 0)
				first = fd;
			else
				rpcc_close(fd);
		}
	}
	return first;
}

EXPORT RPC_STATUS rpccancel_thread_receive(int sock, void **thread)
{
	KEEP_ERRNO();
	char byte;
	union control control = { 0 };
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	RPC_STATUS status;
	ssize_t n;
	int fd;

	if (!thread)
		return RPC_S_INVALID_ARG;
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return socket_status(errno);
	if (!n)
		return RPC_S_COMM_FAILURE;

	fd = take_fds(&msg);
	status = rpcc_give(adopt(fd), thread);
	if (status != RPC_S_OK && fd >= 0)
		rpcc_close(fd);
	return status;
}
