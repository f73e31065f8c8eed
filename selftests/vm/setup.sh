#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: setup.sh [FLAVOUR...]
#
# Installs the Debian packages that the build and the tests need and that are
# missing, with those that kernels for another architecture need, if any is named.
# Says what it installs; quick and silent when nothing is missing.

. "$(dirname "$0")/common.sh"

packages=(
	# to build the library, the module and the tests
	# (gcc-multilib has a link more, and conflicts with all cross compilers)
	gcc g++ gcc-12 gcc-12-multilib make libc6-dev pkg-config libelf-dev
	libtirpc-dev libpq-dev libcurl4-openssl-dev liburing-dev libcap-dev
	# to build debug kernels
	bc bison flex libssl-dev openssl
	# to fetch and unpack kernels, and to boot them
	qemu-system-x86 busybox-static cpio kmod xz-utils rsync util-linux
	# the guest's userland is copied from this machine's
	coreutils iproute2 procps strace perl-base gawk netbase
	# containers, and the seccomp profiles of Docker and Podman
	crun jq golang-github-docker-docker-dev golang-github-containers-common
	# others' clients and servers, to test with; what decodes packets
	python3-samba samba-testsuite samba python3-impacket tshark
	# the sanitizers and the fuzzer
	clang-19 libclang-rt-19-dev
	# to verify the model of the protocol
	spin
	# to show which lines were reached
	gcovr
	# to check the style and the manual pages
	clang clang-format codespell mandoc python3 shellcheck sparse
)
for f; do
	check_flavour "$f"
	case $(kernel_arch "$f") in
	arm64)
		packages+=(qemu-system-arm gcc-12-aarch64-linux-gnu
			   # 32-bit programs
			   gcc-12-arm-linux-gnueabihf libc6-dev-armhf-cross) ;;
	esac
done

install_packages "${packages[@]}"
