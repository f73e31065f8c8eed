/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_TIMER_H
#define _RPCC_TIMER_H

#include <linux/types.h>

struct rpcc_thread;

void rpcc_timer_init(struct rpcc_thread *t);
void rpcc_timer_program(struct rpcc_thread *t);
void rpcc_timer_destroy(struct rpcc_thread *t);
int rpcc_timer_deadline(struct rpcc_thread *t, u64 deadline);

#endif /* _RPCC_TIMER_H */
