// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Who may do what to whom: access rights of handles, handles that travel, other
 * users, other pid namespaces, thread numbers that are used again, and programs
 * that change under a handle.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

FIXTURE(handle)
{
	int dev;
	struct rc_remote remote;
	bool started;
};

FIXTURE_SETUP(handle)
{
	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
}

FIXTURE_TEARDOWN(handle)
{
	close(self->dev);
	if (self->started) {
		kill(self->remote.pid, SIGKILL);
		waitpid(self->remote.pid, NULL, 0);
	}
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(handle) *self,
		  void (*prepare)(void *arg), void *arg)
{
	ASSERT_EQ(0, rc_remote_start(&self->remote, prepare, arg));
	self->started = true;
}

static void become(uid_t uid)
{
	if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		_exit(99);
	/* What setresuid() has taken away. */
	prctl(PR_SET_DUMPABLE, 1);
}

static void become_alice(void *arg)
{
	(void)arg;
	become(1000);
}

TEST_F(handle, access_must_be_known_and_not_empty)
{
	struct rpccancel_open o = { .access = 0 };

	EXPECT_EQ(-EINVAL, rc_open(self->dev, 0, 0));
	EXPECT_EQ(-EINVAL, rc_open(self->dev, 0, 0x1));
	EXPECT_EQ(-EINVAL, rc_open(self->dev, 0, 0x1fffff));
	EXPECT_EQ(-EINVAL, rc_open(self->dev, 0, RPCCANCEL_ACCESS_ALL | 0x20));
	o.access = RPCCANCEL_ACCESS_ALL;
	o.flags = 1;
	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_OPEN, &o));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(handle, right_to_look_is_not_the_right_to_cancel)
{
	struct rpccancel_info info;
	struct rpccancel_event ev;
	int handle;

	start(_metadata, self, NULL, NULL);
	handle = rc_open(self->dev, self->remote.pid,
			 RPCCANCEL_QUERY_INFORMATION);
	ASSERT_GE(handle, 0);
	EXPECT_EQ(0, rc_info(handle, &info));
	EXPECT_EQ(0, rc_poll(handle, POLLIN, 0));
	rc_set_nonblock(handle, true);
	EXPECT_EQ(-1, read(handle, &ev, sizeof(ev)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(-EACCES, rc_cancel_result(handle, RPCCANCEL_GEN_ANY));
	EXPECT_EQ(-EACCES, rc_wait(handle, 1, 0, 1));
	EXPECT_EQ('S', rc_state(self->remote.pid, self->remote.pid));
}

TEST_F(handle, right_to_cancel_is_not_the_right_to_look)
{
	struct rpccancel_info info;
	struct rpccancel_event ev;
	int handle;

	start(_metadata, self, NULL, NULL);
	handle = rc_open(self->dev, self->remote.pid, RPCCANCEL_SET_CONTEXT);
	ASSERT_GE(handle, 0);
	EXPECT_EQ(-EACCES, rc_info(handle, &info));
	EXPECT_EQ(POLLERR, rc_poll(handle, POLLIN, 0) & ~POLLNVAL);
	EXPECT_EQ(-1, read(handle, &ev, sizeof(ev)));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_cancel_result(handle, self->remote.gen));
	self->started = false;
	EXPECT_EQ(RC_REMOTE_CANCELED, rc_remote_finish(&self->remote));
}

TEST_F(handle, in_bulk_needs_the_right_to_cancel)
{
	struct rpccancel_target target = {};
	struct rpccancel_bulk bulk = {
		.targets = (uintptr_t)&target,
		.count = 1,
	};

	target.handle = rc_open(self->dev, 0, RPCCANCEL_QUERY_INFORMATION);
	ASSERT_GE(target.handle, 0);
	ASSERT_EQ(0, ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	EXPECT_EQ(1, bulk.count);
	EXPECT_EQ(EACCES, target.error);
}

TEST_F(handle, duplicate_has_no_more_rights)
{
	int all = rc_open(self->dev, 0, RPCCANCEL_ACCESS_ALL);
	int look = rc_dup(all, RPCCANCEL_QUERY_INFORMATION);
	struct rpccancel_info info;

	ASSERT_GE(all, 0);
	ASSERT_GE(look, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(all, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(look, F_GETFD));
	EXPECT_EQ(-EACCES, rc_dup(look, RPCCANCEL_ACCESS_ALL));
	EXPECT_EQ(-EACCES, rc_dup(look, RPCCANCEL_SET_CONTEXT));
	EXPECT_EQ(-EINVAL, rc_dup(all, 0));
	EXPECT_EQ(-EINVAL, rc_dup(all, 0x1000));
	EXPECT_EQ(-EACCES, rc_cancel_result(look, RPCCANCEL_GEN_ANY));
	/* It outlives the one it was made of. */
	close(all);
	EXPECT_EQ(0, rc_info(look, &info));
	EXPECT_EQ(rc_gettid(), info.tid);
}

static int send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { "x", 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

static int recv_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(sock, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

/* A right that was given away is a right, whoever has it. */
TEST_F(handle, passed_to_another_user_keeps_its_rights)
{
	int sv[2], handle, look;
	uint64_t gen;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	start(_metadata, self, NULL, NULL);
	gen = self->remote.gen;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = rc_fork();
	if (!pid) {
		int all, query;

		become(1001);
		query = recv_fd(sv[1]);
		all = recv_fd(sv[1]);
		if (rc_open(self->dev, self->remote.pid,
			    RPCCANCEL_ACCESS_ALL) != -EACCES)
			_exit(1);
		if (rc_cancel_result(query, gen) != -EACCES)
			_exit(2);
		if (rc_dup(query, RPCCANCEL_SET_CONTEXT) != -EACCES)
			_exit(3);
		if (rc_cancel_result(all, gen) != RPCCANCEL_RESULT_PENDING)
			_exit(4);
		_exit(0);
	}
	handle = rc_open(self->dev, self->remote.pid, RPCCANCEL_ACCESS_ALL);
	look = rc_dup(handle, RPCCANCEL_QUERY_INFORMATION);
	ASSERT_EQ(0, send_fd(sv[0], look));
	ASSERT_EQ(0, send_fd(sv[0], handle));
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	self->started = false;
	EXPECT_EQ(RC_REMOTE_CANCELED, rc_remote_finish(&self->remote));
}

/* Opens the remote's thread as somebody; the result or errno as status. */
static int open_as(FIXTURE_DATA(handle) *self, uid_t uid, bool cap_kill)
{
	pid_t pid = rc_fork();

	if (!pid) {
		struct __user_cap_header_struct h = {
			_LINUX_CAPABILITY_VERSION_3, 0
		};
		struct __user_cap_data_struct d[2] = {};
		int ret, dev;

		prctl(PR_SET_KEEPCAPS, 1);
		become(uid);
		if (cap_kill) {
			d[0].effective = 1 << CAP_KILL;
			d[0].permitted = 1 << CAP_KILL;
		}
		if (syscall(SYS_capset, &h, d))
			_exit(98);
		dev = rc_open_device();
		ret = rc_open(dev, self->remote.pid, RPCCANCEL_ACCESS_ALL);
		_exit(ret < 0 ? -ret : 0);
	}
	return rc_reap(pid, RC_PATIENCE);
}

TEST_F(handle, of_another_users_thread_is_not_to_be_had)
{
	if (geteuid())
		SKIP(return, "needs root");
	start(_metadata, self, become_alice, NULL);
	EXPECT_EQ(0, open_as(self, 1000, false));
	EXPECT_EQ(EACCES, open_as(self, 1001, false));
	EXPECT_EQ(0, open_as(self, 1001, true));
}

TEST_F(handle, of_roots_thread_is_not_for_a_user)
{
	if (geteuid())
		SKIP(return, "needs root");
	start(_metadata, self, NULL, NULL);
	EXPECT_EQ(EACCES, open_as(self, 1000, false));
}

TEST_F(handle, of_nobody_is_ESRCH)
{
	struct rpccancel_open o = {
		.tid = getpid(),
		.tgid = 1,
		.access = RPCCANCEL_ACCESS_ALL,
	};
	pid_t pid = rc_fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(-ESRCH, rc_open(self->dev, pid, RPCCANCEL_ACCESS_ALL));
	EXPECT_EQ(-ESRCH, rc_open(self->dev, 0x3fffffff, RPCCANCEL_ACCESS_ALL));
	EXPECT_LT(rc_open(self->dev, -1, RPCCANCEL_ACCESS_ALL), 0);
	/* The thread is there, but not in that process. */
	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_OPEN, &o));
	EXPECT_EQ(ESRCH, errno);
	o.tgid = getpid();
	EXPECT_GE(ioctl(self->dev, RPCCANCEL_IOC_OPEN, &o), 0);
}

TEST_F(handle, of_a_kernel_thread_is_not_to_be_had)
{
	/* kthreadd; in a pid namespace there is none. */
	EXPECT_LT(rc_open(self->dev, 2, RPCCANCEL_ACCESS_ALL), 0);
}

TEST_F(handle, hangs_up_when_its_thread_exits)
{
	struct rpccancel_info info;
	struct rpccancel_event ev;
	int handle;

	start(_metadata, self, NULL, NULL);
	handle = rc_open(self->dev, self->remote.pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	EXPECT_EQ(0, rc_poll(handle, POLLIN, 0));
	ASSERT_EQ(1, write(self->remote.feed, "x", 1));
	self->started = false;
	EXPECT_EQ(RC_REMOTE_READ, rc_remote_finish(&self->remote));
	EXPECT_TRUE(rc_poll(handle, POLLIN, RC_PATIENCE) & POLLHUP);
	EXPECT_EQ(0, read(handle, &ev, sizeof(ev)));
	EXPECT_EQ(-ESRCH, rc_info(handle, &info));
	EXPECT_EQ(-ESRCH, rc_cancel_result(handle, RPCCANCEL_GEN_ANY));
}

static long wait_poll(struct rc_thread *t)
{
	return rc_poll(*(int *)t->arg, POLLIN, RC_PATIENCE);
}

static long wait_read(struct rc_thread *t)
{
	struct rpccancel_event ev;

	return read(*(int *)t->arg, &ev, sizeof(ev));
}

static long wait_ended(struct rc_thread *t)
{
	return rc_wait(*(int *)t->arg, 1, RPCCANCEL_WAIT_ENDED, RC_PATIENCE);
}

TEST_F(handle, wakes_all_who_wait_when_its_thread_is_killed)
{
	struct rc_thread poller, reader, waiter;
	uint64_t start_time;
	int handle;

	start(_metadata, self, NULL, NULL);
	handle = rc_open(self->dev, self->remote.pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	kill(self->remote.pid, SIGSTOP);
	ASSERT_TRUE(rc_wait_state(self->remote.pid, self->remote.pid, "T",
				  RC_PATIENCE));
	rc_cancel_result(handle, self->remote.gen);
	ASSERT_EQ(0, rc_start(&poller, -1, wait_poll, &handle));
	ASSERT_EQ(0, rc_start(&reader, -1, wait_read, &handle));
	ASSERT_EQ(0, rc_start(&waiter, -1, wait_ended, &handle));
	ASSERT_TRUE(rc_wait_asleep(poller.tid, -1, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_asleep(reader.tid, SYS_read, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_asleep(waiter.tid, SYS_ioctl, RC_PATIENCE));
	start_time = rc_now();
	kill(self->remote.pid, SIGKILL);
	ASSERT_EQ(0, rc_join(&poller, RC_PATIENCE));
	ASSERT_EQ(0, rc_join(&reader, RC_PATIENCE));
	ASSERT_EQ(0, rc_join(&waiter, RC_PATIENCE));
	EXPECT_LT((rc_now() - start_time) / RC_NSEC_PER_MSEC, RC_PATIENCE / 2);
	EXPECT_TRUE(poller.ret & POLLHUP);
	EXPECT_EQ(0, reader.ret);
	EXPECT_EQ(-ESRCH, waiter.ret);
}

/* A pid namespace of its own: its first process runs fn(). */
static int in_pid_namespace(int (*fn)(void *arg), void *arg)
{
	pid_t pid = rc_fork();
	int ret;

	if (!pid) {
		if (unshare(CLONE_NEWPID | CLONE_NEWNS))
			_exit(errno == EPERM ? 97 : 96);
		pid = fork();
		if (!pid) {
			mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
			mount("proc", "/proc", "proc", 0, NULL);
			_exit(fn(arg));
		}
		ret = rc_reap(pid, 3 * RC_PATIENCE);
		_exit(ret < 0 || ret > 255 ? 95 : ret);
	}
	return rc_reap(pid, 4 * RC_PATIENCE);
}

struct outside {
	int dev, handle;
	pid_t tid;
};

static int look_out(void *arg)
{
	struct outside *o = arg;
	struct rpccancel_info info;
	int dev = rc_open_device(), own;

	/* Outside numbers mean nothing here, whichever device they go to. */
	if (rc_open(dev, o->tid, RPCCANCEL_ACCESS_ALL) != -ESRCH)
		return 1;
	if (rc_open(o->dev, o->tid, RPCCANCEL_ACCESS_ALL) != -ESRCH)
		return 2;
	/* Own numbers do. */
	own = rc_open(dev, 1, RPCCANCEL_ACCESS_ALL);
	if (own < 0 || rc_info(own, &info) || info.tid != 1 || info.pid != 1)
		return 3;
	/* A list shows nobody who has no number here: only this thread. */
	if (rc_list_count(dev) > 1)
		return 4;
	/* A handle that was passed in works, and its thread has number 0. */
	if (rc_info(o->handle, &info) || info.tid || info.pid)
		return 5;
	if (rc_cancel_result(o->handle, RPCCANCEL_GEN_ANY) !=
	    RPCCANCEL_RESULT_PENDING)
		return 6;
	return 0;
}

TEST_F(handle, in_another_pid_namespace_numbers_are_its_own)
{
	struct outside o;
	int ret;

	start(_metadata, self, NULL, NULL);
	o.dev = self->dev;
	o.tid = self->remote.pid;
	o.handle = rc_open(self->dev, o.tid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(o.handle, 0);
	ret = in_pid_namespace(look_out, &o);
	if (ret == 97)
		SKIP(return, "not permitted to make a pid namespace");
	ASSERT_EQ(0, ret);
	self->started = false;
	EXPECT_EQ(RC_REMOTE_CANCELED, rc_remote_finish(&self->remote));
}

/* Waits until the number of a thread that is gone is used again. */
static int reuse_number(void *arg)
{
	struct rpccancel_info info;
	struct rc_remote old, new;
	int dev = rc_open_device(), handle, tries;

	(void)arg;
	if (dev < 0 || rc_remote_start(&old, NULL, NULL))
		return 1;
	handle = rc_open(dev, old.pid, RPCCANCEL_ACCESS_ALL);
	if (handle < 0)
		return 2;
	kill(old.pid, SIGKILL);
	rc_remote_finish(&old);
	for (tries = 0; tries < 100; tries++) {
		char number[16];

		/* The next process gets the first number behind this one. */
		snprintf(number, sizeof(number), "%d", old.pid - 1);
		if (rc_write_file("/proc/sys/kernel/ns_last_pid", number))
			return 3;
		if (rc_remote_start(&new, NULL, NULL))
			return 4;
		if (new.pid == old.pid)
			break;
		kill(new.pid, SIGKILL);
		rc_remote_finish(&new);
	}
	if (tries == 100)
		return 5;
	if (rc_cancel_result(handle, RPCCANCEL_GEN_ANY) != -ESRCH)
		return 6;
	if (rc_cancel_result(handle, new.gen) != -ESRCH)
		return 7;
	if (rc_info(handle, &info) != -ESRCH)
		return 8;
	rc_sleep(RC_WHILE);
	if (rc_state(new.pid, new.pid) != 'S')
		return 9;
	if (write(new.feed, "x", 1) != 1)
		return 10;
	return rc_remote_finish(&new) == RC_REMOTE_READ ? 0 : 11;
}

TEST_F(handle, never_means_a_new_thread_with_an_old_number)
{
	int ret = in_pid_namespace(reuse_number, NULL);

	if (ret == 97)
		SKIP(return, "not permitted to make a pid namespace");
	EXPECT_EQ(0, ret);
}

/* Without execve(2) it is the same program, in the same memory. */
TEST_F(handle, stays_when_its_thread_changes_its_user)
{
	int told[2], done[2], handle;
	char byte = 0;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, pipe(told));
	ASSERT_EQ(0, pipe(done));
	pid = rc_fork();
	if (!pid) {
		if (read(told[0], &byte, 1) != 1)
			_exit(1);
		become(1001);
		if (write(done[1], &byte, 1) != 1)
			_exit(2);
		pause();
	}
	handle = rc_open(self->dev, pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	ASSERT_EQ(1, write(told[1], &byte, 1));
	ASSERT_EQ(1, read(done[0], &byte, 1));
	EXPECT_EQ(RPCCANCEL_RESULT_NEXT,
		  rc_cancel_result(handle, RPCCANCEL_GEN_ANY));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * A user opens a handle of its own process, which then becomes a setuid
 * program: the handle must not reach that.
 */
TEST_F(handle, dies_when_its_process_executes_a_setuid_program)
{
	static const char copy[] = "/tmp/rpccancel_setuid_helper";
	int in[2], out[2];
	char byte = 0;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	if (access("./setuid_helper", X_OK))
		SKIP(return, "setuid_helper is not built");
	ASSERT_EQ(0, system("cp ./setuid_helper /tmp/rpccancel_setuid_helper"));
	ASSERT_EQ(0, chmod(copy, 04755));
	ASSERT_EQ(0, pipe(in));
	ASSERT_EQ(0, pipe(out));
	pid = rc_fork();
	if (!pid) {
		struct rpccancel_info info;
		struct rpccancel_slot *slot;
		int dev, handle, ret;
		pid_t child;

		become(1000);
		dev = rc_open_device();
		child = fork();
		if (!child) {
			int own = rc_open_device();

			if (rc_attach(own, &slot))
				_exit(1);
			rc_begin_scope(own, slot);
			dup2(in[0], 0);
			dup2(out[1], 1);
			if (write(1, "a", 1) != 1 || read(0, &byte, 1) != 1)
				_exit(1);
			execl(copy, copy, NULL);
			_exit(1);
		}
		if (read(out[0], &byte, 1) != 1)
			_exit(1);
		handle = rc_open(dev, child, RPCCANCEL_ACCESS_ALL);
		if (handle < 0 || write(in[1], "b", 1) != 1)
			_exit(2);
		/* The program says who it is, and reads. */
		if (read(out[0], &byte, 1) != 1)
			_exit(3);
		if (byte != 'r')
			_exit(4);
		if (!rc_wait_state(child, child, "S", RC_PATIENCE))
			_exit(5);
		ret = rc_cancel_result(handle, RPCCANCEL_GEN_ANY);
		if (ret != -ESRCH)
			_exit(6);
		if (rc_info(handle, &info) != -ESRCH)
			_exit(7);
		/* Nor can it be opened anew: real uid and all are root's. */
		if (rc_open(dev, child, RPCCANCEL_ACCESS_ALL) != -EACCES)
			_exit(8);
		rc_sleep(RC_WHILE);
		if (rc_state(child, child) != 'S')
			_exit(9);
		if (write(in[1], "c", 1) != 1)
			_exit(10);
		ret = rc_reap(child, RC_PATIENCE);
		_exit(ret == RC_REMOTE_READ ? 0 : 11);
	}
	EXPECT_EQ(0, rc_reap(pid, 2 * RC_PATIENCE));
	unlink(copy);
}

TEST_F(handle, is_no_device_and_the_reverse)
{
	struct rpccancel_query q;
	struct rpccancel_info info;
	int handle = rc_open(self->dev, 0, RPCCANCEL_ACCESS_ALL);

	ASSERT_GE(handle, 0);
	EXPECT_EQ(-ENOTTY, rc_query(handle, &q));
	EXPECT_EQ(-ENOTTY, rc_info(self->dev, &info));
	EXPECT_EQ(-ENOTTY, rc_cancel_result(self->dev, RPCCANCEL_GEN_ANY));
}

RPCCANCEL_TEST_MAIN
