// SPDX-License-Identifier: GPL-2.0-only
/*
 * rpccancel: cancel a system call that another thread is blocked in.
 *
 * Lifetime of the module: open devices and handles pin it as any open file does,
 * and each thread's record holds a reference of its own until it is freed, so
 * neither queued task work nor a registered scheduler hook can outlive it.  The
 * last instructions of a callback run after it dropped its reference; module
 * exit waits for those.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "broken.h"
#include "device.h"
#include "list.h"
#include "rearm.h"
#include "stage.h"
#include "thread.h"

#ifdef RPCCANCEL_TEST
unsigned int rpcc_break;
module_param_named(break, rpcc_break, uint, 0600);
MODULE_PARM_DESC(break, "Defects to show, see broken.h: 1 lose, 2 next call, 4 data, 8 twice");
MODULE_INFO(test, "Y");
#endif

static int __init rpcc_init(void)
{
	int err;

	/* Elsewhere it builds, but when task work runs there is not known. */
	if (!IS_ENABLED(CONFIG_X86_64) && !IS_ENABLED(CONFIG_ARM64)) {
		pr_err("only x86-64 and arm64 are supported\n");
		return -EOPNOTSUPP;
	}

	err = rpcc_threads_init();
	if (err)
		return err;

	rpcc_rearm_module_init();
	rpcc_list_debugfs_init();

	err = rpcc_device_register();
	if (err)
		goto exit_list;

	return 0;

exit_list:
	rpcc_list_debugfs_exit();
	rpcc_rearm_module_exit();
	rpcc_threads_exit();
	return err;
}

static void __exit rpcc_exit(void)
{
	rpcc_stage(RPCC_STAGE_MODULE_EXIT, current->pid);
	rpcc_device_unregister();
	rpcc_list_debugfs_exit();

	/* Task work and a work item that dropped the last reference just now. */
	synchronize_rcu_tasks();
	/* The callbacks that free the records. */
	rcu_barrier();

	rpcc_rearm_module_exit();
	rpcc_threads_exit();
}

module_init(rpcc_init);
module_exit(rpcc_exit);

MODULE_AUTHOR("The rpccancel developers");
MODULE_DESCRIPTION("Cancel blocked system calls of other threads, without signals");
MODULE_LICENSE("GPL");
