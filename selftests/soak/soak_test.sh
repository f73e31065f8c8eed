#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The short form of "make soak". Sockets of servers that were killed stay behind:
# hence a folder for them.

RPCCANCEL_DIR=$(mktemp -d)
export RPCCANCEL_DIR
trap 'rm -rf "$RPCCANCEL_DIR"' EXIT
"$(dirname "$0")/soak_test"
