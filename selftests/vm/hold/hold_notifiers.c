// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps the scheduler's preempt notifiers switched on, for guests that QEMU
 * emulates.
 *
 * Switching them rewrites instructions that every processor runs all the time;
 * the kernel puts an int3 there for a moment.  QEMU before 8.1 may go on with a
 * translation made at that moment, on another processor, after the int3 is gone
 * from memory: the guest then dies of an "int3" that is not there.  The tests
 * load and unload rpccancel often enough to see that.  With this module loaded
 * while the guest has one processor, the switch is never touched again.
 */
#include <linux/module.h>
#include <linux/preempt.h>

static int __init hold_init(void)
{
	preempt_notifier_inc();

	return 0;
}

module_init(hold_init);

MODULE_AUTHOR("The rpccancel developers");
MODULE_DESCRIPTION("Keep preempt notifiers switched on");
MODULE_LICENSE("GPL");
