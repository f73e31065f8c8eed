// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who pays: how many records each user has.
 *
 * Lifetime: a struct rpcc_user is created for the first open device of a user
 * and lives until its last device and its last record are freed; each of them
 * holds a reference.  A record stops counting as soon as nothing refers to it,
 * which may be in any context, and is freed later.  Locking: rpcc_users_lock
 * protects the list and the references; the count is atomic.  The list is short:
 * one element for each user of the module, not for each thread.
 */
#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "user.h"

struct rpcc_user {
	struct list_head node;
	kuid_t uid;
	unsigned int refs;
	atomic_t threads;
};

static LIST_HEAD(rpcc_users);
static DEFINE_SPINLOCK(rpcc_users_lock);

static unsigned int max_threads_per_user = 32768;
module_param(max_threads_per_user, uint, 0644);
MODULE_PARM_DESC(max_threads_per_user,
		 "Threads one user may have attached or opened without CAP_SYS_RESOURCE");

static struct rpcc_user *rpcc_user_find(kuid_t uid)
{
	struct rpcc_user *user;

	list_for_each_entry(user, &rpcc_users, node) {
		if (uid_eq(user->uid, uid))
			return user;
	}

	return NULL;
}

/**
 * rpcc_user_get_current() - the record of the caller's real user
 *
 * Return: it, with a reference for the caller, or ERR_PTR(-ENOMEM).
 */
struct rpcc_user *rpcc_user_get_current(void)
{
	struct rpcc_user *fresh, *user;

	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return ERR_PTR(-ENOMEM);
	fresh->uid = current_uid();

	spin_lock_bh(&rpcc_users_lock);
	user = rpcc_user_find(fresh->uid);
	if (!user) {
		user = fresh;
		fresh = NULL;
		list_add(&user->node, &rpcc_users);
	}
	user->refs++;
	spin_unlock_bh(&rpcc_users_lock);

	kfree(fresh);

	return user;
}

/**
 * rpcc_user_get() - take another reference
 * @user:	what the caller has a reference on
 */
void rpcc_user_get(struct rpcc_user *user)
{
	spin_lock_bh(&rpcc_users_lock);
	user->refs++;
	spin_unlock_bh(&rpcc_users_lock);
}

/**
 * rpcc_user_put() - give a reference back
 * @user:	the user
 *
 * Also called when a record is freed, from an RCU callback: hence the _bh.
 */
void rpcc_user_put(struct rpcc_user *user)
{
	bool last;

	spin_lock_bh(&rpcc_users_lock);
	last = !--user->refs;
	if (last)
		list_del(&user->node);
	spin_unlock_bh(&rpcc_users_lock);

	if (last)
		kfree(user);
}

/**
 * rpcc_user_charge() - count one more record
 * @user:	who pays
 *
 * Return: 0, or -EDQUOT when the limit is reached and the caller may not pass it.
 */
int rpcc_user_charge(struct rpcc_user *user)
{
	if (atomic_inc_return(&user->threads) <= READ_ONCE(max_threads_per_user) ||
	    capable(CAP_SYS_RESOURCE))
		return 0;

	atomic_dec(&user->threads);

	return -EDQUOT;
}

/**
 * rpcc_user_uncharge() - count one record less, in any context
 * @user:	who paid
 */
void rpcc_user_uncharge(struct rpcc_user *user)
{
	atomic_dec(&user->threads);
}

/**
 * rpcc_user_limit() - the limit in force
 *
 * Return: how many records a user may have.
 */
u32 rpcc_user_limit(void)
{
	return READ_ONCE(max_threads_per_user);
}
