# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
# shellcheck shell=bash
#
# What the tests share that put another build of the module in the place of the
# normal one for the time of the test. To be sourced.

normal=${RPCCANCEL_MODULE:-/rpccancel/kmod/rpccancel.ko}
here=$(cd "$(dirname "$0")" && pwd)
number=0
failed=0

skip()
{
	echo "1..0 # SKIP $*"
	exit 4
}

# result STATUS NAME: one line of TAP.
result()
{
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number $2"
	else
		echo "not ok $number $2"
		failed=$((failed + 1))
	fi
}

# use_module FILE WHAT: FILE instead of the normal module, until the exit.
use_module()
{
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ -f "$1" ] || skip "there is no $2 at $1"
	[ -f "$normal" ] || skip "there is no module to put back at $normal"
	rmmod rpccancel || skip "the module is in use or not there"
	# Whatever happens, the next test finds the normal one.
	trap 'rmmod rpccancel; insmod "$normal"' EXIT
	insmod "$1" || skip "the $2 cannot be loaded"
}

# run LIMIT PROGRAM ARGUMENTS...: its status; what it prints is for information.
run()
{
	local status limit=$1 program=$here/$2
	shift 2
	KSFT_TAP_LEVEL=1 timeout -k 10 "$limit" "$program" "$@" 2>&1 | sed 's/^/#   /'
	status=${PIPESTATUS[0]}
	echo "# status $status"
	return "$status"
}
