#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# What the shared library shows and what it needs.
. "$(dirname "$0")/lib.sh"

so=$build/librpccancel.so

defined()
{
	nm -D --defined-only "$so" | awk '$2 != "A" { print $3 }' |
		sed 's/@.*//' | sort
}

# The functions of the headers, without macros and types.
declared()
{
	printf '#include <%s>\n' rpc.h rpcasync.h rpcdcep.h rpccancel.h |
		gcc -E -P -I"$top/include" -I"$top/include/uapi" - |
		grep -vE '^ *typedef' | tr '\n' ' ' |
		grep -oE '\<(rpccancel_[a-z_]+|(I_)?Rpc[A-Za-z0-9]+|Uuid[A-Za-z]+|DceErrorInqText)\(' |
		tr -d '(' | sort -u
}

# Without the version that the static linker adds to each name.
undefined()
{
	nm -D --undefined-only "$so" | awk '{ print $2 }' | sed 's/@.*//'
}

versions()
{
	nm -D --defined-only "$so" | grep ' T ' | grep -v '@@RPCCANCEL_1\.0$'
}

# Objects that need a name.
users()
{
	nm -A --undefined-only "$build/librpccancel.a" |
		sed -n "s/.*:\([^:]*\.o\): *U $1\$/\1/p" | sort
}

# Which files have constructors, and which have those of internal.h.
constructors()
{
	readelf -SW "$build/librpccancel.a" |
		sed -n 's/^File: .*(\(.*\))$/\1/; t hold; /\.init_array\|\.ctors/{g;p}; b
			: hold; h' | sort -u
}

fork_handlers()
{
	nm -A "$build/librpccancel.a" | sed -n 's/.*:\([^:]*\.o\):.* t at_fork$/\1/p' |
		sort -u
}

# Names that a program linked with the static library could collide with.
static_names()
{
	nm -g --defined-only "$build/librpccancel.a" |
		awk 'NF == 3 &&
			$3 !~ /^(rpccancel_|rpcc_|cn_|dg_|(I_)?Rpc|Uuid|DceErrorInqText)/ {
				print $3 }'
}

try "it exports what the map says, and nothing else" diff <(exported) <(defined)
try "the headers declare what it exports" diff <(exported) <(declared)
nothing "all of it has the version RPCCANCEL_1.0" versions
try "its name is librpccancel.so.1" \
	grep -q 'SONAME.*\[librpccancel\.so\.1\]' <(readelf -dW "$so")
try "it cannot be unloaded" grep -q 'NODELETE' <(readelf -dW "$so")
try "it needs liburing and the C library only" \
	diff <(printf '%s\n' libc.so.6 liburing.so.2) \
	<(readelf -dW "$so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort)
nothing "it prints nothing" \
	grep -E '^(__)?(v?f?printf|v?dprintf|puts|putchar|fputs|fwrite|perror|v?syslog|psignal)(_chk)?$' <(undefined)
nothing "it has no signal handlers" grep -E '^(sigaction|signal)$' <(undefined)
nothing "it does not exit" grep -E '^(_?exit|__assert_fail)$' <(undefined)
try "it aborts for an exception that nobody takes, and nothing else" \
	diff <(echo exception.o) <(users abort)
try "only the documented files start threads" \
	diff <(printf "%s\n" async.o loop.o) <(users pthread_create)
try "its constructors register handlers for forks, and there are no others" \
	diff <(fork_handlers) <(constructors)
nothing "the static library's names are its own" static_names
end
