#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# What the demo's tables say about rpccancel, as a test.

exec "$(dirname "$0")/demo" --tap
