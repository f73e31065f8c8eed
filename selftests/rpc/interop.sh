#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: interop.sh [BUILD]
#
# Our client and our server against what others wrote. Each script prints TAP.

here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here}
failed=0
for t in samba_raw_test.py smbtorture_test.sh impacket_client_test.py \
	impacket_server_test.py samba_server_test.sh tshark_test.sh; do
	echo "# $t"
	timeout 300 "$here/$t" "$build"
	status=$?
	[ $status -le 1 ] || echo "not ok - $t ended with status $status"
	[ $status = 0 ] || failed=1
done
exit $failed
