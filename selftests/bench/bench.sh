#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: bench.sh [smoke]
#
# What "make bench" runs: remote procedure calls, ours and those of others, on
# this machine, in one run. Nothing else should use its processors meanwhile.
# Prints tables; the figures of each round stay in build/bench. "smoke" only
# shows that everything runs.

. "$(dirname "$0")/../vm/common.sh"

here=$top/selftests/bench
out=$build/bench

"$here/setup.sh"
mkdir -p "$out"
make -s -C "$here/rpc" O="$out/rpc"

printf '# %s, %s\n' "$(uname -r)" "$(sed -n 's/^model name.*: //p; T; q' /proc/cpuinfo)"
for p in "$out"/rpc/*_peer; do
	printf '# %s: %s\n' "$(basename "$p" _peer)" "$("$p" version)"
done
"$here/rpc.py" measure "$out/rpc" "$out/rpc.tsv" "$@"
"$here/rpc.py" report "$out/rpc.tsv"
