/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_DEVICE_H
#define _RPCC_DEVICE_H

#include <linux/idr.h>
#include <linux/list.h>
#include <linux/xarray.h>

struct mm_struct;
struct rpcc_user;

/**
 * struct rpcc_device - one open file of /dev/rpccancel
 * @mm:		the address space that opened it, the only one it serves: slots
 *		are never shared by two processes
 * @user:	who is charged for what is made through it
 * @threads:	those attached through it; protected by the table's mutex
 * @attached:	how many these are; likewise
 * @slots:	numbers of the slots in use
 * @pages:	the memory of the slots, page by page
 */
struct rpcc_device {
	struct mm_struct *mm;
	struct rpcc_user *user;
	struct list_head threads;
	unsigned int attached;
	struct ida slots;
	struct xarray pages;
};

int rpcc_device_register(void);
void rpcc_device_unregister(void);

#endif /* _RPCC_DEVICE_H */
