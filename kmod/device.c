// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/rpccancel: open, map, close, and the commands of the device.
 *
 * Lifetime: struct rpcc_device lives as long as the open file; its mappings hold
 * the file.  It serves the address space that opened it and no other: a child
 * that inherits the descriptor can ask and open, but neither attach nor map.
 * Locking: see thread.c.
 *
 * Anybody may open the device.  What that allows a hostile user, and why it is
 * no more than that, is in Documentation/security.rst.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "broken.h"
#include "cancel.h"
#include "deliver.h"
#include "device.h"
#include "handle.h"
#include "ioctl.h"
#include "list.h"
#include "rearm.h"
#include "slots.h"
#include "stage.h"
#include "thread.h"
#include "timer.h"
#include "user.h"

static int rpcc_device_open(struct inode *inode, struct file *file)
{
	struct rpcc_device *device;

	if (!current->mm)
		return -EOPNOTSUPP;

	device = kzalloc(sizeof(*device), GFP_KERNEL_ACCOUNT);
	if (!device)
		return -ENOMEM;

	device->user = rpcc_user_get_current();
	if (IS_ERR(device->user)) {
		int err = PTR_ERR(device->user);

		kfree(device);
		return err;
	}

	device->mm = current->mm;
	mmgrab(device->mm);
	INIT_LIST_HEAD(&device->threads);
	rpcc_slots_init(device);
	file->private_data = device;

	return nonseekable_open(inode, file);
}

static int rpcc_device_release(struct inode *inode, struct file *file)
{
	struct rpcc_device *device = file->private_data;

	rpcc_thread_detach_all(device);
	rpcc_slots_destroy(device);
	mmdrop(device->mm);
	rpcc_user_put(device->user);
	kfree(device);

	return 0;
}

static int rpcc_device_mmap(struct file *file, struct vm_area_struct *vma)
{
	return rpcc_slots_mmap(file->private_data, vma);
}

static long rpcc_device_query(unsigned int cmd, unsigned long arg)
{
	struct rpccancel_query req = {
		.abi = RPCCANCEL_ABI_VERSION,
		.features = RPCCANCEL_FEATURE_DEADLINE | RPCCANCEL_FEATURE_BULK |
			    RPCCANCEL_FEATURE_LIST,
		.classes = RPCCANCEL_CLASS_ALL,
		.slot_size = sizeof(struct rpccancel_slot),
		.max_slots = RPCC_MAX_SLOTS,
		.user_limit = rpcc_user_limit(),
	};

	if (RPCC_HAVE_NOTIFIER)
		req.features |= RPCCANCEL_FEATURE_NOTIFIER;
	if (RPCC_TEST_BUILD)
		req.features |= RPCCANCEL_FEATURE_TEST;

	return rpcc_ioctl_put(&req, sizeof(req),
			      RPCCANCEL_QUERY_SIZE_VER1, cmd, arg);
}

static long rpcc_device_attach(struct rpcc_device *device, unsigned int cmd,
			       unsigned long arg)
{
	struct rpccancel_attach req;
	struct rpccancel_slot *slot;
	struct rpcc_thread *t;
	int err;

	err = rpcc_ioctl_get(&req, sizeof(req),
			     RPCCANCEL_ATTACH_SIZE_VER1, cmd, arg);
	if (err)
		return err;
	if (req.flags)
		return -EINVAL;

	t = rpcc_thread_prepare(device, &slot);
	if (IS_ERR(t))
		return PTR_ERR(t);

	/* As long as it can be undone: a thread that detaches loses handles. */
	req.slot = t->slot_index;
	err = rpcc_ioctl_put(&req, sizeof(req),
			     RPCCANCEL_ATTACH_SIZE_VER1, cmd, arg);
	if (err)
		goto unprepare;

	rpcc_thread_attach(device, t, slot);

	return 0;

unprepare:
	rpcc_thread_unprepare(device, t, slot);
	return err;
}

static long rpcc_device_settle(struct rpcc_device *device)
{
	struct rpcc_thread *t = rpcc_thread_current(device);

	if (!t)
		return -ESRCH;

	rpcc_stage(RPCC_STAGE_SETTLE, t->task->pid);
	rpcc_deliver(t);

	return 0;
}

static long rpcc_device_deadline(struct rpcc_device *device, unsigned int cmd,
				 unsigned long arg)
{
	struct rpccancel_deadline req;
	struct rpcc_thread *t;
	int err;

	err = rpcc_ioctl_get(&req, sizeof(req),
			     RPCCANCEL_DEADLINE_SIZE_VER1, cmd, arg);
	if (err)
		return err;
	if (req.flags || req.pad)
		return -EINVAL;

	t = rpcc_thread_current(device);
	if (!t)
		return -ESRCH;

	err = rpcc_timer_deadline(t, req.deadline);
	if (err)
		return err;

	/* A deadline that was taken back no longer has to be re-armed. */
	rpcc_deliver(t);

	return 0;
}

static long rpcc_device_open_thread(struct rpcc_device *device,
				    unsigned int cmd, unsigned long arg)
{
	struct rpccancel_open req;
	int err;

	err = rpcc_ioctl_get(&req, sizeof(req),
			     RPCCANCEL_OPEN_SIZE_VER1, cmd, arg);
	if (err)
		return err;

	return rpcc_handle_open(device, &req);
}

static long rpcc_device_bulk(unsigned int cmd, unsigned long arg)
{
	struct rpccancel_bulk req;
	int err, put;

	err = rpcc_ioctl_get(&req, sizeof(req),
			     RPCCANCEL_BULK_SIZE_VER1, cmd, arg);
	if (err)
		return err;

	err = rpcc_cancel_bulk(&req);
	if (err == -EINVAL)
		return err;

	/* How far it came is told also when it stopped early. */
	put = rpcc_ioctl_put(&req, sizeof(req),
			     RPCCANCEL_BULK_SIZE_VER1, cmd, arg);

	return err ?: put;
}

static long rpcc_device_list(unsigned int cmd, unsigned long arg)
{
	struct rpccancel_list req;
	int err;

	err = rpcc_ioctl_get(&req, sizeof(req),
			     RPCCANCEL_LIST_SIZE_VER1, cmd, arg);
	if (err)
		return err;

	err = rpcc_list(&req);
	if (err)
		return err;

	return rpcc_ioctl_put(&req, sizeof(req),
			      RPCCANCEL_LIST_SIZE_VER1, cmd, arg);
}

static long rpcc_device_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	struct rpcc_device *device = file->private_data;

	switch (RPCC_IOC_KEY(cmd)) {
	case RPCC_IOC_KEY(RPCCANCEL_IOC_QUERY):
		return rpcc_device_query(cmd, arg);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_ATTACH):
		return rpcc_device_attach(device, cmd, arg);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_DETACH):
		return rpcc_thread_detach(device);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_SETTLE):
		return rpcc_device_settle(device);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_DEADLINE):
		return rpcc_device_deadline(device, cmd, arg);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_OPEN):
		return rpcc_device_open_thread(device, cmd, arg);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_BULK):
		return rpcc_device_bulk(cmd, arg);
	case RPCC_IOC_KEY(RPCCANCEL_IOC_LIST):
		return rpcc_device_list(cmd, arg);
	default:
		return -ENOTTY;
	}
}

#ifdef CONFIG_PROC_FS
static void rpcc_device_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct rpcc_device *device = file->private_data;
	struct rpcc_thread *t = rpcc_thread_current(device);

	seq_printf(m, "rpccancel-abi:\t%d\n", RPCCANCEL_ABI_VERSION);
	seq_printf(m, "rpccancel-threads:\t%u\n", READ_ONCE(device->attached));
	if (t)
		seq_printf(m, "rpccancel-slot:\t%u\n", t->slot_index);
}
#endif

static const struct file_operations rpcc_device_fops = {
	.owner = THIS_MODULE,
	.open = rpcc_device_open,
	.release = rpcc_device_release,
	.mmap = rpcc_device_mmap,
	.unlocked_ioctl = rpcc_device_ioctl,
#ifdef CONFIG_PROC_FS
	.show_fdinfo = rpcc_device_show_fdinfo,
#endif
};

static struct miscdevice rpcc_device_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "rpccancel",
	.mode = 0666,
	.fops = &rpcc_device_fops,
};

/**
 * rpcc_device_register() - make /dev/rpccancel appear
 *
 * Return: 0 or an error of misc_register().
 */
int rpcc_device_register(void)
{
	return misc_register(&rpcc_device_misc);
}

/**
 * rpcc_device_unregister() - undo rpcc_device_register()
 */
void rpcc_device_unregister(void)
{
	misc_deregister(&rpcc_device_misc);
}
