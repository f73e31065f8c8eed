#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# Installs the Debian packages of the systems that "make bench" compares with.

. "$(dirname "$0")/../vm/common.sh"

install_packages gcc g++ make pkg-config liburing-dev python3 \
	libtirpc-dev libgrpc++-dev protobuf-compiler-grpc protobuf-compiler \
	capnproto libcapnp-dev thrift-compiler libthrift-dev libboost-dev \
	libzeroc-ice-dev zeroc-ice-compilers omniidl libomniorb4-dev \
	libzmq3-dev
