// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * For handle_test: the program that is made setuid root.  Says 'r' if it is
 * root, then reads a byte.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "rpccancel_util.h"

int main(void)
{
	char byte = 'u';

	/* Out of the caller's reach for good, as a careful program is. */
	if (!geteuid() && !setresuid(0, 0, 0))
		byte = 'r';
	if (write(1, &byte, 1) != 1)
		return RC_REMOTE_ERROR;
	if (read(0, &byte, 1) != 1)
		return RC_REMOTE_CANCELED;
	return RC_REMOTE_READ;
}
