// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The exception macros in C++: they are C there, too. Nothing with a destructor
 * may be jumped over.
 */
/* Whose rules do not know these macros. */
/* clang-format off */
#include <rpc.h>

#include "tap.h"

static void raise_it(RPC_STATUS status)
{
	RpcRaiseException(status);
}

int main()
{
	volatile unsigned long code = 0;
	volatile int cleaned = 0;

	RpcTryExcept {
		RpcTryFinally {
			raise_it(RPC_S_CALL_CANCELLED);
		} RpcFinally {
			cleaned = 1;
		} RpcEndFinally
	} RpcExcept(RpcExceptionCode() == RPC_S_CALL_CANCELLED) {
		code = RpcExceptionCode();
	} RpcEndExcept

	is(cleaned, 1, "what is to run finally runs");
	is(code, RPC_S_CALL_CANCELLED, "the handler knows the code");
	return tap_end();
}
