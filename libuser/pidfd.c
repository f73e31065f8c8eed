// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * From a pidfd to a thread handle.
 *
 * The module cannot do it, for the kernel exports nothing to modules that finds
 * the process behind a pidfd. So the number goes through user space, and a
 * number may be given to another process at any time. It cannot have been, if
 * the process of the pidfd is still there afterwards:
 *
 *	read the number N from fdinfo	N was this process then
 *	open the thread N		somebody called N at this time
 *	signal 0 to the pidfd works	this process has never given N away,
 *					so the one that was opened is it
 *
 * A zombie keeps its number, so it counts as there. Not being allowed to send a
 * signal (EPERM) is known only of a process that exists.
 */
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend.h"
#include "internal.h"
#include "log.h"

#define FDINFO "/proc/thread-self/fdinfo/"
#define STATUS "/proc/thread-self/status"

static int check_alive(int pidfd)
{
	if (!syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0))
		return 0;
	switch (errno) {
	case EPERM:
		return 0;
	case ENOSYS:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The number at the end of @text's line that begins with @name. */
static int find_number(const char *text, const char *name, const char **end)
{
	const char *p = strstr(text, name);
	long number = 0;

	if (!p)
		return -EINVAL;
	p += strlen(name);
	if (!is_digit(*p))
		return -EINVAL;
	while (is_digit(*p) && number <= INT32_MAX / 10)
		number = number * 10 + (*p++ - '0');
	*end = p;
	return number <= INT32_MAX ? (int)number : -EINVAL;
}

/*
 * The numbers in /proc are those of the pid namespace it was mounted in, which
 * may be an outer one. It shows our own thread's number in that namespace and
 * in all below, down to our own: more than one, and it is not ours.
 */
static int check_namespace(void)
{
	char text[4096];
	const char *end;
	int ret = rpcc_read_proc(STATUS, text, sizeof(text));

	if (ret)
		return ret;
	ret = find_number(text, "\nNSpid:\t", &end);
	return ret > 0 && *end == '\n' ? 0 : -EOPNOTSUPP;
}

static int pidfd_number(int pidfd)
{
	char path[RPCC_PROC_NAME];
	char text[1024];
	const char *end;
	int ret = check_namespace();

	if (ret == -EOPNOTSUPP)
		rpcc_log(RPCCANCEL_LOG_INFO,
			 "no pidfds: no /proc of this pid namespace");
	if (ret)
		return ret;
	rpcc_proc_name(path, FDINFO, pidfd, "");
	ret = rpcc_read_proc(path, text, sizeof(text));
	if (ret)
		return ret;
	ret = find_number(text, "\nPid:\t", &end);
	return ret ? ret : -EINVAL;
}

static int open_pidfd(int pidfd, unsigned int access)
{
	int fd, tid, ret = check_alive(pidfd);

	if (ret)
		return ret;
	tid = pidfd_number(pidfd);
	if (tid < 0)
		return tid;
	fd = rpcc_open(tid, 0, access);
	if (fd < 0)
		return fd == -ESRCH ? -EINVAL : fd;
	ret = check_alive(pidfd);
	if (!ret)
		return fd;
	rpcc_close_handle(fd);
	return ret;
}

EXPORT RPC_STATUS rpccancel_thread_open_pidfd(int pidfd, unsigned int access,
					      void **thread)
{
	KEEP_ERRNO();
	int cancelstate, fd;

	if (!thread || pidfd < 0)
		return RPC_S_INVALID_ARG;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelstate);
	fd = open_pidfd(pidfd, access);
	pthread_setcancelstate(cancelstate, NULL);
	return rpcc_give(fd, thread);
}
