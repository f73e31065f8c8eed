#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#
# What "make style" runs. One TAP line for each check; what a check complains
# about comes before its line.

. "$(dirname "$0")/../vm/common.sh"

checkpatch=$cache/kselftest/scripts/checkpatch.pl

# What checkpatch need not say:
# FILE_PATH_CHANGES  there is no MAINTAINERS file here
# In the header of the tracepoints, whose form is given:
# OPEN_ENDED_LINE, PARENTHESIS_ALIGNMENT
# In selftests/, which are programs of user space:
# CAMELCASE          the API has Microsoft's names
# PREFER_KERNEL_TYPES, NAKED_SSCANF, ENOSYS, VOLATILE  rules for kernel code
# SPACING            takes FIXTURE_DATA(x) *self for a product
# MACRO_WITH_FLOW_CONTROL, COMPLEX_MACRO  the harness is made of such macros
ignore=FILE_PATH_CHANGES
trace=$ignore,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT
user=$ignore,CAMELCASE,PREFER_KERNEL_TYPES,NAKED_SSCANF,ENOSYS,VOLATILE,SPACING
user=$user,MACRO_WITH_FLOW_CONTROL,COMPLEX_MACRO

cd "$top" || exit
# Files of the tree, committed or about to be.
mapfile -t all < <(git ls-files -co --exclude-standard 2>/dev/null ||
	find . -type f ! -path './build/*' -printf '%P\n')
# In the middle of work a file may be deleted and still known to git.
for i in "${!all[@]}"; do
	[ -f "${all[i]}" ] || unset "all[i]"
done

# files REGEX: the names that match.
files()
{
	printf '%s\n' "${all[@]}" | grep -E "$1" || :
}

shell_scripts()
{
	grep -lE -m1 '^(#!.*\<(sh|bash)\>|# shellcheck shell=)' "${all[@]}" || :
}

number=0 status=0
# check NAME COMMAND...
check()
{
	local name=$1
	shift
	number=$((number + 1))
	if "$@" 2>&1; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		status=1
	fi
}

run_checkpatch()
{
	local list
	list=$(files "$1" | grep -vE "${3:-^$}") || :
	[ -z "$list" ] || xargs "$checkpatch" --strict --no-tree --terse --quiet \
		--no-summary --show-types --ignore "$2" -f <<<"$list"
}

run_clang_format()
{
	local list
	list=$(files '^(libuser|include)/.*\.([ch]|cc|cpp|hpp)$' | grep -v '^include/uapi/') || :
	[ -z "$list" ] || xargs clang-format --dry-run -Werror --style=file <<<"$list"
}

run_sparse()
{
	C=2 "$vm/build-module.sh" "$default_flavour" >/dev/null
}

run_shellcheck()
{
	shell_scripts | xargs -r shellcheck
}

run_codespell()
{
	# "did not execute", as the standard has it; syzkaller's "inout"
	printf '%s\n' "${all[@]}" | xargs codespell -L dne,inout
}

run_syzkaller()
{
	local dir=selftests/fuzz/syzkaller
	"$dir/compare.py" "$dir/dev_rpccancel.txt" include/uapi/linux/rpccancel.h
}

run_spdx()
{
	local f bad=0
	for f in "${all[@]}"; do
		grep -Iq . "$f" || continue # binary or empty
		head -n 5 "$f" | grep -q 'SPDX-License-Identifier:' && continue
		case $f in
		LICENSES/*|COPYING*|*.md|README) continue ;;
		esac
		echo "$f: no SPDX-License-Identifier in its first five lines"
		bad=1
	done
	return "$bad"
}

# ``FILE: TEST`` in the documentation is the name of a test, or its function, in a
# file of tests.
# shellcheck disable=SC2016 # the quotes are the document's
run_named_tests()
{
	local doc name test file bad=0
	while IFS=: read -r doc name; do
		name=${name//\`/} test=${name#*: }
		file=$(files "^(selftests|libuser)/(.*/)?${name%%:*}\.(c|sh|py)$")
		[ -n "$file" ] && xargs grep -qF -- "$test" <<<"$file" && continue
		echo "$doc: there is no test $name"
		bad=1
	done < <(grep -oE '``[a-z0-9_]+_(test|fuzz): [^`]+``' Documentation/*.rst)
	return "$bad"
}

"$vm/setup.sh"
"$vm/fetch.sh" --kselftest
"$vm/fetch.sh" "$default_flavour"
echo "1..10"
check "checkpatch of kmod and its header" \
	run_checkpatch '^(kmod|include/uapi)/.*\.[ch]$' $ignore '/trace\.h$'
check "checkpatch of the tracepoints" run_checkpatch '^kmod/trace\.h$' $trace
check "checkpatch of selftests" run_checkpatch '^selftests/.*\.[ch]$' $user
check "sparse" run_sparse
check "clang-format of libuser and include" run_clang_format
check "shellcheck" run_shellcheck
check "codespell" run_codespell
check "description for syzkaller" run_syzkaller
check "SPDX lines" run_spdx
check "tests that are named in Documentation" run_named_tests
exit "$status"
