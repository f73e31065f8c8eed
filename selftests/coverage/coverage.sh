#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: coverage.sh [COMMAND...]
#
# What "make coverage" runs: all of selftests/, or COMMAND, in a VM on a kernel
# with gcov, which counts how often each line of kmod/ runs, in whatever context.
# Prints the share of the lines that ran, file by file, and the numbers of those
# that did not; fails if less than 95 % did.
#
# The variants of the module are counted together: a line that only one of them
# has is reached if that one reached it.

. "$(dirname "$0")/../vm/common.sh"

flavour=gcov-6.1
least=95
out=$build/coverage
[ $# -gt 0 ] || set -- make -s -C selftests run_tests KSFT_DIR=/rpccancel

"$vm/setup.sh"
"$vm/fetch.sh" --kselftest
"$vm/fetch.sh" "$flavour"
make -s -C "$top/libuser"
for dir in selftests selftests/demo selftests/rpc; do
	make -s -C "$top/$dir"
done
for variant in '' test backoff hold; do
	"$vm/build-module.sh" "$flavour" $variant >/dev/null
done

rm -rf "$out"
mkdir -p "$out/data"
status=0
"$vm/run.sh" -k "$flavour" -t "${COVERAGE_LIMIT:-10800}" -l "$out/console" \
	selftests/coverage/guest.sh "$@" >"$out/output" || status=$?
sed '/^BEGIN COVERAGE$/,/^END COVERAGE$/d' "$out/output"
[ $status = 0 ] || say "the tests ended with status $status"
sed -n '/^BEGIN COVERAGE$/,/^END COVERAGE$/p' "$out/output" | sed '1d;$d' |
	base64 -d | tar -xz -C "$out/data" || die "the guest has sent no counts"

# The counts belong beside the notes of the compiler, one build for each variant.
release=$(kernel_release "$flavour")
traces=()
for dir in "$build/$release" "$build/$release-test" "$build/$release-backoff"; do
	[ -d "$out/data$dir" ] || continue
	rm -f "$dir"/kmod/*.gcda
	cp "$out/data$dir"/kmod/*.gcda "$dir/kmod"
	trace=$out/${dir##*/}.json
	# Seen from the top the same source has the same name in each.
	gcovr -r "$dir" --json "$trace" -f "$dir/kmod/" -e '.*\.mod\.c' "$dir/kmod"
	traces+=(-a "$trace")
done
gcovr -r "$top" "${traces[@]}" --txt "$out/table" --fail-under-line "$least" ||
	status=1
cat "$out/table"
exit "$status"
