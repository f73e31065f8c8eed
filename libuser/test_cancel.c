// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Whether the work at hand is cancelled: the call that the thread serves, if it
 * serves one, otherwise the scope that it is in.
 */
#include "internal.h"

/* Microsoft's contract: RPC_S_OK means cancelled, anything else means not. */
EXPORT RPC_STATUS RpcTestCancel(void)
{
	int served = rpcc_server_test_cancel();

	if (served < 0)
		served = rpccancel_scope_test() != 0;
	return served ? RPC_S_OK : RPC_S_ACCESS_DENIED;
}
