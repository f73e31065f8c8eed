#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# usage: guest.sh COMMAND...
#
# The part of coverage.sh that runs in the VM: COMMAND, and then what was counted
# meanwhile, on standard output. Its module may have been unloaded by now: the
# kernel keeps the counts.

"$@"
status=$?

# Files of the kernel have no size before they are read.
copy=$(mktemp -d)
cd /sys/kernel/debug/gcov || exit
find . -path '*/kmod/*.gcda' | while read -r f; do
	mkdir -p "$copy/${f%/*}"
	cat "$f" >"$copy/$f"
done
echo "BEGIN COVERAGE"
tar -cz -C "$copy" . | base64
echo "END COVERAGE"
exit $status
