// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * For limits_test: a 32-bit program. It must be told by each command that there
 * is no such command, on a device it has opened itself and on the descriptors
 * named by its arguments.
 *
 * It exits with 0, or with which of its descriptors took a command, from 1 on;
 * 100 when it could not even try.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/rpccancel.h>

_Static_assert(sizeof(void *) == 4, "this is to be a 32-bit program");

static const unsigned int commands[] = {
	RPCCANCEL_IOC_QUERY, RPCCANCEL_IOC_ATTACH, RPCCANCEL_IOC_DETACH,
	RPCCANCEL_IOC_SETTLE, RPCCANCEL_IOC_DEADLINE, RPCCANCEL_IOC_OPEN,
	RPCCANCEL_IOC_BULK, RPCCANCEL_IOC_LIST, RPCCANCEL_IOC_CANCEL,
	RPCCANCEL_IOC_WAIT, RPCCANCEL_IOC_INFO, RPCCANCEL_IOC_DUP,
};

#define COUNT	((int)(sizeof(commands) / sizeof(*commands)))

static int refused(int fd)
{
	char buf[256];

	for (int i = 0; i < COUNT; i++) {
		memset(buf, 0, sizeof(buf));
		if (ioctl(fd, commands[i], buf) == -1 && errno == ENOTTY)
			continue;
		fprintf(stderr, "# 32 bit: descriptor %d, command %#x: %s\n",
			fd, commands[i], strerror(errno));
		return 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	int fd = open("/dev/rpccancel", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return 100;
	if (!refused(fd))
		return 1;
	for (int i = 1; i < argc; i++)
		if (!refused(atoi(argv[i])))
			return 1 + i;
	return 0;
}
