#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: interop.sh [BUILD]
#
# Our client and our server against what others wrote. Each script prints TAP;
# what our side sends meanwhile is dissected.

here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here}
failed=0

# captured OURS KIND,KIND... SCRIPT
captured()
{
	echo "# $3"
	"$here/captured.sh" "$build" "$1" "ncacn_ip_tcp=$2" \
		timeout 300 "$here/$3" "$build" || failed=1
}

captured server bind_ack,alter_context_resp,response,fault samba_raw_test.py
captured server bind_ack,response smbtorture_test.sh
captured server bind_ack,response,fault,fault_cancelled impacket_client_test.py
captured client bind,request impacket_server_test.py
captured client bind,request,co_cancel,orphaned samba_server_test.sh
exit $failed
