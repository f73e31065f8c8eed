#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: fetch.sh [FLAVOUR...]         fetch these kernels (default: the stock ones)
#        fetch.sh --kselftest          fetch the kernel's kselftest files
#        fetch.sh --print-kselftest    print where those are (fetches nothing)
#        fetch.sh --source PACKAGE DIR unpack a kernel's source in DIR, print its version
#
# Kernels, their headers and kselftest come as Debian packages. They are
# unpacked in the cache folder, never installed. What is there already is not
# fetched again; delete the cache folder to get newer ones. Debug kernels are
# built, see build-kernel.sh.

. "$(dirname "$0")/common.sh"

# Print the package's dependencies that match a regular expression.
depends()
{
	apt-cache depends --important "$1" | awk -v re="$2" '
		{ sub(/^[ |]*/, "") } $1 == "Depends:" && $2 ~ re { print $2 }'
}

# download DIR PACKAGE...: .debs into DIR, with one refresh of stale lists.
download()
{
	local dir=$1
	shift
	rm -f "$dir"/*.deb
	(cd "$dir" && apt-get -q -o APT::Sandbox::User=root download "$@" \
		>"$dir/log" 2>&1)
}

refreshed=
refresh()
{
	[ -z "$refreshed" ] || return 1
	refreshed=y
	say "refreshing the package lists"
	as_root apt-get -q -o DPkg::Lock::Timeout=300 update >"$tmp/log" 2>&1
}

unpack()
{
	local deb
	mkdir "$tmp/root"
	for deb in "$tmp"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tmp/root" "$@"
		rm -f "$deb"
	done
}

give_up()
{
	[ ! -s "$tmp/log" ] || tail -n 5 "$tmp/log" >&2
	die "could not fetch $1 from Debian's mirror: is there a network?" \
	    "Is there space in $cache?"
}

kernel_packages()
{
	local image headers
	image=$(depends "$1" '^linux-image-[0-9]')
	[ -n "$image" ] || return 1
	headers=${image/image/headers}
	headers=${headers%-unsigned}
	printf '%s\n' "$image" "$headers"
	depends "$headers" '^linux-(headers|kbuild)-'
}

fetch_kernel()
{
	local packages release root
	[ ! -e "$cache/$1/.complete" ] || return 0
	mapfile -t packages < <(kernel_packages "$(kernel_field "$1" image)")
	if [ ${#packages[@]} -lt 3 ]; then
		refresh || give_up "the package lists for $1"
		mapfile -t packages < <(kernel_packages "$(kernel_field "$1" image)")
		[ ${#packages[@]} -ge 3 ] || give_up "the kernel $1"
	fi
	say "fetching $1: ${packages[*]}"
	if ! download "$tmp" "${packages[@]}"; then
		refresh || give_up "the kernel $1"
		fetch_kernel "$1" # the release may be another one by now
		return
	fi
	release=${packages[0]#linux-image-}
	release=${release%-unsigned}
	unpack --exclude='./usr/share/*'
	root=$tmp/root
	# The packages expect to be unpacked in /: make their links relative.
	# (Make reads the Makefile through "include", hence MAKEFILE_LIST.)
	# shellcheck disable=SC2016 # make expands it, not the shell
	sed -i 's,^include /usr/src/,include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))../,' \
		"$root/usr/src/linux-headers-$release/Makefile"
	rm -f "$root/lib/modules/$release"/{build,source}
	ln -s "../../../usr/src/linux-headers-$release" "$root/lib/modules/$release/build"
	depmod -b "$root" "$release"
	touch "$root/.complete"
	rm -rf "${cache:?}/$release"
	mv "$root" "$cache/$release"
	ln -sfn "$release" "$cache/$1"
}

# download_source PACKAGE: its archive, as $tmp/root/usr/src/PACKAGE.tar.xz, and
# its $version.
download_source()
{
	download "$tmp" "$1" || { refresh && download "$tmp" "$1"; } || give_up "$1"
	version=$(dpkg-deb -f "$tmp/$1"_*.deb Version)
	unpack "./usr/src/$1.tar.xz"
}

fetch_source()
{
	say "fetching $package (150 MB)"
	download_source "$package"
	tar -xJf "$tmp/root/usr/src/$package.tar.xz" -C "$dir" --strip-components=1
	printf '%s\n' "$version"
}

kselftest=$cache/kselftest/tools/testing/selftests

fetch_kselftest()
{
	local src=linux-source-6.1 t=linux-source-6.1/tools
	[ ! -e "$cache/kselftest/.complete" ] || return 0
	say "fetching kselftest and checkpatch out of $src (140 MB)"
	download_source $src
	mkdir "$tmp/src"
	tar -xJf "$tmp/root/usr/src/$src.tar.xz" -C "$tmp/src" --strip-components=1 \
		--occurrence=1 \
		"$t/testing/selftests/lib.mk" \
		"$t/testing/selftests/kselftest.h" \
		"$t/testing/selftests/kselftest_harness.h" \
		"$t/testing/selftests/kselftest/runner.sh" \
		"$t/testing/selftests/kselftest/prefix.pl" \
		"$src/scripts/checkpatch.pl" \
		"$src/scripts/spelling.txt" \
		"$src/scripts/const_structs.checkpatch" ||
		die "$src does not have the files we need"
	touch "$tmp/src/.complete"
	rm -rf "$cache/kselftest"
	mv "$tmp/src" "$cache/kselftest"
}

case ${1-} in
--print-kselftest)
	printf '%s\n' "$kselftest"
	exit ;;
--kselftest)
	what=(kselftest) ;;
--source)
	[ $# = 3 ] || die "--source PACKAGE DIR"
	what=(source) package=$2 dir=$3 ;;
-*)
	sed -n 's/^# \{0,1\}//; 4,7p' "$0" >&2
	exit 2 ;;
*)
	what=("$@")
	[ $# -gt 0 ] || mapfile -t what < <(flavours stock)
	for f in "${what[@]}"; do
		check_flavour "$f"
	done ;;
esac

mkdir -p "$cache" || die "cannot write to the cache folder $cache"
# Building takes long and has a lock of its own.
for i in "${!what[@]}"; do
	[ "$(kernel_field "${what[i]}" group)" = debug ] || continue
	"$vm/build-kernel.sh" "${what[i]}"
	unset "what[i]"
done
# Two runs at once must not fetch the same thing. The lock is also what makes
# it safe to remove what an interrupted run has left.
exec 9>"$cache/.lock"
flock 9
rm -rf "$cache"/.tmp.*
for f in "${what[@]}"; do
	tmp=$(mktemp -d "$cache/.tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	case $f in
	kselftest) fetch_kselftest ;;
	source) fetch_source ;;
	*) fetch_kernel "$f" ;;
	esac
	rm -rf "$tmp"
done
