#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: run.sh BUILD [programs]
#
# Runs the tests that need no module, or only those that are programs, and shows
# their results in the Test Anything Protocol. Those that need the module are
# selftests/lib_*_test.c.

here=$(cd "$(dirname "$0")" && pwd)
build=$1
failed=0
scripts=("$here"/*_test.sh)
[ "${2-}" != programs ] || scripts=()

for t in "$build"/tests/*_test "${scripts[@]}"; do
	echo "# ${t##*/}"
	timeout 900 "$t" "$build"
	status=$?
	case $status in
	0) ;;
	1) failed=1 ;;
	*)
		echo "not ok - ${t##*/} ended with status $status"
		failed=1
		;;
	esac
done
exit $failed
