/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_INSPECT_H
#define _RPCC_INSPECT_H

#include <linux/types.h>

struct pid_namespace;
struct pt_regs;
struct restart_block;
struct rpcc_thread;
struct rpccancel_info;
struct task_struct;

bool rpcc_inspect_regs(struct task_struct *task, struct pt_regs *regs,
		       struct restart_block *restart);
void rpcc_inspect_state(struct rpcc_thread *t, u32 *state, s32 *nr, s32 *fd);
void rpcc_inspect(struct rpcc_thread *t, struct pid_namespace *ns,
		  struct rpccancel_info *info);

#endif /* _RPCC_INSPECT_H */
