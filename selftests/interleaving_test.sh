#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# Runs interleaving_test with the test build of the module, which can be told to
# wait, in the place of the normal one.

# shellcheck source=selftests/module_variant.sh
. "$(dirname "$0")/module_variant.sh"

export RPCCANCEL_TEST_MODULE=${RPCCANCEL_TEST_MODULE:-/lib/rpccancel/test/rpccancel.ko}
use_module "$RPCCANCEL_TEST_MODULE" "test build"
"$here/interleaving_test" "$@"
