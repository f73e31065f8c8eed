/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_REARM_H
#define _RPCC_REARM_H

#include <linux/types.h>

/* Where the kernel cannot tell when a thread goes to sleep, a timer must do. */
#if defined(CONFIG_PREEMPT_NOTIFIERS) && !defined(RPCCANCEL_BACKOFF)
#define RPCC_HAVE_NOTIFIER	1
#else
#define RPCC_HAVE_NOTIFIER	0
#endif

struct rpcc_thread;

void rpcc_rearm_module_init(void);
void rpcc_rearm_module_exit(void);
void rpcc_rearm_init(struct rpcc_thread *t);
void rpcc_rearm_on(struct rpcc_thread *t);
void rpcc_rearm_off(struct rpcc_thread *t);

#endif /* _RPCC_REARM_H */
