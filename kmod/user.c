// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who pays: how many records each user has.
 *
 * Lifetime: a struct rpcc_user is created for the first open device of a user
 * and lives until its last device and its last record are gone; each of them
 * holds a reference.  Locking: rpcc_users_lock protects the list, the
 * references and the counts.  The list is short: one element for each user of
 * the module, not for each thread.
 */
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
	unsigned int threads;
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

/* Also called when a record is freed, from an RCU callback: hence the _bh. */
static void rpcc_user_drop(struct rpcc_user *user, unsigned int threads)
{
	bool last;

	spin_lock_bh(&rpcc_users_lock);
	user->threads -= threads;
	last = !--user->refs;
	if (last)
		list_del(&user->node);
	spin_unlock_bh(&rpcc_users_lock);

	if (last)
		kfree(user);
}

/**
 * rpcc_user_put() - give a reference back
 * @user:	what rpcc_user_get_current() returned
 */
void rpcc_user_put(struct rpcc_user *user)
{
	rpcc_user_drop(user, 0);
}

/**
 * rpcc_user_charge() - count one more record
 * @user:	who pays
 *
 * Return: @user, to be given to rpcc_user_uncharge() once, or ERR_PTR(-EDQUOT)
 * when the limit is reached and the caller may not pass it.
 */
struct rpcc_user *rpcc_user_charge(struct rpcc_user *user)
{
	bool full;

	spin_lock_bh(&rpcc_users_lock);
	full = user->threads >= READ_ONCE(max_threads_per_user);
	if (!full) {
		user->threads++;
		user->refs++;
	}
	spin_unlock_bh(&rpcc_users_lock);

	if (!full)
		return user;
	if (!capable(CAP_SYS_RESOURCE))
		return ERR_PTR(-EDQUOT);

	spin_lock_bh(&rpcc_users_lock);
	user->threads++;
	user->refs++;
	spin_unlock_bh(&rpcc_users_lock);

	return user;
}

/**
 * rpcc_user_uncharge() - undo rpcc_user_charge()
 * @user:	what it returned
 */
void rpcc_user_uncharge(struct rpcc_user *user)
{
	rpcc_user_drop(user, 1);
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
