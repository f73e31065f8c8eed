#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: build-module.sh FLAVOUR|KDIR [test|backoff|hold]
#
# Builds rpccancel.ko for a fetched kernel, or for the kernel build folder
# KDIR, and prints where it is. "test": the variant with the switches for
# deliberate breakage; "backoff": what a kernel without preempt notifiers gets.
# "hold": not rpccancel.ko, but the module in hold/ that emulated guests need.
# Kbuild builds inside the source folder, so each kernel and variant gets its
# own copy of the source, under build/; only what changed is copied and rebuilt.
# A warning is an error. C=2 in the environment adds sparse.

. "$(dirname "$0")/common.sh"

[ $# -ge 1 ] || die "which kernel? A flavour ($(flavours | xargs)) or a folder"
vars=() source=kmod module=rpccancel
if [ -d "$1" ]; then
	kdir=$1
else
	check_flavour "$1"
	kdir=$(kernel_headers "$1")
	arch=$(kernel_arch "$1")
	[ "$arch" = amd64 ] ||
		vars+=(ARCH="$arch" CROSS_COMPILE="$(triplet "$arch")-")
fi
[ -e "$kdir/Makefile" ] || die "$kdir has no kernel headers"
[ -e "$top/kmod/Kbuild" ] || die "there is no kmod/Kbuild"
release=$(awk '/UTS_RELEASE/ { gsub(/"/, ""); print $3 }' \
	"$kdir/include/generated/utsrelease.h")
dir=$build/$release${2:+-$2}
case ${2-} in
'') ;;
hold) source=selftests/vm/hold module=hold_notifiers ;;
test) vars+=(RPCCANCEL_TEST=y) ;;
backoff) vars+=(RPCCANCEL_BACKOFF=y) ;;
*) die "there is no variant '$2': test, backoff, hold" ;;
esac

mkdir -p "$dir/kmod" "$dir/include"
exec 9>"$dir/.lock"
flock 9
# Copies what changed and removes what is gone, but no product of the build.
rsync -a --delete --exclude='*.o' --exclude='*.ko' --exclude='*.mod' \
	--exclude='*.mod.c' --exclude='.*' --exclude=Module.symvers \
	--exclude=modules.order "$top/$source/" "$dir/kmod/"
rsync -a --delete "$top/include/uapi" "$dir/include/"

# The module's own BTF would need pahole, and nobody reads it.
log=$dir/build.log
if ! make -j"$(nproc)" -C "$kdir" M="$dir/kmod" W=1 KCFLAGS=-Werror C="${C-}" \
	CONFIG_DEBUG_INFO_BTF_MODULES= "${vars[@]}" modules >"$log" 2>&1; then
	grep -vE '^ +(CC|LD|MODPOST|CHECK) |^make' "$log" >&2
	die "$module.ko does not build for $release; the whole log: $log"
fi
if [ "${C-}" = 2 ] && grep -E '(warning|error):' "$log" >&2; then
	die "sparse has found the above for $release"
fi
printf '%s\n' "$dir/kmod/$module.ko"
