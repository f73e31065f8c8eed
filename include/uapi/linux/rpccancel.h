/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * The user space interface of /dev/rpccancel: cancelling a blocked system call
 * of another thread, without a signal.
 *
 * This text is the ABI document.  Three objects make up the interface:
 *
 *   device	An open file of /dev/rpccancel.  Threads attach themselves
 *		through it and map their slots from it.  Closing it (the last
 *		descriptor and the last mapping) detaches all of its threads.
 *   slot	One cache line of memory shared by one attached thread and the
 *		kernel.  Beginning and ending a call are plain stores to it, and
 *		asking "was I cancelled" is a plain load: no system call.
 *   handle	A file descriptor that stands for one thread and carries an
 *		access mask, checked on each use.  It can be passed to another
 *		process with SCM_RIGHTS, polled, and read.
 *
 * Generations.  A thread counts its calls in slot->gen: odd while a call is in
 * progress, even between calls.  A cancel names the generation it is meant for,
 * or RPCCANCEL_GEN_ANY, which means the call in progress, or the next one
 * when none is.  Once the thread has left that generation the cancel is too
 * late: it is dropped, and it never hits the call after.
 *
 * Modes.  In RPCCANCEL_MODE_SCOPE a cancel takes effect at once and is sticky:
 * until the generation ends, every system call of the selected classes that
 * would sleep fails with the errno of the slot.  In RPCCANCEL_MODE_CALL a
 * cancel is first only told (slot word, poll, read), and starts the
 * grace period; when that is over, it takes effect as in a scope.
 *
 * Delivery.  A system call is failed only when it has slept and has neither
 * moved a byte nor found another result: what it did is never thrown away.
 *
 * Rules common to all commands.  A structure may grow at its end: the kernel
 * takes the size from the command number, treats what an older caller does not
 * pass as zero, and fails with E2BIG when a newer caller sets a field that
 * this kernel does not know.  Less than in version 1 is EINVAL.  All padding and
 * unknown flags must be zero (EINVAL).  An unknown command fails with ENOTTY.
 * Times are in nanoseconds of CLOCK_MONOTONIC.  32-bit tasks are refused: they
 * get ENOTTY.
 *
 * Changes:
 *   1	first version
 */
#ifndef _UAPI_LINUX_RPCCANCEL_H
#define _UAPI_LINUX_RPCCANCEL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define RPCCANCEL_ABI_VERSION	1

/* slot->flags: what kind of call is in progress, and what it allows. */
#define RPCCANCEL_MODE_SCOPE		0x0	/* somebody else's code */
#define RPCCANCEL_MODE_CALL		0x1	/* a runtime that listens for cancels */
#define RPCCANCEL_MODE_MASK		0x1
#define RPCCANCEL_SLOT_NO_CANCEL	0x2	/* this call cannot be cancelled */
#define RPCCANCEL_SLOT_FINITE		0x4	/* cancel only with a finite grace */

/* slot->classes: which system calls a cancel may fail. */
#define RPCCANCEL_CLASS_READ	0x0001	/* read, readv, pread64, preadv, preadv2 */
#define RPCCANCEL_CLASS_WRITE	0x0002	/* write, writev, pwrite64, pwritev, pwritev2 */
#define RPCCANCEL_CLASS_RECV	0x0004	/* recvfrom, recvmsg, recvmmsg */
#define RPCCANCEL_CLASS_SEND	0x0008	/* sendto, sendmsg, sendmmsg */
#define RPCCANCEL_CLASS_CONNECT	0x0010	/* connect */
#define RPCCANCEL_CLASS_ACCEPT	0x0020	/* accept, accept4 */
#define RPCCANCEL_CLASS_POLL	0x0040	/* poll, ppoll, select, pselect6 */
#define RPCCANCEL_CLASS_SLEEP	0x0080	/* nanosleep, clock_nanosleep */
#define RPCCANCEL_CLASS_LOCK	0x0100	/* flock, fcntl F_SETLKW, F_OFD_SETLKW */
#define RPCCANCEL_CLASS_WAIT	0x0200	/* wait4, waitid */
#define RPCCANCEL_CLASS_MSG	0x0400	/* msgrcv, msgsnd */
#define RPCCANCEL_CLASS_SEM	0x0800	/* semop, semtimedop */
#define RPCCANCEL_CLASS_EPOLL	0x1000	/* epoll_wait, epoll_pwait, epoll_pwait2 */

/* What classes == 0 stands for: all but EPOLL, whose callers may abort. */
#define RPCCANCEL_CLASS_DEFAULT	0x0fff
#define RPCCANCEL_CLASS_ALL	0x1fff
/* No call at all; other bits that mean no class are ignored. */
#define RPCCANCEL_CLASS_NONE	0x80000000

/* slot->reason: why the generation in slot->cancel was cancelled. */
#define RPCCANCEL_REASON_CANCEL		0x1	/* somebody asked for it */
#define RPCCANCEL_REASON_DEADLINE	0x2	/* its own deadline has passed */
#define RPCCANCEL_REASON_GRACE		0x4	/* cancelled, and the grace is over */
#define RPCCANCEL_REASON_TARGET		0x8	/* the grace is RPCCANCEL_GRACE_TARGET */

/**
 * struct rpccancel_slot - what one thread and the kernel share
 * @gen:	written by the thread: odd in a call, even between calls; it
 *		only grows
 * @cancel:	written by the kernel: the generation that was cancelled,
 *		RPCCANCEL_GEN_NEXT while a cancel waits for the next call, or 0
 * @flags:	written by the thread: RPCCANCEL_MODE_* and RPCCANCEL_SLOT_*
 * @classes:	written by the thread: RPCCANCEL_CLASS_*, 0 for the default
 * @error:	written by the thread: errno a refused system call fails
 *		with, 1 to RPCCANCEL_ERROR_MAX; else ECANCELED, or ETIMEDOUT
 *		after a deadline
 * @reason:	written by the kernel: RPCCANCEL_REASON_*, valid with @cancel
 * @since:	written by the thread: when the call began, only shown in lists
 * @tag:	written by the thread: any value, only shown in lists
 * @grace:	written by the thread: grace period of a cancel that says
 *		RPCCANCEL_GRACE_TARGET, in ns; RPCCANCEL_INFINITE for none
 * @refused:	written by the kernel: how many system calls were refused
 *
 * The kernel writes only from the thread's own context, on its way to user
 * mode, so the two never run at the same time.  A thread must set everything
 * else before it makes @gen odd.  When @cancel is not 0 after @gen was changed,
 * the thread must call RPCCANCEL_IOC_SETTLE.  The kernel trusts none of it: a
 * thread that lies changes only its own fate.
 */
struct rpccancel_slot {
	__u64	gen;
	__u64	cancel;
	__u32	flags;
	__u32	classes;
	__s32	error;
	__u32	reason;
	__u64	since;
	__u64	tag;
	__u64	grace;
	__u64	refused;
};

/* What lies above is not for user space: some would restart the call for ever. */
#define RPCCANCEL_ERROR_MAX	511

#define RPCCANCEL_GEN_ANY	0ULL
#define RPCCANCEL_GEN_NEXT	(~0ULL)

/* Access rights of a handle; the numbers are those of Windows. */
#define RPCCANCEL_SET_CONTEXT		0x0010	/* may cancel */
#define RPCCANCEL_QUERY_INFORMATION	0x0040	/* may look, poll and read */
#define RPCCANCEL_ACCESS_ALL		0x0050

/* Periods: 0 is "at once". */
#define RPCCANCEL_INFINITE	(~0ULL)
#define RPCCANCEL_GRACE_TARGET	(~1ULL)	/* what the target's slot says */

/* Features, in struct rpccancel_query. */
#define RPCCANCEL_FEATURE_NOTIFIER	0x01	/* re-armed by the scheduler, not by a timer */
#define RPCCANCEL_FEATURE_DEADLINE	0x02
#define RPCCANCEL_FEATURE_BULK		0x04
#define RPCCANCEL_FEATURE_LIST		0x08
#define RPCCANCEL_FEATURE_TEST		0x10	/* a test build: never for production */

/**
 * struct rpccancel_query - RPCCANCEL_IOC_QUERY, on the device: what is there
 * @abi:	out: RPCCANCEL_ABI_VERSION of the module
 * @features:	out: RPCCANCEL_FEATURE_*
 * @classes:	out: RPCCANCEL_CLASS_* that exist
 * @slot_size:	out: bytes of one slot; slot N is N * slot_size into the mapping
 * @max_slots:	out: threads that can attach through one open file
 * @user_limit:	out: threads one user may have, without CAP_SYS_RESOURCE
 */
struct rpccancel_query {
	__u32	abi;
	__u32	features;
	__u32	classes;
	__u32	slot_size;
	__u32	max_slots;
	__u32	user_limit;
};

/**
 * struct rpccancel_attach - RPCCANCEL_IOC_ATTACH, on the device
 * @flags:	in: must be 0
 * @slot:	out: number of the calling thread's slot
 *
 * Attaches the calling thread.  Its slot then lies in the page at offset
 * @slot * slot_size of the device, rounded down, which the caller maps
 * (MAP_SHARED, readable and writable).  The slot is zeroed.  The mapping is not
 * inherited by fork.
 * The thread is detached by RPCCANCEL_IOC_DETACH, by its exit or execve(2), and
 * when the file is closed.
 *
 * Errors: EALREADY the thread is attached; EDQUOT the user's limit; ENOSPC the
 * file's limit; ENOMEM; EPERM another process than the one that opened the
 * device.
 */
struct rpccancel_attach {
	__u32	flags;
	__u32	slot;
};

/**
 * struct rpccancel_open - RPCCANCEL_IOC_OPEN, on the device: open a handle
 * @tid:	in: thread id in the caller's pid namespace; 0 the caller
 * @tgid:	in: if not 0, the thread must belong to this process
 * @access:	in: RPCCANCEL_SET_CONTEXT, RPCCANCEL_QUERY_INFORMATION or both
 * @flags:	in: must be 0
 *
 * Returns the new descriptor, with close-on-exec set.  Threads of the caller's
 * own process may always be opened, others when the caller may signal them
 * (kill(2) with signal 0).  A thread need not be attached yet: a cancel then
 * waits for it.  A handle never means another thread: when its thread has
 * exited or called execve(2), using it fails with ESRCH.
 *
 * Errors: ESRCH no such thread; EACCES not permitted; EINVAL access is 0 or
 * has unknown bits; EDQUOT, ENOMEM, EMFILE.
 */
struct rpccancel_open {
	__s32	tid;
	__s32	tgid;
	__u32	access;
	__u32	flags;
};

/* What became of a cancel. */
#define RPCCANCEL_RESULT_NONE		0	/* nothing was asked for */
#define RPCCANCEL_RESULT_DELIVERED	1	/* refused a system call, or the runtime knows */
#define RPCCANCEL_RESULT_PENDING	2	/* will take effect as soon as the thread can */
#define RPCCANCEL_RESULT_NEXT		3	/* no call in progress: waits for the next one */
#define RPCCANCEL_RESULT_TOO_LATE	4	/* that generation is over: nothing was done */
#define RPCCANCEL_RESULT_ALREADY	5	/* that generation was cancelled before */
#define RPCCANCEL_RESULT_REFUSED	6	/* RPCCANCEL_SLOT_NO_CANCEL: nothing was done */
#define RPCCANCEL_RESULT_NOT_FINITE	7	/* RPCCANCEL_SLOT_FINITE: nothing was done */
#define RPCCANCEL_RESULT_ENDED		8	/* that generation ended after the cancel */

/* Where a thread is, in struct rpccancel_cancel and struct rpccancel_info. */
#define RPCCANCEL_STATE_RUNNING		0	/* or about to be */
#define RPCCANCEL_STATE_BLOCKED		1	/* in a system call that may be refused */
#define RPCCANCEL_STATE_EXCLUDED	2	/* asleep in one that may not */
#define RPCCANCEL_STATE_UNINTERRUPTIBLE	3	/* asleep where nothing can wake it */
#define RPCCANCEL_STATE_STOPPED		4	/* by a signal, a tracer or the freezer */

/**
 * struct rpccancel_cancel - RPCCANCEL_IOC_CANCEL, on a handle
 * @gen:	in: generation to cancel, or RPCCANCEL_GEN_ANY;
 *		out: the generation it was taken for, 0 if there is none yet
 * @grace:	in: grace period of a call in RPCCANCEL_MODE_CALL, in ns
 * @flags:	in: must be 0
 * @result:	out: RPCCANCEL_RESULT_*
 * @state:	out: RPCCANCEL_STATE_* as seen when the request was made
 * @syscall:	out: number of the system call it sleeps in, -1 if none or
 *		if it is not attached
 *
 * Never blocks.  Asking again is harmless.  A stopped or frozen thread keeps the
 * cancel pending.
 *
 * A generation that has not begun is RPCCANCEL_RESULT_TOO_LATE like one that is
 * over.
 *
 * Errors: EACCES the handle lacks RPCCANCEL_SET_CONTEXT; ESRCH the thread is
 * gone; EINVAL @gen is even and not RPCCANCEL_GEN_ANY.
 */
struct rpccancel_cancel {
	__u64	gen;
	__u64	grace;
	__u32	flags;
	__u32	result;
	__u32	state;
	__s32	syscall;
};

#define RPCCANCEL_WAIT_DELIVERED	0	/* until it has taken effect */
#define RPCCANCEL_WAIT_ENDED		1	/* until the generation has ended */

/**
 * struct rpccancel_wait - RPCCANCEL_IOC_WAIT, on a handle
 * @gen:	in: the generation that was cancelled
 * @deadline:	in: when to give up, absolute; RPCCANCEL_INFINITE never
 * @until:	in: RPCCANCEL_WAIT_*
 * @result:	out: RPCCANCEL_RESULT_DELIVERED, _ENDED, _TOO_LATE (it ended
 *		before the cancel reached it), _PENDING (gave up), _NONE (no
 *		cancel is pending for it, and it was not the last one)
 *
 * Errors: EACCES the handle lacks RPCCANCEL_SET_CONTEXT; ESRCH the thread is
 * gone, and what became of the cancel was not known before; EDEADLK it is the
 * caller; EINVAL.  Restarted after a signal.
 */
struct rpccancel_wait {
	__u64	gen;
	__u64	deadline;
	__u32	until;
	__u32	result;
};

/**
 * struct rpccancel_target - one element of the array of RPCCANCEL_IOC_BULK
 * @handle:	in: descriptor of a handle
 * @error:	out: 0, or the errno of this element: EBADF is not a handle,
 *		otherwise as for RPCCANCEL_IOC_CANCEL
 * @gen:	as in struct rpccancel_cancel
 * @result:	out: RPCCANCEL_RESULT_*
 * @pad:	must be 0
 */
struct rpccancel_target {
	__s32	handle;
	__s32	error;
	__u64	gen;
	__u32	result;
	__u32	pad;
};

/**
 * struct rpccancel_bulk - RPCCANCEL_IOC_BULK, on the device
 * @targets:	in: address of an array of struct rpccancel_target
 * @grace:	in: as in struct rpccancel_cancel
 * @count:	in: elements, 1 to RPCCANCEL_BULK_MAX; out: how many were done
 * @flags:	in: must be 0
 *
 * Cancels them in order.  A target that fails does not stop the others.  EFAULT
 * or EINTR (a fatal signal) stops early, and @count tells how far it came.
 */
struct rpccancel_bulk {
	__u64	targets;
	__u64	grace;
	__u32	count;
	__u32	flags;
};

#define RPCCANCEL_BULK_MAX	65536

/**
 * struct rpccancel_info - one thread; also RPCCANCEL_IOC_INFO, on a handle
 * @pid:	process id, in the caller's pid namespace
 * @tid:	thread id, likewise
 * @comm:	its name, NUL terminated
 * @gen:	its generation: odd in a call
 * @since:	when the call began, as the thread says
 * @tag:	what the thread says
 * @deadline:	when the kernel ends the call, 0 never
 * @pending:	generation of a cancel that has not ended, RPCCANCEL_GEN_NEXT
 *		for one that waits for the next call, 0 for none
 * @mode:	RPCCANCEL_MODE_* | RPCCANCEL_SLOT_*
 * @classes:	RPCCANCEL_CLASS_*
 * @reason:	RPCCANCEL_REASON_* of the pending cancel
 * @state:	RPCCANCEL_STATE_*
 * @syscall:	number of the system call it sleeps in, -1 if none or if it is
 *		not attached
 * @fd:		first argument of that call if it is a descriptor, else -1
 * @attached:	1, or 0 if the thread has only been opened so far
 * @error:	errno the refused calls get, 0 for the default
 *
 * Errors of RPCCANCEL_IOC_INFO: EACCES the handle lacks
 * RPCCANCEL_QUERY_INFORMATION; ESRCH the thread is gone.
 */
struct rpccancel_info {
	__s32	pid;
	__s32	tid;
	__u8	comm[16];
	__u64	gen;
	__u64	since;
	__u64	tag;
	__u64	deadline;
	__u64	pending;
	__u32	mode;
	__u32	classes;
	__u32	reason;
	__u32	state;
	__s32	syscall;
	__s32	fd;
	__u32	attached;
	__s32	error;
};

/**
 * struct rpccancel_list - RPCCANCEL_IOC_LIST, on the device: threads
 * @buf:	in: address of an array of struct rpccancel_info
 * @cursor:	in: 0 to start, then what the last call left; out: see there
 * @count:	in: elements of @buf; out: elements filled, 0 at the end
 * @entry_size:	in: sizeof(struct rpccancel_info), as the caller knows it
 *
 * Shows the threads that the caller may open: the attached ones, and those that
 * have only been opened so far.  A thread that is there for the whole walk is
 * shown exactly once.
 */
struct rpccancel_list {
	__u64	buf;
	__u64	cursor;
	__u32	count;
	__u32	entry_size;
};

/**
 * struct rpccancel_deadline - RPCCANCEL_IOC_DEADLINE, on the device
 * @deadline:	in: when the calling thread's current call ends, absolute; 0
 *		takes a deadline back
 * @flags:	in: must be 0
 * @pad:	in: must be 0
 *
 * For the calling thread, between making slot->gen odd and making it even.  When
 * it passes, the call ends as by a cancel without grace, with
 * RPCCANCEL_REASON_DEADLINE.  It goes with its generation.  Setting another one
 * also takes back a deadline that has passed.
 *
 * Errors: ESRCH the thread is not attached here; EINVAL it is in no call.
 */
struct rpccancel_deadline {
	__u64	deadline;
	__u32	flags;
	__u32	pad;
};

/**
 * struct rpccancel_event - what read(2) on a handle gives
 * @gen:	generation that was cancelled
 * @deadline:	when the grace is over; 0 no end
 * @count:	changes since the last read of this handle
 * @reason:	RPCCANCEL_REASON_*
 * @pad:	0
 *
 * A handle is readable (EPOLLIN) when there is something that this handle has
 * not read yet; each open handle has a memory of its own.  It hangs up
 * (EPOLLHUP) when the thread is gone.  read(2) gives one whole event: EINVAL
 * for a smaller buffer, EAGAIN with O_NONBLOCK, 0 at hang-up.  Both need
 * RPCCANCEL_QUERY_INFORMATION (EACCES, EPOLLERR).  In a scope the event comes when
 * the thread itself is told, which a sleep that is not refused delays.
 */
struct rpccancel_event {
	__u64	gen;
	__u64	deadline;
	__u64	count;
	__u32	reason;
	__u32	pad;
};

/*
 * RPCCANCEL_IOC_DUP, on a handle: a new handle of the same thread with the
 * access mask given as argument, which must not have more rights (EACCES).
 *
 * RPCCANCEL_IOC_DETACH, on the device: detach the calling thread.  Its handles
 * then mean a thread that is gone, also if it attaches again.  ESRCH if it is not
 * attached here.
 *
 * RPCCANCEL_IOC_SETTLE, on the device: the calling thread changed slot->gen and
 * found slot->cancel set.  Ends the cancel of a generation that is over, and
 * lets a cancel that waited for the next call take the one that has begun.
 */
#define RPCCANCEL_IOC_MAGIC	0xBC
#define RPCCANCEL_IOC_QUERY	_IOR(RPCCANCEL_IOC_MAGIC, 0x00, struct rpccancel_query)
#define RPCCANCEL_IOC_ATTACH	_IOWR(RPCCANCEL_IOC_MAGIC, 0x01, struct rpccancel_attach)
#define RPCCANCEL_IOC_DETACH	_IO(RPCCANCEL_IOC_MAGIC, 0x02)
#define RPCCANCEL_IOC_SETTLE	_IO(RPCCANCEL_IOC_MAGIC, 0x03)
#define RPCCANCEL_IOC_DEADLINE	_IOW(RPCCANCEL_IOC_MAGIC, 0x04, struct rpccancel_deadline)
#define RPCCANCEL_IOC_OPEN	_IOW(RPCCANCEL_IOC_MAGIC, 0x05, struct rpccancel_open)
#define RPCCANCEL_IOC_BULK	_IOWR(RPCCANCEL_IOC_MAGIC, 0x06, struct rpccancel_bulk)
#define RPCCANCEL_IOC_LIST	_IOWR(RPCCANCEL_IOC_MAGIC, 0x07, struct rpccancel_list)
#define RPCCANCEL_IOC_CANCEL	_IOWR(RPCCANCEL_IOC_MAGIC, 0x40, struct rpccancel_cancel)
#define RPCCANCEL_IOC_WAIT	_IOWR(RPCCANCEL_IOC_MAGIC, 0x41, struct rpccancel_wait)
#define RPCCANCEL_IOC_INFO	_IOR(RPCCANCEL_IOC_MAGIC, 0x42, struct rpccancel_info)
#define RPCCANCEL_IOC_DUP	_IO(RPCCANCEL_IOC_MAGIC, 0x43)

/* Sizes of the structures in version 1: what the kernel will always take. */
#define RPCCANCEL_QUERY_SIZE_VER1	24
#define RPCCANCEL_ATTACH_SIZE_VER1	8
#define RPCCANCEL_DEADLINE_SIZE_VER1	16
#define RPCCANCEL_OPEN_SIZE_VER1	16
#define RPCCANCEL_BULK_SIZE_VER1	24
#define RPCCANCEL_LIST_SIZE_VER1	24
#define RPCCANCEL_CANCEL_SIZE_VER1	32
#define RPCCANCEL_WAIT_SIZE_VER1	24
#define RPCCANCEL_INFO_SIZE_VER1	96

#endif /* _UAPI_LINUX_RPCCANCEL_H */
