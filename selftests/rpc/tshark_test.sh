#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: tshark_test.sh [BUILD]
#
# What is on the wire while the tests of cancels run over TCP and UDP, as tshark
# sees it: every PDU is one, whole and well formed, and the cancels are there.
# Capturing needs a network namespace of our own, so that nothing else is in it.

. "$(dirname "$0")/lib.sh"

for p in tshark tcpdump; do
	command -v $p >/dev/null || skip_all "$p is not installed"
done
in_namespace

tcpdump -i lo -B 65536 -s 0 -U -Z root -w "$tmp/all.pcap" 2>"$tmp/tcpdump" &
dump=$!
pids+=("$dump")
for _ in {1..100}; do
	grep -q 'listening on' "$tmp/tcpdump" && break
	kill -0 "$dump" 2>/dev/null || skip_all "$(head -n 1 "$tmp/tcpdump")"
	sleep 0.1
done

# The ports are the kernel's choice; those of the first server are known.
start_server ncacn_ip_tcp ncadg_ip_udp
for b in "${bindings[@]}"; do
	"$build/echo_client" "$b" sourcedata 100000 >/dev/null &&
		"$build/echo_client" "$b" echodata 100000 >/dev/null
	ok $? "${b%%:*}: calls in many fragments"
	"$build/echo_client" --cancel 200 --grace 60 --then-add "$b" sleep 60 >"$tmp/out"
	is "$(sort "$tmp/out" | xargs)" "0 0 0 42 cancel 0" "${b%%:*}: a call is cancelled"
	"$build/echo_client" --cancel 200 --grace 0 --then-add "$b" stay 400 >"$tmp/out"
	is "$(sort "$tmp/out" | xargs)" "0 42 1818 cancel 0" "${b%%:*}: a call is abandoned"
done
stop_server
for t in cancel_test data_test; do
	timeout 250 "$build/$t" >"$tmp/out" 2>&1
	status=$?
	[ $status = 0 ] || grep '^not ok' "$tmp/out"
	ok $status "$t"
done
sleep 0.5
kill -INT "$dump"
wait "$dump"
is "$(sed -n 's/ packets dropped by kernel//p' "$tmp/tcpdump")" 0 "no packet was lost"

# All TCP and UDP in this namespace is ours: each server's port is decoded. A
# request in a datagram begins like WireGuard's data, so that must not guess.
decode=(--disable-protocol wg)
for p in $(tshark -r "$tmp/all.pcap" -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 0' \
	-T fields -e tcp.dstport 2>/dev/null | sort -u); do
	decode+=(-d "tcp.port==$p,dcerpc")
done
show()
{
	tshark -r "$tmp/all.pcap" "${decode[@]}" -Y "$@" 2>/dev/null
}

# none NAME FILTER: such packets there must not be.
none()
{
	show "$2" >"$tmp/packets"
	is "$(wc -l <"$tmp/packets")" 0 "$1"
	head -n 5 "$tmp/packets" | sed 's/^/# /'
}
none "TCP: everything is DCE/RPC" 'tcp.len > 0 && !dcerpc && !tcp.segment_data'
none "UDP: everything is DCE/RPC" 'udp && !dcerpc'
none "no PDU is malformed" '_ws.malformed'
none "nor has tshark a warning about one" \
	'dcerpc && _ws.expert.severity >= "Warning" && !tcp.analysis.flags'

# seen NAME FILTER
seen()
{
	local n
	n=$(show "$2" | wc -l)
	[ "$n" -gt 0 ]
	ok $? "$1: $n packets"
}
seen "bind" 'dcerpc.ver == 5 && dcerpc.pkt_type == 11'
seen "co_cancel" 'dcerpc.ver == 5 && dcerpc.pkt_type == 18'
seen "orphaned" 'dcerpc.ver == 5 && dcerpc.pkt_type == 19'
seen "a fault that says cancelled" 'dcerpc.ver == 5 && dcerpc.cn_status == 0x1c00000d'
seen "cl_cancel with an id" 'dcerpc.ver == 4 && dcerpc.pkt_type == 8 && dcerpc.dg_cancel_id'
seen "cl_cancel without: orphan" 'dcerpc.ver == 4 && dcerpc.pkt_type == 8 && !dcerpc.dg_cancel_id'
seen "cancel_ack" 'dcerpc.ver == 4 && dcerpc.pkt_type == 10 && dcerpc.server_accepting_cancels'
seen "fack" 'dcerpc.ver == 4 && dcerpc.pkt_type == 9'
end
