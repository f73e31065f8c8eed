// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What of the library works where this program runs.
 *
 * usage: probe inside			tries it, one line for each thing:
 *		uses BACKEND, ENGINE
 *		works WHAT
 *		fails STATUS WHAT
 *		why MESSAGE		what the library's log says
 *	  probe outside COMMAND...	runs the command, which starts "probe inside"
 *		in a container, and is what that has to do with: a thread outside,
 *		of which it gets a handle as descriptor 3, and somebody outside who
 *		cancels its thread.  Prints "outside cancelled" if its own was.
 *
 * A cancel counts as one that works when its target's system call has failed
 * with ECANCELED, or its stub has been told.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../rpc/echo.h"

#include <rpccancel.h>

/* How long something may take that ought to take no time, on a slow machine. */
#define PATIENCE_S	20
#define HANDLE_FD	3
#define TID_VARIABLE	"PROBE_OUTSIDE_TID"
/* Tags of threads that wait to be cancelled. */
#define TAG_INSIDE	0x1051deULL
#define TAG_OUTSIDE	0x0075deULL

static void nap(void)
{
	struct timespec ts = { .tv_nsec = 2000000 };

	nanosleep(&ts, NULL);
}

static void say(const char *what, RPC_STATUS status)
{
	if (status == RPC_S_OK)
		printf("works %s\n", what);
	else
		printf("fails %d %s\n", status, what);
}

/*
 * In a scope until somebody ends it by a cancel: RPC_S_CALL_CANCELLED then, and
 * RPC_S_TIMEOUT if nobody does.
 */
static RPC_STATUS wait_for_cancel(uint64_t tag)
{
	struct rpccancel_scope_attr attr = {
		.size = sizeof(attr),
		.tag = tag,
		.timeout = PATIENCE_S * 1000000000ULL,
	};
	struct rpccancel_scope scope;
	RPC_STATUS status;
	int ret, error;

	status = rpccancel_scope_begin(&scope, &attr);
	if (status != RPC_S_OK)
		return status;
	ret = poll(NULL, 0, -1);
	error = errno;
	status = rpccancel_scope_end(&scope);
	if (status == RPC_S_CALL_CANCELLED && (ret != -1 || error != ECANCELED))
		return RPC_S_INTERNAL_ERROR;
	return status;
}

static RPC_STATUS cancelled(RPC_STATUS status)
{
	return status == RPC_S_CALL_CANCELLED ? RPC_S_OK :
	       status == RPC_S_OK ? RPC_S_INTERNAL_ERROR : status;
}

static RPC_STATUS try_scope(void)
{
	struct rpccancel_scope scope;
	RPC_STATUS status;
	int ret;

	status = rpccancel_scope_begin(&scope, NULL);
	if (status != RPC_S_OK)
		return status;
	status = RpcCancelThread(RPCCANCEL_CURRENT_THREAD);
	if (status != RPC_S_OK)
		return status;
	ret = poll(NULL, 0, PATIENCE_S * 1000);
	if (ret != -1 || errno != ECANCELED)
		return RPC_S_INTERNAL_ERROR;
	return cancelled(rpccancel_scope_end(&scope));
}

static pid_t start_child(uint64_t tag)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(wait_for_cancel(tag) != RPC_S_CALL_CANCELLED);
	}
	return pid;
}

static bool end_child(pid_t pid, bool was_cancelled)
{
	int status;

	if (!was_cancelled)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return !status;
}

/*
 * The child may not have begun its scope yet, nor be attached.  Then the cancel
 * waits for that, as long as there is a handle.
 */
static RPC_STATUS cancel_child(pid_t pid, void *thread)
{
	RPC_STATUS status = RpcCancelThreadEx(thread, PATIENCE_S);

	if (!end_child(pid, status == RPC_S_OK) && status == RPC_S_OK)
		status = RPC_S_INTERNAL_ERROR;
	rpccancel_thread_close(thread);
	return status;
}

static RPC_STATUS try_number(void)
{
	pid_t pid = start_child(0);
	void *thread;
	RPC_STATUS status;

	status = rpccancel_thread_open(pid, THREAD_ALL_ACCESS, &thread);
	if (status == RPC_S_OK)
		return cancel_child(pid, thread);
	end_child(pid, false);
	return status;
}

static RPC_STATUS try_pidfd(void)
{
	pid_t pid = start_child(0);
	RPC_STATUS status = RPC_S_CALL_FAILED;
	void *thread;
	int pidfd;

	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0)
		status = rpccancel_thread_open_pidfd(pidfd, THREAD_ALL_ACCESS,
						     &thread);
	close(pidfd);
	if (status == RPC_S_OK)
		return cancel_child(pid, thread);
	end_child(pid, false);
	return status;
}

/* The thread with this tag, 0 if it is not listed. */
static pid_t find_tag(uint64_t tag)
{
	struct rpccancel_info info[16];
	uint64_t cursor = 0;
	size_t count;

	do {
		count = 16;
		if (rpccancel_list(info, &count, &cursor) != RPC_S_OK)
			return 0;
		for (size_t i = 0; i < count; i++)
			if (info[i].tag == tag && info[i].gen & 1)
				return info[i].tid;
	} while (count);
	return 0;
}

static RPC_STATUS try_list(void)
{
	const uint64_t tag = 0x115700ULL | getpid();
	struct rpccancel_info info;
	uint64_t cursor = 0;
	size_t count = 1;
	pid_t pid, seen = 0;
	RPC_STATUS status;

	status = rpccancel_list(&info, &count, &cursor);
	if (status != RPC_S_OK)
		return status;
	if (strcmp(rpccancel_backend_name(), "kernel"))
		return RPC_S_CANNOT_SUPPORT; /* it has only those of this process */
	pid = start_child(tag);
	for (int i = 0; i < PATIENCE_S * 500 && !seen; i++) {
		seen = find_tag(tag);
		nap();
	}
	end_child(pid, false);
	return seen == pid ? RPC_S_OK : RPC_S_INTERNAL_ERROR;
}

/* Whoever has a handle may use it, wherever its thread is. */
static RPC_STATUS try_passed_handle(void)
{
	RPC_STATUS status;
	void *thread;

	status = rpccancel_thread_from_fd(HANDLE_FD, &thread);
	if (status != RPC_S_OK)
		return status;
	status = RpcCancelThreadEx(thread, PATIENCE_S);
	rpccancel_thread_close(thread);
	return status;
}

static RPC_STATUS try_number_outside(void)
{
	const char *number = getenv(TID_VARIABLE);
	RPC_STATUS status;
	void *thread;

	if (!number)
		return RPC_S_INTERNAL_ERROR;
	status = rpccancel_thread_open(atoi(number), THREAD_ALL_ACCESS,
				       &thread);
	if (status == RPC_S_OK)
		rpccancel_thread_close(thread);
	return status;
}

/*
 * A call to a server in the same process, which its client cancels.
 */

struct caller {
	pthread_t thread;
	RPC_BINDING_HANDLE binding;
	struct slow_result result;
	void *handle;
	RPC_STATUS status;
	atomic_int ready;
};

static RPC_STATUS serve(RPC_BINDING_HANDLE *binding)
{
	RPC_BINDING_VECTOR *vector;
	RPC_CSTR text, endpoint;
	RPC_STATUS status;

	status = RpcServerUseProtseq((RPC_CSTR)"ncacn_ip_tcp",
				     RPC_C_PROTSEQ_MAX_REQS_DEFAULT, NULL);
	if (status == RPC_S_OK)
		status = RpcServerRegisterIf(&slow_server, NULL, NULL);
	if (status == RPC_S_OK)
		status = RpcServerListen(1, RPC_C_LISTEN_MAX_CALLS_DEFAULT, 1);
	if (status == RPC_S_OK)
		status = RpcServerInqBindings(&vector);
	if (status != RPC_S_OK)
		return status;
	RpcBindingToStringBinding(vector->BindingH[0], &text);
	RpcStringBindingParse(text, NULL, NULL, NULL, &endpoint, NULL);
	RpcStringFree(&text);
	RpcStringBindingCompose(NULL, (RPC_CSTR)"ncacn_ip_tcp",
				(RPC_CSTR)"127.0.0.1", endpoint, NULL, &text);
	status = RpcBindingFromStringBinding(text, binding);
	RpcStringFree(&text);
	RpcStringFree(&endpoint);
	RpcBindingVectorFree(&vector);
	return status;
}

static void *call_and_stay(void *arg)
{
	struct caller *c = arg;

	c->status = rpccancel_thread_self(THREAD_ALL_ACCESS, &c->handle);
	c->ready = 1;
	if (c->status == RPC_S_OK)
		c->status = slow_stay(c->binding, PATIENCE_S * 1000, SLOW_HEED,
				      &c->result);
	return NULL;
}

static bool stub_entered(RPC_BINDING_HANDLE binding)
{
	struct slow_counts counts;

	for (int i = 0; i < PATIENCE_S * 500; i++) {
		if (slow_count(binding, &counts) != RPC_S_OK)
			return false;
		if (counts.entered)
			return true;
		nap();
	}
	return false;
}

static RPC_STATUS try_call(void)
{
	struct caller c = { .status = RPC_S_OK };
	RPC_STATUS status;

	status = serve(&c.binding);
	if (status != RPC_S_OK)
		return status;
	pthread_create(&c.thread, NULL, call_and_stay, &c);
	while (!c.ready)
		nap();
	if (!stub_entered(c.binding))
		return RPC_S_CALL_FAILED;
	status = RpcCancelThreadEx(c.handle, PATIENCE_S);
	pthread_join(c.thread, NULL);
	RpcBindingFree(&c.binding);
	if (status == RPC_S_OK)
		status = c.status;
	return status != RPC_S_OK || c.result.cancelled ? status :
							  RPC_S_CALL_FAILED;
}

static void print_log(void *context, int level, const char *message)
{
	(void)context;
	if (level < RPCCANCEL_LOG_DEBUG)
		printf("why %s\n", message);
}

/* Children first: a fork should not have to take the runtime's threads along. */
static int try_all(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	rpccancel_set_log(print_log, NULL);
	say("scopes", try_scope());
	say("processes", try_number());
	say("pidfds", try_pidfd());
	say("lists", try_list());
	say("numbers from outside", try_number_outside());
	say("handles from outside", try_passed_handle());
	say("cancels from outside", cancelled(wait_for_cancel(TAG_INSIDE)));
	say("calls", try_call());
	printf("uses %s, %s\n", rpccancel_backend_name(), rpccancel_engine_name());
	return 0;
}

/*
 * Outside.
 */

static void *cancel_inside(void *arg)
{
	void *thread;
	pid_t tid;

	for (;;) {
		tid = find_tag(TAG_INSIDE);
		if (tid && rpccancel_thread_open(tid, THREAD_SET_CONTEXT,
						 &thread) == RPC_S_OK) {
			RpcCancelThread(thread);
			rpccancel_thread_close(thread);
		}
		nap();
	}
	return arg;
}

/* The target, as descriptor HANDLE_FD. False without a device. */
static bool give_handle(pid_t target)
{
	char number[16];
	void *thread;

	snprintf(number, sizeof(number), "%d", target);
	setenv(TID_VARIABLE, number, 1);
	if (rpccancel_thread_open(target, THREAD_ALL_ACCESS, &thread) != RPC_S_OK)
		return false;
	return dup2(rpccancel_thread_fd(thread), HANDLE_FD) == HANDLE_FD;
}

static int run_outside(char **command)
{
	int status = 0, end;
	pthread_t thread;
	pid_t target, pid;

	/* So that nothing of the library's gets that number. */
	dup2(STDIN_FILENO, HANDLE_FD);
	target = start_child(TAG_OUTSIDE);
	if (!give_handle(target))
		close(HANDLE_FD);
	pid = fork();
	if (!pid) {
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	close(HANDLE_FD);
	pthread_create(&thread, NULL, cancel_inside, NULL);
	waitpid(pid, &status, 0);
	/* If it was cancelled, it has been by now: the canceller has waited. */
	if (waitpid(target, &end, WNOHANG) == target && !end)
		puts("outside cancelled");
	else
		kill(target, SIGKILL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "inside"))
		return try_all();
	if (argc > 2 && !strcmp(argv[1], "outside"))
		return run_outside(argv + 2);
	fputs("usage: probe inside | probe outside COMMAND...\n", stderr);
	return 2;
}
