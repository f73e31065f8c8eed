#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: echo_client_test.sh [BUILD]
#
# echo_client, which the tests with other servers use, with echo_server.

. "$(dirname "$0")/lib.sh"

start_server ncacn_ip_tcp ncadg_ip_udp ncacn_np ncalrpc
for b in "${bindings[@]}"; do
	"$build/echo_client" "$b" sourcedata 100000 >/dev/null &&
		"$build/echo_client" "$b" echodata 100000 >/dev/null
	ok $? "${b%%:*}: calls in many fragments"
	[[ $b != ncalrpc:* ]] || continue # whose calls cannot be cancelled
	"$build/echo_client" --cancel 200 --grace 60 --then-add "$b" sleep 60 >"$tmp/out"
	is "$(sort "$tmp/out" | xargs)" "0 0 0 42 cancel 0" "${b%%:*}: a call is cancelled"
	"$build/echo_client" --cancel 200 --grace 0 --then-add "$b" stay 400 >"$tmp/out"
	is "$(sort "$tmp/out" | xargs)" "0 42 1818 cancel 0" "${b%%:*}: a call is abandoned"
done
stop_server
end
