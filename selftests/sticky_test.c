// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A scope's cancel is sticky: whatever the code in the scope tries next is
 * refused too, as long as it would sleep, until the scope ends.  The code is
 * somebody else's: here it is the C library's resolver, which asks the next
 * name server when the one before gives an error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

FIXTURE(scope)
{
	int dev;
	int pipe[2];
	struct rc_thread thread;
	int error;
	uint64_t gen;
};

FIXTURE_SETUP(scope)
{
	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, pipe(self->pipe));
}

FIXTURE_TEARDOWN(scope)
{
	close(self->dev);
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(scope) *self,
		  long (*fn)(struct rc_thread *t))
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, fn, self));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, -1, RC_PATIENCE));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY));
}

static long retry_for_ever(struct rc_thread *t)
{
	FIXTURE_DATA(scope) *self = t->arg;
	struct pollfd p = { .fd = self->pipe[0], .events = POLLIN };
	struct timespec ts = { 600, 0 };
	char byte;

	rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	for (int i = 0; i < 100; i++) {
		if (read(self->pipe[0], &byte, 1) != -1 || errno != ECANCELED)
			return 1000 + i;
		if (poll(&p, 1, -1) != -1 || errno != ECANCELED)
			return 2000 + i;
		if (nanosleep(&ts, NULL) != -1 || errno != ECANCELED)
			return 3000 + i;
	}
	if (t->slot->refused != 300)
		return 4000;
	rc_end(t->dev, t->slot);

	/* The next scope is clean. */
	rc_begin_scope(t->dev, t->slot);
	if (t->slot->cancel || poll(&p, 1, 5))
		return 5000;
	rc_end(t->dev, t->slot);
	return t->slot->refused == 300 ? 0 : 6000;
}

TEST_F(scope, refuses_every_retry_until_it_ends)
{
	start(_metadata, self, retry_for_ever);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
}

static long clean_up(struct rc_thread *t)
{
	FIXTURE_DATA(scope) *self = t->arg;
	struct pollfd p = { .fd = self->pipe[1], .events = POLLOUT };
	int fd, sv[2];
	char byte;

	rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	if (read(self->pipe[0], &byte, 1) != -1 || errno != ECANCELED)
		return 1;
	/* What does not sleep goes on working. */
	if (write(self->pipe[1], "x", 1) != 1)
		return 2;
	if (read(self->pipe[0], &byte, 1) != 1)
		return 3;
	if (poll(&p, 1, -1) != 1 || p.revents != POLLOUT)
		return 4;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) ||
	    send(sv[0], "y", 1, 0) != 1 || recv(sv[1], &byte, 1, 0) != 1)
		return 5;
	fd = open("/proc/self/stat", O_RDONLY);
	if (fd < 0 || read(fd, &byte, 1) != 1 || close(fd))
		return 6;
	close(sv[0]);
	if (recv(sv[1], &byte, 1, 0) != 0)
		return 7;
	if (poll(&p, 0, 0))
		return 8;
	if (t->slot->refused != 1)
		return 9;
	rc_end(t->dev, t->slot);
	return 0;
}

TEST_F(scope, lets_calls_work_that_do_not_sleep)
{
	start(_metadata, self, clean_up);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
}

static long nested(struct rc_thread *t)
{
	FIXTURE_DATA(scope) *self = t->arg;
	uint64_t outer;
	char byte;

	/*
	 * A library that nests scopes begins only the outermost one: the inner
	 * one shares its generation and its fate.
	 */
	outer = rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	if (read(self->pipe[0], &byte, 1) != -1 || errno != ECANCELED)
		return 1;
	/* An inner scope with an errno and classes of its own. */
	t->slot->error = ETIMEDOUT;
	if (read(self->pipe[0], &byte, 1) != -1 || errno != ETIMEDOUT)
		return 2;
	t->slot->error = 0;
	if (read(self->pipe[0], &byte, 1) != -1 || errno != ECANCELED)
		return 3;
	if (t->slot->cancel != outer)
		return 4;
	rc_end(t->dev, t->slot);
	return t->slot->cancel ? 5 : 0;
}

TEST_F(scope, nested_in_another_shares_its_cancel)
{
	start(_metadata, self, nested);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
}

static long settle(struct rc_thread *t)
{
	FIXTURE_DATA(scope) *self = t->arg;
	struct rpccancel_slot *slot = t->slot;
	char byte;

	rc_begin_scope(t->dev, slot);
	t->stage = 1;
	if (read(self->pipe[0], &byte, 1) != -1 || errno != ECANCELED)
		return 1;
	/* Harmless as long as the generation is the same. */
	if (ioctl(t->dev, RPCCANCEL_IOC_SETTLE) || slot->cancel != slot->gen)
		return 2;
	if (read(self->pipe[0], &byte, 1) != -1 || errno != ECANCELED)
		return 3;
	slot->gen++;
	if (ioctl(t->dev, RPCCANCEL_IOC_SETTLE) || slot->cancel || slot->reason)
		return 4;
	if (ioctl(t->dev, RPCCANCEL_IOC_SETTLE))
		return 5;
	return 0;
}

TEST_F(scope, settle_ends_the_cancel_of_a_generation_that_is_over)
{
	start(_metadata, self, settle);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
}

TEST_F(scope, settle_is_for_an_attached_thread)
{
	EXPECT_EQ(-1, ioctl(self->dev, RPCCANCEL_IOC_SETTLE));
	EXPECT_EQ(ESRCH, errno);
}

static long read_with_error(struct rc_thread *t)
{
	FIXTURE_DATA(scope) *self = t->arg;
	char byte;
	long ret;

	rc_begin(t->dev, t->slot, 0, 0, self->error);
	t->stage = 1;
	ret = read(self->pipe[0], &byte, 1) < 0 ? -errno : 0;
	rc_end(t->dev, t->slot);
	return ret;
}

TEST_F(scope, chooses_its_errno)
{
	static const struct {
		int chosen, seen;
	} cases[] = {
		{ 0, ECANCELED }, { ECANCELED, ECANCELED }, { EINTR, EINTR },
		{ ETIMEDOUT, ETIMEDOUT }, { ECONNABORTED, ECONNABORTED },
		{ 1, 1 }, { RPCCANCEL_ERROR_MAX, RPCCANCEL_ERROR_MAX },
		{ RPCCANCEL_ERROR_MAX + 1, ECANCELED }, { 4095, ECANCELED },
		{ -1, ECANCELED }, { INT32_MIN, ECANCELED },
		/* The kernel's own codes for "restart" are no errno. */
		{ 512, ECANCELED }, { 513, ECANCELED }, { 514, ECANCELED },
		{ 516, ECANCELED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		self->error = cases[i].chosen;
		start(_metadata, self, read_with_error);
		ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE))
			TH_LOG("errno %d", cases[i].chosen);
		EXPECT_EQ(-cases[i].seen, self->thread.ret)
			TH_LOG("errno %d", cases[i].chosen);
	}
}

/* Three name servers that take questions and never answer. */
static int servers[3];

static int silent_servers(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(53),
	};

	for (int i = 0; i < 3; i++) {
		addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
		servers[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		if (bind(servers[i], (struct sockaddr *)&addr, sizeof(addr)))
			return -errno;
	}
	return 0;
}

static int questions(void)
{
	char buf[512];
	int n = 0;

	for (int i = 0; i < 3; i++)
		while (recv(servers[i], buf, sizeof(buf), 0) > 0)
			n++;
	return n;
}

static int use_file(const char *path, const char *text)
{
	char copy[64];
	int fd, ret;

	snprintf(copy, sizeof(copy), "/tmp/rpccancel_XXXXXX");
	fd = mkstemp(copy);
	if (fd < 0)
		return -errno;
	fchmod(fd, 0644);
	close(fd);
	ret = rc_write_file(copy, text);
	if (!ret && mount(copy, path, NULL, MS_BIND, NULL))
		ret = -errno;
	unlink(copy);
	return ret;
}

static int use_silent_servers(void)
{
	int ret;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	if (system("ip link set lo up"))
		return -ENETDOWN;
	ret = silent_servers();
	if (ret)
		return ret;
	ret = use_file("/etc/resolv.conf",
		       "nameserver 127.0.0.1\nnameserver 127.0.0.2\n"
		       "nameserver 127.0.0.3\noptions timeout:30 attempts:3\n");
	return ret ?: use_file("/etc/nsswitch.conf", "hosts: dns\n");
}

static long resolve(struct rc_thread *t)
{
	struct addrinfo hints = { .ai_family = AF_INET }, *ai;
	int ret;

	rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	ret = getaddrinfo("rpccancel.example.org", "80", &hints, &ai);
	t->stage = 2;
	rc_end(t->dev, t->slot);
	return ret;
}

TEST_F_TIMEOUT(scope, gets_the_resolver_out_once_not_once_for_each_server, 90)
{
	uint64_t start_time;
	int ret = use_silent_servers(), took;

	if (ret == -EPERM || ret == -ENOENT)
		SKIP(return, "needs root, /etc/resolv.conf and nsswitch.conf: %s",
		     strerror(-ret));
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, resolve, self));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, RC_SYS_POLL, RC_PATIENCE))
		TH_LOG("it has ended: %s", gai_strerror(self->thread.ret));
	/* The first server has been asked; nobody has answered. */
	EXPECT_GE(questions(), 1);
	start_time = rc_now();
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY));
	ASSERT_EQ(0, rc_join(&self->thread, 25000));
	took = (rc_now() - start_time) / RC_NSEC_PER_MSEC;
	EXPECT_NE(0, self->thread.ret);
	EXPECT_LT(took, 10000);
	TH_LOG("out after %d ms, %llu calls refused, it says: %s", took,
	       (unsigned long long)self->thread.slot->refused,
	       gai_strerror(self->thread.ret));
}

RPCCANCEL_TEST_MAIN
