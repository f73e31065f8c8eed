/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_HANDLE_H
#define _RPCC_HANDLE_H

#include <linux/rpccancel.h>

struct file;
struct rpcc_device;
struct rpcc_thread;
struct task_struct;

long rpcc_handle_open(struct rpcc_device *device, struct rpccancel_open *req);
int rpcc_handle_permission(struct task_struct *task);
struct rpcc_thread *rpcc_handle_thread(struct file *file, u32 access);

#endif /* _RPCC_HANDLE_H */
