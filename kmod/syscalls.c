// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which system calls a cancel may refuse, and how their results are read.
 *
 * The list is one of permission: what is not on it is never refused.  futex is
 * left out for good, since glibc aborts the process when a futex wait fails with an
 * errno it does not expect.  io_uring_enter runs task work in the middle of
 * the call, when there is no result to replace yet: rings poll the handle.
 *
 * A 32-bit call has numbers of its own and is never refused.
 *
 * No state, no locking: all functions look at registers only.
 */
#include <linux/compat.h>
#include <linux/fcntl.h>
#include <linux/kernel.h>
#include <linux/nospec.h>
#include <linux/ptrace.h>
#include <linux/restart_block.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/time.h>
#include <linux/unistd.h>
#include <asm/syscall.h>
#include <linux/rpccancel.h>

#include "syscalls.h"

/* First argument is a file descriptor. */
#define RPCC_FD		0x80000000
/* Sleeps, does nothing else, and fails with EINTR instead of being restarted. */
#define RPCC_WAITS	0x40000000

#define RPCC_READ	(RPCCANCEL_CLASS_READ | RPCC_FD | RPCC_WAITS)
#define RPCC_WRITE	(RPCCANCEL_CLASS_WRITE | RPCC_FD | RPCC_WAITS)
#define RPCC_RECV	(RPCCANCEL_CLASS_RECV | RPCC_FD | RPCC_WAITS)
#define RPCC_SEND	(RPCCANCEL_CLASS_SEND | RPCC_FD | RPCC_WAITS)
#define RPCC_CONNECT	(RPCCANCEL_CLASS_CONNECT | RPCC_FD | RPCC_WAITS)
#define RPCC_ACCEPT	(RPCCANCEL_CLASS_ACCEPT | RPCC_FD | RPCC_WAITS)
#define RPCC_POLL	(RPCCANCEL_CLASS_POLL | RPCC_WAITS)
#define RPCC_SLEEP	(RPCCANCEL_CLASS_SLEEP | RPCC_WAITS)
#define RPCC_LOCK	(RPCCANCEL_CLASS_LOCK | RPCC_FD | RPCC_WAITS)
#define RPCC_WAIT	(RPCCANCEL_CLASS_WAIT | RPCC_WAITS)
#define RPCC_MSG	(RPCCANCEL_CLASS_MSG | RPCC_WAITS)
#define RPCC_SEM	(RPCCANCEL_CLASS_SEM | RPCC_WAITS)
#define RPCC_EPOLL	(RPCCANCEL_CLASS_EPOLL | RPCC_FD | RPCC_WAITS)

static const u32 rpcc_syscalls[] = {
	[__NR_read] = RPCC_READ,
	[__NR_readv] = RPCC_READ,
	[__NR_pread64] = RPCC_READ,
	[__NR_preadv] = RPCC_READ,
	[__NR_preadv2] = RPCC_READ,
	[__NR_write] = RPCC_WRITE,
	[__NR_writev] = RPCC_WRITE,
	[__NR_pwrite64] = RPCC_WRITE,
	[__NR_pwritev] = RPCC_WRITE,
	[__NR_pwritev2] = RPCC_WRITE,
	[__NR_recvfrom] = RPCC_RECV,
	[__NR_recvmsg] = RPCC_RECV,
	[__NR_recvmmsg] = RPCC_RECV,
	[__NR_sendto] = RPCC_SEND,
	[__NR_sendmsg] = RPCC_SEND,
	[__NR_sendmmsg] = RPCC_SEND,
	[__NR_connect] = RPCC_CONNECT,
	[__NR_accept] = RPCC_ACCEPT,
	[__NR_accept4] = RPCC_ACCEPT,
#ifdef __NR_poll
	[__NR_poll] = RPCC_POLL,
#endif
	[__NR_ppoll] = RPCC_POLL,
#ifdef __NR_select
	[__NR_select] = RPCC_POLL,
#endif
	[__NR_pselect6] = RPCC_POLL,
	[__NR_nanosleep] = RPCC_SLEEP,
	[__NR_clock_nanosleep] = RPCC_SLEEP,
	[__NR_flock] = RPCC_LOCK,
	[__NR_fcntl] = RPCC_LOCK,
	[__NR_wait4] = RPCC_WAIT,
	[__NR_waitid] = RPCC_WAIT,
	[__NR_msgrcv] = RPCC_MSG,
	[__NR_msgsnd] = RPCC_MSG,
	[__NR_semop] = RPCC_SEM,
	[__NR_semtimedop] = RPCC_SEM,
#ifdef __NR_epoll_wait
	[__NR_epoll_wait] = RPCC_EPOLL,
#endif
	[__NR_epoll_pwait] = RPCC_EPOLL,
	[__NR_epoll_pwait2] = RPCC_EPOLL,
	[__NR_rt_sigtimedwait] = RPCC_WAITS,
	[__NR_io_getevents] = RPCC_WAITS,
};

static u32 rpcc_syscall_lookup(int nr)
{
	if (nr < 0 || nr >= ARRAY_SIZE(rpcc_syscalls))
		return 0;

	return rpcc_syscalls[array_index_nospec(nr, ARRAY_SIZE(rpcc_syscalls))];
}

/*
 * A wait with a time-out that was interrupted, by a stop or a tracer say, goes
 * on in restart_syscall(2), with the registers of the first call.  What it goes
 * on with is told by the restart block: its data must fit those registers.  It
 * is a poll, a sleep, or a futex, which must never be taken for the others:
 *
 *	poll	starts with its arguments 0 and 1;
 *	futex	starts with its arguments 0 and 2: no poll where 1 and 2 differ;
 *	sleep	starts with a clock and a small type: no address of a futex,
 *		unless the two make up its argument 0.
 *
 * A poll of nothing and a clock_nanosleep can look the same, but only one of
 * them has a pointer as argument 2.
 */
static u32 rpcc_syscall_restarted(const struct restart_block *restart,
				  const unsigned long *args)
{
	unsigned long first = (unsigned long)restart->poll.ufds;
	u32 type = restart->nanosleep.type;
	bool poll, sleep;

	poll = first == args[0] && restart->poll.nfds == (int)args[1] &&
	       (u32)args[1] != (u32)args[2];
	sleep = (u32)restart->nanosleep.clockid < MAX_CLOCKS &&
		type <= TT_COMPAT && (type == TT_NONE || first != args[0]);
	if (poll && sleep)
		poll = args[2] <= UINT_MAX || args[2] >= TASK_SIZE;

	if (poll)
		return RPCC_POLL;

	return sleep ? RPCC_SLEEP : 0;
}

static u32 rpcc_syscall_flags(struct task_struct *task, struct pt_regs *regs,
			      const struct restart_block *restart)
{
	int nr = syscall_get_nr(task, regs);
	unsigned long args[6];

	if (nr == __NR_fcntl) {
		syscall_get_arguments(task, regs, args);
		if (args[1] != F_SETLKW && args[1] != F_OFD_SETLKW)
			return 0;
	} else if (nr == __NR_restart_syscall) {
		syscall_get_arguments(task, regs, args);
		return rpcc_syscall_restarted(restart, args);
	}

	return rpcc_syscall_lookup(nr);
}

/**
 * rpcc_syscall_class() - what kind of system call a task is in
 * @task:	the task
 * @regs:	its user registers, or a copy
 * @restart:	its restart block, or a copy
 *
 * Return: one RPCCANCEL_CLASS_*, or 0 if it is in none that may be refused.
 */
u32 rpcc_syscall_class(struct task_struct *task, struct pt_regs *regs,
		       const struct restart_block *restart)
{
	if (task == current && in_compat_syscall())
		return 0;

	return rpcc_syscall_flags(task, regs, restart) & RPCCANCEL_CLASS_ALL;
}

/**
 * rpcc_syscall_fd() - the descriptor a system call works on
 * @task:	the task
 * @regs:	its user registers, or a copy
 *
 * Return: the descriptor, or -1 if the call is not on the list or has none.
 */
int rpcc_syscall_fd(struct task_struct *task, struct pt_regs *regs)
{
	unsigned long args[6];

	if (!(rpcc_syscall_lookup(syscall_get_nr(task, regs)) & RPCC_FD))
		return -1;

	syscall_get_arguments(task, regs, args);

	return args[0];
}

/**
 * rpcc_syscall_interrupted() - whether the call was interrupted before it did
 * anything
 * @regs:	the calling task's user registers
 *
 * Return: true for the codes that stand for just that; a call that has moved a
 * byte returns how many.
 */
bool rpcc_syscall_interrupted(struct pt_regs *regs)
{
	switch (syscall_get_error(current, regs)) {
	case -EINTR:
	case -ERESTARTSYS:
	case -ERESTARTNOINTR:
	case -ERESTARTNOHAND:
	case -ERESTART_RESTARTBLOCK:
		return true;
	default:
		return false;
	}
}

/**
 * rpcc_syscall_refuse() - let the call fail, and not be restarted
 * @regs:	the calling task's user registers
 * @error:	the errno it fails with
 */
void rpcc_syscall_refuse(struct pt_regs *regs, int error)
{
	syscall_set_return_value(current, regs, -error, 0);
}

/**
 * rpcc_syscall_resume() - undo what a kick did to a call that is not refused
 * @regs:	the calling task's user registers
 *
 * A kick looks like a signal.  Most calls are restarted after it by themselves.
 * Some pure waits are not: they fail with EINTR.  When no signal is there to
 * justify that, they are restarted too; should one come up meanwhile, they fail
 * with EINTR after its handler has run, as they would have.
 */
void rpcc_syscall_resume(struct pt_regs *regs)
{
	if (current->flags & PF_EXITING || task_sigpending(current) || in_compat_syscall() ||
	    syscall_get_error(current, regs) != -EINTR)
		return;
	if (rpcc_syscall_flags(current, regs, &current->restart_block) &
	    RPCC_WAITS)
		syscall_set_return_value(current, regs, -ERESTARTNOHAND, 0);
}
