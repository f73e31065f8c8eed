#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The programs of the guide compile with the pkg-config line, shared and static,
# do what the guide says, and are what the guide shows.
. "$(dirname "$0")/lib.sh"

examples=$top/Documentation/examples
prefix=$tmp/prefix
endpoint='\pipe\work'
export PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig
export LD_LIBRARY_PATH=$prefix/lib
export RPCCANCEL_DIR=$tmp

# compile NAME OUTPUT ARG...: ARG is for pkg-config, and -static for both.
# shellcheck disable=SC2046 # pkg-config prints words
compile()
{
	gcc -Wall -Wextra -Werror ${3:+"-${3#--}"} -o "$tmp/$2" "$examples/$1.c" \
		$(pkg-config "${@:3}" --cflags --libs librpccancel) -pthread
}

# What stands in the guide between the marks of an example, as a file.
shown()
{
	sed -n "/^\.\. begin examples\/$1\$/,/^\.\. end examples\/$1\$/p" \
		"$top/Documentation/rpc-guide.rst" |
		sed -n 's/^  //p; /^$/p' | sed '1,/^$/d'
}

not_as_shown()
{
	local f
	for f in "$examples"/*.[ch]; do
		diff -B <(shown "${f##*/}") <(grep -v SPDX "$f") ||
			echo "${f##*/} is not what the guide shows"
	done
}

# The time limits are only for when something hangs.
client()
{
	timeout 60 "$tmp/work_client" "ncacn_np:[$endpoint]" "$@"
}

asynchronous()
{
	timeout 60 "$tmp/work_async" "ncacn_np:[$endpoint]" "$@"
}

# serve [deaf]: starts a server and waits until it answers.
serve()
{
	timeout 240 "$tmp/work_server" ncacn_np "$endpoint" "$@" \
		>"$tmp/served" 2>&1 &
	server=$!
	until client 0 | grep -q 'worked for 0 s'; do
		kill -0 "$server" || return
	done
}

stop()
{
	kill "$server"
	wait "$server"
} 2>/dev/null

# prints PATTERN COMMAND...
prints()
{
	local pattern=$1
	shift
	"$@" >"$tmp/out"
	grep -qE "$pattern" "$tmp/out" && return
	cat "$tmp/out" "$tmp/served"
	return 1
}

make -s -C "$libuser" O="$build" PREFIX="$prefix" install >"$tmp/log" 2>&1
for program in work_server work_client work_async; do
	try "$program, shared" compile $program $program
	try "$program, static" compile $program $program-static --static
done
nothing "the guide shows what is compiled" not_as_shown

try "the server answers" serve
try "a call" prints '^the server has worked for 1 s$' client 1
try "cancelled, with time to come to an end" \
	prints '^the server has worked for [0-9] s$' client 60 30
try "asynchronous, cancelled" prints '^the server has worked' asynchronous 60
stop
try "a server that takes no notice answers" serve deaf
try "cancelled, with the time over" prints '\(1818\)$' client 20 1
try "asynchronous, with the time over" prints '^status 1818$' asynchronous 20
stop
# The .pc in the build folder is the last caller's; leave the default one.
make -s -C "$libuser" O="$build"
end
