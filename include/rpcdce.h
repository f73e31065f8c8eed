/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The part of Microsoft's RPC interface that cancels calls. Each function has
 * a page in section 3 of the manual, which says what it guarantees.
 */
#ifndef RPCDCE_H
#define RPCDCE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Windows' calling convention: ported sources name it, and here it is none. */
#ifndef RPC_ENTRY
#define RPC_ENTRY
#endif

/*
 * A long on Windows, where a long has 32 bits: what is kept is the size, not
 * the name, so that structures and messages that hold a status stay the same.
 */
typedef int32_t RPC_STATUS;

#define RPC_C_CANCEL_INFINITE_TIMEOUT (-1)

/* The access rights of a thread handle that mean something here. */
#ifndef THREAD_SET_CONTEXT
#define THREAD_SET_CONTEXT 0x0010 /* may cancel */
#endif
#ifndef THREAD_QUERY_INFORMATION
#define THREAD_QUERY_INFORMATION 0x0040 /* may look, poll and read */
#endif
#ifndef THREAD_QUERY_LIMITED_INFORMATION
#define THREAD_QUERY_LIMITED_INFORMATION 0x0800 /* the same here */
#endif
#ifndef THREAD_ALL_ACCESS
#define THREAD_ALL_ACCESS 0x1fffff
#endif

RPC_STATUS RPC_ENTRY RpcCancelThread(void *Thread);
RPC_STATUS RPC_ENTRY RpcCancelThreadEx(void *Thread, long Timeout);
RPC_STATUS RPC_ENTRY RpcTestCancel(void);
RPC_STATUS RPC_ENTRY RpcMgmtSetCancelTimeout(long Timeout);

#ifdef __cplusplus
}
#endif

#endif /* RPCDCE_H */
