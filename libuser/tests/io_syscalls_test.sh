#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# What a request and its answer cost in system calls, with each engine.
. "$(dirname "$0")/lib.sh"

rounds=1000

skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}

# count_of SYSCALL: how often strace has seen it.
count_of()
{
	awk -v name="$1" '$NF == name { n = $4 } END { print n + 0 }' \
		"$tmp/calls"
}

# at_most LIMIT SYSCALL...: all of them together.
at_most()
{
	local limit=$1 sum=0 name
	shift
	for name; do
		sum=$((sum + $(count_of "$name")))
	done
	echo "$sum calls, at most $limit expected"
	cat "$tmp/calls"
	[ "$sum" -ge "$rounds" ] && [ "$sum" -le "$limit" ]
}

run()
{
	RPCCANCEL_ENGINE=$1 strace -f -c -o "$tmp/calls" \
		"$build/tests/io_test" ping-pong "$rounds" >"$tmp/engine"
}

command -v strace >/dev/null || skip_all "there is no strace here"
strace -o /dev/null true 2>/dev/null || skip_all "ptrace is not permitted"

try "a poll engine's round trips" run poll
try "are three calls each" at_most $((3 * rounds + 20)) sendmsg ppoll recvfrom \
	fcntl getsockopt poll

try "an io_uring engine's round trips" run io_uring
if grep -q io_uring "$tmp/engine"; then
	try "are one call each" at_most $((rounds + 20)) io_uring_enter \
		io_uring_register sendmsg recvfrom ppoll poll futex
else
	echo "ok $((++count)) - # SKIP io_uring is not to be had"
fi
end
