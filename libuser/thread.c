// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Thread handles.
 *
 * A handle is a descriptor in a dress: (fd + 1) << 2, which is never NULL and
 * looks like a handle of Windows. The back end knows what the descriptor stands
 * for and checks the access rights; nothing is kept here. So a handle that was
 * closed is found by the back end (not open, or not a handle), unless its number
 * is in use for another handle again, as on Windows.
 */
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "backend.h"
#include "internal.h"

static void *handle_from_fd(int fd)
{
	return (void *)(((uintptr_t)fd + 1) << 2);
}

EXPORT int rpccancel_thread_fd(void *thread)
{
	uintptr_t value = (uintptr_t)thread;

	if (!value || value & 3 || (value >> 2) - 1 > INT_MAX)
		return -1;
	return (int)((value >> 2) - 1);
}

/* Any descriptor. */
void rpcc_close(int fd)
{
	KEEP_ERRNO();
	int cancelstate;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelstate);
	close(fd);
	pthread_setcancelstate(cancelstate, NULL);
}

void rpcc_close_handle(int fd)
{
	rpcc_backend()->close(fd);
}

/*
 * Windows has more rights than there are here. Those that mean nothing are
 * dropped, so that a ported THREAD_ALL_ACCESS works; 0 is left to the back end.
 */
static unsigned int known_rights(unsigned int access)
{
	if (access & THREAD_QUERY_LIMITED_INFORMATION)
		access |= RPCCANCEL_QUERY_INFORMATION;
	return access & RPCCANCEL_ACCESS_ALL;
}

/* Returns a descriptor or a negative errno. @tid 0: the calling thread. */
int rpcc_open(pid_t tid, pid_t tgid, unsigned int access)
{
	int err = rpcc_prepare();

	access = known_rights(access);
	if (!access)
		return -EINVAL;
	return err ? err : rpcc_backend_use()->open(tid, tgid, access);
}

/*
 * Something to act on, to be given back with rpcc_handle_put(). The calling
 * thread may do anything to itself, so for it one is opened as needed. It is
 * attached first: a cancel that waits for the next call of a thread that is
 * not would go when the last handle is closed.
 */
int rpcc_handle_get(void *thread, unsigned int access)
{
	int fd, err;

	if (thread == RPCCANCEL_CURRENT_THREAD) {
		err = rpcc_attach();
		return err ? err : rpcc_open(0, 0, access);
	}
	fd = rpccancel_thread_fd(thread);
	return fd < 0 ? -EBADF : fd;
}

void rpcc_handle_put(void *thread, int fd)
{
	if (thread == RPCCANCEL_CURRENT_THREAD)
		rpcc_close_handle(fd);
}

/* Every answer but "not a handle" comes from a handle. */
bool rpcc_is_handle(int fd)
{
	struct rpccancel_info info;

	switch (rpcc_backend()->info(fd, &info)) {
	case 0:
	case -EACCES:
	case -ESRCH:
		return true;
	default:
		return false;
	}
}

/* @fd is a new descriptor of a handle, or a negative errno. */
RPC_STATUS rpcc_give(int fd, void **thread)
{
	if (fd < 0)
		return rpcc_status(fd);
	*thread = handle_from_fd(fd);
	return RPC_S_OK;
}

EXPORT RPC_STATUS rpccancel_thread_self(unsigned int access, void **thread)
{
	if (!thread)
		return RPC_S_INVALID_ARG;
	return rpcc_give(rpcc_open(0, 0, access), thread);
}

/* Windows says "invalid parameter" for a number that no thread has. */
EXPORT RPC_STATUS rpccancel_thread_open(pid_t tid, unsigned int access,
					void **thread)
{
	int fd;

	if (!thread || tid <= 0)
		return RPC_S_INVALID_ARG;
	fd = rpcc_open(tid, 0, access);
	return rpcc_give(fd == -ESRCH ? -EINVAL : fd, thread);
}

/*
 * The rights of a handle cannot be asked for, but the back end hands out no more
 * than there are, so trying from the top finds them.
 */
static int duplicate_same(int fd)
{
	int ret = rpcc_backend()->duplicate(fd, RPCCANCEL_ACCESS_ALL);

	if (ret == -EACCES)
		ret = rpcc_backend()->duplicate(fd, RPCCANCEL_SET_CONTEXT);
	if (ret == -EACCES)
		ret = rpcc_backend()->duplicate(fd,
						RPCCANCEL_QUERY_INFORMATION);
	return ret;
}

static int duplicate(void *thread, unsigned int access)
{
	int fd;

	if (thread == RPCCANCEL_CURRENT_THREAD)
		return rpcc_open(0, 0, access ? access : THREAD_ALL_ACCESS);
	fd = rpccancel_thread_fd(thread);
	if (fd < 0)
		return -EBADF;
	if (!access)
		return duplicate_same(fd);
	access = known_rights(access);
	return access ? rpcc_backend()->duplicate(fd, access) : -EINVAL;
}

EXPORT RPC_STATUS rpccancel_thread_duplicate(void *thread, unsigned int access,
					     void **duplicated)
{
	if (!duplicated)
		return RPC_S_INVALID_ARG;
	return rpcc_give(duplicate(thread, access), duplicated);
}

/* Asks before it closes: a stale handle must not close somebody's file. */
EXPORT RPC_STATUS rpccancel_thread_close(void *thread)
{
	int fd;

	if (thread == RPCCANCEL_CURRENT_THREAD)
		return RPC_S_OK;
	fd = rpccancel_thread_fd(thread);
	if (fd < 0 || !rpcc_is_handle(fd))
		return ERROR_INVALID_HANDLE;
	rpcc_close_handle(fd);
	return RPC_S_OK;
}

EXPORT RPC_STATUS rpccancel_thread_info(void *thread,
					struct rpccancel_info *info)
{
	int fd, err;

	if (!info)
		return RPC_S_INVALID_ARG;
	fd = rpcc_handle_get(thread, RPCCANCEL_QUERY_INFORMATION);
	if (fd < 0)
		return rpcc_status(fd);
	err = rpcc_backend()->info(fd, info);
	rpcc_handle_put(thread, fd);
	return rpcc_status(err);
}
