# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
# shellcheck shell=bash
#
# What the interop scripts share: results in TAP, and servers that end with the
# script. Source it with the build's folder as first argument.

set -u
PATH=$PATH:/usr/sbin:/sbin
rpc=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${1:-$rpc}" && pwd)
arguments=("$@")
tmp=$(mktemp -d)
count=0 failed=0 pids=()
export RPCCANCEL_DIR=$tmp	# for Unix sockets

cleanup()
{
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null
	wait
	rm -rf "$tmp"
}
trap cleanup EXIT

# ok STATUS NAME: a result.
ok()
{
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=1
	fi
}

# is GOT WANTED NAME
is()
{
	[ "$1" = "$2" ]
	ok $? "$3"
	[ "$1" = "$2" ] || printf '# got "%s", expected "%s"\n' "$1" "$2"
}

end()
{
	echo "1..$count"
	exit $failed
}

skip_all()
{
	printf '1..0 # SKIP %s\nok # SKIP %s\n' "$1" "$1"
	exit 0
}

# Starts the script again in a network namespace, where all ports are free; a
# caller of the script may have made one. False if none can be made here.
enter_namespace()
{
	local how
	[ -z "${RPC_NAMESPACE-}" ] || { ip link set lo up; return; }
	if unshare -n true 2>/dev/null; then
		how=-n
	elif unshare -rn true 2>/dev/null; then
		how=-rn
	else
		return 1
	fi
	export RPC_NAMESPACE=1
	rm -rf "$tmp"
	exec unshare $how "$0" "${arguments[@]}"
}

in_namespace()
{
	enter_namespace || skip_all "no network namespace can be made here"
}

# start_server ARGUMENT...: its bindings are in $bindings, by protocol sequence.
declare -A bindings
start_server()
{
	local line host
	mkfifo "$tmp/server"
	# Its input must not end before the script does.
	exec 3< <(exec sleep infinity)
	pids+=($!)
	"$build/echo_server" "$@" >"$tmp/server" <&3 3<&- &
	server=$!
	pids+=("$server")
	while read -r line && [ "$line" != ready ]; do
		# The address is any of this machine: take the local one.
		[[ $line =~ ^(nc[a-z_]*):.*\[(.*)\]$ ]] || continue
		host=
		[[ ${BASH_REMATCH[1]} != *_ip_* ]] || host=127.0.0.1
		bindings+=(["${BASH_REMATCH[1]}"]="${BASH_REMATCH[1]}:${host}[${BASH_REMATCH[2]}]")
	done <"$tmp/server"
	rm "$tmp/server"
}
stop_server()
{
	kill "$server"
	wait "$server"
	ok $? "the server ends well"
}
