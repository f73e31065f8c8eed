/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_BROKEN_H
#define _RPCC_BROKEN_H

#include <linux/types.h>

/*
 * Ways to break the module on purpose, so that the race tests can prove that
 * they notice.  They exist only in a test build, which says so by
 * RPCCANCEL_FEATURE_TEST and taints the kernel.
 */
enum rpcc_broken {
	RPCC_BROKEN_LOSE	= 1,	/* never re-arm an undelivered cancel */
	RPCC_BROKEN_NEXT	= 2,	/* let a late cancel hit the next call */
	RPCC_BROKEN_DATA	= 4,	/* refuse a call that has moved bytes */
	RPCC_BROKEN_TWICE	= 8,	/* tell a cancel twice */
};

#ifdef RPCCANCEL_TEST
#define RPCC_TEST_BUILD	true

extern unsigned int rpcc_break;

static inline bool rpcc_broken(enum rpcc_broken how)
{
	return rpcc_break & how;
}
#else
#define RPCC_TEST_BUILD	false

static inline bool rpcc_broken(enum rpcc_broken how)
{
	return false;
}
#endif

#endif /* _RPCC_BROKEN_H */
