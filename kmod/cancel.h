/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_CANCEL_H
#define _RPCC_CANCEL_H

#include <linux/rpccancel.h>

struct rpcc_device;
struct rpcc_thread;

int rpcc_cancel(struct rpcc_thread *t, u64 *gen, u64 grace, u32 *result);
int rpcc_cancel_wait(struct rpcc_thread *t, struct rpccancel_wait *req);
int rpcc_cancel_bulk(struct rpccancel_bulk *req);

#endif /* _RPCC_CANCEL_H */
