/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_USER_H
#define _RPCC_USER_H

#include <linux/types.h>

struct rpcc_user;

struct rpcc_user *rpcc_user_get_current(void);
void rpcc_user_get(struct rpcc_user *user);
void rpcc_user_put(struct rpcc_user *user);
int rpcc_user_charge(struct rpcc_user *user);
void rpcc_user_uncharge(struct rpcc_user *user);
u32 rpcc_user_limit(void);

#endif /* _RPCC_USER_H */
