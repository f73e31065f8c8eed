#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: smbtorture_test.sh [BUILD]
#
# Samba's client and its tests of rpcecho (samba-testsuite) against echo_server.

. "$(dirname "$0")/lib.sh"

command -v smbtorture >/dev/null || skip_all "samba-testsuite is not installed"
start_server ncacn_ip_tcp
echo '[global]' >"$tmp/smb.conf"

# "sleep" has three calls on one connection at a time, and looks at the clock.
for t in addone sinkdata echodata sourcedata testcall testcall2 enum \
	surrounding doublepointer sleep; do
	timeout 60 smbtorture -s "$tmp/smb.conf" "${bindings[ncacn_ip_tcp]}" -U% \
		"rpc.echo.echo.$t" >"$tmp/log" 2>&1 &&
		grep -q "^success: echo.$t" "$tmp/log"
	status=$?
	[ $status = 0 ] || sed 's/^/# /' "$tmp/log"
	ok $status "smbtorture rpc.echo.echo.$t"
done

# Both integer orders, and each PDU checked by what Samba would make of it.
for option in bigendian validate connect; do
	timeout 60 smbtorture -s "$tmp/smb.conf" \
		"${bindings[ncacn_ip_tcp]/%]/,$option]}" -U% \
		rpc.echo.echo.echodata rpc.echo.echo.testcall2 >"$tmp/log" 2>&1
	status=$?
	[ $status = 0 ] || sed 's/^/# /' "$tmp/log"
	ok $status "with the option $option"
done

stop_server
end
