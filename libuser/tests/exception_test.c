// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Microsoft's exception macros, as a program uses them.
 */
/* Whose rules do not know these macros. */
/* clang-format off */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rpccancel.h>

#include "tap.h"

static void raise_it(RPC_STATUS status)
{
	RpcRaiseException(status);
}

static void caught(void)
{
	volatile int body = 0, handler = 0;
	volatile unsigned long code = 0;

	RpcTryExcept {
		body = 1;
		raise_it(RPC_S_CALL_CANCELLED);
		body = 2;
	} RpcExcept(1) {
		handler = 1;
		code = RpcExceptionCode();
	} RpcEndExcept

	is(body, 1, "the body ends where it raises");
	is(handler, 1, "the handler runs");
	is(code, RPC_S_CALL_CANCELLED, "and knows the code");
	is(I_RpcExceptionCode(), RPC_S_CALL_CANCELLED, "as does the function");
}

static void nothing_raised(void)
{
	volatile int body = 0, handler = 0, finally = 0;

	RpcTryExcept {
		body++;
	} RpcExcept(1) {
		handler++;
	} RpcEndExcept
	RpcTryFinally {
		body++;
	} RpcFinally {
		finally++;
	} RpcEndFinally

	is(body, 2, "bodies that raise nothing reach their end");
	is(handler, 0, "and no handler");
	is(finally, 1, "but what is to run finally");
}

static int filter(unsigned long code, unsigned long want, volatile int *asked)
{
	++*asked;
	return code == want;
}

static void filtered(void)
{
	volatile int asked = 0, inner = 0, outer = 0;

	RpcTryExcept {
		RpcTryExcept {
			raise_it(RPC_S_COMM_FAILURE);
		} RpcExcept(filter(RpcExceptionCode(), 5, &asked)) {
			inner = 1;
		} RpcEndExcept
		inner = 2;
	} RpcExcept(filter(RpcExceptionCode(), RPC_S_COMM_FAILURE, &asked)) {
		outer = 1;
	} RpcEndExcept

	is(asked, 2, "both filters are asked");
	is(inner, 0, "the one that says no handles nothing");
	is(outer, 1, "the one that says yes does");
}

static void raised_by_a_handler(void)
{
	volatile unsigned long code = 0;

	RpcTryExcept {
		RpcTryExcept {
			raise_it(5);
		} RpcExcept(1) {
			raise_it(6);
		} RpcEndExcept
	} RpcExcept(1) {
		code = RpcExceptionCode();
	} RpcEndExcept
	is(code, 6, "what a handler raises goes to the outer one");
}

static void raised_by_a_filter(void)
{
	volatile unsigned long code = 0;

	RpcTryExcept {
		RpcTryExcept {
			raise_it(5);
		} RpcExcept((raise_it(7), 1)) {
			code = 1;
		} RpcEndExcept
	} RpcExcept(1) {
		code = RpcExceptionCode();
	} RpcEndExcept
	is(code, 7, "what a filter raises goes to the outer one");
}

static void handled_in_a_handler(void)
{
	volatile unsigned long inner = 0, outer = 0;

	RpcTryExcept {
		raise_it(5);
	} RpcExcept(1) {
		RpcTryExcept {
			raise_it(6);
		} RpcExcept(1) {
			inner = RpcExceptionCode();
		} RpcEndExcept
		outer = RpcExceptionCode();
	} RpcEndExcept
	is(inner, 6, "a handler may try and handle another exception");
	is(outer, 5, "and still knows its own");
	is(I_RpcExceptionCode(), 6, "the function knows the last");
}

/* Whatever is tried, and ends one way or the other, within cleaning up. */
static void abnormal_termination(void)
{
	volatile int normal = -1, inner = -1, abnormal = -1, after = -1;

	RpcTryExcept {
		RpcTryFinally {
			normal = -2;
		} RpcFinally {
			normal = RpcAbnormalTermination();
		} RpcEndFinally
		RpcTryFinally {
			raise_it(5);
		} RpcFinally {
			abnormal = RpcAbnormalTermination();
			RpcTryFinally {
				inner = -2;
			} RpcFinally {
				inner = RpcAbnormalTermination();
			} RpcEndFinally
			after = RpcAbnormalTermination();
		} RpcEndFinally
	} RpcExcept(1) {
	} RpcEndExcept
	is(normal, 0, "a body that reaches its end terminates normally");
	ok(abnormal > 0, "one that raises terminates abnormally");
	is(inner, 0, "within cleaning up each body counts for itself");
	ok(after > 0, "and the outer one is as it was");
}

/* The exceptions that cleaning up meets are not what goes on. */
static void finally(void)
{
	volatile int cleaned = 0;
	volatile unsigned long code = 0;

	RpcTryExcept {
		RpcTryFinally {
			raise_it(5);
		} RpcFinally {
			cleaned = 1;
			RpcTryExcept {
				raise_it(6);
			} RpcExcept(1) {
				cleaned = 2;
			} RpcEndExcept
		} RpcEndFinally
		cleaned = 3;
	} RpcExcept(1) {
		code = RpcExceptionCode();
	} RpcEndExcept
	is(cleaned, 2, "what is to run finally runs");
	is(code, 5, "and then the exception goes on");
}

static void finally_replaced(void)
{
	volatile unsigned long code = 0;

	RpcTryExcept {
		RpcTryFinally {
			raise_it(5);
		} RpcFinally {
			raise_it(6);
		} RpcEndFinally
	} RpcExcept(1) {
		code = RpcExceptionCode();
	} RpcEndExcept
	is(code, 6, "an exception of cleaning up replaces it");
}

static void unusual_codes(void)
{
	volatile unsigned long code = 1;
	volatile int handled = 0;

	RpcTryExcept {
		raise_it(0);
	} RpcExcept(1) {
		handled = 1;
		code = RpcExceptionCode();
	} RpcEndExcept
	is(handled, 1, "0 is an exception");
	is(code, 0, "of that code");

	RpcTryExcept {
		raise_it((RPC_STATUS)0xc0000005);
	} RpcExcept(RpcExceptionCode() == 0xc0000005) {
		handled = 2;
	} RpcEndExcept
	is(handled, 2, "codes are not extended by their sign");
}

static void many(void)
{
	volatile int i, handled = 0;

	for (i = 0; i < 100000; i++) {
		RpcTryExcept {
			if (i & 1)
				raise_it(i);
		} RpcExcept(RpcExceptionCode() == (unsigned long)i) {
			handled++;
		} RpcEndExcept
	}
	is(handled, 50000, "many, one after the other");
}

static volatile int depth_unwound;

static void recurse(int depth)
{
	RpcTryFinally {
		if (depth)
			recurse(depth - 1);
		else
			raise_it(9);
	} RpcFinally {
		depth_unwound++;
	} RpcEndFinally
}

static void deep(void)
{
	RpcTryExcept {
		recurse(500);
	} RpcExcept(RpcExceptionCode() == 9) {
		depth_unwound++;
	} RpcEndExcept
	is(depth_unwound, 502, "through many functions");
}

/* Each thread handles its own, while all of them raise. */
static void *raiser(void *arg)
{
	volatile unsigned long handled = 0;
	volatile int i;

	for (i = 0; i < 10000; i++) {
		RpcTryExcept {
			raise_it((RPC_STATUS)(intptr_t)arg);
		} RpcExcept(RpcExceptionCode() == (uintptr_t)arg) {
			handled++;
		} RpcEndExcept
	}
	return (void *)handled;
}

static void threads(void)
{
	pthread_t thread[4];
	bool good = true;
	void *handled;
	intptr_t i;

	for (i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, raiser, (void *)(i + 1)))
			abort();
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &handled);
		good = good && handled == (void *)10000;
	}
	ok(good, "threads do not meet each other's exceptions");
}

static void to_pipe(void *context, int level, const char *message)
{
	ssize_t ret;

	if (level != RPCCANCEL_LOG_ERROR)
		return;
	ret = write(*(int *)context, message, strlen(message));
	(void)ret;
}

static void unhandled(void)
{
	char message[100] = "";
	int pipe_fd[2], status;
	pid_t pid;

	fflush(stdout);
	if (pipe(pipe_fd))
		abort();
	pid = fork();
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		rpccancel_set_log(to_pipe, &pipe_fd[1]);
		RpcTryExcept {
			raise_it(1818);
		} RpcExcept(0) {
			_exit(1);
		} RpcEndExcept
		_exit(2);
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
	   "what nobody handles aborts the process");
	ok(read(pipe_fd[0], message, sizeof(message) - 1) > 0 &&
		   strstr(message, "1818"),
	   "and is logged first");
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

int main(void)
{
	caught();
	nothing_raised();
	filtered();
	raised_by_a_handler();
	raised_by_a_filter();
	handled_in_a_handler();
	finally();
	finally_replaced();
	abnormal_termination();
	unusual_codes();
	many();
	deep();
	threads();
	unhandled();
	return tap_end();
}
