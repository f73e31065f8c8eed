#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: container_test.sh [--table]
#
# What of the library works in namespaces, in containers as Docker and Podman
# make them, and for users with fewer rights, or less to see, than usual. It is
# what Documentation/containers.rst says; --table prints what it ought to say.
#
# Containers are started by crun(1), with the devices, capabilities, masked
# paths and the seccomp profile of Docker. The profile is Docker's own file, out
# of Debian's package of its sources, and so is Podman's.

# shellcheck source=selftests/container/lib.sh
. "$(dirname "$0")/lib.sh"

docker=/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json
podman=/usr/share/containers/seccomp.json
device=/dev/rpccancel

#
# Places that the kernel makes.
#

# shellcheck disable=SC2016 # the inner shell expands it
# What an unprivileged user does: a /dev of its own, with the device or without.
in_namespaces()
{
	setpriv --reuid 1000 --regid 1000 --clear-groups \
		unshare --user --map-root-user --pid --mount --ipc --net --fork \
		--mount-proc bash -c '
			mount -t tmpfs tmpfs /mnt && touch /mnt/null &&
			mount --bind /dev/null /mnt/null &&
			if [ "$1" != no ]; then
				touch /mnt/rpccancel &&
				mount --bind /dev/rpccancel /mnt/rpccancel
			fi &&
			mount --rbind /mnt /dev && ip link set lo up &&
			exec "$2" inside' - "$1" "$probe"
}

with_sysctl()
{
	local file=/proc/sys/${1//./\/} before
	before=$(<"$file")
	echo "$2" >"$file"
	shift 2
	row "$@"
	echo "$before" >"$file"
}

#
# Containers.
#

# What "docker run" grants.
capabilities='["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER",
	"CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
	"CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
	"CAP_AUDIT_WRITE"]'

# From the form that Docker and Podman write to that of the OCI runtime: which of
# the rules are for this architecture, these capabilities and this kernel.
# shellcheck disable=SC2016 # these are jq's
rules_for='
	def any_of($have): . // [] | any(IN($have[]));
	def applies:
		((.includes.arches // []) == [] or (.includes.arches | any_of(["amd64"]))) and
		(.includes.caps // [] | all(IN($caps[]))) and
		(.excludes.arches | any_of(["amd64"]) | not) and
		(.excludes.caps | any_of($caps) | not);
	{
		defaultAction,
		defaultErrnoRet,
		architectures: [.archMap[] | select(.architecture == "SCMP_ARCH_X86_64") |
			.architecture, .subArchitectures[]],
		syscalls: [.syscalls[] | select(applies) |
			{ names, action, args, errnoRet } |
			del(..|nulls)]
	} | del(..|nulls)'
# Docker has refused io_uring since its version 25.
without_io_uring='.syscalls[].names -= ["io_uring_setup", "io_uring_enter", "io_uring_register"]'

# shellcheck disable=SC2016
configuration='
	.root = { path: $root, readonly: true } |
	.process.terminal = false |
	.process.args = [$probe, "inside"] |
	.process.env += ["PROBE_OUTSIDE_TID=\(env.PROBE_OUTSIDE_TID)"] |
	.process.noNewPrivileges = false |
	.process.capabilities |= with_entries(.value = $caps) |
	.linux.seccomp = $seccomp[0] |
	if $device == "no" then . else
		.linux.devices = [{ path: "/dev/rpccancel", type: "c", fileMode: 438,
			major: 10, minor: $minor, uid: 0, gid: 0 }]
	end |
	if $device != "yes" then . else
		.linux.resources.devices += [{ allow: true, type: "c", access: "rwm",
			major: 10, minor: $minor }]
	end'

# in_container PROFILE yes|no|denied [FILTER]: device or not; FILTER is for jq.
in_container()
{
	local bundle=$tmp/bundle
	mkdir -p "$bundle/rootfs"
	jq "$rules_for | ${3:-.}" --argjson caps "$capabilities" "$1" \
		>"$bundle/seccomp.json" || return
	rm -f "$bundle/config.json"
	crun spec --bundle "$bundle" || return
	jq "$configuration" --arg root "$bundle/rootfs" --arg probe "$probe" \
		--arg device "$2" --argjson minor "$((16#$(stat -c %T "$device")))" \
		--argjson caps "$capabilities" \
		--slurpfile seccomp "$bundle/seccomp.json" \
		"$bundle/config.json" >"$bundle/new" || return
	mv "$bundle/new" "$bundle/config.json"
	mount --bind / "$bundle/rootfs" || return
	# The guest's root is an initramfs, from which nothing can pivot.
	crun --cgroup-manager=cgroupfs run --no-pivot --preserve-fds 1 \
		--bundle "$bundle" probe
	local status=$?
	umount "$bundle/rootfs"
	return "$status"
}

in_place "$@"

[ -n "${RPCCANCEL_VM-}" ] || skip_all "it changes the system: only for VMs"
[ -c $device ] || skip_all "there is no $device"

# row() finds a row by its name.
# shellcheck disable=SC2016 # the quotes are the document's
{
	row 'an ordinary user' as_alice
	chmod 600 $device
	row 'the device has mode 0600' as_alice
	chmod 666 $device
	row '``no_new_privs``, no capabilities' as_alice --no-new-privs --bounding-set=-all
	row '``/proc`` with ``hidepid=2``' in_mounts 'mount -t proc -o hidepid=2 proc /proc'
	row '``/proc`` read-only' in_mounts 'mount -o remount,bind,ro /proc'
	row 'no ``/proc``' in_mounts 'mount -t tmpfs tmpfs /proc'
	with_sysctl kernel.yama.ptrace_scope 2 '``kernel.yama.ptrace_scope=2``' as_alice

	row 'user, pid, mount, ipc, net namespace, and the device' in_namespaces yes
	row 'the same namespaces without the device' in_namespaces no

	row 'Docker 20.10 with ``--device``' in_container $docker yes
	row 'Docker 20.10' in_container $docker no
	row 'Docker 25 with ``--device``' in_container $docker yes "$without_io_uring"
	row 'Docker 25' in_container $docker no "$without_io_uring"
	row 'Podman 4 with ``--device``' in_container $podman yes
	row 'a node of the device that the cgroup forbids' in_container $docker denied
}
end
