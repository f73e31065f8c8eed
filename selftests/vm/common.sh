# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
# shellcheck shell=bash
#
# What the VM scripts share. Source it; do not run it.

set -euo pipefail
umask 022
PATH=$PATH:/usr/sbin:/sbin	# for depmod and the like, run by a user

vm=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$vm/../.." && pwd)
build=$top/build
cache=${RPCCANCEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rpccancel}
default_flavour=cloud-6.1
# shellcheck disable=SC2034 # the scripts use them
: "$build $default_flavour"

# The makes we start are not parts of the make that started us.
unset MAKEFLAGS MFLAGS MAKELEVEL

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

say()
{
	printf '# %s\n' "$*" >&2
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "root or sudo is needed for: $*"
	fi
}

# install_packages PACKAGE...: those of Debian's packages that are missing. Says
# what it installs; quick and silent when nothing is missing.
install_packages()
{
	local installed missing=() install log p
	command -v apt-get >/dev/null || die "this needs Debian: there is no apt-get"

	# shellcheck disable=SC2016 # dpkg-query expands it, not the shell
	installed=$(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' |
		sed -n 's/\(:amd64\)\{0,1\} installed$//p')
	for p; do
		grep -qxF "$p" <<<"$installed" || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	say "installing Debian packages: ${missing[*]}"
	install=(env DEBIAN_FRONTEND=noninteractive
		 apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300
		 install --no-install-recommends)
	log=$(mktemp)
	if ! as_root "${install[@]}" "${missing[@]}" >"$log" 2>&1; then
		# The package lists are absent or older than the mirror: refresh, once.
		say "refreshing the package lists"
		if ! as_root apt-get -q -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 ||
			! as_root "${install[@]}" "${missing[@]}" >"$log" 2>&1; then
			tail -n 20 "$log" >&2
			rm -f "$log"
			die "could not install the packages above: no network, or no rights?"
		fi
	fi
	rm -f "$log"
}

# flavours [GROUP...]: all, or those of the groups, as they are listed.
flavours()
{
	awk -v groups=" $* " '!/^#/ && NF && (groups == "  " || index(groups, " " $2 " ")) {
		print $1
	}' "$vm/kernels"
}

# kernel_field FLAVOUR group|image|cmdline
kernel_field()
{
	awk -v f="$1" -v w="$2" '$1 == f {
		if (w == "group") { print $2 }
		else if (w == "image") { print $3 }
		else { $1 = $2 = $3 = ""; sub(/^ +/, ""); print }
	}' "$vm/kernels"
}

# kernel_arch FLAVOUR: Debian's name of the architecture it is for.
kernel_arch()
{
	local image
	image=$(kernel_field "$1" image)
	if [[ $image = *:* ]]; then
		echo "${image#*:}"
	else
		echo amd64
	fi
}

# triplet ARCH: the GNU name, which cross compilers and folders have.
triplet()
{
	case $1 in
	amd64) echo x86_64-linux-gnu ;;
	arm64) echo aarch64-linux-gnu ;;
	*) die "nothing is known of the architecture $1" ;;
	esac
}

# Where fetch.sh has unpacked another architecture's userland.
userland()
{
	printf '%s\n' "$cache/userland-$1"
}

# Whether a flavour is built here, from its source, and not fetched.
is_built()
{
	case $(kernel_field "$1" group) in
	debug | coverage) true ;;
	*) false ;;
	esac
}

check_flavour()
{
	flavours | grep -qxF -- "$1" ||
		die "no kernel flavour '$1'; there are: $(flavours | xargs)"
}

# Where fetch.sh has unpacked a flavour: a link named after it.
kernel_dir()
{
	local dir
	dir=$(readlink -e "$cache/$1") || die "$1 is not fetched: run $vm/fetch.sh $1"
	printf '%s\n' "$dir"
}

# A directory's last part is the kernel's release.
kernel_release()
{
	basename "$(kernel_dir "$1")"
}

kernel_headers()
{
	local dir
	dir=$(kernel_dir "$1")
	printf '%s\n' "$dir/usr/src/linux-headers-${dir##*/}"
}
