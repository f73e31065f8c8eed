// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The application's log function, one for the process.
 *
 * Locking: log_hook.lock makes the function and its context one pair. It is not
 * held while the function runs, which may therefore take any lock, set another
 * function, or fork; and which may still run in one thread when another has
 * just replaced it.
 *
 * A fork waits for the lock: else a child could be born while a thread that it
 * does not have holds it.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "internal.h"
#include "log.h"

#define MESSAGE_SIZE 512 /* longer ones are cut */

static struct {
	pthread_mutex_t lock;
	_Atomic(rpccancel_log_fn *) fn;
	void *context;
} log_hook = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

static void lock_hook(void)
{
	pthread_mutex_lock(&log_hook.lock);
}

static void unlock_hook(void)
{
	pthread_mutex_unlock(&log_hook.lock);
}

RPCC_AT_FORK(RPCC_FORK_LOG, lock_hook, unlock_hook, unlock_hook);

EXPORT void rpccancel_set_log(rpccancel_log_fn *log, void *context)
{
	lock_hook();
	log_hook.fn = log;
	log_hook.context = context;
	unlock_hook();
}

void rpcc_log(int level, const char *format, ...)
{
	KEEP_ERRNO();
	char message[MESSAGE_SIZE];
	rpccancel_log_fn *fn;
	void *context;
	va_list args;

	if (!atomic_load(&log_hook.fn))
		return;
	lock_hook();
	fn = log_hook.fn;
	context = log_hook.context;
	unlock_hook();
	if (!fn)
		return;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	fn(context, level, message);
}
