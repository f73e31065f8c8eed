// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What can be seen from outside: the list by ioctl and in debugfs, fdinfo, and
 * the tracepoints.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

#define DEBUGFS	"/sys/kernel/debug/rpccancel/threads"
#define TRACEFS	"/sys/kernel/tracing"
#define TRACE	TRACEFS "/instances/rpccancel_test"

FIXTURE(list)
{
	int dev;
	int pipe[2];
	struct rc_thread thread;
	uint64_t gen, deadline;
};

FIXTURE_SETUP(list)
{
	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, pipe(self->pipe));
}

FIXTURE_TEARDOWN(list)
{
	close(self->dev);
}

static long blocked(struct rc_thread *t)
{
	FIXTURE_DATA(list) *self = t->arg;
	char byte;
	long ret;

	prctl(PR_SET_NAME, "a stuck thread");
	t->slot->tag = 0x1234567890abcdefULL;
	self->gen = rc_begin(t->dev, t->slot, RPCCANCEL_MODE_CALL |
			     RPCCANCEL_SLOT_FINITE, RPCCANCEL_CLASS_READ,
			     ECONNABORTED);
	self->deadline = rc_now() + 600000 * RC_NSEC_PER_MSEC;
	rc_deadline(t->dev, self->deadline);
	ret = read(self->pipe[0], &byte, 1) < 0 ? -errno : 1;
	rc_end(t->dev, t->slot);
	return ret;
}

/* The entry of one thread, and how many entries it has. */
static int find(int dev, pid_t tid, struct rpccancel_info *found)
{
	struct rpccancel_info info[7];
	struct rpccancel_list list = {
		.buf = (uintptr_t)info,
		.entry_size = sizeof(info[0]),
	};
	int seen = 0;

	do {
		list.count = ARRAY_SIZE(info);
		if (ioctl(dev, RPCCANCEL_IOC_LIST, &list))
			return -errno;
		for (uint32_t i = 0; i < list.count; i++) {
			if (info[i].tid != tid)
				continue;
			*found = info[i];
			seen++;
		}
	} while (list.count);
	return seen;
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(list) *self)
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, blocked, self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
}

TEST_F(list, shows_everything_there_is_to_know)
{
	struct rpccancel_info info, other;

	start(_metadata, self);
	ASSERT_EQ(1, find(self->dev, self->thread.tid, &info));
	EXPECT_EQ(getpid(), info.pid);
	EXPECT_STREQ("a stuck thread", (char *)info.comm);
	EXPECT_EQ(self->gen, info.gen);
	EXPECT_EQ(self->thread.slot->since, info.since);
	EXPECT_EQ(0x1234567890abcdefULL, info.tag);
	EXPECT_EQ(self->deadline, info.deadline);
	EXPECT_EQ(0, info.pending);
	EXPECT_EQ(RPCCANCEL_MODE_CALL | RPCCANCEL_SLOT_FINITE, info.mode);
	EXPECT_EQ(RPCCANCEL_CLASS_READ, info.classes);
	EXPECT_EQ(0, info.reason);
	EXPECT_EQ(RPCCANCEL_STATE_BLOCKED, info.state);
	EXPECT_EQ(SYS_read, info.syscall);
	EXPECT_EQ(self->pipe[0], info.fd);
	EXPECT_EQ(1, info.attached);
	EXPECT_EQ(ECONNABORTED, info.error);
	ASSERT_EQ(0, rc_info(self->thread.handle, &other));
	EXPECT_EQ(0, memcmp(&info, &other, sizeof(info)));

	ASSERT_EQ(0, rc_cancel(self->thread.handle, self->gen,
			       600000 * RC_NSEC_PER_MSEC, NULL));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
	ASSERT_EQ(1, find(self->dev, self->thread.tid, &info));
	EXPECT_EQ(self->gen, info.pending);
	EXPECT_EQ(RPCCANCEL_REASON_CANCEL, info.reason);
	EXPECT_EQ(self->deadline, info.deadline);
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, find(self->dev, self->thread.tid, &info));
}

TEST_F(list, agrees_with_the_file_in_debugfs)
{
	char mode[32], state[32], pending[32], comm[64];
	unsigned long long gen, since, deadline, tag;
	int pid, tid, syscall, fd, found = 0;
	struct rpccancel_info info;
	unsigned int reason;
	char line[512];
	FILE *file;

	if (access(DEBUGFS, R_OK))
		SKIP(return, "%s: %s", DEBUGFS, strerror(errno));
	start(_metadata, self);
	ASSERT_EQ(1, find(self->dev, self->thread.tid, &info));
	file = fopen(DEBUGFS, "r");
	ASSERT_NE(NULL, file);
	ASSERT_NE(NULL, fgets(line, sizeof(line), file));
	EXPECT_STREQ("pid tid mode gen since state syscall fd pending reason deadline tag comm\n",
		     line);
	while (fgets(line, sizeof(line), file)) {
		ASSERT_EQ(13, sscanf(line, "%d %d %31s %llu %llu %31s %d %d %31s %x %llu %llx %63s",
				     &pid, &tid, mode, &gen, &since, state,
				     &syscall, &fd, pending, &reason, &deadline,
				     &tag, comm)) TH_LOG("%s", line);
		if (tid != info.tid)
			continue;
		found++;
		EXPECT_EQ(info.pid, pid);
		EXPECT_STREQ("call", mode);
		EXPECT_EQ(info.gen, gen);
		EXPECT_EQ(info.since, since);
		EXPECT_STREQ("blocked", state);
		EXPECT_EQ(info.syscall, syscall);
		EXPECT_EQ(info.fd, fd);
		EXPECT_STREQ("0", pending);
		EXPECT_EQ(info.reason, reason);
		EXPECT_EQ(info.deadline, deadline);
		EXPECT_EQ(info.tag, tag);
		EXPECT_NE(NULL, strstr(line, "stuck"));
	}
	fclose(file);
	EXPECT_EQ(1, found);
}

TEST_F(list, debugfs_is_for_root_only)
{
	struct stat st;

	if (stat(DEBUGFS, &st))
		SKIP(return, "%s: %s", DEBUGFS, strerror(errno));
	EXPECT_EQ(0400, st.st_mode & 07777);
	EXPECT_EQ(0, st.st_uid);
}

TEST_F(list, shows_a_user_only_its_own_threads)
{
	struct rpccancel_slot *slot;
	struct rpccancel_info info;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	start(_metadata, self);
	EXPECT_GE(rc_list_count(self->dev), 1);
	pid = rc_fork();
	if (!pid) {
		int dev;

		if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
			_exit(1);
		dev = rc_open_device();
		if (rc_list_count(dev) || rc_list_count(self->dev))
			_exit(2);
		if (rc_attach(dev, &slot))
			_exit(3);
		if (rc_list_count(dev) != 1 || find(dev, getpid(), &info) != 1)
			_exit(4);
		_exit(0);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
}

static long read_a_byte(struct rc_thread *t)
{
	char byte;

	return read(*(int *)t->arg, &byte, 1);
}

/* What it does is its own affair as long as it has not attached itself. */
TEST_F(list, tells_of_who_is_not_attached_only_that_it_sleeps)
{
	struct rpccancel_info info;
	struct rpccancel_cancel c;
	struct rc_thread thread;
	int handle, fd[2];

	ASSERT_EQ(0, pipe(fd));
	ASSERT_EQ(0, rc_start(&thread, -1, read_a_byte, &fd[0]));
	handle = rc_open(self->dev, thread.tid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	ASSERT_TRUE(rc_wait_asleep(thread.tid, SYS_read, RC_PATIENCE));
	ASSERT_EQ(1, find(self->dev, thread.tid, &info));
	EXPECT_EQ(0, info.attached);
	EXPECT_EQ(RPCCANCEL_STATE_BLOCKED, info.state);
	EXPECT_EQ(-1, info.syscall);
	EXPECT_EQ(-1, info.fd);
	EXPECT_EQ(0, info.gen);
	ASSERT_EQ(0, rc_info(handle, &info));
	EXPECT_EQ(-1, info.syscall);
	EXPECT_EQ(-1, info.fd);
	ASSERT_EQ(0, rc_cancel(handle, RPCCANCEL_GEN_ANY, 0, &c));
	EXPECT_EQ(-1, c.syscall);
	ASSERT_EQ(1, write(fd[1], "x", 1));
	ASSERT_EQ(0, rc_join(&thread, RC_PATIENCE));
	EXPECT_EQ(1, thread.ret);
	close(handle);
}

enum { STABLE = 20 };

static atomic_bool stop;

static long stay(struct rc_thread *t)
{
	(void)t;
	while (!stop)
		rc_sleep(5);
	return 0;
}

static long come_and_go(struct rc_thread *t)
{
	struct rpccancel_slot *slot;
	long n = 0;

	while (!stop) {
		if (ioctl(t->dev, RPCCANCEL_IOC_DETACH) ||
		    rc_attach(t->dev, &slot))
			return -errno;
		/* One page for each would be too much in the end. */
		munmap((void *)((uintptr_t)slot & ~4095UL), 4096);
		n++;
	}
	return n;
}

TEST_F(list, shows_who_stays_exactly_once_however_small_the_steps)
{
	struct rc_thread stable[STABLE], churn[3];
	struct rpccancel_info info;
	int walks = 0;

	stop = false;
	for (int i = 0; i < STABLE; i++)
		ASSERT_EQ(0, rc_start(&stable[i], self->dev, stay, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(churn); i++)
		ASSERT_EQ(0, rc_start(&churn[i], self->dev, come_and_go, NULL));
	for (; walks < 100; walks++) {
		struct rpccancel_list list = {
			.buf = (uintptr_t)&info,
			.entry_size = sizeof(info),
		};
		int seen[STABLE] = {};

		for (;;) {
			list.count = 1;
			ASSERT_EQ(0, ioctl(self->dev, RPCCANCEL_IOC_LIST,
					   &list));
			if (!list.count)
				break;
			for (int i = 0; i < STABLE; i++)
				seen[i] += info.tid == stable[i].tid;
		}
		for (int i = 0; i < STABLE; i++)
			ASSERT_EQ(1, seen[i]) TH_LOG("walk %d", walks);
	}
	stop = true;
	for (int i = 0; i < STABLE; i++)
		ASSERT_EQ(0, rc_join(&stable[i], RC_PATIENCE));
	for (size_t i = 0; i < ARRAY_SIZE(churn); i++) {
		ASSERT_EQ(0, rc_join(&churn[i], RC_PATIENCE));
		EXPECT_GT(churn[i].ret, 0);
	}
}

TEST_F(list, checks_its_arguments)
{
	struct rpccancel_info info[2];
	struct rpccancel_list list = {
		.buf = (uintptr_t)info,
		.entry_size = sizeof(info[0]) - 1,
		.count = 2,
	};

	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_LIST, &list));
	EXPECT_EQ(EINVAL, errno);
	list.entry_size = sizeof(info[0]);
	list.cursor = ~0ULL;
	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_LIST, &list));
	EXPECT_EQ(EINVAL, errno);
	list.cursor = 0;
	list.buf = 8;
	start(_metadata, self);
	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_LIST, &list));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(list, fdinfo_tells_of_devices_and_handles)
{
	char path[64], buf[4096], want[64];

	start(_metadata, self);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->dev);
	ASSERT_GT(rc_read_file(path, buf, sizeof(buf)), 0);
	EXPECT_NE(NULL, strstr(buf, "rpccancel-abi:\t1\n")) TH_LOG("%s", buf);
	EXPECT_NE(NULL, strstr(buf, "rpccancel-threads:\t1\n"));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d",
		 self->thread.handle);
	ASSERT_GT(rc_read_file(path, buf, sizeof(buf)), 0);
	snprintf(want, sizeof(want), "rpccancel-tid:\t%d\n", self->thread.tid);
	EXPECT_NE(NULL, strstr(buf, want)) TH_LOG("%s", buf);
	EXPECT_NE(NULL, strstr(buf, "rpccancel-access:\t0x50\n"));
}

/* How often the trace has an event of a thread. */
static int traced(const char *event, pid_t tid)
{
	char name[64], who[32], *buf = malloc(1 << 20), *line, *save;
	int n = 0;

	snprintf(name, sizeof(name), ": rpccancel_%s:", event);
	snprintf(who, sizeof(who), " tid=%d ", tid);
	if (rc_read_file(TRACE "/trace", buf, 1 << 20) < 0)
		buf[0] = 0;
	for (line = strtok_r(buf, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		n += strstr(line, name) && strstr(line, who);
	free(buf);
	return n;
}

/* Three refused calls, of which two have slept with the cancel pending. */
static long be_traced(struct rc_thread *t)
{
	FIXTURE_DATA(list) *self = t->arg;
	char byte;

	self->gen = rc_begin_scope(t->dev, t->slot);
	for (int i = 0; i < 3; i++)
		if (read(self->pipe[0], &byte, 1) != -1 || errno != ECANCELED)
			return -1;
	rc_end(t->dev, t->slot);
	rc_begin_scope(t->dev, t->slot);
	rc_deadline(t->dev, rc_now() + 20 * RC_NSEC_PER_MSEC);
	if (read(self->pipe[0], &byte, 1) != -1 || errno != ETIMEDOUT)
		return -2;
	rc_end(t->dev, t->slot);
	t->stage = 1;
	while (t->stage == 1)
		usleep(100);
	return 0;
}

TEST_F(list, tracepoints_count_what_happens)
{
	pid_t tid;

	if (access(TRACEFS "/events/rpccancel/enable", W_OK))
		SKIP(return, "%s/events/rpccancel: %s", TRACEFS,
		     strerror(errno));
	rmdir(TRACE);
	ASSERT_EQ(0, mkdir(TRACE, 0700));
	ASSERT_EQ(0, rc_write_file(TRACE "/events/rpccancel/enable", "1"));
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, be_traced, self));
	tid = self->thread.tid;
	ASSERT_TRUE(rc_wait_asleep(tid, SYS_read, RC_PATIENCE));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_cancel_result(self->thread.handle, self->gen));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	EXPECT_EQ(RPCCANCEL_RESULT_TOO_LATE,
		  rc_cancel_result(self->thread.handle, 1));
	self->thread.stage = 2;
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
	EXPECT_EQ(2, traced("request", tid));
	EXPECT_EQ(4, traced("deliver", tid));
	EXPECT_EQ(2, traced("rearm", tid));
	EXPECT_EQ(1, traced("expire", tid));
	EXPECT_EQ(1, traced("too_late", tid));
	rmdir(TRACE);
}

RPCCANCEL_TEST_MAIN
