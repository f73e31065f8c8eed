/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Tests that are run with both I/O engines.
 */
#ifndef ENGINES_H
#define ENGINES_H

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rpccancel.h>

#include "tap.h"

/*
 * An engine is chosen once in a process, so each has a process of its own. What
 * it has counted comes back through a pipe, so that there is one plan.
 */
static inline int both_engines(int (*run)(void))
{
	static const char *const engines[] = { "io_uring", "poll" };
	int fds[2], status, i, count[2], failed = 0;
	pid_t pid;

	for (i = 0; i < 2; i++) {
		fflush(stdout);
		if (pipe(fds))
			abort();
		pid = fork();
		if (!pid) {
			setenv("RPCCANCEL_ENGINE", engines[i], 1);
			printf("# engine: %s\n", rpccancel_engine_name());
			run();
			count[0] = tap_count;
			count[1] = tap_failed;
			fflush(stdout);
			_exit(write(fds[1], count, sizeof(count)) !=
			      sizeof(count));
		}
		close(fds[1]);
		if (read(fds[0], count, sizeof(count)) != sizeof(count))
			failed = 1;
		close(fds[0]);
		if (waitpid(pid, &status, 0) != pid || status)
			failed = 1;
		tap_count = count[0];
		tap_failed = count[1];
	}
	return tap_end() || failed;
}

#endif /* ENGINES_H */
