#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# Proves that the race tests notice what they are there for: with a module that
# is broken on purpose, in one way at a time, they must fail; with the same
# module unbroken they must pass. The ways are in kmod/broken.h; they exist only
# in a test build, which takes the place of the normal one for the time.

# shellcheck source=selftests/module_variant.sh
. "$(dirname "$0")/module_variant.sh"

switch=/sys/module/rpccancel/parameters/break
# A broken module loses cancels: do not wait for them for long.
export RPCCANCEL_WATCHDOG=2000

# run_broken BITS PROGRAM ARGUMENTS...: its status with the module broken so.
run_broken()
{
	local status
	echo "$1" >$switch || return 99
	shift
	run 600 "$@"
	status=$?
	echo 0 >$switch
	return "$status"
}

# must_fail BITS WHAT PROGRAM ARGUMENTS...
must_fail()
{
	local bits=$1 what=$2
	shift 2
	run_broken "$bits" "$@"
	[ $? = 1 ]
	result $? "$1 notices a module that $what"
}

must_pass()
{
	run_broken 0 "$@"
	result $? "$1 passes with nothing broken"
}

echo "TAP version 13"
broken=${RPCCANCEL_TEST_MODULE:-/lib/rpccancel/test/rpccancel.ko}
use_module "$broken" "test build"
[ -w $switch ] || skip "$broken is no test build"

echo "1..10"
# Each by the race that is made for it.
must_fail 1 "loses cancels" race_entry_test 5000 1
must_fail 2 "lets cancels hit the next call" race_entry_test 2000 4
must_fail 8 "tells cancels twice" race_entry_test 200 1
must_fail 4 "loses bytes" race_data_test 64
# And by the orders of events, made on purpose, in which it shows.
must_fail 1 "loses cancels" interleaving_test \
	"data comes before the work runs"
must_fail 2 "lets cancels hit the next call" interleaving_test \
	"cancel noted, next call begins"
must_fail 4 "loses bytes" interleaving_test "data wakes the thread too"
must_fail 8 "tells cancels twice" interleaving_test "work begun, a second cancel"
must_pass race_entry_test 5000
must_pass race_data_test 64
[ $failed = 0 ]
