// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Each allocation and each access to user memory, on each way into the module,
 * is made to fail once, one after the other, by the kernel's fault injection
 * (/proc/thread-self/fail-nth). The call then says so by an errno of the ABI
 * document or succeeds nevertheless, leaves nothing behind, and works when it is
 * made again.
 *
 * Needs a kernel with fault injection, which Debian's have not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "faults.h"
#include "rpccancel_util.h"

#define LIST		"/sys/kernel/debug/rpccancel/threads"
/* No call has so many points at which it can fail. */
#define MANY		2000
#define PAGES		4

/* What a call may need; made once, before the first fault. */
struct world {
	int dev;		/* the device that the calls go through */
	int fresh;		/* another one, made for each call */
	struct rpccancel_slot *slot;	/* the calling thread's, if attached */
	struct rc_thread sleeper;	/* attached, in a scope, in read() */
	struct rc_thread idle;		/* a thread with no record */
	int pipe[2];		/* what both of them read */
	int handle;		/* of the sleeper */
	int many[PAGES];	/* more of them */
	int pair[2];		/* what descriptors are passed through */
	int epoll;
	size_t page;
	void *map;
};

/*
 * One way into the module. @prepare makes what the call needs and @undo takes
 * away what it has made; neither suffers a fault. @call is made of one system
 * call, or of some of which only one comes to us.
 */
struct op {
	int (*prepare)(struct world *w);
	int (*call)(struct world *w);
	void (*undo)(struct world *w);
	bool attached;		/* the calling thread is to be attached */
	bool consumes;		/* what it needs is lost when it fails */
	int also;		/* an errno that is right besides the two */
};

static int or_errno(int ret)
{
	return ret < 0 ? -errno : ret;
}

static int do_ioctl(int fd, unsigned long cmd, void *arg)
{
	return or_errno(ioctl(fd, cmd, arg));
}

/*
 * The device.
 */

static int fresh_device(struct world *w)
{
	w->fresh = rc_open_device();
	return w->fresh < 0 ? w->fresh : 0;
}

static void close_fresh(struct world *w)
{
	close(w->fresh);
	w->fresh = -1;
}

static int open_device(struct world *w)
{
	w->fresh = rc_open_device();
	return w->fresh;
}

static int query(struct world *w)
{
	struct rpccancel_query q;

	return rc_query(w->dev, &q);
}

/* A caller who knows more fields than the kernel. */
static int query_longer(struct world *w)
{
	struct {
		struct rpccancel_query query;
		char more[64];
	} q;
	unsigned int cmd = _IOR(RPCCANCEL_IOC_MAGIC, 0, q);

	return do_ioctl(w->dev, cmd, &q);
}

static int attach(struct world *w)
{
	struct rpccancel_attach arg = {};

	return do_ioctl(w->fresh < 0 ? w->dev : w->fresh, RPCCANCEL_IOC_ATTACH,
			&arg);
}

static void detach_again(struct world *w)
{
	ioctl(w->fresh < 0 ? w->dev : w->fresh, RPCCANCEL_IOC_DETACH);
	if (w->fresh >= 0)
		close_fresh(w);
}

/* The record is there before the attachment. */
static int fresh_device_and_own_handle(struct world *w)
{
	int ret = fresh_device(w);

	w->many[0] = ret ? -1 : rc_open(w->dev, 0, RPCCANCEL_ACCESS_ALL);
	return w->many[0] < 0 ? w->many[0] : 0;
}

static void detach_and_close(struct world *w)
{
	detach_again(w);
	close(w->many[0]);
}

static int detach(struct world *w)
{
	return do_ioctl(w->fresh, RPCCANCEL_IOC_DETACH, NULL);
}

static int fresh_device_attached(struct world *w)
{
	int ret = fresh_device(w);

	return ret ? ret : attach(w);
}

static int settle(struct world *w)
{
	return do_ioctl(w->dev, RPCCANCEL_IOC_SETTLE, NULL);
}

static int begin(struct world *w)
{
	rc_begin_scope(w->dev, w->slot);
	return 0;
}

static void end(struct world *w)
{
	rc_end(w->dev, w->slot);
}

static int set_deadline(struct world *w)
{
	return rc_deadline(w->dev, rc_now() + 3600000 * RC_NSEC_PER_MSEC);
}

static int take_deadline_back(struct world *w)
{
	return rc_deadline(w->dev, 0);
}

static int open_self(struct world *w)
{
	w->many[0] = rc_open(w->dev, 0, RPCCANCEL_ACCESS_ALL);
	return w->many[0];
}

static int open_attached(struct world *w)
{
	w->many[0] = rc_open(w->dev, w->sleeper.tid, RPCCANCEL_ACCESS_ALL);
	return w->many[0];
}

static int open_idle(struct world *w)
{
	w->many[0] = rc_open(w->dev, w->idle.tid, RPCCANCEL_ACCESS_ALL);
	return w->many[0];
}

static int open_parent(struct world *w)
{
	w->many[0] = rc_open(w->dev, getppid(), RPCCANCEL_ACCESS_ALL);
	return w->many[0];
}

static void close_first(struct world *w)
{
	close(w->many[0]);
}

static int open_many(struct world *w)
{
	for (int i = 0; i < PAGES; i++) {
		w->many[i] = rc_dup(w->handle, RPCCANCEL_ACCESS_ALL);
		if (w->many[i] < 0)
			return w->many[i];
	}
	return 0;
}

static void close_many(struct world *w)
{
	for (int i = 0; i < PAGES; i++)
		close(w->many[i]);
}

static int bulk(struct world *w)
{
	struct rpccancel_target targets[PAGES] = {};
	struct rpccancel_bulk arg = {
		.targets = (uintptr_t)targets, .count = PAGES,
	};

	for (int i = 0; i < PAGES; i++) {
		targets[i].handle = w->many[i];
		targets[i].gen = w->sleeper.slot->gen + 2;	/* too late */
	}
	return do_ioctl(w->dev, RPCCANCEL_IOC_BULK, &arg);
}

static int list(struct world *w)
{
	struct rpccancel_info info[8];
	struct rpccancel_list arg = {
		.buf = (uintptr_t)info, .count = 8,
		.entry_size = sizeof(info[0]),
	};

	return do_ioctl(w->dev, RPCCANCEL_IOC_LIST, &arg);
}

static int map_pages(struct world *w, size_t pages)
{
	w->map = mmap(NULL, pages * w->page, PROT_READ | PROT_WRITE, MAP_SHARED,
		      w->fresh, 0);
	return w->map == MAP_FAILED ? -errno : 0;
}

static int map_one(struct world *w)
{
	return map_pages(w, 1);
}

static int map_many(struct world *w)
{
	return map_pages(w, PAGES);
}

static void unmap_one(struct world *w)
{
	munmap(w->map, w->page);
	close_fresh(w);
}

static void unmap_many(struct world *w)
{
	munmap(w->map, PAGES * w->page);
	close_fresh(w);
}

static int fresh_device_mapped(struct world *w)
{
	int ret = fresh_device(w);

	return ret ? ret : map_many(w);
}

/* A hole in the middle takes a second area of memory. */
static int unmap_middle(struct world *w)
{
	return or_errno(munmap((char *)w->map + w->page, w->page));
}

static int show_fdinfo(int fd)
{
	char path[64], buf[1024];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return rc_read_file(path, buf, sizeof(buf));
}

static int show_device(struct world *w)
{
	return show_fdinfo(w->dev);
}

static int show_threads(struct world *w)
{
	static char buf[16384];

	return rc_read_file(LIST, buf, sizeof(buf));
}

/*
 * Handles.
 */

static int duplicate(struct world *w)
{
	w->many[0] = rc_dup(w->handle, RPCCANCEL_ACCESS_ALL);
	return w->many[0];
}

static int cancel_too_late(struct world *w)
{
	return rc_cancel(w->handle, w->sleeper.slot->gen + 2, 0, NULL);
}

static int cancel(struct world *w)
{
	return rc_cancel(w->handle, RPCCANCEL_GEN_ANY, 0, NULL);
}

/* The sleeper begins its next scope as soon as one has been cancelled. */
static int sleeper_sleeps(struct world *w)
{
	return rc_wait_asleep(w->sleeper.tid, SYS_read, RC_PATIENCE) ?
	       0 : -ETIMEDOUT;
}

static int wait_in_vain(struct world *w)
{
	int ret = rc_wait(w->handle, w->sleeper.slot->gen | 1,
			  RPCCANCEL_WAIT_DELIVERED, 1);

	return ret < 0 ? ret : 0;
}

static int info(struct world *w)
{
	struct rpccancel_info info;

	return rc_info(w->handle, &info);
}

static int show_handle(struct world *w)
{
	return show_fdinfo(w->handle);
}

static int poll_handle(struct world *w)
{
	return rc_poll(w->handle, POLLIN, 0);
}

static int select_handle(struct world *w)
{
	struct timeval none = {};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(w->handle, &set);
	return or_errno(select(w->handle + 1, &set, NULL, NULL, &none));
}

static int epoll_add(struct world *w)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return or_errno(epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->handle, &ev));
}

static void epoll_del(struct world *w)
{
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->handle, NULL);
}

/* Something that this handle has not read yet. */
static int event(struct world *w)
{
	int ret = sleeper_sleeps(w);

	if (!ret)
		ret = cancel(w);
	if (!ret && rc_poll(w->handle, POLLIN, RC_PATIENCE) != POLLIN)
		ret = -ETIMEDOUT;
	return ret;
}

static int read_event(struct world *w)
{
	struct rpccancel_event ev;

	return or_errno(read(w->handle, &ev, sizeof(ev)));
}

static int readv_event(struct world *w)
{
	struct rpccancel_event ev;
	struct iovec iov[] = {
		{ &ev, 8 }, { (char *)&ev + 8, sizeof(ev) - 8 },
	};

	return or_errno(readv(w->handle, iov, ARRAY_SIZE(iov)));
}

static int read_nothing(struct world *w)
{
	struct rpccancel_event ev;
	int ret = or_errno(read(w->handle, &ev, sizeof(ev)));

	return ret == -EAGAIN ? 0 : ret;
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_handle(struct world *w)
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

	memcpy(CMSG_DATA(&control.header), &w->handle, sizeof(int));
	return or_errno(sendmsg(w->pair[0], &msg, 0));
}

/* A descriptor that could not be installed is one that was cut off. */
static int receive_handle(struct world *w)
{
	union control control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int ret = or_errno(recvmsg(w->pair[1], &msg, MSG_DONTWAIT));

	w->many[0] = -1;
	if (ret >= 0 && CMSG_FIRSTHDR(&msg))
		memcpy(&w->many[0], CMSG_DATA(&control.header), sizeof(int));
	return ret;
}

/* What was sent, or is left. */
static void drop_passed(struct world *w)
{
	if (receive_handle(w) >= 0)
		close(w->many[0]);
}

static void drop_received(struct world *w)
{
	close(w->many[0]);
	drop_passed(w);
}

/*
 * The threads beside.
 */

static long sleep_in_scopes(struct rc_thread *t)
{
	struct world *w = t->arg;
	char byte;
	long ret;

	do {
		rc_begin_scope(t->dev, t->slot);
		ret = read(w->pipe[0], &byte, 1);
		rc_end(t->dev, t->slot);
	} while (ret < 0);
	return 0;
}

static long sleep_only(struct rc_thread *t)
{
	struct world *w = t->arg;
	char byte;

	return read(w->pipe[0], &byte, 1);
}

/*
 * The test.
 */

FIXTURE(fault)
{
	struct world w;
	struct faults faults;
};

FIXTURE_VARIANT(fault)
{
	struct op op;
};

#define VARIANT(name, ...)						\
FIXTURE_VARIANT_ADD(fault, name) { .op = { __VA_ARGS__ } }

VARIANT(open_device, .call = open_device, .undo = close_fresh);
VARIANT(query, .call = query);
VARIANT(query_longer, .call = query_longer);
VARIANT(attach, .prepare = fresh_device, .call = attach, .undo = detach_again);
VARIANT(attach_beside_others, .call = attach, .undo = detach_again);
VARIANT(attach_opened, .prepare = fresh_device_and_own_handle, .call = attach,
	.undo = detach_and_close);
VARIANT(detach, .prepare = fresh_device_attached, .call = detach,
	.undo = close_fresh);
VARIANT(settle, .call = settle, .attached = true);
VARIANT(deadline, .prepare = begin, .call = set_deadline, .undo = end,
	.attached = true);
VARIANT(deadline_taken_back, .prepare = begin, .call = take_deadline_back,
	.undo = end, .attached = true);
VARIANT(open_self, .call = open_self, .undo = close_first);
VARIANT(open_attached, .call = open_attached, .undo = close_first);
VARIANT(open_idle, .call = open_idle, .undo = close_first);
VARIANT(open_parent, .call = open_parent, .undo = close_first);
VARIANT(bulk, .prepare = open_many, .call = bulk, .undo = close_many);
VARIANT(list, .call = list);
VARIANT(mmap, .prepare = fresh_device, .call = map_one, .undo = unmap_one);
VARIANT(mmap_many, .prepare = fresh_device, .call = map_many,
	.undo = unmap_many);
VARIANT(munmap_middle, .prepare = fresh_device_mapped, .call = unmap_middle,
	.undo = unmap_many);
VARIANT(fdinfo_of_device, .call = show_device, .also = ENOENT);
VARIANT(debugfs, .call = show_threads);
VARIANT(dup, .call = duplicate, .undo = close_first);
VARIANT(cancel_too_late, .call = cancel_too_late);
VARIANT(cancel, .prepare = sleeper_sleeps, .call = cancel);
VARIANT(wait, .call = wait_in_vain);
VARIANT(info, .call = info);
VARIANT(fdinfo_of_handle, .call = show_handle, .also = ENOENT);
VARIANT(poll, .call = poll_handle);
VARIANT(select, .call = select_handle);
VARIANT(epoll, .call = epoll_add, .undo = epoll_del);
VARIANT(read, .prepare = event, .call = read_event);
VARIANT(readv, .prepare = event, .call = readv_event);
VARIANT(read_nothing, .call = read_nothing);
VARIANT(send, .call = send_handle, .undo = drop_passed, .also = ENOBUFS);
VARIANT(receive, .prepare = send_handle, .call = receive_handle,
	.undo = drop_received, .consumes = true);

FIXTURE_SETUP(fault)
{
	struct world *w = &self->w;

	memset(self, 0, sizeof(*self));
	w->fresh = -1;
	w->page = sysconf(_SC_PAGESIZE);
	ASSERT_EQ(0, faults_on(&self->faults));
	w->dev = rc_open_device();
	ASSERT_GE(w->dev, 0);
	ASSERT_EQ(0, variant->op.attached ? rc_attach(w->dev, &w->slot) : 0);
	ASSERT_EQ(0, pipe(w->pipe));
	ASSERT_EQ(0, rc_start(&w->sleeper, w->dev, sleep_in_scopes, w));
	ASSERT_EQ(0, rc_start(&w->idle, -1, sleep_only, w));
	w->handle = w->sleeper.handle;
	ASSERT_EQ(0, rc_set_nonblock(w->handle, true));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, w->pair));
	w->epoll = epoll_create1(0);
	ASSERT_GE(w->epoll, 0);
	ASSERT_EQ(0, sleeper_sleeps(w));
}

FIXTURE_TEARDOWN(fault)
{
	struct world *w = &self->w;

	faults_off(&self->faults);
	EXPECT_EQ(2, write(w->pipe[1], "xx", 2));
	EXPECT_EQ(0, rc_join(&w->sleeper, RC_PATIENCE));
	EXPECT_EQ(0, rc_join(&w->idle, RC_PATIENCE));
}

/*
 * All that there is between the calls: the device, the sleeper's handle and
 * record, and the calling thread's. Each of them is a reference on the module;
 * they go a little later than the call that drops them.
 */
static bool nothing_is_left(const struct op *op)
{
	return rc_wait_number(RC_REFCNT, 3 + op->attached, RC_PATIENCE);
}

static int prepare(const struct op *op, struct world *w)
{
	return op->prepare ? op->prepare(w) : 0;
}

static void undo(const struct op *op, struct world *w)
{
	if (op->undo)
		op->undo(w);
}

TEST_F_TIMEOUT(fault, is_reported_and_leaves_nothing_behind, 240)
{
	const struct op *op = &variant->op;
	struct world *w = &self->w;
	int n, ret, failed = 0;

	/* What it touches is there, what it allocates for good is allocated. */
	for (int i = 0; i < 2; i++) {
		ASSERT_LE(0, prepare(op, w));
		ASSERT_LE(0, op->call(w));
		undo(op, w);
	}

	for (n = 1; n < MANY; n++) {
		int listed;
		bool injected;

		ASSERT_LE(0, prepare(op, w));
		listed = rc_list_count(w->dev);
		faults_arm(&self->faults, n);
		ret = op->call(w);
		injected = faults_disarm(&self->faults);
		if (!injected) {
			EXPECT_LE(0, ret) TH_LOG("no fault, but %s",
						 strerror(-ret));
			undo(op, w);
			break;
		}
		if (ret < 0) {
			failed++;
			EXPECT_TRUE(ret == -ENOMEM || ret == -EFAULT ||
				    ret == -op->also)
				TH_LOG("fault %d: %s", n, strerror(-ret));
			EXPECT_EQ(listed, rc_list_count(w->dev))
				TH_LOG("fault %d: %s", n, strerror(-ret));
			ASSERT_LE(0, op->consumes ? prepare(op, w) : 0);
			ret = op->call(w);
			EXPECT_LE(0, ret)
				TH_LOG("after fault %d: %s", n, strerror(-ret));
		}
		undo(op, w);
		ASSERT_TRUE(nothing_is_left(op))
			TH_LOG("fault %d: %ld references", n,
			       rc_read_number(RC_REFCNT));
	}
	EXPECT_LT(n, MANY);
	TH_LOG("%d faults, %d of them reported", n - 1, failed);
}

static void need_faults(void)
{
	if (access(FAIL_NTH, W_OK))
		rc_skip("this kernel injects no faults: there is no " FAIL_NTH);
}

RPCCANCEL_TEST_MAIN_NEEDING(need_faults())
