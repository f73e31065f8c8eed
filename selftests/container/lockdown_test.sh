#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: lockdown_test.sh [--table]
#
# What of the library works under restrictions that cannot be taken back before
# the next boot: the strictest ptrace_scope, and kernel lockdown=integrity, with
# the module unsigned and signed. It has to be the last test, and it is what
# Documentation/containers.rst says; --table prints what it ought to say.
#
# Only a kernel whose key is known can be given a signed module, which then is at
# RPCCANCEL_SIGNED_MODULE.

# shellcheck disable=SC2016 # the quotes are the document's
# shellcheck source=selftests/container/lib.sh
. "$(dirname "$0")/lib.sh"

lockdown=/sys/kernel/security/lockdown
device=/dev/rpccancel
unsigned=${RPCCANCEL_MODULE-}
signed=${RPCCANCEL_SIGNED_MODULE-}

lock_down()
{
	[ -e $lockdown ] || mount -t securityfs securityfs /sys/kernel/security
	echo integrity >$lockdown
}

# refused MODULE MESSAGE: insmod fails with EPERM, and the log says why.
refused()
{
	local errors
	dmesg --clear
	if errors=$(insmod "$1" 2>&1); then
		rmmod rpccancel
		return 1
	fi
	{ echo "$errors"; dmesg; } | sed 's/^/# /'
	[[ $errors = *"Operation not permitted"* ]] && dmesg | grep -qF "$2"
}

in_place "$@"

[ -n "${RPCCANCEL_VM-}" ] || skip_all "it changes the system: only for VMs"
[ -c $device ] || skip_all "there is no $device"

echo 3 >/proc/sys/kernel/yama/ptrace_scope
row '``kernel.yama.ptrace_scope=3``' as_alice

if ! lock_down; then
	skip "lockdown=integrity" "this kernel has no lockdown"
	end
fi
row '``lockdown=integrity`` after the module was loaded' as_alice
head -n 1 /sys/kernel/debug/rpccancel/threads | grep -q '^pid tid'
result $? "lockdown=integrity: the list in debugfs can be read"
rmmod rpccancel
refused "$unsigned" "Lockdown: insmod: unsigned module loading is restricted"
result $? "lockdown=integrity: an unsigned module is refused, and the log says why"
row '``lockdown=integrity``, module not signed' as_alice
if [ ! -f "$signed" ]; then
	echo "# no module is signed: the key of this kernel is not known"
	end
fi
insmod "$signed"
result $? "lockdown=integrity: a signed module is loaded"
row '``lockdown=integrity``, module signed' as_alice
end
