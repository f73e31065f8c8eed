// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What is not a thread handle is told from one, and left alone. Needs no
 * module: any kernel knows that a pipe is none.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rpccancel.h>

#include "tap.h"

static void *dress(int fd)
{
	return (void *)(((uintptr_t)fd + 1) << 2);
}

static void refused_everywhere(void *thread, const char *what)
{
	struct rpccancel_request request = { .size = sizeof(request) };
	struct rpccancel_info info;
	void *other;

	printf("# %s\n", what);
	is(RpcCancelThread(thread), ERROR_INVALID_HANDLE, "RpcCancelThread");
	is(RpcCancelThreadEx(thread, 1), ERROR_INVALID_HANDLE,
	   "RpcCancelThreadEx");
	is(rpccancel_cancel(thread, &request), ERROR_INVALID_HANDLE,
	   "rpccancel_cancel");
	is(rpccancel_thread_info(thread, &info), ERROR_INVALID_HANDLE,
	   "rpccancel_thread_info");
	is(rpccancel_thread_duplicate(thread, 0, &other), ERROR_INVALID_HANDLE,
	   "rpccancel_thread_duplicate");
	is(rpccancel_thread_duplicate(thread, THREAD_SET_CONTEXT, &other),
	   ERROR_INVALID_HANDLE, "rpccancel_thread_duplicate, with rights");
	is(rpccancel_thread_close(thread), ERROR_INVALID_HANDLE,
	   "rpccancel_thread_close");
}

static void bad_handles(int pipe_fd)
{
	int closed = dup(pipe_fd);

	close(closed);
	refused_everywhere(NULL, "NULL");
	refused_everywhere((void *)3, "not a multiple of four");
	refused_everywhere((void *)-1, "the current process");
	refused_everywhere((void *)UINTPTR_MAX, "all ones");
	refused_everywhere(dress(closed), "a closed descriptor");
	refused_everywhere(dress(pipe_fd), "a pipe");
	ok(fcntl(pipe_fd, F_GETFD) >= 0, "the pipe is still open");
}

static void descriptors(int pipe_fd)
{
	void *thread = (void *)1;

	is(rpccancel_thread_fd(dress(0)), 0, "descriptor 0");
	is(rpccancel_thread_fd(dress(77)), 77, "descriptor 77");
	is(rpccancel_thread_fd(NULL), -1, "NULL has no descriptor");
	is(rpccancel_thread_fd(RPCCANCEL_CURRENT_THREAD), -1,
	   "the current thread has no descriptor");
	is(rpccancel_thread_close(RPCCANCEL_CURRENT_THREAD), RPC_S_OK,
	   "closing the current thread's does nothing");
	is(rpccancel_thread_from_fd(pipe_fd, &thread), ERROR_INVALID_HANDLE,
	   "a pipe does not become a handle");
	is(rpccancel_thread_from_fd(-1, &thread), ERROR_INVALID_HANDLE,
	   "nor does -1");
	ok(thread == (void *)1, "the result is untouched");
	ok(fcntl(pipe_fd, F_GETFD) >= 0, "the pipe is still open");
}

/* As a hostile process would: @count descriptors that are not handles. */
static void send_fds(int sock, int fd, int count)
{
	char byte = 0, room[256] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int i;

	if (!count)
		msg.msg_controllen = 0;
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
	for (i = 0; i < count; i++)
		memcpy(CMSG_DATA(cmsg) + sizeof(int) * (size_t)i, &fd,
		       sizeof(fd));
	is(sendmsg(sock, &msg, 0), 1, "a message with what is no handle");
}

static void sockets(int pipe_fd)
{
	int pair[2], probe, count;
	void *thread;

	is(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0, "a pair of sockets");
	is(rpccancel_thread_send(pair[0], dress(pipe_fd)), ERROR_INVALID_HANDLE,
	   "a pipe is not sent");
	is(rpccancel_thread_send(pair[0], RPCCANCEL_CURRENT_THREAD),
	   ERROR_INVALID_HANDLE, "nor is the current thread's handle");

	probe = dup(pipe_fd);
	close(probe);
	for (count = 0; count <= 3; count++) {
		send_fds(pair[0], pipe_fd, count);
		is(rpccancel_thread_receive(pair[1], &thread),
		   ERROR_INVALID_HANDLE, "is not received");
		ok(fcntl(probe, F_GETFD) < 0 && fcntl(probe + 1, F_GETFD) < 0,
		   "and what came is closed: %d descriptors", count);
	}

	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	is(rpccancel_thread_receive(pair[1], &thread), RPC_S_ASYNC_CALL_PENDING,
	   "nothing there yet");
	close(pair[0]);
	is(rpccancel_thread_receive(pair[1], &thread), RPC_S_COMM_FAILURE,
	   "the other side is gone");
	is(rpccancel_thread_receive(pipe_fd, &thread), RPC_S_INVALID_ARG,
	   "a pipe is no socket");
	close(pair[1]);
}

static void arguments(int pipe_fd)
{
	struct rpccancel_request request = { .size = sizeof(request) - 1 };
	void *thread;

	is(rpccancel_thread_open(0, THREAD_SET_CONTEXT, &thread),
	   RPC_S_INVALID_ARG, "no thread has number 0");
	is(rpccancel_thread_open(-1, THREAD_SET_CONTEXT, &thread),
	   RPC_S_INVALID_ARG, "nor -1");
	is(rpccancel_thread_open(getpid(), 0, &thread), RPC_S_INVALID_ARG,
	   "a handle without rights");
	is(rpccancel_thread_open(getpid(), 0x1, &thread), RPC_S_INVALID_ARG,
	   "a handle with only a right that means nothing");
	is(rpccancel_thread_self(THREAD_SET_CONTEXT, NULL), RPC_S_INVALID_ARG,
	   "nowhere to put it");
	is(rpccancel_thread_open_pidfd(pipe_fd, THREAD_SET_CONTEXT, &thread),
	   RPC_S_INVALID_ARG, "a pipe is no pidfd");
	is(rpccancel_thread_open_pidfd(-1, THREAD_SET_CONTEXT, &thread),
	   RPC_S_INVALID_ARG, "nor is -1");
	is(rpccancel_cancel(NULL, NULL), RPC_S_INVALID_ARG, "no request");
	is(rpccancel_cancel(NULL, &request), RPC_S_INVALID_ARG,
	   "a request that is too short");
	request.size = sizeof(request);
	request.until = 3;
	is(rpccancel_cancel(NULL, &request), RPC_S_INVALID_ARG,
	   "a request to wait for nobody knows what");
	is(rpccancel_query(NULL), RPC_S_INVALID_ARG, "rpccancel_query(NULL)");
	is(rpccancel_list(NULL, NULL, NULL), RPC_S_INVALID_ARG,
	   "rpccancel_list(NULL)");
}

int main(void)
{
	int fds[2];

	if (pipe(fds))
		return 1;
	errno = 4242;
	bad_handles(fds[0]);
	descriptors(fds[0]);
	arguments(fds[0]);
	sockets(fds[0]);
	return tap_end();
}
