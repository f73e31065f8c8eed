// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Exceptions, by setjmp() and longjmp(): what rpcexcept.h's macros call.
 *
 * A thread has a stack of frames, which lie in the functions that try. Raising
 * goes to the innermost one and leaves it in place; the macros take it off
 * before a filter or a handler runs, so that what is raised there goes further
 * out.
 */
#include <stdlib.h>

#include "internal.h"
#include "log.h"

#include <rpc.h>

static __thread struct rpccancel_exception_frame *innermost;
static __thread uint32_t last_code;

EXPORT void rpccancel_exception_push(struct rpccancel_exception_frame *frame)
{
	frame->outer = innermost;
	frame->code = 0;
	innermost = frame;
}

EXPORT void rpccancel_exception_pop(struct rpccancel_exception_frame *frame)
{
	innermost = frame->outer;
}

/* Of the exception that this thread has raised last. */
EXPORT unsigned long I_RpcExceptionCode(void)
{
	return last_code;
}

/* As on Windows, an exception that nobody handles ends the process. */
EXPORT void RpcRaiseException(RPC_STATUS exception)
{
	struct rpccancel_exception_frame *frame = innermost;

	last_code = (uint32_t)exception;
	if (!frame) {
		rpcc_log(RPCCANCEL_LOG_ERROR,
			 "exception %d was raised, and nothing handles it",
			 (int)exception);
		abort();
	}
	frame->code = (uint32_t)exception;
	longjmp(frame->env, 1); /* not the code: it may be 0 */
}
