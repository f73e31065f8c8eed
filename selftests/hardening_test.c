// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What restricts the caller otherwise restricts it here, too: Landlock, seccomp
 * filters, the memory cgroup; and what Documentation/security.rst says that does
 * not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "rpccancel_util.h"

/* A later kernel's: the headers of the machine may not have them. */
#define SCOPE_ABI	6
#define SCOPE_SIGNAL	0x2

struct ruleset {
	uint64_t access_fs;
	uint64_t access_net;
	uint64_t scoped;
};

static int landlock_abi(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
		       LANDLOCK_CREATE_RULESET_VERSION);
}

/* No rule allows anything of what the ruleset handles. */
static int restrict_self(const struct ruleset *attr, size_t size)
{
	int fd = syscall(SYS_landlock_create_ruleset, attr, size, 0);

	if (fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_landlock_restrict_self, fd, 0))
		return -errno;
	close(fd);
	return 0;
}

TEST(landlock_rules_for_files_apply_to_the_device)
{
	const struct ruleset rules = {
		.access_fs = LANDLOCK_ACCESS_FS_READ_FILE |
			     LANDLOCK_ACCESS_FS_WRITE_FILE,
	};
	pid_t pid;

	if (landlock_abi() < 1)
		SKIP(return, "there is no Landlock");
	pid = rc_fork();
	if (!pid) {
		if (restrict_self(&rules, sizeof(rules.access_fs)))
			_exit(1);
		_exit(rc_open_device() == -EACCES ? 0 : 2);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
}

/*
 * Also through a device that was opened before. Where Landlock has no such scope
 * yet, it has no say in it.
 */
TEST(landlock_restricts_threads_where_it_has_a_scope_of_signals)
{
	const struct ruleset rules = {
		.access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE,
		.scoped = SCOPE_SIGNAL,
	};
	bool scoped = landlock_abi() >= SCOPE_ABI;
	struct rc_remote remote;
	pid_t pid;

	if (landlock_abi() < 1)
		SKIP(return, "there is no Landlock");
	ASSERT_EQ(0, rc_remote_start(&remote, NULL, NULL));
	pid = rc_fork();
	if (!pid) {
		int dev = rc_open_device(), ret = 0;

		if (rc_open(dev, remote.pid, RPCCANCEL_ACCESS_ALL) < 0)
			ret = 1;
		else if (rc_list_count(dev) < 1)
			ret = 2;
		else if (restrict_self(&rules, scoped ? sizeof(rules) :
							sizeof(rules.access_fs)))
			ret = 3;
		else if ((rc_open(dev, remote.pid, RPCCANCEL_ACCESS_ALL) ==
			  -EACCES) != scoped)
			ret = 4;
		else if (!rc_list_count(dev) != scoped)
			ret = 5;
		else if (rc_open(dev, 0, RPCCANCEL_ACCESS_ALL) < 0)
			ret = 6;
		_exit(ret);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	ASSERT_EQ(1, write(remote.feed, "x", 1));
	EXPECT_EQ(RC_REMOTE_READ, rc_remote_finish(&remote));
}

/* Fails this system call with EPERM. */
static int filter_out(unsigned int nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) ? -errno : 0;
}

TEST(seccomp_filter_of_kill_does_not_stop_cancels)
{
	struct rc_remote remote;
	pid_t pid;

	ASSERT_EQ(0, rc_remote_start(&remote, NULL, NULL));
	pid = rc_fork();
	if (!pid) {
		int handle;

		if (filter_out(SYS_kill))
			_exit(1);
		if (!kill(remote.pid, 0) || errno != EPERM)
			_exit(2);
		handle = rc_open(rc_open_device(), remote.pid,
				 RPCCANCEL_ACCESS_ALL);
		_exit(rc_cancel_result(handle, remote.gen) !=
		      RPCCANCEL_RESULT_PENDING);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	EXPECT_EQ(RC_REMOTE_CANCELED, rc_remote_finish(&remote));
}

TEST(seccomp_filter_of_ioctl_stops_all)
{
	pid_t pid = rc_fork();

	if (!pid) {
		struct rpccancel_slot *slot;
		int dev = rc_open_device();

		if (dev < 0 || filter_out(SYS_ioctl))
			_exit(1);
		_exit(rc_attach(dev, &slot) != -EPERM ||
		      rc_open(dev, 0, RPCCANCEL_ACCESS_ALL) != -EPERM);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
}

#define CGROUP	"/sys/fs/cgroup/rpccancel_hardening"

static int move_into_group(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	return rc_write_file(CGROUP "/cgroup.procs", pid);
}

static long kernel_memory(void)
{
	return rc_read_number(CGROUP "/memory.current");
}

TEST(memory_cgroup_pays_for_handles)
{
	enum { HANDLES = 4000 };
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	rc_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		SKIP(return, "there is no cgroup v2");
	if (access(CGROUP "/memory.current", R_OK)) {
		rmdir(CGROUP);
		SKIP(return, "there is no memory controller");
	}
	pid = rc_fork();
	if (!pid) {
		struct rlimit limit = { 2 * HANDLES, 2 * HANDLES };
		int dev, one, i;
		long before;

		if (move_into_group() || setrlimit(RLIMIT_NOFILE, &limit))
			_exit(1);
		dev = rc_open_device();
		one = rc_open(dev, 0, RPCCANCEL_ACCESS_ALL);
		/* The table of descriptors has its size from here on. */
		if (one < 0 || dup2(one, 2 * HANDLES - 1) < 0)
			_exit(2);
		before = kernel_memory();
		for (i = 0; i < HANDLES; i++)
			if (rc_dup(one, RPCCANCEL_ACCESS_ALL) < 0)
				_exit(3);
		/* A file and the handle: more than the smallest object. */
		_exit(kernel_memory() - before < HANDLES * 128L ? 4 : 0);
	}
	EXPECT_EQ(0, rc_reap(pid, RC_PATIENCE));
	for (int i = 0; i < 100 && rmdir(CGROUP) && errno == EBUSY; i++)
		rc_sleep(20);
}

RPCCANCEL_TEST_MAIN
