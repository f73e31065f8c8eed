#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: fuzz.sh SECONDS [FLAVOUR...]
#
# Fuzzes the device for so long on each of these kernels: by default one that
# watches memory, and one that watches data races. When a kernel panics, the end
# of its console has the programs that ran; build/fuzz/device has all of it.

. "$(dirname "$0")/../vm/common.sh"

[ $# -ge 1 ] || die "usage: fuzz.sh SECONDS [FLAVOUR...]"
seconds=$1
shift
[ $# -gt 0 ] || set -- kasan-6.1 kcsan-6.1
for flavour; do
	check_flavour "$flavour"
done

"$vm/setup.sh"
"$vm/fetch.sh" --kselftest
"$vm/fetch.sh" "$@"
make -s -C "$top/libuser"
make -s -C "$top/selftests"
out=$build/fuzz/device
mkdir -p "$out"

status=0
for flavour; do
	for variant in '' test backoff hold; do
		"$vm/build-module.sh" "$flavour" $variant >/dev/null
	done
	# The rest is for the boot, on a slow machine, and for the end.
	RPCCANCEL_FUZZ_SECONDS=$seconds "$vm/run.sh" -k "$flavour" \
		-t $((seconds + 1800)) -l "$out/$flavour.console" \
		selftests/fuzz/device_fuzz.sh || status=1
done
exit "$status"
