# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
# shellcheck shell=bash
#
# Results in the Test Anything Protocol, for the tests that are scripts.
# $1 of each is the folder that the library was built in.

set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
libuser=$top/libuser
# shellcheck disable=SC2034 # for those who source this
build=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
count=0 failed=0

# result STATUS WHAT: shows $tmp/log when it failed.
result()
{
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		failed=1
		echo "not ok $count - $2"
		[ ! -s "$tmp/log" ] || sed 's/^/# /' "$tmp/log"
	fi
}

# try WHAT COMMAND...
try()
{
	local what=$1
	shift
	"$@" >"$tmp/log" 2>&1
	result $? "$what"
}

# nothing WHAT COMMAND...: what the command prints should not be there.
nothing()
{
	local what=$1
	shift
	"$@" >"$tmp/log" 2>&1
	[ ! -s "$tmp/log" ]
	result $? "$what"
}

end()
{
	echo "1..$count"
	exit $failed
}

exported()
{
	sed -n 's/^\t\t\([A-Za-z0-9_]*\);$/\1/p' "$libuser/librpccancel.map" | sort
}
