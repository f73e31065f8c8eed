#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: sanitizers.sh BUILD [SANITIZER...]
#
# Builds the library and the tests of the run time with clang's sanitizers, in
# BUILD, and runs them. Anything that a sanitizer has to say ends the program
# that it is in, and so fails its test. Both at a time: there are two processors.

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
[ $# != 0 ] || set -- address thread

declare -A flags=(
	[address]='-fsanitize=address,undefined -fno-sanitize-recover=all'
	[thread]='-fsanitize=thread'
)
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
# Children may have threads: that is a part of what is tested.
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0
export UBSAN_OPTIONS=print_stacktrace=1
# Less of what takes long: sanitized programs are slow.
export RPCCANCEL_RACES=${RPCCANCEL_RACES:-5000}
export RPCCANCEL_THREADS=${RPCCANCEL_THREADS:-16}
export RPCCANCEL_SECONDS=${RPCCANCEL_SECONDS:-2}

all()
{
	local o=$out/$1
	local build=(CC=clang-19 CXX=clang++-19
		     CFLAGS="-O1 -g -fno-omit-frame-pointer ${flags[$1]}")

	local status=0

	make -s -C "$top/libuser" O="$o" "${build[@]}" check-programs || status=1
	make -s -C "$top/selftests/rpc" O="$o/rpc" \
		LIBRARY="$o/librpccancel.a" "${build[@]}" || return
	"$here/client_server_test.sh" "$o/rpc" || status=1
	return $status
}

pids=()
for s in "$@"; do
	all "$s" >"$out/$s.log" 2>&1 &
	pids+=($!)
done
status=0
for s in "$@"; do
	wait "${pids[0]}" || status=1
	pids=("${pids[@]:1}")
	echo "# $s"
	sed -E "s/^((not )?ok [0-9]* - )/\1$s: /" "$out/$s.log"
done
exit $status
