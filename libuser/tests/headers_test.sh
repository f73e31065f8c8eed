#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# Each header can be included alone, twice, in C and in C++, without a warning.
. "$(dirname "$0")/lib.sh"

flags=(-Wall -Wextra -Werror -pedantic -Wno-long-long -fsyntax-only
       -I"$top/include" -isystem "$top/include/uapi")

# compile HEADER LANGUAGE COMPILER...
compile()
{
	local header=$1 language=$2
	shift 2
	printf '#include <%s>\n#include <%s>\nint main(void);\n' \
		"$header" "$header" |
		"$@" "${flags[@]}" -x "$language" -
}

for header in "$top"/include/*.h; do
	header=${header##*/}
	for std in c99 gnu11; do
		try "$header, gcc -std=$std" compile "$header" c gcc -std=$std \
			-D_GNU_SOURCE
		try "$header, clang -std=$std" compile "$header" c clang \
			-std=$std -D_GNU_SOURCE
	done
	for std in c++11 c++20; do
		try "$header, g++ -std=$std" compile "$header" c++ g++ -std=$std
		try "$header, clang++ -std=$std" compile "$header" c++ clang++ \
			-std=$std
	done
done
for std in c++11 c++20; do
	try "rpccancel.hpp, g++ -std=$std" compile rpccancel.hpp c++ g++ \
		-std=$std -fno-exceptions
	try "rpccancel.hpp, clang++ -std=$std" compile rpccancel.hpp c++ clang++ \
		-std=$std -fno-exceptions
done
end
