// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Threads and handles of librpccancel with the real module: attached by
 * themselves and detached at exit, opened in all ways, passed on, across fork.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <rpcwinthread.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

static bool is_attached(void *handle)
{
	struct rpccancel_info info;

	return !rpccancel_thread_info(handle, &info) && info.attached;
}

/* How many threads of this process are attached. */
static int attached(void)
{
	struct rpccancel_info info[32];
	uint64_t cursor = 0;
	size_t count, i;
	int n = 0;

	do {
		count = 32;
		if (rpccancel_list(info, &count, &cursor))
			return -1;
		for (i = 0; i < count; i++)
			n += info[i].pid == getpid() && info[i].attached;
	} while (count);
	return n;
}

static bool wait_attached(int n)
{
	uint64_t end = rc_now() + RC_PATIENCE * RC_NSEC_PER_MSEC;

	while (attached() != n) {
		if (rc_now() > end)
			return false;
		rc_sleep(1);
	}
	return true;
}

static long use_a_scope(struct rc_thread *t)
{
	struct rpccancel_scope scope;

	rpccancel_scope_begin(&scope, NULL);
	t->stage = 1;
	/* Hundreds that wake up more often would do nothing else. */
	while (t->stage < 2)
		rc_sleep(20);
	return rpccancel_scope_end(&scope);
}

TEST(attach_and_detach)
{
	void *self;

	ASSERT_EQ(RPC_S_OK, rpccancel_thread_self(THREAD_ALL_ACCESS, &self));
	EXPECT_FALSE(is_attached(self));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_attach());
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_attach());
	EXPECT_TRUE(is_attached(self));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_detach());
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_detach());
	EXPECT_FALSE(is_attached(self));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_close(self));
}

/* More than fit on a page of slots, so that pages are mapped on demand. */
TEST(attached_by_use_until_exit)
{
	enum { N = 200 };
	static struct rc_thread threads[N];
	int i;

	ASSERT_EQ(0, attached());
	for (i = 0; i < N; i++) {
		ASSERT_EQ(0, rc_start(&threads[i], -1, use_a_scope, NULL));
		ASSERT_TRUE(rc_wait_stage(&threads[i], 1, RC_PATIENCE));
	}
	EXPECT_EQ(N, attached());
	for (i = 0; i < N; i++) {
		threads[i].stage = 2;
		ASSERT_EQ(0, rc_join(&threads[i], RC_PATIENCE));
		EXPECT_EQ(RPC_S_OK, threads[i].ret);
	}
	EXPECT_TRUE(wait_attached(0));
}

/* A destructor that runs after the library's attaches the thread once more. */
static void late_destructor(void *arg)
{
	struct rpccancel_scope scope;

	*(RPC_STATUS *)arg = rpccancel_scope_begin(&scope, NULL);
	rpccancel_scope_end(&scope);
}

static long set_destructors(struct rc_thread *t)
{
	struct rpccancel_scope scope;
	pthread_key_t *keys = t->arg;
	static RPC_STATUS results[2];

	pthread_setspecific(keys[0], &results[0]);
	rpccancel_scope_begin(&scope, NULL);
	rpccancel_scope_end(&scope);
	pthread_setspecific(keys[1], &results[1]);
	return 0;
}

TEST(used_in_destructors)
{
	struct rc_thread thread;
	pthread_key_t keys[2];

	ASSERT_EQ(0, pthread_key_create(&keys[0], late_destructor));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_attach());
	ASSERT_EQ(0, pthread_key_create(&keys[1], late_destructor));
	ASSERT_EQ(0, rc_start(&thread, -1, set_destructors, keys));
	ASSERT_EQ(0, rc_join(&thread, RC_PATIENCE));
	EXPECT_TRUE(wait_attached(1));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_detach());
}

TEST(rights)
{
	void *all, *some;

	ASSERT_EQ(RPC_S_OK, rpccancel_thread_open(rc_gettid(),
						  THREAD_QUERY_LIMITED_INFORMATION,
						  &some));
	EXPECT_EQ(RPC_S_ACCESS_DENIED, RpcCancelThread(some));
	EXPECT_EQ(RPC_S_ACCESS_DENIED,
		  rpccancel_thread_duplicate(some, THREAD_SET_CONTEXT, &all));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_duplicate(some, 0, &all));
	EXPECT_EQ(RPC_S_ACCESS_DENIED, RpcCancelThread(all));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_close(all));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_close(some));
	EXPECT_EQ(RPC_S_INVALID_ARG,
		  rpccancel_thread_open(INT_MAX, THREAD_ALL_ACCESS, &all));
}

TEST(windows_names)
{
	HANDLE thread, copy;

	thread = OpenThread(THREAD_SET_CONTEXT, FALSE, GetCurrentThreadId());
	ASSERT_TRUE(thread);
	EXPECT_EQ(FD_CLOEXEC, fcntl(rpccancel_thread_fd(thread), F_GETFD));
	EXPECT_TRUE(DuplicateHandle(GetCurrentProcess(), thread,
				    GetCurrentProcess(), &copy, 0, TRUE,
				    DUPLICATE_SAME_ACCESS |
				    DUPLICATE_CLOSE_SOURCE));
	EXPECT_EQ(0, fcntl(rpccancel_thread_fd(copy), F_GETFD));
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(copy));
	EXPECT_TRUE(CloseHandle(copy));
	EXPECT_FALSE(CloseHandle(copy));
	EXPECT_EQ(EBADF, errno);
	EXPECT_TRUE(DuplicateHandle(GetCurrentProcess(), GetCurrentThread(),
				    GetCurrentProcess(), &copy, 0, FALSE,
				    DUPLICATE_SAME_ACCESS));
	EXPECT_TRUE(CloseHandle(copy));
	EXPECT_FALSE(OpenThread(THREAD_SET_CONTEXT, FALSE, INT_MAX));
	EXPECT_EQ(EINVAL, errno);
}

TEST(from_descriptor)
{
	struct pollfd poller = { .events = POLLIN };
	void *thread, *again;

	ASSERT_EQ(RPC_S_OK, rpccancel_thread_self(THREAD_ALL_ACCESS, &thread));
	ASSERT_EQ(RPC_S_OK,
		  rpccancel_thread_from_fd(dup(rpccancel_thread_fd(thread)),
					   &again));
	EXPECT_EQ(FD_CLOEXEC, fcntl(rpccancel_thread_fd(again), F_GETFD));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_close(thread));
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(again));
	poller.fd = rpccancel_thread_fd(again);
	EXPECT_LE(0, poll(&poller, 1, 0));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_close(again));
}

/* A child that blocks in a scope until it is cancelled; its status says so. */
static int blocked_child(int sock)
{
	struct rpccancel_scope scope;
	int pair[2];
	void *self;
	char byte;

	if (rpccancel_scope_begin(&scope, NULL) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 1;
	if (sock >= 0 && (rpccancel_thread_self(THREAD_SET_CONTEXT, &self) ||
			  rpccancel_thread_send(sock, self)))
		return 2;
	if (recv(pair[0], &byte, 1, 0) >= 0 || errno != ECANCELED)
		return 3;
	return rpccancel_scope_end(&scope) != RPC_S_CALL_CANCELLED;
}

TEST(passed_to_another_process)
{
	int pair[2];
	void *thread;
	pid_t pid;

	ASSERT_EQ(RPC_S_OK, rpccancel_thread_attach());
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = rc_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(blocked_child(pair[0]));
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_receive(pair[1], &thread));
	EXPECT_EQ(FD_CLOEXEC, fcntl(rpccancel_thread_fd(thread), F_GETFD));
	EXPECT_EQ(RPC_S_OK, RpcCancelThreadEx(thread, 20));
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	EXPECT_EQ(RPC_S_OK, RpcCancelThread(thread));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_close(thread));
	close(pair[0]);
	close(pair[1]);
}

TEST(pidfd)
{
	void *thread;
	int pidfd;
	pid_t pid;

	pid = rc_fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(blocked_child(-1));
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	ASSERT_LE(0, pidfd);
	ASSERT_EQ(RPC_S_OK, rpccancel_thread_open_pidfd(pidfd,
							THREAD_ALL_ACCESS,
							&thread));
	while (!is_attached(thread))
		rc_sleep(1);
	EXPECT_EQ(RPC_S_OK, RpcCancelThreadEx(thread, 20));
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_close(thread));
	EXPECT_EQ(RPC_S_INVALID_ARG,
		  rpccancel_thread_open_pidfd(pidfd, THREAD_ALL_ACCESS,
					      &thread));
	close(pidfd);
}

/* The child starts with nothing of its parent's, not even its descriptor. */
TEST(across_fork)
{
	pid_t pid;

	ASSERT_EQ(RPC_S_OK, rpccancel_thread_attach());
	EXPECT_EQ(1, attached());
	pid = rc_fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char path[32], target[64];
		int fd, devices = 0;

		for (fd = 0; fd < 64; fd++) {
			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			memset(target, 0, sizeof(target));
			if (readlink(path, target, sizeof(target) - 1) > 0)
				devices += !strcmp(target, RC_DEVICE);
		}
		if (devices || attached() != 0)
			_exit(1);
		if (rpccancel_thread_attach() || attached() != 1)
			_exit(2);
		_exit(rpccancel_thread_detach() || attached() != 0);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	EXPECT_EQ(1, attached());
	EXPECT_EQ(RPC_S_OK, rpccancel_thread_detach());
}

RPCCANCEL_TEST_MAIN
