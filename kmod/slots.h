/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_SLOTS_H
#define _RPCC_SLOTS_H

#include <linux/mm.h>
#include <linux/rpccancel.h>

struct rpcc_device;

#define RPCC_SLOTS_PER_PAGE	(PAGE_SIZE / sizeof(struct rpccancel_slot))
#define RPCC_SLOT_PAGES		1024U
#define RPCC_MAX_SLOTS		((u32)(RPCC_SLOT_PAGES * RPCC_SLOTS_PER_PAGE))

void rpcc_slots_init(struct rpcc_device *device);
void rpcc_slots_destroy(struct rpcc_device *device);
struct rpccancel_slot *rpcc_slot_alloc(struct rpcc_device *device, u32 *index);
void rpcc_slot_free(struct rpcc_device *device, u32 index);
void rpcc_slot_unpin(struct rpccancel_slot *slot);
int rpcc_slots_mmap(struct rpcc_device *device, struct vm_area_struct *vma);

#endif /* _RPCC_SLOTS_H */
