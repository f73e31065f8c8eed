// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of the threads that can be cancelled.
 *
 * Lifetime.  A record is in the table, at most one for a task, as long as
 * anything claims it: its attachment through a device, and open handles.  The
 * last claim takes it out for good (@gone); a task that attaches again gets a
 * new one.  The memory stays until the last reference: one stands for all
 * claims, one for queued task work (which cannot be withdrawn), and one for
 * the scheduler hook.  Each record holds a reference on the module; it is freed
 * by an RCU callback, so the last reference may be dropped in any context.
 *
 * A record holds a reference on its task and never goes by a thread number, so
 * a number that is used again means nothing to it.  execve() makes another
 * program of a task, perhaps with other rights: the record then counts as dead,
 * which is seen by the task's self_exec_id.  A thread that exits without
 * detaching is found dead by those who attach after it, who look for such.
 *
 * Locking.  rpcc_threads_mutex protects the table, the index, claims and the
 * devices' lists; it is taken to attach, detach, open and close, never to
 * cancel.  rpcc_thread.lock protects the state of the cancel; it is taken with
 * interrupts off, inside the mutex.  The scheduler hook takes neither.
 *
 *	signal->exec_update_lock, of a thread that is being opened
 *	  rpcc_threads_mutex
 *	    rpcc_thread.lock
 */
#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "deliver.h"
#include "device.h"
#include "rearm.h"
#include "slots.h"
#include "stage.h"
#include "thread.h"
#include "timer.h"
#include "user.h"

#ifndef HAVE_CALL_RCU_HURRY
#define call_rcu_hurry(head, func)	call_rcu(head, func)
#endif

/* How many of a device's threads are looked at for dead ones. */
#define RPCC_REAP_AT_ATTACH	2
#define RPCC_REAP_AT_LIMIT	256

static const struct rhashtable_params rpcc_threads_params = {
	.head_offset = offsetof(struct rpcc_thread, node),
	.key_offset = offsetof(struct rpcc_thread, task),
	.key_len = sizeof(struct task_struct *),
	.automatic_shrinking = true,
};

static DEFINE_MUTEX(rpcc_threads_mutex);
static struct rhashtable rpcc_threads;
static DEFINE_XARRAY_ALLOC1(rpcc_threads_index);
static u32 rpcc_threads_last_id;
static struct kmem_cache *rpcc_threads_cache;

/**
 * rpcc_thread_alive() - whether the record still means a living thread
 * @t:		the record
 *
 * Return: false once the thread has begun to exit or has called execve().
 */
bool rpcc_thread_alive(const struct rpcc_thread *t)
{
	return !READ_ONCE(t->gone) &&
	       !(READ_ONCE(t->task->flags) & PF_EXITING) &&
	       READ_ONCE(t->task->self_exec_id) == t->exec_id;
}

static void rpcc_thread_free(struct rcu_head *rcu)
{
	struct rpcc_thread *t = container_of(rcu, struct rpcc_thread, rcu);

	if (t->slot)
		rpcc_slot_unpin(t->slot);
	put_task_struct(t->task);
	rpcc_user_put(t->user);
	kmem_cache_free(rpcc_threads_cache, t);
	module_put(THIS_MODULE);
}

/**
 * rpcc_thread_put() - drop a reference, in any context
 * @t:		the record
 */
void rpcc_thread_put(struct rpcc_thread *t)
{
	if (!refcount_dec_and_test(&t->refs))
		return;

	rpcc_user_uncharge(t->user);
	/* Not a lazy one: the module's use count waits for it. */
	call_rcu_hurry(&t->rcu, rpcc_thread_free);
}

/* A new record, charged to the user, with one reference. */
static struct rpcc_thread *rpcc_thread_alloc(struct rpcc_user *user,
					     struct task_struct *task)
{
	struct rpcc_thread *t;
	int err;

	/* What one thread costs, beside its slot: a promise to operators. */
	BUILD_BUG_ON(!IS_ENABLED(CONFIG_DEBUG_SPINLOCK) &&
		     sizeof(struct rpcc_thread) > 512);

	err = rpcc_user_charge(user);
	if (err)
		return ERR_PTR(err);

	t = kmem_cache_zalloc(rpcc_threads_cache, GFP_KERNEL);
	if (!t) {
		rpcc_user_uncharge(user);
		return ERR_PTR(-ENOMEM);
	}

	refcount_set(&t->refs, 1);
	t->task = get_task_struct(task);
	t->exec_id = READ_ONCE(task->self_exec_id);
	t->user = user;
	rpcc_user_get(user);
	INIT_LIST_HEAD(&t->siblings);
	spin_lock_init(&t->lock);
	init_waitqueue_head(&t->wait);
	rpcc_deliver_init(t);
	rpcc_rearm_init(t);
	rpcc_timer_init(t);
	__module_get(THIS_MODULE);

	return t;
}

static int rpcc_thread_insert(struct rpcc_thread *t)
{
	int err;

	err = xa_alloc_cyclic(&rpcc_threads_index, &t->id, NULL, xa_limit_32b,
			      &rpcc_threads_last_id, GFP_KERNEL);
	if (err < 0)
		return err;

	err = rhashtable_insert_fast(&rpcc_threads, &t->node,
				     rpcc_threads_params);
	if (err) {
		xa_erase(&rpcc_threads_index, t->id);
		return err;
	}

	xa_store(&rpcc_threads_index, t->id, t, 0);

	return 0;
}

/* Takes a record out of the table for good. */
static void rpcc_thread_remove(struct rpcc_thread *t)
{
	if (t->gone)
		return;

	rhashtable_remove_fast(&rpcc_threads, &t->node, rpcc_threads_params);
	xa_erase(&rpcc_threads_index, t->id);
	rpcc_deliver_end(t);
}

static void rpcc_thread_drop_claim(struct rpcc_thread *t)
{
	lockdep_assert_held(&rpcc_threads_mutex);

	if (--t->claims)
		return;

	rpcc_thread_remove(t);
	rpcc_timer_destroy(t);
	rpcc_thread_put(t);
}

/* The task's record, with a claim for the caller, or NULL. */
static struct rpcc_thread *rpcc_thread_find(struct task_struct *task)
{
	struct rpcc_thread *t;

	lockdep_assert_held(&rpcc_threads_mutex);

	t = rhashtable_lookup_fast(&rpcc_threads, &task, rpcc_threads_params);
	if (t && !rpcc_thread_alive(t)) {
		rpcc_thread_remove(t);
		t = NULL;
	}
	if (t)
		t->claims++;

	return t;
}

static void rpcc_thread_detach_locked(struct rpcc_thread *t)
{
	struct rpcc_device *device = t->owner;

	lockdep_assert_held(&rpcc_threads_mutex);

	list_del_init(&t->siblings);
	device->attached--;
	spin_lock_irq(&t->lock);
	WRITE_ONCE(t->owner, NULL);
	spin_unlock_irq(&t->lock);

	/* Handles stay, but mean a thread that cannot be cancelled any more. */
	rpcc_thread_remove(t);
	rpcc_slot_free(device, t->slot_index);
	rpcc_thread_drop_claim(t);
}

/*
 * Threads that exited without detaching keep their records and slots until
 * somebody looks: at the next @count of the device, here.
 */
static void rpcc_threads_reap(struct rpcc_device *device, unsigned int count)
{
	struct rpcc_thread *t;

	mutex_lock(&rpcc_threads_mutex);
	while (count-- && !list_empty(&device->threads)) {
		t = list_first_entry(&device->threads, struct rpcc_thread,
				     siblings);
		if (rpcc_thread_alive(t))
			list_move_tail(&t->siblings, &device->threads);
		else
			rpcc_thread_detach_locked(t);
	}
	mutex_unlock(&rpcc_threads_mutex);
}

/* The task's record, made if there is none: allocated outside the mutex. */
static struct rpcc_thread *rpcc_thread_make(struct rpcc_device *device,
					    struct task_struct *task)
{
	struct rpcc_thread *fresh, *t;
	int err = 0;

	fresh = rpcc_thread_alloc(device->user, task);
	if (fresh == ERR_PTR(-EDQUOT)) {
		rpcc_threads_reap(device, RPCC_REAP_AT_LIMIT);
		fresh = rpcc_thread_alloc(device->user, task);
	}
	if (IS_ERR(fresh))
		return fresh;

	mutex_lock(&rpcc_threads_mutex);
	t = rpcc_thread_find(task);
	if (!t) {
		err = rpcc_thread_insert(fresh);
		if (!err) {
			fresh->claims = 1;
			t = fresh;
		}
	}
	mutex_unlock(&rpcc_threads_mutex);

	if (t != fresh)
		rpcc_thread_put(fresh);

	return t ?: ERR_PTR(err);
}

/**
 * rpcc_thread_claim() - the record of any thread, made if there is none
 * @device:	the device that pays if it must be made
 * @task:	the thread
 *
 * Return: the record, until rpcc_thread_unclaim(), or ERR_PTR(): -EDQUOT,
 * -ENOMEM.
 */
struct rpcc_thread *rpcc_thread_claim(struct rpcc_device *device,
				      struct task_struct *task)
{
	struct rpcc_thread *t;

	mutex_lock(&rpcc_threads_mutex);
	t = rpcc_thread_find(task);
	mutex_unlock(&rpcc_threads_mutex);

	return t ?: rpcc_thread_make(device, task);
}

/* A slot for the record, which nobody sees before it is attached. */
static struct rpccancel_slot *rpcc_thread_slot(struct rpcc_device *device,
					       struct rpcc_thread *t)
{
	struct rpccancel_slot *slot;

	/* Only the thread itself attaches. */
	if (t->owner)
		return ERR_PTR(-EALREADY);

	slot = rpcc_slot_alloc(device, &t->slot_index);
	if (slot == ERR_PTR(-ENOSPC)) {
		rpcc_threads_reap(device, RPCC_REAP_AT_LIMIT);
		slot = rpcc_slot_alloc(device, &t->slot_index);
	}

	return slot;
}

/**
 * rpcc_thread_prepare() - all of an attachment that can fail
 * @device:	the device that the calling thread goes through
 * @slot:	out: its slot; @slot_index is the number
 *
 * Return: the thread's record, for rpcc_thread_attach() or
 * rpcc_thread_unprepare(), or ERR_PTR(): -EALREADY, -EDQUOT, -ENOSPC, -ENOMEM,
 * -EPERM for another process than the one that opened the device.
 */
struct rpcc_thread *rpcc_thread_prepare(struct rpcc_device *device,
					struct rpccancel_slot **slot)
{
	struct rpcc_thread *t;

	if (current->mm != device->mm)
		return ERR_PTR(-EPERM);

	/* Each one that comes looks at two, so the dead never outnumber them. */
	rpcc_threads_reap(device, RPCC_REAP_AT_ATTACH);

	t = rpcc_thread_claim(device, current);
	if (IS_ERR(t))
		return t;

	rpcc_stage(RPCC_STAGE_ATTACH_CLAIMED, t->task->pid);
	*slot = rpcc_thread_slot(device, t);
	if (IS_ERR(*slot)) {
		rpcc_thread_unclaim(t);
		return ERR_CAST(*slot);
	}

	return t;
}

/**
 * rpcc_thread_unprepare() - undo rpcc_thread_prepare()
 * @device:	the device
 * @t:		the record
 * @slot:	the slot
 *
 * Handles that the thread had before stay as they are.
 */
void rpcc_thread_unprepare(struct rpcc_device *device, struct rpcc_thread *t,
			   struct rpccancel_slot *slot)
{
	rpcc_slot_free(device, t->slot_index);
	rpcc_slot_unpin(slot);
	rpcc_thread_unclaim(t);
}

/**
 * rpcc_thread_attach() - attach the calling thread
 * @device:	the device it goes through
 * @t:		its record, from rpcc_thread_prepare(): the claim becomes that of
 *		the attachment
 * @slot:	its slot
 *
 * A cancel that came before, through a handle, is shown in the slot at once.
 */
void rpcc_thread_attach(struct rpcc_device *device, struct rpcc_thread *t,
			struct rpccancel_slot *slot)
{
	mutex_lock(&rpcc_threads_mutex);
	spin_lock_irq(&t->lock);
	WRITE_ONCE(t->owner, device);
	WRITE_ONCE(t->slot, slot);
	spin_unlock_irq(&t->lock);
	list_add_tail(&t->siblings, &device->threads);
	device->attached++;
	mutex_unlock(&rpcc_threads_mutex);

	rpcc_stage(RPCC_STAGE_ATTACHED, t->task->pid);
	rpcc_deliver(t);
}

/**
 * rpcc_thread_current() - the record of the calling thread
 * @device:	the device it must be attached through
 *
 * Return: the record, valid while the caller keeps @device open and does not
 * detach itself, or NULL.
 */
struct rpcc_thread *rpcc_thread_current(struct rpcc_device *device)
{
	struct task_struct *task = current;
	struct rpcc_thread *t;

	/* Nobody else can detach it while its device is in use by this call. */
	rcu_read_lock();
	t = rhashtable_lookup_fast(&rpcc_threads, &task, rpcc_threads_params);
	if (t && (READ_ONCE(t->owner) != device || !rpcc_thread_alive(t)))
		t = NULL;
	rcu_read_unlock();

	return t;
}

/**
 * rpcc_thread_detach() - detach the calling thread
 * @device:	the device it was attached through
 *
 * Return: 0 or -ESRCH.
 */
int rpcc_thread_detach(struct rpcc_device *device)
{
	struct rpcc_thread *t;

	rpcc_stage(RPCC_STAGE_DETACH, current->pid);
	mutex_lock(&rpcc_threads_mutex);
	t = rpcc_thread_current(device);
	if (t) {
		rpcc_rearm_off(t);
		rpcc_thread_detach_locked(t);
	}
	mutex_unlock(&rpcc_threads_mutex);

	return t ? 0 : -ESRCH;
}

/**
 * rpcc_thread_forget() - the calling thread is no longer the one it was
 * @t:		its record, with a reference held by the caller
 *
 * From its task work: it exits, or has become another program, or was detached.
 */
void rpcc_thread_forget(struct rpcc_thread *t)
{
	rpcc_stage(RPCC_STAGE_FORGET, t->task->pid);
	mutex_lock(&rpcc_threads_mutex);
	rpcc_thread_remove(t);
	if (t->owner)
		rpcc_thread_detach_locked(t);
	mutex_unlock(&rpcc_threads_mutex);
}

/**
 * rpcc_thread_detach_all() - the device is closed
 * @device:	the device
 */
void rpcc_thread_detach_all(struct rpcc_device *device)
{
	struct rpcc_thread *t;

	/* The file is being released: nobody attaches any more. */
	while (!list_empty(&device->threads)) {
		rpcc_stage(RPCC_STAGE_DETACH_ALL, current->pid);
		mutex_lock(&rpcc_threads_mutex);
		t = list_first_entry_or_null(&device->threads,
					     struct rpcc_thread, siblings);
		if (t)
			rpcc_thread_detach_locked(t);
		mutex_unlock(&rpcc_threads_mutex);
		cond_resched();
	}
}

/**
 * rpcc_thread_claim_again() - one more claim, for a duplicate handle
 * @t:		a record that the caller has a claim on
 */
void rpcc_thread_claim_again(struct rpcc_thread *t)
{
	mutex_lock(&rpcc_threads_mutex);
	t->claims++;
	mutex_unlock(&rpcc_threads_mutex);
}

/**
 * rpcc_thread_unclaim() - a handle is closed
 * @t:		its record
 */
void rpcc_thread_unclaim(struct rpcc_thread *t)
{
	rpcc_stage(RPCC_STAGE_UNCLAIM, t->task->pid);
	mutex_lock(&rpcc_threads_mutex);
	rpcc_thread_drop_claim(t);
	mutex_unlock(&rpcc_threads_mutex);
}

/**
 * rpcc_thread_next() - walk over all records
 * @id:		in: where to start; out: number of the record found
 *
 * Numbers are not used again before 2^32 others were, so a walk by number shows
 * what is there all the time exactly once.
 *
 * Return: the record with the next number from @id on, with a reference, or
 * NULL at the end.
 */
struct rpcc_thread *rpcc_thread_next(unsigned long *id)
{
	struct rpcc_thread *t;

	rcu_read_lock();
	t = xa_find(&rpcc_threads_index, id, U32_MAX, XA_PRESENT);
	while (t && !refcount_inc_not_zero(&t->refs))
		t = xa_find_after(&rpcc_threads_index, id, U32_MAX, XA_PRESENT);
	rcu_read_unlock();

	return t;
}

/**
 * rpcc_threads_init() - prepare the table, at module load
 *
 * Return: 0 or -ENOMEM.
 */
int rpcc_threads_init(void)
{
	int err;

	rpcc_threads_cache = kmem_cache_create("rpccancel_thread",
					       sizeof(struct rpcc_thread), 0,
					       SLAB_ACCOUNT, NULL);
	if (!rpcc_threads_cache)
		return -ENOMEM;

	err = rhashtable_init(&rpcc_threads, &rpcc_threads_params);
	if (err)
		kmem_cache_destroy(rpcc_threads_cache);

	return err;
}

/**
 * rpcc_threads_exit() - undo rpcc_threads_init(); no record is left
 */
void rpcc_threads_exit(void)
{
	rhashtable_destroy(&rpcc_threads);
	xa_destroy(&rpcc_threads_index);
	kmem_cache_destroy(rpcc_threads_cache);
}
