/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_IOCTL_H
#define _RPCC_IOCTL_H

#include <linux/ioctl.h>
#include <linux/minmax.h>
#include <linux/uaccess.h>

/* A command without its size, which may differ between kernel and caller. */
#define RPCC_IOC_KEY(cmd)	((cmd) & ~IOCSIZE_MASK)

/* Copies a command's structure in: -EINVAL if short, -E2BIG if newer and used. */
static inline int rpcc_ioctl_get(void *req, size_t size, unsigned int cmd,
				 unsigned long arg)
{
	if (_IOC_SIZE(cmd) < size)
		return -EINVAL;

	return copy_struct_from_user(req, size, (void __user *)arg,
				     _IOC_SIZE(cmd));
}

/* Copies it out; what only a newer caller knows reads as zero. */
static inline int rpcc_ioctl_put(const void *req, size_t size, unsigned int cmd,
				 unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	if (_IOC_SIZE(cmd) < size)
		return -EINVAL;
	if (copy_to_user(uarg, req, size) ||
	    clear_user(uarg + size, _IOC_SIZE(cmd) - size))
		return -EFAULT;

	return 0;
}

#endif /* _RPCC_IOCTL_H */
