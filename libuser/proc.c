// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Small files of /proc, which tell what no system call does. Nothing here needs
 * memory or prints.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define DIGITS 10

/* @name has room for RPCC_PROC_NAME; @before and @after are short. */
void rpcc_proc_name(char *name, const char *before, int number,
		    const char *after)
{
	char digits[DIGITS];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	name = stpcpy(name, before);
	while (n)
		*name++ = digits[--n];
	strcpy(name, after);
}

/* As a string, as much of it as there is room for. 0 or -EOPNOTSUPP. */
int rpcc_read_proc(const char *name, char *buf, size_t size)
{
	size_t used = 0;
	ssize_t n;
	int fd;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -EOPNOTSUPP;
	do {
		n = read(fd, buf + used, size - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	rpcc_close(fd);
	buf[used] = '\0';
	return n < 0 ? -EOPNOTSUPP : 0;
}
