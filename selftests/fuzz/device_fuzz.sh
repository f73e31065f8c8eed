#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# The fuzzer of the device as a test, for RPCCANCEL_FUZZ_SECONDS (20).

exec "$(dirname "$0")/device_fuzz"
