/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The kernel's fault injection: the n-th point at which a thread's system calls
 * can fail shall. Only kernels that are built for it have it.
 */
#ifndef RPCCANCEL_FAULTS_H
#define RPCCANCEL_FAULTS_H

#include <stdbool.h>

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define FAULT_SETTINGS	7

struct faults {
	int fd;
	char old[FAULT_SETTINGS][16];
};

/* For the calling thread; a negative errno if the kernel cannot. */
int faults_on(struct faults *f);
void faults_off(struct faults *f);

void faults_arm(struct faults *f, int n);
bool faults_disarm(struct faults *f);

#endif /* RPCCANCEL_FAULTS_H */
