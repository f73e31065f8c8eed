#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: check.sh [BUILD]
#
# Our client and our server with each other; what they send is dissected. Calls
# by ncalrpc cannot be cancelled.

here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here}
failed=0

# captured SEEN SCRIPT
captured()
{
	echo "# $2"
	"$here/captured.sh" "$build" both "$1" "$here/$2" "$build" || failed=1
}

cn=bind,bind_ack,alter_context,alter_context_resp,request,response,fault
cancels=co_cancel,orphaned,fault_cancelled
dg=request,response,fault,reject,ack,fack
dg_cancels=cl_cancel,cancel_ack,cl_cancel_orphaned,fault_cancelled
captured "ncacn_ip_tcp=$cn,$cancels ncadg_ip_udp=$dg,$dg_cancels
	  ncacn_np=$cn,$cancels ncalrpc=$cn,fault_cancelled" client_server_test.sh
captured "ncacn_ip_tcp=co_cancel,orphaned ncacn_np=co_cancel,orphaned
	  ncadg_ip_udp=cl_cancel,cl_cancel_orphaned" echo_client_test.sh
exit $failed
