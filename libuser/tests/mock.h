/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A back end that does what a test says. It takes the place of the kernel's, so
 * that the library's own logic can be tested anywhere; whether the kernel keeps
 * its side is what selftests/lib_*_test.c find out.
 */
#ifndef MOCK_H
#define MOCK_H

#include "../backend.h"

struct mock {
	struct rpccancel_slot slot;
	int attached, settled, deadlines; /* how often */
	uint64_t deadline;		  /* the last one, or infinite */
	int error;			  /* what the next one fails with */
	struct rpccancel_cancel cancel;	  /* the last request */
	struct rpccancel_wait wait;
	int waits;
	uint32_t result, wait_result; /* what to answer */
	uint64_t gen;
	int wait_error;
	struct rpccancel_event event; /* for the next read; gen 0: none */
	int handle;		      /* the last that was opened */
	int events;		      /* how many were read */
	uint32_t rights;	      /* of the handle to duplicate */
	size_t bulk, bulk_stop;	      /* targets done; to stop at */
};

extern struct mock mock;

void mock_reset(void);
/* As the kernel does on the thread's way to user mode. */
void mock_tell(uint32_t reason);

#endif /* MOCK_H */
