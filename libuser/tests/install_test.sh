#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The library as it is installed: found by pkg-config, usable from C and C++,
# shared and static.
. "$(dirname "$0")/lib.sh"

prefix=$tmp/prefix
export PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig

cat >"$tmp/hello.c" <<'END'
#include <stdio.h>
#include <rpccancel.h>
#include <rpcwinthread.h>

/* Exits with 0 whether or not the module is there. */
int main(void)
{
	struct rpccancel_scope scope;
	RPC_STATUS begun = rpccancel_scope_begin(&scope, NULL);
	RPC_STATUS ended = rpccancel_scope_end(&scope);

	if (RpcTestCancel() != RPC_S_ACCESS_DENIED || CloseHandle(NULL))
		return 1;
	return begun != ended || (begun && begun != RPC_S_CANNOT_SUPPORT);
}
END
cat >"$tmp/hello.cpp" <<'END'
#include <rpccancel.hpp>

int main()
{
	rpccancel::scope_guard scope(std::chrono::seconds(1));

	return scope.end() && scope.status() != RPC_S_CANNOT_SUPPORT;
}
END
cat >"$tmp/hello_rpc.c" <<'END'
#include <rpc.h>

int main(void)
{
	return RpcCancelThread((void *)0) != RPC_X_SS_CONTEXT_MISMATCH;
}
END

# shellcheck disable=SC2046 # pkg-config prints words
compile()
{
	"$1" -Wall -Wextra -Werror -o "$tmp/$2" "$tmp/$3" \
		$(pkg-config "${@:4}" --cflags --libs librpccancel)
}

static_only()
{
	rm "$prefix"/lib/*.so*
	compile gcc static hello.c --static && "$tmp/static"
}

staged()
{
	make -s -C "$libuser" O="$build" PREFIX=/usr LIBDIR=/usr/lib/x \
		DESTDIR="$tmp/stage" install &&
		[ -e "$tmp/stage/usr/lib/x/librpccancel.so.1" ] &&
		grep -qx 'libdir=/usr/lib/x' \
			"$tmp/stage/usr/lib/x/pkgconfig/librpccancel.pc" &&
		! grep -r "$tmp" "$tmp/stage/usr/lib/x/pkgconfig"
}

clean_tree()
{
	find "$libuser" "$top/include" -name '*.[oad]' -o -name '*.so*' \
		-o -name '*.pc' -o -name '*.gch'
}

out_of_tree()
{
	make -s -C "$libuser" O="$tmp/elsewhere" && [ -e "$tmp/elsewhere/librpccancel.so.1" ]
}

try "make install" make -s -C "$libuser" O="$build" PREFIX="$prefix" install
try "pkg-config knows the version" pkg-config --exact-version=1.0.0 librpccancel
export LD_LIBRARY_PATH=$prefix/lib
try "a C program" compile gcc hello hello.c
try "runs" "$tmp/hello"
try "a program written for Windows" compile gcc hello_rpc hello_rpc.c
try "runs" "$tmp/hello_rpc"
try "a C++ program" compile g++ hello++ hello.cpp
try "runs" "$tmp/hello++"
try "it uses the shared library" grep -q 'librpccancel\.so\.1 =>.*prefix' \
	<(ldd "$tmp/hello")
try "and, where there is no other, the static one" static_only
try "DESTDIR and LIBDIR" staged
try "O=" out_of_tree
nothing "nothing is built among the sources" clean_tree
# The .pc in the build folder is the last caller's; leave the default one.
make -s -C "$libuser" O="$build"
end
