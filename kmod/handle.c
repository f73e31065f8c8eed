// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handles: descriptors that stand for a thread.
 *
 * Lifetime: a handle claims its thread's record from open to the release of the
 * file, so the wait queue that pollers and rings sleep on outlives them.  It
 * does not keep the thread; once that is gone, every use fails with ESRCH.
 * Locking: the access mask never changes; @seen is an atomic.
 *
 * The right to cancel is decided when the handle is opened, as for any other
 * descriptor, and goes with it.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "cancel.h"
#include "deliver.h"
#include "handle.h"
#include "inspect.h"
#include "ioctl.h"
#include "stage.h"
#include "thread.h"

/**
 * struct rpcc_handle - one open handle
 * @thread:	the record it claims
 * @access:	RPCCANCEL_SET_CONTEXT, RPCCANCEL_QUERY_INFORMATION
 * @seen:	events that were read through this handle
 */
struct rpcc_handle {
	struct rpcc_thread *thread;
	u32 access;
	atomic64_t seen;
};

static const struct file_operations rpcc_handle_fops;

static int rpcc_handle_release(struct inode *inode, struct file *file)
{
	struct rpcc_handle *handle = file->private_data;

	rpcc_thread_unclaim(handle->thread);
	kfree(handle);

	return 0;
}

/*
 * The caller queues itself on the wait queue before it looks; rpcc_deliver()
 * changes the events before it looks for sleepers:
 *
 *	poll				deliver
 *	----				-------
 *	poll_wait()			events++
 *	  (full barrier)		  (full barrier)
 *	events != seen ?		anybody in the queue ?
 *
 * At least one of the two sees the other.
 */
static __poll_t rpcc_handle_poll(struct file *file, poll_table *wait)
{
	struct rpcc_handle *handle = file->private_data;
	struct rpcc_thread *t = handle->thread;
	__poll_t mask = 0;

	if (!(handle->access & RPCCANCEL_QUERY_INFORMATION))
		return EPOLLERR;

	poll_wait(file, &t->wait, wait);
	rpcc_deliver_watch(t);
	rpcc_stage(RPCC_STAGE_POLL_QUEUED, t->task->pid);

	if (READ_ONCE(t->events) != atomic64_read(&handle->seen))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (!rpcc_thread_alive(t))
		mask |= EPOLLHUP;

	return mask;
}

/* Takes the event that this handle has not seen; false if there is none. */
static bool rpcc_handle_take(struct rpcc_handle *handle,
			     struct rpccancel_event *event)
{
	struct rpcc_thread *t = handle->thread;

	spin_lock_irq(&t->lock);
	*event = t->event;
	event->count = t->events - atomic64_xchg(&handle->seen, t->events);
	spin_unlock_irq(&t->lock);

	return event->count;
}

/* The event could not be told: it is there for the next read. */
static void rpcc_handle_give_back(struct rpcc_handle *handle,
				  const struct rpccancel_event *event)
{
	atomic64_sub(event->count, &handle->seen);
	/* Who looked meanwhile has found nothing. */
	wake_up_all(&handle->thread->wait);
}

static ssize_t rpcc_handle_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct rpcc_handle *handle = file->private_data;
	struct rpcc_thread *t = handle->thread;
	struct rpccancel_event event;
	bool taken;
	int err;

	if (!(handle->access & RPCCANCEL_QUERY_INFORMATION))
		return -EACCES;
	if (iov_iter_count(to) < sizeof(event))
		return -EINVAL;

	taken = rpcc_handle_take(handle, &event);
	if (!taken && (file->f_flags & O_NONBLOCK || iocb->ki_flags & IOCB_NOWAIT))
		return rpcc_thread_alive(t) ? -EAGAIN : 0;
	if (!taken) {
		rpcc_deliver_watch(t);
		err = wait_event_interruptible(t->wait,
					       (taken = rpcc_handle_take(handle, &event)) ||
					       !rpcc_thread_alive(t));
		if (err)
			return err;
		if (!taken)
			return 0;
	}
	if (copy_to_iter(&event, sizeof(event), to) != sizeof(event)) {
		rpcc_handle_give_back(handle, &event);
		return -EFAULT;
	}

	return sizeof(event);
}

#ifdef CONFIG_PROC_FS
static void rpcc_handle_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct rpcc_handle *handle = file->private_data;
	struct rpcc_thread *t = handle->thread;

	seq_printf(m, "rpccancel-tid:\t%d\n",
		   rpcc_thread_alive(t) ?
		   task_pid_nr_ns(t->task, task_active_pid_ns(current)) : -1);
	seq_printf(m, "rpccancel-access:\t%#x\n", handle->access);
	seq_printf(m, "rpccancel-unread:\t%llu\n",
		   READ_ONCE(t->events) - atomic64_read(&handle->seen));
}
#endif

/* A new handle has seen what is over, but not the cancel that is pending. */
static u64 rpcc_handle_first_seen(struct rpcc_thread *t)
{
	u64 seen;

	spin_lock_irq(&t->lock);
	seen = t->pending && t->event.gen == t->pending ? t->events - 1 : t->events;
	spin_unlock_irq(&t->lock);

	return seen;
}

/* A descriptor for a record; takes the caller's claim, also when it fails. */
static int rpcc_handle_install(struct rpcc_thread *t, u32 access)
{
	struct rpcc_handle *handle;
	struct file *file;
	int fd, err = -ENOMEM;

	handle = kzalloc(sizeof(*handle), GFP_KERNEL_ACCOUNT);
	if (!handle)
		goto unclaim;
	handle->thread = t;
	handle->access = access;
	atomic64_set(&handle->seen, rpcc_handle_first_seen(t));

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto free_handle;
	}

	file = anon_inode_getfile("[rpccancel]", &rpcc_handle_fops, handle,
				  O_RDWR | O_CLOEXEC);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto put_fd;
	}
	file->f_mode |= FMODE_NOWAIT;
	fd_install(fd, file);

	return fd;

put_fd:
	put_unused_fd(fd);
free_handle:
	kfree(handle);
unclaim:
	rpcc_thread_unclaim(t);
	return err;
}

static long rpcc_handle_dup(struct rpcc_handle *handle, unsigned long access)
{
	if (!access || access & ~(unsigned long)RPCCANCEL_ACCESS_ALL)
		return -EINVAL;
	if (access & ~handle->access)
		return -EACCES;

	rpcc_thread_claim_again(handle->thread);

	return rpcc_handle_install(handle->thread, access);
}

static long rpcc_handle_cancel(struct rpcc_thread *t, unsigned int cmd,
			       unsigned long arg)
{
	struct rpccancel_cancel req;
	s32 fd;
	int err;

	err = rpcc_ioctl_get(&req, sizeof(req),
			     RPCCANCEL_CANCEL_SIZE_VER1, cmd, arg);
	if (err)
		return err;
	if (req.flags)
		return -EINVAL;

	/* Before the request, which may wake it. */
	rpcc_inspect_state(t, &req.state, &req.syscall, &fd);
	err = rpcc_cancel(t, &req.gen, req.grace, &req.result);
	if (err)
		return err;

	return rpcc_ioctl_put(&req, sizeof(req),
			      RPCCANCEL_CANCEL_SIZE_VER1, cmd, arg);
}

static long rpcc_handle_wait(struct rpcc_thread *t, unsigned int cmd,
			     unsigned long arg)
{
	struct rpccancel_wait req;
	int err;

	err = rpcc_ioctl_get(&req, sizeof(req),
			     RPCCANCEL_WAIT_SIZE_VER1, cmd, arg);
	if (err)
		return err;

	err = rpcc_cancel_wait(t, &req);
	if (err)
		return err;

	return rpcc_ioctl_put(&req, sizeof(req),
			      RPCCANCEL_WAIT_SIZE_VER1, cmd, arg);
}

static long rpcc_handle_info(struct rpcc_thread *t, unsigned int cmd,
			     unsigned long arg)
{
	struct rpccancel_info info;

	if (!rpcc_thread_alive(t))
		return -ESRCH;

	rpcc_inspect(t, task_active_pid_ns(current), &info);
	/* What was seen after an execve() is another program's. */
	if (!rpcc_thread_alive(t))
		return -ESRCH;

	return rpcc_ioctl_put(&info, sizeof(info),
			      RPCCANCEL_INFO_SIZE_VER1, cmd, arg);
}

static long rpcc_handle_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	struct rpcc_handle *handle = file->private_data;
	u32 need = RPCCANCEL_SET_CONTEXT;

	switch (RPCC_IOC_KEY(cmd)) {
	case RPCC_IOC_KEY(RPCCANCEL_IOC_DUP):
		return rpcc_handle_dup(handle, arg);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_INFO):
		need = RPCCANCEL_QUERY_INFORMATION;
		break;
	}

	switch (RPCC_IOC_KEY(cmd)) {
	case RPCC_IOC_KEY(RPCCANCEL_IOC_CANCEL):
	case RPCC_IOC_KEY(RPCCANCEL_IOC_WAIT):
	case RPCC_IOC_KEY(RPCCANCEL_IOC_INFO):
		if (!(handle->access & need))
			return -EACCES;
		break;
	}

	switch (RPCC_IOC_KEY(cmd)) {
	case RPCC_IOC_KEY(RPCCANCEL_IOC_CANCEL):
		return rpcc_handle_cancel(handle->thread, cmd, arg);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_WAIT):
		return rpcc_handle_wait(handle->thread, cmd, arg);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_INFO):
		return rpcc_handle_info(handle->thread, cmd, arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations rpcc_handle_fops = {
	.owner = THIS_MODULE,
	.release = rpcc_handle_release,
	.poll = rpcc_handle_poll,
	.read_iter = rpcc_handle_read,
	.unlocked_ioctl = rpcc_handle_ioctl,
	.llseek = noop_llseek,
#ifdef CONFIG_PROC_FS
	.show_fdinfo = rpcc_handle_show_fdinfo,
#endif
};

/**
 * rpcc_handle_thread() - the record behind a handle's file
 * @file:	any file
 * @access:	the rights that are needed
 *
 * Return: the record, valid while the caller holds @file, or ERR_PTR(): -EBADF
 * if the file is not a handle, -EACCES if it lacks a right.
 */
struct rpcc_thread *rpcc_handle_thread(struct file *file, u32 access)
{
	struct rpcc_handle *handle = file->private_data;

	if (file->f_op != &rpcc_handle_fops)
		return ERR_PTR(-EBADF);
	if (access & ~handle->access)
		return ERR_PTR(-EACCES);

	return handle->thread;
}

/**
 * rpcc_handle_permission() - whether the caller may open a thread
 * @task:	the thread
 *
 * Threads of the caller's own process always; others if the caller may send
 * them a signal, which asks the security modules too.
 *
 * Return: 0 if it may, -EACCES, or -ESRCH if the thread has exited meanwhile.
 */
int rpcc_handle_permission(struct task_struct *task)
{
	struct pid *pid;
	int err;

	if (same_thread_group(current, task))
		return 0;

	pid = get_task_pid(task, PIDTYPE_PID);
	err = kill_pid(pid, 0, 0);
	put_pid(pid);

	return err && err != -ESRCH ? -EACCES : err;
}

/*
 * execve() may make a program of the thread that the caller may not signal, so
 * the right is checked and the record is made while it cannot.
 */
static struct rpcc_thread *rpcc_handle_claim(struct rpcc_device *device,
					     struct task_struct *task)
{
	struct rw_semaphore *exec = &task->signal->exec_update_lock;
	struct rpcc_thread *t;
	int err;

	if (down_read_killable(exec))
		return ERR_PTR(-EINTR);
	err = rpcc_handle_permission(task);
	t = err ? ERR_PTR(err) : rpcc_thread_claim(device, task);
	up_read(exec);

	return t;
}

static struct task_struct *rpcc_handle_find(s32 tid)
{
	struct task_struct *task;
	struct pid *pid;

	if (!tid)
		return get_task_struct(current);

	pid = find_get_pid(tid);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);

	return task;
}

/**
 * rpcc_handle_open() - open a handle by thread number
 * @device:	who pays if the thread has no record yet
 * @req:	what to open
 *
 * Return: the new descriptor, or -EINVAL, -ESRCH, -EACCES, -EDQUOT, -EMFILE,
 * -ENOMEM, -EINTR.
 */
long rpcc_handle_open(struct rpcc_device *device, struct rpccancel_open *req)
{
	struct task_struct *task;
	struct rpcc_thread *t;
	long err;

	if (req->flags || req->tid < 0 || req->tgid < 0 || !req->access ||
	    req->access & ~RPCCANCEL_ACCESS_ALL)
		return -EINVAL;

	task = rpcc_handle_find(req->tid);
	if (!task)
		return -ESRCH;

	err = -ESRCH;
	if (task->flags & (PF_EXITING | PF_KTHREAD | PF_IO_WORKER) ||
	    (req->tgid && task_tgid_vnr(task) != req->tgid))
		goto put_task;

	t = rpcc_handle_claim(device, task);
	if (IS_ERR(t))
		err = PTR_ERR(t);
	else
		err = rpcc_handle_install(t, req->access);

put_task:
	put_task_struct(task);
	return err;
}
