// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What happens to threads and processes: children of all kinds, exits, signals,
 * stops, tracers, the freezer, other rights, and faults injected by the kernel.
 *
 * Everything runs in a pid namespace of its own, so no signal gets out of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

/* What a child does with what it has inherited; only plain system calls. */
static void child(struct process *p, unsigned int what)
{
	struct rpccancel_attach req = {};
	struct rpccancel_cancel cancel = {};
	struct rpccancel_info info;

	for (int i = 0; i < DEVICES; i++) {
		ioctl(p->device[i], RPCCANCEL_IOC_ATTACH, &req);
		ioctl(p->device[i], RPCCANCEL_IOC_SETTLE);
		if (what & 1)
			ioctl(p->device[i], RPCCANCEL_IOC_DETACH);
	}
	for (int i = 0; i < HANDLES; i++) {
		ioctl(p->handle[i], RPCCANCEL_IOC_CANCEL, &cancel);
		ioctl(p->handle[i], RPCCANCEL_IOC_INFO, &info);
	}
	if (what & 2 && p->handle[0] > 2)
		close(p->handle[0]);
	if (what & 4 && p->device[0] > 2)
		close(p->device[0]);
}

static int child_of_clone(void *arg)
{
	struct worker *w = arg;

	child(w->process, w->seed);
	syscall(SYS_exit, 0);
	return 0;
}

/* Children that share the table of files or the memory, or nothing. */
static long op_clone(struct worker *w, const uint64_t *args)
{
	static const int flags[] = {
		0, CLONE_FILES, CLONE_VM, CLONE_VM | CLONE_FILES,
		CLONE_VM | CLONE_VFORK, CLONE_NEWPID, CLONE_FILES | CLONE_VFORK,
	};
	int chosen = flags[args[0] % COUNT(flags)];
	size_t size = 64 << 10;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	int ret;

	if (stack == MAP_FAILED)
		return -errno;
	/* It may close what others use, and detach nobody but itself. */
	if (chosen & CLONE_FILES && w->seed & 6)
		w->process->lies = true;
	ret = clone(child_of_clone, stack + size, chosen | SIGCHLD, w);
	if (ret < 0)
		ret = -errno;
	else
		ret = waitpid(ret, NULL, __WALL) < 0 ? -errno : 0;
	/* Interrupted: it may still run on it. */
	if (ret != -EINTR)
		munmap(stack, size);
	return ret;
}

static long op_fork(struct worker *w, const uint64_t *args)
{
	pid_t pid = rc_fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		child(w->process, args[0]);
		/* The slot is not there, and that kills. */
		if (args[0] & 8 && w->slot) {
			signal(SIGSEGV, SIG_DFL);
			*(volatile __u64 *)&w->slot->gen = 1;
		}
		_exit(0);
	}
	return args[0] & 16 ? 0 : from_errno(waitpid(pid, NULL, 0));
}

static long op_spawn(struct worker *w, const uint64_t *args)
{
	pid_t pid = vfork();

	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	return pid < 0 ? -errno : from_errno(waitpid(pid, NULL, 0));
}

/* A program that is executed takes the place of all threads. */
static long op_exec(struct worker *w, const uint64_t *args)
{
	if (args[0] % 4)
		return 0;
	execl("/bin/sleep", "sleep", "0.01", NULL);
	return -errno;
}

static long op_exit_thread(struct worker *w, const uint64_t *args)
{
	shared->calls++;
	w->slot = NULL;
	w->blocking = 0;
	w->state = ABSENT;
	syscall(SYS_exit, 0);
	return 0;
}

static long op_exit(struct worker *w, const uint64_t *args)
{
	if (args[0] % 8)
		return 0;
	_exit(EXIT_DONE);
}

/* To a thread of any program. */
static long op_signal(struct worker *w, const uint64_t *args)
{
	static const int signals[] = {
		SIGUSR1, SIGUSR2, SIGUSR1, SIGUSR2, SIGSTOP, SIGCONT, SIGKILL,
		SIGCONT, SIGURG, SIGALRM, SIGTSTP,
	};
	unsigned int process = args[0] / THREADS % PROCESSES;
	pid_t pid = shared->pid[process];
	pid_t tid = shared->tid[process][args[0] % THREADS];
	int signal = signals[args[1] % COUNT(signals)];

	if (pid <= 1 || tid <= 1)
		return -ESRCH;
	if (signal == SIGKILL && args[1] < 16)
		return 0;
	return from_errno(syscall(SYS_tgkill, pid, tid, signal));
}

static long op_stop(struct worker *w, const uint64_t *args)
{
	pid_t self = getpid(), pid = rc_fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		kill(self, SIGSTOP);
		rc_sleep(args[0] % 8);
		kill(self, SIGCONT);
		_exit(0);
	}
	return from_errno(waitpid(pid, NULL, 0));
}

static long op_alarm(struct worker *w, const uint64_t *args)
{
	struct itimerval it = { .it_value.tv_usec = 1 + args[0] % 20000 };

	return from_errno(setitimer(ITIMER_REAL, &it, NULL));
}

/* Tracers that go by themselves after a moment. */
static long op_trace(struct worker *w, const uint64_t *args)
{
	pid_t tid = w->process->worker[args[0] % THREADS].tid, pid;

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid = rc_fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		if (ptrace(PTRACE_SEIZE, tid, 0,
			   args[1] & 1 ? PTRACE_O_TRACESYSGOOD : 0))
			_exit(1);
		ptrace(PTRACE_INTERRUPT, tid, 0, 0);
		for (int i = 0; i < 20 && waitpid(tid, NULL,
						  __WALL | WNOHANG) <= 0; i++)
			rc_sleep(1);
		if (args[1] & 2)
			ptrace(PTRACE_SYSCALL, tid, 0, 0);
		rc_sleep(args[1] >> 2);
		/* Without a word: its exit lets go. */
		if (args[1] & 1)
			ptrace(PTRACE_DETACH, tid, 0, 0);
		_exit(0);
	}
	return from_errno(waitpid(pid, NULL, 0));
}

static long op_freeze(struct worker *w, const uint64_t *args)
{
	shared->freeze_ms = 1 + args[0] % 8;
	return 0;
}

static long op_setuid(struct worker *w, const uint64_t *args)
{
	/* This thread only: glibc's changes all of them. */
	if (args[0] % 4)
		return from_errno(syscall(SYS_setresuid, -1, 1000, -1));
	return from_errno(syscall(SYS_setresuid, -1, 0, -1));
}

static long op_dumpable(struct worker *w, const uint64_t *args)
{
	return from_errno(prctl(PR_SET_DUMPABLE, args[0] & 1));
}

static long op_files(struct worker *w, const uint64_t *args)
{
	struct rlimit limit = { args[0] & 1 ? 128 : 16, 128 };

	return from_errno(setrlimit(RLIMIT_NOFILE, &limit));
}

/* The next calls of this thread, at the n-th point at which they can. */
static long op_fail(struct worker *w, const uint64_t *args)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%llu",
			   1 + (unsigned long long)args[0] % 64);

	if (w->fail_nth < 0)
		return -ENOENT;
	w->process->lies = true;
	return from_errno(pwrite(w->fail_nth, buf, len, 0));
}

static long op_show(struct worker *w, const uint64_t *args)
{
	int fd = open("/sys/kernel/debug/rpccancel/threads",
		      O_RDONLY | O_CLOEXEC);
	char buf[512];
	long ret;

	if (fd < 0)
		return -errno;
	if (args[0] & 1)
		lseek(fd, args[0], SEEK_SET);
	do {
		ret = from_errno(read(fd, buf, 1 + args[0] * 16 % sizeof(buf)));
	} while (ret > 0 && args[0] & 2);
	close(fd);
	return ret;
}

const struct op process_ops[] = {
	{ "clone", op_clone, 2, { SMALL } },
	{ "fork", op_fork, 2, { SMALL } },
	{ "spawn", op_spawn, 1, { NONE } },
	{ "exec", op_exec, 1, { SMALL } },
	{ "exit_thread", op_exit_thread, 2, { NONE } },
	{ "exit", op_exit, 1, { SMALL } },
	{ "signal", op_signal, 4, { PEER, SMALL } },
	{ "stop", op_stop, 1, { SMALL } },
	{ "alarm", op_alarm, 2, { NANOSECONDS } },
	{ "trace", op_trace, 1, { THREAD, SMALL } },
	{ "freeze", op_freeze, 1, { SMALL } },
	{ "setuid", op_setuid, 1, { SMALL } },
	{ "dumpable", op_dumpable, 1, { SMALL } },
	{ "files", op_files, 1, { SMALL } },
	{ "fail", op_fail, 4, { SMALL } },
	{ "show", op_show, 1, { SMALL } },
};

const unsigned int process_ops_count = COUNT(process_ops);
