// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What the interface does not allow: too many threads, structures of another
 * size, unknown flags and commands, 32-bit callers, and mappings other than
 * the one that is meant. And that its numbers have not changed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

#define MAX_THREADS	RC_PARAMETERS "max_threads_per_user"

/* The interface is frozen: programs that were built with it must go on working. */
_Static_assert(RPCCANCEL_IOC_QUERY == 0x8018bc00, "changed");
_Static_assert(RPCCANCEL_IOC_ATTACH == 0xc008bc01, "changed");
_Static_assert(RPCCANCEL_IOC_DETACH == 0x0000bc02, "changed");
_Static_assert(RPCCANCEL_IOC_SETTLE == 0x0000bc03, "changed");
_Static_assert(RPCCANCEL_IOC_DEADLINE == 0x4010bc04, "changed");
_Static_assert(RPCCANCEL_IOC_OPEN == 0x4010bc05, "changed");
_Static_assert(RPCCANCEL_IOC_BULK == 0xc018bc06, "changed");
_Static_assert(RPCCANCEL_IOC_LIST == 0xc018bc07, "changed");
_Static_assert(RPCCANCEL_IOC_CANCEL == 0xc020bc40, "changed");
_Static_assert(RPCCANCEL_IOC_WAIT == 0xc018bc41, "changed");
_Static_assert(RPCCANCEL_IOC_INFO == 0x8060bc42, "changed");
_Static_assert(RPCCANCEL_IOC_DUP == 0x0000bc43, "changed");

#define FROZEN(type, member, offset)					\
	_Static_assert(offsetof(struct type, member) == (offset), "moved")

_Static_assert(sizeof(struct rpccancel_slot) == 64, "grown");
FROZEN(rpccancel_slot, gen, 0);
FROZEN(rpccancel_slot, cancel, 8);
FROZEN(rpccancel_slot, flags, 16);
FROZEN(rpccancel_slot, classes, 20);
FROZEN(rpccancel_slot, error, 24);
FROZEN(rpccancel_slot, reason, 28);
FROZEN(rpccancel_slot, since, 32);
FROZEN(rpccancel_slot, tag, 40);
FROZEN(rpccancel_slot, grace, 48);
FROZEN(rpccancel_slot, refused, 56);
_Static_assert(sizeof(struct rpccancel_target) == 24, "grown");
FROZEN(rpccancel_target, gen, 8);
FROZEN(rpccancel_target, pad, 20);
_Static_assert(sizeof(struct rpccancel_event) == 32, "grown");
FROZEN(rpccancel_event, reason, 24);
FROZEN(rpccancel_query, user_limit, 20);
FROZEN(rpccancel_attach, slot, 4);
FROZEN(rpccancel_open, flags, 12);
FROZEN(rpccancel_cancel, flags, 16);
FROZEN(rpccancel_cancel, syscall, 28);
FROZEN(rpccancel_wait, result, 20);
FROZEN(rpccancel_bulk, count, 16);
FROZEN(rpccancel_list, entry_size, 20);
FROZEN(rpccancel_deadline, flags, 8);
FROZEN(rpccancel_info, comm, 8);
FROZEN(rpccancel_info, gen, 24);
FROZEN(rpccancel_info, pending, 56);
FROZEN(rpccancel_info, mode, 64);
FROZEN(rpccancel_info, error, 92);
_Static_assert(RPCCANCEL_ABI_VERSION == 1, "a new version needs new tests");
_Static_assert(RPCCANCEL_CLASS_ALL == 0x1fff &&
	       RPCCANCEL_CLASS_DEFAULT == 0x0fff, "changed");
_Static_assert(RPCCANCEL_ACCESS_ALL == 0x50, "Windows' own numbers");

/* A thread that only exists, until it is let go. */
struct parked {
	struct rc_thread thread;
	int pipe[2];
};

static long park(struct rc_thread *t)
{
	struct parked *p = t->arg;
	char byte;

	return read(p->pipe[0], &byte, 1);
}

static int parked_start(struct parked *p, int dev)
{
	if (pipe(p->pipe))
		return -errno;
	return rc_start(&p->thread, dev, park, p);
}

static int parked_end(struct parked *p)
{
	if (write(p->pipe[1], "", 1) != 1)
		return -errno;
	close(p->pipe[1]);
	return rc_join(&p->thread, RC_PATIENCE);
}

FIXTURE(limits)
{
	int dev;
	int handle;
	size_t page;
	struct parked parked;
};

FIXTURE_SETUP(limits)
{
	memset(self, 0, sizeof(*self));
	self->page = sysconf(_SC_PAGESIZE);
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, parked_start(&self->parked, self->dev));
	self->handle = self->parked.thread.handle;
}

FIXTURE_TEARDOWN(limits)
{
	EXPECT_EQ(0, parked_end(&self->parked));
	close(self->dev);
}

static int do_ioctl(int fd, unsigned long cmd, const void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

/*
 * The limit of a user.
 */

FIXTURE(quota)
{
	char old[32];
};

FIXTURE_SETUP(quota)
{
	if (getuid())
		return;
	ASSERT_GT(rc_read_file(MAX_THREADS, self->old, sizeof(self->old)), 0);
	ASSERT_EQ(0, rc_write_file(MAX_THREADS, "8"));
}

FIXTURE_TEARDOWN(quota)
{
	if (getuid())
		return;
	EXPECT_EQ(0, rc_write_file(MAX_THREADS, self->old));
}

/* Not in the setup: the test would run nevertheless. */
#define SKIP_WITHOUT_ROOT()						\
	do {								\
		if (getuid())						\
			SKIP(return, "only root may set the limit");	\
	} while (0)

/* Runs as alice, in a child; what a check returns is the line it failed in. */
#define NEED(condition)							\
	do {								\
		if (!(condition))					\
			return __LINE__;				\
	} while (0)

static int as_alice(int (*fn)(void))
{
	int report[2], line = -1;
	pid_t pid;

	if (pipe(report))
		return -errno;
	pid = rc_fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
			_exit(1);
		line = fn();
		_exit(write(report[1], &line, sizeof(line)) != sizeof(line));
	}
	close(report[1]);
	if (read(report[0], &line, sizeof(line)) != sizeof(line))
		line = -EPIPE;
	close(report[0]);
	rc_reap(pid, RC_PATIENCE);
	return line;
}

static int attach_to_the_limit(void)
{
	struct parked parked[8], more;
	struct rpccancel_query q;
	struct rpccancel_slot *slot;
	int dev = rc_open_device(), other = rc_open_device();
	int handle;

	NEED(dev >= 0 && other >= 0);
	NEED(!rc_query(dev, &q) && q.user_limit == 8);
	for (int i = 0; i < 8; i++)
		NEED(!parked_start(&parked[i], i % 2 ? other : dev));
	NEED(parked_start(&more, dev) == -EDQUOT);
	NEED(rc_attach(dev, &slot) == -EDQUOT);
	/* It is one limit for all of a user's devices ... */
	NEED(rc_attach(other, &slot) == -EDQUOT);
	/* ... and it counts threads that are only opened, but none twice. */
	NEED(rc_open(dev, 0, RPCCANCEL_ACCESS_ALL) == -EDQUOT);
	handle = rc_open(dev, parked[3].thread.tid, RPCCANCEL_ACCESS_ALL);
	NEED(handle >= 0);
	close(handle);
	/* Who is over the limit can still use what is there. */
	NEED(rc_cancel_result(parked[0].thread.handle, RPCCANCEL_GEN_ANY) ==
	     RPCCANCEL_RESULT_NEXT);
	for (int i = 0; i < 8; i++)
		NEED(!parked_end(&parked[i]));
	return 0;
}

TEST_F(quota, user_without_the_capability_gets_edquot)
{
	int ret = as_alice(attach_to_the_limit);

	SKIP_WITHOUT_ROOT();
	EXPECT_EQ(0, ret) TH_LOG("line %d", ret);
}

/* Its capabilities are those of its namespace only. */
static int attach_to_the_limit_as_root_of_a_namespace(void)
{
	/* What setresuid() has taken away. */
	prctl(PR_SET_DUMPABLE, 1);
	NEED(!unshare(CLONE_NEWUSER));
	NEED(!rc_write_file("/proc/self/uid_map", "0 1000 1"));
	NEED(!geteuid());
	return attach_to_the_limit();
}

TEST_F(quota, root_of_a_user_namespace_has_the_limit_of_its_user)
{
	int ret = as_alice(attach_to_the_limit_as_root_of_a_namespace);

	SKIP_WITHOUT_ROOT();
	EXPECT_EQ(0, ret) TH_LOG("line %d", ret);
}

static int roots_device;

static int open_through_roots_device(void)
{
	struct parked parked[8], other;
	int dev = rc_open_device(), handle;

	NEED(dev >= 0);
	NEED(!parked_start(&other, -1));
	for (int i = 0; i < 8; i++)
		NEED(!parked_start(&parked[i], dev));
	NEED(rc_open(dev, other.thread.tid, RPCCANCEL_ACCESS_ALL) == -EDQUOT);
	/* Its opener pays, and is far from the limit. */
	handle = rc_open(roots_device, other.thread.tid, RPCCANCEL_ACCESS_ALL);
	NEED(handle >= 0);
	close(handle);
	for (int i = 0; i < 8; i++)
		NEED(!parked_end(&parked[i]));
	NEED(!parked_end(&other));
	return 0;
}

TEST_F(quota, what_is_opened_through_a_device_counts_for_who_opened_that)
{
	int ret;

	SKIP_WITHOUT_ROOT();
	roots_device = rc_open_device();
	ASSERT_GE(roots_device, 0);
	ret = as_alice(open_through_roots_device);
	EXPECT_EQ(0, ret) TH_LOG("line %d", ret);
	close(roots_device);
}

static long detach(struct rc_thread *t)
{
	while (t->handle < 0)	/* it counts as well, until it is closed */
		rc_sleep(1);
	return ioctl(t->dev, RPCCANCEL_IOC_DETACH) ? -errno : 0;
}

static int detach_makes_room(void)
{
	int dev = rc_open_device();
	struct rc_thread thread;

	NEED(dev >= 0);
	for (int i = 0; i < 40; i++) {
		int ret = rc_start(&thread, dev, detach, NULL);

		if (ret)
			fprintf(stderr, "# thread %d: %s\n", i, strerror(-ret));
		NEED(!ret);
		NEED(!rc_join(&thread, RC_PATIENCE) && !thread.ret);
	}
	return 0;
}

/* The 40 threads come one after another: there are never nine. */
TEST_F(quota, threads_that_have_detached_do_not_count)
{
	int ret = as_alice(detach_makes_room);

	SKIP_WITHOUT_ROOT();
	EXPECT_EQ(0, ret) TH_LOG("line %d", ret);
}

static void *exit_raw(void *arg)
{
	struct rpccancel_slot *slot;
	int *ret = arg;

	*ret = rc_attach(ret[1], &slot);
	syscall(SYS_exit, 0);
	return NULL;
}

static int dead_threads_make_room(void)
{
	int dev = rc_open_device();

	NEED(dev >= 0);
	for (int i = 0; i < 40; i++) {
		int arg[2] = { -1, dev };
		pthread_t thread;

		NEED(!pthread_create(&thread, NULL, exit_raw, arg));
		NEED(!pthread_join(thread, NULL));
		if (arg[0])
			fprintf(stderr, "# thread %d: %s\n", i,
				strerror(-arg[0]));
		NEED(!arg[0]);
	}
	return 0;
}

TEST_F(quota, threads_that_died_without_detaching_do_not_count)
{
	int ret = as_alice(dead_threads_make_room);

	SKIP_WITHOUT_ROOT();
	EXPECT_EQ(0, ret) TH_LOG("line %d", ret);
}

static int dead_threads_make_room_for_opening(void)
{
	int dev = rc_open_device(), handle;

	NEED(dev >= 0);
	for (int i = 0; i < 8; i++) {
		int arg[2] = { -1, dev };
		pthread_t thread;

		NEED(!pthread_create(&thread, NULL, exit_raw, arg));
		NEED(!pthread_join(thread, NULL));
		NEED(!arg[0]);
	}
	handle = rc_open(dev, 0, RPCCANCEL_ACCESS_ALL);
	NEED(handle >= 0);
	return 0;
}

TEST_F(quota, threads_that_died_without_detaching_do_not_keep_others_from_opening)
{
	int ret = as_alice(dead_threads_make_room_for_opening);

	SKIP_WITHOUT_ROOT();
	EXPECT_EQ(0, ret) TH_LOG("line %d", ret);
}

TEST_F(quota, root_may_pass_the_limit)
{
	struct parked parked[12];
	int dev = rc_open_device();

	SKIP_WITHOUT_ROOT();
	ASSERT_GE(dev, 0);
	for (int i = 0; i < 12; i++)
		ASSERT_EQ(0, parked_start(&parked[i], dev));
	for (int i = 0; i < 12; i++)
		EXPECT_EQ(0, parked_end(&parked[i]));
	close(dev);
}

TEST_F(limits, query_tells_what_there_is)
{
	bool test = !access(RC_PARAMETERS "break", F_OK);
	struct rpccancel_query q;

	memset(&q, 0xff, sizeof(q));
	ASSERT_EQ(0, rc_query(self->dev, &q));
	EXPECT_EQ(1u, q.abi);
	EXPECT_EQ(0x1fffu, q.classes);
	EXPECT_EQ(64u, q.slot_size);
	EXPECT_EQ(65536u, q.max_slots);
	EXPECT_EQ(rc_read_number(MAX_THREADS), (long)q.user_limit);
	EXPECT_EQ((RPCCANCEL_FEATURE_DEADLINE | RPCCANCEL_FEATURE_BULK |
		   RPCCANCEL_FEATURE_LIST | (test ? RPCCANCEL_FEATURE_TEST : 0)),
		  (int)(q.features & ~RPCCANCEL_FEATURE_NOTIFIER));
}

TEST_F(limits, a_thread_attaches_once)
{
	struct rpccancel_deadline d = {};
	struct rpccancel_slot *slot;
	int other = rc_open_device();

	ASSERT_GE(other, 0);
	EXPECT_EQ(-ESRCH, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL));
	EXPECT_EQ(-ESRCH, do_ioctl(self->dev, RPCCANCEL_IOC_SETTLE, NULL));
	EXPECT_EQ(-ESRCH, do_ioctl(self->dev, RPCCANCEL_IOC_DEADLINE, &d));
	ASSERT_EQ(0, rc_attach(self->dev, &slot));
	EXPECT_EQ(-EALREADY, rc_attach(self->dev, &slot));
	EXPECT_EQ(-EALREADY, rc_attach(other, &slot));
	/* It is attached there, and nowhere else. */
	EXPECT_EQ(-ESRCH, do_ioctl(other, RPCCANCEL_IOC_DETACH, NULL));
	EXPECT_EQ(-ESRCH, do_ioctl(other, RPCCANCEL_IOC_SETTLE, NULL));
	EXPECT_EQ(-ESRCH, do_ioctl(other, RPCCANCEL_IOC_DEADLINE, &d));
	EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_DEADLINE, &d));
	EXPECT_EQ(0, do_ioctl(self->dev, RPCCANCEL_IOC_SETTLE, NULL));
	EXPECT_EQ(0, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL));
	EXPECT_EQ(-ESRCH, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL));
	close(other);
}

/*
 * Sizes.
 */

/* A structure that is all right, and then some room. */
union any {
	struct rpccancel_query query;
	struct rpccancel_attach attach;
	struct rpccancel_deadline deadline;
	struct rpccancel_open open;
	struct rpccancel_bulk bulk;
	struct rpccancel_list list;
	struct rpccancel_cancel cancel;
	struct rpccancel_wait wait;
	struct rpccancel_info info;
	unsigned char bytes[1 << _IOC_SIZEBITS];
};

static struct rpccancel_target targets[4];
static struct rpccancel_info infos[4];

FIXTURE_VARIANT(size)
{
	unsigned int cmd;
	union any good;
};

#define VARIANT(name, command, ...)					\
FIXTURE_VARIANT_ADD(size, name)						\
{									\
	.cmd = RPCCANCEL_IOC_ ## command,				\
	.good = { __VA_ARGS__ },					\
}

FIXTURE(size)
{
	int dev, fd;
	size_t size;
	struct parked parked;
	struct rpccancel_slot *slot;
	union any arg;
};

VARIANT(query, QUERY, .bytes = {});
VARIANT(attach, ATTACH, .bytes = {});
VARIANT(deadline, DEADLINE, .bytes = {});
VARIANT(open, OPEN, .open = { .access = RPCCANCEL_ACCESS_ALL });
VARIANT(bulk, BULK, .bulk = { .targets = 1, .count = 4 });
VARIANT(list, LIST, .list = { .count = 4, .entry_size = sizeof(infos[0]) });
VARIANT(cancel, CANCEL, .bytes = {});
VARIANT(wait, WAIT, .wait = { .gen = 1 });
VARIANT(info, INFO, .bytes = {});

FIXTURE_SETUP(size)
{
	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, parked_start(&self->parked, self->dev));
	self->fd = _IOC_NR(variant->cmd) < 0x40 ? self->dev :
						  self->parked.thread.handle;
	self->size = _IOC_SIZE(variant->cmd);
	if (variant->cmd == RPCCANCEL_IOC_DEADLINE) {
		ASSERT_EQ(0, rc_attach(self->dev, &self->slot));
		rc_begin_scope(self->dev, self->slot);
	}
}

FIXTURE_TEARDOWN(size)
{
	EXPECT_EQ(0, parked_end(&self->parked));
	close(self->dev);
}

static bool is_output_only(unsigned int cmd)
{
	return _IOC_DIR(cmd) == _IOC_READ;
}

static void fill(union any *arg, const FIXTURE_VARIANT(size) *variant)
{
	*arg = variant->good;
	if (variant->cmd == RPCCANCEL_IOC_BULK)
		arg->bulk.targets = (uintptr_t)targets;
	if (variant->cmd == RPCCANCEL_IOC_LIST)
		arg->list.buf = (uintptr_t)infos;
}

static unsigned int sized(unsigned int cmd, size_t size)
{
	return (cmd & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT)) |
	       (unsigned int)size << _IOC_SIZESHIFT;
}

/* The command with a size that is not its own; success leaves nothing behind. */
static int call(FIXTURE_DATA(size) *self, unsigned int cmd, size_t size,
		const void *arg)
{
	int ret = do_ioctl(self->fd, sized(cmd, size), arg);

	if (ret < 0)
		return ret;
	if (cmd == RPCCANCEL_IOC_OPEN) {
		close(ret);
		return 0;
	}
	if (cmd == RPCCANCEL_IOC_ATTACH &&
	    do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL))
		return -ENOTRECOVERABLE;
	return ret;
}

TEST_F(size, its_own_is_taken)
{
	fill(&self->arg, variant);
	EXPECT_EQ(0, call(self, variant->cmd, self->size, &self->arg));
}

TEST_F(size, shorter_is_einval)
{
	for (size_t size = 0; size < self->size; size++) {
		fill(&self->arg, variant);
		EXPECT_EQ(-EINVAL, call(self, variant->cmd, size, &self->arg))
			TH_LOG("size %zu", size);
	}
	if (variant->cmd == RPCCANCEL_IOC_ATTACH) {
		EXPECT_EQ(-ESRCH, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH,
					   NULL));
	}
}

static const size_t longer[] = { 1, 4, 8, 64, 4096, 0 /* the longest */ };

static size_t longer_size(FIXTURE_DATA(size) *self, int i)
{
	return longer[i] ? self->size + longer[i] : _IOC_SIZEMASK;
}

TEST_F(size, longer_with_nothing_new_in_it_is_taken)
{
	for (size_t i = 0; i < ARRAY_SIZE(longer); i++) {
		size_t size = longer_size(self, i);

		fill(&self->arg, variant);
		EXPECT_EQ(0, call(self, variant->cmd, size, &self->arg))
			TH_LOG("size %zu", size);
	}
}

TEST_F(size, longer_with_something_new_in_it_is_e2big)
{
	if (is_output_only(variant->cmd))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(longer); i++) {
		size_t size = longer_size(self, i);

		fill(&self->arg, variant);
		self->arg.bytes[self->size] = 1;
		EXPECT_EQ(-E2BIG, call(self, variant->cmd, size, &self->arg))
			TH_LOG("first byte, size %zu", size);
		fill(&self->arg, variant);
		self->arg.bytes[size - 1] = 0x80;
		EXPECT_EQ(-E2BIG, call(self, variant->cmd, size, &self->arg))
			TH_LOG("last byte, size %zu", size);
	}
	if (variant->cmd == RPCCANCEL_IOC_ATTACH) {
		EXPECT_EQ(-ESRCH, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH,
					   NULL));
	}
}

TEST_F(size, what_an_older_kernel_does_not_know_reads_as_zero)
{
	if (!is_output_only(variant->cmd))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(longer); i++) {
		size_t size = longer_size(self, i), wrong = 0, at;

		memset(&self->arg, 0xa5, sizeof(self->arg));
		ASSERT_EQ(0, call(self, variant->cmd, size, &self->arg));
		for (at = self->size; at < size; at++)
			wrong += self->arg.bytes[at] != 0;
		EXPECT_EQ(0u, wrong);
		for (; at < sizeof(self->arg); at++)
			wrong += self->arg.bytes[at] != 0xa5;
		EXPECT_EQ(0u, wrong)
			TH_LOG("wrote past the end of size %zu", size);
	}
}

/* The structure ends where the memory does, and one byte further. */
TEST_F(size, what_is_not_there_is_efault)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *end = map + page;

	ASSERT_NE(MAP_FAILED, (void *)map);
	ASSERT_EQ(0, munmap(end, page));
	fill(&self->arg, variant);
	memcpy(end - self->size, &self->arg, self->size);
	EXPECT_EQ(0, call(self, variant->cmd, self->size, end - self->size));
	memcpy(end - self->size, &self->arg, self->size);
	EXPECT_EQ(-EFAULT, call(self, variant->cmd, self->size + 1,
				end - self->size));
	fill(&self->arg, variant);
	memcpy(end - self->size + 1, &self->arg, self->size - 1);
	EXPECT_EQ(-EFAULT, call(self, variant->cmd, self->size,
				end - self->size + 1));
	EXPECT_EQ(-EFAULT, call(self, variant->cmd, self->size, NULL));
	munmap(map, page);
	if (variant->cmd == RPCCANCEL_IOC_ATTACH) {
		EXPECT_EQ(-ESRCH, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH,
					   NULL));
	}
}

TEST_F(limits, attaching_without_being_told_where_attaches_nothing)
{
	struct rpccancel_attach *attach;
	struct rpccancel_slot *slot;

	attach = mmap(NULL, self->page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)attach);
	for (int i = 0; i < 100; i++)
		ASSERT_EQ(-EFAULT, do_ioctl(self->dev, RPCCANCEL_IOC_ATTACH,
					    attach));
	EXPECT_EQ(-ESRCH, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL));
	EXPECT_EQ(0, rc_attach(self->dev, &slot));
	EXPECT_EQ(0, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL));
}

/*
 * Flags and commands.
 */

TEST_F(limits, unknown_flags_and_padding_are_einval)
{
	struct rpccancel_slot *slot;

	for (int bit = 0; bit < 32; bit++) {
		uint32_t flag = 1u << bit;
		struct rpccancel_attach attach = { .flags = flag };
		struct rpccancel_open open = {
			.access = RPCCANCEL_ACCESS_ALL, .flags = flag,
		};
		struct rpccancel_target target = { .handle = self->handle };
		struct rpccancel_bulk bulk = {
			.targets = (uintptr_t)&target, .count = 1,
			.flags = flag,
		};
		struct rpccancel_cancel cancel = { .flags = flag };

		EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_ATTACH,
					    &attach));
		EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_OPEN,
					    &open));
		EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_BULK,
					    &bulk));
		EXPECT_EQ(-EINVAL, do_ioctl(self->handle, RPCCANCEL_IOC_CANCEL,
					    &cancel));
		bulk.flags = 0;
		target.pad = flag;
		EXPECT_EQ(0, do_ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
		EXPECT_EQ(EINVAL, target.error);
		EXPECT_EQ(0u, target.result);
	}
	ASSERT_EQ(0, rc_attach(self->dev, &slot));
	rc_begin_scope(self->dev, slot);
	for (int bit = 0; bit < 32; bit++) {
		struct rpccancel_deadline d = { .flags = 1u << bit };

		EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_DEADLINE,
					    &d));
		d.flags = 0;
		d.pad = 1u << bit;
		EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_DEADLINE,
					    &d));
	}
	/* Nothing of all that did anything. */
	struct rpccancel_info info;

	ASSERT_EQ(0, rc_info(self->handle, &info));
	EXPECT_EQ(0u, info.pending);
}

TEST_F(limits, values_out_of_range_are_einval)
{
	struct rpccancel_target target = { .handle = -1 };
	struct rpccancel_bulk bulk = { .targets = (uintptr_t)&target };
	struct rpccancel_list list = { .buf = (uintptr_t)infos };
	struct rpccancel_open open = { .access = RPCCANCEL_ACCESS_ALL };

	EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	bulk.count = RPCCANCEL_BULK_MAX + 1;
	EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	bulk.count = UINT_MAX;
	EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_BULK, &bulk));
	EXPECT_EQ(0, target.error);

	list.entry_size = sizeof(infos[0]);
	EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_LIST, &list));
	list.count = 1;
	for (unsigned int size = 0; size < RPCCANCEL_INFO_SIZE_VER1; size++) {
		list.entry_size = size;
		EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_LIST,
					    &list));
	}
	open.tid = -1;
	EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_OPEN, &open));
	open.tid = 0;
	open.tgid = -1;
	EXPECT_EQ(-EINVAL, do_ioctl(self->dev, RPCCANCEL_IOC_OPEN, &open));
	open.tgid = getppid();
	EXPECT_EQ(-ESRCH, do_ioctl(self->dev, RPCCANCEL_IOC_OPEN, &open));

	EXPECT_EQ(-EINVAL, rc_cancel_result(self->handle, 2));
	EXPECT_EQ(-EINVAL, rc_wait(self->handle, 0, 0, 1));
	EXPECT_EQ(-EINVAL, rc_wait(self->handle, 2, 0, 1));
	EXPECT_EQ(-EINVAL, rc_wait(self->handle, 1, 2, 1));
	EXPECT_EQ(-EINVAL, rc_dup(self->handle, 0));
	EXPECT_EQ(-EINVAL, rc_dup(self->handle, 1));
	EXPECT_EQ(-EINVAL, do_ioctl(self->handle, RPCCANCEL_IOC_DUP,
				    (void *)(1ul << 32 | 0x10)));
}

/* Elements grow as other structures do: the stride is the caller's. */
TEST_F(limits, list_elements_may_be_longer_than_the_kernel_knows)
{
	enum { LONGER = 160, N = 4 };
	static unsigned char buf[(N + 1) * LONGER];
	struct rpccancel_list list = {
		.buf = (uintptr_t)buf, .count = N, .entry_size = LONGER,
	};
	struct parked more[2];
	size_t wrong = 0;

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, parked_start(&more[i], self->dev));
	memset(buf, 0xa5, sizeof(buf));
	ASSERT_EQ(0, do_ioctl(self->dev, RPCCANCEL_IOC_LIST, &list));
	ASSERT_EQ(3u, list.count);
	for (size_t i = 0; i < list.count; i++) {
		struct rpccancel_info info;

		memcpy(&info, buf + i * LONGER, sizeof(info));
		EXPECT_EQ(getpid(), info.pid);
		EXPECT_EQ(1u, info.attached);
		for (size_t at = sizeof(info); at < LONGER; at++)
			wrong += buf[i * LONGER + at] != 0;
	}
	EXPECT_EQ(0u, wrong);
	for (size_t at = list.count * LONGER; at < sizeof(buf); at++)
		wrong += buf[at] != 0xa5;
	EXPECT_EQ(0u, wrong);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, parked_end(&more[i]));
}

static const unsigned int known[] = {
	RPCCANCEL_IOC_QUERY, RPCCANCEL_IOC_ATTACH, RPCCANCEL_IOC_DETACH,
	RPCCANCEL_IOC_SETTLE, RPCCANCEL_IOC_DEADLINE, RPCCANCEL_IOC_OPEN,
	RPCCANCEL_IOC_BULK, RPCCANCEL_IOC_LIST, RPCCANCEL_IOC_CANCEL,
	RPCCANCEL_IOC_WAIT, RPCCANCEL_IOC_INFO, RPCCANCEL_IOC_DUP,
};

/* Of a device, or of a handle. */
static bool is_known(unsigned int cmd, bool handle)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (sized(cmd, 0) == sized(known[i], 0))
			return handle == (_IOC_NR(cmd) >= 0x40);
	return false;
}

TEST_F(limits, unknown_commands_are_enotty)
{
	static const unsigned int magics[] = {
		RPCCANCEL_IOC_MAGIC, 0xbb, 0xbd, 0x3c, 0xff,
	};
	static const unsigned int sizes[] = { 0, 8, 16, 24, 32, 96, 4096 };
	const unsigned int all = 256 * 4 * ARRAY_SIZE(sizes) *
				 ARRAY_SIZE(magics);
	unsigned long tried = 0, wrong = 0;
	union any arg = {};

	for (unsigned int i = 0; i < all; i++) {
		unsigned int size = sizes[i / 1024 % ARRAY_SIZE(sizes)];
		unsigned int magic = magics[i / 1024 / ARRAY_SIZE(sizes)];
		unsigned int cmd = _IOC(i / 256 % 4, magic, i % 256, size);

		if (!is_known(cmd, false)) {
			tried++;
			wrong += do_ioctl(self->dev, cmd, &arg) != -ENOTTY;
		}
		if (!is_known(cmd, true)) {
			tried++;
			wrong += do_ioctl(self->handle, cmd, &arg) != -ENOTTY;
		}
	}
	TH_LOG("%lu unknown commands, %lu of them not ENOTTY", tried, wrong);
	EXPECT_EQ(0u, wrong);
}

TEST_F(limits, a_device_cannot_be_read_or_written)
{
	char buf[64] = {};

	EXPECT_EQ(-1, read(self->dev, buf, sizeof(buf)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->dev, buf, sizeof(buf)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->handle, buf, sizeof(buf)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->dev, 1, SEEK_SET));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->page, PROT_READ, MAP_SHARED,
				   self->handle, 0));
	EXPECT_EQ(ENODEV, errno);
}

/*
 * 32 bits.
 */

TEST_F(limits, a_32_bit_program_is_refused)
{
	char path[PATH_MAX] = {}, dev[16], handle[16];
	pid_t pid;
	int ret;

	ASSERT_GT(readlink("/proc/self/exe", path, sizeof(path) - 32), 0);
	strcat(dirname(path), "/compat_helper");
	if (access(path, X_OK))
		SKIP(return, "compat_helper is not there: it was not built");
	/* It tries its own descriptor, and two that are inherited. */
	fcntl(self->dev, F_SETFD, 0);
	fcntl(self->handle, F_SETFD, 0);
	snprintf(dev, sizeof(dev), "%d", self->dev);
	snprintf(handle, sizeof(handle), "%d", self->handle);
	pid = rc_fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		execl(path, "compat_helper", dev, handle, NULL);
		_exit(errno == ENOEXEC ? 101 : 102);
	}
	ret = rc_reap(pid, RC_PATIENCE);
	if (ret == 101)
		SKIP(return, "this kernel runs no 32-bit programs");
	EXPECT_EQ(0, ret);
}

#ifdef __x86_64__
/* The 32-bit numbers; those of waitpid and openat are others' in 64 bits. */
#define NR32_READ	3
#define NR32_WAITPID	7	/* poll */
#define NR32_NANOSLEEP	162
#define NR32_POLL	168
#define NR32_OPENAT	295	/* preadv */

static long int80(long nr, unsigned long a, unsigned long b, unsigned long c,
		  unsigned long d)
{
	long ret;

	asm volatile("int $0x80"
		     : "=a" (ret)
		     : "a" (nr), "b" (a), "c" (b), "d" (c), "S" (d)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

FIXTURE(compat)
{
	int dev;
	struct rc_thread thread;
	struct low {
		long nr;
		int pipe[2];		/* what the 32-bit call reads */
		int after[2];		/* what the 64-bit call reads */
		pid_t child;
		uint64_t gen, began, ended;
		uint64_t refused, refused_after;
		long after_ret;
		/* What a 32-bit call can reach. */
		struct { int sec, nsec; } ts;
		struct pollfd pfd;
		char fifo[32];
		char byte;
		int status;
	} *low;
};

FIXTURE_VARIANT(compat)
{
	long nr;
	long ret;	/* what it returns if nobody meddles */
	bool stop;	/* the process is stopped and continued first */
};

FIXTURE_VARIANT_ADD(compat, read) { .nr = NR32_READ, .ret = 1 };

FIXTURE_VARIANT_ADD(compat, waitpid) { .nr = NR32_WAITPID, .ret = -1 };

FIXTURE_VARIANT_ADD(compat, nanosleep) { .nr = NR32_NANOSLEEP, .ret = 0 };

FIXTURE_VARIANT_ADD(compat, poll) { .nr = NR32_POLL, .ret = 1 };

FIXTURE_VARIANT_ADD(compat, openat) { .nr = NR32_OPENAT, .ret = -1 };

FIXTURE_VARIANT_ADD(compat, stopped_nanosleep)
{
	.nr = NR32_NANOSLEEP, .ret = 0, .stop = true,
};

FIXTURE_VARIANT_ADD(compat, stopped_poll)
{
	.nr = NR32_POLL, .ret = 1, .stop = true,
};

#define COMPAT_MS	1500

static long compat_thread(struct rc_thread *t)
{
	struct low *low = t->arg;
	long ret = -ENOSYS;
	char byte;

	low->gen = rc_begin_scope(t->dev, t->slot);
	low->began = rc_now();
	t->stage = 1;
	switch (low->nr) {
	case NR32_READ:
		ret = int80(low->nr, low->pipe[0], (uintptr_t)&low->byte, 1, 0);
		break;
	case NR32_WAITPID:
		ret = int80(low->nr, low->child, (uintptr_t)&low->status, 0, 0);
		break;
	case NR32_NANOSLEEP:
		low->ts.sec = COMPAT_MS / 1000;
		low->ts.nsec = COMPAT_MS % 1000 * 1000000;
		ret = int80(low->nr, (uintptr_t)&low->ts, 0, 0, 0);
		break;
	case NR32_POLL:
		low->pfd.fd = low->pipe[0];
		low->pfd.events = POLLIN;
		ret = int80(low->nr, (uintptr_t)&low->pfd, 1, RC_PATIENCE, 0);
		break;
	case NR32_OPENAT:
		ret = int80(low->nr, AT_FDCWD, (uintptr_t)low->fifo, O_RDONLY,
			    0);
		break;
	}
	low->ended = rc_now();
	low->refused = t->slot->refused;
	/* The cancel has not gone: it waits for a call that it may refuse. */
	low->after_ret = read(low->after[0], &byte, 1);
	if (low->after_ret < 0)
		low->after_ret = -errno;
	low->refused_after = t->slot->refused;
	rc_end(t->dev, t->slot);
	return ret;
}

FIXTURE_SETUP(compat)
{
	pid_t pid;

	memset(self, 0, sizeof(*self));
	pid = rc_fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int80(20 /* getpid */, 0, 0, 0, 0);
		_exit(0);
	}
	if (rc_reap(pid, RC_PATIENCE))
		return;
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	self->low = mmap(NULL, sizeof(*self->low), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->low);
	self->low->nr = variant->nr;
	ASSERT_EQ(0, pipe(self->low->pipe));
	ASSERT_EQ(0, pipe(self->low->after));
	snprintf(self->low->fifo, sizeof(self->low->fifo), "/tmp/rpcc.%d",
		 getpid());
	ASSERT_EQ(0, mkfifo(self->low->fifo, 0600));
	self->low->child = rc_fork();
	ASSERT_GE(self->low->child, 0);
	if (!self->low->child) {
		close(self->low->pipe[1]);
		if (read(self->low->pipe[0], &self->low->byte, 1) >= 0)
			_exit(7);
		_exit(8);
	}
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, compat_thread,
			      self->low));
}

FIXTURE_TEARDOWN(compat)
{
	if (!self->low)
		return;
	kill(self->low->child, SIGKILL);
	waitpid(self->low->child, NULL, 0);
	unlink(self->low->fifo);
	close(self->dev);
}

/* Lets the call end by itself. */
static void let_go(const struct low *low)
{
	int fd;

	switch (low->nr) {
	case NR32_READ:
	case NR32_POLL:
		if (write(low->pipe[1], "x", 1) != 1)
			perror("# write");
		break;
	case NR32_WAITPID:
		kill(low->child, SIGKILL);
		break;
	case NR32_OPENAT:
		fd = open(low->fifo, O_WRONLY);
		if (fd >= 0)
			close(fd);
		break;
	}
}

TEST_F(compat, a_32_bit_call_is_never_refused)
{
	struct low *low = self->low;
	long ret = variant->ret;

	if (!low)
		SKIP(return, "this kernel takes no 32-bit system calls");
	if (low->nr == NR32_WAITPID)
		ret = low->child;
	if (low->nr == NR32_READ || low->nr == NR32_POLL)
		kill(low->child, SIGKILL);	/* it reads the same pipe */
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_state(getpid(), self->thread.tid, "S", RC_PATIENCE));
	ASSERT_EQ(0, variant->stop ? rc_stop_and_continue() : 0);
	for (int i = 0; i < 5; i++) {
		int result = rc_cancel_result(self->thread.handle, low->gen);

		EXPECT_EQ(i ? RPCCANCEL_RESULT_ALREADY :
			  RPCCANCEL_RESULT_PENDING, result);
		rc_sleep(RC_WHILE / 5);
	}
	EXPECT_EQ(1, self->thread.stage + self->thread.done);
	EXPECT_EQ(0u, low->ended);
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_wait(self->thread.handle, low->gen,
			  RPCCANCEL_WAIT_DELIVERED, 1));
	let_go(low);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	/* A descriptor of some number. */
	if (low->nr == NR32_OPENAT && self->thread.ret >= 0)
		ret = self->thread.ret;
	EXPECT_EQ(ret, self->thread.ret);
	if (low->nr == NR32_NANOSLEEP) {
		EXPECT_GE(low->ended - low->began,
			  COMPAT_MS * RC_NSEC_PER_MSEC);
	}
	EXPECT_EQ(0u, low->refused);
	EXPECT_EQ(-ECANCELED, low->after_ret);
	EXPECT_EQ(1u, low->refused_after);
}
#endif /* __x86_64__ */

/*
 * Mappings.
 */

static void *map(FIXTURE_DATA(limits) *self, size_t pages, int prot, int flags,
		 size_t from)
{
	void *p = mmap(NULL, pages * self->page, prot, flags, self->dev,
		       from * self->page);

	return p;
}

TEST_F(limits, only_a_shared_mapping_that_is_not_executable_is_allowed)
{
	const int rw = PROT_READ | PROT_WRITE;
	void *p;

	EXPECT_EQ(MAP_FAILED, map(self, 1, rw, MAP_PRIVATE, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map(self, 1, PROT_READ, MAP_PRIVATE, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map(self, 1, rw | PROT_EXEC, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map(self, 1, PROT_READ | PROT_EXEC, MAP_SHARED,
				  0));
	EXPECT_EQ(EINVAL, errno);

	p = map(self, 1, rw, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, self->page, rw | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, mprotect(p, self->page, PROT_READ));
	EXPECT_EQ(0, mprotect(p, self->page, rw));
	EXPECT_EQ(0, munmap(p, self->page));
}

TEST_F(limits, only_pages_of_slots_can_be_mapped)
{
	struct rpccancel_query q;
	size_t last;
	void *p;

	ASSERT_EQ(0, rc_query(self->dev, &q));
	last = (size_t)q.max_slots * q.slot_size / self->page - 1;
	for (size_t from = last + 1; from; from <<= 1) {
		EXPECT_EQ(MAP_FAILED, map(self, 1, PROT_READ, MAP_SHARED, from));
		if (from > SIZE_MAX / self->page / 2)
			break;
	}
	EXPECT_EQ(MAP_FAILED, map(self, 2, PROT_READ, MAP_SHARED, last));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, map(self, last + 2, PROT_READ, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, errno);

	p = map(self, 1, PROT_READ | PROT_WRITE, MAP_SHARED, last);
	ASSERT_NE(MAP_FAILED, p);
	*(volatile char *)p = 1;
	EXPECT_EQ(0, munmap(p, self->page));
	p = map(self, last + 1, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(1, ((volatile char *)p)[last * self->page]);
	EXPECT_EQ(0, munmap(p, (last + 1) * self->page));
}

TEST_F(limits, a_mapping_cannot_grow)
{
	void *p = map(self, 2, PROT_READ | PROT_WRITE, MAP_SHARED, 0);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(MAP_FAILED, mremap(p, 2 * self->page, 3 * self->page,
				     MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(p, 2 * self->page, 3 * self->page, 0));
	/* Not even by a second one of what is there. */
	EXPECT_EQ(MAP_FAILED, mremap(p, 0, 2 * self->page, MREMAP_MAYMOVE));
	*(volatile char *)p = 1;
	EXPECT_EQ(0, munmap(p, 2 * self->page));
}

/*
 * Whether the slot is there in a child, whether it can be made to be, and
 * what else can be done with the descriptor.
 */
static int in_child(FIXTURE_DATA(limits) *self, struct rpccancel_slot *slot)
{
	void *at = (void *)((uintptr_t)slot & ~(self->page - 1));
	struct rpccancel_attach attach = {};
	struct rpccancel_query q;
	unsigned char vec;
	int handle;

	NEED(mincore(at, self->page, &vec) && errno == ENOMEM);
	NEED(map(self, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 0) == MAP_FAILED);
	NEED(errno == EPERM);
	NEED(map(self, 1, PROT_READ, MAP_SHARED, 0) == MAP_FAILED);
	NEED(errno == EPERM);
	NEED(do_ioctl(self->dev, RPCCANCEL_IOC_ATTACH, &attach) == -EPERM);
	NEED(do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL) == -ESRCH);
	NEED(do_ioctl(self->dev, RPCCANCEL_IOC_SETTLE, NULL) == -ESRCH);
	NEED(!rc_query(self->dev, &q));
	handle = rc_open(self->dev, getppid(), RPCCANCEL_ACCESS_ALL);
	NEED(handle >= 0);
	/* Handles work for whoever holds them. */
	NEED(rc_cancel_result(self->handle, RPCCANCEL_GEN_ANY) ==
	     RPCCANCEL_RESULT_NEXT);
	/* Its own device is its own. */
	self->dev = rc_open_device();
	NEED(self->dev >= 0);
	NEED(!rc_attach(self->dev, &slot));
	NEED(!do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL));
	return 0;
}

TEST_F(limits, a_forked_child_gets_no_slots_of_its_parent)
{
	struct rpccancel_slot *slot;
	int status = -1;
	pid_t pid;

	ASSERT_EQ(0, rc_attach(self->dev, &slot));
	slot->tag = 4711;
	pid = rc_fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int line = in_child(self, slot);

		if (line)
			fprintf(stderr, "# line %d: %s\n", line,
				strerror(errno));
		_exit(!!line);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));

	pid = rc_fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile __u64 *)&slot->gen = 1;
		_exit(0);
	}
	status = rc_reap(pid, RC_PATIENCE);
	EXPECT_EQ(256 + SIGSEGV, status);
	EXPECT_EQ(0u, slot->gen);
	EXPECT_EQ(4711u, slot->tag);
	/* The child's end has not ended the parent's. */
	EXPECT_EQ(0, do_ioctl(self->dev, RPCCANCEL_IOC_SETTLE, NULL));
	EXPECT_EQ(0, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL));
}

/* MADV_DONTFORK's opposite undoes what the driver has asked for, if allowed. */
TEST_F(limits, a_mapping_cannot_be_made_to_be_inherited)
{
	struct rpccancel_slot *slot;
	void *at;
	pid_t pid;

	ASSERT_EQ(0, rc_attach(self->dev, &slot));
	at = (void *)((uintptr_t)slot & ~(self->page - 1));
	madvise(at, self->page, MADV_DOFORK);
	pid = rc_fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct rlimit none = {};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL);
		*(volatile __u64 *)&slot->gen = 1;
		_exit(0);
	}
	EXPECT_EQ(256 + SIGSEGV, rc_reap(pid, RC_PATIENCE));
	EXPECT_EQ(0u, slot->gen);
}

TEST_F(limits, a_slot_is_clean_whoever_had_it)
{
	static const struct rpccancel_slot clean;
	struct rpccancel_slot *slot;

	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, rc_attach(self->dev, &slot));
		EXPECT_EQ(0, memcmp(slot, &clean, sizeof(clean)));
		memset(slot, 0xff, sizeof(*slot));
		ASSERT_EQ(0, do_ioctl(self->dev, RPCCANCEL_IOC_DETACH, NULL));
	}
}

TEST_F(limits, the_last_mapping_keeps_a_closed_device)
{
	struct rpccancel_slot *slot;
	struct rpccancel_info info;
	int dev = rc_open_device(), handle;

	ASSERT_GE(dev, 0);
	ASSERT_EQ(0, rc_attach(dev, &slot));
	handle = rc_open(self->dev, 0, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	close(dev);
	ASSERT_EQ(0, rc_info(handle, &info));
	EXPECT_EQ(1u, info.attached);
	slot->gen = 5;
	ASSERT_EQ(0, rc_info(handle, &info));
	EXPECT_EQ(5u, info.gen);
	munmap((void *)((uintptr_t)slot & ~(self->page - 1)), self->page);
	EXPECT_EQ(-ESRCH, rc_info(handle, &info));
	close(handle);
}

TEST_F(limits, a_mapping_that_was_moved_cannot_be_executed)
{
	void *p = map(self, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 0), *q;

	ASSERT_NE(MAP_FAILED, p);
	/* A move is harmless: it stays what it is. */
	q = mremap(p, self->page, self->page, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (char *)p - 64 * self->page);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(-1, mprotect(q, self->page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, munmap(q, self->page));
}

RPCCANCEL_TEST_MAIN
