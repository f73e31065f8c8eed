// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists of threads: by ioctl for those who may open them, and all of them in
 * debugfs for the administrator.
 *
 * Lifetime: each record is held by a reference only while it is shown.  Locking:
 * none; the walk goes by record number, see rpcc_thread_next().
 */
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "handle.h"
#include "inspect.h"
#include "ioctl.h"
#include "list.h"
#include "thread.h"

static bool rpcc_list_visible(struct rpcc_thread *t, struct pid_namespace *ns)
{
	return rpcc_thread_alive(t) && task_pid_nr_ns(t->task, ns) &&
	       !rpcc_handle_permission(t->task);
}

/**
 * rpcc_list() - copy a part of the list to the caller
 * @req:	where to, and from where on; out: how many, and where it goes on
 *
 * Return: 0, -EINVAL, -EFAULT, -EINTR.
 */
int rpcc_list(struct rpccancel_list *req)
{
	void __user *buf = u64_to_user_ptr(req->buf);
	size_t size = req->entry_size;
	struct pid_namespace *ns = task_active_pid_ns(current);
	unsigned long id = req->cursor;
	u32 room = req->count;
	struct rpcc_thread *t;

	if (size < RPCCANCEL_INFO_SIZE_VER1 || size > PAGE_SIZE || !room ||
	    req->cursor > (u64)U32_MAX + 1)
		return -EINVAL;

	req->count = 0;
	while (req->count < room && (t = rpcc_thread_next(&id))) {
		struct rpccancel_info info;
		bool visible = rpcc_list_visible(t, ns);

		if (visible) {
			rpcc_inspect(t, ns, &info);
			visible = rpcc_thread_alive(t);
		}
		rpcc_thread_put(t);
		id++;
		if (visible && rpcc_ioctl_copy(buf + size * req->count++, &info,
					       sizeof(info), size))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	req->cursor = id;

	return 0;
}

static void *rpcc_list_seq_next(struct seq_file *m, void *v, loff_t *pos)
{
	unsigned long id = ++*pos;
	struct rpcc_thread *t;

	if (v != SEQ_START_TOKEN)
		rpcc_thread_put(v);
	t = rpcc_thread_next(&id);
	if (t)
		*pos = id;

	return t;
}

static void *rpcc_list_seq_start(struct seq_file *m, loff_t *pos)
{
	unsigned long id = *pos;
	struct rpcc_thread *t;

	if (!*pos)
		return SEQ_START_TOKEN;
	t = rpcc_thread_next(&id);
	if (t)
		*pos = id;

	return t;
}

static void rpcc_list_seq_stop(struct seq_file *m, void *v)
{
	if (v && v != SEQ_START_TOKEN)
		rpcc_thread_put(v);
}

static const char *rpcc_list_state(u32 state)
{
	static const char * const names[] = {
		[RPCCANCEL_STATE_RUNNING] = "running",
		[RPCCANCEL_STATE_BLOCKED] = "blocked",
		[RPCCANCEL_STATE_EXCLUDED] = "excluded",
		[RPCCANCEL_STATE_UNINTERRUPTIBLE] = "uninterruptible",
		[RPCCANCEL_STATE_STOPPED] = "stopped",
	};

	return names[state];
}

static int rpcc_list_seq_show(struct seq_file *m, void *v)
{
	struct rpccancel_info info;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "pid tid mode gen since state syscall fd pending reason deadline tag comm\n");
		return 0;
	}
	if (!rpcc_thread_alive(v))
		return SEQ_SKIP;

	rpcc_inspect(v, &init_pid_ns, &info);
	seq_printf(m, "%d %d ", info.pid, info.tid);
	if (!info.attached)
		seq_puts(m, "opened");
	else if (!(info.gen & 1))
		seq_puts(m, "idle");
	else
		seq_puts(m, info.mode & RPCCANCEL_MODE_CALL ? "call" : "scope");
	seq_printf(m, " %llu %llu %s %d %d ", info.gen, info.since,
		   rpcc_list_state(info.state), info.syscall, info.fd);
	if (info.pending == RPCCANCEL_GEN_NEXT)
		seq_puts(m, "next");
	else
		seq_printf(m, "%llu", info.pending);
	seq_printf(m, " %#x %llu %#llx ", info.reason, info.deadline, info.tag);
	seq_escape(m, info.comm, " \t\n\\");
	seq_putc(m, '\n');

	return 0;
}

static const struct seq_operations rpcc_list_sops = {
	.start = rpcc_list_seq_start,
	.next = rpcc_list_seq_next,
	.stop = rpcc_list_seq_stop,
	.show = rpcc_list_seq_show,
};
DEFINE_SEQ_ATTRIBUTE(rpcc_list);

static struct dentry *rpcc_list_dir;

/**
 * rpcc_list_debugfs_init() - create rpccancel/threads in debugfs
 *
 * As usual for debugfs, the module works as well without it.
 */
void rpcc_list_debugfs_init(void)
{
	rpcc_list_dir = debugfs_create_dir("rpccancel", NULL);
	debugfs_create_file("threads", 0400, rpcc_list_dir, NULL, &rpcc_list_fops);
}

/**
 * rpcc_list_debugfs_exit() - undo rpcc_list_debugfs_init()
 */
void rpcc_list_debugfs_exit(void)
{
	debugfs_remove(rpcc_list_dir);
}
