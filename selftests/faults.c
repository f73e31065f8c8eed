// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "faults.h"
#include "rpccancel_util.h"

/*
 * Not only what is asked for without waiting fails, and nothing is printed about
 * it: a trace of the stack in the kernel's log counts as a failure.
 */
static const struct setting {
	const char *path, *value;
} settings[FAULT_SETTINGS] = {
	{ "/sys/kernel/debug/failslab/ignore-gfp-wait", "N" },
	{ "/sys/kernel/debug/failslab/verbose", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N" },
	{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "/sys/kernel/debug/fail_page_alloc/min-order", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/verbose", "0" },
	{ "/sys/kernel/debug/fail_usercopy/verbose", "0" },
};

int faults_on(struct faults *f)
{
	f->fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (f->fd < 0)
		return -errno;
	for (int i = 0; i < FAULT_SETTINGS; i++) {
		const struct setting *s = &settings[i];
		int ret = rc_read_file(s->path, f->old[i], sizeof(f->old[i]));

		if (ret >= 0)
			ret = rc_write_file(s->path, s->value);
		if (ret < 0)
			return ret;
	}
	return 0;
}

void faults_off(struct faults *f)
{
	for (int i = 0; i < FAULT_SETTINGS; i++)
		rc_write_file(settings[i].path, f->old[i]);
	close(f->fd);
}

void faults_arm(struct faults *f, int n)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%d", n);

	if (pwrite(f->fd, buf, len, 0) != len)
		abort();
}

/*
 * Whether it did. The answer is copied to us, and so this read() is the last
 * point, should none have been reached before: it then fails itself. So may the
 * write() that ends it.
 */
bool faults_disarm(struct faults *f)
{
	char buf[16] = {};
	ssize_t n = pread(f->fd, buf, sizeof(buf) - 1, 0);

	if (n > 0 && !atoi(buf))
		return true;
	if (pwrite(f->fd, "0", 1, 0) != 1 && pwrite(f->fd, "0", 1, 0) != 1)
		abort();
	return false;
}
