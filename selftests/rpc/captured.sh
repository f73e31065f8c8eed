#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: captured.sh BUILD OURS SEEN PROGRAM [ARGUMENT...]
#
# Runs a test program, which prints TAP, and captures what it sends meanwhile, in
# a network namespace where nothing else is. What our side has sent is then
# dissected by tshark; the results, see captured.awk, follow the program's own.
#
# OURS   who of both sides is ours: "client", "server" or "both"
# SEEN   what must have been sent: PROTSEQ=KIND,KIND... PROTSEQ=...
#
# Unix sockets are captured by echo_server, see unix_capture.c. If there are
# failures, the captures are kept in build/captured.

. "$(dirname "$0")/lib.sh"
ours=$2 seen=$3
program=("${@:4}")

# not_captured REASON: the program's results are worth something without.
not_captured()
{
	run_program
	ok 0 "what was sent # SKIP $1"
	[ "$status" = 0 ] || failed=1
	end
}

# Shows its results without the plan, and leaves their number in $count, how it
# ended in $status. If all is skipped, that is all.
# shellcheck disable=SC2016 # these are awk's
run_program()
{
	"${program[@]}" | awk '
		/^1\.\.0/ { planned = "none" }
		/^1\.\.[1-9]/ { planned = substr($1, 4); next }
		/^(not )?ok/ { results++ }
		{ print; fflush() }
		END { print planned == "" ? results + 0 : planned >"/dev/fd/3" }
		' 3>"$tmp/count"
	status=${PIPESTATUS[0]}
	count=$(cat "$tmp/count")
	[ "$count" != none ] || exit "$status"
	[ "$status" -le 1 ] || ok 1 "the program ended with status $status"
}

# An attempt to connect to this port is what the capture begins and ends with.
mark=9
put_mark()
{
	: 2>/dev/null >"/dev/tcp/127.0.0.1/$mark"
}

# It must keep up with tests of many threads: half a GiB of buffer, from which the
# kernel may strike off, and root can be nicer to it than to them.
start_capture()
{
	mkdir "$tmp/unix"
	export RPC_CAPTURE=$tmp/unix
	: >"$tmp/dumpcap"
	nice -n -15 dumpcap -q -P -i lo -B 512 -s 0 -f 'tcp or udp' \
		-w "$tmp/lo.pcap" 2>"$tmp/dumpcap" &
	dump=$!
	pids+=("$dump")
	for _ in {1..300}; do
		if grep -q '^File:' "$tmp/dumpcap"; then
			put_mark
			return
		fi
		kill -0 "$dump" 2>/dev/null || break
		sleep 0.1
	done
	not_captured "dumpcap: $(grep -v ^nice: "$tmp/dumpcap" | head -n 1)"
}

# The kernel hands packets over in blocks, the last after some time.
stop_capture()
{
	put_mark
	sleep 2
	kill -INT "$dump"
	wait "$dump"
	is "$(sed -n 's/.*dropped on.*: [0-9]*\/\([0-9]*\) .*/\1/p' "$tmp/dumpcap")" \
		0 "no packet was lost"
	if compgen -G "$tmp/unix/*.pcap" >/dev/null; then
		mergecap -w "$tmp/unix.pcap" "$tmp"/unix/*.pcap
	fi
}

# All ports are those of servers of RPC, and nothing else is to guess: a request
# in a datagram begins like WireGuard's data.
configure()
{
	local known='frame|data|null|raw|eth|ethertype|ip|ipv6|tcp|udp'
	known+='|dcerpc|mgmt|conv|_ws[._].*'
	export WIRESHARK_CONFIG_DIR=$tmp/wireshark
	mkdir "$WIRESHARK_CONFIG_DIR"
	tshark -G protocols 2>/dev/null | cut -f 3 | grep -vxE "$known" \
		>"$WIRESHARK_CONFIG_DIR/disabled_protos"
}

# In the order in which captured.awk has them.
fields=(frame.number ip.addr tcp.stream tcp.srcport tcp.dstport tcp.flags tcp.seq
	tcp.len frame.protocols dcerpc.ver dcerpc.pkt_type dcerpc.cn_frag_len
	dcerpc.cn_auth_len dcerpc.cn_status dcerpc.dg_status dcerpc.dg_cancel_id
	_ws.malformed _ws.expert.severity _ws.expert.group tcp.analysis.flags
	_ws.expert.message)
dissect()
{
	echo "file $1"
	[ ! -e "$tmp/$1" ] ||
		tshark -n -r "$tmp/$1" -d tcp.port==1-65535,dcerpc \
			-T fields -E aggregator=';' "${fields[@]/#/-e}" 2>/dev/null
	echo "end $?"
}

dissect_all()
{
	local line
	{ dissect lo.pcap; dissect unix.pcap; } |
		awk -v ours="$ours" -v seen="$seen" -v mark="$mark" \
			-f "$rpc/captured.awk" >"$tmp/results"
	ok $? "the captures are judged"
	while IFS= read -r line; do
		case $line in
		'#'*) echo "$line" ;;
		*) ok "${line%% *}" "${line#* }" ;;
		esac
	done <"$tmp/results"
}

keep_captures()
{
	local kept
	kept=$(realpath -m "$rpc/../../build/captured")
	mkdir -p "$kept"
	mv "$tmp"/{lo,unix}.pcap "$kept" 2>/dev/null
	echo "# the captures are $kept/{lo,unix}.pcap"
}

for p in tshark dumpcap; do
	command -v $p >/dev/null || not_captured "$p is not installed"
done
enter_namespace || not_captured "no network namespace can be made here"
start_capture
run_program
stop_capture
configure
dissect_all
[ $failed = 0 ] || keep_captures
[ "$status" = 0 ] || failed=1
end
