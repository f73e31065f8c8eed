#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: samba_server_test.sh [BUILD]
#
# Our client against Samba's server, samba-dcerpcd, which needs no smbd, no
# domain and no users for what is asked here: the management interface that each
# of its endpoints has. It runs in a network namespace, as it wants port 135.

. "$(dirname "$0")/lib.sh"

dcerpcd=/usr/libexec/samba/samba-dcerpcd
[ -x $dcerpcd ] || skip_all "samba is not installed"
in_namespace

for d in private lock state cache ncalrpc pid; do
	mkdir "$tmp/$d"
done
cat >"$tmp/smb.conf" <<-EOF
	[global]
	workgroup = TEST
	netbios name = PEER
	server role = standalone server
	interfaces = lo
	bind interfaces only = yes
	rpc start on demand helpers = false
	private dir = $tmp/private
	lock directory = $tmp/lock
	state directory = $tmp/state
	cache directory = $tmp/cache
	ncalrpc dir = $tmp/ncalrpc
	pid directory = $tmp/pid
	log file = $tmp/log
EOF
# It closes the pipe's end when it serves.
mkfifo "$tmp/ready"
$dcerpcd --libexec-rpcds -F -s "$tmp/smb.conf" --ready-signal-fd=4 \
	</dev/null >"$tmp/out" 2>&1 4>"$tmp/ready" &
pids+=($!)
timeout 60 cat "$tmp/ready" >/dev/null
ok $? "samba-dcerpcd starts"

# The endpoint mapper, and what else listens.
mapfile -t ports < <(ss -Htln 'src 127.0.0.1' | sed 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/')
[ ${#ports[@]} -gt 1 ]
ok $? "it serves at ${#ports[@]} ports"
for p in "${ports[@]}"; do
	binding="ncacn_ip_tcp:127.0.0.1[$p]"
	out=$(timeout 60 "$build/echo_client" "$binding" ifids)
	status=$?
	ok $status "port $p: RpcMgmtInqIfIds: $(wc -l <<<"$out") lines"
	[ $status = 0 ] || printf '# %s\n' "$out"
	out=$(timeout 60 "$build/echo_client" --repeat 50 "$binding" listening)
	is "$(sort -u <<<"$out")" 0 "port $p: RpcMgmtIsServerListening, 50 times"
	timeout 60 "$build/echo_client" "$binding" addone 1 >"$tmp/out2"
	is "$(cat "$tmp/out2")" "1717 0" "port $p: rpcecho is refused"
done

# Samba knows co_cancel and orphaned, and does not mind them.
binding="ncacn_ip_tcp:127.0.0.1[135]"
timeout 120 "$build/echo_client" --storm 500 "$binding" listening >"$tmp/out2"
ok $? "500 calls, cancelled at random moments: $(tail -n 1 "$tmp/out2")"
out=$(timeout 60 "$build/echo_client" "$binding" listening)
is "$out" 0 "and the server lives"
end
