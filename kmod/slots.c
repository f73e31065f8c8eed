// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that attached threads share with the kernel.
 *
 * Each open device has up to RPCC_SLOT_PAGES pages of slots, allocated when the
 * first slot of a page is handed out or the page is mapped, and charged to the
 * memory cgroup of the caller.
 *
 * Lifetime: a page belongs to the device and goes with it.  Each thread's record
 * holds a reference on the page of its slot, so the scheduler hook may look at
 * a slot even when the device has just been closed.  Mappings hold references
 * as usual.  Locking: the xarray and the ida lock themselves.
 *
 * The kernel never trusts what is in a slot: every field is read once.
 */
#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/gfp.h>

#include "device.h"
#include "slots.h"

/**
 * rpcc_slots_init() - prepare a new device
 * @device:	the device
 */
void rpcc_slots_init(struct rpcc_device *device)
{
	BUILD_BUG_ON(sizeof(struct rpccancel_slot) != 64);

	ida_init(&device->slots);
	xa_init(&device->pages);
}

/**
 * rpcc_slots_destroy() - undo rpcc_slots_init(), without slots in use
 * @device:	the device
 */
void rpcc_slots_destroy(struct rpcc_device *device)
{
	struct page *page;
	unsigned long index;

	xa_for_each(&device->pages, index, page)
		put_page(page);
	xa_destroy(&device->pages);
	ida_destroy(&device->slots);
}

/* Two callers may race for the same page; the loser takes the winner's. */
static struct page *rpcc_slots_page(struct rpcc_device *device,
				    unsigned long index)
{
	struct page *page, *old;

	page = xa_load(&device->pages, index);
	if (page)
		return page;

	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page)
		return ERR_PTR(-ENOMEM);

	old = xa_cmpxchg(&device->pages, index, NULL, page, GFP_KERNEL_ACCOUNT);
	if (!old)
		return page;

	put_page(page);

	return xa_is_err(old) ? ERR_PTR(xa_err(old)) : old;
}

/**
 * rpcc_slot_alloc() - take a free slot
 * @device:	the device
 * @index:	out: its number
 *
 * Return: the slot, zeroed, its page pinned until rpcc_slot_unpin(); or
 * ERR_PTR(-ENOSPC) when all are taken, or ERR_PTR(-ENOMEM).
 */
struct rpccancel_slot *rpcc_slot_alloc(struct rpcc_device *device, u32 *index)
{
	struct rpccancel_slot *slot;
	struct page *page;
	int nr;

	nr = ida_alloc_max(&device->slots, RPCC_MAX_SLOTS - 1,
			   GFP_KERNEL_ACCOUNT);
	if (nr < 0)
		return ERR_PTR(nr);

	page = rpcc_slots_page(device, nr / RPCC_SLOTS_PER_PAGE);
	if (IS_ERR(page)) {
		ida_free(&device->slots, nr);
		return ERR_CAST(page);
	}

	get_page(page);
	slot = page_address(page);
	slot += nr % RPCC_SLOTS_PER_PAGE;
	memset(slot, 0, sizeof(*slot));
	*index = nr;

	return slot;
}

/**
 * rpcc_slot_free() - let another thread have the slot
 * @device:	the device
 * @index:	number of the slot
 */
void rpcc_slot_free(struct rpcc_device *device, u32 index)
{
	ida_free(&device->slots, index);
}

/**
 * rpcc_slot_unpin() - the record that looked at the slot is freed
 * @slot:	the slot
 */
void rpcc_slot_unpin(struct rpccancel_slot *slot)
{
	put_page(virt_to_page(slot));
}

static void rpcc_slots_vm_flags(struct vm_area_struct *vma)
{
	/*
	 * A forked child is another process: it must not write our slots, and
	 * VM_IO keeps madvise() from changing that.
	 */
	const unsigned long set = VM_IO | VM_DONTCOPY | VM_DONTEXPAND |
				  VM_DONTDUMP;

#ifdef HAVE_VM_FLAGS_SET
	vm_flags_mod(vma, set, VM_MAYEXEC);
#else
	vma->vm_flags |= set;
	vma->vm_flags &= ~VM_MAYEXEC;
#endif
}

/**
 * rpcc_slots_mmap() - map pages of slots
 * @device:	the device
 * @vma:	where, and which ones
 *
 * Return: 0, or -EINVAL for a private, executable or too far mapping, -EPERM
 * for another process, -ENOMEM.
 */
int rpcc_slots_mmap(struct rpcc_device *device, struct vm_area_struct *vma)
{
	unsigned long i, pages = vma_pages(vma);

	if (vma->vm_mm != device->mm)
		return -EPERM;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	if (vma->vm_pgoff >= RPCC_SLOT_PAGES ||
	    pages > RPCC_SLOT_PAGES - vma->vm_pgoff)
		return -EINVAL;

	rpcc_slots_vm_flags(vma);

	for (i = 0; i < pages; i++) {
		unsigned long address = vma->vm_start + i * PAGE_SIZE;
		struct page *page;
		int err;

		page = rpcc_slots_page(device, vma->vm_pgoff + i);
		if (IS_ERR(page))
			return PTR_ERR(page);
		err = vm_insert_page(vma, address, page);
		if (err)
			return err;
	}

	return 0;
}
