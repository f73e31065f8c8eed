// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * fork(2): its handlers are registered when the library is loaded.
 *
 * At the first use would be too late: the C library calls those handlers only
 * that it knew when the fork began.
 *
 *	thread			forking thread
 *	------			--------------
 *				prepare handlers, without ours
 *	pthread_atfork()
 *	takes a lock
 *				fork(): the child has the lock taken, for ever
 *
 * Locks are taken in the reverse order of registration. So that this is the same
 * as everywhere else, files say where they come; see internal.h.
 */
#include <pthread.h>

#include "internal.h"

static int fork_error;

void rpcc_at_fork(void (*prepare)(void), void (*parent)(void),
		  void (*child)(void))
{
	int err = pthread_atfork(prepare, parent, child);

	if (err)
		fork_error = -err;
}

int rpcc_fork_error(void)
{
	return fork_error;
}
