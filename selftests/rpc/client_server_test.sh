#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: client_server_test.sh [BUILD [TEST...]]
#
# Runs the tests of our client with our server, all or these, and shows their
# results as those of one program: on both I/O engines; in a VM also with both
# back ends, but for some tests only, since it may be slow. ENGINES and BACKENDS,
# in the environment, are other choices.

here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here}
shift
tests=("$@")
[ $# != 0 ] || tests=(data_test mgmt_test cancel_test stage_test timeout_test
		      async_test interrupt_test race_test load_test)
combinations=('user io_uring' 'user poll')
few='cancel_test interrupt_test'
if [ -n "${RPCCANCEL_VM-}" ]; then
	combinations=('kernel io_uring' 'kernel poll' 'user io_uring')
	export RPCCANCEL_RACES=${RPCCANCEL_RACES:-2000}
	export RPCCANCEL_THREADS=${RPCCANCEL_THREADS:-16}
	export RPCCANCEL_SECONDS=${RPCCANCEL_SECONDS:-2}
fi
if [ -n "${ENGINES-}${BACKENDS-}" ]; then
	combinations=()
	for b in ${BACKENDS:-user}; do
		for e in ${ENGINES:-io_uring poll}; do
			combinations+=("$b $e")
		done
	done
fi

# Renumbers the results of one program, whose name it puts in front of each.
# The last line on descriptor 3 is how many there are so far.
# shellcheck disable=SC2016 # these are awk's
renumber='
	/^1\.\./ { planned = substr($1, 4); next }
	/^Bail out!/ { print "# " $0; bad = $0; next }
	/^(not )?ok\>/ {
		count++
		sub(/ok *[0-9]* *-? */, "ok " ++total " - " name ": ")
	}
	{ print; fflush() }
	END {
		if (planned != count || bad != "") {
			printf "not ok %d - %s as a whole: %d results of %s %s\n",
				++total, name, count, planned, bad
		}
		print total >"/dev/fd/3"
	}'

# For Unix sockets.
RPCCANCEL_DIR=$(mktemp -d)
export RPCCANCEL_DIR
trap 'rm -rf "$RPCCANCEL_DIR"' EXIT

total=0 failed=0
run()
{
	local name="$1, ${RPCCANCEL_ENGINE}, ${RPCCANCEL_BACKEND}" count
	count=$(mktemp)
	echo "# $name"
	timeout "${LIMIT:-800}" "$build/$1" 2>&1 |
		awk -v name="$name" -v total="$total" "$renumber" 3>"$count"
	[ "${PIPESTATUS[0]}" = 0 ] || failed=1
	total=$(tail -n 1 "$count")
	rm -f "$count"
}

for c in "${combinations[@]}"; do
	read -r RPCCANCEL_BACKEND RPCCANCEL_ENGINE <<<"$c"
	export RPCCANCEL_BACKEND RPCCANCEL_ENGINE
	for t in "${tests[@]}"; do
		[ $# != 0 ] || [ -z "${RPCCANCEL_VM-}" ] ||
			[ "$c" = 'kernel io_uring' ] ||
			[[ " $few " = *" $t "* ]] || continue
		run "$t"
	done
done
echo "1..$total"
exit $failed
