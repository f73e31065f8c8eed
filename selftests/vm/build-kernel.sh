#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: build-kernel.sh FLAVOUR
#
# Builds a debug kernel out of Debian's source, which exports what the module
# needs, and puts it in the cache folder as fetch.sh would a stock one; of the
# build folder only what modules are built with is kept. The configuration is
# the least (allnoconfig) plus selftests/config and those of config/vm, debug,
# kasan or kcsan, and the flavour's own. The kernel's release ends in the flavour
# and a digest of source, configuration and compiler: what is there is not built
# again, and another configuration is another kernel.

. "$(dirname "$0")/common.sh"

[ $# = 1 ] || die "usage: build-kernel.sh FLAVOUR"
flavour=$1
check_flavour "$flavour"
is_built "$flavour" || die "$flavour is not to be built"

fragments=("$top/selftests/config" "$vm/config/vm.config" "$vm/config/debug.config"
	   "$vm/config/${flavour%%-*}.config")
[ ! -e "$vm/config/$flavour.config" ] || fragments+=("$vm/config/$flavour.config")
vars=()
# No watchpoints but those of the module, see config/kcsan.config.
[[ $flavour != kcsan-* ]] || vars+=(KCSAN_SANITIZE=n)

# What is wanted, one option per line.
options()
{
	grep -h '^CONFIG_' "${fragments[@]}"
}

# digest VERSION: what the kernel of that version of the source is called by.
digest()
{
	{
		printf '%s\n' "$1" "${vars[@]}" "$(gcc --version | head -n 1)"
		options
	} | sha256sum | cut -c 1-8
}

# Uses a kernel that is there already.
find_built()
{
	local dir
	for dir in "$cache"/*-"$flavour"-*/; do
		dir=${dir%/}
		[ -e "$dir/.complete" ] || continue
		[[ $dir = *-$(digest "$(<"$dir/.source")") ]] || continue
		ln -sfn "${dir##*/}" "$cache/$flavour"
		return 0
	done
	return 1
}

configure()
{
	{
		options
		echo "CONFIG_LOCALVERSION=\"-$flavour-$(digest "$version")\""
	} >"$tmp/options"
	make -s KCONFIG_ALLCONFIG="$tmp/options" allnoconfig
	# What it depends on may be off, or it may have another name by now.
	sed 's/^\(CONFIG_[A-Z0-9_]*\)=n$/# \1 is not set/' "$tmp/options" |
		grep -vxFf .config >"$tmp/missing" || :
	grep -v ' is not set$' "$tmp/missing" >&2 && return 1
	return 0
}

# What is needed to build modules, and to sign them.
keep_build_tree()
{
	local kept=$1
	mkdir -p "$kept"
	cp vmlinux.symvers Module.symvers
	{
		echo .config
		echo Module.symvers
		find . arch/x86 -maxdepth 1 -name 'Makefile*' -o -name 'Kbuild*'
		find include scripts arch/x86/include -type f -o -type l
		ls tools/objtool/objtool certs/signing_key.{pem,x509}
	} | grep -v '\.o$' | rsync -a --files-from=- . "$kept"
}

install_kernel()
{
	local root=$1 modules=$1/lib/modules/$release
	mkdir -p "$root/boot" "$modules"
	cp arch/x86/boot/bzImage "$root/boot/vmlinuz-$release"
	keep_build_tree "$root/usr/src/linux-headers-$release"
	ln -s "../../../usr/src/linux-headers-$release" "$modules/build"
	cp modules.builtin modules.builtin.modinfo "$modules"
	touch "$modules/modules.order"
	depmod -b "$root" "$release"
	printf '%s\n' "$version" >"$root/.source"
	touch "$root/.complete"
}

mkdir -p "$cache"
exec 9>"$cache/.lock.$flavour"
flock 9
find_built && exit

tmp=$cache/.build.$flavour
trap 'rm -rf "$tmp"' EXIT
rm -rf "$tmp"
mkdir -p "$tmp/src"
version=$("$vm/fetch.sh" --source "$(kernel_field "$flavour" image)" "$tmp/src")
cd "$tmp/src"
configure 9>&- || die "$flavour: the kernel's configuration lacks the above"
release=$(make -s kernelrelease)
say "building $release: this takes a while"
start=$SECONDS
make -s -j"$(nproc)" "${vars[@]}" bzImage modules_prepare >"$tmp/log" 2>&1 9>&- || {
	grep -B 5 -A 15 -m 1 -iE 'error|\*\*\*' "$tmp/log" >&2 || :
	die "$flavour does not build"
}
install_kernel "$tmp/root"
rm -rf "${cache:?}/$release"
mv "$tmp/root" "$cache/$release"
ln -sfn "$release" "$cache/$flavour"
say "built $release in $((SECONDS - start)) s"
