#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# Kernels without preempt notifiers get a timer instead, see
# kmod/rearm_backoff.c. No kernel of the list is one, so a module is built that
# way for them, and must pass the tests that depend on it.

# shellcheck source=selftests/module_variant.sh
. "$(dirname "$0")/module_variant.sh"

must_pass()
{
	run 600 "$@"
	result $? "$1 passes with the timer instead of the notifier"
}

echo "TAP version 13"
use_module "${RPCCANCEL_BACKOFF_MODULE:-/lib/rpccancel/backoff/rpccancel.ko}" \
	"build with the timer"
echo "1..3"
must_pass race_entry_test 2000
must_pass race_data_test 512
must_pass sticky_test
[ $failed = 0 ]
