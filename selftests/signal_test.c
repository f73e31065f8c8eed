// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A cancel beside everything else that interrupts a thread: signals, tracers,
 * stops, the freezer, fork, vfork, exec, seccomp.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

FIXTURE(thread)
{
	int dev;
	int pipe[2];
	struct rc_thread thread;
	uint64_t gen, refused;
	int (*before)(void);
};

static volatile sig_atomic_t handled;
static sigjmp_buf jump;
static volatile bool jumping;

static void handler(int sig)
{
	(void)sig;
	handled++;
	if (jumping)
		siglongjmp(jump, 1);
}

static void handle_signal(int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	handled = 0;
	sigaction(SIGUSR1, &sa, NULL);
}

FIXTURE_SETUP(thread)
{
	memset(self, 0, sizeof(*self));
	self->dev = rc_open_device();
	ASSERT_GE(self->dev, 0);
	ASSERT_EQ(0, pipe(self->pipe));
}

FIXTURE_TEARDOWN(thread)
{
	close(self->dev);
}

static long one_read(struct rc_thread *t)
{
	FIXTURE_DATA(thread) *self = t->arg;
	char byte;
	long ret;

	if (self->before && self->before())
		return -1;
	self->gen = rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	ret = syscall(SYS_read, self->pipe[0], &byte, 1);
	if (ret < 0)
		ret = -errno;
	self->refused = t->slot->refused;
	rc_end(t->dev, t->slot);
	return ret;
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(thread) *self,
		  long (*fn)(struct rc_thread *t))
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, fn, self));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
}

static void cancel(struct __test_metadata *_metadata,
		   FIXTURE_DATA(thread) *self)
{
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(-ECANCELED, self->thread.ret);
	EXPECT_EQ(1, self->refused);
}

TEST_F(thread, needs_no_signal_and_changes_no_mask)
{
	struct rusage before, after;
	char status[4096], *line;
	char path[64];

	handle_signal(0);
	start(_metadata, self, one_read);
	getrusage(RUSAGE_SELF, &before);
	snprintf(path, sizeof(path), "/proc/self/task/%d/status",
		 self->thread.tid);
	ASSERT_EQ(0, rc_cancel(self->thread.handle, RPCCANCEL_GEN_ANY, 0,
			       NULL));
	if (rc_read_file(path, status, sizeof(status)) > 0) {
		line = strstr(status, "SigPnd:");
		if (line)
			EXPECT_EQ(0, strtoull(line + 7, NULL, 16));
	}
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	getrusage(RUSAGE_SELF, &after);
	EXPECT_EQ(-ECANCELED, self->thread.ret);
	EXPECT_EQ(0, handled);
	EXPECT_EQ(before.ru_nsignals, after.ru_nsignals);
}

static int block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	return pthread_sigmask(SIG_SETMASK, &all, NULL);
}

TEST_F(thread, is_cancelled_with_every_signal_blocked)
{
	self->before = block_all;
	start(_metadata, self, one_read);
	/* A signal is pending all the time. */
	tgkill(getpid(), self->thread.tid, SIGUSR2);
	cancel(_metadata, self);
}

TEST_F(thread, signal_with_SA_RESTART_then_cancel)
{
	handle_signal(SA_RESTART);
	start(_metadata, self, one_read);
	for (int i = 0; i < 20; i++)
		pthread_kill(self->thread.thread, SIGUSR1);
	rc_sleep(5);
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
	cancel(_metadata, self);
	EXPECT_GE(handled, 1);
}

TEST_F(thread, signal_without_SA_RESTART_gives_EINTR_as_ever)
{
	handle_signal(0);
	start(_metadata, self, one_read);
	pthread_kill(self->thread.thread, SIGUSR1);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(-EINTR, self->thread.ret);
	EXPECT_EQ(0, self->refused);
	EXPECT_EQ(1, handled);
}

static long read_on_signal(struct rc_thread *t)
{
	FIXTURE_DATA(thread) *self = t->arg;
	char byte;
	long ret;

	rc_begin_scope(t->dev, t->slot);
	t->stage = 1;
	do {
		ret = syscall(SYS_read, self->pipe[0], &byte, 1);
		if (ret < 0)
			ret = -errno;
	} while (ret == -EINTR);
	rc_end(t->dev, t->slot);
	return ret;
}

/* Both at once: the handler runs, and the cancel is not lost. */
static void signal_and_cancel(struct __test_metadata *_metadata,
			      FIXTURE_DATA(thread) *self, int flags)
{
	int seen;

	handle_signal(flags);
	for (int i = 0; i < 100; i++) {
		seen = handled;
		start(_metadata, self, read_on_signal);
		if (i & 1)
			pthread_kill(self->thread.thread, SIGUSR1);
		rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY);
		if (!(i & 1))
			pthread_kill(self->thread.thread, SIGUSR1);
		ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
		EXPECT_EQ(-ECANCELED, self->thread.ret);
		if (i & 1)
			EXPECT_EQ(seen + 1, handled);
	}
}

TEST_F(thread, signal_and_cancel_at_once_lose_neither)
{
	signal_and_cancel(_metadata, self, 0);
}

TEST_F(thread, signal_with_SA_RESTART_and_cancel_at_once_lose_neither)
{
	signal_and_cancel(_metadata, self, SA_RESTART);
}

static long read_and_jump(struct rc_thread *t)
{
	FIXTURE_DATA(thread) *self = t->arg;
	char byte;

	rc_begin_scope(t->dev, t->slot);
	jumping = true;
	if (!sigsetjmp(jump, 1)) {
		syscall(SYS_read, self->pipe[0], &byte, 1);
		return 1;
	}
	jumping = false;
	return one_read(t);
}

TEST_F(thread, handler_that_jumps_out_leaves_the_scope_usable)
{
	handle_signal(0);
	start(_metadata, self, read_and_jump);
	pthread_kill(self->thread.thread, SIGUSR1);
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
	cancel(_metadata, self);
	EXPECT_EQ(1, handled);
}

/* A scope inside the handler of a signal that interrupted a scope's call. */
static struct rc_thread *in_handler;
static long handler_ret;

static void reading_handler(int sig)
{
	FIXTURE_DATA(thread) *self = in_handler->arg;
	char byte;

	(void)sig;
	in_handler->stage = 2;
	handler_ret = syscall(SYS_read, self->pipe[0], &byte, 1);
	if (handler_ret < 0)
		handler_ret = -errno;
}

TEST_F(thread, cancel_while_in_a_signal_handler)
{
	struct sigaction sa = { .sa_handler = reading_handler,
				.sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &sa, NULL);
	in_handler = &self->thread;
	start(_metadata, self, one_read);
	pthread_kill(self->thread.thread, SIGUSR1);
	ASSERT_TRUE(rc_wait_stage(&self->thread, 2, RC_PATIENCE));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
	rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	/* The handler's read, and the one that was restarted after it. */
	EXPECT_EQ(-ECANCELED, handler_ret);
	EXPECT_EQ(-ECANCELED, self->thread.ret);
	EXPECT_EQ(2, self->refused);
}

TEST_F(thread, stopped_keeps_the_cancel_until_it_goes_on)
{
	struct rc_remote r;
	int handle;

	ASSERT_EQ(0, rc_remote_start(&r, NULL, NULL));
	handle = rc_open(self->dev, r.pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	kill(r.pid, SIGSTOP);
	ASSERT_TRUE(rc_wait_state(r.pid, r.pid, "T", RC_PATIENCE));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, rc_cancel_result(handle, r.gen));
	rc_sleep(RC_WHILE);
	EXPECT_EQ('T', rc_state(r.pid, r.pid));
	kill(r.pid, SIGCONT);
	EXPECT_EQ(RC_REMOTE_CANCELED, rc_remote_finish(&r));
}

/* A tracer that stops at each system call's entry and exit, as strace does. */
TEST_F(thread, tracer_sees_ECANCELED_as_the_result)
{
	struct __ptrace_syscall_info info;
	struct rc_remote r;
	int handle, status, seen = 0, stops = 0;
	long results[4] = {};

	ASSERT_EQ(0, rc_remote_start(&r, NULL, NULL));
	handle = rc_open(self->dev, r.pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	if (ptrace(PTRACE_SEIZE, r.pid, 0, PTRACE_O_TRACESYSGOOD) &&
	    errno == EPERM)
		SKIP(return, "not permitted to trace");
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, r.pid, 0, 0));
	ASSERT_EQ(r.pid, waitpid(r.pid, &status, __WALL));
	ASSERT_EQ(0, ptrace(PTRACE_SYSCALL, r.pid, 0, 0));
	/* The call that was interrupted is entered again. */
	ASSERT_EQ(r.pid, waitpid(r.pid, &status, __WALL));
	EXPECT_EQ(SIGTRAP | 0x80, WSTOPSIG(status));
	/* Cancelled while stopped by the tracer. */
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, rc_cancel_result(handle, r.gen));
	rc_sleep(RC_WHILE);
	for (;;) {
		ASSERT_EQ(0, ptrace(PTRACE_SYSCALL, r.pid, 0, 0));
		ASSERT_EQ(r.pid, waitpid(r.pid, &status, __WALL));
		if (!WIFSTOPPED(status))
			break;
		ASSERT_LT(stops++, 1000);
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, r.pid, sizeof(info),
			   &info) <= 0 || info.op != 2)
			continue;
		if (seen < 4)
			results[seen++] = info.exit.rval;
	}
	EXPECT_EQ(RC_REMOTE_CANCELED, WEXITSTATUS(status));
	EXPECT_GE(seen, 1);
	TH_LOG("the tracer has seen %ld, %ld, %ld", results[0], results[1],
	       results[2]);
}

static void run_strace(void *arg)
{
	char self[16];
	pid_t pid;

	(void)arg;
	/* strace attaches to its parent, this process. */
	snprintf(self, sizeof(self), "%d", getpid());
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid = fork();
	if (!pid) {
		execlp("strace", "strace", "-f", "-o", "/tmp/rpccancel_strace",
		       "-p", self, NULL);
		_exit(127);
	}
	/* Wait for it to have a tracer. */
	for (int i = 0; i < RC_PATIENCE; i++) {
		char status[4096], *line;

		rc_read_file("/proc/self/status", status, sizeof(status));
		line = strstr(status, "TracerPid:");
		if (line && atoi(line + 10))
			break;
		rc_sleep(1);
	}
}

TEST_F(thread, under_strace_is_cancelled_like_any_other)
{
	struct rc_remote r;
	char buf[65536];
	int handle, i;

	if (system("command -v strace >/dev/null"))
		SKIP(return, "there is no strace");
	ASSERT_EQ(0, rc_remote_start(&r, run_strace, NULL));
	handle = rc_open(self->dev, r.pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	for (i = 0; i < RC_PATIENCE; i++) {
		if (rc_asleep_in(r.pid, r.pid) == SYS_read &&
		    rc_state(r.pid, r.pid) == 'S')
			break;
		rc_sleep(1);
	}
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING, rc_cancel_result(handle, r.gen));
	EXPECT_EQ(RC_REMOTE_CANCELED, rc_remote_finish(&r));
	for (i = 0; i < 100; i++) {
		if (rc_read_file("/tmp/rpccancel_strace", buf, sizeof(buf)) > 0 &&
		    strstr(buf, "exited with"))
			break;
		rc_sleep(50);
	}
	EXPECT_NE(NULL, strstr(buf, "ECANCELED")) TH_LOG("strace: %s", buf);
	unlink("/tmp/rpccancel_strace");
}

/* CPU time of a process in ticks. */
static long cpu_time(pid_t pid)
{
	unsigned long user, system;
	char path[64], buf[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (rc_read_file(path, buf, sizeof(buf)) < 0)
		return -1;
	p = strrchr(buf, ')');
	if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			 &user, &system) != 2)
		return -1;
	return user + system;
}

TEST_F(thread, frozen_keeps_the_cancel_and_burns_no_CPU)
{
	static const char group[] = "/sys/fs/cgroup/rpccancel_test";
	struct rpccancel_info info;
	struct rc_remote r;
	char path[128], text[32], events[256] = "";
	long before, after;
	int handle, i;

	mkdir(group, 0755);
	snprintf(path, sizeof(path), "%s/cgroup.freeze", group);
	if (access(path, W_OK))
		SKIP(return, "no cgroup v2 to freeze at /sys/fs/cgroup");
	ASSERT_EQ(0, rc_remote_start(&r, NULL, NULL));
	handle = rc_open(self->dev, r.pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	snprintf(text, sizeof(text), "%d", r.pid);
	ASSERT_EQ(0, rc_write_file(path, text));
	snprintf(path, sizeof(path), "%s/cgroup.freeze", group);
	ASSERT_EQ(0, rc_write_file(path, "1"));
	snprintf(path, sizeof(path), "%s/cgroup.events", group);
	for (i = 0; i < 1000 && !strstr(events, "frozen 1"); i++) {
		rc_read_file(path, events, sizeof(events));
		rc_sleep(5);
	}
	EXPECT_NE(NULL, strstr(events, "frozen 1"));
	ASSERT_EQ(0, rc_info(handle, &info));
	EXPECT_EQ(RPCCANCEL_STATE_STOPPED, info.state);
	before = cpu_time(r.pid);
	for (i = 0; i < 5; i++)
		rc_cancel_result(handle, r.gen);
	rc_sleep(1000);
	after = cpu_time(r.pid);
	/* A second of spinning would be 100 ticks. */
	EXPECT_LE(after - before, 20);
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_wait(handle, r.gen, RPCCANCEL_WAIT_DELIVERED, 1));
	snprintf(path, sizeof(path), "%s/cgroup.freeze", group);
	ASSERT_EQ(0, rc_write_file(path, "0"));
	EXPECT_EQ(RC_REMOTE_CANCELED, rc_remote_finish(&r));
	rmdir(group);
}

static long fork_in_scope(struct rc_thread *t)
{
	struct rpccancel_info info;
	unsigned char vec;
	int handle, status;
	pid_t pid;

	rc_begin_scope(t->dev, t->slot);
	pid = fork();
	if (!pid) {
		/* The slot is not there. */
		if (mincore((void *)((uintptr_t)t->slot & ~4095UL), 4096,
			    &vec) != -1 || errno != ENOMEM)
			_exit(1);
		/* The device is, but this thread is not attached to it. */
		if (ioctl(t->dev, RPCCANCEL_IOC_DETACH) != -1 || errno != ESRCH)
			_exit(2);
		handle = rc_open(t->dev, 0, RPCCANCEL_ACCESS_ALL);
		if (handle < 0 || rc_info(handle, &info) || info.attached ||
		    info.tid != getpid())
			_exit(3);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	rc_end(t->dev, t->slot);
	return WEXITSTATUS(status);
}

TEST_F(thread, child_of_fork_is_not_attached_and_has_no_slot)
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, fork_in_scope, self));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
}

static long vfork_in_scope(struct rc_thread *t)
{
	FIXTURE_DATA(thread) *self = t->arg;
	int status;
	pid_t pid;
	char byte;

	self->gen = rc_begin_scope(t->dev, t->slot);
	pid = vfork();
	if (!pid) {
		/* Shares memory with the parent, but is nobody's target. */
		long ret = syscall(SYS_read, self->pipe[0], &byte, 1);

		_exit(ret == 1 ? 0 : 1);
	}
	t->stage = 1;
	if (waitpid(pid, &status, 0) == pid && WEXITSTATUS(status))
		return 1;
	byte = 0;
	/* Behind it the cancel takes effect, at the latest here. */
	if (read(self->pipe[0], &byte, 1) != -1 || errno != ECANCELED)
		return 2;
	rc_end(t->dev, t->slot);
	return 0;
}

TEST_F(thread, that_waits_for_vfork_is_cancelled_afterwards)
{
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, vfork_in_scope, self));
	ASSERT_TRUE(rc_wait_state(getpid(), self->thread.tid, "D",
				  RC_PATIENCE));
	EXPECT_EQ(RPCCANCEL_RESULT_PENDING,
		  rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY));
	rc_sleep(RC_WHILE);
	EXPECT_EQ('D', rc_state(getpid(), self->thread.tid));
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
}

TEST_F(thread, exec_takes_the_record_away)
{
	struct rpccancel_slot *slot;
	struct rpccancel_info info;
	int ready[2], handle;
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = rc_fork();
	if (!pid) {
		int dev = rc_open_device();

		if (dev < 0 || rc_attach(dev, &slot) ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		rc_begin_scope(dev, slot);
		if (read(self->pipe[0], &byte, 1) != 1)
			_exit(2);
		execlp("sleep", "sleep", "600", NULL);
		_exit(3);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	handle = rc_open(self->dev, pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	ASSERT_EQ(0, rc_info(handle, &info));
	close(ready[1]);
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	/* Its copy is closed by exec. */
	ASSERT_EQ(0, read(ready[0], &byte, 1));
	rc_sleep(20);
	EXPECT_EQ(-ESRCH, rc_info(handle, &info));
	EXPECT_EQ(-ESRCH, rc_cancel_result(handle, RPCCANCEL_GEN_ANY));
	EXPECT_EQ(-ESRCH, rc_wait(handle, 1, 0, 10));
	EXPECT_TRUE(rc_poll(handle, POLLIN, RC_PATIENCE) & POLLHUP);
	rc_sleep(RC_WHILE);
	EXPECT_TRUE(rc_wait_state(pid, pid, "S", RC_PATIENCE));
	/* The new program can be opened anew. */
	close(handle);
	handle = rc_open(self->dev, pid, RPCCANCEL_ACCESS_ALL);
	ASSERT_GE(handle, 0);
	ASSERT_EQ(0, rc_info(handle, &info));
	EXPECT_EQ(0, info.attached);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* seccomp: what to do with getppid(), which stands for any call. */
static int filter(uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) ? -errno : 0;
}

static int allow(void)
{
	return filter(SECCOMP_RET_ERRNO | EACCES);
}

TEST_F(thread, with_a_seccomp_filter_is_cancelled)
{
	self->before = allow;
	start(_metadata, self, one_read);
	cancel(_metadata, self);
}

static long forbidden_call(struct rc_thread *t)
{
	FIXTURE_DATA(thread) *self = t->arg;
	char byte;
	long ret;

	if (filter(SECCOMP_RET_ERRNO | EINTR))
		return 1;
	rc_begin_scope(t->dev, t->slot);
	if (read(self->pipe[0], &byte, 1) != -1 || errno != ECANCELED)
		return 2;
	/* Pending, and the filter's errno is none of a sleeping call. */
	ret = syscall(SYS_getppid);
	if (ret != -1 || errno != EINTR)
		return 3;
	if (t->slot->refused != 1)
		return 4;
	rc_end(t->dev, t->slot);
	return 0;
}

TEST_F(thread, errno_of_a_seccomp_filter_is_not_replaced)
{
	start(_metadata, self, forbidden_call);
	rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(0, self->thread.ret);
}

static int listener = -1;

static int notify(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			   SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	return listener < 0 ? -errno : 0;
}

/* A supervisor that never answers is one more thing to be stuck in. */
TEST_F(thread, that_waits_for_a_seccomp_supervisor_is_cancelled)
{
	struct seccomp_notif req = {};
	struct seccomp_notif_resp resp = {};

	self->before = notify;
	ASSERT_EQ(0, rc_start(&self->thread, self->dev, one_read, self));
	ASSERT_TRUE(rc_wait_stage(&self->thread, 1, RC_PATIENCE));
	ASSERT_EQ(0, ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req));
	ASSERT_TRUE(rc_wait_asleep(self->thread.tid, SYS_read, RC_PATIENCE));
	rc_cancel_result(self->thread.handle, RPCCANCEL_GEN_ANY);
	ASSERT_EQ(0, rc_join(&self->thread, RC_PATIENCE));
	EXPECT_EQ(-ECANCELED, self->thread.ret);
	resp.id = req.id;
	EXPECT_EQ(-1, ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp));
	EXPECT_EQ(ENOENT, errno);
}

RPCCANCEL_TEST_MAIN
