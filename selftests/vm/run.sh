#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: run.sh [-k FLAVOUR] [-t SECONDS] [-l CONSOLE_LOG] [-q] [COMMAND...]
#
# Boots a kernel with this tree in it and runs COMMAND as root in /rpccancel
# (without one: a shell on this terminal). Exits with the command's status, or
# with 99 when the kernel's log has a warning or no verdict came. What the
# command prints goes to standard output, the guest's console to CONSOLE_LOG.
# The environment's RPCCANCEL_* and KSELFTEST_* are set in the guest too.
# -q says nothing at the end if all went well. QEMU_ARGS adds arguments for qemu.

. "$(dirname "$0")/common.sh"

flavour=$default_flavour limit=600 console='' quiet=
while getopts k:t:l:q opt; do
	case $opt in
	k) flavour=$OPTARG ;;
	t) limit=$OPTARG ;;
	l) console=$OPTARG ;;
	q) quiet=y ;;
	*) die "see the top of this script for its usage" ;;
	esac
done
shift $((OPTIND - 1))
check_flavour "$flavour"
arch=$(kernel_arch "$flavour")
case $arch in
amd64) qemu=qemu-system-x86_64 machine=() tty=ttyS0 ;;
arm64) qemu=qemu-system-aarch64 machine=(-machine virt) tty=ttyAMA0 ;;
*) die "nothing is known of the architecture $arch" ;;
esac
command -v $qemu >/dev/null || die "there is no $qemu: run $vm/setup.sh $flavour"
kernel=$(kernel_dir "$flavour")
release=${kernel##*/}

mkdir -p "$build/vm"
for tmp in "$build"/vm/run.*; do	# left by runs that were killed
	kill -0 "${tmp##*.}" 2>/dev/null || rm -rf "$tmp"
done
tmp=$build/vm/run.$$
mkdir "$tmp"
guest=
cleanup()
{
	[ -z "$guest" ] || kill "$guest" 2>/dev/null || :
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# What boots, whatever the accelerator: a kernel without an init panics and
# that ends qemu.
boots()
{
	timeout 10 $qemu -accel "$1" "${machine[@]}" -m 256 -nodefaults -display none \
		-no-reboot -serial file:"$tmp/probe" -kernel "$kernel/boot/vmlinuz-$release" \
		-append "console=$tty panic=-1" </dev/null >/dev/null 2>&1 &&
		grep -q 'Kernel panic' "$tmp/probe"
}

# KVM may exist and yet boot nothing (nested virtualisation that is not).
if [ "$(uname -m)-$arch" = x86_64-amd64 ] && [ -w /dev/kvm ] && boots kvm; then
	accel=kvm accel_args=(-accel kvm -cpu host)
else
	accel=tcg accel_args=(-accel "tcg,thread=multi" -cpu max)
	# Pointers are authenticated all the time: not by the true, slow function.
	[ "$arch" != arm64 ] || accel_args[3]+=,pauth-impdef=on
fi

"$vm/mkinitramfs.sh" "$flavour" "$tmp/image"

# The command travels in an archive of its own: nothing needs quoting.
mkdir -p "$tmp/cmd/run"
{
	echo 'export RPCCANCEL_VM=1 RPCCANCEL_MODULE=/rpccancel/kmod/rpccancel.ko'
	echo 'export RPCCANCEL_TEST_MODULE=/lib/rpccancel/test/rpccancel.ko'
	echo 'export RPCCANCEL_BACKOFF_MODULE=/lib/rpccancel/backoff/rpccancel.ko'
	echo 'export RPCCANCEL_SIGNED_MODULE=/lib/rpccancel/signed/rpccancel.ko'
	echo 'export LD_LIBRARY_PATH=/rpccancel/libuser'
	read -r rows columns < <(stty size 2>/dev/null || echo 24 80)
	[ "$rows" != 0 ] || rows=24 columns=80
	echo "rows=$rows columns=$columns"
	# init's shell has no "declare".
	(set -o posix; export -p) | grep -E '^export (RPCCANCEL|KSELFTEST)_[A-Z0-9_]*=' |
		grep -v '^export RPCCANCEL_CACHE=' || :
} >"$tmp/cmd/run/environment"
{
	echo 'cd /rpccancel'
	[ $# = 0 ] || printf '%q ' "$@"
	[ $# != 0 ] || printf '%s\n' 'export PS1="guest:\w# "' 'exec bash --norc -i'
} >"$tmp/cmd/run/command"
(cd "$tmp/cmd" && find . -mindepth 1 | cpio -o -H newc -R 0:0 --quiet) >>"$tmp/image"

append="console=$tty panic=-1 oops=panic panic_on_warn=1 loglevel=5 rdinit=/init"
append+=" sysctl.kernel.softlockup_panic=1 sysctl.kernel.hung_task_panic=1"
append+=" $(kernel_field "$flavour" cmdline)"
# The second processor comes when what hold/ is about is done.
[ "$accel-$arch" != tcg-amd64 ] || append+=" maxcpus=1"
memory=3G
[ "$(kernel_field "$flavour" group)" != debug ] || memory=6G
# shellcheck disable=SC2054 # the commas are qemu's
args=(
	"${accel_args[@]}" "${machine[@]}" -smp 2 -m "$memory" -nodefaults -display none -no-reboot
	-kernel "$kernel/boot/vmlinuz-$release" -initrd "$tmp/image" -append "$append"
	-serial file:"$tmp/console"
	-device virtio-rng-pci -device virtio-serial-pci
	-chardev file,id=verdict,path="$tmp/verdict"
	-device virtserialport,chardev=verdict,name=org.rpccancel.verdict
)
say "booting $release ($flavour, $accel)"
start=$SECONDS
if [ $# = 0 ]; then
	limit=0		# none for a person
	args+=(-chardev "stdio,id=tty,signal=off" -device "virtconsole,chardev=tty")
	exec 4<&0
else
	mkfifo "$tmp/output"
	cat "$tmp/output" &
	args+=(-chardev "file,id=output,path=$tmp/output"
	       -device "virtserialport,chardev=output,name=org.rpccancel.output")
	exec 4</dev/null
fi
# shellcheck disable=SC2086 # QEMU_ARGS is words
setpriv --pdeathsig TERM timeout --foreground "$limit" \
	$qemu "${args[@]}" ${QEMU_ARGS-} <&4 2>"$tmp/errors" &
guest=$!
status=0
wait "$guest" || status=$?
guest=
[ $# = 0 ] || wait	# for cat: qemu has closed the pipe

[ -z "$console" ] || cp "$tmp/console" "$console"
trouble=
if [ $status = 124 ]; then
	trouble="it was ended after $limit seconds"
elif [ ! -s "$tmp/verdict" ]; then
	trouble="the guest died before it gave a verdict (qemu: $status)"
elif grep -aqE -f "$vm/bad-log" "$tmp/console"; then
	trouble="the kernel's log has a warning"
fi
if [ -n "$trouble" ]; then
	cat "$tmp/errors" >&2
	tail -n 100 "$tmp/console" | tr -d '\r' | sed 's/^/#   /' >&2
	say "$release: $trouble; above, the end of its console"
	exit 99
fi
read -r verdict <"$tmp/verdict"
[ -n "$quiet" ] || say "$release ($accel): status $verdict after $((SECONDS - start)) s"
exit "$verdict"
