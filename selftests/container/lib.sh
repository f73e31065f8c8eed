# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
# shellcheck shell=bash
#
# What the tests of containers and hardening share: rows of the table in
# Documentation/containers.rst. To be sourced.
#
# A row is what "probe inside" prints somewhere. It passes if the table has just
# this row; with --table as first argument the rows are printed for the table.

here=$(cd "$(dirname "$0")" && pwd)
document=$here/../../Documentation/containers.rst
probe=$here/probe
print_table=
[ "${1-}" != --table ] || print_table=y
number=0 failed=0
tmp=$(mktemp -d)
chmod 755 "$tmp"
trap 'rm -rf "$tmp"' EXIT

skip_all()
{
	echo "1..0 # SKIP $*"
	exit 4
}

# result STATUS NAME: one line of TAP.
result()
{
	number=$((number + 1))
	[ "$1" = 0 ] || failed=1
	[ -n "$print_table" ] && return
	[ "$1" = 0 ] || printf 'not '
	echo "ok $number - $2"
}

skip()
{
	number=$((number + 1))
	[ -n "$print_table" ] || echo "ok $number - $1 # SKIP $2"
}

end()
{
	[ -n "$print_table" ] || echo "1..$number"
	exit $failed
}

# The row that the lines on standard input make, as the document has it.
# shellcheck disable=SC2016 # these are awk's
format_row='
	function join(list, item) { return list == "" ? item : list ", " item }
	BEGIN {
		name[5] = "RPC_S_ACCESS_DENIED"
		name[6] = "ERROR_INVALID_HANDLE"
		name[87] = "RPC_S_INVALID_ARG"
		name[1764] = "RPC_S_CANNOT_SUPPORT"
	}
	/^uses / { uses = substr($0, 6) }
	/^why / { why[++reasons] = substr($0, 5) }
	/^fails / {
		status = $2
		sub(/^fails [0-9]* /, "")
		if (!(status in fails))
			order[++statuses] = status
		fails[status] = join(fails[status], $0)
	}
	END {
		print "   * - " title
		print "     - " uses
		if (!statuses)
			print "     -"
		for (i = 1; i <= statuses; i++) {
			status = order[i]
			printf "%s%s: ``%s`` (%d)\n", i == 1 ? "     - | " : "       | ",
				fails[status], name[status], status
		}
		if (!reasons)
			print "     -"
		for (i = 1; i <= reasons; i++)
			printf "%s``%s``\n", i == 1 ? "     - | " : "       | ", why[i]
	}'

# check_row NAME: of what the probe has printed to $tmp/lines.
check_row()
{
	awk -v title="$1" "$format_row" "$tmp/lines" >"$tmp/row"
	if [ -n "$print_table" ]; then
		cat "$tmp/row"
		return
	fi
	awk -v first="   * - $1" '$0 == first { on = 1; print; next }
		/^   \* - / || /^[^ ]/ { on = 0 } on && NF' "$document" >"$tmp/wanted"
	diff -u --label documented --label measured "$tmp/wanted" "$tmp/row" |
		sed 's/^/# /'
	cmp -s "$tmp/wanted" "$tmp/row"
	result $? "$1: what works is what is documented"
	! grep '^outside cancelled' "$tmp/lines" >/dev/null ||
		grep -q '^works handles from outside' "$tmp/lines"
	result $? "$1: nobody outside is cancelled but through a handle"
}

# row NAME FUNCTION...: the function starts "probe inside" in some place. "probe
# outside" has to start it, and can only start programs: hence this script anew.
row()
{
	local name=$1
	shift
	timeout 120 "$probe" outside "$0" --in "$@" >"$tmp/lines" 2>"$tmp/errors"
	if ! grep -q '^uses ' "$tmp/lines"; then
		sed 's/^/# /' "$tmp/lines" "$tmp/errors" >&2
		result 1 "$name: the probe runs to its end"
		return
	fi
	check_row "$name"
}

# in_place "$@": what the script is to do when it is started by row().
in_place()
{
	[ "${1-}" = --in ] || return 0
	shift
	"$@"
	exit
}

# as_alice [OPTION...]: as an ordinary user; the options are for setpriv(1).
as_alice()
{
	setpriv --reuid 1000 --regid 1000 --clear-groups "$@" "$probe" inside
}

# shellcheck disable=SC2016 # the inner shell expands it
# in_mounts COMMAND: the same, in a mount namespace, behind this command.
in_mounts()
{
	unshare --mount bash -c "$1"' && exec setpriv --reuid 1000 --regid 1000 \
		--clear-groups "$1" inside' - "$probe"
}
