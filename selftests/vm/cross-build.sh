#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: cross-build.sh ARCH
#
# Builds the library and the tests for another architecture, and prints where.
# They are built in a copy of this tree, under build/, with the libraries that
# fetch.sh has brought for the guest; only what changed is copied and rebuilt.

. "$(dirname "$0")/common.sh"

[ $# = 1 ] || die "usage: cross-build.sh ARCH"
root=$(userland "$1")
[ -e "$root/.complete" ] || die "there is no userland for $1: run $vm/fetch.sh with a flavour for it"
dir=$build/$1/tree
lib=$root/usr/lib/$(triplet "$1")
cc=$(triplet "$1")-gcc-12
command -v "$cc" >/dev/null || die "there is no $cc: run $vm/setup.sh with a flavour for it"

mkdir -p "$dir"
exec 9>"$build/$1/.lock"
flock 9
# What git ignores is built, here and there.
rsync -a --delete --exclude=.git --filter=':- .gitignore' "$top/" "$dir/"

export PKG_CONFIG_LIBDIR=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
vars=(CC="$cc --sysroot=$root" AR="$(triplet "$1")-ar")
[ "$1" != arm64 ] || vars+=(COMPAT_CC=arm-linux-gnueabihf-gcc-12)
tirpc=$(pkg-config --modversion libtirpc)
log=$build/$1/build.log
if ! {
	make -C "$dir/libuser" "${vars[@]}" &&
	make -k -C "$dir/selftests" "${vars[@]}" &&
	make -C "$dir/selftests/demo" "${vars[@]}" TIRPC_VERSION="$tirpc" &&
	make -C "$dir/selftests/demo/calls" "${vars[@]}" &&
	make -C "$dir/selftests/rpc" "${vars[@]}"
} >"$log" 2>&1; then
	grep -E 'error|warning|\*\*\*' "$log" >&2
	die "this tree does not build for $1; the whole log: $log"
fi
printf '%s\n' "$dir"
