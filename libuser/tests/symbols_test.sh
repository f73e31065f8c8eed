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

declared()
{
	cat "$top"/include/rpccancel.h "$top"/include/rpcdce.h |
		grep -oE '\<(rpccancel_[a-z_]+|Rpc[A-Za-z]+)\(' | tr -d '(' | sort
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

constructors()
{
	readelf -rW "$build"/*.o | awk '/init_array|ctors/'
	readelf -SW "$build"/*.o | awk '/\.init_array|\.ctors/'
}

# Names that a program linked with the static library could collide with.
static_names()
{
	nm -g --defined-only "$build/librpccancel.a" |
		awk 'NF == 3 && $3 !~ /^(rpccancel_|rpcc_|Rpc)/ { print $3 }'
}

try "it exports what the map says, and nothing else" diff <(exported) <(defined)
try "the headers declare what it exports" diff <(exported) <(declared)
nothing "all of it has the version RPCCANCEL_1.0" versions
try "its name is librpccancel.so.1" \
	grep -q 'SONAME.*\[librpccancel\.so\.1\]' <(readelf -dW "$so")
try "it cannot be unloaded" grep -q 'NODELETE' <(readelf -dW "$so")
try "it needs the C library only" \
	[ "$(readelf -dW "$so" | grep -c NEEDED)" = 1 ]
nothing "it prints nothing" \
	grep -E 'printf|^(puts|putchar|perror|write|v?syslog|psignal)$' <(undefined)
nothing "it has no signal handlers" grep -E '^(sigaction|signal)$' <(undefined)
nothing "it neither aborts nor exits" \
	grep -E '^(abort|_?exit|__assert_fail)$' <(undefined)
nothing "it starts no threads" grep -E '^pthread_create$' <(undefined)
nothing "it has no global constructors" constructors
nothing "the static library's names are its own" static_names
end
