// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The ways to get a thread out of a call. */
#include "demo.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_uint handled; /* signals */

static void count_signal(int signal)
{
	(void)signal;
	handled++;
}

unsigned int handlers_run(void)
{
	return handled;
}

/* Count every signal that a program can handle, without SA_RESTART. */
static int count_signals(struct trial *t)
{
	static const int not_those[] = {
		SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM,
	};
	struct sigaction action = { .sa_handler = count_signal };

	(void)t;
	for (int s = 1; s <= SIGRTMAX; s++) {
		bool skip = s > SIGSYS && s < SIGRTMIN; /* the C library's */

		for (size_t i = 0; i < ARRAY_SIZE(not_those); i++)
			skip |= s == not_those[i];
		if (!skip)
			sigaction(s, &action, NULL);
	}
	return 0;
}

static void fire_kill(struct trial *t)
{
	t->report->status = pthread_kill(t->thread, SIGUSR1);
}

static void fire_cancel(struct trial *t)
{
	t->report->status = pthread_cancel(t->thread);
}

static bool connected_to(int fd, const struct sockaddr_in *addr)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);

	return !getpeername(fd, (struct sockaddr *)&peer, &len) &&
	       peer.sin_family == AF_INET && peer.sin_port == addr->sin_port;
}

/*
 * What a program can do about a socket that a library keeps to itself: guess.
 * The descriptor may be closed, and be another file's, at any moment.
 */
static int search_socket(const struct sockaddr_in *addr)
{
	const struct dirent *entry;
	int found = -1;
	DIR *dir;

	dir = opendir("/proc/self/fd");
	if (!dir)
		return -1;
	while (found < 0 && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && connected_to(fd, addr))
			found = fd;
	}
	closedir(dir);
	return found;
}

static void fire_shutdown(struct trial *t)
{
	int fd = t->fd;

	if (fd < 0) {
		t->report->searched = true;
		fd = search_socket(&t->peer.addr);
	}
	t->report->status = shutdown(fd, SHUT_RDWR) ? errno : 0;
}

/* Whether it can be measured; @why is for a person. */
bool module_present(char *why, size_t size)
{
	struct rpccancel_scope scope;
	RPC_STATUS status;

	if (access("/dev/rpccancel", F_OK)) {
		snprintf(why, size,
			 "the module is not loaded (there is no /dev/rpccancel)");
		return false;
	}
	status = rpccancel_scope_begin(&scope, NULL);
	if (status != RPC_S_OK) {
		snprintf(why, size,
			 "rpccancel_scope_begin() failed with status %d", status);
		return false;
	}
	rpccancel_scope_end(&scope);
	return true;
}

static int prepare_ours(struct trial *t)
{
	count_signals(t);
	return !module_present(t->report->problem, sizeof(t->report->problem));
}

static void enter_scope(struct trial *t)
{
	rpccancel_scope_begin(&t->scope, NULL);
}

static void leave_scope(struct trial *t)
{
	if (t->call == 1)
		t->report->reason = rpccancel_scope_test();
	rpccancel_scope_end(&t->scope);
}

static void fire_ours(struct trial *t)
{
	RPC_STATUS status;
	void *thread;

	status = rpccancel_thread_open(t->tid, THREAD_SET_CONTEXT, &thread);
	if (status == RPC_S_OK) {
		status = RpcCancelThreadEx(thread, 5);
		rpccancel_thread_close(thread);
	}
	t->report->status = status;
}

const struct mechanism mechanisms[] = {
	{
		.name = "pthread_kill",
		.sends_signal = true,
		.repeat = true,
		.prepare = count_signals,
		.fire = fire_kill,
	},
	{
		.name = "pthread_cancel",
		.prepare = count_signals,
		.fire = fire_cancel,
	},
	{
		.name = "shutdown(fd)",
		.repeat = true,
		.prepare = count_signals,
		.fire = fire_shutdown,
	},
	{
		.name = "rpccancel",
		.prepare = prepare_ours,
		.enter = enter_scope,
		.leave = leave_scope,
		.fire = fire_ours,
	},
};

const size_t mechanism_count = ARRAY_SIZE(mechanisms);
const struct mechanism *const ours = &mechanisms[ARRAY_SIZE(mechanisms) - 1];
