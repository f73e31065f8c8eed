/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_IOCTL_H
#define _RPCC_IOCTL_H

#include <linux/ioctl.h>
#include <linux/minmax.h>
#include <linux/uaccess.h>

/* A command without its size, which may differ between kernel and caller. */
#define RPCC_IOC_KEY(cmd)	((cmd) & ~IOCSIZE_MASK)

/*
 * Copies a command's structure in.  @size is what the kernel knows, @least what
 * version 1 had: -EINVAL for less, -E2BIG for more that is not zero.
 */
static inline int rpcc_ioctl_get(void *req, size_t size, size_t least,
				 unsigned int cmd, unsigned long arg)
{
	if (_IOC_SIZE(cmd) < least)
		return -EINVAL;

	return copy_struct_from_user(req, size, (void __user *)arg,
				     _IOC_SIZE(cmd));
}

/* Copies a structure to a caller who knows @usize bytes of it; the rest is zero. */
static inline int rpcc_ioctl_copy(void __user *to, const void *req, size_t size,
				  size_t usize)
{
	size_t known = min(size, usize);

	if (copy_to_user(to, req, known) || clear_user(to + known, usize - known))
		return -EFAULT;

	return 0;
}

/* Copies a command's structure out. */
static inline int rpcc_ioctl_put(const void *req, size_t size, size_t least,
				 unsigned int cmd, unsigned long arg)
{
	if (_IOC_SIZE(cmd) < least)
		return -EINVAL;

	return rpcc_ioctl_copy((void __user *)arg, req, size, _IOC_SIZE(cmd));
}

#endif /* _RPCC_IOCTL_H */
