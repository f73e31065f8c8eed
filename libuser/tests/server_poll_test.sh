#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: server_poll_test.sh BUILD
#
# The tests of servers once more, over poll(2) instead of io_uring.

build=$1
count=0
failed=0

for t in cn_server_test server_test; do
	out=$(RPCCANCEL_ENGINE=poll timeout 200 "$build/tests/$t" "$build")
	status=$?
	count=$((count + 1))
	if [ $status -eq 0 ]; then
		echo "ok $count - $t over poll"
	else
		grep '^not ok\|^#' <<<"$out" | sed 's/^/# /'
		echo "not ok $count - $t over poll, status $status"
		failed=1
	fi
done
echo "1..$count"
exit $failed
