// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What the kernel says, in the words of Windows RPC.
 */
#include "internal.h"

/* @err is 0 or a negative errno; ESRCH means that a handle's thread is gone. */
RPC_STATUS rpcc_status(int err)
{
	switch (-err) {
	case 0:
		return RPC_S_OK;
	case EACCES:
	case EPERM:
		return RPC_S_ACCESS_DENIED;
	case EBADF:
		return ERROR_INVALID_HANDLE;
	case EINVAL:
	case EFAULT:
		return RPC_S_INVALID_ARG;
	case ENOMEM:
		return RPC_S_OUT_OF_MEMORY;
	case EAGAIN:
	case EDQUOT:
	case EMFILE:
	case ENFILE:
	case ENOSPC:
		return RPC_S_OUT_OF_RESOURCES;
	case ESRCH:
		return RPC_S_NO_CALL_ACTIVE;
	case EALREADY:
		return RPC_S_ALREADY_REGISTERED;
	case E2BIG:
	case EOPNOTSUPP:
		return RPC_S_CANNOT_SUPPORT;
	default:
		return RPC_S_INTERNAL_ERROR;
	}
}

/* Microsoft's functions have no result beside the status. */
RPC_STATUS rpcc_result_status(uint32_t result)
{
	switch (result) {
	case RPCCANCEL_RESULT_REFUSED:
		return RPC_S_CANNOT_SUPPORT;
	case RPCCANCEL_RESULT_NOT_FINITE:
		return RPC_S_INVALID_TIMEOUT;
	default:
		return RPC_S_OK;
	}
}

/*
 * Structures grow at their end. A program that was built for a newer library may
 * use this one as long as it leaves alone what this one does not know.
 */
RPC_STATUS rpcc_check_size(const void *arg, size_t size, size_t known)
{
	const char *bytes = arg;

	if (size < known)
		return RPC_S_INVALID_ARG;
	while (size > known)
		if (bytes[--size])
			return RPC_S_CANNOT_SUPPORT;
	return RPC_S_OK;
}
