/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_DELIVER_H
#define _RPCC_DELIVER_H

#include <linux/types.h>

struct callback_head;
struct rpcc_thread;

void rpcc_deliver_init(struct rpcc_thread *t);
void rpcc_deliver_kick(struct rpcc_thread *t);
void rpcc_deliver_wake(struct rpcc_thread *t);
void rpcc_deliver_outcome(struct rpcc_thread *t);
void rpcc_deliver_watch(struct rpcc_thread *t);
bool rpcc_deliver(struct rpcc_thread *t);
void rpcc_deliver_end(struct rpcc_thread *t);

#endif /* _RPCC_DELIVER_H */
