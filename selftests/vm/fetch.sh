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
# built, see build-kernel.sh. With a kernel for another architecture comes a
# userland for it, to boot and to link with.

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

refreshed='' arch=amd64
refresh()
{
	local apt=(apt-get -q -o DPkg::Lock::Timeout=300)
	[ -z "$refreshed" ] || return 1
	refreshed=y
	say "refreshing the package lists${apt_dir:+ for $arch}"
	if [ -n "${apt_dir-}" ]; then
		"${apt[@]}" update >"$tmp/log" 2>&1
	else
		as_root "${apt[@]}" update >"$tmp/log" 2>&1
	fi
}

# foreign ARCH: from here on apt is about another architecture. It has lists of
# its own, from the same mirror, so that the machine's need not be changed.
foreign()
{
	arch=$1 apt_dir=$cache/apt-$1 refreshed=
	mkdir -p "$apt_dir"/{lists,archives}/partial "$apt_dir"/etc/{apt.conf,preferences}.d
	: >"$apt_dir/status"
	# shellcheck disable=SC2016 # apt-get expands it, not the shell
	apt-get indextargets --format \
		'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' |
		sort -u >"$apt_dir/etc/sources.list"
	cat >"$apt_dir/apt.conf" <<-EOF
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; "amd64"; };
		APT::Sandbox::User "root";
		APT::Install-Recommends "false";
		Acquire::Languages "none";
		Acquire::GzipIndexes "true";
		Dir::Etc "$apt_dir/etc";
		Dir::State "$apt_dir";
		Dir::State::status "$apt_dir/status";
		Dir::Cache "$apt_dir";
	EOF
	export APT_CONFIG=$apt_dir/apt.conf
}

# unpack [TAR_OPTION...]: what was downloaded into $tmp, in $tmp/root.
unpack()
{
	local deb
	mkdir -p "$tmp/root"
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
	# kbuild has programs to be run here
	depends "$headers" '^linux-(headers|kbuild)-' |
		sed 's/^linux-kbuild-.*/&:amd64/'
}

fetch_kernel()
{
	local packages release root image
	[ ! -e "$cache/$1/.complete" ] || return 0
	image=$(kernel_field "$1" image)
	mapfile -t packages < <(kernel_packages "${image%:*}")
	if [ ${#packages[@]} -lt 3 ]; then
		refresh || give_up "the package lists for $1"
		mapfile -t packages < <(kernel_packages "${image%:*}")
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

# What mkinitramfs.sh takes from this machine otherwise, and what the tests are
# linked with.
userland_packages=(
	base-files bash busybox-static coreutils dash diffutils findutils gawk grep
	hostname iproute2 kmod libc-bin login make mount ncurses-base netbase passwd
	perl-base procps sed strace util-linux
	libc6-dev libcap-dev libcurl4-openssl-dev libpq-dev libtirpc-dev liburing-dev
)

fetch_userland()
{
	local dir install link target
	dir=$(userland "$arch")
	[ "${userland_packages[*]}" != "$(cat "$dir/.complete" 2>/dev/null)" ] || return 0
	say "fetching a userland for $arch"
	mkdir "$tmp/partial"
	install=(apt-get -q -y -o Dir::Cache::archives="$tmp" --download-only install
		 "${userland_packages[@]}")
	"${install[@]}" >"$tmp/log" 2>&1 ||
		{ refresh && "${install[@]}" >"$tmp/log" 2>&1; } ||
		give_up "a userland for $arch"
	mkdir -p "$tmp"/root/usr/{bin,sbin,lib}
	ln -s usr/bin usr/sbin usr/lib "$tmp/root"
	unpack --keep-directory-symlink --exclude='./usr/share/doc/*' \
		--exclude='./usr/share/man/*' --exclude='./usr/share/locale/*'
	# Links that expect to be in /: make them relative.
	find "$tmp/root" -lname '/*' -printf '%P %l\n' | while read -r link target; do
		ln -sfnr "$tmp/root$target" "$tmp/root/$link"
	done
	echo "${userland_packages[*]}" >"$tmp/root/.complete"
	rm -rf "$dir"
	mv "$tmp/root" "$dir"
}

fetch_flavour()
(
	trap - EXIT
	if [ "$(kernel_arch "$1")" != amd64 ]; then
		foreign "$(kernel_arch "$1")"
		fetch_userland
	fi
	fetch_kernel "$1"
)

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
	is_built "${what[i]}" || continue
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
	*) fetch_flavour "$f" ;;
	esac
	rm -rf "$tmp"
done
