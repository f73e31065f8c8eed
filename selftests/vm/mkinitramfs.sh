#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: mkinitramfs.sh FLAVOUR IMAGE
#
# Writes IMAGE, the guest's whole file system, out of archives the kernel
# unpacks one after another: this machine's userland (rebuilt when a package
# changed), this tree as built, the kernel's modules. The modules must have
# been built by build-module.sh. For another architecture the userland is what
# fetch.sh has brought, and the tree is built here by cross-build.sh.

. "$(dirname "$0")/common.sh"

[ $# = 2 ] || die "usage: mkinitramfs.sh FLAVOUR IMAGE"
flavour=$1
check_flavour "$flavour"
kernel=$(kernel_dir "$flavour")
release=${kernel##*/}
arch=$(kernel_arch "$1")
image=$2

programs=(
	bash sh make awk gawk sed grep find xargs diff cmp perl strace busybox
	ip ss tc ps pgrep pkill free kmod lsmod insmod rmmod modprobe modinfo
	mount umount unshare nsenter setpriv prlimit flock setsid dmesg hostname
	taskset chrt more su getent ldd crun jq
)
files=(
	/etc/protocols /etc/services /etc/rpc /etc/netconfig
	/etc/bindresvport.blacklist /etc/gai.conf /etc/ld.so.cache
	/lib/terminfo/l/linux /lib/terminfo/x/xterm /lib/terminfo/x/xterm-256color
	"/lib/$(triplet "$arch")/libgcc_s.so.1" # the C library opens it by name
	/usr/lib/locale/C.utf8
	/usr/share/containers/seccomp.json
	/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json
)
modules=(virtio_pci virtio_console virtio_rng overlay veth dummy sch_netem)

# An empty root with Debian's merged /usr.
new_root()
{
	rm -rf "$1"
	mkdir -p "$1"/usr/{bin,sbin,lib,lib64}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$1"
}

# Copy the shared libraries of the programs named on standard input. Those
# of this tree are copied with the tree.
copy_libraries()
{
	local list
	# ldd fails on scripts and static programs, and they need nothing.
	list=$(LD_LIBRARY_PATH=$build/libuser xargs -r ldd 2>/dev/null) || :
	if grep -q 'not found' <<<"$list"; then
		grep 'not found' <<<"$list" | sort -u >&2
		die "a program for the guest needs a library that is not here"
	fi
	awk -v top="$top/" '
		$2 == "=>" { $1 = $3 }
		$1 ~ /^\// && index($1, top) != 1 && !/:$/ {
			sub(/^\/lib/, "/usr/lib", $1); print $1 }
	' <<<"$list" | sort -u | xargs -r cp -uL --parents -t "$1"
}

# pack ROOT ARCHIVE: by rename, so that an interrupted run leaves no half.
pack()
{
	(cd "$1" && find . -mindepth 1 -printf '%P\0' | sort -z |
		cpio -o0 -H newc -R 0:0 --quiet) >"$2.new"
	mv "$2.new" "$2"
}

# copy_own ROOT: programs of this machine, and what they need.
copy_own()
{
	local root=$1 p n
	mapfile -t -O ${#programs[@]} programs < <(dpkg -L coreutils |
		grep -E '^(/usr)?/bin/.' | xargs -n 1 basename)
	for p in "${programs[@]}"; do
		n=$(type -P "$p") || die "this machine lacks the program $p"
		cp -L --parents "$n" "$root"
	done
	find "$root/usr/bin" "$root/usr/sbin" -type f | copy_libraries "$root"
	for p in "${files[@]}"; do
		[ ! -e "$p" ] || cp -rL --parents "$p" "$root"
	done
	dpkg -L perl-base | grep /perl-base/ | while read -r p; do
		[ -d "$p" ] || cp -L --parents "$p" "$root"
	done
}

# copy_userland ROOT: all of it but what is only for building.
copy_userland()
{
	rsync -a --exclude='*.a' --exclude='*.o' --exclude=/usr/include \
		--exclude=/usr/share --exclude='/usr/lib/*/gconv' \
		--exclude='/usr/lib/*/perl' --exclude=/boot --exclude=/var \
		"$(userland "$arch")/" "$1/"
	ln -sf gawk "$1/usr/bin/awk"
}

make_base()
{
	local root=$build/vm/base-$arch p installed=/var/lib/dpkg/status
	[ "$arch" = amd64 ] || installed=$(userland "$arch")/.complete
	[ "$root.cpio" -nt "$0" ] && [ "$root.cpio" -nt "$vm/init" ] &&
		[ "$root.cpio" -nt "$vm/bad-log" ] &&
		[ "$root.cpio" -nt "$installed" ] && return
	say "packing the guest's userland"
	new_root "$root"
	mkdir -p "$root"/{dev,proc,sys,run,tmp,root,etc,var/tmp,mnt} \
		"$root"/home/{alice,bob} "$root/usr/local/bin"
	ln -s /run "$root/var/run"
	if [ "$arch" = amd64 ]; then
		copy_own "$root"
	else
		copy_userland "$root"
	fi
	for p in $(busybox --list); do	# what is left: vi, less, nc, ping ...
		[ -e "$root/usr/bin/$p" ] || [ -e "$root/usr/sbin/$p" ] ||
			ln -s busybox "$root/usr/bin/$p"
	done
	cat >"$root/usr/bin/gcc" <<-'EOF'
		#!/bin/sh
		echo "there is no compiler in the VM; this was to be built on the host: $*" >&2
		exit 1
	EOF
	chmod +x "$root/usr/bin/gcc"
	ln -s gcc "$root/usr/bin/cc"
	cat >"$root/etc/passwd" <<-EOF
		root:x:0:0:root:/root:/bin/bash
		alice:x:1000:1000::/home/alice:/bin/bash
		bob:x:1001:1001::/home/bob:/bin/bash
		nobody:x:65534:65534::/nonexistent:/bin/false
	EOF
	printf '%s\n' root:x:0: alice:x:1000: bob:x:1001: nogroup:x:65534: >"$root/etc/group"
	printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' \
		'services: files' 'protocols: files' 'rpc: files' >"$root/etc/nsswitch.conf"
	printf '%s\n' '127.0.0.1 localhost guest' '::1 localhost' >"$root/etc/hosts"
	echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
	echo guest >"$root/etc/hostname"
	ln -sf /proc/self/mounts "$root/etc/mtab"
	chmod 1777 "$root/tmp" "$root/var/tmp"
	cp "$vm/init" "$root/init"
	pack "$root" "$root.cpio"
}

# kselftest's files lie beside selftests/, as in the kernel's tree: that is how
# its runner finds selftests/settings.
make_tree()
{
	local root=$build/vm/tree-$arch from=$top dir kselftest
	[ "$arch" = amd64 ] || from=$("$vm/cross-build.sh" "$arch")
	kselftest=$("$vm/fetch.sh" --print-kselftest)
	new_root "$root"
	mkdir "$root/rpccancel"
	for dir in selftests libuser include kmod Documentation; do
		[ ! -d "$from/$dir" ] || rsync -a --exclude='*.o' --exclude='*.ko' \
			--exclude='.*.cmd' "$from/$dir" "$root/rpccancel/"
	done
	mkdir -p "$root/rpccancel"/{build,libuser}
	[ ! -d "$from/build/libuser" ] ||
		cp -a "$from"/build/libuser/librpccancel.* "$root/rpccancel/libuser/"
	[ ! -e "$from/build/libuser/tests/io_test" ] ||
		install -D -t "$root/rpccancel/libuser/tests" \
			"$from/build/libuser/tests/io_test"
	ln -s ../libuser "$root/rpccancel/build/libuser"
	cp -a "$kselftest/." "$root/rpccancel/"
	cp -a "$vm/bad-log" "$root/rpccancel/"
	[ "$arch" != amd64 ] ||
		find "$top/selftests" "$build"/libuser/librpccancel.so* -type f -perm /100 2>/dev/null |
		copy_libraries "$root"
	pack "$root" "$root.cpio"
}

make_kernel()
{
	local root=$build/vm/$release m key
	new_root "$root"
	m=$root/usr/lib/modules/$release
	mkdir -p "$m/updates" "$root/rpccancel/kmod"
	for name in "${modules[@]}"; do
		modprobe -d "$kernel" -S "$release" --show-depends "$name" 2>/dev/null |
			awk '$1 == "insmod" { print $2 }'
	done | sort -u | sed "s,^$kernel/,," | (cd "$kernel" && xargs -r cp --parents -t "$root")
	cp "$kernel/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} "$m"
	cp "$build/$release/kmod/rpccancel.ko" "$m/updates"
	cp "$build/$release/kmod/rpccancel.ko" "$root/rpccancel/kmod"
	for name in test backoff; do
		install -D -t "$root/usr/lib/rpccancel/$name" \
			"$build/$release-$name/kmod/rpccancel.ko"
	done
	install -D -t "$root/usr/lib/rpccancel" \
		"$build/$release-hold/kmod/hold_notifiers.ko"
	# With the kernel's key, which is there only if it was built here.
	key=$(kernel_headers "$flavour")/certs/signing_key
	if [ -e "$key.pem" ]; then
		mkdir "$root/usr/lib/rpccancel/signed"
		"$(kernel_headers "$flavour")/scripts/sign-file" sha256 \
			"$key.pem" "$key.x509" "$build/$release/kmod/rpccancel.ko" \
			"$root/usr/lib/rpccancel/signed/rpccancel.ko"
	fi
	depmod -b "$root" "$release"
	pack "$root" "$build/vm/$release.cpio"
}

mkdir -p "$build/vm"
exec 9>"$build/vm/.lock"
flock 9
make_base
make_tree
make_kernel
cat "$build/vm/base-$arch.cpio" "$build/vm/tree-$arch.cpio" "$build/vm/$release.cpio" >"$image"
