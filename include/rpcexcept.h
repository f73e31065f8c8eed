/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Microsoft's exception macros, for C, by setjmp(3):
 *
 *	RpcTryExcept {
 *		...
 *	} RpcExcept(RpcExceptionCode() == RPC_S_CALL_CANCELLED) {
 *		...
 *	} RpcEndExcept
 *
 * An exception that no filter takes goes on to the enclosing one; from a server's
 * stub it becomes a fault for the client; without any the process aborts.
 * Local variables that are changed inside and read after must be volatile. Leave
 * a body by reaching its end, not by return, goto or break.
 */
#ifndef RPCEXCEPT_H
#define RPCEXCEPT_H

#include <setjmp.h>

#include "rpcdce.h"

#ifdef __cplusplus
extern "C" {
#endif

/* On the stack of the thread that tries. Opaque. */
struct rpccancel_exception_frame {
	struct rpccancel_exception_frame *outer;
	volatile uint32_t code; /* what was raised */
	jmp_buf env;
};

void rpccancel_exception_push(struct rpccancel_exception_frame *frame);
void rpccancel_exception_pop(struct rpccancel_exception_frame *frame);
unsigned long RPC_ENTRY I_RpcExceptionCode(void);

/*
 * As on Windows, only in a filter and in a handler. There it is the exception of
 * that RpcExcept, whatever others come and go meanwhile; I_RpcExceptionCode() is
 * the last one that the thread has raised.
 */
#define RpcExceptionCode() ((unsigned long)rpccancel_frame_.code)

/* In the second block of RpcTryFinally only: not 0 if an exception led there. */
#define RpcAbnormalTermination() (rpccancel_raised_)

/* clang-format off */
#define RpcTryExcept                                                      \
	{                                                                 \
		struct rpccancel_exception_frame rpccancel_frame_;        \
		rpccancel_exception_push(&rpccancel_frame_);              \
		if (!_setjmp(rpccancel_frame_.env)) {                     \
			{
#define RpcExcept(expression)                                             \
			}                                                 \
			rpccancel_exception_pop(&rpccancel_frame_);       \
		} else {                                                  \
			rpccancel_exception_pop(&rpccancel_frame_);       \
			if (!(expression))                                \
				RpcRaiseException(                        \
					(RPC_STATUS)rpccancel_frame_.code); \
			{
#define RpcEndExcept                                                      \
			}                                                 \
		}                                                         \
	}

#define RpcTryFinally                                                     \
	{                                                                 \
		struct rpccancel_exception_frame rpccancel_frame_;        \
		volatile int rpccancel_raised_ = 0;                       \
		rpccancel_exception_push(&rpccancel_frame_);              \
		if (!_setjmp(rpccancel_frame_.env)) {                     \
			{
#define RpcFinally                                                        \
			}                                                 \
		} else {                                                  \
			rpccancel_raised_ = 1;                            \
		}                                                         \
		rpccancel_exception_pop(&rpccancel_frame_);               \
		{
#define RpcEndFinally                                                     \
		}                                                         \
		if (rpccancel_raised_)                                    \
			RpcRaiseException((RPC_STATUS)rpccancel_frame_.code); \
	}
/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif /* RPCEXCEPT_H */
