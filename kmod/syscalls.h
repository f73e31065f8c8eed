/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_SYSCALLS_H
#define _RPCC_SYSCALLS_H

#include <linux/types.h>

struct pt_regs;
struct restart_block;
struct task_struct;

u32 rpcc_syscall_class(struct task_struct *task, struct pt_regs *regs,
		       const struct restart_block *restart);
int rpcc_syscall_fd(struct task_struct *task, struct pt_regs *regs);
bool rpcc_syscall_interrupted(struct pt_regs *regs);
void rpcc_syscall_refuse(struct pt_regs *regs, int error);
void rpcc_syscall_resume(struct pt_regs *regs);

#endif /* _RPCC_SYSCALLS_H */
