/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Thread handles under the names that Windows has for them, for ported code:
 *
 *	HANDLE thread = OpenThread(THREAD_SET_CONTEXT, FALSE, tid);
 *
 *	if (thread) {
 *		RpcCancelThread(thread);
 *		CloseHandle(thread);
 *	}
 *
 * All of it is inline, so that the library exports no such general names.
 * There is no GetLastError(): errno says why a function failed.
 */
#ifndef RPCWINTHREAD_H
#define RPCWINTHREAD_H

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rpccancel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void *HANDLE;
typedef int BOOL;
typedef uint32_t DWORD;

#ifndef FALSE
#define FALSE 0
#endif
#ifndef TRUE
#define TRUE 1
#endif

#define DUPLICATE_CLOSE_SOURCE 0x1
#define DUPLICATE_SAME_ACCESS  0x2

static inline BOOL rpcwinthread_result(RPC_STATUS status)
{
	switch (status) {
	case RPC_S_OK:
		return TRUE;
	case RPC_S_ACCESS_DENIED:
		errno = EACCES;
		break;
	case ERROR_INVALID_HANDLE:
		errno = EBADF;
		break;
	case RPC_S_OUT_OF_MEMORY:
		errno = ENOMEM;
		break;
	case RPC_S_OUT_OF_RESOURCES:
		errno = EMFILE;
		break;
	case RPC_S_CANNOT_SUPPORT:
		errno = EOPNOTSUPP;
		break;
	case RPC_S_NO_CALL_ACTIVE:
		errno = ESRCH;
		break;
	default:
		errno = EINVAL;
		break;
	}
	return FALSE;
}

/* Handles are closed by execve(2) unless they are inherited. */
static inline BOOL rpcwinthread_inherit(HANDLE thread, BOOL inherit)
{
	return !inherit || !fcntl(rpccancel_thread_fd(thread), F_SETFD, 0);
}

static inline HANDLE GetCurrentProcess(void)
{
	return (HANDLE)(intptr_t)-1;
}

static inline HANDLE GetCurrentThread(void)
{
	return RPCCANCEL_CURRENT_THREAD;
}

static inline DWORD GetCurrentThreadId(void)
{
	return (DWORD)syscall(SYS_gettid);
}

static inline BOOL CloseHandle(HANDLE thread)
{
	return rpcwinthread_result(rpccancel_thread_close(thread));
}

static inline HANDLE OpenThread(DWORD access, BOOL inherit, DWORD tid)
{
	HANDLE thread;

	if (!rpcwinthread_result(
		    rpccancel_thread_open((pid_t)tid, access, &thread)))
		return NULL;
	if (rpcwinthread_inherit(thread, inherit))
		return thread;
	rpccancel_thread_close(thread);
	return NULL;
}

/* Both processes must be this one; rpccancel_thread_send(3) is for others. */
static inline BOOL DuplicateHandle(HANDLE source_process, HANDLE source,
				   HANDLE target_process, HANDLE *target,
				   DWORD access, BOOL inherit, DWORD options)
{
	if (source_process != GetCurrentProcess() ||
	    target_process != GetCurrentProcess() || !target ||
	    (options &
	     ~(DWORD)(DUPLICATE_CLOSE_SOURCE | DUPLICATE_SAME_ACCESS)) ||
	    (!(options & DUPLICATE_SAME_ACCESS) && !access)) {
		errno = EINVAL;
		return FALSE;
	}
	if (options & DUPLICATE_SAME_ACCESS)
		access = 0;
	if (!rpcwinthread_result(
		    rpccancel_thread_duplicate(source, access, target)))
		return FALSE;
	if (!rpcwinthread_inherit(*target, inherit)) {
		rpccancel_thread_close(*target);
		return FALSE;
	}
	return !(options & DUPLICATE_CLOSE_SOURCE) || CloseHandle(source);
}

#ifdef __cplusplus
}
#endif

#endif /* RPCWINTHREAD_H */
