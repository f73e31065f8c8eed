// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The choice of the back end: the kernel module if it can be had, otherwise the
 * one in user space; or what the environment's RPCCANCEL_BACKEND says, "kernel"
 * or "user", which programs that run with more rights than their user's ignore.
 *
 * It is made once. As long as it would be user space, and nothing has been
 * attached or opened there, it is made anew each time: the module may be loaded
 * later. A shortage (descriptors, memory) decides nothing; the kernel's back end
 * tells the caller of it.
 *
 * Locking: choice.lock is taken before the locks of the back ends. @chosen is
 * read without it, since it changes only from NULL.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "internal.h"
#include "log.h"

enum wish {
	WISH_UNKNOWN,
	WISH_NONE,
	WISH_KERNEL,
	WISH_USER,
};

static struct {
	pthread_mutex_t lock;
	const struct rpcc_backend *_Atomic chosen;
	atomic_int kernel_error; /* why it is not the kernel */
	atomic_int told;	 /* what the log has been told of that */
	enum wish wish;
} choice = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.told = -1,
};

static enum wish read_wish(void)
{
	const char *name = secure_getenv("RPCCANCEL_BACKEND");

	if (name && !strcmp(name, rpcc_kernel_backend.name))
		return WISH_KERNEL;
	if (name && !strcmp(name, rpcc_user_backend.name))
		return WISH_USER;
	return WISH_NONE;
}

static const struct rpcc_backend *unless_kernel(int err)
{
	atomic_store(&choice.kernel_error, err);
	return &rpcc_user_backend;
}

/* @stays: whether it is to be what the process has from now on. */
static const struct rpcc_backend *pick(bool *stays)
{
	struct rpccancel_query query;
	int err;

	if (choice.wish == WISH_UNKNOWN)
		choice.wish = read_wish();
	if (choice.wish == WISH_USER)
		return unless_kernel(-EOPNOTSUPP);

	err = rpcc_kernel_backend.query(&query);
	*stays = !err;
	if (choice.wish == WISH_KERNEL)
		return &rpcc_kernel_backend;
	switch (err) {
	case -EOPNOTSUPP:
		return unless_kernel(err);
	case -EACCES:
	case -EPERM:
		return unless_kernel(-EACCES);
	default:
		return &rpcc_kernel_backend;
	}
}

/* Each reason once: there may be an attempt for each scope. */
static void tell_why(void)
{
	int error = rpcc_kernel_backend.open_error();

	if (atomic_exchange(&choice.told, error) == error)
		return;
	rpcc_log(RPCCANCEL_LOG_INFO, "no scopes: /dev/rpccancel: %s",
		 error ? strerrordesc_np(error) : "older than the library");
}

static const struct rpcc_backend *choose(bool use)
{
	const struct rpcc_backend *backend;
	bool stays = false;

	pthread_mutex_lock(&choice.lock);
	backend = atomic_load(&choice.chosen);
	if (!backend) {
		backend = pick(&stays);
		if (stays || (use && backend->local))
			atomic_store(&choice.chosen, backend);
	}
	pthread_mutex_unlock(&choice.lock);

	/* Without the lock: the application may do much in its log function. */
	if (backend->local && choice.wish != WISH_USER)
		tell_why();
	return backend;
}

const struct rpcc_backend *rpcc_backend(void)
{
	const struct rpcc_backend *backend = atomic_load(&choice.chosen);

	return likely(backend) ? backend : choose(false);
}

const struct rpcc_backend *rpcc_backend_use(void)
{
	const struct rpcc_backend *backend = atomic_load(&choice.chosen);

	return likely(backend) ? backend : choose(true);
}

int rpcc_backend_scopes(void)
{
	if (!rpcc_backend()->local)
		return 0;
	return atomic_load(&choice.kernel_error);
}

EXPORT const char *rpccancel_backend_name(void)
{
	return rpcc_backend()->name;
}

/* Both, for one that was not chosen may have been asked something, too. */
void rpcc_backend_fork_prepare(void)
{
	pthread_mutex_lock(&choice.lock);
	rpcc_kernel_backend.fork_prepare();
	rpcc_user_backend.fork_prepare();
}

void rpcc_backend_fork_parent(void)
{
	rpcc_user_backend.fork_parent();
	rpcc_kernel_backend.fork_parent();
	pthread_mutex_unlock(&choice.lock);
}

void rpcc_backend_fork_child(void)
{
	rpcc_user_backend.fork_child();
	rpcc_kernel_backend.fork_child();
	pthread_mutex_unlock(&choice.lock);
}
