#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The library's test of its I/O engines, as io_uring is not the same everywhere.

exec "$(dirname "$0")/../build/libuser/tests/io_test"
